package emulator

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// sipAccount is what an account has of SIP.
type sipAccount struct {
	domains  []*sipDomain
	lists    []*sipList          // of credentials
	acls     []*sipList          // of IP addresses
	contacts map[string][]string // user@domain -> registrations
}

// sipDomain receives calls from SIP phones and lets them register.
type sipDomain struct {
	account          *account
	sid, name        string
	fields           map[string]string // by REST parameter name
	calls, acls      []*sipMapping     // who may call
	registrations    []*sipMapping     // who may register
	created, updated time.Time
}

// sipMapping puts a list in force for a domain.
type sipMapping struct {
	list *sipList
	at   time.Time
}

// sipList is a credential list or an IP access control list.
type sipList struct {
	account          *account
	sid, name        string
	entries          []*sipEntry
	created, updated time.Time
}

// sipEntry is a credential or an address range.
type sipEntry struct {
	sid              string
	username, secret string
	name, ip         string
	bits             int
	created, updated time.Time
}

func (d *sipDomain) flag(name string) bool { return d.fields[name] == "true" }

func (d *sipDomain) plan() plan {
	f, post := d.fields, http.MethodPost
	return plan{url: f["VoiceUrl"], method: cmp.Or(f["VoiceMethod"], post), fallback: f["VoiceFallbackUrl"], fallbackMethod: cmp.Or(f["VoiceFallbackMethod"], post),
		callback: f["VoiceStatusCallbackUrl"], callbackMethod: cmp.Or(f["VoiceStatusCallbackMethod"], post)}
}

// accepts reports whether one of the lists holds the credential (digest authentication).
func accepts(maps []*sipMapping, user, password string) bool {
	return slices.ContainsFunc(maps, func(m *sipMapping) bool {
		return slices.ContainsFunc(m.list.entries, func(x *sipEntry) bool { return x.username == user && x.secret == password })
	})
}

// sipDomain finds a domain, of whichever account, by its name.
func (e *Emulator) sipDomain(name string) *sipDomain {
	for _, a := range e.accounts {
		for _, d := range a.sip.domains {
			if strings.EqualFold(d.name, name) {
				return d
			}
		}
	}
	return nil
}

// SIPError is why a SIP phone was refused: the status it gets and Twilio's code.
type SIPError struct {
	Status, Code int
	Message      string
}

func (s *SIPError) Error() string { return fmt.Sprintf("SIP %d: %s", s.Status, s.Message) }

// sipRefuse logs a refusal as Twilio does.
func (e *Emulator) sipRefuse(a *account, status, code int, message string) error {
	account := ""
	if a != nil {
		account = a.sid
	}
	e.alert(Alert{Code: code, Text: describe(code) + ": " + message, Account: account})
	return &SIPError{status, code, message}
}

// AddSIPDomain makes a SIP domain. The fields are named as in REST (VoiceUrl,
// SipRegistration …).
func (e *Emulator) AddSIPDomain(accountSID, name string, fields map[string]string) (sid string, err error) {
	e.do(func() {
		a := e.account(accountSID)
		switch {
		case a == nil:
			err = errNoAccount(accountSID)
		case !domainForm.MatchString(strings.ToLower(name)):
			err = fmt.Errorf("emulator: %q is not a SIP domain: it must end with .sip.twilio.com", clip(name, 80))
		case e.sipDomain(name) != nil:
			err = fmt.Errorf("emulator: the SIP domain %s exists already", name)
		default:
			d := &sipDomain{account: a, sid: cmp.Or(fields["Sid"], e.sid("SD")), name: strings.ToLower(name), fields: map[string]string{}, created: e.at, updated: e.at}
			for k, v := range fields {
				if k != "Sid" {
					d.fields[k] = v
				}
			}
			a.sip.domains = append(a.sip.domains, d)
			sid = d.sid
		}
	})
	return sid, err
}

