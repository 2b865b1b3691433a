package clock

import "time"

// Midnight is when a day begins in a zone. Where clocks change at midnight there
// may be no 00:00, for which time.Date gives 23:00 of the day before, or two of
// them: it is the first moment of the day. A day that a zone left out begins with
// the next one. The parts of the date may be out of their ranges, as with time.Date.
func Midnight(y int, m time.Month, d int, zone *time.Location) time.Time {
	const step = 15 * time.Minute // shifts are whole numbers of it
	day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	for t.Format(time.DateOnly) < day {
		t = t.Add(step)
	}
	for t.Add(-step).Format(time.DateOnly) >= day {
		t = t.Add(-step)
	}
	return t
}
