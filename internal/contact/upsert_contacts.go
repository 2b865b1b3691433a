package contact

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
)

// ContactUpsert is a contact as the business's other system has it, known by its
// external id. Absent keeps, null clears.
type ContactUpsert struct {
	ExternalID string
	Update
	AssignedUserEmail patch.Field[string]
	AccountExternalID patch.Field[string]
	Source            Source

	// What only a row of a file says.
	fromFile bool
	target   id.ID  // the contact that its number or e-mail found
	country  string // of numbers without a country code
	kind     Kind   // of a new contact
	name     string // of a new contact without another
}

// key is what two rows must not share. A new row without an external id shares
// nothing with others.
func (in *ContactUpsert) key(i int) string {
	switch {
	case in.ExternalID != "":
		return "external " + in.ExternalID
	case !in.target.IsZero():
		return "id " + in.target.String()
	}
	return "row " + strconv.Itoa(i)
}

// UpsertContacts is UpsertRecords for contacts.
func (s *Service) UpsertContacts(ctx context.Context, who access.Actor, in []ContactUpsert, key string) ([]UpsertRow, error) {
	return s.upsert(ctx, who, "contactUpsert", len(in), key, in, func(ctx context.Context, tx *db.Tx, rows []UpsertRow) error {
		return upsertContacts(ctx, tx, who, slices.Clone(in), rows)
	})
}

