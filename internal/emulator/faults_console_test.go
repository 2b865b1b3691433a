package emulator_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/twilio/twilio-go/client"
	v2010 "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

// What people do in the console takes effect on REST at once.
func TestTheConsoleChangesWhatRESTSays(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.must(s.e.SetDialingPermission(accountSID, "fj", false))
	if err := s.e.SetDialingPermission(accountSID, "XX", false); err == nil {
		t.Error("a country that nobody knows is switched off")
	}
	if err := s.e.SetNetwork("slow"); err == nil {
		t.Error("the network is slow, which means nothing")
	}
	if err := s.e.SetAccountType(accountSID, "Gold"); err == nil {
		t.Error("an account is made of gold")
	}
	params := &v2010.CreateCallParams{}
	params.SetTo("+6793301234").SetFrom(office).SetTwiml("<Response/>")
	_, err := s.tw.Api.CreateCall(params)
	if got := codeOf(err); got != 21215 {
		t.Errorf("a call to a country that is off: %d, %v", got, err)
	}
	s.must(s.e.MoveNumber(office, ""))
	if _, there := s.e.Number(office); there {
		t.Error("a number that was released is still there")
	}
	s.must(s.e.SetToken(accountSID, strings.Repeat("f", 32)))
	_, err = s.tw.Api.ListCall(&v2010.ListCallParams{})
	if got := codeOf(err); got != 20003 {
		t.Errorf("the old token gets %d, %v", got, err)
	}
}

func codeOf(err error) int {
	var e *client.TwilioRestError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// What lies between changes what arrives, and what the debugger says.
func TestTheNetworkBetweenIsOneOfThree(t *testing.T) {
	t.Parallel()
	for how, c := range map[string]struct {
		why    string
		posts  int
		alerts []int
	}{
		"":                     {"the post arrives as it was signed", 1, nil},
		emulator.NetworkDown:   {"nobody is reached, and the fallback is not either", 0, []int{11205, 11205}},
		emulator.NetworkDetour: {"something else answers: Twilio is content", 0, nil},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.answer("/voice", "<Response><Hangup/></Response>")
			s.must(s.e.SetNetwork(how))
			_, err := s.e.PlaceInbound(emulator.InboundCall{From: mobile, To: office})
			s.must(err)
			s.must(s.e.WaitIdle(s.ctx))
			if got := len(s.sent("/voice")); got != c.posts {
				t.Errorf("%s: %d posts", c.why, got)
			}
			codes := []int{}
			for _, a := range s.e.Debugger() {
				codes = append(codes, a.Code)
			}
			for _, want := range c.alerts {
				if !slices.Contains(codes, want) {
					t.Errorf("%s: alerts %v", c.why, codes)
				}
			}
			if len(c.alerts) == 0 && len(codes) > 0 {
				t.Errorf("%s: alerts %v", c.why, codes)
			}
		})
	}
}
