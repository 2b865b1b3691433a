package inbox_test

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/inbox"
	"switchboard/internal/testkit"
)

const insertNote = `INSERT INTO audit_entry (organization_id, id, action, detail, at) VALUES ($1, $2, 'effect', '{}', $3)`

// BenchmarkOnce takes callbacks that write one row.
func BenchmarkOnce(b *testing.B) {
	d := testkit.DB(b)
	box := newBox(b, d, inbox.Options{})
	org, conn := id.New(id.Organization), id.New(id.Connection)
	var n atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p := inbox.Post{Organization: org, Connection: conn, Kind: inbox.Callback, Key: fmt.Sprint(n.Add(1)), Form: url.Values{"CallSid": {"CA1"}}}
			_, err := box.Once(context.Background(), p, func(ctx context.Context, tx *db.Tx) (inbox.Answer, error) {
				_, err := tx.Pgx().Exec(ctx, insertNote, org, id.New(id.Audit), tx.Now)
				return inbox.Taken, err
			})
			if err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkByHand writes the same two rows in one batch without any rules.
func BenchmarkByHand(b *testing.B) {
	d := testkit.DB(b)
	org, conn := id.New(id.Organization), id.New(id.Connection)
	var n atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			batch := &pgx.Batch{}
			now := time.Now()
			batch.Queue(`INSERT INTO twilio_post (organization_id, id, connection_id, kind, key, path, body, status, received_at)
				VALUES ($1, $2, $3, 'CALLBACK', $4, '', $5, 'DONE', $6) ON CONFLICT DO NOTHING`, org, id.New(id.Post), conn, fmt.Sprint(n.Add(1)), []byte("CallSid=CA1"), now)
			batch.Queue(insertNote, org, id.New(id.Audit), now)
			if err := d.Batch(context.Background(), org, batch); err != nil {
				b.Error(err)
			}
		}
	})
}
