package message

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/phone"
	"switchboard/internal/twilio"
)

const (
	claimFor   = 30 * time.Second // longer than a job may take: who claimed a message earlier is gone
	sweepEvery = 2 * time.Second
	leaseFor   = 30 * time.Second // how long the sweep leaves a message to the job that it made
	lookEvery  = 4 * time.Second  // at a message that Twilio may or may not have
	giveUp     = 40 * time.Second // what Twilio does not list by then it never took
	sendFor    = 10 * time.Minute // how long a message is tried that Twilio does not take now
	maxPause   = 30 * time.Second
)

// carryArgs has one message taken to Twilio, or asked about there: what is due.
type carryArgs struct {
	Organization id.ID `json:"organization"`
	Message      id.ID `json:"message"`
}

// Kind names the job.
func (carryArgs) Kind() string { return "message.carry" }

// Tenant is whose job it is.
func (a carryArgs) Tenant() id.ID { return a.Organization }

// Timeout ends a request before somebody else takes its message for abandoned.
func (carryArgs) Timeout() time.Duration { return claimFor - 5*time.Second }

// InsertOpts allows few attempts: what is not done is due again.
func (carryArgs) InsertOpts() job.Options { return job.Options{MaxAttempts: 4} }

// sweep finds the messages whose time has come, also those of processes that
// died, and makes a job for each.
func (s *Service) sweep(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "message.sweep")
	const batch = 500
	for found := batch; found == batch; {
		err := s.db.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			var due []carryArgs
			if err := db.Select(ctx, tx, &due, `
UPDATE message SET due_at = $2
WHERE (organization_id, id) IN (
  SELECT organization_id, id FROM message WHERE due_at <= $1 ORDER BY due_at LIMIT 500 FOR UPDATE SKIP LOCKED)
RETURNING organization_id AS organization, id AS message`, now, now.Add(leaseFor)); err != nil {
				return err
			}
			found = len(due)
			jobs := make([]job.Args, found)
			for i, d := range due {
				jobs[i] = d
			}
			return job.InsertMany(ctx, tx, jobs...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// carry does what is next for a message.
func (s *Service) carry(ctx context.Context, a carryArgs) (err error) {
	defer errs.Wrap(&err, "message.carry(%s)", a.Message)
	var m *Message
	var t *Thread
	var step step
	var now time.Time
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		now = tx.Now
		if m, err = lock(ctx, tx, a.Message); err != nil {
			return err
		}
		if t, err = lockThread(ctx, tx, m); err != nil {
			return err
		}
		step, err = s.claim(ctx, tx, m, t)
		return err
	})
	switch {
	case errs.IsCode(err, errs.NotFound):
		return nil // deleted since
	case err != nil || step == nothing:
		return err
	}
	var keep func(ctx context.Context, tx *db.Tx, m *Message) error
	if step == send {
		sent, err := s.post(ctx, m, t.PhoneNumberID)
		keep = func(ctx context.Context, tx *db.Tx, m *Message) error { return s.answered(ctx, tx, m, sent, err) }
	} else {
		found, err := s.find(ctx, m, t.PhoneNumberID)
		late := now.Sub(m.handed()) >= giveUp
		keep = func(ctx context.Context, tx *db.Tx, m *Message) error { return s.found(ctx, tx, m, found, late, err) }
	}
	// What came of it is kept even when the job's time is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = s.db.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) error {
		m, err := lock(ctx, tx, a.Message)
		if err != nil {
			return err
		}
		return keep(ctx, tx, m)
	})
	if errs.IsCode(err, errs.NotFound) {
		return nil
	}
	return err
}

// step is what a job has to do for a message.
type step int

const (
	nothing step = iota
	send
	ask
)

