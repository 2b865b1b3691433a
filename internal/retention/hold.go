package retention

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/recording"
	"switchboard/internal/tenant"
)

const maxReason = 1000

// holdable are the tables of what can be held, by the kind of id.
var holdable = map[id.Kind]string{
	id.Call: "call", id.Recording: "recording", id.Voicemail: "voicemail", id.Transcript: "transcript", id.Thread: "sms_thread",
	id.Message: "message", id.Contact: "contact", id.Record: "record",
}

func reasonOf(text string, field ...string) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", errs.New(errs.Required, "say why; whoever looks at it in years needs to know").At(field...)
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0) || utf8.RuneCountInString(text) > maxReason:
		return "", errs.New(errs.Invalid, "the reason has more than %d characters, or such that cannot be shown", maxReason).At(field...)
	}
	return text, nil
}

// Place holds something, with all that belongs to it; what is held already keeps
// its hold. Codes: errs.Forbidden, errs.Invalid, errs.Required, errs.NotFound.
func (s *Service) Place(ctx context.Context, who access.Actor, subject id.ID, reason string) (h *Hold, err error) {
	defer errs.Wrap(&err, "retention.Place(%s)", subject)
	if err := may(who); err != nil {
		return nil, err
	}
	if reason, err = reasonOf(reason, "input", "reason"); err != nil {
		return nil, err
	}
	table, ok := holdable[subject.Kind()]
	if !ok {
		return nil, errs.New(errs.Invalid, "hold a call, recording, voicemail, transcript, thread, message, contact or record").At("input", "subjectId")
	}
	err = s.d.DB.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if err := tenant.BeforeHolding(ctx, tx); err != nil {
			return err
		}
		// Locked, so that nothing deletes it between this look and the commit.
		var x id.ID
		err := tx.Pgx().QueryRow(ctx, `SELECT id FROM `+table+` WHERE organization_id = $1 AND id = $2 FOR UPDATE`, who.OrganizationID, subject).Scan(&x)
		if err != nil {
			if err = db.Translate(err); errs.IsCode(err, errs.NotFound) || errors.Is(err, sql.ErrNoRows) {
				return errs.New(errs.NotFound, "there is no such thing, or you may not know of it").At("input", "subjectId")
			}
			return err
		}
		h = &Hold{OrganizationID: who.OrganizationID, ID: id.New(id.LegalHold), SubjectID: subject, Reason: reason, PlacedByID: who.UserID, PlacedAt: tx.Now}
		done, err := tx.Pgx().Exec(ctx, `INSERT INTO legal_hold (organization_id, id, subject, reason, placed_by, placed_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (organization_id, subject) WHERE released_at IS NULL DO NOTHING`, h.OrganizationID, h.ID, h.SubjectID, h.Reason, h.PlacedByID, h.PlacedAt)
		if err != nil {
			return db.Translate(err)
		}
		if done.RowsAffected() == 0 {
			return db.Select(ctx, tx, h, `SELECT `+holdColumns+` FROM legal_hold hold WHERE hold.organization_id = $1 AND hold.subject = $2 AND hold.released_at IS NULL`, who.OrganizationID, subject)
		}
		if err := s.noted(ctx, tx, h); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "legal_hold.place", Subject: subject, Detail: map[string]any{"holdId": h.ID.String(), "reason": reason}})
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (s *Service) noted(ctx context.Context, tx *db.Tx, h *Hold) error {
	if s.d.Noted == nil {
		return nil
	}
	return s.d.Noted(ctx, tx, h)
}

// Release ends a hold. Releasing again succeeds. Codes: errs.Forbidden,
// errs.Required, errs.Invalid, errs.NotFound.
func (s *Service) Release(ctx context.Context, who access.Actor, hold id.ID, reason string) (h *Hold, err error) {
	defer errs.Wrap(&err, "retention.Release(%s)", hold)
	if err := may(who); err != nil {
		return nil, err
	}
	if reason, err = reasonOf(reason, "reason"); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		h = &Hold{}
		err := db.Select(ctx, tx, h, `SELECT `+holdColumns+` FROM legal_hold hold WHERE hold.organization_id = $1 AND hold.id = $2 FOR UPDATE`, who.OrganizationID, hold)
		if errors.Is(err, sql.ErrNoRows) {
			return errs.New(errs.NotFound, "there is no such hold").At("id")
		}
		if err != nil || h.ReleasedAt != nil {
			return err
		}
		now := tx.Now
		h.ReleasedByID, h.ReleasedAt, h.ReleaseReason = who.UserID, &now, &reason
		if _, err := db.Exec(ctx, tx, `UPDATE legal_hold SET released_by = $3, released_at = $4, release_reason = $5 WHERE organization_id = $1 AND id = $2`,
			h.OrganizationID, h.ID, h.ReleasedByID, now, reason); err != nil {
			return err
		}
		if err := s.noted(ctx, tx, h); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "legal_hold.release", Subject: h.SubjectID, Detail: map[string]any{"holdId": h.ID.String(), "reason": reason}})
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

