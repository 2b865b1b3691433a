// Package testkit gives tests what production has: a database of their own.
// Only _test packages import it.
package testkit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"switchboard/internal/clock"
	"switchboard/internal/db"
)

// Option changes one database of a test.
type Option func(*db.Options)

// Clock gives the database the test's clock.
func Clock(c clock.Clock) Option { return func(o *db.Options) { o.Clock = c } }

// MaxConns bounds the app pool and each worker pool.
func MaxConns(n int32) Option {
	return func(o *db.Options) { o.MaxConns, o.MaxWorkerConns = n, n }
}

// DB opens a migrated, empty database of the test's own. It is closed and
// dropped when the test ends.
func DB(t testing.TB, opts ...Option) *db.DB {
	t.Helper()
	o := db.Options{URL: URL(t), SkipMigrations: true, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range opts {
		f(&o)
	}
	d, err := db.Open(context.Background(), o)
	if err != nil {
		t.Fatalf("testkit: opening the test's database: %v", err)
	}
	t.Cleanup(d.Close)
	return d
}

// URL is the owner's login to a migrated, empty database of the test's own, for
// whoever opens it himself. It is dropped when the test ends.
func URL(t testing.TB) string {
	t.Helper()
	s, err := theServer()
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	name, err := s.clone(context.Background())
	if err != nil {
		t.Fatalf("testkit: cloning the template: %v", err)
	}
	t.Cleanup(func() {
		if err := s.drop(context.Background(), name); err != nil {
			t.Errorf("testkit: dropping the test's database: %v", err)
		}
	})
	return s.url(name)
}

// AdminURL is a login that may make databases and roles: a superuser, unless the
// server is somebody else's.
func AdminURL(t testing.TB) string {
	t.Helper()
	s, err := theServer()
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return s.admin.Config().ConnString()
}

// Image is the data folder of a stopped cluster with a migrated database, to be
// copied (db.ClusterOptions.From) by tests that run clusters of their own.
func Image(t testing.TB) string {
	t.Helper()
	dir, err := image(t.Context())
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return dir
}

// Main runs a package's tests, stops the cluster and then fails if a goroutine
// is left over:
//
//	func TestMain(m *testing.M) { testkit.Main(m) }
func Main(m *testing.M, ignore ...goleak.Option) {
	code := m.Run()
	if stop := stopServer.Load(); stop != nil {
		(*stop)()
	}
	if code == 0 {
		if err := goleak.Find(ignore...); err != nil {
			fmt.Fprintf(os.Stderr, "testkit: after the tests: %v\n", err)
			code = 1
		}
	}
	os.Exit(code)
}

// stopServer is set once there is a server to stop.
var stopServer atomic.Pointer[func()]

// server is the PostgreSQL of this test process: its own, in memory where
// possible, or the one of TEST_DATABASE_URL or DATABASE_URL.
type server struct {
	admin    *pgxpool.Pool
	url      func(database string) string
	template string
	owner    string // clause of CREATE DATABASE, with its space
	prefix   string
	n        atomic.Int64
}

var theServer = sync.OnceValues(func() (*server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, name := range []string{"TEST_DATABASE_URL", "DATABASE_URL"} {
		if u := os.Getenv(name); u != "" {
			s, err := foreignServer(ctx, u)
			if err != nil {
				err = fmt.Errorf("preparing the server of %s: %w", name, err)
			}
			return s, err
		}
	}
	return ownServer(ctx)
})

// clone copies the template: a tenth of the time that migrating takes.
func (s *server) clone(ctx context.Context) (string, error) {
	name := fmt.Sprintf("%s_%d", s.prefix, s.n.Add(1))
	_, err := s.admin.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s STRATEGY file_copy%s", name, s.template, s.owner))
	return name, err
}

func (s *server) drop(ctx context.Context, name string) error {
	_, err := s.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	return err
}

// ownServer starts a cluster from an image: a stopped cluster with the migrated
// template in it, kept between runs and copied for each process.
func ownServer(ctx context.Context) (*server, error) {
	dir, err := memoryDir()
	if err != nil {
		return nil, err
	}
	start := func() (*db.Cluster, error) {
		image, err := image(ctx)
		if err != nil {
			return nil, err
		}
		c, err := db.StartCluster(ctx, db.ClusterOptions{DataDir: dir, Fast: true, Ephemeral: true, From: image, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			_ = os.RemoveAll(filepath.Dir(image)) // it may be what is wrong; the next attempt makes another
		}
		return c, err
	}
	c, err := start()
	if err != nil {
		c, err = start()
	}
	if err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig(c.AdminURL())
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = 4
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	stop := func() {
		pool.Close()
		c.Stop()
	}
	stopServer.Store(&stop)
	return &server{admin: pool, url: c.URL, template: "switchboard", owner: " OWNER switchboard", prefix: "test"}, nil
}

// image returns the folder of a stopped cluster whose database is migrated,
// made once for each version of the schema.
func image(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = filepath.Join(os.TempDir(), fmt.Sprintf("switchboard-cache-%d", os.Getuid()))
	}
	root := filepath.Join(cache, "switchboard", "test")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", err
	}
	home := filepath.Join(root, db.SchemaVersion())
	if bin := os.Getenv("PG_BIN"); bin != "" { // another version cannot read it
		sum := sha256.Sum256([]byte(bin))
		home += "-" + hex.EncodeToString(sum[:4])
	}
	data := filepath.Join(home, "data")
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		now := time.Now()
		_ = os.Chtimes(home, now, now) // used: prune keeps it
		return data, nil
	}
	lock := flock.New(filepath.Join(root, "lock"))
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return "", err
	}
	defer func() { _ = lock.Unlock() }()
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		return data, nil
	}
	prune(root)
	return data, makeImage(ctx, home)
}

