package report

import (
	"strings"

	"switchboard/internal/message"
)

// CostAmount is an amount in millionths of a currency.
type CostAmount struct {
	Micros   int64
	Currency string // ISO 4217
}

// Amount is the number without its currency: "0.0079".
func (c CostAmount) Amount() string {
	return strings.TrimSuffix(message.Money{Micros: c.Micros, Currency: c.Currency}.String(), " "+c.Currency)
}

// CallCost is what a call costs (R102).
type CallCost struct {
	Known      []CostAmount
	Estimated  []CostAmount
	IsFinal    bool
	BilledLegs int
}

// LegCost is what a leg costs.
type LegCost struct {
	Amount        *CostAmount
	IsEstimate    bool
	BilledMinutes int
}

// UsageGroup is what usage is grouped by.
type UsageGroup string

// The groups of usage.
const (
	UsageByDay         UsageGroup = "DAY"
	UsageByBranch      UsageGroup = "BRANCH"
	UsageByPhoneNumber UsageGroup = "PHONE_NUMBER"
	UsageByUser        UsageGroup = "USER"
	UsageByAutomation  UsageGroup = "AUTOMATION"
	UsageByBulk        UsageGroup = "BULK"
	UsageByCall        UsageGroup = "CALL"
	UsageByKind        UsageGroup = "KIND"
)

// Usage is what calls and messages cost (R102, R174).
type Usage struct {
	Total UsageRow
	Rows  []UsageRow
}

// UsageRow is the usage of one group.
type UsageRow struct {
	Key       *string
	Label     string
	Calls     int
	Legs      int
	Minutes   int
	Messages  int
	Segments  int
	Known     []CostAmount
	Estimated []CostAmount
	Unpriced  int
}