func upsertContacts(ctx context.Context, tx *db.Tx, who access.Actor, in []ContactUpsert, rows []UpsertRow) error {
	keys := make([]string, len(in))
	var names, groups wanted
	for i := range in {
		x := &in[i]
		if err := rows[i].try(i, x.check); err != nil {
			return err
		}
		keys[i] = x.key(i)
		names.user(x.AssignedUserID, x.AssignedUserEmail)
		groups.contact(x.AccountID, x.AccountExternalID)
	}
	found, err := names.find(ctx, tx, who)
	if err != nil {
		return err
	}
	belong, err := accountsOf(ctx, tx, who, groups.contacts, groups.external)
	if err != nil {
		return err
	}
	for i := range in {
		x := &in[i]
		if err := rows[i].try(i, func() error {
			if err := belong.account(&x.AccountID, x.AccountExternalID); err != nil {
				return err
			}
			return found.assignee(&x.AssignedUserID, x.AssignedUserEmail)
		}); err != nil {
			return err
		}
	}
	country, err := defaultCountry(ctx, tx, who.OrganizationID)
	if err != nil {
		return err
	}
	left := lastOf(rows, keys)
	for range passes {
		if left, err = upsertContactsOnce(ctx, tx, who, country, in, rows, left); err != nil || len(left) == 0 {
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

// check reads a row by itself; its phones are read when their country is known.
func (in *ContactUpsert) check() (err error) {
	if !in.fromFile || strings.TrimSpace(in.ExternalID) != "" {
		if in.ExternalID, err = checkText(in.ExternalID, maxName, "externalId"); err != nil {
			return err
		}
	}
	if err := in.Source.check(); err != nil {
		return err
	}
	return (&Contact{}).apply(in.Update)
}

// upsertContactsOnce returns the rows whose contacts came into being in between.
func upsertContactsOnce(ctx context.Context, tx *db.Tx, who access.Actor, country string, in []ContactUpsert, rows []UpsertRow, left []int) (again []int, err error) {
	there, err := contactsNamed(ctx, tx, who, in, left)
	if err != nil {
		return nil, err
	}
	var added, changed []*Contact
	var cleared []id.ID
	var phones []*Phone
	newPhones := map[id.ID][]*Phone{}
	newOnes := map[id.ID]int{}
	for _, i := range left {
		x := &in[i]
		c, isNew, whole := there.of(x), false, x.Update
		if err := rows[i].try(i, func() error {
			if survivor, merged := there.merged[x.ExternalID]; c == nil && merged {
				if there.hidden[survivor] {
					return at(errNoContact, "externalId")
				}
				// The other system has two of what is one here: the one that stayed goes on being its own.
				rows[i].Status, rows[i].ID = Unchanged, survivor
				return nil
			}
			if c == nil {
				isNew = true
				c = &Contact{OrganizationID: who.OrganizationID, ID: id.New(id.Contact), Tags: []string{},
					CreatedByID: who.UserID, Version: 1, CreatedAt: tx.Now, UpdatedAt: tx.Now}
				if x.ExternalID != "" {
					c.ExternalID = &x.ExternalID
				}
				if x.kind != "" && !whole.Kind.Has() {
					whole.Kind = patch.To(x.kind)
				}
				if x.name != "" && !whole.Name.Has() {
					whole.Name = patch.To(x.name)
				}
				whole.Kind.Set, whole.Name.Set = true, true // a contact needs both
			} else if there.hidden[c.ID] {
				return at(errNoContact, "externalId")
			} else if x.Source.older(c.SourceUpdatedAt, c.SourceVersion) {
				rows[i].Status, rows[i].ID = Stale, c.ID
				return nil
			}
			before, wasAccount := c.content(), c.Kind == KindAccount
			if err := c.apply(whole); err != nil {
				return err
			}
			if wasAccount && c.Kind != KindAccount && there.members[c.ID] {
				return at(errHasMembers, "kind")
			}
			if err := checkAccount(c); err != nil {
				return err
			}
			var now []*Phone
			if x.Phones.Set {
				reads := country
				switch {
				case c.Country != nil:
					reads = *c.Country
				case x.country != "":
					reads = x.country
				}
				if now, err = checkPhones(x.Phones.Value, reads); err != nil {
					return err
				}
				if x.fromFile && !isNew {
					if now, err = withPhones(there.phones[c.ID], now); err != nil {
						return err
					}
				}
				for _, p := range now {
					p.OrganizationID, p.ContactID, p.CreatedAt = c.OrganizationID, c.ID, tx.Now
				}
			}
			news := x.Source.keep(&c.SourceUpdatedAt, &c.SourceVersion)
			rows[i].Status, rows[i].ID = Unchanged, c.ID
			// Who does not see a detail is not told that it is what they guessed (R241).
			discreet := x.Phones.Set && there.masked[c.ID] || who.HidesContactDetails() && (x.Phones.Set || x.Email.Set || x.Location.Set)
			switch otherPhones := x.Phones.Set && !samePhones(there.phones[c.ID], now); {
			case isNew:
				rows[i].Status = Created
				newPhones[c.ID], newOnes[c.ID], added = now, i, append(added, c)
				return nil
			case otherPhones:
				cleared, phones = append(cleared, c.ID), append(phones, now...)
				fallthrough
			case discreet || c.content() != before:
				rows[i].Status, news = Changed, true
				c.Version, c.UpdatedAt = c.Version+1, tx.Now
			}
			if news {
				changed = append(changed, c)
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	if len(changed) > 0 {
		// They are there and locked: each conflicts, and is changed.
		_, err := tx.NewInsert().Model(&changed).On("CONFLICT (organization_id, id) DO UPDATE").
			Set(`kind = excluded.kind, name = excluded.name, company = excluded.company, email = excluded.email, country = excluded.country,
				status = excluded.status, tags = excluded.tags, timezone = excluded.timezone, service = excluded.service,
				location = excluded.location, assigned_user_id = excluded.assigned_user_id, account_id = excluded.account_id, source_updated_at = excluded.source_updated_at,
				source_version = excluded.source_version, version = excluded.version, updated_at = excluded.updated_at`).
			Returning("NULL").Exec(ctx)
		if err != nil {
			return nil, err
		}
	}
	if len(cleared) > 0 {
		_, err := db.Exec(ctx, tx, `DELETE FROM contact_phone WHERE organization_id = $1 AND contact_id = ANY ($2::uuid[])`, who.OrganizationID, cleared)
		if err != nil {
			return nil, err
		}
	}
	if len(added) > 0 {
		if _, err := tx.NewInsert().Model(&added).On("CONFLICT DO NOTHING").Returning("NULL").Exec(ctx); err != nil {
			return nil, err
		}
		again, err = missing(ctx, tx, `SELECT id FROM contact WHERE organization_id = $1 AND id = ANY ($2::uuid[])`, newOnes, left)
		if err != nil {
			return nil, err
		}
		for x, p := range newPhones {
			if !slices.Contains(again, newOnes[x]) {
				phones = append(phones, p...)
			}
		}
	}
	if len(phones) > 0 {
		_, err = tx.NewInsert().Model(&phones).Returning("NULL").Exec(ctx)
	}
	return again, err
}

// thereAlready are the contacts that a batch names.
type thereAlready struct {
	external map[string]*Contact
	ids      map[id.ID]*Contact
	hidden   map[id.ID]bool     // those that the actor does not see
	masked   map[id.ID]bool     // the actor reaches them through a masked number, and does not see theirs (R103)
	phones   map[id.ID][]*Phone // of those whose phones are sent
	merged   map[string]id.ID   // external ids of contacts that were merged, with the survivor
	members  map[id.ID]bool     // accounts that contacts belong to
}

// of is the contact that the row changes; nil for a new one.
func (t thereAlready) of(x *ContactUpsert) *Contact {
	if x.ExternalID != "" {
		return t.external[x.ExternalID]
	}
	return t.ids[x.target]
}

// contactsNamed locks the contacts that the rows name, tells which of them the
// actor does not see, and reads the phones of those whose phones are sent.
func contactsNamed(ctx context.Context, tx *db.Tx, who access.Actor, in []ContactUpsert, left []int) (t thereAlready, err error) {
	var external []string
	var targets []id.ID
	sent := map[string]bool{}
	for _, i := range left {
		switch x := &in[i]; {
		case x.ExternalID != "":
			external, sent[x.ExternalID] = append(external, x.ExternalID), x.Phones.Set
		case !x.target.IsZero():
			targets = append(targets, x.target)
		}
	}
	t = thereAlready{external: map[string]*Contact{}, ids: map[id.ID]*Contact{}, hidden: map[id.ID]bool{}, masked: map[id.ID]bool{}}
	var found []*Contact
	err = db.Select(ctx, tx, &found, `SELECT `+contactColumns+` FROM contact c
		WHERE c.organization_id = $1 AND (c.external_id = ANY ($2::text[]) OR c.id = ANY ($3::uuid[])) ORDER BY c.id FOR NO KEY UPDATE OF c`,
		who.OrganizationID, external, targets)
	if err != nil {
		return t, err
	}
	var ids, withPhones []id.ID
	for _, c := range found {
		t.ids[c.ID] = c
		ids = append(ids, c.ID)
		if c.ExternalID != nil {
			t.external[*c.ExternalID] = c
		}
		if c.ExternalID == nil || sent[*c.ExternalID] || slices.Contains(targets, c.ID) {
			withPhones = append(withPhones, c.ID)
		}
	}
	if len(t.external) < len(external) {
		if t.merged, err = mergedExternal(ctx, tx, who, external, ""); err != nil {
			return t, err
		}
		ids = slices.AppendSeq(ids, maps.Values(t.merged))
	}
	if seesOwnOnly(who) && len(ids) > 0 {
		own := map[id.ID]bool{}
		err := scanWords(ctx, tx, own, nil, `SELECT c.id, NULL::text AS word FROM contact c
			WHERE c.organization_id = $1 AND c.id = ANY ($3::uuid[])`+Own(who), who.OrganizationID, who.UserID, ids)
		if err != nil {
			return t, err
		}
		for _, x := range ids {
			t.hidden[x] = !own[x]
		}
	}
	if seesOwnOnly(who) && len(withPhones) > 0 {
		shown := map[id.ID]bool{}
		err := scanWords(ctx, tx, shown, nil, `SELECT c.id, NULL::text AS word FROM contact c
			WHERE c.organization_id = $1 AND c.id = ANY ($3::uuid[])`+unmasked, who.OrganizationID, who.UserID, withPhones)
		if err != nil {
			return t, err
		}
		for _, x := range withPhones {
			t.masked[x] = !shown[x]
		}
	}
	if t.phones, err = phonesOf(ctx, tx, withPhones); err != nil {
		return t, err
	}
	t.members, err = membersLeft(ctx, tx, t, in, left)
	return t, err
}

// membersLeft are those of the accounts that the rows turn into something else to
// which contacts belong, or would by a row of the same batch.
func membersLeft(ctx context.Context, tx *db.Tx, t thereAlready, in []ContactUpsert, left []int) (map[id.ID]bool, error) {
	var turned, joined []id.ID
	for _, i := range left {
		x := &in[i]
		if c := t.of(x); c != nil && c.Kind == KindAccount && x.Kind.Has() && x.Kind.Value != KindAccount {
			turned = append(turned, c.ID)
		}
		if x.AccountID.Has() {
			joined = append(joined, x.AccountID.Value)
		}
	}
	if len(turned) == 0 {
		return nil, nil
	}
	members, err := haveMembers(ctx, tx, turned)
	for _, x := range joined {
		members[x] = true
	}
	return members, err
}

// withPhones are the phones of a contact with those of a file, which takes none
// away. The primary one stays.
func withPhones(had, sent []*Phone) ([]*Phone, error) {
	out := slices.Clone(had)
	for _, p := range sent {
		if slices.ContainsFunc(had, func(h *Phone) bool { return h.E164 == p.E164 }) {
			continue
		}
		p.IsPrimary = p.IsPrimary && len(had) == 0
		out = append(out, p)
	}
	if len(out) > maxPhones {
		return nil, errs.New(errs.Invalid, "with these the contact would have %d phones; it has %d at most", len(out), maxPhones).At("phones")
	}
	return out, nil
}

func samePhones(a, b []*Phone) bool {
	if len(a) != len(b) {
		return false
	}
	words := func(phones []*Phone) []string {
		out := make([]string, len(phones))
		for i, p := range phones {
			out[i] = string(p.E164) + " " + p.Label
			if p.IsPrimary {
				out[i] += " *"
			}
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(words(a), words(b))
}

// content is what a contact holds, to tell whether something changed.
func (c *Contact) content() string {
	x := *c
	x.Version, x.CreatedAt, x.UpdatedAt, x.SourceUpdatedAt, x.SourceVersion, x.LastContactedAt = 0, time.Time{}, time.Time{}, nil, nil, nil
	if len(x.Tags) == 0 {
		x.Tags = nil
	}
	b, err := json.Marshal(x)
	if err != nil { // texts and times
		panic(err)
	}
	return string(b)
}

func trim(s string) string { return strings.TrimSpace(s) }
