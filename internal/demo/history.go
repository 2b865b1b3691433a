package demo

import (
	"context"
	"errors"
	"time"
)

// History makes the demo's calls and messages in the time of the machine: a short
// call that is answered, a missed one, a voicemail, an outbound call and a
// conversation. It takes the time that such calls take.
func History(ctx context.Context, o Options) error {
	c, err := SignIn(ctx, o.GraphQLURL, o.email(), o.password())
	if err != nil {
		return err
	}
	defer c.Close()
	s := newSeeder(o, c)
	if err := s.look(ctx); err != nil {
		return err
	}
	for _, email := range []string{dispatcherEmail, officeEmail} {
		if s.clients[email], err = SignIn(ctx, o.GraphQLURL, email, o.password()); err != nil {
			return err
		}
		defer s.clients[email].Close()
	}
	return s.history(ctx)
}

// history lives through the demo's yesterday. With a clock that is held the hours
// between are skipped; without one the calls follow each other and are short.
func (s *seeder) history(ctx context.Context) error {
	var list []error
	if s.calls == 0 {
		for _, scene := range []func(context.Context) error{s.answered, s.missed, s.voicemail, s.outbound} {
			list = append(list, scene(ctx), s.gap(ctx, 90*time.Minute))
		}
	}
	if s.threads == 0 {
		list = append(list, s.conversation(ctx))
	}
	return join(list...)
}

func (s *seeder) device(email string, n int) string {
	return "client:" + s.devices[email+"/"+s.person(email).devices[n].name]
}

// gap is the time between two events of a day; nobody sits through it.
func (s *seeder) gap(ctx context.Context, d time.Duration) error {
	if !s.world.held() {
		return nil
	}
	return s.world.pass(ctx, d)
}

// talk is how long two people talk.
func (s *seeder) talk(ctx context.Context, d time.Duration) error {
	if !s.world.held() {
		d = min(d, 2*time.Second)
	}
	return s.world.pass(ctx, d)
}

// fresh refreshes a session that the skipped hours have outlived.
func (s *seeder) fresh(ctx context.Context, email string) (*Client, error) {
	c := s.clients[email]
	if c == nil {
		return nil, errors.New(email + " is not signed in")
	}
	if !s.world.held() {
		return c, nil
	}
	return c, c.Refresh(ctx)
}

// answered: Alice calls Sydney, everybody's devices ring, the front desk answers.
func (s *seeder) answered(ctx context.Context) error {
	desk := s.device(officeEmail, 0)
	sid, err := s.world.call(ctx, alicePhone, SydneyNumber, desk, s.device(dispatcherEmail, 0))
	if err != nil {
		return err
	}
	if _, err := s.world.answer(ctx, sid, desk); err != nil {
		return err
	}
	return join(s.talk(ctx, 3*time.Minute+20*time.Second), s.world.hangUp(ctx, sid))
}

// missed: Bob calls Austin and gives up while it rings.
func (s *seeder) missed(ctx context.Context) error {
	sid, err := s.world.call(ctx, bobPhone, AustinNumber, s.device(fieldworkerEmail, 0))
	if err != nil {
		return err
	}
	return join(s.talk(ctx, 9*time.Second), s.world.hangUp(ctx, sid))
}

// voicemail: a stranger calls Sydney, nobody answers, a message is left.
func (s *seeder) voicemail(ctx context.Context) error {
	sid, err := s.world.call(ctx, unknown, SydneyNumber, s.device(officeEmail, 0))
	if err != nil {
		return err
	}
	if !s.world.held() { // in a hurry: they decline
		for _, target := range s.world.rung(sid) {
			if _, err := s.world.e.Decline(s.world.leg(sid, target)); err != nil {
				return err
			}
		}
	}
	return s.world.voicemail(ctx, sid, 4*time.Second)
}

// outbound: Dan calls Carla from his browser.
func (s *seeder) outbound(ctx context.Context) error {
	c, err := s.fresh(ctx, dispatcherEmail)
	if err != nil {
		return err
	}
	device := s.device(dispatcherEmail, 0)
	legs, err := s.world.dial(ctx, c, device, carlaPhone, Vars{"contactId": s.contacts["Carla Diaz"]})
	if err != nil {
		return err
	}
	return join(s.talk(ctx, 95*time.Second), s.world.hangUp(ctx, legs.callee))
}

// conversation: Alice writes, the front desk answers, Alice thanks.
func (s *seeder) conversation(ctx context.Context) error {
	if err := s.world.text(ctx, alicePhone, SydneyNumber, "Hi, can Grace come an hour earlier tomorrow?"); err != nil {
		return err
	}
	if err := s.gap(ctx, 4*time.Minute); err != nil {
		return err
	}
	c, err := s.fresh(ctx, officeEmail)
	if err != nil {
		return err
	}
	before := s.world.sent(alicePhone)
	_, err = c.Send(ctx, Vars{"contactId": s.contacts["Alice Wong"], "body": "Hello Alice, yes: she will be there at nine."})
	if err != nil {
		return err
	}
	if _, err := s.world.reached(ctx, alicePhone, before); err != nil {
		return err
	}
	return join(s.gap(ctx, 2*time.Minute), s.world.text(ctx, alicePhone, SydneyNumber, "Perfect, thank you!"), s.gap(ctx, 30*time.Minute))
}
