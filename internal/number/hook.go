package number

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/twilio"
)

// The parts of our addresses that a number is given.
const (
	voicePath    = "voice"
	fallbackPath = "voice/fallback"
	messagePath  = "sms"
	statusPath   = "status"
	appPath      = "app"
)

// over is what the number's settings become: ours, with everything cleared that
// would beat them (twilio: phone-numbers/api/incomingphonenumber-resource).
func (h Hooks) over(cur twilio.NumberSettings) twilio.NumberSettings {
	cur.VoiceURL, cur.VoiceMethod = h.TwiML(voicePath, nil), "POST"
	cur.VoiceFallbackURL, cur.VoiceFallbackMethod = h.TwiML(fallbackPath, nil), "POST"
	cur.StatusCallback, cur.StatusCallbackMethod = h.Callback(statusPath, nil), "POST"
	// A text that is not taken is lost, so it is tried as often as a callback.
	cur.SMSURL, cur.SMSMethod = h.Callback(messagePath, nil), "POST"
	cur.SMSFallbackURL, cur.SMSApplicationSID = "", ""
	cur.VoiceApplicationSID, cur.TrunkSID = "", ""
	cur.VoiceReceiveMode = "voice"
	return cur
}

// ours reports whether an address is one of this connection's, with whatever access key.
func (s *Service) ours(connection id.ID, address string) bool {
	prefix := twilio.PublicURL(s.base, "/twilio/"+connection.String(), nil) + "/"
	return strings.HasPrefix(address, prefix)
}

// differences says in words what Twilio has other than we want, nil when nothing.
// The words hold hosts only: addresses hold access keys.
func differences(want, got twilio.NumberSettings) []string {
	var out []string
	address := func(what, want, got string) {
		switch {
		case twilio.SameHook(want, got):
		case got == "":
			out = append(out, what+" are sent nowhere")
		default:
			out = append(out, what+" are sent to another address"+onHost(got))
		}
	}
	switch {
	case got.TrunkSID != "":
		out = append(out, "a SIP trunk takes the calls")
	case got.VoiceApplicationSID != "":
		out = append(out, "a TwiML App takes the calls")
	default:
		address("calls", want.VoiceURL, got.VoiceURL)
		address("calls that we fail to answer", want.VoiceFallbackURL, got.VoiceFallbackURL)
		if got.VoiceMethod != "" && got.VoiceMethod != want.VoiceMethod {
			out = append(out, "calls are sent by "+got.VoiceMethod+" instead of "+want.VoiceMethod)
		}
		if got.VoiceReceiveMode == "fax" {
			out = append(out, "calls are taken as fax")
		}
		address("the ends of calls", want.StatusCallback, got.StatusCallback)
	}
	if got.SMSApplicationSID != "" {
		out = append(out, appTakesMessages)
	} else {
		address(theMessages, want.SMSURL, got.SMSURL)
		if got.SMSMethod != "" && got.SMSMethod != want.SMSMethod {
			out = append(out, theMessages+" are sent by "+got.SMSMethod+" instead of "+want.SMSMethod)
		}
	}
	return out
}

// How the words begin that are about the number's messages.
const (
	theMessages      = "messages"
	appTakesMessages = "a TwiML App takes the messages"
)

func onHost(address string) string {
	if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
		return " on " + u.Hostname()
	}
	return ""
}

// foreign says who uses the number at Twilio, "" when nobody does that we would
// push aside without being told to. Plain addresses are kept and given back.
func (s *Service) foreign(c *Connection, cur twilio.NumberSettings) string {
	app := ""
	if c.ApplicationSid != nil {
		app = *c.ApplicationSid
	}
	switch {
	case cur.TrunkSID != "":
		return "is on a SIP trunk"
	case cur.VoiceApplicationSID != "" && cur.VoiceApplicationSID != app:
		return "is used for calls by a TwiML App"
	case cur.SMSApplicationSID != "" && cur.SMSApplicationSID != app:
		return "is used for messages by a TwiML App"
	}
	for _, address := range []string{cur.VoiceURL, cur.SMSURL} {
		u, err := url.Parse(address)
		if err != nil || address == "" {
			continue
		}
		switch host := strings.ToLower(u.Hostname()); {
		case host == "webhooks.twilio.com" || host == "studio.twilio.com":
			return "is used by Twilio Studio"
		case host == "flex-api.twilio.com" || strings.HasPrefix(host, "flex."):
			return "is used by Twilio Flex"
		case !s.ours(c.ID, address) && strings.HasPrefix(address, twilio.PublicURL(s.base, "/twilio/conn_", nil)):
			return "is used by another organization of this installation"
		}
	}
	return ""
}

