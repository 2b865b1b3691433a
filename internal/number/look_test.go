package number_test

import (
	"testing"
	"time"

	"switchboard/internal/emulator"
)

// The regular look has minutes where a live one has seconds: a live look that fails, as
// that at a large account does, must not put the regular one off.
func TestALookThatFailsLeavesTheRegularOneDue(t *testing.T) {
	t.Parallel()
	s := setup(t)
	c, n := s.connect()
	s.must(s.svc.Look(s.ctx(), c.ID))
	looked := s.connection(c.ID).CheckedAt
	if looked == nil || !looked.Equal(start) {
		t.Fatalf("looked at %v", looked)
	}
	s.must(s.em.UpdateNumber(office, func(n *emulator.NumberSpec) { n.VoiceURL = demoURL }))
	for range 20 { // every quarter of an hour, for five hours
		s.clock.Advance(15 * time.Minute)
		s.em.FailNext(emulator.Fault{Path: "/IncomingPhoneNumbers", Fate: emulator.FateRefuse, Code: 20003})
		if err := s.svc.Look(s.ctx(), c.ID); err == nil {
			t.Fatal("the live look did not fail")
		}
	}
	if at := s.connection(c.ID).CheckedAt; !at.Equal(*looked) {
		t.Errorf("looks that failed say that it was looked at, at %v", at)
	}
	s.must(s.run().RunSweeps(t.Context()))
	s.drain()
	if drift := s.get(n.ID).Drifted(); len(drift) == 0 {
		t.Error("the regular look did not see what was changed")
	}
}
