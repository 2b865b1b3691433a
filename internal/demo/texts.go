package demo

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"switchboard/internal/emulator"
)

const (
	onTheWay      = "On the way"
	visitReminder = "Visit reminder"
	bulkName      = "Reminder of this week's visits"
	visited       = "Smoke alarm check"
)

// wording are the demo's templates and canned responses.
var wording = []struct{ kind, name, purpose, record, body string }{
	{"TEMPLATE", onTheWay, "SERVICE_UPDATE", "BOOKING", "Hi {{contact.firstName|there}}, {{user.firstName|your technician}} is on the way and will be there at {{event.eta}}. {{record.trackingUrl|}}"},
	{"TEMPLATE", visitReminder, "REMINDER", "BOOKING", "Hi {{contact.firstName|there}}, {{business.name}} comes for your {{record.title}} on {{record.startsAt}}. Please call {{business.phone}} if that does not suit you."},
	{"CANNED_RESPONSE", "Opening hours", "SUPPORT_REPLY", "", "We are here from Monday to Friday, 8 to 17. In an emergency call {{business.phone}}."},
}

// rules are the demo's automations.
var rules = []struct {
	name, trigger, template string
	settings                Vars
}{
	{"Tell customers who is on the way", "ON_THE_WAY", onTheWay, Vars{"quietHours": nil, "isEnabled": true}},
	{"Remind a day before the visit", "BOOKING_REMINDER", visitReminder, Vars{"offsetMinutes": -24 * 60, "isEnabled": false}},
}

