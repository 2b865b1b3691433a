// Package loader gathers the look-ups of one answer: however many rows of a page
// point at a branch or a user, they are read by one statement.
//
// The invariant: loaders live as long as one answer. A subscription gets new
// ones for every message, so it never shows what was true before.
package loader

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vikstrous/dataloadgen"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/automation"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/delivery"
	"switchboard/internal/diagnose"
	"switchboard/internal/export"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/recording"
	"switchboard/internal/retention"
	"switchboard/internal/route"
	"switchboard/internal/session"
	"switchboard/internal/sound"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
)

// Batch gathers look-ups of one kind.
type Batch[V any] struct {
	*dataloadgen.Loader[id.ID, V]
	read func(ctx context.Context, ids []id.ID) (map[id.ID]V, error)
}

// One loads single rows; a missing row is nil.
type One[T any] = Batch[*T]

// Many loads the rows that belong to one.
type Many[T any] = Batch[[]*T]

// Sources are the batch reads behind the loaders; each gives the rows it finds,
// within the tenant of the context and what the actor may see.
type Sources struct {
	Users          func(ctx context.Context, ids []id.ID) ([]*user.User, error)
	Devices        func(ctx context.Context, ids []id.ID) ([]*user.Device, error)
	Roles          func(ctx context.Context, ids []id.ID) ([]*access.Role, error)
	Contacts       func(ctx context.Context, ids []id.ID) ([]*contact.Contact, error)
	Campaigns      func(ctx context.Context, ids []id.ID) ([]*contact.Campaign, error)
	Records        func(ctx context.Context, ids []id.ID) ([]*contact.Record, error)
	RecordEvents   func(ctx context.Context, ids []id.ID) ([]*contact.RecordEvent, error)
	Branches       func(ctx context.Context, ids []id.ID) ([]*number.Branch, error)
	Numbers        func(ctx context.Context, ids []id.ID) ([]*number.PhoneNumber, error)
	Connections    func(ctx context.Context, ids []id.ID) ([]*number.Connection, error)
	Teams          func(ctx context.Context, ids []id.ID) ([]*number.Team, error)
	Hours          func(ctx context.Context, ids []id.ID) ([]*number.OpeningHours, error)
	Menus          func(ctx context.Context, ids []id.ID) ([]*number.Menu, error)
	SIPDomains     func(ctx context.Context, ids []id.ID) ([]*number.SIPDomain, error)
	Audio          func(ctx context.Context, ids []id.ID) ([]*number.Audio, error)
	Calls          func(ctx context.Context, ids []id.ID) ([]*call.Call, error)
	Masks          func(ctx context.Context, ids []id.ID) ([]*call.MaskedPair, error)
	Recordings     func(ctx context.Context, ids []id.ID) ([]*recording.Recording, error)
	SeenRecordings func(ctx context.Context, ids []id.ID) ([]*recording.Recording, error)
	Voicemails     func(ctx context.Context, ids []id.ID) ([]*voicemail.Voicemail, error)
	Threads        func(ctx context.Context, ids []id.ID) ([]*message.Thread, error)
	Messages       func(ctx context.Context, ids []id.ID) ([]*message.Message, error)
	Templates      func(ctx context.Context, ids []id.ID) ([]*message.SavedTemplate, error)
	Automations    func(ctx context.Context, ids []id.ID) ([]*automation.Automation, error)
	AutomationRuns func(ctx context.Context, ids []id.ID) ([]*automation.Run, error)
	Bulks          func(ctx context.Context, ids []id.ID) ([]*message.Bulk, error)
	BulkCounts     func(ctx context.Context, ids []id.ID) (map[id.ID]*message.BulkCounts, error)
	BulkCosts      func(ctx context.Context, ids []id.ID) (map[id.ID]*message.BulkCosts, error)

	Findings func(ctx context.Context, ids []id.ID) ([]*diagnose.Finding, error)
	// SubjectFindings are the open ones of things.
	SubjectFindings         func(ctx context.Context, subjects []id.ID) (map[id.ID][]*diagnose.Finding, error)
	FollowUps               func(ctx context.Context, ids []id.ID) ([]*followup.FollowUp, error)
	CallFollowUps           func(ctx context.Context, calls []id.ID) (map[id.ID]*followup.FollowUp, error)
	VoicemailFollowUps      func(ctx context.Context, voicemails []id.ID) (map[id.ID]*followup.FollowUp, error)
	FollowUpNotes           func(ctx context.Context, ids []id.ID) (map[id.ID][]*followup.Note, error)
	NotificationSendings    func(ctx context.Context, ids []id.ID) (map[id.ID][]*followup.Sending, error)
	NumberVoicemailChannels func(ctx context.Context, numbers []id.ID) (map[id.ID][]followup.Channel, error)
	RoleNotifications       func(ctx context.Context, roles []id.ID) (map[id.ID][]*followup.Preference, error)

	WebhookEndpoints func(ctx context.Context, ids []id.ID) ([]*delivery.Endpoint, error)
	WebhookAttempts  func(ctx context.Context, ids []id.ID) (map[id.ID][]*delivery.Attempt, error)

	UserPhones      func(ctx context.Context, ids []id.ID) (map[id.ID][]*user.Phone, error)
	UserBranches    func(ctx context.Context, ids []id.ID) (map[id.ID][]id.ID, error)
	UserQuietLines  func(ctx context.Context, ids []id.ID) (map[id.ID][]id.ID, error)
	UserNumbers     func(ctx context.Context, ids []id.ID) (map[id.ID][]id.ID, error)
	BranchUsers     func(ctx context.Context, ids []id.ID) (map[id.ID][]id.ID, error)
	BranchNumbers   func(ctx context.Context, ids []id.ID) (map[id.ID][]*number.PhoneNumber, error)
	TeamNumbers     func(ctx context.Context, ids []id.ID) (map[id.ID][]*number.PhoneNumber, error)
	NumberUsers     func(ctx context.Context, ids []id.ID) (map[id.ID][]*number.NumberUser, error)
	PushCredentials func(ctx context.Context, ids []id.ID) (map[id.ID][]*number.PushCredential, error)
	ContactPhones   func(ctx context.Context, ids []id.ID) (map[id.ID][]*contact.Phone, error)
	CallRoutes      func(ctx context.Context, ids []id.ID) (map[id.ID]*route.Decision, error)
	// Reveals writes down that the numbers of masked pairs were shown.
	Reveals         func(ctx context.Context, pairs []id.ID) (map[id.ID]bool, error)
	Legs            func(ctx context.Context, ids []id.ID) ([]*call.Leg, error)
	CallLegs        func(ctx context.Context, ids []id.ID) (map[id.ID][]*call.Leg, error)
	LegQuality      func(ctx context.Context, ids []id.ID) (map[id.ID][]*call.QualityWarning, error)
	CallRecordings  func(ctx context.Context, ids []id.ID) (map[id.ID][]*recording.Recording, error)
	CallVoicemails  func(ctx context.Context, ids []id.ID) (map[id.ID]*voicemail.Voicemail, error)
	MessageMedia    func(ctx context.Context, ids []id.ID) (map[id.ID][]*message.Media, error)
	OptedOutThreads func(ctx context.Context, ids []id.ID) (map[id.ID]bool, error)
	Consents        func(ctx context.Context, ids []id.ID) ([]*message.Consent, error)
	Countries       func(ctx context.Context, connections []id.ID) (map[id.ID][]string, error)
	SenderWarnings  func(ctx context.Context, numbers []id.ID) (map[id.ID][]string, error)
	ThreadUnread    func(ctx context.Context, ids []id.ID) (map[id.ID]int, error)
	HiddenEnds      func(ctx context.Context, threads []id.ID) (map[id.ID]bool, error)
	HoldsOf         func(ctx context.Context, subjects []id.ID) (map[id.ID]*retention.Hold, error)
	RetentionRules  func(ctx context.Context, ids []id.ID) ([]*retention.Rule, error)
	RetentionRuns   func(ctx context.Context, ids []id.ID) ([]*retention.Run, error)
	RetentionLast   func(ctx context.Context, rules []id.ID) (map[id.ID]*retention.Run, error)

	RecordingsHeard     func(ctx context.Context, ids []id.ID) (map[id.ID]bool, error)
	RecordingWaveforms  func(ctx context.Context, ids []id.ID) (map[id.ID]*sound.Peaks, error)
	RecordingVoicemails func(ctx context.Context, ids []id.ID) (map[id.ID]*voicemail.Voicemail, error)
	VoicemailsHeard     func(ctx context.Context, ids []id.ID) (map[id.ID]bool, error)
	VoicemailListeners  func(ctx context.Context, ids []id.ID) (map[id.ID][]*voicemail.Listener, error)
	VoicemailNotified   func(ctx context.Context, ids []id.ID) (map[id.ID][]id.ID, error)

	TranscriptSources
	ReportSources
	ContactSources

	APIKeys      func(ctx context.Context, ids []id.ID) ([]*session.ApiKey, error)
	Exports      func(ctx context.Context, ids []id.ID) ([]*export.Export, error)
	AuditEntries func(ctx context.Context, ids []id.ID) ([]*audit.Entry, error)

	// ThreadReplyProblems has nothing for a thread without one.
	ThreadReplyProblems func(ctx context.Context, ids []id.ID) (map[id.ID]*string, error)
}

