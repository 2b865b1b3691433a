package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/automation"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/user"
)

func (r *automationResolver) Template(ctx context.Context, obj *automation.Automation) (*message.SavedTemplate, error) {
	panic(fmt.Errorf("not implemented: Template - template"))
}

func (r *automationResolver) PhoneNumber(ctx context.Context, obj *automation.Automation) (*number.PhoneNumber, error) {
	panic(fmt.Errorf("not implemented: PhoneNumber - phoneNumber"))
}

func (r *automationResolver) Warnings(ctx context.Context, obj *automation.Automation) ([]string, error) {
	panic(fmt.Errorf("not implemented: Warnings - warnings"))
}

func (r *automationResolver) Runs(ctx context.Context, obj *automation.Automation, first *int, after *string, filter *model.AutomationRunFilter) (*model.AutomationRunConnection, error) {
	panic(fmt.Errorf("not implemented: Runs - runs"))
}

func (r *automationResolver) Totals(ctx context.Context, obj *automation.Automation, days *int) (*automation.Totals, error) {
	panic(fmt.Errorf("not implemented: Totals - totals"))
}

func (r *automationResolver) CreatedBy(ctx context.Context, obj *automation.Automation) (*user.User, error) {
	panic(fmt.Errorf("not implemented: CreatedBy - createdBy"))
}

func (r *automationDryRunRowResolver) Record(ctx context.Context, obj *automation.DryRunRow) (*contact.Record, error) {
	panic(fmt.Errorf("not implemented: Record - record"))
}

func (r *automationDryRunRowResolver) Contact(ctx context.Context, obj *automation.DryRunRow) (*contact.Contact, error) {
	panic(fmt.Errorf("not implemented: Contact - contact"))
}

func (r *automationRanResolver) Actor(ctx context.Context, obj *model.AutomationRan) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *automationRanResolver) AutomationRun(ctx context.Context, obj *model.AutomationRan) (*automation.Run, error) {
	panic(fmt.Errorf("not implemented: AutomationRun - automationRun"))
}

func (r *automationRunResolver) Automation(ctx context.Context, obj *automation.Run) (*automation.Automation, error) {
	panic(fmt.Errorf("not implemented: Automation - automation"))
}

func (r *automationRunResolver) Record(ctx context.Context, obj *automation.Run) (*contact.Record, error) {
	panic(fmt.Errorf("not implemented: Record - record"))
}

func (r *automationRunResolver) Contact(ctx context.Context, obj *automation.Run) (*contact.Contact, error) {
	panic(fmt.Errorf("not implemented: Contact - contact"))
}

func (r *automationRunResolver) Message(ctx context.Context, obj *automation.Run) (*message.Message, error) {
	panic(fmt.Errorf("not implemented: Message - message"))
}

func (r *mutationResolver) AutomationCreate(ctx context.Context, input model.AutomationCreateInput) (*model.AutomationCreatePayload, error) {
	panic(fmt.Errorf("not implemented: AutomationCreate - automationCreate"))
}

func (r *mutationResolver) AutomationUpdate(ctx context.Context, id id.ID, input model.AutomationUpdateInput) (*model.AutomationUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: AutomationUpdate - automationUpdate"))
}

func (r *mutationResolver) AutomationDelete(ctx context.Context, id id.ID) (*model.AutomationDeletePayload, error) {
	panic(fmt.Errorf("not implemented: AutomationDelete - automationDelete"))
}

func (r *queryResolver) Automations(ctx context.Context, first *int, after *string, filter *model.AutomationFilter) (*model.AutomationConnection, error) {
	panic(fmt.Errorf("not implemented: Automations - automations"))
}

func (r *queryResolver) Automation(ctx context.Context, id id.ID) (*automation.Automation, error) {
	panic(fmt.Errorf("not implemented: Automation - automation"))
}

func (r *queryResolver) AutomationDryRun(ctx context.Context, input model.AutomationDryRunInput) (*automation.DryRun, error) {
	panic(fmt.Errorf("not implemented: AutomationDryRun - automationDryRun"))
}

func (r *queryResolver) AutomationExplain(ctx context.Context, id id.ID, recordID id.ID) (*automation.Explanation, error) {
	panic(fmt.Errorf("not implemented: AutomationExplain - automationExplain"))
}

func (r *recordResolver) AutomationRuns(ctx context.Context, obj *contact.Record, first *int, after *string) (*model.AutomationRunConnection, error) {
	panic(fmt.Errorf("not implemented: AutomationRuns - automationRuns"))
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
