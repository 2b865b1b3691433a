package bench_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// laptop is the product as `go run . dev` starts it, in a process of its own.
type laptop struct {
	GraphQLURL, EmulatorURL, AccessToken, AccountSID, AuthToken string
	Numbers                                                     []struct{ E164, VoiceURL string }

	process *os.Process
}

func startLaptop(t testing.TB) *laptop {
	t.Helper()
	folder, err := os.MkdirTemp("", "switchboard-bench-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	must(t, os.Chmod(folder, 0o755)) // PostgreSQL runs as somebody else when we are root
	binary := filepath.Join(folder, "switchboard")
	if out, err := exec.Command("go", "build", "-o", binary, "switchboard").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	dev := exec.Command(binary, "dev", "--json")
	dev.Env = append(os.Environ(), "PORT=0", "DATA_DIR="+filepath.Join(folder, "data"), "DATABASE_URL=", "GOGC=", "GOMEMLIMIT=", "LOG_LEVEL=error")
	dev.Stderr = os.Stderr
	stdout, err := dev.StdoutPipe()
	must(t, err)
	must(t, dev.Start())
	t.Cleanup(func() {
		_ = dev.Process.Signal(syscall.SIGTERM)
		_ = dev.Wait()
	})
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(stdout).ReadString('\n')
		line <- text
	}()
	l := &laptop{process: dev.Process}
	select {
	case text := <-line:
		if err := json.Unmarshal([]byte(text), l); err != nil || len(l.Numbers) == 0 {
			t.Fatalf("dev says %q: %v", text, err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("dev is not ready after two minutes")
	}
	return l
}

// resident is what the process holds of memory, in megabytes.
func (l *laptop) resident(t testing.TB, field string) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.process.Pid))
	must(t, err)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			must(t, err)
			return float64(kb) / 1024
		}
	}
	t.Fatalf("/proc has no %s", field)
	return 0
}

// BenchmarkMemory starts the built binary with `dev` and reports its resident memory
// when it is ready, and the peaks before that and during callbacks over 16 connections.
func BenchmarkMemory(b *testing.B) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		b.Skip("there is no /proc to read a process's memory from")
	}
	l := startLaptop(b)
	ready, most := l.resident(b, "VmRSS"), l.resident(b, "VmHWM")
	must(b, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", l.process.Pid), []byte("5"), 0)) // the load has a peak of its own
	u, err := url.Parse(l.GraphQLURL)
	must(b, err)
	calls := &ringing{public: "http://" + u.Host, accountSID: l.AccountSID, token: l.AuthToken, begin: time.Now().UTC()}
	calls.number, calls.voice = l.Numbers[0].E164, path(b, l.Numbers[0].VoiceURL)
	calls.made.Store(time.Now().Unix() << 16) // SIDs that the demo's history does not have
	v := &volleys{ringing: calls, door: dial(b, u.Host)}
	f := newFleet(target{name: "dev", addr: u.Host, next: v.next, want: http.StatusNoContent})
	var rates []float64
	for b.Loop() {
		n := v.load(b, 10)
		rates = append(rates, f.volley(b, n))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ready, "MB-ready")
	b.ReportMetric(most, "MB-start-peak")
	b.ReportMetric(l.resident(b, "VmHWM"), "MB-load-peak")
	b.ReportMetric(median(rates), "req/s")
}
