package contact

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

func init() {
	for name, e := range map[string]*errs.Error{
		"contact_external":        errs.New(errs.Taken, "another contact has this external id; use another one, or change that contact").At("externalId"),
		"contact_assignee":        errs.New(errs.NotFound, "there is no such user; choose one of your organization").At("assignedUserId"),
		"contact_last_campaign":   errs.New(errs.NotFound, "there is no such campaign").At("campaignId"),
		"contact_last_number":     errs.New(errs.NotFound, "there is no such number").At("phoneNumberId"),
		"campaign_assignee":       errs.New(errs.NotFound, "there is no such user; choose one of your organization").At("assignedUserId"),
		"campaign_member_contact": errs.New(errs.NotFound, "one of the contacts does not exist").At("contactIds"),
		"record_external":         errs.New(errs.Taken, "another record of this kind has this external id; use another one").At("externalId"),
		"record_contact":          errs.New(errs.NotFound, "there is no such contact").At("contactId"),
		"record_event_external":   errs.New(errs.Taken, "an event of another record has this external id; use another one").At("externalId"),
		"record_assignee":         errs.New(errs.NotFound, "there is no such user; choose one of your organization").At("assignedUserId"),
	} {
		db.RegisterConstraint(name, e)
	}
}

const contactColumns = `c.organization_id, c.id, c.kind, c.external_id, c.name, c.company, c.email, c.country, c.status, c.tags, c.timezone, c.service, c.location,
	c.assigned_user_id, c.created_by, c.account_id, c.last_campaign_id, c.last_phone_number_id, c.last_contacted_at, c.source_updated_at, c.source_version,
	c.version, c.created_at, c.updated_at`

// ownContacts are those that somebody with the visibility OWN sees: assigned to
// them, made by them, or of a record that is theirs. Three index look-ups.
const ownContacts = ` AND ` + isOwnContact

const isOwnContact = `c.id IN (
		SELECT id FROM contact WHERE organization_id = $1 AND assigned_user_id = $2
		UNION SELECT id FROM contact WHERE organization_id = $1 AND created_by = $2
		UNION SELECT contact_id FROM record WHERE organization_id = $1 AND assigned_user_id = $2 AND contact_id IS NOT NULL)`

// unmasked leaves out the customers whom a fieldworker reaches through a masked
// number, or did: they do not see each other's phones (R103).
const unmasked = ` AND NOT EXISTS (SELECT FROM masked_pair m JOIN organization o ON o.organization_id = m.organization_id
		WHERE m.organization_id = $1 AND m.contact_id = c.id AND m.user_id = $2 AND 'MASKING' <> ALL (o.disabled_features))`

// seesOwnOnly reports whether the actor sees only what is theirs. Contacts
// belong to no branch: whoever sees a branch sees them all.
func seesOwnOnly(who access.Actor) bool { return who.SeesOwnContacts() }

// Own is SQL for the nouns that link to contacts: it narrows the contacts c to those
// that the actor, $2 of the organization $1, sees; "" when those are all.
func Own(who access.Actor) string {
	if seesOwnOnly(who) {
		return ownContacts
	}
	return ""
}

// Unmasked is SQL like Own for those whose phones the actor sees, too (R103, R241).
func Unmasked(who access.Actor) string {
	switch {
	case who.HidesContactDetails():
		return ` AND $2::uuid IS DISTINCT FROM $2::uuid` // nobody's
	case seesOwnOnly(who):
		return unmasked
	}
	return ""
}

func defaultCountry(ctx context.Context, q bun.IDB, org id.ID) (string, error) {
	var o struct {
		Country string `bun:"default_country"`
	}
	err := db.Select(ctx, q, &o, `SELECT default_country FROM organization WHERE organization_id = $1`, org)
	return o.Country, err
}

func insert(ctx context.Context, tx *db.Tx, c *Contact, phones []*Phone) error {
	if c.Tags == nil {
		c.Tags = []string{}
	}
	if _, err := tx.NewInsert().Model(c).Exec(ctx); err != nil {
		return err
	}
	return insertPhones(ctx, tx, c, phones)
}

