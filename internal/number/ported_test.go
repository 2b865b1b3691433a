package number_test

import (
	"testing"

	"switchboard/internal/emulator"
	"switchboard/internal/number"
	"switchboard/internal/patch"
)

// R016: a number that was bought, one that was ported in and one that is hosted, whose
// calls stay with another carrier, are taken alike: Twilio lists them all, and what each
// can do is checked.
func TestPortedAndHostedNumbersAreAcceptedAndChecked(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const ported, hosted = "+61255501235", "+61255501236"
	s.number(ported, emulator.NumberSpec{FriendlyName: "Ported in"})
	s.number(hosted, emulator.NumberSpec{FriendlyName: "Hosted", Origin: "hosted", NoVoice: true})
	s.connect()
	s.drain()
	all := s.numbers()
	if len(all) != 3 || all[ported] == nil || all[hosted] == nil {
		t.Fatalf("the import has %s", show(all))
	}
	for e164, c := range map[string]struct {
		why    string
		voice  bool
		warned int
	}{
		ported: {"a ported number is one of Twilio's like any other", true, 0},
		hosted: {"a hosted number texts, and its calls go by another carrier", false, 1},
	} {
		n, _, err := s.svc.Update(t.Context(), s.admin, all[e164].ID, number.Update{IsEnabled: patch.To(true)})
		s.must(err)
		if !n.IsEnabled || n.CanVoice != c.voice || !n.CanSms || len(n.Warnings()) != c.warned {
			t.Errorf("%s: %s warns %v", c.why, show(n.Capabilities()), n.Warnings())
		}
		if w := must1(s.svc.Webhooks(t.Context(), s.admin, n)); w.IsDrifted || s.spec(e164).SMSURL != w.MessageURL {
			t.Errorf("%s: its webhooks are %s", c.why, show(w))
		}
	}
}

// What the doctor asks now is what the regular look asks later.
func TestALookAtOneNumberKeepsWhatTwilioSays(t *testing.T) { // R268, D22
	t.Parallel()
	s := setup(t)
	c, n := s.connect()
	s.drain()
	for _, x := range []struct {
		why    string
		change func(*emulator.NumberSpec)
		lost   bool
		words  int
	}{
		{"a trunk takes the calls", func(n *emulator.NumberSpec) { n.TrunkSID = "TKaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }, false, 1},
		{"as we wrote it", func(n *emulator.NumberSpec) { n.TrunkSID = "" }, false, 0},
		{"texts go nowhere", func(n *emulator.NumberSpec) { n.SMSURL = "" }, false, 1},
	} {
		s.must(s.em.UpdateNumber(office, x.change))
		s.must(s.svc.LookAtNumber(s.ctx(), n.ID))
		if got := s.get(n.ID); len(got.Drifted()) != x.words || got.IsLost() != x.lost {
			t.Errorf("%s: %v", x.why, got.Drifted())
		}
	}
	s.must(s.em.MoveNumber(office, ""))
	s.must(s.svc.Look(s.ctx(), c.ID))
	if got := s.get(n.ID); !got.IsLost() || s.connection(c.ID).CheckedAt == nil {
		t.Errorf("a number that was released: %v", got.Drifted())
	}
}
