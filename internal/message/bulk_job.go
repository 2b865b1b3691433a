package message

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/twilio"
)

const (
	bulkEvery = 500 * time.Millisecond
	bulkBatch = 200 // messages that are claimed together
	bulkLanes = 2   // batches under way at once: one is written down while the other is handed over
	bulkPosts = 8   // requests of a batch under way at once
	bulkFor   = time.Minute
	// ahead is how far a sender may be ahead of its rate: what is due within it is
	// handed over now.
	ahead = time.Second
)

// bulkArgs has the recipients of a bulk message written to who are due.
type bulkArgs struct {
	Organization id.ID `json:"organization"`
	Bulk         id.ID `json:"bulk"`
}

// Kind names the job.
func (bulkArgs) Kind() string { return "message.bulk" }

// Tenant is whose job it is.
func (a bulkArgs) Tenant() id.ID { return a.Organization }

// Timeout is enough for what one job does.
func (bulkArgs) Timeout() time.Duration { return bulkFor + claimFor }

// InsertOpts allows few attempts: what is not done is due again.
func (bulkArgs) InsertOpts() job.Options { return job.Options{Queue: job.Bulk, MaxAttempts: 4} }

// sweepBulk finds the bulk messages whose time has come, also those of processes
// that died, and makes a job for each.
func (s *Service) sweepBulk(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "message.sweepBulk")
	return s.db.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var due []bulkArgs
		if err := db.Select(ctx, tx, &due, `
UPDATE bulk_message SET due_at = $2
WHERE (organization_id, id) IN (
  SELECT organization_id, id FROM bulk_message WHERE due_at <= $1 ORDER BY due_at LIMIT 100 FOR UPDATE SKIP LOCKED)
RETURNING organization_id AS organization, id AS bulk`, now, now.Add(leaseFor)); err != nil {
			return err
		}
		jobs := make([]job.Args, len(due))
		for i, d := range due {
			jobs[i] = d
		}
		return job.InsertMany(ctx, tx, jobs...)
	})
}

// bulkMessage is a message of a bulk message on its way, and what came of it.
type bulkMessage struct {
	Message
	from *bulkSender
	row  *BulkRecipient
	urls []string

	sent twilio.Sent
	err  error
}

// errNotTried is what comes of a claimed message that no request was made for.
var errNotTried = fmt.Errorf("the batch ended before it: %w", context.Canceled)

// bulk writes to the recipients of a bulk message who are due, in batches: each is
// claimed in one transaction, handed over, and its answers are kept in another.
// Whoever dies in between leaves claimed messages behind, which the sweep asks
// Twilio about; nobody is written to twice.
func (s *Service) bulk(ctx context.Context, a bulkArgs) (err error) {
	defer errs.Wrap(&err, "message.bulk(%s)", a.Bulk)
	until := time.Now().Add(bulkFor) // of the machine, not of the business
	var over atomic.Bool
	var failed [bulkLanes]error
	var lanes sync.WaitGroup
	for i := range bulkLanes {
		lanes.Go(func() {
			for !over.Load() {
				more, err := s.bulkBatch(ctx, a, time.Now().After(until))
				if failed[i] = err; err != nil || !more {
					over.Store(true)
				}
			}
		})
	}
	lanes.Wait()
	if err := errors.Join(failed[:]...); err != nil {
		return err
	}
	// Who finds nobody left while another lane is at its last batch cannot end it.
	_, err = s.bulkBatch(ctx, a, time.Now().After(until))
	return err
}

// bulkBatch takes one batch from the first statement to the last and reports
// whether another may follow at once. The last one leaves the rest to the sweep.
func (s *Service) bulkBatch(ctx context.Context, a bulkArgs, last bool) (more bool, err error) {
	var list []*bulkMessage
	var files []*Media
	if err := s.db.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		list, files, more, err = s.claimBulk(ctx, tx, a, last)
		return err
	}); err != nil || len(list) == 0 {
		return more, err
	}
	if err := s.failPoint("claimed"); err != nil {
		return false, err
	}
	stop, rest := s.postBulk(ctx, list, files)
	if err := s.failPoint("posted"); err != nil {
		return false, err
	}
	// What came of it is kept even when the job's time is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = s.db.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) error { return s.answeredBulk(ctx, tx, a, list, stop, rest) })
	return more && err == nil && stop == "" && rest == 0, err
}

// failPoint is where a test lets the process die.
func (s *Service) failPoint(where string) error {
	if s.dies == nil {
		return nil
	}
	return s.dies(where)
}