// claim decides what is next for a locked message of a locked thread. The claim
// to send is committed before the request: whoever finds a claimed message
// without an answer asks Twilio what became of it and never sends it again blindly.
func (s *Service) claim(ctx context.Context, tx *db.Tx, m *Message, t *Thread) (step, error) {
	was := *m
	if m.Direction == Outbound && m.Status == Scheduled {
		if released, err := s.release(ctx, tx, m, t); err != nil || !released {
			return nothing, err
		}
	}
	switch {
	case m.Direction != Outbound || m.Status.Final():
		return nothing, nil
	case m.Status != Pending:
		return ask, nil
	case m.TriedAt != nil && tx.Now.Sub(*m.TriedAt) < claimFor:
		return nothing, nil // on its way right now
	case m.TriedAt != nil:
		m.Status, m.DueAt = Unknown, at(tx.Now, lookEvery)
		return ask, s.change(ctx, tx, &was, m)
	}
	// One at a time in each conversation, in their order; and the same text not
	// again before it is known what became of the first: Twilio lists no more than
	// texts to tell them apart.
	if busy, err := inWay(ctx, tx, m); err != nil {
		return nothing, err
	} else if busy {
		return nothing, s.change(ctx, tx, &was, m) // the one before wakes it
	}
	// They may have asked for no messages since it was written (R155).
	if out, err := isOptedOut(ctx, tx, t.PhoneNumberID, m.ToNumber); err != nil {
		return nothing, err
	} else if out {
		m.fail(optedOut(m.FromNumber))
		return nothing, s.change(ctx, tx, &was, m)
	}
	m.Attempts++
	m.TriedAt, m.DueAt = at(tx.Now, 0), at(tx.Now, claimFor)
	return send, s.change(ctx, tx, &was, m)
}

// release makes a scheduled message one that is sent now, when its time has come.
// What was checked when it was written is checked again: the sender, the person
// (R026, R158, R236, R242), and by claim whether the recipient wants messages (R155).
func (s *Service) release(ctx context.Context, tx *db.Tx, m *Message, t *Thread) (bool, error) {
	was := *m
	if m.ScheduledAt != nil && tx.Now.Before(*m.ScheduledAt) {
		m.DueAt = at(*m.ScheduledAt, 0)
		return false, s.change(ctx, tx, &was, m)
	}
	if why, err := s.barred(ctx, tx, m, t); err != nil {
		return false, err
	} else if why != "" {
		m.fail(why)
		return false, s.change(ctx, tx, &was, m)
	}
	// It stands in the conversation where it is sent, not where it was written.
	m.Status, m.At, m.DueAt = Pending, tx.Now, at(tx.Now, claimFor)
	if _, err := db.Exec(ctx, tx, `UPDATE message SET at = $3 WHERE organization_id = $1 AND id = $2`, m.OrganizationID, m.ID, m.At); err != nil {
		return false, err
	}
	return true, s.wrote(ctx, tx, m, t.PhoneNumberID)
}

// barred says why a scheduled message is not sent now, "" when it is.
func (s *Service) barred(ctx context.Context, tx *db.Tx, m *Message, t *Thread) (string, error) {
	all, err := s.numbers.Senders(ctx, tx, m.UserID, []id.ID{t.PhoneNumberID})
	if err != nil {
		return "", err
	}
	n := Number{E164: phone.E164(m.FromNumber)}
	if i := slices.IndexFunc(all, func(x Number) bool { return x.ID == t.PhoneNumberID }); i >= 0 {
		n = all[i]
	}
	if p := n.usable(); p != nil {
		return p.Message, nil
	}
	if m.UserID.IsZero() {
		return "", nil
	}
	if n.NoSMS || m.MediaCount > 0 && n.NoMMS {
		return fmt.Sprintf("whoever wrote it may not send from number %s any more; write it anew from another", n.E164), nil
	}
	who, invoice, err := writer(ctx, tx, m)
	if err != nil {
		return "", err
	}
	needs := []access.Permission{access.SMSSend}
	if invoice {
		needs = append(needs, access.SMSSendInvoice)
	}
	for _, p := range needs {
		switch option := who.Withheld(p); {
		case option != "":
			return fmt.Sprintf("the fieldworker option %s of whoever wrote it is off by now", option), nil
		case !who.Can(p):
			return fmt.Sprintf("the role of whoever wrote it lacks the permission %s by now", p), nil
		}
	}
	early, err := call.TooEarly(ctx, tx, who, tx.Now, []call.Contacting{{ContactID: m.ContactID, RecordID: m.RecordID, Number: m.ToNumber}})
	if e := early[0]; e != nil {
		return e.Message, nil
	}
	return "", err
}

