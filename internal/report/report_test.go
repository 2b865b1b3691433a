package report_test

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/clock"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/report"
	"switchboard/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var sydney = zone("Australia/Sydney")

func zone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return z
}

// row is a call as the reference counts it.
type row struct {
	direction, status              string
	branch, number, user, answerer id.ID
	rung                           []id.ID // users with a leg
	started                        time.Time
	answered                       bool
	ring, talk                     *int
	unit                           string
	campaign, contact              id.ID
	kind                           contact.Kind // of the contact
}

type stage struct {
	testing.TB
	db                       *db.DB
	svc                      *report.Service
	org, connection          id.ID
	admin                    access.Actor
	branches, numbers, users []id.ID
	campaigns                []id.ID
	contacts                 []id.ID // of the kinds, in order
	labels                   map[id.ID]string
}

func newStage(t testing.TB) *stage {
	t.Helper()
	now := time.Date(2026, 10, 10, 0, 0, 0, 0, time.UTC)
	s := &stage{TB: t, db: testkit.DB(t, testkit.Clock(clock.NewFake(now))), labels: map[id.ID]string{}}
	s.svc = report.New(report.Deps{DB: s.db})
	s.org, s.connection = id.New(id.Organization), id.New(id.Connection)
	s.exec(`INSERT INTO organization (organization_id, name, updated_at) VALUES ($1, 'Acme', $2)`, s.org, now)
	s.exec(`INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at)
		VALUES ($1, $2, 'Twilio', 'ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'FULL', 'active', $3)`, s.org, s.connection, now)
	for i, name := range []string{"North", "South", "East"} {
		b, n, r, u := id.New(id.Branch), id.New(id.PhoneNumber), id.New(id.Role), id.New(id.User)
		e164 := "+6125550000" + string(rune('1'+i))
		s.exec(`INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, $3, $4)`, s.org, b, name, now)
		s.exec(`INSERT INTO phone_number (organization_id, id, connection_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms, updated_at)
			VALUES ($1, $2, $3, $4, $4, $5, 'AU', true, true, true, $6)`, s.org, n, s.connection, e164, "Line "+name, now)
		s.exec(`INSERT INTO role (organization_id, id, name, updated_at) VALUES ($1, $2, $3, $4)`, s.org, r, name, now)
		s.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, updated_at) VALUES ($1, $2, $3, $4, $4, $5, $6)`,
			s.org, u, id.New(id.Login), "User "+name, r, now)
		s.branches, s.numbers, s.users = append(s.branches, b), append(s.numbers, n), append(s.users, u)
		s.labels[b], s.labels[n], s.labels[u] = name, "Line "+name, "User "+name
	}
	s.admin = access.Actor{OrganizationID: s.org, UserID: s.users[0], Visibility: access.SeesOrganization, Permissions: access.SetOf(access.ReportView)}
	return s
}

func (s *stage) exec(sql string, args ...any) {
	s.Helper()
	if _, err := db.Exec(context.Background(), s.db.Worker(), sql, args...); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) add(r row) {
	s.Helper()
	call := id.New(id.Call)
	var answered, ended *time.Time
	if r.answered {
		t := r.started.Add(time.Second)
		answered = &t
	}
	if !slices.Contains([]string{"QUEUED", "RINGING", "IN_PROGRESS"}, r.status) {
		t := r.started.Add(time.Minute)
		ended = &t
	}
	s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, phone_number_id, branch_id, user_id, answered_by_user_id, from_number, to_number,
			started_at, answered_at, ended_at, ring_seconds, talk_seconds, updated_at, business_unit, campaign_id, contact_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'a', 'b', $10, $11, $12, $13, $14, $10, nullif($15, ''), $16, $17)`,
		s.org, call, r.direction, r.status, s.connection, r.number, r.branch, r.user, r.answerer, r.started, answered, ended, r.ring, r.talk, r.unit, r.campaign, r.contact)
	for _, u := range r.rung {
		s.exec(`INSERT INTO call_leg (organization_id, id, call_id, kind, user_id, to_address, status, started_at, updated_at)
			VALUES ($1, $2, $3, 'DEVICE', $4, 'x', 'ENDED', $5, $5)`, s.org, id.New(id.Leg), call, u, r.started)
	}
}

