package emulator

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Verdicts of answering machine detection (twilio: voice/answering-machine-detection).
const (
	Human             = "human"
	MachineStart      = "machine_start"
	MachineEndBeep    = "machine_end_beep"
	MachineEndSilence = "machine_end_silence"
	MachineEndOther   = "machine_end_other"
	Fax               = "fax"
	Unknown           = "unknown"
)

// humanAfter is how long a person's hello takes to be told from a machine.
const humanAfter = 2 * time.Second

// detection is answering machine detection on one leg.
type detection struct {
	toEnd            bool // DetectMessageEnd: a machine is waited for until its beep
	limit            time.Duration
	async            bool
	callback, method string
	verdict          string
	took             time.Duration
	held             func(url.Values) // the document that waits for the verdict
}

// detectionFields are the parameters of detection: their names on Calls and Participants
// (in TwiML they begin in lower case), the range and the default.
var detectionFields = []struct {
	name            string
	least, most, no int
}{
	{"MachineDetectionTimeout", 3, 59, 30}, {"MachineDetectionSpeechThreshold", 1000, 6000, 2400},
	{"MachineDetectionSpeechEndThreshold", 500, 5000, 1200}, {"MachineDetectionSilenceTimeout", 2000, 10000, 5000},
}

// newDetection reads the settings by their REST names; what is wrong with them is named.
func newDetection(get func(string) string) (d *detection, wrong string) {
	mode := get("MachineDetection")
	switch mode {
	case "":
		return nil, ""
	case "Enable", "DetectMessageEnd":
	default:
		return nil, "MachineDetection must be Enable or DetectMessageEnd"
	}
	d = &detection{toEnd: mode == "DetectMessageEnd", method: http.MethodPost}
	for i, f := range detectionFields {
		n := f.no
		if v := get(f.name); v != "" {
			var err error
			if n, err = strconv.Atoi(v); err != nil || n < f.least || n > f.most {
				return nil, f.name + " must be a number from " + itoa(f.least) + " to " + itoa(f.most)
			}
		}
		if i == 0 {
			d.limit = time.Duration(n) * time.Second
		}
	}
	return d, ""
}

// callDetection is detection as Calls create asks for it: in step with the document unless
// AsyncAmd is true.
func (e *Emulator) callDetection(q *request) (*detection, result) {
	d, wrong := newDetection(q.get)
	if wrong != "" {
		return nil, fail(21234, wrong)
	}
	mistaken := func(names ...string) {
		for _, n := range names {
			if v := q.get(n); v != "" && v != "false" {
				e.alert(Alert{Code: 21263, Text: describe(21263) + ": " + n, Account: q.account.sid})
			}
		}
	}
	mistaken("AmdStatusCallback", "AmdStatusCallbackMethod") // those of Participants
	if d == nil {
		mistaken("AsyncAmdStatusCallback", "AsyncAmd")
		return nil, result{}
	}
	if q.get("SendDigits") != "" { // the digits are what the call is for
		return nil, result{}
	}
	d.async = q.get("AsyncAmd") == "true"
	cb := q.get("AsyncAmdStatusCallback")
	switch {
	case d.async && cb == "":
		e.alert(Alert{Code: 21262, Level: "warning", Account: q.account.sid})
	case cb != "" && !webURL(cb):
		return nil, fail(21609, "AsyncAmdStatusCallback is not a valid URL: "+clip(cb, 100))
	case d.async:
		d.callback, d.method = cb, cmp.Or(strings.ToUpper(q.get("AsyncAmdStatusCallbackMethod")), http.MethodPost)
	}
	return d, result{}
}

