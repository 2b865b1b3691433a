package twilio_test

import (
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/errs"
	"switchboard/internal/twilio"
)

const hex32 = "0123456789abcdef0123456789abcdef"

const (
	ac = "AC" + hex32
	ca = "CA" + hex32
	re = "RE" + hex32
	sm = "SM" + hex32
	pn = "PN" + hex32
	mg = "MG" + hex32
	sk = "SK" + hex32
	ap = "AP" + hex32
)

func ptr[T any](v T) *T { return &v }

func TestFormsKeepWhatTwilioSays(t *testing.T) {
	t.Parallel()
	leg, err := twilio.ParseLeg(url.Values{
		"AccountSid": {ac}, "CallSid": {ca}, "ParentCallSid": {ca}, "CallStatus": {"no-answer"}, "CallDuration": {"0"},
		"Timestamp": {"Tue, 31 Aug 2010 20:36:28 +0000"}, "SequenceNumber": {"3"}, "SipResponseCode": {"487"}, "New": {"field"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := twilio.LegForm{AccountSID: ac, CallSID: ca, ParentCallSID: ca, Status: "no-answer", At: time.Date(2010, 8, 31, 20, 36, 28, 0, time.UTC), Sequence: ptr(3), DurationSeconds: ptr(0), SIPCode: 487}
	if diff := cmp.Diff(want, leg); diff != "" {
		t.Error(diff)
	}
	if leg.Key() != ca+"/no-answer/3" {
		t.Errorf("key %s", leg.Key())
	}

	dial, err := twilio.ParseDial(url.Values{"AccountSid": {ac}, "CallSid": {ca}, "From": {"anonymous"}, "To": {"+61255501234"}, "DialCallStatus": {"completed"}, "DialCallSid": {ca}, "DialCallDuration": {"61"}, "DialBridged": {"true"}})
	if err != nil {
		t.Fatal(err)
	}
	if dial.From != "anonymous" || *dial.DialDuration != 61 || !*dial.Bridged || dial.DialStatus != "completed" {
		t.Errorf("%+v", dial)
	}

	recording, err := twilio.ParseRecording(url.Values{"AccountSid": {ac}, "CallSid": {ca}, "RecordingSid": {re}, "RecordingStatus": {"completed"}, "RecordingDuration": {"12"}, "RecordingChannels": {"2"}, "RecordingStartTime": {"Tue, 31 Aug 2010 20:36:28 +0000"}, "ErrorCode": {"0"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(twilio.RecordingForm{AccountSID: ac, CallSID: ca, RecordingSID: re, Status: "completed", DurationSeconds: ptr(12), Channels: 2, StartedAt: time.Date(2010, 8, 31, 20, 36, 28, 0, time.UTC)}, recording); diff != "" {
		t.Error(diff)
	}

	message, err := twilio.ParseMessage(url.Values{"AccountSid": {ac}, "MessageSid": {"MM" + hex32}, "From": {"+14158675310"}, "To": {"+61255501234"}, "Body": {"hi\x00 there\xff"}, "NumMedia": {"2"}, "MediaUrl0": {"https://api.twilio.com/a"}, "MediaContentType0": {"image/png"}, "MediaUrl1": {"https://api.twilio.com/b"}, "MessagingServiceSid": {mg}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(twilio.MessageForm{AccountSID: ac, MessageSID: "MM" + hex32, ServiceSID: mg, From: "+14158675310", To: "+61255501234", Body: "hi there\uFFFD", Media: []twilio.MediaRef{{URL: "https://api.twilio.com/a", ContentType: "image/png"}, {URL: "https://api.twilio.com/b"}}}, message); diff != "" {
		t.Error(diff)
	}

	status, err := twilio.ParseMessageStatus(url.Values{"AccountSid": {ac}, "MessageSid": {sm}, "MessageStatus": {"undelivered"}, "ErrorCode": {"30003"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(twilio.MessageStatusForm{AccountSID: ac, MessageSID: sm, Status: "undelivered", ErrorCode: 30003}, status); diff != "" {
		t.Error(diff)
	}

	record, err := twilio.ParseRecord(url.Values{"AccountSid": {ac}, "CallSid": {ca}, "RecordingUrl": {"https://api.twilio.com/2010-04-01/Accounts/" + ac + "/Recordings/" + re}, "RecordingDuration": {"7"}, "Digits": {"hangup"}})
	if err != nil {
		t.Fatal(err)
	}
	if record.RecordingSID != re || *record.DurationSeconds != 7 || record.Digits != "hangup" {
		t.Errorf("%+v", record)
	}

	room, err := twilio.ParseConference(url.Values{"AccountSid": {ac}, "ConferenceSid": {"CF" + hex32}, "StatusCallbackEvent": {"participant-leave"}, "SequenceNumber": {"4"}, "Hold": {"false"}, "ReasonParticipantLeft": {"participant_hung_up"}, "CallSid": {ca}})
	if err != nil {
		t.Fatal(err)
	}
	if room.Key() != "CF"+hex32+"/4" || *room.Hold || room.Reason != "participant_hung_up" {
		t.Errorf("%+v", room)
	}
}

func TestFormsRefuseWhatTwilioNeverSends(t *testing.T) {
	t.Parallel()
	good := url.Values{"AccountSid": {ac}, "CallSid": {ca}, "CallStatus": {"ringing"}}
	cases := map[string]struct{ why, name, value string }{
		"no account":        {why: "required", name: "AccountSid"},
		"no call":           {why: "required", name: "CallSid"},
		"no status":         {why: "required", name: "CallStatus"},
		"account of a call": {why: "kinds are told apart", name: "AccountSid", value: ca},
		"path as SID":       {why: "SIDs end up in URLs", name: "CallSid", value: "CA/../../" + hex32},
		"negative sequence": {why: "from 0", name: "SequenceNumber", value: "-5"},
		"huge duration":     {why: "fits an integer", name: "CallDuration", value: "99999999999999"},
		"no time":           {why: "RFC 2822", name: "Timestamp", value: "yesterday"},
		"endless number":    {why: "bounded", name: "From", value: strings.Repeat("1", 5000)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := url.Values{}
			for k := range good {
				v[k] = good[k]
			}
			v.Del(c.name)
			if c.value != "" {
				v.Set(c.name, c.value)
			}
			_, err := twilio.ParseLeg(v)
			e, ok := errs.As(err)
			if !ok || e.Code != errs.Invalid || !cmp.Equal(e.Field, []string{c.name}) {
				t.Fatalf("%s: %v", c.why, err)
			}
			if len(c.value) > 100 && strings.Contains(err.Error(), c.value) {
				t.Fatalf("the message repeats the value")
			}
		})
	}
	if _, err := twilio.ParseForm([]byte(strings.Repeat("a=1&", 400))); !errs.IsCode(err, errs.Invalid) {
		t.Errorf("400 fields: %v", err)
	}
	if _, err := twilio.ParseForm(make([]byte, twilio.MaxForm+1)); !errs.IsCode(err, errs.Invalid) {
		t.Errorf("a large form: %v", err)
	}
}

func TestOnlyTheFirstValueCounts(t *testing.T) {
	t.Parallel()
	v, err := twilio.ParseForm([]byte("AccountSid=" + ac + "&CallSid=" + ca + "&From=%2B61255501234&From=%2B19005550000&extra=x&CallDuration=-1"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := twilio.ParseCall(v)
	if err != nil || f.From != "+61255501234" || f.Param("extra") != "x" || f.Param("none") != "" {
		t.Fatalf("%+v, %v", f, err)
	}
	v.Set("extra", strings.Repeat("é", 1000))
	if f, _ := twilio.ParseCall(v); utf8.RuneCountInString(f.Param("extra")) != 256 {
		t.Fatal("an app's parameter is not cut")
	}
}

func FuzzForms(f *testing.F) {
	f.Add("AccountSid=" + ac + "&CallSid=" + ca + "&CallStatus=ringing&Timestamp=x&SequenceNumber=1")
	f.Add("AccountSid=" + ac + "&MessageSid=" + sm + "&From=a&To=b&NumMedia=99999999999&MediaUrl0=%00%ff")
	f.Add("%zz;&&==&a")
	f.Add("AccountSid[]=1&RecordingUrl=/&Confidence=NaN")
	f.Fuzz(func(t *testing.T, body string) {
		v, err := twilio.ParseForm([]byte(body))
		if err != nil {
			return
		}
		clean := func(s string) {
			if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
				t.Fatalf("%q is not fit for a database", s)
			}
		}
		if c, err := twilio.ParseCall(v); err == nil {
			clean(c.From + c.To + c.CallerName + c.Digits + c.Param("x"))
		}
		if m, err := twilio.ParseMessage(v); err == nil {
			clean(m.Body + m.From)
			if len(m.Media) > 10 {
				t.Fatal("too many files")
			}
		}
		_, _ = twilio.ParseDial(v)
		_, _ = twilio.ParseLeg(v)
		_, _ = twilio.ParseRecord(v)
		_, _ = twilio.ParseRecording(v)
		_, _ = twilio.ParseMessageStatus(v)
		_, _ = twilio.ParseConference(v)
	})
}
