package emulator_test

import (
	"encoding/binary"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

// power is how strong a pitch is in one channel of a 16-bit WAV, from second a to b.
func power(wav []byte, channel int, hz, a, b float64) float64 {
	channels := int(binary.LittleEndian.Uint16(wav[22:]))
	rate := float64(binary.LittleEndian.Uint32(wav[24:]))
	data := wav[44:]
	var re, im float64
	n := 0
	for i := int(a * rate); i < int(b*rate); i++ {
		v := float64(int16(binary.LittleEndian.Uint16(data[(i*channels+channel)*2:]))) / 32768
		re += v * math.Cos(2*math.Pi*hz*float64(i)/rate)
		im += v * math.Sin(2*math.Pi*hz*float64(i)/rate)
		n++
	}
	return math.Hypot(re, im) / float64(n)
}

// recorded bridges a call with a dual recording: the caller speaks 2 s, then the callee 3 s.
func (s *stage) recorded(mode string) (parent, child string) {
	s.answer("/voice", `<Response><Dial answerOnBridge="true" record="`+mode+`" recordingStatusCallback="/rec" recordingStatusCallbackEvent="in-progress completed absent"><Number>`+second+`</Number></Dial></Response>`)
	parent = s.call(mobile, office)
	child = s.pickUp(second)
	return parent, child
}

func (s *stage) talk(parent, child string) {
	s.must(s.e.Speak(parent, 2*time.Second))
	s.advance(3 * time.Second)
	s.must(s.e.Speak(child, 3*time.Second))
	s.advance(4 * time.Second)
}

func TestDualRecordingHasItsOwnTonePerChannel(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	parent, child := s.recorded("record-from-answer-dual")
	s.talk(parent, child)
	s.must(s.e.HangUp(parent))
	s.idle()
	rec := s.e.Recordings()[0]
	path, err := url.Parse(rec.URL)
	s.must(err)
	if status, _, _ := s.raw("GET", path.Path+".wav", accountSID, authToken, nil); status != 404 {
		t.Errorf("before it is complete: %d", status)
	}
	s.advance(time.Second)
	f := s.last("/rec")
	if d := cmp.Diff([]string{"in-progress", "completed"}, s.values("/rec", "RecordingStatus")); d != "" {
		t.Error(d)
	}
	if f.Get("RecordingUrl") != rec.URL || f.Get("RecordingDuration") != "7" || f.Get("RecordingSource") != "DialVerb" {
		t.Errorf("callback %v", f)
	}
	status, head, wav := s.raw("GET", path.Path+".wav", accountSID, authToken, nil)
	if status != 200 || head.Get("Content-Type") != "audio/x-wav" || len(wav) != 44+7*8000*2*2 {
		t.Fatalf("wav %d, %d bytes", status, len(wav))
	}
	for name, got := range map[string]bool{
		"caller on channel 1 at 0-2 s":   power(wav, 0, 440, 0, 2) > 0.1,
		"channel 2 silent at 0-2 s":      power(wav, 1, 660, 0, 2) < 0.01,
		"callee on channel 2 at 3-6 s":   power(wav, 1, 660, 3.1, 5.9) > 0.1,
		"channel 1 silent at 3-6 s":      power(wav, 0, 440, 3.1, 5.9) < 0.01,
		"nobody at 6-7 s on channel two": power(wav, 1, 660, 6.1, 6.9) < 0.01,
	} {
		if !got {
			t.Errorf("not so: %s", name)
		}
	}
	_, _, mono := s.raw("GET", path.Path+"?RequestedChannels=1", accountSID, authToken, nil)
	if len(mono) != 44+7*8000*2 || power(mono, 0, 440, 0, 2) < 0.1 || power(mono, 0, 660, 3.1, 5.9) < 0.1 {
		t.Errorf("mono mix of %d bytes", len(mono))
	}
	if status, _, _ := s.raw("GET", path.Path+".wav", accountSID, "wrong", nil); status != 401 {
		t.Errorf("wrong credentials: %d", status)
	}
	status, head, mp3 := s.raw("GET", path.Path+".mp3", accountSID, authToken, nil)
	if status != 200 || head.Get("Content-Type") != "audio/mpeg" {
		t.Fatalf("mp3 %d", status)
	}
	frames := 0
	for i := 0; i < len(mp3); i += 208 {
		if mp3[i] != 0xFF || mp3[i+1] != 0xFB {
			t.Fatalf("no frame header at %d", i)
		}
		frames++
	}
	if want := int(math.Ceil(7 * 44100.0 / 1152)); frames != want {
		t.Errorf("%d mp3 frames, want %d", frames, want)
	}
	r, err := s.tw.Api.FetchRecording(rec.SID, nil)
	s.must(err)
	if *r.Status != "completed" || *r.Duration != "7" || *r.Channels != 2 || *r.CallSid != parent {
		t.Errorf("fetched %+v", r)
	}
	s.must(s.tw.Api.DeleteRecording(rec.SID, nil))
	if status, _, _ := s.raw("GET", path.Path+".wav", accountSID, authToken, nil); status != 404 {
		t.Errorf("after the deletion: %d", status)
	}
	if err := s.tw.Api.DeleteRecording(rec.SID, nil); code(err) != 20404 {
		t.Errorf("deleted twice: %v", err)
	}
	if list, err := s.tw.Api.ListRecording(nil); err != nil || len(list) != 0 {
		t.Errorf("list %v %v", list, err)
	}
	if list, err := s.tw.Api.ListRecording((&api.ListRecordingParams{}).SetIncludeSoftDeleted(true)); err != nil || len(list) != 1 || *list[0].Status != "deleted" {
		t.Errorf("list with deleted ones %v %v", list, err)
	}
	s.quiet()
}

func TestSwappedChannels(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{SwapChannels: true})
	parent, child := s.recorded("record-from-answer-dual")
	s.talk(parent, child)
	s.must(s.e.HangUp(parent))
	s.advance(time.Second)
	_, _, wav := s.raw("GET", strings.TrimPrefix(s.e.Recordings()[0].URL, s.rest.URL), accountSID, authToken, nil)
	if power(wav, 0, 440, 3.1, 5.9) < 0.1 || power(wav, 0, 440, 0, 2) > 0.01 {
		t.Error("channel 1 must carry the callee")
	}
}

