package graph

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/automation"
	"switchboard/internal/call"
	"switchboard/internal/clock"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/delivery"
	"switchboard/internal/diagnose"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/export"
	"switchboard/internal/followup"
	"switchboard/internal/gate"
	"switchboard/internal/history"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/recording"
	"switchboard/internal/report"
	"switchboard/internal/retention"
	"switchboard/internal/session"
	"switchboard/internal/tenant"
	"switchboard/internal/transcript"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
)

// Resolver answers the fields of the contract by calling the domains, d.
type Resolver struct{ d Domains }

// Domains are what the resolvers call.
type Domains struct {
	Tenants     *tenant.Service
	Roles       *access.Service
	Sessions    *session.Service
	Users       *user.Service
	Contacts    *contact.Service
	Numbers     *number.Service
	Calls       *call.Service
	Recordings  *recording.Service
	Voicemails  *voicemail.Service
	Transcripts *transcript.Service
	Messages    *message.Service
	Templates   *message.Templates
	Automations *automation.Service
	Deliveries  *delivery.Service
	FollowUps   *followup.Service
	Reports     *report.Service
	Diagnoses   *diagnose.Service
	Retention   *retention.Service
	History     *history.Service
	Gate        *gate.Service
	Exports     *export.Service
	// Audit reads the audit log of the context's tenant.
	Audit func(ctx context.Context, f audit.Filter, p db.Page) (db.Window[*audit.Entry], error)
	// AuditByIDs reads entries of it.
	AuditByIDs func(ctx context.Context, ids []id.ID) ([]*audit.Entry, error)
	// Accessed writes to it that the actor saw what is private.
	Accessed func(ctx context.Context, action string, subjects []id.ID) error
	Events   *event.Log
	Clock    clock.Clock
	// Link is an address at which the actor can hear or see a file for five minutes.
	Link func(who access.Actor, x id.ID) (string, error)
	// SmallLink is one for the small picture of a file.
	SmallLink func(who access.Actor, x id.ID) (string, error)
}

// New makes a Resolver.
func New(d Domains) *Resolver { return &Resolver{d: d} }

// Executable is the schema with its resolvers, to be put behind the edge with
// Extensions.
func (r *Resolver) Executable() graphql.ExecutableSchema {
	c := exec.Config{Resolvers: r}
	c.Directives.Can = r.can
	c.Directives.Public = func(ctx context.Context, _ any, next graphql.Resolver) (any, error) { return next(ctx) }
	return exec.NewExecutableSchema(c)
}

// Extensions are what every answer needs around the resolvers.
func (r *Resolver) Extensions() []graphql.HandlerExtension {
	return []graphql.HandlerExtension{signedIn{}, loader.Extension{Sources: r.sources()}}
}

// can refuses what the role does not allow. A mutation says so in its payload,
// like every problem that a person can mend.
func (r *Resolver) can(ctx context.Context, _ any, next graphql.Resolver, do access.Permission) (any, error) {
	err := access.From(ctx).Require(do)
	if err == nil {
		return next(ctx)
	}
	if problems, err := userErrors(err); err == nil {
		if payload, ok := refusals[strings.ToLower(graphql.GetFieldContext(ctx).Field.Name)]; ok && graphql.GetFieldContext(ctx).Object == "Mutation" {
			p := reflect.New(payload)
			p.Elem().FieldByName("UserErrors").Set(reflect.ValueOf(problems))
			return p.Interface(), nil
		}
	}
	return nil, err
}

// refusals are the payload types of the mutations, by their names in lower case.
var refusals = func() map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for m := range reflect.TypeFor[exec.MutationResolver]().Methods() {
		out[strings.ToLower(m.Name)] = m.Type.Out(0).Elem()
	}
	return out
}()

// signedIn refuses an operation with a root field that is not @public to whoever
// is not signed in.
type signedIn struct{}

// ExtensionName implements graphql.HandlerExtension.
func (signedIn) ExtensionName() string { return "SignedIn" }

// Validate implements graphql.HandlerExtension.
func (signedIn) Validate(graphql.ExecutableSchema) error { return nil }

