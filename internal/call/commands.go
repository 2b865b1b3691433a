package call

import (
	"context"
	"database/sql"
	"errors"
	"time"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

func init() {
	for name, what := range map[string]string{"call_contact": "contact", "call_record": "record", "call_campaign": "campaign"} {
		db.RegisterConstraint(name, errs.New(errs.NotFound, "there is no such %s", what).At(what+"Id"))
	}
}

// ExplainInput is a call to think of.
type ExplainInput struct {
	PhoneNumberID id.ID
	From          string // as typed; empty or a word such as anonymous: nobody known
	At            time.Time
}

// Explain says where a call would go, and why: the very decision that a real call
// gets (R043). Codes: errs.Forbidden, errs.NotFound, errs.Invalid for the caller.
func (s *Service) Explain(ctx context.Context, who access.Actor, in ExplainInput) (_ *route.Decision, err error) {
	defer errs.Wrap(&err, "call.Explain")
	if err := who.Require(access.RouteExplain); err != nil {
		return nil, err
	}
	var d route.Decision
	err = s.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		from := in.From
		if !phone.Anonymous(from) {
			country, err := defaultCountry(ctx, tx)
			if err != nil {
				return err
			}
			e, err := phone.Parse(from, country)
			if err != nil {
				return errs.New(errs.Invalid, "%s", err.Error()).At("from")
			}
			from = string(e)
		}
		sc, err := readScene(ctx, tx, in.PhoneNumberID, "", from)
		if err != nil {
			return err
		}
		if sc.Number.ID.IsZero() {
			return errs.New(errs.NotFound, "there is no such phone number").At("phoneNumberId")
		}
		if !in.At.IsZero() {
			sc.At = in.At
		}
		d = route.Decide(sc.Snapshot)
		return nil
	})
	if err != nil {
		return nil, err
	}
	mask(who, &d)
	return &d, nil
}

func defaultCountry(ctx context.Context, tx *db.Tx) (country string, err error) {
	err = tx.Pgx().QueryRow(ctx, `SELECT default_country FROM organization WHERE organization_id = $1`, db.TenantFrom(ctx)).Scan(&country)
	return country, db.Translate(err)
}

// StartInput is a call to start.
type StartInput struct {
	To            string // as typed; or give a contact
	ContactID     id.ID
	RecordID      id.ID
	CampaignID    id.ID
	PhoneNumberID id.ID // shown as caller ID; zero: chosen by D17
	DeviceID      id.ID // of the actor; zero: the one seen last, else the primary phone
	RingMyPhone   bool
}

// StartNotice is what starting a call costs (R087).
const StartNotice = "Two calls are made and billed: one to you and one to the person you call."

const maxText = 10_000

