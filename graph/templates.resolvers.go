package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/user"
)

func (r *messageTemplateResolver) Fields(ctx context.Context, obj *message.SavedTemplate) ([]*model.MergeField, error) {
	return every(obj.Fields(), mergeField), nil
}

func (r *messageTemplateResolver) CreatedBy(ctx context.Context, obj *message.SavedTemplate) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.CreatedByID)
}

func (r *mutationResolver) MessageTemplateCreate(ctx context.Context, input model.MessageTemplateCreateInput) (*model.MessageTemplateCreatePayload, error) {
	t, err := r.d.Templates.Create(ctx, access.From(ctx), message.NewTemplate{
		Kind: input.Kind, Name: input.Name, Body: input.Body, Purpose: input.Purpose, RecordKind: input.RecordKind.Value(),
	})
	problems, err := userErrors(err)
	return &model.MessageTemplateCreatePayload{MessageTemplate: t, UserErrors: problems}, err
}

func (r *mutationResolver) MessageTemplateUpdate(ctx context.Context, id id.ID, input model.MessageTemplateUpdateInput) (*model.MessageTemplateUpdatePayload, error) {
	t, err := r.d.Templates.Update(ctx, access.From(ctx), id, message.TemplateChange{
		Name: unlessNull(input.Name), Body: unlessNull(input.Body), Purpose: unlessNull(input.Purpose), RecordKind: field(input.RecordKind),
	})
	problems, err := userErrors(err)
	return &model.MessageTemplateUpdatePayload{MessageTemplate: t, UserErrors: problems}, err
}

func (r *mutationResolver) MessageTemplateArchive(ctx context.Context, id id.ID) (*model.MessageTemplateArchivePayload, error) {
	t, err := r.d.Templates.Archive(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.MessageTemplateArchivePayload{MessageTemplate: t, UserErrors: problems}, err
}

func (r *queryResolver) MessageTemplates(ctx context.Context, first *int, after *string, filter *model.MessageTemplateFilter) (*model.MessageTemplateConnection, error) {
	p := page(first, after)
	w, err := r.d.Templates.List(ctx, access.From(ctx), templateFilter(filter), p)
	if err != nil {
		return nil, err
	}
	c := &model.MessageTemplateConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, t *message.SavedTemplate) *model.MessageTemplateEdge {
		return &model.MessageTemplateEdge{Cursor: cursor, Node: t}
	})
	return c, err
}

func (r *queryResolver) MessageTemplate(ctx context.Context, id id.ID) (*message.SavedTemplate, error) {
	return absent(r.d.Templates.Get(ctx, access.From(ctx), id))
}

func (r *queryResolver) MergeFields(ctx context.Context, recordKind *contact.RecordKind) ([]*model.MergeField, error) {
	return every(message.MergeFields(recordKind), mergeField), nil
}

func (r *queryResolver) MessageTemplatePreview(ctx context.Context, input model.MessageTemplatePreviewInput) (*model.MessageTemplatePreview, error) {
	p, err := r.d.Templates.Preview(ctx, access.From(ctx), message.TemplatePreview{
		TemplateID: given(input.TemplateID), Body: given(input.Body), ContactID: given(input.ContactID), RecordID: given(input.RecordID),
	})
	if err != nil {
		return nil, err
	}
	return &model.MessageTemplatePreview{Body: p.Body, Encoding: p.Size.Encoding, Segments: p.Size.Parts, Missing: p.Missing, Problems: p.Problems}, nil
}

func (r *Resolver) MessageTemplate() exec.MessageTemplateResolver { return &messageTemplateResolver{r} }

type messageTemplateResolver struct{ *Resolver }
