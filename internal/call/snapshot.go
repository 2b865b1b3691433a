package call

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

// scene is everything that deciding and serving a call needs, as it stands now.
type scene struct {
	route.Snapshot
	connection     id.ID
	plan           Plan
	defaultCountry string
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
		coalesce((SELECT d.call_forwarding_number FROM phone_number d WHERE d.organization_id = $1 AND d.is_default), '')
	FROM phone_number n
	JOIN twilio_connection c ON c.organization_id = n.organization_id AND c.id = n.connection_id
	JOIN organization o ON o.organization_id = n.organization_id
	LEFT JOIN audio w ON w.organization_id = n.organization_id AND w.id = n.welcome_audio_id
	LEFT JOIN audio f ON f.organization_id = n.organization_id AND f.id = n.farewell_audio_id
	LEFT JOIN audio g ON g.organization_id = n.organization_id AND g.id = n.voicemail_greeting_audio_id
	WHERE n.organization_id = $1 AND `

// A number that was disconnected comes back as the same row, so at most one is current.
const (
	sceneByNumber = sceneNumber + `n.e164 = $2 ORDER BY n.disconnected_at IS NULL DESC, n.disconnected_at DESC LIMIT 1`
	sceneByID     = sceneNumber + `n.id = $2`
)

// scenePeople are the branch's users, the General Fieldworkers where the number
// includes them, and those whom a layer names.
const scenePeople = `
	SELECT u.id, u.name, u.status = 'ACTIVE', u.is_fieldworker, u.is_general_fieldworker,
		EXISTS (SELECT FROM branch_user b WHERE b.organization_id = $1 AND b.branch_id = $3 AND b.user_id = u.id),
		'CALL_RECEIVE' = ANY (r.permissions), u.do_not_disturb,
		EXISTS (SELECT FROM user_line_dnd x WHERE x.organization_id = $1 AND x.user_id = u.id AND x.phone_number_id = $2),
		coalesce(p.e164, ''), coalesce(u.sip_address, ''), d.ids, d.names, d.seen
	FROM "user" u
	JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
	LEFT JOIN user_phone p ON p.organization_id = u.organization_id AND p.user_id = u.id AND p.is_primary
	LEFT JOIN LATERAL (
		SELECT array_agg(y.id) AS ids, array_agg(y.name) AS names, array_agg(y.last_seen_at) AS seen
		FROM (
			SELECT v.id, v.name, v.last_seen_at FROM device v
			WHERE v.organization_id = $1 AND v.user_id = u.id AND v.removed_at IS NULL
			ORDER BY v.last_seen_at DESC, v.id LIMIT 20
		) y
	) d ON true
	WHERE u.organization_id = $1 AND (
		u.id = ANY ($5::uuid[])
		OR $4::boolean AND u.is_general_fieldworker
		OR u.id IN (SELECT b.user_id FROM branch_user b WHERE b.organization_id = $1 AND b.branch_id = $3))`

// readScene loads the scene of a call from local data, in three statements. The
// scene of a number that is not ours has no number.
func readScene(ctx context.Context, tx *db.Tx, byID id.ID, called, from string) (scene, error) {
	org := db.TenantFrom(ctx)
	sc := scene{Snapshot: route.Snapshot{At: tx.Now, From: from}}
	n := &sc.Number
	p := tx.Pgx()
	query, which := sceneByNumber, any(called)
	if !byID.IsZero() {
		query, which = sceneByID, byID
	}
	var mode RecordMode
	err := p.QueryRow(ctx, query, org, which).Scan(&n.ID, &sc.connection, &n.E164, &n.BranchID, &n.AssignedUserID, &n.Enabled, &n.ForInbound, &n.Mode, &n.ReachBy, &n.IncludeGeneralFieldworker,
		&n.RingTimeout, &n.DialTimeout, &n.AgentTimeout, &n.ForwardingNumbers,
		&sc.plan.Welcome.Text, &sc.plan.Welcome.Audio, &sc.plan.Farewell.Text, &sc.plan.Farewell.Audio,
		&sc.plan.Greeting.Text, &sc.plan.Greeting.Audio, &sc.plan.Voice, &sc.plan.Language,
		&n.Voicemail, &sc.plan.VoicemailMax, &sc.plan.VoicemailOwner,
		&mode, &sc.CompanyPhone, &sc.plan.ShowOffice, &sc.defaultCountry, &sc.CallForwardingNumber)
	if errors.Is(err, pgx.ErrNoRows) {
		return sc, nil
	}
	if err != nil {
		return sc, db.Translate(err)
	}
	if mode != RecordOff {
		sc.plan.Record = mode
	}
	n.HasWelcome, n.HasFarewell = sc.plan.Welcome.Given(), sc.plan.Farewell.Given()
	if !n.Enabled || !n.ForInbound {
		return sc, nil // nobody will be rung
	}
	if err := sc.readContacts(ctx, tx); err != nil {
		return sc, err
	}
	return sc, sc.readPeople(ctx, p, org)
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

// named are the users whom a layer may name.
func (sc *scene) named() []id.ID {
	out := []id.ID{}
	add := func(u id.ID) {
		if !u.IsZero() {
			out = append(out, u)
		}
	}
	add(sc.Number.AssignedUserID)
	for _, c := range sc.Contacts {
		add(c.AssignedUserID)
		for _, k := range c.Campaigns {
			add(k.AssignedUserID)
		}
	}
	return out
}

func (sc *scene) readPeople(ctx context.Context, p pgx.Tx, org id.ID) error {
	n := sc.Number
	branch, cover, named := n.BranchID, n.IncludeGeneralFieldworker, []id.ID{}
	if n.Mode == route.Layered {
		branch, cover, named = id.ID{}, false, sc.named()
	}
	rows, err := p.Query(ctx, scenePeople, org, n.ID, branch, cover, named)
	if err != nil {
		return db.Translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			x     route.Person
			ids   []id.ID
			names []string
			seen  []time.Time
		)
		if err := rows.Scan(&x.ID, &x.Name, &x.Active, &x.Fieldworker, &x.GeneralFieldworker, &x.InBranch, &x.MayReceive, &x.DoNotDisturb,
			&x.LineDoNotDisturb, &x.Phone, &x.SIPAddress, &ids, &names, &seen); err != nil {
			return err
		}
		for i := range ids {
			x.Devices = append(x.Devices, route.Handset{ID: ids[i], Name: names[i], LastSeen: seen[i]})
		}
		sc.People = append(sc.People, x)
	}
	return db.Translate(rows.Err())
}
