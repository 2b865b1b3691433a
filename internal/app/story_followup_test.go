package app_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/config"
	"switchboard/internal/demo"
	"switchboard/internal/testkit"
	"switchboard/internal/testkit/stage"
)

// followUpView is a follow-up as a client sees it.
type followUpView struct {
	ID, Kind, Status             string
	From                         struct{ E164, Display string }
	Contact, Owner, ClosedBy     *ref
	EscalatedTo                  *ref
	ClosedByCall                 *struct{ ID string }
	AttemptCount, VoicemailCount int
	DueAt, EscalatedAt           *time.Time
	IsOverdue                    bool
	IsClosedAutomatically        bool
	Outcome                      *string
	Version                      int
	Notes                        []struct {
		Text   string
		Author *ref
	}
	Attempts struct {
		Nodes []struct {
			Call      *struct{ ID, Status string }
			Voicemail *struct{ ID string }
		}
	}
	History struct {
		Nodes []struct {
			Change string
			Actor  *ref
			Call   *struct{ ID string }
			Note   *string
		}
	}
}

const followUpFields = `id kind status from { e164 display } contact { id name } owner { id name } closedBy { id name } escalatedTo { id name } closedByCall { id }
	attemptCount voicemailCount dueAt escalatedAt isOverdue isClosedAutomatically outcome version notes { text author { id name } }
	attempts { nodes { call { id status } voicemail { id } } } history { nodes { change actor { id name } call { id } note } }`

// settled waits until everything that was told has been taken, and what follows done.
func (s *story) settled() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	s.Must(s.App.Events.Drain(ctx))
	s.Settle()
	s.Must(s.App.Events.Drain(ctx))
}

func (s *story) followUps(who *demo.Client, filter demo.Vars) []followUpView {
	s.t.Helper()
	var out struct {
		FollowUps struct{ Nodes []followUpView }
	}
	s.Must(who.Do(s.t.Context(), `query($f: FollowUpFilter) { followUps(first: 100, filter: $f) { nodes { `+followUpFields+` } } }`, demo.Vars{"f": filter}, &out))
	return out.FollowUps.Nodes
}

func (f followUpView) changes() (all []string) {
	for _, e := range f.History.Nodes {
		all = append(all, e.Change)
	}
	slices.Reverse(all)
	return all
}

// missed is a call that nobody answers, to its end.
func (s *story) missed(from, to string) {
	s.t.Helper()
	sid := s.dial(from, to)
	s.Pass(5 * time.Second)
	s.hangUp(sid)
	s.settled()
}

