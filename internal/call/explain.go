package call

import (
	"context"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/route"
)

// ExplainCallerID says which number a call would show, and why: the very choice of
// Start, without making the call (D17). Why it would be refused is part of the
// answer. Codes: errs.Unauthenticated, errs.Forbidden without CALL_MAKE.
func (s *Service) ExplainCallerID(ctx context.Context, who access.Actor, in StartInput) (_ *CallerIDExplanation, err error) {
	defer errs.Wrap(&err, "call.ExplainCallerID")
	if err := who.Require(access.CallMake); err != nil {
		return nil, err
	}
	d := &draft{s: s, who: who, in: in, looking: true}
	err = s.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		d.tx = tx
		return d.fill(ctx)
	})
	if err != nil {
		return nil, err
	}
	start := d.start
	x := &CallerIDExplanation{Trace: d.trace, Refused: d.refused, NoticeCodes: start.Notices}
	if x.Trace == nil {
		x.Trace = []route.Trace{}
	}
	hidden := !start.MaskedPair.IsZero() || who.HidesContactDetails() // R103, R241
	if d.to != "" && (!hidden || in.To != "") {                       // what was typed is known
		x.To = &d.to
		dialled := string(d.to)
		if start.Dialled != "" {
			dialled = start.Dialled
		}
		x.Dialled = &dialled
	}
	if len(d.refused) == 0 && start.CallerID != "" {
		x.CallerID, x.PhoneNumberID = &ChosenNumber{E164: start.CallerID, Reason: start.CallerIDReason}, start.Number
	}
	return x, nil
}

// Notices are what the call would cost.
func (x *CallerIDExplanation) Notices() []*Notice {
	return (&Call{NoticeCodes: x.NoticeCodes}).Notices()
}
