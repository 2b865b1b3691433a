package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"switchboard/internal/app"
	"switchboard/internal/config"
	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/testkit"
	"switchboard/internal/testkit/stage"
)

// The server is killed in the middle of a text to many, twice: nobody gets it twice, and
// whoever was not taken yet gets it after the restart.
func TestATextToManyGoesToNobodyTwiceWhenTheServerIsKilled(t *testing.T) { // R136
	t.Parallel()
	const all = 2000
	var twilio *emulator.Emulator
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { twilio.ServeHTTP(w, r) }))
	defer front.Close()
	twilio = emulator.New(emulator.Options{BaseURL: front.URL, Parallel: true})
	twilio.Start()
	defer twilio.Stop()
	if err := twilio.AddAccount(stage.AccountSID, stage.AuthToken, emulator.Full); err != nil {
		t.Fatal(err)
	}
	sid, err := twilio.AddNumber(stage.AccountSID, emulator.NumberSpec{E164: officeNumber})
	if err != nil {
		t.Fatal(err)
	}
	port, dir, database := freePort(t), reachable(t), testkit.URL(t)
	p := &process{t: t, url: "http://127.0.0.1:" + strconv.Itoa(port)}
	p.env = []string{
		serverEnv + "=1", "HOST=127.0.0.1", "PORT=" + strconv.Itoa(port), "PRIVATE_ADDR=127.0.0.1:0", "PUBLIC_URL=" + p.url, "TWILIO_TEST=true",
		"TWILIO_BASE_URL=" + front.URL, "DATA_DIR=" + dir, "DATABASE_URL=" + database, "LOG_LEVEL=error",
	}
	var out bytes.Buffer
	c := config.Config{
		PublicURL: p.url, DataDir: dir, DatabaseURL: database, DatabaseMax: 4, BlobURL: "mem://", EventRetention: time.Hour, PostRetention: time.Hour, LogLevel: "error",
	}
	if err := app.Init(t.Context(), c, &out, "Acme", "boss@acme.test"); err != nil {
		t.Fatal(err)
	}
	_, invitation, _ := strings.Cut(strings.TrimSpace(out.String()), "invitation#")
	p.start()
	defer p.stop()
	who := demo.NewClient(p.url+"/graphql", "")
	defer who.Close()
	do := func(query string, vars demo.Vars, out any) {
		t.Helper()
		if err := who.Do(t.Context(), query, vars, out); err != nil {
			t.Fatal(err)
		}
	}
	var in struct {
		InvitationAccept struct{ Session struct{ AccessToken string } }
	}
	do(`mutation($t: String!) { invitationAccept(input: {token: $t, password: "correct horse battery"}) { session { accessToken } userErrors { code message } } }`, demo.Vars{"t": invitation}, &in)
	who = who.As(in.InvitationAccept.Session.AccessToken)
	var made struct {
		TwilioConnectionCreate struct{ PhoneNumber struct{ ID string } }
	}
	do(`mutation($i: TwilioConnectionCreateInput!) { twilioConnectionCreate(input: $i) { phoneNumber { id } userErrors { code field message } } }`,
		demo.Vars{"i": demo.Vars{"name": "Main", "accountSid": stage.AccountSID, "authToken": stage.AuthToken, "phoneNumber": officeNumber, "phoneNumberSid": sid}}, &made)
	do(`mutation($n: ID!) { phoneNumberUpdate(id: $n, input: {isEnabled: true}) { userErrors { code field message } } }`, demo.Vars{"n": made.TwilioConnectionCreate.PhoneNumber.ID}, nil)
	var bulk struct {
		BulkMessageCreate struct{ BulkMessage bulkView }
	}
	do(bulkMutation, demo.Vars{"i": demo.Vars{"name": "All", "body": "Hello", "ratePerSecond": 1000, "audience": demo.Vars{"recipients": asRecipients(mobiles(all))}}}, &bulk)

	handed := func() (n int) {
		for _, m := range twilio.Messages() {
			if m.Direction == "outbound-api" {
				n++
			}
		}
		return n
	}
	until := time.Now().Add(time.Minute)
	waitFor := func(what string, ok func() bool) {
		t.Helper()
		for tick := time.NewTicker(5 * time.Millisecond); !ok(); <-tick.C {
			if time.Now().After(until) {
				t.Fatalf("%s: after a minute %d are handed over", what, handed())
			}
		}
	}
	for _, n := range []int{150, 700} {
		waitFor(fmt.Sprintf("%d", n), func() bool { return handed() >= n })
		p.kill()
		p.start()
	}
	var seen struct{ BulkMessage bulkView }
	waitFor("the end", func() bool {
		do(`query($id: ID!) { bulkMessage(id: $id) { `+bulkFields+` } }`, demo.Vars{"id": bulk.BulkMessageCreate.BulkMessage.ID}, &seen)
		return seen.BulkMessage.Counts.Pending == 0
	})
	got := map[string]int{}
	for _, m := range twilio.Messages() {
		if got[m.To]++; got[m.To] > 1 {
			t.Errorf("%s got it twice", m.To)
		}
	}
	// Two batches may have been claimed at each death.
	if missing := all - len(got); missing > 2*2*200 {
		t.Errorf("%d did not get it", missing)
	}
	if seen.BulkMessage.Counts.Failed > 0 {
		t.Errorf("it stands at %+v", seen.BulkMessage.Counts)
	}
}
