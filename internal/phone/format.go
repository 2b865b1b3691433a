package phone

import (
	"fmt"
	"strings"

	"github.com/nyaruka/phonenumbers/v2"
)

// Mask shows enough of a number to recognise it in a log and too little to dial
// it: "+61•••••234". What is not a number shows nothing.
func Mask(e E164) string {
	s := string(e)
	if s == "" {
		return ""
	}
	if !wellFormed(s) {
		return "•••"
	}
	return s[:1+callingCode(s)] + "•••••" + s[len(s)-3:]
}

// Display writes a number for people in a country: as they would dial it when it
// is one of theirs, else with the country code. What is not E.164 comes back as it is.
func Display(e E164, country string) string {
	n, ok := parsed(e)
	if !ok {
		return string(e)
	}
	style := phonenumbers.INTERNATIONAL
	if cc := CallingCode(country); cc != 0 && cc == int(n.GetCountryCode()) {
		style = phonenumbers.NATIONAL
	}
	return phonenumbers.Format(n, style)
}

// The named dial formats (R089). Any other format is a pattern with {e164}
// (+61255501234), {digits} (61255501234), {national} (0255501234), {significant}
// (255501234) and {country} (61) between characters that can be dialled.
const (
	DialE164     = "E164"
	DialNational = "NATIONAL"
	DialDigits   = "DIGITS"
)

var dialNames = map[string]string{"": "{e164}", DialE164: "{e164}", DialNational: "{national}", DialDigits: "{digits}"}

const maxDialFormat = 48

// CheckDialFormat returns an Error that says what is wrong with a dial format.
func CheckDialFormat(format string) error {
	if _, ok := dialNames[format]; ok {
		return nil
	}
	if len(format) > maxDialFormat {
		return Error(fmt.Sprintf("the dial format is longer than %d characters", maxDialFormat))
	}
	rest, fields := format, 0
	for _, f := range []string{"{e164}", "{digits}", "{national}", "{significant}", "{country}"} {
		if f != "{country}" {
			fields += strings.Count(rest, f)
		}
		rest = strings.ReplaceAll(rest, f, " ") // a space, so that no new field forms around it
	}
	if fields != 1 {
		return Error("the dial format needs exactly one of {e164}, {digits}, {national}, {significant}")
	}
	if bad := strings.Trim(rest, "+0123456789*#wW, "); bad != "" || strings.ContainsAny(rest, "{}") {
		return Error("between its fields a dial format takes only + 0-9 * # w W and a comma")
	}
	return nil
}

// DialFormat writes the dialled destination in the format (R089). The stored
// number never changes, and a format that does not pass CheckDialFormat, or a
// number that is not E.164, leaves the number as it is.
func DialFormat(e E164, format string) string {
	n, ok := parsed(e)
	if !ok || CheckDialFormat(format) != nil {
		return string(e)
	}
	if named, ok := dialNames[format]; ok {
		format = named
	}
	return strings.NewReplacer(
		"{e164}", string(e),
		"{digits}", string(e[1:]),
		"{national}", phonenumbers.NormalizeDigitsOnly(phonenumbers.Format(n, phonenumbers.NATIONAL)),
		"{significant}", phonenumbers.GetNationalSignificantNumber(n),
		"{country}", fmt.Sprint(n.GetCountryCode()),
	).Replace(format)
}
