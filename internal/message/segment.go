package message

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Encoding is the alphabet that a message goes out in.
type Encoding string

// The alphabets (GSM 03.38; twilio: glossary/what-is-gsm-7-character-encoding,
// glossary/what-is-ucs-2-character-encoding).
const (
	GSM7 Encoding = "GSM7" // 160 septets in one part, 153 in each of several
	UCS2 Encoding = "UCS2" // 70 UTF-16 units in one part, 67 in each of several
)

// limits are what fits in a part that is alone, and in each of several: a part
// of several has a header of six octets.
func (e Encoding) limits() (alone, each int) {
	if e == GSM7 {
		return 160, 153
	}
	return 70, 67
}

// Size is what a text takes on the air (R156).
type Size struct {
	Encoding  Encoding
	Units     int // septets or UTF-16 units, all parts together
	Parts     int // at least one: an empty text is sent, and paid, as one
	Remaining int // units left in the last part
}

// gsm is how many septets the characters below U+0100 take, 0 for those that the
// alphabet does not have. Greek and the euro sign stand in septets.
var gsm = func() (t [256]uint8) {
	for _, r := range "@£$¥èéùìòÇ\nØø\rÅå_ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà" {
		t[r] = 1
	}
	for _, r := range "^{}\\[~]|\f" { // GSM 03.38 extension table: an escape goes before
		t[r] = 2
	}
	return t
}()

// septets is how many septets a character takes in GSM 03.38, 0 when the
// alphabet does not have it.
func septets(r rune) int {
	if r < 256 {
		return int(gsm[r])
	}
	switch r {
	case 'Δ', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ':
		return 1
	case '€':
		return 2
	}
	return 0
}

// utf16Units is how many UTF-16 units a character takes.
func utf16Units(r rune) int {
	if r > 0xFFFF {
		return 2
	}
	return 1
}

// Measure counts the parts of a text as the carriers do (R156). Neither an
// escape and its character nor the two halves of a surrogate pair are torn apart
// by the end of a part. A byte that is not UTF-8 counts as U+FFFD.
func Measure(body string) Size {
	if s, ok := measure(body, GSM7, septets); ok {
		return s
	}
	s, _ := measure(body, UCS2, utf16Units)
	return s
}

// measure is false when the alphabet does not have one of the characters.
func measure(body string, e Encoding, cost func(rune) int) (Size, bool) {
	alone, each := e.limits()
	total, parts, used := 0, 1, 0
	for _, r := range body {
		n := cost(r)
		if n == 0 {
			return Size{}, false
		}
		total += n
		if used+n > each {
			parts, used = parts+1, 0
		}
		used += n
	}
	if total <= alone {
		return Size{Encoding: e, Units: total, Parts: 1, Remaining: alone - total}, true
	}
	return Size{Encoding: e, Units: total, Parts: parts, Remaining: each - used}, true
}

const maxUnusual = 10

// Unusual lists the characters that force a text into UCS-2, where a part holds
// fewer than half as many: each once, ten at most, in their order, with what
// Plain writes instead where that is possible.
func Unusual(body string) []string {
	var out []string
	seen := map[rune]bool{}
	for i, r := range body {
		if septets(r) > 0 || seen[r] {
			continue
		}
		if len(out) == maxUnusual {
			break
		}
		seen[r] = true
		show := string(r)
		if r == utf8.RuneError || !unicode.IsGraphic(r) || unicode.IsSpace(r) || unicode.IsMark(r) {
			show = fmt.Sprintf("U+%04X", r)
		}
		plain, ok := plainFor[r]
		switch {
		case ok && plain == "":
			show += " → nothing"
		case ok && strings.TrimSpace(plain) == "":
			show += map[string]string{" ": " → space", "\n": " → new line"}[plain]
		case ok:
			show += " → " + plain
		default:
			if one := composed(body[:i], r); one != 0 {
				show += " → " + string(one) + " as one character"
			}
		}
		out = append(out, show)
	}
	return out
}

// Plain writes a text with the signs of GSM 03.38 for those that only look
// finer: quotes, dashes, dots, spaces, invisible marks. Letters and emoji stay as
// they are, so the result may still be UCS-2.
func Plain(body string) string {
	out := make([]byte, 0, len(body))
	for _, r := range body {
		if s, ok := plainFor[r]; ok {
			out = append(out, s...)
			continue
		}
		if one := composed(out, r); one != 0 {
			out, r = out[:len(out)-1], one
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}

// composed is the one character of GSM 03.38 that a combining mark makes of the
// letter before it; 0 when there is none. Texts from a Mac come in two pieces.
func composed[T string | []byte](before T, mark rune) rune {
	if mark < 0x0300 || mark > 0x036F || len(before) == 0 {
		return 0
	}
	return compositions[markedLetter{rune(before[len(before)-1]), mark}]
}

type markedLetter struct{ letter, mark rune }

var compositions = map[markedLetter]rune{
	{'a', 0x300}: 'à', {'e', 0x300}: 'è', {'i', 0x300}: 'ì', {'o', 0x300}: 'ò', {'u', 0x300}: 'ù',
	{'e', 0x301}: 'é', {'E', 0x301}: 'É', {'n', 0x303}: 'ñ', {'N', 0x303}: 'Ñ', {'C', 0x327}: 'Ç',
	{'a', 0x308}: 'ä', {'o', 0x308}: 'ö', {'u', 0x308}: 'ü', {'A', 0x308}: 'Ä', {'O', 0x308}: 'Ö', {'U', 0x308}: 'Ü',
	{'a', 0x30A}: 'å', {'A', 0x30A}: 'Å',
}

// plainFor is what Plain writes for a character. U+200C and U+200D are not in it:
// they carry meaning in Persian and hold emoji together.
var plainFor = func() map[rune]string {
	m := map[rune]string{}
	for to, from := range map[string]string{
		"'": "‘’‚‛′‹›ʹʼ`´ˈˊˋ", "\"": "“”„‟″«»〝〞", "-": "‐‑‒–—―−﹣－•‣·", "...": "…", "..": "‥", "/": "⁄∕÷", "x": "×", "*": "∗⁎", "~": "∼˜",
		"!": "！", "?": "？", "!!": "‼", "<": "〈", ">": "〉", "|": "¦", ",": "，", "->": "→", "<-": "←",
		" ":  "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
		"\n": "\v\u0085\u2028\u2029",
		"":   "\u00ad\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff",
		"TM": "™", "(R)": "®", "(c)": "©", "No.": "№", "1/2": "½", "1/4": "¼", "3/4": "¾", "1": "¹", "2": "²", "3": "³",
		"ff": "ﬀ", "fi": "ﬁ", "fl": "ﬂ", "ffi": "ﬃ", "ffl": "ﬄ",
	} {
		for _, r := range from {
			m[r] = to
		}
	}
	return m
}()
