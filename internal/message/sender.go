package message

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

// choice is the sender for one destination, or why there is none.
type choice struct {
	Number
	reason  route.NumberChoiceReason
	problem *PreviewProblem
}

// usable says why the number cannot send, nil when it can. An explicit choice is
// explained by its own state.
func (n *Number) usable() *PreviewProblem {
	switch {
	case !n.IsEnabled:
		return blocking(SenderUnusable, "number %s is disabled; enable it or choose another", n.E164)
	case !n.CanSMS:
		return blocking(SenderUnusable, "number %s cannot send text messages; choose one with SMS", n.E164)
	case !n.ForMessages:
		return blocking(SenderUnusable, "number %s is not used for messages; change its usage or choose another", n.E164)
	}
	return nil
}

// allowed says why the person may not send from the number (R026).
func (n *Number) allowed(pictures bool) *PreviewProblem {
	switch {
	case n.NoSMS:
		return blocking(SenderForbidden, "you may not send text messages from number %s; choose another, or have an administrator switch it on for you", n.E164)
	case pictures && n.NoMMS:
		return blocking(SenderForbidden, "you may not send files from number %s; leave them out, choose another number, or have an administrator switch it on for you", n.E164)
	}
	return nil
}

// senders are the numbers that one person may choose from, read once.
type senders struct {
	all      []Number
	branches []id.ID
	chosen   map[string]choice // by country: the rest is the same for all
}

func (s *Service) senders(ctx context.Context, q bun.IDB, who access.Actor, also ...id.ID) (*senders, error) {
	all, err := s.numbers.Senders(ctx, q, who.UserID, also)
	return &senders{all: all, branches: who.BranchIDs, chosen: map[string]choice{}}, err
}

// named is a number that somebody chose. Code: errs.NotFound.
func (s *senders) named(number id.ID) (Number, error) {
	i := slices.IndexFunc(s.all, func(n Number) bool { return n.ID == number })
	if i < 0 {
		return Number{}, errs.New(errs.NotFound, "there is no such number, or you may not see it").At("input", "phoneNumberId")
	}
	return s.all[i], nil
}

// choose picks the sender for a destination by D17, among the numbers that the
// person may send from (R026), for files to where MMS goes among those with MMS.
func (s *senders) choose(to phone.E164, country string, files bool) choice {
	where := phone.Country(to, country)
	if c, ok := s.chosen[where]; ok {
		return c
	}
	fits := func(n *Number) bool { return n.usable() == nil && n.allowed(files) == nil }
	_, native := MMSLimits(where)
	c := s.among(to, country, func(n *Number) bool { return fits(n) && (!files || !native || n.CanMMS) })
	if c.problem != nil && files {
		c = s.among(to, country, fits)
	}
	if c.problem != nil && slices.ContainsFunc(s.all, func(n Number) bool { return n.usable() == nil && !fits(&n) }) {
		c.problem = blocking(SenderForbidden, "you may not send from a number that fits; choose one, or have an administrator switch it on for you")
	}
	s.chosen[where] = c
	return c
}

func (s *senders) among(to phone.E164, country string, fits func(*Number) bool) choice {
	c := route.Choice{Branches: s.branches, To: to, ContactCountry: country}
	for i := range s.all {
		if n := &s.all[i]; fits(n) {
			c.Numbers = append(c.Numbers, route.OwnNumber{ID: n.ID, E164: n.E164, Country: n.Country, BranchID: n.BranchID, IsDefault: n.IsDefault})
		}
	}
	chosen, err := route.ChooseNumber(c)
	if err != nil {
		e, _ := errs.As(err)
		return choice{problem: blocking(NoSender, "%s", e.Message)}
	}
	n, _ := s.named(chosen.Number.ID)
	return choice{Number: n, reason: chosen.Reason}
}

// ChooseSender picks the sender of a text by D17: the number that is named, in
// whatever state it is, or the one for the destination. Codes: errs.NotFound,
// errs.Conflict, errs.Forbidden.
func (s *Service) chooseSender(ctx context.Context, q bun.IDB, who access.Actor, explicit id.ID, to phone.E164, country string) (Number, route.NumberChoiceReason, error) {
	all, err := s.senders(ctx, q, who, explicit)
	if err != nil {
		return Number{}, "", err
	}
	if !explicit.IsZero() {
		n, err := all.named(explicit)
		return n, route.Explicit, err
	}
	c := all.choose(to, country, false)
	if c.problem != nil {
		return Number{}, "", refusal(*c.problem, Recipient{})
	}
	return c.Number, c.reason, nil
}

// registered warns of a sender that carriers want registered first (R152, R153).
func (n *Number) registered(country string) *PreviewProblem {
	if !n.IsChecked {
		return nil
	}
	if words := unregistered(string(n.E164), country, n.A2PStatus, n.TollFreeStatus); words != "" {
		return warning(NotRegistered, "%s: %s", n.E164, words)
	}
	return nil
}

// name is the name shown instead of the number where the country allows it (R151),
// with what to know about it.
func (n *Number) name(country string) (*string, *PreviewProblem) {
	if n.SenderName == "" {
		return nil, warning(NameUnsupported, "number %s has no sender name, so the number is shown; give it one in its settings", n.E164)
	}
	d := DestinationOf(country)
	switch d.Alpha {
	case AlphaUnsupported, AlphaUnknown:
		return nil, warning(NameUnsupported, "the number is shown and not the name: %s", d.AlphaNote)
	case AlphaRegistration:
		return &n.SenderName, warning(OneWaySender, "the recipient cannot reply to %s, not even STOP; %s. Send from number %s to get replies", n.SenderName, d.AlphaNote, n.E164)
	}
	return &n.SenderName, warning(OneWaySender, "the recipient cannot reply to %s, not even STOP; send from number %s to get replies", n.SenderName, n.E164)
}

func blocking(code ProblemCode, format string, args ...any) *PreviewProblem {
	return &PreviewProblem{code, true, fmt.Sprintf(format, args...)}
}

func warning(code ProblemCode, format string, args ...any) *PreviewProblem {
	return &PreviewProblem{code, false, fmt.Sprintf(format, args...)}
}
