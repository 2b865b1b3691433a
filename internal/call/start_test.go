package call_test

import (
	"context"
	"fmt"
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
)

// starts starts a call as somebody and gives it, with why it was refused.
func (s *stage) starts(who access.Actor, in call.StartInput) (*call.Call, error) {
	return s.calls.Start(access.With(s.ctx, who), who, in, "")
}

// office is a person of the office.
func (s *stage) office(user id.ID) access.Actor {
	return access.Actor{OrganizationID: s.org, UserID: user, Permissions: access.SetOf(access.CallMake, access.CallInternal, access.ContactView), Visibility: access.SeesOrganization}
}

// appCalls is a device that calls by itself.
func (s *stage) appCalls(n int, device id.ID, params map[string]string) twilio.Response {
	s.t.Helper()
	form := map[string][]string{"AccountSid": {sid("AC", 1)}, "CallSid": {sid("CA", n)}, "From": {"client:" + device.String()}, "CallStatus": {"ringing"}, "Direction": {"inbound"}}
	for k, v := range params {
		form[k] = []string{v}
	}
	f, err := twilio.ParseCall(form)
	if err != nil {
		s.t.Fatal(err)
	}
	var doc twilio.Response
	s.tx(func(ctx context.Context, tx *db.Tx) (err error) {
		doc, err = s.calls.FromApp(ctx, tx, call.Incoming{Connection: s.conn, Hooks: hooks{}, Form: f})
		return err
	})
	return doc
}

// mobile gives somebody a primary phone.
func (s *stage) mobile(user id.ID, e164 string) {
	s.t.Helper()
	s.exec(`INSERT INTO user_phone (organization_id, id, user_id, e164, label, is_primary) VALUES ($1, $2, $3, $4, 'Mobile', true)`, s.org, id.New(id.UserPhone), user, e164)
}

// R078, R287: a call about a record goes to whom it is about, and is remembered.
func TestACallAboutARecordIsLoggedAgainstIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	customer, record := s.booking(s.ann, -time.Hour)
	campaign := id.New(id.Campaign)
	s.exec(`INSERT INTO campaign (organization_id, id, name, updated_at) VALUES ($1, $2, 'Spring', $3)`, s.org, campaign, s.clock.Now())
	s.exec(`INSERT INTO campaign_member (organization_id, campaign_id, contact_id) VALUES ($1, $2, $3)`, s.org, campaign, customer)
	for _, kind := range []string{"BOOKING", "QUOTE", "INVOICE", "INQUIRY", "COMPLAINT"} {
		s.exec(`UPDATE record SET kind = $2 WHERE id = $1`, record, kind)
		c, err := s.starts(s.office(s.ann), call.StartInput{RecordID: record, CampaignID: campaign})
		if err != nil || c.ContactID != customer || c.RecordID != record || c.CampaignID != campaign || c.ToNumber != theirs {
			t.Errorf("%s: %+v, %v", kind, c, err)
		}
	}
	var last struct {
		campaign, number id.ID
		at, member       time.Time
	}
	s.tx(func(ctx context.Context, tx *db.Tx) error {
		return tx.Pgx().QueryRow(ctx, `SELECT c.last_campaign_id, c.last_phone_number_id, c.last_contacted_at, m.last_contacted_at FROM contact c
			JOIN campaign_member m ON m.contact_id = c.id WHERE c.id = $1`, customer).Scan(&last.campaign, &last.number, &last.at, &last.member)
	})
	if last.campaign != campaign || last.number != s.number || !last.at.Equal(s.clock.Now()) || !last.member.Equal(last.at) {
		t.Errorf("kept of the last contact: %+v", last)
	}
	s.exec(`UPDATE record SET contact_id = NULL WHERE id = $1`, record)
	if _, err := s.starts(s.office(s.ann), call.StartInput{RecordID: record}); !errs.IsCode(err, errs.Required) {
		t.Errorf("a record about nobody: %v", err)
	}
	if c, err := s.starts(s.office(s.ann), call.StartInput{RecordID: record, To: theirs}); err != nil || c.RecordID != record || c.ContactID != customer {
		t.Errorf("a record about nobody, and a number: %+v, %v", c, err)
	}
}

