package call_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/patch"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// fakeTwilio speaks as much of Twilio's wire as these tests need.
type fakeTwilio struct {
	mu    sync.Mutex // guards the rest
	asked []string   // method, last part of the path, and what matters of the form
	calls []map[string]any
	// lose takes the request for a new call and answers nothing.
	lose, refuse bool
}

func (f *fakeTwilio) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func (f *fakeTwilio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = r.ParseForm()
	name := strings.TrimSuffix(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:], ".json")
	f.asked = append(f.asked, strings.TrimSpace(r.Method+" "+name+" "+r.PostForm.Get("To")+" "+r.PostForm.Get("Status")))
	say := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	switch {
	case r.Method == http.MethodPost && name == "Calls":
		if f.refuse {
			say(400, map[string]any{"code": 21215, "message": "no permission for this country", "status": 400})
			return
		}
		c := map[string]any{"sid": sid("CA", 100+len(f.calls)), "to": r.PostForm.Get("To"), "from": r.PostForm.Get("From"), "status": "queued", "date_created": sec(1).Format(time.RFC1123Z)}
		f.calls = append(f.calls, c)
		if f.lose {
			panic(http.ErrAbortHandler)
		}
		say(201, c)
	case r.Method == http.MethodGet && name == "Calls":
		list := []map[string]any{}
		for _, c := range f.calls {
			if p := r.URL.Query().Get("ParentCallSid"); p == "" && c["parent_call_sid"] == nil || p != "" && c["parent_call_sid"] == p {
				list = append(list, c)
			}
		}
		say(200, map[string]any{"calls": list})
	case r.Method == http.MethodGet || r.Method == http.MethodPost:
		for _, c := range f.calls {
			if c["sid"] == name {
				say(200, c)
				return
			}
		}
		say(404, map[string]any{"code": 20404, "message": "not found", "status": 404})
	}
}

// withTwilio gives the stage a Twilio and a runner of jobs.
func (s *stage) withTwilio() (*fakeTwilio, *job.Runner) {
	s.t.Helper()
	f := &fakeTwilio{}
	srv := httptest.NewServer(f)
	base, _ := url.Parse(srv.URL)
	tr := twilio.NewTransport(twilio.TransportOptions{BaseURL: base, Wait: func(context.Context, time.Duration) error { return nil }})
	var err error
	if s.twilio, err = twilio.NewClient(twilio.Options{AccountSID: sid("AC", 1), AuthToken: "abcdef", Transport: tr}); err != nil {
		s.t.Fatal(err)
	}
	r := job.New(s.db, s.clock, job.RunnerOptions{FirstRetry: time.Millisecond, LongestRetry: 10 * time.Millisecond})
	s.calls.Register(r)
	s.recs.Register(r)
	if err := r.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { r.Stop(); tr.Close(); srv.Close() })
	return f, r
}

