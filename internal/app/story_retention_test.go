package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
)

const (
	day = 24 * time.Hour
)

type previewView struct {
	Count, HeldCount, Bytes int
	Months                  []struct{ Count int }
	Sample                  []struct{ ID string }
	IsRuleOn                bool
	Confirmation            string
}

type retentionRunView struct {
	Kind, Status                        string
	FoundCount, DeletedCount, HeldCount int
	Bytes                               int
}

// preview is what a rule would delete now.
func (s *story) preview(kind string, keepDays int) (p previewView) {
	s.t.Helper()
	var out struct{ RetentionPreview previewView }
	s.Do(`query($i: RetentionPreviewInput!) { retentionPreview(input: $i) { count heldCount bytes months { count } sample { id } isRuleOn confirmation } }`,
		demo.Vars{"i": demo.Vars{"kind": kind, "keepDays": keepDays}}, &out)
	return out.RetentionPreview
}

// rule sets a rule and gives its id, or the code of the refusal.
func (s *story) rule(kind string, keepDays int, isOn bool, confirmation string) (id, code string) {
	s.t.Helper()
	var out struct {
		RetentionRuleSet struct {
			Rule *struct{ ID string }
		}
	}
	in := demo.Vars{"kind": kind, "keepDays": keepDays, "isOn": isOn}
	if confirmation != "" {
		in["confirmation"] = confirmation
	}
	code = s.try(s.Admin, `mutation($i: RetentionRuleSetInput!) { retentionRuleSet(input: $i) { rule { id } userErrors { code } } }`, demo.Vars{"i": in}, &out)
	if r := out.RetentionRuleSet; r.Rule != nil {
		id = r.Rule.ID
	}
	return id, code
}

// runsOf are the runs of a rule, newest first.
func (s *story) runsOf(rule string) []retentionRunView {
	s.t.Helper()
	var out struct {
		RetentionRuns struct{ Nodes []retentionRunView }
	}
	s.Do(`query($r: ID!) { retentionRuns(ruleId: $r, first: 100) { nodes { kind status foundCount deletedCount heldCount bytes } } }`, demo.Vars{"r": rule}, &out)
	return out.RetentionRuns.Nodes
}

// hold holds something and gives the hold's id.
func (s *story) hold(subject, why string) (id string) {
	s.t.Helper()
	return s.made("legalHoldPlace", "LegalHoldPlaceInput", "hold", demo.Vars{"subjectId": subject, "reason": why})
}

// a120 is what stood in the system after 120 days: every third day a recorded call,
// every fifth a voicemail, every day a text, every fourth one with a picture.
type a120 struct {
	calls, voicemails []string
}

func (s *story) lives(days int, each func(day int)) (was a120) {
	s.t.Helper()
	branch := s.Branch("Office")
	line := s.Number(officeNumber, demo.Vars{"branchId": branch})
	s.User("ann", "OFFICE", annsPhone, branch)
	s.set(line, demo.Vars{"recording": demo.Vars{"incoming": "FROM_ANSWER"}, "routing": demo.Vars{"ringTimeoutSeconds": 5, "reachBy": "PRIMARY_PHONE"},
		"voicemail": demo.Vars{"isEnabled": true, "greetingText": "Leave a message."}})
	for d := range days {
		from := fmt.Sprintf("+1202555%04d", 1000+d)
		if d%3 == 0 {
			sid := s.dial(from, officeNumber)
			leg := s.answer(annsPhone)
			s.press(leg, "1")
			s.Must(s.Emulator.Speak(leg, secs(5)))
			s.Pass(20 * time.Second)
			s.hangUp(sid)
			s.Settle()
			was.calls = append(was.calls, s.call(sid).ID)
		}
		if d%5 == 0 {
			sid := s.dial(from, officeNumber)
			s.Pass(secs(6))
			s.speakAndHangUp(sid, secs(5))
			s.Settle()
			if v := s.call(sid).Voicemail; v != nil {
				was.voicemails = append(was.voicemails, v.ID)
			}
		}
		var files []emulator.Media
		if d%4 == 0 {
			files = append(files, emulator.Media{ContentType: "image/png", Data: picture(s.t, 8, 8)})
		}
		_, err := s.Emulator.SendText(from, officeNumber, fmt.Sprintf("the words of day %d", d), files...)
		s.Must(err)
		s.Settle()
		if each != nil {
			each(d)
		}
		s.Pass(day)
		s.Settle()
		s.Admin = s.SignIn("admin") // the token of yesterday is over
	}
	return was
}

