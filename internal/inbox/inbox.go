// Package inbox takes each post of Twilio once, whatever Twilio repeats, and
// loses none: a post is committed with its effect, or kept to be tried again. It
// does not know what a post means.
//
// The invariant: nobody is answered 2xx unless the post is in the database.
package inbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// Kind says what waits for the answer.
type Kind string

const (
	// Callback is a notice: Twilio wants a 2xx, the effect may come later.
	Callback Kind = "CALLBACK"
	// TwiML is a question: a caller hears the answer.
	TwiML Kind = "TWIML"
)

// Post is one HTTP request of Twilio, verified by the edge.
type Post struct {
	Organization, Connection id.ID
	Kind                     Kind
	// Key is the natural key of a callback or the idempotency token of a TwiML
	// request, unique per connection and kind.
	Key  string
	Path string
	Form url.Values
	// Ahead may queue the first statements of the effect: they go with the post's
	// own, in one round trip. They are undone for a repetition, and when the effect
	// runs again it has to send them itself.
	Ahead      func(b *pgx.Batch)
	ReceivedAt time.Time // filled in: when it was first stored
	Attempts   int       // filled in for Retry: the tries that failed
}

// Answer is what Twilio gets.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte
}

// Taken is the answer to a callback that needs no words.
var Taken = Answer{Status: http.StatusNoContent}

func (a Answer) isTaken() bool {
	return a.Status == http.StatusNoContent && a.ContentType == "" && len(a.Body) == 0
}

// ErrFailed says that the effect of a TwiML request failed and that the request is
// kept. Give the safe answer and hand it to StoreAnswer, so that a repetition gets
// the same.
var ErrFailed = errors.New("the effect failed; the post is kept")

// The limits of a post.
const (
	MaxKey  = 512
	MaxPath = 2 << 10
	MaxBody = 64 << 10
)

// Sealer protects the bodies. Package secret has one.
type Sealer interface {
	Seal(plain []byte, org, column string) ([]byte, error)
	Open(sealed []byte, org, column string) ([]byte, error)
}

// What is sealed, as associated data.
const (
	bodyColumn   = "twilio_post.body"
	answerColumn = "twilio_post.answer_body"
)

// Options of a Box. Only Sealer is needed.
type Options struct {
	Sealer Sealer
	// Logger takes what an operator may care about; slog.Default when nil.
	Logger *slog.Logger
	// Keep is how long a post is kept (default 30 days, on the DB's clock).
	Keep time.Duration
	// LockTimeout bounds the wait for a row that somebody holds (default 2 s).
	LockTimeout time.Duration
	// CallbackTimeout and TwiMLTimeout bound the effect (defaults 10 s and 2.5 s).
	CallbackTimeout, TwiMLTimeout time.Duration
	// Backoff are the waits before a failed callback is tried again, on the DB's
	// clock; after the last one a person must look.
	Backoff []time.Duration
}

// Box takes posts.
type Box struct {
	d     *db.DB
	o     Options
	retry func(ctx context.Context, tx *db.Tx, p Post) (Answer, error)
}

