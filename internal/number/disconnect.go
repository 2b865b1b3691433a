package number

import (
	"context"
	"log/slog"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/twilio"
)

// parallel is how many numbers of an account are written at a time: Twilio
// answers more with 429.
const parallel = 5

const (
	stillCosts    = "nothing was released at Twilio: the numbers stay yours there and go on costing until you release them in the Twilio Console (R014)"
	oneStillCosts = "the number was not released at Twilio: it stays yours there and goes on costing until you release it in the Twilio Console (R014)"
	notGivenBack  = "; Twilio refuses the auth token, so its settings could not be given back: look at them in the Twilio Console"
)

// DisconnectConnection ends the use of an account. Every number's earlier
// webhooks are restored where ours still stand, and our key and App are
// deleted; nothing is released at Twilio (R014), which the notice says. When
// Twilio does not answer, the connection stays and the same call goes on later.
// Codes: errs.Forbidden, errs.NotFound, errs.ProviderUnavailable.
func (s *Service) DisconnectConnection(ctx context.Context, who access.Actor, connection id.ID) (c *Connection, notice string, err error) {
	if err := who.Require(access.ConnectionManage); err != nil {
		return nil, "", err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	if c, err = connectionByID(ctx, s.db.App(), who.OrganizationID, connection); err != nil {
		return nil, "", err
	}
	if c.DisconnectedAt != nil {
		return c, stillCosts, nil
	}
	a, err := s.accountOf(ctx, connection)
	if err != nil {
		return nil, "", err
	}
	var numbers []*PhoneNumber
	err = db.Select(ctx, s.db.App(), &numbers, selectNumber+`
		WHERE n.organization_id = $1 AND n.connection_id = $2 AND n.disconnected_at IS NULL AND n.written_webhooks IS NOT NULL`, a.org, connection)
	if err != nil {
		return nil, "", err
	}
	refused, err := s.giveAllBack(ctx, a.client, numbers)
	if err != nil {
		return nil, "", err
	}
	if !refused {
		if refused, err = s.giveServicesBack(ctx, a, ""); err != nil {
			return nil, "", err
		}
	}
	if !refused {
		if refused, err = s.removeOurs(ctx, c, a); err != nil {
			return nil, "", err
		}
	}
	notice = stillCosts
	if refused {
		notice += notGivenBack
		s.logger.WarnContext(ctx, "disconnected an account whose auth token Twilio refuses", slog.String("connection_id", connection.String()))
	}
	err = s.db.InTx(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
		if c, err = lockConnection(ctx, tx, a.org, connection); err != nil || c.DisconnectedAt != nil {
			return err
		}
		return s.end(ctx, tx, who, c, refused)
	})
	if err != nil {
		return nil, "", err
	}
	return c, notice, nil
}

// giveAllBack restores the numbers, a few at a time. refused: the token is not valid any more.
func (s *Service) giveAllBack(ctx context.Context, client *twilio.Client, numbers []*PhoneNumber) (refused bool, err error) {
	var no atomic.Bool
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, n := range numbers {
		g.Go(func() error {
			err := s.giveBack(ctx, client, n)
			if twilio.Unauthorized(err) {
				no.Store(true)
				return nil
			}
			return err
		})
	}
	err = g.Wait()
	return no.Load(), err
}

// removeOurs deletes what we made in the account, and gives its SIP domains back.
func (s *Service) removeOurs(ctx context.Context, c *Connection, a *account) (refused bool, err error) {
	err = s.giveSIPBack(ctx, c, a)
	if err == nil {
		err = s.removePush(ctx, c, a.client)
	}
	if err == nil && c.ApplicationSid != nil {
		err = a.client.DeleteApplication(ctx, *c.ApplicationSid)
	}
	if err == nil && c.APIKeySid != nil {
		err = a.client.DeleteKey(ctx, *c.APIKeySid)
	}
	if twilio.Unauthorized(err) {
		return true, nil
	}
	return false, err
}