// random makes calls around the end of winter time in Sydney (2026-10-04, 02:00).
func (s *stage) random(r *rand.Rand, n int) (rows []row) {
	some := func(ids []id.ID) id.ID {
		if i := r.IntN(len(ids) + 1); i < len(ids) {
			return ids[i]
		}
		return id.ID{}
	}
	maybe := func(most int) *int {
		if r.IntN(4) == 0 {
			return nil
		}
		v := r.IntN(most)
		return &v
	}
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	kinds := []contact.Kind{contact.KindLead, contact.KindCustomer}
	for i := len(s.contacts); i < len(kinds); i++ {
		c, x := id.New(id.Campaign), id.New(id.Contact)
		s.exec(`INSERT INTO campaign (organization_id, id, name, updated_at) VALUES ($1, $2, $2::uuid::text, $3)`, s.org, c, stageNow)
		s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, $3, 'Somebody', $4)`, s.org, x, string(kinds[i]), stageNow)
		s.campaigns, s.contacts = append(s.campaigns, c), append(s.contacts, x)
	}
	for range n {
		x := row{
			direction: pick("INBOUND", "OUTBOUND", "INTERNAL"),
			status:    pick("QUEUED", "RINGING", "IN_PROGRESS", "COMPLETED", "COMPLETED", "COMPLETED", "MISSED", "VOICEMAIL", "REJECTED", "BUSY", "FAILED", "CANCELED"),
			branch:    some(s.branches), number: some(s.numbers), user: some(s.users), answerer: some(s.users),
			started:  time.Date(2026, 10, 3, 0, 0, 0, 0, sydney).Add(time.Duration(r.Int64N(int64(72 * time.Hour)))).Truncate(time.Microsecond),
			answered: r.IntN(2) == 0, ring: maybe(40), talk: maybe(600), unit: pick("", "Care", "Sales"), campaign: some(s.campaigns),
		}
		if i := r.IntN(len(kinds) + 1); i < len(kinds) {
			x.contact, x.kind = s.contacts[i], kinds[i]
		}
		for _, u := range s.users {
			if r.IntN(4) == 0 {
				x.rung = append(x.rung, u)
			}
		}
		rows = append(rows, x)
		s.add(x)
	}
	return rows
}

// reference counts by hand.
func (s *stage) reference(who access.Actor, f report.CallFilter, group report.Group, rows []row) *report.Statistics {
	type sum struct {
		report.StatisticsRow
		talk, rings []int
	}
	total, by := &sum{}, map[string]*sum{}
	z := zone(f.TimeZone)
	for _, r := range rows {
		if !lets(f, r) {
			continue
		}
		if !who.Sees(r.branch, append(slices.Clone(r.rung), r.user, r.answerer)...) {
			continue
		}
		key, label := "", ""
		ofID := func(x id.ID, none string) {
			key, label = x.String(), s.labels[x]
			if x.IsZero() {
				key, label = "", none
			}
		}
		switch group {
		case report.ByDay:
			key = r.started.In(z).Format(time.DateOnly)
			label = key
		case report.ByStatus:
			key, label = r.status, r.status
		case report.ByBranch:
			ofID(r.branch, "No branch")
		case report.ByPhoneNumber:
			ofID(r.number, "No number")
		case report.ByUser:
			x := r.answerer
			if x.IsZero() {
				x = r.user
			}
			ofID(x, "Nobody")
		}
		if by[key] == nil {
			by[key] = &sum{StatisticsRow: report.StatisticsRow{Label: label}}
			if key != "" {
				by[key].Key = &key
			}
		}
		for _, g := range []*sum{total, by[key]} {
			g.Count++
			if r.status == "MISSED" && r.direction != "OUTBOUND" {
				g.Missed++
			}
			if r.status == "VOICEMAIL" {
				g.Voicemail++
			} else if r.answered {
				g.Answered++
				if r.talk != nil {
					g.talk = append(g.talk, *r.talk)
				}
			}
			if r.ring != nil {
				g.rings = append(g.rings, *r.ring)
			}
		}
	}
	mean := func(v []int) *float64 {
		if len(v) == 0 {
			return nil
		}
		n := 0
		for _, x := range v {
			n += x
		}
		m := float64(n) / float64(len(v))
		return &m
	}
	done := func(g *sum) report.StatisticsRow {
		g.AverageTalkSeconds, g.AverageRingSeconds = mean(g.talk), mean(g.rings)
		return g.StatisticsRow
	}
	out := &report.Statistics{Total: done(total), Rows: []report.StatisticsRow{}}
	out.Total.Label = "Total"
	if group != "" {
		for _, g := range by {
			out.Rows = append(out.Rows, done(g))
		}
	}
	slices.SortFunc(out.Rows, func(a, b report.StatisticsRow) int {
		if (a.Key == nil) != (b.Key == nil) {
			if a.Key == nil {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.Label, b.Label)
	})
	return out
}

var near = gocmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9*max(1, math.Abs(a)) })

// asCallFilter is the filter of statistics as that of a dashboard.
func asCallFilter(f report.Filter) report.CallFilter {
	out := report.CallFilter{From: f.From, Until: f.Until, TimeZone: f.TimeZone}
	if f.Direction != "" {
		out.Directions = []call.Direction{call.Direction(f.Direction)}
	}
	for to, x := range map[*[]id.ID]id.ID{&out.BranchIDs: f.BranchID, &out.PhoneNumberIDs: f.PhoneNumberID, &out.UserIDs: f.UserID} {
		if !x.IsZero() {
			*to = []id.ID{x}
		}
	}
	return out
}

func TestStatisticsAreWhatCountingByHandGives(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := newStage(t)
	rows := s.random(r, 400)
	all := report.Filter{From: time.Date(2026, 10, 3, 0, 0, 0, 0, sydney), Until: time.Date(2026, 10, 6, 0, 0, 0, 0, sydney), TimeZone: "Australia/Sydney"}
	actors := map[string]access.Actor{
		"organization": s.admin,
		"branch":       {OrganizationID: s.org, UserID: s.users[1], Visibility: access.SeesBranch, BranchIDs: s.branches[:2], Permissions: s.admin.Permissions},
		"no branch":    {OrganizationID: s.org, UserID: s.users[1], Visibility: access.SeesBranch, Permissions: s.admin.Permissions},
		"own":          {OrganizationID: s.org, UserID: s.users[2], Visibility: access.SeesOwn, Permissions: s.admin.Permissions},
		"a key":        {OrganizationID: s.org, APIKeyID: id.New(id.APIKey), Visibility: access.SeesOwn, Permissions: s.admin.Permissions},
		"the server":   access.System(s.org),
	}
	filters := map[string]report.Filter{"all": all}
	with := func(name string, change func(*report.Filter)) {
		f := all
		change(&f)
		filters[name] = f
	}
	with("inbound", func(f *report.Filter) { f.Direction = "INBOUND" })
	with("branch", func(f *report.Filter) { f.BranchID = s.branches[0] })
	with("number", func(f *report.Filter) { f.PhoneNumberID = s.numbers[1] })
	with("user", func(f *report.Filter) { f.UserID = s.users[2] })
	with("everything", func(f *report.Filter) {
		f.Direction, f.BranchID, f.PhoneNumberID, f.UserID = "OUTBOUND", s.branches[1], s.numbers[1], s.users[1]
	})
	with("the short day", func(f *report.Filter) {
		f.From, f.Until = time.Date(2026, 10, 4, 0, 0, 0, 0, sydney), time.Date(2026, 10, 5, 0, 0, 0, 0, sydney)
	})
	with("in New York", func(f *report.Filter) { f.TimeZone = "America/New_York" })
	with("nothing", func(f *report.Filter) { f.From, f.Until = f.From.AddDate(-1, 0, 0), f.From.AddDate(-1, 0, 1) })
	for _, by := range []report.Group{"", report.ByDay, report.ByBranch, report.ByPhoneNumber, report.ByUser, report.ByStatus} {
		for fname, f := range filters {
			f.GroupBy = by
			for aname, who := range actors {
				got, err := s.svc.Calls(t.Context(), who, f)
				if err != nil {
					t.Fatal(err)
				}
				if diff := gocmp.Diff(s.reference(who, asCallFilter(f), by, rows), got, near); diff != "" {
					t.Errorf("by %q, %s, for %s: %s", by, fname, aname, diff)
				}
			}
		}
	}
}

func TestDaysAreThoseOfTheZone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, at := range []time.Time{
		time.Date(2026, 10, 3, 23, 59, 59, 0, sydney),
		time.Date(2026, 10, 4, 0, 0, 0, 0, sydney),
		time.Date(2026, 10, 4, 1, 59, 59, 0, sydney),
		time.Date(2026, 10, 4, 3, 0, 0, 0, sydney), // a second later
		time.Date(2026, 10, 4, 23, 59, 59, 999_999_000, sydney),
		time.Date(2026, 10, 5, 0, 0, 0, 0, sydney),
		time.Date(2026, 10, 6, 0, 0, 0, 0, sydney), // outside
	} {
		s.add(row{direction: "INBOUND", status: "MISSED", started: at})
	}
	got, err := s.svc.Calls(t.Context(), s.admin, report.Filter{From: time.Date(2026, 10, 3, 0, 0, 0, 0, sydney), Until: time.Date(2026, 10, 6, 0, 0, 0, 0, sydney),
		TimeZone: "Australia/Sydney", GroupBy: report.ByDay})
	if err != nil {
		t.Fatal(err)
	}
	days := map[string]int{}
	for _, r := range got.Rows {
		days[*r.Key] = r.Count
	}
	if diff := gocmp.Diff(map[string]int{"2026-10-03": 1, "2026-10-04": 4, "2026-10-05": 1}, days); diff != "" || got.Total.Count != 6 || got.Total.Missed != 6 {
		t.Errorf("of %d: %s", got.Total.Count, diff)
	}
}

func TestBadQuestionsSayWhatToAsk(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, sydney)
	good := report.Filter{From: from, Until: from.AddDate(0, 0, 366), TimeZone: "Australia/Sydney"}
	if _, err := s.svc.Calls(t.Context(), s.admin, good); err != nil {
		t.Errorf("366 days: %v", err)
	}
	for name, c := range map[string]struct {
		change func(*report.Filter)
		field  string
	}{
		"367 days":          {func(f *report.Filter) { f.Until = from.AddDate(0, 0, 367) }, "to"},
		"backwards":         {func(f *report.Filter) { f.Until = from.AddDate(0, 0, -1) }, "to"},
		"nothing":           {func(f *report.Filter) { f.Until = from }, "to"},
		"unknown group":     {func(f *report.Filter) { f.GroupBy = "WEEK" }, "groupBy"},
		"group as SQL":      {func(f *report.Filter) { f.GroupBy = "c.status); DROP TABLE call; --" }, "groupBy"},
		"unknown zone":      {func(f *report.Filter) { f.TimeZone = "Mars/Olympus" }, "timeZone"},
		"zone of a machine": {func(f *report.Filter) { f.TimeZone = "Local" }, "timeZone"},
	} {
		f := good
		c.change(&f)
		_, err := s.svc.Calls(t.Context(), s.admin, f)
		e, ok := errs.As(err)
		if !ok || e.Code != errs.Invalid || e.Field[len(e.Field)-1] != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	mute := s.admin
	mute.Permissions = access.SetOf(access.CallView)
	if _, err := s.svc.Calls(t.Context(), mute, good); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("without the permission: %v", err)
	}
	if _, err := s.svc.Calls(t.Context(), access.Actor{}, good); !errs.IsCode(err, errs.Unauthenticated) {
		t.Errorf("nobody: %v", err)
	}
}

func TestAnotherOrganizationIsNotCounted(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	at := time.Date(2026, 10, 3, 12, 0, 0, 0, time.UTC)
	s.add(row{direction: "INBOUND", status: "MISSED", started: at, branch: s.branches[0], number: s.numbers[0], user: s.users[0]})
	eve := access.Actor{OrganizationID: id.New(id.Organization), UserID: s.users[0], Visibility: access.SeesOrganization, Permissions: s.admin.Permissions}
	for _, f := range []report.Filter{{}, {BranchID: s.branches[0]}, {PhoneNumberID: s.numbers[0]}, {UserID: s.users[0]}} {
		f.From, f.Until, f.GroupBy = at.Add(-time.Hour), at.Add(time.Hour), report.ByBranch
		got, err := s.svc.Calls(t.Context(), eve, f)
		if err != nil || got.Total.Count != 0 || len(got.Rows) != 0 {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestAReportIsThreeStatementsAtMost(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	at := time.Date(2026, 10, 3, 0, 0, 0, 0, time.UTC)
	for _, by := range []report.Group{"", report.ByDay, report.ByUser} {
		ctx, counted := db.CountStatements(t.Context())
		if _, err := s.svc.Calls(ctx, s.admin, report.Filter{From: at, Until: at.AddDate(0, 1, 0), GroupBy: by}); err != nil {
			t.Fatal(err)
		}
		if counted.N() > 3 { // the zone of the sums, the counts, the names
			t.Errorf("%q", counted.Statements())
		}
	}
}
