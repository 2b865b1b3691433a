package call

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// Projection keeps rows of its own that follow from the state of a call. Apply
// runs in the transaction that changed the state, when recordings, voicemail or
// contact changed, and must bear being called again.
type Projection interface {
	Apply(ctx context.Context, tx *db.Tx, s State) error
}

// Deps are what a Service needs. Client, Hooks and Audio are package number's.
type Deps struct {
	DB     *db.DB
	Clock  clock.Clock
	Logger *slog.Logger
	// Client is the Twilio client of a connection of the context's tenant.
	Client func(ctx context.Context, connection id.ID) (*twilio.Client, error)
	// Hooks are the addresses of a connection of the context's tenant.
	Hooks func(ctx context.Context, connection id.ID) (Hooks, error)
	// Audio is where Twilio plays an audio file from, by its public token.
	Audio func(token string) string
	// MaySpend refuses a call out that a cap of costs bars (R102); nil: none does.
	MaySpend func(ctx context.Context, tx *db.Tx, who access.Actor, branch id.ID) error
}

// Service is calls as the other packages use them.
type Service struct {
	Deps
	projections []Projection
	ignored     ignoredLists
}

// New makes a Service.
func New(d Deps) *Service {
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Clock == nil {
		d.Clock = clock.Real{}
	}
	return &Service{Deps: d}
}

// Project registers a projection. Do it before the first call.
func (s *Service) Project(p Projection) { s.projections = append(s.projections, p) }

// Incoming is a call that Twilio asks about: what to do with it.
type Incoming struct {
	Connection id.ID
	Form       twilio.CallForm
	Hooks      Hooks
}

// ofOurs reports whether a person of ours calls, on a device or SIP phone: an
// apology helps them more than a voicemail.
func (in Incoming) ofOurs() bool {
	return strings.HasPrefix(in.Form.From, "client:") || strings.HasPrefix(in.Form.From, "sip:")
}

// Inbound decides where a call goes and says what happens first. It reads local
// data only (T14). Asked again for the same call it says the same.
func (s *Service) Inbound(ctx context.Context, tx *db.Tx, in Incoming) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.Inbound")
	sc, err := s.readScene(ctx, tx, look{called: in.Form.To, from: in.Form.From, turn: true})
	if err != nil {
		return nil, err
	}
	return s.begin(ctx, tx, in, sc, route.Decide(sc.Snapshot))
}

// begin stores the call with its decision and serves the first steps.
func (s *Service) begin(ctx context.Context, tx *db.Tx, in Incoming, sc scene, d route.Decision) (twilio.Response, error) {
	nameLegs(d.Steps)
	start := &Start{
		Organization: db.TenantFrom(ctx), Call: id.New(id.Call), Connection: in.Connection, Direction: Inbound, SID: in.Form.CallSID,
		From: in.Form.From, To: in.Form.To, Number: sc.Number.ID, Branch: sc.Number.BranchID, Contact: d.ContactID, Campaign: d.CampaignID,
		CallerLeg: id.New(id.Leg), Decision: &d, BusinessUnit: sc.businessUnit, Hops: sc.Hops, Notices: sc.plan.notices(), Plan: sc.plan,
	}
	var err error
	if start.Contact, start.Record, err = saved(ctx, tx, sc.saving, start.Contact, id.ID{}); err != nil {
		return nil, err
	}
	if err := start.ofMask(ctx, tx, sc.Mask); err != nil {
		return nil, err
	}
	started := Fact{Key: "started", Kind: FactStarted, At: tx.Now, Data: FactData{Start: start}}
	w := script{state: Fold([]Fact{started}), hooks: in.Hooks, audio: s.Audio}
	doc, facts, err := w.serve(ctx, tx, 1)
	if err != nil {
		return nil, err
	}
	st, made, err := s.create(ctx, tx, append([]Fact{started}, facts...), id.ID{})
	if err != nil {
		return nil, err
	}
	if made {
		if err := tookTurn(ctx, tx, sc.Number.ID, d.First); err != nil {
			return nil, err
		}
		return doc, s.startDue(ctx, tx, st)
	}
	// Twilio asks again, as it does when an answer was lost: the first decision stands.
	w.state = st
	switch {
	case st.Call.EndedAt != nil && st.Call.Status != Rejected:
		return twilio.Response{}, nil
	case st.Call.AnsweredAt != nil:
		return w.bye(), nil // what was asked after the conversation got no answer: nobody is rung again
	}
	doc, _ = w.from(max(1, first(st)))
	return doc, nil
}

