package access

import (
	"slices"
	"strings"

	"switchboard/internal/errs"
)

// FieldworkerOption is a switch of the second layer (R233). It narrows what the
// role allows to a fieldworker and never widens it (R234, R235).
type FieldworkerOption string

// The options. A new one is a constant here and a row in FieldworkerOptions (R248).
const (
	DisplayContactDetails FieldworkerOption = "DISPLAY_CONTACT_DETAILS" // R241
	RestrictBeforeStart   FieldworkerOption = "RESTRICT_BEFORE_START"   // R242
	WholeCustomerBase     FieldworkerOption = "WHOLE_CUSTOMER_BASE"     // R243
	SendInvoiceBySMS      FieldworkerOption = "SEND_INVOICE_BY_SMS"     // R246
	NotifyOnTheWay        FieldworkerOption = "NOTIFY_ON_THE_WAY"       // R240
	CallCustomers         FieldworkerOption = "CALL_CUSTOMERS"          // R244
	CallAdmins            FieldworkerOption = "CALL_ADMINS"             // R245
	TwoWaySMS             FieldworkerOption = "TWO_WAY_SMS"             // R247
)

// OptionRule is one row of the table of options: all that the program knows about
// an option, besides the places named in CheckedBy.
type OptionRule struct {
	Option      FieldworkerOption
	Name        string
	Description string
	// Needs, NeedsOneOf and NeedsVisibility are what the role must allow before the
	// option means anything: all of the first, one of the second, and to see that far.
	Needs, NeedsOneOf []Permission
	NeedsVisibility   *Visibility
	IsOnByDefault     bool
	NarrowsWhenOn     bool
	// Withholds are the permissions that the option takes away altogether when it
	// narrows. Actor.Can and Actor.Require know no other place to ask.
	Withholds []Permission
	// CheckedBy is where an option is asked that takes no whole permission away.
	CheckedBy string
}

// The warning of R249, where a customer's number is left to see and where the way through the company is closed.
const (
	exposes = " shows their personal number, and such calls and messages are neither logged nor recorded nor masked."
	outside = " Beware: whoever sees a customer's number may use their own phone, which" + exposes
	instead = " Beware: switched off while contact details are shown, they may use their own phone instead, which" + exposes
)

// FieldworkerOptions is the table of options, in the order in which they are shown.
var FieldworkerOptions = []OptionRule{
	{Option: DisplayContactDetails, Name: "Show contact details",
		Description: "Fieldworkers see phone numbers, e-mail and addresses of customers at all times. Off: they see none anywhere, and call and write by the customer's name." + outside,
		Needs:       []Permission{ContactView}, IsOnByDefault: true,
		CheckedBy: "Actor.HidesContactDetails"},
	{Option: RestrictBeforeStart, Name: "Restrict communication before the booking",
		Description: "Fieldworkers do not call or write to a customer before the booking begins, except when the customer contacted you first within a day, they are on the way, or the record is a complaint.",
		NeedsOneOf:  []Permission{CallMake, SMSSend}, NarrowsWhenOn: true,
		CheckedBy: "call.TooEarly"},
	{Option: WholeCustomerBase, Name: "See the whole customer base",
		Description: "Fieldworkers see every customer that their role sees. Off: those they created, are assigned to, or have a record for." + outside,
		Needs:       []Permission{ContactView}, NeedsVisibility: new(SeesBranch), IsOnByDefault: true,
		CheckedBy: "Actor.SeesOwnContacts"},
	{Option: SendInvoiceBySMS, Name: "Send invoices by SMS",
		Description: "Fieldworkers send invoices to customers by SMS from the invoice.",
		Needs:       []Permission{SMSSend, SMSSendInvoice}, IsOnByDefault: true, Withholds: []Permission{SMSSendInvoice}},
	{Option: NotifyOnTheWay, Name: "Tell customers when on the way",
		Description: "Customers get an SMS with the time of arrival, and a link where there is one, when the fieldworker is on the way or late.",
		Needs:       []Permission{RecordEventAdd}, IsOnByDefault: true,
		CheckedBy: "contact.Service.AddEvent, automation"},
	{Option: CallCustomers, Name: "Call customers",
		Description: "Fieldworkers call customers through the company's number." + instead,
		Needs:       []Permission{CallMake}, IsOnByDefault: true, Withholds: []Permission{CallMake}},
	{Option: CallAdmins, Name: "Call administrators",
		Description: "Fieldworkers call administrators from the app.",
		Needs:       []Permission{CallInternal}, IsOnByDefault: true,
		CheckedBy: "call.Service.Start, call.Service.Transfer"},
	{Option: TwoWaySMS, Name: "Two-way SMS",
		Description: "Fieldworkers write to customers and read their answers in the app." + instead,
		Needs:       []Permission{SMSSend, SMSView}, IsOnByDefault: true, Withholds: []Permission{SMSSend, SMSView, SMSBulk, SMSRelink, SMSSendInvoice, SMSDelete}},
}

