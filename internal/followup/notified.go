package followup

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"

	"encoding/json"
)

const notificationColumns = `n.organization_id, n.id, n.user_id, n.kind, n.key, n.subject, n.call_id, n.voicemail_id, n.message_id, n.follow_up_id, n.actor_user_id,
	n.is_silent, n.show_popup, n.in_app, n.at, n.read_at`

const maxMarked = 100

var errNoNotification = errs.New(errs.NotFound, "there is no such notification")

// NotificationFilter narrows a list of notifications.
type NotificationFilter struct {
	IsRead *bool
	Kinds  []NotificationKind
}

// isTold lets in people: a machine is told of nothing.
func isTold(who access.Actor) error {
	if !who.Known() {
		return who.Require("")
	}
	if who.UserID.IsZero() {
		return errs.New(errs.Forbidden, "an API key is told of nothing; sign in as a person")
	}
	return nil
}

// Notifications is a page of the actor's own, newest first.
func (s *Service) Notifications(ctx context.Context, who access.Actor, f NotificationFilter, p db.Page) (w db.Window[*Notification], err error) {
	defer errs.Wrap(&err, "followup.Notifications")
	if err := isTold(who); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	q := &query{}
	q.sql.WriteString("SELECT " + notificationColumns + " FROM notification n WHERE n.organization_id = " + q.arg(who.OrganizationID) + " AND n.user_id = " + q.arg(who.UserID) + " AND n.in_app")
	if f.IsRead != nil {
		q.and("n.read_at IS " + either(*f.IsRead, "NOT NULL", "NULL"))
	}
	if f.Kinds != nil {
		words := make([]string, len(f.Kinds))
		for i, k := range f.Kinds {
			words[i] = string(k)
		}
		q.and("n.kind = ANY (" + q.arg(words) + "::text[])")
	}
	q.and("(n.at, n.id) < (" + q.arg(after.At) + ", " + q.arg(after.ID) + ")")
	q.sql.WriteString(" ORDER BY n.at DESC, n.id DESC LIMIT " + q.arg(limit+1))
	ctx = db.WithTenant(ctx, who.OrganizationID)
	rows, err := pages[*Notification](ctx, s.d.DB.App(), q)
	if err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(n *Notification) db.Keyset { return db.Keyset{At: n.At, ID: n.ID} }), s.worded(ctx, who, rows...)
}

// worded gives notifications their words.
func (s *Service) worded(ctx context.Context, who access.Actor, rows ...*Notification) error {
	if len(rows) == 0 {
		return nil
	}
	l, err := s.lookUp(ctx, who, rows...)
	if err != nil {
		return err
	}
	for _, n := range rows {
		n.Title = l.title(n)
	}
	return nil
}

// Notification is one of the actor's own; anything else is errs.NotFound.
func (s *Service) Notification(ctx context.Context, who access.Actor, x id.ID) (_ *Notification, err error) {
	defer errs.Wrap(&err, "followup.Notification(%s)", x)
	if !who.Known() {
		return nil, who.Require("")
	}
	if who.UserID.IsZero() {
		return nil, errNoNotification
	}
	n := &Notification{}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	err = db.Select(ctx, s.d.DB.App(), n, "SELECT "+notificationColumns+" FROM notification n WHERE n.organization_id = $1 AND n.id = $2 AND n.user_id = $3 AND n.in_app",
		who.OrganizationID, x, who.UserID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoNotification
	}
	if err != nil {
		return nil, err
	}
	return n, s.worded(ctx, who, n)
}

// Unread is how many of the actor's notifications are not read; 0 for a machine.
func (s *Service) Unread(ctx context.Context, who access.Actor) (int, error) {
	if who.UserID.IsZero() {
		return 0, nil
	}
	return unread(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), who)
}

func unread(ctx context.Context, q bun.IDB, who access.Actor) (n int, err error) {
	err = db.Select(ctx, q, &n, `SELECT count(*) FROM notification WHERE organization_id = $1 AND user_id = $2 AND read_at IS NULL AND in_app`, who.OrganizationID, who.UserID)
	return n, err
}

