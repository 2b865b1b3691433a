package automation_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/automation"
	"switchboard/internal/clock"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/phone"
	"switchboard/internal/testkit"
	"switchboard/internal/twilio"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	office = phone.E164("+61255500001")
	mobile = "+61491570156"
	phone2 = "+61491570157"
)

// It is a Monday evening in Sydney.
var start = time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC)

// stage is an organization whose automations run when a test says so: jobs and
// events are taken by hand, one after the other.
type stage struct {
	*testing.T
	ctx       context.Context
	db        *db.DB
	clock     *clock.Fake
	svc       *automation.Service
	templates *message.Templates
	contacts  *contact.Service
	org       id.ID
	office    id.ID
	admin     access.Actor
	fay       access.Actor // a fieldworker, with a phone
	ann       *contact.Contact
}

func newStage(t *testing.T) *stage {
	t.Helper()
	t.Parallel()
	s := &stage{T: t, clock: clock.NewFake(start), org: id.New(id.Organization), office: id.New(id.PhoneNumber)}
	s.ctx = db.WithTenant(t.Context(), s.org)
	s.db = testkit.DB(t, testkit.Clock(s.clock))
	s.contacts = contact.New(contact.Deps{DB: s.db})
	s.templates = message.NewTemplates(message.TemplatesDeps{DB: s.db, Contacts: s.contacts, InUse: automation.InUse})
	messages := message.New(message.Deps{DB: s.db, Numbers: numbers{s.office}, Contacts: s.contacts, Logger: slog.New(slog.DiscardHandler),
		Country: func(context.Context, bun.IDB) (string, error) { return "AU", nil }})
	s.svc = automation.New(automation.Deps{DB: s.db, Messages: messages})

	connection := id.New(id.Connection)
	s.exec(`INSERT INTO organization (organization_id, name, default_country, time_zone, updated_at) VALUES ($1, 'Acme', 'AU', 'Australia/Sydney', $2)`, s.org, start)
	s.exec(`INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at) VALUES ($1, $2, 'T', 'ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'FULL', 'active', $3)`,
		s.org, connection, start)
	s.exec(`INSERT INTO phone_number (organization_id, id, connection_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms, is_enabled, is_default, updated_at)
		VALUES ($1, $2, $3, $4, 'PNa', 'Office', 'AU', true, true, false, true, true, $5)`, s.org, s.office, connection, string(office), start)
	s.admin = s.user("ada", access.SeesOrganization, access.All...)
	s.fay = s.user("fay", access.SeesOwn, access.ContactView, access.RecordEventAdd, access.SMSSend)
	s.fay.IsFieldworker = true
	s.exec(`INSERT INTO user_phone (organization_id, id, user_id, label, e164, is_primary) VALUES ($1, $2, $3, '', $4, true)`, s.org, id.New(id.UserPhone), s.fay.UserID, phone2)
	s.ann = s.contact("Ann Miller", mobile)
	return s
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) exec(sql string, args ...any) {
	s.Helper()
	_, err := db.Exec(context.WithoutCancel(s.ctx), s.db.Worker(), sql, args...)
	s.must(err)
}

