package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"

	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/patch"
	"switchboard/internal/recording"
	"switchboard/internal/voicemail"
)

// some is a list that is empty rather than null, when there was an error.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// kept is a field that null keeps as absence does.
func kept[T any](o graphql.Omittable[*T]) patch.Field[T] {
	if p := o.Value(); p != nil {
		return patch.To(*p)
	}
	return patch.Field[T]{}
}

func recordingFilter(f *model.RecordingFilter) recording.Filter {
	if f == nil {
		return recording.Filter{}
	}
	return recording.Filter{
		Purpose: given(f.Purpose), Status: f.Status.Value(), MediaState: f.MediaState.Value(), CallID: given(f.CallID), BranchID: given(f.BranchID),
		PhoneNumberID: given(f.PhoneNumberID), UserID: given(f.UserID), ContactID: given(f.ContactID), RecordID: given(f.RecordID), Direction: given(f.Direction),
		StartedFrom: given(f.StartedFrom), StartedBefore: given(f.StartedBefore), MinSeconds: f.MinSeconds.Value(), MaxSeconds: f.MaxSeconds.Value(),
		IsHeld: f.IsHeld.Value(), HasTranscript: f.HasTranscript.Value(), IsHeardByMe: f.IsHeardByMe.Value(),
	}
}

func voicemailFilter(f *model.VoicemailFilter) voicemail.Filter {
	if f == nil {
		return voicemail.Filter{}
	}
	return voicemail.Filter{
		IsHeard: f.IsHeard.Value(), IsHeardByMe: f.IsHeardByMe.Value(), PhoneNumberID: given(f.PhoneNumberID), BranchID: given(f.BranchID), OwnerID: given(f.OwnerID),
		IsUnassigned: f.IsUnassigned.Value(), ContactID: given(f.ContactID), RecordID: given(f.RecordID), ReceivedFrom: given(f.ReceivedFrom),
		ReceivedBefore: given(f.ReceivedBefore), MinSeconds: f.MinSeconds.Value(), HasTranscript: f.HasTranscript.Value(), IsDeleted: given(f.IsDeleted),
	}
}

// ledger is a page of what happened to a recording; null for who may not know.
func (r *Resolver) ledger(ctx context.Context, x *recording.Recording, p db.Page) (*model.RecordingLedgerConnection, error) {
	who := access.From(ctx)
	if !recording.MayReadLedger(who) {
		return nil, nil
	}
	w, err := r.d.Recordings.Ledger(ctx, who, x.ID, p)
	if err != nil {
		return nil, err
	}
	c := &model.RecordingLedgerConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, e *recording.LedgerEntry) *model.RecordingLedgerEdge {
		return &model.RecordingLedgerEdge{Cursor: cursor, Node: e}
	})
	return c, err
}

// recordingLink is where the audio of a recording is heard or saved, or one side of it.
func (r *Resolver) recordingLink(ctx context.Context, x *recording.Recording, side recording.Side, download bool) (*string, error) {
	if x.Status == recording.Deleted || x.MediaState != recording.MediaStored || side != "" && !x.HasSides() {
		return nil, nil
	}
	link, err := r.link(ctx, x.ID)
	if err != nil {
		return nil, err
	}
	if side != "" {
		*link += "&channel=" + string(side)
	}
	if download {
		*link += "&download=true"
	}
	return link, nil
}
