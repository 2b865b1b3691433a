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

// a120 is what was said in 120 days, by the SIDs of the calls.
type a120 struct {
	calls, voicemails []string
}

// How many days apart things are: a recorded call, a voicemail, a text and one with a picture.
const (
	callEvery, voicemailEvery, textEvery, pictureEvery = 4, 6, 2, 6
)

// lives lets days pass with something at nine o'clock of every other one; the nights
// from a day on are told of, before any rule runs.
func (s *story) lives(days, from int, night func(day int, was a120)) (was a120) {
	s.t.Helper()
	branch := s.Branch("Office")
	line := s.Number(officeNumber, demo.Vars{"branchId": branch})
	s.User("ann", "OFFICE", annsPhone, branch)
	s.set(line, demo.Vars{"recording": demo.Vars{"incoming": "FROM_ANSWER"}, "routing": demo.Vars{"ringTimeoutSeconds": 5, "reachBy": "PRIMARY_PHONE"},
		"voicemail": demo.Vars{"isEnabled": true, "greetingText": "Leave a message."}})
	s.Emulator.TranscriptDelay(-1, false)
	s.transcribing(demo.Vars{"mode": "ALL", "language": "en-US"})
	start := s.Clock.Now()
	until := func(day int, hour, minute time.Duration) {
		s.Pass(start.Truncate(24*time.Hour).AddDate(0, 0, day).Add(hour*time.Hour + minute*time.Minute).Sub(s.Clock.Now()))
	}
	for d := range days {
		until(d, 9, 30)
		number := fmt.Sprintf("+1202555%04d", 1000+d)
		says := func(sid, what string) {
			s.Emulator.Say(sid, emulator.Sentence{Channel: 1, End: time.Second, Text: fmt.Sprintf("%s of day %d", what, d)})
		}
		if d%callEvery == 0 {
			sid := s.dial(number, officeNumber)
			leg := s.answer(annsPhone)
			s.press(leg, "1")
			says(sid, "the talk")
			s.Must(s.Emulator.Speak(leg, secs(5)))
			s.Pass(20 * time.Second)
			s.hangUp(sid)
			was.calls = append(was.calls, sid)
		}
		if d%voicemailEvery == 0 {
			sid := s.dial(number, officeNumber)
			s.Pass(secs(6))
			says(sid, "the message")
			s.speakAndHangUp(sid, secs(5))
			was.voicemails = append(was.voicemails, sid)
		}
		if d%textEvery == 0 {
			var files []emulator.Media
			if d%pictureEvery == 0 {
				files = append(files, emulator.Media{ContentType: "image/png", Data: picture(s.t, 8, 8)})
			}
			_, err := s.Emulator.SendText(number, officeNumber, fmt.Sprintf("the words of day %d", d), files...)
			s.Must(err)
			s.Settle()
		}
		if night != nil && d >= from {
			until(d+1, 1, 55)
			s.Admin = s.SignIn("admin") // the token of yesterday is over
			night(d, was)
			until(d+1, 3, 0)
			s.Settle()
		}
	}
	s.Admin = s.SignIn("admin")
	return was
}

// transcriptOf is what became of the transcript of a call.
func (s *story) transcriptOf(sid string) transcriptView {
	s.t.Helper()
	all := s.transcriptsOf(s.Admin, demo.Vars{"callId": s.call(sid).ID, "statuses": []string{"COMPLETED", "FAILED", "DELETED"}})
	if len(all) != 1 {
		s.t.Fatalf("the call has %d transcripts", len(all))
	}
	return all[0]
}

