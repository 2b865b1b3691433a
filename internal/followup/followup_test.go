package followup_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/voicemail"
)

func TestAMissedCallerHasOneOpenItemHoweverOftenTheyTry(t *testing.T) { // R192
	s := newStage(t)
	first := s.inbound(carl)
	s.ended(first)
	s.pass(time.Minute)
	second := s.inbound(carl)
	s.ended(second, second) // told twice
	vm := s.voicemail(second, id.ID{})
	s.received(vm, second)
	s.received(vm, second)

	f := s.open1()
	if f.AttemptCount != 2 || f.VoicemailCount != 1 || f.Kind != followup.Voicemail || !f.FirstAttemptAt.Equal(start) || !f.LastAttemptAt.Equal(start.Add(time.Minute)) {
		t.Errorf("it has %d attempts, %d voicemails (%s), %s to %s", f.AttemptCount, f.VoicemailCount, f.Kind, f.FirstAttemptAt, f.LastAttemptAt)
	}
	if f.DueAt == nil || !f.DueAt.Equal(start.Add(4*time.Hour)) || f.PhoneNumberID != s.line || f.BranchID != s.branch || f.From().Display == "" {
		t.Errorf("it is %+v", f)
	}
	w, err := s.svc.Attempts(s.ctx, s.admin, f, db.Page{})
	s.must(err)
	if len(w.Nodes) != 2 || w.Nodes[0].CallID != second.id || w.Nodes[0].VoicemailID != vm || w.Nodes[1].CallID != first.id || !w.Nodes[1].VoicemailID.IsZero() {
		t.Errorf("its attempts are %+v", w.Nodes)
	}
	if got := s.history(f); !slices.Equal(got, []followup.Change{followup.Opened, followup.Attempted, followup.Attempted}) {
		t.Errorf("it went %v", got)
	}
	for name, read := range map[string]func() (map[id.ID]*followup.FollowUp, error){
		"call":      func() (map[id.ID]*followup.FollowUp, error) { return s.svc.ByCalls(s.ctx, s.admin, []id.ID{first.id}) },
		"voicemail": func() (map[id.ID]*followup.FollowUp, error) { return s.svc.ByVoicemails(s.ctx, s.admin, []id.ID{vm}) },
	} {
		got, err := read()
		s.must(err)
		if len(got) != 1 {
			t.Errorf("the %s leads to %d follow-ups", name, len(got))
		}
	}
}

func TestWhoIsAnotherCallerHasAnItemOfTheirOwn(t *testing.T) {
	s := newStage(t)
	elsewhere := id.New(id.Branch)
	s.exec(`INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, 'Perth', $3)`, s.org, elsewhere, start)
	s.ended(s.inbound(carl), s.inbound(dora),
		s.inbound(carl, func(c *calling) { c.branch = elsewhere }), // another branch has to answer for itself
		s.inbound("anonymous"), s.inbound("anonymous"), // nobody knows whether they are one (D11)
		s.inbound("", func(c *calling) { c.from = "+266696687" })) // anonymous, as some networks say it
	open := s.list(s.admin, followup.Filter{})
	byCaller := map[string]int{}
	for _, f := range open {
		byCaller[f.CallerNumber]++
	}
	if len(open) != 6 || byCaller[carl] != 2 || byCaller["anonymous"] != 2 {
		t.Errorf("open are %v", byCaller)
	}
}

