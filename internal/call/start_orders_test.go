package call_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/call"
	"switchboard/internal/id"
	"switchboard/internal/route"
)

// calleePost is news of whoever a device called.
func calleePost(n int, word string, at, seq int, long ...int) post {
	return post{do: func(s *stage, c *call.Call, legs []*call.Leg) { s.leg(c, legs[1], n, word, at, seq, long...) }}
}

// T11 for calls that people start on their devices.
func TestPostsAboutAStartedCallInAnyOrderLeaveTheSameRows(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		inside bool
		posts  []post
		status string
	}{
		"answered": {false, []post{
			calleePost(12, "initiated", 0, 0), calleePost(12, "ringing", 1, 1), calleePost(12, "in-progress", 5, 2), calleePost(12, "completed", 35, 3, 30),
			dialPost(2, "completed", "in-progress", 12, 30), endPost("completed", 36, 36),
		}, `"status": "COMPLETED"`},
		"busy": {false, []post{
			calleePost(12, "initiated", 0, 0), calleePost(12, "busy", 2, 1), dialPost(2, "busy", "ringing", 12, 0), endPost("completed", 6, 4),
		}, `"status": "BUSY"`},
		"given up": {false, []post{
			calleePost(12, "initiated", 0, 0), calleePost(12, "ringing", 1, 1), calleePost(12, "canceled", 7, 2), dialPost(2, "canceled", "no-answer", 12, 0), endPost("no-answer", 7, 0),
		}, `"status": "CANCELED"`},
		"a colleague answered": {true, []post{
			calleePost(12, "ringing", 1, 1), calleePost(12, "in-progress", 5, 2), calleePost(12, "completed", 35, 3, 30),
			dialPost(2, "completed", "in-progress", 12, 30), endPost("completed", 36, 36),
		}, `"direction": "INTERNAL"`},
		"a colleague declined": {true, []post{
			calleePost(12, "ringing", 1, 1), calleePost(12, "busy", 5, 2), dialPost(2, "busy", "ringing", 12, 0), endPost("completed", 9, 4),
		}, `"end_reason": "DECLINED"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			seed := rand.Uint64()
			r := rand.New(rand.NewPCG(seed, 3))
			want := ""
			for order := range 12 {
				if order > 0 {
					s.clock.Advance(time.Hour)
					s.settle()
				}
				s.grant()
				params := map[string]string{"To": theirs}
				if x.inside {
					params = map[string]string{"userId": s.bob.String()}
				}
				s.appCalls(1, s.annDev, params)
				c, legs := s.only()
				s.clock.Advance(2 * time.Minute)
				for _, p := range shuffled(r, x.posts, order > 0) {
					p.do(s, c, legs)
				}
				c, legs = s.only()
				got := s.rows(c, legs)
				if want == "" {
					want = got
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("seed %d, order %d:\n%s", seed, order, diff)
				}
			}
			if !strings.Contains(want, x.status) {
				t.Errorf("the rows lack %s:\n%s", x.status, want)
			}
		})
	}
}

// reliability 7: also of a call that a device made itself the end is found out.
func TestASilentCallOfADeviceIsReconciled(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.grant()
	f, r := s.withTwilio()
	s.appCalls(1, s.annDev, map[string]string{"To": theirs})
	c, _ := s.only()
	f.mu.Lock()
	f.calls = []map[string]any{
		{"sid": sid("CA", 1), "status": "completed", "duration": "20", "end_time": sec(20).Format(time.RFC1123Z)},
		{"sid": sid("CA", 12), "parent_call_sid": sid("CA", 1), "to": theirs, "status": "completed", "duration": "15", "end_time": sec(20).Format(time.RFC1123Z)},
	}
	f.mu.Unlock()
	s.until(r, 10*time.Second, func() bool { return s.read(c).EndedAt != nil })
	if c = s.read(c); c.Status != call.Completed || *c.EndReason != route.EndedReconciled || *c.TalkSeconds != 15 {
		t.Errorf("%s %s, talk %v", c.Status, *c.EndReason, c.TalkSeconds)
	}
	if waited := s.clock.Now().Sub(start); waited > 3*time.Minute {
		t.Errorf("it took %s", waited)
	}
}

// R085: a test call's own leg is all there is.
func TestATestCallIsAnsweredByWhomItTests(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, r := s.withTwilio()
	s.mobile(s.ann, "+61400000777")
	c, steps, err := s.calls.Test(s.ctx, s.boss(), call.TestInput{}, "")
	if err != nil || !c.IsTest || len(steps) == 0 {
		t.Fatalf("%+v, %v, %v", c, steps, err)
	}
	s.drain(r)
	s.status(c, "ringing", 2, 1)
	s.status(c, "in-progress", 4, 2)
	s.clock.Advance(5 * time.Second)
	if doc := body(t, s.bridge(c, 100), c); !strings.Contains(doc, "plus 6 1 2 5 5 5 0 1 2 3 4, because it has the country") || strings.Contains(doc, "Gather") {
		t.Errorf("it says %s", doc)
	}
	s.status(c, "completed", 20, 3, 16)
	if c = s.read(c); c.Status != call.Completed || *c.TalkSeconds != 16 || c.AnsweredByLegID.IsZero() {
		t.Errorf("%s, talk %d", c.Status, *c.TalkSeconds)
	}
	if _, _, err := s.calls.Test(s.ctx, s.boss(), call.TestInput{PhoneNumberID: id.New(id.PhoneNumber)}, ""); err == nil {
		t.Error("a number that does not exist was tested")
	}
}
