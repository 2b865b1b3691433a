package call_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// A branch is deleted while a call of it goes on, and while its voicemail is still
// to be told: nothing that Twilio or people say of the call is lost.
func TestACallOutlivesItsBranch(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.arrives(1, theirs)
	c, legs := s.only()
	s.exec(`UPDATE phone_number SET branch_id = NULL WHERE organization_id = $1`, s.org)
	s.exec(`DELETE FROM branch_user WHERE organization_id = $1`, s.org)
	s.exec(`DELETE FROM branch WHERE organization_id = $1`, s.org)
	s.leg(c, legOf(legs, s.annDev), 11, "no-answer", 20, 1)
	s.afterDial(c, 1, "no-answer", "in-progress", 0, 0)
	long := 7
	s.tx(func(ctx context.Context, tx *db.Tx) error {
		return s.calls.RecordingStatus(ctx, tx, c.ID, twilio.RecordingForm{RecordingSID: sid("RE", 1), Status: "completed", DurationSeconds: &long, Source: "RecordVerb"})
	})
	s.over(1, "completed", 40, 40)
	c, err := s.calls.Update(access.With(s.ctx, s.boss()), s.boss(), c.ID, call.UpdateInput{Notes: patch.To("rang back")})
	if err != nil || c.Status != call.Voicemail || !c.BranchID.IsZero() {
		t.Fatalf("%+v, %v", c, err)
	}
	if v, err := s.mails.ByCalls(s.ctx, s.boss(), []id.ID{c.ID}); err != nil || v[c.ID] == nil {
		t.Errorf("the voicemail: %v, %v", v[c.ID], err)
	}
}

// CALL_CONTROL is for the calls of others; what nobody took is anybody's to note.
func TestTheCallsOfOthersAreWrittenOnWithCallControl(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.arrives(1, theirs)
	c, legs := s.only()
	clerk := access.Actor{OrganizationID: s.org, UserID: s.bob, Permissions: access.SetOf(access.CallView), Visibility: access.SeesOrganization}
	note := call.UpdateInput{Notes: patch.To("x")}
	if _, err := s.calls.Update(access.With(s.ctx, clerk), clerk, c.ID, note); err != nil {
		t.Errorf("of a call that nobody took: %v", err)
	}
	s.leg(c, legOf(legs, s.annDev), 11, "in-progress", 3, 1)
	if _, err := s.calls.Update(access.With(s.ctx, clerk), clerk, c.ID, note); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("of a call that Ann took: %v", err)
	}
	ann := clerk
	ann.UserID = s.ann
	if _, err := s.calls.Update(access.With(s.ctx, ann), ann, c.ID, note); err != nil {
		t.Errorf("Ann herself: %v", err)
	}
	clerk.Permissions = access.SetOf(access.CallView, access.CallControl)
	if _, err := s.calls.Update(access.With(s.ctx, clerk), clerk, c.ID, note); err != nil {
		t.Errorf("with CALL_CONTROL: %v", err)
	}
}

// A call of one's own is no key to contacts and records that one does not see.
func TestLinksLeadOnlyToWhatTheActorSees(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.arrives(1, theirs)
	c, _ := s.only()
	his, hers := s.lead("+61400111222", s.bob), s.lead("+61400111333", s.ann)
	record := id.New(id.Record)
	s.exec(`INSERT INTO record (organization_id, id, kind, title, assigned_user_id, updated_at) VALUES ($1, $2, 'BOOKING', 'x', $3, $4)`, s.org, record, s.ann, s.clock.Now())
	bob := access.Actor{OrganizationID: s.org, UserID: s.bob, Visibility: access.SeesOwn,
		Permissions: access.SetOf(access.CallView, access.CallMake, access.ContactView)}
	ctx := access.With(s.ctx, bob)
	for name, in := range map[string]call.UpdateInput{
		"a contact of another": {ContactID: patch.To(hers)},
		"a record of another":  {RecordID: patch.To(record)},
	} {
		if _, err := s.calls.Update(ctx, bob, c.ID, in); !errs.IsCode(err, errs.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := s.calls.Update(ctx, bob, c.ID, call.UpdateInput{ContactID: patch.To(his)}); err != nil || got.ContactID != his {
		t.Errorf("a contact of his own: %v", err)
	}
	if _, err := s.calls.Start(ctx, bob, call.StartInput{ContactID: hers}, ""); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("a call to a contact of another: %v", err)
	}
	if _, err := s.calls.Start(ctx, bob, call.StartInput{To: theirs, RecordID: record}, ""); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("a call about a record of another: %v", err)
	}
}

