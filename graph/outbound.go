package graph

import (
	"context"

	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/id"
)

// noticesOf are what there is to know about a call that was made; none without one.
func noticesOf(c *call.Call) []*call.Notice {
	if c == nil {
		return []*call.Notice{}
	}
	return c.Notices()
}

// refusalsOf are why a call would be refused, as problems of the contract.
func refusalsOf(x *call.CallerIDExplanation) []*model.UserError {
	out := make([]*model.UserError, len(x.Refused))
	for i, e := range x.Refused {
		out[i] = &model.UserError{Code: e.Code, Field: e.Field, Message: e.Message}
	}
	return out
}

func qualityWarning(w *model.CallQualityWarningInput) call.Warning {
	return call.Warning{Name: w.Name, Value: w.Value.Value(), At: w.At, Cleared: given(w.IsCleared)}
}

// presence is a page of people and whether they can be reached.
func (r *Resolver) presence(ctx context.Context, p db.Page, f *model.PresenceFilter) (*model.PresenceConnection, error) {
	filter := call.PresenceFilter{}
	if f != nil {
		filter = call.PresenceFilter{BranchID: given(f.BranchID), TeamID: given(f.TeamID), States: f.States.Value()}
	}
	w, err := r.d.Calls.Presence(ctx, access.From(ctx), filter, p)
	if err != nil {
		return nil, err
	}
	c := &model.PresenceConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *call.Presence) *model.PresenceEdge {
		return &model.PresenceEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

// transferTargets is a page of where a call can go.
func (r *Resolver) transferTargets(ctx context.Context, subject id.ID, search string, p db.Page) (*model.TransferTargetConnection, error) {
	w, err := r.d.Calls.TransferTargets(ctx, access.From(ctx), subject, search, p)
	if err != nil {
		return nil, err
	}
	c := &model.TransferTargetConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *call.TransferTarget) *model.TransferTargetEdge {
		return &model.TransferTargetEdge{Cursor: cursor, Node: x}
	})
	return c, err
}
