package emulator_test

import (
	"strings"
	"testing"
	"time"

	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

func TestCoachIsHeardByOneOnly(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	customer := s.join(mobile, `record="record-from-start" recordingStatusCallback="/rec"`)
	agent := s.join(second, ``)
	room := s.room().SID
	rec, err := s.tw.Api.CreateCallRecording(agent, (&api.CreateCallRecordingParams{}).SetRecordingChannels("dual"))
	s.must(err)
	s.update(agent, func(p *api.UpdateParticipantParams) { p.SetHold(true) })
	_, err = s.tw.Api.UpdateParticipant(room, customer, (&api.UpdateParticipantParams{}).SetCoaching(true).SetCallSidToCoach(agent))
	if code(err) != 16027 {
		t.Errorf("coaching somebody on hold: %v", err)
	}
	_, err = s.tw.Api.UpdateParticipant(room, customer, (&api.UpdateParticipantParams{}).SetCoaching(true).SetCallSidToCoach("CA"+strings.Repeat("0", 32)))
	if code(err) != 16028 {
		t.Errorf("coaching nobody: %v", err)
	}
	s.update(agent, func(p *api.UpdateParticipantParams) { p.SetHold(false) })
	coach := s.join(third, `coach="`+agent+`"`)
	if c := s.leg(coach); c.Coaching != agent || c.Conference != roomName {
		t.Errorf("coach %+v", c)
	}
	s.advance(4 * time.Second)
	s.must(s.e.Speak(coach, 4*time.Second))
	s.advance(8 * time.Second)
	s.must(s.e.Speak(customer, 2*time.Second))
	s.advance(4 * time.Second)
	p := s.update(coach, func(p *api.UpdateParticipantParams) { p.SetCoaching(false) })
	if *p.Coaching || p.CallSidToCoach != nil {
		t.Errorf("still coaching: %+v", p)
	}
	_, err = s.tw.Api.UpdateConference(room, (&api.UpdateConferenceParams{}).SetStatus("completed"))
	s.must(err)
	s.advance(time.Second)
	mix := strings.TrimPrefix(s.last("/rec").Get("RecordingUrl"), s.rest.URL)
	if f := s.last("/rec"); f.Get("RecordingDuration") != "2" || f.Get("ConferenceSid") != room || f.Get("RecordingSource") != "Conference" || f.Get("RecordingChannels") != "1" || f.Has("CallSid") {
		t.Errorf("the coach is in the conference's recording: %v", f)
	}
	_, _, wav := s.raw("GET", mix, accountSID, authToken, nil)
	if power(wav, 0, 440, 0, 2) < 0.1 {
		t.Error("the customer is not in the recording")
	}
	_, _, wav = s.raw("GET", "/2010-04-01/Accounts/"+accountSID+"/Recordings/"+*rec.Sid, accountSID, authToken, nil)
	if power(wav, 1, 660, 4.1, 7.9) < 0.1 || power(wav, 1, 660, 12.1, 13.9) < 0.1 || power(wav, 1, 660, 8.1, 11.9) > 0.01 {
		t.Error("the agent must hear the coach, then the customer")
	}
	s.quiet()
}

func TestMutedAndHeldAreNotInTheRecordingOfTheRoom(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	a := s.join(mobile, `record="record-from-start" trim="do-not-trim" recordingStatusCallback="/rec" recordingStatusCallbackEvent="in-progress completed"`)
	b := s.join(second, ``)
	s.must(s.e.Speak(a, 40*time.Second))
	s.must(s.e.Speak(b, 2*time.Second))
	room := s.room().SID
	s.advance(4 * time.Second)
	s.update(a, func(p *api.UpdateParticipantParams) { p.SetMuted(true) })
	s.advance(4 * time.Second)
	s.update(a, func(p *api.UpdateParticipantParams) { p.SetMuted(false).SetHold(true) })
	s.advance(4 * time.Second)
	s.update(a, func(p *api.UpdateParticipantParams) { p.SetHold(false) })
	s.advance(4 * time.Second)

	set := func(status string, codes int) {
		t.Helper()
		_, err := s.tw.Api.UpdateConferenceRecording(room, "Twilio.CURRENT", (&api.UpdateConferenceRecordingParams{}).SetStatus(status))
		if code(err) != codes {
			t.Errorf("%s: %v", status, err)
		}
	}
	set("paused", 0)
	s.advance(4 * time.Second)
	set("in-progress", 0)
	set("stopped", 20001) // a conference's recording cannot be stopped
	list, err := s.tw.Api.ListConferenceRecording(room, nil)
	s.must(err)
	if len(list) != 1 || *list[0].Source != "Conference" || *list[0].Status != "in-progress" || *list[0].ConferenceSid != room {
		t.Fatalf("list %+v", list)
	}
	if list, err := s.tw.Api.ListCallRecording(a, nil); err != nil || len(list) != 0 {
		t.Errorf("the call's own recordings: %v %v", list, err)
	}
	s.must(s.e.HangUp(a))
	s.must(s.e.HangUp(b))
	s.advance(time.Second)
	got, err := s.tw.Api.FetchConferenceRecording(room, *list[0].Sid, nil)
	s.must(err)
	if *got.Status != "completed" || *got.Duration != "20" {
		t.Errorf("fetched %s, %s s", *got.Status, *got.Duration)
	}
	_, _, wav := s.raw("GET", strings.TrimPrefix(s.last("/rec").Get("RecordingUrl"), s.rest.URL), accountSID, authToken, nil)
	for at, heard := range map[float64]bool{0: true, 4: false, 8: false, 12: true, 16: false} {
		if got := power(wav, 0, 440, at+0.1, at+3.9) > 0.1; got != heard {
			t.Errorf("the caller at %v s: heard %v, want %v", at, got, heard)
		}
	}
	if power(wav, 0, 660, 0.1, 1.9) < 0.1 {
		t.Error("the other one is not in the mix")
	}
	s.must(s.tw.Api.DeleteConferenceRecording(room, *list[0].Sid, nil))
	if _, err := s.tw.Api.FetchConferenceRecording(room, *list[0].Sid, nil); code(err) != 20404 {
		t.Errorf("after the deletion: %v", err)
	}
	s.quiet()
}

func TestTimeLimitAndRecordingOfADialIntoARoom(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/after", `<Response><Pause length="600"/></Response>`)
	s.answer("/voice", `<Response><Dial action="/after" timeLimit="20" record="record-from-answer-dual" recordingStatusCallback="/rec"><Conference>`+roomName+`</Conference></Dial></Response>`)
	a := s.call(mobile, office)
	b := s.join(second, ``)
	s.must(s.e.Speak(a, 2*time.Second))
	s.advance(4 * time.Second)
	s.must(s.e.Speak(b, 2*time.Second))
	s.advance(16 * time.Second)
	if f := s.last("/after"); f.Get("CallSid") != a || f.Get("DialCallStatus") != "answered" || f.Get("DialBridged") != "true" || f.Get("RecordingUrl") == "" {
		t.Errorf("action %v", f)
	}
	if c := s.leg(a); c.Conference != "" || c.Status != "in-progress" {
		t.Errorf("after its time: %+v", c)
	}
	s.advance(time.Second)
	f := s.last("/rec")
	if f.Get("RecordingSource") != "DialVerb" || f.Get("RecordingDuration") != "20" || f.Get("CallSid") != a {
		t.Errorf("callback %v", f)
	}
	_, _, wav := s.raw("GET", strings.TrimPrefix(f.Get("RecordingUrl"), s.rest.URL), accountSID, authToken, nil)
	if power(wav, 0, 440, 0.1, 1.9) < 0.1 || power(wav, 1, 660, 4.1, 5.9) < 0.1 {
		t.Error("channel 1 is the leg, channel 2 what it heard")
	}
	s.quiet()
}
