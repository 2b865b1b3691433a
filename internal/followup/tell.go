package followup

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/job"
)

const (
	// maxTold is how many people are told of one thing.
	maxTold = 50
	// stale is how old something may be that people are still told of: what is old is
	// in the lists and rings nobody's phone, however lately the log tells of it.
	stale = 24 * time.Hour
	// mailAfter is how long a mail waits: who reads it in the app gets none.
	mailAfter = 2 * time.Minute
)

// Notice is something to tell people of.
type Notice struct {
	Kind  NotificationKind
	Users []id.ID
	// Key names what is told: a person is told once of it, however often it is said.
	Key string
	// What it is about. SubjectID may be of any kind.
	SubjectID, CallID, VoicemailID, MessageID, FollowUpID id.ID
	// ActorID is who did it; they are not told themselves.
	ActorID id.ID
	// Only are the ways that may be used; nil: all.
	Only []Channel
}

// NotificationTold is what the event of a notification carries.
type NotificationTold struct {
	UserID id.ID `json:"userId"`
}

// Notify tells people of something in the caller's transaction: those who are
// active, each once, in the ways that they chose (R197). Who may see the subject is
// the caller's to know; it is asked again whenever it is read, and before it leaves.
func (s *Service) Notify(ctx context.Context, tx *db.Tx, n Notice) (err error) {
	defer errs.Wrap(&err, "followup.Notify(%s)", n.Kind)
	org := db.TenantFrom(ctx)
	users := slices.DeleteFunc(slices.Clone(n.Users), func(u id.ID) bool { return u.IsZero() || u == n.ActorID })
	slices.SortFunc(users, func(a, b id.ID) int { x, y := a.UUID(), b.UUID(); return slices.Compare(x[:], y[:]) })
	users = slices.Compact(users)
	if len(users) > maxTold {
		users = users[:maxTold]
	}
	all, err := people(ctx, tx, org, users)
	if err != nil || len(all) == 0 {
		return err
	}
	ways, err := chosen(ctx, tx, org, n.Kind, all)
	if err != nil {
		return err
	}
	targets, err := s.targets(ctx, tx, org, users)
	if err != nil {
		return err
	}
	var events []event.Event
	var jobs []job.Args
	for _, u := range users {
		p := all[u]
		if p == nil {
			continue
		}
		ways := slices.DeleteFunc(slices.Clone(ways[u]), func(c Channel) bool { return n.Only != nil && !slices.Contains(n.Only, c) })
		if len(ways) == 0 {
			continue
		}
		fresh, inApp := id.New(id.Notification), slices.Contains(ways, InApp)
		var made bool
		err := tx.Pgx().QueryRow(ctx, `INSERT INTO notification (organization_id, id, user_id, kind, key, subject, call_id, voicemail_id, message_id, follow_up_id, actor_user_id,
				is_silent, show_popup, in_app, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT ON CONSTRAINT notification_once DO NOTHING RETURNING true`,
			org, fresh, u, string(n.Kind), n.Key, n.SubjectID, n.CallID, n.VoicemailID, n.MessageID, n.FollowUpID, n.ActorID,
			p.Silent, p.Shows && inApp, inApp, tx.Now).Scan(&made)
		if errors.Is(err, pgx.ErrNoRows) {
			continue // they were told
		}
		if err != nil {
			return db.Translate(err)
		}
		for _, t := range targets[u] {
			if !slices.Contains(ways, t.channel) || t.channel != Email && !p.Shows { // R076: what pops up is not for them
				continue
			}
			// What leaves at once has a job; should that never run, the sweep finds it.
			x := sendArgs{Organization: org, Sending: id.New(id.Notification)}
			due := tx.Now.Add(sendFor)
			if t.channel == Email && inApp {
				due = tx.Now.Add(mailAfter)
			} else {
				jobs = append(jobs, x)
			}
			if _, err := tx.Pgx().Exec(ctx, `INSERT INTO notification_sending (organization_id, id, notification_id, channel, target, due_at) VALUES ($1, $2, $3, $4, $5, $6)`,
				org, x.Sending, fresh, string(t.channel), t.id, due); err != nil {
				return db.Translate(err)
			}
		}
		if !inApp {
			continue
		}
		data, err := json.Marshal(NotificationTold{UserID: u})
		if err != nil {
			return err
		}
		events = append(events, event.Event{OrganizationID: org, Kind: EventNotified, Subject: fresh, Data: data})
	}
	if err := job.InsertMany(ctx, tx, jobs...); err != nil {
		return err
	}
	return event.Append(ctx, tx, events...)
}

