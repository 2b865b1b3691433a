package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
)

// accesses are the acts of an actor that the log has as accesses, newest first.
func (s *story) accesses(actor string) (acts []string) {
	s.t.Helper()
	for _, e := range s.entries(demo.Vars{"isAccess": true, "actorId": actor}) {
		if !e.IsAccess || e.Subject == nil || e.Words == "" {
			s.t.Errorf("%s: the entry is %+v", e.Action, e)
		}
		acts = append(acts, e.Action)
	}
	return acts
}

// Whichever way the number that a masked pair hides is read, the log has one entry of
// the pair and the reader; none of those whom it is hidden from, nor of those who read
// something else of the call (R103).
func TestEveryWayToAHiddenNumberIsInTheAuditLog(t *testing.T) {
	s := newStory(t)
	line := s.Number(officeNumber, demo.Vars{"branchId": s.Branch("Office"), "recording": demo.Vars{"incoming": "FROM_ANSWER_DUAL"}, "voicemail": demo.Vars{"isEnabled": true}})
	fay := s.User("fay", "FIELDWORKER", "+12025550172")
	s.change(fay, demo.Vars{"isFieldworker": true})
	van := s.Device(fay, "Van")
	carl := s.contact("CUSTOMER", "Carl", customer, nil)
	booking := s.recordOf("BOOKING", "Lawn", carl, demo.Vars{"assignedUserId": fay.ID})
	pair := s.made("maskedPairCreate", "MaskedPairCreateInput", "maskedPair", demo.Vars{"recordId": booking})
	start := s.cursor()

	sid := s.dial(customer, officeNumber)
	s.answer(van)
	s.Must(s.Emulator.Speak(sid, 3*time.Second))
	s.Pass(5 * time.Second)
	s.hangUp(sid)
	missed := s.dial(customer, officeNumber)
	s.speakAndHangUp(missed, 5*time.Second)
	s.PassSettling(20*time.Second, 5*time.Second)
	talked := s.call(sid)
	left := s.call(missed)
	if len(talked.Recordings) == 0 || left.Voicemail == nil {
		t.Fatalf("%s, %s", talked, left)
	}
	var open struct{ FollowUps struct{ Nodes []ref } }
	s.Do(`{ followUps { nodes { id } } }`, nil, &open)
	if len(open.FollowUps.Nodes) == 0 {
		t.Fatal("nobody is to be called back")
	}
	vars := demo.Vars{"call": talked.ID, "recording": talked.Recordings[0].ID, "voicemail": left.Voicemail.ID, "followUp": open.FollowUps.Nodes[0].ID, "contact": carl, "record": booking,
		"line": line, "start": start}

	const ends = `{ id from { e164 display } to { e164 display } }`
	n := 0
	for way, query := range map[string]string{
		"the log":            `{ calls { nodes ` + ends + ` } }`,
		"the log by edges":   `{ calls { edges { node ` + ends + ` } } }`,
		"one call":           `query($call: ID!) { call(id: $call) ` + ends + ` }`,
		"node":               `query($call: ID!) { node(id: $call) { ... on Call ` + ends + ` } }`,
		"nodes":              `query($call: ID!) { nodes(ids: [$call]) { ... on Call ` + ends + ` } }`,
		"recent calls":       `{ recentCalls { nodes { call ` + ends + ` } } }`,
		"its legs":           `query($call: ID!) { call(id: $call) { legs { to { e164 display } } } }`,
		"a contact's calls":  `query($contact: ID!) { contact(id: $contact) { calls { nodes ` + ends + ` } } }`,
		"a record's calls":   `query($record: ID!) { record(id: $record) { calls { nodes ` + ends + ` } } }`,
		"a timeline":         `query($contact: ID!) { contact(id: $contact) { timeline { nodes { node { ... on Call ` + ends + ` } } } } }`,
		"a search":           `{ search(text: "` + customer + `", kinds: [CALL]) { nodes { node { ... on Call ` + ends + ` } } } }`,
		"a recording's call": `query($recording: ID!) { recording(id: $recording) { call ` + ends + ` } }`,
		"a voicemail":        `query($voicemail: ID!) { voicemail(id: $voicemail) { from { e164 display } } }`,
		"voicemails":         `{ voicemails { nodes { from { e164 display } } } }`,
		"a voicemail's call": `query($voicemail: ID!) { voicemail(id: $voicemail) { call ` + ends + ` } }`,
		"a follow-up":        `query($followUp: ID!) { followUp(id: $followUp) { from { e164 display } } }`,
		"follow-ups":         `{ followUps { nodes { from { e164 display } } } }`,
		"its attempts":       `query($followUp: ID!) { followUp(id: $followUp) { attempts { nodes { call ` + ends + ` } } } }`,
		"a command's answer": `mutation($call: ID!) { callUpdate(id: $call, input: {notes: "x"}) { call ` + ends + ` userErrors { code field message } } }`,
		"live calls":         `subscription($start: Cursor) { liveCalls(after: $start) { ... on LiveCallChanged { call ` + ends + ` } } }`,
		"one live call":      `subscription($call: ID!, $start: Cursor) { callChanged(id: $call, after: $start) { call ` + ends + ` } }`,
		"an event":           `subscription($start: Cursor) { events(after: $start, types: [CALL_ENDED]) { ... on CallEnded { call ` + ends + ` } } }`,
	} {
		n++
		reader := s.User(fmt.Sprintf("reader%d", n), "ADMIN", "")
		used := demo.Vars{}
		for name, v := range vars {
			if strings.Contains(query, "$"+name+":") {
				used[name] = v
			}
		}
		for range 2 { // what is seen again at once is seen once
			if answer := s.answered(reader.Client, query, used); !strings.Contains(answer, customer) {
				t.Errorf("%s does not show the number: %s", way, answer)
			}
		}
		got := s.entries(demo.Vars{"action": "masked_pair.reveal", "actorId": reader.ID, "isAccess": true})
		if len(got) != 1 || got[0].SubjectReference == nil || *got[0].SubjectReference != pair {
			t.Errorf("%s: the log has %+v", way, got)
		}
	}
	// No entry without an access.
	for way, c := range map[string]struct {
		query string
		who   *demo.Client
		actor string
	}{
		"the pair's fieldworker":    {`{ calls { nodes ` + ends + ` } }`, fay.Client, fay.ID},
		"something else of a call":  {`{ calls { nodes { id status } } }`, nil, ""},
		"our own end of a call":     {`{ calls { nodes { id to { e164 } } } }`, nil, ""},
		"something of a follow-up":  {`{ followUps { nodes { id status } } }`, nil, ""},
		"something of a voicemail":  {`{ voicemails { nodes { id durationSeconds } } }`, nil, ""},
		"a call with its own pair":  {`{ calls { nodes { id maskedPair { id } } } }`, nil, ""},
		"who may see no such thing": {`{ calls { nodes ` + ends + ` } }`, s.Another("Other").Admin, ""},
	} {
		if c.who == nil {
			n++
			reader := s.User(fmt.Sprintf("reader%d", n), "ADMIN", "")
			c.who, c.actor = reader.Client, reader.ID
		}
		if answer := s.answered(c.who, c.query, nil); strings.Contains(answer, customer) {
			t.Errorf("%s: the number is shown: %s", way, answer)
		}
		if c.actor != "" {
			if got := s.accesses(c.actor); slices.Contains(got, "masked_pair.reveal") {
				t.Errorf("%s: the log has %v", way, got)
			}
		}
	}
}