// Start calls somebody: the actor's own device or phone rings first, then the
// callee (R087). The row is there at once; a job asks Twilio to dial. With a key
// it acts once. Codes: errs.Forbidden, errs.Invalid and errs.Required by field,
// errs.NotFound, errs.Conflict when there is nothing to ring or no number to show.
func (s *Service) Start(ctx context.Context, who access.Actor, in StartInput, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Start")
	if err := who.Require(access.CallMake); err != nil {
		return nil, err
	}
	if who.UserID.IsZero() {
		return nil, errs.New(errs.Forbidden, "a call rings the person who starts it; an API key has no phone")
	}
	var call id.ID
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		call, err = job.Once(ctx, tx, job.Key{User: who.UserID, Mutation: "callStart", Key: key}, in, func() (id.ID, error) {
			start, err := s.prepare(ctx, tx, who, in)
			if err != nil {
				return id.ID{}, err
			}
			st, _, err := s.create(ctx, tx, []Fact{{Key: "started", Kind: FactStarted, At: tx.Now, Data: FactData{Start: start}}}, who.UserID)
			if err != nil {
				return id.ID{}, err
			}
			return st.Call.ID, job.Insert(ctx, tx, Dial{Organization: who.OrganizationID, Call: st.Call.ID})
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.own(ctx, who, call)
}

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

func (s *Service) prepare(ctx context.Context, tx *db.Tx, who access.Actor, in StartInput) (*Start, error) {
	start := &Start{
		Organization: who.OrganizationID, Call: id.New(id.Call), Direction: Outbound, User: who.UserID,
		Contact: in.ContactID, Record: in.RecordID, Campaign: in.CampaignID, Plan: Plan{RingSeconds: agentRings},
	}
	if err := mayLink(ctx, tx, who, in.ContactID, in.RecordID); err != nil {
		return nil, err
	}
	to, country, err := s.destination(ctx, tx, in, start)
	if err != nil {
		return nil, err
	}
	if err := s.show(ctx, tx, who, in, to, country, start); err != nil {
		return nil, err
	}
	agent, err := s.agent(ctx, tx, who, in)
	if err != nil {
		return nil, err
	}
	start.Agent = agent
	start.Callee = &route.Target{LegID: id.New(id.Leg), Kind: route.Callee, Address: string(to)}
	start.To = string(to)
	return start, nil
}

// agentRings is how long the actor's own device rings, in seconds.
const agentRings = 45

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

// destination is whom to call, and the contact's country.
func (s *Service) destination(ctx context.Context, tx *db.Tx, in StartInput, start *Start) (to phone.E164, country string, err error) {
	home, err := defaultCountry(ctx, tx)
	if err != nil {
		return "", "", err
	}
	if !in.ContactID.IsZero() {
		var row struct {
			Country string     `bun:"country"`
			E164    phone.E164 `bun:"e164"`
		}
		err := db.Select(ctx, tx, &row, `SELECT coalesce(c.country, '') AS country, coalesce(p.e164, '') AS e164 FROM contact c
			LEFT JOIN contact_phone p ON p.organization_id = c.organization_id AND p.contact_id = c.id
			WHERE c.organization_id = $1 AND c.id = $2 ORDER BY p.is_primary DESC NULLS LAST, p.e164 LIMIT 1`, start.Organization, in.ContactID)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return "", "", errs.New(errs.NotFound, "there is no such contact").At("contactId")
		case err != nil:
			return "", "", err
		}
		to, country = row.E164, row.Country
		if to == "" && in.To == "" {
			return "", "", errs.New(errs.Required, "this contact has no phone; give a number to call").At("to")
		}
	}
	if in.To != "" {
		if to, err = phone.Parse(in.To, home); err != nil {
			return "", "", errs.New(errs.Invalid, "%s", err.Error()).At("to")
		}
	}
	if to == "" {
		return "", "", errs.New(errs.Required, "whom to call? give a number or a contact").At("to")
	}
	if start.Contact.IsZero() {
		found, err := contact.Match(ctx, tx, to)
		if err != nil {
			return "", "", err
		}
		if len(found) > 0 {
			start.Contact = found[0].ContactID
			if c := found[0].Country; c != nil {
				country = *c
			}
		}
	}
	return to, country, nil
}

// show chooses the caller ID (D17), and with it connection, branch and recording.
func (s *Service) show(ctx context.Context, tx *db.Tx, who access.Actor, in StartInput, to phone.E164, country string, start *Start) error {
	var rows []struct {
		ID           id.ID      `bun:"id"`
		E164         phone.E164 `bun:"e164"`
		Country      string     `bun:"country"`
		BranchID     id.ID      `bun:"branch_id"`
		IsDefault    bool       `bun:"is_default"`
		ConnectionID id.ID      `bun:"connection_id"`
		Record       RecordMode `bun:"record"`
		Voice        string     `bun:"voice"`
		Language     string     `bun:"language"`
	}
	if err := db.Select(ctx, tx, &rows, `SELECT n.id, n.e164, n.country, n.branch_id, n.is_default, n.connection_id,
			coalesce(n.outgoing_recording, c.outgoing_recording) AS record, n.voice, n.language
		FROM phone_number n JOIN twilio_connection c ON c.organization_id = n.organization_id AND c.id = n.connection_id
		WHERE n.organization_id = $1 AND n.is_enabled AND n.can_voice AND n.use_for_caller_id AND n.disconnected_at IS NULL
			AND c.is_enabled AND c.disconnected_at IS NULL`, start.Organization); err != nil {
		return err
	}
	choice := route.Choice{Explicit: in.PhoneNumberID, Branches: who.BranchIDs, To: to, ContactCountry: country}
	for _, r := range rows {
		choice.Numbers = append(choice.Numbers, route.OwnNumber{ID: r.ID, E164: r.E164, Country: r.Country, BranchID: r.BranchID, IsDefault: r.IsDefault})
	}
	chosen, err := route.ChooseNumber(choice)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.ID == chosen.Number.ID {
			start.Connection, start.Number, start.Branch = r.ConnectionID, r.ID, r.BranchID
			start.Plan.Voice, start.Plan.Language = r.Voice, r.Language
			if r.Record != RecordOff {
				start.Plan.Record = r.Record
			}
		}
	}
	start.From, start.CallerID, start.CallerIDReason = string(chosen.Number.E164), chosen.Number.E164, chosen.Reason
	return nil
}

