// Package access says who may do what. The role is the master gate (R234): an
// option of a fieldworker can narrow what the role allows and never widen it.
//
// The invariant: the zero Actor may do nothing.
package access

import (
	"context"
	"slices"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// Permission is one thing a role may allow.
type Permission string

// The permissions. Every one is off unless the role has it.
const (
	CallReceive      Permission = "CALL_RECEIVE"
	CallMake         Permission = "CALL_MAKE"
	CallView         Permission = "CALL_VIEW"
	CallControl      Permission = "CALL_CONTROL"
	CallTransfer     Permission = "CALL_TRANSFER"
	CallInternal     Permission = "CALL_INTERNAL"
	CallMonitor      Permission = "CALL_MONITOR"
	LiveView         Permission = "LIVE_VIEW"
	SMSSend          Permission = "SMS_SEND"
	SMSView          Permission = "SMS_VIEW"
	SMSBulk          Permission = "SMS_BULK"
	SMSRelink        Permission = "SMS_RELINK"
	SMSSendInvoice   Permission = "SMS_SEND_INVOICE"
	SMSDelete        Permission = "SMS_DELETE"
	RecordingListen  Permission = "RECORDING_LISTEN"
	RecordingDelete  Permission = "RECORDING_DELETE"
	RecordingExport  Permission = "RECORDING_EXPORT"
	TranscriptView   Permission = "TRANSCRIPT_VIEW"
	TranscriptEdit   Permission = "TRANSCRIPT_EDIT"
	TranscriptDelete Permission = "TRANSCRIPT_DELETE"
	VoicemailListen  Permission = "VOICEMAIL_LISTEN"
	VoicemailDelete  Permission = "VOICEMAIL_DELETE"
	FollowUpView     Permission = "FOLLOW_UP_VIEW"
	FollowUpManage   Permission = "FOLLOW_UP_MANAGE"
	ContactView      Permission = "CONTACT_VIEW"
	ContactEdit      Permission = "CONTACT_EDIT"
	ContactDelete    Permission = "CONTACT_DELETE"
	ContactImport    Permission = "CONTACT_IMPORT"
	RecordEventAdd   Permission = "RECORD_EVENT_ADD"
	ReportView       Permission = "REPORT_VIEW"
	ReportExport     Permission = "REPORT_EXPORT"
	CostView         Permission = "COST_VIEW"
	RouteExplain     Permission = "ROUTE_EXPLAIN"
	SettingsManage   Permission = "SETTINGS_MANAGE"
	UserManage       Permission = "USER_MANAGE"
	NumberManage     Permission = "NUMBER_MANAGE"
	ConnectionManage Permission = "CONNECTION_MANAGE"
	APIKeyManage     Permission = "API_KEY_MANAGE"
	SchemaIntrospect Permission = "SCHEMA_INTROSPECT"
	AuditView        Permission = "AUDIT_VIEW"
	TemplateManage   Permission = "TEMPLATE_MANAGE"
	AutomationManage Permission = "AUTOMATION_MANAGE"
	WebhookManage    Permission = "WEBHOOK_MANAGE"
	RetentionManage  Permission = "RETENTION_MANAGE"
	Diagnose         Permission = "DIAGNOSE"
)

// All lists every permission, in the order of the contract.
var All = []Permission{
	CallReceive, CallMake, CallView, CallControl, CallTransfer, CallInternal, CallMonitor, LiveView, SMSSend, SMSView, SMSBulk, SMSRelink,
	SMSSendInvoice, SMSDelete, RecordingListen, RecordingDelete, RecordingExport, TranscriptView, TranscriptEdit, TranscriptDelete,
	VoicemailListen, VoicemailDelete, FollowUpView, FollowUpManage, ContactView, ContactEdit, ContactDelete, ContactImport, RecordEventAdd,
	ReportView, ReportExport, CostView, RouteExplain, SettingsManage, UserManage, NumberManage, ConnectionManage, APIKeyManage, SchemaIntrospect,
	AuditView, TemplateManage, AutomationManage, WebhookManage, RetentionManage, Diagnose,
}

// Visibility is how far a role sees.
type Visibility string

// The visibilities, widest first.
const (
	SeesOrganization Visibility = "ORGANIZATION"
	SeesBranch       Visibility = "BRANCH"
	SeesOwn          Visibility = "OWN"
)

// Covers reports whether v sees at least as far as w.
func (v Visibility) Covers(w Visibility) bool {
	rank := []Visibility{SeesOwn, SeesBranch, SeesOrganization}
	return slices.Index(rank, v) >= slices.Index(rank, w)
}

// Set is a set of permissions.
type Set map[Permission]struct{}

// SetOf makes a Set.
func SetOf(p ...Permission) Set {
	s := make(Set, len(p))
	for _, x := range p {
		s[x] = struct{}{}
	}
	return s
}

// Has reports whether the permission is in the set.
func (s Set) Has(p Permission) bool { _, ok := s[p]; return ok }

// List is the set in the order of All.
func (s Set) List() []Permission {
	out := make([]Permission, 0, len(s))
	for _, p := range All {
		if s.Has(p) {
			out = append(out, p)
		}
	}
	return out
}

// Actor is who acts: a person, a machine with an API key, or the server itself.
type Actor struct {
	OrganizationID id.ID
	UserID         id.ID // zero for API keys and the server
	APIKeyID       id.ID
	LoginID        id.ID
	SessionID      id.ID
	RoleID         id.ID
	Permissions    Set
	Visibility     Visibility
	BranchIDs      []id.ID
	IsFieldworker  bool
	Switched       []FieldworkerOption // the options that stand otherwise than by default (R233)
	System         bool                // the server acting by itself: everything is allowed
}

// System is the server acting by itself in one organization.
func System(org id.ID) Actor {
	return Actor{OrganizationID: org, System: true, Visibility: SeesOrganization}
}

// Known reports whether anybody is signed in.
func (a Actor) Known() bool { return !a.OrganizationID.IsZero() }

// Can reports whether the role allows it and no option of a fieldworker takes it away.
func (a Actor) Can(p Permission) bool {
	return a.Known() && (a.System || a.Permissions.Has(p) && a.withheld(p) == "")
}

// Require returns errs.Unauthenticated when nobody is signed in and
// errs.Forbidden, naming the permission when the role does not allow it, else the
// option that takes it away (R234).
func (a Actor) Require(p Permission) error {
	switch {
	case !a.Known():
		return errs.New(errs.Unauthenticated, "sign in first: send a token as Authorization: Bearer …")
	case a.Withheld(p) != "":
		return Refusal(a.Withheld(p))
	case !a.Can(p):
		return errs.New(errs.Forbidden, "your role lacks the permission %s; an administrator can grant it", p)
	}
	return nil
}

// SeesAll reports whether the actor sees everything of the organization.
func (a Actor) SeesAll() bool { return a.System || a.Visibility == SeesOrganization }

// InBranch reports whether the actor belongs to the branch.
func (a Actor) InBranch(branch id.ID) bool {
	return !branch.IsZero() && slices.Contains(a.BranchIDs, branch)
}

// Sees reports whether something that belongs to a branch and to users is
// within the actor's visibility. What belongs to no branch is seen by those who
// see the whole organization and by its own users.
func (a Actor) Sees(branch id.ID, users ...id.ID) bool {
	switch {
	case !a.Known():
		return false
	case a.SeesAll():
		return true
	case !a.UserID.IsZero() && slices.Contains(users, a.UserID):
		return true
	}
	return a.Visibility == SeesBranch && a.InBranch(branch)
}

// SeesBranches is the branches whose things the actor sees besides their own;
// nil for those who see only their own.
func (a Actor) SeesBranches() []id.ID {
	if a.Visibility == SeesBranch {
		return a.BranchIDs
	}
	return nil
}

// Within returns errs.Forbidden when the actor would give away more than they have.
func (a Actor) Within(permissions []Permission, v Visibility) error {
	if a.System {
		return nil
	}
	for _, p := range permissions {
		if !a.Can(p) {
			return errs.New(errs.Forbidden, "you cannot give the permission %s, which your own role lacks", p)
		}
	}
	if !a.Visibility.Covers(v) {
		return errs.New(errs.Forbidden, "you cannot give the visibility %s, which is wider than your own", v)
	}
	return nil
}

// Lends returns errs.Forbidden when what acts by itself with the role, an API key or a
// webhook endpoint, would do more than the actor: more than their own role allows, or
// what an option keeps from them, since options narrow people only (R234).
func (a Actor) Lends(r *Role) error {
	if err := a.Within(r.Permissions, r.Visibility); err != nil {
		return err
	}
	for _, o := range FieldworkerOptions {
		if a.narrowedBy(o.Option) && o.lacks(r) == "" {
			return errs.New(errs.Forbidden, "the fieldworker option %s narrows you and would not narrow this role by itself; "+
				"choose a role that it means nothing to, or ask an administrator to do this", o.Option)
		}
	}
	return nil
}

type key struct{}

// With puts the actor, and the tenant it acts in, into the context.
func With(ctx context.Context, a Actor) context.Context {
	return db.WithTenant(context.WithValue(ctx, key{}, a), a.OrganizationID)
}

// From is the actor of the context; the zero Actor when there is none.
func From(ctx context.Context) Actor {
	a, _ := ctx.Value(key{}).(Actor)
	return a
}
