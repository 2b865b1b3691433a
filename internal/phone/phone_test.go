package phone_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"switchboard/internal/errs"
	"switchboard/internal/phone"
)

func TestParseReadsWhatPeopleType(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		why, in, country string
		want             phone.E164
		says             string
	}{
		"international":       {why: "the stored form", in: "+61255501234", want: "+61255501234"},
		"national":            {why: "the default country fills in", in: "02 5550 1234", country: "AU", want: "+61255501234"},
		"lower-case country":  {why: "a country code has no case", in: "(02) 5550-1234", country: "au", want: "+61255501234"},
		"trunk zero":          {why: "people write both", in: "+61 (0)2 5550 1234", want: "+61255501234"},
		"exit code":           {why: "0011 is Australia's", in: "0011 1 415 867 5310", country: "AU", want: "+14158675310"},
		"unassigned range":    {why: "ranges open faster than tables", in: "+15550001111", want: "+15550001111"},
		"direction marks":     {why: "address books paste them", in: "\u202a+61 2 5550 1234\u202c", want: "+61255501234"},
		"no-break spaces":     {why: "web pages paste them", in: "+61\u00a02\u00a05550\u00a01234", want: "+61255501234"},
		"full-width digits":   {why: "Japanese keyboards type them", in: "＋６１２５５５０１２３４", want: "+61255501234"},
		"arabic digits":       {why: "digits are digits", in: "+٦١٢٥٥٥٠١٢٣٤", want: "+61255501234"},
		"vanity":              {why: "letters stand on the keys", in: "1-800-FLOWERS", country: "US", want: "+18003569377"},
		"no country":          {why: "nothing to guess from", in: "0255501234", says: "no country code"},
		"made-up country":     {why: "an unknown default is none", in: "0255501234", country: "XX", says: "no country code"},
		"empty":               {why: "nothing typed", in: " \t ", says: "enter a phone number"},
		"words":               {why: "not a number", in: "call me", country: "AU", says: "is not a phone number"},
		"NUL":                 {why: "PostgreSQL text cannot hold it", in: "+6125550\x001234", says: "cannot be typed"},
		"broken UTF-8":        {why: "not text", in: "+612\xff5501234", says: "cannot be typed"},
		"too short":           {why: "half a number", in: "+612555", says: "too short"},
		"local part only":     {why: "the area code is missing", in: "867-5310", country: "US", says: "too short"},
		"too long":            {why: "more digits than any", in: "+612555012345678901", says: "too many digits"},
		"endless":             {why: "input is bounded", in: strings.Repeat("1", 1<<20), says: "too long"},
		"country that is not": {why: "+999 is nobody's", in: "+9995551234", says: "country code"},
		"extension":           {why: "it would be lost silently", in: "+61255501234 ext. 9", says: "extension"},
		"two numbers":         {why: "one field, one number", in: "+61255501234 / +61255501235 or another", says: ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := phone.Parse(c.in, c.country)
			if c.want != "" {
				if err != nil || got != c.want {
					t.Fatalf("%s: got %q, %v", c.why, got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%s: got %q, %v; want an error with %q", c.why, got, err, c.says)
			}
			var e phone.Error
			if !errors.As(err, &e) || !errs.IsCode(err, errs.Invalid) {
				t.Fatalf("%s: %T is not readable by clients", c.why, err)
			}
			if strings.ContainsRune(err.Error(), 0) || (len(c.in) > 8 && strings.Contains(err.Error(), c.in)) {
				t.Fatalf("%s: the message repeats the number: %q", c.why, err)
			}
		})
	}
}

