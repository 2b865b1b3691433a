package graph

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/patch"
)

func contactFilter(f *model.ContactFilter) contact.Filter {
	if f == nil {
		return contact.Filter{}
	}
	return contact.Filter{
		Kind: given(f.Kind), Number: given(f.Number), NameStartsWith: given(f.NameStartsWith), AssignedUserID: given(f.AssignedUserID), AccountID: given(f.AccountID),
		Status: given(f.Status), Tag: given(f.Tag), Service: given(f.Service), Location: given(f.Location),
	}
}

func recordFilter(f *model.RecordFilter) contact.RecordFilter {
	if f == nil {
		return contact.RecordFilter{}
	}
	return contact.RecordFilter{
		Kind: given(f.Kind), ContactID: given(f.ContactID), AssignedUserID: given(f.AssignedUserID),
		Status: given(f.Status), Tag: given(f.Tag), Service: given(f.Service), Location: given(f.Location),
		StartsAfter: given(f.StartsAfter), StartsBefore: given(f.StartsBefore), DueBefore: given(f.DueBefore),
	}
}

// money is an amount, absent kept apart from null.
func money(o graphql.Omittable[*model.MoneyInput]) patch.Field[contact.Money] {
	m := o.Value()
	if m == nil {
		return patch.From[contact.Money](o.IsSet(), nil)
	}
	return patch.To(contact.Money{AmountMinor: int64(m.AmountMinor), Currency: m.Currency})
}

func datum(d *model.RecordDatumInput) contact.Datum { return contact.Datum{Key: d.Key, Value: d.Value} }

func recordMore(in model.RecordCreateInput) contact.RecordUpdate {
	return contact.RecordUpdate{
		Tags: each(in.Tags, same), Service: field(in.Service), Location: field(in.Location), Amount: money(in.Amount), EndsAt: field(in.EndsAt),
		DueAt: field(in.DueAt), ExpiresAt: field(in.ExpiresAt), NextServiceAt: field(in.NextServiceAt), EtaAt: field(in.EtaAt),
		TrackingURL: field(in.TrackingURL), URL: field(in.URL), Data: each(in.Data, datum), ConfirmedAt: field(in.ConfirmedAt),
	}
}

func recordUpdate(in model.RecordUpdateInput) contact.RecordUpdate {
	return contact.RecordUpdate{
		Title: field(in.Title), Status: field(in.Status), ContactID: field(in.ContactID), AssignedUserID: field(in.AssignedUserID), StartsAt: field(in.StartsAt),
		Tags: each(in.Tags, same), Service: field(in.Service), Location: field(in.Location), Amount: money(in.Amount), EndsAt: field(in.EndsAt),
		DueAt: field(in.DueAt), ExpiresAt: field(in.ExpiresAt), NextServiceAt: field(in.NextServiceAt), EtaAt: field(in.EtaAt),
		TrackingURL: field(in.TrackingURL), URL: field(in.URL), Data: each(in.Data, datum), ConfirmedAt: field(in.ConfirmedAt),
	}
}

func recordUpsert(in *model.RecordUpsertInput) contact.RecordUpsert {
	return contact.RecordUpsert{
		Kind: in.Kind, ExternalID: in.ExternalID, ContactExternalID: field(in.ContactExternalID), AssignedUserEmail: field(in.AssignedUserEmail),
		Source: source(in.SourceUpdatedAt.Value(), in.SourceVersion.Value()),
		RecordUpdate: contact.RecordUpdate{
			Title: field(in.Title), Status: field(in.Status), ContactID: field(in.ContactID), AssignedUserID: field(in.AssignedUserID), StartsAt: field(in.StartsAt),
			Tags: each(in.Tags, same), Service: field(in.Service), Location: field(in.Location), Amount: money(in.Amount), EndsAt: field(in.EndsAt),
			DueAt: field(in.DueAt), ExpiresAt: field(in.ExpiresAt), NextServiceAt: field(in.NextServiceAt), EtaAt: field(in.EtaAt),
			TrackingURL: field(in.TrackingURL), URL: field(in.URL), Data: each(in.Data, datum), ConfirmedAt: field(in.ConfirmedAt),
		},
	}
}

func contactUpdate(in model.ContactUpdateInput) contact.Update {
	return contact.Update{
		Kind: field(in.Kind), Name: field(in.Name), Company: field(in.Company), Email: field(in.Email), Country: field(in.Country), Status: field(in.Status),
		Tags: each(in.Tags, same), Timezone: field(in.Timezone), Service: field(in.Service), Location: field(in.Location),
		Phones: each(in.Phones, contactPhone), AssignedUserID: field(in.AssignedUserID), AccountID: field(in.AccountID),
	}
}

func contactUpsert(in *model.ContactUpsertInput) contact.ContactUpsert {
	return contact.ContactUpsert{
		ExternalID: in.ExternalID, AssignedUserEmail: field(in.AssignedUserEmail), AccountExternalID: field(in.AccountExternalID),
		Source: source(in.SourceUpdatedAt.Value(), in.SourceVersion.Value()),
		Update: contact.Update{
			Kind: field(in.Kind), Name: field(in.Name), Company: field(in.Company), Email: field(in.Email), Country: field(in.Country), Status: field(in.Status),
			Tags: each(in.Tags, same), Timezone: field(in.Timezone), Service: field(in.Service), Location: field(in.Location),
			Phones: each(in.Phones, contactPhone), AssignedUserID: field(in.AssignedUserID), AccountID: field(in.AccountID),
		},
	}
}

func source(at *time.Time, version *int) contact.Source {
	out := contact.Source{UpdatedAt: at}
	if version != nil {
		v := int64(*version)
		out.Version = &v
	}
	return out
}

// upsertRows wraps the rows of an upsert. An error is the whole batch's.
func upsertRows[T any](rows []contact.UpsertRow, err error, row func(i int, r contact.UpsertRow, problems []*model.UserError) T) ([]T, []*model.UserError, error) {
	out := make([]T, 0, len(rows))
	problems, err := userErrors(err)
	if err != nil || len(problems) > 0 {
		return out, problems, err
	}
	for i, r := range rows {
		problems, err := userErrors(r.Problem())
		if err != nil {
			return out, problems, err
		}
		out = append(out, row(i, r, problems))
	}
	return out, problems, nil
}

// recordEvents is a page of what happened to a record.
func (r *Resolver) recordEvents(ctx context.Context, x *contact.Record, first *int, after *string) (*model.RecordEventConnection, error) {
	p := page(first, after)
	w, err := r.d.Contacts.Events(ctx, access.From(ctx), x, p)
	if err != nil {
		return nil, err
	}
	c := &model.RecordEventConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, e *contact.RecordEvent) *model.RecordEventEdge {
		return &model.RecordEventEdge{Cursor: cursor, Node: e}
	})
	return c, err
}
