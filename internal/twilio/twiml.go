package twilio

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"switchboard/internal/errs"
)

// ContentType is the type of a TwiML answer.
const ContentType = "text/xml; charset=utf-8"

const (
	maxTwiML  = 64 << 10 // a larger document is error 11750
	maxInline = 4000     // characters in a REST parameter: error 32018
	maxNouns  = 10       // <Number>, <Client> and <Sip> in one <Dial> (T01): error 13250
)

// Verb is one instruction to Twilio. The types of this package are all there are.
type Verb interface{ element() element }

// Noun is whom or what a Dial reaches.
type Noun interface{ noun() element }

// Response is a TwiML document: what to do next, in order. The empty Response
// ends a call and answers a message with nothing.
type Response []Verb

// element is one XML element. Text and values are always escaped, names never
// come from outside, so nothing that people write can become a verb.
type element struct {
	name  string
	attrs []attr
	text  string
	inner []element
	err   error
}

type attr struct{ name, value string }

func el(name string) element { return element{name: name} }

// with adds the attribute unless the value is empty.
func (e element) with(name, value string) element {
	if value != "" {
		e.attrs = append(e.attrs, attr{name, value})
	}
	return e
}

// blank adds the attribute with an empty value, which differs from leaving it out.
func (e element) blank(name string, yes bool) element {
	if yes {
		e.attrs = append(e.attrs, attr{name, ""})
	}
	return e
}

func (e element) flag(name string, yes bool) element {
	if yes {
		e.attrs = append(e.attrs, attr{name, "true"})
	}
	return e
}

func (e element) number(name string, n int) element {
	if n != 0 {
		e.attrs = append(e.attrs, attr{name, strconv.Itoa(n)})
	}
	return e
}

// url adds an absolute URL: relative ones are lost in inline documents and in
// <Start> (twilio errors 15004, 11200).
func (e element) url(name, value string) element {
	if value != "" {
		e.err = firstOf(e.err, absolute(e.name+" "+name, value))
	}
	return e.with(name, value)
}

func (e element) events(name string, events []string) element {
	return e.with(name, strings.Join(events, " "))
}

func absolute(what, value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("twilio: <%s> needs an absolute http or https URL", what)
	}
	return nil
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// Bytes is the document. The error is errs.LimitReached when it is over 64 kB,
// and internal when a verb is put together wrongly.
func (r Response) Bytes() ([]byte, error) {
	root := el("Response")
	for _, v := range r {
		root.inner = append(root.inner, v.element())
	}
	var b bytes.Buffer
	b.WriteString(xml.Header[:len(xml.Header)-1])
	if err := root.write(&b); err != nil {
		return nil, err
	}
	if b.Len() > maxTwiML {
		return nil, errs.New(errs.LimitReached, "the instructions for the call are over 64 kB; shorten the texts or ring fewer phones")
	}
	return b.Bytes(), nil
}

// Inline is the document as a parameter of a REST request, at most 4000 characters.
func (r Response) Inline() (string, error) {
	b, err := r.Bytes()
	if err != nil {
		return "", err
	}
	if utf8.RuneCount(b) > maxInline {
		return "", errs.New(errs.LimitReached, "the instructions for the call are over 4000 characters")
	}
	return string(b), nil
}

func (e element) write(b *bytes.Buffer) error {
	if e.err != nil {
		return e.err
	}
	b.WriteString("<" + e.name)
	for _, a := range e.attrs {
		b.WriteString(" " + a.name + `="`)
		escape(b, a.value)
		b.WriteByte('"')
	}
	if e.text == "" && len(e.inner) == 0 {
		b.WriteString("/>")
		return nil
	}
	b.WriteByte('>')
	escape(b, e.text)
	for _, i := range e.inner {
		if err := i.write(b); err != nil {
			return err
		}
	}
	b.WriteString("</" + e.name + ">")
	return nil
}

func escape(b *bytes.Buffer, s string) { _ = xml.EscapeText(b, []byte(scrub(s))) } // a Buffer never fails

// scrub removes what XML cannot hold, and control characters other than line
// breaks and tabs.
func scrub(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' {
			return r
		}
		if unicode.IsControl(r) || r == utf8.RuneError || r == 0xFFFE || r == 0xFFFF {
			return -1
		}
		return r
	}, s)
}

// Say speaks a text. Nothing in it is markup.
type Say struct {
	Text, Voice, Language string
	Loop                  int
}

func (v Say) element() element {
	e := el("Say").with("voice", v.Voice).with("language", v.Language).number("loop", v.Loop)
	e.text = v.Text
	return e
}

// Play plays an audio file, or keypad tones when Digits is set.
type Play struct {
	URL, Digits string
	Loop        int
}

