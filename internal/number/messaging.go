package number

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
	"switchboard/internal/twilio"
)

// Messaging is a number as a sender of messages.
type Messaging struct {
	NumberID            id.ID
	ConnectionID        id.ID
	E164                phone.E164
	SmsAssigneeID       id.ID   // R145
	MmsAssigneeID       id.ID   // R146
	SenderName          *string // R151
	Rate                *int    // messages a second; nil: what this kind of sender may
	A2pStatus           *string // R153, in Twilio's word
	TollFreeStatus      *string // R152, in Twilio's word
	MessagingServiceSid *string // nil also for those who may not see it
	ReceivesHere        *bool   // nil when not known
	CheckedAt           *time.Time
}

// Messaging is the number as a sender, as the actor may see it.
func (n *PhoneNumber) Messaging(who access.Actor) *Messaging {
	m := &Messaging{
		NumberID: n.ID, ConnectionID: n.ConnectionID, E164: n.E164, SmsAssigneeID: n.SmsAssigneeID, MmsAssigneeID: n.MmsAssigneeID,
		SenderName: n.SenderName, Rate: n.MessagesPerSecond, A2pStatus: n.A2pStatus, TollFreeStatus: n.TollFreeStatus,
		ReceivesHere: n.ReceivesHere(), CheckedAt: n.MessagingCheckedAt,
	}
	if MaySeeProvider(who) {
		m.MessagingServiceSid = n.MessagingServiceSid
	}
	return m
}

// ReceivesHere reports whether messages to the number reach this server; nil when
// that is not known. A Messaging Service decides, unless it leaves that to the
// number (twilio: messaging/api/service-resource).
func (n *PhoneNumber) ReceivesHere() *bool {
	own := n.WrittenWebhooks != nil && !slices.ContainsFunc(n.drifted(), func(s string) bool {
		return strings.HasPrefix(s, theMessages) || s == appTakesMessages || s == lostAtTwilio
	})
	switch {
	case n.MessagingServiceSid != nil && n.ServiceUsesNumber == nil:
		return nil
	case n.MessagingServiceSid != nil && !*n.ServiceUsesNumber:
		own = n.DisconnectedAt == nil && n.serviceSendsHere()
	case n.MessagingServiceSid == nil && n.MessagingCheckedAt == nil && own:
		return nil // it may be in a service
	}
	return &own
}

// serviceSendsHere reports whether the number's Messaging Service sends what comes
// in to its connection's own address.
func (n *PhoneNumber) serviceSendsHere() bool {
	return n.ServiceInboundURL != nil && strings.Contains(*n.ServiceInboundURL, "/twilio/"+n.ConnectionID.String()+"/")
}

// elsewhereByService says where the number's messages go when its Messaging Service
// sends them elsewhere, "" when it does not.
func (n *PhoneNumber) elsewhereByService() string {
	if n.MessagingServiceSid == nil || n.ServiceUsesNumber == nil || *n.ServiceUsesNumber || n.serviceSendsHere() {
		return ""
	}
	where := "nowhere, so that they are lost"
	if n.ServiceInboundURL != nil {
		where = "to another address" + onHost(*n.ServiceInboundURL)
	}
	return "the number is in a Messaging Service at Twilio, which sends its messages " + where +
		": connect the service, or set it in the Twilio Console to use the number's own address"
}

// forgetSender drops what Twilio said of the number as a sender.
func (n *PhoneNumber) forgetSender() {
	n.MessagingServiceSid, n.A2pStatus, n.TollFreeStatus, n.ServiceInboundURL, n.ServiceUsesNumber, n.MessagingCheckedAt = nil, nil, nil, nil, nil, nil
}

// learned is what Twilio said of senders. What could not be asked is missing and
// changes nothing.
type learned struct {
	services  map[string]twilio.MessagingService // by the number's SID
	complete  bool                               // numbers without a service are in none
	campaigns map[string]string                  // by the service's SID
	tollFree  map[string]string                  // by the number's SID; nil when not known
	countries map[string]bool                    // nil when not known
	errs      []error
	asked     int // how many parts were asked
}

func (l *learned) failed(err error) bool {
	l.asked++
	if err != nil {
		l.errs = append(l.errs, err)
	}
	return err != nil
}

