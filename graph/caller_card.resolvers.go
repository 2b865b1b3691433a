package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/tenant"
	"switchboard/internal/user"
)

func (r *callResolver) CallerCard(ctx context.Context, obj *call.Call) (*contact.CallerCard, error) {
	return loader.Load(ctx, loader.From(ctx).CallCards, obj.ID)
}

func (r *campaignResolver) Members(ctx context.Context, obj *contact.Campaign, first *int, after *string) (*model.CampaignMemberConnection, error) {
	p := page(first, after)
	w, err := r.d.Contacts.Members(ctx, access.From(ctx), obj.ID, p)
	if err != nil {
		return nil, err
	}
	c := &model.CampaignMemberConnection{Nodes: []*contact.Contact{}}
	c.Edges, _, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *contact.Member) *model.CampaignMemberEdge {
		c.Nodes = append(c.Nodes, &x.Contact)
		return &model.CampaignMemberEdge{Cursor: cursor, Node: &x.Contact, LastContactedAt: x.CampaignContactedAt}
	})
	if err != nil {
		return nil, err
	}
	return c, loader.Ahead(ctx, c.Nodes, askedOfNodes(ctx))
}

func (r *contactResolver) Account(ctx context.Context, obj *contact.Contact) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.AccountID)
}

func (r *contactResolver) Members(ctx context.Context, obj *contact.Contact, first *int, after *string) (*model.ContactConnection, error) {
	if obj.Kind != contact.KindAccount {
		return nobody(), nil
	}
	return r.contacts(ctx, contact.Filter{AccountID: obj.ID}, page(first, after))
}

func (r *contactImportResolver) Rows(ctx context.Context, obj *contact.Import, first *int, after *string, status *contact.UpsertStatus) (*model.ContactImportRowConnection, error) {
	rows, more, err := r.d.Contacts.ImportRows(ctx, access.From(ctx), obj.ID, of(status), first, of(after))
	if err != nil {
		return nil, err
	}
	c := &model.ContactImportRowConnection{Edges: []*model.ContactImportRowEdge{}, Nodes: []*contact.ImportRow{},
		PageInfo: &model.PageInfo{HasNextPage: more, HasPreviousPage: of(after) != ""}}
	for _, x := range rows {
		c.Edges, c.Nodes = append(c.Edges, &model.ContactImportRowEdge{Cursor: x.Cursor(), Node: x}), append(c.Nodes, x)
	}
	if n := len(rows); n > 0 {
		c.PageInfo.StartCursor, c.PageInfo.EndCursor = &c.Edges[0].Cursor, &c.Edges[n-1].Cursor
	}
	return c, loader.Ahead(ctx, c.Nodes, askedOfNodes(ctx))
}

func (r *contactImportResolver) FailedRowsURL(ctx context.Context, obj *contact.Import) (*string, error) {
	if !obj.HasFailedFile {
		return nil, nil
	}
	link, err := r.d.Link(access.From(ctx), obj.ID)
	return &link, err
}

func (r *contactImportResolver) CreatedBy(ctx context.Context, obj *contact.Import) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.CreatedByID)
}

func (r *contactImportRowResolver) Contact(ctx context.Context, obj *contact.ImportRow) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID())
}

func (r *contactImportRowResolver) Record(ctx context.Context, obj *contact.ImportRow) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID())
}

func (r *contactImportRowResolver) UserErrors(ctx context.Context, obj *contact.ImportRow) ([]*model.UserError, error) {
	return userErrors(obj.Problem())
}

func (r *contactImportUpdatedResolver) Actor(ctx context.Context, obj *model.ContactImportUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *contactImportUpdatedResolver) ContactImport(ctx context.Context, obj *model.ContactImportUpdated) (*contact.Import, error) {
	return loader.Load(ctx, loader.From(ctx).Imports, obj.ImportID)
}

func (r *contactRemovedResolver) Actor(ctx context.Context, obj *model.ContactRemoved) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *contactRemovedResolver) MergedInto(ctx context.Context, obj *model.ContactRemoved) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.MergedIntoID)
}

