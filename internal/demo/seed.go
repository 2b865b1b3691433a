package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"switchboard/internal/clock"
)

// seeder furnishes one organization. What is found is kept under what it is called.
type seeder struct {
	o     Options
	world outside
	admin *Client

	roles      map[string]string // by built-in word
	branches   map[string]string // by name
	users      map[string]string // by e-mail
	invited    map[string]bool   // users who have not accepted, by e-mail
	devices    map[string]string // by e-mail + "/" + name
	numbers    map[string]string // by E.164
	disabled   map[string]bool   // numbers not in use yet, by E.164
	contacts   map[string]string // by name
	campaigns  map[string]string // by name
	records    map[string]string // by title
	statuses   map[string]string // of records, by title
	connection string
	calls      int
	hasDefault bool

	templates   map[string]string // by name
	automations map[string]bool   // by name
	bulks       map[string]bool   // by name

	clients map[string]*Client // signed in, by e-mail
}

// Seed furnishes the demo organization: two branches, five people with their devices,
// the emulated Twilio account with three numbers, contacts, leads, a campaign,
// bookings, templates, automations and, when the clock can be moved, two days of
// history. It needs the administrator's invitation on an empty database only; a run
// that was cut short is completed by the next.
func Seed(ctx context.Context, o Options) (Info, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	c := NewClient(o.GraphQLURL, "")
	defer c.Close()
	if err := c.enter(ctx, o); err != nil {
		return Info{}, err
	}
	s := newSeeder(o, c)
	if err := s.look(ctx); err != nil {
		return Info{}, err
	}
	if err := s.furnish(ctx); err != nil {
		return Info{}, err
	}
	return s.info(ctx)
}

// Resume signs in to a demo that was seeded earlier: its devices register again at
// the emulator, and numbers that call another address learn the present one. A
// seeding that was cut short is completed.
func Resume(ctx context.Context, o Options) (Info, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	c := NewClient(o.GraphQLURL, "")
	defer c.Close()
	if err := c.signIn(ctx, Email, Password); err != nil {
		return Info{}, errFolder("its administrator cannot sign in with the demo's password", err)
	}
	s := newSeeder(o, c)
	if err := s.look(ctx); err != nil {
		return Info{}, err
	}
	if _, done := s.campaigns[campaignName]; !done {
		if err := s.furnish(ctx); err != nil {
			return Info{}, err
		}
	} else if err := s.reconnect(ctx); err != nil {
		return Info{}, err
	}
	return s.info(ctx)
}

// enter signs the administrator in, by the invitation or by the password.
func (c *Client) enter(ctx context.Context, o Options) error {
	if o.InvitationToken != "" {
		s, err := c.accept(ctx, o.InvitationToken, Password)
		if err == nil {
			c.use(s)
			return nil
		}
		if !HasCode(err, "WRONG_CREDENTIALS") {
			return err
		}
	}
	if err := c.signIn(ctx, Email, Password); err != nil {
		return errFolder("its administrator can neither accept the invitation nor sign in", err)
	}
	return nil
}

func (c *Client) accept(ctx context.Context, token, password string) (Session, error) {
	var out struct{ InvitationAccept struct{ Session Session } }
	err := c.Do(ctx, `mutation($input: InvitationAcceptInput!) {
		invitationAccept(input: $input) { session { accessToken refreshToken expiresAt } userErrors { code field message } }
	}`, Vars{"input": Vars{"token": token, "password": password}}, &out)
	return out.InvitationAccept.Session, err
}

func newSeeder(o Options, admin *Client) *seeder {
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	return &seeder{o: o, world: o.outside(), admin: admin, clients: map[string]*Client{Email: admin}}
}

