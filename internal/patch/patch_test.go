package patch_test

import (
	"testing"

	"switchboard/internal/patch"
)

func TestAbsenceKeepsAndNullClears(t *testing.T) {
	t.Parallel()
	old := "old"
	for why, c := range map[string]struct {
		field patch.Field[string]
		plain string
		ptr   *string
		has   bool
	}{
		"absent":               {patch.Field[string]{}, "old", &old, false},
		"null":                 {patch.Clear[string](), "", nil, false},
		"value":                {patch.To("new"), "new", ptr("new"), true},
		"a pointer to nothing": {patch.From[string](true, nil), "", nil, false},
		"a pointer":            {patch.From(true, ptr("new")), "new", ptr("new"), true},
		"not mentioned":        {patch.From(false, ptr("new")), "old", &old, false},
	} {
		plain, p := "old", &old
		c.field.Apply(&plain)
		c.field.ApplyPtr(&p)
		if plain != c.plain || (p == nil) != (c.ptr == nil) || p != nil && *p != *c.ptr || c.field.Has() != c.has {
			t.Errorf("%s: %q %v", why, plain, p)
		}
	}
}

func ptr(s string) *string { return &s }
