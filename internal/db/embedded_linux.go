package db

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// spawn starts postgres so that the kernel interrupts it when we die. The
// signal follows the thread that forked, not the process: that thread is kept
// for as long as postgres runs.
func spawn(s spawning) (*postmaster, error) {
	if s.remove != "" {
		return spawnWatched(s) // somebody must remove the folder afterwards
	}
	p := &postmaster{exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		cmd := exec.Command(s.args[0], s.args[1:]...)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, s.log, s.log
		// A group of its own, or Ctrl-C in a terminal stops it before we have drained.
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Setpgid: true, Pdeathsig: syscall.SIGINT}
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.pid = cmd.Process.Pid
		started <- nil
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, <-started
}

// runsIn reports whether the process is a living postgres that works in the
// data folder. A process that nobody reaps is a zombie and does not live.
func runsIn(pid int, data string) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	if i := bytes.LastIndexByte(stat, ')'); i < 0 || len(stat) < i+3 || stat[i+2] == 'Z' || stat[i+2] == 'X' {
		return false
	}
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && cwd == realPath(data)
}

// anyRunsIn returns a process that works in the data folder: backends outlive
// a killed postmaster for a moment and must be gone before the next start.
func anyRunsIn(data string) (pid int) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	want := realPath(data)
	for _, l := range links {
		if cwd, err := os.Readlink(l); err == nil && cwd == want {
			pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(l)))
			if runsIn(pid, data) {
				return pid
			}
		}
	}
	return 0
}
