package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/testkit/stage"
)

const mailFields = `{ id version heardAt deletedAt isHeardByMe owner { name } contact { name } record { id } call { id } from { display e164 }
	listeners { user { name } heardAt } notifiedUsers { name } recording { id status url waveform(points: 3) voicemail { id } } }`

type inboxMail struct {
	ID                 string
	Version            int
	HeardAt, DeletedAt *string
	IsHeardByMe        bool
	Owner, Contact     *struct{ Name string }
	Record, Call       *ref
	From               struct{ Display, E164 string }
	Listeners          []struct{ User *struct{ Name string } }
	NotifiedUsers      []struct{ Name string }
	Recording          struct {
		ID, Status string
		URL        *string
		Waveform   []float64
		Voicemail  *ref
	}
}

func (s *story) mails(who *demo.Client, filter demo.Vars) []inboxMail {
	s.t.Helper()
	var out struct{ Voicemails struct{ Nodes []inboxMail } }
	s.Must(who.Do(s.t.Context(), `query($f: VoicemailFilter) { voicemails(filter: $f) { nodes `+mailFields+` } }`, demo.Vars{"f": filter}, &out))
	return out.Voicemails.Nodes
}

type mailCounts struct {
	Total, Unheard, UnheardByMe, Mine, MineUnheard int
	ByNumber                                       []struct {
		PhoneNumber        *ref
		Total, UnheardByMe int
	}
}

func (s *story) mailCounts(who *demo.Client) mailCounts {
	s.t.Helper()
	var out struct{ VoicemailCounts mailCounts }
	s.Must(who.Do(s.t.Context(), `{ voicemailCounts { total unheard unheardByMe mine mineUnheard byNumber { phoneNumber { id } total unheardByMe } } }`, nil, &out))
	return out.VoicemailCounts
}

