package automation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/message"
)

const (
	claimFor = 2 * time.Minute // should nobody finish a run by then, it is looked at again
	atOnce   = 1000            // runs that a sweep hands over in one transaction
	overlap  = 5 * time.Minute // what was written while a sweep looked is found by the next ones
)

// runArgs has a run worked whose time has come.
type runArgs struct {
	Organization id.ID `json:"organization"`
	Run          id.ID `json:"run"`
}

// Kind names the job.
func (runArgs) Kind() string { return "automation.run" }

// Tenant is whose job it is.
func (a runArgs) Tenant() id.ID { return a.Organization }

// Timeout is how long a run may take.
func (runArgs) Timeout() time.Duration { return claimFor - 10*time.Second }

// InsertOpts allows few attempts: the sweep comes back.
func (runArgs) InsertOpts() job.Options { return job.Options{MaxAttempts: 4} }

// hear takes an event of a record or the end of a call (R165, R170-R173).
func (s *Service) hear(ctx context.Context, tx *db.Tx, e event.Event) (err error) {
	defer errs.Wrap(&err, "automation.hear(%s)", e.ID)
	var t Trigger
	var r *Run
	if e.Kind == call.EventEnded {
		t = ContactAttemptFailed
		r, err = missedBy(ctx, tx, e.Subject)
	} else {
		t, r, err = happened(ctx, tx, e)
	}
	if err != nil || r == nil {
		return err
	}
	rules, err := started(ctx, tx, t, e.At)
	if err != nil || len(rules) == 0 {
		return err
	}
	kind, err := kindOf(ctx, tx, r.RecordID)
	if err != nil {
		return err
	}
	var runs []*Run
	for _, a := range rules {
		if want := a.wants(t); kind != "" && want != "" && kind != want {
			continue // of another kind of record: nothing that it waits for
		}
		for _, to := range a.recipients() {
			x := *r
			x.OrganizationID, x.ID, x.AutomationID, x.Recipient, x.State = e.OrganizationID, id.New(id.AutomationRun), a.ID, to, Waiting
			x.CreatedAt, x.UpdatedAt = tx.Now, tx.Now
			due := r.EventAt.Add(a.offset())
			x.DueAt = &due
			runs = append(runs, &x)
		}
	}
	return s.start(ctx, tx, runs)
}

// start keeps runs, and has those worked whose time has come.
func (s *Service) start(ctx context.Context, tx *db.Tx, runs []*Run) error {
	claimed := tx.Now.Add(claimFor)
	now := map[id.ID]bool{}
	for _, r := range runs {
		if !r.DueAt.After(tx.Now) {
			now[r.ID], r.DueAt = true, &claimed
		}
	}
	kept, err := insertRuns(ctx, tx, runs)
	if err != nil {
		return err
	}
	orgs := make(map[id.ID]id.ID, len(runs))
	for _, r := range runs {
		orgs[r.ID] = r.OrganizationID
	}
	var jobs []job.Args
	for _, x := range kept {
		if now[x] {
			jobs = append(jobs, runArgs{Organization: orgs[x], Run: x})
		}
	}
	return job.InsertMany(ctx, tx, jobs...)
}

// happened is the run that an event of a record asks for; nil when no trigger is
// about it.
func happened(ctx context.Context, tx *db.Tx, e event.Event) (Trigger, *Run, error) {
	var told contact.RecordEventData
	if err := json.Unmarshal(e.Data, &told); err != nil {
		return "", nil, err
	}
	t, ok := triggerOf(told.Kind)
	if !ok {
		return "", nil, nil
	}
	x, err := eventOf(ctx, tx, e.OrganizationID, told.EventID)
	if x == nil || err != nil {
		return t, nil, err
	}
	return t, x.run(), nil
}

// recordEvent is an event of a record with what a run needs of it.
type recordEvent struct {
	ID        id.ID             `bun:"id"`
	RecordID  id.ID             `bun:"record_id"`
	ContactID id.ID             `bun:"contact_id"`
	At        time.Time         `bun:"at"`
	EtaAt     *time.Time        `bun:"eta_at"`
	Note      *string           `bun:"note"`
	Data      map[string]string `bun:"data,type:jsonb"`
}

func (x *recordEvent) run() *Run {
	data := EventData{EtaAt: x.EtaAt}
	if x.Note != nil {
		data.Note = *x.Note
	}
	if u := x.Data["trackingUrl"]; strings.HasPrefix(u, "https://") {
		data.TrackingURL = u
	}
	return &Run{Cause: "event:" + uuid(x.ID), RecordID: x.RecordID, ContactID: x.ContactID, EventAt: x.At, Event: data}
}

// missed is an outbound call that nobody answered.
type missed struct {
	ID        id.ID     `bun:"id"`
	RecordID  id.ID     `bun:"record_id"`
	ContactID id.ID     `bun:"contact_id"`
	At        time.Time `bun:"at"`
}

