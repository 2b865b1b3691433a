package twilio

import (
	"fmt"
	"strings"

	"switchboard/internal/errs"
)

// SIDKind is the two letters at the start of a SID.
type SIDKind string

// The kinds of SID that this house handles.
const (
	AccountSID          SIDKind = "AC"
	PhoneNumberSID      SIDKind = "PN"
	MessagingServiceSID SIDKind = "MG"
	KeySID              SIDKind = "SK"
	ApplicationSID      SIDKind = "AP"
	CallSID             SIDKind = "CA"
	ConferenceSID       SIDKind = "CF"
	RecordingSID        SIDKind = "RE"
	MessageSID          SIDKind = "SM"
	MediaMessageSID     SIDKind = "MM"
	MediaSID            SIDKind = "ME"
	PushCredentialSID   SIDKind = "CR"
	SIPDomainSID        SIDKind = "SD"
)

// sidNames are the SIDs that people meet in the Twilio Console.
var sidNames = map[SIDKind]string{
	AccountSID: "Account", PhoneNumberSID: "Phone Number", MessagingServiceSID: "Messaging Service", KeySID: "API Key",
	ApplicationSID: "TwiML App", CallSID: "Call", ConferenceSID: "Conference", RecordingSID: "Recording",
	MessageSID: "Message", MediaMessageSID: "Message", PushCredentialSID: "Push Credential", SIPDomainSID: "SIP Domain",
	MediaSID: "Media file", "TR": "Transcription", "GT": "Transcript", "TK": "SIP Trunk", "CL": "Credential List",
	"AL": "IP Access Control List", "QU": "Queue", "BU": "Regulatory Bundle", "AD": "Address", "FW": "Studio Flow",
	"IS": "Conversations Service", "VA": "Verify Service", "ZS": "Functions Service", "WS": "TaskRouter Workspace",
	"HX": "Content Template", "SC": "Short Code", "NO": "Notification", "BN": "A2P Brand", IntelligenceServiceSID: "Intelligence Service",
}

// name is "Messaging Service", or "" for a SID that is not known.
func (k SIDKind) name() string { return sidNames[k] }

// one is the name with its article: "an Account".
func (k SIDKind) one() string {
	n := k.name()
	if n != "" && strings.ContainsRune("AI", rune(n[0])) {
		return "an " + n
	}
	return "a " + n
}

func isSID(v string) bool {
	if len(v) != 34 || v[0] < 'A' || v[0] > 'Z' || v[1] < 'A' || v[1] > 'Z' {
		return false
	}
	for i := 2; i < len(v); i++ {
		if !isHex(v[i]) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// CheckSID returns an error that names the mistake unless value is a SID of the
// kind (R002, R003). Codes: errs.Required, errs.Invalid.
func CheckSID(kind SIDKind, value string) error {
	want := fmt.Sprintf("%s SID is %s followed by 32 digits and letters a to f", kind.one(), kind)
	prefix := SIDKind("")
	if len(value) >= 2 {
		prefix = SIDKind(value[:2])
	}
	switch {
	case value == "":
		return errs.New(errs.Required, "enter the %s SID; it begins with %s", kind.name(), kind)
	case isSID(value) && (prefix == kind || kind == MessageSID && prefix == MediaMessageSID):
		return nil
	case isSID(value) && prefix.name() != "":
		return errs.New(errs.Invalid, "%s… is the SID of %s; the SID of %s begins with %s", prefix, prefix.one(), kind.one(), kind)
	case isSID(value):
		return errs.New(errs.Invalid, "%s… is the SID of something else; %s", prefix, want)
	case strings.TrimSpace(value) != value:
		return errs.New(errs.Invalid, "there is a space before or after the SID; remove it")
	case strings.Trim(value, "+0123456789 -()") == "" && len(value) < 20:
		return errs.New(errs.Invalid, "this is a phone number, not its SID; %s, and stands on the number's page in the Twilio Console", want)
	case len(value) == 32 && isSID("XX"+value):
		return errs.New(errs.Invalid, "this looks like an auth token or secret; %s", want)
	case prefix == kind && len(value) != 34:
		return errs.New(errs.Invalid, "%s; this one has %d characters instead of 34", want, len(value))
	case prefix != kind && strings.EqualFold(string(prefix), string(kind)):
		return errs.New(errs.Invalid, "%s, in capitals", want)
	case prefix != kind && prefix.name() != "":
		return errs.New(errs.Invalid, "%s… looks like the SID of %s; the SID of %s begins with %s", prefix, prefix.one(), kind.one(), kind)
	}
	return errs.New(errs.Invalid, "%s", want)
}
