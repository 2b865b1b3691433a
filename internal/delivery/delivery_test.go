package delivery_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/delivery"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/patch"
)

func TestAnEventIsPostedSignedToWhoAskedForIt(t *testing.T) { // webhooks out
	s := newStage(t)
	p, r, deaf := s.found(), newReceiver(t), newReceiver(t)
	e := p.endpoint(r)
	p.endpoint(deaf, func(in *delivery.NewEndpoint) { in.Kinds = []event.Kind{call.EventEnded} })
	subject := p.happen(call.EventStarted)[0]
	s.settle()

	posts := r.all()
	if len(posts) != 1 || len(deaf.all()) != 0 {
		t.Fatalf("%d and %d posts came; want one, to the endpoint that asked for this kind", len(posts), len(deaf.all()))
	}
	x, d := posts[0], p.deliveries(e, "")[0]
	if x.verified != 1 || !strings.HasPrefix(x.signature, fmt.Sprintf("t=%d,v1=", s.clk.Now().Unix())) {
		t.Errorf("the signature %q does not fit", x.signature)
	}
	if x.header.Get("Switchboard-Event-Id") != x.ID || x.header.Get("Switchboard-Delivery-Id") != d.ID.String() || x.header.Get("Content-Type") != "application/json" ||
		!strings.HasPrefix(x.header.Get("User-Agent"), "Switchboard") {
		t.Errorf("the headers are %v", x.header)
	}
	if x.Kind != "CALL_STARTED" || x.ID != d.EventID.String() || !x.At.Equal(s.clk.Now()) || x.Org != p.who.OrganizationID.String() || x.ActorID == nil ||
		*x.ActorID != p.who.UserID.String() || x.Subject.ID != subject.String() || x.Subject.Type != "Thing" || string(x.Data) != `{"id":"`+subject.String()+`"}` {
		t.Errorf("the post says %s", x.raw)
	}
	if seq, err := s.log.OpenCursor(p.who.OrganizationID, *x.Cursor); err != nil || seq != *d.Seq {
		t.Errorf("its cursor is place %d (%v), want %d", seq, err, *d.Seq)
	}
	if a := p.attempts(d); d.Status != delivery.Delivered || len(a) != 1 || *a[0].StatusCode != 200 || a[0].Error != nil {
		t.Errorf("the delivery is %s with %d attempts", d.Status, len(a))
	}
}

