package call_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/twilio"
)

// post is one request of Twilio. TwiML requests keep their order; callbacks come
// in any order and number.
type post struct {
	twiml bool
	do    func(s *stage, c *call.Call, legs []*call.Leg)
}

func legPost(device int, n int, word string, at, seq int, long ...int) post {
	return post{do: func(s *stage, c *call.Call, legs []*call.Leg) {
		l := legOf(legs, []id.ID{s.annDev, s.bobDev}[device])
		s.leg(c, l, n, word, at, seq, long...)
	}}
}

func endPost(word string, at, long int) post {
	return post{do: func(s *stage, _ *call.Call, _ []*call.Leg) { s.over(1, word, at, long) }}
}

func dialPost(step int, word, parent string, n, long int) post {
	return post{twiml: true, do: func(s *stage, c *call.Call, _ []*call.Leg) { s.afterDial(c, step, word, parent, n, long) }}
}

func recordPost(step, n, long int) post {
	return post{twiml: true, do: func(s *stage, c *call.Call, _ []*call.Leg) { s.afterRecord(c, step, n, long) }}
}

func soundPost(n int, word, source string, channels, from, long int) post {
	return post{do: func(s *stage, c *call.Call, _ []*call.Leg) { s.sound(c, n, word, source, channels, from, long) }}
}

func (s *stage) sound(c *call.Call, n int, word, source string, channels, from, long int) {
	s.t.Helper()
	f := twilio.RecordingForm{CallSID: *c.TwilioSID, RecordingSID: sid("RE", n), Status: word, Source: source, Channels: channels, StartedAt: s.sec(from)}
	if word == "completed" {
		f.DurationSeconds = &long
	}
	s.tx(func(ctx context.Context, tx *db.Tx) error { return s.calls.RecordingStatus(ctx, tx, c.ID, f) })
}

func (s *stage) afterRecord(c *call.Call, step, n, long int) twilio.Response {
	s.t.Helper()
	f := twilio.RecordForm{CallForm: twilio.CallForm{CallSID: *c.TwilioSID, Status: "completed", Digits: "hangup"}, RecordingSID: sid("RE", n), DurationSeconds: &long}
	var doc twilio.Response
	s.tx(func(ctx context.Context, tx *db.Tx) (err error) {
		doc, err = s.calls.AfterRecord(ctx, tx, c.ID, step, f, hooks{})
		return err
	})
	return doc
}

// rows are the call's rows as text, with names in place of the ids of this organization.
func (s *stage) rows(c *call.Call, legs []*call.Leg) string {
	s.t.Helper()
	var out []string
	s.tx(func(ctx context.Context, tx *db.Tx) error {
		for _, q := range []string{
			`SELECT (to_jsonb(x) - '{id,created_at,updated_at,route}'::text[])::text FROM call x WHERE organization_id = $1 AND id = $2`,
			`SELECT (to_jsonb(x) - '{created_at,updated_at}'::text[])::text FROM call_leg x WHERE organization_id = $1 AND call_id = $2 ORDER BY step, device_id, twilio_sid`,
			`SELECT (to_jsonb(x) - '{id,created_at,updated_at}'::text[])::text FROM recording x WHERE organization_id = $1 AND call_id = $2 ORDER BY twilio_sid`,
			`SELECT (to_jsonb(x) - '{id,recording_id,created_at,updated_at}'::text[])::text FROM voicemail x WHERE organization_id = $1 AND call_id = $2`,
		} {
			rows, err := tx.Pgx().Query(ctx, q, s.org, c.ID)
			if err != nil {
				return err
			}
			for rows.Next() {
				var text string
				if err := rows.Scan(&text); err != nil {
					return err
				}
				out = append(out, text)
			}
			if rows.Close(); rows.Err() != nil {
				return rows.Err()
			}
		}
		return nil
	})
	names := []string{}
	name := func(x id.ID, as string) {
		v, _ := x.Value()
		names = append(names, fmt.Sprint(v), as)
	}
	name(s.org, "org")
	name(s.conn, "connection")
	name(s.number, "number")
	name(s.branch, "branch")
	name(s.ann, "ann")
	name(s.bob, "bob")
	name(s.annDev, "ann's device")
	name(s.bobDev, "bob's device")
	name(c.ID, "call")
	names = append(names, s.annDev.String(), "ann's device", s.bobDev.String(), "bob's device")
	for _, l := range legs {
		name(l.ID, fmt.Sprintf("leg %s %d %d", l.Kind, l.Step, map[bool]int{true: 1}[l.DeviceID == s.annDev]))
	}
	text := strings.NewReplacer(names...).Replace(strings.Join(out, "\n"))
	return moments.ReplaceAllStringFunc(text, func(m string) string {
		at, err := time.Parse(time.RFC3339Nano, m)
		if err != nil {
			s.t.Fatal(err)
		}
		return "+" + at.Sub(s.zero).String()
	})
}

