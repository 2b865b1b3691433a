package diagnose

import (
	"context"
	"strings"
	"time"

	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/route"
	"switchboard/internal/user"
)

// person is a user as far as being rung goes.
type person struct {
	Name         string      `bun:"name"`
	Status       user.Status `bun:"status"`
	MayReceive   bool        `bun:"may_receive"`
	DoNotDisturb bool        `bun:"do_not_disturb"`
	General      bool        `bun:"is_general_fieldworker"`
	Phone        string      `bun:"phone"`
	SIPAddress   string      `bun:"sip_address"`
}

const maxLines = 20 // of a person, looked at together

// user looks at a person: whether they can be rung at all, and by each of their
// lines (R273). The lines are left out where nobody waits for them.
func (x *exam) user(ctx context.Context, who id.ID, lines bool) error {
	var u person
	err := db.Select(ctx, x.s.d.DB.App(), &u, `
		SELECT u.name, u.status, u.do_not_disturb, u.is_general_fieldworker, 'CALL_RECEIVE' = ANY (r.permissions) AS may_receive,
			coalesce(u.sip_address, '') AS sip_address, coalesce(p.e164, '') AS phone
		FROM "user" u JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
		LEFT JOIN user_phone p ON p.organization_id = u.organization_id AND p.user_id = u.id AND p.is_primary
		WHERE u.organization_id = $1 AND u.id = $2`, x.org, who)
	if err != nil {
		return err
	}
	numbers, err := x.linesOf(ctx, who, u.General)
	if err != nil {
		return err
	}
	p := x.at(who, true)
	switch u.Status {
	case user.Active:
		p.ok(UserDisabled, "%s is active", u.Name)
	case user.Invited:
		p.problem(UserDisabled, "have them accept the invitation; make a new one when it has run out", u.Name+" has not accepted the invitation yet, and is not rung before")
		return nil
	default:
		p.problem(UserDisabled, "", u.Name+" is disabled: nothing rings them")
		return nil
	}
	if u.MayReceive {
		p.ok(Role, "the role of %s receives calls", u.Name)
	} else {
		p.problem(Role, "", "the role of "+u.Name+" does not receive calls")
	}
	if u.DoNotDisturb {
		p.problem(DoNotDisturb, "", u.Name+" does not want to be disturbed by any call")
	} else {
		p.ok(DoNotDisturb, "%s takes calls", u.Name)
	}
	by := map[number.ReachBy]bool{}
	for _, n := range numbers {
		by[n.ReachBy] = true
	}
	if err := x.devices(ctx, p, who, u.Name, by[number.ReachDevices] || len(numbers) == 0); err != nil {
		return err
	}
	switch {
	case by[number.ReachPrimaryPhone] && u.Phone == "":
		p.problem(NoPhone, "", u.Name+" is reached by phone, and has no primary phone")
	case by[number.ReachSIPAddress] && u.SIPAddress == "":
		p.problem(NoPhone, "", u.Name+" is reached at a SIP address, and has none")
	default:
		p.ok(NoPhone, "there is a phone or SIP address wherever one is rung")
	}
	if !lines {
		return nil
	}
	if len(numbers) == 0 {
		x.at(who, false).problem(OtherBranch, "", "no number rings "+u.Name+": they are in no branch or team of one, and none is assigned to them")
		return nil
	}
	return x.onLines(ctx, p, who, u.Name, numbers)
}

// devices is whether there is a device, and whether one is ready (R065, R075, R275).
func (x *exam) devices(ctx context.Context, p spot, who id.ID, name string, needed bool) error {
	found, err := x.s.d.Users.DevicesByUsers(ctx, []id.ID{who})
	if err != nil {
		return err
	}
	all := found[who]
	if !needed {
		p.ok(NoDevice, "%s is not rung by devices", name)
		p.clean(DeviceNotReady, NoPush)
		return nil
	}
	if len(all) == 0 {
		p.clean(DeviceNotReady, NoPush)
		p.problem(NoDevice, "", name+" has no registered device")
		return nil
	}
	p.ok(NoDevice, "%s has %s", name, count(len(all), "device", "devices"))
	ready, poor, facts := 0, []string{}, []Evidence{}
	for _, d := range all {
		switch why := d.NotReady(); {
		case len(why) > 0:
			facts = append(facts, fact(d.Name, strings.Join(why, "; ")))
		case d.Network == user.NetworkPoor:
			ready++
			poor = append(poor, d.Name)
		default:
			ready++
		}
	}
	words := make([]string, len(facts))
	for i, f := range facts {
		words[i] = f.Key + ": " + f.Value
	}
	switch {
	case ready == 0:
		p.problem(DeviceNotReady, "", "no device of "+name+" is ready: "+strings.Join(words, "; "), facts...)
	case len(words) > 0:
		p.warning(DeviceNotReady, "", "not every device of "+name+" is ready: "+strings.Join(words, "; "), facts...)
	case len(poor) > 0:
		p.warning(DeviceNotReady, "", "the network of "+strings.Join(poor, ", ")+" is poor: calls will sound so (R275)")
	default:
		p.ok(DeviceNotReady, "microphone, notifications and network are as they must be, as far as the devices said")
	}
	return x.push(ctx, p, name, all)
}

