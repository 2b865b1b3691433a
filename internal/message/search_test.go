package message_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/testkit"
)

func (s *stage) log(who access.Actor, f message.LogFilter) []string {
	s.Helper()
	w, err := s.svc.List(s.ctx, who, f, db.Page{First: db.MaxFirst})
	s.must(err)
	out := []string{}
	for _, m := range w.Nodes {
		out = append(out, m.Body)
	}
	return out
}

func TestWordsAreFoundAndNothingTypedIsSyntax(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	bob := s.contact("Bob O'Brien", mobile)
	for _, body := range []string{"Don't forget the ON-SITE visit", "see example.com/roof", "The roof leaks", "Das Dach ist überall nass", "Pay 10.50 by Friday"} {
		s.receive(mobile, office, body)
	}
	s.receive(other, usa, "roofing")
	for typed, c := range map[string]struct{ messages, threads int }{
		"roof":                    {2, 2}, // roof and roofing
		"the roof":                {1, 1},
		"ROOF le":                 {1, 1},
		"leaks ro":                {1, 1}, // in any order
		"roof forget":             {0, 0},
		"don't":                   {1, 1},
		"on-site":                 {1, 1},
		"on-si":                   {1, 1},
		"example.com":             {1, 1},
		"ÜBER":                    {1, 1},
		"10.50":                   {1, 1},
		"roof & leaks":            {1, 1}, // signs alone are no words
		"roof | forget":           {0, 0},
		"!roof":                   {2, 2},
		"'roof' | 'door'":         {0, 0},
		`\roof`:                   {2, 2},
		"roof:* <-> (":            {2, 2},
		"bob o":                   {0, 1}, // the beginning of a name
		"brien":                   {0, 0},
		"0491 570 15":             {0, 2}, // digits of both numbers
		"570157":                  {0, 1},
		"%":                       {-1, -1},
		"a":                       {-1, -1},
		"!!":                      {-1, -1},
		"a\x00b":                  {-1, -1},
		strings.Repeat("a", 201):  {-1, -1},
		strings.Repeat("ab ", 60): {0, 0},
	} {
		w, err := s.svc.List(s.ctx, s.admin, message.LogFilter{Search: typed}, db.Page{})
		if (c.messages < 0) != errs.IsCode(err, errs.Invalid) || c.messages >= 0 && (err != nil || len(w.Nodes) != c.messages) {
			t.Errorf("%q finds %d messages, want %d: %v", typed, len(w.Nodes), c.messages, err)
		}
		th, err := s.svc.Threads(s.ctx, s.admin, message.Filter{Search: typed}, db.Page{})
		if (c.threads < 0) != errs.IsCode(err, errs.Invalid) || c.threads >= 0 && (err != nil || len(th.Nodes) != c.threads) {
			t.Errorf("%q finds %d threads, want %d: %v", typed, len(th.Nodes), c.threads, err)
		}
	}
	// With what leads to few threads the words are looked for there.
	for name, f := range map[string]message.LogFilter{"contact": {ContactID: bob.ID}, "number": {Number: mobile}, "ours": {PhoneNumberID: s.office}, "branch": {BranchID: s.north}} {
		f.Search = "roof"
		if got := s.log(s.admin, f); len(got) != 1 {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := s.threads(s.admin, message.Filter{Search: "roof", ContactID: bob.ID}); len(got) != 1 {
		t.Errorf("of the contact: %d threads", len(got))
	}
}

// What somebody may not read is not found by its words either (R276).
func TestASearchFindsOnlyWhatIsRead(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	s.receive(mobile, usa, "secret of the other branch")
	s.receive(other, office, "secret of the north")
	s.clock.Advance(time.Second)
	s.send(s.owen, message.Send{To: mobile, Body: "hello", PhoneNumberID: s.usa})
	s.clock.Advance(time.Second)
	s.receive(mobile, usa, "who is this secret friend?")
	for name, c := range map[string]struct {
		who               access.Actor
		messages, threads int
	}{"organization": {s.admin, 3, 2}, "branch": {s.bea, 1, 1}, "own": {s.owen, 1, 1}} {
		if got := s.log(c.who, message.LogFilter{Search: "secret"}); len(got) != c.messages {
			t.Errorf("%s finds %q", name, got)
		}
		if got := s.threads(c.who, message.Filter{Search: "secret"}); len(got) != c.threads {
			t.Errorf("%s finds %d threads", name, len(got))
		}
	}
	for _, who := range []access.Actor{s.bea, s.owen} {
		if got := s.threads(who, message.Filter{Search: "other branch"}); len(got) != 0 {
			t.Errorf("%s finds a thread by what was said before them", who.Visibility)
		}
	}
	theirs := s.organization()
	eve := s.actor(theirs, "eve", access.SeesOrganization)
	if got := s.log(eve, message.LogFilter{Search: "secret"}); len(got) != 0 {
		t.Errorf("another organization finds %q", got)
	}
	if got := s.threads(eve, message.Filter{Search: "secret"}); len(got) != 0 {
		t.Errorf("another organization finds %d threads", len(got))
	}
}

func TestAMessageIsFoundAmongMany(t *testing.T) {
	t.Parallel()
	s, _ := inbox(t) // 20,000 messages
	far := s.branch(s.org, "Far")
	s.exec(`UPDATE message SET body = 'the roof leaks' WHERE id IN (SELECT m.id FROM message m JOIN sms_thread t ON t.id = m.thread_id ORDER BY t.last_message_at, m.at LIMIT 40)`)
	s.analyze()
	t.Run("by the index of words, under row-level security", func(t *testing.T) {
		if plan := s.explainSearch(); !strings.Contains(plan, "message_words") || strings.Contains(plan, "Seq Scan") {
			t.Errorf("the search is done by\n%s", plan)
		}
	})
	t.Run("page by page", func(t *testing.T) {
		for _, who := range []access.Actor{s.admin, s.bea} {
			seen := map[id.ID]bool{}
			for page := (db.Page{First: 7}); ; {
				w, err := s.svc.List(s.ctx, who, message.LogFilter{Search: "roof lea"}, page)
				s.must(err)
				for _, m := range w.Nodes {
					if seen[m.ID] || m.Body != "the roof leaks" {
						t.Errorf("%s comes again or does not belong", m.ID)
					}
					seen[m.ID] = true
				}
				if !w.HasNext {
					break
				}
				page.After = w.EndCursor()
			}
			if len(seen) != 40 {
				t.Errorf("%s finds %d of 40", who.Visibility, len(seen))
			}
		}
	})
	t.Run("behind many that are not seen", func(t *testing.T) {
		// Of the many that are open, only an old one is of the branch.
		s.exec(`UPDATE sms_thread SET branch_id = $2 WHERE organization_id = $1 AND last_message_at = (SELECT min(last_message_at) FROM sms_thread)`, s.org, far)
		s.exec(`UPDATE message SET body = 'open for all' WHERE thread_id IN (SELECT id FROM sms_thread WHERE branch_id = $1)`, far)
		who := s.bea
		who.BranchIDs = []id.ID{far}
		if got := s.log(who, message.LogFilter{Search: "open"}); len(got) < 5 {
			t.Errorf("it finds %d", len(got))
		}
		if got := s.threads(who, message.Filter{Search: "open"}); len(got) != 1 {
			t.Errorf("it finds %d threads", len(got))
		}
	})
}

// explainSearch is the plan of the statement in message_search, as its owner runs it.
func (s *stage) explainSearch() string {
	s.Helper()
	var at struct{ Name, Owner, Body string }
	s.must(db.Select(s.ctx, s.db.Worker(), &at, `SELECT current_database() AS name, pg_get_userbyid(proowner)::text AS owner, prosrc AS body FROM pg_proc WHERE proname = 'message_search'`))
	cfg, err := pgx.ParseConfig(testkit.AdminURL(s))
	s.must(err)
	cfg.Database = at.Name
	c, err := pgx.ConnectConfig(s.ctx, cfg)
	s.must(err)
	defer func() { s.must(c.Close(s.ctx)) }()
	body := strings.NewReplacer(" words)", " $1)", "(before, before_id)", "($2, $3)", "LIMIT upto", "LIMIT $4").Replace(at.Body)
	for _, sql := range []string{
		`SET ROLE ` + pgx.Identifier{at.Owner}.Sanitize(), `SET search_path = pg_catalog, public`, `SET plan_cache_mode = force_generic_plan`,
		`SELECT set_config('app.organization_id', '` + uuid(s.org) + `', false)`, `PREPARE search (text, timestamptz, uuid, int) AS ` + body,
	} {
		_, e := c.Exec(s.ctx, sql)
		err = errors.Join(err, e)
	}
	s.must(err)
	rows, err := c.Query(s.ctx, `EXPLAIN EXECUTE search('''roof'':*', 'infinity', NULL, 31)`, pgx.QueryExecModeSimpleProtocol)
	s.must(err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	s.must(err)
	return strings.Join(lines, "\n")
}

func uuid(x id.ID) string {
	v, err := x.Value()
	if err != nil {
		panic(err)
	}
	return v.(string)
}

func TestTheLogIsNarrowedByEverything(t *testing.T) { // R139, R141
	t.Parallel()
	s := newStage(t, options{idle: true})
	bob := s.contact("Bob", mobile)
	in := s.receive(mobile, office, "in")
	s.picture(other, usa)
	s.clock.Advance(time.Minute)
	out := s.send(s.admin, message.Send{To: mobile, Body: "out", PhoneNumberID: s.office})
	for name, c := range map[string]struct {
		f    message.LogFilter
		want int
	}{
		"nothing": {message.LogFilter{}, 3}, "in": {message.LogFilter{Direction: message.Inbound}, 2}, "out": {message.LogFilter{Direction: message.Outbound}, 1},
		"states": {message.LogFilter{Statuses: []message.Status{message.Pending, message.Failed}}, 1}, "no states": {message.LogFilter{Statuses: []message.Status{}}, 0},
		"thread": {message.LogFilter{ThreadID: in.ThreadID}, 2}, "contact": {message.LogFilter{ContactID: bob.ID}, 2}, "record": {message.LogFilter{RecordID: id.New(id.Record)}, 0},
		"our number": {message.LogFilter{PhoneNumberID: s.usa}, 1}, "branch": {message.LogFilter{BranchID: s.south}, 1}, "who wrote it": {message.LogFilter{UserID: s.admin.UserID}, 1},
		"bulk": {message.LogFilter{BulkID: id.New(id.Bulk)}, 0}, "automation": {message.LogFilter{AutomationID: id.New(id.Automation)}, 0},
		"their number": {message.LogFilter{Number: other}, 1}, "with files": {message.LogFilter{HasMedia: ptr(true)}, 1}, "without": {message.LogFilter{HasMedia: ptr(false)}, 2},
		"from": {message.LogFilter{From: out.At}, 1}, "until": {message.LogFilter{Until: out.At}, 2},
	} {
		if got := s.log(s.admin, c.f); len(got) != c.want {
			t.Errorf("%s: %q, want %d", name, got, c.want)
		}
	}
	if got := s.log(s.bea, message.LogFilter{}); len(got) != 2 {
		t.Errorf("R276: the north reads %q", got)
	}
	blind := s.admin
	blind.Permissions = access.SetOf(access.SMSSend)
	_, err := s.svc.List(s.ctx, blind, message.LogFilter{}, db.Page{})
	s.wants(err, errs.Forbidden, "")
}
