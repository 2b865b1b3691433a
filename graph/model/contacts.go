package model

import "switchboard/internal/id"

type (
	// ContactImportUpdated says that the import of a file went on or ended.
	ContactImportUpdated struct {
		EventHead
		ImportID id.ID
	}
	// ContactRemoved says that a contact was deleted, or merged into another.
	ContactRemoved struct {
		EventHead
		DeletedContactID, MergedIntoID id.ID
	}
	// RecordRemoved says that a record was deleted.
	RecordRemoved struct {
		EventHead
		DeletedRecordID id.ID
	}
)
