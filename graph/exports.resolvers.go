package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/audit"
	"switchboard/internal/export"
	"switchboard/internal/id"
	"switchboard/internal/session"
	"switchboard/internal/user"
)

func (r *auditEntryResolver) Actor(ctx context.Context, obj *audit.Entry) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *auditEntryResolver) APIKey(ctx context.Context, obj *audit.Entry) (*session.ApiKey, error) {
	panic(fmt.Errorf("not implemented: APIKey - apiKey"))
}

func (r *auditEntryResolver) ActorName(ctx context.Context, obj *audit.Entry) (string, error) {
	panic(fmt.Errorf("not implemented: ActorName - actorName"))
}

func (r *auditEntryResolver) Subject(ctx context.Context, obj *audit.Entry) (model.Node, error) {
	panic(fmt.Errorf("not implemented: Subject - subject"))
}

func (r *exportResolver) URL(ctx context.Context, obj *export.Export) (*string, error) {
	panic(fmt.Errorf("not implemented: URL - url"))
}

func (r *exportResolver) CreatedBy(ctx context.Context, obj *export.Export) (*user.User, error) {
	panic(fmt.Errorf("not implemented: CreatedBy - createdBy"))
}

func (r *exportUpdatedResolver) Actor(ctx context.Context, obj *model.ExportUpdated) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *exportUpdatedResolver) Export(ctx context.Context, obj *model.ExportUpdated) (*export.Export, error) {
	panic(fmt.Errorf("not implemented: Export - export"))
}

func (r *mutationResolver) ExportCreate(ctx context.Context, input model.ExportCreateInput, idempotencyKey *string) (*model.ExportCreatePayload, error) {
	panic(fmt.Errorf("not implemented: ExportCreate - exportCreate"))
}

func (r *mutationResolver) ExportCancel(ctx context.Context, id id.ID) (*model.ExportCancelPayload, error) {
	panic(fmt.Errorf("not implemented: ExportCancel - exportCancel"))
}

func (r *queryResolver) Exports(ctx context.Context, first *int, after *string, filter *model.ExportFilter) (*model.ExportConnection, error) {
	panic(fmt.Errorf("not implemented: Exports - exports"))
}

func (r *queryResolver) Export(ctx context.Context, id id.ID) (*export.Export, error) {
	panic(fmt.Errorf("not implemented: Export - export"))
}

func (r *queryResolver) ExportColumns(ctx context.Context, kind export.Kind) ([]*export.Column, error) {
	panic(fmt.Errorf("not implemented: ExportColumns - exportColumns"))
}

func (r *queryResolver) AuditEntries(ctx context.Context, first *int, after *string, filter *model.AuditFilter) (*model.AuditEntryConnection, error) {
	panic(fmt.Errorf("not implemented: AuditEntries - auditEntries"))
}

func (r *queryResolver) AuditActions(ctx context.Context) ([]*audit.Action, error) {
	panic(fmt.Errorf("not implemented: AuditActions - auditActions"))
}

func (r *Resolver) AuditEntry() exec.AuditEntryResolver { return &auditEntryResolver{r} }

func (r *Resolver) Export() exec.ExportResolver { return &exportResolver{r} }

func (r *Resolver) ExportUpdated() exec.ExportUpdatedResolver { return &exportUpdatedResolver{r} }

type (
	auditEntryResolver    struct{ *Resolver }
	exportResolver        struct{ *Resolver }
	exportUpdatedResolver struct{ *Resolver }
)