func (r *mutationResolver) CallerCardSettingsUpdate(ctx context.Context, input model.CallerCardSettingsUpdateInput) (*model.CallerCardSettingsUpdatePayload, error) {
	c, err := r.d.Contacts.UpdateCardSettings(ctx, access.From(ctx), contact.CardSettingsUpdate{
		ContactKinds: each(input.ContactKinds, same), RecordKinds: each(input.RecordKinds, same), HidesLeads: field(input.HidesLeads),
		ShowsRelatedAccountsOnly: field(input.ShowsRelatedAccountsOnly), InboundSaving: field(input.InboundSaving),
		OutboundSaving: field(input.OutboundSaving), OpensInbound: field(input.OpensInbound), OpensOutbound: field(input.OpensOutbound),
		QuickCreateContacts: each(input.QuickCreateContacts, same), QuickCreateRecords: each(input.QuickCreateRecords, same),
	})
	problems, err := userErrors(err)
	return &model.CallerCardSettingsUpdatePayload{Settings: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallSave(ctx context.Context, id id.ID, input model.CallSaveInput, idempotencyKey *string) (*model.CallSavePayload, error) {
	c, err := r.d.Calls.Save(ctx, access.From(ctx), id, callSave(input), of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.CallSavePayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallsRelink(ctx context.Context, ids []*id.ID, input model.CallsRelinkInput) (*model.CallsRelinkPayload, error) {
	list, err := r.d.Calls.Relink(ctx, access.From(ctx), every(ids, deref), field(input.ContactID), field(input.RecordID))
	problems, err := userErrors(err)
	return &model.CallsRelinkPayload{Calls: list, UserErrors: problems}, err
}

func (r *mutationResolver) ContactMerge(ctx context.Context, id id.ID, from []*id.ID) (*model.ContactMergePayload, error) {
	c, err := r.d.Contacts.Merge(ctx, access.From(ctx), id, every(from, deref))
	problems, err := userErrors(err)
	return &model.ContactMergePayload{Contact: c, UserErrors: problems}, err
}

func (r *mutationResolver) ContactAssign(ctx context.Context, ids []*id.ID, userID *id.ID) (*model.ContactAssignPayload, error) {
	list, err := r.d.Contacts.AssignContacts(ctx, access.From(ctx), every(ids, deref), of(userID))
	problems, err := userErrors(err)
	return &model.ContactAssignPayload{Contacts: list, UserErrors: problems}, err
}

func (r *mutationResolver) ContactDelete(ctx context.Context, ids []*id.ID) (*model.ContactDeletePayload, error) {
	gone, problems, err := deleted(r.d.Contacts.Delete(ctx, access.From(ctx), every(ids, deref)))
	return &model.ContactDeletePayload{DeletedIds: gone, UserErrors: problems}, err
}

func (r *mutationResolver) RecordAssign(ctx context.Context, ids []*id.ID, userID *id.ID) (*model.RecordAssignPayload, error) {
	list, err := r.d.Contacts.AssignRecords(ctx, access.From(ctx), every(ids, deref), of(userID))
	problems, err := userErrors(err)
	return &model.RecordAssignPayload{Records: list, UserErrors: problems}, err
}

func (r *mutationResolver) RecordDelete(ctx context.Context, ids []*id.ID) (*model.RecordDeletePayload, error) {
	gone, problems, err := deleted(r.d.Contacts.DeleteRecords(ctx, access.From(ctx), every(ids, deref)))
	return &model.RecordDeletePayload{DeletedIds: gone, UserErrors: problems}, err
}

func (r *mutationResolver) CampaignUpdate(ctx context.Context, id id.ID, input model.CampaignUpdateInput) (*model.CampaignUpdatePayload, error) {
	c, err := r.d.Contacts.UpdateCampaign(ctx, access.From(ctx), id, contact.CampaignUpdate{
		Name: field(input.Name), AssignedUserID: field(input.AssignedUserID), IsActive: field(input.IsActive),
	})
	problems, err := userErrors(err)
	return &model.CampaignUpdatePayload{Campaign: c, UserErrors: problems}, err
}

func (r *mutationResolver) CampaignMembersAdd(ctx context.Context, id id.ID, contactIds []*id.ID) (*model.CampaignMembersAddPayload, error) {
	c, err := r.d.Contacts.AddMembers(ctx, access.From(ctx), id, every(contactIds, deref))
	problems, err := userErrors(err)
	return &model.CampaignMembersAddPayload{Campaign: c, UserErrors: problems}, err
}

func (r *mutationResolver) CampaignMembersRemove(ctx context.Context, id id.ID, contactIds []*id.ID) (*model.CampaignMembersRemovePayload, error) {
	c, err := r.d.Contacts.RemoveMembers(ctx, access.From(ctx), id, every(contactIds, deref))
	problems, err := userErrors(err)
	return &model.CampaignMembersRemovePayload{Campaign: c, UserErrors: problems}, err
}

func (r *mutationResolver) ContactImportCreate(ctx context.Context, input model.ContactImportCreateInput, idempotencyKey *string) (*model.ContactImportCreatePayload, error) {
	x, err := r.d.Contacts.CreateImport(ctx, access.From(ctx), contact.ImportCreate{
		Subject: contact.ImportsContacts, UploadID: input.UploadID, Kind: string(given(input.Kind)), UpdateBy: input.UpdateBy, DryRun: input.DryRun,
		Country: given(input.CountryForNumbers), Columns: contactColumns(input.Columns.Value()),
	}, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.ContactImportCreatePayload{ContactImport: x, UserErrors: problems}, err
}

func (r *mutationResolver) RecordImportCreate(ctx context.Context, input model.RecordImportCreateInput, idempotencyKey *string) (*model.RecordImportCreatePayload, error) {
	x, err := r.d.Contacts.CreateImport(ctx, access.From(ctx), contact.ImportCreate{
		Subject: contact.ImportsRecords, UploadID: input.UploadID, Kind: string(given(input.Kind)), DryRun: input.DryRun,
		Country: given(input.CountryForNumbers), Columns: recordColumns(input.Columns.Value()),
	}, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.RecordImportCreatePayload{ContactImport: x, UserErrors: problems}, err
}

func (r *mutationResolver) ContactImportCancel(ctx context.Context, id id.ID) (*model.ContactImportCancelPayload, error) {
	x, err := r.d.Contacts.CancelImport(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.ContactImportCancelPayload{ContactImport: x, UserErrors: problems}, err
}

func (r *organizationResolver) CallerCard(ctx context.Context, obj *tenant.Organization) (*contact.CallerCardSettings, error) {
	return r.d.Contacts.CardSettings(ctx)
}

func (r *queryResolver) CallerCard(ctx context.Context, number string, direction *call.Direction) (*contact.CallerCard, error) {
	return r.d.Contacts.Card(ctx, access.From(ctx), number, of(direction) == call.Outbound)
}

func (r *queryResolver) ContactImports(ctx context.Context, first *int, after *string) (*model.ContactImportConnection, error) {
	p := page(first, after)
	w, err := r.d.Contacts.Imports(ctx, access.From(ctx), p)
	if err != nil {
		return nil, err
	}
	c := &model.ContactImportConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *contact.Import) *model.ContactImportEdge {
		return &model.ContactImportEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *queryResolver) ContactImport(ctx context.Context, id id.ID) (*contact.Import, error) {
	return absent(r.d.Contacts.Import(ctx, access.From(ctx), id))
}

func (r *queryResolver) ContactImportPreview(ctx context.Context, uploadID id.ID, subject *contact.ImportSubject) (*contact.ImportPreview, error) {
	return r.d.Contacts.Preview(ctx, access.From(ctx), uploadID)
}

func (r *recordRemovedResolver) Actor(ctx context.Context, obj *model.RecordRemoved) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *Resolver) ContactImport() exec.ContactImportResolver { return &contactImportResolver{r} }

func (r *Resolver) ContactImportRow() exec.ContactImportRowResolver {
	return &contactImportRowResolver{r}
}

func (r *Resolver) ContactImportUpdated() exec.ContactImportUpdatedResolver {
	return &contactImportUpdatedResolver{r}
}

func (r *Resolver) ContactRemoved() exec.ContactRemovedResolver { return &contactRemovedResolver{r} }

func (r *Resolver) RecordRemoved() exec.RecordRemovedResolver { return &recordRemovedResolver{r} }

type (
	contactImportResolver        struct{ *Resolver }
	contactImportRowResolver     struct{ *Resolver }
	contactImportUpdatedResolver struct{ *Resolver }
	contactRemovedResolver       struct{ *Resolver }
	recordRemovedResolver        struct{ *Resolver }
)