// target is where a person is told.
type target struct {
	channel Channel
	id      id.ID
}

// targets are the browsers, phones and mailboxes of people, as far as the server
// can reach them.
func (s *Service) targets(ctx context.Context, tx *db.Tx, org id.ID, users []id.ID) (map[id.ID][]target, error) {
	out := map[id.ID][]target{}
	if s.d.Mail != nil {
		for _, u := range users {
			out[u] = append(out[u], target{Email, u})
		}
	}
	for _, q := range []struct {
		on      bool
		channel Channel
		query   string
	}{
		{s.d.WebPush != nil, WebPush, `SELECT user_id, id FROM push_subscription WHERE organization_id = $1 AND user_id = ANY ($2::uuid[]) ORDER BY created_at`},
		{s.d.Phones != nil, MobilePush, `SELECT user_id, id FROM device WHERE organization_id = $1 AND user_id = ANY ($2::uuid[]) AND removed_at IS NULL
			AND platform IN ('IOS', 'ANDROID') AND push_sealed IS NOT NULL ORDER BY registered_at`},
	} {
		if !q.on {
			continue
		}
		rows, err := tx.Pgx().Query(ctx, q.query, org, users)
		if err != nil {
			return nil, db.Translate(err)
		}
		var user, x id.ID
		if _, err := pgx.ForEachRow(rows, []any{&user, &x}, func() error {
			out[user] = append(out[user], target{q.channel, x})
			return nil
		}); err != nil {
			return nil, db.Translate(err)
		}
	}
	return out, nil
}

// tellCall tells people of what happened in a call.
func (s *Service) tellCall(ctx context.Context, tx *db.Tx, x *scene, e event.Event) error {
	if x.IsIgnored || x.IsTest || tx.Now.Sub(e.At) > stale { // R057, D08
		return nil
	}
	if e.Kind == call.EventRingEnded {
		if err := s.tellElsewhere(ctx, tx, x, e); err != nil {
			return err
		}
	}
	if x.Transfer != nil && tx.Now.Sub(x.Transfer.StartedAt) < stale {
		if err := s.tellTransfer(ctx, tx, x); err != nil {
			return err
		}
	}
	if x.missed() {
		return s.tellMissed(ctx, tx, x)
	}
	return nil
}

// tellElsewhere tells whoever a call rang that another took it, so that nobody
// follows up twice (R190).
func (s *Service) tellElsewhere(ctx context.Context, tx *db.Tx, x *scene, e event.Event) error {
	var d ringData
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return err
	}
	by := d.AnsweredByID
	if by.IsZero() {
		by = x.AnsweredByID
	}
	if d.Outcome != call.AnsweredElsewhere || d.UserID.IsZero() || d.UserID == by || x.Direction != call.Inbound {
		return nil
	}
	return s.Notify(ctx, tx, Notice{Kind: ToldAnsweredElsewhere, Users: []id.ID{d.UserID}, Key: "elsewhere " + x.ID.String(), SubjectID: x.ID, CallID: x.ID, ActorID: by})
}

// tellTransfer tells whom a call is transferred to: a person, or those of a branch
// whom it rings.
func (s *Service) tellTransfer(ctx context.Context, tx *db.Tx, x *scene) error {
	users := []id.ID{x.Transfer.ToUserID}
	if x.Transfer.ToUserID.IsZero() {
		if x.Transfer.ToBranchID.IsZero() {
			return nil
		}
		var err error
		if users, err = ids(ctx, tx, `SELECT DISTINCT user_id FROM call_leg WHERE organization_id = $1 AND call_id = $2 AND user_id IS NOT NULL
			AND purpose IN ('TRANSFER', 'CONSULT') AND started_at >= $3`, x.OrganizationID, x.ID, x.Transfer.StartedAt); err != nil {
			return err
		}
	}
	return s.Notify(ctx, tx, Notice{Kind: ToldCallTransferred, Users: users, Key: "transfer " + x.ID.String() + " " + strconv.FormatInt(x.Transfer.StartedAt.UnixMicro(), 36),
		SubjectID: x.ID, CallID: x.ID, ActorID: x.Transfer.ByID})
}