// Loaders are the loaders of one answer.
type Loaders struct {
	Users          *One[user.User]
	Devices        *One[user.Device]
	Roles          *One[access.Role]
	Contacts       *One[contact.Contact]
	Campaigns      *One[contact.Campaign]
	Records        *One[contact.Record]
	RecordEvents   *One[contact.RecordEvent]
	Branches       *One[number.Branch]
	Numbers        *One[number.PhoneNumber]
	Connections    *One[number.Connection]
	Teams          *One[number.Team]
	Hours          *One[number.OpeningHours]
	Menus          *One[number.Menu]
	SIPDomains     *One[number.SIPDomain]
	Audio          *One[number.Audio]
	Calls          *One[call.Call]
	Masks          *One[call.MaskedPair]
	Recordings     *One[recording.Recording]
	SeenRecordings *One[recording.Recording]
	Voicemails     *One[voicemail.Voicemail]
	Threads        *One[message.Thread]
	Messages       *One[message.Message]
	Templates      *One[message.SavedTemplate]
	Automations    *One[automation.Automation]
	AutomationRuns *One[automation.Run]
	Bulks          *One[message.Bulk]
	BulkCounts     *Batch[*message.BulkCounts]
	BulkCosts      *Batch[*message.BulkCosts]

	Findings                *One[diagnose.Finding]
	SubjectFindings         *Many[diagnose.Finding]
	FollowUps               *One[followup.FollowUp]
	CallFollowUps           *Batch[*followup.FollowUp]
	VoicemailFollowUps      *Batch[*followup.FollowUp]
	FollowUpNotes           *Many[followup.Note]
	NotificationSendings    *Many[followup.Sending]
	NumberVoicemailChannels *Batch[[]followup.Channel]
	RoleNotifications       *Many[followup.Preference]

	WebhookEndpoints *One[delivery.Endpoint]
	WebhookAttempts  *Many[delivery.Attempt]

	UserPhones      *Many[user.Phone]
	UserBranches    *Batch[[]id.ID]
	UserQuietLines  *Batch[[]id.ID]
	UserNumbers     *Batch[[]id.ID]
	BranchUsers     *Batch[[]id.ID]
	BranchNumbers   *Many[number.PhoneNumber]
	TeamNumbers     *Many[number.PhoneNumber]
	NumberUsers     *Many[number.NumberUser]
	PushCredentials *Many[number.PushCredential]
	ContactPhones   *Many[contact.Phone]
	CallRoutes      *Batch[*route.Decision]
	Reveals         *Batch[bool]
	Legs            *One[call.Leg]
	CallLegs        *Many[call.Leg]
	LegQuality      *Many[call.QualityWarning]
	CallRecordings  *Many[recording.Recording]
	CallVoicemails  *Batch[*voicemail.Voicemail]
	MessageMedia    *Many[message.Media]
	OptedOutThreads *Batch[bool]
	Consents        *One[message.Consent]
	Countries       *Batch[[]string]
	SenderWarnings  *Batch[[]string]
	ThreadUnread    *Batch[int]
	HiddenEnds      *Batch[bool]
	HoldsOf         *Batch[*retention.Hold]
	RetentionRules  *One[retention.Rule]
	RetentionRuns   *One[retention.Run]
	RetentionLast   *Batch[*retention.Run]

	RecordingsHeard     *Batch[bool]
	RecordingWaveforms  *Batch[*sound.Peaks]
	RecordingVoicemails *Batch[*voicemail.Voicemail]
	VoicemailsHeard     *Batch[bool]
	VoicemailListeners  *Many[voicemail.Listener]
	VoicemailNotified   *Batch[[]id.ID]

	*TranscriptLoaders
	*ReportLoaders
	*ContactLoaders

	APIKeys      *One[session.ApiKey]
	Exports      *One[export.Export]
	AuditEntries *One[audit.Entry]

	ThreadReplyProblems *Batch[*string]
}

