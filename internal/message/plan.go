package message

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
	"switchboard/internal/tenant"
)

// plan decides what happens to a draft. It is the one place that does: previews,
// messages and bulk messages all ask it. However many recipients there are, it
// takes the same number of statements.
type plan struct {
	s   *Service
	tx  *db.Tx
	who access.Actor
	d   *Draft
	all []*PreviewRecipient

	org     *tenant.Organization
	thread  *Thread
	text    *Template // nil: the text has no fields
	body    string
	files   []*Media
	from    *senders
	people  map[id.ID]*contact.Contact
	phones  map[id.ID][]*contact.Phone
	records map[id.ID]*contact.Record
	masked  map[id.ID]bool
	users   map[id.ID]string // what people are called
	rates   Rates
	closed  map[closedCountry]bool // the second: said so lately
	optOuts map[pair]bool
	early   map[int]*errs.Error
}

type closedCountry struct {
	connection id.ID
	country    string
}

// plan says for each recipient of a draft what happens to them. An error is about
// the draft as a whole.
func (s *Service) plan(ctx context.Context, tx *db.Tx, who access.Actor, d *Draft) (*plan, error) {
	p := &plan{s: s, tx: tx, who: who, d: d}
	for _, step := range []func(context.Context) error{p.shared, p.whom, p.senders, p.rules} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	for _, r := range p.all {
		p.write(r)
	}
	p.judge()
	return p, nil
}

// shared reads what is the same for all recipients.
func (p *plan) shared(ctx context.Context) (err error) {
	if p.org, err = tenant.Read(ctx, p.tx); err != nil {
		return err
	}
	if p.thread = p.d.answer; p.thread == nil && !p.d.ThreadID.IsZero() {
		if p.thread, err = p.s.thread(ctx, p.tx, p.who, p.d.ThreadID); err != nil {
			return blame(err, "threadId")
		}
	}
	if p.thread != nil && !strings.HasPrefix(p.thread.TheirNumber, "+") {
		return errs.New(errs.Conflict, "%s cannot receive replies; write to a phone number instead", p.thread.TheirNumber).At("input", "threadId")
	}
	if p.files = p.d.files; p.files == nil {
		if p.files, err = uploads(ctx, p.tx, p.who, p.d.MediaIDs); err != nil {
			return err
		}
	}
	return p.template(ctx)
}

func (p *plan) template(ctx context.Context) (err error) {
	p.body = p.d.Body
	switch {
	case p.d.verbatim:
	case !p.d.TemplateID.IsZero():
		saved, err := TemplateByID(ctx, p.tx, p.d.TemplateID)
		if err != nil {
			return blame(err, "templateId")
		}
		if saved.IsArchived {
			return errs.New(errs.Conflict, "the template is archived; choose one that is in use").At("input", "templateId")
		}
		if p.text, err = saved.Template(); err != nil {
			return blame(err, "templateId")
		}
	case strings.Contains(p.body, "{{") && utf8.RuneCountInString(p.body) <= MaxBody:
		if p.text, err = Parse(p.body); err != nil {
			return blame(err, "body")
		}
	}
	return nil
}

// whom finds out who the recipients are.
func (p *plan) whom(ctx context.Context) (err error) {
	list := p.d.Recipients
	if p.thread != nil {
		list = []Recipient{{To: p.thread.TheirNumber, ContactID: p.thread.ContactID}}
		if len(p.d.Recipients) > 0 {
			list[0].RecordID = p.d.Recipients[0].RecordID
		}
	}
	var contacts, records []id.ID
	for _, r := range list {
		if !r.RecordID.IsZero() {
			records = append(records, r.RecordID)
		}
	}
	if p.records, err = contact.RecordsSeen(ctx, p.tx, p.who, records); err != nil {
		return err
	}
	var typed []phone.E164
	for i, r := range list {
		x := &PreviewRecipient{Index: i, Given: r.To, ContactID: r.ContactID, RecordID: r.RecordID, asked: r}
		p.all = append(p.all, x)
		record := p.records[r.RecordID]
		if !r.RecordID.IsZero() && record == nil {
			x.RecordID = id.ID{}
			x.say(blocking(NotFound, "there is no such record, or you may not see it"))
			continue
		}
		if record != nil && r.To == "" && r.ContactID.IsZero() {
			if x.ContactID = record.ContactID; x.ContactID.IsZero() {
				x.Given = record.Title
				x.say(blocking(NoPhoneNumber, "the record has no contact; give it one, or give a number"))
				continue
			}
		}
		if r.To != "" && p.thread == nil && p.who.HidesContactDetails() {
			x.say(blocking(Restricted, "%s", typedRefused()))
			continue
		}
		if r.To != "" {
			if x.E164, err = phone.Parse(r.To, p.org.DefaultCountry); err != nil {
				x.say(blocking(InvalidNumber, "%s", err.Error()))
				continue
			}
			if r.ContactID.IsZero() {
				typed = append(typed, x.E164)
			}
		}
	}
	matched, err := contact.MatchMany(ctx, p.tx, typed)
	if err != nil {
		return err
	}
	for _, x := range p.all {
		if x.about = x.ContactID; x.about.IsZero() {
			if record := p.records[x.RecordID]; record != nil {
				x.about = record.ContactID
			}
		}
		if x.belongs = x.ContactID; x.belongs.IsZero() && x.E164 != "" {
			if x.belongs = matched[x.E164]; x.about.IsZero() {
				x.about = x.belongs
			}
		}
		for _, c := range []id.ID{x.about, x.belongs} {
			if !c.IsZero() {
				contacts = append(contacts, c)
			}
		}
	}
	if p.people, err = contact.Seen(ctx, p.tx, p.who, contacts); err != nil {
		return err
	}
	if p.phones, err = contact.PhonesOf(ctx, p.tx, contacts); err != nil {
		return err
	}
	if p.masked, err = contact.Masked(ctx, p.tx, p.who, contacts); err != nil {
		return err
	}
	for _, x := range p.all {
		p.hide(x)
		p.reach(x)
	}
	return nil
}

