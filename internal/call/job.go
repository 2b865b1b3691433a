package call

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// Dial is the job that asks Twilio to dial an outbound call. It asks once: an
// answer that may have taken effect is never sent for again.
type Dial struct {
	Organization id.ID `json:"organization"`
	Call         id.ID `json:"call"`
}

// Kind names the job.
func (Dial) Kind() string { return "call.dial" }

// Tenant is the organization that the job works in.
func (d Dial) Tenant() id.ID { return d.Organization }

// InsertOpts: a call that could not be started for a while is not started later.
func (Dial) InsertOpts() job.Options { return job.Options{MaxAttempts: 4} }

// End is the job that ends a call at Twilio, or one leg of it.
type End struct {
	Organization id.ID `json:"organization"`
	Call         id.ID `json:"call"`
	Leg          id.ID `json:"leg,omitzero"`
}

// Kind names the job.
func (End) Kind() string { return "call.end" }

// Tenant is the organization that the job works in.
func (e End) Tenant() id.ID { return e.Organization }

// InsertOpts bounds the attempts; the sweep looks after what is left.
func (End) InsertOpts() job.Options { return job.Options{MaxAttempts: 6} }

// Ask is the job that asks Twilio what became of a call.
type Ask struct {
	Organization id.ID `json:"organization"`
	Call         id.ID `json:"call"`
}

// Kind names the job.
func (Ask) Kind() string { return "call.ask" }

// Tenant is the organization that the job works in.
func (a Ask) Tenant() id.ID { return a.Organization }

// InsertOpts: the sweep asks again.
func (Ask) InsertOpts() job.Options { return job.Options{MaxAttempts: 1} }

// Register adds the jobs and the sweep to the runner.
func (s *Service) Register(r *job.Runner) {
	job.Handle(r, s.dial)
	job.Handle(r, s.end)
	job.Handle(r, s.ask)
	job.Handle(r, s.ringLegs)
	job.Handle(r, s.control)
	job.Handle(r, s.askMany)
	r.Sweep("call.start", 250*time.Millisecond, s.sweepTurns)
	r.Sweep("call.reconcile", 2*time.Second, s.sweep)
	r.Sweep("call.paused", 5*time.Second, s.remind)
	r.Sweep("call.masks", time.Minute, s.endMasks)
}

// sweep has Twilio asked about every call that has been silent for too long, and
// done what had to wait. Where many are due, Twilio is asked once for all of them.
func (s *Service) sweep(ctx context.Context, now time.Time) error {
	return s.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var due []struct {
			OrganizationID id.ID  `bun:"organization_id"`
			ID             id.ID  `bun:"id"`
			ConnectionID   id.ID  `bun:"connection_id"`
			Status         Status `bun:"status"`
		}
		if err := db.Select(ctx, tx, &due, `UPDATE call SET due_at = $2 WHERE (organization_id, id) IN (
				SELECT organization_id, id FROM call WHERE due_at <= $1 ORDER BY due_at LIMIT 500 FOR UPDATE SKIP LOCKED)
			RETURNING organization_id, id, connection_id, status`, now, now.Add(askSoon)); err != nil {
			return err
		}
		many := map[id.ID]*AskMany{}
		var jobs []job.Args
		for _, c := range due {
			if c.Status != InProgress {
				jobs = append(jobs, Ask{Organization: c.OrganizationID, Call: c.ID})
				continue
			}
			if many[c.ConnectionID] == nil {
				many[c.ConnectionID] = &AskMany{Organization: c.OrganizationID, Connection: c.ConnectionID}
			}
			many[c.ConnectionID].Calls = append(many[c.ConnectionID].Calls, c.ID)
		}
		for _, m := range many {
			if len(m.Calls) >= askTogether {
				jobs = append(jobs, *m)
				continue
			}
			for _, call := range m.Calls {
				jobs = append(jobs, Ask{Organization: m.Organization, Call: call})
			}
		}
		return job.InsertMany(ctx, tx, jobs...)
	})
}

// askTogether is from how many on the calls in progress of a connection are asked for at once.
const askTogether = 5

