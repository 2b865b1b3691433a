package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"switchboard/internal/demo"
)

// together is how many calls go on at once; volley, how many begin or end at once.
const (
	together = 1000
	volley   = 50
)

// control asks the emulator inside the laptop to play the outside world.
func (l *laptop) control(ctx context.Context, verb string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.EmulatorURL+"_control/"+verb, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %d %s", verb, res.StatusCode, b)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// counted asks how many calls there are.
func counted(t testing.TB, c *demo.Client, query string, vars demo.Vars) int {
	t.Helper()
	var out struct{ Calls struct{ TotalCount int } }
	must(t, c.Do(t.Context(), query, vars, &out))
	return out.Calls.TotalCount
}

const (
	liveNow  = `{ calls: liveCalls(first: 1) { totalCount } }`
	statuses = `query($from: Time!, $status: [CallStatus!]!) { calls(first: 1, filter: {startedFrom: $from, status: $status}) { totalCount } }`
)

// BenchmarkConcurrentCalls has a thousand outside phones call at once, a device answer
// each, everybody talk at the same time, and everybody hang up: through the emulator
// and the built server, in a process of their own. It reports how fast calls were
// connected and ended, what memory that took, and fails when a call is stuck or lost.
func BenchmarkConcurrentCalls(b *testing.B) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		b.Skip("there is no /proc to read a process's memory from")
	}
	l := startLaptop(b)
	admin := demo.NewClient(l.GraphQLURL, l.AccessToken)
	defer admin.Close()
	var devices struct {
		Devices struct{ Nodes []struct{ ID string } }
	}
	must(b, admin.Do(b.Context(), `{ devices(first: 100) { nodes { id } } }`, nil, &devices))
	for _, d := range devices.Devices.Nodes {
		must(b, l.control(b.Context(), "phones", map[string]any{"Target": "client:" + d.ID, "Do": "answer", "AfterSeconds": 0.5}, nil))
	}
	ready := l.resident(b, "VmRSS")
	var after []float64
	var connected, ended []float64
	for b.Loop() {
		begin := time.Now().UTC()
		sids := make([]string, together)
		var g errgroup.Group
		g.SetLimit(16)
		for n := 0; n < together; n += volley {
			for i := n; i < n+volley; i++ {
				g.Go(func() error {
					var out struct{ SID string }
					err := l.control(b.Context(), "calls", map[string]any{"From": fmt.Sprintf("+1202555%04d", 1000+i), "To": l.Numbers[0].E164}, &out)
					sids[i] = out.SID
					return err
				})
			}
			must(b, g.Wait())
			until(b, "the calls so far are connected", func() bool {
				return counted(b, admin, statuses, demo.Vars{"from": begin, "status": []string{"IN_PROGRESS"}}) == n+volley
			})
		}
		connected = append(connected, together/time.Since(begin).Seconds())
		half := time.Now()
		for n := 0; n < together; n += volley {
			for _, sid := range sids[n : n+volley] {
				g.Go(func() error { return l.control(b.Context(), "hangup", map[string]any{"SID": sid}, nil) })
			}
			must(b, g.Wait())
			until(b, "the calls so far are over", func() bool { return counted(b, admin, liveNow, nil) <= together-n-volley })
		}
		until(b, "every call is over", func() bool { return counted(b, admin, liveNow, nil) == 0 })
		ended = append(ended, together/time.Since(half).Seconds())
		if n := counted(b, admin, statuses, demo.Vars{"from": begin, "status": []string{"COMPLETED"}}); n != together {
			b.Fatalf("%d of %d calls are COMPLETED", n, together)
		}
		after = append(after, l.resident(b, "VmRSS"))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(connected), "connected/s")
	b.ReportMetric(median(ended), "ended/s")
	b.ReportMetric(ready, "MB-ready")
	b.ReportMetric(l.resident(b, "VmHWM"), "MB-peak")
	b.ReportMetric(after[0], "MB-after-first")
	b.ReportMetric(after[len(after)-1], "MB-after-last")
}

// until waits for something that the server does, and gives up after three minutes.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		<-tick.C
	}
}