// RegisterSIP lets a phone register as user at a domain. The error is a *SIPError. One user
// holds ten registrations.
func (e *Emulator) RegisterSIP(domain, user, password string) (err error) {
	e.do(func() {
		d := e.sipDomain(domain)
		switch {
		case d == nil:
			err = e.sipRefuse(nil, 404, 32002, domain)
		case d.account.status != "active":
			err = e.sipRefuse(d.account, 403, 20005, domain)
		case !d.flag("SipRegistration"):
			err = e.sipRefuse(d.account, 403, 32210, "registration is off at "+d.name)
		case len(d.registrations) == 0:
			err = e.sipRefuse(d.account, 403, 32212, "no credential list is mapped for registrations at "+d.name)
		case !accepts(d.registrations, user, password):
			err = e.sipRefuse(d.account, 403, 32202, "registration of "+clip(user, 40))
		default:
			s := &d.account.sip
			if s.contacts == nil {
				s.contacts = map[string][]string{}
			}
			at := user + "@" + d.name
			if len(s.contacts[at]) >= 10 {
				err = e.sipRefuse(d.account, 403, 32007, at)
				return
			}
			s.contacts[at] = append(s.contacts[at], e.random()[:8])
		}
	})
	return err
}

// UnregisterSIP takes every registration of a user away.
func (e *Emulator) UnregisterSIP(domain, user string) {
	e.do(func() {
		if d := e.sipDomain(domain); d != nil {
			delete(d.account.sip.contacts, user+"@"+d.name)
		}
	})
}

// registered reports whether a leg to a sip: address has somebody to ring. A foreign
// address always has.
func (e *Emulator) registered(c *call) bool {
	user, host := sipUser(c.target)
	d := e.sipDomain(host)
	if d == nil {
		if !strings.HasSuffix(host, ".sip.twilio.com") || !e.knowsDomains() {
			return true
		}
		e.alert(Alert{Code: 32002, Level: "warning", Account: c.account.sid, Resource: c.sid})
		c.sipCode = 404
		return false
	}
	if d.account == c.account && len(d.account.sip.contacts[user+"@"+d.name]) > 0 {
		return true
	}
	e.alert(Alert{Code: 32009, Level: "warning", Account: c.account.sid, Resource: c.sid})
	c.sipCode = 404
	known := func(m *sipMapping) bool {
		return slices.ContainsFunc(m.list.entries, func(x *sipEntry) bool { return x.username == user })
	}
	if d.account == c.account && slices.ContainsFunc(d.registrations, known) {
		c.sipCode = 480 // known, but not there
	}
	return false
}

// knowsDomains reports whether anybody has a SIP domain: without one every address is
// foreign and rings by its phone's behaviour.
func (e *Emulator) knowsDomains() bool {
	return slices.ContainsFunc(e.accounts, func(a *account) bool { return len(a.sip.domains) > 0 })
}

// SIPCall is a SIP phone that calls through a domain.
type SIPCall struct {
	Domain   string `json:"domain"`
	User     string `json:"user"`
	Password string `json:"password"`
	To       string `json:"to"`                 // what was dialled: 1001, +15551234567
	SourceIP string `json:"sourceIp,omitempty"` // "" is 203.0.113.5
	// Headers are the X- headers of the INVITE.
	Headers map[string]string `json:"headers,omitempty"`
}

// CallSIP is the INVITE of a phone. The error is a *SIPError. It makes an inbound call to
// the domain's VoiceUrl.
func (e *Emulator) CallSIP(in SIPCall) (sid string, err error) {
	in.SourceIP = cmp.Or(in.SourceIP, "203.0.113.5")
	e.do(func() {
		d := e.sipDomain(in.Domain)
		if d == nil {
			err = e.sipRefuse(nil, 404, 32002, in.Domain)
			return
		}
		switch {
		case d.account.status != "active":
			err = e.sipRefuse(d.account, 403, 20005, d.name)
		case len(d.calls)+len(d.acls) == 0: // without either the domain takes no traffic
			err = e.sipRefuse(d.account, 403, 32200, "no credential list and no IP list is mapped for calls at "+d.name)
		case len(d.acls) > 0 && !allows(d.acls, in.SourceIP):
			err = e.sipRefuse(d.account, 403, 32201, in.SourceIP)
		case len(d.calls) > 0 && !accepts(d.calls, in.User, in.Password):
			err = e.sipRefuse(d.account, 403, 32202, "call by "+clip(in.User, 40))
		case in.To == "":
			err = e.sipRefuse(d.account, 484, 32110, "nothing was dialled")
		}
		if err != nil {
			return
		}
		c := e.newCall(d.account, "sip:"+in.User+"@"+d.name, "sip:"+in.To+"@"+d.name, "inbound")
		c.started, c.plan = e.at, d.plan()
		sid = c.sid
		c.invite = url.Values{"SipDomain": {d.name}, "SipDomainSid": {d.sid}, "SipCallId": {e.random()[:32] + "@" + in.SourceIP}, "SipSourceIp": {in.SourceIP}}
		if len(d.calls) > 0 {
			c.invite.Set("SipUsername", in.User)
		}
		for k, v := range in.Headers {
			if strings.HasPrefix(strings.ToLower(k), "x-") {
				c.invite.Set("SipHeader_"+k, v)
			}
		}
		c.events[completed] = true
		e.setStatus(c, ringing)
		if c.url == "" {
			e.end(c, failed)
			return
		}
		e.fetch(c, c.url, c.method, nil)
	})
	return sid, err
}

