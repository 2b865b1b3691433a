package report

import (
	"switchboard/internal/access"
	"switchboard/internal/tenant"
)

// Name names a report.
type Name string

// The reports.
const (
	CallLog           Name = "CALL_LOG"
	SMSLog            Name = "SMS_LOG"
	RecentCalls       Name = "RECENT_CALLS"
	LiveCalls         Name = "LIVE_CALLS"
	ActivityReport    Name = "ACTIVITY"
	AnsweredByReport  Name = "ANSWERED_BY"
	StatisticsReport  Name = "STATISTICS"
	MessageStats      Name = "MESSAGE_STATISTICS"
	RecordingsReport  Name = "RECORDINGS"
	TranscriptsReport Name = "TRANSCRIPTS"
	VoicemailsReport  Name = "VOICEMAILS"
	UsageReport       Name = "USAGE"
	ProviderLogReport Name = "PROVIDER_LOG"
	InternalCalls     Name = "INTERNAL_CALLS"
	Exports           Name = "EXPORTS"
)

// Availability is a report and whether it is there for somebody (R221).
type Availability struct {
	Name               Name
	IsAvailable        bool
	MissingPermissions []access.Permission
	MissingFeature     *tenant.FeatureName
	Message            *string
}
