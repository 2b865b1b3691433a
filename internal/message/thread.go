package message

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// changeThread locks a thread that the actor sees, lets fn change it, and keeps and
// tells what came of it. It needs SMS_SEND.
func (s *Service) changeThread(ctx context.Context, who access.Actor, thread id.ID, fn func(ctx context.Context, tx *db.Tx, t *Thread) error) (t *Thread, err error) {
	if err := who.Require(access.SMSSend); err != nil {
		return nil, err
	}
	err = s.db.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if t, err = seenThread(ctx, tx, who, thread); err != nil {
			return err
		}
		was := *t
		if err := fn(ctx, tx, t); err != nil {
			return err
		}
		if t.AssignedUserID == was.AssignedUserID && t.IsOpen == was.IsOpen && t.ContactID == was.ContactID {
			return nil
		}
		return s.saveThread(ctx, tx, who, t)
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// seenThread locks a thread that the actor sees.
func seenThread(ctx context.Context, tx *db.Tx, who access.Actor, thread id.ID) (*Thread, error) {
	if !who.Can(access.SMSView) {
		return nil, errNoThread
	}
	q := selectFor(who, `SELECT t.* FROM sms_thread t WHERE t.organization_id = $1`)
	q.equal("t.id", thread)
	q.seenBy(who)
	q.sql.WriteString("\nFOR NO KEY UPDATE OF t")
	t := &Thread{}
	err := q.into(ctx, tx, who, t)
	if thread.IsZero() || errors.Is(err, sql.ErrNoRows) {
		return nil, errNoThread
	}
	return t, err
}

// saveThread writes what people change about a locked thread, and tells of it.
func (s *Service) saveThread(ctx context.Context, tx *db.Tx, who access.Actor, t *Thread) error {
	t.Version, t.UpdatedAt = t.Version+1, tx.Now
	_, err := db.Exec(ctx, tx, `
UPDATE sms_thread SET assigned_user_id = $3, contact_id = $4, is_open = $5, closed_at = $6, closed_by = $7, version = $8, updated_at = $9
WHERE organization_id = $1 AND id = $2`,
		t.OrganizationID, t.ID, t.AssignedUserID, t.ContactID, t.IsOpen, t.ClosedAt, t.ClosedByID, t.Version, t.UpdatedAt)
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, t.ID, ThreadUpdatedEvent, actorOf(who))
}

// Assign gives a thread to somebody who may answer it, or with the zero id to
// nobody. It needs SMS_SEND and sight of the thread. Codes: errs.NotFound,
// errs.Conflict for somebody who may not answer.
func (s *Service) Assign(ctx context.Context, who access.Actor, thread, user id.ID) (_ *Thread, err error) {
	defer errs.Wrap(&err, "message.Assign(%s)", thread)
	return s.changeThread(ctx, who, thread, func(ctx context.Context, tx *db.Tx, t *Thread) error {
		if !user.IsZero() && user != t.AssignedUserID {
			if err := answers(ctx, tx, t, user); err != nil {
				return err
			}
		}
		t.AssignedUserID = user
		return nil
	})
}

// answers says why a user may not answer a thread; nil when they may.
func answers(ctx context.Context, tx *db.Tx, t *Thread, user id.ID) error {
	var row struct {
		Name   string     `bun:"name"`
		Status string     `bun:"status"`
		Role   string     `bun:"role"`
		May    bool       `bun:"may"`
		Off    bool       `bun:"off"`
		E164   phone.E164 `bun:"e164"`
	}
	err := db.Select(ctx, tx, &row, `
SELECT u.name, u.status, r.name AS role, `+access.MaySQL("u", "r", access.SMSView, access.SMSSend)+` AS may, n.e164,
  EXISTS (SELECT FROM team_user tu
    JOIN phone_number_user x ON x.organization_id = $1 AND x.phone_number_id = n.id AND x.user_id = u.id
    WHERE tu.organization_id = $1 AND tu.team_id = n.team_id AND tu.user_id = u.id AND NOT x.sms) AS off
FROM "user" u
JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
JOIN phone_number n ON n.organization_id = u.organization_id AND n.id = $3
WHERE u.organization_id = $1 AND u.id = $2`, t.OrganizationID, user, t.PhoneNumberID)
	refuse := func(format string, args ...any) error { return errs.New(errs.Conflict, format, args...).At("userId") }
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return errs.New(errs.NotFound, "there is no such user; choose one of your organization").At("userId")
	case err != nil:
		return err
	case row.Status == "INVITED":
		return refuse("%s has not accepted the invitation yet; choose somebody else", row.Name)
	case row.Status != "ACTIVE":
		return refuse("%s is disabled; enable them or choose somebody else", row.Name)
	case !row.May:
		return refuse("the role %s of %s does not allow reading and writing messages; change it or choose somebody else", row.Role, row.Name)
	case row.Off: // R026
		return refuse("texts of %s are switched off for %s; switch them on in the number's team or choose somebody else", row.E164, row.Name)
	}
	return nil
}

