package app_test

import (
	"slices"
	"testing"
	"time"

	"switchboard/internal/demo"
)

// One device of one user: the smallest call there is.
func TestAnInboundCallRingsIsAnsweredAndStandsInTheLog(t *testing.T) {
	s := newStory(t)
	branch := s.Branch("Office")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann := s.User("ann", "OFFICE", "", branch)
	desk := s.Device(ann, "Desk")

	after := s.cursor()
	live := s.watch(s.Admin, `subscription { liveCalls {
		... on LiveCallsSnapshot { cursor calls { `+callFields+` } }
		... on LiveCallChanged { cursor call { `+callFields+` } } } }`, nil)
	type update struct {
		LiveCalls struct {
			Cursor string
			Calls  []callView
			Call   *callView
		}
	}
	var first update
	live.next(&first)
	if first.LiveCalls.Calls == nil || len(first.LiveCalls.Calls) != 0 || first.LiveCalls.Cursor == "" {
		t.Fatalf("the dashboard begins with %s, want an empty snapshot", live.seen[0])
	}

	sid := s.dial(customer, officeNumber)
	s.wantRinging(desk)
	if c := s.call(sid); c.Status != "RINGING" || c.From.E164 != customer || c.To.E164 != officeNumber || c.Branch == nil || c.Branch.ID != branch {
		t.Fatalf("while it rings the log says %s", c)
	}
	s.Pass(4 * time.Second)
	s.answer(desk)
	if c := s.call(sid); c.Status != "IN_PROGRESS" || name(c.AnsweredBy) != "ann" {
		t.Fatalf("after the answer the log says %s", c)
	}
	s.Pass(65 * time.Second)
	s.hangUp(sid)

	c := s.call(sid)
	if c.Status != "COMPLETED" || word(c.EndReason) != "HUNG_UP" || name(c.AnsweredBy) != "ann" || c.Direction != "INBOUND" {
		t.Fatalf("the log says %s", c)
	}
	if number(c.RingSeconds) != 4 || number(c.TalkSeconds) != 65 || number(c.DurationSeconds) != 69 {
		t.Errorf("ring %d, talk %d, whole %d seconds; want 4, 65 and 69", number(c.RingSeconds), number(c.TalkSeconds), number(c.DurationSeconds))
	}
	if !c.AnsweredAt.Equal(c.StartedAt.Add(4*time.Second)) || !c.EndedAt.Equal(c.StartedAt.Add(69*time.Second)) {
		t.Errorf("started %v, answered %v, ended %v", c.StartedAt, c.AnsweredAt, c.EndedAt)
	}
	if len(c.Legs) != 2 || c.Legs[0].Kind != "CALLER" || word(c.leg(desk).Outcome) != "ANSWERED" || c.leg(desk).Status != "ENDED" {
		t.Errorf("the legs are %s", c)
	}

	// The dashboard saw every change, each with a greater version, up to the end.
	version, statuses := 0, []string{}
	for {
		var u update
		live.next(&u)
		if u.LiveCalls.Call == nil {
			t.Fatalf("a second snapshot: %s", live.seen[len(live.seen)-1])
		}
		v := *u.LiveCalls.Call
		if v.Version < version {
			t.Errorf("version %d came after %d", v.Version, version)
		}
		version = v.Version
		if len(statuses) == 0 || statuses[len(statuses)-1] != v.Status {
			statuses = append(statuses, v.Status)
		}
		if v.Version == c.Version {
			break
		}
	}
	if want := []string{"RINGING", "IN_PROGRESS", "COMPLETED"}; !slices.Equal(statuses, want) {
		t.Errorf("the dashboard showed %v, want %v", statuses, want)
	}

	kinds := types(s.facts(s.Admin, after))
	order := slices.DeleteFunc(slices.Clone(kinds), func(k string) bool { return k == "CallUpdated" })
	if want := []string{"CallStarted", "RingStarted", "CallAnswered", "RingEnded", "CallEnded"}; !slices.Equal(order, want) {
		t.Errorf("the events are %v\nwant %v, with updates between them", kinds, want)
	}
	s.clean()
}