// end marks the connection and its numbers as disconnected and forgets its secrets.
func (s *Service) end(ctx context.Context, tx *db.Tx, who access.Actor, c *Connection, refused bool) error {
	var ended []struct {
		ID id.ID `bun:"id"`
	}
	err := db.Select(ctx, tx, &ended, `
		UPDATE phone_number SET disconnected_at = $3, is_enabled = false, is_default = false, assigned_user_id = NULL,
			written_webhooks = NULL, previous_webhooks = CASE WHEN $4 THEN previous_webhooks END, drift = NULL,
			messaging_service_sid = NULL, a2p_status = NULL, toll_free_status = NULL, service_inbound_url = NULL, service_uses_number = NULL, messaging_checked_at = NULL,
			version = version + 1, updated_at = $3
		WHERE organization_id = $1 AND connection_id = $2 AND disconnected_at IS NULL RETURNING id`, c.OrganizationID, c.ID, tx.Now, refused)
	if err != nil {
		return err
	}
	if !refused {
		if _, err := db.Exec(ctx, tx, `DELETE FROM messaging_takeover WHERE organization_id = $1 AND connection_id = $2`, c.OrganizationID, c.ID); err != nil {
			return err
		}
	}
	if _, err := db.Exec(ctx, tx, `DELETE FROM connection_country WHERE organization_id = $1 AND connection_id = $2`, c.OrganizationID, c.ID); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, tx, `DELETE FROM twilio_secret WHERE organization_id = $1 AND connection_id = $2`, c.OrganizationID, c.ID); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, tx, `DELETE FROM push_credential WHERE organization_id = $1 AND connection_id = $2`, c.OrganizationID, c.ID); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, tx, `UPDATE sip_domain SET is_enabled = false, removed_at = coalesce(removed_at, $3), previous_url = NULL, previous_status = NULL, updated_at = $3
		WHERE organization_id = $1 AND connection_id = $2`, c.OrganizationID, c.ID, tx.Now); err != nil {
		return err
	}
	c.DisconnectedAt, c.IsEnabled, c.APIKeySid, c.ApplicationSid, c.RotationEndsAt = moment(tx.Now), false, nil, nil, nil
	if c.ImportStatus == ImportRunning {
		c.ImportStatus = ImportNone
	}
	if err := c.save(ctx, tx); err != nil {
		return err
	}
	s.forget(tx, c.ID)
	for _, n := range ended {
		if err := told(ctx, tx, who, NumberUpdated, "", n.ID, nil); err != nil {
			return err
		}
	}
	return told(ctx, tx, who, ConnectionUpdated, "connection.disconnect", c.ID, map[string]any{"numbers": len(ended)})
}

// Disconnect ends the use of a number: its earlier webhooks are restored where
// ours still stand. It is not released at Twilio, which the notice says (R014).
// Disconnecting a disconnected number succeeds. Codes: errs.Forbidden,
// errs.NotFound, errs.ProviderUnavailable.
func (s *Service) Disconnect(ctx context.Context, who access.Actor, number id.ID) (n *PhoneNumber, notice string, err error) {
	if err := who.Require(access.NumberManage); err != nil {
		return nil, "", err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	if n, err = numberByID(ctx, s.db.App(), who.OrganizationID, number, ""); err != nil {
		return nil, "", err
	}
	if n.DisconnectedAt != nil {
		return n, oneStillCosts, nil
	}
	a, err := s.accountOf(ctx, n.ConnectionID)
	if err != nil {
		return nil, "", err
	}
	refused, err := s.giveAllBack(ctx, a.client, []*PhoneNumber{n})
	if err != nil {
		return nil, "", err
	}
	service := ""
	if !refused {
		if service, err = s.lastOfService(ctx, n); err != nil {
			return nil, "", err
		}
		if service != "" {
			if refused, err = s.giveServicesBack(ctx, a, service); err != nil {
				return nil, "", err
			}
		}
	}
	notice = oneStillCosts
	if refused {
		notice += notGivenBack
	}
	err = s.db.InTx(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
		if n, err = numberByID(ctx, tx, a.org, number, forUpdate); err != nil || n.DisconnectedAt != nil {
			return err
		}
		n.DisconnectedAt, n.IsEnabled, n.IsDefault, n.AssignedUserID = moment(tx.Now), false, false, id.ID{}
		n.WrittenWebhooks, n.Drift = nil, nil
		n.forgetSender()
		if !refused {
			n.PreviousWebhooks = nil
			if err := dropTakeover(ctx, tx, n, service); err != nil {
				return err
			}
		}
		if err := n.save(ctx, tx); err != nil {
			return err
		}
		return told(ctx, tx, who, NumberUpdated, "number.disconnect", n.ID, nil)
	})
	if err != nil {
		return nil, "", err
	}
	return n, notice, nil
}
