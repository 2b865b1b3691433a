package webhook

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/inbox"
	"switchboard/internal/twilio"
)

// route is one address below /twilio/{connection}/{accessKey}/. Its pattern has
// {call}, {leg}, {message} for ids and {step} for a number.
type route struct {
	name    string // for metrics
	pattern string
	kind    inbox.Kind
	parse   func(url.Values) (form any, err error) // refuses what such a post is not, before anything is stored
	key     func(p post, token, query string) string
	effect  func(ctx context.Context, tx *db.Tx, p post) (inbox.Answer, error)
	prepare func(p *post) // sets what goes ahead of the effect; nil for nothing
	parts   []string      // of the pattern
	json    bool          // the post is JSON, of which the members that are text count
	hangUp  bool          // when the effect fails, the leg is hung up: it is not the caller's
}

// answerer is an address whose document is for whoever answered, not for the caller:
// an apology and a voicemail are nothing to them.
func answerer(r route) route {
	r.hangUp = true
	return r
}

// inJSON is an address that takes JSON.
func inJSON(r route) route {
	r.json = true
	return r
}

type args struct {
	call, leg, message id.ID
	step               int
}

func (h *Handler) table() []route {
	return []route{
		// Twilio asks what to do with a call to one of our numbers, once a call, while
		// the caller hears ringing. Anything but TwiML goes to the fallback.
		ask(h, "voice", "voice", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.Inbound(ctx, tx, call.Incoming{Connection: p.Connection, Form: f, Hooks: hooks})
		}),
		// The same after our first answer failed, with ErrorCode and ErrorUrl: the caller gets the safe answer.
		ask(h, "fallback", "voice/fallback", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.Rescue(ctx, tx, call.Incoming{Connection: p.Connection, Form: f, Hooks: hooks})
		}),
		// A device calls by itself through the Voice SDK, once a call, while the person
		// hears ringing. What is refused is said; anything but TwiML goes to the fallback.
		ask(h, "app", "app", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.FromApp(ctx, tx, call.Incoming{Connection: p.Connection, Form: f, Hooks: hooks})
		}),
		// A SIP phone calls through a domain of the account.
		ask(h, "sip", "sip", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.FromSIP(ctx, tx, call.Incoming{Connection: p.Connection, Form: f, Hooks: hooks})
		}),
		// A <Dial> is over: its action, once a step. What comes next depends on who answered.
		ask(h, "dial", "call/{call}/dial/{step}", twilio.ParseDial, func(ctx context.Context, tx *db.Tx, p post, f twilio.DialForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.AfterDial(ctx, tx, p.args.call, p.args.step, f, hooks)
		}),
		// A <Gather> of a menu is over, with a key or without: once a visit.
		ask(h, "menu", "call/{call}/menu/{step}", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.AfterMenu(ctx, tx, p.args.call, p.args.step, f, hooks)
		}),
		// The prompt before a large ring is over: the ring begins.
		ask(h, "ring", "call/{call}/ring/{step}", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.AfterPrompt(ctx, tx, p.args.call, p.args.step, f, hooks)
		}),
		// Whoever picked up a forwarded call is asked to press 1; then the key. These and
		// the next are documents of the callee's leg.
		answerer(ask(h, "screen", "call/{call}/screen/{leg}", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.Screen(ctx, tx, p.args.call, p.args.leg, f, hooks)
		})),
		answerer(ask(h, "screened", "call/{call}/screened/{leg}", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.Screened(ctx, tx, p.args.call, p.args.leg, f, hooks)
		})),
		// A leg of a large ring was picked up: one gets the call.
		answerer(ask(h, "claim", "call/{call}/claim/{leg}", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.Claim(ctx, tx, p.args.call, p.args.leg, f, hooks)
		})),
		// A <Record> is over: its action, once a voicemail.
		ask(h, "voicemail", "call/{call}/voicemail/{step}", twilio.ParseRecord, func(ctx context.Context, tx *db.Tx, p post, f twilio.RecordForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.AfterRecord(ctx, tx, p.args.call, p.args.step, f, hooks)
		}),
		// The user's own leg of a call they started has answered: dial the callee.
		ask(h, "bridge", "call/{call}/bridge", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.Bridge(ctx, tx, p.args.call, f, hooks)
		}),
		// A phone that picked up a started call was asked for a key, and one was pressed.
		ask(h, "pressed", "call/{call}/pressed", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.Pressed(ctx, tx, p.args.call, f, hooks)
		}),
		// News of the caller's leg of a number's calls: once, at the end.
		tell("number-status", "status", twilio.ParseLeg, twilio.LegForm.Key, func(ctx context.Context, tx *db.Tx, p post, f twilio.LegForm) error {
			return h.o.Calls.NumberStatus(ctx, tx, f)
		}),
		// News of a call that we started.
		tell("call-status", "call/{call}/status", twilio.ParseLeg, twilio.LegForm.Key, func(ctx context.Context, tx *db.Tx, p post, f twilio.LegForm) error {
			return h.o.Calls.CallStatus(ctx, tx, p.args.call, f)
		}),
		// News of one phone or device that rings: up to four a leg, in any order.
		h.legStatus(),
		// What detection made of whoever answered: once a leg.
		tell("verdict", "call/{call}/amd/{leg}", twilio.ParseVerdict, twilio.VerdictForm.Key, func(ctx context.Context, tx *db.Tx, p post, f twilio.VerdictForm) error {
			return h.o.Calls.Verdict(ctx, tx, p.args.call, p.args.leg, f)
		}),
		// A leg of our own was picked up, or any leg was sent to the call's room: whoever
		// has a place there gets the room, the others hang up.
		answerer(ask(h, "join", "call/{call}/join/{leg}", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.Join(ctx, tx, p.args.call, p.args.leg, f, hooks)
		})),
		ask(h, "room", "call/{call}/room/{leg}", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.RoomFor(ctx, tx, p.args.call, p.args.leg, f, hooks)
		}),
		// A leg is out of the room and still there: once a visit.
		ask(h, "left", "call/{call}/left/{leg}/{step}", twilio.ParseDial, func(ctx context.Context, tx *db.Tx, p post, f twilio.DialForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.Left(ctx, tx, p.args.call, p.args.leg, f, hooks)
		}),
		// A leg is to hear key tones, and then goes back into the room.
		ask(h, "digits", "call/{call}/digits/{leg}/{step}", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.Digits(ctx, tx, p.args.call, p.args.leg, p.args.step, f, hooks)
		}),
		// What somebody on hold hears.
		ask(h, "hold", "call/{call}/hold", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.HoldMusic(ctx, tx, p.args.call, f, hooks)
		}),
		// Nobody took the outside party: voicemail or farewell.
		ask(h, "after", "call/{call}/after", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.After(ctx, tx, p.args.call, f, hooks)
		}),
		// News of the call's room: who came, left, is on hold or muted.
		tell("room-status", "call/{call}/room", twilio.ParseConference, twilio.ConferenceForm.Key, func(ctx context.Context, tx *db.Tx, p post, f twilio.ConferenceForm) error {
			return h.o.Calls.RoomNews(ctx, tx, p.args.call, f)
		}),
		// The outside party's leg was sent to the message that is left on their machine.
		ask(h, "drop", "call/{call}/drop", twilio.ParseCall, func(ctx context.Context, tx *db.Tx, p post, f twilio.CallForm, hooks call.Hooks) (twilio.Response, error) {
			return h.o.Calls.Drop(ctx, tx, p.args.call, f, hooks)
		}),
		// News of a recording: when it begins, when it is complete or turned out empty.
		tell("recording", "call/{call}/recording", twilio.ParseRecording, twilio.RecordingForm.Key, func(ctx context.Context, tx *db.Tx, p post, f twilio.RecordingForm) error {
			return h.o.Calls.RecordingStatus(ctx, tx, p.args.call, f)
		}),
		// A transcript that we asked for is there: once. Should the post not come, it is
		// asked for.
		inJSON(tell("transcript", "transcript", twilio.ParseTranscript, twilio.TranscriptForm.Key, func(ctx context.Context, tx *db.Tx, p post, f twilio.TranscriptForm) error {
			return h.o.Transcripts.News(ctx, tx, p.Connection, f)
		})),
		// A message came in. Twilio does not wait for words: replies are sent by REST.
		tell("sms", "sms", twilio.ParseMessage, twilio.MessageForm.Key, func(ctx context.Context, tx *db.Tx, p post, f twilio.MessageForm) error {
			f.ReceivedAt = p.ReceivedAt
			_, err := h.o.Messages.Receive(ctx, tx, p.Connection, f)
			return err
		}),
		// News of a message that we sent: up to four, in any order.
		tell("message-status", "message/{message}", twilio.ParseMessageStatus, twilio.MessageStatusForm.Key, func(ctx context.Context, tx *db.Tx, p post, f twilio.MessageStatusForm) error {
			return h.o.Messages.Apply(ctx, tx, p.args.message, f)
		}),
	}
}

