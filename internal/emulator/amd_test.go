package emulator_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/emulator"
)

func TestSyncDetectionHoldsTheDocument(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.answer("/out", `<Response><Pause length="60"/></Response>`)
	sid := s.create(mobile, func(p *api.CreateCallParams) { p.SetMachineDetection("Enable") })
	s.pickUp(mobile)
	s.advance(1999 * time.Millisecond)
	if len(s.sent("/out")) != 0 {
		t.Fatal("the document was asked for before the verdict")
	}
	s.advance(time.Millisecond)
	if f := s.last("/out"); f.Get("AnsweredBy") != "human" || f.Get("MachineDetectionDuration") != "2000" {
		t.Errorf("document request %v", f)
	}
	c, err := s.tw.Api.FetchCall(sid, nil)
	s.must(err)
	if c.AnsweredBy == nil || *c.AnsweredBy != "human" {
		t.Errorf("answered_by %v", c.AnsweredBy)
	}
	s.quiet()
}

func TestAsyncDetectionReportsItsVerdict(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, mode, timeout string
		b                  emulator.PhoneBehaviour
		verdict, took      string
	}{
		"person":              {"", "Enable", "", emulator.PhoneBehaviour{Do: emulator.Answers}, "human", "2000"},
		"voicemail, its end":  {"the beep follows the greeting", "DetectMessageEnd", "", emulator.PhoneBehaviour{Do: emulator.Voicemail, After: time.Second, Speak: 7 * time.Second}, "machine_end_beep", "7000"},
		"voicemail, at start": {"Enable does not wait for the end", "Enable", "", emulator.PhoneBehaviour{Do: emulator.Voicemail, After: time.Second}, "machine_start", "2000"},
		"no beep":             {"", "DetectMessageEnd", "", emulator.PhoneBehaviour{Do: emulator.Voicemail, After: time.Second, AnsweredBy: emulator.MachineEndSilence, VerdictAfter: 9 * time.Second}, "machine_end_silence", "9000"},
		"fax":                 {"", "DetectMessageEnd", "", emulator.PhoneBehaviour{Do: emulator.Answers, AnsweredBy: emulator.Fax, VerdictAfter: time.Second}, "fax", "1000"},
		"endless greeting":    {"at the timeout nobody knows", "DetectMessageEnd", "10", emulator.PhoneBehaviour{Do: emulator.Voicemail, After: time.Second, Speak: 20 * time.Second}, "unknown", "10000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.e.Behave(mobile, tc.b)
			s.answer("/out", `<Response><Pause length="60"/></Response>`)
			sid := s.create(mobile, func(p *api.CreateCallParams) {
				p.SetMachineDetection(tc.mode).SetAsyncAmd("true").SetAsyncAmdStatusCallback(s.hooks.URL + "/amd")
				if tc.timeout != "" {
					p.SetMachineDetectionTimeout(10)
				}
			})
			s.advance(1500 * time.Millisecond)
			if len(s.sent("/out")) != 1 {
				t.Error("asynchronous detection must not hold the document")
			}
			s.advance(30 * time.Second)
			f := s.last("/amd")
			if f.Get("AnsweredBy") != tc.verdict || f.Get("MachineDetectionDuration") != tc.took || f.Get("CallSid") != sid || f.Get("AccountSid") != accountSID {
				t.Errorf("%v, want %s after %s (%s)", f, tc.verdict, tc.took, tc.why)
			}
			s.quiet()
		})
	}
}

func TestDetectionOnADialledNumber(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.e.Behave(second, emulator.PhoneBehaviour{Do: emulator.Voicemail, After: time.Second, Speak: 4 * time.Second})
	s.answer("/voice", `<Response><Dial><Number machineDetection="DetectMessageEnd" amdStatusCallback="/amd">`+second+`</Number></Dial></Response>`)
	sid := s.call(mobile, office)
	s.advance(5 * time.Second)
	f := s.last("/amd")
	if f.Get("AnsweredBy") != "machine_end_beep" || f.Get("CallSid") == sid {
		t.Errorf("verdict %v", f)
	}
	if got := s.status(sid); got != "in-progress" {
		t.Errorf("the verdict changes nothing by itself, but the caller is %s", got)
	}
	s.quiet()
}

