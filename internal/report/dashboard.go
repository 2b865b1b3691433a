package report

import (
	"time"

	"switchboard/internal/call"
)

// Source is where the numbers of a report come from; they are the same either way.
type Source string

// The sources.
const (
	Rollup Source = "ROLLUP"
	Scan   Source = "SCAN"
)

// Dashboard is the statistics dashboard (R215).
type Dashboard struct {
	Total        Totals
	Statuses     []StatusCount
	Branches     []Row
	PhoneNumbers []Row
	Users        []Row
	Days         []Row
	Hours        []Heat
	Service      ServiceLevel
	Source       Source
	CountedAt    time.Time

	// Asked is what was asked for, for the parts that are counted only when they
	// are wanted.
	Asked CallFilter
}

// Totals are counts and times of calls.
type Totals struct {
	Count, Answered, Missed, Voicemail int
	Inbound, Outbound, Internal        int
	TalkSeconds                        int
	AverageTalkSeconds                 *float64
	RingSeconds                        int
	AverageRingSeconds                 *float64
	DurationSeconds                    int
	AverageDurationSeconds             *float64
}

// StatusCount is how many calls have a status.
type StatusCount struct {
	Status call.Status
	Count  int
	Share  float64
}

// Channel is how people reach each other.
type Channel string

// The channels.
const (
	ChannelInbound     Channel = "CALL_INBOUND"
	ChannelOutbound    Channel = "CALL_OUTBOUND"
	ChannelInternal    Channel = "CALL_INTERNAL"
	ChannelVoicemail   Channel = "VOICEMAIL"
	ChannelSMSInbound  Channel = "SMS_INBOUND"
	ChannelSMSOutbound Channel = "SMS_OUTBOUND"
	ChannelMMS         Channel = "MMS"
)

// ChannelCount is how many went through a channel.
type ChannelCount struct {
	Channel Channel
	Count   *int // nil for messages that the actor may not see
}

// Row is one group of a report.
type Row struct {
	Key    *string // a day or an id; nil for what belongs to none
	Label  string
	Totals Totals
}

// Heat is one hour of the week.
type Heat struct {
	Weekday int // 1 is Monday
	Hour    int
	Count   int
	Missed  int // nobody answered, with or without a voicemail
}

// ServiceLevel is how fast inbound calls were answered.
type ServiceLevel struct {
	WithinSeconds          int
	Offered                int
	AnsweredInTime         int
	Share                  *float64
	AverageAnswerSeconds   *float64
	MedianAnswerSeconds    *int
	NinetiethAnswerSeconds *int
	Abandoned              int
	AverageAbandonSeconds  *float64
}
