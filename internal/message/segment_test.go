package message_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"switchboard/internal/message"
)

func a(n int) string             { return strings.Repeat("a", n) }
func ж(n int) string             { return strings.Repeat("ж", n) }
func rep(s string, n int) string { return strings.Repeat(s, n) }

func gsm(units, parts, remaining int) message.Size {
	return message.Size{Encoding: message.GSM7, Units: units, Parts: parts, Remaining: remaining}
}

func ucs(units, parts, remaining int) message.Size {
	return message.Size{Encoding: message.UCS2, Units: units, Parts: parts, Remaining: remaining}
}

// sizes are worked out from the published rules: units, parts, units left in the
// last part (GSM 03.38; twilio: glossary/what-is-gsm-7-character-encoding).
var sizes = []struct {
	body string
	want message.Size
}{
	// plain GSM 03.38: 160 alone, 153 each
	{"", gsm(0, 1, 160)},
	{a(1), gsm(1, 1, 159)},
	{a(2), gsm(2, 1, 158)},
	{a(10), gsm(10, 1, 150)},
	{a(69), gsm(69, 1, 91)},
	{a(70), gsm(70, 1, 90)},
	{a(71), gsm(71, 1, 89)},
	{a(100), gsm(100, 1, 60)},
	{a(152), gsm(152, 1, 8)},
	{a(153), gsm(153, 1, 7)},
	{a(154), gsm(154, 1, 6)},
	{a(158), gsm(158, 1, 2)},
	{a(159), gsm(159, 1, 1)},
	{a(160), gsm(160, 1, 0)},
	{a(161), gsm(161, 2, 145)},
	{a(162), gsm(162, 2, 144)},
	{a(200), gsm(200, 2, 106)},
	{a(305), gsm(305, 2, 1)},
	{a(306), gsm(306, 2, 0)},
	{a(307), gsm(307, 3, 152)},
	{a(308), gsm(308, 3, 151)},
	{a(458), gsm(458, 3, 1)},
	{a(459), gsm(459, 3, 0)},
	{a(460), gsm(460, 4, 152)},
	{a(611), gsm(611, 4, 1)},
	{a(612), gsm(612, 4, 0)},
	{a(613), gsm(613, 5, 152)},
	{a(764), gsm(764, 5, 1)},
	{a(765), gsm(765, 5, 0)},
	{a(766), gsm(766, 6, 152)},
	{a(917), gsm(917, 6, 1)},
	{a(918), gsm(918, 6, 0)},
	{a(919), gsm(919, 7, 152)},
	{a(1070), gsm(1070, 7, 1)},
	{a(1071), gsm(1071, 7, 0)},
	{a(1072), gsm(1072, 8, 152)},
	{a(1376), gsm(1376, 9, 1)},
	{a(1377), gsm(1377, 9, 0)},
	{a(1378), gsm(1378, 10, 152)},
	{a(1529), gsm(1529, 10, 1)},
	{a(1530), gsm(1530, 10, 0)},
	{a(1531), gsm(1531, 11, 152)},
	{a(1599), gsm(1599, 11, 84)},
	{a(1600), gsm(1600, 11, 83)},
	// UCS-2: 70 alone, 67 each
	{ж(1), ucs(1, 1, 69)},
	{ж(2), ucs(2, 1, 68)},
	{ж(10), ucs(10, 1, 60)},
	{ж(66), ucs(66, 1, 4)},
	{ж(67), ucs(67, 1, 3)},
	{ж(68), ucs(68, 1, 2)},
	{ж(69), ucs(69, 1, 1)},
	{ж(70), ucs(70, 1, 0)},
	{ж(71), ucs(71, 2, 63)},
	{ж(72), ucs(72, 2, 62)},
	{ж(100), ucs(100, 2, 34)},
	{ж(133), ucs(133, 2, 1)},
	{ж(134), ucs(134, 2, 0)},
	{ж(135), ucs(135, 3, 66)},
	{ж(136), ucs(136, 3, 65)},
	{ж(200), ucs(200, 3, 1)},
	{ж(201), ucs(201, 3, 0)},
	{ж(202), ucs(202, 4, 66)},
	{ж(267), ucs(267, 4, 1)},
	{ж(268), ucs(268, 4, 0)},
	{ж(269), ucs(269, 5, 66)},
	{ж(334), ucs(334, 5, 1)},
	{ж(335), ucs(335, 5, 0)},
	{ж(336), ucs(336, 6, 66)},
	{ж(401), ucs(401, 6, 1)},
	{ж(402), ucs(402, 6, 0)},
	{ж(403), ucs(403, 7, 66)},
	{ж(468), ucs(468, 7, 1)},
	{ж(469), ucs(469, 7, 0)},
	{ж(470), ucs(470, 8, 66)},
	{ж(1599), ucs(1599, 24, 9)},
	{ж(1600), ucs(1600, 24, 8)},
	// the extension table costs an escape
	{"^", gsm(2, 1, 158)},
	{a(159) + "^", gsm(161, 2, 145)},
	{"{", gsm(2, 1, 158)},
	{a(159) + "{", gsm(161, 2, 145)},
	{"}", gsm(2, 1, 158)},
	{a(159) + "}", gsm(161, 2, 145)},
	{"\\", gsm(2, 1, 158)},
	{a(159) + "\\", gsm(161, 2, 145)},
	{"[", gsm(2, 1, 158)},
	{a(159) + "[", gsm(161, 2, 145)},
	{"~", gsm(2, 1, 158)},
	{a(159) + "~", gsm(161, 2, 145)},
	{"]", gsm(2, 1, 158)},
	{a(159) + "]", gsm(161, 2, 145)},
	{"|", gsm(2, 1, 158)},
	{a(159) + "|", gsm(161, 2, 145)},
	{"€", gsm(2, 1, 158)},
	{a(159) + "€", gsm(161, 2, 145)},
	{"\f", gsm(2, 1, 158)},
	{a(159) + "\f", gsm(161, 2, 145)},
	{rep("€", 1), gsm(2, 1, 158)},
	{rep("€", 2), gsm(4, 1, 156)},
	{rep("€", 79), gsm(158, 1, 2)},
	{rep("€", 80), gsm(160, 1, 0)},
	{rep("€", 81), gsm(162, 2, 143)},
	{rep("€", 82), gsm(164, 2, 141)},
	{rep("€", 152), gsm(304, 2, 1)},
	{rep("€", 153), gsm(306, 3, 151)},
	{rep("€", 154), gsm(308, 3, 149)},
	{rep("€", 155), gsm(310, 3, 147)},
	{rep("€", 228), gsm(456, 3, 1)},
	{rep("€", 229), gsm(458, 4, 151)},
	{rep("€", 230), gsm(460, 4, 149)},
	{a(158) + "€", gsm(160, 1, 0)},
	{a(157) + "€€", gsm(161, 2, 145)},
	{a(158) + "[" + a(1), gsm(161, 2, 145)},
	// an escape pair is not torn apart by the end of a part
	{a(150) + "€" + a(20), gsm(172, 2, 134)},
	{a(151) + "€" + a(20), gsm(173, 2, 133)},
	{a(152) + "€" + a(20), gsm(174, 2, 131)},
	{a(153) + "€" + a(20), gsm(175, 2, 131)},
	{a(154) + "€" + a(20), gsm(176, 2, 130)},
	{a(151) + "€" + a(152), gsm(305, 2, 1)},
	{a(151) + "€" + a(151), gsm(304, 2, 2)},
	{a(152) + "€" + a(152), gsm(306, 3, 152)},
	{a(152) + "€" + a(151), gsm(305, 2, 0)},
	{a(153) + "€" + a(152), gsm(307, 3, 152)},
	{a(153) + "€" + a(151), gsm(306, 2, 0)},
	{a(304) + "€", gsm(306, 2, 0)},
	{a(304) + "|" + a(1), gsm(307, 3, 152)},
	{a(305) + "€", gsm(307, 3, 151)},
	{a(305) + "|" + a(1), gsm(308, 3, 150)},
	{a(306) + "€", gsm(308, 3, 151)},
	{a(306) + "|" + a(1), gsm(309, 3, 150)},
	{a(152) + "€" + a(150) + "€" + a(10), gsm(316, 3, 141)},
	{a(152) + "€" + a(150) + "€€", gsm(308, 3, 149)},
	{a(152) + "{" + a(150) + "}" + a(152), gsm(458, 4, 152)},
	{a(1) + rep("€", 76) + a(1), gsm(154, 1, 6)},
	{a(1) + rep("€", 80), gsm(161, 2, 145)},
	{a(1) + rep("€", 152), gsm(305, 2, 1)},
	{a(1) + rep("€", 153), gsm(307, 3, 151)},
	{rep("a€", 51), gsm(153, 1, 7)},
	{rep("a€", 53), gsm(159, 1, 1)},
	{rep("a€", 54), gsm(162, 2, 144)},
	{rep("a€", 102), gsm(306, 2, 0)},
	{rep("a€", 103), gsm(309, 3, 150)},
	{a(152) + "\f" + a(152) + "\f", gsm(308, 3, 150)},
	// signs that are in the alphabet though they look unusual
	{"@", gsm(1, 1, 159)},
	{"£", gsm(1, 1, 159)},
	{"¥", gsm(1, 1, 159)},
	{"èéùìò", gsm(5, 1, 155)},
	{"Ç", gsm(1, 1, 159)},
	{"Øø", gsm(2, 1, 158)},
	{"Åå", gsm(2, 1, 158)},
	{"Δ", gsm(1, 1, 159)},
	{"ΦΓΛΩΠΨΣΘΞ", gsm(9, 1, 151)},
	{"ÆæßÉ", gsm(4, 1, 156)},
	{"¤", gsm(1, 1, 159)},
	{"¡¿", gsm(2, 1, 158)},
	{"ÄÖÑÜ§", gsm(5, 1, 155)},
	{"äöñüà", gsm(5, 1, 155)},
	{"\n", gsm(1, 1, 159)},
	{"\r", gsm(1, 1, 159)},
	{"\r\n", gsm(2, 1, 158)},
	{"_", gsm(1, 1, 159)},
	{rep("é", 160), gsm(160, 1, 0)},
	{rep("é", 161), gsm(161, 2, 145)},
	{rep("Δ", 160), gsm(160, 1, 0)},
	{rep("Ω", 307), gsm(307, 3, 152)},
	{rep("\n", 160), gsm(160, 1, 0)},
	{rep("\r\n", 80), gsm(160, 1, 0)},
	{rep("\r\n", 81), gsm(162, 2, 144)},
	{a(159) + "\n", gsm(160, 1, 0)},
	{a(160) + "\n", gsm(161, 2, 145)},
	// signs that are not, though they look usual
	{"ç", ucs(1, 1, 69)},
	{"`", ucs(1, 1, 69)},
	{"’", ucs(1, 1, 69)},
	{"‘", ucs(1, 1, 69)},
	{"“", ucs(1, 1, 69)},
	{"”", ucs(1, 1, 69)},
	{"–", ucs(1, 1, 69)},
	{"—", ucs(1, 1, 69)},
	{"…", ucs(1, 1, 69)},
	{"\u00a0", ucs(1, 1, 69)},
	{"\t", ucs(1, 1, 69)},
	{"\u200b", ucs(1, 1, 69)},
	{"á", ucs(1, 1, 69)},
	{"í", ucs(1, 1, 69)},
	{"ó", ucs(1, 1, 69)},
	{"ú", ucs(1, 1, 69)},
	{"Á", ucs(1, 1, 69)},
	{"È", ucs(1, 1, 69)},
	{"À", ucs(1, 1, 69)},
	{"ê", ucs(1, 1, 69)},
	{"ô", ucs(1, 1, 69)},
	{"õ", ucs(1, 1, 69)},
	{"ã", ucs(1, 1, 69)},
	{"ł", ucs(1, 1, 69)},
	{"ı", ucs(1, 1, 69)},
	{"ø\u0301", ucs(2, 1, 68)},
	{"Α", ucs(1, 1, 69)},
	{"α", ucs(1, 1, 69)},
	{"°", ucs(1, 1, 69)},
	{"´", ucs(1, 1, 69)},
	{"×", ucs(1, 1, 69)},
	{"½", ucs(1, 1, 69)},
	{"©", ucs(1, 1, 69)},
	{"\x00", ucs(1, 1, 69)},
	{"\x1b", ucs(1, 1, 69)},
	{"\x7f", ucs(1, 1, 69)},
	{a(69) + "’", ucs(70, 1, 0)},
	{a(70) + "’", ucs(71, 2, 63)},
	{a(69) + "ç", ucs(70, 1, 0)},
	{a(70) + "ç", ucs(71, 2, 63)},
	{a(69) + "`", ucs(70, 1, 0)},
	{a(70) + "`", ucs(71, 2, 63)},
	{a(69) + "\u00a0", ucs(70, 1, 0)},
	{a(70) + "\u00a0", ucs(71, 2, 63)},
	{a(69) + "\t", ucs(70, 1, 0)},
	{a(70) + "\t", ucs(71, 2, 63)},
	{a(159) + "’", ucs(160, 3, 41)},
	{a(133) + "’", ucs(134, 2, 0)},
	{a(134) + "’", ucs(135, 3, 66)},
	{"it’s " + a(155), ucs(160, 3, 41)},
	// in UCS-2 a sign of the extension table is one unit
	{"ж€", ucs(2, 1, 68)},
	{ж(69) + "€", ucs(70, 1, 0)},
	{ж(69) + "€€", ucs(71, 2, 63)},
	{ж(66) + "€" + ж(67), ucs(134, 2, 0)},
	{"ж" + rep("{", 69), ucs(70, 1, 0)},
	{"ж" + rep("{", 70), ucs(71, 2, 63)},
	// emoji are two units, and a pair is not torn apart
	{"😀", ucs(2, 1, 68)},
	{rep("😀", 35), ucs(70, 1, 0)},
	{rep("😀", 36), ucs(72, 2, 61)},
	{rep("😀", 66), ucs(132, 2, 1)},
	{rep("😀", 67), ucs(134, 3, 65)},
	{rep("😀", 99), ucs(198, 3, 1)},
	{rep("😀", 100), ucs(200, 4, 65)},
	{a(68) + "😀", ucs(70, 1, 0)},
	{a(69) + "😀", ucs(71, 2, 63)},
	{a(70) + "😀", ucs(72, 2, 62)},
	{ж(64) + "😀" + ж(10), ucs(76, 2, 58)},
	{ж(64) + "😀" + ж(66), ucs(132, 2, 2)},
	{ж(65) + "😀" + ж(10), ucs(77, 2, 57)},
	{ж(65) + "😀" + ж(66), ucs(133, 2, 1)},
	{ж(66) + "😀" + ж(10), ucs(78, 2, 55)},
	{ж(66) + "😀" + ж(66), ucs(134, 3, 66)},
	{ж(67) + "😀" + ж(10), ucs(79, 2, 55)},
	{ж(67) + "😀" + ж(66), ucs(135, 3, 66)},
	{ж(131) + "😀", ucs(133, 2, 1)},
	{ж(132) + "😀", ucs(134, 2, 0)},
	{ж(133) + "😀", ucs(135, 3, 65)},
	{ж(134) + "😀", ucs(136, 3, 65)},
	{ж(66) + "😀" + ж(64) + "😀" + ж(1), ucs(135, 3, 64)},
	{ж(66) + "😀" + ж(65), ucs(133, 2, 0)},
	{ж(66) + "😀" + ж(65) + "😀", ucs(135, 3, 65)},
	{ж(66) + "😀😀" + ж(63), ucs(133, 2, 0)},
	{"ж" + rep("😀", 33), ucs(67, 1, 3)},
	{"ж" + rep("😀", 34), ucs(69, 1, 1)},
	{"ж" + rep("😀", 35), ucs(71, 2, 63)},
	{"ж" + rep("😀", 66), ucs(133, 2, 1)},
	{"ж" + rep("😀", 67), ucs(135, 3, 65)},
	{a(158) + "😀", ucs(160, 3, 41)},
	{a(160) + "😀", ucs(162, 3, 39)},
	{"𝄞", ucs(2, 1, 68)},
	{ж(66) + "𝄞" + ж(5), ucs(73, 2, 60)},
	{"\U0010FFFF", ucs(2, 1, 68)},
	{"\uFFFF", ucs(1, 1, 69)},
	{"\uD7FF", ucs(1, 1, 69)},
	{"\uE000", ucs(1, 1, 69)},
	// sequences: joiners, selectors, flags and marks are characters of their own
	{"👍🏽", ucs(4, 1, 66)},
	{"❤️", ucs(2, 1, 68)},
	{"🇦🇺", ucs(4, 1, 66)},
	{"👨\u200d👩\u200d👧", ucs(8, 1, 62)},
	{rep("👨\u200d👩\u200d👧", 8), ucs(64, 1, 6)},
	{rep("👨\u200d👩\u200d👧", 9), ucs(72, 2, 62)},
	{rep("👨\u200d👩\u200d👧", 16), ucs(128, 2, 6)},
	{rep("👨\u200d👩\u200d👧", 17), ucs(136, 3, 65)},
	{ж(60) + "👨\u200d👩\u200d👧" + ж(2), ucs(70, 1, 0)},
	{ж(61) + "👨\u200d👩\u200d👧" + ж(60), ucs(129, 2, 5)},
	{ж(62) + "👨\u200d👩\u200d👧" + ж(60), ucs(130, 2, 4)},
	{ж(66) + "👨\u200d👩\u200d👧" + ж(60), ucs(134, 3, 66)},
	{"e\u0301", ucs(2, 1, 68)},
	{rep("e\u0301", 35), ucs(70, 1, 0)},
	{rep("e\u0301", 36), ucs(72, 2, 62)},
	{"1\ufe0f\u20e3", ucs(3, 1, 67)},
	{rep("🇦🇺", 17), ucs(68, 1, 2)},
	{rep("🇦🇺", 18), ucs(72, 2, 61)},
	{ж(65) + "🇦🇺" + ж(1), ucs(70, 1, 0)},
	{ж(66) + "🇦🇺" + ж(1), ucs(71, 2, 62)},
	{"한국어", ucs(3, 1, 67)},
	{"日本語のテキスト", ucs(8, 1, 62)},
	{rep("字", 70), ucs(70, 1, 0)},
	{rep("字", 71), ucs(71, 2, 63)},
	{"مرحبا", ucs(5, 1, 65)},
	{"שלום", ucs(4, 1, 66)},
	{"Привет, Анна", ucs(12, 1, 58)},
	{"Grüße aus Köln", gsm(14, 1, 146)},
	{"Olá, João", ucs(9, 1, 61)},
	{"Zażółć gęślą jaźń", ucs(17, 1, 53)},
	{"Dvořák", ucs(6, 1, 64)},
	{"Señor Núñez", ucs(11, 1, 59)},
	// mixed
	{"Hi Ann, your booking is on Tue 24 Nov 2026 14:30.", gsm(49, 1, 111)},
	{"Price: 120 €", gsm(13, 1, 147)},
	{"[link] {id} ~ ok", gsm(21, 1, 139)},
	{"a\nb\nc", gsm(5, 1, 155)},
	{"Reply STOP to opt out", gsm(21, 1, 139)},
	{a(100) + "…" + a(60), ucs(161, 3, 40)},
	{a(100) + "..." + a(60), gsm(163, 2, 143)},
	{"C:\\path", gsm(8, 1, 152)},
	{"https://example.com/?a=1&b=[2]", gsm(32, 1, 128)},
	{ж(35) + a(35), ucs(70, 1, 0)},
	{ж(35) + a(36), ucs(71, 2, 63)},
	{"€" + a(158), gsm(160, 1, 0)},
	{"€" + a(159), gsm(161, 2, 145)},
	{a(76) + "€" + a(76) + "€" + a(76), gsm(232, 2, 74)},
	{"   ", gsm(3, 1, 157)},
	// bytes that are no UTF-8: each is U+FFFD
	{"\xff", ucs(1, 1, 69)},
	{"\xff\xfe", ucs(2, 1, 68)},
	{"a\xc3", ucs(2, 1, 68)},
	{"\xed\xa0\x80", ucs(3, 1, 67)}, // half a surrogate pair
	{"\xf0\x9f\x98", ucs(3, 1, 67)}, // an emoji cut short
	{a(69) + "\xff", ucs(70, 1, 0)},
	{a(70) + "\xff", ucs(71, 2, 63)},
	{"\ufffd", ucs(1, 1, 69)},
}