// New makes the loaders of one answer.
func New(s *Sources) *Loaders {
	return &Loaders{
		TranscriptLoaders: transcriptLoaders(s.TranscriptSources),
		ReportLoaders:     reportLoaders(s.ReportSources),
		ContactLoaders:    contactLoaders(s.ContactSources),

		Users:          one(s.Users, func(x *user.User) id.ID { return x.ID }),
		Devices:        one(s.Devices, func(x *user.Device) id.ID { return x.ID }),
		Roles:          one(s.Roles, func(x *access.Role) id.ID { return x.ID }),
		Contacts:       one(s.Contacts, func(x *contact.Contact) id.ID { return x.ID }),
		Campaigns:      one(s.Campaigns, func(x *contact.Campaign) id.ID { return x.ID }),
		Records:        one(s.Records, func(x *contact.Record) id.ID { return x.ID }),
		RecordEvents:   one(s.RecordEvents, func(x *contact.RecordEvent) id.ID { return x.ID }),
		Branches:       one(s.Branches, func(x *number.Branch) id.ID { return x.ID }),
		Numbers:        one(s.Numbers, func(x *number.PhoneNumber) id.ID { return x.ID }),
		Connections:    one(s.Connections, func(x *number.Connection) id.ID { return x.ID }),
		Teams:          one(s.Teams, func(x *number.Team) id.ID { return x.ID }),
		Hours:          one(s.Hours, func(x *number.OpeningHours) id.ID { return x.ID }),
		Menus:          one(s.Menus, func(x *number.Menu) id.ID { return x.ID }),
		SIPDomains:     one(s.SIPDomains, func(x *number.SIPDomain) id.ID { return x.ID }),
		Audio:          one(s.Audio, func(x *number.Audio) id.ID { return x.ID }),
		Calls:          one(s.Calls, func(x *call.Call) id.ID { return x.ID }),
		Masks:          one(s.Masks, func(x *call.MaskedPair) id.ID { return x.ID }),
		Recordings:     one(s.Recordings, func(x *recording.Recording) id.ID { return x.ID }),
		SeenRecordings: one(s.SeenRecordings, func(x *recording.Recording) id.ID { return x.ID }),
		Voicemails:     one(s.Voicemails, func(x *voicemail.Voicemail) id.ID { return x.ID }),
		Threads:        one(s.Threads, func(x *message.Thread) id.ID { return x.ID }),
		Messages:       one(s.Messages, func(x *message.Message) id.ID { return x.ID }),
		Templates:      one(s.Templates, func(x *message.SavedTemplate) id.ID { return x.ID }),
		Automations:    one(s.Automations, func(x *automation.Automation) id.ID { return x.ID }),
		AutomationRuns: one(s.AutomationRuns, func(x *automation.Run) id.ID { return x.ID }),
		Bulks:          one(s.Bulks, func(x *message.Bulk) id.ID { return x.ID }),
		BulkCounts:     many(s.BulkCounts),
		BulkCosts:      many(s.BulkCosts),

		APIKeys:      one(s.APIKeys, func(x *session.ApiKey) id.ID { return x.ID }),
		Exports:      one(s.Exports, func(x *export.Export) id.ID { return x.ID }),
		AuditEntries: one(s.AuditEntries, func(x *audit.Entry) id.ID { return x.ID }),

		Findings:                one(s.Findings, func(x *diagnose.Finding) id.ID { return x.ID }),
		SubjectFindings:         many(s.SubjectFindings),
		FollowUps:               one(s.FollowUps, func(x *followup.FollowUp) id.ID { return x.ID }),
		CallFollowUps:           many(s.CallFollowUps),
		VoicemailFollowUps:      many(s.VoicemailFollowUps),
		FollowUpNotes:           many(s.FollowUpNotes),
		NotificationSendings:    many(s.NotificationSendings),
		NumberVoicemailChannels: many(s.NumberVoicemailChannels),
		RoleNotifications:       many(s.RoleNotifications),

		WebhookEndpoints: one(s.WebhookEndpoints, func(x *delivery.Endpoint) id.ID { return x.ID }),
		WebhookAttempts:  many(s.WebhookAttempts),

		UserPhones:      many(s.UserPhones),
		UserBranches:    many(s.UserBranches),
		UserQuietLines:  many(s.UserQuietLines),
		UserNumbers:     many(s.UserNumbers),
		BranchUsers:     many(s.BranchUsers),
		BranchNumbers:   many(s.BranchNumbers),
		TeamNumbers:     many(s.TeamNumbers),
		NumberUsers:     many(s.NumberUsers),
		PushCredentials: many(s.PushCredentials),
		ContactPhones:   many(s.ContactPhones),
		CallRoutes:      many(s.CallRoutes),
		Reveals:         many(s.Reveals),
		Legs:            one(s.Legs, func(x *call.Leg) id.ID { return x.ID }),
		CallLegs:        many(s.CallLegs),
		LegQuality:      many(s.LegQuality),
		CallRecordings:  many(s.CallRecordings),
		CallVoicemails:  many(s.CallVoicemails),
		MessageMedia:    many(s.MessageMedia),
		OptedOutThreads: many(s.OptedOutThreads),
		Consents:        one(s.Consents, func(x *message.Consent) id.ID { return x.ID }),
		Countries:       many(s.Countries),
		SenderWarnings:  many(s.SenderWarnings),
		ThreadUnread:    many(s.ThreadUnread),
		HiddenEnds:      many(s.HiddenEnds),
		HoldsOf:         many(s.HoldsOf),
		RetentionRules:  one(s.RetentionRules, func(x *retention.Rule) id.ID { return x.ID }),
		RetentionRuns:   one(s.RetentionRuns, func(x *retention.Run) id.ID { return x.ID }),
		RetentionLast:   many(s.RetentionLast),

		RecordingsHeard:     many(s.RecordingsHeard),
		RecordingWaveforms:  many(s.RecordingWaveforms),
		RecordingVoicemails: many(s.RecordingVoicemails),
		VoicemailsHeard:     many(s.VoicemailsHeard),
		VoicemailListeners:  many(s.VoicemailListeners),
		VoicemailNotified:   many(s.VoicemailNotified),

		ThreadReplyProblems: many(s.ThreadReplyProblems),
	}
}

