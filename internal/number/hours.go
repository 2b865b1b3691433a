package number

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/route"
)

const (
	maxSpans    = 70  // of a week
	maxDaySpans = 10  // of a holiday
	maxHolidays = 400 // of opening hours
)

var weekdays = []Weekday{Sunday, Monday, Tuesday, Wednesday, Thursday, Friday, Saturday}

// HoursCreate is new opening hours.
type HoursCreate struct {
	Name     string
	TimeZone *string // nil: the organization's
	Week     []OpeningSpan
	Holidays []Holiday
}

// HoursUpdate is a change to opening hours: absent keeps.
type HoursUpdate struct {
	Name     patch.Field[string]
	TimeZone patch.Field[string]
	Week     patch.Field[[]OpeningSpan]
	Holidays patch.Field[[]Holiday]
}

const selectHours = `SELECT h.organization_id, h.id, h.name, h.time_zone, h.week, h.holidays, h.version, h.created_at, h.updated_at FROM opening_hours h`

var errNoHours = errs.New(errs.NotFound, "there are no such opening hours, or you may not see them")

// CreateHours adds opening hours (D02). Codes: errs.Forbidden, errs.Required,
// errs.Invalid, errs.Taken, errs.LimitReached.
func (s *Service) CreateHours(ctx context.Context, who access.Actor, in HoursCreate) (_ *OpeningHours, err error) {
	if err := who.Require(access.NumberManage); err != nil {
		return nil, err
	}
	h := &OpeningHours{OrganizationID: who.OrganizationID, ID: id.New(id.Schedule), Version: 1}
	u := HoursUpdate{Name: patch.To(in.Name), Week: patch.To(in.Week), Holidays: patch.To(in.Holidays)}
	if in.TimeZone != nil {
		u.TimeZone = patch.To(*in.TimeZone)
	}
	if err := h.apply(u); err != nil {
		return nil, err
	}
	err = s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if h.TimeZone == "" {
			var o struct {
				Zone string `bun:"time_zone"`
			}
			if err := db.Select(ctx, tx, &o, `SELECT time_zone FROM organization WHERE organization_id = $1`, who.OrganizationID); err != nil {
				return err
			}
			h.TimeZone = o.Zone
		}
		h.CreatedAt, h.UpdatedAt = tx.Now, tx.Now
		if _, err := tx.NewInsert().Model(h).Exec(ctx); err != nil {
			return err
		}
		return told(ctx, tx, who, "", "openingHours.create", h.ID, nil)
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// UpdateHours changes opening hours; calls under way keep the old ones. Codes:
// those of CreateHours, errs.NotFound.
func (s *Service) UpdateHours(ctx context.Context, who access.Actor, hours id.ID, in HoursUpdate) (h *OpeningHours, err error) {
	if err := who.Require(access.NumberManage); err != nil {
		return nil, err
	}
	err = s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if h, err = hoursByID(ctx, tx, who.OrganizationID, hours, " FOR NO KEY UPDATE"); err != nil {
			return err
		}
		if err := h.apply(in); err != nil {
			return err
		}
		h.Version, h.UpdatedAt = h.Version+1, tx.Now
		if _, err := tx.NewUpdate().Model(h).ExcludeColumn("created_at").WherePK().Exec(ctx); err != nil {
			return err
		}
		if err := numbersChanged(ctx, tx, who, `opening_hours_id = $2`, h.ID); err != nil {
			return err
		}
		return told(ctx, tx, who, "", "openingHours.update", h.ID, nil)
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// DeleteHours deletes opening hours that no connected number uses. Codes:
// errs.Forbidden, errs.NotFound, errs.Conflict naming a number.
func (s *Service) DeleteHours(ctx context.Context, who access.Actor, hours id.ID) error {
	if err := who.Require(access.NumberManage); err != nil {
		return err
	}
	return s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if _, err := hoursByID(ctx, tx, who.OrganizationID, hours, " FOR UPDATE"); err != nil {
			return err
		}
		if err := releaseNumbers(ctx, tx, who.OrganizationID, "opening_hours_id", hours, "schedule of opening hours"); err != nil {
			return err
		}
		if _, err := db.Exec(ctx, tx, `DELETE FROM opening_hours WHERE organization_id = $1 AND id = $2`, who.OrganizationID, hours); err != nil {
			return err
		}
		return told(ctx, tx, who, "", "openingHours.delete", hours, nil)
	})
}

