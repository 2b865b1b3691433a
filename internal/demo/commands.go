package demo

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Chosen is a number of ours that was chosen, and why (D17).
type Chosen struct{ E164, Reason string }

// Call is what the demo reads of a call.
type Call struct {
	ID, Status, Direction string
	EndReason             *string
	CallerID              *Chosen
	TwilioSid             string
	StartedAt             time.Time
	AnsweredBy            *struct{ ID, Name string }
	Contact               *struct{ ID, Name string }
	Branch                *struct{ ID, Name string }
	Legs                  []Leg
	Voicemail             *struct{ ID string }
}

// Leg is what the demo reads of a leg.
type Leg struct {
	ID, Kind, Status string
	Outcome          *string
	User             *struct{ ID, Name string }
	Device           *struct{ ID, Name, Platform string }
	AnsweredBy       *struct{ ID, Name string }
	To               struct{ Display string }
}

const callFields = `{ id status direction endReason twilioSid startedAt callerId { e164 reason } answeredBy { id name } contact { id name } branch { id name } voicemail { id }
	legs { id kind status outcome to { display } user { id name } device { id name platform } answeredBy { id name } } }`

// Message is what the demo reads of a message.
type Message struct {
	ID, Direction, Status, Body string
	Sender                      *Chosen
	ErrorReason                 *string
	Thread                      struct {
		ID      string
		Contact *struct{ Name string }
		Branch  *struct{ Name string }
	}
}

const messageFields = `{ id direction status body errorReason sender { e164 reason } thread { id contact { name } branch { name } } }`

// Send sends a message; the input is a MessageSendInput.
func (c *Client) Send(ctx context.Context, input Vars) (Message, error) {
	var out struct{ MessageSend struct{ Message Message } }
	err := c.Do(ctx, `mutation($input: MessageSendInput!) {
		messageSend(input: $input) { message `+messageFields+` warnings userErrors { code field message } }
	}`, Vars{"input": input}, &out)
	return out.MessageSend.Message, err
}

// Start starts a call; the input is a CallStartInput.
func (c *Client) Start(ctx context.Context, input Vars) (Call, error) {
	var out struct{ CallStart struct{ Call Call } }
	err := c.Do(ctx, `mutation($input: CallStartInput!) {
		callStart(input: $input) { call `+callFields+` userErrors { code field message } }
	}`, Vars{"input": input}, &out)
	return out.CallStart.Call, err
}

// Call reads one call.
func (c *Client) Call(ctx context.Context, id string) (Call, error) {
	var out struct{ Call *Call }
	if err := c.Do(ctx, `query($id: ID!) { call(id: $id) `+callFields+` }`, Vars{"id": id}, &out); err != nil {
		return Call{}, err
	}
	if out.Call == nil {
		return Call{}, errors.New("there is no call " + id)
	}
	return *out.Call, nil
}

// CallBySID finds a recent call by its SID at Twilio; ok is false when it is not there.
func (c *Client) CallBySID(ctx context.Context, sid string) (found Call, ok bool, err error) {
	var out struct{ Calls struct{ Nodes []Call } }
	if err := c.Do(ctx, `{ calls(first: 50) { nodes `+callFields+` } }`, nil, &out); err != nil {
		return Call{}, false, err
	}
	for _, x := range out.Calls.Nodes {
		if x.TwilioSid == sid {
			return x, true, nil
		}
	}
	return Call{}, false, nil
}

// legs are the SIDs of an outbound call's two legs at Twilio.
type legs struct{ id, own, callee string }

// dial starts a call from a device, answers there, and lets the callee answer. Ring
// is called while either of them rings.
func (w outside) dial(ctx context.Context, c *Client, device, callee string, input Vars, ring func(context.Context) error) (l legs, err error) {
	input["deviceId"] = strings.TrimPrefix(device, "client:")
	started, err := c.Start(ctx, input)
	if err != nil {
		return l, err
	}
	l.id = started.ID
	if err := w.await(ctx, "the own device rings", func() bool { l.own = w.leg("", device); return l.own != "" }); err != nil {
		return l, err
	}
	if err := ring(ctx); err != nil {
		return l, err
	}
	if _, err := w.e.Answer(l.own); err != nil {
		return l, err
	}
	if err := w.until(ctx, "the callee rings", func() bool { l.callee = w.leg("", callee); return l.callee != "" }); err != nil {
		return l, err
	}
	if err := ring(ctx); err != nil {
		return l, err
	}
	if _, err := w.e.Answer(l.callee); err != nil {
		return l, err
	}
	return l, w.until(ctx, "the two are connected", func() bool {
		x, _ := w.e.Call(l.callee)
		return x.Bridged != ""
	})
}
