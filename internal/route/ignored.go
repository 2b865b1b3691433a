package route

import (
	"cmp"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"

	"switchboard/internal/errs"
	"switchboard/internal/phone"
)

// Limits of the ignored list. A pattern's size is that of its program: counted
// repeats multiply, so that a short text can ask for a very large one.
const (
	maxIgnoredPattern  = 200
	maxIgnoredSize     = 2_000
	maxIgnoredListSize = 1_000_000
	longestNumber      = 16 // + and 15 digits
)

// IgnoredList is a compiled list of ignored callers (R057, R058). It may be used
// from many goroutines. The nil list ignores nobody.
type IgnoredList struct {
	rules []string
	exact map[string]int // whole numbers
	parts partIndex      // patterns that are plain text: part of a number
	// Every other pattern waits behind a text that it needs, or is tried each time.
	needing partsIndex
	always  []*ignoredPattern
}

// ignoredPattern compiles when it is first tried: of ten thousand patterns a
// caller meets few.
type ignoredPattern struct {
	rule int
	text string
	once sync.Once
	re   *regexp.Regexp
}

func (p *ignoredPattern) match(e164 string) bool {
	p.once.Do(func() { p.re = regexp.MustCompile(p.text) }) // its syntax was checked
	return p.re.MatchString(e164)
}

// partIndex finds which of many texts are part of a number: one look-up for
// each part of the number that is as long as one of the texts.
type (
	partIndex struct {
		lengths []int
		rule    map[string]int
	}
	partsIndex struct {
		lengths []int
		rules   map[string][]*ignoredPattern
	}
)

// CompileIgnored compiles the rules of an ignored list: a number in E.164 meets
// that number alone, and a pattern between hashes (RE2) any number that has it in
// it (R058, D27). The error is an errs.Invalid or errs.LimitReached that names
// the rule.
func CompileIgnored(rules []string) (*IgnoredList, error) {
	l := &IgnoredList{rules: slices.Clone(rules), exact: make(map[string]int, len(rules)),
		parts: partIndex{rule: map[string]int{}}, needing: partsIndex{rules: map[string][]*ignoredPattern{}}}
	total := 0
	for i, rule := range rules {
		size, err := l.add(i, rule)
		if err != nil {
			return nil, err
		}
		if total += size; total > maxIgnoredListSize {
			return nil, errs.New(errs.LimitReached, "the patterns of the ignored list are too large together; replace long ones by numbers or plain digits between hashes").At("rule")
		}
	}
	l.parts.lengths = lengths(l.parts.rule)
	l.needing.lengths = lengths(l.needing.rules)
	return l, nil
}

func lengths[V any](m map[string]V) (out []int) {
	var seen [maxIgnoredPattern + 1]bool
	for text := range m {
		seen[len(text)] = true
	}
	for n := 1; n <= longestNumber; n++ { // a longer text is part of no number
		if seen[n] {
			out = append(out, n)
		}
	}
	return out
}

// add takes one rule and returns the size of its program.
func (l *IgnoredList) add(i int, rule string) (size int, err error) {
	if !strings.HasPrefix(rule, "#") {
		e, ok := phone.FromWire(rule)
		if !ok {
			return 0, errs.New(errs.Invalid, "%q is neither a number nor a pattern; write +14844608117 for one number or #4844608117# for all that contain it", clip(rule)).At("rule")
		}
		keep(l.exact, string(e), i)
		return 0, nil
	}
	text, closed := strings.CutSuffix(rule[1:], "#")
	switch {
	case !closed:
		return 0, errs.New(errs.Invalid, "the pattern %q does not end with #", clip(rule)).At("rule")
	case text == "":
		return 0, errs.New(errs.Invalid, "the pattern ## is empty and would meet every caller; write digits between the hashes").At("rule")
	case len(text) > maxIgnoredPattern:
		return 0, errs.New(errs.Invalid, "the pattern %q is longer than %d characters", clip(rule), maxIgnoredPattern).At("rule")
	case plain(text):
		keep(l.parts.rule, text, i)
		return 0, nil
	}
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0, errs.New(errs.Invalid, "the pattern %q cannot be read: %s", clip(rule), reason(err)).At("rule")
	}
	if size = programSize(re); size > maxIgnoredSize {
		return 0, errs.New(errs.Invalid, "the pattern %q repeats too much; a number has %d digits at most", clip(rule), longestNumber-1).At("rule")
	}
	p := &ignoredPattern{rule: i, text: text}
	if needs := needed(re); needs != "" {
		l.needing.rules[needs] = append(l.needing.rules[needs], p)
	} else {
		l.always = append(l.always, p)
	}
	return size, nil
}

// keep lets the first of equal rules stand.
func keep(m map[string]int, text string, i int) {
	if _, ok := m[text]; !ok {
		m[text] = i
	}
}

func plain(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// clip quotes the start of a rule: messages reach logs, and a rule holds a number.
func clip(rule string) string {
	if r := []rune(rule); len(r) > 8 {
		return string(r[:8]) + "…"
	}
	return rule
}

// reason is what the library says is wrong, without the pattern itself.
func reason(err error) string {
	if e, ok := err.(*syntax.Error); ok {
		return fmt.Sprintf("%s near %q", e.Code, clip(e.Expr))
	}
	return "its syntax is wrong"
}

// programSize is about the number of instructions of a compiled pattern; it
// stops counting when that is too many.
func programSize(re *syntax.Regexp) int {
	n := 1
	for _, sub := range re.Sub {
		n += programSize(sub)
	}
	switch re.Op {
	case syntax.OpLiteral:
		n += len(re.Rune)
	case syntax.OpCharClass:
		n += len(re.Rune) / 2
	case syntax.OpRepeat:
		n *= max(1, re.Min, re.Max)
	}
	return min(n, maxIgnoredSize+1)
}

// needed is the longest text that every number must contain to meet the pattern.
func needed(re *syntax.Regexp) (best string) {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return string(re.Rune)
		}
	case syntax.OpCapture, syntax.OpPlus:
		return needed(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return needed(re.Sub[0])
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if s := needed(sub); len(s) > len(best) {
				best = s
			}
		}
	}
	return best
}

// Match reports whether the caller is ignored, and by which rule. A caller
// without a number never is.
func (l *IgnoredList) Match(e164 string) (rule string, ok bool) {
	if l == nil {
		return "", false
	}
	if _, isNumber := phone.FromWire(e164); !isNumber {
		return "", false
	}
	if i, found := l.exact[e164]; found {
		return l.rules[i], true
	}
	best := len(l.rules)
	for _, n := range l.parts.lengths {
		for at := 0; at+n <= len(e164); at++ {
			if i, found := l.parts.rule[e164[at:at+n]]; found {
				best = min(best, i)
			}
		}
	}
	var tried []*ignoredPattern
	for _, n := range l.needing.lengths {
		for at := 0; at+n <= len(e164); at++ {
			if more := l.needing.rules[e164[at:at+n]]; len(more) > 0 {
				tried = append(tried, more...)
			}
		}
	}
	tried = append(tried, l.always...)
	// The first rule of the list that the caller meets is the one named.
	slices.SortFunc(tried, func(a, b *ignoredPattern) int { return cmp.Compare(a.rule, b.rule) })
	for _, p := range tried {
		if p.rule > best {
			break
		}
		if p.match(e164) {
			best = p.rule
			break
		}
	}
	if best == len(l.rules) {
		return "", false
	}
	return l.rules[best], true
}
