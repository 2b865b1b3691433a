package app_test

import (
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
)

func TestACallToADisabledNumberIsRejectedAndLogged(t *testing.T) { // D26, R013
	s := newStory(t)
	branch := s.Branch("Office")
	line := s.Number(officeNumber, demo.Vars{"branchId": branch})
	s.Device(s.User("ann", "OFFICE", "", branch), "Desk")
	s.set(line, demo.Vars{"isEnabled": false})
	sid := s.dial(customer, officeNumber)
	s.wantRinging()
	if x, _ := s.Emulator.Call(sid); x.Status != "busy" {
		t.Errorf("the caller's call is %s, want busy", x.Status)
	}
	c := s.call(sid)
	if c.Status != "REJECTED" || word(c.EndReason) != "NUMBER_DISABLED" || c.EndedAt == nil || c.Route == nil || word(c.Route.RejectReason) != "NUMBER_DISABLED" {
		t.Errorf("the log says %s", c)
	}
	s.clean()
}

func TestACallerWithoutANumberMatchesNobody(t *testing.T) { // D11
	s := newStory(t)
	branch := s.Branch("Office")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	desk := s.Device(s.User("ann", "OFFICE", "", branch), "Desk")
	s.contact("CUSTOMER", "Somebody", "+12025550198", nil)
	for _, from := range []string{"anonymous", "+266696687", "Restricted", ""} { // the second spells ANONYMOUS
		sid, err := s.Emulator.PlaceInbound(emulator.InboundCall{From: from, To: officeNumber})
		if err != nil && from == "" {
			continue // Twilio sends no such call
		}
		s.Must(err)
		s.idle()
		s.wantRinging(desk)
		c := s.call(sid)
		if c.Contact != nil || c.From.E164 != "" || c.From.Display == "" || c.Status != "RINGING" {
			t.Errorf("a call from %q is logged as from %+v, contact %+v", from, c.From, c.Contact)
		}
		s.hangUp(sid)
	}
	s.clean()
}

func TestACallerWhoHangsUpWhileItRingsIsMissed(t *testing.T) {
	g := newGroup(t, demo.Vars{"voicemail": demo.Vars{"isEnabled": true}})
	sid := g.dial(customer, officeNumber)
	g.Pass(6 * time.Second)
	g.hangUp(sid)
	g.wantRinging()
	c := g.call(sid)
	if c.Status != "MISSED" || word(c.EndReason) != "CALLER_HUNG_UP" || c.Voicemail != nil || number(c.RingSeconds) != 6 || c.AnsweredAt != nil {
		t.Errorf("the log says %s", c)
	}
	for _, d := range []string{g.web, g.ios, g.bobs, g.cecs} {
		if l := c.leg(d); word(l.Outcome) != "CALLER_HUNG_UP" || l.AnsweredBy != nil { // T02: not answered elsewhere
			t.Errorf("a device that rang is told %s by %q", word(l.Outcome), name(l.AnsweredBy))
		}
	}
	g.clean()
}

// When a call is recorded, on how many channels, and from when (R111-R116, D23).
func TestRecordingFollowsTheModeOfTheNumber(t *testing.T) {
	s := newStory(t)
	branch := s.Branch("Office")
	line := s.Number(officeNumber, demo.Vars{"branchId": branch})
	desk := s.Device(s.User("ann", "OFFICE", "", branch), "Desk")
	for _, x := range []struct {
		why, mode, connection string
		channels, seconds     int // 0 channels: not recorded
	}{
		{"R111", "OFF", "FROM_ANSWER", 0, 0},
		{"R112", "FROM_RINGING", "OFF", 1, 14},
		{"R113", "FROM_ANSWER", "OFF", 1, 10},
		{"R114", "FROM_RINGING_DUAL", "OFF", 2, 14},
		{"R114", "FROM_ANSWER_DUAL", "OFF", 2, 10},
		{"R115, D23: the connection's default", "", "FROM_ANSWER", 1, 10},
		{"R115, D23: the connection's default", "", "OFF", 0, 0},
	} {
		var mode any
		if x.mode != "" {
			mode = x.mode
		}
		s.Do(`mutation($c: ID!, $m: RecordingMode!) { twilioConnectionUpdate(id: $c, input: {incomingRecording: $m}) { userErrors { code field message } } }`,
			demo.Vars{"c": s.ConnectionID, "m": x.connection}, nil)
		s.set(line, demo.Vars{"recording": demo.Vars{"incoming": mode}})
		sid := s.dial(customer, officeNumber)
		s.Pass(4 * time.Second)
		leg := s.answer(desk)
		s.Must(s.Emulator.Speak(sid, 9*time.Second))
		s.Must(s.Emulator.Speak(leg, 9*time.Second))
		s.Pass(10 * time.Second)
		s.hangUp(sid)
		s.Settle()
		c := s.call(sid)
		if x.channels == 0 {
			if c.IsRecorded || len(c.Recordings) != 0 {
				t.Errorf("%s %q over %s: recorded as %+v", x.why, x.mode, x.connection, c.Recordings)
			}
			continue
		}
		if !c.IsRecorded || len(c.Recordings) != 1 {
			t.Errorf("%s %q over %s: recorded %v as %+v", x.why, x.mode, x.connection, c.IsRecorded, c.Recordings)
			continue
		}
		r := c.Recordings[0]
		if r.Status != "COMPLETED" || r.MediaState != "STORED" || r.Channels != x.channels || number(r.DurationSeconds) != x.seconds || r.OffsetSeconds != 14-x.seconds {
			t.Errorf("%s %q over %s: %+v of %d seconds", x.why, x.mode, x.connection, r, number(r.DurationSeconds))
		}
		if status, audio, _ := s.fetch("/media/"+r.ID, s.Admin.Token(), nil); status != 200 || len(audio) < 44 || audio[22] != byte(x.channels) { // R123
			t.Errorf("%s: the audio is served as %d with %d bytes", x.why, status, len(audio))
		}
	}
	s.clean()
}

