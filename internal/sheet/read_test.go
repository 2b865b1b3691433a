package sheet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	units "unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/sheet"
)

// wide is the text in UTF-16.
func wide(s string, order binary.AppendByteOrder, mark bool) string {
	if mark {
		s = "\ufeff" + s
	}
	var b []byte
	for _, u := range units.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

func read(r io.Reader) (rows []sheet.Row, in *sheet.Reader, err error) {
	if in, err = sheet.NewReader(r); err != nil {
		return nil, nil, err
	}
	for {
		row, err := in.Next()
		if errors.Is(err, io.EOF) {
			return rows, in, nil
		}
		if err != nil {
			return rows, in, err
		}
		rows = append(rows, row)
	}
}

func TestFilesAreReadAsPeopleSaveThem(t *testing.T) {
	t.Parallel()
	plain := []sheet.Row{{1, []string{"name", "phone"}}, {2, []string{"Zoë", "+61255501234"}}}
	for name, c := range map[string]struct {
		why, file string
		want      []sheet.Row
		encoding  sheet.Encoding
		separator string
	}{
		"plain":             {"RFC 4180", "name,phone\r\nZoë,+61255501234\r\n", plain, sheet.UTF8, ","},
		"a mark":            {"Excel's CSV UTF-8", "\ufeffname,phone\nZoë,+61255501234", plain, sheet.UTF8, ","},
		"semicolons":        {"Excel where the comma is the decimal point", "name;phone\nZoë;+61255501234\n", plain, sheet.UTF8, ";"},
		"tabs, UTF-16":      {"Excel's Unicode text", wide("name\tphone\r\nZoë\t+61255501234\r\n", binary.LittleEndian, true), plain, sheet.UTF16, "\t"},
		"UTF-16, big":       {"other systems", wide("name,phone\nZoë,+61255501234\n", binary.BigEndian, true), plain, sheet.UTF16, ","},
		"UTF-16, unmarked":  {"told by its zeros", wide("name,phone\nZoë,+61255501234\n", binary.LittleEndian, false), plain, sheet.UTF16, ","},
		"old Mac":           {"a carriage return alone ends a line", "name,phone\rZoë,+61255501234\r", plain, sheet.UTF8, ","},
		"sep line":          {"Excel says it itself", "sep=|\r\nname|phone\r\nZoë|+61255501234", []sheet.Row{{2, plain[0].Cells}, {3, plain[1].Cells}}, sheet.UTF8, "|"},
		"quoted line break": {"a cell holds lines, and the next row has its own line", "name,phone\n\"Zoë\nX, \"\"Y\"\"\",1\nQ,2\n", []sheet.Row{plain[0], {2, []string{"Zoë\nX, \"Y\"", "1"}}, {4, []string{"Q", "2"}}}, sheet.UTF8, ","},
		"separators quoted": {"what is quoted does not count", "\"a,b,c\";d\n1;2\n", []sheet.Row{{1, []string{"a,b,c", "d"}}, {2, []string{"1", "2"}}}, sheet.UTF8, ";"},
		"blank lines":       {"they are no rows", "\n\na,b\n\n,\n1,2\n\n", []sheet.Row{{3, []string{"a", "b"}}, {6, []string{"1", "2"}}}, sheet.UTF8, ","},
		"ragged":            {"a row has the cells it has", "a,b\n1\n1,2,3\n", []sheet.Row{{1, []string{"a", "b"}}, {2, []string{"1"}}, {3, []string{"1", "2", "3"}}}, sheet.UTF8, ","},
		"one column":        {"nothing stands between", "a\n1\n", []sheet.Row{{1, []string{"a"}}, {2, []string{"1"}}}, sheet.UTF8, ","},
		"an inch":           {"a quote in the middle is itself", "a,b\n5\" pipe,1\n", []sheet.Row{{1, []string{"a", "b"}}, {2, []string{"5\" pipe", "1"}}}, sheet.UTF8, ","},
		"beyond the plane":  {"two units, one character", wide("a,b\n😀,1\n", binary.LittleEndian, true), []sheet.Row{{1, []string{"a", "b"}}, {2, []string{"😀", "1"}}}, sheet.UTF16, ","},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, r := range map[string]io.Reader{"at once": strings.NewReader(c.file), "byte by byte": iotest.OneByteReader(strings.NewReader(c.file))} {
				rows, in, err := read(r)
				if err != nil {
					t.Fatalf("%s (%s): %v", how, c.why, err)
				}
				if d := cmp.Diff(c.want, rows); d != "" {
					t.Errorf("%s (%s) -want +got:\n%s", how, c.why, d)
				}
				if in.Encoding() != c.encoding || in.Separator() != c.separator {
					t.Errorf("%s: %s %q, want %s %q", how, in.Encoding(), in.Separator(), c.encoding, c.separator)
				}
			}
		})
	}
}

func TestABrokenFileSaysWhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, want string }{
		"Latin-1":            {"name\nZo\xeb\n", "line 2: this is neither UTF-8"},
		"a spreadsheet":      {"PK\x03\x04\x00\x00\x00", "this is no text"},
		"an open quote":      {"a,b\n1,2\n\"x,1\n", "line 3: a quote is opened"},
		"after a quote":      {"a,b\n\"x\"y,1\n", "line 2: there is something after"},
		"a huge cell":        {"a\n\"" + strings.Repeat("x\n", sheet.MaxCell), "line 2: a cell has more than"},
		"many columns":       {strings.Repeat(",", sheet.MaxColumns) + "x\n", "line 1: the row has more than"},
		"half a character":   {wide("ab\n", binary.LittleEndian, true) + "x", "ends in the middle"},
		"half a pair":        {wide("ab\n", binary.LittleEndian, true) + "\x3d\xd8\x41\x00", "is not the text"},
		"a NUL further down": {"a\n" + strings.Repeat("x,y\n", 40000) + "x\x00y\n", "this is no text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := read(strings.NewReader(c.file))
			var p *sheet.Problem
			if !errors.As(err, &p) || !strings.Contains(p.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAFailingDiskIsNoProblemOfTheFile(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	_, _, err := read(io.MultiReader(bytes.NewReader([]byte("a,b\n1,2\n")), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("a,b\n\"1\n\",2\n"))
	f.Add([]byte(wide("a;b\n1;2", binary.BigEndian, true)))
	f.Fuzz(func(t *testing.T, file []byte) {
		rows, _, err := read(bytes.NewReader(file))
		var p *sheet.Problem
		if err != nil && !errors.As(err, &p) {
			t.Fatalf("an error that nobody can read: %v", err)
		}
		last := 0
		for _, r := range rows {
			if len(r.Cells) == 0 || r.Line <= last {
				t.Fatalf("row %v after line %d", r, last)
			}
			last = r.Line
		}
	})
}
