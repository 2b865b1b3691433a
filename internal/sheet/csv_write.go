package sheet

import (
	"bufio"
	"io"
	"strconv"
	"time"
)

// CSVOptions say how a CSV file is written.
type CSVOptions struct {
	Delimiter byte // 0 is a comma
	// ByteOrderMark begins the file with one, so that Excel reads it as UTF-8.
	ByteOrderMark bool
	Location      *time.Location // nil is UTC
}

// CSV writes rows as text (RFC 4180: lines end with CR LF). It keeps nothing but a
// small buffer.
type CSV struct {
	w     *bufio.Writer
	o     CSVOptions
	line  []byte
	begun bool
}

// NewCSV makes a writer.
func NewCSV(w io.Writer, o CSVOptions) *CSV {
	if o.Delimiter == 0 {
		o.Delimiter = ','
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	return &CSV{w: bufio.NewWriterSize(w, 64<<10), o: o}
}

// Row writes a row. Every text stands in quotes, and is defused.
func (c *CSV) Row(cells []Cell) error {
	b := c.line[:0]
	if !c.begun && c.o.ByteOrderMark {
		b = append(b, "\uFEFF"...)
	}
	c.begun = true
	for i, x := range cells {
		if i > 0 {
			b = append(b, c.o.Delimiter)
		}
		switch x.kind {
		case text:
			b = append(b, '"')
			s := Defuse(clean(x.text))
			for j := 0; j < len(s); j++ {
				if s[j] == '"' {
					b = append(b, '"')
				}
				b = append(b, s[j])
			}
			b = append(b, '"')
		case number:
			if x.text != "" {
				b = append(b, x.text...)
			} else {
				b = strconv.AppendInt(b, x.number, 10)
			}
		case moment:
			b = x.time.In(c.o.Location).AppendFormat(b, "2006-01-02 15:04:05")
		case truth:
			if x.number == 1 {
				b = append(b, "yes"...)
			} else {
				b = append(b, "no"...)
			}
		}
	}
	c.line = append(b, '\r', '\n')
	_, err := c.w.Write(c.line)
	if cap(c.line) > 1<<20 { // one large row must not stay in memory
		c.line = nil
	}
	return err
}

// Close writes what is in the buffer.
func (c *CSV) Close() error { return c.w.Flush() }
