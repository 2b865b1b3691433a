package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/model"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/recording"
	"switchboard/internal/tenant"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
)

func (r *mutationResolver) RecordingsDelete(ctx context.Context, ids []*id.ID, reason *string) (*model.RecordingsDeletePayload, error) {
	panic(fmt.Errorf("not implemented: RecordingsDelete - recordingsDelete"))
}

func (r *mutationResolver) VoicemailsDelete(ctx context.Context, ids []*id.ID, reason *string) (*model.VoicemailsDeletePayload, error) {
	panic(fmt.Errorf("not implemented: VoicemailsDelete - voicemailsDelete"))
}

func (r *mutationResolver) VoicemailsAssign(ctx context.Context, ids []*id.ID, userID *id.ID) (*model.VoicemailsAssignPayload, error) {
	panic(fmt.Errorf("not implemented: VoicemailsAssign - voicemailsAssign"))
}

func (r *mutationResolver) VoicemailCallBack(ctx context.Context, id id.ID, input *model.VoicemailCallBackInput, idempotencyKey *string) (*model.VoicemailCallBackPayload, error) {
	panic(fmt.Errorf("not implemented: VoicemailCallBack - voicemailCallBack"))
}

func (r *mutationResolver) RecordingPolicyUpdate(ctx context.Context, input model.RecordingPolicyInput) (*model.RecordingPolicyUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: RecordingPolicyUpdate - recordingPolicyUpdate"))
}

func (r *organizationResolver) RecordingPolicy(ctx context.Context, obj *tenant.Organization) (*recording.Policy, error) {
	panic(fmt.Errorf("not implemented: RecordingPolicy - recordingPolicy"))
}

func (r *queryResolver) Recordings(ctx context.Context, first *int, after *string, filter *model.RecordingFilter) (*model.RecordingConnection, error) {
	panic(fmt.Errorf("not implemented: Recordings - recordings"))
}

func (r *queryResolver) Recording(ctx context.Context, id id.ID) (*recording.Recording, error) {
	panic(fmt.Errorf("not implemented: Recording - recording"))
}

func (r *queryResolver) VoicemailCounts(ctx context.Context) (*voicemail.Counts, error) {
	panic(fmt.Errorf("not implemented: VoicemailCounts - voicemailCounts"))
}

func (r *recordingResolver) Contact(ctx context.Context, obj *recording.Recording) (*contact.Contact, error) {
	panic(fmt.Errorf("not implemented: Contact - contact"))
}

func (r *recordingResolver) Record(ctx context.Context, obj *recording.Recording) (*contact.Record, error) {
	panic(fmt.Errorf("not implemented: Record - record"))
}

func (r *recordingResolver) Branch(ctx context.Context, obj *recording.Recording) (*number.Branch, error) {
	panic(fmt.Errorf("not implemented: Branch - branch"))
}

func (r *recordingResolver) PhoneNumber(ctx context.Context, obj *recording.Recording) (*number.PhoneNumber, error) {
	panic(fmt.Errorf("not implemented: PhoneNumber - phoneNumber"))
}

func (r *recordingResolver) Voicemail(ctx context.Context, obj *recording.Recording) (*voicemail.Voicemail, error) {
	panic(fmt.Errorf("not implemented: Voicemail - voicemail"))
}

func (r *recordingResolver) Waveform(ctx context.Context, obj *recording.Recording, points int, channel *recording.Side) ([]float64, error) {
	panic(fmt.Errorf("not implemented: Waveform - waveform"))
}

func (r *recordingResolver) IsHeardByMe(ctx context.Context, obj *recording.Recording) (bool, error) {
	panic(fmt.Errorf("not implemented: IsHeardByMe - isHeardByMe"))
}

func (r *recordingResolver) DeletedBy(ctx context.Context, obj *recording.Recording) (*user.User, error) {
	panic(fmt.Errorf("not implemented: DeletedBy - deletedBy"))
}

func (r *recordingResolver) Ledger(ctx context.Context, obj *recording.Recording, first *int, after *string) (*model.RecordingLedgerConnection, error) {
	panic(fmt.Errorf("not implemented: Ledger - ledger"))
}

func (r *recordingDeletionResolver) Recording(ctx context.Context, obj *recording.DeletionResult) (*recording.Recording, error) {
	panic(fmt.Errorf("not implemented: Recording - recording"))
}

func (r *recordingLedgerEntryResolver) Actor(ctx context.Context, obj *recording.LedgerEntry) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *voicemailResolver) Record(ctx context.Context, obj *voicemail.Voicemail) (*contact.Record, error) {
	panic(fmt.Errorf("not implemented: Record - record"))
}

func (r *voicemailResolver) IsHeardByMe(ctx context.Context, obj *voicemail.Voicemail) (bool, error) {
	panic(fmt.Errorf("not implemented: IsHeardByMe - isHeardByMe"))
}

func (r *voicemailResolver) Listeners(ctx context.Context, obj *voicemail.Voicemail) ([]*voicemail.Listener, error) {
	panic(fmt.Errorf("not implemented: Listeners - listeners"))
}

func (r *voicemailResolver) NotifiedUsers(ctx context.Context, obj *voicemail.Voicemail) ([]*user.User, error) {
	panic(fmt.Errorf("not implemented: NotifiedUsers - notifiedUsers"))
}

func (r *voicemailResolver) DeletedBy(ctx context.Context, obj *voicemail.Voicemail) (*user.User, error) {
	panic(fmt.Errorf("not implemented: DeletedBy - deletedBy"))
}

func (r *voicemailDeletionResolver) Voicemail(ctx context.Context, obj *voicemail.DeletionResult) (*voicemail.Voicemail, error) {
	panic(fmt.Errorf("not implemented: Voicemail - voicemail"))
}

func (r *voicemailListenerResolver) User(ctx context.Context, obj *voicemail.Listener) (*user.User, error) {
	panic(fmt.Errorf("not implemented: User - user"))
}

func (r *voicemailNumberCountResolver) PhoneNumber(ctx context.Context, obj *voicemail.NumberCount) (*number.PhoneNumber, error) {
	panic(fmt.Errorf("not implemented: PhoneNumber - phoneNumber"))
}

func (r *Resolver) RecordingDeletion() exec.RecordingDeletionResolver {
	return &recordingDeletionResolver{r}
}

func (r *Resolver) RecordingLedgerEntry() exec.RecordingLedgerEntryResolver {
	return &recordingLedgerEntryResolver{r}
}

func (r *Resolver) VoicemailDeletion() exec.VoicemailDeletionResolver {
	return &voicemailDeletionResolver{r}
}

func (r *Resolver) VoicemailListener() exec.VoicemailListenerResolver {
	return &voicemailListenerResolver{r}
}

func (r *Resolver) VoicemailNumberCount() exec.VoicemailNumberCountResolver {
	return &voicemailNumberCountResolver{r}
}

type (
	recordingDeletionResolver    struct{ *Resolver }
	recordingLedgerEntryResolver struct{ *Resolver }
	voicemailDeletionResolver    struct{ *Resolver }
	voicemailListenerResolver    struct{ *Resolver }
	voicemailNumberCountResolver struct{ *Resolver }
)