// ask is an address whose answer somebody hears.
func ask[F any](h *Handler, name, pattern string, parse func(url.Values) (F, error),
	effect func(ctx context.Context, tx *db.Tx, p post, f F, hooks call.Hooks) (twilio.Response, error)) route {
	return route{
		name: name, pattern: pattern, kind: inbox.TwiML, parse: anyForm(parse), key: requestKey,
		effect: func(ctx context.Context, tx *db.Tx, p post) (inbox.Answer, error) {
			if p.noHooks != nil {
				return inbox.Answer{}, p.noHooks
			}
			return document(effect(ctx, tx, p, p.form.(F), p.hooks))
		},
	}
}

// tell is an address that brings news and needs no words.
func tell[F any](name, pattern string, parse func(url.Values) (F, error), key func(F) string,
	effect func(ctx context.Context, tx *db.Tx, p post, f F) error) route {
	return route{
		name: name, pattern: pattern, kind: inbox.Callback, parse: anyForm(parse),
		key: func(p post, _, _ string) string { return p.Path + " " + key(p.form.(F)) },
		effect: func(ctx context.Context, tx *db.Tx, p post) (inbox.Answer, error) {
			return inbox.Taken, effect(ctx, tx, p, p.form.(F))
		},
	}
}

// legStatus is the busiest address: what it reads first goes with the post.
func (h *Handler) legStatus() route {
	r := tell("leg-status", "call/{call}/leg/{leg}", twilio.ParseLeg, twilio.LegForm.Key, func(ctx context.Context, tx *db.Tx, p post, f twilio.LegForm) error {
		if p.leg == nil { // tried again
			p.leg = h.o.Calls.LegNews(p.args.call, p.args.leg, f)
		}
		return p.leg.Apply(ctx, tx)
	})
	r.prepare = func(p *post) {
		p.leg = h.o.Calls.LegNews(p.args.call, p.args.leg, p.form.(twilio.LegForm))
		p.Ahead = p.leg.Ahead(p.Organization)
	}
	return r
}

