package inbox

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// Retry says how a failed callback is tried again. Set it before RetryDue runs.
func (b *Box) Retry(handler func(ctx context.Context, tx *db.Tx, p Post) (Answer, error)) {
	b.retry = handler
}

// RetryDue tries the failed callbacks whose time has come, each in a transaction of
// its own as its organization. Run it as a sweep, every few seconds.
func (b *Box) RetryDue(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "inbox.RetryDue")
	if b.retry == nil {
		return nil
	}
	rows, err := b.d.WorkerPool().Query(ctx, `SELECT organization_id, id FROM twilio_post WHERE due_at <= $1 ORDER BY due_at LIMIT 200`, now)
	if err != nil {
		return db.Translate(err)
	}
	type key struct{ Organization, ID id.ID }
	due, err := pgx.CollectRows(rows, pgx.RowToStructByPos[key])
	if err != nil {
		return db.Translate(err)
	}
	for _, k := range due {
		if err := b.again(ctx, now, k.Organization, k.ID); err != nil {
			return err
		}
	}
	return nil
}

func (b *Box) again(ctx context.Context, now time.Time, org, post id.ID) error {
	ctx = db.WithTenant(ctx, org)
	var p Post
	var failure error
	err := b.d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		p = Post{Organization: org, Kind: Callback}
		var sealed []byte
		err := tx.Pgx().QueryRow(ctx, `SELECT connection_id, key, path, body, received_at, attempts FROM twilio_post
			WHERE organization_id = $1 AND id = $2 AND due_at <= $3 FOR UPDATE SKIP LOCKED`, org, post, now).
			Scan(&p.Connection, &p.Key, &p.Path, &sealed, &p.ReceivedAt, &p.Attempts)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // another node has it
		}
		if err != nil {
			return err
		}
		p.ReceivedAt = p.ReceivedAt.UTC()
		if _, err := tx.Pgx().Exec(ctx, savepoint); err != nil {
			return err
		}
		answer, err := b.reopen(ctx, tx, &p, sealed)
		if failure = err; failure != nil {
			return b.failedAgain(ctx, tx, p, now, failure)
		}
		return b.storeAnswer(ctx, tx, p, answer)
	})
	if failure != nil && err != nil && ctx.Err() == nil {
		// The effect took the connection with it: count the failure by another one.
		err = b.d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			if _, err := tx.Pgx().Exec(ctx, savepoint); err != nil {
				return err
			}
			return b.failedAgain(ctx, tx, p, now, failure)
		})
	}
	if failure != nil && err == nil && b.due(p, now, p.Attempts+1) == nil {
		b.o.Logger.Error("callback given up", "organization_id", org.String(), "post_id", post.String(), "path", p.Path,
			"attempts", p.Attempts+1, "error", failure)
	}
	return err
}

func (b *Box) reopen(ctx context.Context, tx *db.Tx, p *Post, sealed []byte) (Answer, error) {
	plain, err := b.o.Sealer.Open(sealed, p.Organization.String(), bodyColumn)
	if err != nil {
		return Answer{}, err
	}
	if p.Form, err = url.ParseQuery(string(plain)); err != nil {
		return Answer{}, err
	}
	within, cancel := context.WithTimeout(ctx, b.o.CallbackTimeout)
	defer cancel()
	return b.run(within, tx, func(ctx context.Context, tx *db.Tx) (Answer, error) {
		answer, err := b.retry(ctx, tx, *p)
		if err == nil { // a failure must be this post's, so nothing is left for the commit
			err = tx.Flush(ctx)
		}
		return answer, err
	})
}

func (b *Box) failedAgain(ctx context.Context, tx *db.Tx, p Post, now time.Time, cause error) error {
	batch := &pgx.Batch{}
	batch.Queue(back)
	batch.Queue(`UPDATE twilio_post SET attempts = $5, error = $6, due_at = $7
		WHERE organization_id = $1 AND connection_id = $2 AND kind = $3 AND key = $4`,
		p.Organization, p.Connection, string(p.Kind), p.Key, p.Attempts+1, textOf(cause), b.due(p, now, p.Attempts+1))
	return tx.Pgx().SendBatch(ctx, batch).Close()
}

// Drop removes posts before their time, in the transaction that removes what they
// brought: a message or a recording that a person deleted.
func Drop(ctx context.Context, tx *db.Tx, connection id.ID, keys ...string) (err error) {
	defer errs.Wrap(&err, "inbox.Drop")
	_, err = tx.Pgx().Exec(ctx, `DELETE FROM twilio_post WHERE organization_id = $1 AND connection_id = $2 AND kind IN ('CALLBACK', 'TWIML')
		AND key = ANY ($3)`, db.TenantFrom(ctx), connection, keys)
	return db.Translate(err)
}

// Trim removes posts older than Keep, in batches. Run it as a sweep.
func (b *Box) Trim(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "inbox.Trim")
	for {
		tag, err := b.d.WorkerPool().Exec(ctx, `DELETE FROM twilio_post WHERE (organization_id, id) IN (
			SELECT organization_id, id FROM twilio_post WHERE received_at < $1 ORDER BY received_at LIMIT 1000)`, now.Add(-b.o.Keep))
		if err != nil || tag.RowsAffected() < 1000 {
			return db.Translate(err)
		}
	}
}

// Health is what an operator looks at.
type Health struct {
	Retrying int64 // failed callbacks that will be tried again
	GivenUp  int64 // failed posts that will not
}

// Health asks the database how the inbox does.
func (b *Box) Health(ctx context.Context) (h Health, err error) {
	defer errs.Wrap(&err, "inbox.Health")
	err = b.d.WorkerPool().QueryRow(ctx, `SELECT count(due_at), count(*) - count(due_at) FROM twilio_post WHERE status = 'FAILED'`).
		Scan(&h.Retrying, &h.GivenUp)
	return h, db.Translate(err)
}
