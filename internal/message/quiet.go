package message

import (
	"slices"
	"sync"
	"time"

	"switchboard/internal/errs"
	"switchboard/internal/phone"
)

// Quiet are the hours in which nothing is sent by itself, on the recipient's
// clock. The zero Quiet is none.
type Quiet struct {
	From, To string         // "21:00" and "08:00", over midnight when To is the earlier; both empty: none
	Days     []time.Weekday // on which nothing is sent at all
}

// Check is nil for quiet hours that make sense and leave some time to send.
func (q Quiet) Check() error {
	from, ok1 := clockTime(q.From)
	to, ok2 := clockTime(q.To)
	switch {
	case (q.From == "") != (q.To == ""):
		return errs.New(errs.Invalid, "quiet hours need a beginning and an end, such as 21:00 and 08:00")
	case q.From != "" && !(ok1 && ok2):
		return errs.New(errs.Invalid, "write quiet hours as hours and minutes from 00:00 to 23:59, such as 21:00 and 08:00")
	case q.From != "" && from == to:
		return errs.New(errs.Invalid, "quiet hours that end when they begin leave no time to send; choose another end or none")
	}
	seen := map[time.Weekday]bool{}
	for _, d := range q.Days {
		if d < time.Sunday || d > time.Saturday {
			return errs.New(errs.Invalid, "a quiet day is a day of the week")
		}
		seen[d] = true
	}
	if len(seen) == 7 {
		return errs.New(errs.Invalid, "every day of the week is quiet; leave one to send")
	}
	return nil
}

// clockTime reads "08:00" as the time since midnight.
func clockTime(s string) (time.Duration, bool) {
	if len(s) != 5 {
		return 0, false
	}
	t, err := time.Parse(timeLayout, s)
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, err == nil
}

const day = 24 * time.Hour

// wait is how long by the local clock it stays quiet; 0 when it is not.
func (q Quiet) wait(local time.Time) time.Duration {
	h, m, s := local.Clock()
	now := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second + time.Duration(local.Nanosecond())
	if slices.Contains(q.Days, local.Weekday()) {
		return day - now
	}
	from, ok1 := clockTime(q.From)
	to, ok2 := clockTime(q.To)
	switch {
	case !ok1 || !ok2 || from == to:
		return 0
	case from < to && now >= from && now < to:
		return to - now
	case from > to && now >= from:
		return day - now + to
	case from > to && now < to:
		return to - now
	}
	return 0
}

// Next is the first moment at or after t that is not quiet in the zone, nil being
// UTC. The wall clock counts: when it jumps over the end, the jump is the end,
// and when it goes back into the quiet hours, they are quiet again. Hours that
// Check refuses, as they never end, hold nothing back.
func (q Quiet) Next(t time.Time, zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	if len(q.Days) >= 7 && q.Check() != nil {
		return t
	}
	for at := t; ; {
		local := at.In(zone)
		wait := q.wait(local)
		if wait == 0 {
			return at
		}
		next := at.Add(wait)
		// Up to the next change of the clock, local time runs like time.
		if _, change := local.ZoneBounds(); !change.IsZero() && change.Before(next) {
			next = change
		}
		at = next
	}
}

// horizon is how far ahead NextForAll looks: past a weekend and a change of the clock.
const horizon = 15 * day

// NextForAll is the first moment at or after t that is quiet in none of the
// zones, for a recipient who may be in any of them. Zones so far apart that one
// of them is always quiet have no such moment: the first zone then decides. No
// zone is UTC.
func (q Quiet) NextForAll(t time.Time, zones []*time.Location) time.Time {
	if len(zones) == 0 {
		zones = []*time.Location{time.UTC}
	}
	at := t
	for quiet := true; quiet; {
		quiet = false
		for _, z := range zones {
			if next := q.Next(at, z); next.After(at) {
				at, quiet = next, true
			}
		}
		if at.Sub(t) > horizon {
			return q.Next(t, zones[0])
		}
	}
	return at
}

// zones keeps the locations that were loaded: a few hundred names exist, and
// those that do not are not kept.
var zones sync.Map // name to *time.Location

func loadZone(name string) (*time.Location, bool) {
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location), true
	}
	if name == "" || name == "Local" || len(name) > 64 {
		return nil, false
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		return nil, false
	}
	zones.Store(name, z)
	return z, true
}

// ZonesOf are the zones in which a recipient may be: the contact's own when it is
// known, else those of the number, else the fallback, nil being UTC. The fallback
// stands first when the number may be in it.
func ZonesOf(e164 phone.E164, contactZone string, fallback *time.Location) []*time.Location {
	if z, ok := loadZone(contactZone); ok {
		return []*time.Location{z}
	}
	if fallback == nil {
		fallback = time.UTC
	}
	var out []*time.Location
	for _, name := range phone.TimeZones(e164) {
		z, ok := loadZone(name)
		switch {
		case !ok:
		case name == fallback.String():
			out = slices.Insert(out, 0, z)
		default:
			out = append(out, z)
		}
	}
	if len(out) == 0 {
		return []*time.Location{fallback}
	}
	return out
}

// ZoneOf is the one zone to write times in for a recipient: the contact's own,
// else the number's when all it may be in keep the same time, else the fallback.
// When to send asks ZonesOf.
func ZoneOf(e164 phone.E164, contactZone string, fallback *time.Location) *time.Location {
	zones := ZonesOf(e164, contactZone, fallback)
	for _, z := range zones[1:] {
		if !sameTime(z, zones[0]) {
			if fallback == nil {
				return time.UTC
			}
			return fallback
		}
	}
	return zones[0]
}

// sameTime compares two zones in winter and in summer.
func sameTime(a, b *time.Location) bool {
	for _, month := range []time.Month{time.January, time.July} {
		t := time.Date(2026, month, 15, 12, 0, 0, 0, time.UTC)
		_, x := t.In(a).Zone()
		_, y := t.In(b).Zone()
		if x != y {
			return false
		}
	}
	return true
}
