package contact

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
)

// RecordUpsert is a record as the business's other system has it, known by its
// kind and external id. Absent keeps, null clears.
type RecordUpsert struct {
	Kind       RecordKind
	ExternalID string
	RecordUpdate
	ContactExternalID patch.Field[string]
	AssignedUserEmail patch.Field[string]
	Source            Source

	fromFile bool // a row of a file may have no external id; it is a new record then
}

// key is what two rows must not share.
func (in *RecordUpsert) key(i int) string {
	if in.ExternalID == "" {
		return "row " + strconv.Itoa(i)
	}
	return string(in.Kind) + " " + in.ExternalID
}

// passes is how often a batch looks again for records and contacts that others made meanwhile.
const passes = 3

var errMeanwhile = errs.New(errs.Conflict, "others change this at the same time; send the row again")

// UpsertRecords adds and changes records, a row each, in a constant number of
// statements. One row's problem is no other's. Codes: errs.Required and
// errs.LimitReached for the batch, errs.IdempotencyReused; those of CreateRecord
// and errs.Conflict for a row.
func (s *Service) UpsertRecords(ctx context.Context, who access.Actor, in []RecordUpsert, key string) ([]UpsertRow, error) {
	return s.upsert(ctx, who, "recordUpsert", len(in), key, in, func(ctx context.Context, tx *db.Tx, rows []UpsertRow) error {
		return upsertRecords(ctx, tx, who, slices.Clone(in), rows)
	})
}

func upsertRecords(ctx context.Context, tx *db.Tx, who access.Actor, in []RecordUpsert, rows []UpsertRow) error {
	keys := make([]string, len(in))
	var names wanted
	for i := range in {
		x := &in[i]
		if err := rows[i].try(i, x.check); err != nil {
			return err
		}
		keys[i] = x.key(i)
		names.contact(x.ContactID, x.ContactExternalID)
		names.user(x.AssignedUserID, x.AssignedUserEmail)
	}
	found, err := names.find(ctx, tx, who)
	if err != nil {
		return err
	}
	for i := range in {
		x := &in[i]
		if err := rows[i].try(i, func() error {
			if err := found.contact(&x.ContactID, x.ContactExternalID); err != nil {
				return err
			}
			return found.assignee(&x.AssignedUserID, x.AssignedUserEmail)
		}); err != nil {
			return err
		}
	}
	left := lastOf(rows, keys)
	for range passes {
		if left, err = upsertRecordsOnce(ctx, tx, who, in, rows, left); err != nil || len(left) == 0 {
			return err
		}
	}
	for _, i := range left {
		if err := rows[i].fail(i, errMeanwhile); err != nil {
			return err
		}
	}
	return nil
}

