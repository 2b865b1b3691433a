package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"switchboard/internal/clock"
)

// Outside phones that only the checklist uses.
const (
	checkCaller  = "+61491570737"
	checkBritish = "+447700900123"
)

// Checklist runs the five-step test (R263-R267), and six steps more of messaging,
// against a demo that is seeded and running, and prints what it sees. The error names
// every step that failed. It makes a few calls, messages and a booking; the one setting
// it changes it puts back.
func Checklist(ctx context.Context, o Options, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	c := NewClient(o.GraphQLURL, "")
	defer c.Close()
	if err := c.signIn(ctx, Email, Password); err != nil {
		return err
	}
	k := &checklist{seeder: newSeeder(o, c), out: out, mark: o.Clock.Now().Format("15:04:05.000")}
	if err := k.prepare(ctx); err != nil {
		return fmt.Errorf("the checklist cannot begin: %w", err)
	}
	var sid string
	return k.run(
		step{"An inbound call rings all eligible users, on web and mobile (R263)", func() (err error) { sid, err = k.rings(ctx); return err }},
		step{"The first answer stops the rest, and they see who answered (R264)", func() error { return k.firstAnswer(ctx, sid) }},
		step{"The voicemail greeting plays, the message is saved, the right users are told (R265)", func() error { return k.leaveVoicemail(ctx) }},
		step{"An SMS goes out, the reply comes in and stands in inbox and log (R266)", func() error { return k.texts(ctx) }},
		step{"An outbound call and SMS show the sender of branch, country or default (R267, D17)", func() error { return k.senders(ctx) }},
		step{"What a preview says is what is then sent (R156, R174, D17)", func() error { return k.previewed(ctx) }},
		step{"A picture goes out, one comes in and is kept (R142-R144)", func() error { return k.pictures(ctx) }},
		step{"One text reaches twenty customers, each once, and says who was left out (R135, R136)", func() error { return k.many(ctx) }},
		step{"A template is filled in, and one that cannot be is refused (R161-R163)", func() error { return k.template(ctx) }},
		step{"The customer is told that the fieldworker is on the way (R164, R170, R198)", func() error { return k.underway(ctx) }},
		step{"STOP is heeded until START (R154, R155)", func() error { return k.stop(ctx) }},
	)
}

type step struct {
	claim string
	do    func() error
}

// checklist is one run.
type checklist struct {
	*seeder
	out     io.Writer
	mark    string // tells this run's messages from earlier ones
	watches []*ringWatch
}

func (k *checklist) run(steps ...step) error {
	var failed []error
	for i, s := range steps {
		fmt.Fprintf(k.out, "%d. %s\n", i+1, s.claim)
		if err := s.do(); err != nil {
			fmt.Fprintf(k.out, "   FAILED: %s\n", err)
			failed = append(failed, fmt.Errorf("step %d: %w", i+1, err))
			continue
		}
		fmt.Fprintln(k.out, "   ok")
	}
	for _, w := range k.watches {
		w.stream.Stop()
	}
	fmt.Fprintf(k.out, "%d of %d steps passed\n", len(steps)-len(failed), len(steps))
	return join(failed...)
}

func (k *checklist) say(format string, args ...any) { fmt.Fprintf(k.out, "   "+format+"\n", args...) }

// prepare signs everybody in and looks around.
func (k *checklist) prepare(ctx context.Context) error {
	if err := k.look(ctx); err != nil {
		return err
	}
	for _, p := range people {
		if k.users[p.email] == "" {
			return fmt.Errorf("%s is missing: seed the demo first", p.email)
		}
		if k.clients[p.email] != nil {
			continue
		}
		c := k.admin.As("")
		if err := c.signIn(ctx, p.email, Password); err != nil {
			return err
		}
		k.clients[p.email] = c
	}
	for _, l := range lines {
		if k.numbers[l.e164] == "" {
			return fmt.Errorf("%s is missing: seed the demo first", l.e164)
		}
	}
	return k.reconnect(ctx)
}

// hurry makes Sydney ring for five seconds only.
func (k *checklist) hurry(ctx context.Context) (restore func(), err error) {
	var out struct {
		PhoneNumber struct {
			Routing struct{ RingTimeoutSeconds int }
		}
	}
	id := k.numbers[SydneyNumber]
	if err := k.admin.Do(ctx, `query($id: ID!) { phoneNumber(id: $id) { routing { ringTimeoutSeconds } } }`, Vars{"id": id}, &out); err != nil {
		return nil, err
	}
	set := func(ctx context.Context, seconds int) error {
		return k.admin.change(ctx, "phoneNumberUpdate", "phoneNumber", "PhoneNumberUpdateInput", id, Vars{"routing": Vars{"ringTimeoutSeconds": seconds}})
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if err := set(ctx, out.PhoneNumber.Routing.RingTimeoutSeconds); err != nil {
			k.say("the ring timeout of %s could not be put back to %d s: %s", SydneyNumber, out.PhoneNumber.Routing.RingTimeoutSeconds, err)
		}
	}, set(ctx, 5)
}

