package call

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/route"
	"switchboard/internal/user"
)

// scenePeople are the number's team, its branch's users, the General Fieldworkers
// where the number includes them, and those whom a layer, a contact, a key or a
// masked pair names.
const scenePeople = `
	SELECT u.id, u.name, u.status = 'ACTIVE', u.is_fieldworker, u.fieldworker_switched, u.is_general_fieldworker,
		EXISTS (SELECT FROM branch_user b WHERE b.organization_id = $1 AND b.branch_id = $6 AND b.user_id = u.id),
		m.user_id IS NOT NULL, coalesce(m.position, 0), coalesce(x.incoming_calls, true),
		'CALL_RECEIVE' = ANY (r.permissions), u.do_not_disturb,
		EXISTS (SELECT FROM user_line_dnd y WHERE y.organization_id = $1 AND y.user_id = u.id AND y.phone_number_id = $2),
		coalesce(p.e164, ''), ` + sipRung + `, d.ids, d.names, d.seen, d.platforms, d.microphones, d.notifications, d.networks
	FROM "user" u
	JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
	LEFT JOIN team_user m ON m.organization_id = u.organization_id AND m.team_id = $7 AND m.user_id = u.id
	LEFT JOIN phone_number_user x ON x.organization_id = u.organization_id AND x.phone_number_id = $2 AND x.user_id = u.id
	LEFT JOIN user_phone p ON p.organization_id = u.organization_id AND p.user_id = u.id AND p.is_primary
	LEFT JOIN LATERAL (
		SELECT array_agg(y.id) AS ids, array_agg(y.name) AS names, array_agg(y.last_seen_at) AS seen, array_agg(y.platform) AS platforms,
			array_agg(y.microphone) AS microphones, array_agg(y.notifications) AS notifications, array_agg(y.network) AS networks
		FROM (
			SELECT v.id, v.name, v.last_seen_at, v.platform, v.microphone, v.notifications, v.network FROM device v
			WHERE v.organization_id = $1 AND v.user_id = u.id AND v.removed_at IS NULL
			ORDER BY v.last_seen_at DESC, v.id LIMIT 20
		) y
	) d ON true
	WHERE u.organization_id = $1 AND (
		u.id = ANY ($5::uuid[])
		OR m.user_id IS NOT NULL
		OR $4::boolean AND u.is_general_fieldworker
		OR u.id IN (SELECT b.user_id FROM branch_user b WHERE b.organization_id = $1 AND b.branch_id = $3))
	ORDER BY u.name COLLATE "C", u.id`

// named are the users whom a layer, a preferred user or a masked pair may name.
func (sc *scene) named() []id.ID {
	out := []id.ID{}
	add := func(u id.ID) {
		if !u.IsZero() {
			out = append(out, u)
		}
	}
	layered := sc.Number.Mode == route.Layered
	if layered {
		add(sc.Number.AssignedUserID)
	}
	for _, c := range sc.Contacts {
		if layered || sc.Number.PreferredUser {
			add(c.AssignedUserID)
		}
		for _, k := range c.Campaigns {
			if layered {
				add(k.AssignedUserID)
			}
		}
	}
	if sc.Mask != nil {
		add(sc.Mask.Fieldworker)
	}
	return out
}

func (sc *scene) readPeople(ctx context.Context, p pgx.Tx, org id.ID, led []id.ID) error {
	n := sc.Number
	branch, team, cover := n.BranchID, id.ID{}, n.IncludeGeneralFieldworker
	switch {
	case n.Mode == route.Layered && sc.Mask == nil:
		branch, cover = id.ID{}, false
	case n.Mode == route.Team:
		if team = n.TeamID; !team.IsZero() && sc.Mask == nil {
			branch = id.ID{}
		}
	}
	rows, err := p.Query(ctx, scenePeople, org, n.ID, branch, cover, append(sc.named(), led...), n.BranchID, team)
	if err != nil {
		return db.Translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			x                                            route.Person
			ids                                          []id.ID
			names, platforms, microphones, alerts, reach []string
			seen                                         []time.Time
			switched                                     []access.FieldworkerOption
		)
		if err := rows.Scan(&x.ID, &x.Name, &x.Active, &x.Fieldworker, &switched, &x.GeneralFieldworker, &x.InBranch, &x.InTeam, &x.Position, &x.LineReceive, &x.MayReceive,
			&x.DoNotDisturb, &x.LineDoNotDisturb, &x.Phone, &x.SIPAddress, &ids, &names, &seen, &platforms, &microphones, &alerts, &reach); err != nil {
			return err
		}
		x.NoDetails = access.Actor{IsFieldworker: x.Fieldworker, Switched: switched}.HidesContactDetails()
		for i := range ids {
			d := user.Device{Platform: user.Platform(platforms[i]), Microphone: user.Microphone(microphones[i]),
				Notifications: user.Notifications(alerts[i]), Network: user.Network(reach[i])}
			x.Devices = append(x.Devices, route.Handset{ID: ids[i], Name: names[i], LastSeen: seen[i], NotReady: strings.Join(d.NotReady(), "; ")})
		}
		sc.People = append(sc.People, x)
	}
	return db.Translate(rows.Err())
}

