package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/user"
)

func (r *messageTemplateResolver) Fields(ctx context.Context, obj *message.SavedTemplate) ([]*model.MergeField, error) {
	panic(fmt.Errorf("not implemented: Fields - fields"))
}

func (r *messageTemplateResolver) CreatedBy(ctx context.Context, obj *message.SavedTemplate) (*user.User, error) {
	panic(fmt.Errorf("not implemented: CreatedBy - createdBy"))
}

func (r *mutationResolver) MessageTemplateCreate(ctx context.Context, input model.MessageTemplateCreateInput) (*model.MessageTemplateCreatePayload, error) {
	panic(fmt.Errorf("not implemented: MessageTemplateCreate - messageTemplateCreate"))
}

func (r *mutationResolver) MessageTemplateUpdate(ctx context.Context, id id.ID, input model.MessageTemplateUpdateInput) (*model.MessageTemplateUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: MessageTemplateUpdate - messageTemplateUpdate"))
}

func (r *mutationResolver) MessageTemplateArchive(ctx context.Context, id id.ID) (*model.MessageTemplateArchivePayload, error) {
	panic(fmt.Errorf("not implemented: MessageTemplateArchive - messageTemplateArchive"))
}

func (r *queryResolver) MessageTemplates(ctx context.Context, first *int, after *string, filter *model.MessageTemplateFilter) (*model.MessageTemplateConnection, error) {
	panic(fmt.Errorf("not implemented: MessageTemplates - messageTemplates"))
}

func (r *queryResolver) MessageTemplate(ctx context.Context, id id.ID) (*message.SavedTemplate, error) {
	panic(fmt.Errorf("not implemented: MessageTemplate - messageTemplate"))
}

func (r *queryResolver) MergeFields(ctx context.Context, recordKind *contact.RecordKind) ([]*model.MergeField, error) {
	panic(fmt.Errorf("not implemented: MergeFields - mergeFields"))
}

func (r *queryResolver) MessageTemplatePreview(ctx context.Context, input model.MessageTemplatePreviewInput) (*model.MessageTemplatePreview, error) {
	panic(fmt.Errorf("not implemented: MessageTemplatePreview - messageTemplatePreview"))
}

func (r *Resolver) MessageTemplate() exec.MessageTemplateResolver { return &messageTemplateResolver{r} }

type messageTemplateResolver struct{ *Resolver }
