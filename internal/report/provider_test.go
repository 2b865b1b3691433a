package report_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"switchboard/internal/access"
	"switchboard/internal/id"
	"switchboard/internal/report"
	"switchboard/internal/twilio"
)

// provider answers as Twilio's log does, with what it has.
type provider map[string]string

func (p provider) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	for prefix, what := range map[string]string{"CA": "Calls", "SM": "Messages"} {
		if strings.HasSuffix(r.URL.Path, "/"+what+".json") {
			var list []string
			for sid, body := range p {
				if strings.HasPrefix(sid, prefix) {
					list = append(list, body)
				}
			}
			return answer(200, `{"`+strings.ToLower(what)+`":[`+strings.Join(list, ",")+`]}`)
		}
	}
	return answer(404, `{"code":20404,"message":"not found","status":404}`)
}

// beside is the service where Twilio's log is this one.
func (s *stage) beside(log provider) *report.Service {
	s.Helper()
	client, err := twilio.NewClient(twilio.Options{AccountSID: "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", AuthToken: strings.Repeat("a", 32), Transport: twilio.NewTransport(twilio.TransportOptions{Next: log})})
	if err != nil {
		s.Fatal(err)
	}
	return report.New(report.Deps{DB: s.db, Client: func(context.Context, id.ID) (*twilio.Client, error) { return client, nil }})
}

