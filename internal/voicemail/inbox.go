package voicemail

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/recording"
)

// Listener is somebody who heard a voicemail.
type Listener struct {
	VoicemailID id.ID     `bun:"voicemail_id,type:uuid"`
	UserID      id.ID     `bun:"user_id,type:uuid"`
	HeardAt     time.Time `bun:"heard_at"`
}

// maxListeners is how many of those who heard a voicemail are told.
const maxListeners = 100

// Listeners are those who heard voicemails that the actor sees already, first to
// last, in one statement.
func (s *Service) Listeners(ctx context.Context, voicemails []id.ID) (map[id.ID][]*Listener, error) {
	var rows []*Listener
	err := db.Select(ctx, s.d.App(), &rows, `SELECT h.voicemail_id, h.user_id, h.heard_at FROM unnest($2::uuid[]) AS v (id)
		JOIN LATERAL (SELECT * FROM voicemail_heard x WHERE x.organization_id = $1 AND x.voicemail_id = v.id ORDER BY x.heard_at, x.user_id LIMIT $3) h ON true
		ORDER BY h.voicemail_id, h.heard_at, h.user_id`, db.TenantFrom(ctx), voicemails, maxListeners)
	out := make(map[id.ID][]*Listener, len(voicemails))
	for _, l := range rows {
		out[l.VoicemailID] = append(out[l.VoicemailID], l)
	}
	return out, err
}

// HeardByMe says of voicemails whether the actor has heard them, in one statement.
func (s *Service) HeardByMe(ctx context.Context, who access.Actor, voicemails []id.ID) (map[id.ID]bool, error) {
	out := make(map[id.ID]bool, len(voicemails))
	if who.UserID.IsZero() {
		return out, nil
	}
	var rows []struct {
		ID id.ID `bun:"voicemail_id,type:uuid"`
	}
	err := db.Select(ctx, s.d.App(), &rows, `SELECT h.voicemail_id FROM voicemail_heard h WHERE h.organization_id = $1 AND h.user_id = $2 AND h.voicemail_id = ANY ($3::uuid[])`,
		db.TenantFrom(ctx), who.UserID, voicemails)
	for _, r := range rows {
		out[r.ID] = true
	}
	return out, err
}

// NotifiedUsers are those who are told of voicemails at the numbers of voicemails
// (R128, D25), in one statement.
func (s *Service) NotifiedUsers(ctx context.Context, voicemails []id.ID) (map[id.ID][]id.ID, error) {
	var rows []struct {
		VoicemailID id.ID `bun:"voicemail_id,type:uuid"`
		UserID      id.ID `bun:"user_id,type:uuid"`
	}
	err := db.Select(ctx, s.d.App(), &rows, `SELECT v.id AS voicemail_id, n.user_id FROM voicemail v
		JOIN phone_number_voicemail_user n ON n.organization_id = v.organization_id AND n.phone_number_id = v.phone_number_id
		WHERE v.organization_id = $1 AND v.id = ANY ($2::uuid[]) ORDER BY v.id, n.user_id`, db.TenantFrom(ctx), voicemails)
	out := make(map[id.ID][]id.ID, len(voicemails))
	for _, r := range rows {
		out[r.VoicemailID] = append(out[r.VoicemailID], r.UserID)
	}
	return out, err
}

// MarkHeard notes that the actor has heard a voicemail, or that it is new to them
// again. The first who heard it stands in the voicemail. Marking it as it is changes
// nothing. Codes: errs.Forbidden, errs.NotFound.
func (s *Service) MarkHeard(ctx context.Context, who access.Actor, voicemail id.ID, heard bool) (_ *Voicemail, err error) {
	defer errs.Wrap(&err, "voicemail.MarkHeard")
	if err := who.Require(access.VoicemailListen); err != nil {
		return nil, err
	}
	v, err := s.Get(ctx, who, voicemail)
	if err != nil {
		return nil, err
	}
	err = s.d.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		// Its row first: who marks it, one after the other.
		var first *time.Time
		if err := tx.Pgx().QueryRow(ctx, `SELECT heard_at FROM voicemail WHERE organization_id = $1 AND id = $2 FOR UPDATE`, who.OrganizationID, voicemail).Scan(&first); err != nil {
			return db.Translate(err)
		}
		changed, err := s.mark(ctx, tx, who, voicemail, heard, first)
		if err != nil || !changed {
			return err
		}
		return event.Append(ctx, tx, told(EventUpdated, v.ID, v.CallID, v.BranchID, who.ID()))
	})
	if err != nil {
		return nil, err
	}
	return s.Get(ctx, who, voicemail)
}

