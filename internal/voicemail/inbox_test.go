package voicemail_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/recording"
	"switchboard/internal/voicemail"
)

func (s *stage) recordingOf(mail id.ID) (x id.ID) {
	s.t.Helper()
	if err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		return tx.Pgx().QueryRow(ctx, `SELECT recording_id FROM voicemail WHERE organization_id = $1 AND id = $2`, s.org, mail).Scan(&x)
	}); err != nil {
		s.t.Fatal(err)
	}
	return x
}

// R131: what one has heard is still new to the others; the first stays the first.
func TestEachHearsForThemselves(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	owner, told := s.actor(s.owner, access.SeesOwn), s.actor(s.told, access.SeesOwn)
	mail := s.mails[0]
	mark := func(who access.Actor, heard bool) *voicemail.Voicemail {
		t.Helper()
		v, err := s.v.MarkHeard(s.ctx, who, mail, heard)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	state := func(want string) {
		t.Helper()
		m, err := s.v.Listeners(s.ctx, []id.ID{mail})
		if err != nil {
			t.Fatal(err)
		}
		a, err := s.v.HeardByMe(s.ctx, owner, []id.ID{mail})
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.v.HeardByMe(s.ctx, told, []id.ID{mail})
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.v.Count(s.ctx, owner)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d listeners, owner %t, told %t, new %d, to the owner %d", len(m[mail]), a[mail], b[mail], c.Unheard, c.UnheardByMe); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	state("0 listeners, owner false, told false, new 1, to the owner 1")
	if v := mark(told, true); v.HeardByID != s.told || v.HeardAt == nil {
		t.Errorf("first heard by %s", v.HeardByID)
	}
	state("1 listeners, owner false, told true, new 0, to the owner 1")
	version := mark(owner, true).Version
	if v := mark(owner, true); v.Version != version || v.HeardByID != s.told {
		t.Errorf("heard again: version %d, first by %s", v.Version, v.HeardByID)
	}
	state("2 listeners, owner true, told true, new 0, to the owner 0")
	if v := mark(told, false); v.HeardByID != s.owner {
		t.Errorf("the first that is left is %s", v.HeardByID)
	}
	state("1 listeners, owner true, told false, new 0, to the owner 0")
	if v := mark(owner, false); v.HeardAt != nil || !v.HeardByID.IsZero() {
		t.Errorf("new to all: %v", v.HeardAt)
	}
	state("0 listeners, owner false, told false, new 1, to the owner 1")
	// A machine hears for nobody: whoever has not heard it changes nothing about that.
	machine := access.Actor{OrganizationID: s.org, APIKeyID: id.New(id.APIKey), Visibility: access.SeesOrganization, Permissions: owner.Permissions}
	heard := mark(machine, true)
	if v := mark(told, false); v.HeardAt == nil || v.Version != heard.Version {
		t.Errorf("marked as the new one it is to them: heard %v, version %d after %d", v.HeardAt, v.Version, heard.Version)
	}
	if v := mark(machine, false); v.HeardAt != nil {
		t.Errorf("the machine took it back: heard %v", v.HeardAt)
	}
}

func TestTheInboxIsFilteredAndCounted(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4)
	contact := id.New(id.Contact)
	s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, 'CUSTOMER', 'Alice', $3)`, s.org, contact, start)
	s.exec(`UPDATE voicemail SET contact_id = $2, duration_seconds = 30, owner_user_id = NULL WHERE organization_id = $1 AND id = $3`, s.org, contact, s.mails[0])
	s.exec(`UPDATE recording SET status = 'DELETED', deleted_at = $2 WHERE organization_id = $1 AND id = $3`, s.org, start, s.recordingOf(s.mails[3]))
	s.exec(`INSERT INTO transcript (organization_id, id, voicemail_id, source, status, provider, language, is_automatic, recorded_at, updated_at)
		VALUES ($1, $2, $3, 'VOICEMAIL', 'COMPLETED', 'TWILIO', 'en', true, $4, $4)`, s.org, id.New(id.Transcript), s.mails[1], start)
	s.exec(`INSERT INTO transcript (organization_id, id, voicemail_id, source, status, provider, language, is_automatic, recorded_at, updated_at, failure_code, failure_reason)
		VALUES ($1, $2, $3, 'VOICEMAIL', 'FAILED', 'TWILIO', 'en', true, $4, $4, 'REFUSED', 'no')`, s.org, id.New(id.Transcript), s.mails[0], start) // no text is there
	who := s.actor(s.stranger, access.SeesOrganization)
	if _, err := s.v.MarkHeard(s.ctx, who, s.mails[2], true); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		filter voicemail.Filter
		want   []int
	}{
		"all":                {voicemail.Filter{}, []int{0, 1, 2}},
		"deleted":            {voicemail.Filter{IsDeleted: true}, []int{3}},
		"new to me":          {voicemail.Filter{IsHeardByMe: new(false)}, []int{0, 1}},
		"heard by me":        {voicemail.Filter{IsHeardByMe: new(true)}, []int{2}},
		"an owner's":         {voicemail.Filter{OwnerID: s.owner}, []int{1, 2}},
		"nobody's":           {voicemail.Filter{IsUnassigned: new(true)}, []int{0}},
		"somebody's":         {voicemail.Filter{IsUnassigned: new(false)}, []int{1, 2}},
		"a contact's":        {voicemail.Filter{ContactID: contact}, []int{0}},
		"a record's":         {voicemail.Filter{RecordID: id.New(id.Record)}, nil},
		"from":               {voicemail.Filter{ReceivedFrom: start.Add(2 * time.Minute)}, []int{0, 1}},
		"before":             {voicemail.Filter{ReceivedBefore: start.Add(2 * time.Minute)}, []int{2}},
		"long":               {voicemail.Filter{MinSeconds: new(20)}, []int{0}},
		"with a transcript":  {voicemail.Filter{HasTranscript: new(true)}, []int{1}},
		"without one":        {voicemail.Filter{HasTranscript: new(false)}, []int{0, 2}},
		"several at a time":  {voicemail.Filter{OwnerID: s.owner, HasTranscript: new(false), IsHeard: new(true), BranchID: s.branch}, []int{2}},
		"of another's phone": {voicemail.Filter{PhoneNumberID: id.New(id.PhoneNumber)}, nil},
	} {
		w, err := s.v.List(s.ctx, who, c.filter, db.Page{})
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, v := range w.Nodes {
			for i, x := range s.mails {
				if x == v.ID {
					got = append(got, i)
				}
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if _, err := s.v.List(s.ctx, who, voicemail.Filter{MinSeconds: new(-5)}, db.Page{}); !errs.IsCode(err, errs.Invalid) {
		t.Errorf("of less than no seconds: %v", err)
	}
	for name, c := range map[string]struct {
		who  access.Actor
		want string
	}{
		"who sees all":  {who, "3 2 2 0 0 | 3 2 2"},
		"the owner":     {s.actor(s.owner, access.SeesOwn), "2 1 2 2 2 | 2 1 2"},
		"another place": {s.actor(s.stranger, access.SeesBranch, id.New(id.Branch)), "0 0 0 0 0 |"},
	} {
		x, err := s.v.Count(s.ctx, c.who)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%d %d %d %d %d |", x.Total, x.Unheard, x.UnheardByMe, x.Mine, x.MineUnheard)
		for _, n := range x.ByNumber {
			if n.PhoneNumberID != s.number {
				t.Errorf("%s: number %s", name, n.PhoneNumberID)
			}
			got += fmt.Sprintf(" %d %d %d", n.Total, n.Unheard, n.UnheardByMe)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// D25: taking it oneself is for all who hear it, handing it on for those who manage follow-ups; all or none.
func TestAssigningIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, 3)
	s.exec(`UPDATE "user" SET status = 'DISABLED' WHERE organization_id = $1 AND id = $2`, s.org, s.rung)
	s.exec(`UPDATE recording SET status = 'DELETED', deleted_at = $2 WHERE organization_id = $1 AND id = $3`, s.org, start, s.recordingOf(s.mails[2]))
	plain := s.actor(s.stranger, access.SeesOrganization)
	chief := plain
	chief.Permissions = access.SetOf(access.VoicemailListen, access.FollowUpManage)
	blind := s.actor(s.stranger, access.SeesOwn)
	two := s.mails[:2]
	// Who hears voicemails alone, and who follows up alone.
	var half [2]id.ID
	for i, permission := range []string{"VOICEMAIL_LISTEN", "FOLLOW_UP_VIEW"} {
		role := id.New(id.Role)
		half[i] = id.New(id.User)
		s.exec(`INSERT INTO role (organization_id, id, name, permissions, updated_at) VALUES ($1, $2, $3, ARRAY[$3], $4)`, s.org, role, permission, start)
		s.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, status, updated_at) VALUES ($1, $2, $3, $4, $4, $5, 'ACTIVE', $6)`,
			s.org, half[i], id.New(id.Login), permission+"@acme.test", role, start)
	}
	for name, c := range map[string]struct {
		who  access.Actor
		ids  []id.ID
		to   id.ID
		code errs.Code
	}{
		"to oneself":            {plain, two, s.stranger, ""},
		"to another":            {plain, two, s.told, errs.Forbidden},
		"to nobody":             {plain, two, id.ID{}, errs.Forbidden},
		"what one does not see": {blind, two, s.stranger, errs.NotFound},
		"one that is not there": {chief, []id.ID{two[0], id.New(id.Voicemail)}, s.told, errs.NotFound},
		"a deleted one":         {chief, []id.ID{two[0], s.mails[2]}, s.told, errs.Conflict},
		"to who cannot sign in": {chief, two, s.rung, errs.Conflict},
		"to who only hears":     {chief, two, half[0], errs.Invalid},
		"to who only works":     {chief, two, half[1], errs.Invalid},
		"to who is not there":   {chief, two, id.New(id.User), errs.NotFound},
		"to something else":     {chief, two, s.branch, errs.Invalid},
		"none at all":           {chief, nil, s.told, errs.Required},
		"more than one may":     {chief, make([]id.ID, 101), s.told, errs.LimitReached},
	} {
		s.exec(`UPDATE voicemail SET owner_user_id = $2 WHERE organization_id = $1`, s.org, s.owner)
		if list, err := s.v.Assign(s.ctx, c.who, c.ids, c.to); errs.CodeOf(err) != c.code || c.code == "" && len(list) != len(c.ids) {
			t.Errorf("%s: %d, %v", name, len(list), err)
		}
	}
	list, err := s.v.Assign(s.ctx, chief, two, s.told)
	if err != nil || list[0].OwnerID != s.told || list[1].OwnerID != s.told {
		t.Fatalf("%v, %v", list, err)
	}
	before := list[0].Version
	if list, err = s.v.Assign(s.ctx, chief, two, s.told); err != nil || list[0].Version != before {
		t.Errorf("again: %v, %v", list, err)
	}
	if list, err = s.v.Assign(s.ctx, chief, two[:1], id.ID{}); err != nil || !list[0].OwnerID.IsZero() {
		t.Errorf("to nobody: %v, %v", list, err)
	}
}

