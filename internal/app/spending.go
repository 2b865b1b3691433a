package app

import (
	"context"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/report"
)

// mayCall asks the caps of costs about a call out (R102).
func (a *App) mayCall(ctx context.Context, tx *db.Tx, who access.Actor, branch id.ID) error {
	return a.Reports.MaySpend(ctx, tx, who.OrganizationID, report.Spending{UserID: who.UserID, BranchID: branch})
}

// mayMessage asks them about a message out.
func (a *App) mayMessage(ctx context.Context, tx *db.Tx, on message.Spending) error {
	return a.Reports.MaySpend(ctx, tx, on.Organization, report.Spending{UserID: on.User, BranchID: on.Branch, AutomationID: on.Automation})
}
