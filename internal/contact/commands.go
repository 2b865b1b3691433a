package contact

import (
	"context"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/blob"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/patch"
)

// The events. The contact or record that was created or changed is the subject.
const (
	Updated event.Kind = "CONTACT_UPDATED"
	// Removed and RecordRemoved say that their subject is gone; their data is a RemovedData.
	Removed       event.Kind = "CONTACT_REMOVED"
	RecordRemoved event.Kind = "RECORD_REMOVED"
	// ImportUpdated says that its subject, an import, went on or ended.
	ImportUpdated event.Kind = "CONTACT_IMPORT_UPDATED"
	RecordUpdated event.Kind = "RECORD_UPDATED"
	// RecordEventAdded says that something happened to its subject, a record; its
	// data is a RecordEventData.
	RecordEventAdded event.Kind = "RECORD_EVENT"
)

// Deps are what the Service needs.
type Deps struct {
	DB *db.DB
	// Linked are the tables of other nouns that link to contacts and records: what a
	// merge moves, and where a deletion looks for legal holds.
	Linked []Link
	// Files keeps what is imported; without it nothing can be.
	Files *blob.Store
	// Actor is who imports, as they are now: a file is read after its sender has gone.
	Actor func(ctx context.Context, organization, userOrKey id.ID) (access.Actor, error)
}

// Service keeps contacts, campaigns and business records.
type Service struct {
	db *db.DB
	d  Deps
}

// New makes a Service.
func New(d Deps) *Service { return &Service{db: d.DB, d: d} }

// Create is a new contact.
type Create struct {
	Kind           Kind
	Name           string
	Company        *string
	Email          *string
	Country        *string
	Status         *string
	Tags           []string
	Timezone       *string
	Service        *string
	Location       *string
	ExternalID     *string
	Phones         []PhoneInput
	AssignedUserID id.ID
	AccountID      id.ID
}

