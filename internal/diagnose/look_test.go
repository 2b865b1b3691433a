package diagnose_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/diagnose"
	"switchboard/internal/id"
	"switchboard/internal/twilio"
)

// The regular look tells of each finding when it opens and when it is gone, and of
// nothing between.
func TestTheSweepTellsOnceOfEachOpeningAndClearing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.later()
	if n := s.told(); n != 0 {
		t.Fatalf("of a healthy organization %d events tell", n)
	}
	s.exec(`DELETE FROM branch_user WHERE organization_id = $1`, s.org)
	for range 3 {
		s.later()
		if open, n := s.open(diagnose.OtherBranch), s.told(); len(open) != 1 || n != 1 {
			t.Fatalf("%d are open, and %d events tell", len(open), n)
		}
	}
	s.exec(`INSERT INTO branch_user (organization_id, branch_id, user_id) VALUES ($1, $2, $3)`, s.org, s.branch, s.ann)
	for range 3 {
		s.later()
		if open, n := s.open(diagnose.OtherBranch), s.told(); len(open) != 0 || n != 2 {
			t.Fatalf("mended, %d are open, and %d events tell", len(open), n)
		}
	}
}

// What was decided about an old call says nothing of the number today.
func TestAnOldCallChangesNothingThatIsKeptOfItsNumber(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.must(s.db.InTx(s.ctx(), func(ctx context.Context, tx *db.Tx) error {
		_, err := s.calls.Inbound(ctx, tx, call.Incoming{Connection: s.connection.ID, Hooks: hooks{},
			Form: twilio.CallForm{CallSID: "CA" + strings.Repeat("1", 32), From: "+61400999888", To: string(s.line.E164), Status: "ringing", Direction: "inbound"}})
		return err
	}))
	var old id.ID
	s.must(db.Select(s.ctx(), s.db.App(), &old, `SELECT id FROM call WHERE organization_id = $1`, s.org))
	s.clock.Advance(7 * 24 * time.Hour)
	s.exec(`DELETE FROM branch_user WHERE organization_id = $1`, s.org)
	s.diagnose(diagnose.Input{PhoneNumberID: s.line.ID})
	open := s.open(diagnose.OtherBranch)
	if len(open) != 1 {
		t.Fatalf("%d are open", len(open))
	}
	if _, err := s.svc.Acknowledge(s.Context(), s.boss, open[0].ID, nil); err != nil {
		t.Fatal(err)
	}
	if d := s.diagnose(diagnose.Input{CallID: old}); named(d, diagnose.OtherBranch) {
		t.Error("the old call is said to have had nobody to ring")
	}
	if still := s.open(diagnose.OtherBranch); len(still) != 1 || still[0].ID != open[0].ID || still[0].AcknowledgedAt == nil {
		t.Errorf("after the old call was looked at, there is open %+v", still)
	}
}

// A number that takes no calls any more needs nobody to ring.
func TestANumberForTextsNeedsNobodyToRing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code   diagnose.Code
		break_ string
	}{
		{diagnose.NobodyToRing, `UPDATE phone_number SET branch_id = NULL WHERE organization_id = $1`},
		{diagnose.OtherBranch, `DELETE FROM branch_user WHERE organization_id = $1`},
	} {
		t.Run(string(c.code), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.exec(c.break_, s.org)
			s.later()
			if open := s.open(c.code); len(open) != 1 {
				t.Fatalf("%d are open", len(open))
			}
			s.exec(`UPDATE phone_number SET use_for_inbound_calls = false WHERE organization_id = $1`, s.org)
			s.later()
			if open := s.open(c.code); len(open) != 0 {
				t.Errorf("for texts alone, there is open %+v", open)
			}
		})
	}
}

// Trouble of one connection neither hides nor ends that of another.
func TestConnectionsAreExaminedEachByItself(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	other, _ := s.connect()
	s.sweep()
	for range 3 { // posts with a wrong signature for the first
		s.svc.RefusedPost(s.connection.ID, false, true, "https://proxy.example.test/")
	}
	// The other one has two calls at Twilio of which nothing arrived here.
	s.must(s.em.SetNetwork("detour"))
	if _, err := s.em.PlaceCall("+61400999888", "+61255500002"); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(5 * time.Minute)
	d := s.diagnose(diagnose.Input{Live: true})
	of := map[id.ID][]diagnose.Code{}
	for _, f := range d.Findings {
		of[f.SubjectID] = append(of[f.SubjectID], f.Code)
	}
	if len(of[s.connection.ID]) != 1 || of[s.connection.ID][0] != diagnose.ProxyBreaksSignatures {
		t.Errorf("the first has %v", of[s.connection.ID])
	}
	if len(of[other.ID]) != 1 || of[other.ID][0] != diagnose.NoWebhooksArriving {
		t.Errorf("the other has %v", of[other.ID])
	}
}

