package access_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"switchboard/internal/access"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// R234, R235: whatever the role and whatever is switched, an option takes away and never gives.
func TestOptionsOnlyNarrow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		who := access.Actor{OrganizationID: id.New(id.Organization), UserID: id.New(id.User), IsFieldworker: true,
			Permissions: access.SetOf(rapid.SliceOfDistinct(rapid.SampledFrom(access.All), rapid.ID).Draw(t, "permissions")...),
			Visibility:  rapid.SampledFrom([]access.Visibility{access.SeesOwn, access.SeesBranch, access.SeesOrganization}).Draw(t, "visibility")}
		for _, r := range access.FieldworkerOptions {
			if rapid.Bool().Draw(t, string(r.Option)) {
				who.Switched = append(who.Switched, r.Option)
			}
		}
		without := who
		without.IsFieldworker = false
		for _, p := range access.All {
			if who.Can(p) && !without.Can(p) {
				t.Fatalf("options give %s", p)
			}
			if option := who.Withheld(p); without.Can(p) && !who.Can(p) && option == "" {
				t.Fatalf("%s is taken away by no option", p)
			}
		}
		if without.SeesOwnContacts() && !who.SeesOwnContacts() {
			t.Fatal("options widen the customer base")
		}
		if without.HidesContactDetails() || without.RestrictedBeforeStart() || !without.MayCallAdmins() || !without.MayNotifyOnTheWay() {
			t.Fatal("options narrow somebody who is no fieldworker")
		}
	})
}

// The same for each option alone, of every built-in role, of one without a permission each, and of one with none.
func TestEveryOptionNarrowsEveryRole(t *testing.T) {
	t.Parallel()
	roles := map[string][]access.Permission{"none": nil}
	for _, p := range access.All {
		roles["without "+string(p)] = slices.DeleteFunc(slices.Clone(access.All), func(x access.Permission) bool { return x == p })
	}
	for _, b := range []access.BuiltInRole{access.Admin, access.Dispatcher, access.Office, access.Sales, access.Fieldworker} {
		roles[string(b)] = access.BuiltIn(b).Permissions
	}
	for name, permissions := range roles {
		for _, r := range access.FieldworkerOptions {
			who := access.Actor{OrganizationID: id.New(id.Organization), IsFieldworker: true, Permissions: access.SetOf(permissions...), Visibility: access.SeesOrganization}
			wide, err := access.SwitchOptions(nil, allWide())
			if err != nil {
				t.Fatal(err)
			}
			who.Switched = wide
			if got := who.Effective().List(); !slices.Equal(got, who.Permissions.List()) {
				t.Errorf("%s: with every option at its widest, %v is left of %v", name, got, who.Permissions.List())
			}
			if who.Switched, err = access.SwitchOptions(wide, []access.Switch{{Option: r.Option, IsOn: r.NarrowsWhenOn}}); err != nil {
				t.Fatal(err)
			}
			for _, p := range permissions {
				if took := slices.Contains(r.Withholds, p); took == who.Can(p) {
					t.Errorf("%s with %s narrowed: may %s: %v", name, r.Option, p, who.Can(p))
				}
			}
		}
	}
}

// allWide switches every option to where it narrows nothing.
func allWide() (out []access.Switch) {
	for _, r := range access.FieldworkerOptions {
		out = append(out, access.Switch{Option: r.Option, IsOn: !r.NarrowsWhenOn})
	}
	return out
}

func TestTheTableOfOptionsIsWhole(t *testing.T) {
	t.Parallel()
	seen := map[access.FieldworkerOption]bool{}
	for _, r := range access.FieldworkerOptions {
		if seen[r.Option] || r.Name == "" || r.Description == "" {
			t.Errorf("%s is there twice, or has no words", r.Option)
		}
		seen[r.Option] = true
		if len(r.Withholds) == 0 && r.CheckedBy == "" {
			t.Errorf("nothing checks %s", r.Option)
		}
		if len(r.Needs)+len(r.NeedsOneOf) == 0 {
			t.Errorf("%s presupposes nothing of the role, which is the master gate (R234)", r.Option)
		}
	}
	// R249: whoever is left a number to see, or has the way through the company closed, is warned about.
	for _, o := range []access.FieldworkerOption{access.DisplayContactDetails, access.WholeCustomerBase, access.CallCustomers, access.TwoWaySMS} {
		if r, _ := o.Rule(); !strings.Contains(r.Description, "shows their personal number") {
			t.Errorf("%s does not warn", o)
		}
	}
}

func TestARefusalNamesTheGate(t *testing.T) {
	t.Parallel()
	who := access.Actor{OrganizationID: id.New(id.Organization), IsFieldworker: true, Permissions: access.SetOf(access.SMSSend), Switched: []access.FieldworkerOption{access.TwoWaySMS}}
	if err := who.Require(access.SMSSend); !errs.IsCode(err, errs.Forbidden) || !strings.Contains(err.Error(), "TWO_WAY_SMS") {
		t.Errorf("the option takes it away: %v", err)
	}
	// R238: the role is asked first.
	who.Permissions, who.Switched = access.SetOf(), nil
	if err := who.Require(access.SMSSend); !errs.IsCode(err, errs.Forbidden) || !strings.Contains(err.Error(), "permission SMS_SEND") {
		t.Errorf("the role does not allow it: %v", err)
	}
}

