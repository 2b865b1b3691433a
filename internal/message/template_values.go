package message

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/tenant"
)

// MergeFacts are what the values of a template are taken from; any of them may be
// missing. Whoever fills them in decides what may be seen.
type MergeFacts struct {
	Contact  *contact.Contact
	Phone    phone.E164 // the contact's main one
	Record   *contact.Record
	UserName string // of whoever sends it or is in charge
	Business *tenant.Organization

	// What an event that started an automation brought.
	EtaAt       *time.Time
	Note        string
	TrackingURL string // stands in for the record's own
}

// Values are the facts by the paths of FieldsFor.
func (f MergeFacts) Values() Values {
	v := Values{"event.eta": f.EtaAt, "event.note": f.Note}
	if c := f.Contact; c != nil {
		first, last := NameParts(c.Name)
		maps.Copy(v, Values{"contact.name": c.Name, "contact.firstName": first, "contact.lastName": last, "contact.company": c.Company,
			"contact.email": c.Email, "contact.location": c.Location, "contact.phone": string(f.Phone)})
	}
	if f.UserName != "" {
		first, _ := NameParts(f.UserName)
		v["user.name"], v["user.firstName"] = f.UserName, first
	}
	if b := f.Business; b != nil {
		v["business.name"] = b.Name
		if b.CompanyPhone != nil {
			v["business.phone"] = string(*b.CompanyPhone)
		}
	}
	if r := f.Record; r != nil {
		maps.Copy(v, Values{"record.title": r.Title, "record.status": r.Status, "record.externalId": r.ExternalID, "record.startsAt": r.StartsAt,
			"record.endsAt": r.EndsAt, "record.etaAt": r.EtaAt, "record.nextServiceAt": r.NextServiceAt, "record.expiresAt": r.ExpiresAt, "record.dueAt": r.DueAt,
			"record.url": r.URL, "record.trackingUrl": r.TrackingURL, "record.service": r.Service, "record.location": r.Location})
		if m := r.Amount(); m != nil {
			v["record.amount"] = MinorUnits(m.AmountMinor, m.Currency)
		}
		for key, value := range r.Data {
			v["record.data."+key] = value
		}
		if f.EtaAt != nil {
			v["record.etaAt"] = f.EtaAt
		}
		if strings.HasPrefix(f.TrackingURL, "https://") {
			v["record.trackingUrl"] = f.TrackingURL
		}
	}
	return v
}

// MinorUnits is an amount in the smallest unit of its currency as Money.
func MinorUnits(amount int64, currency string) Money {
	places, ok := decimals[currency]
	if !ok {
		places = 2
	}
	unit := int64(math.Pow10(6 - places))
	if amount > math.MaxInt64/unit || amount < math.MinInt64/unit {
		unit = 1 // nobody's invoice
	}
	return Money{Micros: amount * unit, Currency: currency}
}

// facts are what the actor may see of a contact and a record, and the zone that
// times are written in.
func (s *Templates) facts(ctx context.Context, who access.Actor, contactID, recordID id.ID) (f MergeFacts, zone *time.Location, err error) {
	if f.Business, err = tenant.Read(ctx, s.d.DB.App()); err != nil {
		return f, nil, err
	}
	inCharge := who.UserID
	if !recordID.IsZero() {
		if f.Record, err = s.d.Contacts.Record(ctx, who, recordID); err != nil {
			return f, nil, blame(err, "recordId")
		}
		if inCharge.IsZero() {
			inCharge = f.Record.AssignedUserID
		}
		if contactID.IsZero() {
			contactID = f.Record.ContactID
		}
	}
	if f.UserName, err = userName(ctx, s.d.DB.App(), inCharge); err != nil || contactID.IsZero() {
		return f, f.Business.Location(), err
	}
	// The contact of a record that they see has a name for them, and no more unless
	// it is theirs.
	named, err := s.d.Contacts.Named(ctx, who, []id.ID{contactID})
	if err == nil && f.Record == nil {
		_, err = s.d.Contacts.Get(ctx, who, contactID)
	}
	if err == nil && named[contactID] == nil || err == nil && f.Record != nil && contactID != f.Record.ContactID {
		_, err = s.d.Contacts.Get(ctx, who, contactID)
	}
	if err != nil {
		if errs.IsCode(err, errs.NotFound) {
			err = blame(err, "contactId")
		}
		return f, nil, err
	}
	f.Contact = named[contactID].For(who)
	phones, err := s.d.Contacts.PhonesFor(ctx, who, []id.ID{contactID})
	if err != nil {
		return f, nil, err
	}
	if p := phones[contactID]; len(p) > 0 {
		f.Phone = p[0].E164
	}
	return f, ZoneOf(f.Phone, nonNil(f.Contact.Timezone), f.Business.Location()), nil
}

func nonNil(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// MergeFields are the fields that a template of a kind of record may use (R163);
// nil: those of a contact alone.
func MergeFields(kind *contact.RecordKind) []FieldInfo { return slices.Clone(FieldsFor(kindOf(kind))) }
