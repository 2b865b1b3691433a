package message

// Inbox says how many threads wait for somebody, within what they see; each
// counts to MaxInboxCount.
type Inbox struct {
	Open       int `bun:"open"`
	Unread     int `bun:"unread"` // with messages that they have not read
	Mine       int `bun:"mine"`   // open and assigned to them
	Unassigned int `bun:"unassigned"`
}

const (
	// MaxInboxCount is how far the inbox counts threads.
	MaxInboxCount = 1000
	// MaxUnread is how far one thread counts unread messages.
	MaxUnread = 100
)
