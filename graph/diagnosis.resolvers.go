package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/diagnose"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/user"
	"time"
)

func (r *diagnosisResolver) Subject(ctx context.Context, obj *diagnose.Diagnosis) (model.Node, error) {
	panic(fmt.Errorf("not implemented: Subject - subject"))
}

func (r *diagnosisFindingResolver) Subject(ctx context.Context, obj *diagnose.Found) (model.Node, error) {
	panic(fmt.Errorf("not implemented: Subject - subject"))
}

func (r *diagnosisFindingResolver) Finding(ctx context.Context, obj *diagnose.Found) (*diagnose.Finding, error) {
	panic(fmt.Errorf("not implemented: Finding - finding"))
}

func (r *findingResolver) Subject(ctx context.Context, obj *diagnose.Finding) (model.Node, error) {
	panic(fmt.Errorf("not implemented: Subject - subject"))
}

func (r *findingResolver) AcknowledgedBy(ctx context.Context, obj *diagnose.Finding) (*user.User, error) {
	panic(fmt.Errorf("not implemented: AcknowledgedBy - acknowledgedBy"))
}

func (r *findingUpdatedResolver) Actor(ctx context.Context, obj *model.FindingUpdated) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *findingUpdatedResolver) Finding(ctx context.Context, obj *model.FindingUpdated) (*diagnose.Finding, error) {
	panic(fmt.Errorf("not implemented: Finding - finding"))
}

func (r *mutationResolver) FindingAcknowledge(ctx context.Context, id id.ID, note *string) (*model.FindingAcknowledgePayload, error) {
	panic(fmt.Errorf("not implemented: FindingAcknowledge - findingAcknowledge"))
}

func (r *mutationResolver) FindingSnooze(ctx context.Context, id id.ID, until *time.Time) (*model.FindingSnoozePayload, error) {
	panic(fmt.Errorf("not implemented: FindingSnooze - findingSnooze"))
}

func (r *phoneNumberResolver) Findings(ctx context.Context, obj *number.PhoneNumber) ([]*diagnose.Finding, error) {
	panic(fmt.Errorf("not implemented: Findings - findings"))
}

func (r *queryResolver) Diagnose(ctx context.Context, input model.DiagnoseInput) (*diagnose.Diagnosis, error) {
	panic(fmt.Errorf("not implemented: Diagnose - diagnose"))
}

func (r *queryResolver) Findings(ctx context.Context, first *int, after *string, filter *model.FindingFilter) (*model.FindingConnection, error) {
	panic(fmt.Errorf("not implemented: Findings - findings"))
}

func (r *queryResolver) Finding(ctx context.Context, id id.ID) (*diagnose.Finding, error) {
	panic(fmt.Errorf("not implemented: Finding - finding"))
}

func (r *twilioConnectionResolver) Findings(ctx context.Context, obj *number.Connection) ([]*diagnose.Finding, error) {
	panic(fmt.Errorf("not implemented: Findings - findings"))
}

func (r *userResolver) Findings(ctx context.Context, obj *user.User) ([]*diagnose.Finding, error) {
	panic(fmt.Errorf("not implemented: Findings - findings"))
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
