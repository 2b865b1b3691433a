package twilio_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/errs"
	"switchboard/internal/twilio"
)

const root = "/2010-04-01/Accounts/" + ac

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func TestListsAreReadToTheEnd(t *testing.T) {
	t.Parallel()
	_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != root+"/IncomingPhoneNumbers.json" {
			t.Errorf("asked for %s", r.URL)
		}
		page := r.URL.Query().Get("Page")
		if page != "" && r.URL.Query().Get("PageToken") != "PAPN.12"+page { // twilio-go loses what follows the dot
			t.Errorf("page token %q", r.URL.Query().Get("PageToken"))
		}
		switch page {
		case "":
			answer(w, 200, map[string]any{"incoming_phone_numbers": []any{map[string]any{"sid": pn, "phone_number": "+61255501234", "capabilities": map[string]bool{"voice": true, "sms": true}}}, "next_page_uri": root + "/IncomingPhoneNumbers.json?PageSize=200&Page=1&PageToken=PAPN.121"})
		case "1":
			answer(w, 200, map[string]any{"incoming_phone_numbers": []any{map[string]any{"sid": pn, "phone_number": "+61255505678", "trunk_sid": "TK" + hex32}}, "next_page_uri": nil})
		}
	})
	var got []string
	err := c.ListNumbers(t.Context(), func(some []twilio.PhoneNumber) error {
		for _, n := range some {
			got = append(got, fmt.Sprint(n.E164, n.Voice, n.SMS, n.MMS, n.Settings.TrunkSID != ""))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"+61255501234true true false false", "+61255505678false false false true"}, got); diff != "" {
		t.Fatal(diff)
	}
	stop := errors.New("stop")
	if err := c.ListNumbers(t.Context(), func([]twilio.PhoneNumber) error { return stop }); !errors.Is(err, stop) {
		t.Fatalf("the error of the callback is lost: %v", err)
	}
}

func TestListThatPointsAtItselfEnds(t *testing.T) {
	t.Parallel()
	_, c := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, map[string]any{"keys": []any{}, "next_page_uri": root + "/Keys.json?Page=1&PageToken=x"})
	})
	if _, err := c.ListKeys(t.Context(), "x"); err == nil {
		t.Fatal("an endless list ended well")
	}
}

func TestFiltersReachTwilioUnchanged(t *testing.T) {
	t.Parallel()
	_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("To") != "sip:bob@1.2.3.4" || q.Get("From") != "+61255501234" || q.Get("StartTime>") != "2026-11-02T08:00:00Z" {
			t.Errorf("query %v", q)
		}
		answer(w, 200, map[string]any{"calls": []any{
			map[string]any{"sid": ca, "status": "completed", "duration": "61", "start_time": "Mon, 02 Nov 2026 08:00:01 +0000", "price": "-0.0085", "queue_time": "1500"},
			map[string]any{"sid": ca, "status": "queued", "duration": nil, "start_time": nil},
		}})
	})
	got, err := c.ListCalls(t.Context(), twilio.CallFilter{To: "sip:bob@1.2.3.4", From: "+61255501234", StartedAfter: time.Date(2026, 11, 2, 19, 0, 0, 0, time.FixedZone("AEDT", 11*3600))})
	if err != nil {
		t.Fatal(err)
	}
	want := []twilio.Call{{SID: ca, Status: "completed", DurationSeconds: 61, StartedAt: time.Date(2026, 11, 2, 8, 0, 1, 0, time.UTC), Price: "-0.0085", QueueTime: 1500 * time.Millisecond}, {SID: ca, Status: "queued"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	one, err := c.ListCalls(t.Context(), twilio.CallFilter{To: "sip:bob@1.2.3.4", From: "+61255501234", StartedAfter: time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC), Limit: 1})
	if err != nil || len(one) != 1 {
		t.Fatalf("limit 1 gave %d, %v", len(one), err)
	}
}

