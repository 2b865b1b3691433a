package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/tenant"
	"switchboard/internal/user"
)

func (r *callResolver) CallerCard(ctx context.Context, obj *call.Call) (*contact.CallerCard, error) {
	panic(fmt.Errorf("not implemented: CallerCard - callerCard"))
}

func (r *campaignResolver) Members(ctx context.Context, obj *contact.Campaign, first *int, after *string) (*model.CampaignMemberConnection, error) {
	panic(fmt.Errorf("not implemented: Members - members"))
}

func (r *contactResolver) Account(ctx context.Context, obj *contact.Contact) (*contact.Contact, error) {
	panic(fmt.Errorf("not implemented: Account - account"))
}

func (r *contactResolver) Members(ctx context.Context, obj *contact.Contact, first *int, after *string) (*model.ContactConnection, error) {
	panic(fmt.Errorf("not implemented: Members - members"))
}

func (r *contactImportResolver) Rows(ctx context.Context, obj *contact.Import, first *int, after *string, status *contact.UpsertStatus) (*model.ContactImportRowConnection, error) {
	panic(fmt.Errorf("not implemented: Rows - rows"))
}

func (r *contactImportResolver) FailedRowsURL(ctx context.Context, obj *contact.Import) (*string, error) {
	panic(fmt.Errorf("not implemented: FailedRowsURL - failedRowsUrl"))
}

func (r *contactImportResolver) CreatedBy(ctx context.Context, obj *contact.Import) (*user.User, error) {
	panic(fmt.Errorf("not implemented: CreatedBy - createdBy"))
}

func (r *contactImportRowResolver) Contact(ctx context.Context, obj *contact.ImportRow) (*contact.Contact, error) {
	panic(fmt.Errorf("not implemented: Contact - contact"))
}

func (r *contactImportRowResolver) Record(ctx context.Context, obj *contact.ImportRow) (*contact.Record, error) {
	panic(fmt.Errorf("not implemented: Record - record"))
}

func (r *contactImportRowResolver) UserErrors(ctx context.Context, obj *contact.ImportRow) ([]*model.UserError, error) {
	panic(fmt.Errorf("not implemented: UserErrors - userErrors"))
}

func (r *contactImportUpdatedResolver) Actor(ctx context.Context, obj *model.ContactImportUpdated) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *contactImportUpdatedResolver) ContactImport(ctx context.Context, obj *model.ContactImportUpdated) (*contact.Import, error) {
	panic(fmt.Errorf("not implemented: ContactImport - contactImport"))
}

func (r *contactRemovedResolver) Actor(ctx context.Context, obj *model.ContactRemoved) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *contactRemovedResolver) MergedInto(ctx context.Context, obj *model.ContactRemoved) (*contact.Contact, error) {
	panic(fmt.Errorf("not implemented: MergedInto - mergedInto"))
}

func (r *mutationResolver) CallerCardSettingsUpdate(ctx context.Context, input model.CallerCardSettingsUpdateInput) (*model.CallerCardSettingsUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: CallerCardSettingsUpdate - callerCardSettingsUpdate"))
}

func (r *mutationResolver) CallSave(ctx context.Context, id id.ID, input model.CallSaveInput, idempotencyKey *string) (*model.CallSavePayload, error) {
	panic(fmt.Errorf("not implemented: CallSave - callSave"))
}

func (r *mutationResolver) CallsRelink(ctx context.Context, ids []*id.ID, input model.CallsRelinkInput) (*model.CallsRelinkPayload, error) {
	panic(fmt.Errorf("not implemented: CallsRelink - callsRelink"))
}

func (r *mutationResolver) ContactMerge(ctx context.Context, id id.ID, from []*id.ID) (*model.ContactMergePayload, error) {
	panic(fmt.Errorf("not implemented: ContactMerge - contactMerge"))
}

func (r *mutationResolver) ContactAssign(ctx context.Context, ids []*id.ID, userID *id.ID) (*model.ContactAssignPayload, error) {
	panic(fmt.Errorf("not implemented: ContactAssign - contactAssign"))
}

