package gate_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/blob"
	"switchboard/internal/clock"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/gate"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/patch"
	"switchboard/internal/recording"
	"switchboard/internal/secret"
	"switchboard/internal/tenant"
	"switchboard/internal/testkit"
	"switchboard/internal/transcript"
	"switchboard/internal/twilio"
	"switchboard/internal/voicemail"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// stage is an organization with one of each thing that is asked about, and no Twilio.
type stage struct {
	*testing.T
	ctx         context.Context
	db          *db.DB
	gate        *gate.Service
	contacts    *contact.Service
	messages    *message.Service
	voicemails  *voicemail.Service
	transcripts *transcript.Service

	org, user                                                id.ID
	contact, other, record, message, going, mail, transcript id.ID
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t, org: id.New(id.Organization), user: id.New(id.User)}
	clk := clock.NewFake(start)
	s.db = testkit.DB(t, testkit.Clock(clk))
	s.ctx = db.WithTenant(t.Context(), s.org)
	keys, err := secret.New()
	s.must(err)
	blobs, err := blob.OpenStore(t.Context(), "mem://", keys)
	s.must(err)
	t.Cleanup(func() { _ = blobs.Close() })
	quiet := slog.New(slog.DiscardHandler)
	of := func(context.Context, id.ID) (*twilio.Client, error) { return nil, errors.New("there is no Twilio") }
	recs := recording.New(recording.Deps{DB: s.db, Clock: clk, Blobs: blobs, Logger: quiet, Client: of})
	s.contacts = contact.New(contact.Deps{DB: s.db, Linked: []contact.Link{{Table: "message", Contacts: true, Records: true, Holds: true}}})
	s.messages = message.New(message.Deps{DB: s.db, Logger: quiet})
	s.voicemails = voicemail.New(s.db, recs, nil)
	s.transcripts = transcript.New(transcript.Deps{DB: s.db, Clock: clk, Logger: quiet, Keys: keys, Blobs: blobs, Client: of, Recordings: recs, Contacts: s.contacts})
	s.gate = gate.New(gate.Deps{DB: s.db, Contacts: s.contacts, Voicemails: s.voicemails, Messages: s.messages, Transcripts: s.transcripts, Recordings: recs})
	s.things()
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
	err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Pgx().Exec(ctx, sql, args...)
		return err
	})
	if err != nil {
		s.Fatalf("%s: %v", strings.Join(strings.Fields(sql), " "), err)
	}
}

