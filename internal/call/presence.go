package call

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// present is everybody of the organization with where they stand: on a call, rung,
// away, or free. The call is the one they talk on, else the one that rings.
const present = `
	SELECT u.id, lower(u.name) AS name, d.ready, coalesce(t.call_id, g.call_id) AS call_id,
		CASE WHEN u.status <> 'ACTIVE' THEN 'AWAY'
			WHEN t.call_id IS NOT NULL THEN 'ON_CALL'
			WHEN g.call_id IS NOT NULL THEN 'RINGING'
			WHEN u.do_not_disturb OR d.ready = 0 AND ` + sipRung + ` = '' OR NOT 'CALL_RECEIVE' = ANY (r.permissions) THEN 'AWAY'
			ELSE 'FREE' END AS state
	FROM "user" u
	JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
	LEFT JOIN LATERAL (SELECT l.call_id FROM call_leg l WHERE l.organization_id = $1 AND l.user_id = u.id AND l.status = 'IN_PROGRESS'
		ORDER BY l.answered_at DESC, l.id LIMIT 1) t ON true
	LEFT JOIN LATERAL (SELECT l.call_id FROM call_leg l WHERE l.organization_id = $1 AND l.user_id = u.id AND l.status = 'RINGING'
		ORDER BY l.ringing_at DESC, l.id LIMIT 1) g ON true
	CROSS JOIN LATERAL (SELECT count(*) AS ready FROM device v WHERE v.organization_id = $1 AND v.user_id = u.id AND v.removed_at IS NULL AND ` + deviceReady + `) d
	WHERE u.organization_id = $1`

// PresenceFilter narrows a list of people. The zero PresenceFilter is all of them.
type PresenceFilter struct {
	BranchID id.ID
	TeamID   id.ID
	States   []PresenceState
}

// Presence is a page of people and whether they can be reached, by name. Codes:
// errs.Forbidden without CALL_MAKE, errs.Invalid for the page.
func (s *Service) Presence(ctx context.Context, who access.Actor, f PresenceFilter, p db.Page) (w db.Window[*Presence], err error) {
	defer errs.Wrap(&err, "call.Presence")
	if err := who.Require(access.CallMake); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	q := &query{}
	q.sql.WriteString(`SELECT p.id AS user_id, p.state, p.call_id, p.ready AS ready_devices FROM (` + present)
	org := q.arg(who.OrganizationID)
	member := func(table, column string, x id.ID) {
		if !x.IsZero() {
			q.and("EXISTS (SELECT FROM " + table + " m WHERE m.organization_id = " + org + " AND m.user_id = u.id AND m." + column + " = " + q.arg(x) + ")")
		}
	}
	member("branch_user", "branch_id", f.BranchID)
	member("team_user", "team_id", f.TeamID)
	q.sql.WriteString(") p WHERE true")
	if len(f.States) > 0 {
		words := make([]string, len(f.States))
		for i, x := range f.States {
			words[i] = string(x)
		}
		q.and("p.state = ANY (" + q.arg(words) + "::text[])")
	}
	if p.After != "" {
		place := q.arg(after.ID)
		q.and(`(p.name, p.id) > (SELECT lower(x.name), x.id FROM "user" x WHERE x.organization_id = ` + org + ` AND x.id = ` + place + `)`)
	}
	q.sql.WriteString(" ORDER BY p.name, p.id LIMIT " + q.arg(limit+1))
	var rows []*Presence
	if err := db.Select(in(ctx, who), s.DB.App(), &rows, q.sql.String(), q.args...); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(x *Presence) db.Keyset { return db.Keyset{At: time.UnixMicro(0), ID: x.UserID} }), nil
}

// target is a row of TransferTargets.
type target struct {
	ID           id.ID         `bun:"id"`
	Rank         int           `bun:"rank"`
	IsBranch     bool          `bun:"is_branch"`
	State        PresenceState `bun:"state"`
	CallID       id.ID         `bun:"call_id"`
	ReadyDevices int           `bun:"ready"`
	FreeUsers    int           `bun:"free"`
}

const maxSearch = 100

// TransferTargets is a page of where a call can go (R100): free colleagues, then
// branches, then colleagues who are on a call or being rung, each by name. Who is
// away, oneself and who is on the call already are left out. Codes: errs.Forbidden
// without CALL_TRANSFER, errs.NotFound for the call, errs.Invalid for the page.
func (s *Service) TransferTargets(ctx context.Context, who access.Actor, call id.ID, search string, p db.Page) (w db.Window[*TransferTarget], err error) {
	defer errs.Wrap(&err, "call.TransferTargets")
	if err := who.Require(access.CallTransfer); err != nil {
		return w, err
	}
	if utf8.RuneCountInString(search) > maxSearch {
		return w, errs.New(errs.Invalid, "a name has %d characters at most", maxSearch).At("search")
	}
	if _, err := s.Get(ctx, who, call); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	// The cursor is the rank and the id; where that stands by name is looked up.
	rank := int64(-1)
	if p.After != "" {
		rank = after.At.UnixMicro()
	}
	var rows []*target
	err = db.Select(in(ctx, who), s.DB.App(), &rows, `
		WITH people AS MATERIALIZED (`+present+`),
		targets AS (
			SELECT p.id, p.name, false AS is_branch, CASE p.state WHEN 'FREE' THEN 0 ELSE 2 END AS rank, p.state, p.call_id, p.ready, 0::bigint AS free
			FROM people p
			WHERE p.state <> 'AWAY' AND p.id IS DISTINCT FROM $3::uuid
				AND NOT EXISTS (SELECT FROM call_leg l WHERE l.organization_id = $1 AND l.call_id = $2 AND l.user_id = p.id AND l.status = 'IN_PROGRESS')
			UNION ALL
			SELECT b.id, lower(b.name), true, 1, '', NULL, 0,
				(SELECT count(*) FROM branch_user m JOIN people p ON p.id = m.user_id
					WHERE m.organization_id = $1 AND m.branch_id = b.id AND p.state = 'FREE' AND p.id IS DISTINCT FROM $3::uuid)
			FROM branch b WHERE b.organization_id = $1
		)
		SELECT t.id, t.rank, t.is_branch, t.state, t.call_id, t.ready, t.free
		FROM targets t
		WHERE starts_with(t.name, $4) AND (t.rank > $5 OR t.rank = $5 AND (t.name, t.id) > (
			SELECT lower(x.name), x.id FROM (
				SELECT name, id FROM "user" WHERE organization_id = $1 AND id = $6
				UNION ALL SELECT name, id FROM branch WHERE organization_id = $1 AND id = $6) x))
		ORDER BY t.rank, t.name, t.id LIMIT $7`,
		who.OrganizationID, call, who.UserID, strings.ToLower(strings.TrimSpace(search)), rank, after.ID, limit+1)
	if err != nil {
		return w, err
	}
	ranks := make(map[id.ID]int, len(rows))
	out := make([]*TransferTarget, len(rows))
	for i, r := range rows {
		ranks[r.ID] = r.Rank
		if r.IsBranch {
			out[i] = &TransferTarget{BranchID: r.ID, FreeUsers: r.FreeUsers}
			continue
		}
		out[i] = &TransferTarget{Presence: &Presence{UserID: r.ID, State: r.State, CallID: r.CallID, ReadyDevices: r.ReadyDevices}}
	}
	return db.NewWindow(out, limit, func(x *TransferTarget) db.Keyset {
		k := x.BranchID
		if x.Presence != nil {
			k = x.Presence.UserID
		}
		return db.Keyset{At: time.UnixMicro(int64(ranks[k])), ID: k}
	}), nil
}
