package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/recording"
	"switchboard/internal/retention"
	"switchboard/internal/user"
)

func (r *callResolver) LegalHold(ctx context.Context, obj *call.Call) (*retention.Hold, error) {
	return loader.Load(ctx, loader.From(ctx).HoldsOf, obj.ID)
}

func (r *legalHoldResolver) Subject(ctx context.Context, obj *retention.Hold) (model.Node, error) {
	return r.loaded(ctx, obj.SubjectID)
}

func (r *legalHoldResolver) PlacedBy(ctx context.Context, obj *retention.Hold) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.PlacedByID)
}

func (r *legalHoldResolver) ReleasedBy(ctx context.Context, obj *retention.Hold) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ReleasedByID)
}

func (r *mutationResolver) RetentionRuleSet(ctx context.Context, input model.RetentionRuleSetInput) (*model.RetentionRuleSetPayload, error) {
	rule, err := r.d.Retention.Set(ctx, access.From(ctx), retention.SetRule{
		Want: retention.Want{Kind: input.Kind, KeepDays: input.KeepDays, BranchID: given(input.BranchID)}, IsOn: input.IsOn, Confirmation: given(input.Confirmation),
	})
	problems, err := userErrors(err)
	return &model.RetentionRuleSetPayload{Rule: rule, UserErrors: problems}, err
}

func (r *mutationResolver) RetentionRuleDelete(ctx context.Context, id id.ID, confirmation *string) (*model.RetentionRuleDeletePayload, error) {
	err := r.d.Retention.Delete(ctx, access.From(ctx), id, of(confirmation))
	problems, err := userErrors(err)
	return &model.RetentionRuleDeletePayload{DeletedRuleID: unless(problems, id), UserErrors: problems}, err
}

func (r *mutationResolver) RetentionRunStart(ctx context.Context, ruleID id.ID) (*model.RetentionRunStartPayload, error) {
	run, err := r.d.Retention.Start(ctx, access.From(ctx), ruleID)
	problems, err := userErrors(err)
	return &model.RetentionRunStartPayload{Run: run, UserErrors: problems}, err
}

func (r *mutationResolver) RetentionRunCancel(ctx context.Context, id id.ID) (*model.RetentionRunCancelPayload, error) {
	run, err := r.d.Retention.Cancel(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.RetentionRunCancelPayload{Run: run, UserErrors: problems}, err
}

func (r *mutationResolver) LegalHoldPlace(ctx context.Context, input model.LegalHoldPlaceInput) (*model.LegalHoldPlacePayload, error) {
	hold, err := r.d.Retention.Place(ctx, access.From(ctx), input.SubjectID, input.Reason)
	problems, err := userErrors(err)
	return &model.LegalHoldPlacePayload{Hold: hold, UserErrors: problems}, err
}

func (r *mutationResolver) LegalHoldRelease(ctx context.Context, id id.ID, reason string) (*model.LegalHoldReleasePayload, error) {
	hold, err := r.d.Retention.Release(ctx, access.From(ctx), id, reason)
	problems, err := userErrors(err)
	return &model.LegalHoldReleasePayload{Hold: hold, UserErrors: problems}, err
}

func (r *mutationResolver) MessagesDelete(ctx context.Context, ids []*id.ID, parts []message.Part, reason *string) (*model.MessagesDeletePayload, error) {
	rows, refused, err := r.d.Messages.Delete(ctx, access.From(ctx), every(ids, deref), parts, of(reason))
	problems, err := userErrors(err)
	for _, e := range refused {
		problems = append(problems, &model.UserError{Code: e.Code, Field: e.Field, Message: e.Message})
	}
	rows, err = all(rows, err)
	return &model.MessagesDeletePayload{Messages: rows, UserErrors: problems}, err
}

func (r *queryResolver) RetentionRules(ctx context.Context) ([]*retention.Rule, error) {
	return all(r.d.Retention.Rules(ctx, access.From(ctx)))
}

func (r *queryResolver) RetentionPreview(ctx context.Context, input model.RetentionPreviewInput) (*retention.Preview, error) {
	return r.d.Retention.Preview(ctx, access.From(ctx), retention.Want{Kind: input.Kind, KeepDays: input.KeepDays, BranchID: given(input.BranchID)})
}

func (r *queryResolver) RetentionRuns(ctx context.Context, first *int, after *string, ruleID *id.ID) (*model.RetentionRunConnection, error) {
	p := page(first, after)
	w, err := r.d.Retention.Runs(ctx, access.From(ctx), of(ruleID), p)
	if err != nil {
		return nil, err
	}
	c := &model.RetentionRunConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *retention.Run) *model.RetentionRunEdge {
		return &model.RetentionRunEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *queryResolver) LegalHolds(ctx context.Context, first *int, after *string, filter *model.LegalHoldFilter) (*model.LegalHoldConnection, error) {
	p := page(first, after)
	f := retention.HoldFilter{}
	if filter != nil {
		f.SubjectID, f.IsActive = given(filter.SubjectID), filter.IsActive.Value()
	}
	w, err := r.d.Retention.Holds(ctx, access.From(ctx), f, p)
	if err != nil {
		return nil, err
	}
	c := &model.LegalHoldConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *retention.Hold) *model.LegalHoldEdge {
		return &model.LegalHoldEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *recordingResolver) LegalHold(ctx context.Context, obj *recording.Recording) (*retention.Hold, error) {
	return loader.Load(ctx, loader.From(ctx).HoldsOf, obj.ID)
}

func (r *retentionMonthResolver) Month(ctx context.Context, obj *retention.Month) (*model.Date, error) {
	year, month, day := obj.Start.Date()
	return &model.Date{Year: year, Month: month, Day: day}, nil
}

func (r *retentionPreviewResolver) Sample(ctx context.Context, obj *retention.Preview) ([]model.Node, error) {
	out := make([]model.Node, 0, len(obj.SampleIDs))
	for _, x := range obj.SampleIDs {
		n, err := r.loaded(ctx, x)
		if err != nil {
			return nil, err
		}
		if n != nil {
			out = append(out, n)
		}
	}
	return out, nil
}

func (r *retentionRanResolver) Actor(ctx context.Context, obj *model.RetentionRan) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *retentionRanResolver) Run(ctx context.Context, obj *model.RetentionRan) (*retention.Run, error) {
	return loader.Load(ctx, loader.From(ctx).RetentionRuns, obj.RunID)
}

func (r *retentionRuleResolver) Branch(ctx context.Context, obj *retention.Rule) (*number.Branch, error) {
	return loader.Load(ctx, loader.From(ctx).Branches, obj.BranchID)
}

func (r *retentionRuleResolver) LastRun(ctx context.Context, obj *retention.Rule) (*retention.Run, error) {
	return loader.Load(ctx, loader.From(ctx).RetentionLast, obj.ID)
}

func (r *retentionRunResolver) Rule(ctx context.Context, obj *retention.Run) (*retention.Rule, error) {
	return loader.Load(ctx, loader.From(ctx).RetentionRules, obj.RuleID)
}

func (r *retentionRunResolver) StartedBy(ctx context.Context, obj *retention.Run) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.StartedByID)
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
