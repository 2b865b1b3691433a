package emulator_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

func TestThePlanIsMetStepByStep(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1})
	steps := []struct {
		fate     string
		status   int // of the answer, 0 when none comes
		accepted bool
		why      string
	}{
		{emulator.FateOK, 201, true, "nothing goes wrong"},
		{emulator.Fate429, 429, false, "never processed"},
		{emulator.Fate500, 500, false, ""},
		{emulator.FateHTML, 503, false, ""},
		{emulator.FateReset, 0, false, ""},
		{emulator.LostReset, 0, true, "accepted, and nobody hears of it"},
		{emulator.Lost500, 500, true, ""},
		{emulator.LostHang, 0, true, ""},
		{emulator.FateHang, 0, false, ""},
		{emulator.LostCut, 0, true, "half an answer"},
		{emulator.FateJunk, 200, false, "200 with what is no JSON"},
	}
	for _, step := range steps {
		s.e.PlanMessages(emulator.MessageStep{Fate: step.fate, RetryAfter: 30 * time.Second})
	}
	want := 0
	hc := &http.Client{Transport: fresh}
	for i, step := range steps {
		if step.accepted {
			want++
		}
		ctx, giveUp := context.WithCancel(s.ctx)
		if strings.Contains(step.fate, "hang") {
			count := want
			go func() {
				_ = s.e.WaitFor(ctx, func() bool { return s.e.Planned() == len(steps)-i-1 && len(s.e.Messages()) == count })
				giveUp()
			}()
		}
		form := url.Values{"From": {office}, "To": {mobile}, "Body": {step.fate}}
		q, err := http.NewRequestWithContext(ctx, "POST", s.rest.URL+"/2010-04-01/Accounts/"+accountSID+"/Messages.json", strings.NewReader(form.Encode()))
		s.must(err)
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		q.SetBasicAuth(accountSID, authToken)
		res, err := hc.Do(q)
		status, body := 0, ""
		if err == nil {
			var b []byte
			if b, err = readAll(res); err == nil {
				status, body = res.StatusCode, string(b)
			}
		}
		giveUp()
		if status != step.status {
			t.Errorf("%s: %d %v, want %d", step.fate, status, err, step.status)
		}
		switch step.fate {
		case emulator.Fate429:
			if got := res.Header.Get("Retry-After"); got != "30" {
				t.Errorf("Retry-After %q", got)
			}
		case emulator.FateJunk, emulator.FateHTML:
			if !strings.HasPrefix(body, "<") {
				t.Errorf("%s: %s", step.fate, body)
			}
		}
		s.idle()
		if got := len(s.e.Messages()); got != want {
			t.Errorf("%s: %d messages were accepted, want %d %s", step.fate, got, want, step.why)
		}
	}
	if n := s.e.Planned(); n != 0 {
		t.Errorf("%d steps are left", n)
	}
	if _, err := s.text(mobile, "after the plan", nil); err != nil {
		t.Error(err)
	}
}

func readAll(res *http.Response) (b []byte, err error) {
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	buf := make([]byte, 4096)
	for {
		n, rerr := res.Body.Read(buf)
		b = append(b, buf[:n]...)
		if rerr != nil {
			if rerr.Error() == "EOF" {
				return b, nil
			}
			return b, rerr
		}
	}
}

// The codes of messages (twilio: docs/api/errors): those of the REST answer, those of the
// status callback.
var (
	restCodes = []int{20003, 20005, 20006, 20008, 20404, 20409, 20429, 20500, 20503, 21211, 21212, 21408, 21601, 21602, 21603, 21604, 21606, 21608, 21609, 21610,
		21611, 21612, 21614, 21617, 21619, 21620, 21623, 21624, 21658, 21701, 21702, 21703, 21704, 21705, 21708, 21709, 21710, 21711, 21712, 21713, 21714, 21715,
		35111, 35114, 35117, 35118, 35125, 35126}
	callbackCodes = []int{30001, 30002, 30003, 30004, 30005, 30006, 30007, 30008, 30010, 30011, 30017, 30018, 30019, 30022, 30023, 30024, 30025, 30032, 30034, 30035, 30410, 30450}
)

func TestEveryCodeCanBeOrdered(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1})
	for _, c := range restCodes {
		s.e.PlanMessages(emulator.MessageStep{Code: c})
		_, err := s.text(mobile, "x", nil)
		if code(err) != c || strings.Contains(err.Error(), "error "+fmt.Sprint(c)) {
			t.Errorf("REST %d: %v", c, err)
		}
		s.e.Behave(second, emulator.PhoneBehaviour{MessageRefuse: c})
		if _, err := s.text(second, "x", nil); code(err) != c {
			t.Errorf("a phone with %d: %v", c, err)
		}
	}
	if n := len(s.e.Messages()); n != 0 {
		t.Errorf("%d refused messages exist", n)
	}
	for i, c := range callbackCodes {
		status := []string{"undelivered", "failed"}[i%2]
		s.e.PlanMessages(emulator.MessageStep{Outcome: &emulator.Outcome{Status: status, Error: c}})
		m, err := s.text(mobile, "x", nil)
		s.must(err)
		s.idle()
		if f := s.last("/delivery"); f.Get("MessageStatus") != status || f.Get("ErrorCode") != fmt.Sprint(c) {
			t.Errorf("callback of %d: %v", c, f)
		}
		f, err := s.tw.Api.FetchMessage(*m.Sid, nil)
		s.must(err)
		if *f.Status != status || fmt.Sprint(*f.ErrorCode) != fmt.Sprint(c) || f.ErrorMessage == nil || strings.HasPrefix(*f.ErrorMessage, "error ") {
			t.Errorf("fetched %d: %s %v %v", c, *f.Status, f.ErrorCode, f.ErrorMessage)
		}
	}
}