func (s *stage) things() {
	s.Helper()
	conn, number, role, thread, call, rec := id.New(id.Connection), id.New(id.PhoneNumber), id.New(id.Role), id.New(id.Thread), id.New(id.Call), id.New(id.Recording)
	s.contact, s.other, s.record = id.New(id.Contact), id.New(id.Contact), id.New(id.Record)
	s.message, s.going, s.mail, s.transcript = id.New(id.Message), id.New(id.Message), id.New(id.Voicemail), id.New(id.Transcript)
	s.exec(`INSERT INTO organization (organization_id, name, default_country, updated_at) VALUES ($1, 'Acme', 'AU', $2)`, s.org, start)
	s.exec(`INSERT INTO role (organization_id, id, name, permissions, visibility, updated_at) VALUES ($1, $2, 'Office', '{}', 'ORGANIZATION', $3)`, s.org, role, start)
	s.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, status, updated_at) VALUES ($1, $2, $3, 'ann@acme.test', 'Ann', $4, 'ACTIVE', $5)`,
		s.org, s.user, id.New(id.Login), role, start)
	s.exec(`INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at)
		VALUES ($1, $2, 'Main', 'AC' || md5('1'), 'FULL', 'active', $3)`, s.org, conn, start)
	s.exec(`INSERT INTO phone_number (organization_id, id, connection_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms, updated_at)
		VALUES ($1, $2, $3, '+61255501234', 'PN' || md5('1'), 'Sydney', 'AU', true, true, true, $4)`, s.org, number, conn, start)
	for _, c := range []id.ID{s.contact, s.other} {
		s.exec(`INSERT INTO contact (organization_id, id, kind, name, email, updated_at) VALUES ($1, $2, 'CUSTOMER', 'Carol', 'carol@example.com', $3)`, s.org, c, start)
	}
	s.exec(`INSERT INTO record (organization_id, id, kind, title, contact_id, updated_at) VALUES ($1, $2, 'BOOKING', 'Lawn', $3, $4)`, s.org, s.record, s.contact, start)
	s.exec(`INSERT INTO sms_thread (organization_id, id, phone_number_id, their_number, last_message_at, updated_at) VALUES ($1, $2, $3, '+61400111001', $4, $4)`,
		s.org, thread, number, start)
	for m, status := range map[id.ID]string{s.message: "DELIVERED", s.going: "QUEUED"} {
		s.exec(`INSERT INTO message (organization_id, id, thread_id, direction, status, body, from_number, to_number, at, updated_at)
			VALUES ($1, $2, $3, 'OUTBOUND', $4, 'Hello', '+61255501234', '+61400111001', $5, $5)`, s.org, m, thread, status, start)
	}
	s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, from_number, to_number, started_at, ended_at, updated_at)
		VALUES ($1, $2, 'INBOUND', 'MISSED', $3, '+61400111001', '+61255501234', $4, $4, $4)`, s.org, call, conn, start)
	s.exec(`INSERT INTO recording (organization_id, id, call_id, twilio_sid, purpose, status, started_at, updated_at) VALUES ($1, $2, $3, 'RE' || md5('1'), 'VOICEMAIL', 'COMPLETED', $4, $4)`,
		s.org, rec, call, start)
	s.exec(`INSERT INTO voicemail (organization_id, id, call_id, recording_id, phone_number_id, from_number, duration_seconds, received_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, '+61400111001', 12, $6, $6)`, s.org, s.mail, call, rec, number, start)
	s.exec(`INSERT INTO transcript (organization_id, id, call_id, source, status, provider, language, is_automatic, recorded_at, updated_at)
		VALUES ($1, $2, $3, 'CALL', 'COMPLETED', 'HTTP', 'en', true, $4, $4)`, s.org, s.transcript, call, start)
}

// hold places a legal hold, which the returned function releases.
func (s *stage) hold(subject id.ID) func() {
	s.Helper()
	h := id.New(id.LegalHold)
	s.exec(`INSERT INTO legal_hold (organization_id, id, subject, reason, placed_at) VALUES ($1, $2, $3, 'a dispute', $4)`, s.org, h, subject, start)
	return func() {
		s.Helper()
		s.exec(`UPDATE legal_hold SET released_at = $3 WHERE organization_id = $1 AND id = $2`, s.org, h, start)
	}
}

func (s *stage) who(may ...access.Permission) access.Actor {
	return access.Actor{OrganizationID: s.org, UserID: s.user, Permissions: access.SetOf(may...), Visibility: access.SeesOrganization}
}

func (s *stage) can(who access.Actor, a gate.Action, subject id.ID) *gate.Can {
	s.Helper()
	c, err := s.gate.Can(s.ctx, who, id.ID{}, gate.Check{Action: a, Subject: subject})
	s.must(err)
	return c
}

