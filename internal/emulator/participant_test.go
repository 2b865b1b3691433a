package emulator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

// invite calls somebody into a conference by REST.
func (s *stage) invite(room, to string, more func(*api.CreateParticipantParams)) (*api.ApiV2010Participant, error) {
	p := (&api.CreateParticipantParams{}).SetFrom(office).SetTo(to).SetStatusCallback(s.hooks.URL + "/leg").
		SetStatusCallbackEvent([]string{"initiated", "ringing", "answered", "completed"})
	if more != nil {
		more(p)
	}
	got, err := s.tw.Api.CreateParticipant(room, p)
	s.idle()
	return got, err
}

func TestInvitedParticipant(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why      string
		phone    emulator.PhoneBehaviour
		wait     time.Duration
		status   string // of the call
		states   []string
		in       bool
		callback []string
	}{
		"answers":   {"and is in the room", emulator.PhoneBehaviour{Do: emulator.Answers, After: 3 * time.Second}, 3 * time.Second, "in-progress", []string{"ringing", "connected"}, true, []string{"initiated", "ringing", "in-progress"}},
		"is busy":   {"", emulator.PhoneBehaviour{Do: emulator.IsBusy, After: time.Second}, time.Second, "busy", []string{"connecting", ""}, false, []string{"initiated", "busy"}},
		"no answer": {"after five seconds more than asked for", emulator.PhoneBehaviour{}, 15 * time.Second, "no-answer", []string{"ringing", ""}, false, []string{"initiated", "ringing", "no-answer"}},
		"fails":     {"", emulator.PhoneBehaviour{Do: emulator.Fails, After: time.Second}, time.Second, "failed", []string{"connecting", ""}, false, []string{"initiated", "failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.e.Behave(second, tc.phone)
			a := s.join(mobile, ``)
			room := s.room().SID
			p, err := s.invite(roomName, second, func(p *api.CreateParticipantParams) { p.SetLabel("agent").SetTimeout(10) })
			s.must(err)
			if *p.Status != "queued" || *p.Label != "agent" || *p.ConferenceSid != room || *p.QueueTime != "0" || *p.Muted || !*p.StartConferenceOnEnter {
				t.Errorf("created %+v", p)
			}
			state := func() string {
				got, err := s.tw.Api.FetchParticipant(room, "agent", nil)
				if code(err) == 20404 {
					return ""
				}
				s.must(err)
				return *got.Status
			}
			states := []string{state()}
			s.advance(tc.wait - time.Millisecond)
			if got := state(); got != states[0] {
				t.Errorf("%s: %s too early", tc.why, got)
			}
			s.advance(time.Millisecond)
			states = append(states, state())
			if d := cmp.Diff(tc.states, states); d != "" {
				t.Errorf("%s: %s", tc.why, d)
			}
			if d := cmp.Diff(tc.callback, s.values("/leg", "CallStatus")); d != "" {
				t.Error(d)
			}
			if got := s.status(*p.CallSid); got != tc.status {
				t.Errorf("call is %s", got)
			}
			f := s.last("/room")
			if tc.in {
				s.hears(*p.CallSid, "room:"+roomName)
				s.must(s.e.HangUp(*p.CallSid))
				s.idle()
				f = s.last("/room")
				if f.Get("ReasonParticipantLeft") != "participant_hung_up" {
					t.Errorf("event %v", f)
				}
			} else if f.Get("ReasonParticipantLeft") != "participant_add_failed" || f.Get("ParticipantCallStatus") != tc.status || f.Get("CallSid") != *p.CallSid {
				t.Errorf("event %v", f)
			}
			if s.status(a) != "in-progress" || s.room().Status != "in-progress" {
				t.Error("the other one stays")
			}
			s.quiet()
		})
	}
}

func TestAnInvitationMakesTheRoom(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{CallsPerSecond: 1})
	s.must(s.e.RegisterClient(accountSID, "ann"))
	set := func(p *api.CreateParticipantParams) {
		p.SetConferenceStatusCallback(s.hooks.URL + "/room").SetConferenceStatusCallbackEvent([]string{"start", "end", "join"}).SetConferenceRecord("record-from-start").
			SetMuted(true).SetEndConferenceOnExit(true)
	}
	one, err := s.invite(roomName, "client:ann?call=C1", set)
	s.must(err)
	if r := s.room(); r.Status != "init" || *one.ConferenceSid != r.SID {
		t.Errorf("before anybody is in: %+v", r)
	}
	two, err := s.invite(s.room().SID, second, set)
	s.must(err)
	if *two.QueueTime != "1000" {
		t.Errorf("queue_time %s, want that of one call a second", *two.QueueTime)
	}
	s.pickUp("client:ann")
	s.hears(*one.CallSid, emulator.DefaultMusic)
	s.advance(time.Second)
	s.pickUp(second)
	if d := cmp.Diff([]string{"participant-join", "participant-join", "conference-start"}, s.values("/room", "StatusCallbackEvent")); d != "" {
		t.Error(d)
	}
	if c := s.leg(*two.CallSid); !c.Muted || c.Conference != roomName {
		t.Errorf("leg %+v", c)
	}
	if list, err := s.tw.Api.ListParticipant(s.room().SID, (&api.ListParticipantParams{}).SetMuted(true)); err != nil || len(list) != 2 {
		t.Errorf("muted: %v %v", list, err)
	}
	if list, err := s.tw.Api.ListParticipant(s.room().SID, (&api.ListParticipantParams{}).SetHold(true)); err != nil || len(list) != 0 {
		t.Errorf("on hold: %v %v", list, err)
	}
	s.must(s.e.HangUp(*one.CallSid))
	s.idle()
	if s.status(*two.CallSid) != "completed" {
		t.Error("who was invited has no document to go on with: the end of the conference hangs it up")
	}
	if recs := s.e.Recordings(); len(recs) != 1 || recs[0].Room != s.room().SID {
		t.Errorf("recordings %+v", recs)
	}
	s.quiet()
}

func TestInvitationIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, room, to string
		more          func(*api.CreateParticipantParams)
		code          int
	}{
		"label in use":      {"", "", second, func(p *api.CreateParticipantParams) { p.SetLabel("customer") }, 16026},
		"bad label":         {"", "", second, func(p *api.CreateParticipantParams) { p.SetLabel("a/b") }, 16024},
		"unknown room":      {"a SID must exist", "CF" + strings.Repeat("0", 32), second, nil, 20404},
		"ended room":        {"", "ended", second, nil, 16022},
		"nobody called":     {"", "", "", nil, 21201},
		"not a number":      {"", "", "5551234", nil, 21211},
		"foreign caller ID": {"", "", second, func(p *api.CreateParticipantParams) { p.SetFrom(third) }, 21210},
		"short timeout":     {"5 to 600", "", second, func(p *api.CreateParticipantParams) { p.SetTimeout(4) }, 16002},
		"coach of nobody":   {"", "", second, func(p *api.CreateParticipantParams) { p.SetCallSidToCoach("CA" + strings.Repeat("0", 32)) }, 16028},
		"coach without":     {"", "", second, func(p *api.CreateParticipantParams) { p.SetCoaching(true) }, 16002},
		"full":              {"three at most", "", second, func(p *api.CreateParticipantParams) { p.SetLabel("fourth") }, 16020},
		"bad callback":      {"", "", second, func(p *api.CreateParticipantParams) { p.SetStatusCallback("nowhere") }, 21609},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			a := s.join(mobile, `participantLabel="customer" maxParticipants="3"`)
			room := s.room().SID
			switch {
			case tc.room == "ended":
				s.must(s.e.HangUp(a))
				s.idle()
			case tc.room != "":
				room = tc.room
			}
			if name == "full" {
				for range 2 {
					if _, err := s.invite(room, second, nil); err != nil {
						t.Fatal(err)
					}
				}
			}
			before := len(s.e.Calls())
			if _, err := s.invite(room, tc.to, tc.more); code(err) != tc.code {
				t.Errorf("%s: %v, want %d", tc.why, err, tc.code)
			}
			if n := len(s.e.Calls()); n != before {
				t.Error("and yet somebody is called")
			}
		})
	}
}

func TestRemovedWhileRinging(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	a := s.join(mobile, ``)
	p, err := s.invite(roomName, second, func(p *api.CreateParticipantParams) { p.SetLabel("agent") })
	s.must(err)
	s.must(s.tw.Api.DeleteParticipant(s.room().SID, "agent", nil))
	s.idle()
	if s.status(*p.CallSid) != "canceled" || s.status(a) != "in-progress" {
		t.Errorf("invited %s, other %s", s.status(*p.CallSid), s.status(a))
	}
	if _, err := s.tw.Api.FetchParticipant(s.room().SID, "agent", nil); code(err) != 20404 {
		t.Errorf("fetched: %v", err)
	}
	if _, err := s.invite(roomName, third, func(p *api.CreateParticipantParams) { p.SetLabel("agent") }); err != nil {
		t.Errorf("its label is free again: %v", err)
	}
	_, err = s.tw.Api.UpdateConference(s.room().SID, (&api.UpdateConferenceParams{}).SetStatus("completed"))
	s.must(err)
	s.idle()
	for _, c := range s.e.Calls() {
		if c.Status == "ringing" {
			t.Error("the end of the conference must cancel those who still ring")
		}
	}
}

func TestWarmTransfer(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	file := s.sound("/music.wav", 30)
	customer := s.join(mobile, `participantLabel="customer"`)
	agent := s.join(second, `participantLabel="agent"`)
	s.update("customer", func(p *api.UpdateParticipantParams) { p.SetHold(true).SetHoldUrl(file) })
	p, err := s.invite(roomName, third, func(p *api.CreateParticipantParams) { p.SetLabel("target").SetBeep("false").SetEarlyMedia(true) })
	s.must(err)
	s.pickUp(third)
	s.hears(customer, file)
	s.hears(agent, "room:"+roomName)
	s.hears(*p.CallSid, "room:"+roomName)
	s.update("customer", func(p *api.UpdateParticipantParams) { p.SetHold(false) })
	s.must(s.tw.Api.DeleteParticipant(s.room().SID, "agent", nil))
	s.idle()
	if s.status(agent) != "completed" || len(s.room().Participants) != 2 {
		t.Errorf("agent %s, room %+v", s.status(agent), s.room())
	}
	s.hears(customer, "room:"+roomName)
	s.quiet()
}