// typedRefused is why who sees no contact details names nobody by a number (R241).
func typedRefused() string {
	e, _ := errs.As(call.TypedRefused())
	return e.Message
}

// hide keeps from the actor the number of a recipient that they did not type.
func (p *plan) hide(x *PreviewRecipient) {
	named := x.about
	if p.thread == nil || !p.who.HidesContactDetails() && !p.masked[named] {
		return
	}
	x.IsHidden, x.Given = true, phone.Mask(x.E164)
	if c := p.people[named]; c != nil {
		x.Given = c.NameFor(p.who)
	}
}

// reach finds the number of a recipient that was named by a contact.
func (p *plan) reach(x *PreviewRecipient) {
	known := p.people[x.ContactID]
	switch {
	case x.blocked():
	case x.ContactID.IsZero():
		if c := p.people[x.belongs]; c != nil && c.IsOwn {
			x.ContactID = x.belongs
		}
	case p.thread != nil: // whoever reads the thread sees whom it is with
	case known == nil || !known.IsOwn:
		x.ContactID, x.belongs = id.ID{}, id.ID{}
		x.say(blocking(NotFound, "there is no such contact, or you may not see it"))
		return
	}
	if x.Given == "" && known != nil {
		x.Given = known.NameFor(p.who)
	}
	if x.blocked() || x.E164 != "" {
		return
	}
	if list := p.phones[x.ContactID]; len(list) > 0 {
		x.E164, x.IsHidden = list[0].E164, p.masked[x.ContactID]
		return
	}
	x.say(blocking(NoPhoneNumber, "the contact has no phone number; add one or give a number"))
}

// country breaks ties within a calling code (D16).
func (p *plan) country(x *PreviewRecipient) string {
	if c := p.people[x.asked.ContactID]; c != nil && c.Country != nil {
		return *c.Country
	}
	if c := p.people[x.belongs]; c != nil && c.Country != nil {
		return *c.Country
	}
	return ""
}

// senders chooses who sends to each.
func (p *plan) senders(ctx context.Context) (err error) {
	var also []id.ID
	explicit := p.d.PhoneNumberID
	if p.thread != nil {
		explicit = p.thread.PhoneNumberID
	}
	if !explicit.IsZero() {
		also = []id.ID{explicit}
	}
	if p.from, err = p.s.senders(ctx, p.tx, p.who, also...); err != nil {
		return err
	}
	var fixed choice
	if !explicit.IsZero() {
		fixed.reason = route.Explicit
		if fixed.Number, err = p.from.named(explicit); err != nil {
			return err
		}
		if fixed.problem = fixed.usable(); fixed.problem == nil {
			fixed.problem = fixed.allowed(len(p.files) > 0)
		}
		if p.thread != nil {
			fixed.reason = route.OwnThread
		}
	}
	for _, x := range p.all {
		if x.E164 == "" {
			continue
		}
		hint := p.country(x)
		x.Country = phone.Country(x.E164, hint)
		c := fixed
		if explicit.IsZero() {
			c = p.from.choose(x.E164, hint, len(p.files) > 0)
		}
		if x.say(c.problem); c.Number.ID.IsZero() {
			continue
		}
		x.from, x.PhoneNumberID = c.Number, c.Number.ID
		x.Sender = &call.ChosenNumber{E164: c.E164, Reason: c.reason}
		if c.E164 == x.E164 {
			x.say(blocking(SameNumber, "sender and recipient are the same number"))
		}
		if p.d.UseSenderName && !x.blocked() {
			var note *PreviewProblem
			if x.SenderName, note = c.name(x.Country); note != nil {
				x.say(note)
			}
		}
	}
	return nil
}

