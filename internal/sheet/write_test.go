package sheet_test

import (
	"bytes"
	"encoding/csv"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
	"pgregory.net/rapid"

	"switchboard/internal/sheet"
)

var at = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func asCSV(t testing.TB, o sheet.CSVOptions, rows ...[]sheet.Cell) string {
	t.Helper()
	var b bytes.Buffer
	w := sheet.NewCSV(&b, o)
	for _, r := range rows {
		if err := w.Row(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func asXLSX(t testing.TB, o sheet.XLSXOptions, rows ...[]sheet.Cell) *excelize.File {
	t.Helper()
	var b bytes.Buffer
	w, err := sheet.NewXLSX(&b, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := w.Row(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := excelize.OpenReader(&b)
	if err != nil {
		t.Fatalf("the workbook does not open: %v", err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestValuesAreWrittenAsPeopleReadThem(t *testing.T) {
	t.Parallel()
	sydney, err := time.LoadLocation("Australia/Sydney")
	if err != nil {
		t.Fatal(err)
	}
	got := asCSV(t, sheet.CSVOptions{Delimiter: ';', ByteOrderMark: true, Location: sydney},
		[]sheet.Cell{sheet.Text(`a "b"`), sheet.Int(-5), sheet.Micros(-1_250_000), sheet.Time(at), sheet.Bool(true), sheet.Bool(false), {}, sheet.Text("")},
		[]sheet.Cell{sheet.Micros(75_000), sheet.Micros(1), sheet.Time(time.Time{})})
	want := "\uFEFF\"a \"\"b\"\"\";-5;-1.25;2026-11-21 21:00:00;yes;no;;\r\n0.075;0.000001;\r\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// R217: Excel opens it, and sees texts, numbers and moments as what they are.
func TestAWorkbookOpensWithItsTypes(t *testing.T) {
	t.Parallel()
	sydney, err := time.LoadLocation("Australia/Sydney")
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("ä😀", 20000)
	f := asXLSX(t, sheet.XLSXOptions{Sheet: "Calls: [all]", Location: sydney, Columns: 3},
		[]sheet.Cell{sheet.Text("When"), sheet.Text("Who"), sheet.Text("Cost")},
		[]sheet.Cell{sheet.Time(at), sheet.Text(`=1+1`), sheet.Micros(-1_250_000)},
		[]sheet.Cell{sheet.Bool(true), sheet.Text(" <a&b> \"q\" \x00\x07_x000D_ \uFFFF"), sheet.Int(7)},
		[]sheet.Cell{{}, sheet.Text(long)})
	name := f.GetSheetList()[0]
	for cell, want := range map[string]string{
		"A1": "When", "A2": "2026-11-21 21:00:00", "B2": "=1+1", "C2": "-1.25", "A3": "TRUE", "B3": " <a&b> \"q\" _x000D_ ", "C3": "7", "A4": "",
	} {
		got, err := f.GetCellValue(name, cell)
		if err != nil || got != want {
			t.Errorf("%s is %q, want %q, %v", cell, got, want, err)
		}
	}
	for cell, want := range map[string]excelize.CellType{"B2": excelize.CellTypeInlineString, "C2": excelize.CellTypeUnset, "A3": excelize.CellTypeBool} {
		if got, err := f.GetCellType(name, cell); err != nil || got != want {
			t.Errorf("%s has type %v, want %v, %v", cell, got, want, err)
		}
	}
	if formula, _ := f.GetCellFormula(name, "B2"); formula != "" {
		t.Errorf("a text became the formula %q", formula)
	}
	got, _ := f.GetCellValue(name, "B4")
	if n := len(utf16(got)); n > sheet.MaxText || n < sheet.MaxText-2 || !strings.HasSuffix(got, "…") {
		t.Errorf("a long text has %d units", n)
	}
}

func utf16(s string) (out []rune) {
	for _, c := range s {
		if out = append(out, c); c > 0xffff {
			out = append(out, 0)
		}
	}
	return out
}

func TestColumnsBeyondZHaveTheirLetters(t *testing.T) {
	t.Parallel()
	row := make([]sheet.Cell, 705)
	for i := range row {
		row[i] = sheet.Int(int64(i))
	}
	f := asXLSX(t, sheet.XLSXOptions{}, row)
	for cell, want := range map[string]string{"Z1": "25", "AA1": "26", "AZ1": "51", "BA1": "52", "ZZ1": "701", "AAA1": "702"} {
		if got, err := f.GetCellValue("Sheet1", cell); got != want || err != nil {
			t.Errorf("%s is %q, want %s, %v", cell, got, want, err)
		}
	}
}

func TestASheetTakesNoMoreRowsThanExcel(t *testing.T) {
	t.Parallel()
	w, err := sheet.NewXLSX(io.Discard, sheet.XLSXOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range sheet.MaxRows + 1 {
		if err := w.Row(nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Row(nil); err != sheet.ErrTooManyRows {
		t.Errorf("got %v", err)
	}
}

func TestATextIsNeverAFormula(t *testing.T) {
	t.Parallel()
	for in, c := range map[string]struct{ want, why string }{
		"=1+1":                        {"'=1+1", "a formula"},
		"+61412345678":                {"'+61412345678", "a number would lose its plus"},
		"-5":                          {"'-5", "a text is no number"},
		"@SUM(A1)":                    {"'@SUM(A1)", "an old formula"},
		" \u00a0=1":                   {"' \u00a0=1", "spaces are skipped"},
		"\u200b\ufeff=1":              {"'\u200b\ufeff=1", "what is not seen is skipped"},
		`"=1`:                         {`'"=1`, "a quote may be eaten"},
		"＝1":                          {"'＝1", "the wide form counts too"},
		"'=1":                         {"''=1", "so that it can be undone"},
		"=cmd|'/c calc'!A0":           {"'=cmd|'/c calc'!A0", "a bar cuts, and nothing dangerous follows"},
		"hello;=1":                    {"hello;'=1", "a program that expects semicolons cuts there"},
		"a\n+b":                       {"a\n'+b", "and at line ends"},
		"a\r=b":                       {"a\n'=b", "of any kind"},
		"\t=1":                        {"' =1", "a tab is a space"},
		"a-b=c, d":                    {"a-b=c, d", "in the middle of a text they do nothing"},
		"O'Neil":                      {"O'Neil", "an apostrophe of a name stays"},
		"x\x00y\x1b[31m\u202ez\u0007": {"xy[31mz", "control characters are dropped"},
		"ok\xff":                      {"ok\uFFFD", "what is no UTF-8 is mended"},
	} {
		line := asCSV(t, sheet.CSVOptions{}, []sheet.Cell{sheet.Text(in)})
		r := csv.NewReader(strings.NewReader(line))
		row, err := r.Read()
		if err != nil || len(row) != 1 || row[0] != c.want {
			t.Errorf("%q is %q, want %q: %s (%v)", in, row, c.want, c.why, err)
		}
	}
}

func TestDefusingCanBeUndone(t *testing.T) {
	t.Parallel()
	alphabet := []rune("=+-@＝ '\"a1,;\t\n|\u200b\u00a0é")
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.SampledFrom(alphabet)).Draw(t, "text"))
		if got := sheet.Undefuse(sheet.Defuse(s)); got != s {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}

// However a program cuts the file into cells, no cell of it begins a formula.
func FuzzNoCellBeginsAFormula(f *testing.F) {
	for _, s := range []string{"=1", `";=1`, "a\",\"=1", "\r=1", "\t@x", "＋1", "\"\"\n-1", "x;\u2028=2", "'\n'=3", "a\x00=1", "\x00=1", ";\x01=1"} {
		f.Add(s, "b")
		f.Add("a", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, ours := range []byte{',', ';', '\t'} {
			out := asCSV(t, sheet.CSVOptions{Delimiter: ours}, []sheet.Cell{sheet.Text(a), sheet.Text(b), sheet.Text("end")})
			r := csv.NewReader(strings.NewReader(out))
			r.Comma = rune(ours)
			rows, err := r.ReadAll()
			if err != nil || len(rows) != 1 || len(rows[0]) != 3 || rows[0][2] != "end" {
				t.Fatalf("%q, %q became %q, %v", a, b, rows, err)
			}
			if !utf8.ValidString(out) || strings.ContainsFunc(out, func(c rune) bool {
				return unicode.Is(unicode.Cc, c) && c != '\n' && c != '\r' && (c != '\t' || ours != '\t')
			}) {
				t.Fatalf("control characters in %q", out)
			}
			// A program that knows nothing of quotes and cuts wherever it likes.
			cells := strings.FieldsFunc(out, func(c rune) bool { return strings.ContainsRune(",;\t|\r\n", c) })
			for _, cell := range cells {
				// The quotes that we put around a text are skipped; an apostrophe ends the danger.
				bare := strings.TrimLeftFunc(cell, func(c rune) bool {
					return c == '"' || unicode.IsSpace(c) || unicode.Is(unicode.Cf, c) || unicode.Is(unicode.Mn, c)
				})
				if bare != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(bare)[0]) {
					t.Fatalf("%q in %q begins a formula", cell, out)
				}
			}
		}
		xlsx := asXLSX(t, sheet.XLSXOptions{}, []sheet.Cell{sheet.Text("head")}, []sheet.Cell{sheet.Text(a), sheet.Text(b)})
		for _, cell := range []string{"A2", "B2"} {
			if formula, err := xlsx.GetCellFormula("Sheet1", cell); formula != "" || err != nil {
				t.Fatalf("%s is the formula %q, %v", cell, formula, err)
			}
			if kind, _ := xlsx.GetCellType("Sheet1", cell); kind != excelize.CellTypeInlineString && kind != excelize.CellTypeUnset {
				t.Fatalf("%s has type %v", cell, kind)
			}
		}
	})
}

func TestMemoryDoesNotGrowWithTheRows(t *testing.T) {
	row := []sheet.Cell{sheet.Time(at), sheet.Text("Jane Citizen"), sheet.Text("+61412345678"), sheet.Int(42), sheet.Micros(75000)}
	for name, open := range map[string]func() (sheet.Writer, error){
		"CSV":  func() (sheet.Writer, error) { return sheet.NewCSV(io.Discard, sheet.CSVOptions{}), nil },
		"XLSX": func() (sheet.Writer, error) { return sheet.NewXLSX(io.Discard, sheet.XLSXOptions{}) },
	} {
		w, err := open()
		if err != nil {
			t.Fatal(err)
		}
		held := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		for range 1000 {
			_ = w.Row(row)
		}
		before := held()
		for range 100_000 {
			if err := w.Row(row); err != nil {
				t.Fatal(err)
			}
		}
		if after := held(); after > before+1<<20 {
			t.Errorf("%s: %d kB more after 100,000 rows", name, (after-before)>>10)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
