package message_test

import (
	"math"
	"testing"
	"time"

	"switchboard/internal/message"
)

func usd(micros int64) message.Money { return message.Money{Micros: micros, Currency: "USD"} }

func TestMoneyIsWrittenInFull(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]message.Money{
		"0.0083 USD":                usd(8300),
		"120.00 AUD":                {Micros: 120_000_000, Currency: "AUD"},
		"1234.50 AUD":               {Micros: 1_234_500_000, Currency: "AUD"},
		"1500 JPY":                  {Micros: 1_500_000_000, Currency: "JPY"},
		"0.5 JPY":                   {Micros: 500_000, Currency: "JPY"},
		"1.250 KWD":                 {Micros: 1_250_000, Currency: "KWD"},
		"-0.0166 USD":               usd(-16600),
		"0.00 USD":                  usd(0),
		"0.000001 USD":              usd(1),
		"5.00":                      {Micros: 5_000_000},
		"-9223372036854.775808 USD": usd(math.MinInt64),
	} {
		if got := m.String(); got != want {
			t.Errorf("%d %s: got %q, want %q", m.Micros, m.Currency, got, want)
		}
	}
}

func TestTwiliosPriceIsRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		why, price, unit string
		want             message.Money
		ok               bool
	}{
		"charged":     {"Twilio writes what it takes with a minus", "-0.00830", "USD", usd(8300), true},
		"two parts":   {"the whole message", "-0.0166", "usd", usd(16600), true},
		"euro":        {"the account's currency", "-0.07", "EUR", message.Money{Micros: 70000, Currency: "EUR"}, true},
		"not yet":     {"null until the carrier answered", "", "USD", message.Money{}, false},
		"no currency": {"", "-0.01", "", message.Money{}, false},
		"junk":        {"", "free", "USD", message.Money{}, false},
		"NaN":         {"ParseFloat takes it", "NaN", "USD", message.Money{}, false},
		"absurd":      {"no message costs that", "1e300", "USD", message.Money{}, false},
		"nothing":     {"a free one is known to be free", "0", "USD", usd(0), true},
	} {
		if got, ok := message.ParsePrice(c.price, c.unit); got != c.want || ok != c.ok {
			t.Errorf("%s: got %v %v, want %v %v (%s)", name, got, ok, c.want, c.ok, c.why)
		}
	}
}

func TestAnEstimateIsPartsTimesPrice(t *testing.T) { // R174
	t.Parallel()
	learned := message.Rates{
		{Country: "AU", Kind: message.RateSMS}: {Micros: 40000, Currency: "AUD"},
		{Country: "AU", Kind: message.RateMMS}: {Micros: 300000, Currency: "AUD"},
		{Country: "XK", Kind: message.RateSMS}: usd(99000),
		{Country: "US", Kind: message.RateSMS}: {}, // nothing was learned
	}
	for name, c := range map[string]struct {
		why, country string
		rates        message.Rates
		size         message.Size
		media        int
		want         message.Money
		known        bool
	}{
		"one part":            {"the list", "US", nil, message.Measure("hi"), 0, usd(8300), true},
		"three parts":         {"each is paid", "US", nil, message.Measure(a(307)), 0, usd(24900), true},
		"small letters":       {"", "us", nil, message.Measure("hi"), 0, usd(8300), true},
		"MMS":                 {"one price for the whole", "US", nil, message.Measure(a(600)), 3, usd(22000), true},
		"files alone":         {"", "CA", nil, message.Measure(""), 1, usd(22000), true},
		"learned":             {"what was paid counts more than the list", "AU", learned, message.Measure(a(161)), 0, message.Money{Micros: 80000, Currency: "AUD"}, true},
		"learned MMS":         {"", "AU", learned, message.Measure("hi"), 1, message.Money{Micros: 300000, Currency: "AUD"}, true},
		"learned, no list":    {"", "XK", learned, message.Measure("hi"), 0, usd(99000), true},
		"empty entry":         {"an entry without a currency is none", "US", learned, message.Measure("hi"), 0, usd(8300), true},
		"unknown country":     {"not nothing", "XK", nil, message.Measure("hi"), 0, message.Money{}, false},
		"no country":          {"", "", nil, message.Measure("hi"), 0, message.Money{}, false},
		"MMS without a price": {"Australia's depends on the contract", "AU", nil, message.Measure("hi"), 1, message.Money{}, false},
		"link instead of MMS": {"a text with a link, still one part", "DE", nil, message.Measure("hi"), 1, usd(112000), true},
		"link needs a part":   {"150 and a link are more than 160", "DE", nil, message.Measure(a(150)), 1, usd(224000), true},
		"four links":          {"160 units of links and the text", "DE", nil, message.Measure("hi"), 4, usd(224000), true},
	} {
		got, known := c.rates.Estimate(c.country, c.size, c.media)
		if got != c.want || known != c.known {
			t.Errorf("%s: got %v %v, want %v %v (%s)", name, got, known, c.want, c.known, c.why)
		}
	}
}

func TestThePriceListSaysHowOldItIs(t *testing.T) {
	t.Parallel()
	if _, err := time.Parse(time.DateOnly, message.PriceListDate); err != nil || message.PriceNote == "" {
		t.Error(err)
	}
	n := 0
	for _, c := range []string{"US", "CA", "MX", "BR", "AU", "NZ", "GB", "IE", "DE", "FR", "ES", "IT", "NL", "BE", "AT", "CH", "PT", "SE", "NO", "DK", "FI", "PL", "CZ", "IN", "SG", "JP", "ZA"} {
		m, known := message.Rates(nil).Estimate(c, message.Measure("hi"), 0)
		if !known || m.Micros < 1000 || m.Micros > 500_000 || m.Currency != "USD" {
			t.Errorf("%s: %v %v", c, m, known)
		}
		n++
	}
}
