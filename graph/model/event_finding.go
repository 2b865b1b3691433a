package model

import "switchboard/internal/id"

// FindingUpdated says that the doctor found something, or that it is gone, known or
// put aside.
type FindingUpdated struct {
	EventHead
	FindingID id.ID
}
