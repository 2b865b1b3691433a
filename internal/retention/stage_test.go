package retention_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/clock"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/message"
	"switchboard/internal/recording"
	"switchboard/internal/retention"
	"switchboard/internal/secret"
	"switchboard/internal/testkit"
	"switchboard/internal/transcript"
	"switchboard/internal/twilio"
	"switchboard/internal/voicemail"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// stage is an organization with things that can be deleted, and no Twilio.
type stage struct {
	*testing.T
	ctx    context.Context
	db     *db.DB
	clock  *clock.Fake
	run    *job.Runner
	svc    *retention.Service
	recs   *recording.Service
	texts  *transcript.Service
	admin  access.Actor
	conn   id.ID
	number id.ID
	purges map[retention.Kind]retention.Purge
	made   int // for what must differ
	// noted is called while a hold is being placed.
	noted func(ctx context.Context, tx *db.Tx, h *retention.Hold) error
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t, clock: clock.NewFake(start)}
	s.db = testkit.DB(t, testkit.Clock(s.clock), testkit.MaxConns(8))
	keys, err := secret.New()
	s.must(err)
	blobs, err := blob.OpenStore(t.Context(), "mem://", keys)
	s.must(err)
	quiet := slog.New(slog.DiscardHandler)
	of := func(context.Context, id.ID) (*twilio.Client, error) { return nil, errors.New("there is no Twilio") }
	s.run = job.New(s.db, s.clock, job.RunnerOptions{Logger: quiet})
	s.recs = recording.New(recording.Deps{DB: s.db, Clock: s.clock, Blobs: blobs, Logger: quiet, Client: of})
	s.recs.Register(s.run)
	mails := voicemail.New(s.db, s.recs, nil)
	messages := message.New(message.Deps{DB: s.db, Logger: quiet})
	s.texts = transcript.New(transcript.Deps{DB: s.db, Clock: s.clock, Logger: quiet, Keys: keys, Blobs: blobs, Client: of, Recordings: s.recs, Contacts: contact.New(contact.Deps{DB: s.db})})
	purges := retention.MessagePurges(messages)
	purges[retention.Recordings] = func(ctx context.Context, tx *db.Tx, ids []id.ID, actor id.ID, why string) ([]id.ID, error) {
		return s.recs.Purge(ctx, tx, ids, recording.Deletion{ActorID: actor, Why: why})
	}
	purges[retention.Voicemails] = func(ctx context.Context, tx *db.Tx, ids []id.ID, actor id.ID, why string) ([]id.ID, error) {
		return mails.Purge(ctx, tx, ids, voicemail.Deletion{ActorID: actor, Why: why})
	}
	purges[retention.Transcripts] = func(ctx context.Context, tx *db.Tx, ids []id.ID, actor id.ID, why string) ([]id.ID, error) {
		return s.texts.Purge(ctx, tx, ids, transcript.Deletion{ActorID: actor, Why: why})
	}
	s.purges = purges
	s.svc = retention.New(retention.Deps{DB: s.db, Jobs: s.run, Keys: keys, Logger: quiet, Purges: purges, Noted: func(ctx context.Context, tx *db.Tx, h *retention.Hold) error {
		if s.noted == nil {
			return nil
		}
		return s.noted(ctx, tx, h)
	}})
	s.must(s.run.Start(t.Context()))
	t.Cleanup(func() { s.run.Stop(); s.texts.Close(); _ = blobs.Close() })

	org := id.New(id.Organization)
	s.ctx = db.WithTenant(t.Context(), org)
	s.exec(`INSERT INTO organization (organization_id, name, time_zone, updated_at) VALUES ($1, 'Acme', 'UTC', $2)`, org, start)
	role, user := id.New(id.Role), id.New(id.User)
	s.exec(`INSERT INTO role (organization_id, id, name, permissions, visibility, updated_at) VALUES ($1, $2, 'Admin', '{}', 'ORGANIZATION', $3)`, org, role, start)
	s.exec(`INSERT INTO "user" (organization_id, id, login_id, role_id, name, email, status, updated_at) VALUES ($1, $2, $3, $4, 'Ada', 'ada@acme.test', 'ACTIVE', $5)`,
		org, user, id.New(id.Login), role, start)
	s.admin = access.Actor{OrganizationID: org, UserID: user, Permissions: access.SetOf(access.All...), Visibility: access.SeesOrganization}
	s.conn, s.number = id.New(id.Connection), id.New(id.PhoneNumber)
	s.exec(`INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at) VALUES ($1, $2, 'Main', $3, 'FULL', 'active', $4)`,
		org, s.conn, s.sid("AC"), start)
	s.exec(`INSERT INTO phone_number (organization_id, id, connection_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms, updated_at)
		VALUES ($1, $2, $3, '+61255501234', $4, 'Office', 'AU', true, true, true, $5)`, org, s.number, s.conn, s.sid("PN"), start)
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
	s.must(s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Pgx().Exec(ctx, sql, args...)
		return err
	}))
}

