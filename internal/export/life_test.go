package export_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"switchboard/internal/errs"
	"switchboard/internal/export"
	"switchboard/internal/id"
)

// An end is noticed at the next batch, whenever it comes, and nothing stays.
func TestAnExportEndsAtAnyTime(t *testing.T) {
	t.Parallel()
	s := newStage(t, 60) // seven batches with the one that finds no more
	for batch := 1; batch <= 6; batch++ {
		at, release := s.holdAt(batch)
		e := s.create(export.NewExport{Kind: export.Calls})
		<-at
		got, err := s.svc.Cancel(s.ctx(), s.boss, e.ID)
		if err != nil || got.Status != export.Canceled {
			t.Fatalf("got %v, %v", got, err)
		}
		release()
		s.settled(e.ID)
		if files := s.files(); len(files) != 0 {
			t.Errorf("ended in batch %d, it left %q", batch, files)
		}
		_, _, err = s.svc.Open(s.ctx(), s.boss, e.ID)
		refused(t, "its file", err, errs.NotFound, "erased")
		if again, err := s.svc.Cancel(s.ctx(), s.boss, e.ID); err != nil || again.Status != export.Canceled || again.Version < got.Version {
			t.Errorf("ending it again: %v, %v", again, err)
		}
	}
	// What is done can be ended too: the file goes.
	s.mu.Lock()
	s.gate = nil
	s.mu.Unlock()
	e := s.until(s.create(export.NewExport{Kind: export.Calls}).ID, export.Done)
	if n := len(s.files()); n != 1 {
		t.Fatalf("%d files", n)
	}
	if _, err := s.svc.Cancel(s.ctx(), s.boss, e.ID); err != nil {
		t.Fatal(err)
	}
	s.settled(e.ID)
	if files := s.files(); len(files) != 0 {
		t.Errorf("left %q", files)
	}
}

// settled waits until nobody writes the export and its file is gone.
func (s *stage) settled(x id.ID) {
	s.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.count(`SELECT count(*) FROM export WHERE id = $1 AND (media_key IS NOT NULL OR leased_until IS NOT NULL)`, x) > 0 {
		select {
		case <-deadline:
			s.Fatal("the export is still held")
		case <-tick.C:
		}
	}
}

func TestTwoOfAnOrganizationRunAtATime(t *testing.T) {
	t.Parallel()
	s := newStage(t, 20)
	free := make(chan struct{})
	s.mu.Lock()
	s.gate = func(int) { <-free }
	s.mu.Unlock()
	var all []id.ID
	for range 5 {
		all = append(all, s.create(export.NewExport{Kind: export.Calls}).ID)
	}
	deadline := time.After(30 * time.Second)
	for {
		running := s.count(`SELECT count(*) FROM export WHERE status = 'RUNNING'`)
		if running > 2 {
			t.Fatalf("%d run", running)
		}
		// Two run, and the jobs of the others have come and gone.
		if running == 2 && s.count(`SELECT count(*) FROM system.river_job WHERE kind = 'export.write' AND state IN ('available', 'pending', 'retryable')`) == 0 &&
			s.count(`SELECT count(*) FROM system.river_job WHERE kind = 'export.write' AND state = 'running'`) == 2 {
			break
		}
		select {
		case <-deadline:
			t.Fatal("two never ran")
		case <-time.Tick(5 * time.Millisecond):
		}
	}
	if n := s.count(`SELECT count(*) FROM export WHERE status = 'QUEUED'`); n != 3 {
		t.Errorf("%d wait", n)
	}
	close(free)
	for _, x := range all { // whoever ends asks for the next
		s.until(x, export.Done)
	}
}

// A killed process leaves a lease that runs out; another one begins again, and there is one file.
func TestAKilledProcessIsTakenOver(t *testing.T) {
	t.Parallel()
	s := newStage(t, 60)
	at, release := s.holdAt(4)
	e := s.create(export.NewExport{Kind: export.Calls, Columns: []string{"notes"}})
	<-at // the first server is as good as dead now: it says nothing any more
	if n := len(s.files()); n != 1 {
		t.Fatalf("%d files are being written", n)
	}
	s.clk.Advance(3 * time.Minute)
	s.until(e.ID, export.Done) // by the sweep
	if rows := s.rows(e.ID); len(rows) != 61 {
		t.Errorf("%d rows", len(rows))
	}
	release() // the dead one comes back, and finds that it is not its any more
	s.idle()
	got := s.until(e.ID, export.Done)
	if files := s.files(); len(files) != 1 || got.Attempt != 2 {
		t.Errorf("%d attempts, files %q", got.Attempt, files)
	}
	if rows := s.rows(e.ID); len(rows) != 61 {
		t.Errorf("%d rows after it came back", len(rows))
	}
	if n := s.count(`SELECT count(*) FROM audit_entry WHERE subject = $1 AND action = 'export.complete'`, e.ID); n != 1 {
		t.Errorf("it was completed %d times", n)
	}
}

