package transcript_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/testkit"
	"switchboard/internal/transcript"
)

// made is a complete transcript of a call of its own: of somebody, recorded so many
// hours ago, with words of caller and user.
func (s *stage) made(by access.Actor, contact id.ID, ago time.Duration, lines ...string) id.ID {
	s.Helper()
	call, rec, x := id.New(id.Call), id.New(id.Recording), id.New(id.Transcript)
	at := s.clock.Now().Add(-ago)
	var c any
	if !contact.IsZero() {
		c = contact
	}
	s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, from_number, to_number, answered_by_user_id, contact_id, started_at, ended_at, updated_at)
		VALUES ($1, $2, 'INBOUND', 'COMPLETED', $3, '+61400999888', '+61255501234', $4, $6, $5, $5, $5)`, s.org, call, s.conn, by.UserID, at, c)
	s.exec(`INSERT INTO recording (organization_id, id, call_id, twilio_sid, purpose, status, channels, duration_seconds, started_at, media_state, updated_at)
		VALUES ($1, $2, $3, $4, 'CALL', 'COMPLETED', 2, 60, $5, 'STORED', $5)`, s.org, rec, call, "RE"+strings.ToLower(fmt.Sprintf("%x", rec.UUID())), at)
	s.exec(`INSERT INTO transcript (organization_id, id, call_id, recording_id, source, user_id, contact_id, status, provider, language, is_automatic, segment_count, words, duration_seconds, recorded_at, completed_at, updated_at)
		VALUES ($1, $2, $3, $4, 'CALL', $5, $6, 'COMPLETED', 'TWILIO', 'en-AU', true, $7, to_tsvector('simple', $8::text), 60, $9, $9, $9)`,
		s.org, x, call, rec, by.UserID, c, len(lines), strings.Join(lines, "\n"), at)
	for i, l := range lines {
		who := []string{"CALLER", "USER"}[i%2]
		s.exec(`INSERT INTO transcript_segment (organization_id, transcript_id, position, start_ms, end_ms, speaker, text) VALUES ($1, $2, $3, $4, $5, $6, $7)`, s.org, x, i, i*1000, i*1000+900, who, l)
	}
	return x
}

func (s *stage) found(who access.Actor, f transcript.Filter) []*transcript.Transcript {
	s.Helper()
	w, err := s.svc.List(s.ctx, who, f, db.Page{First: db.MaxFirst})
	s.must(err)
	return w.Nodes
}

// R201: what a person corrects is kept with what was there before.
func TestCorrectionsKeepWhatWasThereBefore(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	x := s.made(s.admin, id.ID{}, 0, "my boiler is liking", "we send Sean")
	text := func(v string) *string { return &v }
	got, err := s.svc.Correct(s.ctx, s.admin, x, 1, []transcript.SegmentChange{{Index: 0, Text: text("my boiler is leaking")}, {Index: 1, Text: text("we send Shaun"), Speaker: text("SPEAKER_2")}})
	s.must(err)
	if got.Version != 2 || !got.IsCorrected {
		t.Errorf("it is %+v", got)
	}
	if lines := s.lines(x); !slices.Equal(lines, []string{"CALLER my boiler is leaking", "SPEAKER_2 we send Shaun"}) {
		t.Errorf("it reads %q", lines)
	}
	if n := len(s.found(s.admin, transcript.Filter{Text: "leaking"})); n != 1 {
		t.Errorf("the corrected word is found %d times", n)
	}
	if n := len(s.found(s.admin, transcript.Filter{Text: "liking"})); n != 0 {
		t.Errorf("the wrong word is found %d times", n)
	}
	for name, c := range map[string]struct {
		version int64
		changes []transcript.SegmentChange
		code    errs.Code
	}{
		"an old version":    {1, []transcript.SegmentChange{{Index: 0, Text: text("x")}}, errs.Conflict},
		"no such segment":   {2, []transcript.SegmentChange{{Index: 2, Text: text("x")}}, errs.NotFound},
		"nobody":            {2, []transcript.SegmentChange{{Index: 0, Speaker: text("BOB")}}, errs.Invalid},
		"twice":             {2, []transcript.SegmentChange{{Index: 0}, {Index: 0}}, errs.Invalid},
		"nothing":           {2, nil, errs.Invalid},
		"a novel":           {2, []transcript.SegmentChange{{Index: 0, Text: text(strings.Repeat("x", 5001))}}, errs.Invalid},
		"a zero byte":       {2, []transcript.SegmentChange{{Index: 0, Text: text("a\x00b")}}, errs.Invalid},
		"text that is none": {2, []transcript.SegmentChange{{Index: 0, Text: text("\xff")}}, errs.Invalid},
	} {
		if _, err := s.svc.Correct(s.ctx, s.admin, x, c.version, c.changes); !errs.IsCode(err, c.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.svc.Correct(s.ctx, s.admin, x, 2, []transcript.SegmentChange{{Index: 0, Text: text("my boiler is liking")}}); err != nil {
		t.Fatal(err)
	}
	m, err := s.svc.Segments(s.ctx, []id.ID{x}, transcript.Window{First: 2})
	s.must(err)
	if m[x][0].IsCorrected() || !m[x][1].IsCorrected() || *m[x][1].OriginalText != "we send Sean" {
		t.Errorf("%+v %+v", m[x][0], m[x][1])
	}
	w, err := s.svc.Corrections(s.ctx, x, db.Page{})
	s.must(err)
	if len(w.Nodes) != 2 || w.Nodes[1].Version != 2 || w.Nodes[1].ByID != s.admin.UserID || len(w.Nodes[1].Changes) != 2 || w.Nodes[1].Changes[0].TextBefore != "my boiler is liking" ||
		w.Nodes[1].Changes[1].SpeakerAfter != "SPEAKER_2" {
		t.Errorf("the history is %+v", w.Nodes)
	}
}

// R202, R203: notes, flags, subject, categories and links.
func TestNotesAndOrder(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	x := s.made(s.admin, id.ID{}, 0, "hello there", "good day")
	flag, at := transcript.Coaching, 1
	n, err := s.svc.AddNote(s.ctx, s.admin, x, transcript.NewNote{Text: "slow greeting", Flag: &flag, SegmentIndex: &at}, "k")
	s.must(err)
	again, err := s.svc.AddNote(s.ctx, s.admin, x, transcript.NewNote{Text: "slow greeting", Flag: &flag, SegmentIndex: &at}, "k")
	if err != nil || again.ID != n.ID {
		t.Errorf("the same key made another note: %v", err)
	}
	if got := len(s.found(s.admin, transcript.Filter{Flag: transcript.Coaching})); got != 1 {
		t.Errorf("%d with the flag", got)
	}
	for range 2 {
		if n, err = s.svc.ResolveNote(s.ctx, s.admin, n.ID, true); err != nil || n.ResolvedAt == nil || n.ResolvedByID != s.admin.UserID {
			t.Fatalf("%+v %v", n, err)
		}
	}
	if got := len(s.found(s.admin, transcript.Filter{Flag: transcript.Coaching})); got != 0 {
		t.Errorf("%d with an open flag", got)
	}
	nine := 9
	for name, c := range map[string]struct {
		in   transcript.NewNote
		code errs.Code
	}{
		"nothing":         {transcript.NewNote{Text: "  "}, errs.Required},
		"no such segment": {transcript.NewNote{Text: "x", SegmentIndex: &nine}, errs.NotFound},
		"too long":        {transcript.NewNote{Text: strings.Repeat("x", 4001)}, errs.Invalid},
	} {
		if _, err := s.svc.AddNote(s.ctx, s.admin, x, c.in, ""); !errs.IsCode(err, c.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bob := s.person("bob", access.SeesOrganization)
	delete(bob.Permissions, access.TranscriptDelete)
	if err := s.svc.DeleteNote(s.ctx, bob, n.ID); !errs.IsCode(err, errs.Forbidden) || !strings.Contains(err.Error(), "TRANSCRIPT_DELETE") {
		t.Errorf("another's note was deleted: %v", err)
	}
	s.must(s.svc.DeleteNote(s.ctx, s.admin, n.ID))

	got, err := s.svc.Update(s.ctx, s.admin, x, transcript.Update{Subject: patch.To("Boiler  visit"), Categories: patch.To([]string{"Repair", " repair ", "Hot Water"})})
	s.must(err)
	if word(got.Subject) != "Boiler visit" || !slices.Equal(got.Categories, []string{"Repair", "Hot Water"}) {
		t.Errorf("%q %q", word(got.Subject), got.Categories)
	}
	old := int64(1)
	if _, err := s.svc.Update(s.ctx, s.admin, x, transcript.Update{Subject: patch.Clear[string](), Version: &old}); !errs.IsCode(err, errs.Conflict) {
		t.Errorf("an old version: %v", err)
	}
	if _, err := s.svc.Update(s.ctx, s.admin, x, transcript.Update{ContactID: patch.To(id.New(id.Contact))}); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("a contact that is not there: %v", err)
	}
}

// R203, R219: transcripts are found by whom and what they are of, and what customers
// talk about is counted by the same.
func TestTranscriptsAreFoundByWhatTheyAreOf(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	bob, eve := s.person("bob", access.SeesOrganization), s.person("eve", access.SeesOrganization)
	flag := transcript.Complaint
	// Two transcripts that differ in everything.
	of := func(by access.Actor, ago time.Duration, n int, source transcript.Source, provider transcript.ProviderName) (f transcript.Filter) {
		f = transcript.Filter{UserID: by.UserID, Source: source, Provider: provider, ContactID: id.New(id.Contact), RecordID: id.New(id.Record), BranchID: id.New(id.Branch), NumberID: id.New(id.PhoneNumber)}
		s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, 'CUSTOMER', 'X', $3)`, s.org, f.ContactID, start)
		s.exec(`INSERT INTO record (organization_id, id, kind, title, status, updated_at) VALUES ($1, $2, 'BOOKING', 'X', 'OPEN', $3)`, s.org, f.RecordID, start)
		s.exec(`INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, $3, $4)`, s.org, f.BranchID, fmt.Sprintf("Branch %d", n), start)
		s.exec(`INSERT INTO phone_number (organization_id, id, connection_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms, updated_at)
			VALUES ($1, $2, $3, $4, $5, 'X', 'AU', true, true, true, $6)`,
			s.org, f.NumberID, s.conn, fmt.Sprintf("+6125550124%d", n), sid("PN", n), start)
		x := s.made(by, f.ContactID, ago, "hello there", "good day")
		f.CallID = s.get(x).CallID
		s.exec(`UPDATE transcript SET record_id = $3, branch_id = $4, phone_number_id = $5, source = $6, provider = $7 WHERE organization_id = $1 AND id = $2`,
			s.org, x, f.RecordID, f.BranchID, f.NumberID, source, provider)
		if _, err := s.svc.Update(s.ctx, s.admin, x, transcript.Update{Subject: patch.To(fmt.Sprintf("The  visit of %d", n)), Categories: patch.To([]string{fmt.Sprintf("Kind %d", n)})}); err != nil {
			t.Fatal(err)
		}
		return f
	}
	mine, other := of(bob, time.Hour, 1, transcript.OfCall, transcript.Twilio), of(eve, 3*time.Hour, 2, transcript.OfVoicemail, transcript.HTTP)
	x := s.found(s.admin, transcript.Filter{CallID: mine.CallID})[0].ID
	if _, err := s.svc.AddNote(s.ctx, s.admin, x, transcript.NewNote{Flag: &flag}, ""); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]transcript.Filter{
		"user": {UserID: mine.UserID}, "contact": {ContactID: mine.ContactID}, "record": {RecordID: mine.RecordID}, "call": {CallID: mine.CallID}, "branch": {BranchID: mine.BranchID},
		"number": {NumberID: mine.NumberID}, "source": {Source: mine.Source}, "provider": {Provider: mine.Provider}, "category": {Category: "kind  1"}, "subject": {Subject: "VISIT OF 1"},
		"flag": {Flag: transcript.Complaint}, "from": {From: start.Add(-2 * time.Hour)}, "all of them": mine,
	} {
		if got := s.found(s.admin, f); len(got) != 1 || got[0].ID != x {
			t.Errorf("by %s: %d", name, len(got))
		}
		in, err := s.svc.Insights(s.ctx, s.admin, transcript.Range{From: start.Add(-24 * time.Hour), Until: start, Filter: f})
		s.must(err)
		want := 1
		if name == "from" { // the range says from when
			want = 2
		}
		if in.TranscriptCount != want || in.ReadCount != want || len(in.Users) != want || len(in.Flags) != 1 {
			t.Errorf("counted by %s: %+v", name, in)
		}
	}
	both := other
	both.ContactID = mine.ContactID
	for name, c := range map[string]struct {
		f    transcript.Filter
		want int
	}{
		"until":             {transcript.Filter{Until: start.Add(-2 * time.Hour)}, 1},
		"until its moment":  {transcript.Filter{Until: start.Add(-3 * time.Hour)}, 0},
		"from its moment":   {transcript.Filter{From: start.Add(-3 * time.Hour)}, 2},
		"completed":         {transcript.Filter{Statuses: []transcript.Status{transcript.Completed}}, 2},
		"failed":            {transcript.Filter{Statuses: []transcript.Status{transcript.Failed}}, 0},
		"of two at once":    {both, 0},
		"another's contact": {transcript.Filter{ContactID: id.New(id.Contact)}, 0},
	} {
		if got := len(s.found(s.admin, c.f)); got != c.want {
			t.Errorf("%s: %d", name, got)
		}
	}
}

