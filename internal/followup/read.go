package followup

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// Filter narrows a list of follow-ups. The zero Filter is all of them.
type Filter struct {
	Status        []Status
	Kind          Kind
	OwnerID       id.ID
	IsMine        *bool
	IsUnassigned  *bool
	BranchID      id.ID
	PhoneNumberID id.ID
	ContactID     id.ID
	RecordID      id.ID
	IsOverdue     *bool
	OpenedFrom    time.Time
	OpenedBefore  time.Time
	Text          string
}

const maxText = 200

// List is a page of follow-ups within the actor's visibility. Codes: errs.Forbidden
// without FOLLOW_UP_VIEW, errs.Invalid for the page and the text.
func (s *Service) List(ctx context.Context, who access.Actor, f Filter, order Order, p db.Page) (w db.Window[*FollowUp], err error) {
	defer errs.Wrap(&err, "followup.List")
	if err := who.Require(mayView); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	now := s.d.DB.Clock().Now()
	q := followUps(who, columns+masked)
	q.seenBy(who)
	if err := q.filter(who, f, now); err != nil {
		return w, err
	}
	key := func(f *FollowUp) db.Keyset { return db.Keyset{At: f.LastAttemptAt, ID: f.ID} }
	if order == Due {
		if p.After == "" {
			after = db.Keyset{At: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), ID: id.FromUUID([16]byte{})}
		}
		key = func(f *FollowUp) db.Keyset {
			if f.DueAt == nil {
				return db.Keyset{At: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), ID: f.ID}
			}
			return db.Keyset{At: *f.DueAt, ID: f.ID}
		}
		u := after.ID.UUID()
		q.and("(coalesce(f.due_at, " + last + "), f.id) > (" + q.arg(after.At) + ", " + q.arg(u) + "::uuid)")
		q.sql.WriteString(" ORDER BY coalesce(f.due_at, " + last + "), f.id LIMIT " + q.arg(limit+1))
	} else {
		q.and("(f.last_attempt_at, f.id) < (" + q.arg(after.At) + ", " + q.arg(after.ID) + ")")
		q.sql.WriteString(" ORDER BY f.last_attempt_at DESC, f.id DESC LIMIT " + q.arg(limit+1))
	}
	rows, err := pages[*FollowUp](db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), q)
	if err != nil {
		return w, err
	}
	shown(who, now, rows...)
	return db.NewWindow(rows, limit, key), nil
}

func (q *query) filter(who access.Actor, f Filter, now time.Time) error {
	equal := func(column string, v id.ID) {
		if !v.IsZero() {
			q.and(column + " = " + q.arg(v))
		}
	}
	if f.Status != nil {
		words := make([]string, len(f.Status))
		for i, s := range f.Status {
			words[i] = string(s)
		}
		q.and("f.status = ANY (" + q.arg(words) + "::text[])")
	}
	if f.Kind != "" {
		q.and("f.kind = " + q.arg(string(f.Kind)))
	}
	equal("f.owner_user_id", f.OwnerID)
	switch me := who.UserID; {
	case f.IsMine == nil:
	case me.IsZero():
		q.and(either(*f.IsMine, "false", "true")) // nothing is a machine's own
	case *f.IsMine:
		q.and("f.owner_user_id = " + q.arg(me))
	default:
		q.and("f.owner_user_id IS DISTINCT FROM " + q.arg(me))
	}
	if f.IsUnassigned != nil {
		q.and("f.owner_user_id IS " + either(*f.IsUnassigned, "NULL", "NOT NULL"))
	}
	equal("f.branch_id", f.BranchID)
	if !f.PhoneNumberID.IsZero() {
		n := q.arg(f.PhoneNumberID)
		q.and("(f.phone_number_id = " + n + " OR EXISTS (SELECT FROM follow_up_attempt a JOIN call c ON c.organization_id = a.organization_id AND c.id = a.call_id" +
			" WHERE a.organization_id = $1 AND a.follow_up_id = f.id AND c.phone_number_id = " + n + "))")
	}
	equal("f.contact_id", f.ContactID)
	equal("f.record_id", f.RecordID)
	if f.IsOverdue != nil {
		q.and(either(*f.IsOverdue, "", "NOT ") + "(f.status = 'PENDING' AND coalesce(f.due_at <= " + q.arg(now) + ", false))")
	}
	if !f.OpenedFrom.IsZero() {
		q.and("f.first_attempt_at >= " + q.arg(f.OpenedFrom))
	}
	if !f.OpenedBefore.IsZero() {
		q.and("f.first_attempt_at < " + q.arg(f.OpenedBefore))
	}
	return q.text(who, f.Text)
}

