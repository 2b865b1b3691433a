package contact

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/tenant"
)

// Link is a table of another noun that links to contacts or records by a column
// contact_id or record_id, its foreign key setting that to NULL.
type Link struct {
	Table string
	// Contacts and Records say to which.
	Contacts, Records bool
	// Holds says that its rows can be under a legal hold, which then covers the contact
	// or record that they are linked to.
	Holds bool
}

// MaxSet is how many contacts or records one command takes.
const MaxSet = 500

// Deletion says who deletes and why.
type Deletion struct {
	ActorID id.ID
	Why     string
}

// RemovedData is the data of the events Removed and RecordRemoved.
type RemovedData struct {
	MergedInto id.ID `json:"mergedInto,omitzero"`
	// Users are those to whom it belonged: of those who see only their own,
	// only they are told.
	Users []id.ID `json:"users,omitempty"`
}

// seen is one, where the id of a contact that was merged stands for the survivor.
func seen(ctx context.Context, q bun.IDB, who access.Actor, contact id.ID) (*Contact, error) {
	c, err := one(ctx, q, who, contact, "")
	if !errors.Is(err, errNoContact) {
		return c, err
	}
	var gone struct {
		MergedInto id.ID `bun:"merged_into"`
	}
	err = db.Select(ctx, q, &gone, `SELECT (SELECT t.merged_into FROM tombstone t WHERE t.organization_id = $1 AND t.id = $2) AS merged_into`,
		who.OrganizationID, contact)
	if err != nil {
		return nil, err
	}
	if gone.MergedInto.IsZero() {
		return nil, errNoContact
	}
	return one(ctx, q, who, gone.MergedInto, "")
}

// mergedExternal are those of the external ids that belong to contacts that were
// merged, with those of the survivors c that the condition leaves, which is like Own.
func mergedExternal(ctx context.Context, q bun.IDB, who access.Actor, external []string, condition string) (map[string]id.ID, error) {
	var rows []struct {
		ID   id.ID  `bun:"id"`
		Word string `bun:"word"`
	}
	err := db.Select(ctx, q, &rows, `SELECT c.id, t.external_id AS word
		FROM tombstone t JOIN contact c ON c.organization_id = t.organization_id AND c.id = t.merged_into
		WHERE t.organization_id = $1 AND ($2::uuid IS NULL OR $2 = $2) AND t.external_id = ANY ($3::text[])`+condition,
		who.OrganizationID, who.UserID, external)
	out := make(map[string]id.ID, len(rows))
	for _, r := range rows {
		out[r.Word] = r.ID
	}
	return out, err
}

