package graph

import (
	"context"
	"switchboard/graph/exec"
	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/recording"
	"switchboard/internal/report"
	"switchboard/internal/route"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
)

func (r *callResolver) From(ctx context.Context, obj *call.Call) (*route.Party, error) {
	return outside(ctx, obj, obj.From(), obj.Direction == call.Inbound)
}

func (r *callResolver) To(ctx context.Context, obj *call.Call) (*route.Party, error) {
	return outside(ctx, obj, obj.To(), obj.Direction != call.Inbound)
}

func (r *callResolver) PhoneNumber(ctx context.Context, obj *call.Call) (*number.PhoneNumber, error) {
	return loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
}

func (r *callResolver) Branch(ctx context.Context, obj *call.Call) (*number.Branch, error) {
	return loader.Load(ctx, loader.From(ctx).Branches, obj.BranchID)
}

func (r *callResolver) Contact(ctx context.Context, obj *call.Call) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *callResolver) Record(ctx context.Context, obj *call.Call) (*contact.Record, error) {
	return loader.Load(ctx, loader.From(ctx).Records, obj.RecordID)
}

func (r *callResolver) Campaign(ctx context.Context, obj *call.Call) (*contact.Campaign, error) {
	return loader.Load(ctx, loader.From(ctx).Campaigns, obj.CampaignID)
}

func (r *callResolver) User(ctx context.Context, obj *call.Call) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *callResolver) AnsweredBy(ctx context.Context, obj *call.Call) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.AnsweredByID)
}

func (r *callResolver) Legs(ctx context.Context, obj *call.Call) ([]*call.Leg, error) {
	if obj.LegsThen != nil {
		return obj.LegsThen, nil
	}
	return loader.From(ctx).CallLegs.Load(ctx, obj.ID)
}

func (r *callResolver) Route(ctx context.Context, obj *call.Call) (*route.Decision, error) {
	return loader.From(ctx).CallRoutes.Load(ctx, obj.ID)
}

func (r *callResolver) Recordings(ctx context.Context, obj *call.Call) ([]*recording.Recording, error) {
	return loader.From(ctx).CallRecordings.Load(ctx, obj.ID)
}

func (r *callResolver) Voicemail(ctx context.Context, obj *call.Call) (*voicemail.Voicemail, error) {
	return loader.From(ctx).CallVoicemails.Load(ctx, obj.ID)
}

func (r *callResolver) MaskedPair(ctx context.Context, obj *call.Call) (*call.MaskedPair, error) {
	return loader.Load(ctx, loader.From(ctx).Masks, obj.MaskedPairID)
}

func (r *callAnsweredResolver) Actor(ctx context.Context, obj *model.CallAnswered) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *callAnsweredResolver) Call(ctx context.Context, obj *model.CallAnswered) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *callEndedResolver) Actor(ctx context.Context, obj *model.CallEnded) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *callEndedResolver) Call(ctx context.Context, obj *model.CallEnded) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *callLegResolver) User(ctx context.Context, obj *call.Leg) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *callLegResolver) Device(ctx context.Context, obj *call.Leg) (*user.Device, error) {
	return loader.Load(ctx, loader.From(ctx).Devices, obj.DeviceID)
}

func (r *callLegResolver) To(ctx context.Context, obj *call.Leg) (*route.Party, error) {
	return shown(ctx, obj.To(), loader.RevealedByLeg(access.From(ctx), obj))
}

func (r *callLegResolver) AnsweredBy(ctx context.Context, obj *call.Leg) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.AnsweredByID)
}

func (r *callLegResolver) QualityWarnings(ctx context.Context, obj *call.Leg) ([]*call.QualityWarning, error) {
	return all(loader.From(ctx).LegQuality.Load(ctx, obj.ID))
}

