// Package stage is the whole server on a database and a clock of its own, with the
// emulator as its Twilio, for tests that speak to it as users and Twilio do.
package stage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/app"
	"switchboard/internal/clock"
	"switchboard/internal/config"
	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/secret"
	"switchboard/internal/tenant"
	"switchboard/internal/testkit"
)

// The Twilio account of a stage.
const (
	AccountSID = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	AuthToken  = "0123456789abcdef0123456789abcdef"
)

// Stage is the whole server with the emulator as its Twilio, on a database and a
// clock of its own. Everything goes over real HTTP.
type Stage struct {
	T        testing.TB
	App      *app.App
	Emulator *emulator.Emulator
	Clock    *clock.Fake
	URL      string // of the server, without a path
	Admin    *demo.Client

	OrganizationID string
	ConnectionID   string
	// AccountSID is the organization's account at the emulator, once a number is there.
	AccountSID string
	domain     string // of its people's e-mail
}

// Option changes how a stage is set.
type Option func(*settings)

type settings struct {
	emulator emulator.Options
	config   func(*config.Config)
	db       []testkit.Option
	start    time.Time
	log      io.Writer
}

// WithLog writes everything that the server logs, at every level.
func WithLog(w io.Writer) Option { return func(o *settings) { o.log = w } }

// WithEmulator changes the emulator's options.
func WithEmulator(change func(*emulator.Options)) Option {
	return func(o *settings) { change(&o.emulator) }
}

// WithConfig changes the server's configuration.
func WithConfig(change func(*config.Config)) Option {
	return func(o *settings) { o.config = change }
}

// Start is where a stage's clock stands at first.
var Start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// New starts a stage with an organization and its administrator signed in as
// admin@stage.test. The stage is torn down with the test.
func New(t testing.TB, options ...Option) *Stage {
	t.Helper()
	o := settings{start: Start, emulator: emulator.Options{RecordingDelay: -1, MessageDelay: -1, Seed: 1}}
	for _, option := range options {
		option(&o)
	}
	clk := clock.NewFake(o.start)
	log := slog.New(testLog(t))
	if o.log != nil {
		log = slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	d := testkit.DB(t, append(o.db, testkit.Clock(clk))...)

	at, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &Stage{T: t, Clock: clk, URL: "http://" + at.Addr().String()}

	o.emulator.Clock, o.emulator.Logger = clk, log
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Emulator.ServeHTTP(w, r) }))
	o.emulator.BaseURL = "http://" + front.Listener.Addr().String()
	s.Emulator = emulator.New(o.emulator)
	s.Emulator.Start()
	front.Start()

	c := config.Config{
		DataDir: t.TempDir(), PublicURL: s.URL, PrivateAddr: "127.0.0.1:0", BlobURL: "mem://", TwilioTest: true, TwilioBaseURL: o.emulator.BaseURL,
		DatabaseMax: 16, EventRetention: 72 * time.Hour, PostRetention: 720 * time.Hour, ShutdownTimeout: 10 * time.Second,
	}
	if o.config != nil {
		o.config(&c)
	}
	keys, err := secret.New()
	must(t, err)
	s.App, err = app.New(t.Context(), c, app.Options{Clock: clk, Logger: log, DB: d, Keys: keys, Listener: at, FetchLoopback: true})
	must(t, err)
	must(t, s.App.Start(t.Context()))
	t.Cleanup(func() {
		s.App.Stop()
		s.Emulator.Stop()
		front.Close()
	})

	s.AccountSID = AccountSID
	s.found("Stage")
	return s
}

// found makes the stage's organization and signs its administrator in.
func (s *Stage) found(name string) {
	s.T.Helper()
	s.domain = strings.ToLower(name) + ".test"
	org, first, err := s.App.Tenants.Create(s.T.Context(), tenant.Founding{Name: name, DefaultCountry: "US", AdminEmail: "admin@" + s.domain, AdminName: "Ada"})
	must(s.T, err)
	s.OrganizationID = org.ID.String()
	s.Admin = s.Accept(first.Token)
}

// Another is another organization on the same server, with an account of its own at
// the emulator and its administrator signed in as admin@<name>.test.
func (s *Stage) Another(name string) *Stage {
	s.T.Helper()
	sum := sha256.Sum256([]byte(name))
	o := *s
	o.ConnectionID, o.AccountSID = "", "AC"+hex.EncodeToString(sum[:16])
	o.found(name)
	return &o
}

