package emulator

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Media is one file of an MMS.
type Media struct {
	ContentType string `json:"contentType"`
	Data        []byte `json:"data"`
}

type media struct {
	Media
	sid     string
	message *message
	created time.Time
	gone    bool
}

// message is one SMS or MMS, in or out.
type message struct {
	account           *account
	sid               string
	from, to, body    string
	service           *service
	direction, status string
	errorCode         int
	segments          int
	media             []*media
	pending           []string // media URLs of an outbound MMS, not yet fetched
	callback, method  string
	created, updated  time.Time
	sent              time.Time
	lane              *lane
	gone              bool
	timer             *timer
	optOutAs          string
}

// Message is one SMS or MMS as the emulator sees it.
type Message struct {
	SID       string    `json:"sid"`
	Account   string    `json:"account"`
	From      string    `json:"from"`
	To        string    `json:"to"`
	Body      string    `json:"body"`
	Direction string    `json:"direction"`
	Status    string    `json:"status"`
	ErrorCode int       `json:"errorCode,omitempty"`
	Segments  int       `json:"segments"`
	Media     int       `json:"media"`
	Created   time.Time `json:"created"`
}

// Messages returns every message, oldest first, without those deleted.
func (e *Emulator) Messages() (list []Message) {
	e.read(func() {
		for _, m := range e.messages {
			if !m.gone {
				list = append(list, Message{SID: m.sid, Account: m.account.sid, From: m.from, To: m.to, Body: m.body, Direction: m.direction, Status: m.status,
					ErrorCode: m.errorCode, Segments: m.segments, Media: m.numMedia(), Created: m.created})
			}
		}
	})
	return list
}

func (m *message) numMedia() (n int) {
	for _, f := range m.media {
		if !f.gone {
			n++
		}
	}
	return n + len(m.pending)
}

func (e *Emulator) newMessage(a *account, from, to, body, direction string, mms bool) *message {
	prefix := "SM"
	if mms {
		prefix = "MM"
	}
	m := &message{account: a, sid: e.sid(prefix), from: from, to: to, body: body, direction: direction, created: e.at, updated: e.at,
		segments: Segments(body), lane: &lane{}, method: http.MethodPost}
	e.messages = append(e.messages, m)
	return m
}

// SendText lets an outside phone send a text to a number of an account.
func (e *Emulator) SendText(from, to, body string, files ...Media) (sid string, err error) {
	if from == "" {
		return "", errors.New("emulator: somebody has to write; give from")
	}
	e.do(func() {
		n := e.byNumber[to]
		if n == nil {
			err = fmt.Errorf("emulator: %s is not a number of any account", to)
			return
		}
		if len(body) > 1600*4 || len(files) > 10 {
			err = errors.New("emulator: a text has at most 1600 characters and 10 files")
			return
		}
		sid = e.receive(n, from, body, files).sid
	})
	return sid, err
}

// Keywords (twilio: support 223134027): the whole message is the one word.
var (
	stopWords  = set("STOP STOPALL UNSUBSCRIBE CANCEL END QUIT REVOKE OPTOUT")
	startWords = set("START YES UNSTOP")
	helpWords  = set("HELP INFO")
)

func (a *account) scope(n *number) (scope string, s *service) {
	for _, s := range a.services {
		for _, x := range s.numbers {
			if x == n {
				return s.sid, s
			}
		}
	}
	return n.spec.E164, nil
}

// receive is a text that arrives at one of our numbers.
func (e *Emulator) receive(n *number, from, body string, files []Media) *message {
	a := n.account
	m := e.newMessage(a, from, n.spec.E164, body, "inbound", len(files) > 0)
	m.status = "received"
	for _, f := range files {
		m.media = append(m.media, &media{Media: f, sid: e.sid("ME"), message: m, created: e.at})
	}
	scope, s := a.scope(n)
	m.service = s
	reply := e.keyword(a, n, m, scope)
	to, method, fallback, fallbackMethod := n.inboundSMS(s)
	extra := url.Values{}
	if s != nil && s.advancedOptOut && m.optOutAs != "" {
		extra.Set("OptOutType", m.optOutAs)
	}
	if to == "" || a.status != "active" {
		if reply != "" {
			e.reply(n, from, reply)
		}
		return m
	}
	f := e.inboundForm(m)
	for k, v := range extra {
		f[k] = v
	}
	e.askMessage(n, m, to, method, f, func(code int, text string) {
		e.alert(Alert{Code: code, Text: text, Account: a.sid, Resource: m.sid, URL: to, Method: method})
		if fallback == "" {
			return
		}
		f.Set("ErrorCode", itoa(code))
		f.Set("ErrorUrl", to)
		e.askMessage(n, m, fallback, fallbackMethod, f, func(code int, text string) {
			e.alert(Alert{Code: code, Text: text, Account: a.sid, Resource: m.sid, URL: fallback, Method: fallbackMethod})
		})
	})
	if reply != "" {
		e.reply(n, from, reply)
	}
	return m
}