// first is the step that a repeated request is answered with: the welcome is heard again.
func first(st State) int {
	n := st.Step
	for n > 1 && speaks(st.Decision.Steps[n-2].Kind) {
		n--
	}
	return n
}

func stepFact(n int, at time.Time) Fact {
	return Fact{Key: "step/" + strconv.Itoa(n), Kind: FactStep, At: at, Data: FactData{Step: n}}
}

// LegNews is news about a leg of a call, on its way. What it reads first may go
// ahead of Apply (inbox.Post).
type LegNews struct {
	s     *Service
	call  id.ID
	fact  Fact
	known *history
}

// LegNews takes news about a leg of a call.
func (s *Service) LegNews(call, leg id.ID, f twilio.LegForm) *LegNews {
	return &LegNews{s: s, call: call, fact: legFact(leg, f, s.Clock.Now().UTC())}
}

// Ahead is what queues the statements that Apply would send first.
func (n *LegNews) Ahead(org id.ID) func(*pgx.Batch) {
	return func(b *pgx.Batch) {
		h := &history{}
		if h.queue(b, org, n.call, []Fact{n.fact}) == nil { // else Apply says what is wrong
			n.known = h
		}
	}
}

// Apply changes the call.
func (n *LegNews) Apply(ctx context.Context, tx *db.Tx) (err error) {
	defer errs.Wrap(&err, "call.LegNews(%s)", n.fact.Data.Status)
	h := n.known
	n.known = nil // undone with the effect: when that runs again, it is read again
	if h == nil || !h.read {
		if h, err = lockAndAdd(ctx, tx, n.call, []Fact{n.fact}); err != nil {
			return err
		}
	}
	_, _, err = n.s.settle(ctx, tx, n.call, id.ID{}, h, nil, tx.Last)
	return err
}

// LegStatus is LegNews at once.
func (s *Service) LegStatus(ctx context.Context, tx *db.Tx, call, leg id.ID, f twilio.LegForm) error {
	return s.LegNews(call, leg, f).Apply(ctx, tx)
}

func legFact(leg id.ID, f twilio.LegForm, now time.Time) Fact {
	return Fact{Key: "leg/" + leg.String() + "/" + f.Key(), Kind: FactLegStatus, At: told(f.At, now), Data: FactData{
		Leg: leg, SID: f.CallSID, Status: f.Status, Sequence: f.Sequence, Seconds: f.DurationSeconds, SIPCode: f.SIPCode, Error: f.ErrorCode,
	}}
}

// told is the time that a source gives, else now.
func told(at, now time.Time) time.Time {
	if at.IsZero() {
		return now
	}
	return at.UTC()
}

func callFact(f twilio.LegForm, now time.Time) Fact {
	return Fact{Key: "call/" + f.Key(), Kind: FactCallStatus, At: told(f.At, now), Data: FactData{
		SID: f.CallSID, Status: f.Status, Sequence: f.Sequence, Seconds: f.DurationSeconds, SIPCode: f.SIPCode, Error: f.ErrorCode,
	}}
}

// NumberStatus takes news about a call of a number, which names it by Twilio's
// SID only. A call that is not known is none of ours: it has no effect.
func (s *Service) NumberStatus(ctx context.Context, tx *db.Tx, f twilio.LegForm) (err error) {
	defer errs.Wrap(&err, "call.NumberStatus(%s)", f.Status)
	var call id.ID
	err = tx.Pgx().QueryRow(ctx, `SELECT id FROM call WHERE organization_id = $1 AND twilio_sid = $2`, db.TenantFrom(ctx), f.CallSID).Scan(&call)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return db.Translate(err)
	}
	return s.CallStatus(ctx, tx, call, f)
}

