package emulator_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

func (s *stage) create(to string, more func(*api.CreateCallParams)) string {
	s.Helper()
	p := (&api.CreateCallParams{}).SetFrom(office).SetTo(to).SetUrl(s.hooks.URL + "/out").SetStatusCallback(s.hooks.URL + "/progress").
		SetStatusCallbackEvent([]string{"initiated", "ringing", "answered", "completed"})
	if more != nil {
		more(p)
	}
	c, err := s.tw.Api.CreateCall(p)
	s.must(err)
	if *c.Status != "queued" || *c.Direction != "outbound-api" {
		s.Errorf("created call is %s %s", *c.Status, *c.Direction)
	}
	s.idle()
	return *c.Sid
}

func TestCallByRESTWalksItsStates(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/out", `<Response><Dial callerId="`+office+`" action="/done"><Number statusCallback="/leg" statusCallbackEvent="initiated ringing answered completed">`+second+`</Number></Dial></Response>`)
	s.answer("/done", `<Response/>`)
	sid := s.create(mobile, nil)
	s.advance(4 * time.Second)
	s.pickUp(mobile)
	s.advance(2 * time.Second)
	child := s.pickUp(second)
	s.advance(61 * time.Second)
	s.must(s.e.HangUp(child))
	s.idle()
	if d := cmp.Diff([]string{"initiated", "ringing", "in-progress", "completed"}, s.values("/progress", "CallStatus")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"0", "1", "2", "3"}, s.values("/progress", "SequenceNumber")); d != "" {
		t.Error(d)
	}
	last := s.last("/progress")
	if last.Get("CallDuration") != "63" || last.Get("Duration") != "2" {
		t.Errorf("durations %v", last)
	}
	c, err := s.tw.Api.FetchCall(sid, nil)
	s.must(err)
	if *c.Status != "completed" || *c.Duration != "63" || *c.StartTime != "Fri, 20 Nov 2026 09:00:00 +0000" {
		t.Errorf("fetched %s %s %s", *c.Status, *c.Duration, *c.StartTime)
	}
	kids, err := s.tw.Api.ListCall((&api.ListCallParams{}).SetParentCallSid(sid))
	s.must(err)
	if len(kids) != 1 || *kids[0].Sid != child || *kids[0].ParentCallSid != sid || *kids[0].Direction != "outbound-dial" {
		t.Errorf("children %+v", kids)
	}
	s.quiet()
}

func TestPhonesActAlone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why    string
		b      emulator.PhoneBehaviour
		status []string
	}{
		"answers":     {"", emulator.PhoneBehaviour{Do: emulator.Answers, After: 3 * time.Second}, []string{"initiated", "ringing", "in-progress", "completed"}},
		"declines":    {"a refused call is busy", emulator.PhoneBehaviour{Do: emulator.Declines, After: time.Second}, []string{"initiated", "ringing", "busy"}},
		"busy":        {"it never rings", emulator.PhoneBehaviour{Do: emulator.IsBusy}, []string{"initiated", "busy"}},
		"unreachable": {"", emulator.PhoneBehaviour{Do: emulator.Fails}, []string{"initiated", "failed"}},
		"no answer":   {"Timeout plus five seconds", emulator.PhoneBehaviour{Do: emulator.NoAnswer}, []string{"initiated", "ringing", "no-answer"}},
		"voicemail":   {"a machine answers after 20 s", emulator.PhoneBehaviour{Do: emulator.Voicemail}, []string{"initiated", "ringing", "in-progress", "completed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.e.Behave(mobile, tc.b)
			s.answer("/out", `<Response><Say>Hello.</Say></Response>`)
			s.create(mobile, nil)
			s.advance(70 * time.Second)
			if d := cmp.Diff(tc.status, s.values("/progress", "CallStatus")); d != "" {
				t.Errorf("%s: %s", tc.why, d)
			}
			s.quiet()
		})
	}
}