// Whoever reads a transcript, hears or saves a recording or fetches an export is in
// the log with it, each once; whoever sees that these are there is not.
func TestWhatIsHeardSavedAndReadIsInTheAuditLog(t *testing.T) {
	o := newOffice(t, demo.Vars{"recording": demo.Vars{"incoming": "FROM_ANSWER_DUAL"}})
	o.Emulator.TranscriptDelay(-1, false)
	o.transcribing(demo.Vars{"mode": "CALLS", "language": "en-AU"})
	news := o.watch(o.Admin, `subscription { events(types: [TRANSCRIPT_COMPLETED]) { ... on TranscriptCompleted { transcript { id } } } }`, nil)
	o.talk()
	o.Emulator.Say(o.caller, emulator.Sentence{Channel: 1, Start: 0, End: time.Second, Text: "My boiler is leaking."})
	o.Must(o.Emulator.Speak(o.caller, 3*time.Second))
	o.Pass(4 * time.Second)
	o.hangUp(o.caller)
	o.PassSettling(10*time.Second, 2*time.Second)
	var told struct {
		Events struct{ Transcript ref }
	}
	news.next(&told)
	tape := o.call(o.caller).Recordings[0].ID
	link := func(who *demo.Client, field string) string {
		t.Helper()
		var out struct{ Recording map[string]*string }
		o.Must(who.Do(t.Context(), `query($r: ID!) { recording(id: $r) { `+field+` } }`, demo.Vars{"r": tape}, &out))
		for _, address := range out.Recording {
			return *address
		}
		return ""
	}
	fetch := func(address string) {
		t.Helper()
		if status, body, _ := o.download(address); status != http.StatusOK || len(body) == 0 {
			t.Errorf("%s answers %d", address, status)
		}
	}
	ask := func(who *demo.Client, query string) string {
		t.Helper()
		var raw json.RawMessage
		o.Must(who.Do(t.Context(), query, demo.Vars{"t": told.Events.Transcript.ID}, &raw))
		return string(raw)
	}
	n := 0
	for what, c := range map[string]struct {
		does    func(who *demo.Client)
		act     string
		subject string
	}{
		"hearing":          {func(who *demo.Client) { fetch(link(who, "url")) }, "recording.listen", tape},
		"saving":           {func(who *demo.Client) { fetch(link(who, "url(download: true)")) }, "recording.download", tape},
		"the text":         {func(who *demo.Client) { ask(who, `query($t: ID!) { transcript(id: $t) { text } }`) }, "transcript.read", told.Events.Transcript.ID},
		"the segments":     {func(who *demo.Client) { ask(who, `query($t: ID!) { transcript(id: $t) { segments { text } } }`) }, "transcript.read", told.Events.Transcript.ID},
		"a list of texts":  {func(who *demo.Client) { ask(who, `{ transcripts { nodes { text } } }`) }, "transcript.read", told.Events.Transcript.ID},
		"a text by a call": {func(who *demo.Client) { ask(who, `{ calls { nodes { transcripts { text } } } }`) }, "transcript.read", told.Events.Transcript.ID},
		"looking only": {func(who *demo.Client) {
			ask(who, `query($t: ID!) { transcript(id: $t) { id status segmentCount } transcripts { nodes { id } } recordings { nodes { id url } } }`)
		}, "", ""},
	} {
		n++
		reader := o.User(fmt.Sprintf("reader%d", n), "ADMIN", "")
		c.does(reader.Client)
		c.does(reader.Client)
		o.Settle()
		got := slices.DeleteFunc(o.entries(demo.Vars{"actorId": reader.ID, "isAccess": true}), func(e entryView) bool { return strings.HasPrefix(e.Action, "session.") })
		if c.act == "" {
			if len(got) != 0 {
				t.Errorf("%s: the log has %+v", what, got)
			}
			continue
		}
		if len(got) == 0 || got[0].Action != c.act || got[0].SubjectReference == nil || *got[0].SubjectReference != c.subject || !got[0].IsAccess || c.act == "transcript.read" && len(got) != 1 {
			t.Errorf("%s: the log has %+v", what, got)
		}
	}
	// An export is fetched, and what it is of.
	e, code := o.export(o.Admin, demo.Vars{"kind": "RECORDING_AUDIO"})
	if code != "" {
		t.Fatal(code)
	}
	fetch(*o.exported(o.Admin, e.ID, "DONE").URL)
	o.Settle()
	for act, subject := range map[string]string{"export.download": e.ID, "recording.export": tape} {
		if got := o.entries(demo.Vars{"action": act, "subjectId": subject, "isAccess": true}); len(got) != 1 {
			t.Errorf("%s: the log has %+v", act, got)
		}
	}
}
