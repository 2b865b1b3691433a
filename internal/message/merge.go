package message

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"switchboard/internal/errs"
)

const (
	maxPlaceholders = 50
	maxValueRunes   = 300
	maxPath         = 80
)

// Field is one placeholder of a template: {{contact.firstName|there}} or
// {{record.startsAt:date}}.
type Field struct {
	Path        string
	Format      string // "", "date", "time", "datetime"
	Fallback    string // what stands there without a value
	HasFallback bool   // an empty fallback is one too
	Position    int    // of its first brace, counted in characters from 1
}

// Template is a text with placeholders (R161, R163).
type Template struct {
	text  string
	parts []piece
}

// piece is a stretch of text, or a placeholder.
type piece struct {
	literal string
	field   *Field
}

// Text is the template as it was written.
func (t *Template) Text() string { return t.text }

// Fields are the placeholders in their order.
func (t *Template) Fields() []Field {
	out := []Field{}
	for _, p := range t.parts {
		if p.field != nil {
			out = append(out, *p.field)
		}
	}
	return out
}

// Parse reads a template. {{{{ stands for two braces. The error says at which
// character it goes wrong and what to do.
func Parse(text string) (*Template, error) {
	switch n := utf8.RuneCountInString(text); {
	case strings.TrimSpace(text) == "":
		return nil, errs.New(errs.Invalid, "the text is empty; write what the message should say")
	case n > MaxBody:
		return nil, errs.New(errs.Invalid, "the text has %d characters; %d is the most", n, MaxBody)
	case !utf8.ValidString(text):
		return nil, errs.New(errs.Invalid, "the text contains bytes that are no characters (UTF-8); write it anew")
	}
	t := &Template{text: text}
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			t.parts = append(t.parts, piece{literal: clean(literal.String())})
			literal.Reset()
		}
	}
	fields := 0
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "{{")
		literal.WriteString(before)
		if !found {
			break
		}
		if strings.HasPrefix(after, "{{") {
			literal.WriteString("{{")
			rest = after[2:]
			continue
		}
		position := utf8.RuneCountInString(text[:len(text)-len(after)]) - 1
		inner, next, closed := strings.Cut(after, "}}")
		if !closed || strings.Contains(inner, "{{") {
			return nil, errs.New(errs.Invalid, "the placeholder at character %d is not closed; end it with }} or write {{{{ for two braces", position)
		}
		if fields++; fields > maxPlaceholders {
			return nil, errs.New(errs.Invalid, "the text has more than %d placeholders, the next at character %d; leave some out", maxPlaceholders, position)
		}
		f, err := parseField(inner, position)
		if err != nil {
			return nil, err
		}
		flush()
		t.parts = append(t.parts, piece{field: &f})
		rest = next
	}
	flush()
	return t, nil
}

// parseField reads what stands between the braces.
func parseField(inner string, position int) (Field, error) {
	path, fallback, has := strings.Cut(inner, "|")
	path, format, formatted := strings.Cut(path, ":")
	f := Field{Path: strings.TrimSpace(path), Format: strings.ToLower(strings.TrimSpace(format)),
		Fallback: clean(strings.TrimSpace(fallback)), HasFallback: has, Position: position}
	wrong := func(format string, args ...any) (Field, error) {
		return f, errs.New(errs.Invalid, "the placeholder at character %d "+format, append([]any{position}, args...)...)
	}
	switch {
	case f.Path == "":
		return wrong("is empty; name a field, such as {{contact.firstName}}")
	case len(f.Path) > maxPath:
		return wrong("is too long; name a field, such as {{contact.firstName}}")
	case strings.ContainsFunc(f.Path, func(r rune) bool { return !nameRune(r) && r != '.' }):
		return wrong("has a character that names do not have in %q; write it such as {{contact.firstName|there}}", quoted(f.Path))
	case !strings.Contains(f.Path, ".") || strings.HasPrefix(f.Path, ".") || strings.HasSuffix(f.Path, ".") || strings.Contains(f.Path, ".."):
		return wrong("says %q, which is no field; write what it belongs to, a dot and the name, such as {{contact.firstName}}", quoted(f.Path))
	}
	switch f.Format {
	case "date", "time", "datetime":
	case "":
		if formatted {
			return wrong("has no format after the colon; write :date, :time or :datetime, or leave the colon out")
		}
	default:
		return wrong("has the unknown format %q; there are :date, :time and :datetime", quoted(f.Format))
	}
	return f, nil
}

func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}