// expected is a device that has to ring.
type expected struct{ id, name, platform, userID, user, email string }

func (d expected) String() string {
	return fmt.Sprintf("%s (%s) of %s", d.name, strings.ToLower(d.platform), d.user)
}

// eligible are the devices that a call to Sydney has to ring, found without asking
// the router: those of the branch's people and of the General Fieldworker, less
// whoever does not want to be disturbed (R023, R024, R061, R072).
func (k *checklist) eligible(ctx context.Context) ([]expected, error) {
	type user struct {
		ID, Name, Email, Status            string
		IsGeneralFieldworker, DoNotDisturb bool
		DoNotDisturbLines                  []struct{ ID string }
	}
	var out struct {
		PhoneNumber struct {
			Branch  struct{ Users []user }
			Routing struct{ IncludeGeneralFieldworker bool }
		}
		Users   struct{ Nodes []user }
		Devices struct {
			Nodes []struct {
				ID, Name, Platform string
				RemovedAt          *time.Time
				User               struct{ ID string }
			}
		}
	}
	const fields = `{ id name email status isGeneralFieldworker doNotDisturb doNotDisturbLines { id } }`
	number := k.numbers[SydneyNumber]
	err := k.admin.Do(ctx, `query($id: ID!) {
		phoneNumber(id: $id) { branch { users `+fields+` } routing { includeGeneralFieldworker } }
		users(first: 100) { nodes `+fields+` }
		devices(first: 100) { nodes { id name platform removedAt user { id } } }
	}`, Vars{"id": number}, &out)
	if err != nil {
		return nil, err
	}
	group := out.PhoneNumber.Branch.Users
	for _, u := range out.Users.Nodes {
		if u.IsGeneralFieldworker && out.PhoneNumber.Routing.IncludeGeneralFieldworker {
			group = append(group, u)
		}
	}
	var list []expected
	for _, d := range out.Devices.Nodes {
		i := slices.IndexFunc(group, func(u user) bool { return u.ID == d.User.ID })
		if i < 0 || d.RemovedAt != nil {
			continue
		}
		u := group[i]
		quiet := u.DoNotDisturb || slices.ContainsFunc(u.DoNotDisturbLines, func(l struct{ ID string }) bool { return l.ID == number })
		if u.Status == "ACTIVE" && !quiet {
			list = append(list, expected{d.ID, d.Name, d.Platform, u.ID, u.Name, u.Email})
		}
	}
	if len(list) == 0 {
		return nil, errors.New("nobody is there to be rung at Sydney: everybody is disabled or does not want to be disturbed")
	}
	return list, nil
}

// ringWatch is one user who watches the own rings, and what was seen by device.
type ringWatch struct {
	user   string
	stream *Stream
	seen   map[string]Leg
}

// until reads the user's stream until the devices look as they should.
func (w *ringWatch) until(ctx context.Context, what string, done func(map[string]Leg) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !done(w.seen) {
		var out struct{ Ringing struct{ Leg Leg } }
		err := w.stream.Next(ctx, &out)
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%s's ringing subscription did not tell that %s", w.user, what)
		}
		if err != nil {
			return fmt.Errorf("%s's ringing subscription: %w", w.user, err)
		}
		if d := out.Ringing.Leg.Device; d != nil {
			w.seen[d.ID] = out.Ringing.Leg
		}
	}
	return nil
}

const ringingQuery = `subscription($after: Cursor) { ringing(after: $after) { cursor call { id } leg { id kind status outcome to { display } user { id name } device { id name platform } answeredBy { id name } } } }`

