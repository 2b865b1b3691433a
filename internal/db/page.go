package db

import (
	"encoding/base64"
	"encoding/binary"
	"time"

	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// The size of a page: what a client gets that does not say, and the most it may ask for.
const (
	DefaultFirst = 25
	MaxFirst     = 100
	// MaxBatch is the most of a page that the server itself reads.
	MaxBatch = 5000
)

// Page asks for a part of a list by keyset, newest first.
type Page struct {
	First int    // rows wanted; 0 is DefaultFirst
	After string // a cursor that an earlier page gave; "" starts at the newest
	// Batch allows up to MaxBatch rows: for the server's own reading of a whole
	// list, never for what a client asks.
	Batch bool
}

// Limit is the number of rows wanted. It returns an errs.Invalid beyond MaxFirst.
func (p Page) Limit() (int, error) {
	switch {
	case p.First == 0:
		return DefaultFirst, nil
	case p.Batch && p.First > 0 && p.First <= MaxBatch:
		return p.First, nil
	case p.First < 0 || p.First > MaxFirst:
		return 0, errs.New(errs.Invalid, "first is %d; ask for 1 to %d", p.First, MaxFirst).At("first")
	}
	return p.First, nil
}

// Keyset returns the number of rows wanted and the place to go on from. The
// query is the same for every page:
//
//	WHERE (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4
//
// with $4 = limit+1, so that NewWindow can tell whether more follow.
func (p Page) Keyset() (limit int, after Keyset, err error) {
	if limit, err = p.Limit(); err != nil {
		return 0, Keyset{}, err
	}
	if p.After == "" {
		return limit, Top, nil
	}
	after, err = ParseKeyset(p.After)
	return limit, after, err
}

// Keyset is a place in a list ordered by time and id, newest first.
type Keyset struct {
	At time.Time
	ID id.ID
}

// Top is the place before the newest row.
var Top = Keyset{
	At: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
	ID: id.FromUUID([16]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}),
}

// String is the opaque cursor: 32 characters.
func (k Keyset) String() string {
	var b [24]byte
	binary.BigEndian.PutUint64(b[:8], uint64(k.At.UnixMicro()))
	u := k.ID.UUID()
	copy(b[8:], u[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// ParseKeyset reads a cursor; anything else is an errs.Invalid.
func ParseKeyset(cursor string) (Keyset, error) {
	var b [24]byte
	if len(cursor) == 32 {
		if n, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(cursor)); err == nil && n == 24 {
			at := time.UnixMicro(int64(binary.BigEndian.Uint64(b[:8]))).UTC()
			if year := at.Year(); year >= 1 && year <= 9999 { // what timestamptz takes
				return Keyset{At: at, ID: id.FromUUID([16]byte(b[8:]))}, nil
			}
		}
	}
	return Keyset{}, errs.New(errs.Invalid, "after is not a cursor of this list; use the endCursor or a cursor of an earlier page").At("after")
}

// Window is one page of a list.
type Window[T any] struct {
	Nodes   []T
	HasNext bool
	key     func(T) Keyset
}

// NewWindow cuts the rows of a query that asked for limit+1.
func NewWindow[T any](rows []T, limit int, key func(T) Keyset) Window[T] {
	w := Window[T]{Nodes: rows, key: key}
	if len(rows) > limit {
		w.Nodes, w.HasNext = rows[:limit], true
	}
	return w
}

// Cursor is the cursor of the node at i.
func (w Window[T]) Cursor(i int) string { return w.key(w.Nodes[i]).String() }

// StartCursor is the cursor of the first node, "" when there is none.
func (w Window[T]) StartCursor() string {
	if len(w.Nodes) == 0 {
		return ""
	}
	return w.Cursor(0)
}

// EndCursor is the cursor of the last node, "" when there is none.
func (w Window[T]) EndCursor() string {
	if len(w.Nodes) == 0 {
		return ""
	}
	return w.Cursor(len(w.Nodes) - 1)
}