// Create adds a contact. Codes: errs.Invalid, errs.Required, errs.Taken for an
// external id that exists, errs.NotFound for the user or the account.
func (s *Service) Create(ctx context.Context, who access.Actor, in Create) (c *Contact, err error) {
	err = s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		c, err = CreateIn(ctx, tx, who, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// CreateIn is Create within the caller's transaction, for what is made of several things.
func CreateIn(ctx context.Context, tx *db.Tx, who access.Actor, in Create) (_ *Contact, err error) {
	if err := who.Require(access.ContactEdit); err != nil {
		return nil, err
	}
	c := &Contact{
		OrganizationID: who.OrganizationID, ID: id.New(id.Contact), Kind: in.Kind, AssignedUserID: in.AssignedUserID,
		AccountID: in.AccountID, CreatedByID: who.UserID, Version: 1,
	}
	if c.Name, err = checkText(in.Name, maxName, "name"); err != nil {
		return nil, err
	}
	if c.Company, err = checkOptional(in.Company, maxName, "company"); err != nil {
		return nil, err
	}
	if c.Email, err = checkEmail(in.Email); err != nil {
		return nil, err
	}
	if c.Country, err = checkCountry(in.Country); err != nil {
		return nil, err
	}
	if c.Status, err = checkOptional(in.Status, maxWord, "status"); err != nil {
		return nil, err
	}
	if c.Timezone, err = checkTimezone(in.Timezone); err != nil {
		return nil, err
	}
	if c.Service, err = checkOptional(in.Service, maxWord, "service"); err != nil {
		return nil, err
	}
	if c.Location, err = checkOptional(in.Location, maxWord, "location"); err != nil {
		return nil, err
	}
	if c.ExternalID, err = checkOptional(in.ExternalID, maxName, "externalId"); err != nil {
		return nil, err
	}
	if c.Tags, err = checkTags(in.Tags); err != nil {
		return nil, err
	}
	if !in.Kind.Known() {
		return nil, errs.New(errs.Invalid, "%q is not a kind of contact", string(in.Kind)).At("kind")
	}
	if err := checkUser(in.AssignedUserID); err != nil {
		return nil, err
	}
	phones, err := readPhones(ctx, tx, c, in.Phones)
	if err != nil {
		return nil, err
	}
	if err := mayBelong(ctx, tx, who, c); err != nil {
		return nil, err
	}
	c.CreatedAt, c.UpdatedAt = tx.Now, tx.Now
	if err := insert(ctx, tx, c, phones); err != nil {
		return nil, err
	}
	return c, changed(ctx, tx, who, "contact.create", c.ID, map[string]any{"kind": c.Kind})
}

// readPhones reads typed numbers with the contact's country, else the organization's.
func readPhones(ctx context.Context, tx *db.Tx, c *Contact, in []PhoneInput) ([]*Phone, error) {
	if len(in) == 0 {
		return nil, nil
	}
	country := ""
	if c.Country != nil {
		country = *c.Country
	} else {
		var err error
		if country, err = defaultCountry(ctx, tx, c.OrganizationID); err != nil {
			return nil, err
		}
	}
	return checkPhones(in, country)
}

// Update changes a contact: absent keeps, null clears.
type Update struct {
	Kind           patch.Field[Kind]
	Name           patch.Field[string]
	Company        patch.Field[string]
	Email          patch.Field[string]
	Country        patch.Field[string]
	Status         patch.Field[string]
	Tags           patch.Field[[]string]
	Timezone       patch.Field[string]
	Service        patch.Field[string]
	Location       patch.Field[string]
	Phones         patch.Field[[]PhoneInput]
	AssignedUserID patch.Field[id.ID]
	AccountID      patch.Field[id.ID]
}

// mayEdit refuses who may not change contacts and records, and who may not read them:
// a change answers with what it changed.
func mayEdit(who access.Actor) error {
	if err := who.Require(access.ContactEdit); err != nil {
		return err
	}
	return who.Require(access.ContactView)
}

// Update changes a contact that the actor may see. Codes: errs.NotFound, errs.Conflict
// for an account that has members and would be none, those of Create.
func (s *Service) Update(ctx context.Context, who access.Actor, contact id.ID, in Update) (c *Contact, err error) {
	if err := mayEdit(who); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if c, err = lock(ctx, tx, who, contact); err != nil {
			return err
		}
		wasAccount := c.Kind == KindAccount
		if err := c.apply(in); err != nil {
			return err
		}
		if wasAccount && c.Kind != KindAccount {
			if err := noMembers(ctx, tx, c.ID, "kind"); err != nil {
				return err
			}
		}
		if in.AccountID.Has() || in.Kind.Set {
			if err := mayBelong(ctx, tx, who, c); err != nil {
				return err
			}
		}
		if in.Phones.Set {
			phones, err := readPhones(ctx, tx, c, in.Phones.Value)
			if err != nil {
				return err
			}
			if err := replacePhones(ctx, tx, c, phones); err != nil {
				return err
			}
		}
		c.Version, c.UpdatedAt = c.Version+1, tx.Now
		if _, err := tx.NewUpdate().Model(c).WherePK().Exec(ctx); err != nil {
			return err
		}
		return changed(ctx, tx, who, "contact.update", c.ID, map[string]any{"fields": in.fields()})
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Contact) apply(in Update) (err error) {
	if in.Kind.Set {
		if !in.Kind.Value.Known() {
			return errs.New(errs.Invalid, "choose a kind of contact").At("kind")
		}
		c.Kind = in.Kind.Value
	}
	if in.Name.Set {
		if c.Name, err = checkText(in.Name.Value, maxName, "name"); err != nil {
			return err
		}
	}
	if err := change(in.Company, &c.Company, optional(maxName, "company")); err != nil {
		return err
	}
	if err := change(in.Email, &c.Email, checkEmail); err != nil {
		return err
	}
	if err := change(in.Country, &c.Country, checkCountry); err != nil {
		return err
	}
	if err := change(in.Status, &c.Status, optional(maxWord, "status")); err != nil {
		return err
	}
	if err := change(in.Timezone, &c.Timezone, checkTimezone); err != nil {
		return err
	}
	if err := change(in.Service, &c.Service, optional(maxWord, "service")); err != nil {
		return err
	}
	if err := change(in.Location, &c.Location, optional(maxWord, "location")); err != nil {
		return err
	}
	if in.Tags.Set {
		if c.Tags, err = checkTags(in.Tags.Value); err != nil {
			return err
		}
	}
	if err := checkUser(in.AssignedUserID.Value); err != nil {
		return err
	}
	in.AssignedUserID.Apply(&c.AssignedUserID)
	in.AccountID.Apply(&c.AccountID)
	return nil
}

// fields names what the change mentions, for the audit record: no values.
func (in Update) fields() []string {
	var out []string
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"kind", in.Kind.Set}, {"name", in.Name.Set}, {"company", in.Company.Set}, {"email", in.Email.Set},
		{"country", in.Country.Set}, {"status", in.Status.Set}, {"tags", in.Tags.Set}, {"timezone", in.Timezone.Set},
		{"service", in.Service.Set}, {"location", in.Location.Set}, {"phones", in.Phones.Set},
		{"assignedUserId", in.AssignedUserID.Set}, {"accountId", in.AccountID.Set},
	} {
		if f.set {
			out = append(out, f.name)
		}
	}
	return out
}

// Touch keeps who contacted a contact last (R287): the campaign, when there is
// one, the number and the time. An older time than the one that is kept changes
// nothing, so that facts may come in any order.
func Touch(ctx context.Context, tx *db.Tx, contact, campaign, number id.ID, at time.Time) error {
	touched, err := touch(ctx, tx, contact, campaign, number, at)
	if err != nil || !touched {
		return err
	}
	return event.Append(ctx, tx, event.Event{OrganizationID: db.TenantFrom(ctx), Kind: Updated, Subject: contact})
}

// Touch is the function of that name.
func (s *Service) Touch(ctx context.Context, tx *db.Tx, contact, campaign, number id.ID, at time.Time) error {
	return Touch(ctx, tx, contact, campaign, number, at)
}

// updates are the events of what is created or changed.
var updates = map[id.Kind]event.Kind{id.Contact: Updated, id.Record: RecordUpdated}

// changed tells the log and the audit record.
func changed(ctx context.Context, tx *db.Tx, who access.Actor, action string, subject id.ID, detail map[string]any) error {
	if kind, ok := updates[subject.Kind()]; ok {
		err := event.Append(ctx, tx, event.Event{OrganizationID: who.OrganizationID, Kind: kind, Subject: subject, ActorID: who.UserID})
		if err != nil {
			return err
		}
	}
	return audit.Write(ctx, tx, audit.Entry{ActorID: actor(who), Action: action, Subject: subject, Detail: detail})
}

// actor is the person, or the key that acted in their place.
func actor(who access.Actor) id.ID {
	if who.UserID.IsZero() {
		return who.APIKeyID
	}
	return who.UserID
}
