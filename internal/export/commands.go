package export

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/blob"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/message"
	"switchboard/internal/number"
	"switchboard/internal/recording"
	"switchboard/internal/sheet"
	"switchboard/internal/transcript"
	"switchboard/internal/user"
	"switchboard/internal/voicemail"
)

const (
	// keep is how long a file is kept.
	keep = 7 * 24 * time.Hour
	// maxWaiting is how many exports of an organization may wait or run.
	maxWaiting = 50
	// running is how many of an organization are written at a time.
	running = 2

	maxCSV   = 5_000_000
	maxXLSX  = sheet.MaxRows
	maxAudio = 100_000
)

// Deps are what a Service works with.
type Deps struct {
	DB    *db.DB
	Blobs *blob.Store
	// Authority is what a user or API key may do now; an error of errs when they may do nothing any more.
	Authority func(ctx context.Context, organization, maker id.ID) (access.Actor, error)
	// Keys are the names of API keys.
	Keys func(ctx context.Context, ids []id.ID) (map[id.ID]string, error)
	// Zone is the organization's time zone.
	Zone func(ctx context.Context) (string, error)

	Users       *user.Service
	Numbers     *number.Service
	Contacts    *contact.Service
	Calls       *call.Service
	Messages    *message.Service
	Recordings  *recording.Service
	Voicemails  *voicemail.Service
	Transcripts *transcript.Service
	FollowUps   *followup.Service
	Logger      *slog.Logger

	// Batch is how many rows are read at once; 0 is 2,000.
	Batch int
	// TellEvery is how often clients are told of progress, at most; 0 is every second. A time of machines, not of the clock.
	TellEvery time.Duration
}

// Service makes exports.
type Service struct {
	d       Deps
	sources map[Kind]source
}