func TestEventsArriveInOrder(t *testing.T) {
	s := newStage(t)
	p, r := s.found(), newReceiver(t)
	p.endpoint(r)
	var want []string
	for range 5 {
		for _, x := range p.happen(call.EventStarted, call.EventUpdated, call.EventAnswered, call.EventEnded) {
			want = append(want, x.String())
		}
	}
	s.settle()
	var got []string
	for _, x := range r.all() {
		got = append(got, x.Subject.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d posts came as\n%v\nwant\n%v", len(got), got, want)
	}
}

func TestAPostWithoutAnswerHoldsUpNothingForEver(t *testing.T) {
	s := newStage(t)
	p, r := s.found(), newReceiver(t)
	p.endpoint(r)
	var (
		now, most atomic.Int32
		others    = make(chan struct{})
	)
	r.answers(func(n int, w http.ResponseWriter, req *http.Request, _ post) {
		x := now.Add(1)
		for m := most.Load(); x > m && !most.CompareAndSwap(m, x); m = most.Load() {
		}
		defer now.Add(-1)
		if n == 7 {
			close(others)
		}
		if n < 3 { // these wait until others have come past them
			select {
			case <-others:
			case <-req.Context().Done():
			}
		}
	})
	p.happen(slices.Repeat([]event.Kind{call.EventUpdated}, 12)...)
	s.settle()
	if len(r.all()) != 12 || most.Load() > 4 || most.Load() < 2 {
		t.Errorf("%d posts came, %d at once; want 12, and 4 at once at most", len(r.all()), most.Load())
	}
}

func TestAFailedPostIsTriedAgainLessAndLessOften(t *testing.T) {
	s := newStage(t)
	p, r := s.found(), newReceiver(t)
	e := p.endpoint(r)
	r.answers(func(_ int, w http.ResponseWriter, _ *http.Request, _ post) {
		w.WriteHeader(500)
		_, _ = w.Write([]byte("out of order" + strings.Repeat("x", 100_000)))
	})
	p.happen(call.EventStarted)
	s.settle()
	waits := []time.Duration{30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour}
	for i, w := range waits {
		d := p.deliveries(e, delivery.Pending)
		if len(d) != 1 || d[0].AttemptCount != i+1 || len(r.all()) != i+1 {
			t.Fatalf("after %d waits: %d pending, %d posts", i, len(d), len(r.all()))
		}
		if got := d[0].DueAt.Sub(s.clk.Now()); got < w || got > w+w/10+time.Second {
			t.Errorf("attempt %d follows after %s; want %s and up to a tenth", i+2, got, w)
		}
		s.pass(w - time.Second)
		if len(r.all()) != i+1 {
			t.Errorf("attempt %d came too early", i+2)
		}
		s.pass(w/10 + 2*time.Second)
	}
	d := p.deliveries(e, "")[0]
	a := p.attempts(d)
	if d.Status != delivery.Failed || d.DueAt != nil || len(a) != 9 || *a[8].StatusCode != 500 || a[8].Error == nil || !strings.Contains(*a[8].Error, "500") {
		t.Fatalf("at last the delivery is %s after %d attempts", d.Status, len(a))
	}
	if len(*a[0].Answer) != 1024 || !strings.HasPrefix(*a[0].Answer, "out of order") {
		t.Errorf("%d bytes of the answer are kept", len(*a[0].Answer))
	}
	ids := map[string]bool{}
	for _, x := range r.all() {
		ids[x.header.Get("Switchboard-Delivery-Id")+x.ID] = true
		if x.verified != 1 {
			t.Errorf("a later attempt is signed %q", x.signature)
		}
	}
	if len(ids) != 1 {
		t.Errorf("the attempts had %d ids; want the same", len(ids))
	}

	// A person may have it all again.
	r.says(204)
	_, err := p.svc.Redeliver(p.ctx, p.who, d.ID)
	must(t, err)
	s.settle()
	if d := p.deliveries(e, "")[0]; d.Status != delivery.Delivered || d.AttemptCount != 10 {
		t.Errorf("redelivered it is %s after %d attempts", d.Status, d.AttemptCount)
	}
}

func TestARetryAfterIsHeededUpToADay(t *testing.T) {
	s := newStage(t)
	for name, c := range map[string]struct {
		why, header string
		least, most time.Duration
	}{
		"seconds": {"a busy receiver says when", "7200", 2 * time.Hour, 2 * time.Hour},
		"a date":  {"the other form of the header", s.clk.Now().Add(3 * time.Hour).Format(http.TimeFormat), 3 * time.Hour, 3 * time.Hour},
		"a year":  {"a day is the most", "31536000", 24 * time.Hour, 24 * time.Hour},
		"sooner":  {"ours is the least", "1", 30 * time.Second, 34 * time.Second},
		"nothing": {"what is no time is as none", "soon", 30 * time.Second, 34 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := s.found(), newReceiver(t)
			e := p.endpoint(r)
			r.answers(func(_ int, w http.ResponseWriter, _ *http.Request, _ post) {
				w.Header().Set("Retry-After", c.header)
				w.WriteHeader(429)
			})
			p.happen(call.EventStarted)
			s.settle()
			if got := p.deliveries(e, "")[0].DueAt.Sub(s.clk.Now()); got < c.least || got > c.most {
				t.Errorf("the next attempt is after %s, want %s (%s)", got, c.least, c.why)
			}
		})
	}
}

