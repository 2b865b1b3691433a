package message

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/phone"
	"switchboard/internal/twilio"
)

// rates are the prices that the organization really paid (R174).
func (s *Service) rates(ctx context.Context, q bun.IDB) (Rates, error) {
	var rows []struct {
		Country  string   `bun:"country"`
		Kind     RateKind `bun:"kind"`
		Micros   int64    `bun:"micros"`
		Currency string   `bun:"currency"`
	}
	err := db.Select(ctx, q, &rows, `SELECT country, kind, micros, currency FROM message_rate WHERE organization_id = $1`, db.TenantFrom(ctx))
	out := make(Rates, len(rows))
	for _, r := range rows {
		out[RateKey{r.Country, r.Kind}] = Money{r.Micros, r.Currency}
	}
	return out, err
}

const (
	pricesEvery = 10 * time.Minute
	pricesAfter = 10 * time.Minute // a price takes Twilio some minutes
	pricesFresh = 70 * time.Minute
	pricesUntil = 48 * time.Hour // what has none by then gets none
	pricesPages = 100            // of a thousand, at a time
)

// pricesArgs has Twilio's log of a connection read since a moment.
type pricesArgs struct {
	Organization id.ID     `json:"organization"`
	Connection   id.ID     `json:"connection"`
	Since        time.Time `json:"since"`
}

// Kind names the job.
func (pricesArgs) Kind() string { return "message.prices" }

// Tenant is whose job it is.
func (a pricesArgs) Tenant() id.ID { return a.Organization }

// Timeout is enough for the longest log.
func (pricesArgs) Timeout() time.Duration { return 5 * time.Minute }

// InsertOpts allows few attempts: the next sweep comes.
func (pricesArgs) InsertOpts() job.Options { return job.Options{MaxAttempts: 2} }

// sweepPrices has the logs read of the connections with messages that have no price
// yet: every ten minutes for those of the last hour, once an hour for the others.
func (s *Service) sweepPrices(ctx context.Context, now time.Time) (err error) {
	defer errs.Wrap(&err, "message.sweepPrices")
	back := pricesFresh
	if now.Minute() < int(pricesEvery/time.Minute) {
		back = pricesUntil
	}
	return s.db.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var rows []struct {
			Organization id.ID     `bun:"organization_id"`
			Connection   id.ID     `bun:"connection_id"`
			Since        time.Time `bun:"since"`
		}
		if err := db.Select(ctx, tx, &rows, `
SELECT m.organization_id, n.connection_id, min(m.at) AS since
FROM message m
JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id
JOIN phone_number n ON n.organization_id = t.organization_id AND n.id = t.phone_number_id
WHERE m.direction = 'OUTBOUND' AND m.twilio_sid IS NOT NULL AND m.price_micros IS NULL AND m.status <> 'FAILED' AND m.at > $1 AND m.at <= $2
GROUP BY m.organization_id, n.connection_id`, now.Add(-back), now.Add(-pricesAfter)); err != nil {
			return err
		}
		jobs := make([]job.Args, len(rows))
		for i, r := range rows {
			jobs[i] = pricesArgs{Organization: r.Organization, Connection: r.Connection, Since: r.Since.Add(-clockSkew)}
		}
		return job.InsertMany(ctx, tx, jobs...)
	})
}

// readPrices reads Twilio's log of a connection: what messages cost, what a part to
// a country costs now (R174), and the states whose news never came.
func (s *Service) readPrices(ctx context.Context, a pricesArgs) (err error) {
	defer errs.Wrap(&err, "message.readPrices(%s)", a.Connection)
	client, err := s.numbers.Client(ctx, a.Connection)
	if err != nil {
		return err
	}
	var kept error
	pages := 0
	err = client.ScanMessages(ctx, twilio.MessageFilter{SentAfter: a.Since}, 1000, func(page []twilio.Sent) bool {
		kept = s.keepLog(ctx, page)
		pages++
		return kept == nil && pages < pricesPages
	})
	return errors.Join(err, kept)
}