func (s *stage) user(name string, v access.Visibility, permissions ...access.Permission) access.Actor {
	s.Helper()
	role, user := id.New(id.Role), id.New(id.User)
	words := make([]string, len(permissions))
	for i, p := range permissions {
		words[i] = string(p)
	}
	s.exec(`INSERT INTO role (organization_id, id, name, permissions, visibility, updated_at) VALUES ($1, $2, $3, $4, $5, $6)`, s.org, role, role.String(), words, string(v), start)
	s.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, status, updated_at) VALUES ($1, $2, $3, $4, $5, $6, 'ACTIVE', $7)`,
		s.org, user, id.New(id.Login), name+"@demo.test", name, role, start)
	return access.Actor{OrganizationID: s.org, UserID: user, Visibility: v, Permissions: access.SetOf(permissions...)}
}

func (s *stage) contact(name, number string) *contact.Contact {
	s.Helper()
	c, err := s.contacts.Create(access.With(s.ctx, s.admin), s.admin, contact.Create{Kind: contact.KindCustomer, Name: name, Phones: []contact.PhoneInput{{Number: number}}})
	s.must(err)
	return c
}

func (s *stage) template(body string, kind contact.RecordKind) id.ID {
	s.Helper()
	in := message.NewTemplate{Kind: message.WholeMessage, Name: id.New(id.Template).String(), Body: body, Purpose: message.ForOther}
	if kind != "" {
		in.RecordKind = &kind
	}
	t, err := s.templates.Create(s.ctx, s.admin, in)
	s.must(err)
	return t.ID
}

// rule makes an automation that is on and never quiet unless the change says so.
func (s *stage) rule(t automation.Trigger, body string, kind contact.RecordKind, change func(r *automation.Rule)) *automation.Automation {
	s.Helper()
	r := automation.Rule{Name: string(t), Trigger: t, TemplateID: s.template(body, kind), IsEnabled: true}
	r.QuietHours.Set, r.QuietHours.Null = true, true
	if change != nil {
		change(&r)
	}
	a, err := s.svc.Create(s.ctx, s.admin, r)
	s.must(err)
	return a
}

func (s *stage) record(kind contact.RecordKind, more contact.RecordUpdate) *contact.Record {
	s.Helper()
	in := contact.RecordCreate{Kind: kind, Title: "Roof", ContactID: s.ann.ID, AssignedUserID: s.fay.UserID, More: more}
	more.StartsAt.ApplyPtr(&in.StartsAt)
	r, err := s.contacts.CreateRecord(s.ctx, s.admin, in)
	s.must(err)
	return r
}

func (s *stage) happens(r *contact.Record, kind contact.EventKind, change func(e *contact.EventAdd)) {
	s.Helper()
	in := contact.EventAdd{RecordID: r.ID, Kind: kind}
	if change != nil {
		change(&in)
	}
	_, _, err := s.contacts.AddEvent(s.ctx, s.admin, in)
	s.must(err)
}

// hear takes every event of the log, also those that were taken before.
func (s *stage) hear() {
	s.Helper()
	var rows []struct {
		ID      id.ID      `bun:"id"`
		Kind    event.Kind `bun:"kind"`
		Subject id.ID      `bun:"subject"`
		Data    []byte     `bun:"data"`
		At      time.Time  `bun:"at"`
	}
	s.must(db.Select(s.ctx, s.db.Worker(), &rows, `SELECT id, kind, subject, data::text::bytea AS data, at FROM event
		WHERE organization_id = $1 AND kind IN ('RECORD_EVENT', 'CALL_ENDED') ORDER BY created_at, id`, s.org))
	for _, r := range rows {
		s.must(s.db.InWorkerTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
			return s.svc.Hear(ctx, tx, event.Event{ID: r.ID, OrganizationID: s.org, Kind: r.Kind, Subject: r.Subject, Data: r.Data, At: r.At})
		}))
	}
}

// jobs are the runs that jobs are there for; each once.
func (s *stage) jobs() (runs []id.ID) {
	s.Helper()
	var rows []struct {
		Run string `bun:"run"`
	}
	s.must(db.Select(s.ctx, s.db.Worker(), &rows, `DELETE FROM system.river_job WHERE kind = 'automation.run' RETURNING args->>'run' AS run`))
	for _, r := range rows {
		x, err := id.Parse(r.Run)
		s.must(err)
		runs = append(runs, x)
	}
	return runs
}

// settle has the sweeps look and everything done that is due.
func (s *stage) settle() {
	s.Helper()
	s.must(s.svc.Look(s.ctx, s.clock.Now()))
	s.must(s.svc.Wake(s.ctx, s.clock.Now()))
	for _, r := range s.jobs() {
		s.must(s.svc.Work(s.ctx, s.org, r))
	}
}

// pass lets time go by, with the sweeps at every step.
func (s *stage) pass(d, step time.Duration) {
	s.Helper()
	for ; d > 0; d -= step {
		s.clock.Advance(min(d, step))
		s.settle()
	}
}

// sent are the texts to a number, oldest first.
func (s *stage) sent(to string) (bodies []string) {
	s.Helper()
	var rows []struct {
		Body string `bun:"body"`
	}
	s.must(db.Select(s.ctx, s.db.Worker(), &rows, `SELECT body FROM message WHERE organization_id = $1 AND to_number = $2 AND automation_id IS NOT NULL AND template_id IS NOT NULL ORDER BY at, id`,
		s.org, to))
	for _, r := range rows {
		bodies = append(bodies, r.Body)
	}
	return bodies
}

// ran are the runs of a record, oldest first, as words.
func (s *stage) ran(r *contact.Record) (words []string) {
	s.Helper()
	w, err := s.svc.Runs(s.ctx, s.admin, automation.RunFilter{RecordID: r.ID}, db.Page{First: 100})
	s.must(err)
	for i := len(w.Nodes) - 1; i >= 0; i-- {
		x := string(w.Nodes[i].State)
		if c := w.Nodes[i].ReasonCode; c != nil {
			x += " " + string(*c)
		}
		words = append(words, x)
	}
	return words
}

// numbers are the one that messages are sent from.
type numbers struct{ office id.ID }

func (n numbers) number() message.Number {
	return message.Number{ID: n.office, E164: office, Country: "AU", IsEnabled: true, ForMessages: true, CanSMS: true, IsDefault: true}
}

func (n numbers) Sender(context.Context, bun.IDB, id.ID) (message.Number, error) {
	return n.number(), nil
}

func (n numbers) Receiver(context.Context, bun.IDB, id.ID, string) (message.Number, bool, error) {
	return n.number(), true, nil
}

func (n numbers) Senders(context.Context, bun.IDB, id.ID, []id.ID) ([]message.Number, error) {
	return []message.Number{n.number()}, nil
}

func (numbers) Client(context.Context, id.ID) (*twilio.Client, error) {
	return nil, errors.New("nothing is handed over here")
}

func (numbers) CallbackURL(context.Context, id.ID, string) (string, error) { return "", nil }