// serviceOf asks for the Messaging Service of one number.
func (s *Service) serviceOf(ctx context.Context, a *account, sid string) (l learned) {
	m, ok, err := a.client.ServiceOf(ctx, sid)
	if l.failed(err) {
		return l
	}
	l.complete, l.services = true, map[string]twilio.MessagingService{}
	if ok {
		l.services[sid] = m
	}
	return l
}

// ask asks Twilio everything about numbers as senders. Each part may fail by itself.
func (s *Service) ask(ctx context.Context, client *twilio.Client, numbers []*PhoneNumber) learned {
	l := learned{services: map[string]twilio.MessagingService{}, campaigns: map[string]string{}}
	wanted := map[string]*PhoneNumber{}
	free := false
	for _, n := range numbers {
		wanted[n.TwilioSid] = n
		free = free || n.isTollFree()
	}
	var all []twilio.MessagingService
	l.complete = !l.failed(client.ListServices(ctx, func(some []twilio.MessagingService) error { all = append(all, some...); return nil }))
	for _, m := range all {
		if len(l.services) == len(wanted) {
			break // a number is in one service at most
		}
		err := client.ListServiceNumbers(ctx, m.SID, func(sids []string) error {
			for _, sid := range sids {
				if wanted[sid] != nil {
					l.services[sid] = m
				}
			}
			return nil
		})
		if l.failed(err) && !twilio.NotFound(err) {
			l.complete = false
		}
	}
	for sid, m := range l.services {
		if _, known := l.campaigns[m.SID]; known || !wanted[sid].registersInUS() {
			continue
		}
		if status, err := client.CampaignStatus(ctx, m.SID); !l.failed(err) {
			l.campaigns[m.SID] = status
		}
	}
	if free {
		if got, err := client.TollFreeStatuses(ctx); !l.failed(err) {
			l.tollFree = got
		}
	}
	if got, err := client.MessageCountries(ctx); !l.failed(err) {
		l.countries = got
	}
	return l
}

// hear takes what Twilio said of a sender and reports whether that was news.
func (n *PhoneNumber) hear(l learned, key string) bool {
	before := n.said()
	if m, in := l.services[n.TwilioSid]; in {
		n.hearService(m, key)
	} else if l.complete {
		n.MessagingServiceSid, n.ServiceInboundURL, n.ServiceUsesNumber = nil, nil, nil
	}
	switch {
	case !n.registersInUS() || n.MessagingServiceSid == nil:
		n.A2pStatus = nil
	default:
		if status, known := l.campaigns[*n.MessagingServiceSid]; known {
			n.A2pStatus = optional(status)
		}
	}
	if l.tollFree != nil && n.isTollFree() {
		n.TollFreeStatus = optional(l.tollFree[n.TwilioSid])
	}
	return n.said() != before
}

// hearService takes what Twilio said of the number's Messaging Service. Our own
// address is kept without its access key.
func (n *PhoneNumber) hearService(m twilio.MessagingService, key string) bool {
	before := n.said()
	n.MessagingServiceSid, n.ServiceUsesNumber = &m.SID, &m.UseNumberWebhook
	n.ServiceInboundURL = optional(strings.ReplaceAll(m.InboundURL, key, "{accessKey}"))
	return n.said() != before
}

// said is what Twilio last said, to compare.
func (n *PhoneNumber) said() [5]string {
	uses := ""
	if n.ServiceUsesNumber != nil {
		uses = "number"
		if !*n.ServiceUsesNumber {
			uses = "service"
		}
	}
	return [5]string{of(n.MessagingServiceSid), of(n.ServiceInboundURL), uses, of(n.A2pStatus), of(n.TollFreeStatus)}
}

