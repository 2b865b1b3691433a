package phone

import (
	"github.com/nyaruka/phonenumbers/v2/timezone"
)

// outlying are zones of islands with a few thousand people each that share the
// mobile numbers of a continent: their night is not the continent's.
var outlying = map[string]bool{
	"Indian/Christmas": true, "Indian/Cocos": true, "Pacific/Easter": true, "Pacific/Galapagos": true, "America/Noronha": true, "Australia/Eucla": true,
}

// TimeZones are the zones of the tz database in which a number may be, as its
// numbering plan says; none when it does not say or, as of freephone and
// satellite numbers, when it could be anywhere.
func TimeZones(e E164) []string {
	switch KindOf(e) {
	case TollFree, Premium, SharedCost, Satellite, Other:
		return nil
	}
	n, ok := parsed(e)
	if !ok {
		return nil
	}
	zones, err := timezone.GetTimeZonesForNumber(n)
	if err != nil {
		return nil
	}
	out := make([]string, 0, len(zones))
	for _, z := range zones {
		if z != timezone.Unknown && (len(zones) == 1 || !outlying[z]) {
			out = append(out, z)
		}
	}
	return out
}
