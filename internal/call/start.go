package call

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/phone"
	"switchboard/internal/route"
	"switchboard/internal/tenant"
)

// StartInput is a call to start.
type StartInput struct {
	To            string // as typed; or give a contact, a record or a colleague
	ContactID     id.ID
	RecordID      id.ID
	CampaignID    id.ID
	UserID        id.ID // a colleague, instead of all outside (R093)
	PhoneNumberID id.ID // shown as caller ID; zero: chosen by D17
	DeviceID      id.ID // of the actor; zero: the ready one seen last, else the primary phone
	RingMyPhone   bool
	RingMySIP     bool
	DetectMachine bool
	DropMessageID id.ID // left by itself when a machine answers (R109)

	known  bool  // To was not typed by the actor: it stands in something that they see
	called id.ID // of ours, by whoever is called back: shown if it may be and no other is chosen
}

// StartNotice is what starting a call costs (R087).
const StartNotice = "Two calls are made and billed: one to you and one to the person you call."

const maxText = 10_000

// Start calls somebody: the actor's own device or phone rings first, then the
// callee (R087), or a colleague's devices (R093). The row is there at once; a job
// asks Twilio to dial. With a key it acts once. Codes: errs.Forbidden for what
// role, team, option or country refuse; errs.Invalid and errs.Required by field;
// errs.NotFound; errs.Unsupported for emergency numbers; errs.Conflict when there
// is nothing to ring, no number to show or a colleague who cannot be rung;
// errs.LimitReached for the organization's caps.
func (s *Service) Start(ctx context.Context, who access.Actor, in StartInput, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Start")
	if !who.Known() {
		return nil, who.Require(access.CallMake)
	}
	var call id.ID
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		call, err = s.startOnce(ctx, tx, who, in, key, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.own(ctx, who, call)
}

// FirstLeg is the leg of somebody who calls by themselves, on a device or a SIP
// phone: there is nobody to ring first.
type FirstLeg struct {
	SID        string // the call at Twilio
	Connection id.ID  // whose numbers it can show
	Target     route.Target
}

// startOnce prepares and keeps a call, once for a key. Without a first leg, a job
// makes one.
func (s *Service) startOnce(ctx context.Context, tx *db.Tx, who access.Actor, in StartInput, key string, first *FirstLeg) (id.ID, error) {
	user := who.UserID
	if user.IsZero() {
		key = "" // refused anyway
	}
	return job.Once(ctx, tx, job.Key{User: user, Mutation: "callStart", Key: key}, in, func() (id.ID, error) {
		start, err := s.prepareFrom(ctx, tx, who, in, first)
		if err != nil {
			return id.ID{}, err
		}
		return s.keep(ctx, tx, start)
	})
}

// keep writes a call that was prepared and has it dialled. Whoever is called was
// contacted from now on, whatever comes of it (R287): a campaign's round goes on
// past those who do not answer.
func (s *Service) keep(ctx context.Context, tx *db.Tx, start *Start) (id.ID, error) {
	facts := []Fact{{Key: "started", Kind: FactStarted, At: tx.Now, Data: FactData{Start: start}}}
	if start.placed() {
		facts = append(facts, stepFact(2, tx.Now))
	}
	st, made, err := s.create(ctx, tx, facts, start.User)
	if err != nil || !made {
		return st.Call.ID, err
	}
	if start.Direction == Outbound && !start.Test && !start.Contact.IsZero() {
		if err := contact.Touch(ctx, tx, start.Contact, start.Campaign, start.Number, tx.Now); err != nil {
			return id.ID{}, err
		}
	}
	if start.placed() {
		return st.Call.ID, nil
	}
	return st.Call.ID, job.Insert(ctx, tx, Dial{Organization: start.Organization, Call: st.Call.ID})
}

// placed reports whether somebody called by themselves: their leg is the first one.
func (s *Start) placed() bool { return s.Direction != Inbound && s.SID != "" }

// own reads a call that the actor has just acted on.
func (s *Service) own(ctx context.Context, who access.Actor, call id.ID) (*Call, error) {
	found, err := s.ByIDs(db.WithTenant(ctx, who.OrganizationID), []id.ID{call})
	if err != nil {
		return nil, err
	}
	if c := found[call]; c != nil {
		return c, nil
	}
	return nil, absent()
}

// draft is a call in the making.
type draft struct {
	s     *Service
	tx    *db.Tx
	who   access.Actor
	in    StartInput
	first *FirstLeg // nil: the actor is rung
	test  bool      // R085
	rules *rules
	start *Start

	to      phone.E164
	raw     string // what was typed for it
	country string // of the contact (D16)

	trace   []route.Trace
	looking bool // nothing is made: refusals are gathered rather than returned
	refused []*errs.Error
	saving  contact.CallSaving // how the call is saved by itself, where its number found the contact
}

// prepareFrom decides everything about a call that a person starts, on a leg that
// exists already or, with nil, on one that is to be made.
func (s *Service) prepareFrom(ctx context.Context, tx *db.Tx, who access.Actor, in StartInput, first *FirstLeg) (*Start, error) {
	d := &draft{s: s, tx: tx, who: who, in: in, first: first}
	if err := d.fill(ctx); err != nil {
		return nil, err
	}
	return d.start, nil
}

// fill goes through all that a call needs, in the order in which refusals help most.
func (d *draft) fill(ctx context.Context) (err error) {
	d.start = &Start{
		Organization: d.who.OrganizationID, Call: id.New(id.Call), Direction: Outbound, User: d.who.UserID,
		Contact: d.in.ContactID, Record: d.in.RecordID, Campaign: d.in.CampaignID, Plan: Plan{RingSeconds: agentRings}, Test: d.test,
	}
	steps := []func(context.Context) error{d.allowed, d.links, d.whom, d.destination, d.early, d.shown, d.machine, d.agent, d.caps}
	if !d.in.UserID.IsZero() {
		d.start.Direction = Internal
		steps = []func(context.Context) error{d.allowed, d.links, d.colleague, d.carrier, d.agent, d.caps}
	}
	query := lockRules
	if d.looking {
		query = selectRules
	}
	if d.rules, err = readRules(ctx, d.tx, query); err != nil {
		return err
	}
	for _, step := range steps {
		if err := d.keepRefusal(step(ctx)); err != nil {
			return err
		}
	}
	// Whom the rules were asked about is known; whether the call is linked to them is another matter.
	if d.start.Contact, d.start.Record, err = saved(ctx, d.tx, d.saving, d.start.Contact, d.start.Record); err != nil {
		return err
	}
	return nil
}

// keepRefusal lets who only looks go on after a refusal, to see the others too.
func (d *draft) keepRefusal(err error) error {
	e, ok := errs.As(err)
	if !ok || !d.looking || e.Code == errs.Internal || e.Code == errs.Unavailable {
		return err
	}
	d.refused = append(d.refused, e)
	return nil
}

func (d *draft) note(rule string, v route.Verdict, detail string) {
	d.trace = append(d.trace, route.Trace{Rule: rule, Verdict: v, Detail: detail})
}

// allowed asks the role, and refuses wishes that exclude each other.
func (d *draft) allowed(ctx context.Context) error {
	in := d.in
	need := access.CallMake
	switch {
	case d.test:
		need = access.NumberManage
	case !in.UserID.IsZero():
		need = access.CallInternal
	}
	switch err := d.who.Require(need); {
	case err != nil:
		return err
	case d.who.UserID.IsZero():
		return errs.New(errs.Forbidden, "a call rings the person who starts it; an API key has no phone")
	case in.RingMyPhone && in.RingMySIP:
		return errs.New(errs.Invalid, "only one thing of yours rings first: your phone or your SIP address").At("ringMySip")
	case (in.RingMyPhone || in.RingMySIP) && !in.DeviceID.IsZero():
		return errs.New(errs.Invalid, "only one thing of yours rings first: a device, or your phone or SIP address").At("deviceId")
	}
	if in.UserID.IsZero() {
		return nil
	}
	switch {
	case in.To != "" || !in.ContactID.IsZero():
		return errs.New(errs.Invalid, "call a colleague or somebody outside, not both").At("userId")
	case !in.CampaignID.IsZero():
		return errs.New(errs.Invalid, "a campaign is for calls to people outside").At("campaignId")
	case !in.PhoneNumberID.IsZero():
		return errs.New(errs.Invalid, "a call to a colleague shows no number").At("phoneNumberId")
	case in.DetectMachine || !in.DropMessageID.IsZero():
		return errs.New(errs.Invalid, "answering machines are for calls to people outside").At("detectMachine")
	}
	return nil
}

// links refuses contacts, records and campaigns that the actor does not see.
func (d *draft) links(ctx context.Context) error {
	if err := mayLink(ctx, d.tx, d.who, d.in.ContactID, d.in.RecordID); err != nil {
		if d.looking { // the rest is looked at as if they had not been named
			d.in.ContactID, d.in.RecordID, d.start.Contact, d.start.Record = id.ID{}, id.ID{}, id.ID{}, id.ID{}
		}
		return err
	}
	if d.in.CampaignID.IsZero() {
		return nil
	}
	var there bool
	err := d.tx.Pgx().QueryRow(ctx, `SELECT EXISTS (SELECT FROM campaign WHERE organization_id = $1 AND id = $2)`, d.who.OrganizationID, d.in.CampaignID).Scan(&there)
	if err == nil && !there {
		return errs.New(errs.NotFound, "there is no such campaign").At("campaignId")
	}
	return db.Translate(err)
}

// mayLink refuses contacts and records that the actor does not see, as if they
// did not exist: a call of one's own would open any whose id is known.
func mayLink(ctx context.Context, tx *db.Tx, who access.Actor, c, record id.ID) error {
	if !c.IsZero() {
		if ok, err := contact.Sees(ctx, tx, who, c); err != nil {
			return err
		} else if !ok {
			return errs.New(errs.NotFound, "there is no such contact").At("contactId")
		}
	}
	if !record.IsZero() {
		if ok, err := contact.SeesRecord(ctx, tx, who, record); err != nil {
			return err
		} else if !ok {
			return errs.New(errs.NotFound, "there is no such record").At("recordId")
		}
	}
	return nil
}

// whom finds the number to call: as typed, else the contact's, else that of the
// contact whom the record is about (R078). Who is called is a contact where one
// has the number: the record's own before others.
func (d *draft) whom(ctx context.Context) error {
	start := d.start
	about := d.in.ContactID
	if about.IsZero() && !d.in.RecordID.IsZero() {
		err := d.tx.Pgx().QueryRow(ctx, `SELECT contact_id FROM record WHERE organization_id = $1 AND id = $2`, start.Organization, d.in.RecordID).Scan(&about)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return db.Translate(err)
		}
	}
	d.raw = d.in.To
	if d.raw != "" && !d.test && !d.in.known && d.who.HidesContactDetails() {
		return TypedRefused()
	}
	if d.raw == "" {
		if about.IsZero() {
			if !d.in.RecordID.IsZero() {
				return errs.New(errs.Required, "this record is about nobody; give a number or a contact to call").At("to")
			}
			return errs.New(errs.Required, "whom to call? give a number, a contact, a record or a colleague").At("to")
		}
		err := d.tx.Pgx().QueryRow(ctx, `SELECT coalesce(c.country, ''), coalesce(p.e164, '') FROM contact c
			LEFT JOIN contact_phone p ON p.organization_id = c.organization_id AND p.contact_id = c.id
			WHERE c.organization_id = $1 AND c.id = $2 ORDER BY p.is_primary DESC NULLS LAST, p.e164 LIMIT 1`, start.Organization, about).Scan(&d.country, &d.raw)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return errs.New(errs.NotFound, "there is no such contact").At("contactId")
		case err != nil:
			return db.Translate(err)
		case d.raw == "":
			return errs.New(errs.Required, "this contact has no phone; give a number to call").At("to")
		}
		d.to, start.Contact = phone.E164(d.raw), about
		return nil
	}
	to, err := phone.Parse(d.raw, d.rules.home)
	if err != nil {
		// Short numbers are no numbers, and help is called by them: the policy knows.
		if refused := d.rules.Check("", d.raw); errs.IsCode(refused, errs.Unsupported) {
			return refused
		}
		return errs.New(errs.Invalid, "%s", err.Error()).At("to")
	}
	d.to = to
	if !d.in.ContactID.IsZero() {
		return db.Translate(d.tx.Pgx().QueryRow(ctx, `SELECT coalesce(country, '') FROM contact WHERE organization_id = $1 AND id = $2`,
			start.Organization, d.in.ContactID).Scan(&d.country))
	}
	found, err := contact.Match(ctx, d.tx, to)
	if err != nil || len(found) == 0 {
		return err
	}
	c := found[0]
	for _, x := range found {
		if x.ContactID == about {
			c = x
		}
	}
	start.Contact = c.ContactID
	if about.IsZero() {
		d.saving = c.Outbound
	}
	if c.Country != nil {
		d.country = *c.Country
	}
	return nil
}