func TestPartsAreCountedByThePublishedRules(t *testing.T) { // R156
	t.Parallel()
	if len(sizes) < 200 {
		t.Errorf("only %d cases", len(sizes))
	}
	for _, c := range sizes {
		if got := message.Measure(c.body); got != c.want {
			t.Errorf("%.60q: got %+v, want %+v", c.body, got, c.want)
		}
	}
}

// table is GSM 03.38's default alphabet in its order, 16 to a line; \x1b is the
// escape to the extension table and no character.
const table = "@£$¥èéùìòÇ\nØø\rÅå" +
	"Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ" +
	" !\"#¤%&'()*+,-./" +
	"0123456789:;<=>?" +
	"¡ABCDEFGHIJKLMNO" +
	"PQRSTUVWXYZÄÖÑÜ§" +
	"¿abcdefghijklmno" +
	"pqrstuvwxyzäöñüà"

const extension = "\f^{}\\[~]|€"

func TestTheAlphabetIsExactlyGSM0338(t *testing.T) {
	t.Parallel()
	if n := len([]rune(table)); n != 128 {
		t.Fatalf("the table has %d places", n)
	}
	found := 0
	for r := rune(0); r < 0x11000; r++ {
		if r >= 0xD800 && r <= 0xDFFF {
			continue
		}
		want := message.UCS2
		switch {
		case r == 0x1b:
		case strings.ContainsRune(table, r), strings.ContainsRune(extension, r):
			want = message.GSM7
			found++
		}
		if got := message.Measure(string(r)).Encoding; got != want {
			t.Errorf("%U is %s, want %s", r, got, want)
		}
	}
	if found != 137 {
		t.Errorf("%d characters, want 127 and 10 of the extension table", found)
	}
}

