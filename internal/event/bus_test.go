package event_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/testkit"
)

// natsServer speaks as much of NATS' protocol as core publish and subscribe need
// (docs.nats.io, "Client Protocol"). It can lose, double and garble messages.
type natsServer struct {
	l     net.Listener
	mu    sync.Mutex // guards the rest
	conns map[net.Conn]map[string]string
	wrong func(n int) (copies int, garbled bool)
	n     int
	wg    sync.WaitGroup
}

func newNATS(t *testing.T) *natsServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &natsServer{l: l, conns: map[net.Conn]map[string]string{}}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.kick()
		s.wg.Wait()
	})
	return s
}

func (s *natsServer) url() string { return "nats://" + s.l.Addr().String() }

// kick ends all connections.
func (s *natsServer) kick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

func (s *natsServer) subscribers() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, subs := range s.conns {
		n += len(subs)
	}
	return n
}

func (s *natsServer) serve(c net.Conn) {
	s.mu.Lock()
	s.conns[c] = map[string]string{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		_ = c.Close()
	}()
	fmt.Fprintf(c, "INFO {\"server_id\":\"T\",\"version\":\"2.15.2\",\"proto\":1,\"max_payload\":1048576,\"headers\":false}\r\n")
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		switch strings.ToUpper(f[0]) {
		case "PING":
			s.write(c, "PONG\r\n")
		case "SUB":
			s.mu.Lock()
			s.conns[c][f[1]] = f[len(f)-1]
			s.mu.Unlock()
		case "PUB":
			n, err := strconv.Atoi(f[len(f)-1])
			if err != nil {
				return
			}
			body := make([]byte, n+2)
			if _, err := io.ReadFull(r, body); err != nil {
				return
			}
			s.publish(c, f[1], string(body[:n]))
		}
	}
}

func (s *natsServer) write(c net.Conn, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = io.WriteString(c, text)
}

func (s *natsServer) publish(from net.Conn, subject, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	copies := 1
	if s.wrong != nil {
		var garbled bool
		if copies, garbled = s.wrong(s.n); garbled {
			body = body[:len(body)/2]
		}
	}
	s.n++
	for c, subs := range s.conns {
		if sid, ok := subs[subject]; ok && c != from { // NoEcho
			for range copies {
				_, _ = fmt.Fprintf(c, "MSG %s %s %d\r\n%s\r\n", subject, sid, len(body), body)
			}
		}
	}
}

func TestEventsCrossNodesByTheBus(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	s := newNATS(t)
	org := id.New(id.Organization)
	// No sweep comes within the test: only the bus can bring what one node stamps to the other.
	a := start(t, newLog(t, d, event.Options{NATS: s.url(), Sweep: time.Hour}))
	b := start(t, newLog(t, d, event.Options{NATS: s.url(), Sweep: time.Hour}))
	until(t, "both nodes listen", func() bool { return s.subscribers() == 2 })
	inA, inB := subscribe(t, a, org, ""), subscribe(t, b, org, "")
	for i := range 50 {
		add(t, d, org, "n", i)
	}
	for i := range 50 {
		if x, y := next(t, inA), next(t, inB); number(t, x) != i || y.ID != x.ID || !y.At.Equal(x.At) || string(y.Data) == "" || y.Seq != x.Seq {
			t.Fatalf("event %d is %+v here and %+v there", i, x, y)
		}
	}
	if ca, cb := a.Counters(), b.Counters(); ca.Received+cb.Received == 0 || ca.Stamped+cb.Stamped != 50 {
		t.Errorf("counters %+v and %+v", ca, cb)
	}
}

func TestABusThatLosesDoublesGarblesAndBreaksLosesNothing(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	s := newNATS(t)
	s.wrong = func(n int) (int, bool) { return []int{0, 1, 2, 1}[n%4], n%7 == 3 }
	org := id.New(id.Organization)
	a := start(t, newLog(t, d, event.Options{NATS: s.url(), Sweep: 10 * time.Millisecond}))
	b := start(t, newLog(t, d, event.Options{NATS: s.url(), Sweep: 10 * time.Millisecond}))
	until(t, "both nodes listen", func() bool { return s.subscribers() == 2 })
	inA, inB := subscribe(t, a, org, ""), subscribe(t, b, org, "")
	for i := range 60 {
		if i == 30 {
			s.kick()
		}
		add(t, d, org, "n", i)
	}
	for i := range 60 {
		if x, y := next(t, inA), next(t, inB); number(t, x) != i || number(t, y) != i {
			t.Fatalf("event %d is %d here and %d there", i, number(t, x), number(t, y))
		}
	}
}

func TestABusThatIsDownHoldsNothingUp(t *testing.T) {
	t.Parallel()
	d := testkit.DB(t)
	l := start(t, newLog(t, d, event.Options{NATS: "nats://127.0.0.1:1"}))
	org := id.New(id.Organization)
	s := subscribe(t, l, org, "")
	add(t, d, org, "n", 1)
	if got := number(t, next(t, s)); got != 1 {
		t.Errorf("got %d", got)
	}
}
