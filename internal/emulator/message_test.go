package emulator_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

func (s *stage) text(to, body string, more func(*api.CreateMessageParams)) (*api.ApiV2010Message, error) {
	p := (&api.CreateMessageParams{}).SetFrom(office).SetTo(to).SetBody(body).SetStatusCallback(s.hooks.URL + "/delivery")
	if more != nil {
		more(p)
	}
	return s.tw.Api.CreateMessage(p)
}

func TestMessageWalksItsStates(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why  string
		b    emulator.PhoneBehaviour
		want []string
		code string
	}{
		"delivered":   {"the first status is never called back", emulator.PhoneBehaviour{}, []string{"sent", "delivered"}, ""},
		"undelivered": {"the carrier refused", emulator.PhoneBehaviour{MessageStatus: "undelivered", MessageError: 30006}, []string{"sent", "undelivered"}, "30006"},
		"failed":      {"Twilio could not send", emulator.PhoneBehaviour{MessageStatus: "failed", MessageError: 30007}, []string{"failed"}, "30007"},
		"no receipt":  {"sent may be the end", emulator.PhoneBehaviour{MessageStatus: "sent"}, []string{"sent"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.e.Behave(mobile, tc.b)
			m, err := s.text(mobile, "hello", nil)
			s.must(err)
			if *m.Status != "queued" || *m.NumSegments != "1" || *m.Direction != "outbound-api" || !strings.HasPrefix(*m.Sid, "SM") {
				t.Errorf("created %+v", m)
			}
			s.advance(5 * time.Second)
			if d := cmp.Diff(tc.want, s.values("/delivery", "MessageStatus")); d != "" {
				t.Errorf("%s: %s", tc.why, d)
			}
			if got := s.last("/delivery").Get("ErrorCode"); got != tc.code {
				t.Errorf("ErrorCode %q, want %q", got, tc.code)
			}
			f, err := s.tw.Api.FetchMessage(*m.Sid, nil)
			s.must(err)
			if *f.Status != tc.want[len(tc.want)-1] || tc.code != "" && fmt.Sprint(*f.ErrorCode) != tc.code {
				t.Errorf("fetched %s %v", *f.Status, f.ErrorCode)
			}
		})
	}
}

func TestMessagesAreValidated(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	_, err := s.e.AddNumber(accountSID, emulator.NumberSpec{E164: "+15550003000", NoSMS: true})
	s.must(err)
	many := make([]string, 11)
	for i := range many {
		many[i] = "https://example.com/x.png"
	}
	for name, tc := range map[string]struct {
		change func(*api.CreateMessageParams)
		want   int
	}{
		"no to":             {func(p *api.CreateMessageParams) { p.To = nil }, 21604},
		"no from":           {func(p *api.CreateMessageParams) { p.From = nil }, 21603},
		"no body":           {func(p *api.CreateMessageParams) { p.Body = nil }, 21602},
		"bad to":            {func(p *api.CreateMessageParams) { p.SetTo("5") }, 21211},
		"bad from":          {func(p *api.CreateMessageParams) { p.SetFrom("5") }, 21212},
		"foreign from":      {func(p *api.CreateMessageParams) { p.SetFrom(second) }, 21606},
		"voice number":      {func(p *api.CreateMessageParams) { p.SetFrom("+15550003000") }, 21601},
		"1601 characters":   {func(p *api.CreateMessageParams) { p.SetBody(strings.Repeat("é", 1601)) }, 21617},
		"eleven files":      {func(p *api.CreateMessageParams) { p.SetMediaUrl(many) }, 21623},
		"bad file":          {func(p *api.CreateMessageParams) { p.SetMediaUrl([]string{"file:///etc/passwd"}) }, 21620},
		"bad callback":      {func(p *api.CreateMessageParams) { p.SetStatusCallback("nonsense") }, 21609},
		"bad validity":      {func(p *api.CreateMessageParams) { p.SetValidityPeriod(40000) }, 21624},
		"unknown service":   {func(p *api.CreateMessageParams) { p.From = nil; p.SetMessagingServiceSid("MGx") }, 21701},
		"scheduled, no MG":  {func(p *api.CreateMessageParams) { p.SetScheduleType("fixed") }, 35118},
		"to its own number": {func(p *api.CreateMessageParams) { p.SetTo(office) }, 21606},
	} {
		if _, err := s.text(mobile, "hello", tc.change); code(err) != tc.want {
			t.Errorf("%s: %v, want %d", name, err, tc.want)
		}
	}
	if _, err := s.text(mobile, strings.Repeat("é", 1600), nil); err != nil {
		t.Errorf("1600 characters: %v", err)
	}
}

