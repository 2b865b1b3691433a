package message_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchboard/internal/message"
	"switchboard/internal/phone"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// local is a moment by a zone's clock; where the clock shows it twice, the first.
func local(t testing.TB, z, clock string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04:05", clock, zone(t, z))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

var night = message.Quiet{From: "21:00", To: "08:00"}

func TestQuietHoursEndByTheRecipientsClock(t *testing.T) {
	t.Parallel()
	sunday := []time.Weekday{time.Sunday}
	for name, c := range map[string]struct {
		why, zone string
		quiet     message.Quiet
		at, want  string
	}{
		"in the day":          {"nothing to wait for", "Australia/Sydney", night, "2026-11-24 14:30:07", "2026-11-24 14:30:07"},
		"evening":             {"over midnight", "Australia/Sydney", night, "2026-11-24 22:15:30", "2026-11-25 08:00:00"},
		"after midnight":      {"", "Australia/Sydney", night, "2026-11-25 00:00:00", "2026-11-25 08:00:00"},
		"the first moment":    {"21:00 is quiet", "Europe/Berlin", night, "2026-11-24 21:00:00", "2026-11-25 08:00:00"},
		"the last moment":     {"", "Europe/Berlin", night, "2026-11-24 07:59:59", "2026-11-24 08:00:00"},
		"the end":             {"08:00 is not", "Europe/Berlin", night, "2026-11-24 08:00:00", "2026-11-24 08:00:00"},
		"just before":         {"", "Europe/Berlin", night, "2026-11-24 20:59:59", "2026-11-24 20:59:59"},
		"noon rest":           {"not over midnight", "Europe/Rome", message.Quiet{From: "12:00", To: "14:00"}, "2026-11-24 13:00:00", "2026-11-24 14:00:00"},
		"half-hour zone":      {"", "Asia/Kolkata", night, "2026-11-24 06:10:00", "2026-11-24 08:00:00"},
		"45-minute zone":      {"", "Asia/Kathmandu", night, "2026-11-24 23:59:59", "2026-11-25 08:00:00"},
		"end of year":         {"", "Pacific/Auckland", night, "2026-12-31 23:00:00", "2027-01-01 08:00:00"},
		"none":                {"", "Europe/Berlin", message.Quiet{}, "2026-11-24 03:00:00", "2026-11-24 03:00:00"},
		"Sunday":              {"the whole day and its night", "Europe/Berlin", message.Quiet{From: "21:00", To: "08:00", Days: sunday}, "2026-11-22 10:00:00", "2026-11-23 08:00:00"},
		"Saturday evening":    {"through Sunday", "Europe/Berlin", message.Quiet{From: "21:00", To: "08:00", Days: sunday}, "2026-11-21 22:00:00", "2026-11-23 08:00:00"},
		"only Sunday":         {"up to midnight", "Europe/Berlin", message.Quiet{Days: sunday}, "2026-11-22 10:00:00", "2026-11-23 00:00:00"},
		"six days":            {"the one that is left", "Europe/Berlin", message.Quiet{Days: []time.Weekday{0, 1, 2, 4, 5, 6}}, "2026-11-26 10:00:00", "2026-12-02 00:00:00"},
		"hours that are none": {"Check refuses them; nothing waits for ever", "Europe/Berlin", message.Quiet{From: "08:00", To: "08:00"}, "2026-11-24 03:00:00", "2026-11-24 03:00:00"},
		"all days":            {"likewise", "Europe/Berlin", message.Quiet{Days: []time.Weekday{0, 1, 2, 3, 4, 5, 6}}, "2026-11-24 03:00:00", "2026-11-24 03:00:00"},
		"night of 25 hours":   {"the clock goes back in it", "Europe/Berlin", night, "2026-10-24 22:00:00", "2026-10-25 08:00:00"},
		"night of 23 hours":   {"the clock goes forward in it", "America/New_York", night, "2026-03-07 22:00:00", "2026-03-08 08:00:00"},
		"forward, south":      {"", "Australia/Sydney", night, "2026-10-03 23:30:00", "2026-10-04 08:00:00"},
		"end in the gap":      {"02:30 does not exist that day: the jump is the end", "America/New_York", message.Quiet{From: "22:00", To: "02:30"}, "2026-03-07 23:00:00", "2026-03-08 03:00:00"},
		"start in the gap":    {"03:00 is past 02:30", "America/New_York", message.Quiet{From: "02:30", To: "04:00"}, "2026-03-08 03:00:00", "2026-03-08 04:00:00"},
		"Sunday with a gap":   {"a day of 23 hours", "Europe/Berlin", message.Quiet{Days: sunday}, "2026-03-29 00:30:00", "2026-03-30 00:00:00"},
		"Sunday twice 02":     {"a day of 25 hours", "Europe/Berlin", message.Quiet{Days: sunday}, "2026-10-25 00:30:00", "2026-10-26 00:00:00"},
		"gap at midnight":     {"Cairo's day begins at 01:00", "Africa/Cairo", message.Quiet{Days: []time.Weekday{time.Thursday}}, "2026-04-23 12:00:00", "2026-04-24 01:00:00"},
	} {
		at := local(t, c.zone, c.at)
		if got, want := c.quiet.Next(at, zone(t, c.zone)), local(t, c.zone, c.want); !got.Equal(want) {
			t.Errorf("%s: got %s, want %s (%s)", name, got.In(zone(t, c.zone)), want, c.why)
		}
	}
	at := local(t, "UTC", "2026-11-24 22:00:00")
	if got := night.Next(at, nil); !got.Equal(local(t, "UTC", "2026-11-25 08:00:00")) {
		t.Errorf("without a zone: %s", got)
	}
}

func TestAnHourThatComesTwiceIsQuietTwice(t *testing.T) {
	t.Parallel()
	// New York, 1 November 2026: at 02:00 it becomes 01:00 again.
	q, ny := message.Quiet{From: "00:00", To: "01:30"}, zone(t, "America/New_York")
	first := time.Date(2026, 11, 1, 5, 10, 0, 0, time.UTC)  // 01:10, summer time
	second := time.Date(2026, 11, 1, 6, 10, 0, 0, time.UTC) // 01:10, winter time
	if got, want := q.Next(first, ny), time.Date(2026, 11, 1, 5, 30, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("the first time: got %s, want %s", got, want)
	}
	if got, want := q.Next(second, ny), time.Date(2026, 11, 1, 6, 30, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("the second time: got %s, want %s", got, want)
	}
}

// slowNext looks at every minute.
func slowNext(q message.Quiet, t time.Time, z *time.Location) time.Time {
	quiet := func(t time.Time) bool {
		l := t.In(z)
		clock := l.Format("15:04")
		switch {
		case slices.Contains(q.Days, l.Weekday()):
			return true
		case q.From < q.To:
			return q.From <= clock && clock < q.To
		case q.From > q.To:
			return q.From <= clock || clock < q.To
		}
		return false
	}
	if !quiet(t) {
		return t
	}
	for t = t.Truncate(time.Minute); quiet(t); {
		t = t.Add(time.Minute)
	}
	return t
}

func TestTheNextMomentIsTheFirstThatIsNotQuiet(t *testing.T) {
	t.Parallel()
	names := []string{"UTC", "America/New_York", "Europe/Berlin", "Australia/Sydney", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo", "America/St_Johns", "Pacific/Apia", "America/Santiago"}
	clock := rapid.Custom(func(t *rapid.T) string {
		return time.Date(0, 1, 1, rapid.IntRange(0, 23).Draw(t, "h"), rapid.SampledFrom([]int{0, 15, 30, 59}).Draw(t, "m"), 0, 0, time.UTC).Format("15:04")
	})
	rapid.Check(t, func(rt *rapid.T) {
		z := zone(t, rapid.SampledFrom(names).Draw(rt, "zone"))
		q := message.Quiet{From: clock.Draw(rt, "from"), To: clock.Draw(rt, "to"), Days: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) time.Weekday {
			return time.Weekday(rapid.IntRange(0, 6).Draw(t, "day"))
		}), 0, 3).Draw(rt, "days")}
		at := time.Unix(rapid.Int64Range(1767225600, 1830297600).Draw(rt, "at"), 0) // 2026 and 2027
		if got, want := q.Next(at, z), slowNext(q, at, z); !got.Equal(want) {
			rt.Fatalf("%+v in %s at %s: got %s, want %s", q, z, at.In(z), got.In(z), want.In(z))
		}
	})
}

