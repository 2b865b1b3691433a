package app_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"switchboard/internal/app"
	"switchboard/internal/config"
	"switchboard/internal/demo"
	"switchboard/internal/testkit"
)

// serverEnv makes this test binary be the server, as `switchboard serve` is.
const serverEnv = "SWITCHBOARD_STORY_SERVER"

// beTheServer serves by the environment, and never returns, where a story asks for it.
func beTheServer() {
	if os.Getenv(serverEnv) == "" {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, err := config.Load()
	if err == nil {
		err = app.Serve(ctx, c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// process is a server in a process of its own, which a story kills and starts again.
type process struct {
	t      *testing.T
	url    string
	env    []string
	cmd    *exec.Cmd
	stderr bytes.Buffer
	exited chan struct{}
}

// start starts the server and waits until it is ready.
func (p *process) start() (took time.Duration) {
	p.t.Helper()
	begun := time.Now()
	p.stderr.Reset()
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(p.cmd, p.exited)
	for time.Since(begun) < 60*time.Second {
		r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+"/readyz", nil)
		if err != nil {
			p.t.Fatal(err)
		}
		if res, err := http.DefaultTransport.RoundTrip(r); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return time.Since(begun)
			}
		}
		select {
		case <-p.exited:
			p.t.Fatalf("the server died: %s", p.stderr.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	p.t.Fatalf("the server is not ready: %s", p.stderr.String())
	return 0
}

// kill ends it in a way that it cannot prepare for.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// stop asks it to end, so that a database of its own is closed too.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.kill()
		p.t.Error("the server did not stop when told")
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// The server is killed again and again while people write, at any moment, also between
// a commit and its publishing: what was acknowledged is there, once, and a subscriber
// that comes back with its cursor hears of each write once and in order.
func TestAKilledServerLosesNothingThatItAcknowledged(t *testing.T) {
	for name, x := range map[string]struct {
		database func(*testing.T) string
		rounds   int
	}{
		"on somebody's PostgreSQL":             {func(t *testing.T) string { return testkit.URL(t) }, 4},
		"with its own, which dies with it too": {func(*testing.T) string { return "" }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killing(t, x.database(t), x.rounds)
		})
	}
}

// reachable is a folder that PostgreSQL reaches as the user it becomes.
func reachable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "switchboard-story-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func killing(t *testing.T, database string, rounds int) {
	t.Helper()
	seed := rand.Uint64()
	chance := rand.New(rand.NewPCG(seed, 12))
	port := freePort(t)
	dir := reachable(t)
	p := &process{t: t, url: "http://127.0.0.1:" + strconv.Itoa(port)}
	p.env = []string{
		serverEnv + "=1", "HOST=127.0.0.1", "PORT=" + strconv.Itoa(port), "PRIVATE_ADDR=127.0.0.1:0", "PUBLIC_URL=" + p.url, "TWILIO_TEST=true",
		"DATA_DIR=" + dir, "DATABASE_URL=" + database, "LOG_LEVEL=error",
	}
	var out bytes.Buffer
	c := config.Config{
		PublicURL: p.url, DataDir: dir, DatabaseURL: database, DatabaseMax: 4, BlobURL: "mem://", EventRetention: time.Hour, PostRetention: time.Hour, LogLevel: "error",
	}
	if err := app.Init(t.Context(), c, &out, "Acme", "boss@acme.test"); err != nil {
		t.Fatal(err)
	}
	_, invitation, _ := strings.Cut(strings.TrimSpace(out.String()), "invitation#")
	p.start()
	defer p.stop()
	who := demo.NewClient(p.url+"/graphql", "")
	defer who.Close()
	var in struct {
		InvitationAccept struct{ Session struct{ AccessToken string } }
	}
	if err := who.Do(t.Context(), `mutation($t: String!) { invitationAccept(input: {token: $t, password: "correct horse battery"}) { session { accessToken } userErrors { code message } } }`,
		demo.Vars{"t": invitation}, &in); err != nil {
		t.Fatal(err)
	}
	who = who.As(in.InvitationAccept.Session.AccessToken)
	last, err := who.Cursor(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	var mu sync.Mutex // guards what follows
	tried, kept := map[string]bool{}, map[string]bool{}
	create := func(name string) error {
		return who.Do(ctx, `mutation($n: String!) { contactCreate(input: {kind: CUSTOMER, name: $n}) { contact { id } userErrors { code message } } }`, demo.Vars{"n": name}, nil)
	}
	heard, seen := map[string]int{}, map[string]bool{} // by name, and by event
	hear := func(until string) {
		s, err := who.Watch(ctx, eventsQuery, demo.Vars{"after": last, "types": []string{"CONTACT_UPDATED"}})
		switch {
		case err != nil && until == "":
			return // killed before it could open
		case err != nil:
			t.Fatalf("seed %d: the subscriber cannot come back: %v", seed, err)
		}
		defer s.Stop()
		for {
			var x struct{ Events fact }
			if err := s.Next(ctx, &x); err != nil {
				if until != "" {
					t.Fatalf("seed %d: before %s was heard of: %v", seed, until, err)
				}
				return // the server was killed
			}
			if seen[x.Events.ID] {
				t.Errorf("seed %d: the event %s came twice", seed, x.Events.ID)
			}
			seen[x.Events.ID], last = true, x.Events.Seq
			heard[x.Events.Contact.Name]++
			if x.Events.Contact.Name == until {
				return
			}
		}
	}
	for round := range rounds {
		dead := make(chan struct{})
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-dead:
						return
					default:
					}
					name := fmt.Sprintf("%d-%d-%d", round, w, n)
					mu.Lock()
					tried[name] = true
					mu.Unlock()
					if create(name) != nil {
						return
					}
					mu.Lock()
					kept[name] = true
					mu.Unlock()
				}
			})
		}
		writers.Go(func() { hear("") })
		select {
		case <-time.After(time.Duration(100+chance.IntN(400)) * time.Millisecond):
		case <-ctx.Done():
		}
		p.kill()
		close(dead)
		writers.Wait()
		t.Logf("round %d: ready again after %v", round, p.start())
	}
	if err := create("the end"); err != nil {
		t.Fatal(err)
	}
	hear("the end")
	for name := range kept {
		if heard[name] != 1 {
			t.Errorf("seed %d: the acknowledged write %s was heard of %d times", seed, name, heard[name])
		}
	}
	delete(heard, "the end")
	for name, n := range heard {
		if n != 1 || !tried[name] {
			t.Errorf("seed %d: %s was heard of %d times, tried %v", seed, name, n, tried[name])
		}
	}
	if len(kept) < 10*rounds {
		t.Errorf("only %d writes were acknowledged", len(kept))
	}
	t.Logf("%d writes tried, %d acknowledged, %d heard of", len(tried), len(kept), len(heard))
	stored, after := 0, ""
	for {
		var page struct {
			Contacts struct {
				Nodes    []ref
				PageInfo struct {
					HasNextPage bool
					EndCursor   string
				}
			}
		}
		vars := demo.Vars{"a": nil}
		if after != "" {
			vars["a"] = after
		}
		if err := who.Do(ctx, `query($a: String) { contacts(first: 100, after: $a) { nodes { id name } pageInfo { hasNextPage endCursor } } }`, vars, &page); err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Contacts.Nodes {
			if c.Name != "the end" && heard[c.Name] != 1 {
				t.Errorf("seed %d: %s is stored and was never heard of", seed, c.Name)
			}
			stored++
		}
		if after = page.Contacts.PageInfo.EndCursor; !page.Contacts.PageInfo.HasNextPage {
			break
		}
	}
	if stored != len(heard)+1 {
		t.Errorf("seed %d: %d contacts are stored and %d were heard of", seed, stored, len(heard)+1)
	}
}