// New makes a Service; Register has it work.
func New(d Deps) *Service {
	if d.Batch == 0 {
		d.Batch = 2000
	}
	if d.TellEvery == 0 {
		d.TellEvery = time.Second
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	s := &Service{d: d}
	s.sources = map[Kind]source{
		Calls: s.calls(), Messages: s.messages(), Recordings: s.recordings(), Voicemails: s.voicemails(), FollowUps: s.followUps(),
		Contacts: s.contacts(), Records: s.records(), Audit: s.auditLog(), Transcripts: s.transcripts(), RecordingAudio: audio{s.recordings()},
	}
	return s
}

// audio is the list of recordings for whoever may take their sound away.
type audio struct{ source }

func (a audio) needed() []access.Permission {
	return append(slices.Clone(a.source.needed()), access.RecordingExport)
}

func (audio) offered(access.Actor) []Column { return []Column{} }

// may is an error unless the actor may export this: FORBIDDEN, naming the permission.
func (s *Service) may(who access.Actor, kind Kind) error {
	if err := who.Require(access.ReportExport); err != nil {
		return err
	}
	for _, p := range s.sources[kind].needed() {
		if err := who.Require(p); err != nil {
			return err
		}
	}
	return nil
}

// Columns are those that an export of the kind can have for the actor.
func (s *Service) Columns(who access.Actor, kind Kind) ([]Column, error) {
	if err := s.may(who, kind); err != nil {
		return nil, err
	}
	return s.sources[kind].offered(who), nil
}

// NewExport is an export to make.
type NewExport struct {
	Kind              Kind
	Format            Format   // "": CSV, or ZIP for audio
	Columns           []string // nil: the default ones
	TimeZone          string   // "": the organization's
	Delimiter         Delimiter
	WithByteOrderMark *bool
	Filter            any // of the list's domain; nil: none
}

// complete fills in what is not said and refuses what cannot be done.
func (s *Service) complete(ctx context.Context, who access.Actor, in NewExport) (e *Export, given map[string]json.RawMessage, err error) {
	src := s.sources[in.Kind]
	e = &Export{OrganizationID: who.OrganizationID, ID: id.New(id.Export), Kind: in.Kind, Format: in.Format, Columns: []string{},
		TimeZone: in.TimeZone, Delimiter: in.Delimiter, WithByteOrderMark: in.WithByteOrderMark == nil || *in.WithByteOrderMark,
		Status: Queued, CreatedByID: who.ID(), Version: 1}
	zip := in.Kind == RecordingAudio
	switch {
	case e.Format == "" && zip:
		e.Format = ZIP
	case e.Format == "":
		e.Format = CSV
	case zip != (e.Format == ZIP):
		return nil, nil, errs.New(errs.Unsupported, "audio is exported as ZIP, and lists as CSV or XLSX").At("input", "format")
	}
	if e.Delimiter == "" {
		e.Delimiter = Comma
	}
	if e.TimeZone == "" {
		if e.TimeZone, err = s.d.Zone(ctx); err != nil {
			return nil, nil, err
		}
	} else if _, err := time.LoadLocation(e.TimeZone); err != nil || len(e.TimeZone) > 64 || e.TimeZone == "Local" {
		return nil, nil, errs.New(errs.Invalid, "there is no such time zone; write one such as Australia/Sydney").At("input", "timeZone")
	}
	if !zip {
		if e.Columns, err = choose(src.offered(who), in.Columns); err != nil {
			return nil, nil, err
		}
	} else if in.Columns != nil {
		return nil, nil, errs.New(errs.Unsupported, "the manifest of audio has all its columns; leave them out").At("input", "columns")
	}
	given = map[string]json.RawMessage{}
	e.Filter = json.RawMessage("{}")
	if in.Filter != nil {
		given = conditionsOf(in.Filter)
		if e.Filter, err = json.Marshal(in.Filter); err != nil {
			return nil, nil, err
		}
	}
	if e.Given, err = json.Marshal(given); err != nil {
		return nil, nil, err
	}
	if len(e.Filter) > 64<<10 {
		return nil, nil, errs.New(errs.Invalid, "the filter is too long").At("input")
	}
	return e, given, src.check(ctx, who, e.Filter)
}

// choose takes columns by their names.
func choose(offered []Column, names []string) ([]string, error) {
	out := []string{}
	if names == nil {
		for _, c := range offered {
			if c.IsDefault {
				out = append(out, c.Name)
			}
		}
		return out, nil
	}
	if len(names) == 0 {
		return nil, errs.New(errs.Required, "no column is chosen; name some of exportColumns").At("input", "columns")
	}
	for _, name := range names {
		switch {
		case !slices.ContainsFunc(offered, func(c Column) bool { return c.Name == name }):
			if len(name) > 40 {
				name = name[:40] + "…"
			}
			return nil, errs.New(errs.Invalid, "there is no column %q; exportColumns lists yours", strings.ToValidUTF8(name, "")).At("input", "columns")
		case slices.Contains(out, name):
			return nil, errs.New(errs.Invalid, "the column %s is named twice", name).At("input", "columns")
		}
		out = append(out, name)
	}
	return out, nil
}

// fileName is what the file is called when it is saved.
func fileName(e *Export, now time.Time) string {
	if zone, err := time.LoadLocation(e.TimeZone); err == nil {
		now = now.In(zone)
	}
	kind := strings.ReplaceAll(strings.ToLower(string(e.Kind)), "_", "-")
	return fmt.Sprintf("%s-%s.%s", kind, now.Format("2006-01-02-1504"), strings.ToLower(string(e.Format)))
}

// Create asks for an export. It needs REPORT_EXPORT and the permissions of the
// list. Codes: errs.Forbidden, errs.Invalid, errs.LimitReached.
func (s *Service) Create(ctx context.Context, who access.Actor, in NewExport, key string) (e *Export, err error) {
	defer errs.Wrap(&err, "export.Create(%s)", in.Kind)
	if s.sources[in.Kind] == nil {
		return nil, errs.New(errs.Invalid, "there is no such kind of export").At("input", "kind")
	}
	if err := s.may(who, in.Kind); err != nil {
		return nil, err
	}
	ctx = access.With(ctx, who)
	fresh, given, err := s.complete(ctx, who, in)
	if err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		made, err := job.Once(ctx, tx, job.Key{User: who.ID(), Mutation: "exportCreate", Key: key}, in, func() (id.ID, error) {
			if n, err := waiting(ctx, tx, who.OrganizationID); err != nil {
				return id.ID{}, err
			} else if n >= maxWaiting {
				return id.ID{}, errs.New(errs.LimitReached, "%d exports are waiting; let some end, or end them, first", n)
			}
			fresh.CreatedAt, fresh.UpdatedAt, fresh.FileName = tx.Now, tx.Now, fileName(fresh, tx.Now)
			if err := insert(ctx, tx, fresh); err != nil {
				return id.ID{}, err
			}
			detail := map[string]any{"kind": fresh.Kind, "format": fresh.Format, "columns": fresh.Columns, "filter": audited(given)}
			if err := audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "export.create", Subject: fresh.ID, Detail: detail}); err != nil {
				return id.ID{}, err
			}
			return fresh.ID, ask(ctx, tx, fresh)
		})
		if err != nil {
			return err
		}
		e, err = one(ctx, tx, who.OrganizationID, made)
		return err
	})
	return e, err
}

