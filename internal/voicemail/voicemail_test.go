package voicemail_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/clock"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/recording"
	"switchboard/internal/testkit"
	"switchboard/internal/voicemail"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// stage is one organization with voicemails of one number, the newest first in mails.
type stage struct {
	t                           *testing.T
	db                          *db.DB
	v                           *voicemail.Service
	ctx                         context.Context
	org, branch, number         id.ID
	owner, told, rung, stranger id.ID
	mails                       []id.ID
}

func (s *stage) exec(sql string, args ...any) {
	s.t.Helper()
	if err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Pgx().Exec(ctx, sql, args...)
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
}

func newStage(t *testing.T, n int) *stage {
	t.Helper()
	s := &stage{t: t, db: testkit.DB(t, testkit.Clock(clock.NewFake(start)), testkit.MaxConns(4))}
	s.v = voicemail.New(s.db, recording.New(recording.Deps{DB: s.db}), call.New(call.Deps{DB: s.db}))
	s.org, s.branch, s.number = id.New(id.Organization), id.New(id.Branch), id.New(id.PhoneNumber)
	s.ctx = db.WithTenant(t.Context(), s.org)
	conn, role := id.New(id.Connection), id.New(id.Role)
	s.exec(`INSERT INTO organization (organization_id, name, updated_at) VALUES ($1, 'Acme', $2)`, s.org, start)
	s.exec(`INSERT INTO role (organization_id, id, name, permissions, updated_at) VALUES ($1, $2, 'Office', '{VOICEMAIL_LISTEN,FOLLOW_UP_VIEW}', $3)`, s.org, role, start)
	s.exec(`INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, 'Sydney', $3)`, s.org, s.branch, start)
	for i, u := range []*id.ID{&s.owner, &s.told, &s.rung, &s.stranger} {
		*u = id.New(id.User)
		s.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, status, updated_at) VALUES ($1, $2, $3, $4, $4, $5, 'ACTIVE', $6)`,
			s.org, *u, id.New(id.Login), fmt.Sprintf("u%d@acme.test", i), role, start)
	}
	s.exec(`INSERT INTO twilio_connection (organization_id, id, name, account_sid, account_type, account_status, updated_at) VALUES ($1, $2, 'Main', $3, 'FULL', 'active', $4)`,
		s.org, conn, fmt.Sprintf("AC%032d", 1), start)
	s.exec(`INSERT INTO phone_number (organization_id, id, connection_id, e164, twilio_sid, name, country, can_voice, can_sms, can_mms, branch_id, updated_at)
		VALUES ($1, $2, $3, '+61255501234', $4, 'Sydney', 'AU', true, true, true, $5, $6)`, s.org, s.number, conn, fmt.Sprintf("PN%032d", 1), s.branch, start)
	s.exec(`INSERT INTO phone_number_voicemail_user (organization_id, phone_number_id, user_id) VALUES ($1, $2, $3)`, s.org, s.number, s.told)
	for i := range n {
		call, rec, mail := id.New(id.Call), id.New(id.Recording), id.New(id.Voicemail)
		at := start.Add(time.Duration(i) * time.Minute)
		s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, phone_number_id, branch_id, from_number, to_number, started_at, ended_at, updated_at)
			VALUES ($1, $2, 'INBOUND', 'VOICEMAIL', $3, $4, $5, '+61400999888', '+61255501234', $6, $6, $6)`, s.org, call, conn, s.number, s.branch, at)
		s.exec(`INSERT INTO call_leg (organization_id, id, call_id, kind, user_id, to_address, status, started_at, updated_at) VALUES ($1, $2, $3, 'DEVICE', $4, 'client:x', 'ENDED', $5, $5)`,
			s.org, id.New(id.Leg), call, s.rung, at)
		s.exec(`INSERT INTO recording (organization_id, id, call_id, twilio_sid, purpose, status, started_at, updated_at) VALUES ($1, $2, $3, $4, 'VOICEMAIL', 'COMPLETED', $5, $5)`,
			s.org, rec, call, fmt.Sprintf("RE%032d", i), at)
		s.exec(`INSERT INTO voicemail (organization_id, id, call_id, recording_id, phone_number_id, branch_id, from_number, owner_user_id, received_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, '+61400999888', $7, $8, $8)`, s.org, mail, call, rec, s.number, s.branch, s.owner, at)
		s.mails = append([]id.ID{mail}, s.mails...)
	}
	return s
}

