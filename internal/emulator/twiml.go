package emulator

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"mime"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// node is one TwiML element.
type node struct {
	name  string
	attrs map[string]string
	text  string
	kids  []*node
}

func (n *node) attr(name, def string) string {
	if v, ok := n.attrs[name]; ok && v != "" {
		return v
	}
	return def
}

func (n *node) has(name string) bool { _, ok := n.attrs[name]; return ok }

func (n *node) flag(name string, def bool) bool {
	if v, ok := n.attrs[name]; ok {
		return v == "true"
	}
	return def
}

func (n *node) number(name string, def int) int {
	if v, err := strconv.Atoi(n.attrs[name]); err == nil {
		return v
	}
	return def
}

func (n *node) seconds(name string, def int) time.Duration {
	return time.Duration(n.number(name, def)) * time.Second
}

// document is a TwiML document in force.
type document struct {
	verbs []*node
	base  *url.URL // nil for inline TwiML: relative URLs do not work there
}

func (d *document) resolve(ref string) (string, error) {
	u, err := url.Parse(ref)
	if err != nil {
		return "", err
	}
	if u.IsAbs() {
		return ref, nil
	}
	if d.base == nil {
		return "", fmt.Errorf("relative URL %q in inline TwiML", clip(ref, 200))
	}
	frag := u.Fragment
	r := d.base.ResolveReference(u)
	r.Fragment = frag
	return r.String(), nil
}

// schema lists the attributes each element may have (twilio: voice/twiml/*).
var schema = func() map[string]map[string]bool {
	status := " statusCallback statusCallbackMethod statusCallbackEvent"
	recording := " recordingStatusCallback recordingStatusCallbackMethod recordingStatusCallbackEvent"
	amd := " machineDetection machineDetectionTimeout machineDetectionSpeechThreshold machineDetectionSpeechEndThreshold machineDetectionSilenceTimeout amdStatusCallback amdStatusCallbackMethod"
	m := map[string]map[string]bool{}
	for name, list := range map[string]string{
		"Response": "",
		"Say":      "voice language loop",
		"Play":     "loop digits",
		"Pause":    "length",
		"Hangup":   "",
		"Reject":   "reason",
		"Redirect": "method",
		"Gather": "action method input numDigits finishOnKey timeout actionOnEmptyResult speechTimeout speechModel language hints profanityFilter" +
			" bargeIn partialResultCallback partialResultCallbackMethod enhanced maxSpeechTime debug",
		"Record": "action method timeout finishOnKey maxLength playBeep trim transcribe transcribeCallback" + recording,
		"Dial": "action method timeout timeLimit answerOnBridge callerId callReason record recordingTrack trim hangupOnStar ringTone sequential" +
			" referUrl referMethod" + recording,
		"Number":     "sendDigits url method byoc phoneNumberType" + status + amd,
		"Client":     "url method clientNotificationUrl" + status,
		"Sip":        "username password url method" + status + amd,
		"Identity":   "",
		"Parameter":  "name value",
		"Conference": "muted beep startConferenceOnEnter endConferenceOnExit participantLabel coach jitterBufferSize waitUrl waitMethod maxParticipants record region trim eventCallbackUrl" + status + recording,
		"Queue":      "url method reservationSid postWorkActivitySid",
		"Enqueue":    "action method maxQueueSize waitUrl waitUrlMethod workflowSid",
		"Leave":      "",
		"Refer":      "action method",
		"Start":      "action method",
		"Recording":  "channels trim recordingTrack" + recording,
		"Stop":       "",
		"Connect":    "action method",
		"Message":    "to from action method statusCallback",
		"Body":       "",
		"Media":      "",
	} {
		m[name] = map[string]bool{}
		for _, a := range strings.Fields(list) {
			m[name][a] = true
		}
	}
	return m
}()

