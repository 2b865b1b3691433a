package followup_test

import (
	"slices"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/errs"
	"switchboard/internal/followup"
	"switchboard/internal/patch"
)

func TestOverdueItemsAreEscalatedOnce(t *testing.T) {
	s := newStage(t)
	x, err := s.svc.Settings(s.ctx, s.admin)
	s.must(err)
	if x.DueMinutes == nil || *x.DueMinutes != 240 {
		t.Fatalf("at first they are due after %v", x.DueMinutes)
	}
	_, err = s.svc.SetSettings(s.ctx, s.ann, followup.SettingsChange{})
	s.refused(err, errs.Forbidden)
	_, err = s.svc.SetSettings(s.ctx, s.admin, followup.SettingsChange{DueMinutes: patch.To(0)})
	s.refused(err, errs.Invalid)
	_, err = s.svc.SetSettings(s.ctx, s.admin, followup.SettingsChange{EscalateToID: patch.To(s.cat.UserID), EscalateToRoleID: patch.To(s.cat.RoleID)})
	s.refused(err, errs.Invalid)
	_, err = s.svc.SetSettings(s.ctx, s.admin, followup.SettingsChange{DueMinutes: patch.To(30), EscalateToID: patch.To(s.cat.UserID)})
	s.must(err)

	s.ended(s.inbound(carl), s.inbound(dora))
	var mine, done *followup.FollowUp
	for _, f := range s.list(s.admin, followup.Filter{}) {
		if f.CallerNumber == carl {
			mine = f
		} else {
			done = f
		}
	}
	_, err = s.svc.Assign(s.ctx, s.admin, mine.ID, s.bob.UserID)
	s.must(err)
	_, err = s.svc.Resolve(s.ctx, s.admin, done.ID, followup.Resolution{})
	s.must(err)
	if n := len(s.list(s.cat, followup.Filter{})); n != 0 {
		t.Fatalf("cat sees %d before anything is hers", n)
	}
	s.pass(29 * time.Minute)
	if s.get(mine).EscalatedAt != nil {
		t.Fatal("it is escalated before it is due")
	}
	s.pass(2 * time.Minute)
	f := s.get(mine)
	if f.EscalatedAt == nil || f.EscalatedToID != s.cat.UserID || f.OwnerID != s.bob.UserID || !f.IsOverdue {
		t.Errorf("it is %+v", f)
	}
	if s.get(done).EscalatedAt != nil {
		t.Error("what is closed is escalated")
	}
	overdue := s.list(s.cat, followup.Filter{IsOverdue: new(true)})
	if len(overdue) != 1 || overdue[0].ID != mine.ID {
		t.Errorf("cat sees %d overdue", len(overdue))
	}
	s.pass(time.Hour)
	for who, want := range map[*access.Actor]int{&s.cat: 1, &s.bob: 1, &s.ann: 0} {
		if got := s.told(*who, followup.ToldFollowUpEscalated); len(got) != want {
			t.Errorf("told %d times of the escalation, want %d", len(got), want)
		}
	}
	// A new due time is judged anew.
	_, err = s.svc.Update(s.ctx, s.bob, mine.ID, followup.Edit{DueAt: patch.To(s.clk.Now().Add(10 * time.Minute))})
	s.must(err)
	if f := s.get(mine); f.EscalatedAt != nil || f.IsOverdue {
		t.Error("it is still overdue")
	}
	s.pass(11 * time.Minute)
	if got := s.told(s.cat, followup.ToldFollowUpEscalated); len(got) != 2 {
		t.Errorf("after the second due time cat was told %d times", len(got))
	}
}

func TestOverdueItemsAreEscalatedToARole(t *testing.T) {
	s := newStage(t)
	dot, eve, fay := s.user("dot", access.SeesOwn, nil), s.user("eve", access.SeesOwn, nil), s.user("fay", access.SeesOwn, nil, access.FollowUpView)
	for _, x := range []*access.Actor{&dot, &eve} { // colleagues of cat
		s.exec(`UPDATE "user" SET role_id = $2 WHERE id = $1`, x.UserID, s.cat.RoleID)
		x.RoleID, x.Permissions = s.cat.RoleID, s.cat.Permissions
	}
	s.exec(`UPDATE "user" SET status = 'DISABLED' WHERE id = $1`, eve.UserID)
	_, err := s.svc.SetSettings(s.ctx, s.admin, followup.SettingsChange{DueMinutes: patch.To(30), EscalateToRoleID: patch.To(s.cat.RoleID)})
	s.must(err)
	s.ended(s.inbound(carl))
	f := s.open1()
	if n := len(s.list(dot, followup.Filter{})); n != 0 {
		t.Fatalf("dot sees %d before it is escalated", n)
	}
	s.pass(31 * time.Minute)
	if f = s.get(f); f.EscalatedAt == nil || f.EscalatedToRoleID != s.cat.RoleID || !f.EscalatedToID.IsZero() {
		t.Errorf("it is %+v", f)
	}
	for name, x := range map[string]struct {
		why  string
		who  access.Actor
		want int
	}{
		"cat": {"it is her role's", s.cat, 1},
		"dot": {"it is her role's too", dot, 1},
		"eve": {"she cannot sign in", eve, 0},
		"fay": {"another role's", fay, 0},
		"bob": {"of the branch, and not of the role", s.bob, 0},
	} {
		if got := s.told(x.who, followup.ToldFollowUpEscalated); len(got) != x.want || x.want == 1 && got[0].FollowUpID != f.ID {
			t.Errorf("%s was told %d times, want %d: %s", name, len(got), x.want, x.why)
		}
	}
	for name, x := range map[string]struct {
		who  access.Actor
		want int
	}{"dot": {dot, 1}, "fay": {fay, 0}} {
		if got := s.list(x.who, followup.Filter{IsOverdue: new(true)}); len(got) != x.want {
			t.Errorf("%s sees %d overdue, want %d", name, len(got), x.want)
		}
	}
	_, err = s.svc.Resolve(s.ctx, s.admin, f.ID, followup.Resolution{})
	s.must(err)
	if got := s.history(f); !slices.Equal(got, []followup.Change{followup.Opened, followup.Escalated, followup.Closed}) {
		t.Errorf("it went %v", got)
	}
}
