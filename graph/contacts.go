package graph

import (
	"context"
	"encoding/json"
	"slices"

	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/event"
	"switchboard/internal/id"
)

// contacts is a page of contacts.
func (r *Resolver) contacts(ctx context.Context, f contact.Filter, p db.Page) (*model.ContactConnection, error) {
	w, err := r.d.Contacts.List(ctx, access.From(ctx), f, p)
	if err != nil {
		return nil, err
	}
	c := &model.ContactConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *contact.Contact) *model.ContactEdge {
		return &model.ContactEdge{Cursor: cursor, Node: x}
	})
	if err == nil && asked(ctx, "totalCount") {
		c.TotalCount, err = r.d.Contacts.Count(ctx, access.From(ctx), f)
	}
	return c, err
}

// nobody is a page without contacts.
func nobody() *model.ContactConnection {
	return &model.ContactConnection{Edges: []*model.ContactEdge{}, Nodes: []*contact.Contact{}, PageInfo: &model.PageInfo{}}
}

// callCards are the caller cards of calls that the actor sees.
func (r *Resolver) callCards(ctx context.Context, ids []id.ID) (map[id.ID]*contact.CallerCard, error) {
	who := access.From(ctx)
	found, err := r.d.Calls.Visible(ctx, who, ids)
	if err != nil {
		return nil, err
	}
	var asks []contact.CardAsk
	var of []id.ID
	for _, x := range ids {
		c := found[x]
		if c == nil {
			continue
		}
		if ask, ok := c.CardAsk(); ok {
			asks, of = append(asks, ask), append(of, x)
		}
	}
	if len(asks) == 0 {
		return nil, nil
	}
	cards, err := r.d.Contacts.Cards(ctx, who, asks)
	if err != nil {
		return nil, err
	}
	out := make(map[id.ID]*contact.CallerCard, len(of))
	for i, x := range of {
		out[x] = cards[i]
	}
	return out, nil
}

func contactCreate(in model.ContactCreateInput) contact.Create {
	return contact.Create{
		Kind: in.Kind, Name: in.Name, Company: in.Company.Value(), Email: in.Email.Value(), Country: in.Country.Value(),
		Status: in.Status.Value(), Tags: every(in.Tags.Value(), same), ExternalID: in.ExternalID.Value(),
		Timezone: in.Timezone.Value(), Service: in.Service.Value(), Location: in.Location.Value(),
		Phones: every(in.Phones.Value(), contactPhone), AssignedUserID: given(in.AssignedUserID), AccountID: given(in.AccountID),
	}
}

func recordCreate(in model.RecordCreateInput) contact.RecordCreate {
	return contact.RecordCreate{
		Kind: in.Kind, Title: in.Title, Status: in.Status.Value(), ExternalID: in.ExternalID.Value(),
		ContactID: given(in.ContactID), AssignedUserID: given(in.AssignedUserID), StartsAt: in.StartsAt.Value(),
		More: recordMore(in),
	}
}

func callSave(in model.CallSaveInput) call.SaveInput {
	out := call.SaveInput{UpdateInput: call.UpdateInput{
		Outcome: field(in.Outcome), Notes: field(in.Notes), ContactID: field(in.ContactID), RecordID: field(in.RecordID)}}
	if c := in.CreateContact.Value(); c != nil {
		create := contactCreate(*c)
		out.CreateContact = &create
	}
	if x := in.CreateRecord.Value(); x != nil {
		create := recordCreate(*x)
		out.CreateRecord = &create
	}
	return out
}

// deleted is the answer about things that are gone, and those that are not.
func deleted(gone []id.ID, kept []error, err error) ([]*id.ID, []*model.UserError, error) {
	problems, err := userErrors(err)
	if err != nil {
		return nil, nil, err
	}
	for _, k := range kept {
		more, err := userErrors(k)
		if err != nil {
			return nil, nil, err
		}
		problems = append(problems, more...)
	}
	return every(gone, func(x id.ID) *id.ID { return &x }), problems, nil
}

// removed is the contract's event of a contact or a record that is gone. It is
// nobody's to read any more: whoever sees all of them is told, and of the others
// those to whom it belonged.
func removed(who access.Actor, head model.EventHead, e event.Event) (model.Event, bool, error) {
	var d contact.RemovedData
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return nil, false, err
	}
	if !who.Can(access.ContactView) || contact.Own(who) != "" && !slices.Contains(d.Users, who.UserID) {
		return nil, false, nil
	}
	if e.Kind == contact.RecordRemoved {
		return &model.RecordRemoved{EventHead: head, DeletedRecordID: e.Subject}, true, nil
	}
	return &model.ContactRemoved{EventHead: head, DeletedContactID: e.Subject, MergedIntoID: d.MergedInto}, true, nil
}

func contactColumns(in []*model.ContactImportColumnInput) []contact.ImportColumn {
	if in == nil {
		return nil
	}
	return every(in, func(c *model.ContactImportColumnInput) contact.ImportColumn {
		return contact.ImportColumn{Column: c.Column, Field: string(c.Field)}
	})
}

func recordColumns(in []*model.RecordImportColumnInput) []contact.ImportColumn {
	if in == nil {
		return nil
	}
	return every(in, func(c *model.RecordImportColumnInput) contact.ImportColumn {
		return contact.ImportColumn{Column: c.Column, Field: string(c.Field), Key: given(c.Key)}
	})
}
