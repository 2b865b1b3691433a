package call

import (
	"context"
	"strings"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
)

// Back is whom to call back, and how. The number is not typed by the actor: it
// stands in something that they see, such as a voicemail, and may be hidden from them.
type Back struct {
	Of        id.ID  // what it stands in
	Number    string // who called
	IsHidden  bool   // from the actor, who does not learn it by calling
	ContactID id.ID  // linked if the actor sees it
	RecordID  id.ID
	Called    id.ID // the number of ours that they called: shown if it may be and no other is chosen

	PhoneNumberID id.ID // as in StartInput
	DeviceID      id.ID
	RingMyPhone   bool
	RingMySIP     bool
}

// asked is what the request says: what else is known may be another thing by the time
// that it is repeated.
func (b *Back) asked() any {
	return struct {
		Of, PhoneNumberID, DeviceID id.ID
		RingMyPhone, RingMySIP      bool
	}{b.Of, b.PhoneNumberID, b.DeviceID, b.RingMyPhone, b.RingMySIP}
}

// CallBack calls somebody who called, on the same path as Start. With a key it acts
// once for the mutation. Codes: those of Start; errs.Conflict when the caller showed
// no number, or when a hidden one can no longer be reached through a number of ours.
func (s *Service) CallBack(ctx context.Context, who access.Actor, b Back, mutation, key string) (_ *Call, err error) {
	defer errs.Wrap(&err, "call.CallBack")
	if err := who.Require(access.CallMake); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(b.Number, "+") {
		return nil, errs.New(errs.Conflict, "the caller showed no number: there is nobody to call back")
	}
	if who.UserID.IsZero() {
		key = "" // refused anyway
	}
	var made id.ID
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		made, err = job.Once(ctx, tx, job.Key{User: who.UserID, Mutation: mutation, Key: key}, b.asked(), func() (id.ID, error) {
			start, err := s.prepareBack(ctx, tx, who, b)
			if err != nil {
				return id.ID{}, err
			}
			return s.keep(ctx, tx, start)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.own(ctx, who, made)
}

func (s *Service) prepareBack(ctx context.Context, tx *db.Tx, who access.Actor, b Back) (*Start, error) {
	in := StartInput{To: b.Number, known: true, called: b.Called, PhoneNumberID: b.PhoneNumberID, DeviceID: b.DeviceID, RingMyPhone: b.RingMyPhone, RingMySIP: b.RingMySIP}
	if !b.ContactID.IsZero() {
		if ok, err := contact.Sees(ctx, tx, who, b.ContactID); err != nil {
			return nil, err
		} else if ok {
			in.ContactID = b.ContactID
		}
	}
	if !b.RecordID.IsZero() {
		if ok, err := contact.SeesRecord(ctx, tx, who, b.RecordID); err != nil {
			return nil, err
		} else if ok {
			in.RecordID = b.RecordID
		}
	}
	start, err := s.prepareFrom(ctx, tx, who, in, nil)
	if !b.IsHidden {
		return start, err
	}
	if e, ok := errs.As(err); ok && len(e.Field) > 0 && e.Field[0] == "to" {
		return nil, errs.New(e.Code, "this caller cannot be called back").Because(err) // what it says may hold the number
	}
	if err != nil {
		return nil, err
	}
	if start.MaskedPair.IsZero() && !who.HidesContactDetails() { // the call would show it
		return nil, errs.New(errs.Conflict, "this caller's number is hidden from you and its masked number works no longer; ask an administrator to call back")
	}
	return start, nil
}
