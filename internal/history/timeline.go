package history

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/followup"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/transcript"
	"switchboard/internal/voicemail"
)

// Service answers what happened.
type Service struct {
	db      *db.DB
	country func(ctx context.Context) (string, error)
}

// New makes a Service; country is the tenant's default country, for numbers as
// they are typed (R018).
func New(d *db.DB, country func(ctx context.Context) (string, error)) *Service {
	return &Service{db: d, country: country}
}

// query is SQL with its arguments. $1 is the organization and $2 the user, as the
// conditions of package contact expect.
type query struct{ args []any }

func ask(who access.Actor) *query { return &query{args: []any{who.OrganizationID, who.UserID}} }

func (q *query) arg(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

// part is where the items of one kind are found: rows x of a table, those that the
// actor sees, and the columns that link them to a contact and a record.
type part struct {
	kind       ItemKind
	needs      access.Permission
	at         string
	contact    string
	record     string
	text       string // what is searched; empty: nothing
	spoken     string // the column of the transcripts that it is searched by instead
	where      string // the tables and conditions of the noun
	seen       func(who access.Actor, arg func(any) string) string
	ofItsOwner bool // it belongs to the contact alone, such as a record
}

// linked is a call's link: an item of a call that is about a record of a contact
// stands in the contact's timeline too.
const callJoin = ` JOIN call c ON c.organization_id = x.organization_id AND c.id = x.call_id`

var parts = []part{
	{kind: CallItem, needs: access.CallView, at: "x.started_at", contact: "x.contact_id", record: "x.record_id",
		text: "coalesce(x.outcome, '') || ' ' || coalesce(x.notes, '')", where: "call x WHERE true",
		seen: func(who access.Actor, arg func(any) string) string { return call.SeenBy("x", who, arg) }},
	{kind: RecordingItem, needs: access.RecordingListen, at: "x.started_at", contact: "c.contact_id", record: "c.record_id", spoken: "recording_id",
		where: "recording x" + callJoin + " WHERE x.purpose = 'CALL'",
		seen:  func(who access.Actor, arg func(any) string) string { return call.SeenBy("c", who, arg) }},
	{kind: VoicemailItem, needs: access.VoicemailListen, at: "x.received_at", contact: "x.contact_id", record: "c.record_id", spoken: "voicemail_id",
		where: "voicemail x" + callJoin + " WHERE true",
		seen:  func(who access.Actor, arg func(any) string) string { return voicemail.SeenBy("x", who, arg) }},
	{kind: TranscriptItem, needs: access.TranscriptView, at: "x.recorded_at", contact: "x.contact_id", record: "x.record_id",
		spoken: "id", where: "transcript x WHERE true",
		seen: func(who access.Actor, arg func(any) string) string { return transcript.SeenBy("x", who, arg) }},
	{kind: MessageItem, needs: access.SMSView, at: "m.at", contact: "m.contact_id", record: "m.record_id", text: "m.body",
		where: "message m JOIN sms_thread t ON t.organization_id = m.organization_id AND t.id = m.thread_id WHERE true",
		seen: func(who access.Actor, arg func(any) string) string {
			if read := message.Sight(who, arg); read != "" {
				return read
			}
			return "true"
		}},
	{kind: RecordItem, needs: access.ContactView, at: "x.created_at", contact: "x.contact_id", record: "NULL::uuid",
		text: "x.title || ' ' || coalesce(x.external_id, '') || ' ' || coalesce(x.service, '') || ' ' || coalesce(x.location, '') || ' ' || x.data::text", where: "record x WHERE true",
		seen: func(who access.Actor, arg func(any) string) string { return contact.RecordSeenBy("x", who, arg) }, ofItsOwner: true},
	{kind: RecordEventItem, needs: access.ContactView, at: "x.at", contact: "r.contact_id", record: "x.record_id", text: "coalesce(x.note, '')",
		where: "record_event x JOIN record r ON r.organization_id = x.organization_id AND r.id = x.record_id WHERE true",
		seen:  func(who access.Actor, arg func(any) string) string { return contact.RecordSeenBy("r", who, arg) }, ofItsOwner: true},
	{kind: FollowUpItem, needs: access.FollowUpView, at: "x.first_attempt_at", contact: "x.contact_id", record: "x.record_id", text: "coalesce(x.outcome, '')",
		where: "follow_up x WHERE true",
		seen:  func(who access.Actor, arg func(any) string) string { return followup.SeenBy("x", who, arg) }},
}

// alias is that of the rows that are items.
func (p part) alias() string { return p.at[:1] }

// TimelineFilter narrows a timeline. The zero TimelineFilter is all of it.
type TimelineFilter struct {
	Kinds        []ItemKind // nil: all
	From, Before time.Time
	Text         string // words, as in a search
}

// Timeline is a page of what happened with a contact or about a record, newest
// first: what the actor sees of it, each thing once (R177, R178, R278). What a
// contact's records are about stands in the contact's timeline too. The caller
// shows that the actor sees the contact or record. Codes: errs.Invalid.
func (s *Service) Timeline(ctx context.Context, who access.Actor, subject id.ID, f TimelineFilter, p db.Page) (w db.Window[*Item], err error) {
	defer errs.Wrap(&err, "history.Timeline(%s)", subject)
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	words := ""
	if f.Text != "" {
		if words, _, err = db.Words(f.Text, "filter", "text"); err != nil {
			return w, err
		}
	}
	q := ask(who)
	of, at, last, n := q.arg(subject), q.arg(after.At), q.arg(after.ID), q.arg(limit+1)
	var union []string
	for _, p := range parts {
		if !who.Can(p.needs) || f.Kinds != nil && !slices.Contains(f.Kinds, p.kind) || words != "" && p.text == "" && !who.Can(access.TranscriptView) {
			continue
		}
		x := p.alias()
		var linked string
		switch {
		case subject.Kind() == id.Record:
			linked = p.record + " = " + of
		case p.ofItsOwner:
			linked = p.contact + " = " + of
		default:
			linked = "(" + p.contact + " = " + of + " OR " + p.record + " IN (SELECT k.id FROM record k WHERE k.organization_id = $1 AND k.contact_id = " + of + "))"
		}
		sql := "(SELECT '" + string(p.kind) + "' AS kind, " + p.at + " AS at, " + x + ".id AS id FROM " + p.where +
			" AND " + x + ".organization_id = $1 AND " + linked + " AND " + p.seen(who, q.arg) + " AND (" + p.at + ", " + x + ".id) < (" + at + ", " + last + ")"
		if !f.From.IsZero() {
			sql += " AND " + p.at + " >= " + q.arg(f.From)
		}
		if !f.Before.IsZero() {
			sql += " AND " + p.at + " < " + q.arg(f.Before)
		}
		switch {
		case words == "":
		case p.spoken != "":
			sql += " AND EXISTS (SELECT FROM transcript k WHERE k.organization_id = $1 AND k." + p.spoken + " = x.id AND k.words @@ to_tsquery('simple', " + q.arg(words) + ") AND " +
				transcript.SeenBy("k", who, q.arg) + ")"
		default:
			sql += " AND to_tsvector('simple', " + p.text + ") @@ to_tsquery('simple', " + q.arg(words) + ")"
		}
		union = append(union, sql+" ORDER BY "+p.at+" DESC, "+x+".id DESC LIMIT "+n+")")
	}
	var rows []*Item
	if len(union) > 0 {
		err = db.Select(access.With(ctx, who), s.db.App(), &rows, "SELECT h.kind, h.at, h.id FROM ("+strings.Join(union, "\nUNION ALL ")+") h WHERE $2::uuid IS NULL OR true ORDER BY h.at DESC, h.id DESC LIMIT "+n, q.args...)
	}
	return db.NewWindow(rows, limit, func(x *Item) db.Keyset { return db.Keyset{At: x.At, ID: x.NodeID} }), err
}
