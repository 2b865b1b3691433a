package diagnose

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
)

const columns = `f.organization_id, f.id, f.code, f.severity, f.subject, f.detail, f.fix, f.source, f.evidence, f.opened_at, f.last_seen_at, f.cleared_at,
	f.acknowledged_at, f.acknowledged_by, f.note, f.snooze_ends_at`

var errNoFinding = errs.New(errs.NotFound, "there is no such finding, or you may not see it")

// keep writes what an examination found and what it saw to be in order, and tells of
// what opened and what is gone. For a person, what is new is given a time first, so
// that what is found of it is kept; the regular look has that done each minute.
func (x *exam) keep(ctx context.Context) error {
	if len(x.made)+len(x.clear)+len(x.others) == 0 {
		return nil
	}
	err := x.s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if x.byPerson {
			if err := seed(ctx, tx, x.org, x.now); err != nil {
				return err
			}
		}
		var changed []id.ID
		for p, i := range x.made {
			finding, opened, err := x.open(ctx, tx, p, x.found[i])
			if err != nil {
				return err
			}
			if x.found[i].FindingID = finding; opened {
				changed = append(changed, finding)
			}
		}
		gone, err := x.close(ctx, tx)
		if err != nil {
			return err
		}
		return tell(ctx, tx, x.org, append(changed, gone...))
	})
	if err != nil || !x.byPerson {
		return err
	}
	return x.known(ctx)
}

func tell(ctx context.Context, tx *db.Tx, org id.ID, findings []id.ID) error {
	events := make([]event.Event, len(findings))
	for i, f := range findings {
		events[i] = event.Event{OrganizationID: org, Kind: EventUpdated, Subject: f}
	}
	return event.Append(ctx, tx, events...)
}

// open keeps a finding: the one that is open already, or a new one. Of what nobody
// looks at by itself, such as a number that is switched off, nothing is kept.
func (x *exam) open(ctx context.Context, tx *db.Tx, p pair, f Found) (id.ID, bool, error) {
	evidence, err := json.Marshal(append([]Evidence{}, f.Evidence...))
	if err != nil {
		return id.ID{}, false, err
	}
	var row struct {
		ID     id.ID `bun:"id"`
		Opened bool  `bun:"opened"`
	}
	err = db.Select(ctx, tx, &row, `
		INSERT INTO finding AS f (organization_id, id, code, severity, subject, detail, fix, source, evidence, opened_at, last_seen_at)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10, $10
		WHERE $11 OR EXISTS (SELECT FROM diagnosis_due d WHERE d.organization_id = $1 AND d.subject = $5)
		ON CONFLICT (organization_id, subject, code) WHERE cleared_at IS NULL DO UPDATE SET severity = excluded.severity, detail = excluded.detail,
			fix = excluded.fix, source = excluded.source, evidence = excluded.evidence, last_seen_at = greatest(f.last_seen_at, excluded.last_seen_at)
		RETURNING f.id, f.id = $2 AS opened`,
		x.org, id.New(id.Finding), string(p.code), string(f.Severity), p.subject, f.Detail, f.Fix, f.Source, string(evidence), x.now, p.subject.Kind() == id.WebhookEndpoint)
	if errors.Is(err, sql.ErrNoRows) {
		return id.ID{}, false, nil
	}
	return row.ID, row.Opened, err
}

// close ends the findings of what was looked at and is in order.
func (x *exam) close(ctx context.Context, tx *db.Tx) (gone []id.ID, err error) {
	subjects, codes := make([]id.ID, 0, len(x.clear)), make([]string, 0, len(x.clear))
	for _, p := range x.clear {
		if _, found := x.made[p]; !found {
			subjects, codes = append(subjects, p.subject), append(codes, string(p.code))
		}
	}
	var rows []struct {
		ID id.ID `bun:"id"`
	}
	err = db.Select(ctx, tx, &rows, `
		UPDATE finding f SET cleared_at = $4 FROM unnest($2::uuid[], $3::text[]) AS g(subject, code)
		WHERE f.organization_id = $1 AND f.subject = g.subject AND f.code = g.code AND f.cleared_at IS NULL RETURNING f.id`, x.org, subjects, codes, x.now)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		gone = append(gone, r.ID)
	}
	for _, c := range x.others {
		still := []id.ID{}
		for p := range x.made {
			if p.code == c {
				still = append(still, p.subject)
			}
		}
		rows = nil
		if err := db.Select(ctx, tx, &rows, `UPDATE finding SET cleared_at = $4 WHERE organization_id = $1 AND code = $2 AND NOT subject = ANY ($3::uuid[])
			AND cleared_at IS NULL RETURNING id`, x.org, string(c), still, x.now); err != nil {
			return nil, err
		}
		for _, r := range rows {
			gone = append(gone, r.ID)
		}
	}
	return gone, nil
}

