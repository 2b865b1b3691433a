package emulator

import (
	"strings"
	"unicode/utf16"
)

// Twilio counts in GSM-7 septets when every character is in that alphabet and in UTF-16
// units otherwise (twilio: glossary/what-is-gsm-7-character-encoding).
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtra = "^{}\\[~]|€\f"
)

// Segments is the number of SMS segments of a body; at least one.
func Segments(body string) int {
	gsm, units := true, []int{}
	for _, r := range body {
		switch {
		case strings.ContainsRune(gsmBasic, r):
			units = append(units, 1)
		case strings.ContainsRune(gsmExtra, r):
			units = append(units, 2)
		default:
			gsm = false
		}
	}
	one, many := 160, 153
	if !gsm {
		one, many, units = 70, 67, units[:0]
		for _, r := range body {
			units = append(units, max(utf16.RuneLen(r), 1))
		}
	}
	total := 0
	for _, u := range units {
		total += u
	}
	if total <= one {
		return 1
	}
	n, used := 1, 0
	for _, u := range units { // neither an escape pair nor an emoji is split
		if used+u > many {
			n, used = n+1, 0
		}
		used += u
	}
	return n
}
