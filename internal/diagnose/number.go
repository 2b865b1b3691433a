package diagnose

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"switchboard/internal/call"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/phone"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// number looks at a number: the account, what Twilio has, whom it rings, what it may
// send.
func (x *exam) number(ctx context.Context, phoneNumber id.ID) error {
	n, err := x.s.d.Numbers.Get(ctx, x.who, phoneNumber)
	if err != nil {
		return err
	}
	var lookErr error
	usable, err := x.connection(ctx, n.ConnectionID, func(ctx context.Context) error {
		if lookErr = x.s.d.Numbers.LookAtAccount(ctx, n.ConnectionID); lookErr != nil {
			return lookErr
		}
		if lookErr = x.s.d.Numbers.LookAtNumber(ctx, n.ID); lookErr == nil && n.DisconnectedAt == nil && twilio.CheckSID(twilio.PhoneNumberSID, n.TwilioSid) == nil {
			_, _ = x.s.d.Numbers.RefreshMessaging(ctx, x.who, n.ID) // what it could not ask stays as it was
		}
		return nil
	})
	if err != nil {
		return err
	}
	return x.itself(ctx, phoneNumber, usable, lookErr)
}

// itself looks at a number by our rows.
func (x *exam) itself(ctx context.Context, phoneNumber id.ID, usable bool, lookErr error) error {
	n, err := x.s.d.Numbers.Get(ctx, x.who, phoneNumber)
	if err != nil {
		return err
	}
	p := x.at(n.ID, true)
	switch {
	case n.DisconnectedAt != nil:
		p.problem(NumberDisconnected, "", "the number was disconnected: it is not ours to call or write by any more", fact("disconnectedAt", n.DisconnectedAt))
		return nil
	case !n.IsEnabled:
		p.problem(NumberDisabled, "", "the number is switched off here: calls to it are refused as busy, and nobody is told of its messages (D26)")
	default:
		p.ok(NumberDisabled, "it is on")
	}
	if err := twilio.CheckSID(twilio.PhoneNumberSID, n.TwilioSid); err != nil {
		p.problem(WrongSIDKind, "", "the number's SID is not one of a phone number: "+err.Error(), fact("sid", clip(n.TwilioSid, 34)))
		return nil
	}
	p.ok(WrongSIDKind, "the SID is one of a phone number")
	if !usable {
		p.skip(NumberGone, refused)
		return nil
	}
	switch {
	case n.IsLost():
		p.clean(OnTrunk, WebhookChanged)
		p.problem(NumberGone, "", "Twilio no longer has this number in the account: it was released, or moved to another account", fact("sid", n.TwilioSid), fact("lookedAt", at(n.DriftCheckedAt, x.now)))
		return nil
	case x.live && lookErr != nil:
		p.skip(NumberGone, silent)
	default:
		p.ok(NumberGone, "the account has the number")
	}
	x.hooks(p, n)
	x.uses(p, n)
	if err := x.sending(ctx, p, n); err != nil {
		return err
	}
	x.recorded(p, n)
	if !n.IsEnabled || !n.UseForInboundCalls || x.at(n.ConnectionID, false).has(ConnectionDisabled) {
		p.clean(NobodyToRing, OtherBranch)
		p.skip(NobodyToRing, "it takes no calls, so nobody is rung")
		return nil
	}
	return x.rung(ctx, p, n)
}

// hooks is whether Twilio still calls what we wrote.
func (x *exam) hooks(p spot, n *number.PhoneNumber) {
	if n.TrunkSid != nil {
		p.problem(OnTrunk, "", "an Elastic SIP trunk takes the number's calls: none reaches this server", fact("trunkSid", *n.TrunkSid))
	} else {
		p.ok(OnTrunk, "it is on no trunk")
	}
	drift := slices.DeleteFunc(n.Drifted(), func(s string) bool { return strings.Contains(s, "SIP trunk") })
	elsewhere := n.ElsewhereByService()
	switch {
	case n.WrittenWebhooks == nil && n.IsEnabled:
		p.problem(WebhookChanged, "", "our addresses were never written to this number at Twilio")
	case len(drift) > 0:
		p.problem(WebhookChanged, "", "at Twilio the number does not do what we wrote: "+strings.Join(drift, "; "), fact("lookedAt", at(n.DriftCheckedAt, x.now)))
	case elsewhere != "" && n.UseForMessages:
		p.problem(WebhookChanged, "connect the service with messagingServiceConnect, or set it "+console+" to use the number's own address", elsewhere, fact("messagingServiceSid", deref(n.MessagingServiceSid)))
	default:
		p.ok(WebhookChanged, "Twilio has our addresses")
	}
}

