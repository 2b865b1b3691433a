package sound

import "io"

// Points is how many peaks are kept of each channel.
const Points = 1000

// Peaks is how loud a file is over time: for each channel, one after the other,
// the highest level, 0 to 255, of each of Points equal parts.
type Peaks struct {
	Channels int
	Levels   []byte
}

// ReadPeaks reads a WAV file to its end. A file that ends early gives the peaks
// of what is there. Errors: ErrUnreadable, and those of r.
func ReadPeaks(r io.Reader) (Peaks, error) {
	l, err := header(r)
	if err != nil {
		return Peaks{}, err
	}
	if l.size >= 0 {
		r = io.LimitReader(r, l.size)
	}
	var (
		buf  = make([]byte, 32<<10)
		bins [2]bins
		held int
	)
	for {
		n, err := r.Read(buf[held:])
		n += held
		whole := n - n%l.frame()
		for i := 0; i < whole; i += l.frame() {
			for c := range l.channels {
				bins[c].add(l.level(buf[i+c*l.width:]))
			}
		}
		held = copy(buf, buf[whole:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return Peaks{}, err
		}
	}
	p := Peaks{Channels: l.channels}
	for c := range l.channels {
		p.Levels = append(p.Levels, bins[c].points()...)
	}
	return p, nil
}

// bins hold the peaks of ever larger parts, so that the length need not be known.
type bins struct {
	peak [2 * Points]int
	used int // whole bins
	each int // samples in a bin, a power of two
	in   int // samples in the bin that is being filled
}

func (b *bins) add(level int) {
	if b.each == 0 {
		b.each = 1
	}
	if b.used == len(b.peak) {
		for i := range Points {
			b.peak[i] = max(b.peak[2*i], b.peak[2*i+1])
		}
		clear(b.peak[Points:])
		b.used, b.each = Points, b.each*2
	}
	b.peak[b.used] = max(b.peak[b.used], level)
	if b.in++; b.in == b.each {
		b.used, b.in = b.used+1, 0
	}
}

func (b *bins) points() []byte {
	out := make([]byte, Points)
	n := b.used
	if b.in > 0 {
		n++
	}
	if n == 0 {
		return out
	}
	for i := range out {
		out[i] = byte(min((highest(b.peak[:n], i, Points)*255+32767)/32768, 255))
	}
	return out
}

// highest is the peak of part i of so many equal ones.
func highest[T int | byte](levels []T, i, parts int) T {
	from := i * len(levels) / parts
	to := max((i+1)*len(levels)/parts, from+1)
	var top T
	for _, v := range levels[from:to] {
		top = max(top, v)
	}
	return top
}

// Scale is the peaks, 0 to 1, of so many equal parts: of one channel, counted from
// 0, or of the louder of both when it is negative. Nil for a channel that is not there.
func (p Peaks) Scale(points, channel int) []float64 {
	if points < 1 || points > Points || channel >= p.Channels || p.Channels < 1 || len(p.Levels) != p.Channels*Points {
		return nil
	}
	out := make([]float64, points)
	for c := range p.Channels {
		if channel >= 0 && c != channel {
			continue
		}
		for i := range out {
			out[i] = max(out[i], float64(highest(p.Levels[c*Points:(c+1)*Points], i, points))/255)
		}
	}
	return out
}
