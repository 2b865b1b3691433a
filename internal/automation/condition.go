package automation

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"switchboard/internal/contact"
	"switchboard/internal/errs"
	"switchboard/internal/message"
)

const (
	maxConditions = 20
	maxValues     = 50
	maxValue      = 200
)

var fields = []string{"kind", "status", "service", "location", "tag", "amount"}

// check is nil for a condition that makes sense.
func (c *Condition) check() error {
	wrong := func(format string, args ...any) error {
		return errs.New(errs.Invalid, format, args...).At("input", "conditions")
	}
	c.Field = strings.TrimSpace(c.Field)
	key, isData := strings.CutPrefix(c.Field, "data.")
	switch {
	case utf8.RuneCountInString(c.Field) > maxValue || !utf8.ValidString(c.Field):
		return wrong("a condition's field has %d characters at most", maxValue)
	case isData && key == "", !isData && !slices.Contains(fields, c.Field):
		return wrong("%q is no field of a condition; there are %s and data.<key>", c.Field, strings.Join(fields, ", "))
	}
	if c.Values == nil {
		c.Values = []string{}
	}
	for i, v := range c.Values {
		if c.Values[i] = strings.TrimSpace(v); c.Values[i] == "" || !utf8.ValidString(v) || strings.ContainsRune(v, 0) || utf8.RuneCountInString(v) > maxValue {
			return wrong("a value of the condition on %s is empty or longer than %d characters", c.Field, maxValue)
		}
		if c.Values[i] = strings.TrimSpace(v); c.Field == "kind" && !contact.RecordKind(strings.ToUpper(c.Values[i])).Known() {
			return wrong("%q is not a kind of record", c.Values[i])
		}
	}
	switch c.Operator {
	case In, NotIn:
		if len(c.Values) == 0 || len(c.Values) > maxValues {
			return wrong("the condition on %s needs 1 to %d values", c.Field, maxValues)
		}
	case Present, Absent:
		if len(c.Values) > 0 {
			return wrong("whether %s is there needs no values; leave them out", c.Field)
		}
	case AtLeast, AtMost:
		if c.Field != "amount" && !isData {
			return wrong("%s is no number; only amount and data.<key> can be at least or at most something", c.Field)
		}
		if len(c.Values) != 1 {
			return wrong("the condition on %s needs one number", c.Field)
		}
		if _, ok := decimal(c.Values[0]); !ok {
			return wrong("%q is not a number; write it such as 120.50", c.Values[0])
		}
	default:
		return wrong("%q is no way to compare", string(c.Operator))
	}
	return nil
}

func decimal(s string) (float64, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

// valuesOf are what a record has in the field of a condition.
func (c *Condition) valuesOf(r *contact.Record) []string {
	one := func(s *string) []string {
		if s == nil || strings.TrimSpace(*s) == "" {
			return nil
		}
		return []string{strings.TrimSpace(*s)}
	}
	switch c.Field {
	case "kind":
		return []string{string(r.Kind)}
	case "status":
		return one(&r.Status)
	case "service":
		return one(r.Service)
	case "location":
		return one(r.Location)
	case "tag":
		return r.Tags
	case "amount":
		if r.Amount() == nil {
			return nil
		}
		a := message.MinorUnits(r.Amount().AmountMinor, r.Amount().Currency).Amount()
		return []string{a}
	}
	v := r.Data[strings.TrimPrefix(c.Field, "data.")]
	return one(&v)
}

// holds reports whether a record meets the condition; capitals do not count.
func (c *Condition) holds(r *contact.Record) bool {
	have := c.valuesOf(r)
	among := slices.ContainsFunc(have, func(h string) bool {
		return slices.ContainsFunc(c.Values, func(v string) bool {
			a, ok1 := decimal(h)
			b, ok2 := decimal(v)
			return strings.EqualFold(strings.TrimSpace(h), v) || c.Field == "amount" && ok1 && ok2 && a == b
		})
	})
	switch c.Operator {
	case In:
		return among
	case NotIn:
		return !among
	case Present:
		return len(have) > 0
	case Absent:
		return len(have) == 0
	}
	if len(have) == 0 || len(c.Values) == 0 {
		return false
	}
	a, ok1 := decimal(have[0])
	b, ok2 := decimal(c.Values[0])
	return ok1 && ok2 && (c.Operator == AtLeast && a >= b || c.Operator == AtMost && a <= b)
}

// words says what the condition asks for.
func (c *Condition) words() string {
	return c.Field + " " + map[Operator]string{In: "is one of ", NotIn: "is none of ", Present: "is there", Absent: "is not there", AtLeast: "is at least ", AtMost: "is at most "}[c.Operator] +
		strings.Join(c.Values, ", ")
}
