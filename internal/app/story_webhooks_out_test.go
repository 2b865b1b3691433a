package app_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/demo"
	"switchboard/internal/id"
)

// hookPost is what a server of somebody's own was told.
type hookPost struct {
	ID, Kind, OrganizationID string
	Cursor                   *string
	Subject                  struct{ Type, ID string }
	Facts                    map[string]any
	Data                     json.RawMessage

	signed bool
	event  string // of the header
}

// hooks is a server of somebody's own.
type hooks struct {
	*httptest.Server
	mu     sync.Mutex // guards the rest
	secret string
	posts  []hookPost
}

func newHooks(t *testing.T) *hooks {
	h := &hooks{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		p := hookPost{event: r.Header.Get("Switchboard-Event-Id")}
		stamp, sum, _ := strings.Cut(r.Header.Get("Switchboard-Signature"), ",v1=")
		m := hmac.New(sha256.New, []byte(h.secret))
		m.Write([]byte(strings.TrimPrefix(stamp, "t=") + "."))
		m.Write(raw)
		p.signed = sum == hex.EncodeToString(m.Sum(nil))
		_ = json.Unmarshal(raw, &p)
		h.posts = append(h.posts, p)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hooks) all() []hookPost {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.posts)
}

// endpoint has events posted to the server.
func (s *story) endpoint(h *hooks, input demo.Vars) (id string) {
	s.t.Helper()
	var out struct {
		WebhookEndpointCreate struct {
			WebhookEndpoint struct{ ID string }
			Secret          string
		}
	}
	input["url"] = h.URL + "/events"
	s.Do(`mutation($i: WebhookEndpointCreateInput!) { webhookEndpointCreate(input: $i) { webhookEndpoint { id } secret userErrors { code field message } } }`,
		demo.Vars{"i": input}, &out)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.secret = out.WebhookEndpointCreate.Secret
	return out.WebhookEndpointCreate.WebhookEndpoint.ID
}

// told waits until every event has been posted.
func (s *story) told() {
	s.t.Helper()
	s.idle()
	s.Must(s.App.Events.Drain(s.t.Context()))
	s.Settle()
}

// A call is told to a server of the customer's own, step by step and signed.
func TestACallIsPostedToWhoAskedForItsEvents(t *testing.T) { // webhooks out
	s := newStory(t)
	branch := s.Branch("Office")
	s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann := s.User("ann", "OFFICE", "", branch)
	desk := s.Device(ann, "Desk")
	s.told()

	crm, deaf := newHooks(t), newHooks(t)
	endpoint := s.endpoint(crm, demo.Vars{"roleId": s.Role("ADMIN")})
	role := struct{ RoleCreate struct{ Role ref } }{}
	s.Do(`mutation { roleCreate(input: {name: "Texts only", permissions: [SMS_VIEW], visibility: ORGANIZATION}) { role { id } userErrors { code field message } } }`, nil, &role)
	s.endpoint(deaf, demo.Vars{"roleId": role.RoleCreate.Role.ID, "description": "texts"})

	sid := s.dial(customer, officeNumber)
	s.told() // before the clock moves on: for the posts it would be as if they took that long
	s.Pass(4 * time.Second)
	s.answer(desk)
	s.told()
	s.Pass(65 * time.Second)
	s.hangUp(sid)
	s.told()

	c := s.call(sid)
	var kinds []string
	cursors := map[string]bool{}
	for _, p := range crm.all() {
		if !p.signed || p.Cursor == nil || cursors[*p.Cursor] || p.ID != p.event || p.OrganizationID != s.OrganizationID {
			t.Errorf("the post %s is signed: %v, says %+v", p.Kind, p.signed, p)
		}
		cursors[*p.Cursor] = true
		if p.Subject.ID != c.ID {
			continue
		}
		kinds = append(kinds, p.Kind)
		var call struct {
			ID, Status string
			From, To   struct{ E164 string }
			Branch     ref
			Legs       []struct{ ID string }
		}
		s.Must(json.Unmarshal(p.Data, &call))
		if p.Subject.Type != "Call" || call.ID != c.ID || call.From.E164 != customer || call.To.E164 != officeNumber || call.Branch.ID != branch || len(call.Legs) == 0 {
			t.Errorf("%s shows %s", p.Kind, p.Data)
		}
		if p.Kind == "RING_STARTED" && p.Facts["legId"] != c.leg(desk).ID {
			t.Errorf("RING_STARTED tells %v, want the leg %s", p.Facts, c.leg(desk).ID)
		}
	}
	var want []string
	about, err := id.Parse(c.ID)
	s.Must(err)
	s.Must(db.Select(t.Context(), s.App.DB.Worker(), &want, `SELECT kind FROM event WHERE subject = $1 ORDER BY seq`, about))
	if !slices.Equal(kinds, want) {
		t.Errorf("the call was told as\n%v, and happened as\n%v", kinds, want)
	}
	for _, k := range []string{"CALL_STARTED", "RING_STARTED", "RING_ENDED", "CALL_ANSWERED", "CALL_ENDED"} {
		if !slices.Contains(kinds, k) {
			t.Errorf("%s is not told", k)
		}
	}
	for _, p := range deaf.all() {
		if strings.HasPrefix(p.Kind, "CALL_") || strings.HasPrefix(p.Kind, "RING_") {
			t.Errorf("without CALL_VIEW it is told %s", p.Kind)
		}
	}

	// The administrator sees what was posted and what was answered, and may have it again.
	var seen struct {
		WebhookEndpoint struct {
			Status         string
			DisabledReason *string
			Role           ref
			Deliveries     struct {
				Nodes []struct {
					ID, Status, EventID string
					Kind                *string
					Cursor              *string
					IsTest              bool
					Attempts            []struct {
						Number, StatusCode int
						Error              *string
					}
				}
			}
		}
	}
	look := func() {
		s.Do(`query($id: ID!) { webhookEndpoint(id: $id) { status disabledReason role { id } deliveries(first: 100) { nodes {
			id status eventId kind cursor isTest attempts { number statusCode error } } } } }`, demo.Vars{"id": endpoint}, &seen)
	}
	look()
	nodes := seen.WebhookEndpoint.Deliveries.Nodes
	if seen.WebhookEndpoint.Status != "ENABLED" || len(nodes) != len(crm.all()) {
		t.Fatalf("the endpoint is %s with %d deliveries of %d posts", seen.WebhookEndpoint.Status, len(nodes), len(crm.all()))
	}
	for _, d := range nodes {
		if d.Status != "DELIVERED" || len(d.Attempts) != 1 || d.Attempts[0].StatusCode != 200 || d.Kind == nil {
			t.Errorf("a delivery says %+v", d)
		}
	}
	before := len(crm.all())
	s.Do(`mutation($e: ID!, $d: ID!) {
		webhookEndpointTest(id: $e) { webhookDelivery { id isTest kind } userErrors { code field message } }
		webhookRedeliver(deliveryId: $d) { webhookDelivery { id status } userErrors { code field message } } }`, demo.Vars{"e": endpoint, "d": nodes[len(nodes)-1].ID}, nil)
	s.told()
	all := crm.all()
	if len(all) != before+2 {
		t.Fatalf("a test and a repetition made %d posts", len(all)-before)
	}
	var replay struct {
		WebhookReplay struct{ Count int }
	}
	s.Do(`mutation($e: ID!, $a: Cursor!) { webhookReplay(endpointId: $e, after: $a, force: true) { count next userErrors { code field message } } }`,
		demo.Vars{"e": endpoint, "a": *all[0].Cursor}, &replay)
	s.told()
	if n := replay.WebhookReplay.Count; n != before-1 || len(crm.all()) != before+2+n {
		t.Errorf("a replay after the first of %d sends %d; %d came", before, n, len(crm.all())-before-2)
	}
	s.clean()
}

