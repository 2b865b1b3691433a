package emulator

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
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
	from, to, body    string // from is "" until a Messaging Service has chosen
	service           *service
	direction, status string
	errorCode         int
	segments          int
	mms               bool
	media             []*media
	pending           []string // media URLs of an outbound MMS, not yet fetched
	callback, method  string
	created, updated  time.Time
	sent              time.Time
	validity          time.Duration
	line              *line // while it takes a place in the sender's queue
	lane              *lane
	gone              bool
	timer             *timer
	optOutAs          string
	plan              *Outcome // by appointment; nil leaves it to the phone
	price             int64    // once shown, it stays
}

// Message is one SMS or MMS as the emulator sees it.
type Message struct {
	SID       string    `json:"sid"`
	Account   string    `json:"account"`
	Service   string    `json:"service,omitempty"`
	From      string    `json:"from"` // "" until a Messaging Service has chosen
	To        string    `json:"to"`
	Body      string    `json:"body"`
	Direction string    `json:"direction"`
	Status    string    `json:"status"`
	ErrorCode int       `json:"errorCode,omitempty"`
	Segments  int       `json:"segments"`
	Media     int       `json:"media"`
	Price     string    `json:"price,omitempty"` // once it is rated
	Created   time.Time `json:"created"`
	Sent      time.Time `json:"sent,omitzero"` // when it left the queue
}

func (e *Emulator) publicMessage(m *message) Message {
	p := Message{SID: m.sid, Account: m.account.sid, From: m.from, To: m.to, Body: m.body, Direction: m.direction, Status: m.status,
		ErrorCode: m.errorCode, Segments: m.segments, Media: m.numMedia(), Price: e.cost(m), Created: m.created, Sent: m.sent}
	if m.service != nil {
		p.Service = m.service.sid
	}
	return p
}

// Messages returns every message, oldest first, without those deleted or no longer kept.
func (e *Emulator) Messages() (list []Message) {
	e.read(func() {
		for _, m := range e.messages {
			if !m.gone {
				list = append(list, e.publicMessage(m))
			}
		}
	})
	return list
}

// MessagesTo returns the messages to a number, oldest first, at the cost of those alone.
func (e *Emulator) MessagesTo(to string) (list []Message) {
	e.read(func() {
		for _, a := range e.accounts {
			for _, m := range a.textsTo[to] {
				if !m.gone {
					list = append(list, e.publicMessage(m))
				}
			}
		}
	})
	return list
}

// MessageCounts is how many messages of all accounts have each status, those deleted or no
// longer kept included. It costs the same however many there are.
func (e *Emulator) MessageCounts() map[string]int {
	counts := map[string]int{}
	e.read(func() {
		for status, n := range e.counts {
			if n > 0 {
				counts[status] = n
			}
		}
	})
	return counts
}

func (m *message) numMedia() (n int) {
	for _, f := range m.media {
		if !f.gone {
			n++
		}
	}
	return n + len(m.pending)
}

// over reports the end of a message's walk.
func (m *message) over() bool {
	switch m.status {
	case queued, "accepted", "sending", "scheduled":
		return false
	}
	return true
}

func (e *Emulator) newMessage(a *account, from, to, body, direction, status string, mms bool) *message {
	prefix := "SM"
	if mms {
		prefix = "MM"
	}
	m := &message{account: a, sid: e.sid(prefix), to: to, body: body, direction: direction, status: status, created: e.at, updated: e.at,
		segments: Segments(body), mms: mms, lane: &lane{}, method: http.MethodPost, validity: longestValidity}
	e.messages = append(e.messages, m)
	e.messageBy[m.sid] = m
	a.textsTo[to] = append(a.textsTo[to], m)
	e.counts[status]++
	e.setFrom(m, from)
	e.forget()
	return m
}

// setFrom gives a message its sender.
func (e *Emulator) setFrom(m *message, from string) {
	if m.from = from; from != "" {
		m.account.textsFrom[from] = append(m.account.textsFrom[from], m)
	}
}

// mark changes the status without a callback.
func (e *Emulator) mark(m *message, status string) {
	e.counts[m.status]--
	if m.status == "scheduled" {
		m.account.scheduled--
	}
	e.counts[status]++
	m.status, m.updated = status, e.at
}

// forget lets the oldest finished messages go when more than KeepMessages are there. It
// halves what may be kept, so that a message costs the same however many came before.
func (e *Emulator) forget() {
	keep := e.o.KeepMessages
	if keep <= 0 || len(e.messages) <= keep || len(e.messages) < e.nextForget {
		return
	}
	surplus := len(e.messages) - keep/2
	e.messages = slices.DeleteFunc(e.messages, func(m *message) bool {
		drop := surplus > 0 && m.over() && m.lane.idle()
		if drop {
			surplus--
			delete(e.messageBy, m.sid)
			m.gone = true
			for _, x := range m.media {
				x.gone, x.Data = true, nil
			}
		}
		return drop
	})
	for _, a := range e.accounts {
		clear(a.textsTo)
		clear(a.textsFrom)
	}
	for _, m := range e.messages {
		m.account.textsTo[m.to] = append(m.account.textsTo[m.to], m)
		if m.from != "" {
			m.account.textsFrom[m.from] = append(m.account.textsFrom[m.from], m)
		}
	}
	e.nextForget = len(e.messages) + keep/2
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

// receive is a text that arrives at one of our numbers.
func (e *Emulator) receive(n *number, from, body string, files []Media) *message {
	a := n.account
	m := e.newMessage(a, from, n.spec.E164, body, "inbound", "received", len(files) > 0)
	for _, f := range files {
		m.media = append(m.media, &media{Media: f, sid: e.sid("ME"), message: m, created: e.at})
	}
	s := n.service
	m.service = s
	reply := e.keyword(n, m)
	to, method, fallback, fallbackMethod := n.inboundSMS(s)
	if to == "" || a.status != "active" {
		if reply != "" {
			e.reply(n, from, reply)
		}
		return m
	}
	f := e.inboundForm(m)
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
		if m.service.advancedOptOut && m.optOutAs != "" {
			f.Set("OptOutType", m.optOutAs)
		}
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
