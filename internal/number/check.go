package number

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
)

const (
	maxName       = 200
	maxUnit       = 100
	maxSpoken     = 3000 // characters that every voice speaks
	maxForwarding = 10
	maxNotified   = 100
	maxBranchers  = 1000
)

// checkText returns the text without space around it. Codes: errs.Required,
// errs.Invalid.
func checkText(s string, limit int, field ...string) (string, error) {
	s = strings.TrimSpace(s)
	what := field[len(field)-1]
	switch {
	case s == "":
		return "", errs.New(errs.Required, "enter the %s", what).At(field...)
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return "", errs.New(errs.Invalid, "the %s holds characters that cannot be stored; type it anew", what).At(field...)
	case utf8.RuneCountInString(s) > limit:
		return "", errs.New(errs.Invalid, "the %s is longer than %d characters", what, limit).At(field...)
	}
	return s, nil
}

// changeText applies a text that may be cleared; blank text clears.
func changeText(f patch.Field[string], dst **string, limit int, field ...string) error {
	if !f.Set {
		return nil
	}
	if f.Null || strings.TrimSpace(f.Value) == "" {
		*dst = nil
		return nil
	}
	s, err := checkText(f.Value, limit, field...)
	if err == nil {
		*dst = &s
	}
	return err
}

// need applies a value that is always there: null is refused.
func need[T any](f patch.Field[T], dst *T, field ...string) error {
	switch {
	case !f.Set:
		return nil
	case f.Null:
		return errs.New(errs.Required, "%s cannot be empty; leave it out to keep what it is", field[len(field)-1]).At(field...)
	}
	*dst = f.Value
	return nil
}

// choose applies one of some words.
func choose[T ~string](f patch.Field[T], dst *T, field string, words ...T) error {
	before := *dst
	if err := need(f, dst, "routing", field); err != nil || !f.Set {
		return err
	}
	for _, w := range words {
		if f.Value == w {
			return nil
		}
	}
	*dst = before
	return errs.New(errs.Invalid, "%q is not a choice of %s", string(f.Value), field).At("routing", field)
}

func seconds(n, least, most int, field ...string) error {
	if n < least || n > most {
		return errs.New(errs.Invalid, "%s is %d seconds; it lies between %d and %d", field[len(field)-1], n, least, most).At(field...)
	}
	return nil
}

// changeID applies an id of one kind, which may be cleared.
func changeID(f patch.Field[id.ID], dst *id.ID, kind id.Kind, field ...string) error {
	if !f.Set {
		return nil
	}
	if f.Has() && !f.Value.IsZero() {
		if err := f.Value.Want(kind); err != nil {
			return errs.New(errs.Invalid, "%s", err).At(field...)
		}
	}
	f.Apply(dst)
	return nil
}

// checkIDs returns the ids without repetition.
func checkIDs(ids []id.ID, kind id.Kind, limit int, field ...string) ([]id.ID, error) {
	if len(ids) > limit {
		return nil, errs.New(errs.LimitReached, "there are %d at most", limit).At(field...)
	}
	out := make([]id.ID, 0, len(ids))
	seen := make(map[id.ID]bool, len(ids))
	for _, x := range ids {
		if err := x.Want(kind); err != nil {
			return nil, errs.New(errs.Invalid, "%s", err).At(field...)
		}
		if !seen[x] {
			seen[x] = true
			out = append(out, x)
		}
	}
	return out, nil
}

func checkCountry(s string, field ...string) (string, error) {
	c := strings.ToUpper(strings.TrimSpace(s))
	if len(c) != 2 || phone.CallingCode(c) == 0 {
		return "", errs.New(errs.Invalid, "this is not a country; use its two letters, such as AU").At(field...)
	}
	return c, nil
}

func checkZone(s string) error {
	if s == "" || s == "Local" || len(s) > 64 {
		return errs.New(errs.Invalid, "this is no time zone; write it such as Australia/Sydney").At("timeZone")
	}
	if _, err := time.LoadLocation(s); err != nil {
		return errs.New(errs.Invalid, "this is no time zone; write it such as Australia/Sydney").At("timeZone")
	}
	return nil
}

var (
	voiceName    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,60}$`)
	languageCode = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$`)
)