func TestCanKnowsWhatALegalHoldKeeps(t *testing.T) { // R226
	t.Parallel()
	s := newStage(t)
	all := s.who(access.All...)
	for name, x := range map[string]struct {
		action        gate.Action
		subject, held id.ID
		command       func() error // nil: not tried
	}{
		"a contact":               {gate.DeleteContact, s.contact, s.contact, func() error { return kept(s.contacts.Delete(s.ctx, all, []id.ID{s.contact})) }},
		"a contact by its record": {gate.DeleteContact, s.contact, s.record, func() error { return kept(s.contacts.Delete(s.ctx, all, []id.ID{s.contact})) }},
		"a contact that goes into another": {gate.MergeContact, s.contact, s.contact, func() error {
			_, err := s.contacts.Merge(s.ctx, all, s.other, []id.ID{s.contact})
			return err
		}},
		"a voicemail":  {gate.DeleteVoicemail, s.mail, s.mail, nil},
		"a transcript": {gate.DeleteTranscript, s.transcript, s.transcript, nil},
		"a message": {gate.DeleteMessage, s.message, s.message, func() error {
			_, refused, err := s.messages.Delete(s.ctx, all, []id.ID{s.message}, nil, "why")
			for _, e := range refused {
				err = errors.Join(err, e)
			}
			return err
		}},
	} {
		if c := s.can(all, x.action, x.subject); !c.IsAllowed {
			t.Errorf("%s without a hold: %+v", name, c)
		}
		release := s.hold(x.held)
		if c := s.can(all, x.action, x.subject); c.IsAllowed || c.Gate != gate.State || !strings.Contains(c.Message, "legal hold") {
			t.Errorf("%s under a hold: %+v", name, c)
		}
		if x.command != nil {
			if err := x.command(); !strings.Contains(errText(err), "legal hold") {
				t.Errorf("%s under a hold, tried: %v", name, err)
			}
		}
		release()
	}
	// A record's hold keeps nobody from merging its contact, with which it moves.
	defer s.hold(s.record)()
	if c := s.can(all, gate.MergeContact, s.contact); !c.IsAllowed {
		t.Errorf("merging a contact whose record is held: %+v", c)
	}
	if c := s.can(all, gate.DeleteMessage, s.going); c.IsAllowed || c.Gate != gate.State {
		t.Errorf("deleting a message that is under way: %+v", c)
	}
}

func kept(_ []id.ID, kept []error, err error) error { return errors.Join(append(kept, err)...) }

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// What a command asks for beside its own permission, can asks for, too: reading what
// is changed, and nothing more where the command needs no more.
func TestCanAsksForWhatTheCommandAsksFor(t *testing.T) { // R234
	t.Parallel()
	s := newStage(t)
	for name, x := range map[string]struct {
		action  gate.Action
		subject id.ID
		may     []access.Permission
		lacks   access.Permission // "": nothing
		command func(who access.Actor) error
	}{
		"a change": {gate.Edit, s.contact, []access.Permission{access.ContactEdit, access.ContactView}, "", func(who access.Actor) error {
			_, err := s.contacts.Update(s.ctx, who, s.contact, contact.Update{})
			return err
		}},
		"a change of what is not read": {gate.Edit, s.contact, []access.Permission{access.ContactEdit}, access.ContactView, func(who access.Actor) error {
			_, err := s.contacts.Update(s.ctx, who, s.contact, contact.Update{})
			return err
		}},
		"of a record": {gate.Edit, s.record, []access.Permission{access.ContactEdit}, access.ContactView, func(who access.Actor) error {
			_, err := s.contacts.UpdateRecord(s.ctx, who, s.record, contact.RecordUpdate{})
			return err
		}},
		"merging by who may only delete": {gate.MergeContact, s.contact, []access.Permission{access.ContactDelete, access.ContactView}, access.ContactEdit, func(who access.Actor) error {
			_, err := s.contacts.Merge(s.ctx, who, s.other, []id.ID{s.contact})
			return err
		}},
		"merging what is not read": {gate.MergeContact, s.contact, []access.Permission{access.ContactDelete, access.ContactEdit}, access.ContactView, func(who access.Actor) error {
			_, err := s.contacts.Merge(s.ctx, who, s.other, []id.ID{s.contact})
			return err
		}},
		"an event of a record that is not read": {gate.ReportRecordEvent, s.record, []access.Permission{access.RecordEventAdd}, "", func(who access.Actor) error {
			_, _, err := s.contacts.AddEvent(s.ctx, who, contact.EventAdd{RecordID: s.record, Kind: contact.Arrived})
			return err
		}},
		"deleting what is not read": {gate.DeleteContact, s.other, []access.Permission{access.ContactDelete}, "", func(who access.Actor) error {
			return kept(s.contacts.Delete(s.ctx, who, []id.ID{s.other}))
		}},
	} {
		who := s.who(x.may...)
		c := s.can(who, x.action, x.subject)
		err := x.command(who)
		if c.IsAllowed != (x.lacks == "") || x.lacks != "" && (c.Permission == nil || *c.Permission != x.lacks) {
			t.Errorf("%s: %+v, want the lack of %q", name, c, x.lacks)
		}
		if (err == nil) != c.IsAllowed || err != nil && (!errs.IsCode(err, errs.Forbidden) || !strings.Contains(err.Error(), string(x.lacks))) {
			t.Errorf("%s, tried: %v", name, err)
		}
	}
	if c := s.can(s.who(access.RecordEventAdd), gate.ReportRecordEvent, id.New(id.Record)); c.IsAllowed || c.Gate != gate.Visibility {
		t.Errorf("an event of no record: %+v", c)
	}
}