func TestAMissedCallerIsFollowedUpOnceUntilSomebodyReachesThem(t *testing.T) { // R192-R195
	s := newStory(t)
	branch := s.Branch("Office")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann := s.User("ann", "OFFICE", "", branch)
	desk := s.Device(ann, "Desk")
	changes := s.watch(ann.Client, `subscription { followUpChanged { change followUp { id status attemptCount } counts { open mine unassigned overdue } } }`, nil)
	s.fence()

	s.missed(customer, officeNumber)
	s.missed(customer, officeNumber)
	open := s.followUps(ann.Client, demo.Vars{"status": []string{"PENDING"}})
	if len(open) != 1 || open[0].AttemptCount != 2 || len(open[0].Attempts.Nodes) != 2 || open[0].From.E164 != customer || open[0].DueAt == nil || open[0].Owner != nil {
		t.Fatalf("two missed calls of one caller are %+v", open)
	}
	for _, want := range []string{"OPENED", "ATTEMPT"} {
		var got struct {
			FollowUpChanged struct {
				Change string
				Counts struct{ Open, Unassigned int }
			}
		}
		changes.next(&got)
		if got.FollowUpChanged.Change != want || got.FollowUpChanged.Counts.Open != 1 || got.FollowUpChanged.Counts.Unassigned != 1 {
			t.Errorf("ann was sent %+v, want %s", got.FollowUpChanged, want)
		}
	}
	// The call leads to it, and it can be worked on.
	var back struct {
		Calls struct {
			Nodes []struct{ FollowUp *struct{ ID string } }
		}
	}
	s.Must(ann.Client.Do(t.Context(), `{ calls { nodes { followUp { id } } } }`, nil, &back))
	if len(back.Calls.Nodes) != 2 || back.Calls.Nodes[0].FollowUp == nil || back.Calls.Nodes[0].FollowUp.ID != open[0].ID {
		t.Errorf("the calls lead to %+v", back.Calls.Nodes)
	}
	id := open[0].ID
	if code := s.try(ann.Client, `mutation($id: ID!, $u: ID) { followUpAssign(id: $id, userId: $u) { followUp { id } userErrors { code field message } } }`, demo.Vars{"id": id, "u": ann.ID}, nil); code != "" {
		t.Fatal(code)
	}
	if code := s.try(ann.Client, `mutation($id: ID!) { followUpUpdate(id: $id, input: {note: "Asked for a quote", outcome: "Quote"}) { followUp { id } userErrors { code field message } } }`, demo.Vars{"id": id}, nil); code != "" {
		t.Fatal(code)
	}

	// Ann calls back: her device rings first, then the customer answers.
	var started struct {
		FollowUpCallBack struct {
			Call *struct{ ID, Status string }
		}
	}
	s.Must(ann.Client.Do(t.Context(), `mutation($id: ID!, $d: ID) { followUpCallBack(id: $id, input: {deviceId: $d}, idempotencyKey: "once") { call { id status } followUp { id } userErrors { code field message } } }`,
		demo.Vars{"id": id, "d": desk}, &started))
	again := started
	s.Must(ann.Client.Do(t.Context(), `mutation($id: ID!, $d: ID) { followUpCallBack(id: $id, input: {deviceId: $d}, idempotencyKey: "once") { call { id status } followUp { id } userErrors { code field message } } }`,
		demo.Vars{"id": id, "d": desk}, &again))
	if started.FollowUpCallBack.Call == nil || again.FollowUpCallBack.Call.ID != started.FollowUpCallBack.Call.ID {
		t.Fatalf("called back twice: %+v, %+v", started, again)
	}
	s.settled()
	s.answer(desk)
	s.answer(customer)
	s.settled()
	f := s.followUps(ann.Client, nil)[0]
	if f.Status != "RESOLVED" || !f.IsClosedAutomatically || name(f.ClosedBy) != "ann" || f.ClosedByCall == nil || f.ClosedByCall.ID != started.FollowUpCallBack.Call.ID || word(f.Outcome) != "Quote" {
		t.Errorf("after ann reached them it is %+v", f)
	}
	if got := f.changes(); !slices.Equal(got, []string{"OPENED", "ATTEMPT", "ASSIGNED", "NOTED", "OUTCOME_SET", "CALLED_BACK", "CLOSED_BY_CALL"}) {
		t.Errorf("it went %v", got)
	}
	if len(f.Notes) != 1 || f.Notes[0].Text != "Asked for a quote" || name(f.Notes[0].Author) != "ann" {
		t.Errorf("its notes are %+v", f.Notes)
	}
	s.clean()
}

