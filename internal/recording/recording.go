// Package recording is what was recorded of calls: where each recording stands,
// and our own copy of its audio, fetched once, checked and encrypted.
//
// It does not start or stop recordings. The invariant: audio is called STORED
// only when every byte that Twilio announced lies in our own store.
package recording

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
)

// RecordingStatus is where a recording stands.
type RecordingStatus string

// The states of a recording.
const (
	InProgress RecordingStatus = "IN_PROGRESS"
	Paused     RecordingStatus = "PAUSED"
	Completed  RecordingStatus = "COMPLETED"
	Absent     RecordingStatus = "ABSENT"
	Failed     RecordingStatus = "FAILED"
	Deleted    RecordingStatus = "DELETED"
)

// MediaState is whether our copy is there.
type MediaState string

// The states of our copy.
const (
	MediaPending MediaState = "PENDING"
	MediaStored  MediaState = "STORED"
	MediaFailed  MediaState = "FAILED"
	MediaNone    MediaState = "NONE"
	MediaGone    MediaState = "GONE"
)

// Purpose is what a recording was made for; it settles who may listen.
type Purpose string

// The purposes.
const (
	OfCall      Purpose = "CALL"
	OfVoicemail Purpose = "VOICEMAIL"
)

// Recording is one recording of a call (R123).
type Recording struct {
	bun.BaseModel `bun:"table:recording,alias:recording"`

	OrganizationID  id.ID           `bun:"organization_id,pk,type:uuid"`
	ID              id.ID           `bun:"id,pk,type:uuid"`
	CallID          id.ID           `bun:"call_id,type:uuid"`
	TwilioSID       string          `bun:"twilio_sid"`
	Purpose         Purpose         `bun:"purpose"`
	Status          RecordingStatus `bun:"status"`
	Channels        int             `bun:"channels"`
	OffsetSeconds   int             `bun:"offset_seconds"`
	DurationSeconds *int            `bun:"duration_seconds"`
	StartedAt       time.Time       `bun:"started_at"`
	MediaState      MediaState      `bun:"media_state"`
	MediaError      *string         `bun:"media_error"`
	BlobKey         *string         `bun:"blob_key"`
	ContentType     *string         `bun:"content_type"`
	SizeBytes       *int64          `bun:"size_bytes"`
	Attempts        int             `bun:"attempts"`
	DueAt           *time.Time      `bun:"due_at"`
	CreatedAt       time.Time       `bun:"created_at"`
	UpdatedAt       time.Time       `bun:"updated_at"`
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*Recording) IsNode() {}
