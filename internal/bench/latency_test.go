package bench_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/demo"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/testkit/stage"
)

const eventsOfCalls = `subscription($after: Cursor) { events(after: $after) { id seq ... on CallUpdated { call { id status version } } } }`

// latency commits events of a call, one after the other, and takes the time from each
// commit until a subscriber has read it from a WebSocket.
func latency(t testing.TB, more func() bool) (took []time.Duration) {
	t.Helper()
	s := switchboard(t)
	door := dial(t, strings.TrimPrefix(s.URL, "http://"))
	newRinging(t, s).callbacks(t, door)
	org := must1(id.ParseKind(s.OrganizationID, id.Organization))
	ctx := db.WithTenant(t.Context(), org)
	var ringing id.ID
	must(t, db.Select(ctx, s.App.DB.App(), &ringing, `SELECT id FROM call WHERE organization_id = $1 LIMIT 1`, org))
	stamped(t, s)
	seq, err := s.App.Events.Head(ctx, org)
	must(t, err)
	stream, err := s.Admin.Watch(ctx, eventsOfCalls, demo.Vars{"after": s.App.Events.Cursor(org, seq)})
	must(t, err)
	defer stream.Stop()
	for more() {
		x := id.New(id.Event)
		committed := commit(t, ctx, s, event.Event{ID: x, Kind: call.EventUpdated, Subject: ringing, Data: []byte(`{}`)})
		var got struct{ Events struct{ ID string } }
		waiting, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := stream.Next(waiting, &got)
		took = append(took, time.Since(committed))
		cancel()
		must(t, err)
		if got.Events.ID != x.String() {
			t.Fatalf("%s came instead of %s", got.Events.ID, x)
		}
	}
	return took
}

// commit appends the event in a transaction of its own and says when it was committed.
func commit(t testing.TB, ctx context.Context, s *stage.Stage, e event.Event) (at time.Time) {
	t.Helper()
	must(t, s.App.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		tx.AfterCommit(func() { at = time.Now() })
		return event.Append(ctx, tx, e)
	}))
	return at
}

// BenchmarkCommitToSubscriber is one node with one subscriber that asks for the call of each event.
func BenchmarkCommitToSubscriber(b *testing.B) {
	took := latency(b, b.Loop)
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took[len(took)/2].Seconds()*1000, "p50-ms")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "p99-ms")
}

func TestASubscriberHasEveryCommitInOrder(t *testing.T) {
	t.Parallel()
	n := 0
	if took := latency(t, func() bool { n++; return n <= 20 }); len(took) != 20 {
		t.Errorf("%d events came", len(took))
	}
}
