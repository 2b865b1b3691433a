package call_test

import (
	"context"
	"testing"

	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/twilio"
)

// BenchmarkFold is a call that rang ten devices, from its facts to its state.
func BenchmarkFold(b *testing.B) {
	facts := longStory().facts
	b.ReportMetric(float64(len(facts)), "facts")
	for b.Loop() {
		call.Fold(facts)
	}
}

func longStory() *story {
	d := devices(10)
	s := inbound(ring(d...)).step(1, start)
	for i := range d {
		s.leg(d[i], 10+i, "initiated@0", "ringing@1", "canceled@5")
	}
	return s.call("completed", 36, 36)
}

// BenchmarkLegStatus is one status callback in the database, without the edge.
func BenchmarkLegStatus(b *testing.B) {
	s := newStage(b)
	s.arrives(1, theirs)
	c, legs := s.only()
	l := legOf(legs, s.annDev)
	seq := 0
	for b.Loop() {
		seq++
		if seq%40 == 0 { // a call has so many callbacks at most
			b.StopTimer()
			s.arrives(seq, theirs)
			page, _ := s.calls.List(s.ctx, s.boss(), call.Filter{}, db.Page{First: 1})
			c = page.Nodes[0]
			m, _ := s.calls.LegsByCalls(s.ctx, []id.ID{c.ID})
			l = legOf(m[c.ID], s.annDev)
			b.StartTimer()
		}
		q := seq
		err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
			return s.calls.LegStatus(ctx, tx, c.ID, l.ID, twilio.LegForm{CallSID: sid("CA", 11), Status: "ringing", At: s.sec(q), Sequence: &q})
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
