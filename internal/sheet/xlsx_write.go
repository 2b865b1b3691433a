package sheet

import (
	"archive/zip"
	"bufio"
	"compress/flate"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// XLSXOptions say how a workbook is written.
type XLSXOptions struct {
	Sheet    string         // the sheet's name; Sheet1 when empty
	Location *time.Location // nil is UTC
	Columns  int            // how many columns get a width that moments fit into
}

// ErrTooManyRows is returned for a row that the sheet has no room for.
var ErrTooManyRows = errors.New("sheet: a sheet of a workbook holds 1,048,576 rows")

// XLSX writes rows as an Excel workbook with one sheet (ECMA-376). The first row is
// the headings. Rows go into the archive as they come, so it keeps nothing but the
// compressor's buffers; nothing is written to a temporary file.
type XLSX struct {
	zip  *zip.Writer
	w    *bufio.Writer // the sheet
	o    XLSXOptions
	rows int
	line []byte
}

const (
	xmlHead   = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"
	mainSpace = `http://schemas.openxmlformats.org/spreadsheetml/2006/main`
	relSpace  = `http://schemas.openxmlformats.org/officeDocument/2006/relationships`
	packSpace = `http://schemas.openxmlformats.org/package/2006/`
)

var parts = []struct{ name, content string }{
	{"[Content_Types].xml", `<Types xmlns="` + packSpace + `content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>` +
		`<Default Extension="xml" ContentType="application/xml"/>` +
		`<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>` +
		`<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>` +
		`<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/></Types>`},
	{"_rels/.rels", `<Relationships xmlns="` + packSpace + `relationships"><Relationship Id="rId1" Type="` + relSpace + `/officeDocument" Target="xl/workbook.xml"/></Relationships>`},
	{"xl/_rels/workbook.xml.rels", `<Relationships xmlns="` + packSpace + `relationships"><Relationship Id="rId1" Type="` + relSpace + `/worksheet" Target="worksheets/sheet1.xml"/>` +
		`<Relationship Id="rId2" Type="` + relSpace + `/styles" Target="styles.xml"/></Relationships>`},
	{"xl/styles.xml", `<styleSheet xmlns="` + mainSpace + `"><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd\ hh:mm:ss"/></numFmts>` +
		`<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts>` +
		`<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>` +
		`<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>` +
		`<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>` +
		`<cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>` +
		`<xf numFmtId="49" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1" applyNumberFormat="1"/>` +
		`<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>` +
		`<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" quotePrefix="1"/></cellXfs>` +
		`<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>`},
}

// NewXLSX begins a workbook.
func NewXLSX(w io.Writer, o XLSXOptions) (*XLSX, error) {
	if o.Location == nil {
		o.Location = time.UTC
	}
	if o.Sheet == "" {
		o.Sheet = "Sheet1"
	}
	x := &XLSX{zip: zip.NewWriter(w), o: o}
	x.zip.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	book := `<workbook xmlns="` + mainSpace + `" xmlns:r="` + relSpace + `"><sheets><sheet name="` + string(appendXML(nil, sheetName(o.Sheet))) +
		`" sheetId="1" r:id="rId1"/></sheets></workbook>`
	for _, p := range append(parts[:len(parts):len(parts)], struct{ name, content string }{"xl/workbook.xml", book}) {
		f, err := x.zip.Create(p.name)
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(f, xmlHead+p.content); err != nil {
			return nil, err
		}
	}
	f, err := x.zip.Create("xl/worksheets/sheet1.xml")
	if err != nil {
		return nil, err
	}
	x.w = bufio.NewWriterSize(f, 64<<10)
	head := xmlHead + `<worksheet xmlns="` + mainSpace + `"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>`
	if o.Columns > 0 {
		head += `<cols><col min="1" max="` + strconv.Itoa(o.Columns) + `" width="20" customWidth="1"/></cols>`
	}
	_, err = x.w.WriteString(head + "<sheetData>")
	return x, err
}

// Row writes a row; the first is the headings. A text is a string to Excel,
// whatever it begins with. Error: ErrTooManyRows.
func (x *XLSX) Row(cells []Cell) error {
	if x.rows > MaxRows {
		return ErrTooManyRows
	}
	head := x.rows == 0
	x.rows++
	b := append(x.line[:0], `<row r="`...)
	b = strconv.AppendInt(b, int64(x.rows), 10)
	b = append(b, `">`...)
	for i, c := range cells {
		if c.kind == empty {
			continue
		}
		b = append(b, `<c r="`...)
		b = appendColumn(b, i)
		b = strconv.AppendInt(b, int64(x.rows), 10)
		switch c.kind {
		case text:
			s := shorten(clean(c.text))
			switch {
			case head:
				b = append(b, `" s="1" t="inlineStr"><is><t xml:space="preserve">`...)
			case Dangerous(s):
				b = append(b, `" s="3" t="inlineStr"><is><t xml:space="preserve">`...)
			default:
				b = append(b, `" t="inlineStr"><is><t xml:space="preserve">`...)
			}
			b = appendXML(b, s)
			b = append(b, `</t></is></c>`...)
		case number:
			b = append(b, `"><v>`...)
			if c.text != "" {
				b = append(b, c.text...)
			} else {
				b = strconv.AppendInt(b, c.number, 10)
			}
			b = append(b, `</v></c>`...)
		case moment:
			b = append(b, `" s="2"><v>`...)
			b = strconv.AppendFloat(b, serial(c.time.In(x.o.Location)), 'f', -1, 64)
			b = append(b, `</v></c>`...)
		case truth:
			b = append(b, `" t="b"><v>`...)
			b = strconv.AppendInt(b, c.number, 10)
			b = append(b, `</v></c>`...)
		}
	}
	x.line = append(b, `</row>`...)
	_, err := x.w.Write(x.line)
	if cap(x.line) > 1<<20 { // one large row must not stay in memory
		x.line = nil
	}
	return err
}

// Close ends the workbook.
func (x *XLSX) Close() error {
	if _, err := x.w.WriteString("</sheetData></worksheet>"); err != nil {
		return err
	}
	if err := x.w.Flush(); err != nil {
		return err
	}
	return x.zip.Close()
}

// serial is the moment as Excel counts: days since the end of 1899, by the wall
// clock. It is rounded to the second, or 10:00:00 would show as 09:59:59.
func serial(t time.Time) float64 {
	_, offset := t.Zone()
	seconds := t.Unix() + int64(offset) + 25569*86400
	return float64(seconds) / 86400
}

// appendColumn appends A, B, … Z, AA, … for 0, 1, …
func appendColumn(b []byte, i int) []byte {
	if i >= 26 {
		b = appendColumn(b, i/26-1)
	}
	return append(b, byte('A'+i%26))
}

// appendXML appends s, which is clean, as the text of an element or attribute. What
// Excel would read as an escaped character (_x000D_) is escaped itself.
func appendXML(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '<':
			b = append(b, "&lt;"...)
		case '>':
			b = append(b, "&gt;"...)
		case '&':
			b = append(b, "&amp;"...)
		case '"':
			b = append(b, "&quot;"...)
		case '_':
			if i+7 <= len(s) && s[i+1] == 'x' && s[i+6] == '_' && hex4(s[i+2:i+6]) {
				b = append(b, "_x005F"...)
			}
			b = append(b, '_')
		default:
			b = append(b, c)
		}
	}
	return b
}

func hex4(s string) bool {
	for i := range 4 {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// shorten cuts a text that a cell has no room for.
func shorten(s string) string {
	if len(s) <= MaxText {
		return s
	}
	units := 0
	cut := 0
	for i, c := range s {
		n := 1
		if c > 0xffff {
			n = 2
		}
		if units+n > MaxText-1 && cut == 0 {
			cut = i
		}
		if units += n; units > MaxText {
			return s[:cut] + "…"
		}
	}
	return s
}

// sheetName is a name that Excel takes.
func sheetName(s string) string {
	s = strings.Map(func(c rune) rune {
		if strings.ContainsRune(`:\/?*[]`, c) {
			return ' '
		}
		return c
	}, clean(s))
	for utf8.RuneCountInString(s) > 31 {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