// seenBy reports whether the actor may know of the export: whoever made it, and
// whoever reads the audit log.
func seenBy(who access.Actor, e *Export) bool {
	return who.OrganizationID == e.OrganizationID && (who.System || who.Can(access.AuditView) || who.ID() == e.CreatedByID)
}

func absent() error { return errs.New(errs.NotFound, "there is no such export") }

// Get is one export. Code: errs.NotFound.
func (s *Service) Get(ctx context.Context, who access.Actor, export id.ID) (_ *Export, err error) {
	defer errs.Wrap(&err, "export.Get(%s)", export)
	if !who.Known() {
		return nil, absent()
	}
	e, err := one(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), who.OrganizationID, export)
	if err != nil {
		return nil, err
	}
	if !seenBy(who, e) {
		return nil, absent()
	}
	return e.shownTo(who), nil
}

// shownTo hides from others than its maker the numbers and words that were looked for,
// as the audit log does.
func (e *Export) shownTo(who access.Actor) *Export {
	if Owns(who, e) {
		return e
	}
	var given map[string]json.RawMessage
	hidden := []byte("{}")
	if json.Unmarshal(e.Given, &given) == nil {
		if b, err := json.Marshal(audited(given)); err == nil {
			hidden = b
		}
	}
	e.Given = hidden
	return e
}

// Visible are those of the exports that the actor may know of.
func (s *Service) Visible(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*Export, error) {
	out := map[id.ID]*Export{}
	if !who.Known() {
		return out, nil
	}
	rows, err := many(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), who.OrganizationID, ids)
	for _, e := range rows {
		if seenBy(who, e) {
			out[e.ID] = e.shownTo(who)
		}
	}
	return out, err
}

// Filter narrows a list of exports.
type Filter struct {
	Kind     Kind
	Statuses []Status
}

// List is a page of one's own exports, newest first; with AUDIT_VIEW of all. It
// needs REPORT_EXPORT.
func (s *Service) List(ctx context.Context, who access.Actor, f Filter, p db.Page) (w db.Window[*Export], err error) {
	defer errs.Wrap(&err, "export.List")
	if err := who.Require(access.ReportExport); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	maker := who.ID()
	if who.Can(access.AuditView) {
		maker = id.ID{}
	}
	rows, err := page(db.WithTenant(ctx, who.OrganizationID), s.d.DB.App(), who.OrganizationID, maker, f, after, limit+1)
	if err != nil {
		return w, err
	}
	for _, e := range rows {
		e.shownTo(who)
	}
	return db.NewWindow(rows, limit, func(e *Export) db.Keyset { return db.Keyset{At: e.CreatedAt, ID: e.ID} }), nil
}