// Close closes a thread until its next message; a closed one stays as it is. It
// needs SMS_SEND and sight of the thread. Code: errs.NotFound.
func (s *Service) Close(ctx context.Context, who access.Actor, thread id.ID) (_ *Thread, err error) {
	defer errs.Wrap(&err, "message.Close(%s)", thread)
	return s.changeThread(ctx, who, thread, func(_ context.Context, tx *db.Tx, t *Thread) error {
		if t.IsOpen {
			t.IsOpen, t.ClosedAt, t.ClosedByID = false, &tx.Now, who.UserID
		}
		return nil
	})
}

// Reopen opens a closed thread; an open one stays as it is. It needs SMS_SEND and
// sight of the thread. Code: errs.NotFound.
func (s *Service) Reopen(ctx context.Context, who access.Actor, thread id.ID) (_ *Thread, err error) {
	defer errs.Wrap(&err, "message.Reopen(%s)", thread)
	return s.changeThread(ctx, who, thread, func(_ context.Context, _ *db.Tx, t *Thread) error {
		t.IsOpen, t.ClosedAt, t.ClosedByID = true, nil, id.ID{}
		return nil
	})
}

// Read marks all that came into a thread as read by the actor, or the newest of
// it as new. It needs SMS_VIEW and sight of the thread; a machine reads nothing.
// Codes: errs.NotFound, errs.Forbidden.
func (s *Service) Read(ctx context.Context, who access.Actor, thread id.ID, isRead bool) (t *Thread, err error) {
	defer errs.Wrap(&err, "message.Read(%s)", thread)
	if err := who.Require(access.SMSView); err != nil {
		return nil, err
	}
	if who.UserID.IsZero() {
		return nil, errs.New(errs.Forbidden, "an API key reads for nobody; sign in as a user")
	}
	err = s.db.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if t, err = seenThread(ctx, tx, who, thread); err != nil || t.LastInboundAt == nil {
			return err
		}
		until := *t.LastInboundAt // the lock holds newer ones back
		if !isRead {
			until = until.Add(-time.Microsecond)
		}
		n, err := db.Exec(ctx, tx, `
INSERT INTO sms_thread_read (organization_id, thread_id, user_id, read_until) VALUES ($1, $2, $3, $4)
ON CONFLICT (organization_id, user_id, thread_id) DO UPDATE SET read_until = excluded.read_until
WHERE $5 AND sms_thread_read.read_until < excluded.read_until OR NOT $5 AND sms_thread_read.read_until > excluded.read_until`,
			t.OrganizationID, t.ID, who.UserID, until, isRead)
		if err != nil || n == 0 {
			return err
		}
		return s.tell(ctx, tx, t.ID, ThreadReadEvent, who.UserID)
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// StartThread says between whom a thread is.
type StartThread struct {
	PhoneNumberID id.ID  // ours; zero: chosen by D17
	To            string // theirs, as typed; or a contact
	ContactID     id.ID
}

// Start opens the thread between a number of ours and somebody, without writing
// yet; one that exists is given as it is. Who would not see it otherwise answers
// it. It needs SMS_SEND. Codes: errs.Required, errs.Invalid, errs.NotFound, errs.Conflict.
func (s *Service) Start(ctx context.Context, who access.Actor, in StartThread) (t *Thread, err error) {
	defer errs.Wrap(&err, "message.Start")
	if err := who.Require(access.SMSSend); err != nil {
		return nil, err
	}
	if in.To == "" && in.ContactID.IsZero() {
		return nil, errs.New(errs.Required, "say with whom: a number or a contact").At("input", "to")
	}
	ctx = access.With(ctx, who)
	to, contact, country, err := s.other(ctx, who, in)
	if err != nil {
		return nil, err
	}
	err = s.db.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) error {
		n, _, err := s.chooseSender(ctx, tx, who, in.PhoneNumberID, to, country)
		if err != nil {
			return blame(err, "phoneNumberId")
		}
		if err := mayWrite(ctx, tx, who, n, to); err != nil {
			return err
		}
		of := contact
		if of.IsZero() {
			if of, err = s.contactOf(ctx, tx, string(to)); err != nil {
				return err
			}
		}
		if t, err = threadOf(ctx, tx, &Thread{PhoneNumberID: n.ID, TheirNumber: string(to), ContactID: of, BranchID: n.BranchID}); err != nil {
			return err
		}
		_, err = s.thread(ctx, tx, who, t.ID)
		hidden := errs.IsCode(err, errs.NotFound)
		if err != nil && !hidden {
			return err
		}
		switch {
		case hidden && (!t.Fresh || who.UserID.IsZero()):
			return errs.New(errs.Conflict, "others have this conversation; ask them to give it to you, or write from another number").At("input", "phoneNumberId")
		case hidden:
			t.AssignedUserID = who.UserID
		case !t.Fresh:
			return nil
		}
		return s.saveThread(ctx, tx, who, t)
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// other is the other end of a thread to be opened: its number, and the contact
// and the country of it, where they are known.
func (s *Service) other(ctx context.Context, who access.Actor, in StartThread) (to phone.E164, contact id.ID, country string, err error) {
	if in.To != "" && who.HidesContactDetails() {
		return "", contact, "", blame(call.TypedRefused(), "to")
	}
	if in.To != "" {
		home, err := s.country(ctx, s.db.App())
		if err != nil {
			return "", contact, "", err
		}
		if to, err = phone.Parse(in.To, home); err != nil {
			return "", contact, "", blame(err, "to")
		}
	}
	if in.ContactID.IsZero() {
		return to, contact, "", nil
	}
	c, err := s.contacts.Get(ctx, who, in.ContactID)
	if err != nil {
		return "", contact, "", blame(err, "contactId")
	}
	if c.Country != nil {
		country = *c.Country
	}
	if to == "" {
		phones, err := s.contacts.PhonesByContacts(ctx, []id.ID{c.ID})
		if err != nil {
			return "", contact, "", err
		}
		if len(phones[c.ID]) == 0 {
			return "", contact, "", errs.New(errs.Conflict, "the contact has no phone number; add one or give a number").At("input", "contactId")
		}
		to = phones[c.ID][0].E164 // the primary one
	}
	return to, c.ID, country, nil
}

// mayWrite says why the actor may not write to a number from one of ours.
func mayWrite(ctx context.Context, tx *db.Tx, who access.Actor, n Number, to phone.E164) error {
	refuse := func(format string, args ...any) error {
		return errs.New(errs.Conflict, format, args...).At("input", "phoneNumberId")
	}
	switch {
	case !n.IsEnabled:
		return refuse("number %s is disabled; enable it or choose another", n.E164)
	case !n.CanSMS:
		return refuse("number %s cannot send text messages; choose one with SMS", n.E164)
	case !n.ForMessages:
		return refuse("number %s is not used for messages; change its usage or choose another", n.E164)
	case n.E164 == to:
		return errs.New(errs.Invalid, "sender and recipient are the same number").At("input", "to")
	case who.UserID.IsZero():
		return nil
	}
	var row struct {
		Off bool `bun:"off"`
	}
	err := db.Select(ctx, tx, &row, `
SELECT EXISTS (SELECT FROM phone_number n
  JOIN team_user tu ON tu.organization_id = n.organization_id AND tu.team_id = n.team_id AND tu.user_id = $3
  JOIN phone_number_user x ON x.organization_id = n.organization_id AND x.phone_number_id = n.id AND x.user_id = $3
  WHERE n.organization_id = $1 AND n.id = $2 AND NOT x.sms) AS off`, who.OrganizationID, n.ID, who.UserID)
	if err == nil && row.Off { // R026
		err = refuse("texts of number %s are switched off for you; choose another number", n.E164)
	}
	return err
}
