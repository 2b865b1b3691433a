package graph

import (
	"context"

	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/report"
)

func callFilter(f *model.CallFilter) call.Filter {
	if f == nil {
		return call.Filter{}
	}
	return call.Filter{
		Status: f.Status.Value(), Direction: given(f.Direction), PhoneNumberID: given(f.PhoneNumberID), BranchID: given(f.BranchID),
		ContactID: given(f.ContactID), RecordID: given(f.RecordID), UserID: given(f.UserID), BusinessUnit: given(f.BusinessUnit),
		StartedFrom: given(f.StartedFrom), StartedBefore: given(f.StartedBefore),
	}
}

// calls is a page of the call log.
func (r *Resolver) calls(ctx context.Context, f call.Filter, p db.Page) (*model.CallConnection, error) {
	w, err := r.d.Calls.List(ctx, access.From(ctx), f, p)
	if err != nil {
		return nil, err
	}
	return r.callPage(ctx, p, w, &f)
}

// callPage makes the connection.
func (r *Resolver) callPage(ctx context.Context, p db.Page, w db.Window[*call.Call], f *call.Filter) (*model.CallConnection, error) {
	c := &model.CallConnection{}
	var err error
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *call.Call) *model.CallEdge { return &model.CallEdge{Cursor: cursor, Node: x} })
	if err == nil && asked(ctx, "totalCount") {
		switch {
		case f == nil:
			c.TotalCount = len(c.Nodes)
		default:
			c.TotalCount, err = r.d.Calls.Count(ctx, access.From(ctx), *f)
		}
	}
	return c, err
}

// threads is a page of the inbox.
func (r *Resolver) threads(ctx context.Context, f message.Filter, p db.Page) (*model.SmsThreadConnection, error) {
	w, err := r.d.Messages.Threads(ctx, access.From(ctx), f, p)
	if err != nil {
		return nil, err
	}
	c := &model.SmsThreadConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *message.Thread) *model.SmsThreadEdge {
		return &model.SmsThreadEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *Resolver) callStatistics(ctx context.Context, f model.CallStatisticsFilter, by report.Group) (*report.Statistics, error) {
	from, until, o, err := r.days(ctx, f.From, f.To)
	if err != nil {
		return nil, err
	}
	return r.d.Reports.Calls(ctx, access.From(ctx), report.Filter{
		From: from, Until: until, Direction: string(given(f.Direction)), BranchID: given(f.BranchID),
		PhoneNumberID: given(f.PhoneNumberID), UserID: given(f.UserID), TimeZone: o.TimeZone, GroupBy: by,
	})
}