func TestStopStartHelp(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	replies := func() (n int) {
		for _, m := range s.e.Messages() {
			if m.Direction == "outbound-reply" && m.To == mobile {
				n++
			}
		}
		return n
	}
	for _, step := range []struct {
		why, body string
		replies   int
		optedOut  bool
	}{
		{"not the whole message", "please stop", 0, false},
		{"any case, spaces around", " stop ", 1, true},
		{"told once", "STOPALL", 1, true},
		{"back", "Start", 2, false},
		{"help", "HELP", 3, false},
		{"yes answers nothing when not opted out", "YES", 3, false},
		{"a word of 2025", "OPTOUT", 4, true},
		{"yes brings back", "yes", 5, false},
	} {
		before := len(s.sent("/sms"))
		_, err := s.e.SendText(mobile, office, step.body)
		s.must(err)
		s.idle()
		if len(s.sent("/sms")) != before+1 {
			t.Errorf("%s: the webhook must hear %q", step.why, step.body)
		}
		if got := replies(); got != step.replies {
			t.Errorf("%s: %d replies, want %d", step.why, got, step.replies)
		}
		_, err = s.text(mobile, "news", nil)
		if step.optedOut != (code(err) == 21610) || step.optedOut != s.e.OptedOut(office, mobile) {
			t.Errorf("%s: sending gives %v", step.why, err)
		}
	}
	if s.last("/sms").Has("OptOutType") {
		t.Error("OptOutType belongs to Advanced Opt-Out")
	}
	s.number("+15550001112")
	_, err := s.e.SendText(mobile, office, "STOP")
	s.must(err)
	if _, err := s.text(mobile, "news", func(p *api.CreateMessageParams) { p.SetFrom("+15550001112") }); err != nil {
		t.Errorf("the opt-out holds for the pair only: %v", err)
	}
}

func TestOptOutOfAServiceCoversItsPool(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.number("+15550001112")
	mg, err := s.e.AddService(accountSID, emulator.ServiceSpec{Name: "texts", Numbers: []string{office, "+15550001112"}, AdvancedOptOut: true,
		Fields: map[string]string{"InboundRequestUrl": s.hooks.URL + "/service", "StatusCallback": s.hooks.URL + "/pool"}})
	s.must(err)
	m, err := s.text(mobile, "hello", func(p *api.CreateMessageParams) { p.From, p.StatusCallback = nil, nil; p.SetMessagingServiceSid(mg) })
	s.must(err)
	if *m.Status != "accepted" || m.From != nil || *m.NumSegments != "0" {
		t.Errorf("created by service: %+v", m)
	}
	s.advance(5 * time.Second)
	if d := cmp.Diff([]string{"queued", "sent", "delivered"}, s.values("/pool", "MessageStatus")); d != "" {
		t.Error(d)
	}
	_, err = s.e.SendText(mobile, office, "STOP")
	s.must(err)
	s.idle()
	f := s.last("/service")
	if f.Get("OptOutType") != "STOP" || f.Get("MessagingServiceSid") != mg || len(s.sent("/sms")) != 0 {
		t.Errorf("inbound of a service: %v", f)
	}
	if _, err := s.text(mobile, "news", func(p *api.CreateMessageParams) { p.SetFrom("+15550001112") }); code(err) != 21610 {
		t.Errorf("another number of the pool: %v", err)
	}
}

