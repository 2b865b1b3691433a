package twilio

import (
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"switchboard/internal/errs"
)

const (
	// MaxForm is the largest webhook body that ParseForm takes; read no more than
	// this and one byte.
	MaxForm = 64 << 10

	maxFields = 300
	maxShort  = 256  // names, states, numbers
	maxURL    = 2048 // addresses of recordings and media
	maxText   = 8192 // a message, speech, a token
	maxMedia  = 10
)

// ParseForm reads the body of a webhook. The values are as they came, because
// the signature is over those; the typed forms clean them. Code: errs.Invalid.
func ParseForm(body []byte) (url.Values, error) {
	if len(body) > MaxForm {
		return nil, errs.New(errs.Invalid, "the form is larger than %d bytes", MaxForm)
	}
	if n := strings.Count(string(body), "&"); n >= maxFields {
		return nil, errs.New(errs.Invalid, "the form has more than %d fields", maxFields)
	}
	v, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errs.New(errs.Invalid, "the form is not readable")
	}
	return v, nil
}

// reader takes fields out of a form and keeps the first mistake. Only the first
// value of a field counts: a second one is not covered by every signature.
type reader struct {
	form url.Values
	err  error
}

func (r *reader) fail(name, format string, args ...any) {
	if r.err == nil {
		r.err = errs.New(errs.Invalid, "the field %s "+format, append([]any{name}, args...)...).At(name)
	}
}

// text is a field without NUL and broken UTF-8, which a database cannot keep.
func (r *reader) text(name string, limit int) string {
	v, ok := r.form[name]
	if !ok || len(v) == 0 {
		return ""
	}
	s := strings.ReplaceAll(strings.ToValidUTF8(v[0], "\uFFFD"), "\x00", "")
	if utf8.RuneCountInString(s) > limit {
		r.fail(name, "is longer than %d characters", limit)
		return ""
	}
	return s
}

func (r *reader) short(name string) string { return r.text(name, maxShort) }

func (r *reader) required(name string, limit int) string {
	s := r.text(name, limit)
	if s == "" {
		r.fail(name, "is missing")
	}
	return s
}

// sid is an optional SID of one of the kinds.
func (r *reader) sid(name string, kinds ...SIDKind) string {
	s := r.short(name)
	if s == "" {
		return ""
	}
	if isSID(s) {
		for _, k := range kinds {
			if strings.HasPrefix(s, string(k)) {
				return s
			}
		}
	}
	r.fail(name, "is not a SID of the right kind")
	return ""
}

func (r *reader) requiredSID(name string, kinds ...SIDKind) string {
	s := r.sid(name, kinds...)
	if s == "" {
		r.fail(name, "is missing")
	}
	return s
}

// whole is an optional whole number; nil when absent. Twilio sends "-1" where it
// does not know a duration: that is nil too.
func (r *reader) whole(name string) *int {
	s := strings.TrimSpace(r.short(name))
	if s == "" || s == "-1" {
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		r.fail(name, "is not a whole number")
		return nil
	}
	i := int(n)
	return &i
}

func (r *reader) count(name string) int {
	if n := r.whole(name); n != nil {
		return *n
	}
	return 0
}

// moment is an optional time as RFC 2822 or RFC 3339 writes it.
func (r *reader) moment(name string) time.Time {
	s := r.short(name)
	if s == "" {
		return time.Time{}
	}
	t, ok := moment(s)
	if !ok {
		r.fail(name, "is not a time")
	}
	return t
}

// moment reads the two ways in which Twilio writes a time.
func moment(s string) (time.Time, bool) {
	if t, err := mail.ParseDate(s); err == nil {
		return t.UTC(), true
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), true
	}
	return time.Time{}, false
}

func (r *reader) yes(name string) *bool {
	switch strings.ToLower(r.short(name)) {
	case "true":
		v := true
		return &v
	case "false":
		v := false
		return &v
	}
	return nil
}

// Place is where Twilio believes a number to be; known in North America only.
type Place struct{ City, State, Zip, Country string }

