package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/demo"
	"switchboard/internal/testkit/stage"
)

// transports are the two ways to subscribe.
var transports = map[string]func(ctx context.Context, c *demo.Client, query string, vars demo.Vars) (*demo.Stream, error){
	"WebSocket": func(ctx context.Context, c *demo.Client, query string, vars demo.Vars) (*demo.Stream, error) {
		return c.Watch(ctx, query, vars)
	},
	"SSE": func(ctx context.Context, c *demo.Client, query string, vars demo.Vars) (*demo.Stream, error) {
		return c.WatchSSE(ctx, query, vars)
	},
}

// A client that is cut again and again and comes back with its last cursor has every
// event once and in order.
func TestACutSubscriptionResumesWithoutGapOrRepeat(t *testing.T) { // B03
	seed := rand.Uint64()
	for name, open := range transports {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t, nil)
			chance := rand.New(rand.NewPCG(seed, uint64(len(name))))
			after := g.cursor()
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()

			made := make(chan error, 1)
			const calls, contacts = 4, 40
			go func() { // the world goes on meanwhile
				for n := range contacts {
					err := g.Admin.Do(ctx, `mutation($n: String!) { contactCreate(input: {kind: CUSTOMER, name: $n}) { userErrors { code field message } } }`,
						demo.Vars{"n": fmt.Sprintf("Contact %02d", n)}, nil)
					if err == nil && n%(contacts/calls) == 0 {
						var sid string
						if sid, err = g.Emulator.PlaceCall(customer, officeNumber); err == nil {
							err = g.Emulator.WaitIdle(ctx)
						}
						if err == nil {
							err = g.Emulator.HangUp(sid)
						}
					}
					if err != nil {
						made <- err
						return
					}
				}
				made <- g.Emulator.WaitIdle(ctx)
			}()

			var got []string
			last, cuts := after, 0
			for done := false; !done; {
				s, err := open(ctx, g.Admin, eventsQuery, demo.Vars{"after": last})
				if err != nil {
					t.Fatalf("seed %d: after %d cuts: %v", seed, cuts, err)
				}
				for range 1 + chance.IntN(12) {
					var out struct{ Events fact }
					if err := s.Next(ctx, &out); err != nil {
						t.Fatalf("seed %d: after %d events and %d cuts: %v", seed, len(got), cuts, err)
					}
					last = out.Events.Seq
					if out.Events.Type == "UserUpdated" { // of the stage being set
						continue
					}
					got = append(got, out.Events.ID+" "+out.Events.Type)
					if c := out.Events.Contact; c != nil && c.Name == fmt.Sprintf("Contact %02d", contacts-1) {
						done = true
						break
					}
				}
				s.Stop() // the rest of what was sent is lost
				cuts++
			}
			if err := <-made; err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, f := range g.facts(g.Admin, after) {
				want = append(want, f.ID+" "+f.Type)
			}
			if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
				t.Errorf("seed %d: with %d cuts (-uninterrupted +cut)\n%s", seed, cuts, cmp.Diff(want, got))
			}
			if len(got) < contacts+calls || cuts < 4 {
				t.Errorf("only %d events and %d cuts", len(got), cuts)
			}
		})
	}
}

const liveQuery = `subscription($after: Cursor) { liveCalls(after: $after) {
	... on LiveCallsSnapshot { cursor calls { id status version } } ... on LiveCallChanged { cursor call { id status version twilioSid } } } }`

type liveUpdate struct {
	LiveCalls struct {
		Cursor string
		Calls  []callView
		Call   *callView
	}
}

// A dashboard that was away sees what changed meanwhile, and no snapshot.
func TestALiveDashboardResumesWhereItStopped(t *testing.T) {
	for name, open := range transports {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t, nil)
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			first := g.dial(customer, officeNumber)
			s, err := open(ctx, g.Admin, liveQuery, nil)
			g.Must(err)
			var u liveUpdate
			g.Must(s.Next(ctx, &u))
			if len(u.LiveCalls.Calls) != 1 || u.LiveCalls.Calls[0].Status != "RINGING" {
				t.Fatalf("the snapshot is %+v", u.LiveCalls)
			}
			shown := u.LiveCalls.Calls[0]
			s.Stop()
			after := u.LiveCalls.Cursor

			g.answer(g.web)
			g.Pass(secs(3))
			g.hangUp(first)
			second := g.dial("+12025550198", officeNumber)
			end := g.call(first)

			s, err = open(ctx, g.Admin, liveQuery, demo.Vars{"after": after})
			g.Must(err)
			defer s.Stop()
			version := shown.Version
			sawEnd := false
			for {
				var u liveUpdate
				g.Must(s.Next(ctx, &u))
				c := u.LiveCalls.Call
				if c == nil {
					t.Fatalf("a snapshot although the place was given: %+v", u.LiveCalls)
				}
				if c.ID == shown.ID {
					if c.Version < version {
						t.Errorf("version %d after %d", c.Version, version)
					}
					version, sawEnd = c.Version, c.Status == "COMPLETED"
				}
				if c.TwilioSid == second && sawEnd {
					break
				}
			}
			if version != end.Version {
				t.Errorf("the last version shown is %d, the call has %d", version, end.Version)
			}
		})
	}
}

// streamEnds waits for the end of a stream that says nothing more.
func streamEnds(t *testing.T, s *demo.Stream) error {
	t.Helper()
	select {
	case raw, more := <-s.C():
		if more {
			t.Errorf("the stream said %s", raw)
		}
	case <-time.After(5 * time.Second):
		t.Error("the stream did not end within 5 s")
	}
	return s.Err()
}