func TestAVoicemailBelongsToTheFollowUpOfItsOwner(t *testing.T) { // R128, R129, R191, D25
	s := newStory(t)
	branch := s.Branch("Office")
	line := s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann, bob := s.User("ann", "OFFICE", "", branch), s.User("bob", "OFFICE", "")
	s.Device(ann, "Desk")
	s.set(line, demo.Vars{
		"routing":   demo.Vars{"ringTimeoutSeconds": 20},
		"voicemail": demo.Vars{"isEnabled": true, "greetingText": "This is the office.", "ownerId": bob.ID, "notifiedUserIds": []string{bob.ID}},
	})
	sid := s.dial(customer, officeNumber)
	s.Pass(21 * time.Second)
	s.speakAndHangUp(sid, 10*time.Second)
	s.settled()

	items := s.followUps(bob.Client, nil)
	if len(items) != 1 || items[0].Kind != "VOICEMAIL" || items[0].AttemptCount != 1 || items[0].VoicemailCount != 1 || name(items[0].Owner) != "bob" || items[0].Attempts.Nodes[0].Voicemail == nil {
		t.Fatalf("bob has %+v", items)
	}
	told := s.notifications(bob.Client)
	if len(told) != 1 || told[0].Kind != "VOICEMAIL_RECEIVED" || told[0].FollowUp == nil || told[0].FollowUp.ID != items[0].ID || told[0].Voicemail == nil || told[0].Voicemail.FollowUp.ID != items[0].ID {
		t.Errorf("bob was told %+v", told)
	}
	if told := s.notifications(ann.Client); len(told) != 1 || told[0].Kind != "MISSED_CALL" {
		t.Errorf("ann, whom it rang, was told %+v", told)
	}
}

// notificationView is a notification as its reader sees it.
type notificationView struct {
	ID, Kind, Title     string
	ReadAt              *time.Time
	IsSilent, ShowPopup bool
	Call                *struct{ ID string }
	Voicemail           *struct {
		ID       string
		FollowUp struct{ ID string }
	}
	FollowUp *struct{ ID, Status string }
	Subject  *struct {
		Typename string `json:"__typename"`
		ID       string
	}
	Actor    *ref
	Sendings []struct{ Channel, Status string }
}

func (s *story) notifications(who *demo.Client) []notificationView {
	s.t.Helper()
	var out struct {
		Notifications struct{ Nodes []notificationView }
	}
	s.Must(who.Do(s.t.Context(), `{ notifications(first: 100) { nodes { id kind title readAt isSilent showPopup call { id } voicemail { id followUp { id } } followUp { id status }
		subject { __typename id } actor { id name } sendings { channel status } } } }`, nil, &out))
	return out.Notifications.Nodes
}