func TestCountryIsThatOfTheNumber(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		why  string
		in   phone.E164
		hint string
		want string
	}{
		"plain":                   {why: "one country, one code", in: "+61255501234", want: "AU"},
		"hint loses to number":    {why: "the number says Canada (D16)", in: "+14165551234", hint: "US", want: "CA"},
		"hint of another code":    {why: "a hint only breaks ties (D16)", in: "+61255501234", hint: "US", want: "AU"},
		"toll-free, hint":         {why: "+1 800 is shared (D16)", in: "+18003569377", hint: "ca", want: "CA"},
		"toll-free, no hint":      {why: "the code's main country", in: "+18003569377", want: "US"},
		"unassigned, hint":        {why: "the range tells nothing", in: "+15550001111", hint: "CA", want: "CA"},
		"unassigned, no hint":     {why: "the code's main country", in: "+15550001111", want: "US"},
		"international freephone": {why: "+800 belongs to no country", in: "+80012345678", hint: "DE", want: ""},
		"not a number":            {why: "garbage has no country", in: "garbage", hint: "AU", want: ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := phone.Country(c.in, c.hint); got != c.want {
				t.Fatalf("%s: got %q, want %q", c.why, got, c.want)
			}
		})
	}
}

func TestAnonymousCallersHaveNoNumber(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"": true, " ": true, "anonymous": true, "Anonymous": true, "RESTRICTED": true, "unknown": true, "unavailable": true,
		"+266696687": true, "266696687": true, "+7378742833": true, "+86282452253": true, "+0000000": true, "0": true, "+": true,
		"client:u_42": true, "sip:bob@example.com": true, "\x00": true, "٠": true,
		"+61255501234": false, "0255501234": false, "12345": false, "000": true, "+1 (415) 867-5310": false,
	} {
		if got := phone.Anonymous(in); got != want {
			t.Errorf("Anonymous(%q) = %v (D11)", in, got)
		}
		if e, ok := phone.FromWire(in); want && (ok || e != "") {
			t.Errorf("FromWire(%q) = %q: a withheld number matched", in, e)
		}
	}
	if e, ok := phone.FromWire("+61255501234"); !ok || e != "+61255501234" {
		t.Errorf("FromWire lost a good number: %q", e)
	}
}

func TestMaskedNumberCannotBeDialled(t *testing.T) {
	t.Parallel()
	for in, want := range map[phone.E164]string{
		"+61255501234": "+61•••••234", "+14158675310": "+1•••••310", "+37255501234": "+372•••••234",
		"": "", "client:u_42": "•••", "+61": "•••",
	} {
		if got := phone.Mask(in); got != want {
			t.Errorf("Mask(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDisplayIsNationalAtHome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, country, want string }{
		{"+61255501234", "AU", "(02) 5550 1234"},
		{"+61255501234", "US", "+61 2 5550 1234"},
		{"+61255501234", "", "+61 2 5550 1234"},
		{"+14158675310", "CA", "(415) 867-5310"},
		{"anonymous", "AU", "anonymous"},
	} {
		if got := phone.Display(phone.E164(c.in), c.country); got != c.want {
			t.Errorf("Display(%q, %q) = %q, want %q", c.in, c.country, got, c.want)
		}
	}
}

func TestDialFormatWritesTheDestination(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		"": "+61255501234", "E164": "+61255501234", "NATIONAL": "0255501234", "DIGITS": "61255501234",
		"0011{digits}": "001161255501234", "9,{national}": "9,0255501234", "*67w{country}{significant}": "*67w61255501234",
	} {
		if err := phone.CheckDialFormat(format); err != nil {
			t.Errorf("%q (R089): %v", format, err)
		}
		if got := phone.DialFormat("+61255501234", format); got != want {
			t.Errorf("DialFormat(%q) = %q, want %q (R089)", format, got, want)
		}
	}
	for _, bad := range []string{"{e164}{e164}", "national", "{country}", "{e164}<Dial>", "{e164}x", "{{e164}}", "{e{e164}164}", strings.Repeat("1", 99) + "{e164}"} {
		if err := phone.CheckDialFormat(bad); !errs.IsCode(err, errs.Invalid) {
			t.Errorf("the format %q passed: %v", bad, err)
		}
		if got := phone.DialFormat("+61255501234", bad); got != "+61255501234" {
			t.Errorf("a refused format %q changed the number to %q", bad, got)
		}
	}
}

func TestKindOfLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[phone.E164]phone.Kind{
		"+61412345678": phone.Mobile, "+61255501234": phone.Fixed, "+14158675310": phone.FixedOrMobile,
		"+18003569377": phone.TollFree, "+19002345678": phone.Premium, "+611900654321": phone.Premium, "+881612345678": phone.Satellite, "+870773123456": phone.Satellite, "+882161234567": phone.Satellite, "+447640123456": phone.Pager, "": phone.Other, "x": phone.Other,
	} {
		if got := phone.KindOf(in); got != want {
			t.Errorf("KindOf(%q) = %s, want %s", in, got, want)
		}
	}
	if !phone.Valid("+61412345678") || phone.Valid("+15550001111") || phone.Valid("x") {
		t.Error("Valid must tell an assigned range from others")
	}
}

