package followup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/phone"
	"switchboard/internal/route"
	"switchboard/internal/voicemail"
)

// heard are the events that follow-ups and notifications are made of.
var heard = []event.Kind{
	call.EventStarted, call.EventAnswered, call.EventEnded, call.EventUpdated, call.EventRingStarted, call.EventRingEnded,
	voicemail.EventReceived, voicemail.EventUpdated, message.ReceivedEvent, transcriptCompleted, exportUpdated,
}

// What is told by packages that come after this one, or that it needs nothing of.
const (
	transcriptCompleted event.Kind = "TRANSCRIPT_COMPLETED"
	exportUpdated       event.Kind = "EXPORT_UPDATED"
)

// ringData is what the events of a ring carry.
type ringData struct {
	UserID       id.ID           `json:"userId"`
	Outcome      call.LegOutcome `json:"outcome"`
	AnsweredByID id.ID           `json:"answeredById"`
}

// pick leaves out what says nothing to us: most of what happens in a call. It looks
// at the calls as they are now; whatever happens to one later has an event of its own.
func (s *Service) pick(ctx context.Context, events []event.Event) ([]event.Event, error) {
	var orgs, calls []id.ID
	for _, e := range events {
		if e.Subject.Kind() == id.Call {
			orgs, calls = append(orgs, e.OrganizationID), append(calls, e.Subject)
		}
	}
	telling := map[id.ID]bool{}
	if len(calls) > 0 {
		rows, err := s.d.DB.WorkerPool().Query(ctx, `SELECT c.id FROM unnest($1::uuid[], $2::uuid[]) AS x (organization_id, id)
			JOIN call c ON c.organization_id = x.organization_id AND c.id = x.id
			WHERE c.ended_at IS NOT NULL OR c.answered_at IS NOT NULL OR c.transfer IS NOT NULL OR c.direction = 'OUTBOUND'`, orgs, calls)
		if err != nil {
			return nil, db.Translate(err)
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[id.ID])
		if err != nil {
			return nil, db.Translate(err)
		}
		for _, x := range ids {
			telling[x] = true
		}
	}
	var out []event.Event
	for _, e := range events {
		if e.Subject.Kind() != id.Call || telling[e.Subject] {
			out = append(out, e)
		}
	}
	return out, nil
}

// Hear takes an event: what it says of callers who were missed, and of what people
// are told. It looks at the call as it is now, so it may come twice and in any order.
func (s *Service) Hear(ctx context.Context, tx *db.Tx, e event.Event) (err error) {
	defer errs.Wrap(&err, "followup.Hear(%s)", e.ID)
	org := e.OrganizationID
	switch e.Kind {
	case message.ReceivedEvent:
		return s.tellMessage(ctx, tx, org, e.Subject, e.At)
	case transcriptCompleted:
		return s.tellTranscript(ctx, tx, org, e.Subject, e.At)
	case exportUpdated:
		return s.tellExport(ctx, tx, org, e.Subject, e.At)
	case voicemail.EventReceived, voicemail.EventUpdated:
		var d struct {
			CallID id.ID `json:"callId"`
		}
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		return s.consider(ctx, tx, org, d.CallID, e)
	}
	return s.consider(ctx, tx, org, e.Subject, e)
}

// scene is a call as this package looks at it.
type scene struct {
	call.Call
	Caller     phone.E164 // who is outside; "" for one without a number (D11)
	Mask       id.ID      // the fieldworker of its masked pair
	MaskNumber string
	MaskOther  string // the customer of its masked pair

	VoicemailID    id.ID
	VoicemailOwner id.ID
	VoicemailAt    *time.Time
	VoicemailGone  bool  // it was deleted
	LineOwner      id.ID // R129
	ContactOwner   id.ID
}