// settings: siblings of one level arrive within this time; the tables are near.
var settings = []dataloadgen.Option{dataloadgen.WithWait(time.Millisecond), dataloadgen.WithBatchCapacity(1000)}

func one[T any](fetch func(context.Context, []id.ID) ([]*T, error), key func(*T) id.ID) *One[T] {
	return many(func(ctx context.Context, ids []id.ID) (map[id.ID]*T, error) {
		rows, err := fetch(ctx, ids)
		if err != nil {
			return nil, err
		}
		found := make(map[id.ID]*T, len(rows))
		for _, r := range rows {
			found[key(r)] = r
		}
		return found, nil
	})
}

func many[V any](read func(context.Context, []id.ID) (map[id.ID]V, error)) *Batch[V] {
	return &Batch[V]{read: read, Loader: dataloadgen.NewLoader(func(ctx context.Context, ids []id.ID) ([]V, []error) {
		found, err := read(ctx, ids)
		if err != nil {
			return nil, []error{err}
		}
		out := make([]V, len(ids))
		for i, x := range ids {
			out[i] = found[x]
		}
		return out, nil
	}, settings...)}
}

// Load reads one row through a loader; no id gives no row.
func Load[T any](ctx context.Context, l *One[T], x id.ID) (*T, error) {
	if x.IsZero() {
		return nil, nil
	}
	return l.Load(ctx, x)
}

// LoadAll reads rows in the order of their ids, leaving out what is missing.
func LoadAll[T any](ctx context.Context, l *One[T], ids []id.ID) ([]*T, error) {
	rows, err := l.LoadAll(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]*T, 0, len(rows))
	for _, r := range rows {
		if r != nil {
			out = append(out, r)
		}
	}
	return out, nil
}

type key struct{}

// From is the loaders of the answer being made.
func From(ctx context.Context) *Loaders { return ctx.Value(key{}).(*Loaders) }

// Extension gives every answer its own loaders.
type Extension struct{ Sources *Sources }

// ExtensionName implements graphql.HandlerExtension.
func (Extension) ExtensionName() string { return "Loaders" }

// Validate implements graphql.HandlerExtension.
func (Extension) Validate(graphql.ExecutableSchema) error { return nil }

// InterceptResponse implements graphql.ResponseInterceptor.
func (e Extension) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	return next(context.WithValue(ctx, key{}, New(e.Sources)))
}