// Rule is the option's row; false when there is no such option.
func (o FieldworkerOption) Rule() (OptionRule, bool) {
	i := slices.IndexFunc(FieldworkerOptions, func(r OptionRule) bool { return r.Option == o })
	if i < 0 {
		return OptionRule{}, false
	}
	return FieldworkerOptions[i], true
}

// IsOn reports where the option stands for somebody who switched these away from
// their defaults.
func (r OptionRule) IsOn(switched []FieldworkerOption) bool {
	return r.IsOnByDefault != slices.Contains(switched, r.Option)
}

// narrows reports whether the option takes something away where it stands.
func (r OptionRule) narrows(switched []FieldworkerOption) bool {
	return r.IsOn(switched) == r.NarrowsWhenOn
}

// narrowedBy reports whether the option takes something from the actor: never from
// who is no fieldworker.
func (a Actor) narrowedBy(o FieldworkerOption) bool {
	if !a.IsFieldworker || a.System {
		return false
	}
	r, ok := o.Rule()
	return ok && r.narrows(a.Switched)
}

// withheld is the option that takes the permission from the actor's role; "" when none does.
func (a Actor) withheld(p Permission) FieldworkerOption {
	if !a.IsFieldworker || a.System {
		return ""
	}
	for i := range FieldworkerOptions {
		if r := &FieldworkerOptions[i]; slices.Contains(r.Withholds, p) && r.narrows(a.Switched) {
			return r.Option
		}
	}
	return ""
}

// Withheld is the option that takes from the actor a permission which the role
// allows; "" when none does, or when the role lacks it already (R234).
func (a Actor) Withheld(p Permission) FieldworkerOption {
	if !a.Permissions.Has(p) {
		return ""
	}
	return a.withheld(p)
}

// MaySQL is the SQL condition that the users u, whose roles are r, may do all of it:
// what Can says, for those who are looked for.
func MaySQL(u, r string, all ...Permission) string {
	words := make([]string, len(all))
	for i, p := range all {
		words[i] = string(p)
	}
	condition := r + ".permissions @> '{" + strings.Join(words, ",") + "}'"
	for _, o := range FieldworkerOptions {
		if !slices.ContainsFunc(all, func(p Permission) bool { return slices.Contains(o.Withholds, p) }) {
			continue
		}
		switched := "'" + string(o.Option) + "' = ANY (" + u + ".fieldworker_switched)"
		if o.IsOnByDefault == o.NarrowsWhenOn { // it narrows where it stands by default
			switched = "NOT " + switched
		}
		condition += " AND NOT (" + u + ".is_fieldworker AND " + switched + ")"
	}
	return "(" + condition + ")"
}

// Effective is what the actor may do: what the role allows, without what an option
// takes away.
func (a Actor) Effective() Set {
	out := make(Set, len(a.Permissions))
	for p := range a.Permissions {
		if a.Can(p) {
			out[p] = struct{}{}
		}
	}
	return out
}

// HidesContactDetails reports whether the actor sees no phone number, e-mail or
// address of any customer (R241): in no answer, error, export or notification.
func (a Actor) HidesContactDetails() bool { return a.narrowedBy(DisplayContactDetails) }

// RestrictedBeforeStart reports whether the actor waits for the booking to begin
// before reaching its customer (R242).
func (a Actor) RestrictedBeforeStart() bool { return a.narrowedBy(RestrictBeforeStart) }