func TestSameNumberSeesThroughPunctuation(t *testing.T) {
	t.Parallel()
	if !phone.SameNumber("(02) 5550 1234", "+61255501234", "AU") || phone.SameNumber("+61255501234", "+61255501235", "AU") {
		t.Error("the same number has one form")
	}
	if phone.SameNumber("anonymous", "anonymous", "AU") || phone.SameNumber("", "", "AU") || phone.SameNumber("+266696687", "+266696687", "") {
		t.Error("callers without a number are not the same caller (D11)")
	}
}

func FuzzNothingPanics(f *testing.F) {
	for _, s := range []string{"+61255501234", "", "\x00", "\u202e+1", "＋１", "tel:+1-201;phone-context=+1", ";ext=1", "+800", "x", "0011", "+1 (415) 867-5310x9", "\xff\xfe", "+٦١"} {
		f.Add(s, "AU")
	}
	f.Add("tel:1;phone-context=", "")
	f.Fuzz(func(t *testing.T, s, country string) {
		e, err := phone.Parse(s, country)
		if err == nil {
			again, err := phone.Parse(string(e), "")
			if err != nil || again != e {
				t.Fatalf("%q read as %q, which reads as %q, %v", s, e, again, err)
			}
		} else if !utf8.ValidString(err.Error()) && utf8.ValidString(s) {
			t.Fatalf("%q gives a message that is not text", s)
		}
		for _, x := range []phone.E164{e, phone.E164(s)} {
			phone.Valid(x)
			phone.Country(x, country)
			phone.Display(x, country)
			phone.DialFormat(x, s)
			phone.KindOf(x)
			if m := phone.Mask(x); len(x) > 8 && m == string(x) {
				t.Fatalf("the mask of %q hides nothing", x)
			}
		}
		phone.Anonymous(s)
		phone.SameNumber(s, string(e), country)
		phone.CallingCode(country)
	})
}

func TestEmergencyNumbersAreKnownHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw, country string
		want         bool
		why          string
	}{
		{"911", "US", true, "the country's own"},
		{"9-1-1", "US", true, "punctuation"},
		{" ９１１ ", "US", true, "digits of another width"},
		{"+1911", "US", true, "with the calling code"},
		{"+61000", "AU", true, "with the calling code"},
		{"000", "AU", true, "Australia"},
		{"111", "NZ", true, "New Zealand"},
		{"110", "DE", true, "the police in Germany"},
		{"112", "US", true, "known everywhere"},
		{"999", "", true, "known without a country"},
		{"933", "US", true, "the test of the emergency address"},
		{"100", "IN", true, "India"},
		{"9112345678", "US", false, "an ordinary length"},
		{"+61255501234", "AU", false, "an ordinary number"},
		{"", "US", false, "nothing"},
		{"x", "XX", false, "no digits, no country"},
	} {
		if got := phone.Emergency(c.raw, c.country); got != c.want {
			t.Errorf("Emergency(%q, %q) = %t: %s", c.raw, c.country, got, c.why)
		}
	}
}
