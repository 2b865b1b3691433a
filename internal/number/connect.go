package number

import (
	"context"
	"log/slog"
	"strings"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
	"switchboard/internal/twilio"
)

// ConnectionCreate is the four values of a Twilio account (R001) and what to call it.
type ConnectionCreate struct {
	Name           string
	AccountSid     string
	AuthToken      string
	PhoneNumber    string
	PhoneNumberSid string
	DefaultCountry *string
	TakeOver       bool
}

// CreateConnection connects a Twilio account, or an account that was
// disconnected again, under its former id. All four values are checked against
// each other (R004); the number given is enabled, the others are imported (R012).
//
// Nothing at Twilio is part of a transaction. The order is: read and check; keep
// the connection, its secrets and the disabled number; make the API key and the
// TwiML App; note in the number's row what stands at Twilio and that it is
// enabled; write our addresses. Whatever ends this early leaves a connection that
// the same call, or the sweep that looks for unfinished ones, brings to its end:
// key and App are found again by their name, and a number that was not written
// shows that as drift.
//
// Codes: errs.Forbidden, errs.Required, errs.Invalid, errs.Taken for an account
// that is connected, errs.Conflict for a number in other use, errs.ProviderRefused,
// errs.ProviderUnavailable.
func (s *Service) CreateConnection(ctx context.Context, who access.Actor, in ConnectionCreate) (*Connection, *PhoneNumber, error) {
	if err := who.Require(access.ConnectionManage); err != nil {
		return nil, nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	e164, country, err := in.check()
	if err != nil {
		return nil, nil, err
	}
	former, err := s.mayConnect(ctx, who, in.AccountSid)
	if err != nil {
		return nil, nil, err
	}
	client, err := s.client(in.AccountSid, in.AuthToken)
	if err != nil {
		return nil, nil, at(err, "authToken")
	}
	owner, remote, err := s.examine(ctx, client, in, e164)
	if err != nil {
		return nil, nil, err
	}
	if former == nil {
		former = &Connection{ID: id.New(id.Connection)}
	}
	if err := s.mayTake(former, e164, remote.Settings, in.TakeOver); err != nil {
		return nil, nil, err
	}
	n, err := s.keep(ctx, who, in, former.ID, owner, remote, country)
	if err != nil {
		return nil, nil, err
	}
	a, err := s.accountOf(ctx, former.ID)
	if err != nil {
		return nil, nil, err
	}
	if _, err = s.setUp(ctx, who, a); err != nil {
		return nil, nil, err
	}
	if n, err = s.enable(ctx, who, n.ID, a, remote.Settings); err != nil {
		return nil, nil, err
	}
	c, err := s.startImport(ctx, who, former.ID)
	return c, n, err
}

func (in *ConnectionCreate) check() (e164 phone.E164, country *string, err error) {
	if in.Name, err = checkText(in.Name, maxName, "name"); err != nil {
		return "", nil, err
	}
	if err := twilio.CheckSID(twilio.AccountSID, in.AccountSid); err != nil {
		return "", nil, at(err, "accountSid")
	}
	if err := twilio.CheckSecret(in.AuthToken); err != nil {
		return "", nil, at(err, "authToken")
	}
	if err := twilio.CheckSID(twilio.PhoneNumberSID, in.PhoneNumberSid); err != nil {
		return "", nil, at(err, "phoneNumberSid") // R003
	}
	if e164, err = phone.Parse(in.PhoneNumber, ""); err != nil { // R002: no default country here
		return "", nil, at(err, "phoneNumber")
	}
	if in.DefaultCountry != nil && *in.DefaultCountry != "" {
		c, err := checkCountry(*in.DefaultCountry, "defaultCountry")
		if err != nil {
			return "", nil, err
		}
		country = &c
	}
	return e164, country, nil
}

// mayConnect returns the connection that the account had before, nil when none.
// One whose beginning was cut short counts as such.
func (s *Service) mayConnect(ctx context.Context, who access.Actor, accountSID string) (*Connection, error) {
	c, err := connectionWhere(ctx, s.db.App(), ` WHERE c.organization_id = $1 AND c.account_sid = $2
		ORDER BY c.disconnected_at DESC NULLS FIRST, c.id DESC LIMIT 1`, who.OrganizationID, accountSID)
	switch {
	case errs.IsCode(err, errs.NotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case c.DisconnectedAt == nil && c.ApplicationSid != nil:
		return nil, errs.New(errs.Taken, "this account is connected already as %q; change that connection, or import its numbers", c.Name).At("accountSid")
	}
	return c, nil
}

// examine asks Twilio whether the four values belong together (R004).
func (s *Service) examine(ctx context.Context, client *twilio.Client, in ConnectionCreate, e164 phone.E164) (owner twilio.Account, remote twilio.PhoneNumber, err error) {
	owner, err = client.FetchAccount(ctx)
	if err := accountProblem(owner, err, in.AccountSid); err != nil {
		return owner, remote, err
	}
	if owner.Status == "suspended" {
		return owner, remote, errs.New(errs.Conflict, "Twilio has suspended this account; settle that in the Twilio Console first").At("accountSid")
	}
	remote, err = client.FetchNumber(ctx, in.PhoneNumberSid)
	switch {
	case twilio.NotFound(err):
		return owner, remote, errs.New(errs.Invalid, "this account has no number with this SID; copy it from the number's page of the same account in the Twilio Console").At("phoneNumberSid").Because(err)
	case err != nil:
		return owner, remote, err
	case remote.AccountSID != in.AccountSid:
		return owner, remote, errs.New(errs.Invalid, "the number belongs to another account, such as a subaccount; enter the SID and token of that one").At("phoneNumberSid")
	case remote.E164 != string(e164):
		return owner, remote, errs.New(errs.Invalid, "the SID is that of another number (%s); enter the number and the SID from the same page in the Twilio Console", phone.Mask(phone.E164(remote.E164))).At("phoneNumber")
	}
	return owner, remote, nil
}

// accountProblem says what the answer of FetchAccount means to whoever typed SID and token.
func accountProblem(owner twilio.Account, err error, sid string) error {
	switch {
	case twilio.Unauthorized(err), twilio.NotFound(err):
		return errs.New(errs.Invalid, "Twilio does not know this auth token for this account; copy the account's SID and its primary auth token from the same page of the Twilio Console").At("authToken").Because(err)
	case err != nil:
		return err
	case owner.SID != sid:
		return errs.New(errs.Invalid, "the auth token belongs to another account").At("authToken")
	case owner.Status == "closed":
		return errs.New(errs.Conflict, "Twilio has closed this account; use another one").At("accountSid")
	}
	return nil
}

func typeOf(owner twilio.Account) AccountType {
	if strings.EqualFold(owner.Type, "Trial") {
		return AccountTrial
	}
	return AccountFull
}

// keep writes connection, secrets and the disabled number.
func (s *Service) keep(ctx context.Context, who access.Actor, in ConnectionCreate, connection id.ID, owner twilio.Account, remote twilio.PhoneNumber, country *string) (n *PhoneNumber, err error) {
	org := who.OrganizationID
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		c, err := lockConnection(ctx, tx, org, connection)
		isNew := errs.IsCode(err, errs.NotFound)
		if err != nil && !isNew {
			return err
		}
		if isNew {
			c = &Connection{
				OrganizationID: org, ID: connection, AccountSid: in.AccountSid, IncomingRecording: RecordingOff, OutgoingRecording: RecordingOff,
				CallsPerSecond: 1, CreatedAt: tx.Now,
			}
		} else if c.DisconnectedAt == nil && c.ApplicationSid != nil { // somebody else was quicker
			return errs.New(errs.Taken, "this account is connected already as %q", c.Name).At("accountSid")
		}
		c.Name, c.IsEnabled, c.DisconnectedAt = in.Name, true, nil
		c.AccountType, c.AccountStatus, c.CheckedAt = typeOf(owner), owner.Status, moment(tx.Now)
		c.ImportStatus, c.ImportDone, c.ImportTotal, c.ImportError, c.RotationEndsAt = ImportNone, 0, 0, nil, nil
		if country != nil {
			c.DefaultCountry = country
		}
		if isNew {
			c.Version, c.UpdatedAt = 1, tx.Now
			_, err = tx.NewInsert().Model(c).Exec(ctx)
		} else {
			err = c.save(ctx, tx)
		}
		if err != nil {
			return err
		}
		if err := s.seal(ctx, tx, org, c.ID, authToken, in.AuthToken); err != nil {
			return err
		}
		secrets, err := s.unseal(ctx, tx, org, c.ID)
		if err != nil {
			return err
		}
		if secrets[accessKey] == "" {
			if err := s.seal(ctx, tx, org, c.ID, accessKey, newAccessKey()); err != nil {
				return err
			}
		}
		hint, err := s.defaultCountry(ctx, tx, org, c.ID)
		if err != nil {
			return err
		}
		if _, err := s.takeIn(ctx, tx, c, []twilio.PhoneNumber{remote}, hint); err != nil {
			return err
		}
		if n, err = s.ByE164InConnection(ctx, tx, c.ID, phone.E164(remote.E164)); err != nil || n.DisconnectedAt != nil {
			return s.heldElsewhere(ctx, tx, org, phone.E164(remote.E164))
		}
		s.forget(tx, c.ID)
		action := "connection.create"
		if !isNew {
			action = "connection.reconnect"
		}
		return told(ctx, tx, who, ConnectionUpdated, action, c.ID, map[string]any{"accountSid": c.AccountSid, "phoneNumberId": n.ID})
	})
	return n, err
}

