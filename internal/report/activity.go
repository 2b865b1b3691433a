package report

import (
	"switchboard/internal/call"
	"switchboard/internal/id"
)

// ActivityGroup is what activity is grouped by.
type ActivityGroup string

// The groups of activity.
const (
	ActivityByUser        ActivityGroup = "USER"
	ActivityByPhoneNumber ActivityGroup = "PHONE_NUMBER"
	ActivityByDay         ActivityGroup = "DAY"
	ActivityByBranch      ActivityGroup = "BRANCH"
)

// Activity is missed, received and outgoing calls (R211).
type Activity struct {
	Total  ActivityRow
	Rows   []ActivityRow
	Source Source
}

// ActivityRow is the activity of one group.
type ActivityRow struct {
	Key              *string
	Label            string
	Missed           int // inbound and internal, with or without a voicemail
	Received         int
	Outgoing         int
	OutgoingAnswered int
	TalkSeconds      int
}

// AnsweredBy says who answered (R213).
type AnsweredBy struct {
	Rows       []AnsweredByRow
	Unanswered int
	Source     Source
}

// AnsweredByRow is what one person answered.
type AnsweredByRow struct {
	UserID               id.ID // zero for phones of nobody
	Answered             int
	Share                float64
	TalkSeconds          int
	AverageTalkSeconds   *float64
	AverageAnswerSeconds *float64
}

// RecentCall is a call of the Recent Calls Log (R222).
type RecentCall struct {
	Call         *call.Call
	MessageCount int
	CallCount    int
}