// text finds words in what the actor may read: the contact's name, the outcome, the
// notes, and digits of the number for those who see numbers.
func (q *query) text(who access.Actor, text string) error {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return nil
	case utf8.RuneCountInString(text) > maxText || !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return errs.New(errs.Invalid, "text has more than %d characters, or is no text", maxText).At("filter", "text")
	}
	like := q.arg("%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%")
	found := "f.outcome ILIKE " + like +
		" OR EXISTS (SELECT FROM follow_up_entry e WHERE e.organization_id = $1 AND e.follow_up_id = f.id AND e.note ILIKE " + like + ")"
	if who.Can(access.ContactView) {
		found += " OR EXISTS (SELECT FROM contact c WHERE c.organization_id = $1 AND c.id = f.contact_id AND c.name ILIKE " + like + contact.NamedFor(who) + ")"
	}
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, text)
	// Of a masked pair nobody learns the number by trying digits.
	if len(digits) >= 3 && who.Can(access.ContactView) && !who.HidesContactDetails() {
		found += " OR f.masked_pair_id IS NULL AND f.caller LIKE " + q.arg("%"+digits+"%")
	}
	q.and("(" + found + ")")
	return nil
}

func either(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// Get is one follow-up; errs.NotFound also for what the actor may not see.
func (s *Service) Get(ctx context.Context, who access.Actor, item id.ID) (_ *FollowUp, err error) {
	defer errs.Wrap(&err, "followup.Get(%s)", item)
	if !who.Known() {
		return nil, who.Require(mayView)
	}
	if !who.Can(mayView) {
		return nil, errNoFollowUp
	}
	q := followUps(who, columns+masked)
	q.and("f.id = " + q.arg(item))
	q.seenBy(who)
	f := &FollowUp{}
	err = db.Select(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), f, q.sql.String(), q.args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoFollowUp
	}
	shown(who, s.d.DB.Clock().Now(), f)
	return f, err
}

// Visible are those of the follow-ups that the actor may see, in one statement.
func (s *Service) Visible(ctx context.Context, who access.Actor, items []id.ID) (map[id.ID]*FollowUp, error) {
	out := map[id.ID]*FollowUp{}
	if !who.Can(mayView) || len(items) == 0 {
		return out, nil
	}
	q := followUps(who, columns+masked)
	q.and("f.id = ANY (" + q.arg(items) + "::uuid[])")
	q.seenBy(who)
	rows, err := pages[*FollowUp](db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), q)
	shown(who, s.d.DB.Clock().Now(), rows...)
	for _, f := range rows {
		out[f.ID] = f
	}
	return out, err
}

// ByCalls are the follow-ups that calls are attempts of, as far as the actor sees
// them, in two statements.
func (s *Service) ByCalls(ctx context.Context, who access.Actor, calls []id.ID) (map[id.ID]*FollowUp, error) {
	if !who.Can(mayView) || len(calls) == 0 {
		return map[id.ID]*FollowUp{}, nil
	}
	var of []Attempt
	err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), &of,
		`SELECT follow_up_id, call_id, voicemail_id, at FROM follow_up_attempt WHERE organization_id = $1 AND call_id = ANY ($2::uuid[])`, who.OrganizationID, calls)
	if err != nil {
		return nil, err
	}
	return s.of(ctx, who, of, func(a Attempt) id.ID { return a.CallID })
}

// ByVoicemails are the follow-ups that voicemails belong to, like ByCalls.
func (s *Service) ByVoicemails(ctx context.Context, who access.Actor, voicemails []id.ID) (map[id.ID]*FollowUp, error) {
	if !who.Can(mayView) || len(voicemails) == 0 {
		return map[id.ID]*FollowUp{}, nil
	}
	var of []Attempt
	err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), &of, `SELECT a.follow_up_id, a.call_id, v.id AS voicemail_id, a.at
		FROM voicemail v JOIN follow_up_attempt a ON a.organization_id = v.organization_id AND a.call_id = v.call_id
		WHERE v.organization_id = $1 AND v.id = ANY ($2::uuid[])`, who.OrganizationID, voicemails)
	if err != nil {
		return nil, err
	}
	return s.of(ctx, who, of, func(a Attempt) id.ID { return a.VoicemailID })
}

