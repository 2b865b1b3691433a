package call

import (
	"context"
	"net/url"
	"strconv"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// roomEvents are the news of the conference. The first to enter fixes them, so all
// are sent with the same.
var roomEvents = []string{"start", "end", "join", "leave", "mute", "hold", "modify"}

// transferRings is how long somebody rings who is called into a call, in seconds.
const transferRings = 25

// ringsFor is how long a call of ours for the room rings.
func (s *State) ringsFor() int {
	if n := s.Plan.RingSeconds; n > 0 {
		return min(n, 60)
	}
	return transferRings
}

// numbers are what a call of ours shows and whom it rings.
type numbers struct{ from, to string }

// callTo is whom a party's call rings, with the call's own number.
func (w script) callTo(x *seat) numbers {
	c := &w.state.Call
	n := numbers{from: c.FromNumber, to: x.target.Address}
	switch c.Direction {
	case Inbound:
		n.from = c.ToNumber
	case Internal: // its ends are names
		n.from = w.state.first
	}
	if c.CallerNumber != nil {
		n.from = string(*c.CallerNumber)
	}
	if x.target.Kind == route.Device {
		q := url.Values{}
		for _, p := range w.parameters() {
			q.Set(p.Name, p.Value)
		}
		q.Set("purpose", string(x.purpose))
		n.to += "?" + q.Encode()
	}
	return n
}

// callFor asks Twilio to ring a party.
func (w script) callFor(x *seat) twilio.CallRequest {
	n, leg := w.callTo(x), x.leg.String()
	return twilio.CallRequest{
		To: n.to, From: n.from, URL: w.hooks.TwiML(w.path("join/"+leg), nil),
		StatusCallback: w.hooks.Callback(w.path("leg/"+leg), nil), StatusCallbackEvent: legEvents, TimeoutSeconds: w.state.ringsFor(),
	}
}

// holdURL is what somebody on hold hears: the organization's music (R098), "" for
// Twilio's own.
func (w script) holdURL() string {
	if w.state.Plan.HoldMusic == "" || w.audio == nil {
		return ""
	}
	return w.hooks.TwiML(w.path("hold"), nil)
}

// enter is the room's document for a leg, the n-th that it gets. The outside
// party's leg is what is recorded (D23): in the background, whatever documents come.
func (w script) enter(x *seat, n int) (doc twilio.Response, records bool) {
	r := w.state.room
	records = x.role == outside && w.state.Plan.Record != "" && r.pausedAt == nil && !r.recorded && !w.state.recordingOn(x.sid)
	if records {
		doc = append(doc, twilio.StartRecording{Channels: "dual", RecordingStatusCallback: w.hooks.Callback(w.path("recording"), nil), RecordingStatusCallbackEvent: recordingEvents})
	}
	leg := x.leg.String()
	room := twilio.ToConference{
		Name: w.state.Call.ID.String(), ParticipantLabel: leg, Muted: x.muted, Silence: true,
		StatusCallback: w.hooks.Callback(w.path("room"), nil), StatusCallbackEvent: roomEvents,
	}
	if x.coach != "" {
		if to := r.side(func(o *seat) bool { return o.sid == x.coach }); to != nil && to.joined {
			room.Coach = x.coach
		} else {
			room.Muted = true
		}
	}
	if x.held { // until it is on hold in the room, it hears the same
		room.WaitURL = w.holdURL()
		room.Silence = false
	}
	return append(doc, twilio.Dial{Action: w.hooks.TwiML(w.path("left/"+leg+"/"+strconv.Itoa(n)), nil), Nouns: []twilio.Noun{room}}), records
}

// recordingOn reports whether a recording of our own order runs on a leg.
func (s *State) recordingOn(sid string) bool {
	for _, r := range s.Recordings {
		if r.CallSID == sid && r.Status == wordInProgress && !r.ForVoicemail && r.Source != "DialVerb" {
			return true
		}
	}
	return false
}

// meets is the first leg of a call that is held in a room; ok is false while its
// <Dial> is all there is.
func (s *State) meets() (leg id.ID, ok bool) {
	if r := s.room; r != nil && r.wanted && r.ended == nil && s.Call.EndedAt == nil && r.first() != nil {
		return r.first().leg, true
	}
	return id.ID{}, false
}

// Join answers a leg that was picked up, or was sent to the room: whoever has the
// place gets the room, the others hang up. Under the call's lock the first has it.
func (s *Service) Join(ctx context.Context, tx *db.Tx, call, leg id.ID, f twilio.CallForm, hooks Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.Join")
	st, found, err := s.take(ctx, tx, call, id.ID{})
	if err != nil || !found {
		return twilio.Response{twilio.Hangup{}}, err
	}
	if over(f.Status) {
		return twilio.Response{}, nil
	}
	switch x := st.room.find(leg); {
	case x == nil: // a call of our own that rings beside a <Dial>
		var won bool
		if st, won, err = s.claim(ctx, tx, call, leg, f, true); err != nil || !won {
			return twilio.Response{twilio.Hangup{}}, err
		}
	case x.own && x.claimed == nil:
		word := claimLost
		if x.ringing && !x.out && st.Call.EndedAt == nil && !st.hungUp {
			word = claimWon
		}
		if x.target.Screen && word == claimWon && f.Digits != "1" {
			if f.Digits != "" {
				return twilio.Response{twilio.Hangup{}}, nil
			}
			return script{state: st, hooks: hooks, audio: s.Audio}.asksToJoin(leg), nil
		}
		st, _, err = s.take(ctx, tx, call, x.target.UserID,
			Fact{Key: "leg/" + leg.String() + "/" + f.CallSID + "/picked", Kind: FactLegStatus, At: tx.Now, Data: FactData{Leg: leg, SID: f.CallSID, Status: wordInProgress}},
			Fact{Key: "claim/" + leg.String(), Kind: FactClaim, At: tx.Now, Data: FactData{Leg: leg, SID: f.CallSID, Status: word}})
		if err != nil || word == claimLost {
			return twilio.Response{twilio.Hangup{}}, err
		}
	}
	return s.serveRoom(ctx, tx, st, leg, "", hooks)
}

// asksToJoin has whoever picked up a phone show that they are no machine (R052).
func (w script) asksToJoin(leg id.ID) twilio.Response {
	return twilio.Response{
		twilio.Gather{Action: w.hooks.TwiML(w.path("join/"+leg.String()), nil), NumDigits: 1, NoFinishKey: true, TimeoutSeconds: screenWaits,
			Prompts: []twilio.Verb{w.say("You have a call. Press 1 to take it.")}},
		twilio.Hangup{},
	}
}

// RoomFor answers a leg that was redirected to the room.
func (s *Service) RoomFor(ctx context.Context, tx *db.Tx, call, leg id.ID, f twilio.CallForm, hooks Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.RoomFor")
	return s.intoRoom(ctx, tx, call, leg, "", f, hooks)
}

// Left answers a leg that is out of the room and still there: it goes back, if it
// is wanted, and hangs up else.
func (s *Service) Left(ctx context.Context, tx *db.Tx, call, leg id.ID, f twilio.DialForm, hooks Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.Left")
	return s.intoRoom(ctx, tx, call, leg, "", f.CallForm, hooks)
}

// Digits has a leg hear tones, and sends it back into the room (R097). The tones
// are in its own audio: whoever is behind that leg hears them as keys.
func (s *Service) Digits(ctx context.Context, tx *db.Tx, call, leg id.ID, n int, f twilio.CallForm, hooks Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.Digits")
	st, _, err := s.readIn(ctx, tx, call)
	if err != nil {
		return nil, err
	}
	digits := ""
	if r := st.room; r != nil && n >= 1 && n <= len(r.digits) {
		if d := r.digits[n-1].Data; d.Leg == leg && d.Order != nil {
			digits = d.Order.Digits
		}
	}
	return s.intoRoom(ctx, tx, call, leg, digits, f, hooks)
}

// maxServed bounds how often one leg is sent into the room.
const maxServed = 200

func (s *Service) intoRoom(ctx context.Context, tx *db.Tx, call, leg id.ID, digits string, f twilio.CallForm, hooks Hooks) (twilio.Response, error) {
	st, found, err := s.take(ctx, tx, call, id.ID{})
	if err != nil || !found {
		return twilio.Response{twilio.Hangup{}}, err
	}
	if over(f.Status) {
		return twilio.Response{}, nil
	}
	return s.serveRoom(ctx, tx, st, leg, digits, hooks)
}

func (s *Service) serveRoom(ctx context.Context, tx *db.Tx, st State, leg id.ID, digits string, hooks Hooks) (twilio.Response, error) {
	w := script{state: st, hooks: hooks, audio: s.Audio}
	x := st.room.find(leg)
	if x == nil || !x.in || st.Call.EndedAt != nil || st.hungUp || st.room.served[leg] >= maxServed {
		if x != nil && x.role == outside && x.parent && st.Plan.Farewell.Given() && !st.hungUp && st.Call.EndedAt != nil {
			return w.bye(), nil
		}
		return twilio.Response{twilio.Hangup{}}, nil
	}
	n := st.room.served[leg] + 1
	doc, records := w.enter(x, n)
	keys := ""
	if records {
		keys = roomRecorded
	}
	_, _, err := s.take(ctx, tx, st.Call.ID, id.ID{}, Fact{Key: "served/" + leg.String() + "/" + strconv.Itoa(n), Kind: FactRoom, At: tx.Now,
		Data: FactData{Leg: leg, Step: n, Status: roomServed, Keys: keys}})
	if digits != "" {
		doc = append(twilio.Response{twilio.Play{Digits: digits}}, doc...)
	}
	return doc, err
}

// RoomNews takes news about the call's conference.
func (s *Service) RoomNews(ctx context.Context, tx *db.Tx, call id.ID, f twilio.ConferenceForm) (err error) {
	defer errs.Wrap(&err, "call.RoomNews(%s)", f.Event)
	leg, _ := id.ParseKind(f.ParticipantLabel, id.Leg) // without one the leg is known by its SID
	_, _, err = s.take(ctx, tx, call, id.ID{}, Fact{Key: "room/" + f.Key(), Kind: FactRoom, At: told(f.At, tx.Now), Data: FactData{
		Leg: leg, SID: f.CallSID, Room: f.ConferenceSID, Status: f.Event, Sequence: f.Sequence, Muted: f.Muted, Coach: f.Coached,
	}})
	return err
}

// HoldMusic is what somebody on hold hears, again and again.
func (s *Service) HoldMusic(ctx context.Context, tx *db.Tx, call id.ID, _ twilio.CallForm, _ Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.HoldMusic")
	st, _, err := s.readIn(ctx, tx, call)
	if err != nil || st.Plan.HoldMusic == "" || s.Audio == nil {
		return twilio.Response{twilio.Pause{Seconds: 600}}, err
	}
	return twilio.Response{twilio.Play{URL: s.Audio(st.Plan.HoldMusic), Loop: 1000}}, nil // a thousand is for ever
}

// After goes on with an outside party whom nobody took: voicemail where the number
// has it, else the farewell.
func (s *Service) After(ctx context.Context, tx *db.Tx, call id.ID, f twilio.CallForm, hooks Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.After")
	step := 0
	st, found, err := s.takeWith(ctx, tx, call, id.ID{}, nil, nil)
	if err != nil || !found {
		return twilio.Response{twilio.Hangup{}}, err
	}
	w := script{state: st, hooks: hooks, audio: s.Audio}
	switch {
	case over(f.Status):
		return twilio.Response{}, nil
	case st.hungUp:
		return twilio.Response{twilio.Hangup{}}, nil
	case st.Call.EndedAt != nil || !st.room.sentOn:
		return w.bye(), nil
	}
	if d := st.Decision; d != nil {
		for i := range d.Steps {
			if d.Steps[i].Kind == route.Voicemail {
				step = i + 1
			}
		}
	}
	if step == 0 {
		return w.bye(), nil
	}
	doc, _ := w.from(step)
	_, _, err = s.take(ctx, tx, call, id.ID{}, stepFact(step, tx.Now))
	return doc, err
}
