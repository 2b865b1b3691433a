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
	"switchboard/internal/route"
	"switchboard/internal/twilio"
	"switchboard/internal/voicemail"
)

// body is a document without its first line and with short addresses.
func body(t *testing.T, doc twilio.Response, c *call.Call) string {
	t.Helper()
	s := xml(t, doc)
	_, s, _ = strings.Cut(s, "?>")
	s = strings.ReplaceAll(s, "https://us.test/twilio/conn/key/", "")
	if c != nil {
		s = strings.ReplaceAll(s, c.ID.String(), "C")
	}
	return strings.TrimSpace(s)
}

// R052, R124-R127: external numbers, then the greeting and the voicemail.
func TestNobodyAnswersAndTheCallGoesOn(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(`INSERT INTO audio (organization_id, id, content_type, size_bytes, blob_key, public_token) VALUES ($1, $2, 'audio/mpeg', 1, 'k', 'greeting-token')`, s.org, audioID)
	s.exec(`UPDATE phone_number SET forwarding_numbers = '{+61255507777,+61255508888}', voicemail_greeting_text = 'Hello', voicemail_greeting_audio_id = $2,
		voicemail_owner_id = $3, incoming_recording = 'FROM_ANSWER_DUAL', welcome_text = 'Welcome & hello' WHERE organization_id = $1`, s.org, audioID, s.ann)
	doc := body(t, s.arrives(1, theirs), nil)
	if !strings.HasPrefix(doc, `<Response><Say voice="Polly.Joanna" language="en-US">Welcome &amp; hello</Say><Dial action=`) || strings.Contains(doc, "answerOnBridge") ||
		!strings.Contains(doc, `record="record-from-answer-dual"`) {
		t.Errorf("the welcome comes first and answers the call (R044):\n%s", doc)
	}
	c, _ := s.only()
	doc = body(t, s.afterDial(c, 2, "no-answer", "in-progress", 0, 0), c)
	if strings.Count(doc, "<Number ") != 2 || !strings.Contains(doc, ">+61255507777</Number>") || !strings.Contains(doc, `action="call/C/dial/3"`) || strings.Contains(doc, "callerId") {
		t.Errorf("both forwarding numbers ring, with the caller's own number (R052, D15):\n%s", doc)
	}
	doc = body(t, s.afterDial(c, 3, "busy", "in-progress", 0, 0), c)
	want := `<Response><Play>https://us.test/twilio/media/greeting-token</Play><Record action="call/C/voicemail/4" finishOnKey="#" maxLength="120"` +
		` recordingStatusCallback="call/C/recording" recordingStatusCallbackEvent="in-progress completed absent"/></Response>`
	if doc != want {
		t.Errorf("audio wins over text (R127):\n%s\nwant\n%s", doc, want)
	}
	if c, _ = s.only(); c.Status != call.InProgress || c.AnsweredAt != nil {
		t.Errorf("while the caller speaks the call is %s", c.Status)
	}
	s.sound(c, 1, "in-progress", "RecordVerb", 1, 30, 0)
	s.afterRecord(c, 4, 1, 12)
	s.over(1, "completed", 42, 42)
	s.sound(c, 1, "completed", "RecordVerb", 1, 30, 12)
	s.sound(c, 1, "completed", "RecordVerb", 1, 30, 12)
	c, _ = s.only()
	if c.Status != call.Voicemail || *c.EndReason != route.LeftVoicemail {
		t.Errorf("%s %s", c.Status, *c.EndReason)
	}
	ctx := access.With(s.ctx, s.boss())
	w, err := s.mails.List(ctx, s.boss(), voicemail.Filter{}, db.Page{})
	if err != nil || len(w.Nodes) != 1 {
		t.Fatalf("%d voicemails, %v", len(w.Nodes), err)
	}
	v := w.Nodes[0]
	if v.OwnerID != s.ann || *v.DurationSeconds != 12 || v.From().Display != theirs || v.CallID != c.ID {
		t.Errorf("voicemail of %s, %d s, from %s", v.OwnerID, *v.DurationSeconds, v.From().Display)
	}
	if got := s.events(v.ID); got != "VOICEMAIL_RECEIVED" {
		t.Errorf("events of the voicemail: %s", got)
	}
	if v, err = s.mails.MarkHeard(ctx, s.boss(), v.ID, true); err != nil || v.HeardAt == nil || v.HeardByID != s.ann || v.Version != 2 {
		t.Fatalf("heard: %+v, %v", v, err)
	}
	if v, _ = s.mails.MarkHeard(ctx, s.boss(), v.ID, true); v.Version != 2 {
		t.Error("hearing it again is no change")
	}
	recs, err := s.recs.ByIDs(ctx, []id.ID{v.RecordingID})
	if err != nil || recs[v.RecordingID] == nil || recs[v.RecordingID].OffsetSeconds != 30 {
		t.Errorf("recording: %v, %v", recs, err)
	}
}