// keepLog keeps what a page of Twilio's log says that is not known here.
func (s *Service) keepLog(ctx context.Context, page []twilio.Sent) error {
	var sids, currencies, heard []string
	var micros []int64
	told := map[string]*twilio.Sent{}
	for i := range page {
		x := &page[i]
		if x.Direction == "inbound" {
			continue
		}
		if n := newsOf(x); n.price != nil {
			sids, micros, currencies = append(sids, x.SID), append(micros, n.price.Micros), append(currencies, n.price.Currency)
		}
		if fromTwilio[x.Status] != Queued {
			heard = append(heard, x.SID)
		}
		told[x.SID] = x
	}
	var behind []struct {
		ID     id.ID  `bun:"id"`
		SID    string `bun:"twilio_sid"`
		Status Status `bun:"status"`
	}
	err := s.db.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) error {
		org := db.TenantFrom(ctx)
		var priced []struct {
			SID   string `bun:"twilio_sid"`
			To    string `bun:"to_number"`
			Files int    `bun:"media_count"`
		}
		if err := db.Select(ctx, tx, &priced, `
UPDATE message m SET price_micros = p.micros, price_currency = p.currency, version = m.version + 1, updated_at = $5,
  estimated_micros = CASE WHEN m.price_currency = p.currency THEN m.estimated_micros END
FROM unnest($2::text[], $3::bigint[], $4::text[]) AS p(sid, micros, currency)
WHERE m.organization_id = $1 AND m.twilio_sid = p.sid AND m.price_micros IS NULL
RETURNING m.twilio_sid, m.to_number, m.media_count`, org, sids, micros, currencies, tx.Now); err != nil {
			return err
		}
		rates := map[RateKey]*twilio.Sent{} // the newest of each
		for _, m := range priced {
			x := told[m.SID]
			k := RateKey{phone.Country(phone.E164(m.To), ""), RateSMS}
			if x.MediaCount > 0 {
				k.Kind = RateMMS
			}
			if old := rates[k]; k.Country != "" && (old == nil || x.CreatedAt.After(old.CreatedAt)) {
				rates[k] = x
			}
		}
		if err := learnRates(ctx, tx, rates); err != nil {
			return err
		}
		return db.Select(ctx, tx, &behind, `
SELECT m.id, m.twilio_sid, m.status FROM message m
WHERE m.organization_id = $1 AND m.twilio_sid = ANY ($2::text[]) AND m.status IN ('PENDING', 'UNKNOWN', 'QUEUED', 'SENT')`, org, heard)
	})
	if err != nil {
		return err
	}
	for _, b := range behind {
		x := told[b.SID]
		if _, changed := b.Status.Next(fromTwilio[x.Status]); !changed {
			continue
		}
		err := s.db.InTxAgain(ctx, func(ctx context.Context, tx *db.Tx) error {
			m, err := lock(ctx, tx, b.ID)
			if err != nil {
				return err
			}
			return s.learn(ctx, tx, m, newsOf(x))
		})
		if err != nil && !errs.IsCode(err, errs.NotFound) {
			return err
		}
	}
	return nil
}

// learnRates keeps what a part, or an MMS, cost last.
func learnRates(ctx context.Context, tx *db.Tx, rates map[RateKey]*twilio.Sent) error {
	var countries, kinds, currencies []string
	var micros []int64
	for k, x := range rates {
		price := newsOf(x).price
		per := price.Micros
		if k.Kind == RateSMS {
			per /= int64(max(x.Segments, 1))
		}
		if per > 0 {
			countries, kinds, currencies, micros = append(countries, k.Country), append(kinds, string(k.Kind)), append(currencies, price.Currency), append(micros, per)
		}
	}
	if len(micros) == 0 {
		return nil
	}
	_, err := db.Exec(ctx, tx, `
INSERT INTO message_rate (organization_id, country, kind, micros, currency, seen_at)
SELECT $1, r.country, r.kind, r.micros, r.currency, $6 FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[]) AS r(country, kind, micros, currency)
ON CONFLICT (organization_id, country, kind) DO UPDATE SET micros = excluded.micros, currency = excluded.currency, seen_at = excluded.seen_at`,
		db.TenantFrom(ctx), countries, kinds, micros, currencies, tx.Now)
	return err
}
