package number

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"database/sql"
	"errors"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/twilio"
)

// Kinds of secret in the table twilio_secret.
const (
	authToken         = "AUTH_TOKEN"
	previousAuthToken = "PREVIOUS_AUTH_TOKEN"
	apiKeySecret      = "API_KEY_SECRET"
	accessKey         = "ACCESS_KEY"
)

const (
	// accountLife is how long this node may not notice a change that another made.
	accountLife  = 5 * time.Second
	maxAccounts  = 4096
	maxStrangers = 256
	// rotationLife is how long the earlier auth token stays valid after a new one.
	rotationLife = 24 * time.Hour
)

// column is the associated data of a secret: it opens for one kind of one
// connection of one organization.
func column(connection id.ID, kind string) string {
	return "twilio_secret " + connection.String() + " " + kind
}

func (s *Service) seal(ctx context.Context, tx *db.Tx, org, connection id.ID, kind, plain string) error {
	sealed, err := s.keys.Seal([]byte(plain), org.String(), column(connection, kind))
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, tx, `
		INSERT INTO twilio_secret (organization_id, connection_id, kind, sealed, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (organization_id, connection_id, kind) DO UPDATE SET sealed = excluded.sealed, created_at = excluded.created_at`,
		org, connection, kind, sealed, tx.Now)
	return err
}

func (s *Service) unseal(ctx context.Context, q bun.IDB, org, connection id.ID) (map[string]string, error) {
	var rows []struct {
		Kind   string `bun:"kind"`
		Sealed []byte `bun:"sealed"`
	}
	err := db.Select(ctx, q, &rows, `SELECT kind, sealed FROM twilio_secret WHERE organization_id = $1 AND connection_id = $2`, org, connection)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(rows))
	for _, r := range rows {
		plain, err := s.keys.Open(r.Sealed, org.String(), column(connection, r.Kind))
		if err != nil {
			return nil, err
		}
		out[r.Kind] = string(plain)
	}
	return out, nil
}

// newAccessKey is the secret in our webhook addresses (R017): 130 random bits that a URL takes as they are.
func newAccessKey() string { return rand.Text() }

// account is what is kept in memory of a connection: enough to verify a webhook
// and to speak to Twilio without asking the database.
type account struct {
	org, connection id.ID
	sid             string
	token, former   string
	formerUntil     time.Time
	accessKey       string
	client          *twilio.Client
	until           time.Time
	missing         bool
}

// changeCount lets a change in this process win over a load that began before it.
type changeCount struct{ n atomic.Int64 }

// forget drops what is in memory after the transaction has committed.
func (s *Service) forget(tx *db.Tx, connection id.ID) {
	tx.AfterCommit(func() {
		s.changes.n.Add(1)
		s.accounts.Remove(connection)
	})
}

// accountOf is the connection's account, whatever the tenant of the context: the
// caller checks that, or that a signature proves it. errs.NotFound for a
// connection that does not exist or is disconnected.
func (s *Service) accountOf(ctx context.Context, connection id.ID) (*account, error) {
	a, ok := s.accounts.Get(connection)
	if !ok {
		a, ok = s.strangers.Get(connection)
	}
	if !ok || !s.clock.Now().Before(a.until) {
		// One load for all who ask at once; it does not end with the one who came
		// first, and nobody joins one that began before a change.
		v, err, _ := s.loading.Do(connection.String()+strconv.FormatInt(s.changes.n.Load(), 36), func() (any, error) {
			return s.load(context.WithoutCancel(ctx), connection, a)
		})
		if err != nil {
			return nil, err
		}
		a = v.(*account)
	}
	if a.missing {
		return nil, errs.New(errs.NotFound, "there is no such connection")
	}
	return a, nil
}