func TestInboundMMSCanBeFetchedAndDeleted(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	sid, err := s.e.SendText(mobile, office, "look", emulator.Media{ContentType: "image/png", Data: []byte("picture")})
	s.must(err)
	s.idle()
	f := s.last("/sms")
	if f.Get("NumMedia") != "1" || f.Get("MediaContentType0") != "image/png" || !strings.HasPrefix(f.Get("MessageSid"), "MM") || f.Get("SmsStatus") != "received" {
		t.Fatalf("webhook %v", f)
	}
	get := func() (int, string) {
		q, err := http.NewRequestWithContext(s.ctx, "GET", f.Get("MediaUrl0"), nil)
		s.must(err)
		q.SetBasicAuth(accountSID, authToken)
		res, err := http.DefaultClient.Do(q)
		s.must(err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		s.must(err)
		return res.StatusCode, string(b)
	}
	if status, body := get(); status != 200 || body != "picture" {
		t.Errorf("media %d %q", status, body)
	}
	list, err := s.tw.Api.ListMedia(sid, nil)
	s.must(err)
	if len(list) != 1 || *list[0].ContentType != "image/png" {
		t.Fatalf("media list %+v", list)
	}
	s.must(s.tw.Api.DeleteMedia(sid, *list[0].Sid, nil))
	if status, _ := get(); status != 404 {
		t.Errorf("after the deletion: %d", status)
	}
	_, err = s.tw.Api.UpdateMessage(sid, (&api.UpdateMessageParams{}).SetBody(""))
	s.must(err)
	m, err := s.tw.Api.FetchMessage(sid, nil)
	s.must(err)
	if *m.Body != "" || *m.Direction != "inbound" {
		t.Errorf("redacted: %+v", m)
	}
	s.must(s.tw.Api.DeleteMessage(sid, nil))
	if _, err := s.tw.Api.FetchMessage(sid, nil); code(err) != 20404 {
		t.Errorf("deleted: %v", err)
	}
}

func TestTwiMLRepliesAndFallback(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/sms", `<Response><Message statusCallback="/delivery">Thanks</Message></Response>`)
	_, err := s.e.SendText(mobile, office, "hi")
	s.must(err)
	s.advance(5 * time.Second)
	list := s.e.Messages()
	if len(list) != 2 || list[1].Body != "Thanks" || list[1].Direction != "outbound-reply" || list[1].Status != "delivered" {
		t.Errorf("messages %+v", list)
	}
	if d := cmp.Diff([]string{"sent", "delivered"}, s.values("/delivery", "MessageStatus")); d != "" {
		t.Error(d)
	}
	s.quiet()
	s.handle("/sms", respond(500, "text/plain", "oops"))
	s.must(s.e.UpdateNumber(office, func(n *emulator.NumberSpec) { n.SMSFallbackURL = s.hooks.URL + "/smsfallback" }))
	_, err = s.e.SendText(mobile, office, "hi again")
	s.must(err)
	s.idle()
	if f := s.last("/smsfallback"); f.Get("ErrorCode") != "11200" || f.Get("Body") != "hi again" {
		t.Errorf("fallback %v", f)
	}
}

func TestRepliesInALoopAreStopped(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{MessageDelay: -1})
	s.number("+15550001112")
	s.answer("/sms", `<Response><Message>again</Message></Response>`)
	_, err := s.text("+15550001112", "hello", nil)
	s.must(err)
	s.idle()
	if codes := s.codes(); len(codes) != 1 || codes[0] != 14107 {
		t.Errorf("debugger %v", codes)
	}
}