func (s *Service) mark(ctx context.Context, tx *db.Tx, who access.Actor, voicemail id.ID, heard bool, first *time.Time) (changed bool, err error) {
	n := 0
	switch {
	case who.UserID.IsZero(): // a key hears for nobody
		if heard == (first != nil) {
			return false, nil
		}
	case heard:
		n, err = affected(db.Exec(ctx, tx, `INSERT INTO voicemail_heard (organization_id, voicemail_id, user_id, heard_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			who.OrganizationID, voicemail, who.UserID, tx.Now))
		if err != nil || n == 0 {
			return false, err
		}
	default:
		n, err = affected(db.Exec(ctx, tx, `DELETE FROM voicemail_heard WHERE organization_id = $1 AND voicemail_id = $2 AND user_id = $3`,
			who.OrganizationID, voicemail, who.UserID))
		if err != nil || n == 0 {
			return false, err
		}
	}
	if heard {
		_, err = db.Exec(ctx, tx, `UPDATE voicemail SET heard_by_user_id = CASE WHEN heard_at IS NULL THEN $4::uuid ELSE heard_by_user_id END, heard_at = coalesce(heard_at, $3),
			version = version + 1, updated_at = $3 WHERE organization_id = $1 AND id = $2`, who.OrganizationID, voicemail, tx.Now, who.UserID)
		return err == nil, err
	}
	_, err = db.Exec(ctx, tx, `UPDATE voicemail SET (heard_at, heard_by_user_id) = (SELECT min(h.heard_at), (array_agg(h.user_id ORDER BY h.heard_at, h.user_id))[1]
				FROM voicemail_heard h WHERE h.organization_id = $1 AND h.voicemail_id = $2),
			version = version + 1, updated_at = $3 WHERE organization_id = $1 AND id = $2`, who.OrganizationID, voicemail, tx.Now)
	return err == nil, err
}

func affected[T int | int64](n T, err error) (int, error) { return int(n), err }

// Counts is how many voicemails there are that an actor sees.
type Counts struct {
	Total       int `bun:"total"`
	Unheard     int `bun:"unheard"`
	UnheardByMe int `bun:"unheard_by_me"`
	Mine        int `bun:"mine"`
	MineUnheard int `bun:"mine_unheard"`

	ByNumber []*NumberCount `bun:"-"`
}

// NumberCount is how many voicemails were left at one number.
type NumberCount struct {
	PhoneNumberID id.ID `bun:"phone_number_id,type:uuid"`
	Total         int   `bun:"total"`
	Unheard       int   `bun:"unheard"`
	UnheardByMe   int   `bun:"unheard_by_me"`
}

// maxNumbers is of how many numbers the counts are told.
const maxNumbers = 500

// Count counts the voicemails that the actor sees, without deleted ones, in one
// statement. Code: errs.Forbidden without VOICEMAIL_LISTEN.
func (s *Service) Count(ctx context.Context, who access.Actor) (_ *Counts, err error) {
	defer errs.Wrap(&err, "voicemail.Count")
	if err := who.Require(access.VoicemailListen); err != nil {
		return nil, err
	}
	q := &query{}
	q.arg(who.OrganizationID)
	me := q.arg(who.UserID)
	const heard = "EXISTS (SELECT FROM voicemail_heard h WHERE h.organization_id = voicemail.organization_id AND h.voicemail_id = voicemail.id AND h.user_id = "
	q.sql.WriteString("SELECT voicemail.phone_number_id, GROUPING(voicemail.phone_number_id) AS whole, count(*) AS total, count(*) FILTER (WHERE voicemail.heard_at IS NULL) AS unheard," +
		" count(*) FILTER (WHERE NOT " + heard + me + ")) AS unheard_by_me, count(*) FILTER (WHERE voicemail.owner_user_id = " + me + ") AS mine," +
		" count(*) FILTER (WHERE voicemail.owner_user_id = " + me + " AND NOT " + heard + me + ")) AS mine_unheard" + from + " WHERE voicemail.organization_id = $1 AND " + live)
	q.seenBy(who)
	q.sql.WriteString(" GROUP BY GROUPING SETS ((), (voicemail.phone_number_id)) ORDER BY whole DESC, unheard DESC, total DESC, voicemail.phone_number_id LIMIT " + q.arg(maxNumbers+1))
	var rows []struct {
		Counts
		PhoneNumberID id.ID `bun:"phone_number_id,type:uuid"`
		Whole         int   `bun:"whole"`
	}
	if err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.d.App(), &rows, q.sql.String(), q.args...); err != nil {
		return nil, err
	}
	out := &Counts{}
	for _, r := range rows {
		if r.Whole != 0 {
			*out = r.Counts
			continue
		}
		out.ByNumber = append(out.ByNumber, &NumberCount{PhoneNumberID: r.PhoneNumberID, Total: r.Total, Unheard: r.Unheard, UnheardByMe: r.UnheardByMe})
	}
	return out, nil
}

// Assign hands the follow-up of voicemails to somebody, or with the zero id to
// nobody (D25): all of them or, with an error, none. Taking them oneself needs
// VOICEMAIL_LISTEN, handing them to others FOLLOW_UP_MANAGE; whose they become hears
// voicemails and sees follow-ups. Codes: errs.Forbidden; errs.NotFound for what the
// actor does not see; errs.Conflict for somebody who cannot sign in and for deleted
// voicemails; errs.Invalid for somebody whose role lacks a permission; those of
// recording.CheckIDs.
func (s *Service) Assign(ctx context.Context, who access.Actor, ids []id.ID, user id.ID) (_ []*Voicemail, err error) {
	defer errs.Wrap(&err, "voicemail.Assign")
	if err := who.Require(access.VoicemailListen); err != nil {
		return nil, err
	}
	if err := recording.CheckIDs(ids, id.Voicemail); err != nil {
		return nil, err
	}
	if user.IsZero() || user != who.UserID {
		if err := who.Require(access.FollowUpManage); err != nil {
			return nil, err
		}
	}
	before, err := s.Visible(ctx, who, ids)
	if err != nil {
		return nil, err
	}
	for _, x := range ids {
		switch v := before[x]; {
		case v == nil:
			return nil, errs.New(errs.NotFound, "there is no voicemail %s", x).At("ids")
		case v.DeletedAt != nil:
			return nil, errs.New(errs.Conflict, "the voicemail %s is deleted", x).At("ids")
		}
	}
	err = s.d.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if err := mayOwn(ctx, tx, who, user); err != nil {
			return err
		}
		var changed []*Voicemail
		if err := db.Select(ctx, tx, &changed, `WITH those AS MATERIALIZED (SELECT id FROM voicemail WHERE organization_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id FOR UPDATE)
			UPDATE voicemail SET owner_user_id = $3, version = version + 1, updated_at = $4 FROM those
			WHERE voicemail.organization_id = $1 AND voicemail.id = those.id AND voicemail.owner_user_id IS DISTINCT FROM $3
			RETURNING voicemail.id, voicemail.call_id, voicemail.branch_id`, who.OrganizationID, ids, user, tx.Now); err != nil {
			return err
		}
		facts := make([]event.Event, len(changed))
		for i, v := range changed {
			facts[i] = told(EventUpdated, v.ID, v.CallID, v.BranchID, who.ID())
			if err := audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "voicemail.assign", Subject: v.ID, Detail: map[string]any{"user": user}}); err != nil {
				return err
			}
		}
		return event.Append(ctx, tx, facts...)
	})
	if err != nil {
		return nil, err
	}
	// Whoever handed their own away may see it no longer.
	after, err := s.Visible(ctx, who, ids)
	if err != nil {
		return nil, err
	}
	out := make([]*Voicemail, 0, len(ids))
	for _, x := range ids {
		if v := after[x]; v != nil {
			out = append(out, v)
			delete(after, x)
		}
	}
	return out, nil
}

func mayOwn(ctx context.Context, tx *db.Tx, who access.Actor, user id.ID) error {
	if user.IsZero() {
		return nil
	}
	if err := user.Want(id.User); err != nil {
		return errs.New(errs.Invalid, "%s", err).At("userId")
	}
	var status string
	var hears, works bool
	err := tx.Pgx().QueryRow(ctx, `SELECT u.status, `+access.MaySQL("u", "r", access.VoicemailListen)+`, `+access.MaySQL("u", "r", access.FollowUpView)+`
		FROM "user" u JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id WHERE u.organization_id = $1 AND u.id = $2`, who.OrganizationID, user).
		Scan(&status, &hears, &works)
	lacks := func(p access.Permission) error {
		return errs.New(errs.Invalid, "this person's role lacks the permission %s; choose somebody else", p).At("userId")
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return errs.New(errs.NotFound, "there is no such person").At("userId")
	case err != nil:
		return db.Translate(err)
	case status != "ACTIVE":
		return errs.New(errs.Conflict, "this person cannot sign in; choose somebody active").At("userId")
	case !hears:
		return lacks(access.VoicemailListen)
	case !works:
		return lacks(access.FollowUpView)
	}
	return nil
}

// CallBack is how to call back.
type CallBack struct {
	PhoneNumberID id.ID // shown; zero: chosen by D17
	DeviceID      id.ID
	RingMyPhone   bool
	RingMySIP     bool
}

// Call calls back who left a voicemail, on the path of call.Start: contact and
// record stay linked as far as the actor sees them, and a hidden number is called
// without being shown. With a key it acts once. Codes: those of call.CallBack;
// errs.NotFound.
func (s *Service) Call(ctx context.Context, who access.Actor, voicemail id.ID, in CallBack, key string) (_ *call.Call, err error) {
	defer errs.Wrap(&err, "voicemail.Call")
	if err := who.Require(access.CallMake); err != nil {
		return nil, err
	}
	v, err := s.Get(ctx, who, voicemail)
	if err != nil {
		return nil, err
	}
	return s.calls.CallBack(ctx, who, call.Back{Of: v.ID, Number: v.FromNumber, IsHidden: v.FromMasked, ContactID: v.ContactID, RecordID: v.RecordID,
		PhoneNumberID: in.PhoneNumberID, DeviceID: in.DeviceID, RingMyPhone: in.RingMyPhone, RingMySIP: in.RingMySIP}, "voicemailCallBack", key)
}
