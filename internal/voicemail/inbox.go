package voicemail

import (
	"time"

	"switchboard/internal/id"
	"switchboard/internal/recording"
)

// Listener is somebody who heard a voicemail.
type Listener struct {
	VoicemailID id.ID     `bun:"voicemail_id,type:uuid"`
	UserID      id.ID     `bun:"user_id,type:uuid"`
	HeardAt     time.Time `bun:"heard_at"`
}

// Counts is how many voicemails there are that an actor sees.
type Counts struct {
	Total, Unheard, UnheardByMe, Mine, MineUnheard int
	ByNumber                                       []*NumberCount
}

// NumberCount is how many voicemails were left at one number.
type NumberCount struct {
	PhoneNumberID id.ID `bun:"phone_number_id,type:uuid"`
	Total         int   `bun:"total"`
	Unheard       int   `bun:"unheard"`
	UnheardByMe   int   `bun:"unheard_by_me"`
}

// DeletionResult is how the deletion of one voicemail went.
type DeletionResult struct {
	ID      id.ID
	Outcome recording.DeletionOutcome
	Message *string
}