// claimBulk takes the next recipients of a bulk message, as many as its senders may
// write to now, and makes their messages: claimed, so that nobody else sends them.
// One that must wait for another of its thread is left to the ordinary way.
func (s *Service) claimBulk(ctx context.Context, tx *db.Tx, a bulkArgs, last bool) (list []*bulkMessage, files []*Media, more bool, err error) {
	b, err := lockBulk(ctx, tx, a.Organization, a.Bulk)
	switch {
	case errs.IsCode(err, errs.NotFound):
		return nil, nil, false, nil
	case err != nil:
		return nil, nil, false, err
	case b.Status == BulkScheduled && b.ScheduledAt != nil && !b.ScheduledAt.After(tx.Now):
		b.Status = BulkRunning
	case b.Status != BulkRunning:
		return nil, nil, false, nil
	}
	if last {
		b.DueAt = at(tx.Now, 0)
		return nil, nil, false, saveBulk(ctx, tx, b)
	}
	if b.StartedAt == nil {
		b.StartedAt = at(tx.Now, 0)
	}
	senders, err := sendersLeft(ctx, tx, b)
	if err != nil {
		return nil, nil, false, err
	}
	if len(senders) == 0 {
		if open, err := unsent(ctx, tx, b); err != nil || open {
			b.DueAt = at(tx.Now, ahead)
			return nil, nil, false, errors.Join(err, saveBulk(ctx, tx, b))
		}
		b.Status, b.DueAt, b.EndedAt = BulkDone, nil, at(tx.Now, 0)
		return nil, nil, false, s.wentOn(ctx, tx, b)
	}
	for _, n := range senders {
		why := n.unusable()
		if barred := s.maySpend(ctx, tx, Spending{Organization: b.OrganizationID, User: b.CreatedByID, Branch: n.BranchID}); errs.IsCode(barred, errs.LimitReached) {
			e, _ := errs.As(barred)
			why = e.Message
		} else if barred != nil {
			return nil, nil, false, barred
		}
		if why != "" {
			b.stop(why)
			return nil, nil, false, s.wentOn(ctx, tx, b)
		}
	}
	if files, err = filesByIDs(ctx, tx, b.OrganizationID, b.MediaIDs); err != nil {
		return nil, nil, false, err
	}
	if len(files) < len(b.MediaIDs) {
		b.stop("a file of the message is gone; make a new bulk message")
		return nil, nil, false, s.wentOn(ctx, tx, b)
	}
	if err := lockPace(ctx, tx, b.OrganizationID, senders); err != nil {
		return nil, nil, false, err
	}
	next, room := senders[0].freeAt, make([]int, len(senders))
	share := max(bulkBatch/len(senders), 1)
	for i, n := range senders {
		room[i] = min(n.room(b, tx.Now), share)
		if n.freeAt.Before(next) {
			next = n.freeAt
		}
	}
	if slices.Max(room) == 0 { // the sweep comes back when the first of them is free
		b.DueAt = at(next, 0)
		return nil, nil, false, saveBulk(ctx, tx, b)
	}
	rows, err := pendingOf(ctx, tx, b, senders, room)
	if err != nil {
		return nil, nil, false, err
	}
	if list, err = s.takeBulk(ctx, tx, b, senders, rows, files); err != nil {
		return nil, nil, false, err
	}
	if err := savePace(ctx, tx, b.OrganizationID, senders); err != nil {
		return nil, nil, false, err
	}
	b.DueAt = at(tx.Now, leaseFor)
	return list, files, true, s.wentOn(ctx, tx, b)
}

// unusable says why nothing can be sent from a number now, "" when it can.
func (n *bulkSender) unusable() string {
	switch {
	case n.AccountStatus != "active":
		return fmt.Sprintf("Twilio says that the account of number %s is %s; check it in the Twilio Console and go on", n.E164, n.AccountStatus)
	case !n.Takes:
		return fmt.Sprintf("number %s is disabled; enable it and go on", n.E164)
	case !n.CanSMS || !n.ForMessages:
		return fmt.Sprintf("number %s is not used for messages; change its usage and go on", n.E164)
	}
	return ""
}

// rate is how many messages a second the sender hands over.
func (n *bulkSender) rate(b *Bulk) int {
	switch {
	case b.RatePerSecond != nil:
		return *b.RatePerSecond
	case n.Rate != nil:
		return *n.Rate
	}
	return DefaultRate(SenderKindOf(string(n.E164)))
}

// room is how many messages the sender may hand over now: those whose time comes
// within a second.
func (n *bulkSender) room(b *Bulk, now time.Time) int {
	left := ahead - n.freeAt.Sub(now)
	if left <= 0 {
		return 0
	}
	each := time.Second / time.Duration(n.rate(b))
	return int((left + each - 1) / each)
}