// New makes a Box.
func New(d *db.DB, o Options) (*Box, error) {
	if o.Sealer == nil {
		return nil, errors.New("inbox: a Box needs a sealer for the posts")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	for t, fallback := range map[*time.Duration]time.Duration{
		&o.Keep: 30 * 24 * time.Hour, &o.LockTimeout: 2 * time.Second,
		&o.CallbackTimeout: 10 * time.Second, &o.TwiMLTimeout: 2500 * time.Millisecond,
	} {
		if *t <= 0 {
			*t = fallback
		}
	}
	if o.Backoff == nil {
		o.Backoff = []time.Duration{5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute,
			15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour}
	}
	return &Box{d: d, o: o}, nil
}

// Effect does what a post means, in the transaction that keeps the post. It may
// run again when another transaction was in the way. What it leaves for the commit
// (db.Tx.Last) is a part of it: refused, the effect has failed.
type Effect func(ctx context.Context, tx *db.Tx) (Answer, error)

// Once takes the post: the first time the effect runs and its answer is stored
// with it, in one transaction as the post's organization; every repetition gets
// the stored answer, also one that comes at the same moment.
//
// When the effect fails, its writes are undone and the post alone is kept. A
// callback is then answered Taken and tried again by RetryDue; for a TwiML request
// the error is ErrFailed with the cause. When the post cannot be kept, or its
// first copy is not done in time, the error is an errs.Unavailable: answer 503.
// The caller's going away does not end the work.
func (b *Box) Once(ctx context.Context, p Post, effect Effect) (_ Answer, err error) {
	defer errs.Wrap(&err, "inbox.Once(%s)", p.Kind)
	body, err := b.check(&p)
	if err != nil {
		return Answer{}, err
	}
	timeout := b.o.CallbackTimeout
	if p.Kind == TwiML {
		timeout = b.o.TwiMLTimeout
	}
	ctx = db.WithTenant(context.WithoutCancel(ctx), p.Organization)
	whole, cancel := context.WithTimeout(ctx, timeout+b.o.LockTimeout)
	defer cancel()

	var answer Answer
	var failure error // of the effect
	var first bool
	err = b.d.InTxWith(whole, b.insertion(p, body, &first), func(ctx context.Context, tx *db.Tx) (err error) {
		if !first {
			answer, err = b.repeated(ctx, tx, p)
			return err
		}
		within, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		answer, failure = b.run(within, tx, effect)
		switch {
		case failure != nil:
			return fail(ctx, tx, p, failure, b.due(p, tx.Now, 1))
		case p.Kind == Callback && answer.isTaken():
			return nil // as inserted
		}
		words, err := b.answered(p, answer)
		if err == nil {
			tx.Last(words)
		}
		return err
	})
	if !first && err != nil && p.Ahead != nil {
		p.Ahead = nil // it may be what failed, and a repetition does without
		return b.Once(ctx, p, effect)
	}
	if first && failure == nil {
		failure = err // of statements that went ahead of the effect, or with the commit
	}
	if failure != nil && err != nil {
		// The effect took the transaction with it: keep the post by another one.
		err = b.keep(ctx, p, body, failure, &answer)
	}
	switch {
	case errors.Is(err, ErrFailed):
		return Answer{}, err
	case err != nil:
		return Answer{}, unavailable(err)
	case failure != nil && p.Kind == TwiML:
		return Answer{}, fmt.Errorf("%w: %w", ErrFailed, failure)
	case failure != nil:
		b.o.Logger.Error("callback failed and will be tried again", "organization_id", p.Organization.String(),
			"connection_id", p.Connection.String(), "path", p.Path, "error", failure)
		return Taken, nil
	}
	return answer, nil
}

func (b *Box) check(p *Post) (sealed []byte, err error) {
	body := p.Form.Encode()
	switch {
	case p.Organization.IsZero() || p.Connection.IsZero():
		return nil, errs.New(errs.Internal, "a post needs an organization and a connection")
	case p.Kind != Callback && p.Kind != TwiML:
		return nil, errs.New(errs.Internal, "%q is not a kind of post", p.Kind)
	case p.Key == "" || len(p.Key) > MaxKey || strings.ContainsRune(p.Key, 0):
		return nil, errs.New(errs.Invalid, "the post has no usable key")
	case len(p.Path) > MaxPath || strings.ContainsRune(p.Path, 0):
		return nil, errs.New(errs.Invalid, "the path of the post is too long")
	case len(body) > MaxBody:
		return nil, errs.New(errs.Invalid, "the post is too large")
	}
	p.Key, p.Path = strings.ToValidUTF8(p.Key, "\uFFFD"), strings.ToValidUTF8(p.Path, "\uFFFD")
	return b.o.Sealer.Seal([]byte(body), p.Organization.String(), bodyColumn)
}

func unavailable(err error) error {
	if errs.IsCode(err, errs.Unavailable) {
		return err
	}
	return errs.New(errs.Unavailable, "the post could not be stored; send it again").Because(err)
}

// insertion stores the post as done, with the answer of a callback, and sets the
// savepoint of the effect: one round trip, with which the transaction begins. A
// second copy waits here for the first.
func (b *Box) insertion(p Post, body []byte, first *bool) *pgx.Batch {
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO twilio_post (organization_id, id, connection_id, kind, key, path, body, status, answer_status, received_at)
		SELECT $1::uuid, $2::uuid, $3::uuid, $4::text, $5::text, $6::text, $7::bytea, 'DONE', $8::int, $9::timestamptz
		WHERE set_config('lock_timeout', $10, true) <> '' -- for the whole transaction, before the first wait
		ON CONFLICT ON CONSTRAINT twilio_post_unique DO NOTHING`,
		p.Organization, id.New(id.Post), p.Connection, string(p.Kind), p.Key, p.Path, body, Taken.Status, b.d.Clock().Now(), milliseconds(b.o.LockTimeout)).
		Exec(func(tag pgconn.CommandTag) error {
			*first = tag.RowsAffected() == 1
			return nil
		})
	batch.Queue(savepoint)
	if p.Ahead != nil {
		p.Ahead(batch)
	}
	return batch
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }

const (
	savepoint = `SAVEPOINT effect`
	back      = `ROLLBACK TO SAVEPOINT effect`
)

// run tries the effect again when another transaction was in its way: the post's
// own row stays locked meanwhile, so its copies keep waiting.
func (b *Box) run(ctx context.Context, tx *db.Tx, effect Effect) (answer Answer, err error) {
	for attempt := 1; ; attempt++ {
		answer, err = b.guard(ctx, tx, effect)
		if err == nil {
			return answer, nil
		}
		tx.Withdraw()
		if attempt == 3 || !inTheWay(err) {
			return answer, err
		}
		if _, e := tx.Pgx().Exec(ctx, back); e != nil {
			return Answer{}, err
		}
		// The other one was woken by this and gets its turn.
		pause := time.NewTimer(time.Duration(attempt)*5*time.Millisecond + rand.N(10*time.Millisecond))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return Answer{}, err
		}
	}
}

func inTheWay(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// guard turns a panic into an error: the post is kept like after any other.
func (b *Box) guard(ctx context.Context, tx *db.Tx, effect Effect) (_ Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			b.o.Logger.Error("the effect of a post panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	answer, err := effect(ctx, tx)
	if err == nil && answer.Status == 0 {
		answer.Status = http.StatusOK
	}
	return answer, err
}

// repeated is the answer that the first copy of the post was given.
func (b *Box) repeated(ctx context.Context, tx *db.Tx, p Post) (a Answer, err error) {
	if p.Ahead != nil {
		if _, err := tx.Pgx().Exec(ctx, back); err != nil {
			return Answer{}, err
		}
	}
	var status, text string
	var answer *int
	err = tx.Pgx().QueryRow(ctx, `SELECT status, answer_status, coalesce(answer_type, ''), answer_body, coalesce(error, '') FROM twilio_post
		WHERE organization_id = $1 AND connection_id = $2 AND kind = $3 AND key = $4`, p.Organization, p.Connection, string(p.Kind), p.Key).
		Scan(&status, &answer, &a.ContentType, &a.Body, &text)
	if err != nil {
		return Answer{}, err
	}
	if answer == nil {
		return Answer{}, fmt.Errorf("%w: %s", ErrFailed, text)
	}
	a.Status = *answer
	if len(a.Body) > 0 {
		a.Body, err = b.o.Sealer.Open(a.Body, p.Organization.String(), answerColumn)
	}
	return a, err
}

// answered stores the answer with the post. The words are sealed: the addresses in
// them hold the access key.
func (b *Box) answered(p Post, a Answer) (_ *pgx.Batch, err error) {
	if len(a.Body) > 0 {
		if a.Body, err = b.o.Sealer.Seal(a.Body, p.Organization.String(), answerColumn); err != nil {
			return nil, err
		}
	}
	batch := &pgx.Batch{}
	batch.Queue(`UPDATE twilio_post SET status = 'DONE', due_at = NULL, answer_status = $5, answer_type = $6, answer_body = $7
		WHERE organization_id = $1 AND connection_id = $2 AND kind = $3 AND key = $4`,
		p.Organization, p.Connection, string(p.Kind), p.Key, a.Status, a.ContentType, a.Body)
	return batch, nil
}

func (b *Box) storeAnswer(ctx context.Context, tx *db.Tx, p Post, a Answer) error {
	batch, err := b.answered(p, a)
	if err != nil {
		return err
	}
	return tx.Pgx().SendBatch(ctx, batch).Close()
}

// fail undoes the effect and marks the post, in the transaction that holds it.
func fail(ctx context.Context, tx *db.Tx, p Post, cause error, due *time.Time) error {
	batch := &pgx.Batch{}
	batch.Queue(back)
	batch.Queue(`UPDATE twilio_post SET status = 'FAILED', error = $5, due_at = $6,
			answer_status = CASE WHEN kind = 'CALLBACK' THEN answer_status END
		WHERE organization_id = $1 AND connection_id = $2 AND kind = $3 AND key = $4`,
		p.Organization, p.Connection, string(p.Kind), p.Key, textOf(cause), due)
	return tx.Pgx().SendBatch(ctx, batch).Close()
}

// keep stores the failed post in a transaction of its own.
func (b *Box) keep(ctx context.Context, p Post, body []byte, cause error, answer *Answer) error {
	ctx, cancel := context.WithTimeout(ctx, b.o.LockTimeout)
	defer cancel()
	p.Ahead = nil
	var first bool
	return b.d.InTxWith(ctx, b.insertion(p, body, &first), func(ctx context.Context, tx *db.Tx) (err error) {
		if !first { // a copy came through in between
			*answer, err = b.repeated(ctx, tx, p)
			return err
		}
		return fail(ctx, tx, p, cause, b.due(p, tx.Now, 1))
	})
}

// due is when the post is tried again after so many failures; nil for never.
func (b *Box) due(p Post, now time.Time, failures int) *time.Time {
	if p.Kind != Callback || failures > len(b.o.Backoff) {
		return nil
	}
	at := now.Add(b.o.Backoff[failures-1])
	return &at
}

func textOf(err error) string {
	s := strings.ReplaceAll(strings.ToValidUTF8(err.Error(), ""), "\x00", "")
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "") + "…"
	}
	return s
}

// StoreAnswer keeps the safe answer that was given after ErrFailed.
func (b *Box) StoreAnswer(ctx context.Context, p Post, a Answer) (err error) {
	defer errs.Wrap(&err, "inbox.StoreAnswer")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.o.LockTimeout)
	defer cancel()
	return b.d.InTx(db.WithTenant(ctx, p.Organization), func(ctx context.Context, tx *db.Tx) error {
		return b.storeAnswer(ctx, tx, p, a)
	})
}

// Forget deletes the callbacks of a connection with these keys: what they brought
// was deleted, and they hold it too.
func Forget(ctx context.Context, tx *db.Tx, connection id.ID, keys []string) (err error) {
	defer errs.Wrap(&err, "inbox.Forget")
	_, err = tx.Pgx().Exec(ctx, `DELETE FROM twilio_post WHERE organization_id = $1 AND connection_id = $2 AND kind = 'CALLBACK' AND key = ANY ($3)`,
		db.TenantFrom(ctx), connection, keys)
	return db.Translate(err)
}