// heldElsewhere names the connection that has the number.
func (s *Service) heldElsewhere(ctx context.Context, tx *db.Tx, org id.ID, e164 phone.E164) error {
	c, err := connectionWhere(ctx, tx, ` JOIN phone_number n ON n.organization_id = c.organization_id AND n.connection_id = c.id
		WHERE c.organization_id = $1 AND n.e164 = $2 AND n.disconnected_at IS NULL`, org, string(e164))
	if err != nil {
		return err
	}
	return errs.New(errs.Taken, "this number belongs to the connection %q already; disconnect it there first", c.Name).At("phoneNumber")
}

// nameAtTwilio is the name of the API key and the TwiML App in the customer's account.
func nameAtTwilio(connection id.ID) string { return "Switchboard " + connection.String() }

// setUp makes the API key and the TwiML App that the Voice SDK needs, or finds
// them again by their name. It may be repeated at any time.
func (s *Service) setUp(ctx context.Context, who access.Actor, a *account) (c *Connection, err error) {
	ctx = db.WithTenant(ctx, a.org)
	c, err = connectionByID(ctx, s.db.App(), a.org, a.connection)
	if err != nil {
		return nil, err
	}
	secrets, err := s.unseal(ctx, s.db.App(), a.org, a.connection)
	if err != nil {
		return nil, err
	}
	key, err := s.ensureKey(ctx, c, secrets[apiKeySecret], a.client)
	if err != nil {
		return nil, err
	}
	app, err := s.ensureApplication(ctx, c, a)
	if err != nil {
		return nil, err
	}
	err = s.db.InTx(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
		if c, err = lockConnection(ctx, tx, a.org, a.connection); err != nil {
			return err
		}
		c.APIKeySid, c.ApplicationSid = &key.SID, &app.SID
		if err := s.seal(ctx, tx, a.org, a.connection, apiKeySecret, key.Secret); err != nil {
			return err
		}
		if err := c.save(ctx, tx); err != nil {
			return err
		}
		return told(ctx, tx, who, ConnectionUpdated, "connection.setup", c.ID, map[string]any{"apiKeySid": key.SID, "applicationSid": app.SID})
	})
	return c, err
}