func of(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func (n *PhoneNumber) isTollFree() bool { return phone.KindOf(n.E164) == phone.TollFree }

// registersInUS reports whether the number is one that carriers of the United
// States want registered (R153).
func (n *PhoneNumber) registersInUS() bool {
	switch phone.Country(n.E164, n.Country) {
	case "US", "PR", "VI", "GU", "AS", "MP":
		return !n.isTollFree()
	}
	return false
}

// RefreshMessaging asks Twilio about a number as a sender, now. What cannot be
// asked stays as it was; it fails when nothing can. Codes: errs.Forbidden,
// errs.NotFound, errs.Conflict, errs.ProviderRefused, errs.ProviderUnavailable.
func (s *Service) RefreshMessaging(ctx context.Context, who access.Actor, number id.ID) (*PhoneNumber, error) {
	if err := who.Require(access.NumberManage); err != nil {
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
	l := s.ask(ctx, a.client, []*PhoneNumber{n})
	if len(l.errs) == l.asked {
		return nil, l.errs[0]
	}
	s.logUnasked(ctx, a, l)
	if err := s.keepLearned(ctx, who, a, []id.ID{n.ID}, l); err != nil {
		return nil, err
	}
	return numberByID(ctx, s.db.App(), who.OrganizationID, number, "")
}

func (s *Service) connectedNumber(ctx context.Context, number id.ID) (*PhoneNumber, error) {
	n, err := numberByID(ctx, s.db.App(), db.TenantFrom(ctx), number, "")
	if err == nil && n.DisconnectedAt != nil {
		return nil, errs.New(errs.Conflict, "this number is disconnected; import the numbers of its connection to have it back")
	}
	return n, err
}

func (s *Service) logUnasked(ctx context.Context, a *account, l learned) {
	for _, err := range l.errs {
		s.logger.WarnContext(ctx, "Twilio does not say everything about the senders of a connection",
			slog.String("connection_id", a.connection.String()), quiet(err))
	}
}

// keepLearned writes what Twilio said. Rows that did not change keep their version.
func (s *Service) keepLearned(ctx context.Context, who access.Actor, a *account, numbers []id.ID, l learned) error {
	return s.db.InTx(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
		var rows []*PhoneNumber
		err := db.Select(ctx, tx, &rows, selectNumber+`
			WHERE n.organization_id = $1 AND n.id = ANY ($2::uuid[]) AND n.disconnected_at IS NULL ORDER BY n.id`+forUpdate, a.org, numbers)
		if err != nil {
			return err
		}
		var same []id.ID
		for _, n := range rows {
			if !n.hear(l, a.accessKey) {
				same = append(same, n.ID)
				continue
			}
			n.MessagingCheckedAt = moment(tx.Now)
			if err := n.save(ctx, tx); err != nil {
				return err
			}
			if err := told(ctx, tx, who, NumberUpdated, "", n.ID, nil); err != nil {
				return err
			}
		}
		if _, err := db.Exec(ctx, tx, `UPDATE phone_number SET messaging_checked_at = $3 WHERE organization_id = $1 AND id = ANY ($2::uuid[])`,
			a.org, same, tx.Now); err != nil {
			return err
		}
		return keepCountries(ctx, tx, a, l.countries)
	})
}

// keepCountries replaces what is known of the countries that an account may write to (R149).
func keepCountries(ctx context.Context, tx *db.Tx, a *account, countries map[string]bool) error {
	if countries == nil {
		return nil
	}
	names, may := make([]string, 0, len(countries)), make([]bool, 0, len(countries))
	for c, yes := range countries {
		names, may = append(names, c), append(may, yes)
	}
	if _, err := db.Exec(ctx, tx, `DELETE FROM connection_country WHERE organization_id = $1 AND connection_id = $2 AND NOT country = ANY ($3::text[])`,
		a.org, a.connection, names); err != nil {
		return err
	}
	_, err := db.Exec(ctx, tx, `
		INSERT INTO connection_country (organization_id, connection_id, country, may_message, checked_at)
		SELECT $1, $2, g.country, g.may, $5 FROM unnest($3::text[], $4::bool[]) AS g(country, may) ORDER BY g.country
		ON CONFLICT (organization_id, connection_id, country) DO UPDATE SET may_message = excluded.may_message, checked_at = excluded.checked_at`,
		a.org, a.connection, names, may, tx.Now)
	return err
}

// messagingEvery is how old what is known of senders may be.
const messagingEvery = 24 * time.Hour

// findMessaging has the senders of every connection looked at once a day.
func (s *Service) findMessaging(ctx context.Context, now time.Time) error {
	return s.db.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var due []found
		err := db.Select(ctx, tx, &due, `
			SELECT organization_id, id FROM twilio_connection
			WHERE disconnected_at IS NULL AND import_status <> 'RUNNING' AND (messaging_checked_at IS NULL OR messaging_checked_at <= $1)
			ORDER BY organization_id, id FOR NO KEY UPDATE`, now.Add(-messagingEvery))
		if err != nil {
			return err
		}
		return s.checkMessaging(ctx, tx, due)
	})
}

