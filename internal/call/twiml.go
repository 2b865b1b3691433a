package call

import (
	"net/url"
	"slices"
	"strconv"

	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// Hooks are the addresses that Twilio is given for one connection. TwiML is where
// it asks what to do, Callback where it tells what happened.
type Hooks interface {
	TwiML(path string, query url.Values) string
	Callback(path string, query url.Values) string
}

// What callers hear where the number says nothing.
const (
	sayNobody    = "Sorry, nobody can take your call right now. Goodbye."
	sayLeave     = "Please leave a message after the tone."
	sayLater     = "We are sorry, something went wrong on our side. Please call again later."
	sayBusy      = "The number you called is busy."
	sayNoAnswer  = "There was no answer."
	sayNoConnect = "The call could not be connected."
)

// twilioRings is how much longer Twilio rings than it is told (twilio.md 3.1).
const twilioRings = 5

var (
	legEvents       = []string{"initiated", "ringing", "answered", "completed"}
	recordingEvents = []string{"in-progress", "completed", "absent"}
)

// script writes TwiML for one call.
type script struct {
	state State
	hooks Hooks
	audio func(token string) string
}

func (w script) path(rest string) string { return "call/" + w.state.Call.ID.String() + "/" + rest }

func (w script) action(what string, step int) string {
	return w.hooks.TwiML(w.path(what+"/"+strconv.Itoa(step)), nil)
}

// prompt is audio before text (R127); otherwise says what to say when there is neither.
func (w script) prompt(p Prompt, otherwise string) []twilio.Verb {
	switch {
	case p.Audio != "" && w.audio != nil:
		return []twilio.Verb{twilio.Play{URL: w.audio(p.Audio)}}
	case p.Text != "":
		return []twilio.Verb{w.say(p.Text)}
	case otherwise != "":
		return []twilio.Verb{w.say(otherwise)}
	}
	return nil
}

func (w script) say(text string) twilio.Verb {
	return twilio.Say{Text: text, Voice: w.state.Plan.Voice, Language: w.state.Plan.Language}
}

// from writes what happens from a step on, up to the first that waits for
// something, and says which steps that serves.
func (w script) from(step int) (doc twilio.Response, served []int) {
	for i := step; i >= 1 && i <= len(w.state.Decision.Steps); i++ {
		s := w.state.Decision.Steps[i-1]
		if len(doc) > 0 && owned(s.Targets) > 0 {
			// How long the prompt takes is not known, and the calls of our own are timed from here.
			return append(doc, twilio.Redirect{URL: w.action("ring", i)}), served
		}
		served = append(served, i)
		switch s.Kind {
		case route.Welcome:
			doc = append(doc, w.prompt(w.state.Plan.Welcome, "")...)
			continue
		case route.ClosedStep:
			doc = append(doc, w.prompt(Prompt{Text: s.Say, Audio: s.Audio}, "")...)
			continue
		case route.MenuStep:
			doc = w.gather(i, s, doc)
		case route.Ring, route.Forward:
			doc = append(doc, w.dial(i, s))
		case route.Voicemail:
			doc = append(doc, w.prompt(w.state.Plan.Greeting, sayLeave)...)
			doc = append(doc, w.record(i))
		case route.Reject:
			doc = append(doc, twilio.Reject{Busy: true})
		case route.Farewell:
			doc = append(doc, w.prompt(w.state.Plan.Farewell, sayNobody)...)
			doc = append(doc, twilio.Hangup{})
		}
		return doc, served
	}
	return append(doc, twilio.Hangup{}), served
}

// gather asks for a key (R048), which may come while the prompts before it are
// heard. Without one the next verb asks us all the same.
func (w script) gather(step int, s route.Step, before twilio.Response) twilio.Response {
	next := w.action("menu", step)
	g := twilio.Gather{Action: next, NumDigits: 1, NoFinishKey: true, Prompts: before}
	if s.Menu == nil {
		return append(before, twilio.Redirect{URL: next})
	}
	if s.Say != "" {
		g.Prompts = append(g.Prompts, w.say(s.Say))
	}
	g.TimeoutSeconds = s.Menu.TimeoutSeconds
	g.Prompts = append(g.Prompts, w.prompt(Prompt{Text: s.Menu.Say, Audio: s.Menu.Audio}, "")...)
	return twilio.Response{g, twilio.Redirect{URL: next}}
}

// answered reports whether a prompt before the step has answered the call.
func (w script) answered(step int) bool {
	return slices.ContainsFunc(w.state.Decision.Steps[:step-1], func(s route.Step) bool { return speaks(s.Kind) || s.Kind == route.MenuStep })
}

// dial rings every target at once; the first to answer is connected (R061, R062).
// Each has a callback of its own that carries our leg's id: nothing else tells who rang.
// Targets of which the <Dial> has too many already are calls of our own (T01).
func (w script) dial(step int, s route.Step) twilio.Dial {
	d := twilio.Dial{
		Action: w.action("dial", step),
		// The caller stays unanswered and unbilled until somebody answers; after a prompt that is past.
		AnswerOnBridge: !w.answered(step),
		TimeoutSeconds: max(5, value(s.TimeoutSeconds)-twilioRings),
		CallerID:       w.callerID(s.Targets),
	}
	w.recorded(&d)
	asks := claims(s.Targets)
	for _, t := range s.Targets {
		switch {
		case t.Own:
		case asks && !t.Screen:
			d.Nouns = append(d.Nouns, w.nounAt(t, w.hooks.TwiML(w.path("claim/"+t.LegID.String()), nil)))
		default:
			d.Nouns = append(d.Nouns, w.noun(t))
		}
	}
	return d
}

func (w script) recorded(d *twilio.Dial) {
	if d.Record = w.state.Plan.Record.attribute(); d.Record != "" {
		d.RecordingStatusCallback = w.hooks.Callback(w.path("recording"), nil)
		d.RecordingStatusCallbackEvent = recordingEvents
	}
}

// callerID is what phones show (D15): the office number where the organization
// wants it or the caller hides; else, like on devices, the caller's own. All that one
// <Dial> rings shows one number: with somebody who sees no contact details, ours (R241).
func (w script) callerID(targets []route.Target) string {
	_, shown := phone.FromWire(w.state.Call.FromNumber)
	if w.state.Plan.MaskNumbers {
		return w.state.Call.ToNumber // R103: also on devices
	}
	for _, t := range targets {
		if t.Discreet || t.Kind != route.Device && (w.state.Plan.ShowOffice || !shown) {
			return w.state.Call.ToNumber
		}
	}
	return ""
}

// noun is what rings. Whoever picks up a screened one hears a question first (R052).
func (w script) noun(t route.Target) twilio.Noun {
	if t.Screen {
		return w.nounAt(t, w.hooks.TwiML(w.path("screen/"+t.LegID.String()), nil))
	}
	return w.nounAt(t, "")
}

// nounAt is a noun whose callee gets a document before the bridge.
func (w script) nounAt(t route.Target, url string) twilio.Noun {
	cb := twilio.Callback{URL: url, StatusCallback: w.hooks.Callback(w.path("leg/"+t.LegID.String()), nil), StatusCallbackEvent: legEvents}
	switch t.Kind {
	case route.Device:
		return twilio.ToClient{Callback: cb, Identity: t.DeviceID.String(), Parameters: w.parameters()}
	case route.SIP:
		return twilio.ToSIP{Callback: cb, URI: t.Address}
	}
	return twilio.ToNumber{Callback: cb, Number: t.Address}
}

// parameters reach the app with the ring: which call it is, and that no popup is to be shown (D08).
func (w script) parameters() []twilio.Parameter {
	p := []twilio.Parameter{{Name: "call", Value: w.state.Call.ID.String()}}
	if w.state.Call.IsIgnored {
		p = append(p, twilio.Parameter{Name: "ignored", Value: "true"})
	}
	return p
}

// record takes a voicemail.
func (w script) record(step int) twilio.Record {
	return twilio.Record{
		Action: w.action("voicemail", step), MaxLengthSeconds: w.state.Plan.VoicemailMax, FinishOnKey: "#",
		RecordingStatusCallback: w.hooks.Callback(w.path("recording"), nil), RecordingStatusCallbackEvent: recordingEvents,
	}
}

// bye ends an answered call, with the farewell where there is one (R051).
func (w script) bye() twilio.Response {
	return append(twilio.Response(w.prompt(w.state.Plan.Farewell, "")), twilio.Hangup{})
}

// safe is what a caller hears when we failed: an apology, and a voicemail where
// there is a call to keep it with.
func safe(hooks Hooks, call id.ID) twilio.Response {
	if call.IsZero() || hooks == nil {
		return twilio.Response{twilio.Say{Text: sayLater}, twilio.Hangup{}}
	}
	w := script{hooks: hooks, state: State{Call: Call{ID: call}, Plan: Plan{VoicemailMax: 120}}}
	return twilio.Response{twilio.Say{Text: "We are sorry, something went wrong on our side. " + sayLeave}, w.record(safeStep)}
}

// safeStep is the number of a step that no route has.
const safeStep = 99
