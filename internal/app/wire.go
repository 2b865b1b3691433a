package app

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"switchboard/graph"
	"switchboard/graph/edge"
	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/blob"
	"switchboard/internal/delivery"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/media"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/phone"
	"switchboard/internal/session"
	"switchboard/internal/tenant"
	"switchboard/internal/twilio"
	"switchboard/internal/webhook"
)

// identity is what a token stands for, with the watch that ends its streams.
func (a *App) authenticate(ctx context.Context, bearer string) (edge.Identity, error) {
	who, expires, err := a.Sessions.Authenticate(ctx, bearer)
	if err != nil {
		return edge.Identity{}, err
	}
	credential := who.SessionID
	if credential.IsZero() {
		credential = who.APIKeyID
	}
	return edge.Identity{
		Key: credential.String(), MayIntrospect: who.Can(access.SchemaIntrospect), Expires: expires, Value: who,
	}, nil
}

func (a *App) edgeOptions(r *graph.Resolver, o Options) edge.Options {
	return edge.Options{
		Authenticate: a.authenticate,
		Anonymous:    edge.Identity{MayIntrospect: o.MayIntrospect},
		AuthenticateContext: func(ctx context.Context, who edge.Identity) context.Context {
			if request, ok := edge.From(ctx); ok {
				ctx = audit.WithClient(ctx, request.ClientIP, request.UserAgent)
				ctx = session.WithUserAgent(ctx, request.UserAgent)
				if ip, err := netip.ParseAddr(request.ClientIP); err == nil {
					ctx = session.WithClientIP(ctx, ip)
				}
			}
			if actor, ok := who.Value.(access.Actor); ok {
				ctx = access.With(ctx, actor)
			}
			return ctx
		},
		Watch: func(who edge.Identity) (<-chan struct{}, func()) {
			w := a.Sessions.Live().Watch(who.Value.(access.Actor))
			return w.Done(), w.Stop
		},
		Costly: func(mutation string) bool {
			switch mutation {
			case "callStart", "followUpCallBack", "voicemailCallBack", "testCall", "callTransfer", "callAddParticipant", "callMonitorStart", "messageSend",
				"messageRetry", "testMessage", "bulkMessageCreate", "transcriptCreate", "transcriptRetry", "exportCreate", "contactImportCreate", "recordImportCreate":
				return true
			}
			return false
		},
		Extensions: r.Extensions(),
		Observe: func(_ context.Context, x edge.Outcome) {
			a.metrics.operations.WithLabelValues(string(x.Transport), x.Kind, strconv.FormatBool(x.Refused)).Observe(x.Took.Seconds())
		},
		Origins:  a.Config.CORSOrigins,
		ClientIP: a.clientIP,
		Logger:   a.Log,
		Clock:    a.Clock,
	}
}

// clientIP is the peer, or what the last proxy that we trust saw. It serves rate
// limits and logs only.
func (a *App) clientIP(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	if n := a.Config.TrustedProxies; n > 0 {
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		if i := len(hops) - n; i >= 0 {
			if ip, err := netip.ParseAddr(strings.TrimSpace(hops[i])); err == nil {
				return ip.String()
			}
		}
	}
	return peer.Addr().Unmap().String()
}

func (a *App) observeProvider(x twilio.Attempt) {
	if x.Status == http.StatusUnauthorized && a.Diagnoses != nil {
		a.Diagnoses.RefusedToken(x.Account)
	}
	a.metrics.provider.WithLabelValues(x.Method+" "+x.Resource, strconv.Itoa(x.Status)).Observe(x.Duration.Seconds())
}

func (a *App) webhookAccount(ctx context.Context, connection id.ID) (webhook.Account, error) {
	x, err := a.Numbers.WebhookAuth(ctx, connection)
	return webhook.Account{Organization: x.Organization, AccountSID: x.AccountSID, Tokens: x.Tokens, AccessKeyOK: x.AccessKeyOK}, err
}

// show is an event as a webhook endpoint may see it.
func (a *App) show(ctx context.Context, who access.Actor, e event.Event) (delivery.Shown, error) {
	return a.renderer.Show(ctx, who, e)
}

// country is the tenant's default country, for numbers as typed (R018).
func (a *App) country(ctx context.Context, q bun.IDB) (string, error) {
	o, err := tenant.Read(ctx, q)
	if err != nil {
		return "", err
	}
	return o.DefaultCountry, nil
}

// openers are how each kind of file is opened for people.
func (a *App) openers() map[id.Kind]media.Open {
	return map[id.Kind]media.Open{
		id.Media:  a.Messages.OpenMedia,
		id.Upload: a.Numbers.OpenAudio,
		id.Import: a.Contacts.OpenFailed,
	}
}