// slow is a second count, written after the words of the rules: the text becomes
// a stream of units in which what belongs together carries the same number, and
// parts are cut off its front.
func slow(body string) message.Size {
	type unit struct{ character int }
	var stream []unit
	enc, alone, each := message.GSM7, 160, 153
	for i, r := range []rune(body) {
		switch {
		case r != 0x1b && strings.ContainsRune(table, r):
			stream = append(stream, unit{i})
		case strings.ContainsRune(extension, r):
			stream = append(stream, unit{i}, unit{i})
		default:
			enc = message.UCS2
		}
	}
	if enc == message.UCS2 {
		alone, each, stream = 70, 67, nil
		for i, r := range []rune(body) {
			for range utf16.Encode([]rune{r}) {
				stream = append(stream, unit{i})
			}
		}
	}
	s := message.Size{Encoding: enc, Units: len(stream), Parts: 1, Remaining: alone - len(stream)}
	if len(stream) <= alone {
		return s
	}
	for s.Parts = 1; len(stream) > each; s.Parts++ {
		end := each
		for stream[end].character == stream[end-1].character {
			end--
		}
		stream = stream[end:]
	}
	s.Remaining = each - len(stream)
	return s
}

func TestBothCountsAgreeOnAnyText(t *testing.T) {
	t.Parallel()
	signs := []rune(table + extension + "ж’…\u00a0`ç\u0301\u200d")
	emoji := []rune("😀👍🏽🇦🇺👨👩𝄞")
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.StringOfN(rapid.SampledFrom([]rune("aé€[|\n ")), 0, 700, -1).Draw(t, "plain")
		mixed := rapid.StringOfN(rapid.SampledFrom(append(signs, emoji...)), 0, 300, -1).Draw(t, "mixed")
		free := rapid.String().Draw(t, "free")
		bytes := string(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes"))
		for _, s := range []string{plain, mixed, free, bytes, plain + mixed} {
			if got, want := message.Measure(s), slow(s); got != want {
				t.Fatalf("%q: got %+v, want %+v", s, got, want)
			}
		}
	})
}

