package number

import (
	"context"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/twilio"
)

// Look asks Twilio now about a connection of the context's tenant and all its
// numbers, and keeps what it says: the account's status, and what differs from what
// we wrote. Once it has, the regular look comes later by as much. Codes: errs.NotFound for one
// that is disconnected, and what Twilio answers.
func (s *Service) Look(ctx context.Context, connection id.ID) error {
	a, err := s.ownAccount(ctx, connection)
	if err != nil {
		return err
	}
	now := s.clock.Now()
	if err := s.lookAt(ctx, a); err != nil {
		return err
	}
	_, err = db.Exec(ctx, s.db.App(), `UPDATE twilio_connection SET checked_at = $3 WHERE organization_id = $1 AND id = $2`, a.org, a.connection, now)
	return err
}

// LookAtAccount asks Twilio about the account of a connection alone.
func (s *Service) LookAtAccount(ctx context.Context, connection id.ID) error {
	a, err := s.ownAccount(ctx, connection)
	if err != nil {
		return err
	}
	owner, err := a.client.FetchAccount(ctx)
	if err != nil {
		return err
	}
	return s.note(context.WithoutCancel(ctx), access.System(a.org), connection, owner)
}

// LookAtNumber asks Twilio now about one number of the context's tenant and keeps
// what it says. That Twilio does not know the number is no error: the number says so
// afterwards.
func (s *Service) LookAtNumber(ctx context.Context, number id.ID) error {
	n, err := s.connectedNumber(ctx, number)
	if err != nil {
		return err
	}
	if twilio.CheckSID(twilio.PhoneNumberSID, n.TwilioSid) != nil {
		return nil // R003: there is nothing to ask for
	}
	a, err := s.ownAccount(ctx, n.ConnectionID)
	if err != nil {
		return err
	}
	remote := map[string]twilio.PhoneNumber{}
	switch r, err := a.client.FetchNumber(ctx, n.TwilioSid); {
	case twilio.NotFound(err):
	case err != nil:
		return err
	case r.AccountSID == "" || r.AccountSID == a.sid: // else it belongs to a sub-account by now
		remote[r.SID] = r
	}
	services, err := s.takenServices(ctx, a)
	if err != nil {
		return err
	}
	return s.db.InTx(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
		n, err := numberByID(ctx, tx, a.org, number, forUpdate)
		if err != nil {
			return err
		}
		return s.compare(ctx, tx, access.System(a.org), a, []*PhoneNumber{n}, remote, services)
	})
}

// Drifted says in words what Twilio has other than we wrote, nothing when that is
// not known.
func (n *PhoneNumber) Drifted() []string { return n.drifted() }

// IsLost reports whether Twilio did not have the number in the account any more when
// it was asked last.
func (n *PhoneNumber) IsLost() bool {
	d := n.drifted()
	return len(d) == 1 && d[0] == lostAtTwilio
}

// ElsewhereByService says where the number's messages go when its Messaging Service
// sends them elsewhere, "" when it does not.
func (n *PhoneNumber) ElsewhereByService() string { return n.elsewhereByService() }

// Connected are the connections of the context's tenant that were not disconnected,
// oldest first.
func (s *Service) Connected(ctx context.Context, q bun.IDB) (rows []*Connection, err error) {
	return rows, db.Select(ctx, q, &rows, selectConnection+` WHERE c.organization_id = $1 AND c.disconnected_at IS NULL ORDER BY c.id`, db.TenantFrom(ctx))
}

// VoiceCountry reports whether the account of a connection may call ordinary numbers
// of a country (ISO), as Twilio says now.
func (s *Service) VoiceCountry(ctx context.Context, connection id.ID, country string) (bool, error) {
	a, err := s.ownAccount(ctx, connection)
	if err != nil {
		return false, err
	}
	may, err := a.client.MayCall(ctx, country)
	if twilio.NotFound(err) { // Twilio has no such country in its list: nothing forbids it
		return true, nil
	}
	return may, err
}
