package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/automation"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/report"
	"switchboard/internal/user"
	"time"
)

func (r *answeredByRowResolver) User(ctx context.Context, obj *report.AnsweredByRow) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *callResolver) Cost(ctx context.Context, obj *call.Call) (*report.CallCost, error) {
	return loader.From(ctx).CallCosts.Load(ctx, obj.ID)
}

func (r *callDashboardResolver) Channels(ctx context.Context, obj *report.Dashboard) ([]*report.ChannelCount, error) {
	rows, err := r.d.Reports.Channels(ctx, access.From(ctx), obj)
	return every(rows, func(c report.ChannelCount) *report.ChannelCount { return &c }), err
}

func (r *callLegResolver) Cost(ctx context.Context, obj *call.Leg) (*report.LegCost, error) {
	return loader.From(ctx).LegCosts.Load(ctx, obj.ID)
}

func (r *costCapResolver) Branch(ctx context.Context, obj *report.CostCap) (*number.Branch, error) {
	return loader.Load(ctx, loader.From(ctx).Branches, obj.BranchID)
}

func (r *costCapResolver) Automation(ctx context.Context, obj *report.CostCap) (*automation.Automation, error) {
	return loader.Load(ctx, loader.From(ctx).Automations, obj.AutomationID)
}

func (r *costCapResolver) User(ctx context.Context, obj *report.CostCap) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *costCapReachedResolver) Actor(ctx context.Context, obj *model.CostCapReached) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *costCapReachedResolver) CostCap(ctx context.Context, obj *model.CostCapReached) (*report.CostCap, error) {
	return absent(r.d.Reports.Cap(ctx, access.From(ctx), obj.CostCapID))
}

func (r *liveAgentResolver) User(ctx context.Context, obj *report.LiveAgent) (*user.User, error) {
	u, err := loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
	return required(u, err, "user")
}

func (r *liveAgentResolver) Call(ctx context.Context, obj *report.LiveAgent) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *liveBranchResolver) Branch(ctx context.Context, obj *report.LiveBranch) (*number.Branch, error) {
	return loader.Load(ctx, loader.From(ctx).Branches, obj.BranchID)
}

func (r *liveDashboardResolver) Today(ctx context.Context, obj *report.Live) (*model.Date, error) {
	day, err := time.Parse(time.DateOnly, obj.Day)
	return &model.Date{Year: day.Year(), Month: day.Month(), Day: day.Day()}, err
}

func (r *livePhoneNumberResolver) PhoneNumber(ctx context.Context, obj *report.LivePhoneNumber) (*number.PhoneNumber, error) {
	return loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
}

func (r *mutationResolver) CostCapSet(ctx context.Context, input model.CostCapSetInput) (*model.CostCapSetPayload, error) {
	return r.costCapSet(ctx, input)
}

func (r *mutationResolver) CostCapRemove(ctx context.Context, id id.ID) (*model.CostCapRemovePayload, error) {
	problems, err := userErrors(r.d.Reports.RemoveCap(ctx, access.From(ctx), id))
	return &model.CostCapRemovePayload{DeletedCostCapID: unless(problems, id), UserErrors: problems}, err
}

func (r *providerLogRowResolver) Call(ctx context.Context, obj *report.ProviderLogRow) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *providerLogRowResolver) Leg(ctx context.Context, obj *report.ProviderLogRow) (*call.Leg, error) {
	if c, err := loader.Load(ctx, loader.From(ctx).Calls, obj.CallID); c == nil || err != nil {
		return nil, err
	}
	return loader.Load(ctx, loader.From(ctx).Legs, obj.LegID)
}

func (r *providerLogRowResolver) Message(ctx context.Context, obj *report.ProviderLogRow) (*message.Message, error) {
	if !access.From(ctx).Can(access.SMSView) {
		return nil, nil
	}
	return loader.Load(ctx, loader.From(ctx).Messages, obj.MessageID)
}

func (r *queryResolver) CallDashboard(ctx context.Context, filter model.CallReportFilter, serviceLevelSeconds int) (*report.Dashboard, error) {
	f, err := r.callReport(ctx, filter)
	if err != nil {
		return nil, err
	}
	return r.d.Reports.Dashboard(ctx, access.From(ctx), f, serviceLevelSeconds)
}

