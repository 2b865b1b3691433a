package phone_test

import (
	"slices"
	"testing"

	"switchboard/internal/phone"
)

func TestTheNumberingPlanSaysWhereANumberMayBe(t *testing.T) {
	t.Parallel()
	for e, want := range map[phone.E164][]string{
		"+61255501234":  {"Australia/Sydney"},
		"+12067798181":  {"America/Los_Angeles"},
		"+442073238299": {"Europe/London"},
		"+61491570156":  {"Australia/Adelaide", "Australia/Brisbane", "Australia/Lord_Howe", "Australia/Perth", "Australia/Sydney"},
		"+18005550100":  nil, // freephone
		"+15550001111":  nil, // a range that nobody gave out
		"+881612345678": nil, // satellite
		"":              nil,
		"Anonymous":     nil,
	} {
		if got := phone.TimeZones(e); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", e, got, want)
		}
	}
}
