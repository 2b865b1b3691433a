package automation

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
)

const (
	dryDays   = 30
	dryRows   = 200
	dryCauses = 5000 // the newest; more are not looked at
)

// DryRunInput says what to try.
type DryRunInput struct {
	AutomationID id.ID
	Rule         *Rule // or one that is not saved
	Days         *int  // 30 unless told
}

// DryRun says what an automation, as if it had been on, would have done over the
// last days with the records as they are now. Nothing is sent. It needs
// AUTOMATION_MANAGE; who sees only their own records tries it with those.
func (s *Service) DryRun(ctx context.Context, who access.Actor, in DryRunInput) (out *DryRun, err error) {
	defer errs.Wrap(&err, "automation.DryRun")
	if err := who.Require(access.AutomationManage); err != nil {
		return nil, err
	}
	days := dryDays
	if in.Days != nil {
		days = *in.Days
	}
	switch {
	case days < 1 || days > dryDays:
		return nil, errs.New(errs.Invalid, "days is %d; give 1 to %d", days, dryDays).At("input", "days")
	case in.AutomationID.IsZero() == (in.Rule == nil):
		return nil, errs.New(errs.Required, "give an automation or a rule that is not saved, one of the two").At("input", "id")
	}
	ctx = access.With(ctx, who)
	var shots []*snapshot
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		a, err := in.rule(ctx, tx, who)
		if err != nil {
			return err
		}
		runs, err := past(ctx, tx, who, a, tx.Now.Add(-time.Duration(days)*24*time.Hour), tx.Now)
		if err != nil {
			return err
		}
		shots, err = gather(ctx, tx, a, runs, func(r *Run) time.Time { return r.EventAt.Add(a.offset()) })
		return err
	})
	if err != nil {
		return nil, err
	}
	prices, err := s.ask(ctx, shots)
	if err != nil {
		return nil, err
	}
	return tried(who, shots, prices), nil
}

// rule is the automation to try, switched on.
func (in DryRunInput) rule(ctx context.Context, tx *db.Tx, who access.Actor) (a *Automation, err error) {
	if in.Rule != nil {
		if a, _, err = in.Rule.read(ctx, tx, who); err != nil {
			return nil, err
		}
		if !a.PhoneNumberID.IsZero() { // what is saved is held to it by the database
			_, err := one[struct{ ID id.ID }](ctx, tx, errNoNumber, `SELECT n.id FROM phone_number n WHERE n.organization_id = $1 AND n.id = $2`, a.OrganizationID, a.PhoneNumberID)
			if err != nil {
				return nil, err
			}
		}
	} else if a, err = byID(ctx, tx, in.AutomationID); err != nil {
		return nil, err
	}
	a.IsEnabled, a.IsArchived, a.EnabledAt = true, false, nil
	return a, nil
}

// past are the runs that would have come up between two moments, the newest first.
func past(ctx context.Context, tx *db.Tx, who access.Actor, a *Automation, since, until time.Time) (runs []*Run, err error) {
	t := specs[a.Trigger]
	saved, err := message.TemplateByID(ctx, tx, a.TemplateID)
	if err != nil && !errs.IsCode(err, errs.NotFound) {
		return nil, err
	}
	kind := string(kindFor(a.Trigger, saved))
	from, to := since.Add(-a.offset()), until.Add(-a.offset())
	own, ofOwn := who.SeesOwnContacts(), who.UserID
	var causes []*Run
	if a.Trigger.byDate() {
		var rows []missed
		if err := db.Select(ctx, tx, &rows, `SELECT rec.id, rec.id AS record_id, rec.contact_id, rec.`+t.column+` AS at FROM record rec
			WHERE rec.organization_id = $1 AND rec.`+t.column+` > $2 AND rec.`+t.column+` <= $3 AND ($4::text = '' OR rec.kind = $4) AND (NOT $5::boolean OR rec.assigned_user_id = $6)
			ORDER BY at DESC, rec.id LIMIT $7`, who.OrganizationID, from, to, kind, own, ofOwn, dryCauses); err != nil {
			return nil, err
		}
		for _, x := range rows {
			causes = append(causes, &Run{Cause: dateCause(x.RecordID, x.At), RecordID: x.RecordID, ContactID: x.ContactID, EventAt: x.At})
		}
	} else {
		var rows []*recordEvent
		if err := db.Select(ctx, tx, &rows, `SELECT `+eventColumns+` FROM record_event e JOIN record rec ON rec.organization_id = e.organization_id AND rec.id = e.record_id
			WHERE e.organization_id = $1 AND e.kind = $8 AND e.at > $2 AND e.at <= $3 AND ($4::text = '' OR rec.kind = $4) AND (NOT $5::boolean OR rec.assigned_user_id = $6)
			ORDER BY e.at DESC, e.id LIMIT $7`, who.OrganizationID, from, to, kind, own, ofOwn, dryCauses, string(t.event)); err != nil {
			return nil, err
		}
		for _, x := range rows {
			causes = append(causes, x.run())
		}
	}
	if a.Trigger == ContactAttemptFailed && !own {
		var rows []*missed
		if err := db.Select(ctx, tx, &rows, `SELECT c.id, c.record_id, c.contact_id, c.ended_at AS at FROM call c LEFT JOIN record rec ON rec.organization_id = c.organization_id AND rec.id = c.record_id
			WHERE c.organization_id = $1 AND c.started_at > $2::timestamptz - interval '1 day' AND c.started_at <= $3 AND c.ended_at > $2 AND c.ended_at <= $3 AND `+failed+`
				AND ($4::text = '' OR rec.kind IS NULL OR rec.kind = $4)
			ORDER BY c.started_at DESC LIMIT $5`, who.OrganizationID, from, to, kind, dryCauses); err != nil {
			return nil, err
		}
		for _, x := range rows {
			causes = append(causes, x.run())
		}
		slices.SortStableFunc(causes, func(x, y *Run) int { return y.EventAt.Compare(x.EventAt) })
	}
	for _, c := range causes[:min(len(causes), dryCauses)] {
		for _, to := range a.recipients() {
			x := *c
			x.Recipient, x.State = to, Waiting
			runs = append(runs, &x)
		}
	}
	return runs, nil
}