// allows reports whether one of the lists holds the address.
func allows(maps []*sipMapping, ip string) bool {
	addr, err := netip.ParseAddr(ip)
	return err == nil && slices.ContainsFunc(maps, func(m *sipMapping) bool {
		return slices.ContainsFunc(m.list.entries, func(x *sipEntry) bool {
			p, err := netip.ParsePrefix(x.ip + "/" + itoa(x.bits))
			return err == nil && p.Contains(addr)
		})
	})
}

// ReferSIP lets the SIP phone of a leg ask for a transfer (REFER). A <Dial> with referUrl
// decides about it.
func (e *Emulator) ReferSIP(sid, to string) (err error) {
	lost := e.onLeg(sid, func(c *call) {
		d := c.dial
		if l := c.leg; l != nil {
			d = l.dial
		}
		switch {
		case !c.overSIP():
			err = fmt.Errorf("emulator: call %s is not a SIP phone's", sid)
		case d == nil || d.bridged == nil:
			err = e.sipRefuse(c.account, 403, 32218, "the phone talks to nobody")
		case d.node.attr("referUrl", "") == "":
			err = e.sipRefuse(c.account, 403, 13802, "")
		default:
			e.referred(d, c, to)
		}
	})
	return cmp.Or(lost, err)
}

// overSIP reports whether the party of the leg is a SIP phone.
func (c *call) overSIP() bool { return c.invite != nil || strings.HasPrefix(c.target, "sip:") }

// referred asks the referUrl what to do with the far end of the one who transfers, and
// that one is free (twilio: voice/api/refer-to-twilio).
func (e *Emulator) referred(d *dial, by *call, to string) {
	ref, err := d.doc.resolve(d.node.attr("referUrl", ""))
	if err != nil {
		e.refuse(d.parent, 11100, err.Error())
		return
	}
	stays := d.parent
	if by == d.parent {
		stays = d.bridged.call
		stays.leg = nil
	}
	e.closeDial(d)
	e.fetch(stays, ref, d.node.attr("referMethod", http.MethodPost), url.Values{"ReferTransferTarget": {to}})
	e.end(by, completed)
}

// startRefer is <Refer>: the SIP phone is told to go elsewhere (twilio: voice/twiml/refer).
func (e *Emulator) startRefer(c *call, n *node) {
	to := ""
	for _, k := range n.kids {
		if k.name == "Sip" || k.name == "ReferSip" {
			to = k.text
		}
	}
	if !c.overSIP() {
		e.alert(Alert{Code: 13801, Account: c.account.sid, Resource: c.sid})
		e.applicationError(c)
		return
	}
	e.answerCall(c)
	phone := c.target
	if c.invite != nil {
		phone = c.from
	}
	f := url.Values{"ReferCallStatus": {completed}, "ReferSipResponseCode": {"202"}, "NotifySipResponseCode": {"200"}}
	switch b := e.phones[to]; {
	case e.phones[phone].Do == Declines: // the phone does not want to
		f = url.Values{"ReferCallStatus": {failed}, "ReferSipResponseCode": {"603"}}
	case b.Do == IsBusy || b.Do == Declines:
		f = url.Values{"ReferCallStatus": {busy}, "ReferSipResponseCode": {"202"}, "NotifySipResponseCode": {"486"}}
	case b.Do == Fails || b.Do == NoAnswer || !strings.HasPrefix(to, "sip:"):
		f = url.Values{"ReferCallStatus": {failed}, "ReferSipResponseCode": {"202"}, "NotifySipResponseCode": {"480"}}
	}
	e.later(c, time.Second, func() {
		if n.attr("action", "") == "" {
			e.step(c)
			return
		}
		e.act(c, n, f)
	})
}
