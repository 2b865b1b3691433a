package delivery

import (
	"slices"

	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
)

const (
	sweepEvery = time.Second
	leaseFor   = 60 * time.Second // longer than a turn with its last posts: who has it longer is dead
	claimFor   = 60 * time.Second // after which an unanswered post is sent again
	askFor     = 30 * time.Second // how long a job that was asked for is waited for
	late       = 10 * time.Second // then an endpoint is behind, and catching up comes before order

	// The following are times of machines and not of the clock.

	// turnFor is how long one endpoint is served before others get their turn.
	turnFor = 20 * time.Second
	// headStart is what a post has before the next one starts: an endpoint that
	// answers sooner gets its events strictly in order.
	headStart = time.Second
	// lookAgain is how often new deliveries are looked for while posts are under way.
	lookAgain = 200 * time.Millisecond
)

// sendArgs has what is due for one endpoint sent.
type sendArgs struct {
	Organization id.ID `json:"organization"`
	Endpoint     id.ID `json:"endpoint"`
}

// Kind names the job.
func (sendArgs) Kind() string { return "delivery.send" }

// Tenant is whose job it is.
func (a sendArgs) Tenant() id.ID { return a.Organization }

// Timeout ends a turn before its lease ends.
func (sendArgs) Timeout() time.Duration { return leaseFor - 10*time.Second }

// InsertOpts allows few attempts: what is not done is due again.
func (sendArgs) InsertOpts() job.Options { return job.Options{Queue: job.Delivery, MaxAttempts: 2} }

// fanOut makes a delivery of an event for each endpoint that is told of it.
func (s *Service) fanOut(ctx context.Context, tx *db.Tx, e event.Event) error {
	all, err := matching(ctx, tx, e.OrganizationID, e.Kind, needs[e.Kind], e.At)
	if err != nil {
		return err
	}
	for _, m := range all {
		d := &Delivery{OrganizationID: e.OrganizationID, ID: id.New(id.WebhookDelivery), EndpointID: m.ID, EventID: e.ID, Seq: &e.Seq, Kind: e.Kind,
			SubjectID: e.Subject, ActorID: e.ActorID, Data: e.Data, At: e.At, Status: Pending, DueAt: &tx.Now}
		if m.Status == Disabled {
			d.Status, d.DueAt = Held, nil
		}
		fresh, err := insertDelivery(ctx, tx, d)
		if err != nil {
			return err
		}
		if fresh && m.Idle && d.Status == Pending {
			if err := ask(ctx, tx, m.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// pick leaves out the events of organizations that have no endpoint: most.
func (s *Service) pick(ctx context.Context, events []event.Event) ([]event.Event, error) {
	var orgs []id.ID
	for _, e := range events {
		if !slices.Contains(orgs, e.OrganizationID) {
			orgs = append(orgs, e.OrganizationID)
		}
	}
	heard, err := listening(ctx, s.d.DB.Worker(), orgs)
	return slices.DeleteFunc(slices.Clone(events), func(e event.Event) bool { return !heard[e.OrganizationID] || personal[e.Kind] }), err
}

// ask has a job send what is due for an endpoint.
func ask(ctx context.Context, tx *db.Tx, endpoint id.ID) error {
	org := db.TenantFrom(ctx)
	if _, err := db.Exec(ctx, tx, `UPDATE webhook_endpoint SET asked_until = $3 WHERE organization_id = $1 AND id = $2`, org, endpoint, tx.Now.Add(askFor)); err != nil {
		return err
	}
	return job.Insert(ctx, tx, sendArgs{Organization: org, Endpoint: endpoint})
}

// sweep finds the endpoints that something is due for and nobody sends to.
func (s *Service) sweep(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "delivery.sweep")
	return s.d.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var due []sendArgs
		if err := db.Select(ctx, tx, &due, `UPDATE webhook_endpoint e SET asked_until = $2
			WHERE (e.organization_id, e.id) IN (
				SELECT e.organization_id, e.id FROM webhook_endpoint e
				WHERE (e.leased_until IS NULL OR e.leased_until <= $1) AND (e.asked_until IS NULL OR e.asked_until <= $1)
					AND EXISTS (SELECT FROM webhook_delivery d WHERE d.organization_id = e.organization_id AND d.endpoint_id = e.id
						AND d.status = 'PENDING' AND d.due_at <= $1)
				FOR NO KEY UPDATE OF e SKIP LOCKED)
			RETURNING e.organization_id AS organization, e.id AS endpoint`, now, now.Add(askFor)); err != nil {
			return err
		}
		jobs := make([]job.Args, len(due))
		for i, d := range due {
			jobs[i] = d
		}
		return job.InsertMany(ctx, tx, jobs...)
	})
}

// trim forgets deliveries whose time is over, and secrets that sign no more.
func (s *Service) trim(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "delivery.trim")
	if _, err := db.Exec(ctx, s.d.DB.Worker(), `DELETE FROM webhook_secret WHERE ends_at <= $1`, now); err != nil {
		return err
	}
	for _, old := range []struct {
		query  string
		before time.Time
	}{
		{`DELETE FROM webhook_delivery WHERE ctid = ANY (ARRAY(SELECT ctid FROM webhook_delivery WHERE created_at < $1 LIMIT 1000))`, now.Add(-keepFor)},
		{`DELETE FROM webhook_delivery WHERE ctid = ANY (ARRAY(SELECT ctid FROM webhook_delivery WHERE created_at < $1 AND status = 'HELD' LIMIT 1000))`, now.Add(-holdFor)},
	} {
		for {
			n, err := db.Exec(ctx, s.d.DB.Worker(), old.query, old.before)
			if err != nil {
				return err
			}
			if n < 1000 {
				break
			}
		}
	}
	return nil
}

