package route_test

import (
	"testing"

	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

func TestCallerIDAndSenderFollowTheOrderOfD17(t *testing.T) {
	t.Parallel()
	sydney, austin := id.New(id.Branch), id.New(id.Branch)
	own := func(e phone.E164, country string, b id.ID, isDefault bool) route.OwnNumber {
		return route.OwnNumber{ID: id.New(id.PhoneNumber), E164: e, Country: country, BranchID: b, IsDefault: isDefault}
	}
	au := own("+61255501234", "AU", sydney, true)
	us1 := own("+15125550111", "US", austin, false)
	us2 := own("+12125550122", "US", id.ID{}, false)
	all := []route.OwnNumber{us1, us2, au}
	cases := map[string]struct {
		why    string
		have   route.Choice
		number route.OwnNumber
		reason route.NumberChoiceReason
		code   errs.Code
	}{
		"explicit":           {"the person's own choice comes first (R080)", route.Choice{Explicit: us2.ID, Branches: []id.ID{sydney}, To: "+61400111222", Numbers: all}, us2, route.Explicit, ""},
		"branch and country": {"the branch's number has the destination's country (R081, R082)", route.Choice{Branches: []id.ID{austin}, To: "+12125550199", Numbers: all}, us1, route.BranchAndCountry, ""},
		"country":            {"an Australian branch calls the US: a US customer sees a US number (R082)", route.Choice{Branches: []id.ID{sydney}, To: "+12125550199", Numbers: []route.OwnNumber{au, us2}}, us2, route.SameCountry, ""},
		"branch":             {"no number of that country: the branch's (R081)", route.Choice{Branches: []id.ID{austin}, To: "+4930123456", Numbers: all}, us1, route.OwnBranch, ""},
		"default":            {"nothing else fits (R084)", route.Choice{To: "+4930123456", Numbers: all}, au, route.DefaultNumber, ""},
		"second branch":      {"a person of several branches: the one that has such a number", route.Choice{Branches: []id.ID{sydney, austin}, To: "+12125550199", Numbers: all}, us1, route.BranchAndCountry, ""},
		"unknown choice":     {"a number that is disabled or not for this purpose is refused", route.Choice{Explicit: id.New(id.PhoneNumber), To: "+12125550199", Numbers: all}, route.OwnNumber{}, "", errs.Invalid},
		"none":               {"nothing to choose from", route.Choice{To: "+12125550199"}, route.OwnNumber{}, "", errs.Conflict},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := route.ChooseNumber(c.have)
			if errs.CodeOf(err) != c.code {
				t.Fatalf("%s: error %v, want %q", c.why, err, c.code)
			}
			if got.Number != c.number || got.Reason != c.reason {
				t.Errorf("%s: %s because %s, want %s because %s", c.why, got.Number.E164, got.Reason, c.number.E164, c.reason)
			}
		})
	}
}