func TestCanceledInTheQueueCallsNobodyBack(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{CallsPerSecond: 1})
	s.answer("/out", `<Response/>`)
	s.create(mobile, nil)
	waiting := s.create(second, nil)
	c, err := s.tw.Api.FetchCall(waiting, nil)
	s.must(err)
	if *c.Status != "queued" || *c.QueueTime != "1000" {
		t.Errorf("second call of the second: %s, queue time %s", *c.Status, *c.QueueTime)
	}
	_, err = s.tw.Api.UpdateCall(waiting, (&api.UpdateCallParams{}).SetStatus("canceled"))
	s.must(err)
	s.advance(5 * time.Second)
	if slices.Contains(s.values("/progress", "CallSid"), waiting) {
		t.Error("a call canceled while queued sent a callback")
	}
	third := s.create(second, nil)
	s.idle()
	if got := s.status(third); got != "ringing" {
		t.Errorf("after the queue emptied a call is %s", got)
	}
	if _, err := s.tw.Api.UpdateCall(waiting, (&api.UpdateCallParams{}).SetStatus("completed")); code(err) != 21220 {
		t.Errorf("update of an ended call: %v", err)
	}
}

func TestCanceledIsIgnoredOnceAnswered(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/out", `<Response><Pause length="60"/></Response>`)
	sid := s.create(mobile, nil)
	s.pickUp(mobile)
	_, err := s.tw.Api.UpdateCall(sid, (&api.UpdateCallParams{}).SetStatus("canceled"))
	s.must(err)
	if got := s.status(sid); got != "in-progress" {
		t.Errorf("canceled on an answered call made it %s", got)
	}
	_, err = s.tw.Api.UpdateCall(sid, (&api.UpdateCallParams{}).SetStatus("completed"))
	s.must(err)
	if got := s.status(sid); got != "completed" {
		t.Errorf("completed made it %s", got)
	}
}

func TestCallsAreValidated(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	url := s.hooks.URL + "/out"
	for name, tc := range map[string]struct {
		p    *api.CreateCallParams
		want int
	}{
		"no to":         {(&api.CreateCallParams{}).SetFrom(office).SetUrl(url), 21201},
		"no from":       {(&api.CreateCallParams{}).SetTo(mobile).SetUrl(url), 21213},
		"bad to":        {(&api.CreateCallParams{}).SetFrom(office).SetTo("12").SetUrl(url), 21211},
		"foreign from":  {(&api.CreateCallParams{}).SetFrom(second).SetTo(mobile).SetUrl(url), 21210},
		"no url":        {(&api.CreateCallParams{}).SetFrom(office).SetTo(mobile), 21205},
		"bad url":       {(&api.CreateCallParams{}).SetFrom(office).SetTo(mobile).SetUrl("http://under_score.test/"), 21205},
		"unknown app":   {(&api.CreateCallParams{}).SetFrom(office).SetTo(mobile).SetApplicationSid("APx"), 21218},
		"inline 4001":   {(&api.CreateCallParams{}).SetFrom(office).SetTo(mobile).SetTwiml(strings.Repeat("x", 4001)), 32018},
		"word for from": {(&api.CreateCallParams{}).SetFrom("acme").SetTo(mobile).SetUrl(url), 21212},
	} {
		if _, err := s.tw.Api.CreateCall(tc.p); code(err) != tc.want {
			t.Errorf("%s: %v, want %d", name, err, tc.want)
		}
	}
	if n := len(s.e.Calls()); n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

func TestRedirectingTheParentEndsTheChild(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Dial action="/dial" answerOnBridge="true"><Number>`+second+`</Number></Dial></Response>`)
	s.answer("/dial", `<Response><Say>must not be heard</Say></Response>`)
	s.answer("/next", `<Response><Pause length="30"/></Response>`)
	sid := s.call(mobile, office)
	child := s.pickUp(second)
	s.advance(3 * time.Second)
	_, err := s.tw.Api.UpdateCall(sid, (&api.UpdateCallParams{}).SetUrl(s.hooks.URL+"/next"))
	s.must(err)
	s.idle()
	if s.status(child) != "completed" || s.status(sid) != "in-progress" {
		t.Errorf("child %s, parent %s", s.status(child), s.status(sid))
	}
	if c, _ := s.e.Call(sid); c.Verb != "Pause" {
		t.Errorf("the parent runs <%s>, the action's answer must be ignored", c.Verb)
	}
	if got := s.last("/dial").Get("DialCallStatus"); got != "completed" {
		t.Errorf("the action hears %s", got)
	}
	s.quiet()
}

func TestRedirectingTheChildLetsTheParentGoOn(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Dial action="/dial" answerOnBridge="true"><Number>`+second+`</Number></Dial></Response>`)
	s.answer("/dial", `<Response><Pause length="60"/></Response>`)
	sid := s.call(mobile, office)
	child := s.pickUp(second)
	s.advance(3 * time.Second)
	_, err := s.tw.Api.UpdateCall(child, (&api.UpdateCallParams{}).SetTwiml(`<Response><Pause length="30"/></Response>`))
	s.must(err)
	s.idle()
	if s.status(child) != "in-progress" || s.status(sid) != "in-progress" {
		t.Errorf("child %s, parent %s", s.status(child), s.status(sid))
	}
	f := s.last("/dial")
	if f.Has("DialCallDuration") || f.Get("DialCallSid") != child {
		t.Errorf("action of a redirected child: %v", f)
	}
	s.must(s.e.HangUp(child))
	if got := s.status(sid); got != "in-progress" {
		t.Errorf("after the child left, its end makes the parent %s", got)
	}
	s.quiet()
}

