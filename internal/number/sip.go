package number

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/twilio"
)

// SIPDomain is a Twilio SIP domain of a connection (R255, D22).
type SIPDomain struct {
	bun.BaseModel `bun:"table:sip_domain,alias:sip"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	ConnectionID   id.ID      `bun:"connection_id,type:uuid"`
	TwilioSid      string     `bun:"twilio_sid"`
	DomainName     string     `bun:"domain_name"`
	FriendlyName   string     `bun:"friendly_name"`
	IsEnabled      bool       `bun:"is_enabled"`
	Missing        []SIPNeed  `bun:"missing,array"`
	PreviousURL    *string    `bun:"previous_url"`    // where its calls went before us
	PreviousStatus *string    `bun:"previous_status"` // where news of them went
	CheckedAt      *time.Time `bun:"checked_at"`
	RemovedAt      *time.Time `bun:"removed_at"`
	CreatedAt      time.Time  `bun:"created_at"`
	UpdatedAt      time.Time  `bun:"updated_at"`
}

// IsNode marks the type as one with an id.
func (*SIPDomain) IsNode() {}

// SIPNeed is one thing that a SIP domain needs (R256).
type SIPNeed string

// The needs, in the order in which they are set up.
const (
	NeedsFriendlyName            SIPNeed = "FRIENDLY_NAME"
	NeedsSIPURI                  SIPNeed = "SIP_URI"
	NeedsCallCredentials         SIPNeed = "CALL_CREDENTIALS"
	NeedsRegistration            SIPNeed = "REGISTRATION"
	NeedsRegistrationCredentials SIPNeed = "REGISTRATION_CREDENTIALS"
	NeedsWebhook                 SIPNeed = "WEBHOOK"
)

// SIPCheck is whether a SIP domain has what it needs.
type SIPCheck struct {
	Code SIPNeed
	IsOk bool
	Fix  *string
}

// fixes say what to do about each need, in the order in which it is done.
var fixes = []struct {
	need SIPNeed
	fix  string
}{
	{NeedsFriendlyName, "give the domain a friendly name in the Twilio Console, under Voice, SIP domains"},
	{NeedsSIPURI, "give the domain a SIP URI, such as acme.sip.twilio.com, in the Twilio Console"},
	{NeedsCallCredentials, "choose a credential list under Voice Authentication of the domain: without it phones cannot call"},
	{NeedsRegistration, "switch SIP registration of the domain on: it is off by default, and phones that are not registered do not ring"},
	{NeedsRegistrationCredentials, "choose a credential list under SIP Registration of the domain: the one for calls does not count for it"},
	{NeedsWebhook, "enable the domain here: then its calls come to us"},
}

// Needs are what the domain needs, and whether it is there (R256).
func (d *SIPDomain) Needs() []*SIPCheck {
	out := make([]*SIPCheck, len(fixes))
	for i, f := range fixes {
		out[i] = &SIPCheck{Code: f.need, IsOk: !slices.Contains(d.Missing, f.need)}
		if !out[i].IsOk {
			out[i].Fix = &f.fix
		}
	}
	return out
}

// lacks is what a domain lacks as Twilio has it (R256).
func (s *Service) lacks(connection id.ID, d twilio.SIPDomain) []SIPNeed {
	out := []SIPNeed{}
	for _, f := range fixes {
		ok := true
		switch f.need {
		case NeedsFriendlyName:
			ok = d.FriendlyName != ""
		case NeedsSIPURI:
			ok = d.Name != ""
		case NeedsCallCredentials:
			ok = d.CallLists > 0
		case NeedsRegistration:
			ok = d.Registration
		case NeedsRegistrationCredentials:
			ok = d.RegistrationLists > 0
		case NeedsWebhook:
			ok = s.ours(connection, d.VoiceURL)
		}
		if !ok {
			out = append(out, f.need)
		}
	}
	return out
}

func words(needs []SIPNeed) []string {
	out := make([]string, len(needs))
	for i, n := range needs {
		out[i] = string(n)
	}
	return out
}

var errNoDomain = errs.New(errs.NotFound, "there is no such SIP domain; import the domains of the account first")

// maxDomains is how many SIP domains of an account are looked at.
const maxDomains = 100

// ImportSIPDomains reads the SIP domains of an account and checks what each lacks
// (R255, R256). New ones are not used until they are enabled; those that are gone
// are marked so. Codes: errs.Forbidden, errs.NotFound, errs.LimitReached, and what
// Twilio answers.
func (s *Service) ImportSIPDomains(ctx context.Context, who access.Actor, connection id.ID) (out []*SIPDomain, err error) {
	defer errs.Wrap(&err, "number.ImportSIPDomains(%s)", connection)
	if err := who.Require(access.ConnectionManage); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	a, err := s.connected(ctx, who, connection)
	if err != nil {
		return nil, err
	}
	remote, err := a.client.ListSIPDomains(ctx)
	if err != nil {
		return nil, err
	}
	if len(remote) > maxDomains {
		return nil, errs.New(errs.LimitReached, "the account has %d SIP domains; %d at most are looked at", len(remote), maxDomains)
	}
	for i := range remote {
		if remote[i], err = a.client.Mapped(ctx, remote[i]); err != nil {
			return nil, err
		}
	}
	err = s.db.InTx(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
		there := []string{}
		for _, d := range remote {
			there = append(there, d.SID)
			if _, err := db.Exec(ctx, tx, `INSERT INTO sip_domain (organization_id, id, connection_id, twilio_sid, domain_name, friendly_name, missing, checked_at, updated_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
				ON CONFLICT ON CONSTRAINT sip_domain_once DO UPDATE SET domain_name = excluded.domain_name, friendly_name = excluded.friendly_name,
					missing = excluded.missing, checked_at = excluded.checked_at, updated_at = excluded.updated_at, removed_at = NULL`,
				who.OrganizationID, id.New(id.SIPDomain), connection, d.SID, d.Name, d.FriendlyName, words(s.lacks(connection, d)), tx.Now); err != nil {
				return err
			}
		}
		if _, err := db.Exec(ctx, tx, `UPDATE sip_domain SET removed_at = $4, is_enabled = false, updated_at = $4
			WHERE organization_id = $1 AND connection_id = $2 AND twilio_sid <> ALL ($3::text[]) AND removed_at IS NULL`, who.OrganizationID, connection, there, tx.Now); err != nil {
			return err
		}
		if err := db.Select(ctx, tx, &out, selectSIPDomain+` WHERE x.organization_id = $1 AND x.connection_id = $2 AND x.removed_at IS NULL ORDER BY x.domain_name, x.id`,
			who.OrganizationID, connection); err != nil {
			return err
		}
		return told(ctx, tx, who, "", "sip_domain.import", connection, map[string]any{"domains": len(remote)})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// connected is the account of a connection that is in use.
func (s *Service) connected(ctx context.Context, who access.Actor, connection id.ID) (*account, error) {
	c, err := connectionByID(ctx, s.db.App(), who.OrganizationID, connection)
	switch {
	case err != nil:
		return nil, err
	case c.DisconnectedAt != nil:
		return nil, errs.New(errs.Conflict, "this account is disconnected; connect it again first").At("connectionId")
	}
	return s.accountOf(ctx, connection)
}

// EnableSIPDomain uses a SIP domain, or stops using it (D22). While it is used its
// calls come to us; what stood there before is given back afterwards, unless
// somebody else has changed it since. Codes: errs.Forbidden, errs.NotFound,
// errs.Conflict for a domain that is gone or another organization's, and what Twilio answers.
func (s *Service) EnableSIPDomain(ctx context.Context, who access.Actor, domain id.ID, enabled bool) (_ *SIPDomain, err error) {
	defer errs.Wrap(&err, "number.EnableSIPDomain(%s)", domain)
	if err := who.Require(access.ConnectionManage); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	d, err := sipDomainByID(ctx, s.db.App(), who.OrganizationID, domain, "")
	if err != nil {
		return nil, err
	}
	if d.RemovedAt != nil {
		return nil, errs.New(errs.Conflict, "this SIP domain is gone at Twilio; import the domains anew")
	}
	a, err := s.connected(ctx, who, d.ConnectionID)
	if err != nil {
		return nil, err
	}
	remote, err := a.client.FetchSIPDomain(ctx, d.TwilioSid)
	if err == nil {
		remote, err = a.client.Mapped(ctx, remote)
	}
	if err != nil {
		return nil, err
	}
	// What is written is noted before, so that it can be given back whatever comes of the writing.
	voice, status := s.sipHooks(d, a, remote, enabled)
	if enabled && !s.ours(d.ConnectionID, remote.VoiceURL) {
		if s.ofAnother(d.ConnectionID, remote.VoiceURL) {
			return nil, errs.New(errs.Conflict, "this SIP domain is used by another organization of this installation; disable it there first")
		}
		if err := s.keepSIP(ctx, d, func(d *SIPDomain) {
			d.PreviousURL, d.PreviousStatus = optional(remote.VoiceURL), optional(remote.StatusCallback)
		}); err != nil {
			return nil, err
		}
	}
	if voice != remote.VoiceURL || status != remote.StatusCallback {
		written, err := a.client.SetSIPDomainHooks(ctx, d.TwilioSid, voice, status)
		if twilio.Ambiguous(err) { // ask what became of it
			written, err = a.client.FetchSIPDomain(ctx, d.TwilioSid)
		}
		if err != nil {
			return nil, err
		}
		remote.VoiceURL, remote.StatusCallback = written.VoiceURL, written.StatusCallback
		if enabled && !twilio.SameHook(voice, written.VoiceURL) {
			return nil, errs.New(errs.ProviderRefused, "Twilio did not keep our address; try again, or look at the domain in the Twilio Console")
		}
	}
	err = s.db.InTx(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) (err error) {
		if d, err = sipDomainByID(ctx, tx, who.OrganizationID, domain, " FOR UPDATE"); err != nil {
			return err
		}
		d.IsEnabled, d.FriendlyName, d.DomainName, d.Missing, d.CheckedAt = enabled, remote.FriendlyName, remote.Name, s.lacks(d.ConnectionID, remote), moment(tx.Now)
		if !enabled {
			d.PreviousURL, d.PreviousStatus = nil, nil
		}
		if err := d.save(ctx, tx); err != nil {
			return err
		}
		return told(ctx, tx, who, "", "sip_domain.update", d.ID, map[string]any{"isEnabled": enabled})
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// sipHooks are the addresses that a domain gets: ours, or those from before in the
// parts that are still ours.
func (s *Service) sipHooks(d *SIPDomain, a *account, remote twilio.SIPDomain, enabled bool) (voice, status string) {
	if enabled {
		h := s.hooksOf(d.ConnectionID, a.accessKey)
		return h.TwiML(sipPath, nil), h.Callback(statusPath, nil)
	}
	before := func(current string, kept *string) string {
		switch {
		case !s.ours(d.ConnectionID, current):
			return current
		case kept == nil:
			return ""
		}
		return *kept
	}
	return before(remote.VoiceURL, d.PreviousURL), before(remote.StatusCallback, d.PreviousStatus)
}

// sipPath is the part of our addresses that a SIP domain is given.
const sipPath = "sip"

// ofAnother reports whether an address is one of this installation's, but not of this connection.
func (s *Service) ofAnother(connection id.ID, address string) bool {
	return !s.ours(connection, address) && len(address) > 0 && s.foreign(&Connection{ID: connection}, twilio.NumberSettings{VoiceURL: address}) == "is used by another organization of this installation"
}

func (s *Service) keepSIP(ctx context.Context, d *SIPDomain, change func(*SIPDomain)) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		row, err := sipDomainByID(ctx, tx, d.OrganizationID, d.ID, " FOR UPDATE")
		if err != nil {
			return err
		}
		change(row)
		change(d)
		return row.save(ctx, tx)
	})
}

func (d *SIPDomain) save(ctx context.Context, tx *db.Tx) error {
	d.UpdatedAt = tx.Now
	_, err := db.Exec(ctx, tx, `UPDATE sip_domain SET domain_name = $3, friendly_name = $4, is_enabled = $5, missing = $6, previous_url = $7, previous_status = $8,
			checked_at = $9, updated_at = $10
		WHERE organization_id = $1 AND id = $2`, d.OrganizationID, d.ID, d.DomainName, d.FriendlyName, d.IsEnabled, words(d.Missing), d.PreviousURL, d.PreviousStatus, d.CheckedAt, d.UpdatedAt)
	return err
}

// giveSIPBack restores the domains of a connection that ends; those that are gone
// at Twilio, or are somebody else's by now, stay as they are.
func (s *Service) giveSIPBack(ctx context.Context, c *Connection, a *account) error {
	var rows []*SIPDomain
	if err := db.Select(ctx, s.db.App(), &rows, selectSIPDomain+` WHERE x.organization_id = $1 AND x.connection_id = $2 AND x.is_enabled AND x.removed_at IS NULL`,
		c.OrganizationID, c.ID); err != nil {
		return err
	}
	for _, d := range rows {
		remote, err := a.client.FetchSIPDomain(ctx, d.TwilioSid)
		if twilio.NotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		voice, status := s.sipHooks(d, a, remote, false)
		if voice == remote.VoiceURL && status == remote.StatusCallback {
			continue
		}
		if _, err := a.client.SetSIPDomainHooks(ctx, d.TwilioSid, voice, status); err != nil {
			return err
		}
	}
	return nil
}

func sipDomainByID(ctx context.Context, q bun.IDB, org, domain id.ID, suffix string) (*SIPDomain, error) {
	d := &SIPDomain{}
	err := db.Select(ctx, q, d, selectSIPDomain+` WHERE x.organization_id = $1 AND x.id = $2`+suffix, org, domain)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoDomain
	}
	return d, err
}

// SIPDomain is one SIP domain. Codes: errs.NotFound, also without CONNECTION_MANAGE.
func (s *Service) SIPDomain(ctx context.Context, who access.Actor, domain id.ID) (*SIPDomain, error) {
	if !who.Can(access.ConnectionManage) {
		return nil, errNoDomain
	}
	return sipDomainByID(db.WithTenant(ctx, who.OrganizationID), s.db.App(), who.OrganizationID, domain, "")
}

// SIPDomains is a page of the SIP domains of one connection, or with the zero one
// of all, newest first. Codes: errs.Forbidden, errs.Invalid for the page.
func (s *Service) SIPDomains(ctx context.Context, who access.Actor, connection id.ID, p db.Page) (w db.Window[*SIPDomain], err error) {
	if err := who.Require(access.ConnectionManage); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	var rows []*SIPDomain
	if err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows, selectSIPDomain+`
		WHERE x.organization_id = $1 AND x.id < $2 AND ($3::uuid IS NULL OR x.connection_id = $3) AND x.removed_at IS NULL ORDER BY x.id DESC LIMIT $4`,
		who.OrganizationID, after.ID, connection, limit+1); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(d *SIPDomain) db.Keyset { return db.Keyset{At: d.CreatedAt, ID: d.ID} }), nil
}
