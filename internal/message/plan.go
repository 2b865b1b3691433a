package message

import (
	"context"

	"switchboard/internal/access"
	"switchboard/internal/errs"
	"switchboard/internal/phone"
)

func (s *Service) preview(ctx context.Context, who access.Actor, d Draft) (*Preview, error) {
	if len(d.Recipients) > MaxRecipients {
		return nil, errs.New(errs.LimitReached, "a message goes to %d recipients at most; narrow the list down", MaxRecipients).At("input", "audience")
	}
	home, err := s.country(ctx, s.db.App())
	if err != nil {
		return nil, err
	}
	size := Measure(d.Body)
	p := &Preview{}
	for i, to := range d.Recipients {
		r := &PreviewRecipient{Index: i, Given: to.To, ContactID: to.ContactID, RecordID: to.RecordID, Body: d.Body, Encoding: size.Encoding, Segments: size.Parts}
		if r.E164, err = phone.Parse(to.To, home); err != nil {
			r.Problems = append(r.Problems, PreviewProblem{InvalidNumber, true, err.Error()})
		} else {
			p.SendableCount++
		}
		p.All = append(p.All, r)
	}
	return p, nil
}
