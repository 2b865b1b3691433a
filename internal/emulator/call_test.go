package emulator_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/emulator"
)

const ringThree = `<Response><Dial action="/dial" timeout="20" answerOnBridge="true" callerId="` + office + `" record="record-from-answer-dual" recordingStatusCallback="/rec">
<Client statusCallback="/leg?t=1" statusCallbackEvent="initiated ringing answered completed"><Identity>u1</Identity><Parameter name="call" value="C1"/></Client>
<Client statusCallback="/leg?t=2" statusCallbackEvent="initiated ringing answered completed">u2</Client>
<Number statusCallback="/leg?t=3" statusCallbackEvent="initiated ringing answered completed">` + second + `</Number></Dial></Response>`

func TestFirstAnswerWinsAndTheRestAreCanceled(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.must(s.e.RegisterClient(accountSID, "u1"))
	s.must(s.e.RegisterClient(accountSID, "u2"))
	s.answer("/voice", ringThree)
	s.answer("/dial", `<Response><Hangup/></Response>`)
	sid := s.call(mobile, office)
	if got := len(s.e.Ringing("")); got != 3 {
		t.Fatalf("%d phones ring, want 3", got)
	}
	if got := s.status(sid); got != "ringing" {
		t.Fatalf("answerOnBridge: the caller's leg is %s, want ringing", got)
	}
	s.advance(7 * time.Second)
	child := s.pickUp("client:u2")
	if got := s.status(sid); got != "in-progress" {
		t.Fatalf("after the answer the caller's leg is %s", got)
	}
	s.must(s.e.Speak(sid, 3*time.Second))
	s.must(s.e.Speak(child, 2*time.Second))
	s.advance(30 * time.Second)
	s.must(s.e.HangUp(child))
	s.advance(5 * time.Second)

	type row struct{ T, Status, Seq string }
	var got []row
	for _, p := range s.sent("/leg") {
		got = append(got, row{p.Form.Get("t"), p.Form.Get("CallStatus"), p.Form.Get("SequenceNumber")})
		if p.Form.Get("ParentCallSid") != sid || p.Form.Get("CallbackSource") != "call-progress-events" || p.Form.Get("Direction") != "outbound-dial" {
			t.Errorf("child callback %v", p.Form)
		}
	}
	want := []row{{"1", "initiated", "0"}, {"1", "ringing", "1"}, {"2", "initiated", "0"}, {"2", "ringing", "1"}, {"3", "initiated", "0"}, {"3", "ringing", "1"},
		{"2", "in-progress", "2"}, {"1", "canceled", "2"}, {"3", "canceled", "2"}, {"2", "completed", "3"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	act := s.last("/dial")
	for k, v := range map[string]string{"DialCallStatus": "completed", "DialCallSid": child, "DialCallDuration": "30", "DialBridged": "true"} {
		if act.Get(k) != v {
			t.Errorf("%s is %q, want %q", k, act.Get(k), v)
		}
	}
	end := s.last("/status")
	if end.Get("CallStatus") != "completed" || end.Get("CallDuration") != "30" || end.Get("Timestamp") != "Fri, 20 Nov 2026 09:00:37 +0000" {
		t.Errorf("number's status callback: %v", end)
	}
	rec := s.last("/rec")
	if rec.Get("RecordingStatus") != "completed" || rec.Get("CallSid") != sid || rec.Get("RecordingDuration") != "30" || rec.Get("RecordingChannels") != "2" {
		t.Errorf("recording callback: %v", rec)
	}
	s.quiet()
}

func TestDialTimeoutIsFiveSecondsLonger(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.must(s.e.RegisterClient(accountSID, "u1"))
	s.answer("/voice", ringThree)
	s.answer("/dial", `<Response><Say>Please leave a message.</Say><Record action="/taken" maxLength="120" recordingStatusCallback="/rec" recordingStatusCallbackEvent="completed absent"/></Response>`)
	s.answer("/taken", `<Response/>`)
	sid := s.call(mobile, office)
	s.advance(24*time.Second + 999*time.Millisecond)
	if got := len(s.sent("/dial")); got != 0 {
		t.Fatal("the dial gave up early")
	}
	s.advance(time.Millisecond)
	if got := s.last("/dial").Get("DialCallStatus"); got != "no-answer" {
		t.Fatalf("DialCallStatus %s", got)
	}
	if got := s.status(sid); got != "in-progress" {
		t.Fatalf("voicemail greeting: %s", got)
	}
	s.advance(3 * time.Second)
	s.must(s.e.Speak(sid, 8*time.Second))
	s.advance(13 * time.Second) // five seconds of silence end it
	if got := s.last("/taken").Get("RecordingDuration"); got != "8" {
		t.Fatalf("RecordingDuration %s", got)
	}
	if got := s.status(sid); got != "completed" {
		t.Fatalf("after the empty answer: %s", got)
	}
	s.advance(time.Second)
	if got := s.values("/rec", "RecordingStatus"); cmp.Diff([]string{"completed"}, got) != "" {
		t.Fatalf("recording callbacks %v", got)
	}
	s.quiet()
}

func TestSilentCallerLeavesNoVoicemail(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Record action="/taken" recordingStatusCallback="/rec" recordingStatusCallbackEvent="completed absent"/><Hangup/></Response>`)
	sid := s.call(mobile, office)
	s.advance(10 * time.Second)
	if got := len(s.sent("/taken")); got != 0 {
		t.Error("the action was requested for silence")
	}
	if got := s.values("/rec", "RecordingStatus"); cmp.Diff([]string{"absent"}, got) != "" {
		t.Errorf("recording callbacks %v", got)
	}
	if got := s.status(sid); got != "completed" {
		t.Errorf("call is %s", got)
	}
}

func TestCallerHangsUpWhilePhonesRing(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", ringThree)
	sid := s.call(mobile, office)
	s.advance(time.Second)
	s.must(s.e.HangUp(sid))
	s.idle()
	if got := s.status(sid); got != "no-answer" {
		t.Errorf("caller's leg is %s", got)
	}
	if got := s.last("/dial").Get("DialCallStatus"); got != "canceled" {
		t.Errorf("DialCallStatus %s", got)
	}
	for _, c := range s.e.Calls() {
		if c.Parent == sid && c.Status != "canceled" {
			t.Errorf("leg to %s is %s", c.To, c.Status)
		}
	}
	if got := s.last("/status").Get("CallStatus"); got != "no-answer" {
		t.Errorf("status callback %s", got)
	}
	s.quiet()
}

func TestWhisperDecidesTheBridge(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, press, status, bridged string
	}{
		"pressed":     {"the document ends without hanging up: bridge", "1", "completed", "true"},
		"not pressed": {"the gather times out and the next verb hangs up", "", "completed", "false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.answer("/voice", `<Response><Dial action="/dial" timeout="20" answerOnBridge="true"><Number url="/screen">`+second+`</Number></Dial></Response>`)
			s.answer("/screen", `<Response><Gather numDigits="1" timeout="4" action="/pressed"><Say>Press one.</Say></Gather><Hangup/></Response>`)
			s.answer("/pressed", `<Response/>`)
			s.answer("/dial", `<Response/>`)
			sid := s.call(mobile, office)
			child := s.pickUp(second)
			if got := s.status(sid); got != "ringing" {
				t.Fatalf("the caller hears ringing while the callee is asked, but is %s", got)
			}
			s.advance(time.Second)
			if tc.press != "" {
				s.must(s.e.Press(child, tc.press))
				s.idle()
				if got := s.status(sid); got != "in-progress" {
					t.Fatalf("not bridged: %s", got)
				}
				s.advance(10 * time.Second)
				s.must(s.e.HangUp(sid))
			}
			s.advance(10 * time.Second)
			f := s.last("/dial")
			if f.Get("DialCallStatus") != tc.status || f.Get("DialBridged") != tc.bridged {
				t.Errorf("%s: %v", tc.why, f)
			}
			s.quiet()
		})
	}
}
