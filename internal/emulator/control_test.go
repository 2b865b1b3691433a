package emulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/emulator"
)

// control posts to the control API and returns the answer.
func (s *stage) control(name string, body any) (int, map[string]any) {
	s.Helper()
	b, err := json.Marshal(body)
	s.must(err)
	return s.controlRaw(name, "application/json", "", string(b))
}

func (s *stage) controlRaw(name, kind, origin, body string) (int, map[string]any) {
	s.Helper()
	q, err := http.NewRequestWithContext(s.ctx, "POST", s.rest.URL+"/_control/"+name, strings.NewReader(body))
	s.must(err)
	q.Header.Set("Content-Type", kind)
	if origin != "" {
		q.Header.Set("Origin", origin)
	}
	res, err := http.DefaultClient.Do(q)
	s.must(err)
	defer res.Body.Close()
	out := map[string]any{}
	s.must(json.NewDecoder(res.Body).Decode(&out))
	return res.StatusCode, out
}

// list reads a list from the control API.
func (s *stage) list(name string) (out []map[string]any) {
	s.Helper()
	res, err := http.Get(s.rest.URL + "/_control/" + name)
	s.must(err)
	defer res.Body.Close()
	s.must(json.NewDecoder(res.Body).Decode(&out))
	return out
}

func TestControlPlaysTheOutsideWorld(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	const ac = "ACffffffffffffffffffffffffffffffff"
	ok := func(name string, body any) map[string]any {
		t.Helper()
		status, out := s.control(name, body)
		if status != 200 {
			t.Fatalf("%s: %d %v", name, status, out)
		}
		return out
	}
	ok("accounts", map[string]string{"sid": ac, "token": authToken, "type": "Full"})
	ok("numbers", map[string]any{"account": ac, "e164": "+15550005000", "voiceUrl": s.hooks.URL + "/voice", "smsUrl": s.hooks.URL + "/sms"})
	ok("clients", map[string]string{"account": ac, "identity": "ann"})
	s.answer("/voice", `<Response><Dial><Client>ann</Client><Number>`+second+`</Number></Dial><Gather numDigits="2" action="/keys"/></Response>`)
	s.answer("/keys", `<Response><Record action="/taken"/></Response>`)
	s.answer("/taken", `<Response/>`)
	ok("phones", map[string]any{"target": second, "do": "answer", "afterSeconds": 60})
	sid := ok("calls", map[string]string{"from": mobile, "to": "+15550005000"})["sid"].(string)
	s.idle()
	if ring := s.list("ringing"); len(ring) != 2 || ring[0]["target"] != "client:ann" {
		t.Fatalf("ringing %v", ring)
	}
	ok("decline", map[string]string{"target": second})
	child := ok("answer", map[string]string{"target": "client:ann"})["sid"].(string)
	ok("hangup", map[string]string{"sid": child})
	ok("press", map[string]string{"sid": sid, "digits": "42"})
	s.idle()
	if got := s.last("/keys").Get("Digits"); got != "42" {
		t.Errorf("Digits %s", got)
	}
	ok("speak", map[string]any{"sid": sid, "seconds": 3})
	s.advance(3 * time.Second)
	ok("press", map[string]string{"sid": sid, "digits": "#"})
	s.idle()
	if f := s.last("/taken"); f.Get("Digits") != "#" || f.Get("RecordingDuration") != "3" {
		t.Errorf("recorded %v", f)
	}
	ok("texts", map[string]any{"from": mobile, "to": "+15550005000", "body": "hi", "media": []map[string]string{{"contentType": "image/png", "data": "eA=="}}})
	s.idle()
	if got := s.last("/sms").Get("NumMedia"); got != "1" {
		t.Errorf("NumMedia %s", got)
	}
	ok("hold", map[string]bool{"on": true})
	ok("fail", map[string]any{"path": "/Calls", "fate": "500"})
	ok("chaos", map[string]any{"seed": 3, "delay": 0.5, "maxDelaySeconds": 2})
	ok("rate", map[string]any{"callsPerSecond": 1})
	ok("release", map[string]any{})
	for _, name := range []string{"calls", "messages", "recordings", "deliveries"} {
		if len(s.list(name)) == 0 {
			t.Errorf("GET %s is empty", name)
		}
	}
	s.quiet()
}

