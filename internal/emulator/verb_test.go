package emulator_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/emulator"
)

func TestGather(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, gather, press string
		after              time.Duration
		digits             string
		asked              bool
	}{
		"numDigits ends at once":   {"", `numDigits="3"`, "123", 0, "123", true},
		"finish key":               {"it is not part of the digits", ``, "12#", 0, "12", true},
		"other finish key":         {"", `finishOnKey="*"`, "1#2*", 0, "1#2", true},
		"no finish key":            {"", `finishOnKey="" timeout="2"`, "1#", 3 * time.Second, "1#", true},
		"timeout submits":          {"what was entered so far", `timeout="4"`, "7", 4 * time.Second, "7", true},
		"nothing":                  {"the next verb runs", `timeout="4"`, "", 10 * time.Second, "", false},
		"nothing, still asked":     {"", `timeout="4" actionOnEmptyResult="true"`, "", 10 * time.Second, "", true},
		"only the finish key":      {"empty: the next verb runs", ``, "#", 0, "", false},
		"keys are not for speech":  {"", `input="speech" timeout="3"`, "5", 10 * time.Second, "", false},
		"more keys than asked for": {"the rest is lost", `numDigits="1"`, "12", 0, "1", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.answer("/voice", `<Response><Gather action="/keys" `+tc.gather+`><Say>Press.</Say></Gather><Redirect>/next</Redirect></Response>`)
			s.answer("/keys", `<Response><Pause length="60"/></Response>`)
			s.answer("/next", `<Response><Pause length="60"/></Response>`)
			sid := s.call(mobile, office)
			if tc.press == "" {
				s.advance(4 * time.Second) // one second of prompt, then the timeout
				if len(s.sent("/next"))+len(s.sent("/keys")) != 0 {
					t.Error("the timeout counts from the end of the prompt")
				}
			} else {
				s.must(s.e.Press(sid, tc.press)) // cuts the prompt short
			}
			s.advance(tc.after)
			s.idle()
			if got := len(s.sent("/keys")) == 1; got != tc.asked {
				t.Fatalf("%s: action requested: %v", tc.why, got)
			}
			if tc.asked {
				if got := s.last("/keys").Get("Digits"); got != tc.digits {
					t.Errorf("%s: Digits %q, want %q", tc.why, got, tc.digits)
				}
			} else if len(s.sent("/next")) != 1 {
				t.Error("the next verb did not run")
			}
			s.quiet()
		})
	}
}

func TestGatherHearsSpeech(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Gather input="dtmf speech" action="/said"/></Response>`)
	s.answer("/said", `<Response/>`)
	sid := s.call(mobile, office)
	s.must(s.e.SpeakWords(sid, "sales please"))
	s.advance(3 * time.Second)
	f := s.last("/said")
	if f.Get("SpeechResult") != "sales please" || f.Get("Confidence") == "" || f.Has("Digits") {
		t.Errorf("action %v", f)
	}
}

func TestRecordEnds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, record       string
		act               func(*stage, string)
		digits, secs, end string
	}{
		"with a key":     {"", ``, func(s *stage, sid string) { s.advance(4 * time.Second); s.must(s.e.Press(sid, "5")) }, "5", "4", "in-progress"},
		"after silence":  {"trimmed to what was said", ``, func(s *stage, _ string) { s.advance(12 * time.Second) }, "", "6", "in-progress"},
		"at its length":  {"", `maxLength="3"`, func(s *stage, _ string) { s.advance(3 * time.Second) }, "", "3", "in-progress"},
		"with a hang-up": {"the action hears of it, its answer does not count", ``, func(s *stage, sid string) { s.advance(2 * time.Second); s.must(s.e.HangUp(sid)) }, "hangup", "2", "completed"},
		"untrimmed":      {"silence included", `trim="do-not-trim"`, func(s *stage, _ string) { s.advance(12 * time.Second) }, "", "11", "in-progress"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.answer("/voice", `<Response><Record action="/taken" recordingStatusCallback="/rec" `+tc.record+`/></Response>`)
			s.answer("/taken", `<Response><Pause length="60"/></Response>`)
			sid := s.call(mobile, office)
			s.must(s.e.Speak(sid, 6*time.Second))
			tc.act(s, sid)
			s.idle()
			f := s.last("/taken")
			if f.Get("Digits") != tc.digits || f.Get("RecordingDuration") != tc.secs || s.status(sid) != tc.end {
				t.Errorf("%s: call %s, %v", tc.why, s.status(sid), f)
			}
			s.advance(2 * time.Second)
			if d := cmp.Diff([]string{"completed"}, s.values("/rec", "RecordingStatus")); d != "" {
				t.Error(d)
			}
			s.quiet()
		})
	}
}

func TestFirstVerbDecidesWhetherTheCallIsAnswered(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, verbs, status string
		answered           bool
	}{
		"reject":       {"not answered", `<Reject/>`, "no-answer", false},
		"reject busy":  {"", `<Reject reason="busy"/>`, "busy", false},
		"hangup":       {"answers and ends", `<Hangup/>`, "completed", true},
		"empty":        {"", ``, "completed", true},
		"late reject":  {"only the first verb refuses", `<Say>x</Say><Reject/>`, "completed", true},
		"redirect":     {"does not answer by itself", `<Redirect>/reject</Redirect>`, "no-answer", false},
		"dial nobody":  {"without answerOnBridge the dial answers", `<Dial timeout="5"><Number>` + second + `</Number></Dial>`, "completed", true},
		"dial, bridge": {"with it nobody answered", `<Dial timeout="5" answerOnBridge="true"><Number>` + second + `</Number></Dial><Reject/>`, "no-answer", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.answer("/voice", "<Response>"+tc.verbs+"</Response>")
			s.answer("/reject", "<Response><Reject/></Response>")
			sid := s.call(mobile, office)
			s.advance(time.Minute)
			c, _ := s.e.Call(sid)
			if c.Status != tc.status || c.Answered.IsZero() == tc.answered {
				t.Errorf("%s: %s, answered %v", tc.why, c.Status, c.Answered)
			}
			s.quiet()
		})
	}
}

func TestHangupOnStarEndsTheDial(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Dial hangupOnStar="true" action="/dial"><Number>`+second+`</Number></Dial></Response>`)
	s.answer("/dial", `<Response><Pause length="60"/></Response>`)
	sid := s.call(mobile, office)
	child := s.pickUp(second)
	s.must(s.e.Press(child, "*"))
	if got := s.status(child); got != "in-progress" {
		t.Errorf("the callee's star ended it: %s", got)
	}
	s.must(s.e.Press(sid, "*"))
	s.idle()
	if s.status(child) != "completed" || s.status(sid) != "in-progress" || s.last("/dial").Get("DialCallStatus") != "completed" {
		t.Errorf("child %s, parent %s", s.status(child), s.status(sid))
	}
}

func TestTimeLimitEndsTheBridge(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Dial timeLimit="30"><Number>`+second+`</Number></Dial></Response>`)
	sid := s.call(mobile, office)
	s.pickUp(second)
	s.advance(29 * time.Second)
	if got := s.status(sid); got != "in-progress" {
		t.Fatalf("ended early: %s", got)
	}
	s.advance(time.Second)
	if got := s.status(sid); got != "completed" {
		t.Errorf("call is %s", got)
	}
}

func TestLoopOfRedirectsIsCut(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Redirect/></Response>`)
	sid := s.call(mobile, office)
	if len(s.e.Debugger()) != 1 || s.status(sid) != "completed" {
		t.Errorf("call %s after %d documents", s.status(sid), len(s.sent("/voice")))
	}
}