// tellMissed tells of a missed call those whom it rang, else the group that it was
// for, and whoever works on it (R189); of a voicemail, those who are to be told of the
// number's (R128), else that group (R191). Nobody is told of both. What lies back is
// told no more, whatever happens to it: it is heard, linked or deleted for years.
func (s *Service) tellMissed(ctx context.Context, tx *db.Tx, x *scene) error {
	spoken := !x.VoicemailID.IsZero() && !x.VoicemailGone && tx.Now.Sub(*x.VoicemailAt) <= stale
	over := x.EndedAt != nil && tx.Now.Sub(*x.EndedAt) <= stale
	if !spoken && !over {
		return nil
	}
	var item, owner id.ID
	err := tx.Pgx().QueryRow(ctx, `SELECT f.id, f.owner_user_id FROM follow_up_attempt a JOIN follow_up f ON f.organization_id = a.organization_id AND f.id = a.follow_up_id
		WHERE a.organization_id = $1 AND a.call_id = $2`, x.OrganizationID, x.ID).Scan(&item, &owner)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // somebody has spoken with them meanwhile
	}
	if err != nil {
		return db.Translate(err)
	}
	rung, err := ids(ctx, tx, `SELECT DISTINCT user_id FROM call_leg WHERE organization_id = $1 AND call_id = $2 AND user_id IS NOT NULL AND purpose = 'ROUTE'`, x.OrganizationID, x.ID)
	if err != nil {
		return err
	}
	waiting, err := group(ctx, tx, x.OrganizationID, x.BranchID)
	if err != nil {
		return err
	}
	var hears []id.ID
	if x.Status == call.Voicemail || !x.VoicemailID.IsZero() {
		if hears, err = ids(ctx, tx, `SELECT user_id FROM phone_number_voicemail_user WHERE organization_id = $1 AND phone_number_id = $2`, x.OrganizationID, x.PhoneNumberID); err != nil {
			return err
		}
		hears = append(hears, x.VoicemailOwner, x.LineOwner, owner)
		if hears, err = s.those(ctx, tx, x, hears, access.VoicemailListen, false); err != nil {
			return err
		}
		if len(hears) == 0 {
			if hears, err = s.those(ctx, tx, x, append(slices.Clone(rung), waiting...), access.VoicemailListen, true, rung...); err != nil {
				return err
			}
		}
	}
	if spoken {
		only, err := voicemailWays(ctx, tx, x.OrganizationID, x.PhoneNumberID)
		if err != nil {
			return err
		}
		if err := s.Notify(ctx, tx, Notice{Kind: ToldVoicemailReceived, Users: hears, Key: "voicemail " + x.VoicemailID.String(), Only: only,
			SubjectID: x.VoicemailID, CallID: x.ID, VoicemailID: x.VoicemailID, FollowUpID: item}); err != nil {
			return err
		}
	}
	if !over {
		return nil
	}
	users := slices.Clone(rung)
	if len(rung) == 0 {
		if users, err = s.those(ctx, tx, x, waiting, access.CallView, true); err != nil {
			return err
		}
	}
	if !owner.IsZero() {
		users = append(users, owner)
	}
	users = slices.DeleteFunc(users, func(u id.ID) bool { return slices.Contains(hears, u) })
	return s.Notify(ctx, tx, Notice{Kind: ToldMissedCall, Users: users, Key: "missed " + x.ID.String(), SubjectID: x.ID, CallID: x.ID, FollowUpID: item})
}

