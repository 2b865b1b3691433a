package call_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// pages reads a list page by page, so that its cursors are shown to work.
func pages[T any](t *testing.T, size int, read func(db.Page) (db.Window[T], error)) (all []T) {
	t.Helper()
	p := db.Page{First: size}
	for range 50 {
		w, err := read(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, w.Nodes...)
		if !w.HasNext {
			return all
		}
		p.After = w.EndCursor()
	}
	t.Fatal("the list has no end")
	return nil
}

// R100: who is free, on a call, being rung or away.
func TestPresenceIsWhatLegsAndDevicesSay(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.grant()
	who := s.office(s.ann)
	names := map[id.ID]string{s.ann: "ann", s.bob: "bob"}
	add := func(name string, sql string) id.ID {
		u, _ := s.person(name)
		names[u] = strings.ToLower(name)
		if sql != "" {
			s.exec(sql, u)
		}
		return u
	}
	add("Cec", `UPDATE "user" SET do_not_disturb = true WHERE id = $1`)
	add("Dan", `UPDATE device SET microphone = 'MISSING' WHERE user_id = $1`)
	add("Eve", `UPDATE "user" SET status = 'DISABLED' WHERE id = $1`)
	fay := add("Fay", "")
	s.sipDomain("acme.sip.twilio.com")
	add("Gus", `WITH d AS (UPDATE device SET removed_at = last_seen_at WHERE user_id = $1) UPDATE "user" SET sip_address = 'sip:gus@acme.sip.us1.twilio.com' WHERE id = $1`)
	s.appCalls(1, s.annDev, map[string]string{"userId": s.bob.String()})
	c, legs := s.only()
	s.leg(c, legOf(legs, s.bobDev), 11, "ringing", 1, 1)
	list := func(f call.PresenceFilter) (said []string) {
		for _, p := range pages(t, 2, func(p db.Page) (db.Window[*call.Presence], error) {
			return s.calls.Presence(access.With(s.ctx, who), who, f, p)
		}) {
			on := ""
			if p.CallID == c.ID {
				on = "*"
			}
			said = append(said, fmt.Sprintf("%s %s%s %d", names[p.UserID], p.State, on, p.ReadyDevices))
		}
		return said
	}
	if got, want := strings.Join(list(call.PresenceFilter{}), ", "), "ann ON_CALL* 1, bob RINGING* 1, cec AWAY 1, dan AWAY 0, eve AWAY 1, fay FREE 1, gus FREE 0"; got != want {
		t.Errorf("presence\n%s\nwant\n%s", got, want)
	}
	if got := strings.Join(list(call.PresenceFilter{States: []call.PresenceState{call.Free, call.BeingRung}}), ", "); got != "bob RINGING* 1, fay FREE 1, gus FREE 0" {
		t.Errorf("by state: %s", got)
	}
	s.exec(`DELETE FROM branch_user WHERE user_id <> $1`, fay)
	if got := strings.Join(list(call.PresenceFilter{BranchID: s.branch}), ", "); got != "fay FREE 1" {
		t.Errorf("by branch: %s", got)
	}
	if got := list(call.PresenceFilter{TeamID: id.New(id.Team)}); len(got) != 0 {
		t.Errorf("of an unknown team: %v", got)
	}
	who.Permissions = access.SetOf(access.CallReceive)
	if _, err := s.calls.Presence(access.With(s.ctx, who), who, call.PresenceFilter{}, db.Page{}); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("without CALL_MAKE: %v", err)
	}
}

