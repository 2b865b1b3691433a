package number

import (
	"context"
	"slices"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/twilio"
)

// found is a connection that a sweep takes up.
type found struct {
	Organization id.ID `bun:"organization_id"`
	Connection   id.ID `bun:"id"`
}

// endRotations drops the earlier auth tokens whose day is over.
func (s *Service) endRotations(ctx context.Context, now time.Time) error {
	return s.db.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var over []found
		err := db.Select(ctx, tx, &over, `
			UPDATE twilio_connection SET rotation_ends_at = NULL, version = version + 1, updated_at = $1
			WHERE rotation_ends_at <= $1 RETURNING organization_id, id`, now)
		if err != nil {
			return err
		}
		for _, f := range over {
			_, err := db.Exec(ctx, tx, `DELETE FROM twilio_secret WHERE organization_id = $1 AND connection_id = $2 AND kind = $3`,
				f.Organization, f.Connection, previousAuthToken)
			if err != nil {
				return err
			}
			s.forget(tx, f.Connection)
			if err := told(ctx, tx, access.System(f.Organization), ConnectionUpdated, "connection.rotated", f.Connection, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// findUnfinished takes up what a crash or a long silence of Twilio left: a
// connection without its key or App, an import that says it runs and does not.
func (s *Service) findUnfinished(ctx context.Context, now time.Time) error {
	return s.db.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var bare, stuck []found
		// To touch updated_at is the claim: the row is not found again soon.
		err := db.Select(ctx, tx, &bare, `
			UPDATE twilio_connection SET updated_at = $1
			WHERE disconnected_at IS NULL AND (application_sid IS NULL OR api_key_sid IS NULL) AND updated_at <= $2
			RETURNING organization_id, id`, now, now.Add(-repairAfter))
		if err != nil {
			return err
		}
		err = db.Select(ctx, tx, &stuck, `
			UPDATE twilio_connection SET updated_at = $1
			WHERE disconnected_at IS NULL AND import_status = 'RUNNING' AND updated_at <= $2
			RETURNING organization_id, id`, now, now.Add(-2*repairAfter))
		if err != nil {
			return err
		}
		var jobs []job.Args
		for _, f := range bare {
			jobs = append(jobs, setupArgs(f))
		}
		for _, f := range stuck {
			jobs = append(jobs, importArgs(f))
		}
		return job.InsertMany(ctx, tx, jobs...)
	})
}

// findDrift has every connection looked at that was not for some hours: people
// change numbers by hand in the Twilio Console.
func (s *Service) findDrift(ctx context.Context, now time.Time) error {
	return s.db.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var due []found
		err := db.Select(ctx, tx, &due, `
			UPDATE twilio_connection SET checked_at = $1
			WHERE disconnected_at IS NULL AND (checked_at IS NULL OR checked_at <= $2)
			RETURNING organization_id, id`, now, now.Add(-driftEvery))
		if err != nil {
			return err
		}
		jobs := make([]job.Args, 0, len(due))
		for _, f := range due {
			jobs = append(jobs, driftArgs(f))
		}
		return job.InsertMany(ctx, tx, jobs...)
	})
}

type driftArgs struct {
	Organization id.ID `json:"organization"`
	Connection   id.ID `json:"connection"`
}

// Kind names the job.
func (driftArgs) Kind() string { return "number.drift" }

// Tenant is the job's organization.
func (a driftArgs) Tenant() id.ID { return a.Organization }

// InsertOpts puts it behind what people wait for; the next look is hours away anyway.
func (driftArgs) InsertOpts() job.Options { return job.Options{Queue: job.Bulk, MaxAttempts: 4} }

// Timeout bounds one attempt.
func (driftArgs) Timeout() time.Duration { return 5 * time.Minute }

// runDrift compares what Twilio has with what we wrote.
func (s *Service) runDrift(ctx context.Context, args driftArgs) error {
	a, err := s.accountOf(ctx, args.Connection)
	if isGone(err) {
		return nil
	}
	if err == nil {
		err = s.lookAt(ctx, a)
	}
	return s.giveUp(ctx, args.Connection, err)
}

