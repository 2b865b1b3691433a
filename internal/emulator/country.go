package emulator

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// land is what messaging depends on in a country. Prices are in hundred-thousandths of the
// account's currency; they are plausible, not Twilio's of any day.
type land struct {
	iso, name, prefix string
	out, in           int64  // one part of an SMS
	outMMS, inMMS     int64  // an MMS as a whole
	mms               string // what becomes of an MMS: MMSDelivered …
	alpha             bool   // takes alphanumeric senders
}

// What becomes of an MMS to a country.
const (
	MMSDelivered = "delivered"
	MMSRefused   = "refused"   // 21612 at once
	MMSFails     = "fails"     // accepted, then 30011
	MMSConverted = "converted" // the files become links in an SMS, as by a service's MmsConverter
)

func lands() map[string]*land {
	all := map[string]*land{}
	for _, l := range []land{
		{iso: "US", name: "United States", prefix: "+1", out: 830, in: 830, outMMS: 2200, inMMS: 1650, mms: MMSDelivered},
		{iso: "CA", name: "Canada", prefix: "+1", out: 830, in: 830, outMMS: 2200, inMMS: 1650, mms: MMSDelivered},
		{iso: "AU", name: "Australia", prefix: "+61", out: 5150, in: 750, outMMS: 27500, inMMS: 7500, mms: MMSDelivered, alpha: true},
		{iso: "AT", name: "Austria", prefix: "+43", out: 9030, alpha: true},
		{iso: "BE", name: "Belgium", prefix: "+32", out: 11500},
		{iso: "BR", name: "Brazil", prefix: "+55", out: 6000},
		{iso: "CH", name: "Switzerland", prefix: "+41", out: 8100, alpha: true},
		{iso: "CN", name: "China", prefix: "+86", out: 3890},
		{iso: "DE", name: "Germany", prefix: "+49", out: 11200, alpha: true},
		{iso: "DK", name: "Denmark", prefix: "+45", out: 5300, alpha: true},
		{iso: "ES", name: "Spain", prefix: "+34", out: 8050, alpha: true},
		{iso: "FJ", name: "Fiji", prefix: "+679", out: 19500, alpha: true},
		{iso: "FR", name: "France", prefix: "+33", out: 7980, alpha: true},
		{iso: "GB", name: "United Kingdom", prefix: "+44", out: 5240, alpha: true},
		{iso: "HK", name: "Hong Kong", prefix: "+852", out: 7320, alpha: true},
		{iso: "ID", name: "Indonesia", prefix: "+62", out: 43900, alpha: true},
		{iso: "IE", name: "Ireland", prefix: "+353", out: 8180, alpha: true},
		{iso: "IL", name: "Israel", prefix: "+972", out: 25750, alpha: true},
		{iso: "IN", name: "India", prefix: "+91", out: 8320, alpha: true},
		{iso: "IT", name: "Italy", prefix: "+39", out: 9270, alpha: true},
		{iso: "JP", name: "Japan", prefix: "+81", out: 8490, alpha: true},
		{iso: "MX", name: "Mexico", prefix: "+52", out: 7180},
		{iso: "MY", name: "Malaysia", prefix: "+60", out: 22280},
		{iso: "NL", name: "Netherlands", prefix: "+31", out: 11510, alpha: true},
		{iso: "NO", name: "Norway", prefix: "+47", out: 7180, alpha: true},
		{iso: "NZ", name: "New Zealand", prefix: "+64", out: 10500},
		{iso: "PG", name: "Papua New Guinea", prefix: "+675", out: 14900, alpha: true},
		{iso: "PH", name: "Philippines", prefix: "+63", out: 20450, alpha: true},
		{iso: "PK", name: "Pakistan", prefix: "+92", out: 47330, alpha: true},
		{iso: "PL", name: "Poland", prefix: "+48", out: 4380, alpha: true},
		{iso: "PT", name: "Portugal", prefix: "+351", out: 5590, alpha: true},
		{iso: "SE", name: "Sweden", prefix: "+46", out: 5730, alpha: true},
		{iso: "SG", name: "Singapore", prefix: "+65", out: 4720, alpha: true},
		{iso: "TH", name: "Thailand", prefix: "+66", out: 2180, alpha: true},
		{iso: "VN", name: "Vietnam", prefix: "+84", out: 15490, alpha: true},
		{iso: "ZA", name: "South Africa", prefix: "+27", out: 11090},
	} {
		l.in, l.mms = cmp.Or(l.in, 750), cmp.Or(l.mms, MMSRefused)
		l.outMMS, l.inMMS = cmp.Or(l.outMMS, 2*l.out), cmp.Or(l.inMMS, l.in)
		all[l.iso] = &l
	}
	return all
}