// look reads a call; nil when it is gone.
func look(ctx context.Context, tx *db.Tx, org, subject id.ID) (*scene, error) {
	x := &scene{}
	x.OrganizationID, x.ID = org, subject
	var transfer []byte
	err := tx.Pgx().QueryRow(ctx, `
		SELECT c.direction, c.status, c.end_reason, c.phone_number_id, c.branch_id, c.contact_id, c.record_id, c.user_id, c.answered_by_user_id,
			c.from_number, c.to_number, c.started_at, c.answered_at, c.ended_at, c.is_ignored, c.is_test, c.answerer, c.transfer::text::bytea, c.masked_pair_id,
			m.user_id, coalesce(m.fieldworker_number, ''), coalesce(m.customer_number, ''),
			v.id, v.owner_user_id, v.received_at, coalesce(v.gone, false), n.voicemail_owner_id, k.assigned_user_id
		FROM call c
		LEFT JOIN masked_pair m ON m.organization_id = c.organization_id AND m.id = c.masked_pair_id
		LEFT JOIN phone_number n ON n.organization_id = c.organization_id AND n.id = c.phone_number_id
		LEFT JOIN contact k ON k.organization_id = c.organization_id AND k.id = c.contact_id
		LEFT JOIN LATERAL (SELECT v.id, v.owner_user_id, v.received_at, r.status = 'DELETED' AS gone FROM voicemail v
			JOIN recording r ON r.organization_id = v.organization_id AND r.id = v.recording_id WHERE v.organization_id = c.organization_id AND v.call_id = c.id
			ORDER BY v.received_at DESC, v.id DESC LIMIT 1) v ON true
		WHERE c.organization_id = $1 AND c.id = $2`, org, subject).Scan(
		&x.Direction, &x.Status, &x.EndReason, &x.PhoneNumberID, &x.BranchID, &x.ContactID, &x.RecordID, &x.UserID, &x.AnsweredByID,
		&x.FromNumber, &x.ToNumber, &x.StartedAt, &x.AnsweredAt, &x.EndedAt, &x.IsIgnored, &x.IsTest, &x.Answerer, &transfer, &x.MaskedPairID,
		&x.Mask, &x.MaskNumber, &x.MaskOther, &x.VoicemailID, &x.VoicemailOwner, &x.VoicemailAt, &x.VoicemailGone, &x.LineOwner, &x.ContactOwner)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, db.Translate(err)
	}
	if len(transfer) > 0 {
		x.Transfer = &call.Transfer{}
		if err := json.Unmarshal(transfer, x.Transfer); err != nil {
			return nil, err
		}
	}
	outside := x.FromNumber
	if x.Direction == call.Outbound {
		outside = x.ToNumber
	}
	if x.byFieldworker() {
		outside = x.MaskOther
	}
	if e, ok := phone.FromWire(outside); ok && x.Direction != call.Internal {
		x.Caller = e
	}
	return x, nil
}

// byFieldworker reports a masked call that the fieldworker made (R103).
func (x *scene) byFieldworker() bool {
	return x.Direction == call.Inbound && !x.MaskedPairID.IsZero() && x.FromNumber == x.MaskNumber
}

// counts reports whether the call is one of business at all: none is opened and
// nobody is told for tests (R085), calls between colleagues and ignored callers (R057).
func (x *scene) counts() bool { return !x.IsTest && !x.IsIgnored && x.Direction != call.Internal }

// missed reports whether somebody owes the caller something: a call from outside
// that nobody took, or that left a voicemail. What we refused (D26) is not missed.
func (x *scene) missed() bool {
	if !x.counts() || x.Direction != call.Inbound || x.byFieldworker() {
		return false
	}
	return x.EndedAt != nil && (x.Status == call.Missed || x.Status == call.Voicemail) || !x.VoicemailID.IsZero() && x.AnsweredAt == nil
}

// reached reports whether somebody spoke with the person outside.
func (x *scene) reached() bool {
	if x.AnsweredAt == nil || x.Caller == "" || x.IsTest || x.Direction == call.Internal || x.EndedAt != nil && x.Status == call.Missed {
		return false
	}
	return !x.byMachine()
}