func TestGoneEndsAnEndpointAtOnceAndNothingIsLost(t *testing.T) {
	s := newStage(t)
	p, r, other := s.found(), newReceiver(t), newReceiver(t)
	e := p.endpoint(r)
	p.endpoint(other, func(in *delivery.NewEndpoint) { in.Kinds = []event.Kind{delivery.EventEndpointDisabled} })
	p.happen(call.EventStarted)
	s.settle()
	last := *r.all()[0].Cursor
	r.says(410)
	p.happen(call.EventAnswered)
	s.settle()
	if got := p.get(e); got.Status != delivery.Disabled || *got.DisabledReason != delivery.Gone {
		t.Fatalf("after 410 the endpoint is %s", got.Status)
	}
	if got := other.all(); len(got) != 1 || got[0].Subject.ID != e.ID.String() {
		t.Errorf("others were told %v; want that the endpoint is disabled", other.kinds())
	}
	p.happen(call.EventUpdated, call.EventEnded)
	s.settle()
	if held := p.deliveries(e, delivery.Held); len(held) != 3 || len(r.all()) != 2 { // and that it is disabled
		t.Fatalf("%d are held and %d posted", len(held), len(r.all()))
	}
	if _, err := p.svc.Replay(p.ctx, p.who, e.ID, last, false); code(err) != errs.Conflict {
		t.Errorf("a disabled endpoint is replayed to: %v", err)
	}

	// Seven days are enough to mend it; the log may have been trimmed meanwhile.
	r.says(200)
	s.pass(6 * 24 * time.Hour)
	_, err := db.Exec(p.ctx, s.d.Worker(), `DELETE FROM event`)
	must(t, err)
	_, err = p.svc.Enable(p.ctx, p.who, e.ID)
	must(t, err)
	x, err := p.svc.Replay(p.ctx, p.who, e.ID, last, false)
	must(t, err)
	s.settle()
	if got := r.kinds()[2:]; x.Count != 4 || !slices.Equal(got, []string{"CALL_ANSWERED", "WEBHOOK_ENDPOINT_DISABLED", "CALL_UPDATED", "CALL_ENDED"}) {
		t.Errorf("%d were replayed: %v", x.Count, got)
	}
}

func TestAnEndpointThatFailsForADayIsDisabled(t *testing.T) {
	s := newStage(t)
	p, r := s.found(), newReceiver(t)
	e := p.endpoint(r)
	r.says(503)
	p.happen(call.EventStarted, call.EventUpdated, call.EventEnded)
	s.settle()
	for range 22 {
		s.pass(time.Hour)
	}
	if got := p.get(e); got.Status != delivery.Enabled || got.FailedAttempts < 15 {
		t.Fatalf("before a day is over it is %s after %d attempts", got.Status, got.FailedAttempts)
	}
	s.pass(2 * time.Hour)
	p.happen(call.EventStarted)
	s.settle()
	for p.get(e).Status == delivery.Enabled && len(r.all()) < 40 {
		p.happen(call.EventStarted)
		s.settle()
	}
	if got := p.get(e); got.Status != delivery.Disabled || *got.DisabledReason != delivery.Failing || got.FailedAttempts < 20 {
		t.Errorf("after a day it is %s after %d attempts", got.Status, got.FailedAttempts)
	}
	if n := len(p.deliveries(e, delivery.Pending)); n != 0 {
		t.Errorf("%d deliveries are tried on", n)
	}
	// What is held is kept for seven days, and after those no more is.
	s.pass(8 * 24 * time.Hour)
	p.happen(call.EventStarted)
	s.settle()
	if n := len(p.deliveries(e, delivery.Held)); n != 0 {
		t.Errorf("%d are held after eight days", n)
	}
}

func TestOneSuccessForgivesTheFailures(t *testing.T) {
	s := newStage(t)
	p, r := s.found(), newReceiver(t)
	e := p.endpoint(r)
	r.answers(func(n int, w http.ResponseWriter, _ *http.Request, _ post) {
		if n < 2 {
			w.WriteHeader(500)
		}
	})
	p.happen(call.EventStarted, call.EventEnded)
	s.settle()
	if got := p.get(e); got.FailingSince == nil || got.FailedAttempts != 2 {
		t.Errorf("after two failures: since %v, %d", got.FailingSince, got.FailedAttempts)
	}
	s.pass(time.Minute)
	if got := p.get(e); got.FailingSince != nil || got.FailedAttempts != 0 || got.LastDeliveredAt == nil {
		t.Errorf("after a success: since %v, %d", got.FailingSince, got.FailedAttempts)
	}
}

