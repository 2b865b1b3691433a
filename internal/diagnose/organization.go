package diagnose

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/id"
)

// endpoint is an address that is told of events.
type endpoint struct {
	ID         id.ID      `bun:"id"`
	URL        string     `bun:"url"`
	Status     string     `bun:"status"`
	Reason     *string    `bun:"disabled_reason"`
	DisabledAt *time.Time `bun:"disabled_at"`
}

// organization looks at what belongs to no number: who is told of events, events that
// could not be worked off, and recordings that could not.
func (x *exam) organization(ctx context.Context) error {
	p := x.at(x.org, true)
	var rows []endpoint
	err := db.Select(ctx, x.s.d.DB.App(), &rows, `SELECT id, url, status, disabled_reason, disabled_at FROM webhook_endpoint WHERE organization_id = $1 ORDER BY id LIMIT 1000`, x.org)
	if err != nil {
		return err
	}
	off := 0
	for _, e := range rows {
		if e.Status != "DISABLED" || deref(e.Reason) == "BY_HAND" {
			continue
		}
		off++
		why := map[string]string{"FAILING": "every post to it failed for a day", "GONE": "it answered that it is gone", "KEY_REVOKED": "the API key that made it was revoked"}[deref(e.Reason)]
		x.at(e.ID, true).problem(WebhookEndpointDisabled, "", "an address that is told of events is not posted to any more: "+why, fact("disabledAt", at(e.DisabledAt, x.now)), fact("reason", deref(e.Reason)))
	}
	x.others = append(x.others, WebhookEndpointDisabled)
	if off == 0 {
		p.ok(WebhookEndpointDisabled, "every address that is told of events is posted to, but for those switched off by hand: %d", len(rows))
	}
	var parked []struct {
		Consumer string `bun:"consumer"`
		N        int    `bun:"n"`
	}
	err = db.Select(ctx, x.s.d.DB.App(), &parked, `SELECT consumer, count(*) AS n FROM event_parked WHERE organization_id = $1 GROUP BY consumer ORDER BY consumer`, x.org)
	if err != nil {
		return err
	}
	n, names, facts := 0, []string{}, []Evidence{}
	for _, c := range parked {
		n += c.N
		names, facts = append(names, c.Consumer), append(facts, fact(c.Consumer, c.N))
	}
	if n > 0 {
		p.problem(ParkedEvents, "", fmt.Sprintf("%s could not be worked off: what should have followed from them did not (%s)", count(n, "event", "events"), strings.Join(names, ", ")), facts...)
	} else {
		p.ok(ParkedEvents, "every event was worked off")
	}
	return x.failures(ctx, p)
}

// failures is whether copies of recordings or transcripts failed within a day: one may
// be an accident of its call, and yet nobody hears of it otherwise.
func (x *exam) failures(ctx context.Context, p spot) error {
	for _, f := range []struct {
		code        Code
		what, query string
	}{
		{MediaFailed, "the audio of %s of the last day could not be fetched from Twilio: %s", `
			SELECT count(*) AS n, max(r.media_error) AS why FROM recording r WHERE r.organization_id = $1 AND r.started_at > $2 AND r.media_state = 'FAILED'`},
		{TranscriptionFailed, "%s of the last day could not be transcribed: %s", `
			SELECT count(*) AS n, max(t.failure_reason) AS why FROM transcript t WHERE t.organization_id = $1 AND t.recorded_at > $2 AND t.status = 'FAILED'
				AND NOT EXISTS (SELECT FROM transcript l WHERE l.organization_id = t.organization_id AND l.recording_id = t.recording_id AND l.created_at > t.created_at AND l.status <> 'DELETED')`},
	} {
		var row struct {
			N   int     `bun:"n"`
			Why *string `bun:"why"`
		}
		if err := db.Select(ctx, x.s.d.DB.App(), &row, f.query, x.org, x.now.Add(-24*time.Hour)); err != nil {
			return err
		}
		if row.N > 0 {
			p.warning(f.code, "", fmt.Sprintf(f.what, count(row.N, "recording", "recordings"), deref(row.Why)), fact("recordings", row.N))
		} else {
			p.ok(f.code, "none failed within a day")
		}
	}
	return nil
}

// whole looks at the organization and all its connections.
func (x *exam) whole(ctx context.Context) error {
	if err := x.organization(ctx); err != nil {
		return err
	}
	connections, err := x.s.d.Numbers.Connected(ctx, x.s.d.DB.App())
	if err != nil {
		return err
	}
	some := connections[:min(len(connections), maxWhole)]
	patients := make([]*patient, len(some))
	for i, c := range some {
		if patients[i], err = x.patient(ctx, c.ID); err != nil {
			return err
		}
	}
	var wg sync.WaitGroup // side by side: somebody waits
	for _, p := range patients {
		wg.Go(func() {
			x.ask(ctx, p, func(ctx context.Context) error { return x.s.d.Numbers.LookAtAccount(ctx, p.c.ID) })
		})
	}
	wg.Wait()
	for _, p := range patients {
		if _, err := x.examine(ctx, p); err != nil {
			return err
		}
	}
	for _, c := range connections[len(some):] {
		x.at(c.ID, true).skip(TokenRefused, "the connection "+c.Name+" was not looked at: that is done with "+strconv.Itoa(maxWhole)+" at a time; name it by its id")
	}
	return nil
}

// maxWhole is how many connections are looked at when nothing is named.
const maxWhole = 5

func contains(s string, any ...string) bool {
	for _, a := range any {
		if strings.Contains(s, a) {
			return true
		}
	}
	return false
}
