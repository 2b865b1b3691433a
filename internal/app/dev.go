package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"switchboard/internal/clock"
	"switchboard/internal/config"
	"switchboard/internal/db"
	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/tenant"
)

// demoMark is a file that says that a data folder holds the demo: its password
// and Twilio account are known to everybody.
func demoMark(c config.Config) string { return filepath.Join(c.DataDir, "demo") }

// Laptop is the whole product on one machine: server, emulator and demo organization.
type Laptop struct {
	App      *App
	Emulator *emulator.Emulator
	Info     demo.Info

	emulatorServer *http.Server
	emulatorAt     net.Listener
	keep           func() error
}

// historyAge is how long before now the demo's history begins.
const historyAge = 48 * time.Hour

// StartLaptop starts everything; Stop ends it.
func StartLaptop(ctx context.Context, c config.Config, log *slog.Logger) (_ *Laptop, err error) {
	l := &Laptop{}
	defer func() {
		if err != nil {
			l.Stop()
		}
	}()
	if err := os.MkdirAll(c.DataDir, 0o755); err != nil {
		return nil, fmt.Errorf("DATA_DIR cannot be made: %w", err)
	}
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	if c.PrivateAddr == "" {
		c.PrivateAddr = "127.0.0.1:0"
	}
	c.TwilioTest = true
	var at net.Listener
	if at, err = (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.Port))); err != nil {
		return nil, fmt.Errorf("port %d is taken: %w; choose another with PORT", c.Port, err)
	}
	if l.emulatorAt, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		_ = at.Close()
		return nil, err
	}
	if c.PublicURL == "" {
		c.PublicURL = "http://" + net.JoinHostPort(reachable(c.Host), strconv.Itoa(at.Addr().(*net.TCPAddr).Port))
	}
	c.TwilioBaseURL = "http://" + l.emulatorAt.Addr().String()

	// A new demo begins in the past, so that it has a history; then its clock is the machine's.
	past := demo.NewPast(historyAge)
	var clk clock.Clock = past
	if _, err := os.Stat(demoMark(c)); err == nil {
		clk = clock.Real{}
		past = nil
	}
	d, err := db.Open(ctx, databaseOptions(c, clk, log))
	if err != nil {
		_ = at.Close()
		return nil, err
	}
	if l.App, err = New(ctx, c, Options{Clock: clk, Logger: log, DB: d, Listener: at, FetchLoopback: true, MayIntrospect: true}); err != nil {
		d.Close()
		_ = at.Close()
		return nil, err
	}
	l.App.closers = append([]func(){d.Close}, l.App.closers...) // closed last
	if err := l.onlyTheDemo(ctx, c, past != nil); err != nil {
		return nil, err
	}
	l.Emulator = emulator.New(emulator.Options{Clock: clk, Logger: log, BaseURL: c.TwilioBaseURL, Parallel: true, Keep: 2000, KeepMessages: 5000})
	if l.keep, err = emulator.KeepIn(l.Emulator, filepath.Join(c.DataDir, "emulator.json")); err != nil {
		return nil, err
	}
	l.Emulator.Start()
	l.emulatorServer = &http.Server{Handler: l.Emulator, ReadHeaderTimeout: 3 * time.Second}
	go func() { _ = l.emulatorServer.Serve(l.emulatorAt) }()
	if err := l.App.Start(ctx); err != nil {
		return nil, err
	}
	return l, l.settle(ctx, c, past)
}

// onlyTheDemo refuses a database with anything else in it, before a job of it runs:
// the emulator would answer for the Twilio of somebody's real calls.
func (l *Laptop) onlyTheDemo(ctx context.Context, c config.Config, unmarked bool) error {
	founded, err := l.App.Tenants.Any(ctx)
	if err != nil || !founded {
		return err
	}
	isDemo := !unmarked
	if c.DatabaseURL != "" { // the folder's mark says nothing of it
		if isDemo, err = l.App.Sessions.Opens(ctx, demo.Email, demo.Password); err != nil {
			return err
		}
	}
	if !isDemo {
		return errors.New("the database holds an organization that is not the demo: choose another DATABASE_URL or DATA_DIR")
	}
	return nil
}

