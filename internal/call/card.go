package call

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
	"switchboard/internal/tenant"
)

// IsSaved reports whether the call is linked to a contact or a record, or somebody
// noted what came of it (R182).
func (c *Call) IsSaved() bool {
	return !c.ContactID.IsZero() || !c.RecordID.IsZero() || c.Outcome != nil || c.Notes != nil
}

// CardAsk is what the caller card of the call is asked for; false where there is
// none: between colleagues, of a test, and of an ignored number (R057). A masked
// call is known by its pair, never by its number.
func (c *Call) CardAsk() (contact.CardAsk, bool) {
	if c.Direction == Internal || c.IsIgnored || c.IsTest {
		return contact.CardAsk{}, false
	}
	a := contact.CardAsk{Outbound: c.Direction == Outbound, OfCall: true, ContactID: c.ContactID, RecordID: c.RecordID}
	number, hidden := c.FromNumber, c.FromMasked
	if a.Outbound {
		number, hidden = c.ToNumber, c.ToMasked
	}
	if e, ok := phone.FromWire(number); ok && c.MaskedPairID.IsZero() {
		a.Number, a.HidesNumber = e, hidden
	}
	return a, true
}

// saved is what a call is linked to by itself (R182), where its number found the
// contact; without a saving the links are of somebody's choosing and stay.
func saved(ctx context.Context, tx *db.Tx, saving contact.CallSaving, c, record id.ID) (id.ID, id.ID, error) {
	switch {
	case saving == contact.SavesNothing:
		return id.ID{}, record, nil
	case saving == contact.SavesContactAndRecord && record.IsZero():
		open, err := contact.OpenRecord(ctx, tx, c)
		return c, open, err
	}
	return c, record, nil
}

// SaveInput is what is saved about a call from its card.
type SaveInput struct {
	UpdateInput
	// What is created and linked; of the kinds that the settings of the card allow (R184).
	CreateContact *contact.Create
	CreateRecord  *contact.RecordCreate
}

