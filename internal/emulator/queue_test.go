package emulator_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

const enqueue = `<Response><Enqueue waitUrl="/wait" action="/left">support</Enqueue><Pause length="60"/></Response>`

func queueStage(t *testing.T) *stage {
	s := newStage(t, emulator.Options{})
	s.answer("/voice", enqueue)
	s.answer("/wait", `<Response><Pause length="10"/></Response>`)
	s.answer("/left", `<Response><Pause length="60"/></Response>`)
	s.answer("/take", `<Response><Dial action="/taken"><Queue>support</Queue></Dial></Response>`)
	s.answer("/taken", `<Response/>`)
	return s
}

// take lets a phone call a number whose document takes a caller from the queue.
func (s *stage) take() string {
	s.Helper()
	s.must(s.e.UpdateNumber(office, func(n *emulator.NumberSpec) { n.VoiceURL = s.hooks.URL + "/take" }))
	return s.call(second, office)
}

func TestQueuedCallerHearsTheWaitURLOverAndOver(t *testing.T) {
	t.Parallel()
	s := queueStage(t)
	sid := s.call(mobile, office)
	s.advance(25 * time.Second)
	if d := cmp.Diff([]string{"0", "10", "20"}, s.values("/wait", "QueueTime")); d != "" {
		t.Error(d)
	}
	f := s.last("/wait")
	if f.Get("QueuePosition") != "1" || f.Get("CurrentQueueSize") != "1" || f.Get("MaxQueueSize") != "1000" || f.Get("CallSid") != sid || len(f.Get("QueueSid")) != 34 {
		t.Errorf("wait request %v", f)
	}
	s.must(s.e.HangUp(sid))
	s.idle()
	if f := s.last("/left"); f.Get("QueueResult") != "hangup" || f.Get("QueueTime") != "25" {
		t.Errorf("action %v", f)
	}
	s.quiet()
}

func TestEmptyWaitDocumentDoesNotSpin(t *testing.T) {
	t.Parallel()
	s := queueStage(t)
	s.answer("/wait", `<Response/>`)
	s.call(mobile, office)
	s.advance(3 * time.Second)
	if n := len(s.sent("/wait")); n > 5 {
		t.Errorf("asked %d times in three seconds", n)
	}
}

func TestHeadOfTheQueueIsTakenFirst(t *testing.T) {
	t.Parallel()
	s := queueStage(t)
	first := s.call(mobile, office)
	s.advance(time.Second)
	later := s.call("+15557650000", office)
	s.advance(4 * time.Second)
	agent := s.take()
	c, _ := s.e.Call(agent)
	if c.Bridged != first {
		t.Fatalf("bridged with %s, the first is %s and the second %s", c.Bridged, first, later)
	}
	s.advance(30 * time.Second)
	s.must(s.e.HangUp(agent))
	s.idle()
	if f := s.last("/left"); f.Get("QueueResult") != "bridged" || f.Get("QueueTime") != "5" || f.Get("CallSid") != first {
		t.Errorf("the caller's action %v", f)
	}
	if f := s.last("/taken"); f.Get("DialCallStatus") != "completed" || f.Get("DialBridged") != "true" || f.Get("DialCallSid") != first || f.Get("DialCallDuration") != "30" {
		t.Errorf("the agent's action %v", f)
	}
	if got := s.status(first); got != "in-progress" {
		t.Errorf("the caller goes on with its document, but is %s", got)
	}
	s.quiet()
}

func TestTakerWaitsForACaller(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why    string
		exists bool
		caller time.Duration
		status string
	}{
		"somebody comes":    {"", true, 10 * time.Second, "completed"},
		"nobody comes":      {"the Dial's timeout", true, 0, "no-answer"},
		"there is no queue": {"", false, 0, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := queueStage(t)
			if tc.exists {
				_, err := s.tw.Api.CreateQueue((&api.CreateQueueParams{}).SetFriendlyName("support"))
				s.must(err)
			}
			agent := s.take()
			s.advance(max(tc.caller, time.Second))
			if tc.caller > 0 {
				s.number("+15550001112")
				caller := s.call(mobile, "+15550001112")
				if c, _ := s.e.Call(agent); c.Bridged != caller {
					t.Errorf("bridged with %q", c.Bridged)
				}
				s.must(s.e.HangUp(caller))
			}
			s.advance(30 * time.Second)
			if got := s.last("/taken").Get("DialCallStatus"); got != tc.status {
				t.Errorf("DialCallStatus %s, want %s (%s)", got, tc.status, tc.why)
			}
			s.quiet()
		})
	}
}

