package delivery

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/patch"
)

// NewEndpoint is what an endpoint is made from.
type NewEndpoint struct {
	URL         string
	Kinds       []event.Kind // none is all
	Description string
	RoleID      id.ID // what it may see
}

// Create makes an endpoint whose role lies within the actor's own, and returns the
// secret that signs its posts, which is not shown again: a repetition with the same
// key gets "". It needs WEBHOOK_MANAGE.
func (s *Service) Create(ctx context.Context, who access.Actor, in NewEndpoint, key string) (e *Endpoint, secret string, err error) {
	defer errs.Wrap(&err, "delivery.Create")
	if err := who.Require(access.WebhookManage); err != nil {
		return nil, "", err
	}
	fresh := &Endpoint{OrganizationID: who.OrganizationID, ID: id.New(id.WebhookEndpoint), RoleID: in.RoleID, Status: Enabled, CreatedByID: who.ID()}
	if fresh.URL, err = checkURL(in.URL, s.d.Loopback); err != nil {
		return nil, "", err
	}
	if fresh.Kinds, err = checkKinds(in.Kinds); err != nil {
		return nil, "", err
	}
	if fresh.Description, err = checkDescription(in.Description); err != nil {
		return nil, "", err
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		made, err := job.Once(ctx, tx, job.Key{User: who.ID(), Mutation: "webhookEndpointCreate", Key: key}, in, func() (id.ID, error) {
			if err := within(ctx, tx, who, fresh.RoleID); err != nil {
				return id.ID{}, err
			}
			if n, err := countEndpoints(ctx, tx, who.OrganizationID); err != nil {
				return id.ID{}, err
			} else if n >= maxEndpoints {
				return id.ID{}, errs.New(errs.LimitReached, "an organization has %d webhook endpoints at most; delete one first", maxEndpoints)
			}
			fresh.CreatedAt, fresh.UpdatedAt = tx.Now, tx.Now
			if err := insertEndpoint(ctx, tx, fresh); err != nil {
				return id.ID{}, err
			}
			if secret, err = s.newSecret(ctx, tx, fresh.OrganizationID, fresh.ID); err != nil {
				return id.ID{}, err
			}
			return fresh.ID, note(ctx, tx, who, "create", fresh)
		})
		if err != nil {
			return err
		}
		e, err = endpointByID(ctx, tx, who.OrganizationID, made)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return e, secret, nil
}

// Change is what changes about an endpoint.
type Change struct {
	URL         patch.Field[string]
	Kinds       patch.Field[[]event.Kind]
	Description patch.Field[string]
	RoleID      patch.Field[id.ID]
}

// Update changes an endpoint. It needs WEBHOOK_MANAGE, and the endpoint's role must
// lie within the actor's own before and after: who could turn another's endpoint to
// a server of theirs would see what they may not.
func (s *Service) Update(ctx context.Context, who access.Actor, endpoint id.ID, in Change) (_ *Endpoint, err error) {
	defer errs.Wrap(&err, "delivery.Update(%s)", endpoint)
	return s.change(ctx, who, endpoint, "update", func(ctx context.Context, tx *db.Tx, e *Endpoint) (err error) {
		if in.URL.Set {
			if e.URL, err = checkURL(in.URL.Value, s.d.Loopback); err != nil {
				return err
			}
			e.FailingSince, e.FailedAttempts = nil, 0
		}
		if in.Kinds.Set {
			if e.Kinds, err = checkKinds(in.Kinds.Value); err != nil {
				return err
			}
		}
		if in.Description.Set {
			if e.Description, err = checkDescription(in.Description.Value); err != nil {
				return err
			}
		}
		if in.RoleID.Set {
			e.RoleID = in.RoleID.Value
			return within(ctx, tx, who, e.RoleID)
		}
		return nil
	})
}

// Enable has an endpoint posted to again. What was held is sent by Replay.
func (s *Service) Enable(ctx context.Context, who access.Actor, endpoint id.ID) (_ *Endpoint, err error) {
	defer errs.Wrap(&err, "delivery.Enable(%s)", endpoint)
	return s.change(ctx, who, endpoint, "enable", func(ctx context.Context, tx *db.Tx, e *Endpoint) error {
		if e.DisabledReason != nil && *e.DisabledReason == KeyRevoked {
			return errs.New(errs.Conflict, "the API key that made this endpoint is revoked; make another endpoint")
		}
		e.Status, e.DisabledReason, e.DisabledAt, e.FailingSince, e.FailedAttempts = Enabled, nil, nil, nil, 0
		return nil
	})
}

// Disable stops the posts to an endpoint; its deliveries are held for seven days.
func (s *Service) Disable(ctx context.Context, who access.Actor, endpoint id.ID) (_ *Endpoint, err error) {
	defer errs.Wrap(&err, "delivery.Disable(%s)", endpoint)
	return s.change(ctx, who, endpoint, "disable", func(ctx context.Context, tx *db.Tx, e *Endpoint) error {
		if e.Status == Disabled {
			return nil
		}
		reason := ByHand
		e.Status, e.DisabledReason, e.DisabledAt = Disabled, &reason, &tx.Now
		return hold(ctx, tx, e.OrganizationID, e.ID)
	})
}

// Delete removes an endpoint with its deliveries; nothing more is posted.
func (s *Service) Delete(ctx context.Context, who access.Actor, endpoint id.ID) (err error) {
	defer errs.Wrap(&err, "delivery.Delete(%s)", endpoint)
	if err := who.Require(access.WebhookManage); err != nil {
		return err
	}
	return s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		e, err := lockEndpoint(ctx, tx, who.OrganizationID, endpoint)
		if err != nil {
			return err
		}
		if err := deleteEndpoint(ctx, tx, e.OrganizationID, e.ID); err != nil {
			return err
		}
		return note(ctx, tx, who, "delete", e)
	})
}

