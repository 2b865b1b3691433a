package graph

import (
	"context"
	"encoding/json"
	"errors"

	"switchboard/graph/edge"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/automation"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/delivery"
	"switchboard/internal/diagnose"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/export"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/recording"
	"switchboard/internal/report"
	"switchboard/internal/retention"
	"switchboard/internal/session"
	"switchboard/internal/transcript"
	"switchboard/internal/voicemail"
)

// follow turns a place in the event log into a channel of answers. What an event
// becomes is asked when it is delivered, also in a replay, so that nobody is shown
// what they may not see now; tell reports false for what is not theirs.
//
// The channel has no buffer: a slow reader is cut by the log or by the socket,
// and comes back with its last cursor.
func follow[T any](ctx context.Context, r *Resolver, after *string, kinds []event.Kind, first []T, tell func(ctx context.Context, e event.Event) (T, bool, error)) (<-chan T, error) {
	who := access.From(ctx)
	if !who.Known() {
		return nil, errs.New(errs.Unauthenticated, "sign in first: send a token as Authorization: Bearer …")
	}
	if after != nil && *after == "" {
		return nil, errs.New(errs.Invalid, "after is empty; leave it out to begin now, or send the last cursor you saw").At("after")
	}
	sub, err := r.d.Events.Subscribe(ctx, event.SubscribeOptions{Organization: who.OrganizationID, After: of(after), Kinds: kinds})
	if err != nil {
		return nil, err
	}
	out := make(chan T)
	go func() {
		defer close(out)
		send := func(v T) bool {
			select {
			case out <- v:
				return true
			case <-ctx.Done():
				return false
			}
		}
		for _, v := range first {
			if !send(v) {
				return
			}
		}
		for e := range sub.C() {
			v, mine, err := tell(ctx, e)
			if err != nil {
				edge.Fail(ctx, err)
				return
			}
			if mine && !send(v) {
				return
			}
		}
		if err := sub.Err(); err != nil && ctx.Err() == nil {
			if errors.Is(err, event.ErrSlow) {
				err = errs.New(errs.Unavailable, "you read too slowly; come back with the last cursor you saw as `after`")
			}
			edge.Fail(ctx, err)
		}
	}()
	return out, nil
}

// callKinds are the events that change what a live dashboard shows.
var callKinds = []event.Kind{call.EventStarted, call.EventAnswered, call.EventEnded, call.EventUpdated, call.EventNotice, call.EventRingStarted, call.EventRingEnded}

// liveCalls sends a snapshot unless the client says where it stopped. The place
// in the log is read before the snapshot: what happens in between is told twice,
// with the same version, and never left out.
func (r *Resolver) liveCalls(ctx context.Context, after *string) (<-chan model.LiveCallsUpdate, error) {
	who := access.From(ctx)
	var first []model.LiveCallsUpdate
	if after == nil {
		head, err := r.d.Events.Head(ctx, who.OrganizationID)
		if err != nil {
			return nil, err
		}
		cursor := r.d.Events.Cursor(who.OrganizationID, head)
		calls, err := r.d.Calls.AllLive(ctx, who)
		if err != nil {
			return nil, err
		}
		first, after = []model.LiveCallsUpdate{&model.LiveCallsSnapshot{Calls: calls, Cursor: cursor}}, &cursor
	}
	return follow(ctx, r, after, callKinds, first, func(ctx context.Context, e event.Event) (model.LiveCallsUpdate, bool, error) {
		c, err := r.changed(ctx, e)
		return c, c != nil, err
	})
}

// callChanged sends every change of one call that the actor may see now.
func (r *Resolver) callChanged(ctx context.Context, subject id.ID, after *string) (<-chan *model.LiveCallChanged, error) {
	if _, err := r.d.Calls.Get(ctx, access.From(ctx), subject); err != nil {
		return nil, err
	}
	return follow(ctx, r, after, callKinds, nil, func(ctx context.Context, e event.Event) (*model.LiveCallChanged, bool, error) {
		if e.Subject != subject {
			return nil, false, nil
		}
		c, err := r.changed(ctx, e)
		return c, c != nil, err
	})
}