func TestWhatNobodyOwesOpensNothing(t *testing.T) {
	s := newStage(t)
	for name, x := range map[string]struct {
		why    string
		change func(*calling)
	}{
		"ignored":     {"nobody is to be bothered (R057)", func(c *calling) { c.ignored = true }},
		"test":        {"it was ours (R085)", func(c *calling) { c.test = true }},
		"internal":    {"colleagues see each other's calls", func(c *calling) { c.direction, c.from = call.Internal, "ann" }},
		"rejected":    {"the number is disabled (D26)", func(c *calling) { c.status, c.reason = call.Rejected, "NUMBER_DISABLED" }},
		"answered":    {"somebody spoke with them", func(c *calling) { c.status, c.by, c.answered = call.Completed, s.ann.UserID, new(s.clk.Now()) }},
		"outbound":    {"we called", func(c *calling) { c.direction, c.from, c.to, c.status = call.Outbound, office, carl, call.Busy }},
		"still rings": {"it is not over", func(c *calling) { c.status = call.Ringing }},
	} {
		s.ended(s.inbound(carl, x.change))
		if open := s.list(s.admin, followup.Filter{}); len(open) != 0 {
			t.Fatalf("%s: %d are open; %s", name, len(open), x.why)
		}
	}
	if n := s.count(`SELECT count(*) FROM notification WHERE organization_id = $1 AND kind <> 'ANSWERED_ELSEWHERE'`, s.org); n != 0 {
		t.Errorf("people were told %d times", n)
	}
}

func TestTheOwnerIsTheNumbersElseTheContacts(t *testing.T) { // R129, D25
	s := newStage(t)
	known := s.contact("Carl Jones", carl, s.bob.UserID)
	s.ended(s.inbound(carl, func(c *calling) { c.contact = known }), s.inbound(dora))
	for _, f := range s.list(s.admin, followup.Filter{}) {
		if want := map[string]id.ID{carl: s.bob.UserID}[f.CallerNumber]; f.OwnerID != want {
			t.Errorf("%s is owned by %s, want %s", f.CallerNumber, f.OwnerID, want)
		}
	}
	s.exec(`UPDATE phone_number SET voicemail_owner_id = $2 WHERE organization_id = $1`, s.org, s.ann.UserID)
	again := s.inbound(dora)
	s.ended(again)
	for _, f := range s.list(s.admin, followup.Filter{}) {
		if want := map[string]id.ID{carl: s.bob.UserID, dora: s.ann.UserID}[f.CallerNumber]; f.OwnerID != want {
			t.Errorf("after the number has an owner %s is owned by %s", f.CallerNumber, f.OwnerID)
		}
	}
	// A voicemail that is given to somebody gives them the follow-up.
	vm := s.voicemail(again, s.ann.UserID)
	s.received(vm, again)
	s.exec(`UPDATE voicemail SET owner_user_id = $2 WHERE organization_id = $1`, s.org, s.bob.UserID)
	s.tell(voicemail.EventUpdated, vm, map[string]any{"callId": again.id})
	s.settle()
	f, err := s.svc.ByCalls(s.ctx, s.admin, []id.ID{again.id})
	s.must(err)
	if f[again.id].OwnerID != s.bob.UserID {
		t.Errorf("the voicemail is bob's, the follow-up %s's", f[again.id].OwnerID)
	}
	// What is told of it later does not take it from whom it was given to by hand.
	_, err = s.svc.Assign(s.ctx, s.admin, f[again.id].ID, s.ann.UserID)
	s.must(err)
	s.tell(voicemail.EventUpdated, vm, map[string]any{"callId": again.id})
	s.settle()
	if got := s.get(f[again.id]); got.OwnerID != s.ann.UserID {
		t.Errorf("hearing the voicemail gave it to %s", got.OwnerID)
	}
	// Who cannot sign in is nobody's owner.
	s.exec(`UPDATE "user" SET status = 'DISABLED' WHERE organization_id = $1 AND id = $2`, s.org, s.ann.UserID)
	s.ended(s.inbound("+61491570158"))
	if f := s.list(s.admin, followup.Filter{Text: "570158"}); len(f) != 1 || !f[0].OwnerID.IsZero() {
		t.Errorf("%d follow-ups, given to somebody who is disabled", len(f))
	}
}

