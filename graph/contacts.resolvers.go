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
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/user"
)

func (r *campaignResolver) AssignedUser(ctx context.Context, obj *contact.Campaign) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.AssignedUserID)
}

func (r *contactResolver) Name(ctx context.Context, obj *contact.Contact) (string, error) {
	return obj.NameFor(access.From(ctx)), nil
}

func (r *contactResolver) Email(ctx context.Context, obj *contact.Contact) (*string, error) {
	return obj.EmailFor(access.From(ctx)), nil
}

func (r *contactResolver) Location(ctx context.Context, obj *contact.Contact) (*string, error) {
	return obj.LocationFor(access.From(ctx)), nil
}

func (r *contactResolver) Phones(ctx context.Context, obj *contact.Contact) ([]*contact.Phone, error) {
	return loader.From(ctx).ContactPhones.Load(ctx, obj.ID)
}

func (r *contactResolver) AssignedUser(ctx context.Context, obj *contact.Contact) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.AssignedUserID)
}

func (r *contactResolver) LastCampaign(ctx context.Context, obj *contact.Contact) (*contact.Campaign, error) {
	return loader.Load(ctx, loader.From(ctx).Campaigns, obj.LastCampaignID)
}

func (r *contactResolver) LastPhoneNumber(ctx context.Context, obj *contact.Contact) (*number.PhoneNumber, error) {
	return loader.Load(ctx, loader.From(ctx).Numbers, obj.LastPhoneNumberID)
}

func (r *contactResolver) Calls(ctx context.Context, obj *contact.Contact, first *int, after *string) (*model.CallConnection, error) {
	return r.calls(ctx, call.Filter{ContactID: obj.ID}, page(first, after))
}

func (r *contactResolver) SmsThreads(ctx context.Context, obj *contact.Contact, first *int, after *string) (*model.SmsThreadConnection, error) {
	return r.threads(ctx, message.Filter{ContactID: obj.ID}, page(first, after))
}

func (r *contactUpdatedResolver) Actor(ctx context.Context, obj *model.ContactUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *contactUpdatedResolver) Contact(ctx context.Context, obj *model.ContactUpdated) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *contactUpsertRowResolver) Contact(ctx context.Context, obj *model.ContactUpsertRow) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *mutationResolver) ContactCreate(ctx context.Context, input model.ContactCreateInput) (*model.ContactCreatePayload, error) {
	c, err := r.d.Contacts.Create(ctx, access.From(ctx), contactCreate(input))
	problems, err := userErrors(err)
	return &model.ContactCreatePayload{Contact: c, UserErrors: problems}, err
}

func (r *mutationResolver) ContactUpdate(ctx context.Context, id id.ID, input model.ContactUpdateInput) (*model.ContactUpdatePayload, error) {
	c, err := r.d.Contacts.Update(ctx, access.From(ctx), id, contactUpdate(input))
	problems, err := userErrors(err)
	return &model.ContactUpdatePayload{Contact: c, UserErrors: problems}, err
}

func (r *mutationResolver) CampaignCreate(ctx context.Context, input model.CampaignCreateInput) (*model.CampaignCreatePayload, error) {
	c, err := r.d.Contacts.CreateCampaign(ctx, access.From(ctx), contact.CampaignCreate{
		Name: input.Name, AssignedUserID: given(input.AssignedUserID), ContactIDs: every(input.ContactIds.Value(), deref),
	})
	problems, err := userErrors(err)
	return &model.CampaignCreatePayload{Campaign: c, UserErrors: problems}, err
}

func (r *mutationResolver) RecordCreate(ctx context.Context, input model.RecordCreateInput) (*model.RecordCreatePayload, error) {
	x, err := r.d.Contacts.CreateRecord(ctx, access.From(ctx), recordCreate(input))
	problems, err := userErrors(err)
	return &model.RecordCreatePayload{Record: x, UserErrors: problems}, err
}

func (r *mutationResolver) RecordUpdate(ctx context.Context, id id.ID, input model.RecordUpdateInput) (*model.RecordUpdatePayload, error) {
	x, err := r.d.Contacts.UpdateRecord(ctx, access.From(ctx), id, recordUpdate(input))
	problems, err := userErrors(err)
	return &model.RecordUpdatePayload{Record: x, UserErrors: problems}, err
}

func (r *mutationResolver) ContactUpsert(ctx context.Context, input []*model.ContactUpsertInput, idempotencyKey *string) (*model.ContactUpsertPayload, error) {
	done, err := r.d.Contacts.UpsertContacts(ctx, access.From(ctx), every(input, contactUpsert), of(idempotencyKey))
	rows, problems, err := upsertRows(done, err, func(i int, x contact.UpsertRow, problems []*model.UserError) *model.ContactUpsertRow {
		return &model.ContactUpsertRow{Index: i, Status: x.Status, ContactID: x.ID, UserErrors: problems}
	})
	return &model.ContactUpsertPayload{Rows: rows, UserErrors: problems}, err
}

func (r *mutationResolver) RecordUpsert(ctx context.Context, input []*model.RecordUpsertInput, idempotencyKey *string) (*model.RecordUpsertPayload, error) {
	done, err := r.d.Contacts.UpsertRecords(ctx, access.From(ctx), every(input, recordUpsert), of(idempotencyKey))
	rows, problems, err := upsertRows(done, err, func(i int, x contact.UpsertRow, problems []*model.UserError) *model.RecordUpsertRow {
		return &model.RecordUpsertRow{Index: i, Status: x.Status, RecordID: x.ID, UserErrors: problems}
	})
	return &model.RecordUpsertPayload{Rows: rows, UserErrors: problems}, err
}

