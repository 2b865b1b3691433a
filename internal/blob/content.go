package blob

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"strings"

	"switchboard/internal/errs"
)

// headSize is how much of a file its type is found in: two MP3 frames fit.
const headSize = 4 << 10

// Type finds the type of a file in its first bytes and refuses with errs.Invalid
// what it does not accept. Names and declared types are not asked: they lie.
type Type func(head []byte) (contentType string, err error)

// Any accepts everything. What a browser would run (HTML, XML, SVG, scripts) it
// calls application/octet-stream.
func Any(head []byte) (string, error) {
	if t := audio(head); t != "" {
		return t, nil
	}
	t, _, _ := strings.Cut(http.DetectContentType(head), ";")
	switch {
	case t == "audio/mpeg", t == "audio/wave": // it only begins like one
	case strings.HasPrefix(t, "image/"), strings.HasPrefix(t, "audio/"), strings.HasPrefix(t, "video/"), t == "application/pdf":
		return t, nil
	}
	return "application/octet-stream", nil
}

// Audio accepts MP3 and WAV (R126).
func Audio(head []byte) (string, error) {
	if t := audio(head); t != "" {
		return t, nil
	}
	return "", errs.New(errs.Invalid, "this is not an MP3 or WAV file; save the recording as .mp3 or .wav and upload that")
}

// Image accepts the pictures that every carrier delivers: JPEG, PNG and GIF.
func Image(head []byte) (string, error) {
	switch t := http.DetectContentType(head); t {
	case "image/jpeg", "image/png", "image/gif":
		return t, nil
	}
	return "", errs.New(errs.Invalid, "this is not a JPEG, PNG or GIF picture")
}

// AudioOrImage accepts what either of them does.
func AudioOrImage(head []byte) (string, error) {
	if t, err := Audio(head); err == nil {
		return t, nil
	}
	if t, err := Image(head); err == nil {
		return t, nil
	}
	return "", errs.New(errs.Invalid, "this is neither audio (MP3, WAV) nor a picture (JPEG, PNG, GIF)")
}

func audio(head []byte) string {
	switch {
	case wav(head):
		return "audio/wav"
	case mp3(head):
		return "audio/mpeg"
	}
	return ""
}

// wav is a RIFF file whose format chunk names a code that phones can play.
func wav(b []byte) bool {
	if len(b) < 22 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return false
	}
	for at := 12; at+10 <= len(b); {
		length := int64(binary.LittleEndian.Uint32(b[at+4:]))
		if string(b[at:at+4]) == "fmt " {
			switch binary.LittleEndian.Uint16(b[at+8:]) {
			case 1, 3, 6, 7, 0x11, 0x31, 0xFFFE: // PCM, float, A-law, mu-law, ADPCM, GSM, extensible
				return true
			}
			return false
		}
		if length > headSize {
			return false
		}
		at += 8 + int(length+length&1)
	}
	return false
}

// mp3 is an ID3 tag with a sound header, or two MPEG layer III frames in a row.
func mp3(b []byte) bool {
	if bytes.HasPrefix(b, []byte("ID3")) {
		if len(b) < 10 || b[3] < 2 || b[3] > 4 {
			return false
		}
		length := 0
		for _, c := range b[6:10] { // seven bits a byte
			if c >= 0x80 {
				return false
			}
			length = length<<7 | int(c)
		}
		rest := b[10:]
		if length >= len(rest) {
			return true // a cover picture: the sound lies behind what is looked at
		}
		rest = bytes.TrimLeft(rest[length:], "\x00") // padding
		return len(rest) == 0 || frame(rest) > 0
	}
	n := frame(b)
	return n > 0 && (n+4 > len(b) || frame(b[n:]) > 0)
}

var (
	rates1 = [16]int{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}
	rates2 = [16]int{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}
)

// frame is the length of the MPEG layer III frame at the start of b, 0 when there is none.
func frame(b []byte) int {
	if len(b) < 4 || b[0] != 0xFF || b[1]&0xE0 != 0xE0 {
		return 0
	}
	version, layer := b[1]>>3&3, b[1]>>1&3
	if version == 1 || layer != 1 {
		return 0
	}
	rate, sample := int(b[2]>>4), []int{44100, 48000, 32000, 0}[b[2]>>2&3]
	if sample == 0 {
		return 0
	}
	kbps, factor := rates1[rate], 144_000
	switch version {
	case 2:
		kbps, factor, sample = rates2[rate], 72_000, sample/2
	case 0:
		kbps, factor, sample = rates2[rate], 72_000, sample/4
	}
	return factor*kbps/sample + int(b[2]>>1&1)*min(kbps, 1)
}
