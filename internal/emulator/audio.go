package emulator

import (
	"encoding/binary"
	"io"
	"math"
	"time"
)

// The files are real and small: a sine where the channel's party spoke, silence elsewhere.
const wavRate = 8000

var tones = [2]float64{440, 660} // Hz, by channel

// audible reports whether the channel sounds at t.
func audible(sound []span, t time.Duration) bool {
	for _, s := range sound {
		if t >= s.from && t < s.to {
			return true
		}
	}
	return false
}

// file is the sound of a finished recording, one or two channels of it.
type file struct {
	length time.Duration
	sound  [2][]span
	stereo bool
}

func (f file) samples() int { return int(f.length * wavRate / time.Second) }

func (f file) channels() int {
	if f.stereo {
		return 2
	}
	return 1
}

// wavSize is the number of bytes that writeWAV writes.
func (f file) wavSize() int { return 44 + f.samples()*f.channels()*2 }

// writeWAV writes 16-bit PCM at 8 kHz.
func (f file) writeWAV(w io.Writer) error {
	ch := f.channels()
	data := f.samples() * ch * 2
	le := binary.LittleEndian
	h := make([]byte, 0, 44)
	h = append(h, "RIFF"...)
	h = le.AppendUint32(h, uint32(36+data))
	h = append(h, "WAVEfmt "...)
	h = le.AppendUint32(h, 16)
	h = le.AppendUint16(h, 1)
	h = le.AppendUint16(h, uint16(ch))
	h = le.AppendUint32(h, wavRate)
	h = le.AppendUint32(h, uint32(wavRate*ch*2))
	h = le.AppendUint16(h, uint16(ch*2))
	h = le.AppendUint16(h, 16)
	h = append(h, "data"...)
	h = le.AppendUint32(h, uint32(data))
	if _, err := w.Write(h); err != nil {
		return err
	}
	const chunk = wavRate / 10 // a tenth of a second
	buf := make([]byte, 0, chunk*ch*2)
	for i := 0; i < f.samples(); i += chunk {
		buf = buf[:0]
		for j := i; j < min(i+chunk, f.samples()); j++ {
			t := time.Duration(j) * time.Second / wavRate
			var v [2]float64
			for k := range v {
				if audible(f.sound[k], t) {
					v[k] = 0.3 * math.Sin(2*math.Pi*tones[k]*float64(j)/wavRate)
				}
			}
			if ch == 1 {
				v[0] += v[1]
			}
			for k := range ch {
				buf = le.AppendUint16(buf, uint16(int16(v[k]*32767)))
			}
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// MP3: MPEG-1 layer III, 44.1 kHz, constant 64 kbit/s. A tone is one spectral line of a
// frame's MDCT, so no encoder is needed: each granule holds a single Huffman-coded value
// at the line nearest to the channel's pitch.
const (
	mp3Rate      = 44100
	mp3PerFrame  = 1152
	mp3FrameSize = 144 * 64000 / mp3Rate // 208 bytes, without padding
)

var mp3Lines = [2]int{10, 17} // of 576 over 22.05 kHz: 402 Hz and 670 Hz

func (f file) mp3Frames() int {
	return int(math.Ceil(f.length.Seconds() * mp3Rate / mp3PerFrame))
}

// mp3Size is the number of bytes that writeMP3 writes.
func (f file) mp3Size() int { return f.mp3Frames() * mp3FrameSize }

func (f file) writeMP3(w io.Writer) error {
	for i := range f.mp3Frames() {
		t := time.Duration(float64(i) * mp3PerFrame / mp3Rate * float64(time.Second))
		on := [2]bool{audible(f.sound[0], t), audible(f.sound[1], t)}
		if _, err := w.Write(f.mp3Frame(on)); err != nil {
			return err
		}
	}
	return nil
}

// bits is a big-endian bit writer.
type bits struct {
	b []byte
	n int
}

func (w *bits) put(v uint32, width int) {
	for i := width - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		if v>>i&1 == 1 {
			w.b[w.n/8] |= 0x80 >> (w.n % 8)
		}
		w.n++
	}
}

// granule is the main data of one granule and channel: pairs of zeros up to the line, then
// a one (Huffman table 1: 00 is "1", 10 is "01", 01 is "001", each one followed by a sign).
func granule(lines []int) (data bits, bigValues int) {
	last := -1
	at := map[int]bool{}
	for _, l := range lines {
		at[l], last = true, max(last, l)
	}
	for p := 0; p*2 <= last; p++ {
		a, b := at[p*2], at[p*2+1]
		switch {
		case a && b:
			data.put(0b000, 3)
			data.put(0, 2)
		case a:
			data.put(0b01, 2)
			data.put(0, 1)
		case b:
			data.put(0b001, 3)
			data.put(0, 1)
		default:
			data.put(1, 1)
		}
		bigValues = p + 1
	}
	return data, bigValues
}

func (f file) mp3Frame(on [2]bool) []byte {
	ch := f.channels()
	var w bits
	w.put(0xFFFB, 16) // MPEG-1, layer III, no CRC
	w.put(0b0101, 4)  // 64 kbit/s
	w.put(0b00, 2)    // 44.1 kHz
	w.put(0, 2)       // no padding
	if f.stereo {
		w.put(0b00, 2)
	} else {
		w.put(0b11, 2)
	}
	w.put(0, 6)
	w.put(0, 9) // main data begins here
	w.put(0, map[int]int{1: 5, 2: 3}[ch])
	w.put(0, 4*ch) // no scale factor selection
	var main bits
	for range 2 {
		for k := range ch {
			var lines []int
			if on[k] {
				lines = append(lines, mp3Lines[k])
			}
			if ch == 1 && on[1] {
				lines = append(lines, mp3Lines[1])
			}
			data, big := granule(lines)
			w.put(uint32(data.n), 12)
			w.put(uint32(big), 9)
			w.put(200, 8) // global gain: a sixth of full scale
			w.put(0, 4)   // no scale factors
			w.put(0, 1)   // long blocks
			table := uint32(0)
			if big > 0 {
				table = 1
			}
			for range 3 {
				w.put(table, 5)
			}
			w.put(0, 4+3) // regions
			w.put(0, 3)   // preflag, scale, count1 table
			for i := range data.n {
				main.put(uint32(data.b[i/8]>>(7-i%8)&1), 1)
			}
		}
	}
	for i := range main.n {
		w.put(uint32(main.b[i/8]>>(7-i%8)&1), 1)
	}
	out := make([]byte, mp3FrameSize)
	copy(out, w.b)
	return out
}
