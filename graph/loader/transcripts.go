package loader

import (
	"context"
	"sync"

	"switchboard/internal/id"
	"switchboard/internal/transcript"
)

// TranscriptSources are the batch reads of transcripts.
type TranscriptSources struct {
	Transcripts          func(ctx context.Context, ids []id.ID) ([]*transcript.Transcript, error)
	CallTranscripts      func(ctx context.Context, ids []id.ID) (map[id.ID][]*transcript.Transcript, error)
	RecordingTranscripts func(ctx context.Context, ids []id.ID) (map[id.ID][]*transcript.Transcript, error)
	VoicemailTranscripts func(ctx context.Context, ids []id.ID) (map[id.ID]*transcript.Transcript, error)
	TranscriptTexts      func(ctx context.Context, ids []id.ID) (map[id.ID]*string, error)
	TranscriptNotes      func(ctx context.Context, ids []id.ID) (map[id.ID][]*transcript.Note, error)
	NumberTranscriptions func(ctx context.Context, ids []id.ID) (map[id.ID]*transcript.Mode, error)
	Segments             func(ctx context.Context, ids []id.ID, w transcript.Window) (map[id.ID][]*transcript.Segment, error)
}

// TranscriptLoaders are the loaders of transcripts.
type TranscriptLoaders struct {
	Transcripts          *One[transcript.Transcript]
	CallTranscripts      *Many[transcript.Transcript]
	RecordingTranscripts *Many[transcript.Transcript]
	VoicemailTranscripts *Batch[*transcript.Transcript]
	TranscriptTexts      *Batch[*string]
	TranscriptNotes      *Many[transcript.Note]
	NumberTranscriptions *Batch[*transcript.Mode]

	read     func(ctx context.Context, ids []id.ID, w transcript.Window) (map[id.ID][]*transcript.Segment, error)
	mu       sync.Mutex // guards segments
	segments map[transcript.Window]*Many[transcript.Segment]
}

func transcriptLoaders(s TranscriptSources) *TranscriptLoaders {
	return &TranscriptLoaders{
		Transcripts:     one(s.Transcripts, func(x *transcript.Transcript) id.ID { return x.ID }),
		CallTranscripts: many(s.CallTranscripts), RecordingTranscripts: many(s.RecordingTranscripts), VoicemailTranscripts: many(s.VoicemailTranscripts),
		TranscriptTexts: many(s.TranscriptTexts), TranscriptNotes: many(s.TranscriptNotes), NumberTranscriptions: many(s.NumberTranscriptions),
		read: s.Segments, segments: map[transcript.Window]*Many[transcript.Segment]{},
	}
}

// TranscriptSegments loads the same window of the segments of many transcripts.
func (l *TranscriptLoaders) TranscriptSegments(w transcript.Window) *Many[transcript.Segment] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.segments[w] == nil {
		l.segments[w] = many(func(ctx context.Context, ids []id.ID) (map[id.ID][]*transcript.Segment, error) {
			return l.read(ctx, ids, w)
		})
	}
	return l.segments[w]
}

func (r *reader) transcripts(rows []*transcript.Transcript, asked Asked) {
	self := func(t *transcript.Transcript) id.ID { return t.ID }
	read(r, r.Calls, asked("call"), rows, func(t *transcript.Transcript) id.ID { return t.CallID })
	read(r, r.SeenRecordings, asked("recording"), rows, func(t *transcript.Transcript) id.ID { return t.RecordingID })
	read(r, r.Voicemails, asked("voicemail"), rows, func(t *transcript.Transcript) id.ID { return t.VoicemailID })
	read(r, r.Contacts, asked("contact"), rows, func(t *transcript.Transcript) id.ID { return t.ContactID })
	read(r, r.Records, asked("record"), rows, func(t *transcript.Transcript) id.ID { return t.RecordID })
	read(r, r.Branches, asked("branch"), rows, func(t *transcript.Transcript) id.ID { return t.BranchID })
	read(r, r.Numbers, asked("phoneNumber"), rows, func(t *transcript.Transcript) id.ID { return t.PhoneNumberID })
	read(r, r.TranscriptTexts, asked("text"), rows, self)
	notes := flat(read(r, r.TranscriptNotes, asked("notes"), rows, self))
	people := gather(nil, asked("user"), rows, func(t *transcript.Transcript) id.ID { return t.UserID })
	people = gather(people, asked("deletedBy"), rows, func(t *transcript.Transcript) id.ID { return t.DeletedByID })
	people = gather(people, asked("notes", "author"), notes, func(n *transcript.Note) id.ID { return n.AuthorID })
	people = gather(people, asked("notes", "resolvedBy"), notes, func(n *transcript.Note) id.ID { return n.ResolvedByID })
	read(r, r.Users, true, people, itself)
}