// uses is what the number can do and is used for (R015, R030).
func (x *exam) uses(p spot, n *number.PhoneNumber) {
	u, lacks := n.Usage(), []string{}
	if !n.CanVoice && (u.InboundCalls || u.CallerID) {
		lacks = append(lacks, "calls")
	}
	if !n.CanSms && u.Messages {
		lacks = append(lacks, "text messages")
	}
	if len(lacks) > 0 {
		p.problem(CapabilityMissing, "", "the number is used for "+strings.Join(lacks, " and ")+", which it cannot do", fact("voice", n.CanVoice), fact("sms", n.CanSms), fact("mms", n.CanMms))
	} else {
		p.ok(CapabilityMissing, "it can do what it is used for: voice %t, SMS %t, MMS %t", n.CanVoice, n.CanSms, n.CanMms)
	}
	var off []string
	for _, use := range []struct {
		what string
		on   bool
	}{{"inbound calls", u.InboundCalls}, {"caller ID", u.CallerID}, {"messages", u.Messages}} {
		if !use.on {
			off = append(off, use.what)
		}
	}
	if len(off) > 0 {
		p.warning(NotUsedFor, "", "the number is set not to be used for "+strings.Join(off, ", "))
	} else {
		p.ok(NotUsedFor, "it is used for calls, caller ID and messages")
	}
}

// sending is what keeps its messages from arriving, or answers to them (R270, R274).
func (x *exam) sending(ctx context.Context, p spot, n *number.PhoneNumber) error {
	if !n.CanSms || !n.UseForMessages {
		p.clean(A2PUnregistered, TollFreeUnverified)
		return nil
	}
	a2p, free := message.RegistrationWarning(n)
	x.registered(p, n, A2PUnregistered, a2p, deref(n.A2pStatus))
	x.registered(p, n, TollFreeUnverified, free, deref(n.TollFreeStatus))
	if n.SenderName == nil {
		p.ok(SenderCountry, "messages show the number, which can be answered")
		return nil
	}
	country, err := x.s.d.Numbers.Homes(ctx, []id.ID{n.ConnectionID})
	if err != nil {
		return err
	}
	home := country[n.ConnectionID]
	if d := message.DestinationOf(home); d.Alpha != message.AlphaSupported {
		p.problem(SenderCountry, "", "messages may show the name "+*n.SenderName+", which phones in "+home+" are not shown: "+d.AlphaNote, fact("country", home))
	} else {
		p.warning(SenderCountry, "", "messages that show the name "+*n.SenderName+" go one way: nobody can answer them, nor ask them to stop", fact("country", home))
	}
	return nil
}

func (x *exam) registered(p spot, n *number.PhoneNumber, c Code, wrong, status string) {
	switch {
	case wrong != "":
		p.problem(c, "", wrong, fact("status", status), fact("lookedAt", at(n.MessagingCheckedAt, x.now)))
	case n.MessagingCheckedAt == nil:
		p.skip(c, "Twilio was not asked yet")
	default:
		p.ok(c, "no registration is missing")
	}
}

// recorded is whether its calls are recorded (R271).
func (x *exam) recorded(p spot, n *number.PhoneNumber) {
	r := n.Recording()
	modes := []Evidence{fact("incoming", r.EffectiveIncoming), fact("outgoing", r.EffectiveOutgoing)}
	switch {
	case r.EffectiveIncoming == number.RecordingOff && r.EffectiveOutgoing == number.RecordingOff:
		p.warning(RecordingOff, "", "calls of this number are not recorded: recording is off for the number or, where it says nothing, for the connection", modes...)
	case r.EffectiveIncoming == number.RecordingOff:
		p.warning(RecordingOff, "", "incoming calls of this number are not recorded; outgoing ones are", modes...)
	case r.EffectiveOutgoing == number.RecordingOff:
		p.warning(RecordingOff, "", "outgoing calls of this number are not recorded; incoming ones are", modes...)
	default:
		p.ok(RecordingOff, "calls are recorded, %s and %s; internal calls and voicemail have no call recording", r.EffectiveIncoming, r.EffectiveOutgoing)
	}
}

