package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
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
	body := "Your technician is on the way (" + k.mark + ")."
	sent, err := office.Send(ctx, Vars{"to": checkCaller, "body": body})
	if err != nil {
		return err
	}
	if _, err := k.world.reached(ctx, checkCaller, body); err != nil {
		return err
	}
	if _, err := seen("the message was delivered", func(m Message) bool { return m.ID == sent.ID && m.Status == "DELIVERED" }); err != nil {
		return err
	}
	k.say("Olive Chen writes to %s; the handset confirms: DELIVERED", checkCaller)
	reply := "Thanks, see you soon (" + k.mark + ")."
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
	texts := []sending{
		{officeEmail, checkCaller, "Australia", "", []string{SydneyNumber}, "BRANCH_AND_COUNTRY"},
		{officeEmail, carlaPhone, "the United States", "", american, "COUNTRY"},
		{fieldworkerEmail, carlaPhone, "the United States", "", american, "BRANCH_AND_COUNTRY"},
		{officeEmail, checkBritish, "Great Britain", "", []string{SydneyNumber}, "BRANCH"},
		{Email, checkBritish, "Great Britain", "", []string{SydneyNumber}, "DEFAULT"},
		{officeEmail, checkCaller, "Australia", SalesNumber, []string{SalesNumber}, "EXPLICIT"},
	}
	lines := make([]string, len(texts))
	g, together := errgroup.WithContext(ctx)
	if k.world.held() {
		g.SetLimit(1) // one hand on the clock
	}
	for i, x := range texts {
		g.Go(func() (err error) {
			if lines[i], err = k.textOf(together, i, x); err != nil {
				return fmt.Errorf("SMS of %s to %s: %w", k.person(x.who).name, x.country, err)
			}
			return nil
		})
	}
	err := g.Wait()
	for _, l := range lines {
		if l != "" {
			k.say("%s", l)
		}
	}
	if err != nil {
		return err
	}
	for _, x := range []sending{
		{officeEmail, checkCaller, "Australia", "", []string{SydneyNumber}, "BRANCH_AND_COUNTRY"},
		{officeEmail, carlaPhone, "the United States", "", american, "COUNTRY"},
		{fieldworkerEmail, checkCaller, "Australia", "", []string{SydneyNumber}, "COUNTRY"},
	} {
		if err := k.callOf(ctx, x); err != nil {
			return fmt.Errorf("call of %s to %s: %w", k.person(x.who).name, x.country, err)
		}
	}
	return nil
}

// sending is one message or call, and the number it has to show.
type sending struct {
	who, to, country string
	number           string // chosen by hand; "" leaves it to D17
	want             []string
	reason           string
}

func (k *checklist) textOf(ctx context.Context, i int, x sending) (line string, err error) {
	body := fmt.Sprintf("Which number do you see? (%s, %d)", k.mark, i+1)
	input := Vars{"to": x.to, "body": body}
	if x.number != "" {
		input["phoneNumberId"] = k.numbers[x.number]
	}
	m, err := k.clients[x.who].Send(ctx, input)
	if err != nil {
		return "", err
	}
	arrived, err := k.world.reached(ctx, x.to, body)
	if err != nil {
		return "", err
	}
	if err := shown("SMS", m.Sender, arrived.From, x.want, x.reason); err != nil {
		return "", err
	}
	return fmt.Sprintf("SMS of %s to %s shows %s: %s", k.person(x.who).name, x.country, arrived.From, m.Sender.Reason), nil
}

func (k *checklist) callOf(ctx context.Context, x sending) error {
	c := k.clients[x.who]
	l, err := k.world.dial(ctx, c, k.device(x.who, 0), x.to, Vars{"to": x.to}, func(context.Context) error { return nil })
	if err != nil {
		return err
	}
	phone, _ := k.o.Emulator.Call(l.callee)
	made, err := c.Call(ctx, l.id)
	if err == nil {
		err = shown("call", made.CallerID, phone.From, x.want, x.reason)
	}
	if err = join(err, k.world.hangUp(ctx, l.callee)); err != nil {
		return err
	}
	k.say("call of %s to %s shows %s: %s", k.person(x.who).name, x.country, phone.From, made.CallerID.Reason)
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