// RotateSecret gives an endpoint another secret, which is not shown again. The one
// before it signs too for the hours of grace (absent: 24).
func (s *Service) RotateSecret(ctx context.Context, who access.Actor, endpoint id.ID, graceHours *int) (e *Endpoint, secret string, err error) {
	defer errs.Wrap(&err, "delivery.RotateSecret(%s)", endpoint)
	grace := defaultGrace
	if graceHours != nil {
		grace = *graceHours
	}
	if grace < 0 || grace > maxGrace {
		return nil, "", errs.New(errs.Invalid, "graceHours is %d; give 0 to %d", grace, maxGrace).At("graceHours")
	}
	e, err = s.change(ctx, who, endpoint, "secretRotate", func(ctx context.Context, tx *db.Tx, e *Endpoint) (err error) {
		if err := retireSecret(ctx, tx, e.OrganizationID, e.ID, tx.Now.Add(time.Duration(grace)*time.Hour)); err != nil {
			return err
		}
		secret, err = s.newSecret(ctx, tx, e.OrganizationID, e.ID)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return e, secret, nil
}

// Test posts a WEBHOOK_TEST to an endpoint, once, also to a disabled one.
func (s *Service) Test(ctx context.Context, who access.Actor, endpoint id.ID) (d *Delivery, err error) {
	defer errs.Wrap(&err, "delivery.Test(%s)", endpoint)
	err = s.locked(ctx, who, endpoint, func(ctx context.Context, tx *db.Tx, e *Endpoint) error {
		if n, err := testsSince(ctx, tx, e.OrganizationID, e.ID, tx.Now.Add(-time.Minute)); err != nil {
			return err
		} else if n >= maxTests {
			return errs.New(errs.LimitReached, "an endpoint is tested %d times a minute at most; wait a moment", maxTests)
		}
		d = &Delivery{OrganizationID: e.OrganizationID, ID: id.New(id.WebhookDelivery), EndpointID: e.ID, EventID: id.New(id.Event), Kind: Test,
			SubjectID: e.ID, ActorID: who.UserID, Data: json.RawMessage("{}"), At: tx.Now, Status: Pending, DueAt: &tx.Now, CreatedAt: tx.Now}
		if _, err := insertDelivery(ctx, tx, d); err != nil {
			return err
		}
		if err := note(ctx, tx, who, "test", e); err != nil {
			return err
		}
		return ask(ctx, tx, e.ID)
	})
	return d, err
}

// Redeliver sends one delivery again, whatever became of it, with all its tries.
func (s *Service) Redeliver(ctx context.Context, who access.Actor, delivery id.ID) (d *Delivery, err error) {
	defer errs.Wrap(&err, "delivery.Redeliver(%s)", delivery)
	if err := who.Require(access.WebhookManage); err != nil {
		return nil, err
	}
	if d, err = deliveryByID(ctx, s.d.DB.App(), who.OrganizationID, delivery); err != nil {
		return nil, err
	}
	err = s.locked(ctx, who, d.EndpointID, func(ctx context.Context, tx *db.Tx, e *Endpoint) error {
		if err := e.mustBeEnabled(); err != nil && !d.IsTest() {
			return err
		}
		if err := requeue(ctx, tx, e.OrganizationID, e.ID, []id.ID{delivery}); err != nil {
			return err
		}
		if err := note(ctx, tx, who, "redeliver", e); err != nil {
			return err
		}
		if err := ask(ctx, tx, e.ID); err != nil {
			return err
		}
		d, err = deliveryByID(ctx, tx, e.OrganizationID, delivery)
		return err
	})
	return d, err
}

// Replayed says what a replay will send.
type Replayed struct {
	Endpoint *Endpoint
	Count    int
	// Next is where to go on when there were more than one replay takes; "" otherwise.
	Next string
}

// Replay sends every event after the cursor that the endpoint is told of and has
// not taken, in order, up to 10,000; with force also those that it has. Events that
// the log no longer keeps are sent if a delivery of them is kept.
func (s *Service) Replay(ctx context.Context, who access.Actor, endpoint id.ID, after string, force bool) (r Replayed, err error) {
	defer errs.Wrap(&err, "delivery.Replay(%s)", endpoint)
	err = s.locked(ctx, who, endpoint, func(ctx context.Context, tx *db.Tx, e *Endpoint) error {
		if err := e.mustBeEnabled(); err != nil {
			return err
		}
		seq, err := s.d.Events.OpenCursor(who.OrganizationID, after)
		if err != nil {
			return err
		}
		role, err := access.RoleByID(ctx, tx, e.RoleID)
		if err != nil {
			return err
		}
		forbidden := []string{}
		for kind := range personal {
			forbidden = append(forbidden, string(kind))
		}
		for kind, need := range needs {
			if !role.Allows(need) {
				forbidden = append(forbidden, string(kind))
			}
		}
		all, err := toReplay(ctx, tx, e, seq, words(e.Kinds), forbidden, force, maxReplay+1)
		if err != nil {
			return err
		}
		if len(all) > maxReplay {
			all = all[:maxReplay]
			r.Next = s.d.Events.Cursor(who.OrganizationID, all[maxReplay-1].Seq)
		}
		var known, fresh, events []id.ID
		for _, x := range all {
			if x.Delivery.IsZero() {
				fresh, events = append(fresh, id.New(id.WebhookDelivery)), append(events, x.Event)
			} else {
				known = append(known, x.Delivery)
			}
		}
		if err := requeue(ctx, tx, e.OrganizationID, e.ID, known); err != nil {
			return err
		}
		if err := copyEvents(ctx, tx, e.OrganizationID, e.ID, fresh, events); err != nil {
			return err
		}
		r.Endpoint, r.Count = e, len(all)
		if err := note(ctx, tx, who, "replay", e); err != nil || len(all) == 0 {
			return err
		}
		return ask(ctx, tx, e.ID)
	})
	return r, err
}

// List gives the endpoints, newest first. It needs WEBHOOK_MANAGE, like all that follows.
func (s *Service) List(ctx context.Context, who access.Actor, page db.Page) (_ db.Window[*Endpoint], err error) {
	defer errs.Wrap(&err, "delivery.List")
	if err := who.Require(access.WebhookManage); err != nil {
		return db.Window[*Endpoint]{}, err
	}
	limit, after, err := page.Keyset()
	if err != nil {
		return db.Window[*Endpoint]{}, err
	}
	rows, err := listEndpoints(ctx, s.d.DB.App(), who.OrganizationID, after, limit+1)
	if err != nil {
		return db.Window[*Endpoint]{}, err
	}
	return db.NewWindow(rows, limit, func(e *Endpoint) db.Keyset { return db.Keyset{At: e.CreatedAt, ID: e.ID} }), nil
}

// Get gives one endpoint; errs.NotFound also to those who may not see it.
func (s *Service) Get(ctx context.Context, who access.Actor, endpoint id.ID) (_ *Endpoint, err error) {
	defer errs.Wrap(&err, "delivery.Get(%s)", endpoint)
	if !who.Known() {
		return nil, who.Require(access.WebhookManage)
	}
	if !who.Can(access.WebhookManage) {
		return nil, errNoEndpoint
	}
	return endpointByID(ctx, s.d.DB.App(), who.OrganizationID, endpoint)
}

// ByIDs gives the endpoints that exist, in no order, to those who may see them.
func (s *Service) ByIDs(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*Endpoint, error) {
	if !who.Can(access.WebhookManage) {
		return nil, nil
	}
	rows, err := endpointsByIDs(ctx, s.d.DB.App(), who.OrganizationID, ids)
	out := make(map[id.ID]*Endpoint, len(rows))
	for _, e := range rows {
		out[e.ID] = e
	}
	return out, err
}

// Deliveries gives an endpoint's deliveries, newest first, those of a status if one is named.
func (s *Service) Deliveries(ctx context.Context, who access.Actor, endpoint id.ID, status Status, page db.Page) (_ db.Window[*Delivery], err error) {
	defer errs.Wrap(&err, "delivery.Deliveries(%s)", endpoint)
	if err := who.Require(access.WebhookManage); err != nil {
		return db.Window[*Delivery]{}, err
	}
	limit, after, err := page.Keyset()
	if err != nil {
		return db.Window[*Delivery]{}, err
	}
	rows, err := listDeliveries(ctx, s.d.DB.App(), who.OrganizationID, endpoint, status, after, limit+1)
	if err != nil {
		return db.Window[*Delivery]{}, err
	}
	return db.NewWindow(rows, limit, func(d *Delivery) db.Keyset { return db.Keyset{At: d.CreatedAt, ID: d.ID} }), nil
}

// AttemptsByDeliveries gives the attempts of each delivery, first to last. An answer
// may repeat what was posted: it is shown to those who could see that themselves.
func (s *Service) AttemptsByDeliveries(ctx context.Context, who access.Actor, deliveries []id.ID) (map[id.ID][]*Attempt, error) {
	if !who.Can(access.WebhookManage) {
		return nil, nil
	}
	rows, err := attemptsOf(ctx, s.d.DB.App(), who.OrganizationID, deliveries)
	out := map[id.ID][]*Attempt{}
	for _, r := range rows {
		a := r.Attempt
		if who.Lends(&access.Role{Permissions: r.Permissions, Visibility: r.Visibility}) != nil {
			a.Answer = nil
		}
		out[a.DeliveryID] = append(out[a.DeliveryID], &a)
	}
	return out, err
}

// Cursor is the place of a delivery's event in the log; "" for a test.
func (s *Service) Cursor(d *Delivery) string {
	if d.Seq == nil {
		return ""
	}
	return s.d.Events.Cursor(d.OrganizationID, *d.Seq)
}

// locked runs fn with the endpoint held, for an actor who may do whatever it may.
func (s *Service) locked(ctx context.Context, who access.Actor, endpoint id.ID, fn func(ctx context.Context, tx *db.Tx, e *Endpoint) error) error {
	if err := who.Require(access.WebhookManage); err != nil {
		return err
	}
	return s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		e, err := lockEndpoint(ctx, tx, who.OrganizationID, endpoint)
		if err != nil {
			return err
		}
		if err := within(ctx, tx, who, e.RoleID); err != nil {
			return err
		}
		return fn(ctx, tx, e)
	})
}

