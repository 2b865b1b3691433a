package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
)

const transcriptFields = `{ id status source provider language isAutomatic failureCode failureReason text segmentCount matches version isCorrected subject categories deletedReason
	call { id } recording { id status } user { name } branch { id } segments { index startMs endMs speaker text originalText } notes { id text flag resolvedAt author { name } }
	corrections { nodes { version by { name } changes { textBefore textAfter } } } }`

type transcriptView struct {
	ID, Status, Source, Provider, Language string
	IsAutomatic, IsCorrected               bool
	FailureCode, FailureReason             *string
	Text, Subject, DeletedReason           *string
	SegmentCount, Version                  int
	Matches                                []int
	Categories                             []string
	Call, User, Branch                     *ref
	Recording                              *struct{ ID, Status string }
	Segments                               []struct {
		Index, StartMs, EndMs int
		Speaker, Text         string
		OriginalText          *string
	}
	Notes []struct {
		ID, Text         string
		Flag, ResolvedAt *string
		Author           *ref
	}
	Corrections struct {
		Nodes []struct {
			Version int
			By      *ref
			Changes []struct{ TextBefore, TextAfter string }
		}
	}
}

func (s *story) transcriptsOf(who *demo.Client, filter demo.Vars) []transcriptView {
	s.t.Helper()
	var out struct {
		Transcripts struct{ Nodes []transcriptView }
	}
	s.Must(who.Do(s.t.Context(), `query($f: TranscriptFilter) { transcripts(filter: $f) { nodes `+transcriptFields+` } }`, demo.Vars{"f": filter}, &out))
	return out.Transcripts.Nodes
}

func (s *story) transcript(who *demo.Client, id string) *transcriptView {
	s.t.Helper()
	var out struct{ Transcript *transcriptView }
	s.Must(who.Do(s.t.Context(), `query($id: ID!) { transcript(id: $id) `+transcriptFields+` }`, demo.Vars{"id": id}, &out))
	return out.Transcript
}

func (s *story) transcribing(input demo.Vars) {
	s.t.Helper()
	s.Do(`mutation($i: TranscriptionSettingsInput!) { transcriptionSettingsUpdate(input: $i) { transcriptionSettings { isReady } userErrors { code field message } } }`, demo.Vars{"i": input}, nil)
}

// completed waits for the news of a transcript.
func (f *feed) completed() *transcriptView {
	f.t.Helper()
	var out struct {
		Events struct{ Transcript *transcriptView }
	}
	f.next(&out)
	if out.Events.Transcript == nil {
		f.t.Fatal("the event has no transcript")
	}
	return out.Events.Transcript
}

const transcriptNews = `subscription { events(types: [TRANSCRIPT_COMPLETED]) { ... on TranscriptCompleted { transcript ` + transcriptFields + ` } } }`