func (h *OpeningHours) apply(in HoursUpdate) (err error) {
	if in.Name.Set {
		if h.Name, err = checkText(in.Name.Value, maxName, "name"); err != nil {
			return err
		}
	}
	if in.TimeZone.Set {
		if err := checkZone(in.TimeZone.Value); err != nil {
			return err
		}
		h.TimeZone = in.TimeZone.Value
	}
	if in.Week.Set {
		if h.Week, err = checkWeek(in.Week.Value); err != nil {
			return err
		}
	}
	if in.Holidays.Set {
		h.Holidays, err = checkHolidays(in.Holidays.Value)
	}
	return err
}

// minutes reads HH:MM as minutes after midnight; 24:00 is the end of the day.
func minutes(s string) (int, bool) {
	if s == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err == nil && len(s) == 5
}

// checkSpan reads one stretch of a day.
func checkSpan(from, to string, path ...string) (a, b int, err error) {
	a, ok := minutes(from)
	if !ok || a == 24*60 {
		return 0, 0, errs.New(errs.Invalid, "this is not a time of the day; write it such as 09:00").At(append(path, "from")...)
	}
	if b, ok = minutes(to); !ok {
		return 0, 0, errs.New(errs.Invalid, "this is not a time of the day; write it such as 17:30, the end of the day being 24:00").At(append(path, "to")...)
	}
	if b <= a {
		return 0, 0, errs.New(errs.Invalid, "%s to %s does not go forwards; write a night as two stretches, to 24:00 and from 00:00 of the next day", from, to).At(append(path, "to")...)
	}
	return a, b, nil
}

// stretch is a span that was read, for finding those that overlap.
type stretch struct{ day, from, to, given int }

// overlap sorts the stretches; it is an error at the one that begins inside another.
func overlap(list []stretch, path ...string) error {
	slices.SortFunc(list, func(a, b stretch) int { return cmp.Or(a.day-b.day, a.from-b.from, a.given-b.given) })
	for i := 1; i < len(list); i++ {
		if a, b := list[i-1], list[i]; a.day == b.day && b.from < a.to {
			return errs.New(errs.Invalid, "two stretches of the same day overlap; make them one").At(append(path, strconv.Itoa(b.given), "from")...)
		}
	}
	return nil
}

// checkWeek returns the stretches from Monday on, each day in order.
func checkWeek(week []OpeningSpan) ([]OpeningSpan, error) {
	if len(week) > maxSpans {
		return nil, errs.New(errs.LimitReached, "a week has %d stretches at most", maxSpans).At("week")
	}
	list := make([]stretch, len(week))
	for i, x := range week {
		n := strconv.Itoa(i)
		day := slices.Index(weekdays, x.Day)
		if day < 0 {
			return nil, errs.New(errs.Invalid, "this is not a day of the week").At("week", n, "day")
		}
		from, to, err := checkSpan(x.From, x.To, "week", n)
		if err != nil {
			return nil, err
		}
		list[i] = stretch{day: (day + 6) % 7, from: from, to: to, given: i}
	}
	if err := overlap(list, "week"); err != nil {
		return nil, err
	}
	out := make([]OpeningSpan, len(list))
	for i, x := range list {
		out[i] = week[x.given]
	}
	return out, nil
}

