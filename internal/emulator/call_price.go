package emulator

import (
	"strings"
	"time"
)

// What a begun minute of a leg costs, in hundred-thousandths of the account's currency
// (twilio: voice/pricing, roughly). A phone outside costs by its country.
const (
	minuteIn     = 850  // from a phone to a number of ours
	minuteClient = 400  // to or from a device
	minuteSIP    = 400  // to or from a SIP address
	minuteOther  = 3000 // to a phone in a country that is not listed
)

var minuteTo = map[string]int64{"US": 1400, "CA": 1400, "AU": 2520, "GB": 1580, "NZ": 2100, "DE": 1960}

// callCost is the price of a leg now, "" while it is not rated: some time after it ended.
// A leg that nobody answered costs nothing.
func (e *Emulator) callCost(c *call) string {
	if !c.over() || c.ended.IsZero() || e.at.Before(c.ended.Add(max(e.o.PriceDelay, 0))) {
		return ""
	}
	minutes := int64((time.Duration(c.seconds())*time.Second + time.Minute - 1) / time.Minute)
	if minutes == 0 {
		return ""
	}
	other := c.to
	if c.direction == "inbound" {
		other = c.from
	}
	rate := int64(minuteOther)
	switch {
	case strings.HasPrefix(other, "client:"):
		rate = minuteClient
	case strings.HasPrefix(other, "sip:"):
		rate = minuteSIP
	case c.direction == "inbound":
		rate = minuteIn
	default:
		if known, ok := minuteTo[country(other)]; ok {
			rate = known
		}
	}
	return price(minutes * rate)
}