// rung is whom a call of a stranger would ring now: the very decision that a real
// one gets (R273).
func (x *exam) rung(ctx context.Context, p spot, n *number.PhoneNumber) error {
	d, err := x.s.d.Calls.Explain(ctx, x.who, call.ExplainInput{PhoneNumberID: n.ID, From: "anonymous"})
	if err != nil {
		return err
	}
	x.decided(p, d)
	return nil
}

// decided reads a decision about a number: who does not ring and why, and whether
// anybody does.
func (x *exam) decided(p spot, d *route.Decision) {
	rings, menu, closed := 0, false, closedBy(d.Trace)
	for _, s := range d.Steps {
		switch s.Kind {
		case route.Ring:
			rings += len(s.Targets)
		case route.MenuStep:
			menu = true
		}
	}
	if closed != "" {
		p.warning(ClosedNow, "", "it is outside the opening hours: "+closed)
		p.skip(NobodyToRing, "nobody is rung outside the opening hours")
		return
	}
	p.ok(ClosedNow, "it is open")
	persons := x.persons(p, d.Trace, rings > 0)
	switch {
	case menu:
		p.ok(NobodyToRing, "a menu asks where the call goes")
	case rings > 0:
		p.ok(NobodyToRing, "%s would ring", count(rings, "device or phone", "devices and phones"))
	case persons > 0:
		p.clean(NobodyToRing) // each is named with the reason
	default:
		why := []string{}
		for _, t := range d.Trace {
			switch t.Rule {
			case "VOICEMAIL", "CALLER", "FORWARDING_NUMBERS", "OPENING_HOURS", "IGNORED_NUMBER":
			default:
				if t.Verdict == route.Skipped || t.Verdict == route.NotApplicable {
					why = append(why, t.Detail)
				}
			}
		}
		if len(why) == 0 {
			why = append(why, "no rule names anybody")
		}
		p.problem(NobodyToRing, "", "a call rings nobody: "+strings.Join(why, "; "))
	}
}

// traced are what a rule that leaves a person out is called here.
var traced = map[string]Code{
	"USER_ACTIVE": UserDisabled, "USER_ROLE": Role, "USER_DO_NOT_DISTURB": DoNotDisturb, "USER_LINE_DO_NOT_DISTURB": DoNotDisturb,
	"USER_LINE_RECEIVE": NotUsedFor, "USER_PHONE": NoPhone, "USER_SIP_ADDRESS": NoPhone, "DEVICE_PACE": CallsPerSecondQueue,
}

// persons finds why people are left out by a number, and says how many are.
func (x *exam) persons(n spot, trace []route.Trace, othersRing bool) (out int) {
	for _, t := range trace {
		if t.Verdict != route.Skipped || t.UserID.IsZero() {
			continue
		}
		c, known := traced[t.Rule]
		switch {
		case known:
		case t.Rule == "USER_DEVICE" && strings.Contains(t.Detail, "no registered device"):
			c = NoDevice
		case t.Rule == "USER_DEVICE":
			c = DeviceNotReady
		case t.Rule == "PREFERRED_USER" && strings.Contains(t.Detail, "branch"):
			c = OtherBranch
		default:
			continue // a device beside others that ring, and what was said already
		}
		out++
		p := x.at(t.UserID, false)
		how := Problem
		if othersRing {
			how = Warning
		}
		p.find(c, how, "", t.Detail, []Evidence{fact("rule", t.Rule), fact("phoneNumberId", n.subject)})
	}
	if empty := detailOf(trace, "BRANCH_GROUP"); strings.Contains(empty, "nobody belongs") && out == 0 && !othersRing {
		out++
		n.problem(OtherBranch, "", empty+": its ring group is empty", fact("rule", "BRANCH_GROUP"))
	} else {
		n.clean(OtherBranch)
	}
	return out
}

// closedBy is why it is closed, "" when it is open.
func closedBy(trace []route.Trace) string {
	for _, t := range trace {
		if t.Rule == "OPENING_HOURS" && t.Verdict == route.Chosen {
			return t.Detail
		}
	}
	return ""
}

func detailOf(trace []route.Trace, rule string) string {
	for _, t := range trace {
		if t.Rule == rule {
			return t.Detail
		}
	}
	return ""
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// shown is a number of ours as people read it.
func shown(n *number.PhoneNumber) string { return phone.Display(n.E164, n.Country) }
