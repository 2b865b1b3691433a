package loader

import (
	"context"

	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/id"
	"switchboard/internal/report"
)

// ReportSources are the batch reads of reports.
type ReportSources struct {
	CallCosts        func(ctx context.Context, ids []id.ID) (map[id.ID]*report.CallCost, error)
	LegCosts         func(ctx context.Context, ids []id.ID) (map[id.ID]*report.LegCost, error)
	CallRecordEvents func(ctx context.Context, ids []id.ID) (map[id.ID][]*contact.RecordEvent, error)
}

// ReportLoaders are the loaders of reports.
type ReportLoaders struct {
	CallCosts        *Batch[*report.CallCost]
	LegCosts         *Batch[*report.LegCost]
	CallRecordEvents *Many[contact.RecordEvent]
}

func reportLoaders(s ReportSources) *ReportLoaders {
	return &ReportLoaders{CallCosts: many(s.CallCosts), LegCosts: many(s.LegCosts), CallRecordEvents: many(s.CallRecordEvents)}
}

func (r *reader) recentCalls(rows []*report.RecentCall, asked Asked) {
	calls := make([]*call.Call, len(rows))
	for i, x := range rows {
		calls[i] = x.Call
	}
	r.calls(calls, asked.below("call"))
	read(r, r.CallRecordEvents, asked("recordEvents"), calls, func(c *call.Call) id.ID { return c.ID })
}
