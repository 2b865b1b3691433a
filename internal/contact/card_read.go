package contact

import (
	"context"
	"slices"
	"strings"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// cardLimit is how many matches and how many records a card has at most.
const cardLimit = 25

// CardAsk asks for one caller card.
type CardAsk struct {
	Number   phone.E164 // "" for an empty, withheld or masked one
	Outbound bool
	// OfCall says that the card is of a call that the actor sees: it names whoever
	// calls, as the call itself does (R243). Else only whom they see is known.
	OfCall bool
	// HidesNumber keeps the number out of the card.
	HidesNumber bool
	// What the call is linked to.
	ContactID, RecordID id.ID
}

// Card is the caller card of a number as it was typed. It needs CONTACT_VIEW. What
// cannot be read as a number is errs.Invalid; an empty or withheld one matches nobody.
func (s *Service) Card(ctx context.Context, who access.Actor, number string, outbound bool) (*CallerCard, error) {
	if err := who.Require(access.ContactView); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	ask := CardAsk{Outbound: outbound}
	if strings.TrimSpace(number) != "" && !phone.Anonymous(number) {
		country, err := defaultCountry(ctx, s.db.App(), who.OrganizationID)
		if err != nil {
			return nil, err
		}
		if ask.Number, err = phone.Parse(number, country); err != nil {
			return nil, errs.New(errs.Invalid, "%s", err).At("number")
		}
	}
	cards, err := s.Cards(ctx, who, []CardAsk{ask})
	if err != nil {
		return nil, err
	}
	return cards[0], nil
}

// match is a contact that has a number.
type cardMatch struct {
	Contact
	E164    string `bun:"e164,scanonly"`
	IsSeen  bool   `bun:"is_seen,scanonly"`
	IsPlain bool   `bun:"is_plain,scanonly"` // its phones are the actor's to see
}

// Cards are caller cards, in the order of the asks and in a constant number of
// statements. Whoever may not see contacts gets none.
func (s *Service) Cards(ctx context.Context, who access.Actor, asks []CardAsk) ([]*CallerCard, error) {
	out := make([]*CallerCard, len(asks))
	if !who.Can(access.ContactView) {
		return out, nil
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	settings, err := s.CardSettings(ctx)
	if err != nil {
		return nil, err
	}
	var numbers []string
	var others, linkedRecords []id.ID
	for _, a := range asks {
		if _, ok := phone.FromWire(string(a.Number)); ok {
			numbers = append(numbers, string(a.Number))
		}
		if !a.ContactID.IsZero() {
			others = append(others, a.ContactID)
		}
		if !a.RecordID.IsZero() {
			linkedRecords = append(linkedRecords, a.RecordID)
		}
	}
	matches, err := s.matchesOf(ctx, who, settings, numbers)
	if err != nil {
		return nil, err
	}
	people := []id.ID{}
	for _, list := range matches {
		for _, m := range list {
			people = append(people, m.ID)
			if !m.AccountID.IsZero() {
				others = append(others, m.AccountID)
			}
		}
	}
	named, err := s.cardContacts(ctx, who, others)
	if err != nil {
		return nil, err
	}
	for _, a := range asks {
		people = append(people, a.ContactID)
	}
	records, byID, err := s.cardRecords(ctx, who, settings, people, linkedRecords)
	if err != nil {
		return nil, err
	}
	for i, a := range asks {
		out[i] = settings.card(who, a, matches[string(a.Number)], named, records, byID)
	}
	return out, nil
}

// sight is SQL for whether the actor sees contact c, and for whether they see its phones.
func sight(who access.Actor) string {
	seen, plain := `true`, `true`
	if own := Own(who); own != "" {
		seen = `(true` + own + `)`
	}
	if unmasked := Unmasked(who); unmasked != "" {
		plain = `(true` + unmasked + `)`
	}
	return seen + ` AS is_seen, ` + plain + ` AS is_plain`
}

// matchesOf are the contacts of the permitted kinds that have the numbers, in the
// order of preference of Match, a bounded number of each.
func (s *Service) matchesOf(ctx context.Context, who access.Actor, settings *CallerCardSettings, numbers []string) (map[string][]*cardMatch, error) {
	out := map[string][]*cardMatch{}
	if len(numbers) == 0 {
		return out, nil
	}
	var rows []*cardMatch
	err := db.Select(ctx, s.db.App(), &rows, `
		WITH matched AS (
			SELECT p.e164, c.id, row_number() OVER (PARTITION BY p.e164 ORDER BY c.kind = 'LEAD',
				CASE WHEN c.kind = 'LEAD' THEN (
					SELECT max(m.last_contacted_at) FROM campaign_member m
					WHERE m.organization_id = c.organization_id AND m.contact_id = c.id)
				ELSE c.last_contacted_at END DESC NULLS LAST, c.id DESC) AS place
			FROM contact_phone p
			JOIN contact c ON c.organization_id = p.organization_id AND c.id = p.contact_id
			WHERE p.organization_id = $1 AND p.e164 = ANY ($3::text[]) AND c.kind = ANY ($4::text[])
		)
		SELECT m.e164, `+contactColumns+`, `+sight(who)+`
		FROM matched m JOIN contact c ON c.organization_id = $1 AND c.id = m.id
		WHERE ($2::uuid IS NULL OR $2 = $2) AND m.place <= $5 ORDER BY m.e164, m.place`,
		who.OrganizationID, who.UserID, numbers, words(settings.ContactKinds), cardLimit)
	for _, r := range rows {
		out[r.E164] = append(out[r.E164], r)
	}
	return out, err
}

func words[K ~string](list []K) []string {
	out := make([]string, len(list))
	for i, k := range list {
		out[i] = string(k)
	}
	return out
}

func (s *Service) cardContacts(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*cardMatch, error) {
	out := map[id.ID]*cardMatch{}
	if len(ids) == 0 {
		return out, nil
	}
	var rows []*cardMatch
	err := db.Select(ctx, s.db.App(), &rows, `SELECT `+contactColumns+`, `+sight(who)+` FROM contact c
		WHERE c.organization_id = $1 AND ($2::uuid IS NULL OR $2 = $2) AND c.id = ANY ($3::uuid[])`, who.OrganizationID, who.UserID, ids)
	for _, r := range rows {
		out[r.ID] = r
	}
	return out, err
}

// cardRecords are the open records of contacts that the actor sees, and by their
// ids the records that calls are linked to, open or not.
func (s *Service) cardRecords(ctx context.Context, who access.Actor, settings *CallerCardSettings, contacts, linked []id.ID) (of map[id.ID][]*Record, byID map[id.ID]*Record, err error) {
	of, byID = map[id.ID][]*Record{}, map[id.ID]*Record{}
	var rows []*struct {
		Record
		IsLinked bool `bun:"is_linked,scanonly"`
	}
	err = db.Select(ctx, s.db.App(), &rows, `SELECT r.*, false AS is_linked FROM (SELECT DISTINCT unnest($2::uuid[]) AS id) k
		CROSS JOIN LATERAL (SELECT `+recordColumns+` FROM record r
			WHERE r.organization_id = $1 AND r.contact_id = k.id AND r.kind = ANY ($4::text[]) AND `+openRecord+` ORDER BY r.id DESC LIMIT $5) r
		UNION ALL SELECT `+recordColumns+`, true AS is_linked FROM record r WHERE r.organization_id = $1 AND r.id = ANY ($3::uuid[])`,
		who.OrganizationID, contacts, linked, words(settings.RecordKinds), cardLimit)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range rows {
		switch {
		case !seesRecord(who, &r.Record):
		case r.IsLinked:
			byID[r.ID] = &r.Record
		default:
			of[r.ContactID] = append(of[r.ContactID], &r.Record)
		}
	}
	return of, byID, nil
}

// shown is the contact as the card tells of it; nil when it is not the actor's to know.
func (a CardAsk) shown(who access.Actor, m *cardMatch) *Contact {
	switch {
	case m == nil:
		return nil
	case m.IsSeen && (m.IsPlain || a.OfCall):
		return &m.Contact
	case a.OfCall:
		return nameOnly(&m.Contact)
	}
	return nil
}

// card puts a card together.
func (s *CallerCardSettings) card(who access.Actor, a CardAsk, matches []*cardMatch, others map[id.ID]*cardMatch, records map[id.ID][]*Record, byID map[id.ID]*Record) *CallerCard {
	c := &CallerCard{Contacts: []*Contact{}, Accounts: []*Contact{}, Records: []*Record{}, Saving: s.InboundSaving,
		QuickCreateContacts: []Kind{}, QuickCreateRecords: []RecordKind{}}
	if a.Outbound {
		c.Saving = s.OutboundSaving
	}
	if a.Number != "" && !a.HidesNumber {
		c.Number = &a.Number
	}
	if who.Can(access.ContactEdit) {
		c.QuickCreateContacts, c.QuickCreateRecords = s.QuickCreateContacts, s.QuickCreateRecords
	}
	if m := others[a.ContactID]; m != nil { // whom the call is linked to comes first, whoever they are
		matches = slices.DeleteFunc(slices.Clone(matches), func(x *cardMatch) bool { return x.ID == m.ID })
		matches = append([]*cardMatch{m}, matches...)
	}
	more := slices.ContainsFunc(matches, func(m *cardMatch) bool {
		return (m.Kind == KindAccount || m.Kind == KindContact || m.Kind == KindCustomer) && a.shown(who, m) != nil
	})
	var own []*Contact // accounts that have the number
	var people []*cardMatch
	for _, m := range matches {
		x := a.shown(who, m)
		switch {
		case m.Kind == KindLead && s.HidesLeads && more && m.ID != a.ContactID: // R180
			if x != nil {
				c.HiddenLeadCount++
			}
		case x == nil: // as if nobody had the number: a typed one tells of nobody else
		case m.Kind == KindAccount:
			own = append(own, x)
		default:
			people = append(people, m)
			c.Contacts = append(c.Contacts, x)
		}
	}
	s.accounts(who, a, c, people, own, others)
	for _, x := range slices.Concat(c.Contacts, own) {
		for _, r := range records[x.ID] {
			if len(c.Records) < cardLimit {
				c.Records = append(c.Records, r)
			}
		}
	}
	slices.SortFunc(c.Records, func(x, y *Record) int { return strings.Compare(y.ID.String(), x.ID.String()) })
	c.Opening = s.opening(a, c, matches, own, byID)
	return c
}

// accounts are those that have the number and those of the contacts; with the
// option on only the latter, if a contact matches (R181).
func (s *CallerCardSettings) accounts(who access.Actor, a CardAsk, c *CallerCard, people []*cardMatch, own []*Contact, others map[id.ID]*cardMatch) {
	if !s.ShowsRelatedAccountsOnly || len(people) == 0 {
		c.Accounts = append(c.Accounts, own...)
	}
	if !slices.Contains(s.ContactKinds, KindAccount) {
		return
	}
	for _, m := range people {
		x := a.shown(who, others[m.AccountID])
		if x != nil && !slices.ContainsFunc(c.Accounts, func(y *Contact) bool { return y.ID == x.ID }) {
			c.Accounts = append(c.Accounts, x)
		}
	}
}

// opening says what opens by itself (R183): the record of the call, else the one
// contact, else the one account that has the number.
func (s *CallerCardSettings) opening(a CardAsk, c *CallerCard, matches []*cardMatch, own []*Contact, byID map[id.ID]*Record) *Opening {
	why := func(r OpeningReason) *Opening { return &Opening{Reason: &r} }
	on := s.OpensInbound
	if a.Outbound {
		on = s.OpensOutbound
	}
	one := c.Contacts
	if len(one) == 0 {
		one = own
	}
	switch {
	case !on:
		return why(OpensOff)
	case byID[a.RecordID] != nil:
		return &Opening{Record: byID[a.RecordID]}
	case len(one) > 1:
		return why(SeveralMatches)
	case len(one) == 0:
		return why(NoMatch)
	case !slices.ContainsFunc(matches, func(m *cardMatch) bool { return m.ID == one[0].ID && m.IsSeen }):
		return why(NotYours)
	}
	return &Opening{Contact: one[0]}
}
