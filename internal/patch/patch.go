// Package patch keeps "not mentioned" apart from "set to null" in a partial
// change: absence keeps, null clears.
package patch

// Field is one field of a change. The zero Field is "not mentioned".
type Field[T any] struct {
	Set   bool // mentioned at all
	Null  bool // mentioned as null: clear it
	Value T    // meaningful when Set and not Null
}

// To is a Field that sets a value.
func To[T any](v T) Field[T] { return Field[T]{Set: true, Value: v} }

// Clear is a Field that clears.
func Clear[T any]() Field[T] { return Field[T]{Set: true, Null: true} }

// From is a Field from a pointer: nil clears.
func From[T any](set bool, v *T) Field[T] {
	switch {
	case !set:
		return Field[T]{}
	case v == nil:
		return Clear[T]()
	}
	return To(*v)
}

// Has reports whether the field sets a value.
func (f Field[T]) Has() bool { return f.Set && !f.Null }

// Apply changes a value that has no null: clearing gives the zero value.
func (f Field[T]) Apply(dst *T) {
	if f.Set {
		*dst = f.Value
	}
}

// ApplyPtr changes a value that may be null.
func (f Field[T]) ApplyPtr(dst **T) {
	switch {
	case !f.Set:
	case f.Null:
		*dst = nil
	default:
		v := f.Value
		*dst = &v
	}
}