func TestDialRefusals(t *testing.T) {
	t.Parallel()
	eleven := strings.Repeat("<Number>"+second+"</Number>", 11)
	for name, tc := range map[string]struct {
		why, dial string
		code      int
	}{
		"eleven nouns":      {"ten at most", `<Dial action="/dial">` + eleven + `</Dial>`, 13250},
		"foreign caller id": {"neither ours nor verified nor of the request", `<Dial action="/dial" callerId="+15559999999"><Number>` + second + `</Number></Dial>`, 13214},
		"not E.164":         {"", `<Dial action="/dial"><Number>call me</Number></Dial>`, 13223},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.answer("/voice", "<Response>"+tc.dial+"</Response>")
			s.answer("/dial", `<Response/>`)
			s.call(mobile, office)
			if d := cmp.Diff([]int{tc.code}, s.codes()); d != "" {
				t.Errorf("%s: %s", tc.why, d)
			}
			if got := s.last("/dial").Get("DialCallStatus"); got != "failed" {
				t.Errorf("DialCallStatus %s", got)
			}
		})
	}
}

func TestCallerIDMayBeTheCallerItsTargetOrAVerifiedNumber(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.must(s.e.AddCallerID(accountSID, "+15558880000", ""))
	for _, id := range []string{mobile, office, "+15558880000"} {
		s.answer("/voice", `<Response><Dial callerId="`+id+`"><Number>`+second+`</Number></Dial></Response>`)
		sid := s.call(mobile, office)
		ring := s.e.Ringing(second)
		if len(ring) != 1 || ring[0].From != id {
			t.Errorf("caller ID %s: %+v", id, ring)
		}
		s.must(s.e.HangUp(sid))
	}
	s.quiet()
}