func (s *seeder) wording(ctx context.Context) error {
	ids := make([]string, len(wording))
	var g errgroup.Group
	for i, x := range wording {
		if ids[i] = s.templates[x.name]; ids[i] != "" {
			continue
		}
		g.Go(func() (err error) {
			v := Vars{"kind": x.kind, "name": x.name, "purpose": x.purpose, "body": x.body}
			if x.record != "" {
				v["recordKind"] = x.record
			}
			ids[i], err = s.admin.create(ctx, "messageTemplateCreate", "messageTemplate", "MessageTemplateCreateInput", v)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, x := range wording {
		s.templates[x.name] = ids[i]
	}
	return nil
}

func (s *seeder) rules(ctx context.Context) error {
	var g errgroup.Group
	for _, x := range rules {
		if s.automations[x.name] {
			continue
		}
		v := Vars{"name": x.name, "trigger": x.trigger, "templateId": s.templates[x.template]}
		for k, val := range x.settings {
			v[k] = val
		}
		g.Go(func() error {
			_, err := s.admin.create(ctx, "automationCreate", "automation", "AutomationCreateInput", v)
			return err
		})
	}
	return g.Wait()
}

// lived is which of the scenes with messages were lived through already.
type lived struct{ conversation, picture, visit, stranger, optOut, bulk, closed bool }

// lived reads it from what the scenes leave behind.
func (s *seeder) lived(ctx context.Context) (l lived, err error) {
	type list struct{ Nodes []struct{ ID string } }
	var out struct{ Alice, Stranger, Closed, Pictures, Consents list }
	err = s.admin.Do(ctx, `query($alice: String!, $stranger: String!, $lena: String!) {
		alice: messages(first: 1, filter: {number: $alice, direction: INBOUND}) { nodes { id } }
		stranger: smsThreads(first: 1, filter: {number: $stranger}) { nodes { id } }
		closed: smsThreads(first: 1, filter: {isOpen: false}) { nodes { id } }
		pictures: messages(first: 1, filter: {hasMedia: true}) { nodes { id } }
		consents(first: 1, filter: {number: $lena}) { nodes { id } }
	}`, Vars{"alice": alicePhone, "stranger": stranger, "lena": lenaPhone}, &out)
	some := func(l list) bool { return len(l.Nodes) > 0 }
	return lived{some(out.Alice), some(out.Pictures), s.statuses[visited] == "COMPLETED", some(out.Stranger), some(out.Consents), s.bulks[bulkName], some(out.Closed)}, err
}

// threadWith is the newest thread with a number outside.
func (c *Client) threadWith(ctx context.Context, number string) (string, error) {
	var out struct {
		SmsThreads struct{ Nodes []struct{ ID string } }
	}
	err := c.Do(ctx, `query($n: String!) { smsThreads(first: 1, filter: {number: $n}) { nodes { id } } }`, Vars{"n": number}, &out)
	if err == nil && len(out.SmsThreads.Nodes) == 0 {
		err = fmt.Errorf("there is no thread with %s", number)
	}
	if err != nil {
		return "", err
	}
	return out.SmsThreads.Nodes[0].ID, nil
}

// assign gives the thread with a number to somebody.
func (s *seeder) assign(ctx context.Context, c *Client, number, email string) error {
	thread, err := c.threadWith(ctx, number)
	if err != nil {
		return err
	}
	return c.Do(ctx, `mutation($t: ID!, $u: ID) { smsThreadAssign(id: $t, userId: $u) { thread { id } userErrors { code field message } } }`,
		Vars{"t": thread, "u": s.users[email]}, nil)
}

// conversation: Alice writes, the front desk takes the thread and answers, Alice thanks.
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
	if err := s.assign(ctx, c, alicePhone, officeEmail); err != nil {
		return err
	}
	const answer = "Hello Alice, yes: she will be there at nine."
	if _, err := c.Send(ctx, Vars{"contactId": s.contacts["Alice Wong"], "body": answer}); err != nil {
		return err
	}
	if _, err := s.world.reached(ctx, alicePhone, answer); err != nil {
		return err
	}
	return join(s.gap(ctx, 2*time.Minute), s.world.text(ctx, alicePhone, SydneyNumber, "Perfect, thank you!"))
}

// picture: Bob shows what leaks, and Finn is to answer.
func (s *seeder) picture(ctx context.Context) error {
	err := s.world.text(ctx, bobPhone, AustinNumber, "This is where the boiler drips. Can you bring a new valve?", emulator.Media{ContentType: "image/png", Data: photo()})
	if err != nil {
		return err
	}
	c, err := s.fresh(ctx, dispatcherEmail)
	if err != nil {
		return err
	}
	return s.assign(ctx, c, bobPhone, fieldworkerEmail)
}

// visit: Finn is on the way to Bob, who is told so; he arrives and does the work.
func (s *seeder) visit(ctx context.Context) error {
	const link = "https://track.demo.test/finn"
	happened := func(what string, more Vars) error {
		c, err := s.fresh(ctx, fieldworkerEmail)
		if err != nil {
			return err
		}
		v := Vars{"recordId": s.records[visited], "event": what, "externalId": "demo " + what} // the same one again is the same event
		for k, val := range more {
			v[k] = val
		}
		_, err = c.create(ctx, "recordEvent", "event", "RecordEventInput", v)
		return err
	}
	if err := happened("ON_THE_WAY", Vars{"etaAt": s.world.clk.Now().Add(25 * time.Minute), "trackingUrl": link}); err != nil {
		return err
	}
	if _, err := s.world.texted(ctx, bobPhone, func(m emulator.Message) bool { return strings.Contains(m.Body, link) }); err != nil {
		return err
	}
	return join(s.gap(ctx, 25*time.Minute), happened("ARRIVED", nil), s.gap(ctx, 40*time.Minute), happened("COMPLETED", nil))
}

// stranger: somebody whom nobody knows writes, and is a lead from then on.
func (s *seeder) stranger(ctx context.Context) error {
	return s.world.text(ctx, stranger, SydneyNumber, "Hello, do you also repair gas heaters? Mine does not start.")
}

// optOut: Lena agreed to texts on the web form, and wants none any more.
func (s *seeder) optOut(ctx context.Context) error {
	c, err := s.fresh(ctx, dispatcherEmail)
	if err != nil {
		return err
	}
	err = c.Do(ctx, `mutation($i: ConsentRecordInput!) { consentRecord(input: $i) { consents { id } userErrors { code field message } } }`,
		Vars{"i": Vars{"contactId": s.contacts["Lena Fox"], "channel": "SMS", "kind": "OPT_IN", "note": "Ticked the box of the web form."}}, nil)
	return join(err, s.gap(ctx, 3*time.Hour), s.world.text(ctx, lenaPhone, SalesNumber, "STOP"))
}

// bulk: three customers are reminded of their visits.
func (s *seeder) bulk(ctx context.Context) error {
	c, err := s.fresh(ctx, dispatcherEmail)
	if err != nil {
		return err
	}
	var to []Vars
	for _, x := range jobs {
		if x.kind == "BOOKING" && x.hours > 0 {
			to = append(to, Vars{"recordId": s.records[x.title]})
		}
	}
	_, err = c.create(ctx, "bulkMessageCreate", "bulkMessage", "BulkMessageCreateInput",
		Vars{"name": bulkName, "templateId": s.templates[visitReminder], "audience": Vars{"recipients": to}, "ratePerSecond": 10})
	if err != nil {
		return err
	}
	for _, phone := range []string{alicePhone, bobPhone, carlaPhone} {
		if _, err := s.world.texted(ctx, phone, func(m emulator.Message) bool { return strings.Contains(m.Body, OrganizationName+" comes for your ") }); err != nil {
			return err
		}
	}
	return nil
}

// closed: Carla is content, and Dan closes the thread.
func (s *seeder) closed(ctx context.Context) error {
	if err := s.world.text(ctx, carlaPhone, AustinNumber, "That suits us, thank you."); err != nil {
		return err
	}
	c, err := s.fresh(ctx, dispatcherEmail)
	if err != nil {
		return err
	}
	thread, err := c.threadWith(ctx, carlaPhone)
	if err != nil {
		return err
	}
	return c.Do(ctx, `mutation($t: ID!) { smsThreadClose(id: $t) { thread { id } userErrors { code field message } } }`, Vars{"t": thread}, nil)
}

// photo is a picture of pipes on a wall, as far as code can paint one.
func photo() []byte {
	m := image.NewRGBA(image.Rect(0, 0, 480, 360))
	for y := range 360 {
		for x := range 480 {
			c := color.RGBA{uint8(200 - y/6), uint8(190 - y/5), uint8(170 - y/5), 255}
			switch {
			case x > 200 && x < 250, y > 150 && y < 190 && x > 225:
				d := min(x-200, 250-x)
				if x >= 250 {
					d = min(y-150, 190-y)
				}
				c = color.RGBA{uint8(120 + 4*d), uint8(70 + 2*d), 40, 255}
			case y > 190 && y < 320 && (x-330)*(x-330) < (y-190)/2:
				c = color.RGBA{90, 140, 200, 255}
			}
			m.SetRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	_ = (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, m) // a buffer takes everything
	return slices.Clip(b.Bytes())
}
