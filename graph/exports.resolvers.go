package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/export"
	"switchboard/internal/id"
	"switchboard/internal/session"
	"switchboard/internal/user"
)

func (r *auditEntryResolver) Actor(ctx context.Context, obj *audit.Entry) (*user.User, error) {
	if obj.ActorID.Kind() != id.User {
		return nil, nil
	}
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *auditEntryResolver) APIKey(ctx context.Context, obj *audit.Entry) (*session.ApiKey, error) {
	if obj.ActorID.Kind() != id.APIKey || !access.From(ctx).Can(access.APIKeyManage) {
		return nil, nil
	}
	return loader.Load(ctx, loader.From(ctx).APIKeys, obj.ActorID)
}

func (r *auditEntryResolver) ActorName(ctx context.Context, obj *audit.Entry) (string, error) {
	return actorName(ctx, obj.ActorID)
}

func (r *auditEntryResolver) Subject(ctx context.Context, obj *audit.Entry) (model.Node, error) {
	return r.auditSubject(ctx, obj.Subject)
}

func (r *exportResolver) URL(ctx context.Context, obj *export.Export) (*string, error) {
	return r.exportLink(ctx, obj)
}

func (r *exportResolver) CreatedBy(ctx context.Context, obj *export.Export) (*user.User, error) {
	if obj.CreatedByID.Kind() != id.User {
		return nil, nil
	}
	return loader.Load(ctx, loader.From(ctx).Users, obj.CreatedByID)
}

func (r *exportUpdatedResolver) Actor(ctx context.Context, obj *model.ExportUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *exportUpdatedResolver) Export(ctx context.Context, obj *model.ExportUpdated) (*export.Export, error) {
	return loader.Load(ctx, loader.From(ctx).Exports, obj.ExportID)
}

func (r *mutationResolver) ExportCreate(ctx context.Context, input model.ExportCreateInput, idempotencyKey *string) (*model.ExportCreatePayload, error) {
	in, err := r.newExport(ctx, input)
	var e *export.Export
	if err == nil {
		e, err = r.d.Exports.Create(ctx, access.From(ctx), in, of(idempotencyKey))
	}
	problems, err := userErrors(err)
	return &model.ExportCreatePayload{Export: e, UserErrors: problems}, err
}

func (r *mutationResolver) ExportCancel(ctx context.Context, id id.ID) (*model.ExportCancelPayload, error) {
	e, err := r.d.Exports.Cancel(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.ExportCancelPayload{Export: e, UserErrors: problems}, err
}

func (r *queryResolver) Exports(ctx context.Context, first *int, after *string, filter *model.ExportFilter) (*model.ExportConnection, error) {
	return r.exports(ctx, filter, page(first, after))
}

func (r *queryResolver) Export(ctx context.Context, id id.ID) (*export.Export, error) {
	return absent(r.d.Exports.Get(ctx, access.From(ctx), id))
}

func (r *queryResolver) ExportColumns(ctx context.Context, kind export.Kind) ([]*export.Column, error) {
	all, err := r.d.Exports.Columns(access.From(ctx), kind)
	return pointers(all), err
}

func (r *queryResolver) AuditEntries(ctx context.Context, first *int, after *string, filter *model.AuditFilter) (*model.AuditEntryConnection, error) {
	return r.auditEntries(ctx, filter, page(first, after))
}

func (r *queryResolver) AuditActions(ctx context.Context) ([]*audit.Action, error) {
	return pointers(audit.Actions()), nil
}

func (r *Resolver) AuditEntry() exec.AuditEntryResolver { return &auditEntryResolver{r} }

func (r *Resolver) Export() exec.ExportResolver { return &exportResolver{r} }

func (r *Resolver) ExportUpdated() exec.ExportUpdatedResolver { return &exportUpdatedResolver{r} }

type (
	auditEntryResolver    struct{ *Resolver }
	exportResolver        struct{ *Resolver }
	exportUpdatedResolver struct{ *Resolver }
)
