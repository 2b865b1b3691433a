package export

import (
	"context"
	"strings"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/sheet"
	"switchboard/internal/transcript"
)

func (s *Service) transcripts() source {
	type row = *transcript.Transcript
	return &list[row, transcript.Filter]{
		needs: []access.Permission{access.TranscriptView},
		read:  s.d.Transcripts.List,
		refs: func(t row) []id.ID {
			return []id.ID{t.ContactID, t.RecordID, t.BranchID, t.PhoneNumberID, t.UserID}
		},
		more: s.spoken,
		columns: []column[row]{
			col("id", "Transcript", "The transcript's id.", func(_ *names, t row) sheet.Cell { return sheet.Text(t.ID.String()) }),
			col("recordedAt", "Recorded", "When it was spoken.", func(_ *names, t row) sheet.Cell { return sheet.Time(t.RecordedAt) }),
			col("source", "Source", "A call or a voicemail.", func(_ *names, t row) sheet.Cell { return sheet.Text(string(t.Source)) }),
			col("status", "Status", "How it stands.", func(_ *names, t row) sheet.Cell { return sheet.Text(string(t.Status)) }),
			col("contact", "Contact", "The contact's name.", func(n *names, t row) sheet.Cell { return n.of(t.ContactID) }),
			col("user", "Person", "Who talked of us.", func(n *names, t row) sheet.Cell { return n.of(t.UserID) }),
			col("phoneNumber", "Number", "The number of ours.", func(n *names, t row) sheet.Cell { return n.of(t.PhoneNumberID) }),
			col("branch", "Branch", "The branch's name.", func(n *names, t row) sheet.Cell { return n.of(t.BranchID) }),
			col("durationSeconds", "Duration seconds", "How long the recording is.", func(_ *names, t row) sheet.Cell { return whole(t.DurationSeconds) }),
			col("language", "Language", "The spoken language.", func(_ *names, t row) sheet.Cell { return sheet.Text(t.Language) }),
			col("subject", "Subject", "What it is about.", func(_ *names, t row) sheet.Cell { return words(t.Subject) }),
			col("categories", "Categories", "Its categories.", func(_ *names, t row) sheet.Cell { return sheet.Text(strings.Join(t.Categories, ", ")) }),
			col("text", "Text", "What was said, a line for each speaker's turn; a workbook's cell holds 32,767 characters of it.", func(n *names, t row) sheet.Cell {
				spoken, _ := n.more.(map[id.ID]*string)
				return words(spoken[t.ID])
			}),
			col("isCorrected", "Corrected", "Whether somebody corrected it.", func(_ *names, t row) sheet.Cell { return sheet.Bool(t.IsCorrected) }),
			col("record", "Record", "The record's title.", func(n *names, t row) sheet.Cell { return n.of(t.RecordID) }),
			col("provider", "Provider", "Who made it.", func(_ *names, t row) sheet.Cell { return sheet.Text(string(t.Provider)) }).asked(),
			col("callId", "Call", "The call's id.", func(_ *names, t row) sheet.Cell { return sheet.Text(t.CallID.String()) }).asked(),
			col("recordingId", "Recording", "The recording's id.", func(_ *names, t row) sheet.Cell { return sheet.Text(t.RecordingID.String()) }).asked(),
		},
	}
}

// spoken reads the text of a page's transcripts, which the list has shown to the
// actor already; that they were read goes to the audit log with the export.
func (s *Service) spoken(ctx context.Context, n *names, rows []*transcript.Transcript) error {
	ids := make([]id.ID, len(rows))
	for i, t := range rows {
		ids[i] = t.ID
	}
	texts, err := s.d.Transcripts.Texts(db.WithTenant(ctx, n.who.OrganizationID), ids)
	n.more = texts
	return err
}