var audioID = id.New(id.Media)

// D26: refused as busy, and logged with its reason.
func TestADisabledNumberRefusesAndLogs(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(`UPDATE phone_number SET is_enabled = false WHERE organization_id = $1`, s.org)
	if doc := body(t, s.arrives(1, theirs), nil); doc != `<Response><Reject reason="busy"/></Response>` {
		t.Errorf("%s", doc)
	}
	s.over(1, "busy", 0, 0)
	if c, _ := s.only(); c.Status != call.Rejected || *c.EndReason != route.NumberDisabled {
		t.Errorf("%s %s", c.Status, *c.EndReason)
	}
}

// D11: no number, no contact, even where one has the word for a number.
func TestAnAnonymousCallerMatchesNobody(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.arrives(1, "anonymous")
	if c, _ := s.only(); !c.ContactID.IsZero() || c.From().E164 != nil || c.From().Display != "Anonymous" {
		t.Errorf("from %+v, contact %s", c.From(), c.ContactID)
	}
}

// lead is a contact with the caller's number, assigned to the user.
func (s *stage) lead(e164 string, user id.ID) id.ID {
	s.t.Helper()
	contact := id.New(id.Contact)
	s.exec(`INSERT INTO contact (organization_id, id, kind, name, assigned_user_id, updated_at) VALUES ($1, $2, 'LEAD', 'Lead', $3, $4)`, s.org, contact, user, s.clock.Now())
	s.exec(`INSERT INTO contact_phone (organization_id, contact_id, e164, is_primary) VALUES ($1, $2, $3, true)`, s.org, contact, e164)
	return contact
}

func (s *stage) phoneOf(user id.ID, e164 string) {
	s.t.Helper()
	s.exec(`INSERT INTO user_phone (organization_id, id, user_id, e164, is_primary) VALUES ($1, $2, $3, $4, true)`, s.org, id.New(id.UserPhone), user, e164)
}

// R032, R040, R043: the lead's user is rung on the phone, and the explanation is that decision.
func TestALayeredCallRingsThePhoneAndIsExplained(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(`UPDATE phone_number SET routing_mode = 'LAYERED', call_forwarding_number = '+61255507777' WHERE organization_id = $1`, s.org)
	contact := s.lead(theirs, s.bob)
	s.phoneOf(s.bob, "+61400000002")
	doc := body(t, s.arrives(1, theirs), nil)
	if !strings.Contains(doc, ">+61400000002</Number>") || strings.Contains(doc, "<Client") {
		t.Errorf("%s", doc)
	}
	c, legs := s.only()
	if c.ContactID != contact || len(legs) != 2 || legs[1].Kind != route.UserPhone || legs[1].UserID != s.bob {
		t.Fatalf("contact %s, %d legs", c.ContactID, len(legs))
	}
	ctx := access.With(s.ctx, s.boss())
	was, err := s.calls.DecisionsByCalls(ctx, s.boss(), []id.ID{c.ID})
	if err != nil {
		t.Fatal(err)
	}
	for from, layer := range map[string]int{"0400 999 888": 3, "anonymous": 2} {
		d, err := s.calls.Explain(ctx, s.boss(), call.ExplainInput{PhoneNumberID: s.number, From: from})
		if err != nil {
			t.Fatal(err)
		}
		if d.Layer == nil || *d.Layer != layer {
			t.Errorf("from %s: layer %v, want %d", from, d.Layer, layer)
		}
		if kept := was[c.ID]; layer == 3 && (kept == nil || *kept.Layer != 3 || len(kept.Trace) != len(d.Trace)) {
			t.Errorf("the call kept %+v, explained is %+v", kept, d)
		}
	}
	weak := access.Actor{OrganizationID: s.org, UserID: s.ann, Permissions: access.SetOf(access.CallView), Visibility: access.SeesOrganization}
	if d, _ := s.calls.DecisionsByCalls(ctx, weak, []id.ID{c.ID}); len(d) != 0 {
		t.Error("who may not know learns the route")
	}
	if _, err := s.calls.Explain(ctx, weak, call.ExplainInput{PhoneNumberID: s.number}); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("explained to who may not: %v", err)
	}
	discreet := s.boss()
	discreet.IsFieldworker, discreet.Switched = true, []access.FieldworkerOption{access.DisplayContactDetails}
	if _, err := s.calls.Explain(ctx, discreet, call.ExplainInput{PhoneNumberID: s.number, From: "+12025550199"}); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("whose a number is was told to who sees none: %v", err)
	}
	if _, err := s.calls.Explain(ctx, discreet, call.ExplainInput{PhoneNumberID: s.number}); err != nil {
		t.Errorf("of nobody known: %v", err)
	}
	if _, err := s.calls.Explain(ctx, s.boss(), call.ExplainInput{PhoneNumberID: id.New(id.PhoneNumber)}); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("explained an unknown number: %v", err)
	}
}

