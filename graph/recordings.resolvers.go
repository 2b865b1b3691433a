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
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
)

func (r *mutationResolver) RecordingsDelete(ctx context.Context, ids []*id.ID, reason *string) (*model.RecordingsDeletePayload, error) {
	results, err := r.d.Recordings.Delete(ctx, access.From(ctx), every(ids, deref), of(reason))
	problems, err := userErrors(err)
	return &model.RecordingsDeletePayload{Results: some(results), UserErrors: problems}, err
}

func (r *mutationResolver) VoicemailsDelete(ctx context.Context, ids []*id.ID, reason *string) (*model.VoicemailsDeletePayload, error) {
	results, err := r.d.Voicemails.Delete(ctx, access.From(ctx), every(ids, deref), of(reason))
	problems, err := userErrors(err)
	return &model.VoicemailsDeletePayload{Results: some(results), UserErrors: problems}, err
}

func (r *mutationResolver) VoicemailsAssign(ctx context.Context, ids []*id.ID, userID *id.ID) (*model.VoicemailsAssignPayload, error) {
	list, err := r.d.Voicemails.Assign(ctx, access.From(ctx), every(ids, deref), of(userID))
	problems, err := userErrors(err)
	return &model.VoicemailsAssignPayload{Voicemails: some(list), UserErrors: problems}, err
}

func (r *mutationResolver) VoicemailCallBack(ctx context.Context, id id.ID, input *model.VoicemailCallBackInput, idempotencyKey *string) (*model.VoicemailCallBackPayload, error) {
	in := voicemail.CallBack{}
	if input != nil {
		in = voicemail.CallBack{PhoneNumberID: given(input.PhoneNumberID), DeviceID: given(input.DeviceID), RingMyPhone: given(input.RingMyPhone), RingMySIP: given(input.RingMySip)}
	}
	c, err := r.d.Voicemails.Call(ctx, access.From(ctx), id, in, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.VoicemailCallBackPayload{Call: c, Notice: unless(problems, call.StartNotice), Notices: noticesOf(c), UserErrors: problems}, err
}

func (r *mutationResolver) RecordingPolicyUpdate(ctx context.Context, input model.RecordingPolicyInput) (*model.RecordingPolicyUpdatePayload, error) {
	p, err := r.d.Recordings.UpdatePolicy(ctx, access.From(ctx), recording.PolicyChange{
		WhenDeletedAtTwilio: kept(input.WhenDeletedAtTwilio), AreChannelsSwapped: kept(input.AreChannelsSwapped),
	})
	problems, err := userErrors(err)
	return &model.RecordingPolicyUpdatePayload{Policy: p, UserErrors: problems}, err
}

func (r *organizationResolver) RecordingPolicy(ctx context.Context, obj *tenant.Organization) (*recording.Policy, error) {
	return r.d.Recordings.Policy(ctx, access.From(ctx))
}

func (r *queryResolver) Recordings(ctx context.Context, first *int, after *string, filter *model.RecordingFilter) (*model.RecordingConnection, error) {
	p := page(first, after)
	w, err := r.d.Recordings.List(ctx, access.From(ctx), recordingFilter(filter), p)
	if err != nil {
		return nil, err
	}
	c := &model.RecordingConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *recording.Recording) *model.RecordingEdge {
		return &model.RecordingEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *queryResolver) Recording(ctx context.Context, id id.ID) (*recording.Recording, error) {
	return absent(r.d.Recordings.Get(ctx, access.From(ctx), id))
}

func (r *queryResolver) VoicemailCounts(ctx context.Context) (*voicemail.Counts, error) {
	return r.d.Voicemails.Count(ctx, access.From(ctx))
}

func (r *recordingResolver) Contact(ctx context.Context, obj *recording.Recording) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *recordingResolver) Record(ctx context.Context, obj *recording.Recording) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
}

func (r *recordingResolver) Branch(ctx context.Context, obj *recording.Recording) (*number.Branch, error) {
	return loader.Load(ctx, loader.From(ctx).Branches, obj.BranchID)
}

func (r *recordingResolver) PhoneNumber(ctx context.Context, obj *recording.Recording) (*number.PhoneNumber, error) {
	return loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
}

func (r *recordingResolver) Voicemail(ctx context.Context, obj *recording.Recording) (*voicemail.Voicemail, error) {
	if obj.Purpose != recording.OfVoicemail {
		return nil, nil
	}
	return loader.From(ctx).RecordingVoicemails.Load(ctx, obj.ID)
}

func (r *recordingResolver) Waveform(ctx context.Context, obj *recording.Recording, points int, channel *recording.Side) ([]float64, error) {
	peaks, err := loader.From(ctx).RecordingWaveforms.Load(ctx, obj.ID)
	if err != nil {
		return nil, err
	}
	return r.d.Recordings.Waveform(ctx, obj, peaks, points, of(channel))
}

func (r *recordingResolver) IsHeardByMe(ctx context.Context, obj *recording.Recording) (bool, error) {
	return loader.From(ctx).RecordingsHeard.Load(ctx, obj.ID)
}

func (r *recordingResolver) DeletedBy(ctx context.Context, obj *recording.Recording) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.DeletedByID)
}

func (r *recordingResolver) Ledger(ctx context.Context, obj *recording.Recording, first *int, after *string) (*model.RecordingLedgerConnection, error) {
	return r.ledger(ctx, obj, page(first, after))
}

func (r *recordingDeletionResolver) Recording(ctx context.Context, obj *recording.DeletionResult) (*recording.Recording, error) {
	if obj.Outcome == recording.OutcomeNotFound {
		return nil, nil
	}
	return loader.Load(ctx, loader.From(ctx).SeenRecordings, obj.ID)
}

func (r *recordingLedgerEntryResolver) Actor(ctx context.Context, obj *recording.LedgerEntry) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *voicemailResolver) Record(ctx context.Context, obj *voicemail.Voicemail) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
}

func (r *voicemailResolver) IsHeardByMe(ctx context.Context, obj *voicemail.Voicemail) (bool, error) {
	return loader.From(ctx).VoicemailsHeard.Load(ctx, obj.ID)
}

func (r *voicemailResolver) Listeners(ctx context.Context, obj *voicemail.Voicemail) ([]*voicemail.Listener, error) {
	return all(loader.From(ctx).VoicemailListeners.Load(ctx, obj.ID))
}

func (r *voicemailResolver) NotifiedUsers(ctx context.Context, obj *voicemail.Voicemail) ([]*user.User, error) {
	ids, err := loader.From(ctx).VoicemailNotified.Load(ctx, obj.ID)
	if err != nil {
		return nil, err
	}
	return loader.LoadAll(ctx, loader.From(ctx).Users, ids)
}

func (r *voicemailResolver) DeletedBy(ctx context.Context, obj *voicemail.Voicemail) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.DeletedByID)
}

func (r *voicemailDeletionResolver) Voicemail(ctx context.Context, obj *voicemail.DeletionResult) (*voicemail.Voicemail, error) {
	if obj.Outcome == recording.OutcomeNotFound {
		return nil, nil
	}
	return loader.Load(ctx, loader.From(ctx).Voicemails, obj.ID)
}

func (r *voicemailListenerResolver) User(ctx context.Context, obj *voicemail.Listener) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *voicemailNumberCountResolver) PhoneNumber(ctx context.Context, obj *voicemail.NumberCount) (*number.PhoneNumber, error) {
	return loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
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