func TestAnOldSecretSignsTooUntilItsGraceIsOver(t *testing.T) {
	s := newStage(t)
	p, r := s.found(), newReceiver(t)
	e := p.endpoint(r)
	hours := 2
	_, fresh, err := p.svc.RotateSecret(p.ctx, p.who, e.ID, &hours)
	must(t, err)
	r.addSecret(fresh)
	signatures := func() (int, int) {
		p.happen(call.EventUpdated)
		s.settle()
		all := r.all()
		x := all[len(all)-1]
		return x.verified, strings.Count(x.signature, "v1=")
	}
	if fit, all := signatures(); fit != 2 || all != 2 {
		t.Errorf("in grace %d of %d signatures fit; want both", fit, all)
	}
	s.pass(2*time.Hour + time.Second)
	if fit, all := signatures(); fit != 1 || all != 1 {
		t.Errorf("after grace %d of %d signatures fit; want one", fit, all)
	}
	_, none, err := p.svc.RotateSecret(p.ctx, p.who, e.ID, new(int))
	must(t, err)
	r.addSecret(none)
	if fit, all := signatures(); fit != 1 || all != 1 {
		t.Errorf("without grace %d of %d signatures fit", fit, all)
	}
	for _, h := range []int{-1, 169} {
		if _, _, err := p.svc.RotateSecret(p.ctx, p.who, e.ID, &h); code(err) != errs.Invalid {
			t.Errorf("a grace of %d hours is taken: %v", h, err)
		}
	}
}

// What a process leaves undone when it dies is sent again, with the same ids.
func TestAPostWhoseAnswerWasNotWrittenDownIsSentAgain(t *testing.T) {
	s := newStage(t)
	p, r := s.found(), newReceiver(t)
	e := p.endpoint(r)
	ctx, die := context.WithCancel(p.ctx)
	defer die()
	var once sync.Once
	r.answers(func(n int, w http.ResponseWriter, req *http.Request, _ post) {
		once.Do(func() {
			die()
			<-req.Context().Done() // the connection is gone
		})
	})
	// Nobody else takes it: the endpoint is held as by a process that runs.
	must(t, s.d.InTx(p.ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := db.Exec(ctx, tx, `UPDATE webhook_endpoint SET asked_until = $2 WHERE id = $1`, e.ID, tx.Now.Add(time.Hour))
		return err
	}))
	p.happen(call.EventStarted)
	must(t, s.log.Drain(p.ctx))
	if err := s.svc.Send(ctx, e.ID); err != nil {
		t.Logf("the dying turn said %v", err)
	}
	if d := p.deliveries(e, "")[0]; d.Status != delivery.Pending || d.AttemptCount != 0 {
		t.Fatalf("the dead process wrote down %s, %d attempts", d.Status, d.AttemptCount)
	}
	s.settle()
	if len(r.all()) != 1 {
		t.Fatalf("%d posts came before the claim was over", len(r.all()))
	}
	s.pass(61 * time.Second)
	s.pass(time.Hour)
	all := r.all()
	if len(all) != 2 || all[0].header.Get("Switchboard-Delivery-Id") != all[1].header.Get("Switchboard-Delivery-Id") || all[0].ID != all[1].ID {
		t.Fatalf("%d posts came; want the same one twice", len(all))
	}
	if d := p.deliveries(e, "")[0]; d.Status != delivery.Delivered || d.AttemptCount != 1 {
		t.Errorf("at last it is %s, %d attempts", d.Status, d.AttemptCount)
	}
}

