package history_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/history"
	"switchboard/internal/id"
	"switchboard/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

const (
	ours      = "+61255501234"
	customers = "+61400111001"
	faysOwn   = "+61400222001"
)

// stage is an organization with one number, and Fay, who works in the field.
type stage struct {
	*testing.T
	ctx context.Context
	db  *db.DB
	svc *history.Service

	org, conn, number, role, fay id.ID
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t, org: id.New(id.Organization), conn: id.New(id.Connection), number: id.New(id.PhoneNumber), role: id.New(id.Role)}
	s.db = testkit.DB(t, testkit.Clock(clock.NewFake(start)))
	s.ctx = db.WithTenant(t.Context(), s.org)
	s.svc = history.New(s.db, func(context.Context) (string, error) { return "AU", nil })
	s.exec(`INSERT INTO organization (organization_id, name, default_country, updated_at) VALUES ($1, 'Acme', 'AU', $2)`, s.org, start)
	s.exec(`INSERT INTO role (organization_id, id, name, permissions, visibility, updated_at) VALUES ($1, $2, 'Field', '{}', 'ORGANIZATION', $3)`, s.org, s.role, start)
	s.exec(`INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at)
		VALUES ($1, $2, 'Main', 'AC' || md5('1'), 'FULL', 'active', $3)`, s.org, s.conn, start)
	s.exec(`INSERT INTO phone_number (organization_id, id, connection_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms, updated_at)
		VALUES ($1, $2, $3, $4, 'PN' || md5('1'), 'Sydney', 'AU', true, true, true, $5)`, s.org, s.number, s.conn, ours, start)
	s.fay = s.user("Fay")
	return s
}

func (s *stage) exec(sql string, args ...any) {
	s.Helper()
	err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Pgx().Exec(ctx, sql, args...)
		return err
	})
	if err != nil {
		s.Fatalf("%s: %v", strings.Join(strings.Fields(sql), " "), err)
	}
}

func (s *stage) user(name string) id.ID {
	s.Helper()
	u := id.New(id.User)
	s.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, status, updated_at) VALUES ($1, $2, $3, $4, $5, $6, 'ACTIVE', $7)`,
		s.org, u, id.New(id.Login), name+"@acme.test", name, s.role, start)
	return u
}

func (s *stage) contact(name, email, place, tag string) id.ID {
	s.Helper()
	c := id.New(id.Contact)
	s.exec(`INSERT INTO contact (organization_id, id, kind, name, company, email, location, tags, updated_at) VALUES ($1, $2, 'CUSTOMER', $3, 'Globex', $4, $5, ARRAY[$6], $7)`,
		s.org, c, name, email, place, tag, start)
	return c
}

func (s *stage) call(contact id.ID, from string, pair id.ID) id.ID {
	s.Helper()
	c := id.New(id.Call)
	s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, contact_id, from_number, to_number, masked_pair_id, started_at, ended_at, updated_at)
		VALUES ($1, $2, 'INBOUND', 'COMPLETED', $3, $4, $5, $6, $7, $8, $8, $8)`, s.org, c, s.conn, contact, from, ours, pair, start)
	return c
}

// said is a recording of a call, as a voicemail where the user is to have one, and what was said in it.
func (s *stage) said(call, contact id.ID, purpose, words string) {
	s.Helper()
	rec, vm := id.New(id.Recording), id.ID{}
	s.exec(`INSERT INTO recording (organization_id, id, call_id, twilio_sid, purpose, status, started_at, updated_at) VALUES ($1, $2, $3, 'RE' || md5($4::text), $5, 'COMPLETED', $6, $6)`,
		s.org, rec, call, rec.String(), purpose, start)
	if purpose == "VOICEMAIL" {
		vm = id.New(id.Voicemail)
		s.exec(`INSERT INTO voicemail (organization_id, id, call_id, recording_id, phone_number_id, contact_id, from_number, duration_seconds, received_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 12, $8, $8)`, s.org, vm, call, rec, s.number, contact, customers, start)
	}
	s.exec(`INSERT INTO transcript (organization_id, id, call_id, recording_id, voicemail_id, contact_id, source, status, provider, language, is_automatic, words, recorded_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 'COMPLETED', 'HTTP', 'en', true, to_tsvector('simple', $8), $9, $9)`,
		s.org, id.New(id.Transcript), call, rec, vm, contact, purpose, words, start)
}

// who may read everything, or everything but what is left out.
func (s *stage) who(user id.ID, without ...access.Permission) access.Actor {
	may := slices.DeleteFunc(slices.Clone(access.All), func(p access.Permission) bool { return slices.Contains(without, p) })
	return access.Actor{OrganizationID: s.org, UserID: user, Permissions: access.SetOf(may...), Visibility: access.SeesOrganization}
}

// found are the kinds of what a search finds, in the order of the alphabet.
func (s *stage) found(who access.Actor, text string) string {
	s.Helper()
	w, err := s.svc.Search(s.ctx, who, text, nil, db.Page{})
	if err != nil {
		s.Fatalf("%q: %v", text, err)
	}
	var kinds []string
	for _, h := range w.Nodes {
		kinds = append(kinds, string(h.Kind))
	}
	slices.Sort(kinds)
	return strings.Join(kinds, " ")
}