// Save is Update that also creates a contact or a record and links it, in one
// transaction. A new contact without phones gets the number of the call, a new
// record without a contact is for that of the call. With a key that was used nothing
// is created again. Codes: those of Update and of what is created.
func (s *Service) Save(ctx context.Context, who access.Actor, call id.ID, in SaveInput, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Save")
	c, err := s.mayChange(ctx, who, call)
	if err != nil {
		return nil, err
	}
	change, err := changeOf(in.UpdateInput)
	if err != nil {
		return nil, err
	}
	switch {
	case in.CreateContact != nil && in.ContactID.Set:
		return nil, errs.New(errs.Invalid, "link a contact or create one, not both").At("contactId")
	case in.CreateRecord != nil && in.RecordID.Set:
		return nil, errs.New(errs.Invalid, "link a record or create one, not both").At("recordId")
	case *change == (Change{}) && in.CreateContact == nil && in.CreateRecord == nil:
		return c, nil
	}
	err = s.DB.InTxAgain(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if err := tenant.BeforeDeleting(ctx, tx); err != nil {
			return err
		}
		_, err := job.Once(ctx, tx, job.Key{User: who.ID(), Mutation: "callSave", Key: key}, struct {
			Call id.ID
			In   json.RawMessage
		}{call, asJSON(in)}, func() (id.ID, error) {
			change := *change
			if err := s.quickly(ctx, tx, who, c, in, &change); err != nil {
				return call, err
			}
			return call, s.change(ctx, tx, who, call, in.UpdateInput, &change)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.own(ctx, who, call)
}

func asJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil { // texts, ids and times
		panic(err)
	}
	return b
}

// quickly creates what a call is to be linked to.
func (s *Service) quickly(ctx context.Context, tx *db.Tx, who access.Actor, c *Call, in SaveInput, change *Change) error {
	var kind contact.Kind
	var record contact.RecordKind
	if in.CreateContact != nil {
		kind = in.CreateContact.Kind
	}
	if in.CreateRecord != nil {
		record = in.CreateRecord.Kind
	}
	if err := contact.MayQuickCreate(ctx, tx, kind, record); err != nil {
		return err
	}
	linked := c.ContactID
	if change.Contact != nil {
		linked = *change.Contact
	}
	if in.CreateContact != nil {
		create := *in.CreateContact
		if ask, ok := c.CardAsk(); ok && len(create.Phones) == 0 && ask.Number != "" {
			create.Phones = []contact.PhoneInput{{Number: string(ask.Number), IsPrimary: true}}
		}
		made, err := contact.CreateIn(ctx, tx, who, create)
		if err != nil {
			return within(err, "createContact")
		}
		linked, change.Contact = made.ID, &made.ID
	}
	if in.CreateRecord != nil {
		create := *in.CreateRecord
		if create.ContactID.IsZero() {
			create.ContactID = linked
		}
		made, err := contact.CreateRecordIn(ctx, tx, who, create)
		if err != nil {
			return within(err, "createRecord")
		}
		change.Record = &made.ID
	}
	return nil
}

// within names the part of the input that an error is about.
func within(err error, part ...string) error {
	e, ok := errs.As(err)
	if !ok || e.Code == errs.Internal {
		return err
	}
	return errs.New(e.Code, "%s", e.Message).At(append(part, e.Field...)...)
}

// MaxRelinked is how many calls are relinked at a time.
const MaxRelinked = 100

// Relink corrects the links of calls, all or none (R186); their voicemails and
// recordings follow them (R278). It needs for each what Update needs. Codes: those
// of Update, with the place of the id.
func (s *Service) Relink(ctx context.Context, who access.Actor, calls []id.ID, contactID, recordID patch.Field[id.ID]) (_ []*Call, err error) {
	defer errs.Wrap(&err, "call.Relink")
	switch {
	case len(calls) == 0:
		return nil, errs.New(errs.Required, "choose at least one call").At("ids")
	case len(calls) > MaxRelinked:
		return nil, errs.New(errs.LimitReached, "choose %d calls at most; do the others in another step", MaxRelinked).At("ids")
	case !contactID.Set && !recordID.Set:
		return nil, errs.New(errs.Required, "say what to link the calls to, or null for nothing").At("input")
	}
	in := UpdateInput{ContactID: contactID, RecordID: recordID}
	change, err := changeOf(in)
	if err != nil {
		return nil, err
	}
	var order []id.ID
	for i, x := range calls {
		if slices.Contains(order, x) {
			continue
		}
		if _, err := s.mayChange(ctx, who, x); err != nil {
			return nil, within(err, "ids", strconv.Itoa(i))
		}
		order = append(order, x)
	}
	locked := slices.Clone(order)
	slices.SortFunc(locked, func(a, b id.ID) int { return strings.Compare(a.String(), b.String()) })
	err = s.DB.InTxAgain(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		for _, x := range locked {
			if err := s.change(ctx, tx, who, x, in, change); err != nil {
				return err
			}
			detail := map[string]any{}
			if change.Contact != nil {
				detail["contactId"] = change.Contact.String()
			}
			if change.Record != nil {
				detail["recordId"] = change.Record.String()
			}
			if err := audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "call.relink", Subject: x, Detail: detail}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	found, err := s.ByIDs(db.WithTenant(ctx, who.OrganizationID), order)
	if err != nil {
		return nil, err
	}
	out := make([]*Call, 0, len(calls))
	for _, x := range calls {
		if c := found[x]; c != nil {
			out = append(out, c)
		}
	}
	return out, nil
}

// mayChange is the call, if the actor may write on it. Codes: errs.NotFound, errs.Forbidden.
func (s *Service) mayChange(ctx context.Context, who access.Actor, call id.ID) (*Call, error) {
	c, err := s.Get(ctx, who, call)
	if err != nil {
		return nil, err
	}
	if taken := !c.UserID.IsZero() || !c.AnsweredByID.IsZero(); !taken || c.tookPart(who) {
		return c, nil
	}
	talked, err := s.talks(ctx, who, call, LegInProgress, LegEnded)
	if err != nil || talked {
		return c, err
	}
	return c, who.Require(access.CallControl)
}

// changeOf checks what people write.
func changeOf(in UpdateInput) (*Change, error) {
	change := &Change{}
	for _, f := range []struct {
		dst   **string
		in    patch.Field[string]
		name  string
		limit int
	}{{&change.Outcome, in.Outcome, "outcome", 200}, {&change.Notes, in.Notes, "notes", maxText}} {
		if !f.in.Set {
			continue
		}
		if utf8.RuneCountInString(f.in.Value) > f.limit {
			return nil, errs.New(errs.Invalid, "%s is longer than %d characters", f.name, f.limit).At(f.name)
		}
		*f.dst = new(f.in.Value)
	}
	if in.ContactID.Set {
		change.Contact = new(in.ContactID.Value)
	}
	if in.RecordID.Set {
		change.Record = new(in.RecordID.Value)
	}
	return change, nil
}

// change keeps what was written as a fact of the call.
func (s *Service) change(ctx context.Context, tx *db.Tx, who access.Actor, call id.ID, in UpdateInput, change *Change) error {
	relinks := change.Contact != nil || change.Record != nil
	if relinks {
		if err := tenant.BeforeDeleting(ctx, tx); err != nil {
			return err
		}
	}
	if err := mayLink(ctx, tx, who, in.ContactID.Value, in.RecordID.Value); err != nil {
		return err
	}
	if relinks {
		if err := mayUnlink(ctx, tx, who, call, change); err != nil {
			return err
		}
	}
	var written int
	if err := tx.Pgx().QueryRow(ctx, `SELECT count(*) FROM call_fact WHERE organization_id = $1 AND call_id = $2 AND key LIKE 'update/%'`,
		who.OrganizationID, call).Scan(&written); err != nil {
		return db.Translate(err)
	}
	if written >= maxUpdates {
		return errs.New(errs.LimitReached, "this call was changed %d times, which is the most", written)
	}
	_, _, err := s.take(ctx, tx, call, who.UserID, Fact{Key: "update/" + id.New(id.Fact).String(), Kind: FactCommand, At: tx.Now,
		Data: FactData{Command: CommandUpdate, By: who.UserID, Change: change}})
	return err
}

// mayUnlink refuses a change that takes a call out of a legal hold (R226).
func mayUnlink(ctx context.Context, tx *db.Tx, who access.Actor, call id.ID, change *Change) error {
	var c, record id.ID
	if err := tx.Pgx().QueryRow(ctx, `SELECT contact_id, record_id FROM call WHERE organization_id = $1 AND id = $2 FOR UPDATE`, who.OrganizationID, call).Scan(&c, &record); err != nil {
		return db.Translate(err)
	}
	if change.Contact != nil && *change.Contact != c {
		if err := tenant.MayUnlink(ctx, tx, c, "contactId"); err != nil {
			return err
		}
	}
	if change.Record != nil && *change.Record != record {
		return tenant.MayUnlink(ctx, tx, record, "recordId")
	}
	return nil
}
