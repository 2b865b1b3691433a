package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/model"
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
	panic(fmt.Errorf("not implemented: Transcripts - transcripts"))
}

func (r *mutationResolver) TranscriptCreate(ctx context.Context, input model.TranscriptCreateInput, idempotencyKey *string) (*model.TranscriptCreatePayload, error) {
	panic(fmt.Errorf("not implemented: TranscriptCreate - transcriptCreate"))
}

func (r *mutationResolver) TranscriptRetry(ctx context.Context, id id.ID, idempotencyKey *string) (*model.TranscriptRetryPayload, error) {
	panic(fmt.Errorf("not implemented: TranscriptRetry - transcriptRetry"))
}

func (r *mutationResolver) TranscriptUpdate(ctx context.Context, id id.ID, input model.TranscriptUpdateInput) (*model.TranscriptUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: TranscriptUpdate - transcriptUpdate"))
}

func (r *mutationResolver) TranscriptSegmentsUpdate(ctx context.Context, id id.ID, version int, segments []*model.TranscriptSegmentInput) (*model.TranscriptSegmentsUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: TranscriptSegmentsUpdate - transcriptSegmentsUpdate"))
}

func (r *mutationResolver) TranscriptNoteAdd(ctx context.Context, id id.ID, input model.TranscriptNoteInput, idempotencyKey *string) (*model.TranscriptNoteAddPayload, error) {
	panic(fmt.Errorf("not implemented: TranscriptNoteAdd - transcriptNoteAdd"))
}

func (r *mutationResolver) TranscriptNoteResolve(ctx context.Context, id id.ID) (*model.TranscriptNoteResolvePayload, error) {
	panic(fmt.Errorf("not implemented: TranscriptNoteResolve - transcriptNoteResolve"))
}

func (r *mutationResolver) TranscriptNoteReopen(ctx context.Context, id id.ID) (*model.TranscriptNoteReopenPayload, error) {
	panic(fmt.Errorf("not implemented: TranscriptNoteReopen - transcriptNoteReopen"))
}

func (r *mutationResolver) TranscriptNoteDelete(ctx context.Context, id id.ID) (*model.TranscriptNoteDeletePayload, error) {
	panic(fmt.Errorf("not implemented: TranscriptNoteDelete - transcriptNoteDelete"))
}

func (r *mutationResolver) TranscriptsDelete(ctx context.Context, ids []*id.ID, reason string) (*model.TranscriptsDeletePayload, error) {
	panic(fmt.Errorf("not implemented: TranscriptsDelete - transcriptsDelete"))
}

func (r *mutationResolver) TranscriptionSettingsUpdate(ctx context.Context, input model.TranscriptionSettingsInput) (*model.TranscriptionSettingsUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: TranscriptionSettingsUpdate - transcriptionSettingsUpdate"))
}

func (r *mutationResolver) PhoneNumberTranscriptionSet(ctx context.Context, id id.ID, mode *transcript.Mode) (*model.PhoneNumberTranscriptionSetPayload, error) {
	panic(fmt.Errorf("not implemented: PhoneNumberTranscriptionSet - phoneNumberTranscriptionSet"))
}

func (r *organizationResolver) TranscriptionSettings(ctx context.Context, obj *tenant.Organization) (*transcript.Settings, error) {
	panic(fmt.Errorf("not implemented: TranscriptionSettings - transcriptionSettings"))
}

func (r *phoneNumberResolver) Transcription(ctx context.Context, obj *number.PhoneNumber) (*transcript.Mode, error) {
	panic(fmt.Errorf("not implemented: Transcription - transcription"))
}

func (r *queryResolver) Transcripts(ctx context.Context, filter *model.TranscriptFilter, first *int, after *string) (*model.TranscriptConnection, error) {
	panic(fmt.Errorf("not implemented: Transcripts - transcripts"))
}

func (r *queryResolver) Transcript(ctx context.Context, id id.ID) (*transcript.Transcript, error) {
	panic(fmt.Errorf("not implemented: Transcript - transcript"))
}

func (r *queryResolver) TranscriptInsights(ctx context.Context, filter model.TranscriptInsightsFilter) (*transcript.Insights, error) {
	panic(fmt.Errorf("not implemented: TranscriptInsights - transcriptInsights"))
}

func (r *recordingResolver) Transcripts(ctx context.Context, obj *recording.Recording) ([]*transcript.Transcript, error) {
	panic(fmt.Errorf("not implemented: Transcripts - transcripts"))
}

func (r *transcriptResolver) Call(ctx context.Context, obj *transcript.Transcript) (*call.Call, error) {
	panic(fmt.Errorf("not implemented: Call - call"))
}