// A morning in the inbox: who is told, who has heard what, whose it is, calling back and
// deleting (R124, R128, R129, R131, R132, D25, R278, R279).
func TestAMorningInTheVoicemailInbox(t *testing.T) {
	s := newStory(t)
	branch := s.Branch("Office")
	line := s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann, bob, dan := s.User("ann", "OFFICE", "", branch), s.User("bob", "OFFICE", ""), s.User("dan", "OFFICE", "")
	desk := s.Device(ann, "Desk")
	s.set(line, demo.Vars{"routing": demo.Vars{"ringTimeoutSeconds": 5},
		"voicemail": demo.Vars{"isEnabled": true, "greetingText": "Leave a message.", "ownerId": bob.ID, "notifiedUserIds": []string{ann.ID}}})
	for range 2 {
		sid := s.dial(customer, officeNumber)
		s.Pass(6 * time.Second)
		s.speakAndHangUp(sid, 10*time.Second)
		s.Pass(30 * time.Second)
	}
	s.Settle()

	list := s.mails(bob.Client, nil)
	if len(list) != 2 || len(s.mails(ann.Client, nil)) != 2 || len(s.mails(dan.Client, nil)) != 0 {
		t.Fatalf("bob sees %d", len(list))
	}
	m := list[0]
	if m.Owner == nil || m.Owner.Name != "bob" || len(m.NotifiedUsers) != 1 || m.NotifiedUsers[0].Name != "ann" || m.IsHeardByMe || m.Recording.URL == nil || len(m.Recording.Waveform) != 3 ||
		m.Recording.Voicemail == nil || m.Recording.Voicemail.ID != m.ID {
		t.Fatalf("it is %s", asJSON(m))
	}
	if status, _, _ := s.fetch(*m.Recording.URL, "", nil); status != 200 {
		t.Errorf("it is played as %d", status)
	}
	mark := func(who stage.Person, heard bool) {
		t.Helper()
		s.Must(who.Client.Do(t.Context(), `mutation($id: ID!, $h: Boolean!) { voicemailMarkHeard(id: $id, isHeard: $h) { userErrors { code field message } } }`, demo.Vars{"id": m.ID, "h": heard}, nil))
	}
	mark(ann, true)
	if c := s.mailCounts(bob.Client); c.Total != 2 || c.Unheard != 1 || c.UnheardByMe != 2 || c.Mine != 2 || c.MineUnheard != 2 || len(c.ByNumber) != 1 || c.ByNumber[0].UnheardByMe != 2 {
		t.Errorf("bob counts %s", asJSON(c))
	}
	if c := s.mailCounts(ann.Client); c.UnheardByMe != 1 || c.Mine != 0 {
		t.Errorf("ann counts %s", asJSON(c))
	}
	mark(bob, true)
	if got := s.mails(bob.Client, demo.Vars{"isHeardByMe": true}); len(got) != 1 || len(got[0].Listeners) != 2 || got[0].Listeners[0].User.Name != "ann" {
		t.Errorf("heard by bob: %s", asJSON(got))
	}
	if got := s.mails(bob.Client, demo.Vars{"isHeardByMe": false, "ownerId": bob.ID, "minSeconds": 5, "phoneNumberId": line}); len(got) != 1 || got[0].ID == m.ID {
		t.Errorf("new to bob: %s", asJSON(got))
	}
	// Ann takes it; the other goes to who manages follow-ups.
	assign := func(who *demo.Client, to string, ids ...string) string {
		return s.try(who, `mutation($ids: [ID!]!, $u: ID) { voicemailsAssign(ids: $ids, userId: $u) { voicemails { id owner { name } } userErrors { code field message } } }`,
			demo.Vars{"ids": ids, "u": to}, nil)
	}
	if code := assign(ann.Client, ann.ID, m.ID); code != "" {
		t.Errorf("ann takes it: %s", code)
	}
	if code := assign(dan.Client, dan.ID, m.ID); code != "NOT_FOUND" {
		t.Errorf("dan takes what he does not see: %q", code)
	}
	if got := s.mails(s.Admin, demo.Vars{"ownerId": ann.ID}); len(got) != 1 || got[0].ID != m.ID {
		t.Errorf("ann owns %s", asJSON(got))
	}
	// Calling back rings the caller first, then whoever left it; twice with one key is once.
	back := func() (id string) {
		var out struct {
			VoicemailCallBack struct{ Call struct{ ID string } }
		}
		s.Must(ann.Client.Do(t.Context(), `mutation($id: ID!) { voicemailCallBack(id: $id, idempotencyKey: "back") { call { id } userErrors { code field message } } }`, demo.Vars{"id": m.ID}, &out))
		return out.VoicemailCallBack.Call.ID
	}
	call := back()
	if back() != call {
		t.Error("one key made two calls")
	}
	s.Settle()
	s.wantRinging(desk)
	s.answer(desk)
	s.Settle()
	if got := s.ringing(); !slices.Contains(got, customer) {
		t.Errorf("after ann answered these ring: %v", got)
	}
	s.answer(customer)
	s.Settle()
	link := s.mails(ann.Client, demo.Vars{"ownerId": ann.ID})[0].Recording.URL
	// Deleting needs its permission and leaves a tombstone with its transcript where it was.
	var out struct {
		VoicemailsDelete struct {
			Results []struct {
				Outcome   string
				Voicemail *inboxMail
			}
		}
	}
	const remove = `mutation($ids: [ID!]!) { voicemailsDelete(ids: $ids, reason: "spam") { results { outcome message voicemail ` + mailFields + ` } userErrors { code field message } } }`
	if code := s.try(bob.Client, remove, demo.Vars{"ids": []string{m.ID}}, nil); code != "FORBIDDEN" {
		t.Errorf("bob deletes: %q", code)
	}
	s.Do(remove, demo.Vars{"ids": []string{m.ID}}, &out)
	if r := out.VoicemailsDelete.Results; len(r) != 1 || r[0].Outcome != "DELETED" || r[0].Voicemail == nil || r[0].Voicemail.DeletedAt == nil || r[0].Voicemail.Recording.URL != nil {
		t.Fatalf("deleted: %s", asJSON(r))
	}
	status, body, _ := s.fetch(*link, "", nil)
	if status != 410 || !strings.Contains(string(body), "spam") {
		t.Errorf("its address gives %d %s", status, body)
	}
	if a, b := len(s.mails(ann.Client, nil)), len(s.mails(ann.Client, demo.Vars{"isDeleted": true})); a != 1 || b != 1 {
		t.Errorf("ann sees %d, and %d deleted", a, b)
	}
	s.PassSettling(time.Minute, 10*time.Second)
	deleted := 0
	for _, r := range s.Emulator.Recordings() {
		if r.Deleted {
			deleted++
		}
	}
	if deleted != 1 {
		t.Errorf("%d recordings are deleted at Twilio", deleted)
	}
}