// R223, R224, R228, R231, R232: rules delete what their previews named, night by night; transcripts and what is held stay.
func TestA120DaysOfRetentionDeleteWhatThePreviewsNamed(t *testing.T) {
	s := newStory(t)
	kinds := []string{"RECORDINGS", "VOICEMAILS", "MESSAGE_MEDIA", "MESSAGE_BODIES"}
	rules, expected := map[string]string{}, map[string]int{}
	was := s.lives(120, func(d int) {
		if d != 60 {
			return
		}
		// Nothing goes by itself before a rule is on.
		for _, k := range kinds {
			p := s.preview(k, 30)
			if p.Count == 0 || p.IsRuleOn || p.HeldCount != 0 {
				t.Errorf("%s: the preview of day 60 is %+v", k, p)
			}
			months := 0
			for _, m := range p.Months {
				months += m.Count
			}
			if months != p.Count {
				t.Errorf("%s: the months add up to %d of %d", k, months, p.Count)
			}
			if _, code := s.rule(k, 30, true, ""); code != "REQUIRED" {
				t.Errorf("%s went on without a confirmation: %q", k, code)
			}
			if _, code := s.rule(k, 30, true, s.preview(k, 60).Confirmation); code != "REQUIRED" {
				t.Errorf("%s went on with the confirmation of another period: %q", k, code)
			}
			id, code := s.rule(k, 30, true, p.Confirmation)
			if code != "" {
				t.Fatalf("%s: %s", k, code)
			}
			rules[k] = id
			expected[k] = s.preview(k, 29).Count // at the night that comes, what is 29 days old now is 30
		}
	})
	for _, k := range kinds {
		runs := s.runsOf(rules[k])
		if len(runs) != 60 {
			t.Errorf("%s ran %d times in 60 nights", k, len(runs))
		}
		first := runs[len(runs)-1]
		if first.DeletedCount != expected[k] && first.DeletedCount != expected[k]-1 {
			t.Errorf("%s: %d were named and %d went", k, expected[k], first.DeletedCount)
		}
		for _, r := range runs {
			if r.Status != "COMPLETED" || r.DeletedCount != r.FoundCount {
				t.Errorf("%s: %+v", k, r)
			}
		}
		if left := s.preview(k, 30); left.Count > 1 { // the last night is not over
			t.Errorf("%s: %d are older than 30 days and still there", k, left.Count)
		}
	}
	// R176: whoever looks at the automations sees the rules too.
	var listed struct {
		Automations struct {
			RetentionRules []struct {
				Kind    string
				LastRun struct{ Status string }
			}
		}
	}
	s.Do(`{ automations { retentionRules { kind lastRun { status } } } }`, nil, &listed)
	if got := listed.Automations.RetentionRules; len(got) != len(kinds) || got[0].LastRun.Status != "COMPLETED" {
		t.Errorf("the automations list %+v", got)
	}
	// The tombstones, and what is younger.
	for i, id := range was.calls {
		r := s.callByID(id).Recordings[0]
		if i*3 >= 88 && i*3 <= 90 { // the night that takes it may not be over
			continue
		}
		if old := i*3 < 88; old != (r.Status == "DELETED") {
			t.Errorf("the recording of day %d is %s", i*3, r.Status)
		} else if old && r.URL != nil {
			t.Errorf("the deleted recording of day %d can be heard at %s", i*3, *r.URL)
		}
	}
	var out struct {
		Messages struct{ Nodes []struct{ Body string } }
	}
	s.Do(`{ messages(first: 100) { nodes { body } } }`, nil, &out)
	for i, m := range out.Messages.Nodes { // newest first
		d := 119 - i
		if d < 88 != (m.Body == "") && (d < 88 || d > 90) {
			t.Errorf("the text of day %d is %q", d, m.Body)
		}
	}
	for _, m := range s.Emulator.Messages() {
		if strings.HasSuffix(m.Body, "of day 3") {
			t.Errorf("Twilio still has %q", m.Body)
		}
	}
	s.clean()
}

