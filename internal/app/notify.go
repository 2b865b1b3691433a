package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/mail"
	"net/url"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/notify"
)

// ways are how notifications leave; nil is one that is not set up.
type ways struct {
	webPush *notify.WebPush
	phones  *notify.Phones
	mail    *notify.Mailer
}

// sendTimeout is how long a push service or provider may take.
const sendTimeout = 15 * time.Second

// notifiers makes what the configuration names. A wrong one is an error at the
// start rather than notifications that never come.
func (a *App) notifiers(ctx context.Context, base *url.URL, o Options) (w ways, err error) {
	c := a.Config
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.SMTPURL != "" {
		if w.mail, err = notify.NewMailer(c.SMTPURL, c.MailFrom); err != nil {
			return w, fmt.Errorf("SMTP_URL or MAIL_FROM cannot be used: %w", err)
		}
	}
	if c.PushWebhookURL != "" {
		client := &http.Client{Timeout: sendTimeout, CheckRedirect: noRedirect, Transport: http.DefaultTransport.(*http.Transport).Clone()}
		a.closers = append(a.closers, client.CloseIdleConnections)
		if w.phones, err = notify.NewPhones(c.PushWebhookURL, c.PushWebhookSecret, client); err != nil {
			return w, fmt.Errorf("PUSH_WEBHOOK_URL cannot be used: %w", err)
		}
	}
	if c.WebPushOff {
		return w, nil
	}
	key := c.VAPIDPrivateKey
	if key == "" {
		key, err = followup.WebPushKey(ctx, a.DB, a.Keys)
		if errors.Is(err, followup.ErrOtherKeyset) { // as everything that is sealed: calls still work
			a.Log.Error("web push is off", "error", err)
			return w, nil
		}
		if err != nil {
			return w, err
		}
	}
	client := &http.Client{Timeout: sendTimeout, CheckRedirect: noRedirect, Transport: blob.GuardedTransport(o.FetchLoopback)}
	a.closers = append(a.closers, client.CloseIdleConnections)
	if w.webPush, err = notify.NewWebPush(key, subject(c.VAPIDSubject, c.MailFrom, base), client); err != nil {
		return w, fmt.Errorf("VAPID_PRIVATE_KEY cannot be used: %w", err)
	}
	return w, nil
}

// subject is whom push services may ask about us.
func subject(given, from string, base *url.URL) string {
	if given != "" {
		return given
	}
	if a, err := mail.ParseAddress(from); err == nil {
		return a.Address
	}
	if base.Scheme == "https" {
		return "https://" + base.Host
	}
	return "nobody@" + base.Hostname()
}

// followUps makes follow-ups and notifications.
func (a *App) followUps(o Options) {
	a.FollowUps = followup.New(followup.Deps{
		DB: a.DB, Jobs: a.Jobs, Events: a.Events, Keys: a.Keys, Calls: a.Calls, Voicemails: a.Voicemails, Messages: a.Messages, Contacts: a.Contacts, Users: a.Users,
		WebPush: a.ways.webPush, Phones: a.ways.phones, Mail: a.ways.mail, Loopback: o.FetchLoopback, Logger: a.Log,
		Sees: map[id.Kind]func(ctx context.Context, who access.Actor, subject id.ID) (bool, error){
			id.Transcript: func(ctx context.Context, who access.Actor, x id.ID) (bool, error) {
				seen, err := a.Transcripts.Visible(ctx, who, []id.ID{x})
				return seen[x] != nil, err
			},
			id.Export: func(ctx context.Context, who access.Actor, x id.ID) (bool, error) {
				seen, err := a.Exports.Visible(ctx, who, []id.ID{x})
				return seen[x] != nil, err
			},
		},
	})
}
