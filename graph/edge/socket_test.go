package edge_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"switchboard/graph/edge"
	"switchboard/internal/clock"
	"switchboard/internal/errs"
)

const initGood = `{"type":"connection_init","payload":{"Authorization":"Bearer ` + good + `"}}`

// Each case is one rule of the protocol: what a client sends, and the close code it gets.
func TestSocketsCloseWithTheProtocolsCodes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ping := `{"id":"1","type":"subscribe","payload":{"query":"{ ping }"}}`
	forever := `{"id":"1","type":"subscribe","payload":{"query":"subscription { events { id } }"}}`
	for why, c := range map[string]struct {
		send   []string
		code   int
		reason string
	}{
		"text that is no JSON":                    {[]string{`hello`}, 4400, "object"},
		"a JSON text that is no object":           {[]string{`"hello"`}, 4400, "object"},
		"an array of messages":                    {[]string{`[` + initGood + `]`}, 4400, "object"},
		"two objects in one frame":                {[]string{initGood + initGood}, 4400, "exactly one"},
		"an empty frame":                          {[]string{``}, 4400, "Invalid"},
		"no type":                                 {[]string{`{}`}, 4400, "type"},
		"a type that is no string":                {[]string{`{"type":1}`}, 4400, "type"},
		"a null type":                             {[]string{`{"type":null}`}, 4400, "type"},
		"an unknown type":                         {[]string{`{"type":"start","id":"1"}`}, 4400, "unknown type"},
		"a type only a server sends: ack":         {[]string{`{"type":"connection_ack"}`}, 4400, "unknown type"},
		"a type only a server sends: next":        {[]string{initGood, `{"id":"1","type":"next","payload":{}}`}, 4400, "unknown type"},
		"a type only a server sends: error":       {[]string{initGood, `{"id":"1","type":"error","payload":[]}`}, 4400, "Invalid"},
		"a type given twice":                      {[]string{`{"type":"ping","type":"pong"}`}, 4400, "twice"},
		"an init payload that is a string":        {[]string{`{"type":"connection_init","payload":"x"}`}, 4400, "payload"},
		"an init payload that is an array":        {[]string{`{"type":"connection_init","payload":[]}`}, 4400, "payload"},
		"an init token that is no string":         {[]string{`{"type":"connection_init","payload":{"authorization":7}}`}, 4400, "string"},
		"a ping payload that is no object":        {[]string{`{"type":"ping","payload":1}`}, 4400, "payload"},
		"NUL in a message":                        {[]string{"{\"type\":\"ping\x00\"}"}, 4400, "NUL"},
		"invalid UTF-8":                           {[]string{"{\"type\":\"\xff\"}"}, 4400, "UTF-8"},
		"JSON nested too deeply":                  {[]string{`{"type":"ping","payload":` + strings.Repeat(`{"a":`, 70) + `1` + strings.Repeat(`}`, 71)}, 4400, "nests"},
		"subscribe before init":                   {[]string{ping}, 4401, "Unauthorized"},
		"no token":                                {[]string{`{"type":"connection_init"}`}, 4403, "Forbidden"},
		"a null payload":                          {[]string{`{"type":"connection_init","payload":null}`}, 4403, "Forbidden"},
		"a wrong token":                           {[]string{`{"type":"connection_init","payload":{"Authorization":"Bearer wrong"}}`}, 4403, "Forbidden"},
		"an expired token":                        {[]string{`{"type":"connection_init","payload":{"Authorization":"Bearer past-token"}}`}, 4403, "Forbidden"},
		"a token without Bearer":                  {[]string{`{"type":"connection_init","payload":{"Authorization":"` + good + `"}}`}, 4403, "Forbidden"},
		"two tokens":                              {[]string{`{"type":"connection_init","payload":{"Authorization":"Bearer ` + good + `","authorization":"Bearer ` + other + `"}}`}, 4403, "Forbidden"},
		"the database is away":                    {[]string{`{"type":"connection_init","payload":{"Authorization":"Bearer no-database"}}`}, 1013, "Unavailable"},
		"a second init":                           {[]string{initGood, initGood}, 4429, "Too many initialisation requests"},
		"a second init with an operation running": {[]string{initGood, forever, initGood}, 4429, "Too many initialisation requests"},
		"an id in use":                            {[]string{initGood, forever, ping}, 4409, "Subscriber for 1 already exists"},
		"an id in use by another kind":            {[]string{initGood, `{"id":"1","type":"subscribe","payload":{"query":"{ waits }"}}`, forever}, 4409, "Subscriber for 1 already exists"},
		"subscribe without id":                    {[]string{initGood, `{"type":"subscribe","payload":{"query":"{ ping }"}}`}, 4400, "id"},
		"subscribe with an empty id":              {[]string{initGood, `{"id":"","type":"subscribe","payload":{"query":"{ ping }"}}`}, 4400, "id"},
		"subscribe with an id that is no string":  {[]string{initGood, `{"id":7,"type":"subscribe","payload":{"query":"{ ping }"}}`}, 4400, "id"},
		"subscribe with an endless id":            {[]string{initGood, `{"id":"` + strings.Repeat("x", 129) + `","type":"subscribe","payload":{"query":"{ ping }"}}`}, 4400, "id"},
		"subscribe without payload":               {[]string{initGood, `{"id":"1","type":"subscribe"}`}, 4400, "payload"},
		"subscribe without query":                 {[]string{initGood, `{"id":"1","type":"subscribe","payload":{}}`}, 4400, "query"},
		"subscribe with a query that is a number": {[]string{initGood, `{"id":"1","type":"subscribe","payload":{"query":1}}`}, 4400, "query"},
		"subscribe with variables in an array":    {[]string{initGood, `{"id":"1","type":"subscribe","payload":{"query":"{ ping }","variables":[]}}`}, 4400, "variables"},
		"subscribe with a bad operationName":      {[]string{initGood, `{"id":"1","type":"subscribe","payload":{"query":"{ ping }","operationName":1}}`}, 4400, "operationName"},
		"subscribe with extensions in a string":   {[]string{initGood, `{"id":"1","type":"subscribe","payload":{"query":"{ ping }","extensions":""}}`}, 4400, "extensions"},
		"complete without id":                     {[]string{initGood, `{"type":"complete"}`}, 4400, "id"},
	} {
		t.Run(why, func(t *testing.T) {
			w := s.dial()
			for _, text := range c.send {
				w.send(text)
			}
			w.closed(c.code, c.reason)
		})
	}
}

