package app_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"switchboard/internal/app"
	"switchboard/internal/config"
	"switchboard/internal/demo"
	"switchboard/internal/session"
	"switchboard/internal/tenant"
)

// found makes an organization whose administrator has taken up the invitation.
func found(t *testing.T, c config.Config, email, password string) {
	t.Helper()
	a, err := app.New(t.Context(), c, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	_, first, err := a.Tenants.Create(t.Context(), tenant.Founding{Name: "Acme", AdminEmail: email})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Sessions.Accept(t.Context(), session.Acceptance{Token: first.Token, Password: password}); err != nil {
		t.Fatal(err)
	}
}

// The demo's password is in the README. A database that it opens does not serve,
// whatever folder stands beside it.
func TestServeRefusesTheDemosDatabase(t *testing.T) {
	t.Parallel()
	c := production(t)
	found(t, c, demo.Email, demo.Password)
	c.DataDir = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), patience) // one that serves would go on
	defer cancel()
	if err := app.Serve(ctx, c); err == nil || !strings.Contains(err.Error(), "holds the demo") {
		t.Errorf("on the demo's database: %v", err)
	}
}

// The emulator never stands in for the Twilio of somebody's real calls.
func TestDevRefusesADatabaseThatIsNotTheDemos(t *testing.T) {
	t.Parallel()
	c := production(t)
	found(t, c, "boss@acme.test", "correct horse battery")
	c.PublicURL, c.BlobURL = "", ""
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l, err := app.StartLaptop(ctx, c, slog.New(slog.DiscardHandler))
	if err == nil {
		l.Stop()
	}
	if err == nil || !strings.Contains(err.Error(), "not the demo") {
		t.Errorf("dev on a database of somebody's: %v", err)
	}
	var out bytes.Buffer
	if err := app.Token(t.Context(), c, &out, "boss@acme.test", ""); err != nil {
		t.Errorf("the organization was touched: %v", err)
	}
}

// A proxy may take off the path under which the public sees us, or leave it on.
func TestAPublicAddressMayHaveAPath(t *testing.T) {
	t.Parallel()
	c := production(t)
	c.PublicURL = "https://example.com/phone/"
	a, err := app.New(t.Context(), c, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	for path, want := range map[string]int{"/healthz": 200, "/phone/healthz": 200, "/phonehealthz": 404, "/phone/phone/healthz": 404, "/phone/graphql?query={__typename}": 200} {
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
}
