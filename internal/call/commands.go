package call

import (
	"context"
	"time"

	"switchboard/internal/access"
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
	if !phone.Anonymous(in.From) && (who.HidesContactDetails() || who.SeesOwnContacts()) { // R241, R243
		return nil, errs.New(errs.Forbidden, "the way of a caller says who they are, and you do not see all contacts and their numbers; leave `from` out, or have an administrator ask").At("from")
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
		sc, err := s.readScene(ctx, tx, look{number: in.PhoneNumberID, from: from})
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
		talks, err := s.talks(ctx, who, call, LegInProgress)
		if err != nil {
			return nil, err
		}
		if !talks {
			if err := who.Require(access.CallControl); err != nil {
				return nil, err
			}
		}
	}
	if !c.Live() {
		return c, nil
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		st, found, err := s.take(ctx, tx, call, who.UserID)
		if err != nil || !found || st.Call.EndedAt != nil {
			return err
		}
		if st.room.gone(who.UserID) {
			if err := who.Require(access.CallControl); err != nil {
				return err
			}
		}
		st, found, err = s.take(ctx, tx, call, who.UserID, Fact{Key: "hangup", Kind: FactCommand, At: tx.Now, Data: FactData{Command: CommandHangUp, By: who.UserID}})
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

// talks reports whether the actor is in a call that they neither started nor
// answered: it was transferred to them, or they were added. With LegEnded also
// whether they were.
func (s *Service) talks(ctx context.Context, who access.Actor, call id.ID, in ...LegStatus) (is bool, err error) {
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return tx.Pgx().QueryRow(ctx, `SELECT EXISTS (SELECT FROM call_leg WHERE organization_id = $1 AND call_id = $2 AND user_id = $3 AND status = ANY ($4::text[])
				AND answered_at IS NOT NULL AND purpose <> $5)`, who.OrganizationID, call, who.UserID, in, string(ForMonitor)).Scan(&is)
	})
	return is, db.Translate(err)
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
// errs.Invalid by field, errs.LimitReached, errs.Conflict for a link that a legal
// hold keeps the call by.
func (s *Service) Update(ctx context.Context, who access.Actor, call id.ID, in UpdateInput) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Update")
	c, err := s.mayChange(ctx, who, call)
	if err != nil {
		return nil, err
	}
	change, err := changeOf(in)
	if err != nil || *change == (Change{}) {
		return c, err
	}
	err = s.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		return s.change(ctx, tx, who, call, in, change)
	})
	if err != nil {
		return nil, err
	}
	return s.own(ctx, who, call)
}