func anyForm[F any](parse func(url.Values) (F, error)) func(url.Values) (any, error) {
	return func(v url.Values) (any, error) { return parse(v) }
}

// find matches a path with the table.
func (h *Handler) find(path string) (route, args, bool) {
	have := strings.Split(path, "/")
	for _, r := range h.routes {
		if a, ok := r.match(have); ok {
			return r, a, true
		}
	}
	return route{}, args{}, false
}

func (r *route) match(have []string) (a args, ok bool) {
	if len(r.parts) != len(have) {
		return a, false
	}
	for i, w := range r.parts {
		var err error
		switch w {
		case "{call}":
			a.call, err = id.ParseKind(have[i], id.Call)
		case "{leg}":
			a.leg, err = id.ParseKind(have[i], id.Leg)
		case "{message}":
			a.message, err = id.ParseKind(have[i], id.Message)
		case "{step}":
			if a.step, err = strconv.Atoi(have[i]); err == nil && (a.step < 0 || a.step > 1000) {
				err = strconv.ErrRange
			}
		default:
			if w != have[i] {
				return a, false
			}
		}
		if err != nil {
			return a, false
		}
	}
	return a, true
}

// safe is what a caller hears when our own answer failed: voicemail or
// forwarding by the number's settings alone, or a few words.
func (h *Handler) safe(ctx context.Context, p post) inbox.Answer {
	last := inbox.Answer{Status: http.StatusOK, ContentType: twilio.ContentType, Body: []byte(lastWords)}
	if p.route.hangUp {
		last.Body = []byte(hangUp)
		return last
	}
	f, err := twilio.ParseCall(p.Form)
	if err != nil {
		return last
	}
	if p.noHooks != nil {
		return last
	}
	answer, err := document(h.o.Calls.Fallback(ctx, call.Incoming{Connection: p.Connection, Form: f, Hooks: p.hooks}, p.args.call), nil)
	if err != nil {
		return last
	}
	return answer
}

const hangUp = `<?xml version="1.0" encoding="UTF-8"?><Response><Hangup/></Response>`

const lastWords = `<?xml version="1.0" encoding="UTF-8"?><Response><Say>We are sorry, something went wrong on our side. Please call again later.</Say><Hangup/></Response>`