// rules reads what keeps messages from some of the recipients.
func (p *plan) rules(ctx context.Context) (err error) {
	var pairs []pair
	about := make([]call.Contacting, len(p.all))
	var inCharge []id.ID
	for i, x := range p.all {
		if !x.PhoneNumberID.IsZero() && x.E164 != "" {
			pairs = append(pairs, pair{x.PhoneNumberID, string(x.E164)})
		}
		about[i] = call.Contacting{ContactID: x.about, RecordID: x.RecordID, Number: string(x.E164)}
		inCharge = append(inCharge, p.inCharge(x))
	}
	if p.optOuts, err = optedOutMany(ctx, p.tx, p.who.OrganizationID, pairs); err != nil {
		return err
	}
	if p.early, err = call.TooEarly(ctx, p.tx, p.who, p.tx.Now, about); err != nil {
		return err
	}
	if p.rates, err = p.s.rates(ctx, p.tx); err != nil {
		return err
	}
	if p.closed, err = closedCountries(ctx, p.tx); err != nil || p.text == nil {
		return err
	}
	p.users, err = userNames(ctx, p.tx, inCharge)
	return err
}

// inCharge is whom {{user.name}} speaks of: whoever sends it, or the one in charge
// when nobody does.
func (p *plan) inCharge(x *PreviewRecipient) id.ID {
	if !p.who.UserID.IsZero() {
		return p.who.UserID
	}
	if r := p.records[x.RecordID]; r != nil && !r.AssignedUserID.IsZero() {
		return r.AssignedUserID
	}
	if c := p.people[x.about]; c != nil {
		return c.AssignedUserID
	}
	return id.ID{}
}

// write makes the text for one recipient.
func (p *plan) write(x *PreviewRecipient) {
	x.Body = p.body
	if p.text != nil {
		facts := MergeFacts{Record: p.records[x.RecordID], UserName: p.users[p.inCharge(x)], Business: p.org}
		zone := p.org.Location()
		switch c := p.people[x.about]; {
		case c == nil:
		case !c.IsOwn && p.thread != nil: // who only reads the thread knows the name (R243)
			facts.Contact = &contact.Contact{ID: c.ID, Name: c.NameFor(p.who)}
		case c.IsOwn:
			facts.Contact = c.For(p.who)
			if list := p.phones[c.ID]; len(list) > 0 && !p.masked[c.ID] {
				facts.Phone = list[0].E164
			}
			zone = ZoneOf(facts.Phone, nonNil(c.Timezone), zone)
		}
		values := facts.Values()
		maps.Copy(values, p.d.extra)
		var missing []Missing
		x.Body, missing = p.text.Expand(values, zone)
		for _, m := range missing {
			if x.say(p.missing(m, facts.Record)); len(x.Problems) > 8 {
				break
			}
		}
	}
	x.Body = strings.TrimRight(x.Body, " \t\r\n")
	size := Measure(x.Body)
	x.Encoding, x.Segments = size.Encoding, size.Parts
	n := utf8.RuneCountInString(x.Body)
	switch {
	case n > MaxBody:
		x.say(blocking(TooLong, "the text has %d characters; %d is the most: shorten it or send it in parts", n, MaxBody))
		x.Body = strings.Clone(cutTo(x.Body, MaxBody)) // 10,000 of them are kept until they were looked at
	case strings.TrimSpace(x.Body) == "" && len(p.files) == 0:
		x.say(blocking(EmptyMessage, "the message has no text; write one"))
	case size.Encoding == UCS2 && size.Parts > Measure(Plain(x.Body)).Parts:
		x.say(warning(UnusualCharacters, "these characters make it %d parts instead of %d: %s", size.Parts, Measure(Plain(x.Body)).Parts, strings.Join(Unusual(x.Body), ", ")))
	case size.Encoding == UCS2 && size.Parts > 1:
		x.say(warning(UnusualCharacters, "these characters halve what fits into a part, and make it %d parts: %s", size.Parts, strings.Join(Unusual(x.Body), ", ")))
	}
	if cost, ok := p.rates.Estimate(x.Country, size, len(p.files)); ok {
		x.EstimatedCost = &cost
	}
}

// missing says which field had no value.
func (p *plan) missing(m Missing, r *contact.Record) *PreviewProblem {
	kind := ""
	if r != nil {
		kind = string(r.Kind)
	}
	set := FieldsFor(kind)
	if _, known := set.Find(m.Path); !known {
		for _, bad := range p.text.Check(set) {
			if bad.Subject == m.Path {
				return blocking(MissingField, "%s", bad.Message)
			}
		}
	}
	return blocking(MissingField, "there is nothing to put in for {{%s}}; fill it in, or write what stands there otherwise, such as {{%s|there}}", m.Path, m.Path)
}