// known names the kept findings of what another examination keeps.
func (x *exam) known(ctx context.Context) error {
	var subjects []id.ID
	for _, f := range x.found {
		if f.FindingID.IsZero() {
			subjects = append(subjects, f.SubjectID)
		}
	}
	if len(subjects) == 0 {
		return nil
	}
	open, err := x.s.openOf(ctx, x.org, subjects)
	for i := range x.found {
		for _, o := range open[x.found[i].SubjectID] {
			if o.Code == x.found[i].Code {
				x.found[i].FindingID = o.ID
			}
		}
	}
	return err
}

func (s *Service) openOf(ctx context.Context, org id.ID, subjects []id.ID) (map[id.ID][]*Finding, error) {
	var rows []*Finding
	err := db.Select(ctx, s.d.DB.App(), &rows, `SELECT `+columns+` FROM finding f
		WHERE f.organization_id = $1 AND f.subject = ANY ($2::uuid[]) AND f.cleared_at IS NULL ORDER BY f.severity, f.opened_at DESC, f.id DESC`, org, subjects)
	out := make(map[id.ID][]*Finding, len(subjects))
	for _, f := range rows {
		out[f.SubjectID] = append(out[f.SubjectID], f)
	}
	return out, err
}

// OpenBySubjects are the open findings of things, in one statement; nothing for who
// lacks DIAGNOSE.
func (s *Service) OpenBySubjects(ctx context.Context, who access.Actor, subjects []id.ID) (map[id.ID][]*Finding, error) {
	if !who.Can(access.Diagnose) {
		return nil, nil
	}
	out, err := s.openOf(access.With(ctx, who), who.OrganizationID, subjects)
	for _, list := range out {
		for _, f := range list {
			f.hide(who)
		}
	}
	return out, err
}

// ByIDs are findings by id, in one statement, for those with DIAGNOSE.
func (s *Service) ByIDs(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*Finding, error) {
	out := map[id.ID]*Finding{}
	if !who.Can(access.Diagnose) || len(ids) == 0 {
		return out, nil
	}
	var rows []*Finding
	err := db.Select(access.With(ctx, who), s.d.DB.App(), &rows, `SELECT `+columns+` FROM finding f WHERE f.organization_id = $1 AND f.id = ANY ($2::uuid[])`,
		who.OrganizationID, ids)
	for _, f := range rows {
		f.hide(who)
		out[f.ID] = f
	}
	return out, err
}

// Get is one finding. Code: errs.NotFound, also for who lacks DIAGNOSE.
func (s *Service) Get(ctx context.Context, who access.Actor, finding id.ID) (*Finding, error) {
	found, err := s.ByIDs(ctx, who, []id.ID{finding})
	if err == nil && found[finding] == nil {
		err = errNoFinding
	}
	return found[finding], err
}

// Filter says which findings are wanted.
type Filter struct {
	IsOpen         *bool
	Codes          []Code
	Severity       Severity
	SubjectID      id.ID
	IncludeSnoozed bool
}

// List is a page of findings, newest first. Codes: errs.Forbidden, errs.Invalid.
func (s *Service) List(ctx context.Context, who access.Actor, f Filter, p db.Page) (w db.Window[*Finding], err error) {
	defer errs.Wrap(&err, "diagnose.List")
	if err := who.Require(access.Diagnose); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	var q strings.Builder
	args := []any{who.OrganizationID, after.At, after.ID}
	q.WriteString(`SELECT ` + columns + ` FROM finding f WHERE f.organization_id = $1 AND (f.opened_at, f.id) < ($2, $3)`)
	and := func(condition string, v any) {
		args = append(args, v)
		q.WriteString(` AND ` + strings.ReplaceAll(condition, "?", "$"+strconv.Itoa(len(args))))
	}
	switch {
	case f.IsOpen == nil:
	case *f.IsOpen:
		q.WriteString(` AND f.cleared_at IS NULL`)
		if !f.IncludeSnoozed {
			and(`(f.snooze_ends_at IS NULL OR f.snooze_ends_at <= ?)`, s.d.DB.Clock().Now())
		}
	default:
		q.WriteString(` AND f.cleared_at IS NOT NULL`)
	}
	if len(f.Codes) > 0 {
		codes := make([]string, len(f.Codes))
		for i, c := range f.Codes {
			codes[i] = string(c)
		}
		and(`f.code = ANY (?::text[])`, codes)
	}
	if f.Severity != "" {
		and(`f.severity = ?`, string(f.Severity))
	}
	if !f.SubjectID.IsZero() {
		and(`f.subject = ?`, f.SubjectID)
	}
	args = append(args, limit+1)
	q.WriteString(` ORDER BY f.opened_at DESC, f.id DESC LIMIT $` + strconv.Itoa(len(args)))
	var rows []*Finding
	if err := db.Select(access.With(ctx, who), s.d.DB.App(), &rows, q.String(), args...); err != nil {
		return w, err
	}
	for _, r := range rows {
		r.hide(who)
	}
	return db.NewWindow(rows, limit, func(r *Finding) db.Keyset { return db.Keyset{At: r.OpenedAt, ID: r.ID} }), nil
}

