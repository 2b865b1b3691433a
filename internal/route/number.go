package route

import (
	"cmp"
	"fmt"
	"slices"

	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// OwnNumber is a number of ours that may be shown or sent from.
type OwnNumber struct {
	ID        id.ID
	E164      phone.E164
	Country   string
	BranchID  id.ID
	IsDefault bool
}

// Choice is what the choice of a caller ID or sender looks at (D17). Numbers are
// those that are enabled and used for the purpose.
type Choice struct {
	Explicit       id.ID   // the person's own choice (R080); zero: none
	Branches       []id.ID // the person's branches, or the record's; the first counts most
	To             phone.E164
	ContactCountry string // breaks ties inside a shared calling code (D16)
	Numbers        []OwnNumber
}

// ChosenNumber is the number that a Choice came to, and why.
type ChosenNumber struct {
	Number OwnNumber
	Reason NumberChoiceReason
	Trace  []Trace
}

// ChooseNumber chooses the caller ID of a call or the sender of a message, in the
// order of D17: the explicit choice; the branch's number if it has the
// destination's country; another number of that country; the branch's number; the
// default. It returns errs.Invalid when the explicit choice is not among the
// numbers and errs.Conflict when there is nothing to choose from.
func ChooseNumber(c Choice) (ChosenNumber, error) {
	numbers := slices.Clone(c.Numbers)
	// The default before others, then by number: the same settings choose the same.
	slices.SortFunc(numbers, func(a, b OwnNumber) int {
		return cmp.Or(later(a.IsDefault, b.IsDefault), cmp.Compare(a.E164, b.E164), compareID(a.ID, b.ID))
	})
	country := phone.Country(c.To, c.ContactCountry)
	var out ChosenNumber
	pick := func(reason NumberChoiceReason, none string, fits func(OwnNumber) bool) bool {
		i := slices.IndexFunc(numbers, fits)
		if i < 0 {
			out.Trace = append(out.Trace, Trace{Rule: "NUMBER_" + string(reason), Verdict: NotApplicable, Detail: none})
			return false
		}
		out.Number, out.Reason = numbers[i], reason
		out.Trace = append(out.Trace, Trace{Rule: "NUMBER_" + string(reason), Verdict: Chosen, Detail: fmt.Sprintf("%s is taken", phone.Mask(numbers[i].E164))})
		return true
	}
	if !c.Explicit.IsZero() {
		if !pick(Explicit, "", func(n OwnNumber) bool { return n.ID == c.Explicit }) {
			return ChosenNumber{}, errs.New(errs.Invalid, "this number cannot be used here; choose one that is enabled and used for this purpose").At("phoneNumberId")
		}
		return out, nil
	}
	where := country
	if where == "" {
		where = "the destination's country"
	}
	ofBranch := func(branch id.ID, countries bool) func(OwnNumber) bool {
		return func(n OwnNumber) bool {
			return n.BranchID == branch && (!countries || country != "" && n.Country == country)
		}
	}
	for _, b := range c.Branches {
		if !b.IsZero() && pick(BranchAndCountry, "the branch has no number of "+where, ofBranch(b, true)) {
			return out, nil
		}
	}
	if pick(SameCountry, "there is no number of "+where, func(n OwnNumber) bool { return country != "" && n.Country == country }) {
		return out, nil
	}
	for _, b := range c.Branches {
		if !b.IsZero() && pick(OwnBranch, "the branch has no number", ofBranch(b, false)) {
			return out, nil
		}
	}
	if pick(DefaultNumber, "there is no default number", func(n OwnNumber) bool { return n.IsDefault }) {
		return out, nil
	}
	return ChosenNumber{}, errs.New(errs.Conflict, "no number of yours fits this destination and there is no default number; choose a number or set a default").At("phoneNumberId")
}