// judge applies the rules to each recipient.
func (p *plan) judge() {
	seen := map[phone.E164]bool{}
	for i, x := range p.all {
		if x.E164 == "" {
			continue
		}
		p.judgeOne(x, p.early[i])
		if seen[x.E164] {
			x.say(blocking(Duplicate, "this number is in the list already; it gets one message"))
		}
		seen[x.E164] = seen[x.E164] || !x.blocked()
	}
}

// judgeOne applies the rules that look at nobody else.
func (p *plan) judgeOne(x *PreviewRecipient, early *errs.Error) {
	if r := p.records[x.RecordID]; r != nil && r.Kind == contact.RecordInvoice && !p.who.Can(access.SMSSendInvoice) {
		e, _ := errs.As(p.who.Require(access.SMSSendInvoice))
		x.say(blocking(Restricted, "%s", e.Message))
	}
	if early != nil {
		x.say(blocking(Restricted, "%s", early.Message))
	}
	if p.optOuts[pair{x.PhoneNumberID, string(x.E164)}] {
		x.say(blocking(OptedOutProblem, "%s", optedOut(string(x.from.E164))))
	}
	switch phone.KindOf(x.E164) {
	case phone.Fixed:
		x.say(blocking(NotMobile, "this is a landline, which gets no text messages; call it, or write to a mobile"))
	case phone.Premium:
		x.say(blocking(NotMobile, "this is a premium number; write to a mobile"))
	}
	if x.PhoneNumberID.IsZero() {
		return
	}
	if fresh, closed := p.closed[closedCountry{x.from.ConnectionID, x.Country}]; closed {
		x.say(&PreviewProblem{CountryNotAllowed, fresh, "the Twilio account may not write to " + x.Country + "; an administrator can allow the country in the Twilio Console under Messaging, Geo permissions"})
	}
	p.pictures(x)
	if x.SenderName == nil {
		if note := x.from.registered(x.Country); note != nil {
			x.say(note)
		}
	}
	if x.EstimatedCost == nil {
		where := x.Country
		if where == "" {
			where = "this number"
		}
		x.say(warning(Unpriced, "no price is known for messages to %s; it is learned from the first one", where))
	}
}

// pictures says what becomes of the files (R143, R144).
func (p *plan) pictures(x *PreviewRecipient) {
	if len(p.files) == 0 {
		return
	}
	limits, native := MMSLimits(x.Country)
	list := facts(p.files)
	for _, bad := range CheckMedia(limits, list) {
		code := MediaTooLarge
		if i := slices.IndexFunc(list, func(f MediaFacts) bool { return f.Name == bad.Subject }); bad.Subject != "" && i >= 0 && !slices.Contains(limits.Types, baseType(list[i].ContentType)) {
			code = MediaKind
		}
		x.say(blocking(code, "%s", bad.Message))
	}
	d := DestinationOf(x.Country)
	switch {
	case d.MMS == MMSNative && !x.from.CanMMS:
		x.say(blocking(MMSUnsupported, "number %s cannot send files; choose one with MMS or leave them out", x.from.E164))
	case d.MMS == MMSLimited && x.from.CanMMS:
	case native && d.MMS == MMSNative:
	default:
		x.say(warning(MMSUnsupported, "%s", d.MMSNote))
	}
}

// closedCountries are those that an account may not write to (R149), and whether
// it was asked within two days: what is older may have been mended.
func closedCountries(ctx context.Context, tx *db.Tx) (map[closedCountry]bool, error) {
	var rows []struct {
		Connection id.ID     `bun:"connection_id"`
		Country    string    `bun:"country"`
		CheckedAt  time.Time `bun:"checked_at"`
	}
	err := db.Select(ctx, tx, &rows, `SELECT connection_id, country, checked_at FROM connection_country WHERE organization_id = $1 AND NOT may_message`, db.TenantFrom(ctx))
	out := make(map[closedCountry]bool, len(rows))
	for _, r := range rows {
		out[closedCountry{r.Connection, r.Country}] = tx.Now.Sub(r.CheckedAt) < 48*time.Hour
	}
	return out, err
}

// userNames are what people are called.
func userNames(ctx context.Context, tx *db.Tx, users []id.ID) (map[id.ID]string, error) {
	var rows []struct {
		ID   id.ID  `bun:"id"`
		Name string `bun:"name"`
	}
	err := db.Select(ctx, tx, &rows, `SELECT u.id, u.name FROM "user" u WHERE u.organization_id = $1 AND u.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), users)
	out := make(map[id.ID]string, len(rows))
	for _, r := range rows {
		out[r.ID] = r.Name
	}
	return out, err
}