// GraphQL is the address of /graphql.
func (s *Stage) GraphQL() string { return s.URL + "/graphql" }

// Password is the password of everybody on a stage.
const Password = "correct horse battery"

// Accept accepts an invitation and signs in.
func (s *Stage) Accept(invitation string) *demo.Client {
	s.T.Helper()
	c := demo.NewClient(s.GraphQL(), "")
	var out struct {
		InvitationAccept struct {
			Session struct{ AccessToken string }
		}
	}
	s.Must(c.Do(s.T.Context(), `mutation($t: String!, $p: String!) { invitationAccept(input: {token: $t, password: $p}) {
		session { accessToken } userErrors { code field message } } }`, demo.Vars{"t": invitation, "p": Password}, &out))
	s.T.Cleanup(c.Close)
	return c.As(out.InvitationAccept.Session.AccessToken)
}

// SignIn signs a user of the stage in anew; the name is the one given to User.
func (s *Stage) SignIn(name string) *demo.Client {
	s.T.Helper()
	c, err := demo.SignIn(s.T.Context(), s.GraphQL(), name+"@"+s.domain, Password)
	must(s.T, err)
	s.T.Cleanup(c.Close)
	return c
}

// Must fails the test on an error.
func (s *Stage) Must(err error) {
	s.T.Helper()
	must(s.T, err)
}

// Do runs a GraphQL operation as the administrator; any error fails the test.
func (s *Stage) Do(query string, vars demo.Vars, out any) {
	s.T.Helper()
	must(s.T, s.Admin.Do(s.T.Context(), query, vars, out))
}

// Role is the id of a built-in role, such as FIELDWORKER.
func (s *Stage) Role(builtIn string) string {
	s.T.Helper()
	var out struct {
		Roles []struct{ ID, BuiltIn string }
	}
	s.Do(`{ roles { id builtIn } }`, nil, &out)
	for _, r := range out.Roles {
		if r.BuiltIn == builtIn {
			return r.ID
		}
	}
	s.T.Fatalf("there is no role %s", builtIn)
	return ""
}

// Person is a user of a stage, signed in.
type Person struct {
	ID     string
	Client *demo.Client
}

// User makes a user with a built-in role, signed in. The phone may be "".
func (s *Stage) User(name, role, phone string, branches ...string) Person {
	s.T.Helper()
	input := demo.Vars{"email": name + "@" + s.domain, "name": name, "roleId": s.Role(role), "branchIds": branches}
	if phone != "" {
		input["phones"] = []demo.Vars{{"number": phone, "isPrimary": true}}
	}
	var out struct {
		UserCreate struct {
			User       struct{ ID string }
			Invitation struct{ Token string }
		}
	}
	s.Do(`mutation($i: UserCreateInput!) { userCreate(input: $i) { user { id } invitation { token } userErrors { code field message } } }`,
		demo.Vars{"i": input}, &out)
	return Person{ID: out.UserCreate.User.ID, Client: s.Accept(out.UserCreate.Invitation.Token)}
}

// Branch makes a branch.
func (s *Stage) Branch(name string) string {
	s.T.Helper()
	var out struct {
		BranchCreate struct{ Branch struct{ ID string } }
	}
	s.Do(`mutation($n: String!) { branchCreate(input: {name: $n}) { branch { id } userErrors { code field message } } }`, demo.Vars{"n": name}, &out)
	return out.BranchCreate.Branch.ID
}

// Device registers a web device of a person, here and at the emulator, and gives its
// id. The account must be connected: put a Number on the stage before.
func (s *Stage) Device(p Person, name string) string {
	s.T.Helper()
	return s.DeviceOn(p, name, "WEB")
}

// DeviceOn is Device on a platform: WEB, IOS or ANDROID.
func (s *Stage) DeviceOn(p Person, name, platform string) string {
	s.T.Helper()
	var out struct {
		DeviceRegister struct {
			Device     struct{ ID string }
			VoiceToken struct{ Token, Identity string }
		}
	}
	must(s.T, p.Client.Do(s.T.Context(), `mutation($n: String!, $p: DevicePlatform!) { deviceRegister(input: {name: $n, platform: $p}) {
		device { id } voiceToken { token identity } userErrors { code field message } } }`, demo.Vars{"n": name, "p": platform}, &out))
	_, err := s.Emulator.RegisterToken(out.DeviceRegister.VoiceToken.Token)
	must(s.T, err)
	return out.DeviceRegister.Device.ID
}

