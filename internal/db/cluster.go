package db

import (
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
)

// The names inside a private cluster: the login that owns the database, which
// is no superuser, and the one initdb makes, which is used once.
const (
	ownerLogin = "switchboard"
	superLogin = "postgres"
)

// ClusterOptions say where a private cluster lives and how it runs.
type ClusterOptions struct {
	// DataDir is the folder of the installation; the cluster takes the folder
	// postgres in it. Empty: DefaultDataDir.
	DataDir string
	// Fast turns off what keeps data safe across a power failure.
	Fast bool
	// Ephemeral removes DataDir when the process ends, in any way.
	Ephemeral bool
	// From is a stopped cluster's data folder to copy instead of making a new one.
	From string
	// Logger is told of restarts and downloads; slog.Default when nil.
	Logger *slog.Logger
}

// DefaultDataDir is where an installation keeps its data if nobody says
// otherwise. Root's home is closed to the user PostgreSQL runs as, so root gets
// a system folder.
func DefaultDataDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/switchboard"
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "switchboard-data"
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "switchboard")
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "switchboard")
	}
	return filepath.Join(home, ".local", "share", "switchboard")
}

// socketURL names a database behind a unix socket.
func socketURL(socketDir, login, database string) string {
	q := url.Values{"host": {socketDir}, "user": {login}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: q.Encode()}
	return u.String()
}