// A recorded call becomes text by itself, is reviewed and searched, outlives its
// recording, and goes for good, also at Twilio (R199-R207, R229, R230, R278).
func TestARecordedCallBecomesTextAndOutlivesItsRecording(t *testing.T) {
	o := newOffice(t, demo.Vars{"recording": demo.Vars{"incoming": "FROM_ANSWER_DUAL"}})
	o.Emulator.TranscriptDelay(-1, false)
	o.transcribing(demo.Vars{"mode": "CALLS", "language": "en-AU"})
	news := o.watch(o.Admin, transcriptNews, nil)
	o.talk()
	o.Emulator.Say(o.caller, emulator.Sentence{Channel: 1, Start: 0, End: time.Second, Text: "My boiler is liking."}, emulator.Sentence{Channel: 2, Start: time.Second, End: 2 * time.Second, Text: "We come today."})
	o.Must(o.Emulator.Speak(o.caller, 3*time.Second))
	o.Pass(4 * time.Second)
	o.hangUp(o.caller)
	o.PassSettling(10*time.Second, 2*time.Second)

	x := news.completed()
	c := o.call(o.caller)
	if x.Status != "COMPLETED" || x.Provider != "TWILIO" || !x.IsAutomatic || x.Language != "en-AU" || x.Call == nil || x.Call.ID != c.ID || name(x.User) != "ann" || x.Recording == nil || x.Recording.ID != c.Recordings[0].ID {
		t.Fatalf("the transcript is %s", asJSON(x))
	}
	if word(x.Text) != "CALLER: My boiler is liking.\nUSER: We come today." || len(x.Segments) != 2 || x.Segments[1].StartMs != 1000 {
		t.Errorf("it reads %s", asJSON(x))
	}
	var of struct {
		Call struct {
			Transcripts []ref
			Recordings  []struct{ Transcripts []ref }
		}
	}
	o.Do(`query($id: ID!) { call(id: $id) { transcripts { id } recordings { transcripts { id } } } }`, demo.Vars{"id": c.ID}, &of)
	if len(of.Call.Transcripts) != 1 || of.Call.Transcripts[0].ID != x.ID || len(of.Call.Recordings[0].Transcripts) != 1 {
		t.Errorf("the call has %+v", of)
	}

	// Review: corrected by ann, whose call it was; noted; found by the right word.
	outsider := o.User("olga", "FIELDWORKER", "")
	if got := o.transcript(outsider.Client, x.ID); got != nil {
		t.Errorf("who does not see the call reads %s", asJSON(got))
	}
	var fixed struct {
		TranscriptSegmentsUpdate struct {
			Transcript *transcriptView
			UserErrors []struct{ Code, Message string }
		}
	}
	correct := `mutation($id: ID!, $v: Int!) { transcriptSegmentsUpdate(id: $id, version: $v, segments: [{index: 0, text: "My boiler is leaking."}]) { transcript ` + transcriptFields + ` userErrors { code message } } }`
	o.Do(correct, demo.Vars{"id": x.ID, "v": x.Version}, &fixed)
	if got := fixed.TranscriptSegmentsUpdate.Transcript; got == nil || !got.IsCorrected || word(got.Segments[0].OriginalText) != "My boiler is liking." || len(got.Corrections.Nodes) != 1 {
		t.Fatalf("corrected: %s", asJSON(fixed))
	}
	if err := o.Admin.Do(t.Context(), correct, demo.Vars{"id": x.ID, "v": x.Version}, nil); err == nil || !strings.Contains(err.Error(), "CONFLICT") {
		t.Errorf("an old version: %v", err)
	}
	o.Do(`mutation($id: ID!) { transcriptNoteAdd(id: $id, input: {text: "call back", flag: FOLLOW_UP, segmentIndex: 0}) { userErrors { code field message } } }`, demo.Vars{"id": x.ID}, nil)
	o.Do(`mutation($id: ID!) { transcriptUpdate(id: $id, input: {subject: "Boiler", categories: ["Repair"]}) { userErrors { code field message } } }`, demo.Vars{"id": x.ID}, nil)
	for claim, f := range map[string]demo.Vars{"words": {"text": "leaking"}, "flag": {"flag": "FOLLOW_UP"}, "category": {"category": "repair"}, "call": {"callId": c.ID}, "subject": {"subject": "boil"}} {
		if got := o.transcriptsOf(o.Admin, f); len(got) != 1 || got[0].ID != x.ID {
			t.Errorf("by %s: %s", claim, asJSON(got))
		}
		if got := o.transcriptsOf(o.Admin, f); claim == "words" && !slices.Equal(got[0].Matches, []int{0}) {
			t.Errorf("the matches are %v", got[0].Matches)
		}
	}

	// R229: the recording goes, the transcript stays; then it goes too, also at Twilio.
	if outcomes, messages := o.erased(o.Admin, "old", x.Recording.ID); outcomes[0] != "DELETED" {
		t.Fatalf("the recording: %v %v", outcomes, messages)
	}
	if got := o.transcript(o.Admin, x.ID); got.Status != "COMPLETED" || len(got.Segments) != 2 {
		t.Errorf("after its recording it is %s", asJSON(got))
	}
	if n := len(o.Emulator.Transcripts()); n != 1 {
		t.Fatalf("%d transcripts at Twilio", n)
	}
	o.Do(`mutation($id: ID!) { transcriptsDelete(ids: [$id], reason: "asked to") { transcripts { id } userErrors { code field message } } }`, demo.Vars{"id": x.ID}, nil)
	o.Settle()
	if got := o.transcript(o.Admin, x.ID); got.Status != "DELETED" || got.Text != nil || len(got.Segments) != 0 || len(got.Notes) != 0 || word(got.DeletedReason) != "asked to" || got.Subject != nil {
		t.Errorf("the tombstone is %s", asJSON(got))
	}
	if left := o.Emulator.Transcripts(); len(left) != 0 {
		t.Errorf("Twilio still has %+v", left)
	}
	o.clean()
}

