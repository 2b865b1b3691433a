package followup

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/notify"
)

// waits are the pauses after each attempt; after the last one a sending has failed.
var waits = []time.Duration{30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}

// sending is one that was claimed, with all that it needs.
type sending struct {
	id       id.ID
	channel  Channel
	target   id.ID
	attempts int // with this one
	n        *Notification
	to       *person
	browser  notify.Browser
	phone    phoneTarget
}

// phoneTarget is a phone that is to be woken.
type phoneTarget struct {
	Device   id.ID  `json:"id"`
	Platform string `json:"platform"`
	Token    string `json:"pushToken"`
}

// send makes one attempt. What is read by now, or is not the person's to see any
// more, is not sent: permission is asked at this moment.
func (s *Service) send(ctx context.Context, a sendArgs) (err error) {
	defer errs.Wrap(&err, "followup.send(%s)", a.Sending)
	x, skip, err := s.claim(ctx, a)
	if err != nil || x == nil {
		return err
	}
	if skip != "" {
		return s.settle(ctx, a.Organization, x, SendingSkipped, skip, 0)
	}
	l, err := s.lookUp(ctx, x.to.Actor, x.n)
	if err != nil {
		return err
	}
	if !l.sees(x.n) {
		return s.settle(ctx, a.Organization, x, SendingSkipped, "it is no longer theirs to see", 0)
	}
	x.n.Title = l.title(x.n)
	switch err := s.handOver(ctx, x); {
	case err == nil:
		return s.settle(ctx, a.Organization, x, SendingSent, "", 0)
	case ctx.Err() != nil:
		return ctx.Err() // it is due again by itself
	default:
		p := notify.ProblemOf(err)
		if p.Gone && x.channel == WebPush {
			if err := dropSubscription(context.WithoutCancel(ctx), s.d.DB.App(), a.Organization, x.target); err != nil {
				return err
			}
		}
		s.d.Logger.Info("notification not sent", "sending_id", x.id.String(), "channel", string(x.channel), "attempt", x.attempts, "reason", p.Reason, "final", p.Final)
		if p.Final || x.attempts > len(waits) {
			return s.settle(ctx, a.Organization, x, SendingFailed, p.Reason, 0)
		}
		return s.settle(ctx, a.Organization, x, SendingPending, p.Reason, max(waits[x.attempts-1], p.After))
	}
}

// claim takes the attempt; nil when another has it, or there is nothing to send.
// skip says why it is not sent.
func (s *Service) claim(ctx context.Context, a sendArgs) (x *sending, skip string, err error) {
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		x, skip = &sending{id: a.Sending, n: &Notification{}}, ""
		var notification id.ID
		err := tx.Pgx().QueryRow(ctx, `UPDATE notification_sending SET attempts = attempts + 1, due_at = $4
			WHERE organization_id = $1 AND id = $2 AND status = 'PENDING' AND attempts = $3 RETURNING notification_id, channel, target, attempts`,
			a.Organization, a.Sending, a.Attempt, tx.Now.Add(sendFor)).Scan(&notification, &x.channel, &x.target, &x.attempts)
		if errors.Is(err, pgx.ErrNoRows) {
			x = nil
			return nil
		}
		if err != nil {
			return db.Translate(err)
		}
		if err := db.Select(ctx, tx, x.n, "SELECT "+notificationColumns+" FROM notification n WHERE n.organization_id = $1 AND n.id = $2", a.Organization, notification); err != nil {
			return err
		}
		all, err := people(ctx, tx, a.Organization, []id.ID{x.n.UserID})
		if err != nil {
			return err
		}
		x.to = all[x.n.UserID]
		switch {
		case x.n.ReadAt != nil:
			skip = "it was read before"
		case x.to == nil:
			skip = "the person may not sign in"
		case tx.Now.Sub(x.n.At) > stale:
			skip = "it is too old"
		case !s.on(x.channel):
			skip = "the server does not send this way any more"
		}
		if skip != "" {
			return nil
		}
		skip, err = s.aim(ctx, tx, x)
		return err
	})
	return x, skip, err
}

func (s *Service) on(c Channel) bool {
	switch c {
	case WebPush:
		return s.d.WebPush != nil
	case MobilePush:
		return s.d.Phones != nil
	case Email:
		return s.d.Mail != nil
	}
	return false
}

