package message

import (
	"context"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/tenant"
)

// Relink says whom and what a message belongs to: absent keeps, null clears.
type Relink struct {
	ContactID patch.Field[id.ID]
	RecordID  patch.Field[id.ID]
}

// Relink corrects whom and what a message belongs to (R142, R186), of this message
// alone; a thread without a contact gets the message's. It goes to the audit log
// with what was before. It needs SMS_RELINK and that the actor reads the message
// and sees what it is linked to. Codes: errs.Forbidden, errs.NotFound, errs.Conflict
// where that would take it out of a legal hold.
func (s *Service) Relink(ctx context.Context, who access.Actor, message id.ID, in Relink) (m *Message, err error) {
	defer errs.Wrap(&err, "message.Relink(%s)", message)
	if err := who.Require(access.SMSRelink); err != nil {
		return nil, err
	}
	ctx = access.With(ctx, who)
	if _, err := s.Get(ctx, who, message); err != nil {
		return nil, err
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := tenant.BeforeDeleting(ctx, tx); err != nil {
			return err
		}
		if m, err = lock(ctx, tx, message); err != nil {
			return err
		}
		was := *m
		if in.ContactID.Set {
			m.ContactID = in.ContactID.Value
		}
		if in.RecordID.Set {
			m.RecordID = in.RecordID.Value
		}
		if m.ContactID == was.ContactID && m.RecordID == was.RecordID {
			return nil
		}
		if m.ContactID != was.ContactID && !m.ContactID.IsZero() {
			if sees, err := contact.Sees(ctx, tx, who, m.ContactID); err != nil {
				return err
			} else if !sees {
				return errs.New(errs.NotFound, "there is no such contact, or you may not see it").At("input", "contactId")
			}
		}
		if m.RecordID != was.RecordID && !m.RecordID.IsZero() {
			if sees, err := contact.SeesRecord(ctx, tx, who, m.RecordID); err != nil {
				return err
			} else if !sees {
				return errs.New(errs.NotFound, "there is no such record, or you may not see it").At("input", "recordId")
			}
		}
		t, err := lockThread(ctx, tx, m)
		if err != nil {
			return err
		}
		if m.RecordID != was.RecordID {
			if err := tenant.MayUnlink(ctx, tx, was.RecordID, "input", "recordId"); err != nil {
				return err
			}
		}
		if m.ContactID != was.ContactID && t.ContactID != was.ContactID { // the thread's contact keeps it in any case
			if err := tenant.MayUnlink(ctx, tx, was.ContactID, "input", "contactId"); err != nil {
				return err
			}
		}
		m.Version, m.UpdatedAt = m.Version+1, tx.Now
		_, err = db.Exec(ctx, tx, `UPDATE message SET contact_id = $3, record_id = $4, version = $5, updated_at = $6 WHERE organization_id = $1 AND id = $2`,
			m.OrganizationID, m.ID, m.ContactID, m.RecordID, m.Version, m.UpdatedAt)
		if err != nil {
			return err
		}
		if !m.ContactID.IsZero() && t.ContactID.IsZero() {
			t.ContactID = m.ContactID
			if err := s.saveThread(ctx, tx, who, t); err != nil {
				return err
			}
		}
		err = audit.Write(ctx, tx, audit.Entry{ActorID: actorOf(who), Action: "message.relink", Subject: m.ID, Detail: map[string]any{
			"before": links(&was), "after": links(m),
		}})
		if err != nil {
			return err
		}
		return s.tell(ctx, tx, m.ID, UpdatedEvent, actorOf(who))
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// links are the ids of what a message belongs to, null for nothing.
func links(m *Message) map[string]any {
	of := func(x id.ID) any {
		if x.IsZero() {
			return nil
		}
		return x.String()
	}
	return map[string]any{"contactId": of(m.ContactID), "recordId": of(m.RecordID)}
}