func TestScheduledMessages(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	mg, err := s.e.AddService(accountSID, emulator.ServiceSpec{Name: "texts", Numbers: []string{office}})
	s.must(err)
	at := func(d time.Duration) func(*api.CreateMessageParams) {
		return func(p *api.CreateMessageParams) {
			p.SetMessagingServiceSid(mg).SetScheduleType("fixed").SetSendAt(s.clock.Now().Add(d))
		}
	}
	if _, err := s.text(mobile, "soon", at(299*time.Second)); code(err) != 35114 {
		t.Errorf("too soon: %v", err)
	}
	m, err := s.text(mobile, "later", at(time.Hour))
	s.must(err)
	dropped, err := s.text(mobile, "never", at(time.Hour))
	s.must(err)
	_, err = s.tw.Api.UpdateMessage(*dropped.Sid, (&api.UpdateMessageParams{}).SetStatus("canceled"))
	s.must(err)
	s.advance(59 * time.Minute)
	if got := s.e.Messages()[0].Status; *m.Status != "scheduled" || got != "scheduled" {
		t.Errorf("before its time: %s", got)
	}
	s.advance(2 * time.Minute)
	if list := s.e.Messages(); list[0].Status != "delivered" || list[1].Status != "canceled" {
		t.Errorf("after its time: %s, %s", list[0].Status, list[1].Status)
	}
}

// twilio: iam/test-credentials.
func TestMagicNumbers(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	const test = "ACdddddddddddddddddddddddddddddddd"
	s.must(s.e.AddAccount(test, "testtoken", emulator.Test))
	tw := s.client(test, "testtoken")
	m := func(n string) string { return "+1500555" + n }
	for _, tc := range []struct {
		from, to string
		want     int
	}{{"0001", "", 21212}, {"0007", "", 21606}, {"0008", "", 21611}, {"0006", "", 0}, {"0006", "0001", 21211}, {"0006", "0002", 21612},
		{"0006", "0003", 21408}, {"0006", "0004", 21610}, {"0006", "0009", 21614}} {
		to := mobile
		if tc.to != "" {
			to = m(tc.to)
		}
		_, err := tw.Api.CreateMessage((&api.CreateMessageParams{}).SetPathAccountSid(test).SetFrom(m(tc.from)).SetTo(to).SetBody("x").SetStatusCallback(s.hooks.URL + "/delivery"))
		if code(err) != tc.want {
			t.Errorf("message %s to %s: %v, want %d", tc.from, tc.to, err, tc.want)
		}
	}
	for _, tc := range []struct {
		from, to string
		want     int
	}{{"0001", "", 21212}, {"0002", "", 21210}, {"0006", "", 0}, {"0006", "0001", 21217}, {"0006", "0002", 21214}, {"0006", "0003", 21215}, {"0006", "0004", 21216}} {
		to := mobile
		if tc.to != "" {
			to = m(tc.to)
		}
		_, err := tw.Api.CreateCall((&api.CreateCallParams{}).SetPathAccountSid(test).SetFrom(m(tc.from)).SetTo(to).SetUrl(s.hooks.URL + "/out").SetStatusCallback(s.hooks.URL + "/progress"))
		if code(err) != tc.want {
			t.Errorf("call %s to %s: %v, want %d", tc.from, tc.to, err, tc.want)
		}
	}
	for _, tc := range []struct {
		number, area string
		want         int
	}{{"0000", "", 21422}, {"0001", "", 21421}, {"0006", "", 0}, {"", "533", 21452}} {
		p := (&api.CreateIncomingPhoneNumberParams{}).SetPathAccountSid(test)
		if tc.area != "" {
			p.SetAreaCode(tc.area)
		} else {
			p.SetPhoneNumber(m(tc.number))
		}
		if _, err := tw.Api.CreateIncomingPhoneNumber(p); code(err) != tc.want {
			t.Errorf("buy %s%s: %v, want %d", tc.number, tc.area, err, tc.want)
		}
	}
	if _, err := tw.Api.ListCall((&api.ListCallParams{}).SetPathAccountSid(test)); code(err) != 20008 {
		t.Errorf("anything else: %v", err)
	}
	s.advance(time.Minute)
	if n := len(s.sent("")); n != 0 || len(s.e.Calls()) != 0 {
		t.Errorf("test credentials sent %d webhooks", n)
	}
}