// SeesOwnContacts reports whether the actor sees only contacts and records that are
// theirs, by the role's visibility or as a fieldworker without the whole base (R243).
func (a Actor) SeesOwnContacts() bool {
	return !a.System && (a.Visibility == SeesOwn || a.narrowedBy(WholeCustomerBase))
}

// MayNotifyOnTheWay reports whether customers are told when the actor is on the way
// or late (R240).
func (a Actor) MayNotifyOnTheWay() bool { return !a.narrowedBy(NotifyOnTheWay) }

// MayCallAdmins reports whether the actor may call those of the role ADMIN, as far
// as the options go (R245).
func (a Actor) MayCallAdmins() bool { return !a.narrowedBy(CallAdmins) }

// Refusal is the error that names an option (R235). Code: errs.Forbidden.
func Refusal(o FieldworkerOption) *errs.Error {
	r, _ := o.Rule()
	state := "off"
	if r.NarrowsWhenOn {
		state = "on"
	}
	return errs.New(errs.Forbidden, "the fieldworker option %s is %s for you; an administrator can switch it", o, state)
}

// OptionState is one option as it stands for one person.
type OptionState struct {
	Option      FieldworkerOption
	IsOn        bool
	IsEffective bool
	Because     string
}

// OptionStates is how every option stands for somebody of a role. The role decides
// first: what it denies, no option gives (R234).
func OptionStates(isFieldworker bool, role *Role, switched []FieldworkerOption) []OptionState {
	out := make([]OptionState, 0, len(FieldworkerOptions))
	for _, r := range FieldworkerOptions {
		s := OptionState{Option: r.Option, IsOn: r.IsOn(switched)}
		switch lacks := r.lacks(role); {
		case !isFieldworker:
			s.Because = "options narrow fieldworkers only, and this person is none"
		case lacks != "":
			s.Because = "the role " + role.Name + " " + lacks + ", and an option never gives what the role denies"
		default:
			s.IsEffective = true
			s.Because = "the role " + role.Name + " allows it, and the option is " + map[bool]string{true: "on", false: "off"}[s.IsOn]
		}
		out = append(out, s)
	}
	return out
}

// lacks says what the role does not allow that the option presupposes; "" when nothing.
func (r OptionRule) lacks(role *Role) string {
	for _, p := range r.Needs {
		if !role.Allows(p) {
			return "lacks the permission " + string(p)
		}
	}
	if len(r.NeedsOneOf) > 0 && !slices.ContainsFunc(r.NeedsOneOf, role.Allows) {
		words := make([]string, len(r.NeedsOneOf))
		for i, p := range r.NeedsOneOf {
			words[i] = string(p)
		}
		return "has none of the permissions " + strings.Join(words, ", ")
	}
	if v := r.NeedsVisibility; v != nil && !role.Visibility.Covers(*v) {
		return "sees " + string(role.Visibility) + " only"
	}
	return ""
}

// Switch is one option to switch.
type Switch struct {
	Option FieldworkerOption
	IsOn   bool
}

// SwitchOptions is what is switched after these changes: the options away from their
// defaults, in the order of the table. Code: errs.Invalid for an unknown option and
// for one that is named twice.
func SwitchOptions(switched []FieldworkerOption, changes []Switch) ([]FieldworkerOption, error) {
	on := map[FieldworkerOption]bool{}
	for _, r := range FieldworkerOptions {
		on[r.Option] = r.IsOn(switched)
	}
	named := map[FieldworkerOption]bool{}
	for _, c := range changes {
		if _, known := on[c.Option]; !known {
			return nil, errs.New(errs.Invalid, "there is no fieldworker option %q; the query fieldworkerOptions lists them", string(c.Option)).At("fieldworkerOptions")
		}
		if named[c.Option] {
			return nil, errs.New(errs.Invalid, "the option %s is named twice; name it once", c.Option).At("fieldworkerOptions")
		}
		named[c.Option], on[c.Option] = true, c.IsOn
	}
	out := []FieldworkerOption{}
	for _, r := range FieldworkerOptions {
		if on[r.Option] != r.IsOnByDefault {
			out = append(out, r.Option)
		}
	}
	return out, nil
}
