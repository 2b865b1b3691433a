package model_test

import (
	"testing"
	"time"

	"switchboard/graph/model"
)

func TestADayBeginsWithItsFirstMoment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		why  string
		day  model.Date
		zone string
		want string
	}{
		"UTC":           {"", model.Date{Year: 2026, Month: 3, Day: 1}, "UTC", "2026-03-01T00:00:00Z"},
		"Sydney":        {"clocks change at two", model.Date{Year: 2026, Month: 10, Day: 4}, "Australia/Sydney", "2026-10-03T14:00:00Z"},
		"no midnight":   {"clocks go from 00:00 to 01:00", model.Date{Year: 2024, Month: 9, Day: 8}, "America/Santiago", "2024-09-08T04:00:00Z"},
		"two midnights": {"clocks go from 01:00 to 00:00", model.Date{Year: 2024, Month: 11, Day: 3}, "America/Havana", "2024-11-03T04:00:00Z"},
		"carried over":  {"the day after the last", model.Date{Year: 2026, Month: 2, Day: 29}, "UTC", "2026-03-01T00:00:00Z"},
		"left out":      {"Samoa had no such day", model.Date{Year: 2011, Month: 12, Day: 30}, "Pacific/Apia", "2011-12-30T10:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.day.In(zone).UTC().Format(time.RFC3339); got != c.want {
				t.Errorf("%s: %s begins at %s, want %s", c.why, c.day, got, c.want)
			}
		})
	}
}
