// Package transcript is what was said in recordings, as text: who makes it, the
// text itself with its speakers and times, what people correct, note and search.
//
// It does not record and holds no audio. The invariant: a transcript is a record of
// its own (R207). Nothing that happens to its recording deletes it, and a provider
// is never asked twice for the same transcript unless it is known not to have begun.
package transcript

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/event"
	"switchboard/internal/id"
)

// The kinds of event.
const (
	// EventCompleted says that a transcript is complete, or could not be made (R205).
	EventCompleted event.Kind = "TRANSCRIPT_COMPLETED"
	// EventUpdated says that a transcript was corrected, noted on, organised or deleted.
	EventUpdated event.Kind = "TRANSCRIPT_UPDATED"
)

// Status is where a transcript stands.
type Status string

// The states of a transcript.
const (
	Queued    Status = "QUEUED"
	Running   Status = "RUNNING"
	Completed Status = "COMPLETED"
	Failed    Status = "FAILED"
	Deleted   Status = "DELETED"
)

// Source is what kind of recording a transcript was made of.
type Source string

// The sources.
const (
	OfCall      Source = "CALL"
	OfVoicemail Source = "VOICEMAIL"
)

// ProviderName names who turns speech into text (R200).
type ProviderName string

// The providers.
const (
	Twilio ProviderName = "TWILIO"
	Google ProviderName = "GOOGLE"
	HTTP   ProviderName = "HTTP"
)

// FailureCode says what kind of failure it was.
type FailureCode string

// The failures.
const (
	NotConfigured FailureCode = "NOT_CONFIGURED"
	Refused       FailureCode = "REFUSED"
	TooLong       FailureCode = "TOO_LONG"
	OverCap       FailureCode = "OVER_CAP"
	NoAudio       FailureCode = "NO_AUDIO"
	Unavailable   FailureCode = "UNAVAILABLE"
	Unknown       FailureCode = "UNKNOWN"
	TimedOut      FailureCode = "TIMED_OUT"
)

// Mode says which recordings become text by themselves.
type Mode string

// The modes.
const (
	Off        Mode = "OFF"
	Calls      Mode = "CALLS"
	Voicemails Mode = "VOICEMAILS"
	All        Mode = "ALL"
)

// Takes reports whether recordings of the source become text.
func (m Mode) Takes(s Source) bool {
	return m == All || m == Calls && s == OfCall || m == Voicemails && s == OfVoicemail
}

// Flag is what a note marks (R202).
type Flag string

// The flags.
const (
	DiscussionPoint Flag = "DISCUSSION_POINT"
	FollowUp        Flag = "FOLLOW_UP"
	Coaching        Flag = "COACHING"
	Compliance      Flag = "COMPLIANCE"
	Complaint       Flag = "COMPLAINT"
	Praise          Flag = "PRAISE"
)

// Transcript is the text of a recording, without the text (R207).
type Transcript struct {
	bun.BaseModel `bun:"table:transcript,alias:transcript"`

	OrganizationID  id.ID        `bun:"organization_id,pk,type:uuid"`
	ID              id.ID        `bun:"id,pk,type:uuid"`
	CallID          id.ID        `bun:"call_id,type:uuid,nullzero"`
	RecordingID     id.ID        `bun:"recording_id,type:uuid,nullzero"`
	VoicemailID     id.ID        `bun:"voicemail_id,type:uuid,nullzero"`
	Source          Source       `bun:"source"`
	ContactID       id.ID        `bun:"contact_id,type:uuid,nullzero"`
	RecordID        id.ID        `bun:"record_id,type:uuid,nullzero"`
	UserID          id.ID        `bun:"user_id,type:uuid,nullzero"`
	BranchID        id.ID        `bun:"branch_id,type:uuid,nullzero"`
	PhoneNumberID   id.ID        `bun:"phone_number_id,type:uuid,nullzero"`
	Status          Status       `bun:"status"`
	Provider        ProviderName `bun:"provider"`
	Language        string       `bun:"language"`
	Confidence      *float64     `bun:"confidence"`
	IsAutomatic     bool         `bun:"is_automatic"`
	CreatedBy       id.ID        `bun:"created_by,type:uuid,nullzero"`
	FailureCode     *FailureCode `bun:"failure_code"`
	FailureReason   *string      `bun:"failure_reason"`
	Subject         *string      `bun:"subject"`
	Categories      []string     `bun:"categories,array"`
	SegmentCount    int          `bun:"segment_count"`
	IsCorrected     bool         `bun:"is_corrected"`
	DurationSeconds *int         `bun:"duration_seconds"`
	RecordedAt      time.Time    `bun:"recorded_at"`
	ConnectionID    id.ID        `bun:"connection_id,type:uuid,nullzero"`
	ProviderRef     *string      `bun:"provider_ref"`
	ProviderState   []byte       `bun:"provider_state"`
	Attempts        int          `bun:"attempts"`
	AskedAt         *time.Time   `bun:"asked_at"`
	LeasedUntil     *time.Time   `bun:"leased_until"`
	ReservedSeconds *int         `bun:"reserved_seconds"`
	DueAt           *time.Time   `bun:"due_at"`
	CompletedAt     *time.Time   `bun:"completed_at"`
	DeletedAt       *time.Time   `bun:"deleted_at"`
	DeletedByID     id.ID        `bun:"deleted_by,type:uuid,nullzero"`
	DeletedReason   *string      `bun:"deleted_reason"`
	Version         int64        `bun:"version"`
	CreatedAt       time.Time    `bun:"created_at"`
	UpdatedAt       time.Time    `bun:"updated_at"`

	// Matches are the segments with the words that a search found it by.
	Matches []int `bun:"-"`
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*Transcript) IsNode() {}