// MarkRead notes that the actor read notifications of theirs: those named, or all up
// to a time. Those of others are passed over.
func (s *Service) MarkRead(ctx context.Context, who access.Actor, ids []id.ID, before *time.Time) (read, left int, err error) {
	defer errs.Wrap(&err, "followup.MarkRead")
	if err := isTold(who); err != nil {
		return 0, 0, err
	}
	switch {
	case len(ids) == 0 && before == nil:
		return 0, 0, errs.New(errs.Required, "name the notifications, or a time up to which all are read").At("ids")
	case len(ids) > 0 && before != nil:
		return 0, 0, errs.New(errs.Invalid, "name the notifications or a time, not both").At("before")
	case len(ids) > maxMarked:
		return 0, 0, errs.New(errs.LimitReached, "%d notifications are too many; name %d at most, or a time", len(ids), maxMarked).At("ids")
	}
	err = s.d.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		q := &query{}
		q.sql.WriteString("UPDATE notification n SET read_at = " + q.arg(tx.Now) + " WHERE n.organization_id = " + q.arg(who.OrganizationID) +
			" AND n.user_id = " + q.arg(who.UserID) + " AND n.read_at IS NULL AND n.in_app")
		if before != nil {
			q.and("n.at <= " + q.arg(*before))
		} else {
			q.and("n.id = ANY (" + q.arg(ids) + "::uuid[])")
		}
		q.sql.WriteString(" RETURNING " + notificationColumns)
		rows, err := pages[*Notification](ctx, tx, q)
		if err != nil {
			return err
		}
		if read = len(rows); read > 0 {
			newest := rows[0]
			for _, n := range rows {
				if n.At.After(newest.At) || n.At.Equal(newest.At) && n.ID.String() > newest.ID.String() {
					newest = n
				}
			}
			data, err := json.Marshal(NotificationTold{UserID: who.UserID})
			if err != nil {
				return err
			}
			if err := event.Append(ctx, tx, event.Event{Kind: EventNotified, Subject: newest.ID, ActorID: who.UserID, Data: data}); err != nil {
				return err
			}
		}
		left, err = unread(ctx, tx, who)
		return err
	})
	return read, left, err
}

// SendingsByNotifications are the ways on which notifications of the actor's went
// out, in one statement.
func (s *Service) SendingsByNotifications(ctx context.Context, notifications []id.ID) (map[id.ID][]*Sending, error) {
	var rows []*Sending
	err := db.Select(ctx, s.d.DB.App(), &rows, `SELECT notification_id, channel, status, finished_at, reason FROM notification_sending
		WHERE organization_id = $1 AND notification_id = ANY ($2::uuid[]) ORDER BY notification_id, channel, id`, db.TenantFrom(ctx), notifications)
	out := make(map[id.ID][]*Sending, len(notifications))
	for _, r := range rows {
		out[r.NotificationID] = append(out[r.NotificationID], r)
	}
	return out, err
}

// ChannelStates are the ways of notifying, and which are set up.
func (s *Service) ChannelStates() []*ChannelState {
	state := func(c Channel, on bool, is, how string) *ChannelState {
		if !on {
			is = how
		}
		return &ChannelState{Channel: c, IsOn: on, Detail: is}
	}
	return []*ChannelState{
		state(InApp, true, "Stored here, and pushed to open clients.", ""),
		state(WebPush, s.d.WebPush != nil, "Browsers subscribe with webPushKey.", "The operator switched web push off."),
		state(MobilePush, s.d.Phones != nil, "Handed to the operator's push provider.", "Not set up: the operator sets PUSH_WEBHOOK_URL and PUSH_WEBHOOK_SECRET."),
		state(Email, s.d.Mail != nil, "Sent by the operator's mail server.", "Not set up: the operator sets SMTP_URL and MAIL_FROM."),
	}
}

// WebPushKey is what browsers subscribe with; "" while web push is off.
func (s *Service) WebPushKey() string {
	if s.d.WebPush == nil {
		return ""
	}
	return s.d.WebPush.PublicKey()
}
