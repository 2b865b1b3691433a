package followup_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/notify"
	"switchboard/internal/secret"
	"switchboard/internal/testkit"
	"switchboard/internal/voicemail"
)

func titles(rows []*followup.Notification) (out []string) {
	for _, n := range rows {
		out = append(out, n.Title)
	}
	return out
}

func TestThoseWhomACallRangAreToldThatItWasMissed(t *testing.T) { // R189
	s := newStage(t)
	known := s.contact("Carl Jones", carl, id.ID{})
	s.ended(s.inbound(carl, func(c *calling) { c.contact, c.rang = known, []id.ID{s.ann.UserID, s.cat.UserID} }))
	s.pass(time.Second)
	s.ended(s.inbound(dora, func(c *calling) { c.rang = nil })) // nobody could be rung: the branch is told
	s.ended(s.inbound("anonymous", func(c *calling) { c.ignored = true }))
	if got := titles(s.told(s.ann)); !slices.Equal(got, []string{"Missed call from " + dora, "Missed call from Carl Jones"}) {
		t.Errorf("ann was told %q", got)
	}
	if got := titles(s.told(s.bob)); !slices.Equal(got, []string{"Missed call from " + dora}) {
		t.Errorf("bob was told %q", got)
	}
	if got := s.told(s.cat); len(got) != 1 || got[0].FollowUpID.IsZero() || got[0].CallID.IsZero() || got[0].ReadAt != nil {
		t.Errorf("cat was told %+v", got)
	}
	// cat's role cannot see contacts: she reads the number that rang her.
	if got := titles(s.told(s.cat)); !slices.Equal(got, []string{"Missed call from " + carl}) {
		t.Errorf("cat reads %q", got)
	}
	// A fieldworker who sees no contact details reads no number (R241).
	hidden := s.ann
	hidden.IsFieldworker, hidden.Switched = true, []access.FieldworkerOption{access.DisplayContactDetails}
	for _, text := range titles(s.told(hidden)) {
		if strings.Contains(text, "570157") {
			t.Errorf("she reads %q", text)
		}
	}
	if f := s.list(hidden, followup.Filter{Text: "570157"}); len(f) != 0 {
		t.Error("she finds the number by its digits")
	}
	// Nothing of that is kept in the rows.
	if n := s.count(`SELECT count(*) FROM notification n WHERE n.organization_id = $1 AND n::text LIKE '%570%'`, s.org); n != 0 {
		t.Error("a number is kept")
	}
}

func TestWhoWasRungIsToldThatAnotherAnswered(t *testing.T) { // R190
	s := newStage(t)
	c := s.inbound(carl, taken(s), func(c *calling) { c.rang = []id.ID{s.ann.UserID, s.bob.UserID} })
	for range 2 { // two devices
		s.tell(call.EventRingEnded, c.id, map[string]any{"userId": s.ann.UserID, "outcome": "ANSWERED_ELSEWHERE", "answeredById": s.bob.UserID})
		s.tell(call.EventRingEnded, c.id, map[string]any{"userId": s.bob.UserID, "outcome": "ANSWERED_ELSEWHERE", "answeredById": s.bob.UserID})
		s.tell(call.EventRingEnded, c.id, map[string]any{"userId": s.cat.UserID, "outcome": "DECLINED"})
	}
	s.ended(c)
	if got := s.told(s.ann); len(got) != 1 || got[0].Kind != followup.ToldAnsweredElsewhere || got[0].Title != "bob answered a call from "+carl || got[0].ActorID != s.bob.UserID {
		t.Errorf("ann was told %q", titles(got))
	}
	if len(s.told(s.bob))+len(s.told(s.cat)) != 0 {
		t.Error("others were told")
	}
}

