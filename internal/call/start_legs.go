package call

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
	"switchboard/internal/tenant"
)

// agentRings is how long the actor's own device rings, in seconds.
const agentRings = 45

// deviceReady is the condition under which a device v can ring (R075). What a
// device has not told counts as ready.
const deviceReady = `(v.microphone NOT IN ('DENIED', 'MISSING') AND v.network <> 'OFFLINE' AND (v.platform = 'WEB' OR v.notifications <> 'DENIED'))`

// agent is what rings first: the device asked for, the ready one seen last, the
// actor's primary phone, or the SIP address (R087, R088, R288). Whose clicks an
// external application handles is rung only where they say so (R088): on their
// phone or SIP address. Devices that call by themselves are no clicks, and calls
// to colleagues have no tel: link.
func (d *draft) agent(ctx context.Context) error {
	if d.test {
		return nil
	}
	if d.first != nil {
		d.start.Agent, d.start.SID = &d.first.Target, d.first.SID
		return nil
	}
	var (
		internal, there, ready bool
		device                 id.ID
		number, address        string
	)
	err := d.tx.Pgx().QueryRow(ctx, `SELECT u.internal_click_to_call, coalesce(p.e164, ''), `+sipRung+`, x.id, x.id IS NOT NULL, coalesce(x.ready, false)
		FROM "user" u
		LEFT JOIN user_phone p ON p.organization_id = u.organization_id AND p.user_id = u.id AND p.is_primary
		LEFT JOIN LATERAL (
			SELECT v.id, `+deviceReady+` AS ready FROM device v
			WHERE v.organization_id = $1 AND v.user_id = u.id AND v.removed_at IS NULL AND ($3::uuid IS NULL OR v.id = $3)
			ORDER BY `+deviceReady+` DESC, v.last_seen_at DESC, v.id LIMIT 1
		) x ON true
		WHERE u.organization_id = $1 AND u.id = $2`, d.who.OrganizationID, d.who.UserID, d.in.DeviceID).
		Scan(&internal, &number, &address, &device, &there, &ready)
	if err != nil {
		return db.Translate(err)
	}
	outside := d.start.Direction == Outbound
	t := &route.Target{LegID: id.New(id.Leg), UserID: d.who.UserID}
	switch {
	case d.in.RingMyPhone && number == "":
		return errs.New(errs.Conflict, "you have no primary phone; give yourself one first").At("ringMyPhone")
	case d.in.RingMySIP && address == "":
		return errs.New(errs.Conflict, "you have no SIP address at a domain that is in use; an administrator can give you one").At("ringMySip")
	case outside && !internal && !d.in.RingMyPhone && !d.in.RingMySIP:
		return errs.New(errs.Conflict, "an external application handles your calls, because internal click-to-call is off in your settings; switch it on, or ask for your phone or SIP address to be rung").At("deviceId")
	case !d.in.DeviceID.IsZero() && !there:
		return errs.New(errs.NotFound, "you have no such device").At("deviceId")
	case !d.in.DeviceID.IsZero() && !ready:
		return errs.New(errs.Conflict, "this device is not ready: look at its microphone, notifications and network, or choose another").At("deviceId")
	case d.in.RingMySIP:
		t.Kind, t.Address = route.SIP, address
	case !d.in.RingMyPhone && ready:
		t.Kind, t.DeviceID, t.Address = route.Device, device, "client:"+device.String()
	case number != "":
		// Whoever picks up presses a key, so that no answering machine is connected.
		t.Kind, t.Address, t.Screen = route.UserPhone, number, true
	case address != "":
		t.Kind, t.Address = route.SIP, address
	default:
		return errs.New(errs.Conflict, "there is nothing of yours to ring: register a device or give yourself a primary phone")
	}
	d.start.Agent = t
	d.start.Notices = append(d.start.Notices, TwoLegsBilled)
	return nil
}

// ownNumber is a number of ours as far as showing it goes.
type ownNumber struct {
	route.OwnNumber
	connection      id.ID
	record          RecordMode
	voice, language string
	unit            string
	pace            float64
	transfer, room  bool // R099; held in a conference from the first answer
	enabled         bool
	voiced          bool // it can call
	shown           bool // R030
	teamed          bool // of no team, or of one that the actor is in
	outgoing        bool // R026
}

