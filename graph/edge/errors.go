package edge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"switchboard/internal/errs"
)

const longestMessage = 500 // bytes of one error's text

// recovered is what a panic becomes: logged with its stack, shown as nothing.
func (e *Edge) recovered(ctx context.Context, p any) error {
	r, _ := From(ctx)
	e.opts.Logger.ErrorContext(ctx, "graphql: panic", "request_id", r.ID, "path", path(ctx),
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	return internal()
}

func internal() error {
	return errs.New(errs.Internal, "something went wrong on our side; name the request id when you report it")
}

func path(ctx context.Context) string {
	if p := graphql.GetPath(ctx); p != nil {
		return p.String()
	}
	return ""
}

// present turns any error into the one shown, with code and request id.
func (e *Edge) present(ctx context.Context, err error) *gqlerror.Error {
	var shown gqlerror.Error
	var given *gqlerror.Error
	if errors.As(err, &given) {
		shown = *given
	} else {
		shown = gqlerror.Error{Err: err, Message: err.Error(), Path: graphql.GetPath(ctx)}
	}
	r, _ := From(ctx)
	if shown.Err != nil { // else gqlgen or gqlparser wrote it for the client
		e.explain(ctx, r, &shown)
	}
	shown.Extensions = maps.Clone(shown.Extensions)
	if shown.Extensions == nil {
		shown.Extensions = map[string]any{}
	}
	if shown.Extensions["code"] == nil {
		shown.Extensions["code"] = string(errs.Invalid)
	}
	if r.ID != "" {
		shown.Extensions["requestId"] = r.ID
	}
	if len(shown.Message) > longestMessage {
		cut := longestMessage
		for cut > 0 && !utf8.RuneStart(shown.Message[cut]) {
			cut--
		}
		shown.Message = shown.Message[:cut] + "…"
	}
	shown.Message = strings.ToValidUTF8(shown.Message, "\uFFFD")
	return &shown
}

// explain gives a resolver's error its public text and code.
func (e *Edge) explain(ctx context.Context, r Request, shown *gqlerror.Error) {
	cause := shown.Err
	shown.Err = nil
	if e.opts.PresentError != nil {
		if p := e.opts.PresentError(ctx, cause); p != nil {
			shown.Message = p.Message
			shown.Extensions = p.Extensions
			if len(p.Path) > 0 {
				shown.Path = p.Path
			}
			return
		}
	}
	known, ok := errs.As(cause)
	switch {
	case ok && known.Code != errs.Internal:
	case ok:
		e.logInternal(ctx, r, cause)
	case errors.Is(cause, context.DeadlineExceeded):
		known = errs.New(errs.Unavailable, "the operation took longer than %s; ask for less at a time", e.limits.Execution)
	case errors.Is(cause, context.Canceled):
		known = errs.New(errs.Unavailable, "the operation was cancelled")
	default:
		e.logInternal(ctx, r, cause)
		known, _ = errs.As(internal())
	}
	shown.Message = known.Message
	shown.Extensions = maps.Clone(shown.Extensions)
	if shown.Extensions == nil {
		shown.Extensions = map[string]any{}
	}
	shown.Extensions["code"] = string(known.Code)
	if len(known.Field) > 0 {
		shown.Extensions["field"] = known.Field
	}
}

func (e *Edge) logInternal(ctx context.Context, r Request, cause error) {
	e.opts.Logger.ErrorContext(ctx, "graphql: internal error", "request_id", r.ID, "path", path(ctx), "error", cause.Error())
}

func (e *Edge) presentAll(ctx context.Context, list gqlerror.List) gqlerror.List {
	list = e.trim(list)
	out := make(gqlerror.List, len(list))
	for i, err := range list {
		out[i] = e.present(ctx, err)
	}
	return out
}

// trim cuts a list of errors, saying how many there were.
func (e *Edge) trim(list gqlerror.List) gqlerror.List {
	most := e.limits.Errors
	if len(list) <= most {
		return list
	}
	kept := append(gqlerror.List{}, list[:most-1]...)
	return append(kept, &gqlerror.Error{
		Message:    fmt.Sprintf("%d more errors are not shown", len(list)-most+1),
		Extensions: map[string]any{"code": string(errs.LimitReached)},
	})
}

// codeOf is the code of the first error.
func codeOf(list gqlerror.List) errs.Code {
	if len(list) == 0 {
		return ""
	}
	switch code := list[0].Extensions["code"].(type) {
	case string:
		return errs.Code(code)
	case errs.Code:
		return code
	case fmt.Stringer:
		return errs.Code(code.String())
	}
	return ""
}