func TestReachingTheCallerClosesTheItem(t *testing.T) {
	for name, x := range map[string]struct {
		why    string
		reach  func(s *stage) *calling
		closed bool
		by     func(s *stage) id.ID
	}{
		"called back": {"ann spoke with them", func(s *stage) *calling { return s.outbound(carl) }, true, func(s *stage) id.ID { return s.ann.UserID }},
		"answered":    {"they called again", func(s *stage) *calling { return s.inbound(carl, taken(s)) }, true, func(s *stage) id.ID { return s.bob.UserID }},
		"nobody picked up": {"they were not reached", func(s *stage) *calling {
			return s.outbound(carl, func(c *calling) { c.status, c.answered = call.Missed, nil })
		}, false, nil},
		"a machine":      {"a machine is not the caller (T10)", func(s *stage) *calling { return s.outbound(carl, func(c *calling) { c.answerer = new(call.Machine) }) }, false, nil},
		"left a message": {"nobody spoke with them", func(s *stage) *calling { return s.outbound(carl, func(c *calling) { c.reason = "LEFT_MESSAGE" }) }, false, nil},
		"somebody else":  {"another number", func(s *stage) *calling { return s.outbound(dora) }, false, nil},
		"a test":         {"it says nothing", func(s *stage) *calling { return s.outbound(carl, func(c *calling) { c.test = true }) }, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.ended(s.inbound(carl))
			f := s.open1()
			s.pass(time.Minute)
			c := x.reach(s)
			s.tell(call.EventAnswered, c.id, nil)
			s.ended(c)
			f = s.get(f)
			if f.IsOpen() == x.closed {
				t.Fatalf("it is %s: %s", f.Status, x.why)
			}
			if !x.closed {
				return
			}
			if f.Status != followup.Resolved || !f.IsClosedAutomatically || f.ClosedByCallID != c.id || f.ClosedByID != x.by(s) || f.ClosedAt == nil {
				t.Errorf("it is closed by %s in %s", f.ClosedByID, f.ClosedByCallID)
			}
			if n := len(s.list(s.admin, followup.Filter{Status: []followup.Status{followup.Pending}})); n != 0 {
				t.Errorf("%d are open", n)
			}
			s.pass(time.Minute)
			s.ended(s.inbound(carl)) // a new miss is a new item
			if again := s.open1(); again.ID == f.ID || again.AttemptCount != 1 {
				t.Errorf("a new missed call went to %s", again.ID)
			}
		})
	}
}

func taken(s *stage) func(*calling) {
	return func(c *calling) { c.status, c.by, c.answered = call.Completed, s.bob.UserID, new(s.clk.Now()) }
}

func TestReachingTheCallerClosesTheItemsOfAllBranches(t *testing.T) {
	s := newStage(t)
	elsewhere := id.New(id.Branch)
	s.exec(`INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, 'Perth', $3)`, s.org, elsewhere, start)
	s.ended(s.inbound(carl), s.inbound(carl, func(c *calling) { c.branch = elsewhere }))
	s.pass(time.Minute)
	c := s.outbound(carl)
	s.ended(c)
	if open := s.list(s.admin, followup.Filter{Status: []followup.Status{followup.Pending}}); len(open) != 0 {
		t.Errorf("%d are open", len(open))
	}
}

func TestAMachineFoundOutLaterOpensTheItemAgain(t *testing.T) { // T10
	s := newStage(t)
	s.ended(s.inbound(carl))
	f := s.open1()
	s.pass(time.Minute)
	c := s.outbound(carl)
	s.tell(call.EventAnswered, c.id, nil)
	s.settle()
	if s.get(f).IsOpen() {
		t.Fatal("somebody answered, and it is open")
	}
	s.exec(`UPDATE call SET answerer = 'MACHINE' WHERE organization_id = $1 AND id = $2`, s.org, c.id)
	s.tell(call.EventUpdated, c.id, nil)
	s.settle()
	if f = s.get(f); !f.IsOpen() || f.ClosedAt != nil || f.IsClosedAutomatically {
		t.Errorf("it was a machine, and it is %s", f.Status)
	}
	if got := s.history(f); !slices.Equal(got, []followup.Change{followup.Opened, followup.ClosedByCall, followup.CalledBack, followup.Reopened}) {
		t.Errorf("it went %v", got)
	}
}

