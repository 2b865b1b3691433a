package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"switchboard/internal/clock"
	"switchboard/internal/emulator"
)

// account gives the emulator the demo's account and numbers.
func (s *seeder) account() error {
	e := s.o.Emulator
	if err := e.AddAccount(AccountSID, AuthToken, emulator.Full); err != nil && !strings.Contains(err.Error(), "exists already") {
		return err
	}
	for _, l := range lines {
		if _, ok := e.Number(l.e164); ok {
			continue
		}
		if _, err := e.AddNumber(AccountSID, emulator.NumberSpec{SID: l.sid, E164: l.e164, FriendlyName: l.name}); err != nil {
			return err
		}
	}
	return nil
}

func (s *seeder) organization(ctx context.Context) error {
	return s.admin.Do(ctx, `mutation($input: OrganizationUpdateInput!) {
		organizationUpdate(input: $input) { organization { id } userErrors { code field message } }
	}`, Vars{"input": Vars{"name": OrganizationName, "timeZone": "Australia/Sydney", "defaultCountry": "AU", "companyPhone": "+61255501210"}}, nil)
}

func (s *seeder) places(ctx context.Context) error {
	for _, b := range branches {
		if s.branches[b.name] != "" {
			continue
		}
		id, err := s.admin.create(ctx, "branchCreate", "branch", "BranchCreateInput", Vars{"name": b.name, "timeZone": b.timeZone})
		if err != nil {
			return err
		}
		s.branches[b.name] = id
	}
	return nil
}

