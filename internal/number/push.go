package number

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/twilio"
	"switchboard/internal/user"
)

// PushCredential is what wakes the mobile devices of an account.
type PushCredential struct {
	bun.BaseModel `bun:"table:push_credential,alias:push"`

	OrganizationID id.ID     `bun:"organization_id,pk,type:uuid"`
	ID             id.ID     `bun:"id,pk,type:uuid"`
	ConnectionID   id.ID     `bun:"connection_id,type:uuid"`
	Platform       string    `bun:"platform"`
	TwilioSid      string    `bun:"twilio_sid"`
	IsSandbox      bool      `bun:"is_sandbox"`
	CreatedAt      time.Time `bun:"created_at"`
	UpdatedAt      time.Time `bun:"updated_at"`
}

// PushSet is what shall wake the mobile devices of an account.
type PushSet struct {
	ConnectionID id.ID
	Platform     user.Platform
	Certificate  string // IOS, PEM
	PrivateKey   string // IOS, PEM
	IsSandbox    bool   // IOS
	Secret       string // ANDROID
}

// maxPushKey is the most that a certificate, a key or a secret holds, in bytes.
const maxPushKey = 32 << 10

// check refuses what Twilio could do nothing with.
func (p PushSet) check() error {
	for field, v := range map[string]string{"certificate": p.Certificate, "privateKey": p.PrivateKey, "secret": p.Secret} {
		if len(v) > maxPushKey {
			return errs.New(errs.Invalid, "this is longer than %d bytes", maxPushKey).At(field)
		}
	}
	switch p.Platform {
	case user.IOS:
		switch {
		case p.Certificate == "":
			return errs.New(errs.Required, "give the VoIP certificate as PEM").At("certificate")
		case p.PrivateKey == "":
			return errs.New(errs.Required, "give the certificate's private key as PEM").At("privateKey")
		case p.Secret != "":
			return errs.New(errs.Invalid, "a secret is for ANDROID").At("secret")
		}
		if _, err := tls.X509KeyPair([]byte(p.Certificate), []byte(p.PrivateKey)); err != nil { // its text could quote the key
			return errs.New(errs.Invalid, "certificate and private key are not PEM, or do not belong together; export both from the Keychain anew, the key without a password").At("certificate")
		}
	case user.Android:
		var account struct {
			Key string `json:"private_key"`
		}
		switch {
		case p.Secret == "":
			return errs.New(errs.Required, "give the Firebase service account as JSON").At("secret")
		case p.Certificate != "" || p.PrivateKey != "":
			return errs.New(errs.Invalid, "a certificate is for IOS").At("certificate")
		case json.Unmarshal([]byte(p.Secret), &account) != nil || account.Key == "":
			return errs.New(errs.Invalid, "this is no Firebase service account: it is JSON with a private_key; make one in the Firebase console under Service accounts").At("secret")
		}
	default:
		return errs.New(errs.Invalid, "push is for IOS and ANDROID; a browser needs none").At("platform")
	}
	return nil
}

// SetPush gives an account what wakes its mobile devices. It is passed on to Twilio
// and not kept: the new one is made before the old one is deleted, so devices can
// be woken throughout. Codes: errs.Forbidden, errs.NotFound, errs.Required and
// errs.Invalid by field, and what Twilio answers.
func (s *Service) SetPush(ctx context.Context, who access.Actor, in PushSet) (_ *PushCredential, err error) {
	defer errs.Wrap(&err, "number.SetPush(%s)", in.Platform)
	if err := who.Require(access.ConnectionManage); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	a, err := s.connected(ctx, who, in.ConnectionID)
	if err != nil {
		return nil, err
	}
	p := &PushCredential{OrganizationID: who.OrganizationID, ID: id.New(id.PushCredential), ConnectionID: in.ConnectionID, Platform: string(in.Platform),
		IsSandbox: in.IsSandbox && in.Platform == user.IOS}
	name := "Switchboard " + p.ID.String()
	p.TwilioSid, err = a.client.CreatePushCredential(ctx, twilio.PushKey{Name: name, Certificate: in.Certificate, PrivateKey: in.PrivateKey, Sandbox: p.IsSandbox, Secret: in.Secret})
	if twilio.Ambiguous(err) { // ask what became of it
		found, e := a.client.FindPushCredential(context.WithoutCancel(ctx), name)
		if e == nil && found != "" {
			p.TwilioSid, err = found, nil
		}
	}
	if err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	former := ""
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := lockConnection(ctx, tx, who.OrganizationID, in.ConnectionID); err != nil {
			return err
		}
		if err := tx.Pgx().QueryRow(ctx, `SELECT coalesce((SELECT twilio_sid FROM push_credential WHERE organization_id = $1 AND connection_id = $2 AND platform = $3), '')`,
			who.OrganizationID, in.ConnectionID, p.Platform).Scan(&former); err != nil {
			return db.Translate(err)
		}
		p.CreatedAt, p.UpdatedAt = tx.Now, tx.Now
		if _, err := db.Exec(ctx, tx, `INSERT INTO push_credential (organization_id, id, connection_id, platform, twilio_sid, is_sandbox, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
			ON CONFLICT ON CONSTRAINT push_credential_once DO UPDATE SET id = excluded.id, twilio_sid = excluded.twilio_sid, is_sandbox = excluded.is_sandbox,
				created_at = excluded.created_at, updated_at = excluded.updated_at`,
			p.OrganizationID, p.ID, p.ConnectionID, p.Platform, p.TwilioSid, p.IsSandbox, tx.Now); err != nil {
			return err
		}
		return told(ctx, tx, who, "", "push_credential.set", p.ID, map[string]any{"platform": p.Platform, "isSandbox": p.IsSandbox})
	})
	unused := former
	if err != nil {
		unused = p.TwilioSid
	}
	if unused != "" {
		if e := a.client.DeletePushCredential(ctx, unused); e != nil {
			s.logger.WarnContext(ctx, "a push credential that is not used any more stays at Twilio", slog.String("twilio_sid", unused), quiet(e))
		}
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// removePush deletes what wakes the devices of a connection that ends.
func (s *Service) removePush(ctx context.Context, c *Connection, client *twilio.Client) error {
	rows, err := s.PushCredentialsByConnections(ctx, []id.ID{c.ID})
	if err != nil {
		return err
	}
	for _, p := range rows[c.ID] {
		if err := client.DeletePushCredential(ctx, p.TwilioSid); err != nil {
			return err
		}
	}
	return nil
}