func (r *reader) place(side string) Place {
	return Place{r.short(side + "City"), r.short(side + "State"), r.short(side + "Zip"), r.short(side + "Country")}
}

// CallForm is what every request for TwiML brings. From and To are text: a
// number, a word for a withheld one, client:… or sip:… (never parse-or-fail).
type CallForm struct {
	AccountSID, CallSID, ParentCallSID string
	From, To                           string
	Status, Direction                  string
	ForwardedFrom, CallerName          string
	CallToken, StirVerstat             string
	FromPlace, ToPlace                 Place
	Digits, SpeechResult               string // of a <Gather>
	Confidence                         float64
	AnsweredBy                         string
	SIPDomain, SIPUsername, SIPCallID  string
	QueueSID                           string
	ErrorCode                          int    // set when this is the request to a fallback URL
	ErrorURL                           string // the URL that failed before
	form                               url.Values
}

// Param is a field that an app sent with its call (untrusted), or a header of a
// SIP call by its SipHeader_ name. It is cut to 256 characters.
func (f CallForm) Param(name string) string {
	r := reader{form: f.form}
	s := r.text(name, maxText)
	if runes := []rune(s); len(runes) > maxShort {
		s = string(runes[:maxShort])
	}
	return s
}

// ParseCall reads a request for TwiML. Code: errs.Invalid.
func ParseCall(v url.Values) (CallForm, error) {
	r := reader{form: v}
	f := r.call()
	return f, r.err
}

func (r *reader) call() CallForm {
	f := CallForm{
		AccountSID:    r.requiredSID("AccountSid", AccountSID),
		CallSID:       r.requiredSID("CallSid", CallSID),
		ParentCallSID: r.sid("ParentCallSid", CallSID),
		From:          r.short("From"), To: r.short("To"),
		Status: r.short("CallStatus"), Direction: r.short("Direction"),
		ForwardedFrom: r.short("ForwardedFrom"), CallerName: r.short("CallerName"),
		CallToken: r.text("CallToken", maxText), StirVerstat: r.short("StirVerstat"),
		FromPlace: r.place("From"), ToPlace: r.place("To"),
		Digits: r.short("Digits"), SpeechResult: r.text("SpeechResult", maxText), AnsweredBy: r.short("AnsweredBy"),
		SIPDomain: r.short("SipDomain"), SIPUsername: r.short("SipUsername"), SIPCallID: r.short("SipCallId"),
		QueueSID: r.short("QueueSid"), ErrorCode: r.count("ErrorCode"), ErrorURL: r.text("ErrorUrl", maxURL),
		form: r.form,
	}
	if c, err := strconv.ParseFloat(r.short("Confidence"), 64); err == nil && c >= 0 && c <= 1 {
		f.Confidence = c
	}
	return f
}

// DialForm is the request to the action of a <Dial>.
type DialForm struct {
	CallForm
	DialStatus   string // completed, answered, busy, no-answer, failed, canceled
	DialCallSID  string // the leg that was bridged; "" for a conference
	DialDuration *int   // seconds; nil for a conference and when the leg was taken away
	Bridged      *bool
	RecordingURL string
}

// ParseDial reads the request to the action of a <Dial>. Code: errs.Invalid.
func ParseDial(v url.Values) (DialForm, error) {
	r := reader{form: v}
	f := DialForm{
		CallForm: r.call(), DialStatus: r.required("DialCallStatus", maxShort), DialCallSID: r.sid("DialCallSid", CallSID),
		DialDuration: r.whole("DialCallDuration"), Bridged: r.yes("DialBridged"), RecordingURL: r.text("RecordingUrl", maxURL),
	}
	return f, r.err
}

// RecordForm is the request to the action of a <Record>; the file may not be
// ready yet. Digits is the key that ended it, or "hangup".
type RecordForm struct {
	CallForm
	RecordingSID, RecordingURL string
	DurationSeconds            *int
}