// R087, R088, R090: what of one's own rings first.
func TestWhatOfOnesOwnRingsFirst(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	older := id.New(id.Device)
	s.exec(`INSERT INTO device (organization_id, id, user_id, name, platform, registered_at, last_seen_at) VALUES ($1, $2, $3, 'Old', 'IOS', $4, $4)`, s.org, older, s.ann, s.sec(-600))
	s.sipDomain("acme.sip.twilio.com")
	s.exec(`UPDATE "user" SET sip_address = 'sip:ann@acme.sip.twilio.com' WHERE id = $1`, s.ann)
	s.mobile(s.ann, "+61400000777")
	for _, x := range []struct {
		claim, sql string
		in         call.StartInput
		want       string
		code       errs.Code
	}{
		{"the device seen last", ``, call.StartInput{}, "client:" + s.annDev.String(), ""},
		{"the device asked for", ``, call.StartInput{DeviceID: older}, "client:" + older.String(), ""},
		{"the phone", ``, call.StartInput{RingMyPhone: true}, "+61400000777", ""},
		{"the SIP address", ``, call.StartInput{RingMySIP: true}, "sip:ann@acme.sip.twilio.com", ""},
		{"both", ``, call.StartInput{RingMySIP: true, RingMyPhone: true}, "", errs.Invalid},
		{"a device and the phone", ``, call.StartInput{DeviceID: older, RingMyPhone: true}, "", errs.Invalid},
		{"the ready one", `UPDATE device SET microphone = 'DENIED' WHERE platform = 'WEB'`, call.StartInput{}, "client:" + older.String(), ""},
		{"one that is not ready", ``, call.StartInput{DeviceID: s.annDev}, "", errs.Conflict},
		{"no device is ready", `UPDATE device SET notifications = 'DENIED' WHERE platform = 'IOS'`, call.StartInput{}, "+61400000777", ""},
		{"an application handles clicks", `UPDATE "user" SET internal_click_to_call = false`, call.StartInput{}, "", errs.Conflict},
		{"the phone all the same", ``, call.StartInput{RingMyPhone: true}, "+61400000777", ""},
		{"no phone either", `DELETE FROM user_phone`, call.StartInput{RingMyPhone: true}, "", errs.Conflict},
		{"the SIP address is left", `UPDATE "user" SET internal_click_to_call = true`, call.StartInput{}, "sip:ann@acme.sip.twilio.com", ""},
		{"nothing", `UPDATE "user" SET sip_address = NULL`, call.StartInput{}, "", errs.Conflict},
	} {
		if x.sql != "" {
			s.exec(x.sql)
		}
		x.in.To = theirs
		c, err := s.starts(s.office(s.ann), x.in)
		if x.code != "" || err != nil {
			if !errs.IsCode(err, x.code) {
				t.Errorf("%s: %v, want %q", x.claim, err, x.code)
			}
			continue
		}
		legs, err := s.calls.LegsByCalls(access.With(s.ctx, access.System(s.org)), []id.ID{c.ID})
		if err != nil || legs[c.ID][0].ToAddress != x.want {
			t.Errorf("%s: %+v rings, want %s; %v", x.claim, legs[c.ID][0], x.want, err)
		}
		if n := c.Notices(); len(n) != 1 || n[0].Code != call.TwoLegsBilled {
			t.Errorf("%s: notices %v", x.claim, n)
		}
	}
}