// What ends a right ends the streams that live by it, at once, and they cannot be
// opened again.
func TestStreamsEndWithTheRightThatTheyLiveBy(t *testing.T) {
	type ending struct {
		claim string
		end   func(g *group, who stage.Person) // of ann, a dispatcher
		code  string                           // of a new attempt
	}
	for _, x := range []ending{
		{"the session ends", func(g *group, who stage.Person) {
			g.Must(who.Client.Do(g.t.Context(), `mutation { sessionEnd { userErrors { code field message } } }`, nil, nil))
		}, "UNAUTHENTICATED"},
		{"the user is disabled", func(g *group, who stage.Person) {
			g.Do(`mutation($u: ID!) { userDisable(id: $u) { userErrors { code field message } } }`, demo.Vars{"u": who.ID}, nil)
		}, "UNAUTHENTICATED"},
		{"the role is lowered", func(g *group, who stage.Person) {
			g.change(who, demo.Vars{"roleId": g.Role("FIELDWORKER")})
		}, "FORBIDDEN"},
		{"the role loses the permission", func(g *group, who stage.Person) {
			g.Do(`mutation($r: ID!) { roleUpdate(id: $r, input: {permissions: [CALL_VIEW, CALL_RECEIVE]}) { userErrors { code field message } } }`,
				demo.Vars{"r": g.Role("DISPATCHER")}, nil)
		}, "FORBIDDEN"},
		{"the password changes elsewhere", func(g *group, who stage.Person) {
			g.Must(g.SignIn("ann").Do(g.t.Context(), `mutation($o: String!, $n: String!) { passwordChange(input: {currentPassword: $o, newPassword: $n}) { userErrors { code field message } } }`,
				demo.Vars{"o": stage.Password, "n": "another horse battery"}, nil))
		}, "UNAUTHENTICATED"},
		{"the token expires", func(g *group, _ stage.Person) { g.Clock.Advance(2 * time.Hour) }, "UNAUTHENTICATED"},
	} {
		t.Run(x.claim, func(t *testing.T) {
			g := newGroup(t, nil)
			g.change(g.ann, demo.Vars{"roleId": g.Role("DISPATCHER")})
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			g.ann.Client = g.SignIn("ann")
			streams := map[string]*demo.Stream{}
			for name, open := range transports {
				s, err := open(ctx, g.ann.Client, liveQuery, nil)
				g.Must(err)
				var u liveUpdate
				g.Must(s.Next(ctx, &u)) // it runs
				streams[name] = s
				defer s.Stop()
			}
			x.end(g, g.ann)
			for name, s := range streams {
				if err := streamEnds(t, s); err == nil {
					t.Errorf("%s: the stream ended without saying why", name)
				}
			}
			if x.claim != "the token expires" { // whose clock stands elsewhere for everybody
				g.dial(customer, officeNumber)
			}
			for name, open := range transports {
				s, err := open(ctx, g.ann.Client, liveQuery, nil)
				if err == nil {
					err = s.Next(ctx, nil)
					s.Stop()
				}
				if err == nil {
					t.Errorf("%s: a new stream opens", name)
				} else if name == "SSE" && !demo.HasCode(err, x.code) && !strings.Contains(err.Error(), x.code) {
					t.Errorf("%s: a new stream is refused with %v, want %s", name, err, x.code)
				}
			}
		})
	}
}

// R023: what an event becomes is asked when it is delivered, also in a replay.
func TestAReplayShowsNothingThatTheReaderMayNotSeeNow(t *testing.T) {
	g := newGroup(t, nil)
	after := g.cursor()
	sid := g.dial(customer, officeNumber)
	g.hangUp(sid)
	if told := g.facts(g.cec.Client, after); len(told) == 0 {
		t.Fatal("the ring group was told nothing")
	}
	g.change(g.dan, demo.Vars{"branchIds": []string{g.branch}}) // joins: sees the branch's past
	g.dan.Client = g.SignIn("dan")
	if told := g.facts(g.dan.Client, after); len(told) == 0 {
		t.Error("a new colleague does not see what happened in the branch")
	}
	g.change(g.dan, demo.Vars{"branchIds": []string{g.elsewhere}})
	g.dan.Client = g.SignIn("dan")
	if told := g.facts(g.dan.Client, after); len(told) != 0 {
		t.Errorf("after leaving the branch the replay still shows %v", types(told))
	}
}

// A cursor is sealed for its organization; one too old asks for a resync.
func TestForeignAndOldCursorsAreRefused(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, nil)
	other := s.Another("Other")
	mine := s.cursor()
	theirs, err := other.Admin.Cursor(t.Context())
	s.Must(err)
	for claim, cursor := range map[string]string{"of another organization": theirs, "made up": "AAAA", "cut": mine[:len(mine)-2]} {
		for name, open := range transports {
			st, err := open(t.Context(), s.Admin, eventsQuery, demo.Vars{"after": cursor})
			if err == nil {
				ctx, stop := context.WithTimeout(t.Context(), patience)
				err = st.Next(ctx, nil)
				stop()
				st.Stop()
			}
			if !demo.HasCode(err, "INVALID") {
				t.Errorf("%s: a cursor %s: %v", name, claim, err)
			}
		}
	}
	s.contact("CUSTOMER", "Early", customer, nil)
	s.Must(s.App.Events.Drain(t.Context())) // what has no place yet is not forgotten either
	s.Clock.Advance(100 * time.Hour)        // longer than events are kept
	s.Must(s.App.Jobs.RunSweeps(t.Context()))
	s.Admin = s.SignIn("admin")
	st, err := s.Admin.Watch(t.Context(), eventsQuery, demo.Vars{"after": mine})
	if err == nil {
		ctx, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		err = st.Next(ctx, nil)
		st.Stop()
	}
	if !demo.HasCode(err, "RESYNC") {
		t.Errorf("an old cursor: %v", err)
	}
}