// agent is what rings first: the device asked for, the one seen last, or the
// actor's primary phone (R087, R288).
func (s *Service) agent(ctx context.Context, tx *db.Tx, who access.Actor, in StartInput) (*route.Target, error) {
	t := &route.Target{LegID: id.New(id.Leg), UserID: who.UserID}
	if !in.RingMyPhone {
		var device id.ID
		err := tx.Pgx().QueryRow(ctx, `SELECT d.id FROM device d WHERE d.organization_id = $1 AND d.user_id = $2 AND d.removed_at IS NULL
			AND ($3::uuid IS NULL OR d.id = $3) ORDER BY d.last_seen_at DESC, d.id LIMIT 1`, who.OrganizationID, who.UserID, in.DeviceID).Scan(&device)
		switch {
		case err == nil:
			t.Kind, t.DeviceID, t.Address = route.Device, device, "client:"+device.String()
			return t, nil
		case !errors.Is(err, sql.ErrNoRows):
			return nil, db.Translate(err)
		case !in.DeviceID.IsZero():
			return nil, errs.New(errs.NotFound, "you have no such device").At("deviceId")
		}
	}
	var number string
	err := tx.Pgx().QueryRow(ctx, `SELECT p.e164 FROM user_phone p WHERE p.organization_id = $1 AND p.user_id = $2 AND p.is_primary`, who.OrganizationID, who.UserID).Scan(&number)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, errs.New(errs.Conflict, "there is nothing of yours to ring: register a device or give yourself a primary phone")
	case err != nil:
		return nil, db.Translate(err)
	}
	t.Kind, t.Address = route.UserPhone, number
	return t, nil
}

// Decline declines a ring on one device of the actor, or on all of them; the
// others go on (T03). Declining a ring that is over changes nothing. Codes:
// errs.Forbidden, errs.NotFound when the call never rang the actor there.
func (s *Service) Decline(ctx context.Context, who access.Actor, call, device id.ID) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Decline")
	if err := who.Require(access.CallReceive); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		st, found, err := s.take(ctx, tx, call, who.UserID)
		if err != nil {
			return err
		}
		mine := false
		var facts []Fact
		var jobs []job.Args
		for _, l := range st.Legs {
			if who.UserID.IsZero() || l.UserID != who.UserID || !device.IsZero() && l.DeviceID != device {
				continue
			}
			mine = true
			if l.Status != LegQueued && l.Status != LegRinging {
				continue
			}
			facts = append(facts, Fact{Key: "decline/" + l.ID.String(), Kind: FactCommand, At: tx.Now, Data: FactData{Command: CommandDecline, Leg: l.ID, By: who.UserID}})
			jobs = append(jobs, End{Organization: who.OrganizationID, Call: call, Leg: l.ID})
		}
		if !found || !mine {
			return absent()
		}
		if len(facts) == 0 {
			return nil
		}
		if _, _, err := s.take(ctx, tx, call, who.UserID, facts...); err != nil {
			return err
		}
		return job.InsertMany(ctx, tx, jobs...)
	})
	if err != nil {
		return nil, err
	}
	return s.own(ctx, who, call)
}

