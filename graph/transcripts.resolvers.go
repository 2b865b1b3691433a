package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/recording"
	"switchboard/internal/tenant"
	"switchboard/internal/transcript"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
)

func (r *callResolver) Transcripts(ctx context.Context, obj *call.Call) ([]*transcript.Transcript, error) {
	return all(loader.From(ctx).CallTranscripts.Load(ctx, obj.ID))
}

func (r *mutationResolver) TranscriptCreate(ctx context.Context, input model.TranscriptCreateInput, idempotencyKey *string) (*model.TranscriptCreatePayload, error) {
	t, err := r.d.Transcripts.Create(ctx, access.From(ctx), transcript.Create{
		RecordingID: input.RecordingID, Language: given(input.Language), Provider: given(input.Provider)}, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.TranscriptCreatePayload{Transcript: t, UserErrors: problems}, err
}

func (r *mutationResolver) TranscriptRetry(ctx context.Context, id id.ID, idempotencyKey *string) (*model.TranscriptRetryPayload, error) {
	t, err := r.d.Transcripts.Retry(ctx, access.From(ctx), id, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.TranscriptRetryPayload{Transcript: t, UserErrors: problems}, err
}

func (r *mutationResolver) TranscriptUpdate(ctx context.Context, id id.ID, input model.TranscriptUpdateInput) (*model.TranscriptUpdatePayload, error) {
	t, err := r.d.Transcripts.Update(ctx, access.From(ctx), id, transcriptUpdate(input))
	problems, err := userErrors(err)
	return &model.TranscriptUpdatePayload{Transcript: t, UserErrors: problems}, err
}

func (r *mutationResolver) TranscriptSegmentsUpdate(ctx context.Context, id id.ID, version int, segments []*model.TranscriptSegmentInput) (*model.TranscriptSegmentsUpdatePayload, error) {
	t, err := r.d.Transcripts.Correct(ctx, access.From(ctx), id, int64(version), every(segments, transcriptSegment))
	problems, err := userErrors(err)
	return &model.TranscriptSegmentsUpdatePayload{Transcript: t, UserErrors: problems}, err
}

func (r *mutationResolver) TranscriptNoteAdd(ctx context.Context, id id.ID, input model.TranscriptNoteInput, idempotencyKey *string) (*model.TranscriptNoteAddPayload, error) {
	n, err := r.d.Transcripts.AddNote(ctx, access.From(ctx), id, transcript.NewNote{
		Text: given(input.Text), Flag: input.Flag.Value(), SegmentIndex: input.SegmentIndex.Value(), AtMs: input.AtMs.Value()}, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.TranscriptNoteAddPayload{TranscriptNote: n, UserErrors: problems}, err
}

func (r *mutationResolver) TranscriptNoteResolve(ctx context.Context, id id.ID) (*model.TranscriptNoteResolvePayload, error) {
	n, err := r.d.Transcripts.ResolveNote(ctx, access.From(ctx), id, true)
	problems, err := userErrors(err)
	return &model.TranscriptNoteResolvePayload{TranscriptNote: n, UserErrors: problems}, err
}

func (r *mutationResolver) TranscriptNoteReopen(ctx context.Context, id id.ID) (*model.TranscriptNoteReopenPayload, error) {
	n, err := r.d.Transcripts.ResolveNote(ctx, access.From(ctx), id, false)
	problems, err := userErrors(err)
	return &model.TranscriptNoteReopenPayload{TranscriptNote: n, UserErrors: problems}, err
}

func (r *mutationResolver) TranscriptNoteDelete(ctx context.Context, id id.ID) (*model.TranscriptNoteDeletePayload, error) {
	problems, err := userErrors(r.d.Transcripts.DeleteNote(ctx, access.From(ctx), id))
	return &model.TranscriptNoteDeletePayload{DeletedID: unless(problems, id), UserErrors: problems}, err
}

func (r *mutationResolver) TranscriptsDelete(ctx context.Context, ids []*id.ID, reason string) (*model.TranscriptsDeletePayload, error) {
	gone, kept, err := r.d.Transcripts.Delete(ctx, access.From(ctx), every(ids, deref), reason)
	problems, err := userErrors(err)
	return &model.TranscriptsDeletePayload{Transcripts: gone, UserErrors: append(problems, heldTranscripts(kept)...)}, err
}

func (r *mutationResolver) TranscriptionSettingsUpdate(ctx context.Context, input model.TranscriptionSettingsInput) (*model.TranscriptionSettingsUpdatePayload, error) {
	x, err := r.d.Transcripts.UpdateSettings(ctx, access.From(ctx), transcriptionChange(input))
	problems, err := userErrors(err)
	return &model.TranscriptionSettingsUpdatePayload{TranscriptionSettings: x, UserErrors: problems}, err
}

func (r *mutationResolver) PhoneNumberTranscriptionSet(ctx context.Context, id id.ID, mode *transcript.Mode) (*model.PhoneNumberTranscriptionSetPayload, error) {
	problems, err := userErrors(r.d.Transcripts.SetNumber(ctx, access.From(ctx), id, mode))
	if err != nil || len(problems) > 0 {
		return &model.PhoneNumberTranscriptionSetPayload{UserErrors: problems}, err
	}
	n, err := r.d.Numbers.Get(ctx, access.From(ctx), id)
	return &model.PhoneNumberTranscriptionSetPayload{PhoneNumber: n, UserErrors: problems}, err
}

func (r *organizationResolver) TranscriptionSettings(ctx context.Context, obj *tenant.Organization) (*transcript.Settings, error) {
	who := access.From(ctx)
	if !who.Can(access.SettingsManage) || obj.ID != who.OrganizationID {
		return nil, nil
	}
	return r.d.Transcripts.Settings(ctx, who)
}

func (r *phoneNumberResolver) Transcription(ctx context.Context, obj *number.PhoneNumber) (*transcript.Mode, error) {
	return loader.From(ctx).NumberTranscriptions.Load(ctx, obj.ID)
}

func (r *queryResolver) Transcripts(ctx context.Context, filter *model.TranscriptFilter, first *int, after *string) (*model.TranscriptConnection, error) {
	return r.transcripts(ctx, filter, page(first, after))
}

func (r *queryResolver) Transcript(ctx context.Context, id id.ID) (*transcript.Transcript, error) {
	return absent(r.d.Transcripts.Get(ctx, access.From(ctx), id))
}

func (r *queryResolver) TranscriptInsights(ctx context.Context, filter model.TranscriptInsightsFilter) (*transcript.Insights, error) {
	return r.transcriptInsights(ctx, filter)
}

func (r *recordingResolver) Transcripts(ctx context.Context, obj *recording.Recording) ([]*transcript.Transcript, error) {
	return all(loader.From(ctx).RecordingTranscripts.Load(ctx, obj.ID))
}

func (r *transcriptResolver) Call(ctx context.Context, obj *transcript.Transcript) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *transcriptResolver) Recording(ctx context.Context, obj *transcript.Transcript) (*recording.Recording, error) {
	return loader.Load(ctx, loader.From(ctx).SeenRecordings, obj.RecordingID)
}

func (r *transcriptResolver) Voicemail(ctx context.Context, obj *transcript.Transcript) (*voicemail.Voicemail, error) {
	return loader.Load(ctx, loader.From(ctx).Voicemails, obj.VoicemailID)
}

func (r *transcriptResolver) Contact(ctx context.Context, obj *transcript.Transcript) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *transcriptResolver) Record(ctx context.Context, obj *transcript.Transcript) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
}

