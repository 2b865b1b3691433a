package sheet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Encoding is how the text of a file is written.
type Encoding string

// How the text of a file is written.
const (
	UTF8  Encoding = "UTF8"
	UTF16 Encoding = "UTF16"
)

// What a file may hold at most: it comes from outside.
const (
	MaxCell    = 32 << 10 // bytes
	MaxColumns = 500
)

// Problem is what is wrong with a file, in plain words, with the line.
type Problem struct {
	Line int // from 1; 0 for the whole file
	Text string
}

// Error is the text, with the line where there is one.
func (p *Problem) Error() string {
	if p.Line == 0 {
		return p.Text
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.Text)
}

// Row is a row of a file.
type Row struct {
	Line  int // on which it begins, from 1
	Cells []string
}

// Reader reads a CSV file row by row: UTF-8 with or without a byte order mark, or
// UTF-16; with commas, semicolons, tabs or bars between the cells, whichever the
// head has; with quoted cells, which may hold line breaks. Rows without any cell are
// left out. It holds one row at a time.
type Reader struct {
	in        *bufio.Reader
	encoding  Encoding
	separator byte
	line      int
	cell      []byte
	err       error
}

const headSize = 64 << 10

// NewReader looks at the beginning of a file. It returns a *Problem for a file that
// is no text.
func NewReader(r io.Reader) (*Reader, error) {
	in := bufio.NewReaderSize(r, headSize)
	head, err := in.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err
	}
	out := &Reader{encoding: UTF8, line: 1}
	big, wide := sixteen(head)
	switch {
	case wide:
		out.encoding = UTF16
		in = bufio.NewReaderSize(&narrow{in: in, big: big}, headSize)
		if head, err = in.Peek(headSize / 4); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	case bytes.IndexByte(head, 0) >= 0:
		return nil, &Problem{Text: "this is no text; save the table as CSV and send that file"}
	}
	if bytes.HasPrefix(head, []byte("\ufeff")) {
		if _, err := in.Discard(3); err != nil {
			return nil, err
		}
		head = head[3:]
	}
	if rest, ok := bytes.CutPrefix(head, []byte("sep=")); ok && len(rest) > 1 && strings.IndexByte(",;\t|", rest[0]) >= 0 && (rest[1] == '\r' || rest[1] == '\n') {
		out.separator = rest[0] // Excel says so itself, in a line of its own
		if _, err := in.ReadString('\n'); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		out.line++
	} else {
		out.separator = separator(head)
	}
	out.in = in
	return out, nil
}

// Encoding is how the text is written.
func (r *Reader) Encoding() Encoding { return r.encoding }

// Separator is what stands between the cells.
func (r *Reader) Separator() string { return string(r.separator) }

// sixteen tells UTF-16 by its mark, or by the NUL in every other byte of its head.
func sixteen(head []byte) (big, wide bool) {
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		return false, true
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return true, true
	}
	n := min(len(head), 64) &^ 1
	if n < 4 {
		return false, false
	}
	var even, odd int
	for i := 0; i < n; i += 2 {
		if head[i] == 0 {
			even++
		}
		if head[i+1] == 0 {
			odd++
		}
	}
	switch half := n / 2; {
	case odd*2 > half && even == 0:
		return false, true
	case even*2 > half && odd == 0:
		return true, true
	}
	return false, false
}

// narrow turns UTF-16 into UTF-8.
type narrow struct {
	in  *bufio.Reader
	big bool
	out []byte
	err error
}

func (n *narrow) unit() (uint16, error) {
	var b [2]byte
	if _, err := io.ReadFull(n.in, b[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = &Problem{Text: "the file ends in the middle of a character; save and send it again"}
		}
		return 0, err
	}
	if n.big {
		return uint16(b[0])<<8 | uint16(b[1]), nil
	}
	return uint16(b[1])<<8 | uint16(b[0]), nil
}

