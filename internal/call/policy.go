package call

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
	"switchboard/internal/tenant"
)

// rules are the organization's rules for calls that people make.
type rules struct {
	route.DialPolicy
	name       string
	home       string // the default country (R018)
	format     string // of the dialled destination (R089)
	concurrent int    // live calls that people started
	hourly     int    // calls that one person starts in an hour
	showOffice bool   // D15
	off        []tenant.FeatureName
	music      string // public token of the hold music
}

func (r *rules) has(f tenant.FeatureName) bool { return !slices.Contains(r.off, f) }

const selectRules = `
	SELECT o.name, o.default_country, o.dial_format, o.call_countries, o.max_concurrent_calls, o.max_calls_per_user_hour,
		o.display_office_number, o.disabled_features, coalesce(m.public_token, ''),
		ARRAY(SELECT DISTINCT n.country FROM phone_number n WHERE n.organization_id = $1 AND n.is_enabled AND n.disconnected_at IS NULL ORDER BY 1)
	FROM organization o
	LEFT JOIN audio m ON m.organization_id = o.organization_id AND m.id = o.hold_music_audio_id
	WHERE o.organization_id = $1`

// Who starts a call waits for whoever starts one now, so that two at once do not both pass a cap.
const lockRules = selectRules + ` FOR NO KEY UPDATE OF o`

func readRules(ctx context.Context, tx *db.Tx, query string) (*rules, error) {
	r := &rules{}
	err := tx.Pgx().QueryRow(ctx, query, db.TenantFrom(ctx)).Scan(&r.name, &r.home, &r.format, &r.Countries, &r.concurrent, &r.hourly,
		&r.showOffice, &r.off, &r.music, &r.Own)
	return r, db.Translate(err)
}

// mayDial refuses a destination outside that the organization does not allow:
// emergency and premium numbers, and countries that are not on its list. to is ""
// when raw, what was typed, is no number. Whoever has a number outside rung asks
// it first. Codes: errs.Unsupported, errs.Forbidden, errs.Invalid, each at "to".
func (s *Service) mayDial(ctx context.Context, tx *db.Tx, who access.Actor, to phone.E164, raw string) error {
	r, err := readRules(db.WithTenant(ctx, who.OrganizationID), tx, selectRules)
	if err != nil {
		return err
	}
	return r.Check(string(to), raw)
}

// stale is the age at which a call that is still live in the books counts for no cap.
const stale = 24 * time.Hour

// mayStart refuses one call more than the organization's caps allow, to people and
// to all together. A party outside whom somebody brings into a call counts like one. The rules were read with lockRules, unless nothing is started.
// Code: errs.LimitReached.
func (r *rules) mayStart(ctx context.Context, tx *db.Tx, user id.ID) error {
	var live, own int
	err := tx.Pgx().QueryRow(ctx, `SELECT
			(SELECT count(*) FROM call WHERE organization_id = $1 AND ended_at IS NULL AND started_at > $4 AND direction <> 'INBOUND' AND user_id IS NOT NULL)
				+ (SELECT count(*) FROM call_leg WHERE organization_id = $1 AND kind = 'GUEST' AND started_at > $4 AND ended_at IS NULL),
			(SELECT count(*) FROM call WHERE organization_id = $1 AND user_id = $2 AND direction <> 'INBOUND' AND started_at > $3)
				+ (SELECT count(*) FROM call_leg g WHERE g.organization_id = $1 AND g.kind = 'GUEST' AND g.started_at > $3 AND EXISTS (
					SELECT FROM call_leg l WHERE l.organization_id = $1 AND l.call_id = g.call_id AND l.user_id = $2 AND l.answered_at IS NOT NULL))`,
		db.TenantFrom(ctx), user, tx.Now.Add(-time.Hour), tx.Now.Add(-stale)).Scan(&live, &own)
	switch {
	case err != nil:
		return db.Translate(err)
	case live >= r.concurrent:
		return errs.New(errs.LimitReached, "%d calls that people of your organization started go on, which is the most; wait until one ends, or have an administrator raise the limit", live)
	case !user.IsZero() && own >= r.hourly:
		return errs.New(errs.LimitReached, "you started %d calls within an hour, which is the most; wait a while, or have an administrator raise the limit", own)
	}
	return nil
}

// maySpend refuses a call out that a cap of costs bars (R102). Emergency numbers are
// no matter of it: they are not called from here. Code: errs.LimitReached.
func (s *Service) maySpend(ctx context.Context, tx *db.Tx, who access.Actor, branch id.ID) error {
	if s.MaySpend == nil {
		return nil
	}
	return s.MaySpend(ctx, tx, who, branch)
}