// target is an endpoint with what is needed to post to it.
type target struct {
	*Endpoint
	actor   access.Actor
	secrets []string
}

// Send posts what is due for one endpoint of the context's tenant, in the order of
// the log, until nothing is left or its turn is over. Only one process at a time
// does so. A post waits for the answer of the one before it, but not for long nor
// when the endpoint is behind, and four are under way at most: a slow answer holds
// up nothing for ever.
func (s *Service) Send(ctx context.Context, endpoint id.ID) (err error) {
	defer errs.Wrap(&err, "delivery.Send(%s)", endpoint)
	if mine, err := s.lease(ctx, endpoint); err != nil || !mine {
		return err
	}
	turn, cancel := context.WithTimeout(ctx, turnFor)
	defer cancel()
	var (
		wg       sync.WaitGroup
		underWay = make(chan struct{}, atOnce)
		over     = make(chan struct{}, 1)
	)
	for turn.Err() == nil {
		select {
		case underWay <- struct{}{}:
		case <-turn.Done():
			continue
		}
		to, d, behind, err := s.claim(ctx, endpoint)
		if err != nil {
			wg.Wait()
			return errors.Join(err, s.leave(ctx, endpoint))
		}
		if d == nil {
			<-underWay
			if len(underWay) == 0 { // only this goroutine adds
				if left, err := s.release(ctx, endpoint); left || err != nil {
					return err
				}
				continue
			}
			wait(turn, over, lookAgain)
			continue
		}
		answered := make(chan struct{})
		wg.Go(func() {
			defer func() {
				<-underWay
				close(answered)
				select {
				case over <- struct{}{}:
				default:
				}
			}()
			if err := s.deliver(ctx, to, d); err != nil && ctx.Err() == nil {
				s.d.Logger.Error("webhook not delivered", "endpoint_id", endpoint.String(), "delivery_id", d.ID.String(), "error", err)
			}
		})
		if !behind {
			wait(turn, answered, headStart)
		}
	}
	wg.Wait()
	return s.leave(ctx, endpoint)
}

// wait waits for something, for a while.
func wait(ctx context.Context, c <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
	case <-t.C:
	case <-ctx.Done():
	}
}

// lease reports whether the endpoint is ours alone for now.
func (s *Service) lease(ctx context.Context, endpoint id.ID) (bool, error) {
	now := s.d.DB.Clock().Now()
	n, err := db.Exec(ctx, s.d.DB.App(), `UPDATE webhook_endpoint SET leased_until = $4, asked_until = NULL
		WHERE organization_id = $1 AND id = $2 AND (leased_until IS NULL OR leased_until <= $3)`, db.TenantFrom(ctx), endpoint, now, now.Add(leaseFor))
	return n > 0, err
}

// release gives the lease back unless something is due. The row is locked first and
// looked past in the next statement, so that a delivery made meanwhile is seen.
func (s *Service) release(ctx context.Context, endpoint id.ID) (left bool, err error) {
	err = s.give(ctx, endpoint, func(ctx context.Context, tx *db.Tx, due bool) error {
		if left = !due; left {
			return free(ctx, tx, endpoint)
		}
		return nil
	})
	return left, err
}

// leave gives the lease back and asks for another turn when something is due. It is
// done also when the work was cut off.
func (s *Service) leave(ctx context.Context, endpoint id.ID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return s.give(ctx, endpoint, func(ctx context.Context, tx *db.Tx, due bool) error {
		if err := free(ctx, tx, endpoint); err != nil || !due {
			return err
		}
		return ask(ctx, tx, endpoint)
	})
}

