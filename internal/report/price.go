package report

import (
	"context"
	"strings"
	"time"

	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/message"
	"switchboard/internal/phone"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// rateKind is what a minute is paid for.
type rateKind string

const (
	rateInbound  rateKind = "INBOUND"  // from a phone to one of our numbers
	rateOutbound rateKind = "OUTBOUND" // to a phone
	rateClient   rateKind = "CLIENT"   // a device
	rateSIP      rateKind = "SIP"
)

type rateKey struct {
	country string // of the phone outside, for OUTBOUND; of our number, for INBOUND
	kind    rateKind
}

// rates are the prices of a minute that an organization really paid; they count
// more than the list.
type rates map[rateKey]CostAmount

// listMinutes are rounded list prices of a begun minute in millionths of a US
// dollar (twilio: voice pricing pages, July 2025); to mobiles it is often more.
var listMinutes = map[string]int64{
	"US": 14_000, "CA": 14_000, "AU": 25_200, "NZ": 21_000, "GB": 15_800, "IE": 22_000, "DE": 19_600, "FR": 20_000, "ES": 20_000, "IT": 25_000, "NL": 20_000,
	"BE": 25_000, "AT": 25_000, "CH": 45_000, "SE": 20_000, "NO": 20_000, "DK": 20_000, "FI": 30_000, "PL": 20_000, "PT": 25_000, "IN": 40_000, "SG": 20_000,
	"HK": 30_000, "JP": 75_000, "KR": 30_000, "MX": 25_000, "BR": 45_000, "ZA": 60_000,
}

const (
	listInbound = 8_500
	listClient  = 4_000
	listSIP     = 4_000
)

// of is what a minute costs; false where nobody knows.
func (r rates) of(k rateKey) (CostAmount, bool) {
	if a, ok := r[k]; ok {
		return a, true
	}
	switch k.kind {
	case rateInbound:
		return CostAmount{listInbound, "USD"}, true
	case rateClient:
		return CostAmount{listClient, "USD"}, true
	case rateSIP:
		return CostAmount{listSIP, "USD"}, true
	}
	n, ok := listMinutes[k.country]
	return CostAmount{n, "USD"}, ok
}

// billed is a leg as it is billed.
type billed struct {
	Organization id.ID          `bun:"organization_id"`
	ID           id.ID          `bun:"id"`
	CallID       id.ID          `bun:"call_id"`
	SID          *string        `bun:"twilio_sid"`
	Kind         call.LegKind   `bun:"kind"`
	Direction    call.Direction `bun:"direction"`
	From         string         `bun:"from_number"`
	To           string         `bun:"to_address"`
	Country      *string        `bun:"country"` // of our number
	StartedAt    time.Time      `bun:"started_at"`
	AnsweredAt   *time.Time     `bun:"answered_at"`
	EndedAt      *time.Time     `bun:"ended_at"`
	Seconds      *int           `bun:"duration_seconds"`

	Minutes           *int    `bun:"billed_minutes"`
	EstimatedMicros   *int64  `bun:"estimated_micros"`
	EstimatedCurrency *string `bun:"estimated_currency"`
	PriceMicros       *int64  `bun:"price_micros"`
	PriceCurrency     *string `bun:"price_currency"`
}

const billedColumns = `l.organization_id, l.id, l.call_id, l.twilio_sid, l.kind, c.direction, c.from_number, l.to_address, n.country, l.started_at, l.answered_at, l.ended_at, l.duration_seconds,
  l.billed_minutes, l.estimated_micros, l.estimated_currency, l.price_micros, l.price_currency`

const billedFrom = `
FROM call_leg l
JOIN call c ON c.organization_id = l.organization_id AND c.id = l.call_id
LEFT JOIN phone_number n ON n.organization_id = c.organization_id AND n.id = c.phone_number_id`

// minutes are those that are billed: each begun one, from the answer. Whoever calls
// us is answered by Twilio itself, at once.
func (b *billed) minutes() int {
	if b.EndedAt == nil || b.SID == nil {
		return 0
	}
	seconds := 0
	switch {
	case b.Kind == route.Caller:
		seconds = int((b.EndedAt.Sub(b.StartedAt) + time.Second - 1) / time.Second)
	case b.AnsweredAt != nil:
		seconds = int((b.EndedAt.Sub(*b.AnsweredAt) + time.Second - 1) / time.Second)
	}
	if b.Seconds != nil {
		seconds = *b.Seconds
	}
	return (max(seconds, 0) + 59) / 60
}

// rate is what its minutes are paid for.
func (b *billed) rate() rateKey {
	other := b.To
	if b.Kind == route.Caller {
		other = b.From
	}
	switch {
	case b.Kind == route.Device || strings.HasPrefix(other, "client:"):
		return rateKey{"", rateClient}
	case b.Kind == route.SIP || strings.HasPrefix(other, "sip:"):
		return rateKey{"", rateSIP}
	case b.Kind == route.Caller:
		country := ""
		if b.Country != nil {
			country = *b.Country
		}
		return rateKey{country, rateInbound}
	}
	return rateKey{phone.Country(phone.E164(other), ""), rateOutbound}
}

// cost is what the leg costs, known or expected; nil for one that is not billed.
func (b *billed) cost(r rates) *LegCost {
	n := b.minutes()
	if b.Minutes != nil {
		n = *b.Minutes
	}
	if n == 0 {
		return nil
	}
	out := &LegCost{BilledMinutes: n, IsEstimate: b.PriceMicros == nil}
	switch {
	case b.PriceMicros != nil:
		out.Amount = &CostAmount{*b.PriceMicros, *b.PriceCurrency}
	case b.EstimatedMicros != nil:
		out.Amount = &CostAmount{*b.EstimatedMicros, *b.EstimatedCurrency}
	default:
		if a, ok := r.of(b.rate()); ok {
			a.Micros *= int64(n)
			out.Amount = &a
		}
	}
	return out
}

// readRates are the prices of a minute that an organization paid last.
func readRates(ctx context.Context, tx *db.Tx, org id.ID) (rates, error) {
	var rows []struct {
		Country  string   `bun:"country"`
		Kind     rateKind `bun:"kind"`
		Micros   int64    `bun:"micros"`
		Currency string   `bun:"currency"`
	}
	err := db.Select(ctx, tx, &rows, `SELECT country, kind, micros, currency FROM call_rate WHERE organization_id = $1`, org)
	out := make(rates, len(rows))
	for _, r := range rows {
		out[rateKey{r.Country, r.Kind}] = CostAmount{r.Micros, r.Currency}
	}
	return out, err
}

const (
	estimateEvery = time.Minute
	estimateBatch = 2000
	callPrices    = 10 * time.Minute // how often Twilio is asked
	callPriced    = 5 * time.Minute  // it takes Twilio some minutes
	callPriceMost = 8                // how often one leg is asked for
	callPage      = 1000
)

// estimate writes down what legs that ended are expected to cost.
func (s *Service) estimate(ctx context.Context) (err error) {
	defer errs.Wrap(&err, "report.estimate")
	for range 20 {
		n, err := s.estimateSome(ctx)
		if err != nil || n < estimateBatch {
			return err
		}
	}
	return nil
}

func (s *Service) estimateSome(ctx context.Context) (n int, err error) {
	err = s.db.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var legs []billed
		if err := db.Select(ctx, tx, &legs, `SELECT `+billedColumns+billedFrom+`
WHERE l.billed_minutes IS NULL AND l.twilio_sid IS NOT NULL AND l.ended_at IS NOT NULL
ORDER BY l.ended_at LIMIT $1 FOR UPDATE OF l SKIP LOCKED`, estimateBatch); err != nil {
			return err
		}
		n = len(legs)
		known := map[id.ID]rates{}
		var orgs, ids []id.ID
		var minutes []int
		var micros []*int64
		var currencies []*string
		for i := range legs {
			b := &legs[i]
			if known[b.Organization] == nil {
				r, err := readRates(ctx, tx, b.Organization)
				if err != nil {
					return err
				}
				known[b.Organization] = r
			}
			orgs, ids, minutes = append(orgs, b.Organization), append(ids, b.ID), append(minutes, b.minutes())
			var m *int64
			var cur *string
			if c := b.cost(known[b.Organization]); c != nil && c.Amount != nil {
				m, cur = &c.Amount.Micros, &c.Amount.Currency
			}
			micros, currencies = append(micros, m), append(currencies, cur)
		}
		_, err := db.Exec(ctx, tx, `UPDATE call_leg l SET billed_minutes = e.minutes, estimated_micros = e.micros, estimated_currency = e.currency
FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::bigint[], $5::text[]) AS e(organization_id, id, minutes, micros, currency)
WHERE l.organization_id = e.organization_id AND l.id = e.id`, orgs, ids, minutes, micros, currencies)
		return err
	})
	return n, err
}