// reliability 3: the same request again gives one call and the same answer.
func TestTheSameCallIsTakenOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := xml(t, s.arrives(1, theirs))
	if again := xml(t, s.arrives(1, theirs)); again != first {
		t.Errorf("the second answer differs:\n%s\n%s", first, again)
	}
	s.only()
}

func TestTheFallbackForwardsOrTakesAVoicemail(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	doc := body(t, s.calls.Fallback(s.ctx, s.incoming(1, theirs), id.ID{}), nil)
	if !strings.Contains(doc, "<Record ") || strings.Contains(doc, "<Client") {
		t.Errorf("%s", doc)
	}
	c, _ := s.only()
	if doc := body(t, s.calls.Fallback(s.ctx, s.incoming(1, theirs), c.ID), c); !strings.Contains(doc, `<Record action="call/C/voicemail/99"`) {
		t.Errorf("a call under way: %s", doc)
	}
	nowhere := db.WithTenant(t.Context(), id.New(id.Organization))
	if doc := body(t, s.calls.Fallback(nowhere, s.incoming(2, theirs), id.ID{}), nil); !strings.Contains(doc, "<Say>") && !strings.Contains(doc, "<Reject") {
		t.Errorf("nothing can be had: %s", doc)
	}
}

// A status callback costs few statements, whatever the size of the ring group.
func TestAStatusCallbackCostsAConstantNumberOfStatements(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.arrives(1, theirs)
	c, legs := s.only()
	l := legOf(legs, s.annDev)
	tell := func(word string, seq int) int {
		ctx, n := db.CountStatements(s.ctx)
		err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			return s.calls.LegStatus(ctx, tx, c.ID, l.ID, twilio.LegForm{CallSID: sid("CA", 11), Status: word, At: s.sec(seq), Sequence: &seq})
		})
		if err != nil {
			t.Fatal(err)
		}
		return n.N()
	}
	// Lock, fact, facts in one round trip; call and legs in the next; the events.
	if n := tell("ringing", 1); n > 6 {
		t.Errorf("%d statements for a new state", n)
	}
	if n := tell("ringing", 1); n > 3 {
		t.Errorf("%d statements for a repeated one", n)
	}
	ctx, n := db.CountStatements(s.ctx)
	if err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := s.calls.Inbound(ctx, tx, s.incoming(2, theirs))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	// Number, contacts, masked pair, people; call and facts; legs and events.
	if n.N() > 8 {
		t.Errorf("%d statements for a call that comes in: %s", n.N(), n.Statements())
	}
	page, np := db.CountStatements(access.With(s.ctx, s.boss()))
	if _, err := s.calls.List(page, s.boss(), call.Filter{}, db.Page{}); err != nil || np.N() != 1 {
		t.Errorf("%d statements for a page, %v", np.N(), err)
	}
}

// Unknown ids and other tenants' have no effect.
func TestNewsOfUnknownCallsHasNoEffect(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.arrives(1, theirs)
	c, legs := s.only()
	org := s.org
	s.settle()
	s.leg(c, legs[1], 11, "ringing", 1, 1)
	s.over(1, "completed", 5, 5)
	if doc := body(t, s.afterDial(c, 1, "no-answer", "ringing", 0, 0), nil); doc != "<Response><Hangup/></Response>" {
		t.Errorf("another tenant's call goes on: %s", doc)
	}
	ctx := access.With(s.ctx, s.boss())
	if _, err := s.calls.Get(ctx, s.boss(), c.ID); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("another tenant's call is read: %v", err)
	}
	for name, err := range map[string]error{
		"decline": second(s.calls.Decline(ctx, s.boss(), c.ID, id.ID{})), "hang up": second(s.calls.HangUp(ctx, s.boss(), c.ID)),
		"update": second(s.calls.Update(ctx, s.boss(), c.ID, call.UpdateInput{})),
	} {
		if !errs.IsCode(err, errs.NotFound) {
			t.Errorf("%s another tenant's call: %v", name, err)
		}
	}
	s.org, s.ctx = org, db.WithTenant(t.Context(), org)
	if c, _ := s.only(); c.Status != call.Ringing || c.Version > 2 {
		t.Errorf("another tenant changed the call: %s, version %d", c.Status, c.Version)
	}
}

func second[T any](_ T, err error) error { return err }

