package call

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// A <Dial> takes ten (T01). Whoever else is to ring gets a call of our own, started
// at the pace that the connection's account has. Such a leg has its turn (start_at);
// when that comes it is handed to a job, once, under the call's lock.

// owned is how many of the targets are rung by calls of our own.
func owned(targets []route.Target) (n int) {
	for _, t := range targets {
		if t.Own {
			n++
		}
	}
	return n
}

// book takes turns for calls of our own on a connection, and returns when the first
// one is, in milliseconds from now.
func book(ctx context.Context, tx *db.Tx, connection id.ID, calls int, perSecond float64) (delay int, err error) {
	if perSecond <= 0 {
		perSecond = 1
	}
	long := time.Duration(float64(calls) / perSecond * float64(time.Second))
	var until time.Time
	err = tx.Pgx().QueryRow(ctx, `UPDATE twilio_connection SET calls_booked_until = greatest(coalesce(calls_booked_until, $3), $3) + $4::interval
		WHERE organization_id = $1 AND id = $2 RETURNING calls_booked_until`, db.TenantFrom(ctx), connection, tx.Now, long).Scan(&until)
	return int(max(0, until.Add(-long).Sub(tx.Now)) / time.Millisecond), db.Translate(err)
}

// stray finds the calls of our own that ring for nothing: somebody has the call, the
// caller gave up, their time is up or they were declined.
func (t *tally) stray(st *State, w *winner) {
	end, _ := t.end()
	for i, targets := range t.steps() {
		for _, x := range targets {
			v := t.legs[x.LegID]
			if !x.Own || v == nil || v.sid == "" || v.ended != nil {
				continue
			}
			_, declined := t.declined[x.LegID]
			has := w != nil && w.leg == x.LegID
			if end != nil || !has && (declined || w != nil || t.dialled[i+1] != nil || st.Step > i+1) {
				st.strays = append(st.strays, x.LegID)
			}
		}
	}
}

// endStrays has those ended that became strays.
func endStrays(ctx context.Context, tx *db.Tx, before, after State) error {
	var jobs []job.Args
	for _, leg := range after.strays {
		if !slices.Contains(before.strays, leg) {
			jobs = append(jobs, End{Organization: after.Call.OrganizationID, Call: after.Call.ID, Leg: leg})
		}
	}
	if len(jobs) == 0 {
		return nil
	}
	return job.InsertMany(ctx, tx, jobs...)
}

// connected reports whether the result of a step's <Dial> says that somebody was connected.
func (s *State) connected(step int, result *Fact) bool {
	asks := s.Decision != nil && step >= 1 && step <= len(s.Decision.Steps) && claims(s.Decision.Steps[step-1].Targets)
	return connects(result, asks)
}

// locked is the state of a call, which is held until the transaction ends.
func (s *Service) locked(ctx context.Context, tx *db.Tx, call id.ID) (State, error) {
	if _, err := db.Exec(ctx, tx, `SELECT FROM call WHERE organization_id = $1 AND id = $2 FOR UPDATE`, db.TenantFrom(ctx), call); err != nil {
		return State{}, err
	}
	st, _, err := s.readIn(ctx, tx, call)
	return st, err
}

// Ring is the job that starts calls of our own for a call that rings.
type Ring struct {
	Organization id.ID   `json:"organization"`
	Call         id.ID   `json:"call"`
	Legs         []id.ID `json:"legs"`
}

// Kind names the job.
func (Ring) Kind() string { return "call.ring" }

// Tenant is the organization that the job works in.
func (r Ring) Tenant() id.ID { return r.Organization }

// InsertOpts: a ring that could not be started soon is not started.
func (Ring) InsertOpts() job.Options { return job.Options{MaxAttempts: 3} }

// turns are the legs of our own whose turn has come.
func (s *State) turns(now time.Time) (legs []id.ID) {
	for _, l := range s.Legs {
		if l.StartAt != nil && !l.StartAt.After(now) && l.Step == s.Step {
			legs = append(legs, l.ID)
		}
	}
	return legs
}

// startDue hands the legs whose turn has come to a job. The call is locked.
func (s *Service) startDue(ctx context.Context, tx *db.Tx, st State) error {
	legs := st.turns(tx.Now)
	if len(legs) == 0 {
		return nil
	}
	facts := make([]Fact, len(legs))
	for i, l := range legs {
		facts[i] = Fact{Key: "request/" + l.String(), Kind: FactRESTRequest, At: tx.Now, Data: FactData{Leg: l}}
	}
	if _, _, err := s.take(ctx, tx, st.Call.ID, id.ID{}, facts...); err != nil {
		return err
	}
	return job.Insert(ctx, tx, Ring{Organization: st.Call.OrganizationID, Call: st.Call.ID, Legs: legs})
}

// sweepTurns looks for legs whose turn has come.
func (s *Service) sweepTurns(ctx context.Context, now time.Time) error {
	var due []struct {
		OrganizationID id.ID `bun:"organization_id"`
		CallID         id.ID `bun:"call_id"`
	}
	err := s.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return db.Select(ctx, tx, &due, `SELECT organization_id, call_id FROM call_leg WHERE start_at <= $1 GROUP BY 1, 2 ORDER BY min(start_at) LIMIT 500`, now)
	})
	if err != nil {
		return err
	}
	var all []error
	for _, c := range due {
		all = append(all, s.DB.InTx(db.WithTenant(ctx, c.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
			st, err := s.locked(ctx, tx, c.CallID)
			if err != nil {
				return err
			}
			return s.startDue(ctx, tx, st)
		}))
	}
	return errors.Join(all...)
}

