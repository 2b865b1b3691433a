// Package event is the log of what happened: written in the transaction of its
// cause, stamped with a gapless sequence, fanned out to sockets and handed to
// durable consumers. It knows no business word.
//
// PostgreSQL is the log; the hub and the bus carry copies and may lose, double
// or reorder them. The invariant: whoever follows the sequence, from any cursor
// that is kept, sees every committed event of its organization once and in order.
package event

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// Kind names what happened, in the past tense: call.answered.
type Kind string

// Event is one fact. Seq is zero until the relay has stamped it.
type Event struct {
	ID             id.ID           `json:"id"`
	Seq            int64           `json:"seq"`
	OrganizationID id.ID           `json:"org"`
	Kind           Kind            `json:"kind"`
	Subject        id.ID           `json:"subject"`
	Data           json.RawMessage `json:"data"`
	ActorID        id.ID           `json:"actor"`
	At             time.Time       `json:"at"`
}

// MaxData is the most that the data of one event may hold, in bytes. Events
// carry ids and facts; what is larger is a row that the event names.
const MaxData = 32 << 10

// Append writes the events in the caller's transaction and wakes the relay when
// it has committed. What is left out is filled in: the id, the organization from
// the context's tenant, the time of the transaction, empty data. Events of one
// call keep their order. It returns an errs.Internal for an event without an
// organization or kind, or with data that is too large or no JSON.
func Append(ctx context.Context, tx *db.Tx, events ...Event) (err error) {
	defer errs.Wrap(&err, "event.Append")
	b := &pgx.Batch{}
	if err := Queue(ctx, tx, b, events...); err != nil || b.Len() == 0 {
		return err
	}
	return db.Translate(tx.Pgx().SendBatch(ctx, b).Close())
}

// Queue is Append as a statement of a batch that the caller sends in the same
// transaction: no round trip of its own.
func Queue(ctx context.Context, tx *db.Tx, b *pgx.Batch, events ...Event) (err error) {
	defer errs.Wrap(&err, "event.Queue")
	if len(events) == 0 {
		return nil
	}
	var (
		n       = len(events)
		orgs    = make([]pgtype.UUID, n)
		ids     = make([]pgtype.UUID, n)
		kinds   = make([]string, n)
		subject = make([]pgtype.UUID, n)
		data    = make([]string, n)
		actors  = make([]pgtype.UUID, n)
		at      = make([]time.Time, n)
	)
	for i, e := range events {
		if e, err = complete(ctx, tx, e); err != nil {
			return err
		}
		orgs[i], _ = e.OrganizationID.UUIDValue()
		ids[i], _ = e.ID.UUIDValue()
		kinds[i] = string(e.Kind)
		subject[i], _ = e.Subject.UUIDValue()
		data[i] = string(e.Data)
		actors[i], _ = e.ActorID.UUIDValue()
		at[i] = e.At
	}
	if n == 1 {
		b.Queue(`INSERT INTO event (organization_id, id, kind, subject, data, actor_id, at)
			VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7)`, orgs[0], ids[0], kinds[0], subject[0], data[0], actors[0], at[0])
	} else {
		b.Queue(`INSERT INTO event (organization_id, id, kind, subject, data, actor_id, at)
			SELECT o, i, k, s, d::jsonb, a, t
			FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::uuid[], $7::timestamptz[])
				WITH ORDINALITY AS x (o, i, k, s, d, a, t, n)
			ORDER BY n`, orgs, ids, kinds, subject, data, actors, at)
	}
	key := databaseOf(tx.Pgx().Conn())
	tx.AfterCommit(func() { poke(key) })
	return nil
}

func complete(ctx context.Context, tx *db.Tx, e Event) (Event, error) {
	if e.OrganizationID.IsZero() {
		e.OrganizationID = db.TenantFrom(ctx)
	}
	if e.ID.IsZero() {
		e.ID = id.New(id.Event)
	}
	if e.At.IsZero() {
		e.At = tx.Now
	}
	if len(e.Data) == 0 {
		e.Data = json.RawMessage("{}")
	}
	e.Data = withoutNUL(e.Data)
	switch {
	case e.OrganizationID.IsZero():
		return e, errs.New(errs.Internal, "an event needs an organization")
	case e.Kind == "" || len(e.Kind) > 64:
		return e, errs.New(errs.Internal, "an event needs a kind of 1 to 64 bytes")
	case len(e.Data) > MaxData:
		return e, errs.New(errs.Internal, "the data of event %s has %d bytes; %d are allowed", e.Kind, len(e.Data), MaxData)
	case !json.Valid(e.Data):
		return e, errs.New(errs.Internal, "the data of event %s is no JSON", e.Kind)
	}
	return e, nil
}

// withoutNUL drops the escape \u0000, which JSON allows and jsonb refuses. It
// comes in with texts from outside.
func withoutNUL(b []byte) []byte {
	if !bytes.Contains(b, []byte(`\u0000`)) {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			out = append(out, b[i])
			continue
		}
		if bytes.HasPrefix(b[i:], []byte(`\u0000`)) {
			i += 5
			continue
		}
		out = append(out, b[i], b[i+1])
		i++
	}
	return out
}

// columns are what scan reads.
const columns = `seq, id, organization_id, kind, subject, data, actor_id, at`

func scan(row pgx.CollectableRow) (e Event, err error) {
	err = row.Scan(&e.Seq, &e.ID, &e.OrganizationID, (*string)(&e.Kind), &e.Subject, (*[]byte)(&e.Data), &e.ActorID, &e.At)
	e.At = e.At.UTC()
	return e, err
}

// Sealer makes cursors that say nothing and fit one organization only. Package
// secret has one.
type Sealer interface {
	SealDeterministic(plain []byte, ad string) ([]byte, error)
	OpenDeterministic(sealed []byte, ad string) ([]byte, error)
}

func cursorOf(org id.ID) string { return "event.cursor " + org.String() }

// Cursor is the opaque place after the event with this sequence, for readers of
// the organization. The same sequence gives the same text.
func (l *Log) Cursor(org id.ID, seq int64) string {
	b, err := l.o.Sealer.SealDeterministic(binary.BigEndian.AppendUint64(nil, uint64(seq)), cursorOf(org))
	if err != nil {
		// New has tried the sealer. Empty text would mean "from now" and lose
		// events without a word; this is refused when it comes back.
		return "!"
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// OpenCursor reads a cursor of the organization. Any other text, also a cursor
// of another organization, is an errs.Invalid.
func (l *Log) OpenCursor(org id.ID, cursor string) (int64, error) {
	invalid := errs.New(errs.Invalid, "after is not a cursor of these events; use one that an event or a snapshot gave").At("after")
	if len(cursor) > 256 {
		return 0, invalid
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return 0, invalid
	}
	plain, err := l.o.Sealer.OpenDeterministic(sealed, cursorOf(org))
	if err != nil || len(plain) != 8 {
		return 0, invalid
	}
	seq := int64(binary.BigEndian.Uint64(plain))
	if seq < 0 {
		return 0, invalid
	}
	return seq, nil
}

func (l *Log) trySealer() error {
	org := id.New(id.Organization)
	if seq, err := l.OpenCursor(org, l.Cursor(org, 7)); err != nil || seq != 7 {
		return fmt.Errorf("event: the sealer does not open what it sealed: %v", err)
	}
	return nil
}
