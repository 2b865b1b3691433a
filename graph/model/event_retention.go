package model

import "switchboard/internal/id"

// RetentionRan says that a deletion rule ran.
type RetentionRan struct {
	EventHead
	RunID id.ID
}
