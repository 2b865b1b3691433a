package recording

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/sound"
)

// Info describes the audio of a recording.
type Info struct {
	ContentType string
	Size        int64
	ChangedAt   time.Time
	Name        string // a file name for whoever saves it, without personal data
}

// Playing is what is wanted of a recording's audio. The zero Playing is all of it,
// to be heard.
type Playing struct {
	Side     Side // one channel of two; empty: the file as it is
	Download bool // to be kept
}

// relisten is how long one entry covers: players ask for many ranges of one file.
const relisten = 5 * time.Minute

// Open opens the audio at its start; ranges are read by seeking. Who listens is
// written to the ledger and the audit record. Codes: errs.NotFound where Get says
// so, and, because of a *Tombstone, for what was deleted; errs.Conflict while the
// audio is not stored; errs.Invalid for one side of what has one channel.
func (s *Service) Open(ctx context.Context, who access.Actor, recording id.ID, p Playing) (_ io.ReadSeekCloser, info Info, err error) {
	defer errs.Wrap(&err, "recording.Open")
	r, err := s.Get(ctx, who, recording)
	if err != nil {
		return nil, info, err
	}
	kind, action := Listened, "recording.listen"
	if p.Download {
		kind, action = Downloaded, "recording.download"
	}
	return s.open(ctx, who, r, p, func(ctx context.Context, tx *db.Tx) error {
		var lately bool
		if err := tx.Pgx().QueryRow(ctx, `SELECT EXISTS (SELECT FROM recording_ledger WHERE organization_id = $1 AND recording_id = $2 AND actor_id = $3
			AND kind = $4 AND kind IN ('LISTENED', 'DOWNLOADED') AND at > $5)`, who.OrganizationID, r.ID, who.ID(), string(kind), tx.Now.Add(-relisten)).Scan(&lately); err != nil || lately {
			return err
		}
		if err := Note(ctx, tx, LedgerEntry{RecordingID: r.ID, Kind: kind, ActorID: who.ID()}); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: action, Subject: r.ID, Detail: map[string]any{"call": r.CallID, "purpose": r.Purpose}})
	})
}

// OpenForExport opens the audio to be taken into an export (R283), which is
// written to the ledger and the audit record with why, the export's name: once,
// however often the export is begun. Codes:
// errs.Forbidden without RECORDING_EXPORT, and those of Open.
func (s *Service) OpenForExport(ctx context.Context, who access.Actor, recording id.ID, why string) (_ io.ReadSeekCloser, info Info, err error) {
	defer errs.Wrap(&err, "recording.OpenForExport")
	if err := who.Require(access.RecordingExport); err != nil {
		return nil, info, err
	}
	r, err := s.Get(ctx, who, recording)
	if err != nil {
		return nil, info, err
	}
	key := "export/" + why
	return s.open(ctx, who, r, Playing{}, func(ctx context.Context, tx *db.Tx) error {
		var known bool
		if err := db.Select(ctx, tx, &known, `SELECT EXISTS (SELECT FROM recording_ledger WHERE organization_id = $1 AND recording_id = $2 AND key = $3)`,
			r.OrganizationID, r.ID, key); err != nil || known {
			return err
		}
		if err := Note(ctx, tx, LedgerEntry{RecordingID: r.ID, Kind: Exported, ActorID: who.ID(), Reason: &why, Key: &key}); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "recording.export", Subject: r.ID, Detail: map[string]any{"call": r.CallID, "export": why}})
	})
}