// prefixes are the calling codes of lands by the country that owns them.
var prefixes = func() map[string]string {
	m := map[string]string{}
	for iso, l := range lands() {
		m[l.prefix] = iso
	}
	m["+1"] = "US"
	return m
}()

// The area codes of +1 that are not the United States, and those of freephone.
var (
	canada    = set("204 226 236 249 250 263 289 306 343 354 365 367 368 382 403 416 418 428 431 437 438 450 468 474 506 514 519 548 579 581 584 587 604 613 639 647 672 683 705 709 742 753 778 780 782 807 819 825 867 873 879 902 905 942")
	freephone = set("800 833 844 855 866 877 888")
)

// country is the ISO code of a number's country, "" for one that the emulator does not know.
func country(e164 string) string {
	if strings.HasPrefix(e164, "+1") {
		if len(e164) >= 5 && canada[e164[2:5]] {
			return "CA"
		}
		return "US"
	}
	for n := 4; n >= 2; n-- {
		if len(e164) > n {
			if iso, known := prefixes[e164[:n]]; known {
				return iso
			}
		}
	}
	return ""
}

// tollFree reports a freephone number of North America, whose opt-outs and registration
// are the carriers' and not Twilio's.
func (n *number) tollFree() bool {
	e := n.spec.E164
	return n.spec.Type == "tollfree" || strings.HasPrefix(e, "+1") && len(e) >= 5 && freephone[e[2:5]]
}

// land is the country of a number; an unknown one is like the United Kingdom.
func (e *Emulator) land(e164 string) *land {
	if l := e.lands[country(e164)]; l != nil {
		return l
	}
	return e.lands["GB"]
}

// Price is what messages of one country cost: per part of an SMS, per MMS.
type Price struct {
	Outbound    float64 `json:"outbound"`
	Inbound     float64 `json:"inbound"`
	OutboundMMS float64 `json:"outboundMms"`
	InboundMMS  float64 `json:"inboundMms"`
}

// SetPrice changes what messages to and from a country (ISO code) cost. Only what was not
// yet priced changes.
func (e *Emulator) SetPrice(iso string, p Price) error {
	return e.onLand(iso, func(l *land) {
		cents := func(f float64) int64 { return int64(math.Round(f * 100_000)) }
		l.out, l.in, l.outMMS, l.inMMS = cents(p.Outbound), cents(p.Inbound), cents(p.OutboundMMS), cents(p.InboundMMS)
	})
}

// SetMMS says what becomes of an MMS to a country: MMSDelivered, MMSRefused, MMSFails or
// MMSConverted. At first the United States, Canada and Australia take them and all others
// refuse.
func (e *Emulator) SetMMS(iso, how string) error {
	switch how {
	case MMSDelivered, MMSRefused, MMSFails, MMSConverted:
		return e.onLand(iso, func(l *land) { l.mms = how })
	}
	return fmt.Errorf("emulator: an MMS cannot be %q", clip(how, 20))
}

// price writes an amount as a message shows it: a charge is negative.
func price(amount int64) string {
	s := strconv.FormatInt(amount, 10)
	s = strings.Repeat("0", max(6-len(s), 0)) + s
	return "-" + s[:len(s)-5] + "." + s[len(s)-5:]
}

// cost is the price of a message now, "" while it is not rated.
func (e *Emulator) cost(m *message) string {
	since := m.sent
	if m.direction == "inbound" {
		since = m.created
	}
	if since.IsZero() || e.at.Before(since.Add(max(e.o.PriceDelay, 0))) {
		return ""
	}
	if m.price == 0 {
		l, parts := e.land(m.to), int64(m.segments)
		switch {
		case m.direction == "inbound" && m.mms:
			m.price = e.land(m.to).inMMS
		case m.direction == "inbound":
			m.price = parts * l.in
		case m.mms:
			m.price = l.outMMS
		default:
			m.price = parts * l.out
		}
	}
	return price(m.price)
}

// sortedLands are the countries by ISO code.
func (e *Emulator) sortedLands() (list []*land) {
	for _, l := range e.lands {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b *land) int { return strings.Compare(a.iso, b.iso) })
	return list
}

func (e *Emulator) onLand(iso string, change func(*land)) error {
	err := errNoCountry(iso)
	e.do(func() {
		if l := e.lands[strings.ToUpper(iso)]; l != nil {
			err = nil
			change(l)
		}
	})
	return err
}
