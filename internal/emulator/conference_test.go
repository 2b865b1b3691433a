package emulator_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

const (
	third    = "+15557654323"
	roomName = "call-1"
	allOf    = "start end join leave mute hold modify announcement"
)

// join lets somebody call and enter the room by <Dial action="/after"><Conference>. Every
// call that the room sends on is parked in a <Pause>.
func (s *stage) join(from, attrs string) (sid string) {
	s.Helper()
	s.answer("/voice", `<Response><Dial action="/after"><Conference statusCallback="/room" statusCallbackEvent="`+allOf+`" `+attrs+`>`+roomName+`</Conference></Dial></Response>`)
	s.answer("/after", `<Response><Pause length="600"/></Response>`)
	return s.call(from, office)
}

// room is the only conference of the stage.
func (s *stage) room() emulator.Conference {
	s.Helper()
	list := s.e.Conferences()
	if len(list) != 1 {
		s.Fatalf("%d conferences, want 1", len(list))
	}
	return list[0]
}

// leg is a call as it is now.
func (s *stage) leg(sid string) emulator.Call {
	s.Helper()
	c, ok := s.e.Call(sid)
	if !ok {
		s.Fatalf("no call %s", sid)
	}
	return c
}

func (s *stage) hears(sid, want string) {
	s.Helper()
	if got := s.leg(sid).Hears; got != want {
		s.Errorf("leg hears %q, want %q", got, want)
	}
}

// sound serves a WAV file of some seconds.
func (s *stage) sound(path string, secs int) string {
	wav := make([]byte, 44+8000*secs)
	copy(wav, "RIFF\x00\x00\x00\x00WAVEfmt ")
	wav[28], wav[29] = 0x40, 0x1f // 8,000 bytes a second
	s.handle(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "audio/wav")
		_, _ = w.Write(wav)
	})
	return s.hooks.URL + path
}

func (s *stage) update(sid string, more func(*api.UpdateParticipantParams)) *api.ApiV2010Participant {
	s.Helper()
	p := &api.UpdateParticipantParams{}
	more(p)
	got, err := s.tw.Api.UpdateParticipant(s.room().SID, sid, p)
	s.must(err)
	s.idle()
	return got
}

func TestConferenceStartsWithTwoAndAStarter(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, first, second string
		started            bool
	}{
		"both start":   {"", ``, ``, true},
		"one starts":   {"whoever it is", `startConferenceOnEnter="true"`, `startConferenceOnEnter="false"`, true},
		"nobody does":  {"they wait for a moderator", `startConferenceOnEnter="false"`, `startConferenceOnEnter="false"`, false},
		"the other is": {"", `startConferenceOnEnter="false"`, ``, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			a := s.join(mobile, tc.first)
			s.hears(a, emulator.DefaultMusic)
			if r := s.room(); r.Started || r.Status != "in-progress" {
				t.Errorf("one participant: %+v", r)
			}
			b := s.join(second, tc.second)
			if got := s.room().Started; got != tc.started {
				t.Fatalf("%s: started %v", tc.why, got)
			}
			want := emulator.DefaultMusic
			if tc.started {
				want = "room:" + roomName
			}
			s.hears(a, want)
			s.hears(b, want)
			s.quiet()
		})
	}
}