// open opens the audio once it is noted that somebody gets it.
func (s *Service) open(ctx context.Context, who access.Actor, r *Recording, p Playing, note func(context.Context, *db.Tx) error) (_ io.ReadSeekCloser, info Info, err error) {
	ctx = db.WithTenant(ctx, who.OrganizationID)
	switch {
	case r.Status == Deleted:
		return nil, info, buried(r)
	case r.MediaState != MediaStored || r.BlobKey == nil:
		return nil, info, errs.New(errs.Conflict, "the audio of this recording is not here: its mediaState is %s", r.MediaState)
	case p.Side != "" && p.Side != Caller && p.Side != User:
		return nil, info, errs.New(errs.Invalid, "a recording has the channels %s and %s", Caller, User)
	case p.Side != "" && !r.HasSides():
		return nil, info, errs.New(errs.Invalid, "both sides of this recording are in one channel; leave the channel out")
	}
	policy := Policy{}
	if p.Side != "" {
		if policy, err = s.policy(ctx, who.OrganizationID); err != nil {
			return nil, info, err
		}
	}
	if err := s.DB.InTx(ctx, note); err != nil {
		return nil, info, err
	}
	f, b, err := s.Blobs.Open(ctx, r.OrganizationID, *r.BlobKey)
	if err != nil {
		return nil, info, err
	}
	info = Info{ContentType: b.ContentType, Size: b.Size, ChangedAt: r.UpdatedAt, Name: r.ID.String() + ".wav"}
	if b.ContentType == "audio/mpeg" {
		info.Name = r.ID.String() + ".mp3"
	}
	if p.Side == "" {
		return f, info, nil
	}
	one, size, err := sound.Channel(f, r.ChannelOf(p.Side, policy.AreChannelsSwapped))
	if err != nil {
		_ = f.Close()
		if errors.Is(err, sound.ErrUnreadable) {
			err = errs.New(errs.Invalid, "the channels of this recording cannot be told apart; leave the channel out")
		}
		return nil, info, err
	}
	info.Size, info.Name = size, r.ID.String()+map[Side]string{Caller: "-caller.wav", User: "-user.wav"}[p.Side]
	return side{one, f}, info, nil
}

// side reads one channel and closes the file beneath.
type side struct {
	io.ReadSeeker
	io.Closer
}

// HasSides reports whether each side of the stored audio can be heard alone.
func (r *Recording) HasSides() bool {
	return r.Status != Deleted && r.MediaState == MediaStored && r.Channels == 2 && r.ContentType != nil && *r.ContentType == "audio/wav"
}

// Waveforms are the peaks of recordings that the actor sees already, in one
// statement; nothing for what has none.
func (s *Service) Waveforms(ctx context.Context, recordings []id.ID) (map[id.ID]*sound.Peaks, error) {
	var rows []struct {
		ID       id.ID  `bun:"recording_id,type:uuid"`
		Channels int    `bun:"channels"`
		Peaks    []byte `bun:"peaks"`
	}
	err := db.Select(ctx, s.DB.App(), &rows, `SELECT w.recording_id, w.channels, w.peaks FROM recording_waveform w
		WHERE w.organization_id = $1 AND w.recording_id = ANY ($2::uuid[])`, db.TenantFrom(ctx), recordings)
	out := make(map[id.ID]*sound.Peaks, len(rows))
	for _, r := range rows {
		out[r.ID] = &sound.Peaks{Channels: r.Channels, Levels: r.Peaks}
	}
	return out, err
}

// MaxPoints is into how many parts a waveform can be cut.
const MaxPoints = sound.Points

// Waveform cuts the peaks of a recording into so many parts, of one side or of
// both; nil when there are none. Code: errs.Invalid.
func (s *Service) Waveform(ctx context.Context, r *Recording, p *sound.Peaks, points int, of Side) ([]float64, error) {
	if points < 1 || points > MaxPoints {
		return nil, errs.New(errs.Invalid, "points is %d; ask for 1 to %d", points, MaxPoints).At("points")
	}
	if p == nil || of != "" && (p.Channels != 2 || !r.HasSides()) {
		return nil, nil
	}
	if of == "" {
		return p.Scale(points, -1), nil
	}
	policy, err := s.policy(ctx, r.OrganizationID)
	if err != nil {
		return nil, err
	}
	return p.Scale(points, r.ChannelOf(of, policy.AreChannelsSwapped)), nil
}

// policy reads what holds for an organization.
func (s *Service) policy(ctx context.Context, organization id.ID) (Policy, error) {
	p := Policy{}
	err := db.Select(db.WithTenant(ctx, organization), s.DB.App(), &p, `SELECT organization_id, when_deleted_at_twilio, are_channels_swapped, created_at, updated_at
		FROM recording_policy WHERE organization_id = $1`, organization)
	if errors.Is(err, sql.ErrNoRows) {
		return Policy{OrganizationID: organization, WhenDeletedAtTwilio: DeleteCopy}, nil
	}
	return p, err
}
