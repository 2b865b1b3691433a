package model

import "switchboard/internal/id"

// ExportUpdated says that an export went on, ended or expired.
type ExportUpdated struct {
	EventHead
	ExportID id.ID
}
