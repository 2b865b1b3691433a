package number

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/phone"
	"switchboard/internal/twilio"
)

// importBatch is how many numbers are taken in by one transaction, with one
// step of the progress.
const importBatch = 50

// ImportNumbers has all numbers of the account imported in the background
// (R012). While an import runs it is that one. Codes: errs.Forbidden,
// errs.NotFound, errs.Conflict.
func (s *Service) ImportNumbers(ctx context.Context, who access.Actor, connection id.ID) (*Connection, error) {
	if err := who.Require(access.ConnectionManage); err != nil {
		return nil, err
	}
	return s.startImport(db.WithTenant(ctx, who.OrganizationID), who, connection)
}

func (s *Service) startImport(ctx context.Context, who access.Actor, connection id.ID) (c *Connection, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if c, err = lockConnection(ctx, tx, who.OrganizationID, connection); err != nil {
			return err
		}
		switch {
		case c.DisconnectedAt != nil:
			return errs.New(errs.Conflict, "this account is disconnected; connect it again first")
		case c.ImportStatus == ImportRunning:
			return nil
		}
		c.ImportStatus, c.ImportDone, c.ImportTotal, c.ImportError = ImportRunning, 0, 0, nil
		if err := c.save(ctx, tx); err != nil {
			return err
		}
		if err := job.Insert(ctx, tx, importArgs{Organization: c.OrganizationID, Connection: c.ID}); err != nil {
			return err
		}
		return told(ctx, tx, who, ConnectionUpdated, "connection.import", c.ID, nil)
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

type importArgs struct {
	Organization id.ID `json:"organization"`
	Connection   id.ID `json:"connection"`
}

// Kind names the job.
func (importArgs) Kind() string { return "number.import" }

// Tenant is the job's organization.
func (a importArgs) Tenant() id.ID { return a.Organization }

// InsertOpts puts it where masses of work do not hold up the rest.
func (importArgs) InsertOpts() job.Options { return job.Options{Queue: job.Bulk, MaxAttempts: 6} }

// Timeout bounds one attempt.
func (importArgs) Timeout() time.Duration { return 15 * time.Minute }

func isGone(err error) bool { return errs.IsCode(err, errs.NotFound) }

// giveUp makes a refused auth token the end of a job: to try again would not help.
func (s *Service) giveUp(ctx context.Context, connection id.ID, err error) error {
	if !twilio.Unauthorized(err) {
		return err
	}
	s.logger.WarnContext(ctx, "Twilio refuses a connection's auth token", slog.String("connection_id", connection.String()))
	return job.Cancel(err)
}

// runImport reads all numbers and takes them in, batch by batch. Killed at any
// point it begins anew and ends the same: what is there already is brought up
// to date and stays as its owner set it.
func (s *Service) runImport(ctx context.Context, args importArgs) error {
	c, err := connectionByID(ctx, s.db.App(), args.Organization, args.Connection)
	if err != nil {
		if isGone(err) {
			return nil
		}
		return err
	}
	if c.DisconnectedAt != nil || c.ImportStatus != ImportRunning {
		return nil
	}
	err = s.importAll(ctx, c)
	if err == nil {
		return nil
	}
	if refused := twilio.Unauthorized(err); refused || job.AttemptFrom(ctx).Last {
		why := inWords(err, "the numbers could not be read; import them again")
		if refused {
			why = "Twilio refuses the auth token of this connection; enter the account's present one"
		}
		if e := s.importFailed(context.WithoutCancel(ctx), args, why); e != nil {
			return e
		}
	}
	return s.giveUp(ctx, args.Connection, err)
}

func (s *Service) importFailed(ctx context.Context, args importArgs, why string) error {
	return s.progress(ctx, args.Organization, args.Connection, func(ctx context.Context, tx *db.Tx, c *Connection) error {
		c.ImportStatus, c.ImportError, c.ImportedAt = ImportFailed, &why, moment(tx.Now)
		return nil
	})
}

// progress changes the connection's row and tells whoever watches it. It does
// nothing when the import is no longer wanted.
func (s *Service) progress(ctx context.Context, org, connection id.ID, change func(ctx context.Context, tx *db.Tx, c *Connection) error) error {
	return s.db.InTx(db.WithTenant(ctx, org), func(ctx context.Context, tx *db.Tx) error {
		c, err := lockConnection(ctx, tx, org, connection)
		if err != nil {
			return err
		}
		if c.DisconnectedAt != nil || c.ImportStatus != ImportRunning {
			return job.Cancel(errs.New(errs.Conflict, "the import is not wanted any more"))
		}
		if err := change(ctx, tx, c); err != nil {
			return err
		}
		if err := c.save(ctx, tx); err != nil {
			return err
		}
		return told(ctx, tx, access.System(org), ConnectionUpdated, "", c.ID, nil)
	})
}

func (s *Service) importAll(ctx context.Context, c *Connection) error {
	a, err := s.accountOf(ctx, c.ID)
	if err != nil {
		return err
	}
	owner, err := a.client.FetchAccount(ctx)
	if err != nil {
		return err
	}
	hint, err := s.defaultCountry(ctx, s.db.App(), c.OrganizationID, c.ID)
	if err != nil {
		return err
	}
	var all []twilio.PhoneNumber
	seen := map[string]bool{}
	err = a.client.ListNumbers(ctx, func(some []twilio.PhoneNumber) error {
		for _, n := range some {
			// Short codes and the like are not numbers of ours; a page that moved while it was read shows some twice.
			if _, ok := phone.FromWire(n.E164); ok && !seen[n.SID] {
				seen[n.SID] = true
				all = append(all, n)
			}
		}
		return s.progress(ctx, c.OrganizationID, c.ID, func(_ context.Context, _ *db.Tx, c *Connection) error {
			c.ImportDone, c.ImportTotal = 0, len(all)
			return nil
		})
	})
	if err != nil {
		return err
	}
	for i := 0; i < len(all); i += importBatch {
		batch := all[i:min(i+importBatch, len(all))]
		err := s.progress(ctx, c.OrganizationID, c.ID, func(ctx context.Context, tx *db.Tx, c *Connection) error {
			changed, err := s.takeIn(ctx, tx, c, batch, hint)
			if err != nil {
				return err
			}
			c.ImportDone = i + len(batch)
			for _, n := range changed {
				if err := told(ctx, tx, access.System(c.OrganizationID), NumberUpdated, "", n, nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.progress(ctx, c.OrganizationID, c.ID, func(ctx context.Context, tx *db.Tx, c *Connection) error {
		c.AccountType, c.AccountStatus = typeOf(owner), owner.Status
		c.ImportStatus, c.ImportDone, c.ImportTotal, c.ImportError, c.ImportedAt = ImportDone, len(all), len(all), nil, moment(tx.Now)
		return s.checkMessaging(ctx, tx, []found{{Organization: c.OrganizationID, Connection: c.ID}})
	})
}

// takeIn adds numbers of the account, disabled until somebody enables them
// (D18), and brings those that are there up to date with what Twilio says of
// them. What people set stays. A disconnected one comes back as the same row. A
// number that another connection holds is left there. It returns what changed.
func (s *Service) takeIn(ctx context.Context, tx *db.Tx, c *Connection, remote []twilio.PhoneNumber, hint string) ([]id.ID, error) {
	var (
		ids                       []id.ID
		sids, numbers, names      []string
		countries, trunks         []string
		voice, messages, pictures []bool
	)
	for _, r := range remote {
		name := strings.TrimSpace(strings.ToValidUTF8(strings.ReplaceAll(r.Name, "\x00", ""), ""))
		if name == "" {
			name = r.E164
		}
		if runes := []rune(name); len(runes) > maxName {
			name = string(runes[:maxName])
		}
		ids = append(ids, id.New(id.PhoneNumber))
		sids, numbers, names = append(sids, r.SID), append(numbers, r.E164), append(names, name)
		countries, trunks = append(countries, phone.Country(phone.E164(r.E164), hint)), append(trunks, r.Settings.TrunkSID)
		voice, messages, pictures = append(voice, r.Voice), append(messages, r.SMS), append(pictures, r.MMS)
	}
	// A number that was released and bought again has a new SID and none of our addresses.
	_, err := db.Exec(ctx, tx, `
		UPDATE phone_number n SET twilio_sid = g.sid, is_enabled = false, previous_webhooks = NULL, written_webhooks = NULL, drift = NULL,
			messaging_service_sid = NULL, a2p_status = NULL, toll_free_status = NULL, service_inbound_url = NULL, service_uses_number = NULL, messaging_checked_at = NULL,
			version = version + 1, updated_at = $5
		FROM unnest($3::text[], $4::text[]) AS g(sid, e164)
		WHERE n.organization_id = $1 AND n.connection_id = $2 AND n.e164 = g.e164 AND n.disconnected_at IS NULL AND n.twilio_sid <> g.sid
			AND NOT EXISTS (SELECT FROM phone_number o WHERE o.organization_id = $1 AND o.connection_id = $2 AND o.twilio_sid = g.sid)
			AND NOT n.twilio_sid = ANY ($3::text[])`,
		c.OrganizationID, c.ID, sids, numbers, tx.Now)
	if err != nil {
		return nil, err
	}
	var changed []struct {
		ID id.ID `bun:"id"`
	}
	err = db.Select(ctx, tx, &changed, `
		INSERT INTO phone_number AS n (organization_id, id, connection_id, twilio_sid, e164, name, country, can_voice, can_sms, can_mms,
			trunk_sid, created_at, updated_at)
		SELECT $1, g.id, $2, g.sid, g.e164, g.name, g.country, g.voice, g.sms, g.mms, NULLIF(g.trunk, ''), $12, $12
		FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bool[], $9::bool[], $10::bool[], $11::text[])
			AS g(id, sid, e164, name, country, voice, sms, mms, trunk)
		WHERE NOT EXISTS (
			SELECT FROM phone_number o
			WHERE o.organization_id = $1 AND o.e164 = g.e164 AND o.disconnected_at IS NULL AND (o.connection_id <> $2 OR o.twilio_sid <> g.sid))
		ON CONFLICT (organization_id, connection_id, twilio_sid) DO UPDATE
		SET can_voice = excluded.can_voice, can_sms = excluded.can_sms, can_mms = excluded.can_mms, trunk_sid = excluded.trunk_sid,
			is_enabled = n.is_enabled AND n.disconnected_at IS NULL, disconnected_at = NULL, version = n.version + 1, updated_at = $12
		WHERE (n.can_voice, n.can_sms, n.can_mms, n.trunk_sid, n.disconnected_at)
			IS DISTINCT FROM (excluded.can_voice, excluded.can_sms, excluded.can_mms, excluded.trunk_sid, NULL)
		RETURNING n.id`,
		c.OrganizationID, c.ID, ids, sids, numbers, names, countries, voice, messages, pictures, trunks, tx.Now)
	if err != nil {
		return nil, err
	}
	out := make([]id.ID, len(changed))
	for i, x := range changed {
		out[i] = x.ID
	}
	return out, nil
}
