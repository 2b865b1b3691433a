package call

import (
	"context"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// calleeRings is how long the callee of an outbound call rings, in seconds.
const calleeRings = 45

// Bridge says what happens when the person who started a call has answered on
// their own device or phone: the callee is rung (R087). On a phone they press a key
// first, because an answering machine may have picked up.
func (s *Service) Bridge(ctx context.Context, tx *db.Tx, call id.ID, f twilio.CallForm, hooks Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.Bridge")
	return s.goOn(ctx, tx, call, f, hooks, Fact{
		Key: "call/" + f.CallSID + "/bridge", Kind: FactCallStatus, At: tx.Now, Data: FactData{SID: f.CallSID, Status: wordInProgress},
	}, false)
}

// Pressed goes on where Bridge asked for a key.
func (s *Service) Pressed(ctx context.Context, tx *db.Tx, call id.ID, f twilio.CallForm, hooks Hooks) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.Pressed")
	return s.goOn(ctx, tx, call, f, hooks, Fact{Key: "keys/1", Kind: FactKeys, At: tx.Now, Data: FactData{Step: 1, Keys: f.Digits}}, f.Digits != "")
}

func (s *Service) goOn(ctx context.Context, tx *db.Tx, call id.ID, f twilio.CallForm, hooks Hooks, news Fact, pressed bool) (twilio.Response, error) {
	asks := func(st State) bool { return st.agent != nil && st.agent.Screen && !pressed && st.Step < 2 }
	st, found, err := s.takeWith(ctx, tx, call, id.ID{}, []Fact{news}, func(st State) []Fact {
		if asks(st) || !st.calls() {
			return nil
		}
		return []Fact{stepFact(2, tx.Now)}
	})
	w := script{state: st, hooks: hooks, audio: s.Audio}
	switch {
	case err != nil:
		return nil, err
	case !found || st.hungUp || st.Call.Status == Failed:
		return twilio.Response{twilio.Hangup{}}, nil
	case over(f.Status):
		return twilio.Response{}, nil
	case st.Call.IsTest:
		return w.tested(), nil
	case !st.calls():
		return twilio.Response{twilio.Hangup{}}, nil
	case asks(st) && news.Kind == FactKeys:
		return twilio.Response{twilio.Hangup{}}, nil
	case asks(st):
		return w.asksForKey(), nil
	}
	return twilio.Response{w.callee()}, nil
}

// calls reports whether there is somebody to connect the first leg with.
func (s *State) calls() bool { return s.callee != nil || len(s.callees) > 0 }

// keySeconds is how long a phone that picked up has to press a key.
const keySeconds = 10

// asksForKey has a person show that they are one. No number is said: others may listen.
func (w script) asksForKey() twilio.Response {
	return twilio.Response{
		twilio.Gather{
			Action: w.hooks.TwiML(w.path("pressed"), nil), NumDigits: 1, NoFinishKey: true, TimeoutSeconds: keySeconds,
			Prompts: []twilio.Verb{w.say("Press any key to be connected with your call.")},
		},
		twilio.Hangup{},
	}
}

// callee connects the person who started a call with the callee (R087), or with
// the devices of a colleague: the first to answer (R093).
func (w script) callee() twilio.Dial {
	d := twilio.Dial{
		Action: w.action("dial", 2), TimeoutSeconds: calleeRings - twilioRings,
		// Who calls by themselves hears the network's own ringing until somebody answers.
		AnswerOnBridge: !w.state.placed.IsZero(),
	}
	for _, t := range w.state.callees {
		if t.Kind == route.SIP {
			d.CallerID = w.state.first // a SIP phone shows no device's name
		}
		d.Nouns = append(d.Nouns, w.noun(t))
	}
	if w.state.callee == nil {
		return d
	}
	t := *w.state.callee
	d.CallerID = w.state.Call.FromNumber
	w.recorded(&d)
	n := w.noun(t)
	if phone, ok := n.(twilio.ToNumber); ok {
		if w.state.dialled != "" {
			phone.Number = w.state.dialled
		}
		if w.state.detect {
			phone.MachineDetection = "DetectMessageEnd"
			phone.AMDStatusCallback = w.hooks.Callback(w.path("amd/"+t.LegID.String()), nil)
		}
		n = phone
	}
	d.Nouns = []twilio.Noun{n}
	return d
}

// calleeOver is what the person who started an outbound call hears when the
// callee is gone.
func (w script) calleeOver(word string, connected bool) twilio.Response {
	text := ""
	switch {
	case connected:
	case word == wordBusy && w.state.Call.Direction == Internal:
		text = sayDeclined
	case word == wordBusy:
		text = sayBusy
	case word == wordNoAnswer:
		text = sayNoAnswer
	default:
		text = sayNoConnect
	}
	return append(twilio.Response(w.prompt(Prompt{}, text)), twilio.Hangup{})
}

const sayDeclined = "Your colleague cannot take the call now."
