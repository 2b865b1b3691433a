package graph

import (
	"github.com/99designs/gqlgen/graphql"

	"switchboard/graph/model"
	"switchboard/internal/number"
	"switchboard/internal/patch"
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
	closed := part(r.AfterHours)
	return number.Update{
		Name: field(in.Name), IsEnabled: field(in.IsEnabled), BranchID: field(in.BranchID), BusinessUnit: field(in.BusinessUnit),
		AssignedUserID: field(in.AssignedUserID), TakeOver: given(in.TakeOver),
		Routing: number.RoutingUpdate{
			Mode: field(r.Mode), RingStrategy: field(r.RingStrategy), ReachBy: field(r.ReachBy),
			IncludeGeneralFieldworker: field(r.IncludeGeneralFieldworker), RingTimeoutSeconds: field(r.RingTimeoutSeconds),
			DialTimeoutSeconds: field(r.DialTimeoutSeconds), AgentTimeoutSeconds: field(r.AgentTimeoutSeconds),
			CallForwardingNumber: field(r.CallForwardingNumber), ForwardingNumbers: each(r.ForwardingNumbers, same),
			AllowTransfer: field(r.AllowTransfer), Bridge: field(r.Bridge), TeamID: field(r.TeamID), PreferredUser: field(r.PreferredUser),
			Screening: field(r.Screening), OpeningHoursID: field(r.OpeningHoursID), MenuID: field(r.MenuID),
			AfterHours: number.AfterHoursUpdate{Action: field(closed.Action), Text: field(closed.Text), AudioID: field(closed.AudioID), Numbers: each(closed.Numbers, same)},
		},
		Usage: number.UsageUpdate{InboundCalls: field(u.InboundCalls), CallerID: field(u.CallerID), Messages: field(u.Messages)},
		Prompts: number.PromptUpdate{
			WelcomeText: field(p.WelcomeText), WelcomeAudioID: field(p.WelcomeAudioID), WelcomeAudioURL: field(p.WelcomeAudioURL),
			FarewellText: field(p.FarewellText), FarewellAudioID: field(p.FarewellAudioID), FarewellAudioURL: field(p.FarewellAudioURL),
			Voice: field(p.Voice), Language: field(p.Language),
		},
		Voicemail: number.VoicemailUpdate{
			IsEnabled: field(v.IsEnabled), GreetingText: field(v.GreetingText), GreetingAudioID: field(v.GreetingAudioID),
			GreetingAudioURL: field(v.GreetingAudioURL), MaxSeconds: field(v.MaxSeconds), OwnerID: field(v.OwnerID),
			NotifiedUserIDs: each(v.NotifiedUserIds, deref),
		},
		Recording: number.RecordingUpdate{Incoming: field(rec.Incoming), Outgoing: field(rec.Outgoing)},
	}
}

func openingSpan(s *model.OpeningSpanInput) number.OpeningSpan {
	return number.OpeningSpan{Day: s.Day, From: s.From, To: s.To}
}

func holiday(h *model.HolidayInput) number.Holiday {
	return number.Holiday{Date: h.Date.String(), Name: h.Name, Open: every(h.Open.Value(), func(s *model.HolidaySpanInput) number.HolidaySpan {
		return number.HolidaySpan{From: s.From, To: s.To}
	})}
}

func menuCreate(in model.MenuCreateInput) number.MenuChange {
	return number.MenuChange{
		Name: patch.To(in.Name), PromptText: field(in.PromptText), PromptAudioID: field(in.PromptAudioID), InvalidText: field(in.InvalidText),
		TimeoutSeconds: field(in.TimeoutSeconds), Repeats: field(in.Repeats), Options: patch.To(every(in.Options, menuOption)), Otherwise: otherwise(in.Otherwise),
	}
}

func menuUpdate(in model.MenuUpdateInput) number.MenuChange {
	return number.MenuChange{
		Name: field(in.Name), PromptText: field(in.PromptText), PromptAudioID: field(in.PromptAudioID), InvalidText: field(in.InvalidText),
		TimeoutSeconds: field(in.TimeoutSeconds), Repeats: field(in.Repeats), Options: each(in.Options, menuOption), Otherwise: otherwise(in.Otherwise),
	}
}

func menuOption(o *model.MenuOptionInput) number.OptionInput {
	return number.OptionInput{Key: o.Key, Label: o.Label, To: menuDestination(*o.To)}
}

func otherwise(o graphql.Omittable[*model.MenuDestinationInput]) patch.Field[number.DestinationInput] {
	switch {
	case !o.IsSet():
		return patch.Field[number.DestinationInput]{}
	case o.Value() == nil:
		return patch.Clear[number.DestinationInput]()
	}
	return patch.To(menuDestination(*o.Value()))
}

func menuDestination(d model.MenuDestinationInput) number.DestinationInput {
	return number.DestinationInput{Kind: d.Kind, TeamID: given(d.TeamID), BranchID: given(d.BranchID), UserID: given(d.UserID), MenuID: given(d.MenuID), Number: given(d.Number)}
}
