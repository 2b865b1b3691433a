//go:build unix && !linux

package db

import (
	"os/exec"
	"strconv"
	"strings"
)

// spawn starts postgres under the watchdog: this system has no signal for the
// death of a parent.
func spawn(s spawning) (*postmaster, error) { return spawnWatched(s) }

// runsIn reports whether the process is a postmaster of the data folder.
func runsIn(pid int, data string) bool {
	out, err := exec.Command("ps", "-o", "stat=,args=", "-p", strconv.Itoa(pid)).Output()
	line := string(out)
	return err == nil && !strings.HasPrefix(strings.TrimSpace(line), "Z") &&
		strings.Contains(line, "postgres") && strings.Contains(line, "-D "+data)
}

// anyRunsIn cannot be told here; PostgreSQL finds backends by its shared memory.
func anyRunsIn(string) int { return 0 }
