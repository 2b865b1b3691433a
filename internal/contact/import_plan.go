package contact

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
	"switchboard/internal/sheet"
)

// importPlan is how the rows of a file are read.
type importPlan struct {
	imp  *Import
	zone *time.Location
}

func (s *Service) planOf(ctx context.Context, imp *Import, head []string) (*importPlan, error) {
	for i, c := range imp.Columns {
		if i >= len(head) || c.Header != head[i] {
			return nil, errs.New(errs.Conflict, "the file is not the one that the import was made for")
		}
	}
	var o struct {
		TimeZone string `bun:"time_zone"`
	}
	err := db.Select(ctx, s.db.App(), &o, `SELECT time_zone FROM organization WHERE organization_id = $1`, imp.OrganizationID)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(o.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	return &importPlan{imp, zone}, nil
}

// line is a row with what it came to.
type line struct {
	place   int // in the batch
	contact *ContactUpsert
	record  *RecordUpsert
	// What the row names, itself first: it waits for a row before it that names that, too.
	keys []string
	// How the row finds its contact: by at most one of them.
	external string
	number   phone.E164
	email    string
	first    bool // before the others of its batch: an account that they may belong to
}

// mayFind refuses to look by what the actor does not see: what becomes of the row
// would tell them whose it is (R241).
func (l *line) mayFind(who access.Actor) error {
	if !who.HidesContactDetails() || l.number == "" && l.email == "" {
		return nil
	}
	field := "phones"
	if l.number == "" {
		field = "email"
	}
	return errs.New(errs.Forbidden, "contact details are hidden from you, so no row finds its contact by them; give it the contact's external id").At(field)
}

// take does what the rows say, in as few rounds as there are rows about the same
// thing: two such rows are done one after the other, and the second finds what the
// first has made.
func (p *importPlan) take(ctx context.Context, tx *db.Tx, who access.Actor, batch []sheet.Row) ([]UpsertRow, error) {
	out := make([]UpsertRow, len(batch))
	var left []*line
	for i, row := range batch {
		l := &line{place: i}
		err := p.read(l, row.Cells)
		if err == nil {
			err = l.mayFind(who)
		}
		if err == nil {
			left = append(left, l)
			continue
		}
		if err := out[i].fail(i, err); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(left, func(a, b *line) int {
		switch {
		case a.first == b.first:
			return 0
		case a.first:
			return -1
		}
		return 1
	})
	for len(left) > 0 {
		var now, later []*line
		taken := map[string]bool{}
		for _, l := range left {
			if len(l.keys) > 0 && taken[l.keys[0]] || l.first != left[0].first {
				later = append(later, l)
				continue
			}
			for _, k := range l.keys {
				taken[k] = true
			}
			now = append(now, l)
		}
		more, err := p.round(ctx, tx, who, now, out)
		if err != nil {
			return nil, err
		}
		left = append(more, later...)
	}
	return out, nil
}

// round does rows that are about different things; it returns those that turn out
// to be about one thing after all.
func (p *importPlan) round(ctx context.Context, tx *db.Tx, who access.Actor, now []*line, out []UpsertRow) (later []*line, err error) {
	there, err := p.find(ctx, tx, who, now)
	if err != nil {
		return nil, err
	}
	var do []*line
	targets := map[id.ID]bool{}
	for _, l := range now {
		target, err := l.target(there)
		switch {
		case err != nil:
			if err := out[l.place].fail(l.place, err); err != nil {
				return nil, err
			}
			continue
		case target.IsZero():
		case l.record != nil:
			l.record.ContactID = patch.To(target)
		case targets[target]:
			later = append(later, l)
			continue
		default:
			targets[target], l.contact.target = true, target
		}
		do = append(do, l)
	}
	if len(do) == 0 {
		return later, nil
	}
	rows := make([]UpsertRow, len(do))
	if p.imp.Subject == ImportsContacts {
		in := make([]ContactUpsert, len(do))
		for i, l := range do {
			in[i] = *l.contact
		}
		err = upsertContacts(ctx, tx, who, in, rows)
	} else {
		in := make([]RecordUpsert, len(do))
		for i, l := range do {
			in[i] = *l.record
		}
		err = upsertRecords(ctx, tx, who, in, rows)
	}
	for i, l := range do {
		out[l.place] = rows[i]
	}
	return later, err
}

// named are the contacts that the rows of a round name.
type named struct{ externals, numbers, mails map[string][]id.ID }

// find looks for the contacts that the rows name by an external id, a number or an
// e-mail, in a statement each. Whom the actor does not see does not exist, nor does
// whose number they do not see by that.
func (p *importPlan) find(ctx context.Context, tx *db.Tx, who access.Actor, now []*line) (there named, err error) {
	var x, n, m []string
	for _, l := range now {
		switch {
		case l.external != "":
			x = append(x, l.external)
		case l.number != "":
			n = append(n, string(l.number))
		case l.email != "":
			m = append(m, l.email)
		}
	}
	for _, by := range []struct {
		words []string
		found *map[string][]id.ID
		query string
	}{
		{x, &there.externals, `SELECT c.id, c.external_id AS word FROM contact c
			WHERE c.organization_id = $1 AND ($2::uuid IS NULL OR $2 = $2) AND c.external_id = ANY ($3::text[])`},
		{n, &there.numbers, `SELECT c.id, p.e164 AS word FROM contact_phone p JOIN contact c ON c.organization_id = p.organization_id AND c.id = p.contact_id
			WHERE p.organization_id = $1 AND ($2::uuid IS NULL OR $2 = $2) AND p.e164 = ANY ($3::text[])` + Unmasked(who)},
		{m, &there.mails, `SELECT c.id, lower(c.email) AS word FROM contact c
			WHERE c.organization_id = $1 AND ($2::uuid IS NULL OR $2 = $2) AND lower(c.email) = ANY ($3::text[])`},
	} {
		if len(by.words) == 0 {
			continue
		}
		var rows []struct {
			ID   id.ID  `bun:"id"`
			Word string `bun:"word"`
		}
		if err := db.Select(ctx, tx, &rows, by.query+Own(who), who.OrganizationID, who.UserID, by.words); err != nil {
			return there, err
		}
		*by.found = make(map[string][]id.ID, len(rows))
		for _, r := range rows {
			(*by.found)[r.Word] = append((*by.found)[r.Word], r.ID)
		}
	}
	return there, nil
}

// target is the contact that the row names; none for a row that is new.
func (l *line) target(there named) (id.ID, error) {
	found, what, field := there.externals[l.external], "external id", "externalId"
	switch {
	case l.external != "":
	case l.number != "":
		found, what, field = there.numbers[string(l.number)], "number", "phones"
	case l.email != "":
		found, what, field = there.mails[l.email], "e-mail", "email"
	default:
		return id.ID{}, nil
	}
	switch {
	case len(found) > 1:
		return id.ID{}, errs.New(errs.Conflict, "%d contacts have this %s; give the row an external id, or merge them first", len(found), what).At(field)
	case len(found) == 1:
		return found[0], nil
	case l.record != nil:
		return id.ID{}, errs.New(errs.NotFound, "no contact has this %s; import the contact first", what).At(field)
	}
	return id.ID{}, nil
}

// read turns the cells of a row into what it says. An empty cell says nothing.
func (p *importPlan) read(l *line, cells []string) error {
	if p.imp.Subject == ImportsContacts {
		return p.readContact(l, cells)
	}
	return p.readRecord(l, cells)
}

// each gives the cells that hold something, with their columns.
func (p *importPlan) each(cells []string, do func(c ImportColumn, text string) error) error {
	for i, c := range p.imp.Columns {
		if c.Field == "" || i >= len(cells) {
			continue
		}
		if text := cellText(cells[i]); text != "" {
			if err := do(c, text); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *importPlan) readContact(l *line, cells []string) error {
	c := &ContactUpsert{fromFile: true, country: p.imp.CountryForNumbers}
	l.contact = c
	if p.imp.Kind != nil {
		c.kind = Kind(*p.imp.Kind)
	}
	var first, last, company string
	err := p.each(cells, func(col ImportColumn, text string) error {
		switch ImportField(col.Field) {
		case FieldKind:
			k := Kind(strings.ToUpper(text))
			if !k.Known() {
				return errs.New(errs.Invalid, "this is no kind of contact; write CUSTOMER, LEAD, ACCOUNT, CONTACT or FIELDWORKER").At("kind")
			}
			c.Kind = patch.To(k)
		case FieldName:
			c.Name = patch.To(text)
		case FieldFirstName:
			first = text
		case FieldLastName:
			last = text
		case FieldCompany:
			company = text
			c.Company = patch.To(text)
		case FieldEmail:
			c.Email = patch.To(text)
		case FieldCountry:
			c.Country = patch.To(text)
		case FieldStatus:
			c.Status = patch.To(text)
		case FieldTags:
			c.Tags = patch.To(tagsOf(text))
		case FieldTimezone:
			c.Timezone = patch.To(text)
		case FieldService:
			c.Service = patch.To(text)
		case FieldLocation:
			c.Location = patch.To(text)
		case FieldExternalID:
			c.ExternalID = text
		case FieldPhone:
			label := col.Header
			if len([]rune(label)) > maxWord {
				label = ""
			}
			c.Phones = patch.To(append(c.Phones.Value, PhoneInput{Number: text, Label: label}))
		case FieldAssignedUserEmail:
			c.AssignedUserEmail = patch.To(text)
		case FieldAccountExternalID:
			c.AccountExternalID = patch.To(text)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if name := strings.TrimSpace(first + " " + last); name != "" && !c.Name.Set {
		c.Name = patch.To(name)
	}
	c.name = company
	kind := c.kind
	if c.Kind.Set {
		kind = c.Kind.Value
	}
	l.first = kind == KindAccount
	if c.ExternalID != "" {
		l.external, l.keys = c.ExternalID, []string{"external " + c.ExternalID}
	}
	switch p.imp.UpdateBy {
	case MatchesNumber:
		return p.readNumbers(l)
	case MatchesEmail:
		if c.Email.Set {
			mail := word(c.Email.Value)
			if l.keys = append(l.keys, "email "+mail); l.external == "" {
				l.email = mail
			}
		}
	}
	return nil
}

// readNumbers notes the numbers of a contact: the first finds it, unless its
// external id does; a later row that any of them finds waits for this one.
func (p *importPlan) readNumbers(l *line) error {
	c := l.contact
	country := c.country
	if c.Country.Set && phone.CallingCode(strings.ToUpper(c.Country.Value)) != 0 {
		country = strings.ToUpper(c.Country.Value)
	}
	for i, typed := range c.Phones.Value {
		n, err := phone.Parse(typed.Number, country)
		switch {
		case err == nil:
			l.keys = append(l.keys, "number "+string(n))
			if i == 0 && l.external == "" {
				l.number = n
			}
		case i == 0 && l.external == "":
			return errs.New(errs.Invalid, "phone 1: %s", err).At("phones", "0", "number")
		}
	}
	return nil
}

// tagsOf cuts a cell into tags.
func tagsOf(text string) []string {
	var out []string
	for _, t := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' }) {
		if t = strings.TrimSpace(t); t != "" {
			out = append(out, t)
		}
	}
	return out
}

func (p *importPlan) readRecord(l *line, cells []string) error {
	r := &RecordUpsert{fromFile: true}
	l.record = r
	if p.imp.Kind != nil {
		r.Kind = RecordKind(*p.imp.Kind)
	}
	var amount, currency string
	var data []Datum
	texts := map[RecordImportField]*patch.Field[string]{
		RecordFieldTitle: &r.Title, RecordFieldStatus: &r.Status, RecordFieldContactExternalID: &r.ContactExternalID,
		RecordFieldAssignedUserEmail: &r.AssignedUserEmail, RecordFieldService: &r.Service, RecordFieldLocation: &r.Location,
		RecordFieldTrackingURL: &r.TrackingURL, RecordFieldURL: &r.URL,
	}
	times := map[RecordImportField]*patch.Field[time.Time]{
		RecordFieldStartsAt: &r.StartsAt, RecordFieldEndsAt: &r.EndsAt, RecordFieldDueAt: &r.DueAt, RecordFieldExpiresAt: &r.ExpiresAt,
		RecordFieldNextServiceAt: &r.NextServiceAt,
	}
	err := p.each(cells, func(col ImportColumn, text string) error {
		field := RecordImportField(col.Field)
		if f := texts[field]; f != nil {
			*f = patch.To(text)
			return nil
		}
		if f := times[field]; f != nil {
			t, err := timeOf(text, p.zone)
			if err != nil {
				return errs.New(errs.Invalid, "this is no time; write it such as 2027-03-01 09:30").At(strings.ToLower(col.Field))
			}
			*f = patch.To(t)
			return nil
		}
		switch field {
		case RecordFieldKind:
			r.Kind = RecordKind(strings.ToUpper(text))
		case RecordFieldExternalID:
			r.ExternalID = text
		case RecordFieldContactPhone:
			n, err := phone.Parse(text, p.imp.CountryForNumbers)
			if err != nil {
				return errs.New(errs.Invalid, "%s", err).At("phones")
			}
			l.number = n
		case RecordFieldContactEmail:
			l.email = word(text)
		case RecordFieldTags:
			r.Tags = patch.To(tagsOf(text))
		case RecordFieldAmount:
			amount = text
		case RecordFieldCurrency:
			currency = text
		case RecordFieldData:
			data = append(data, Datum{col.Key, text})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if r.Kind == "" {
		return errs.New(errs.Required, "the row says no kind; choose one for the whole file, or give it a column").At("kind")
	}
	if !r.Kind.Known() {
		return errs.New(errs.Invalid, "this is no kind of record; write BOOKING, QUOTE, INVOICE, INQUIRY or COMPLAINT").At("kind")
	}
	if r.ContactExternalID.Set { // the surest of the names counts
		l.number, l.email = "", ""
	}
	if len(data) > 0 {
		r.Data = patch.To(data)
	}
	if amount != "" {
		m, err := amountOf(amount, currency)
		if err != nil {
			return err
		}
		r.Amount = patch.To(m)
	}
	if r.ExternalID != "" {
		l.keys = []string{string(r.Kind) + " " + r.ExternalID}
	}
	return nil
}

// timeOf reads a moment, or a day with or without a time in the zone.
func timeOf(text string, zone *time.Location) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if err == nil {
			break
		}
		t, err = time.ParseInLocation(layout, text, zone)
	}
	return t, err
}

// minorDigits are the digits of a currency's smallest unit where they are not two (ISO 4217).
var minorDigits = map[string]int{
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0, "VND": 0, "VUV": 0,
	"XAF": 0, "XOF": 0, "XPF": 0, "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
}

// amountOf reads an amount of money such as 1050.00: a point before the parts, no
// words, and commas only where they part thousands.
func amountOf(text, currency string) (Money, error) {
	wrong := errs.New(errs.Invalid, "this is no amount; write it such as 1050.00").At("amount")
	m := Money{Currency: strings.ToUpper(currency)}
	if m.Currency == "" {
		return m, errs.New(errs.Required, "an amount needs a currency; give it a column").At("amount", "currency")
	}
	digits, known := minorDigits[m.Currency]
	if !known {
		digits = 2
	}
	minus := strings.HasPrefix(text, "-")
	whole, part, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	for i, group := range strings.Split(whole, ",") {
		if i > 0 && len(group) != 3 || i == 0 && len(group) == 0 {
			return m, wrong
		}
	}
	whole = strings.ReplaceAll(whole, ",", "")
	if len(strings.TrimRight(part, "0")) > digits || len(whole) > 15 || strings.ContainsFunc(whole+part, func(r rune) bool { return r < '0' || r > '9' }) {
		return m, wrong
	}
	part = (part + "000")[:digits]
	n, err := strconv.ParseInt(whole+part, 10, 64)
	if err != nil || n == math.MaxInt64 {
		return m, wrong
	}
	if m.AmountMinor = n; minus {
		m.AmountMinor = -n
	}
	return checkMoney(m)
}
