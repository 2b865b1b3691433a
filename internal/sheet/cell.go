package sheet

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxRows is how many rows a workbook's sheet holds below its headings.
const MaxRows = 1<<20 - 1

// MaxText is the longest text that a cell of a workbook holds, in UTF-16 units.
const MaxText = 32767

type kind byte

const (
	empty kind = iota
	text
	number
	moment
	truth
)

// Cell is one value of a row to write. The zero Cell is an empty one.
type Cell struct {
	kind   kind
	text   string // of a text, or the digits of a number
	number int64
	time   time.Time
}

// Text is a cell that shows s and is never a formula, whatever s begins with.
// Control characters are dropped, but for line ends.
func Text(s string) Cell {
	if s == "" {
		return Cell{}
	}
	return Cell{kind: text, text: s}
}

// Int is a number.
func Int(n int64) Cell { return Cell{kind: number, number: n} }

// Micros is an amount of money given in millionths.
func Micros(n int64) Cell {
	s := []byte{}
	if n < 0 {
		s = append(s, '-')
	}
	whole, rest := n/1e6, n%1e6
	if rest < 0 {
		whole, rest = -whole, -rest
	} else if whole < 0 {
		whole = -whole
	}
	s = appendInt(s, whole)
	digits := strings.TrimRight(pad6(rest), "0")
	if len(digits) < 2 {
		digits = (digits + "00")[:2]
	}
	return Cell{kind: number, text: string(s) + "." + digits}
}

// Time is a moment, shown in the writer's time zone to the second. The zero time is an empty cell.
func Time(t time.Time) Cell {
	if t.IsZero() {
		return Cell{}
	}
	return Cell{kind: moment, time: t}
}

// Bool is yes or no.
func Bool(b bool) Cell {
	if b {
		return Cell{kind: truth, number: 1}
	}
	return Cell{kind: truth}
}

// Writer writes rows. Whoever made it calls Close, which ends the file but not
// what it is written to.
type Writer interface {
	Row(cells []Cell) error
	Close() error
}

// Defuse makes a text harmless for programs that take the text of a CSV cell for a
// formula when it begins with = + - @ or their wide forms, also after spaces,
// quotes and what cannot be seen: an apostrophe is put before it. The same goes for
// what follows a comma, semicolon, tab, bar or line end within the text, because a
// program that expects another delimiter than ours cuts there. Undefuse undoes it.
func Defuse(s string) string {
	if !strings.ContainsFunc(s, starts) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		end := strings.IndexFunc(s, cuts)
		piece, rest := s, ""
		if end >= 0 {
			_, n := utf8.DecodeRuneInString(s[end:])
			piece, rest = s[:end+n], s[end+n:]
		}
		if Dangerous(piece) {
			b.WriteByte('\'')
		}
		b.WriteString(piece)
		s = rest
	}
	return b.String()
}

// Undefuse takes away the apostrophes of Defuse, for files of ours that come back.
func Undefuse(s string) string {
	if !strings.ContainsRune(s, '\'') {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		end := strings.IndexFunc(s, cuts)
		piece, rest := s, ""
		if end >= 0 {
			_, n := utf8.DecodeRuneInString(s[end:])
			piece, rest = s[:end+n], s[end+n:]
		}
		if piece[0] == '\'' && Dangerous(piece[1:]) {
			piece = piece[1:]
		}
		b.WriteString(piece)
		s = rest
	}
	return b.String()
}

// Dangerous reports whether a program may take the text for a formula.
func Dangerous(s string) bool {
	for _, c := range s {
		switch {
		case starts(c):
			return true
		case c == '"' || c == '\'' || c == '`' || unseen(c):
		default:
			return false
		}
	}
	return false
}

// starts reports whether a formula may begin with c.
func starts(c rune) bool {
	switch c {
	case '=', '+', '-', '@', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫', '−', '‐', '‑', '⁼', '⁺', '⁻':
		return true
	}
	return false
}

// cuts reports whether some program may take c for the end of a cell.
func cuts(c rune) bool {
	switch c {
	case ',', ';', '\t', '|', '\n', '\r', '，', '；', '\u2028', '\u2029', '\u0085':
		return true
	}
	return false
}

// unseen are spaces, and what has no width.
func unseen(c rune) bool {
	return unicode.IsSpace(c) || unicode.Is(unicode.Cc, c) || unicode.Is(unicode.Cf, c) || unicode.Is(unicode.Mn, c) || c == '\u3164' || c == '\uffa0' || c == '\u115f' || c == '\u1160'
}

// clean drops control characters but for line ends, makes a tab a space, and mends
// what is no UTF-8 or has no place in XML.
func clean(s string) string {
	ok := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\n' || c >= 0x7f {
			ok = false
			break
		}
	}
	if ok {
		return s
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\t':
			return ' '
		case c == '\n':
			return c
		case c == '\r', c == '\u2028', c == '\u2029', c == '\u0085':
			return '\n'
		case unicode.Is(unicode.Cc, c), c >= 0xfdd0 && c <= 0xfdef, c&0xfffe == 0xfffe:
			return -1
		case c >= '\u202a' && c <= '\u202e', c >= '\u2066' && c <= '\u2069': // they turn what follows around
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

func appendInt(b []byte, n int64) []byte {
	var tmp [20]byte
	i := len(tmp)
	for {
		i--
		tmp[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return append(b, tmp[i:]...)
		}
	}
}

func pad6(n int64) string {
	s := string(appendInt(nil, n))
	return "000000"[:6-len(s)] + s
}
