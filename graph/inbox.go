package graph

import (
	"context"

	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/phone"
	"switchboard/internal/report"
	"switchboard/internal/route"
)

// theirNumber reads a number as typed in a filter (R018); empty stays empty.
func (r *Resolver) theirNumber(ctx context.Context, typed string) (phone.E164, error) {
	if typed == "" {
		return "", nil
	}
	o, err := r.d.Tenants.Get(ctx, access.From(ctx))
	if err != nil {
		return "", err
	}
	return phone.Parse(typed, o.DefaultCountry)
}

func (r *Resolver) threadFilter(ctx context.Context, f *model.SmsThreadFilter) (out message.Filter, err error) {
	if f == nil {
		return out, nil
	}
	out = message.Filter{
		IsOpen: f.IsOpen.Value(), IsMine: f.IsMine.Value(), IsUnassigned: f.IsUnassigned.Value(), IsUnread: f.IsUnread.Value(),
		AssignedUserID: given(f.AssignedUserID), PhoneNumberID: given(f.PhoneNumberID), BranchID: given(f.BranchID), ContactID: given(f.ContactID),
	}
	if search := f.Search.Value(); search != nil {
		if out.Search = *search; out.Search == "" {
			return out, errs.New(errs.Invalid, "the search is empty; leave it out or write some words").At("filter", "search")
		}
	}
	out.Number, err = r.theirNumber(ctx, given(f.Number))
	return out, err
}

func (r *Resolver) messageFilter(ctx context.Context, f *model.MessageFilter) (out message.LogFilter, err error) {
	if f == nil {
		return out, nil
	}
	out = message.LogFilter{
		Direction: given(f.Direction), Statuses: f.Statuses.Value(), ThreadID: given(f.ThreadID), ContactID: given(f.ContactID), RecordID: given(f.RecordID),
		PhoneNumberID: given(f.PhoneNumberID), BranchID: given(f.BranchID), UserID: given(f.UserID), BulkID: given(f.BulkMessageID),
		AutomationID: given(f.AutomationID), HasMedia: f.HasMedia.Value(), From: given(f.From), Until: given(f.Until),
	}
	if search := f.Search.Value(); search != nil {
		if out.Search = *search; out.Search == "" {
			return out, errs.New(errs.Invalid, "the search is empty; leave it out or write some words").At("filter", "search")
		}
	}
	out.Number, err = r.theirNumber(ctx, given(f.Number))
	return out, err
}

// messages is a page of the history log.
func (r *Resolver) messages(ctx context.Context, f message.LogFilter, first *int, after *string) (*model.MessageConnection, error) {
	p := page(first, after)
	w, err := r.d.Messages.List(ctx, access.From(ctx), f, p)
	if err != nil {
		return nil, err
	}
	return messagePage(ctx, p, w)
}

func messagePage(ctx context.Context, p db.Page, w db.Window[*message.Message]) (c *model.MessageConnection, err error) {
	c = &model.MessageConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, m *message.Message) *model.MessageEdge {
		return &model.MessageEdge{Cursor: cursor, Node: m}
	})
	return c, err
}

func (r *Resolver) messageStatistics(ctx context.Context, f model.MessageStatisticsFilter, by report.Group) (*model.MessageStatistics, error) {
	from, until, o, err := r.days(ctx, f.From, f.To)
	if err != nil {
		return nil, err
	}
	s, err := r.d.Reports.Messages(ctx, access.From(ctx), report.MessageFilter{
		From: from, Until: until, BranchID: given(f.BranchID), PhoneNumberID: given(f.PhoneNumberID), UserID: given(f.UserID),
		TimeZone: o.TimeZone, GroupBy: by,
	})
	if err != nil {
		return nil, err
	}
	return &model.MessageStatistics{Total: messageRow(s.Total), Rows: every(s.Rows, messageRow)}, nil
}

func messageRow(x report.MessageRow) *model.MessageStatisticsRow {
	return &model.MessageStatisticsRow{
		Key: x.Key, Label: x.Label, Sent: x.Sent, Received: x.Received, Delivered: x.Delivered, Failed: x.Failed, OptedOut: x.OptedOut,
		Segments: x.Segments, AverageFirstReplySeconds: x.AverageFirstReplySeconds,
		Costs: every(x.Costs, func(m message.Money) *message.Money { return &m }),
	}
}

// inboxCauses are the events that change what an inbox shows.
var inboxCauses = map[event.Kind]model.SmsInboxCause{
	message.ReceivedEvent:      model.SmsInboxCauseMessageReceived,
	message.UpdatedEvent:       model.SmsInboxCauseMessageUpdated,
	message.ThreadUpdatedEvent: model.SmsInboxCauseThreadUpdated,
	message.ThreadReadEvent:    model.SmsInboxCauseThreadRead,
}

// smsInboxChanged sends what changes the inbox of the actor, to those who see the
// thread when it is delivered; what somebody read, to themselves alone.
func (r *Resolver) smsInboxChanged(ctx context.Context, after *string) (<-chan *model.SmsInboxChange, error) {
	if err := access.From(ctx).Require(access.SMSView); err != nil {
		return nil, err
	}
	kinds := []event.Kind{message.ReceivedEvent, message.UpdatedEvent, message.ThreadUpdatedEvent, message.ThreadReadEvent}
	return follow(ctx, r, after, kinds, nil, func(ctx context.Context, e event.Event) (*model.SmsInboxChange, bool, error) {
		who := access.From(ctx)
		c := &model.SmsInboxChange{Seq: r.d.Events.Cursor(e.OrganizationID, e.Seq), At: e.At, Cause: inboxCauses[e.Kind]}
		switch e.Kind {
		case message.ReceivedEvent, message.UpdatedEvent:
			m, err := absent(r.d.Messages.Told(ctx, who, e.Subject))
			if m == nil || err != nil {
				return nil, false, err
			}
			c.ThreadID, c.MessageID = m.ThreadID, m.ID
		case message.ThreadReadEvent, message.ThreadUpdatedEvent:
			if e.Kind == message.ThreadReadEvent && (who.UserID.IsZero() || e.ActorID != who.UserID) {
				return nil, false, nil
			}
			t, err := absent(r.d.Messages.Thread(ctx, who, e.Subject))
			if t == nil || err != nil {
				return nil, false, err
			}
			c.ThreadID = t.ID
		}
		return c, true, nil
	})
}

// party is an end of a thread; of theirs no more than a hint where the number is
// hidden from the actor (R103).
func party(ctx context.Context, thread id.ID, p route.Party, theirs bool) (*route.Party, error) {
	if !theirs || p.E164 == nil {
		return &p, nil
	}
	hidden, err := loader.From(ctx).HiddenEnds.Load(ctx, thread)
	if hidden {
		p = route.Party{Display: phone.Mask(*p.E164)}
	}
	return &p, err
}

// required is a row that a field cannot be without.
func required[T any](v *T, err error, what string) (*T, error) {
	if err == nil && v == nil {
		err = errs.New(errs.NotFound, "there is no such %s", what)
	}
	return v, err
}
