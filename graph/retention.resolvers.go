package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/call"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/recording"
	"switchboard/internal/retention"
	"switchboard/internal/user"
)

func (r *callResolver) LegalHold(ctx context.Context, obj *call.Call) (*retention.Hold, error) {
	panic(fmt.Errorf("not implemented: LegalHold - legalHold"))
}

func (r *legalHoldResolver) Subject(ctx context.Context, obj *retention.Hold) (model.Node, error) {
	panic(fmt.Errorf("not implemented: Subject - subject"))
}

func (r *legalHoldResolver) PlacedBy(ctx context.Context, obj *retention.Hold) (*user.User, error) {
	panic(fmt.Errorf("not implemented: PlacedBy - placedBy"))
}

func (r *legalHoldResolver) ReleasedBy(ctx context.Context, obj *retention.Hold) (*user.User, error) {
	panic(fmt.Errorf("not implemented: ReleasedBy - releasedBy"))
}

func (r *mutationResolver) RetentionRuleSet(ctx context.Context, input model.RetentionRuleSetInput) (*model.RetentionRuleSetPayload, error) {
	panic(fmt.Errorf("not implemented: RetentionRuleSet - retentionRuleSet"))
}

func (r *mutationResolver) RetentionRunStart(ctx context.Context, ruleID id.ID) (*model.RetentionRunStartPayload, error) {
	panic(fmt.Errorf("not implemented: RetentionRunStart - retentionRunStart"))
}

func (r *mutationResolver) RetentionRunCancel(ctx context.Context, id id.ID) (*model.RetentionRunCancelPayload, error) {
	panic(fmt.Errorf("not implemented: RetentionRunCancel - retentionRunCancel"))
}

func (r *mutationResolver) LegalHoldPlace(ctx context.Context, input model.LegalHoldPlaceInput) (*model.LegalHoldPlacePayload, error) {
	panic(fmt.Errorf("not implemented: LegalHoldPlace - legalHoldPlace"))
}

func (r *mutationResolver) LegalHoldRelease(ctx context.Context, id id.ID, reason string) (*model.LegalHoldReleasePayload, error) {
	panic(fmt.Errorf("not implemented: LegalHoldRelease - legalHoldRelease"))
}

func (r *mutationResolver) MessagesDelete(ctx context.Context, ids []*id.ID, parts []message.Part, reason *string) (*model.MessagesDeletePayload, error) {
	panic(fmt.Errorf("not implemented: MessagesDelete - messagesDelete"))
}

func (r *queryResolver) RetentionRules(ctx context.Context) ([]*retention.Rule, error) {
	panic(fmt.Errorf("not implemented: RetentionRules - retentionRules"))
}

func (r *queryResolver) RetentionPreview(ctx context.Context, input model.RetentionPreviewInput) (*retention.Preview, error) {
	panic(fmt.Errorf("not implemented: RetentionPreview - retentionPreview"))
}

func (r *queryResolver) RetentionRuns(ctx context.Context, first *int, after *string, ruleID *id.ID) (*model.RetentionRunConnection, error) {
	panic(fmt.Errorf("not implemented: RetentionRuns - retentionRuns"))
}

func (r *queryResolver) LegalHolds(ctx context.Context, first *int, after *string, filter *model.LegalHoldFilter) (*model.LegalHoldConnection, error) {
	panic(fmt.Errorf("not implemented: LegalHolds - legalHolds"))
}

func (r *recordingResolver) LegalHold(ctx context.Context, obj *recording.Recording) (*retention.Hold, error) {
	panic(fmt.Errorf("not implemented: LegalHold - legalHold"))
}

func (r *retentionMonthResolver) Month(ctx context.Context, obj *retention.Month) (*model.Date, error) {
	panic(fmt.Errorf("not implemented: Month - month"))
}

func (r *retentionPreviewResolver) Sample(ctx context.Context, obj *retention.Preview) ([]model.Node, error) {
	panic(fmt.Errorf("not implemented: Sample - sample"))
}

func (r *retentionRanResolver) Actor(ctx context.Context, obj *model.RetentionRan) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *retentionRanResolver) Run(ctx context.Context, obj *model.RetentionRan) (*retention.Run, error) {
	panic(fmt.Errorf("not implemented: Run - run"))
}

func (r *retentionRuleResolver) Branch(ctx context.Context, obj *retention.Rule) (*number.Branch, error) {
	panic(fmt.Errorf("not implemented: Branch - branch"))
}

func (r *retentionRuleResolver) LastRun(ctx context.Context, obj *retention.Rule) (*retention.Run, error) {
	panic(fmt.Errorf("not implemented: LastRun - lastRun"))
}

func (r *retentionRunResolver) Rule(ctx context.Context, obj *retention.Run) (*retention.Rule, error) {
	panic(fmt.Errorf("not implemented: Rule - rule"))
}

func (r *retentionRunResolver) StartedBy(ctx context.Context, obj *retention.Run) (*user.User, error) {
	panic(fmt.Errorf("not implemented: StartedBy - startedBy"))
}

func (r *Resolver) LegalHold() exec.LegalHoldResolver { return &legalHoldResolver{r} }

func (r *Resolver) RetentionMonth() exec.RetentionMonthResolver { return &retentionMonthResolver{r} }

func (r *Resolver) RetentionPreview() exec.RetentionPreviewResolver {
	return &retentionPreviewResolver{r}
}

func (r *Resolver) RetentionRan() exec.RetentionRanResolver { return &retentionRanResolver{r} }

func (r *Resolver) RetentionRule() exec.RetentionRuleResolver { return &retentionRuleResolver{r} }

func (r *Resolver) RetentionRun() exec.RetentionRunResolver { return &retentionRunResolver{r} }

type (
	legalHoldResolver        struct{ *Resolver }
	retentionMonthResolver   struct{ *Resolver }
	retentionPreviewResolver struct{ *Resolver }
	retentionRanResolver     struct{ *Resolver }
	retentionRuleResolver    struct{ *Resolver }
	retentionRunResolver     struct{ *Resolver }
)