func (r *mutationResolver) RecordEvent(ctx context.Context, input model.RecordEventInput) (*model.RecordEventPayload, error) {
	e, x, err := r.d.Contacts.AddEvent(ctx, access.From(ctx), contact.EventAdd{
		RecordID: given(input.RecordID), RecordKind: given(input.RecordKind), RecordExternalID: given(input.RecordExternalID), Kind: input.Event,
		At: input.At.Value(), ExternalID: input.ExternalID.Value(), EtaAt: input.EtaAt.Value(),
		TrackingURL: input.TrackingURL.Value(), Note: input.Note.Value(), Data: every(input.Data.Value(), datum),
	})
	problems, err := userErrors(err)
	return &model.RecordEventPayload{Event: e, Record: x, UserErrors: problems}, err
}

func (r *queryResolver) Contacts(ctx context.Context, first *int, after *string, filter *model.ContactFilter) (*model.ContactConnection, error) {
	return r.contacts(ctx, contactFilter(filter), page(first, after))
}

func (r *queryResolver) Contact(ctx context.Context, id id.ID) (*contact.Contact, error) {
	return absent(r.d.Contacts.Get(ctx, access.From(ctx), id))
}

func (r *queryResolver) Campaigns(ctx context.Context, first *int, after *string) (*model.CampaignConnection, error) {
	p := page(first, after)
	w, err := r.d.Contacts.Campaigns(ctx, access.From(ctx), p)
	if err != nil {
		return nil, err
	}
	c := &model.CampaignConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *contact.Campaign) *model.CampaignEdge {
		return &model.CampaignEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *queryResolver) Records(ctx context.Context, first *int, after *string, filter *model.RecordFilter) (*model.RecordConnection, error) {
	p := page(first, after)
	w, err := r.d.Contacts.Records(ctx, access.From(ctx), recordFilter(filter), p)
	if err != nil {
		return nil, err
	}
	c := &model.RecordConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *contact.Record) *model.RecordEdge {
		return &model.RecordEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *queryResolver) Record(ctx context.Context, id id.ID) (*contact.Record, error) {
	return absent(r.d.Contacts.Record(ctx, access.From(ctx), id))
}

func (r *recordResolver) Contact(ctx context.Context, obj *contact.Record) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *recordResolver) AssignedUser(ctx context.Context, obj *contact.Record) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.AssignedUserID)
}

func (r *recordResolver) Events(ctx context.Context, obj *contact.Record, first *int, after *string) (*model.RecordEventConnection, error) {
	return r.recordEvents(ctx, obj, first, after)
}

func (r *recordResolver) Calls(ctx context.Context, obj *contact.Record, first *int, after *string) (*model.CallConnection, error) {
	return r.calls(ctx, call.Filter{RecordID: obj.ID}, page(first, after))
}

func (r *recordEventResolver) Record(ctx context.Context, obj *contact.RecordEvent) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
}

func (r *recordEventResolver) User(ctx context.Context, obj *contact.RecordEvent) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *recordEventAddedResolver) Actor(ctx context.Context, obj *model.RecordEventAdded) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *recordEventAddedResolver) Record(ctx context.Context, obj *model.RecordEventAdded) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
}

func (r *recordEventAddedResolver) Event(ctx context.Context, obj *model.RecordEventAdded) (*contact.RecordEvent, error) {
	return loader.Load(ctx, loader.From(ctx).RecordEvents, obj.EventID)
}

func (r *recordUpdatedResolver) Actor(ctx context.Context, obj *model.RecordUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *recordUpdatedResolver) Record(ctx context.Context, obj *model.RecordUpdated) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
}

func (r *recordUpsertRowResolver) Record(ctx context.Context, obj *model.RecordUpsertRow) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
}

func (r *Resolver) Campaign() exec.CampaignResolver { return &campaignResolver{r} }

func (r *Resolver) Contact() exec.ContactResolver { return &contactResolver{r} }

func (r *Resolver) ContactUpdated() exec.ContactUpdatedResolver { return &contactUpdatedResolver{r} }

func (r *Resolver) ContactUpsertRow() exec.ContactUpsertRowResolver {
	return &contactUpsertRowResolver{r}
}

func (r *Resolver) Record() exec.RecordResolver { return &recordResolver{r} }

func (r *Resolver) RecordEvent() exec.RecordEventResolver { return &recordEventResolver{r} }

func (r *Resolver) RecordEventAdded() exec.RecordEventAddedResolver {
	return &recordEventAddedResolver{r}
}

func (r *Resolver) RecordUpdated() exec.RecordUpdatedResolver { return &recordUpdatedResolver{r} }

func (r *Resolver) RecordUpsertRow() exec.RecordUpsertRowResolver { return &recordUpsertRowResolver{r} }

type (
	campaignResolver         struct{ *Resolver }
	contactResolver          struct{ *Resolver }
	contactUpdatedResolver   struct{ *Resolver }
	contactUpsertRowResolver struct{ *Resolver }
	recordResolver           struct{ *Resolver }
	recordEventResolver      struct{ *Resolver }
	recordEventAddedResolver struct{ *Resolver }
	recordUpdatedResolver    struct{ *Resolver }
	recordUpsertRowResolver  struct{ *Resolver }
)
