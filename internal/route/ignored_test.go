package route_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"switchboard/internal/errs"
	"switchboard/internal/route"
)

func TestAnIgnoredListNamesTheRuleThatACallerMeets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		why    string
		rules  []string
		caller string
		want   string
	}{
		"a number":            {why: "full match (R058)", rules: []string{"+14844608117"}, caller: "+14844608117", want: "+14844608117"},
		"another number":      {why: "full match (R058)", rules: []string{"+1484460811"}, caller: "+14844608117"},
		"part of a number":    {why: "the example of R058, unanchored (D27)", rules: []string{"#4844608117#"}, caller: "+14844608117", want: "#4844608117#"},
		"not part of it":      {why: "another digit", rules: []string{"#4844608118#"}, caller: "+14844608117"},
		"anchored":            {why: "RE2", rules: []string{`#^\+1484#`}, caller: "+14844608117", want: `#^\+1484#`},
		"anchored elsewhere":  {why: "1484 inside is not at the start", rules: []string{`#^\+1484#`}, caller: "+61148461234"},
		"at the end":          {why: "RE2", rules: []string{`#8117$#`}, caller: "+14844608117", want: `#8117$#`},
		"a class":             {why: "RE2", rules: []string{`#^\+1(484|610)\d{7}$#`}, caller: "+16104608117", want: `#^\+1(484|610)\d{7}$#`},
		"a repeated text":     {why: "one time is enough for +", rules: []string{`#(44)+608#`}, caller: "+14844608117", want: `#(44)+608#`},
		"an optional text":    {why: "what may be missing is not looked for", rules: []string{`#(99)?608#`}, caller: "+14844608117", want: `#(99)?608#`},
		"any of two":          {why: "neither of them is needed", rules: []string{`#99|608#`}, caller: "+14844608117", want: `#99|608#`},
		"the first one":       {why: "the order of the list", rules: []string{"#9999#", `#48\d#`, "#4844#"}, caller: "+14844608117", want: `#48\d#`},
		"the first, reversed": {why: "the order of the list", rules: []string{"#4844#", `#48\d#`}, caller: "+14844608117", want: "#4844#"},
		"the number itself":   {why: "says most", rules: []string{"#4844#", "+14844608117"}, caller: "+14844608117", want: "+14844608117"},
		"anonymous":           {why: "a caller without a number is nobody (D11)", rules: []string{"#.*#"}, caller: "anonymous"},
		"an empty list":       {why: "nobody", caller: "+14844608117"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := route.CompileIgnored(c.rules)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := l.Match(c.caller); got != c.want || ok != (c.want != "") {
				t.Errorf("%s: %q %t, want %q", c.why, got, ok, c.want)
			}
		})
	}
	if _, ok := (*route.IgnoredList)(nil).Match("+14844608117"); ok {
		t.Error("no list ignores somebody")
	}
}

func TestAWrongRuleIsNamed(t *testing.T) {
	t.Parallel()
	long := "#" + strings.Repeat("1", 201) + "#"
	for rule, says := range map[string]string{
		"0400123456": "neither a number nor a pattern", "": "neither a number nor a pattern", "anonymous": "neither",
		"#484": "does not end with #", "#": "does not end", "##": "would meet every caller",
		"#(484#": "missing closing )", "#[4-#": "missing closing ]", "#*1#": "missing argument to repetition", `#(?=4)#`: "cannot be read", `#(4)\1#`: "cannot be read",
		long: "longer than 200", `#\d{900}\d{900}\d{900}#`: "repeats too much", "#(((1{1000}){1000}){1000}){1000}#": "cannot be read",
	} {
		_, err := route.CompileIgnored([]string{"+14844608117", rule})
		if !errs.IsCode(err, errs.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", clipped(rule), err, says)
		}
	}
	many := make([]string, 900)
	for i := range many {
		many[i] = fmt.Sprintf(`#%d\d{600}#`, 1000+i)
	}
	if _, err := route.CompileIgnored(many); !errs.IsCode(err, errs.LimitReached) {
		t.Errorf("large patterns together: %v", err)
	}
}

func clipped(s string) string { return s[:min(len(s), 20)] }

// What is skipped to be fast is skipped rightly: the list agrees with trying
// every rule in its order.
func TestAnIgnoredListAgreesWithTryingEveryRule(t *testing.T) {
	t.Parallel()
	pieces := []string{"1", "48", "4", `\d`, "4+", "(48)?", "(1|4)", "^", "$", `\+`, "[14]", "8{2}", "(?:48){1,2}", "(?i)4", "4*", ".", "(?i:8)1"}
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return "#" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 4).Draw(t, "pieces"), "") + "#"
		}), 1, 6).Draw(t, "rules")
		number := "+1" + rapid.StringMatching(`[148]{6,12}`).Draw(t, "number")
		l, err := route.CompileIgnored(rules)
		if err != nil {
			if _, bad := regexp.Compile(strings.Join(rules, "")); bad == nil && !strings.Contains(err.Error(), "cannot be read") {
				t.Fatal(err)
			}
			return
		}
		want := ""
		for _, r := range rules {
			if regexp.MustCompile(strings.Trim(r, "#")).MatchString(number) {
				want = r
				break
			}
		}
		if got, ok := l.Match(number); got != want || ok != (want != "") {
			t.Fatalf("%s meets %q, want %q of %q", number, got, want, rules)
		}
	})
}