// R226, R231: a hold keeps a thing from rules and people until it is released.
func TestWhatIsHeldStaysUntilItIsReleased(t *testing.T) {
	s := newStory(t)
	was := s.lives(4, nil)
	call := s.callByID(was.calls[0])
	recording := call.Recordings[0].ID
	hold := s.hold(call.ID, "a claim of March")
	if again := s.hold(call.ID, "again"); again != hold {
		t.Error("the call was held twice")
	}
	s.Pass(60 * day)
	s.Settle()
	s.Admin = s.SignIn("admin")
	p := s.preview("RECORDINGS", 30)
	if p.Count != 1 || p.HeldCount != 1 || len(p.Sample) != 1 || p.Sample[0].ID == recording {
		t.Fatalf("the preview is %+v", p)
	}
	rule, _ := s.rule("RECORDINGS", 30, true, p.Confirmation)
	var started struct {
		RetentionRunStart struct{ UserErrors []struct{ Code string } }
	}
	s.Do(`mutation($r: ID!) { retentionRunStart(ruleId: $r) { userErrors { code } } }`, demo.Vars{"r": rule}, &started)
	s.Settle()
	if runs := s.runsOf(rule); len(runs) != 1 || runs[0].DeletedCount != 1 || runs[0].HeldCount != 1 {
		t.Fatalf("the run was %+v", runs)
	}
	first := s.callByID(was.calls[0]).Recordings[0]
	if first.Status == "DELETED" || first.URL == nil {
		t.Fatalf("the held recording is %+v", first)
	}
	if status, _, _ := s.fetch(*first.URL, "", nil); status != http.StatusOK {
		t.Errorf("the held recording answers %d", status)
	}
	var held struct {
		Node struct {
			LegalHold *struct {
				Reason  string
				Subject struct{ ID string }
			}
		}
	}
	s.Do(`query($r: ID!) { node(id: $r) { ... on Recording { legalHold { reason subject { id } } } } }`, demo.Vars{"r": recording}, &held)
	if h := held.Node.LegalHold; h == nil || h.Reason != "a claim of March" || h.Subject.ID != call.ID {
		t.Errorf("the recording says of its hold: %+v", h)
	}
	var released struct {
		LegalHoldRelease struct {
			Hold       *struct{ ReleasedAt *time.Time }
			UserErrors []struct{ Code string }
		}
	}
	s.Do(`mutation($h: ID!) { legalHoldRelease(id: $h, reason: "settled") { hold { releasedAt } userErrors { code } } }`, demo.Vars{"h": hold}, &released)
	if released.LegalHoldRelease.Hold == nil || released.LegalHoldRelease.Hold.ReleasedAt == nil {
		t.Fatalf("released: %+v", released)
	}
	s.Pass(day)
	s.Settle()
	s.Admin = s.SignIn("admin")
	if r := s.callByID(was.calls[0]).Recordings[0]; r.Status != "DELETED" {
		t.Errorf("after its release the recording is %s", r.Status)
	}
}

// R225, R226: single messages are deleted by who may, and a hold refuses it.
func TestSingleMessagesAreDeleted(t *testing.T) {
	s := newStory(t)
	branch := s.Branch("Office")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann := s.User("ann", "OFFICE", "", branch)
	s.text(customer, officeNumber, "my card number is 4111")
	s.text(customer, officeNumber, "keep this")
	var out struct {
		Messages struct{ Nodes []struct{ ID, Body string } }
	}
	s.Do(`{ messages { nodes { id body } } }`, nil, &out)
	kept, secret := out.Messages.Nodes[0].ID, out.Messages.Nodes[1].ID
	s.hold(kept, "evidence")
	const remove = `mutation($m: [ID!]!) { messagesDelete(ids: $m, parts: [BODY], reason: "a card number") { messages { id body bodyDeletedAt } userErrors { code field } } }`
	if code := s.try(ann.Client, remove, demo.Vars{"m": []string{secret}}, nil); code != "FORBIDDEN" {
		t.Errorf("who may not delete got %q", code)
	}
	var gone struct {
		MessagesDelete struct {
			Messages []struct {
				ID, Body      string
				BodyDeletedAt *time.Time
			}
			UserErrors []struct {
				Code  string
				Field []string
			}
		}
	}
	for range 2 { // again: the same answer
		if code := s.try(s.Admin, remove, demo.Vars{"m": []string{secret, kept}}, &gone); code != "CONFLICT" {
			t.Errorf("the held message gives %q", code)
		}
		g := gone.MessagesDelete
		if len(g.Messages) != 1 || g.Messages[0].ID != secret || g.Messages[0].Body != "" || g.Messages[0].BodyDeletedAt == nil {
			t.Errorf("deleted: %+v", g.Messages)
		}
		if len(g.UserErrors) != 1 || g.UserErrors[0].Code != "CONFLICT" || !slices.Equal(g.UserErrors[0].Field, []string{"ids", "1"}) {
			t.Errorf("refused: %+v", g.UserErrors)
		}
	}
	s.Settle()
	for _, m := range s.Emulator.Messages() {
		if strings.Contains(m.Body, "4111") {
			t.Error("Twilio still has the text")
		}
	}
}