func TestNumberIsReadBackAfterWriting(t *testing.T) {
	t.Parallel()
	var form url.Values
	_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != root+"/IncomingPhoneNumbers/"+pn+".json" {
			t.Errorf("asked for %s", r.URL)
		}
		if r.Method == http.MethodPost {
			_ = r.ParseForm()
			form = r.PostForm
			answer(w, 200, map[string]any{"sid": pn, "voice_url": "what the update says"})
			return
		}
		answer(w, 200, map[string]any{"sid": pn, "voice_url": "https://us/v", "voice_application_sid": ""})
	})
	got, err := c.UpdateNumber(t.Context(), pn, twilio.NumberSettings{VoiceURL: "https://us/v", VoiceMethod: "POST", StatusCallback: "https://us/s"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Settings.VoiceURL != "https://us/v" {
		t.Errorf("the update's answer was believed: %q", got.Settings.VoiceURL)
	}
	want := url.Values{"VoiceUrl": {"https://us/v"}, "VoiceMethod": {"POST"}, "VoiceFallbackUrl": {""}, "VoiceApplicationSid": {""}, "TrunkSid": {""},
		"StatusCallback": {"https://us/s"}, "SmsUrl": {""}, "SmsFallbackUrl": {""}, "SmsApplicationSid": {""}}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Error(diff)
	}
	if _, err := c.UpdateNumber(t.Context(), pn, twilio.NumberSettings{TrunkSID: "TK" + hex32, VoiceURL: "https://us/v"}); err != nil {
		t.Fatal(err)
	}
	if form.Has("VoiceApplicationSid") || form.Get("TrunkSid") != "TK"+hex32 {
		t.Errorf("the application's clearing would delete the trunk: %v", form)
	}
	if _, err := c.UpdateNumber(t.Context(), mg, twilio.NumberSettings{}); !errs.IsCode(err, errs.Invalid) {
		t.Errorf("a Messaging Service was updated as a number (R003): %v", err)
	}
}

func TestCallsCarryTheirParameters(t *testing.T) {
	t.Parallel()
	var path string
	var form url.Values
	_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		path, form = r.URL.Path, r.PostForm
		answer(w, 201, map[string]any{"sid": ca, "status": "queued", "direction": "outbound-api"})
	})
	got, err := c.CreateCall(t.Context(), twilio.CallRequest{To: "client:u_1", From: "+61255501234", URL: "https://us/v", StatusCallback: "https://us/s",
		StatusCallbackEvent: []string{"ringing", "answered"}, TimeoutSeconds: 25, MachineDetection: "Enable", AsyncAMD: true})
	if err != nil || got.SID != ca {
		t.Fatal(err)
	}
	want := url.Values{"To": {"client:u_1"}, "From": {"+61255501234"}, "Url": {"https://us/v"}, "StatusCallback": {"https://us/s"},
		"StatusCallbackEvent": {"ringing", "answered"}, "Timeout": {"25"}, "MachineDetection": {"Enable"}, "AsyncAmd": {"true"}}
	if diff := cmp.Diff(want, form); diff != "" || path != root+"/Calls.json" {
		t.Error(path, diff)
	}
	if _, err := c.UpdateCall(t.Context(), ca, twilio.CallUpdate{Status: "completed"}); err != nil || path != root+"/Calls/"+ca+".json" || form.Encode() != "Status=completed" {
		t.Error(path, form, err)
	}
	if _, err := c.UpdateRecording(t.Context(), ca, twilio.CurrentRecording, twilio.RecordingPaused); err != nil || path != root+"/Calls/"+ca+"/Recordings/Twilio.CURRENT.json" || form.Encode() != "PauseBehavior=silence&Status=paused" {
		t.Error(path, form, err)
	}
	if _, err := c.UpdateRecording(t.Context(), ca, "../x", twilio.RecordingPaused); !errs.IsCode(err, errs.Invalid) {
		t.Error("a path was taken for a SID")
	}
	if _, err := c.CreateCall(t.Context(), twilio.CallRequest{To: "x", From: "y"}); !errs.IsCode(err, errs.Invalid) {
		t.Error("a call without instructions was started")
	}
	if _, err := c.StartRecording(t.Context(), ca, twilio.RecordingRequest{Channels: "dual", StatusCallbackEvent: []string{"completed", "absent"}}); err != nil || form.Encode() != "RecordingChannels=dual&RecordingStatusCallbackEvent=completed&RecordingStatusCallbackEvent=absent" {
		t.Error(path, form, err)
	}
}

