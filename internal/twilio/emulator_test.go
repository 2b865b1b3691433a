package twilio_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/clock"
	"switchboard/internal/emulator"
	"switchboard/internal/errs"
	"switchboard/internal/twilio"
)

// wire is our client and our webhook reader at the two ends of the emulator.
type wire struct {
	e      *emulator.Emulator
	c      *twilio.Client
	number twilio.PhoneNumber
	hooks  *url.URL
	rest   string // where the emulator is
	clock  *clock.Fake

	mu     sync.Mutex // guards the rest
	legs   []twilio.LegForm
	texts  []twilio.MessageForm
	status []twilio.MessageStatusForm
	files  []twilio.RecordingForm
}

const dialled = "+15550001111"

func newWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{clock: clock.NewFake(time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC))}
	w.e = emulator.New(emulator.Options{Clock: w.clock, Seed: 1})
	rest := httptest.NewServer(w.e)
	w.e.SetBaseURL(rest.URL)
	w.rest = rest.URL
	hooks := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.serve(t, rw, r) }))
	w.e.Start()
	base, _ := url.Parse(rest.URL)
	w.hooks, _ = url.Parse(hooks.URL)
	tr := twilio.NewTransport(twilio.TransportOptions{BaseURL: base})
	t.Cleanup(func() { w.e.Stop(); tr.Close(); hooks.Close(); rest.Close() })
	if err := w.e.AddAccount(ac, token, emulator.Full); err != nil {
		t.Fatal(err)
	}
	if _, err := w.e.AddNumber(ac, emulator.NumberSpec{E164: dialled}); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.c, err = twilio.NewClient(twilio.Options{AccountSID: ac, AuthToken: token, Transport: tr}); err != nil {
		t.Fatal(err)
	}
	n, ok, err := w.c.FindNumber(t.Context(), dialled)
	if err != nil || !ok {
		t.Fatalf("the number is not found: %v", err)
	}
	w.number, err = w.c.UpdateNumber(t.Context(), n.SID, twilio.NumberSettings{
		VoiceURL: twilio.TwiMLURL(w.hooks, "/voice", nil), VoiceMethod: "POST", SMSURL: twilio.TwiMLURL(w.hooks, "/sms", nil), SMSMethod: "POST",
		StatusCallback: twilio.CallbackURL(w.hooks, "/leg", nil), StatusCallbackMethod: "POST",
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// serve is a webhook server as the edge is: signature, form, answer.
func (w *wire) serve(t *testing.T, rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, twilio.MaxForm+1))
	if !twilio.Verify([]string{"", "an older token", token}, w.hooks, r, body) {
		t.Errorf("the signature of %s does not verify", r.URL)
	}
	form, err := twilio.ParseForm(body)
	if err != nil {
		t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var doc twilio.Response
	switch r.URL.Path {
	case "/voice":
		if _, err = twilio.ParseCall(form); err == nil {
			doc = twilio.Response{twilio.Dial{
				Action: twilio.TwiMLURL(w.hooks, "/dialled", nil), TimeoutSeconds: 20, AnswerOnBridge: true, Record: "record-from-answer-dual",
				RecordingStatusCallback: twilio.CallbackURL(w.hooks, "/recording", nil),
				Nouns: []twilio.Noun{
					twilio.ToClient{Identity: "u_1", Callback: twilio.Callback{StatusCallback: twilio.CallbackURL(w.hooks, "/leg", url.Values{"leg": {"1"}}), StatusCallbackEvent: []string{"initiated", "ringing", "answered", "completed"}}},
					twilio.ToNumber{Number: "+15557654321"},
				},
			}}
		}
	case "/dialled":
		var f twilio.DialForm
		if f, err = twilio.ParseDial(form); err == nil && f.DialStatus != "completed" {
			t.Errorf("the dial ended %q", f.DialStatus)
		}
	case "/leg":
		var f twilio.LegForm
		f, err = twilio.ParseLeg(form)
		w.legs = append(w.legs, f)
	case "/recording":
		var f twilio.RecordingForm
		f, err = twilio.ParseRecording(form)
		w.files = append(w.files, f)
	case "/sms":
		var f twilio.MessageForm
		f, err = twilio.ParseMessage(form)
		w.texts = append(w.texts, f)
	case "/delivery":
		var f twilio.MessageStatusForm
		f, err = twilio.ParseMessageStatus(form)
		w.status = append(w.status, f)
	}
	if err != nil {
		t.Errorf("%s: %v", r.URL.Path, err)
	}
	b, err := doc.Bytes()
	if err != nil {
		t.Error(err)
	}
	rw.Header().Set("Content-Type", twilio.ContentType)
	_, _ = rw.Write(b)
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestCallGoesThroughOnTheWire(t *testing.T) {
	t.Parallel()
	w, ctx := newWire(t), within(t)
	key, err := w.c.CreateKey(ctx, "switchboard")
	if err != nil {
		t.Fatal(err)
	}
	app, err := w.c.CreateApplication(ctx, twilio.Application{Name: "switchboard", VoiceURL: twilio.TwiMLURL(w.hooks, "/app", nil)})
	if err != nil {
		t.Fatal(err)
	}
	access, err := twilio.VoiceToken(twilio.Grant{AccountSID: ac, KeySID: key.SID, KeySecret: key.Secret, Identity: "u_1", AppSID: app.SID, TTL: time.Hour, Incoming: true, Now: w.clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if who, err := w.e.RegisterToken(access); err != nil || who != "u_1" {
		t.Fatalf("the access token registers %q: %v", who, err)
	}
	sid, err := w.e.PlaceInbound(emulator.InboundCall{From: "anonymous", To: dialled})
	if err != nil {
		t.Fatal(err)
	}
	step := func(d time.Duration) {
		t.Helper()
		if err := w.e.WaitIdle(ctx); err != nil {
			t.Fatal(err)
		}
		if err := w.e.Advance(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	step(2 * time.Second)
	child, err := w.e.Answer("client:u_1")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.e.Speak(child, 9*time.Second); err != nil {
		t.Fatal(err)
	}
	step(10 * time.Second)
	running, err := w.c.FetchCall(ctx, sid)
	if err != nil || twilio.Ended(running.Status) || running.From != "anonymous" {
		t.Fatalf("%+v, %v", running, err)
	}
	if r, err := w.c.UpdateRecording(ctx, sid, twilio.CurrentRecording, twilio.RecordingPaused); err != nil || r.Status != "paused" {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := w.c.UpdateRecording(ctx, sid, twilio.CurrentRecording, twilio.RecordingResumed); err != nil {
		t.Fatal(err)
	}
	step(10 * time.Second)
	if _, err := w.c.UpdateCall(ctx, sid, twilio.CallUpdate{Status: "completed"}); err != nil {
		t.Fatal(err)
	}
	step(10 * time.Second)
	if _, err := w.c.UpdateCall(ctx, sid, twilio.CallUpdate{Status: "completed"}); !twilio.IsCode(err, 21220) || !errs.IsCode(err, errs.ProviderRefused) {
		t.Fatalf("ending an ended call: %v", err)
	}
	legs, err := w.c.ListCalls(ctx, twilio.CallFilter{ParentSID: sid})
	if err != nil || len(legs) != 2 {
		t.Fatalf("%d legs, %v", len(legs), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	answered := false
	for _, l := range w.legs {
		answered = answered || l.CallSID == child && l.Status == "in-progress" && l.ParentCallSID == sid && !l.At.IsZero() && l.Sequence != nil
	}
	if !answered {
		t.Errorf("nobody said who answered: %+v", w.legs)
	}
	if len(w.files) != 1 || w.files[0].Status != "completed" || *w.files[0].DurationSeconds < 10 {
		t.Fatalf("recordings %+v", w.files)
	}
	m, err := w.c.FetchRecordingMedia(ctx, w.files[0].RecordingSID, "wav", true, 10<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	if b, err := io.ReadAll(m); err != nil || string(b[:4]) != "RIFF" {
		t.Fatalf("%d bytes of %s, %v", len(b), m.ContentType, err)
	}
	for range 2 {
		if err := w.c.DeleteRecording(ctx, w.files[0].RecordingSID); err != nil {
			t.Fatal(err)
		}
	}
	if d := w.e.Debugger(); len(d) != 0 {
		t.Errorf("Twilio complains: %+v", d)
	}
}

func TestTextsGoThroughOnTheWire(t *testing.T) {
	t.Parallel()
	w, ctx := newWire(t), within(t)
	if _, err := w.e.SendText("+15557654321", dialled, "hello <there> & \u00e9"); err != nil {
		t.Fatal(err)
	}
	if err := w.e.WaitIdle(ctx); err != nil {
		t.Fatal(err)
	}
	sent, err := w.c.CreateMessage(ctx, twilio.MessageRequest{To: "+15557654321", From: dialled, Body: strings.Repeat("a", 161), StatusCallback: twilio.CallbackURL(w.hooks, "/delivery", url.Values{"message": {"msg_1"}})})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.e.Advance(ctx, time.Minute); err != nil {
		t.Fatal(err)
	}
	got, err := w.c.FetchMessage(ctx, sent.SID)
	if err != nil || got.Status != "delivered" || got.Segments != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	// The answer is lost, the message is not: it is found by asking.
	w.e.FailNext(emulator.Fault{Method: http.MethodPost, Path: "Messages", Fate: emulator.Lost500})
	if _, err := w.c.CreateMessage(ctx, twilio.MessageRequest{To: "+15557654321", From: dialled, Body: "once"}); !twilio.Ambiguous(err) {
		t.Fatalf("a lost answer: %v", err)
	}
	found, err := w.c.ListMessages(ctx, twilio.MessageFilter{To: "+15557654321", From: dialled})
	if err != nil {
		t.Fatal(err)
	}
	once := 0
	for _, m := range found {
		if m.Body == "once" {
			once++
		}
	}
	if once != 1 {
		t.Fatalf("the message is there %d times", once)
	}
	w.mu.Lock()
	if len(w.texts) != 1 || w.texts[0].Body != "hello <there> & \u00e9" || len(w.status) == 0 || w.status[len(w.status)-1].Status != "delivered" {
		t.Errorf("texts %+v, news %+v", w.texts, w.status)
	}
	w.mu.Unlock()
	if _, err := w.e.SendText("+15557654321", dialled, "STOP"); err != nil {
		t.Fatal(err)
	}
	if err := w.e.WaitIdle(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := w.c.CreateMessage(ctx, twilio.MessageRequest{To: "+15557654321", From: dialled, Body: "hi"}); !errs.IsCode(err, errs.OptedOut) {
		t.Fatalf("after STOP: %v", err)
	}
	if _, ok, err := w.c.ServiceOf(ctx, w.number.SID); ok || err != nil {
		t.Fatalf("in no service: %v, %v", ok, err)
	}
	mg, err := w.e.AddService(ac, emulator.ServiceSpec{Name: "Texts", Numbers: []string{dialled}})
	if err != nil {
		t.Fatal(err)
	}
	if s, ok, err := w.c.ServiceOf(ctx, w.number.SID); err != nil || !ok || s.SID != mg {
		t.Fatalf("%+v, %v, %v", s, ok, err)
	}
}

func TestRotatedTokenSignsAfterPromotion(t *testing.T) {
	t.Parallel()
	w, ctx := newWire(t), within(t)
	next, err := w.c.CreateSecondaryToken(ctx)
	if err != nil || next == "" || next == token {
		t.Fatalf("%v", err)
	}
	promoted, err := w.c.PromoteToken(ctx)
	if err != nil || promoted != next {
		t.Fatalf("%v", err)
	}
	if err := w.c.Probe(ctx); !twilio.Unauthorized(err) {
		t.Fatalf("the old token still works: %v", err)
	}
}
