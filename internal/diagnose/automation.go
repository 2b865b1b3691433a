package diagnose

import (
	"context"

	"switchboard/internal/access"
	"switchboard/internal/automation"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
)

// reasons are what the parts of a rule that say no are called here (R272).
var reasons = map[automation.Reason]Code{
	automation.Disabled: AutomationDisabled, automation.TriggerGone: AutomationTrigger, automation.NoCondition: AutomationCondition,
	automation.NoRecipient: AutomationNoRecipient, automation.OptedOut: OptedOut, automation.MissingField: AutomationTemplate,
	automation.BadTemplate: AutomationTemplate, automation.BadSender: AutomationSender, automation.Quiet: QuietHours,
	automation.TooLate: AutomationTooLate, automation.Refused: AutomationRefused,
}

// parts are the same for a step of an explanation.
var parts = map[string]Code{
	"rule": AutomationDisabled, "trigger": AutomationTrigger, "condition": AutomationCondition, "recipient": AutomationNoRecipient,
	"template": AutomationTemplate, "sender": AutomationSender, "quiet hours": QuietHours,
}

// automation looks at a rule: why it did not send last time, and whether it would now
// (R175, R272).
func (x *exam) automation(ctx context.Context, who access.Actor, which id.ID) error {
	a, err := x.s.d.Automations.Get(ctx, who, which)
	if err != nil {
		return err
	}
	p := x.at(a.ID, false)
	switch {
	case a.IsArchived:
		p.problem(AutomationDisabled, "make another one with automationCreate", "the automation was removed")
		return nil
	case !a.IsEnabled:
		p.problem(AutomationDisabled, "", "the automation is off: it starts for nothing")
		return nil
	}
	p.ok(AutomationDisabled, "the automation is on")
	if capped, err := x.capped(ctx, p, a); err != nil || capped {
		return err
	}
	warnings, err := x.s.d.Automations.Warnings(ctx, x.who, a)
	if err != nil {
		return err
	}
	runs, err := x.s.d.Automations.Runs(access.With(ctx, x.who), x.who, automation.RunFilter{AutomationID: a.ID}, db.Page{First: 1})
	if err != nil {
		return err
	}
	if len(runs.Nodes) == 0 {
		if len(warnings) > 0 {
			x.warned(p, warnings)
			return nil
		}
		p.warning(AutomationTrigger, "", "nothing has started this automation since it was switched on")
		return nil
	}
	return x.lastRun(ctx, p, a, runs.Nodes[0], warnings)
}

// warned are warnings of a rule that never ran.
func (x *exam) warned(p spot, warnings []string) {
	for _, w := range warnings {
		switch {
		case contains(w, "template", "field", "text"):
			p.problem(AutomationTemplate, "", w)
		case contains(w, "number", "sender"):
			p.problem(AutomationSender, "", w)
		default:
			p.problem(AutomationTrigger, "", w)
		}
	}
}

// capped is whether a cap of costs keeps it from sending (R102). A rule without a
// number of its own sends from the one that is chosen: what bars only some of their
// branches is a warning.
func (x *exam) capped(ctx context.Context, p spot, a *automation.Automation) (bool, error) {
	var branches []struct {
		ID id.ID `bun:"branch_id,type:uuid"`
	}
	err := db.Select(ctx, x.s.d.DB.App(), &branches, `SELECT DISTINCT branch_id FROM phone_number WHERE organization_id = $1
		AND CASE WHEN $2::uuid IS NULL THEN is_enabled AND use_for_messages AND can_sms AND disconnected_at IS NULL ELSE id = $2 END`, x.org, a.PhoneNumberID)
	if err != nil {
		return false, err
	}
	n, barred := 0, ""
	err = x.s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		for _, b := range branches {
			err := x.s.d.MaySpend(ctx, tx, message.Spending{Organization: x.org, Branch: b.ID, Automation: a.ID})
			if e, ok := errs.As(err); ok && e.Code == errs.LimitReached {
				n, barred = n+1, e.Message
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return false, err
	case n == 0:
		p.ok(AutomationCapped, "no cap of costs keeps it from sending")
	case n < len(branches):
		p.warning(AutomationCapped, "", "from some numbers nothing is sent: "+barred)
	default:
		p.problem(AutomationCapped, "", "nothing is sent: "+barred)
	}
	return n > 0 && n == len(branches), nil
}

// lastRun is why the last run sent nothing, if that is still so.
func (x *exam) lastRun(ctx context.Context, p spot, a *automation.Automation, r *automation.Run, warnings []string) error {
	switch r.State {
	case automation.Sent:
		p.ok(AutomationTrigger, "it ran last at %s and sent", r.CreatedAt.UTC().Format("2 Jan 15:04 MST"))
		if len(warnings) > 0 {
			x.warned(p, warnings)
		}
		return nil
	case automation.Waiting:
		p.ok(AutomationTrigger, "a run waits for its time")
		return nil
	}
	why, words := AutomationRefused, "it sent nothing"
	if r.ReasonCode != nil {
		why = reasons[*r.ReasonCode]
	}
	if r.Reason != nil {
		words = *r.Reason
	}
	facts := []Evidence{fact("runId", r.ID), fact("ranAt", at(r.RanAt, r.CreatedAt))}
	if r.RecordID.IsZero() || a.Trigger == "" {
		p.problem(why, "", "the last run sent nothing: "+words, facts...)
		return nil
	}
	now, err := x.s.d.Automations.Explain(ctx, x.who, a.ID, r.RecordID)
	if isMissing(err) {
		p.problem(why, "", "the last run sent nothing: "+words, facts...)
		return nil
	}
	if err != nil {
		return err
	}
	left := 0
	for _, s := range now.Steps {
		c := parts[s.Part]
		switch {
		case s.Holds:
			p.ok(c, "%s: %s", s.Part, s.Message)
		case s.Part == "rule": // it ran for this already
		case c == AutomationNoRecipient && why == OptedOut:
			left++
			p.problem(OptedOut, "", s.Message, facts...)
		case (c == AutomationSender || c == AutomationNoRecipient) && why == AutomationRefused:
			left++
			p.problem(AutomationRefused, "", s.Message, facts...)
		case c == AutomationTrigger && why == AutomationTooLate:
			left++
			p.problem(AutomationTooLate, "", s.Message, facts...)
		default:
			left++
			p.problem(c, "", s.Message, facts...)
		}
	}
	if left == 0 {
		p.ok(why, "the last run sent nothing (%s); it would send now", words)
	}
	return nil
}