func (s *stage) sid(kind string) string {
	s.made++
	return fmt.Sprintf("%s%032d", kind, s.made)
}

// text is the one value of a query.
func (s *stage) text(sql string, args ...any) (out string) {
	s.Helper()
	s.must(s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error { return tx.Pgx().QueryRow(ctx, sql, args...).Scan(&out) }))
	return out
}

// call is a recorded call with its transcript, and a voicemail beside it.
type calls struct {
	contact, record, call, recording, transcript, mailAudio, voicemail id.ID
}

func (s *stage) call(at time.Time, branch id.ID) (c calls) {
	s.Helper()
	org := s.admin.OrganizationID
	c = calls{id.New(id.Contact), id.New(id.Record), id.New(id.Call), id.New(id.Recording), id.New(id.Transcript), id.New(id.Recording), id.New(id.Voicemail)}
	s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, 'CUSTOMER', 'Alice', $3)`, org, c.contact, at)
	s.exec(`INSERT INTO record (organization_id, id, kind, title, status, contact_id, updated_at) VALUES ($1, $2, 'BOOKING', 'Boiler', 'OPEN', $3, $4)`, org, c.record, c.contact, at)
	s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, phone_number_id, branch_id, contact_id, record_id, from_number, to_number, started_at, ended_at, updated_at)
		VALUES ($1, $2, 'INBOUND', 'COMPLETED', $3, $4, $5, $6, $7, '+61400999888', '+61255501234', $8, $8, $8)`, org, c.call, s.conn, s.number, branch, c.contact, c.record, at)
	for x, purpose := range map[id.ID]string{c.recording: "CALL", c.mailAudio: "VOICEMAIL"} {
		s.exec(`INSERT INTO recording (organization_id, id, call_id, twilio_sid, purpose, status, started_at, media_state, updated_at)
			VALUES ($1, $2, $3, $4, $5, 'COMPLETED', $6, 'NONE', $6)`, org, x, c.call, s.sid("RE"), purpose, at)
	}
	s.exec(`INSERT INTO voicemail (organization_id, id, call_id, recording_id, branch_id, contact_id, from_number, received_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, '+61400999888', $7, $7)`, org, c.voicemail, c.call, c.mailAudio, branch, c.contact, at)
	s.exec(`INSERT INTO transcript (organization_id, id, call_id, recording_id, source, contact_id, record_id, branch_id, status, provider, language, is_automatic, recorded_at, updated_at)
		VALUES ($1, $2, $3, $4, 'CALL', $5, $6, $7, 'COMPLETED', 'HTTP', 'en-AU', true, $8, $8)`, org, c.transcript, c.call, c.recording, c.contact, c.record, branch, at)
	return c
}

// texting is a thread with a message that was received.
type texting struct{ contact, thread, message id.ID }

func (s *stage) texted(at time.Time) (m texting) {
	s.Helper()
	org := s.admin.OrganizationID
	m = texting{id.New(id.Contact), id.New(id.Thread), id.New(id.Message)}
	s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, 'CUSTOMER', 'Alice', $3)`, org, m.contact, at)
	s.exec(`INSERT INTO sms_thread (organization_id, id, phone_number_id, their_number, contact_id, last_message_at, updated_at) VALUES ($1, $2, $3, '+61400999888', $4, $5, $5)`,
		org, m.thread, s.number, m.contact, at)
	s.exec(`INSERT INTO message (organization_id, id, thread_id, direction, status, body, from_number, to_number, contact_id, at, updated_at)
		VALUES ($1, $2, $3, 'INBOUND', 'RECEIVED', 'hello', '+61400999888', '+61255501234', $4, $5, $5)`, org, m.message, m.thread, m.contact, at)
	return m
}
