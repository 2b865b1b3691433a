package contact

import (
	"context"
	"slices"
	"strconv"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/tenant"
)

// MaxMerged is how many contacts go into one at a time.
const MaxMerged = 20

// Merge makes one contact of several: keep stays and gets what is linked to the
// others, their phones and memberships; of its own fields only the empty ones are
// filled, from the others in their order. The others' ids answer with it from then
// on. It needs CONTACT_DELETE, CONTACT_EDIT and CONTACT_VIEW. One of the others that is a part of
// it already changes nothing. Codes: errs.Invalid, errs.NotFound, errs.Conflict for
// one under a legal hold and for members of an account that would be none any more,
// errs.LimitReached for too many phones.
func (s *Service) Merge(ctx context.Context, who access.Actor, keep id.ID, from []id.ID) (c *Contact, err error) {
	if err := who.Require(access.ContactDelete); err != nil {
		return nil, err
	}
	if err := mayEdit(who); err != nil {
		return nil, err
	}
	if from, err = checkSet(from, id.Contact, MaxMerged, "from"); err != nil {
		return nil, err
	}
	if slices.Contains(from, keep) {
		return nil, errs.New(errs.Invalid, "a contact cannot go into itself").At("from", strconv.Itoa(slices.Index(from, keep)))
	}
	err = s.db.InTxAgain(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		c, err = s.merge(ctx, tx, who, keep, from)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (s *Service) merge(ctx context.Context, tx *db.Tx, who access.Actor, keep id.ID, from []id.ID) (*Contact, error) {
	if err := oneAtATime(ctx, tx); err != nil {
		return nil, err
	}
	from, err := s.mergeable(ctx, tx, who, keep, from)
	if err != nil {
		return nil, err
	}
	if len(from) == 0 { // all of it is done
		return one(ctx, tx, who, keep, "")
	}
	// Calls lock themselves before their contacts. So what is linked moves first; then
	// the contacts are locked, and what was linked meanwhile moves, too.
	moved, err := s.move(ctx, tx, keep, from)
	if err != nil {
		return nil, err
	}
	if err := lockForGood(ctx, tx, "contact", from); err != nil {
		return nil, err
	}
	late, err := s.move(ctx, tx, keep, from)
	if err != nil {
		return nil, err
	}
	c, err := lock(ctx, tx, who, keep)
	if err != nil {
		return nil, err
	}
	if c.Kind != KindAccount {
		if err := noMembers(ctx, tx, keep, "from"); err != nil {
			return nil, err
		}
	}
	all := make(map[id.ID]*Contact, len(from))
	var rows []*Contact
	err = db.Select(ctx, tx, &rows, `SELECT `+contactColumns+` FROM contact c WHERE c.organization_id = $1 AND c.id = ANY ($2::uuid[])`, who.OrganizationID, from)
	if err != nil {
		return nil, err
	}
	for _, x := range rows {
		all[x.ID] = x
	}
	if len(all) < len(from) { // gone in the meantime
		return nil, at(errNoContact, "from")
	}
	owners, err := ownersOf(ctx, tx, from)
	if err != nil {
		return nil, err
	}
	if err := mergePhones(ctx, tx, c, from); err != nil {
		return nil, err
	}
	if err := mergeMemberships(ctx, tx, keep, from); err != nil {
		return nil, err
	}
	var aliases []*string
	for _, x := range from {
		if slices.Contains(from, all[x].AccountID) { // an account that goes, too
			all[x].AccountID = id.ID{}
		}
		aliases = append(aliases, c.take(all[x]))
	}
	if err := bury(ctx, tx, who, keep, from, aliases); err != nil {
		return nil, err
	}
	c.Version, c.UpdatedAt = c.Version+1, tx.Now
	if _, err := tx.NewUpdate().Model(c).WherePK().Exec(ctx); err != nil {
		return nil, err
	}
	var events []event.Event
	merged := make([]string, len(from))
	for i, x := range from {
		merged[i] = x.String()
		e, err := removed(who.OrganizationID, Removed, x, actor(who), RemovedData{MergedInto: keep, Users: owners[x]})
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	for _, x := range append(moved, late...) {
		events = append(events, event.Event{OrganizationID: who.OrganizationID, Kind: updates[x.Kind()], Subject: x, ActorID: who.UserID})
	}
	if err := event.Append(ctx, tx, events...); err != nil {
		return nil, err
	}
	return c, changed(ctx, tx, who, "contact.merge", keep, map[string]any{"from": merged})
}

// oneAtATime makes merges and deletions of an organization wait for each other: each
// locks contacts that the other may link to. They wait for holds, too.
func oneAtATime(ctx context.Context, tx *db.Tx) error {
	if err := tenant.BeforeDeleting(ctx, tx); err != nil {
		return err
	}
	_, err := db.Exec(ctx, tx, `SELECT pg_advisory_xact_lock(hashtextextended('contacts that go ' || $1::uuid::text, 0))`, db.TenantFrom(ctx))
	return err
}

// mergeable refuses what the actor does not see and what is held, and leaves out
// what is a part of keep already.
func (s *Service) mergeable(ctx context.Context, tx *db.Tx, who access.Actor, keep id.ID, from []id.ID) ([]id.ID, error) {
	var rows []struct {
		ID   id.ID `bun:"id"`
		Held bool  `bun:"held"`
	}
	err := db.Select(ctx, tx, &rows, `SELECT c.id, is_held(c.organization_id, c.id) AS held FROM contact c
		WHERE c.organization_id = $1 AND ($2::uuid IS NULL OR $2 = $2) AND c.id = ANY ($3::uuid[])`+Own(who),
		who.OrganizationID, who.UserID, append([]id.ID{keep}, from...))
	if err != nil {
		return nil, err
	}
	held := map[id.ID]bool{}
	for _, r := range rows {
		held[r.ID] = r.Held
	}
	if _, ok := held[keep]; !ok {
		return nil, at(errNoContact, "id")
	}
	var part []struct {
		ID id.ID `bun:"id"`
	}
	err = db.Select(ctx, tx, &part, `SELECT t.id FROM tombstone t WHERE t.organization_id = $1 AND t.merged_into = $2 AND t.id = ANY ($3::uuid[])`,
		who.OrganizationID, keep, from)
	if err != nil {
		return nil, err
	}
	done := map[id.ID]bool{}
	for _, p := range part {
		done[p.ID] = true
	}
	var left []id.ID
	for i, x := range from {
		isHeld, found := held[x]
		switch {
		case done[x]:
		case !found:
			return nil, errs.New(errNoContact.Code, "%s", errNoContact.Message).At("from", strconv.Itoa(i))
		case isHeld:
			return nil, errs.New(errs.Conflict, "a legal hold keeps this contact; release the hold first").At("from", strconv.Itoa(i))
		default:
			left = append(left, x)
		}
	}
	return left, nil
}

// move links to keep what is linked to the others. It returns the records and the
// members of accounts that changed.
func (s *Service) move(ctx context.Context, tx *db.Tx, keep id.ID, from []id.ID) (moved []id.ID, err error) {
	org := db.TenantFrom(ctx)
	for _, l := range s.d.Linked {
		if !l.Contacts {
			continue
		}
		_, err := db.Exec(ctx, tx, `UPDATE `+l.Table+` SET contact_id = $3 WHERE organization_id = $1 AND contact_id = ANY ($2::uuid[])`, org, from, keep)
		if err != nil {
			return nil, err
		}
	}
	var rows []struct {
		ID id.ID `bun:"id"`
	}
	err = db.Select(ctx, tx, &rows, `
		WITH records AS (
			UPDATE record SET contact_id = $3, version = version + 1, updated_at = $4
			WHERE organization_id = $1 AND contact_id = ANY ($2::uuid[]) RETURNING id
		), members AS (
			UPDATE contact SET account_id = CASE WHEN id = $3 THEN NULL ELSE $3::uuid END, version = version + 1, updated_at = $4
			WHERE organization_id = $1 AND account_id = ANY ($2::uuid[]) AND id <> ALL ($2::uuid[]) RETURNING id
		)
		SELECT id FROM records UNION ALL SELECT id FROM members WHERE id <> $3`, org, from, keep, tx.Now)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		moved = append(moved, r.ID)
	}
	// Where both have a live pair for a record, the one that stays is enough.
	_, err = db.Exec(ctx, tx, `UPDATE masked_pair p SET contact_id = $3, updated_at = $4,
			ended_at = CASE WHEN p.ended_at IS NULL AND EXISTS (
				SELECT FROM masked_pair q WHERE q.organization_id = p.organization_id AND q.record_id = p.record_id AND q.user_id = p.user_id
					AND q.ended_at IS NULL AND q.id <> p.id AND (q.contact_id = $3 OR q.contact_id = ANY ($2::uuid[]) AND q.id < p.id)
			) THEN least(p.expires_at, $4) ELSE p.ended_at END
		WHERE p.organization_id = $1 AND p.contact_id = ANY ($2::uuid[])`, org, from, keep, tx.Now)
	return moved, err
}

// mergePhones gives the contact the phones that it has not; its primary one stays.
func mergePhones(ctx context.Context, tx *db.Tx, c *Contact, from []id.ID) error {
	phones, err := phonesOf(ctx, tx, append([]id.ID{c.ID}, from...))
	if err != nil {
		return err
	}
	had := phones[c.ID]
	all := slices.Clone(had)
	for _, x := range from {
		for _, p := range phones[x] {
			if slices.ContainsFunc(all, func(h *Phone) bool { return h.E164 == p.E164 }) {
				continue
			}
			p.IsPrimary = len(all) == 0
			all = append(all, p)
		}
	}
	if len(all) > maxPhones {
		return errs.New(errs.LimitReached, "together they have %d phones; a contact has %d at most, so remove some first", len(all), maxPhones).At("from")
	}
	return insertPhones(ctx, tx, c, all[len(had):])
}

func mergeMemberships(ctx context.Context, tx *db.Tx, keep id.ID, from []id.ID) error {
	_, err := db.Exec(ctx, tx, `
		INSERT INTO campaign_member AS m (organization_id, campaign_id, contact_id, last_contacted_at, created_at)
		SELECT organization_id, campaign_id, $3, max(last_contacted_at), min(created_at) FROM campaign_member
		WHERE organization_id = $1 AND contact_id = ANY ($2::uuid[]) GROUP BY organization_id, campaign_id
		ON CONFLICT (organization_id, campaign_id, contact_id) DO UPDATE SET last_contacted_at = greatest(m.last_contacted_at, excluded.last_contacted_at)`,
		db.TenantFrom(ctx), from, keep)
	return err
}

// bury leaves of the contacts what points to the one that stayed. An external id
// that was another's before counts for the last one that had it.
func bury(ctx context.Context, tx *db.Tx, who access.Actor, keep id.ID, from []id.ID, external []*string) error {
	org := db.TenantFrom(ctx)
	if _, err := db.Exec(ctx, tx, `UPDATE tombstone SET merged_into = $3 WHERE organization_id = $1 AND merged_into = ANY ($2::uuid[])`, org, from, keep); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, tx, `UPDATE tombstone SET external_id = NULL WHERE organization_id = $1 AND external_id = ANY ($2::text[])`, org, external); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, tx, `INSERT INTO tombstone (organization_id, id, merged_into, external_id, removed_by, removed_at)
		SELECT $1, f.id, $4, f.external, $5, $6 FROM unnest($2::uuid[], $3::text[]) AS f (id, external)`,
		org, from, external, keep, actor(who), tx.Now); err != nil {
		return err
	}
	_, err := db.Exec(ctx, tx, `DELETE FROM contact WHERE organization_id = $1 AND id = ANY ($2::uuid[])`, org, from)
	return err
}