// An answering machine that picks up is not connected: a key is asked for first.
func TestAPhoneOfOnesOwnPressesAKeyFirst(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, r := s.withTwilio()
	s.mobile(s.ann, "+61400000777")
	began := func() *call.Call {
		c, err := s.starts(s.boss(), call.StartInput{To: theirs, RingMyPhone: true})
		if err != nil {
			t.Fatal(err)
		}
		s.drain(r)
		return s.read(c)
	}
	pressed := func(c *call.Call, n int, keys string) string {
		var doc twilio.Response
		s.tx(func(ctx context.Context, tx *db.Tx) (err error) {
			doc, err = s.calls.Pressed(ctx, tx, c.ID, twilio.CallForm{CallSID: sid("CA", n), Status: "in-progress", Digits: keys}, hooks{})
			return err
		})
		return body(t, doc, c)
	}
	c := began()
	if doc := body(t, s.bridge(c, 100), c); !strings.Contains(doc, `<Gather action="call/C/pressed"`) || strings.Contains(doc, "Dial") || strings.Contains(doc, theirs) {
		t.Errorf("whoever picks up hears %s", doc)
	}
	if c = s.read(c); c.Status != call.Queued {
		t.Errorf("before a key the call is %s", c.Status)
	}
	if doc := pressed(c, 100, ""); !strings.Contains(doc, "Hangup") {
		t.Errorf("no key: %s", doc)
	}
	s.status(c, "completed", 20, 3, 18)
	if c = s.read(c); c.Status != call.Canceled || *c.EndReason != route.NoAnswer || c.AnsweredAt != nil {
		t.Errorf("nobody pressed a key: %s %v", c.Status, *c.EndReason)
	}
	c = began()
	s.bridge(c, 101)
	if doc := pressed(c, 101, "5"); !strings.Contains(doc, ">"+theirs+"</Number>") {
		t.Errorf("a key: %s", doc)
	}
	legs, err := s.calls.LegsByCalls(access.With(s.ctx, s.boss()), []id.ID{c.ID})
	if err != nil || len(legs[c.ID]) != 2 || legs[c.ID][0].AnsweredAt == nil || legs[c.ID][0].Notice == nil || *legs[c.ID][0].Notice != call.TwoLegsBilled || legs[c.ID][1].Notice != nil {
		t.Errorf("legs %v, %v", legs[c.ID], err)
	}
	if again := body(t, s.bridge(c, 101), c); !strings.Contains(again, ">"+theirs+"</Number>") {
		t.Errorf("asked again it says %s", again)
	}
}

// R089: the destination is dialled in the organization's format and kept as it is.
func TestTheDialFormatIsForTheWireOnly(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(`UPDATE organization SET dial_format = '0011{digits}'`)
	s.grant()
	doc := xml(t, s.appCalls(7, s.annDev, map[string]string{"To": theirs}))
	if !strings.Contains(doc, ">0011"+theirs[1:]+"</Number>") || !strings.Contains(doc, `callerId="`+ours+`"`) {
		t.Errorf("dialled: %s", doc)
	}
	if c, legs := s.only(); c.ToNumber != theirs || legs[1].ToAddress != theirs {
		t.Errorf("kept: %s, %s", c.ToNumber, legs[1].ToAddress)
	}
}

// grant gives the role of the stage what devices need to call.
func (s *stage) grant(more ...string) {
	s.t.Helper()
	s.exec(`UPDATE role SET permissions = $1::text[]`, append([]string{"CALL_RECEIVE", "CALL_MAKE", "CALL_INTERNAL", "CONTACT_VIEW"}, more...))
}

