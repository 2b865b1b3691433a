package graph

import (
	"context"
	"fmt"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
)

func (r *callNoticedResolver) Actor(ctx context.Context, obj *model.CallNoticed) (*user.User, error) {
	panic(fmt.Errorf("not implemented: Actor - actor"))
}

func (r *callNoticedResolver) Call(ctx context.Context, obj *model.CallNoticed) (*call.Call, error) {
	panic(fmt.Errorf("not implemented: Call - call"))
}

func (r *callTransferResolver) By(ctx context.Context, obj *call.Transfer) (*user.User, error) {
	panic(fmt.Errorf("not implemented: By - by"))
}

func (r *callTransferResolver) ToUser(ctx context.Context, obj *call.Transfer) (*user.User, error) {
	panic(fmt.Errorf("not implemented: ToUser - toUser"))
}

func (r *callTransferResolver) ToBranch(ctx context.Context, obj *call.Transfer) (*number.Branch, error) {
	panic(fmt.Errorf("not implemented: ToBranch - toBranch"))
}

func (r *callerIdExplanationResolver) PhoneNumber(ctx context.Context, obj *call.CallerIDExplanation) (*number.PhoneNumber, error) {
	return loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
}

func (r *callerIdExplanationResolver) Problems(ctx context.Context, obj *call.CallerIDExplanation) ([]*model.UserError, error) {
	return refusalsOf(obj), nil
}

func (r *callerIdExplanationResolver) Notices(ctx context.Context, obj *call.CallerIDExplanation) ([]*call.Notice, error) {
	return obj.Notices(), nil
}

func (r *dropMessageResolver) Audio(ctx context.Context, obj *voicemail.DropMessage) (*number.Audio, error) {
	panic(fmt.Errorf("not implemented: Audio - audio"))
}

func (r *mutationResolver) CallHold(ctx context.Context, id id.ID, legID *id.ID, idempotencyKey *string) (*model.CallHoldPayload, error) {
	panic(fmt.Errorf("not implemented: CallHold - callHold"))
}

func (r *mutationResolver) CallResume(ctx context.Context, id id.ID, legID *id.ID, idempotencyKey *string) (*model.CallResumePayload, error) {
	panic(fmt.Errorf("not implemented: CallResume - callResume"))
}

func (r *mutationResolver) CallMute(ctx context.Context, id id.ID, legID *id.ID, idempotencyKey *string) (*model.CallMutePayload, error) {
	panic(fmt.Errorf("not implemented: CallMute - callMute"))
}

func (r *mutationResolver) CallUnmute(ctx context.Context, id id.ID, legID *id.ID, idempotencyKey *string) (*model.CallUnmutePayload, error) {
	panic(fmt.Errorf("not implemented: CallUnmute - callUnmute"))
}

func (r *mutationResolver) CallTransfer(ctx context.Context, id id.ID, input model.CallTransferInput, idempotencyKey *string) (*model.CallTransferPayload, error) {
	panic(fmt.Errorf("not implemented: CallTransfer - callTransfer"))
}

func (r *mutationResolver) CallTransferComplete(ctx context.Context, id id.ID, idempotencyKey *string) (*model.CallTransferCompletePayload, error) {
	panic(fmt.Errorf("not implemented: CallTransferComplete - callTransferComplete"))
}

func (r *mutationResolver) CallTransferCancel(ctx context.Context, id id.ID, idempotencyKey *string) (*model.CallTransferCancelPayload, error) {
	panic(fmt.Errorf("not implemented: CallTransferCancel - callTransferCancel"))
}

func (r *mutationResolver) CallAddParticipant(ctx context.Context, id id.ID, input model.CallParticipantInput, idempotencyKey *string) (*model.CallAddParticipantPayload, error) {
	panic(fmt.Errorf("not implemented: CallAddParticipant - callAddParticipant"))
}

func (r *mutationResolver) CallRemoveParticipant(ctx context.Context, id id.ID, legID id.ID, idempotencyKey *string) (*model.CallRemoveParticipantPayload, error) {
	panic(fmt.Errorf("not implemented: CallRemoveParticipant - callRemoveParticipant"))
}

func (r *mutationResolver) CallSendDigits(ctx context.Context, id id.ID, digits string, legID *id.ID, idempotencyKey *string) (*model.CallSendDigitsPayload, error) {
	panic(fmt.Errorf("not implemented: CallSendDigits - callSendDigits"))
}

func (r *mutationResolver) CallRecordingPause(ctx context.Context, id id.ID, idempotencyKey *string) (*model.CallRecordingPausePayload, error) {
	panic(fmt.Errorf("not implemented: CallRecordingPause - callRecordingPause"))
}

func (r *mutationResolver) CallRecordingResume(ctx context.Context, id id.ID, idempotencyKey *string) (*model.CallRecordingResumePayload, error) {
	panic(fmt.Errorf("not implemented: CallRecordingResume - callRecordingResume"))
}

func (r *mutationResolver) CallMonitorStart(ctx context.Context, id id.ID, input model.CallMonitorStartInput, idempotencyKey *string) (*model.CallMonitorStartPayload, error) {
	panic(fmt.Errorf("not implemented: CallMonitorStart - callMonitorStart"))
}

func (r *mutationResolver) CallMonitorStop(ctx context.Context, id id.ID) (*model.CallMonitorStopPayload, error) {
	panic(fmt.Errorf("not implemented: CallMonitorStop - callMonitorStop"))
}

func (r *mutationResolver) VoicemailDrop(ctx context.Context, id id.ID, dropMessageID id.ID, now *bool, idempotencyKey *string) (*model.VoicemailDropPayload, error) {
	panic(fmt.Errorf("not implemented: VoicemailDrop - voicemailDrop"))
}

func (r *mutationResolver) CallAnswererSet(ctx context.Context, id id.ID, answerer call.Answerer) (*model.CallAnswererSetPayload, error) {
	panic(fmt.Errorf("not implemented: CallAnswererSet - callAnswererSet"))
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
	panic(fmt.Errorf("not implemented: DropMessageCreate - dropMessageCreate"))
}

func (r *mutationResolver) DropMessageUpdate(ctx context.Context, id id.ID, input model.DropMessageUpdateInput) (*model.DropMessageUpdatePayload, error) {
	panic(fmt.Errorf("not implemented: DropMessageUpdate - dropMessageUpdate"))
}

func (r *mutationResolver) DropMessageDelete(ctx context.Context, id id.ID) (*model.DropMessageDeletePayload, error) {
	panic(fmt.Errorf("not implemented: DropMessageDelete - dropMessageDelete"))
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
	panic(fmt.Errorf("not implemented: DropMessages - dropMessages"))
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
