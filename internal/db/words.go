package db

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"switchboard/internal/errs"
)

const (
	shortestSearch, longestSearch = 2, 200
	// maxWords bounds what one search asks of an index.
	maxWords = 16
)

// Words makes what people type into queries of PostgreSQL's text search: for all of
// the words and for any of them, the last one as a beginning. Nothing that was typed
// is syntax: each word is a quoted string, cut into parts as the texts were. Code:
// errs.Invalid at the field.
func Words(typed string, field ...string) (all, any string, err error) {
	typed = strings.TrimSpace(typed)
	if n := utf8.RuneCountInString(typed); n < shortestSearch || n > longestSearch || !utf8.ValidString(typed) || strings.ContainsRune(typed, 0) {
		return "", "", errs.New(errs.Invalid, "search for %d to %d characters", shortestSearch, longestSearch).At(field...)
	}
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `''`)
	var words []string
	for _, w := range strings.Fields(typed) {
		if strings.ContainsFunc(w, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
			words = append(words, "'"+quoted.Replace(w)+"'")
		}
	}
	if len(words) == 0 {
		return "", "", errs.New(errs.Invalid, "there is no word to search for; write letters or digits").At(field...)
	}
	words = words[:min(len(words), maxWords)]
	return strings.Join(words, " & ") + ":*", strings.Join(words, " | ") + ":*", nil
}
