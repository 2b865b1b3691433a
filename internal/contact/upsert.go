package contact

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/patch"
)

// MaxBatch is how many rows one upsert takes.
const MaxBatch = 500

// UpsertStatus is what became of a row of an upsert.
type UpsertStatus string

// What becomes of a row.
const (
	Created   UpsertStatus = "CREATED"
	Changed   UpsertStatus = "UPDATED"
	Unchanged UpsertStatus = "UNCHANGED"
	Stale     UpsertStatus = "STALE" // what is kept is newer
	Failed    UpsertStatus = "FAILED"
)

// UpsertRow is what became of one row, in the order of the input.
type UpsertRow struct {
	Status  UpsertStatus `json:"status"`
	ID      id.ID        `json:"id"` // of the contact or record; zero where there is none
	Code    errs.Code    `json:"code,omitempty"`
	Message string       `json:"message,omitempty"`
	Field   []string     `json:"field,omitempty"`
}

// Problem is why the row failed, nil when it did not.
func (r UpsertRow) Problem() error {
	if r.Code == "" {
		return nil
	}
	return errs.New(r.Code, "%s", r.Message).At(r.Field...)
}

// fail marks the row i with a problem that its sender can mend; it returns any
// other error, which ends the batch.
func (r *UpsertRow) fail(i int, err error) error {
	e, ok := errs.As(err)
	if !ok || e.Code == errs.Internal || e.Code == errs.Unavailable {
		return err
	}
	r.Status, r.ID, r.Code, r.Message = Failed, id.ID{}, e.Code, e.Message
	r.Field = append([]string{"input", strconv.Itoa(i)}, e.Field...)
	return nil
}

// try does something for the row i unless it failed before.
func (r *UpsertRow) try(i int, do func() error) error {
	if r.Status == Failed {
		return nil
	}
	if err := do(); err != nil {
		return r.fail(i, err)
	}
	return nil
}

// Source says as of when a row is, by the clock or the count of the system that
// sends it. A row that is older than what is kept is not taken over; where it
// says neither, it counts.
type Source struct {
	UpdatedAt *time.Time
	Version   *int64
}

func (in *Source) check() error {
	if in.UpdatedAt == nil {
		return nil
	}
	t, err := checkTime(*in.UpdatedAt, "sourceUpdatedAt")
	in.UpdatedAt = &t
	return err
}

// older reports whether the row is older than what is kept. Versions count before times.
func (in Source) older(at *time.Time, version *int64) bool {
	if in.Version != nil && version != nil {
		return *in.Version < *version
	}
	return in.UpdatedAt != nil && at != nil && in.UpdatedAt.Before(*at)
}

// keep notes as of when the row is, and reports whether that is news.
func (in Source) keep(at **time.Time, version **int64) (news bool) {
	if in.UpdatedAt != nil && (*at == nil || !in.UpdatedAt.Equal(**at)) {
		*at, news = in.UpdatedAt, true
	}
	if in.Version != nil && (*version == nil || *in.Version != **version) {
		*version, news = in.Version, true
	}
	return news
}

// upsert runs a batch in one transaction. Rows fail one by one; what ends the
// transaction is no row's fault. With a key that was used, the first answer comes
// again and nothing is written.
func (s *Service) upsert(ctx context.Context, who access.Actor, mutation string, n int, key string, in any, run func(ctx context.Context, tx *db.Tx, rows []UpsertRow) error) (rows []UpsertRow, err error) {
	if err := who.Require(access.ContactEdit); err != nil {
		return nil, err
	}
	switch {
	case n == 0:
		return nil, errs.New(errs.Required, "send at least one row").At("input")
	case n > MaxBatch:
		return nil, errs.New(errs.LimitReached, "a batch has %d rows at most; send the others in another one", MaxBatch).At("input")
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.db.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) error {
		rows = nil
		batch, err := job.Once(ctx, tx, job.Key{User: actor(who), Mutation: mutation, Key: key}, in, func() (id.ID, error) {
			rows = make([]UpsertRow, n)
			x := id.New(id.UpsertBatch)
			if err := run(ctx, tx, rows); err != nil {
				return x, err
			}
			if err := s.told(ctx, tx, who, mutation, x, rows); err != nil || key == "" {
				return x, err
			}
			return x, keepAnswer(ctx, tx, x, rows)
		})
		if err != nil || rows != nil {
			return err
		}
		var answer []byte
		err = tx.Pgx().QueryRow(ctx, `SELECT answer FROM upsert_batch WHERE organization_id = $1 AND id = $2`, who.OrganizationID, batch).Scan(&answer)
		if err != nil {
			return db.Translate(err)
		}
		return json.Unmarshal(answer, &rows)
	})
	return rows, err
}

// keepAnswer keeps what a repetition is told, and forgets what none can ask for.
func keepAnswer(ctx context.Context, tx *db.Tx, batch id.ID, rows []UpsertRow) error {
	answer, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	org := db.TenantFrom(ctx)
	if _, err := db.Exec(ctx, tx, `DELETE FROM upsert_batch WHERE organization_id = $1 AND expires_at <= $2`, org, tx.Now); err != nil {
		return err
	}
	_, err = db.Exec(ctx, tx, `INSERT INTO upsert_batch (organization_id, id, answer, expires_at, created_at) VALUES ($1, $2, $3::text::jsonb, $4, $5)`,
		org, batch, string(answer), tx.Now.Add(job.KeyLifetime), tx.Now)
	return err
}

