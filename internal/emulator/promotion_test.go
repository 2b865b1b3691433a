package emulator_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

// bridge lets the caller talk to the second phone by <Dial>, recorded.
func (s *stage) bridge() (parent, child string) {
	s.Helper()
	s.answer("/voice", `<Response><Dial action="/dial" record="record-from-answer"><Number>`+second+`</Number></Dial></Response>`)
	parent = s.call(mobile, office)
	child = s.pickUp(second)
	s.must(s.e.Speak(parent, 2*time.Second))
	s.advance(10 * time.Second)
	s.hears(parent, child)
	s.hears(child, parent)
	return parent, child
}

const toRoom = `<Response><Dial action="/after"><Conference>` + roomName + `</Conference></Dial></Response>`

func TestPromotionOfADialToAConference(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, order string
		paths      []string // of the documents asked for, in order
		both       bool
	}{
		"first":   {"the action is answered before the child's document is fetched", emulator.PromotionFirst, []string{"/voice", "/dial", "/child"}, true},
		"default": {"is first", "", []string{"/voice", "/dial", "/child"}, true},
		"last":    {"the child's document runs before the action is requested", emulator.PromotionLast, []string{"/voice", "/child", "/dial"}, true},
		"never":   {"the parent stays in a dead dial", emulator.PromotionNever, []string{"/voice", "/child"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{Promotion: tc.order})
			parent, child := s.bridge()
			s.answer("/dial", toRoom)
			s.answer("/child", toRoom)
			_, err := s.tw.Api.UpdateCall(child, (&api.UpdateCallParams{}).SetUrl(s.hooks.URL+"/child"))
			s.must(err)
			s.idle()
			var paths []string
			for _, p := range s.sent("") {
				if p.Path != "/status" {
					paths = append(paths, p.Path)
				}
			}
			if d := cmp.Diff(tc.paths, paths); d != "" {
				t.Errorf("%s: %s", tc.why, d)
			}
			if got := len(s.room().Participants) == 2; got != tc.both {
				t.Fatalf("%s: room %+v", tc.why, s.room())
			}
			if s.e.Recordings()[0].Status == "in-progress" {
				t.Error("the recording of the <Dial> ends with the bridge")
			}
			if tc.both {
				f := s.last("/dial")
				if f.Get("DialCallStatus") != "completed" || f.Get("DialCallSid") != child || f.Get("DialBridged") != "true" || f.Has("DialCallDuration") {
					t.Errorf("action %v", f)
				}
				s.hears(parent, "room:"+roomName)
				s.must(s.e.HangUp(parent))
				s.idle()
				s.hears(child, "room:"+roomName)
				return
			}
			s.hears(parent, "")
			if c := s.leg(parent); c.Bridged != "" || c.Status != "in-progress" || c.Verb != "Dial" {
				t.Errorf("the parent %+v", c)
			}
			_, err = s.tw.Api.UpdateCall(parent, (&api.UpdateCallParams{}).SetUrl(s.hooks.URL+"/child"))
			s.must(err)
			s.idle()
			if len(s.room().Participants) != 2 || len(s.sent("/dial")) != 0 {
				t.Errorf("an update frees the parent, and no action is requested: %+v", s.room())
			}
			s.hears(parent, "room:"+roomName)
			s.quiet()
		})
	}
}

func TestCallerHangsUpInADeadDial(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	parent, child := s.bridge()
	if status, out := s.control("promotion", map[string]string{"order": "never"}); status != 200 {
		t.Fatal(out)
	}
	if status, _ := s.control("promotion", map[string]string{"order": "sometimes"}); status != 422 {
		t.Error("an unknown order was taken")
	}
	_, err := s.tw.Api.UpdateCall(child, (&api.UpdateCallParams{}).SetTwiml(`<Response><Pause length="600"/></Response>`))
	s.must(err)
	s.idle()
	s.must(s.e.HangUp(parent))
	s.idle()
	if s.status(parent) != "completed" || s.status(child) != "in-progress" || len(s.sent("/dial")) != 0 {
		t.Errorf("parent %s, child %s, %d actions", s.status(parent), s.status(child), len(s.sent("/dial")))
	}
}

func TestUpdatingTheParentEndsTheChild(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	parent, child := s.bridge()
	s.answer("/dial", `<Response><Say>ignored</Say></Response>`)
	_, err := s.tw.Api.UpdateCall(parent, (&api.UpdateCallParams{}).SetTwiml(`<Response><Dial><Conference>`+roomName+`</Conference></Dial></Response>`))
	s.must(err)
	s.idle()
	if s.status(child) != "completed" || s.status(parent) != "in-progress" || len(s.sent("/dial")) != 1 {
		t.Errorf("child %s, parent %s, %d actions", s.status(child), s.status(parent), len(s.sent("/dial")))
	}
	if got := s.last("/dial").Get("DialCallStatus"); got != "completed" {
		t.Errorf("DialCallStatus %s", got)
	}
	s.hears(parent, emulator.DefaultMusic)
	s.quiet()
}
