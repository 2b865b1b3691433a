// Package notify hands notifications to the world outside: browsers by web push
// (RFC 8030, 8291, 8292), phones by a provider's HTTP interface, and mailboxes by SMTP.
//
// It knows no user and decides nothing: it is given a target and words. Whatever
// goes wrong is a *Problem that says whether trying again makes sense.
package notify

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Problem is why something was not handed over.
type Problem struct {
	// Reason is in plain words, without addresses, tokens or what a server answered.
	Reason string
	// Gone: the target exists no longer.
	Gone bool
	// Final: trying again does not help.
	Final bool
	// After is how long the receiver asks us to wait; 0 when it did not say.
	After time.Duration
}

func (p *Problem) Error() string { return p.Reason }

// ProblemOf is what an error says of the attempt: one that says nothing may be
// tried again.
func ProblemOf(err error) *Problem {
	if p := (*Problem)(nil); errors.As(err, &p) {
		return p
	}
	return &Problem{Reason: "it could not be reached"}
}

// maxAfter is the longest pause that a receiver can ask for.
const maxAfter = time.Hour

// answered makes an answer of a provider an error; nil for 200 to 299. It reads
// and closes the body: a connection that was read to its end is used again.
func answered(res *http.Response, what string) error {
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	p := &Problem{Reason: fmt.Sprintf("%s answered %d", what, res.StatusCode)}
	switch c := res.StatusCode; {
	case c >= 200 && c < 300:
		return nil
	case c == http.StatusNotFound || c == http.StatusGone:
		p.Gone, p.Final = true, true
	case c == http.StatusTooManyRequests || c == http.StatusRequestTimeout || c >= 500:
		if n, err := strconv.Atoi(strings.TrimSpace(res.Header.Get("Retry-After"))); err == nil && n > 0 {
			p.After = min(time.Duration(min(n, 1<<20))*time.Second, maxAfter)
		}
	default:
		p.Final = true
	}
	return p
}