// read is the state of a call without a lock.
func (s *Service) read(ctx context.Context, call id.ID) (st State, facts []Fact, err error) {
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		st, facts, err = s.readIn(ctx, tx, call)
		return err
	})
	return st, facts, err
}

func (s *Service) dial(ctx context.Context, d Dial) (err error) {
	defer errs.Wrap(&err, "call.dial(%s)", d.Call)
	var st State
	attempt := 0
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		known, facts, err := s.readIn(ctx, tx, d.Call)
		if err != nil || known.Call.ID.IsZero() || known.Call.EndedAt != nil || known.Call.TwilioSID != nil || known.hungUp {
			return err
		}
		sent, answered := tries(facts)
		if sent > answered {
			return nil // an attempt died with its process: it may have taken effect, the sweep asks
		}
		st, _, err = s.take(ctx, tx, d.Call, id.ID{}, Fact{Key: "request/" + strconv.Itoa(sent+1), Kind: FactRESTRequest, At: tx.Now})
		attempt = sent + 1
		return err
	})
	if err != nil || attempt == 0 {
		return err
	}
	made, failure := s.create1(ctx, st)
	if twilio.Ambiguous(failure) || failure != nil && ctx.Err() != nil {
		return nil // the phone may be ringing: the sweep asks before anything else is done
	}
	answer := FactData{SID: made.SID, Status: made.Status}
	var again error
	if failure != nil {
		answer = FactData{Status: wordFailed}
		var e *twilio.Error
		if errors.As(failure, &e) {
			answer.Error = e.Code
		}
		if _, retry := twilio.Retry(failure); retry && !job.AttemptFrom(ctx).Last {
			answer.Status, again = wordRetry, failure
		} else {
			s.Logger.WarnContext(ctx, "a call was not started", "call_id", d.Call, "error", failure)
		}
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		st, _, err := s.take(ctx, tx, d.Call, id.ID{}, Fact{Key: "answer/" + strconv.Itoa(attempt), Kind: FactRESTAnswer, At: tx.Now, Data: answer})
		if err != nil {
			return err
		}
		return endUnwanted(ctx, tx, st)
	})
	if err != nil {
		return err
	}
	return again
}

// endUnwanted ends a call at Twilio whose SID came after somebody hung up.
func endUnwanted(ctx context.Context, tx *db.Tx, st State) error {
	if !st.hungUp || st.Call.EndedAt != nil || st.Call.TwilioSID == nil {
		return nil
	}
	return job.Insert(ctx, tx, End{Organization: st.Call.OrganizationID, Call: st.Call.ID})
}

func tries(facts []Fact) (sent, answered int) {
	for _, f := range facts {
		switch f.Kind {
		case FactRESTRequest:
			sent++
		case FactRESTAnswer:
			answered++
		}
	}
	return sent, answered
}

// create1 asks Twilio to ring the person who started the call.
func (s *Service) create1(ctx context.Context, st State) (twilio.Call, error) {
	client, err := s.Client(ctx, st.Call.ConnectionID)
	if err != nil {
		return twilio.Call{}, err
	}
	hooks, err := s.Hooks(ctx, st.Call.ConnectionID)
	if err != nil {
		return twilio.Call{}, err
	}
	w := script{state: st, hooks: hooks}
	return client.CreateCall(ctx, twilio.CallRequest{
		To: st.agent.Address, From: st.first, URL: hooks.TwiML(w.path("bridge"), nil),
		StatusCallback: hooks.Callback(w.path("status"), nil), StatusCallbackEvent: legEvents, TimeoutSeconds: agentRings,
	})
}

// end ends a call or a leg; one that is over is fine.
func (s *Service) end(ctx context.Context, e End) (err error) {
	defer errs.Wrap(&err, "call.end(%s)", e.Call)
	st, _, err := s.read(ctx, e.Call)
	stray := slices.Contains(st.strays, e.Leg)
	if err != nil || st.Call.ID.IsZero() || st.Call.EndedAt != nil && !stray {
		return err
	}
	sid := st.Call.TwilioSID
	if !e.Leg.IsZero() {
		l := st.Find(e.Leg)
		if l == nil || l.AnsweredAt != nil && !stray {
			return nil
		}
		if sid = l.TwilioSID; sid == nil {
			return errs.New(errs.Conflict, "the leg is not known at Twilio yet") // its callback is on the way
		}
	}
	if sid == nil {
		return nil // when it becomes known, whoever tells it ends it
	}
	client, err := s.Client(ctx, st.Call.ConnectionID)
	if err != nil {
		return err
	}
	_, err = client.UpdateCall(ctx, *sid, twilio.CallUpdate{Status: wordCompleted})
	if twilio.IsCode(err, 21220) || twilio.NotFound(err) {
		return nil
	}
	return err
}

