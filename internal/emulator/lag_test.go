package emulator_test

import (
	"testing"
	"time"

	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

func TestParticipantsAndRecordingsTrailTheCallbacks(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{Chaos: emulator.Chaos{ReadLag: 2 * time.Second}, RecordingDelay: -1})
	s.answer("/voice", `<Response><Dial><Conference statusCallback="/room" statusCallbackEvent="join leave">room</Conference></Dial></Response>`)
	first := s.call(mobile, office)
	s.call(second, office)
	s.advance(5 * time.Second)
	rooms, err := s.tw.Api.ListConference(nil)
	s.must(err)
	in := func() int {
		t.Helper()
		list, err := s.tw.Api.ListParticipant(*rooms[0].Sid, nil)
		s.must(err)
		return len(list)
	}
	if in() != 2 {
		t.Fatalf("%d participants", in())
	}
	s.must(s.e.HangUp(first))
	s.idle()
	if got := s.last("/room").Get("StatusCallbackEvent"); got != "participant-leave" || in() != 2 {
		t.Errorf("after %s a reader sees %d", got, in())
	}
	s.advance(2 * time.Second)
	if in() != 1 {
		t.Errorf("two seconds later a reader sees %d", in())
	}

	s.answer("/out", `<Response><Pause length="60"/></Response>`)
	sid := s.create("+15557650000", nil)
	s.pickUp("+15557650000")
	rec, err := s.tw.Api.CreateCallRecording(sid, (&api.CreateCallRecordingParams{}).SetRecordingStatusCallback(s.hooks.URL+"/rec"))
	s.must(err)
	s.must(s.e.Speak(sid, 5*time.Second))
	s.advance(5 * time.Second)
	s.must(s.e.HangUp(sid))
	s.idle()
	for _, want := range []string{"in-progress", "completed"} {
		r, err := s.tw.Api.FetchRecording(*rec.Sid, nil)
		s.must(err)
		if got := s.last("/rec").Get("RecordingStatus"); got != "completed" || *r.Status != want {
			t.Errorf("after the callback %s a reader sees %s, want %s", got, *r.Status, want)
		}
		s.advance(2 * time.Second)
	}
}

func TestCapOfConcurrentRequests(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	if status, _ := s.control("rate", map[string]any{"maxConcurrent": 1}); status != 200 {
		t.Fatal(status)
	}
	// One request hangs; the next is one too many.
	s.e.FailNext(emulator.Fault{Method: "POST", Path: "/Keys", Fate: emulator.LostHang})
	hanging := make(chan struct{})
	go func() {
		defer close(hanging)
		for refused := true; refused; { // the other may have come first
			_, err := s.tw.Api.CreateNewKey(nil)
			refused = code(err) == 20429
		}
	}()
	s.must(s.e.WaitFor(s.ctx, func() bool {
		_, err := s.tw.Api.ListKey(nil)
		return code(err) == 20429
	}))
	s.e.Stop()
	<-hanging
}