// InterceptResponse implements graphql.ResponseInterceptor.
func (signedIn) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	err := access.From(ctx).Require("")
	if !errs.IsCode(err, errs.Unauthenticated) || public(graphql.GetOperationContext(ctx)) {
		return next(ctx)
	}
	graphql.AddError(ctx, err)
	return &graphql.Response{Errors: graphql.GetErrors(ctx)}
}

// public reports whether every root field of an operation needs no token.
func public(oc *graphql.OperationContext) bool {
	for _, f := range graphql.CollectFields(oc, oc.Operation.SelectionSet, []string{"Query", "Mutation", "Subscription"}) {
		if !strings.HasPrefix(f.Name, "__") && f.Definition.Directives.ForName("public") == nil {
			return false
		}
	}
	return true
}

// sources are the batch reads behind the loaders.
func (r *Resolver) sources() *loader.Sources {
	return &loader.Sources{
		ContactSources: loader.ContactSources{CallCards: r.callCards, Imports: byActor(r.d.Contacts.ImportsByIDs)},
		TranscriptSources: loader.TranscriptSources{
			Transcripts: visible(r.d.Transcripts.Visible), CallTranscripts: byActor(r.d.Transcripts.ByCalls), RecordingTranscripts: byActor(r.d.Transcripts.ByRecordings),
			VoicemailTranscripts: byActor(r.d.Transcripts.ByVoicemails), TranscriptTexts: r.textsRead(r.d.Transcripts.Texts), TranscriptNotes: r.d.Transcripts.NotesOf,
			NumberTranscriptions: r.d.Transcripts.NumberModes, Segments: r.segmentsRead(r.d.Transcripts.Segments),
		},
		ReportSources: loader.ReportSources{CallCosts: byActor(r.d.Reports.CallCosts), LegCosts: byActor(r.d.Reports.LegCosts), CallRecordEvents: r.callRecordEvents},
		Findings:      visible(r.d.Diagnoses.ByIDs), SubjectFindings: byActor(r.d.Diagnoses.OpenBySubjects),
		FollowUps: visible(r.d.FollowUps.Visible), CallFollowUps: byActor(r.d.FollowUps.ByCalls), VoicemailFollowUps: byActor(r.d.FollowUps.ByVoicemails),
		FollowUpNotes: r.d.FollowUps.NotesByFollowUps, NotificationSendings: r.d.FollowUps.SendingsByNotifications,
		NumberVoicemailChannels: r.d.FollowUps.VoicemailChannelsByNumbers, RoleNotifications: r.d.FollowUps.DefaultsByRoles,
		Exports: visible(r.d.Exports.Visible), AuditEntries: r.d.AuditByIDs, APIKeys: r.d.Sessions.KeysByIDs,
		WebhookEndpoints: visible(r.d.Deliveries.ByIDs), WebhookAttempts: byActor(r.d.Deliveries.AttemptsByDeliveries),
		Users: r.d.Users.ByIDs, Devices: r.d.Users.DevicesByIDs, Roles: r.d.Roles.ByIDs,
		Contacts: visible(r.d.Contacts.Named), Campaigns: visible(r.d.Contacts.CampaignsByIDs),
		Records: visible(r.d.Contacts.RecordsNamed), RecordEvents: visible(r.d.Contacts.EventsByIDs), Branches: found("", r.d.Numbers.BranchesByIDs),
		Numbers: found("", r.d.Numbers.ByIDs), Connections: found(access.ConnectionManage, r.d.Numbers.ConnectionsByIDs),
		Audio: found("", r.d.Numbers.AudioByIDs), Calls: visible(r.d.Calls.Visible), Masks: visible(r.d.Calls.VisibleMasks), Legs: found("", r.d.Calls.LegsByIDs),
		Recordings: found("", r.d.Recordings.ByIDs), Voicemails: visible(r.d.Voicemails.Visible),
		Threads: r.d.Messages.ThreadsByIDs, Messages: r.d.Messages.ByIDs, Templates: visible(r.d.Templates.ByIDs),
		Automations: visible(r.d.Automations.ByIDs), AutomationRuns: visible(r.d.Automations.RunsByIDs),
		Bulks: visible(r.d.Messages.BulksByIDs), BulkCounts: r.d.Messages.CountsByBulks, BulkCosts: r.d.Messages.CostsByBulks,

		Teams: found("", r.d.Numbers.TeamsByIDs), Hours: found("", r.d.Numbers.HoursByIDs),
		Menus: found(access.NumberManage, r.d.Numbers.MenusByIDs), SIPDomains: found("", r.d.Numbers.SIPDomainsByIDs),
		TeamNumbers: r.d.Numbers.ByTeams, NumberUsers: r.d.Numbers.UsersByNumbers, PushCredentials: r.d.Numbers.PushCredentialsByConnections,

		UserPhones: r.d.Users.PhonesByUsers, UserQuietLines: r.d.Users.DndLinesByUsers, UserBranches: r.d.Numbers.ForUsers,
		UserNumbers: r.d.Numbers.AssignedTo, BranchUsers: r.d.Numbers.UsersByBranches, BranchNumbers: r.d.Numbers.ByBranches,
		ContactPhones: byActor(r.d.Contacts.PhonesFor), CallLegs: r.d.Calls.LegsByCalls, LegQuality: r.d.Calls.QualityByLegs,
		CallRoutes: byActor(r.d.Calls.DecisionsByCalls), Reveals: r.revealed,
		CallRecordings: byActor(r.d.Recordings.ByCalls), CallVoicemails: byActor(r.d.Voicemails.ByCalls),
		MessageMedia: r.d.Messages.MediaByMessages, OptedOutThreads: r.d.Messages.OptedOut,
		Consents: r.d.Messages.ConsentsByIDs, Countries: r.d.Numbers.Countries, SenderWarnings: r.senderWarnings,
		SeenRecordings: visible(r.d.Recordings.Visible),
		HoldsOf:        byActor(r.d.Retention.HoldsOf), RetentionRules: visible(r.d.Retention.RulesByIDs), RetentionRuns: visible(r.d.Retention.RunsByIDs),
		RetentionLast:   byActor(r.d.Retention.LastRuns),
		RecordingsHeard: byActor(r.d.Recordings.HeardByMe), RecordingWaveforms: r.d.Recordings.Waveforms, RecordingVoicemails: byActor(r.d.Voicemails.ByRecordings),
		VoicemailsHeard: byActor(r.d.Voicemails.HeardByMe), VoicemailListeners: r.d.Voicemails.Listeners, VoicemailNotified: r.d.Voicemails.NotifiedUsers,
		ThreadUnread: r.d.Messages.Unread, HiddenEnds: r.d.Messages.HiddenEnds, ThreadReplyProblems: r.d.Messages.ReplyProblems,
	}
}

