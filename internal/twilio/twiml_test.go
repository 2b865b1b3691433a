package twilio_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/errs"
	"switchboard/internal/twilio"
)

func text(t testing.TB, r twilio.Response) string {
	t.Helper()
	b, err := r.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRingGroupIsWrittenAsTwilioReadsIt(t *testing.T) {
	t.Parallel()
	events := []string{"initiated", "ringing", "answered", "completed"}
	got := text(t, twilio.Response{
		twilio.Say{Text: "Hello & welcome", Voice: "Polly.Joanna"},
		twilio.Dial{
			Action: "https://us/dial?call=C1&n=1", TimeoutSeconds: 20, AnswerOnBridge: true, CallerID: "+15550001111",
			Nouns: []twilio.Noun{
				twilio.ToClient{Identity: "u_42", Parameters: []twilio.Parameter{{Name: "call", Value: ""}}, Callback: twilio.Callback{StatusCallback: "https://us/leg?t=1", StatusCallbackEvent: events}},
				twilio.ToNumber{Number: "+15550002222", Callback: twilio.Callback{URL: "https://us/screen"}},
				twilio.ToSIP{URI: "sip:1001@acme.sip.twilio.com"},
			},
		},
	})
	want := `<?xml version="1.0" encoding="UTF-8"?><Response><Say voice="Polly.Joanna">Hello &amp; welcome</Say>` +
		`<Dial action="https://us/dial?call=C1&amp;n=1" timeout="20" callerId="+15550001111" answerOnBridge="true">` +
		`<Client statusCallback="https://us/leg?t=1" statusCallbackEvent="initiated ringing answered completed"><Identity>u_42</Identity><Parameter name="call" value=""/></Client>` +
		`<Number url="https://us/screen">+15550002222</Number><Sip>sip:1001@acme.sip.twilio.com</Sip></Dial></Response>`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestVerbsAreWrittenWithWhatTheyMean(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		why  string
		verb twilio.Verb
		want string
	}{
		"no finish key":       {why: "an empty attribute differs from none", verb: twilio.Gather{Action: "https://us/g", NumDigits: 1, NoFinishKey: true, Prompts: []twilio.Verb{twilio.Say{Text: "Press 1"}}}, want: `<Gather action="https://us/g" numDigits="1" finishOnKey=""><Say>Press 1</Say></Gather>`},
		"silent wait":         {why: "waitUrl empty is silence, none is music", verb: twilio.Dial{Nouns: []twilio.Noun{twilio.ToConference{Name: "c", Silence: true}}}, want: `<Dial><Conference beep="false" waitUrl="">c</Conference></Dial>`},
		"room held shut":      {why: "waits for somebody else", verb: twilio.Dial{Nouns: []twilio.Noun{twilio.ToConference{Name: "c", WaitForStart: true, EndOnExit: true}}}, want: `<Dial><Conference beep="false" startConferenceOnEnter="false" endConferenceOnExit="true">c</Conference></Dial>`},
		"voicemail":           {why: "R126", verb: twilio.Record{Action: "https://us/r", MaxLengthSeconds: 120, NoBeep: true, Trim: "do-not-trim"}, want: `<Record action="https://us/r" maxLength="120" playBeep="false" trim="do-not-trim"/>`},
		"play":                {why: "a file", verb: twilio.Play{URL: "https://us/m?a=1&b=2"}, want: `<Play>https://us/m?a=1&amp;b=2</Play>`},
		"keypad tones":        {why: "no URL", verb: twilio.Play{Digits: "ww1"}, want: `<Play digits="ww1"/>`},
		"busy":                {why: "not answered", verb: twilio.Reject{Busy: true}, want: `<Reject reason="busy"/>`},
		"reject":              {why: "not answered", verb: twilio.Reject{}, want: `<Reject/>`},
		"pause":               {why: "seconds", verb: twilio.Pause{Seconds: 2}, want: `<Pause length="2"/>`},
		"hangup":              {why: "ends", verb: twilio.Hangup{}, want: `<Hangup/>`},
		"redirect":            {why: "goes on", verb: twilio.Redirect{URL: "https://us/x"}, want: `<Redirect>https://us/x</Redirect>`},
		"background":          {why: "goes on recording", verb: twilio.StartRecording{Channels: "dual"}, want: `<Start><Recording channels="dual"/></Start>`},
		"reply":               {why: "a text", verb: twilio.Message{Body: "ok", MediaURLs: []string{"https://us/p"}}, want: `<Message><Body>ok</Body><Media>https://us/p</Media></Message>`},
		"control characters":  {why: "XML cannot hold them", verb: twilio.Say{Text: "a\x00b\x1bc\ufffe\xffd\ne"}, want: "<Say>abcd&#xA;e</Say>"},
		"ends of a CDATA":     {why: "stays text", verb: twilio.Say{Text: "]]>"}, want: `<Say>]]&gt;</Say>`},
		"quote in attributes": {why: "stays inside", verb: twilio.Dial{CallerID: `"><Hangup/>`, Nouns: []twilio.Noun{twilio.ToNumber{Number: "+1"}}}, want: `<Dial callerId="&#34;&gt;&lt;Hangup/&gt;"><Number>+1</Number></Dial>`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := text(t, twilio.Response{c.verb})
			want := `<?xml version="1.0" encoding="UTF-8"?><Response>` + c.want + `</Response>`
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s:\n%s", c.why, diff)
			}
		})
	}
	if got := text(t, nil); got != `<?xml version="1.0" encoding="UTF-8"?><Response/>` {
		t.Fatal(got)
	}
}

