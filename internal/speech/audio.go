package speech

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// part is a stretch of audio that is sent on its own.
type part struct {
	data    []byte
	startMs int
}

// format is how the parts of an audio are encoded, in Google's words.
type format struct {
	encoding string
	rate     int
	channels int
}

var errAudio = errors.New("the audio is in a form that cannot be sent")

// split cuts audio into parts of at most seconds each, at a quiet place where there
// is one, and gives them one after the other. It holds one part in memory.
func split(r io.Reader, seconds int, each func(format, part) error) error {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(12)
	if err != nil {
		return errAudio
	}
	if string(head[:4]) == "RIFF" && string(head[8:12]) == "WAVE" {
		return splitWAV(b, seconds, each)
	}
	return splitMP3(b, seconds, each)
}

// wavHeader reads up to the samples: PCM of 8 or 16 bits, or mu-law.
func wavHeader(b *bufio.Reader) (f format, bits int, err error) {
	if _, err := b.Discard(12); err != nil {
		return f, 0, errAudio
	}
	for range 64 {
		var h [8]byte
		if _, err := io.ReadFull(b, h[:]); err != nil {
			return f, 0, errAudio
		}
		name, size := string(h[:4]), int64(binary.LittleEndian.Uint32(h[4:]))
		if name == "data" {
			if f.encoding == "" {
				return f, 0, errAudio
			}
			return f, bits, nil
		}
		if size > 1<<20 {
			return f, 0, errAudio
		}
		chunk := make([]byte, size+size&1)
		if _, err := io.ReadFull(b, chunk); err != nil {
			return f, 0, errAudio
		}
		if name != "fmt " {
			continue
		}
		if size < 16 {
			return f, 0, errAudio
		}
		kind := binary.LittleEndian.Uint16(chunk)
		f.channels, f.rate = int(binary.LittleEndian.Uint16(chunk[2:])), int(binary.LittleEndian.Uint32(chunk[4:]))
		bits = int(binary.LittleEndian.Uint16(chunk[14:]))
		switch {
		case kind == 1 && (bits == 16 || bits == 8):
			f.encoding = "LINEAR16"
		case kind == 7 && bits == 8:
			f.encoding = "MULAW"
		default:
			return f, 0, errAudio
		}
		if f.channels < 1 || f.channels > 2 || f.rate < 8000 || f.rate > 48000 {
			return f, 0, errAudio
		}
	}
	return f, 0, errAudio
}

func splitWAV(b *bufio.Reader, seconds int, each func(format, part) error) error {
	f, bits, err := wavHeader(b)
	if err != nil {
		return err
	}
	frame := f.channels * bits / 8
	most := seconds * f.rate * frame
	buf, sent := make([]byte, 0, most), 0
	for {
		n, err := io.ReadFull(b, buf[len(buf):most])
		buf = buf[:len(buf)+n]
		last := err != nil
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		end := len(buf) - len(buf)%frame
		if !last {
			end = quietest(buf[:end], f, bits)
		}
		if end > 0 {
			p := part{data: wide(buf[:end], bits, f), startMs: int(int64(sent) / int64(frame) * 1000 / int64(f.rate))}
			if err := each(f, p); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
		sent += end
		rest := copy(buf[:cap(buf)], buf[end:])
		buf = buf[:rest]
	}
}

// quietest is where to cut: the middle of the quietest twentieth of a second of the
// last five seconds, so that no word is cut in two.
func quietest(b []byte, f format, bits int) int {
	frame := f.channels * bits / 8
	window := f.rate / 20 * frame
	from := max(len(b)-5*f.rate*frame, window)
	best, least := len(b), -1
	for at := from - from%frame; at+window <= len(b); at += window {
		loud := 0
		for i := at; i < at+window; i += bits / 8 {
			loud += level(b[i:], bits, f)
		}
		if least < 0 || loud < least {
			least, best = loud, at+window/2/frame*frame
		}
	}
	return best
}

func level(b []byte, bits int, f format) int {
	switch {
	case f.encoding == "MULAW":
		return int(^b[0] & 0x7f)
	case bits == 8:
		v := int(b[0]) - 128
		return max(v, -v)
	}
	v := int(int16(binary.LittleEndian.Uint16(b)))
	return max(v, -v)
}

// wide makes 16 bits of 8, which Google does not take.
func wide(b []byte, bits int, f format) []byte {
	if bits == 16 || f.encoding == "MULAW" {
		return append([]byte(nil), b...)
	}
	out := make([]byte, 0, 2*len(b))
	for _, x := range b {
		out = binary.LittleEndian.AppendUint16(out, uint16(int16(int(x)-128)<<8))
	}
	return out
}

// mp3Rates are in kilobits a second: of MPEG 1 layer 3, then of MPEG 2 and 2.5.
var (
	mp3Bits  = [2][15]int{{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}, {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}}
	mp3Rates = [4][3]int{{11025, 12000, 8000}, {}, {22050, 24000, 16000}, {44100, 48000, 32000}}
)

// mp3Frame reads a frame's header: its size in bytes, its samples and its form.
func mp3Frame(h []byte) (size, samples int, f format, ok bool) {
	if h[0] != 0xff || h[1]&0xe0 != 0xe0 {
		return 0, 0, f, false
	}
	version, layer := int(h[1]>>3&3), h[1]>>1&3
	rate, bits := int(h[2]>>2&3), int(h[2]>>4)
	if version == 1 || layer != 1 || rate == 3 || bits == 0 || bits == 15 {
		return 0, 0, f, false
	}
	table, perFrame := 1, 576
	if version == 3 {
		table, perFrame = 0, 1152
	}
	f = format{encoding: "MP3", rate: mp3Rates[version][rate], channels: 2}
	if h[3]>>6 == 3 {
		f.channels = 1
	}
	size = perFrame/8*mp3Bits[table][bits]*1000/f.rate + int(h[2]>>1&1)
	return size, perFrame, f, size > 4
}

// splitMP3 cuts between frames.
func splitMP3(b *bufio.Reader, seconds int, each func(format, part) error) error {
	if head, err := b.Peek(10); err == nil && string(head[:3]) == "ID3" {
		size := int(head[6])<<21 | int(head[7])<<14 | int(head[8])<<7 | int(head[9])
		if _, err := b.Discard(10 + size); err != nil {
			return errAudio
		}
	}
	var (
		f             format
		buf           []byte
		sent, samples int // frames' samples before and in buf
	)
	flush := func() error {
		if len(buf) == 0 {
			return nil
		}
		p := part{data: buf, startMs: int(int64(sent) * 1000 / int64(f.rate))}
		sent, samples, buf = sent+samples, 0, nil
		return each(f, p)
	}
	for junk := 0; ; {
		head, err := b.Peek(4)
		if len(head) < 4 {
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if f.rate == 0 {
				return errAudio
			}
			return flush()
		}
		size, n, x, ok := mp3Frame(head)
		if !ok {
			if junk++; junk > 64<<10 {
				return errAudio
			}
			_, _ = b.Discard(1)
			continue
		}
		junk, f = 0, x
		if samples+n > seconds*f.rate {
			if err := flush(); err != nil {
				return err
			}
		}
		at := len(buf)
		buf = append(buf, make([]byte, size)...)
		m, err := io.ReadFull(b, buf[at:])
		if err != nil {
			buf = buf[:at+m]
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return err
			}
			return flush()
		}
		samples += n
	}
}