// lookAt is runDrift with what Twilio answers.
func (s *Service) lookAt(ctx context.Context, a *account) error {
	owner, err := a.client.FetchAccount(ctx)
	if err != nil {
		return err
	}
	who := access.System(a.org)
	if err := s.note(ctx, who, a.connection, owner); err != nil || owner.Status != "active" {
		return err // a suspended account shows its numbers to nobody
	}
	remote := map[string]twilio.PhoneNumber{}
	err = a.client.ListNumbers(ctx, func(some []twilio.PhoneNumber) error {
		for _, r := range some {
			remote[r.SID] = r
		}
		return nil
	})
	if err != nil {
		return err
	}
	services, err := s.takenServices(ctx, a)
	if err != nil {
		return err
	}
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var numbers []*PhoneNumber
		err := db.Select(ctx, tx, &numbers, selectNumber+`
			WHERE n.organization_id = $1 AND n.connection_id = $2 AND n.disconnected_at IS NULL ORDER BY n.id`+forUpdate, a.org, a.connection)
		if err != nil {
			return err
		}
		return s.compare(ctx, tx, who, a, numbers, remote, services)
	})
}

// note keeps what Twilio says of the account itself (R019).
func (s *Service) note(ctx context.Context, who access.Actor, connection id.ID, owner twilio.Account) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		c, err := lockConnection(ctx, tx, who.OrganizationID, connection)
		if err != nil {
			return err
		}
		if c.AccountType == typeOf(owner) && c.AccountStatus == owner.Status {
			return nil
		}
		c.AccountType, c.AccountStatus = typeOf(owner), owner.Status
		if err := c.save(ctx, tx); err != nil {
			return err
		}
		return told(ctx, tx, who, ConnectionUpdated, "", c.ID, nil)
	})
}

const lostAtTwilio = "Twilio no longer has this number in the account: it was released or moved there"

// compare brings the numbers in line with what Twilio says. Rows that did not
// change keep their version.
func (s *Service) compare(ctx context.Context, tx *db.Tx, who access.Actor, a *account, numbers []*PhoneNumber, remote map[string]twilio.PhoneNumber, services map[string]twilio.MessagingService) error {
	h := s.hooksOf(a.connection, a.accessKey)
	var seen []id.ID
	for _, n := range numbers {
		r, there := remote[n.TwilioSid]
		var drift []string
		switch {
		case !there:
			drift = []string{lostAtTwilio}
		case n.WrittenWebhooks != nil:
			drift = differences(h.over(r.Settings), r.Settings)
		}
		service, taken := services[of(n.MessagingServiceSid)]
		if taken && there {
			drift = append(drift, h.serviceDifference(service)...)
		}
		changed := !slices.Equal(drift, n.drifted())
		if there && n.learn(r) {
			changed = true
		}
		if taken && n.hearService(service, a.accessKey) {
			changed = true
		}
		if !changed {
			seen = append(seen, n.ID)
			continue
		}
		n.setDrift(drift, tx.Now)
		if err := n.save(ctx, tx); err != nil {
			return err
		}
		if err := told(ctx, tx, who, NumberUpdated, "", n.ID, nil); err != nil {
			return err
		}
	}
	_, err := db.Exec(ctx, tx, `UPDATE phone_number SET drift_checked_at = $3 WHERE organization_id = $1 AND id = ANY ($2::uuid[])`,
		a.org, seen, tx.Now)
	return err
}

// learn takes what Twilio says of the number itself (R015) and reports whether that was news.
func (n *PhoneNumber) learn(r twilio.PhoneNumber) bool {
	trunk := ""
	if n.TrunkSid != nil {
		trunk = *n.TrunkSid
	}
	if n.CanVoice == r.Voice && n.CanSms == r.SMS && n.CanMms == r.MMS && trunk == r.Settings.TrunkSID {
		return false
	}
	n.CanVoice, n.CanSms, n.CanMms, n.TrunkSid = r.Voice, r.SMS, r.MMS, optional(r.Settings.TrunkSID)
	return true
}
