package retention_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/retention"
)

// on switches a rule on as somebody does who looked at its preview.
func (s *stage) on(k retention.Kind, branch id.ID, keepDays int) *retention.Rule {
	s.Helper()
	w := retention.Want{Kind: k, BranchID: branch, KeepDays: keepDays}
	p, err := s.svc.Preview(s.ctx, s.admin, w)
	s.must(err)
	r, err := s.svc.Set(s.ctx, s.admin, retention.SetRule{Want: w, IsOn: true, Confirmation: p.Confirmation})
	s.must(err)
	return r
}

// night lets a night pass.
func (s *stage) night() {
	s.Helper()
	s.clock.Advance(day)
	for range 2 {
		s.must(s.run.RunSweeps(s.Context()))
		s.must(s.run.Drain(s.Context()))
	}
}

func (s *stage) status(table string, x id.ID) string {
	s.Helper()
	return s.text(`SELECT status FROM `+table+` WHERE organization_id = $1 AND id = $2`, s.admin.OrganizationID, x)
}

// D12, R224: a rule keeps things for one day to ten years.
func TestARuleKeepsThingsForADayToTenYears(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for days, ok := range map[int]bool{-1: false, 0: false, 1: true, 30: true, 60: true, 90: true, 3650: true, 3651: false} {
		w := retention.Want{Kind: retention.Recordings, KeepDays: days}
		_, previewed := s.svc.Preview(s.ctx, s.admin, w)
		r, set := s.svc.Set(s.ctx, s.admin, retention.SetRule{Want: w})
		for _, err := range []error{previewed, set} {
			if e, _ := errs.As(err); ok != (err == nil) || !ok && (e == nil || e.Code != errs.Invalid || !slices.Equal(e.Field, []string{"input", "keepDays"})) {
				t.Errorf("%d days: %v", days, err)
			}
		}
		if ok && r.KeepDays != days {
			t.Errorf("%d days became %d", days, r.KeepDays)
		}
	}
}

// R229, R230: recordings and transcripts go by rules of their own, neither with the
// other; what is held or younger stays.
func TestTranscriptsGoByARuleOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	old, held, young := s.call(start.Add(-40*day), id.ID{}), s.call(start.Add(-40*day), id.ID{}), s.call(start.Add(-10*day), id.ID{})
	if _, err := s.svc.Place(s.ctx, s.admin, held.call, "a claim"); err != nil {
		t.Fatal(err)
	}
	want := func(when string, all map[calls][2]string) {
		t.Helper()
		for c, want := range all {
			if r, x := s.status("recording", c.recording), s.status("transcript", c.transcript); r != want[0] || x != want[1] {
				t.Errorf("%s: the recording is %s, the transcript %s; want %v", when, r, x, want)
			}
		}
	}
	kept := [2]string{"COMPLETED", "COMPLETED"}
	recordings := s.on(retention.Recordings, id.ID{}, 30)
	s.night()
	want("with a rule for recordings", map[calls][2]string{old: {"DELETED", "COMPLETED"}, held: kept, young: kept})
	p, err := s.svc.Preview(s.ctx, s.admin, retention.Want{Kind: retention.Transcripts, KeepDays: 5})
	s.must(err)
	if p.Count != 2 || p.HeldCount != 1 {
		t.Errorf("the preview names %d and %d held ones", p.Count, p.HeldCount)
	}
	if _, err := s.svc.Set(s.ctx, s.admin, retention.SetRule{Want: retention.Want{Kind: retention.Recordings, KeepDays: 30}}); err != nil { // off
		t.Fatal(err)
	}
	transcripts := s.on(retention.Transcripts, id.ID{}, 5)
	s.night()
	want("with a rule for transcripts", map[calls][2]string{old: {"DELETED", "DELETED"}, held: kept, young: {"COMPLETED", "DELETED"}})
	runs, err := s.svc.LastRuns(s.ctx, s.admin, []id.ID{recordings.ID, transcripts.ID})
	s.must(err)
	for x, count := range map[id.ID]int{recordings.ID: 1, transcripts.ID: 2} {
		if r := runs[x]; r == nil || r.Status != retention.Completed || r.FoundCount != count || r.DeletedCount != count || r.HeldCount != 1 {
			t.Errorf("the run was %+v, want %d deleted and 1 held", r, count)
		}
	}
}

// R231: a branch does not lose its rule with itself, and the rule goes only with a look
// at what the general one then takes.
func TestABranchsRuleGoesOnlyWithALookAtWhatFollows(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	org, branch := s.admin.OrganizationID, id.New(id.Branch)
	s.exec(`INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, 'Sydney', $3)`, org, branch, start)
	old := s.call(start.Add(-40*day), branch)
	general := s.on(retention.Recordings, id.ID{}, 30)
	off, err := s.svc.Set(s.ctx, s.admin, retention.SetRule{Want: retention.Want{Kind: retention.Recordings, BranchID: branch, KeepDays: 3650}})
	s.must(err)
	remove := func() error {
		return s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := db.Exec(ctx, tx, `DELETE FROM branch WHERE organization_id = $1 AND id = $2`, org, branch)
			return err
		})
	}
	if err := remove(); !errs.IsCode(err, errs.Conflict) {
		t.Fatalf("the branch went with its rule: %v", err)
	}
	preview := func(branch id.ID, days int) *retention.Preview {
		t.Helper()
		p, err := s.svc.Preview(s.ctx, s.admin, retention.Want{Kind: retention.Recordings, BranchID: branch, KeepDays: days})
		s.must(err)
		return p
	}
	late := preview(branch, 30).Confirmation
	s.clock.Advance(2 * time.Hour)
	for name, c := range map[string]struct {
		confirmation string
		code         errs.Code
	}{
		"nothing was looked at":            {"", errs.Required},
		"another period was looked at":     {preview(branch, 60).Confirmation, errs.Required},
		"other branches were looked at":    {preview(id.ID{}, 30).Confirmation, errs.Required},
		"it was looked at some time since": {late, errs.Conflict},
	} {
		if err := s.svc.Delete(s.ctx, s.admin, off.ID, c.confirmation); !errs.IsCode(err, c.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.night()
	if got := s.status("recording", old.recording); got != "COMPLETED" {
		t.Fatalf("the branch's rule did not keep it: %s", got)
	}
	p := preview(branch, 30)
	if p.Count != 1 || len(p.SampleIDs) != 1 || p.SampleIDs[0] != old.recording {
		t.Errorf("the preview is %+v", p)
	}
	s.must(s.svc.Delete(s.ctx, s.admin, off.ID, p.Confirmation))
	if err := s.svc.Delete(s.ctx, s.admin, off.ID, p.Confirmation); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("it was deleted twice: %v", err)
	}
	s.must(remove())
	s.night()
	if got := s.status("recording", old.recording); got != "DELETED" {
		t.Errorf("what was confirmed is %s", got)
	}
	// What deletes less than before needs no look.
	s.must(s.svc.Delete(s.ctx, s.admin, general.ID, ""))
	if rules, err := s.svc.Rules(s.ctx, s.admin); err != nil || len(rules) != 0 {
		t.Errorf("%d rules are left, %v", len(rules), err)
	}
	if runs, err := s.svc.Runs(s.ctx, s.admin, id.ID{}, db.Page{}); err != nil || len(runs.Nodes) == 0 {
		t.Errorf("what the rules did is forgotten, %v", err)
	}
}