// rings is step 1. It returns the call, which goes on ringing.
func (k *checklist) rings(ctx context.Context) (sid string, err error) {
	devices, err := k.eligible(ctx)
	if err != nil {
		return "", err
	}
	after, err := k.admin.Cursor(ctx)
	if err != nil {
		return "", err
	}
	var targets []string
	watching := map[string]*ringWatch{}
	platforms := map[string]bool{}
	for _, d := range devices {
		targets = append(targets, "client:"+d.id)
		platforms[d.platform] = true
		if watching[d.userID] != nil {
			continue
		}
		c := k.clients[d.email]
		if c == nil {
			return "", fmt.Errorf("%s is nobody of the demo, and cannot be asked what rings", d.user)
		}
		s, err := c.Watch(ctx, ringingQuery, Vars{"after": after})
		if err != nil {
			return "", err
		}
		w := &ringWatch{user: d.user, stream: s, seen: map[string]Leg{}}
		watching[d.userID] = w
		k.watches = append(k.watches, w)
	}
	if !platforms["WEB"] || !platforms["IOS"] && !platforms["ANDROID"] {
		return "", errors.New("the demo's devices are not both web and mobile")
	}
	k.say("%s calls the Sydney office, %s", checkCaller, SydneyNumber)
	if sid, err = k.world.call(ctx, checkCaller, SydneyNumber, targets...); err != nil {
		return "", err
	}
	rung := k.world.rung(sid)
	slices.Sort(rung)
	slices.Sort(targets)
	if !slices.Equal(rung, targets) {
		return "", fmt.Errorf("%d devices ring, %d should", len(rung), len(targets))
	}
	for _, d := range devices {
		w := watching[d.userID]
		err := w.until(ctx, d.name+" rings", func(seen map[string]Leg) bool {
			leg, ok := seen[d.id]
			return ok && leg.Outcome == nil
		})
		if err != nil {
			return "", err
		}
		k.say("rings: %s", d)
	}
	return sid, nil
}

// firstAnswer is step 2.
func (k *checklist) firstAnswer(ctx context.Context, sid string) error {
	if sid == "" {
		return errors.New("there is no call to answer")
	}
	rung := k.world.rung(sid)
	desk := k.device(officeEmail, 0)
	if !slices.Contains(rung, desk) {
		desk = rung[0] // the front desk does not want to be disturbed
	}
	if _, err := k.world.answer(ctx, sid, desk); err != nil {
		return err
	}
	winner := strings.TrimPrefix(desk, "client:")
	if left := k.world.rung(sid); len(left) > 0 {
		return fmt.Errorf("%d devices still ring after the answer", len(left))
	}
	c, err := k.call(ctx, sid, "who answered is known", func(c Call) bool { return c.AnsweredBy != nil && c.Status == "IN_PROGRESS" })
	if err != nil {
		return err
	}
	k.say("%s answers; the call is %s", c.AnsweredBy.Name, c.Status)
	for _, w := range k.watches {
		for _, id := range slices.Sorted(maps.Keys(w.seen)) {
			err := w.until(ctx, w.seen[id].Device.Name+" was told how its ring ended", func(seen map[string]Leg) bool { return seen[id].Outcome != nil })
			if err != nil {
				return err
			}
			leg := w.seen[id]
			want := "ANSWERED_ELSEWHERE"
			if id == winner {
				want = "ANSWERED"
			}
			if *leg.Outcome != want {
				return fmt.Errorf("%s was told %s, not %s", leg.Device.Name, *leg.Outcome, want)
			}
			if id == winner {
				continue
			}
			if leg.AnsweredBy == nil || leg.AnsweredBy.ID != c.AnsweredBy.ID {
				return fmt.Errorf("%s was not told who answered", leg.Device.Name)
			}
			k.say("%s stopped and sees: answered by %s", leg.Device.Name, leg.AnsweredBy.Name)
		}
	}
	if err := k.world.hangUp(ctx, sid); err != nil {
		return err
	}
	c, err = k.call(ctx, sid, "the call is completed", func(c Call) bool { return c.Status == "COMPLETED" })
	if err != nil {
		return err
	}
	for _, leg := range c.Legs {
		if leg.Kind == "DEVICE" && (leg.Outcome == nil || leg.Device == nil) {
			return fmt.Errorf("a device's leg of the call log has no outcome")
		}
	}
	k.say("the caller hangs up; the log says %s, %d legs", c.Status, len(c.Legs))
	return nil
}

// call waits until the server's row of a call looks as it should.
func (k *checklist) call(ctx context.Context, sid, what string, done func(Call) bool) (c Call, err error) {
	err = k.admin.Until(ctx, what, func(ctx context.Context) (bool, error) {
		found, ok, err := k.admin.CallBySID(ctx, sid)
		c = found
		return ok && done(found), err
	})
	if err != nil && c.ID != "" {
		err = fmt.Errorf("%w (call %s is %s)", err, c.ID, c.Status)
	}
	return c, err
}
