package job

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"
)

// riverTx is the transaction that River's client works in.
type riverTx = pgx.Tx

// runners are those of this process by database: Insert knows only its transaction.
var runners = struct {
	sync.RWMutex // guards by
	by           map[string]map[*Runner]struct{}
}{by: map[string]map[*Runner]struct{}{}}

func databaseOf(c *pgx.Conn) string {
	cfg := c.Config()
	return cfg.Host + " " + strconv.Itoa(int(cfg.Port)) + " " + cfg.Database
}

func enlist(key string, r *Runner) {
	runners.Lock()
	defer runners.Unlock()
	if runners.by[key] == nil {
		runners.by[key] = map[*Runner]struct{}{}
	}
	runners.by[key][r] = struct{}{}
}

func discharge(key string, r *Runner) {
	runners.Lock()
	defer runners.Unlock()
	delete(runners.by[key], r)
	if len(runners.by[key]) == 0 {
		delete(runners.by, key)
	}
}

// wake tells one runner of this process which queues have work. Where none runs,
// the workers poll ten times a second.
func wake(key string, inserted []*rivertype.JobInsertResult) {
	runners.RLock()
	defer runners.RUnlock()
	for r := range runners.by[key] {
		for _, i := range inserted {
			if i.Job.State == rivertype.JobStateAvailable {
				r.wake(i.Job.Queue)
			}
		}
		return
	}
}

func (r *Runner) wake(queue string) {
	r.wakeMu.Lock()
	r.toWake[queue] = struct{}{}
	r.wakeMu.Unlock()
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// notify passes wake-ups on to the producers of all nodes: one NOTIFY outside of
// any business transaction for many inserts.
func (r *Runner) notify(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.woken:
		}
		r.wakeMu.Lock()
		var payloads []string
		for q := range r.toWake {
			payloads = append(payloads, fmt.Sprintf("{\"queue\": %q}", q))
		}
		clear(r.toWake)
		r.wakeMu.Unlock()
		if len(payloads) > 0 {
			// An error costs 100 ms, after which the producers poll.
			_, _ = r.d.WorkerPool().Exec(ctx, `SELECT pg_notify('system.river_insert', p) FROM unnest($1::text[]) p`, payloads)
		}
		pause.Reset(fetchCooldown)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}