// ensureKey returns the key that is kept, if Twilio still has it, else a new one.
// Others of the name are remains of a beginning that was cut short: nobody has
// their secret.
func (s *Service) ensureKey(ctx context.Context, c *Connection, secret string, client *twilio.Client) (twilio.Key, error) {
	name := nameAtTwilio(c.ID)
	keys, err := client.ListKeys(ctx, name)
	if err != nil {
		return twilio.Key{}, err
	}
	var kept *twilio.Key
	for _, k := range keys {
		if c.APIKeySid != nil && k.SID == *c.APIKeySid && secret != "" {
			kept = &twilio.Key{SID: k.SID, Name: k.Name, Secret: secret}
			continue
		}
		if err := client.DeleteKey(ctx, k.SID); err != nil {
			return twilio.Key{}, err
		}
	}
	if kept != nil {
		return *kept, nil
	}
	return client.CreateKey(ctx, name)
}

func (s *Service) ensureApplication(ctx context.Context, c *Connection, a *account) (twilio.Application, error) {
	h := s.hooksOf(c.ID, a.accessKey)
	want := twilio.Application{
		Name: nameAtTwilio(c.ID), VoiceURL: h.TwiML(appPath, nil), VoiceMethod: "POST",
		VoiceFallbackURL: h.TwiML(fallbackPath, nil), VoiceFallbackMethod: "POST",
		StatusCallback: h.Callback(statusPath, nil), StatusCallbackMethod: "POST",
	}
	apps, err := a.client.ListApplications(ctx, want.Name)
	if err != nil {
		return twilio.Application{}, err
	}
	if len(apps) == 0 {
		return a.client.CreateApplication(ctx, want)
	}
	for _, spare := range apps[1:] {
		if err := a.client.DeleteApplication(ctx, spare.SID); err != nil {
			return twilio.Application{}, err
		}
	}
	want.SID = apps[0].SID
	return a.client.UpdateApplication(ctx, want)
}

