package demo_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"switchboard/internal/demo"
)

func serve(t *testing.T, h http.HandlerFunc) *demo.Client {
	t.Helper()
	s := httptest.NewServer(h)
	c := demo.NewClient(s.URL+"/graphql", "the-token")
	t.Cleanup(func() {
		c.Close()
		s.Close()
	})
	return c
}

func TestAnAnswerIsReadAndItsProblemsAreErrors(t *testing.T) {
	t.Parallel()
	type branch struct{ Branch struct{ ID string } }
	for name, tc := range map[string]struct {
		why    string
		status int
		body   string
		want   string // id read
		code   string
		errors []demo.Problem
	}{
		"data": {
			why: "no problem, no error", status: 200,
			body: `{"data":{"branchCreate":{"branch":{"id":"branch_1"},"userErrors":[]}}}`, want: "branch_1",
		},
		"userErrors": {
			why: "what a person can mend is an error for a program", status: 200,
			body:   `{"data":{"branchCreate":{"branch":null,"userErrors":[{"code":"TAKEN","field":["input","name"],"message":"choose another name"}]}}}`,
			code:   "TAKEN",
			errors: []demo.Problem{{Code: "TAKEN", Message: "choose another name", Path: []string{"branchCreate", "input", "name"}, User: true}},
		},
		"errors": {
			why: "the code stands in the extensions", status: 200,
			body:   `{"errors":[{"message":"sign in first","path":["branches",0],"extensions":{"code":"UNAUTHENTICATED"}}],"data":null}`,
			code:   "UNAUTHENTICATED",
			errors: []demo.Problem{{Code: "UNAUTHENTICATED", Message: "sign in first", Path: []string{"branches", "0"}}},
		},
		"partial data": {
			why: "what came all the same is read", status: 200,
			body:   `{"errors":[{"message":"no"}],"data":{"branchCreate":{"branch":{"id":"branch_2"}}}}`,
			want:   "branch_2",
			errors: []demo.Problem{{Message: "no"}},
		},
		"refused": {
			why: "a status without errors is a failure too", status: 503, body: `{}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Authorization"); got != "Bearer the-token" {
					t.Errorf("Authorization is %q", got)
				}
				var in struct {
					Query     string
					Variables map[string]any
				}
				if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !strings.Contains(in.Query, "branchCreate") || in.Variables["n"] != "Sydney" {
					t.Errorf("the request was %+v, %v", in, err)
				}
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			})
			var out struct{ BranchCreate branch }
			err := c.Do(t.Context(), `mutation($n: String!) { branchCreate(input: {name: $n}) { branch { id } userErrors { code field message } } }`, demo.Vars{"n": "Sydney"}, &out)
			if out.BranchCreate.Branch.ID != tc.want {
				t.Errorf("%s: read %q, want %q", tc.why, out.BranchCreate.Branch.ID, tc.want)
			}
			if fails := tc.errors != nil || tc.status != 200; (err != nil) != fails {
				t.Fatalf("%s: error %v, want one: %v", tc.why, err, fails)
			}
			if tc.code != "" && !demo.HasCode(err, tc.code) {
				t.Errorf("%v has not the code %s", err, tc.code)
			}
			var f *demo.Failure
			if errors.As(err, &f) {
				if diff := cmp.Diff(tc.errors, f.Problems); diff != "" {
					t.Errorf("problems (-want +got):\n%s", diff)
				}
				if !strings.HasPrefix(f.Error(), "branchCreate:") {
					t.Errorf("the error %q does not begin with the operation", f)
				}
			}
		})
	}
}

func TestAnAnswerThatIsNoJSONIsAnError(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(502)
		_, _ = io.WriteString(w, "<html>bad gateway")
	})
	err := c.Do(t.Context(), `{ viewer { sessionId } }`, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "bad gateway") {
		t.Errorf("the error is %v", err)
	}
}

// socket speaks graphql-transport-ws to one client: a ping in between, then two
// answers, then the end of the case.
func socket(t *testing.T, last string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"graphql-transport-ws"}})
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.CloseNow()
		ctx := r.Context()
		read := func() (m struct {
			ID, Type string
			Payload  struct{ Authorization, Query string }
		}) {
			_, b, err := conn.Read(ctx)
			if err == nil {
				err = json.Unmarshal(b, &m)
			}
			if err != nil {
				t.Error(err)
			}
			return m
		}
		say := func(s string) {
			if err := conn.Write(ctx, websocket.MessageText, []byte(s)); err != nil {
				t.Error(err)
			}
		}
		if m := read(); m.Type != "connection_init" || m.Payload.Authorization != "Bearer the-token" {
			t.Errorf("the first message is %+v", m)
		}
		say(`{"type":"connection_ack"}`)
		m := read()
		if m.Type != "subscribe" || !strings.Contains(m.Payload.Query, "ringing") {
			t.Errorf("the second message is %+v", m)
		}
		say(`{"type":"ping"}`)
		if m := read(); m.Type != "pong" {
			t.Errorf("a ping was answered with %+v", m)
		}
		say(`{"id":"` + m.ID + `","type":"next","payload":{"data":{"n":1}}}`)
		say(`{"id":"` + m.ID + `","type":"next","payload":{"data":{"n":2}}}`)
		switch last {
		case "complete":
			say(`{"id":"` + m.ID + `","type":"complete"}`)
		case "error":
			say(`{"id":"` + m.ID + `","type":"error","payload":[{"message":"read anew","extensions":{"code":"RESYNC"}}]}`)
		case "close":
			_ = conn.Close(1013, "Reading too slowly")
			return
		case "stay":
		}
		_, _, _ = conn.Read(ctx) // until the client has gone
	}
}

func TestASubscriptionGivesItsAnswersAndItsEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		last string
		ends func(error) bool
	}{
		"complete":             {"complete", func(err error) bool { return errors.Is(err, io.EOF) }},
		"refused by the field": {"error", func(err error) bool { return demo.HasCode(err, "RESYNC") }},
		"cut by the server":    {"close", func(err error) bool { return websocket.CloseStatus(err) == 1013 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			s, err := serve(t, socket(t, tc.last)).Watch(ctx, `subscription { ringing { cursor } }`, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Stop()
			for want := 1; want <= 2; want++ {
				var out struct{ N int }
				if err := s.Next(ctx, &out); err != nil || out.N != want {
					t.Fatalf("answer %d is %+v, %v", want, out, err)
				}
			}
			if err := s.Next(ctx, nil); !tc.ends(err) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

func TestStopEndsASubscription(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	answers, stop, err := serve(t, socket(t, "stay")).Subscribe(ctx, `subscription { ringing { cursor } }`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(<-answers); got != `{"n":1}` {
		t.Errorf("the first answer is %s", got)
	}
	stop()
	stop()
	n := 0
	for range answers {
		n++
	}
	if n > 1 {
		t.Errorf("%d answers after the stop", n)
	}
	if ctx.Err() != nil {
		t.Error("the stop took until the deadline")
	}
}

func TestServerSentEventsGiveTheSame(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body string
		ends func(error) bool
	}{
		"complete": {":\n\nevent: next\ndata: {\"data\":{\"n\":1}}\n\n:\n\nevent: next\ndata: {\"data\":{\"n\":2}}\n\nevent: complete\ndata:\n\n",
			func(err error) bool { return errors.Is(err, io.EOF) }},
		"refused": {"event: next\ndata: {\"data\":{\"n\":1}}\n\nevent: next\ndata: {\"data\":{\"n\":2}}\n\nevent: next\ndata: {\"errors\":[{\"message\":\"the session has ended\",\"extensions\":{\"code\":\"UNAUTHENTICATED\"}}]}\n\n",
			func(err error) bool { return demo.HasCode(err, "UNAUTHENTICATED") }},
		"cut": {"event: next\ndata: {\"data\":{\"n\":1}}\n\nevent: next\ndata: {\"data\":{\"n\":2}}\n\nevent: ne",
			func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			s, err := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Accept"); got != "text/event-stream" {
					t.Errorf("Accept is %q", got)
				}
				w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
				_, _ = io.WriteString(w, tc.body)
			}).WatchSSE(ctx, `subscription { ringing { cursor } }`, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Stop()
			for want := 1; want <= 2; want++ {
				var out struct{ N int }
				if err := s.Next(ctx, &out); err != nil || out.N != want {
					t.Fatalf("answer %d is %+v, %v", want, out, err)
				}
			}
			if err := s.Next(ctx, nil); !tc.ends(err) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
	t.Run("not opened", func(t *testing.T) {
		t.Parallel()
		_, err := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(401)
			_, _ = io.WriteString(w, `{"errors":[{"message":"sign in","extensions":{"code":"UNAUTHENTICATED"}}]}`)
		}).WatchSSE(t.Context(), `subscription { ringing { cursor } }`, nil)
		if !demo.HasCode(err, "UNAUTHENTICATED") {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestUntilAsksAgainAndGivesUpAtItsDeadline(t *testing.T) {
	t.Parallel()
	c := demo.NewClient("http://localhost:1/graphql", "")
	asked := 0
	err := c.Until(t.Context(), "it is the third time", func(context.Context) (bool, error) { asked++; return asked == 3, nil })
	if err != nil || asked != 3 {
		t.Errorf("asked %d times, %v", asked, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = c.Until(ctx, "pigs fly", func(context.Context) (bool, error) { return false, nil })
	if err == nil || !strings.Contains(err.Error(), "pigs fly") {
		t.Errorf("the error is %v", err)
	}
	broken := errors.New("broken")
	if err := c.Until(t.Context(), "never", func(context.Context) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("an error of the question became %v", err)
	}
}