// writer is whoever wrote a message as they are now, and whether it is about an invoice.
func writer(ctx context.Context, tx *db.Tx, m *Message) (who access.Actor, invoice bool, err error) {
	var row struct {
		Permissions   []access.Permission        `bun:"permissions,array"`
		IsFieldworker bool                       `bun:"is_fieldworker"`
		Switched      []access.FieldworkerOption `bun:"fieldworker_switched,array"`
		Invoice       bool                       `bun:"invoice"`
	}
	err = db.Select(ctx, tx, &row, `
SELECT u.is_fieldworker, u.fieldworker_switched, r.permissions,
  EXISTS (SELECT FROM record k WHERE k.organization_id = $1 AND k.id = $3 AND k.kind = 'INVOICE') AS invoice
FROM "user" u JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
WHERE u.organization_id = $1 AND u.id = $2`, m.OrganizationID, m.UserID, m.RecordID)
	return access.Actor{OrganizationID: m.OrganizationID, UserID: m.UserID, Permissions: access.SetOf(row.Permissions...),
		IsFieldworker: row.IsFieldworker, Switched: row.Switched}, row.Invoice, err
}

// speakTo is the account that a number belongs to.
func (s *Service) speakTo(ctx context.Context, number id.ID) (Number, *twilio.Client, error) {
	n, err := s.numbers.Sender(ctx, s.db.App(), number)
	if err != nil {
		return n, nil, err
	}
	client, err := s.numbers.Client(ctx, n.ConnectionID)
	return n, client, err
}

// post hands a claimed message to Twilio.
func (s *Service) post(ctx context.Context, m *Message, number id.ID) (twilio.Sent, error) {
	n, client, err := s.speakTo(ctx, number)
	if err != nil {
		return twilio.Sent{}, err
	}
	if !n.IsEnabled {
		return twilio.Sent{}, errs.New(errs.Conflict, "number %s was disabled before the message could be sent", n.E164)
	}
	callback, err := s.numbers.CallbackURL(ctx, n.ConnectionID, "message/"+m.ID.String())
	if err != nil {
		return twilio.Sent{}, err
	}
	files, err := s.mediaURLs(ctx, m, s.db.Clock().Now())
	if err != nil {
		return twilio.Sent{}, err
	}
	return client.CreateMessage(ctx, twilio.MessageRequest{To: m.ToNumber, From: m.shown(), Body: m.Body, MediaURLs: files, StatusCallback: callback})
}

// answered notes what the one request to send a message came to. A callback may
// have been faster, and the sweep may have taken the message for abandoned.
func (s *Service) answered(ctx context.Context, tx *db.Tx, m *Message, sent twilio.Sent, err error) error {
	was := *m
	s.outcome(m, sent, err, tx.Now)
	return s.change(ctx, tx, &was, m)
}

// outcome folds what the one request to send a message came to into its row.
func (s *Service) outcome(m *Message, sent twilio.Sent, err error, now time.Time) {
	if err == nil && sent.SID != "" {
		s.hears(m, newsOf(&sent), now)
		return
	}
	if m.TwilioSID != nil || m.Status.Final() {
		return
	}
	var refused *twilio.Error
	switch {
	case err == nil || twilio.Ambiguous(err): // an answer without a SID says nothing either
		m.Status, m.DueAt = Unknown, at(now, lookEvery)
	case retryable(err):
		// Twilio never took it: the claim is given back.
		after, _ := twilio.Retry(err)
		m.Status, m.TriedAt, m.DueAt = Pending, nil, at(now, pause(m.Attempts, after))
		if now.Sub(m.At) >= sendFor {
			m.fail("Twilio did not take it for ten minutes; send it again")
		}
	case errors.As(err, &refused) && refused.Code != 0:
		m.Status, m.DueAt = Failed, nil
		m.ErrorCode, m.ErrorReason = &refused.Code, words(refused.Code)
	default:
		if e, ok := errs.As(err); ok {
			m.fail(e.Message)
			break
		}
		s.log.Error("a message could not be sent", "message_id", m.ID.String(), "error", err)
		m.fail("it could not be sent; an administrator finds the reason in the log")
	}
}