// enable notes that the number is enabled, then writes our addresses.
func (s *Service) enable(ctx context.Context, who access.Actor, number id.ID, a *account, cur twilio.NumberSettings) (n *PhoneNumber, err error) {
	h := s.hooksOf(a.connection, a.accessKey)
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if n, err = numberByID(ctx, tx, a.org, number, forUpdate); err != nil {
			return err
		}
		s.intend(n, h, a.accessKey, cur)
		n.IsEnabled = true
		has, err := s.Default(ctx, tx)
		if err != nil {
			return err
		}
		n.IsDefault = n.IsDefault || has == nil // R010, R011: the first number is the fallback until another is chosen
		if err := n.save(ctx, tx); err != nil {
			return err
		}
		return told(ctx, tx, who, "", "number.enable", n.ID, nil)
	})
	if err != nil {
		return nil, err
	}
	return s.write(ctx, who, n, a, cur, false)
}

// setupArgs is the job that finishes a connection whose beginning was cut short.
type setupArgs struct {
	Organization id.ID `json:"organization"`
	Connection   id.ID `json:"connection"`
}

// Kind names the job.
func (setupArgs) Kind() string { return "number.setup" }

// Tenant is the job's organization.
func (a setupArgs) Tenant() id.ID { return a.Organization }

func (s *Service) runSetup(ctx context.Context, args setupArgs) error {
	a, err := s.accountOf(ctx, args.Connection)
	if errs.IsCode(err, errs.NotFound) {
		return nil // disconnected meanwhile
	}
	if err != nil {
		return err
	}
	_, err = s.setUp(ctx, access.System(args.Organization), a)
	if twilio.Unauthorized(err) {
		s.logger.WarnContext(ctx, "Twilio refuses a connection's auth token", slog.String("connection_id", args.Connection.String()))
		return job.Cancel(err)
	}
	return err
}

// ConnectionUpdate is a change: absent keeps.
type ConnectionUpdate struct {
	Name              patch.Field[string]
	IsEnabled         patch.Field[bool]
	AuthToken         patch.Field[string]
	DefaultCountry    patch.Field[string] // null: the organization's
	IncomingRecording patch.Field[RecordingMode]
	OutgoingRecording patch.Field[RecordingMode]
	CallsPerSecond    patch.Field[int]
}