func TestParticipantsOwnRecordingOutlivesTheRoom(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.join(mobile, ``)
	p, err := s.invite(roomName, second, func(p *api.CreateParticipantParams) {
		p.SetRecord(true).SetRecordingChannels("dual").SetTrim("do-not-trim").SetRecordingStatusCallback(s.hooks.URL + "/rec")
	})
	s.must(err)
	s.pickUp(second)
	s.must(s.e.Speak(*p.CallSid, 2*time.Second))
	s.advance(5 * time.Second)
	_, err = s.tw.Api.UpdateCall(*p.CallSid, (&api.UpdateCallParams{}).SetTwiml(`<Response><Pause length="600"/></Response>`))
	s.must(err)
	s.advance(5 * time.Second)
	if r := s.e.Recordings()[0]; r.Status != "in-progress" || r.Call != *p.CallSid {
		t.Errorf("recording %+v", r)
	}
	s.must(s.e.HangUp(*p.CallSid))
	s.advance(time.Second)
	if f := s.last("/rec"); f.Get("RecordingDuration") != "10" || f.Get("RecordingSource") != "OutboundAPI" || f.Get("CallSid") != *p.CallSid {
		t.Errorf("callback %v", f)
	}
}

func TestStartRecordingSurvivesDocuments(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Start><Recording recordingStatusCallback="`+s.hooks.URL+`/rec" recordingStatusCallbackEvent="in-progress completed"/></Start><Dial><Conference>`+roomName+`</Conference></Dial></Response>`)
	a := s.call(mobile, office)
	s.answer("/voice", `<Response><Dial><Conference>`+roomName+`</Conference></Dial></Response>`)
	b := s.call(second, office)
	s.must(s.e.Speak(a, 2*time.Second))
	s.advance(4 * time.Second)
	s.must(s.e.Speak(b, 2*time.Second))
	s.advance(4 * time.Second)
	_, err := s.tw.Api.UpdateCallRecording(a, "Twilio.CURRENT", (&api.UpdateCallRecordingParams{}).SetStatus("paused"))
	s.must(err)
	_, err = s.tw.Api.UpdateCall(a, (&api.UpdateCallParams{}).SetTwiml(`<Response><Pause length="600"/></Response>`))
	s.must(err)
	s.advance(4 * time.Second)
	_, err = s.tw.Api.UpdateCallRecording(a, "Twilio.CURRENT", (&api.UpdateCallRecordingParams{}).SetStatus("in-progress"))
	s.must(err)
	s.must(s.e.Speak(b, 2*time.Second)) // no longer heard
	s.advance(4 * time.Second)
	s.must(s.e.HangUp(a))
	s.advance(time.Second)
	f := s.last("/rec")
	if f.Get("RecordingStatus") != "completed" || f.Get("RecordingSource") != "StartCallRecordingTwiML" || f.Get("RecordingChannels") != "2" || f.Get("RecordingDuration") != "16" || f.Get("CallSid") != a {
		t.Errorf("callback %v", f)
	}
	_, _, wav := s.raw("GET", strings.TrimPrefix(f.Get("RecordingUrl"), s.rest.URL), accountSID, authToken, nil)
	if power(wav, 0, 440, 0.1, 1.9) < 0.1 || power(wav, 1, 660, 4.1, 5.9) < 0.1 || power(wav, 1, 660, 12.1, 15.9) > 0.01 {
		t.Error("channel 1 is the caller, channel 2 what it heard in the room")
	}
	s.quiet()
}

func TestStartRecordingNeedsAnAbsoluteCallback(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/voice", `<Response><Start><Recording recordingStatusCallback="/rec"/></Start><Pause length="60"/></Response>`)
	a := s.call(mobile, office)
	s.advance(61 * time.Second)
	if d := cmp.Diff([]int{11200}, s.codes()); d != "" || len(s.sent("/rec")) != 0 || s.status(a) != "completed" {
		t.Errorf("call %s: %s", s.status(a), d)
	}
}

func TestCallTokenShowsTheCaller(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	a := s.join(mobile, ``)
	token := s.last("/voice").Get("CallToken")
	show := func(from, token string) error {
		_, err := s.invite(roomName, second, func(p *api.CreateParticipantParams) { p.SetFrom(from).SetCallToken(token) })
		return err
	}
	if err := show(mobile, "made up"); code(err) != 21210 {
		t.Errorf("a token that is none: %v", err)
	}
	if err := show(third, token); code(err) != 21210 {
		t.Errorf("somebody who does not call: %v", err)
	}
	s.must(show(mobile, token))
	if got := s.e.Ringing(second); len(got) != 1 || got[0].From != mobile {
		t.Errorf("ringing %+v", got)
	}
	s.must(s.e.HangUp(a))
	s.idle()
	if err := show(mobile, token); code(err) != 21210 {
		t.Errorf("after the call: %v", err)
	}
}