// Cancel ends an export: its own maker may, and whoever reads the audit log. What
// was written is erased; one that has ended stays as it is.
func (s *Service) Cancel(ctx context.Context, who access.Actor, export id.ID) (e *Export, err error) {
	defer errs.Wrap(&err, "export.Cancel(%s)", export)
	if err := who.Require(access.ReportExport); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if e, err = lock(ctx, tx, who.OrganizationID, export); err != nil {
			return err
		}
		if !seenBy(who, e) {
			return absent()
		}
		if e.Status != Queued && e.Status != Running && e.Status != Done {
			return nil
		}
		e.Status, e.EndedAt, e.ExpiresAt = Canceled, &tx.Now, &tx.Now
		if err := save(ctx, tx, e); err != nil {
			return err
		}
		if err := audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "export.cancel", Subject: e.ID, Detail: map[string]any{"kind": e.Kind, "rows": e.RowCount}}); err != nil {
			return err
		}
		if err := tell(ctx, tx, e, who.ID()); err != nil {
			return err
		}
		// Whoever writes it finds out at the next batch; what was done, or never began, is erased at once.
		return s.eraseSoon(ctx, tx, e)
	})
	if err != nil {
		return nil, err
	}
	return e.shownTo(who), nil
}

// Owns reports whether the actor made the export; only they get its file.
func Owns(who access.Actor, e *Export) bool {
	return who.OrganizationID == e.OrganizationID && who.ID() == e.CreatedByID
}

// Downloadable reports whether the actor could open the file now.
func (s *Service) Downloadable(who access.Actor, e *Export) bool {
	return e.Status == Done && Owns(who, e) && s.permits(who, e) == nil
}

// Info describes a file.
type Info struct {
	Name, ContentType string
	Size              int64
	ChangedAt         time.Time
}

var contentTypes = map[Format]string{
	CSV: "text/csv; charset=utf-8", XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ZIP: "application/zip",
}

// again is how long one entry of the audit log covers: programs ask for many ranges of one file.
const again = 5 * time.Minute

// Open opens the file for whoever asked for it, while they still see all that was
// written into it; that they got it is written to the audit log. Codes: errs.NotFound;
// errs.Forbidden when they see less now; errs.Conflict while there is no file, or
// none any more.
func (s *Service) Open(ctx context.Context, who access.Actor, export id.ID) (_ io.ReadSeekCloser, info Info, err error) {
	defer errs.Wrap(&err, "export.Open(%s)", export)
	e, err := s.Get(ctx, who, export)
	if err != nil {
		return nil, info, err
	}
	if !Owns(who, e) {
		return nil, info, absent()
	}
	if err := s.permits(who, e); err != nil {
		return nil, info, err
	}
	switch {
	case e.Status == Expired || e.Status == Canceled:
		return nil, info, errs.New(errs.NotFound, "the file of this export was erased; make another export")
	case e.Status != Done || e.MediaKey == nil:
		return nil, info, errs.New(errs.Conflict, "the export is %s; its file is there when it is DONE", e.Status)
	case !e.ExpiresAt.After(s.d.DB.Clock().Now()):
		return nil, info, errs.New(errs.NotFound, "the file of this export was erased; make another export")
	}
	err = s.d.DB.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if known, err := lately(ctx, tx, who, e.ID); err != nil || known {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "export.download", Subject: e.ID,
			Detail: map[string]any{"kind": e.Kind, "rows": e.RowCount, "bytes": e.ByteCount}})
	})
	if err != nil {
		return nil, info, err
	}
	f, b, err := s.d.Blobs.Open(ctx, e.OrganizationID, *e.MediaKey)
	if err != nil {
		return nil, info, err
	}
	return f, Info{Name: e.FileName, ContentType: contentTypes[e.Format], Size: b.Size, ChangedAt: e.UpdatedAt}, nil
}

// tell appends the event that the export went on.
func tell(ctx context.Context, tx *db.Tx, e *Export, actor id.ID) error {
	data, err := json.Marshal(map[string]any{"maker": e.CreatedByID, "status": e.Status, "rows": e.RowCount})
	if err != nil {
		return err
	}
	return event.Append(ctx, tx, event.Event{Kind: Updated, Subject: e.ID, ActorID: actor, Data: data})
}