// voiceVerbs and messageVerbs are the elements that may stand in a <Response>.
var voiceVerbs = set("Say Play Pause Hangup Reject Redirect Gather Record Dial Enqueue Leave Refer Start Stop Connect")
var messageVerbs = set("Message Redirect")

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// parseXML reads a whole document into nodes. It is strict where Twilio is: one root,
// well-formed, names case-sensitive.
func parseXML(b []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var root *node
	var open []*node
	for {
		t, err := d.Token()
		if err == io.EOF {
			if root == nil {
				return nil, fmt.Errorf("no root element")
			}
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			n := &node{name: t.Name.Local, attrs: map[string]string{}}
			for _, a := range t.Attr {
				if a.Name.Space == "" && a.Name.Local != "xmlns" {
					n.attrs[a.Name.Local] = a.Value
				}
			}
			switch {
			case len(open) > 0:
				open[len(open)-1].kids = append(open[len(open)-1].kids, n)
			case root != nil:
				return nil, fmt.Errorf("a second root element <%s>", n.name)
			default:
				root = n
			}
			open = append(open, n)
		case xml.EndElement:
			n := open[len(open)-1]
			n.text = strings.TrimSpace(n.text)
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text += string(t)
			} else if len(bytes.TrimSpace(t)) > 0 {
				return nil, fmt.Errorf("text outside the root element")
			}
		}
	}
}

// readTwiML turns the answer of a TwiML request into a document. A code other than 0 is
// the error that Twilio would give; warnings go to the debugger and change nothing.
func (e *Emulator) readTwiML(a answer, verbs map[string]bool, account, resource string) (doc *document, code int, text string) {
	base, _ := url.Parse(a.url)
	if base != nil {
		base.Fragment, base.User = "", nil
	}
	kind, _, _ := mime.ParseMediaType(a.contentType)
	switch {
	case len(a.body) > 64<<10:
		return nil, 11750, describe(11750)
	case strings.HasPrefix(kind, "audio/"):
		return &document{base: base, verbs: []*node{{name: "Play", attrs: map[string]string{}, text: a.url}}}, 0, ""
	case kind == "text/plain":
		if n, err := parseXML(a.body); err != nil || n.name != "Response" {
			return &document{base: base, verbs: []*node{{name: "Say", attrs: map[string]string{}, text: string(a.body)}}}, 0, ""
		}
	case kind == "text/xml" || kind == "application/xml" || kind == "text/html":
	default:
		return nil, 12300, "Invalid Content-Type: " + clip(a.contentType, 100)
	}
	if len(bytes.TrimSpace(a.body)) == 0 {
		return nil, 11770, describe(11770)
	}
	root, err := parseXML(a.body)
	if err != nil {
		return nil, 12100, "Document parse failure: " + err.Error()
	}
	if root.name != "Response" {
		return nil, 12100, "Document parse failure: the root element is <" + root.name + "> and not <Response>"
	}
	return &document{base: base, verbs: e.check(root, verbs, account, resource, a.url)}, 0, ""
}

// check logs what the schema does not know and returns the verbs that can run.
func (e *Emulator) check(root *node, verbs map[string]bool, account, resource, at string) (run []*node) {
	warn := func(text string) {
		e.alert(Alert{Code: 12200, Level: "warning", Text: "Schema validation warning: " + text, Account: account, Resource: resource, URL: at})
	}
	if root.text != "" {
		warn("text inside <Response>")
	}
	for _, n := range root.kids {
		if !verbs[n.name] {
			warn("<" + clip(n.name, 40) + "> is not allowed here")
			continue
		}
		run = append(run, n)
		e.checkNode(n, account, resource, warn)
	}
	return run
}

// notImitated are attributes that would change what happens, and do not here.
var notImitated = map[string]bool{"Number byoc": true, "Record transcribe": true,
	"Gather partialResultCallback": true, "Client clientNotificationUrl": true}

func (e *Emulator) checkNode(n *node, account, resource string, warn func(string)) {
	known, ok := schema[n.name]
	if !ok {
		return
	}
	for a := range n.attrs {
		if !known[a] && n.name != "Parameter" {
			warn("attribute " + clip(a, 40) + " is not allowed in <" + n.name + ">")
		}
		if notImitated[n.name+" "+a] && n.attrs[a] != "false" {
			e.unknown(account, resource, "the attribute "+a+" of <"+n.name+">")
		}
	}
	if n.name == "Say" || n.name == "Enqueue" || n.name == "Start" || n.name == "Stop" || n.name == "Connect" || n.name == "Refer" {
		return // SSML and products of their own
	}
	for _, k := range n.kids {
		if _, ok := schema[k.name]; !ok || !nested[n.name][k.name] {
			warn("<" + clip(k.name, 40) + "> is not allowed in <" + n.name + ">")
			continue
		}
		e.checkNode(k, account, resource, warn)
	}
}

// nested says which elements may stand in which.
var nested = map[string]map[string]bool{
	"Dial":    set("Number Client Sip Conference Queue"),
	"Client":  set("Identity Parameter"),
	"Gather":  set("Say Play Pause"),
	"Message": set("Body Media"),
}