// take fills what is empty from a contact that goes, and returns the external id
// by which it is to be known further: nil where c takes that over.
func (c *Contact) take(x *Contact) (alias *string) {
	for _, f := range []struct{ dst, src **string }{
		{&c.Company, &x.Company}, {&c.Email, &x.Email}, {&c.Country, &x.Country}, {&c.Status, &x.Status}, {&c.Timezone, &x.Timezone},
		{&c.Service, &x.Service}, {&c.Location, &x.Location},
	} {
		if *f.dst == nil {
			*f.dst = *f.src
		}
	}
	if c.AssignedUserID.IsZero() {
		c.AssignedUserID = x.AssignedUserID
	}
	if c.CreatedByID.IsZero() {
		c.CreatedByID = x.CreatedByID
	}
	if c.AccountID.IsZero() && c.Kind != KindAccount && x.AccountID != c.ID {
		c.AccountID = x.AccountID
	}
	for _, t := range x.Tags {
		if !slices.Contains(c.Tags, t) && len(c.Tags) < maxTags {
			c.Tags = append(c.Tags, t)
		}
	}
	if x.LastContactedAt != nil && (c.LastContactedAt == nil || c.LastContactedAt.Before(*x.LastContactedAt)) {
		c.LastContactedAt, c.LastCampaignID, c.LastPhoneNumberID = x.LastContactedAt, x.LastCampaignID, x.LastPhoneNumberID
	}
	if c.ExternalID != nil {
		return x.ExternalID
	}
	c.ExternalID, c.SourceUpdatedAt, c.SourceVersion = x.ExternalID, x.SourceUpdatedAt, x.SourceVersion
	return nil
}
