package recording

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// LedgerKind is what can happen to a recording.
type LedgerKind string

// The kinds of entry.
const (
	ConsentPlayed   LedgerKind = "CONSENT_PLAYED"
	ConsentMissing  LedgerKind = "CONSENT_MISSING"
	Started         LedgerKind = "STARTED"
	PausedAt        LedgerKind = "PAUSED"
	ResumedAt       LedgerKind = "RESUMED"
	Ended           LedgerKind = "COMPLETED"
	Stored          LedgerKind = "STORED"
	NotStored       LedgerKind = "NOT_STORED"
	Listened        LedgerKind = "LISTENED"
	Downloaded      LedgerKind = "DOWNLOADED"
	Exported        LedgerKind = "EXPORTED"
	HoldPlaced      LedgerKind = "HOLD_PLACED"
	HoldReleased    LedgerKind = "HOLD_RELEASED"
	DeletedHere     LedgerKind = "DELETED"
	AudioErased     LedgerKind = "AUDIO_ERASED"
	DeletedAtSource LedgerKind = "DELETED_AT_TWILIO"
	GoneAtSource    LedgerKind = "GONE_AT_TWILIO"
)

// LedgerEntry is one thing that happened to a recording.
type LedgerEntry struct {
	bun.BaseModel `bun:"table:recording_ledger,alias:entry"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	RecordingID    id.ID      `bun:"recording_id,type:uuid"`
	Kind           LedgerKind `bun:"kind"`
	At             time.Time  `bun:"at"`
	ActorID        id.ID      `bun:"actor_id,type:uuid"` // a user or API key; zero for callers, rules and the network
	Reason         *string    `bun:"reason"`
	Key            *string    `bun:"key"` // what can happen once only has one
}

const entryColumns = `entry.organization_id, entry.id, entry.recording_id, entry.kind, entry.at, entry.actor_id, entry.reason, entry.key`

// Note writes entries into the ledgers of recordings of the context's tenant, in
// the caller's transaction. Organization, id and, unless given, the time are filled
// in; an entry with a key that the recording has already is left out.
func Note(ctx context.Context, tx *db.Tx, entries ...LedgerEntry) (err error) {
	defer errs.Wrap(&err, "recording.Note")
	if len(entries) == 0 {
		return nil
	}
	b := &pgx.Batch{}
	for _, e := range entries {
		queue(b, db.TenantFrom(ctx), tx.Now, e)
	}
	return db.Translate(tx.Pgx().SendBatch(ctx, b).Close())
}

func queue(b *pgx.Batch, organization id.ID, now time.Time, e LedgerEntry) {
	if e.At.IsZero() {
		e.At = now
	}
	b.Queue(`INSERT INTO recording_ledger (organization_id, id, recording_id, kind, at, actor_id, reason, key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT ON CONSTRAINT recording_ledger_once DO NOTHING`, organization, id.New(id.Fact), e.RecordingID, string(e.Kind), e.At, e.ActorID, e.Reason, e.Key)
}

// MayReadLedger reports whether the actor's role shows the ledgers of recordings.
func MayReadLedger(who access.Actor) bool {
	return who.Can(access.AuditView) || who.Can(access.RecordingDelete)
}

// Ledger is a page of what happened to a recording that the actor sees already,
// newest first. Codes: errs.Forbidden without AUDIT_VIEW and RECORDING_DELETE,
// errs.Invalid for the page.
func (s *Service) Ledger(ctx context.Context, who access.Actor, recording id.ID, p db.Page) (w db.Window[*LedgerEntry], err error) {
	defer errs.Wrap(&err, "recording.Ledger")
	if !MayReadLedger(who) {
		return w, who.Require(access.AuditView)
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	var rows []*LedgerEntry
	if err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.DB.App(), &rows, `SELECT `+entryColumns+` FROM recording_ledger entry
		WHERE entry.organization_id = $1 AND entry.recording_id = $2 AND (entry.at, entry.id) < ($3, $4)
		ORDER BY entry.at DESC, entry.id DESC LIMIT $5`, who.OrganizationID, recording, after.At, after.ID, limit+1); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(e *LedgerEntry) db.Keyset { return db.Keyset{At: e.At, ID: e.ID} }), nil
}

// life is what the facts of a call tell of one of its recordings: each thing once.
// pauses is how many of the entries are pauses and resumptions.
func life(st call.State, x call.Recorded, r Recording) (out []LedgerEntry, pauses int) {
	entry := func(kind LedgerKind, at time.Time, key string) *LedgerEntry {
		out = append(out, LedgerEntry{RecordingID: r.ID, Kind: kind, At: at, Key: &key})
		return &out[len(out)-1]
	}
	if r.Purpose == OfCall {
		switch {
		case st.WelcomedAt != nil && !st.WelcomedAt.After(r.StartedAt):
			entry(ConsentPlayed, *st.WelcomedAt, "consent").Reason = new("the welcome prompt was played before it began")
		case st.WelcomedAt != nil:
			entry(ConsentMissing, r.StartedAt, "consent").Reason = new("it began before the welcome prompt could be heard")
		case st.Call.Direction != call.Inbound:
			entry(ConsentMissing, r.StartedAt, "consent").Reason = new("no prompt is played on outgoing calls")
		default:
			entry(ConsentMissing, r.StartedAt, "consent").Reason = new("the number has no welcome prompt")
		}
	}
	entry(Started, r.StartedAt, "started")
	if r.Purpose == OfCall {
		before := len(out)
		for i, p := range overlapping(st.Pauses, r) {
			n := strconv.Itoa(i)
			entry(PausedAt, later(p.From, r.StartedAt), "pause/"+n).ActorID = p.By
			if p.To != nil {
				entry(ResumedAt, *p.To, "resume/"+n).ActorID = p.ResumedBy
			}
		}
		pauses = len(out) - before
	}
	switch r.Status {
	case Completed:
		at := r.StartedAt
		if x.DurationSeconds != nil {
			at = at.Add(time.Duration(*x.DurationSeconds) * time.Second)
		}
		entry(Ended, at, "ended")
	case Absent:
		entry(Ended, r.StartedAt, "ended").Reason = new("nothing was heard")
	case Failed:
		entry(Ended, r.StartedAt, "ended").Reason = new("it failed at Twilio")
	}
	return out, pauses
}

// overlapping are the pauses within a recording. Skipped pauses make the audio
// shorter than the time it took, so the end is put off by those before it.
func overlapping(pauses []call.RecordingPause, r Recording) (out []call.RecordingPause) {
	var end *time.Time
	if r.DurationSeconds != nil {
		end = new(r.StartedAt.Add(time.Duration(*r.DurationSeconds) * time.Second))
	}
	for _, p := range pauses {
		if p.To != nil && !p.To.After(r.StartedAt) || end != nil && !p.From.Before(*end) {
			continue
		}
		out = append(out, p)
		if end != nil && p.To != nil {
			end = new(end.Add(p.To.Sub(later(p.From, r.StartedAt))))
		}
	}
	return out
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
