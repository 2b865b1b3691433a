package bench_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"switchboard/internal/app"
	"switchboard/internal/bench"
	"switchboard/internal/config"
	"switchboard/internal/db"
	"switchboard/internal/demo"
	"switchboard/internal/secret"
	"switchboard/internal/testkit"
)

// connections is how many clients each target has at once.
const connections = 16

// server is the whole server on a seeded database.
type server struct {
	*app.App
	url, token string
}

// start runs the server on the database and signs the administrator of the first organization in.
func start(t testing.TB, s bench.Scale, url string) *server {
	t.Helper()
	srv := open(t, s, url, nil)
	must(t, srv.Start(context.Background()))
	return srv
}

// open is start without anything that runs by itself, so that every statement is that of a request to its Handler.
func open(t testing.TB, s bench.Scale, url string, tracer pgx.QueryTracer) *server {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	d, err := db.Open(context.Background(), db.Options{URL: url, SkipMigrations: true, Logger: quiet, Tracer: tracer})
	must(t, err)
	t.Cleanup(d.Close)
	at, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	keys, err := secret.New()
	must(t, err)
	c := config.Config{
		DataDir: t.TempDir(), PublicURL: "http://" + at.Addr().String(), PrivateAddr: "127.0.0.1:0", BlobURL: "mem://", TwilioTest: true,
		TwilioBaseURL: "http://127.0.0.1:1", DatabaseMax: 16, EventRetention: 72 * time.Hour, PostRetention: 720 * time.Hour, ShutdownTimeout: 10 * time.Second,
	}
	a, err := app.New(context.Background(), c, app.Options{Logger: quiet, DB: d, Keys: keys, Listener: at})
	must(t, err)
	t.Cleanup(a.Stop)
	session, err := a.Sessions.IssueFor(context.Background(), s.AdminEmail(0), s.Organization(0))
	must(t, err)
	return &server{App: a, url: c.PublicURL, token: session.AccessToken}
}

// post is a GraphQL request as bytes.
func (s *server) post(query string, vars demo.Vars) []byte {
	return wire("/graphql", "application/json", marshal(map[string]any{"query": query, "variables": vars}), "Authorization: Bearer "+s.token)
}

// limits is a bare HTTP server beside the real one, over the same database.
func limits(t testing.TB, url string, handlers map[string]func(pool *pgxpool.Pool, w http.ResponseWriter, r *http.Request) error) string {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	must(t, err)
	cfg.MaxConns = connections
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	must(t, err)
	t.Cleanup(pool.Close)
	mux := http.NewServeMux()
	for path, handle := range handlers {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if err := handle(pool, w, r); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	at, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	bare := &http.Server{Handler: mux, ReadHeaderTimeout: 3 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = bare.Serve(at)
	}()
	t.Cleanup(func() {
		_ = bare.Close()
		<-done
	})
	return at.Addr().String()
}

// scale is what benchmarks read: 10,000 calls and messages, or as many as
// SWITCHBOARD_BENCH_CALLS says.
func scale(t testing.TB) bench.Scale {
	n := 10_000
	if v := os.Getenv("SWITCHBOARD_BENCH_CALLS"); v != "" {
		var err error
		n, err = strconv.Atoi(strings.ReplaceAll(v, "_", ""))
		must(t, err)
	}
	return bench.Scale{Organizations: 20, Calls: n, Messages: n}
}

// seeded is the owner's pool on a database of the test's own, filled.
func seeded(t testing.TB, s bench.Scale) (owner *pgxpool.Pool, url string) {
	t.Helper()
	url = testkit.URL(t)
	owner, err := pgxpool.New(context.Background(), url)
	must(t, err)
	t.Cleanup(owner.Close)
	must(t, bench.Seed(context.Background(), owner, s))
	return owner, url
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
