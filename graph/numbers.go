package graph

import (
	"github.com/99designs/gqlgen/graphql"

	"switchboard/graph/model"
	"switchboard/internal/number"
)

// part is a nested input; an absent or null one changes nothing.
func part[T any](o graphql.Omittable[*T]) T {
	if p := o.Value(); p != nil {
		return *p
	}
	var none T
	return none
}

func numberUpdate(in model.PhoneNumberUpdateInput) number.Update {
	r, u, p, v, rec := part(in.Routing), part(in.Usage), part(in.Prompts), part(in.Voicemail), part(in.Recording)
	return number.Update{
		Name: field(in.Name), IsEnabled: field(in.IsEnabled), BranchID: field(in.BranchID), BusinessUnit: field(in.BusinessUnit),
		AssignedUserID: field(in.AssignedUserID), TakeOver: given(in.TakeOver),
		Routing: number.RoutingUpdate{
			Mode: field(r.Mode), RingStrategy: field(r.RingStrategy), ReachBy: field(r.ReachBy),
			IncludeGeneralFieldworker: field(r.IncludeGeneralFieldworker), RingTimeoutSeconds: field(r.RingTimeoutSeconds),
			DialTimeoutSeconds: field(r.DialTimeoutSeconds), AgentTimeoutSeconds: field(r.AgentTimeoutSeconds),
			CallForwardingNumber: field(r.CallForwardingNumber), ForwardingNumbers: each(r.ForwardingNumbers, same),
			AllowTransfer: field(r.AllowTransfer), Bridge: field(r.Bridge),
		},
		Usage: number.UsageUpdate{InboundCalls: field(u.InboundCalls), CallerID: field(u.CallerID), Messages: field(u.Messages)},
		Prompts: number.PromptUpdate{
			WelcomeText: field(p.WelcomeText), WelcomeAudioID: field(p.WelcomeAudioID), WelcomeAudioURL: field(p.WelcomeAudioURL),
			FarewellText: field(p.FarewellText), FarewellAudioID: field(p.FarewellAudioID), Voice: field(p.Voice), Language: field(p.Language),
		},
		Voicemail: number.VoicemailUpdate{
			IsEnabled: field(v.IsEnabled), GreetingText: field(v.GreetingText), GreetingAudioID: field(v.GreetingAudioID),
			GreetingAudioURL: field(v.GreetingAudioURL), MaxSeconds: field(v.MaxSeconds), OwnerID: field(v.OwnerID),
			NotifiedUserIDs: each(v.NotifiedUserIds, deref),
		},
		Recording: number.RecordingUpdate{Incoming: field(rec.Incoming), Outgoing: field(rec.Outgoing)},
	}
}
