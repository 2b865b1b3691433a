// Package model holds what the generator makes of the schema's inputs, payloads
// and edges, and the few scalars that no domain owns.
package model

import (
	"fmt"
	"io"
	"strconv"
	"time"
)

// Date is a calendar day without a zone; whoever uses it says in which zone it is meant.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// In is the first moment of the day in the zone.
func (d Date) In(zone *time.Location) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, zone)
}

// String is YYYY-MM-DD.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// MarshalGQL writes YYYY-MM-DD.
func (d Date) MarshalGQL(w io.Writer) { _, _ = io.WriteString(w, strconv.Quote(d.String())) }

// UnmarshalGQL reads YYYY-MM-DD.
func (d *Date) UnmarshalGQL(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("a Date is text such as 2026-11-20")
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return fmt.Errorf("a Date is text such as 2026-11-20")
	}
	d.Year, d.Month, d.Day = t.Date()
	return nil
}