// All connections are asked at once, within the time of one; what is too much for that
// is named as left out.
func TestAnOrganizationIsExaminedInTheTimeOfOneConnection(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for range 6 {
		s.connect()
	}
	// Twilio answers nobody before it was asked about five accounts.
	var mu sync.Mutex
	seen, all := map[string]bool{}, make(chan struct{})
	meet := func(r *http.Request) {
		account, _, _ := r.BasicAuth()
		mu.Lock()
		if !seen[account] {
			if seen[account] = true; len(seen) == 5 {
				close(all)
			}
		}
		mu.Unlock()
		select {
		case <-all:
		case <-r.Context().Done():
		}
	}
	s.between.Store(&meet)
	d := s.diagnose(diagnose.Input{Live: true})
	if !d.IsLive {
		t.Error("it does not say that Twilio was asked")
	}
	skipped := 0
	for _, c := range d.Checks {
		if c.Result != diagnose.Skipped {
			continue
		}
		if skipped++; c.Code != diagnose.TokenRefused || !strings.Contains(c.Detail, "Account 6") && !strings.Contains(c.Detail, "Account 7") {
			t.Errorf("left out is %+v", c)
		}
	}
	if skipped != 2 {
		t.Errorf("%d are named as left out, want 2", skipped)
	}
}

// It is live when Twilio answered, not when it might have been asked.
func TestADiagnosisIsLiveWhenTwilioAnswered(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	if d := s.diagnose(diagnose.Input{PhoneNumberID: s.line.ID, Live: true}); !d.IsLive {
		t.Error("Twilio answered")
	}
	if d := s.diagnose(diagnose.Input{PhoneNumberID: s.line.ID}); d.IsLive {
		t.Error("nobody asked Twilio")
	}
	if d := s.diagnose(diagnose.Input{UserID: s.ann, Live: true}); d.IsLive {
		t.Error("there is nothing to ask Twilio of a person")
	}
	gone := func(*http.Request) { panic(http.ErrAbortHandler) }
	s.between.Store(&gone)
	d := s.diagnose(diagnose.Input{PhoneNumberID: s.line.ID, Live: true})
	if d.IsLive {
		t.Error("Twilio was silent")
	}
	for _, c := range d.Checks {
		if c.Code == diagnose.NumberGone && c.Result != diagnose.Skipped {
			t.Errorf("whether the account has the number is said to be %s", c.Result)
		}
	}
}

// One old address stays wrong beside others that are right, and ends when for a day
// nothing came by it.
func TestAnOldAddressIsNamedForADay(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.sweep()
	s.svc.RefusedPost(s.connection.ID, true, false, "https://phone.example.test/")
	s.clock.Advance(time.Minute)
	s.exec(`INSERT INTO twilio_post (organization_id, id, connection_id, kind, key, path, body, status, received_at) VALUES ($1, $2, $3, 'CALLBACK', 'k', '/', '', 'DONE', $4)`,
		s.org, id.New(id.Fact), s.connection.ID, s.clock.Now())
	s.sweep()
	for range 4 { // it comes again every few hours
		s.later()
		open := s.open(diagnose.AccessKeyOld)
		if len(open) != 1 {
			t.Fatalf("%d are open", len(open))
		}
		s.clock.Advance(5 * time.Hour)
		s.svc.RefusedPost(s.connection.ID, true, false, "https://phone.example.test/")
	}
	s.later()
	s.clock.Advance(22 * time.Hour)
	s.later()
	open := s.open(diagnose.AccessKeyOld)
	if len(open) != 1 || s.count(`SELECT count FROM refused_post WHERE why = 'ACCESS_KEY'`) != 5 {
		t.Errorf("%d are open", len(open))
	}
	s.clock.Advance(2 * time.Hour)
	s.later()
	if open := s.open(diagnose.AccessKeyOld); len(open) != 0 {
		t.Errorf("after a day without, there is open %+v", open)
	}
}