// CallStatus takes news about the first leg of a call.
func (s *Service) CallStatus(ctx context.Context, tx *db.Tx, call id.ID, f twilio.LegForm) (err error) {
	defer errs.Wrap(&err, "call.CallStatus(%s)", f.Status)
	st, _, err := s.take(ctx, tx, call, id.ID{}, callFact(f, tx.Now))
	if err != nil || over(f.Status) || st.Call.Direction == Inbound {
		return err
	}
	return endUnwanted(ctx, tx, st)
}

// RecordingStatus takes news about a recording of a call.
func (s *Service) RecordingStatus(ctx context.Context, tx *db.Tx, call id.ID, f twilio.RecordingForm) (err error) {
	defer errs.Wrap(&err, "call.RecordingStatus(%s)", f.Status)
	_, _, err = s.take(ctx, tx, call, id.ID{}, Fact{Key: "recording/" + f.Key(), Kind: FactRecordingStatus, At: tx.Now, Data: FactData{
		SID: f.RecordingSID, CallSID: f.CallSID, Status: f.Status, Seconds: f.DurationSeconds, Channels: f.Channels, StartedAt: f.StartedAt.UTC(), Source: f.Source, Error: f.ErrorCode,
	}})
	return err
}

// AfterDial says what happens when a <Dial> is over: the farewell when somebody
// was connected, else the next step of the route.
func (s *Service) AfterDial(ctx context.Context, tx *db.Tx, call id.ID, step int, f twilio.DialForm, hooks Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.AfterDial(%d, %s)", step, f.DialStatus)
	facts := []Fact{{Key: "dial/" + strconv.Itoa(step), Kind: FactDialResult, At: tx.Now, Data: FactData{
		Step: step, SID: f.DialCallSID, Status: f.DialStatus, Seconds: f.DialDuration, Bridged: f.Bridged, Parent: f.Status,
	}}}
	gone := over(f.Status) || f.DialStatus == wordCanceled
	var failure error
	st, found, err := s.takeWith(ctx, tx, call, id.ID{}, facts, func(st State) (more []Fact) {
		// What the request says of the caller counts, not what was heard before it: its end may overtake it.
		if _, held := st.meets(); held || st.connected(step, &facts[0]) || gone || st.ringRoom || st.Decision == nil {
			return nil
		}
		_, more, failure = script{state: st, hooks: hooks, audio: s.Audio}.serve(ctx, tx, step+1)
		return more
	})
	connected := st.connected(step, &facts[0])
	first, held := st.meets()
	switch {
	case err != nil || failure != nil:
		return nil, cmp.Or(failure, err)
	case !found:
		return twilio.Response{twilio.Hangup{}}, nil
	case gone && !held:
		return twilio.Response{}, nil // the caller is gone and hears nothing
	}
	w := script{state: st, hooks: hooks, audio: s.Audio}
	switch {
	case held && over(f.Status):
		return twilio.Response{}, nil
	case held: // the other leg is on its way to the room, and so is this one
		return s.serveRoom(ctx, tx, st, first, "", hooks)
	case st.Decision == nil:
		return w.calleeOver(f.DialStatus, connected), nil
	case connected:
		return w.bye(), nil
	}
	doc, _ := w.from(step + 1)
	return doc, s.startDue(ctx, tx, st)
}

// AfterRecord says what happens when a voicemail was taken.
func (s *Service) AfterRecord(ctx context.Context, tx *db.Tx, call id.ID, step int, f twilio.RecordForm, hooks Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.AfterRecord(%d)", step)
	st, found, err := s.take(ctx, tx, call, id.ID{}, Fact{Key: "record/" + strconv.Itoa(step), Kind: FactRecordResult, At: tx.Now, Data: FactData{
		Step: step, SID: f.RecordingSID, Seconds: f.DurationSeconds, Parent: f.Status,
	}})
	switch {
	case err != nil:
		return nil, err
	case !found:
		return twilio.Response{twilio.Hangup{}}, nil
	case f.Digits == "hangup" || over(f.Status):
		return twilio.Response{}, nil
	}
	return script{state: st, hooks: hooks, audio: s.Audio}.bye(), nil
}

