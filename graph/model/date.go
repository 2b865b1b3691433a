// Package model holds what the generator makes of the schema's inputs, payloads
// and edges, and the few scalars that no domain owns.
package model

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"switchboard/internal/clock"
	"switchboard/internal/errs"
)

// Date is a calendar day without a zone; whoever uses it says in which zone it is meant.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// In is the first moment of the day in the zone.
func (d Date) In(zone *time.Location) time.Time { return clock.Midnight(d.Year, d.Month, d.Day, zone) }

// String is YYYY-MM-DD.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// MarshalGQL writes YYYY-MM-DD.
func (d Date) MarshalGQL(w io.Writer) { _, _ = io.WriteString(w, strconv.Quote(d.String())) }

// UnmarshalGQL reads YYYY-MM-DD.
func (d *Date) UnmarshalGQL(v any) error {
	s, _ := v.(string)
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return errs.New(errs.Invalid, "a Date is text such as 2026-11-20")
	}
	d.Year, d.Month, d.Day = t.Date()
	return nil
}

// MarshalTime writes RFC 3339 in UTC.
func MarshalTime(t time.Time) graphql.Marshaler { return graphql.MarshalTime(t.UTC()) }

// UnmarshalTime reads RFC 3339 with a zone.
func UnmarshalTime(v any) (time.Time, error) {
	s, _ := v.(string)
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, errs.New(errs.Invalid, "a Time is text such as 2026-11-20T09:30:00Z")
	}
	return t, nil
}
