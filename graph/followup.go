package graph

import (
	"context"
	"encoding/json"

	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/event"
	"switchboard/internal/followup"
	"switchboard/internal/id"
)

func followUpFilter(f *model.FollowUpFilter) followup.Filter {
	if f == nil {
		return followup.Filter{}
	}
	return followup.Filter{
		Status: f.Status.Value(), Kind: given(f.Kind), OwnerID: given(f.OwnerID), IsMine: f.IsMine.Value(), IsUnassigned: f.IsUnassigned.Value(),
		BranchID: given(f.BranchID), PhoneNumberID: given(f.PhoneNumberID), ContactID: given(f.ContactID), RecordID: given(f.RecordID),
		IsOverdue: f.IsOverdue.Value(), OpenedFrom: given(f.OpenedFrom), OpenedBefore: given(f.OpenedBefore), Text: given(f.Text),
	}
}

// followUps is a page of follow-ups.
func (r *Resolver) followUps(ctx context.Context, p db.Page, f followup.Filter, by followup.Order) (*model.FollowUpConnection, error) {
	w, err := r.d.FollowUps.List(ctx, access.From(ctx), f, by, p)
	if err != nil {
		return nil, err
	}
	c := &model.FollowUpConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *followup.FollowUp) *model.FollowUpEdge {
		return &model.FollowUpEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

// emptyFollowUps is the page of who may see none.
func emptyFollowUps() *model.FollowUpConnection {
	return &model.FollowUpConnection{Edges: []*model.FollowUpEdge{}, Nodes: []*followup.FollowUp{}, PageInfo: &model.PageInfo{}}
}

func preference(p *model.NotificationPreferenceInput) followup.PreferenceChange {
	c := followup.PreferenceChange{Kind: p.Kind}
	if ways := p.Channels.Value(); ways != nil {
		c.Channels = &ways
	}
	return c
}

// subject is what a notification is about: one statement for a page, for the kinds
// that most are about.
func (r *Resolver) subject(ctx context.Context, x id.ID) (model.Node, error) {
	l := loader.From(ctx)
	switch x.Kind() {
	case id.Call:
		return there(loader.Load(ctx, l.Calls, x))
	case id.Voicemail:
		return there(loader.Load(ctx, l.Voicemails, x))
	case id.Message:
		return there(loader.Load(ctx, l.Messages, x))
	case id.FollowUp:
		return there(loader.Load(ctx, l.FollowUps, x))
	}
	return r.node(ctx, x)
}

// followUpChanged sends every change of a follow-up that the actor may see now.
func (r *Resolver) followUpChanged(ctx context.Context, after *string) (<-chan *followup.Changed, error) {
	return follow(ctx, r, after, []event.Kind{followup.EventUpdated}, nil, func(ctx context.Context, e event.Event) (*followup.Changed, bool, error) {
		f, err := absent(r.d.FollowUps.Get(ctx, access.From(ctx), e.Subject))
		if f == nil || err != nil {
			return nil, false, err
		}
		var told followup.Told
		err = json.Unmarshal(e.Data, &told)
		return &followup.Changed{FollowUp: f, Change: told.Change, Cursor: r.d.Events.Cursor(e.OrganizationID, e.Seq)}, err == nil, err
	})
}

// notificationChanged sends what becomes of the actor's own notifications.
func (r *Resolver) notificationChanged(ctx context.Context, after *string) (<-chan *followup.NotificationChanged, error) {
	return follow(ctx, r, after, []event.Kind{followup.EventNotified}, nil, func(ctx context.Context, e event.Event) (*followup.NotificationChanged, bool, error) {
		n, err := r.notified(ctx, e)
		if n == nil || err != nil {
			return nil, false, err
		}
		return &followup.NotificationChanged{Notification: n, Cursor: r.d.Events.Cursor(e.OrganizationID, e.Seq)}, true, nil
	})
}

// notified is the notification of an event; nil for anybody but whose it is.
func (r *Resolver) notified(ctx context.Context, e event.Event) (*followup.Notification, error) {
	var told followup.NotificationTold
	who := access.From(ctx)
	if err := json.Unmarshal(e.Data, &told); err != nil || who.UserID.IsZero() || told.UserID != who.UserID {
		return nil, err
	}
	return absent(r.d.FollowUps.Notification(ctx, who, e.Subject))
}