// changed is the call of an event as it is now; nil when the actor may not see it.
func (r *Resolver) changed(ctx context.Context, e event.Event) (*model.LiveCallChanged, error) {
	c, err := absent(r.d.Calls.Whole(ctx, access.From(ctx), e.Subject))
	if c == nil || err != nil {
		return nil, err
	}
	return &model.LiveCallChanged{Call: c, Cursor: r.d.Events.Cursor(e.OrganizationID, e.Seq)}, nil
}

// ringData is what the events of a ring carry.
type ringData struct {
	LegID    id.ID           `json:"legId"`
	UserID   id.ID           `json:"userId"`
	DeviceID id.ID           `json:"deviceId"`
	Notice   call.NoticeCode `json:"notice"` // of a CALL_NOTICE
}

func (r *Resolver) ringing(ctx context.Context, device *id.ID, after *string) (<-chan *model.RingChanged, error) {
	who := access.From(ctx)
	if device != nil {
		d, err := r.d.Users.Device(ctx, who, *device)
		if err != nil {
			return nil, err
		}
		if d.UserID != who.UserID {
			return nil, errs.New(errs.NotFound, "this is not a device of yours").At("deviceId")
		}
	}
	kinds := []event.Kind{call.EventRingStarted, call.EventRingEnded}
	return follow(ctx, r, after, kinds, nil, func(ctx context.Context, e event.Event) (*model.RingChanged, bool, error) {
		var d ringData
		if err := json.Unmarshal(e.Data, &d); err != nil || who.UserID.IsZero() || d.UserID != who.UserID || device != nil && d.DeviceID != *device {
			return nil, false, err
		}
		c, err := absent(r.d.Calls.Whole(ctx, access.From(ctx), e.Subject))
		if c == nil || err != nil {
			return nil, false, err
		}
		for _, l := range c.LegsThen {
			if l.ID == d.LegID {
				me, err := r.d.Users.Get(ctx, access.From(ctx), who.UserID) // as they have it now
				if err != nil {
					return nil, false, err
				}
				return &model.RingChanged{
					Leg: l, Call: c, At: e.At, Cursor: r.d.Events.Cursor(e.OrganizationID, e.Seq),
					ShowPopup: me.DisplayNotifications && !c.IsIgnored, // R076, D08
					PlaySound: !me.SilentNotifications && !c.IsIgnored, // R077
				}, true, nil
			}
		}
		return nil, false, nil
	})
}

// events sends facts to whoever may read their subjects now.
func (r *Resolver) events(ctx context.Context, after *string, types []event.Kind) (<-chan model.Event, error) {
	return follow(ctx, r, after, types, nil, r.tell)
}

