package bench_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" // the scheme is Twilio's
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"switchboard/internal/demo"
	"switchboard/internal/id"
	"switchboard/internal/testkit/stage"
)

const ours = "+12025550100"

// switchboard is a stage with one number that rings three devices.
func switchboard(t testing.TB) *stage.Stage {
	t.Helper()
	s := stage.New(t)
	branch := s.Branch("Head office")
	s.Number(ours, demo.Vars{"branchId": branch})
	for i := range 3 {
		s.Device(s.User(fmt.Sprintf("agent-%d", i), "OFFICE", "", branch), "Browser")
	}
	return s
}

func signature(token, rawURL string, form url.Values) string {
	keys := make([]string, 0, len(form))
	for k := range form {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	m := hmac.New(sha1.New, []byte(token))
	_, _ = io.WriteString(m, rawURL)
	for _, k := range keys {
		_, _ = io.WriteString(m, k+form.Get(k))
	}
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// ringing makes calls ring through the server's own front door, and gives the
// callbacks that Twilio would send for their legs.
type ringing struct {
	public                    string // address of the server, without a path
	accountSID, token, number string
	voice                     string // the path where the number's calls come in
	made                      atomic.Int64
	begin                     time.Time
}

func newRinging(t testing.TB, s *stage.Stage) *ringing {
	t.Helper()
	var out struct {
		PhoneNumbers struct {
			Nodes []struct{ Webhooks struct{ VoiceURL string } }
		}
	}
	s.Do(`{ phoneNumbers(first: 1) { nodes { webhooks { voiceUrl } } } }`, nil, &out)
	return &ringing{public: s.URL, accountSID: s.AccountSID, token: stage.AuthToken, number: ours, voice: path(t, out.PhoneNumbers.Nodes[0].Webhooks.VoiceURL), begin: stage.Start}
}

func path(t testing.TB, rawURL string) string {
	t.Helper()
	u, err := url.Parse(html.UnescapeString(rawURL))
	must(t, err)
	return u.RequestURI()
}

// signed is a webhook as Twilio sends it.
func (r *ringing) signed(target string, form url.Values) []byte {
	return wire(target, "application/x-www-form-urlencoded; charset=UTF-8", []byte(form.Encode()),
		"X-Twilio-Signature: "+signature(r.token, r.public+target, form), "User-Agent: TwilioProxy/1.1", "Accept: */*")
}

var callbackURL = regexp.MustCompile(`statusCallback="([^"]+)"`)

func twilioSID(prefix string, n int64) string { return fmt.Sprintf("%s%032x", prefix, n) }

// callbacks of one new call, in the order in which they come: all devices are dialled
// and ring, the first answers, the others end, it hangs up.
func (r *ringing) callbacks(t testing.TB, c *client) (requests [][]byte) {
	t.Helper()
	n := r.made.Add(1)
	at := r.begin.Add(time.Duration(n) * time.Second)
	number := fmt.Sprintf("+1202555%04d", 1000+n%9000)
	parent := twilioSID("CA", n<<8)
	voice := url.Values{
		"AccountSid": {r.accountSID}, "ApiVersion": {"2010-04-01"}, "CallSid": {parent}, "CallStatus": {"ringing"}, "Direction": {"inbound"},
		"From": {number}, "Caller": {number}, "To": {r.number}, "Called": {r.number}, "FromCountry": {"US"}, "FromState": {"DC"}, "FromCity": {"WASHINGTON"},
	}
	status, err := c.do(r.signed(r.voice, voice))
	must(t, err)
	found := callbackURL.FindAllStringSubmatch(c.body.String(), -1)
	if status != http.StatusOK || len(found) == 0 {
		t.Fatalf("the call rings nobody: %d %s", status, c.body.Bytes())
	}
	var targets []string
	for _, f := range found {
		targets = append(targets, path(t, f[1]))
	}
	legs := len(targets)
	tell := func(leg int, word string, sequence int, after time.Duration, more ...string) {
		form := url.Values{
			"AccountSid": {r.accountSID}, "ApiVersion": {"2010-04-01"}, "CallSid": {twilioSID("CA", n<<8|int64(leg+1))}, "ParentCallSid": {parent},
			"CallStatus": {word}, "CallbackSource": {"call-progress-events"}, "SequenceNumber": {strconv.Itoa(sequence)}, "Direction": {"outbound-dial"},
			"From": {number}, "Caller": {number}, "To": {"client:device"}, "Called": {"client:device"}, "Timestamp": {at.Add(after).Format(time.RFC1123Z)},
		}
		for i := 0; i < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		requests = append(requests, r.signed(targets[leg], form))
	}
	for leg := range legs {
		tell(leg, "initiated", 0, 0)
	}
	for leg := range legs {
		tell(leg, "ringing", 1, time.Second)
	}
	tell(0, "in-progress", 2, 4*time.Second)
	for leg := 1; leg < legs; leg++ {
		tell(leg, "no-answer", 2, 4*time.Second, "CallDuration", "0", "SipResponseCode", "487")
	}
	tell(0, "completed", 3, 40*time.Second, "CallDuration", "36")
	return requests
}

// byHand does the same for a leg's callback without any rules, in one batch: the
// signature is checked, the post sealed and stored, the fact kept, leg and call
// changed and the event written.
func byHand(s *stage.Stage) http.HandlerFunc {
	org := must1(id.ParseKind(s.OrganizationID, id.Organization))
	connection := must1(id.ParseKind(s.ConnectionID, id.Connection))
	take := func(r *http.Request) error {
		if err := r.ParseForm(); err != nil {
			return err
		}
		f := r.PostForm
		if !hmac.Equal([]byte(signature(stage.AuthToken, s.URL+r.RequestURI, f)), []byte(r.Header.Get("X-Twilio-Signature"))) {
			return errors.New("not signed")
		}
		parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/") // twilio connection key call … leg …
		if len(parts) != 7 {
			return errors.New("no such address")
		}
		call, err := id.ParseKind(parts[4], id.Call)
		if err != nil {
			return err
		}
		leg, err := id.ParseKind(parts[6], id.Leg)
		if err != nil {
			return err
		}
		at, err := time.Parse(time.RFC1123Z, f.Get("Timestamp"))
		if err != nil {
			return err
		}
		sealed, err := s.App.Keys.Seal([]byte(f.Encode()), org.String(), "twilio_post.body")
		if err != nil {
			return err
		}
		now := time.Now()
		word := f.Get("CallStatus")
		path := strings.Join(parts[3:], "/")
		key := f.Get("CallSid") + "/" + word + "/" + f.Get("SequenceNumber")
		legStatus := map[string]string{"initiated": "QUEUED", "ringing": "RINGING", "in-progress": "IN_PROGRESS"}[word]
		var ringing, answered, ended *time.Time
		var outcome *string
		switch word {
		case "ringing":
			ringing = &at
		case "in-progress":
			answered, outcome = &at, new("ANSWERED")
		case "completed":
			legStatus, ended = "ENDED", &at
		case "no-answer":
			legStatus, ended, outcome = "ENDED", &at, new("ANSWERED_ELSEWHERE")
		}
		b := &pgx.Batch{}
		b.Queue(`INSERT INTO twilio_post (organization_id, id, connection_id, kind, key, path, body, status, answer_status, received_at)
			VALUES ($1, $2, $3, 'CALLBACK', $4, $5, $6, 'DONE', 204, $7) ON CONFLICT ON CONSTRAINT twilio_post_unique DO NOTHING`,
			org, id.New(id.Post), connection, path+" "+key, path, sealed, now)
		b.Queue(`SELECT true FROM call WHERE organization_id = $1 AND id = $2 FOR UPDATE`, org, call)
		b.Queue(`INSERT INTO call_fact (organization_id, call_id, key, kind, at, data) VALUES ($1, $2, $3, 'LEG_STATUS', $4, $5) ON CONFLICT DO NOTHING`,
			org, call, "leg/"+leg.String()+"/"+key, at, `{"leg":"`+leg.String()+`","sid":"`+f.Get("CallSid")+`","status":"`+word+`","seq":`+f.Get("SequenceNumber")+`}`)
		b.Queue(`UPDATE call_leg SET twilio_sid = $3, status = $4, ringing_at = coalesce($5, ringing_at), answered_at = coalesce($6, answered_at),
				ended_at = coalesce($7, ended_at), outcome = coalesce($8, outcome), updated_at = $9 WHERE organization_id = $1 AND id = $2`,
			org, leg, f.Get("CallSid"), legStatus, ringing, answered, ended, outcome, now).
			Exec(func(tag pgconn.CommandTag) error {
				if tag.RowsAffected() != 1 {
					return errors.New("no such leg")
				}
				return nil
			})
		b.Queue(`UPDATE call SET version = version + 1, status = CASE WHEN $3::timestamptz IS NOT NULL THEN 'IN_PROGRESS' ELSE status END,
				answered_at = coalesce($3, answered_at), updated_at = $4 WHERE organization_id = $1 AND id = $2`, org, call, answered, now)
		b.Queue(`INSERT INTO event (organization_id, id, kind, subject, data, at) VALUES ($1, $2, $3, $4, $5, $6)`, org, id.New(id.Event), "CALL_UPDATED", call,
			`{"status":"RINGING","legId":"`+leg.String()+`"}`, now)
		return s.App.DB.Batch(context.WithoutCancel(r.Context()), org, b)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if err := take(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// bare serves one handler.
func bare(t testing.TB, h http.Handler) (addr string) {
	t.Helper()
	at, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := &http.Server{Handler: h, ReadHeaderTimeout: 3 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(at)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return at.Addr().String()
}

// volleys are the callbacks that each client of a fleet sends in one round.
type volleys struct {
	*ringing
	door    *client // where calls come in
	clients [connections][][]byte
}

// load makes calls ring, so many for each client; their callbacks are what next gives.
func (v *volleys) load(t testing.TB, calls int) (requests int) {
	for i := range v.clients {
		v.clients[i] = v.clients[i][:0]
		for range calls {
			v.clients[i] = append(v.clients[i], v.callbacks(t, v.door)...)
		}
	}
	return len(v.clients[0])
}

func (v *volleys) next(client, _ int) []byte {
	q := v.clients[client]
	v.clients[client] = q[1:]
	return q[0]
}

// stamped waits until the relay has stamped what a round left behind, so that no
// target pays for another.
func stamped(t testing.TB, s *stage.Stage) {
	t.Helper()
	for {
		var waiting bool
		must(t, s.App.DB.WorkerPool().QueryRow(context.Background(), `SELECT EXISTS (SELECT FROM event WHERE seq IS NULL)`).Scan(&waiting))
		if !waiting {
			return
		}
	}
}

// BenchmarkWebhooks sends signed status callbacks of ringing calls through the
// whole server and to the same work by hand in one batch, in turns: x-by-hand is
// the server's rate by the other's.
func BenchmarkWebhooks(b *testing.B) {
	s := switchboard(b)
	addr := strings.TrimPrefix(s.URL, "http://")
	calls, door := newRinging(b, s), dial(b, addr)
	var f []*fleet
	var v []*volleys
	for _, x := range []target{{name: "server", addr: addr}, {name: "by-hand", addr: bare(b, byHand(s))}} {
		each := &volleys{ringing: calls, door: door}
		x.next, x.want = each.next, http.StatusNoContent
		f, v = append(f, newFleet(x)), append(v, each)
	}
	const callsEach = 6 // of every client in every round
	turn := func(i int) float64 {
		n := v[i].load(b, callsEach)
		stamped(b, s)
		return f[i].volley(b, n)
	}
	for i := range f { // connections, statements and caches are made now
		turn(i)
		f[i].reset()
	}
	var rates, ratios [2][]float64
	for round := 0; b.Loop(); round++ {
		for i := range f {
			at := (i + round) % len(f)
			rates[at] = append(rates[at], turn(at))
		}
		ratios[1] = append(ratios[1], rates[0][round]/rates[1][round])
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(rates[0]), "req/s")
	b.ReportMetric(float64(f[0].quantile(0.5).Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(f[0].quantile(0.99).Microseconds())/1000, "p99-ms")
	report(b, f, ratios[:])
}

// TestCallbacksOfABenchmarkTakeEffect holds the benchmark against the rows: the calls
// that it makes ring end as told, and by hand the same posts, facts and events are kept.
func TestCallbacksOfABenchmarkTakeEffect(t *testing.T) {
	t.Parallel()
	s := switchboard(t)
	addr := strings.TrimPrefix(s.URL, "http://")
	v := &volleys{ringing: newRinging(t, s), door: dial(t, addr)}
	count := func() (posts, facts, events, answered int) {
		must(t, s.App.DB.WorkerPool().QueryRow(t.Context(), `SELECT (SELECT count(*) FROM twilio_post WHERE kind = 'CALLBACK' AND status = 'DONE'),
			(SELECT count(*) FROM call_fact WHERE kind = 'LEG_STATUS'), (SELECT count(*) FROM event WHERE kind LIKE 'CALL_%' OR kind LIKE 'RING_%'),
			(SELECT count(*) FROM call_leg WHERE outcome = 'ANSWERED')`).Scan(&posts, &facts, &events, &answered))
		return
	}
	for _, x := range []target{{name: "server", addr: addr}, {name: "by-hand", addr: bare(t, byHand(s))}} {
		x.next, x.want = v.next, http.StatusNoContent
		f := newFleet(x)
		n := v.load(t, 2)
		posts, facts, events, answered := count()
		f.volley(t, n)
		morePosts, moreFacts, moreEvents, moreAnswered := count()
		if all := n * connections; morePosts-posts != all || moreFacts-facts != all || moreEvents-events < all || moreAnswered-answered < 2*connections {
			t.Errorf("%s: of %d callbacks %d posts, %d facts and %d events are kept; %d legs of %d calls were answered", x.name, all,
				morePosts-posts, moreFacts-facts, moreEvents-events, moreAnswered-answered, 2*connections)
		}
	}
}
