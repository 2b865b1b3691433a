// Package sound reads WAV files: how loud they are over time, and one channel of
// two. It reads what telephony writes, PCM of 8 or 16 bits and mu-law, with one or
// two channels, and knows nothing of calls.
//
// The invariant: whatever the bytes are, it needs a fixed amount of memory, never
// panics, and reads no further than the file.
package sound

import (
	"encoding/binary"
	"errors"
	"io"
)

// ErrUnreadable is what this package does not read: another format, or no header.
var ErrUnreadable = errors.New("sound: this is no WAV file that can be read")

// The formats of samples.
const (
	formatPCM        = 1
	formatMuLaw      = 7
	formatExtensible = 0xFFFE
)

// layout is what the header tells.
type layout struct {
	format   int
	channels int
	rate     uint32
	width    int   // bytes of a sample
	offset   int64 // of the first frame
	size     int64 // bytes of frames; -1 when the header does not say
}

func (l layout) frame() int { return l.width * l.channels }

const (
	// maxChunks and maxSkip bound what lies before the sound.
	maxChunks = 64
	maxSkip   = 1 << 20
)

// header reads up to the first frame.
func header(r io.Reader) (l layout, err error) {
	var b [40]byte
	if _, err := io.ReadFull(r, b[:12]); err != nil || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return l, ErrUnreadable
	}
	l.offset = 12
	for range maxChunks {
		if _, err := io.ReadFull(r, b[:8]); err != nil {
			return l, ErrUnreadable
		}
		name, size := string(b[:4]), binary.LittleEndian.Uint32(b[4:8])
		l.offset += 8
		if name == "data" {
			l.size = int64(size)
			if size == 0 || size >= 1<<31 { // written before the length was known
				l.size = -1
			}
			if l.format == 0 {
				return l, ErrUnreadable
			}
			return l, nil
		}
		if size > maxSkip {
			return l, ErrUnreadable
		}
		left := int64(size) + int64(size&1) // chunks begin at even places
		l.offset += left
		if name == "fmt " {
			n := min(size, uint32(len(b)))
			if _, err := io.ReadFull(r, b[:n]); err != nil {
				return l, ErrUnreadable
			}
			if !l.read(b[:n]) {
				return l, ErrUnreadable
			}
			left -= int64(n)
		}
		if _, err := io.CopyN(io.Discard, r, left); err != nil {
			return l, ErrUnreadable
		}
	}
	return l, ErrUnreadable
}

// read takes the chunk that describes the samples.
func (l *layout) read(b []byte) bool {
	if len(b) < 16 {
		return false
	}
	l.format = int(binary.LittleEndian.Uint16(b))
	if l.format == formatExtensible && len(b) >= 26 {
		l.format = int(binary.LittleEndian.Uint16(b[24:]))
	}
	l.channels, l.rate = int(binary.LittleEndian.Uint16(b[2:])), binary.LittleEndian.Uint32(b[4:])
	bits := binary.LittleEndian.Uint16(b[14:])
	l.width = int(bits) / 8
	known := l.format == formatPCM && (bits == 8 || bits == 16) || l.format == formatMuLaw && bits == 8
	return known && (l.channels == 1 || l.channels == 2) && l.rate > 0
}

// level is how far a sample lies from silence, 0 to 32768.
func (l layout) level(b []byte) int {
	v := 0
	switch {
	case l.format == formatMuLaw:
		v = muLaw(b[0])
	case l.width == 1: // unsigned
		v = (int(b[0]) - 128) << 8
	default:
		v = int(int16(binary.LittleEndian.Uint16(b)))
	}
	return max(v, -v)
}

// muLaw is the sample of a byte (ITU-T G.711).
func muLaw(b byte) int {
	b = ^b
	v := (int(b&0x0F)<<3 + 0x84) << (b >> 4 & 7)
	if v -= 0x84; b&0x80 != 0 {
		return -v
	}
	return v
}