// R204, R276: words are found, nothing typed is syntax, and only what is seen.
func TestWordsAreFoundInWhatOneMayRead(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	owen, bea := s.person("owen", access.SeesOwn), s.person("bea", access.SeesOwn)
	mine := s.made(owen, id.ID{}, time.Hour, "the roof leaks", "don't worry", "ROOF again")
	s.made(bea, id.ID{}, 2*time.Hour, "a roofer came", "fine")
	s.made(s.admin, id.ID{}, 3*time.Hour, "something else", "yes")
	for typed, n := range map[string]int{"roof": 2, "ROOF le": 1, "don't": 1, "roof & leaks": 1, "'roof' | 'else'": 0, `\roof`: 2, "a": -1, "!!": -1, "a\x00b": -1, strings.Repeat("a", 201): -1, "roof:* <-> (": 2} {
		w, err := s.svc.List(s.ctx, s.admin, transcript.Filter{Text: typed}, db.Page{})
		if (n < 0) != errs.IsCode(err, errs.Invalid) || n >= 0 && (err != nil || len(w.Nodes) != n) {
			t.Errorf("%q finds %d, want %d: %v", typed, len(w.Nodes), n, err)
		}
	}
	got := s.found(owen, transcript.Filter{Text: "roof"})
	if len(got) != 1 || got[0].ID != mine || !slices.Equal(got[0].Matches, []int{0, 2}) {
		t.Errorf("owen finds %v", got)
	}
	if w, err := s.svc.List(s.ctx, s.admin, transcript.Filter{Text: "roof"}, db.Page{First: 1}); err != nil || !w.HasNext {
		t.Errorf("the first page: %v", err)
	} else if next, err := s.svc.List(s.ctx, s.admin, transcript.Filter{Text: "roof"}, db.Page{First: 1, After: w.EndCursor()}); err != nil || len(next.Nodes) != 1 || next.Nodes[0].ID == w.Nodes[0].ID || next.HasNext {
		t.Errorf("the next page: %+v %v", next.Nodes, err)
	}
	for name, who := range map[string]func() access.Actor{
		"no permission": func() access.Actor {
			a := owen
			a.Permissions = access.SetOf(access.CallView, access.RecordingListen)
			return a
		},
	} {
		if _, err := s.svc.List(s.ctx, who(), transcript.Filter{}, db.Page{}); !errs.IsCode(err, errs.Forbidden) || !strings.Contains(err.Error(), "TRANSCRIPT_VIEW") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.svc.Get(s.ctx, who(), mine); !errs.IsCode(err, errs.NotFound) {
			t.Errorf("%s reads one: %v", name, err)
		}
	}
	eve := s.admin
	eve.OrganizationID = id.New(id.Organization)
	if _, err := s.svc.Get(s.ctx, eve, mine); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("another organization reads it: %v", err)
	}
	if _, err := s.svc.Correct(s.ctx, bea, mine, 1, []transcript.SegmentChange{{Index: 0}}); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("bea corrects owen's: %v", err)
	}
}