func (s *Service) give(ctx context.Context, endpoint id.ID, fn func(ctx context.Context, tx *db.Tx, due bool) error) error {
	return s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		org := db.TenantFrom(ctx)
		if _, err := lockEndpoint(ctx, tx, org, endpoint); err != nil && !errs.IsCode(err, errs.NotFound) {
			return err
		}
		var due bool
		if err := db.Select(ctx, tx, &due, `SELECT EXISTS (SELECT FROM webhook_delivery
			WHERE organization_id = $1 AND endpoint_id = $2 AND status = 'PENDING' AND due_at <= $3)`, org, endpoint, tx.Now); err != nil {
			return err
		}
		return fn(ctx, tx, due)
	})
}

func free(ctx context.Context, tx *db.Tx, endpoint id.ID) error {
	_, err := db.Exec(ctx, tx, `UPDATE webhook_endpoint SET leased_until = NULL WHERE organization_id = $1 AND id = $2`, db.TenantFrom(ctx), endpoint)
	return err
}

// claimed is a delivery with when it should have been sent.
type claimed struct {
	Delivery
	WasDue time.Time `bun:"was_due"`
}

// claim takes the next delivery that is due; nil when there is none. Should nobody
// write down what came of it, it is due again when the claim ends. It tells whether
// the delivery should have been sent long ago.
func (s *Service) claim(ctx context.Context, endpoint id.ID) (to target, d *Delivery, behind bool, err error) {
	org := db.TenantFrom(ctx)
	var sealed []sealedSecret
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		d = nil
		var row struct {
			Endpoint
			Permissions []access.Permission `bun:"permissions,array"`
			Visibility  access.Visibility   `bun:"visibility"`
			Revoked     bool                `bun:"revoked"`
		}
		err := db.Select(ctx, tx, &row, `SELECT `+endpointColumns+`, r.permissions, r.visibility, k.revoked_at IS NOT NULL AS revoked
			FROM webhook_endpoint e JOIN role r ON r.organization_id = e.organization_id AND r.id = e.role_id
			LEFT JOIN api_key k ON k.organization_id = e.organization_id AND k.id = e.created_by
			WHERE e.organization_id = $1 AND e.id = $2`, org, endpoint)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if row.Revoked && row.Status == Enabled {
			if e, err := lockEndpoint(ctx, tx, org, endpoint); err != nil {
				return err
			} else if err := s.disable(ctx, tx, e, KeyRevoked); err != nil {
				return err
			}
			row.Status = Disabled
		}
		got, err := one[claimed](ctx, tx, errNoDelivery, `UPDATE webhook_delivery d SET due_at = $4
			FROM (SELECT x.id, x.due_at AS was_due FROM webhook_delivery x
				WHERE x.organization_id = $1 AND x.endpoint_id = $2 AND x.status = 'PENDING' AND x.due_at <= $3
				ORDER BY x.due_at, x.seq LIMIT 1 FOR UPDATE SKIP LOCKED) x
			WHERE d.organization_id = $1 AND d.id = x.id
			RETURNING `+deliveryColumns+`, x.was_due`, org, endpoint, tx.Now, tx.Now.Add(claimFor))
		if err == errNoDelivery {
			return nil
		}
		if err != nil {
			return err
		}
		if sealed, err = secretsOf(ctx, tx, org, endpoint, tx.Now); err != nil {
			return err
		}
		d, behind = &got.Delivery, tx.Now.Sub(got.WasDue) > late
		to = target{Endpoint: &row.Endpoint, actor: access.Actor{OrganizationID: org, RoleID: row.RoleID, Permissions: access.SetOf(row.Permissions...), Visibility: row.Visibility}}
		return nil
	})
	if err != nil || d == nil {
		return target{}, nil, false, err
	}
	for _, x := range sealed {
		plain, err := s.d.Keys.Open(x.Sealed, org.String(), secretColumn(x.ID))
		if err != nil {
			return target{}, nil, false, err
		}
		to.secrets = append(to.secrets, string(plain))
	}
	return to, d, behind, nil
}

// deliver makes one attempt and writes down what came of it. When the context ends
// before that, nothing is written and the delivery is sent again.
func (s *Service) deliver(ctx context.Context, to target, d *Delivery) error {
	at := s.d.DB.Clock().Now()
	content, visible, err := s.content(ctx, to, d)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var a answer
	switch {
	case err != nil:
		s.d.Logger.Error("event not readable for a webhook", "delivery_id", d.ID.String(), "error", err)
		a = answer{problem: "what the event is about could not be read; the fault is ours"}
	case !visible:
		return s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := settle(ctx, tx, d, Skipped, nil, 0)
			return none(err)
		})
	default:
		a = s.post(ctx, to, d, content)
		if ctx.Err() != nil && !a.ok() {
			return ctx.Err()
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return s.record(ctx, d, at, a, err == nil)
}