// ask finds out what became of a call, and of recordings whose end was not told.
func (s *Service) ask(ctx context.Context, a Ask) (err error) {
	defer errs.Wrap(&err, "call.ask(%s)", a.Call)
	if _, err := s.converge(ctx, a.Call); err != nil {
		return err
	}
	st, facts, err := s.read(ctx, a.Call)
	if err != nil || st.Call.ID.IsZero() || st.DueAt == nil {
		return err
	}
	if st.askAt == nil || st.askAt.After(s.Clock.Now()) {
		return s.lookAgain(ctx, st, *st.DueAt)
	}
	client, err := s.Client(ctx, st.Call.ConnectionID)
	if err != nil {
		return err
	}
	if st.Call.TwilioSID == nil {
		return s.search(ctx, client, st, facts)
	}
	if st.Call.EndedAt != nil {
		return s.askRecordings(ctx, client, st)
	}
	if st.room.on {
		return s.askRoom(ctx, client, st)
	}
	x, err := client.FetchCall(ctx, *st.Call.TwilioSID)
	if twilio.NotFound(err) {
		return s.learn(ctx, a.Call, Fact{Key: "reconciled", Kind: FactReconciled, Data: FactData{Status: wordFailed}})
	}
	if err != nil {
		return err
	}
	if !twilio.Ended(x.Status) {
		if st.hungUp {
			return s.end(ctx, End{Organization: a.Organization, Call: a.Call})
		}
		return s.later(ctx, st)
	}
	found := []Fact{{Key: "reconciled", Kind: FactReconciled, At: x.EndedAt, Data: FactData{SID: x.SID, Status: x.Status, Seconds: &x.DurationSeconds}}}
	strays, err := s.askStrays(ctx, client, st)
	if err != nil {
		return err
	}
	found = append(found, strays...)
	children, err := client.ListCalls(ctx, twilio.CallFilter{ParentSID: x.SID, Limit: 100})
	if err != nil {
		return err
	}
	for _, c := range children {
		if l := legFor(st, c); l != nil && twilio.Ended(c.Status) {
			found = append(found, Fact{Key: "asked/" + l.ID.String() + "/" + c.SID, Kind: FactLegStatus, At: c.EndedAt, Data: FactData{
				Leg: l.ID, SID: c.SID, Status: c.Status, Seconds: &c.DurationSeconds,
			}})
		}
	}
	return s.learn(ctx, a.Call, found...)
}

// legFor is the leg that a child at Twilio is: by its SID, else by whom it rings.
func legFor(st State, c twilio.Call) *Leg {
	i := slices.IndexFunc(st.Legs, func(l Leg) bool { return l.Kind != route.Caller && l.TwilioSID != nil && *l.TwilioSID == c.SID })
	if i < 0 {
		i = slices.IndexFunc(st.Legs, func(l Leg) bool {
			return l.Kind != route.Caller && l.TwilioSID == nil && (l.ToAddress == c.To || l.Kind == route.Callee && st.dialled == c.To || strings.TrimPrefix(l.ToAddress, "client:") == strings.TrimPrefix(c.To, "client:"))
		})
	}
	if i < 0 {
		return nil
	}
	return &st.Legs[i]
}

// later looks again at a call that goes on.
func (s *Service) later(ctx context.Context, st State) error {
	wait := 2 * askSoon
	if st.Call.Status == InProgress {
		wait = askAnswered
	}
	at := s.Clock.Now().Add(wait)
	if wake := st.wake(); wake != nil && wake.Before(at) {
		at = *wake
	}
	return s.lookAgain(ctx, st, at)
}

