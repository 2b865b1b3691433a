package graph

import (
	"context"

	"switchboard/graph/loader"
	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/export"
	"switchboard/internal/id"
	"switchboard/internal/route"
	"switchboard/internal/transcript"
)

// newExport is the input of exportCreate as the domain takes it.
func (r *Resolver) newExport(ctx context.Context, in model.ExportCreateInput) (out export.NewExport, err error) {
	out = export.NewExport{Kind: in.Kind, Format: given(in.Format), Columns: in.Columns.Value(), TimeZone: given(in.TimeZone),
		Delimiter: given(in.Delimiter), WithByteOrderMark: in.WithByteOrderMark.Value()}
	for _, f := range []struct {
		field string
		isSet bool
		kinds []export.Kind
		take  func() (any, error)
	}{
		{"calls", in.Calls.Value() != nil, []export.Kind{export.Calls}, func() (any, error) { return callFilter(in.Calls.Value()), nil }},
		{"messages", in.Messages.Value() != nil, []export.Kind{export.Messages}, func() (any, error) { return r.messageFilter(ctx, in.Messages.Value()) }},
		{"recordings", in.Recordings.Value() != nil, []export.Kind{export.Recordings, export.RecordingAudio}, func() (any, error) { return recordingFilter(in.Recordings.Value()), nil }},
		{"voicemails", in.Voicemails.Value() != nil, []export.Kind{export.Voicemails}, func() (any, error) { return voicemailFilter(in.Voicemails.Value()), nil }},
		{"transcripts", in.Transcripts.Value() != nil, []export.Kind{export.Transcripts}, func() (any, error) { return transcriptFilter(in.Transcripts.Value()), nil }},
		{"followUps", in.FollowUps.Value() != nil, []export.Kind{export.FollowUps}, func() (any, error) { return followUpFilter(in.FollowUps.Value()), nil }},
		{"contacts", in.Contacts.Value() != nil, []export.Kind{export.Contacts}, func() (any, error) { return contactFilter(in.Contacts.Value()), nil }},
		{"records", in.Records.Value() != nil, []export.Kind{export.Records}, func() (any, error) { return recordFilter(in.Records.Value()), nil }},
		{"audit", in.Audit.Value() != nil, []export.Kind{export.Audit}, func() (any, error) { return auditFilter(in.Audit.Value()), nil }},
	} {
		if !f.isSet {
			continue
		}
		fits := false
		for _, k := range f.kinds {
			fits = fits || k == in.Kind
		}
		if !fits {
			return out, errs.New(errs.Invalid, "this is no filter for %s; leave it out", in.Kind).At("input", f.field)
		}
		if out.Filter, err = f.take(); err != nil {
			return out, err
		}
	}
	return out, nil
}

func auditFilter(f *model.AuditFilter) audit.Filter {
	if f == nil {
		return audit.Filter{}
	}
	return audit.Filter{ActorID: given(f.ActorID), Action: given(f.Action), SubjectID: given(f.SubjectID), SubjectKind: given(f.SubjectKind),
		IsAccess: f.IsAccess.Value(), From: given(f.From), Until: given(f.Until), Text: given(f.Text)}
}

