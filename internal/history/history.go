// Package history reads what happened over all nouns: the timeline of a contact
// or a record, and one search over everything (R177, R178, R204, R278).
//
// The invariants: each thing stands in a timeline once; nobody finds, counts or
// is told of what they would not see in the noun's own list.
package history

import (
	"time"

	"switchboard/internal/id"
)

// ItemKind is what stands in a timeline.
type ItemKind string

// The kinds of item.
const (
	CallItem        ItemKind = "CALL"
	RecordingItem   ItemKind = "RECORDING"
	VoicemailItem   ItemKind = "VOICEMAIL"
	TranscriptItem  ItemKind = "TRANSCRIPT"
	MessageItem     ItemKind = "MESSAGE"
	RecordItem      ItemKind = "RECORD"
	RecordEventItem ItemKind = "RECORD_EVENT"
	FollowUpItem    ItemKind = "FOLLOW_UP"
)

// Item is something in the history of a contact or record.
type Item struct {
	Kind   ItemKind  `bun:"kind"`
	At     time.Time `bun:"at"`
	NodeID id.ID     `bun:"id,type:uuid"`
}

// HitKind is what a search looks through.
type HitKind string

// The kinds of hit.
const (
	ContactHit    HitKind = "CONTACT"
	RecordHit     HitKind = "RECORD"
	CallHit       HitKind = "CALL"
	MessageHit    HitKind = "MESSAGE"
	TranscriptHit HitKind = "TRANSCRIPT"
)

// Hit is one thing that a search found.
type Hit struct {
	Kind    HitKind
	At      time.Time
	NodeID  id.ID
	Excerpt *string // 200 characters around the words
}