// ParseRecord reads the request to the action of a <Record>. Code: errs.Invalid.
func ParseRecord(v url.Values) (RecordForm, error) {
	r := reader{form: v}
	f := RecordForm{
		CallForm: r.call(), RecordingSID: r.sid("RecordingSid", RecordingSID), RecordingURL: r.text("RecordingUrl", maxURL),
		DurationSeconds: r.whole("RecordingDuration"),
	}
	if f.RecordingSID == "" { // the address ends in the SID
		if i := strings.LastIndexByte(f.RecordingURL, '/'); i >= 0 && isSID(f.RecordingURL[i+1:]) {
			f.RecordingSID = f.RecordingURL[i+1:]
		}
	}
	return f, r.err
}

// RecordingForm is news about a recording. CallSID is that of the parent call.
type RecordingForm struct {
	AccountSID, CallSID, ConferenceSID string
	RecordingSID, URL                  string
	Status                             string // in-progress, completed, absent, failed
	DurationSeconds                    *int
	Channels                           int
	StartedAt                          time.Time
	Source, Track                      string
	ErrorCode                          int
}

// Key is the same for repetitions of the same news.
func (f RecordingForm) Key() string { return f.RecordingSID + "/" + f.Status }

// ParseRecording reads news about a recording. Code: errs.Invalid.
func ParseRecording(v url.Values) (RecordingForm, error) {
	r := reader{form: v}
	f := RecordingForm{
		AccountSID: r.requiredSID("AccountSid", AccountSID), CallSID: r.sid("CallSid", CallSID),
		ConferenceSID: r.sid("ConferenceSid", ConferenceSID), RecordingSID: r.requiredSID("RecordingSid", RecordingSID),
		URL: r.text("RecordingUrl", maxURL), Status: r.required("RecordingStatus", maxShort),
		DurationSeconds: r.whole("RecordingDuration"), Channels: r.count("RecordingChannels"),
		StartedAt: r.moment("RecordingStartTime"), Source: r.short("RecordingSource"), Track: r.short("RecordingTrack"),
		ErrorCode: r.count("ErrorCode"),
	}
	return f, r.err
}

// LegForm is news about one leg of a call. News comes in any order and more than
// once: Sequence and Timestamp put it right.
type LegForm struct {
	AccountSID, CallSID, ParentCallSID string
	From, To, Direction                string
	Status                             string // queued, initiated, ringing, in-progress, completed, busy, failed, no-answer, canceled
	At                                 time.Time
	Sequence                           *int
	DurationSeconds                    *int
	SIPCode                            int
	AnsweredBy, StirStatus             string
	RecordingSID, RecordingURL         string
	ErrorCode                          int
}

// Key is the same for repetitions of the same news.
func (f LegForm) Key() string {
	k := f.CallSID + "/" + f.Status
	if f.Sequence != nil {
		k += "/" + strconv.Itoa(*f.Sequence)
	}
	return k
}

// ParseLeg reads news about one leg of a call. Code: errs.Invalid.
func ParseLeg(v url.Values) (LegForm, error) {
	r := reader{form: v}
	f := LegForm{
		AccountSID: r.requiredSID("AccountSid", AccountSID), CallSID: r.requiredSID("CallSid", CallSID),
		ParentCallSID: r.sid("ParentCallSid", CallSID), From: r.short("From"), To: r.short("To"), Direction: r.short("Direction"),
		Status: r.required("CallStatus", maxShort), At: r.moment("Timestamp"), Sequence: r.whole("SequenceNumber"),
		DurationSeconds: r.whole("CallDuration"), SIPCode: r.count("SipResponseCode"), AnsweredBy: r.short("AnsweredBy"),
		StirStatus: r.short("StirStatus"), RecordingSID: r.sid("RecordingSid", RecordingSID), RecordingURL: r.text("RecordingUrl", maxURL),
		ErrorCode: r.count("ErrorCode"),
	}
	return f, r.err
}

// ConferenceForm is news about a conference.
type ConferenceForm struct {
	AccountSID, ConferenceSID, Name string
	Event                           string // participant-join, conference-end, …
	Sequence                        *int
	At                              time.Time
	CallSID, ParticipantLabel       string
	Muted, Hold                     *bool
	Coached                         string // the call that alone hears it
	Reason                          string // why the participant left or the conference ended
	EndedByCallSID                  string
}