func TestControlRefuses(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	for name, tc := range map[string]struct {
		why, verb, kind, origin, body string
		status                        int
	}{
		"unknown verb":   {"and says which exist", "dance", "application/json", "", "{}", 404},
		"form":           {"a form of another web page needs no preflight", "calls", "application/x-www-form-urlencoded", "", "from=1", 415},
		"another origin": {"", "calls", "application/json", "https://evil.test", "{}", 403},
		"unknown field":  {"a typing error is not passed over", "calls", "application/json", "", `{"frm":"+1"}`, 422},
		"not JSON":       {"", "calls", "application/json", "", `{`, 422},
		"foreign number": {"", "calls", "application/json", "", `{"from":"+15557654321","to":"+15550000000"}`, 422},
		"nothing rings":  {"", "answer", "application/json", "", `{"target":"+15557654321"}`, 422},
		"no such call":   {"", "hangup", "application/json", "", `{"sid":"CAx"}`, 422},
		"not keys":       {"", "press", "application/json", "", `{"sid":"CAx","digits":"hello"}`, 422},
		"9 MiB":          {"", "texts", "application/json", "", `{"body":"` + strings.Repeat("x", 9<<20) + `"}`, 413},
	} {
		status, out := s.controlRaw(tc.verb, tc.kind, tc.origin, tc.body)
		if status != tc.status || out["error"] == nil {
			t.Errorf("%s: %d %v (%s)", name, status, out, tc.why)
		}
	}
}

func TestPageNeedsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	res, err := http.Get(s.rest.URL + "/")
	s.must(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	s.must(err)
	page := string(b)
	if res.StatusCode != 200 || !strings.Contains(page, "/_control/") || strings.Contains(page, "http://") || strings.Contains(page, "https://") {
		t.Errorf("page: %d, %d bytes", res.StatusCode, len(b))
	}
	if !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Error("no content security policy")
	}
	state, err := http.Get(s.rest.URL + "/_control/state")
	s.must(err)
	defer state.Body.Close()
	var got struct{ Numbers []struct{ E164, Name string } }
	s.must(json.NewDecoder(state.Body).Decode(&got))
	if d := cmp.Diff([]struct{ E164, Name string }{{office, office}}, got.Numbers); d != "" {
		t.Error(d)
	}
}

func TestMessagesAreControlledByHand(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1})
	s.number(tollFree)
	mg := s.service(emulator.ServiceSpec{Name: "texts", Numbers: []string{office}})
	for _, step := range []struct{ verb, body string }{
		{"messages/rate", `{"sender":"` + office + `","perSecond":0.5}`},
		{"messages/price", `{"country":"US","outbound":0.5}`},
		{"messages/mms", `{"country":"NZ","how":"fails"}`},
		{"messages/geo", `{"country":"AU","on":false}`},
		{"messages/alpha", `{"names":["Acme"]}`},
		{"messages/opt-out", `{"number":"` + office + `","recipient":"` + second + `","out":true}`},
		{"messages/keywords", `{"on":false}`},
		{"messages/media-auth", `{"on":true}`},
		{"messages/plan", `{"steps":[{"fate":"429","retryAfterSeconds":7},{"outcome":{"status":"failed","error":30007},"times":2}]}`},
		{"registration", `{"required":true}`},
		{"registration/brand", `{"status":"FAILED"}`},
		{"registration/campaign", `{"service":"` + mg + `","status":"VERIFIED"}`},
		{"registration/toll-free", `{"number":"` + tollFree + `","status":"TWILIO_APPROVED"}`},
		{"phones", `{"target":"+15558880000","messageRefuse":21614}`},
	} {
		if status, b := s.controlRaw(step.verb, "application/json", "", step.body); status != 200 {
			t.Errorf("%s: %d %s", step.verb, status, b)
		}
	}
	for _, bad := range [][2]string{{"messages/mms", `{"country":"ZZ","how":"fails"}`}, {"messages/mms", `{"country":"NZ","how":"burnt"}`}, {"messages/alpha", `{"names":["12345"]}`}, {"messages/plan", `{"steps":[{"times":10001}]}`},
		{"registration/campaign", `{"service":"MG"}`}, {"messages/geo", `{"account":"AC","country":"AU"}`}} {
		if status, _ := s.controlRaw(bad[0], "application/json", "", bad[1]); status != 422 {
			t.Errorf("%s %s: %d", bad[0], bad[1], status)
		}
	}
	for _, tc := range []struct {
		to   string
		want int
	}{{mobile, 20429}, {mobile, 0}, {second, 21610}, {australian, 21408}, {"+15558880000", 21614}} {
		if tc.want == 21610 { // the step that is left is for the next that arrives
			if _, err := s.text(mobile, "x", nil); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.text(tc.to, "x", nil); code(err) != tc.want {
			t.Errorf("to %s: %v, want %d", tc.to, err, tc.want)
		}
	}
	s.advance(10 * time.Second)
	if d := cmp.Diff(map[string]int{"failed": 2}, s.e.MessageCounts()); d != "" {
		t.Error(d)
	}
}