func TestUnusualCharactersAreNamedWithWhatToWriteInstead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		why, body string
		want      []string
	}{
		"plain":         {"nothing to say", "Hi Ann, 20 € [ok]", nil},
		"quotes":        {"each once, in order", "“it’s” “so”", []string{"“ → \"", "’ → '", "” → \""}},
		"dash and dots": {"several signs for one", "wait … – now", []string{"… → ...", "– → -"}},
		"no-break":      {"what cannot be seen is named by its number", "a\u00a0b", []string{"U+00A0 → space"}},
		"line end":      {"", "a\u2028b", []string{"U+2028 → new line"}},
		"zero width":    {"it is left out", "a\u200bb", []string{"U+200B → nothing"}},
		"letters":       {"nothing is suggested: it would change a name", "João ж 😀", []string{"ã", "ж", "😀"}},
		"two pieces":    {"the one character costs less", "cafe\u0301", []string{"U+0301 → é as one character"}},
		"odd mark":      {"no such character in the alphabet", "x\u0301", []string{"U+0301"}},
		"no UTF-8":      {"", "\xff", []string{"U+FFFD"}},
		"many":          {"ten are enough", "абвгдежзиклмн", strings.Split("абвгдежзик", "")},
	} {
		if got := message.Unusual(c.body); !cmp.Equal(got, c.want) {
			t.Errorf("%s: %s\n%s", name, c.why, cmp.Diff(c.want, got))
		}
	}
}