func retryable(err error) bool {
	_, ok := twilio.Retry(err)
	return ok || errs.IsCode(err, errs.Unavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// pause is how long to wait after so many attempts, not less than Twilio asks
// for, and not the same for all.
func pause(attempts int, after time.Duration) time.Duration {
	d := max(after, min(time.Second<<min(attempts-1, 10), maxPause))
	return d + rand.N(d/4)
}

// found notes what Twilio knows of a message: nil when it lists none such. Late
// is when one that it had taken would be listed.
func (s *Service) found(ctx context.Context, tx *db.Tx, m *Message, sent *twilio.Sent, late bool, err error) error {
	was := *m
	switch {
	case m.Status.Final(), m.Status == Pending:
		return nil // a callback, or the answer, was faster
	case err == nil && sent != nil:
		return s.learn(ctx, tx, m, newsOf(sent))
	case err == nil && m.TwilioSID != nil:
		m.DueAt = nil // deleted at Twilio
	case err == nil && late:
		m.fail("Twilio never took it; it is safe to send it again")
	case err == nil:
		m.DueAt = at(tx.Now, lookEvery)
	default:
		s.log.Warn("Twilio cannot be asked about a message", "message_id", m.ID.String(), "error", err)
		if m.DueAt = m.nextLook(tx.Now); m.DueAt != nil && m.Status == Unknown {
			m.DueAt = at(tx.Now, min(max(lookEvery, tx.Now.Sub(m.handed())/4), 10*time.Minute))
		}
	}
	return s.change(ctx, tx, &was, m)
}

// find looks a message up at Twilio: by its SID, else among those of this pair
// with the same text that no other message of ours is. Only one with this text is
// ever on its way in a thread, so there is no mistaking it.
func (s *Service) find(ctx context.Context, m *Message, number id.ID) (*twilio.Sent, error) {
	_, client, err := s.speakTo(ctx, number)
	if err != nil {
		return nil, err
	}
	if m.TwilioSID != nil {
		got, err := client.FetchMessage(ctx, *m.TwilioSID)
		if twilio.NotFound(err) {
			return nil, nil
		}
		return &got, err
	}
	// No filter by date: it is that of the sending, which queued ones do not have.
	list, err := client.ListMessages(ctx, twilio.MessageFilter{To: m.ToNumber, From: m.shown(), Limit: 50})
	if err != nil {
		return nil, err
	}
	known, err := s.knownSIDs(ctx, m.OrganizationID, list)
	if err != nil {
		return nil, err
	}
	var best *twilio.Sent
	for i, got := range list {
		if got.Direction != "outbound-api" || known[got.SID] || !m.reads(&got) {
			continue
		}
		if apart(got, m) < clockSkew && (best == nil || apart(got, m) < apart(*best, m)) {
			best = &list[i]
		}
	}
	return best, nil
}

// shown is what the recipient sees as sender (R151).
func (m *Message) shown() string {
	if m.SenderName != nil {
		return *m.SenderName
	}
	return m.FromNumber
}

// trialWords is what Twilio puts before each text of a trial account.
const trialWords = "Sent from your Twilio trial account - "

// reads reports whether one of Twilio's messages says the same. A trial account
// puts words before the text; where no MMS goes, links to the files come after it.
func (m *Message) reads(got *twilio.Sent) bool {
	ours, theirs := strings.TrimSpace(m.Body), strings.TrimSpace(strings.TrimPrefix(got.Body, trialWords))
	switch {
	case m.MediaCount == 0:
		return theirs == ours
	case got.MediaCount > 0:
		return got.MediaCount == m.MediaCount && theirs == ours
	}
	return strings.HasPrefix(theirs, ours) && strings.Contains(theirs[len(ours):], "/twilio/media/")
}

// clockSkew is how far Twilio's clock and ours may be apart, with the time that a
// request may take.
const clockSkew = 2 * time.Minute

func apart(got twilio.Sent, m *Message) time.Duration { return got.CreatedAt.Sub(m.handed()).Abs() }
