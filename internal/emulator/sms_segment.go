package emulator

import "unicode/utf16"

// Twilio counts in GSM-7 septets when every character is in that alphabet and in UTF-16
// units otherwise (twilio: glossary/what-is-gsm-7-character-encoding).
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtra = "^{}\\[~]|€\f"
)

// septets are what each character of the alphabet takes.
var septets = func() map[rune]int {
	m := map[rune]int{}
	for _, r := range gsmBasic {
		m[r] = 1
	}
	for _, r := range gsmExtra {
		m[r] = 2
	}
	return m
}()

// Segments is the number of SMS segments of a body; at least one.
func Segments(body string) int {
	one, many := 160, 153
	size := func(r rune) int { return septets[r] }
	for _, r := range body {
		if septets[r] == 0 {
			one, many = 70, 67
			size = func(r rune) int { return max(utf16.RuneLen(r), 1) }
			break
		}
	}
	total, n, used := 0, 1, 0
	for _, r := range body { // neither an escape pair nor an emoji is split
		u := size(r)
		total += u
		if used+u > many {
			n, used = n+1, 0
		}
		used += u
	}
	if total <= one {
		return 1
	}
	return n
}