// look reads what is there already.
func (s *seeder) look(ctx context.Context) error {
	s.roles, s.branches, s.users, s.invited = map[string]string{}, map[string]string{}, map[string]string{}, map[string]bool{}
	s.devices, s.numbers, s.disabled = map[string]string{}, map[string]string{}, map[string]bool{}
	s.contacts, s.campaigns, s.records, s.statuses = map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}
	s.templates, s.automations, s.bulks = map[string]string{}, map[string]bool{}, map[string]bool{}
	type named struct{ ID, Name, Title, Status string }
	var out struct {
		Roles    []struct{ ID, BuiltIn string }
		Branches struct{ Nodes []named }
		Users    struct {
			Nodes []struct{ ID, Email, Status string }
		}
		Devices struct {
			Nodes []struct {
				ID, Name  string
				RemovedAt *time.Time
				User      struct{ Email string }
			}
		}
		TwilioConnections struct {
			Nodes []struct {
				ID, AccountSid string
				DisconnectedAt *time.Time
			}
		}
		PhoneNumbers struct {
			Nodes []struct {
				ID, E164             string
				IsEnabled, IsDefault bool
				Branch               *named
			}
		}
		Contacts         struct{ Nodes []named }
		Campaigns        struct{ Nodes []named }
		Records          struct{ Nodes []named }
		Calls            struct{ TotalCount int }
		MessageTemplates struct{ Nodes []named }
		Automations      struct{ Nodes []named }
		BulkMessages     struct{ Nodes []named }
	}
	err := s.admin.Do(ctx, `{
		roles { id builtIn }
		branches(first: 100) { nodes { id name } }
		users(first: 100) { nodes { id email status } }
		devices(first: 100) { nodes { id name removedAt user { email } } }
		twilioConnections(first: 10) { nodes { id accountSid disconnectedAt } }
		phoneNumbers(first: 100) { nodes { id e164 isEnabled isDefault branch { id } } }
		contacts(first: 100) { nodes { id name } }
		campaigns(first: 100) { nodes { id name } }
		records(first: 100) { nodes { id title status } }
		calls(first: 1) { totalCount }
		messageTemplates(first: 100) { nodes { id name } }
		automations(first: 100) { nodes { id name } }
		bulkMessages(first: 100) { nodes { id name } }
	}`, nil, &out)
	if err != nil {
		return err
	}
	for _, r := range out.Roles {
		s.roles[r.BuiltIn] = r.ID
	}
	for _, b := range out.Branches.Nodes {
		s.branches[b.Name] = b.ID
	}
	for _, u := range out.Users.Nodes {
		s.users[u.Email] = u.ID
		s.invited[u.Email] = u.Status == "INVITED"
	}
	for _, d := range out.Devices.Nodes {
		if d.RemovedAt == nil {
			s.devices[d.User.Email+"/"+d.Name] = d.ID
		}
	}
	for _, c := range out.TwilioConnections.Nodes {
		if c.AccountSid == AccountSID && c.DisconnectedAt == nil {
			s.connection = c.ID
		}
	}
	for _, n := range out.PhoneNumbers.Nodes {
		s.numbers[n.E164] = n.ID
		s.disabled[n.E164] = !n.IsEnabled || n.Branch == nil
		s.hasDefault = s.hasDefault || n.IsDefault && n.Branch != nil
	}
	for _, x := range out.Contacts.Nodes {
		s.contacts[x.Name] = x.ID
	}
	for _, x := range out.Campaigns.Nodes {
		s.campaigns[x.Name] = x.ID
	}
	for _, x := range out.Records.Nodes {
		s.records[x.Title], s.statuses[x.Title] = x.ID, x.Status
	}
	for _, x := range out.MessageTemplates.Nodes {
		s.templates[x.Name] = x.ID
	}
	for _, x := range out.Automations.Nodes {
		s.automations[x.Name] = true
	}
	for _, x := range out.BulkMessages.Nodes {
		s.bulks[x.Name] = true
	}
	s.calls = out.Calls.TotalCount
	return nil
}

