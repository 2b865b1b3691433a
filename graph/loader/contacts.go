package loader

import (
	"context"

	"switchboard/internal/contact"
	"switchboard/internal/id"
)

// ContactSources are the batch reads of caller cards and imports.
type ContactSources struct {
	CallCards func(ctx context.Context, calls []id.ID) (map[id.ID]*contact.CallerCard, error)
	Imports   func(ctx context.Context, ids []id.ID) (map[id.ID]*contact.Import, error)
}

// ContactLoaders are theirs.
type ContactLoaders struct {
	CallCards *One[contact.CallerCard]
	Imports   *One[contact.Import]
}

func contactLoaders(s ContactSources) *ContactLoaders {
	return &ContactLoaders{CallCards: many(s.CallCards), Imports: many(s.Imports)}
}