func TestWhatADeviceMayNotCallItIsTold(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		why    string
		sql    string
		params map[string]string
		says   string
	}{
		"allowed":         {"", ``, map[string]string{"To": theirs}, ""},
		"nobody":          {"a call needs a destination", ``, nil, "Whom to call?"},
		"too long":        {"every parameter has a limit", ``, map[string]string{"To": strings.Repeat("1", 65)}, "longer than"},
		"a long id":       {"", ``, map[string]string{"To": theirs, "contactId": strings.Repeat("c", 300)}, "longer than"},
		"a long key":      {"", ``, map[string]string{"To": theirs, "key": strings.Repeat("k", 201)}, "longer than"},
		"no id":           {"", ``, map[string]string{"To": theirs, "recordId": "rec'; DROP TABLE call"}, "not what it should be"},
		"another's kind":  {"", ``, map[string]string{"To": theirs, "campaignId": id.New(id.User).String()}, "not what it should be"},
		"unknown":         {"", ``, map[string]string{"contactId": id.New(id.Contact).String()}, "no such contact"},
		"no campaign":     {"", ``, map[string]string{"To": theirs, "campaignId": id.New(id.Campaign).String()}, "no such campaign"},
		"emergency":       {"", ``, map[string]string{"To": "000"}, "Emergency numbers cannot be called"},
		"abroad":          {"", ``, map[string]string{"To": "+33123456789"}, "Calls to FR are switched off"},
		"no permission":   {"the role of the device's user counts", `UPDATE role SET permissions = '{CALL_RECEIVE}'`, map[string]string{"To": theirs}, "lacks the permission CALL_MAKE"},
		"no internal":     {"", `UPDATE role SET permissions = '{CALL_MAKE}'`, map[string]string{"userId": "bob"}, "lacks the permission CALL_INTERNAL"},
		"removed":         {"R284", `UPDATE device SET removed_at = last_seen_at`, map[string]string{"To": theirs}, "This device was removed"},
		"disabled":        {"", `UPDATE "user" SET status = 'DISABLED'`, map[string]string{"To": theirs}, "switched off"},
		"oneself":         {"", ``, map[string]string{"userId": "ann"}, "You cannot call yourself"},
		"disturbed":       {"", `UPDATE "user" SET do_not_disturb = true`, map[string]string{"userId": "bob"}, "Bob cannot be called: they are not to be disturbed"},
		"angle brackets":  {"what was typed is never markup", ``, map[string]string{"To": "<Dial>1</Dial>"}, "&#34;&lt;Dial…&#34;"},
		"no such message": {"", ``, map[string]string{"To": theirs, "dropMessageId": id.New(id.DropMessage).String()}, "no such message"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.grant()
			if x.sql != "" {
				s.exec(x.sql)
			}
			params := map[string]string{}
			for k, v := range x.params {
				switch v {
				case "ann":
					v = s.ann.String()
				case "bob":
					v = s.bob.String()
				}
				params[k] = v
			}
			doc := xml(t, s.appCalls(1, s.annDev, params))
			if x.says == "" {
				if !strings.Contains(doc, "<Dial") {
					t.Errorf("it hears %s", doc)
				}
				return
			}
			if !strings.Contains(doc, "<Say>") || !strings.Contains(doc, x.says) || !strings.Contains(doc, "<Hangup>") && !strings.Contains(doc, "<Hangup/>") || strings.Contains(doc, "<Dial") {
				t.Errorf("(%s) it hears %s, want %q", x.why, doc, x.says)
			}
			if n, err := s.calls.Count(access.With(s.ctx, s.boss()), s.boss(), call.Filter{}); err != nil || n != 0 {
				t.Errorf("%d calls are kept, %v", n, err)
			}
		})
	}
}

func TestADevicesCallIsMadeOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.grant()
	first := xml(t, s.appCalls(1, s.annDev, map[string]string{"To": theirs, "key": "k"}))
	if again := xml(t, s.appCalls(1, s.annDev, map[string]string{"To": theirs, "key": "k"})); again != first {
		t.Errorf("asked again it says\n%s\ninstead of\n%s", again, first)
	}
	if other := xml(t, s.appCalls(2, s.annDev, map[string]string{"To": theirs, "key": "k"})); !strings.Contains(other, "under way already") {
		t.Errorf("another call with the same key: %s", other)
	}
	if other := xml(t, s.appCalls(3, s.annDev, map[string]string{"To": "+61400999777", "key": "k"})); !strings.Contains(other, "idempotency key") {
		t.Errorf("the same key for another destination: %s", other)
	}
	c, legs := s.only()
	if c.Direction != call.Outbound || c.Status != call.Ringing || c.UserID != s.ann || *c.TwilioSID != sid("CA", 1) || len(legs) != 2 ||
		legs[0].Status != call.LegInProgress || legs[0].DeviceID != s.annDev || legs[1].Kind != route.Callee {
		t.Errorf("%+v, %+v", c, legs)
	}
	if kinds := fmt.Sprint(s.events(c.ID)); strings.Contains(kinds, "RING") {
		t.Errorf("a device that calls does not ring: %s", kinds)
	}
}

