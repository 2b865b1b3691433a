package followup

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/notify"
	"switchboard/internal/secret"
)

const (
	maxSubscriptions = 20 // of one person
	maxPushName      = 100
)

const subscriptionColumns = `p.organization_id, p.id, p.user_id, p.session_id, p.host, p.name, p.last_sent_at, p.created_at, p.updated_at`

// ErrOtherKeyset means that the key of web push was sealed by another keyset.
var ErrOtherKeyset = errors.New("the key of web push was sealed by another keyset")

// WebPushKey is the installation's private key of web push, made at the first start
// and sealed. All nodes get the same. It returns ErrOtherKeyset when it cannot be opened.
func WebPushKey(ctx context.Context, d *db.DB, keys *secret.Keyring) (_ string, err error) {
	defer errs.Wrap(&err, "followup.WebPushKey")
	const org, column = "installation", "web_push_key.sealed"
	fresh, err := notify.NewWebPushKey()
	if err != nil {
		return "", err
	}
	sealed, err := keys.Seal([]byte(fresh), org, column)
	if err != nil {
		return "", err
	}
	if _, err := d.WorkerPool().Exec(ctx, `INSERT INTO system.web_push_key (sealed) VALUES ($1) ON CONFLICT DO NOTHING`, sealed); err != nil {
		return "", db.Translate(err)
	}
	if err := d.WorkerPool().QueryRow(ctx, `SELECT sealed FROM system.web_push_key`).Scan(&sealed); err != nil {
		return "", db.Translate(err)
	}
	plain, err := keys.Open(sealed, org, column)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrOtherKeyset, err)
	}
	return string(plain), nil
}

func browserColumn(x id.ID) string { return "push_subscription.sealed " + x.String() }

// Browser is where a browser takes its pushes.
type Browser = notify.Browser

// Subscribe has the actor notified in a browser. The same endpoint again, also of
// somebody else who used the browser before, is replaced.
func (s *Service) Subscribe(ctx context.Context, who access.Actor, b notify.Browser, name string) (p *PushSubscription, err error) {
	defer errs.Wrap(&err, "followup.Subscribe")
	if err := isTold(who); err != nil {
		return nil, err
	}
	if s.d.WebPush == nil {
		return nil, errs.New(errs.Unsupported, "web push is switched off on this server")
	}
	if part, problem := notify.CheckBrowser(b, blob.Public, s.d.Loopback); problem != "" {
		return nil, errs.New(errs.Invalid, "%s", problem).At(part)
	}
	label, err := words(strings.ReplaceAll(name, "\n", " "), maxPushName, "name")
	if err != nil {
		return nil, err
	}
	p = &PushSubscription{OrganizationID: who.OrganizationID, ID: id.New(id.PushSubscription), UserID: who.UserID, SessionID: who.SessionID, Host: b.Host()}
	if label != nil {
		p.Name = *label
	}
	plain, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(b.Endpoint))
	err = s.d.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		p.CreatedAt = tx.Now
		// One at a time for a person: the count below holds.
		if _, err := tx.Pgx().Exec(ctx, `SELECT FROM "user" WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE`, who.OrganizationID, who.UserID); err != nil {
			return db.Translate(err)
		}
		// Another id: what is on its way to who had it before finds nothing.
		if _, err := tx.Pgx().Exec(ctx, `DELETE FROM push_subscription WHERE organization_id = $1 AND endpoint_hash = $2`, who.OrganizationID, hash[:]); err != nil {
			return db.Translate(err)
		}
		var n int
		if err := tx.Pgx().QueryRow(ctx, `SELECT count(*) FROM push_subscription WHERE organization_id = $1 AND user_id = $2`, who.OrganizationID, who.UserID).Scan(&n); err != nil {
			return db.Translate(err)
		}
		if n >= maxSubscriptions {
			return errs.New(errs.LimitReached, "you are notified in %d browsers already; remove one first", maxSubscriptions)
		}
		sealed, err := s.d.Keys.Seal(plain, who.OrganizationID.String(), browserColumn(p.ID))
		if err != nil {
			return err
		}
		_, err = tx.Pgx().Exec(ctx, `INSERT INTO push_subscription (organization_id, id, user_id, session_id, host, name, endpoint_hash, sealed, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
			ON CONFLICT ON CONSTRAINT push_subscription_endpoint DO NOTHING`,
			who.OrganizationID, p.ID, p.UserID, p.SessionID, p.Host, p.Name, hash[:], sealed, tx.Now)
		return db.Translate(err)
	})
	if err != nil {
		return nil, err
	}
	return s.Subscription(ctx, who, p.ID)
}