// keyword keeps the opt-out table and returns Twilio's own reply, "" for none.
func (e *Emulator) keyword(a *account, n *number, m *message, scope string) string {
	word := strings.ToUpper(strings.TrimSpace(m.body))
	pair := scope + "|" + m.from
	free := n.spec.Type == "tollfree"
	switch {
	case stopWords[word]:
		m.optOutAs = "STOP"
		if a.optOuts[pair] { // told once
			return ""
		}
		a.optOuts[pair] = true
		if free {
			return "NETWORK MSG: You replied with the word \"STOP\" which blocks all texts sent from this number. Text back \"UNSTOP\" to receive messages again."
		}
		return "You have successfully been unsubscribed. You will not receive any more messages from this number. Reply START to resubscribe."
	case startWords[word] && !(free && word == "YES"):
		was := a.optOuts[pair]
		delete(a.optOuts, pair)
		if word == "YES" && !was {
			return ""
		}
		m.optOutAs = "START"
		if free {
			return "NETWORK MSG: You have replied UNSTOP and will begin receiving messages again from this number."
		}
		return "You have successfully been re-subscribed to messages from this number. Reply HELP for help. Reply STOP to unsubscribe. Msg&Data Rates May Apply."
	case helpWords[word] && !free:
		m.optOutAs = "HELP"
		return "Reply STOP to unsubscribe. Msg&Data Rates May Apply."
	}
	return ""
}

// OptedOut reports whether a recipient may not be written to from a number.
func (e *Emulator) OptedOut(number, recipient string) (out bool) {
	e.read(func() {
		if n := e.byNumber[number]; n != nil {
			scope, _ := n.account.scope(n)
			out = n.account.optOuts[scope+"|"+recipient]
		}
	})
	return out
}

// inboundSMS is who hears about a text: the service, else the app, else the number
// (twilio: messaging/api/service-resource).
func (n *number) inboundSMS(s *service) (to, method, fallback, fallbackMethod string) {
	if s != nil && s.fields["UseInboundWebhookOnNumber"] != "true" {
		return s.fields["InboundRequestUrl"], cmp.Or(s.fields["InboundMethod"], http.MethodPost), s.fields["FallbackUrl"], cmp.Or(s.fields["FallbackMethod"], http.MethodPost)
	}
	if p := n.account.app(n.spec.SMSApplicationSID); p != nil {
		return p.fields["SmsUrl"], cmp.Or(p.fields["SmsMethod"], http.MethodPost), p.fields["SmsFallbackUrl"], cmp.Or(p.fields["SmsFallbackMethod"], http.MethodPost)
	}
	return n.spec.SMSURL, n.spec.SMSMethod, n.spec.SMSFallbackURL, n.spec.SMSFallbackMethod
}

func (e *Emulator) inboundForm(m *message) url.Values {
	f := url.Values{}
	for k, v := range map[string]string{
		"MessageSid": m.sid, "SmsSid": m.sid, "SmsMessageSid": m.sid, "AccountSid": m.account.sid, "From": m.from, "To": m.to, "Body": m.body,
		"NumMedia": itoa(len(m.media)), "NumSegments": itoa(m.segments), "SmsStatus": "received", "ApiVersion": "2010-04-01",
	} {
		f.Set(k, v)
	}
	for side, party := range map[string]string{"From": m.from, "To": m.to} {
		if isE164(party) {
			f.Set(side+"City", "")
			f.Set(side+"State", "")
			f.Set(side+"Zip", "")
			f.Set(side+"Country", country(party))
		}
	}
	if m.service != nil {
		f.Set("MessagingServiceSid", m.service.sid)
	}
	for i, x := range m.media {
		f.Set("MediaUrl"+itoa(i), e.mediaURL(x))
		f.Set("MediaContentType"+itoa(i), x.ContentType)
	}
	return f
}

func (e *Emulator) mediaURL(x *media) string {
	return e.o.BaseURL + "/2010-04-01/Accounts/" + x.message.account.sid + "/Messages/" + x.message.sid + "/Media/" + x.sid
}

