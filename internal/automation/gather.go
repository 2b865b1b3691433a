package automation

import (
	"context"
	"slices"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/phone"
	"switchboard/internal/tenant"
)

const numberPrefix = "number:"

// recipients are whom a rule writes to, as its runs name them.
func (a *Automation) recipients() []string {
	var out []string
	for _, r := range a.Recipients {
		out = append(out, string(r))
	}
	for _, n := range a.ExtraNumbers {
		out = append(out, numberPrefix+string(n))
	}
	return out
}

// gatherer reads what decides about runs of one rule. However many there are, it
// takes the same number of statements for each person who is written to.
type gatherer struct {
	tx       *db.Tx
	org      *tenant.Organization
	rule     *Automation
	template *message.SavedTemplate
	records  map[id.ID]*contact.Record
	contacts map[id.ID]*contact.Contact
	phones   map[id.ID][]*contact.Phone
	people   map[id.ID]*person
	shown    map[id.ID]map[id.ID]shown // by person and contact
}

// shown is what a person sees of a contact.
type shown struct{ all, phone bool }

// gather makes the snapshots of runs. Their times are those at which they are
// looked at.
func gather(ctx context.Context, tx *db.Tx, rule *Automation, runs []*Run, now func(*Run) time.Time) ([]*snapshot, error) {
	g := &gatherer{tx: tx, rule: rule}
	var err error
	if g.org, err = tenant.Read(ctx, tx); err != nil {
		return nil, err
	}
	if g.template, err = message.TemplateByID(ctx, tx, rule.TemplateID); err != nil && !errs.IsCode(err, errs.NotFound) {
		return nil, err
	}
	if errs.IsCode(err, errs.NotFound) {
		g.template = nil
	}
	if err := g.read(ctx, runs); err != nil {
		return nil, err
	}
	out := make([]*snapshot, len(runs))
	for i, r := range runs {
		out[i] = g.snapshot(r, now(r))
	}
	return out, nil
}

func (g *gatherer) read(ctx context.Context, runs []*Run) (err error) {
	system := access.System(g.rule.OrganizationID)
	var records, contacts, users []id.ID
	once := map[id.ID]bool{{}: true}
	for _, r := range runs {
		if !once[r.RecordID] {
			once[r.RecordID] = true
			records = append(records, r.RecordID)
		}
		if !r.ContactID.IsZero() {
			contacts = append(contacts, r.ContactID)
		}
	}
	if g.records, err = contact.RecordsSeen(ctx, g.tx, system, records); err != nil {
		return err
	}
	theirs := map[id.ID][]id.ID{}
	for _, r := range g.records {
		contacts = append(contacts, r.ContactID)
		if u := r.AssignedUserID; !u.IsZero() {
			if theirs[u] == nil {
				users = append(users, u)
			}
			theirs[u] = append(theirs[u], r.ContactID)
		}
	}
	if g.contacts, err = contact.Seen(ctx, g.tx, system, contacts); err != nil {
		return err
	}
	for _, c := range g.contacts { // a call without a record: whoever is in charge of the contact
		if u := c.AssignedUserID; !u.IsZero() {
			if theirs[u] == nil {
				users = append(users, u)
			}
			theirs[u] = append(theirs[u], c.ID)
		}
	}
	if g.phones, err = contact.PhonesOf(ctx, g.tx, contacts); err != nil {
		return err
	}
	if g.people, err = people(ctx, g.tx, users); err != nil || !slices.Contains(g.rule.Recipients, ToAssignedUser) {
		return err
	}
	// R241: a text to a person holds nothing that they may not see.
	g.shown = map[id.ID]map[id.ID]shown{}
	for u, p := range g.people {
		who := p.actor(g.rule.OrganizationID)
		seen, err := contact.Seen(ctx, g.tx, who, theirs[u])
		if err != nil {
			return err
		}
		masked, err := contact.Masked(ctx, g.tx, who, theirs[u])
		if err != nil {
			return err
		}
		g.shown[u] = map[id.ID]shown{}
		for c, x := range seen {
			g.shown[u][c] = shown{all: x.IsOwn, phone: x.IsOwn && !masked[c]}
		}
	}
	return nil
}