func (d *draft) numbers(ctx context.Context) ([]ownNumber, error) {
	rows, err := d.tx.Pgx().Query(ctx, `SELECT n.id, n.e164, n.country, n.branch_id, n.is_default, n.connection_id,
			coalesce(n.outgoing_recording, c.outgoing_recording), n.voice, n.language, coalesce(n.business_unit, ''), c.calls_per_second,
			n.allow_transfer, n.bridge = 'CONFERENCE', n.is_enabled AND c.is_enabled, n.can_voice, n.use_for_caller_id,
			n.routing_mode <> 'TEAM' OR EXISTS (SELECT FROM team_user t WHERE t.organization_id = $1 AND t.team_id = n.team_id AND t.user_id = $2),
			coalesce((SELECT x.outgoing_calls FROM phone_number_user x WHERE x.organization_id = $1 AND x.phone_number_id = n.id AND x.user_id = $2), true)
		FROM phone_number n JOIN twilio_connection c ON c.organization_id = n.organization_id AND c.id = n.connection_id
		WHERE n.organization_id = $1 AND n.disconnected_at IS NULL AND c.disconnected_at IS NULL`, d.who.OrganizationID, d.who.UserID)
	if err != nil {
		return nil, db.Translate(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n ownNumber, err error) {
		err = row.Scan(&n.ID, &n.E164, &n.Country, &n.BranchID, &n.IsDefault, &n.connection, &n.record, &n.voice, &n.language, &n.unit, &n.pace,
			&n.transfer, &n.room, &n.enabled, &n.voiced, &n.shown, &n.teamed, &n.outgoing)
		return n, err
	})
	return list, db.Translate(err)
}

// why is why the actor may not show the number; nil when they may. Tests of a
// number are for administrators, whatever their team.
func (d *draft) why(n ownNumber) *errs.Error {
	refuse := func(code errs.Code, why string) *errs.Error {
		return errs.New(code, "the number %s cannot be shown: %s; choose another", phone.Mask(n.E164), why).At("phoneNumberId")
	}
	switch {
	case !n.enabled:
		return refuse(errs.Invalid, "it is switched off")
	case !n.voiced:
		return refuse(errs.Invalid, "it cannot make calls")
	case !n.shown:
		return refuse(errs.Invalid, "it is not used as caller ID")
	case d.first != nil && n.connection != d.first.Connection:
		return refuse(errs.Invalid, "it belongs to another Twilio account than the one your device calls through")
	case !n.teamed && !d.test:
		return refuse(errs.Forbidden, "it is its team's, and you are not in that team")
	case !n.outgoing && !d.test:
		return refuse(errs.Forbidden, "your outgoing calls are switched off for it")
	}
	return nil
}

// shown chooses the caller ID (D17) among the numbers that the actor may use, and
// with it connection, branch and recording. A booking's masked number is shown to
// the customer when its fieldworker calls (R103).
func (d *draft) shown(ctx context.Context) error {
	if d.to == "" {
		return nil
	}
	numbers, err := d.numbers(ctx)
	if err != nil {
		return err
	}
	choice := route.Choice{Explicit: d.in.PhoneNumberID, Branches: d.who.BranchIDs, To: d.to, ContactCountry: d.country}
	var pair *MaskedPair
	if !d.test {
		if pair, err = maskFor(ctx, d.tx, d.who.OrganizationID, d.in.RecordID, d.start.Contact, d.who.UserID); err != nil {
			return err
		}
		if pair != nil && pair.CustomerNumber != string(d.to) {
			pair = nil
		}
	}
	if pair != nil {
		d.start.MaskedPair, d.start.Record = pair.ID, pair.RecordID
		d.note("NUMBER_MASKED", route.Included, "the booking has a masked number")
		if choice.Explicit.IsZero() {
			choice.Explicit = pair.PhoneNumberID
		}
	}
	called := false
	for _, n := range numbers {
		refused := d.why(n)
		masked := pair != nil && n.ID == pair.PhoneNumberID && n.enabled && n.voiced
		switch {
		case refused == nil || masked:
			choice.Numbers = append(choice.Numbers, n.OwnNumber)
			called = called || n.ID == d.in.called
		case n.ID == choice.Explicit:
			return refused
		default:
			d.note("NUMBER_ALLOWED", route.Skipped, refused.Message)
		}
	}
	if choice.Explicit.IsZero() && called {
		choice.Explicit = d.in.called
	}
	chosen, err := route.ChooseNumber(choice)
	if err != nil {
		return err
	}
	d.trace = append(d.trace, chosen.Trace...)
	for _, n := range numbers {
		if n.ID == chosen.Number.ID {
			d.use(n)
		}
	}
	start := d.start
	start.From, start.CallerID, start.CallerIDReason = string(chosen.Number.E164), chosen.Number.E164, chosen.Reason
	start.Number, start.Branch = chosen.Number.ID, chosen.Number.BranchID
	return nil
}