// Number puts a number into the emulator's account and connects it: the first one
// makes the connection, the others come by import and are enabled. It gives the number's id.
func (s *Stage) Number(e164 string, settings demo.Vars) string {
	s.T.Helper()
	ctx := s.T.Context()
	var id string
	if s.ConnectionID == "" {
		must(s.T, s.Emulator.AddAccount(s.AccountSID, AuthToken, "Full"))
	}
	must(s.T, s.App.Jobs.Drain(ctx)) // an import that runs already would not see the number
	sid, err := s.Emulator.AddNumber(s.AccountSID, emulator.NumberSpec{E164: e164})
	must(s.T, err)
	if s.ConnectionID == "" {
		var out struct {
			TwilioConnectionCreate struct {
				TwilioConnection, PhoneNumber struct{ ID string }
			}
		}
		must(s.T, s.Admin.Do(ctx, `mutation($i: TwilioConnectionCreateInput!) { twilioConnectionCreate(input: $i) {
			twilioConnection { id } phoneNumber { id } userErrors { code field message } } }`, demo.Vars{"i": demo.Vars{
			"name": "Stage", "accountSid": s.AccountSID, "authToken": AuthToken, "phoneNumber": e164, "phoneNumberSid": sid}}, &out))
		s.ConnectionID, id = out.TwilioConnectionCreate.TwilioConnection.ID, out.TwilioConnectionCreate.PhoneNumber.ID
	} else {
		s.Do(`mutation($c: ID!) { twilioConnectionImport(id: $c) { userErrors { code field message } } }`, demo.Vars{"c": s.ConnectionID}, nil)
		must(s.T, s.App.Jobs.Drain(ctx))
		var out struct {
			PhoneNumbers struct{ Nodes []struct{ ID, E164 string } }
		}
		s.Do(`{ phoneNumbers(first: 100) { nodes { id e164 } } }`, nil, &out)
		for _, n := range out.PhoneNumbers.Nodes {
			if n.E164 == e164 {
				id = n.ID
			}
		}
	}
	if settings == nil {
		settings = demo.Vars{}
	}
	settings["isEnabled"] = true
	s.Do(`mutation($n: ID!, $i: PhoneNumberUpdateInput!) { phoneNumberUpdate(id: $n, input: $i) { userErrors { code field message } } }`,
		demo.Vars{"n": id, "i": settings}, nil)
	return id
}

// Settle waits until the emulator is quiet and every job and sweep that is due has run.
func (s *Stage) Settle() {
	s.T.Helper()
	ctx, cancel := context.WithTimeout(s.T.Context(), 20*time.Second)
	defer cancel()
	for range 3 {
		must(s.T, s.Emulator.WaitIdle(ctx))
		must(s.T, s.App.Jobs.Drain(ctx))
		must(s.T, s.App.Jobs.RunSweeps(ctx))
		must(s.T, s.App.Jobs.Drain(ctx))
	}
}

// Pass moves the clock from one timer of the emulator to the next, so that
// everything happens at its time.
func (s *Stage) Pass(d time.Duration) {
	s.T.Helper()
	ctx, cancel := context.WithTimeout(s.T.Context(), 20*time.Second)
	defer cancel()
	must(s.T, s.Emulator.Advance(ctx, d))
}

// PassSettling is Pass in steps, with every job and sweep that is due after each.
func (s *Stage) PassSettling(d, step time.Duration) {
	s.T.Helper()
	for ; d > 0; d -= step {
		s.Pass(min(d, step))
		s.Settle()
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testLog keeps the server's warnings with the test that caused them.
func testLog(t testing.TB) slog.Handler {
	return slog.NewTextHandler(logWriter{t: t, over: onceOver(t)}, &slog.HandlerOptions{Level: slog.LevelWarn})
}

type logWriter struct {
	t    testing.TB
	over *sync.Map
}

func onceOver(t testing.TB) *sync.Map {
	m := &sync.Map{}
	t.Cleanup(func() { m.Store("over", true) })
	return m
}

// Write logs a line while the test runs.
func (w logWriter) Write(b []byte) (int, error) {
	if _, over := w.over.Load("over"); !over {
		w.t.Log(string(b))
	}
	return len(b), nil
}