func TestNotificationsReachTheirReaderAloneLiveAndStored(t *testing.T) { // R189, R190, R197
	s := newStory(t)
	branch := s.Branch("Office")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann, bob := s.User("ann", "OFFICE", "", branch), s.User("bob", "OFFICE", "", branch)
	desk, shop := s.Device(ann, "Desk"), s.Device(bob, "Shop")
	const live = `subscription { notificationChanged { unreadCount notification { id kind title readAt actor { name } } } }`
	hers, his := s.watch(ann.Client, live, nil), s.watch(bob.Client, live, nil)
	s.fence()
	after := s.cursor()

	sid := s.dial(customer, officeNumber)
	s.wantRinging(desk, shop)
	s.answer(shop)
	s.settled()
	type told struct {
		NotificationChanged struct {
			UnreadCount  int
			Notification notificationView
		}
	}
	var got told
	hers.next(&got)
	if n := got.NotificationChanged; n.Notification.Kind != "ANSWERED_ELSEWHERE" || name(n.Notification.Actor) != "bob" || n.UnreadCount != 1 || !strings.HasPrefix(n.Notification.Title, "bob answered a call") {
		t.Errorf("ann was sent %+v", n)
	}
	s.hangUp(sid)
	s.missed(manager, officeNumber)
	hers.next(&got)
	if n := got.NotificationChanged; n.Notification.Kind != "MISSED_CALL" || n.UnreadCount != 2 {
		t.Errorf("ann was sent %+v", n)
	}
	got = told{}
	his.next(&got) // bob hears of the missed call, and of nothing that was ann's
	if n := got.NotificationChanged; n.Notification.Kind != "MISSED_CALL" || n.UnreadCount != 1 {
		t.Errorf("bob was sent %+v", n)
	}
	for who, want := range map[*demo.Client]int{ann.Client: 2, bob.Client: 1, s.Admin: 0} {
		if list := s.facts(who, after, "NOTIFICATION_UPDATED"); len(list) != want {
			t.Errorf("%d events of notifications, want %d", len(list), want)
		}
	}

	mine := s.notifications(ann.Client)
	if len(mine) != 2 || mine[0].Subject == nil || mine[0].Subject.Typename != "Call" || mine[0].FollowUp == nil {
		t.Fatalf("ann's list is %+v", mine)
	}
	var node struct{ Node *struct{ ID string } }
	s.Must(bob.Client.Do(t.Context(), `query($id: ID!) { node(id: $id) { id } }`, demo.Vars{"id": mine[0].ID}, &node))
	if node.Node != nil {
		t.Error("bob reads ann's notification")
	}
	var read struct {
		NotificationsMarkRead struct{ ReadCount, UnreadCount int }
	}
	s.Must(bob.Client.Do(t.Context(), `mutation($ids: [ID!]) { notificationsMarkRead(ids: $ids) { readCount unreadCount userErrors { code field message } } }`, demo.Vars{"ids": []string{mine[0].ID}}, &read))
	if read.NotificationsMarkRead.ReadCount != 0 {
		t.Error("bob marked ann's as read")
	}
	s.Must(ann.Client.Do(t.Context(), `mutation($ids: [ID!]) { notificationsMarkRead(ids: $ids) { readCount unreadCount userErrors { code field message } } }`, demo.Vars{"ids": []string{mine[0].ID}}, &read))
	var unread struct {
		Viewer struct{ UnreadNotifications int }
	}
	s.Must(ann.Client.Do(t.Context(), `{ viewer { unreadNotifications } }`, nil, &unread))
	if read.NotificationsMarkRead.ReadCount != 1 || unread.Viewer.UnreadNotifications != 1 {
		t.Errorf("read %+v, unread %d", read, unread.Viewer.UnreadNotifications)
	}
	hers.next(&got)
	if n := got.NotificationChanged; n.Notification.ID != mine[0].ID || n.Notification.ReadAt == nil || n.UnreadCount != 1 {
		t.Errorf("that she read it came as %+v", n)
	}
	// She chooses not to be told.
	s.Must(ann.Client.Do(t.Context(), `mutation { notificationPreferencesSet(input: {preferences: [{kind: MISSED_CALL, channels: []}]}) { notificationPreferences { kind channels isDefault } userErrors { code field message } } }`, nil, nil))
	s.missed(manager, officeNumber)
	if n := len(s.notifications(ann.Client)); n != 2 {
		t.Errorf("she has %d notifications", n)
	}
	if code := s.try(bob.Client, `mutation($u: ID) { notificationPreferencesSet(input: {userId: $u, preferences: [{kind: MISSED_CALL}]}) { userErrors { code field message } } }`, demo.Vars{"u": ann.ID}, nil); code != "FORBIDDEN" {
		t.Errorf("bob chooses for ann: %s", code)
	}
}