// ask has sending say what it would do with each, and what a part would cost.
func (s *Service) ask(ctx context.Context, shots []*snapshot) (map[*snapshot]*message.Money, error) {
	prices := map[*snapshot]*message.Money{}
	if len(shots) == 0 {
		return prices, nil
	}
	// Recipients whom the same is asked of are asked of once.
	var list []message.Recipient
	place := map[message.Recipient]int{}
	of := func(x *snapshot) message.Recipient {
		m := x.message(&decision{})
		return message.Recipient{To: m.To, ContactID: m.ContactID}
	}
	for _, x := range shots {
		if x.to == "" {
			continue
		}
		if _, ok := place[of(x)]; !ok {
			place[of(x)] = len(list)
			list = append(list, of(x))
		}
	}
	said := make([]*message.PreviewRecipient, 0, len(list))
	for part := range slices.Chunk(list, message.MaxRecipients) {
		p, err := s.messages.Preview(ctx, access.System(db.TenantFrom(ctx)), message.Draft{Recipients: part, Body: "x", PhoneNumberID: shots[0].rule.PhoneNumberID})
		if err != nil {
			if !mendable(err) {
				return nil, err
			}
			for _, x := range shots { // as a whole, such as a sender that is gone
				x.verdict = []message.PreviewProblem{{Code: message.SenderUnusable, IsBlocking: true, Message: sentence(err)}}
			}
			return prices, nil
		}
		said = append(said, p.All...)
	}
	for _, x := range shots {
		if x.to == "" {
			continue
		}
		i := place[of(x)]
		x.verdict = []message.PreviewProblem{}
		for _, p := range said[i].Problems {
			if p.Code != message.Duplicate { // they are messages of different days
				x.verdict = append(x.verdict, p)
			}
		}
		prices[x] = said[i].EstimatedCost
	}
	return prices, nil
}

// tried decides about each and adds up.
func tried(who access.Actor, shots []*snapshot, prices map[*snapshot]*message.Money) *DryRun {
	out := &DryRun{EstimatedCosts: []message.Money{}, Rows: []*DryRunRow{}}
	wrote := map[string]bool{}
	for _, x := range shots {
		key := x.run.Cause + " " + string(x.to)
		x.already = wrote[key]
		d := decide(x)
		row := &DryRunRow{ContactID: x.run.ContactID, RecordID: x.run.RecordID, At: d.at}
		if d.send {
			wrote[key] = true
			out.WouldSend++
			if who.SeesAll() || who.Visibility != access.SeesOwn {
				row.Body = &d.body
			}
			if price := prices[x]; price != nil {
				cost := price.Times(message.Measure(d.body).Parts)
				out.EstimatedCosts = plus(out.EstimatedCosts, &cost.Micros, cost.Currency)
			}
		} else {
			out.WouldNotSend++
			row.ReasonCode, row.Reason = &d.reason, &d.words
		}
		out.Rows = append(out.Rows, row)
	}
	slices.SortStableFunc(out.Rows, func(a, b *DryRunRow) int { return b.At.Compare(a.At) })
	out.Rows = out.Rows[:min(len(out.Rows), dryRows)]
	return out
}