func (x *scene) byMachine() bool {
	if x.EndReason != nil && *x.EndReason == route.DroppedMessage {
		return true
	}
	return x.Answerer != nil && (*x.Answerer == call.Machine || *x.Answerer == call.Fax)
}

// at is when the caller tried.
func (x *scene) at() time.Time { return x.StartedAt }

// key names the open item: the caller and the branch, so that each branch that
// missed them has its own; a caller without a number is the call itself (D11).
func (x *scene) key() string {
	who := string(x.Caller)
	if who == "" {
		who = x.ID.String()
	}
	return who + " " + x.BranchID.String()
}

// consider looks at a call and does what follows from it.
func (s *Service) consider(ctx context.Context, tx *db.Tx, org, subject id.ID, e event.Event) error {
	x, err := look(ctx, tx, org, subject)
	if err != nil || x == nil {
		return err
	}
	// What is told of one caller is taken one after the other.
	turn := org.String() + " " + string(x.Caller)
	if x.Caller == "" {
		turn = org.String() + " " + x.ID.String()
	}
	if _, err := tx.Pgx().Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 15))`, turn); err != nil {
		return db.Translate(err)
	}
	switch {
	case x.missed():
		err = s.attempt(ctx, tx, x, e)
	case x.reached():
		err = s.close(ctx, tx, x)
	case x.byMachine():
		err = s.undo(ctx, tx, x)
	}
	if err == nil && x.Direction == call.Outbound && !x.IsTest && x.Caller != "" {
		err = s.calledBack(ctx, tx, x)
	}
	if err != nil {
		return err
	}
	return s.tellCall(ctx, tx, x, e)
}

// attempt keeps that a caller was missed: with an open item of theirs, or a new one.
func (s *Service) attempt(ctx context.Context, tx *db.Tx, x *scene, e event.Event) error {
	var (
		item, heardBefore, owner id.ID
		known                    bool
	)
	err := tx.Pgx().QueryRow(ctx, `SELECT follow_up_id, voicemail_id, voicemail_owner FROM follow_up_attempt WHERE organization_id = $1 AND call_id = $2`,
		x.OrganizationID, x.ID).Scan(&item, &heardBefore, &owner)
	if known = err == nil; !known && !errors.Is(err, pgx.ErrNoRows) {
		return db.Translate(err)
	}
	if known {
		return s.again(ctx, tx, x, e, item, heardBefore, owner)
	}
	if gone, err := reachedSince(ctx, tx, x); err != nil || gone {
		return err // told late: somebody has spoken with them meanwhile
	}
	f, err := s.open(ctx, tx, x)
	if err != nil {
		return err
	}
	_, err = tx.Pgx().Exec(ctx, `INSERT INTO follow_up_attempt (organization_id, call_id, follow_up_id, voicemail_id, voicemail_owner, at) VALUES ($1, $2, $3, $4, $5, $6)`,
		x.OrganizationID, x.ID, f.ID, x.VoicemailID, x.VoicemailOwner, x.at())
	return db.Translate(err)
}

// again is more that is told of a call that is an attempt already: its voicemail,
// who it was given to, or whom it is from.
func (s *Service) again(ctx context.Context, tx *db.Tx, x *scene, e event.Event, item, heardBefore, owner id.ID) error {
	f, err := lock(ctx, tx, x.OrganizationID, item)
	if err != nil {
		return err
	}
	if fresh := !x.VoicemailID.IsZero() && heardBefore.IsZero(); fresh {
		f.VoicemailCount, f.Kind = f.VoicemailCount+1, Voicemail
		if f.IsOpen() && f.OwnerID.IsZero() {
			if f.OwnerID, err = s.ownerOf(ctx, tx, x); err != nil {
				return err
			}
		}
		if err := s.save(ctx, tx, f, Entry{Change: Attempted, CallID: x.ID, VoicemailID: x.VoicemailID}); err != nil {
			return err
		}
	} else if given := x.VoicemailOwner != owner && !x.VoicemailID.IsZero(); given && f.IsOpen() {
		if err := s.passOn(ctx, tx, x, e, f, owner); err != nil {
			return err
		}
	}
	if f.IsOpen() && (f.ContactID != x.ContactID || f.RecordID != x.RecordID) {
		contact, record, err := links(ctx, tx, f)
		if err != nil {
			return err
		}
		if f.ContactID != contact || f.RecordID != record {
			f.ContactID, f.RecordID = contact, record
			if err := s.save(ctx, tx, f, Entry{Change: Relinked, CallID: x.ID}); err != nil {
				return err
			}
		}
	}
	_, err = tx.Pgx().Exec(ctx, `UPDATE follow_up_attempt SET voicemail_id = coalesce($3, voicemail_id), voicemail_owner = $4
		WHERE organization_id = $1 AND call_id = $2`, x.OrganizationID, x.ID, x.VoicemailID, x.VoicemailOwner)
	return db.Translate(err)
}

// passOn gives an item to whom its voicemail was given (D25). Where that is nobody,
// or somebody who may not work on it, it is taken from whoever had both.
func (s *Service) passOn(ctx context.Context, tx *db.Tx, x *scene, e event.Event, f *FollowUp, before id.ID) error {
	to := x.VoicemailOwner
	all, err := people(ctx, tx, x.OrganizationID, []id.ID{to})
	if err != nil {
		return err
	}
	if p := all[to]; p == nil || !p.Can(mayView) {
		to = id.ID{}
	}
	if to == f.OwnerID || to.IsZero() && f.OwnerID != before {
		return nil
	}
	f.OwnerID = to
	if err := s.save(ctx, tx, f, Entry{Change: Assigned, ActorID: e.ActorID, UserID: to, VoicemailID: x.VoicemailID}); err != nil || tx.Now.Sub(e.At) > stale {
		return err
	}
	return s.tellOwner(ctx, tx, f, e.ActorID)
}

// links are the contact and the record of an item: each that of the last attempt
// that has one, so that trying again without them takes nothing away, and unlinking
// the one call that had them does.
func links(ctx context.Context, tx *db.Tx, f *FollowUp) (contact, record id.ID, err error) {
	const last = `(SELECT c.%[1]s FROM follow_up_attempt a JOIN call c ON c.organization_id = a.organization_id AND c.id = a.call_id
		WHERE a.organization_id = $1 AND a.follow_up_id = $2 AND c.%[1]s IS NOT NULL ORDER BY a.at DESC, a.call_id DESC LIMIT 1)`
	err = tx.Pgx().QueryRow(ctx, "SELECT "+fmt.Sprintf(last, "contact_id")+", "+fmt.Sprintf(last, "record_id"), f.OrganizationID, f.ID).Scan(&contact, &record)
	return contact, record, db.Translate(err)
}

// open finds the open item of a caller or makes one.
func (s *Service) open(ctx context.Context, tx *db.Tx, x *scene) (*FollowUp, error) {
	var item id.ID
	err := tx.Pgx().QueryRow(ctx, `SELECT id FROM follow_up WHERE organization_id = $1 AND key = $2 AND status = 'PENDING'`, x.OrganizationID, x.key()).Scan(&item)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, db.Translate(err)
	}
	if err == nil {
		f, err := lock(ctx, tx, x.OrganizationID, item)
		if err != nil {
			return nil, err
		}
		if f.IsOpen() { // else it was closed by hand in between
			return f, s.more(ctx, tx, f, x)
		}
	}
	owner, err := s.ownerOf(ctx, tx, x)
	if err != nil {
		return nil, err
	}
	set, err := settings(ctx, tx, x.OrganizationID)
	if err != nil {
		return nil, err
	}
	f := &FollowUp{
		OrganizationID: x.OrganizationID, ID: id.New(id.FollowUp), Key: x.key(), Kind: MissedCall, Status: Pending, CallerNumber: x.FromNumber,
		MaskedPairID: x.MaskedPairID, ContactID: x.ContactID, RecordID: x.RecordID, BranchID: x.BranchID, PhoneNumberID: x.PhoneNumberID, OwnerID: owner,
		AttemptCount: 1, FirstAttemptAt: x.at(), LastAttemptAt: x.at(), Version: 1, CreatedAt: tx.Now,
	}
	if !x.VoicemailID.IsZero() {
		f.Kind, f.VoicemailCount = Voicemail, 1
	}
	if set.DueMinutes != nil {
		f.DueAt = new(x.at().Add(time.Duration(*set.DueMinutes) * time.Minute))
	}
	var caller *string
	if x.Caller != "" {
		caller = new(string(x.Caller))
	}
	if _, err := tx.Pgx().Exec(ctx, `INSERT INTO follow_up (organization_id, id, key, kind, caller_number, caller, masked_pair_id, contact_id, record_id, branch_id,
			phone_number_id, owner_user_id, due_at, escalate_at, attempt_count, voicemail_count, first_attempt_at, last_attempt_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, (SELECT b.id FROM branch b WHERE b.organization_id = $1 AND b.id = $10), $11, $12, $13, $13, 1, $14, $15, $15, $16)`,
		f.OrganizationID, f.ID, f.Key, string(f.Kind), f.CallerNumber, caller, f.MaskedPairID, f.ContactID, f.RecordID, f.BranchID,
		f.PhoneNumberID, f.OwnerID, f.DueAt, f.VoicemailCount, f.FirstAttemptAt, tx.Now); err != nil {
		return nil, db.Translate(err)
	}
	return f, s.note(ctx, tx, f, Entry{Change: Opened, CallID: x.ID, VoicemailID: x.VoicemailID, UserID: owner, DueAt: f.DueAt})
}

// more is another attempt at an open item.
func (s *Service) more(ctx context.Context, tx *db.Tx, f *FollowUp, x *scene) (err error) {
	f.AttemptCount++
	if !x.VoicemailID.IsZero() {
		f.Kind, f.VoicemailCount = Voicemail, f.VoicemailCount+1
	}
	if !x.at().Before(f.LastAttemptAt) {
		f.LastAttemptAt = x.at()
		if !x.ContactID.IsZero() {
			f.ContactID = x.ContactID
		}
		if !x.RecordID.IsZero() {
			f.RecordID = x.RecordID
		}
	}
	if x.at().Before(f.FirstAttemptAt) {
		f.FirstAttemptAt = x.at()
	}
	if f.OwnerID.IsZero() {
		if f.OwnerID, err = s.ownerOf(ctx, tx, x); err != nil {
			return err
		}
	}
	return s.save(ctx, tx, f, Entry{Change: Attempted, CallID: x.ID, VoicemailID: x.VoicemailID})
}

// ownerOf is who works on a missed call: the owner of the voicemail or of the
// number's (R129, D25), else whom the contact is assigned to, else the fieldworker of
// the masked pair, else nobody. Who cannot sign in or see follow-ups is passed over.
func (s *Service) ownerOf(ctx context.Context, tx *db.Tx, x *scene) (id.ID, error) {
	order := []id.ID{x.VoicemailOwner, x.LineOwner, x.ContactOwner, x.Mask}
	all, err := people(ctx, tx, x.OrganizationID, order)
	if err != nil {
		return id.ID{}, err
	}
	for _, u := range order {
		if p := all[u]; p != nil && p.Can(mayView) {
			return u, nil
		}
	}
	return id.ID{}, nil
}

// reachedSince reports whether somebody spoke with the caller after the call.
func reachedSince(ctx context.Context, tx *db.Tx, x *scene) (yes bool, err error) {
	if x.Caller == "" {
		return false, nil
	}
	err = tx.Pgx().QueryRow(ctx, `SELECT EXISTS (SELECT FROM call c
		WHERE c.organization_id = $1 AND (CASE WHEN c.direction = 'INBOUND' THEN c.from_number ELSE c.to_number END) = $2
			AND c.started_at >= $3 AND c.answered_at > $4 AND c.id <> $5 AND NOT c.is_test AND c.direction <> 'INTERNAL' AND c.status <> 'MISSED'
			AND coalesce(c.answerer, 'HUMAN') NOT IN ('MACHINE', 'FAX') AND coalesce(c.end_reason, '') <> 'LEFT_MESSAGE')`,
		x.OrganizationID, string(x.Caller), x.at().Add(-time.Hour), x.at(), x.ID).Scan(&yes)
	return yes, db.Translate(err)
}

// close ends every open item of the person whom somebody spoke with, whichever
// branch it is of; not those who tried again since.
func (s *Service) close(ctx context.Context, tx *db.Tx, x *scene) error {
	items, err := ids(ctx, tx, `SELECT id FROM follow_up WHERE organization_id = $1 AND caller = $2 AND status = 'PENDING' AND last_attempt_at <= $3 ORDER BY id FOR UPDATE`,
		x.OrganizationID, string(x.Caller), *x.AnsweredAt)
	if err != nil {
		return err
	}
	by := x.AnsweredByID
	if x.Direction == call.Outbound {
		by = x.UserID
	} else if x.byFieldworker() {
		by = x.Mask
	}
	for _, item := range items {
		f, err := lock(ctx, tx, x.OrganizationID, item)
		if err != nil {
			return err
		}
		at := *x.AnsweredAt
		f.Status, f.ClosedAt, f.ClosedByID, f.ClosedByCallID, f.IsClosedAutomatically = Resolved, &at, by, x.ID, true
		if err := s.save(ctx, tx, f, Entry{Change: ClosedByCall, ActorID: by, CallID: x.ID, Status: &f.Status}); err != nil {
			return err
		}
	}
	return nil
}

// undo opens again what a call closed that a machine answered, as was found out
// later; not where the caller has another open item by now.
func (s *Service) undo(ctx context.Context, tx *db.Tx, x *scene) error {
	items, err := ids(ctx, tx, `SELECT f.id FROM follow_up f WHERE f.organization_id = $1 AND f.closed_by_call_id = $2 AND f.is_closed_by_call AND f.status = 'RESOLVED'
		AND NOT EXISTS (SELECT FROM follow_up o WHERE o.organization_id = $1 AND o.key = f.key AND o.status = 'PENDING') ORDER BY f.id FOR UPDATE`, x.OrganizationID, x.ID)
	if err != nil {
		return err
	}
	for _, item := range items {
		f, err := lock(ctx, tx, x.OrganizationID, item)
		if err != nil {
			return err
		}
		f.reopen()
		if err := s.save(ctx, tx, f, Entry{Change: Reopened, CallID: x.ID, Status: &f.Status}); err != nil {
			return err
		}
	}
	return nil
}

// calledBack notes on the open items of somebody who is called that they were.
func (s *Service) calledBack(ctx context.Context, tx *db.Tx, x *scene) error {
	items, err := ids(ctx, tx, `SELECT id FROM follow_up f WHERE organization_id = $1 AND caller = $2 AND last_attempt_at <= $3
			AND (status = 'PENDING' OR closed_by_call_id = $4)
			AND NOT EXISTS (SELECT FROM follow_up_entry e WHERE e.organization_id = $1 AND e.follow_up_id = f.id AND e.call_id = $4 AND e.change = 'CALLED_BACK')
		ORDER BY id`, x.OrganizationID, string(x.Caller), x.StartedAt, x.ID)
	if err != nil {
		return err
	}
	for _, item := range items {
		f, err := lock(ctx, tx, x.OrganizationID, item)
		if err != nil {
			return err
		}
		if err := s.save(ctx, tx, f, Entry{Change: CalledBack, ActorID: x.UserID, CallID: x.ID}); err != nil {
			return err
		}
	}
	return nil
}

func ids(ctx context.Context, tx *db.Tx, query string, args ...any) ([]id.ID, error) {
	rows, err := tx.Pgx().Query(ctx, query, args...)
	if err != nil {
		return nil, db.Translate(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[id.ID])
	return out, db.Translate(err)
}