// node is any object by its id, for those who may see it.
func (r *Resolver) node(ctx context.Context, x id.ID) (model.Node, error) {
	who := access.From(ctx)
	switch x.Kind() {
	case id.Organization:
		if x != who.OrganizationID {
			return nil, nil
		}
		return r.d.Tenants.Get(ctx, who)
	case id.User:
		return anything(r.d.Users.Get(ctx, who, x))
	case id.Role:
		return anything(r.d.Roles.Get(ctx, who, x))
	case id.Device:
		return anything(r.d.Users.Device(ctx, who, x))
	case id.APIKey:
		return anything(r.d.Sessions.Key(ctx, who, x))
	case id.Contact:
		return anything(r.d.Contacts.Get(ctx, who, x))
	case id.Campaign:
		return anything(r.d.Contacts.Campaign(ctx, who, x))
	case id.Record:
		return anything(r.d.Contacts.Record(ctx, who, x))
	case id.Import:
		return anything(r.d.Contacts.Import(ctx, who, x))
	case id.RecordEvent:
		return anything(r.d.Contacts.Event(ctx, who, x))
	case id.Branch:
		return anything(r.d.Numbers.Branch(ctx, who, x))
	case id.Team:
		return anything(r.d.Numbers.Team(ctx, who, x))
	case id.Schedule:
		return anything(r.d.Numbers.Hours(ctx, who, x))
	case id.Menu:
		return anything(r.d.Numbers.Menu(ctx, who, x))
	case id.IgnoredNumber:
		return anything(r.d.Numbers.Ignored(ctx, who, x))
	case id.PhoneNumber:
		return anything(r.d.Numbers.Get(ctx, who, x))
	case id.Connection:
		return anything(r.d.Numbers.Connection(ctx, who, x))
	case id.Upload:
		return anything(r.d.Numbers.Audio(ctx, who, x))
	case id.Call:
		return anything(r.d.Calls.Get(ctx, who, x))
	case id.SIPDomain:
		return anything(r.d.Numbers.SIPDomain(ctx, who, x))
	case id.DropMessage:
		return anything(r.d.Voicemails.DropMessage(ctx, who, x))
	case id.MaskedPair:
		return anything(r.d.Calls.Mask(ctx, who, x))
	case id.Recording:
		return anything(r.d.Recordings.Get(ctx, who, x))
	case id.Voicemail:
		return anything(r.d.Voicemails.Get(ctx, who, x))
	case id.Transcript:
		return anything(r.d.Transcripts.Get(ctx, who, x))
	case id.TranscriptNote:
		return anything(r.d.Transcripts.Note(ctx, who, x))
	case id.Thread:
		return anything(r.d.Messages.Thread(ctx, who, x))
	case id.Export:
		return anything(r.d.Exports.Get(ctx, who, x))
	case id.Audit:
		return anything(r.auditEntry(ctx, x))
	case id.Finding:
		return anything(r.d.Diagnoses.Get(ctx, who, x))
	case id.FollowUp:
		return anything(r.d.FollowUps.Get(ctx, who, x))
	case id.Notification:
		return anything(r.d.FollowUps.Notification(ctx, who, x))
	case id.PushSubscription:
		return anything(r.d.FollowUps.Subscription(ctx, who, x))
	case id.CostCap:
		return anything(r.d.Reports.Cap(ctx, who, x))
	case id.WebhookEndpoint:
		return anything(r.d.Deliveries.Get(ctx, who, x))
	case id.Message:
		return anything(r.d.Messages.Get(ctx, who, x))
	case id.Template:
		return anything(r.d.Templates.Get(ctx, who, x))
	case id.Automation:
		return anything(r.d.Automations.Get(ctx, who, x))
	case id.AutomationRun:
		return anything(r.d.Automations.Run(ctx, who, x))
	case id.Bulk:
		return anything(r.d.Messages.Bulk(ctx, who, x))
	case id.RetentionRule:
		return there(loader.Load(ctx, loader.From(ctx).RetentionRules, x))
	case id.RetentionRun:
		return there(loader.Load(ctx, loader.From(ctx).RetentionRuns, x))
	case id.LegalHold:
		return anything(r.d.Retention.Hold(ctx, who, x))
	}
	return nil, nil // a kind that is no node
}

// anything is null for what is absent or forbidden: they look alike.
func anything[T any](v *T, err error) (model.Node, error) {
	switch errs.CodeOf(err) {
	case "":
		return v, nil
	case errs.NotFound, errs.Forbidden:
		return nil, nil
	}
	return nil, err
}

// all is a list that has nothing rather than null where there is nothing.
func all[T any](v []T, err error) ([]T, error) {
	if v == nil {
		v = []T{}
	}
	return v, err
}

// maxNodes is how many objects one field may ask for.
const maxNodes = 100

func (r *Resolver) nodes(ctx context.Context, ids []*id.ID) ([]model.Node, error) {
	if len(ids) > maxNodes {
		return nil, errs.New(errs.Invalid, "%d ids were given; ask for %d at most", len(ids), maxNodes).At("ids")
	}
	out := make([]model.Node, len(ids))
	for i, x := range ids {
		v, err := r.node(ctx, *x)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// numbers is a page of numbers.
func (r *Resolver) numbers(ctx context.Context, f number.Filter, p db.Page) (*model.PhoneNumberConnection, error) {
	w, err := r.d.Numbers.List(ctx, access.From(ctx), f, p)
	if err != nil {
		return nil, err
	}
	c := &model.PhoneNumberConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, n *number.PhoneNumber) *model.PhoneNumberEdge {
		return &model.PhoneNumberEdge{Cursor: cursor, Node: n}
	})
	if err == nil && asked(ctx, "totalCount") {
		c.TotalCount, err = r.d.Numbers.Count(ctx, access.From(ctx), f)
	}
	return c, err
}