func TestAPlannedEndBeatsThePhone(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1})
	s.e.Behave(mobile, emulator.PhoneBehaviour{MessageStatus: "failed", MessageError: 30007})
	s.e.PlanMessages(emulator.MessageStep{Outcome: &emulator.Outcome{}}, emulator.MessageStep{})
	for range 2 {
		_, err := s.text(mobile, "x", nil)
		s.must(err)
	}
	s.idle()
	if d := cmp.Diff([]string{"delivered", "failed"}, s.outbox()); d != "" {
		t.Error(d)
	}
	s.e.Behave(mobile, emulator.PhoneBehaviour{MessageAfter: time.Hour})
	_, err := s.text(mobile, "x", nil)
	s.must(err)
	s.idle()
	if got := s.outbox()[2]; got != "sent" {
		t.Errorf("a handset that is off: %s", got)
	}
	s.advance(time.Hour)
	if got := s.outbox()[2]; got != "delivered" {
		t.Errorf("and on again: %s", got)
	}
}

func TestASuspendedAccountSendsNothing(t *testing.T) { // twilio: 30002
	t.Parallel()
	s := newStage(t, emulator.Options{})
	_, err := s.text(mobile, "x", nil)
	s.must(err)
	s.must(s.e.SetAccountStatus(accountSID, "suspended"))
	s.advance(5 * time.Second)
	if m := s.e.Messages()[0]; m.Status != "failed" || m.ErrorCode != 30002 {
		t.Errorf("%+v", m)
	}
}

func TestStatusesArriveInAnyOrderUnderChaos(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1, Chaos: emulator.Chaos{Seed: 3, Reorder: 1, Duplicate: 0.3}})
	rank := map[string]int{"queued": 1, "sent": 3, "delivered": 4}
	mg := s.service(emulator.ServiceSpec{Name: "news", Numbers: []string{office}})
	for i := range 20 {
		_, err := s.text(fmt.Sprintf("+1555800%04d", i), "x", by(mg))
		s.must(err)
	}
	s.advance(time.Minute)
	orders, total := map[string]bool{}, 0
	for i := range 20 {
		var seen []string
		for _, p := range s.sent("/delivery") {
			if p.Form.Get("To") == fmt.Sprintf("+1555800%04d", i) {
				seen = append(seen, p.Form.Get("MessageStatus"))
				total++
			}
		}
		if !slices.IsSortedFunc(seen, func(a, b string) int { return rank[a] - rank[b] }) {
			orders[strings.Join(seen, " ")] = true
		}
		slices.Sort(seen)
		if d := cmp.Diff([]string{"delivered", "queued", "sent"}, slices.Compact(seen)); d != "" {
			t.Errorf("a status was lost: %s", d)
		}
	}
	if len(orders) < 3 || total <= 60 {
		t.Errorf("%d callbacks, late ones only in %v", total, orders)
	}
}

func TestAMessageIsRatedSomeTimeAfterItWasSent(t *testing.T) {
	t.Parallel()
	const australian = "+61491570156"
	for name, tc := range map[string]struct {
		why, to, body string
		end           string
		want          string
	}{
		"one part":    {"", mobile, "x", "", "-0.00830"},
		"two parts":   {"each part costs", mobile, strings.Repeat("a", 161), "", "-0.01660"},
		"abroad":      {"by the country of the recipient", australian, strings.Repeat("ç", 71), "", "-0.10300"},
		"never sent":  {"Twilio could not send", mobile, "x", "failed", ""},
		"undelivered": {"the carrier is paid", mobile, "x", "undelivered", "-0.00830"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{MessageDelay: -1, PriceDelay: 10 * time.Second})
			s.e.Behave(tc.to, emulator.PhoneBehaviour{MessageStatus: tc.end})
			m, err := s.text(tc.to, tc.body, nil)
			s.must(err)
			price := func() string {
				f, err := s.tw.Api.FetchMessage(*m.Sid, nil)
				s.must(err)
				if *f.PriceUnit != "USD" {
					t.Errorf("unit %s", *f.PriceUnit)
				}
				if f.Price == nil {
					return ""
				}
				return *f.Price
			}
			s.advance(9 * time.Second)
			if got := price(); got != "" {
				t.Errorf("rated too early: %s", got)
			}
			s.advance(time.Second)
			if got := price(); got != tc.want {
				t.Errorf("%s: price %q, want %q", tc.why, got, tc.want)
			}
			s.must(s.e.SetPrice("US", emulator.Price{Outbound: 1}))
			if got := price(); got != tc.want {
				t.Errorf("a price once given changed to %s", got)
			}
		})
	}
	s := newStage(t, emulator.Options{PriceDelay: -1, PriceUnit: "AUD"})
	s.must(s.e.SetPrice("us", emulator.Price{Inbound: 0.01, InboundMMS: 0.02}))
	for i, want := range []string{"-0.02000", "-0.02000"} {
		var files []emulator.Media
		if i == 1 {
			files = []emulator.Media{{ContentType: "image/png", Data: []byte("x")}}
		}
		sid, err := s.e.SendText(mobile, office, strings.Repeat("a", 161), files...)
		s.must(err)
		f, err := s.tw.Api.FetchMessage(sid, nil)
		s.must(err)
		if f.Price == nil || *f.Price != want || *f.PriceUnit != "AUD" {
			t.Errorf("inbound %d: %v %s", i, f.Price, *f.PriceUnit)
		}
	}
	if err := s.e.SetPrice("XX", emulator.Price{}); err == nil {
		t.Error("a country that is none has a price")
	}
}

