package export

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/sheet"
)

// column is one column of a list of T.
type column[T any] struct {
	Column
	needs access.Permission // whoever lacks it has no such column; "" is everybody
	value func(n *names, row T) sheet.Cell
}

// list is how the rows of one kind are read: as its domain lists them, with a
// filter F.
type list[T, F any] struct {
	needs   []access.Permission
	columns []column[T]
	// read is the domain's own list, which decides what the actor sees and how.
	read func(ctx context.Context, who access.Actor, f F, p db.Page) (db.Window[T], error)
	// count is how many rows there are; nil where that is not known cheaply.
	count func(ctx context.Context, who access.Actor, f F) (int, error)
	// refs are the ids whose names the columns show.
	refs func(row T) []id.ID
	// more reads what else the columns show of a page; may be nil.
	more func(ctx context.Context, n *names, rows []T) error
}

// source is a list without its types.
type source interface {
	needed() []access.Permission
	offered(who access.Actor) []Column
	// check is an error for a filter that the list does not take.
	check(ctx context.Context, who access.Actor, filter json.RawMessage) error
	estimate(ctx context.Context, who access.Actor, filter json.RawMessage) (*int, error)
	// page reads rows after a cursor and gives the next one, "" at the end.
	page(ctx context.Context, n *names, filter json.RawMessage, columns []string, after string, batch int, row func([]sheet.Cell) error) (next string, err error)
}

func (l *list[T, F]) needed() []access.Permission { return l.needs }

func (l *list[T, F]) offered(who access.Actor) []Column {
	out := []Column{}
	for _, c := range l.columns {
		if c.needs == "" || who.Can(c.needs) {
			out = append(out, c.Column)
		}
	}
	return out
}

func decode[F any](filter json.RawMessage) (f F, err error) {
	d := json.NewDecoder(bytes.NewReader(filter))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, errs.New(errs.Internal, "the filter of the export cannot be read").Because(err)
	}
	return f, nil
}

func (l *list[T, F]) check(ctx context.Context, who access.Actor, filter json.RawMessage) error {
	f, err := decode[F](filter)
	if err != nil {
		return err
	}
	_, err = l.read(ctx, who, f, db.Page{First: 1})
	return err
}

func (l *list[T, F]) estimate(ctx context.Context, who access.Actor, filter json.RawMessage) (*int, error) {
	if l.count == nil {
		return nil, nil
	}
	f, err := decode[F](filter)
	if err != nil {
		return nil, err
	}
	n, err := l.count(ctx, who, f)
	return &n, err
}

func (l *list[T, F]) page(ctx context.Context, n *names, filter json.RawMessage, columns []string, after string, batch int, row func([]sheet.Cell) error) (next string, err error) {
	f, err := decode[F](filter)
	if err != nil {
		return "", err
	}
	w, err := l.read(ctx, n.who, f, db.Page{First: batch, After: after, Batch: true})
	if err != nil {
		return "", err
	}
	n.columns = columns
	var refs []id.ID
	for _, x := range w.Nodes {
		refs = append(refs, l.refs(x)...)
	}
	if err := n.load(ctx, refs); err != nil {
		return "", err
	}
	if l.more != nil && len(w.Nodes) > 0 {
		if err := l.more(ctx, n, w.Nodes); err != nil {
			return "", err
		}
	}
	chosen := make([]column[T], len(columns))
	for i, name := range columns {
		at := slices.IndexFunc(l.columns, func(c column[T]) bool { return c.Name == name })
		if at < 0 {
			return "", errs.New(errs.Internal, "there is no column %s any more", name)
		}
		if chosen[i] = l.columns[at]; chosen[i].needs != "" {
			if err := n.who.Require(chosen[i].needs); err != nil {
				return "", err
			}
		}
	}
	cells := make([]sheet.Cell, len(chosen))
	for _, x := range w.Nodes {
		for i := range chosen {
			cells[i] = chosen[i].value(n, x)
		}
		if err := row(cells); err != nil {
			return "", err
		}
	}
	if w.HasNext {
		next = w.EndCursor()
	}
	return next, nil
}

// names are the names of what the rows of one page point at, as the actor may see
// them. People, branches and numbers are few and are kept from page to page.
type names struct {
	s    *Service
	who  access.Actor
	kept map[id.ID]string
	page map[id.ID]string
	more any // of the list, for this page
	// columns are those that are written.
	columns []string
}