const holdColumns = `hold.organization_id, hold.id, hold.subject, hold.reason, hold.placed_by, hold.placed_at, hold.released_by, hold.released_at, hold.release_reason`

// HoldFilter narrows a list of holds. The zero HoldFilter is all of them.
type HoldFilter struct {
	SubjectID id.ID
	IsActive  *bool
}

// Holds are holds, newest first. Codes: errs.Forbidden.
func (s *Service) Holds(ctx context.Context, who access.Actor, f HoldFilter, p db.Page) (w db.Window[*Hold], err error) {
	defer errs.Wrap(&err, "retention.Holds")
	if err := may(who); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	only, args := "", []any{who.OrganizationID, after.At, after.ID, limit + 1}
	if !f.SubjectID.IsZero() {
		only, args = " AND hold.subject = $5", append(args, f.SubjectID)
	}
	if f.IsActive != nil {
		only += map[bool]string{true: " AND hold.released_at IS NULL", false: " AND hold.released_at IS NOT NULL"}[*f.IsActive]
	}
	var rows []*Hold
	if err := db.Select(access.With(ctx, who), s.d.DB.App(), &rows, `SELECT `+holdColumns+` FROM legal_hold hold
WHERE hold.organization_id = $1 AND (hold.placed_at, hold.id) < ($2, $3)`+only+` ORDER BY hold.placed_at DESC, hold.id DESC LIMIT $4`, args...); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(h *Hold) db.Keyset { return db.Keyset{At: h.PlacedAt, ID: h.ID} }), nil
}

// Hold is one hold; errs.NotFound for those who may not see it too.
func (s *Service) Hold(ctx context.Context, who access.Actor, hold id.ID) (_ *Hold, err error) {
	defer errs.Wrap(&err, "retention.Hold(%s)", hold)
	h := &Hold{}
	if may(who) == nil {
		err = db.Select(access.With(ctx, who), s.d.DB.App(), h, `SELECT `+holdColumns+` FROM legal_hold hold WHERE hold.organization_id = $1 AND hold.id = $2`, who.OrganizationID, hold)
		if !errors.Is(err, sql.ErrNoRows) {
			return h, err
		}
	}
	return nil, errs.New(errs.NotFound, "there is no such hold")
}

// HoldsOf are the holds that keep calls and recordings from being deleted: their
// own, or that of a call, voicemail, contact or record that they belong to; the
// oldest of several. None for those who may not see holds.
func (s *Service) HoldsOf(ctx context.Context, who access.Actor, subjects []id.ID) (map[id.ID]*Hold, error) {
	if may(who) != nil {
		return nil, nil
	}
	var rows []struct {
		Of id.ID `bun:"of"`
		Hold
	}
	err := db.Select(access.With(ctx, who), s.d.DB.App(), &rows, `
SELECT x.id AS of, `+holdColumns+`
FROM (SELECT c.id, ARRAY[c.id, c.contact_id, c.record_id] AS along FROM call c WHERE c.organization_id = $1 AND c.id = ANY ($2::uuid[])
  UNION ALL SELECT recording.id, ARRAY[`+recording.Subjects+`]`+recording.From+`
    WHERE recording.organization_id = $1 AND recording.id = ANY ($2::uuid[])) x
CROSS JOIN LATERAL (SELECT * FROM legal_hold h WHERE h.organization_id = $1 AND h.subject = ANY (x.along) AND h.released_at IS NULL ORDER BY h.placed_at, h.id LIMIT 1) hold`,
		who.OrganizationID, subjects)
	out := make(map[id.ID]*Hold, len(rows))
	for i := range rows {
		out[rows[i].Of] = &rows[i].Hold
	}
	return out, err
}