// change is locked with what fn changed saved and noted.
func (s *Service) change(ctx context.Context, who access.Actor, endpoint id.ID, verb string, fn func(ctx context.Context, tx *db.Tx, e *Endpoint) error) (out *Endpoint, err error) {
	err = s.locked(ctx, who, endpoint, func(ctx context.Context, tx *db.Tx, e *Endpoint) error {
		if err := fn(ctx, tx, e); err != nil {
			return err
		}
		e.UpdatedAt = tx.Now
		if err := saveEndpoint(ctx, tx, e); err != nil {
			return err
		}
		out = e
		return note(ctx, tx, who, verb, e)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (e *Endpoint) mustBeEnabled() error {
	if e.Status == Enabled {
		return nil
	}
	return errs.New(errs.Conflict, "this endpoint is disabled; enable it first")
}

// within refuses a role that is more than the actor's own, or sheds an option of theirs.
func within(ctx context.Context, tx *db.Tx, who access.Actor, role id.ID) error {
	r, err := access.RoleByID(ctx, tx, role)
	if errs.IsCode(err, errs.NotFound) {
		return errs.New(errs.NotFound, "there is no such role").At("roleId")
	}
	if err != nil {
		return err
	}
	return who.Lends(r)
}

// note writes the deed into the audit record. Of the address it names the host: the
// rest may be a secret of the receiver's.
func note(ctx context.Context, tx *db.Tx, who access.Actor, verb string, e *Endpoint) error {
	host := ""
	if u, err := url.Parse(e.URL); err == nil {
		host = u.Host
	}
	return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "webhookEndpoint." + verb, Subject: e.ID,
		Detail: map[string]any{"host": host, "kinds": words(e.Kinds), "role": e.RoleID.String()}})
}

func checkKinds(kinds []event.Kind) ([]event.Kind, error) {
	out := []event.Kind{}
	for _, k := range kinds {
		if k == "" || len(k) > 64 || k == Test {
			return nil, errs.New(errs.Invalid, "this is no kind of event").At("kinds")
		}
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out, nil
}

// newSecret makes, seals and keeps an endpoint's secret.
func (s *Service) newSecret(ctx context.Context, tx *db.Tx, org, endpoint id.ID) (string, error) {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	plain, x := "whsec_"+base64.RawURLEncoding.EncodeToString(b[:]), id.New(id.Secret)
	sealed, err := s.d.Keys.Seal([]byte(plain), org.String(), secretColumn(x))
	if err != nil {
		return "", err
	}
	return plain, insertSecret(ctx, tx, org, x, endpoint, sealed)
}

func secretColumn(secret id.ID) string { return fmt.Sprintf("webhook_secret.sealed %s", secret) }
