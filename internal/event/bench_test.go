package event_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/testkit"
)

// BenchmarkCommitToSubscriber measures from the return of the commit to the
// reader's receive, one event at a time.
func BenchmarkCommitToSubscriber(b *testing.B) {
	d := testkit.DB(b)
	l := start(b, newLog(b, d, event.Options{}))
	org := id.New(id.Organization)
	s := subscribe(b, l, org, "")
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		add(b, d, org, "n", i)
		committed := time.Now()
		next(b, s)
		took = append(took, time.Since(committed))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkFanOut has many readers of one organization.
func BenchmarkFanOut(b *testing.B) {
	const readers = 200
	d := testkit.DB(b)
	l := start(b, newLog(b, d, event.Options{}))
	org := id.New(id.Organization)
	subs := make([]*event.Subscription, readers)
	for i := range subs {
		subs[i] = subscribe(b, l, org, "")
	}
	for i := 0; b.Loop(); i++ {
		add(b, d, org, "n", i)
		var wg sync.WaitGroup
		for _, s := range subs {
			wg.Go(func() { next(b, s) })
		}
		wg.Wait()
	}
}