func TestTheWelcomeIsHeardFirstAndTheFarewellLast(t *testing.T) { // R044, R045, R047, R049-R051, D24
	s := newStory(t)
	branch := s.Branch("Office")
	line := s.Number(officeNumber, demo.Vars{"branchId": branch, "voicemail": demo.Vars{"isEnabled": false},
		"prompts": demo.Vars{"welcomeText": "Welcome to <us> & all.", "farewellText": "Good bye then."}})
	desk := s.Device(s.User("ann", "OFFICE", "", branch), "Desk")

	sid := s.dial(customer, officeNumber)
	s.Pass(10 * time.Second)
	first := s.asked(sid)[0].Answer
	say, dial := strings.Index(first, "Welcome to &lt;us&gt; &amp; all."), strings.Index(first, "<Dial")
	if say < 0 || dial < say {
		t.Fatalf("Twilio was told %s", first)
	}
	s.wantRinging(desk)
	s.answer(desk)
	s.Pass(5 * time.Second)
	x := s.legOf(sid, desk)
	s.hangUp(x) // the desk hangs up: the caller hears the farewell
	documents := s.asked(sid)
	if last := documents[len(documents)-1].Answer; !strings.Contains(last, "Good bye then.") || !strings.Contains(last, "<Hangup") {
		t.Errorf("after the talk Twilio was told %s", last)
	}
	s.Pass(10 * time.Second)
	if c := s.call(sid); c.Status != "COMPLETED" || name(c.AnsweredBy) != "ann" {
		t.Errorf("the log says %s", c)
	}

	// The text is changed and the next caller hears it; audio wins over it (R049, R127).
	s.set(line, demo.Vars{"prompts": demo.Vars{"welcomeText": "We moved."}})
	sid = s.dial(customer, officeNumber)
	if said := s.asked(sid)[0].Answer; !strings.Contains(said, "We moved.") {
		t.Errorf("after the change Twilio was told %s", said)
	}
	s.hangUp(sid)
	s.set(line, demo.Vars{"prompts": demo.Vars{"welcomeAudioId": s.upload("welcome", wav())}})
	sid = s.dial(customer, officeNumber)
	if said := s.asked(sid)[0].Answer; strings.Contains(said, "We moved.") || !strings.Contains(said, "<Play>") {
		t.Errorf("with audio Twilio was told %s", said)
	}
	// Nobody answers and there is no voicemail: the farewell, and the end.
	s.Pass(60 * time.Second)
	documents = s.asked(sid)
	if last := documents[len(documents)-1].Answer; !strings.Contains(last, "Good bye then.") {
		t.Errorf("when nobody answers Twilio was told %s", last)
	}
	if c := s.call(sid); c.Status != "MISSED" || word(c.EndReason) != "NO_ANSWER" {
		t.Errorf("the log says %s", c)
	}
	s.clean()
}

// legOf is the SID of what a call rang at a target.
func (s *story) legOf(sid, target string) string {
	s.t.Helper()
	for _, c := range s.Emulator.Calls() {
		if c.Parent == sid && c.Target == at(target) {
			return c.SID
		}
	}
	s.t.Fatalf("call %s never rang %s", sid, target)
	return ""
}
