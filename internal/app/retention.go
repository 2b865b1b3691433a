package app

import (
	"context"

	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/recording"
	"switchboard/internal/retention"
	"switchboard/internal/transcript"
	"switchboard/internal/voicemail"
)

// purges are the functions that delete, by what a rule deletes.
func (a *App) purges() map[retention.Kind]retention.Purge {
	all := retention.MessagePurges(a.Messages)
	all[retention.Recordings] = func(ctx context.Context, tx *db.Tx, ids []id.ID, actor id.ID, why string) ([]id.ID, error) {
		return a.Recordings.Purge(ctx, tx, ids, recording.Deletion{ActorID: actor, Why: why})
	}
	all[retention.Voicemails] = func(ctx context.Context, tx *db.Tx, ids []id.ID, actor id.ID, why string) ([]id.ID, error) {
		return a.Voicemails.Purge(ctx, tx, ids, voicemail.Deletion{ActorID: actor, Why: why})
	}
	all[retention.Transcripts] = func(ctx context.Context, tx *db.Tx, ids []id.ID, actor id.ID, why string) ([]id.ID, error) {
		return a.Transcripts.Purge(ctx, tx, ids, transcript.Deletion{ActorID: actor, Why: why})
	}
	return all
}

// held writes a hold into the ledgers of the recordings that it keeps.
func (a *App) held(ctx context.Context, tx *db.Tx, h *retention.Hold) error {
	recordings, err := recording.KeptBy(ctx, tx, h.SubjectID)
	if err != nil {
		return err
	}
	entries := make([]recording.LedgerEntry, len(recordings))
	for i, x := range recordings {
		e := recording.LedgerEntry{RecordingID: x, Kind: recording.HoldPlaced, At: h.PlacedAt, ActorID: h.PlacedByID, Reason: &h.Reason}
		if h.ReleasedAt != nil {
			e.Kind, e.At, e.ActorID, e.Reason = recording.HoldReleased, *h.ReleasedAt, h.ReleasedByID, h.ReleaseReason
		}
		entries[i] = e
	}
	return recording.Note(ctx, tx, entries...)
}