// askMessage sends the inbound webhook and carries its reply out.
func (e *Emulator) askMessage(n *number, m *message, to, method string, f url.Values, wrong func(int, string)) {
	e.send(m.account, &delivery{Delivery: Delivery{Kind: KindMessage, Resource: m.sid, Method: method, URL: to, Form: f}, lane: m.lane, done: func(a answer) {
		if a.code != 0 {
			wrong(a.code, a.text)
			return
		}
		if a.status == http.StatusNoContent || len(strings.TrimSpace(string(a.body))) == 0 {
			return
		}
		if strings.HasPrefix(a.contentType, "text/plain") { // a plain text is the reply
			e.reply(n, m.from, string(a.body))
			return
		}
		doc, code, text := e.readTwiML(a, messageVerbs, m.account.sid, m.sid)
		if code != 0 {
			wrong(code, text)
			return
		}
		for _, v := range doc.verbs {
			switch v.name {
			case "Message":
				e.replyTwiML(n, m, doc, v)
			case "Redirect":
				next, err := doc.resolve(v.text)
				if err != nil {
					wrong(11100, err.Error())
					return
				}
				e.askMessage(n, m, next, v.attr("method", http.MethodPost), f, wrong)
				return
			}
		}
	}})
}

func (e *Emulator) replyTwiML(n *number, in *message, doc *document, v *node) {
	body := v.text
	var files []string
	for _, k := range v.kids {
		switch k.name {
		case "Body":
			body = k.text
		case "Media":
			files = append(files, k.text)
		}
	}
	to := v.attr("to", in.from)
	scope, _ := n.account.scope(n)
	if n.account.optOuts[scope+"|"+to] {
		e.alert(Alert{Code: 21610, Account: n.account.sid, Resource: in.sid})
		return
	}
	if e.babbling(n, to) {
		e.alert(Alert{Code: 14107, Account: n.account.sid, Resource: in.sid})
		return
	}
	m := e.newMessage(n.account, v.attr("from", n.spec.E164), to, body, "outbound-reply", len(files) > 0)
	m.pending = files
	if ref := v.attr("statusCallback", ""); ref != "" {
		if u, err := doc.resolve(ref); err == nil {
			m.callback = u
		}
	}
	m.status = queued
	e.walk(m)
}

// babbling reports fifteen replies between two numbers in 30 s, the most Twilio sends.
func (e *Emulator) babbling(n *number, to string) bool {
	count := 0
	for _, m := range slices.Backward(e.messages) {
		if e.at.Sub(m.created) > 30*time.Second {
			break
		}
		if m.direction == "outbound-reply" && m.from == n.spec.E164 && m.to == to {
			count++
		}
	}
	return count >= 15
}

// reply is a text by Twilio itself.
func (e *Emulator) reply(n *number, to, body string) {
	m := e.newMessage(n.account, n.spec.E164, to, body, "outbound-reply", false)
	m.status = queued
	e.walk(m)
}

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
			e.setMessage(m, queued)
			e.walk(m)
		})
	case queued:
		m.timer = e.after(e.o.MessageDelay, func() { e.transmit(m) })
	}
}

// collect fetches the files of an outbound MMS, one after the other.
func (e *Emulator) collect(m *message) {
	to := m.pending[0]
	e.send(m.account, &delivery{Delivery: Delivery{Kind: KindMedia, Resource: m.sid, Method: http.MethodGet, URL: to, Form: url.Values{}}, lane: m.lane, done: func(a answer) {
		m.pending = m.pending[1:]
		if a.code != 0 {
			e.alert(Alert{Code: a.code, Text: a.text, Account: m.account.sid, Resource: m.sid, URL: to, Method: http.MethodGet})
			m.pending = nil
			m.errorCode = 30008
			e.setMessage(m, failed)
			return
		}
		m.media = append(m.media, &media{Media: Media{ContentType: a.contentType, Data: a.body}, sid: e.sid("ME"), message: m, created: e.at})
		e.walk(m)
	}})
}

func (e *Emulator) transmit(m *message) {
	b := e.phones[m.to]
	if b.MessageStatus == failed {
		m.errorCode = cmp.Or(b.MessageError, 30008)
		e.setMessage(m, failed)
		return
	}
	m.sent = e.at
	e.setMessage(m, "sent")
	if n := e.byNumber[m.to]; n != nil && !n.spec.NoSMS {
		files := []Media{}
		for _, x := range m.media {
			files = append(files, x.Media)
		}
		e.receive(n, m.from, m.body, files)
	}
	if b.MessageStatus == "sent" {
		return
	}
	m.timer = e.after(e.o.MessageDelay, func() {
		if b.MessageStatus == "undelivered" {
			m.errorCode = cmp.Or(b.MessageError, 30003)
			e.setMessage(m, "undelivered")
			return
		}
		e.setMessage(m, "delivered")
	})
}

// setMessage changes a message's status and calls back.
func (e *Emulator) setMessage(m *message, status string) {
	m.status, m.updated = status, e.at
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