func insertPhones(ctx context.Context, tx *db.Tx, c *Contact, phones []*Phone) error {
	if len(phones) == 0 {
		return nil
	}
	for _, p := range phones {
		p.OrganizationID, p.ContactID, p.CreatedAt = c.OrganizationID, c.ID, tx.Now
	}
	_, err := tx.NewInsert().Model(&phones).Exec(ctx)
	return err
}

func replacePhones(ctx context.Context, tx *db.Tx, c *Contact, phones []*Phone) error {
	_, err := db.Exec(ctx, tx, `DELETE FROM contact_phone WHERE organization_id = $1 AND contact_id = $2`, c.OrganizationID, c.ID)
	if err != nil {
		return err
	}
	return insertPhones(ctx, tx, c, phones)
}

var errNoContact = errs.New(errs.NotFound, "there is no such contact, or you may not see it")

func lock(ctx context.Context, tx *db.Tx, who access.Actor, contact id.ID) (*Contact, error) {
	return one(ctx, tx, who, contact, " FOR NO KEY UPDATE OF c")
}

func one(ctx context.Context, q bun.IDB, who access.Actor, contact id.ID, suffix string) (*Contact, error) {
	query, args := `SELECT `+contactColumns+` FROM contact c WHERE c.organization_id = $1 AND c.id = $2`, []any{who.OrganizationID, contact}
	if seesOwnOnly(who) {
		query = `SELECT ` + contactColumns + ` FROM contact c WHERE c.organization_id = $1 AND c.id = $3` + ownContacts
		args = []any{who.OrganizationID, who.UserID, contact}
	}
	c := &Contact{}
	err := db.Select(ctx, q, c, query+suffix, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoContact
	}
	return c, err
}

func touch(ctx context.Context, tx *db.Tx, contact, campaign, number id.ID, at time.Time) (bool, error) {
	org := db.TenantFrom(ctx)
	n, err := db.Exec(ctx, tx, `
		UPDATE contact SET last_contacted_at = $3, last_phone_number_id = COALESCE($4, last_phone_number_id),
			last_campaign_id = COALESCE($5, last_campaign_id), version = version + 1, updated_at = $6
		WHERE organization_id = $1 AND id = $2 AND (last_contacted_at IS NULL OR last_contacted_at < $3)`,
		org, contact, at, number, campaign, tx.Now)
	if err != nil {
		return false, err
	}
	if !campaign.IsZero() {
		// D04: which campaign contacted a lead last.
		_, err = db.Exec(ctx, tx, `
			UPDATE campaign_member SET last_contacted_at = $4
			WHERE organization_id = $1 AND campaign_id = $2 AND contact_id = $3 AND (last_contacted_at IS NULL OR last_contacted_at < $4)`,
			org, campaign, contact, at)
	}
	return n > 0, err
}

// Filter says which contacts are wanted.
type Filter struct {
	Kind           Kind   // "" is any
	Number         string // in any form; "" is any
	NameStartsWith string // in any case
	AssignedUserID id.ID
	AccountID      id.ID
	// R135: the business's own words, exactly as they are written.
	Status, Tag, Service, Location string
}