func (s *stage) actor(user id.ID, v access.Visibility, branches ...id.ID) access.Actor {
	return access.Actor{OrganizationID: s.org, UserID: user, Visibility: v, BranchIDs: branches, Permissions: access.SetOf(access.VoicemailListen)}
}

// D25, R128, R129: the owner, those who are told and those whom the call rang hear it, besides the role's visibility.
func TestVoicemailsAreHeardByThoseWhoFollowThemUp(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	mute := s.actor(s.owner, access.SeesOrganization)
	mute.Permissions = access.SetOf(access.CallView)
	foreign := s.actor(s.owner, access.SeesOrganization)
	foreign.OrganizationID = id.New(id.Organization)
	for name, x := range map[string]struct {
		who  access.Actor
		sees bool
	}{
		"the organization": {s.actor(s.stranger, access.SeesOrganization), true},
		"the branch":       {s.actor(s.stranger, access.SeesBranch, s.branch), true},
		"another branch":   {s.actor(s.stranger, access.SeesBranch, id.New(id.Branch)), false},
		"the owner":        {s.actor(s.owner, access.SeesOwn), true},
		"who is told":      {s.actor(s.told, access.SeesOwn), true},
		"who was rung":     {s.actor(s.rung, access.SeesOwn), true},
		"a stranger":       {s.actor(s.stranger, access.SeesOwn), false},
		"no permission":    {mute, false},
		"another tenant":   {foreign, false},
	} {
		ctx := access.With(s.ctx, x.who)
		if _, err := s.v.Get(ctx, x.who, s.mails[0]); (err == nil) != x.sees || err != nil && !errs.IsCode(err, errs.NotFound) {
			t.Errorf("%s: get %v", name, err)
		}
		if v, err := s.v.Visible(ctx, x.who, s.mails); err != nil || (len(v) == 1) != x.sees {
			t.Errorf("%s: visible %d, %v", name, len(v), err)
		}
		w, err := s.v.List(ctx, x.who, voicemail.Filter{}, db.Page{})
		if (len(w.Nodes) == 1) != x.sees || err != nil && !errs.IsCode(err, errs.Forbidden) {
			t.Errorf("%s: list %d, %v", name, len(w.Nodes), err)
		}
		if _, err := s.v.MarkHeard(ctx, x.who, s.mails[0], true); (err == nil) != x.sees {
			t.Errorf("%s: mark %v", name, err)
		}
	}
}

func TestVoicemailsAreFilteredAndPaged(t *testing.T) {
	t.Parallel()
	s := newStage(t, 5)
	who := s.actor(s.owner, access.SeesOrganization)
	ctx := access.With(s.ctx, who)
	if v, err := s.v.MarkHeard(ctx, who, s.mails[1], true); err != nil || v.HeardByID != s.owner {
		t.Fatalf("%+v, %v", v, err)
	}
	var seen []id.ID
	for after := ""; ; {
		w, err := s.v.List(ctx, who, voicemail.Filter{PhoneNumberID: s.number, BranchID: s.branch}, db.Page{First: 2, After: after})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range w.Nodes {
			seen = append(seen, v.ID)
		}
		if after = w.EndCursor(); !w.HasNext {
			break
		}
	}
	if fmt.Sprint(seen) != fmt.Sprint(s.mails) {
		t.Errorf("pages give %v, want %v", seen, s.mails)
	}
	for heard, want := range map[bool]int{true: 1, false: 4} {
		if w, err := s.v.List(ctx, who, voicemail.Filter{IsHeard: &heard}, db.Page{}); err != nil || len(w.Nodes) != want {
			t.Errorf("heard %t: %d, %v", heard, len(w.Nodes), err)
		}
	}
	if v, err := s.v.MarkHeard(ctx, who, s.mails[1], false); err != nil || v.HeardAt != nil || !v.HeardByID.IsZero() || v.Version != 3 {
		t.Errorf("new again: %+v, %v", v, err)
	}
}
