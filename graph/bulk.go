package graph

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"switchboard/graph/edge"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/message"
)

// newBulk is the input of bulkMessageCreate as the domain takes it.
func newBulk(in model.BulkMessageCreateInput, key string) message.NewBulk {
	b := message.NewBulk{
		Draft: message.Draft{Body: given(in.Body), TemplateID: given(in.TemplateID), MediaIDs: every(in.MediaIds.Value(), deref),
			PhoneNumberID: given(in.PhoneNumberID), CampaignID: given(in.CampaignID)},
		Name: in.Name, SendAt: in.SendAt.Value(), RatePerSecond: in.RatePerSecond.Value(), IdempotencyKey: key,
	}
	audience(in.Audience, &b.Draft)
	return b
}

// bulkCounts says where the recipients stand: those with a message by its state,
// the others by the row itself.
func bulkCounts(ctx context.Context, b *message.Bulk) (*message.BulkCounts, error) {
	sent, err := loader.From(ctx).BulkCounts.Load(ctx, b.ID)
	if err != nil {
		return nil, err
	}
	c := *sent
	c.Pending, c.Skipped = b.PendingCount, b.SkippedCount
	return &c, nil
}

// bulkRecipients is a page of the recipients, in their order.
func (r *Resolver) bulkRecipients(ctx context.Context, b *message.Bulk, filter *model.BulkRecipientFilter, p db.Page) (*model.BulkRecipientConnection, error) {
	f := message.RecipientFilter{}
	if filter != nil {
		f = message.RecipientFilter{State: given(filter.State), Problem: given(filter.Problem)}
	}
	rows, more, err := r.d.Messages.BulkRecipients(ctx, b, f, p)
	if err != nil {
		return nil, err
	}
	c := &model.BulkRecipientConnection{Nodes: rows, Edges: []*model.BulkRecipientEdge{}, PageInfo: &model.PageInfo{HasNextPage: more, HasPreviousPage: p.After != ""}}
	if rows == nil {
		c.Nodes = []*message.BulkRecipient{}
	}
	for _, x := range rows {
		c.Edges = append(c.Edges, &model.BulkRecipientEdge{Cursor: x.Cursor(), Node: x})
	}
	if n := len(c.Edges); n > 0 {
		c.PageInfo.StartCursor, c.PageInfo.EndCursor = &c.Edges[0].Cursor, &c.Edges[n-1].Cursor
	}
	return c, loader.Ahead(ctx, c.Nodes, askedOfNodes(ctx))
}

// bulkBreath is how long a watcher of a bulk message is left alone after each answer.
const bulkBreath = time.Second

// bulkChanged sends a bulk message as it is now, and after what changes it or its
// messages: at once when nothing was sent for a second, else when that is over. What
// happens in between is in the next answer.
func (r *Resolver) bulkChanged(ctx context.Context, bulk id.ID) (<-chan *message.Bulk, error) {
	who := access.From(ctx)
	if !who.Known() {
		return nil, errs.New(errs.Unauthenticated, "sign in first: send a token as Authorization: Bearer …")
	}
	// The log is followed before the first look: nothing falls in between.
	sub, err := r.d.Events.Subscribe(ctx, event.SubscribeOptions{Organization: who.OrganizationID, Kinds: []event.Kind{message.BulkUpdatedEvent, message.UpdatedEvent}})
	if err != nil {
		return nil, err
	}
	first, err := r.d.Messages.Bulk(ctx, who, bulk)
	if err != nil {
		return nil, err
	}
	out := make(chan *message.Bulk)
	go func() {
		defer close(out)
		breath := time.NewTimer(bulkBreath)
		defer breath.Stop()
		resting, missed := true, false
		tell := func(b *message.Bulk) bool {
			select {
			case out <- b:
				resting, missed = true, false
				breath.Reset(bulkBreath)
				return true
			case <-ctx.Done():
				return false
			}
		}
		again := func() bool {
			b, err := r.d.Messages.Bulk(ctx, access.From(ctx), bulk)
			if err != nil {
				if ctx.Err() == nil {
					edge.Fail(ctx, err)
				}
				return false
			}
			return tell(b)
		}
		if !tell(first) {
			return
		}
		for {
			select {
			case e, ok := <-sub.C():
				switch {
				case !ok:
					if err := sub.Err(); err != nil && ctx.Err() == nil {
						if errors.Is(err, event.ErrSlow) {
							err = errs.New(errs.Unavailable, "you read too slowly; subscribe again")
						}
						edge.Fail(ctx, err)
					}
					return
				case !about(e, bulk):
				case resting:
					missed = true
				case !again():
					return
				}
			case <-breath.C:
				if resting = false; missed && !again() {
					return
				}
			}
		}
	}()
	return out, nil
}

// about reports whether an event is about a bulk message or one of its messages.
func about(e event.Event, bulk id.ID) bool {
	if e.Subject == bulk {
		return true
	}
	var d struct {
		BulkID id.ID `json:"bulkId"`
	}
	return e.Kind == message.UpdatedEvent && json.Unmarshal(e.Data, &d) == nil && d.BulkID == bulk
}