// where is the condition of the filter and its arguments. There are few texts,
// each prepared once.
func (s *Service) where(ctx context.Context, who access.Actor, f Filter) (string, []any, error) {
	args := []any{who.OrganizationID}
	var b strings.Builder
	b.WriteString(` WHERE c.organization_id = $1`)
	if seesOwnOnly(who) {
		args = append(args, who.UserID)
		b.WriteString(ownContacts)
	}
	next := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	if f.Kind != "" {
		b.WriteString(` AND c.kind = ` + next(string(f.Kind)))
	}
	if !f.AssignedUserID.IsZero() {
		b.WriteString(` AND c.assigned_user_id = ` + next(f.AssignedUserID))
	}
	if !f.AccountID.IsZero() {
		b.WriteString(` AND c.account_id = ` + next(f.AccountID))
	}
	for _, w := range []struct{ condition, word string }{
		{` AND c.status = `, f.Status}, {` AND c.service = `, f.Service}, {` AND c.location = `, f.Location},
	} {
		if w.word != "" {
			b.WriteString(w.condition + next(w.word))
		}
		if w.word != "" && w.word == f.Location && who.HidesContactDetails() {
			b.WriteString(` AND false`) // an address finds nobody whose address is hidden
		}
	}
	if f.Tag != "" {
		b.WriteString(` AND ` + next(f.Tag) + ` = ANY (c.tags)`)
	}
	if f.Number != "" {
		country, err := defaultCountry(ctx, s.db.App(), who.OrganizationID)
		if err != nil {
			return "", nil, err
		}
		e, err := phone.Parse(f.Number, country)
		if err != nil {
			return "", nil, errs.New(errs.Invalid, "%s", err).At("filter", "number")
		}
		b.WriteString(` AND c.id IN (SELECT p.contact_id FROM contact_phone p WHERE p.organization_id = $1 AND p.e164 = ` + next(string(e)) + `)`)
		b.WriteString(foundByNumber(who)) // whose number is hidden is not found by it
	}
	if strings.TrimSpace(f.NameStartsWith) != "" {
		prefix, err := checkText(f.NameStartsWith, maxName, "filter", "nameStartsWith")
		if err != nil {
			return "", nil, err
		}
		// A range of bytes, which an index serves whatever the prefix holds; LIKE
		// would be planned without knowing it.
		p := next(prefix)
		b.WriteString(NamedFor(who))
		b.WriteString(` AND lower(c.name) ~>=~ lower(` + p + `::text) AND lower(c.name) ~<~ (lower(` + p + `::text) || chr(1114111))`)
	}
	return b.String(), args, nil
}

func contactKey(c *Contact) db.Keyset { return db.Keyset{At: c.CreatedAt, ID: c.ID} }

// List is a page of the contacts that the actor sees, newest first. Codes:
// errs.Forbidden, errs.Invalid.
func (s *Service) List(ctx context.Context, who access.Actor, f Filter, p db.Page) (w db.Window[*Contact], err error) {
	if err := who.Require(access.ContactView); err != nil {
		return w, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	where, args, err := s.where(ctx, who, f)
	if err != nil {
		return w, err
	}
	// Ids are in the order of time: the primary key is the order of the list.
	n := len(args)
	query := `SELECT ` + contactColumns + ` FROM contact c` + where +
		` AND c.id < $` + strconv.Itoa(n+1) + ` ORDER BY c.id DESC LIMIT $` + strconv.Itoa(n+2)
	var rows []*Contact
	if err := db.Select(ctx, s.db.App(), &rows, query, append(args, after.ID, limit+1)...); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, contactKey), nil
}

