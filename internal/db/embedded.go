//go:build unix

package db

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/jackc/pgx/v5"
)

// Cluster is a private PostgreSQL on a unix socket. The process that holds the
// lock runs it and starts it again if it ends; others adopt it and take over
// when the lock becomes free. It ends with the process that runs it.
type Cluster struct {
	o    ClusterOptions
	p    place
	bin  string
	log  *slog.Logger
	lock *flock.Flock

	quit chan struct{} // closed by Stop
	done chan struct{} // closed when watch has ended
	once sync.Once

	dir       string // the socket's folder; constant after StartCluster
	temporary string // the same if it is to be removed in the end

	mu sync.Mutex  // guards pm
	pm *postmaster // nil while another process runs the cluster
}

// startTimeout allows for crash recovery; a clean start takes 30 ms.
const startTimeout = 60 * time.Second

// StartCluster starts the private cluster of the data folder, making it first if
// there is none, or adopts it if another process runs it already. The error is a
// sentence that says what to install or set.
func StartCluster(ctx context.Context, o ClusterOptions) (*Cluster, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	p, err := makePlace(o)
	if err != nil {
		return nil, err
	}
	c := &Cluster{o: o, p: p, log: o.Logger, lock: flock.New(filepath.Join(p.base, "lock")), quit: make(chan struct{}), done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		mine, err := c.lock.TryLock()
		if err != nil {
			return nil, fmt.Errorf("locking the database's folder %s: %w", p.base, err)
		}
		if mine {
			if err := c.start(ctx); err != nil {
				_ = c.lock.Unlock()
				return nil, err
			}
			break
		}
		if dir, ok := c.adopt(ctx); ok {
			c.dir = dir
			break
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return nil, fmt.Errorf("another process holds the database's folder %s and its PostgreSQL does not become ready: %w", p.base, err)
		}
	}
	go c.watch()
	return c, nil
}

// URL is the owner's login to a database of the cluster.
func (c *Cluster) URL(database string) string { return socketURL(c.dir, ownerLogin, database) }

// AdminURL is the superuser's login, for tests that make databases.
func (c *Cluster) AdminURL() string { return socketURL(c.dir, superLogin, "template1") }

// DataDir is PostgreSQL's own folder.
func (c *Cluster) DataDir() string { return c.p.data }

// Stop ends the cluster if this process runs it. It blocks until that is done
// and may be called more than once.
func (c *Cluster) Stop() {
	c.once.Do(func() { close(c.quit) })
	<-c.done
}

// adopt returns the socket of the cluster that another process runs, once it is ready.
func (c *Cluster) adopt(ctx context.Context) (string, bool) {
	f, ok := readPidFile(c.p.data)
	if !ok || !f.ready || f.socket == "" {
		return "", false
	}
	conn, err := pgx.Connect(ctx, socketURL(f.socket, ownerLogin, ownerLogin))
	if err != nil {
		return "", false
	}
	_ = conn.Close(ctx)
	return f.socket, true
}

// start makes the cluster if need be and runs it. The lock is held.
func (c *Cluster) start(ctx context.Context) (err error) {
	version, err := os.ReadFile(filepath.Join(c.p.data, "PG_VERSION"))
	fresh := errors.Is(err, os.ErrNotExist)
	if err != nil && !fresh {
		return fmt.Errorf("reading the database's folder: %w", err)
	}
	if c.bin == "" {
		if c.bin, err = findBinaries(ctx, strings.TrimSpace(string(version)), c.log); err != nil {
			return err
		}
	}
	if fresh {
		if err := c.create(ctx); err != nil {
			return err
		}
	}
	if err := c.makeSocketDir(); err != nil {
		return err
	}
	if !fresh {
		if err := clearStale(ctx, c.p.data, c.dir); err != nil {
			return err
		}
	}
	pm, err := c.spawn(ctx)
	if err != nil {
		return err
	}
	if err := c.furnish(ctx); err != nil {
		pm.end(c.o.Ephemeral)
		return err
	}
	c.mu.Lock()
	c.pm = pm
	c.mu.Unlock()
	return nil
}

// create makes a new cluster beside its place and moves it there, so that an
// interrupted initdb is never taken for a cluster.
func (c *Cluster) create(ctx context.Context) error {
	fresh := c.p.data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if c.o.From != "" {
		if err := copyTree(c.o.From, fresh, c.p.cred); err != nil {
			return fmt.Errorf("copying a prepared database: %w", err)
		}
		return os.Rename(fresh, c.p.data)
	}
	args := []string{"-D", fresh, "-U", superLogin, "-A", "trust", "-E", "UTF8", "--no-instructions", "--data-checksums"}
	if c.o.Fast {
		args = append(args, "--no-sync", "--wal-segsize=1")
	}
	out, err := c.initdb(ctx, append(args, locale(ctx, c.bin)...))
	if err != nil && ctx.Err() == nil {
		// The system lacks the locale: order by code point, letters of ASCII only.
		_ = os.RemoveAll(fresh)
		out, err = c.initdb(ctx, append(args, "--locale=C"))
	}
	if err != nil {
		return fmt.Errorf("%s could not make a database in %s: %s", filepath.Join(c.bin, "initdb"), c.p.base, explain(out, err))
	}
	if err := os.Rename(fresh, c.p.data); err != nil {
		return err
	}
	if !c.o.Fast {
		return syncDir(c.p.base)
	}
	return nil
}

