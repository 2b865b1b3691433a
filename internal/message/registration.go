package message

import (
	"slices"
	"strings"

	"switchboard/internal/number"
	"switchboard/internal/twilio"
)

// DefaultRate is how many messages a second a kind of sender hands over when
// nothing else was agreed with Twilio (twilio: messaging/guides/scaling-queueing-latency).
func DefaultRate(kind SenderKind) int {
	switch kind {
	case TollFree:
		return 3
	case ShortCode:
		return 100
	case Alphanumeric:
		return 10
	}
	return 1
}

// SenderWarnings are what keeps messages of a number from arriving, or answers to
// them, and what to do about it. The countries are those that its account may
// write to, nil when that is not known; home is the country that most recipients
// are in; others are the numbers that may be used instead.
func SenderWarnings(n *number.PhoneNumber, countries []string, home string, others []number.Sender) []string {
	out := []string{}
	add := func(s string) {
		if s != "" {
			out = append(out, s)
		}
	}
	if !n.CanSms {
		add("the number cannot send or receive texts: use " + replyTo(n, others) + ", or buy a number with SMS at Twilio")
	}
	add(registrationWarning(n))
	if here := n.ReceivesHere(); here != nil && !*here && n.CanSms {
		switch {
		case n.MessagingServiceSid != nil && !*n.ServiceUsesNumber:
			add("what people text to it does not reach this server: its Messaging Service at Twilio sends that elsewhere; connect the service here")
		case n.IsEnabled:
			add("what people text to it does not reach this server: its address was changed at Twilio; write our addresses again")
		}
	}
	if countries != nil && home != "" && !slices.Contains(countries, home) {
		add("its account may not write to " + home + ": allow the country in the Twilio Console under Messaging, Settings, Geo permissions")
	}
	if n.SenderName != nil {
		add("messages that show " + *n.SenderName + " go one way: nobody can reply to a name, or ask it to stop; where an answer is wanted, send from " + replyTo(n, others))
		if d := DestinationOf(home); home != "" && d.Alpha != AlphaSupported {
			add("in " + home + ": " + d.AlphaNote)
		}
	}
	return out
}

// registrationWarning says what is missing for carriers of the United States and
// Canada to deliver what the number sends (R152, R153).
func registrationWarning(n *number.PhoneNumber) string {
	if n.MessagingCheckedAt == nil || !n.CanSms {
		return ""
	}
	return unregistered(string(n.E164), "US", word(n.A2pStatus), word(n.TollFreeStatus))
}

// RegistrationWarning says the same apart: of a long code that is not registered, and
// of a toll-free number that is not verified.
func RegistrationWarning(n *number.PhoneNumber) (a2p, tollFree string) {
	w := registrationWarning(n)
	if TollFreeVerificationNeeded(string(n.E164), "US") {
		return "", w
	}
	return w, ""
}

// unregistered is the same for messages to a country, by what Twilio says of the
// sender's registrations.
func unregistered(from, country, a2p, tollFree string) string {
	switch {
	case A2PNeeded(from, country):
		switch s := a2p; {
		case s == twilio.CampaignVerified:
			return ""
		case s == "":
			return "the number is not registered for business texts (A2P 10DLC), and carriers in the United States block what is not: register a brand and a campaign in the Twilio Console, and add the number to the campaign's Messaging Service"
		case strings.Contains(s, "FAIL") || strings.Contains(s, "SUSPEND"):
			return "its registration for business texts (A2P 10DLC) was refused (" + s + "), and carriers in the United States block its texts: see in the Twilio Console why, and hand it in again"
		default:
			return "its registration for business texts (A2P 10DLC) is not done yet (" + s + "): until it is, carriers in the United States block its texts; send from a toll-free number that is verified, or wait"
		}
	case TollFreeVerificationNeeded(from, country):
		switch s := tollFree; {
		case s == twilio.TollFreeApproved:
			return ""
		case s == "":
			return "the toll-free number is not verified, and carriers in the United States and Canada block what is not: hand its verification in in the Twilio Console"
		case strings.Contains(s, "REJECT"):
			return "the verification of the toll-free number was refused (" + s + "), and carriers in the United States and Canada block its texts: see in the Twilio Console why, and hand it in again"
		default:
			return "the verification of the toll-free number is not done yet (" + s + "): until it is, carriers in the United States and Canada block its texts"
		}
	}
	return ""
}

func word(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// replyTo names a number that people can answer: this one, or another (R151).
func replyTo(n *number.PhoneNumber, others []number.Sender) string {
	if n.CanSms {
		return string(n.E164)
	}
	i := slices.IndexFunc(others, func(o number.Sender) bool { return o.NumberID != n.ID && o.CanSms && o.UseForMessages })
	if i < 0 {
		return "another number"
	}
	return string(others[i].E164)
}
