package bench_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/testkit/stage"
)

// recipients is how many a bulk message of the benchmark has: the most there may be.
const recipients = 10_000

// production is the server as `switchboard serve` starts it, in a process of its own
// with a PostgreSQL of its own under it. Its Twilio is an emulator in this process,
// which paces nothing.
type production struct {
	process            *os.Process
	url, number, voice string
	admin              *demo.Client
	twilio             *emulator.Emulator
	accountSID         string
}

func startProduction(t testing.TB) *production {
	t.Helper()
	folder, err := os.MkdirTemp("", "switchboard-bench-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	must(t, os.Chmod(folder, 0o755)) // PostgreSQL runs as somebody else when we are root
	binary := filepath.Join(folder, "switchboard")
	if out, err := exec.Command("go", "build", "-o", binary, "switchboard").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	p := &production{accountSID: stage.AccountSID, number: ours}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.twilio.ServeHTTP(w, r) }))
	t.Cleanup(front.Close)
	p.twilio = emulator.New(emulator.Options{BaseURL: front.URL, Parallel: true, Keep: 1000, KeepMessages: 2000})
	p.twilio.Start()
	t.Cleanup(p.twilio.Stop)
	must(t, p.twilio.AddAccount(p.accountSID, stage.AuthToken, emulator.Full))
	sid, err := p.twilio.AddNumber(p.accountSID, emulator.NumberSpec{E164: p.number})
	must(t, err)

	at, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := at.Addr().(*net.TCPAddr).Port
	must(t, at.Close())
	p.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	env := append(os.Environ(), "HOST=127.0.0.1", fmt.Sprintf("PORT=%d", port), "PRIVATE_ADDR=127.0.0.1:0", "PUBLIC_URL="+p.url, "TWILIO_TEST=true",
		"TWILIO_BASE_URL="+front.URL, "DATA_DIR="+folder, "DATABASE_URL=", "GOGC=", "GOMEMLIMIT=", "LOG_LEVEL=error")
	first := exec.Command(binary, "init", "--organization", "Acme", "--email", "boss@acme.test")
	first.Env = env
	said, err := first.CombinedOutput()
	if err != nil {
		t.Fatalf("init: %v\n%s", err, said)
	}
	_, invitation, _ := strings.Cut(strings.TrimSpace(string(said)), "invitation#")
	serve := exec.Command(binary, "serve")
	serve.Env, serve.Stderr = env, os.Stderr
	must(t, serve.Start())
	t.Cleanup(func() {
		_ = serve.Process.Signal(syscall.SIGTERM)
		_ = serve.Wait()
	})
	p.process = serve.Process
	until := time.Now().Add(time.Minute)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		if res, err := http.Get(p.url + "/readyz"); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(until) {
			t.Fatal("the server is not ready after a minute")
		}
	}
	who := demo.NewClient(p.url+"/graphql", "")
	t.Cleanup(who.Close)
	var in struct {
		InvitationAccept struct{ Session struct{ AccessToken string } }
	}
	must(t, who.Do(t.Context(), `mutation($t: String!) { invitationAccept(input: {token: $t, password: "correct horse battery"}) { session { accessToken } userErrors { code message } } }`,
		demo.Vars{"t": invitation}, &in))
	p.admin = who.As(in.InvitationAccept.Session.AccessToken)
	var made struct {
		TwilioConnectionCreate struct{ PhoneNumber struct{ ID string } }
	}
	must(t, p.admin.Do(t.Context(), `mutation($i: TwilioConnectionCreateInput!) { twilioConnectionCreate(input: $i) { phoneNumber { id } userErrors { code field message } } }`,
		demo.Vars{"i": demo.Vars{"name": "Bench", "accountSid": p.accountSID, "authToken": stage.AuthToken, "phoneNumber": p.number, "phoneNumberSid": sid}}, &made))
	var number struct {
		PhoneNumberUpdate struct {
			PhoneNumber struct{ Webhooks struct{ VoiceURL string } }
		}
	}
	must(t, p.admin.Do(t.Context(), `mutation($n: ID!) { phoneNumberUpdate(id: $n, input: {isEnabled: true}) { phoneNumber { webhooks { voiceUrl } } userErrors { code field message } } }`,
		demo.Vars{"n": made.TwilioConnectionCreate.PhoneNumber.ID}, &number))
	p.voice = path(t, number.PhoneNumberUpdate.PhoneNumber.Webhooks.VoiceURL)
	return p
}

// used is what the server and its PostgreSQL have used of CPU so far, and this process
// with the emulator.
func (p *production) used() (server, postgres, here time.Duration) {
	all := processes()
	for pid, x := range all {
		for at := x.parent; x.name == "postgres" && at > 1; at = all[at].parent {
			if at == p.process.Pid {
				postgres += all[pid].used
				break
			}
		}
	}
	return all[p.process.Pid].used, postgres, all[os.Getpid()].used
}