func (c *Cluster) initdb(ctx context.Context, args []string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, "initdb"), args...)
	cmd.Dir, cmd.Env = c.p.base, environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.p.cred, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// locale chooses an order that does not change with the system's library and
// knows letters beyond ASCII.
func locale(ctx context.Context, bin string) []string {
	if v, _ := majorVersion(ctx, bin); v >= 17 {
		return []string{"--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"}
	}
	return []string{"--locale=C.UTF-8"}
}

func environment() []string {
	// Messages in English, nothing from PG* variables of somebody's shell.
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
}

// settings are PostgreSQL's for one machine that it shares with us.
func (c *Cluster) settings() []string {
	s := map[string]string{
		"listen_addresses":        "",
		"unix_socket_directories": c.dir,
		"unix_socket_permissions": "0700",
		"port":                    port,
		"max_connections":         "100",
		"shared_buffers":          "64MB",
		"max_wal_size":            "512MB",
		"wal_compression":         "on",
		"max_worker_processes":    "4",
		"autovacuum_max_workers":  "2",
		"random_page_cost":        "1.1",
		"jit":                     "off",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"lc_messages":             "C",
		"logging_collector":       "off",
		"log_checkpoints":         "off",
		"log_line_prefix":         "%m [%p] ",
		"log_min_error_statement": "panic", // bun writes values into statements: no personal data in the log
	}
	if c.o.Fast {
		for k, v := range map[string]string{
			"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off",
			"wal_level": "minimal", "max_wal_senders": "0", "max_connections": "250", "shared_buffers": "48MB",
			"max_wal_size": "2GB", "wal_compression": "off", "checkpoint_timeout": "1h", "bgwriter_lru_maxpages": "0",
		} {
			s[k] = v
		}
	}
	args := []string{filepath.Join(c.bin, "postgres"), "-D", c.p.data}
	for k, v := range s {
		args = append(args, "-c", k+"="+v)
	}
	return args
}

// spawn runs postgres and waits until it takes connections.
func (c *Cluster) spawn(ctx context.Context) (*postmaster, error) {
	logPath := filepath.Join(c.p.base, "postgres.log")
	if info, err := os.Stat(logPath); err == nil && info.Size() > 8<<20 {
		_ = os.Rename(logPath, logPath+".old")
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	begin, _ := log.Seek(0, 2)

	pm, err := spawn(spawning{args: c.settings(), dir: c.p.base, env: environment(), log: log, cred: c.p.cred, remove: c.remove()})
	if err != nil {
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	for wait := 2 * time.Millisecond; ; {
		if f, ok := readPidFile(c.p.data); ok && f.ready {
			pm.pid = f.pid
			return pm, nil
		}
		select {
		case <-pm.exited:
			return nil, fmt.Errorf("PostgreSQL did not start: %s", tail(logPath, begin))
		case <-ctx.Done():
			pm.end(true)
			return nil, fmt.Errorf("PostgreSQL did not become ready: %w; see %s", ctx.Err(), logPath)
		case <-time.After(wait):
			wait = min(wait+wait/8+1, 50*time.Millisecond)
		}
	}
}

// remove is the folder to remove in the end, or nothing.
func (c *Cluster) remove() string {
	if c.o.Ephemeral {
		return c.p.dir
	}
	return ""
}

// furnish makes the owner's login and its database in a new cluster. The owner
// is no superuser, so that a laptop is like production.
func (c *Cluster) furnish(ctx context.Context) error {
	mark := filepath.Join(c.p.data, "switchboard")
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	conn, err := pgx.Connect(ctx, c.AdminURL())
	if err != nil {
		return fmt.Errorf("connecting to the new database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, q := range []struct{ unless, do string }{
		{"SELECT FROM pg_roles WHERE rolname = '" + ownerLogin + "'", "CREATE ROLE " + ownerLogin + " LOGIN CREATEROLE CREATEDB"},
		// The database that initdb made becomes ours: no time and disk for another.
		{"SELECT FROM pg_database WHERE datname = '" + ownerLogin + "'", "ALTER DATABASE postgres RENAME TO " + ownerLogin},
		{"SELECT FROM pg_database WHERE datdba = '" + ownerLogin + "'::regrole AND datname = '" + ownerLogin + "'",
			"ALTER DATABASE " + ownerLogin + " OWNER TO " + ownerLogin},
	} {
		tag, err := conn.Exec(ctx, q.unless)
		if err == nil && tag.RowsAffected() == 0 {
			_, err = conn.Exec(ctx, q.do)
		}
		if err != nil {
			return fmt.Errorf("furnishing the new database: %w", err)
		}
	}
	return os.WriteFile(mark, []byte("furnished\n"), 0o644)
}

// watch keeps the cluster running until Stop.
func (c *Cluster) watch() {
	defer close(c.done)
	for {
		c.mu.Lock()
		pm := c.pm
		c.mu.Unlock()
		if pm == nil {
			if !c.takeOver() {
				return
			}
			continue
		}
		select {
		case <-c.quit:
			pm.end(c.o.Ephemeral)
			if c.temporary != "" {
				_ = os.RemoveAll(c.temporary)
			}
			_ = c.lock.Unlock()
			return
		case <-pm.exited:
			c.log.Error("PostgreSQL ended by itself; starting it again", "error", pm.err, "log", filepath.Join(c.p.base, "postgres.log"))
			if !c.restart() {
				return
			}
		}
	}
}

// takeOver waits for the lock of the process that runs the cluster and then
// runs it. It returns false when Stop was called.
func (c *Cluster) takeOver() bool {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-c.quit:
			return false
		case <-tick.C:
			if mine, err := c.lock.TryLock(); err != nil || !mine {
				continue
			}
			c.log.Info("the process that ran PostgreSQL ended; this one runs it now")
			return c.restart()
		}
	}
}

// restart starts the cluster until that succeeds. It returns false when Stop was called.
func (c *Cluster) restart() bool {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-c.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	c.mu.Lock()
	c.pm = nil
	c.mu.Unlock()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		attempt, end := context.WithTimeout(ctx, startTimeout)
		err := c.start(attempt)
		end()
		if err == nil {
			return true
		}
		if pause(ctx, wait) != nil {
			_ = c.lock.Unlock()
			return false
		}
		c.log.Error("PostgreSQL does not start; trying again", "error", err)
	}
}