// A voicemail becomes text by an HTTP provider that fetches the audio and answers
// later; who follows the voicemail up reads it (R129, R200).
func TestAVoicemailBecomesTextElsewhere(t *testing.T) {
	s := newStory(t)
	type task struct {
		ID          string
		Speakers    []string
		Audio       struct{ URL, ContentType string }
		CallbackURL string
	}
	tasks := make(chan task, 8)
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var x task
		_ = json.NewDecoder(r.Body).Decode(&x)
		w.WriteHeader(http.StatusAccepted)
		tasks <- x
	}))
	t.Cleanup(engine.Close)
	line := s.Number(officeNumber, nil)
	bob, dan := s.User("bob", "OFFICE", ""), s.User("dan", "FIELDWORKER", "")
	s.set(line, demo.Vars{"routing": demo.Vars{"ringTimeoutSeconds": 20}, "voicemail": demo.Vars{"isEnabled": true, "greetingText": "Leave a message.", "ownerId": bob.ID}})
	s.transcribing(demo.Vars{"mode": "OFF", "provider": "HTTP", "httpUrl": engine.URL, "httpSecret": "0123456789abcdef"})
	s.Do(`mutation($id: ID!) { phoneNumberTranscriptionSet(id: $id, mode: VOICEMAILS) { phoneNumber { transcription } userErrors { code field message } } }`, demo.Vars{"id": line}, nil)
	news := s.watch(s.Admin, transcriptNews, nil)
	sid := s.dial(customer, officeNumber)
	s.speakAndHangUp(sid, 10*time.Second)
	s.Settle()

	var x task
	select {
	case x = <-tasks:
	case <-time.After(patience):
		t.Fatal("the provider was never asked")
	}
	if !slices.Equal(x.Speakers, []string{"CALLER"}) {
		t.Errorf("the speakers are %v", x.Speakers)
	}
	status, audio, header := s.fetch(x.Audio.URL, "", nil)
	if status != 200 || header.Get("Content-Type") != "audio/wav" || len(audio) < 1000 {
		t.Fatalf("the audio is served as %d %s, %d bytes", status, header.Get("Content-Type"), len(audio))
	}
	post := func(address, body string) int {
		res, err := http.Post(address, "application/json", strings.NewReader(body))
		s.Must(err)
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode
	}
	if status := post(strings.Replace(x.CallbackURL, "s=", "s=a", 1), "{}"); status != 404 {
		t.Errorf("a forged address gives %d", status)
	}
	if status := post(x.CallbackURL, "hello"); status != 400 {
		t.Errorf("a body that is no result gives %d", status)
	}
	for range 2 {
		if status := post(x.CallbackURL, `{"status":"COMPLETED","segments":[{"startMs":0,"endMs":900,"channel":1,"text":"please call me back"}]}`); status != 204 {
			t.Fatalf("the result gives %d", status)
		}
	}
	got := news.completed()
	if got.Source != "VOICEMAIL" || word(got.Text) != "CALLER: please call me back" || got.ID != x.ID {
		t.Errorf("it is %s", asJSON(got))
	}
	var mail struct {
		Voicemail struct{ Transcript *transcriptView }
	}
	v := s.call(sid).Voicemail.ID
	s.Must(bob.Client.Do(t.Context(), `query($id: ID!) { voicemail(id: $id) { transcript `+transcriptFields+` } }`, demo.Vars{"id": v}, &mail))
	if mail.Voicemail.Transcript == nil || mail.Voicemail.Transcript.ID != got.ID {
		t.Errorf("bob reads %s", asJSON(mail))
	}
	if other := s.transcript(dan.Client, got.ID); other != nil {
		t.Errorf("dan reads %s", asJSON(other))
	}
	if status, _, _ := s.fetch(x.Audio.URL, "", nil); status != 404 {
		t.Errorf("after the work the audio is served as %d", status)
	}
	s.clean()
}
