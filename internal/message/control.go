package message

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/route"
	"switchboard/internal/tenant"
)

// Cancel takes back a message that was not handed to Twilio yet, and succeeds for
// one that was taken back. It needs SMS_SEND. Codes: errs.NotFound, errs.Conflict.
func (s *Service) Cancel(ctx context.Context, who access.Actor, message id.ID) (m *Message, err error) {
	defer errs.Wrap(&err, "message.Cancel(%s)", message)
	if err := who.Require(access.SMSSend); err != nil {
		return nil, err
	}
	ctx = access.With(ctx, who)
	if _, err := s.Get(ctx, who, message); err != nil {
		return nil, err
	}
	err = s.db.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) error {
		// The lock decides between this and the claim to send it.
		if m, err = lock(ctx, tx, message); err != nil {
			return err
		}
		was := *m
		switch {
		case m.Status == Canceled:
			return nil
		case m.Status != Scheduled && (m.Status != Pending || m.TriedAt != nil):
			return errs.New(errs.Conflict, "the message cannot be taken back any more, it is %s: %s", m.Status, m.Text())
		}
		m.Status, m.DueAt = Canceled, nil
		return s.change(ctx, tx, &was, m)
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Retry sends a message that failed once more, as a new one, and gives the same new
// one when it is asked again. It needs SMS_SEND. Codes: errs.NotFound,
// errs.Conflict where Retryable says no, those of Send.
func (s *Service) Retry(ctx context.Context, who access.Actor, message id.ID) (m *Message, err error) {
	defer errs.Wrap(&err, "message.Retry(%s)", message)
	if err := who.Require(access.SMSSend); err != nil {
		return nil, err
	}
	ctx = access.With(ctx, who)
	if _, err := s.Get(ctx, who, message); err != nil {
		return nil, err
	}
	err = s.db.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) error {
		old, err := lock(ctx, tx, message)
		if err != nil {
			return err
		}
		m = &Message{}
		err = db.Select(ctx, tx, m, `SELECT m.* FROM message m WHERE m.organization_id = $1 AND m.retry_of = $2 ORDER BY m.id LIMIT 1`, old.OrganizationID, old.ID)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if !old.Retryable() {
			return errs.New(errs.Conflict, "sending it again is not right: %s", old.Text())
		}
		thread, err := lockThread(ctx, tx, old)
		if err != nil {
			return err
		}
		files, err := filesOf(ctx, tx, old)
		if err != nil {
			return err
		}
		if len(files) < old.MediaCount {
			return errs.New(errs.Conflict, "its files are not there any more; write a new message")
		}
		// The text was merged and goes out as it is.
		d := &Draft{Body: old.Body, UseSenderName: old.SenderName != nil, verbatim: true, answer: thread, files: files}
		if !old.RecordID.IsZero() {
			d.Recipients = []Recipient{{RecordID: old.RecordID}}
		}
		m, err = s.keepDraft(ctx, tx, who, Send{CampaignID: old.CampaignID, TemplateID: old.TemplateID, RetryOfID: old.ID}, d)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// TestMessage sends a short text that says which number it came from and why (R085),
// and gives what would keep it, or others like it, from arriving: also when an error
// says that it was not sent. It needs NUMBER_MANAGE; codes are those of Send.
func (s *Service) TestMessage(ctx context.Context, who access.Actor, number id.ID, to, key string) (m *Message, problems []PreviewProblem, err error) {
	defer errs.Wrap(&err, "message.TestMessage")
	if err := who.Require(access.NumberManage); err != nil {
		return nil, nil, err
	}
	if strings.TrimSpace(to) == "" {
		return nil, nil, errs.New(errs.Invalid, "say which phone the message goes to, such as +61491570156").At("input", "to")
	}
	in := Send{To: to, PhoneNumberID: number}
	m, err = s.once(ctx, who, "testMessage", key, in, func(ctx context.Context, tx *db.Tx) (*Message, error) {
		org, err := tenant.Read(ctx, tx)
		if err != nil {
			return nil, err
		}
		d := in.draft()
		d.Body, d.verbatim = "Test", true
		p, err := s.plan(ctx, tx, who, d)
		if err != nil {
			return nil, err
		}
		r := p.all[0]
		if problems = r.Problems; r.refused() != nil {
			return nil, r.refused()
		}
		d.Body = fmt.Sprintf("Test message of %s from %s: %s.", cut(Plain(org.Name)), r.from.E164, because(r.Sender.Reason))
		return s.keepDraft(ctx, tx, who, in, d)
	})
	return m, problems, err
}

// because is why a number was chosen, in words (D17).
func because(why route.NumberChoiceReason) string {
	switch why {
	case route.Explicit:
		return "it was chosen by hand"
	case route.BranchAndCountry:
		return "it is the branch's number in this country"
	case route.SameCountry:
		return "it is a number of this country"
	case route.OwnBranch:
		return "it is the branch's number, and none is of this country"
	}
	return "it is the default, and none is of this country or the branch"
}