func (r *mutationResolver) ContactDelete(ctx context.Context, ids []*id.ID) (*model.ContactDeletePayload, error) {
	panic(fmt.Errorf("not implemented: ContactDelete - contactDelete"))
}

func (r *mutationResolver) RecordAssign(ctx context.Context, ids []*id.ID, userID *id.ID) (*model.RecordAssignPayload, error) {
	panic(fmt.Errorf("not implemented: RecordAssign - recordAssign"))
}

func (r *mutationResolver) RecordDelete(ctx context.Context, ids []*id.ID) (*model.RecordDeletePayload, error) {
	panic(fmt.Errorf("not implemented: RecordDelete - recordDelete"))
}

func (r *mutationResolver) CampaignUpdate(ctx context.Context, id id.ID, input model.CampaignUpdateInput) (*model.CampaignUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: CampaignUpdate - campaignUpdate"))
}

func (r *mutationResolver) CampaignMembersAdd(ctx context.Context, id id.ID, contactIds []*id.ID) (*model.CampaignMembersAddPayload, error) {
	panic(fmt.Errorf("not implemented: CampaignMembersAdd - campaignMembersAdd"))
}

func (r *mutationResolver) CampaignMembersRemove(ctx context.Context, id id.ID, contactIds []*id.ID) (*model.CampaignMembersRemovePayload, error) {
	panic(fmt.Errorf("not implemented: CampaignMembersRemove - campaignMembersRemove"))
}

func (r *mutationResolver) ContactImportCreate(ctx context.Context, input model.ContactImportCreateInput, idempotencyKey *string) (*model.ContactImportCreatePayload, error) {
	panic(fmt.Errorf("not implemented: ContactImportCreate - contactImportCreate"))
}

func (r *mutationResolver) RecordImportCreate(ctx context.Context, input model.RecordImportCreateInput, idempotencyKey *string) (*model.RecordImportCreatePayload, error) {
	panic(fmt.Errorf("not implemented: RecordImportCreate - recordImportCreate"))
}

func (r *mutationResolver) ContactImportCancel(ctx context.Context, id id.ID) (*model.ContactImportCancelPayload, error) {
	panic(fmt.Errorf("not implemented: ContactImportCancel - contactImportCancel"))
}

func (r *organizationResolver) CallerCard(ctx context.Context, obj *tenant.Organization) (*contact.CallerCardSettings, error) {
	panic(fmt.Errorf("not implemented: CallerCard - callerCard"))
}

func (r *queryResolver) CallerCard(ctx context.Context, number string, direction *call.Direction) (*contact.CallerCard, error) {
	panic(fmt.Errorf("not implemented: CallerCard - callerCard"))
}

func (r *queryResolver) ContactImports(ctx context.Context, first *int, after *string) (*model.ContactImportConnection, error) {
	panic(fmt.Errorf("not implemented: ContactImports - contactImports"))
}

func (r *queryResolver) ContactImport(ctx context.Context, id id.ID) (*contact.Import, error) {
	panic(fmt.Errorf("not implemented: ContactImport - contactImport"))
}

func (r *queryResolver) ContactImportPreview(ctx context.Context, uploadID id.ID, subject *contact.ImportSubject) (*contact.ImportPreview, error) {
	panic(fmt.Errorf("not implemented: ContactImportPreview - contactImportPreview"))
}

func (r *Resolver) ContactImport() exec.ContactImportResolver { return &contactImportResolver{r} }

func (r *Resolver) ContactImportRow() exec.ContactImportRowResolver {
	return &contactImportRowResolver{r}
}

func (r *Resolver) ContactImportUpdated() exec.ContactImportUpdatedResolver {
	return &contactImportUpdatedResolver{r}
}

func (r *Resolver) ContactRemoved() exec.ContactRemovedResolver { return &contactRemovedResolver{r} }

type (
	contactImportResolver        struct{ *Resolver }
	contactImportRowResolver     struct{ *Resolver }
	contactImportUpdatedResolver struct{ *Resolver }
	contactRemovedResolver       struct{ *Resolver }
)