func TestNewsInAnyOrderGivesTheSameItems(t *testing.T) {
	// Carl is missed twice, leaves a voicemail, is called back in vain and then reached;
	// afterwards he is missed again. Everything is told late, in some order, and twice.
	type told struct {
		kind    event.Kind
		subject int
	}
	all := []told{{call.EventEnded, 0}, {call.EventEnded, 1}, {voicemail.EventReceived, 1}, {call.EventEnded, 2}, {call.EventAnswered, 3}, {call.EventEnded, 3}, {call.EventEnded, 4}}
	orders := map[string][]int{
		"as it was":       {0, 1, 2, 3, 4, 5, 6},
		"backwards":       {6, 5, 4, 3, 2, 1, 0},
		"reached first":   {4, 5, 0, 1, 2, 3, 6},
		"voicemail first": {2, 6, 1, 0, 4, 3, 5},
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			calls := []*calling{s.inbound(carl)}
			s.clk.Advance(time.Minute)
			calls = append(calls, s.inbound(carl))
			vm := s.voicemail(calls[1], id.ID{})
			s.clk.Advance(time.Minute)
			calls = append(calls, s.outbound(carl, func(c *calling) { c.status, c.answered = call.Busy, nil }))
			s.clk.Advance(time.Minute)
			calls = append(calls, s.outbound(carl))
			s.clk.Advance(time.Minute)
			calls = append(calls, s.inbound(carl))
			for range 2 {
				for _, i := range order {
					x := all[i]
					if x.kind == voicemail.EventReceived {
						s.tell(x.kind, vm, map[string]any{"callId": calls[1].id})
					} else {
						s.tell(x.kind, calls[x.subject].id, nil)
					}
				}
			}
			s.settle()
			f := s.open1() // the last miss alone is open
			if f.AttemptCount != 1 || !f.LastAttemptAt.Equal(start.Add(4*time.Minute)) {
				t.Errorf("open is one with %d attempts, last at %s", f.AttemptCount, f.LastAttemptAt)
			}
			if n := s.count(`SELECT count(*) FROM follow_up_attempt WHERE organization_id = $1 AND call_id = $2`, s.org, calls[4].id); n != 1 {
				t.Errorf("the last miss is %d attempts", n)
			}
		})
	}
}