// R223, R224, R228-R232, R279: night by night, rules delete exactly what the preview of
// the evening named; transcripts outlive their recordings, and what is held stays.
func TestA120DaysOfRetentionDeleteWhatThePreviewsNamed(t *testing.T) {
	const days, on = 120, 60
	s := newStory(t)
	kinds := []string{"RECORDINGS", "VOICEMAILS", "TRANSCRIPTS", "MESSAGE_MEDIA", "MESSAGE_BODIES"}
	keep := map[string]int{"RECORDINGS": 30, "VOICEMAILS": 30, "TRANSCRIPTS": 45, "MESSAGE_MEDIA": 30, "MESSAGE_BODIES": 30}
	held := map[string]int{"RECORDINGS": 1, "VOICEMAILS": 1, "TRANSCRIPTS": 2, "MESSAGE_MEDIA": 1, "MESSAGE_BODIES": 1} // of day 0
	rules, named := map[string]string{}, map[string][]previewView{}
	was := s.lives(days, on, func(d int, was a120) {
		if d == on {
			var first struct {
				Messages struct{ Nodes []ref }
			}
			s.Do(`{ messages(filter: {search: "the words of day 0"}) { nodes { id } } }`, nil, &first)
			for _, x := range []string{s.call(was.calls[0]).ID, s.call(was.voicemails[0]).Voicemail.ID, first.Messages.Nodes[0].ID} {
				s.hold(x, "a claim of March")
			}
		}
		for _, k := range kinds {
			p := s.preview(k, keep[k])
			named[k] = append(named[k], p)
			if p.HeldCount != held[k] || p.IsRuleOn != (d > on) {
				t.Errorf("%s: the preview of day %d is %+v", k, d, p)
			}
			months := 0
			for _, m := range p.Months {
				months += m.Count
			}
			if months != p.Count || len(p.Sample) != min(p.Count, 20) {
				t.Errorf("%s: the months add up to %d of %d, and the sample has %d", k, months, p.Count, len(p.Sample))
			}
			if d > on {
				continue
			}
			// Nothing goes by itself before a rule is on.
			if p.Count == 0 {
				t.Errorf("%s: there is nothing to delete", k)
			}
			if _, code := s.rule(k, keep[k], true, ""); code != "REQUIRED" {
				t.Errorf("%s went on without a confirmation: %q", k, code)
			}
			if _, code := s.rule(k, keep[k], true, s.preview(k, 60).Confirmation); code != "REQUIRED" {
				t.Errorf("%s went on with the confirmation of another period: %q", k, code)
			}
			id, code := s.rule(k, keep[k], true, p.Confirmation)
			if code != "" {
				t.Fatalf("%s: %s", k, code)
			}
			rules[k] = id
		}
	})
	for _, k := range kinds {
		runs := s.runsOf(rules[k])
		slices.Reverse(runs) // the oldest first, as the previews
		if len(runs) != days-on || len(named[k]) != days-on {
			t.Fatalf("%s ran %d times in %d nights", k, len(runs), len(named[k]))
		}
		for i, r := range runs {
			if p := named[k][i]; r.Status != "COMPLETED" || r.FoundCount != p.Count || r.DeletedCount != p.Count || r.HeldCount != p.HeldCount || r.Bytes != p.Bytes {
				t.Errorf("%s: the preview of day %d was %+v, the run %+v", k, on+i, p, r)
			}
		}
		if left := s.preview(k, keep[k]); left.Count != 0 {
			t.Errorf("%s: %d are older than %d days and still there", k, left.Count, keep[k])
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

	// What is held, what is old, and what is younger: on the morning after the last day.
	gone := func(kind string, d int) bool { return d > 0 && d < days-keep[kind] }
	transcript := func(sid, what string, d int) {
		t.Helper()
		x := s.transcriptOf(sid)
		if gone("TRANSCRIPTS", d) != (x.Status == "DELETED") || gone("TRANSCRIPTS", d) == strings.Contains(word(x.Text), fmt.Sprintf("%s of day %d", what, d)) {
			t.Errorf("the transcript of %s of day %d is %s: %q", what, d, x.Status, word(x.Text))
		}
	}
	for i, sid := range was.calls {
		d := i * callEvery
		if r := s.call(sid).Recordings[0]; gone("RECORDINGS", d) != (r.Status == "DELETED") || gone("RECORDINGS", d) != (r.URL == nil) {
			t.Errorf("the recording of day %d is %+v", d, r)
		}
		transcript(sid, "the talk", d)
	}
	for i, sid := range was.voicemails {
		d := i * voicemailEvery
		if r := s.call(sid).Voicemail.Recording; gone("VOICEMAILS", d) != (r.Status == "DELETED") || gone("VOICEMAILS", d) != (r.URL == nil) {
			t.Errorf("the voicemail of day %d is %+v", d, r)
		}
		transcript(sid, "the message", d)
	}
	var out struct {
		Messages struct {
			Nodes []struct {
				Body  string
				Media []struct{ State string }
			}
		}
	}
	s.Do(`{ messages(first: 100) { nodes { body media { state } } } }`, nil, &out)
	slices.Reverse(out.Messages.Nodes)
	for i, m := range out.Messages.Nodes {
		d := i * textEvery
		if gone("MESSAGE_BODIES", d) != (m.Body == "") {
			t.Errorf("the text of day %d is %q", d, m.Body)
		}
		if d%pictureEvery == 0 && (len(m.Media) != 1 || gone("MESSAGE_MEDIA", d) != (m.Media[0].State == "DELETED")) {
			t.Errorf("the picture of day %d: %+v", d, m.Media)
		}
	}
	var atTwilio []string
	for _, m := range s.Emulator.Messages() {
		atTwilio = append(atTwilio, m.Body)
	}
	for d := 0; d < days; d += textEvery {
		if gone("MESSAGE_BODIES", d) == slices.Contains(atTwilio, fmt.Sprintf("the words of day %d", d)) {
			t.Errorf("the text of day %d is gone here: %t, and not so at Twilio", d, gone("MESSAGE_BODIES", d))
		}
	}
	s.clean()
}

// R226, R231: a hold keeps a thing from rules and people until it is released.
func TestWhatIsHeldStaysUntilItIsReleased(t *testing.T) {
	s := newStory(t)
	was := s.lives(5, 0, nil)
	call := s.call(was.calls[0])
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
	first := s.call(was.calls[0]).Recordings[0]
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
	if r := s.call(was.calls[0]).Recordings[0]; r.Status != "DELETED" {
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
