package contact

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
)

// CallSaving is how a call is saved by itself (R182).
type CallSaving string

// How a call is saved by itself.
const (
	SavesNothing          CallSaving = "OFF"
	SavesContact          CallSaving = "CONTACT"
	SavesContactAndRecord CallSaving = "CONTACT_AND_RECORD"
)

// CallerCardSettings say who identifies callers and what the caller card does.
type CallerCardSettings struct {
	bun.BaseModel `bun:"table:caller_card_settings,alias:caller_card_settings"`

	OrganizationID           id.ID        `bun:"organization_id,pk,type:uuid"`
	ContactKinds             []Kind       `bun:"contact_kinds,array"`         // R179
	RecordKinds              []RecordKind `bun:"record_kinds,array"`          // R179
	HidesLeads               bool         `bun:"hides_leads"`                 // R180
	ShowsRelatedAccountsOnly bool         `bun:"shows_related_accounts_only"` // R181
	InboundSaving            CallSaving   `bun:"inbound_saving"`              // R182
	OutboundSaving           CallSaving   `bun:"outbound_saving"`
	OpensInbound             bool         `bun:"opens_inbound"` // R183
	OpensOutbound            bool         `bun:"opens_outbound"`
	QuickCreateContacts      []Kind       `bun:"quick_create_contacts,array"` // R184
	QuickCreateRecords       []RecordKind `bun:"quick_create_records,array"`
	UpdatedAt                *time.Time   `bun:"updated_at"`
}

// OpeningReason is why nothing opens by itself.
type OpeningReason string

// Why nothing opens by itself.
const (
	OpensOff       OpeningReason = "OFF"
	NoMatch        OpeningReason = "NO_MATCH"
	SeveralMatches OpeningReason = "SEVERAL_MATCHES"
	NotYours       OpeningReason = "NOT_YOURS"
)

// Opening is what to open without being asked: a contact, a record, or nothing and why.
type Opening struct {
	Contact *Contact
	Record  *Record
	Reason  *OpeningReason
}

// CallerCard is who has a number, and what to do about it.
type CallerCard struct {
	Number              *phone.E164 // nil when it is empty, withheld or hidden
	Contacts            []*Contact
	Accounts            []*Contact
	Records             []*Record
	HiddenLeadCount     int
	Opening             *Opening
	Saving              CallSaving
	QuickCreateContacts []Kind
	QuickCreateRecords  []RecordKind
}

// The kinds, in the order of the contract.
var (
	Kinds       = []Kind{KindCustomer, KindLead, KindAccount, KindContact, KindFieldworker}
	RecordKinds = []RecordKind{RecordBooking, RecordQuote, RecordInvoice, RecordInquiry, RecordComplaint}
)

// defaultCard is what holds where nobody said otherwise: everybody identifies
// callers, calls are linked to whoever has the number, and nothing opens.
func defaultCard(org id.ID) *CallerCardSettings {
	return &CallerCardSettings{
		OrganizationID: org, ContactKinds: slices.Clone(Kinds), RecordKinds: slices.Clone(RecordKinds), HidesLeads: true,
		InboundSaving: SavesContact, OutboundSaving: SavesContact,
		QuickCreateContacts: []Kind{KindCustomer, KindLead}, QuickCreateRecords: []RecordKind{RecordBooking, RecordQuote, RecordInquiry, RecordComplaint},
	}
}

// CardSettings are the settings of the context's tenant.
func (s *Service) CardSettings(ctx context.Context) (*CallerCardSettings, error) {
	return cardSettings(ctx, s.db.App(), "")
}

func cardSettings(ctx context.Context, q bun.IDB, suffix string) (*CallerCardSettings, error) {
	org := db.TenantFrom(ctx)
	c := &CallerCardSettings{}
	err := db.Select(ctx, q, c, `SELECT organization_id, contact_kinds, record_kinds, hides_leads, shows_related_accounts_only, inbound_saving,
		outbound_saving, opens_inbound, opens_outbound, quick_create_contacts, quick_create_records, updated_at
		FROM caller_card_settings WHERE organization_id = $1`+suffix, org)
	if errors.Is(err, sql.ErrNoRows) {
		return defaultCard(org), nil
	}
	return c, err
}

// CardSettingsUpdate changes the settings: absent keeps.
type CardSettingsUpdate struct {
	ContactKinds             patch.Field[[]Kind]
	RecordKinds              patch.Field[[]RecordKind]
	HidesLeads               patch.Field[bool]
	ShowsRelatedAccountsOnly patch.Field[bool]
	InboundSaving            patch.Field[CallSaving]
	OutboundSaving           patch.Field[CallSaving]
	OpensInbound             patch.Field[bool]
	OpensOutbound            patch.Field[bool]
	QuickCreateContacts      patch.Field[[]Kind]
	QuickCreateRecords       patch.Field[[]RecordKind]
}

