package sound

import (
	"encoding/binary"
	"errors"
	"io"
)

// headerSize is that of the WAV header that Channel writes.
const headerSize = 44

// Channel is one channel, counted from 0, of a WAV file with two: itself a WAV
// file, read piece by piece from the one beneath, and its size. Errors:
// ErrUnreadable, also for a file with one channel, and those of r.
func Channel(r io.ReadSeeker, channel int) (io.ReadSeeker, int64, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, 0, err
	}
	l, err := header(r)
	if err != nil {
		return nil, 0, err
	}
	if l.channels != 2 || channel < 0 || channel > 1 {
		return nil, 0, ErrUnreadable
	}
	end, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, err
	}
	there := max(end-l.offset, 0)
	if l.size < 0 || l.size > there { // the header promises more than there is
		l.size = there
	}
	frames := l.size / int64(l.frame())
	if frames*int64(l.width) > 1<<31-1-headerSize {
		return nil, 0, ErrUnreadable
	}
	c := &one{r: r, l: l, channel: channel, size: headerSize + frames*int64(l.width)}
	c.head = l.mono(uint32(frames) * uint32(l.width))
	return c, c.size, nil
}

// mono is the header of a file with one channel.
func (l layout) mono(size uint32) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32([]byte("RIFF"), headerSize-8+size)
	b = le.AppendUint32(append(b, "WAVEfmt "...), 16)
	b = le.AppendUint16(b, uint16(l.format))
	b = le.AppendUint16(b, 1)
	b = le.AppendUint32(b, l.rate)
	b = le.AppendUint32(b, l.rate*uint32(l.width))
	b = le.AppendUint16(b, uint16(l.width))
	b = le.AppendUint16(b, uint16(8*l.width))
	return le.AppendUint32(append(b, "data"...), size)
}

// one reads one channel.
type one struct {
	r       io.ReadSeeker
	l       layout
	channel int
	head    []byte
	size    int64
	at      int64
	buf     [16 << 10]byte
}

// Read gives the header, then samples.
func (c *one) Read(p []byte) (int, error) {
	if c.at >= c.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if c.at < headerSize {
		n := copy(p, c.head[c.at:])
		c.at += int64(n)
		return n, nil
	}
	width := int64(c.l.width)
	sample := c.at - headerSize
	frame, within := sample/width, int(sample%width)
	want := (int64(len(p)) + int64(within) + width - 1) / width
	want = min(want, (c.size-headerSize)/width-frame, int64(len(c.buf)/c.l.frame()))
	if _, err := c.r.Seek(c.l.offset+frame*int64(c.l.frame()), io.SeekStart); err != nil {
		return 0, err
	}
	in := c.buf[:want*int64(c.l.frame())]
	if _, err := io.ReadFull(c.r, in); err != nil {
		if errors.Is(err, io.EOF) { // it was there before
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	n := 0
	for i := c.channel * c.l.width; i < len(in); i += c.l.frame() {
		n += copy(p[n:], in[i+within:i+c.l.width])
		within = 0
	}
	c.at += int64(n)
	return n, nil
}

// Seek goes to a place in the file of one channel.
func (c *one) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.size
	}
	if offset < 0 || whence < io.SeekStart || whence > io.SeekEnd {
		return 0, errors.New("sound: there is no such place")
	}
	c.at = offset
	return offset, nil
}