// checkHolidays returns the holidays by date.
func checkHolidays(list []Holiday) ([]Holiday, error) {
	if len(list) > maxHolidays {
		return nil, errs.New(errs.LimitReached, "there are %d holidays at most", maxHolidays).At("holidays")
	}
	out := make([]Holiday, len(list))
	seen := map[string]bool{}
	for i, x := range list {
		n := strconv.Itoa(i)
		if _, err := time.Parse(time.DateOnly, x.Date); err != nil {
			return nil, errs.New(errs.Invalid, "this is not a date; write it such as 2026-12-25").At("holidays", n, "date")
		}
		if seen[x.Date] {
			return nil, errs.New(errs.Invalid, "the day %s is given twice", x.Date).At("holidays", n, "date")
		}
		seen[x.Date] = true
		name, err := checkText(x.Name, maxUnit, "holidays", n, "name")
		if err != nil {
			return nil, err
		}
		if len(x.Open) > maxDaySpans {
			return nil, errs.New(errs.LimitReached, "a holiday has %d stretches at most", maxDaySpans).At("holidays", n, "open")
		}
		spans := make([]stretch, len(x.Open))
		for j, o := range x.Open {
			from, to, err := checkSpan(o.From, o.To, "holidays", n, "open", strconv.Itoa(j))
			if err != nil {
				return nil, err
			}
			spans[j] = stretch{from: from, to: to, given: j}
		}
		if err := overlap(spans, "holidays", n, "open"); err != nil {
			return nil, err
		}
		open := make([]HolidaySpan, len(spans))
		for j, o := range spans {
			open[j] = x.Open[o.given]
		}
		out[i] = Holiday{Date: x.Date, Name: name, Open: open}
	}
	slices.SortFunc(out, func(a, b Holiday) int { return cmp.Compare(a.Date, b.Date) })
	return out, nil
}

// Route is the opening hours as routing reads them, without the after-hours
// route, which is the number's.
func (h *OpeningHours) Route() *route.Hours {
	out := &route.Hours{ID: h.ID, Zone: h.TimeZone, Week: make([]route.Span, len(h.Week)), Holidays: make([]route.Holiday, len(h.Holidays))}
	span := func(day time.Weekday, from, to string) route.Span { // what is stored was checked
		a, _ := minutes(from)
		b, _ := minutes(to)
		return route.Span{Day: day, From: a, To: b}
	}
	for i, x := range h.Week {
		out.Week[i] = span(time.Weekday(slices.Index(weekdays, x.Day)), x.From, x.To)
	}
	for i, x := range h.Holidays {
		out.Holidays[i] = route.Holiday{Date: x.Date, Name: x.Name}
		for _, o := range x.Open {
			out.Holidays[i].Open = append(out.Holidays[i].Open, span(0, o.From, o.To))
		}
	}
	return out
}

// IsOpenAt reports whether the business is open at a moment.
func (h *OpeningHours) IsOpenAt(at time.Time) bool {
	open, _, _ := h.Route().Open(at)
	return open
}

func hoursByID(ctx context.Context, q bun.IDB, org, hours id.ID, suffix string) (*OpeningHours, error) {
	h := &OpeningHours{}
	err := db.Select(ctx, q, h, selectHours+` WHERE h.organization_id = $1 AND h.id = $2`+suffix, org, hours)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoHours
	}
	return h, err
}

// Hours are one organization's opening hours by id, else errs.NotFound.
func (s *Service) Hours(ctx context.Context, who access.Actor, hours id.ID) (*OpeningHours, error) {
	if !who.Known() {
		return nil, errNoHours
	}
	return hoursByID(db.WithTenant(ctx, who.OrganizationID), s.db.App(), who.OrganizationID, hours, "")
}

// HoursList is a page of opening hours, newest first. Code: errs.Forbidden.
func (s *Service) HoursList(ctx context.Context, who access.Actor, p db.Page) (w db.Window[*OpeningHours], err error) {
	if err := who.Require(access.NumberManage); err != nil {
		return w, err
	}
	return pageOf(ctx, s, who, p, selectHours+` WHERE h.organization_id = $1 AND h.id < $2 ORDER BY h.id DESC LIMIT $3`,
		func(h *OpeningHours) db.Keyset { return db.Keyset{At: h.CreatedAt, ID: h.ID} })
}

// HoursByIDs are opening hours of the context's tenant by id, in one statement.
func (s *Service) HoursByIDs(ctx context.Context, ids []id.ID) (map[id.ID]*OpeningHours, error) {
	var rows []*OpeningHours
	err := db.Select(ctx, s.db.App(), &rows, selectHours+` WHERE h.organization_id = $1 AND h.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), ids)
	return byID(rows, func(h *OpeningHours) id.ID { return h.ID }), err
}
