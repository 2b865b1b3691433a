// Package errs is the one error type that people are meant to read. Everything
// else is internal: its text goes to the log and never to a client.
//
// The invariant: an *Error holds no secret and no full phone number, and its
// message says what to do.
package errs

import (
	"errors"
	"fmt"
	"strings"
)

// Code classifies an Error. The same words are the contract's UserErrorCode.
type Code string

// The codes, few on purpose: a client decides by the code, a person by the message.
const (
	Invalid             Code = "INVALID"                // a value is malformed or out of range
	Required            Code = "REQUIRED"               // a value is missing
	NotFound            Code = "NOT_FOUND"              // absent, or hidden from this actor: they look alike
	Taken               Code = "TAKEN"                  // somebody or something already holds this value
	Conflict            Code = "CONFLICT"               // the thing is not in a state that allows this
	Forbidden           Code = "FORBIDDEN"              // the role, an option or a switch says no; the message names which
	Unsupported         Code = "UNSUPPORTED"            // we do not do this; the message names what to do instead
	LimitReached        Code = "LIMIT_REACHED"          // a cap or quota
	RateLimited         Code = "RATE_LIMITED"           // too many attempts; try later
	WrongCredentials    Code = "WRONG_CREDENTIALS"      // sign-in, invitation or refresh token refused; says no more
	Unauthenticated     Code = "UNAUTHENTICATED"        // no valid token came with the request
	IdempotencyReused   Code = "IDEMPOTENCY_KEY_REUSED" // same key, other input
	InProgress          Code = "IN_PROGRESS"            // the same command is still running
	OptedOut            Code = "OPTED_OUT"              // the recipient asked for no messages (R155)
	ProviderRefused     Code = "PROVIDER_REFUSED"       // Twilio said no; the message says why
	ProviderUnavailable Code = "PROVIDER_UNAVAILABLE"   // Twilio did not answer usefully; safe to try again
	Resync              Code = "RESYNC"                 // the cursor is older than the kept log: read the state anew
	Unavailable         Code = "UNAVAILABLE"            // the database or a part of us is down for now
	Internal            Code = "INTERNAL"               // ours; the text is bland
)

// Error is an expected failure that a person or client can act on.
type Error struct {
	Code    Code
	Message string
	Field   []string // path into the input, outermost first; empty when no one field is to blame
	cause   error
}

// New makes an Error; the message is formatted like fmt.Sprintf.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// At names the input field to blame and returns the same error.
func (e *Error) At(field ...string) *Error { e.Field = field; return e }

// Because keeps the cause for the log; it is never shown to a client.
func (e *Error) Because(cause error) *Error { e.cause = cause; return e }

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if e.cause != nil {
		b.WriteString(": ")
		b.WriteString(e.cause.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.cause }

// Is lets errors.Is(err, errs.New(code, "")) compare by code alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Message == "" && t.Code == e.Code
}

// As returns the Error inside err, if there is one. An error of a leaf package
// that has a method Invalid() string counts as an Error with the code Invalid.
func As(err error) (*Error, bool) {
	var e *Error
	if errors.As(err, &e) {
		return e, true
	}
	var leaf interface {
		error
		Invalid() string
	}
	if errors.As(err, &leaf) {
		return New(Invalid, "%s", leaf.Invalid()), true
	}
	return nil, false
}

// CodeOf is the code of the Error inside err, Internal for any other error and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := As(err); ok {
		return e.Code
	}
	return Internal
}

// IsCode reports whether err carries the code.
func IsCode(err error, code Code) bool { return err != nil && CodeOf(err) == code }

// Wrap prefixes *err, if it is an error, with where it happened. Use it deferred
// as the first line of a function that crosses a package boundary.
func Wrap(err *error, format string, args ...any) {
	if *err != nil {
		*err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), *err)
	}
}
