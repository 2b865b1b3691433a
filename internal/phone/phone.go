// Package phone reads, compares and shows telephone numbers. A number is stored
// and sent in one form only, E.164 ("+61255501234"); every other form is for
// reading by people.
//
// It is not a directory: it knows nothing of who owns a number. The invariant:
// no text, however broken, makes it panic, and what it cannot read is an error
// or "anonymous", never a wrong number.
package phone

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers/v2"
)

// E164 is a number in international form: a plus sign, the country calling code
// and the rest, at most 15 digits. The empty E164 means "no number".
type E164 string

// Error says what is wrong with a number that somebody typed.
type Error string

func (e Error) Error() string { return string(e) }

// Invalid marks the error as one that a client may read (package errs).
func (e Error) Invalid() string { return string(e) }

const maxInput = 64 // the longest real number with all its punctuation is about half of this

// Parse reads what a person typed. A number without + is taken as one of the
// default country ("AU"); with no default it must begin with +. The error is an
// Error and says what to do.
func Parse(s, defaultCountry string) (E164, error) {
	if len(s) > 4*maxInput {
		return "", Error("this is too long for a phone number")
	}
	clean, err := scrub(s)
	if err != nil {
		return "", err
	}
	if clean == "" {
		return "", Error("enter a phone number, such as +61255501234")
	}
	if len(clean) > maxInput {
		return "", Error("this is too long for a phone number")
	}
	country := strings.ToUpper(strings.TrimSpace(defaultCountry))
	if !knownCountry(country) {
		country = ""
		if !strings.HasPrefix(clean, "+") {
			return "", Error(fmt.Sprintf("%q has no country code; write it as + and the country code, such as +61255501234", show(clean)))
		}
	}
	n, err := phonenumbers.Parse(clean, country)
	if err != nil {
		return "", explain(err, clean)
	}
	if n.GetExtension() != "" {
		return "", Error(fmt.Sprintf("%q has an extension; enter the number without it", show(clean)))
	}
	switch phonenumbers.IsPossibleNumberWithReason(n) {
	case phonenumbers.IS_POSSIBLE:
	case phonenumbers.TOO_SHORT, phonenumbers.IS_POSSIBLE_LOCAL_ONLY:
		return "", Error(fmt.Sprintf("%q is too short; enter the whole number with its area code", show(clean)))
	case phonenumbers.TOO_LONG:
		return "", Error(fmt.Sprintf("%q has too many digits", show(clean)))
	case phonenumbers.INVALID_COUNTRY_CODE:
		return "", Error(fmt.Sprintf("%q does not begin with a country code that exists", show(clean)))
	default:
		return "", Error(fmt.Sprintf("%q does not have the number of digits that numbers of its country have", show(clean)))
	}
	e := E164(phonenumbers.Format(n, phonenumbers.E164))
	if !wellFormed(string(e)) {
		return "", Error(fmt.Sprintf("%q is not a phone number", show(clean)))
	}
	return e, nil
}

// explain turns the library's reasons into what a person can do about them.
func explain(err error, clean string) error {
	switch err {
	case phonenumbers.ErrInvalidCountryCode:
		return Error(fmt.Sprintf("%q does not begin with a country code that exists", show(clean)))
	case phonenumbers.ErrNumTooLong:
		return Error(fmt.Sprintf("%q has too many digits", show(clean)))
	case phonenumbers.ErrTooShortAfterIDD, phonenumbers.ErrTooShortNSN:
		return Error(fmt.Sprintf("%q is too short; enter the whole number with its area code", show(clean)))
	}
	return Error(fmt.Sprintf("%q is not a phone number; write it such as +61255501234", show(clean)))
}

// scrub removes what copying from a web page or an address book leaves in a
// number: marks of text direction, zero-width characters, odd spaces. Control
// characters have no business there and are refused.
func scrub(s string) (string, error) {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == unicode.ReplacementChar || (unicode.IsControl(r) && !unicode.IsSpace(r)):
			return "", Error("the phone number contains a character that cannot be typed; enter it anew")
		case unicode.Is(unicode.Cf, r): // direction marks, zero-width joiners, the byte order mark
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case r >= '０' && r <= '９':
			b.WriteRune(r - '０' + '0')
		case r == '＋':
			b.WriteByte('+')
		default:
			b.WriteRune(r)
		}
	}
	return strings.TrimSpace(b.String()), nil
}

// show quotes only the start of what was typed: messages reach logs, and a log
// holds no full number.
func show(s string) string {
	if r := []rune(s); len(r) > 5 {
		return string(r[:5]) + "…"
	}
	return s
}

// FromWire takes a number as a carrier or Twilio gives it. ok is false for a
// withheld number, a word, or a client or SIP address: the text is then kept as
// text and matches nobody (D11).
func FromWire(s string) (e E164, ok bool) {
	if !wellFormed(s) || Anonymous(s) {
		return "", false
	}
	return E164(s), true
}