func TestKeysAndAppsAreFoundByName(t *testing.T) {
	t.Parallel()
	_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + strings.TrimPrefix(r.URL.Path, root) {
		case "POST /Keys.json":
			answer(w, 201, map[string]any{"sid": sk, "friendly_name": r.FormValue("FriendlyName"), "secret": "shown once"})
		case "GET /Keys.json":
			answer(w, 200, map[string]any{"keys": []any{map[string]any{"sid": sk, "friendly_name": "ours"}, map[string]any{"sid": sk, "friendly_name": "theirs"}}})
		case "DELETE /Keys/" + sk + ".json":
			refuse(w, 404, 20404, "gone already")
		case "POST /Applications.json", "POST /Applications/" + ap + ".json":
			_ = r.ParseForm()
			answer(w, 201, map[string]any{"sid": ap, "friendly_name": r.PostForm.Get("FriendlyName"), "voice_url": r.PostForm.Get("VoiceUrl")})
		case "GET /Applications.json":
			answer(w, 200, map[string]any{"applications": []any{map[string]any{"sid": ap, "friendly_name": r.URL.Query().Get("FriendlyName")}, map[string]any{"sid": ap, "friendly_name": "x"}}})
		case "DELETE /Applications/" + ap + ".json":
			w.WriteHeader(http.StatusNoContent)
		case "POST /v1/AuthTokens/Secondary":
			answer(w, 201, map[string]any{"secondary_auth_token": "next"})
		case "POST /v1/AuthTokens/Promote":
			answer(w, 200, map[string]any{"auth_token": "next"})
		case "DELETE /v1/AuthTokens/Secondary":
			w.WriteHeader(http.StatusNoContent)
		case "GET .json":
			answer(w, 200, map[string]any{"sid": ac, "status": "active", "type": "Trial", "friendly_name": "Acme"})
		default:
			t.Errorf("asked for %s %s", r.Method, r.URL)
		}
	})
	ctx := t.Context()
	key, err := c.CreateKey(ctx, "ours")
	if err != nil || key != (twilio.Key{SID: sk, Name: "ours", Secret: "shown once"}) {
		t.Errorf("%+v, %v", key, err)
	}
	if keys, err := c.ListKeys(ctx, "ours"); err != nil || len(keys) != 1 {
		t.Errorf("%v, %v", keys, err)
	}
	if err := c.DeleteKey(ctx, sk); err != nil {
		t.Errorf("a key that is gone: %v", err)
	}
	app, err := c.CreateApplication(ctx, twilio.Application{Name: "ours", VoiceURL: "https://us/v"})
	if err != nil || app.SID != ap || app.VoiceURL != "https://us/v" {
		t.Errorf("%+v, %v", app, err)
	}
	if _, err := c.UpdateApplication(ctx, app); err != nil {
		t.Error(err)
	}
	if apps, err := c.ListApplications(ctx, "ours"); err != nil || len(apps) != 1 {
		t.Errorf("%v, %v", apps, err)
	}
	if err := c.DeleteApplication(ctx, ap); err != nil {
		t.Error(err)
	}
	if a, err := c.FetchAccount(ctx); err != nil || a.Name != "Acme" || a.Type != "Trial" {
		t.Errorf("%+v, %v", a, err)
	}
	if s, err := c.CreateSecondaryToken(ctx); err != nil || s != "next" {
		t.Errorf("%q, %v", s, err)
	}
	if s, err := c.PromoteToken(ctx); err != nil || s != "next" {
		t.Errorf("%q, %v", s, err)
	}
	if err := c.DeleteSecondaryToken(ctx); err != nil {
		t.Error(err)
	}
}