func TestTwoMissedCallsAtOnceAreOneItem(t *testing.T) {
	s := newStage(t)
	var calls []*calling
	for range 8 {
		calls = append(calls, s.inbound(carl))
	}
	var wg sync.WaitGroup
	for _, c := range calls { // as two nodes would, without the log between them
		wg.Go(func() {
			err := s.db.InWorkerTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
				return s.svc.Hear(ctx, tx, event.Event{ID: id.New(id.Event), OrganizationID: s.org, Kind: call.EventEnded, Subject: c.id, At: s.clk.Now()})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if f := s.open1(); f.AttemptCount != 8 {
		t.Errorf("it has %d attempts, want 8", f.AttemptCount)
	}
}

func TestWhatWasToldWhileNobodyListenedIsTakenAfterwards(t *testing.T) {
	s := newStage(t)
	s.settle() // it has begun once
	s.close()
	c := s.inbound(carl)
	s.tell(call.EventEnded, c.id, nil)
	s.tell(call.EventEnded, c.id, nil)
	s.open()
	s.settle()
	if f := s.open1(); f.AttemptCount != 1 {
		t.Errorf("it has %d attempts", f.AttemptCount)
	}
	if n := len(s.told(s.ann)); n != 1 {
		t.Errorf("ann was told %d times", n)
	}
}

func TestWorkingOnAnItem(t *testing.T) { // R192-R195
	s := newStage(t)
	s.ended(s.inbound(carl))
	f := s.open1()
	f, err := s.svc.Assign(s.ctx, s.ann, f.ID, s.ann.UserID)
	s.must(err)
	due := s.clk.Now().Add(time.Hour)
	_, err = s.svc.Update(s.ctx, s.ann, f.ID, followup.Edit{Note: patch.To("  Wants a quote.  "), DueAt: patch.To(due), Outcome: patch.To("Quote asked")})
	s.must(err)
	notes, err := s.svc.NotesByFollowUps(s.ctx, []id.ID{f.ID})
	s.must(err)
	if n := notes[f.ID]; len(n) != 1 || n[0].Text != "Wants a quote." || n[0].AuthorID != s.ann.UserID || !n[0].At.Equal(s.clk.Now()) {
		t.Errorf("the notes are %+v", n)
	}
	f, err = s.svc.Resolve(s.ctx, s.ann, f.ID, followup.Resolution{Status: followup.NoActionRequired, Note: new("Never mind.")})
	s.must(err)
	if f.Status != followup.NoActionRequired || f.ClosedByID != s.ann.UserID || *f.Outcome != "Quote asked" || f.IsClosedAutomatically {
		t.Errorf("it is %+v", f)
	}
	before := f.Version
	f, err = s.svc.Resolve(s.ctx, s.ann, f.ID, followup.Resolution{Status: followup.NoActionRequired})
	s.must(err)
	if f.Version != before {
		t.Error("closing it the same way changed it")
	}
	_, err = s.svc.Update(s.ctx, s.ann, f.ID, followup.Edit{DueAt: patch.To(due)})
	s.refused(err, errs.Conflict)
	f, err = s.svc.Reopen(s.ctx, s.ann, f.ID, new("They called the boss."))
	s.must(err)
	if !f.IsOpen() || f.ClosedAt != nil || f.DueAt == nil || !f.DueAt.Equal(s.clk.Now().Add(4*time.Hour)) {
		t.Errorf("open again it is %+v", f)
	}
	want := []followup.Change{followup.Opened, followup.Assigned, followup.Noted, followup.OutcomeSet, followup.DueSet, followup.Closed, followup.Reopened}
	if got := s.history(f); !slices.Equal(got, want) {
		t.Errorf("it went %v, want %v", got, want)
	}
	if n := s.count(`SELECT count(*) FROM event WHERE organization_id = $1 AND kind = 'FOLLOW_UP_UPDATED' AND subject = $2`, s.org, f.ID); n != len(want) {
		t.Errorf("%d events tell of it, want one for each change", n)
	}
	_, err = db.Exec(s.ctx, s.db.App(), `UPDATE follow_up_entry SET note = 'x' WHERE organization_id = $1`, s.org)
	if err == nil {
		t.Error("what happened can be rewritten")
	}
}

func TestTheSameCallerIsNotOpenTwice(t *testing.T) {
	s := newStage(t)
	s.ended(s.inbound(carl))
	f := s.open1()
	_, err := s.svc.Resolve(s.ctx, s.admin, f.ID, followup.Resolution{})
	s.must(err)
	s.ended(s.inbound(carl))
	_, err = s.svc.Reopen(s.ctx, s.admin, f.ID, nil)
	s.refused(err, errs.Conflict)
}

func TestBadInputToAnItemIsRefusedWithItsField(t *testing.T) {
	s := newStage(t)
	s.ended(s.inbound(carl))
	f := s.open1()
	idle := s.user("idle", access.SeesOwn, nil, access.CallView)
	for name, x := range map[string]struct {
		do    func() error
		code  errs.Code
		field string
	}{
		"long note": {func() error {
			_, err := s.svc.Update(s.ctx, s.admin, f.ID, followup.Edit{Note: patch.To(strings.Repeat("x", 4001))})
			return err
		}, errs.Invalid, "note"},
		"long outcome": {func() error {
			_, err := s.svc.Update(s.ctx, s.admin, f.ID, followup.Edit{Outcome: patch.To(strings.Repeat("x", 501))})
			return err
		}, errs.Invalid, "outcome"},
		"NUL": {func() error {
			_, err := s.svc.Update(s.ctx, s.admin, f.ID, followup.Edit{Note: patch.To("a\x00b")})
			return err
		}, errs.Invalid, "note"},
		"due before": {func() error {
			_, err := s.svc.Update(s.ctx, s.admin, f.ID, followup.Edit{DueAt: patch.To(start.Add(-time.Hour))})
			return err
		}, errs.Invalid, "dueAt"},
		"pending": {func() error {
			_, err := s.svc.Resolve(s.ctx, s.admin, f.ID, followup.Resolution{Status: followup.Pending})
			return err
		}, errs.Invalid, "status"},
		"no such user": {func() error { _, err := s.svc.Assign(s.ctx, s.admin, f.ID, id.New(id.User)); return err }, errs.NotFound, "userId"},
		"may not see":  {func() error { _, err := s.svc.Assign(s.ctx, s.admin, f.ID, idle.UserID); return err }, errs.Invalid, "userId"},
		"no such item": {func() error {
			_, err := s.svc.Resolve(s.ctx, s.admin, id.New(id.FollowUp), followup.Resolution{})
			return err
		}, errs.NotFound, ""},
	} {
		e, ok := errs.As(x.do())
		if !ok || e.Code != x.code || strings.Join(e.Field, ".") != x.field {
			t.Errorf("%s: %v", name, e)
		}
	}
	if got := s.get(f); got.Version != f.Version {
		t.Error("something was changed")
	}
}

func TestWhoSeesAndWorksOnWhat(t *testing.T) {
	s := newStage(t)
	other := s.user("otto", access.SeesBranch, nil, access.FollowUpView, access.FollowUpManage)
	s.ended(s.inbound(carl, func(c *calling) { c.rang = []id.ID{s.cat.UserID} }), s.inbound(dora))
	items := map[string]*followup.FollowUp{}
	for _, f := range s.list(s.admin, followup.Filter{}) {
		items[f.CallerNumber] = f
	}
	for name, x := range map[string]struct {
		why  string
		who  access.Actor
		want int
	}{
		"administrator": {"everything", s.admin, 2},
		"branch":        {"of her branch", s.ann, 2},
		"rung":          {"the call rang her", s.cat, 1},
		"elsewhere":     {"he is in no branch", other, 0},
		"machine":       {"an API key has nothing of its own", access.Actor{OrganizationID: s.org, APIKeyID: id.New(id.APIKey), RoleID: id.New(id.Role), Visibility: access.SeesOwn, Permissions: access.SetOf(access.FollowUpView)}, 0},
	} {
		if got := s.list(x.who, followup.Filter{}); len(got) != x.want {
			t.Errorf("%s sees %d, want %d: %s", name, len(got), x.want, x.why)
		}
		c, err := s.svc.Counts(s.ctx, x.who)
		s.must(err)
		if c.Open != x.want || c.Unassigned != x.want {
			t.Errorf("%s counts %+v", name, c)
		}
	}
	blind := s.ann
	blind.Permissions = access.SetOf(access.CallView)
	_, err := s.svc.List(s.ctx, blind, followup.Filter{}, followup.Newest, db.Page{})
	s.refused(err, errs.Forbidden)
	_, err = s.svc.Get(s.ctx, blind, items[carl].ID)
	s.refused(err, errs.NotFound)
	_, err = s.svc.Get(s.ctx, other, items[carl].ID)
	s.refused(err, errs.NotFound)

	_, err = s.svc.Assign(s.ctx, s.cat, items[carl].ID, s.ann.UserID) // she may take it, not give it away
	s.refused(err, errs.Forbidden)
	_, err = s.svc.Assign(s.ctx, s.cat, items[carl].ID, s.cat.UserID)
	s.must(err)
	_, err = s.svc.Resolve(s.ctx, s.cat, items[carl].ID, followup.Resolution{})
	s.must(err)
	_, err = s.svc.Assign(s.ctx, s.ann, items[dora].ID, s.ann.UserID)
	s.must(err)
	_, err = s.svc.Resolve(s.ctx, s.cat, items[dora].ID, followup.Resolution{})
	s.refused(err, errs.NotFound)
	plain := s.bob
	plain.Permissions = access.SetOf(access.FollowUpView)
	_, err = s.svc.Resolve(s.ctx, plain, items[dora].ID, followup.Resolution{})
	s.refused(err, errs.Forbidden)

	// Another organization sees nothing of it.
	stranger := s.admin
	stranger.OrganizationID = id.New(id.Organization)
	_, err = s.svc.Get(db.WithTenant(s.ctx, stranger.OrganizationID), stranger, items[carl].ID)
	s.refused(err, errs.NotFound)
}

func TestListsAreOrderedPagedAndFiltered(t *testing.T) {
	s := newStage(t)
	callers := []string{"+61491570101", "+61491570102", "+61491570103", "+61491570104", "+61491570105"}
	known := s.contact("Ängström & 100% Co_", callers[1], id.ID{})
	for i, n := range callers {
		s.clk.Advance(time.Minute)
		c := s.inbound(n, func(c *calling) {
			if i == 1 {
				c.contact = known
			}
		})
		s.ended(c)
	}
	all := s.list(s.admin, followup.Filter{})
	_, err := s.svc.Update(s.ctx, s.admin, all[0].ID, followup.Edit{DueAt: patch.Clear[time.Time]()})
	s.must(err)
	_, err = s.svc.Update(s.ctx, s.admin, all[1].ID, followup.Edit{DueAt: patch.To(s.clk.Now().Add(time.Minute)), Note: patch.To("urgent: roof")})
	s.must(err)
	for order, want := range map[followup.Order][]string{
		followup.Newest: {callers[4], callers[3], callers[2], callers[1], callers[0]},
		followup.Due:    {callers[3], callers[0], callers[1], callers[2], callers[4]},
	} {
		var got []string
		p := db.Page{First: 2}
		for {
			w, err := s.svc.List(s.ctx, s.admin, followup.Filter{}, order, p)
			s.must(err)
			for _, f := range w.Nodes {
				got = append(got, f.CallerNumber)
			}
			if !w.HasNext {
				break
			}
			p.After = w.EndCursor()
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", order, got, want)
		}
	}
	for name, x := range map[string]struct {
		f    followup.Filter
		want int
	}{
		"name":          {followup.Filter{Text: "ngström"}, 1},
		"percent":       {followup.Filter{Text: "100%"}, 1},
		"any percent":   {followup.Filter{Text: "1%0"}, 0},
		"underscore":    {followup.Filter{Text: "Co_"}, 1},
		"digits":        {followup.Filter{Text: "0103"}, 1},
		"all digits":    {followup.Filter{Text: "491 570 10"}, 5},
		"note":          {followup.Filter{Text: "ROOF"}, 1},
		"quote":         {followup.Filter{Text: `'; DROP TABLE follow_up; --`}, 0},
		"number":        {followup.Filter{PhoneNumberID: s.line}, 5},
		"other number":  {followup.Filter{PhoneNumberID: id.New(id.PhoneNumber)}, 0},
		"contact":       {followup.Filter{ContactID: known}, 1},
		"opened from":   {followup.Filter{OpenedFrom: start.Add(4 * time.Minute)}, 2},
		"opened before": {followup.Filter{OpenedBefore: start.Add(4 * time.Minute)}, 3},
		"kind":          {followup.Filter{Kind: followup.Voicemail}, 0},
		"mine":          {followup.Filter{IsMine: new(true)}, 0},
		"not mine":      {followup.Filter{IsMine: new(false)}, 5},
		"unassigned":    {followup.Filter{IsUnassigned: new(true)}, 5},
		"no status":     {followup.Filter{Status: []followup.Status{}}, 0},
	} {
		if got := s.list(s.admin, x.f); len(got) != x.want {
			t.Errorf("%s: %d, want %d", name, len(got), x.want)
		}
	}
	_, err = s.svc.List(s.ctx, s.admin, followup.Filter{Text: strings.Repeat("x", 201)}, followup.Newest, db.Page{})
	s.refused(err, errs.Invalid)
}

func TestANameThatIsAHiddenNumberFindsNothing(t *testing.T) { // R241
	s := newStage(t)
	known := s.contact("(02) 5550 1234", "+61491570177", id.ID{})
	s.ended(s.inbound("+61491570177", func(c *calling) { c.contact = known }))
	if got := s.list(s.admin, followup.Filter{Text: "5550 1234"}); len(got) != 1 {
		t.Fatalf("with details shown the number finds %d, so that nothing is proved", len(got))
	}
	closed := s.admin
	closed.IsFieldworker, closed.Switched = true, []access.FieldworkerOption{access.DisplayContactDetails}
	if got := s.list(closed, followup.Filter{Text: "5550 1234"}); len(got) != 0 {
		t.Errorf("with details hidden the number finds %d", len(got))
	}
}
