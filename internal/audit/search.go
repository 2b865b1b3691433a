package audit

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// Filter narrows a list of entries. The zero Filter is all of them.
type Filter struct {
	ActorID     id.ID  // a user or API key
	Action      string // or how it begins
	SubjectID   id.ID
	SubjectKind string // the prefix of the subject's id: user, num, call
	IsAccess    *bool
	From, Until time.Time // Until is excluded
	Text        string
}

const (
	columns = `e.organization_id, e.id, e.actor_id, e.action, e.subject, e.detail, e.at, e.client_address, e.user_agent`
	minText = 2
	maxText = 200
	maxWord = 8
)

func bad(field, format string, args ...any) error {
	return errs.New(errs.Invalid, format, args...).At("filter", field)
}

// check finds what cannot be looked for.
func (f Filter) check() (kind id.Kind, words string, err error) {
	if len(f.Action) > 64 || strings.ContainsFunc(f.Action, func(c rune) bool {
		return c > unicode.MaxASCII || !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '.' && c != '_'
	}) {
		return 0, "", bad("action", "this is not the name of an act; use one of auditActions, or its beginning such as recording.")
	}
	if f.SubjectKind != "" {
		if kind = id.KindOf(f.SubjectKind); kind == 0 {
			return 0, "", bad("subjectKind", "no ids begin with this; write user, num or call for example")
		}
	}
	if !f.From.IsZero() && !f.Until.IsZero() && !f.From.Before(f.Until) {
		return 0, "", bad("until", "the end is not after the beginning")
	}
	if f.Text != "" {
		if n := utf8.RuneCountInString(strings.TrimSpace(f.Text)); n < minText || n > maxText || !utf8.ValidString(f.Text) {
			return 0, "", bad("text", "write %d to %d characters", minText, maxText)
		}
		if words = wordsOf(f.Text); words == "" {
			return 0, "", bad("text", "write letters or digits to look for")
		}
	}
	return kind, words, nil
}

// wordsOf makes a query of words that must all be there; the last one may be the
// beginning of one. Nothing but letters and digits is left of what people write.
func wordsOf(text string) string {
	all := strings.FieldsFunc(strings.ToLower(text), func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	if len(all) > maxWord {
		all = all[:maxWord]
	}
	if len(all) == 0 {
		return ""
	}
	return strings.Join(all, " & ") + ":*"
}

// Search gives the tenant's entries that the filter lets through, newest first.
// Code: errs.Invalid.
func Search(ctx context.Context, q bun.IDB, f Filter, page db.Page) (_ db.Window[*Entry], err error) {
	defer errs.Wrap(&err, "audit.Search")
	limit, after, err := page.Keyset()
	if err != nil {
		return db.Window[*Entry]{}, err
	}
	kind, words, err := f.check()
	if err != nil {
		return db.Window[*Entry]{}, err
	}
	org := db.TenantFrom(ctx)
	var rows []*Entry
	if words != "" {
		err = db.Select(ctx, q, &rows, `SELECT `+columns+` FROM audit_search($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) s
			JOIN audit_entry e ON e.organization_id = $1 AND e.id = s.id ORDER BY e.at DESC, e.id DESC`,
			org, words, f.ActorID, orNull(f.Action), f.among(true), f.among(false), f.SubjectID, kindOrNull(kind), timeOrNull(f.From), timeOrNull(f.Until),
			after.At, after.ID, limit+1)
	} else {
		text, args := f.query(org, kind, after, limit)
		err = db.Select(ctx, q, &rows, text, args...)
	}
	if err != nil {
		return db.Window[*Entry]{}, err
	}
	return db.NewWindow(rows, limit, func(e *Entry) db.Keyset { return db.Keyset{At: e.At, ID: e.ID} }), nil
}

// query is a text that depends only on which conditions there are.
func (f Filter) query(org id.ID, kind id.Kind, after db.Keyset, limit int) (string, []any) {
	var b strings.Builder
	args := []any{org}
	and := func(condition string, v any) {
		args = append(args, v)
		b.WriteString(" AND " + strings.ReplaceAll(condition, "?", "$"+strconv.Itoa(len(args))))
	}
	b.WriteString("SELECT " + columns + " FROM audit_entry e WHERE e.organization_id = $1")
	if !f.ActorID.IsZero() {
		and("e.actor_id = ?", f.ActorID)
	}
	if f.Action != "" {
		// A range of bytes, which the index serves.
		and(`e.action COLLATE "C" >= ?`, f.Action)
		and(`e.action COLLATE "C" < ?`, f.Action+"\x7f")
	}
	if !f.SubjectID.IsZero() {
		and("e.subject = ?", f.SubjectID)
	}
	if kind != 0 {
		and("get_byte(uuid_send(e.subject), 15) = ?", int(kind))
	}
	if l := f.among(true); l != nil {
		and("e.action = ANY (?::text[])", l)
	}
	if l := f.among(false); l != nil {
		and("e.action <> ALL (?::text[])", l)
	}
	if !f.From.IsZero() {
		and("e.at >= ?", f.From)
	}
	if !f.Until.IsZero() {
		and("e.at < ?", f.Until)
	}
	args = append(args, after.At, after.ID, limit+1)
	n := len(args)
	b.WriteString(" AND (e.at, e.id) < ($" + strconv.Itoa(n-2) + ", $" + strconv.Itoa(n-1) + ") ORDER BY e.at DESC, e.id DESC LIMIT $" + strconv.Itoa(n))
	return b.String(), args
}

// among is the accesses when only they, or only others, are wanted.
func (f Filter) among(only bool) []string {
	if f.IsAccess == nil || *f.IsAccess != only {
		return nil
	}
	return accesses
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func kindOrNull(k id.Kind) *int {
	if k == 0 {
		return nil
	}
	return new(int(k))
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// ByIDs are entries of the context's tenant by id; what does not exist is missing.
func ByIDs(ctx context.Context, q bun.IDB, ids []id.ID) (rows []*Entry, err error) {
	defer errs.Wrap(&err, "audit.ByIDs")
	err = db.Select(ctx, q, &rows, `SELECT `+columns+` FROM audit_entry e WHERE e.organization_id = $1 AND e.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), ids)
	return rows, err
}

// client is who is at the other end of a request.
type client struct{ address, agent string }

type clientKey struct{}

// WithClient tells where the request of the context came from; entries keep it.
func WithClient(ctx context.Context, address, agent string) context.Context {
	c := client{agent: printable(agent)}
	if ip, err := netip.ParseAddr(address); err == nil {
		c.address = ip.WithZone("").String()
	}
	return context.WithValue(ctx, clientKey{}, c)
}

func clientFrom(ctx context.Context) (address, agent *string) {
	c, _ := ctx.Value(clientKey{}).(client)
	return orNull(c.address), orNull(c.agent)
}

// printable is at most 256 characters of a header that anybody writes.
func printable(s string) string {
	s = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, ""))
	if r := []rune(s); len(r) > 256 {
		s = string(r[:256])
	}
	return s
}
