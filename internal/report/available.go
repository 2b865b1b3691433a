package report

import (
	"slices"
	"strings"

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

// needed is what each report needs.
var needed = []struct {
	name    Name
	all     []access.Permission
	feature tenant.FeatureName // "" for none
	whole   bool               // for those who see the whole organization
}{
	{name: CallLog, all: []access.Permission{access.CallView}},
	{name: SMSLog, all: []access.Permission{access.SMSView}},
	{name: RecentCalls, all: []access.Permission{access.CallView}},
	{name: LiveCalls, all: []access.Permission{access.LiveView}},
	{name: ActivityReport, all: []access.Permission{access.ReportView}},
	{name: AnsweredByReport, all: []access.Permission{access.ReportView}},
	{name: StatisticsReport, all: []access.Permission{access.ReportView}},
	{name: MessageStats, all: []access.Permission{access.ReportView}},
	{name: RecordingsReport, all: []access.Permission{access.RecordingListen}},
	{name: TranscriptsReport, all: []access.Permission{access.TranscriptView}, feature: tenant.Transcription},
	{name: VoicemailsReport, all: []access.Permission{access.VoicemailListen}},
	{name: UsageReport, all: []access.Permission{access.CostView}},
	{name: ProviderLogReport, all: []access.Permission{access.ConnectionManage, access.ReportView}, whole: true},
	{name: InternalCalls, all: []access.Permission{access.CallView}, feature: tenant.InternalCallLog},
	{name: Exports, all: []access.Permission{access.ReportExport}},
}

// Available says of every report whether the actor can ask for it, and if not what
// is missing (R221). off are the features that the organization has switched off.
func Available(who access.Actor, off []tenant.FeatureName) []*Availability {
	out := make([]*Availability, len(needed))
	for i, r := range needed {
		a := &Availability{Name: r.name, MissingPermissions: []access.Permission{}}
		var say []string
		for _, p := range r.all {
			if !who.Can(p) {
				a.MissingPermissions = append(a.MissingPermissions, p)
				say = append(say, "your role needs the permission "+string(p))
			}
		}
		if r.feature != "" && slices.Contains(off, r.feature) {
			a.MissingFeature = &r.feature
			say = append(say, "an administrator must switch the feature "+string(r.feature)+" on in the organization's settings")
		}
		if r.whole && !who.SeesAll() {
			say = append(say, "it needs a role that sees the whole organization")
		}
		if a.IsAvailable = len(say) == 0; !a.IsAvailable {
			text := strings.Join(say, "; ")
			a.Message = &text
		}
		out[i] = a
	}
	return out
}
