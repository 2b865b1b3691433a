package diagnose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/id"
	"switchboard/internal/twilio"
)

// liveBudget is how long everything that Twilio is asked in one examination may take.
const liveBudget = 8 * time.Second

// exam is one examination.
type exam struct {
	s    *Service
	org  id.ID
	who  access.Actor // the server: what is said holds no number of a customer
	now  time.Time
	live bool // Twilio may be asked
	// answered: Twilio was asked, and answered.
	answered bool
	// byPerson: somebody waits for the diagnosis and is told what is kept.
	byPerson bool

	checks []Check
	found  []Found
	clear  []pair // what was looked at and is in order
	others []Code // what is in order wherever it was not found
	// made are the pairs that this examination may keep, with where they stand in found.
	made map[pair]int
}

// pair is what there is one open finding of.
type pair struct {
	subject id.ID
	code    Code
}

// spot is a thing that is being looked at. What is found in it is kept only where
// the examination sees all of it.
type spot struct {
	x       *exam
	subject id.ID
	keep    bool
}

func (x *exam) at(subject id.ID, keep bool) spot { return spot{x, subject, keep} }

func (p spot) ok(c Code, format string, args ...any) {
	p.x.checks = append(p.x.checks, Check{Code: c, Title: c.Title(), Result: OK, Detail: fmt.Sprintf(format, args...)})
	if p.keep {
		p.x.clear = append(p.x.clear, pair{p.subject, c})
	}
}

// clean says that nothing is wrong without naming it: it does not apply.
func (p spot) clean(codes ...Code) {
	if !p.keep {
		return
	}
	for _, c := range codes {
		p.x.clear = append(p.x.clear, pair{p.subject, c})
	}
}

func (p spot) skip(c Code, why string) {
	p.x.checks = append(p.x.checks, Check{Code: c, Title: c.Title(), Result: Skipped, Detail: why})
}

// problem names what keeps something from working, warning what does so in part. The
// fix is the catalogue's when it is empty.
func (p spot) problem(c Code, fix, detail string, facts ...Evidence) {
	p.find(c, Problem, fix, detail, facts)
}

func (p spot) warning(c Code, fix, detail string, facts ...Evidence) {
	p.find(c, Warning, fix, detail, facts)
}

func (p spot) find(c Code, how Severity, fix, detail string, facts []Evidence) {
	x, e := p.x, catalogue[c]
	result := Bad
	if how == Warning {
		result = Warn
	}
	x.checks = append(x.checks, Check{Code: c, Title: e.title, Result: result, Detail: detail})
	for i := range x.found {
		f := &x.found[i]
		if f.Code != c || f.SubjectID != p.subject {
			continue
		}
		if f.Detail != detail { // the same thing, seen twice
			f.Detail, f.Evidence = f.Detail+"; "+detail, append(f.Evidence, facts...)
			if how == Problem {
				f.Severity = Problem
			}
		}
		return
	}
	if p.keep && e.kept {
		x.made[pair{p.subject, c}] = len(x.found)
	}
	x.found = append(x.found, Found{Code: c, Severity: how, SubjectID: p.subject, Detail: detail, Fix: cmp.Or(fix, e.fix), Source: e.source, Evidence: facts})
}

func fact(key string, value any) Evidence {
	switch v := value.(type) {
	case time.Time:
		return Evidence{key, v.UTC().Format(time.RFC3339)}
	case *time.Time:
		return Evidence{key, v.UTC().Format(time.RFC3339)}
	case int:
		return Evidence{key, strconv.Itoa(v)}
	}
	return Evidence{key, fmt.Sprint(value)}
}

// diagnosis is what the examination came to, worst first.
func (x *exam) diagnosis(subject id.ID) *Diagnosis {
	rank := func(f Found) int {
		if f.Severity == Problem {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(x.found, func(a, b Found) int { return cmp.Compare(rank(a), rank(b)) })
	for i := range x.found {
		if x.found[i].Evidence == nil {
			x.found[i].Evidence = []Evidence{}
		}
	}
	return &Diagnosis{SubjectID: subject, At: x.now, IsLive: x.answered, Checks: x.checks, Findings: x.found}
}

// has reports whether something was found, wherever.
func (x *exam) has(codes ...Code) bool {
	return slices.ContainsFunc(x.found, func(f Found) bool { return slices.Contains(codes, f.Code) })
}

// has reports whether something was found here.
func (p spot) has(codes ...Code) bool {
	return slices.ContainsFunc(p.x.found, func(f Found) bool { return f.SubjectID == p.subject && slices.Contains(codes, f.Code) })
}

// heard reports whether Twilio answered, if only to refuse.
func heard(err error) bool {
	var e *twilio.Error
	return err == nil || errors.As(err, &e) && e.Status != 0
}

// asks are questions to Twilio, asked side by side. Each may fail by itself.
type asks struct {
	wg  sync.WaitGroup
	ctx context.Context
}

func (a *asks) ask(fn func(ctx context.Context)) { a.wg.Go(func() { fn(a.ctx) }) }

// askAll asks within the budget and waits for all.
func askAll(ctx context.Context, questions func(a *asks)) {
	ctx, cancel := context.WithTimeout(ctx, liveBudget)
	defer cancel()
	a := &asks{ctx: ctx}
	questions(a)
	a.wg.Wait()
}

const (
	notAsked = "Twilio was not asked"
	silent   = "Twilio did not answer"
	refused  = "not looked at: Twilio refuses the account"
)