// visible reads through a batch read that leaves out what the actor may not see.
func visible[T any](read func(context.Context, access.Actor, []id.ID) (map[id.ID]*T, error)) func(context.Context, []id.ID) ([]*T, error) {
	return func(ctx context.Context, ids []id.ID) ([]*T, error) {
		m, err := read(ctx, access.From(ctx), ids)
		return slices.Collect(maps.Values(m)), err
	}
}

// found reads through a batch read that gives a map, for those who may.
func found[T any](p access.Permission, read func(context.Context, []id.ID) (map[id.ID]*T, error)) func(context.Context, []id.ID) ([]*T, error) {
	return func(ctx context.Context, ids []id.ID) ([]*T, error) {
		if p != "" && !access.From(ctx).Can(p) {
			return nil, nil
		}
		m, err := read(ctx, ids)
		return slices.Collect(maps.Values(m)), err
	}
}

// byActor reads through a batch read that asks who reads.
func byActor[V any](read func(context.Context, access.Actor, []id.ID) (map[id.ID]V, error)) func(context.Context, []id.ID) (map[id.ID]V, error) {
	return func(ctx context.Context, ids []id.ID) (map[id.ID]V, error) { return read(ctx, access.From(ctx), ids) }
}

// link is an address for a file, as a nullable field wants it.
func (r *Resolver) link(ctx context.Context, x id.ID) (*string, error) {
	url, err := r.d.Link(access.From(ctx), x)
	return &url, err
}

// voiceTokens are what a device registers with, the default one first.
func (r *Resolver) voiceTokens(ctx context.Context, d *user.Device) (first *number.VoiceToken, all []*number.VoiceToken, err error) {
	if all, err = r.d.Numbers.VoiceTokens(ctx, d.ID, d.UserID, string(d.Platform)); err == nil {
		first = all[0]
	}
	return first, all, err
}
