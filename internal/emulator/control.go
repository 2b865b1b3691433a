package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// controls are the verbs of the control API: POST /_control/<name> with a JSON object.
var controls = map[string]func(*Emulator, json.RawMessage) (any, error){
	"accounts": verb(func(e *Emulator, in struct{ SID, Token, Type, Parent string }) (any, error) {
		return nil, e.AddSubaccount(in.Parent, in.SID, in.Token, in.Type)
	}),
	"accounts/status": verb(func(e *Emulator, in struct{ SID, Status string }) (any, error) {
		return nil, e.SetAccountStatus(in.SID, in.Status)
	}),
	"numbers": verb(func(e *Emulator, in struct {
		Account string
		NumberSpec
	}) (any, error) {
		sid, err := e.AddNumber(in.Account, in.NumberSpec)
		return sidOf(sid), err
	}),
	"keys": verb(func(e *Emulator, in struct{ Account, SID, Secret, Name string }) (any, error) {
		return nil, e.AddKey(in.Account, in.SID, in.Secret, in.Name)
	}),
	"applications": verb(func(e *Emulator, in struct {
		Account string
		Fields  map[string]string
	}) (any, error) {
		sid, err := e.AddApplication(in.Account, in.Fields)
		return sidOf(sid), err
	}),
	"services": verb(func(e *Emulator, in struct {
		Account string
		ServiceSpec
	}) (any, error) {
		sid, err := e.AddService(in.Account, in.ServiceSpec)
		return sidOf(sid), err
	}),
	"caller-ids": verb(func(e *Emulator, in struct{ Account, E164, Name string }) (any, error) {
		return nil, e.AddCallerID(in.Account, in.E164, in.Name)
	}),
	"clients": verb(func(e *Emulator, in struct {
		Device
		Account, Identity string
	}) (any, error) {
		if in.Token != "" {
			id, err := e.RegisterDevice(in.Device)
			return map[string]string{"identity": id}, err
		}
		return map[string]string{"identity": in.Identity}, e.RegisterClient(e.onlyAccount(in.Account), in.Identity)
	}),
	"clients/remove": verb(func(e *Emulator, in struct{ Account, Identity string }) (any, error) {
		e.UnregisterClient(e.onlyAccount(in.Account), in.Identity)
		return nil, nil
	}),
	"clients/close": verb(func(e *Emulator, in struct{ Account, Identity string }) (any, error) {
		e.CloseApp(e.onlyAccount(in.Account), in.Identity)
		return nil, nil
	}),
	"clients/connect": verb(func(e *Emulator, in struct {
		Token  string
		Params map[string]string
	}) (any, error) {
		sid, err := e.Connect(in.Token, in.Params)
		return sidOf(sid), err
	}),
	"phones": verb(func(e *Emulator, in struct {
		Target, Do, Press, MessageStatus string
		AfterSeconds, SpeakSeconds       float64
		HangUpAfterSeconds               float64
		AnsweredBy                       string
		VerdictAfterSeconds              float64
		MessageError, MessageRefuse      int
		MessageAfterSeconds              float64
	}) (any, error) {
		e.Behave(in.Target, PhoneBehaviour{Do: in.Do, After: secs(in.AfterSeconds), Speak: secs(in.SpeakSeconds), Press: in.Press,
			HangUpAfter: secs(in.HangUpAfterSeconds), AnsweredBy: in.AnsweredBy, VerdictAfter: secs(in.VerdictAfterSeconds), MessageStatus: in.MessageStatus, MessageError: in.MessageError,
			MessageRefuse: in.MessageRefuse, MessageAfter: secs(in.MessageAfterSeconds)})
		return nil, nil
	}),
	"calls": verb(func(e *Emulator, in InboundCall) (any, error) {
		sid, err := e.PlaceInbound(in)
		return sidOf(sid), err
	}),
	"answer": verb(func(e *Emulator, in struct{ Target string }) (any, error) {
		sid, err := e.Answer(in.Target)
		return sidOf(sid), err
	}),
	"decline": verb(func(e *Emulator, in struct{ Target string }) (any, error) {
		sid, err := e.Decline(in.Target)
		return sidOf(sid), err
	}),
	"hangup": verb(func(e *Emulator, in struct{ SID string }) (any, error) { return nil, e.HangUp(in.SID) }),
	"speak": verb(func(e *Emulator, in struct {
		SID, Words string
		Seconds    float64
	}) (any, error) {
		if in.Words != "" {
			return nil, e.SpeakWords(in.SID, in.Words)
		}
		return nil, e.Speak(in.SID, secs(in.Seconds))
	}),
	"press": verb(func(e *Emulator, in struct{ SID, Digits string }) (any, error) {
		return nil, e.Press(in.SID, in.Digits)
	}),
	"mute": verb(func(e *Emulator, in struct {
		SID string
		On  bool
	}) (any, error) {
		return nil, e.Mute(in.SID, in.On)
	}),
	"sip/domains": verb(func(e *Emulator, in struct {
		Account, Domain string
		Fields          map[string]string
	}) (any, error) {
		sid, err := e.AddSIPDomain(e.onlyAccount(in.Account), in.Domain, in.Fields)
		return sidOf(sid), err
	}),
	"sip/register": verb(func(e *Emulator, in struct{ Domain, User, Password string }) (any, error) {
		return nil, e.RegisterSIP(in.Domain, in.User, in.Password)
	}),
	"sip/unregister": verb(func(e *Emulator, in struct{ Domain, User string }) (any, error) {
		e.UnregisterSIP(in.Domain, in.User)
		return nil, nil
	}),
	"sip/call": verb(func(e *Emulator, in SIPCall) (any, error) {
		sid, err := e.CallSIP(in)
		return sidOf(sid), err
	}),
	"sip/refer": verb(func(e *Emulator, in struct{ SID, To string }) (any, error) {
		return nil, e.ReferSIP(in.SID, in.To)
	}),
	"chaos": verb(func(e *Emulator, in struct {
		Chaos
		MaxDelaySeconds, ReadLagSeconds float64
	}) (any, error) {
		if in.MaxDelaySeconds > 0 {
			in.MaxDelay = secs(in.MaxDelaySeconds)
		}
		if in.ReadLagSeconds > 0 {
			in.ReadLag = secs(in.ReadLagSeconds)
		}
		e.SetChaos(in.Chaos)
		return nil, nil
	}),
	"fail": verb(func(e *Emulator, in struct {
		Fault
		RetryAfterSeconds float64
	}) (any, error) {
		if in.RetryAfterSeconds > 0 {
			in.RetryAfter = secs(in.RetryAfterSeconds)
		}
		e.FailNext(in.Fault)
		return nil, nil
	}),
	"promotion": verb(func(e *Emulator, in struct{ Order string }) (any, error) {
		return nil, e.SetPromotion(in.Order)
	}),
	"rate": verb(func(e *Emulator, in struct {
		CallsPerSecond *float64
		MaxConcurrent  *int
	}) (any, error) {
		if in.CallsPerSecond != nil {
			e.SetCallsPerSecond(*in.CallsPerSecond)
		}
		if in.MaxConcurrent != nil {
			e.SetMaxConcurrent(*in.MaxConcurrent)
		}
		return nil, nil
	}),
	"hold": verb(func(e *Emulator, in struct{ On bool }) (any, error) {
		e.Hold(in.On)
		return nil, nil
	}),
	"release": verb(func(e *Emulator, in struct{ IDs []int }) (any, error) {
		if in.IDs == nil {
			e.ReleaseAll()
		} else {
			e.Release(in.IDs...)
		}
		return nil, nil
	}),
	"debugger/clear": verb(func(e *Emulator, _ struct{}) (any, error) {
		e.ClearDebugger()
		return nil, nil
	}),
}

