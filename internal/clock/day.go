package clock

import "time"

// Midnight is when a day begins in a zone. Where clocks change at midnight there
// may be no 00:00, for which time.Date gives 23:00 of the day before, or two of
// them: it is the first moment of the day. A day that a zone left out begins with
// the next one. The parts of the date may be out of their ranges, as with time.Date.
func Midnight(y int, m time.Month, d int, zone *time.Location) time.Time {
	const step = 15 * time.Minute // shifts are whole numbers of it
	day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	isBefore := func(t time.Time) bool {
		y, m, d := t.Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Before(day)
	}
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	for isBefore(t) {
		t = t.Add(step)
	}
	for !isBefore(t.Add(-step)) {
		t = t.Add(-step)
	}
	return t
}