// A transcript is changed and deleted by who reads transcripts; that of a voicemail is
// read also by who hears it.
func TestCanAgreesWithWhatIsDoneToTranscripts(t *testing.T) { // R203, R234
	t.Parallel()
	s := newStage(t)
	mails := id.New(id.Transcript)
	s.exec(`INSERT INTO transcript (organization_id, id, voicemail_id, source, status, provider, language, is_automatic, recorded_at, updated_at)
		VALUES ($1, $2, $3, 'VOICEMAIL', 'COMPLETED', 'HTTP', 'en', true, $4, $4)`, s.org, mails, s.mail, start)
	own := s.who(access.All...)
	own.Visibility = access.SeesOwn
	edit := func(x id.ID) func(access.Actor) error {
		return func(who access.Actor) error {
			_, err := s.transcripts.Update(s.ctx, who, x, transcript.Update{Subject: patch.To("Lawn")})
			return err
		}
	}
	remove := func(x id.ID) func(access.Actor) error {
		return func(who access.Actor) error {
			_, _, err := s.transcripts.Delete(s.ctx, who, []id.ID{x}, "why")
			return err
		}
	}
	look := func(x id.ID) func(access.Actor) error {
		return func(who access.Actor) error {
			_, err := s.transcripts.Get(s.ctx, who, x)
			return err
		}
	}
	for _, x := range []struct {
		name    string
		who     access.Actor
		action  gate.Action
		subject id.ID
		command func(access.Actor) error
		gate    gate.Gate
	}{
		{"reading one", s.who(access.TranscriptView), gate.View, s.transcript, look(s.transcript), gate.None},
		{"reading a conversation's by who hears voicemails", s.who(access.VoicemailListen), gate.View, s.transcript, look(s.transcript), gate.Visibility},
		{"reading a voicemail's by who hears it", s.who(access.VoicemailListen), gate.View, mails, look(mails), gate.None},
		{"changing one", s.who(access.TranscriptEdit, access.TranscriptView), gate.EditTranscript, s.transcript, edit(s.transcript), gate.None},
		{"changing without the permission", s.who(access.TranscriptView), gate.EditTranscript, s.transcript, edit(s.transcript), gate.Role},
		{"changing what is not read", s.who(access.TranscriptEdit), gate.EditTranscript, s.transcript, edit(s.transcript), gate.Role},
		{"changing a voicemail's by who hears it", s.who(access.TranscriptEdit, access.VoicemailListen), gate.EditTranscript, mails, edit(mails), gate.Role},
		{"changing what is not seen", own, gate.EditTranscript, s.transcript, edit(s.transcript), gate.Visibility},
		{"deleting what is not seen", own, gate.DeleteTranscript, s.transcript, remove(s.transcript), gate.Visibility},
		{"deleting without the permission", s.who(access.TranscriptView), gate.DeleteTranscript, s.transcript, remove(s.transcript), gate.Role},
		{"deleting what is not read", s.who(access.TranscriptDelete), gate.DeleteTranscript, s.transcript, remove(s.transcript), gate.Role},
		{"deleting one", s.who(access.TranscriptDelete, access.TranscriptView), gate.DeleteTranscript, s.transcript, remove(s.transcript), gate.None},
		{"changing what was deleted", s.who(access.TranscriptEdit, access.TranscriptView), gate.EditTranscript, s.transcript, edit(s.transcript), gate.State},
	} {
		c := s.can(x.who, x.action, x.subject)
		if c.Gate != x.gate || c.IsAllowed != (x.gate == gate.None) {
			t.Errorf("%s: %+v, want %s", x.name, c, x.gate)
		}
		if err := x.command(x.who); (err == nil) != c.IsAllowed {
			t.Errorf("%s, tried: %v", x.name, err)
		}
	}
}

