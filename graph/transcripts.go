package graph

import (
	"context"

	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/patch"
	"switchboard/internal/transcript"
)

func transcriptFilter(f *model.TranscriptFilter) transcript.Filter {
	if f == nil {
		return transcript.Filter{}
	}
	return transcript.Filter{
		Text: given(f.Text), Statuses: f.Statuses.Value(), Source: given(f.Source), UserID: given(f.UserID), ContactID: given(f.ContactID),
		RecordID: given(f.RecordID), CallID: given(f.CallID), BranchID: given(f.BranchID), NumberID: given(f.PhoneNumberID),
		Category: given(f.Category), Flag: given(f.Flag), Subject: given(f.Subject), Provider: given(f.Provider), From: given(f.From), Until: given(f.Until),
	}
}

// transcripts is a page of transcripts.
func (r *Resolver) transcripts(ctx context.Context, f *model.TranscriptFilter, p db.Page) (*model.TranscriptConnection, error) {
	if f != nil && f.Text.IsSet() && f.Text.Value() != nil && *f.Text.Value() == "" {
		return nil, errs.New(errs.Invalid, "search for 2 to 200 characters").At("filter", "text")
	}
	w, err := r.d.Transcripts.List(ctx, access.From(ctx), transcriptFilter(f), p)
	if err != nil {
		return nil, err
	}
	c := &model.TranscriptConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, t *transcript.Transcript) *model.TranscriptEdge {
		return &model.TranscriptEdge{Cursor: cursor, Node: t}
	})
	return c, err
}

// transcriptCorrections is a page of what people changed.
func (r *Resolver) transcriptCorrections(ctx context.Context, t *transcript.Transcript, p db.Page) (*model.TranscriptCorrectionConnection, error) {
	w, err := r.d.Transcripts.Corrections(ctx, t.ID, p)
	if err != nil {
		return nil, err
	}
	c := &model.TranscriptCorrectionConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *transcript.Correction) *model.TranscriptCorrectionEdge {
		return &model.TranscriptCorrectionEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

func (r *Resolver) transcriptInsights(ctx context.Context, f model.TranscriptInsightsFilter) (*transcript.Insights, error) {
	return r.d.Transcripts.Insights(ctx, access.From(ctx), transcript.Range{From: f.From, Until: f.Until, CallerOnly: given(f.CallerOnly), Filter: transcript.Filter{
		UserID: given(f.UserID), BranchID: given(f.BranchID), NumberID: given(f.PhoneNumberID), ContactID: given(f.ContactID), Category: given(f.Category), Source: given(f.Source),
	}})
}

func transcriptUpdate(in model.TranscriptUpdateInput) transcript.Update {
	out := transcript.Update{Subject: field(in.Subject), Categories: each(in.Categories, same), ContactID: field(in.ContactID), RecordID: field(in.RecordID)}
	if v := in.Version.Value(); v != nil {
		version := int64(*v)
		out.Version = &version
	}
	return out
}

func transcriptSegment(s *model.TranscriptSegmentInput) transcript.SegmentChange {
	return transcript.SegmentChange{Index: s.Index, Text: s.Text.Value(), Speaker: s.Speaker.Value()}
}

func transcriptionChange(in model.TranscriptionSettingsInput) transcript.SettingsChange {
	vocabulary := each(in.Vocabulary, same)
	if vocabulary.Null {
		vocabulary = patch.To([]string{})
	}
	return transcript.SettingsChange{
		Mode: field(in.Mode), Provider: field(in.Provider), Language: field(in.Language), MaxSeconds: field(in.MaxSeconds), MonthlyMinutes: field(in.MonthlyMinutes),
		Vocabulary: vocabulary, GoogleAPIKey: field(in.GoogleAPIKey), GoogleAccount: field(in.GoogleServiceAccount), GoogleModel: field(in.GoogleModel),
		HTTPURL: field(in.HTTPURL), HTTPSecret: field(in.HTTPSecret),
	}
}

// heldTranscripts says of each what keeps it.
func heldTranscripts(kept []*transcript.Transcript) (problems []*model.UserError) {
	for _, t := range kept {
		problems = append(problems, &model.UserError{Code: errs.Conflict, Field: []string{"ids"}, Message: "a legal hold keeps " + t.ID.String() + "; release it first"})
	}
	return problems
}
