package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/automation"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/report"
	"switchboard/internal/user"
)

func (r *answeredByRowResolver) User(ctx context.Context, obj *report.AnsweredByRow) (*user.User, error) {
	panic(fmt.Errorf("not implemented: User - user"))
}

func (r *callResolver) Cost(ctx context.Context, obj *call.Call) (*report.CallCost, error) {
	panic(fmt.Errorf("not implemented: Cost - cost"))
}

func (r *callDashboardResolver) Channels(ctx context.Context, obj *report.Dashboard) ([]*report.ChannelCount, error) {
	panic(fmt.Errorf("not implemented: Channels - channels"))
}

func (r *callLegResolver) Cost(ctx context.Context, obj *call.Leg) (*report.LegCost, error) {
	panic(fmt.Errorf("not implemented: Cost - cost"))
}

func (r *costCapResolver) Branch(ctx context.Context, obj *report.CostCap) (*number.Branch, error) {
	panic(fmt.Errorf("not implemented: Branch - branch"))
}

func (r *costCapResolver) Automation(ctx context.Context, obj *report.CostCap) (*automation.Automation, error) {
	panic(fmt.Errorf("not implemented: Automation - automation"))
}

func (r *costCapResolver) User(ctx context.Context, obj *report.CostCap) (*user.User, error) {
	panic(fmt.Errorf("not implemented: User - user"))
}

func (r *costCapReachedResolver) Actor(ctx context.Context, obj *model.CostCapReached) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *costCapReachedResolver) CostCap(ctx context.Context, obj *model.CostCapReached) (*report.CostCap, error) {
	panic(fmt.Errorf("not implemented: CostCap - costCap"))
}

func (r *liveAgentResolver) User(ctx context.Context, obj *report.LiveAgent) (*user.User, error) {
	panic(fmt.Errorf("not implemented: User - user"))
}

func (r *liveAgentResolver) Call(ctx context.Context, obj *report.LiveAgent) (*call.Call, error) {
	panic(fmt.Errorf("not implemented: Call - call"))
}

func (r *liveBranchResolver) Branch(ctx context.Context, obj *report.LiveBranch) (*number.Branch, error) {
	panic(fmt.Errorf("not implemented: Branch - branch"))
}

func (r *liveDashboardResolver) Today(ctx context.Context, obj *report.Live) (*model.Date, error) {
	panic(fmt.Errorf("not implemented: Today - today"))
}

func (r *livePhoneNumberResolver) PhoneNumber(ctx context.Context, obj *report.LivePhoneNumber) (*number.PhoneNumber, error) {
	panic(fmt.Errorf("not implemented: PhoneNumber - phoneNumber"))
}

func (r *mutationResolver) CostCapSet(ctx context.Context, input model.CostCapSetInput) (*model.CostCapSetPayload, error) {
	panic(fmt.Errorf("not implemented: CostCapSet - costCapSet"))
}

func (r *mutationResolver) CostCapRemove(ctx context.Context, id id.ID) (*model.CostCapRemovePayload, error) {
	panic(fmt.Errorf("not implemented: CostCapRemove - costCapRemove"))
}

func (r *providerLogRowResolver) Call(ctx context.Context, obj *report.ProviderLogRow) (*call.Call, error) {
	panic(fmt.Errorf("not implemented: Call - call"))
}

func (r *providerLogRowResolver) Leg(ctx context.Context, obj *report.ProviderLogRow) (*call.Leg, error) {
	panic(fmt.Errorf("not implemented: Leg - leg"))
}

func (r *providerLogRowResolver) Message(ctx context.Context, obj *report.ProviderLogRow) (*message.Message, error) {
	panic(fmt.Errorf("not implemented: Message - message"))
}

func (r *queryResolver) CallDashboard(ctx context.Context, filter model.CallReportFilter, serviceLevelSeconds int) (*report.Dashboard, error) {
	panic(fmt.Errorf("not implemented: CallDashboard - callDashboard"))
}

func (r *queryResolver) CallActivity(ctx context.Context, filter model.CallReportFilter, groupBy report.ActivityGroup) (*report.Activity, error) {
	panic(fmt.Errorf("not implemented: CallActivity - callActivity"))
}

func (r *queryResolver) AnsweredByReport(ctx context.Context, filter model.CallReportFilter) (*report.AnsweredBy, error) {
	panic(fmt.Errorf("not implemented: AnsweredByReport - answeredByReport"))
}

func (r *queryResolver) RecentCalls(ctx context.Context, first *int, after *string, filter *model.CallFilter) (*model.RecentCallConnection, error) {
	panic(fmt.Errorf("not implemented: RecentCalls - recentCalls"))
}

func (r *queryResolver) LiveDashboard(ctx context.Context) (*report.Live, error) {
	panic(fmt.Errorf("not implemented: LiveDashboard - liveDashboard"))
}

func (r *queryResolver) ProviderLog(ctx context.Context, filter model.ProviderLogFilter, limit int) (*report.ProviderLog, error) {
	panic(fmt.Errorf("not implemented: ProviderLog - providerLog"))
}

func (r *queryResolver) Usage(ctx context.Context, filter model.UsageFilter, groupBy *report.UsageGroup) (*report.Usage, error) {
	panic(fmt.Errorf("not implemented: Usage - usage"))
}

func (r *queryResolver) CostCaps(ctx context.Context) ([]*report.CostCap, error) {
	panic(fmt.Errorf("not implemented: CostCaps - costCaps"))
}

func (r *queryResolver) Reports(ctx context.Context) ([]*report.Availability, error) {
	panic(fmt.Errorf("not implemented: Reports - reports"))
}

func (r *recentCallResolver) RecordEvents(ctx context.Context, obj *report.RecentCall) ([]*contact.RecordEvent, error) {
	panic(fmt.Errorf("not implemented: RecordEvents - recordEvents"))
}

func (r *subscriptionResolver) LiveDashboard(ctx context.Context, after *string) (<-chan *report.Live, error) {
	panic(fmt.Errorf("not implemented: LiveDashboard - liveDashboard"))
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
