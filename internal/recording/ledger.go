package recording

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
)

// LedgerKind is what can happen to a recording.
type LedgerKind string

// The kinds of entry.
const (
	ConsentPlayed   LedgerKind = "CONSENT_PLAYED"
	ConsentMissing  LedgerKind = "CONSENT_MISSING"
	Started         LedgerKind = "STARTED"
	PausedAt        LedgerKind = "PAUSED"
	ResumedAt       LedgerKind = "RESUMED"
	Ended           LedgerKind = "COMPLETED"
	Stored          LedgerKind = "STORED"
	NotStored       LedgerKind = "NOT_STORED"
	Listened        LedgerKind = "LISTENED"
	Downloaded      LedgerKind = "DOWNLOADED"
	Exported        LedgerKind = "EXPORTED"
	HoldPlaced      LedgerKind = "HOLD_PLACED"
	HoldReleased    LedgerKind = "HOLD_RELEASED"
	DeletedHere     LedgerKind = "DELETED"
	AudioErased     LedgerKind = "AUDIO_ERASED"
	DeletedAtSource LedgerKind = "DELETED_AT_TWILIO"
	GoneAtSource    LedgerKind = "GONE_AT_TWILIO"
)

// LedgerEntry is one thing that happened to a recording.
type LedgerEntry struct {
	bun.BaseModel `bun:"table:recording_ledger,alias:entry"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	RecordingID    id.ID      `bun:"recording_id,type:uuid"`
	Kind           LedgerKind `bun:"kind"`
	At             time.Time  `bun:"at"`
	ActorID        id.ID      `bun:"actor_id,type:uuid"` // a user or API key; zero for callers, rules and the network
	Reason         *string    `bun:"reason"`
	Key            *string    `bun:"key"` // what can happen once only has one
}