// R100: free colleagues first, then branches, then those who talk.
func TestTransferTargetsAreThoseWhoCanTakeTheCall(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.grant()
	s.exec(`INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, 'Brisbane', $3)`, s.org, id.New(id.Branch), s.clock.Now())
	cec, _ := s.person("Cec")
	dan, danDev := s.person("Dan")
	bea, _ := s.person("Bea")
	eve, _ := s.person("Eve")
	s.exec(`UPDATE "user" SET do_not_disturb = true WHERE id = $1`, eve)
	s.appCalls(1, s.annDev, map[string]string{"To": theirs})
	c, _ := s.only()
	s.appCalls(2, danDev, map[string]string{"To": "+61400999777"})
	who := s.boss()
	list := func(search string) (said []string) {
		for _, x := range pages(t, 2, func(p db.Page) (db.Window[*call.TransferTarget], error) {
			return s.calls.TransferTargets(access.With(s.ctx, who), who, c.ID, search, p)
		}) {
			switch {
			case x.Presence == nil && x.BranchID == s.branch:
				said = append(said, fmt.Sprint("Sydney ", x.FreeUsers))
			case x.Presence == nil:
				said = append(said, fmt.Sprint("Brisbane ", x.FreeUsers))
			default:
				said = append(said, map[id.ID]string{s.ann: "ann", s.bob: "bob", cec: "cec", dan: "dan", bea: "bea", eve: "eve"}[x.Presence.UserID]+" "+string(x.Presence.State))
			}
		}
		return said
	}
	if got, want := strings.Join(list(""), ", "), "bea FREE, bob FREE, cec FREE, Brisbane 0, Sydney 3, dan ON_CALL"; got != want {
		t.Errorf("targets\n%s\nwant\n%s", got, want)
	}
	if got := strings.Join(list(" B"), ", "); got != "bea FREE, bob FREE, Brisbane 0" {
		t.Errorf("by the beginning of the name: %s", got)
	}
	if got := list("%"); len(got) != 0 {
		t.Errorf("nothing begins with a percent sign: %v", got)
	}
	if _, err := s.calls.TransferTargets(access.With(s.ctx, who), who, id.New(id.Call), "", db.Page{}); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("of no call: %v", err)
	}
	if _, err := s.calls.TransferTargets(access.With(s.ctx, who), who, c.ID, strings.Repeat("x", 101), db.Page{}); !errs.IsCode(err, errs.Invalid) {
		t.Errorf("a long name: %v", err)
	}
}

// R275.
func TestWhatADeviceWarnsOfIsKeptWithItsLeg(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.grant()
	s.appCalls(1, s.annDev, map[string]string{"To": theirs})
	c, legs := s.only()
	at := func(n int) time.Time { return s.sec(n) }
	rtt := 412.5
	report := func(user, device id.ID, w ...call.Warning) (int, error) {
		who := s.office(user)
		return s.calls.ReportQuality(access.With(s.ctx, who), who, c.ID, device, w)
	}
	raised := []call.Warning{{Name: "high-rtt", Value: &rtt, At: at(3)}, {Name: "low-mos", At: at(4)}, {Name: "high-rtt", At: at(9), Cleared: true}}
	if n, err := report(s.ann, s.annDev, raised...); n != 3 || err != nil {
		t.Errorf("the first report: %d, %v", n, err)
	}
	if n, err := report(s.ann, s.annDev, raised...); n != 0 || err != nil {
		t.Errorf("the same again: %d, %v", n, err)
	}
	found, err := s.calls.QualityByLegs(access.With(s.ctx, s.boss()), []id.ID{legs[0].ID, legs[1].ID})
	if q := found[legs[0].ID]; err != nil || len(q) != 2 || q[0].Name != "high-rtt" || *q[0].Value != rtt || q[0].ClearedAt == nil || !q[0].ClearedAt.Equal(at(9)) || q[1].ClearedAt != nil || len(found[legs[1].ID]) != 0 {
		t.Errorf("kept: %v, %v", found, err)
	}
	nan := math.NaN()
	many := make([]call.Warning, 51)
	for name, x := range map[string]struct {
		user, device id.ID
		w            []call.Warning
		code         errs.Code
	}{
		"another's device": {s.ann, s.bobDev, raised, errs.NotFound},
		"another's leg":    {s.bob, s.annDev, raised, errs.NotFound},
		"too many":         {s.ann, s.annDev, many, errs.LimitReached},
		"a name":           {s.ann, s.annDev, []call.Warning{{Name: "<b>", At: at(1)}}, errs.Invalid},
		"no number":        {s.ann, s.annDev, []call.Warning{{Name: "high-rtt", At: at(1), Value: &nan}}, errs.Invalid},
		"the future":       {s.ann, s.annDev, []call.Warning{{Name: "high-rtt", At: at(3600)}}, errs.Invalid},
		"before the call":  {s.ann, s.annDev, []call.Warning{{Name: "high-rtt", At: at(-3600)}}, errs.Invalid},
	} {
		if _, err := report(x.user, x.device, x.w...); !errs.IsCode(err, x.code) {
			t.Errorf("%s: %v, want %s", name, err, x.code)
		}
	}
	for i := range 10 {
		w := make([]call.Warning, 50)
		for j := range w {
			w[j] = call.Warning{Name: "high-jitter", At: at(0).Add(time.Duration(i*50+j) * time.Millisecond)}
		}
		if _, err := report(s.ann, s.annDev, w...); (err != nil) != (i == 9) || err != nil && !errs.IsCode(err, errs.LimitReached) {
			t.Errorf("report %d: %v", i, err)
		}
	}
}
