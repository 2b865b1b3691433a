package number

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"strings"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/twilio"
)

// takeover is a Messaging Service whose inbound messages were made to come here.
type takeover struct {
	ServiceSid     string `bun:"service_sid"`
	PreviousURL    string `bun:"previous_url"`
	PreviousMethod string `bun:"previous_method"`
}

// ConnectMessagingService has the Messaging Service of a number send what comes in
// to this server. What it did before is kept and given back on disconnect. A
// service that leaves it to each number's own address is left as it is. Done
// again, it writes our address again. Codes: errs.Forbidden, errs.NotFound,
// errs.Conflict, errs.ProviderRefused, errs.ProviderUnavailable.
func (s *Service) ConnectMessagingService(ctx context.Context, who access.Actor, number id.ID) (*PhoneNumber, error) {
	if err := who.Require(access.ConnectionManage); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	n, err := s.connectedNumber(ctx, number)
	if err != nil {
		return nil, err
	}
	a, err := s.ownAccount(ctx, n.ConnectionID)
	if err != nil {
		return nil, err
	}
	m, in, err := a.client.ServiceOf(ctx, n.TwilioSid)
	if err != nil {
		return nil, err
	}
	l := learned{complete: true, services: map[string]twilio.MessagingService{}}
	if !in {
		if err := s.keepService(ctx, who, a, n, l, ""); err != nil {
			return nil, err
		}
		return nil, errs.New(errs.Conflict, "the number is in no Messaging Service at Twilio: its messages come by its own address; add it to a service in the Twilio Console first, if you want one")
	}
	if !m.UseNumberWebhook {
		if m, err = s.takeService(ctx, who, a, n, m); err != nil {
			return nil, err
		}
	}
	l.services[n.TwilioSid] = m
	if err := s.keepService(ctx, who, a, n, l, "number.service"); err != nil {
		return nil, err
	}
	return numberByID(ctx, s.db.App(), who.OrganizationID, number, "")
}

// takeService notes what stands there, then writes our address.
func (s *Service) takeService(ctx context.Context, who access.Actor, a *account, n *PhoneNumber, m twilio.MessagingService) (twilio.MessagingService, error) {
	if !s.ours(a.connection, m.InboundURL) && strings.HasPrefix(m.InboundURL, twilio.PublicURL(s.base, "/twilio/conn_", nil)) {
		return m, errs.New(errs.Conflict, "this Messaging Service is used by another organization of this installation; have it disconnect the service first")
	}
	want := s.hooksOf(a.connection, a.accessKey).Callback(messagePath, nil)
	fresh := false
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		address, method := m.InboundURL, m.InboundMethod
		if s.ours(a.connection, address) {
			address, method = "", http.MethodPost // what is ours already is nobody's to be given back
		}
		added, err := db.Exec(ctx, tx, `
			INSERT INTO messaging_takeover (organization_id, connection_id, service_sid, previous_url, previous_method) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (organization_id, connection_id, service_sid) DO NOTHING`, a.org, a.connection, m.SID, address, method)
		fresh = added > 0
		if err != nil || fresh || s.ours(a.connection, m.InboundURL) {
			return err
		}
		// Somebody set another address since: that is what is given back.
		_, err = db.Exec(ctx, tx, `UPDATE messaging_takeover SET previous_url = $4, previous_method = $5
			WHERE organization_id = $1 AND connection_id = $2 AND service_sid = $3`, a.org, a.connection, m.SID, address, method)
		return err
	})
	if err != nil {
		return m, err
	}
	if twilio.SameHook(m.InboundURL, want) && m.InboundMethod == http.MethodPost {
		return m, nil
	}
	got, err := a.client.SetServiceInbound(ctx, m.SID, want, http.MethodPost)
	ambiguous := twilio.Ambiguous(err)
	if ambiguous { // ask what became of it
		if again, e := a.client.FetchService(ctx, m.SID); e == nil {
			got, err = again, nil
		}
	}
	if err == nil && !twilio.SameHook(got.InboundURL, want) {
		err = errs.New(errs.ProviderRefused, "Twilio did not keep our address for the Messaging Service; try again, or look at the service in the Twilio Console")
	}
	if err == nil {
		return got, nil
	}
	if fresh && !ambiguous {
		e := s.db.InTx(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error { return dropTakeover(ctx, tx, n, m.SID) })
		if e != nil {
			return m, e
		}
	}
	return m, err
}