// onTheWay is the status of a record whose fieldworker is on the way (D13).
const onTheWay = "ON_THE_WAY"

// Contacting is somebody whom a fieldworker wants to reach: a contact, or whom a
// record is about. A number that is not the contact's stands for whoever has it.
type Contacting struct {
	ContactID, RecordID id.ID
	Number              string
}

// mayContact refuses a fieldworker who is not to reach a customer before the
// booking begins (R242). Code: errs.Forbidden.
func mayContact(ctx context.Context, tx *db.Tx, who access.Actor, about Contacting) error {
	refused, err := TooEarly(ctx, tx, who, tx.Now, []Contacting{about})
	if err != nil {
		return err
	}
	if e := refused[0]; e != nil {
		return e
	}
	return nil
}

// TooEarly says, by their place, whom a fieldworker is not to call or write to before
// the booking begins (R242), in one statement. The exceptions are those of D13: the
// customer contacted us first within a day, the fieldworker is on the way, the record is a
// complaint. Without a record the fieldworker's own bookings with the contact count:
// one to come bars, unless another has begun within a day.
func TooEarly(ctx context.Context, q bun.IDB, who access.Actor, now time.Time, about []Contacting) (map[int]*errs.Error, error) {
	if !who.RestrictedBeforeStart() {
		return nil, nil
	}
	var places []int
	var contacts, records []id.ID
	var numbers []string
	for i, a := range about {
		if a != (Contacting{}) {
			places, contacts, records, numbers = append(places, i), append(contacts, a.ContactID), append(records, a.RecordID), append(numbers, a.Number)
		}
	}
	if len(places) == 0 {
		return nil, nil
	}
	var rows []struct {
		Place  int       `bun:"place"`
		Starts time.Time `bun:"starts"`
	}
	err := db.Select(db.WithTenant(ctx, who.OrganizationID), q, &rows, `
		WITH named AS (SELECT u.place, u.contact_id, u.record_id, u.number FROM unnest($2::int[], $3::uuid[], $4::uuid[], $9::text[]) AS u(place, contact_id, record_id, number)),
		asked AS (
			SELECT n.place, n.contact_id, n.record_id FROM named n
			UNION ALL
			SELECT n.place, p.contact_id, NULL FROM named n
			LEFT JOIN record r ON r.organization_id = $1 AND r.id = n.record_id
			JOIN contact_phone p ON p.organization_id = $1 AND p.e164 = n.number
			WHERE NOT EXISTS (SELECT FROM contact_phone o
				WHERE o.organization_id = $1 AND o.e164 = n.number AND o.contact_id = coalesce(n.contact_id, r.contact_id))
		),
		about AS (
			SELECT a.place, a.record_id, coalesce(a.contact_id, r.contact_id) AS contact_id, r.starts_at,
				r.kind = 'COMPLAINT' OR upper(replace(r.status, ' ', '_')) = $7 AS exempt
			FROM asked a
			JOIN record r ON r.organization_id = $1 AND r.contact_id = a.contact_id AND r.assigned_user_id = $5
			WHERE a.record_id IS NULL
			UNION ALL
			SELECT a.place, a.record_id, coalesce(a.contact_id, r.contact_id), r.starts_at,
				r.kind = 'COMPLAINT' OR upper(replace(r.status, ' ', '_')) = $7
			FROM asked a
			JOIN record r ON r.organization_id = $1 AND r.id = a.record_id
		),
		barred AS (
			SELECT a.place, a.contact_id, min(a.starts_at) FILTER (WHERE a.starts_at > $6) AS starts
			FROM about a
			GROUP BY a.place, a.contact_id
			HAVING NOT bool_or(coalesce(a.exempt, false) OR a.record_id IS NULL AND coalesce(a.starts_at <= $6 AND a.starts_at > $8, false))
		)
		SELECT b.place, b.starts FROM barred b
		WHERE b.starts IS NOT NULL AND NOT `+firstContact("b.contact_id", "$8", ""),
		who.OrganizationID, places, contacts, records, who.UserID, now, onTheWay, now.Add(-contactedFirst), numbers)
	out := make(map[int]*errs.Error, len(rows))
	for _, r := range rows {
		out[r.Place] = errs.New(errs.Forbidden, "customers are not to be contacted before their booking begins, which is at %s; you can once you are on the way, or after the customer contacted you",
			r.Starts.UTC().Format(time.RFC3339))
	}
	return out, err
}
