package recording_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/recording"
)

// R123, R212: every filter lets through what it names, alone and within what the actor sees.
func TestRecordingsAreFiltered(t *testing.T) {
	t.Parallel()
	s := newStage(t, status(404))
	s.exec(`DELETE FROM recording WHERE organization_id = $1`, s.org)
	branch, role, ann, contact, record := id.New(id.Branch), id.New(id.Role), id.New(id.User), id.New(id.Contact), id.New(id.Record)
	s.exec(`INSERT INTO branch (organization_id, id, name, updated_at) VALUES ($1, $2, 'Sydney', $3)`, s.org, branch, start)
	s.exec(`INSERT INTO role (organization_id, id, name, updated_at) VALUES ($1, $2, 'Office', $3)`, s.org, role, start)
	s.exec(`INSERT INTO "user" (organization_id, id, login_id, email, name, role_id, status, updated_at) VALUES ($1, $2, $3, 'ann@acme.test', 'Ann', $4, 'ACTIVE', $5)`,
		s.org, ann, id.New(id.Login), role, start)
	s.exec(`INSERT INTO contact (organization_id, id, kind, name, updated_at) VALUES ($1, $2, 'CUSTOMER', 'Alice', $3)`, s.org, contact, start)
	s.exec(`INSERT INTO record (organization_id, id, kind, title, contact_id, updated_at) VALUES ($1, $2, 'BOOKING', 'B-1', $3, $4)`, s.org, record, contact, start)
	recs := make([]id.ID, 6)
	calls := make([]id.ID, 6)
	for i := range recs {
		recs[i], calls[i] = id.New(id.Recording), id.New(id.Call)
		direction, state := "INBOUND", "COMPLETED"
		if i == 1 {
			direction = "OUTBOUND"
		}
		switch i {
		case 2:
			state = "IN_PROGRESS"
		case 3:
			state = "DELETED"
		}
		s.exec(`INSERT INTO call (organization_id, id, direction, status, connection_id, from_number, to_number, started_at, ended_at, updated_at)
			VALUES ($1, $2, $3, 'COMPLETED', $4, '+61400999888', '+61255501234', $5, $5, $5)`, s.org, calls[i], direction, s.conn, at(i))
		s.exec(`INSERT INTO recording (organization_id, id, call_id, twilio_sid, purpose, status, duration_seconds, started_at, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, 'CALL', $5, $6, $7, $7, CASE WHEN $5 = 'DELETED' THEN $7::timestamptz END)`, s.org, recs[i], calls[i], sid("RE", 100+i), state, 10*i, at(i))
	}
	s.exec(`UPDATE recording SET purpose = 'VOICEMAIL' WHERE organization_id = $1 AND id = $2`, s.org, recs[5])
	s.exec(`UPDATE recording SET media_state = 'STORED' WHERE organization_id = $1 AND id = $2`, s.org, recs[0])
	s.exec(`UPDATE call SET branch_id = $2, contact_id = $3, record_id = $4, answered_by_user_id = $5 WHERE organization_id = $1 AND id = $6`, s.org, branch, contact, record, ann, calls[0])
	s.exec(`UPDATE call SET user_id = $2 WHERE organization_id = $1 AND id = $3`, s.org, ann, calls[1])
	s.exec(`INSERT INTO legal_hold (organization_id, id, subject, reason, placed_at) VALUES ($1, $2, $3, 'Case 17', $4)`, s.org, id.New(id.LegalHold), contact, start)
	s.exec(`INSERT INTO transcript (organization_id, id, call_id, recording_id, source, status, provider, language, is_automatic, recorded_at, updated_at)
		VALUES ($1, $2, $3, $4, 'CALL', 'COMPLETED', 'TWILIO', 'en', true, $5, $5)`, s.org, id.New(id.Transcript), calls[1], recs[1], start)
	for i, status := range map[int]string{0: "FAILED", 2: "RUNNING", 4: "DELETED"} { // no text is there
		s.exec(`INSERT INTO transcript (organization_id, id, call_id, recording_id, source, status, provider, language, is_automatic, recorded_at, updated_at, deleted_at, failure_code, failure_reason)
			VALUES ($1, $2, $3, $4, 'CALL', $6, 'TWILIO', 'en', true, $5, $5, CASE WHEN $6 = 'DELETED' THEN $5::timestamptz END, CASE WHEN $6 = 'FAILED' THEN 'REFUSED' END, CASE WHEN $6 = 'FAILED' THEN 'no' END)`, s.org, id.New(id.Transcript), calls[i], recs[i], start, status)
	}
	boss := s.boss()
	s.exec(`INSERT INTO recording_ledger (organization_id, id, recording_id, kind, at, actor_id) VALUES ($1, $2, $3, 'LISTENED', $4, $5)`, s.org, id.New(id.Fact), recs[4], start, boss.UserID)
	own, office, quiet := boss, boss, boss
	own.UserID, own.Visibility = ann, access.SeesOwn
	office.Visibility, office.BranchIDs = access.SeesBranch, []id.ID{branch}
	quiet.Permissions = access.SetOf(access.CallView, access.VoicemailListen)
	for name, c := range map[string]struct {
		who    access.Actor
		filter recording.Filter
		want   []int
	}{
		"all":                     {boss, recording.Filter{}, []int{4, 2, 1, 0}},
		"deleted":                 {boss, recording.Filter{Status: []recording.RecordingStatus{recording.Deleted}}, []int{3}},
		"running or complete":     {boss, recording.Filter{Status: []recording.RecordingStatus{recording.InProgress, recording.Completed}}, []int{4, 2, 1, 0}},
		"voicemails":              {boss, recording.Filter{Purpose: recording.OfVoicemail}, []int{5}},
		"stored":                  {boss, recording.Filter{MediaState: []recording.MediaState{recording.MediaStored}}, []int{0}},
		"a call's":                {boss, recording.Filter{CallID: calls[2]}, []int{2}},
		"a branch's":              {boss, recording.Filter{BranchID: branch}, []int{0}},
		"a number's":              {boss, recording.Filter{PhoneNumberID: id.New(id.PhoneNumber)}, nil},
		"a person's":              {boss, recording.Filter{UserID: ann}, []int{1, 0}},
		"a contact's":             {boss, recording.Filter{ContactID: contact}, []int{0}},
		"a record's":              {boss, recording.Filter{RecordID: record}, []int{0}},
		"out":                     {boss, recording.Filter{Direction: "OUTBOUND"}, []int{1}},
		"from":                    {boss, recording.Filter{StartedFrom: at(2)}, []int{4, 2}},
		"before":                  {boss, recording.Filter{StartedBefore: at(2)}, []int{1, 0}},
		"long":                    {boss, recording.Filter{MinSeconds: new(20)}, []int{4, 2}},
		"short":                   {boss, recording.Filter{MaxSeconds: new(10)}, []int{1, 0}},
		"held, by its contact":    {boss, recording.Filter{IsHeld: new(true)}, []int{0}},
		"not held":                {boss, recording.Filter{IsHeld: new(false)}, []int{4, 2, 1}},
		"with a transcript":       {boss, recording.Filter{HasTranscript: new(true)}, []int{1}},
		"heard by me":             {boss, recording.Filter{IsHeardByMe: new(true)}, []int{4}},
		"not heard by me":         {boss, recording.Filter{IsHeardByMe: new(false)}, []int{2, 1, 0}},
		"all at once":             {boss, recording.Filter{BranchID: branch, UserID: ann, IsHeld: new(true), MaxSeconds: new(10), Direction: "INBOUND"}, []int{0}},
		"one's own":               {own, recording.Filter{}, []int{1, 0}},
		"one's branch":            {office, recording.Filter{}, []int{0}},
		"another's filter on own": {own, recording.Filter{UserID: boss.UserID}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []int
			for after := ""; ; {
				w, err := s.recs.List(s.ctx, c.who, c.filter, db.Page{First: 2, After: after})
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range w.Nodes {
					for i, x := range recs {
						if x == r.ID {
							got = append(got, i)
						}
					}
				}
				if after = w.EndCursor(); !w.HasNext {
					break
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	if _, err := s.recs.List(s.ctx, quiet, recording.Filter{}, db.Page{}); !errs.IsCode(err, errs.Forbidden) || !strings.Contains(err.Error(), "RECORDING_LISTEN") {
		t.Errorf("without the permission: %v", err)
	}
	deaf := boss
	deaf.Permissions = access.SetOf(access.RecordingListen)
	if _, err := s.recs.List(s.ctx, deaf, recording.Filter{Purpose: recording.OfVoicemail}, db.Page{}); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("voicemails without their permission: %v", err)
	}
	if _, err := s.recs.List(s.ctx, boss, recording.Filter{MinSeconds: new(-1)}, db.Page{}); !errs.IsCode(err, errs.Invalid) {
		t.Errorf("a negative length: %v", err)
	}
}

// The text of the statement depends on which conditions there are, never on values.
func TestFiltersNeverBecomeSQL(t *testing.T) {
	t.Parallel()
	text := func(f recording.Filter) string {
		n := 0
		return recording.Where(f, access.System(id.New(id.Organization)), func(any) string { n++; return fmt.Sprintf("$%d", n) })
	}
	a := text(recording.Filter{Status: []recording.RecordingStatus{"COMPLETED"}, Direction: "INBOUND", ContactID: id.New(id.Contact), MinSeconds: new(1), IsHeld: new(true)})
	b := text(recording.Filter{Status: []recording.RecordingStatus{"'; DROP TABLE call; --", "PAUSED"}, Direction: "' OR true", ContactID: id.New(id.Contact), MinSeconds: new(7), IsHeld: new(false)})
	if a != b || strings.Contains(b, "DROP") {
		t.Errorf("%s\n%s", a, b)
	}
}

// console is Twilio with some of the recordings deleted in its console: the list and the
// recordings one by one.
func (s *stage) console(there func() []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.other = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, ".json") {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		var list []string
		for _, x := range there() {
			one := fmt.Sprintf(`{"sid": %q, "call_sid": %q, "status": "completed", "channels": 1, "duration": "1", "start_time": "Mon, 02 Mar 2026 12:00:00 +0000"}`, x, sid("CA", 1))
			if strings.Contains(r.URL.Path, x) {
				_, _ = w.Write([]byte(one))
				return true
			}
			list = append(list, one)
		}
		if strings.HasSuffix(r.URL.Path, "/Recordings.json") {
			_, _ = fmt.Fprintf(w, `{"recordings": [%s], "page": 0, "page_size": 1000}`, strings.Join(list, ","))
			return true
		}
		w.WriteHeader(404)
		_, _ = w.Write([]byte(`{"code": 20404, "status": 404, "message": "not found"}`))
		return true
	}
}

// R282: what is deleted at Twilio is noticed; what becomes of our copy is the organization's
// to say, and a hold keeps it.
func TestADeletionAtTwilioIsNoticed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		why    string
		policy recording.DeletedAtTwilio
		held   bool
		stored bool
		want   recording.RecordingStatus
		media  recording.MediaState
	}{
		"its copy goes":       {"whoever deletes there means it", recording.DeleteCopy, false, true, recording.Deleted, recording.MediaNone},
		"its copy is kept":    {"Twilio is emptied to save money", recording.KeepCopy, false, true, recording.Completed, recording.MediaStored},
		"a hold keeps it":     {"nobody deletes what is held", recording.DeleteCopy, true, true, recording.Completed, recording.MediaStored},
		"it was never stored": {"there is nothing to keep", recording.KeepCopy, false, false, recording.Deleted, recording.MediaNone},
		"held and not stored": {"the row is held, the audio is lost", recording.KeepCopy, true, false, recording.Completed, recording.MediaGone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			audio := wav()
			s := newStage(t, status(404))
			if c.stored {
				s.mu.Lock()
				s.answers = []func(http.ResponseWriter){send("audio/x-wav", audio, len(audio))}
				s.mu.Unlock()
				s.until(recording.MediaStored)
			}
			x := s.only().ID
			s.apply("completed", 2, false)
			if _, err := s.recs.UpdatePolicy(s.ctx, s.boss(), recording.PolicyChange{WhenDeletedAtTwilio: patch.To(c.policy)}); err != nil {
				t.Fatal(err)
			}
			if c.held {
				s.exec(`INSERT INTO legal_hold (organization_id, id, subject, reason, placed_at) VALUES ($1, $2, $3, 'Case 17', $4)`, s.org, id.New(id.LegalHold), x, start)
			}
			// The list is short of both, but one of them is there all the same: nothing is believed of the list alone.
			here := []string{sid("RE", 1), sid("RE", 2)}
			s.console(func() []string { return here })
			s.work()
			s.clock.Advance(13 * time.Hour)
			s.work()
			if r := s.get(x); r.GoneAtTwilioAt != nil || r.Status == recording.Deleted {
				t.Fatal("it was noticed before it happened")
			}
			here = here[1:]
			for range 6 {
				s.clock.Advance(5 * time.Hour)
				s.work()
			}
			r := s.get(x)
			if r.Status != c.want || r.MediaState != c.media || r.GoneAtTwilioAt == nil {
				t.Errorf("%s: %s, %s, gone at %v", c.why, r.Status, r.MediaState, r.GoneAtTwilioAt)
			}
			kinds, _ := s.ledger(x)
			all := strings.Join(kinds, " ")
			if strings.Count(all, "GONE_AT_TWILIO") != 1 || strings.Contains(all, "AUDIO_ERASED") != (c.want == recording.Deleted && c.stored) || strings.Contains(all, "DELETED_AT_TWILIO") {
				t.Errorf("the ledger has %s", all)
			}
			other := s.count(`SELECT count(*) FROM recording WHERE organization_id = $1 AND twilio_sid = $2 AND gone_at_twilio_at IS NULL AND status = 'COMPLETED'`, s.org, sid("RE", 2))
			if other != 1 {
				t.Error("the one that is there was taken for gone")
			}
		})
	}
}
