package db_test

import (
	"strings"
	"testing"

	"switchboard/internal/db"
	"switchboard/internal/errs"
)

func TestNothingTypedIsSyntaxOfASearch(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string][2]string{
		"roof":             {`'roof':*`, `'roof':*`},
		" new  roof ":      {`'new' & 'roof':*`, `'new' | 'roof':*`},
		`o'brien | \ !a:*`: {`'o''brien' & '!a:*':*`, `'o''brien' | '!a:*':*`},
		`a\b`:              {`'a\\b':*`, `'a\\b':*`},
	} {
		all, any, err := db.Words(typed, "text")
		if err != nil || all != want[0] || any != want[1] {
			t.Errorf("%q: %s and %s, %v", typed, all, any, err)
		}
	}
	for _, typed := range []string{"", " x ", "!!", "a\x00b", "\xff\xfe", strings.Repeat("x", 201)} {
		if _, _, err := db.Words(typed, "text"); !errs.IsCode(err, errs.Invalid) {
			t.Errorf("%q: %v", typed, err)
		}
	}
	if all, _, err := db.Words(strings.Repeat("ab ", 66)); err != nil || strings.Count(all, "&") != 15 {
		t.Errorf("many words become %s, %v", all, err)
	}
}
