package call

import (
	"context"
	"slices"
	"strconv"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/twilio"
)

// askRoom asks what became of every leg of a call that is held in a room, and who
// is in there. Nothing is told twice: what is known already changes nothing.
func (s *Service) askRoom(ctx context.Context, client *twilio.Client, st State) error {
	var found []Fact
	for i := range st.room.seats {
		x := &st.room.seats[i]
		if !x.alive {
			continue
		}
		if x.sid == "" {
			f, err := s.searchLeg(ctx, client, st, x)
			if err != nil {
				return err
			}
			found = append(found, f...)
			continue
		}
		c, err := client.FetchCall(ctx, x.sid)
		if twilio.NotFound(err) {
			c, err = twilio.Call{SID: x.sid, Status: wordFailed}, nil
		}
		if err != nil {
			return err
		}
		if !twilio.Ended(c.Status) {
			continue
		}
		d := FactData{SID: c.SID, Status: c.Status, Seconds: &c.DurationSeconds}
		if x.parent {
			found = append(found, Fact{Key: "reconciled", Kind: FactReconciled, At: c.EndedAt, Data: d})
			continue
		}
		d.Leg = x.leg
		found = append(found, Fact{Key: "asked/" + x.leg.String() + "/" + c.SID, Kind: FactLegStatus, At: c.EndedAt, Data: d})
	}
	if len(found) == 0 {
		inside, err := s.askInside(ctx, client, st)
		if err != nil {
			return err
		}
		found = inside
	}
	if len(found) == 0 {
		return s.later(ctx, st)
	}
	return s.learn(ctx, st.Call.ID, found...)
}

// askInside finds parties in the conference whose joining was never told.
func (s *Service) askInside(ctx context.Context, client *twilio.Client, st State) (found []Fact, err error) {
	missing := slices.ContainsFunc(st.room.seats, func(x seat) bool { return x.alive && x.in && !x.joined && x.sid != "" })
	if !missing {
		return nil, nil
	}
	rooms, err := client.ListConferences(ctx, st.Call.ID.String(), "in-progress")
	if err != nil || len(rooms) == 0 {
		return nil, err
	}
	inside, err := client.ListParticipants(ctx, rooms[0].SID)
	if twilio.NotFound(err) {
		return nil, nil
	}
	for _, p := range inside {
		for _, x := range st.room.seats {
			if x.sid != p.CallSID || x.joined || !x.alive {
				continue
			}
			d := FactData{Leg: x.leg, SID: x.sid, Room: rooms[0].SID, Status: "participant-join", Muted: &p.Muted, Coach: p.CoachedCallSID}
			n := strconv.Itoa(x.visits + 1)
			found = append(found, Fact{Key: "room/asked/" + x.sid + "/" + n, Kind: FactRoom, Data: d})
			if p.Hold {
				d.Status = "participant-hold"
				found = append(found, Fact{Key: "room/asked/" + x.sid + "/hold/" + n, Kind: FactRoom, Data: d})
			}
		}
	}
	return found, err
}

// searchLeg looks for a call of ours whose REST answer never came. Its callbacks
// carry our id and mostly settle it first; here it is found by numbers and time.
func (s *Service) searchLeg(ctx context.Context, client *twilio.Client, st State, x *seat) ([]Fact, error) {
	a := st.room.acts[startName(x.leg)]
	if !x.own || a == nil || a.over() || a.word == actRetry || s.Clock.Now().Sub(a.askedAt) < askSoon {
		return nil, nil
	}
	q := script{state: st}.callTo(x)
	list, err := client.ListCalls(ctx, twilio.CallFilter{To: q.to, From: q.from, Limit: 50})
	if err != nil {
		return nil, err
	}
	// Twilio tells whole seconds.
	list = slices.DeleteFunc(list, func(c twilio.Call) bool { return c.CreatedAt.Before(a.askedAt.Truncate(time.Second)) })
	slices.SortFunc(list, func(a, b twilio.Call) int { return a.CreatedAt.Compare(b.CreatedAt) })
	answer := func(key string, d FactData) []Fact {
		d.Action, d.Leg, d.Step = startName(x.leg), x.leg, a.attempts
		return []Fact{{Key: "answered/" + d.Action + "/" + key, Kind: FactActionAnswer, Data: d}}
	}
	for _, c := range list {
		var taken bool
		err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			return tx.Pgx().QueryRow(ctx, `SELECT EXISTS (SELECT FROM call WHERE organization_id = $1 AND twilio_sid = $2)
				OR EXISTS (SELECT FROM call_leg WHERE organization_id = $1 AND twilio_sid = $2)`, st.Call.OrganizationID, c.SID).Scan(&taken)
		})
		if err != nil {
			return nil, err
		}
		if !taken {
			return answer("found", FactData{SID: c.SID, Status: actDone}), nil
		}
	}
	if s.Clock.Now().Sub(a.askedAt) < lostCall {
		return nil, nil // it may show up yet
	}
	return answer("lost", FactData{Status: actRefused}), nil
}

// AskMany is the job that asks Twilio once which calls of a connection go on, where
// many are due: those that do are not asked for one by one.
type AskMany struct {
	Organization id.ID   `json:"organization"`
	Connection   id.ID   `json:"connection"`
	Calls        []id.ID `json:"calls"`
}

// Kind names the job.
func (AskMany) Kind() string { return "call.askMany" }

// Tenant is the organization that the job works in.
func (a AskMany) Tenant() id.ID { return a.Organization }

// InsertOpts: the sweep asks again.
func (AskMany) InsertOpts() job.Options { return job.Options{MaxAttempts: 1} }

// maxListed bounds one look at what goes on.
const maxListed = 5000

func (s *Service) askMany(ctx context.Context, a AskMany) error {
	client, err := s.Client(ctx, a.Connection)
	if err != nil {
		return err
	}
	list, err := client.ListCalls(ctx, twilio.CallFilter{Status: wordInProgress, Limit: maxListed})
	if err != nil {
		return err
	}
	on := make(map[string]bool, len(list))
	for _, c := range list {
		on[c.SID] = true
	}
	for _, call := range a.Calls {
		st, _, err := s.read(ctx, call)
		if err != nil {
			return err
		}
		if len(st.next(s.Clock.Now())) == 0 && st.goesOn(on) {
			if err := s.later(ctx, st); err != nil {
				return err
			}
			continue
		}
		if err := s.ask(ctx, Ask{Organization: a.Organization, Call: call}); err != nil {
			return err
		}
	}
	return nil
}

// goesOn reports whether all legs that should be there are among those in progress.
func (s *State) goesOn(on map[string]bool) bool {
	if s.Call.Status != InProgress || s.Call.TwilioSID == nil || s.hungUp || !s.room.on && !on[*s.Call.TwilioSID] {
		return false
	}
	for _, x := range s.room.seats {
		if x.alive && (!on[x.sid] || x.in && s.room.on && !x.joined) {
			return false
		}
	}
	return true
}