// checkSet reads the ids of a command: of the kind, each once, in their order.
func checkSet(ids []id.ID, kind id.Kind, limit int, field string) ([]id.ID, error) {
	switch {
	case len(ids) == 0:
		return nil, errs.New(errs.Required, "choose at least one").At(field)
	case len(ids) > limit:
		return nil, errs.New(errs.LimitReached, "choose %d at most; do the others in another step", limit).At(field)
	}
	out := make([]id.ID, 0, len(ids))
	for i, x := range ids {
		if err := x.Want(kind); err != nil {
			return nil, errs.New(errs.Invalid, "%s", err).At(field, strconv.Itoa(i))
		}
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out, nil
}

// held is SQL that says whether the row of the alias, or anything that is linked
// to it, is under a legal hold. Holds are few: they are looked at one by one.
func (s *Service) held(alias, column string, of func(Link) bool) string {
	out := `is_held(` + alias + `.organization_id, ` + alias + `.id)`
	for _, l := range s.d.Linked {
		if l.Holds && of(l) {
			out += ` OR EXISTS (SELECT FROM legal_hold h JOIN ` + l.Table + ` x ON x.organization_id = h.organization_id AND x.id = h.subject
				WHERE h.organization_id = ` + alias + `.organization_id AND h.released_at IS NULL AND x.` + column + ` = ` + alias + `.id)`
		}
	}
	return `(` + out + `)`
}

// Held is SQL that says whether a legal hold keeps the contact of the alias from being
// deleted: its own, one on what is linked to it, or one on its records.
func (s *Service) Held(alias string) string {
	return `(` + s.held(alias, "contact_id", linksContacts) + ` OR EXISTS (SELECT FROM record k
		WHERE k.organization_id = ` + alias + `.organization_id AND k.contact_id = ` + alias + `.id AND is_held(k.organization_id, k.id)))`
}

// heldRecord is SQL that says whether a legal hold keeps the record of the alias: its
// own, its contact's, or one on what is linked to it.
func (s *Service) heldRecord(alias string) string {
	return `(` + s.held(alias, "record_id", linksRecords) + ` OR ` + alias + `.contact_id IS NOT NULL AND is_held(` + alias + `.organization_id, ` + alias + `.contact_id))`
}

func linksContacts(l Link) bool { return l.Contacts }
func linksRecords(l Link) bool  { return l.Records }

// Delete deletes contacts for good, all that the actor sees: gone are those that
// are there no more, also those that were gone already; kept says why each of the
// others is still there: errs.NotFound, or errs.Conflict for one under a legal hold.
func (s *Service) Delete(ctx context.Context, who access.Actor, ids []id.ID) (gone []id.ID, kept []error, err error) {
	return s.remove(ctx, who, ids, id.Contact, s.Purge, `SELECT c.id, `+s.Held("c")+` AS held
		FROM contact c WHERE c.organization_id = $1 AND ($2::uuid IS NULL OR $2 = $2) AND c.id = ANY ($3::uuid[])`+Own(who))
}

// DeleteRecords is Delete for records.
func (s *Service) DeleteRecords(ctx context.Context, who access.Actor, ids []id.ID) (gone []id.ID, kept []error, err error) {
	own := ""
	if seesOwnOnly(who) {
		own = ` AND r.assigned_user_id = $2`
	}
	return s.remove(ctx, who, ids, id.Record, s.PurgeRecords, `SELECT r.id, `+s.heldRecord("r")+` AS held
		FROM record r WHERE r.organization_id = $1 AND ($2::uuid IS NULL OR $2 = $2) AND r.id = ANY ($3::uuid[])`+own)
}

type purge func(ctx context.Context, tx *db.Tx, ids []id.ID, by Deletion) ([]id.ID, error)

// remove deletes those of the ids that the query finds for the actor. The query
// says which of them are held.
func (s *Service) remove(ctx context.Context, who access.Actor, ids []id.ID, kind id.Kind, purge purge, query string) (gone []id.ID, kept []error, err error) {
	if err := who.Require(access.ContactDelete); err != nil {
		return nil, nil, err
	}
	if ids, err = checkSet(ids, kind, MaxSet, "ids"); err != nil {
		return nil, nil, err
	}
	err = s.db.InTxAgain(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		gone, kept = nil, nil
		var rows, dead []struct {
			ID   id.ID `bun:"id"`
			Held bool  `bun:"held"`
		}
		if err := db.Select(ctx, tx, &rows, query, who.OrganizationID, who.UserID, ids); err != nil {
			return err
		}
		err := db.Select(ctx, tx, &dead, `SELECT t.id FROM tombstone t WHERE t.organization_id = $1 AND t.id = ANY ($2::uuid[])`, who.OrganizationID, ids)
		if err != nil {
			return err
		}
		found := map[id.ID]bool{}
		var free []id.ID
		for _, r := range rows {
			if found[r.ID] = true; !r.Held {
				free = append(free, r.ID)
			}
		}
		purged, err := purge(ctx, tx, free, Deletion{ActorID: actor(who)})
		if err != nil {
			return err
		}
		for _, d := range dead {
			purged = append(purged, d.ID)
		}
		for i, x := range ids {
			switch {
			case slices.Contains(purged, x):
				gone = append(gone, x)
			case found[x]:
				kept = append(kept, errs.New(errs.Conflict, "a legal hold keeps this %s; release the hold first", kind).At("ids", strconv.Itoa(i)))
			default:
				kept = append(kept, errs.New(errs.NotFound, "there is no such %s, or you may not see it", kind).At("ids", strconv.Itoa(i)))
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return gone, kept, nil
}

// Purge deletes those of the contacts that are not held, in the caller's
// transaction: their phones and memberships go with them, their masked pairs end,
// what is linked to them stays without the link, and of themselves nothing is left
// but the id. It returns those that are gone now and asks nobody's permission.
func (s *Service) Purge(ctx context.Context, tx *db.Tx, ids []id.ID, by Deletion) (gone []id.ID, err error) {
	defer errs.Wrap(&err, "contact.Purge")
	if len(ids) == 0 {
		return nil, nil
	}
	org := db.TenantFrom(ctx)
	if err := oneAtATime(ctx, tx); err != nil {
		return nil, err
	}
	// Whoever links to one of them now waits, and then finds the tombstone.
	if err := lockForGood(ctx, tx, "contact", ids); err != nil {
		return nil, err
	}
	owners, err := ownersOf(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		ID id.ID `bun:"id"`
	}
	err = db.Select(ctx, tx, &rows, `
		WITH free AS (
			SELECT c.organization_id, c.id FROM contact c
			WHERE c.organization_id = $1 AND c.id = ANY ($2::uuid[]) AND NOT `+s.Held("c")+`
		), former AS (
			UPDATE tombstone t SET external_id = NULL FROM free f WHERE t.organization_id = f.organization_id AND t.merged_into = f.id
		), buried AS (
			INSERT INTO tombstone (organization_id, id, removed_by, removed_at) SELECT organization_id, id, $3, $4 FROM free ON CONFLICT DO NOTHING
		)
		SELECT id FROM free`, org, ids, by.ActorID, tx.Now)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	events := make([]event.Event, len(rows))
	for i, r := range rows {
		gone = append(gone, r.ID)
		if events[i], err = removed(org, Removed, r.ID, by.ActorID, RemovedData{Users: owners[r.ID]}); err != nil {
			return nil, err
		}
	}
	// Their calls go on hiding what the pairs hide (R103), for which the customer's number is not needed.
	if _, err := db.Exec(ctx, tx, `UPDATE masked_pair SET ended_at = coalesce(ended_at, least(expires_at, $3)), customer_number = '', updated_at = $3
		WHERE organization_id = $1 AND contact_id = ANY ($2::uuid[])`, org, gone, tx.Now); err != nil {
		return nil, err
	}
	if _, err := db.Exec(ctx, tx, `DELETE FROM contact WHERE organization_id = $1 AND id = ANY ($2::uuid[])`, org, gone); err != nil {
		return nil, err
	}
	if err := event.Append(ctx, tx, events...); err != nil {
		return nil, err
	}
	return gone, tellDeleted(ctx, tx, "contact.delete", gone, by)
}

// PurgeRecords is Purge for records.
func (s *Service) PurgeRecords(ctx context.Context, tx *db.Tx, ids []id.ID, by Deletion) (gone []id.ID, err error) {
	defer errs.Wrap(&err, "contact.PurgeRecords")
	if len(ids) == 0 {
		return nil, nil
	}
	org := db.TenantFrom(ctx)
	if err := tenant.BeforeDeleting(ctx, tx); err != nil {
		return nil, err
	}
	if err := lockForGood(ctx, tx, "record", ids); err != nil {
		return nil, err
	}
	var rows []struct {
		ID       id.ID `bun:"id"`
		Assignee id.ID `bun:"assigned_user_id"`
	}
	err = db.Select(ctx, tx, &rows, `
		WITH free AS (
			SELECT r.organization_id, r.id, r.assigned_user_id FROM record r
			WHERE r.organization_id = $1 AND r.id = ANY ($2::uuid[]) AND NOT `+s.heldRecord("r")+`
		), buried AS (
			INSERT INTO tombstone (organization_id, id, removed_by, removed_at) SELECT organization_id, id, $3, $4 FROM free ON CONFLICT DO NOTHING
		)
		SELECT id, assigned_user_id FROM free`, org, ids, by.ActorID, tx.Now)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	events := make([]event.Event, len(rows))
	for i, r := range rows {
		gone = append(gone, r.ID)
		var data RemovedData
		if !r.Assignee.IsZero() {
			data.Users = []id.ID{r.Assignee}
		}
		if events[i], err = removed(org, RecordRemoved, r.ID, by.ActorID, data); err != nil {
			return nil, err
		}
	}
	if _, err := db.Exec(ctx, tx, `UPDATE masked_pair SET ended_at = least(expires_at, $3), updated_at = $3
		WHERE organization_id = $1 AND record_id = ANY ($2::uuid[]) AND ended_at IS NULL`, org, gone, tx.Now); err != nil {
		return nil, err
	}
	if _, err := db.Exec(ctx, tx, `DELETE FROM record WHERE organization_id = $1 AND id = ANY ($2::uuid[])`, org, gone); err != nil {
		return nil, err
	}
	if err := event.Append(ctx, tx, events...); err != nil {
		return nil, err
	}
	return gone, tellDeleted(ctx, tx, "record.delete", gone, by)
}

// lockForGood locks rows that are about to go, in the order of their ids.
func lockForGood(ctx context.Context, tx *db.Tx, table string, ids []id.ID) error {
	_, err := db.Exec(ctx, tx, `SELECT FROM `+table+` WHERE organization_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id FOR UPDATE`, db.TenantFrom(ctx), ids)
	return err
}

// ownersOf are the users to whom contacts belong: who see only their own see them.
func ownersOf(ctx context.Context, tx *db.Tx, ids []id.ID) (map[id.ID][]id.ID, error) {
	var rows []struct {
		ID   id.ID `bun:"id"`
		User id.ID `bun:"user_id"`
	}
	err := db.Select(ctx, tx, &rows, `
		SELECT id, assigned_user_id AS user_id FROM contact WHERE organization_id = $1 AND id = ANY ($2::uuid[]) AND assigned_user_id IS NOT NULL
		UNION SELECT id, created_by FROM contact WHERE organization_id = $1 AND id = ANY ($2::uuid[]) AND created_by IS NOT NULL
		UNION SELECT contact_id, assigned_user_id FROM record WHERE organization_id = $1 AND contact_id = ANY ($2::uuid[]) AND assigned_user_id IS NOT NULL`,
		db.TenantFrom(ctx), ids)
	out := make(map[id.ID][]id.ID, len(rows))
	for _, r := range rows {
		if len(out[r.ID]) < 200 { // an event's data has its limit
			out[r.ID] = append(out[r.ID], r.User)
		}
	}
	return out, err
}

func tellDeleted(ctx context.Context, tx *db.Tx, action string, gone []id.ID, by Deletion) error {
	for _, x := range gone {
		var detail map[string]any
		if by.Why != "" {
			detail = map[string]any{"why": by.Why}
		}
		if err := audit.Write(ctx, tx, audit.Entry{ActorID: by.ActorID, Action: action, Subject: x, Detail: detail}); err != nil {
			return err
		}
	}
	return nil
}

// AssignContacts gives contacts to a user, or to nobody: all or none. Codes:
// errs.NotFound for a contact or the user.
func (s *Service) AssignContacts(ctx context.Context, who access.Actor, ids []id.ID, user id.ID) (out []*Contact, err error) {
	if err := mayEdit(who); err != nil {
		return nil, err
	}
	if ids, err = checkSet(ids, id.Contact, MaxSet, "ids"); err != nil {
		return nil, err
	}
	if err := assignable(user); err != nil {
		return nil, err
	}
	err = s.db.InTxAgain(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		var rows []*Contact
		err := db.Select(ctx, tx, &rows, `SELECT `+contactColumns+` FROM contact c
			WHERE c.organization_id = $1 AND ($2::uuid IS NULL OR $2 = $2) AND c.id = ANY ($3::uuid[])`+Own(who)+` ORDER BY c.id FOR NO KEY UPDATE OF c`,
			who.OrganizationID, who.UserID, ids)
		if err != nil {
			return err
		}
		found := make(map[id.ID]*Contact, len(rows))
		var changed []id.ID
		for _, c := range rows {
			if found[c.ID] = c; c.AssignedUserID != user {
				changed = append(changed, c.ID)
				c.AssignedUserID, c.Version, c.UpdatedAt = user, c.Version+1, tx.Now
			}
		}
		if out, err = inOrder(ids, found, errNoContact); err != nil || len(changed) == 0 {
			return err
		}
		if _, err := db.Exec(ctx, tx, `UPDATE contact SET assigned_user_id = $3, version = version + 1, updated_at = $4
			WHERE organization_id = $1 AND id = ANY ($2::uuid[])`, who.OrganizationID, changed, user, tx.Now); err != nil {
			return userGone(err)
		}
		return s.toldAssigned(ctx, tx, who, "contact.assign", Updated, changed, user)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// AssignRecords is AssignContacts for records.
func (s *Service) AssignRecords(ctx context.Context, who access.Actor, ids []id.ID, user id.ID) (out []*Record, err error) {
	if err := mayEdit(who); err != nil {
		return nil, err
	}
	if ids, err = checkSet(ids, id.Record, MaxSet, "ids"); err != nil {
		return nil, err
	}
	if err := assignable(user); err != nil {
		return nil, err
	}
	err = s.db.InTxAgain(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		var rows []*Record
		err := db.Select(ctx, tx, &rows, `SELECT `+recordColumns+` FROM record r
			WHERE r.organization_id = $1 AND r.id = ANY ($2::uuid[]) ORDER BY r.id FOR NO KEY UPDATE OF r`, who.OrganizationID, ids)
		if err != nil {
			return err
		}
		found := make(map[id.ID]*Record, len(rows))
		var changed []id.ID
		for _, r := range rows {
			if !seesRecord(who, r) {
				continue
			}
			if found[r.ID] = r; r.AssignedUserID != user {
				changed = append(changed, r.ID)
				r.AssignedUserID, r.Version, r.UpdatedAt = user, r.Version+1, tx.Now
			}
		}
		if out, err = inOrder(ids, found, errNoRecord); err != nil || len(changed) == 0 {
			return err
		}
		if _, err := db.Exec(ctx, tx, `UPDATE record SET assigned_user_id = $3, version = version + 1, updated_at = $4
			WHERE organization_id = $1 AND id = ANY ($2::uuid[])`, who.OrganizationID, changed, user, tx.Now); err != nil {
			return userGone(err)
		}
		return s.toldAssigned(ctx, tx, who, "record.assign", RecordUpdated, changed, user)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func assignable(user id.ID) error {
	if user.IsZero() || user.Kind() == id.User {
		return nil
	}
	return errs.New(errs.Invalid, "%s", user.Want(id.User)).At("userId")
}

// userGone names the argument of an assignment where the foreign key names a field.
func userGone(err error) error {
	if e, ok := errs.As(err); ok && e.Code == errs.NotFound {
		return at(errNoUser, "userId")
	}
	return err
}

// inOrder is what was found, in the order of the ids; the first that is missing is an error.
func inOrder[T any](ids []id.ID, found map[id.ID]*T, missing *errs.Error) ([]*T, error) {
	out := make([]*T, len(ids))
	for i, x := range ids {
		if out[i] = found[x]; out[i] == nil {
			return nil, errs.New(missing.Code, "%s", missing.Message).At("ids", strconv.Itoa(i))
		}
	}
	return out, nil
}

// toldAssigned tells the log of each, and the audit record of each.
func (s *Service) toldAssigned(ctx context.Context, tx *db.Tx, who access.Actor, action string, kind event.Kind, ids []id.ID, user id.ID) error {
	events := make([]event.Event, len(ids))
	for i, x := range ids {
		events[i] = event.Event{OrganizationID: who.OrganizationID, Kind: kind, Subject: x, ActorID: who.UserID}
		err := audit.Write(ctx, tx, audit.Entry{ActorID: actor(who), Action: action, Subject: x, Detail: map[string]any{"userId": user.String()}})
		if err != nil {
			return err
		}
	}
	return event.Append(ctx, tx, events...)
}

// removed is the event of a contact or a record that is gone.
func removed(org id.ID, kind event.Kind, subject, by id.ID, data RemovedData) (event.Event, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return event.Event{}, err
	}
	e := event.Event{OrganizationID: org, Kind: kind, Subject: subject, Data: raw}
	if by.Kind() == id.User {
		e.ActorID = by
	}
	return e, nil
}
