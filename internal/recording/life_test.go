package recording_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/recording"
)

// dual is a second of sound: the first channel is loud, the second silent.
func dual() []byte {
	le := binary.LittleEndian
	const data = 8000 * 4
	b := le.AppendUint32([]byte("RIFF"), 36+data)
	b = le.AppendUint32(append(b, "WAVEfmt "...), 16)
	for _, v := range []uint16{1, 2} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(le.AppendUint32(b, 8000), 32000)
	b = le.AppendUint16(le.AppendUint16(b, 4), 16)
	b = le.AppendUint32(append(b, "data"...), data)
	for range 8000 {
		b = le.AppendUint16(le.AppendUint16(b, 0x7FFF), 0)
	}
	return b
}

func (s *stage) project(st call.State) {
	s.t.Helper()
	st.Call.OrganizationID, st.Call.ID = s.org, s.call
	if err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error { return s.recs.Apply(ctx, tx, st) }); err != nil {
		s.t.Fatal(err)
	}
}

// ledger is what happened to a recording, oldest first.
func (s *stage) ledger(x id.ID) (kinds []string, all []*recording.LedgerEntry) {
	s.t.Helper()
	w, err := s.recs.Ledger(s.ctx, s.boss(), x, db.Page{First: 100})
	if err != nil {
		s.t.Fatal(err)
	}
	for i := len(w.Nodes) - 1; i >= 0; i-- {
		kinds, all = append(kinds, string(w.Nodes[i].Kind)), append(all, w.Nodes[i])
	}
	return kinds, all
}

func (s *stage) get(x id.ID) *recording.Recording {
	s.t.Helper()
	r, err := s.recs.Get(s.ctx, s.boss(), x)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// work does all that is due now.
func (s *stage) work() {
	s.t.Helper()
	if err := s.run.RunSweeps(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	if err := s.run.Drain(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) count(sql string, args ...any) (n int) {
	s.t.Helper()
	if err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error { return tx.Pgx().QueryRow(ctx, sql, args...).Scan(&n) }); err != nil {
		s.t.Fatal(err)
	}
	return n
}

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// R117, R118, D10: the ledger tells what the facts of the call tell, each thing once and in
// the order in which it happened, in however many pieces it is told.
func TestTheLedgerTellsTheLifeOfARecording(t *testing.T) {
	t.Parallel()
	ann, bob := id.New(id.User), id.New(id.User)
	told := func(n int) *time.Time { return new(at(n)) }
	rec := func(status string, n int) []call.Recorded {
		r := call.Recorded{SID: sid("RE", 7), Status: status, Channels: 2, StartedAt: at(10)}
		if n > 0 {
			r.DurationSeconds = &n
		}
		return []call.Recorded{r}
	}
	inbound := call.Call{Direction: call.Inbound}
	for name, c := range map[string]struct {
		why    string
		states []call.State
		want   []string
	}{
		"paused by one and resumed by another": {"the file is shorter by a skipped pause: 5 seconds of sound and 20 of silence end after 35", []call.State{
			{Call: inbound, WelcomedAt: told(2), Recordings: rec("in-progress", 0)},
			{Call: inbound, WelcomedAt: told(2), Recordings: rec("in-progress", 0), Pauses: []call.RecordingPause{{From: at(12), By: ann}}},
			{Call: inbound, WelcomedAt: told(2), Recordings: rec("in-progress", 0), Pauses: []call.RecordingPause{{From: at(12), By: ann, To: told(32), ResumedBy: bob}}},
			{Call: inbound, WelcomedAt: told(2), Recordings: rec("completed", 25), Pauses: []call.RecordingPause{{From: at(12), By: ann, To: told(32), ResumedBy: bob}}},
		}, []string{"2 CONSENT_PLAYED", "10 STARTED", "12 PAUSED ann", "32 RESUMED bob", "35 COMPLETED"}},
		"told at once": {"callbacks come late and in any order", []call.State{
			{Call: inbound, Recordings: rec("completed", 5), Pauses: []call.RecordingPause{{From: at(12), By: ann, To: told(32), ResumedBy: bob}, {From: at(300), By: ann}}},
		}, []string{"10 CONSENT_MISSING", "10 STARTED", "12 PAUSED ann", "15 COMPLETED", "32 RESUMED bob"}},
		"begun while paused": {"a room's recording begins paused, and a pause before it was another's", []call.State{
			{Call: inbound, WelcomedAt: told(11), Recordings: rec("in-progress", 0), Pauses: []call.RecordingPause{{From: at(1), By: bob, To: told(5), ResumedBy: bob}, {From: at(8), By: ann}}},
		}, []string{"10 CONSENT_MISSING", "10 PAUSED ann", "10 STARTED"}},
		"an outgoing call": {"no prompt is played", []call.State{{Call: call.Call{Direction: call.Outbound}, Recordings: rec("absent", 0)}},
			[]string{"10 COMPLETED", "10 CONSENT_MISSING", "10 STARTED"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, status(404))
			for _, st := range append(c.states, c.states...) { // told again, nothing is noted again
				s.project(st)
			}
			var x id.ID
			if err := s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
				return tx.Pgx().QueryRow(ctx, `SELECT id FROM recording WHERE organization_id = $1 AND twilio_sid = $2`, s.org, sid("RE", 7)).Scan(&x)
			}); err != nil {
				t.Fatal(err)
			}
			var got []string
			_, entries := s.ledger(x)
			for _, e := range entries {
				line := fmt.Sprintf("%d %s", int(e.At.Sub(start)/time.Second), e.Kind)
				switch e.ActorID {
				case ann:
					line += " ann"
				case bob:
					line += " bob"
				}
				got = append(got, line)
			}
			// Entries of one moment have no order of their own.
			if d := cmp.Diff(c.want, sortedWithin(got)); d != "" {
				t.Errorf("%s (-want +got):\n%s", c.why, d)
			}
		})
	}
}

