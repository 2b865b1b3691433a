package app_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"switchboard/internal/app"
	"switchboard/internal/config"
	"switchboard/internal/testkit"
)

// production is a configuration that may serve, on a database of the test's own.
func production(t *testing.T) config.Config {
	t.Helper()
	return config.Config{
		Host: "127.0.0.1", PrivateAddr: "127.0.0.1:0", PublicURL: "https://phone.example.com", DataDir: t.TempDir(),
		DatabaseURL: testkit.URL(t), DatabaseMax: 4, BlobURL: "mem://", EventRetention: time.Hour, PostRetention: time.Hour,
		ShutdownTimeout: 5 * time.Second, LogLevel: "error",
	}
}

func TestServeRefusesWhatMustNotServe(t *testing.T) {
	t.Parallel()
	c := production(t)
	c.PublicURL = ""
	if err := app.Serve(t.Context(), c); err == nil || !strings.Contains(err.Error(), "PUBLIC_URL is not set") {
		t.Errorf("without a public address: %v", err)
	}
	c = production(t)
	if err := os.WriteFile(filepath.Join(c.DataDir, "demo"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := app.Serve(t.Context(), c); err == nil || !strings.Contains(err.Error(), "holds the demo") {
		t.Errorf("on the demo's folder: %v", err)
	}
}

func TestServeRunsUntilItIsTold(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	c := production(t)
	go func() { done <- app.Serve(ctx, c) }()
	cancel()
	if err := <-done; err != nil && ctx.Err() == nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestInitFoundsOneOrganizationAndTokenSignsItsPeopleIn(t *testing.T) {
	t.Parallel()
	c := production(t)
	var out bytes.Buffer
	if err := app.Migrate(t.Context(), c, &out); err != nil || !strings.HasPrefix(out.String(), "the database is at ") {
		t.Fatalf("migrate: %v %q", err, out.String())
	}
	out.Reset()
	if err := app.Init(t.Context(), c, &out, "Acme", "boss@acme.test"); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`https://phone\.example\.com/invitation#\S{20,}`).MatchString(out.String()) {
		t.Errorf("no invitation link in %q", out.String())
	}
	if err := app.Init(t.Context(), c, &out, "Acme Two", "boss@acme.test"); err == nil || !strings.Contains(err.Error(), "an organization already") {
		t.Errorf("the second init: %v", err)
	}
	if err := app.Token(t.Context(), c, &out, "nobody@acme.test", ""); err == nil {
		t.Error("a token was given to nobody")
	}
	if err := app.Token(t.Context(), c, &out, "boss@acme.test", "call_nonsense"); err == nil {
		t.Error("a token was given in an organization that is none")
	}
}