// those are the people among some who have a permission and, where far asks for it,
// see what is of the call's branch; whoever was rung sees it anyway.
func (s *Service) those(ctx context.Context, tx *db.Tx, x *scene, users []id.ID, need access.Permission, far bool, rung ...id.ID) (out []id.ID, err error) {
	all, err := people(ctx, tx, x.OrganizationID, users)
	for _, u := range users {
		if p := all[u]; p != nil && p.Can(need) && (!far || p.Sees(x.BranchID) || slices.Contains(rung, u)) && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out, err
}

// tellMessage tells of a message whoever answers its thread, else those who might:
// the thread's branch, or those who see everything (R196).
func (s *Service) tellMessage(ctx context.Context, tx *db.Tx, org, subject id.ID, at time.Time) error {
	if tx.Now.Sub(at) > stale {
		return nil
	}
	var branch, assignee id.ID
	err := tx.Pgx().QueryRow(ctx, `SELECT t.branch_id, t.assigned_user_id FROM message m JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
		WHERE m.organization_id = $1 AND m.id = $2 AND m.direction = 'INBOUND'`, org, subject).Scan(&branch, &assignee)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return db.Translate(err)
	}
	users := []id.ID{assignee}
	if assignee.IsZero() {
		if users, err = group(ctx, tx, org, branch); err != nil {
			return err
		}
	}
	all, err := people(ctx, tx, org, users)
	if err != nil {
		return err
	}
	var told []id.ID
	for _, u := range users {
		p := all[u]
		if p == nil || !p.Can(access.SMSView) {
			continue
		}
		// Some are told of no texts at a number (R026).
		switch _, err := s.d.Messages.Told(access.With(ctx, p.Actor), p.Actor, subject); {
		case err == nil:
			told = append(told, u)
		case !errs.IsCode(err, errs.NotFound) && !errs.IsCode(err, errs.Forbidden):
			return err
		}
	}
	return s.Notify(ctx, tx, Notice{Kind: ToldMessageReceived, Users: told, Key: "message " + subject.String(), SubjectID: subject, MessageID: subject})
}

// tellTranscript tells those who took or made a call that its transcript is complete (R205).
func (s *Service) tellTranscript(ctx context.Context, tx *db.Tx, org, subject id.ID, at time.Time) error {
	if tx.Now.Sub(at) > stale {
		return nil
	}
	var of id.ID
	var users [2]id.ID
	err := tx.Pgx().QueryRow(ctx, `SELECT c.id, c.user_id, c.answered_by_user_id FROM transcript t JOIN call c ON c.organization_id = t.organization_id AND c.id = t.call_id
		WHERE t.organization_id = $1 AND t.id = $2 AND t.status = 'COMPLETED'`, org, subject).Scan(&of, &users[0], &users[1])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return db.Translate(err)
	}
	all, err := people(ctx, tx, org, users[:])
	if err != nil {
		return err
	}
	var told []id.ID
	for _, u := range users {
		if p := all[u]; p != nil && p.Can(access.TranscriptView) {
			told = append(told, u)
		}
	}
	return s.Notify(ctx, tx, Notice{Kind: ToldTranscriptCompleted, Users: told, Key: "transcript " + subject.String(), SubjectID: subject, CallID: of})
}

// tellExport tells whoever asked for an export that it is ready.
func (s *Service) tellExport(ctx context.Context, tx *db.Tx, org, subject id.ID, at time.Time) error {
	if tx.Now.Sub(at) > stale {
		return nil
	}
	var by id.ID
	err := tx.Pgx().QueryRow(ctx, `SELECT created_by FROM export WHERE organization_id = $1 AND id = $2 AND status = 'DONE'`, org, subject).Scan(&by)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil || by.Kind() != id.User { // a machine is told of nothing
		return db.Translate(err)
	}
	return s.Notify(ctx, tx, Notice{Kind: ToldExportReady, Users: []id.ID{by}, Key: "export " + subject.String(), SubjectID: subject})
}

// tellOwner tells whoever was given an item, unless they took it themselves.
func (s *Service) tellOwner(ctx context.Context, tx *db.Tx, f *FollowUp, by id.ID) error {
	if by.Kind() != id.User {
		by = id.ID{} // an API key is no person
	}
	return s.Notify(ctx, tx, Notice{Kind: ToldFollowUpAssigned, Users: []id.ID{f.OwnerID}, Key: "assigned " + f.ID.String() + " " + version(f),
		SubjectID: f.ID, FollowUpID: f.ID, ActorID: by})
}

func version(f *FollowUp) string { return strconv.FormatInt(f.Version, 10) }
