package db_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/testkit"
)

// childDir makes this binary a process that opens the private cluster in the
// folder and waits to be killed.
const childDir = "SWITCHBOARD_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	testkit.Main(m)
}

func child(dir string) {
	c, err := db.StartCluster(context.Background(), db.ClusterOptions{
		DataDir: dir, From: os.Getenv(childDir + "_FROM"), Ephemeral: os.Getenv(childDir+"_EPHEMERAL") != "", Logger: quiet})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(c.URL("switchboard"))
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // for ever, or until the parent is gone
	c.Stop()
}

// startChild returns the running process and the URL of its cluster.
func startChild(t *testing.T, dir string, env ...string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(append(os.Environ(), childDir+"="+dir), env...)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "postgres://") {
		t.Fatalf("the child said %q, %v", line, err)
	}
	return cmd, strings.TrimSpace(line)
}

var quiet = slog.New(slog.DiscardHandler)

// connect opens one plain connection; the test closes it.
func connect(t *testing.T, u string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func exec1(t *testing.T, c *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// withLogin is the URL with another login and database.
func withLogin(t *testing.T, base, login, database string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + database
	q := u.Query()
	q.Set("user", login)
	u.RawQuery = q.Encode()
	return u.String()
}

// notes is a database with one tenant table of the test's own and two tenants.
type notes struct {
	*db.DB
	url  string
	a, b id.ID
}

func openNotes(t *testing.T, change ...func(*db.Options)) notes {
	t.Helper()
	u := testkit.URL(t)
	owner := connect(t, u)
	exec1(t, owner, `CREATE TABLE note (
		organization_id uuid NOT NULL,
		id uuid NOT NULL,
		body text NOT NULL DEFAULT '',
		at timestamptz NOT NULL DEFAULT '2026-01-01Z',
		PRIMARY KEY (organization_id, id),
		CONSTRAINT note_body_key UNIQUE (organization_id, body)
	)`)
	exec1(t, owner, "CALL tenant_table('note')")
	o := db.Options{URL: u, SkipMigrations: true, Logger: quiet}
	for _, f := range change {
		f(&o)
	}
	d, err := db.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return notes{DB: d, url: u, a: id.New(id.Organization), b: id.New(id.Organization)}
}

const insertNote = "INSERT INTO note (organization_id, id, body) VALUES ($1, $2, $3)"

func (r notes) add(t *testing.T, org id.ID, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if _, err := db.Exec(t.Context(), r.Worker(), insertNote, org, id.New(id.Record), body); err != nil {
			t.Fatal(err)
		}
	}
}

func (r notes) bodies(t *testing.T, ctx context.Context) []string {
	t.Helper()
	got := []string{}
	if err := db.Select(ctx, r.App(), &got, "SELECT body FROM note ORDER BY body"); err != nil {
		t.Fatal(err)
	}
	return got
}
