package call

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/phone"
	"switchboard/internal/route"
	"switchboard/internal/tenant"
)

// scene is everything that deciding and serving a call needs, as it stands now.
type scene struct {
	route.Snapshot
	connection     id.ID
	plan           Plan
	defaultCountry string
	businessUnit   string
	menu           id.ID
	masking        bool               // switched on (R285)
	saving         contact.CallSaving // R182
}

// look says which scene is read.
type look struct {
	number id.ID  // or
	called string // the number called, as the network wrote it
	from   string
	// menu is one that the caller heard: where its keys lead is read too, whatever became of the number's own.
	menu *route.Menu
	// turn holds the number's row where people take turns, so that two calls at once do not begin with the same one.
	turn bool
}

const sceneNumber = `
	SELECT n.id, n.connection_id, n.e164, n.branch_id, n.assigned_user_id,
		n.is_enabled AND c.is_enabled AND n.disconnected_at IS NULL AND c.disconnected_at IS NULL,
		n.use_for_inbound_calls, n.routing_mode, n.reach_by, n.include_general_fieldworker,
		n.ring_timeout_seconds, coalesce(n.dial_timeout_seconds, 0), coalesce(n.agent_timeout_seconds, 0), n.forwarding_numbers,
		coalesce(n.welcome_text, ''), coalesce(w.public_token, ''), coalesce(n.farewell_text, ''), coalesce(f.public_token, ''),
		coalesce(n.voicemail_greeting_text, ''), coalesce(g.public_token, ''), n.voice, n.language,
		n.voicemail_enabled, n.voicemail_max_seconds, n.voicemail_owner_id,
		coalesce(n.incoming_recording, c.incoming_recording), coalesce(o.company_phone, ''), o.display_office_number, o.default_country,
		coalesce((SELECT d.call_forwarding_number FROM phone_number d WHERE d.organization_id = $1 AND d.is_default), ''),
		n.ring_strategy, n.team_id, coalesce(t.name, ''), n.preferred_user, n.screening, n.last_first_user_id, coalesce(n.business_unit, ''),
		n.allow_transfer, n.bridge = 'CONFERENCE', coalesce(m.public_token, ''), o.disabled_features, c.calls_per_second::float8, c.calls_booked_until,
		n.menu_id, h.id, coalesce(h.time_zone, ''), coalesce(h.week, '[]'), coalesce(h.holidays, '[]'),
		n.closed_action, coalesce(n.closed_text, ''), coalesce(k.public_token, ''), n.closed_numbers, o.ignored_version,
		coalesce((SELECT max(x.hops) + 1 FROM call x JOIN call_leg l ON l.organization_id = x.organization_id AND l.call_id = x.id
			WHERE x.organization_id = $1 AND x.ended_at IS NULL AND $3 IN (x.from_number, x.to_number)
				AND l.kind IN ('FORWARD', 'USER_PHONE', 'COMPANY_PHONE') AND l.to_address = n.e164 AND l.status <> 'ENDED'), 0)
	FROM phone_number n
	JOIN twilio_connection c ON c.organization_id = n.organization_id AND c.id = n.connection_id
	JOIN organization o ON o.organization_id = n.organization_id
	LEFT JOIN team t ON t.organization_id = n.organization_id AND t.id = n.team_id
	LEFT JOIN opening_hours h ON h.organization_id = n.organization_id AND h.id = n.opening_hours_id
	LEFT JOIN audio w ON w.organization_id = n.organization_id AND w.id = n.welcome_audio_id
	LEFT JOIN audio f ON f.organization_id = n.organization_id AND f.id = n.farewell_audio_id
	LEFT JOIN audio g ON g.organization_id = n.organization_id AND g.id = n.voicemail_greeting_audio_id
	LEFT JOIN audio k ON k.organization_id = n.organization_id AND k.id = n.closed_audio_id
	LEFT JOIN audio m ON m.organization_id = n.organization_id AND m.id = o.hold_music_audio_id
	WHERE n.organization_id = $1 AND `

// A number that was disconnected comes back as the same row, so at most one is current.
const (
	sceneByNumber = sceneNumber + `n.e164 = $2 ORDER BY n.disconnected_at IS NULL DESC, n.disconnected_at DESC LIMIT 1`
	sceneByID     = sceneNumber + `n.id = $2`
)

