package emulator

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// service is a Messaging Service.
type service struct {
	account          *account
	sid, name        string
	fields           map[string]string
	numbers          []*number
	alpha            []alphaSender
	sticky           map[string]string // recipient to the sender it knows
	campaign         *registration10DLC
	created, updated time.Time
	advancedOptOut   bool
	optOut           OptOut
}

type alphaSender struct {
	sid, name string
	created   time.Time
}

// mostNumbers is how many numbers a Messaging Service takes by default (twilio: 21714).
const mostNumbers = 400

// ServiceSpec describes a Messaging Service. Fields are named as in REST
// (InboundRequestUrl, StatusCallback, UseInboundWebhookOnNumber …).
type ServiceSpec struct {
	SID            string            `json:"sid,omitempty"`
	Name           string            `json:"name"`
	Numbers        []string          `json:"numbers"`         // E.164
	Alpha          []string          `json:"alpha,omitempty"` // alphanumeric senders
	Fields         map[string]string `json:"fields,omitempty"`
	AdvancedOptOut bool              `json:"advancedOptOut,omitempty"`
	OptOut         OptOut            `json:"optOut,omitzero"` // words and replies of Advanced Opt-Out
	Campaign       string            `json:"campaign,omitempty"`
}

// AddService makes a Messaging Service with numbers of the account in it. A number is in
// one service at most.
func (e *Emulator) AddService(accountSID string, spec ServiceSpec) (sid string, err error) {
	e.do(func() {
		a := e.account(accountSID)
		if a == nil {
			err = errNoAccount(accountSID)
			return
		}
		s := &service{account: a, sid: cmp.Or(spec.SID, e.sid("MG")), name: spec.Name, fields: map[string]string{}, sticky: map[string]string{}, created: e.at, updated: e.at,
			advancedOptOut: spec.AdvancedOptOut, optOut: spec.OptOut}
		for k, v := range spec.Fields {
			s.fields[k] = v
		}
		for _, to := range spec.Numbers {
			n := e.byNumber[to]
			switch {
			case n == nil || n.account != a:
				err = fmt.Errorf("emulator: %s is not a number of account %s", to, accountSID)
				return
			case n.service != nil:
				err = fmt.Errorf("emulator: %s is in the Messaging Service %s already", to, n.service.sid)
				return
			}
		}
		for _, name := range spec.Alpha {
			if !alphaForm.MatchString(name) || !hasLetter(name) {
				err = fmt.Errorf("emulator: %q is not an alphanumeric sender", name)
				return
			}
			s.alpha = append(s.alpha, alphaSender{e.sid("AI"), name, e.at})
		}
		for _, to := range spec.Numbers {
			s.join(e.byNumber[to])
		}
		e.setCampaign(s, spec.Campaign)
		a.services = append(a.services, s)
		sid = s.sid
	})
	return sid, err
}

// ServiceFields are the fields of a Messaging Service as they stand, nil when there is none.
func (e *Emulator) ServiceFields(sid string) (fields map[string]string) {
	e.read(func() {
		for _, a := range e.accounts {
			for _, s := range a.services {
				if s.sid == sid {
					fields = maps.Clone(s.fields)
				}
			}
		}
	})
	return fields
}

// ChangeService changes fields of a Messaging Service, as somebody does in the console.
func (e *Emulator) ChangeService(sid string, fields map[string]string) error {
	err := fmt.Errorf("emulator: there is no Messaging Service %s", sid)
	e.do(func() {
		for _, a := range e.accounts {
			for _, s := range a.services {
				if s.sid == sid {
					maps.Copy(s.fields, fields)
					err = nil
				}
			}
		}
	})
	return err
}

// join puts a number into a service, leave takes it out of the one it is in.
func (s *service) join(n *number) {
	n.service = s
	s.numbers = append(s.numbers, n)
}

func (n *number) leave() {
	if s := n.service; s != nil {
		s.numbers = slices.DeleteFunc(s.numbers, func(x *number) bool { return x == n })
		n.service = nil
	}
}

// alphaForm is an alphanumeric sender (twilio: glossary/what-alphanumeric-sender-id).
var alphaForm = regexp.MustCompile(`^[A-Za-z0-9 ]{1,11}$`)

func hasLetter(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' })
}

func (s *service) hasAlpha(name string) bool {
	return slices.ContainsFunc(s.alpha, func(x alphaSender) bool { return x.name == name })
}

// AllowAlpha lets an account send from alphanumeric senders without a Messaging Service;
// others, and all others without a name, are refused with 21606.
func (e *Emulator) AllowAlpha(accountSID string, names ...string) error {
	return e.onAccount(accountSID, func(a *account) error {
		clear(a.alpha)
		for _, name := range names {
			if !alphaForm.MatchString(name) || !hasLetter(name) {
				return fmt.Errorf("emulator: %q is not an alphanumeric sender", name)
			}
			a.alpha[name] = true
		}
		return nil
	})
}

// pick is the sender that a service would take for a recipient: the one it knows, a name
// where the country takes names, a number of its area, of its country, any. Of equals it is
// the one with the shortest queue. A code other than 0 is why there is none.
func (e *Emulator) pick(s *service, to string, mms bool) (from string, code int) {
	full := func(from string) bool { return e.lineOf(from).wait() >= longestValidity }
	able := func(n *number) bool { return !n.spec.NoSMS && !(mms && n.spec.NoMMS) }
	if known := s.sticky[to]; known != "" && s.fields["StickySender"] != "false" {
		if n := e.byNumber[known]; n != nil && n.service == s && able(n) && !full(known) {
			return known, 0
		}
	}
	if l := e.land(to); l.alpha && !mms && len(s.alpha) > 0 {
		return s.alpha[0].name, 0
	}
	best, wait := -1, time.Duration(0)
	code = 21703
	home := country(to)
	for _, n := range s.numbers {
		if !able(n) {
			continue
		}
		if full(n.spec.E164) {
			code = 30001
			continue
		}
		score := 0
		if n.country == home {
			score = 1
			if s.fields["AreaCodeGeomatch"] != "false" && strings.HasPrefix(to, "+1") && len(to) >= 5 && strings.HasPrefix(n.spec.E164, to[:5]) {
				score = 2
			}
		}
		if w := e.lineOf(n.spec.E164).wait(); score > best || score == best && w < wait {
			best, wait, from = score, w, n.spec.E164
		}
	}
	if from == "" {
		return "", code
	}
	return from, 0
}

func (e *Emulator) onAccount(sid string, change func(*account) error) (err error) {
	e.do(func() {
		if a := e.account(sid); a != nil {
			err = change(a)
			return
		}
		err = errNoAccount(sid)
	})
	return err
}