func TestSchedulingHasItsWindow(t *testing.T) { // twilio: 35111, 35114, 35117, 35118, 35125, 35126
	t.Parallel()
	s := newStage(t, emulator.Options{MaxScheduled: 2})
	mg := s.service(emulator.ServiceSpec{Name: "texts", Numbers: []string{office}})
	for name, tc := range map[string]struct {
		why, kind, service string
		at                 any
		want               int
	}{
		"no time":         {"", "fixed", mg, nil, 35111},
		"no service":      {"", "fixed", "", time.Hour, 35118},
		"too soon":        {"five minutes at least", "fixed", mg, 299 * time.Second, 35114},
		"too far":         {"35 days at most", "fixed", mg, 35*24*time.Hour + time.Second, 35114},
		"no such time":    {"it cannot be read", "fixed", mg, "tomorrow", 35117},
		"another kind":    {"only fixed exists", "optimize", mg, time.Hour, 35126},
		"a time, no kind": {"", "", mg, time.Hour, 35126},
	} {
		form := url.Values{"From": {office}, "To": {mobile}, "Body": {"x"}}
		set := func(k, v string) {
			if v != "" {
				form.Set(k, v)
			}
		}
		set("ScheduleType", tc.kind)
		set("MessagingServiceSid", tc.service)
		switch at := tc.at.(type) {
		case time.Duration:
			set("SendAt", s.clock.Now().Add(at).Format(time.RFC3339))
		case string:
			set("SendAt", at)
		}
		_, _, b := s.raw("POST", "/2010-04-01/Accounts/"+accountSID+"/Messages.json", accountSID, authToken, form)
		if !strings.Contains(string(b), fmt.Sprintf(`"code":%d`, tc.want)) {
			t.Errorf("%s: %s, want %d %s", name, b, tc.want, tc.why)
		}
	}
	at := func(d time.Duration) (*api.ApiV2010Message, error) {
		return s.text(mobile, "later", func(p *api.CreateMessageParams) {
			p.From = nil
			p.SetMessagingServiceSid(mg).SetScheduleType("fixed").SetSendAt(s.clock.Now().Add(d))
		})
	}
	var sids []string
	for _, d := range []time.Duration{300 * time.Second, 35 * 24 * time.Hour} {
		m, err := at(d)
		s.must(err)
		if *m.Status != "scheduled" || *m.NumSegments != "0" || m.From != nil {
			t.Errorf("created %+v", m)
		}
		sids = append(sids, *m.Sid)
	}
	if _, err := at(time.Hour); code(err) != 35125 {
		t.Errorf("the third: %v", err)
	}
	if err := s.tw.Api.DeleteMessage(sids[1], nil); code(err) != 20009 {
		t.Errorf("deleting a scheduled message: %v", err)
	}
	cancel := func(sid string) error {
		m, err := s.tw.Api.UpdateMessage(sid, (&api.UpdateMessageParams{}).SetStatus("canceled"))
		if err == nil && *m.Status != "canceled" {
			t.Errorf("canceled is %s", *m.Status)
		}
		return err
	}
	s.must(cancel(sids[1]))
	s.idle()
	if got := s.last("/delivery").Get("MessageStatus"); got != "canceled" {
		t.Errorf("callback %s", got)
	}
	if _, err := at(time.Hour); err != nil {
		t.Errorf("a canceled one makes room: %v", err)
	}
	_, err := s.e.SendText(mobile, office, "STOP")
	s.must(err)
	s.advance(301 * time.Second)
	if m := s.e.Messages()[0]; m.Status != "failed" || m.ErrorCode != 21610 {
		t.Errorf("who opted out meanwhile is sent nothing: %+v", m)
	}
	if err := cancel(sids[0]); code(err) != 20409 {
		t.Errorf("too late: %v", err)
	}
}
