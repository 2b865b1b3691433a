package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

// What lies between Twilio and the server that its webhooks go to.
const (
	NetworkDown     = "down"     // nobody can be reached
	NetworkRewrites = "rewrites" // a proxy changes the address of what was signed
	NetworkDetour   = "detour"   // something else answers, and answers nicely
)

// SetNetwork says what lies between Twilio and the servers that webhooks go to: "" for
// nothing, else NetworkDown, NetworkRewrites or NetworkDetour.
func (e *Emulator) SetNetwork(how string) error {
	switch how {
	case "", NetworkDown, NetworkRewrites, NetworkDetour:
		e.network.Store(how)
		return nil
	}
	return fmt.Errorf("emulator: the network is down, rewrites or detour, and not %q", clip(how, 20))
}

// travel sends a webhook through the network.
func (e *Emulator) travel(req *http.Request) (*http.Response, error) {
	how, _ := e.network.Load().(string)
	switch how {
	case NetworkDown:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("the network is down")}
	case NetworkRewrites:
		req.URL.RawQuery = strings.TrimPrefix(req.URL.RawQuery+"&via=proxy", "&")
	case NetworkDetour:
		return &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
			Header: http.Header{"Content-Type": {"text/xml"}}, Body: io.NopCloser(strings.NewReader("<Response><Hangup/></Response>"))}, nil
	}
	return e.http.Do(req)
}

// SetToken gives an account another auth token, as its owner can in the console: the old
// one is refused from now on, and webhooks are signed with the new one.
func (e *Emulator) SetToken(accountSID, token string) error {
	if token == "" {
		return errors.New("emulator: an account needs an auth token")
	}
	return e.onAccount(accountSID, func(a *account) error { a.token, a.secondary = token, ""; return nil })
}

// SetAccountType makes an account Full or Trial.
func (e *Emulator) SetAccountType(accountSID, typ string) error {
	if typ != Full && typ != Trial {
		return fmt.Errorf("emulator: an account is made %s or %s, and not %q", Full, Trial, clip(typ, 20))
	}
	return e.onAccount(accountSID, func(a *account) error { a.typ = typ; return nil })
}

// MoveNumber gives a number to another account, as support does; "" releases it.
func (e *Emulator) MoveNumber(e164, accountSID string) (err error) {
	e.do(func() {
		n, to := e.byNumber[e164], e.account(accountSID)
		switch {
		case n == nil:
			err = fmt.Errorf("emulator: there is no number %s", e164)
			return
		case to == nil && accountSID != "":
			err = errNoAccount(accountSID)
			return
		}
		n.account.numbers = slices.DeleteFunc(n.account.numbers, func(x *number) bool { return x == n })
		n.leave()
		if to == nil {
			delete(e.byNumber, e164)
			return
		}
		n.account = to
		to.numbers = append(to.numbers, n)
	})
	return err
}

// SetDialingPermission switches an account's permission to call a country (ISO code) on
// or off. At first all are on.
func (e *Emulator) SetDialingPermission(accountSID, iso string, on bool) error {
	iso = strings.ToUpper(iso)
	return e.onAccount(accountSID, func(a *account) error {
		if e.lands[iso] == nil {
			return errNoCountry(iso)
		}
		a.voiceOff[iso] = !on
		return nil
	})
}

// routeVoice is voice.twilio.com: the countries that an account may call.
func (e *Emulator) routeVoice(q *request) result {
	if len(q.path) != 3 || q.path[0] != "DialingPermissions" || q.path[1] != "Countries" || q.Method != http.MethodGet {
		return e.unknownPath(q)
	}
	l := e.lands[strings.ToUpper(q.path[2])]
	if l == nil {
		return q.notFound()
	}
	u := "https://voice.twilio.com/v1/DialingPermissions/Countries/" + l.iso
	return ok(map[string]any{"iso_code": l.iso, "name": l.name, "continent": nil, "country_codes": []string{l.prefix}, "low_risk_numbers_enabled": !q.account.voiceOff[l.iso],
		"high_risk_special_numbers_enabled": false, "high_risk_tollfraud_numbers_enabled": false, "url": u,
		"links": map[string]any{"highrisk_special_prefixes": u + "/HighRiskSpecialPrefixes"}})
}

// AddAlert puts an entry into the debugger list of an account.
func (e *Emulator) AddAlert(accountSID string, code int, resource string) error {
	return e.onAccount(accountSID, func(a *account) error {
		e.alert(Alert{Code: code, Account: a.sid, Resource: resource})
		return nil
	})
}

// consoleControls are the verbs of the control API for what people do in the console and
// what networks do.
var consoleControls = map[string]func(*Emulator, json.RawMessage) (any, error){
	"network": verb(func(e *Emulator, in struct{ How string }) (any, error) { return nil, e.SetNetwork(in.How) }),
	"console/token": verb(func(e *Emulator, in struct{ Account, Token string }) (any, error) {
		return nil, e.SetToken(e.onlyAccount(in.Account), in.Token)
	}),
	"console/type": verb(func(e *Emulator, in struct{ Account, Type string }) (any, error) {
		return nil, e.SetAccountType(e.onlyAccount(in.Account), in.Type)
	}),
	"console/move": verb(func(e *Emulator, in struct{ E164, Account string }) (any, error) {
		return nil, e.MoveNumber(in.E164, in.Account)
	}),
	"console/dialing": verb(func(e *Emulator, in struct {
		Account, Country string
		On               bool
	}) (any, error) {
		return nil, e.SetDialingPermission(e.onlyAccount(in.Account), in.Country, in.On)
	}),
	"console/alert": verb(func(e *Emulator, in struct {
		Account, Resource string
		Code              int
	}) (any, error) {
		return nil, e.AddAlert(e.onlyAccount(in.Account), in.Code, in.Resource)
	}),
}
