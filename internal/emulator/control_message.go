package emulator

import (
	"encoding/json"
	"errors"
)

// messageControls are the verbs of the control API that concern messages.
var messageControls = map[string]func(*Emulator, json.RawMessage) (any, error){
	"texts": verb(func(e *Emulator, in struct {
		From, To, Body string
		Media          []Media
	}) (any, error) {
		sid, err := e.SendText(in.From, in.To, in.Body, in.Media...)
		return sidOf(sid), err
	}),
	"messages/rate": verb(func(e *Emulator, in struct {
		Sender    string
		PerSecond float64
	}) (any, error) {
		e.SetMessageRate(in.Sender, in.PerSecond)
		return nil, nil
	}),
	"messages/plan": verb(func(e *Emulator, in struct {
		Steps []struct {
			Fate              string
			Code              int
			RetryAfterSeconds float64
			Outcome           *Outcome
			Times             int
		}
	}) (any, error) {
		for _, s := range in.Steps {
			if s.Times > 10_000 {
				return nil, errors.New("emulator: a step is met ten thousand times at most")
			}
			for range max(s.Times, 1) {
				e.PlanMessages(MessageStep{Fate: s.Fate, Code: s.Code, RetryAfter: secs(s.RetryAfterSeconds), Outcome: s.Outcome})
			}
		}
		return map[string]int{"planned": e.Planned()}, nil
	}),
	"messages/price": verb(func(e *Emulator, in struct {
		Price
		Country string
	}) (any, error) {
		return nil, e.SetPrice(in.Country, in.Price)
	}),
	"messages/mms": verb(func(e *Emulator, in struct{ Country, How string }) (any, error) {
		return nil, e.SetMMS(in.Country, in.How)
	}),
	"messages/geo": verb(func(e *Emulator, in struct {
		Account, Country string
		On               bool
	}) (any, error) {
		return nil, e.SetGeoPermission(e.onlyAccount(in.Account), in.Country, in.On)
	}),
	"messages/alpha": verb(func(e *Emulator, in struct {
		Account string
		Names   []string
	}) (any, error) {
		return nil, e.AllowAlpha(e.onlyAccount(in.Account), in.Names...)
	}),
	"messages/opt-out": verb(func(e *Emulator, in struct {
		Number, Recipient string
		Out               bool
	}) (any, error) {
		return nil, e.SetOptedOut(in.Number, in.Recipient, in.Out)
	}),
	"messages/keywords": verb(func(e *Emulator, in struct {
		Account string
		On      bool
	}) (any, error) {
		return nil, e.SetKeywords(e.onlyAccount(in.Account), in.On)
	}),
	"messages/media-auth": verb(func(e *Emulator, in struct {
		Account string
		On      bool
	}) (any, error) {
		return nil, e.SetMediaAuth(e.onlyAccount(in.Account), in.On)
	}),
	"registration": verb(func(e *Emulator, in struct{ Required bool }) (any, error) {
		e.SetRegistrationRequired(in.Required)
		return nil, nil
	}),
	"registration/brand": verb(func(e *Emulator, in struct{ Account, Status string }) (any, error) {
		return nil, e.SetBrand(e.onlyAccount(in.Account), in.Status)
	}),
	"registration/campaign": verb(func(e *Emulator, in struct{ Service, Status string }) (any, error) {
		return nil, e.SetCampaign(in.Service, in.Status)
	}),
	"registration/toll-free": verb(func(e *Emulator, in struct{ Number, Status string }) (any, error) {
		return nil, e.SetTollFree(in.Number, in.Status)
	}),
}