// settle founds the demo organization the first time and signs in every time.
func (l *Laptop) settle(ctx context.Context, c config.Config, past *demo.Past) error {
	o := demo.Options{
		GraphQLURL: c.PublicURL + "/graphql", Emulator: l.Emulator, EmulatorURL: c.TwilioBaseURL + "/",
		PrivateURL: "http://" + l.App.PrivateAddr().String() + "/", Clock: l.App.Clock,
	}
	founded, err := l.App.Tenants.Any(ctx)
	if err != nil {
		return err
	}
	if founded {
		if past != nil {
			past.Release()
		}
		if l.Info, err = demo.Resume(ctx, o); err != nil {
			return fmt.Errorf("the data folder %s has no demo to go on with: %w; or choose another DATA_DIR", c.DataDir, err)
		}
		return nil
	}
	// Marked before anything is made: a demo that was cut short must not serve either.
	if err := os.WriteFile(demoMark(c), []byte("This folder holds the demo.\n"), 0o600); err != nil {
		return err
	}
	_, first, err := l.App.Tenants.Create(ctx, tenant.Founding{Name: "Demo", AdminEmail: demo.Email, AdminName: "Ada Admin"})
	if err != nil {
		return err
	}
	o.InvitationToken = first.Token
	if l.Info, err = demo.Seed(ctx, o); err != nil {
		return err
	}
	if past != nil {
		past.Release()
	}
	debug.FreeOSMemory() // seeding needs far more than what follows
	return nil
}

// Stop ends everything. It may be called on a Laptop that did not start whole.
func (l *Laptop) Stop() {
	if l.App != nil {
		l.App.Stop()
	}
	if l.Emulator != nil {
		l.Emulator.Stop()
	}
	if l.keep != nil {
		_ = l.keep()
	}
	if l.emulatorServer != nil {
		_ = l.emulatorServer.Close()
	}
	if l.emulatorAt != nil {
		_ = l.emulatorAt.Close()
	}
}

// reachable is an address of this machine for one that means all of them.
func reachable(host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return "127.0.0.1"
	}
	return host
}

// Dev runs the product on this machine until ctx ends.
func Dev(ctx context.Context, c config.Config, out io.Writer, asJSON bool) error {
	if os.Getenv("LOG_LEVEL") == "" {
		c.LogLevel = "warn"
	}
	c.LogJSON = false
	useMemory(laptopMemory)
	begin := time.Now()
	l, err := StartLaptop(ctx, c, newLogger(c))
	if err != nil {
		return err
	}
	defer l.Stop()
	if asJSON {
		line, err := json.Marshal(l.Info)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, string(line))
	} else {
		fmt.Fprint(out, banner(l.Info, time.Since(begin)))
	}
	return l.App.untilDone(ctx)
}

func banner(i demo.Info, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Switchboard is ready (%.1f s).\n\n", took.Seconds())
	fmt.Fprintf(&b, "  GraphQL   %s\n  Emulator  %s\n  Private   %s\n  Sign in   %s / %s\n", i.GraphQLURL, i.EmulatorURL, i.PrivateURL, i.Email, i.Password)
	for _, n := range i.Numbers {
		fmt.Fprintf(&b, "  Number    %s  %s\n", n.E164, n.ID)
	}
	fmt.Fprintf(&b, "  Token     %s\n", i.AccessToken)
	return b.String()
}

// Checklist runs the test of calls and messages against a demo of its own, in a folder that is
// removed afterwards.
func Checklist(ctx context.Context, c config.Config, out io.Writer) error {
	folder, err := os.MkdirTemp("", "switchboard-checklist-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := os.Chmod(folder, 0o755); err != nil { // PostgreSQL runs as somebody else when we are root
		return err
	}
	c.DataDir, c.DatabaseURL, c.Port, c.PrivateAddr, c.Host, c.PublicURL = folder, "", 0, "127.0.0.1:0", "127.0.0.1", ""
	if os.Getenv("LOG_LEVEL") == "" {
		c.LogLevel = "error"
	}
	c.LogJSON = false
	l, err := StartLaptop(ctx, c, newLogger(c))
	if err != nil {
		return err
	}
	defer l.Stop()
	return demo.Checklist(ctx, demo.Options{GraphQLURL: l.Info.GraphQLURL, Emulator: l.Emulator, Clock: l.App.Clock}, out)
}