// Unsubscribe ends a subscription of the actor's.
func (s *Service) Unsubscribe(ctx context.Context, who access.Actor, x id.ID) (err error) {
	defer errs.Wrap(&err, "followup.Unsubscribe(%s)", x)
	if err := isTold(who); err != nil {
		return err
	}
	n, err := db.Exec(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), `DELETE FROM push_subscription WHERE organization_id = $1 AND id = $2 AND user_id = $3`,
		who.OrganizationID, x, who.UserID)
	if err == nil && n == 0 {
		return errs.New(errs.NotFound, "there is no such subscription of yours").At("id")
	}
	return err
}

// Subscriptions are the browsers that the actor is notified in, newest first.
func (s *Service) Subscriptions(ctx context.Context, who access.Actor) (rows []*PushSubscription, err error) {
	defer errs.Wrap(&err, "followup.Subscriptions")
	if err := isTold(who); err != nil {
		return nil, err
	}
	rows = []*PushSubscription{}
	return rows, db.Select(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), &rows, `SELECT `+subscriptionColumns+` FROM push_subscription p
		WHERE p.organization_id = $1 AND p.user_id = $2 ORDER BY p.created_at DESC, p.id DESC`, who.OrganizationID, who.UserID)
}

// Subscription is one of the actor's own; anything else is errs.NotFound.
func (s *Service) Subscription(ctx context.Context, who access.Actor, x id.ID) (_ *PushSubscription, err error) {
	defer errs.Wrap(&err, "followup.Subscription(%s)", x)
	all, err := s.Subscriptions(ctx, who)
	for _, p := range all {
		if p.ID == x {
			return p, nil
		}
	}
	if err != nil && !errs.IsCode(err, errs.Forbidden) {
		return nil, err
	}
	return nil, errs.New(errs.NotFound, "there is no such subscription of yours")
}

// browser is where to push for a subscription; false when it is gone, or the
// session that made it has ended.
func (s *Service) browser(ctx context.Context, tx *db.Tx, org, x id.ID) (b notify.Browser, ok bool, err error) {
	var sealed []byte
	var ended bool
	err = tx.Pgx().QueryRow(ctx, `SELECT p.sealed, p.session_id IS NOT NULL AND NOT EXISTS (SELECT FROM session s
			WHERE s.organization_id = p.organization_id AND s.id = p.session_id AND s.ended_at IS NULL AND s.expires_at > $3)
		FROM push_subscription p WHERE p.organization_id = $1 AND p.id = $2`, org, x, tx.Now).Scan(&sealed, &ended)
	if errors.Is(err, pgx.ErrNoRows) {
		return b, false, nil
	}
	if err != nil {
		return b, false, db.Translate(err)
	}
	if ended {
		return b, false, dropSubscription(ctx, tx, org, x)
	}
	plain, err := s.d.Keys.Open(sealed, org.String(), browserColumn(x))
	if err != nil {
		return b, false, err
	}
	return b, true, json.Unmarshal(plain, &b)
}

func dropSubscription(ctx context.Context, q bun.IDB, org, x id.ID) error {
	_, err := db.Exec(ctx, q, `DELETE FROM push_subscription WHERE organization_id = $1 AND id = $2`, org, x)
	return err
}
