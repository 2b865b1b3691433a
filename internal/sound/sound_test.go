package sound_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/sound"
)

// wav writes a header and the bytes of the frames.
func wav(format, channels, bits int, data []byte, before ...byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32([]byte("RIFF"), uint32(36+len(data)))
	b = append(append(b, "WAVE"...), before...)
	b = le.AppendUint32(append(b, "fmt "...), 16)
	b = le.AppendUint16(b, uint16(format))
	b = le.AppendUint16(b, uint16(channels))
	b = le.AppendUint32(b, 8000)
	b = le.AppendUint32(b, uint32(8000*channels*bits/8))
	b = le.AppendUint16(b, uint16(channels*bits/8))
	b = le.AppendUint16(b, uint16(bits))
	b = le.AppendUint32(append(b, "data"...), uint32(len(data)))
	return append(b, data...)
}

func pcm(samples ...int16) (b []byte) {
	for _, s := range samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	return b
}

func times(n int, v ...int16) (out []int16) {
	for range n {
		out = append(out, v...)
	}
	return out
}

func TestPeaksFollowTheSound(t *testing.T) {
	t.Parallel()
	half := func(n int, a, b int16) []byte { return pcm(append(times(n, a), times(n, b)...)...) }
	for name, c := range map[string]struct {
		why     string
		file    []byte
		channel int
		want    []float64
	}{
		"loud then silent":         {"half of it each, over more samples than there are bins", wav(1, 1, 16, half(40_000, -32768, 0)), -1, []float64{1, 1, 0, 0}},
		"shorter than the picture": {"three samples fill four parts", wav(1, 1, 16, pcm(0, 32767, 0)), -1, []float64{0, 1, 1, 0}},
		"eight bits":               {"128 is silence", wav(1, 1, 8, bytes.Repeat([]byte{128, 128, 0, 255}, 1)), -1, []float64{0, 0, 1, 1}},
		"mu-law":                   {"0xFF is silence and 0x00 the lowest (G.711)", wav(7, 1, 8, append(bytes.Repeat([]byte{0xFF}, 500), bytes.Repeat([]byte{0x00}, 500)...)), -1, []float64{0, 0, 1, 1}},
		"the louder of both":       {"left speaks first, then right", wav(1, 2, 16, pcm(append(times(500, 32767, 0), times(500, 0, 32767)...)...)), -1, []float64{1, 1, 1, 1}},
		"left alone":               {"one side of a conversation", wav(1, 2, 16, pcm(append(times(500, 32767, 0), times(500, 0, 32767)...)...)), 0, []float64{1, 1, 0, 0}},
		"right alone":              {"the other side", wav(1, 2, 16, pcm(append(times(500, 32767, 0), times(500, 0, 32767)...)...)), 1, []float64{0, 0, 1, 1}},
		"no third side":            {"there are two", wav(1, 2, 16, pcm(1, 2)), 2, nil},
		"other chunks first":       {"a list of odd length is padded", wav(1, 1, 16, pcm(times(8, 32767)...), append([]byte("LIST\x03\x00\x00\x00"), 1, 2, 3, 0)...), -1, []float64{1, 1, 1, 1}},
		"empty":                    {"nothing was said", wav(1, 1, 16, nil), -1, []float64{0, 0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := sound.ReadPeaks(iotest.HalfReader(bytes.NewReader(c.file)))
			if err != nil {
				t.Fatal(err)
			}
			got := p.Scale(4, c.channel)
			for i := range got { // a byte's worth of precision, and mu-law does not reach the top
				if got[i] > 0.97 {
					got[i] = 1
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", c.why, d)
			}
		})
	}
}

func TestLengthThatIsNotKnownOrUntrueDoesNoHarm(t *testing.T) {
	t.Parallel()
	loud := wav(1, 1, 16, pcm(times(5000, 32767)...))
	for name, length := range map[string]uint32{"unknown": 0xFFFFFFFF, "none": 0, "too long": 1 << 30} {
		file := bytes.Clone(loud)
		binary.LittleEndian.PutUint32(file[40:], length)
		p, err := sound.ReadPeaks(bytes.NewReader(file))
		if err != nil || p.Scale(1, 0)[0] < 0.99 {
			t.Errorf("%s: %v, %v", name, p.Scale(1, 0), err)
		}
	}
	if p, err := sound.ReadPeaks(bytes.NewReader(loud[:1001])); err != nil || p.Scale(1, 0)[0] < 0.99 {
		t.Errorf("cut within a sample: %v", err)
	}
	broken := errors.New("the disk is gone")
	if _, err := sound.ReadPeaks(io.MultiReader(bytes.NewReader(loud[:500]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

func TestWhatIsNoSoundIsRefused(t *testing.T) {
	t.Parallel()
	ok := wav(1, 2, 16, pcm(1, 2, 3, 4))
	with := func(at int, b ...byte) []byte {
		f := bytes.Clone(ok)
		copy(f[at:], b)
		return f
	}
	for name, file := range map[string][]byte{
		"nothing": nil, "a page": []byte("<html>"), "only a name": []byte("RIFF\x00\x00\x00\x00WAVE"), "six channels": with(22, 6),
		"no channel": with(22, 0), "floats": with(20, 3), "24 bits": with(34, 24), "no rate": with(24, 0, 0, 0, 0), "no description": append([]byte("RIFF\x00\x00\x00\x00WAVE"), ok[36:]...),
		"a huge chunk": with(12, 'L', 'I', 'S', 'T', 0xFF, 0xFF, 0xFF, 0x7F), "a short description": with(16, 4, 0, 0, 0),
	} {
		if _, err := sound.ReadPeaks(bytes.NewReader(file)); !errors.Is(err, sound.ErrUnreadable) {
			t.Errorf("%s: peaks: %v", name, err)
		}
		if _, _, err := sound.Channel(bytes.NewReader(file), 0); !errors.Is(err, sound.ErrUnreadable) {
			t.Errorf("%s: channel: %v", name, err)
		}
	}
	if _, _, err := sound.Channel(bytes.NewReader(wav(1, 1, 16, pcm(1))), 0); !errors.Is(err, sound.ErrUnreadable) {
		t.Error("a file with one channel was split")
	}
}

func TestOneChannelIsAFileOfItsOwn(t *testing.T) {
	t.Parallel()
	const frames = 40_000 // more than one piece
	var both, left, right []int16
	for i := range frames {
		a, b := int16(i), int16(-i*7)
		both, left, right = append(both, a, b), append(left, a), append(right, b)
	}
	for channel, want := range [][]byte{wav(1, 1, 16, pcm(left...)), wav(1, 1, 16, pcm(right...))} {
		r, size, err := sound.Channel(bytes.NewReader(wav(1, 2, 16, pcm(both...))), channel)
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(io.NewSectionReader(at{r}, 0, 5000), want[:5000]); err != nil {
			t.Error(err)
		}
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || size != int64(len(want)) || !bytes.Equal(got, want) {
			t.Fatalf("channel %d: %d of %d bytes, %v", channel, len(got), size, err)
		}
		for range 50 { // any range, as a player asks for them
			from := rand.Int64N(size)
			n := min(rand.Int64N(20_000), size-from)
			if _, err := r.Seek(from-size, io.SeekEnd); err != nil {
				t.Fatal(err)
			}
			piece := make([]byte, n)
			if _, err := io.ReadFull(r, piece); err != nil || !bytes.Equal(piece, want[from:from+n]) {
				t.Fatalf("%d bytes from %d differ, %v", n, from, err)
			}
		}
	}
	if _, err := must(sound.Channel(bytes.NewReader(wav(7, 2, 8, []byte{1, 2, 3, 4})), 1)).Seek(-1, io.SeekStart); err == nil {
		t.Error("it went before the beginning")
	}
	short := wav(7, 2, 8, []byte{1, 2, 3, 4, 5})
	got, err := io.ReadAll(must(sound.Channel(bytes.NewReader(short), 1)))
	if err != nil || !bytes.Equal(got, wav(7, 1, 8, []byte{2, 4})) {
		t.Errorf("% x, %v", got, err)
	}
}

type at struct{ io.ReadSeeker }

func (a at) ReadAt(p []byte, off int64) (int, error) {
	if _, err := a.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	return io.ReadFull(a.ReadSeeker, p)
}

func must(r io.ReadSeeker, _ int64, err error) io.ReadSeeker {
	if err != nil {
		panic(err)
	}
	return r
}

func FuzzWAV(f *testing.F) {
	f.Add(wav(1, 2, 16, pcm(1, 2, 3, 4)))
	f.Add(wav(7, 1, 8, []byte{1, 2, 3}))
	f.Add(wav(1, 2, 8, []byte{1, 2, 3}, []byte("LIST\x01\x00\x00\x00\x00\x00")...))
	f.Fuzz(func(t *testing.T, file []byte) {
		if p, err := sound.ReadPeaks(bytes.NewReader(file)); err == nil && len(p.Scale(10, -1)) != 10 {
			t.Errorf("%d channels, %d levels", p.Channels, len(p.Levels))
		}
		r, size, err := sound.Channel(bytes.NewReader(file), 1)
		if err != nil {
			return
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != size || n > int64(len(file))+44 {
			t.Errorf("%d of %d bytes, %v", n, size, err)
		}
	})
}
