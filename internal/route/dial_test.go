package route_test

import (
	"errors"
	"strings"
	"testing"

	"switchboard/internal/errs"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

func TestOnlyAllowedDestinationsAreCalled(t *testing.T) {
	t.Parallel()
	own := route.DialPolicy{Own: []string{"AU", "US"}}
	premium := route.DialPolicy{Own: []string{"AU", "US"}, AllowPremium: true}
	list := route.DialPolicy{Countries: []string{"nz"}, Own: []string{"AU"}}
	for name, c := range map[string]struct {
		why       string
		policy    route.DialPolicy
		e164, raw string
		code      errs.Code
		says      string
	}{
		"at home":               {why: "a country of our numbers", policy: own, e164: "+61255501234", raw: "02 5550 1234"},
		"the other country":     {why: "a country of our numbers", policy: own, e164: "+15125550111"},
		"abroad":                {why: "not a country of our numbers", policy: own, e164: "+442079460000", code: errs.Forbidden, says: "GB"},
		"same code, elsewhere":  {why: "Jamaica shares +1 and is not the US", policy: own, e164: "+18765550123", code: errs.Forbidden, says: "JM"},
		"listed":                {why: "the list, in any case", policy: list, e164: "+6493001234"},
		"not listed any more":   {why: "a list stands for itself", policy: list, e164: "+61255501234", code: errs.Forbidden, says: "AU"},
		"no list, no numbers":   {why: "nothing is allowed", policy: route.DialPolicy{}, e164: "+61255501234", code: errs.Forbidden, says: "allowed countries"},
		"emergency":             {why: "before parsing", policy: own, raw: "911", code: errs.Unsupported, says: "mobile"},
		"emergency, Australian": {why: "of any of our countries", policy: own, raw: "0 0 0", code: errs.Unsupported, says: "mobile"},
		"emergency, abroad":     {why: "112 is known everywhere", policy: own, raw: "112", code: errs.Unsupported, says: "mobile"},
		"emergency test":        {why: "933", policy: own, raw: "933", code: errs.Unsupported, says: "mobile"},
		"emergency with a code": {why: "parsed or not", policy: own, e164: "+61000", raw: "+61000", code: errs.Unsupported, says: "mobile"},
		"premium":               {why: "costs extra", policy: own, e164: "+19002345678", code: errs.Forbidden, says: "premium-rate"},
		"premium allowed":       {why: "the setting", policy: premium, e164: "+19002345678"},
		"premium abroad":        {why: "the countries hold as well", policy: premium, e164: "+449098790000", code: errs.Forbidden, says: "GB"},
		"shared cost":           {why: "costs extra", policy: own, e164: "+611300123456", code: errs.Forbidden, says: "shared-cost"},
		"satellite":             {why: "costs extra", policy: own, e164: "+881612345678", code: errs.Forbidden, says: "satellite"},
		"satellite allowed":     {why: "belongs to no country", policy: premium, e164: "+881612345678"},
		"international premium": {why: "+979", policy: own, e164: "+979123456789", code: errs.Forbidden, says: "premium-rate"},
		"pager":                 {why: "nobody answers", policy: route.DialPolicy{Countries: []string{"GB"}}, e164: "+447640123456", code: errs.Forbidden, says: "pager"},
		"toll-free":             {why: "free, and of every country of +1", policy: own, e164: "+18005550123"},
		"toll-free for Canada":  {why: "a range that countries share", policy: route.DialPolicy{Countries: []string{"CA"}}, e164: "+18003569377"},
		"freephone":             {why: "+800 belongs to no country and costs nothing", policy: own, e164: "+80012345678"},
		"no number":             {why: "did not parse", policy: own, raw: "bob", code: errs.Invalid, says: "phone number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := c.raw
			if raw == "" {
				raw = c.e164
			}
			err := c.policy.Check(c.e164, raw)
			if c.code == "" {
				if err != nil {
					t.Errorf("%s: %v", c.why, err)
				}
				return
			}
			var e *errs.Error
			if !errors.As(err, &e) || e.Code != c.code || len(e.Field) != 1 || e.Field[0] != "to" || !strings.Contains(e.Message, c.says) {
				t.Errorf("%s: %v, want %s with %q", c.why, err, c.code, c.says)
			}
			if len(c.e164) > 8 && strings.Contains(err.Error(), c.e164[3:]) {
				t.Errorf("the error shows the number: %v", err)
			}
		})
	}
}

func TestTheDialFormatIsOfTheDestinationAlone(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		"": "+61255501234", "E164": "+61255501234", "NATIONAL": "0255501234", "DIGITS": "61255501234",
		"0011{digits}": "001161255501234", "9,{national}": "9,0255501234", "broken{": "+61255501234",
	} {
		if got := route.FormatDial(format, phone.E164("+61255501234")); got != want {
			t.Errorf("%q gives %q, want %q", format, got, want)
		}
		if err := route.CheckDialFormat(format); (err != nil) != (format == "broken{") || err != nil && !errs.IsCode(err, errs.Invalid) {
			t.Errorf("%q: %v", format, err)
		}
	}
}
