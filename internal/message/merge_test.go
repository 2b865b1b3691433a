package message_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"switchboard/internal/message"
)

func parse(t *testing.T, text string) *message.Template {
	t.Helper()
	tmpl, err := message.Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return tmpl
}

func TestTemplatesThatCannotBeReadSayWhereAndWhatToDo(t *testing.T) { // R163
	t.Parallel()
	for name, c := range map[string]struct{ text, says string }{
		"nothing":          {"", "the text is empty"},
		"blank":            {" \n ", "the text is empty"},
		"not closed":       {"Hi {{contact.name", "the placeholder at character 4 is not closed; end it with }}"},
		"closed once":      {"Hi {{contact.name} there", "character 4 is not closed"},
		"next one closes":  {"Hi {{contact.name, {{user.name}}", "character 4 is not closed"},
		"counts letters":   {"Grüße 😀 {{x", "character 9"},
		"after escape":     {"{{{{ {{x", "character 6"},
		"empty":            {"Hi {{}}", "character 4 is empty"},
		"only a fallback":  {"Hi {{|there}}", "character 4 is empty"},
		"no group":         {"Hi {{name}}", `says "name", which is no field`},
		"two dots":         {"{{contact..name}}", "which is no field"},
		"dot at the end":   {"{{contact.}}", "which is no field"},
		"dot first":        {"{{.name}}", "which is no field"},
		"space inside":     {"{{contact.first name}}", "has a character that names do not have"},
		"code":             {"{{#if contact.name}}", "has a character that names do not have"},
		"three braces":     {"{{{contact.name}}}", "has a character that names do not have"},
		"a letter of ours": {"{{contact.näme}}", "has a character that names do not have"},
		"format":           {"{{record.startsAt:long}}", `unknown format "long"; there are :date, :time and :datetime`},
		"no format":        {"{{record.startsAt:}}", "has no format after the colon"},
		"long path":        {"{{a." + a(90) + "}}", "is too long"},
		"too many":         {rep("{{contact.name}}", 51), "more than 50 placeholders, the next at character 801"},
		"too long":         {a(1601), "1601 characters; 1600 is the most"},
		"no UTF-8":         {"a\xff", "no characters"},
	} {
		if _, err := message.Parse(c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
	parse(t, rep("{{contact.name}}", 50))
	parse(t, a(1600))
}

func TestPlaceholdersAreReadInTheirOrder(t *testing.T) {
	t.Parallel()
	got := parse(t, "Hi {{ contact.firstName | there }}: {{record.startsAt:TIME}}, {{event.note|}} {{record.data.gate_code|a|b:c}}").Fields()
	want := []message.Field{
		{Path: "contact.firstName", Fallback: "there", HasFallback: true, Position: 4},
		{Path: "record.startsAt", Format: "time", Position: 37},
		{Path: "event.note", HasFallback: true, Position: 63},
		{Path: "record.data.gate_code", Fallback: "a|b:c", HasFallback: true, Position: 79},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTemplatesAreFilledIn(t *testing.T) { // R162, R163
	t.Parallel()
	sydney, err := time.LoadLocation("Australia/Sydney")
	if err != nil {
		t.Fatal(err)
	}
	starts := time.Date(2026, 11, 24, 3, 30, 0, 0, time.UTC)
	var none *time.Time
	values := message.Values{
		"contact.firstName": "Ann", "contact.name": "{{business.phone}}", "contact.company": "  ", "contact.email": nil,
		"contact.location": "12 King St\r\nNewtown\x07\u202e", "contact.lastName": strings.Repeat("ж", 400),
		"business.phone": "+61255501000", "user.name": "{{{{user.name|x}}",
		"record.startsAt": starts, "record.endsAt": &starts, "record.dueAt": starts, "record.etaAt": starts, "record.expiresAt": none, "record.nextServiceAt": time.Time{},
		"record.amount":   message.Money{Micros: 120_500_000, Currency: "AUD"},
		"record.data.day": "2026-11-24", "record.data.at": "2026-11-24T03:30:00Z", "record.data.rooms": 3.0, "record.data.m2": 72.5, "record.data.big": 1e9,
		"record.data.pets": true, "record.data.list": []any{"a"}, "record.data.word": "soon",
	}
	for name, c := range map[string]struct {
		why, text, want string
		missing         []string
	}{
		"value":            {"", "Hi {{contact.firstName|there}}!", "Hi Ann!", nil},
		"fallback":         {"a value of blanks is none", "Hi {{contact.company|there}}!", "Hi there!", nil},
		"empty fallback":   {"is one too", "Hi{{contact.company|}}!", "Hi!", nil},
		"missing":          {"named, and nothing stands there", "Hi {{contact.company}} {{contact.email}}!", "Hi  !", []string{"contact.company", "contact.email"}},
		"unknown":          {"no value is no value", "{{contact.shoe}}x", "x", []string{"contact.shoe"}},
		"not twice":        {"a name is never a template", "{{contact.name}}", "{{business.phone}}", nil},
		"nor its escape":   {"", "{{user.name}}", "{{{{user.name|x}}", nil},
		"fallback neither": {"", "{{contact.company|{x}}}", "{x}", nil},
		"escape":           {"", "Write {{{{contact.name}} here", "Write {{contact.name}} here", nil},
		"escape and one":   {"", "{{{{{{contact.firstName}}", "{{Ann", nil},
		"braces":           {"one is no placeholder", "{a} }} {", "{a} }} {", nil},
		"lines":            {"the new line stays, the rest goes", "{{contact.location}}", "12 King St\nNewtown", nil},
		"long value":       {"300 characters", "{{contact.lastName}}", strings.Repeat("ж", 300), nil},
		"time":             {"date and time, on the clock of the business", "{{record.startsAt}}", "Tue 24 Nov 2026 14:30", nil},
		"date":             {"", "{{record.startsAt:date}}", "Tue 24 Nov 2026", nil},
		"clock":            {"24 hours", "{{record.startsAt:time}}", "14:30", nil},
		"pointer":          {"", "{{record.endsAt:datetime}}", "Tue 24 Nov 2026 14:30", nil},
		"due":              {"nobody pays by the minute", "{{record.dueAt}}", "Tue 24 Nov 2026", nil},
		"arrival":          {"it is today", "{{record.etaAt}}", "14:30", nil},
		"no time":          {"", "{{record.expiresAt}}{{record.nextServiceAt}}", "", []string{"record.expiresAt", "record.nextServiceAt"}},
		"money":            {"", "{{record.amount}}", "120.50 AUD", nil},
		"day as text":      {"a day has no zone", "{{record.data.day:date}}", "Tue 24 Nov 2026", nil},
		"moment as text":   {"", "{{record.data.at:time}}", "14:30", nil},
		"text as it is":    {"no format, no reading", "{{record.data.at}}", "2026-11-24T03:30:00Z", nil},
		"no time after":    {"better than nothing", "{{record.data.word:date}}", "soon", nil},
		"numbers":          {"", "{{record.data.rooms}} {{record.data.m2}} {{record.data.big}}", "3 72.5 1000000000", nil},
		"yes":              {"", "{{record.data.pets}}", "yes", nil},
		"list":             {"cannot be written", "{{record.data.list}}", "", []string{"record.data.list"}},
		"line ends":        {"", "a\r\nb\x00\tc", "a\nb c", nil},
	} {
		got, missing := parse(t, c.text).Expand(values, sydney)
		var paths []string
		for _, m := range missing {
			paths = append(paths, m.Path)
		}
		if got != c.want || !cmp.Equal(paths, c.missing) {
			t.Errorf("%s: got %q, missing %v; want %q, %v (%s)", name, got, paths, c.want, c.missing, c.why)
		}
	}
	if got, _ := parse(t, "{{record.startsAt}}").Expand(values, nil); got != "Tue 24 Nov 2026 03:30" {
		t.Errorf("without a zone: %s", got)
	}
}

func TestUnknownFieldsAreNamedWithTheOneThatWasMeant(t *testing.T) { // R163
	t.Parallel()
	for name, c := range map[string]struct {
		why, kind, text string
		want            []string
	}{
		"fine":            {"", "BOOKING", "{{contact.firstName|x}} {{record.startsAt:time}} {{record.data.anything:date}} {{event.eta}} {{user.name}}", nil},
		"capitals":        {"", "", "{{Contact.FirstName}}", []string{"is unknown; did you mean {{contact.firstName}}?"}},
		"underscore":      {"", "", "{{contact.first_name}}", []string{"did you mean {{contact.firstName}}?"}},
		"typing":          {"", "", "{{contact.fristName}}", []string{"did you mean {{contact.firstName}}?"}},
		"other word":      {"", "", "{{customer.name}}", []string{"did you mean {{contact.name}}?"}},
		"the record":      {"", "INVOICE", "{{invoice.due_at}}", []string{"did you mean {{record.dueAt}}?"}},
		"company":         {"", "", "{{company.phone}}", []string{"did you mean {{business.phone}}?"}},
		"nothing near":    {"", "", "{{weather.tomorrow}}", []string{"is unknown; choose a field of the list"}},
		"other kind":      {"", "INVOICE", "{{record.startsAt}}", []string{"only templates of BOOKING have it"}},
		"other kinds":     {"", "INQUIRY", "{{record.amount}}", []string{"only templates of BOOKING, QUOTE, INVOICE have it"}},
		"contact alone":   {"", "", "{{record.title}} {{record.data.x}}", []string{"about a contact alone", "about a contact alone"}},
		"unknown kind":    {"is a contact alone", "PIGEON", "{{record.title}}", []string{"about a contact alone"}},
		"no time":         {"", "BOOKING", "{{contact.name:date}} {{record.amount:time}}", []string{"is no time; leave :date out", "is no time; leave :time out"}},
		"said once":       {"", "", "{{x.y}} {{x.y}}", []string{"{{x.y}} at character 1 is unknown"}},
		"the star itself": {"is no name", "BOOKING", "{{record.data.x}}", nil},
		"data of nothing": {"", "BOOKING", "{{record.data}}", []string{"is unknown"}},
	} {
		got := parse(t, c.text).Check(message.FieldsFor(c.kind))
		if len(got) != len(c.want) {
			t.Errorf("%s: %v", name, got)
			continue
		}
		for i, p := range got {
			if !strings.Contains(p.Message, c.want[i]) || p.Subject == "" {
				t.Errorf("%s: got %+v, want %q", name, p, c.want[i])
			}
		}
	}
}

func TestEveryFieldIsDescribedAndItsExampleFits(t *testing.T) {
	t.Parallel()
	has := map[string]string{
		"record.startsAt": "BOOKING", "record.trackingUrl": "BOOKING", "record.expiresAt": "QUOTE", "record.dueAt": "INVOICE",
		"record.amount": "BOOKING QUOTE INVOICE", "record.title": "BOOKING QUOTE INVOICE INQUIRY COMPLAINT", "record.data.x": "BOOKING QUOTE INVOICE INQUIRY COMPLAINT",
	}
	for _, kind := range []string{"", "BOOKING", "QUOTE", "INVOICE", "INQUIRY", "COMPLAINT"} {
		set := message.FieldsFor(kind)
		for path, kinds := range has {
			if _, ok := set.Find(path); ok != (kind != "" && strings.Contains(kinds, kind)) {
				t.Errorf("%s of %q: %v", path, kind, ok)
			}
		}
		for _, f := range set {
			if !strings.HasSuffix(f.Description, ".") || f.Example == "" || f.Type == "" {
				t.Errorf("%+v", f)
			}
			path := strings.Replace(f.Path, "*", "x", 1)
			if p := parse(t, "{{"+path+"}}").Check(set); len(p) != 0 {
				t.Errorf("%s of %s: %v", path, kind, p)
			}
			if f.Type != message.FieldTime {
				continue
			}
			at, err := time.Parse("Mon 2 Jan 2006 15:04", "Tue 24 Nov 2026 14:30")
			if err != nil {
				t.Fatal(err)
			}
			got, _ := parse(t, "{{"+path+"}}").Expand(message.Values{path: at}, time.UTC)
			if shape := func(s string) int { return len(strings.Fields(s)) }; shape(got) != shape(f.Example) {
				t.Errorf("%s is written %q, its example is %q", path, got, f.Example)
			}
		}
	}
	first := message.FieldsFor("")
	first[0].Path = "changed"
	if message.FieldsFor("")[0].Path == "changed" {
		t.Error("a caller can change the list of everybody")
	}
}

func TestAValueIsNeverATemplate(t *testing.T) {
	t.Parallel()
	paths := []string{"contact.name", "business.phone", "record.data.x"}
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{"{{contact.name}}", "{{business.phone|x}}", "{{record.data.x:date|}}", "{{{{", "}}", "{{", "{", "}", "Hi "}),
		rapid.StringN(0, 20, -1))
	rapid.Check(t, func(t *rapid.T) {
		values := message.Values{}
		for _, p := range paths {
			values[p] = strings.Join(rapid.SliceOfN(piece, 0, 4).Draw(t, p), "")
		}
		// Known to be right: the text with each value where its placeholder stood.
		plain := rapid.StringOfN(rapid.SampledFrom([]rune("abc ж😀\n}")), 0, 10, -1)
		text, want := "x", "x"
		for range rapid.IntRange(0, 6).Draw(t, "placeholders") {
			p := rapid.SampledFrom(paths).Draw(t, "path")
			between := plain.Draw(t, "between")
			v, _ := parseRapid(t, "{{"+p+"|}}").Expand(values, nil) // one value alone
			text, want = text+"{{"+p+"|}}"+between, want+v+between
			if raw, _ := values[p].(string); !strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' || r > '~' }) && v != strings.TrimSpace(raw) {
				t.Fatalf("%q became %q", raw, v)
			}
		}
		if got, missing := parseRapid(t, text).Expand(values, nil); got != want || len(missing) != 0 {
			t.Fatalf("%q: got %q, want %q", text, got, want)
		}
		// And whatever is written as a template, nothing breaks.
		any := strings.Join(rapid.SliceOf(piece).Draw(t, "any"), "")
		if tmpl, err := message.Parse(any); err == nil {
			tmpl.Check(message.FieldsFor("BOOKING"))
			tmpl.Expand(values, nil)
		}
	})
}

func parseRapid(t *rapid.T, text string) *message.Template {
	tmpl, err := message.Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return tmpl
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"Hi {{contact.name|x}}", "{{{{a}}", "{{a.b:date|}}", "{{", "}}", "{{{a.b}}}", "\xff{{a.b}}"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		tmpl, err := message.Parse(text)
		if err != nil {
			return
		}
		tmpl.Check(message.FieldsFor("BOOKING"))
		values := message.Values{}
		for _, field := range tmpl.Fields() {
			values[field.Path] = value
		}
		one, missing := tmpl.Expand(values, nil)
		if blank, _ := tmpl.Expand(nil, nil); len(missing) == 0 && len(tmpl.Fields()) == 0 && one != blank {
			t.Errorf("%q gave %q and %q", text, one, blank)
		}
	})
}

func TestNamesAreTakenApart(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]string{
		"Ann Miller":       {"Ann", "Miller"},
		"Ann":              {"Ann", ""},
		"":                 {"", ""},
		"  Ann   van Dam ": {"Ann", "van Dam"},
		"Miller, Ann Rose": {"Ann Rose", "Miller"},
		"Miller,":          {"Miller", ""},
	} {
		if first, last := message.NameParts(name); first != want[0] || last != want[1] {
			t.Errorf("%q: %q %q", name, first, last)
		}
	}
}