// upsertRecordsOnce returns the rows whose records came into being in between.
func upsertRecordsOnce(ctx context.Context, tx *db.Tx, who access.Actor, in []RecordUpsert, rows []UpsertRow, left []int) (again []int, err error) {
	kinds, external := make([]string, len(left)), make([]string, len(left))
	for n, i := range left {
		kinds[n], external[n] = string(in[i].Kind), in[i].ExternalID
	}
	var there []*Record
	err = db.Select(ctx, tx, &there, `SELECT `+recordColumns+` FROM record r
		WHERE r.organization_id = $1 AND (r.kind, r.external_id) IN (SELECT * FROM unnest($2::text[], $3::text[]))
		ORDER BY r.id FOR NO KEY UPDATE OF r`, who.OrganizationID, kinds, external)
	if err != nil {
		return nil, err
	}
	known := make(map[string]*Record, len(there))
	for _, r := range there {
		known[string(r.Kind)+" "+*r.ExternalID] = r
	}
	var added, changed []*Record
	newOnes := map[id.ID]int{}
	for _, i := range left {
		x := &in[i]
		var r *Record
		if x.ExternalID != "" {
			r = known[x.key(i)]
		}
		if err := rows[i].try(i, func() error {
			if r == nil {
				r = newRecord(who.OrganizationID, x.Kind)
				r.CreatedAt, r.UpdatedAt = tx.Now, tx.Now
				if x.ExternalID != "" {
					r.ExternalID = &x.ExternalID
				}
				whole := x.RecordUpdate
				whole.Title.Set = true // a record needs one
				if err := r.apply(whole); err != nil {
					return err
				}
				x.Source.keep(&r.SourceUpdatedAt, &r.SourceVersion)
				rows[i].Status, rows[i].ID = Created, r.ID
				added, newOnes[r.ID] = append(added, r), i
				return nil
			}
			if !seesRecord(who, r) {
				return at(errNoRecord, "externalId")
			}
			rows[i].Status, rows[i].ID = Unchanged, r.ID
			if x.Source.older(r.SourceUpdatedAt, r.SourceVersion) {
				rows[i].Status = Stale
				return nil
			}
			before := r.content()
			if err := r.apply(x.RecordUpdate); err != nil {
				return err
			}
			news := x.Source.keep(&r.SourceUpdatedAt, &r.SourceVersion)
			if r.content() != before {
				rows[i].Status, news = Changed, true
				r.Version, r.UpdatedAt = r.Version+1, tx.Now
			}
			if news {
				changed = append(changed, r)
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	if len(changed) > 0 {
		// They are there and locked: each conflicts, and is changed.
		_, err := tx.NewInsert().Model(&changed).On("CONFLICT (organization_id, id) DO UPDATE").
			Set(`title = excluded.title, status = excluded.status, tags = excluded.tags, service = excluded.service, location = excluded.location,
				contact_id = excluded.contact_id, assigned_user_id = excluded.assigned_user_id, amount_minor = excluded.amount_minor,
				currency = excluded.currency, starts_at = excluded.starts_at, ends_at = excluded.ends_at, due_at = excluded.due_at,
				expires_at = excluded.expires_at, next_service_at = excluded.next_service_at, eta_at = excluded.eta_at,
				tracking_url = excluded.tracking_url, url = excluded.url, data = excluded.data, confirmed_at = excluded.confirmed_at,
				source_updated_at = excluded.source_updated_at, source_version = excluded.source_version, version = excluded.version,
				updated_at = excluded.updated_at`).Returning("NULL").Exec(ctx)
		if err != nil {
			return nil, err
		}
	}
	if len(added) == 0 {
		return nil, nil
	}
	if _, err := tx.NewInsert().Model(&added).On("CONFLICT DO NOTHING").Returning("NULL").Exec(ctx); err != nil {
		return nil, err
	}
	return missing(ctx, tx, `SELECT id FROM record WHERE organization_id = $1 AND id = ANY ($2::uuid[])`, newOnes, left)
}

// missing are the places, in their order, of the new rows that another
// transaction was quicker with.
func missing(ctx context.Context, tx *db.Tx, query string, newOnes map[id.ID]int, order []int) (again []int, err error) {
	ids := make([]id.ID, 0, len(newOnes))
	for x := range newOnes {
		ids = append(ids, x)
	}
	var kept []struct {
		ID id.ID `bun:"id"`
	}
	if err := db.Select(ctx, tx, &kept, query, db.TenantFrom(ctx), ids); err != nil || len(kept) == len(ids) {
		return nil, err
	}
	lost := map[int]bool{}
	for _, i := range newOnes {
		lost[i] = true
	}
	for _, k := range kept {
		delete(lost, newOnes[k.ID])
	}
	for _, i := range order {
		if lost[i] {
			again = append(again, i)
		}
	}
	return again, nil
}

// check reads a row by itself.
func (in *RecordUpsert) check() (err error) {
	if !in.Kind.Known() {
		return errs.New(errs.Invalid, "%q is not a kind of record", string(in.Kind)).At("kind")
	}
	if !in.fromFile || trim(in.ExternalID) != "" {
		if in.ExternalID, err = checkText(in.ExternalID, maxName, "externalId"); err != nil {
			return err
		}
	}
	if err := in.Source.check(); err != nil {
		return err
	}
	return (&Record{}).apply(in.RecordUpdate)
}

// contact notes a contact that a row names.
func (w *wanted) contact(x patch.Field[id.ID], external patch.Field[string]) {
	if x.Has() {
		w.contacts = append(w.contacts, x.Value)
	}
	if external.Has() {
		w.external = append(w.external, trim(external.Value))
	}
}

// user notes a user that a row names.
func (w *wanted) user(x patch.Field[id.ID], email patch.Field[string]) {
	if x.Has() {
		w.users = append(w.users, x.Value)
	}
	if email.Has() {
		w.mails = append(w.mails, word(email.Value))
	}
}

// contact turns an external id into the contact that it names.
func (x *references) contact(contact *patch.Field[id.ID], external patch.Field[string]) error {
	switch {
	case external.Set && contact.Set:
		return at(errTwice, "contactExternalId")
	case external.Has():
		found, ok := x.external[trim(external.Value)]
		if !ok {
			return at(errNoSuchContact, "contactExternalId")
		}
		*contact = patch.To(found)
	case external.Set:
		*contact = patch.Clear[id.ID]()
	case contact.Has() && !x.contacts[contact.Value]:
		return at(errNoSuchContact, "contactId")
	}
	return nil
}

// content is what a record holds, to tell whether something changed.
func (r *Record) content() string {
	c := *r
	c.Version, c.CreatedAt, c.UpdatedAt, c.SourceUpdatedAt, c.SourceVersion = 0, time.Time{}, time.Time{}, nil, nil
	for _, t := range []**time.Time{&c.StartsAt, &c.EndsAt, &c.DueAt, &c.ExpiresAt, &c.NextServiceAt, &c.EtaAt, &c.ConfirmedAt} {
		if *t != nil {
			utc := (*t).UTC()
			*t = &utc
		}
	}
	if len(c.Tags) == 0 {
		c.Tags = nil
	}
	if len(c.Data) == 0 {
		c.Data = nil
	}
	b, err := json.Marshal(c)
	if err != nil { // texts, numbers and times
		panic(err)
	}
	return string(b)
}
