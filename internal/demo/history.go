package demo

import (
	"context"
	"errors"
	"time"

	"switchboard/internal/clock"
	"switchboard/internal/emulator"
)

// History makes the demo's calls and messages in the time of the machine: a short
// call that is answered, a missed one, a voicemail, an outbound call, and messages of
// every sort. It takes the time that such calls take.
func History(ctx context.Context, o Options) error {
	c, err := SignIn(ctx, o.GraphQLURL, Email, Password)
	if err != nil {
		return err
	}
	defer c.Close()
	s := newSeeder(o, c)
	if err := s.look(ctx); err != nil {
		return err
	}
	for _, email := range []string{dispatcherEmail, officeEmail, fieldworkerEmail} {
		if s.clients[email], err = SignIn(ctx, o.GraphQLURL, email, Password); err != nil {
			return err
		}
		defer s.clients[email].Close()
	}
	return s.history(ctx)
}

// history lives through the demo's yesterday. With a clock that is held the hours
// between are skipped; without one the calls follow each other and are short.
func (s *seeder) history(ctx context.Context) error {
	done, err := s.lived(ctx)
	if err != nil {
		return err
	}
	var list []error
	var scenes []func(context.Context) error
	for _, x := range []struct {
		done  bool
		scene func(context.Context) error
	}{
		{s.calls > 0, s.answered}, {s.calls > 0, s.missed}, {s.calls > 0, s.voicemail}, {s.calls > 0, s.outbound},
		{done.optOut, s.optOut}, {done.picture, s.picture}, {done.visit, s.visit}, {done.stranger, s.stranger}, {done.bulk, s.bulk},
		{done.closed, s.closed}, {done.conversation, s.conversation}, // the last: nothing happens in its thread after it
	} {
		if !x.done {
			scenes = append(scenes, x.scene)
		}
	}
	for i, scene := range scenes {
		list = append(list, s.gap(ctx, s.share(len(scenes)-i)), scene(ctx))
	}
	return join(list...)
}

func (s *seeder) device(email string, n int) string {
	return "client:" + s.devices[email+"/"+s.person(email).devices[n].name]
}

// share is one of so many equal gaps that fill the time from the past to now.
func (s *seeder) share(gaps int) time.Duration {
	p, ok := s.o.Clock.(*Past)
	if !ok {
		return 90 * time.Minute
	}
	return clock.Real{}.Now().Add(-time.Hour).Sub(p.Now()) / time.Duration(gaps)
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
	if err := s.talk(ctx, 6*time.Second); err != nil { // it rings
		return err
	}
	leg, err := s.world.answer(ctx, sid, desk)
	if err != nil {
		return err
	}
	s.world.e.Say(sid, emulator.Sentence{Channel: 2, End: 4 * time.Second, Text: "Harbour Home Services, Olive speaking. How can I help you?"},
		emulator.Sentence{Channel: 1, Start: 4 * time.Second, End: 12 * time.Second, Text: "Hello, it's Alice. Our air conditioner is leaking again. Can you come tomorrow?"},
		emulator.Sentence{Channel: 2, Start: 12 * time.Second, End: 16 * time.Second, Text: "Of course, we come in the morning. I'm sorry about that."})
	return join(s.world.e.Speak(leg, 4*time.Second), s.talk(ctx, 4*time.Second), s.world.e.Speak(sid, 12*time.Second),
		s.talk(ctx, 21*time.Second), s.world.hangUp(ctx, sid))
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
	s.world.e.Say(sid, emulator.Sentence{Channel: 1, End: 4 * time.Second, Text: "Good morning, I would like a quote for ducted heating. Please call me back."})
	return s.world.voicemail(ctx, sid, 4*time.Second)
}

// outbound: Dan calls Carla from his browser.
func (s *seeder) outbound(ctx context.Context) error {
	c, err := s.fresh(ctx, dispatcherEmail)
	if err != nil {
		return err
	}
	device := s.device(dispatcherEmail, 0)
	legs, err := s.world.dial(ctx, c, device, carlaPhone, Vars{"contactId": s.contacts["Carla Diaz"]}, func(ctx context.Context) error { return s.talk(ctx, 5*time.Second) })
	if err != nil {
		return err
	}
	return join(s.talk(ctx, 95*time.Second), s.world.hangUp(ctx, legs.callee))
}
