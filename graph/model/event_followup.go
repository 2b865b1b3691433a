package model

import (
	"switchboard/internal/followup"
	"switchboard/internal/id"
)

// The events about follow-ups and notifications.
type (
	// FollowUpUpdated says that a follow-up was opened, assigned, worked on or closed.
	FollowUpUpdated struct {
		EventHead
		FollowUpID id.ID
		Change     followup.Change
	}
	// NotificationUpdated says that somebody was notified, or read it.
	NotificationUpdated struct {
		EventHead
		NotificationID id.ID
	}
)