func (r *transcriptResolver) User(ctx context.Context, obj *transcript.Transcript) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *transcriptResolver) Branch(ctx context.Context, obj *transcript.Transcript) (*number.Branch, error) {
	return loader.Load(ctx, loader.From(ctx).Branches, obj.BranchID)
}

func (r *transcriptResolver) PhoneNumber(ctx context.Context, obj *transcript.Transcript) (*number.PhoneNumber, error) {
	return loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
}

func (r *transcriptResolver) Text(ctx context.Context, obj *transcript.Transcript) (*string, error) {
	return loader.From(ctx).TranscriptTexts.Load(ctx, obj.ID)
}

func (r *transcriptResolver) Segments(ctx context.Context, obj *transcript.Transcript, first *int, fromIndex *int) ([]*transcript.Segment, error) {
	w, err := transcript.Window{First: of(first), From: of(fromIndex)}.Check()
	if err != nil || obj.SegmentCount == 0 {
		return []*transcript.Segment{}, err
	}
	return all(loader.From(ctx).TranscriptSegments(w).Load(ctx, obj.ID))
}

func (r *transcriptResolver) Corrections(ctx context.Context, obj *transcript.Transcript, first *int, after *string) (*model.TranscriptCorrectionConnection, error) {
	return r.transcriptCorrections(ctx, obj, page(first, after))
}

