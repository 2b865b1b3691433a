package report

import (
	"time"

	"switchboard/internal/contact"
	"switchboard/internal/event"
	"switchboard/internal/id"
)

// CapReached is the kind of event that says that a cap was reached.
const CapReached event.Kind = "COST_CAP_REACHED"

// CapScope is what a cap is about.
type CapScope string

// The scopes.
const (
	CapOrganization CapScope = "ORGANIZATION"
	CapBranch       CapScope = "BRANCH"
	CapAutomation   CapScope = "AUTOMATION"
	CapUser         CapScope = "USER"
)

// CapPeriod is for how long a cap counts, by the organization's clock.
type CapPeriod string

// The periods.
const (
	CapDay   CapPeriod = "DAY"
	CapMonth CapPeriod = "MONTH"
)

// CapAction is what happens when a cap is reached.
type CapAction string

// The actions.
const (
	CapWarn  CapAction = "WARN"
	CapBlock CapAction = "BLOCK"
)

// CostCap is a cap of costs (R102).
type CostCap struct {
	OrganizationID id.ID      `bun:"organization_id"`
	ID             id.ID      `bun:"id"`
	Scope          CapScope   `bun:"scope"`
	BranchID       id.ID      `bun:"branch_id"`
	AutomationID   id.ID      `bun:"automation_id"`
	UserID         id.ID      `bun:"user_id"`
	Period         CapPeriod  `bun:"period"`
	AmountMinor    int64      `bun:"amount_minor"`
	Currency       string     `bun:"currency"`
	Action         CapAction  `bun:"action"`
	PeriodStart    *time.Time `bun:"period_start"`
	SpentMicros    int64      `bun:"spent_micros"`
	CountedAt      *time.Time `bun:"counted_at"`
	ReachedAt      *time.Time `bun:"reached_at"`
	ToldPeriod     *time.Time `bun:"told_period"`
	CreatedAt      time.Time  `bun:"created_at"`
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*CostCap) IsNode() {}

// Limit is how much may be spent in a period.
func (c *CostCap) Limit() contact.Money {
	return contact.Money{AmountMinor: c.AmountMinor, Currency: c.Currency}
}

// Spent is what the period that runs has cost so far.
func (c *CostCap) Spent() CostAmount { return CostAmount{Micros: c.SpentMicros, Currency: c.Currency} }

// IsReached reports whether nothing is left.
func (c *CostCap) IsReached() bool { return c.SpentMicros >= c.limitMicros() }

// limitMicros is the limit in millionths.
func (c *CostCap) limitMicros() int64 {
	micros := c.AmountMinor
	for range 6 - decimals(c.Currency) {
		micros *= 10
	}
	return micros
}

// decimals are the places of a currency's smallest unit (ISO 4217).
func decimals(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	}
	return 2
}