func TestDetectionMistakes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why    string
		change func(*api.CreateCallParams)
		raw    map[string]string
		codes  []int
		code   int
	}{
		"no callback":          {"the result is on the call only", func(p *api.CreateCallParams) { p.SetMachineDetection("Enable").SetAsyncAmd("true") }, nil, []int{21262}, 0},
		"async alone":          {"", func(p *api.CreateCallParams) { p.SetAsyncAmd("true") }, nil, []int{21263}, 0},
		"participants' name":   {"", nil, map[string]string{"MachineDetection": "Enable", "AmdStatusCallback": "https://example.com/"}, []int{21263}, 0},
		"unknown mode":         {"", func(p *api.CreateCallParams) { p.SetMachineDetection("Guess") }, nil, nil, 21234},
		"timeout out of range": {"", func(p *api.CreateCallParams) { p.SetMachineDetection("Enable").SetMachineDetectionTimeout(60) }, nil, nil, 21234},
		"digits to send":       {"they make detection pointless", func(p *api.CreateCallParams) { p.SetMachineDetection("Enable").SetSendDigits("1") }, nil, nil, 0},
	} {
		s := newStage(t, emulator.Options{})
		p := (&api.CreateCallParams{}).SetFrom(office).SetTo(mobile).SetUrl(s.hooks.URL + "/out")
		if tc.change != nil {
			tc.change(p)
			if _, err := s.tw.Api.CreateCall(p); code(err) != tc.code {
				t.Errorf("%s: %v, want %d (%s)", name, err, tc.code, tc.why)
			}
		} else {
			form := map[string][]string{"From": {office}, "To": {mobile}, "Url": {s.hooks.URL + "/out"}}
			for k, v := range tc.raw {
				form[k] = []string{v}
			}
			if status, _, b := s.raw("POST", "/2010-04-01/Accounts/"+accountSID+"/Calls.json", accountSID, authToken, form); status != 201 {
				t.Errorf("%s: %d %s", name, status, b)
			}
		}
		s.idle()
		if d := cmp.Diff(tc.codes, s.codes()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestVoicemailDropIsHeardFromItsFirstWord(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why   string
		when  time.Duration // after the answer
		from  float64
		whole bool
	}{
		"at the beep":    {"", 5 * time.Second, 0, true},
		"after the beep": {"", 6 * time.Second, 0, true},
		"too early":      {"two seconds are lost to the greeting", 3 * time.Second, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.e.Behave(mobile, emulator.PhoneBehaviour{Do: emulator.Voicemail, After: time.Second, Speak: 5 * time.Second})
			s.answer("/out", `<Response><Pause length="60"/></Response>`)
			sid := s.create(mobile, nil)
			s.advance(time.Second + tc.when)
			_, err := s.tw.Api.UpdateCall(sid, (&api.UpdateCallParams{}).SetTwiml(`<Response><Say>This is Acme about your delivery, please call us back.</Say><Hangup/></Response>`))
			s.must(err)
			s.advance(time.Minute)
			c, _ := s.e.Call(sid)
			if len(c.Left) != 1 || c.Left[0].From != tc.from || c.Left[0].Whole != tc.whole || c.Left[0].Text == "" {
				t.Errorf("left %+v (%s)", c.Left, tc.why)
			}
			s.quiet()
		})
	}
}

func TestHangingUpCutsWhatTheBoxHears(t *testing.T) {
	t.Parallel()
	s := newStage(t, emulator.Options{})
	s.e.Behave(mobile, emulator.PhoneBehaviour{Do: emulator.Voicemail, After: time.Second, Speak: time.Second})
	s.answer("/out", `<Response><Pause length="2"/><Say>This is Acme about your delivery, please call us back.</Say></Response>`)
	sid := s.create(mobile, nil)
	s.advance(4 * time.Second)
	s.must(s.e.HangUp(sid))
	c, _ := s.e.Call(sid)
	if len(c.Left) != 1 || c.Left[0].Whole || c.Left[0].Seconds != 1 {
		t.Errorf("left %+v", c.Left)
	}
}

func TestPersonPressesWhenAsked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why, document string
		after         time.Duration
	}{
		"asked at once":         {"a second after the answer", `<Gather numDigits="1" action="/pressed"><Say>Press one to accept the call.</Say></Gather>`, time.Second},
		"after an announcement": {"a second after the question begins", `<Pause length="4"/><Gather numDigits="1" action="/pressed"/>`, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, emulator.Options{})
			s.e.Behave(mobile, emulator.PhoneBehaviour{Do: emulator.Answers, After: time.Second, Press: "1"})
			s.answer("/out", `<Response>`+tc.document+`<Hangup/></Response>`)
			s.answer("/pressed", `<Response><Pause length="60"/></Response>`)
			sid := s.create(mobile, nil)
			s.advance(time.Second + tc.after - time.Millisecond)
			if len(s.sent("/pressed")) != 0 {
				t.Error("pressed too early")
			}
			s.advance(time.Millisecond)
			if got := s.last("/pressed").Get("Digits"); got != "1" || s.status(sid) != "in-progress" {
				t.Errorf("digits %q, call %s (%s)", got, s.status(sid), tc.why)
			}
		})
	}
}