// BenchmarkBulk has the server send one text to 10,000 people as fast as it goes: from
// when it begins until the last is handed over, callbacks and all. MB-before and MB-peak
// are the server's. On a machine that does something else besides, look at the CPU.
func BenchmarkBulk(b *testing.B) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		b.Skip("there is no /proc to read a process's memory from")
	}
	p := startProduction(b)
	l := &laptop{process: p.process}
	list := make([]demo.Vars, recipients)
	for i := range list {
		list[i] = demo.Vars{"to": fmt.Sprintf("+1202556%04d", i)}
	}
	var rates, created, peaks []float64
	var server, postgres, here time.Duration
	before := l.resident(b, "VmRSS")
	for round := 0; b.Loop(); round++ {
		must(b, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.process.Pid), []byte("5"), 0))
		begun := time.Now()
		var made struct {
			BulkMessageCreate struct {
				BulkMessage struct{ ID string }
			}
		}
		must(b, p.admin.Do(b.Context(), `mutation($i: BulkMessageCreateInput!) { bulkMessageCreate(input: $i) { bulkMessage { id } userErrors { code field message } } }`,
			demo.Vars{"i": demo.Vars{"name": "Bench", "body": fmt.Sprintf("Hello, this is round %d.", round), "ratePerSecond": 1000, "audience": demo.Vars{"recipients": list}}}, &made))
		created = append(created, time.Since(begun).Seconds())
		s0, d0, h0 := p.used()
		var seen struct {
			BulkMessage struct {
				Status             string
				StopReason         *string
				StartedAt, EndedAt *time.Time
				Counts             struct{ Pending, Waiting, Skipped, Failed, Unknown, Delivered int }
			}
		}
		tick := time.NewTicker(250 * time.Millisecond)
		for seen.BulkMessage.EndedAt == nil {
			<-tick.C
			must(b, p.admin.Do(b.Context(), `query($id: ID!) { bulkMessage(id: $id) { status stopReason startedAt endedAt counts { pending waiting skipped failed unknown delivered } } }`,
				demo.Vars{"id": made.BulkMessageCreate.BulkMessage.ID}, &seen))
			if seen.BulkMessage.Status == "PAUSED" || time.Since(begun) > 3*time.Minute {
				b.Fatalf("it does not go on: %+v", seen.BulkMessage)
			}
		}
		tick.Stop()
		s1, d1, h1 := p.used()
		server, postgres, here = server+s1-s0, postgres+d1-d0, here+h1-h0
		if c := seen.BulkMessage.Counts; c.Skipped+c.Failed+c.Unknown+c.Pending+c.Waiting > 0 {
			b.Fatalf("it ends with %+v", c)
		}
		b.Logf("delivered when the last was handed over: %d", seen.BulkMessage.Counts.Delivered)
		rates = append(rates, recipients/seen.BulkMessage.EndedAt.Sub(*seen.BulkMessage.StartedAt).Seconds())
		peaks = append(peaks, l.resident(b, "VmHWM"))
	}
	each := func(d time.Duration) float64 {
		return float64(d.Microseconds()) / 1000 / recipients / float64(len(rates))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(rates), "messages/s")
	b.ReportMetric(each(server), "ms-server")
	b.ReportMetric(each(postgres), "ms-postgres")
	b.ReportMetric(each(here), "ms-emulator")
	b.ReportMetric(median(created), "s-create")
	b.ReportMetric(before, "MB-before")
	b.ReportMetric(slices.Max(peaks), "MB-peak")
	b.ReportMetric(l.resident(b, "VmRSS"), "MB-after")
}

// Inbound messages at nominal load, and for how long the flood of ten times that lasts.
const (
	nominalInbound = 10 // a second
	floodFor       = 30 * time.Second
)

// BenchmarkInboundFlood posts inbound texts of ever new people, signed as Twilio does,
// at ten times the nominal rate: each is sent at its time, whether or not the ones
// before it were answered, and its wait begins then.
func BenchmarkInboundFlood(b *testing.B) {
	p := startProduction(b)
	sign := &ringing{public: p.url, accountSID: p.accountSID, token: stage.AuthToken, number: p.number}
	target := strings.TrimSuffix(p.voice, "voice") + "sms"
	const each = time.Second / (10 * nominalInbound)
	for round := 0; b.Loop(); round++ {
		n := int(floodFor / each)
		posts := make(chan int, n)
		took := make([]time.Duration, n)
		begun := time.Now()
		var wait sync.WaitGroup
		for range connections {
			c := dial(b, strings.TrimPrefix(p.url, "http://"))
			wait.Go(func() {
				for i := range posts {
					sid := twilioSID("SM", time.Now().Unix()<<20|int64(round)<<16|int64(i))
					from := fmt.Sprintf("+1202557%04d", i)
					form := url.Values{"AccountSid": {p.accountSID}, "ApiVersion": {"2010-04-01"}, "MessageSid": {sid}, "SmsSid": {sid}, "SmsMessageSid": {sid}, "From": {from},
						"To": {sign.number}, "Body": {fmt.Sprintf("Is somebody there? %d", i)}, "NumMedia": {"0"}, "NumSegments": {"1"}, "SmsStatus": {"received"}}
					status, err := c.do(sign.signed(target, form))
					took[i] = time.Since(begun.Add(time.Duration(i) * each))
					if err != nil || status != http.StatusOK && status != http.StatusNoContent {
						b.Errorf("post %d: %d %v %s", i, status, err, c.body.Bytes())
						return
					}
				}
			})
		}
		tick := time.NewTicker(each)
		for i := range n {
			posts <- i
			<-tick.C
		}
		tick.Stop()
		close(posts)
		wait.Wait()
		slices.Sort(took)
		b.ReportMetric(float64(took[n/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(took[n*99/100].Microseconds())/1000, "p99-ms")
		b.ReportMetric(float64(took[n-1].Microseconds())/1000, "max-ms")
		b.ReportMetric(float64(n)/time.Since(begun).Seconds(), "posts/s")
	}
	b.ReportMetric(0, "ns/op")
}