// use takes over the settings of the number that a call goes through.
func (d *draft) use(n ownNumber) {
	start := d.start
	start.Connection, start.BusinessUnit = n.connection, n.unit
	p := &start.Plan
	p.Voice, p.Language = n.voice, n.language
	p.AllowTransfer, p.Conference, p.CallsPerSecond = n.transfer, n.room, n.pace
	p.HoldMusic, p.ShowOffice, p.MaskNumbers = d.rules.music, d.rules.showOffice, d.rules.has(tenant.Masking)
	if n.record != RecordOff {
		p.Record = n.record
	}
	// D15: the first leg would show the customer's number where the organization wants
	// that, but Twilio lets a call that we make show numbers of the account alone
	// (twilio: voice/api/call-resource). So it is the office number either way.
	start.First = string(n.E164)
}

// colleague finds the devices of a colleague (R093): the ten ready ones seen last
// (T01), else the SIP address. Their personal phone is not rung for it.
func (d *draft) colleague(ctx context.Context) error {
	if d.in.UserID == d.who.UserID {
		return errs.New(errs.Invalid, "you cannot call yourself").At("userId")
	}
	if err := mayCallAdmin(ctx, d.tx, d.who, d.in.UserID); err != nil {
		return err
	}
	var (
		me, name, address           string
		active, receives, disturbed bool
		devices                     []id.ID
	)
	err := d.tx.Pgx().QueryRow(ctx, `SELECT coalesce((SELECT name FROM "user" WHERE organization_id = $1 AND id = $3), ''), u.name, `+sipRung+`,
			u.status = 'ACTIVE', 'CALL_RECEIVE' = ANY (r.permissions), u.do_not_disturb,
			ARRAY(SELECT v.id FROM device v WHERE v.organization_id = $1 AND v.user_id = u.id AND v.removed_at IS NULL AND `+deviceReady+`
				ORDER BY v.last_seen_at DESC, v.id LIMIT 10)
		FROM "user" u JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
		WHERE u.organization_id = $1 AND u.id = $2`, d.who.OrganizationID, d.in.UserID, d.who.UserID).
		Scan(&me, &name, &address, &active, &receives, &disturbed, &devices)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return errs.New(errs.NotFound, "there is no such user").At("userId")
	case err != nil:
		return db.Translate(err)
	}
	start := d.start
	start.From, start.To = me, name
	start.Unlogged = !d.rules.has(tenant.InternalCallLog)
	for _, x := range devices {
		start.Callees = append(start.Callees, route.Target{LegID: id.New(id.Leg), Kind: route.Device, UserID: d.in.UserID, DeviceID: x, Address: "client:" + x.String()})
	}
	if len(devices) == 0 && address != "" {
		start.Callees = []route.Target{{LegID: id.New(id.Leg), Kind: route.SIP, UserID: d.in.UserID, Address: address}}
	}
	refuse := func(why string) error {
		return errs.New(errs.Conflict, "%s cannot be called: %s", name, why).At("userId")
	}
	switch {
	case !active:
		return refuse("they are not an active user")
	case !receives:
		return refuse("their role does not permit receiving calls")
	case disturbed:
		return refuse("they are not to be disturbed")
	case len(start.Callees) == 0:
		return refuse("no device of theirs is ready")
	}
	return nil
}

// carrier finds an account to carry a call between colleagues: that of the default
// number first. No number is shown, and nothing is recorded.
func (d *draft) carrier(ctx context.Context) error {
	numbers, err := d.numbers(ctx)
	if err != nil {
		return err
	}
	var best *ownNumber
	for i, n := range numbers {
		if !n.enabled || !n.voiced || d.first != nil && n.connection != d.first.Connection {
			continue
		}
		if best == nil || n.IsDefault && !best.IsDefault || n.IsDefault == best.IsDefault && n.E164 < best.E164 {
			best = &numbers[i]
		}
	}
	if best == nil {
		return errs.New(errs.Conflict, "no number is enabled that could carry the call; enable one first")
	}
	d.use(*best)
	d.start.BusinessUnit, d.start.Plan.Record, d.start.Plan.AllowTransfer = "", "", true
	return nil
}
