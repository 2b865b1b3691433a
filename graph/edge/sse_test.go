package edge_test

import (
	"strings"
	"testing"
	"time"

	"switchboard/graph/edge"
	"switchboard/graph/edge/internal/testschema"
)

func TestEventStreamDeliversNextThenComplete(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f := s.stream(`subscription { count(to: 2) }`)
	if got := f.response.Header.Get("Content-Type"); got != "text/event-stream; charset=utf-8" {
		t.Fatalf("content type is %q", got)
	}
	f.expect(":", "")
	f.expect("next", `{"data":{"count":0}}`)
	f.expect("next", `{"data":{"count":1}}`)
	f.expect("complete", "")
	f.expect("EOF", "")
}

func TestEventStreamCarriesQueriesAndMutationsToo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for query, want := range map[string]string{`{ ping }`: `"pong"`, `mutation { touch(id: "a") }`: `"a"`} {
		f := s.stream(query)
		f.expect(":", "")
		f.expect("next", want)
		f.expect("complete", "")
	}
}

func TestEventStreamReportsErrorsInsideTheStream(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for query, want := range map[string]string{
		`subscription { nothing }`: "GRAPHQL_VALIDATION_FAILED",
		`subscription {`:           "GRAPHQL_PARSE_FAILED",
		`subscription { fails }`:   "RESYNC",
		`{ viewer { friends { friends { friends { friends { friends { friends { friends { friends { friends { friends { friends { friends { friends { friends { id } } } } } } } } } } } } } } } }`: "LIMIT_REACHED",
	} {
		f := s.stream(query)
		f.expect(":", "")
		f.expect("next", want)
		f.expect("complete", "")
	}
}

func TestEventStreamEndsWithTheErrorOfItsSource(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f := s.stream(`subscription { ends }`)
	f.expect(":", "")
	f.expect("next", `{"data":{"ends":0}}`)
	f.expect("next", "RESYNC")
	f.expect("complete", "")
}

func TestEventStreamNeedsATokenAndRefusesBadOnes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for why, header := range map[string]string{"anonymous": "-", "bad token": "Bearer nonsense"} {
		r := s.request("POST", "/", asBody(`subscription { events { id } }`), "Content-Type", "application/json", "Accept", "text/event-stream")
		if header != "-" {
			r.Header.Set("Authorization", header)
		}
		got := s.do(r)
		if got.status != 401 || got.code() != "UNAUTHENTICATED" || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: %d %s", why, got.status, got.body)
		}
	}
}

func TestEventStreamEndsAtTokenExpiry(t *testing.T) {
	t.Parallel()
	s := newStage(t, limits(func(l *edge.Limits) { l.Ping = 24 * time.Hour }))
	f := s.stream(`subscription { events { id } }`)
	f.expect(":", "")
	s.signal(s.schema.Began, "events")
	s.clock.Advance(time.Hour)
	f.expect("next", "UNAUTHENTICATED")
	f.expect("complete", "")
	f.expect("EOF", "")
	s.signal(s.schema.Ended, "events")
}

func TestEventStreamEndsWhenTheSessionIsRevoked(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f := s.stream(`subscription { events { id } }`)
	f.expect(":", "")
	s.revoke()
	f.expect("next", "UNAUTHENTICATED")
	f.expect("complete", "")
	s.signal(s.schema.Ended, "events")
}

func TestEventStreamIsKeptAliveByComments(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f := s.stream(`subscription { events { id } }`)
	f.expect(":", "")
	for range 3 {
		s.clock.Advance(10 * time.Second)
		f.expect(":", "")
	}
	s.schema.Feed <- &testschema.Event{ID: "event_1"}
	f.expect("next", "event_1")
}

func TestEventStreamEndsItsResolverWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f := s.stream(`subscription { events { id } }`)
	f.expect(":", "")
	s.signal(s.schema.Began, "events")
	f.cancel()
	s.signal(s.schema.Ended, "events")
}

func TestEventStreamsOfOneIdentityAreCounted(t *testing.T) {
	t.Parallel()
	s := newStage(t, limits(func(l *edge.Limits) { l.StreamsPerIdentity = 2 }))
	for range 2 {
		s.stream(`subscription { events { id } }`).expect(":", "")
	}
	got := s.post(`subscription { events { id } }`, "Accept", "text/event-stream")
	if got.status != 429 || got.code() != "LIMIT_REACHED" {
		t.Errorf("third stream: %d %s", got.status, got.body)
	}
	w := s.dial()
	w.send(`{"type":"connection_init","payload":{"Authorization":"Bearer ` + good + `"}}`)
	w.closed(4403, "too many")
	s.stream(`subscription { events { id } }`, "Authorization", "Bearer "+other).expect(":", "")
}

func TestEventStreamByGETCannotMutate(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	got := s.do(s.request("GET", "/?query=mutation%7Btouch(id%3A1)%7D", "", "Accept", "text/event-stream", "Authorization", "Bearer "+good))
	if got.status != 405 || len(s.schema.Began) != 0 {
		t.Errorf("%d %s", got.status, got.body)
	}
}
