package graph

import (
	"context"
	"time"

	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/report"
	"switchboard/internal/tenant"
)

// days are a range of days as moments of the organization's time zone.
func (r *Resolver) days(ctx context.Context, from, to model.Date) (first, end time.Time, o *tenant.Organization, err error) {
	if o, err = r.d.Tenants.Get(ctx, access.From(ctx)); err != nil {
		return first, end, nil, err
	}
	zone, err := time.LoadLocation(o.TimeZone)
	if err != nil {
		return first, end, nil, err
	}
	to.Day++ // time.Date carries over
	return from.In(zone), to.In(zone), o, nil
}

func (r *Resolver) callReport(ctx context.Context, f model.CallReportFilter) (out report.CallFilter, err error) {
	out = report.CallFilter{
		BranchIDs: every(f.BranchIds.Value(), deref), PhoneNumberIDs: every(f.PhoneNumberIds.Value(), deref), UserIDs: every(f.UserIds.Value(), deref),
		Directions: f.Directions.Value(), Statuses: f.Statuses.Value(), BusinessUnit: given(f.BusinessUnit), CampaignID: given(f.CampaignID), ContactKind: given(f.ContactKind),
	}
	if with := f.IncludeInternal.Value(); with != nil {
		out.ExcludeInternal = !*with
	}
	var o *tenant.Organization
	if out.From, out.Until, o, err = r.days(ctx, f.From, f.To); err == nil {
		out.TimeZone = o.TimeZone
	}
	return out, err
}

// recentCalls is a page of the call log with what belongs to each call.
func (r *Resolver) recentCalls(ctx context.Context, f call.Filter, p db.Page) (*model.RecentCallConnection, error) {
	who := access.From(ctx)
	w, err := r.d.Calls.List(ctx, who, f, p)
	if err != nil {
		return nil, err
	}
	rows, err := r.d.Reports.Recent(ctx, who, w.Nodes)
	if err != nil {
		return nil, err
	}
	at := map[id.ID]*report.RecentCall{}
	for _, x := range rows {
		at[x.Call.ID] = x
	}
	c := &model.RecentCallConnection{Nodes: rows}
	_, _, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *call.Call) struct{} {
		c.Edges = append(c.Edges, &model.RecentCallEdge{Cursor: cursor, Node: at[x.ID]})
		return struct{}{}
	})
	if c.Edges == nil {
		c.Edges = []*model.RecentCallEdge{}
	}
	return c, err
}

// callRecordEvents are what happened to the records of calls since each began, for
// those who see it.
func (r *Resolver) callRecordEvents(ctx context.Context, calls []id.ID) (map[id.ID][]*contact.RecordEvent, error) {
	who := access.From(ctx)
	of, err := r.d.Reports.RecordEventsSince(ctx, who, calls)
	if err != nil {
		return nil, err
	}
	var ids []id.ID
	for _, list := range of {
		ids = append(ids, list...)
	}
	seen, err := r.d.Contacts.EventsByIDs(ctx, who, ids)
	out := map[id.ID][]*contact.RecordEvent{}
	for c, list := range of {
		for _, x := range list {
			if e := seen[x]; e != nil {
				out[c] = append(out[c], e)
			}
		}
	}
	return out, err
}

func (r *Resolver) usage(ctx context.Context, f model.UsageFilter, by report.UsageGroup) (*report.Usage, error) {
	from, until, o, err := r.days(ctx, f.From, f.To)
	if err != nil {
		return nil, err
	}
	return r.d.Reports.Usage(ctx, access.From(ctx), report.UsageFilter{
		From: from, Until: until, TimeZone: o.TimeZone, BranchID: given(f.BranchID), PhoneNumberID: given(f.PhoneNumberID), UserID: given(f.UserID),
		AutomationID: given(f.AutomationID), GroupBy: by,
	})
}

func (r *Resolver) providerLog(ctx context.Context, f model.ProviderLogFilter, limit int) (*report.ProviderLog, error) {
	from, until, _, err := r.days(ctx, f.From, f.To)
	if err != nil {
		return nil, err
	}
	return r.d.Reports.ProviderLog(ctx, access.From(ctx), report.ProviderLogFilter{
		From: from, Until: until, ConnectionID: given(f.ConnectionID), Kind: f.Kind, OnlyDifferences: given(f.OnlyDifferences), Limit: limit,
	})
}

func (r *Resolver) costCapSet(ctx context.Context, in model.CostCapSetInput) (*model.CostCapSetPayload, error) {
	c, err := r.d.Reports.SetCap(ctx, access.From(ctx), report.CapInput{
		Scope: in.Scope, BranchID: given(in.BranchID), AutomationID: given(in.AutomationID), UserID: given(in.UserID), Period: in.Period,
		AmountMinor: int64(in.AmountMinor), Currency: in.Currency, Action: in.Action,
	})
	problems, err := userErrors(err)
	return &model.CostCapSetPayload{CostCap: c, UserErrors: problems}, err
}