// upload keeps what a person sends: audio, a file for a message, or a table to import.
func (a *App) upload(ctx context.Context, who access.Actor, purpose, name string, body io.Reader) (id.ID, string, int64, error) {
	switch purpose {
	case "", "audio":
		x, err := a.Numbers.Save(ctx, who, name, body)
		if err != nil {
			return id.ID{}, "", 0, err
		}
		return x.ID, x.ContentType, int64(x.SizeBytes), nil
	case "message":
		x, err := a.Messages.Upload(ctx, who, name, body)
		if err != nil {
			return id.ID{}, "", 0, err
		}
		return x.ID, x.ContentType, *x.SizeBytes, nil
	case "import":
		x, size, err := a.Contacts.Upload(ctx, who, name, body)
		return x, "text/csv", size, err
	}
	return id.ID{}, "", 0, errs.New(errs.Required, "say what the file is for: for=audio, for=message or for=import")
}

// publicFile opens what Twilio plays or sends.
func (a *App) publicFile(ctx context.Context, token string, query url.Values) (io.ReadSeekCloser, blob.Info, error) {
	if x, err := id.Parse(token); err == nil && x.Kind() == id.Media {
		return a.Messages.OpenPublic(ctx, x, query, a.Clock.Now())
	}
	return a.Numbers.OpenPublic(ctx, token, query.Get("s"), a.Clock.Now())
}

// ready says whether the server can do its work: 200, or 503 with what is missing.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	report := map[string]string{"database": "ok", "media": "ok", "events": "ok"}
	status := http.StatusOK
	fail := func(part, why string) { report[part], status = why, http.StatusServiceUnavailable }
	if err := a.DB.Ping(ctx); err != nil {
		fail("database", "unreachable")
	} else if h, err := a.Events.Health(ctx); err != nil {
		fail("events", "cannot be read")
	} else if n := h.Parked(); n > 0 {
		report["events"] = strconv.FormatInt(n, 10) + " parked" // a person must look; calls still work
	}
	if err := a.Blobs.Check(ctx); err != nil {
		fail("media", "cannot be written")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(report)
}

// home says where a newcomer is.
func (a *App) home(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "Switchboard: POST /graphql, or connect to it by WebSocket (graphql-transport-ws) or SSE.\n")
}

// senders shows messages what they need of the numbers.
type senders struct{ a *App }

func known(n *number.PhoneNumber) message.Number {
	return message.Number{
		ID: n.ID, ConnectionID: n.ConnectionID, BranchID: n.BranchID, E164: n.E164, IsEnabled: n.Takes(),
		ForMessages: n.UseForMessages, CanSMS: n.CanSms,
	}
}

// Sender implements message.Numbers.
func (s senders) Sender(ctx context.Context, q bun.IDB, x id.ID) (message.Number, error) {
	n, err := s.a.Numbers.ByID(ctx, q, x)
	if err != nil {
		return message.Number{}, err
	}
	return known(n), nil
}

// Receiver implements message.Numbers.
func (s senders) Receiver(ctx context.Context, q bun.IDB, connection id.ID, e164 string) (message.Number, bool, error) {
	n, err := s.a.Numbers.ForCall(ctx, q, connection, phone.E164(e164))
	if errs.IsCode(err, errs.NotFound) {
		return message.Number{}, false, nil
	}
	if err != nil {
		return message.Number{}, false, err
	}
	return known(n), true, nil
}

// Senders implements message.Numbers.
func (s senders) Senders(ctx context.Context, q bun.IDB, user id.ID, also []id.ID) ([]message.Number, error) {
	all, err := s.a.Numbers.MessageSenders(ctx, q, user, also)
	out := make([]message.Number, len(all))
	for i, n := range all {
		out[i] = message.Number{
			ID: n.NumberID, ConnectionID: n.ConnectionID, BranchID: n.BranchID, E164: n.E164, IsEnabled: n.Takes, ForMessages: n.UseForMessages, CanSMS: n.CanSms,
			Country: n.Country, IsDefault: n.IsDefault, CanMMS: n.CanMms, NoSMS: !n.MaySms, NoMMS: !n.MayMms,
			SenderName: text(n.SenderName), IsChecked: n.IsChecked, A2PStatus: text(n.A2pStatus), TollFreeStatus: text(n.TollFreeStatus),
		}
	}
	return out, err
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Client implements message.Numbers.
func (s senders) Client(ctx context.Context, connection id.ID) (*twilio.Client, error) {
	return s.a.Numbers.Credentials(ctx, connection)
}

// CallbackURL implements message.Numbers.
func (s senders) CallbackURL(ctx context.Context, connection id.ID, path string) (string, error) {
	h, err := s.a.Numbers.Hooks(ctx, connection)
	if err != nil {
		return "", err
	}
	return h.Callback(path, nil), nil
}