func (s *Service) of(ctx context.Context, who access.Actor, all []Attempt, key func(Attempt) id.ID) (map[id.ID]*FollowUp, error) {
	items := make([]id.ID, len(all))
	for i, a := range all {
		items[i] = a.FollowUpID
	}
	seen, err := s.Visible(ctx, who, items)
	out := make(map[id.ID]*FollowUp, len(all))
	for _, a := range all {
		if f := seen[a.FollowUpID]; f != nil {
			out[key(a)] = f
		}
	}
	return out, err
}

// Attempts is a page of the calls that a follow-up, which the actor was shown, is about.
func (s *Service) Attempts(ctx context.Context, who access.Actor, f *FollowUp, p db.Page) (w db.Window[*Attempt], err error) {
	defer errs.Wrap(&err, "followup.Attempts(%s)", f.ID)
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	var rows []*Attempt
	if err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), &rows, `SELECT follow_up_id, call_id, voicemail_id, at FROM follow_up_attempt
		WHERE organization_id = $1 AND follow_up_id = $2 AND (at, call_id) < ($3, $4) ORDER BY at DESC, call_id DESC LIMIT $5`,
		who.OrganizationID, f.ID, after.At, after.ID, limit+1); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(a *Attempt) db.Keyset { return db.Keyset{At: a.At, ID: a.CallID} }), nil
}

// History is a page of what happened to a follow-up that the actor was shown, newest first.
func (s *Service) History(ctx context.Context, who access.Actor, f *FollowUp, p db.Page) (w db.Window[*Entry], err error) {
	defer errs.Wrap(&err, "followup.History(%s)", f.ID)
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	var rows []*Entry
	if err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), &rows, `SELECT organization_id, id, follow_up_id, change, at, actor_user_id, call_id, voicemail_id,
			user_id, role_id, status, outcome, note, due_at FROM follow_up_entry
		WHERE organization_id = $1 AND follow_up_id = $2 AND (at, id) < ($3, $4) ORDER BY at DESC, id DESC LIMIT $5`,
		who.OrganizationID, f.ID, after.At, after.ID, limit+1); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(e *Entry) db.Keyset { return db.Keyset{At: e.At, ID: e.ID} }), nil
}

// NotesByFollowUps are the notes of follow-ups of the context's tenant, oldest
// first, in one statement.
func (s *Service) NotesByFollowUps(ctx context.Context, items []id.ID) (map[id.ID][]*Note, error) {
	var rows []*Note
	err := db.Select(ctx, s.d.DB.App(), &rows, `SELECT follow_up_id, id, at, actor_user_id, note FROM follow_up_entry
		WHERE organization_id = $1 AND follow_up_id = ANY ($2::uuid[]) AND note IS NOT NULL ORDER BY follow_up_id, at, id`, db.TenantFrom(ctx), items)
	out := make(map[id.ID][]*Note, len(items))
	for _, n := range rows {
		out[n.FollowUpID] = append(out[n.FollowUpID], n)
	}
	return out, err
}

// Counts are how many open follow-ups the actor sees.
func (s *Service) Counts(ctx context.Context, who access.Actor) (c *Counts, err error) {
	defer errs.Wrap(&err, "followup.Counts")
	if err := who.Require(mayView); err != nil {
		return nil, err
	}
	q := &query{}
	org := q.arg(who.OrganizationID)
	mine := "false"
	if !who.UserID.IsZero() {
		mine = "f.owner_user_id = " + q.arg(who.UserID)
	}
	q.sql.WriteString("SELECT count(*) AS open, count(*) FILTER (WHERE " + mine + ") AS mine, count(*) FILTER (WHERE f.due_at <= " + q.arg(s.d.DB.Clock().Now()) +
		") AS overdue, count(*) FILTER (WHERE f.owner_user_id IS NULL) AS unassigned FROM follow_up f WHERE f.organization_id = " + org + " AND f.status = 'PENDING'")
	q.seenBy(who)
	c = &Counts{}
	return c, db.Select(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), c, q.sql.String(), q.args...)
}
