//go:build unix

package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// place is where a cluster lives and as whom it runs.
type place struct {
	dir  string              // the installation's data folder
	base string              // <dir>/postgres: lock, log, socket and data
	data string              // PostgreSQL's own folder
	cred *syscall.Credential // nil: as ourselves
}

// makePlace makes the folders. PostgreSQL refuses to run as root, so root's
// cluster runs as the user postgres, else nobody.
func makePlace(o ClusterOptions) (p place, err error) {
	dir := o.DataDir
	if dir == "" {
		dir = DefaultDataDir()
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return p, err
	}
	p.base = filepath.Join(dir, "postgres")
	p.data = filepath.Join(p.base, "data")
	if os.Geteuid() == 0 {
		if p.cred, err = unprivileged(); err != nil {
			return p, err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return p, fmt.Errorf("making the data folder: %w; set DATA_DIR to a folder that can be written", err)
	}
	if p.cred != nil {
		if err := open(dir, p.cred); err != nil {
			return p, err
		}
	}
	if err := ownDir(p.base, p.cred); err != nil {
		return p, err
	}
	if o.Ephemeral && p.cred != nil { // the watchdog removes it as that user
		err = os.Chown(dir, int(p.cred.Uid), int(p.cred.Gid))
	}
	p.dir = dir
	return p, err
}

// makeSocketDir chooses the socket's folder when this process is to run the
// cluster. One that was adopted stays: our pools look for the socket there.
func (c *Cluster) makeSocketDir() (err error) {
	if c.dir == "" {
		c.dir = filepath.Join(c.p.base, "socket")
		// The path of a unix socket holds 107 bytes on Linux, 103 on macOS, and
		// the setting is a list with commas.
		if len(c.dir)+len("/.s.PGSQL.")+len(port) > 103 || strings.Contains(c.dir, ",") {
			if c.dir, err = os.MkdirTemp("", "switchboard-"); err != nil {
				return err
			}
			c.temporary = c.dir
		}
	}
	return ownDir(c.dir, c.p.cred)
}

// ownDir makes a folder that only the cluster's user may enter. Root enters anyway.
func ownDir(dir string, cred *syscall.Credential) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the database's folder: %w", err)
	}
	if cred != nil {
		return os.Chown(dir, int(cred.Uid), int(cred.Gid))
	}
	return nil
}

// unprivileged is the user that root's PostgreSQL runs as.
func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && uid != 0 {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{uint32(gid)}}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root and there is neither a user postgres nor nobody; run as another user or set DATABASE_URL")
}

// open lets the cluster's user pass through the data folder, which is ours to
// open, and refuses a place whose parents are closed, such as root's home.
func open(dir string, cred *syscall.Credential) error {
	for d := dir; ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		need := fs.FileMode(0o001)
		switch {
		case st.Uid == cred.Uid:
			need = 0o100
		case st.Gid == cred.Gid:
			need = 0o010
		}
		if info.Mode().Perm()&need == 0 {
			if d != dir {
				return fmt.Errorf("the database runs as user %d, which may not enter %s; set DATA_DIR to a folder outside of it, for instance %s",
					cred.Uid, d, DefaultDataDir())
			}
			if err := os.Chmod(d, info.Mode().Perm()|need); err != nil { // to pass through, not to list
				return err
			}
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}

func realPath(p string) string {
	if r, err := filepath.EvalSymlinks(p); err == nil {
		return r
	}
	return p
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}

// pidFile is what postgres tells about itself in postmaster.pid.
type pidFile struct {
	pid    int
	socket string
	ready  bool
}

// readPidFile reads the file; ok is false as long as it is missing or half written.
func readPidFile(data string) (f pidFile, ok bool) {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return f, false
	}
	lines := strings.Split(string(b), "\n")
	if f.pid, err = strconv.Atoi(strings.TrimSpace(lines[0])); err != nil || f.pid <= 0 {
		return f, false
	}
	if len(lines) > 4 {
		f.socket = lines[4]
	}
	f.ready = len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready"
	return f, true
}

// clearStale makes way for a start. We hold the lock, so a postmaster that still
// lives has lost its process and is told to end; one that is dead, a zombie or
// whose number belongs to somebody else by now leaves files that would make
// postgres refuse.
func clearStale(ctx context.Context, data, socket string) error {
	f, ok := readPidFile(data)
	if ok && runsIn(f.pid, data) {
		_ = syscall.Kill(f.pid, syscall.SIGINT)
		hard := time.Now().Add(10 * time.Second)
		for runsIn(f.pid, data) {
			if time.Now().After(hard) {
				_ = syscall.Kill(f.pid, syscall.SIGQUIT)
				hard = hard.Add(time.Hour)
			}
			if err := pause(ctx, 3*time.Millisecond); err != nil {
				return fmt.Errorf("PostgreSQL with number %d still runs in %s: %w", f.pid, data, err)
			}
		}
	}
	for ok {
		pid := anyRunsIn(data)
		if pid == 0 {
			break
		}
		if err := pause(ctx, 3*time.Millisecond); err != nil {
			return fmt.Errorf("process %d of an earlier PostgreSQL still works in %s: %w", pid, data, err)
		}
	}
	for _, file := range []string{
		filepath.Join(data, "postmaster.pid"),
		filepath.Join(socket, ".s.PGSQL."+port), filepath.Join(socket, ".s.PGSQL."+port+".lock"),
	} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// copyTree copies a data folder and gives it to the user.
func copyTree(from, to string, cred *syscall.Credential) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case e.IsDir():
			err = os.Mkdir(target, 0o700)
		case e.Type().IsRegular():
			err = copyFile(path, target)
		default:
			return fmt.Errorf("%s is neither a file nor a folder", path)
		}
		if err == nil && cred != nil {
			err = os.Chown(target, int(cred.Uid), int(cred.Gid))
		}
		return err
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
