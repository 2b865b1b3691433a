package retention_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/retention"
)

// many are transcripts, recorded at the moments.
func (s *stage) many(at []time.Time) (ids []id.ID) {
	s.Helper()
	for range at {
		ids = append(ids, id.New(id.Transcript))
	}
	s.exec(`INSERT INTO transcript (organization_id, id, source, status, provider, language, is_automatic, recorded_at, updated_at)
		SELECT $1, u.id, 'CALL', 'COMPLETED', 'HTTP', 'en-AU', true, u.at, u.at FROM unnest($2::uuid[], $3::timestamptz[]) u (id, at)`, s.admin.OrganizationID, ids, at)
	return ids
}

// R228: a run goes from batch to batch, also in other hands after a crash, and looks at
// each thing once; canceled midway it leaves the rest to the next run.
func TestARunGoesOnFromItsPlaceUntilItIsCanceled(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	// The borders of the batches, 200 and 400, are within things of one moment.
	all := s.many(append(slices.Repeat([]time.Time{start.Add(-50 * day)}, 225), slices.Repeat([]time.Time{start.Add(-40 * day)}, 225)...))
	if _, err := s.svc.Place(s.ctx, s.admin, all[0], "a claim"); err != nil {
		t.Fatal(err)
	}
	seen, batches := map[id.ID]int{}, 0
	purge, crash := s.purges[retention.Transcripts], true
	s.purges[retention.Transcripts] = func(ctx context.Context, tx *db.Tx, ids []id.ID, actor id.ID, why string) ([]id.ID, error) {
		if batches++; crash && batches%2 == 0 {
			return nil, errors.New("the process ends here")
		}
		for _, x := range ids {
			seen[x]++
		}
		return purge(ctx, tx, ids, actor, why)
	}
	rule := s.on(retention.Transcripts, id.ID{}, 30)
	first, err := s.svc.Start(s.ctx, s.admin, rule.ID)
	s.must(err)
	is := func(when string, run id.ID, want retention.Run) {
		t.Helper()
		got, err := s.svc.RunsByIDs(s.ctx, s.admin, []id.ID{run})
		s.must(err)
		if r := got[run]; r.Status != want.Status || r.FoundCount != want.FoundCount || r.DeletedCount != want.DeletedCount || r.HeldCount != want.HeldCount ||
			(r.EndedAt == nil) != (r.Status == retention.Running) {
			t.Errorf("%s: the run is %+v", when, r)
		}
		if left := s.text(`SELECT count(*)::text FROM transcript WHERE organization_id = $1 AND status = 'COMPLETED'`, s.admin.OrganizationID); left != strconv.Itoa(450-len(seen)) {
			t.Errorf("%s: of %d that went %s are left", when, len(seen), left)
		}
	}
	s.must(s.run.Drain(t.Context()))
	is("after a batch and a crash", first.ID, retention.Run{Status: retention.Running, FoundCount: 449, DeletedCount: 199, HeldCount: 1})
	s.clock.Advance(time.Minute)
	s.must(s.run.RunSweeps(t.Context()))
	s.must(s.run.Drain(t.Context()))
	if batches != 2 {
		t.Error("it was taken from a process that might still be at it")
	}
	s.clock.Advance(time.Minute)
	s.must(s.run.RunSweeps(t.Context()))
	s.must(s.run.Drain(t.Context()))
	is("taken up, and another crash", first.ID, retention.Run{Status: retention.Running, FoundCount: 449, DeletedCount: 399, HeldCount: 1})
	for range 2 { // again: it succeeds
		if r, err := s.svc.Cancel(s.ctx, s.admin, first.ID); err != nil || r.Status != retention.Canceled {
			t.Fatalf("canceled: %+v, %v", r, err)
		}
	}
	crash = false
	s.clock.Advance(10 * time.Minute)
	s.must(s.run.RunSweeps(t.Context()))
	s.must(s.run.Drain(t.Context()))
	is("canceled", first.ID, retention.Run{Status: retention.Canceled, FoundCount: 449, DeletedCount: 399, HeldCount: 1})
	second, err := s.svc.Start(s.ctx, s.admin, rule.ID)
	s.must(err)
	s.must(s.run.Drain(t.Context()))
	is("the next run", second.ID, retention.Run{Status: retention.Completed, FoundCount: 50, DeletedCount: 50, HeldCount: 1})
	for x, n := range seen {
		if n != 1 || x == all[0] {
			t.Fatalf("%s was looked at %d times", x, n)
		}
	}
	if n := s.text(`SELECT count(*)::text FROM audit_entry WHERE organization_id = $1 AND action IN ('retention.run', 'retention.cancel')`, s.admin.OrganizationID); n != "3" {
		t.Errorf("%s entries in the audit log", n)
	}
}