// Under row-level security the planner may not use the words' index; the function
// of the owner does.
func TestSearchGoesByTheIndexOfWords(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(`INSERT INTO transcript (organization_id, id, source, status, provider, language, is_automatic, words, recorded_at, completed_at, updated_at)
		SELECT $1, gen_random_uuid(), 'CALL', 'COMPLETED', 'TWILIO', 'en-AU', false, to_tsvector('simple', 'common words ' || n || CASE WHEN n % 1500 = 0 THEN ' needle' ELSE '' END), $2::timestamptz - n * interval '1 minute', $2, $2
		FROM generate_series(1, 3000) n`, s.org, start)
	if got := len(s.found(s.admin, transcript.Filter{Text: "needle"})); got != 2 {
		t.Fatalf("%d found", got)
	}
	if p := s.explainSearch(); !strings.Contains(p, "transcript_words") {
		t.Errorf("the index is not used:\n%s", p)
	}
}

// explainSearch is the plan of the statement in transcript_search, as its owner runs it.
func (s *stage) explainSearch() string {
	s.Helper()
	var at struct{ Name, Owner, Body string }
	s.must(db.Select(s.ctx, s.db.Worker(), &at, `SELECT current_database() AS name, pg_get_userbyid(proowner)::text AS owner, prosrc AS body FROM pg_proc WHERE proname = 'transcript_search'`))
	cfg, err := pgx.ParseConfig(testkit.AdminURL(s))
	s.must(err)
	cfg.Database = at.Name
	c, err := pgx.ConnectConfig(s.ctx, cfg)
	s.must(err)
	defer func() { s.must(c.Close(s.ctx)) }()
	org, err := s.org.Value()
	s.must(err)
	body := strings.NewReplacer(" query)", " $1)", "(before, COALESCE(before_id", "($2, COALESCE($3", "LIMIT upto", "LIMIT $4").Replace(at.Body)
	for _, sql := range []string{
		`ANALYZE transcript`, `SET ROLE ` + pgx.Identifier{at.Owner}.Sanitize(), `SET search_path = pg_catalog, public`,
		`SELECT set_config('app.organization_id', '` + org.(string) + `', false)`, `PREPARE search (text, timestamptz, uuid, int) AS ` + body,
	} {
		_, e := c.Exec(s.ctx, sql)
		err = errors.Join(err, e)
	}
	s.must(err)
	rows, err := c.Query(s.ctx, `EXPLAIN EXECUTE search('''needle'':*', 'infinity', NULL, 31)`, pgx.QueryExecModeSimpleProtocol)
	s.must(err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	s.must(err)
	return strings.Join(lines, "\n")
}

// R219: frequent themes, what rises, and who has the same trouble again.
func TestInsightsNameThemesAndRepeatedIssues(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	bob := id.New(id.Contact)
	s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, 'CUSTOMER', 'Bob', $3)`, s.org, bob, start)
	for i := range 4 {
		c := id.ID{}
		if i < 2 {
			c = bob
		}
		s.made(s.admin, c, time.Duration(i+1)*time.Hour, "My boiler pressure drops and the water heater is cold", "We will look at the valve")
	}
	s.made(s.admin, id.ID{}, 5*time.Hour, "I want to pay the invoice", "Sure")
	for i := range 3 {
		s.made(s.admin, id.ID{}, 24*time.Hour+time.Duration(i)*time.Hour, "Can I pay the invoice by card", "Yes")
	}
	flag := transcript.Complaint
	x := s.made(s.admin, bob, 6*time.Hour, "hello", "hello")
	if _, err := s.svc.AddNote(s.ctx, s.admin, x, transcript.NewNote{Flag: &flag}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.svc.Update(s.ctx, s.admin, x, transcript.Update{Categories: patch.To([]string{"Heating"})}); err != nil {
		t.Fatal(err)
	}
	in, err := s.svc.Insights(s.ctx, s.admin, transcript.Range{From: start.Add(-20 * time.Hour), Until: start.Add(time.Minute), CallerOnly: true})
	s.must(err)
	if in.TranscriptCount != 6 || in.ReadCount != 6 || !in.IsComplete || in.Minutes != 6 {
		t.Errorf("%+v", in)
	}
	if len(in.Themes) == 0 || in.Themes[0].TranscriptCount != 4 || !in.Themes[0].IsRising {
		t.Fatalf("the themes are %+v", in.Themes)
	}
	ofUsers := func(x *transcript.Theme) bool { return strings.Contains(x.Words, "valve") && x.TranscriptCount == 4 }
	words := map[string]*transcript.Theme{}
	for _, x := range in.Themes {
		words[x.Words] = x
	}
	if words["boiler pressure"] == nil || words["boiler"] != nil || words["the"] != nil || slices.ContainsFunc(in.Themes, ofUsers) {
		t.Errorf("the themes are %v", words)
	}
	if len(in.RepeatedIssues) == 0 || in.RepeatedIssues[0].ContactID != bob || in.RepeatedIssues[0].TranscriptCount != 2 || len(in.RepeatedIssues[0].Transcripts) != 2 {
		t.Errorf("the issues are %+v", in.RepeatedIssues)
	}
	if len(in.Categories) != 1 || in.Categories[0].Category != "Heating" || len(in.Flags) != 1 || in.Flags[0].OpenCount != 1 || len(in.Users) != 1 || in.Users[0].Count != 6 || len(in.OpenNotes) != 1 {
		t.Errorf("%+v %+v %+v", in.Categories, in.Flags, in.Users)
	}
	whole, err := s.svc.Insights(s.ctx, s.admin, transcript.Range{From: start.Add(-20 * time.Hour), Until: start.Add(time.Minute)})
	s.must(err)
	if !slices.ContainsFunc(whole.Themes, ofUsers) {
		t.Errorf("what users say is not among %+v", whole.Themes)
	}
	own := s.person("owen", access.SeesOwn)
	if in, err := s.svc.Insights(s.ctx, own, transcript.Range{From: start.Add(-20 * time.Hour), Until: start}); err != nil || in.TranscriptCount != 0 || len(in.Themes) != 0 || len(in.Users) != 0 {
		t.Errorf("who sees nothing is told %+v, %v", in, err)
	}
	if _, err := s.svc.Insights(s.ctx, s.admin, transcript.Range{From: start, Until: start.Add(367 * 24 * time.Hour)}); !errs.IsCode(err, errs.Invalid) {
		t.Errorf("a range without end: %v", err)
	}
}

// R199: length and minutes are limited, and the refusal names the limit.
func TestLimitsAreNamed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.use(transcript.Twilio)
	set := func(in transcript.SettingsChange) {
		t.Helper()
		_, err := s.svc.UpdateSettings(s.ctx, s.admin, in)
		s.must(err)
	}
	set(transcript.SettingsChange{MaxSeconds: patch.To(1)})
	if _, err := s.svc.Create(s.ctx, s.admin, transcript.Create{RecordingID: s.rec}, ""); !errs.IsCode(err, errs.LimitReached) || !strings.Contains(err.Error(), "maxSeconds") {
		t.Errorf("too long: %v", err)
	}
	set(transcript.SettingsChange{MaxSeconds: patch.To(60), MonthlyMinutes: patch.To(0)})
	if _, err := s.svc.Create(s.ctx, s.admin, transcript.Create{RecordingID: s.rec}, ""); !errs.IsCode(err, errs.LimitReached) || !strings.Contains(err.Error(), "monthlyMinutes") {
		t.Errorf("no minutes left: %v", err)
	}
	set(transcript.SettingsChange{MonthlyMinutes: patch.To(1)})
	x := s.ask()
	set(transcript.SettingsChange{MonthlyMinutes: patch.To(0)}) // between the request and the work
	got := s.until(x.ID, ended)
	if got.Status != transcript.Failed || *got.FailureCode != transcript.OverCap || !strings.Contains(word(got.FailureReason), "monthlyMinutes") {
		t.Errorf("%s %v", got.Status, word(got.FailureReason))
	}
	set(transcript.SettingsChange{MonthlyMinutes: patch.Clear[int]()})
	if _, err := s.svc.Retry(s.ctx, s.admin, x.ID, ""); err != nil {
		t.Fatal(err)
	}
	if got := s.until(x.ID, ended); got.Status != transcript.Completed {
		t.Errorf("%s %v", got.Status, word(got.FailureReason))
	}
	if _, err := s.svc.Retry(s.ctx, s.admin, x.ID, ""); !errs.IsCode(err, errs.Conflict) {
		t.Errorf("a complete one was tried again: %v", err)
	}
	if again := s.ask(); again.ID != x.ID {
		t.Error("asking again made another one")
	}
	s.exec(`UPDATE organization SET disabled_features = '{TRANSCRIPTION}' WHERE organization_id = $1`, s.org)
	if _, err := s.svc.Create(s.ctx, s.admin, transcript.Create{RecordingID: s.rec, Language: "de-DE"}, ""); !errs.IsCode(err, errs.Forbidden) || !strings.Contains(err.Error(), "TRANSCRIPTION") {
		t.Errorf("the feature is off: %v", err)
	}
}

// Secrets go in and never come out; what is no setting is refused.
func TestSettingsAreCheckedAndSecretsSealed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.use(transcript.HTTP)
	got, err := s.svc.Settings(s.ctx, s.admin)
	s.must(err)
	if !got.HasGoogleCredentials || !got.HasHTTPSecret || !got.IsReady() || got.Mode != transcript.Off {
		t.Errorf("%+v", got)
	}
	if n := s.number(`SELECT count(*) FROM transcription_secret WHERE organization_id = $1 AND (position('0123456789abcdef'::bytea IN sealed) > 0 OR position('AIza'::bytea IN sealed) > 0)`, s.org); n != 0 {
		t.Errorf("%d secrets lie open", n)
	}
	if _, err := s.svc.UpdateSettings(s.ctx, s.admin, transcript.SettingsChange{HTTPURL: patch.Clear[string]()}); err != nil {
		t.Fatal(err)
	}
	if got, err = s.svc.Settings(s.ctx, s.admin); err != nil || got.IsReady() || !strings.Contains(word(got.Problem), "httpUrl") {
		t.Errorf("without an address it is ready: %v", err)
	}
	for name, in := range map[string]transcript.SettingsChange{
		"ftp":             {HTTPURL: patch.To("ftp://example.com/")},
		"a password":      {HTTPURL: patch.To("https://a:b@example.com/")},
		"no host":         {HTTPURL: patch.To("https:///x")},
		"a language":      {Language: patch.To("english")},
		"a model":         {GoogleModel: patch.To("Robert'); DROP")},
		"a short secret":  {HTTPSecret: patch.To("short")},
		"no key":          {GoogleAPIKey: patch.To("hello world")},
		"no account":      {GoogleAccount: patch.To(`{"type":"authorized_user"}`)},
		"too long":        {MaxSeconds: patch.To(28801)},
		"negative":        {MonthlyMinutes: patch.To(-1)},
		"a long term":     {Vocabulary: patch.To([]string{strings.Repeat("x", 101)})},
		"a thousand":      {Vocabulary: patch.To(strings.Fields(strings.Join(numbered(501), " ")))},
		"a term of bytes": {Vocabulary: patch.To([]string{"a\x00"})},
	} {
		if _, err := s.svc.UpdateSettings(s.ctx, s.admin, in); !errs.IsCode(err, errs.Invalid) && !errs.IsCode(err, errs.LimitReached) {
			t.Errorf("%s: %v", name, err)
		}
	}
	who := s.admin
	who.Permissions = access.SetOf(access.TranscriptView)
	if _, err := s.svc.Settings(s.ctx, who); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("without the permission: %v", err)
	}
}

func numbered(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("term%d", i))
	}
	return out
}

// R278: a call that is linked anew takes its transcripts along, until a person links them.
func TestTranscriptsFollowTheLinksOfTheirCall(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	bob, eva := id.New(id.Contact), id.New(id.Contact)
	for _, c := range []id.ID{bob, eva} {
		s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, 'CUSTOMER', 'X', $3)`, s.org, c, start)
	}
	x := s.made(s.admin, id.ID{}, 0, "hello", "hello")
	call := s.get(x).CallID
	s.exec(`UPDATE call SET contact_id = $3 WHERE organization_id = $1 AND id = $2`, s.org, call, bob)
	if got := s.get(x); got.ContactID != bob {
		t.Errorf("it belongs to %s", got.ContactID)
	}
	if _, err := s.svc.Update(s.ctx, s.admin, x, transcript.Update{ContactID: patch.To(eva)}); err != nil {
		t.Fatal(err)
	}
	s.exec(`UPDATE call SET contact_id = NULL WHERE organization_id = $1 AND id = $2`, s.org, call)
	if got := s.get(x); got.ContactID != eva {
		t.Errorf("what a person linked was undone: %s", got.ContactID)
	}
}