// ringLegs starts calls of our own. Each is asked for once: what may have taken
// effect is never sent again, and shows itself by its callbacks.
func (s *Service) ringLegs(ctx context.Context, r Ring) (err error) {
	defer errs.Wrap(&err, "call.ring(%s)", r.Call)
	st, facts, err := s.read(ctx, r.Call)
	if err != nil || st.Call.ID.IsZero() {
		return err
	}
	client, err := s.Client(ctx, st.Call.ConnectionID)
	if err != nil {
		return err
	}
	hooks, err := s.Hooks(ctx, st.Call.ConnectionID)
	if err != nil {
		return err
	}
	w := script{state: st, hooks: hooks}
	attempt := max(1, job.AttemptFrom(ctx).N)
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex // guards answers and again
		answers []Fact
		again   error
		places  = make(chan struct{}, 8)
	)
	for _, leg := range r.Legs {
		l := st.Find(leg)
		if l == nil || !st.free(l) || refusals(facts, leg) != attempt-1 {
			continue
		}
		q := w.ownCall(l, st.restOf(l.Step, s.Clock.Now()))
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			made, failure := client.CreateCall(ctx, q)
			if twilio.Ambiguous(failure) || failure != nil && ctx.Err() != nil {
				return
			}
			f, retry := s.ringAnswer(ctx, r.Call, leg, made, failure)
			f.Key += strconv.Itoa(attempt)
			mu.Lock()
			defer mu.Unlock()
			if answers = append(answers, f); retry {
				again = failure
			}
		})
	}
	wg.Wait()
	if len(answers) == 0 {
		return nil
	}
	slices.SortFunc(answers, func(a, b Fact) int { return strings.Compare(a.Key, b.Key) })
	if err := s.learn(ctx, r.Call, answers...); err != nil {
		return err
	}
	return again
}

// ringAnswer is what Twilio said when it was asked to ring a leg, and whether to ask again.
func (s *Service) ringAnswer(ctx context.Context, call, leg id.ID, made twilio.Call, failure error) (_ Fact, again bool) {
	d := FactData{Leg: leg, SID: made.SID, Status: made.Status}
	if failure != nil {
		d.Status = wordFailed
		var e *twilio.Error
		if errors.As(failure, &e) {
			d.Error = e.Code
		}
		if _, retry := twilio.Retry(failure); retry && !job.AttemptFrom(ctx).Last {
			d.Status, again = wordRetry, true
		} else {
			s.Logger.WarnContext(ctx, "a device was not rung", "call_id", call, "leg_id", leg, "error", failure)
		}
	}
	return Fact{Key: "answer/" + leg.String() + "/", Kind: FactRESTAnswer, Data: d}, again
}

// refusals is how often Twilio was asked for a leg in vain.
func refusals(facts []Fact, leg id.ID) (n int) {
	for _, f := range facts {
		if f.Kind == FactRESTAnswer && f.Data.Leg == leg && f.Data.Status == wordRetry {
			n++
		}
	}
	return n
}

// restOf is how much longer a step rings, in seconds.
func (s *State) restOf(step int, now time.Time) int {
	if s.servedAt.IsZero() || step != s.Step {
		return 0
	}
	return value(s.Decision.Steps[step-1].TimeoutSeconds) - int(now.Sub(s.servedAt)/time.Second)
}

// ownCall asks Twilio to ring a leg of our own for the rest of its step. The number
// called is what it shows: a call by REST may show no other (D15).
func (w script) ownCall(l *Leg, rest int) twilio.CallRequest {
	to, next := l.ToAddress, "join/"
	if slices.ContainsFunc(w.state.Decision.Steps[l.Step-1].Targets, func(x route.Target) bool { return x.LegID == l.ID && x.Screen }) {
		next = "screen/"
	}
	if l.Kind == route.Device {
		q := url.Values{}
		for _, p := range w.parameters() {
			q.Set(p.Name, p.Value)
		}
		if !w.state.Plan.MaskNumbers {
			q.Set("from", w.state.Call.FromNumber)
		}
		to += "?" + q.Encode()
	}
	return twilio.CallRequest{
		To: to, From: w.state.Call.ToNumber, URL: w.hooks.TwiML(w.path(next+l.ID.String()), nil),
		StatusCallback: w.hooks.Callback(w.path("leg/"+l.ID.String()), nil), StatusCallbackEvent: legEvents,
		TimeoutSeconds: max(1, rest-twilioRings),
	}
}

// askStrays asks Twilio about calls of our own that outlived their call.
func (s *Service) askStrays(ctx context.Context, client *twilio.Client, st State) (found []Fact, err error) {
	for _, leg := range st.strays {
		l := st.Find(leg)
		if l == nil || l.TwilioSID == nil {
			continue
		}
		x, err := client.FetchCall(ctx, *l.TwilioSID)
		switch {
		case twilio.NotFound(err):
			x = twilio.Call{SID: *l.TwilioSID, Status: wordFailed}
		case err != nil:
			return found, err
		}
		if twilio.Ended(x.Status) {
			found = append(found, Fact{Key: "asked/" + leg.String() + "/" + x.SID, Kind: FactLegStatus, At: x.EndedAt, Data: FactData{
				Leg: leg, SID: x.SID, Status: x.Status, Seconds: &x.DurationSeconds,
			}})
		}
	}
	return found, nil
}
