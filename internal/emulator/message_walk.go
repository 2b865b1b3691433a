package emulator

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Outcome is how an accepted message ends.
type Outcome struct {
	// Status is delivered ("" is the same), sent (no handset receipt), undelivered or failed.
	Status string `json:"status,omitempty"`
	Error  int    `json:"error,omitempty"` // ErrorCode of undelivered and failed
}

// longestValidity is how long a message may wait in a queue (twilio: messaging/api/message-resource).
const longestValidity = 10 * time.Hour

// The most that the files of an outbound MMS may weigh.
const (
	mostImages = 5 << 20   // of all images together
	mostFile   = 500 << 10 // of one file of another kind
)

// walk takes an outbound message from its first status to its last (twilio:
// messaging/guides/outbound-message-status-in-status-callbacks). The first is never
// called back.
func (e *Emulator) walk(m *message) {
	if m.account.typ == Test {
		return
	}
	if len(m.pending) > 0 {
		e.collect(m)
		return
	}
	switch m.status {
	case "accepted":
		m.timer = e.after(e.o.MessageDelay, func() {
			if m.from == "" {
				if code := e.choose(m); code != 0 {
					e.failMessage(m, failed, code)
					return
				}
			}
			e.setMessage(m, queued)
			e.walk(m)
		})
	case queued:
		m.timer = e.after(e.o.MessageDelay, func() { e.enqueueMessage(m) })
	}
}

// choose finds the sender of a message by a Messaging Service; a code other than 0 is why
// there is none.
func (e *Emulator) choose(m *message) int {
	if m.account.optedOut(m.service, "", m.to) {
		return 21610
	}
	from, code := e.pick(m.service, m.to, m.mms)
	if code != 0 {
		return code
	}
	e.setFrom(m, from)
	e.reserve(m)
	return 0
}

// collect fetches the files of an outbound MMS, one after the other. The request carries no
// signature.
func (e *Emulator) collect(m *message) {
	to := m.pending[0]
	e.send(m.account, &delivery{Delivery: Delivery{Kind: KindMedia, Resource: m.sid, Method: http.MethodGet, URL: to, Form: url.Values{}}, lane: m.lane, done: func(a answer) {
		m.pending = m.pending[1:]
		code, text := a.code, a.text
		refused := 21620
		if code == 0 {
			code, text = weigh(m, a)
			if refused = code; code == 11751 {
				refused = 30019
			}
		}
		if code != 0 {
			e.alert(Alert{Code: code, Text: text, Account: m.account.sid, Resource: m.sid, URL: to, Method: http.MethodGet})
			m.pending = nil
			e.failMessage(m, failed, refused)
			return
		}
		m.media = append(m.media, &media{Media: Media{ContentType: a.contentType, Data: a.body}, sid: e.sid("ME"), message: m, created: e.at})
		e.walk(m)
	}})
}

// weigh checks one more file of an MMS (twilio: messaging/guides/accepted-mime-types).
func weigh(m *message, a answer) (code int, text string) {
	kind, _, _ := strings.Cut(a.contentType, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	total := len(a.body)
	image := images[kind]
	for _, x := range m.media {
		if k, _, _ := strings.Cut(x.ContentType, ";"); images[strings.ToLower(strings.TrimSpace(k))] {
			total += len(x.Data)
		}
	}
	group, _, _ := strings.Cut(kind, "/")
	switch {
	case !image && !mediaGroups[group] && !mediaTypes[kind]:
		return 12300, "Invalid Content-Type: " + clip(a.contentType, 100)
	case image && total > mostImages, !image && len(a.body) > mostFile:
		return 11751, ""
	}
	return 0, ""
}

// What an MMS may carry.
var (
	images      = set("image/jpeg image/jpg image/png image/gif")
	mediaGroups = set("audio video image")
	mediaTypes  = set("text/vcard text/x-vcard text/csv text/rtf text/richtext text/calendar text/directory application/pdf application/vcard application/vnd.apple.pkpass")
)

// outcome is what becomes of a message: by appointment, else as its phone behaves.
func (e *Emulator) outcome(m *message) (Outcome, time.Duration) {
	b := e.phones[m.to]
	if m.plan != nil {
		return *m.plan, b.MessageAfter
	}
	if m.mms && e.land(m.to).mms == MMSFails {
		return Outcome{Status: failed, Error: 30011}, 0
	}
	if code := e.unregistered(m); code != 0 {
		return Outcome{Status: "undelivered", Error: code}, 0
	}
	return Outcome{Status: b.MessageStatus, Error: b.MessageError}, b.MessageAfter
}

// transmit hands a message to the carrier.
func (e *Emulator) transmit(m *message) {
	o, wait := e.outcome(m)
	if m.account.status != "active" {
		o = Outcome{Status: failed, Error: 30002}
	}
	if o.Status == failed {
		e.failMessage(m, failed, cmp.Or(o.Error, 30008))
		return
	}
	m.sent = e.at
	e.setMessage(m, "sent")
	if o.Status == "undelivered" {
		m.timer = e.after(e.o.MessageDelay+wait, func() { e.failMessage(m, "undelivered", cmp.Or(o.Error, 30003)) })
		return
	}
	if n := e.byNumber[m.to]; n != nil && !n.spec.NoSMS {
		files := []Media{}
		for _, x := range m.media {
			files = append(files, x.Media)
		}
		e.receive(n, m.from, m.body, files)
	}
	if o.Status == "sent" {
		return
	}
	m.timer = e.after(e.o.MessageDelay+wait, func() { e.setMessage(m, "delivered") })
}

func (e *Emulator) failMessage(m *message, status string, code int) {
	m.errorCode = code
	e.setMessage(m, status)
}

// setMessage changes a message's status and calls back.
func (e *Emulator) setMessage(m *message, status string) {
	if status != queued {
		e.release(m)
	}
	e.mark(m, status)
	if m.callback == "" {
		return
	}
	f := url.Values{}
	for k, v := range map[string]string{
		"MessageSid": m.sid, "MessageStatus": status, "SmsSid": m.sid, "SmsStatus": status, "AccountSid": m.account.sid, "ApiVersion": "2010-04-01",
		"From": m.from, "To": m.to,
	} {
		f.Set(k, v)
	}
	if m.service != nil {
		f.Set("MessagingServiceSid", m.service.sid)
	}
	if m.errorCode != 0 && (status == failed || status == "undelivered") {
		f.Set("ErrorCode", itoa(m.errorCode))
	}
	if status == "delivered" || status == "undelivered" {
		f.Set("RawDlrDoneDate", e.at.UTC().Format("0601021504"))
	}
	e.send(m.account, &delivery{Delivery: Delivery{Kind: KindDelivery, Resource: m.sid, Event: status, Method: m.method, URL: m.callback, Form: f}, lane: m.lane})
}
