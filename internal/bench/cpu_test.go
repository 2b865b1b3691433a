package bench_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cpu is what this process and PostgreSQL under it have used so far: unlike a
// rate, it hardly changes when the machine does something else besides. Without
// /proc it is this process alone.
func cpu() (self, postgres time.Duration) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err == nil {
		self = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	all := processes()
	for pid, p := range all {
		for at := p.parent; p.name == "postgres" && at > 1; at = all[at].parent {
			if at == os.Getpid() {
				postgres += all[pid].used
				break
			}
		}
	}
	return self, postgres
}

// process is one of the machine.
type process struct {
	parent int
	used   time.Duration
	name   string
}

// processes are those of the machine by their number; none without /proc.
func processes() map[int]process {
	all := map[int]process{}
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// pid (name) state ppid …; utime and stime are the 14th and 15th, in hundredths of a second.
		head, rest, ok := strings.Cut(string(b), ") ")
		f := strings.Fields(rest)
		if !ok || len(f) < 15 {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, _ := strconv.Atoi(f[1])
		user, _ := strconv.Atoi(f[11])
		system, _ := strconv.Atoi(f[12])
		_, name, _ := strings.Cut(head, "(")
		all[pid] = process{parent, time.Duration(user+system) * 10 * time.Millisecond, name}
	}
	return all
}
