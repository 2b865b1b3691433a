package call

import (
	"context"
	"slices"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/route"
)

// monitors are who listens in. They have legs of their own and are no parties.
func (t *tally) monitors(r *room) {
	for _, f := range t.orders {
		o := f.Data.Order
		switch {
		case f.Data.Command == CommandMonitorStop:
			if s := r.find(f.Data.Leg); s != nil {
				s.in, s.ringing, s.out = false, false, true
			}
		case f.Data.Command != CommandMonitor || o == nil:
		case len(o.Targets) == 1:
			g := t.call(r, f, o.Targets, ForMonitor, func(route.Target) role { return monitor })
			s := &r.seats[g.seats[0]]
			s.by, s.mode, s.coached, s.mutedAt = f.Data.By, MonitorMode(o.Mode), o.Coach, f.At
			r.conferred = true
		default:
			if s := r.find(f.Data.Leg); s != nil {
				s.mode, s.coached, s.mutedAt = MonitorMode(o.Mode), o.Coach, f.At
			}
		}
	}
}

// quiet says how a monitor is to be heard: by nobody, by the colleague, by all. A
// whisper to somebody who is not there is heard by nobody.
func (r *room) quiet(s *seat) {
	s.muted, s.coach = s.mode != Barge, ""
	if s.mode != Whisper {
		return
	}
	to := r.find(s.coached)
	if to == nil || !to.joined {
		to = r.side(func(o *seat) bool { return o.role == staff && o.joined && !o.out })
	}
	if to != nil && to.joined && !to.out && to.sid != "" {
		s.muted, s.coach = false, to.sid
	}
}

// MonitorInput is how to monitor a call.
type MonitorInput struct {
	Mode     MonitorMode
	DeviceID id.ID // of the actor, that rings; zero: the one seen last
	LegID    id.ID // to whisper to; zero: who talks with the outside party
}

// Monitor has the actor listen to a call, whisper to the colleague on it, or join it.
// Given again it changes the mode. It needs CALL_MONITOR. Codes: errs.Forbidden,
// errs.NotFound, errs.Invalid, errs.Conflict in another state, naming it.
func (s *Service) Monitor(ctx context.Context, who access.Actor, call id.ID, in MonitorInput, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.Monitor")
	if err := who.Require(access.CallMonitor); err != nil {
		return nil, err
	}
	if who.UserID.IsZero() {
		return nil, errs.New(errs.Forbidden, "monitoring rings the person who asks for it; an API key has no phone")
	}
	return s.order(ctx, who, call, "callMonitorStart", key, in, func(c *control) error {
		if err := c.known(in.LegID, PartyInput{}); err != nil {
			return err
		}
		if err := c.device(in.DeviceID); err != nil {
			return err
		}
		if err := c.live(); err != nil {
			return err
		}
		if c.mine() != nil {
			return errs.New(errs.Conflict, "you take part in this call")
		}
		if !in.LegID.IsZero() {
			if x := c.st.room.find(in.LegID); x == nil || x.role != staff || !x.talks || x.ended != nil {
				return errs.New(errs.NotFound, "there is no such colleague in the call").At("legId")
			}
		}
		o := &Order{Mode: string(in.Mode), Coach: in.LegID, Purpose: ForMonitor}
		if x := c.monitoring(); x != nil {
			if x.mode == in.Mode && x.coached == in.LegID {
				return errs.New(errs.Conflict, "you monitor this call already (%s)", x.mode)
			}
			c.add(CommandMonitor, x.leg, o)
			return nil
		}
		targets, _, _, err := c.people([]id.ID{who.UserID}, id.ID{})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(targets, func(x route.Target) bool { return in.DeviceID.IsZero() || x.DeviceID == in.DeviceID })
		switch {
		case i < 0 && !in.DeviceID.IsZero():
			return errs.New(errs.NotFound, "you have no such device that could ring").At("deviceId")
		case i < 0:
			return errs.New(errs.Conflict, "there is nothing of yours to ring: register a device or give yourself a primary phone")
		}
		if err := c.mayRing(1); err != nil {
			return err
		}
		o.Targets = targets[i : i+1]
		c.add(CommandMonitor, id.ID{}, o)
		return nil
	})
}

// monitoring is the actor's leg that listens in; nil when there is none.
func (c *control) monitoring() *seat {
	return c.st.room.side(func(s *seat) bool { return s.role == monitor && s.by == c.who.UserID && s.ended == nil && !s.out })
}

// StopMonitor leaves a call that the actor monitors; leaving twice is fine. Codes:
// errs.Forbidden, errs.NotFound.
func (s *Service) StopMonitor(ctx context.Context, who access.Actor, call id.ID) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.StopMonitor")
	if err := who.Require(access.CallMonitor); err != nil {
		return nil, err
	}
	return s.order(ctx, who, call, "callMonitorStop", "", nil, func(c *control) error {
		if x := c.monitoring(); x != nil && c.st.Call.EndedAt == nil {
			c.add(CommandMonitorStop, x.leg, nil)
		}
		return nil
	})
}

// device refuses a device that is not the actor's.
func (c *control) device(device id.ID) error {
	if device.IsZero() {
		return nil
	}
	var is bool
	err := c.tx.Pgx().QueryRow(c.ctx, `SELECT EXISTS (SELECT FROM device WHERE organization_id = $1 AND id = $2 AND user_id = $3 AND removed_at IS NULL)`,
		c.who.OrganizationID, device, c.who.UserID).Scan(&is)
	if err == nil && !is {
		return errs.New(errs.NotFound, "you have no such device").At("deviceId")
	}
	return db.Translate(err)
}
