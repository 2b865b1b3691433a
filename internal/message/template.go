package message

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
)

// TemplateKind is what a template is.
type TemplateKind string

// The kinds of template.
const (
	WholeMessage   TemplateKind = "TEMPLATE"
	CannedResponse TemplateKind = "CANNED_RESPONSE"
)

// Purpose is what a template is for (R162).
type Purpose string

// The purposes.
const (
	ForConfirmation  Purpose = "CONFIRMATION"
	ForReminder      Purpose = "REMINDER"
	ForServiceUpdate Purpose = "SERVICE_UPDATE"
	ForInvoice       Purpose = "INVOICE"
	ForSupportReply  Purpose = "SUPPORT_REPLY"
	ForOther         Purpose = "OTHER"
)

// SavedTemplate is a text to be used again (R161).
type SavedTemplate struct {
	bun.BaseModel `bun:"table:message_template,alias:tp"`

	OrganizationID id.ID               `bun:"organization_id,pk,type:uuid"`
	ID             id.ID               `bun:"id,pk,type:uuid"`
	Kind           TemplateKind        `bun:"kind"`
	Name           string              `bun:"name"`
	Body           string              `bun:"body"`
	Purpose        Purpose             `bun:"purpose"`
	RecordKind     *contact.RecordKind `bun:"record_kind"` // nil: the fields of a contact alone
	IsArchived     bool                `bun:"is_archived"`
	CreatedByID    id.ID               `bun:"created_by,type:uuid"`
	Version        int                 `bun:"version"`
	CreatedAt      time.Time           `bun:"created_at"`
	UpdatedAt      time.Time           `bun:"updated_at"`
}

const (
	maxTemplates    = 500 // in use, of an organization
	maxTemplateName = 100
)

// kindOf is the kind of record as FieldsFor takes it.
func kindOf(k *contact.RecordKind) string {
	if k == nil {
		return ""
	}
	return string(*k)
}

// FieldSet are the fields that the template may use.
func (t *SavedTemplate) FieldSet() FieldSet { return FieldsFor(kindOf(t.RecordKind)) }

// Fields are the fields that the template uses, each once (R163).
func (t *SavedTemplate) Fields() []FieldInfo {
	out := []FieldInfo{}
	parsed, err := Parse(t.Body)
	if err != nil {
		return out
	}
	set := t.FieldSet()
	for _, f := range parsed.Fields() {
		info, ok := set.Find(f.Path)
		if info.Path = f.Path; ok && !slices.ContainsFunc(out, func(x FieldInfo) bool { return x.Path == f.Path }) {
			out = append(out, info)
		}
	}
	return out
}

// Template is the text as it is expanded. What is saved was checked; an error
// says which field has gone since.
func (t *SavedTemplate) Template() (*Template, error) {
	parsed, err := Parse(t.Body)
	if err != nil {
		return nil, err
	}
	if problems := parsed.Check(t.FieldSet()); len(problems) > 0 {
		return nil, errs.New(errs.Invalid, "%s", sentences(problems))
	}
	return parsed, nil
}

func sentences(problems []Problem) string {
	words := make([]string, len(problems))
	for i, p := range problems {
		words[i] = p.Message
	}
	return strings.Join(words, "; ")
}