func secs(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }

func sidOf(sid string) any { return map[string]string{"sid": sid} }

// verb reads a strict JSON object and calls fn.
func verb[T any](fn func(*Emulator, T) (any, error)) func(*Emulator, json.RawMessage) (any, error) {
	return func(e *Emulator, raw json.RawMessage) (any, error) {
		var in T
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			return nil, err
		}
		return fn(e, in)
	}
}

// onlyAccount is the given account, or the first one when none is given.
func (e *Emulator) onlyAccount(sid string) string {
	if sid != "" {
		return sid
	}
	e.read(func() {
		if len(e.accounts) > 0 {
			sid = e.accounts[0].sid
		}
	})
	return sid
}

// control is the API with which people and scripts play the outside world. It trusts
// whoever reaches it, so it belongs on a loopback listener; a web page of another origin
// is refused.
func (e *Emulator) control(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/_control/")
	if o := r.Header.Get("Origin"); o != "" {
		if u, err := url.Parse(o); err != nil || u.Host != r.Host {
			writeJSON(w, 403, map[string]string{"error": "another origin may not control the emulator"})
			return
		}
	}
	if r.Method == http.MethodGet {
		e.controlGet(w, name)
		return
	}
	do, known := controls[name]
	for _, m := range []map[string]func(*Emulator, json.RawMessage) (any, error){messageControls, consoleControls, recordingControls} {
		if !known {
			do, known = m[name]
		}
	}
	switch {
	case !known:
		names := []string{}
		for _, m := range []map[string]func(*Emulator, json.RawMessage) (any, error){controls, messageControls, consoleControls, recordingControls} {
			for n := range m {
				names = append(names, n)
			}
		}
		slices.Sort(names)
		writeJSON(w, 404, map[string]any{"error": "the emulator does not know POST /_control/" + clip(name, 40), "known": names})
		return
	case r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		writeJSON(w, 415, map[string]string{"error": "POST a JSON object as application/json"})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
	if err != nil {
		writeJSON(w, 413, map[string]string{"error": "request body over 8 MiB"})
		return
	}
	if len(body) == 0 {
		body = []byte("{}")
	}
	out, err := do(e, body)
	if err != nil {
		answer := map[string]any{"error": err.Error()}
		var t *TokenError
		if errors.As(err, &t) {
			answer["code"] = t.Code
		}
		var s *SIPError
		if errors.As(err, &s) {
			answer["code"], answer["status"] = s.Code, s.Status
		}
		writeJSON(w, 422, answer)
		return
	}
	if out == nil {
		out = map[string]bool{"ok": true}
	}
	writeJSON(w, 200, out)
}

func (e *Emulator) controlGet(w http.ResponseWriter, name string) {
	var out any
	switch name {
	case "state":
		out = e.state()
	case "calls":
		out = e.Calls()
	case "ringing":
		out = e.Ringing("")
	case "messages":
		out = e.Messages()
	case "messages/counts":
		out = e.MessageCounts()
	case "recordings":
		out = e.Recordings()
	case "conferences":
		out = e.Conferences()
	case "debugger":
		out = e.Debugger()
	case "deliveries":
		out = e.Deliveries()
	case "held":
		out = e.Held()
	default:
		writeJSON(w, 404, map[string]any{"error": "the emulator does not know GET /_control/" + clip(name, 40),
			"known": []string{"state", "calls", "ringing", "messages", "messages/counts", "recordings", "conferences", "debugger", "deliveries", "held"}})
		return
	}
	writeJSON(w, 200, out)
}

// state is what the page shows: the newest of everything.
func (e *Emulator) state() map[string]any {
	type num struct {
		E164, Account, Name string
	}
	numbers, clients := []num{}, []string{}
	var now time.Time
	e.read(func() {
		now = e.clk.Now()
		for _, a := range e.accounts {
			for _, n := range a.numbers {
				numbers = append(numbers, num{n.spec.E164, a.sid, n.spec.FriendlyName})
			}
			for id, list := range a.clients {
				clients = append(clients, fmt.Sprintf("client:%s (%d)", id, len(list)))
			}
		}
	})
	slices.Sort(clients)
	return map[string]any{"now": now, "numbers": numbers, "clients": clients, "calls": latest(e.Calls(), 40), "ringing": e.Ringing(""),
		"messages": latest(e.Messages(), 40), "debugger": latest(e.Debugger(), 40)}
}

func latest[T any](all []T, n int) []T {
	if len(all) > n {
		all = all[len(all)-n:]
	}
	out := []T{}
	for _, x := range slices.Backward(all) {
		out = append(out, x)
	}
	return out
}