// tell turns an event into the contract's, if the actor may read its subject.
func (r *Resolver) tell(ctx context.Context, e event.Event) (model.Event, bool, error) {
	who := access.From(ctx)
	head := model.EventHead{ID: e.ID, Seq: r.d.Events.Cursor(e.OrganizationID, e.Seq), At: e.At, ActorID: e.ActorID}
	var d ringData
	switch e.Kind {
	case call.EventStarted, call.EventAnswered, call.EventEnded, call.EventUpdated, call.EventNotice, call.EventRingStarted, call.EventRingEnded:
		c, err := absent(r.d.Calls.Get(ctx, who, e.Subject))
		if c == nil || err != nil {
			return nil, false, err
		}
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return nil, false, err
		}
	case voicemail.EventReceived, voicemail.EventUpdated:
		if v, err := absent(r.d.Voicemails.Get(ctx, who, e.Subject)); v == nil || err != nil {
			return nil, false, err
		}
	case recording.EventUpdated:
		if x, err := absent(r.d.Recordings.Get(ctx, who, e.Subject)); x == nil || err != nil {
			return nil, false, err
		}
	case transcript.EventCompleted, transcript.EventUpdated:
		if t, err := absent(r.d.Transcripts.Get(ctx, who, e.Subject)); t == nil || err != nil {
			return nil, false, err
		}
	case message.ReceivedEvent, message.UpdatedEvent:
		if m, err := absent(r.d.Messages.Told(ctx, who, e.Subject)); m == nil || err != nil {
			return nil, false, err
		}
	case message.ThreadUpdatedEvent:
		if t, err := absent(r.d.Messages.Thread(ctx, who, e.Subject)); t == nil || err != nil {
			return nil, false, err
		}
	case message.BulkUpdatedEvent:
		if b, err := absent(r.d.Messages.Bulk(ctx, who, e.Subject)); b == nil || err != nil {
			return nil, false, err
		}
	case automation.RanEvent:
		if !who.Can(needed[e.Kind]) {
			return nil, false, nil
		}
	case message.ConsentEvent:
		if x, err := r.d.Messages.ConsentsByIDs(ctx, []id.ID{e.Subject}); len(x) == 0 || err != nil {
			return nil, false, err
		}
	case contact.Updated:
		if c, err := absent(r.d.Contacts.Get(ctx, who, e.Subject)); c == nil || err != nil {
			return nil, false, err
		}
	case contact.Removed, contact.RecordRemoved:
		return removed(who, head, e)
	case contact.ImportUpdated:
		if x, err := absent(r.d.Contacts.Import(ctx, who, e.Subject)); x == nil || err != nil {
			return nil, false, err
		}
	case contact.RecordUpdated, contact.RecordEventAdded:
		if x, err := absent(r.d.Contacts.Record(ctx, who, e.Subject)); x == nil || err != nil {
			return nil, false, err
		}
	case diagnose.EventUpdated:
		if f, err := absent(r.d.Diagnoses.Get(ctx, who, e.Subject)); f == nil || err != nil {
			return nil, false, err
		}
	case report.CapReached:
		if c, err := absent(r.d.Reports.Cap(ctx, who, e.Subject)); c == nil || err != nil {
			return nil, false, err
		}
	case followup.EventNotified:
		if n, err := r.notified(ctx, e); n == nil || err != nil {
			return nil, false, err
		}
	case followup.EventUpdated:
		if f, err := absent(r.d.FollowUps.Get(ctx, who, e.Subject)); f == nil || err != nil {
			return nil, false, err
		}
	case delivery.EventEndpointDisabled:
		if x, err := absent(r.d.Deliveries.Get(ctx, who, e.Subject)); x == nil || err != nil {
			return nil, false, err
		}
	case retention.EventRan:
		if x, err := r.d.Retention.RunsByIDs(ctx, who, []id.ID{e.Subject}); len(x) == 0 || err != nil {
			return nil, false, err
		}
	case export.Updated:
		if x, err := absent(r.d.Exports.Get(ctx, who, e.Subject)); x == nil || err != nil {
			return nil, false, err
		}
	case number.ConnectionUpdated:
		if !who.Can(access.ConnectionManage) {
			return nil, false, nil
		}
	}
	if e.Kind == call.EventNotice {
		return &model.CallNoticed{EventHead: head, CallID: e.Subject, Notice: &call.Notice{Code: d.Notice}}, true, nil
	}
	if e.Kind == followup.EventUpdated {
		var told followup.Told
		err := json.Unmarshal(e.Data, &told)
		return &model.FollowUpUpdated{EventHead: head, FollowUpID: e.Subject, Change: told.Change}, err == nil, err
	}
	if e.Kind == contact.RecordEventAdded {
		var told contact.RecordEventData
		err := json.Unmarshal(e.Data, &told)
		return &model.RecordEventAdded{EventHead: head, RecordID: e.Subject, EventID: told.EventID}, err == nil, err
	}
	if make, ok := contractEvents[e.Kind]; ok {
		return make(head, e.Subject, d.LegID), true, nil
	}
	return nil, false, nil // a kind of later making
}