// callPricesArgs has the log of a connection read for the prices of legs.
type callPricesArgs struct {
	Organization id.ID     `json:"organization"`
	Connection   id.ID     `json:"connection"`
	Since        time.Time `json:"since"`
	Until        time.Time `json:"until"`
}

// Kind names the job.
func (callPricesArgs) Kind() string { return "report.call_prices" }

// Tenant is whose job it is.
func (a callPricesArgs) Tenant() id.ID { return a.Organization }

// Timeout is enough for a long log.
func (callPricesArgs) Timeout() time.Duration { return 5 * time.Minute }

// InsertOpts allows few attempts: the next sweep comes.
func (callPricesArgs) InsertOpts() job.Options { return job.Options{MaxAttempts: 2} }

// unpriced is which legs are to be asked for: less often the longer it takes.
const unpriced = `l.price_micros IS NULL AND l.billed_minutes > 0 AND l.price_asks < 8 AND l.ended_at <= $1
  AND (l.price_asked_at IS NULL OR l.price_asked_at <= $2::timestamptz - l.price_asks * l.price_asks * interval '10 min')`

// sweepPrices has the logs read of the connections with legs that have no price yet.
func (s *Service) sweepPrices(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "report.sweepPrices")
	return s.db.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var rows []callPricesArgs
		var found []struct {
			Organization id.ID     `bun:"organization_id"`
			Connection   id.ID     `bun:"connection_id"`
			Since        time.Time `bun:"since"`
			Until        time.Time `bun:"until"`
		}
		if err := db.Select(ctx, tx, &found, `SELECT c.organization_id, c.connection_id, min(l.started_at) AS since, max(l.started_at) AS until
FROM call_leg l JOIN call c ON c.organization_id = l.organization_id AND c.id = l.call_id
WHERE `+unpriced+` GROUP BY 1, 2`, now.Add(-callPriced), now); err != nil {
			return err
		}
		for _, f := range found {
			rows = append(rows, callPricesArgs{Organization: f.Organization, Connection: f.Connection, Since: f.Since.Add(-time.Hour), Until: f.Until.Add(time.Hour)})
		}
		jobs := make([]job.Args, len(rows))
		for i, r := range rows {
			jobs[i] = r
		}
		return job.InsertMany(ctx, tx, jobs...)
	})
}