func (r *callStartedResolver) Actor(ctx context.Context, obj *model.CallStarted) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *callStartedResolver) Call(ctx context.Context, obj *model.CallStarted) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *callUpdatedResolver) Actor(ctx context.Context, obj *model.CallUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *callUpdatedResolver) Call(ctx context.Context, obj *model.CallUpdated) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *mutationResolver) CallStart(ctx context.Context, input model.CallStartInput, idempotencyKey *string) (*model.CallStartPayload, error) {
	c, err := r.d.Calls.Start(ctx, access.From(ctx), call.StartInput{
		To: given(input.To), ContactID: given(input.ContactID), RecordID: given(input.RecordID), CampaignID: given(input.CampaignID),
		PhoneNumberID: given(input.PhoneNumberID), DeviceID: given(input.DeviceID), RingMyPhone: given(input.RingMyPhone), RingMySIP: given(input.RingMySip),
		UserID: given(input.UserID), DetectMachine: given(input.DetectMachine), DropMessageID: given(input.DropMessageID),
	}, of(idempotencyKey))
	problems, err := userErrors(err)
	return &model.CallStartPayload{Call: c, Notice: unless(problems, call.StartNotice), Notices: noticesOf(c), UserErrors: problems}, err
}

func (r *mutationResolver) CallDecline(ctx context.Context, id id.ID, deviceID *id.ID) (*model.CallDeclinePayload, error) {
	c, err := r.d.Calls.Decline(ctx, access.From(ctx), id, of(deviceID))
	problems, err := userErrors(err)
	return &model.CallDeclinePayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallHangUp(ctx context.Context, id id.ID) (*model.CallHangUpPayload, error) {
	c, err := r.d.Calls.HangUp(ctx, access.From(ctx), id)
	problems, err := userErrors(err)
	return &model.CallHangUpPayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) CallUpdate(ctx context.Context, id id.ID, input model.CallUpdateInput) (*model.CallUpdatePayload, error) {
	c, err := r.d.Calls.Update(ctx, access.From(ctx), id, call.UpdateInput{
		Outcome: field(input.Outcome), Notes: field(input.Notes), ContactID: field(input.ContactID), RecordID: field(input.RecordID),
	})
	problems, err := userErrors(err)
	return &model.CallUpdatePayload{Call: c, UserErrors: problems}, err
}

func (r *mutationResolver) VoicemailMarkHeard(ctx context.Context, id id.ID, isHeard bool) (*model.VoicemailMarkHeardPayload, error) {
	v, err := r.d.Voicemails.MarkHeard(ctx, access.From(ctx), id, isHeard)
	problems, err := userErrors(err)
	return &model.VoicemailMarkHeardPayload{Voicemail: v, UserErrors: problems}, err
}

func (r *queryResolver) Calls(ctx context.Context, first *int, after *string, filter *model.CallFilter) (*model.CallConnection, error) {
	return r.calls(ctx, callFilter(filter), page(first, after))
}

func (r *queryResolver) Call(ctx context.Context, id id.ID) (*call.Call, error) {
	return absent(r.d.Calls.Get(ctx, access.From(ctx), id))
}

func (r *queryResolver) LiveCalls(ctx context.Context, first *int, after *string) (*model.CallConnection, error) {
	return r.calls(ctx, call.Filter{Live: true}, page(first, after))
}

func (r *queryResolver) RingingCalls(ctx context.Context, deviceID *id.ID, first *int, after *string) (*model.CallConnection, error) {
	p := page(first, after)
	w, err := r.d.Calls.Ringing(ctx, access.From(ctx), of(deviceID), p)
	if err != nil {
		return nil, err
	}
	return r.callPage(ctx, p, w, nil)
}

func (r *queryResolver) Voicemails(ctx context.Context, first *int, after *string, filter *model.VoicemailFilter) (*model.VoicemailConnection, error) {
	p := page(first, after)
	w, err := r.d.Voicemails.List(ctx, access.From(ctx), voicemailFilter(filter), p)
	if err != nil {
		return nil, err
	}
	c := &model.VoicemailConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, v *voicemail.Voicemail) *model.VoicemailEdge {
		return &model.VoicemailEdge{Cursor: cursor, Node: v}
	})
	return c, err
}

func (r *queryResolver) Voicemail(ctx context.Context, id id.ID) (*voicemail.Voicemail, error) {
	return absent(r.d.Voicemails.Get(ctx, access.From(ctx), id))
}

func (r *queryResolver) RouteExplain(ctx context.Context, input model.RouteExplainInput) (*route.Decision, error) {
	return r.d.Calls.Explain(ctx, access.From(ctx), call.ExplainInput{PhoneNumberID: input.PhoneNumberID, From: given(input.From), At: given(input.At)})
}

