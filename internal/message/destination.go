package message

import (
	"fmt"
	"slices"
	"strings"

	"switchboard/internal/errs"
	"switchboard/internal/phone"
)

// SenderKind is what sort of sender a message goes out from. What it may do and
// needs differs by country (R150, R152).
type SenderKind string

// The kinds of sender.
const (
	LongCode     SenderKind = "LONG_CODE"
	TollFree     SenderKind = "TOLL_FREE"
	ShortCode    SenderKind = "SHORT_CODE"
	Mobile       SenderKind = "MOBILE"
	Alphanumeric SenderKind = "ALPHANUMERIC" // one-way: nobody can reply (R151)
)

// TwoWay reports whether people can reply to the sender, STOP included (R151).
func (k SenderKind) TwoWay() bool { return k != Alphanumeric }

// SenderKindOf is the kind of a sender as Twilio writes it: E.164, the digits of
// a short code, or a name.
func SenderKindOf(from string) SenderKind {
	if e, ok := phone.FromWire(from); ok {
		switch phone.KindOf(e) {
		case phone.TollFree:
			return TollFree
		case phone.Mobile:
			return Mobile
		}
		if nanpTollFree(from) {
			return TollFree
		}
		return LongCode
	}
	if n := len(from); n >= 3 && n <= 8 && strings.Trim(from, "0123456789") == "" {
		return ShortCode
	}
	return Alphanumeric
}

// nanpTollFree knows the toll-free codes of +1, also in ranges that no table has.
func nanpTollFree(e164 string) bool {
	if len(e164) != 12 || !strings.HasPrefix(e164, "+1") {
		return false
	}
	switch e164[2:5] {
	case "800", "833", "844", "855", "866", "877", "888":
		return true
	}
	return false
}

// ValidAlpha is nil for a name that may stand as sender: 1 to 11 of A-Z a-z 0-9
// and space, one letter at least (twilio: glossary/what-alphanumeric-sender-id).
func ValidAlpha(s string) error {
	letters := 0
	for _, r := range s {
		switch {
		case r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z':
			letters++
		case r >= '0' && r <= '9' || r == ' ':
		default:
			return errs.New(errs.Invalid, "a sender name takes only A-Z, a-z, 0-9 and space; leave %q out", string(r))
		}
	}
	switch {
	case s == "":
		return errs.New(errs.Invalid, "the sender name is empty; write 1 to 11 letters and digits")
	case len(s) > 11:
		return errs.New(errs.Invalid, "the sender name has %d characters; 11 is the most", len(s))
	case letters == 0:
		return errs.New(errs.Invalid, "the sender name needs a letter; only digits would look like a phone number")
	case strings.TrimSpace(s) != s:
		return errs.New(errs.Invalid, "the sender name begins or ends with a space; leave it out")
	}
	return nil
}

// unitedStates are the countries whose carriers follow the rules of the United States.
var unitedStates = []string{"US", "PR", "VI", "GU", "AS", "MP"}

// A2PNeeded reports whether a sender must be registered for business texting
// (A2P 10DLC) before it writes to a country: United States long codes to the
// United States (R153).
func A2PNeeded(from, toCountry string) bool {
	if !slices.Contains(unitedStates, strings.ToUpper(toCountry)) || SenderKindOf(from) != LongCode {
		return false
	}
	return slices.Contains(unitedStates, phone.Country(phone.E164(from), "US"))
}

// TollFreeVerificationNeeded reports whether a sender must be verified before it
// writes to a country: toll-free numbers of +1 to the United States and Canada (R152).
func TollFreeVerificationNeeded(from, toCountry string) bool {
	to := strings.ToUpper(toCountry)
	return nanpTollFree(from) && (to == "CA" || slices.Contains(unitedStates, to))
}

// MMSSupport is what becomes of files sent to a country.
type MMSSupport string

// What becomes of files.
const (
	MMSNative  MMSSupport = "NATIVE"  // goes as MMS
	MMSLimited MMSSupport = "LIMITED" // goes as MMS from some senders, else as MMSLink
	MMSLink    MMSSupport = "LINK"    // goes as SMS with a link, when Twilio's MMS converter is on
)

// AlphaSupport is whether a name may stand as sender in a country (R150).
type AlphaSupport string

// Whether a name may stand as sender.
const (
	AlphaSupported    AlphaSupport = "SUPPORTED"
	AlphaRegistration AlphaSupport = "NEEDS_REGISTRATION" // else refused or filtered (30018)
	AlphaUnsupported  AlphaSupport = "UNSUPPORTED"
	AlphaUnknown      AlphaSupport = "UNKNOWN"
)

// Destination is what is known of writing to a country. Carriers change their
// rules: Twilio's guidelines for the country are the last word.
type Destination struct {
	Country          string
	MMS              MMSSupport
	MMSNote          string // what happens to files; "" when they simply arrive
	Alpha            AlphaSupport
	AlphaNote        string // what to do about it; "" when a name simply works
	RepliesUncertain bool   // carriers there may show another sender than our number
}

var (
	alphaWorks   = countries("GB DE FR ES IT NL AT CH PT SE NO DK FI PL GR BG SI EE LV LT LU SK CY MT IS IL HK JP")
	alphaRecords = countries("AU IE SG IN SA AE QA KW EG JO OM BH PH VN ID TH LK TR RU BY KZ CZ KE NG TZ")
	alphaNot     = countries("US CA PR VI GU AS MP MX BR AR CL CO EC UY CR PA DO GT NZ ZA KR TW MY CN HU")
	replaced     = countries("CN IN AE SA KW QA EG VN PK BD LK ID TH TR RU FR MY TW")
)

