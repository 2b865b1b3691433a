package app_test

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/id"
)

const tapeFields = `{ id purpose status mediaState channels isHeld isHeardByMe deletedAt deleteReason goneAtTwilioAt url caller: url(channel: CALLER) file: url(channel: USER, download: true)
	waveform(points: 4) deletedBy { id } branch { id } phoneNumber { id } call { id } notices { code } ledger(first: 50) { nodes { kind actor { name } reason } } }`

type tape struct {
	ID, Purpose, Status, MediaState         string
	Channels                                int
	IsHeld, IsHeardByMe                     bool
	DeletedAt, DeleteReason, GoneAtTwilioAt *string
	URL, Caller, File                       *string
	Waveform                                []float64
	DeletedBy, Branch, PhoneNumber, Call    *ref
	Notices                                 []struct{ Code string }
	Ledger                                  *struct {
		Nodes []struct {
			Kind   string
			Actor  *struct{ Name string }
			Reason *string
		}
	}
}

// life is the ledger, oldest first.
func (x tape) life() (kinds []string) {
	if x.Ledger == nil {
		return nil
	}
	for _, e := range x.Ledger.Nodes {
		kinds = append([]string{e.Kind}, kinds...)
	}
	return kinds
}

func (s *story) archive(who *demo.Client, filter demo.Vars) []tape {
	s.t.Helper()
	var out struct{ Recordings struct{ Nodes []tape } }
	s.Must(who.Do(s.t.Context(), `query($f: RecordingFilter) { recordings(filter: $f) { nodes `+tapeFields+` } }`, demo.Vars{"f": filter}, &out))
	return out.Recordings.Nodes
}

func (s *story) tape(who *demo.Client, id string) *tape {
	s.t.Helper()
	var out struct{ Recording *tape }
	s.Must(who.Do(s.t.Context(), `query($id: ID!) { recording(id: $id) `+tapeFields+` }`, demo.Vars{"id": id}, &out))
	return out.Recording
}

// erased is how the deletion of each recording goes.
func (s *story) erased(who *demo.Client, reason string, ids ...string) (outcomes, messages []string) {
	s.t.Helper()
	var out struct {
		RecordingsDelete struct {
			Results []struct {
				ID, Outcome string
				Message     *string
				Recording   *tape
			}
		}
	}
	s.Must(who.Do(s.t.Context(), `mutation($ids: [ID!]!, $r: String) { recordingsDelete(ids: $ids, reason: $r) { results { id outcome message recording `+tapeFields+` } userErrors { code field message } } }`,
		demo.Vars{"ids": ids, "r": reason}, &out))
	for i, x := range out.RecordingsDelete.Results {
		if x.ID != ids[i] || strings.HasSuffix(x.Outcome, "DELETED") != (x.Recording != nil && x.Recording.Status == "DELETED") {
			s.t.Errorf("%s is %s: %+v", x.ID, x.Outcome, x.Recording)
		}
		outcomes, messages = append(outcomes, x.Outcome), append(messages, word(x.Message))
	}
	return outcomes, messages
}