func (n *names) of(x id.ID) sheet.Cell { return sheet.Text(n.text(x)) }

func (n *names) text(x id.ID) string {
	if s, ok := n.kept[x]; ok {
		return s
	}
	return n.page[x]
}

func (n *names) load(ctx context.Context, refs []id.ID) error {
	if len(n.kept) > 20_000 {
		clear(n.kept)
	}
	n.page, n.more = map[id.ID]string{}, nil
	return n.alsoLoad(ctx, refs)
}

// alsoLoad is load for more of the same page.
func (n *names) alsoLoad(ctx context.Context, refs []id.ID) error {
	wanted, seen := map[id.Kind][]id.ID{}, map[id.ID]bool{}
	for _, x := range refs {
		if _, known := n.kept[x]; known || x.IsZero() || seen[x] {
			continue
		}
		seen[x] = true
		wanted[x.Kind()] = append(wanted[x.Kind()], x)
	}
	for kind, ids := range wanted {
		if err := n.read(ctx, kind, ids); err != nil {
			return err
		}
	}
	return nil
}

func (n *names) read(ctx context.Context, kind id.Kind, ids []id.ID) error {
	d := n.s.d
	switch kind {
	case id.User:
		rows, err := d.Users.ByIDs(ctx, ids)
		for _, u := range rows {
			n.kept[u.ID] = u.Name
		}
		return err
	case id.Branch:
		rows, err := d.Numbers.BranchesByIDs(ctx, ids)
		for x, b := range rows {
			n.kept[x] = b.Name
		}
		return err
	case id.PhoneNumber:
		rows, err := d.Numbers.ByIDs(ctx, ids)
		for x, p := range rows {
			n.kept[x] = string(p.E164)
		}
		return err
	case id.Contact:
		rows, err := d.Contacts.Named(ctx, n.who, ids)
		for x, c := range rows {
			n.page[x] = c.NameFor(n.who)
		}
		return err
	case id.Record:
		rows, err := d.Contacts.RecordsNamed(ctx, n.who, ids)
		for x, r := range rows {
			n.page[x] = r.Title
		}
		return err
	case id.Campaign:
		rows, err := d.Contacts.CampaignsByIDs(ctx, n.who, ids)
		for x, c := range rows {
			n.page[x] = c.Name
		}
		return err
	case id.APIKey:
		rows, err := d.Keys(ctx, ids)
		for x, name := range rows {
			n.kept[x] = name
		}
		return err
	}
	return nil
}

// The cells of what may be missing.

func words[S ~string](s *S) sheet.Cell {
	if s == nil {
		return sheet.Cell{}
	}
	return sheet.Text(string(*s))
}

func whole(n *int) sheet.Cell {
	if n == nil {
		return sheet.Cell{}
	}
	return sheet.Int(int64(*n))
}

func micros(n *int64) sheet.Cell {
	if n == nil {
		return sheet.Cell{}
	}
	return sheet.Micros(*n)
}

func moment(t *time.Time) sheet.Cell {
	if t == nil {
		return sheet.Cell{}
	}
	return sheet.Time(*t)
}

// conditionsOf lists what a domain's filter says, by the names of the contract.
func conditionsOf(filter any) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	v := reflect.Indirect(reflect.ValueOf(filter))
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if v.Field(i).IsZero() || !f.IsExported() {
			continue
		}
		b, err := json.Marshal(v.Field(i).Interface())
		if err != nil {
			continue // a filter holds values only
		}
		name := strings.ToLower(f.Name[:1]) + f.Name[1:]
		if strings.HasSuffix(name, "ID") {
			name = strings.TrimSuffix(name, "ID") + "Id"
		}
		out[name] = b
	}
	return out
}

// audited is what the audit log keeps of the conditions: no number and no word that
// somebody looked for.
func audited(given map[string]json.RawMessage) map[string]any {
	out := map[string]any{}
	for name, raw := range given {
		var v any
		if json.Unmarshal(raw, &v) != nil {
			continue
		}
		switch name {
		case "number":
			s, _ := v.(string)
			v = phone.Mask(phone.E164(s))
		case "search", "text", "nameStartsWith", "subject":
			v = "…"
		}
		out[name] = v
	}
	return out
}