func (r *queryResolver) CallStatistics(ctx context.Context, filter model.CallStatisticsFilter, groupBy *report.Group) (*report.Statistics, error) {
	return r.callStatistics(ctx, filter, of(groupBy))
}

func (r *recordingResolver) Call(ctx context.Context, obj *recording.Recording) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *recordingResolver) URL(ctx context.Context, obj *recording.Recording, channel *recording.Side, download *bool) (*string, error) {
	return r.recordingLink(ctx, obj, of(channel), of(download))
}

func (r *recordingUpdatedResolver) Actor(ctx context.Context, obj *model.RecordingUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *recordingUpdatedResolver) Recording(ctx context.Context, obj *model.RecordingUpdated) (*recording.Recording, error) {
	return loader.Load(ctx, loader.From(ctx).Recordings, obj.RecordingID)
}

func (r *ringEndedResolver) Actor(ctx context.Context, obj *model.RingEnded) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *ringEndedResolver) Call(ctx context.Context, obj *model.RingEnded) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *ringEndedResolver) Leg(ctx context.Context, obj *model.RingEnded) (*call.Leg, error) {
	return loader.Load(ctx, loader.From(ctx).Legs, obj.LegID)
}

func (r *ringStartedResolver) Actor(ctx context.Context, obj *model.RingStarted) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *ringStartedResolver) Call(ctx context.Context, obj *model.RingStarted) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *ringStartedResolver) Leg(ctx context.Context, obj *model.RingStarted) (*call.Leg, error) {
	return loader.Load(ctx, loader.From(ctx).Legs, obj.LegID)
}

func (r *routeDecisionResolver) Contact(ctx context.Context, obj *route.Decision) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *routeStepResolver) MenuName(ctx context.Context, obj *route.Step) (*string, error) {
	if obj.Menu == nil {
		return nil, nil
	}
	return &obj.Menu.Name, nil
}

func (r *routeTargetResolver) User(ctx context.Context, obj *route.Target) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *routeTargetResolver) Device(ctx context.Context, obj *route.Target) (*user.Device, error) {
	return loader.Load(ctx, loader.From(ctx).Devices, obj.DeviceID)
}

func (r *routeTargetResolver) IsScreened(ctx context.Context, obj *route.Target) (bool, error) {
	return obj.Screen, nil
}

func (r *routeTargetResolver) AfterMilliseconds(ctx context.Context, obj *route.Target) (int, error) {
	return obj.After, nil
}

func (r *routeTraceResolver) User(ctx context.Context, obj *route.Trace) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.UserID)
}

func (r *subscriptionResolver) LiveCalls(ctx context.Context, after *string) (<-chan model.LiveCallsUpdate, error) {
	return r.liveCalls(ctx, after)
}

func (r *subscriptionResolver) CallChanged(ctx context.Context, id id.ID, after *string) (<-chan *model.LiveCallChanged, error) {
	return r.callChanged(ctx, id, after)
}

func (r *subscriptionResolver) Ringing(ctx context.Context, deviceID *id.ID, after *string) (<-chan *model.RingChanged, error) {
	return r.ringing(ctx, deviceID, after)
}

func (r *voicemailResolver) Call(ctx context.Context, obj *voicemail.Voicemail) (*call.Call, error) {
	return loader.Load(ctx, loader.From(ctx).Calls, obj.CallID)
}

func (r *voicemailResolver) PhoneNumber(ctx context.Context, obj *voicemail.Voicemail) (*number.PhoneNumber, error) {
	return loader.Load(ctx, loader.From(ctx).Numbers, obj.PhoneNumberID)
}

func (r *voicemailResolver) Branch(ctx context.Context, obj *voicemail.Voicemail) (*number.Branch, error) {
	return loader.Load(ctx, loader.From(ctx).Branches, obj.BranchID)
}

func (r *voicemailResolver) Contact(ctx context.Context, obj *voicemail.Voicemail) (*contact.Contact, error) {
	return loader.Load(ctx, loader.From(ctx).Contacts, obj.ContactID)
}

func (r *voicemailResolver) From(ctx context.Context, obj *voicemail.Voicemail) (*route.Party, error) {
	return shown(ctx, obj.From(), loader.RevealedByVoicemail(access.From(ctx), obj))
}