func TestMessagingServiceOfANumberIsFound(t *testing.T) {
	t.Parallel()
	other := "MG" + strings.Repeat("f", 32)
	_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if h := r.Header.Get("X-Original-Host"); h != "messaging.twilio.com" {
			t.Errorf("host %s", h)
		}
		switch {
		case r.URL.Path == "/v1/Services" && r.URL.Query().Get("Page") == "":
			answer(w, 200, map[string]any{"services": []any{map[string]any{"sid": other}}, "meta": map[string]any{"next_page_url": "https://messaging.twilio.com/v1/Services?Page=1"}})
		case r.URL.Path == "/v1/Services":
			answer(w, 200, map[string]any{"services": []any{map[string]any{"sid": mg, "friendly_name": "Texts", "inbound_request_url": nil, "use_inbound_webhook_on_number": true}}, "meta": map[string]any{"next_page_url": nil}})
		case r.URL.Path == "/v1/Services/"+mg+"/PhoneNumbers/"+pn:
			answer(w, 200, map[string]any{"sid": pn})
		default:
			refuse(w, 404, 20404, "not found")
		}
	})
	s, ok, err := c.ServiceOf(t.Context(), pn)
	if err != nil || !ok || s.SID != mg || !s.UseNumberWebhook {
		t.Fatalf("%+v, %v, %v", s, ok, err)
	}
	if _, ok, err := c.ServiceOf(t.Context(), "PN"+strings.Repeat("0", 32)); ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
}

func TestMediaIsReadWithoutLeakingCredentials(t *testing.T) {
	t.Parallel()
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the credentials went to the storage host")
		}
		w.Header().Set("Content-Type", "audio/mpeg")
		_, _ = io.WriteString(w, strings.Repeat("a", 1000))
	}))
	t.Cleanup(storage.Close)
	var asked []string
	_, c := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); !ok {
			t.Error("Twilio was asked without credentials")
		}
		asked = append(asked, strings.TrimPrefix(r.URL.String(), root))
		if r.URL.Query().Get("RequestedChannels") == "2" {
			refuse(w, 400, 20001, "the recording has one channel")
			return
		}
		http.Redirect(w, r, storage.URL+"/file", http.StatusTemporaryRedirect)
	})
	m, err := c.FetchRecordingMedia(t.Context(), re, "mp3", true, 1000)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(m)
	_ = m.Close()
	if err != nil || len(b) != 1000 || m.ContentType != "audio/mpeg" {
		t.Fatalf("%d bytes of %s, %v", len(b), m.ContentType, err)
	}
	want := []string{"/Recordings/" + re + ".mp3?RequestedChannels=2", "/Recordings/" + re + ".mp3?RequestedChannels=1"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	if _, err := c.FetchRecordingMedia(t.Context(), re, "mp3", false, 999); !errs.IsCode(err, errs.LimitReached) {
		t.Errorf("a file over the limit: %v", err)
	}
	for _, bad := range []string{"https://evil.example/x", "https://twilio.com.evil.example/x", "https://eviltwilio.com/x", "file:///etc/passwd", "https://u:p@api.twilio.com/x", "", "//api.twilio.com"} {
		if _, err := c.FetchMedia(t.Context(), bad, 1000); !errs.IsCode(err, errs.Invalid) {
			t.Errorf("%q was fetched: %v", bad, err)
		}
	}
}

func TestStreamedMediaEndsAtTheLimit(t *testing.T) {
	t.Parallel()
	_, c := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush() // no length: sent in chunks
		for range 100 {
			if _, err := w.Write(make([]byte, 1000)); err != nil {
				return
			}
		}
	})
	m, err := c.FetchMedia(t.Context(), "https://api.twilio.com/media/x", 5000)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	n, err := io.Copy(io.Discard, m)
	if n != 5000 || !errs.IsCode(err, errs.LimitReached) {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

func TestReasonsAreInPlainWords(t *testing.T) {
	t.Parallel()
	for _, code := range []int{20003, 21211, 21220, 21408, 21610, 21611, 30003, 30007, 30034, 13250} {
		if reason, advice, _ := twilio.Reason(code); reason == "" || advice == "" {
			t.Errorf("%d has no words", code)
		}
	}
	if _, _, retry := twilio.Reason(21610); retry {
		t.Error("an opt-out is retried")
	}
	if _, _, retry := twilio.Reason(20429); !retry {
		t.Error("a rate limit is not retried")
	}
	if reason, _, retry := twilio.Reason(1); reason != "" || retry {
		t.Error("an unknown number means something")
	}
	if !twilio.Ended("no-answer") || twilio.Ended("in-progress") {
		t.Error("the end of a call is not known")
	}
}