func TestConferenceTellsWhatHappens(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	a := s.join(mobile, `participantLabel="customer" region="au1"`)
	b := s.join(second, `participantLabel="agent" statusCallback="/ignored" muted="true"`)
	s.update(a, func(p *api.UpdateParticipantParams) { p.SetMuted(true) })
	s.update("customer", func(p *api.UpdateParticipantParams) { p.SetMuted(false) })
	s.update("agent", func(p *api.UpdateParticipantParams) { p.SetEndConferenceOnExit(true) })
	s.must(s.e.HangUp(b))
	s.idle()
	type row struct{ Seq, Event, Label, Muted, Ends, Reason, Status string }
	var got []row
	for _, p := range s.sent("/room") {
		f := p.Form
		got = append(got, row{f.Get("SequenceNumber"), f.Get("StatusCallbackEvent"), f.Get("ParticipantLabel"), f.Get("Muted"), f.Get("EndConferenceOnExit"),
			f.Get("ReasonParticipantLeft") + f.Get("ReasonConferenceEnded"), f.Get("ParticipantCallStatus")})
		if f.Get("ConferenceSid") != s.room().SID || f.Get("FriendlyName") != roomName || f.Get("AccountSid") != accountSID || f.Get("Timestamp") == "" {
			t.Errorf("event %v", f)
		}
	}
	want := []row{
		{"0", "participant-join", "customer", "false", "false", "", ""},
		{"1", "participant-join", "agent", "true", "false", "", ""},
		{"2", "conference-start", "", "", "", "", ""},
		{"3", "participant-mute", "customer", "true", "false", "", ""},
		{"4", "participant-unmute", "customer", "false", "false", "", ""},
		{"5", "participant-modify", "agent", "true", "true", "", ""},
		{"6", "participant-leave", "agent", "true", "true", "participant_hung_up", "completed"},
		{"7", "participant-leave", "customer", "false", "false", "moderator_ended_conference", "in-progress"},
		{"8", "conference-end", "", "", "", "participant-with-end-conference-on-exit-left", ""},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if end := s.last("/room"); end.Get("CallSidEndingConference") != b || end.Get("ParticipantLabelEndingConference") != "agent" {
		t.Errorf("end %v", end)
	}
	if f := s.sent("/after"); len(f) != 2 {
		t.Errorf("%d actions, want the customer's and that of the one who hung up", len(f))
	}
	if f := s.last("/after"); f.Get("DialCallStatus") != "answered" || f.Has("DialCallSid") || f.Has("DialCallDuration") {
		t.Errorf("action %v", f)
	}
	if s.status(a) != "in-progress" {
		t.Errorf("the customer's document does not go on: %s", s.status(a))
	}
	got2, err := s.tw.Api.FetchConference(s.room().SID, nil)
	s.must(err)
	if *got2.Status != "completed" || *got2.ReasonConferenceEnded != "participant-with-end-conference-on-exit-left" || *got2.CallSidEndingConference != b || *got2.Region != "au1" {
		t.Errorf("fetched %+v", got2)
	}
	s.quiet()
}

func TestConferenceEnds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, first string
		act        func(s *stage, a, b string)
		reason     string
		ender      int // 1 or 2, 0 for nobody
		a, b       string
		left       []string
	}{
		"last one left": {"one who leaves ends nothing", ``, func(s *stage, a, b string) {
			s.must(s.e.HangUp(a))
			s.idle()
			if s.room().Status != "in-progress" {
				s.Error("one left and the conference ended")
			}
			s.hears(b, "room:"+roomName)
			s.must(s.e.HangUp(b))
		}, "last-participant-left", 2, "completed", "completed", []string{"participant_hung_up", "participant_hung_up"}},
		"last one kicked": {"", ``, func(s *stage, a, b string) {
			s.must(s.e.HangUp(a))
			s.must(s.tw.Api.DeleteParticipant(s.room().SID, b, nil))
		}, "last-participant-kicked", 2, "completed", "completed", []string{"participant_hung_up", "participant_updated_via_api"}},
		"moderator kicked": {"the other's document goes on", `endConferenceOnExit="true"`, func(s *stage, a, _ string) {
			s.must(s.tw.Api.DeleteParticipant(s.room().SID, a, nil))
		}, "participant-with-end-conference-on-exit-kicked", 1, "completed", "in-progress", []string{"participant_updated_via_api", "moderator_ended_conference"}},
		"by REST": {"everybody is hung up", ``, func(s *stage, _, _ string) {
			r, err := s.tw.Api.UpdateConference(s.room().SID, (&api.UpdateConferenceParams{}).SetStatus("completed"))
			s.must(err)
			if *r.Status != "completed" {
				s.Errorf("updated %+v", r)
			}
		}, "conference-ended-via-api", 0, "completed", "completed", []string{"conference_ended_via_api", "conference_ended_via_api"}},
		"both redirected": {"REST takes them out", ``, func(s *stage, a, b string) {
			for _, sid := range []string{a, b} {
				_, err := s.tw.Api.UpdateCall(sid, (&api.UpdateCallParams{}).SetTwiml(`<Response><Say>Elsewhere.</Say><Pause length="600"/></Response>`))
				s.must(err)
				s.idle()
				s.hears(sid, "Elsewhere.")
			}
		}, "last-participant-left", 2, "in-progress", "in-progress", []string{"participant_updated_via_api", "participant_updated_via_api"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			a := s.join(mobile, tc.first)
			b := s.join(second, ``)
			tc.act(s, a, b)
			s.idle()
			r, err := s.tw.Api.FetchConference(s.room().SID, nil)
			s.must(err)
			ender := ""
			if r.CallSidEndingConference != nil {
				ender = *r.CallSidEndingConference
			}
			if *r.Status != "completed" || *r.ReasonConferenceEnded != tc.reason || ender != []string{"", a, b}[tc.ender] {
				t.Errorf("%s: %s, ended by %s", tc.why, *r.ReasonConferenceEnded, ender)
			}
			var left []string
			for _, p := range s.sent("/room") {
				if v := p.Form.Get("ReasonParticipantLeft"); v != "" {
					left = append(left, v)
				}
			}
			if d := cmp.Diff(tc.left, left); d != "" {
				t.Error(d)
			}
			if s.status(a) != tc.a || s.status(b) != tc.b {
				t.Errorf("%s: calls %s and %s", tc.why, s.status(a), s.status(b))
			}
			if n := len(s.sent("/after")); n != 2 {
				t.Errorf("%d actions requested, want 2", n)
			}
			if people, err := s.tw.Api.ListParticipant(s.room().SID, nil); err != nil || len(people) != 0 {
				t.Errorf("participants after the end: %v %v", people, err)
			}
			s.join(third, ``)
			if n := len(s.e.Conferences()); n != 2 {
				t.Errorf("the name is not free: %d conferences", n)
			}
			s.quiet()
		})
	}
}