// aim finds the browser or phone.
func (s *Service) aim(ctx context.Context, tx *db.Tx, x *sending) (skip string, err error) {
	org := x.n.OrganizationID
	switch x.channel {
	case WebPush:
		b, ok, err := s.browser(ctx, tx, org, x.target)
		if err != nil || !ok {
			return "the browser is subscribed no more", err
		}
		x.browser = b
	case MobilePush:
		devices, err := s.d.Users.DevicesByIDs(ctx, []id.ID{x.target})
		if err != nil {
			return "", err
		}
		for _, d := range devices {
			if d.RemovedAt == nil && d.UserID == x.n.UserID && d.HasPushToken() {
				token, err := s.d.Users.PushToken(d)
				x.phone = phoneTarget{Device: d.ID, Platform: string(d.Platform), Token: token}
				return "", err
			}
		}
		return "the phone was removed", nil
	}
	return "", nil
}

// payload is what browsers and phones are told: what the person may read now, and ids.
type payload struct {
	ID        id.ID            `json:"id"`
	Kind      NotificationKind `json:"kind"`
	Title     string           `json:"title"`
	At        time.Time        `json:"at"`
	IsSilent  bool             `json:"isSilent"`
	SubjectID *id.ID           `json:"subjectId,omitempty"`
	CallID    *id.ID           `json:"callId,omitempty"`
	FollowUp  *id.ID           `json:"followUpId,omitempty"`
	Unread    int              `json:"unreadCount"`
}

func (s *Service) handOver(ctx context.Context, x *sending) error {
	n := x.n
	if x.channel == Email {
		return s.d.Mail.Send(ctx, notify.Mail{To: x.to.Email, Subject: n.Title, Body: letter(n), At: n.At, Key: n.ID.String()})
	}
	count, err := s.Unread(ctx, x.to.Actor)
	if err != nil {
		return err
	}
	p := payload{ID: n.ID, Kind: n.Kind, Title: short(n.Title, 200), At: n.At.UTC(), IsSilent: n.IsSilent, Unread: count}
	for to, from := range map[**id.ID]*id.ID{&p.SubjectID: &n.SubjectID, &p.CallID: &n.CallID, &p.FollowUp: &n.FollowUpID} {
		if !from.IsZero() {
			*to = from
		}
	}
	if x.channel == MobilePush {
		body, err := json.Marshal(struct {
			payload
			Organization id.ID       `json:"organizationId"`
			User         id.ID       `json:"userId"`
			Device       phoneTarget `json:"device"`
		}{p, n.OrganizationID, n.UserID, x.phone})
		if err != nil {
			return err
		}
		return s.d.Phones.Send(ctx, s.d.DB.Clock().Now(), x.id.String(), body)
	}
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	urgent := n.Kind == ToldMissedCall || n.Kind == ToldCallTransferred || n.Kind == ToldFollowUpEscalated
	// The last 26 characters of an id are its own; a topic has 32 at most.
	topic := n.ID.String()
	return s.d.WebPush.Send(ctx, x.browser, notify.Push{Body: body, Topic: topic[strings.LastIndexByte(topic, '_')+1:], Urgent: urgent})
}

// letter is the text of a mail.
func letter(n *Notification) string {
	var b strings.Builder
	b.WriteString(n.Title + ".\n\n" + n.At.UTC().Format("Monday, 2 January 2006, 15:04 MST") + "\n\n")
	b.WriteString("Open Switchboard to see it. What you are notified of, and how, is your own choice there.\n")
	return b.String()
}

func short(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// settle writes down what came of an attempt.
func (s *Service) settle(ctx context.Context, org id.ID, x *sending, status SendingStatus, reason string, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var due, finished *time.Time
		if status == SendingPending {
			due = new(tx.Now.Add(wait))
		} else {
			finished = &tx.Now
		}
		var why *string
		if reason != "" {
			why = &reason
		}
		n, err := db.Exec(ctx, tx, `UPDATE notification_sending SET status = $4, due_at = $5, finished_at = $6, reason = $7
			WHERE organization_id = $1 AND id = $2 AND status = 'PENDING' AND attempts = $3`, org, x.id, x.attempts, string(status), due, finished, why)
		if err != nil || n == 0 || status != SendingSent || x.channel != WebPush {
			return err
		}
		_, err = db.Exec(ctx, tx, `UPDATE push_subscription SET last_sent_at = $3 WHERE organization_id = $1 AND id = $2`, org, x.target, tx.Now)
		return err
	})
}
