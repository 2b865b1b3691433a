package event

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"switchboard/internal/id"
)

// maxMessage stays under the megabyte that NATS servers take by default.
const maxMessage = 512 << 10

// bus carries copies of stamped events to the other nodes over core NATS. It may
// lose, double or reorder them: every hub takes strictly the next one and reads
// the rest from the table. It carries what the log holds, so the cluster must be
// as private as the database.
type bus struct {
	nc      *nats.Conn
	in      chan *nats.Msg
	subject string
	log     *slog.Logger
}

func openBus(url string, installation id.ID, log *slog.Logger) (*bus, error) {
	b := &bus{
		subject: fmt.Sprintf("switchboard.%x.event", installation.UUID()),
		in:      make(chan *nats.Msg, 256), log: log,
	}
	nc, err := nats.Connect(url,
		nats.Name("switchboard"), nats.NoEcho(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(200*time.Millisecond), nats.Timeout(2*time.Second), nats.PingInterval(5*time.Second), nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("event bus lost; events of other nodes come by the sweep", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("event bus is back") }),
		// A full channel drops copies: the hole is filled from the table.
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Debug("event bus", "error", err) }),
	)
	if err != nil {
		return nil, fmt.Errorf("event: NATS_URL: %w", err)
	}
	b.nc = nc
	if _, err = nc.ChanSubscribe(b.subject, b.in); err != nil {
		nc.Close()
		return nil, fmt.Errorf("event: NATS_URL: %w", err)
	}
	return b, nil
}

// publish sends copies and returns how many left; the rest is in the table.
func (b *bus) publish(events []Event) int64 {
	m, err := json.Marshal(events)
	if err != nil {
		b.log.Error("event bus cannot encode", "error", err)
		return 0
	}
	if len(m) > maxMessage {
		if len(events) == 1 {
			return 0
		}
		half := len(events) / 2
		return b.publish(events[:half]) + b.publish(events[half:])
	}
	if err := b.nc.Publish(b.subject, m); err != nil {
		return 0
	}
	return int64(len(events))
}

func decode(m []byte) (events []Event, err error) {
	err = json.Unmarshal(m, &events)
	return events, err
}

func (b *bus) close() { b.nc.Close() }