// furnish makes what is missing. What does not wait for one another runs side by side.
func (s *seeder) furnish(ctx context.Context) error {
	s.o.progress("furnishing the demo organization")
	if err := s.account(); err != nil {
		return err
	}
	// A failure does not stop the others: an invitation that was given and not
	// accepted could not be accepted by a later run.
	var first, second errgroup.Group
	first.Go(func() error { return s.organization(ctx) })
	first.Go(func() error { return inOrder(ctx, s.places, s.staff) })
	first.Go(func() error { return s.connect(ctx) })
	if err := first.Wait(); err != nil {
		return err
	}
	for _, l := range lines {
		second.Go(func() error { return s.line(ctx, l) })
	}
	second.Go(func() error { return s.gadgets(ctx) })
	second.Go(func() error { return inOrder(ctx, s.outsiders, s.jobs) })
	second.Go(func() error { return inOrder(ctx, s.wording, s.rules) })
	second.Go(func() error { return s.spoken(ctx) })
	if err := second.Wait(); err != nil {
		return err
	}
	if s.world.held() {
		s.o.progress("living through a day of calls and messages")
		if err := s.history(ctx); err != nil {
			return fmt.Errorf("the demo's history: %w", err)
		}
	}
	return s.campaign(ctx) // the last: a demo that has it is complete
}

// inOrder does one after the other, as far as it goes.
func inOrder(ctx context.Context, list ...func(context.Context) error) error {
	for _, do := range list {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// info describes the demo with fresh tokens.
func (s *seeder) info(ctx context.Context) (Info, error) {
	if p, ok := s.o.Clock.(*Past); ok {
		p.Release()
	}
	if err := s.admin.Refresh(ctx); err != nil {
		return Info{}, err
	}
	info, err := s.admin.describe(ctx)
	info.Password, info.EmulatorURL, info.PrivateURL = Password, s.o.EmulatorURL, s.o.PrivateURL
	return info, err
}

func (s *seeder) person(email string) person {
	i := slices.IndexFunc(people, func(p person) bool { return p.email == email })
	return people[i]
}

// create runs a mutation that makes something, and returns its id. The payload's
// field is the noun.
func (c *Client) create(ctx context.Context, mutation, noun, inputType string, input Vars) (id string, err error) {
	var out map[string]map[string]json.RawMessage
	err = c.Do(ctx, "mutation($input: "+inputType+"!) { "+mutation+"(input: $input) { "+noun+" { id } userErrors { code field message } } }", Vars{"input": input}, &out)
	if err != nil {
		return "", err
	}
	var made struct{ ID string }
	err = json.Unmarshal(out[mutation][noun], &made)
	return made.ID, err
}

// change runs a mutation that changes something.
func (c *Client) change(ctx context.Context, mutation, noun, inputType, id string, input Vars) error {
	return c.Do(ctx, "mutation($id: ID!, $input: "+inputType+"!) { "+mutation+"(id: $id, input: $input) { "+noun+" { id } userErrors { code field message } } }",
		Vars{"id": id, "input": input}, nil)
}

// reconnect lets the devices register again, as they do after Twilio lost sight of
// them, and mends the addresses of numbers after a start on another port.
func (s *seeder) reconnect(ctx context.Context) error {
	if s.connection == "" {
		return nil // the demo's account was disconnected: nothing to register at
	}
	if err := s.account(); err != nil { // the emulator may have forgotten
		return err
	}
	known := s.o.Emulator.Clients(AccountSID)
	for _, id := range s.devices {
		if known[id] > 0 {
			continue
		}
		if err := s.o.Emulator.RegisterClient(AccountSID, id); err != nil {
			return err
		}
	}
	info, err := s.admin.describe(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range info.Numbers {
		at, ok := s.o.Emulator.Number(n.E164)
		if !ok || s.disabled[n.E164] || n.VoiceURL == "" || at.VoiceURL == n.VoiceURL && at.SMSURL == n.MessageURL && at.StatusCallback == n.StatusURL {
			continue
		}
		g.Go(func() error {
			return s.admin.Do(ctx, `mutation($id: ID!) { phoneNumberWebhooksWrite(id: $id) { phoneNumber { id } userErrors { code field message } } }`, Vars{"id": n.ID}, nil)
		})
	}
	return g.Wait()
}