// check is nil for a template that can be saved.
func (t *SavedTemplate) check() error {
	t.Name = strings.TrimSpace(t.Name)
	t.Body = strings.TrimRight(strings.ReplaceAll(t.Body, "\r\n", "\n"), " \t\n")
	switch {
	case t.Name == "":
		return errs.New(errs.Required, "the template has no name; give it one").At("input", "name")
	case !utf8.ValidString(t.Name) || utf8.RuneCountInString(t.Name) > maxTemplateName || strings.ContainsFunc(t.Name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errs.New(errs.Invalid, "a template's name is a line of %d characters at most", maxTemplateName).At("input", "name")
	case strings.ContainsRune(t.Body, 0):
		return errs.New(errs.Invalid, "the text holds characters that cannot be sent; remove them").At("input", "body")
	case t.RecordKind != nil && !t.RecordKind.Known():
		return errs.New(errs.Invalid, "%q is not a kind of record", string(*t.RecordKind)).At("input", "recordKind")
	}
	if _, err := t.Template(); err != nil {
		return blame(err, "body")
	}
	return nil
}

// TemplatesDeps are what Templates works with.
type TemplatesDeps struct {
	DB       *db.DB
	Contacts *contact.Service
	// InUse refuses a template that something in use needs otherwise: as it will be
	// after a change, or archived. It may be nil.
	InUse func(ctx context.Context, tx *db.Tx, t *SavedTemplate) error
}

// Templates keeps templates and canned responses (R161).
type Templates struct{ d TemplatesDeps }

// NewTemplates makes a Templates.
func NewTemplates(d TemplatesDeps) *Templates { return &Templates{d} }

// NewTemplate is what a template is made from.
type NewTemplate struct {
	Kind       TemplateKind
	Name, Body string
	Purpose    Purpose
	RecordKind *contact.RecordKind
}

// Create keeps a template whose fields there are. It needs TEMPLATE_MANAGE. Codes:
// errs.Required, errs.Invalid, errs.Taken, errs.LimitReached.
func (s *Templates) Create(ctx context.Context, who access.Actor, in NewTemplate) (_ *SavedTemplate, err error) {
	defer errs.Wrap(&err, "message.Templates.Create")
	if err := who.Require(access.TemplateManage); err != nil {
		return nil, err
	}
	t := &SavedTemplate{OrganizationID: who.OrganizationID, ID: id.New(id.Template), Kind: in.Kind, Name: in.Name, Body: in.Body, Purpose: in.Purpose,
		RecordKind: in.RecordKind, CreatedByID: who.UserID, Version: 1}
	if err := t.check(); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if n, err := countTemplates(ctx, tx, who.OrganizationID); err != nil {
			return err
		} else if n >= maxTemplates {
			return errs.New(errs.LimitReached, "an organization has %d templates in use at most; archive one first", maxTemplates)
		}
		t.CreatedAt, t.UpdatedAt = tx.Now, tx.Now
		if err := insertTemplate(ctx, tx, t); err != nil {
			return err
		}
		return noteTemplate(ctx, tx, who, "create", t)
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// TemplateChange is what changes about a template.
type TemplateChange struct {
	Name, Body patch.Field[string]
	Purpose    patch.Field[Purpose]
	RecordKind patch.Field[contact.RecordKind]
}

// Update changes a template. It needs TEMPLATE_MANAGE. Codes: errs.Required,
// errs.Invalid, errs.NotFound, errs.Taken, errs.Conflict.
func (s *Templates) Update(ctx context.Context, who access.Actor, template id.ID, in TemplateChange) (_ *SavedTemplate, err error) {
	defer errs.Wrap(&err, "message.Templates.Update(%s)", template)
	return s.change(ctx, who, template, "update", func(t *SavedTemplate) error {
		if t.IsArchived {
			return errs.New(errs.Conflict, "this template was archived; make a new one")
		}
		in.Name.Apply(&t.Name)
		in.Body.Apply(&t.Body)
		if in.Purpose.Has() {
			t.Purpose = in.Purpose.Value
		}
		in.RecordKind.ApplyPtr(&t.RecordKind)
		return t.check()
	})
}

// Archive puts a template away; its name is free again. It needs TEMPLATE_MANAGE.
// Codes: errs.NotFound, errs.Conflict.
func (s *Templates) Archive(ctx context.Context, who access.Actor, template id.ID) (_ *SavedTemplate, err error) {
	defer errs.Wrap(&err, "message.Templates.Archive(%s)", template)
	return s.change(ctx, who, template, "archive", func(t *SavedTemplate) error {
		t.IsArchived = true
		return nil
	})
}

func (s *Templates) change(ctx context.Context, who access.Actor, template id.ID, verb string, fn func(*SavedTemplate) error) (t *SavedTemplate, err error) {
	if err := who.Require(access.TemplateManage); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if t, err = lockTemplate(ctx, tx, template); err != nil {
			return err
		}
		before := *t
		if err := fn(t); err != nil {
			return err
		}
		if t.Name == before.Name && t.Body == before.Body && t.Purpose == before.Purpose && kindOf(t.RecordKind) == kindOf(before.RecordKind) && t.IsArchived == before.IsArchived {
			return nil
		}
		if s.d.InUse != nil {
			if err := s.d.InUse(ctx, tx, t); err != nil {
				return err
			}
		}
		t.Version, t.UpdatedAt = t.Version+1, tx.Now
		if err := saveTemplate(ctx, tx, t); err != nil {
			return err
		}
		return noteTemplate(ctx, tx, who, verb, t)
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

func noteTemplate(ctx context.Context, tx *db.Tx, who access.Actor, verb string, t *SavedTemplate) error {
	return audit.Write(ctx, tx, audit.Entry{ActorID: actorOf(who), Action: "messageTemplate." + verb, Subject: t.ID, Detail: map[string]any{"name": t.Name, "version": t.Version}})
}

// mayReadTemplates is who writes with templates or manages what uses them.
func mayReadTemplates(who access.Actor) bool {
	return who.Can(access.SMSSend) || who.Can(access.TemplateManage) || who.Can(access.AutomationManage)
}

// Get is one template, also an archived one.
func (s *Templates) Get(ctx context.Context, who access.Actor, template id.ID) (*SavedTemplate, error) {
	if !mayReadTemplates(who) {
		return nil, errNoTemplate
	}
	return TemplateByID(access.With(ctx, who), s.d.DB.App(), template)
}

// ByIDs are templates by id, archived ones too, in one statement.
func (s *Templates) ByIDs(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*SavedTemplate, error) {
	if !mayReadTemplates(who) {
		return nil, nil
	}
	rows, err := templatesByIDs(access.With(ctx, who), s.d.DB.App(), ids)
	out := make(map[id.ID]*SavedTemplate, len(rows))
	for _, t := range rows {
		out[t.ID] = t
	}
	return out, err
}

// TemplateFilter says which templates. The zero one is all in use.
type TemplateFilter struct {
	Kind         TemplateKind
	Purpose      Purpose
	RecordKind   contact.RecordKind // its own, and those of a contact alone
	Search       string             // in the name or the text
	WithArchived bool
}

const maxTemplateSearch = 100

// List is a page of templates, newest first. It needs SMS_SEND or TEMPLATE_MANAGE.
func (s *Templates) List(ctx context.Context, who access.Actor, f TemplateFilter, p db.Page) (w db.Window[*SavedTemplate], err error) {
	defer errs.Wrap(&err, "message.Templates.List")
	if !mayReadTemplates(who) {
		return w, who.Require(access.SMSSend)
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	if f.Search = strings.TrimSpace(f.Search); utf8.RuneCountInString(f.Search) > maxTemplateSearch || !utf8.ValidString(f.Search) || strings.ContainsRune(f.Search, 0) {
		return w, errs.New(errs.Invalid, "search for %d characters at most", maxTemplateSearch).At("filter", "search")
	}
	rows, err := listTemplates(access.With(ctx, who), s.d.DB.App(), f, after, limit+1)
	if err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(t *SavedTemplate) db.Keyset { return db.Keyset{At: t.CreatedAt, ID: t.ID} }), nil
}

// TemplatePreview says what to merge into what.
type TemplatePreview struct {
	TemplateID          id.ID  // or
	Body                string // a text that is not saved
	ContactID, RecordID id.ID  // the record's contact stands in for none
}

// Previewed is what becomes of a text.
type Previewed struct {
	Body     string // fields without a value stay as they are written
	Size     Size
	Missing  []string // what has neither a value nor a fallback
	Problems []string
}

// Preview expands a text with what the actor may see of a contact and a record: a
// number that is hidden from them is not merged (R241). It needs SMS_SEND. Codes:
// errs.Required, errs.Invalid, errs.NotFound.
func (s *Templates) Preview(ctx context.Context, who access.Actor, in TemplatePreview) (_ *Previewed, err error) {
	defer errs.Wrap(&err, "message.Templates.Preview")
	if err := who.Require(access.SMSSend); err != nil {
		return nil, err
	}
	ctx = access.With(ctx, who)
	t := &SavedTemplate{Body: in.Body}
	switch {
	case in.TemplateID.IsZero() == (in.Body == ""):
		return nil, errs.New(errs.Required, "give a template or a text, one of the two").At("input", "body")
	case utf8.RuneCountInString(in.Body) > MaxBody:
		return nil, errs.New(errs.Invalid, "the text has more than %d characters; shorten it", MaxBody).At("input", "body")
	case !in.TemplateID.IsZero():
		if t, err = s.Get(ctx, who, in.TemplateID); err != nil {
			return nil, blame(err, "templateId")
		}
	}
	facts, zone, err := s.facts(ctx, who, in.ContactID, in.RecordID)
	if err != nil {
		return nil, err
	}
	out := &Previewed{Body: t.Body, Missing: []string{}, Problems: []string{}}
	parsed, err := Parse(t.Body)
	if err != nil {
		e, _ := errs.As(err)
		out.Problems, out.Size = append(out.Problems, e.Message), Measure(t.Body)
		return out, nil
	}
	kind := t.RecordKind
	if r := facts.Record; r != nil {
		if kind != nil && *kind != r.Kind {
			out.Problems = append(out.Problems, fmt.Sprintf("the template is for a record of the kind %s; this one is of the kind %s: choose another template", *kind, r.Kind))
		}
		if in.TemplateID.IsZero() {
			kind = &r.Kind
		}
	}
	for _, p := range parsed.Check(FieldsFor(kindOf(kind))) {
		out.Problems = append(out.Problems, p.Message)
	}
	values := facts.Values()
	_, missing := parsed.Expand(values, zone)
	for _, m := range missing {
		if !slices.Contains(out.Missing, m.Path) {
			out.Missing = append(out.Missing, m.Path)
			values[m.Path] = "{{" + m.Path + "}}" // values are never read as templates
		}
	}
	out.Body, _ = parsed.Expand(values, zone)
	if out.Size = Measure(out.Body); utf8.RuneCountInString(out.Body) > MaxBody {
		out.Problems = append(out.Problems, fmt.Sprintf("with its fields the text has more than %d characters; shorten it", MaxBody))
	}
	return out, nil
}
