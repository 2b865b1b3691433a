// Package demo is the demo organization of `dev` and the checklist that shows it
// works. It is a client like any other: it speaks GraphQL, and it plays the outside
// world through the emulator. It knows no table and no domain of ours, so whatever
// it does a customer's front end can do too.
//
// One invariant: everything made here is found again by what it is called. A second
// run adds what is missing and changes nothing that is there.
package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"switchboard/internal/clock"
	"switchboard/internal/emulator"
)

// The demo's secrets. Everybody knows them: production refuses them.
const (
	Email    = "admin@demo.test"
	Password = "demo-password"
	// OrganizationName is what the demo organization is called.
	OrganizationName = "Harbour Home Services"
)

// The demo's account at the emulated Twilio. The SIDs are recognisable at a glance.
var (
	AccountSID = "AC" + strings.Repeat("de30", 8)
	AuthToken  = strings.Repeat("c0de", 8)
)

// Options say where the demo finds what it works with.
type Options struct {
	// GraphQLURL is the address of /graphql.
	GraphQLURL string
	// Emulator is the Twilio of the demo. It is running.
	Emulator *emulator.Emulator
	// Clock is the clock that server and emulator share; nil is the machine's. With a
	// *Past or a clock.Fake Seed moves it to make history.
	Clock clock.Clock
	// InvitationToken invites admin@demo.test; needed on an empty database only.
	InvitationToken string
	// EmulatorURL and PrivateURL are passed on in Info.
	EmulatorURL, PrivateURL string
	// Patience is the longest that anything is waited for, in the machine's time; 0 is
	// half a minute.
	Patience time.Duration
	// Progress is told in a few words what is being done; nil is nobody.
	Progress func(string)
}

func (o Options) progress(format string, args ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, args...))
	}
}

// Info is what a newcomer or a script needs to go on. Its JSON is one line of `dev --json`.
type Info struct {
	GraphQLURL     string   `json:"graphqlUrl"`
	EmulatorURL    string   `json:"emulatorUrl"`
	PrivateURL     string   `json:"privateUrl"`
	Email          string   `json:"email"`
	Password       string   `json:"password"`
	AccessToken    string   `json:"accessToken"`
	OrganizationID string   `json:"organizationId"`
	AccountSID     string   `json:"accountSid"`
	AuthToken      string   `json:"authToken"`
	Numbers        []Number `json:"numbers"`
}

// Number is one number of the demo with the addresses that Twilio is told to call.
type Number struct {
	ID         string `json:"id"`
	E164       string `json:"e164"`
	VoiceURL   string `json:"voiceUrl"`
	MessageURL string `json:"messageUrl"`
	StatusURL  string `json:"statusUrl"`
}

// SignIn opens a session and returns a client that carries its access token.
func SignIn(ctx context.Context, url, email, password string) (*Client, error) {
	c := NewClient(url, "")
	if err := c.signIn(ctx, email, password); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Client) signIn(ctx context.Context, email, password string) error {
	var out struct{ SessionCreate struct{ Session Session } }
	err := c.Do(ctx, `mutation($input: SessionCreateInput!) {
		sessionCreate(input: $input) { session { accessToken refreshToken expiresAt } userErrors { code field message } }
	}`, Vars{"input": Vars{"email": email, "password": password}}, &out)
	if err != nil {
		return err
	}
	c.use(out.SessionCreate.Session)
	return nil
}

// Describe tells what the organization of a token consists of, as Info. The caller
// fills in the addresses and the password.
func Describe(ctx context.Context, url, token string) (Info, error) {
	c := NewClient(url, token)
	defer c.Close()
	return c.describe(ctx)
}

func (c *Client) describe(ctx context.Context) (Info, error) {
	var out struct {
		Viewer struct {
			User         *struct{ Email string }
			Organization struct{ ID string }
		}
		TwilioConnections struct {
			Nodes []struct {
				AccountSid     string
				DisconnectedAt *string
			}
		}
		PhoneNumbers struct {
			Nodes []struct {
				ID, E164 string
				Webhooks *struct{ VoiceURL, MessageURL, StatusURL string }
			}
		}
	}
	err := c.Do(ctx, `{
		viewer { user { email } organization { id } }
		twilioConnections(first: 100) { nodes { accountSid disconnectedAt } }
		phoneNumbers(first: 100) { nodes { id e164 webhooks { voiceUrl messageUrl statusUrl } } }
	}`, nil, &out)
	if err != nil {
		return Info{}, err
	}
	info := Info{GraphQLURL: c.URL, AccessToken: c.Token(), OrganizationID: out.Viewer.Organization.ID, Numbers: []Number{}}
	if u := out.Viewer.User; u != nil {
		info.Email = u.Email
	}
	for _, t := range out.TwilioConnections.Nodes {
		if t.DisconnectedAt == nil {
			info.AccountSID = t.AccountSid
		}
	}
	if info.AccountSID == AccountSID {
		info.AuthToken = AuthToken
	}
	for _, n := range out.PhoneNumbers.Nodes {
		x := Number{ID: n.ID, E164: n.E164}
		if w := n.Webhooks; w != nil {
			x.VoiceURL, x.MessageURL, x.StatusURL = w.VoiceURL, w.MessageURL, w.StatusURL
		}
		info.Numbers = append(info.Numbers, x)
	}
	slices.SortStableFunc(info.Numbers, func(a, b Number) int { return rank(a.E164) - rank(b.E164) })
	return info, nil
}

// rank puts the demo's own numbers first, in their order.
func rank(e164 string) int {
	if i := slices.IndexFunc(lines, func(l line) bool { return l.e164 == e164 }); i >= 0 {
		return i
	}
	return len(lines)
}

// errFolder is the advice when the demo cannot be mended from outside.
func errFolder(why string, err error) error {
	return fmt.Errorf("the demo cannot go on: %s; delete the data folder and start again: %w", why, err)
}

// join is errors.Join that keeps a single error as it is.
func join(list ...error) error {
	var found []error
	for _, err := range list {
		if err != nil {
			found = append(found, err)
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	return errors.Join(found...)
}
