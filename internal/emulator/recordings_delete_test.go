package emulator_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"switchboard/internal/emulator"
)

// voice/api/recording: a deleted recording has no media, its metadata is there for forty
// days to who asks for it, and one in progress cannot be deleted.
func TestADeletedRecordingLeavesItsMetadataForFortyDays(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	parent, child := s.recorded("record-from-answer-dual")
	rec := s.e.Recordings()[0].SID
	one := "/Recordings/" + rec + ".json"
	rest := func(method, path string) (int, string) {
		code, _, body := s.raw(method, "/2010-04-01/Accounts/"+accountSID+path, accountSID, authToken, nil)
		return code, string(body)
	}
	status := func(method, path string) int { code, _ := rest(method, path); return code }
	if got := status("DELETE", one); got != 409 {
		t.Errorf("deleted while it is being made: %d", got)
	}
	if err := s.e.DeleteRecording(rec); err == nil {
		t.Error("the console deleted one that is being made")
	}
	s.talk(parent, child)
	s.must(s.e.HangUp(parent))
	s.idle()
	if got := status("DELETE", one); got != 409 {
		t.Errorf("deleted while it is made ready: %d", got)
	}
	s.advance(5 * time.Second)
	if got := status("GET", "/Recordings/"+rec+".wav"); got != 200 {
		t.Fatalf("the audio: %d", got)
	}
	if code, body := s.control("recordings/delete", map[string]string{"sid": rec}); code != 200 && code != 204 {
		t.Fatalf("the console: %d %v", code, body)
	}
	for path, want := range map[string]int{
		one: 404, "/Recordings/" + rec + ".wav": 404, one + "?IncludeSoftDeleted=true": 200,
	} {
		if got := status("GET", path); got != want {
			t.Errorf("GET %s: %d, want %d", path, got, want)
		}
	}
	if got := status("DELETE", one); got != 404 {
		t.Errorf("deleted again: %d", got)
	}
	if _, list := rest("GET", "/Recordings.json"); strings.Contains(list, rec) {
		t.Error("it is listed to who does not ask for deleted ones")
	}
	if _, list := rest("GET", "/Recordings.json?IncludeSoftDeleted=true"); !strings.Contains(list, `"deleted"`) || !strings.Contains(list, rec) {
		t.Errorf("its metadata is gone: %s", list)
	}
	s.advance(41 * 24 * time.Hour)
	if got := status("GET", one+"?IncludeSoftDeleted=true"); got != http.StatusNotFound {
		t.Errorf("after forty days: %d", got)
	}
}
