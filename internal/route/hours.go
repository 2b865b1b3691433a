package route

import (
	"sync"
	"time"

	"switchboard/internal/id"
)

// zones keeps the time zones that were asked for: reading one costs more than
// deciding a call. The program carries the table, so a zone never changes.
var zones sync.Map // name -> *time.Location

// zone is a time zone by its IANA name; ok is false for one that does not exist.
func zone(name string) (loc *time.Location, ok bool) {
	if z, found := zones.Load(name); found {
		return z.(*time.Location), true
	}
	if name == "" || name == "Local" { // where the server stands is nobody's opening hours
		return time.UTC, false
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC, false
	}
	zones.Store(name, loc)
	return loc, true
}

// Open reports whether the business is open at a moment. Hours go by the clock on
// the wall, whatever daylight saving does to it. holiday is the name of the day
// where the week does not count.
func (h *Hours) Open(at time.Time) (open bool, local time.Time, holiday *Holiday) {
	loc, _ := zone(h.Zone)
	local = at.In(loc)
	minute := local.Hour()*60 + local.Minute()
	date := local.Format(time.DateOnly)
	for i := range h.Holidays {
		if d := &h.Holidays[i]; d.Date == date {
			for _, s := range d.Open {
				open = open || s.From <= minute && minute < s.To
			}
			return open, local, d
		}
	}
	for _, s := range h.Week {
		open = open || s.Day == local.Weekday() && s.From <= minute && minute < s.To
	}
	return open, local, nil
}

// closed takes the after-hours route where the number has opening hours and the
// business is closed (D02).
func (x *decider) closed() bool {
	h := x.s.Hours
	if h == nil {
		return false
	}
	if _, ok := zone(h.Zone); !ok {
		x.note("OPENING_HOURS", Skipped, id.ID{}, "the time zone of the opening hours does not exist; UTC is used")
	}
	open, local, holiday := h.Open(x.s.At)
	when := local.Format("Monday 2 January 2006 15:04 MST")
	if holiday != nil {
		when += ", a holiday" + named(holiday.Name)
	}
	if open {
		x.note("OPENING_HOURS", NotApplicable, id.ID{}, "the business is open: ", when)
		return false
	}
	x.note("OPENING_HOURS", Chosen, id.ID{}, "the business is closed: ", when)
	rule := "BRANCH_GROUP"
	switch x.d.Mode {
	case Layered:
		rule = "LAYERS"
	case Team:
		rule = "TEAM"
	}
	x.note(rule, NotApplicable, id.ID{}, "outside opening hours nobody of the number's own route rings")
	if x.s.Menu != nil {
		x.note("MENU", NotApplicable, id.ID{}, "outside opening hours no key is asked for")
	}
	c := h.Closed
	if c.Say != "" || c.Audio != "" { // it stands for the welcome, which says what to do now
		x.step(Step{Kind: ClosedStep, Say: c.Say, Audio: c.Audio})
	} else {
		x.welcome()
	}
	switch c.Action {
	case ClosedForward:
		x.forward("AFTER_HOURS_FORWARD", c.Numbers)
		x.afterHours(c.Voicemail)
	case ClosedVoicemail:
		x.afterHours(true)
	case ClosedHangUp:
		x.afterHours(false)
	default:
		x.note("AFTER_HOURS", Skipped, id.ID{}, "there is no after-hours action")
		x.end()
	}
	return true
}

// afterHours ends the after-hours route, whatever the number does in the day.
func (x *decider) afterHours(voicemail bool) {
	if voicemail {
		x.note("AFTER_HOURS_VOICEMAIL", Included, id.ID{}, "the caller can leave a voicemail")
		x.step(Step{Kind: Voicemail})
		return
	}
	x.note("AFTER_HOURS_FAREWELL", Included, id.ID{}, "the call ends with the farewell")
	x.step(Step{Kind: Farewell})
}
