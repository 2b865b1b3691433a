package recording

import "switchboard/internal/id"

// DeletionOutcome is how the deletion of one thing went.
type DeletionOutcome string

// The outcomes.
const (
	OutcomeDeleted    DeletionOutcome = "DELETED"
	OutcomeWasDeleted DeletionOutcome = "WAS_DELETED"
	OutcomeHeld       DeletionOutcome = "HELD"
	OutcomeInProgress DeletionOutcome = "IN_PROGRESS"
	OutcomeNotFound   DeletionOutcome = "NOT_FOUND"
)

// DeletionResult is how the deletion of one recording went.
type DeletionResult struct {
	ID      id.ID
	Outcome DeletionOutcome
	Message *string
}