// TypedRefused is what somebody is told who sees no contact details and types a
// number (R241): what comes of it would say whose it is. They call and write to
// contacts, records and conversations by their ids.
func TypedRefused() error {
	return errs.New(errs.Forbidden, "the fieldworker option %s is off for you: call or write to a contact or a record instead of a number, or have an administrator switch it on",
		access.DisplayContactDetails).At("to")
}

// destination asks the organization's rules, and writes the destination as it is dialled (R089).
func (d *draft) destination(context.Context) error {
	if d.to == "" {
		return nil
	}
	d.start.To = string(d.to)
	d.start.Callee = &route.Target{LegID: id.New(id.Leg), Kind: route.Callee, Address: string(d.to)}
	if dialled := route.FormatDial(d.rules.format, d.to); dialled != string(d.to) {
		d.start.Dialled = dialled
	}
	return d.rules.Check(string(d.to), d.raw)
}

// early keeps fieldworkers from calling customers before the booking begins (R242). A
// typed number stands for everybody who has it, not for the one whom it matched.
func (d *draft) early(ctx context.Context) error {
	if d.test {
		return nil
	}
	about := Contacting{d.start.Contact, d.start.Record, string(d.to)}
	if d.in.ContactID.IsZero() && d.in.RecordID.IsZero() {
		about.ContactID = id.ID{}
	}
	return mayContact(ctx, d.tx, d.who, about)
}

// machine has the network say whether a machine answers, and what is left there (R108, T10).
func (d *draft) machine(ctx context.Context) error {
	d.start.Detect = d.in.DetectMachine || !d.in.DropMessageID.IsZero()
	if d.in.DropMessageID.IsZero() {
		return nil
	}
	if !d.rules.has(tenant.VoicemailDrop) {
		return errs.New(errs.Forbidden, "the feature %s is switched off; an administrator can switch it on in the organization's settings", tenant.VoicemailDrop).At("dropMessageId")
	}
	o, err := dropOrder(ctx, d.tx, d.who.OrganizationID, d.in.DropMessageID)
	d.start.Drop = o
	return err
}

// caps keeps the organization and its people from calling without end.
func (d *draft) caps(ctx context.Context) error {
	if err := d.rules.mayStart(ctx, d.tx, d.who.UserID); err != nil || d.start.Direction == Internal {
		return err
	}
	return d.s.maySpend(ctx, d.tx, d.who, d.start.Branch)
}