func (g *gatherer) snapshot(r *Run, now time.Time) *snapshot {
	s := &snapshot{now: now, rule: g.rule, template: g.template, run: r, record: g.records[r.RecordID], contact: g.contacts[r.ContactID]}
	if s.record != nil && !s.record.ContactID.IsZero() {
		s.contact = g.contacts[s.record.ContactID]
	}
	s.facts = message.MergeFacts{Contact: s.contact, Record: s.record, Business: g.org, EtaAt: r.Event.EtaAt, Note: r.Event.Note, TrackingURL: r.Event.TrackingURL}
	timezone := ""
	if c := s.contact; c != nil {
		if list := g.phones[c.ID]; len(list) > 0 {
			s.facts.Phone = list[0].E164
		}
		if c.Timezone != nil {
			timezone = *c.Timezone
		}
	}
	s.zone = message.ZoneOf(s.facts.Phone, timezone, g.org.Location())
	charge := g.inCharge(s)
	if charge != nil {
		s.facts.UserName = charge.Name
	}
	switch number, extra := strings.CutPrefix(r.Recipient, numberPrefix); {
	case extra:
		s.to, timezone = phone.E164(number), ""
		s.whom = "the number " + phone.Mask(s.to)
	case r.Recipient == string(ToAssignedUser):
		timezone = ""
		g.toUser(s)
	case s.contact == nil:
		s.whom, s.noPhone = "the contact", "the record has no contact; give it one"
	case s.facts.Phone == "":
		s.whom, s.noPhone = "the contact", "the contact has no phone number; add one"
	default:
		s.whom, s.to = "the contact", s.facts.Phone
	}
	if t := g.rule.Trigger; s.record != nil && (t == OnTheWay || t == RunningLate) && s.whom == "the contact" { // R240
		if p := g.people[s.record.AssignedUserID]; p != nil && !p.actor(g.rule.OrganizationID).MayNotifyOnTheWay() {
			s.silent = p.Name
		}
	}
	s.zones = message.ZonesOf(s.to, timezone, g.org.Location())
	return s
}

// inCharge is whom a text speaks of as the user: of the record, else of the contact.
func (g *gatherer) inCharge(s *snapshot) *person {
	if s.record != nil && !s.record.AssignedUserID.IsZero() {
		return g.people[s.record.AssignedUserID]
	}
	if s.contact != nil {
		return g.people[s.contact.AssignedUserID]
	}
	return nil
}

// toUser has the person in charge of the record, or without one of the contact,
// written to, with what they may see.
func (g *gatherer) toUser(s *snapshot) {
	s.whom = "the assigned user"
	var p *person
	switch {
	case s.record != nil:
		p = g.people[s.record.AssignedUserID]
	case s.contact != nil:
		p = g.people[s.contact.AssignedUserID]
	}
	switch {
	case p == nil:
		s.noPhone = "nobody is assigned; assign a user"
	case !p.IsActive:
		s.noPhone = p.Name + " is not active; assign another user"
	case p.E164 == "":
		s.noPhone = p.Name + " has no phone number; add one to the user"
	default:
		s.whom, s.to = p.Name, p.E164
	}
	if c := s.contact; c != nil {
		var may shown
		if p != nil {
			may = g.shown[p.ID][c.ID]
		}
		if p != nil {
			s.facts.Contact = c.For(p.actor(g.rule.OrganizationID))
		}
		if s.hidden = !may.phone; !may.all { // like contact.Named
			s.facts.Contact = &contact.Contact{OrganizationID: c.OrganizationID, ID: c.ID, Kind: c.Kind, Name: s.facts.Contact.Name}
		}
		if !may.phone {
			s.facts.Phone = ""
		}
		if p == nil || !slices.Contains(p.Permissions, access.ContactView) {
			s.facts.Contact = nil
		}
	}
	if p == nil || !slices.Contains(p.Permissions, access.ContactView) {
		s.facts.Record, s.hidden = nil, true
	}
}