func TestSocketsSpeakOneSubprotocolOnly(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for why, protocols := range map[string][]string{"none": nil, "the old one": {"graphql-ws"}, "another": {"mqtt", "graphql-ws"}} {
		t.Run(why, func(t *testing.T) { s.dialAs(protocols).closed(4406, "Subprotocol not acceptable") })
	}
	w := s.dialAs([]string{"graphql-ws", "graphql-transport-ws"})
	w.send(initGood)
	w.expect("", "connection_ack")
}

func TestSocketWithoutInitIsClosedAfterThreeSeconds(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.dial()
	w.send(`{"type":"ping"}`)
	w.expect("", "pong")
	s.clock.Advance(2999 * time.Millisecond)
	w.send(`{"type":"ping"}`)
	w.expect("", "pong")
	s.clock.Advance(time.Millisecond)
	w.closed(4408, "Connection initialisation timeout")
}

func TestSocketRefusesBinaryAndLongFrames(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.open(good)
	if err := w.conn.Write(s.ctx, websocket.MessageBinary, []byte(`{"type":"ping"}`)); err != nil {
		t.Fatal(err)
	}
	w.closed(4400, "binary")
	w = s.open(good)
	w.send(`{"type":"ping","payload":{"a":"` + strings.Repeat("x", 64<<10) + `"}}`)
	w.closed(1009, "")
}

func TestSocketTokenMayComeFromPayloadInAnyCaseOrFromTheUpgrade(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, key := range []string{"Authorization", "authorization", "AUTHORIZATION"} {
		w := s.dial()
		w.send(`{"type":"connection_init","payload":{"` + key + `":"bearer ` + good + `","other":1}}`)
		w.expect("", "connection_ack")
		w.subscribe("1", `{ who }`)
		if got := w.expect("1", "next"); !strings.Contains(got, `"ann tenant-of-ann socket 127.0.0.1"`) {
			t.Errorf("%s: %s", key, got)
		}
	}
	w := s.dial("Authorization", "Bearer "+other)
	w.send(`{"type":"connection_init"}`)
	w.expect("", "connection_ack")
	w.subscribe("1", `{ who }`)
	if got := w.expect("1", "next"); !strings.Contains(got, "bob") {
		t.Errorf("by the upgrade: %s", got)
	}
}