// participantDetection is detection as Participants create asks for it: never in step.
func (e *Emulator) participantDetection(q *request) (*detection, result) {
	d, wrong := newDetection(q.get)
	if wrong != "" {
		return nil, fail(21234, wrong)
	}
	for _, n := range []string{"AsyncAmd", "AsyncAmdStatusCallback", "AsyncAmdStatusCallbackMethod"} { // those of Calls
		if q.get(n) != "" {
			e.alert(Alert{Code: 21263, Text: describe(21263) + ": " + n, Account: q.account.sid})
		}
	}
	if d == nil {
		return nil, result{}
	}
	d.async = true
	switch cb := q.get("AmdStatusCallback"); {
	case cb == "":
		e.alert(Alert{Code: 21262, Level: "warning", Account: q.account.sid})
	case !webURL(cb):
		return nil, fail(21609, "AmdStatusCallback is not a valid URL: "+clip(cb, 100))
	default:
		d.callback, d.method = cb, cmp.Or(strings.ToUpper(q.get("AmdStatusCallbackMethod")), http.MethodPost)
	}
	return d, result{}
}

// nounDetection reads the attributes of a <Number> or <Sip>.
func (e *Emulator) nounDetection(c *call, n *node, doc *document) {
	if n.name != "Number" && n.name != "Sip" {
		return
	}
	d, wrong := newDetection(func(name string) string { return n.attr(strings.ToLower(name[:1])+name[1:], "") })
	if wrong != "" {
		e.alert(Alert{Code: 21263, Text: describe(21263) + ": " + wrong, Account: c.account.sid, Resource: c.sid})
		return
	}
	if d == nil {
		return
	}
	d.async = true
	ref := n.attr("amdStatusCallback", "")
	if ref == "" {
		e.alert(Alert{Code: 21262, Level: "warning", Account: c.account.sid, Resource: c.sid})
	} else if u, err := doc.resolve(ref); err != nil {
		e.alert(Alert{Code: 11100, Text: err.Error(), Account: c.account.sid, Resource: c.sid, URL: ref})
	} else {
		d.callback, d.method = u, n.attr("amdStatusCallbackMethod", http.MethodPost)
	}
	c.amd = d
}

// hears is what detection makes of a phone, and how long after the answer. The answering
// phone's behaviour is the script.
func (d *detection) hears(b PhoneBehaviour) (verdict string, after time.Duration) {
	verdict, after = b.AnsweredBy, b.VerdictAfter
	machine := b.Do == Voicemail
	if verdict == "" {
		verdict = Human
		if machine {
			verdict = MachineEndBeep
		}
	}
	if after == 0 {
		after = humanAfter
		if machine && d.toEnd && strings.HasPrefix(verdict, "machine_end") {
			after = b.Speak // its greeting is over: the beep
		}
	}
	switch {
	case !d.toEnd && strings.HasPrefix(verdict, "machine_end"):
		verdict = MachineStart
	case d.toEnd && verdict == MachineStart:
		verdict = MachineEndOther
	}
	if after > d.limit {
		return Unknown, d.limit
	}
	return verdict, after
}

// detect starts detection on a leg that was answered just now.
func (e *Emulator) detect(c *call) {
	d := c.amd
	if d == nil {
		return
	}
	verdict, after := d.hears(c.manner)
	e.after(after, func() {
		if c.over() {
			return
		}
		d.verdict, d.took = verdict, after
		f := d.fields()
		if held := d.held; held != nil {
			d.held = nil
			held(f)
			return
		}
		f.Set("AccountSid", c.account.sid)
		f.Set("CallSid", c.sid)
		e.send(c.account, &delivery{Delivery: Delivery{Kind: KindAMD, Resource: c.sid, Event: verdict, Method: d.method, URL: d.callback, Form: f, Voice: true},
			lane: c.root().lane, jar: c.root().jar})
	})
}

func (d *detection) fields() url.Values {
	return url.Values{"AnsweredBy": {d.verdict}, "MachineDetectionDuration": {strconv.FormatInt(d.took.Milliseconds(), 10)}}
}

// afterVerdict begins the document of a call made by REST: at once, or when detection in
// step with it has its verdict, which the document is told then.
func (e *Emulator) afterVerdict(c *call, begin func(url.Values)) {
	if d := c.amd; d != nil && !d.async && d.verdict == "" {
		c.verb = "detect"
		d.held = func(f url.Values) { begin(f) }
		return
	}
	begin(nil)
}
