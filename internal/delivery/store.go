package delivery

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
)

const (
	endpointColumns = `e.organization_id, e.id, e.url, e.description, e.kinds, e.role_id, e.status, e.disabled_reason, e.disabled_at, e.failing_since,
		e.failed_attempts, e.last_delivered_at, e.created_by, e.created_at, e.updated_at`
	deliveryColumns = `d.organization_id, d.id, d.endpoint_id, d.event_id, d.seq, d.kind, d.subject, d.actor_id, d.data, d.at, d.status, d.attempts, d.tries,
		d.due_at, d.finished_at, d.created_at`
)

var (
	errNoEndpoint = errs.New(errs.NotFound, "there is no such webhook endpoint")
	errNoDelivery = errs.New(errs.NotFound, "there is no such delivery; deliveries are kept for 30 days")
)

// one reads a row; the error is other when there is none.
func one[T any](ctx context.Context, q bun.IDB, other error, query string, args ...any) (*T, error) {
	v := new(T)
	err := db.Select(ctx, q, v, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, other
	}
	return v, err
}

func endpointByID(ctx context.Context, q bun.IDB, org, endpoint id.ID) (*Endpoint, error) {
	return one[Endpoint](ctx, q, errNoEndpoint, `SELECT `+endpointColumns+` FROM webhook_endpoint e WHERE e.organization_id = $1 AND e.id = $2`, org, endpoint)
}

func lockEndpoint(ctx context.Context, tx *db.Tx, org, endpoint id.ID) (*Endpoint, error) {
	return one[Endpoint](ctx, tx, errNoEndpoint, `SELECT `+endpointColumns+` FROM webhook_endpoint e
		WHERE e.organization_id = $1 AND e.id = $2 FOR NO KEY UPDATE`, org, endpoint)
}

func listEndpoints(ctx context.Context, q bun.IDB, org id.ID, after db.Keyset, limit int) (out []*Endpoint, err error) {
	err = db.Select(ctx, q, &out, `SELECT `+endpointColumns+` FROM webhook_endpoint e
		WHERE e.organization_id = $1 AND (e.created_at, e.id) < ($2, $3) ORDER BY e.created_at DESC, e.id DESC LIMIT $4`, org, after.At, after.ID, limit)
	return out, err
}

func endpointsByIDs(ctx context.Context, q bun.IDB, org id.ID, ids []id.ID) (out []*Endpoint, err error) {
	err = db.Select(ctx, q, &out, `SELECT `+endpointColumns+` FROM webhook_endpoint e WHERE e.organization_id = $1 AND e.id = ANY ($2)`, org, ids)
	return out, err
}

// countEndpoints counts alone: who makes another one waits.
func countEndpoints(ctx context.Context, tx *db.Tx, org id.ID) (n int, err error) {
	if _, err := db.Exec(ctx, tx, `SELECT FROM organization WHERE organization_id = $1 FOR NO KEY UPDATE`, org); err != nil {
		return 0, err
	}
	err = db.Select(ctx, tx, &n, `SELECT count(*) FROM webhook_endpoint WHERE organization_id = $1`, org)
	return n, err
}

func insertEndpoint(ctx context.Context, tx *db.Tx, e *Endpoint) error {
	_, err := db.Exec(ctx, tx, `INSERT INTO webhook_endpoint (organization_id, id, url, description, kinds, role_id, created_by, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)`, e.OrganizationID, e.ID, e.URL, e.Description, words(e.Kinds), e.RoleID, e.CreatedByID, e.CreatedAt)
	return err
}

// saveEndpoint writes what people and failures change.
func saveEndpoint(ctx context.Context, tx *db.Tx, e *Endpoint) error {
	_, err := db.Exec(ctx, tx, `UPDATE webhook_endpoint SET url = $3, description = $4, kinds = $5, role_id = $6, status = $7, disabled_reason = $8,
			disabled_at = $9, failing_since = $10, failed_attempts = $11, last_delivered_at = $12, updated_at = $13
		WHERE organization_id = $1 AND id = $2`, e.OrganizationID, e.ID, e.URL, e.Description, words(e.Kinds), e.RoleID, e.Status, e.DisabledReason,
		e.DisabledAt, e.FailingSince, e.FailedAttempts, e.LastDeliveredAt, e.UpdatedAt)
	return err
}