// stop pauses a bulk message that cannot go on by itself.
func (b *Bulk) stop(why string) { b.Status, b.DueAt, b.StopReason = BulkPaused, nil, &why }

// wentOn keeps a bulk message that changed and tells who watches it.
func (s *Service) wentOn(ctx context.Context, tx *db.Tx, b *Bulk) error {
	b.Version++
	if err := saveBulk(ctx, tx, b); err != nil {
		return err
	}
	return event.Append(ctx, tx, event.Event{Kind: BulkUpdatedEvent, Subject: b.ID})
}

// takeBulk makes the messages of recipients, unless they asked for none since.
func (s *Service) takeBulk(ctx context.Context, tx *db.Tx, b *Bulk, senders []*bulkSender, rows []*BulkRecipient, files []*Media) (list []*bulkMessage, err error) {
	byID := make(map[id.ID]*bulkSender, len(senders))
	for _, n := range senders {
		byID[n.ID] = n
	}
	pairs := make([]pair, len(rows))
	for i, r := range rows {
		pairs[i] = pair{r.PhoneNumberID, string(*r.E164)}
	}
	out, err := optedOutMany(ctx, tx, b.OrganizationID, pairs)
	if err != nil {
		return nil, err
	}
	for i, r := range rows {
		n := byID[r.PhoneNumberID]
		if out[pairs[i]] {
			code, why := OptedOutProblem, optedOut(string(n.E164))
			r.State, r.SkipCode, r.SkipReason = RecipientSkipped, &code, &why
			b.SkippedCount++
			continue
		}
		encoding := Measure(*r.Body).Encoding
		m := &bulkMessage{from: n, row: r, Message: Message{
			OrganizationID: b.OrganizationID, ID: id.New(id.Message), Direction: Outbound, Status: Pending, Body: *r.Body, FromNumber: string(n.E164),
			ToNumber: string(*r.E164), SenderReason: r.SenderReason, UserID: b.CreatedByID, ContactID: r.ContactID, RecordID: r.RecordID,
			CampaignID: b.CampaignID, BulkID: b.ID, TemplateID: b.TemplateID, Encoding: &encoding, MediaCount: len(files), EstimateMicros: r.EstimateMicros,
			PriceCurrency: r.Currency, At: tx.Now, Attempts: 1, TriedAt: at(tx.Now, 0), DueAt: at(tx.Now, claimFor), Version: 1,
		}}
		r.State, r.MessageID = RecipientTaken, m.ID
		n.freeAt = n.freeAt.Add(time.Second / time.Duration(n.rate(b)))
		list = append(list, m)
	}
	b.PendingCount -= len(rows)
	if err := settle(ctx, tx, b, rows); err != nil || len(list) == 0 {
		return nil, err
	}
	threads, err := threadsFor(ctx, tx, list)
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		m.ThreadID = threads[pair{m.from.ID, m.ToNumber}]
	}
	busy, err := busyThreads(ctx, tx, b.OrganizationID, list)
	if err != nil {
		return nil, err
	}
	var told []event.Event
	for _, m := range list {
		if busy[m.ThreadID] {
			m.Attempts, m.TriedAt, m.DueAt = 0, nil, at(tx.Now, 0)
			told = append(told, m.updated())
		}
	}
	if err := insertMany(ctx, tx, b, list); err != nil {
		return nil, err
	}
	ids := make([]id.ID, len(list))
	contacts, numbers := make([]id.ID, 0, len(list)), make([]id.ID, 0, len(list))
	for i, m := range list {
		ids[i] = m.ID
		if !m.ContactID.IsZero() {
			contacts, numbers = append(contacts, m.ContactID), append(numbers, m.from.ID)
		}
	}
	if err := attach(ctx, tx, b.OrganizationID, ids, files); err != nil {
		return nil, err
	}
	if err := contact.TouchMany(ctx, tx, contacts, numbers, b.CampaignID, tx.Now); err != nil { // R287
		return nil, err
	}
	return slices.DeleteFunc(list, func(m *bulkMessage) bool { return m.TriedAt == nil }), event.Append(ctx, tx, told...)
}