// Count is how many contacts the actor sees.
func (s *Service) Count(ctx context.Context, who access.Actor, f Filter) (int, error) {
	if err := who.Require(access.ContactView); err != nil {
		return 0, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	where, args, err := s.where(ctx, who, f)
	if err != nil {
		return 0, err
	}
	var n struct{ Count int }
	err = db.Select(ctx, s.db.App(), &n, `SELECT count(*) AS count FROM contact c`+where, args...)
	return n.Count, err
}

// Get is one contact that the actor sees, else errs.NotFound.
func (s *Service) Get(ctx context.Context, who access.Actor, contact id.ID) (*Contact, error) {
	if !who.Can(access.ContactView) {
		return nil, errNoContact
	}
	return seen(db.WithTenant(ctx, who.OrganizationID), s.db.App(), who, contact)
}

// Sees reports whether the actor sees a contact, for the nouns that link to one.
func Sees(ctx context.Context, q bun.IDB, who access.Actor, contact id.ID) (bool, error) {
	if !who.Can(access.ContactView) {
		return false, nil
	}
	_, err := seen(ctx, q, who, contact)
	if errors.Is(err, errNoContact) {
		return false, nil
	}
	return err == nil, err
}

// ByIDs are contacts of the context's tenant by id, in one statement; what does not exist is missing.
func (s *Service) ByIDs(ctx context.Context, ids []id.ID) (map[id.ID]*Contact, error) {
	var rows []*Contact
	err := db.Select(ctx, s.db.App(), &rows, `SELECT `+contactColumns+` FROM contact c
		WHERE c.organization_id = $1 AND c.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), ids)
	out := make(map[id.ID]*Contact, len(rows))
	for _, c := range rows {
		out[c.ID] = c
	}
	return out, err
}

// Named are contacts by id, in one statement, as a call or a message of the actor's
// speaks of them: whom they do not see has a name and nothing else (R243).
func (s *Service) Named(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*Contact, error) {
	if !who.Can(access.ContactView) {
		return nil, nil
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	if !seesOwnOnly(who) {
		return s.ByIDs(ctx, ids)
	}
	var rows []*Contact
	err := db.Select(ctx, s.db.App(), &rows, `SELECT `+contactColumns+`, `+isOwnContact+` AS is_own FROM contact c
		WHERE c.organization_id = $1 AND c.id = ANY ($3::uuid[])`, who.OrganizationID, who.UserID, ids)
	out := make(map[id.ID]*Contact, len(rows))
	for _, c := range rows {
		if !c.IsOwn {
			c = nameOnly(c)
		}
		out[c.ID] = c
	}
	return out, err
}

// nameOnly is a contact as somebody knows it who does not see it.
func nameOnly(c *Contact) *Contact {
	return &Contact{OrganizationID: c.OrganizationID, ID: c.ID, Kind: c.Kind, Name: c.Name, Tags: []string{}, Version: c.Version,
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt}
}

// PhonesByContacts are the phones of contacts of the context's tenant, primary
// first, in one statement.
func (s *Service) PhonesByContacts(ctx context.Context, contacts []id.ID) (map[id.ID][]*Phone, error) {
	return phonesOf(ctx, s.db.App(), contacts)
}

func phonesOf(ctx context.Context, q bun.IDB, contacts []id.ID) (map[id.ID][]*Phone, error) {
	if len(contacts) == 0 {
		return map[id.ID][]*Phone{}, nil
	}
	var rows []*Phone
	err := db.Select(ctx, q, &rows, `
		SELECT p.organization_id, p.contact_id, p.e164, p.label, p.is_primary, p.created_at FROM contact_phone p
		WHERE p.organization_id = $1 AND p.contact_id = ANY ($2::uuid[])
		ORDER BY p.contact_id, p.is_primary DESC, p.e164`, db.TenantFrom(ctx), contacts)
	out := make(map[id.ID][]*Phone, len(contacts))
	for _, p := range rows {
		out[p.ContactID] = append(out[p.ContactID], p)
	}
	return out, err
}

// PhonesFor are the phones of those of the contacts that the actor sees: an empty
// list for one without phones, nothing for one that only a call or a message of
// theirs speaks of (R241, R243), or whom they reach through a masked number.
func (s *Service) PhonesFor(ctx context.Context, who access.Actor, contacts []id.ID) (map[id.ID][]*Phone, error) {
	if !who.Can(access.ContactView) || who.HidesContactDetails() {
		return nil, nil
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	if seesOwnOnly(who) {
		var own []struct {
			ID id.ID `bun:"id"`
		}
		err := db.Select(ctx, s.db.App(), &own, `SELECT c.id FROM contact c
			WHERE c.organization_id = $1 AND c.id = ANY ($3::uuid[])`+ownContacts+unmasked, who.OrganizationID, who.UserID, contacts)
		if err != nil {
			return nil, err
		}
		contacts = make([]id.ID, len(own))
		for i, c := range own {
			contacts[i] = c.ID
		}
	}
	out, err := s.PhonesByContacts(ctx, contacts)
	if err != nil {
		return nil, err
	}
	for _, c := range contacts {
		if out[c] == nil {
			out[c] = []*Phone{}
		}
	}
	return out, nil
}
