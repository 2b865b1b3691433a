package clock_test

import (
	"testing"
	"time"

	"switchboard/internal/clock"
)

func TestADayBeginsAtItsFirstMoment(t *testing.T) {
	t.Parallel()
	for why, x := range map[string]struct {
		zone    string
		y, m, d int
		want    string
	}{
		"an ordinary day":                     {"Australia/Sydney", 2026, 11, 21, "2026-11-20T13:00:00Z"},
		"clocks jump over midnight":           {"America/Santiago", 2026, 9, 6, "2026-09-06T04:00:00Z"},
		"midnight comes twice":                {"America/Havana", 2026, 11, 1, "2026-11-01T04:00:00Z"},
		"a day that a zone left out":          {"Pacific/Apia", 2011, 12, 30, "2011-12-30T10:00:00Z"},
		"the day after a month's last":        {"UTC", 2026, 2, 29, "2026-03-01T00:00:00Z"},
		"the day after the last of all years": {"UTC", 9999, 12, 32, "10000-01-01T00:00:00Z"},
		"before the common era":               {"UTC", 0, 1, 0, "-0001-12-31T00:00:00Z"},
	} {
		zone, err := time.LoadLocation(x.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := clock.Midnight(x.y, time.Month(x.m), x.d, zone).UTC().Format(time.RFC3339); got != x.want {
			t.Errorf("%s: %s, want %s", why, got, x.want)
		}
	}
}
