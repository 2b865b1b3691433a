// Package audit records who did what, in the transaction that did it. Entries
// are kept when events are trimmed, and no role of the server can change them.
package audit

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// MaxDetail is the most that the detail of an entry may hold, as JSON in bytes.
const MaxDetail = 16 << 10

// Entry is one deed. ID, OrganizationID and At are filled in by Write.
type Entry struct {
	OrganizationID id.ID          `bun:"organization_id"`
	ID             id.ID          `bun:"id"`
	ActorID        id.ID          `bun:"actor_id"` // a user or API key; zero for the server itself
	Action         string         `bun:"action"`   // noun.verb: user.disable
	Subject        id.ID          `bun:"subject"`
	Detail         map[string]any `bun:"detail,type:jsonb"` // no secrets, no full phone numbers of customers
	At             time.Time      `bun:"at"`
	ClientAddress  *string        `bun:"client_address"` // where the request came from; nil when none brought it
	UserAgent      *string        `bun:"user_agent"`
}

// Datum is one thing that the detail of an entry says.
type Datum struct{ Name, Value string }

// Action is an act that people can look for.
type Action struct {
	Name     string // noun.verb
	Words    string
	IsAccess bool // to what is private; not a change
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*Entry) IsNode() {}

// Details lists what the entry says, sorted by name; lists and objects as JSON.
func (e Entry) Details() []Datum {
	out := make([]Datum, 0, len(e.Detail))
	for name, v := range e.Detail {
		text, ok := v.(string)
		if !ok {
			b, _ := json.Marshal(v) // it came out of JSON
			text = string(b)
		}
		out = append(out, Datum{name, text})
	}
	slices.SortFunc(out, func(a, b Datum) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// SubjectReference is the id of what the deed was about; nil when it had no one subject.
func (e Entry) SubjectReference() *string {
	if e.Subject.IsZero() {
		return nil
	}
	s := e.Subject.String()
	return &s
}

// Write adds the entry in the caller's transaction, for the tenant of the context
// unless the entry names its organization.
func Write(ctx context.Context, tx *db.Tx, e Entry) (err error) {
	defer errs.Wrap(&err, "audit.Write(%s)", e.Action)
	if e.OrganizationID.IsZero() {
		e.OrganizationID = db.TenantFrom(ctx)
	}
	if e.OrganizationID.IsZero() || e.Action == "" || len(e.Action) > 64 {
		return errs.New(errs.Internal, "an audit entry needs an organization and an action of 1 to 64 bytes")
	}
	if e.ID.IsZero() {
		e.ID = id.New(id.Audit)
	}
	if e.At.IsZero() {
		e.At = tx.Now
	}
	detail := []byte("{}")
	if len(e.Detail) > 0 {
		if detail, err = json.Marshal(e.Detail); err != nil {
			return err
		}
	}
	if len(detail) > MaxDetail {
		return errs.New(errs.Internal, "the detail has %d bytes; %d are allowed", len(detail), MaxDetail)
	}
	if e.ClientAddress == nil && e.UserAgent == nil {
		e.ClientAddress, e.UserAgent = clientFrom(ctx)
	}
	_, err = tx.Pgx().Exec(ctx, `INSERT INTO audit_entry (organization_id, id, actor_id, action, subject, detail, at, client_address, user_agent)
		VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7, $8, $9)`,
		e.OrganizationID, e.ID, e.ActorID, e.Action, e.Subject, string(detail), e.At, e.ClientAddress, e.UserAgent)
	return db.Translate(err)
}

// List gives the tenant's entries, newest first; those about one subject if it is not zero.
func List(ctx context.Context, q bun.IDB, subject id.ID, page db.Page) (db.Window[*Entry], error) {
	return Search(ctx, q, Filter{SubjectID: subject}, page)
}

// Accessed writes that somebody saw or heard what is private: an entry for each
// subject of which they have none yet within the time. It is one statement.
func Accessed(ctx context.Context, tx *db.Tx, actor id.ID, action string, subjects []id.ID, within time.Duration) (err error) {
	defer errs.Wrap(&err, "audit.Accessed(%s)", action)
	if len(subjects) == 0 {
		return nil
	}
	ids := make([]id.ID, len(subjects))
	for i := range ids {
		ids[i] = id.New(id.Audit)
	}
	address, agent := clientFrom(ctx)
	_, err = db.Exec(ctx, tx, `INSERT INTO audit_entry (organization_id, id, actor_id, action, subject, detail, at, client_address, user_agent)
		SELECT $1, x.id, $2, $3, x.subject, '{}', $6, $8, $9 FROM unnest($4::uuid[], $5::uuid[]) AS x (id, subject)
		WHERE NOT EXISTS (SELECT FROM audit_entry e WHERE e.organization_id = $1 AND e.subject = x.subject AND e.actor_id = $2 AND e.action = $3 AND e.at > $7)`,
		db.TenantFrom(ctx), actor, action, ids, subjects, tx.Now, tx.Now.Add(-within), address, agent)
	return err
}