// R093-R095: colleagues call each other; the first of the devices to answer wins.
func TestColleaguesCallEachOther(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.grant()
	second := id.New(id.Device)
	s.exec(`INSERT INTO device (organization_id, id, user_id, name, platform, registered_at, last_seen_at) VALUES ($1, $2, $3, 'Phone', 'IOS', $4, $4)`, s.org, second, s.bob, s.sec(5))
	s.exec(`UPDATE twilio_connection SET outgoing_recording = 'FROM_ANSWER'`)
	doc := xml(t, s.appCalls(1, s.annDev, map[string]string{"userId": s.bob.String()}))
	if strings.Count(doc, "<Client") != 2 || strings.Contains(doc, "record") || strings.Index(doc, second.String()) > strings.Index(doc, s.bobDev.String()) {
		t.Errorf("the colleague's devices, the one seen last first, unrecorded: %s", doc)
	}
	c, legs := s.only()
	if c.Direction != call.Internal || c.From().Display != "Ann" || c.To().Display != "Bob" || !c.PhoneNumberID.IsZero() || c.CallerID() != nil || len(legs) != 3 {
		t.Fatalf("%s from %q to %q by %s, caller ID %v, %d legs", c.Direction, c.From().Display, c.To().Display, c.PhoneNumberID, c.CallerID(), len(legs))
	}
	s.leg(c, legOf(legs, s.bobDev), 11, "ringing", 1, 1)
	s.leg(c, legOf(legs, second), 12, "ringing", 1, 1)
	s.leg(c, legOf(legs, second), 12, "in-progress", 4, 2)
	s.leg(c, legOf(legs, s.bobDev), 11, "no-answer", 4, 2)
	c, legs = s.only()
	if c.Status != call.InProgress || c.AnsweredByID != s.bob || *legOf(legs, s.bobDev).Outcome != call.AnsweredElsewhere || legOf(legs, s.bobDev).AnsweredByID != s.bob {
		t.Errorf("answered: %s by %s, the other device %v", c.Status, c.AnsweredByID, *legOf(legs, s.bobDev).Outcome)
	}
	s.afterDial(c, 2, "completed", "in-progress", 12, 20)
	s.over(1, "completed", 24, 24)
	if c, legs = s.only(); c.Status != call.Completed || *c.EndReason != route.HungUp || *c.TalkSeconds != 20 || *legs[0].Outcome != call.Answered {
		t.Errorf("%s %v, talk %d", c.Status, *c.EndReason, *c.TalkSeconds)
	}
}

func TestAColleagueWhoDeclinesIsSaidToDecline(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.grant()
	s.appCalls(1, s.annDev, map[string]string{"userId": s.bob.String()})
	c, legs := s.only()
	s.leg(c, legOf(legs, s.bobDev), 11, "busy", 3, 1)
	if doc := xml(t, s.afterDial(c, 2, "busy", "in-progress", 11, 0)); !strings.Contains(doc, "cannot take the call") {
		t.Errorf("the caller hears %s", doc)
	}
	s.over(1, "completed", 6, 6)
	if c, legs = s.only(); c.Status != call.Missed || *c.EndReason != route.Declined || *legOf(legs, s.bobDev).Outcome != call.Declined {
		t.Errorf("%s %s", c.Status, *c.EndReason)
	}
}