func TestAnEndpointEndsWithTheKeyThatMadeIt(t *testing.T) {
	s := newStage(t)
	p, r := s.found(), newReceiver(t)
	machine := p.who
	machine.UserID, machine.APIKeyID = id.ID{}, id.New(id.APIKey)
	must(t, s.d.InTx(p.ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := db.Exec(ctx, tx, `INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, updated_at) VALUES ($1, $2, $3, 'a@b.test', 'Ada', $4, $5)`,
			p.who.OrganizationID, p.who.UserID, id.New(id.Login), p.who.RoleID, tx.Now); err != nil {
			return err
		}
		_, err := db.Exec(ctx, tx, `INSERT INTO api_key (organization_id, id, name, role_id, hint, hash, created_by) VALUES ($1, $2, 'CRM', $3, 'hint', '\x01', $4)`,
			p.who.OrganizationID, machine.APIKeyID, p.who.RoleID, p.who.UserID)
		return err
	}))
	e := s.as(machine).endpoint(r)
	p.happen(call.EventStarted)
	s.settle()
	_, err := db.Exec(p.ctx, s.d.App(), `UPDATE api_key SET revoked_at = $2 WHERE id = $1`, machine.APIKeyID, s.clk.Now())
	must(t, err)
	p.happen(call.EventEnded)
	s.settle()
	if got := p.get(e); len(r.all()) != 1 || got.Status != delivery.Disabled || *got.DisabledReason != delivery.KeyRevoked {
		t.Errorf("after the key was revoked it got %v and is %s", r.kinds(), got.Status)
	}
	if _, err := p.svc.Enable(p.ctx, p.who, e.ID); code(err) != errs.Conflict {
		t.Errorf("it is enabled again: %v", err)
	}
}

func TestAReplaySendsWhatIsMissingAfterACursor(t *testing.T) {
	s := newStage(t)
	p, r := s.found(), newReceiver(t)
	first := s.log.Cursor(p.who.OrganizationID, 0)
	p.happen(call.EventStarted, call.EventAnswered) // before there is an endpoint
	s.settle()
	e := p.endpoint(r, func(in *delivery.NewEndpoint) { in.RoleID = p.role(access.SeesOrganization, access.CallView) })
	p.happen(call.EventUpdated, number.ConnectionUpdated, call.EventEnded)
	s.settle()
	if got := r.kinds(); !slices.Equal(got, []string{"CALL_UPDATED", "CALL_ENDED"}) {
		t.Fatalf("it got %v", got)
	}
	x, err := p.svc.Replay(p.ctx, p.who, e.ID, first, false)
	must(t, err)
	s.settle()
	if got := r.kinds()[2:]; x.Count != 2 || x.Next != "" || !slices.Equal(got, []string{"CALL_STARTED", "CALL_ANSWERED"}) {
		t.Errorf("the replay sent %d: %v; want what it had not got, and nothing its role may not see", x.Count, got)
	}
	if x, err = p.svc.Replay(p.ctx, p.who, e.ID, first, false); err != nil || x.Count != 0 {
		t.Errorf("a second replay sends %d (%v)", x.Count, err)
	}
	x, err = p.svc.Replay(p.ctx, p.who, e.ID, first, true)
	must(t, err)
	s.settle()
	if got := r.kinds()[4:]; x.Count != 4 || !slices.Equal(got, []string{"CALL_STARTED", "CALL_ANSWERED", "CALL_UPDATED", "CALL_ENDED"}) {
		t.Errorf("forced it sent %d: %v", x.Count, got)
	}
	if x, err = p.svc.Replay(p.ctx, p.who, e.ID, *r.all()[1].Cursor, true); err != nil || x.Count != 0 {
		t.Errorf("after the last there are %d (%v)", x.Count, err)
	}
}