func TestTrialAccountsReachVerifiedNumbersOnly(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	const trial = "ACeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
	s.must(s.e.AddAccount(trial, "trialtoken", emulator.Trial))
	_, err := s.e.AddNumber(trial, emulator.NumberSpec{E164: "+15550004000"})
	s.must(err)
	s.must(s.e.AddCallerID(trial, second, ""))
	tw := s.client(trial, "trialtoken")
	send := func(to string) error {
		_, err := tw.Api.CreateMessage((&api.CreateMessageParams{}).SetPathAccountSid(trial).SetFrom("+15550004000").SetTo(to).SetBody("x"))
		return err
	}
	if err := send(mobile); code(err) != 21608 {
		t.Errorf("unverified: %v", err)
	}
	if err := send(second); err != nil {
		t.Errorf("verified: %v", err)
	}
	if got := s.e.Messages()[0].Body; !strings.HasPrefix(got, "Sent from your Twilio trial account - ") {
		t.Errorf("body %q", got)
	}
	_, err = tw.Api.CreateCall((&api.CreateCallParams{}).SetPathAccountSid(trial).SetFrom("+15550004000").SetTo(mobile).SetUrl(s.hooks.URL))
	if code(err) != 21219 {
		t.Errorf("call: %v", err)
	}
}

// twilio: glossary/what-is-gsm-7-character-encoding.
func TestSegments(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, body string
		want      int
	}{
		"empty":               {"one at least", "", 1},
		"160 plain":           {"", strings.Repeat("a", 160), 1},
		"161 plain":           {"153 each from here", strings.Repeat("a", 161), 2},
		"306 plain":           {"", strings.Repeat("a", 306), 2},
		"307 plain":           {"", strings.Repeat("a", 307), 3},
		"80 euro":             {"two septets each", strings.Repeat("€", 80), 1},
		"81 euro":             {"", strings.Repeat("€", 81), 2},
		"escape at boundary":  {"an escape pair does not straddle", strings.Repeat("a", 152) + "€" + strings.Repeat("a", 152), 3},
		"one curly quote":     {"not in the alphabet", strings.Repeat("a", 70) + "’", 2},
		"70 accents":          {"UCS-2", strings.Repeat("ç", 70), 1},
		"71 accents":          {"", strings.Repeat("ç", 71), 2},
		"emoji at the border": {"two units, never split", strings.Repeat("ç", 66) + "😀" + strings.Repeat("ç", 66), 3},
		"1600 of UCS-2":       {"67 each", strings.Repeat("ç", 1600), 24},
		"35 emoji":            {"70 units exactly", strings.Repeat("😀", 35), 1},
		"36 emoji":            {"33 in a part of 67", strings.Repeat("😀", 36), 2},
		"66 emoji":            {"33 and 33", strings.Repeat("😀", 66), 2},
		"67 emoji":            {"", strings.Repeat("😀", 67), 3},
		"escape fits":         {"151 and an escape pair are 153", strings.Repeat("a", 151) + "€" + strings.Repeat("a", 153), 2},
		"158 and an escape":   {"160 septets", strings.Repeat("a", 158) + "{", 1},
		"159 and an escape":   {"161", strings.Repeat("a", 159) + "}", 2},
		"form feed":           {"an extension character", strings.Repeat("\f", 81), 2},
		"line feeds":          {"of the alphabet", strings.Repeat("\r\n", 80), 1},
		"back-tick":           {"not in the alphabet", strings.Repeat("`", 71), 2},
	} {
		if got := emulator.Segments(tc.body); got != tc.want {
			t.Errorf("%s: %d segments, want %d (%s)", name, got, tc.want, tc.why)
		}
	}
}