// push is whether the mobile devices are woken.
func (x *exam) push(ctx context.Context, p spot, name string, all []*user.Device) error {
	connections, err := x.s.d.Numbers.Connected(ctx, x.s.d.DB.App())
	if err != nil {
		return err
	}
	ids := make([]id.ID, len(connections))
	for i, c := range connections {
		ids[i] = c.ID
	}
	credentials, err := x.s.d.Numbers.PushCredentialsByConnections(ctx, ids)
	if err != nil {
		return err
	}
	have := map[string]bool{}
	for _, rows := range credentials {
		for _, c := range rows {
			have[c.Platform] = true
		}
	}
	var asleep []string
	for _, d := range all {
		switch {
		case d.Platform == user.Web:
		case !have[string(d.Platform)]:
			asleep = append(asleep, d.Name+": the connection has no push credential for "+string(d.Platform))
		case !d.HasPushToken():
			asleep = append(asleep, d.Name+": the app gave no push token")
		}
	}
	if len(asleep) > 0 {
		p.warning(NoPush, "", "calls do not wake every device of "+name+": "+strings.Join(asleep, "; "))
	} else {
		p.ok(NoPush, "every mobile device is woken by calls")
	}
	return nil
}

// linesOf are the numbers in use that may ring a person.
func (x *exam) linesOf(ctx context.Context, who id.ID, general bool) ([]*number.PhoneNumber, error) {
	var rows []struct {
		ID id.ID `bun:"id"`
	}
	err := db.Select(ctx, x.s.d.DB.App(), &rows, `
		SELECT n.id FROM phone_number n JOIN twilio_connection c ON c.organization_id = n.organization_id AND c.id = n.connection_id
		WHERE n.organization_id = $1 AND n.is_enabled AND n.use_for_inbound_calls AND n.disconnected_at IS NULL AND c.is_enabled AND c.disconnected_at IS NULL AND (
			n.assigned_user_id = $2
			OR n.routing_mode <> 'LAYERED' AND n.branch_id IN (SELECT b.branch_id FROM branch_user b WHERE b.organization_id = $1 AND b.user_id = $2)
			OR n.routing_mode = 'TEAM' AND n.team_id IN (SELECT t.team_id FROM team_user t WHERE t.organization_id = $1 AND t.user_id = $2)
			OR $3 AND n.include_general_fieldworker)
		ORDER BY n.id LIMIT $4`, x.org, who, general, maxLines)
	if err != nil {
		return nil, err
	}
	ids := make([]id.ID, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	found, err := x.s.d.Numbers.ByIDs(ctx, ids)
	out := make([]*number.PhoneNumber, 0, len(found))
	for _, i := range ids {
		if n := found[i]; n != nil {
			out = append(out, n)
		}
	}
	return out, err
}

// onLines asks for each line whether a call of a stranger would ring the person now.
func (x *exam) onLines(ctx context.Context, p spot, who id.ID, name string, numbers []*number.PhoneNumber) error {
	personal := p.has(Role, DoNotDisturb, NoDevice, DeviceNotReady, NoPhone)
	for _, n := range numbers {
		d, err := x.s.d.Calls.Explain(ctx, x.who, call.ExplainInput{PhoneNumberID: n.ID, From: "anonymous"})
		if err != nil {
			return err
		}
		line := "a call to " + shown(n)
		switch rings, why := x.onLine(d, who); {
		case rings:
			p.ok(NobodyToRing, "%s rings %s", line, name)
		case why == nil && closedBy(d.Trace) != "":
			p.skip(ClosedNow, line+" rings nobody now: it is outside the opening hours")
		case why == nil && hasStep(d, route.MenuStep):
			p.skip(NobodyToRing, line+" leads to a menu first")
		case why == nil && n.RoutingMode == number.RouteTeam:
			x.at(who, false).warning(OtherBranch, "add them to the team with teamUpdate, or have the number ring its branch", line+" rings a team that "+name+" is not in")
		case why == nil:
			p.skip(NobodyToRing, line+" does not ring "+name+" now: another rule comes first")
		case personal:
			p.skip(NobodyToRing, line+" does not ring "+name+": "+why.Detail) // said already
		default:
			c, known := traced[why.Rule]
			if !known {
				c = DeviceNotReady
			}
			x.at(who, false).problem(c, "", line+": "+why.Detail, fact("rule", why.Rule), fact("phoneNumberId", n.ID))
		}
	}
	return nil
}

func (x *exam) onLine(d *route.Decision, who id.ID) (rings bool, why *route.Trace) {
	for _, s := range d.Steps {
		for _, t := range s.Targets {
			if t.UserID == who {
				return true, nil
			}
		}
	}
	for i, t := range d.Trace {
		if t.UserID == who && t.Verdict == route.Skipped {
			why = &d.Trace[i]
		}
	}
	return false, why
}

func hasStep(d *route.Decision, kind route.StepKind) bool {
	for _, s := range d.Steps {
		if s.Kind == kind {
			return true
		}
	}
	return false
}

// at is a moment, or another where there is none.
func at(t *time.Time, otherwise time.Time) time.Time {
	if t == nil {
		return otherwise
	}
	return *t
}
