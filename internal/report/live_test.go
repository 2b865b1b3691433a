package report_test

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/id"
	"switchboard/internal/report"
)

// goesOn adds a call that has not ended.
func (s *stage) goesOn(status string, since time.Time, branch int, more ...string) id.ID {
	s.Helper()
	x := id.New(id.Call)
	s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, phone_number_id, branch_id, from_number, to_number, started_at, updated_at)
		VALUES ($1, $2, 'INBOUND', $3, $4, $5, $6, 'a', 'b', $7, $7)`, s.org, x, status, s.connection, s.numbers[branch], s.branches[branch], since)
	for _, set := range more {
		s.exec(`UPDATE call SET `+set+` WHERE id = $1`, x)
	}
	return x
}

// rings adds a leg of a person's device; answered where they took it.
func (s *stage) rings(call, user id.ID, since time.Time, answered *time.Time) {
	s.Helper()
	status := "RINGING"
	if answered != nil {
		status = "IN_PROGRESS"
	}
	s.exec(`INSERT INTO call_leg (organization_id, id, call_id, kind, user_id, to_address, status, started_at, ringing_at, answered_at, updated_at)
		VALUES ($1, $2, $3, 'DEVICE', $4, 'x', $5, $6, $6, $7, $6)`, s.org, id.New(id.Leg), call, user, status, since, answered)
}

func TestTheLiveDashboardSaysWhoIsOnWhat(t *testing.T) { // R210, R280
	t.Parallel()
	s := newStage(t)
	s.exec(`UPDATE "user" SET status = 'ACTIVE' WHERE organization_id = $1`, s.org)
	before := func(d time.Duration) *time.Time { return new(stageNow.Add(-d)) }
	talk := s.goesOn("IN_PROGRESS", *before(10 * time.Minute), 0, "is_on_hold = true")
	s.rings(talk, s.users[1], *before(10 * time.Minute), before(9*time.Minute))
	ring := s.goesOn("RINGING", *before(40 * time.Second), 1)
	s.rings(ring, s.users[2], *before(30 * time.Second), nil)
	s.rings(ring, s.users[1], *before(30 * time.Second), nil) // on the other call all the same
	s.goesOn("QUEUED", *before(90 * time.Second), 1)
	s.goesOn("RINGING", *before(time.Hour), 1, "is_test = true")

	who := s.admin
	who.Permissions = access.SetOf(access.LiveView)
	got, err := s.svc.Live(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	same := cmpopts.EquateComparable(id.ID{})
	if d := gocmp.Diff(report.LiveCounts{Ringing: 2, InProgress: 1, OnHold: 1, LongestRingStartedAt: before(90 * time.Second)}, got.Total); d != "" {
		t.Errorf("in all (-want +got):\n%s", d)
	}
	for i, want := range []report.LiveCounts{{InProgress: 1, OnHold: 1}, {Ringing: 2, LongestRingStartedAt: before(90 * time.Second)}} {
		for _, b := range got.Branches {
			if d := gocmp.Diff(want, b.Counts); b.BranchID == s.branches[i] && d != "" {
				t.Errorf("the branch %s (-want +got):\n%s", s.labels[b.BranchID], d)
			}
		}
		for _, n := range got.PhoneNumbers {
			if d := gocmp.Diff(want, n.Counts); n.PhoneNumberID == s.numbers[i] && d != "" {
				t.Errorf("the %s (-want +got):\n%s", s.labels[n.PhoneNumberID], d)
			}
		}
	}
	if len(got.Branches) != 2 || len(got.PhoneNumbers) != 2 {
		t.Errorf("%d branches and %d numbers have calls", len(got.Branches), len(got.PhoneNumbers))
	}
	want := []report.LiveAgent{ // East, North, South
		{UserID: s.users[2], State: call.BeingRung, CallID: ring, StartedAt: before(30 * time.Second)},
		{UserID: s.users[0], State: call.Away},
		{UserID: s.users[1], State: call.OnCall, CallID: talk, StartedAt: before(9 * time.Minute)},
	}
	if d := gocmp.Diff(want, got.Agents, same); d != "" {
		t.Errorf("who is on what (-want +got):\n%s", d)
	}

	// Whoever sees a branch sees its people, and of their calls those that they may (R276).
	s.exec(`INSERT INTO branch_user (organization_id, branch_id, user_id) VALUES ($1, $2, $3)`, s.org, s.branches[1], s.users[1])
	who.Visibility, who.BranchIDs, who.UserID = access.SeesBranch, s.branches[1:2], s.users[2]
	if got, err = s.svc.Live(t.Context(), who); err != nil {
		t.Fatal(err)
	}
	want[2].CallID = id.ID{}
	if d := gocmp.Diff([]report.LiveAgent{want[0], want[2]}, got.Agents, same); d != "" || got.Total.OnHold != 0 || got.Total.Ringing != 2 {
		t.Errorf("seen from the south: %+v\n%s", got.Total, d)
	}
}
