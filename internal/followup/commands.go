package followup

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
)

const (
	maxNote    = 4000
	maxOutcome = 500
	maxNotes   = 500 // of one follow-up
)

// work runs fn with a follow-up locked that the actor sees and may work on: their
// own and nobody's with FOLLOW_UP_VIEW, those of others with FOLLOW_UP_MANAGE.
func (s *Service) work(ctx context.Context, who access.Actor, item id.ID, fn func(ctx context.Context, tx *db.Tx, f *FollowUp) error) (*FollowUp, error) {
	if err := who.Require(mayView); err != nil {
		return nil, err
	}
	if _, err := s.Get(ctx, who, item); err != nil {
		return nil, err
	}
	err := s.d.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		f, err := lock(ctx, tx, who.OrganizationID, item)
		if err != nil {
			return err
		}
		if !f.OwnerID.IsZero() && f.OwnerID != who.UserID {
			if err := who.Require(access.FollowUpManage); err != nil {
				return err
			}
		}
		return fn(ctx, tx, f)
	})
	if err != nil {
		return nil, err
	}
	f, err := s.Get(ctx, who, item)
	if errs.IsCode(err, errs.NotFound) { // who gave it away may not see it any more
		return nil, nil
	}
	return f, err
}

// Assign gives a follow-up to one person (R192), or with the zero ID to nobody.
// Taking one that is nobody's and giving up one's own needs FOLLOW_UP_VIEW, all
// else FOLLOW_UP_MANAGE. It is nil when the actor does not see it any more.
func (s *Service) Assign(ctx context.Context, who access.Actor, item, user id.ID) (_ *FollowUp, err error) {
	defer errs.Wrap(&err, "followup.Assign(%s)", item)
	return s.work(ctx, who, item, func(ctx context.Context, tx *db.Tx, f *FollowUp) error {
		if f.OwnerID == user {
			return nil
		}
		if !user.IsZero() && user != who.UserID {
			if err := who.Require(access.FollowUpManage); err != nil {
				return err
			}
		}
		if !user.IsZero() {
			if err := s.mayWork(ctx, tx, who.OrganizationID, user, "userId"); err != nil {
				return err
			}
		}
		f.OwnerID = user
		if err := s.save(ctx, tx, f, Entry{Change: Assigned, ActorID: who.ID(), UserID: user}); err != nil || !f.IsOpen() {
			return err
		}
		return s.tellOwner(ctx, tx, f, who.ID())
	})
}

// Edit is what changes about a follow-up.
type Edit struct {
	Note    patch.Field[string]
	DueAt   patch.Field[time.Time]
	Outcome patch.Field[string]
}

// Update notes something on a follow-up, or changes its due time or outcome.
func (s *Service) Update(ctx context.Context, who access.Actor, item id.ID, in Edit) (_ *FollowUp, err error) {
	defer errs.Wrap(&err, "followup.Update(%s)", item)
	note, err := words(in.Note.Value, maxNote, "note")
	if err != nil {
		return nil, err
	}
	outcome, err := words(in.Outcome.Value, maxOutcome, "outcome")
	if err != nil {
		return nil, err
	}
	return s.work(ctx, who, item, func(ctx context.Context, tx *db.Tx, f *FollowUp) error {
		var happened []Entry
		if note != nil {
			if err := f.noted(); err != nil {
				return err
			}
			happened = append(happened, Entry{Change: Noted, ActorID: who.ID(), Note: note})
		}
		if in.Outcome.Set && !same(f.Outcome, outcome) {
			f.Outcome = outcome
			happened = append(happened, Entry{Change: OutcomeSet, ActorID: who.ID(), Outcome: outcome})
		}
		if in.DueAt.Set {
			if !f.IsOpen() {
				return errs.New(errs.Conflict, "this follow-up is closed and has no due time any more; open it again first").At("dueAt")
			}
			f.DueAt = nil
			if at := in.DueAt; !at.Null {
				if at.Value.Before(tx.Now) || at.Value.After(tx.Now.AddDate(1, 0, 0)) {
					return errs.New(errs.Invalid, "the due time must lie ahead, within a year").At("dueAt")
				}
				f.DueAt = new(at.Value.Truncate(time.Microsecond))
			}
			f.EscalatedAt, f.EscalatedToID, f.EscalatedToRoleID = nil, id.ID{}, id.ID{} // it is judged anew
			happened = append(happened, Entry{Change: DueSet, ActorID: who.ID(), DueAt: f.DueAt})
		}
		if len(happened) == 0 {
			return nil
		}
		return s.save(ctx, tx, f, happened...)
	})
}

// Resolution is how a follow-up is closed.
type Resolution struct {
	Status  Status // Resolved when empty
	Outcome patch.Field[string]
	Note    *string
}

