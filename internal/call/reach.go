package call

import (
	"context"
	"slices"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

// mostRung is how many phones and devices ring at once for one order.
const mostRung = 20

// reachable are the phones of people, the ready devices seen last first: who has no
// device is rung on their SIP address or their phone. Nobody who is not to be
// disturbed is rung.
const reachable = `
	SELECT u.id, u.name, u.do_not_disturb, ` + sipRung + `, coalesce(p.e164, ''), v.id
	FROM "user" u
	JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
	LEFT JOIN user_phone p ON p.organization_id = u.organization_id AND p.user_id = u.id AND p.is_primary
	LEFT JOIN device v ON v.organization_id = u.organization_id AND v.user_id = u.id AND v.removed_at IS NULL AND ` + deviceReady + `
	WHERE u.organization_id = $1 AND u.status = 'ACTIVE' AND 'CALL_RECEIVE' = ANY (r.permissions)
		AND (u.id = ANY ($2::uuid[]) OR u.id IN (SELECT b.user_id FROM branch_user b WHERE b.organization_id = $1 AND b.branch_id = $3))
	ORDER BY v.last_seen_at DESC NULLS LAST, u.id, v.id`

// people rings users: those named, and those of a branch but for some.
func (c *control) people(users []id.ID, branch id.ID, but ...id.ID) (targets []route.Target, quiet string, found bool, err error) {
	if users == nil {
		users = []id.ID{}
	}
	rows, err := c.tx.Pgx().Query(c.ctx, reachable, c.who.OrganizationID, users, branch)
	if err != nil {
		return nil, "", false, db.Translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			user, device    id.ID
			name, sip, e164 string
			dnd             bool
		)
		if err := rows.Scan(&user, &name, &dnd, &sip, &e164, &device); err != nil {
			return nil, "", false, err
		}
		found = true
		if dnd {
			quiet = name
		}
		if dnd || slices.Contains(but, user) || len(targets) == mostRung {
			continue
		}
		x := route.Target{LegID: id.New(id.Leg), UserID: user, Kind: route.Device, DeviceID: device, Address: "client:" + device.String()}
		switch {
		case !device.IsZero():
		case sip != "":
			x.Kind, x.Address = route.SIP, sip
		case e164 != "":
			x.Kind, x.Address, x.Screen = route.UserPhone, e164, true
		default:
			continue
		}
		targets = append(targets, x)
	}
	return targets, quiet, found, db.Translate(rows.Err())
}

// targets are the phones of whom an order names. Codes: errs.Required and
// errs.Invalid for the input, errs.NotFound, errs.Conflict for who cannot be
// reached, errs.Forbidden for numbers that may not be called.
func (c *control) targets(in PartyInput) ([]route.Target, error) {
	given := 0
	for _, is := range []bool{!in.UserID.IsZero(), !in.BranchID.IsZero(), !in.ContactID.IsZero(), in.To != ""} {
		if is {
			given++
		}
	}
	switch {
	case given == 0:
		return nil, errs.New(errs.Required, "whom? give a colleague or a number").At("to")
	case given > 1:
		return nil, errs.New(errs.Invalid, "give one of them only: a colleague or a number").At("to")
	case in.To != "", !in.ContactID.IsZero():
		return c.number(in)
	}
	field, users := "branchId", []id.ID(nil)
	if !in.UserID.IsZero() {
		field, users = "userId", []id.ID{in.UserID}
		if err := mayCallAdmin(c.ctx, c.tx, c.who, in.UserID); err != nil {
			return nil, err
		}
		if c.st.room.side(func(s *seat) bool {
			return s.by == in.UserID && s.talks && s.ended == nil && !s.out && s.role != monitor
		}) != nil {
			return nil, errs.New(errs.Conflict, "%s is in the call already", c.name(in.UserID)).At(field)
		}
	}
	but := []id.ID{c.who.UserID}
	for _, s := range c.st.room.seats { // whoever is in the call is not rung for it
		if s.talks && s.ended == nil && !s.out && s.role != monitor && !s.by.IsZero() {
			but = append(but, s.by)
		}
	}
	targets, quiet, found, err := c.people(users, in.BranchID, but...)
	switch {
	case err != nil:
		return nil, err
	case len(targets) > 0:
		return targets, nil
	case !in.UserID.IsZero() && !found:
		return nil, errs.New(errs.NotFound, "there is no such user who takes calls").At(field)
	case !in.UserID.IsZero() && quiet != "":
		return nil, errs.New(errs.Conflict, "%s is not to be disturbed right now", quiet).At(field)
	}
	return nil, errs.New(errs.Conflict, "nobody there has anything to ring right now").At(field)
}

