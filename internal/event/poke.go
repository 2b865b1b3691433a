package event

import (
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"
)

// running are the logs of this process by database: Append knows only its
// transaction, and wakes the relay of the database that it wrote to.
var running = struct {
	sync.RWMutex // guards logs
	logs         map[string]map[*Log]struct{}
}{logs: map[string]map[*Log]struct{}{}}

func databaseOf(c *pgx.Conn) string {
	cfg := c.Config()
	return cfg.Host + " " + strconv.Itoa(int(cfg.Port)) + " " + cfg.Database
}

func enlist(key string, l *Log) {
	running.Lock()
	defer running.Unlock()
	if running.logs[key] == nil {
		running.logs[key] = map[*Log]struct{}{}
	}
	running.logs[key][l] = struct{}{}
}

func discharge(key string, l *Log) {
	running.Lock()
	defer running.Unlock()
	delete(running.logs[key], l)
	if len(running.logs[key]) == 0 {
		delete(running.logs, key)
	}
}

// poke wakes the relay of this process (a test may have several); a lost poke costs one sweep, never an event.
func poke(key string) {
	running.RLock()
	defer running.RUnlock()
	for l := range running.logs[key] {
		select {
		case l.poked <- struct{}{}:
		default:
		}
	}
}