// keepService writes what is known of a Messaging Service to its numbers.
func (s *Service) keepService(ctx context.Context, who access.Actor, a *account, number *PhoneNumber, l learned, action string) error {
	return s.db.InTx(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
		m, in := l.services[number.TwilioSid]
		var rows []*PhoneNumber
		err := db.Select(ctx, tx, &rows, selectNumber+`
			WHERE n.organization_id = $1 AND n.connection_id = $2 AND (n.id = $3 OR n.messaging_service_sid = $4) AND n.disconnected_at IS NULL
			ORDER BY n.id`+forUpdate, a.org, a.connection, number.ID, m.SID)
		if err != nil {
			return err
		}
		for _, n := range rows {
			var changed bool
			if in {
				changed = n.hearService(m, a.accessKey)
			} else {
				changed = n.hear(l, a.accessKey)
			}
			drift := without(n.drifted(), serviceDrift)
			if changed = changed || len(drift) != len(n.drifted()); !changed {
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
		return told(ctx, tx, who, "", action, number.ID, map[string]any{"messagingServiceSid": m.SID})
	})
}

// serviceDrift is how the words begin that are about a Messaging Service.
const serviceDrift = "its Messaging Service sends "

func without(list []string, prefix string) []string {
	var out []string
	for _, s := range list {
		if !strings.HasPrefix(s, prefix) {
			out = append(out, s)
		}
	}
	return out
}

// serviceDifference says in words what a Messaging Service that was taken over
// does otherwise, nil when nothing.
func (h Hooks) serviceDifference(m twilio.MessagingService) []string {
	want := h.Callback(messagePath, nil)
	switch {
	case m.SID == "" || m.UseNumberWebhook || twilio.SameHook(m.InboundURL, want) && m.InboundMethod == http.MethodPost:
		return nil
	case twilio.SameHook(m.InboundURL, want):
		return []string{serviceDrift + "messages by " + m.InboundMethod + " instead of POST"}
	case m.InboundURL == "":
		return []string{serviceDrift + "messages nowhere"}
	}
	return []string{serviceDrift + "messages to another address" + onHost(m.InboundURL)}
}

func (s *Service) takeovers(ctx context.Context, a *account, service string) (rows []takeover, err error) {
	return rows, db.Select(ctx, s.db.App(), &rows, `
		SELECT service_sid, previous_url, previous_method FROM messaging_takeover
		WHERE organization_id = $1 AND connection_id = $2 AND (service_sid = $3 OR $3 = '') ORDER BY service_sid`, a.org, a.connection, service)
}

// takenServices are the Messaging Services that were taken over, as Twilio has them.
func (s *Service) takenServices(ctx context.Context, a *account) (map[string]twilio.MessagingService, error) {
	rows, err := s.takeovers(ctx, a, "")
	out := make(map[string]twilio.MessagingService, len(rows))
	for _, t := range rows {
		m, err := a.client.FetchService(ctx, t.ServiceSid)
		if twilio.NotFound(err) {
			continue // gone: the daily look at the senders notices
		}
		if err != nil {
			return nil, err
		}
		out[m.SID] = m
	}
	return out, err
}

// giveServicesBack restores where Messaging Services sent what came in, all or one,
// where our address still stands. refused: the token is not valid any more.
func (s *Service) giveServicesBack(ctx context.Context, a *account, service string) (refused bool, err error) {
	rows, err := s.takeovers(ctx, a, service)
	if err != nil {
		return false, err
	}
	for _, t := range rows {
		m, err := a.client.FetchService(ctx, t.ServiceSid)
		if err == nil && s.ours(a.connection, m.InboundURL) {
			_, err = a.client.SetServiceInbound(ctx, m.SID, t.PreviousURL, t.PreviousMethod)
		}
		switch {
		case twilio.Unauthorized(err):
			return true, nil
		case err != nil && !twilio.NotFound(err):
			return false, err
		}
	}
	return false, nil
}

// lastOfService is the Messaging Service that was taken over and of which the
// number is the last one here, "" when there is none.
func (s *Service) lastOfService(ctx context.Context, n *PhoneNumber) (string, error) {
	if n.MessagingServiceSid == nil {
		return "", nil
	}
	var row struct {
		Sid string `bun:"service_sid"`
	}
	err := db.Select(ctx, s.db.App(), &row, `
		SELECT t.service_sid FROM messaging_takeover t
		WHERE t.organization_id = $1 AND t.connection_id = $2 AND t.service_sid = $3 AND NOT EXISTS (
			SELECT FROM phone_number n WHERE n.organization_id = $1 AND n.connection_id = $2 AND n.messaging_service_sid = $3
				AND n.disconnected_at IS NULL AND n.id <> $4)`, n.OrganizationID, n.ConnectionID, *n.MessagingServiceSid, n.ID)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return row.Sid, err
}

func dropTakeover(ctx context.Context, tx *db.Tx, n *PhoneNumber, service string) error {
	_, err := db.Exec(ctx, tx, `DELETE FROM messaging_takeover WHERE organization_id = $1 AND connection_id = $2 AND service_sid = $3`,
		n.OrganizationID, n.ConnectionID, service)
	return err
}
