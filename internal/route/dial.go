package route

import (
	"fmt"
	"slices"
	"strings"

	"switchboard/internal/errs"
	"switchboard/internal/phone"
)

// DialPolicy says which destinations may be called: what fraud would call is
// refused unless somebody allowed it.
type DialPolicy struct {
	Countries    []string // ISO codes that may be called; empty: those of Own
	Own          []string // ISO codes of the organization's numbers
	AllowPremium bool     // premium, shared-cost, satellite and pager ranges too
}

// Emergency reports whether what somebody typed is an emergency number of the
// country. It works on the text as typed, because short numbers do not parse.
func Emergency(raw, country string) bool { return phone.Emergency(raw, country) }

// Check returns nil if the destination may be called. e164 is what raw came to,
// "" if it could not be parsed. The errors: errs.Unsupported for emergency
// numbers, errs.Forbidden for what the settings refuse, errs.Invalid for what is
// no number.
func (p DialPolicy) Check(e164, raw string) error {
	allowed := p.Countries
	if len(allowed) == 0 {
		allowed = p.Own
	}
	for _, country := range append([]string{""}, slices.Concat(p.Countries, p.Own)...) {
		if Emergency(raw, country) || e164 != "" && Emergency(e164, country) {
			return errs.New(errs.Unsupported, "emergency numbers cannot be called from here, because help would not know where you are; use a mobile or a fixed line").At("to")
		}
	}
	to, ok := phone.FromWire(e164)
	if !ok {
		return errs.New(errs.Invalid, "this is not a phone number that can be called; write it such as +61255501234").At("to")
	}
	kind := phone.KindOf(to)
	if what := costly[kind]; what != "" {
		if !p.AllowPremium {
			return errs.New(errs.Forbidden, "%s is a %s number, and calls to such numbers are not made from here; use another phone", phone.Mask(to), what).At("to")
		}
		if kind == phone.Satellite {
			return nil // of no country
		}
	}
	if slices.ContainsFunc(allowed, func(c string) bool { return c != "" && phone.Country(to, c) == strings.ToUpper(c) }) {
		return nil
	}
	country := phone.Country(to, "")
	switch {
	case country != "":
		return errs.New(errs.Forbidden, "calls to %s are switched off; an administrator can add the country to the allowed countries in the calling settings", country).At("to")
	case kind == phone.TollFree, p.AllowPremium && costly[kind] != "":
		return nil // international freephone, premium and shared cost belong to no country
	}
	return errs.New(errs.Forbidden, "%s belongs to no country that may be called; an administrator can see the allowed countries in the calling settings", phone.Mask(to)).At("to")
}

var costly = map[phone.Kind]string{
	phone.Premium: "premium-rate", phone.SharedCost: "shared-cost", phone.Satellite: "satellite or international-network", phone.Pager: "pager",
}

// CheckDialFormat returns an errs.Invalid that says what is wrong with a dial format.
func CheckDialFormat(format string) error {
	if err := phone.CheckDialFormat(format); err != nil {
		return errs.New(errs.Invalid, "%s", fmt.Sprint(err)).At("dialFormat")
	}
	return nil
}

// FormatDial writes the dialled destination, and nothing else, in the format of
// the number (R089): E164, NATIONAL, DIGITS or a template such as "0011{digits}",
// as phone.DialFormat has it. A format that is not valid leaves the number as it is.
func FormatDial(format string, to phone.E164) string { return phone.DialFormat(to, format) }