// HangUp ends the call for everybody. It is idempotent: ending an ended call
// succeeds. Whoever takes part may; others need CALL_CONTROL. Codes:
// errs.NotFound, errs.Forbidden.
func (s *Service) HangUp(ctx context.Context, who access.Actor, call id.ID) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.HangUp")
	c, err := s.Get(ctx, who, call)
	if err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	if !c.tookPart(who) {
		if err := who.Require(access.CallControl); err != nil {
			return nil, err
		}
	}
	if !c.Live() {
		return c, nil
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		st, found, err := s.take(ctx, tx, call, who.UserID, Fact{Key: "hangup", Kind: FactCommand, At: tx.Now, Data: FactData{Command: CommandHangUp, By: who.UserID}})
		if err != nil || !found || st.Call.EndedAt != nil {
			return err
		}
		return job.Insert(ctx, tx, End{Organization: who.OrganizationID, Call: call})
	})
	if err != nil {
		return nil, err
	}
	return s.own(ctx, who, call)
}

// tookPart reports whether the actor started or answered the call.
func (c *Call) tookPart(who access.Actor) bool {
	return !who.UserID.IsZero() && (c.UserID == who.UserID || c.AnsweredByID == who.UserID)
}

// UpdateInput is what people write about a call.
type UpdateInput struct {
	Outcome   patch.Field[string]
	Notes     patch.Field[string]
	ContactID patch.Field[id.ID]
	RecordID  patch.Field[id.ID]
}

// maxUpdates is how often a call can be written on: what was written stays among its facts.
const maxUpdates = 500

// Update notes the outcome, writes notes and corrects the links (R186, R194,
// R195). Whoever took part may, and whoever sees a call that nobody took; the
// calls of others need CALL_CONTROL. Codes: errs.NotFound, errs.Forbidden,
// errs.Invalid by field, errs.LimitReached.
func (s *Service) Update(ctx context.Context, who access.Actor, call id.ID, in UpdateInput) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Update")
	c, err := s.Get(ctx, who, call)
	if err != nil {
		return nil, err
	}
	if taken := !c.UserID.IsZero() || !c.AnsweredByID.IsZero(); taken && !c.tookPart(who) {
		if err := who.Require(access.CallControl); err != nil {
			return nil, err
		}
	}
	change := &Change{}
	text := func(dst **string, f patch.Field[string], name string, limit int) error {
		if !f.Set {
			return nil
		}
		if utf8.RuneCountInString(f.Value) > limit {
			return errs.New(errs.Invalid, "%s is longer than %d characters", name, limit).At(name)
		}
		*dst = new(f.Value)
		return nil
	}
	if err := text(&change.Outcome, in.Outcome, "outcome", 200); err != nil {
		return nil, err
	}
	if err := text(&change.Notes, in.Notes, "notes", maxText); err != nil {
		return nil, err
	}
	if in.ContactID.Set {
		change.Contact = new(in.ContactID.Value)
	}
	if in.RecordID.Set {
		change.Record = new(in.RecordID.Value)
	}
	if *change == (Change{}) {
		return c, nil
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := mayLink(ctx, tx, who, in.ContactID.Value, in.RecordID.Value); err != nil {
			return err
		}
		var written int
		if err := tx.Pgx().QueryRow(ctx, `SELECT count(*) FROM call_fact WHERE organization_id = $1 AND call_id = $2 AND kind = $3`,
			who.OrganizationID, call, string(FactCommand)).Scan(&written); err != nil {
			return db.Translate(err)
		}
		if written >= maxUpdates {
			return errs.New(errs.LimitReached, "this call was changed %d times, which is the most", written)
		}
		_, _, err := s.take(ctx, tx, call, who.UserID, Fact{Key: "update/" + id.New(id.Fact).String(), Kind: FactCommand, At: tx.Now,
			Data: FactData{Command: CommandUpdate, By: who.UserID, Change: change}})
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.own(ctx, who, call)
}
