package twilio

import "fmt"

// Dial connects the call to whoever answers first of its nouns, or to a
// conference. It takes at most ten nouns (T01).
type Dial struct {
	Action, Method               string
	TimeoutSeconds               int // Twilio rings about five seconds longer
	TimeLimitSeconds             int
	CallerID                     string
	AnswerOnBridge, HangupOnStar bool
	Sequential                   bool
	RingTone                     string
	Record, RecordingTrack, Trim string
	RecordingStatusCallback      string
	RecordingStatusCallbackEvent []string
	Nouns                        []Noun
}

func (v Dial) element() element {
	e := el("Dial").url("action", v.Action).with("method", v.Method).number("timeout", v.TimeoutSeconds).
		number("timeLimit", v.TimeLimitSeconds).with("callerId", v.CallerID).flag("answerOnBridge", v.AnswerOnBridge).
		flag("hangupOnStar", v.HangupOnStar).flag("sequential", v.Sequential).with("ringTone", v.RingTone).
		with("record", v.Record).with("recordingTrack", v.RecordingTrack).with("trim", v.Trim).
		url("recordingStatusCallback", v.RecordingStatusCallback).events("recordingStatusCallbackEvent", v.RecordingStatusCallbackEvent)
	rooms := 0
	for _, n := range v.Nouns {
		if _, ok := n.(ToConference); ok {
			rooms++
		}
		e.inner = append(e.inner, n.noun())
	}
	switch {
	case len(v.Nouns) == 0:
		e.err = firstOf(e.err, fmt.Errorf("twilio: <Dial> has nobody to ring"))
	case len(v.Nouns) > maxNouns:
		e.err = firstOf(e.err, fmt.Errorf("twilio: <Dial> takes %d nouns, not %d", maxNouns, len(v.Nouns)))
	case rooms > 0 && len(v.Nouns) > 1:
		e.err = firstOf(e.err, fmt.Errorf("twilio: <Dial> takes a <Conference> alone"))
	}
	return e
}

// Callback is what a noun tells us and asks of us.
type Callback struct {
	URL                 string // the document that the callee hears before the bridge (whisper, screening)
	Method              string
	StatusCallback      string
	StatusCallbackEvent []string // initiated ringing answered completed
}

func (c Callback) on(e element) element {
	return e.url("url", c.URL).with("method", c.Method).url("statusCallback", c.StatusCallback).
		events("statusCallbackEvent", c.StatusCallbackEvent)
}

// ToNumber is a telephone.
type ToNumber struct {
	Callback
	Number, SendDigits string
	MachineDetection   string // Enable, DetectMessageEnd
	AMDStatusCallback  string
}

func (n ToNumber) noun() element {
	e := n.on(el("Number").with("sendDigits", n.SendDigits)).with("machineDetection", n.MachineDetection).
		url("amdStatusCallback", n.AMDStatusCallback)
	e.text = n.Number
	return e
}

// ToClient is an app or browser, by the identity in its access token.
type ToClient struct {
	Callback
	Identity   string
	Parameters []Parameter
}

// Parameter reaches the app with the call.
type Parameter struct{ Name, Value string }

func (n ToClient) noun() element {
	e := n.on(el("Client"))
	id := el("Identity")
	id.text = n.Identity
	e.inner = append(e.inner, id)
	for _, p := range n.Parameters {
		x := el("Parameter").with("name", p.Name)
		x.attrs = append(x.attrs, attr{"value", p.Value})
		e.inner = append(e.inner, x)
	}
	return e
}

// ToSIP is a desk phone or another telephone system.
type ToSIP struct {
	Callback
	URI, Username, Password string
}

func (n ToSIP) noun() element {
	e := n.on(el("Sip").with("username", n.Username).with("password", n.Password))
	e.text = n.URI
	return e
}

// ToConference is a room, unique by name in the account. The first to enter fixes
// its callbacks, so everybody is to be sent with the same ones.
type ToConference struct {
	Name, ParticipantLabel       string
	Muted                        bool
	Beep                         string // "" is false here: a business call does not beep
	WaitForStart                 bool   // do not start the room by entering it
	EndOnExit                    bool
	WaitURL, WaitMethod          string
	Silence                      bool // no music while waiting
	MaxParticipants              int
	Record, Trim                 string
	StatusCallback               string
	StatusCallbackEvent          []string
	RecordingStatusCallback      string
	RecordingStatusCallbackEvent []string
	Coach                        string
}

func (n ToConference) noun() element {
	beep := n.Beep
	if beep == "" {
		beep = "false"
	}
	e := el("Conference").flag("muted", n.Muted).with("beep", beep)
	if n.WaitForStart {
		e = e.with("startConferenceOnEnter", "false")
	}
	e = e.flag("endConferenceOnExit", n.EndOnExit).with("participantLabel", n.ParticipantLabel).
		url("waitUrl", n.WaitURL).blank("waitUrl", n.Silence && n.WaitURL == "").with("waitMethod", n.WaitMethod).
		number("maxParticipants", n.MaxParticipants).with("record", n.Record).with("trim", n.Trim).with("coach", n.Coach).
		url("statusCallback", n.StatusCallback).events("statusCallbackEvent", n.StatusCallbackEvent).
		url("recordingStatusCallback", n.RecordingStatusCallback).events("recordingStatusCallbackEvent", n.RecordingStatusCallbackEvent)
	e.text = n.Name
	return e
}