// provider are the facts that name things at Twilio, for those who may see them.
var provider = []string{"accountSid", "sid", "trunkSid", "messagingServiceSid", "lastCallSid", "publicUrl", "seenAs"}

// hide leaves out what the actor may not see.
func hide(who access.Actor, facts []Evidence) []Evidence {
	if facts == nil {
		facts = []Evidence{}
	}
	if who.Can(access.ConnectionManage) || who.Can(access.NumberManage) {
		return facts
	}
	return slices.DeleteFunc(facts, func(e Evidence) bool { return slices.Contains(provider, e.Key) })
}

func (f *Finding) hide(who access.Actor) { f.Evidence = hide(who, f.Evidence) }

func findingFor(ctx context.Context, q bun.IDB, org, finding id.ID) (*Finding, error) {
	f := &Finding{}
	err := db.Select(ctx, q, f, `SELECT `+columns+` FROM finding f WHERE f.organization_id = $1 AND f.id = $2 FOR NO KEY UPDATE`, org, finding)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoFinding
	}
	return f, err
}

// seedSQL gives what the doctor looks at by itself a time: organizations, connections
// and numbers that are in use, and the people whom numbers ring. They are spread, and
// the first look is not at once: what was just made is still being set up.
const seedSQL = `
	INSERT INTO diagnosis_due (organization_id, subject, due_at)
	SELECT s.organization_id, s.id, $1::timestamptz + make_interval(secs => $2 * (1 + get_byte(uuid_send(s.id), 14) / 256.0)) FROM (` + inUse + `) s
	WHERE ($3::uuid IS NULL OR s.organization_id = $3)
		AND NOT EXISTS (SELECT FROM diagnosis_due d WHERE d.organization_id = s.organization_id AND d.subject = s.id)
	ON CONFLICT (organization_id, subject) DO NOTHING`

const inUse = `
	SELECT o.organization_id, o.organization_id AS id FROM organization o
	UNION SELECT c.organization_id, c.id FROM twilio_connection c WHERE c.is_enabled AND c.disconnected_at IS NULL
	UNION SELECT n.organization_id, n.id FROM phone_number n JOIN twilio_connection c ON c.organization_id = n.organization_id AND c.id = n.connection_id
		WHERE n.is_enabled AND n.disconnected_at IS NULL AND c.is_enabled AND c.disconnected_at IS NULL
	UNION SELECT u.organization_id, u.id FROM "user" u WHERE u.status = 'ACTIVE' AND (
		EXISTS (SELECT FROM branch_user b WHERE b.organization_id = u.organization_id AND b.user_id = u.id)
		OR EXISTS (SELECT FROM team_user t WHERE t.organization_id = u.organization_id AND t.user_id = u.id)
		OR EXISTS (SELECT FROM phone_number n WHERE n.organization_id = u.organization_id AND n.assigned_user_id = u.id AND n.disconnected_at IS NULL)
		OR u.is_general_fieldworker AND EXISTS (SELECT FROM phone_number n WHERE n.organization_id = u.organization_id AND n.include_general_fieldworker AND n.disconnected_at IS NULL))`

// seed adds what is new; of all tenants for the zero organization.
func seed(ctx context.Context, tx *db.Tx, org id.ID, now time.Time) error {
	var only any
	if !org.IsZero() {
		only = org
	}
	_, err := db.Exec(ctx, tx, seedSQL, now, every.Seconds(), only)
	return err
}
