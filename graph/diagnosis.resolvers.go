package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/diagnose"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/user"
	"time"
)

func (r *diagnosisResolver) Subject(ctx context.Context, obj *diagnose.Diagnosis) (model.Node, error) {
	return r.subjectOf(ctx, obj.SubjectID)
}

func (r *diagnosisFindingResolver) Subject(ctx context.Context, obj *diagnose.Found) (model.Node, error) {
	return r.subjectOf(ctx, obj.SubjectID)
}

func (r *diagnosisFindingResolver) Finding(ctx context.Context, obj *diagnose.Found) (*diagnose.Finding, error) {
	return loader.Load(ctx, loader.From(ctx).Findings, obj.FindingID)
}

func (r *findingResolver) Subject(ctx context.Context, obj *diagnose.Finding) (model.Node, error) {
	return r.subjectOf(ctx, obj.SubjectID)
}

func (r *findingResolver) AcknowledgedBy(ctx context.Context, obj *diagnose.Finding) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.AcknowledgedByID)
}

func (r *findingUpdatedResolver) Actor(ctx context.Context, obj *model.FindingUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *findingUpdatedResolver) Finding(ctx context.Context, obj *model.FindingUpdated) (*diagnose.Finding, error) {
	return loader.Load(ctx, loader.From(ctx).Findings, obj.FindingID)
}

func (r *mutationResolver) FindingAcknowledge(ctx context.Context, id id.ID, note *string) (*model.FindingAcknowledgePayload, error) {
	f, err := r.d.Diagnoses.Acknowledge(ctx, access.From(ctx), id, note)
	problems, err := userErrors(err)
	return &model.FindingAcknowledgePayload{Finding: f, UserErrors: problems}, err
}

func (r *mutationResolver) FindingSnooze(ctx context.Context, id id.ID, until *time.Time) (*model.FindingSnoozePayload, error) {
	f, err := r.d.Diagnoses.Snooze(ctx, access.From(ctx), id, until)
	problems, err := userErrors(err)
	return &model.FindingSnoozePayload{Finding: f, UserErrors: problems}, err
}

func (r *phoneNumberResolver) Findings(ctx context.Context, obj *number.PhoneNumber) ([]*diagnose.Finding, error) {
	return r.findingsOf(ctx, obj.ID)
}

func (r *queryResolver) Diagnose(ctx context.Context, input model.DiagnoseInput) (*diagnose.Diagnosis, error) {
	return r.d.Diagnoses.Diagnose(ctx, access.From(ctx), diagnose.Input{
		PhoneNumberID: given(input.PhoneNumberID), UserID: given(input.UserID), MessageID: given(input.MessageID), CallID: given(input.CallID),
		AutomationID: given(input.AutomationID), ConnectionID: given(input.ConnectionID), Live: input.Live.Value() == nil || *input.Live.Value(),
	})
}

func (r *queryResolver) Findings(ctx context.Context, first *int, after *string, filter *model.FindingFilter) (*model.FindingConnection, error) {
	p := page(first, after)
	w, err := r.d.Diagnoses.List(ctx, access.From(ctx), findingFilter(filter), p)
	if err != nil {
		return nil, err
	}
	c := &model.FindingConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, f *diagnose.Finding) *model.FindingEdge {
		return &model.FindingEdge{Cursor: cursor, Node: f}
	})
	return c, err
}

func (r *queryResolver) Finding(ctx context.Context, id id.ID) (*diagnose.Finding, error) {
	return absent(r.d.Diagnoses.Get(ctx, access.From(ctx), id))
}

func (r *twilioConnectionResolver) Findings(ctx context.Context, obj *number.Connection) ([]*diagnose.Finding, error) {
	return r.findingsOf(ctx, obj.ID)
}

func (r *userResolver) Findings(ctx context.Context, obj *user.User) ([]*diagnose.Finding, error) {
	return r.findingsOf(ctx, obj.ID)
}

func (r *Resolver) Diagnosis() exec.DiagnosisResolver { return &diagnosisResolver{r} }

func (r *Resolver) DiagnosisFinding() exec.DiagnosisFindingResolver {
	return &diagnosisFindingResolver{r}
}

func (r *Resolver) Finding() exec.FindingResolver { return &findingResolver{r} }

func (r *Resolver) FindingUpdated() exec.FindingUpdatedResolver { return &findingUpdatedResolver{r} }

type (
	diagnosisResolver        struct{ *Resolver }
	diagnosisFindingResolver struct{ *Resolver }
	findingResolver          struct{ *Resolver }
	findingUpdatedResolver   struct{ *Resolver }
)