func (s *Service) load(ctx context.Context, connection id.ID, former *account) (*account, error) {
	before := s.changes.n.Load()
	a := &account{connection: connection, missing: true, until: s.clock.Now().Add(accountLife)}
	var found struct {
		OrganizationID id.ID `bun:"organization_id"`
	}
	err := db.Select(ctx, s.db.App(), &found, `SELECT organization_id FROM find_connection($1)`, connection)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return nil, err
	default:
		a.org = found.OrganizationID
		ctx = db.WithTenant(ctx, a.org)
		c, err := connectionByID(ctx, s.db.App(), a.org, connection)
		if err != nil {
			return nil, err
		}
		secrets, err := s.unseal(ctx, s.db.App(), a.org, connection)
		if err != nil {
			return nil, err
		}
		a.fill(c, secrets)
		if !a.missing {
			if err := s.connect(a, former); err != nil {
				return nil, err
			}
		}
	}
	if s.changes.n.Load() == before {
		if a.org.IsZero() { // made-up ids must not push out the accounts that posts come from
			s.strangers.Add(connection, a)
		} else {
			s.accounts.Add(connection, a)
		}
	}
	return a, nil
}

func (a *account) fill(c *Connection, secrets map[string]string) {
	a.sid, a.token, a.former, a.accessKey = c.AccountSid, secrets[authToken], secrets[previousAuthToken], secrets[accessKey]
	if c.RotationEndsAt != nil {
		a.formerUntil = *c.RotationEndsAt
	}
	a.missing = c.DisconnectedAt != nil || a.token == "" || a.accessKey == ""
}

// connect gives the account its client, the former one when nothing changed.
func (s *Service) connect(a, former *account) (err error) {
	if former != nil && former.client != nil && former.sid == a.sid && same(former.token, a.token) {
		a.client = former.client
		return nil
	}
	a.client, err = s.client(a.sid, a.token)
	return err
}

func (s *Service) client(accountSID, token string) (*twilio.Client, error) {
	return twilio.NewClient(twilio.Options{AccountSID: accountSID, AuthToken: token, Transport: s.twilio})
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Auth is what is needed to believe a post of Twilio's (R017, D28).
type Auth struct {
	Organization id.ID
	AccountSID   string
	Tokens       []string // the present one, and the former during a rotation
	AccessKeyOK  func(key string) bool
}

// WebhookAuth is how posts of a connection are verified. It asks the database at
// most every five seconds and notices changes in this process at once. Code:
// errs.NotFound when the connection does not exist or is disconnected.
func (s *Service) WebhookAuth(ctx context.Context, connection id.ID) (Auth, error) {
	a, err := s.accountOf(ctx, connection)
	if err != nil {
		return Auth{}, err
	}
	tokens := []string{a.token}
	if a.former != "" && s.clock.Now().Before(a.formerUntil) {
		tokens = append(tokens, a.former)
	}
	key := a.accessKey
	return Auth{Organization: a.org, AccountSID: a.sid, Tokens: tokens, AccessKeyOK: func(k string) bool { return same(k, key) }}, nil
}

// Credentials is the client of a connection of the context's tenant. Code: errs.NotFound.
func (s *Service) Credentials(ctx context.Context, connection id.ID) (*twilio.Client, error) {
	a, err := s.ownAccount(ctx, connection)
	if err != nil {
		return nil, err
	}
	return a.client, nil
}

func (s *Service) ownAccount(ctx context.Context, connection id.ID) (*account, error) {
	a, err := s.accountOf(ctx, connection)
	if err != nil {
		return nil, err
	}
	if a.org != db.TenantFrom(ctx) {
		return nil, errs.New(errs.NotFound, "there is no such connection")
	}
	return a, nil
}

// Hooks are the addresses that Twilio is given for one connection. They hold its
// access key: they go to Twilio, and to administrators as a number's webhooks.
type Hooks struct {
	base *url.URL
	path string // /twilio/{connection}/{accessKey}/
}

// Hooks are the addresses of a connection of the context's tenant. Code: errs.NotFound.
func (s *Service) Hooks(ctx context.Context, connection id.ID) (Hooks, error) {
	a, err := s.ownAccount(ctx, connection)
	if err != nil {
		return Hooks{}, err
	}
	return s.hooksOf(connection, a.accessKey), nil
}

func (s *Service) hooksOf(connection id.ID, key string) Hooks {
	return Hooks{base: s.base, path: "/twilio/" + connection.String() + "/" + key + "/"}
}

// TwiML is where Twilio asks what to do.
func (h Hooks) TwiML(path string, query url.Values) string {
	return twilio.TwiMLURL(h.base, h.path+path, query)
}

// Callback is where Twilio tells what happened.
func (h Hooks) Callback(path string, query url.Values) string {
	return twilio.CallbackURL(h.base, h.path+path, query)
}