// Resolve closes a follow-up (R193). Closing a closed one the same way changes nothing.
func (s *Service) Resolve(ctx context.Context, who access.Actor, item id.ID, in Resolution) (_ *FollowUp, err error) {
	defer errs.Wrap(&err, "followup.Resolve(%s)", item)
	if in.Status == "" {
		in.Status = Resolved
	}
	if in.Status == Pending {
		return nil, errs.New(errs.Invalid, "PENDING closes nothing; give RESOLVED or NO_ACTION_REQUIRED, or use followUpReopen").At("status")
	}
	var text string
	if in.Note != nil {
		text = *in.Note
	}
	note, err := words(text, maxNote, "note")
	if err != nil {
		return nil, err
	}
	outcome, err := words(in.Outcome.Value, maxOutcome, "outcome")
	if err != nil {
		return nil, err
	}
	return s.work(ctx, who, item, func(ctx context.Context, tx *db.Tx, f *FollowUp) error {
		if f.Status == in.Status && note == nil && (!in.Outcome.Set || same(f.Outcome, outcome)) {
			return nil
		}
		if note != nil {
			if err := f.noted(); err != nil {
				return err
			}
		}
		if in.Outcome.Set {
			f.Outcome = outcome
		}
		if f.IsOpen() {
			f.ClosedAt, f.ClosedByID = &tx.Now, who.UserID
		}
		f.Status = in.Status
		return s.save(ctx, tx, f, Entry{Change: Closed, ActorID: who.ID(), Status: &f.Status, Outcome: f.Outcome, Note: note})
	})
}

// Reopen opens a closed follow-up again. Code: errs.Conflict while the caller has
// another open one.
func (s *Service) Reopen(ctx context.Context, who access.Actor, item id.ID, why *string) (_ *FollowUp, err error) {
	defer errs.Wrap(&err, "followup.Reopen(%s)", item)
	var text string
	if why != nil {
		text = *why
	}
	note, err := words(text, maxNote, "note")
	if err != nil {
		return nil, err
	}
	return s.work(ctx, who, item, func(ctx context.Context, tx *db.Tx, f *FollowUp) error {
		if f.IsOpen() {
			return nil
		}
		if note != nil {
			if err := f.noted(); err != nil {
				return err
			}
		}
		f.reopen()
		set, err := settings(ctx, tx, f.OrganizationID)
		if err != nil {
			return err
		}
		f.DueAt, f.EscalatedAt, f.EscalatedToID, f.EscalatedToRoleID = nil, nil, id.ID{}, id.ID{}
		if set.DueMinutes != nil {
			f.DueAt = new(tx.Now.Add(time.Duration(*set.DueMinutes) * time.Minute))
		}
		return s.save(ctx, tx, f, Entry{Change: Reopened, ActorID: who.ID(), Status: &f.Status, Note: note, DueAt: f.DueAt})
	})
}

func (f *FollowUp) reopen() {
	f.Status, f.ClosedAt, f.ClosedByID, f.ClosedByCallID, f.IsClosedAutomatically = Pending, nil, id.ID{}, id.ID{}, false
}

// CallBack is how a missed caller is called back.
type CallBack struct {
	DeviceID      id.ID
	RingMyPhone   bool
	RingMySIP     bool
	PhoneNumberID id.ID // shown; zero: the one that they called, when it may be used
}

// CallBack calls a missed caller back, by the same way and rules as any call that a
// person starts, and without showing a number that is hidden from the actor. The call
// is about the follow-up's contact and record, as far as the actor sees them. With a
// key it acts once. Codes: those of call.CallBack; errs.NotFound; errs.Unsupported for
// a caller without a number.
func (s *Service) CallBack(ctx context.Context, who access.Actor, item id.ID, in CallBack, key string) (_ *FollowUp, c *call.Call, err error) {
	defer errs.Wrap(&err, "followup.CallBack(%s)", item)
	if err := who.Require(access.CallMake); err != nil {
		return nil, nil, err
	}
	if err := who.Require(mayView); err != nil {
		return nil, nil, err
	}
	f, err := s.Get(ctx, who, item)
	if err != nil {
		return nil, nil, err
	}
	to, ok := phone.FromWire(f.CallerNumber)
	if !ok {
		return nil, nil, errs.New(errs.Unsupported, "this caller showed no number and cannot be called back")
	}
	c, err = s.d.Calls.CallBack(ctx, who, call.Back{Of: f.ID, Number: string(to), IsHidden: f.FromMasked, ContactID: f.ContactID, RecordID: f.RecordID, Called: f.PhoneNumberID,
		PhoneNumberID: in.PhoneNumberID, DeviceID: in.DeviceID, RingMyPhone: in.RingMyPhone, RingMySIP: in.RingMySIP}, "followUpCallBack", key)
	if err != nil {
		return nil, nil, err
	}
	// The log tells of the call too; whoever is first notes it.
	err = s.d.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		f, err := lock(ctx, tx, who.OrganizationID, item)
		if err != nil {
			return err
		}
		var noted bool
		if err := db.Select(ctx, tx, &noted, `SELECT EXISTS (SELECT FROM follow_up_entry WHERE organization_id = $1 AND follow_up_id = $2 AND call_id = $3 AND change = 'CALLED_BACK')`,
			f.OrganizationID, f.ID, c.ID); err != nil || noted {
			return err
		}
		return s.save(ctx, tx, f, Entry{Change: CalledBack, ActorID: who.UserID, CallID: c.ID})
	})
	if err != nil {
		return nil, nil, err
	}
	f, err = s.Get(ctx, who, item)
	return f, c, err
}

func (f *FollowUp) noted() error {
	if f.NoteCount >= maxNotes {
		return errs.New(errs.LimitReached, "a follow-up has %d notes at most", maxNotes).At("note")
	}
	f.NoteCount++
	return nil
}

// words cleans a text; nil for an empty one.
func words(s string, most int, field string) (*string, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return nil, nil
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return nil, errs.New(errs.Invalid, "this holds characters that cannot be kept").At(field)
	case utf8.RuneCountInString(s) > most:
		return nil, errs.New(errs.Invalid, "this has more than %d characters", most).At(field)
	}
	return &s, nil
}

func same(a, b *string) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }
