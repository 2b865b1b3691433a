package contact

import (
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
)

const (
	maxName   = 200
	maxWord   = 100
	maxTags   = 50
	maxPhones = 20
	maxEmail  = 254
	maxTitle  = 300
	maxURL    = 2000
	maxNote   = 1000
	maxData   = 32
	maxDatum  = 500
)

// checkText returns the text without space around it. Codes: errs.Invalid, and
// errs.Required for empty text.
func checkText(s string, limit int, field ...string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", errs.New(errs.Required, "enter the %s", field[len(field)-1]).At(field...)
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return "", errs.New(errs.Invalid, "the %s holds characters that cannot be stored; type it anew", field[len(field)-1]).At(field...)
	case utf8.RuneCountInString(s) > limit:
		return "", errs.New(errs.Invalid, "the %s is longer than %d characters", field[len(field)-1], limit).At(field...)
	}
	return s, nil
}

// checkOptional is checkText for a value that may be missing; blank text is missing.
func checkOptional(s *string, limit int, field ...string) (*string, error) {
	if s == nil || strings.TrimSpace(*s) == "" {
		return nil, nil
	}
	t, err := checkText(*s, limit, field...)
	return &t, err
}

func checkEmail(s *string) (*string, error) {
	s, err := checkOptional(s, maxEmail, "email")
	if s == nil || err != nil {
		return nil, err
	}
	a, err := mail.ParseAddress(*s)
	if err != nil || a.Address != *s {
		return nil, errs.New(errs.Invalid, "this is not an e-mail address; it looks like ann@example.com").At("email")
	}
	return s, nil
}

func checkCountry(s *string) (*string, error) {
	s, err := checkOptional(s, 2, "country")
	if s == nil || err != nil {
		return nil, err
	}
	c := strings.ToUpper(*s)
	if phone.CallingCode(c) == 0 {
		return nil, errs.New(errs.Invalid, "%q is not a country; use its two letters, such as AU", *s).At("country")
	}
	return &c, nil
}

func checkTimezone(s *string) (*string, error) {
	s, err := checkOptional(s, 64, "timezone")
	if s == nil || err != nil {
		return nil, err
	}
	if *s != "Local" { // that would be the server's own
		if _, err := time.LoadLocation(*s); err == nil {
			return s, nil
		}
	}
	return nil, errs.New(errs.Invalid, "this is no time zone; write it such as Australia/Sydney").At("timezone")
}

// checkTime gives the time as it is kept.
func checkTime(t time.Time, field ...string) (time.Time, error) {
	t = t.UTC().Truncate(time.Microsecond)
	if y := t.Year(); y < 1970 || y > 9999 {
		return t, errs.New(errs.Invalid, "this is not a time that can be kept; give one from the year 1970 on").At(field...)
	}
	return t, nil
}

// checkURL lets in addresses that may stand in a message: https, with a host,
// and no name and password in front of it.
func checkURL(field string) func(*string) (*string, error) {
	return func(s *string) (*string, error) {
		s, err := checkOptional(s, maxURL, field)
		if s == nil || err != nil {
			return nil, err
		}
		u, err := url.Parse(*s)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.ContainsFunc(*s, unicode.IsSpace) || !strings.HasPrefix(*s, "https://") {
			return nil, errs.New(errs.Invalid, "this is not an address that a customer can open; it begins with https://").At(field)
		}
		return s, nil
	}
}

// currencies are those of ISO 4217 that are money.
const currencies = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY " +
	"COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD " +
	"JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO " +
	"NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT " +
	"TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG"

// maxAmount is what a JSON number holds exactly.
const maxAmount = 999_999_999_999_999

func checkMoney(m Money) (Money, error) {
	m.Currency = strings.ToUpper(strings.TrimSpace(m.Currency))
	if len(m.Currency) != 3 || !slices.Contains(strings.Fields(currencies), m.Currency) {
		return m, errs.New(errs.Invalid, "this is no currency; use its three letters, such as AUD").At("amount", "currency")
	}
	if m.AmountMinor > maxAmount || m.AmountMinor < -maxAmount {
		return m, errs.New(errs.Invalid, "the amount has more than 15 digits").At("amount", "amountMinor")
	}
	return m, nil
}

var datumKey = regexp.MustCompile(`^[a-z][A-Za-z0-9_]{0,39}$`)

// checkData reads the business's own fields: few, short and flat.
func checkData(in []Datum) (map[string]string, error) {
	if len(in) > maxData {
		return nil, errs.New(errs.Invalid, "there are %d fields of your own; %d are kept", len(in), maxData).At("data")
	}
	out := make(map[string]string, len(in))
	for i, d := range in {
		at := strconv.Itoa(i)
		if !datumKey.MatchString(d.Key) {
			return nil, errs.New(errs.Invalid, "a field of your own begins with a small letter and has up to 40 letters, digits and underscores").At("data", at, "key")
		}
		if _, twice := out[d.Key]; twice {
			return nil, errs.New(errs.Invalid, "the field %s is there twice", d.Key).At("data", at, "key")
		}
		value := strings.TrimSpace(d.Value)
		if value != "" {
			var err error
			if value, err = checkText(value, maxDatum, "data", at, "value"); err != nil {
				return nil, err
			}
		}
		out[d.Key] = value
	}
	return out, nil
}

func checkTags(tags []string) ([]string, error) {
	if len(tags) > maxTags {
		return nil, errs.New(errs.Invalid, "there are %d tags at most", maxTags).At("tags")
	}
	out := make([]string, 0, len(tags))
	seen := map[string]bool{}
	for _, t := range tags {
		t, err := checkText(t, maxWord, "tags")
		if err != nil {
			return nil, err
		}
		if !seen[t] {
			seen[t] = true
			out = append(out, t)
		}
	}
	return out, nil
}

// checkUser refuses an id of another kind; whether the user exists is the
// foreign key's to say.
func checkUser(x id.ID) error {
	if x.IsZero() || x.Kind() == id.User {
		return nil
	}
	return errs.New(errs.Invalid, "%s", x.Want(id.User)).At("assignedUserId")
}

// PhoneInput is a phone as a person types it.
type PhoneInput struct {
	Number    string
	Label     string
	IsPrimary bool
}

// checkPhones reads what was typed; a number without a country code is one of
// the country. One phone is the primary one: the one that says so, else the first.
func checkPhones(in []PhoneInput, country string) ([]*Phone, error) {
	if len(in) > maxPhones {
		return nil, errs.New(errs.Invalid, "a contact has %d phones at most", maxPhones).At("phones")
	}
	out := make([]*Phone, 0, len(in))
	primary := -1
	seen := map[phone.E164]bool{}
	for i, p := range in {
		at := strconv.Itoa(i)
		e, err := phone.Parse(p.Number, country)
		if err != nil {
			return nil, errs.New(errs.Invalid, "phone %d: %s", i+1, err).At("phones", at, "number")
		}
		if seen[e] {
			return nil, errs.New(errs.Invalid, "phone %d is there twice; enter each number once", i+1).At("phones", at, "number")
		}
		seen[e] = true
		label := strings.TrimSpace(p.Label)
		if label != "" {
			if label, err = checkText(label, maxWord, "phones", at, "label"); err != nil {
				return nil, err
			}
		}
		if p.IsPrimary {
			if primary >= 0 {
				return nil, errs.New(errs.Invalid, "only one phone can be the primary one").At("phones", at, "isPrimary")
			}
			primary = i
		}
		out = append(out, &Phone{E164: e, Label: label})
	}
	if len(out) > 0 {
		out[max(primary, 0)].IsPrimary = true
	}
	return out, nil
}

// change applies a checked optional field of a partial change.
func change(f patch.Field[string], dst **string, check func(*string) (*string, error)) error {
	if !f.Set {
		return nil
	}
	var v *string
	if !f.Null {
		v = &f.Value
	}
	v, err := check(v)
	if err != nil {
		return err
	}
	*dst = v
	return nil
}

func optional(limit int, field string) func(*string) (*string, error) {
	return func(s *string) (*string, error) { return checkOptional(s, limit, field) }
}