func TestSilentDialRecordingIsAbsent(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	parent, _ := s.recorded("record-from-ringing-dual")
	s.advance(10 * time.Second)
	s.must(s.e.HangUp(parent))
	s.advance(time.Second)
	if d := cmp.Diff([]string{"in-progress", "absent"}, s.values("/rec", "RecordingStatus")); d != "" {
		t.Error(d)
	}
}

func TestPauseAndResumeTwice(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, behaviour, seconds string
	}{
		"silence": {"the pause stays in the file, unheard", "silence", "24"},
		"skip":    {"the pause is cut out", "skip", "16"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			parent, _ := s.recorded("do-not-record")
			rec, err := s.tw.Api.CreateCallRecording(parent, (&api.CreateCallRecordingParams{}).SetRecordingChannels("dual").SetRecordingStatusCallback(s.hooks.URL+"/rec"))
			s.must(err)
			s.must(s.e.Speak(parent, 24*time.Second))
			set := func(sid, status string) {
				p := (&api.UpdateCallRecordingParams{}).SetStatus(status)
				if status == "paused" {
					p.SetPauseBehavior(tc.behaviour)
				}
				r, err := s.tw.Api.UpdateCallRecording(parent, sid, p)
				s.must(err)
				if *r.Status != status {
					t.Errorf("status %s after %s", *r.Status, status)
				}
			}
			for range 2 {
				s.advance(4 * time.Second)
				set("Twilio.CURRENT", "paused")
				s.advance(4 * time.Second)
				set(*rec.Sid, "in-progress")
			}
			s.advance(8 * time.Second)
			set(*rec.Sid, "stopped")
			s.advance(time.Second)
			f := s.last("/rec")
			if f.Get("RecordingDuration") != tc.seconds || f.Get("RecordingSource") != "StartCallRecordingAPI" {
				t.Errorf("%s: %v", tc.why, f)
			}
			_, _, wav := s.raw("GET", strings.TrimPrefix(f.Get("RecordingUrl"), s.rest.URL), accountSID, authToken, nil)
			quiet := power(wav, 0, 440, 4.1, 7.9) < 0.01
			if quiet != (tc.behaviour == "silence") {
				t.Errorf("%s: silent between 4 and 8 s: %v", tc.why, quiet)
			}
			if _, err := s.tw.Api.UpdateCallRecording(parent, *rec.Sid, (&api.UpdateCallRecordingParams{}).SetStatus("paused")); code(err) != 21220 {
				t.Errorf("pausing a stopped recording: %v", err)
			}
		})
	}
}

func TestCurrentNeedsExactlyOneActiveRecording(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	parent, _ := s.recorded("record-from-answer")
	if _, err := s.tw.Api.CreateCallRecording(parent, nil); err != nil {
		t.Fatal(err)
	}
	_, err := s.tw.Api.UpdateCallRecording(parent, "Twilio.CURRENT", (&api.UpdateCallRecordingParams{}).SetStatus("paused"))
	if code(err) != 20404 {
		t.Errorf("two active: %v", err)
	}
	if err := s.tw.Api.DeleteRecording(s.e.Recordings()[0].SID, nil); code(err) != 20409 {
		t.Errorf("deleting one in progress: %v", err)
	}
	s.must(s.e.HangUp(parent))
	if _, err := s.tw.Api.CreateCallRecording(parent, nil); code(err) != 21220 {
		t.Errorf("recording an ended call: %v", err)
	}
	list, err := s.tw.Api.ListCallRecording(parent, nil)
	s.must(err)
	if len(list) != 2 {
		t.Errorf("%d recordings of the call", len(list))
	}
}