// UpdateCardSettings changes who identifies callers and what the caller card does.
// It needs SETTINGS_MANAGE. Codes: errs.Required when nobody would identify callers.
func (s *Service) UpdateCardSettings(ctx context.Context, who access.Actor, in CardSettingsUpdate) (c *CallerCardSettings, err error) {
	if err := who.Require(access.SettingsManage); err != nil {
		return nil, err
	}
	err = s.db.InTxAgain(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if c, err = cardSettings(ctx, tx, " FOR NO KEY UPDATE"); err != nil {
			return err
		}
		if c.ContactKinds, err = kinds(in.ContactKinds, c.ContactKinds, Kinds, "contactKinds"); err != nil {
			return err
		}
		if len(c.ContactKinds) == 0 {
			return errs.New(errs.Required, "choose at least one kind; without any nobody would be known").At("contactKinds")
		}
		if c.RecordKinds, err = kinds(in.RecordKinds, c.RecordKinds, RecordKinds, "recordKinds"); err != nil {
			return err
		}
		if c.QuickCreateContacts, err = kinds(in.QuickCreateContacts, c.QuickCreateContacts, Kinds, "quickCreateContacts"); err != nil {
			return err
		}
		if c.QuickCreateRecords, err = kinds(in.QuickCreateRecords, c.QuickCreateRecords, RecordKinds, "quickCreateRecords"); err != nil {
			return err
		}
		given(in.HidesLeads, &c.HidesLeads)
		given(in.ShowsRelatedAccountsOnly, &c.ShowsRelatedAccountsOnly)
		given(in.InboundSaving, &c.InboundSaving)
		given(in.OutboundSaving, &c.OutboundSaving)
		given(in.OpensInbound, &c.OpensInbound)
		given(in.OpensOutbound, &c.OpensOutbound)
		c.UpdatedAt = &tx.Now
		if _, err := tx.NewInsert().Model(c).On("CONFLICT (organization_id) DO UPDATE").
			Set(`contact_kinds = excluded.contact_kinds, record_kinds = excluded.record_kinds, hides_leads = excluded.hides_leads,
				shows_related_accounts_only = excluded.shows_related_accounts_only, inbound_saving = excluded.inbound_saving,
				outbound_saving = excluded.outbound_saving, opens_inbound = excluded.opens_inbound, opens_outbound = excluded.opens_outbound,
				quick_create_contacts = excluded.quick_create_contacts, quick_create_records = excluded.quick_create_records,
				updated_at = excluded.updated_at`).Exec(ctx); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: actor(who), Action: "callerCard.update", Subject: who.OrganizationID,
			Detail: map[string]any{"fields": mentioned(
				"contactKinds", in.ContactKinds.Has(), "recordKinds", in.RecordKinds.Has(), "hidesLeads", in.HidesLeads.Has(),
				"showsRelatedAccountsOnly", in.ShowsRelatedAccountsOnly.Has(), "inboundSaving", in.InboundSaving.Has(),
				"outboundSaving", in.OutboundSaving.Has(), "opensInbound", in.OpensInbound.Has(), "opensOutbound", in.OpensOutbound.Has(),
				"quickCreateContacts", in.QuickCreateContacts.Has(), "quickCreateRecords", in.QuickCreateRecords.Has())}})
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// given takes over a value that is there; null keeps, for none of these can be nothing.
func given[T any](f patch.Field[T], dst *T) {
	if f.Has() {
		*dst = f.Value
	}
}

// kinds are those given, each once and in the order of the contract, else those there were.
func kinds[K ~string](f patch.Field[[]K], was, known []K, field string) ([]K, error) {
	if !f.Has() {
		return was, nil
	}
	out := make([]K, 0, len(known))
	for _, k := range f.Value {
		if !slices.Contains(known, k) {
			return nil, errs.New(errs.Invalid, "%q is not one of the kinds", string(k)).At(field)
		}
	}
	for _, k := range known {
		if slices.Contains(f.Value, k) {
			out = append(out, k)
		}
	}
	return out, nil
}

// MayQuickCreate refuses a kind that cannot be created from the caller card (R184).
func MayQuickCreate(ctx context.Context, q bun.IDB, contact Kind, record RecordKind) error {
	c, err := cardSettings(ctx, q, "")
	switch {
	case err != nil:
		return err
	case contact != "" && !slices.Contains(c.QuickCreateContacts, contact):
		return errs.New(errs.Forbidden, "a %s cannot be created from the caller card; an administrator can allow it in its settings", contact).At("createContact", "kind")
	case record != "" && !slices.Contains(c.QuickCreateRecords, record):
		return errs.New(errs.Forbidden, "a %s cannot be created from the caller card; an administrator can allow it in its settings", record).At("createRecord", "kind")
	}
	return nil
}

// openRecord is SQL that says whether record r is open: its status is none of the
// words for what is done with.
const openRecord = `upper(r.status) <> ALL (ARRAY['COMPLETED', 'PAID', 'CANCELLED', 'CANCELED', 'CLOSED', 'RESOLVED', 'DECLINED', 'REJECTED', 'EXPIRED',
	'DONE', 'LOST', 'VOID', 'ARCHIVED'])`

// OpenRecord is the contact's one open record of the kinds that stand in the card;
// none where there are several (R182).
func OpenRecord(ctx context.Context, q bun.IDB, contact id.ID) (id.ID, error) {
	if contact.IsZero() {
		return id.ID{}, nil
	}
	var rows []struct {
		ID id.ID `bun:"id"`
	}
	err := db.Select(ctx, q, &rows, `SELECT r.id FROM record r
		WHERE r.organization_id = $1 AND r.contact_id = $2 AND `+openRecord+`
			AND (r.kind = ANY ((SELECT s.record_kinds FROM caller_card_settings s WHERE s.organization_id = $1)::text[])
				OR NOT EXISTS (SELECT FROM caller_card_settings s WHERE s.organization_id = $1)) LIMIT 2`, db.TenantFrom(ctx), contact)
	if err != nil || len(rows) != 1 {
		return id.ID{}, err
	}
	return rows[0].ID, nil
}