// The phones of people are theirs and the administrators' to see, also where a
// call rang them or would.
func TestThePhonesOfColleaguesAreMasked(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const private = "+61400777111"
	s.exec(`INSERT INTO user_phone (organization_id, id, user_id, e164, is_primary) VALUES ($1, $2, $3, $4, true)`, s.org, id.New(id.UserPhone), s.ann, private)
	s.exec(`UPDATE phone_number SET reach_by = 'PRIMARY_PHONE' WHERE organization_id = $1`, s.org)
	s.arrives(1, theirs)
	c, _ := s.only()
	for name, x := range map[string]struct {
		user  id.ID
		may   access.Permission
		shown bool
	}{
		"a colleague":      {s.bob, access.CallView, false},
		"her own":          {s.ann, access.CallView, true},
		"an administrator": {s.bob, access.UserManage, true},
	} {
		who := access.Actor{OrganizationID: s.org, UserID: x.user, Permissions: access.SetOf(access.CallView, access.RouteExplain, x.may), Visibility: access.SeesOrganization}
		ctx := access.With(s.ctx, who)
		parties := map[string]route.Party{}
		legs, err := s.calls.LegsByCalls(ctx, []id.ID{c.ID})
		if err != nil {
			t.Fatal(err)
		}
		whole, err := s.calls.Whole(ctx, who, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range legs[c.ID] {
			if l.UserID == s.ann {
				parties["leg"] = l.To()
			}
		}
		for _, l := range whole.LegsThen {
			if l.UserID == s.ann {
				parties["live leg"] = l.To()
			}
		}
		d, err := s.calls.Explain(ctx, who, call.ExplainInput{PhoneNumberID: s.number})
		if err != nil {
			t.Fatal(err)
		}
		kept, err := s.calls.DecisionsByCalls(ctx, who, []id.ID{c.ID})
		if err != nil {
			t.Fatal(err)
		}
		parties["explained"], parties["kept"] = d.Steps[0].Targets[0].To(), kept[c.ID].Steps[0].Targets[0].To()
		if len(parties) != 4 {
			t.Fatalf("%s: %v", name, parties)
		}
		for where, p := range parties {
			if (p.E164 != nil) != x.shown || strings.Contains(p.Display, private) != x.shown {
				t.Errorf("%s, %s: %+v", name, where, p)
			}
		}
	}
}

// Twilio asks the fallback when the answer after a conversation was lost: it says
// goodbye and rings nobody again.
func TestTheFallbackRingsNobodyAfterTheConversation(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.arrives(1, theirs)
	c, legs := s.only()
	s.leg(c, legOf(legs, s.annDev), 11, "in-progress", 3, 1)
	s.leg(c, legOf(legs, s.annDev), 11, "completed", 30, 2)
	s.clock.Advance(31 * time.Second)
	var doc twilio.Response
	s.tx(func(ctx context.Context, tx *db.Tx) (err error) {
		doc, err = s.calls.Rescue(ctx, tx, s.incoming(1, theirs))
		return err
	})
	if got := xml(t, doc); strings.Contains(got, "<Dial") || !strings.Contains(got, "<Hangup/>") {
		t.Errorf("the caller hears %s", got)
	}
}

// R009: a connection that is switched off takes no calls, also when routing failed.
func TestTheFallbackOfADisabledConnectionRefuses(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(`UPDATE twilio_connection SET is_enabled = false WHERE organization_id = $1`, s.org)
	s.exec(`UPDATE phone_number SET forwarding_numbers = '{+61400333222}' WHERE organization_id = $1`, s.org)
	var doc twilio.Response
	s.tx(func(ctx context.Context, tx *db.Tx) (err error) {
		doc, err = s.calls.Rescue(ctx, tx, s.incoming(1, theirs))
		return err
	})
	if got := xml(t, doc); !strings.Contains(got, "<Reject") {
		t.Errorf("the caller hears %s", got)
	}
}

// LIVE_VIEW shows the calls in progress and their changes, and no call log.
func TestLiveViewShowsWhatGoesOnAndNoLog(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.arrives(1, theirs)
	c, _ := s.only()
	wall := access.Actor{OrganizationID: s.org, UserID: id.New(id.User), Permissions: access.SetOf(access.LiveView), Visibility: access.SeesOrganization}
	ctx := access.With(s.ctx, wall)
	w, err := s.calls.List(ctx, wall, call.Filter{Live: true}, db.Page{})
	if err != nil || len(w.Nodes) != 1 {
		t.Errorf("in progress: %d, %v", len(w.Nodes), err)
	}
	if n, err := s.calls.Count(ctx, wall, call.Filter{Live: true}); err != nil || n != 1 {
		t.Errorf("counted: %d, %v", n, err)
	}
	if _, err := s.calls.Whole(ctx, wall, c.ID); err != nil {
		t.Errorf("a change: %v", err)
	}
	if _, err := s.calls.List(ctx, wall, call.Filter{}, db.Page{}); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("the log: %v", err)
	}
	if _, err := s.calls.Get(ctx, wall, c.ID); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("one call: %v", err)
	}
}