// told tells the log of every row that changed something, and the audit record
// of a batch that has such rows.
func (s *Service) told(ctx context.Context, tx *db.Tx, who access.Actor, mutation string, batch id.ID, rows []UpsertRow) error {
	kind, action := RecordUpdated, "record.upsert"
	if mutation == "contactUpsert" {
		kind, action = Updated, "contact.upsert"
	}
	var events []event.Event
	counts := map[string]any{"rows": len(rows)}
	for _, r := range rows {
		word := strings.ToLower(string(r.Status))
		n, _ := counts[word].(int)
		counts[word] = n + 1
		if r.Status == Created || r.Status == Changed {
			events = append(events, event.Event{OrganizationID: who.OrganizationID, Kind: kind, Subject: r.ID, ActorID: who.UserID})
		}
	}
	if len(events) == 0 {
		return nil
	}
	if err := event.Append(ctx, tx, events...); err != nil {
		return err
	}
	return audit.Write(ctx, tx, audit.Entry{ActorID: actor(who), Action: action, Subject: batch, Detail: counts})
}

// lastOf fails every row whose key a later row of the batch has too: the later
// one counts. It returns the places of the rows that are left, in the order of
// their keys, which is that of all batches: two at once do not wait for each other.
func lastOf(rows []UpsertRow, keys []string) (left []int) {
	last := map[string]int{}
	for i, k := range keys {
		if rows[i].Status != Failed {
			last[k] = i
		}
	}
	for i, k := range keys {
		if rows[i].Status == Failed {
			continue
		}
		if j := last[k]; j != i {
			// Only an error of ours comes back.
			_ = rows[i].fail(i, errs.New(errs.Conflict, "row %d of this batch has the same external id and counts instead", j).At("externalId"))
			continue
		}
		left = append(left, i)
	}
	slices.SortFunc(left, func(a, b int) int { return strings.Compare(keys[a], keys[b]) })
	return left
}

// references are the contacts and users that the rows of a batch name.
type references struct {
	contacts  map[id.ID]bool
	external  map[string]id.ID // contacts by external id
	users     map[id.ID]bool
	usersMail map[string]id.ID // users by e-mail in small letters
}

// wanted gathers what a batch names.
type wanted struct {
	contacts, users []id.ID
	external, mails []string
}

// find looks all of them up in two statements. A contact that the actor does not
// see does not exist.
func (w wanted) find(ctx context.Context, tx *db.Tx, who access.Actor) (*references, error) {
	out := &references{contacts: map[id.ID]bool{}, external: map[string]id.ID{}, users: map[id.ID]bool{}, usersMail: map[string]id.ID{}}
	if len(w.contacts)+len(w.external) > 0 {
		query, args := `SELECT c.id, c.external_id AS word FROM contact c WHERE c.organization_id = $1 AND (c.id = ANY ($2::uuid[]) OR c.external_id = ANY ($3::text[]))`,
			[]any{who.OrganizationID, w.contacts, w.external}
		if seesOwnOnly(who) {
			query = `SELECT c.id, c.external_id AS word FROM contact c WHERE c.organization_id = $1 AND (c.id = ANY ($3::uuid[]) OR c.external_id = ANY ($4::text[]))` + ownContacts
			args = []any{who.OrganizationID, who.UserID, w.contacts, w.external}
		}
		if err := scanWords(ctx, tx, out.contacts, out.external, query, args...); err != nil {
			return nil, err
		}
		if len(out.external) < len(w.external) {
			merged, err := mergedExternal(ctx, tx, who, w.external, Own(who))
			if err != nil {
				return nil, err
			}
			for external, survivor := range merged {
				if _, found := out.external[external]; !found {
					out.external[external], out.contacts[survivor] = survivor, true
				}
			}
		}
	}
	if len(w.users)+len(w.mails) > 0 {
		err := scanWords(ctx, tx, out.users, out.usersMail, `SELECT u.id, lower(u.email) AS word FROM "user" u
			WHERE u.organization_id = $1 AND (u.id = ANY ($2::uuid[]) OR lower(u.email) = ANY ($3::text[]))`, who.OrganizationID, w.users, w.mails)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func scanWords(ctx context.Context, tx *db.Tx, ids map[id.ID]bool, words map[string]id.ID, query string, args ...any) error {
	var found []struct {
		ID   id.ID   `bun:"id"`
		Word *string `bun:"word"`
	}
	err := db.Select(ctx, tx, &found, query, args...)
	for _, f := range found {
		ids[f.ID] = true
		if f.Word != nil {
			words[*f.Word] = f.ID
		}
	}
	return err
}

var (
	errNoUser        = errs.New(errs.NotFound, "there is no such user; choose one of your organization")
	errNoSuchContact = errs.New(errs.NotFound, "there is no such contact; send the contact first")
	errTwice         = errs.New(errs.Invalid, "name it by its id or by its other name, not by both")
)

// at is a shared error at a field.
func at(e *errs.Error, field string) error { return errs.New(e.Code, "%s", e.Message).At(field) }

// assignee turns an e-mail into the user that it names.
func (x *references) assignee(user *patch.Field[id.ID], email patch.Field[string]) error {
	switch {
	case email.Set && user.Set:
		return at(errTwice, "assignedUserEmail")
	case email.Has():
		found, ok := x.usersMail[word(email.Value)]
		if !ok {
			return at(errNoUser, "assignedUserEmail")
		}
		*user = patch.To(found)
	case email.Set:
		*user = patch.Clear[id.ID]()
	case user.Has() && !x.users[user.Value]:
		return at(errNoUser, "assignedUserId")
	}
	return nil
}

// word is an e-mail as it is compared.
func word(email string) string { return strings.ToLower(strings.TrimSpace(email)) }