func TestATestIsPostedOnceAlsoToADisabledEndpoint(t *testing.T) {
	s := newStage(t)
	p, r := s.found(), newReceiver(t)
	e := p.endpoint(r)
	_, err := p.svc.Disable(p.ctx, p.who, e.ID)
	must(t, err)
	r.says(500)
	d, err := p.svc.Test(p.ctx, p.who, e.ID)
	must(t, err)
	s.settle()
	s.pass(time.Hour)
	all := r.all()
	if len(all) != 1 || all[0].Kind != "WEBHOOK_TEST" || all[0].Cursor != nil || all[0].verified != 1 || all[0].header.Get("Switchboard-Delivery-Id") != d.ID.String() {
		t.Fatalf("%d posts came: %v", len(all), r.kinds())
	}
	if got := p.deliveries(e, "")[0]; got.Status != delivery.Failed || !got.IsTest() || p.get(e).FailedAttempts != 0 {
		t.Errorf("the test is %s", got.Status)
	}
	for range 9 {
		_, err = p.svc.Test(p.ctx, p.who, e.ID)
	}
	must(t, err)
	if _, err = p.svc.Test(p.ctx, p.who, e.ID); err != nil {
		t.Errorf("the tenth in a minute: %v", err)
	}
	if _, err = p.svc.Test(p.ctx, p.who, e.ID); code(err) != errs.LimitReached {
		t.Errorf("the eleventh in a minute: %v", err)
	}
}

func TestEndpointsAreFewAndTheirDeedsAreOnRecord(t *testing.T) {
	s := newStage(t)
	p, r := s.found(), newReceiver(t)
	in := delivery.NewEndpoint{URL: r.URL + "/private-path", RoleID: p.who.RoleID, Description: " CRM "}
	e, secret, err := p.svc.Create(p.ctx, p.who, in, "once")
	must(t, err)
	again, none, err := p.svc.Create(p.ctx, p.who, in, "once")
	must(t, err)
	if again.ID != e.ID || none != "" || len(secret) < 40 || e.Description != "CRM" {
		t.Errorf("a repetition made %s and showed %d bytes of secret", again.ID, len(none))
	}
	in.Description = "another"
	if _, _, err := p.svc.Create(p.ctx, p.who, in, "once"); code(err) != errs.IdempotencyReused {
		t.Errorf("the key with other input: %v", err)
	}
	for range 19 {
		p.endpoint(r)
	}
	if _, _, err := p.svc.Create(p.ctx, p.who, in, ""); code(err) != errs.LimitReached {
		t.Errorf("the 21st endpoint: %v", err)
	}
	_, err = p.svc.Update(p.ctx, p.who, e.ID, delivery.Change{Kinds: patch.To([]event.Kind{call.EventEnded, call.EventEnded})})
	must(t, err)
	_, next, err := p.svc.RotateSecret(p.ctx, p.who, e.ID, nil)
	must(t, err)
	must(t, p.svc.Delete(p.ctx, p.who, e.ID))
	w, err := audit.List(p.ctx, s.d.App(), e.ID, db.Page{})
	must(t, err)
	var deeds []string
	for _, x := range w.Nodes {
		deeds = append(deeds, x.Action)
		if text := fmt.Sprint(x.Detail); strings.Contains(text, "private") || strings.Contains(text, secret) || strings.Contains(text, next) {
			t.Errorf("the record tells a secret: %s", text)
		}
	}
	slices.Sort(deeds)
	if want := []string{"webhookEndpoint.create", "webhookEndpoint.delete", "webhookEndpoint.secretRotate", "webhookEndpoint.update"}; !slices.Equal(deeds, want) {
		t.Errorf("on record are %v, want %v", deeds, want)
	}
	var sealed string
	must(t, db.Select(p.ctx, s.d.App(), &sealed, `SELECT coalesce(string_agg(encode(sealed, 'escape'), ' '), '') FROM webhook_secret`))
	if strings.Contains(sealed, "whsec_") || sealed == "" {
		t.Error("a secret is kept in the clear")
	}
}

func TestDeliveriesAreForgottenAfterAMonth(t *testing.T) {
	s := newStage(t)
	p, r := s.found(), newReceiver(t)
	e := p.endpoint(r)
	p.happen(call.EventStarted)
	s.settle()
	s.pass(29 * 24 * time.Hour)
	if n := len(p.deliveries(e, "")); n != 1 {
		t.Fatalf("%d are kept after 29 days", n)
	}
	s.pass(2 * 24 * time.Hour)
	if n := len(p.deliveries(e, "")); n != 0 {
		t.Errorf("%d are kept after 31 days", n)
	}
}