// A voicemail is told to a server of somebody's own, as far as its role hears them.
func TestAVoicemailIsPostedToWhoMayHearIt(t *testing.T) { // R130
	s := newStory(t)
	branch := s.Branch("Office")
	line := s.Number(officeNumber, demo.Vars{"branchId": branch})
	s.set(line, demo.Vars{"routing": demo.Vars{"ringTimeoutSeconds": 5}, "voicemail": demo.Vars{"isEnabled": true, "greetingText": "Leave a message."}})
	crm, deaf := newHooks(t), newHooks(t)
	s.endpoint(crm, demo.Vars{"roleId": s.Role("ADMIN"), "kinds": []string{"VOICEMAIL_RECEIVED"}})
	role := struct{ RoleCreate struct{ Role ref } }{}
	s.Do(`mutation { roleCreate(input: {name: "Deaf", permissions: [CALL_VIEW], visibility: ORGANIZATION}) { role { id } userErrors { code field message } } }`, nil, &role)
	s.endpoint(deaf, demo.Vars{"roleId": role.RoleCreate.Role.ID})

	sid := s.dial(customer, officeNumber)
	s.speakAndHangUp(sid, 4*time.Second)
	s.told()
	c := s.call(sid)
	posts := crm.all()
	if len(posts) != 1 || posts[0].Kind != "VOICEMAIL_RECEIVED" || posts[0].Subject.Type != "Voicemail" || posts[0].Subject.ID != c.Voicemail.ID || !posts[0].signed {
		t.Fatalf("it is told %+v, want the voicemail %s", posts, c.Voicemail.ID)
	}
	var vm struct {
		ID   string
		Call ref
		From struct{ E164 string }
	}
	s.Must(json.Unmarshal(posts[0].Data, &vm))
	if vm.ID != c.Voicemail.ID || vm.Call.ID != c.ID || vm.From.E164 != customer {
		t.Errorf("it reads %s", posts[0].Data)
	}
	calls := 0
	for _, p := range deaf.all() {
		if strings.HasPrefix(p.Kind, "VOICEMAIL_") {
			t.Errorf("without VOICEMAIL_LISTEN it is told %s", p.Kind)
		}
		if p.Subject.ID == c.ID {
			calls++
		}
	}
	if calls == 0 {
		t.Error("with CALL_VIEW it is not told of the call")
	}
}