func TestHoldIsolatesAndPlaysItsURL(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, method string
		sent        string
	}{
		"GET":  {"the default", "", "GET"},
		"POST": {"asked for", "POST", "POST"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			file := s.sound("/music.wav", 30)
			s.answer("/hold", `<Response><Play loop="0">`+file+`</Play></Response>`)
			a := s.join(mobile, ``)
			b := s.join(second, ``)
			got := s.update(a, func(p *api.UpdateParticipantParams) {
				p.SetHold(true).SetHoldUrl(s.hooks.URL + "/hold")
				if tc.method != "" {
					p.SetHoldMethod(tc.method)
				}
			})
			if !*got.Hold || !s.leg(a).Held {
				t.Errorf("not on hold: %+v", got)
			}
			how := ""
			for _, d := range s.e.Deliveries() {
				if strings.HasSuffix(d.URL, "/hold") {
					how = d.Method
				}
			}
			if f := s.last("/hold"); how != tc.sent || f.Get("CallSid") != a || f.Get("ConferenceSid") != s.room().SID {
				t.Errorf("%s: %s %v", tc.why, how, f)
			}
			s.hears(a, file)
			s.hears(b, "room:"+roomName)
			s.advance(10 * time.Minute)
			s.hears(a, file) // loop="0" goes on and on
			s.update(a, func(p *api.UpdateParticipantParams) { p.SetHold(false) })
			s.hears(a, "room:"+roomName)
			if d := cmp.Diff([]string{"participant-hold", "participant-unhold"}, s.values("/room", "StatusCallbackEvent")[3:]); d != "" {
				t.Error(d)
			}
			s.quiet()
		})
	}
}

