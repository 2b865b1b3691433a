package model

import "switchboard/internal/id"

// The events of transcripts.
type (
	// TranscriptCompleted says that a transcript is complete, or could not be made.
	TranscriptCompleted struct {
		EventHead
		TranscriptID id.ID
	}
	// TranscriptUpdated says that a transcript was corrected, noted on or deleted.
	TranscriptUpdated struct {
		EventHead
		TranscriptID id.ID
	}
)