// checkMessaging has the senders of connections looked at.
func (s *Service) checkMessaging(ctx context.Context, tx *db.Tx, connections []found) error {
	for _, f := range connections {
		if _, err := db.Exec(ctx, tx, `UPDATE twilio_connection SET messaging_checked_at = $3 WHERE organization_id = $1 AND id = $2`,
			f.Organization, f.Connection, tx.Now); err != nil {
			return err
		}
		if err := job.Insert(ctx, tx, messagingArgs(f)); err != nil {
			return err
		}
	}
	return nil
}

type messagingArgs struct {
	Organization id.ID `json:"organization"`
	Connection   id.ID `json:"connection"`
}

// Kind names the job.
func (messagingArgs) Kind() string { return "number.messaging" }

// Tenant is the job's organization.
func (a messagingArgs) Tenant() id.ID { return a.Organization }

// Timeout bounds one attempt.
func (messagingArgs) Timeout() time.Duration { return 5 * time.Minute }

// runMessaging asks Twilio about all senders of a connection.
func (s *Service) runMessaging(ctx context.Context, args messagingArgs) error {
	a, err := s.accountOf(ctx, args.Connection)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var numbers []*PhoneNumber
	err = db.Select(ctx, s.db.App(), &numbers, selectNumber+`
		WHERE n.organization_id = $1 AND n.connection_id = $2 AND n.disconnected_at IS NULL ORDER BY n.id`, a.org, a.connection)
	if err != nil || len(numbers) == 0 {
		return err
	}
	l := s.ask(ctx, a.client, numbers)
	s.logUnasked(ctx, a, l)
	if len(l.errs) < l.asked {
		ids := make([]id.ID, len(numbers))
		for i, n := range numbers {
			ids[i] = n.ID
		}
		if err := s.keepLearned(ctx, access.System(a.org), a, ids, l); err != nil {
			return err
		}
	}
	for _, err := range l.errs { // what was refused stays refused; the rest is tried again
		if twilio.Unauthorized(err) || errs.IsCode(err, errs.ProviderUnavailable) {
			return s.giveUp(ctx, args.Connection, err)
		}
	}
	return nil
}

// MessagingUpdate is a change to a number as a sender: absent keeps, null clears.
type MessagingUpdate struct {
	SmsAssigneeID     patch.Field[id.ID]
	MmsAssigneeID     patch.Field[id.ID]
	SenderName        patch.Field[string]
	MessagesPerSecond patch.Field[int]
}

// maxRate is the most messages a second that one sender hands over.
const maxRate = 1000