func TestHoldMusicDoesNotStartOverByItself(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	file := s.sound("/music.wav", 30)
	a := s.join(mobile, ``)
	s.join(second, ``)
	s.update(a, func(p *api.UpdateParticipantParams) { p.SetHold(true).SetHoldUrl(file) })
	s.hears(a, file)
	s.advance(31 * time.Second)
	s.hears(a, "")
	s.update(a, func(p *api.UpdateParticipantParams) { p.SetHold(true) }) // nobody chose: the default
	s.hears(a, emulator.DefaultMusic)
	s.answer("/bad", `<Response><Gather/></Response>`)
	s.update(a, func(p *api.UpdateParticipantParams) { p.SetHold(true).SetHoldUrl(s.hooks.URL + "/bad") })
	s.hears(a, "")
	if d := cmp.Diff([]int{13238}, s.codes()); d != "" {
		t.Error(d)
	}
	if s.status(a) != "in-progress" || !s.leg(a).Held {
		t.Error("bad hold music must not let go of the party")
	}
}

func TestEndConferenceOnExitOfAHeldParticipantCannotBeChanged(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why    string
		unhold bool
		status string
	}{
		"on hold":        {"T04: accepted without an error, and without effect", false, "completed"},
		"taken off hold": {"then it counts", true, "in-progress"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			a := s.join(mobile, `endConferenceOnExit="true"`)
			s.join(second, ``)
			s.update(a, func(p *api.UpdateParticipantParams) { p.SetHold(true) })
			if tc.unhold {
				s.update(a, func(p *api.UpdateParticipantParams) { p.SetHold(false) })
			}
			s.update(a, func(p *api.UpdateParticipantParams) { p.SetEndConferenceOnExit(false) })
			if tc.unhold {
				s.update(a, func(p *api.UpdateParticipantParams) { p.SetHold(true) })
			}
			s.must(s.e.HangUp(a))
			s.idle()
			if got := s.room().Status; got != tc.status {
				t.Errorf("%s: the conference is %s", tc.why, got)
			}
		})
	}
}

func TestWaitURL(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, attrs, answer, hears, later string
		codes                            []int
		how                              string
	}{
		"document":      {"ends in silence", `waitUrl="/wait"`, `<Response><Say>One moment.</Say></Response>`, "One moment.", "", nil, "POST"},
		"redirect":      {"goes on for ever", `waitUrl="/wait" waitMethod="GET"`, `<Response><Say loop="3">One moment.</Say><Redirect method="GET">/wait</Redirect></Response>`, "One moment.", "One moment.", nil, "GET"},
		"empty":         {"is silence", `waitUrl=""`, ``, "", "", nil, ""},
		"bad verb":      {"is complained about", `waitUrl="/wait"`, `<Response><Record/></Response>`, "", "", []int{13238}, "POST"},
		"not TwiML":     {"", `waitUrl="/wait"`, `hello`, "", "", []int{12100}, "POST"},
		"wild redirect": {"is stopped", `waitUrl="/wait"`, `<Response><Redirect>/wait</Redirect></Response>`, "", "", []int{0}, "POST"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.answer("/wait", tc.answer)
			a := s.join(mobile, tc.attrs)
			s.hears(a, tc.hears)
			s.advance(time.Minute)
			s.hears(a, tc.later)
			if d := cmp.Diff(tc.codes, s.codes()); d != "" {
				t.Errorf("%s: %s", tc.why, d)
			}
			for _, d := range s.e.Deliveries() {
				if strings.HasSuffix(d.URL, "/wait") && d.Method != tc.how {
					t.Errorf("asked by %s", d.Method)
				}
			}
			s.join(second, ``)
			s.hears(a, "room:"+roomName)
		})
	}
}

func TestRoomRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, first, second string
		code               int
		action             bool
	}{
		"taken label":   {"the next verb runs", `participantLabel="x"`, `participantLabel="x"`, 16025, false},
		"bad label":     {"", ``, `participantLabel="a/b"`, 16023, false},
		"SID as label":  {"", ``, `participantLabel="CA00000000000000000000000000000000"`, 16023, false},
		"absent leader": {"the coached must be there", ``, `coach="CA00000000000000000000000000000000"`, 13240, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.join(mobile, tc.first)
			s.answer("/voice", `<Response><Dial action="/after"><Conference `+tc.second+`>`+roomName+`</Conference></Dial><Say>next</Say></Response>`)
			b := s.call(second, office)
			s.hears(b, "next")
			if d := cmp.Diff([]int{tc.code}, s.codes()); d != "" {
				t.Errorf("%s: %s", tc.why, d)
			}
			if n := len(s.room().Participants); n != 1 || len(s.sent("/after")) != 0 {
				t.Errorf("%d participants", n)
			}
		})
	}
}

func TestFirstParticipantFixesTheSettings(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.join(mobile, `maxParticipants="2"`)
	s.join(second, `maxParticipants="9" record="record-from-start"`)
	s.join(third, `maxParticipants="9"`)
	if d := cmp.Diff([]int{16020}, s.codes()); d != "" {
		t.Error(d)
	}
	if got := s.last("/after").Get("DialCallStatus"); got != "failed" {
		t.Errorf("who found it full: %s", got)
	}
	if n := len(s.e.Recordings()); n != 0 {
		t.Errorf("%d recordings: only the first may ask", n)
	}
}

func TestAnnouncementIsHeardOverTheRoom(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/notice", `<Response><Say>This call is recorded.</Say></Response>`)
	s.answer("/bad", `<Response><Hangup/></Response>`)
	a, b := s.join(mobile, ``), s.join(second, ``)
	s.update(a, func(p *api.UpdateParticipantParams) { p.SetAnnounceUrl(s.hooks.URL + "/notice") })
	s.hears(a, "This call is recorded.")
	s.hears(b, "room:"+roomName)
	s.advance(3 * time.Second)
	s.hears(a, "room:"+roomName)
	if f := s.last("/room"); f.Get("StatusCallbackEvent") != "announcement-end" || f.Get("CallSid") != a || f.Get("AnnounceUrl") != s.hooks.URL+"/notice" {
		t.Errorf("event %v", f)
	}
	_, err := s.tw.Api.UpdateConference(s.room().SID, (&api.UpdateConferenceParams{}).SetAnnounceUrl(s.hooks.URL+"/notice").SetAnnounceMethod("GET"))
	s.must(err)
	s.idle()
	s.hears(a, "This call is recorded.")
	s.hears(b, "This call is recorded.")
	s.advance(3 * time.Second)
	_, err = s.tw.Api.UpdateConference(s.room().SID, (&api.UpdateConferenceParams{}).SetAnnounceUrl(s.hooks.URL+"/bad"))
	s.must(err)
	s.idle()
	if f := s.last("/room"); f.Get("StatusCallbackEvent") != "announcement-fail" || f.Get("ReasonAnnouncementFailed") == "" || f.Has("CallSid") {
		t.Errorf("event %v", f)
	}
	if d := cmp.Diff([]int{13238}, s.codes()); d != "" {
		t.Error(d)
	}
}

