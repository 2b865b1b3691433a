package user

import (
	"context"
	"strings"
	"unicode/utf8"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/tenant"
)

const (
	maxPhones = 10
	maxLabel  = 40
)

// PhoneInput is a phone as a person gives it.
type PhoneInput struct {
	Label     string
	Number    string // as typed
	IsPrimary bool
}

// setPhones makes these all the phones of a user. One is primary (R288): the one
// that says so, else the first. A phone that stays keeps its id.
func (s *Service) setPhones(ctx context.Context, tx *db.Tx, u *User, in []PhoneInput) error {
	org, err := tenant.Read(ctx, tx)
	if err != nil {
		return err
	}
	want, err := readPhones(in, org.DefaultCountry)
	if err != nil {
		return err
	}
	for i := range want {
		want[i].OrganizationID, want[i].ID, want[i].UserID, want[i].CreatedAt = u.OrganizationID, id.New(id.UserPhone), u.ID, tx.Now
	}
	return replacePhones(ctx, tx, u.OrganizationID, u.ID, want)
}

// readPhones reads and checks numbers as typed (R037).
func readPhones(in []PhoneInput, country string) ([]*Phone, error) {
	if len(in) > maxPhones {
		return nil, errs.New(errs.LimitReached, "a person has %d phones at most", maxPhones).At("phones")
	}
	var out []*Phone
	primary := -1
	seen := map[phone.E164]bool{}
	for i, p := range in {
		e, err := phone.Parse(p.Number, country)
		if err != nil {
			return nil, errs.New(errs.Invalid, "%s", err).At("phones")
		}
		if k := phone.KindOf(e); k == phone.Premium || k == phone.SharedCost {
			return nil, errs.New(errs.Invalid, "%s costs extra to call; give an ordinary number", phone.Mask(e)).At("phones")
		}
		if seen[e] {
			return nil, errs.New(errs.Invalid, "the number %s is given twice", phone.Mask(e)).At("phones")
		}
		seen[e] = true
		label := strings.TrimSpace(p.Label)
		if !utf8.ValidString(label) || utf8.RuneCountInString(label) > maxLabel || strings.ContainsFunc(label, func(r rune) bool { return r < ' ' }) {
			return nil, errs.New(errs.Invalid, "a phone's label is a text of %d characters at most", maxLabel).At("phones")
		}
		if p.IsPrimary {
			if primary >= 0 {
				return nil, errs.New(errs.Invalid, "one phone alone can be the primary one").At("phones")
			}
			primary = i
		}
		out = append(out, &Phone{Label: label, E164: e})
	}
	if len(out) > 0 {
		out[max(primary, 0)].IsPrimary = true
	}
	return out, nil
}