func (s *Service) mayTake(c *Connection, n phone.E164, cur twilio.NumberSettings, takeOver bool) error {
	if by := s.foreign(c, cur); by != "" && !takeOver {
		return errs.New(errs.Conflict, "number %s %s at Twilio; take it over to have its calls and messages come here. What stands there now is kept and given back when you disconnect",
			n, by).At("takeOver")
	}
	return nil
}

// secretFree is settings with a placeholder for the access key, as they are stored.
func secretFree(x twilio.NumberSettings, key string) json.RawMessage {
	return json.RawMessage(strings.ReplaceAll(string(jsonOf(x)), key, "{accessKey}"))
}

// intend notes in the number's row that our addresses are about to be written,
// and what stands there now, so that it can be given back. What is already ours
// is nobody's to be given back.
func (s *Service) intend(n *PhoneNumber, h Hooks, key string, cur twilio.NumberSettings) {
	previous := cur
	var kept twilio.NumberSettings
	if n.PreviousWebhooks != nil {
		_ = json.Unmarshal(n.PreviousWebhooks, &kept) // written by us
	}
	if s.ours(n.ConnectionID, cur.VoiceURL) {
		previous.VoiceURL, previous.VoiceMethod = kept.VoiceURL, kept.VoiceMethod
		previous.VoiceFallbackURL, previous.VoiceFallbackMethod = kept.VoiceFallbackURL, kept.VoiceFallbackMethod
		if cur.VoiceApplicationSID == "" && cur.TrunkSID == "" {
			previous.VoiceApplicationSID, previous.TrunkSID = kept.VoiceApplicationSID, kept.TrunkSID
		}
	}
	if s.ours(n.ConnectionID, cur.StatusCallback) {
		previous.StatusCallback, previous.StatusCallbackMethod = kept.StatusCallback, kept.StatusCallbackMethod
	}
	if s.ours(n.ConnectionID, cur.SMSURL) {
		previous.SMSURL, previous.SMSMethod = kept.SMSURL, kept.SMSMethod
		previous.SMSFallbackURL, previous.SMSFallbackMethod = kept.SMSFallbackURL, kept.SMSFallbackMethod
		if cur.SMSApplicationSID == "" {
			previous.SMSApplicationSID = kept.SMSApplicationSID
		}
	}
	n.PreviousWebhooks = jsonOf(previous)
	n.WrittenWebhooks = secretFree(h.over(cur), key)
	n.Drift = jsonOf([]string{"our addresses are being written"})
}

// write puts our addresses on the number at Twilio and compares what Twilio has
// afterwards. The row has said so before (intend); it is brought in line here.
// wasEnabled is what the row goes back to when Twilio refuses.
func (s *Service) write(ctx context.Context, who access.Actor, n *PhoneNumber, a *account, cur twilio.NumberSettings, wasEnabled bool) (*PhoneNumber, error) {
	h := s.hooksOf(n.ConnectionID, a.accessKey)
	want := h.over(cur)
	got, err := a.client.UpdateNumber(ctx, n.TwilioSid, want)
	if twilio.Ambiguous(err) { // ask what became of it
		if again, e := a.client.FetchNumber(ctx, n.TwilioSid); e == nil {
			got, err = again, nil
		}
	}
	var drift []string
	if err == nil {
		if drift = differences(want, got.Settings); drift != nil {
			err = errs.New(errs.ProviderRefused, "Twilio did not keep our addresses: %s; try again, or look at the number in the Twilio Console", strings.Join(drift, ", "))
		}
	} else {
		drift = []string{"our addresses were not written: " + inWords(err, "Twilio did not answer usefully")}
	}
	var heard learned
	if err == nil {
		heard = s.serviceOf(ctx, a, n.TwilioSid)
	}
	// The row must tell what is the case, also when the request that began this has ended.
	ctx = context.WithoutCancel(ctx)
	var out *PhoneNumber
	txErr := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var e error
		if out, e = numberByID(ctx, tx, n.OrganizationID, n.ID, forUpdate); e != nil {
			return e
		}
		out.setDrift(drift, tx.Now)
		if err != nil {
			out.IsEnabled = out.IsEnabled && wasEnabled
		} else {
			out.TrunkSid = nil
			out.hear(heard, a.accessKey)
		}
		if e := out.save(ctx, tx); e != nil {
			return e
		}
		return told(ctx, tx, who, NumberUpdated, "", n.ID, nil)
	})
	if err == nil {
		err = txErr
	}
	return out, err
}