func makeImage(ctx context.Context, home string) (err error) {
	dir, err := memoryDir()
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	quiet := slog.New(slog.DiscardHandler)
	c, err := db.StartCluster(ctx, db.ClusterOptions{DataDir: dir, Fast: true, Logger: quiet})
	if err != nil {
		return err
	}
	d, err := db.Open(ctx, db.Options{URL: c.URL("switchboard"), Logger: quiet})
	if err == nil {
		d.Close()
	}
	c.Stop()
	if err != nil {
		return err
	}
	fresh := home + ".new"
	_ = os.RemoveAll(fresh)
	if err := os.MkdirAll(fresh, 0o700); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(fresh, "data"), os.DirFS(c.DataDir())); err != nil {
		return err
	}
	_ = os.RemoveAll(home)
	return os.Rename(fresh, home)
}

// prune removes images that nobody used for three days: every change of a
// migration makes another.
func prune(root string) {
	entries, _ := os.ReadDir(root)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.IsDir() && time.Since(info.ModTime()) > 72*time.Hour {
			_ = os.RemoveAll(filepath.Join(root, e.Name()))
		}
	}
}

const memoryPrefix = "switchboard-test-"

// memoryDir makes a folder in memory if the system has enough of it, else among
// the temporary files, and removes those that a killed machine left behind.
func memoryDir() (string, error) {
	parent := os.TempDir()
	if shm := sharedMemory(); shm != "" {
		parent = shm
	}
	old, _ := filepath.Glob(filepath.Join(parent, memoryPrefix+"*"))
	for _, d := range old {
		info, err := os.Stat(d)
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		lock := flock.New(filepath.Join(d, "postgres", "lock"))
		if free, err := lock.TryLock(); free || errors.Is(err, os.ErrNotExist) {
			_ = os.RemoveAll(d)
			_ = lock.Unlock()
		}
	}
	dir, err := os.MkdirTemp(parent, memoryPrefix)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755) // PostgreSQL may run as another user
}

// foreignServer uses somebody's server: its login must be able to create
// databases and roles. The template is made once for each version of the schema.
func foreignServer(ctx context.Context, base string) (*server, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	at := func(database string) string {
		v := *u
		v.Path = "/" + database
		return v.String()
	}
	pool, err := pgxpool.New(ctx, base)
	if err != nil {
		return nil, err
	}
	template := "switchboard_test_" + db.SchemaVersion()[:16]
	err = pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		const lock = 0x5357_5445
		if _, err := c.Exec(ctx, "SELECT pg_advisory_lock($1)", lock); err != nil {
			return err
		}
		defer func() { _, _ = c.Exec(ctx, "SELECT pg_advisory_unlock($1)", lock) }()
		return makeTemplate(ctx, c.Conn(), template, at)
	})
	if err != nil {
		pool.Close()
		return nil, err
	}
	stop := pool.Close
	stopServer.Store(&stop)
	unique := sha256.Sum256(fmt.Appendf(nil, "%d %d", os.Getpid(), time.Now().UnixNano()))
	return &server{admin: pool, url: at, template: template, prefix: "switchboard_t_" + hex.EncodeToString(unique[:6])}, nil
}

func makeTemplate(ctx context.Context, c *pgx.Conn, template string, at func(string) string) error {
	var there bool
	if err := c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", template).Scan(&there); err != nil || there {
		return err
	}
	raw := strings.Replace(template, "test", "raw", 1) // renamed when it is complete
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + raw, "CREATE DATABASE " + raw + " TEMPLATE template0 ENCODING 'UTF8'"} {
		if _, err := c.Exec(ctx, sql); err != nil {
			return err
		}
	}
	d, err := db.Open(ctx, db.Options{URL: at(raw), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	d.Close()
	_, err = c.Exec(ctx, "ALTER DATABASE "+raw+" RENAME TO "+template)
	return err
}