// staff invites everybody, and everybody accepts.
func (s *seeder) staff(ctx context.Context) error {
	ids := make([]string, len(people))
	clients := make([]*Client, len(people))
	var g errgroup.Group
	for i, p := range people {
		g.Go(func() (err error) {
			ids[i], clients[i], err = s.hire(ctx, p)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, p := range people {
		s.users[p.email], s.clients[p.email] = ids[i], clients[i]
	}
	return nil
}

func (s *seeder) hire(ctx context.Context, p person) (id string, c *Client, err error) {
	places := []string{}
	for _, b := range p.branches {
		places = append(places, s.branches[b])
	}
	phones := []Vars{{"label": "Mobile", "number": p.phone, "isPrimary": true}}
	if p.email == Email { // the administrator is there from the beginning
		id = s.users[p.email]
		return id, s.admin, s.admin.change(ctx, "userUpdate", "user", "UserUpdateInput", id, Vars{"name": p.name, "phones": phones, "branchIds": places})
	}
	if id = s.users[p.email]; id != "" {
		if s.invited[p.email] {
			return "", nil, errFolder("it was interrupted while people were invited", errors.New(p.email+" has not accepted, and the invitation is lost"))
		}
		c = s.admin.As("")
		return id, c, c.signIn(ctx, p.email, Password)
	}
	var out struct {
		UserCreate struct {
			User       struct{ ID string }
			Invitation struct{ Token string }
		}
	}
	err = s.admin.Do(ctx, `mutation($input: UserCreateInput!) {
		userCreate(input: $input) { user { id } invitation { token } userErrors { code field message } }
	}`, Vars{"input": Vars{"email": p.email, "name": p.name, "roleId": s.roles[p.role], "branchIds": places, "phones": phones,
		"isFieldworker": p.fieldworker, "isGeneralFieldworker": p.generalFieldworker}}, &out)
	if err != nil {
		return "", nil, err
	}
	c = s.admin.As("")
	session, err := c.accept(ctx, out.UserCreate.Invitation.Token, Password)
	c.use(session)
	return out.UserCreate.User.ID, c, err
}

// connect connects the emulated account and waits until its numbers are imported.
func (s *seeder) connect(ctx context.Context) error {
	if slices.ContainsFunc(lines, func(l line) bool { return s.numbers[l.e164] == "" }) {
		// A connection whose beginning was cut short is brought to its end by the same call.
		id, err := s.admin.create(ctx, "twilioConnectionCreate", "twilioConnection", "TwilioConnectionCreateInput", Vars{
			"name": "Demo Twilio", "accountSid": AccountSID, "authToken": AuthToken, "phoneNumber": lines[0].e164, "phoneNumberSid": lines[0].sid, "defaultCountry": "AU",
		})
		switch {
		case err == nil:
			s.connection = id
		case !HasCode(err, "TAKEN") || s.connection == "":
			return err
		default:
			err := s.admin.Do(ctx, `mutation($id: ID!) { twilioConnectionImport(id: $id) { twilioConnection { id } userErrors { code field message } } }`, Vars{"id": s.connection}, nil)
			if err != nil {
				return err
			}
		}
	}
	return s.admin.Until(ctx, "the numbers are imported", func(ctx context.Context) (bool, error) {
		var out struct {
			Node struct {
				Import struct {
					Status string
					Error  *string
				}
				PhoneNumbers struct {
					Nodes []struct {
						ID, E164  string
						IsEnabled bool
						Branch    *struct{ ID string }
					}
				}
			}
		}
		err := s.admin.Do(ctx, `query($id: ID!) { node(id: $id) { ... on TwilioConnection { import { status error } phoneNumbers(first: 100) { nodes { id e164 isEnabled branch { id } } } } } }`,
			Vars{"id": s.connection}, &out)
		if err != nil {
			return false, err
		}
		if out.Node.Import.Status == "FAILED" {
			why := "unknown reason"
			if e := out.Node.Import.Error; e != nil {
				why = *e
			}
			return false, fmt.Errorf("the import of numbers failed: %s", why)
		}
		found := 0
		for _, n := range out.Node.PhoneNumbers.Nodes {
			s.numbers[n.E164], s.disabled[n.E164] = n.ID, !n.IsEnabled || n.Branch == nil
		}
		for _, l := range lines {
			if s.numbers[l.e164] != "" {
				found++
			}
		}
		return found == len(lines) && out.Node.Import.Status != "RUNNING", nil
	})
}

// line sets a number up and enables it.
func (s *seeder) line(ctx context.Context, l line) error {
	id := s.numbers[l.e164]
	if s.disabled[l.e164] {
		v := l.settings(s)
		v["name"], v["branchId"], v["isEnabled"] = l.name, s.branches[l.branch], true
		if err := s.admin.change(ctx, "phoneNumberUpdate", "phoneNumber", "PhoneNumberUpdateInput", id, v); err != nil {
			return fmt.Errorf("number %s: %w", l.name, err)
		}
	}
	if !l.isDefault || s.hasDefault {
		return nil
	}
	return s.admin.Do(ctx, `mutation($id: ID!) { phoneNumberSetDefault(id: $id) { phoneNumber { id } userErrors { code field message } } }`, Vars{"id": id}, nil)
}

// spoken has recordings and voicemails become text (R199).
func (s *seeder) spoken(ctx context.Context) error {
	return s.admin.Do(ctx, `mutation($input: TranscriptionSettingsInput!) { transcriptionSettingsUpdate(input: $input) { userErrors { code field message } } }`,
		Vars{"input": Vars{"mode": "ALL", "language": "en-AU"}}, nil)
}

// gadgets registers everybody's devices, here and at the emulator.
func (s *seeder) gadgets(ctx context.Context) error {
	type item struct {
		p person
		d gadget
	}
	var all []item
	for _, p := range people {
		for _, d := range p.devices {
			all = append(all, item{p, d})
		}
	}
	ids := make([]string, len(all))
	var g errgroup.Group
	for i, x := range all {
		g.Go(func() (err error) {
			ids[i], err = s.clients[x.p.email].Device(ctx, s.o.Emulator, x.d.name, x.d.platform, s.devices[x.p.email+"/"+x.d.name])
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, x := range all {
		s.devices[x.p.email+"/"+x.d.name] = ids[i]
	}
	return nil
}

// Device registers a device of the client's user, or takes one up again when the id
// is given, and lets it register at the emulator with the token it got.
func (c *Client) Device(ctx context.Context, e *emulator.Emulator, name, platform, id string) (string, error) {
	var out struct {
		DeviceRegister struct {
			Device     struct{ ID string }
			VoiceToken *struct{ Token, Identity string }
		}
	}
	input := Vars{"name": name, "platform": platform}
	if id != "" {
		input["id"] = id
	}
	err := c.Do(ctx, `mutation($input: DeviceRegisterInput!) {
		deviceRegister(input: $input) { device { id } voiceToken { token identity } userErrors { code field message } }
	}`, Vars{"input": input}, &out)
	if err != nil {
		return "", err
	}
	if out.DeviceRegister.VoiceToken == nil {
		return "", fmt.Errorf("device %s got no voice token", name)
	}
	identity, err := e.RegisterToken(out.DeviceRegister.VoiceToken.Token)
	if err != nil {
		return "", fmt.Errorf("device %s cannot register at Twilio: %w", name, err)
	}
	if identity != out.DeviceRegister.Device.ID {
		return "", fmt.Errorf("device %s is %s, but its token says %s", name, out.DeviceRegister.Device.ID, identity)
	}
	return identity, nil
}

func (s *seeder) outsiders(ctx context.Context) error {
	ids := make([]string, len(outsiders))
	var g errgroup.Group
	for i, x := range outsiders {
		if ids[i] = s.contacts[x.name]; ids[i] != "" {
			continue
		}
		g.Go(func() (err error) {
			v := Vars{"kind": x.kind, "name": x.name, "country": x.country, "phones": []Vars{{"number": x.phone, "label": "Mobile", "isPrimary": true}}}
			if x.company != "" {
				v["company"] = x.company
			}
			if x.tags != nil {
				v["tags"] = x.tags
			}
			if x.assigned != "" {
				v["assignedUserId"] = s.users[x.assigned]
			}
			ids[i], err = s.admin.create(ctx, "contactCreate", "contact", "ContactCreateInput", v)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, x := range outsiders {
		s.contacts[x.name] = ids[i]
	}
	return nil
}

func (s *seeder) jobs(ctx context.Context) error {
	ids := make([]string, len(jobs))
	var g errgroup.Group
	for i, x := range jobs {
		if ids[i] = s.records[x.title]; ids[i] != "" {
			continue
		}
		g.Go(func() (err error) {
			v := Vars{"kind": x.kind, "title": x.title, "contactId": s.contacts[x.contact], "assignedUserId": s.users[x.assigned]}
			if x.hours != 0 {
				v["startsAt"] = s.today().Add(time.Duration(x.hours) * time.Hour).Truncate(time.Hour).Format(time.RFC3339)
			}
			ids[i], err = s.admin.create(ctx, "recordCreate", "record", "RecordCreateInput", v)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, x := range jobs {
		s.records[x.title] = ids[i]
	}
	return nil
}

// today is the time that people will see: a clock that stands in the past is released later.
func (s *seeder) today() time.Time {
	if _, ok := s.o.Clock.(*Past); ok {
		return clock.Real{}.Now()
	}
	return s.o.Clock.Now()
}

func (s *seeder) campaign(ctx context.Context) error {
	if s.campaigns[campaignName] != "" {
		return nil
	}
	var members []string
	for _, x := range outsiders {
		if x.inCampaign {
			members = append(members, s.contacts[x.name])
		}
	}
	if s.world.held() {
		if err := s.admin.Refresh(ctx); err != nil { // hours have passed
			return err
		}
	}
	_, err := s.admin.create(ctx, "campaignCreate", "campaign", "CampaignCreateInput", Vars{"name": campaignName, "assignedUserId": s.users[officeEmail], "contactIds": members})
	return err
}