func TestSocketRunsOperationsOfEveryKind(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.open(good)
	w.send(`{"type":"ping"}`)
	w.expect("", "pong")
	w.send(`{"type":"ping","payload":{"n":1}}`)
	if got := w.expect("", "pong"); got != `{"n":1}` {
		t.Errorf("pong carries %s", got)
	}
	w.send(`{"type":"pong"}`)
	w.send(`{"type":"complete","id":"never-seen"}`)
	w.subscribe("q", `{ ping }`)
	if got := w.expect("q", "next"); got != `{"data":{"ping":"pong"}}` {
		t.Errorf("query: %s", got)
	}
	w.expect("q", "complete")
	w.subscribe("q", `mutation { touch(id: "x") }`) // the id is free again
	w.expect("q", "next")
	w.expect("q", "complete")
	w.subscribe("s", `subscription { count(to: 2) }`)
	for i := range 2 {
		if got := w.expect("s", "next"); got != fmt.Sprintf(`{"data":{"count":%d}}`, i) {
			t.Errorf("subscription: %s", got)
		}
	}
	w.expect("s", "complete")
	if err := w.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("the server does not answer a normal closure: %v", err)
	}
}

func TestSocketSendsErrorInsteadOfCompleteForWhatNeverRan(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.open(good)
	for query, code := range map[string]string{
		`{ nothing }`:              "GRAPHQL_VALIDATION_FAILED",
		`{`:                        "GRAPHQL_PARSE_FAILED",
		`subscription { fails }`:   "RESYNC",
		`{ a: ping b: ping ...F }`: "GRAPHQL_VALIDATION_FAILED",
	} {
		w.subscribe("e", query)
		if got := w.expect("e", "error"); !strings.HasPrefix(got, "[") || !strings.Contains(got, code) || !strings.Contains(got, "requestId") {
			t.Errorf("%s: %s", query, got)
		}
	}
	w.subscribe("n", `{ refused ping }`) // a field error is an answer
	if got := w.expect("n", "next"); !strings.Contains(got, `"ping":"pong"`) || !strings.Contains(got, "CONFLICT") {
		t.Error(got)
	}
	w.expect("n", "complete")
	w.subscribe("n", `subscription { ends }`)
	w.expect("n", "next")
	if got := w.expect("n", "error"); !strings.Contains(got, "RESYNC") {
		t.Error(got)
	}
}

func TestCompleteReallyStopsAnOperation(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.open(good)
	for _, query := range []string{`subscription { events { id } }`, `{ waits }`, `mutation { waits }`} {
		w.subscribe("1", query)
		<-s.schema.Began
		w.send(`{"id":"1","type":"complete"}`)
		<-s.schema.Ended
		w.subscribe("1", `{ ping }`) // nothing of the old one comes first
		w.expect("1", "next")
		w.expect("1", "complete")
	}
	w.subscribe("wide", `subscription { wide(bytes: 100) }`)
	s.signal(s.schema.Began, "wide")
	w.expect("wide", "next")
	w.send(`{"id":"wide","type":"complete"}`)
	s.signal(s.schema.Ended, "wide")
	w.subscribe("after", `{ ping }`) // an operation waits for room behind what was queued before
	for m := w.next(); m.ID != "after"; m = w.next() {
		if m.Type != "next" {
			t.Fatalf("after complete came %s", m.Type)
		}
	}
	w.expect("after", "complete")
	w.send(`{"type":"ping"}`)
	w.expect("", "pong")
}