func deleteEndpoint(ctx context.Context, tx *db.Tx, org, endpoint id.ID) error {
	_, err := db.Exec(ctx, tx, `DELETE FROM webhook_endpoint WHERE organization_id = $1 AND id = $2`, org, endpoint)
	return err
}

func words(kinds []event.Kind) []string {
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = string(k)
	}
	return out
}

func insertSecret(ctx context.Context, tx *db.Tx, org, secret, endpoint id.ID, sealed []byte) error {
	_, err := db.Exec(ctx, tx, `INSERT INTO webhook_secret (organization_id, id, endpoint_id, sealed, created_at) VALUES ($1, $2, $3, $4, $5)`,
		org, secret, endpoint, sealed, tx.Now)
	return err
}

// retireSecret lets the present secret end, and any earlier one now.
func retireSecret(ctx context.Context, tx *db.Tx, org, endpoint id.ID, ends time.Time) error {
	if _, err := db.Exec(ctx, tx, `DELETE FROM webhook_secret WHERE organization_id = $1 AND endpoint_id = $2 AND ends_at IS NOT NULL`, org, endpoint); err != nil {
		return err
	}
	_, err := db.Exec(ctx, tx, `UPDATE webhook_secret SET ends_at = $3 WHERE organization_id = $1 AND endpoint_id = $2`, org, endpoint, ends)
	return err
}

type sealedSecret struct {
	ID     id.ID  `bun:"id"`
	Sealed []byte `bun:"sealed"`
}

// secretsOf are those that sign now, the endpoint's own first.
func secretsOf(ctx context.Context, q bun.IDB, org, endpoint id.ID, now time.Time) (out []sealedSecret, err error) {
	err = db.Select(ctx, q, &out, `SELECT id, sealed FROM webhook_secret
		WHERE organization_id = $1 AND endpoint_id = $2 AND (ends_at IS NULL OR ends_at > $3) ORDER BY ends_at DESC NULLS FIRST`, org, endpoint, now)
	return out, err
}

// matching are the endpoints that are told of a kind. They stay locked, so that
// whoever sends to one of them either sees the new delivery or is gone by then.
type matched struct {
	ID     id.ID          `bun:"id"`
	Status EndpointStatus `bun:"status"`
	Idle   bool           `bun:"idle"`
}

// listening are those of the organizations that have an endpoint.
func listening(ctx context.Context, q bun.IDB, orgs []id.ID) (map[id.ID]bool, error) {
	var rows []struct {
		OrganizationID id.ID `bun:"organization_id"`
	}
	err := db.Select(ctx, q, &rows, `SELECT DISTINCT e.organization_id FROM webhook_endpoint e WHERE e.organization_id = ANY ($1::uuid[])`, orgs)
	out := make(map[id.ID]bool, len(rows))
	for _, r := range rows {
		out[r.OrganizationID] = true
	}
	return out, err
}

func matching(ctx context.Context, tx *db.Tx, org id.ID, kind event.Kind, need access.Permission, at time.Time) (out []matched, err error) {
	err = db.Select(ctx, tx, &out, `SELECT e.id, e.status,
			coalesce(e.leased_until, '-infinity') <= $4 AND coalesce(e.asked_until, '-infinity') <= $4 AS idle
		FROM webhook_endpoint e JOIN role r ON r.organization_id = e.organization_id AND r.id = e.role_id
		WHERE e.organization_id = $1 AND (e.kinds = '{}' OR $2::text = ANY (e.kinds)) AND ($3::text = '' OR $3 = ANY (r.permissions))
			AND (e.status = 'ENABLED' OR e.disabled_at > $5) AND e.created_at <= $6
		ORDER BY e.id FOR NO KEY UPDATE OF e`, org, string(kind), string(need), tx.Now, tx.Now.Add(-holdFor), at)
	return out, err
}

