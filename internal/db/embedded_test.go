//go:build unix

package db_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/testkit"
)

// dataDir is a folder that the database's user can reach; t.TempDir is closed to it.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "switchboard-dbtest-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func start(t *testing.T, o db.ClusterOptions) *db.Cluster {
	t.Helper()
	o.Logger = quiet
	c, err := db.StartCluster(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never happened: %s", what)
		}
	}
}

func postmasterPid(t *testing.T, data string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func answers(u string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, u)
	if err != nil {
		return false
	}
	defer c.Close(ctx)
	return c.Ping(ctx) == nil
}

func TestANewFolderBecomesAMigratedDatabaseAndStaysOne(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "postgres", "data.new", "base"), 0o755); err != nil { // an interrupted initdb
		t.Fatal(err)
	}
	for range 2 {
		d, err := db.Open(t.Context(), db.Options{DataDir: dir, Fast: true, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		var who struct {
			Login, App string
			Super      bool
			Letters    string
		}
		err = db.Select(t.Context(), d.App(), &who, "SELECT session_user::text AS login, current_user::text AS app, rolsuper AS super, lower('ÀÉ') AS letters FROM pg_roles WHERE rolname = session_user")
		if err != nil || who.Login != "switchboard" || who.App != "switchboard_app" || who.Super || who.Letters != "àé" {
			t.Errorf("%+v, %v", who, err)
		}
		d.Close()
		d.Close() // may be called twice
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres", "data.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("data.new is still there: %v", err)
	}
}

func TestPostgresEndsWithItsProcess(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		why   string
		kill9 bool // the postmaster, too
	}{
		"the process is killed":         {"postgres shuts down in order", false},
		"the process and postgres both": {"postgres recovers at the next start", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := dataDir(t)
			child, u := startChild(t, dir, childDir+"_FROM="+testkit.Image(t))
			conn := connect(t, u)
			exec1(t, conn, "CREATE TABLE system.kept (n int)")
			exec1(t, conn, "INSERT INTO system.kept VALUES (1)")
			data := filepath.Join(dir, "postgres", "data")
			pid := postmasterPid(t, data)

			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if c.kill9 {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					t.Fatal(err)
				}
			}
			_ = child.Wait()
			eventually(t, "postgres is gone", func() bool { return !answers(u) })

			after := start(t, db.ClusterOptions{DataDir: dir})
			var n int
			if err := connect(t, after.URL("switchboard")).QueryRow(t.Context(), "SELECT n FROM system.kept").Scan(&n); err != nil || n != 1 {
				t.Errorf("%s: row %d, %v", c.why, n, err)
			}
		})
	}
}

func TestAnEphemeralClusterLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	child, u := startChild(t, dir, childDir+"_FROM="+testkit.Image(t), childDir+"_EPHEMERAL=1")
	if !answers(u) {
		t.Fatal("no answer")
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the folder is gone", func() bool { _, err := os.Stat(dir); return errors.Is(err, os.ErrNotExist) })
}

func TestASecondProcessAdoptsTheClusterAndTakesOver(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	child, u := startChild(t, dir, childDir+"_FROM="+testkit.Image(t))
	second := start(t, db.ClusterOptions{DataDir: dir})
	if second.URL("switchboard") != u {
		t.Errorf("adopted %s, want %s", second.URL("switchboard"), u)
	}
	third := start(t, db.ClusterOptions{DataDir: dir})
	third.Stop()
	if !answers(u) {
		t.Fatal("a process that adopted the cluster stopped it")
	}
	pid := postmasterPid(t, second.DataDir())
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second process runs the cluster", func() bool { return answers(u) && postmasterPid(t, second.DataDir()) != pid })
}

func TestThePoolsSurviveAPostgresThatDies(t *testing.T) {
	t.Parallel()
	c := start(t, db.ClusterOptions{DataDir: dataDir(t), From: testkit.Image(t), Fast: true})
	d, err := db.Open(t.Context(), db.Options{URL: c.URL("switchboard"), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	pid := postmasterPid(t, c.DataDir())
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "queries are answered again", func() bool {
		err := db.Select(t.Context(), d.App(), new(int), "SELECT 1")
		if err != nil && errs.CodeOf(err) != errs.Unavailable {
			t.Errorf("while it is down: %v", err)
		}
		// The pid file of the dead one may still stand: a new number is the proof.
		b, _ := os.ReadFile(filepath.Join(c.DataDir(), "postmaster.pid"))
		return err == nil && len(b) > 0 && !strings.HasPrefix(string(b), fmt.Sprint(pid)+"\n")
	})
}

func TestStaleFilesDoNotStopAStart(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	c := start(t, db.ClusterOptions{DataDir: dir, From: testkit.Image(t), Fast: true})
	u := c.URL("switchboard")
	c.Stop()
	socket := filepath.Join(dir, "postgres", "socket")
	// The number is alive, but it is ours: numbers come around.
	for file, text := range map[string]string{
		filepath.Join(c.DataDir(), "postmaster.pid"): fmt.Sprintf("%d\n%s\n1\n5432\n%s\n\n1 1\nready   \n", os.Getpid(), c.DataDir(), socket),
		filepath.Join(socket, ".s.PGSQL.5432.lock"):  fmt.Sprintf("%d\n%s\n1\n5432\n%s\n", os.Getpid(), c.DataDir(), socket),
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	start(t, db.ClusterOptions{DataDir: dir, Fast: true})
	if !answers(u) {
		t.Error("no answer")
	}
}

// A postmaster whose process is gone must not keep the next one from starting.
func TestAnOrphanIsToldToEnd(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	c := start(t, db.ClusterOptions{DataDir: dir, From: testkit.Image(t), Fast: true})
	u := c.URL("switchboard")
	c.Stop()
	command, err := os.ReadFile(filepath.Join(c.DataDir(), "postmaster.opts")) // quoted for a shell
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(c.DataDir())
	if err != nil {
		t.Fatal(err)
	}
	orphan := exec.Command("/bin/sh", "-c", "exec "+string(command))
	orphan.Dir, orphan.SysProcAttr = "/", &syscall.SysProcAttr{}
	if st := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 {
		orphan.SysProcAttr.Credential = &syscall.Credential{Uid: st.Uid, Gid: st.Gid}
	}
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- orphan.Wait() }()
	eventually(t, "the orphan answers", func() bool { return answers(u) })

	start(t, db.ClusterOptions{DataDir: dir, Fast: true})
	if err := <-ended; err != nil {
		t.Errorf("the orphan did not shut down in order: %v", err)
	}
	if pid := postmasterPid(t, c.DataDir()); pid == orphan.Process.Pid || !answers(u) {
		t.Errorf("the new cluster has number %d, the orphan %d", pid, orphan.Process.Pid)
	}
}

func TestALongFolderHasItsSocketElsewhere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(dataDir(t), strings.Repeat("long,", 30))
	c := start(t, db.ClusterOptions{DataDir: dir, From: testkit.Image(t), Fast: true})
	if !answers(c.URL("switchboard")) {
		t.Error("no answer")
	}
	u, err := url.Parse(c.URL("x"))
	if err != nil {
		t.Fatal(err)
	}
	c.Stop()
	if _, err := os.Stat(u.Query().Get("host")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's folder stays behind: %v", err)
	}
}