const sceneMenus = `
	SELECT m.id, m.name, coalesce(m.prompt_text, ''), coalesce(a.public_token, ''), coalesce(m.invalid_text, ''), m.timeout_seconds, m.repeats, m.options, m.otherwise
	FROM menu m LEFT JOIN audio a ON a.organization_id = m.organization_id AND a.id = m.prompt_audio_id
	WHERE m.organization_id = $1`

// sceneGroups are teams in their order and the users of branches.
const sceneGroups = `
	SELECT t.id, t.name, coalesce(array_agg(m.user_id ORDER BY m.position, m.user_id) FILTER (WHERE m.user_id IS NOT NULL), '{}')
	FROM team t LEFT JOIN team_user m ON m.organization_id = t.organization_id AND m.team_id = t.id
	WHERE t.organization_id = $1 AND t.id = ANY ($2::uuid[]) GROUP BY t.id, t.name
	UNION ALL
	SELECT b.id, b.name, coalesce(array_agg(m.user_id ORDER BY m.user_id) FILTER (WHERE m.user_id IS NOT NULL), '{}')
	FROM branch b LEFT JOIN branch_user m ON m.organization_id = b.organization_id AND m.branch_id = b.id
	WHERE b.organization_id = $1 AND b.id = ANY ($2::uuid[]) GROUP BY b.id, b.name`

// readMenus reads the number's menu with all its submenus, and the groups that its
// keys and those of the menu heard lead to. It returns the users whom they name.
func (sc *scene) readMenus(ctx context.Context, tx *db.Tx, org id.ID, heard *route.Menu) (users []id.ID, err error) {
	if !sc.menu.IsZero() {
		rows, err := tx.Pgx().Query(ctx, sceneMenus, org)
		if err != nil {
			return nil, db.Translate(err)
		}
		all := menus{}
		for rows.Next() {
			var m menuRow
			if err := rows.Scan(&m.id, &m.Name, &m.Say, &m.Audio, &m.InvalidSay, &m.TimeoutSeconds, &m.Repeats, &m.options, &m.otherwise); err != nil {
				rows.Close()
				return nil, err
			}
			all[m.id] = &m
		}
		if err := rows.Err(); err != nil {
			return nil, db.Translate(err)
		}
		sc.Menu = all.tree(sc.menu, 1)
	}
	led := &destinations{}
	led.menu(sc.Menu)
	led.menu(heard)
	if len(led.groups) == 0 {
		return led.users, nil
	}
	rows, err := tx.Pgx().Query(ctx, sceneGroups, org, led.groups)
	if err != nil {
		return nil, db.Translate(err)
	}
	defer rows.Close()
	sc.Groups = map[id.ID]route.Group{}
	for rows.Next() {
		var g route.Group
		if err := rows.Scan(&g.ID, &g.Name, &g.Users); err != nil {
			return nil, err
		}
		sc.Groups[g.ID] = g
		led.users = append(led.users, g.Users...)
	}
	return led.users, db.Translate(rows.Err())
}

type (
	menuRow struct {
		id id.ID
		route.Menu
		options   []number.MenuOption
		otherwise number.MenuDestination
	}
	menus map[id.ID]*menuRow
)

// tree is a menu with its submenus whole. Deeper than menus may be, as in a ring of
// them, there is none: the trace says that it is gone.
func (all menus) tree(menu id.ID, depth int) *route.Menu {
	m := all[menu]
	if m == nil || depth > route.MaxMenuDepth {
		return nil
	}
	to := func(d number.MenuDestination) route.Destination {
		out := route.Destination{Kind: d.Kind}
		switch d.Kind {
		case route.ToTeam:
			out.ID = d.TeamID
		case route.ToBranch:
			out.ID = d.BranchID
		case route.ToUser:
			out.ID = d.UserID
		case route.ToForward:
			if d.Number != nil {
				out.Number = string(*d.Number)
			}
		case route.ToMenu:
			out.Menu = all.tree(d.MenuID, depth+1)
		}
		return out
	}
	out := m.Menu
	out.ID, out.Options, out.Otherwise = m.id, make([]route.Option, 0, len(m.options)), to(m.otherwise)
	for _, o := range m.options {
		out.Options = append(out.Options, route.Option{Key: o.Key, Label: o.Label, To: to(o.To)})
	}
	return &out
}

// destinations are whom the keys of menus lead to.
type destinations struct{ groups, users []id.ID }

func (x *destinations) menu(m *route.Menu) {
	if m == nil {
		return
	}
	for _, o := range m.Options {
		x.add(o.To)
	}
	x.add(m.Otherwise)
}

func (x *destinations) add(d route.Destination) {
	switch d.Kind {
	case route.ToTeam, route.ToBranch:
		if !slices.Contains(x.groups, d.ID) {
			x.groups = append(x.groups, d.ID)
		}
	case route.ToUser:
		x.users = append(x.users, d.ID)
	case route.ToMenu:
		x.menu(d.Menu)
	}
}