func TestTheNumbersPeopleAreToldOfAVoicemail(t *testing.T) { // R128, R130, R191
	s := newStage(t)
	s.exec(`INSERT INTO phone_number_voicemail_user (organization_id, phone_number_id, user_id) VALUES ($1, $2, $3), ($1, $2, $4)`, s.org, s.line, s.bob.UserID, s.cat.UserID)
	c := s.inbound(carl, func(c *calling) { c.status, c.rang = call.Voicemail, []id.ID{s.ann.UserID, s.bob.UserID} })
	s.ended(c) // told before its voicemail
	vm := s.voicemail(c, id.ID{})
	s.received(vm, c)
	got := s.told(s.bob)
	if len(got) != 1 || got[0].Kind != followup.ToldVoicemailReceived || got[0].VoicemailID != vm || got[0].FollowUpID.IsZero() || got[0].Title != "Voicemail from "+carl {
		t.Errorf("bob was told %q", titles(got))
	}
	if got := s.told(s.ann); len(got) != 1 || got[0].Kind != followup.ToldMissedCall {
		t.Errorf("ann, whom it rang, was told %q", titles(got))
	}
	if got := s.told(s.cat); len(got) != 0 { // she may not listen
		t.Errorf("cat was told %q", titles(got))
	}
	// The number says how.
	s.must(s.svc.SetVoicemailChannels(s.ctx, s.admin, s.line, []followup.Channel{followup.Email}))
	s.refused(s.svc.SetVoicemailChannels(s.ctx, s.ann, s.line, nil), errs.Forbidden)
	s.refused(s.svc.SetVoicemailChannels(s.ctx, s.admin, id.New(id.PhoneNumber), nil), errs.NotFound)
	other := s.inbound(dora, func(c *calling) { c.status, c.rang = call.Voicemail, nil })
	s.received(s.voicemail(other, id.ID{}), other)
	if got := s.told(s.bob); len(got) != 1 {
		t.Errorf("bob was told in the app too: %q", titles(got))
	}
	ways, err := s.svc.VoicemailChannelsByNumbers(s.ctx, []id.ID{s.line, id.New(id.PhoneNumber)})
	s.must(err)
	if !slices.Equal(ways[s.line], []followup.Channel{followup.Email}) {
		t.Errorf("the number says %v", ways)
	}
}

func TestWhatIsOldOrDeletedIsToldNoMore(t *testing.T) {
	s := newStage(t)
	old := s.inbound(carl, func(c *calling) { c.status = call.Voicemail })
	vm := s.voicemail(old, s.bob.UserID)
	s.ended(old)
	s.received(vm, old)
	s.pass(48 * time.Hour)
	gone := s.inbound(dora, func(c *calling) { c.status = call.Voicemail })
	deleted := s.voicemail(gone, s.bob.UserID)
	s.exec(`UPDATE recording SET status = 'DELETED', deleted_at = $2 WHERE organization_id = $1 AND call_id = $3`, s.org, s.clk.Now(), gone.id)
	s.ended(gone)
	s.exec(`DELETE FROM notification WHERE organization_id = $1`, s.org) // as after ninety days
	s.tell(voicemail.EventUpdated, vm, map[string]any{"callId": old.id})
	s.tell(call.EventUpdated, old.id, nil)
	s.tell(voicemail.EventUpdated, deleted, map[string]any{"callId": gone.id})
	s.settle()
	if got := s.told(s.bob); len(got) != 0 {
		t.Errorf("bob was told %q", titles(got))
	}
	if got := s.told(s.ann); !slices.Equal(titles(got), []string{"Missed call from " + dora}) { // of today, and it rang her
		t.Errorf("ann was told %q", titles(got))
	}
}

func (s *stage) message(from string, assigned id.ID) id.ID {
	s.Helper()
	thread, m := id.New(id.Thread), id.New(id.Message)
	s.exec(`INSERT INTO sms_thread (organization_id, id, phone_number_id, their_number, branch_id, assigned_user_id, last_message_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)`,
		s.org, thread, s.line, from, s.branch, assigned, s.clk.Now())
	s.exec(`INSERT INTO message (organization_id, id, thread_id, direction, status, body, from_number, to_number, at, updated_at) VALUES ($1, $2, $3, 'INBOUND', 'RECEIVED', 'Hello', $4, $5, $6, $6)`,
		s.org, m, thread, from, office, s.clk.Now())
	s.tell(message.ReceivedEvent, m, nil)
	s.tell(message.ReceivedEvent, m, nil)
	s.settle()
	return m
}