func TestQuietHoursMustLeaveTimeToSend(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		q    message.Quiet
		says string
	}{
		"night":     {night, ""},
		"none":      {message.Quiet{}, ""},
		"Sunday":    {message.Quiet{Days: []time.Weekday{0, 0}}, ""},
		"half":      {message.Quiet{From: "21:00"}, "a beginning and an end"},
		"no time":   {message.Quiet{From: "9pm", To: "08:00"}, "hours and minutes"},
		"one digit": {message.Quiet{From: "21:00", To: "8:00"}, "hours and minutes"},
		"24":        {message.Quiet{From: "24:00", To: "08:00"}, "hours and minutes"},
		"sign":      {message.Quiet{From: "-1:00", To: "08:00"}, "hours and minutes"},
		"always":    {message.Quiet{From: "08:00", To: "08:00"}, "leave no time"},
		"all days":  {message.Quiet{Days: []time.Weekday{0, 1, 2, 3, 4, 5, 6}}, "every day of the week"},
		"day 7":     {message.Quiet{Days: []time.Weekday{7}}, "a day of the week"},
	} {
		if err := c.q.Check(); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
}

func TestWhoMayBeAnywhereIsLeftInPeaceEverywhere(t *testing.T) {
	t.Parallel()
	all := func(names ...string) (out []*time.Location) {
		for _, n := range names {
			out = append(out, zone(t, n))
		}
		return out
	}
	for name, c := range map[string]struct {
		why   string
		zones []*time.Location
		at    time.Time
		want  time.Time
	}{
		"one":          {"as Next", all("Europe/Berlin"), local(t, "Europe/Berlin", "2026-11-24 22:00:00"), local(t, "Europe/Berlin", "2026-11-25 08:00:00")},
		"coasts":       {"New York's morning is Los Angeles' night", all("America/New_York", "America/Los_Angeles"), local(t, "America/New_York", "2026-11-24 09:00:00"), local(t, "America/Los_Angeles", "2026-11-24 08:00:00")},
		"evening":      {"over in the east already", all("America/Los_Angeles", "America/New_York"), local(t, "America/Los_Angeles", "2026-11-24 19:00:00"), local(t, "America/Los_Angeles", "2026-11-25 08:00:00")},
		"never":        {"the first zone decides", all("Europe/Berlin", "Pacific/Auckland"), local(t, "Europe/Berlin", "2026-11-24 22:00:00"), local(t, "Europe/Berlin", "2026-11-25 08:00:00")},
		"no zone":      {"UTC", nil, local(t, "UTC", "2026-11-24 22:00:00"), local(t, "UTC", "2026-11-25 08:00:00")},
		"not quiet":    {"at once", all("America/New_York", "America/Los_Angeles"), local(t, "America/New_York", "2026-11-24 13:00:00"), local(t, "America/New_York", "2026-11-24 13:00:00")},
		"across dates": {"Sunday in either place", all("Australia/Perth", "Australia/Sydney"), local(t, "Australia/Sydney", "2026-11-24 08:00:00"), local(t, "Australia/Perth", "2026-11-24 08:00:00")},
	} {
		if got := night.NextForAll(c.at, c.zones); !got.Equal(c.want) {
			t.Errorf("%s: got %s, want %s (%s)", name, got.UTC(), c.want.UTC(), c.why)
		}
	}
}