func TestConferenceCallbackThatFailsIsAWarning(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.handle("/room", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	s.join(mobile, ``)
	if d := cmp.Diff([]int{16011}, s.codes()); d != "" {
		t.Error(d)
	}
}

func TestKeysAreHeardAtTheOtherEnd(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	a, b := s.join(mobile, ``), s.join(second, ``)
	c := s.join(third, `muted="true"`)
	s.must(s.e.Press(a, "42"))
	s.must(s.e.Press(c, "9")) // nobody hears the keys of the muted
	if got := s.leg(b).Keys; got != "42" {
		t.Errorf("heard %q", got)
	}
	_, err := s.tw.Api.UpdateCall(b, (&api.UpdateCallParams{}).SetTwiml(`<Response><Play digits="1w2W#"/><Pause length="600"/></Response>`))
	s.must(err)
	s.idle()
	if got := s.leg(b).Keys; got != "4212#" {
		t.Errorf("<Play digits>: heard %q", got)
	}
	s.answer("/out", `<Response><Pause length="600"/></Response>`)
	out := s.create(third, func(p *api.CreateCallParams) { p.SetSendDigits("ww77") })
	s.idle()
	s.pickUp(out)
	if got := s.leg(out).Keys; got != "77" {
		t.Errorf("SendDigits: heard %q", got)
	}
	s.quiet()
}

func TestSpeakersAreToldOfWhenAskedFor(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Dial><Conference statusCallback="/room" statusCallbackEvent="speaker">`+roomName+`</Conference></Dial></Response>`)
	a := s.call(mobile, office)
	s.call(second, office)
	s.must(s.e.Speak(a, 2*time.Second))
	s.advance(3 * time.Second)
	if d := cmp.Diff([]string{"participant-speech-start", "participant-speech-stop"}, s.values("/room", "StatusCallbackEvent")); d != "" {
		t.Error(d)
	}
}

func TestListsOfConferences(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	a := s.join(mobile, ``)
	old := s.room().SID
	s.must(s.e.HangUp(a))
	s.idle()
	s.advance(48 * time.Hour)
	s.join(mobile, ``)
	sids := func(p *api.ListConferenceParams) (n []string) {
		list, err := s.tw.Api.ListConference(p)
		s.must(err)
		for _, r := range list {
			n = append(n, *r.Sid)
		}
		return n
	}
	fresh := s.e.Conferences()[1].SID
	for name, tc := range map[string]struct {
		params *api.ListConferenceParams
		want   []string
	}{
		"all":         {nil, []string{fresh, old}},
		"by name":     {(&api.ListConferenceParams{}).SetFriendlyName(roomName).SetStatus("in-progress"), []string{fresh}},
		"ended":       {(&api.ListConferenceParams{}).SetStatus("completed"), []string{old}},
		"other name":  {(&api.ListConferenceParams{}).SetFriendlyName("nope"), nil},
		"made before": {(&api.ListConferenceParams{}).SetDateCreatedBefore("2026-11-21"), []string{old}},
	} {
		if d := cmp.Diff(tc.want, sids(tc.params)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if _, err := s.tw.Api.FetchConference("CF"+strings.Repeat("0", 32), nil); code(err) != 20404 {
		t.Errorf("unknown: %v", err)
	}
	if got := s.list("conferences"); len(got) != 2 || got[1]["name"] != roomName {
		t.Errorf("control: %v", got)
	}
}

func TestManyConferencesAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.handle("/voice", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		name := strings.TrimPrefix(r.Form.Get("From"), "+1555")[1:]
		_, _ = fmt.Fprintf(w, `<Response><Dial><Conference waitUrl="" statusCallback="/room">%s</Conference></Dial></Response>`, name)
	})
	for i := range 100 {
		for _, side := range []int{1, 2} {
			_, err := s.e.PlaceCall(fmt.Sprintf("+1555%d%06d", side, i), office)
			s.must(err)
		}
	}
	s.idle()
	rooms := s.e.Conferences()
	if len(rooms) != 100 || slices.ContainsFunc(rooms, func(r emulator.Conference) bool { return !r.Started || len(r.Participants) != 2 }) {
		t.Fatalf("%d rooms", len(rooms))
	}
	for _, r := range rooms {
		s.must(s.e.HangUp(r.Participants[0].Call))
		s.must(s.e.HangUp(r.Participants[1].Call))
	}
	s.idle()
	if n := len(s.sent("/room")); n != 200 {
		t.Errorf("%d events, want a start and an end of each", n)
	}
}

func TestValuesThatMeanNothingAreWarnedOf(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	a := s.join(mobile, `muted="yes" endConferenceOnExit="1" startConferenceOnEnter="no" waitMethod="PUT" beep="loud" trim="all"`)
	if d := cmp.Diff([]int{13230, 13231, 13232, 13234, 13235, 13239}, s.codes()); d != "" {
		t.Error(d)
	}
	s.join(second, `startConferenceOnEnter="false"`)
	if !s.room().Started || s.leg(a).Muted {
		t.Error("the defaults must stand")
	}
}