func TestTwilioSLogIsSetBesideOurs(t *testing.T) { // R220
	t.Parallel()
	s := newStage(t)
	who := s.admin
	who.Permissions = access.SetOf(access.ConnectionManage, access.ReportView)
	at := stageNow.Add(-3 * time.Hour)
	sid := func(leg id.ID) string {
		x := fmt.Sprintf("CA%032x", leg.UUID())
		s.exec(`UPDATE call_leg SET twilio_sid = $2 WHERE id = $1`, leg, x)
		return x
	}
	of := s.ended("INBOUND", "+61491570156", at, 0, id.ID{})
	both, here := sid(s.leg(of, "CALLER", "+61255500001", at, 60)), sid(s.leg(of, "FORWARD", "+61491570157", at, 60))
	old := s.ended("INBOUND", "+61491570156", at.AddDate(0, 0, -5), 0, id.ID{}) // it began then for us, and lately for them
	late := sid(s.leg(old, "CALLER", "+61255500001", at.AddDate(0, 0, -5), 60))
	there := "CA" + strings.Repeat("e", 32)
	log := provider{}
	for _, x := range []string{both, late, there} {
		log[x] = fmt.Sprintf(`{"sid":%q,"status":"completed","duration":"60","start_time":%q,"from":"+61491570156","to":"+61255500001"}`, x, at.Format(time.RFC1123Z))
	}
	out, err := s.beside(log).ProviderLog(t.Context(), who, report.ProviderLogFilter{From: at.Add(-time.Hour), Until: stageNow, Kind: report.ProviderCalls, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]report.ProviderLogState{}
	for _, r := range out.Rows {
		got[r.TwilioSID] = r.State
	}
	if len(got) != 4 || got[both] != report.Matched || got[late] != report.Matched || got[here] != report.OnlyHere || got[there] != report.OnlyAtProvider {
		t.Errorf("the logs: %v", got)
	}
}

func TestWhatTheLogsDoNotAgreeOnIsNamed(t *testing.T) { // R220
	t.Parallel()
	s := newStage(t)
	who := s.admin
	who.Permissions = access.SetOf(access.ConnectionManage, access.ReportView)
	at := stageNow.Add(-3 * time.Hour)
	calls, messages := report.ProviderCalls, report.ProviderMessages
	s.texts(0, "+61491570156")
	cases := map[string]struct {
		kind   report.ProviderLogKind
		ours   string // beside a forwarded leg of a minute, or a message that was delivered in one part
		theirs string // beside its SID and time; "" where it is in no log of theirs
		want   string
	}{
		"the same call":           {calls, "", `"status":"completed","duration":"60"`, "MATCHED"},
		"to the second":           {calls, "", `"status":"completed","duration":"61"`, "MATCHED"},
		"how long":                {calls, "", `"status":"completed","duration":"75"`, "DIFFERENT DURATION 60/75"},
		"whether it was answered": {calls, "", `"status":"no-answer","duration":"60"`, "DIFFERENT STATUS ENDED/no-answer"},
		"whether it is over":      {calls, "status = 'IN_PROGRESS', ended_at = NULL, duration_seconds = NULL", `"status":"completed","duration":"60"`, "DIFFERENT STATUS IN_PROGRESS/completed"},
		"what a call costs":       {calls, "price_micros = 25200, price_currency = 'USD'", `"status":"completed","duration":"60","price":"-0.03","price_unit":"USD"`, "DIFFERENT PRICE 0.0252 USD/0.03 USD"},
		"a price of one alone":    {calls, "price_micros = 25200, price_currency = 'USD'", `"status":"completed","duration":"60"`, "MATCHED"},
		"length and price":        {calls, "price_micros = 25200, price_currency = 'USD'", `"status":"completed","duration":"9","price":"-0.0252","price_unit":"AUD"`, "DIFFERENT DURATION 60/9 PRICE 0.0252 USD/0.0252 AUD"},
		"the same message":        {messages, "price_micros = 7500, price_currency = 'USD'", `"status":"delivered","num_segments":"1","price":"-0.0075","price_unit":"USD"`, "MATCHED"},
		"another word for it":     {messages, "", `"status":"read","num_segments":"1"`, "MATCHED"},
		"a word that is new":      {messages, "", `"status":"pondered","num_segments":"1"`, "MATCHED"},
		"how far it came":         {messages, "", `"status":"undelivered","num_segments":"1"`, "DIFFERENT STATUS DELIVERED/undelivered"},
		"how many parts":          {messages, "", `"status":"delivered","num_segments":"3"`, "DIFFERENT SEGMENTS 1/3"},
		"what a message costs":    {messages, "price_micros = 7500, price_currency = 'USD'", `"status":"delivered","num_segments":"1","price":"-0.0079","price_unit":"USD"`, "DIFFERENT PRICE 0.0075 USD/0.0079 USD"},
		"a message of ours alone": {messages, "", "", "ONLY_HERE"},
	}
	log, name := provider{}, map[string]string{}
	of := s.ended("INBOUND", "+61491570156", at, 0, id.ID{})
	for what, c := range cases {
		table, prefix := "call_leg", "CA"
		var x id.ID
		if c.kind == calls {
			x = s.leg(of, "FORWARD", "+61491570157", at, 60)
		} else {
			table, x, prefix = "message", id.New(id.Message), "SM"
			s.exec(`INSERT INTO message (organization_id, id, thread_id, direction, status, body, from_number, to_number, at, updated_at, num_segments)
				SELECT $1, $2, t.id, 'OUTBOUND', 'DELIVERED', 'x', '+1', '+2', $3, $3, 1 FROM sms_thread t WHERE t.organization_id = $1`, s.org, x, at)
		}
		sid := fmt.Sprintf("%s%032x", prefix, x.UUID())
		name[sid] = what
		s.exec(`UPDATE `+table+` SET twilio_sid = $2 WHERE id = $1`, x, sid)
		if c.ours != "" {
			s.exec(`UPDATE `+table+` SET `+c.ours+` WHERE id = $1`, x)
		}
		if c.theirs != "" {
			log[sid] = fmt.Sprintf(`{"sid":%q,"start_time":%q,"date_created":%[2]q,"from":"+61491570156","to":"+61255500001",%s}`, sid, at.Format(time.RFC1123Z), c.theirs)
		}
	}
	stray := "SM" + strings.Repeat("e", 32)
	name[stray] = "a message of theirs alone"
	log[stray] = fmt.Sprintf(`{"sid":%q,"date_created":%q,"from":"+1","to":"+2","status":"sent"}`, stray, at.Format(time.RFC1123Z))
	svc := s.beside(log)
	for kind, counts := range map[report.ProviderLogKind]string{calls: "3 matched, 5 different, 0 here, 0 there", messages: "3 matched, 3 different, 1 here, 1 there"} {
		f := report.ProviderLogFilter{From: at.Add(-time.Hour), Until: stageNow, Kind: kind, Limit: 100}
		out, err := svc.ProviderLog(t.Context(), who, f)
		if err != nil {
			t.Fatal(err)
		}
		got, want := map[string]string{}, map[string]string{}
		for what, c := range cases {
			if c.kind == kind {
				want[what] = c.want
			}
		}
		if kind == messages {
			want[name[stray]] = "ONLY_AT_PROVIDER"
		}
		for _, r := range out.Rows {
			text := string(r.State)
			slices.SortFunc(r.Differences, func(a, b report.ProviderLogDifference) int { return cmp.Compare(a.Field, b.Field) })
			for _, d := range r.Differences {
				text += " " + string(d.Field) + " " + d.Ours + "/" + d.Theirs
			}
			got[name[r.TwilioSID]] = text
			if here := !r.LegID.IsZero() && r.CallID == of || !r.MessageID.IsZero(); here != (r.State != report.OnlyAtProvider) {
				t.Errorf("%s leads to %+v", name[r.TwilioSID], r)
			}
		}
		if d := gocmp.Diff(want, got); d != "" {
			t.Errorf("%s side by side (-want +got):\n%s", kind, d)
		}
		if text := fmt.Sprintf("%d matched, %d different, %d here, %d there", out.Matched, out.Different, out.OnlyHere, out.OnlyAtProvider); text != counts || !out.IsComplete {
			t.Errorf("%s: %s, want %s", kind, text, counts)
		}
		f.OnlyDifferences = true
		if odd, err := svc.ProviderLog(t.Context(), who, f); err != nil || len(odd.Rows) != len(out.Rows)-out.Matched || odd.Matched != out.Matched {
			t.Errorf("%s: %d differ of %d, %v", kind, len(odd.Rows), len(out.Rows), err)
		}
	}
}