func TestWhereARecipientMayBe(t *testing.T) {
	t.Parallel()
	sydney := zone(t, "Australia/Sydney")
	for name, c := range map[string]struct {
		why, number, contact string
		fallback             *time.Location
		want                 []string
		one                  string
	}{
		"contact's own":  {"counts most", "+12067798181", "Europe/Rome", sydney, []string{"Europe/Rome"}, "Europe/Rome"},
		"area code":      {"one zone", "+12067798181", "", sydney, []string{"America/Los_Angeles"}, "America/Los_Angeles"},
		"contact broken": {"as if it were not known", "+12067798181", "Mars/Base", sydney, []string{"America/Los_Angeles"}, "America/Los_Angeles"},
		"our own clock":  {"the server's zone is nobody's", "+12067798181", "Local", sydney, []string{"America/Los_Angeles"}, "America/Los_Angeles"},
		"mobile":         {"anywhere on the continent, the business's zone first", "+61491570156", "", sydney, []string{"Australia/Sydney", "Australia/Adelaide", "Australia/Brisbane", "Australia/Lord_Howe", "Australia/Perth"}, "Australia/Sydney"},
		"toll-free":      {"could be anywhere", "+18005550100", "", sydney, []string{"Australia/Sydney"}, "Australia/Sydney"},
		"no number":      {"", "", "", sydney, []string{"Australia/Sydney"}, "Australia/Sydney"},
		"a word":         {"", "Anonymous", "", nil, []string{"UTC"}, "UTC"},
	} {
		var got []string
		for _, z := range message.ZonesOf(phone.E164(c.number), c.contact, c.fallback) {
			got = append(got, z.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v (%s)", name, got, c.want, c.why)
		}
		if z := message.ZoneOf(phone.E164(c.number), c.contact, c.fallback); z.String() != c.one {
			t.Errorf("%s: times are written for %s, want %s", name, z, c.one)
		}
	}
	// Several names for one clock are one zone to write times in.
	british := message.ZoneOf("+447400123456", "", sydney)
	if at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC); at.In(british).Hour() != 13 {
		t.Errorf("a British mobile is in %s", british)
	}
}

func BenchmarkNextForAll(b *testing.B) {
	zones := message.ZonesOf("+61491570156", "", zone(b, "Australia/Sydney"))
	at := local(b, "Australia/Sydney", "2026-11-24 22:00:00")
	for b.Loop() {
		night.NextForAll(at, zones)
	}
}