// postBulk hands claimed messages over, some at once. It gives up when Twilio says
// what is true for all of them: stop says why in plain words, or pause for how long
// it takes none.
func (s *Service) postBulk(ctx context.Context, list []*bulkMessage, files []*Media) (stop string, pause time.Duration) {
	// Before somebody takes the messages for abandoned.
	ctx, cancel := context.WithTimeout(ctx, claimFor-5*time.Second)
	defer cancel()
	if len(files) > 0 {
		if err := s.linkMany(ctx, list); err != nil {
			for _, m := range list {
				m.err = errs.New(errs.Unavailable, "the files cannot be read now").Because(err)
			}
			return "", ahead
		}
	}
	var mu sync.Mutex // guards stop and pause
	var over atomic.Bool
	var next atomic.Int64
	var posts sync.WaitGroup
	for range min(bulkPosts, len(list)) {
		posts.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(list)); i = next.Add(1) - 1 {
				m := list[i]
				if over.Load() || ctx.Err() != nil {
					m.err = errNotTried
					continue
				}
				m.sent, m.err = s.handOver(ctx, m)
				why, wait := forAll(m)
				if why == "" && wait == 0 {
					continue
				}
				over.Store(true)
				mu.Lock()
				if stop == "" {
					stop = why
				}
				pause = max(pause, wait)
				mu.Unlock()
			}
		})
	}
	posts.Wait()
	return stop, pause
}

// handOver makes the one request for a claimed message.
func (s *Service) handOver(ctx context.Context, m *bulkMessage) (twilio.Sent, error) {
	client, err := s.numbers.Client(ctx, m.from.ConnectionID)
	if err != nil {
		return twilio.Sent{}, err
	}
	callback, err := s.numbers.CallbackURL(ctx, m.from.ConnectionID, "message/"+m.ID.String())
	if err != nil {
		return twilio.Sent{}, err
	}
	return client.CreateMessage(ctx, twilio.MessageRequest{To: m.ToNumber, From: m.FromNumber, Body: m.Body, MediaURLs: m.urls, StatusCallback: callback})
}

// forAll tells from an answer about one message what is true for all of its batch:
// the account or the sender cannot send, or Twilio wants a pause.
func forAll(m *bulkMessage) (stop string, pause time.Duration) {
	var refused *twilio.Error
	if m.err == nil || twilio.Ambiguous(m.err) || !errors.As(m.err, &refused) {
		return "", 0
	}
	switch {
	case twilio.Unauthorized(m.err), slices.Contains([]int{10001, 20005, 20006, 30002}, refused.Code):
		if refused.Code == 0 {
			refused = &twilio.Error{Code: 20003}
		}
		return *words(refused.Code), 0
	case refused.Status == 429:
		return "", max(refused.RetryAfter, ahead)
	}
	return "", 0
}

// answeredBulk keeps what came of a batch. When it was stopped, those who were
// surely not written to wait for it to go on.
func (s *Service) answeredBulk(ctx context.Context, tx *db.Tx, a bulkArgs, list []*bulkMessage, stop string, rest time.Duration) error {
	var b *Bulk
	if stop != "" || rest > 0 { // locked before the messages, as everywhere
		var err error
		if b, err = lockBulk(ctx, tx, a.Organization, a.Bulk); err != nil {
			return err
		}
	}
	byID, ids := make(map[id.ID]*bulkMessage, len(list)), make([]id.ID, len(list))
	for i, m := range list {
		byID[m.ID], ids[i] = m, m.ID
	}
	rows, err := lockMany(ctx, tx, a.Organization, ids)
	if err != nil {
		return err
	}
	var changes []revision
	var back []*BulkRecipient
	var given []id.ID
	for _, m := range rows {
		was, x := *m, byID[m.ID]
		s.outcome(m, x.sent, x.err, tx.Now)
		why, _ := forAll(x)
		if stop != "" && (why != "" || errors.Is(x.err, errNotTried)) && m.TwilioSID == nil && (m.Status == Pending || m.Status == Failed) {
			m.fail(stop)
			given = append(given, m.ID)
			r := *x.row
			r.State, r.MessageID = RecipientPending, id.ID{}
			back = append(back, &r)
		}
		changes = append(changes, revision{was, m})
	}
	if err := s.changeMany(ctx, tx, changes); err != nil || b == nil {
		return err
	}
	if err := settle(ctx, tx, b, back); err != nil {
		return err
	}
	if len(given) > 0 { // they are no longer what the bulk message sent
		if _, err := db.Exec(ctx, tx, `UPDATE message SET bulk_id = NULL WHERE organization_id = $1 AND id = ANY ($2::uuid[])`, a.Organization, given); err != nil {
			return err
		}
	}
	b.PendingCount += len(back)
	switch {
	case b.Status == BulkRunning && stop != "":
		b.stop(stop)
	case b.Status == BulkRunning:
		b.DueAt = at(tx.Now, rest)
	}
	return s.wentOn(ctx, tx, b)
}
