package emulator

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"time"
)

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
	if n.account.optedOut(n.service, n.spec.E164, to) {
		e.alert(Alert{Code: 21610, Account: n.account.sid, Resource: in.sid})
		return
	}
	if e.babbling(n, to) {
		e.alert(Alert{Code: 14107, Account: n.account.sid, Resource: in.sid})
		return
	}
	m := e.newMessage(n.account, v.attr("from", n.spec.E164), to, body, "outbound-reply", queued, len(files) > 0)
	m.pending = files
	if ref := v.attr("statusCallback", ""); ref != "" {
		if u, err := doc.resolve(ref); err == nil {
			m.callback = u
		}
	}
	e.noteReply(m)
	e.walk(m)
}

// reply is a text by Twilio itself.
func (e *Emulator) reply(n *number, to, body string) {
	m := e.newMessage(n.account, n.spec.E164, to, body, "outbound-reply", queued, false)
	e.noteReply(m)
	e.walk(m)
}

// Replies between two numbers: more than mostReplies within replySpan are a loop.
const (
	mostReplies = 15
	replySpan   = 30 * time.Second
)

// recent drops what is older than the span.
func (e *Emulator) recent(times []time.Time) []time.Time {
	for len(times) > 0 && e.at.Sub(times[0]) > replySpan {
		times = times[1:]
	}
	return times
}

// babbling reports fifteen replies between two numbers in 30 s, the most Twilio sends.
func (e *Emulator) babbling(n *number, to string) bool {
	return len(e.recent(e.replies[n.spec.E164+"|"+to])) >= mostReplies
}

func (e *Emulator) noteReply(m *message) {
	pair := m.from + "|" + m.to
	e.replies[pair] = append(e.recent(e.replies[pair]), e.at)
	if len(e.replies) < e.nextTidy {
		return
	}
	for p, times := range e.replies { // seldom enough to cost nothing per reply
		if len(e.recent(times)) == 0 {
			delete(e.replies, p)
		}
	}
	e.nextTidy = 2*len(e.replies) + 1024
}
