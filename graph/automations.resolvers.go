package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/automation"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/user"
)

func (r *automationResolver) Template(ctx context.Context, obj *automation.Automation) (*message.SavedTemplate, error) {
	return loader.Load(ctx, loader.From(ctx).Templates, obj.TemplateID)
}

func (r *automationResolver) PhoneNumber(ctx context.Context, obj *automation.Automation) (*number.PhoneNumber, error) {
	return loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
}

func (r *automationResolver) Warnings(ctx context.Context, obj *automation.Automation) ([]string, error) {
	return r.d.Automations.Warnings(ctx, access.From(ctx), obj)
}

func (r *automationResolver) Runs(ctx context.Context, obj *automation.Automation, first *int, after *string, filter *model.AutomationRunFilter) (*model.AutomationRunConnection, error) {
	return r.automationRuns(ctx, automationRunFilter(obj.ID, filter), page(first, after))
}

func (r *automationResolver) Totals(ctx context.Context, obj *automation.Automation, days *int) (*automation.Totals, error) {
	return r.d.Automations.Totals(ctx, access.From(ctx), obj.ID, days)
}

func (r *automationResolver) CreatedBy(ctx context.Context, obj *automation.Automation) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.CreatedByID)
}

func (r *automationDryRunRowResolver) Record(ctx context.Context, obj *automation.DryRunRow) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
}

func (r *automationDryRunRowResolver) Contact(ctx context.Context, obj *automation.DryRunRow) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *automationRanResolver) Actor(ctx context.Context, obj *model.AutomationRan) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *automationRanResolver) AutomationRun(ctx context.Context, obj *model.AutomationRan) (*automation.Run, error) {
	return loader.Load(ctx, loader.From(ctx).AutomationRuns, obj.RunID)
}

func (r *automationRunResolver) Automation(ctx context.Context, obj *automation.Run) (*automation.Automation, error) {
	return loader.Load(ctx, loader.From(ctx).Automations, obj.AutomationID)
}

func (r *automationRunResolver) Record(ctx context.Context, obj *automation.Run) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
}

func (r *automationRunResolver) Contact(ctx context.Context, obj *automation.Run) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *automationRunResolver) Message(ctx context.Context, obj *automation.Run) (*message.Message, error) {
	return loader.Load(ctx, loader.From(ctx).Messages, obj.MessageID)
}

func (r *mutationResolver) AutomationCreate(ctx context.Context, input model.AutomationCreateInput) (*model.AutomationCreatePayload, error) {
	a, err := r.d.Automations.Create(ctx, access.From(ctx), automationRule(&input))
	problems, err := userErrors(err)
	return &model.AutomationCreatePayload{Automation: a, UserErrors: problems}, err
}

func (r *mutationResolver) AutomationUpdate(ctx context.Context, id id.ID, input model.AutomationUpdateInput) (*model.AutomationUpdatePayload, error) {
	a, err := r.d.Automations.Update(ctx, access.From(ctx), id, automation.Change{
		Name: unlessNull(input.Name), OffsetMinutes: field(input.OffsetMinutes), Conditions: each(input.Conditions, automationCondition),
		Recipients: each(input.Recipients, same), ExtraNumbers: each(input.ExtraNumbers, same), TemplateID: unlessNull(input.TemplateID),
		PhoneNumberID: field(input.PhoneNumberID), QuietHours: quietHours(input.QuietHours), IsEnabled: unlessNull(input.IsEnabled),
	})
	problems, err := userErrors(err)
	return &model.AutomationUpdatePayload{Automation: a, UserErrors: problems}, err
}

func (r *mutationResolver) AutomationDelete(ctx context.Context, id id.ID) (*model.AutomationDeletePayload, error) {
	a, err := r.d.Automations.Delete(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.AutomationDeletePayload{Automation: a, UserErrors: problems}, err
}

func (r *queryResolver) Automations(ctx context.Context, first *int, after *string, filter *model.AutomationFilter) (*model.AutomationConnection, error) {
	p := page(first, after)
	w, err := r.d.Automations.List(ctx, access.From(ctx), automationFilter(filter), p)
	if err != nil {
		return nil, err
	}
	c := &model.AutomationConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, a *automation.Automation) *model.AutomationEdge {
		return &model.AutomationEdge{Cursor: cursor, Node: a}
	})
	if err == nil {
		c.RetentionRules, err = r.deletionRules(ctx)
	}
	return c, err
}

func (r *queryResolver) Automation(ctx context.Context, id id.ID) (*automation.Automation, error) {
	return absent(r.d.Automations.Get(ctx, access.From(ctx), id))
}

func (r *queryResolver) AutomationDryRun(ctx context.Context, input model.AutomationDryRunInput) (*automation.DryRun, error) {
	in := automation.DryRunInput{AutomationID: given(input.ID), Days: input.Days.Value()}
	if rule := input.Rule.Value(); rule != nil {
		x := automationRule(rule)
		in.Rule = &x
	}
	return r.d.Automations.DryRun(ctx, access.From(ctx), in)
}

func (r *queryResolver) AutomationExplain(ctx context.Context, id id.ID, recordID id.ID) (*automation.Explanation, error) {
	return r.d.Automations.Explain(ctx, access.From(ctx), id, recordID)
}

func (r *recordResolver) AutomationRuns(ctx context.Context, obj *contact.Record, first *int, after *string) (*model.AutomationRunConnection, error) {
	return r.automationRuns(ctx, automation.RunFilter{RecordID: obj.ID}, page(first, after))
}

func (r *Resolver) Automation() exec.AutomationResolver { return &automationResolver{r} }

func (r *Resolver) AutomationDryRunRow() exec.AutomationDryRunRowResolver {
	return &automationDryRunRowResolver{r}
}

func (r *Resolver) AutomationRan() exec.AutomationRanResolver { return &automationRanResolver{r} }

func (r *Resolver) AutomationRun() exec.AutomationRunResolver { return &automationRunResolver{r} }

type (
	automationResolver          struct{ *Resolver }
	automationDryRunRowResolver struct{ *Resolver }
	automationRanResolver       struct{ *Resolver }
	automationRunResolver       struct{ *Resolver }
)