func TestWhoAnswersAThreadIsToldOfItsMessages(t *testing.T) { // R196
	s := newStage(t)
	m := s.message(carl, s.ann.UserID)
	if got := s.told(s.ann); len(got) != 1 || got[0].MessageID != m || got[0].Title != "Message from "+carl {
		t.Errorf("ann was told %q", titles(got))
	}
	if len(s.told(s.bob)) != 0 {
		t.Error("bob was told of ann's thread")
	}
	s.message(dora, id.ID{}) // nobody's: the branch
	if len(s.told(s.ann)) != 2 || len(s.told(s.bob)) != 1 || len(s.told(s.cat)) != 0 {
		t.Error("the branch was not told of a thread that is nobody's, or others were")
	}
}

func TestACallThatIsTransferredIsAnnouncedOnce(t *testing.T) {
	s := newStage(t)
	c := s.inbound(carl, taken(s), func(c *calling) { c.status, c.rang = call.InProgress, []id.ID{s.bob.UserID, s.cat.UserID} })
	raw, err := json.Marshal(call.Transfer{Mode: call.Blind, Status: call.TransferRinging, ByID: s.bob.UserID, ToUserID: s.cat.UserID, StartedAt: s.clk.Now()})
	s.must(err)
	s.exec(`UPDATE call SET transfer = $3::jsonb WHERE organization_id = $1 AND id = $2`, s.org, c.id, string(raw))
	s.tell(call.EventUpdated, c.id, nil)
	s.tell(call.EventRingStarted, c.id, map[string]any{"userId": s.cat.UserID})
	s.settle()
	if got := s.told(s.cat); len(got) != 1 || got[0].Kind != followup.ToldCallTransferred || got[0].Title != "bob transfers a call to you: "+carl {
		t.Errorf("cat was told %q", titles(got))
	}

	// To a branch: those whom the transfer rings, not those whom the call rang before.
	s.pass(time.Minute)
	ring := func(c *calling, user id.ID, purpose string) {
		s.exec(`INSERT INTO call_leg (organization_id, id, call_id, kind, user_id, to_address, status, purpose, started_at, updated_at) VALUES ($1, $2, $3, 'DEVICE', $4, 'x', 'RINGING', $5, $6, $6)`,
			s.org, id.New(id.Leg), c.id, user, purpose, s.clk.Now())
	}
	c = s.inbound(dora, taken(s), func(c *calling) { c.status, c.rang = call.InProgress, []id.ID{s.bob.UserID} })
	ring(c, s.admin.UserID, "TRANSFER") // an earlier one
	s.pass(time.Minute)
	raw, err = json.Marshal(call.Transfer{Mode: call.Blind, Status: call.TransferRinging, ByID: s.bob.UserID, ToBranchID: s.branch, StartedAt: s.clk.Now()})
	s.must(err)
	s.exec(`UPDATE call SET transfer = $3::jsonb WHERE organization_id = $1 AND id = $2`, s.org, c.id, string(raw))
	ring(c, s.ann.UserID, "TRANSFER")
	ring(c, s.ann.UserID, "TRANSFER") // her other device
	s.tell(call.EventUpdated, c.id, nil)
	s.tell(call.EventRingStarted, c.id, map[string]any{"userId": s.ann.UserID})
	s.settle()
	for who, want := range map[*access.Actor][]string{&s.ann: {"bob transfers a call to you: " + dora}, &s.bob: nil, &s.admin: nil} {
		if got := titles(s.told(*who, followup.ToldCallTransferred)); !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

func TestPeopleChooseWhatTheyAreToldOf(t *testing.T) { // R197
	s := newStage(t)
	rows, err := s.svc.Preferences(s.ctx, s.ann, id.ID{})
	s.must(err)
	if len(rows) != len(followup.NotificationKinds) || !rows[0].IsDefault || !slices.Contains(rows[0].Channels, followup.InApp) {
		t.Fatalf("at first ann has %+v", rows)
	}
	none, mail := []followup.Channel{}, []followup.Channel{followup.Email, followup.InApp}
	_, err = s.svc.SetDefaults(s.ctx, s.admin, s.ann.RoleID, []followup.PreferenceChange{{Kind: followup.ToldMissedCall, Channels: &none}})
	s.must(err)
	_, err = s.svc.SetDefaults(s.ctx, s.ann, s.ann.RoleID, nil)
	s.refused(err, errs.Forbidden)
	s.ended(s.inbound(carl))
	if n := len(s.told(s.ann)); n != 0 {
		t.Errorf("her role says nothing, and she was told %d times", n)
	}
	rows, err = s.svc.SetPreferences(s.ctx, s.ann, id.ID{}, []followup.PreferenceChange{{Kind: followup.ToldMissedCall, Channels: &mail}})
	s.must(err)
	if rows[0].IsDefault || !slices.Equal(rows[0].Channels, []followup.Channel{followup.InApp, followup.Email}) {
		t.Errorf("she chose %+v", rows[0])
	}
	s.ended(s.inbound(dora))
	if n := len(s.told(s.ann)); n != 1 {
		t.Errorf("she chose the app, and was told %d times", n)
	}
	if _, err = s.svc.SetPreferences(s.ctx, s.ann, id.ID{}, []followup.PreferenceChange{{Kind: followup.ToldMissedCall}}); err != nil {
		t.Fatal(err)
	}
	s.ended(s.inbound("+61491570158"))
	if n := len(s.told(s.ann)); n != 1 {
		t.Errorf("she went back to her role's, and was told %d times", n)
	}
	_, err = s.svc.SetPreferences(s.ctx, s.ann, s.bob.UserID, []followup.PreferenceChange{{Kind: followup.ToldMissedCall}})
	s.refused(err, errs.Forbidden)
	_, err = s.svc.SetPreferences(s.ctx, s.admin, s.bob.UserID, []followup.PreferenceChange{{Kind: followup.ToldMissedCall}, {Kind: followup.ToldMissedCall}})
	s.refused(err, errs.Invalid)
	_, err = s.svc.SetPreferences(s.ctx, s.admin, id.New(id.User), []followup.PreferenceChange{{Kind: followup.ToldMissedCall}})
	s.refused(err, errs.NotFound)
}

func TestSwitchesOfAUserHideThePopupAndTheSound(t *testing.T) { // R076, R077
	s := newStage(t, func(d *followup.Deps) { d.WebPush = pusher(t) })
	s.subscribe(s.ann)
	s.exec(`UPDATE "user" SET display_notifications = false, silent_notifications = true WHERE organization_id = $1 AND id = $2`, s.org, s.ann.UserID)
	s.ended(s.inbound(carl))
	if got := s.told(s.ann); len(got) != 1 || got[0].ShowPopup || !got[0].IsSilent {
		t.Errorf("ann was told %+v", got)
	}
	if n := len(s.out.all()); n != 0 {
		t.Errorf("%d pushes popped up", n)
	}
}

func TestNotificationsAreTheirReadersAlone(t *testing.T) {
	s := newStage(t)
	s.ended(s.inbound(carl))
	s.pass(time.Second)
	s.ended(s.inbound(dora))
	s.pass(time.Second)
	s.ended(s.inbound("+61491570158"))
	mine := s.told(s.ann)
	if n, err := s.svc.Unread(s.ctx, s.ann); err != nil || n != 3 {
		t.Fatalf("%d are unread (%v)", n, err)
	}
	_, err := s.svc.Notification(s.ctx, s.bob, mine[0].ID)
	s.refused(err, errs.NotFound)
	_, err = s.svc.Notification(s.ctx, s.admin, mine[0].ID)
	s.refused(err, errs.NotFound)
	read, left, err := s.svc.MarkRead(s.ctx, s.bob, []id.ID{mine[0].ID}, nil)
	if s.must(err); read != 0 || left != 0 {
		t.Errorf("bob read %d of ann's", read)
	}
	read, left, err = s.svc.MarkRead(s.ctx, s.ann, []id.ID{mine[0].ID, mine[0].ID}, nil)
	if s.must(err); read != 1 || left != 2 {
		t.Errorf("read %d, left %d", read, left)
	}
	read, left, err = s.svc.MarkRead(s.ctx, s.ann, nil, &mine[1].At)
	if s.must(err); read != 2 || left != 0 {
		t.Errorf("read %d, left %d", read, left)
	}
	_, _, err = s.svc.MarkRead(s.ctx, s.ann, nil, nil)
	s.refused(err, errs.Required)
	_, _, err = s.svc.MarkRead(s.ctx, s.ann, make([]id.ID, 101), nil)
	s.refused(err, errs.LimitReached)
	machine := access.Actor{OrganizationID: s.org, APIKeyID: id.New(id.APIKey), Permissions: access.SetOf(access.All...), Visibility: access.SeesOrganization}
	_, err = s.svc.Notifications(s.ctx, machine, followup.NotificationFilter{}, db.Page{})
	s.refused(err, errs.Forbidden)
	if n := s.count(`SELECT count(*) FROM event WHERE organization_id = $1 AND kind = 'NOTIFICATION_UPDATED' AND data ->> 'userId' IS NULL`, s.org); n != 0 {
		t.Errorf("%d events do not say whose they are", n)
	}
}

func pusher(t *testing.T) *notify.WebPush {
	t.Helper()
	key, err := notify.NewWebPushKey()
	if err != nil {
		t.Fatal(err)
	}
	w, err := notify.NewWebPush(key, "ops@example.com", http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// subscribe has somebody notified in a browser of the stage's push service.
func (s *stage) subscribe(who access.Actor) (*testkit.Browser, *followup.PushSubscription) {
	s.Helper()
	at := httptest.NewServer(s.out)
	s.Cleanup(at.Close)
	b := testkit.NewBrowser(s.T)
	p, err := s.svc.Subscribe(s.ctx, who, notify.Browser{Endpoint: at.URL + "/push/" + who.UserID.String(), P256DH: b.P256DH, Auth: b.Auth}, "Chrome")
	s.must(err)
	return b, p
}

// sendings are what became of somebody's notifications on one way.
func (s *stage) sendings(who access.Actor, c followup.Channel) (out []*followup.Sending) {
	s.Helper()
	w, err := s.svc.Notifications(s.ctx, who, followup.NotificationFilter{}, db.Page{First: 100})
	s.must(err)
	var ids []id.ID
	for _, n := range w.Nodes {
		ids = append(ids, n.ID)
	}
	m, err := s.svc.SendingsByNotifications(s.ctx, ids)
	s.must(err)
	for _, x := range ids {
		for _, y := range m[x] {
			if y.Channel == c {
				out = append(out, y)
			}
		}
	}
	return out
}

func TestABrowserIsPushedWhatItsReaderMayRead(t *testing.T) {
	s := newStage(t, func(d *followup.Deps) { d.WebPush = pusher(t) })
	b, p := s.subscribe(s.ann)
	s.ended(s.inbound(carl))
	posts := s.out.all()
	if len(posts) != 1 {
		t.Fatalf("%d pushes went out, want one", len(posts))
	}
	text, err := b.Read(posts[0].body)
	s.must(err)
	var got struct {
		Kind, Title, CallID, FollowUpID, SubjectID string
		IsSilent                                   bool
		UnreadCount                                int
	}
	s.must(json.Unmarshal([]byte(text), &got))
	if got.Kind != "MISSED_CALL" || got.Title != "Missed call from "+carl || got.CallID == "" || got.FollowUpID == "" || got.SubjectID != got.CallID || got.UnreadCount != 1 {
		t.Errorf("the browser reads %s", text)
	}
	if topic := posts[0].header.Get("Topic"); len(topic) != 26 || posts[0].header.Get("Urgency") != "high" {
		t.Errorf("topic %q, urgency %q", topic, posts[0].header.Get("Urgency"))
	}
	if x := s.sendings(s.ann, followup.WebPush); len(x) != 1 || x[0].Status != followup.SendingSent || x[0].FinishedAt == nil {
		t.Errorf("the sending is %+v", x[0])
	}
	mine, err := s.svc.Subscriptions(s.ctx, s.ann)
	s.must(err)
	if len(mine) != 1 || mine[0].LastSentAt == nil || mine[0].Host != "127.0.0.1" {
		t.Errorf("her subscriptions are %+v", mine)
	}
	s.refused(s.svc.Unsubscribe(s.ctx, s.bob, p.ID), errs.NotFound)
	s.must(s.svc.Unsubscribe(s.ctx, s.ann, p.ID))
	s.ended(s.inbound(dora))
	if len(s.out.all()) != 1 {
		t.Error("she unsubscribed, and was pushed")
	}
	if n := s.count(`SELECT count(*) FROM push_subscription p WHERE p.organization_id = $1 AND p::text LIKE '%push/%'`, s.org); n != 0 {
		t.Error("an endpoint is kept in the clear")
	}
}

func TestASubscriptionThatIsGoneIsForgotten(t *testing.T) {
	s := newStage(t, func(d *followup.Deps) { d.WebPush = pusher(t) })
	s.subscribe(s.ann)
	s.out.says(410)
	s.ended(s.inbound(carl))
	if mine, err := s.svc.Subscriptions(s.ctx, s.ann); err != nil || len(mine) != 0 {
		t.Errorf("%d are left (%v)", len(mine), err)
	}
	if x := s.sendings(s.ann, followup.WebPush); len(x) != 1 || x[0].Status != followup.SendingFailed {
		t.Errorf("the sending is %+v", x)
	}
}

func TestAPushThatFailsIsTriedAgainAndGivenUp(t *testing.T) {
	s := newStage(t, func(d *followup.Deps) { d.WebPush = pusher(t) })
	s.subscribe(s.ann)
	s.out.says(503)
	s.ended(s.inbound(carl))
	for i, wait := range []time.Duration{30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour} {
		if n := len(s.out.all()); n != i+1 {
			t.Fatalf("after %d waits %d pushes were tried", i, n)
		}
		s.pass(wait - time.Second)
		if n := len(s.out.all()); n != i+1 {
			t.Fatalf("push %d came too early", n)
		}
		s.pass(2 * time.Second)
	}
	s.pass(24 * time.Hour)
	if n := len(s.out.all()); n != 5 {
		t.Errorf("%d pushes were tried, want 5", n)
	}
	if x := s.sendings(s.ann, followup.WebPush); x[0].Status != followup.SendingFailed || x[0].Reason == nil {
		t.Errorf("the sending is %+v", x[0])
	}
}

func TestAnAttemptThatNobodyFinishedIsMadeAgain(t *testing.T) { // killed between claim and answer
	s := newStage(t, func(d *followup.Deps) { d.WebPush = pusher(t) })
	s.subscribe(s.ann)
	c := s.inbound(carl)
	s.close() // nothing is sent while this is written
	s.must(s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		return s.svc.Notify(ctx, tx, followup.Notice{Kind: followup.ToldMissedCall, Users: []id.ID{s.ann.UserID}, Key: "x", SubjectID: c.id, CallID: c.id})
	}))
	s.exec(`UPDATE notification_sending SET attempts = 1, due_at = $2 WHERE organization_id = $1`, s.org, s.clk.Now().Add(2*time.Minute))
	s.open(func(d *followup.Deps) { d.WebPush = pusher(s.T) })
	s.settle()
	if n := len(s.out.all()); n != 0 {
		t.Fatalf("%d pushes went out while another had it", n)
	}
	s.pass(3 * time.Minute)
	if n := len(s.out.all()); n != 1 {
		t.Errorf("%d pushes went out, want one", n)
	}
}

func TestPermissionIsAskedWhenSomethingIsSent(t *testing.T) {
	for name, x := range map[string]struct {
		why    string
		change func(s *stage)
	}{
		"role": {"her role sees no calls of the branch any more", func(s *stage) {
			s.exec(`UPDATE role SET permissions = '{}', visibility = 'OWN' WHERE organization_id = $1 AND id = $2`, s.org, s.bob.RoleID)
		}},
		"branch": {"the branch is not hers any more", func(s *stage) {
			s.exec(`DELETE FROM branch_user WHERE organization_id = $1 AND user_id = $2`, s.org, s.bob.UserID)
		}},
		"disabled": {"she may not sign in", func(s *stage) {
			s.exec(`UPDATE "user" SET status = 'DISABLED' WHERE organization_id = $1 AND id = $2`, s.org, s.bob.UserID)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, func(d *followup.Deps) { d.WebPush = pusher(t) })
			s.subscribe(s.bob)
			s.out.says(503) // it fails at first; then much changes
			s.ended(s.inbound(carl, func(c *calling) { c.rang = nil }))
			if len(s.out.all()) != 1 {
				t.Fatalf("%d pushes were tried", len(s.out.all()))
			}
			x.change(s)
			s.out.says(201)
			s.pass(time.Minute)
			if n := len(s.out.all()); n != 1 {
				t.Errorf("it was sent: %s", x.why)
			}
			if n := s.count(`SELECT count(*) FROM notification_sending WHERE organization_id = $1 AND status = 'SKIPPED'`, s.org); n != 1 {
				t.Errorf("%d were skipped", n)
			}
		})
	}
}

func TestABrowserWhoseSessionEndedIsNotPushed(t *testing.T) {
	s := newStage(t, func(d *followup.Deps) { d.WebPush = pusher(t) })
	session := id.New(id.Session)
	s.exec(`INSERT INTO session (organization_id, id, user_id, login_id, refresh_hash, expires_at, refreshed_at) VALUES ($1, $2, $3, $4, 'x', $5, $6)`,
		s.org, session, s.ann.UserID, id.New(id.Login), start.AddDate(0, 1, 0), start)
	who := s.ann
	who.SessionID = session
	s.subscribe(who)
	s.ended(s.inbound(carl))
	if len(s.out.all()) != 1 {
		t.Fatal("a session that lives is not pushed")
	}
	s.exec(`UPDATE session SET ended_at = $2 WHERE organization_id = $1`, s.org, s.clk.Now())
	s.ended(s.inbound(dora))
	if len(s.out.all()) != 1 {
		t.Error("she signed out, and was pushed")
	}
	if mine, err := s.svc.Subscriptions(s.ctx, who); err != nil || len(mine) != 0 {
		t.Errorf("%d subscriptions are left (%v)", len(mine), err)
	}
}

func TestABrowserThatSomebodyElseUsesNowIsTheirs(t *testing.T) {
	s := newStage(t, func(d *followup.Deps) { d.WebPush = pusher(t) })
	b := testkit.NewBrowser(t)
	at := httptest.NewServer(s.out)
	t.Cleanup(at.Close)
	in := notify.Browser{Endpoint: at.URL + "/shared", P256DH: b.P256DH, Auth: b.Auth}
	for _, who := range []access.Actor{s.ann, s.bob} {
		_, err := s.svc.Subscribe(s.ctx, who, in, "")
		s.must(err)
	}
	if mine, _ := s.svc.Subscriptions(s.ctx, s.ann); len(mine) != 0 {
		t.Error("ann is still pushed on bob's browser")
	}
	in.Endpoint = "https://10.1.2.3/x"
	_, err := s.svc.Subscribe(s.ctx, s.ann, in, "")
	s.refused(err, errs.Invalid)
	for i := range 20 {
		in.Endpoint = at.URL + "/" + strings.Repeat("x", i+1)
		_, err := s.svc.Subscribe(s.ctx, s.ann, in, "")
		s.must(err)
	}
	in.Endpoint = at.URL + "/one-more"
	_, err = s.svc.Subscribe(s.ctx, s.ann, in, "")
	s.refused(err, errs.LimitReached)
}

func mailer(t *testing.T, box *testkit.Mailbox) *notify.Mailer {
	t.Helper()
	m, err := notify.NewMailer("smtp://"+box.Addr+"?tls=none", "Switchboard <phone@example.com>")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWhatIsReadInTheAppIsNotMailed(t *testing.T) {
	box := testkit.NewMailbox(t, nil)
	s := newStage(t, func(d *followup.Deps) { d.Mail = mailer(t, box) })
	ways := []followup.Channel{followup.InApp, followup.Email}
	for _, who := range []access.Actor{s.ann, s.bob} {
		_, err := s.svc.SetPreferences(s.ctx, who, id.ID{}, []followup.PreferenceChange{{Kind: followup.ToldMissedCall, Channels: &ways}})
		s.must(err)
	}
	s.ended(s.inbound(carl, func(c *calling) { c.rang = []id.ID{s.ann.UserID, s.bob.UserID} }))
	s.pass(time.Minute)
	if n := len(box.Received().Mails); n != 0 {
		t.Fatalf("%d mails went out at once", n)
	}
	_, _, err := s.svc.MarkRead(s.ctx, s.ann, []id.ID{s.told(s.ann)[0].ID}, nil)
	s.must(err)
	s.pass(2 * time.Minute)
	got := box.Received()
	if len(got.Mails) != 1 || !strings.Contains(got.To[0], "bob@example.com") || !strings.Contains(got.Mails[0], "Subject: Missed call from "+carl) {
		t.Errorf("mails went to %q:\n%s", got.To, strings.Join(got.Mails, "\n---\n"))
	}
	if x := s.sendings(s.ann, followup.Email); len(x) != 1 || x[0].Status != followup.SendingSkipped || x[0].Reason == nil {
		t.Errorf("ann's is %+v", x)
	}
}

func TestAPhoneIsToldWithItsToken(t *testing.T) {
	var out *stage
	s := newStage(t)
	out = s
	at := httptest.NewServer(s.out)
	t.Cleanup(at.Close)
	s.out.says(200)
	s.close()
	phones, err := notify.NewPhones(at.URL+"/push", "a secret of some length", http.DefaultClient)
	s.must(err)
	s.open(func(d *followup.Deps) { d.Phones = phones })
	dev := id.New(id.Device)
	sealed, err := s.keys.Seal([]byte("token-1"), s.org.String(), "device.push_sealed "+dev.String())
	s.must(err)
	s.exec(`INSERT INTO device (organization_id, id, user_id, name, platform, registered_at, last_seen_at, push_sealed) VALUES ($1, $2, $3, 'iPhone', 'IOS', $4, $4, $5),
		($1, $6, $3, 'Old', 'IOS', $4, $4, NULL), ($1, $7, $3, 'Web', 'WEB', $4, $4, NULL)`, s.org, dev, s.ann.UserID, start, sealed, id.New(id.Device), id.New(id.Device))
	s.ended(s.inbound(carl))
	posts := out.out.all()
	if len(posts) != 1 {
		t.Fatalf("%d posts, want one", len(posts))
	}
	var got struct {
		Kind, Title, UserID, OrganizationID string
		Device                              struct{ ID, Platform, PushToken string }
	}
	s.must(json.Unmarshal(posts[0].body, &got))
	if got.Title != "Missed call from "+carl || got.Device.PushToken != "token-1" || got.Device.Platform != "IOS" || got.UserID != s.ann.UserID.String() {
		t.Errorf("the provider was told %s", posts[0].body)
	}
	if got := posts[0].header.Get("Switchboard-Signature"); got != notify.Signature(s.clk.Now(), posts[0].body, "a secret of some length") {
		t.Errorf("signed %q", got)
	}
}

func TestTheKeyOfWebPushStaysTheSame(t *testing.T) {
	s := newStage(t)
	first, err := followup.WebPushKey(s.ctx, s.db, s.keys)
	s.must(err)
	second, err := followup.WebPushKey(s.ctx, s.db, s.keys)
	s.must(err)
	if first != second || first == "" {
		t.Error("another start made another key: browsers would have to subscribe again")
	}
	others, err := secret.New()
	s.must(err)
	if _, err := followup.WebPushKey(s.ctx, s.db, others); !errors.Is(err, followup.ErrOtherKeyset) {
		t.Errorf("with another keyset: %v", err)
	}
	if n := s.count(`SELECT count(*) FROM system.web_push_key WHERE position($1::bytea IN sealed) > 0`, []byte(first)); n != 0 {
		t.Error("it is kept in the clear")
	}
}

func TestWhatHappenedLongAgoRingsNobody(t *testing.T) {
	s := newStage(t)
	s.settle()
	s.close()
	c := s.inbound(carl)
	s.tell(call.EventEnded, c.id, nil)
	s.clk.Advance(25 * time.Hour)
	s.open()
	s.settle()
	if f := s.open1(); f.AttemptCount != 1 {
		t.Error("it is not followed up")
	}
	if n := len(s.told(s.ann, followup.ToldMissedCall)); n != 0 {
		t.Errorf("ann was told %d times of yesterday", n)
	}
}