// readScene loads the scene of a call from local data, in a number of statements
// that does not depend on how many people, menus or rules there are (T14). The
// scene of a number that is not ours has no number.
func (s *Service) readScene(ctx context.Context, tx *db.Tx, l look) (scene, error) {
	org := db.TenantFrom(ctx)
	sc := scene{Snapshot: route.Snapshot{At: tx.Now, From: l.from}}
	ignored, err := sc.readNumber(ctx, tx, org, l)
	if n := sc.Number; err != nil || !n.Enabled || !n.ForInbound {
		return sc, err // nobody will be rung
	}
	if l.turn && sc.Number.Strategy == route.RoundRobin {
		// The foreign keys of calls are not held up by this.
		err := tx.Pgx().QueryRow(ctx, `SELECT last_first_user_id FROM phone_number WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE`, org, sc.Number.ID).Scan(&sc.LastFirst)
		if err != nil {
			return sc, db.Translate(err)
		}
	}
	if ignored > 0 {
		list, err := s.ignored.of(ctx, tx, org, ignored)
		if err != nil {
			return sc, err
		}
		sc.IgnoredBy, _ = list.Match(sc.From)
	}
	if err := sc.readContacts(ctx, tx); err != nil {
		return sc, err
	}
	if from, ok := phone.FromWire(sc.From); ok && sc.masking {
		if sc.Mask, err = readMask(ctx, tx, org, sc.Number.ID, from); err != nil {
			return sc, err
		}
		sc.plan.MaskNumbers = sc.Mask != nil && !sc.Mask.Expired
	}
	led, err := sc.readMenus(ctx, tx, org, l.menu)
	if err != nil {
		return sc, err
	}
	return sc, sc.readPeople(ctx, tx.Pgx(), org, led)
}

// readNumber reads the number and all that hangs on it, and the version of the ignored list.
func (sc *scene) readNumber(ctx context.Context, tx *db.Tx, org id.ID, l look) (ignored int64, err error) {
	n, p := &sc.Number, &sc.plan
	query, which := sceneByNumber, any(l.called)
	if !l.number.IsZero() {
		query, which = sceneByID, l.number
	}
	var (
		mode          RecordMode
		off           []string
		booked        *time.Time
		hours         number.OpeningHours
		week, holiday []byte
		closed        route.AfterHours
	)
	err = tx.Pgx().QueryRow(ctx, query, org, which, l.from).Scan(&n.ID, &sc.connection, &n.E164, &n.BranchID, &n.AssignedUserID, &n.Enabled, &n.ForInbound, &n.Mode, &n.ReachBy, &n.IncludeGeneralFieldworker,
		&n.RingTimeout, &n.DialTimeout, &n.AgentTimeout, &n.ForwardingNumbers,
		&p.Welcome.Text, &p.Welcome.Audio, &p.Farewell.Text, &p.Farewell.Audio,
		&p.Greeting.Text, &p.Greeting.Audio, &p.Voice, &p.Language,
		&n.Voicemail, &p.VoicemailMax, &p.VoicemailOwner,
		&mode, &sc.CompanyPhone, &p.ShowOffice, &sc.defaultCountry, &sc.CallForwardingNumber,
		&n.Strategy, &n.TeamID, &n.TeamName, &n.PreferredUser, &n.Screen, &sc.LastFirst, &sc.businessUnit,
		&p.AllowTransfer, &p.Conference, &p.HoldMusic, &off, &sc.Pace.PerSecond, &booked,
		&sc.menu, &hours.ID, &hours.TimeZone, &week, &holiday,
		&closed.Action, &closed.Say, &closed.Audio, &closed.Numbers, &ignored, &sc.Hops)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, db.Translate(err)
	}
	if mode != RecordOff {
		p.Record = mode
	}
	has := func(f tenant.FeatureName) bool { return !slices.Contains(off, string(f)) }
	sc.masking, p.PauseSilent = has(tenant.Masking), has(tenant.MutedAudio)
	p.CallsPerSecond = sc.Pace.PerSecond
	if booked != nil {
		sc.Pace.Backlog = max(0, booked.Sub(tx.Now))
	}
	n.HasWelcome, n.HasFarewell = p.Welcome.Given(), p.Farewell.Given()
	if !hours.ID.IsZero() {
		if err := errors.Join(json.Unmarshal(week, &hours.Week), json.Unmarshal(holiday, &hours.Holidays)); err != nil {
			return 0, err
		}
		sc.Hours = hours.Route()
		closed.Voicemail = n.Voicemail
		sc.Hours.Closed = closed
	}
	return ignored, nil
}

func (sc *scene) readContacts(ctx context.Context, tx *db.Tx) error {
	e, ok := phone.FromWire(sc.From)
	if !ok {
		return nil // D11
	}
	found, err := contact.Match(ctx, tx, e)
	if err != nil {
		return err
	}
	for _, c := range found {
		sc.saving = c.Inbound
		x := route.Contact{ID: c.ContactID, IsLead: c.Kind == contact.KindLead, AssignedUserID: c.AssignedUserID, ContactedAt: moment(c.LastContactedAt), CreatedAt: c.CreatedAt}
		for _, k := range c.Campaigns {
			x.Campaigns = append(x.Campaigns, route.Campaign{ID: k.CampaignID, AssignedUserID: k.AssignedUserID, ContactedAt: moment(k.LastContactedAt)})
		}
		sc.Contacts = append(sc.Contacts, x)
	}
	return nil
}

func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
