package session

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"switchboard/internal/errs"
)

func TestPasswordsAreComputedTwoAtATime(t *testing.T) {
	t.Parallel()
	h, err := newHasher()
	if err != nil {
		t.Fatal(err)
	}
	var leave []func()
	for range 2 {
		l, err := h.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, l)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.verify(gone, "x", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("a third one went in, or waited for ever: %v", err)
	}
	h.waiting.Store(maxWaiting)
	if _, err := h.hash(t.Context(), "x"); errs.CodeOf(err) != errs.Unavailable {
		t.Errorf("the queue has no end: %v", err)
	}
	h.waiting.Store(0)
	for _, l := range leave {
		l()
	}
	if _, err := h.hash(t.Context(), "x"); err != nil {
		t.Errorf("the slots were not given back: %v", err)
	}
}

func TestAPasswordIsVerifiedByItsHashAlone(t *testing.T) {
	t.Parallel()
	h, err := newHasher()
	if err != nil {
		t.Fatal(err)
	}
	stored, err := h.hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		why              string
		password, stored string
		want             bool
	}{
		"right":         {"it is the one", "correct horse", stored, true},
		"wrong":         {"it is another", "correct horses", stored, false},
		"no hash":       {"an invited login has none", "", "", false},
		"much too long": {"nobody has such a one", strings.Repeat("x", maxPassword+1), stored, false},
	} {
		if got, err := h.verify(t.Context(), tc.password, tc.stored); err != nil || got != tc.want {
			t.Errorf("%s: %s: %v, %v", name, tc.why, got, err)
		}
	}
	for _, bad := range []string{"x", "$argon2id$v=19$m=99999999,t=2,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", "$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAA"} {
		if _, err := h.verify(t.Context(), "x", bad); !errors.Is(err, errHash) {
			t.Errorf("the damaged hash %q gives %v", bad, err)
		}
	}
}

func TestAnEmailHasOneSpelling(t *testing.T) {
	t.Parallel()
	for have, want := range map[string]string{
		"ann@example.com":           "ann@example.com",
		"  Ann.O'Neil@EXAMPLE.com ": "ann.o'neil@example.com",
		"a+b@x.test":                "a+b@x.test",
		"":                          "", "ann": "", "@x.test": "", "ann@": "", "a@b@c": "", "ann@x..test": "", "an n@x.test": "",
		"ann@x.test\n":         "ann@x.test",
		"ann\r\nBcc: b@x.test": "", "änn@x.test": "", "ann@x.test.": "",
		strings.Repeat("a", 65) + "@x.test": "", "a@" + strings.Repeat("b", 260): "",
	} {
		got, err := CanonicalEmail(have)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q gives %q, %v; want %q", have, got, err, want)
		}
	}
}

func TestABucketFillsWithTime(t *testing.T) {
	t.Parallel()
	l := newLimiter(2, time.Minute)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	take := func(want bool, why string) {
		t.Helper()
		if _, ok := l.take("k", now); ok != want {
			t.Error(why)
		}
	}
	take(true, "the first is free")
	take(true, "the second is free")
	take(false, "the third is one too many")
	if wait, _ := l.take("k", now); wait != time.Minute {
		t.Errorf("the wait is %v", wait)
	}
	now = now.Add(-time.Hour)
	take(false, "a clock set back gives nothing")
	now = now.Add(time.Hour + time.Minute)
	take(true, "a minute gives one")
	take(false, "and only one")
	l.give("k")
	take(true, "what was given back counts")
	now = now.Add(24 * time.Hour)
	take(true, "a day fills it")
	take(true, "up to two")
	take(false, "and no further")
}
