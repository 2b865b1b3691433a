package voicemail

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/patch"
)

// DropMessage is a saved message for answering machines (R108).
type DropMessage struct {
	bun.BaseModel `bun:"table:drop_message,alias:drop_message"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	Name           string     `bun:"name"`
	Text           *string    `bun:"text"`
	AudioID        id.ID      `bun:"audio_id,type:uuid,nullzero"` // wins over the text
	Voice          string     `bun:"voice"`
	Language       string     `bun:"language"`
	RemovedAt      *time.Time `bun:"removed_at"`
	Version        int        `bun:"version"`
	CreatedAt      time.Time  `bun:"created_at"`
	UpdatedAt      time.Time  `bun:"updated_at"`
}

// IsNode marks the type as one with an id.
func (*DropMessage) IsNode() {}

func init() {
	db.RegisterConstraint("drop_message_name", errs.New(errs.Taken, "another message has this name").At("name"))
	db.RegisterConstraint("drop_message_audio", errs.New(errs.NotFound, "there is no such audio; upload it first").At("audioId"))
}

const (
	maxDropMessages = 200
	maxDropName     = 200

	dropColumns = `d.organization_id, d.id, d.name, d.text, d.audio_id, d.voice, d.language, d.removed_at, d.version, d.created_at, d.updated_at`
)

var errNoDrop = errs.New(errs.NotFound, "there is no such message, or you may not see it")

// DropChange is a new saved message, or a change of one: absent keeps, null clears.
type DropChange struct {
	Name     patch.Field[string]
	Text     patch.Field[string]
	AudioID  patch.Field[id.ID]
	Voice    patch.Field[string]
	Language patch.Field[string]
}

// apply checks the change and makes it.
func (m *DropMessage) apply(in DropChange) error {
	if in.Name.Set {
		m.Name = strings.TrimSpace(in.Name.Value)
	}
	in.Voice.Apply(&m.Voice)
	in.Language.Apply(&m.Language)
	if in.Text.Set {
		if m.Text = nil; strings.TrimSpace(in.Text.Value) != "" {
			m.Text = new(strings.TrimSpace(in.Text.Value))
		}
	}
	if in.AudioID.Set {
		m.AudioID = in.AudioID.Value
	}
	switch {
	case m.Name == "":
		return errs.New(errs.Required, "a message needs a name").At("name")
	case !utf8.ValidString(m.Name) || strings.ContainsFunc(m.Name, func(r rune) bool { return r < ' ' }):
		return errs.New(errs.Invalid, "the name holds characters that cannot be shown").At("name")
	case utf8.RuneCountInString(m.Name) > maxDropName:
		return errs.New(errs.Invalid, "the name is longer than %d characters", maxDropName).At("name")
	case m.Text == nil && m.AudioID.IsZero():
		return errs.New(errs.Required, "a message needs a text to speak or an audio to play").At("text")
	case !m.AudioID.IsZero():
		if err := m.AudioID.Want(number.AudioID); err != nil {
			return errs.New(errs.Invalid, "%s", err).At("audioId")
		}
	}
	return number.CheckSpeech(m.Voice, m.Language, m.Text)
}

// CreateDropMessage saves a message for answering machines, the same for everybody.
// Codes: errs.Forbidden, errs.Required, errs.Invalid, errs.Taken and errs.NotFound
// by field, errs.LimitReached.
func (s *Service) CreateDropMessage(ctx context.Context, who access.Actor, in DropChange) (_ *DropMessage, err error) {
	defer errs.Wrap(&err, "voicemail.CreateDropMessage")
	if err := who.Require(access.SettingsManage); err != nil {
		return nil, err
	}
	m := &DropMessage{OrganizationID: who.OrganizationID, ID: id.New(id.DropMessage), Voice: "Polly.Joanna", Language: "en-US", Version: 1}
	if err := m.apply(in); err != nil {
		return nil, err
	}
	err = s.d.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		var n int
		if err := tx.Pgx().QueryRow(ctx, `SELECT count(*) FROM drop_message WHERE organization_id = $1 AND removed_at IS NULL`, who.OrganizationID).Scan(&n); err != nil {
			return db.Translate(err)
		}
		if n >= maxDropMessages {
			return errs.New(errs.LimitReached, "there are %d saved messages, which is the most; take one away first", n)
		}
		m.CreatedAt, m.UpdatedAt = tx.Now, tx.Now
		if _, err := tx.NewInsert().Model(m).Exec(ctx); err != nil {
			return db.Translate(err)
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "drop_message.create", Subject: m.ID, Detail: map[string]any{"name": m.Name}})
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// UpdateDropMessage changes a saved message; drops under way keep the old one.
// Codes: those of CreateDropMessage, errs.NotFound.
func (s *Service) UpdateDropMessage(ctx context.Context, who access.Actor, message id.ID, in DropChange) (m *DropMessage, err error) {
	defer errs.Wrap(&err, "voicemail.UpdateDropMessage")
	if err := who.Require(access.SettingsManage); err != nil {
		return nil, err
	}
	err = s.d.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) (err error) {
		if m, err = dropByID(ctx, tx, who.OrganizationID, message, " FOR UPDATE"); err != nil {
			return err
		}
		if err := m.apply(in); err != nil {
			return err
		}
		m.Version, m.UpdatedAt = m.Version+1, tx.Now
		if _, err := tx.NewUpdate().Model(m).WherePK().ExcludeColumn("created_at").Exec(ctx); err != nil {
			return db.Translate(err)
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "drop_message.update", Subject: m.ID, Detail: map[string]any{"name": m.Name}})
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// DeleteDropMessage takes a saved message away. Codes: errs.Forbidden, errs.NotFound.
func (s *Service) DeleteDropMessage(ctx context.Context, who access.Actor, message id.ID) (err error) {
	defer errs.Wrap(&err, "voicemail.DeleteDropMessage")
	if err := who.Require(access.SettingsManage); err != nil {
		return err
	}
	return s.d.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		n, err := db.Exec(ctx, tx, `UPDATE drop_message SET removed_at = $3, updated_at = $3, version = version + 1 WHERE organization_id = $1 AND id = $2 AND removed_at IS NULL`,
			who.OrganizationID, message, tx.Now)
		if err != nil {
			return err
		}
		if n == 0 {
			return errNoDrop
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "drop_message.delete", Subject: message})
	})
}

// DropMessages is a page of the saved messages, newest first. Codes:
// errs.Forbidden without CALL_MAKE and SETTINGS_MANAGE, errs.Invalid for the page.
func (s *Service) DropMessages(ctx context.Context, who access.Actor, p db.Page) (w db.Window[*DropMessage], err error) {
	defer errs.Wrap(&err, "voicemail.DropMessages")
	if !who.Can(access.SettingsManage) {
		if err := who.Require(access.CallMake); err != nil {
			return w, err
		}
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	var rows []*DropMessage
	if err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.d.App(), &rows, `SELECT `+dropColumns+` FROM drop_message d
		WHERE d.organization_id = $1 AND d.removed_at IS NULL AND (d.created_at, d.id) < ($2, $3) ORDER BY d.created_at DESC, d.id DESC LIMIT $4`,
		who.OrganizationID, after.At, after.ID, limit+1); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(m *DropMessage) db.Keyset { return db.Keyset{At: m.CreatedAt, ID: m.ID} }), nil
}

// DropMessage is one saved message, else errs.NotFound.
func (s *Service) DropMessage(ctx context.Context, who access.Actor, message id.ID) (_ *DropMessage, err error) {
	if !who.Can(access.CallMake) && !who.Can(access.SettingsManage) {
		return nil, errNoDrop
	}
	return dropByID(db.WithTenant(ctx, who.OrganizationID), s.d.App(), who.OrganizationID, message, "")
}

func dropByID(ctx context.Context, q bun.IDB, org, message id.ID, suffix string) (*DropMessage, error) {
	m := &DropMessage{}
	err := db.Select(ctx, q, m, `SELECT `+dropColumns+` FROM drop_message d WHERE d.organization_id = $1 AND d.id = $2 AND d.removed_at IS NULL`+suffix, org, message)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoDrop
	}
	return m, err
}