// Explain says what an automation would do for a record now, step by step (R175,
// R272). For an event: as if it happened now. It needs AUTOMATION_MANAGE, and the
// actor must see the record.
func (s *Service) Explain(ctx context.Context, who access.Actor, automation, record id.ID) (out *Explanation, err error) {
	defer errs.Wrap(&err, "automation.Explain(%s)", automation)
	if err := who.Require(access.AutomationManage); err != nil {
		return nil, err
	}
	ctx = access.With(ctx, who)
	var shots []*snapshot
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		a, err := byID(ctx, tx, automation)
		if err != nil {
			return errs.New(errs.NotFound, "%s", sentence(err)).At("id")
		}
		seen, err := contact.RecordsSeen(ctx, tx, who, []id.ID{record})
		if err != nil {
			return err
		}
		x := seen[record]
		if x == nil {
			return errs.New(errs.NotFound, "there is no such record, or you may not see it").At("recordId")
		}
		shots, err = now(ctx, tx, a, x)
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := s.ask(ctx, shots); err != nil {
		return nil, err
	}
	out = &Explanation{}
	wrote := map[string]bool{}
	for i, shot := range shots {
		shot.already = wrote[string(shot.to)]
		d := decide(shot)
		if d.send {
			out.WouldSend, wrote[string(shot.to)] = true, true
			if out.SendAt == nil || d.at.Before(*out.SendAt) {
				out.SendAt = &d.at
			}
		}
		for _, step := range d.steps {
			// What is the same for all recipients is said once.
			if i == 0 || !slices.Contains(out.Steps, step) {
				out.Steps = append(out.Steps, step)
			}
		}
	}
	return out, nil
}

// now are the snapshots of what a rule would do for a record.
func now(ctx context.Context, tx *db.Tx, a *Automation, x *contact.Record) ([]*snapshot, error) {
	r := Run{Cause: "now", RecordID: x.ID, ContactID: x.ContactID, EventAt: tx.Now, Event: EventData{EtaAt: x.EtaAt}}
	t := specs[a.Trigger]
	if a.Trigger.byDate() {
		if at := t.date(x); at != nil {
			r.EventAt, r.Cause, r.Event = *at, dateCause(x.ID, *at), EventData{}
		}
	}
	var runs []*Run
	for _, to := range a.recipients() {
		y := r
		y.Recipient = to
		runs = append(runs, &y)
	}
	shots, err := gather(ctx, tx, a, runs, func(*Run) time.Time { return tx.Now })
	if err != nil {
		return nil, err
	}
	var before []*Run
	if err := db.Select(ctx, tx, &before, `SELECT `+runColumns+` FROM automation_run r WHERE r.organization_id = $1 AND r.automation_id = $2 AND r.cause = $3`,
		a.OrganizationID, a.ID, r.Cause); err != nil {
		return nil, err
	}
	for _, s := range shots {
		for _, b := range before {
			if b.Recipient == s.run.Recipient {
				s.before = b
			}
		}
		s.missed = s.before == nil && a.Trigger.byDate() && a.LookedUntil != nil && s.planned().Before(a.LookedUntil.Add(-overlap))
	}
	return shots, nil
}

// Warnings say what keeps an automation from working.
func (s *Service) Warnings(ctx context.Context, who access.Actor, a *Automation) (out []string, err error) {
	defer errs.Wrap(&err, "automation.Warnings(%s)", a.ID)
	out = []string{}
	if a.IsArchived || !who.Can(access.AutomationManage) {
		return out, nil
	}
	ctx = access.With(ctx, who)
	saved, err := message.TemplateByID(ctx, s.db.App(), a.TemplateID)
	switch {
	case errs.IsCode(err, errs.NotFound):
		out = append(out, "the template is gone; choose another one")
	case err != nil:
		return nil, err
	default:
		if err := fits(a.Trigger, saved); err != nil {
			out = append(out, sentence(err))
		}
	}
	if out, err = s.senderWarnings(ctx, a, out); err != nil {
		return nil, err
	}
	if t := specs[a.Trigger]; a.Trigger.byDate() {
		var any bool
		kind := kindFor(a.Trigger, saved)
		if err := db.Select(ctx, s.db.App(), &any, `SELECT EXISTS (SELECT FROM record r WHERE r.organization_id = $1 AND r.`+t.column+` IS NOT NULL AND ($2::text = '' OR r.kind = $2))`,
			a.OrganizationID, string(kind)); err != nil {
			return nil, err
		}
		if !any {
			what := "record"
			if kind != "" {
				what += " of the kind " + string(kind)
			}
			out = append(out, fmt.Sprintf("no %s has %s: nothing starts this automation; fill the date in, or have the other system send it", what, strconv.Quote(t.field)))
		}
	}
	return out, nil
}

// senderWarnings say whether there is anything to send from.
func (s *Service) senderWarnings(ctx context.Context, a *Automation, out []string) ([]string, error) {
	var usable bool
	const able = `n.is_enabled AND c.is_enabled AND n.can_sms AND n.use_for_messages`
	query, args := `SELECT EXISTS (SELECT FROM phone_number n JOIN twilio_connection c ON c.organization_id = n.organization_id AND c.id = n.connection_id
		WHERE n.organization_id = $1 AND `+able, []any{a.OrganizationID}
	problem := "no number can send messages; enable one with SMS"
	if !a.PhoneNumberID.IsZero() {
		query, args = query+` AND n.id = $2`, append(args, a.PhoneNumberID)
		problem = "the sender is disabled or cannot send messages; enable it, choose another one, or leave it out to have one chosen"
	}
	if err := db.Select(ctx, s.db.App(), &usable, query+`)`, args...); err != nil {
		return nil, err
	}
	if !usable {
		out = append(out, problem)
	}
	return out, nil
}