func insertDelivery(ctx context.Context, tx *db.Tx, d *Delivery) (bool, error) {
	n, err := db.Exec(ctx, tx, `INSERT INTO webhook_delivery (organization_id, id, endpoint_id, event_id, seq, kind, subject, actor_id, data, at, status, due_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10, $11, $12, $13)
		ON CONFLICT (organization_id, endpoint_id, event_id) DO NOTHING`,
		d.OrganizationID, d.ID, d.EndpointID, d.EventID, d.Seq, string(d.Kind), d.SubjectID, d.ActorID, string(d.Data), d.At, d.Status, d.DueAt, tx.Now)
	return n > 0, err
}

func deliveryByID(ctx context.Context, q bun.IDB, org, delivery id.ID) (*Delivery, error) {
	return one[Delivery](ctx, q, errNoDelivery, `SELECT `+deliveryColumns+` FROM webhook_delivery d WHERE d.organization_id = $1 AND d.id = $2`, org, delivery)
}

func listDeliveries(ctx context.Context, q bun.IDB, org, endpoint id.ID, status Status, after db.Keyset, limit int) (out []*Delivery, err error) {
	if status == "" {
		err = db.Select(ctx, q, &out, `SELECT `+deliveryColumns+` FROM webhook_delivery d
			WHERE d.organization_id = $1 AND d.endpoint_id = $2 AND (d.created_at, d.id) < ($3, $4)
			ORDER BY d.created_at DESC, d.id DESC LIMIT $5`, org, endpoint, after.At, after.ID, limit)
		return out, err
	}
	err = db.Select(ctx, q, &out, `SELECT `+deliveryColumns+` FROM webhook_delivery d
		WHERE d.organization_id = $1 AND d.endpoint_id = $2 AND d.status = $6 AND (d.created_at, d.id) < ($3, $4)
		ORDER BY d.created_at DESC, d.id DESC LIMIT $5`, org, endpoint, after.At, after.ID, limit, string(status))
	return out, err
}

// requeue makes deliveries due now, as if they had never been tried.
func requeue(ctx context.Context, tx *db.Tx, org, endpoint id.ID, deliveries []id.ID) error {
	_, err := db.Exec(ctx, tx, `UPDATE webhook_delivery SET status = 'PENDING', tries = 0, due_at = $4, finished_at = NULL
		WHERE organization_id = $1 AND endpoint_id = $2 AND id = ANY ($3)`, org, endpoint, deliveries, tx.Now)
	return err
}

// replayable are the events after a place that an endpoint has not got, oldest
// first: deliveries that were held, given up or not shown, and those of the log
// that have none.
type replayable struct {
	Seq      int64 `bun:"seq"`
	Delivery id.ID `bun:"delivery"` // zero: make one
	Event    id.ID `bun:"event"`
}

func toReplay(ctx context.Context, tx *db.Tx, e *Endpoint, after int64, kinds, forbidden []string, force bool, limit int) (out []replayable, err error) {
	err = db.Select(ctx, tx, &out, `SELECT seq, delivery, event FROM (
		(SELECT d.seq, d.id AS delivery, d.event_id AS event FROM webhook_delivery d
			WHERE d.organization_id = $1 AND d.endpoint_id = $2 AND d.seq > $3
				AND (d.status IN ('HELD', 'FAILED', 'SKIPPED') OR $6 AND d.status = 'DELIVERED')
			ORDER BY d.seq LIMIT $7)
		UNION ALL
		(SELECT v.seq, NULL, v.id FROM event v
			WHERE v.organization_id = $1 AND v.seq > $3 AND ($4::text[] = '{}' OR v.kind = ANY ($4)) AND v.kind <> ALL ($5::text[])
				AND NOT EXISTS (SELECT FROM webhook_delivery d WHERE d.organization_id = $1 AND d.endpoint_id = $2 AND d.event_id = v.id)
			ORDER BY v.seq LIMIT $7)
		) x ORDER BY seq LIMIT $7`, e.OrganizationID, e.ID, after, kinds, forbidden, force, limit)
	return out, err
}

