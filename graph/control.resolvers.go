package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/patch"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
)

func (r *callNoticedResolver) Actor(ctx context.Context, obj *model.CallNoticed) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *callNoticedResolver) Call(ctx context.Context, obj *model.CallNoticed) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *callTransferResolver) By(ctx context.Context, obj *call.Transfer) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ByID)
}

func (r *callTransferResolver) ToUser(ctx context.Context, obj *call.Transfer) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ToUserID)
}

func (r *callTransferResolver) ToBranch(ctx context.Context, obj *call.Transfer) (*number.Branch, error) {
	return loader.Load(ctx, loader.From(ctx).Branches, obj.ToBranchID)
}

func (r *callerIdExplanationResolver) PhoneNumber(ctx context.Context, obj *call.CallerIDExplanation) (*number.PhoneNumber, error) {
	return loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
}

func (r *callerIdExplanationResolver) Problems(ctx context.Context, obj *call.CallerIDExplanation) ([]*model.UserError, error) {
	return refusalsOf(obj), nil
}

func (r *dropMessageResolver) Audio(ctx context.Context, obj *voicemail.DropMessage) (*number.Audio, error) {
	return loader.Load(ctx, loader.From(ctx).Audio, obj.AudioID)
}

func (r *mutationResolver) CallHold(ctx context.Context, id id.ID, legID *id.ID, idempotencyKey *string) (*model.CallHoldPayload, error) {
	c, err := r.d.Calls.Hold(ctx, access.From(ctx), id, of(legID), of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.CallHoldPayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallResume(ctx context.Context, id id.ID, legID *id.ID, idempotencyKey *string) (*model.CallResumePayload, error) {
	c, err := r.d.Calls.Resume(ctx, access.From(ctx), id, of(legID), of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.CallResumePayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallMute(ctx context.Context, id id.ID, legID *id.ID, idempotencyKey *string) (*model.CallMutePayload, error) {
	c, err := r.d.Calls.Mute(ctx, access.From(ctx), id, of(legID), of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.CallMutePayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallUnmute(ctx context.Context, id id.ID, legID *id.ID, idempotencyKey *string) (*model.CallUnmutePayload, error) {
	c, err := r.d.Calls.Unmute(ctx, access.From(ctx), id, of(legID), of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.CallUnmutePayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallTransfer(ctx context.Context, id id.ID, input model.CallTransferInput, idempotencyKey *string) (*model.CallTransferPayload, error) {
	c, err := r.d.Calls.Transfer(ctx, access.From(ctx), id, call.TransferInput{Mode: given(input.Mode), PartyInput: call.PartyInput{
		UserID: given(input.UserID), BranchID: given(input.BranchID), To: given(input.To),
	}}, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.CallTransferPayload{Call: c, Notices: billed(c), UserErrors: problems}, err
}

func (r *mutationResolver) CallTransferComplete(ctx context.Context, id id.ID, idempotencyKey *string) (*model.CallTransferCompletePayload, error) {
	c, err := r.d.Calls.CompleteTransfer(ctx, access.From(ctx), id, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.CallTransferCompletePayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallTransferCancel(ctx context.Context, id id.ID, idempotencyKey *string) (*model.CallTransferCancelPayload, error) {
	c, err := r.d.Calls.CancelTransfer(ctx, access.From(ctx), id, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.CallTransferCancelPayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallAddParticipant(ctx context.Context, id id.ID, input model.CallParticipantInput, idempotencyKey *string) (*model.CallAddParticipantPayload, error) {
	c, err := r.d.Calls.Add(ctx, access.From(ctx), id, call.PartyInput{
		UserID: given(input.UserID), ContactID: given(input.ContactID), To: given(input.To),
	}, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.CallAddParticipantPayload{Call: c, Notices: billed(c), UserErrors: problems}, err
}

func (r *mutationResolver) CallRemoveParticipant(ctx context.Context, id id.ID, legID id.ID, idempotencyKey *string) (*model.CallRemoveParticipantPayload, error) {
	c, err := r.d.Calls.Remove(ctx, access.From(ctx), id, legID, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.CallRemoveParticipantPayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallSendDigits(ctx context.Context, id id.ID, digits string, legID *id.ID, idempotencyKey *string) (*model.CallSendDigitsPayload, error) {
	c, err := r.d.Calls.SendDigits(ctx, access.From(ctx), id, digits, of(legID), of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.CallSendDigitsPayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallRecordingPause(ctx context.Context, id id.ID, idempotencyKey *string) (*model.CallRecordingPausePayload, error) {
	c, err := r.d.Calls.PauseRecording(ctx, access.From(ctx), id, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.CallRecordingPausePayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallRecordingResume(ctx context.Context, id id.ID, idempotencyKey *string) (*model.CallRecordingResumePayload, error) {
	c, err := r.d.Calls.ResumeRecording(ctx, access.From(ctx), id, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.CallRecordingResumePayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallMonitorStart(ctx context.Context, id id.ID, input model.CallMonitorStartInput, idempotencyKey *string) (*model.CallMonitorStartPayload, error) {
	c, err := r.d.Calls.Monitor(ctx, access.From(ctx), id, call.MonitorInput{
		Mode: input.Mode, DeviceID: given(input.DeviceID), LegID: given(input.LegID),
	}, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.CallMonitorStartPayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallMonitorStop(ctx context.Context, id id.ID) (*model.CallMonitorStopPayload, error) {
	c, err := r.d.Calls.StopMonitor(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.CallMonitorStopPayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) VoicemailDrop(ctx context.Context, id id.ID, dropMessageID id.ID, now *bool, idempotencyKey *string) (*model.VoicemailDropPayload, error) {
	c, err := r.d.Calls.DropMessage(ctx, access.From(ctx), id, dropMessageID, of(now), of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.VoicemailDropPayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallAnswererSet(ctx context.Context, id id.ID, answerer call.Answerer) (*model.CallAnswererSetPayload, error) {
	c, err := r.d.Calls.SetAnswerer(ctx, access.From(ctx), id, answerer)
	problems, err := userErrors(err)
	return &model.CallAnswererSetPayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallQualityReport(ctx context.Context, input model.CallQualityReportInput) (*model.CallQualityReportPayload, error) {
	n, err := r.d.Calls.ReportQuality(ctx, access.From(ctx), input.CallID, input.DeviceID, every(input.Warnings, qualityWarning))
	problems, err := userErrors(err)
	return &model.CallQualityReportPayload{Accepted: unless(problems, n), UserErrors: problems}, err
}

func (r *mutationResolver) TestCall(ctx context.Context, input model.TestCallInput, idempotencyKey *string) (*model.TestCallPayload, error) {
	c, steps, err := r.d.Calls.Test(ctx, access.From(ctx), call.TestInput{PhoneNumberID: given(input.PhoneNumberID), To: given(input.To)}, of(idempotencyKey))
	problems, err := userErrors(err)
	steps, _ = all(steps, nil)
	return &model.TestCallPayload{Call: c, Steps: steps, UserErrors: problems}, err
}

func (r *mutationResolver) DropMessageCreate(ctx context.Context, input model.DropMessageCreateInput) (*model.DropMessageCreatePayload, error) {
	m, err := r.d.Voicemails.CreateDropMessage(ctx, access.From(ctx), voicemail.DropChange{
		Name: patch.To(input.Name), Text: field(input.Text), AudioID: field(input.AudioID), Voice: unlessNull(input.Voice), Language: unlessNull(input.Language),
	})
	problems, err := userErrors(err)
	return &model.DropMessageCreatePayload{DropMessage: m, UserErrors: problems}, err
}

func (r *mutationResolver) DropMessageUpdate(ctx context.Context, id id.ID, input model.DropMessageUpdateInput) (*model.DropMessageUpdatePayload, error) {
	m, err := r.d.Voicemails.UpdateDropMessage(ctx, access.From(ctx), id, voicemail.DropChange{
		Name: field(input.Name), Text: field(input.Text), AudioID: field(input.AudioID), Voice: field(input.Voice), Language: field(input.Language),
	})
	problems, err := userErrors(err)
	return &model.DropMessageUpdatePayload{DropMessage: m, UserErrors: problems}, err
}

func (r *mutationResolver) DropMessageDelete(ctx context.Context, id id.ID) (*model.DropMessageDeletePayload, error) {
	err := r.d.Voicemails.DeleteDropMessage(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.DropMessageDeletePayload{DeletedDropMessageID: unless(problems, id), UserErrors: problems}, err
}

func (r *presenceResolver) User(ctx context.Context, obj *call.Presence) (*user.User, error) {
	u, err := loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
	if err == nil && u == nil {
		err = errs.New(errs.NotFound, "there is no such user")
	}
	return u, err
}

func (r *presenceResolver) Call(ctx context.Context, obj *call.Presence) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *queryResolver) Presence(ctx context.Context, first *int, after *string, filter *model.PresenceFilter) (*model.PresenceConnection, error) {
	return r.presence(ctx, page(first, after), filter)
}

func (r *queryResolver) TransferTargets(ctx context.Context, callID id.ID, search *string, first *int, after *string) (*model.TransferTargetConnection, error) {
	return r.transferTargets(ctx, callID, of(search), page(first, after))
}

func (r *queryResolver) CallerIDExplain(ctx context.Context, input model.CallerIDExplainInput) (*call.CallerIDExplanation, error) {
	return r.d.Calls.ExplainCallerID(ctx, access.From(ctx), call.StartInput{
		To: given(input.To), ContactID: given(input.ContactID), UserID: given(input.UserID), RecordID: given(input.RecordID), PhoneNumberID: given(input.PhoneNumberID),
	})
}

func (r *queryResolver) DropMessages(ctx context.Context, first *int, after *string) (*model.DropMessageConnection, error) {
	p := page(first, after)
	w, err := r.d.Voicemails.DropMessages(ctx, access.From(ctx), p)
	if err != nil {
		return nil, err
	}
	c := &model.DropMessageConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, m *voicemail.DropMessage) *model.DropMessageEdge {
		return &model.DropMessageEdge{Cursor: cursor, Node: m}
	})
	return c, err
}

func (r *transferTargetResolver) Branch(ctx context.Context, obj *call.TransferTarget) (*number.Branch, error) {
	return loader.Load(ctx, loader.From(ctx).Branches, obj.BranchID)
}

func (r *Resolver) CallNoticed() exec.CallNoticedResolver { return &callNoticedResolver{r} }

func (r *Resolver) CallTransfer() exec.CallTransferResolver { return &callTransferResolver{r} }

func (r *Resolver) CallerIdExplanation() exec.CallerIdExplanationResolver {
	return &callerIdExplanationResolver{r}
}

func (r *Resolver) DropMessage() exec.DropMessageResolver { return &dropMessageResolver{r} }

func (r *Resolver) Presence() exec.PresenceResolver { return &presenceResolver{r} }

func (r *Resolver) TransferTarget() exec.TransferTargetResolver { return &transferTargetResolver{r} }

type (
	callNoticedResolver         struct{ *Resolver }
	callTransferResolver        struct{ *Resolver }
	callerIdExplanationResolver struct{ *Resolver }
	dropMessageResolver         struct{ *Resolver }
	presenceResolver            struct{ *Resolver }
	transferTargetResolver      struct{ *Resolver }
)