func TestSequentialDialRingsOneAfterTheOther(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Dial sequential="true" timeout="10" action="/dial"><Number>`+second+`</Number><Number>+15557654323</Number></Dial></Response>`)
	s.answer("/dial", `<Response/>`)
	s.call(mobile, office)
	if len(s.e.Ringing(second)) != 1 || len(s.e.Ringing("+15557654323")) != 0 {
		t.Fatal("both ring at once")
	}
	s.advance(15 * time.Second)
	if len(s.e.Ringing(second)) != 0 || len(s.e.Ringing("+15557654323")) != 1 {
		t.Fatal("the second does not ring after the first")
	}
	s.pickUp("+15557654323")
	s.must(s.e.HangUp(s.e.Calls()[2].SID))
	s.idle()
	if got := s.last("/dial").Get("DialCallStatus"); got != "completed" {
		t.Errorf("DialCallStatus %s", got)
	}
}

func TestOurOwnNumberRunsItsOwnDocument(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.number("+15550001112")
	s.answer("/voice", `<Response><Pause length="2"/><Say>Welcome.</Say><Pause length="60"/></Response>`)
	s.answer("/out", `<Response><Pause length="60"/></Response>`)
	sid := s.create("+15550001112", nil)
	if got := s.status(sid); got != "ringing" {
		t.Fatalf("a first <Pause> delays the pickup; the caller's leg is %s", got)
	}
	s.advance(2 * time.Second)
	if got := s.status(sid); got != "in-progress" {
		t.Fatalf("the document answered; the caller's leg is %s", got)
	}
	s.must(s.e.HangUp(sid))
	for _, c := range s.e.Calls() {
		if c.Status != "completed" {
			t.Errorf("leg %s to %s is %s", c.Direction, c.To, c.Status)
		}
	}
}

func TestSIPPhonesRing(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Dial callerId="front-desk" action="/dial"><Sip statusCallback="/leg">sip:1001@acme.sip.twilio.com;transport=tls?X-Tenant=t7</Sip></Dial></Response>`)
	s.answer("/dial", `<Response/>`)
	s.call(mobile, office)
	s.must(s.e.HangUp(s.pickUp("sip:1001@acme.sip.twilio.com")))
	s.idle()
	if f := s.last("/leg"); f.Get("CallStatus") != "completed" || f.Get("SipResponseCode") != "200" || f.Get("From") != "front-desk" {
		t.Errorf("callback %v", f)
	}
	s.quiet()
}

// slowly is an answer whose reader takes its time: before it is written, see runs.
type slowly struct {
	*httptest.ResponseRecorder
	see func()
}

func (w *slowly) WriteHeader(status int) {
	w.see()
	w.ResponseRecorder.WriteHeader(status)
}

func TestCallbacksOfAnUpdateComeAfterItsAnswer(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/out", `<Response><Pause length="60"/></Response>`)
	sid := s.create(mobile, nil)
	s.pickUp(mobile)
	before := len(s.sent("/progress"))
	w := &slowly{httptest.NewRecorder(), func() {
		// Nothing can be waited for here, as nothing must happen: a moment shows it.
		ctx, cancel := context.WithTimeout(s.ctx, 50*time.Millisecond)
		defer cancel()
		if s.e.WaitFor(ctx, func() bool { return len(s.sent("/progress")) > before }) == nil {
			t.Error("the callback came before the answer")
		}
	}}
	q := httptest.NewRequestWithContext(s.ctx, "POST", "/2010-04-01/Accounts/"+accountSID+"/Calls/"+sid+".json", strings.NewReader("Status=completed"))
	q.SetBasicAuth(accountSID, authToken)
	s.e.ServeHTTP(w, q)
	s.idle()
	if last := s.last("/progress"); w.Code != 200 || last.Get("CallSid") != sid || last.Get("CallStatus") != "completed" {
		t.Fatalf("update %d, callback %v", w.Code, last)
	}
}

func TestUnregisteredClientNeverAnswers(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Dial timeout="20" action="/dial"><Client statusCallback="/leg" statusCallbackEvent="initiated ringing answered completed">late<Parameter name="call" value="C1"/></Client></Dial></Response>`)
	s.answer("/dial", `<Response/>`)
	s.call(mobile, office)
	if _, err := s.e.Answer("client:late"); err == nil {
		t.Error("a client that is not registered answered")
	}
	s.advance(5 * time.Second)
	s.must(s.e.RegisterClient(accountSID, "late"))
	s.idle()
	ring := s.e.Ringing("client:late")
	if len(ring) != 1 || ring[0].Parameters["call"] != "C1" {
		t.Fatalf("a device that registers while it is called rings: %+v", ring)
	}
	s.advance(20 * time.Second)
	if d := cmp.Diff([]string{"initiated", "ringing", "no-answer"}, s.values("/leg", "CallStatus")); d != "" {
		t.Error(d)
	}
}

func TestUnknownVerbEndsTheCallAloud(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Start><Stream url="wss://example.com/"/></Start></Response>`)
	sid := s.call(mobile, office)
	list := s.e.Debugger()
	if len(list) != 1 || list[0].Code != 0 || !strings.Contains(list[0].Text, "does not know <Start><Stream>") || s.status(sid) != "failed" {
		t.Errorf("call %s, debugger %+v", s.status(sid), list)
	}
}
