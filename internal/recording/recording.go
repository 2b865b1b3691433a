// Package recording is what was recorded of calls: where each recording stands,
// and our own copy of its audio, fetched once, checked and encrypted.
//
// It does not start or stop recordings. The invariants: audio is called STORED
// only when every byte that Twilio announced lies in our own store; a deleted
// recording stays a tombstone whatever Twilio tells later; and what happened to
// one stands in its ledger, which is never changed.
package recording

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/call"
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
	BlobKey         *string         `bun:"blob_key"` // the file; until it is STORED, one that an attempt may have left
	ContentType     *string         `bun:"content_type"`
	SizeBytes       *int64          `bun:"size_bytes"`
	Attempts        int             `bun:"attempts"`
	DueAt           *time.Time      `bun:"due_at"`
	CreatedAt       time.Time       `bun:"created_at"`
	UpdatedAt       time.Time       `bun:"updated_at"`

	DeletedAt      *time.Time `bun:"deleted_at"`
	DeletedByID    id.ID      `bun:"deleted_by,type:uuid"`
	DeleteReason   *string    `bun:"delete_reason"`
	GoneAtTwilioAt *time.Time `bun:"gone_at_twilio_at"`
	EraseDueAt     *time.Time `bun:"erase_due_at"`
	EraseAttempts  int        `bun:"erase_attempts"`
	NotedPauses    int        `bun:"noted_pauses"`
	FirstSide      Side       `bun:"first_side"` // whose voice the first of two channels has

	// Of its call, for those who read.
	ContactID     id.ID             `bun:"contact_id,scanonly,type:uuid"`
	RecordID      id.ID             `bun:"record_id,scanonly,type:uuid"`
	BranchID      id.ID             `bun:"branch_id,scanonly,type:uuid"`
	PhoneNumberID id.ID             `bun:"phone_number_id,scanonly,type:uuid"`
	Direction     call.Direction    `bun:"direction,scanonly"`
	NoticeCodes   []call.NoticeCode `bun:"notices,scanonly,array"`
	IsHeld        bool              `bun:"is_held,scanonly"`
}

// Notices are what there is to know about its call.
func (r *Recording) Notices() []*call.Notice {
	out := make([]*call.Notice, 0, len(r.NoticeCodes))
	for _, n := range r.NoticeCodes {
		out = append(out, &call.Notice{Code: n})
	}
	return out
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*Recording) IsNode() {}
