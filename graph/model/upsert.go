package model

import (
	"switchboard/internal/contact"
	"switchboard/internal/id"
)

// ContactUpsertRow is what became of a row of contactUpsert.
type ContactUpsertRow struct {
	Index      int
	Status     contact.UpsertStatus
	ContactID  id.ID
	UserErrors []*UserError
}

// RecordUpsertRow is what became of a row of recordUpsert.
type RecordUpsertRow struct {
	Index      int
	Status     contact.UpsertStatus
	RecordID   id.ID
	UserErrors []*UserError
}
