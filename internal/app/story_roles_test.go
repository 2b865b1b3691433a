package app_test

import (
	"context"
	"strings"
	"testing"

	"switchboard/internal/demo"
)

// R234: what the role does not permit, no option of a fieldworker gives back.
func TestTheRoleIsTheMasterGateForEveryRole(t *testing.T) { // R236, R238, R244, R247, R250, R251
	s := newStory(t)
	branch := s.Branch("Office")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	s.text(customer, officeNumber, "Hello")
	role := func(called string, permissions ...string) string {
		var out struct{ RoleCreate struct{ Role ref } }
		s.Do(`mutation($n: String!, $p: [Permission!]!) { roleCreate(input: {name: $n, permissions: $p, visibility: BRANCH}) { role { id } userErrors { code field message } } }`,
			demo.Vars{"n": called, "p": permissions}, &out)
		return out.RoleCreate.Role.ID
	}
	who := s.User("fay", "FIELDWORKER", "+12025550161", branch)
	s.change(who, demo.Vars{"isFieldworker": true, "isGeneralFieldworker": true})
	send := func() string {
		return s.try(who.Client, sendMutation, demo.Vars{"i": demo.Vars{"to": customer, "body": "Hello"}}, nil)
	}
	call := func() string {
		return s.try(who.Client, startMutation, demo.Vars{"i": demo.Vars{"to": callee, "ringMyPhone": true}}, nil)
	}
	threads := func() string { return s.try(who.Client, `{ smsThreads { nodes { id } } }`, nil, nil) }
	for _, x := range []struct {
		claim               string
		role                string
		send, call, threads string // the code of the refusal
	}{
		{"calls and SMS", role("Both", "CALL_MAKE", "SMS_SEND", "SMS_VIEW"), "", "", ""},
		{"calls alone (R238, R247)", role("Calls", "CALL_MAKE", "CALL_RECEIVE", "CALL_VIEW"), "FORBIDDEN", "", "FORBIDDEN"},
		{"SMS alone (R244, R251)", role("SMS", "SMS_SEND", "SMS_VIEW"), "", "FORBIDDEN", ""},
		{"neither", role("Neither", "CONTACT_VIEW"), "FORBIDDEN", "FORBIDDEN", "FORBIDDEN"},
	} {
		s.change(who, demo.Vars{"roleId": x.role})
		who.Client = s.SignIn("fay")
		if got := send(); got != x.send {
			t.Errorf("a fieldworker whose role permits %s sends a text: %q, want %q", x.claim, got, x.send)
		}
		if got := call(); got != x.call {
			t.Errorf("a fieldworker whose role permits %s starts a call: %q, want %q", x.claim, got, x.call)
		}
		if got := threads(); got != x.threads {
			t.Errorf("a fieldworker whose role permits %s reads texts: %q, want %q", x.claim, got, x.threads)
		}
	}
	s.Settle()
	sent, made := 0, s.created()
	for _, m := range s.Emulator.Messages() {
		if m.Direction != "inbound" {
			sent++
		}
	}
	if sent != 2 || made != 2 {
		t.Errorf("%d texts were sent and %d calls made, want what the roles permit: 2 and 2", sent, made)
	}
}

// R086, D15: on forwarded legs the office number where the organization wants it or the
// caller hides, else the customer's.
func TestForwardedLegsShowTheOfficeOrTheCustomer(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, demo.Vars{"routing": demo.Vars{"forwardingNumbers": []string{manager}}})
	for _, x := range []struct {
		office     bool
		from, want string
	}{{false, customer, customer}, {true, customer, officeNumber}, {false, "anonymous", officeNumber}} {
		s.company(demo.Vars{"displayOfficeNumber": x.office})
		sid := s.dial(x.from, officeNumber)
		s.wantRinging(manager)
		for _, l := range s.Emulator.Ringing(manager) {
			if l.From != x.want {
				t.Errorf("display office number %v, call from %s: the manager sees %s, want %s", x.office, x.from, l.From, x.want)
			}
		}
		s.hangUp(sid)
	}
	s.clean()
}

// R069-R071, D07: the smallest of the number's ring, dial and agent timeouts counts.
func TestTheSmallestTimeoutEndsTheRing(t *testing.T) {
	s := newStory(t)
	branch := s.Branch("Office")
	line := s.Number(officeNumber, demo.Vars{"branchId": branch, "voicemail": demo.Vars{"isEnabled": false}})
	desk := s.Device(s.User("ann", "OFFICE", "", branch), "Desk")
	for _, x := range []struct {
		ring, dial, agent any
		want              int
	}{{30, nil, nil, 30}, {30, 20, nil, 20}, {30, 20, 12, 12}, {15, 20, 40, 15}} {
		s.set(line, demo.Vars{"routing": demo.Vars{"ringTimeoutSeconds": x.ring, "dialTimeoutSeconds": x.dial, "agentTimeoutSeconds": x.agent}})
		sid := s.dial(customer, officeNumber)
		s.Pass(secs(x.want - 1))
		s.wantRinging(desk)
		s.Pass(secs(2))
		s.wantRinging()
		if l := s.call(sid).leg(desk); word(l.Outcome) != "TIMED_OUT" {
			t.Errorf("ring %v, dial %v, agent %v: the device is told %s", x.ring, x.dial, x.agent, word(l.Outcome))
		}
		s.Pass(secs(30))
		if c := s.call(sid); c.Status != "MISSED" || word(c.EndReason) != "NO_ANSWER" {
			t.Errorf("the log says %s", c)
		}
	}
	s.clean()
}

// A revoked key opens nothing, and what it opened ends.
func TestARevokedKeyEndsItsStreams(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, nil)
	var made struct {
		ApiKeyCreate struct {
			ApiKey ref
			Secret string
		}
	}
	s.Do(`mutation($r: ID!) { apiKeyCreate(input: {name: "Board", roleId: $r}) { apiKey { id } secret userErrors { code field message } } }`, demo.Vars{"r": s.Role("DISPATCHER")}, &made)
	board := s.Admin.As(made.ApiKeyCreate.Secret)
	if err := board.Do(t.Context(), startMutation, demo.Vars{"i": demo.Vars{"to": callee}}, nil); !demo.HasCode(err, "FORBIDDEN") || !strings.Contains(err.Error(), "key") {
		t.Errorf("a key starts a call: %v", err)
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	streams := map[string]*demo.Stream{}
	for name, open := range transports {
		st, err := open(ctx, board, liveQuery, nil)
		s.Must(err)
		s.Must(st.Next(ctx, nil))
		streams[name] = st
		defer st.Stop()
	}
	s.Do(`mutation($k: ID!) { apiKeyRevoke(id: $k) { userErrors { code field message } } }`, demo.Vars{"k": made.ApiKeyCreate.ApiKey.ID}, nil)
	for name, st := range streams {
		if streamEnds(t, st) == nil {
			t.Errorf("%s: the stream ended without saying why", name)
		}
	}
	if err := board.Do(ctx, `{ viewer { role { id } } }`, nil, nil); !demo.HasCode(err, "UNAUTHENTICATED") {
		t.Errorf("the key still opens: %v", err)
	}
}