func TestWhatCannotStartSaysWhatToDo(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, dir, name, text string) {
		t.Helper()
		file := filepath.Join(dir, "postgres", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	closed := "the folder is closed to the database's user"
	for name, c := range map[string]struct {
		why  string
		make func(t *testing.T, dir string) string
		want string
	}{
		"other version": {"only the version that made the data reads it", func(t *testing.T, dir string) string {
			write(t, dir, "data/PG_VERSION", "9\n")
			return dir
		}, "was made by PostgreSQL 9"},
		"no folder": {"a file is in the way", func(t *testing.T, dir string) string {
			write(t, dir, "file", "")
			return filepath.Join(dir, "postgres", "file")
		}, "DATA_DIR"},
		closed: {"root's postgres is another user", func(t *testing.T, dir string) string {
			if os.Geteuid() != 0 {
				t.Skip("only root runs PostgreSQL as another user")
			}
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			return filepath.Join(dir, "below")
		}, "/var/lib/switchboard"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := db.StartCluster(t.Context(), db.ClusterOptions{DataDir: c.make(t, dataDir(t)), Logger: quiet})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", c.why, err)
			}
		})
	}
}

func TestADataFolderOfOursIsOpenedForTheDatabasesUser(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(dataDir(t), "private")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := start(t, db.ClusterOptions{DataDir: dir, From: testkit.Image(t), Fast: true})
	if !answers(c.URL("switchboard")) {
		t.Error("no answer")
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o066 != 0 {
		t.Errorf("the folder can be listed by others: %v, %v", info.Mode(), err)
	}
}

// Managed databases give a login that may make roles and nothing more.
func TestALoginWithCreateroleIsEnough(t *testing.T) {
	t.Parallel()
	c := start(t, db.ClusterOptions{DataDir: dataDir(t), From: testkit.Image(t), Fast: true})
	admin := connect(t, c.AdminURL())
	for name, x := range map[string]struct {
		why, options string
		prepare      []string
		want         string // "" when it works
	}{
		"maker": {"it makes the roles itself", "CREATEROLE", nil, ""},
		"given": {"an administrator made and granted them", "NOCREATEROLE", []string{
			"CREATE ROLE given_app", "CREATE ROLE given_worker", "GRANT given_app, given_worker TO given"}, ""},
		"poor": {"it has neither", "NOCREATEROLE", nil, "CREATE ROLE"},
	} {
		exec1(t, admin, fmt.Sprintf("CREATE ROLE %s LOGIN NOSUPERUSER NOBYPASSRLS %s", name, x.options))
		exec1(t, admin, fmt.Sprintf("CREATE DATABASE %s OWNER %s TEMPLATE template0", name, name))
		for _, sql := range x.prepare {
			exec1(t, admin, sql)
		}
		u := withLogin(t, c.AdminURL(), name, name)
		for range 2 { // the second time there is nothing to migrate
			d, err := db.Open(t.Context(), db.Options{URL: u, Logger: quiet})
			if err == nil {
				var role string
				err = db.Select(t.Context(), d.Worker(), &role, "SELECT current_user::text")
				if role != name+"_worker" {
					t.Errorf("%s: the worker is %s", name, role)
				}
				d.Close()
			}
			if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
				t.Errorf("%s (%s): %v", name, x.why, err)
			}
		}
	}
}

func TestProcessesThatMigrateAtOnceDoItOnce(t *testing.T) {
	t.Parallel()
	c := start(t, db.ClusterOptions{DataDir: dataDir(t), From: testkit.Image(t), Fast: true})
	exec1(t, connect(t, c.AdminURL()), "CREATE DATABASE fresh OWNER switchboard TEMPLATE template0")
	failed := make(chan error)
	for range 4 {
		go func() {
			d, err := db.Open(t.Context(), db.Options{URL: c.URL("fresh"), Logger: quiet})
			if err == nil {
				d.Close()
			}
			failed <- err
		}()
	}
	for range 4 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