func (v Play) element() element {
	e := el("Play").with("digits", v.Digits).number("loop", v.Loop)
	if v.Digits == "" {
		e.text, e.err = v.URL, absolute("Play", v.URL)
	}
	return e
}

// Pause waits; 0 means one second.
type Pause struct{ Seconds int }

func (v Pause) element() element { return el("Pause").number("length", v.Seconds) }

// Hangup ends the call.
type Hangup struct{}

func (Hangup) element() element { return el("Hangup") }

// Reject refuses the call without answering it. It works only as the first verb.
type Reject struct{ Busy bool }

func (v Reject) element() element {
	if v.Busy {
		return el("Reject").with("reason", "busy")
	}
	return el("Reject")
}

// Redirect goes on with the document at the URL.
type Redirect struct{ URL, Method string }

func (v Redirect) element() element {
	e := el("Redirect").with("method", v.Method)
	e.text, e.err = v.URL, absolute("Redirect", v.URL)
	return e
}

// Record takes a message. Action is asked for the next document.
type Record struct {
	Action, Method, FinishOnKey, Trim  string
	TimeoutSeconds, MaxLengthSeconds   int
	NoBeep, NoTimeout                  bool
	RecordingStatusCallback            string
	RecordingStatusCallbackEvent       []string
	Transcribe                         bool
	TranscribeCallback, RecordingTrack string
}

func (v Record) element() element {
	e := el("Record").url("action", v.Action).with("method", v.Method).number("timeout", v.TimeoutSeconds)
	if v.NoTimeout {
		e = e.with("timeout", "0")
	}
	e = e.with("finishOnKey", v.FinishOnKey).number("maxLength", v.MaxLengthSeconds)
	if v.NoBeep {
		e = e.with("playBeep", "false")
	}
	e = e.with("trim", v.Trim).with("recordingTrack", v.RecordingTrack).url("recordingStatusCallback", v.RecordingStatusCallback).
		events("recordingStatusCallbackEvent", v.RecordingStatusCallbackEvent).
		flag("transcribe", v.Transcribe).url("transcribeCallback", v.TranscribeCallback)
	if v.Action == "" { // without it Twilio asks for the same document again, for ever
		e.err = firstOf(e.err, fmt.Errorf("twilio: <Record> needs an action"))
	}
	return e
}

// Gather collects keys or speech. Prompts are Say, Play and Pause only.
type Gather struct {
	Action, Method, Input, Language, Hints string
	FinishOnKey                            string
	NoFinishKey                            bool // no key ends the input; by default # does
	NumDigits, TimeoutSeconds              int
	SpeechTimeout                          string
	ActionOnEmptyResult                    bool
	Prompts                                []Verb
}

func (v Gather) element() element {
	e := el("Gather").with("input", v.Input).url("action", v.Action).with("method", v.Method).
		number("numDigits", v.NumDigits).with("finishOnKey", v.FinishOnKey).blank("finishOnKey", v.NoFinishKey && v.FinishOnKey == "").
		number("timeout", v.TimeoutSeconds).with("speechTimeout", v.SpeechTimeout).flag("actionOnEmptyResult", v.ActionOnEmptyResult).
		with("language", v.Language).with("hints", v.Hints)
	for _, p := range v.Prompts {
		switch p.(type) {
		case Say, Play, Pause:
			e.inner = append(e.inner, p.element())
		default:
			e.err = firstOf(e.err, fmt.Errorf("twilio: <Gather> cannot hold %T", p))
		}
	}
	return e
}

// StartRecording records in the background while later verbs run. It survives
// them, and documents that follow.
type StartRecording struct {
	Channels, Track, Trim        string
	RecordingStatusCallback      string
	RecordingStatusCallbackEvent []string
}

func (v StartRecording) element() element {
	e := el("Start")
	e.inner = []element{el("Recording").url("recordingStatusCallback", v.RecordingStatusCallback).
		events("recordingStatusCallbackEvent", v.RecordingStatusCallbackEvent).
		with("channels", v.Channels).with("track", v.Track).with("trim", v.Trim)}
	return e
}

// Message answers a text by TwiML.
type Message struct {
	Body, To, From, StatusCallback string
	MediaURLs                      []string
}

func (v Message) element() element {
	e := el("Message").with("to", v.To).with("from", v.From).url("statusCallback", v.StatusCallback)
	body := el("Body")
	body.text = v.Body
	e.inner = append(e.inner, body)
	for _, u := range v.MediaURLs {
		m := el("Media")
		m.text, m.err = u, absolute("Media", u)
		e.inner = append(e.inner, m)
	}
	return e
}
