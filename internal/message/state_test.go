package message_test

import (
	"math/rand/v2"
	"testing"

	"switchboard/internal/message"
)

func TestAThousandOrdersOfTheSameNewsEndAlike(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	// Lowest first: what is known at the end is the highest that was heard.
	ranks := []message.Status{message.Pending, message.Unknown, message.Queued, message.Sent, message.Undelivered, message.Failed, message.Delivered}
	for range 1000 {
		highest, news := 0, []message.Status{}
		for range 1 + r.IntN(12) {
			i := r.IntN(len(ranks))
			highest = max(highest, i)
			for range 1 + r.IntN(3) {
				news = append(news, ranks[i])
			}
		}
		r.Shuffle(len(news), func(i, j int) { news[i], news[j] = news[j], news[i] })
		s, changes := message.Pending, 0
		for _, n := range news {
			next, changed := s.Next(n)
			if changed != (next != s) {
				t.Fatalf("%s after %s: changed is %v", n, s, changed)
			}
			if changed {
				changes++
			}
			s = next
		}
		if s != ranks[highest] || changes >= len(ranks) {
			t.Fatalf("%v ends %s, want %s", news, s, ranks[highest])
		}
	}
}

func TestAFinalStateIsNotLeftForALesserOne(t *testing.T) {
	t.Parallel()
	all := []message.Status{message.Pending, message.Unknown, message.Queued, message.Sent, message.Undelivered, message.Failed, message.Delivered, message.Received, "NONSENSE"}
	for _, s := range all {
		for _, n := range all {
			next, _ := s.Next(n)
			if s.Final() && !next.Final() {
				t.Errorf("%s became %s by %s", s, next, n)
			}
			if s == message.Received && next != s || n == "NONSENSE" && next != s || n == message.Received && next != s {
				t.Errorf("%s became %s by %s", s, next, n)
			}
		}
	}
}