// exports is a page of exports.
func (r *Resolver) exports(ctx context.Context, f *model.ExportFilter, p db.Page) (*model.ExportConnection, error) {
	filter := export.Filter{}
	if f != nil {
		filter = export.Filter{Kind: given(f.Kind), Statuses: f.Statuses.Value()}
	}
	w, err := r.d.Exports.List(ctx, access.From(ctx), filter, p)
	if err != nil {
		return nil, err
	}
	c := &model.ExportConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *export.Export) *model.ExportEdge {
		return &model.ExportEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

// exportLink is where the actor gets the file; nil when they cannot.
func (r *Resolver) exportLink(ctx context.Context, e *export.Export) (*string, error) {
	who := access.From(ctx)
	if !r.d.Exports.Downloadable(who, e) {
		return nil, nil
	}
	link, err := r.d.Link(who, e.ID)
	if err != nil {
		return nil, err
	}
	return &link, nil
}

// auditEntries is a page of the audit log.
func (r *Resolver) auditEntries(ctx context.Context, f *model.AuditFilter, p db.Page) (*model.AuditEntryConnection, error) {
	who := access.From(ctx)
	if err := who.Require(access.AuditView); err != nil {
		return nil, err
	}
	w, err := r.d.Audit(ctx, auditFilter(f), p)
	if err != nil {
		return nil, err
	}
	c := &model.AuditEntryConnection{}
	c.Edges, c.Nodes, c.PageInfo, err = edges(ctx, p, w, func(cursor string, x *audit.Entry) *model.AuditEntryEdge {
		return &model.AuditEntryEdge{Cursor: cursor, Node: x}
	})
	return c, err
}

// auditEntry is one entry for whoever may read the log.
func (r *Resolver) auditEntry(ctx context.Context, x id.ID) (*audit.Entry, error) {
	if !access.From(ctx).Can(access.AuditView) {
		return nil, nil
	}
	return loader.Load(ctx, loader.From(ctx).AuditEntries, x)
}

// actorName is who did it, in words.
func actorName(ctx context.Context, x id.ID) (string, error) {
	switch x.Kind() {
	case id.User:
		u, err := loader.Load(ctx, loader.From(ctx).Users, x)
		if err != nil {
			return "", err
		}
		if u != nil {
			return u.Name, nil
		}
	case id.APIKey:
		k, err := loader.Load(ctx, loader.From(ctx).APIKeys, x)
		if err != nil {
			return "", err
		}
		if k != nil {
			return k.Name, nil
		}
	}
	if x.IsZero() {
		return "the server", nil
	}
	return x.String(), nil
}

// auditSubject is what an entry is about, for whoever may see it. What many entries
// are about is read by batches.
func (r *Resolver) auditSubject(ctx context.Context, x id.ID) (model.Node, error) {
	l := loader.From(ctx)
	switch x.Kind() {
	case id.User:
		return anything(loader.Load(ctx, l.Users, x))
	case id.Role:
		return anything(loader.Load(ctx, l.Roles, x))
	case id.Branch:
		return anything(loader.Load(ctx, l.Branches, x))
	case id.PhoneNumber:
		return anything(loader.Load(ctx, l.Numbers, x))
	case id.Call:
		return anything(loader.Load(ctx, l.Calls, x))
	case id.Recording:
		return anything(loader.Load(ctx, l.SeenRecordings, x))
	case id.Voicemail:
		return anything(loader.Load(ctx, l.Voicemails, x))
	case id.Export:
		return anything(loader.Load(ctx, l.Exports, x))
	}
	if x.IsZero() {
		return nil, nil
	}
	return r.node(ctx, x)
}

// revealed writes to the audit log that the actor is shown the numbers that masked
// pairs hide from others.
func (r *Resolver) revealed(ctx context.Context, pairs []id.ID) (map[id.ID]bool, error) {
	return nil, r.d.Accessed(ctx, "masked_pair.reveal", pairs)
}

// shown is an end of a call, of which the audit log knows before it is seen when it
// shows what the masked pair hides from others: once in an answer, however many show it.
func shown(ctx context.Context, p route.Party, pair id.ID) (*route.Party, error) {
	if pair.IsZero() {
		return &p, nil
	}
	_, err := loader.From(ctx).Reveals.Load(ctx, pair)
	return &p, err
}

// outside is one end of a call; the other is a number of ours.
func outside(ctx context.Context, c *call.Call, p route.Party, theirs bool) (*route.Party, error) {
	if !theirs {
		return &p, nil
	}
	return shown(ctx, p, loader.RevealedByCall(access.From(ctx), c))
}

// textsRead is a read of transcripts' texts that the audit log is told of.
func (r *Resolver) textsRead(read func(context.Context, []id.ID) (map[id.ID]*string, error)) func(context.Context, []id.ID) (map[id.ID]*string, error) {
	return func(ctx context.Context, ids []id.ID) (map[id.ID]*string, error) {
		if err := r.d.Accessed(ctx, "transcript.read", ids); err != nil {
			return nil, err
		}
		return read(ctx, ids)
	}
}

// segmentsRead is the same for their segments.
func (r *Resolver) segmentsRead(read func(context.Context, []id.ID, transcript.Window) (map[id.ID][]*transcript.Segment, error)) func(context.Context, []id.ID, transcript.Window) (map[id.ID][]*transcript.Segment, error) {
	return func(ctx context.Context, ids []id.ID, w transcript.Window) (map[id.ID][]*transcript.Segment, error) {
		if err := r.d.Accessed(ctx, "transcript.read", ids); err != nil {
			return nil, err
		}
		return read(ctx, ids, w)
	}
}
