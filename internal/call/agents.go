package call

import (
	"context"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
)

// Agent is a person and the call they are on, or that rings them (R210).
type Agent struct {
	UserID    id.ID         `bun:"user_id"`
	State     PresenceState `bun:"state"`
	CallID    id.ID         `bun:"call_id"` // zero when there is none, or the actor may not see it
	StartedAt *time.Time    `bun:"started_at"`
}

// maxAgents bounds the people of the live dashboard.
const maxAgents = 500

// Agents are the people whose things the actor sees, by name, and what they are on.
// Whoever sees the whole organization gets everybody, whoever sees branches their
// people, all others themselves.
func Agents(ctx context.Context, tx *db.Tx, who access.Actor) (rows []*Agent, err error) {
	q := &query{args: []any{who.OrganizationID}}
	q.sql.WriteString(`SELECT p.id AS user_id, p.state, CASE WHEN c.id IS NOT NULL AND `)
	if who.System {
		q.sql.WriteString("true")
	} else {
		q.sql.WriteString(SeenBy("c", who, q.arg))
	}
	q.sql.WriteString(` THEN p.call_id END AS call_id, l.since AS started_at
	FROM (` + present)
	switch b := who.SeesBranches(); {
	case who.System, who.SeesAll():
	case len(b) > 0:
		q.and("(u.id = " + q.arg(who.UserID) + " OR EXISTS (SELECT FROM branch_user m WHERE m.organization_id = $1 AND m.user_id = u.id AND m.branch_id = ANY (" + q.arg(b) + "::uuid[])))")
	default:
		q.and("u.id = " + q.arg(who.UserID))
	}
	q.sql.WriteString(` AND u.status = 'ACTIVE' ORDER BY lower(u.name), u.id LIMIT ` + q.arg(maxAgents) + `) p
	LEFT JOIN call c ON c.organization_id = $1 AND c.id = p.call_id
	LEFT JOIN LATERAL (SELECT max(CASE WHEN p.state = 'ON_CALL' THEN l.answered_at ELSE l.ringing_at END) AS since FROM call_leg l
		WHERE l.organization_id = $1 AND l.call_id = p.call_id AND l.user_id = p.id AND l.status = CASE WHEN p.state = 'ON_CALL' THEN 'IN_PROGRESS' ELSE 'RINGING' END) l ON true
	ORDER BY p.name, p.id`)
	err = db.Select(ctx, tx, &rows, q.sql.String(), q.args...)
	return rows, err
}