func (r *transcriptResolver) Notes(ctx context.Context, obj *transcript.Transcript) ([]*transcript.Note, error) {
	return all(loader.From(ctx).TranscriptNotes.Load(ctx, obj.ID))
}

func (r *transcriptResolver) DeletedBy(ctx context.Context, obj *transcript.Transcript) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.DeletedByID)
}

func (r *transcriptCompletedResolver) Actor(ctx context.Context, obj *model.TranscriptCompleted) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *transcriptCompletedResolver) Transcript(ctx context.Context, obj *model.TranscriptCompleted) (*transcript.Transcript, error) {
	return loader.Load(ctx, loader.From(ctx).Transcripts, obj.TranscriptID)
}

func (r *transcriptCorrectionResolver) By(ctx context.Context, obj *transcript.Correction) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ByID)
}

func (r *transcriptIssueResolver) Contact(ctx context.Context, obj *transcript.Issue) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *transcriptIssueResolver) Record(ctx context.Context, obj *transcript.Issue) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
}

func (r *transcriptNoteResolver) Transcript(ctx context.Context, obj *transcript.Note) (*transcript.Transcript, error) {
	return loader.Load(ctx, loader.From(ctx).Transcripts, obj.TranscriptID)
}

func (r *transcriptNoteResolver) Author(ctx context.Context, obj *transcript.Note) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.AuthorID)
}

func (r *transcriptNoteResolver) ResolvedBy(ctx context.Context, obj *transcript.Note) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ResolvedByID)
}

func (r *transcriptUpdatedResolver) Actor(ctx context.Context, obj *model.TranscriptUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *transcriptUpdatedResolver) Transcript(ctx context.Context, obj *model.TranscriptUpdated) (*transcript.Transcript, error) {
	return loader.Load(ctx, loader.From(ctx).Transcripts, obj.TranscriptID)
}

func (r *transcriptUserCountResolver) User(ctx context.Context, obj *transcript.UserCount) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *voicemailResolver) Transcript(ctx context.Context, obj *voicemail.Voicemail) (*transcript.Transcript, error) {
	return loader.From(ctx).VoicemailTranscripts.Load(ctx, obj.ID)
}

func (r *Resolver) Transcript() exec.TranscriptResolver { return &transcriptResolver{r} }

func (r *Resolver) TranscriptCompleted() exec.TranscriptCompletedResolver {
	return &transcriptCompletedResolver{r}
}

func (r *Resolver) TranscriptCorrection() exec.TranscriptCorrectionResolver {
	return &transcriptCorrectionResolver{r}
}

func (r *Resolver) TranscriptIssue() exec.TranscriptIssueResolver { return &transcriptIssueResolver{r} }

func (r *Resolver) TranscriptNote() exec.TranscriptNoteResolver { return &transcriptNoteResolver{r} }

func (r *Resolver) TranscriptUpdated() exec.TranscriptUpdatedResolver {
	return &transcriptUpdatedResolver{r}
}

func (r *Resolver) TranscriptUserCount() exec.TranscriptUserCountResolver {
	return &transcriptUserCountResolver{r}
}

type (
	transcriptResolver           struct{ *Resolver }
	transcriptCompletedResolver  struct{ *Resolver }
	transcriptCorrectionResolver struct{ *Resolver }
	transcriptIssueResolver      struct{ *Resolver }
	transcriptNoteResolver       struct{ *Resolver }
	transcriptUpdatedResolver    struct{ *Resolver }
	transcriptUserCountResolver  struct{ *Resolver }
)