func (r *queryResolver) CallActivity(ctx context.Context, filter model.CallReportFilter, groupBy report.ActivityGroup) (*report.Activity, error) {
	f, err := r.callReport(ctx, filter)
	if err != nil {
		return nil, err
	}
	return r.d.Reports.Activity(ctx, access.From(ctx), f, groupBy)
}

func (r *queryResolver) AnsweredByReport(ctx context.Context, filter model.CallReportFilter) (*report.AnsweredBy, error) {
	f, err := r.callReport(ctx, filter)
	if err != nil {
		return nil, err
	}
	return r.d.Reports.AnsweredBy(ctx, access.From(ctx), f)
}

func (r *queryResolver) RecentCalls(ctx context.Context, first *int, after *string, filter *model.CallFilter) (*model.RecentCallConnection, error) {
	return r.recentCalls(ctx, callFilter(filter), page(first, after))
}

func (r *queryResolver) LiveDashboard(ctx context.Context) (*report.Live, error) {
	return r.liveNow(ctx)
}

func (r *queryResolver) ProviderLog(ctx context.Context, filter model.ProviderLogFilter, limit int) (*report.ProviderLog, error) {
	return r.providerLog(ctx, filter, limit)
}

func (r *queryResolver) Usage(ctx context.Context, filter model.UsageFilter, groupBy *report.UsageGroup) (*report.Usage, error) {
	return r.usage(ctx, filter, of(groupBy))
}

func (r *queryResolver) CostCaps(ctx context.Context) ([]*report.CostCap, error) {
	return r.d.Reports.Caps(ctx, access.From(ctx))
}

func (r *queryResolver) Reports(ctx context.Context) ([]*report.Availability, error) {
	who := access.From(ctx)
	o, err := r.d.Tenants.Get(ctx, who)
	if err != nil {
		return nil, err
	}
	return report.Available(who, o.DisabledFeatures), nil
}

func (r *recentCallResolver) RecordEvents(ctx context.Context, obj *report.RecentCall) ([]*contact.RecordEvent, error) {
	return all(loader.From(ctx).CallRecordEvents.Load(ctx, obj.Call.ID))
}

func (r *subscriptionResolver) LiveDashboard(ctx context.Context, after *string) (<-chan *report.Live, error) {
	return r.liveDashboard(ctx, after)
}

func (r *Resolver) AnsweredByRow() exec.AnsweredByRowResolver { return &answeredByRowResolver{r} }

func (r *Resolver) CallDashboard() exec.CallDashboardResolver { return &callDashboardResolver{r} }

func (r *Resolver) CostCap() exec.CostCapResolver { return &costCapResolver{r} }

func (r *Resolver) CostCapReached() exec.CostCapReachedResolver { return &costCapReachedResolver{r} }

func (r *Resolver) LiveAgent() exec.LiveAgentResolver { return &liveAgentResolver{r} }

func (r *Resolver) LiveBranch() exec.LiveBranchResolver { return &liveBranchResolver{r} }

func (r *Resolver) LiveDashboard() exec.LiveDashboardResolver { return &liveDashboardResolver{r} }

func (r *Resolver) LivePhoneNumber() exec.LivePhoneNumberResolver { return &livePhoneNumberResolver{r} }

func (r *Resolver) ProviderLogRow() exec.ProviderLogRowResolver { return &providerLogRowResolver{r} }

func (r *Resolver) RecentCall() exec.RecentCallResolver { return &recentCallResolver{r} }

type (
	answeredByRowResolver   struct{ *Resolver }
	callDashboardResolver   struct{ *Resolver }
	costCapResolver         struct{ *Resolver }
	costCapReachedResolver  struct{ *Resolver }
	liveAgentResolver       struct{ *Resolver }
	liveBranchResolver      struct{ *Resolver }
	liveDashboardResolver   struct{ *Resolver }
	livePhoneNumberResolver struct{ *Resolver }
	providerLogRowResolver  struct{ *Resolver }
	recentCallResolver      struct{ *Resolver }
)