func (r *transcriptResolver) Recording(ctx context.Context, obj *transcript.Transcript) (*recording.Recording, error) {
	panic(fmt.Errorf("not implemented: Recording - recording"))
}

func (r *transcriptResolver) Voicemail(ctx context.Context, obj *transcript.Transcript) (*voicemail.Voicemail, error) {
	panic(fmt.Errorf("not implemented: Voicemail - voicemail"))
}

func (r *transcriptResolver) Contact(ctx context.Context, obj *transcript.Transcript) (*contact.Contact, error) {
	panic(fmt.Errorf("not implemented: Contact - contact"))
}

func (r *transcriptResolver) Record(ctx context.Context, obj *transcript.Transcript) (*contact.Record, error) {
	panic(fmt.Errorf("not implemented: Record - record"))
}

func (r *transcriptResolver) User(ctx context.Context, obj *transcript.Transcript) (*user.User, error) {
	panic(fmt.Errorf("not implemented: User - user"))
}

func (r *transcriptResolver) Branch(ctx context.Context, obj *transcript.Transcript) (*number.Branch, error) {
	panic(fmt.Errorf("not implemented: Branch - branch"))
}

func (r *transcriptResolver) PhoneNumber(ctx context.Context, obj *transcript.Transcript) (*number.PhoneNumber, error) {
	panic(fmt.Errorf("not implemented: PhoneNumber - phoneNumber"))
}

func (r *transcriptResolver) Text(ctx context.Context, obj *transcript.Transcript) (*string, error) {
	panic(fmt.Errorf("not implemented: Text - text"))
}

func (r *transcriptResolver) Segments(ctx context.Context, obj *transcript.Transcript, first *int, fromIndex *int) ([]*transcript.Segment, error) {
	panic(fmt.Errorf("not implemented: Segments - segments"))
}

func (r *transcriptResolver) Corrections(ctx context.Context, obj *transcript.Transcript, first *int, after *string) (*model.TranscriptCorrectionConnection, error) {
	panic(fmt.Errorf("not implemented: Corrections - corrections"))
}

func (r *transcriptResolver) Notes(ctx context.Context, obj *transcript.Transcript) ([]*transcript.Note, error) {
	panic(fmt.Errorf("not implemented: Notes - notes"))
}

func (r *transcriptResolver) DeletedBy(ctx context.Context, obj *transcript.Transcript) (*user.User, error) {
	panic(fmt.Errorf("not implemented: DeletedBy - deletedBy"))
}

func (r *transcriptCompletedResolver) Actor(ctx context.Context, obj *model.TranscriptCompleted) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *transcriptCompletedResolver) Transcript(ctx context.Context, obj *model.TranscriptCompleted) (*transcript.Transcript, error) {
	panic(fmt.Errorf("not implemented: Transcript - transcript"))
}

func (r *transcriptCorrectionResolver) By(ctx context.Context, obj *transcript.Correction) (*user.User, error) {
	panic(fmt.Errorf("not implemented: By - by"))
}

func (r *transcriptIssueResolver) Contact(ctx context.Context, obj *transcript.Issue) (*contact.Contact, error) {
	panic(fmt.Errorf("not implemented: Contact - contact"))
}

func (r *transcriptIssueResolver) Record(ctx context.Context, obj *transcript.Issue) (*contact.Record, error) {
	panic(fmt.Errorf("not implemented: Record - record"))
}

func (r *transcriptNoteResolver) Transcript(ctx context.Context, obj *transcript.Note) (*transcript.Transcript, error) {
	panic(fmt.Errorf("not implemented: Transcript - transcript"))
}

func (r *transcriptNoteResolver) Author(ctx context.Context, obj *transcript.Note) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Author - author"))
}

func (r *transcriptNoteResolver) ResolvedBy(ctx context.Context, obj *transcript.Note) (*user.User, error) {
	panic(fmt.Errorf("not implemented: ResolvedBy - resolvedBy"))
}

func (r *transcriptUpdatedResolver) Actor(ctx context.Context, obj *model.TranscriptUpdated) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *transcriptUpdatedResolver) Transcript(ctx context.Context, obj *model.TranscriptUpdated) (*transcript.Transcript, error) {
	panic(fmt.Errorf("not implemented: Transcript - transcript"))
}

func (r *transcriptUserCountResolver) User(ctx context.Context, obj *transcript.UserCount) (*user.User, error) {
	panic(fmt.Errorf("not implemented: User - user"))
}

func (r *voicemailResolver) Transcript(ctx context.Context, obj *voicemail.Voicemail) (*transcript.Transcript, error) {
	panic(fmt.Errorf("not implemented: Transcript - transcript"))
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