func (x *missed) run() *Run {
	return &Run{Cause: "call:" + uuid(x.ID), RecordID: x.RecordID, ContactID: x.ContactID, EventAt: x.At}
}

// dateCause is the same for one date of a record, and another when it moves.
func dateCause(record id.ID, at time.Time) string {
	return fmt.Sprintf("date:%s:%d", uuid(record), at.Unix())
}

// uuid is an id as PostgreSQL writes it.
func uuid(x id.ID) string {
	v, _ := x.Value()
	s, _ := v.(string)
	return s
}

// look starts the runs of the dates that have come (R166-R169), in batches: one
// statement finds those of all automations with a trigger.
func (s *Service) look(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "automation.look")
	var all []error
	for t := range specs {
		for more := t.byDate(); more; {
			if err := s.db.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
				runs, err := come(ctx, tx, t, now)
				if err != nil {
					return err
				}
				if more = len(runs) == atOnce; !more {
					if err := looked(ctx, tx, t, now); err != nil {
						return err
					}
				}
				return s.start(ctx, tx, runs)
			}); err != nil {
				all, more = append(all, fmt.Errorf("%s: %w", t, err)), false
			}
		}
	}
	return errors.Join(all...)
}

// wake has the runs worked whose time has come.
func (s *Service) wake(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "automation.wake")
	for more := true; more; {
		err := s.db.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			var due []runArgs
			if err := db.Select(ctx, tx, &due, `UPDATE automation_run r SET due_at = $2
				WHERE (r.organization_id, r.id) IN (
					SELECT x.organization_id, x.id FROM automation_run x WHERE x.due_at <= $1 ORDER BY x.due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
				RETURNING r.organization_id AS organization, r.id AS run`, now, now.Add(claimFor), atOnce); err != nil {
				return err
			}
			more = len(due) == atOnce
			jobs := make([]job.Args, len(due))
			for i, d := range due {
				jobs[i] = d
			}
			return job.InsertMany(ctx, tx, jobs...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// work decides about a run and does it: the message, the run and the event that
// tells of it are of one transaction, so that whatever is killed, it is sent once.
func (s *Service) work(ctx context.Context, a runArgs) (err error) {
	defer errs.Wrap(&err, "automation.work(%s)", a.Run)
	who := access.System(a.Organization)
	return s.db.InTxAgain(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		r, rule, err := claim(ctx, tx, a.Run)
		if r == nil || err != nil {
			return err
		}
		shots, err := gather(ctx, tx, rule, []*Run{r}, func(*Run) time.Time { return tx.Now })
		if err != nil {
			return err
		}
		shot := shots[0]
		if shot.already, err = wroteTo(ctx, tx, rule, r, shot); err != nil {
			return err
		}
		d := decide(shot)
		if d.send && d.at.After(tx.Now) {
			r.DueAt = &d.at
			return saveRun(ctx, tx, r)
		}
		r.DueAt, r.RanAt = nil, &tx.Now
		if shot.to != "" {
			to := string(shot.to)
			r.ToNumber = &to
		}
		if d.send {
			m, err := s.messages.SendIn(ctx, tx, who, shot.message(d))
			var refusal *message.Refusal
			switch {
			case err == nil:
				r.State, r.MessageID, r.EstimateMicros, r.Currency = Sent, m.ID, m.EstimateMicros, m.PriceCurrency
			case errors.As(err, &refusal):
				shot.verdict = []message.PreviewProblem{refusal.Problem}
				d = decide(shot)
			case mendable(err):
				d.reason, d.words = Refused, sentence(err)
			default:
				return err
			}
		}
		if r.State != Sent {
			r.State, r.ReasonCode, r.Reason = NotSent, &d.reason, &d.words
		}
		if err := saveRun(ctx, tx, r); err != nil {
			return err
		}
		if s.dies != nil {
			if err := s.dies("run"); err != nil {
				return err
			}
		}
		return event.Append(ctx, tx, event.Event{Kind: RanEvent, Subject: r.ID})
	})
}

// mendable are the errors that trying again does not help against.
func mendable(err error) bool {
	e, ok := errs.As(err)
	return ok && e.Code != errs.Internal && e.Code != errs.Unavailable
}

// message is what a run sends. The values are all there are: what the recipient may
// not see is none.
func (s *snapshot) message(d *decision) message.Send {
	m := message.Send{TemplateID: s.rule.TemplateID, Extra: d.values, PhoneNumberID: s.rule.PhoneNumberID, AutomationID: s.rule.ID}
	if s.record != nil {
		m.RecordID = s.record.ID
	}
	if s.run.Recipient == string(ToContact) {
		m.ContactID = s.contact.ID
	} else {
		m.To = string(s.to)
	}
	return m
}