func none(err error) error {
	if errors.Is(err, sql.ErrNoRows) { // the endpoint was deleted meanwhile
		return nil
	}
	return err
}

// content is what is posted; false when the endpoint may not see it.
func (s *Service) content(ctx context.Context, to target, d *Delivery) (_ []byte, visible bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	b := body{ID: d.EventID, Kind: string(d.Kind), At: d.At.UTC(), OrganizationID: d.OrganizationID, Subject: subject{ID: d.SubjectID}, Facts: map[string]any{}}
	if !d.ActorID.IsZero() {
		b.ActorID = &d.ActorID
	}
	if c := s.Cursor(d); c != "" {
		b.Cursor = &c
	}
	if d.IsTest() {
		b.Subject.Type = "WebhookEndpoint"
		b.Data = json.RawMessage("null")
	} else {
		need := needs[d.Kind]
		if need != "" && !to.actor.Can(need) {
			return nil, false, nil
		}
		shown, err := s.d.Show(access.With(ctx, to.actor), to.actor, d.event())
		if err != nil {
			return nil, false, err
		}
		// Who sees everything of a kind may know that something of it is gone; to
		// anybody else what is gone and what is not theirs look alike.
		if !shown.Visible && (need == "" || !to.actor.SeesAll()) {
			return nil, false, nil
		}
		b.Subject.Type, b.Data = shown.Subject, shown.Data
		if shown.Facts != nil {
			b.Facts = shown.Facts
		}
		if len(b.Data) == 0 {
			b.Data = json.RawMessage("null")
		}
	}
	out, err := json.Marshal(b)
	return out, true, err
}

// record writes down an attempt, when the delivery is tried again, and how the
// endpoint does. theirs is false when the fault was ours.
func (s *Service) record(ctx context.Context, d *Delivery, at time.Time, a answer, theirs bool) error {
	return s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		// The endpoint before the delivery, as everywhere.
		e, err := lockEndpoint(ctx, tx, d.OrganizationID, d.EndpointID)
		if errs.IsCode(err, errs.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		status, due := Delivered, (*time.Time)(nil)
		if !a.ok() {
			status = Failed
			if next, again := retryAt(d.ID, d.Tries+1, a.retryAfter, tx.Now); again && !d.IsTest() && a.status != 410 {
				status, due = Pending, &next
				if e.Status == Disabled {
					status, due = Held, nil
				}
			}
		}
		n, err := settle(ctx, tx, d, status, due, 1)
		if err != nil {
			return none(err)
		}
		if err := insertAttempt(ctx, tx, d.OrganizationID, d.ID, n, at, a); err != nil {
			return err
		}
		if d.IsTest() || !theirs {
			return nil
		}
		return s.health(ctx, tx, e, a)
	})
}

// health keeps how an endpoint does, and gives it up when nothing gets through.
func (s *Service) health(ctx context.Context, tx *db.Tx, e *Endpoint, a answer) error {
	if a.ok() {
		if e.FailingSince == nil && e.LastDeliveredAt != nil && tx.Now.Sub(*e.LastDeliveredAt) < time.Minute {
			return nil
		}
		e.FailingSince, e.FailedAttempts, e.LastDeliveredAt = nil, 0, &tx.Now
		return saveEndpoint(ctx, tx, e)
	}
	if e.FailingSince == nil {
		e.FailingSince = &tx.Now
	}
	e.FailedAttempts++
	switch {
	case e.Status == Disabled:
	case a.status == 410:
		return s.disable(ctx, tx, e, Gone)
	case hopeless(e.FailingSince, e.FailedAttempts, tx.Now):
		return s.disable(ctx, tx, e, Failing)
	}
	return saveEndpoint(ctx, tx, e)
}

// disable ends the posts to an endpoint and tells of it.
func (s *Service) disable(ctx context.Context, tx *db.Tx, e *Endpoint, why DisabledReason) error {
	e.Status, e.DisabledReason, e.DisabledAt, e.UpdatedAt = Disabled, &why, &tx.Now, tx.Now
	if err := saveEndpoint(ctx, tx, e); err != nil {
		return err
	}
	if err := hold(ctx, tx, e.OrganizationID, e.ID); err != nil {
		return err
	}
	if err := event.Append(ctx, tx, event.Event{Kind: EventEndpointDisabled, Subject: e.ID}); err != nil {
		return err
	}
	tx.AfterCommit(func() {
		s.d.Logger.Warn("webhook endpoint disabled", "endpoint_id", e.ID.String(), "reason", string(why))
	})
	return audit.Write(ctx, tx, audit.Entry{Action: "webhookEndpoint.disable", Subject: e.ID, Detail: map[string]any{"reason": why}})
}