// A recorded call with a pause: heard in parts, one side saved, held, deleted, and a
// tombstone from then on whatever Twilio still says (R117, R123, R225-R229, R279, R282).
func TestARecordingFromItsConsentToItsTombstone(t *testing.T) {
	o := newOffice(t, demo.Vars{"recording": demo.Vars{"incoming": "FROM_ANSWER_DUAL"}, "prompts": demo.Vars{"welcomeText": "This call may be recorded."}})
	o.caller = o.dial(customer, officeNumber)
	for range 20 {
		if len(o.ringing()) > 0 {
			break
		}
		o.Pass(time.Second) // the prompt is heard
	}
	o.answer(o.desks["ann"])
	o.id = o.call(o.caller).ID
	o.Must(o.Emulator.Speak(o.caller, time.Second))
	o.Pass(2 * time.Second)
	running := o.call(o.caller).Recordings[0].ID
	if outcomes, messages := o.erased(o.Admin, "", running); outcomes[0] != "IN_PROGRESS" || !strings.Contains(messages[0], "end the call") {
		t.Errorf("a recording that runs: %v %v", outcomes, messages)
	}
	o.must(o.ann, "callRecordingPause", "")
	o.Pass(5 * time.Second)
	o.must(o.ann, "callRecordingResume", "")
	o.Must(o.Emulator.Speak(o.caller, 3*time.Second))
	o.Pass(4 * time.Second)
	o.hangUp(o.caller)
	o.PassSettling(10*time.Second, 2*time.Second)

	list := o.archive(o.Admin, demo.Vars{"minSeconds": 1, "branchId": o.call(o.caller).Branch.ID})
	if len(list) != 1 || list[0].ID != running {
		t.Fatalf("listed: %s", asJSON(list))
	}
	x := list[0]
	if x.Status != "COMPLETED" || x.MediaState != "STORED" || x.Channels != 2 || x.IsHeardByMe || x.URL == nil || x.Call == nil || len(x.Waveform) != 4 || slices.Max(x.Waveform) < 0.05 {
		t.Fatalf("the recording is %s", asJSON(x))
	}
	if got := strings.Join(x.life(), " "); got != "CONSENT_PLAYED STARTED PAUSED RESUMED COMPLETED STORED" { // D10, R117, R118
		t.Errorf("its life is %s", got)
	}
	for _, e := range x.Ledger.Nodes {
		if (e.Kind == "PAUSED" || e.Kind == "RESUMED") && (e.Actor == nil || e.Actor.Name != "ann") {
			t.Errorf("%s by %+v", e.Kind, e.Actor)
		}
	}
	// Playing: ranges, where one ends, and going on.
	status, whole, header := o.fetch(*x.URL, "", nil)
	tag := header.Get("ETag")
	if status != 200 || !bytes.HasPrefix(whole, []byte("RIFF")) || tag == "" || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("%d %v", status, header)
	}
	for claim, c := range map[string]struct {
		ask  http.Header
		want int
		part []byte
	}{
		"a range":         {http.Header{"Range": {"bytes=100-199"}}, 206, whole[100:200]},
		"past the end":    {http.Header{"Range": {"bytes=99999999-"}}, 416, nil},
		"if still there":  {http.Header{"Range": {"bytes=10-19"}, "If-Range": {tag}}, 206, whole[10:20]},
		"if it had moved": {http.Header{"Range": {"bytes=10-19"}, "If-Range": {`"else"`}}, 200, whole},
	} {
		if status, part, _ := o.fetch(*x.URL, "", c.ask); status != c.want || c.part != nil && !bytes.Equal(part, c.part) {
			t.Errorf("%s: %d with %d bytes", claim, status, len(part))
		}
	}
	// One side of two (R114): the caller's is not the user's.
	_, caller, _ := o.fetch(*x.Caller, "", nil)
	_, user, header := o.fetch(*x.File, "", nil)
	if !loud(caller) || loud(user) || len(caller) != len(user) || len(caller) >= len(whole) {
		t.Errorf("the caller's side is loud: %t, the user's: %t; %d, %d of %d bytes", loud(caller), loud(user), len(caller), len(user), len(whole))
	}
	if got := header.Get("Content-Disposition"); got != `attachment; filename="`+x.ID+`-user.wav"` {
		t.Errorf("saved as %s", got)
	}
	after := o.tape(o.Admin, x.ID)
	if got := strings.Join(after.life()[6:], " "); got != "LISTENED DOWNLOADED" || !after.IsHeardByMe {
		t.Errorf("then %s, heard by me: %t", got, after.IsHeardByMe)
	}
	// Who may what.
	if o.tape(o.cec.Client, x.ID).Ledger != nil {
		t.Error("a dispatcher reads the ledger")
	}
	if o.tape(o.ann.Client, x.ID) != nil {
		t.Error("the role OFFICE hears recordings")
	}
	if code := o.try(o.cec.Client, `mutation($ids: [ID!]!) { recordingsDelete(ids: $ids) { userErrors { code field message } } }`, demo.Vars{"ids": []string{x.ID}}, nil); code != "FORBIDDEN" {
		t.Errorf("a dispatcher deletes: %q", code)
	}
	// Held, released, deleted.
	hold := o.hold(o.id, "Case 17")
	if outcomes, messages := o.erased(o.Admin, "", x.ID, id.New(id.Recording).String()); outcomes[0] != "HELD" || !strings.Contains(messages[0], "Case 17") || outcomes[1] != "NOT_FOUND" {
		t.Errorf("held: %v %v", outcomes, messages)
	}
	o.Do(`mutation($id: ID!) { legalHoldRelease(id: $id, reason: "settled") { userErrors { code field message } } }`, demo.Vars{"id": hold}, nil)
	o.Emulator.FailNext(emulator.Fault{Method: "DELETE", Path: "/Recordings/", Fate: emulator.Fate500})
	if outcomes, messages := o.erased(o.Admin, "asked by the customer", x.ID); outcomes[0] != "DELETED" {
		t.Fatalf("%v %v", outcomes, messages)
	}
	status, body, _ := o.fetch(*x.URL, "", nil)
	if status != 410 || !strings.Contains(string(body), `"deleteReason":"asked by the customer"`) {
		t.Errorf("the address of what is deleted gives %d %s", status, body)
	}
	o.PassSettling(time.Minute, 5*time.Second)
	gone := o.tape(o.Admin, x.ID)
	if gone.Status != "DELETED" || gone.URL != nil || gone.Caller != nil || gone.DeletedBy == nil || gone.GoneAtTwilioAt == nil || gone.Waveform != nil || word(gone.DeleteReason) != "asked by the customer" {
		t.Errorf("the tombstone is %s", asJSON(gone))
	}
	if got := strings.Join(gone.life()[8:], " "); got != "HOLD_PLACED HOLD_RELEASED DELETED AUDIO_ERASED DELETED_AT_TWILIO" {
		t.Errorf("its life ends %s", got)
	}
	for _, e := range gone.Ledger.Nodes {
		if why := map[string]string{"HOLD_PLACED": "Case 17", "HOLD_RELEASED": "settled", "DELETED": "asked by the customer"}[e.Kind]; why != "" && (word(e.Reason) != why || e.Actor == nil || e.Actor.Name != "Ada") {
			t.Errorf("%s by %+v: %q", e.Kind, e.Actor, word(e.Reason))
		}
	}
	if r := o.Emulator.Recordings()[0]; !r.Deleted {
		t.Error("it is still at Twilio")
	}
	// A late callback of Twilio changes nothing.
	for _, d := range o.Emulator.Deliveries() {
		if d.Kind == emulator.KindRecording && d.Event == o.Emulator.Recordings()[0].SID+"/completed" {
			d.Form.Set("RecordingDuration", "99")
			o.signed(d.URL, d.Form)
		}
	}
	o.Settle()
	if again := o.tape(o.Admin, x.ID); again.Status != "DELETED" || again.URL != nil {
		t.Errorf("a late callback made it %s", again.Status)
	}
	if n := len(o.archive(o.Admin, nil)); n != 0 {
		t.Errorf("%d are listed", n)
	}
	if n := len(o.archive(o.Admin, demo.Vars{"status": []string{"DELETED"}})); n != 1 {
		t.Errorf("%d tombstones are listed", n)
	}
	if outcomes, _ := o.erased(o.Admin, "", x.ID); outcomes[0] != "WAS_DELETED" {
		t.Errorf("again: %v", outcomes)
	}
}