// wellFormed is E.164 by shape: +, no leading zero, 7 to 15 digits.
func wellFormed(s string) bool {
	if len(s) < 8 || len(s) > 16 || s[0] != '+' || s[1] == '0' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Valid reports whether the number lies in a range that its country has given
// out. Parse does not ask this: ranges open faster than any table learns of them.
func Valid(e E164) bool {
	n, ok := parsed(e)
	return ok && phonenumbers.IsValidNumber(n)
}

func parsed(e E164) (*phonenumbers.PhoneNumber, bool) {
	if !wellFormed(string(e)) {
		return nil, false
	}
	n, err := phonenumbers.Parse(string(e), "")
	return n, err == nil
}

// Country is the country of the number ("AU"), "" when there is none (freephone
// +800, satellite). The hint decides only where several countries share the
// number's range, as toll-free numbers of +1 do (D16).
func Country(e E164, hint string) string {
	n, ok := parsed(e)
	if !ok {
		return ""
	}
	hint = strings.ToUpper(hint)
	regions := phonenumbers.GetRegionCodesForCountryCode(int(n.GetCountryCode()))
	first := ""
	for _, r := range regions {
		if r == "001" || (len(regions) > 1 && !phonenumbers.IsValidNumberForRegion(n, r)) {
			continue
		}
		if r == hint {
			return r
		}
		if first == "" {
			first = r
		}
	}
	switch {
	case first != "":
		return first
	case slices.Contains(regions, hint):
		return hint
	case len(regions) > 0 && regions[0] != "001":
		return regions[0]
	}
	return ""
}

func knownCountry(c string) bool { return c != "" && phonenumbers.GetSupportedRegions()[c] }

// CallingCode is the calling code of a country (61 for "AU"), 0 when it is unknown.
func CallingCode(country string) int {
	return phonenumbers.GetCountryCodeForRegion(strings.ToUpper(country))
}

// SameNumber reports whether two texts are the same number; without + they are
// read as numbers of the country. What is not a number equals nothing.
func SameNumber(a, b, country string) bool {
	x, err := Parse(a, country)
	if err != nil || Anonymous(a) {
		return false
	}
	y, err := Parse(b, country)
	return err == nil && x == y
}

// Kind is what sort of line a number is.
type Kind string

// The kinds. In some countries, North America among them, a number does not
// tell a mobile from a fixed line.
const (
	Mobile        Kind = "MOBILE"
	Fixed         Kind = "FIXED"
	FixedOrMobile Kind = "FIXED_OR_MOBILE"
	TollFree      Kind = "TOLL_FREE"
	Premium       Kind = "PREMIUM"
	SharedCost    Kind = "SHARED_COST"
	VoIP          Kind = "VOIP"
	Pager         Kind = "PAGER"
	Satellite     Kind = "SATELLITE" // and the other networks that belong to no country
	Other         Kind = "OTHER"
)

// KindOf is the kind of line of a number, Other when its range is unknown.
func KindOf(e E164) Kind {
	n, ok := parsed(e)
	if !ok {
		return Other
	}
	switch n.GetCountryCode() {
	case 870, 878, 881, 882, 883: // ITU-T E.164: Inmarsat, personal numbers, satellite and international networks
		return Satellite
	}
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.MOBILE:
		return Mobile
	case phonenumbers.FIXED_LINE:
		return Fixed
	case phonenumbers.FIXED_LINE_OR_MOBILE:
		return FixedOrMobile
	case phonenumbers.TOLL_FREE:
		return TollFree
	case phonenumbers.PREMIUM_RATE:
		return Premium
	case phonenumbers.SHARED_COST:
		return SharedCost
	case phonenumbers.VOIP:
		return VoIP
	case phonenumbers.PAGER:
		return Pager
	}
	return Other
}

// everywhere are the emergency numbers and their tests that no country uses for
// anything else; a country's own come from its numbering plan.
var everywhere = map[string]bool{"000": true, "112": true, "911": true, "933": true, "999": true}

// Emergency reports whether what somebody typed is an emergency number of the
// country, with or without the country's calling code. Ask it before Parse, which
// takes short numbers for mistakes.
func Emergency(raw, country string) bool {
	if len(raw) > 4*maxInput {
		return false
	}
	digits := phonenumbers.NormalizeDigitsOnly(raw)
	country = strings.ToUpper(strings.TrimSpace(country))
	for _, d := range []string{digits, strings.TrimPrefix(digits, strconv.Itoa(CallingCode(country)))} {
		if len(d) >= 2 && len(d) <= 6 && (everywhere[d] || knownCountry(country) && phonenumbers.IsEmergencyNumber(d, country)) {
			return true
		}
	}
	return false
}

// withheld are words, and their spelling on a telephone keypad, that networks
// send instead of the number of a caller who hides it.
var withheld = map[string]bool{
	"": true, "anonymous": true, "restricted": true, "blocked": true, "private": true, "withheld": true,
	"unavailable": true, "unknown": true, "blank": true, "none": true, "null": true,
	"266696687": true, "7378742833": true, "2562533": true, "7748283": true, "86282452253": true, "8656696": true,
}

// Anonymous reports whether a caller came without a number (D11): it was
// withheld, or the text is no telephone number at all.
func Anonymous(s string) bool {
	s = strings.ToLower(strings.TrimSpace(s))
	if withheld[strings.TrimPrefix(s, "+")] {
		return true
	}
	digits, zeros := 0, 0
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			digits++
			if r == '0' {
				zeros++
			}
		case strings.ContainsRune("+-.() \u00a0", r):
		default:
			return true
		}
	}
	return digits < 3 || zeros == digits
}

// callingCode is the length of the calling code at the start of an E.164 number.
func callingCode(s string) int {
	for n := 1; n <= 3 && n < len(s); n++ {
		if cc, err := strconv.Atoi(s[1 : 1+n]); err == nil && phonenumbers.GetRegionCodeForCountryCode(cc) != "ZZ" {
			return n
		}
	}
	return 0
}