// quoted keeps what an error repeats short.
func quoted(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

// Check lists the fields of a template that a set does not have, with the one
// that was probably meant, and formats that do not fit.
func (t *Template) Check(set FieldSet) []Problem {
	var out []Problem
	seen := map[string]bool{}
	say := func(f Field, format string, args ...any) {
		m := fmt.Sprintf("{{%s}} at character %d ", quoted(f.Path), f.Position) + fmt.Sprintf(format, args...)
		out = append(out, Problem{Subject: f.Path, Message: m})
	}
	for _, f := range t.Fields() {
		if key := f.Path + ":" + f.Format; seen[key] {
			continue
		} else {
			seen[key] = true
		}
		info, known := set.Find(f.Path)
		switch {
		case known && f.Format != "" && info.Type != FieldTime && info.Type != FieldAny:
			say(f, "is no time; leave :%s out", f.Format)
		case known:
		case hasField(f.Path):
			say(f, "does not exist here: %s", set.instead(f.Path))
		default:
			if near := set.nearest(f.Path); near != "" {
				say(f, "is unknown; did you mean {{%s}}?", near)
			} else {
				say(f, "is unknown; choose a field of the list")
			}
		}
	}
	return out
}

// Values are what goes into a template, by path. A value is a string, a
// time.Time, a Money, a number or a bool; nil, an empty text and a zero time are
// none.
type Values map[string]any

// Missing is a placeholder that has neither a value nor a fallback. A message
// with one is not sent.
type Missing struct {
	Path     string
	Position int
}

// Expand puts values into the template, times in the zone (nil is UTC), and lists
// what was missing. A value is put in as it is and never read as a template, so
// nobody writes placeholders into their own name; what cannot be printed is left
// out of it, and 300 characters are the most. The result may be longer than a
// message can be.
func (t *Template) Expand(v Values, zone *time.Location) (string, []Missing) {
	if zone == nil {
		zone = time.UTC
	}
	var b strings.Builder
	var missing []Missing
	for _, p := range t.parts {
		if p.field == nil {
			b.WriteString(p.literal)
			continue
		}
		s := cut(strings.TrimSpace(clean(written(v[p.field.Path], p.field, zone))))
		switch {
		case s != "":
			b.WriteString(s)
		case p.field.HasFallback:
			b.WriteString(p.field.Fallback)
		default:
			missing = append(missing, Missing{p.field.Path, p.field.Position})
		}
	}
	return b.String(), missing
}

// The way times are written: readable in every country, and no day is taken for
// a month.
const (
	dateLayout     = "Mon 2 Jan 2006"
	timeLayout     = "15:04"
	dateTimeLayout = dateLayout + " " + timeLayout
)

var layouts = map[string]string{"date": dateLayout, "time": timeLayout, "datetime": dateTimeLayout}

// written is a value as text; "" when it is none.
func written(v any, f *Field, zone *time.Location) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		if f.Format != "" {
			if t, ok := readTime(x, zone); ok {
				return writtenTime(t, f, zone)
			}
		}
		return x
	case *string:
		if x == nil {
			return ""
		}
		return written(*x, f, zone)
	case time.Time:
		return writtenTime(x, f, zone)
	case *time.Time:
		if x == nil {
			return ""
		}
		return writtenTime(*x, f, zone)
	case Money:
		return x.String()
	case *Money:
		if x == nil {
			return ""
		}
		return x.String()
	case bool:
		if x {
			return "yes"
		}
		return "no"
	case float64:
		return decimal(x)
	case int, int32, int64, fmt.Stringer:
		return fmt.Sprint(x)
	}
	return "" // a list or an object of record.data
}

// decimal writes a number of JSON without an exponent where people expect none.
func decimal(x float64) string {
	s := fmt.Sprintf("%.6f", x)
	if len(s) > 32 {
		return fmt.Sprint(x)
	}
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}

func writtenTime(t time.Time, f *Field, zone *time.Location) string {
	if t.IsZero() {
		return ""
	}
	layout, ok := layouts[f.Format]
	if !ok {
		layout = layouts[defaultFormat(f.Path)]
	}
	return t.In(zone).Format(layout)
}

// readTime reads the times that record.data holds as text. A day has no zone.
func readTime(s string, zone *time.Location) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, true
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// clean leaves out what a phone cannot show or what turns a text around:
// control characters but the new line, and the marks of text direction.
func clean(s string) string {
	if strings.Contains(s, "\r") {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case r == utf8.RuneError, unicode.IsControl(r), r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
			return -1
		}
		return r
	}, s)
}

// cut ends a value after 300 characters.
func cut(s string) string { return cutTo(s, maxValueRunes) }

// cutTo ends a text after so many characters.
func cutTo(s string, most int) string {
	n := 0
	for i := range s {
		if n == most {
			return s[:i]
		}
		n++
	}
	return s
}
