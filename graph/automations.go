package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"

	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/automation"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/patch"
)

func mergeField(f message.FieldInfo) *model.MergeField {
	return &model.MergeField{Path: f.Path, Description: f.Description}
}

func templateFilter(f *model.MessageTemplateFilter) message.TemplateFilter {
	if f == nil {
		return message.TemplateFilter{}
	}
	return message.TemplateFilter{
		Kind: given(f.Kind), Purpose: given(f.Purpose), RecordKind: given(f.RecordKind), Search: given(f.Search), WithArchived: given(f.IsArchived),
	}
}

func automationFilter(f *model.AutomationFilter) automation.Filter {
	if f == nil {
		return automation.Filter{}
	}
	return automation.Filter{Trigger: given(f.Trigger), IsEnabled: f.IsEnabled.Value()}
}

func automationRunFilter(rule id.ID, f *model.AutomationRunFilter) automation.RunFilter {
	out := automation.RunFilter{AutomationID: rule}
	if f != nil {
		out.State, out.RecordID = given(f.State), given(f.RecordID)
	}
	return out
}

func automationCondition(c *model.AutomationConditionInput) automation.Condition {
	return automation.Condition{Field: c.Field, Operator: c.Operator, Values: c.Values.Value()}
}

// quietHours keeps "absent" apart from "null".
func quietHours(o graphql.Omittable[*model.QuietHoursInput]) patch.Field[automation.QuietHours] {
	q := o.Value()
	if q == nil {
		return patch.From[automation.QuietHours](o.IsSet(), nil)
	}
	return patch.To(automation.QuietHours{From: q.From, Until: q.Until, Action: given(q.Action)})
}

func automationRule(in *model.AutomationCreateInput) automation.Rule {
	return automation.Rule{
		Name: in.Name, Trigger: in.Trigger, OffsetMinutes: given(in.OffsetMinutes), Conditions: every(in.Conditions.Value(), automationCondition),
		Recipients: in.Recipients.Value(), ExtraNumbers: in.ExtraNumbers.Value(), TemplateID: in.TemplateID, PhoneNumberID: given(in.PhoneNumberID),
		QuietHours: quietHours(in.QuietHours), IsEnabled: given(in.IsEnabled),
	}
}

// automationRuns is a page of runs.
func (r *Resolver) automationRuns(ctx context.Context, f automation.RunFilter, p db.Page) (*model.AutomationRunConnection, error) {
	w, err := r.d.Automations.Runs(ctx, access.From(ctx), f, p)
	if err != nil {
		return nil, err
	}
	c := &model.AutomationRunConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *automation.Run) *model.AutomationRunEdge {
		return &model.AutomationRunEdge{Cursor: cursor, Node: x}
	})
	return c, err
}