func TestOverdueFollowUpsAreEscalatedAndMailed(t *testing.T) {
	box := testkit.NewMailbox(t, nil)
	s := newStory(t, stage.WithConfig(func(c *config.Config) {
		c.SMTPURL, c.MailFrom = "smtp://"+box.Addr+"?tls=none", "Switchboard <phone@example.com>"
	}))
	branch := s.Branch("Office")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann, boss := s.User("ann", "OFFICE", "", branch), s.User("boss", "OFFICE", "")
	s.Device(ann, "Desk")
	set := `mutation($i: FollowUpSettingsInput!) { followUpSettingsUpdate(input: $i) { followUpSettings { dueMinutes escalateTo { id } } userErrors { code field message } } }`
	s.Do(set, demo.Vars{"i": demo.Vars{"dueMinutes": 10, "escalateToUserId": boss.ID}}, nil)
	if code := s.try(ann.Client, set, demo.Vars{"i": demo.Vars{"dueMinutes": 10}}, nil); code != "FORBIDDEN" {
		t.Errorf("ann changes the settings: %s", code)
	}
	s.missed(customer, officeNumber)
	if n := len(s.followUps(boss.Client, nil)); n != 0 {
		t.Fatalf("the boss sees %d of another branch", n)
	}
	s.PassSettling(11*time.Minute, time.Minute)
	items := s.followUps(s.SignIn("boss"), demo.Vars{"isOverdue": true})
	if len(items) != 1 || items[0].EscalatedAt == nil || name(items[0].EscalatedTo) != "boss" || !items[0].IsOverdue {
		t.Fatalf("the boss sees %+v", items)
	}
	s.PassSettling(3*time.Minute, time.Minute)
	got := box.Received()
	if len(got.Mails) != 1 || !strings.Contains(got.To[0], "boss@") || !strings.Contains(got.Mails[0], "Overdue follow-up") {
		t.Errorf("mails went to %q:\n%s", got.To, strings.Join(got.Mails, "\n---\n"))
	}
}

func TestAServiceWorkerReadsThePushOfAMissedCall(t *testing.T) { // R130
	var mu sync.Mutex
	var bodies [][]byte
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		for n := 0; n < len(body); {
			m, err := r.Body.Read(body[n:])
			if n += m; err != nil {
				break
			}
		}
		mu.Lock()
		bodies = append(bodies, body)
		mu.Unlock()
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(service.Close)
	s := newStory(t)
	branch := s.Branch("Office")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann := s.User("ann", "OFFICE", "", branch)
	s.Device(ann, "Desk")
	var key struct {
		WebPushKey           *string
		NotificationChannels []struct {
			Channel string
			IsOn    bool
		}
	}
	s.Must(ann.Client.Do(t.Context(), `{ webPushKey notificationChannels { channel isOn detail } }`, nil, &key))
	if key.WebPushKey == nil || len(*key.WebPushKey) != 87 || len(key.NotificationChannels) != 4 || key.NotificationChannels[3].IsOn {
		t.Fatalf("the server says %+v", key)
	}
	b := testkit.NewBrowser(t)
	const subscribe = `mutation($i: PushSubscriptionCreateInput!) { pushSubscriptionCreate(input: $i) { pushSubscription { id host name } userErrors { code field message } } }`
	in := demo.Vars{"endpoint": service.URL + "/push/1", "p256dh": b.P256DH, "auth": b.Auth, "name": "Chrome"}
	if code := s.try(ann.Client, subscribe, demo.Vars{"i": in}, nil); code != "" {
		t.Fatal(code)
	}
	bad := demo.Vars{"endpoint": "https://169.254.169.254/latest", "p256dh": b.P256DH, "auth": b.Auth}
	if code := s.try(ann.Client, subscribe, demo.Vars{"i": bad}, nil); code != "INVALID" {
		t.Errorf("an address inside: %s", code)
	}
	s.missed(customer, officeNumber)
	mu.Lock()
	defer mu.Unlock()
	if len(bodies) != 1 {
		t.Fatalf("%d pushes came, want one", len(bodies))
	}
	text, err := b.Read(bodies[0])
	s.Must(err)
	var push struct{ Kind, Title, FollowUpID string }
	s.Must(json.Unmarshal([]byte(text), &push))
	if push.Kind != "MISSED_CALL" || push.FollowUpID == "" || !strings.HasPrefix(push.Title, "Missed call from ") {
		t.Errorf("the service worker reads %s", text)
	}
	if got := s.notifications(ann.Client)[0].Sendings; len(got) != 1 || got[0].Channel != "WEB_PUSH" || got[0].Status != "SENT" {
		t.Errorf("the notification says %+v", got)
	}
}