// copyEvents makes deliveries of events in the log.
func copyEvents(ctx context.Context, tx *db.Tx, org, endpoint id.ID, deliveries, events []id.ID) error {
	_, err := db.Exec(ctx, tx, `INSERT INTO webhook_delivery (organization_id, id, endpoint_id, event_id, seq, kind, subject, actor_id, data, at, status, due_at, created_at)
		SELECT v.organization_id, x.delivery, $2, v.id, v.seq, v.kind, v.subject, v.actor_id, v.data, v.at, 'PENDING', $5, $5
		FROM unnest($3::uuid[], $4::uuid[]) AS x (delivery, event) JOIN event v ON v.organization_id = $1 AND v.id = x.event
		ON CONFLICT (organization_id, endpoint_id, event_id) DO NOTHING`, org, endpoint, deliveries, events, tx.Now)
	return err
}

func testsSince(ctx context.Context, tx *db.Tx, org, endpoint id.ID, since time.Time) (n int, err error) {
	err = db.Select(ctx, tx, &n, `SELECT count(*) FROM webhook_delivery WHERE organization_id = $1 AND endpoint_id = $2 AND created_at > $3 AND kind = $4`,
		org, endpoint, since, string(Test))
	return n, err
}

// hold keeps what an endpoint has not got for when it is enabled again.
func hold(ctx context.Context, tx *db.Tx, org, endpoint id.ID) error {
	_, err := db.Exec(ctx, tx, `UPDATE webhook_delivery SET status = 'HELD', due_at = NULL
		WHERE organization_id = $1 AND endpoint_id = $2 AND status = 'PENDING' AND kind <> $3`, org, endpoint, string(Test))
	return err
}

type attemptRow struct {
	Attempt
	Permissions []access.Permission `bun:"permissions,array"`
	Visibility  access.Visibility   `bun:"visibility"`
}

func attemptsOf(ctx context.Context, q bun.IDB, org id.ID, deliveries []id.ID) (out []attemptRow, err error) {
	err = db.Select(ctx, q, &out, `SELECT a.id, a.delivery_id, a.number, a.at, a.duration_ms, a.status_code, a.error, a.answer, r.permissions, r.visibility
		FROM webhook_attempt a
		JOIN webhook_delivery d ON d.organization_id = a.organization_id AND d.id = a.delivery_id
		JOIN webhook_endpoint e ON e.organization_id = d.organization_id AND e.id = d.endpoint_id
		JOIN role r ON r.organization_id = e.organization_id AND r.id = e.role_id
		WHERE a.organization_id = $1 AND a.delivery_id = ANY ($2) ORDER BY a.delivery_id, a.number`, org, deliveries)
	return out, err
}

func insertAttempt(ctx context.Context, tx *db.Tx, org, delivery id.ID, number int, at time.Time, a answer) error {
	var status *int
	var problem *string
	if a.status != 0 {
		status = &a.status
	}
	if a.problem != "" {
		problem = &a.problem
	}
	_, err := db.Exec(ctx, tx, `INSERT INTO webhook_attempt (organization_id, id, delivery_id, number, at, duration_ms, status_code, error, answer)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, org, id.New(id.WebhookAttempt), delivery, number, at, int(a.took.Milliseconds()), status, problem, a.text)
	return err
}

// settle writes where a delivery stands after a try, and gives the number of its attempts.
func settle(ctx context.Context, tx *db.Tx, d *Delivery, status Status, due *time.Time, tried int) (attempts int, err error) {
	var finished *time.Time
	if status != Pending && status != Held {
		finished = &tx.Now
	}
	err = db.Select(ctx, tx, &attempts, `UPDATE webhook_delivery SET status = $3, due_at = $4, finished_at = $5, attempts = attempts + $6, tries = tries + $6
		WHERE organization_id = $1 AND id = $2 RETURNING attempts`, d.OrganizationID, d.ID, status, due, finished, tried)
	return attempts, err
}