func TestPlainTextCostsLess(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ why, body, want string }{
		"word processor": {"what it puts in by itself", "“It’s” – 5 km… away", "\"It's\" - 5 km... away"},
		"web page":       {"odd spaces and invisible marks", "a\u00a0b\u200bc\ufeff\u2009d", "a bc d"},
		"PDF":            {"ligatures and soft hyphens", "ﬁnal of\u00adfer №\u00a07", "final offer No. 7"},
		"Mac":            {"letters in two pieces", "Cafe\u0301, Mu\u0308ller, n\u0303", "Café, Müller, ñ"},
		"back-tick":      {"", "`x` ´y´", "'x' 'y'"},
		"tab":            {"", "a\tb", "a b"},
		"names":          {"letters stay", "João Łódź Çelik ç", "João Łódź Çelik ç"},
		"emoji":          {"stay whole", "👨\u200d👩 ok", "👨\u200d👩 ok"},
		"mark first":     {"nothing before it", "\u0301a", "\u0301a"},
		"plain":          {"", "a€[]\n", "a€[]\n"},
	} {
		if got := message.Plain(c.body); got != c.want {
			t.Errorf("%s: got %q, want %q (%s)", name, got, c.want, c.why)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		once := message.Plain(s)
		if twice := message.Plain(once); twice != once {
			t.Fatalf("%q became %q and then %q", s, once, twice)
		}
	})
}

func TestMeasuringAllocatesNothing(t *testing.T) {
	body := rep("Hi Ann, 20 € – see you 😀 ", 60)
	if n := testing.AllocsPerRun(100, func() { message.Measure(body) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMeasure(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	long := make([]rune, 1600)
	for i := range long {
		long[i] = []rune(table)[32+r.IntN(90)]
	}
	for name, body := range map[string]string{"short": "Hi Ann, your booking is on Tue 24 Nov 2026 14:30.", "long": string(long), "emoji last": string(long[:1598]) + "😀"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				message.Measure(body)
			}
		})
	}
}
