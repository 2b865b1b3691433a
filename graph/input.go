package graph

import (
	"github.com/99designs/gqlgen/graphql"

	"switchboard/graph/model"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/user"
)

// given is the value of an optional input, its zero value when absent or null.
func given[T any](o graphql.Omittable[*T]) (v T) {
	if p := o.Value(); p != nil {
		v = *p
	}
	return v
}

// of is the value behind an optional argument.
func of[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// field keeps "absent" apart from "null".
func field[T any](o graphql.Omittable[*T]) patch.Field[T] { return patch.From(o.IsSet(), o.Value()) }

// each turns a list input into the domain's, keeping "absent" apart from "null".
func each[T, U any](o graphql.Omittable[[]T], f func(T) U) patch.Field[[]U] {
	if !o.IsSet() {
		return patch.Field[[]U]{}
	}
	if o.Value() == nil {
		return patch.Clear[[]U]()
	}
	return patch.To(every(o.Value(), f))
}

func every[T, U any](in []T, f func(T) U) []U {
	out := make([]U, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

func same[T any](v T) T { return v }

func deref(p *id.ID) id.ID { return *p }

func userPhone(p *model.UserPhoneInput) user.PhoneInput {
	return user.PhoneInput{Label: given(p.Label), Number: p.Number, IsPrimary: given(p.IsPrimary)}
}

func contactPhone(p *model.ContactPhoneInput) contact.PhoneInput {
	return contact.PhoneInput{Label: given(p.Label), Number: p.Number, IsPrimary: given(p.IsPrimary)}
}

// idOrNull is null for the zero id.
func idOrNull(x id.ID) *id.ID {
	if x.IsZero() {
		return nil
	}
	return &x
}

// unless is the value of a payload that had no problems.
func unless[T any](problems []*model.UserError, v T) *T {
	if len(problems) > 0 {
		return nil
	}
	return &v
}

// unlessNull is a field whose null is like absence.
func unlessNull[T any](o graphql.Omittable[*T]) patch.Field[T] {
	if o.Value() == nil {
		return patch.Field[T]{}
	}
	return patch.To(*o.Value())
}

// wordOrNull is null for the empty text.
func wordOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
