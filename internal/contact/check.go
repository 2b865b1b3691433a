package contact

import (
	"net/mail"
	"strings"
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

func checkTags(tags []string) ([]string, error) {
	if len(tags) > maxTags {
		return nil, errs.New(errs.Invalid, "a contact has %d tags at most", maxTags).At("tags")
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
		e, err := phone.Parse(p.Number, country)
		if err != nil {
			return nil, errs.New(errs.Invalid, "phone %d: %s", i+1, err).At("phones", "number")
		}
		if seen[e] {
			return nil, errs.New(errs.Invalid, "phone %d is there twice; enter each number once", i+1).At("phones", "number")
		}
		seen[e] = true
		label := strings.TrimSpace(p.Label)
		if label != "" {
			if label, err = checkText(label, maxWord, "phones", "label"); err != nil {
				return nil, err
			}
		}
		if p.IsPrimary {
			if primary >= 0 {
				return nil, errs.New(errs.Invalid, "only one phone can be the primary one").At("phones", "isPrimary")
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