func TestAnOptionSaysWhyItMeansNothing(t *testing.T) {
	t.Parallel()
	field := access.BuiltIn(access.Fieldworker)
	for name, tc := range map[string]struct {
		why         string
		fieldworker bool
		role        access.Role
		option      access.FieldworkerOption
		switched    []access.FieldworkerOption
		on, works   bool
		word        string
	}{
		"a fieldworker's SMS":       {"the role allows it", true, field, access.TwoWaySMS, nil, true, true, "allows it"},
		"switched off":              {"off is effective, too", true, field, access.TwoWaySMS, []access.FieldworkerOption{access.TwoWaySMS}, false, true, "is off"},
		"no role permission":        {"R238: the role is the master gate", true, access.Role{Name: "Silent"}, access.TwoWaySMS, nil, true, false, "SMS_SEND"},
		"invoices of fieldworkers":  {"R246: the role first", true, field, access.SendInvoiceBySMS, nil, true, false, "SMS_SEND_INVOICE"},
		"one of two is enough":      {"who may write but not call is restricted, too", true, access.Role{Permissions: []access.Permission{access.SMSSend}}, access.RestrictBeforeStart, nil, false, true, "is off"},
		"none of two":               {"there is nothing to restrict", true, access.Role{Name: "Deaf"}, access.RestrictBeforeStart, nil, false, false, "CALL_MAKE, SMS_SEND"},
		"sees only their own":       {"an option never widens the role's view", true, field, access.WholeCustomerBase, nil, true, false, "sees OWN only"},
		"somebody at the desk":      {"options are for fieldworkers", false, field, access.TwoWaySMS, nil, true, false, "this person is none"},
		"restricted by the default": {"nobody is restricted unless told", true, field, access.RestrictBeforeStart, nil, false, true, "is off"},
	} {
		t.Run(name, func(t *testing.T) {
			states := access.OptionStates(tc.fieldworker, &tc.role, tc.switched)
			i := slices.IndexFunc(states, func(s access.OptionState) bool { return s.Option == tc.option })
			s := states[i]
			if s.IsOn != tc.on || s.IsEffective != tc.works || !strings.Contains(s.Because, tc.word) {
				t.Errorf("%s: %+v", tc.why, s)
			}
		})
	}
}

func TestSwitchesAreKeptAgainstTheDefaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why      string
		switched []access.FieldworkerOption
		changes  []access.Switch
		want     []access.FieldworkerOption
		code     errs.Code
	}{
		"nothing":         {"nothing changes", nil, nil, []access.FieldworkerOption{}, ""},
		"off":             {"away from the default", nil, []access.Switch{{Option: access.CallAdmins}}, []access.FieldworkerOption{access.CallAdmins}, ""},
		"back":            {"the default is not kept", []access.FieldworkerOption{access.CallAdmins}, []access.Switch{{Option: access.CallAdmins, IsOn: true}}, []access.FieldworkerOption{}, ""},
		"others stay":     {"those left out keep", []access.FieldworkerOption{access.TwoWaySMS}, []access.Switch{{Option: access.RestrictBeforeStart, IsOn: true}}, []access.FieldworkerOption{access.RestrictBeforeStart, access.TwoWaySMS}, ""},
		"unknown":         {"a typing error must not pass", nil, []access.Switch{{Option: "FLY"}}, nil, errs.Invalid},
		"twice":           {"which of the two is meant?", nil, []access.Switch{{Option: access.CallAdmins}, {Option: access.CallAdmins, IsOn: true}}, nil, errs.Invalid},
		"a gone one goes": {"what the table no longer knows is dropped", []access.FieldworkerOption{"GONE"}, nil, []access.FieldworkerOption{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := access.SwitchOptions(tc.switched, tc.changes)
			if errs.CodeOf(err) != tc.code && err != nil || tc.code == "" && !slices.Equal(got, tc.want) || tc.code != "" && err == nil {
				t.Errorf("%s: %v, %v", tc.why, got, err)
			}
		})
	}
}

func TestWhatActsByItselfShedsNoOption(t *testing.T) { // R234
	t.Parallel()
	fay := access.Actor{OrganizationID: id.New(id.Organization), UserID: id.New(id.User), Permissions: access.SetOf(access.All...), Visibility: access.SeesOrganization, IsFieldworker: true}
	office := &access.Role{Permissions: []access.Permission{access.ContactView, access.CallMake, access.SMSSend, access.SMSView, access.CallInternal}, Visibility: access.SeesOrganization}
	reports := &access.Role{Permissions: []access.Permission{access.ReportView}, Visibility: access.SeesOrganization}
	if err := fay.Lends(office); err != nil {
		t.Errorf("with every option as it stands by default: %v", err)
	}
	for _, o := range []access.FieldworkerOption{access.DisplayContactDetails, access.RestrictBeforeStart, access.WholeCustomerBase, access.CallAdmins, access.CallCustomers, access.TwoWaySMS} {
		narrow := fay
		narrow.Switched = []access.FieldworkerOption{o}
		if err := narrow.Lends(office); !errs.IsCode(err, errs.Forbidden) {
			t.Errorf("%s switched: %v", o, err)
		}
		if err := narrow.Lends(reports); err != nil {
			t.Errorf("%s switched, and a role that it means nothing to: %v", o, err)
		}
		narrow.IsFieldworker = false
		if err := narrow.Lends(office); err != nil {
			t.Errorf("%s of somebody at the desk: %v", o, err)
		}
	}
}