func TestWhoCannotBeCalledInsideIsNamedWithTheReason(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		sql  string
		code errs.Code
		says string
	}{
		"no device":   {`UPDATE device SET removed_at = last_seen_at WHERE user_id = (SELECT id FROM "user" WHERE name = 'Bob')`, errs.Conflict, "no device of theirs is ready"},
		"not ready":   {`UPDATE device SET network = 'OFFLINE' WHERE user_id = (SELECT id FROM "user" WHERE name = 'Bob')`, errs.Conflict, "no device of theirs is ready"},
		"disabled":    {`UPDATE "user" SET status = 'DISABLED' WHERE name = 'Bob'`, errs.Conflict, "not an active user"},
		"no receiver": {`UPDATE role SET permissions = '{CALL_MAKE}'`, errs.Conflict, "role does not permit"},
		"no number":   {`UPDATE phone_number SET is_enabled = false`, errs.Conflict, "no number is enabled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.exec(x.sql)
			if _, err := s.starts(s.office(s.ann), call.StartInput{UserID: s.bob}); !errs.IsCode(err, x.code) || !strings.Contains(err.Error(), x.says) {
				t.Errorf("%v, want %q", err, x.says)
			}
		})
	}
	s := newStage(t)
	for name, in := range map[string]call.StartInput{
		"and a number": {UserID: s.bob, To: theirs}, "and a contact": {UserID: s.bob, ContactID: id.New(id.Contact)}, "with a campaign": {UserID: s.bob, CampaignID: id.New(id.Campaign)},
		"a machine": {UserID: s.bob, DetectMachine: true}, "a caller ID": {UserID: s.bob, PhoneNumberID: s.number}, "oneself": {UserID: s.ann},
	} {
		if _, err := s.starts(s.office(s.ann), in); !errs.IsCode(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.exec(`UPDATE device SET removed_at = last_seen_at WHERE user_id = $1`, s.bob)
	s.sipDomain("acme.sip.twilio.com")
	s.exec(`UPDATE "user" SET sip_address = 'sip:bob@acme.sip.twilio.com' WHERE id = $1`, s.bob)
	if _, err := s.starts(s.office(s.ann), call.StartInput{UserID: s.bob}); err != nil {
		t.Errorf("a SIP phone is left to ring: %v", err)
	}
}

// R094: with the switch off, a call between colleagues stands in no log; whoever
// takes part sees it while it goes on and hears of its end.
func TestCallsBetweenColleaguesAreLoggedAsTheOrganizationWants(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.grant("CALL_VIEW")
	s.exec(`UPDATE organization SET disabled_features = '{INTERNAL_CALL_LOG}'`)
	third, _ := s.person("Cec")
	s.appCalls(1, s.annDev, map[string]string{"userId": s.bob.String()})
	count := func(user id.ID, live bool) int {
		who := s.office(user)
		who.Permissions[access.CallView], who.Permissions[access.LiveView] = struct{}{}, struct{}{}
		w, err := s.calls.List(access.With(s.ctx, who), who, call.Filter{Live: live}, db.Page{})
		n, err2 := s.calls.Count(access.With(s.ctx, who), who, call.Filter{Live: live})
		if err != nil || err2 != nil || n != len(w.Nodes) {
			t.Fatalf("%d of %d, %v, %v", len(w.Nodes), n, err, err2)
		}
		return n
	}
	for _, live := range []bool{true, false} {
		if a, b, c := count(s.ann, live), count(s.bob, live), count(third, live); a != 1 || b != 1 || c != 0 {
			t.Errorf("while it goes on (live %t) it is seen %d, %d and by the third %d times", live, a, b, c)
		}
	}
	c, _ := s.only()
	s.over(1, "no-answer", 5, 0)
	if a, b := count(s.ann, false), count(s.bob, false); a != 0 || b != 0 {
		t.Errorf("in the log it stands %d and %d times", a, b)
	}
	if got, err := s.calls.Whole(access.With(s.ctx, s.boss()), s.boss(), c.ID); err != nil || got.EndedAt == nil {
		t.Errorf("whoever took part hears of the end: %v, %v", got, err)
	}
	other := s.office(third)
	other.Permissions[access.CallView] = struct{}{}
	if _, err := s.calls.Get(access.With(s.ctx, other), other, c.ID); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("somebody else: %v", err)
	}
}

// D17, R080: asking first gives what starting gives.
func TestTheExplanationIsWhatStartingDoes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(`UPDATE organization SET dial_format = 'NATIONAL'`)
	who := s.office(s.ann)
	explain := func(in call.StartInput) *call.CallerIDExplanation {
		x, err := s.calls.ExplainCallerID(access.With(s.ctx, who), who, in)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := explain(call.StartInput{To: "0400 999 888"})
	c, err := s.starts(who, call.StartInput{To: "0400 999 888"})
	if err != nil || x.CallerID == nil || *x.CallerID != *c.CallerID() || x.PhoneNumberID != s.number || *x.To != theirs || *x.Dialled != "0400999888" || len(x.Refused) != 0 ||
		len(x.Trace) == 0 || len(x.Notices()) != 1 {
		t.Errorf("%+v for %+v, %v", x, c, err)
	}
	s.exec(`UPDATE device SET removed_at = last_seen_at`)
	x = explain(call.StartInput{To: "+33123456789"})
	var codes []string
	for _, e := range x.Refused {
		codes = append(codes, string(e.Code)+" "+strings.Join(e.Field, "."))
	}
	if fmt.Sprint(codes) != "[FORBIDDEN to CONFLICT ]" || x.CallerID != nil || *x.To != "+33123456789" {
		t.Errorf("all refusals at once: %v, %+v", codes, x)
	}
	if x = explain(call.StartInput{}); len(x.Refused) == 0 || x.To != nil {
		t.Errorf("nobody to call: %+v", x)
	}
	if n, err := s.calls.Count(access.With(s.ctx, s.boss()), s.boss(), call.Filter{}); err != nil || n != 1 {
		t.Errorf("explaining made calls: %d, %v", n, err)
	}
}