func (r *voicemailResolver) Recording(ctx context.Context, obj *voicemail.Voicemail) (*recording.Recording, error) {
	x, err := loader.Load(ctx, loader.From(ctx).Recordings, obj.RecordingID)
	if err == nil && x == nil {
		err = errs.New(errs.NotFound, "there is no such recording")
	}
	return x, err
}

func (r *voicemailResolver) Owner(ctx context.Context, obj *voicemail.Voicemail) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.OwnerID)
}

func (r *voicemailResolver) HeardBy(ctx context.Context, obj *voicemail.Voicemail) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.HeardByID)
}

func (r *voicemailReceivedResolver) Actor(ctx context.Context, obj *model.VoicemailReceived) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *voicemailReceivedResolver) Voicemail(ctx context.Context, obj *model.VoicemailReceived) (*voicemail.Voicemail, error) {
	return loader.Load(ctx, loader.From(ctx).Voicemails, obj.VoicemailID)
}

func (r *voicemailUpdatedResolver) Actor(ctx context.Context, obj *model.VoicemailUpdated) (*user.User, error) {
	return loader.Load(ctx, loader.From(ctx).Users, obj.ActorID)
}

func (r *voicemailUpdatedResolver) Voicemail(ctx context.Context, obj *model.VoicemailUpdated) (*voicemail.Voicemail, error) {
	return loader.Load(ctx, loader.From(ctx).Voicemails, obj.VoicemailID)
}

func (r *Resolver) Call() exec.CallResolver { return &callResolver{r} }

func (r *Resolver) CallAnswered() exec.CallAnsweredResolver { return &callAnsweredResolver{r} }

func (r *Resolver) CallEnded() exec.CallEndedResolver { return &callEndedResolver{r} }

func (r *Resolver) CallLeg() exec.CallLegResolver { return &callLegResolver{r} }

func (r *Resolver) CallStarted() exec.CallStartedResolver { return &callStartedResolver{r} }

func (r *Resolver) CallUpdated() exec.CallUpdatedResolver { return &callUpdatedResolver{r} }

func (r *Resolver) Recording() exec.RecordingResolver { return &recordingResolver{r} }

func (r *Resolver) RecordingUpdated() exec.RecordingUpdatedResolver {
	return &recordingUpdatedResolver{r}
}

func (r *Resolver) RingEnded() exec.RingEndedResolver { return &ringEndedResolver{r} }

func (r *Resolver) RingStarted() exec.RingStartedResolver { return &ringStartedResolver{r} }

func (r *Resolver) RouteDecision() exec.RouteDecisionResolver { return &routeDecisionResolver{r} }

func (r *Resolver) RouteStep() exec.RouteStepResolver { return &routeStepResolver{r} }

func (r *Resolver) RouteTarget() exec.RouteTargetResolver { return &routeTargetResolver{r} }

func (r *Resolver) RouteTrace() exec.RouteTraceResolver { return &routeTraceResolver{r} }

func (r *Resolver) Voicemail() exec.VoicemailResolver { return &voicemailResolver{r} }

func (r *Resolver) VoicemailReceived() exec.VoicemailReceivedResolver {
	return &voicemailReceivedResolver{r}
}

func (r *Resolver) VoicemailUpdated() exec.VoicemailUpdatedResolver {
	return &voicemailUpdatedResolver{r}
}

type (
	callResolver              struct{ *Resolver }
	callAnsweredResolver      struct{ *Resolver }
	callEndedResolver         struct{ *Resolver }
	callLegResolver           struct{ *Resolver }
	callStartedResolver       struct{ *Resolver }
	callUpdatedResolver       struct{ *Resolver }
	recordingResolver         struct{ *Resolver }
	recordingUpdatedResolver  struct{ *Resolver }
	ringEndedResolver         struct{ *Resolver }
	ringStartedResolver       struct{ *Resolver }
	routeDecisionResolver     struct{ *Resolver }
	routeStepResolver         struct{ *Resolver }
	routeTargetResolver       struct{ *Resolver }
	routeTraceResolver        struct{ *Resolver }
	voicemailResolver         struct{ *Resolver }
	voicemailReceivedResolver struct{ *Resolver }
	voicemailUpdatedResolver  struct{ *Resolver }
)