func sortedWithin(list []string) []string {
	for i := range list {
		for j := i + 1; j < len(list); j++ {
			a, b := strings.SplitN(list[i], " ", 2), strings.SplitN(list[j], " ", 2)
			if a[0] == b[0] && b[1] < a[1] {
				list[i], list[j] = list[j], list[i]
			}
		}
	}
	return list
}

func TestTheLedgerCannotBeChanged(t *testing.T) {
	t.Parallel()
	s := newStage(t, status(404))
	for _, sql := range []string{`UPDATE recording_ledger SET reason = 'x' WHERE organization_id = $1`, `DELETE FROM recording_ledger WHERE organization_id = $1`} {
		for role, in := range map[string]func(context.Context, func(context.Context, *db.Tx) error) error{"app": s.db.InTx, "worker": s.db.InWorkerTx} {
			if err := in(s.ctx, func(ctx context.Context, tx *db.Tx) error { _, err := db.Exec(ctx, tx, sql, s.org); return err }); err == nil {
				t.Errorf("%s: %s went through", role, sql)
			}
		}
	}
	who := s.boss()
	who.Permissions = access.SetOf(access.RecordingListen)
	if _, err := s.recs.Ledger(s.ctx, who, s.only().ID, db.Page{}); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("read by who only listens: %v", err)
	}
}