func (s *stage) drain(r *job.Runner) {
	s.t.Helper()
	if err := r.Drain(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// until sweeps and drains until done, moving the clock by a step each time.
func (s *stage) until(r *job.Runner, step time.Duration, done func() bool) {
	s.t.Helper()
	for range 60 {
		if done() {
			return
		}
		s.clock.Advance(step)
		if err := r.RunSweeps(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		s.drain(r)
	}
	s.t.Fatal("it never happened")
}

func (s *stage) status(c *call.Call, word string, at, seq int, long ...int) {
	s.t.Helper()
	f := twilio.LegForm{CallSID: sid("CA", 100), Status: word, At: s.sec(at), Sequence: &seq}
	if len(long) > 0 {
		f.DurationSeconds = &long[0]
	}
	s.tx(func(ctx context.Context, tx *db.Tx) error { return s.calls.CallStatus(ctx, tx, c.ID, f) })
}

func (s *stage) bridge(c *call.Call, n int) twilio.Response {
	s.t.Helper()
	var doc twilio.Response
	s.tx(func(ctx context.Context, tx *db.Tx) (err error) {
		doc, err = s.calls.Bridge(ctx, tx, c.ID, twilio.CallForm{CallSID: sid("CA", n), Status: "in-progress"}, hooks{})
		return err
	})
	return doc
}

func (s *stage) read(c *call.Call) *call.Call {
	s.t.Helper()
	c, err := s.calls.Get(access.With(s.ctx, s.boss()), s.boss(), c.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// R087: one's own device first, then the callee, with the caller ID of D17.
func TestAStartedCallRingsOnesOwnDeviceThenTheCallee(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f, r := s.withTwilio()
	ctx := access.With(s.ctx, s.boss())
	in := call.StartInput{To: "0400 999 888"}
	c, err := s.calls.Start(ctx, s.boss(), in, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.calls.Start(ctx, s.boss(), in, "key-1"); err != nil || again.ID != c.ID {
		t.Fatalf("the same key made %v, %v", again, err)
	}
	if _, err := s.calls.Start(ctx, s.boss(), call.StartInput{To: "0400 999 777"}, "key-1"); !errs.IsCode(err, errs.IdempotencyReused) {
		t.Fatalf("the same key with another input: %v", err)
	}
	s.drain(r)
	if got := strings.Join(f.requests(), "; "); got != "POST Calls client:"+s.annDev.String() {
		t.Fatalf("Twilio was asked: %s", got)
	}
	if c = s.read(c); c.TwilioSID == nil || c.Status != call.Queued || c.CallerID().E164 != ours || c.CallerID().Reason != route.SameCountry || c.To().Display != theirs {
		t.Fatalf("%+v", c)
	}
	s.status(c, "ringing", 2, 1)
	s.status(c, "in-progress", 4, 2)
	doc := body(t, s.bridge(c, 100), c)
	if !strings.HasPrefix(doc, `<Response><Dial action="call/C/dial/2" timeout="40" callerId="`+ours+`"`) || !strings.Contains(doc, ">"+theirs+"</Number>") {
		t.Errorf("the callee is dialled: %s", doc)
	}
	legs, err := s.calls.LegsByCalls(ctx, []id.ID{c.ID})
	if err != nil || len(legs[c.ID]) != 2 || legs[c.ID][1].Kind != route.Callee {
		t.Fatalf("legs %v, %v", legs, err)
	}
	s.leg(s.read(c), legs[c.ID][1], 101, "in-progress", 10, 1)
	s.afterDial(s.read(c), 2, "completed", "in-progress", 101, 20)
	s.status(c, "completed", 30, 3, 26)
	if c = s.read(c); c.Status != call.Completed || *c.TalkSeconds != 20 || c.UserID != s.ann {
		t.Errorf("%s, talk %v", c.Status, c.TalkSeconds)
	}
}

func TestStartingRefusesWhatCannotBeDone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	nobody, device := s.person("Zoe")
	s.exec(`UPDATE device SET removed_at = last_seen_at WHERE id = $1`, device)
	contact := id.New(id.Contact)
	s.exec(`INSERT INTO contact (organization_id, id, kind, name, assigned_user_id, updated_at) VALUES ($1, $2, 'CUSTOMER', 'No phone', $3, $4)`, s.org, contact, s.ann, s.clock.Now())
	may := func(user id.ID) access.Actor {
		return access.Actor{OrganizationID: s.org, UserID: user, Permissions: access.SetOf(access.CallMake, access.ContactView), Visibility: access.SeesOwn}
	}
	for name, x := range map[string]struct {
		who  access.Actor
		in   call.StartInput
		code errs.Code
	}{
		"no permission":    {access.Actor{OrganizationID: s.org, UserID: s.ann}, call.StartInput{To: theirs}, errs.Forbidden},
		"an API key":       {access.Actor{OrganizationID: s.org, Permissions: access.SetOf(access.CallMake)}, call.StartInput{To: theirs}, errs.Forbidden},
		"no destination":   {may(s.ann), call.StartInput{}, errs.Required},
		"no number":        {may(s.ann), call.StartInput{To: "hello"}, errs.Invalid},
		"unknown contact":  {may(s.ann), call.StartInput{ContactID: id.New(id.Contact)}, errs.NotFound},
		"no phone":         {may(s.ann), call.StartInput{ContactID: contact}, errs.Required},
		"unknown record":   {may(s.ann), call.StartInput{To: theirs, RecordID: id.New(id.Record)}, errs.NotFound},
		"unknown campaign": {may(s.ann), call.StartInput{To: theirs, CampaignID: id.New(id.Campaign)}, errs.NotFound},
		"another's device": {may(s.ann), call.StartInput{To: theirs, DeviceID: s.bobDev}, errs.NotFound},
		"nothing to ring":  {may(nobody), call.StartInput{To: theirs}, errs.Conflict},
		"no own phone":     {may(s.ann), call.StartInput{To: theirs, RingMyPhone: true}, errs.Conflict},
		"unknown number":   {may(s.ann), call.StartInput{To: theirs, PhoneNumberID: id.New(id.PhoneNumber)}, errs.Invalid},
	} {
		if _, err := s.calls.Start(access.With(s.ctx, x.who), x.who, x.in, ""); !errs.IsCode(err, x.code) {
			t.Errorf("%s: %v, want %s", name, err, x.code)
		}
	}
	if n, err := s.calls.Count(access.With(s.ctx, s.boss()), s.boss(), call.Filter{}); err != nil || n != 0 {
		t.Errorf("%d calls were made, %v", n, err)
	}
}

// B11: an answer that was lost is not asked for again; Twilio is asked what became of it.
func TestALostAnswerIsNotSentTwice(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f, r := s.withTwilio()
	f.lose = true
	c, err := s.calls.Start(access.With(s.ctx, s.boss()), s.boss(), call.StartInput{To: theirs}, "")
	if err != nil {
		t.Fatal(err)
	}
	s.drain(r)
	if c = s.read(c); c.Status != call.Queued || c.TwilioSID != nil {
		t.Fatalf("%s %v", c.Status, c.TwilioSID)
	}
	s.until(r, 15*time.Second, func() bool { return s.read(c).TwilioSID != nil })
	posts := 0
	for _, a := range f.requests() {
		if strings.HasPrefix(a, "POST Calls") {
			posts++
		}
	}
	if c = s.read(c); posts != 1 || *c.TwilioSID != sid("CA", 100) || c.Status != call.Queued {
		t.Errorf("%d requests, %s %s", posts, c.Status, *c.TwilioSID)
	}
}

func TestARefusedCallFailsAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f, r := s.withTwilio()
	f.refuse = true
	c, err := s.calls.Start(access.With(s.ctx, s.boss()), s.boss(), call.StartInput{To: theirs}, "")
	if err != nil {
		t.Fatal(err)
	}
	s.drain(r)
	if c = s.read(c); c.Status != call.Failed || *c.EndReason != route.Failed {
		t.Errorf("%s", c.Status)
	}
}

// T03, T12: declining silences one device and ends its leg at Twilio; the others ring on.
func TestDecliningSilencesOneDevice(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f, r := s.withTwilio()
	s.arrives(1, theirs)
	c, legs := s.only()
	s.leg(c, legOf(legs, s.annDev), 11, "ringing", 1, 1)
	s.leg(c, legOf(legs, s.bobDev), 12, "ringing", 1, 1)
	ann := access.Actor{OrganizationID: s.org, UserID: s.ann, Permissions: access.SetOf(access.CallReceive), Visibility: access.SeesOwn}
	ctx := access.With(s.ctx, ann)
	if _, err := s.calls.Decline(ctx, ann, c.ID, s.bobDev); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("another's device: %v", err)
	}
	for range 2 {
		if _, err := s.calls.Decline(ctx, ann, c.ID, s.annDev); err != nil {
			t.Fatal(err)
		}
	}
	s.drain(r)
	if got := strings.Join(f.requests(), "; "); got != "POST "+sid("CA", 11)+"  completed" {
		t.Errorf("Twilio was asked: %s", got)
	}
	_, legs = s.only()
	if l := legOf(legs, s.annDev); l.Outcome == nil || *l.Outcome != call.Declined || l.Status != call.LegEnded {
		t.Errorf("declined: %s %v", l.Status, l.Outcome)
	}
	if l := legOf(legs, s.bobDev); l.Status != call.LegRinging {
		t.Errorf("the other: %s", l.Status)
	}
}

func TestHangingUpEndsTheCallOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f, r := s.withTwilio()
	s.arrives(1, theirs)
	c, legs := s.only()
	s.leg(c, legOf(legs, s.annDev), 11, "in-progress", 3, 1)
	who := access.Actor{OrganizationID: s.org, UserID: s.bob, Permissions: access.SetOf(access.CallView), Visibility: access.SeesOrganization}
	if _, err := s.calls.HangUp(access.With(s.ctx, who), who, c.ID); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("without CALL_CONTROL: %v", err)
	}
	who.Permissions = access.SetOf(access.CallView, access.CallControl)
	for range 2 {
		if _, err := s.calls.HangUp(access.With(s.ctx, who), who, c.ID); err != nil {
			t.Fatal(err)
		}
	}
	s.drain(r)
	for _, a := range f.requests() {
		if a != "POST "+sid("CA", 1)+"  completed" {
			t.Errorf("Twilio was asked: %s", a)
		}
	}
	s.clock.Advance(5 * time.Second)
	s.over(1, "completed", 5, 5)
	if c = s.read(c); c.Status != call.Completed || *c.EndReason != route.EndedByUser {
		t.Errorf("%s %s", c.Status, *c.EndReason)
	}
	if again, err := s.calls.HangUp(access.With(s.ctx, who), who, c.ID); err != nil || again.Version != c.Version {
		t.Errorf("ending an ended call: %v, %v", again, err)
	}
}

// R186, R194, R195: null clears, absence keeps, and a rebuild remembers.
func TestNotesAndLinksAreKept(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.arrives(1, theirs)
	c, _ := s.only()
	contact := s.lead("+61400111222", s.bob)
	ctx := access.With(s.ctx, s.boss())
	c, err := s.calls.Update(ctx, s.boss(), c.ID, call.UpdateInput{Outcome: patch.To("booked"), Notes: patch.To("rang back\x00"), ContactID: patch.To(contact)})
	if err != nil || *c.Outcome != "booked" || *c.Notes != "rang back" || c.ContactID != contact {
		t.Fatalf("%+v, %v", c, err)
	}
	s.over(1, "no-answer", 5, 0)
	c, err = s.calls.Update(ctx, s.boss(), c.ID, call.UpdateInput{Notes: patch.Clear[string](), ContactID: patch.Clear[id.ID]()})
	if err != nil || *c.Outcome != "booked" || c.Notes != nil || !c.ContactID.IsZero() || c.Status != call.Missed {
		t.Fatalf("%+v, %v", c, err)
	}
	for name, x := range map[string]struct {
		in   call.UpdateInput
		code errs.Code
	}{
		"too long":       {call.UpdateInput{Notes: patch.To(strings.Repeat("x", 10_001))}, errs.Invalid},
		"no such record": {call.UpdateInput{RecordID: patch.To(id.New(id.Record))}, errs.NotFound},
	} {
		if _, err := s.calls.Update(ctx, s.boss(), c.ID, x.in); !errs.IsCode(err, x.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// R226: nobody links a call out of a legal hold; all else about it changes as ever.
func TestACallIsNotRelinkedOutOfAHold(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.arrives(1, theirs)
	c, _ := s.only()
	held, other, record := s.lead("+61400111222", s.ann), s.lead("+61400111333", s.ann), id.New(id.Record)
	s.exec(`INSERT INTO record (organization_id, id, kind, title, assigned_user_id, updated_at) VALUES ($1, $2, 'BOOKING', 'x', $3, $4)`, s.org, record, s.ann, s.clock.Now())
	ctx := access.With(s.ctx, s.boss())
	if _, err := s.calls.Update(ctx, s.boss(), c.ID, call.UpdateInput{ContactID: patch.To(held), RecordID: patch.To(record)}); err != nil {
		t.Fatal(err)
	}
	for subject, in := range map[id.ID]call.UpdateInput{held: {ContactID: patch.To(other)}, record: {RecordID: patch.Clear[id.ID]()}} {
		hold := id.New(id.LegalHold)
		s.exec(`INSERT INTO legal_hold (organization_id, id, subject, reason, placed_at) VALUES ($1, $2, $3, 'court', $4)`, s.org, hold, subject, s.clock.Now())
		for name, relink := range map[string]func() error{
			"callUpdate":  func() error { return second(s.calls.Update(ctx, s.boss(), c.ID, in)) },
			"callSave":    func() error { return second(s.calls.Save(ctx, s.boss(), c.ID, call.SaveInput{UpdateInput: in}, "")) },
			"callsRelink": func() error { return second(s.calls.Relink(ctx, s.boss(), []id.ID{c.ID}, in.ContactID, in.RecordID)) },
		} {
			if err := relink(); !errs.IsCode(err, errs.Conflict) || !strings.Contains(err.Error(), "legal hold on its "+subject.Kind().String()) {
				t.Errorf("%s out of the hold on its %s: %v", name, subject.Kind(), err)
			}
		}
		same := call.UpdateInput{Notes: patch.To("rang back"), ContactID: patch.To(held), RecordID: patch.To(record)}
		if got, err := s.calls.Update(ctx, s.boss(), c.ID, same); err != nil || got.ContactID != held || got.RecordID != record {
			t.Errorf("what changes no link is refused: %v", err)
		}
		s.exec(`UPDATE legal_hold SET released_at = $3 WHERE organization_id = $1 AND id = $2`, s.org, hold, s.clock.Now())
		if err := second(s.calls.Update(ctx, s.boss(), c.ID, in)); err != nil {
			t.Errorf("after the release of the hold on its %s: %v", subject.Kind(), err)
		}
		if _, err := s.calls.Update(ctx, s.boss(), c.ID, same); err != nil {
			t.Fatal(err)
		}
	}
}

// reliability 7: a call whose end nobody told is closed with Twilio's answer.
func TestASilentCallIsReconciled(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f, r := s.withTwilio()
	s.arrives(1, theirs)
	c, legs := s.only()
	s.leg(c, legOf(legs, s.annDev), 11, "ringing", 1, 1)
	f.mu.Lock()
	f.calls = []map[string]any{
		{"sid": sid("CA", 1), "status": "completed", "duration": "20", "end_time": sec(20).Format(time.RFC1123Z)},
		{"sid": sid("CA", 12), "parent_call_sid": sid("CA", 1), "to": "client:" + s.bobDev.String(), "status": "completed", "duration": "15", "end_time": sec(20).Format(time.RFC1123Z)},
		{"sid": sid("CA", 11), "parent_call_sid": sid("CA", 1), "to": "client:" + s.annDev.String(), "status": "no-answer", "duration": "0", "end_time": sec(5).Format(time.RFC1123Z)},
	}
	f.mu.Unlock()
	s.until(r, 10*time.Second, func() bool { return s.read(c).EndedAt != nil })
	if waited := s.clock.Now().Sub(start); waited > 25*time.Second+5*time.Second+time.Minute {
		t.Errorf("it took %s", waited)
	}
	c = s.read(c)
	if c.Status != call.Completed || *c.EndReason != route.EndedReconciled || c.AnsweredByID != s.bob || *c.DurationSeconds != 20 || *c.TalkSeconds != 15 {
		t.Errorf("%s %s by %s, %d s", c.Status, *c.EndReason, c.AnsweredByID, *c.DurationSeconds)
	}
	s.leg(c, legOf(legs, s.annDev), 11, "in-progress", 3, 2)
	if late := s.read(c); late.Status != call.Completed || late.AnsweredByID != s.bob {
		t.Errorf("late news: %s by %s", late.Status, late.AnsweredByID)
	}
	if n := fmt.Sprint(s.events(c.ID)); strings.Count(n, "CALL_ENDED") != 1 {
		t.Errorf("events: %s", n)
	}
}