func TestOneSocketRunsFiftyOperationsAtMost(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.open(good)
	for i := range 50 {
		w.subscribe(fmt.Sprint(i), `subscription { events { id } }`)
		s.signal(s.schema.Began, "events")
	}
	w.subscribe("50", `subscription { events { id } }`)
	if got := w.expect("50", "error"); !strings.Contains(got, "LIMIT_REACHED") {
		t.Error(got)
	}
	w.send(`{"id":"7","type":"complete"}`)
	s.signal(s.schema.Ended, "events")
	for { // the goroutine counts until its very end
		w.subscribe("51", `{ ping }`)
		m := w.next()
		if m.Type == "next" {
			w.expect("51", "complete")
			break
		}
	}
	_ = w.conn.CloseNow()
	for range 49 {
		s.signal(s.schema.Ended, "events")
	}
}

func TestSocketsOfOneIdentityAreCountedAndGivenBack(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var sockets []*wire
	for range 20 {
		sockets = append(sockets, s.open(good))
	}
	w := s.dial()
	w.send(initGood)
	w.closed(4403, "too many sockets")
	s.open(other)
	if err := sockets[0].conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	for { // the server notices on its own time
		w := s.dial()
		w.send(initGood)
		if _, _, err := w.conn.Read(s.ctx); err == nil {
			break
		} else if s.ctx.Err() != nil {
			t.Fatal("the place was not given back")
		}
	}
}

func TestSocketsOfAnAddressThatDoNotInitialiseAreCounted(t *testing.T) {
	t.Parallel()
	s := newStage(t, limits(func(l *edge.Limits) { l.OpeningPerAddress = 3 }))
	for range 3 {
		s.dial()
	}
	_, response, err := s.tryDial([]string{"graphql-transport-ws"})
	if err == nil || response == nil || response.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the fourth: %v %v", response, err)
	}
}

func TestSocketClosesAtTokenExpiryAndOnRevocation(t *testing.T) {
	t.Parallel()
	s := newStage(t, limits(func(l *edge.Limits) { l.Ping = 24 * time.Hour }))
	w := s.open(good)
	w.subscribe("1", `subscription { events { id } }`)
	s.signal(s.schema.Began, "events")
	s.clock.Advance(time.Hour)
	w.closed(4403, "Forbidden: token expired")
	s.signal(s.schema.Ended, "events")

	s.expires = time.Time{}
	w = s.open(good)
	w.subscribe("1", `subscription { wide(bytes: 1000) }`)
	w.expect("1", "next")
	s.revoke()
	w.closed(4403, "Forbidden: session ended")
}

func TestSilentSocketIsClosedAndAnAnsweringOneKept(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(o *edge.Options) {
		o.Authenticate = func(context.Context, string) (edge.Identity, error) { return edge.Identity{Key: "ann"}, nil }
	})
	w := s.open(good)
	for range 5 {
		s.clock.Advance(10 * time.Second)
		w.expect("", "ping")
		w.send(`{"type":"pong"}`)
		w.send(`{"type":"ping"}`) // its answer says that the pong was taken
		w.expect("", "pong")
	}
	s.clock.Advance(10 * time.Second)
	w.expect("", "ping")
	s.clock.Advance(10 * time.Second)
	w.closed(1013, "No answer to ping")
}

func TestReaderThatStallsIsCutAndItsResolverEnds(t *testing.T) {
	t.Parallel()
	s := newStage(t, limits(func(l *edge.Limits) { l.Write = 100 * time.Millisecond; l.QueuedMessages = 8 }))
	w := s.open(good)
	w.subscribe("1", `subscription { wide(bytes: 65536) }`)
	s.signal(s.schema.Began, "wide")
	s.signal(s.schema.Ended, "wide") // nobody has read a byte of it
	f := s.stream(`subscription { wide(bytes: 65536) }`)
	s.signal(s.schema.Began, "wide")
	s.signal(s.schema.Ended, "wide")
	f.cancel()
}

func TestSlowReaderIsToldToTryAgain(t *testing.T) {
	t.Parallel()
	const patience = 7777 * time.Second
	armed := make(chan time.Duration, 100)
	s := newStage(t, limits(func(l *edge.Limits) { l.QueuedMessages = 4; l.Write = patience; l.Ping = 9999 * time.Second }),
		func(o *edge.Options) { o.Clock = watched{o.Clock.(*clock.Fake), armed} })
	s.expires = time.Time{}
	w := s.open(good)
	w.subscribe("1", `subscription { wide(bytes: 400000) }`)
	s.signal(s.schema.Began, "wide")
	for waiting := true; waiting; {
		select {
		case d := <-armed:
			if d == patience { // the queue is full: the operation waits for room
				s.clock.Advance(patience)
			}
		case <-s.schema.Ended:
			waiting = false
		case <-s.ctx.Done():
			t.Fatal("the operation still waits")
		}
	}
	w.closed(1013, "Reading too slowly")
}