// Key is the same for repetitions of the same news.
func (f ConferenceForm) Key() string {
	if f.Sequence != nil {
		return f.ConferenceSID + "/" + strconv.Itoa(*f.Sequence)
	}
	return f.ConferenceSID + "/" + f.Event + "/" + f.CallSID
}

// ParseConference reads news about a conference. Code: errs.Invalid.
func ParseConference(v url.Values) (ConferenceForm, error) {
	r := reader{form: v}
	f := ConferenceForm{
		AccountSID: r.requiredSID("AccountSid", AccountSID), ConferenceSID: r.requiredSID("ConferenceSid", ConferenceSID),
		Name: r.short("FriendlyName"), Event: r.required("StatusCallbackEvent", maxShort), Sequence: r.whole("SequenceNumber"),
		At: r.moment("Timestamp"), CallSID: r.sid("CallSid", CallSID), ParticipantLabel: r.short("ParticipantLabel"),
		Muted: r.yes("Muted"), Hold: r.yes("Hold"), EndedByCallSID: r.sid("CallSidEndingConference", CallSID),
		Coached: r.sid("CallSidToCoach", CallSID),
	}
	if f.Reason = r.short("ReasonParticipantLeft"); f.Reason == "" {
		f.Reason = r.short("ReasonConferenceEnded")
	}
	return f, r.err
}

// MediaRef is a file of a message that still lies with Twilio.
type MediaRef struct{ URL, ContentType string }

// MessageForm is a message that came in.
type MessageForm struct {
	AccountSID, MessageSID, ServiceSID string
	From, To, Body                     string
	Segments                           int
	Media                              []MediaRef
	OptOutType                         string    // STOP, START, HELP; from Advanced Opt-Out only
	ReceivedAt                         time.Time // when a post that is tried again first came; no field of the form
	FromPlace, ToPlace                 Place
}

// Key is the same for repetitions of the same message.
func (f MessageForm) Key() string { return f.MessageSID + "/received" }

// ParseMessage reads a message that came in. Code: errs.Invalid.
func ParseMessage(v url.Values) (MessageForm, error) {
	r := reader{form: v}
	f := MessageForm{
		AccountSID: r.requiredSID("AccountSid", AccountSID), MessageSID: r.requiredSID("MessageSid", MessageSID, MediaMessageSID),
		ServiceSID: r.sid("MessagingServiceSid", MessagingServiceSID),
		From:       r.required("From", maxShort), To: r.required("To", maxShort), Body: r.text("Body", maxText),
		Segments: r.count("NumSegments"), OptOutType: r.short("OptOutType"),
		FromPlace: r.place("From"), ToPlace: r.place("To"),
	}
	for i := range min(r.count("NumMedia"), maxMedia) {
		n := strconv.Itoa(i)
		if u := r.text("MediaUrl"+n, maxURL); u != "" {
			f.Media = append(f.Media, MediaRef{URL: u, ContentType: r.short("MediaContentType" + n)})
		}
	}
	return f, r.err
}

// MessageStatusForm is news about a message that we sent.
type MessageStatusForm struct {
	AccountSID, MessageSID, ServiceSID string
	From, To                           string
	Status                             string // accepted, queued, sending, sent, delivered, undelivered, failed, canceled, read
	ErrorCode                          int
}

// Key is the same for repetitions of the same news.
func (f MessageStatusForm) Key() string { return f.MessageSID + "/" + f.Status }

// ParseMessageStatus reads news about a message that we sent. Code: errs.Invalid.
func ParseMessageStatus(v url.Values) (MessageStatusForm, error) {
	r := reader{form: v}
	f := MessageStatusForm{
		AccountSID: r.requiredSID("AccountSid", AccountSID), MessageSID: r.requiredSID("MessageSid", MessageSID, MediaMessageSID),
		ServiceSID: r.sid("MessagingServiceSid", MessagingServiceSID), From: r.short("From"), To: r.short("To"),
		Status: r.required("MessageStatus", maxShort), ErrorCode: r.count("ErrorCode"),
	}
	return f, r.err
}
