package app_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/demo"
	"switchboard/internal/testkit/stage"
)

const liveCounts = `{ ringing inProgress onHold answeredToday missedToday voicemailsToday longestRingStartedAt }`

const liveDashboardFields = `today total ` + liveCounts + ` phoneNumbers { phoneNumber { id } counts ` + liveCounts + ` } branches { branch { id } counts ` + liveCounts + ` }
	agents { user { name } state call { id status } startedAt }`

// dashboard is the live dashboard as anything, to be compared.
type dashboard struct {
	LiveDashboard map[string]any
}

func (d dashboard) without(cursor string) map[string]any {
	out := map[string]any{}
	for k, v := range d.LiveDashboard {
		if k != cursor {
			out[k] = v
		}
	}
	return out
}

func (d dashboard) total(what string) int {
	n, _ := d.LiveDashboard["total"].(map[string]any)[what].(float64)
	return int(n)
}

// liveNow is what the query says.
func (s *story) liveNow(who *demo.Client) (d dashboard) {
	s.t.Helper()
	s.Must(who.Do(s.t.Context(), `{ liveDashboard { `+liveDashboardFields+` } }`, nil, &d))
	return d
}

// until reads pushes until one shows what the query says, and gives its cursor.
func (s *story) until(f *feed, who *demo.Client) string {
	s.t.Helper()
	want := s.liveNow(who).LiveDashboard
	for {
		var raw json.RawMessage
		var got dashboard
		if err := f.first(&raw); err != nil {
			s.t.Fatalf("the pushes end without what the query says: %v\n%v", err, want)
		}
		f.seen = append(f.seen, raw)
		s.Must(json.Unmarshal(raw, &got))
		if cmp.Equal(want, got.without("cursor")) {
			return got.LiveDashboard["cursor"].(string)
		}
	}
}

// liveView is the live dashboard, to be read.
type liveView struct {
	LiveDashboard struct {
		Total struct {
			Ringing, InProgress, OnHold int
			LongestRingStartedAt        *time.Time
		}
		Agents []struct {
			User      ref
			State     string
			Call      *struct{ ID, Status string }
			StartedAt *time.Time
		}
	}
}

// What is pushed is in the end what the query says, whatever happens, and nothing is
// pushed that was not so (R280, R210).
func TestTheLiveDashboardIsPushedAsItIs(t *testing.T) {
	s := newStory(t)
	s.Do(`mutation { organizationUpdate(input: {timeZone: "Pacific/Marquesas"}) { userErrors { code message } } }`, nil, nil) // 23:30 there
	north, south := s.Branch("North"), s.Branch("South")
	s.Number(officeNumber, demo.Vars{"branchId": north})
	const other = "+12025550101"
	s.Number(other, demo.Vars{"branchId": south})
	ann, ben := s.User("ann", "OFFICE", "", north), s.User("ben", "DISPATCHER", "", south)
	desk, phone := s.Device(ann, "Desk"), s.Device(ben, "Phone")
	subscription := `subscription($after: Cursor) { liveDashboard(after: $after) { cursor ` + liveDashboardFields + ` } }`
	f := s.watch(s.Admin, subscription, nil)
	s.until(f, s.Admin)

	// Ann talks and holds, Ben is rung (R210).
	talk := s.dial(customer, officeNumber)
	s.Pass(3 * time.Second)
	s.answer(desk)
	s.Pass(5 * time.Second)
	ring := s.dial(customer, other)
	held, rung := s.call(talk), s.call(ring)
	s.Must(ann.Client.Do(t.Context(), `mutation($id: ID!) { callHold(id: $id) { userErrors { code field message } } }`, demo.Vars{"id": held.ID}, nil))
	s.Settle()
	s.until(f, s.Admin)
	var now liveView
	s.Do(`{ liveDashboard { `+liveDashboardFields+` } }`, nil, &now)
	if c := now.LiveDashboard.Total; c.Ringing != 1 || c.InProgress != 1 || c.OnHold != 1 || c.LongestRingStartedAt == nil || !c.LongestRingStartedAt.Equal(rung.StartedAt) {
		t.Errorf("one is held, one rings since %s, and the dashboard says %+v", rung.StartedAt, c)
	}
	for _, a := range now.LiveDashboard.Agents {
		want, since, on := "AWAY", (*time.Time)(nil), ""
		switch a.User.Name {
		case "ann":
			want, since, on = "ON_CALL", held.leg(desk).AnsweredAt, held.ID
		case "ben":
			want, since, on = "RINGING", rung.leg(phone).RingingAt, rung.ID
		}
		if a.State != want || (a.Call == nil) != (on == "") || a.Call != nil && a.Call.ID != on || !cmp.Equal(a.StartedAt, since) {
			t.Errorf("%s is %s on %+v since %v, want %s on %s since %v", a.User.Name, a.State, a.Call, a.StartedAt, want, on, since)
		}
	}
	if n := len(now.LiveDashboard.Agents); n != 3 {
		t.Errorf("%d people stand there", n)
	}
	s.hangUp(talk)
	s.hangUp(ring)
	s.until(f, s.Admin)

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 7))
	var going []string
	cursor := ""
	for range 14 {
		before := s.liveNow(s.Admin).LiveDashboard
		switch n := r.IntN(5); {
		case len(going) == 0 || n == 0 && len(going) < 4:
			going = append(going, s.dial(customer, []string{officeNumber, other}[r.IntN(2)]))
		case n == 1 && len(s.ringing()) > 0:
			s.answer(s.ringing()[r.IntN(len(s.ringing()))])
		case n == 2:
			s.Pass(time.Duration(1+r.IntN(20)) * time.Second)
		default:
			i := r.IntN(len(going))
			if err := s.Emulator.HangUp(going[i]); err == nil { // it may be over already
				s.idle()
			}
			going = append(going[:i], going[i+1:]...)
		}
		if !cmp.Equal(before, s.liveNow(s.Admin).LiveDashboard) {
			cursor = s.until(f, s.Admin)
		}
	}
	for _, sid := range going {
		_ = s.Emulator.HangUp(sid)
	}
	s.idle()
	f.Stop()

	// Who was away sees the whole, and who sees one branch only that.
	s.dial(customer, officeNumber)
	s.wantRinging(desk)
	again := s.watch(s.Admin, subscription, demo.Vars{"after": cursor})
	s.until(again, s.Admin)
	if code := s.try(ann.Client, `{ liveDashboard { today } }`, nil, nil); code != "FORBIDDEN" {
		t.Errorf("without LIVE_VIEW: %q", code)
	}

	// Midnight turns the day: nothing happens but the clock.
	s.hangUp(s.Emulator.Ringing("")[0].Parent)
	s.until(again, s.Admin)
	again.Stop()
	midnight := stage.Start.Add(30 * time.Minute)
	s.Pass(midnight.Add(-5 * time.Minute).Sub(s.Clock.Now()))
	s.Admin = s.SignIn("admin")
	last := s.watch(s.Admin, subscription, nil)
	s.until(last, s.Admin)
	if d := s.liveNow(s.Admin); d.total("missedToday") == 0 || d.LiveDashboard["today"] != "2026-03-01" {
		t.Fatalf("nobody answered, and the dashboard says %v", d.LiveDashboard)
	}
	s.Pass(midnight.Sub(s.Clock.Now()))
	s.until(last, s.Admin)
	if d := s.liveNow(s.Admin); d.total("missedToday") != 0 || d.total("answeredToday") != 0 || d.LiveDashboard["today"] != "2026-03-02" {
		t.Errorf("after midnight it says %v", d.LiveDashboard)
	}
}
