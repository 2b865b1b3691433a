package speech

import (
	"cmp"
	"slices"
)

func sortSegments(s []Segment) {
	slices.SortStableFunc(s, func(a, b Segment) int {
		return cmp.Or(cmp.Compare(a.StartMs, b.StartMs), cmp.Compare(a.EndMs, b.EndMs))
	})
}

// mean is the mean of what is told, by length of text; nil when nothing is.
func mean(s []Segment) *float64 {
	sum, n := 0.0, 0
	for _, x := range s {
		if x.Confidence != nil {
			sum += *x.Confidence * float64(len(x.Text))
			n += len(x.Text)
		}
	}
	if n == 0 {
		return nil
	}
	m := sum / float64(n)
	return &m
}

// Finish makes a Result of segments.
func Finish(language string, confidence *float64, segments []Segment) (*Result, error) {
	s, err := Clean(segments)
	if err != nil {
		return nil, err
	}
	if confidence == nil {
		confidence = mean(s)
	} else {
		c := min(max(*confidence, 0), 1)
		confidence = &c
	}
	return &Result{Language: language, Confidence: confidence, Segments: s}, nil
}