func TestCallerHearsTheQueueURLBeforeTheBridge(t *testing.T) {
	t.Parallel()
	s := queueStage(t)
	s.answer("/take", `<Response><Dial action="/taken"><Queue url="/connecting">support</Queue></Dial></Response>`)
	s.answer("/connecting", `<Response><Pause length="3"/></Response>`)
	caller := s.call(mobile, office)
	agent := s.take()
	if f := s.last("/connecting"); f.Get("CallSid") != caller || f.Get("DequeingCallSid") != agent || f.Get("QueueSid") == "" {
		t.Errorf("request %v", f)
	}
	if c, _ := s.e.Call(agent); c.Bridged != "" {
		t.Error("bridged too early")
	}
	s.advance(3 * time.Second)
	if c, _ := s.e.Call(agent); c.Bridged != caller {
		t.Errorf("bridged with %q", c.Bridged)
	}
	s.must(s.e.HangUp(caller))
	s.idle()
	if got := s.last("/taken").Get("DialCallStatus"); got != "completed" {
		t.Errorf("DialCallStatus %s", got)
	}
	s.quiet()
}

func TestLeavingAQueue(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, result string
		act         func(s *stage, sid string)
	}{
		"leave": {"the verb", "leave", func(s *stage, _ string) {
			s.answer("/wait", `<Response><Leave/></Response>`)
			s.advance(10 * time.Second)
		}},
		"redirected": {"by the Calls API", "redirected", func(s *stage, sid string) {
			_, err := s.tw.Api.UpdateCall(sid, (&api.UpdateCallParams{}).SetTwiml(`<Response><Pause length="60"/></Response>`))
			s.must(err)
		}},
		"redirected from a bridge": {"", "redirected-from-bridged", func(s *stage, sid string) {
			s.take()
			_, err := s.tw.Api.UpdateCall(sid, (&api.UpdateCallParams{}).SetTwiml(`<Response><Pause length="60"/></Response>`))
			s.must(err)
		}},
		"dequeued": {"by the Queues API", "redirected", func(s *stage, sid string) {
			list, err := s.tw.Api.ListQueue(nil)
			s.must(err)
			m, err := s.tw.Api.FetchMember(*list[0].Sid, "Front", nil)
			s.must(err)
			if *m.CallSid != sid || m.Position != 1 {
				s.Errorf("front %+v", m)
			}
			s.answer("/next", `<Response><Pause length="60"/></Response>`)
			_, err = s.tw.Api.UpdateMember(*list[0].Sid, sid, (&api.UpdateMemberParams{}).SetUrl(s.hooks.URL+"/next"))
			s.must(err)
			s.idle()
			s.last("/next")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := queueStage(t)
			sid := s.call(mobile, office)
			s.advance(time.Second)
			tc.act(s, sid)
			s.idle()
			if got := s.last("/left").Get("QueueResult"); got != tc.result {
				t.Errorf("QueueResult %s, want %s (%s)", got, tc.result, tc.why)
			}
			if got := s.status(sid); got != "in-progress" {
				t.Errorf("caller is %s", got)
			}
			list, err := s.tw.Api.ListQueue(nil)
			s.must(err)
			if list[0].CurrentSize != 0 {
				t.Errorf("queue still holds %d", list[0].CurrentSize)
			}
			s.quiet()
		})
	}
}

func TestFullQueueTurnsCallersAway(t *testing.T) {
	t.Parallel()
	s := queueStage(t)
	_, err := s.tw.Api.CreateQueue((&api.CreateQueueParams{}).SetFriendlyName("support").SetMaxSize(1))
	s.must(err)
	s.call(mobile, office)
	s.call(second, office)
	if got := s.last("/left").Get("QueueResult"); got != "queue-full" {
		t.Errorf("QueueResult %s", got)
	}
	if d := cmp.Diff([]int{14207}, s.codes()); d != "" {
		t.Error(d)
	}
}

func TestQueuesAreManagedByREST(t *testing.T) {
	t.Parallel()
	s := queueStage(t)
	q, err := s.tw.Api.CreateQueue((&api.CreateQueueParams{}).SetFriendlyName("support"))
	s.must(err)
	if q.MaxSize != 100 {
		t.Errorf("max_size %d", q.MaxSize)
	}
	if _, err := s.tw.Api.CreateQueue((&api.CreateQueueParams{}).SetFriendlyName("support")); code(err) != 22003 {
		t.Errorf("the same name twice: %v", err)
	}
	if _, err := s.tw.Api.UpdateQueue(*q.Sid, (&api.UpdateQueueParams{}).SetMaxSize(5001)); code(err) != 20001 {
		t.Errorf("5001 callers: %v", err)
	}
	sid := s.call(mobile, office)
	if err := s.tw.Api.DeleteQueue(*q.Sid, nil); code(err) != 20409 {
		t.Errorf("deleted with a caller in it: %v", err)
	}
	s.must(s.e.HangUp(sid))
	s.must(s.tw.Api.DeleteQueue(*q.Sid, nil))
	if status, _, _ := s.raw(http.MethodGet, "/2010-04-01/Accounts/"+accountSID+"/Queues/"+*q.Sid+".json", accountSID, authToken, nil); status != 404 {
		t.Errorf("after deletion: %d", status)
	}
}