func (s *Service) lookAgain(ctx context.Context, st State, at time.Time) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := db.Exec(ctx, tx, `UPDATE call SET due_at = $3 WHERE organization_id = $1 AND id = $2 AND version = $4`, st.Call.OrganizationID, st.Call.ID, at, st.Call.Version)
		return err
	})
}

// learn adds what Twilio answered.
func (s *Service) learn(ctx context.Context, call id.ID, facts ...Fact) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		for i := range facts {
			facts[i].At = told(facts[i].At, tx.Now)
		}
		st, _, err := s.take(ctx, tx, call, id.ID{}, facts...)
		if err != nil {
			return err
		}
		return endUnwanted(ctx, tx, st)
	})
}

// How long Twilio is given until a call that it was asked for, and a recording
// that it began, do not exist.
const (
	lostCall      = 2 * time.Minute
	lostRecording = time.Hour
)

// search looks for an outbound call whose REST answer never came. The callbacks
// carry our id and mostly settle it first; here it is found by numbers and time.
func (s *Service) search(ctx context.Context, client *twilio.Client, st State, facts []Fact) error {
	if !st.asked {
		return nil // the job has not run yet
	}
	var sentAt time.Time
	for _, f := range facts {
		if f.Kind == FactRESTRequest && f.At.After(sentAt) {
			sentAt = f.At
		}
	}
	list, err := client.ListCalls(ctx, twilio.CallFilter{To: st.agent.Address, From: st.first, Limit: 50})
	if err != nil {
		return err
	}
	// Twilio tells whole seconds.
	list = slices.DeleteFunc(list, func(c twilio.Call) bool { return c.CreatedAt.Before(sentAt.Truncate(time.Second)) })
	slices.SortFunc(list, func(a, b twilio.Call) int { return a.CreatedAt.Compare(b.CreatedAt) })
	for _, c := range list {
		var taken bool
		err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			return tx.Pgx().QueryRow(ctx, `SELECT EXISTS (SELECT FROM call WHERE organization_id = $1 AND twilio_sid = $2)`, st.Call.OrganizationID, c.SID).Scan(&taken)
		})
		if err != nil {
			return err
		}
		if !taken {
			return s.learn(ctx, st.Call.ID, Fact{Key: "answer/found", Kind: FactRESTAnswer, Data: FactData{SID: c.SID, Status: c.Status}})
		}
	}
	if s.Clock.Now().Sub(sentAt) < lostCall {
		return nil // it may show up yet
	}
	return s.learn(ctx, st.Call.ID, Fact{Key: "answer/lost", Kind: FactRESTAnswer, Data: FactData{Status: wordFailed}})
}

func (s *Service) askRecordings(ctx context.Context, client *twilio.Client, st State) error {
	list, err := client.ListRecordings(ctx, *st.Call.TwilioSID)
	if err != nil && !twilio.NotFound(err) {
		return err
	}
	var found []Fact
	for _, r := range st.Recordings {
		if r.Status != wordInProgress {
			continue
		}
		i := slices.IndexFunc(list, func(x twilio.Recording) bool { return x.SID == r.SID })
		switch {
		case i >= 0 && (list[i].Status == wordCompleted || list[i].Status == wordAbsent || list[i].Status == wordFailed):
			x := list[i]
			f := twilio.RecordingForm{RecordingSID: x.SID, Status: x.Status}
			d := FactData{SID: x.SID, Status: x.Status, Channels: x.Channels, StartedAt: x.StartedAt, Source: x.Source}
			if x.Status == wordCompleted {
				d.Seconds = &x.DurationSeconds
			}
			found = append(found, Fact{Key: "recording/" + f.Key(), Kind: FactRecordingStatus, Data: d})
		case s.Clock.Now().Sub(*st.Call.EndedAt) > lostRecording:
			found = append(found, Fact{Key: "recording/" + r.SID + "/" + wordFailed, Kind: FactRecordingStatus, Data: FactData{SID: r.SID, Status: wordFailed}})
		}
	}
	if len(found) == 0 {
		return nil
	}
	return s.learn(ctx, st.Call.ID, found...)
}