// Fallback is the safe answer when deciding failed: the number's own forwarding
// and voicemail, or an apology where even that cannot be had. The call is the
// one that is under way, zero for one that just came in. It never fails.
func (s *Service) Fallback(ctx context.Context, in Incoming, call id.ID) twilio.Response {
	switch {
	case over(in.Form.Status):
		return twilio.Response{}
	case in.ofOurs():
		return safe(nil, id.ID{})
	case !call.IsZero():
		return safe(in.Hooks, call)
	}
	ctx, cancel := context.WithTimeout(ctx, fallbackTime)
	defer cancel()
	var doc twilio.Response
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		doc, err = s.Rescue(ctx, tx, in)
		return err
	})
	if err != nil {
		s.Logger.ErrorContext(ctx, "a caller got the apology", "twilio_sid", in.Form.CallSID, "error", err)
		return safe(nil, id.ID{})
	}
	return doc
}

// Rescue takes a call whose routing failed by the number's settings alone:
// forwarding, then voicemail. A call that is known goes on where it is.
func (s *Service) Rescue(ctx context.Context, tx *db.Tx, in Incoming) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.Rescue")
	if in.ofOurs() {
		return safe(nil, id.ID{}), nil
	}
	sc := scene{Snapshot: route.Snapshot{At: tx.Now, From: in.Form.From}}
	n := &sc.Number
	err = tx.Pgx().QueryRow(ctx, `SELECT n.id, n.e164, n.branch_id, n.is_enabled AND c.is_enabled, n.use_for_inbound_calls, n.forwarding_numbers, n.screening,
			n.voicemail_enabled, n.voicemail_max_seconds, n.voicemail_owner_id, coalesce(n.voicemail_greeting_text, ''), n.voice, n.language, n.ring_timeout_seconds
		FROM phone_number n JOIN twilio_connection c ON c.organization_id = n.organization_id AND c.id = n.connection_id
		WHERE n.organization_id = $1 AND n.e164 = $2 AND n.disconnected_at IS NULL`, db.TenantFrom(ctx), in.Form.To).
		Scan(&n.ID, &n.E164, &n.BranchID, &n.Enabled, &n.ForInbound, &n.ForwardingNumbers, &n.Screen,
			&n.Voicemail, &sc.plan.VoicemailMax, &sc.plan.VoicemailOwner, &sc.plan.Greeting.Text, &sc.plan.Voice, &sc.plan.Language, &n.RingTimeout)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, db.Translate(err)
	}
	// Without people and contacts nobody of ours is rung: what is left is the fallback.
	d := route.Decide(sc.Snapshot)
	d.Trace = append([]route.Trace{{Rule: "FALLBACK", Verdict: route.Chosen, Detail: "routing failed; the number's forwarding and voicemail are used"}}, d.Trace...)
	return s.begin(ctx, tx, in, sc, d)
}

// fallbackTime is what is left of Twilio's patience when deciding has failed.
const fallbackTime = 1500 * time.Millisecond

// take adds facts to a call. It returns the state with them; found is false when
// there is no such call, which has no effect.
func (s *Service) take(ctx context.Context, tx *db.Tx, call, actor id.ID, facts ...Fact) (_ State, found bool, err error) {
	return s.takeWith(ctx, tx, call, actor, facts, nil)
}

// takeWith is take with facts that follow from the state after the first ones.
func (s *Service) takeWith(ctx context.Context, tx *db.Tx, call, actor id.ID, facts []Fact, more func(State) []Fact) (_ State, found bool, err error) {
	h, err := lockAndAdd(ctx, tx, call, facts)
	if err != nil {
		return State{}, false, err
	}
	return s.settle(ctx, tx, call, actor, h, more, nil)
}