func TestWrongDocumentsAreNotWritten(t *testing.T) {
	t.Parallel()
	eleven := twilio.Dial{}
	for range 11 {
		eleven.Nouns = append(eleven.Nouns, twilio.ToNumber{Number: "+15550001111"})
	}
	for name, v := range map[string]twilio.Verb{
		"eleven phones (T01)":    eleven,
		"nobody":                 twilio.Dial{},
		"room and phone":         twilio.Dial{Nouns: []twilio.Noun{twilio.ToConference{Name: "x"}, twilio.ToNumber{Number: "+1"}}},
		"relative action":        twilio.Dial{Action: "/dial", Nouns: []twilio.Noun{twilio.ToNumber{Number: "+1"}}},
		"relative callback":      twilio.Dial{Nouns: []twilio.Noun{twilio.ToNumber{Number: "+1", Callback: twilio.Callback{StatusCallback: "leg"}}}},
		"script URL":             twilio.Play{URL: "javascript:alert(1)"},
		"file URL":               twilio.Redirect{URL: "file:///etc/passwd"},
		"record without action":  twilio.Record{},
		"dial inside of gather":  twilio.Gather{Prompts: []twilio.Verb{eleven}},
		"relative in background": twilio.StartRecording{RecordingStatusCallback: "/r"},
	} {
		if b, err := (twilio.Response{v}).Bytes(); err == nil {
			t.Errorf("%s: written as %s", name, b)
		}
	}
	long := twilio.Response{twilio.Say{Text: strings.Repeat("<", 20_000)}} // escaped, over 64 kB
	if _, err := long.Bytes(); !errs.IsCode(err, errs.LimitReached) {
		t.Errorf("over 64 kB: %v", err)
	}
	short := twilio.Response{twilio.Say{Text: strings.Repeat("é", 3900)}}
	if _, err := short.Inline(); err != nil {
		t.Errorf("under 4000 characters: %v", err)
	}
	if _, err := (twilio.Response{twilio.Say{Text: strings.Repeat("é", 4000)}}).Inline(); !errs.IsCode(err, errs.LimitReached) {
		t.Errorf("over 4000 characters: %v", err)
	}
}

// document puts one text everywhere that people can put one.
func document(s string) twilio.Response {
	return twilio.Response{
		twilio.Say{Text: s, Voice: s, Language: s},
		twilio.Gather{Input: s, Hints: s, FinishOnKey: s, Language: s, SpeechTimeout: s, Prompts: []twilio.Verb{twilio.Say{Text: s}}},
		twilio.Dial{CallerID: s, Record: s, RingTone: s, Trim: s, Method: s, Nouns: []twilio.Noun{
			twilio.ToNumber{Number: s, SendDigits: s, Callback: twilio.Callback{Method: s, StatusCallbackEvent: []string{s}}},
			twilio.ToClient{Identity: s, Parameters: []twilio.Parameter{{Name: s, Value: s}}},
			twilio.ToSIP{URI: s, Username: s, Password: s},
		}},
		twilio.Dial{Nouns: []twilio.Noun{twilio.ToConference{Name: s, ParticipantLabel: s, Coach: s, Beep: s, Record: s}}},
		twilio.Record{Action: "https://us/r", FinishOnKey: s, Trim: s},
		twilio.StartRecording{Channels: s, Track: s, Trim: s},
		twilio.Message{Body: s, To: s, From: s},
		twilio.Play{Digits: s + "1"},
		twilio.Hangup{},
	}
}

// tree is the names of all elements as they nest.
func tree(t testing.TB, doc string) string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(doc))
	var b strings.Builder
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatalf("not XML: %v\n%s", err, doc)
		}
		switch x := tok.(type) {
		case xml.StartElement:
			fmt.Fprintf(&b, "(%s", x.Name.Local)
		case xml.EndElement:
			b.WriteByte(')')
		case xml.Comment, xml.Directive:
			t.Fatalf("a %T got in", x)
		}
	}
}

func FuzzNoTextBecomesAVerb(f *testing.F) {
	for _, s := range []string{
		"plain", "</Say><Dial>+1900555</Dial>", `"/><Redirect>https://evil</Redirect>`, "<![CDATA[", "]]>", "<!--", "<?xml?>", "&lt;Dial&gt;", "&#60;Dial&#62;",
		"\x00", "\x1b[2J", "\xff\xfe<Dial>", "\ufffe", "<speak><break/></speak>", "' onload='x", "\r\n\r\n<Response>", "\u202e", "𝓗", "%3CDial%3E",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := document(s).Bytes()
		if errs.IsCode(err, errs.LimitReached) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		want := tree(t, text(t, document("plain")))
		if diff := cmp.Diff(want, tree(t, string(b))); diff != "" {
			t.Fatalf("%q changed the verbs:\n%s", s, diff)
		}
		if bytes.ContainsAny(b, "\x00\x1b") {
			t.Fatalf("%q left a control character", s)
		}
	})
}