// Read reads UTF-8.
func (n *narrow) Read(p []byte) (int, error) {
	for len(n.out) < len(p) && n.err == nil {
		u, err := n.unit()
		if err != nil {
			n.err = err
			break
		}
		r := rune(u)
		if utf16.IsSurrogate(r) {
			low, err := n.unit()
			if err != nil {
				n.err = err
				break
			}
			if r = utf16.DecodeRune(r, rune(low)); r == utf8.RuneError {
				n.err = &Problem{Text: "the file is not the text that it says it is; save it as CSV UTF-8"}
				break
			}
		}
		n.out = utf8.AppendRune(n.out, r)
	}
	k := copy(p, n.out)
	n.out = n.out[:copy(n.out, n.out[k:])]
	if k == 0 {
		return 0, n.err
	}
	return k, nil
}

// separator is what the first line has most of outside of quotes; of equals the first.
func separator(head []byte) byte {
	const known = ",;\t|"
	var count [len(known)]int
	quoted := false
scan:
	for _, b := range head {
		switch {
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '\n' || b == '\r':
			break scan
		default:
			if i := strings.IndexByte(known, b); i >= 0 {
				count[i]++
			}
		}
	}
	best := 0
	for i, n := range count {
		if n > count[best] {
			best = i
		}
	}
	return known[best]
}

// Next is the next row, io.EOF after the last, or a *Problem, after which there is
// no other.
func (r *Reader) Next() (Row, error) {
	for r.err == nil {
		row, err := r.row()
		if err != nil {
			r.err = err
		}
		if len(row.Cells) > 0 && (err == nil || errors.Is(err, io.EOF)) {
			return row, nil
		}
	}
	return Row{}, r.err
}

// row reads one line, or several where cells hold line breaks. A row of nothing has no cells.
func (r *Reader) row() (Row, error) {
	row := Row{Line: r.line}
	some := false
	for {
		began := r.line
		end, err := r.readCell()
		if err != nil && !errors.Is(err, io.EOF) {
			return Row{}, err
		}
		cell := string(r.cell)
		if !utf8.ValidString(cell) {
			return Row{}, &Problem{began, "this is neither UTF-8 nor UTF-16; save the table as CSV UTF-8 and send that file"}
		}
		if strings.IndexByte(cell, 0) >= 0 {
			return Row{}, &Problem{began, "this is no text; save the table as CSV and send that file"}
		}
		some = some || cell != ""
		if row.Cells = append(row.Cells, cell); len(row.Cells) > MaxColumns {
			return Row{}, &Problem{row.Line, fmt.Sprintf("the row has more than %d cells", MaxColumns)}
		}
		if err != nil || end {
			if !some {
				row.Cells = nil
			}
			return row, err
		}
	}
}

// readCell reads one cell into r.cell and reports whether its row ends with it.
func (r *Reader) readCell() (end bool, err error) {
	r.cell = r.cell[:0]
	quoted, was := false, false // within quotes; was quoted
	began := r.line
	for {
		b, err := r.in.ReadByte()
		if err != nil {
			if quoted && errors.Is(err, io.EOF) {
				return true, &Problem{began, "a quote is opened and never closed"}
			}
			return true, err
		}
		switch {
		case quoted && b == '"':
			if next, err := r.in.Peek(1); err == nil && next[0] == '"' {
				_, _ = r.in.Discard(1)
				r.cell = append(r.cell, '"')
				break
			}
			quoted = false
		case quoted:
			if b == '\n' {
				r.line++
			}
			r.cell = append(r.cell, b)
		case b == '"' && len(r.cell) == 0 && !was:
			quoted, was = true, true
		case b == r.separator:
			return false, nil
		case b == '\n':
			r.line++
			return true, nil
		case b == '\r':
			if next, err := r.in.Peek(1); err == nil && next[0] == '\n' {
				_, _ = r.in.Discard(1)
			}
			r.line++
			return true, nil
		case was && b != ' ':
			return true, &Problem{r.line, "there is something after a closing quote; a quote within a quoted cell is written twice"}
		case was:
		default:
			r.cell = append(r.cell, b)
		}
		if len(r.cell) > MaxCell {
			return true, &Problem{began, fmt.Sprintf("a cell has more than %d KB; is a quote never closed?", MaxCell>>10)}
		}
	}
}