// watched is a clock that tells what it is asked to wait for.
type watched struct {
	*clock.Fake
	armed chan time.Duration
}

func (w watched) After(d time.Duration) (<-chan time.Time, func()) {
	c, stop := w.Fake.After(d)
	w.armed <- d
	return c, stop
}

func TestClientThatAsksWithoutReadingIsToldToTryAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t, limits(func(l *edge.Limits) { l.QueuedMessages = 4; l.Write = time.Hour }))
	w := s.open(good)
	big := `{"type":"ping","payload":{"a":"` + strings.Repeat("x", 60_000) + `"}}`
	for range 300 {
		if w.conn.Write(s.ctx, websocket.MessageText, []byte(big)) != nil {
			break
		}
	}
	w.closed(1013, "Reading too slowly")
}

func TestLongReplayRunsAtTheReadersPace(t *testing.T) {
	t.Parallel()
	s := newStage(t, limits(func(l *edge.Limits) { l.QueuedMessages = 4 }))
	w := s.open(good)
	w.subscribe("1", `subscription { count(to: 5000) }`)
	for i := range 5000 {
		if got := w.expect("1", "next"); got != fmt.Sprintf(`{"data":{"count":%d}}`, i) {
			t.Fatalf("message %d is %s", i, got)
		}
	}
	w.expect("1", "complete")
}

func TestSocketsOfForeignOriginsAreRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(o *edge.Options) { o.Origins = []string{"https://app.example.com", "https://*.partner.example"} })
	for origin, want := range map[string]int{
		"https://app.example.com":      101,
		"https://a.partner.example":    101,
		s.server.URL:                   101,
		"https://evil.example":         403,
		"https://app.example.com.evil": 403,
		"null":                         403,
	} {
		_, response, _ := s.tryDial([]string{"graphql-transport-ws"}, "Origin", origin)
		if response == nil || response.StatusCode != want {
			t.Errorf("%s: %v, want %d", origin, response, want)
		}
	}
}

func TestShutdownLetsWorkFinishAndClosesWith1001(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	idle, busy := s.open(good), s.open(good)
	idle.subscribe("1", `subscription { events { id } }`)
	s.signal(s.schema.Began, "events")
	busy.subscribe("1", `mutation { waits }`)
	s.signal(s.schema.Began, "mutation")
	f := s.stream(`subscription { count(to: 1) }`, "Authorization", "Bearer "+other)
	s.signal(s.schema.Began, "count")
	stopped := make(chan error, 1)
	go func() { stopped <- s.edge.Shutdown(s.ctx) }()
	idle.closed(1001, "Going away")
	if got := s.post(`{ ping }`); got.status != 503 || got.code() != string(errs.Unavailable) || got.header.Get("Retry-After") == "" {
		t.Errorf("new work: %d %s", got.status, got.body)
	}
	s.schema.Release <- struct{}{}
	if got := busy.expect("1", "next"); !strings.Contains(got, "released") {
		t.Error(got)
	}
	busy.expect("1", "complete")
	busy.closed(1001, "Going away")
	for name := ""; name != "EOF"; {
		name, _ = f.event()
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestShutdownThatMayNotWaitCutsWhatIsLeft(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.open(good)
	w.subscribe("1", `{ waits }`)
	s.signal(s.schema.Began, "query")
	now, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := s.edge.Shutdown(now); err == nil {
		t.Error("no error though a socket was left")
	}
	s.signal(s.schema.Ended, "query")
}

func TestLeavingEndsEverythingOfASocket(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for range 10 {
		w := s.open(good)
		w.subscribe("1", `subscription { events { id } }`)
		w.subscribe("2", `{ waits }`)
		<-s.schema.Began
		<-s.schema.Began
		if s.edge.Streams() == 0 {
			t.Fatal("an open socket is not counted")
		}
		_ = w.conn.CloseNow()
		<-s.schema.Ended
		<-s.schema.Ended
	}
}