// needed is what a role must have to be told of kinds whose subjects belong to
// no branch and nobody.
var needed = map[event.Kind]access.Permission{
	message.BulkUpdatedEvent: access.SMSBulk, automation.RanEvent: access.AutomationManage,
}

// contractEvents makes each kind the contract's type for it.
var contractEvents = map[event.Kind]func(h model.EventHead, subject, leg id.ID) model.Event{
	call.EventStarted:  func(h model.EventHead, s, _ id.ID) model.Event { return &model.CallStarted{EventHead: h, CallID: s} },
	call.EventAnswered: func(h model.EventHead, s, _ id.ID) model.Event { return &model.CallAnswered{EventHead: h, CallID: s} },
	call.EventEnded:    func(h model.EventHead, s, _ id.ID) model.Event { return &model.CallEnded{EventHead: h, CallID: s} },
	call.EventUpdated:  func(h model.EventHead, s, _ id.ID) model.Event { return &model.CallUpdated{EventHead: h, CallID: s} },
	call.EventRingStarted: func(h model.EventHead, s, l id.ID) model.Event {
		return &model.RingStarted{EventHead: h, CallID: s, LegID: l}
	},
	call.EventRingEnded: func(h model.EventHead, s, l id.ID) model.Event {
		return &model.RingEnded{EventHead: h, CallID: s, LegID: l}
	},
	voicemail.EventReceived: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.VoicemailReceived{EventHead: h, VoicemailID: s}
	},
	voicemail.EventUpdated: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.VoicemailUpdated{EventHead: h, VoicemailID: s}
	},
	recording.EventUpdated: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.RecordingUpdated{EventHead: h, RecordingID: s}
	},
	transcript.EventCompleted: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.TranscriptCompleted{EventHead: h, TranscriptID: s}
	},
	transcript.EventUpdated: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.TranscriptUpdated{EventHead: h, TranscriptID: s}
	},
	message.ReceivedEvent: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.MessageReceived{EventHead: h, MessageID: s}
	},
	message.UpdatedEvent: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.MessageUpdated{EventHead: h, MessageID: s}
	},
	message.ThreadUpdatedEvent: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.SmsThreadUpdated{EventHead: h, ThreadID: s}
	},
	message.BulkUpdatedEvent: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.BulkMessageUpdated{EventHead: h, BulkMessageID: s}
	},
	message.ConsentEvent: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.ConsentChanged{EventHead: h, ConsentID: s}
	},
	automation.RanEvent: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.AutomationRan{EventHead: h, RunID: s}
	},
	number.NumberUpdated: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.PhoneNumberUpdated{EventHead: h, PhoneNumberID: s}
	},
	number.ConnectionUpdated: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.TwilioConnectionUpdated{EventHead: h, ConnectionID: s}
	},
	session.UserUpdated: func(h model.EventHead, s, _ id.ID) model.Event { return &model.UserUpdated{EventHead: h, UserID: s} },
	contact.RecordUpdated: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.RecordUpdated{EventHead: h, RecordID: s}
	},
	contact.ImportUpdated: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.ContactImportUpdated{EventHead: h, ImportID: s}
	},
	contact.Updated: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.ContactUpdated{EventHead: h, ContactID: s}
	},
	retention.EventRan: func(h model.EventHead, s, _ id.ID) model.Event { return &model.RetentionRan{EventHead: h, RunID: s} },
	export.Updated: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.ExportUpdated{EventHead: h, ExportID: s}
	},
	diagnose.EventUpdated: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.FindingUpdated{EventHead: h, FindingID: s}
	},
	followup.EventNotified: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.NotificationUpdated{EventHead: h, NotificationID: s}
	},
	report.CapReached: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.CostCapReached{EventHead: h, CostCapID: s}
	},
	delivery.EventEndpointDisabled: func(h model.EventHead, s, _ id.ID) model.Event {
		return &model.WebhookEndpointDisabled{EventHead: h, EndpointID: s}
	},
}