// settle changes the rows as the facts say. With last, what is written may wait for
// the commit: the caller reads none of it.
func (s *Service) settle(ctx context.Context, tx *db.Tx, call, actor id.ID, h *history, more func(State) []Fact, last func(*pgx.Batch)) (_ State, found bool, err error) {
	if len(h.all) == 0 { // a call has one fact at least
		return State{}, false, nil
	}
	after := Fold(h.all)
	if len(h.fresh) == 0 {
		return after, true, nil
	}
	before := Fold(without(h.all, h.fresh))
	if more != nil {
		if extra := more(after); len(extra) > 0 {
			added, err := addFacts(ctx, tx, call, extra)
			if err != nil {
				return State{}, false, err
			}
			after = Fold(append(h.all, added...))
		}
	}
	if err := endStrays(ctx, tx, before, after); err != nil {
		return State{}, false, err
	}
	if err := s.pursue(ctx, tx, &after); err != nil {
		return State{}, false, err
	}
	return after, true, s.save(ctx, tx, before, after, actor, last)
}

// without is the facts but for those with the keys.
func without(all []Fact, keys map[string]bool) []Fact {
	out := make([]Fact, 0, len(all))
	for _, f := range all {
		if !keys[f.Key] {
			out = append(out, f)
		}
	}
	return out
}

// news are the events of a change, in the order in which they happened.
func news(before, after State, actor id.ID) []event.Event {
	var out []event.Event
	data := func(extra map[string]any) json.RawMessage {
		m := map[string]any{"version": after.Call.Version, "status": after.Call.Status, "branchId": after.Call.BranchID, "userIds": after.users()}
		for k, v := range extra {
			m[k] = v
		}
		b, err := json.Marshal(m)
		if err != nil {
			panic(fmt.Sprintf("call: an event's data is no JSON: %v", err)) // strings and ids only
		}
		return b
	}
	add := func(kind event.Kind, extra map[string]any) {
		out = append(out, event.Event{Kind: kind, Subject: after.Call.ID, ActorID: actor, Data: data(extra)})
	}
	if before.Call.ID.IsZero() {
		add(EventStarted, nil)
	}
	if before.Call.AnsweredAt == nil && after.Call.AnsweredAt != nil {
		add(EventAnswered, nil)
	}
	for _, l := range after.Legs {
		old := before.Find(l.ID)
		if old == nil {
			old = &Leg{}
		}
		ring := map[string]any{"legId": l.ID, "userId": l.UserID, "deviceId": l.DeviceID}
		if l.Kind == route.Caller || l.Kind == route.Callee || l.Kind == route.Guest || l.ID == after.placed { // nobody of ours was rung
			continue
		}
		if l.Status == LegRinging && old.Status != LegRinging {
			add(EventRingStarted, ring)
		}
		if l.Outcome != nil && (old.Outcome == nil || *old.Outcome != *l.Outcome) {
			ring["outcome"] = *l.Outcome
			ring["answeredById"] = l.AnsweredByID
			add(EventRingEnded, ring)
		}
	}
	if before.Call.EndedAt == nil && after.Call.EndedAt != nil {
		add(EventEnded, nil)
	}
	if told := after.room; told != nil && told.told && (before.room == nil || !before.room.told) {
		add(EventNotice, map[string]any{"notice": RecordingStillPaused})
	}
	if len(out) == 0 {
		add(EventUpdated, nil)
	}
	return out
}

// users are all whose call it is: who started it, who was rung, who answered.
func (s *State) users() []id.ID {
	out := []id.ID{}
	seen := map[id.ID]bool{}
	add := func(u id.ID) {
		if !u.IsZero() && !seen[u] {
			seen[u] = true
			out = append(out, u)
		}
	}
	add(s.Call.UserID)
	for _, l := range s.Legs {
		add(l.UserID)
	}
	return out
}

// The kinds of event about calls.
const (
	EventStarted     event.Kind = "CALL_STARTED"
	EventAnswered    event.Kind = "CALL_ANSWERED"
	EventEnded       event.Kind = "CALL_ENDED"
	EventUpdated     event.Kind = "CALL_UPDATED"
	EventNotice      event.Kind = "CALL_NOTICE"
	EventRingStarted event.Kind = "RING_STARTED"
	EventRingEnded   event.Kind = "RING_ENDED"
)