// R114: each side can be heard and seen alone, and an account that swaps the channels is put right.
func TestEachSideIsHeardAlone(t *testing.T) {
	t.Parallel()
	audio := dual()
	s := newStage(t, send("audio/x-wav", audio, len(audio)))
	s.exec(`UPDATE recording SET channels = 2 WHERE organization_id = $1`, s.org)
	r := s.until(recording.MediaStored)
	if !r.HasSides() {
		t.Fatal("it has no sides")
	}
	who := s.boss()
	level := func(side recording.Side) float64 {
		t.Helper()
		f, info, err := s.recs.Open(s.ctx, who, r.ID, recording.Playing{Side: side})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b, err := io.ReadAll(f)
		if err != nil || int64(len(b)) != info.Size || len(b) != 44+16000 {
			t.Fatalf("%d bytes of %d, %v", len(b), info.Size, err)
		}
		loud := bytes.Contains(b[44:], []byte{0xFF, 0x7F})
		m, err := s.recs.Waveforms(s.ctx, []id.ID{r.ID})
		if err != nil {
			t.Fatal(err)
		}
		w, err := s.recs.Waveform(s.ctx, r, m[r.ID], 3, side)
		if err != nil || len(w) != 3 || (w[1] > 0.9) != loud {
			t.Errorf("%s: the waveform is %v, the sound is loud: %t, %v", side, w, loud, err)
		}
		return w[1]
	}
	if level(recording.Caller) < 0.9 || level(recording.User) > 0.1 {
		t.Error("the caller is not on the first channel")
	}
	if _, err := s.recs.UpdatePolicy(s.ctx, s.boss(), recording.PolicyChange{AreChannelsSwapped: patch.To(true)}); err != nil {
		t.Fatal(err)
	}
	if level(recording.Caller) > 0.1 || level(recording.User) < 0.9 {
		t.Error("the account's order is not put right")
	}
	if _, _, err := s.recs.Open(s.ctx, s.boss(), r.ID, recording.Playing{Side: "LEFT"}); !errs.IsCode(err, errs.Invalid) {
		t.Errorf("an unknown side: %v", err)
	}
	for _, n := range []int{0, -1, 1001} {
		if _, err := s.recs.Waveform(s.ctx, r, nil, n, ""); !errs.IsCode(err, errs.Invalid) {
			t.Errorf("%d points: %v", n, err)
		}
	}
	f, _, err := s.recs.Open(s.ctx, who, r.ID, recording.Playing{Download: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	kinds, _ := s.ledger(r.ID)
	if n := strings.Count(strings.Join(kinds, " "), "LISTENED"); n != 1 || !strings.Contains(strings.Join(kinds, " "), "DOWNLOADED") {
		t.Errorf("the ledger has %v", kinds)
	}
	for _, x := range []struct {
		who   access.Actor
		heard bool
	}{{who, true}, {s.boss(), false}} {
		if m, err := s.recs.HeardByMe(s.ctx, x.who, []id.ID{r.ID}); err != nil || m[r.ID] != x.heard {
			t.Errorf("heard: %v, want %t, %v", m, x.heard, err)
		}
	}
}

func TestASideOfOneChannelIsRefused(t *testing.T) {
	t.Parallel()
	audio := wav()
	s := newStage(t, send("audio/x-wav", audio, len(audio)))
	r := s.until(recording.MediaStored)
	if _, _, err := s.recs.Open(s.ctx, s.boss(), r.ID, recording.Playing{Side: recording.Caller}); !errs.IsCode(err, errs.Invalid) {
		t.Errorf("%v", err)
	}
	if kinds, _ := s.ledger(r.ID); strings.Contains(strings.Join(kinds, " "), "LISTENED") {
		t.Error("who heard nothing stands in the ledger")
	}
}

// R283: exporting needs its own permission and is written down once an export.
func TestExportingIsWrittenDown(t *testing.T) {
	t.Parallel()
	audio := wav()
	s := newStage(t, send("audio/x-wav", audio, len(audio)))
	r := s.until(recording.MediaStored)
	who := s.boss()
	for range 2 { // the job runs again
		f, _, err := s.recs.OpenForExport(s.ctx, who, r.ID, "export_1")
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	kinds, _ := s.ledger(r.ID)
	if strings.Count(strings.Join(kinds, " "), "EXPORTED") != 1 {
		t.Errorf("%v", kinds)
	}
	if n := s.count(`SELECT count(*) FROM audit_entry WHERE organization_id = $1 AND action = 'recording.export'`, s.org); n != 1 {
		t.Errorf("it stands in the audit log %d times", n)
	}
	who.Permissions = access.SetOf(access.RecordingListen)
	if _, _, err := s.recs.OpenForExport(s.ctx, who, r.ID, "export_2"); !errs.IsCode(err, errs.Forbidden) {
		t.Errorf("without the permission: %v", err)
	}
}

// deletes answers DELETE at Twilio with one status after the other, the last for ever.
func (s *stage) deletes(codes ...int) (asked *int) {
	asked = new(int)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.other = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodDelete {
			return false
		}
		code := codes[min(*asked, len(codes)-1)]
		*asked++
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		if code != http.StatusNoContent {
			_, _ = fmt.Fprintf(w, `{"code": 20404, "status": %d, "message": "no"}`, code)
		}
		return true
	}
	return asked
}

// R225-R229, R282: what is deleted goes here and at Twilio, through whatever Twilio answers,
// and stays a tombstone whatever Twilio tells later; its transcript stays.
func TestDeletingErasesTheAudioAndKeepsTheTombstone(t *testing.T) {
	t.Parallel()
	audio := wav()
	s := newStage(t, send("audio/x-wav", audio, len(audio)))
	r := s.until(recording.MediaStored)
	s.exec(`INSERT INTO transcript (organization_id, id, call_id, recording_id, source, status, provider, language, is_automatic, recorded_at, updated_at)
		VALUES ($1, $2, $3, $4, 'CALL', 'COMPLETED', 'TWILIO', 'en', true, $5, $5)`, s.org, id.New(id.Transcript), s.call, r.ID, start)
	asked := s.deletes(409, 500, 404)
	s.clock.Advance(time.Minute)
	who := s.boss()
	out, err := s.recs.Delete(s.ctx, who, []id.ID{r.ID}, " asked by the customer ")
	if err != nil || out[0].Outcome != recording.OutcomeDeleted {
		t.Fatalf("%+v, %v", out, err)
	}
	_, _, err = s.recs.Open(s.ctx, who, r.ID, recording.Playing{})
	var tomb *recording.Tombstone
	if !errs.IsCode(err, errs.NotFound) || !errors.As(err, &tomb) || *tomb.Reason != "asked by the customer" {
		t.Errorf("opened: %v", err)
	}
	s.apply("completed", 1, false) // a late callback
	for range 10 {
		s.work()
		s.clock.Advance(3 * time.Minute)
	}
	if *asked != 3 {
		t.Errorf("Twilio was asked %d times", *asked)
	}
	gone := s.get(r.ID)
	if gone.Status != recording.Deleted || gone.BlobKey != nil || gone.GoneAtTwilioAt == nil || gone.EraseDueAt != nil || gone.DeletedByID != who.UserID || gone.MediaState != recording.MediaNone {
		t.Errorf("the tombstone is %+v", gone)
	}
	if _, _, err := s.blobs.Open(s.ctx, s.org, *r.BlobKey); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("the audio is still stored: %v", err)
	}
	kinds, _ := s.ledger(r.ID)
	if got := strings.Join(kinds[len(kinds)-3:], " "); got != "DELETED AUDIO_ERASED DELETED_AT_TWILIO" {
		t.Errorf("the ledger ends with %s", got)
	}
	if n := s.count(`SELECT count(*) FROM recording_waveform WHERE organization_id = $1`, s.org); n != 0 {
		t.Error("its waveform is still there")
	}
	if n := s.count(`SELECT count(*) FROM transcript WHERE organization_id = $1 AND recording_id = $2`, s.org, r.ID); n != 1 {
		t.Error("its transcript went with it")
	}
	if n := s.count(`SELECT count(*) FROM audit_entry WHERE organization_id = $1 AND action = 'recording.delete' AND actor_id = $2`, s.org, who.UserID); n != 1 {
		t.Errorf("%d entries in the audit record", n)
	}
	if out, err = s.recs.Delete(s.ctx, who, []id.ID{r.ID}, ""); err != nil || out[0].Outcome != recording.OutcomeWasDeleted {
		t.Errorf("again: %+v, %v", out, err)
	}
}

// R225-R228: each of many is answered for itself, and what may not be deleted says why.
func TestEachDeletionIsAnsweredForItself(t *testing.T) {
	t.Parallel()
	s := newStage(t, status(404))
	s.deletes(204)
	free := s.only().ID
	add := func(n int, state, purpose string) id.ID {
		x := id.New(id.Recording)
		s.exec(`INSERT INTO recording (organization_id, id, call_id, twilio_sid, purpose, status, started_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)`,
			s.org, x, s.call, sid("RE", n), purpose, state, start)
		return x
	}
	held, running, mail, foreign := add(2, "COMPLETED", "CALL"), add(3, "IN_PROGRESS", "CALL"), add(4, "COMPLETED", "VOICEMAIL"), id.New(id.Recording)
	s.exec(`INSERT INTO legal_hold (organization_id, id, subject, reason, placed_at) VALUES ($1, $2, $3, 'Case 17', $4)`, s.org, id.New(id.LegalHold), held, start)
	ids := []id.ID{free, held, running, mail, foreign, free}
	out, err := s.recs.Delete(s.ctx, s.boss(), ids, "")
	if err != nil {
		t.Fatal(err)
	}
	want := []recording.DeletionOutcome{recording.OutcomeDeleted, recording.OutcomeHeld, recording.OutcomeInProgress, recording.OutcomeNotFound, recording.OutcomeNotFound, recording.OutcomeDeleted}
	for i, x := range out {
		if x.Outcome != want[i] || x.ID != ids[i] || (x.Message == nil) != (want[i] == recording.OutcomeDeleted) {
			t.Errorf("%d: %s", i, x.Outcome)
		}
	}
	if m := out[1].Message; m == nil || !strings.Contains(*m, "Case 17") {
		t.Errorf("the hold is not named: %v", m)
	}
	for subject, what := range map[id.ID]string{s.call: "call"} { // what it belongs to holds it too
		s.exec(`INSERT INTO legal_hold (organization_id, id, subject, reason, placed_at) VALUES ($1, $2, $3, 'Case 18', $4)`, s.org, id.New(id.LegalHold), subject, start)
		s.exec(`UPDATE legal_hold SET released_at = $2 WHERE organization_id = $1 AND subject = $3`, s.org, start, held)
		if out, err := s.recs.Delete(s.ctx, s.boss(), []id.ID{held}, ""); err != nil || out[0].Outcome != recording.OutcomeHeld {
			t.Errorf("held by its %s: %+v, %v", what, out[0], err)
		}
	}
	s.exec(`UPDATE legal_hold SET released_at = $2 WHERE organization_id = $1`, s.org, start)
	if out, err := s.recs.Delete(s.ctx, s.boss(), []id.ID{held}, ""); err != nil || out[0].Outcome != recording.OutcomeDeleted {
		t.Errorf("released: %+v, %v", out[0], err)
	}
	who := s.boss()
	who.Permissions = access.SetOf(access.RecordingListen, access.VoicemailListen, access.VoicemailDelete)
	if _, err := s.recs.Delete(s.ctx, who, ids, ""); !errs.IsCode(err, errs.Forbidden) || !strings.Contains(err.Error(), string(access.RecordingDelete)) {
		t.Errorf("without the permission: %v", err)
	}
	for name, x := range map[string]struct {
		ids    []id.ID
		reason string
		code   errs.Code
	}{
		"none": {nil, "", errs.Required}, "too many": {make([]id.ID, 101), "", errs.LimitReached}, "a call": {[]id.ID{s.call}, "", errs.Invalid},
		"a long reason": {ids, strings.Repeat("x", 501), errs.Invalid}, "a bell": {ids, "\a", errs.Invalid},
	} {
		if _, err := s.recs.Delete(s.ctx, s.boss(), x.ids, x.reason); !errs.IsCode(err, x.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// There is no way back from a deletion that comes while the audio is being fetched.
func TestADeletionWhileFetchingLeavesNothing(t *testing.T) {
	t.Parallel()
	audio := wav()
	var s *stage
	s = newStage(t, func(w http.ResponseWriter) {
		x := id.ID{}
		_ = s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error {
			if err := tx.Pgx().QueryRow(ctx, `SELECT id FROM recording WHERE organization_id = $1`, s.org).Scan(&x); err != nil {
				return err
			}
			_, err := s.recs.Purge(ctx, tx, []id.ID{x}, recording.Deletion{Why: "a rule"})
			return err
		})
		_, _ = w.Write(audio)
	})
	s.deletes(204)
	for range 5 {
		s.work()
		s.clock.Advance(time.Minute)
	}
	r := s.get(s.only().ID)
	if r.Status != recording.Deleted || r.BlobKey != nil || r.MediaState != recording.MediaNone || r.GoneAtTwilioAt == nil {
		t.Errorf("%s, %s, %v", r.Status, r.MediaState, r.GoneAtTwilioAt)
	}
	if kinds, _ := s.ledger(r.ID); strings.Contains(strings.Join(kinds, " "), "STORED") {
		t.Errorf("%v", kinds)
	}
}