// readPrices reads Twilio's log of a connection: what legs cost, and what a minute
// costs now.
func (s *Service) readPrices(ctx context.Context, a callPricesArgs) (err error) {
	defer errs.Wrap(&err, "report.readPrices(%s)", a.Connection)
	client, err := s.client(ctx, a.Connection)
	if err != nil {
		return err
	}
	list, err := client.ListCalls(ctx, twilio.CallFilter{StartedAfter: a.Since, StartedBefore: a.Until, Limit: 10 * callPage})
	if err != nil {
		return err
	}
	told := make(map[string]*twilio.Call, len(list))
	var sids, currencies []string
	var micros []int64
	var minutes []int
	for i := range list {
		x := &list[i]
		p, ok := message.ParsePrice(x.Price, x.PriceUnit)
		if !ok {
			continue
		}
		told[x.SID] = x
		sids, micros, currencies, minutes = append(sids, x.SID), append(micros, p.Micros), append(currencies, p.Currency), append(minutes, (x.DurationSeconds+59)/60)
	}
	return s.db.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) error {
		org := db.TenantFrom(ctx)
		var legs []billed
		if err := db.Select(ctx, tx, &legs, `
WITH priced AS (
  UPDATE call_leg l SET price_micros = p.micros, price_currency = p.currency, billed_minutes = greatest(p.minutes, 1)
  FROM unnest($2::text[], $3::bigint[], $4::text[], $5::int[]) AS p(sid, micros, currency, minutes)
  WHERE l.organization_id = $1 AND l.twilio_sid = p.sid AND l.price_micros IS NULL
  RETURNING l.*
)
SELECT `+billedColumns+strings.Replace(billedFrom, "call_leg l", "priced l", 1)+` ORDER BY l.ended_at`, org, sids, micros, currencies, minutes); err != nil {
			return err
		}
		if err := learnRates(ctx, tx, org, legs); err != nil {
			return err
		}
		_, err := db.Exec(ctx, tx, `UPDATE call_leg l SET price_asks = price_asks + 1, price_asked_at = $2
FROM call c WHERE c.organization_id = l.organization_id AND c.id = l.call_id AND l.organization_id = $3 AND c.connection_id = $4 AND `+
			strings.Replace(unpriced, "$1", "$1::timestamptz", 1), tx.Now.Add(-callPriced), tx.Now, org, a.Connection)
		return err
	})
}

// learnRates keeps what a minute cost last.
func learnRates(ctx context.Context, tx *db.Tx, org id.ID, legs []billed) error {
	last := map[rateKey]CostAmount{}
	for i := range legs { // the oldest first
		b := &legs[i]
		if k := b.rate(); b.Minutes != nil && *b.Minutes > 0 && *b.PriceMicros > 0 && (k.kind != rateOutbound || k.country != "") {
			last[k] = CostAmount{*b.PriceMicros / int64(*b.Minutes), *b.PriceCurrency}
		}
	}
	if len(last) == 0 {
		return nil
	}
	var countries, kinds, currencies []string
	var micros []int64
	for k, a := range last {
		countries, kinds, currencies, micros = append(countries, k.country), append(kinds, string(k.kind)), append(currencies, a.Currency), append(micros, a.Micros)
	}
	_, err := db.Exec(ctx, tx, `
INSERT INTO call_rate (organization_id, country, kind, micros, currency, seen_at)
SELECT $1, r.country, r.kind, r.micros, r.currency, $6 FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[]) AS r(country, kind, micros, currency)
ON CONFLICT (organization_id, country, kind) DO UPDATE SET micros = excluded.micros, currency = excluded.currency, seen_at = excluded.seen_at`,
		org, countries, kinds, micros, currencies, tx.Now)
	return err
}
