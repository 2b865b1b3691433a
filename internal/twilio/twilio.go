// Package twilio is our narrow port over twilio-go: clients with a context and a
// deadline, signatures, the forms that webhooks bring, TwiML, access tokens and
// what Twilio's error codes mean. Vendor types end here: nothing exported is one.
//
// It decides nothing about calls or messages and stores nothing. The invariant:
// a request that may have taken effect is never sent a second time by itself;
// its error says Ambiguous, and the caller asks Twilio what became of it.
package twilio

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"switchboard/internal/errs"
	"switchboard/internal/phone"
)

// Error is an answer from Twilio that is not success, or the lack of a usable
// answer. Its message holds no full phone number.
type Error struct {
	Code       int    // Twilio's number for it (21610), 0 when there is none
	Status     int    // HTTP status, 0 when no answer came
	Message    string // Twilio's words, with phone numbers masked
	Ambiguous  bool   // the request may have taken effect: ask before sending again
	RetryAfter time.Duration
	cause      error
}

func (e *Error) Error() string {
	s := "twilio: "
	if e.Status != 0 {
		s += fmt.Sprintf("status %d: ", e.Status)
	}
	if e.Code != 0 {
		s += fmt.Sprintf("error %d: ", e.Code)
	}
	s += e.Message
	if e.Ambiguous {
		s += " (may have taken effect)"
	}
	return s
}

func (e *Error) Unwrap() error { return e.cause }

// As lets errs.As find what a client may read.
func (e *Error) As(target any) bool {
	t, ok := target.(**errs.Error)
	if !ok {
		return false
	}
	reason, advice, _ := Reason(e.Code)
	switch {
	case e.Ambiguous:
		*t = errs.New(errs.ProviderUnavailable, "Twilio did not say whether this was done; it is being checked")
	case e.Code == 21610:
		*t = errs.New(errs.OptedOut, "%s; %s", reason, advice)
	case e.Status == 429, e.Status >= 500, e.Status == 0:
		*t = errs.New(errs.ProviderUnavailable, "Twilio is not answering; try again in a moment")
	case reason != "":
		*t = errs.New(errs.ProviderRefused, "%s; %s", reason, advice)
	default:
		*t = errs.New(errs.ProviderRefused, "Twilio refused: %s", e.Message)
	}
	*t = (*t).Because(e)
	return true
}

// IsCode reports whether err carries one of Twilio's error numbers.
func IsCode(err error, codes ...int) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.Code == c {
			return true
		}
	}
	return false
}

// Ambiguous reports whether the request behind err may have taken effect.
func Ambiguous(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Ambiguous
}

// NotFound reports that Twilio has no such thing (any more), or that it belongs
// to another account. A deletion treats it as done.
func NotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == 404
}

// Unauthorized reports that Twilio refused the credentials themselves.
func Unauthorized(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == 401 || e.Code == 20003)
}

// Retry reports whether sending the same request again makes sense, and the
// least time to wait first. An ambiguous error is never to be retried.
func Retry(err error) (after time.Duration, ok bool) {
	var e *Error
	if !errors.As(err, &e) || e.Ambiguous {
		return 0, false
	}
	if _, _, retry := Reason(e.Code); retry || e.Status == 429 || e.Status >= 500 || e.Status == 0 {
		return e.RetryAfter, true
	}
	return 0, false
}

var longDigits = regexp.MustCompile(`\+?\b\d{7,15}\b`)

// redact masks what looks like a phone number.
func redact(s string) string {
	if len(s) > 500 {
		s = s[:500]
	}
	return longDigits.ReplaceAllStringFunc(scrub(s), func(n string) string {
		if n[0] != '+' {
			n = "+" + n
		}
		return phone.Mask(phone.E164(n))
	})
}
