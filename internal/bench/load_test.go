package bench_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// target is something under load. next gives the i-th request of a client as the
// bytes that go over the wire; the same function serves every client.
type target struct {
	name string
	addr string // host:port
	next func(client, i int) []byte
	want int // the status; 200 when zero
}

// same is a target's next that always asks the same.
func same(request []byte) func(int, int) []byte {
	return func(int, int) []byte { return request }
}

// wire is an HTTP/1.1 request as bytes.
func wire(path, contentType string, body []byte, headers ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: bench.test\r\nContent-Type: %s\r\nContent-Length: %d\r\n", path, contentType, len(body))
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// client is one connection. It does as little as it can: what it costs, every
// target pays, and it makes ratios look better than they are.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	body bytes.Buffer
	sent int
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &client{conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
}

// do sends one request and reads the answer into body.
func (c *client) do(request []byte) (status int, err error) {
	if _, err := c.conn.Write(request); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	c.body.Reset()
	_, err = io.Copy(&c.body, res.Body)
	return res.StatusCode, err
}

// fleet is the clients of one target.
type fleet struct {
	target
	clients []*client
	took    []time.Duration // of every request since the last reset
	server  time.Duration   // of CPU in this process, the clients' included, since the last reset
	backend time.Duration   // of CPU in PostgreSQL
}

func newFleet(x target) *fleet {
	if x.want == 0 {
		x.want = http.StatusOK
	}
	return &fleet{target: x}
}

// connect dials when the first request is near: a server hangs up on a client
// that says nothing.
func (f *fleet) connect(t testing.TB) {
	for len(f.clients) < connections {
		f.clients = append(f.clients, dial(t, f.addr))
	}
}

// run keeps every client busy for a while and returns the requests a second.
// An answer with another status, or with errors in it, ends the test.
func (f *fleet) run(t testing.TB, d time.Duration) float64 {
	t.Helper()
	return f.load(t, func(begin, now time.Time, _ int) bool { return now.Sub(begin) < d })
}

// volley has every client send n requests.
func (f *fleet) volley(t testing.TB, n int) float64 {
	t.Helper()
	return f.load(t, func(_, _ time.Time, sent int) bool { return sent < n })
}

func (f *fleet) load(t testing.TB, more func(begin, now time.Time, sent int) bool) float64 {
	t.Helper()
	f.connect(t)
	took := make([][]time.Duration, len(f.clients))
	self, postgres := cpu()
	begin := time.Now()
	var g errgroup.Group
	for i, c := range f.clients {
		g.Go(func() error {
			for now := time.Now(); more(begin, now, len(took[i])); {
				status, err := c.do(f.next(i, c.sent))
				c.sent++
				after := time.Now()
				took[i] = append(took[i], after.Sub(now))
				now = after
				switch {
				case err != nil:
					return err
				case status != f.want:
					return fmt.Errorf("%s answered %d: %.300s", f.name, status, c.body.Bytes())
				case bytes.HasPrefix(c.body.Bytes(), []byte(`{"errors"`)):
					return fmt.Errorf("%s answered %.300s", f.name, c.body.Bytes())
				}
			}
			return nil
		})
	}
	must(t, g.Wait())
	lasted := time.Since(begin)
	selfNow, postgresNow := cpu()
	f.server += selfNow - self
	f.backend += postgresNow - postgres
	n := 0
	for _, x := range took {
		n += len(x)
		f.took = append(f.took, x...)
	}
	return float64(n) / lasted.Seconds()
}

func (f *fleet) reset() { f.took, f.server, f.backend = f.took[:0], 0, 0 }

// each is a time by the number of requests, in milliseconds.
func (f *fleet) each(d time.Duration) float64 {
	return d.Seconds() * 1000 / float64(max(len(f.took), 1))
}

// quantile of the times since the last reset.
func (f *fleet) quantile(q float64) time.Duration {
	if len(f.took) == 0 {
		return 0
	}
	slices.Sort(f.took)
	return f.took[min(int(q*float64(len(f.took))), len(f.took)-1)]
}

// slot is how long one target runs before it is the next one's turn.
const slot = 300 * time.Millisecond

// compare runs the targets in turns, one round for each iteration of the
// benchmark, and reports the first one's rate and its ratio to each of the others:
// the median over the rounds, so that what else the machine does falls on all.
func compare(b *testing.B, fleets ...*fleet) {
	b.Helper()
	for _, f := range fleets { // connections, statements and caches are made now
		f.run(b, slot)
		f.reset()
	}
	rates := make([][]float64, len(fleets))
	ratios := make([][]float64, len(fleets))
	for round := 0; b.Loop(); round++ {
		for i := range fleets {
			at := (i + round) % len(fleets)
			rates[at] = append(rates[at], fleets[at].run(b, slot))
		}
		for i := range fleets {
			ratios[i] = append(ratios[i], rates[0][round]/rates[i][round])
		}
	}
	b.ReportMetric(0, "ns/op") // the time of a round says nothing
	b.ReportMetric(median(rates[0]), "req/s")
	b.ReportMetric(float64(fleets[0].quantile(0.99).Microseconds())/1000, "p99-ms")
	report(b, fleets, ratios)
}

// report gives the first one's ratio to each of the others: of rates, and of what
// a request costs of CPU in this process and in PostgreSQL.
func report(b *testing.B, fleets []*fleet, ratios [][]float64) {
	b.Helper()
	us := fleets[0]
	b.ReportMetric(us.each(us.server), "cpu-ms/req")
	b.ReportMetric(us.each(us.backend), "pg-ms/req")
	for i, f := range fleets[1:] {
		b.ReportMetric(median(ratios[i+1]), "x-"+f.name)
		b.ReportMetric(f.each(f.server+f.backend)/us.each(us.server+us.backend), "cpu-x-"+f.name)
	}
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	if len(v) == 0 {
		return 0
	}
	return v[len(v)/2]
}

// answer is what a target answers once, decoded, in a form in which answers of
// different makers are equal: ids as text of ours, moments as moments.
func answer(t testing.TB, f *fleet) (decoded any, size int) {
	t.Helper()
	c := dial(t, f.addr)
	status, err := c.do(f.next(0, 0))
	must(t, err)
	if status != f.want {
		t.Fatalf("%s answered %d: %.500s", f.name, status, c.body.Bytes())
	}
	must(t, json.Unmarshal(c.body.Bytes(), &decoded))
	if m, ok := decoded.(map[string]any); !ok || m["errors"] != nil {
		t.Fatal(errors.New(f.name + " answered " + c.body.String()))
	}
	return normal(decoded), c.body.Len()
}

func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = normal(v[k])
		}
	case []any:
		for i := range v {
			v[i] = normal(v[i])
		}
	case float64:
		return fmt.Sprintf("%.6f", v)
	case string:
		if len(v) == 36 && strings.Count(v, "-") == 4 {
			return prefixed(v)
		}
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return at.UTC().Format(time.RFC3339Nano)
		}
	}
	return v
}
