package message

import (
	"math"
	"strconv"
	"strings"
)

// Money is an amount in millionths of a currency: Twilio's prices have five
// decimals.
type Money struct {
	Micros   int64
	Currency string // ISO 4217: "USD"
}

// decimals are the decimals of the currencies that have not two (ISO 4217).
var decimals = map[string]int{
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
}

// String writes an amount in full: "120.00 AUD", "0.0083 USD", "1500 JPY".
func (m Money) String() string {
	places, ok := decimals[m.Currency]
	if !ok {
		places = 2
	}
	sign, n := "", uint64(m.Micros)
	if m.Micros < 0 {
		sign, n = "-", -n
	}
	fraction := strconv.FormatUint(1_000_000+n%1_000_000, 10)[1:]
	for len(fraction) > places && fraction[len(fraction)-1] == '0' {
		fraction = fraction[:len(fraction)-1]
	}
	s := sign + strconv.FormatUint(n/1_000_000, 10)
	if fraction != "" {
		s += "." + fraction
	}
	if m.Currency == "" {
		return s
	}
	return s + " " + m.Currency
}

// Times is the amount n times over.
func (m Money) Times(n int) Money { return Money{m.Micros * int64(n), m.Currency} }

// ParsePrice reads a price as Twilio gives it for a message: "-0.01660" and
// "USD". It is false while Twilio has not said it, which takes some seconds.
func ParsePrice(price, currency string) (Money, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(price), 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) > 1e6 || len(currency) != 3 {
		return Money{}, false
	}
	return Money{int64(math.Round(math.Abs(f) * 1e6)), strings.ToUpper(currency)}, true
}

// RateKind is what a price is for.
type RateKind string

// The kinds of price.
const (
	RateSMS RateKind = "SMS" // one part
	RateMMS RateKind = "MMS" // one message, whatever its size
)

// RateKey names a price: of an outgoing message to a country ("US").
type RateKey struct {
	Country string
	Kind    RateKind
}

// Rates are the prices that an account really paid, each per part or per MMS.
// They count more than the list; nil is the list alone.
type Rates map[RateKey]Money

// PriceListDate is when the built-in list was drawn up, PriceNote what to tell
// whoever sees a price of it (R174).
const (
	PriceListDate = "2025-07-01"
	PriceNote     = "an estimate from public list prices of July 2025, without the carriers' fees, discounts and taxes; what Twilio really charges is learned from messages sent"
)

// listSMS are rounded list prices of an outgoing part in millionths of a US
// dollar (twilio: pricing pages). They are rough, and networks of one country differ.
var listSMS = map[string]int64{
	"US": 8300, "CA": 8300, "PR": 42000,
	"MX": 65000, "BR": 62000, "AR": 77000, "CL": 59000, "CO": 53000, "PE": 72000, "UY": 76000, "PA": 95000, "DO": 70000,
	"AU": 51500, "NZ": 105000,
	"GB": 52400, "IE": 81000, "DE": 112000, "FR": 80000, "ES": 87000, "IT": 93000, "NL": 115000, "BE": 114000, "AT": 108000, "CH": 73000, "LU": 108000,
	"PT": 60000, "SE": 60000, "NO": 71000, "DK": 56000, "FI": 85000, "PL": 45000, "CZ": 66000, "SK": 91000, "HU": 99000, "RO": 72000, "BG": 119000, "GR": 86000,
	"HR": 103000, "SI": 210000, "EE": 108000, "LV": 86000, "LT": 51000, "UA": 147000, "TR": 34000,
	"IL": 258000, "AE": 107000, "SA": 179000, "QA": 219000, "KW": 229000, "EG": 321000,
	"ZA": 109000, "NG": 370000, "KE": 200000, "GH": 317000, "MU": 190000,
	"IN": 83000, "PK": 360000, "BD": 332000, "LK": 330000, "NP": 302000, "SG": 61000, "MY": 123000, "TH": 27000, "PH": 216000, "ID": 441000, "VN": 148000,
	"HK": 77000, "TW": 65000, "CN": 60000, "JP": 88000, "KR": 49000,
}

// listMMS are list prices of an outgoing MMS. Australia's is left out: it
// depends on the contract.
var listMMS = map[string]int64{"US": 22000, "CA": 22000}

// rate is the price of one part or one MMS.
func (r Rates) rate(country string, kind RateKind) (Money, bool) {
	if m, ok := r[RateKey{country, kind}]; ok && m.Currency != "" {
		return m, true
	}
	list := listSMS
	if kind == RateMMS {
		list = listMMS
	}
	n, ok := list[country]
	if !ok {
		return Money{}, false
	}
	return Money{n, "USD"}, true
}

// linkUnits is what Twilio's link to a file takes in a text where no MMS goes.
const linkUnits = 40

// Estimate is what a text with so many files to a country will cost (R174). It is
// false where nobody knows: that is not "nothing".
func (r Rates) Estimate(country string, size Size, media int) (_ Money, known bool) {
	country = strings.ToUpper(country)
	if _, native := MMSLimits(country); media > 0 && native {
		return r.rate(country, RateMMS)
	}
	parts := size.Parts
	if media > 0 {
		alone, each := size.Encoding.limits()
		if units := size.Units + media*linkUnits; units > alone {
			parts = max(parts, (units+each-1)/each)
		}
	}
	m, known := r.rate(country, RateSMS)
	return m.Times(max(parts, 1)), known
}