func (n *PhoneNumber) setDrift(drift []string, now time.Time) {
	n.Drift, n.DriftCheckedAt = nil, moment(now)
	if len(drift) > 0 {
		n.Drift = jsonOf(drift)
	}
}

func (n *PhoneNumber) drifted() []string {
	out := []string{}
	if n.Drift != nil {
		_ = json.Unmarshal(n.Drift, &out) // written by us
	}
	return out
}

func optional(v string) *string {
	if v == "" {
		return nil
	}
	return &v
}

// restore is what the number is given back: what stood there before us, in the
// parts that are still ours. changed is false when none is.
func (s *Service) restore(n *PhoneNumber, cur twilio.NumberSettings) (out twilio.NumberSettings, changed bool) {
	var previous twilio.NumberSettings
	if n.PreviousWebhooks != nil {
		_ = json.Unmarshal(n.PreviousWebhooks, &previous) // written by us
	}
	out = cur
	if s.ours(n.ConnectionID, cur.VoiceURL) {
		changed = true
		out.VoiceURL, out.VoiceMethod = previous.VoiceURL, previous.VoiceMethod
		if s.ours(n.ConnectionID, cur.VoiceFallbackURL) {
			out.VoiceFallbackURL, out.VoiceFallbackMethod = previous.VoiceFallbackURL, previous.VoiceFallbackMethod
		}
		if cur.VoiceApplicationSID == "" && cur.TrunkSID == "" {
			out.VoiceApplicationSID, out.TrunkSID = previous.VoiceApplicationSID, previous.TrunkSID
			if previous.VoiceReceiveMode != "" {
				out.VoiceReceiveMode = previous.VoiceReceiveMode
			}
		}
	}
	if s.ours(n.ConnectionID, cur.StatusCallback) {
		changed = true
		out.StatusCallback, out.StatusCallbackMethod = previous.StatusCallback, previous.StatusCallbackMethod
	}
	if s.ours(n.ConnectionID, cur.SMSURL) {
		changed = true
		out.SMSURL, out.SMSMethod = previous.SMSURL, previous.SMSMethod
		out.SMSFallbackURL, out.SMSFallbackMethod = previous.SMSFallbackURL, previous.SMSFallbackMethod
		if cur.SMSApplicationSID == "" {
			out.SMSApplicationSID = previous.SMSApplicationSID
		}
	}
	return out, changed
}

// giveBack restores the number at Twilio. It is not an error when the number is
// gone there, or when somebody else's addresses stand there: those stay.
func (s *Service) giveBack(ctx context.Context, client *twilio.Client, n *PhoneNumber) error {
	if n.WrittenWebhooks == nil {
		return nil // never touched
	}
	remote, err := client.FetchNumber(ctx, n.TwilioSid)
	if twilio.NotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	settings, changed := s.restore(n, remote.Settings)
	if !changed {
		return nil
	}
	_, err = client.UpdateNumber(ctx, n.TwilioSid, settings)
	if err == nil || twilio.Ambiguous(err) || twilio.Unauthorized(err) || settings.VoiceApplicationSID+settings.SMSApplicationSID+settings.TrunkSID == "" {
		return err
	}
	// An application or trunk of before may be gone by now: its address still counts.
	settings.VoiceApplicationSID, settings.SMSApplicationSID, settings.TrunkSID = "", "", ""
	_, err = client.UpdateNumber(ctx, n.TwilioSid, settings)
	return err
}

// Webhooks is what Twilio is told to call for the number, nil for those without
// the permission CONNECTION_MANAGE: it holds the access key.
func (s *Service) Webhooks(ctx context.Context, who access.Actor, n *PhoneNumber) (*NumberWebhooks, error) {
	if !who.Can(access.ConnectionManage) || n.OrganizationID != who.OrganizationID {
		return nil, nil
	}
	h, err := s.Hooks(db.WithTenant(ctx, who.OrganizationID), n.ConnectionID)
	if errs.IsCode(err, errs.NotFound) {
		return nil, nil // disconnected: there are none
	}
	if err != nil {
		return nil, err
	}
	want := h.over(twilio.NumberSettings{})
	out := &NumberWebhooks{VoiceURL: want.VoiceURL, MessageURL: want.SMSURL, StatusURL: want.StatusCallback, Drift: n.drifted(), CheckedAt: n.DriftCheckedAt}
	out.IsDrifted = len(out.Drift) > 0
	if n.PreviousWebhooks != nil {
		var previous twilio.NumberSettings
		if err := json.Unmarshal(n.PreviousWebhooks, &previous); err != nil {
			return nil, err
		}
		out.PreviousVoiceURL, out.PreviousMessageURL = &previous.VoiceURL, &previous.SMSURL
	}
	return out, nil
}