// ORGANIZATION sees all, BRANCH its branches and its own, OWN what rang, was answered or started.
func TestCallsAreSeenWithinTheRolesVisibility(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.arrives(1, theirs) // rings Ann and Bob
	c, _ := s.only()
	other := id.New(id.Branch)
	s.exec(`INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, 'Perth', $3)`, s.org, other, s.clock.Now())
	stranger, _ := s.person("Zoe")
	cases := map[string]struct {
		who  access.Actor
		sees bool
	}{
		"the organization": {access.Actor{Visibility: access.SeesOrganization}, true},
		"its branch":       {access.Actor{UserID: stranger, Visibility: access.SeesBranch, BranchIDs: []id.ID{s.branch}}, true},
		"another branch":   {access.Actor{UserID: stranger, Visibility: access.SeesBranch, BranchIDs: []id.ID{other}}, false},
		"rang here":        {access.Actor{UserID: s.ann, Visibility: access.SeesOwn}, true},
		"nothing to do":    {access.Actor{UserID: stranger, Visibility: access.SeesOwn}, false},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			who := x.who
			who.OrganizationID, who.Permissions = s.org, access.SetOf(access.CallView, access.LiveView, access.CallControl)
			ctx := access.With(s.ctx, who)
			w, err := s.calls.List(ctx, who, call.Filter{}, db.Page{})
			if err != nil || (len(w.Nodes) == 1) != x.sees {
				t.Errorf("list: %d calls, %v", len(w.Nodes), err)
			}
			if n, err := s.calls.Count(ctx, who, call.Filter{}); err != nil || (n == 1) != x.sees {
				t.Errorf("count: %d, %v", n, err)
			}
			live, err := s.calls.AllLive(ctx, who)
			if err != nil || (len(live) == 1) != x.sees {
				t.Errorf("live: %d calls, %v", len(live), err)
			}
			if _, err := s.calls.Get(ctx, who, c.ID); (err == nil) != x.sees {
				t.Errorf("get: %v", err)
			}
			if v, err := s.calls.Visible(ctx, who, []id.ID{c.ID}); err != nil || (len(v) == 1) != x.sees {
				t.Errorf("visible: %d, %v", len(v), err)
			}
			who.Permissions = access.SetOf()
			if _, err := s.calls.List(ctx, who, call.Filter{}, db.Page{}); !errs.IsCode(err, errs.Forbidden) {
				t.Errorf("without CALL_VIEW: %v", err)
			}
		})
	}
}

func TestCallsAreFilteredAndPaged(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for i := range 5 {
		s.arrives(i+1, theirs)
		s.clock.Advance(time.Minute)
	}
	s.over(1, "no-answer", 30, 0)
	ctx := access.With(s.ctx, s.boss())
	var seen []id.ID
	after := ""
	for {
		w, err := s.calls.List(ctx, s.boss(), call.Filter{PhoneNumberID: s.number, BranchID: s.branch, Direction: call.Inbound}, db.Page{First: 2, After: after})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range w.Nodes {
			seen = append(seen, c.ID)
		}
		if after = w.EndCursor(); !w.HasNext {
			break
		}
	}
	if len(seen) != 5 {
		t.Errorf("%d calls over all pages", len(seen))
	}
	for name, x := range map[string]struct {
		f    call.Filter
		want int
	}{
		"ended":        {call.Filter{Status: []call.Status{call.Missed}}, 1},
		"live":         {call.Filter{Live: true}, 4},
		"from":         {call.Filter{StartedFrom: start.Add(2 * time.Minute)}, 3},
		"before":       {call.Filter{StartedBefore: start.Add(2 * time.Minute)}, 2},
		"contact":      {call.Filter{ContactID: id.New(id.Contact)}, 0},
		"record":       {call.Filter{RecordID: id.New(id.Record)}, 0},
		"user":         {call.Filter{UserID: s.ann}, 0},
		"out":          {call.Filter{Direction: call.Outbound}, 0},
		"other number": {call.Filter{PhoneNumberID: id.New(id.PhoneNumber)}, 0},
	} {
		if n, err := s.calls.Count(ctx, s.boss(), x.f); err != nil || n != x.want {
			t.Errorf("%s: %d calls, %v; want %d", name, n, err, x.want)
		}
	}
}

func TestARingIsRestoredForItsOwnDeviceOnly(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.arrives(1, theirs)
	c, legs := s.only()
	s.leg(c, legOf(legs, s.annDev), 11, "ringing", 1, 1)
	for name, x := range map[string]struct {
		user, device id.ID
		want         int
	}{
		"any of hers": {s.ann, id.ID{}, 1}, "this device": {s.ann, s.annDev, 1}, "another device": {s.ann, s.bobDev, 0}, "not ringing yet": {s.bob, id.ID{}, 0}, "nobody": {id.ID{}, id.ID{}, 0},
	} {
		who := access.Actor{OrganizationID: s.org, UserID: x.user}
		w, err := s.calls.Ringing(access.With(s.ctx, who), who, x.device, db.Page{})
		if err != nil || len(w.Nodes) != x.want {
			t.Errorf("%s: %d rings, %v; want %d", name, len(w.Nodes), err, x.want)
		}
	}
}