// Segment is a stretch of speech.
type Segment struct {
	TranscriptID id.ID    `bun:"transcript_id"`
	Index        int      `bun:"position"`
	StartMs      int      `bun:"start_ms"`
	EndMs        int      `bun:"end_ms"`
	Speaker      string   `bun:"speaker"`
	Text         string   `bun:"text"`
	OriginalText *string  `bun:"original_text"`
	Confidence   *float64 `bun:"confidence"`
}

// IsCorrected reports whether a person changed the words.
func (s *Segment) IsCorrected() bool { return s.OriginalText != nil }

// Correction is all that a person changed at a time (R201).
type Correction struct {
	ID           id.ID
	TranscriptID id.ID
	ByID         id.ID
	At           time.Time
	Version      int64
	Changes      []*Change
}

// Change is one segment's part of a Correction.
type Change struct {
	Index         int    `json:"index"`
	TextBefore    string `json:"textBefore"`
	TextAfter     string `json:"textAfter"`
	SpeakerBefore string `json:"speakerBefore"`
	SpeakerAfter  string `json:"speakerAfter"`
}

// Note is what a person wrote on a transcript, or flagged (R202).
type Note struct {
	bun.BaseModel `bun:"table:transcript_note,alias:note"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	TranscriptID   id.ID      `bun:"transcript_id,type:uuid"`
	Text           string     `bun:"text"`
	Flag           *Flag      `bun:"flag"`
	SegmentIndex   *int       `bun:"segment_index"`
	AtMs           *int       `bun:"at_ms"`
	AuthorID       id.ID      `bun:"author_id,type:uuid,nullzero"`
	ResolvedAt     *time.Time `bun:"resolved_at"`
	ResolvedByID   id.ID      `bun:"resolved_by,type:uuid,nullzero"`
	CreatedAt      time.Time  `bun:"created_at"`
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*Note) IsNode() {}

// Settings are how an organization's recordings become text.
type Settings struct {
	Mode           Mode
	Provider       ProviderName
	Problem        *string
	Language       string
	MaxSeconds     int
	MonthlyMinutes *int
	UsedMinutes    int
	Vocabulary     []string
	GoogleModel    string
	HTTPURL        *string
	Version        int64

	HasGoogleCredentials, HasHTTPSecret bool
}

// IsReady reports whether the provider has what it needs.
func (s *Settings) IsReady() bool { return s.Problem == nil }

// Insights are what customers talk about, over a range of time (R219).
type Insights struct {
	TranscriptCount int
	ReadCount       int
	IsComplete      bool
	Minutes         int
	Themes          []*Theme
	RepeatedIssues  []*Issue
	Categories      []*CategoryCount
	Flags           []*FlagCount
	Users           []*UserCount
	OpenNotes       []*Note
}

// Theme is words that many transcripts share.
type Theme struct {
	Words           string
	TranscriptCount int
	PreviousCount   int
	IsRising        bool
}

// Issue is the same thing again and again, of one contact or one record.
type Issue struct {
	Words           string
	IsCategory      bool
	ContactID       id.ID
	RecordID        id.ID
	TranscriptCount int
	Transcripts     []*Transcript
	LastAt          time.Time
}

// CategoryCount is how many transcripts have a category.
type CategoryCount struct {
	Category string
	Count    int
}

// FlagCount is how many notes have a flag.
type FlagCount struct {
	Flag      Flag
	Count     int
	OpenCount int
}

// UserCount is how many transcripts are of a user who talked.
type UserCount struct {
	UserID  id.ID
	Count   int
	Minutes int
}