// idle waits until no job is left to run.
func (s *stage) idle() {
	s.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.count(`SELECT count(*) FROM system.river_job WHERE state IN ('available', 'pending', 'retryable', 'running')`) > 0 {
		select {
		case <-deadline:
			s.Fatal("jobs are left")
		case <-tick.C:
		}
	}
}

// A server that stops lets go of what it writes; the next one begins again.
func TestAServerThatStopsLetsGo(t *testing.T) {
	t.Parallel()
	s := newStage(t, 60)
	at, release := s.holdAt(3)
	e := s.create(export.NewExport{Kind: export.Calls})
	<-at
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.jobs.Stop()
	}()
	s.until(e.ID, export.Running)
	release()
	<-stopped
	if got := s.until(e.ID, export.Queued, export.Done); got.Status == export.Queued && len(s.files()) != 0 {
		t.Errorf("left %q", s.files())
	}
	s.start(10)
	s.clk.Advance(2 * time.Minute)
	if got := s.until(e.ID, export.Done); got.RowCount != 60 || len(s.files()) != 1 {
		t.Errorf("%d rows, files %q", got.RowCount, s.files())
	}
}

func TestAFileIsErasedAfterSevenDays(t *testing.T) {
	t.Parallel()
	s := newStage(t, 5)
	e := s.until(s.create(export.NewExport{Kind: export.Calls}).ID, export.Done)
	s.clk.Advance(7*24*time.Hour - time.Minute)
	if err := s.jobs.RunSweeps(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.read(e.ID)
	s.clk.Advance(time.Minute)
	_, _, err := s.svc.Open(s.ctx(), s.boss, e.ID) // before any sweep
	refused(t, "the file", err, errs.NotFound, "erased")
	e = s.until(e.ID, export.Expired)
	s.settled(e.ID)
	if files := s.files(); len(files) != 0 {
		t.Errorf("left %q", files)
	}
	if n := s.count(`SELECT count(*) FROM audit_entry WHERE subject = $1 AND action = 'export.expire'`, e.ID); n != 1 {
		t.Errorf("%d entries", n)
	}
}

// Clients are told of each step in order: rows only grow, and the end comes last.
func TestProgressIsToldInOrder(t *testing.T) {
	t.Parallel()
	s := newStage(t, 95)
	e := s.create(export.NewExport{Kind: export.Calls})
	s.until(e.ID, export.Done)
	told := s.told(e.ID)
	if len(told) < 5 {
		t.Fatalf("told %q", told)
	}
	rows := -1
	for i, data := range told {
		var d struct {
			Status export.Status
			Rows   int
			Maker  string
		}
		if err := json.Unmarshal([]byte(data), &d); err != nil {
			t.Fatal(err)
		}
		want := export.Running
		if i == len(told)-1 {
			want = export.Done
		}
		if d.Status != want || d.Rows < rows || d.Maker != s.boss.UserID.String() {
			t.Errorf("event %d of %d is %s", i, len(told), data)
		}
		rows = d.Rows
	}
	if rows != 95 {
		t.Errorf("the last event tells of %d rows", rows)
	}
}

func TestFiftyMayWait(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.exec(`INSERT INTO export (organization_id, id, kind, format, time_zone, file_name, created_by, asked_until, updated_at)
		SELECT $1, (lpad(to_hex(n), 30, '0') || $4::text)::uuid, 'CALLS', 'CSV', 'UTC', 'x', $2, $3::timestamptz + interval '1 year', $3 FROM generate_series(1, 50) n`,
		s.org, s.boss.UserID, noon, fmt.Sprintf("%02x", byte(id.Export)))
	_, err := s.svc.Create(s.ctx(), s.boss, export.NewExport{Kind: export.Calls}, "")
	refused(t, "one more", err, errs.LimitReached, "50 exports")
}