// R225-R229: a voicemail goes with its audio and stays a tombstone; a rule deletes as a person does.
func TestADeletedVoicemailIsATombstone(t *testing.T) {
	t.Parallel()
	s := newStage(t, 3)
	who := s.actor(s.stranger, access.SeesOrganization)
	if _, err := s.v.Delete(s.ctx, who, s.mails[:1], ""); !errs.IsCode(err, errs.Forbidden) || !strings.Contains(err.Error(), "VOICEMAIL_DELETE") {
		t.Errorf("without the permission: %v", err)
	}
	who.Permissions = access.SetOf(access.VoicemailListen, access.VoicemailDelete)
	s.exec(`INSERT INTO transcript (organization_id, id, voicemail_id, source, status, provider, language, is_automatic, recorded_at, updated_at)
		VALUES ($1, $2, $3, 'VOICEMAIL', 'COMPLETED', 'TWILIO', 'en', true, $4, $4)`, s.org, id.New(id.Transcript), s.mails[0], start)
	s.exec(`INSERT INTO legal_hold (organization_id, id, subject, reason, placed_at) VALUES ($1, $2, $3, 'Case 17', $4)`, s.org, id.New(id.LegalHold), s.mails[1], start)
	absent := id.New(id.Voicemail)
	out, err := s.v.Delete(s.ctx, who, []id.ID{s.mails[0], s.mails[1], absent}, "by mistake")
	if err != nil {
		t.Fatal(err)
	}
	want := []recording.DeletionOutcome{recording.OutcomeDeleted, recording.OutcomeHeld, recording.OutcomeNotFound}
	for i, x := range out {
		if x.Outcome != want[i] {
			t.Errorf("%d: %s", i, x.Outcome)
		}
	}
	if m := out[1].Message; m == nil || !strings.Contains(*m, "Case 17") {
		t.Errorf("the hold is not named: %v", m)
	}
	v, err := s.v.Get(s.ctx, who, s.mails[0])
	if err != nil || v.DeletedAt == nil || v.DeletedByID != s.stranger || *v.DeleteReason != "by mistake" || v.Version != 2 {
		t.Errorf("the tombstone is %+v, %v", v, err)
	}
	if held, err := s.v.Get(s.ctx, who, s.mails[1]); err != nil || held.DeletedAt != nil || !held.IsHeld {
		t.Errorf("the held one is %+v, %v", held, err)
	}
	if out, err = s.v.Delete(s.ctx, who, s.mails[:1], ""); err != nil || out[0].Outcome != recording.OutcomeWasDeleted {
		t.Errorf("again: %+v, %v", out, err)
	}
	err = s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		gone, err := s.v.Purge(ctx, tx, s.mails, voicemail.Deletion{Why: "older than 90 days"})
		if len(gone) != 1 || gone[0] != s.mails[2] {
			t.Errorf("the rule deleted %v", gone)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
		return tx.Pgx().QueryRow(ctx, `SELECT count(*) FROM transcript WHERE organization_id = $1 AND voicemail_id = $2`, s.org, s.mails[0]).Scan(&n)
	}); err != nil || n != 1 {
		t.Errorf("%d transcripts, %v", n, err)
	}
	if c, err := s.v.Count(s.ctx, who); err != nil || c.Total != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestNobodyIsCalledBackWhoShowedNoNumber(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.exec(`UPDATE voicemail SET from_number = 'anonymous' WHERE organization_id = $1`, s.org)
	who := s.actor(s.owner, access.SeesOwn)
	if _, err := s.v.Call(s.ctx, who, s.mails[0], voicemail.CallBack{}, ""); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("without the permission: %v", err)
	}
	who.Permissions = access.SetOf(access.VoicemailListen, access.CallMake)
	if _, err := s.v.Call(s.ctx, who, s.mails[0], voicemail.CallBack{}, ""); !errs.IsCode(err, errs.Conflict) {
		t.Errorf("%v", err)
	}
	stranger := who
	stranger.UserID = s.stranger
	if _, err := s.v.Call(s.ctx, stranger, s.mails[0], voicemail.CallBack{}, ""); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("what one does not see: %v", err)
	}
}