// mayCallAdmin refuses fieldworkers who do not call administrators (R245). Code: errs.Forbidden.
func mayCallAdmin(ctx context.Context, tx *db.Tx, who access.Actor, user id.ID) error {
	if who.MayCallAdmins() {
		return nil
	}
	var admin bool
	err := tx.Pgx().QueryRow(ctx, `SELECT EXISTS (SELECT FROM "user" u JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
		WHERE u.organization_id = $1 AND u.id = $2 AND r.built_in = 'ADMIN')`, who.OrganizationID, user).Scan(&admin)
	if err == nil && admin {
		return access.Refusal(access.CallAdmins).At("userId")
	}
	return db.Translate(err)
}

// number is a party outside.
func (c *control) number(in PartyInput) ([]route.Target, error) {
	if option := c.who.Withheld(access.CallMake); option != "" {
		return nil, access.Refusal(option)
	}
	raw := in.To
	if raw != "" && c.who.HidesContactDetails() {
		return nil, TypedRefused()
	}
	var to phone.E164
	if !in.ContactID.IsZero() {
		if err := mayLink(c.ctx, c.tx, c.who, in.ContactID, id.ID{}); err != nil {
			return nil, err
		}
		err := c.tx.Pgx().QueryRow(c.ctx, `SELECT coalesce((SELECT e164 FROM contact_phone WHERE organization_id = $1 AND contact_id = $2 ORDER BY is_primary DESC, e164 LIMIT 1), '')`,
			c.who.OrganizationID, in.ContactID).Scan(&to)
		if err != nil {
			return nil, db.Translate(err)
		}
		if to == "" {
			return nil, errs.New(errs.Required, "this contact has no phone; give a number to call").At("to")
		}
	} else {
		country, err := defaultCountry(c.ctx, c.tx)
		if err != nil {
			return nil, err
		}
		if to, err = phone.Parse(raw, country); err != nil {
			if refused := c.s.mayDial(c.ctx, c.tx, c.who, "", raw); errs.IsCode(refused, errs.Unsupported) {
				return nil, refused
			}
			return nil, errs.New(errs.Invalid, "%s", err.Error()).At("to")
		}
	}
	r, err := readRules(c.ctx, c.tx, lockRules)
	if err != nil {
		return nil, err
	}
	if err := r.Check(string(to), raw); err != nil {
		return nil, err
	}
	if err := r.mayStart(c.ctx, c.tx, c.who.UserID); err != nil {
		return nil, err
	}
	if err := c.s.maySpend(c.ctx, c.tx, c.who, c.st.Call.BranchID); err != nil {
		return nil, err
	}
	if err := c.mayReach(in.ContactID, to); err != nil {
		return nil, err
	}
	return []route.Target{{LegID: id.New(id.Leg), Kind: route.Guest, Address: string(to)}}, nil
}

// mayReach keeps the rules of bookings: customers are not to be reached before one
// begins (R242), nor past its masked number (R103). Code: errs.Forbidden.
func (c *control) mayReach(customer id.ID, to phone.E164) error {
	about := []id.ID{customer}
	if customer.IsZero() {
		found, err := contact.Match(c.ctx, c.tx, to)
		if err != nil {
			return err
		}
		for about = nil; len(about) < len(found); {
			about = append(about, found[len(about)].ContactID)
		}
	}
	for _, x := range about {
		if err := mayContact(c.ctx, c.tx, c.who, Contacting{ContactID: x, Number: string(to)}); err != nil {
			return err
		}
		pair, err := maskFor(c.ctx, c.tx, c.who.OrganizationID, id.ID{}, x, c.who.UserID)
		if err != nil {
			return err
		}
		if pair != nil && pair.CustomerNumber == string(to) {
			return errs.New(errs.Forbidden, "this customer is called by the masked number of the booking; start a call about the booking instead").At("to")
		}
	}
	return nil
}

// outsideOf is the number that targets are, where they are one.
func outsideOf(targets []route.Target) string {
	if len(targets) == 1 && targets[0].Kind == route.Guest {
		return targets[0].Address
	}
	return ""
}

// again rings the one whose leg it is where they were, and on all they have.
func (c *control) again(x *seat) ([]route.Target, error) {
	out, _, _, err := c.people([]id.ID{x.by}, id.ID{})
	if err != nil {
		return nil, err
	}
	if x.target.Kind != route.Caller && !slices.ContainsFunc(out, func(o route.Target) bool { return o.Address == x.target.Address }) {
		t := x.target
		t.LegID, t.Own, t.After = id.New(id.Leg), false, 0
		t.Screen = t.Kind == route.UserPhone || t.Kind == route.ForwardPhone
		out = append(out, t)
	}
	return out, nil
}