var moments = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+\+00:00`)

// T11 through the store: the same posts in any order and number leave the same rows.
func TestPostsInAnyOrderLeaveTheSameRows(t *testing.T) {
	t.Parallel()
	scenarios := map[string][]post{
		"answered, recorded with two channels": {
			legPost(0, 11, "initiated", 0, 0), legPost(0, 11, "ringing", 1, 1), legPost(0, 11, "canceled", 5, 2),
			legPost(1, 12, "initiated", 0, 0), legPost(1, 12, "ringing", 1, 1), legPost(1, 12, "in-progress", 5, 2), legPost(1, 12, "completed", 35, 3, 30),
			soundPost(1, "in-progress", "DialVerb", 2, 5, 0), soundPost(1, "completed", "DialVerb", 2, 5, 30),
			dialPost(1, "completed", "in-progress", 12, 30), endPost("completed", 35, 35),
		},
		"nobody, then a voicemail": {
			legPost(0, 11, "initiated", 0, 0), legPost(0, 11, "ringing", 1, 1), legPost(0, 11, "no-answer", 25, 2),
			legPost(1, 12, "initiated", 0, 0), legPost(1, 12, "ringing", 1, 1), legPost(1, 12, "busy", 9, 2),
			dialPost(1, "no-answer", "ringing", 0, 0), soundPost(1, "in-progress", "RecordVerb", 1, 30, 0), recordPost(2, 1, 12),
			soundPost(1, "completed", "RecordVerb", 1, 30, 12), endPost("completed", 42, 42),
		},
		"the voicemail is absent": {
			legPost(0, 11, "ringing", 1, 0), legPost(0, 11, "no-answer", 25, 1), legPost(1, 12, "ringing", 1, 0), legPost(1, 12, "no-answer", 25, 1),
			dialPost(1, "no-answer", "ringing", 0, 0), recordPost(2, 1, 1), soundPost(1, "absent", "RecordVerb", 1, 30, 0), endPost("completed", 32, 32),
		},
		"the caller hangs up": {
			legPost(0, 11, "ringing", 1, 0), legPost(0, 11, "canceled", 6, 1), legPost(1, 12, "ringing", 1, 0), legPost(1, 12, "canceled", 6, 1),
			dialPost(1, "canceled", "no-answer", 0, 0), endPost("no-answer", 6, 0),
		},
	}
	for name, posts := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			seed := rand.Uint64()
			r := rand.New(rand.NewPCG(seed, 3))
			want := ""
			for order := range 20 {
				if order > 0 {
					s.clock.Advance(time.Hour)
					s.settle()
				}
				s.arrives(1, theirs)
				c, legs := s.only()
				s.clock.Advance(2 * time.Minute)
				for _, p := range shuffled(r, posts, order > 0) {
					p.do(s, c, legs)
				}
				c, legs = s.only()
				got := s.rows(c, legs)
				if want == "" {
					want = got
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("seed %d, order %d:\n%s", seed, order, diff)
				}
			}
			if !strings.Contains(want, `"status": "ENDED"`) {
				t.Errorf("the call did not end:\n%s", want)
			}
		})
	}
}

// shuffled repeats some callbacks and mixes all; TwiML requests come once, in their order.
func shuffled(r *rand.Rand, posts []post, mix bool) []post {
	if !mix {
		return posts
	}
	var out, asks []post
	for _, p := range posts {
		out = append(out, p)
		if p.twiml {
			asks = append(asks, p)
		} else if r.IntN(3) == 0 {
			out = append(out, p)
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	for i := range out {
		if out[i].twiml {
			out[i], asks = asks[0], asks[1:]
		}
	}
	return out
}
