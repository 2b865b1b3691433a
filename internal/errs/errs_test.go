package errs_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"switchboard/internal/errs"
)

type leaf string

func (l leaf) Error() string   { return "internal: " + string(l) }
func (l leaf) Invalid() string { return string(l) }

func TestAnErrorKeepsItsCodeThroughEveryWrap(t *testing.T) {
	t.Parallel()
	err := func() (err error) {
		defer errs.Wrap(&err, "call.HangUp(%s)", "call_1")
		return errs.New(errs.Conflict, "the call has ended").At("id").Because(errors.New("row is gone"))
	}()
	e, ok := errs.As(err)
	if !ok || e.Code != errs.Conflict || e.Message != "the call has ended" || len(e.Field) != 1 {
		t.Fatalf("%v", err)
	}
	if !errs.IsCode(err, errs.Conflict) || errs.IsCode(nil, "") || !errors.Is(err, errs.New(errs.Conflict, "")) || errors.Is(err, errs.New(errs.Invalid, "")) {
		t.Error("the code is lost")
	}
	if !strings.HasPrefix(err.Error(), "call.HangUp(call_1): the call has ended: row is gone") {
		t.Errorf("the log reads %q", err)
	}
}

func TestWhatNobodyExpectedIsInternal(t *testing.T) {
	t.Parallel()
	if errs.CodeOf(errors.New("boom")) != errs.Internal || errs.CodeOf(nil) != "" {
		t.Error("a foreign error has a code")
	}
	if _, ok := errs.As(errors.New("boom")); ok {
		t.Error("a foreign error is shown")
	}
}

func TestALeafsErrorIsInvalid(t *testing.T) {
	t.Parallel()
	e, ok := errs.As(fmt.Errorf("reading: %w", leaf("50% is not a number")))
	if !ok || e.Code != errs.Invalid || e.Message != "50% is not a number" {
		t.Errorf("%v", e)
	}
}
