package graph

import (
	"context"

	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/diagnose"
	"switchboard/internal/id"
)

func findingFilter(f *model.FindingFilter) diagnose.Filter {
	if f == nil {
		return diagnose.Filter{}
	}
	return diagnose.Filter{
		IsOpen: f.IsOpen.Value(), Codes: f.Codes.Value(), Severity: given(f.Severity), SubjectID: given(f.SubjectID), IncludeSnoozed: given(f.IncludeSnoozed),
	}
}

// findingsOf are the open findings of a thing.
func (r *Resolver) findingsOf(ctx context.Context, subject id.ID) ([]*diagnose.Finding, error) {
	found, err := loader.From(ctx).SubjectFindings.Load(ctx, subject)
	if err == nil && found == nil {
		found = []*diagnose.Finding{}
	}
	return found, err
}

// subjectOf is what a finding is in, read with the subjects of the other findings of
// the answer; nil for what the actor may not see.
func (r *Resolver) subjectOf(ctx context.Context, subject id.ID) (model.Node, error) {
	l := loader.From(ctx)
	switch subject.Kind() {
	case id.PhoneNumber:
		return nodeOf(loader.Load(ctx, l.Numbers, subject))
	case id.User:
		return nodeOf(loader.Load(ctx, l.Users, subject))
	case id.Connection:
		return nodeOf(loader.Load(ctx, l.Connections, subject))
	case id.WebhookEndpoint:
		return nodeOf(loader.Load(ctx, l.WebhookEndpoints, subject))
	}
	return r.node(ctx, subject) // what was asked for by its id, once in an answer
}

// nodeOf is a row as a node; no row is no node.
func nodeOf[T any, P interface {
	*T
	model.Node
}](row *T, err error) (model.Node, error) {
	if row == nil || err != nil {
		return nil, err
	}
	return P(row), nil
}
