package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// texts is step 4.
func (k *checklist) texts(ctx context.Context) error {
	office := k.clients[officeEmail]
	after, err := k.admin.Cursor(ctx)
	if err != nil {
		return err
	}
	events, err := office.Watch(ctx, `subscription($after: Cursor) { events(after: $after, types: [MESSAGE_RECEIVED, MESSAGE_UPDATED]) { id
		... on MessageReceived { message `+messageFields+` } ... on MessageUpdated { message `+messageFields+` } } }`, Vars{"after": after})
	if err != nil {
		return err
	}
	defer events.Stop()
	seen := func(what string, done func(Message) bool) (m Message, err error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		for {
			var out struct{ Events struct{ Message *Message } }
			if err := events.Next(ctx, &out); err != nil {
				if errors.Is(err, context.DeadlineExceeded) {
					err = errors.New("no event said that " + what)
				}
				return m, err
			}
			if x := out.Events.Message; x != nil && done(*x) {
				return *x, nil
			}
		}
	}
	mark := k.o.Clock.Now().Format("15:04:05.000")
	before := k.world.sent(checkCaller)
	sent, err := office.Send(ctx, Vars{"to": checkCaller, "body": "Your technician is on the way (" + mark + ")."})
	if err != nil {
		return err
	}
	if _, err := k.world.reached(ctx, checkCaller, before); err != nil {
		return err
	}
	if _, err := seen("the message was delivered", func(m Message) bool { return m.ID == sent.ID && m.Status == "DELIVERED" }); err != nil {
		return err
	}
	k.say("Olive Chen writes to %s; the handset confirms: DELIVERED", checkCaller)
	reply := "Thanks, see you soon (" + mark + ")."
	if err := k.world.text(ctx, checkCaller, SydneyNumber, reply); err != nil {
		return err
	}
	got, err := seen("the reply came in", func(m Message) bool { return m.Direction == "INBOUND" && m.Body == reply })
	if err != nil {
		return err
	}
	if got.Thread.ID != sent.Thread.ID {
		return errors.New("the reply stands in another thread than the message")
	}
	k.say("the reply comes in by an event, in the same thread")
	var out struct {
		SmsThreads struct {
			Nodes []struct {
				ID          string
				LastMessage struct{ ID string }
			}
		}
		SmsThread struct{ Messages struct{ Nodes []Message } }
	}
	err = office.Do(ctx, `query($id: ID!) {
		smsThreads(first: 5) { nodes { id lastMessage { id } } }
		smsThread(id: $id) { messages(first: 5) { nodes `+messageFields+` } }
	}`, Vars{"id": got.Thread.ID}, &out)
	if err != nil {
		return err
	}
	if t := out.SmsThreads.Nodes; len(t) == 0 || t[0].ID != got.Thread.ID || t[0].LastMessage.ID != got.ID {
		return errors.New("the thread does not stand first in the inbox")
	}
	log := out.SmsThread.Messages.Nodes
	if len(log) < 2 || log[0].ID != got.ID || log[1].ID != sent.ID {
		return errors.New("message and reply do not stand in the thread's log, newest first")
	}
	k.say("inbox: the thread is first; log: %s %s, then %s %s", log[1].Direction, log[1].Status, log[0].Direction, log[0].Status)
	return nil
}

// senders is step 5: the example of R082 and every rung of D17.
func (k *checklist) senders(ctx context.Context) error {
	american := []string{AustinNumber, SalesNumber}
	for _, x := range []struct {
		who, to, country string
		number           string // chosen by hand
		want             []string
		reason           string
	}{
		{officeEmail, checkCaller, "Australia", "", []string{SydneyNumber}, "BRANCH_AND_COUNTRY"},
		{officeEmail, carlaPhone, "the United States", "", american, "COUNTRY"},
		{fieldworkerEmail, carlaPhone, "the United States", "", american, "BRANCH_AND_COUNTRY"},
		{officeEmail, checkBritish, "Great Britain", "", []string{SydneyNumber}, "BRANCH"},
		{Email, checkBritish, "Great Britain", "", []string{SydneyNumber}, "DEFAULT"},
		{officeEmail, checkCaller, "Australia", SalesNumber, []string{SalesNumber}, "EXPLICIT"},
	} {
		input := Vars{"to": x.to, "body": "Which number do you see?"}
		if x.number != "" {
			input["phoneNumberId"] = k.numbers[x.number]
		}
		before := k.world.sent(x.to)
		m, err := k.clients[x.who].Send(ctx, input)
		if err != nil {
			return err
		}
		arrived, err := k.world.reached(ctx, x.to, before)
		if err != nil {
			return err
		}
		if err := shown("SMS", m.Sender, arrived.From, x.want, x.reason); err != nil {
			return fmt.Errorf("%s to %s: %w", k.person(x.who).name, x.country, err)
		}
		k.say("SMS of %s to %s shows %s: %s", k.person(x.who).name, x.country, arrived.From, m.Sender.Reason)
	}
	for _, x := range []struct {
		who, to, country string
		want             []string
		reason           string
	}{
		{officeEmail, checkCaller, "Australia", []string{SydneyNumber}, "BRANCH_AND_COUNTRY"},
		{officeEmail, carlaPhone, "the United States", american, "COUNTRY"},
		{fieldworkerEmail, checkCaller, "Australia", []string{SydneyNumber}, "COUNTRY"},
	} {
		l, err := k.world.dial(ctx, k.clients[x.who], k.device(x.who, 0), x.to, Vars{"to": x.to})
		if err != nil {
			return fmt.Errorf("%s calls %s: %w", k.person(x.who).name, x.country, err)
		}
		phone, _ := k.o.Emulator.Call(l.callee)
		c, err := k.clients[x.who].Call(ctx, l.id)
		if err == nil {
			err = shown("call", c.CallerID, phone.From, x.want, x.reason)
		}
		if err = join(err, k.world.hangUp(ctx, l.callee)); err != nil {
			return fmt.Errorf("%s calls %s: %w", k.person(x.who).name, x.country, err)
		}
		k.say("call of %s to %s shows %s: %s", k.person(x.who).name, x.country, phone.From, c.CallerID.Reason)
	}
	return nil
}

// shown compares what the server chose and what the other end saw with what D17 says.
func shown(what string, chosen *Chosen, seen string, want []string, reason string) error {
	switch {
	case chosen == nil:
		return fmt.Errorf("the %s has no sender", what)
	case seen != chosen.E164:
		return fmt.Errorf("the %s shows %s, but the server chose %s", what, seen, chosen.E164)
	case !slices.Contains(want, seen):
		return fmt.Errorf("the %s shows %s, not %s", what, seen, strings.Join(want, " or "))
	case chosen.Reason != reason:
		return fmt.Errorf("the %s shows %s because of %s, not %s", what, seen, chosen.Reason, reason)
	}
	return nil
}