func TestCanKnowsWhereCustomersAreNotTold(t *testing.T) { // R240
	t.Parallel()
	s := newStage(t)
	s.exec(`UPDATE record SET assigned_user_id = $2 WHERE organization_id = $1`, s.org, s.user)
	fay := s.who(access.RecordEventAdd)
	fay.IsFieldworker = true
	if c := s.can(fay, gate.NotifyOnTheWay, s.record); !c.IsAllowed {
		t.Errorf("where the option is on: %+v", c)
	}
	off := fay
	off.Switched = []access.FieldworkerOption{access.NotifyOnTheWay}
	if c := s.can(off, gate.NotifyOnTheWay, s.record); c.Gate != gate.FieldworkerOption || c.Option == nil || *c.Option != access.NotifyOnTheWay {
		t.Errorf("where it is off: %+v", c)
	}
	if c := s.can(off, gate.ReportRecordEvent, s.record); !c.IsAllowed {
		t.Errorf("reporting that they are on the way: %+v", c)
	}
	s.exec(`UPDATE record SET assigned_user_id = NULL WHERE organization_id = $1`, s.org)
	if c := s.can(fay, gate.NotifyOnTheWay, s.record); c.Gate != gate.Visibility {
		t.Errorf("of a booking that is not theirs: %+v", c)
	}
	if c := s.can(s.who(access.ContactView), gate.NotifyOnTheWay, s.record); c.Gate != gate.Role || c.Permission == nil || *c.Permission != access.RecordEventAdd {
		t.Errorf("without the permission: %+v", c)
	}
}

func TestCanNamesTheFeatureThatIsSwitchedOff(t *testing.T) { // R099
	t.Parallel()
	s := newStage(t)
	all := s.who(access.All...)
	for action, feature := range map[gate.Action]tenant.FeatureName{gate.AddParticipant: tenant.Conference, gate.DropVoicemail: tenant.VoicemailDrop} {
		if c := s.can(all, action, id.ID{}); !c.IsAllowed {
			t.Errorf("%s: %+v", action, c)
		}
		s.exec(`UPDATE organization SET disabled_features = ARRAY[$2::text] WHERE organization_id = $1`, s.org, string(feature))
		if c := s.can(all, action, id.ID{}); c.IsAllowed || c.Gate != gate.Feature || c.Feature == nil || *c.Feature != feature || !strings.Contains(c.Message, string(feature)) {
			t.Errorf("%s without %s: %+v", action, feature, c)
		}
		// The role is named first.
		if c := s.can(s.who(), action, id.ID{}); c.Gate != gate.Role {
			t.Errorf("%s without %s and the permission: %+v", action, feature, c)
		}
	}
}