var senderName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9 ]{0,9}[A-Za-z0-9])?$`)

func (n *PhoneNumber) send(in MessagingUpdate) error {
	if err := changeID(in.SmsAssigneeID, &n.SmsAssigneeID, id.User, "smsAssigneeId"); err != nil {
		return err
	}
	if err := changeID(in.MmsAssigneeID, &n.MmsAssigneeID, id.User, "mmsAssigneeId"); err != nil {
		return err
	}
	if in.SenderName.Set {
		n.SenderName = nil
		if name := in.SenderName.Value; in.SenderName.Has() && name != "" {
			if !senderName.MatchString(name) || strings.Trim(name, "0123456789 ") == "" {
				return errs.New(errs.Invalid, "a sender name has 1 to 11 letters (A-Z), digits and spaces, one letter at least, and no space at its ends").At("senderName")
			}
			n.SenderName = &name
		}
	}
	if in.MessagesPerSecond.Has() && (in.MessagesPerSecond.Value < 1 || in.MessagesPerSecond.Value > maxRate) {
		return errs.New(errs.Invalid, "a sender hands over 1 to %d messages a second; clear it for what this kind of sender may", maxRate).At("messagesPerSecond")
	}
	in.MessagesPerSecond.ApplyPtr(&n.MessagesPerSecond)
	return nil
}

func (in MessagingUpdate) fields() []string {
	out := []string{}
	for name, set := range map[string]bool{"smsAssigneeId": in.SmsAssigneeID.Set, "mmsAssigneeId": in.MmsAssigneeID.Set,
		"senderName": in.SenderName.Set, "messagesPerSecond": in.MessagesPerSecond.Set} {
		if set {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// UpdateMessaging changes a number as a sender. Codes: errs.Forbidden,
// errs.NotFound, errs.Invalid, errs.Conflict for somebody who could not answer
// (R145, R146).
func (s *Service) UpdateMessaging(ctx context.Context, who access.Actor, number id.ID, in MessagingUpdate) (n *PhoneNumber, err error) {
	if err := who.Require(access.NumberManage); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if n, err = numberByID(ctx, tx, who.OrganizationID, number, forUpdate); err != nil {
			return err
		}
		if n.DisconnectedAt != nil {
			return errs.New(errs.Conflict, "this number is disconnected; import the numbers of its connection to have it back")
		}
		if err := n.send(in); err != nil {
			return err
		}
		for field, user := range map[string]patch.Field[id.ID]{"smsAssigneeId": in.SmsAssigneeID, "mmsAssigneeId": in.MmsAssigneeID} {
			if user.Has() && !user.Value.IsZero() {
				if err := answers(ctx, tx, n.OrganizationID, user.Value, field); err != nil {
					return err
				}
			}
		}
		if err := n.save(ctx, tx); err != nil {
			return err
		}
		return told(ctx, tx, who, NumberUpdated, "number.messaging", n.ID, map[string]any{"fields": in.fields()})
	})
	if err != nil {
		return nil, err
	}
	return n, nil
}

// answers refuses somebody who could not answer a message.
func answers(ctx context.Context, tx *db.Tx, org, user id.ID, field string) error {
	var p struct {
		Name   string `bun:"name"`
		Status string `bun:"status"`
		May    bool   `bun:"may"`
	}
	err := db.Select(ctx, tx, &p, `
		SELECT u.name, u.status, `+access.MaySQL("u", "r", access.SMSView, access.SMSSend)+` AS may FROM "user" u
		JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
		WHERE u.organization_id = $1 AND u.id = $2`, org, user)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return errs.New(errs.NotFound, "there is no such user; choose one of your organization").At(field)
	case err != nil:
		return err
	case p.Status != "ACTIVE":
		return errs.New(errs.Conflict, "%s is not active, so nobody would answer; choose somebody who is", p.Name).At(field)
	case !p.May:
		return errs.New(errs.Conflict, "the role of %s does not let them read and send messages; choose somebody else, or change their role", p.Name).At(field)
	}
	return nil
}

// Countries are the countries that connections of the context's tenant may write
// to, in one statement; one of which nothing is known is missing (R149).
func (s *Service) Countries(ctx context.Context, connections []id.ID) (map[id.ID][]string, error) {
	var rows []struct {
		ConnectionID id.ID  `bun:"connection_id"`
		Country      string `bun:"country"`
		May          bool   `bun:"may_message"`
	}
	err := db.Select(ctx, s.db.App(), &rows, `
		SELECT connection_id, country, may_message FROM connection_country
		WHERE organization_id = $1 AND connection_id = ANY ($2::uuid[]) ORDER BY country`, db.TenantFrom(ctx), connections)
	out := make(map[id.ID][]string, len(connections))
	for _, r := range rows {
		if out[r.ConnectionID] == nil {
			out[r.ConnectionID] = []string{}
		}
		if r.May {
			out[r.ConnectionID] = append(out[r.ConnectionID], r.Country)
		}
	}
	return out, err
}

// Homes are the countries that numbers of connections of the context's tenant are
// read with (R018), in one statement.
func (s *Service) Homes(ctx context.Context, connections []id.ID) (map[id.ID]string, error) {
	var rows []struct {
		ID      id.ID  `bun:"id"`
		Country string `bun:"country"`
	}
	err := db.Select(ctx, s.db.App(), &rows, `
		SELECT c.id, coalesce(c.default_country, o.default_country) AS country FROM twilio_connection c
		JOIN organization o ON o.organization_id = c.organization_id
		WHERE c.organization_id = $1 AND c.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), connections)
	out := make(map[id.ID]string, len(rows))
	for _, r := range rows {
		out[r.ID] = r.Country
	}
	return out, err
}

// AllSenders are the numbers of the context's tenant that messages may be sent from.
func (s *Service) AllSenders(ctx context.Context) ([]Sender, error) {
	return s.Senders(ctx, s.db.App())
}
