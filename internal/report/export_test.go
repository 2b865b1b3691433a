package report

import (
	"context"
	"time"
)

// Scanning is the service without its sums: what they are compared with.
func (s *Service) Scanning() *Service {
	x := *s
	x.scans = true
	return &x
}

// Estimate is the sweep that writes down what legs are expected to cost.
func (s *Service) Estimate(ctx context.Context) error { return s.estimate(ctx) }

// SweepCaps is the sweep that counts caps.
func (s *Service) SweepCaps(ctx context.Context, now time.Time) error { return s.sweepCaps(ctx, now) }