// UpdateConnection changes a connection. A new auth token is tried before it is
// kept; the earlier one verifies webhooks for another day (R005). Codes:
// errs.Forbidden, errs.NotFound, errs.Invalid, errs.Required, errs.Conflict.
func (s *Service) UpdateConnection(ctx context.Context, who access.Actor, connection id.ID, in ConnectionUpdate) (c *Connection, err error) {
	if err := who.Require(access.ConnectionManage); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	if c, err = connectionByID(ctx, s.db.App(), who.OrganizationID, connection); err != nil {
		return nil, err
	}
	if err := c.apply(in); err != nil { // before Twilio is asked
		return nil, err
	}
	var owner *twilio.Account
	if in.AuthToken.Set {
		if owner, err = s.tryToken(ctx, c, in.AuthToken.Value); err != nil {
			return nil, err
		}
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if c, err = lockConnection(ctx, tx, who.OrganizationID, connection); err != nil {
			return err
		}
		if err := c.apply(in); err != nil {
			return err
		}
		if owner != nil {
			if err := s.rotate(ctx, tx, c, in.AuthToken.Value); err != nil {
				return err
			}
			c.AccountType, c.AccountStatus = typeOf(*owner), owner.Status
		}
		if err := c.save(ctx, tx); err != nil {
			return err
		}
		s.forget(tx, c.ID)
		return told(ctx, tx, who, ConnectionUpdated, "connection.update", c.ID, map[string]any{"fields": in.fields()})
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Connection) apply(in ConnectionUpdate) (err error) {
	if c.DisconnectedAt != nil {
		return errs.New(errs.Conflict, "this account is disconnected; connect it again first")
	}
	if in.Name.Set {
		if c.Name, err = checkText(in.Name.Value, maxName, "name"); err != nil {
			return err
		}
	}
	if err := need(in.IsEnabled, &c.IsEnabled, "isEnabled"); err != nil {
		return err
	}
	if in.DefaultCountry.Set {
		c.DefaultCountry = nil
		if in.DefaultCountry.Has() && in.DefaultCountry.Value != "" {
			country, err := checkCountry(in.DefaultCountry.Value, "defaultCountry")
			if err != nil {
				return err
			}
			c.DefaultCountry = &country
		}
	}
	for field, m := range map[string]struct {
		change patch.Field[RecordingMode]
		dst    *RecordingMode
	}{"incomingRecording": {in.IncomingRecording, &c.IncomingRecording}, "outgoingRecording": {in.OutgoingRecording, &c.OutgoingRecording}} {
		if m.change.Has() && !m.change.Value.Known() {
			return errs.New(errs.Invalid, "%q is not a recording mode", string(m.change.Value)).At(field)
		}
		if err := need(m.change, m.dst, field); err != nil {
			return err
		}
	}
	if in.CallsPerSecond.Has() && (in.CallsPerSecond.Value < 1 || in.CallsPerSecond.Value > 30) {
		return errs.New(errs.Invalid, "an account starts 1 to 30 calls a second; Twilio gives 1 unless you asked for more").At("callsPerSecond")
	}
	return need(in.CallsPerSecond, &c.CallsPerSecond, "callsPerSecond")
}

func (in ConnectionUpdate) fields() []string {
	var out []string
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"name", in.Name.Set}, {"isEnabled", in.IsEnabled.Set}, {"authToken", in.AuthToken.Set}, {"defaultCountry", in.DefaultCountry.Set},
		{"incomingRecording", in.IncomingRecording.Set}, {"outgoingRecording", in.OutgoingRecording.Set}, {"callsPerSecond", in.CallsPerSecond.Set},
	} {
		if f.set {
			out = append(out, f.name)
		}
	}
	return out
}

// tryToken asks Twilio whether the token is the account's.
func (s *Service) tryToken(ctx context.Context, c *Connection, token string) (*twilio.Account, error) {
	client, err := s.client(c.AccountSid, token)
	if err != nil {
		return nil, at(err, "authToken")
	}
	owner, err := client.FetchAccount(ctx)
	if err := accountProblem(owner, err, c.AccountSid); err != nil {
		return nil, err
	}
	return &owner, nil
}

// rotate keeps a new auth token and, for a day, the one before: webhooks that
// Twilio signed before the change are still on their way.
func (s *Service) rotate(ctx context.Context, tx *db.Tx, c *Connection, token string) error {
	secrets, err := s.unseal(ctx, tx, c.OrganizationID, c.ID)
	if err != nil {
		return err
	}
	if former := secrets[authToken]; former != "" && !same(former, token) {
		if err := s.seal(ctx, tx, c.OrganizationID, c.ID, previousAuthToken, former); err != nil {
			return err
		}
		c.RotationEndsAt = moment(tx.Now.Add(rotationLife))
	}
	return s.seal(ctx, tx, c.OrganizationID, c.ID, authToken, token)
}