func countries(list string) map[string]bool {
	m := map[string]bool{}
	for c := range strings.FieldsSeq(list) {
		m[c] = true
	}
	return m
}

// DestinationOf is what is known of a country ("AU"). Of one that is not known
// it says so and promises nothing.
func DestinationOf(country string) Destination {
	d := Destination{Country: strings.ToUpper(country), MMS: MMSLink, Alpha: AlphaUnknown}
	d.RepliesUncertain = replaced[d.Country]
	switch d.Country {
	case "US", "CA":
		d.MMS = MMSNative
	case "AU":
		d.MMS = MMSLimited
		d.MMSNote = "in Australia only numbers with MMS can send files; from others they go as a link in an SMS, or not at all"
	default:
		d.MMSNote = "files are not delivered there as MMS: Twilio sends a link in an SMS instead, or refuses when its MMS converter is off"
	}
	switch {
	case alphaWorks[d.Country]:
		d.Alpha = AlphaSupported
	case alphaRecords[d.Country]:
		d.Alpha = AlphaRegistration
		d.AlphaNote = "the sender name must be registered for this country with Twilio first; without it messages are refused or filtered"
	case alphaNot[d.Country]:
		d.Alpha = AlphaUnsupported
		d.AlphaNote = "sender names do not work in this country; send from a phone number"
	default:
		d.AlphaNote = "whether sender names work in this country is not known here; look at Twilio's guidelines for it or send from a phone number"
	}
	return d
}

// Limits are what files a message may carry (R144).
type Limits struct {
	MaxFiles                                    int
	MaxTotalBytes, MaxImageBytes, MaxOtherBytes int64
	Types                                       []string
}

// pictures are the types that Twilio makes fit for each carrier and phone; the
// rest goes as it is, and carriers drop what is big.
var pictures = []string{"image/jpeg", "image/png", "image/gif"}

var mmsTypes = append(slices.Clone(pictures),
	"image/heic", "image/bmp", "image/tiff",
	"audio/mpeg", "audio/wav", "audio/ogg", "audio/amr", "audio/aac", "audio/mp4", "audio/3gpp",
	"video/mp4", "video/3gpp", "video/3gpp2", "video/quicktime", "video/webm", "video/mpeg",
	"application/pdf", "text/vcard", "text/calendar")

// MMSLimits are what a message to a country may carry, and whether it goes as
// MMS; where it does not, the same files go as links (twilio:
// messaging/api/message-resource, messaging/guides/accepted-mime-types).
func MMSLimits(country string) (_ Limits, native bool) {
	c := strings.ToUpper(country)
	return Limits{MaxFiles: 10, MaxTotalBytes: 5_000_000, MaxImageBytes: 5_000_000, MaxOtherBytes: 500_000, Types: slices.Clone(mmsTypes)},
		c == "US" || c == "CA" || c == "AU"
}

// MediaFacts is what has to be known of a file to send it.
type MediaFacts struct {
	Name        string // as its owner calls it
	ContentType string // as found in it (SniffMedia)
	SizeBytes   int64
}

// Problem is one thing that keeps a message or template from being used, in
// words for the person who can mend it.
type Problem struct {
	Subject string // the name of the file or the path of the field; "" for the whole
	Message string
}

// CheckMedia lists what is wrong with files for a message, each with its name
// (R144). It is empty when all may go.
func CheckMedia(l Limits, files []MediaFacts) []Problem {
	var out []Problem
	total := int64(0)
	say := func(f MediaFacts, format string, args ...any) {
		out = append(out, Problem{f.Name, fmt.Sprintf("%q ", f.Name) + fmt.Sprintf(format, args...)})
	}
	if n := len(files); n > l.MaxFiles {
		out = append(out, Problem{Message: fmt.Sprintf("the message has %d files; %d is the most: leave some out", n, l.MaxFiles)})
	}
	for _, f := range files {
		total += max(f.SizeBytes, 0)
		kind := baseType(f.ContentType)
		most := l.MaxOtherBytes
		if slices.Contains(pictures, kind) {
			most = l.MaxImageBytes
		}
		switch {
		case f.SizeBytes <= 0:
			say(f, "is empty; attach it again")
		case !slices.Contains(l.Types, kind):
			say(f, "is of the type %s, which phones do not take as a message; send a JPEG, PNG or GIF picture or a PDF, or put a link into the text", nonEmpty(kind, "unknown"))
		case f.SizeBytes > most && most == l.MaxOtherBytes:
			say(f, "has %s; files that are no JPEG, PNG or GIF may have %s at most: make it smaller or put a link into the text", inBytes(f.SizeBytes), inBytes(most))
		case f.SizeBytes > most:
			say(f, "has %s; a picture may have %s at most: make it smaller", inBytes(f.SizeBytes), inBytes(most))
		}
	}
	if total > l.MaxTotalBytes {
		out = append(out, Problem{Message: fmt.Sprintf("the files have %s together; %s is the most: leave some out or make them smaller", inBytes(total), inBytes(l.MaxTotalBytes))})
	}
	return out
}

func nonEmpty(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// inBytes writes a size, rounded up so that one just over a limit does not look
// like the limit.
func inBytes(n int64) string {
	switch {
	case n >= 1_000_000:
		return fmt.Sprintf("%.1f MB", float64((n+99_999)/100_000)/10)
	case n >= 1000:
		return fmt.Sprintf("%d KB", (n+999)/1000)
	}
	return fmt.Sprintf("%d bytes", n)
}