// R273: whom numbers ring as general fieldworkers is looked at as others are.
func TestGeneralFieldworkersAreLookedAt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	fay := s.person("fay")
	s.exec(`UPDATE "user" SET is_fieldworker = true, is_general_fieldworker = true WHERE id = $1`, fay)
	s.later()
	if open := s.open(diagnose.NoDevice); len(open) != 0 {
		t.Fatalf("of one whom no number rings, there is open %+v", open)
	}
	s.exec(`UPDATE phone_number SET include_general_fieldworker = true WHERE organization_id = $1`, s.org)
	s.later()
	if open := s.open(diagnose.NoDevice); len(open) != 1 || open[0].SubjectID != fay {
		t.Errorf("there is open %+v", open)
	}
}

// What somebody changed is looked at before what is due anyway.
func TestWhatChangedIsLookedAtFirst(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.clock.Advance(time.Minute)
	s.sweep()
	// More is due than one sweep takes up.
	s.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, status, updated_at)
		SELECT $1, (lpad(to_hex(n), 30, '0') || $2::text)::uuid, (lpad(to_hex(n), 30, '0') || $3::text)::uuid, n || '@acme.test', 'n', $4, 'ACTIVE', $5 FROM generate_series(1, 2100) n`,
		s.org, fmt.Sprintf("%02x", byte(id.User)), fmt.Sprintf("%02x", byte(id.Login)), s.role, start)
	s.exec(`INSERT INTO branch_user (organization_id, branch_id, user_id) SELECT $1, $2, id FROM "user" WHERE name = 'n'`, s.org, s.branch)
	s.exec(`INSERT INTO diagnosis_due (organization_id, subject, due_at) SELECT $1, id, $2 FROM "user" WHERE name = 'n'`, s.org, start.Add(-time.Hour))
	s.exec(`UPDATE diagnosis_due SET asked_at = $2 WHERE subject = $1`, s.line.ID, start)
	s.clock.Advance(time.Minute)
	s.must(s.jobs.RunSweeps(t.Context()))
	if n := s.count(`SELECT count(*) FROM diagnosis_due WHERE subject = $1 AND looked_at IS NOT NULL`, s.line.ID); n != 1 {
		t.Error("what changed waits behind what is due")
	}
}

// R123, R199: that copies and transcripts fail is noticed by itself, and gone when they
// succeed or a day has passed.
func TestFailuresOfRecordingsAreNoticed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	c, recording := id.New(id.Call), id.New(id.Recording)
	s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, phone_number_id, from_number, to_number, twilio_sid, started_at, ended_at, created_at, updated_at)
		VALUES ($1, $2, 'INBOUND', 'COMPLETED', $3, $4, '+61400999888', $5, 'CA1', $6, $6, $6, $6)`, s.org, c, s.connection.ID, s.line.ID, string(s.line.E164), start)
	s.exec(`INSERT INTO recording (organization_id, id, call_id, twilio_sid, purpose, status, started_at, media_state, media_error, updated_at)
		VALUES ($1, $2, $3, 'RE1', 'CALL', 'COMPLETED', $4, 'FAILED', 'it is empty', $4)`, s.org, recording, c, start)
	transcript := func(status string, at time.Time) {
		s.exec(`INSERT INTO transcript (organization_id, id, call_id, recording_id, source, status, provider, language, is_automatic, failure_code, failure_reason, recorded_at, created_at, updated_at)
			VALUES ($1, $2, $3, $4, 'CALL', $5, 'HTTP', 'en-US', false, 'REFUSED', 'the provider refused the audio', $6, $7, $7)`, s.org, id.New(id.Transcript), c, recording, status, start, at)
	}
	transcript("FAILED", start)
	s.later()
	for _, code := range []diagnose.Code{diagnose.MediaFailed, diagnose.TranscriptionFailed} {
		if open := s.open(code); len(open) != 1 || open[0].SubjectID != s.org || open[0].Severity != diagnose.Warning {
			t.Errorf("of %s there is open %+v", code, open)
		}
	}
	transcript("COMPLETED", start.Add(time.Minute))
	s.later()
	if open := s.open(diagnose.TranscriptionFailed); len(open) != 0 {
		t.Errorf("transcribed again, there is open %+v", open)
	}
	s.clock.Advance(24 * time.Hour)
	s.later()
	if open := s.open(diagnose.MediaFailed); len(open) != 0 {
		t.Errorf("a day later there is open %+v", open)
	}
}