// loud reports whether a WAV file of 16 bits has sound in it.
func loud(wav []byte) bool {
	for i := 44; i+1 < len(wav); i += 2 {
		if v := int16(binary.LittleEndian.Uint16(wav[i:])); v > 1000 || v < -1000 {
			return true
		}
	}
	return false
}

// R282: somebody deletes in Twilio's console; nobody tells us.
func TestADeletionInTwiliosConsoleIsNoticed(t *testing.T) {
	o := newOffice(t, recorded)
	var ids []string
	for range 2 {
		o.talk()
		o.hangUp(o.caller)
		o.PassSettling(10*time.Second, 2*time.Second)
		ids = append(ids, o.call(o.caller).Recordings[0].ID)
	}
	o.Must(o.Emulator.DeleteRecording(o.Emulator.Recordings()[0].SID))
	o.PassSettling(26*time.Hour, time.Hour)
	o.Admin = o.SignIn("admin")
	gone, kept := o.tape(o.Admin, ids[0]), o.tape(o.Admin, ids[1])
	if gone.Status != "DELETED" || gone.GoneAtTwilioAt == nil || word(gone.DeleteReason) != "deleted at Twilio" || !slices.Contains(gone.life(), "GONE_AT_TWILIO") {
		t.Errorf("what was deleted there is %s", asJSON(gone))
	}
	if kept.Status != "COMPLETED" || kept.GoneAtTwilioAt != nil {
		t.Errorf("what is there is %s", asJSON(kept))
	}
	o.Do(`mutation { recordingPolicyUpdate(input: {whenDeletedAtTwilio: KEEP_COPY}) { policy { whenDeletedAtTwilio } userErrors { code field message } } }`, nil, nil)
	o.Must(o.Emulator.DeleteRecording(o.Emulator.Recordings()[1].SID))
	o.PassSettling(26*time.Hour, time.Hour)
	o.Admin = o.SignIn("admin")
	kept = o.tape(o.Admin, ids[1])
	if kept.Status != "COMPLETED" || kept.GoneAtTwilioAt == nil || kept.URL == nil {
		t.Fatalf("what is kept is %s", asJSON(kept))
	}
	if status, _, _ := o.fetch(*kept.URL, "", nil); status != 200 {
		t.Errorf("our copy is served as %d", status)
	}
}