// postmaster is a postgres that this process started.
type postmaster struct {
	pid    int
	exited chan struct{} // closed after err is set
	err    error
	hang   func() // ends the watchdog's pipe; nil without one
}

// end shuts down: fast, or at once when nothing is worth keeping.
func (p *postmaster) end(now bool) {
	select {
	case <-p.exited: // its number may be somebody else's by now
		return
	default:
	}
	sig := syscall.SIGINT
	if now {
		sig = syscall.SIGQUIT
	}
	if p.hang != nil {
		p.hang()
	} else if p.pid > 0 {
		_ = syscall.Kill(p.pid, sig)
	}
	select {
	case <-p.exited:
		return
	case <-time.After(15 * time.Second):
	}
	if p.pid > 0 {
		_ = syscall.Kill(p.pid, syscall.SIGQUIT)
	}
	<-p.exited
}

type spawning struct {
	args   []string
	dir    string
	env    []string
	log    *os.File
	cred   *syscall.Credential
	remove string // a folder to remove when postgres has ended
}

// watchdog runs a program and interrupts it when its own standard input ends,
// which it does when we die in whatever way. $1 is the signal, $2 a folder to
// remove at the end or nothing.
const watchdog = `sig=$1 dir=$2; shift 2
exec 3<&0
"$@" 3<&- </dev/null & p=$!
{ while read -r _ <&3; do :; done; kill -"$sig" $p; } & w=$!
exec 3<&-
trap '' INT TERM HUP
wait $p; s=$?
kill $w 2>/dev/null
[ -z "$dir" ] || rm -rf "$dir"
exit $s`

// spawnWatched starts postgres under the watchdog.
func spawnWatched(s spawning) (*postmaster, error) {
	sig := "INT"
	if s.remove != "" {
		sig = "QUIT"
	}
	cmd := exec.Command("/bin/sh", append([]string{"-c", watchdog, "sh", sig, s.remove}, s.args...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = "/", s.env, s.log, s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Setpgid: true}
	in, err := cmd.StdinPipe() // open for life; its end is ours
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &postmaster{exited: make(chan struct{}), hang: func() { _ = in.Close() }}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// port only names the socket; nothing listens on a network.
const port = "5432"

// explain makes one line of what a program printed.
func explain(out string, err error) string {
	lines := strings.FieldsFunc(out, func(r rune) bool { return r == '\n' })
	for _, l := range lines {
		if strings.Contains(l, "could not look up effective user ID") {
			return "the user " + strconv.Itoa(os.Geteuid()) + " has no entry in /etc/passwd, which PostgreSQL needs; set DATABASE_URL to a PostgreSQL that runs elsewhere"
		}
	}
	if len(lines) > 3 {
		lines = lines[len(lines)-3:]
	}
	if len(lines) == 0 {
		return err.Error()
	}
	return strings.Join(lines, "; ")
}

// tail is the end of the log since offset, in one line.
func tail(path string, offset int64) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil {
		offset = max(offset, info.Size()-2048)
	}
	b := make([]byte, 2048)
	n, _ := f.ReadAt(b, offset)
	return explain(string(b[:n]), errors.New("see "+path))
}
