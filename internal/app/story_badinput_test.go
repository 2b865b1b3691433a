package app_test

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/vektah/gqlparser/v2/ast"

	"switchboard/graph"
	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/testkit"
	"switchboard/internal/testkit/stage"
)

// send posts a form to the server and gives the status.
func (s *story) send(address, signature, token string, form url.Values) int {
	s.t.Helper()
	address, _, _ = strings.Cut(address, "#")
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	s.Must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Twilio-Signature", signature)
	if token != "" {
		r.Header.Set("I-Twilio-Idempotency-Token", token)
	}
	res, err := s.Admin.HTTP.Do(r)
	s.Must(err)
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// signed posts a form as the account would.
func (s *story) signed(address string, form url.Values) int {
	s.t.Helper()
	address, _, _ = strings.Cut(address, "#")
	return s.send(address, emulator.Sign(stage.AuthToken, address, form), "", form)
}

// rowsBut is the digest without what keeps the posts themselves.
func (s *story) rowsBut(tables ...string) map[string]string {
	s.t.Helper()
	d := (&owned{story: s}).digest()
	maps.DeleteFunc(d, func(table, _ string) bool { return slices.Contains(tables, table) })
	return d
}

// A signature has no time and no nonce: whoever captured a post can send it for ever.
func TestEveryPostOfACallReplayedAnHourLaterHasNoEffect(t *testing.T) {
	g := newGroup(t, demo.Vars{"routing": demo.Vars{"ringTimeoutSeconds": 15}, "voicemail": demo.Vars{"isEnabled": true}, "recording": demo.Vars{"incoming": "FROM_ANSWER"}})
	answered := g.dial(customer, officeNumber)
	g.answer(g.web)
	g.Pass(secs(5))
	g.hangUp(answered)
	unanswered := g.dial(customer, officeNumber)
	g.Pass(secs(16))
	g.speakAndHangUp(unanswered, secs(5))
	g.text(customer, officeNumber, "Hello")
	g.sendAs(g.Admin, demo.Vars{"to": customer, "body": "Hello yourself"}, nil)
	g.Settle()
	g.Clock.Advance(time.Hour)
	g.Settle()
	before := g.rowsBut("twilio_post")
	other := &story{Stage: g.Another("Other"), t: t}
	theirs := other.Number("+12025550111", nil)
	var hooks struct {
		PhoneNumber struct{ Webhooks struct{ VoiceURL string } }
	}
	other.Do(`query($n: ID!) { phoneNumber(id: $n) { webhooks { voiceUrl } } }`, demo.Vars{"n": theirs}, &hooks)
	prefix := strings.Join(strings.Split(hooks.PhoneNumber.Webhooks.VoiceURL, "/")[:6], "/") // scheme, host, /twilio/connection/key

	replayed, kinds := 0, map[string]int{}
	for _, d := range g.Emulator.Deliveries() {
		if d.Kind == emulator.KindAudio || d.Kind == emulator.KindMedia || d.Method != http.MethodPost {
			continue
		}
		for claim, token := range map[string]string{"as it was": d.Idempotency, "without the token": "", "with another token": "made-up-" + d.Idempotency} {
			if status := g.send(d.URL, d.Signature, token, d.Form); status/100 != 2 {
				t.Errorf("%s %s replayed %s is answered %d", d.Kind, d.Event, claim, status)
			}
			g.Must(g.App.Jobs.Drain(t.Context()))
			if after := g.rowsBut("twilio_post"); !maps.Equal(before, after) {
				t.Errorf("%s %s replayed %s has an effect: %s", d.Kind, d.Event, claim, different(before, after))
				before = after
			}
		}
		parts := strings.SplitN(d.URL, "/", 7)
		if status := g.send(prefix+"/"+parts[6], d.Signature, d.Idempotency, d.Form); status != http.StatusForbidden {
			t.Errorf("%s %s at another organization's address is answered %d", d.Kind, d.Event, status)
		}
		replayed++
		kinds[d.Kind]++
	}
	if replayed < 20 || len(kinds) != 5 {
		t.Errorf("only %d posts were replayed: %v", replayed, kinds)
	}
}

func TestNewsOfWhatNobodyKnowsHasNoEffect(t *testing.T) {
	g := newGroup(t, nil)
	sid := g.dial(customer, officeNumber)
	g.answer(g.web)
	g.hangUp(sid)
	g.Settle()
	before := g.rowsBut("twilio_post")
	unknown := "CA" + strings.Repeat("0", 32)
	for _, d := range g.Emulator.Deliveries() {
		if d.Kind != emulator.KindStatus {
			continue
		}
		form := maps.Clone(d.Form)
		form["CallSid"] = []string{unknown}
		// The path still names our call and leg, so that only the SID is strange; then neither is known.
		elsewhere := anyID.ReplaceAllStringFunc(d.URL, func(x string) string {
			if strings.HasPrefix(x, "conn_") {
				return x
			}
			return strings.SplitN(x, "_", 2)[0] + "_01h455vb4pex5vsknk084sn02q"
		})
		for _, address := range []string{elsewhere} {
			if status := g.signed(address, form); status/100 == 5 || status == 403 {
				t.Errorf("%s of an unknown call is answered %d", d.Event, status)
			}
		}
	}
	if after := g.rowsBut("twilio_post"); !maps.Equal(before, after) {
		t.Errorf("something changed: %s", different(before, after))
	}
	g.Must(g.App.Jobs.RunSweeps(t.Context()))
}

// Whatever people and carriers put into a text comes through or is refused; it never
// fails the server.
func TestTextsWithEveryKindOfCharacterAreKeptOrRefused(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, nil)
	s.text(customer, officeNumber, "first")
	var sms emulator.Delivery
	for _, d := range s.Emulator.Deliveries() {
		if d.Kind == emulator.KindMessage {
			sms = d
		}
	}
	for n, body := range []string{"a\x00b", "\xff\xfe", "caf\xc3", "\u202egnp.exe", "{{7*7}}", "'; DROP TABLE message; --", "<script>alert(1)</script>", "\ud7ff\U0010ffff", strings.Repeat("é", 1600)} {
		form := maps.Clone(sms.Form)
		form["Body"] = []string{body}
		form["MessageSid"] = []string{"SM" + strings.Repeat("0", 30) + string(rune('1'+n/10)) + string(rune('0'+n%10))}
		form["SmsMessageSid"], form["SmsSid"] = form["MessageSid"], form["MessageSid"]
		if status := s.signed(sms.URL, form); status/100 != 2 && status != 400 {
			t.Errorf("%q is answered %d", body, status)
		}
	}
	list := s.threads(s.Admin)
	if len(list) != 1 || len(list[0].Messages.Nodes) < 7 {
		t.Errorf("the thread is %+v", list)
	}
}

// A post that is cut off on its way is not taken.
func TestATruncatedPostIsRefused(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, nil)
	s.text(customer, officeNumber, "first")
	d := s.Emulator.Deliveries()[0]
	u, err := url.Parse(d.URL)
	s.Must(err)
	s.Settle()
	before := s.rowsBut()
	c, err := net.Dial("tcp", u.Host)
	s.Must(err)
	defer c.Close()
	_, err = io.WriteString(c, "POST "+u.Path+" HTTP/1.1\r\nHost: "+u.Host+"\r\nContent-Type: application/x-www-form-urlencoded\r\nX-Twilio-Signature: "+d.Signature+
		"\r\nContent-Length: 5000\r\n\r\nAccountSid=AC")
	s.Must(err)
	s.Must(c.(*net.TCPConn).CloseWrite())
	answer, _ := io.ReadAll(c)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
		t.Errorf("a truncated post is answered %q", answer)
	}
	if after := s.rowsBut(); !maps.Equal(before, after) {
		t.Errorf("something is stored: %s", different(before, after))
	}
}

// Every argument of every root field, filled with what nobody should send: the answer
// says what is wrong, and it is never our fault.
func TestNoArgumentMakesTheServerFail(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, nil)
	a := asking{schema: graph.Schema()}
	for what, x := range map[string]struct {
		text   string
		number int
	}{
		"NUL":              {"a\x00b", 0},
		"long":             {strings.Repeat("x", 20_000), 2147483647},
		"SQL":              {`' OR 1=1; -- %_\`, -1},
		"right to left":    {"\u202e\u2066\ufeff", -2147483648},
		"empty":            {"", 1},
		"a lone surrogate": {"\ufffd\U0010ffff", 101},
	} {
		for field, f := range roots(a.schema) {
			if field == "Mutation.sessionEnd" || x.text == "" && strings.HasPrefix(field, "Subscription.") {
				continue // the one ends the session; an empty cursor is none, and the stream waits
			}
			vars := demo.Vars{}
			for _, arg := range f.Arguments {
				vars[arg.Name] = a.spoiled(arg.Type, x.text, x.number, 0)
			}
			answer := s.answered(s.Admin, a.operation(field, f), vars)
			if strings.Contains(answer, `"INTERNAL"`) || strings.Contains(answer, `UNAVAILABLE"`) || strings.Contains(answer, "SQLSTATE") {
				t.Errorf("%s with %s: %.400s", field, what, answer)
			}
		}
	}
}

// spoiled is a value of a type with everything optional in it, made of one text and number.
func (a asking) spoiled(t *ast.Type, text string, number, depth int) any {
	if t.Elem != nil {
		return []any{a.spoiled(t.Elem, text, number, depth)}
	}
	def := a.schema.Types[t.Name()]
	switch {
	case def.Kind == ast.Enum:
		return def.EnumValues[0].Name
	case def.Kind == ast.InputObject:
		v := map[string]any{}
		for _, f := range def.Fields {
			v[f.Name] = a.spoiled(f.Type, text, number, depth+1)
		}
		return v
	case t.Name() == "Int":
		return number
	case t.Name() == "Boolean":
		return false
	}
	return text
}

// R001-R004: the four values are checked, and what is wrong is named.
func TestConnectingNamesTheValueThatIsWrong(t *testing.T) {
	s := newStory(t)
	s.Must(s.Emulator.AddAccount(stage.AccountSID, stage.AuthToken, emulator.Full))
	sid, err := s.Emulator.AddNumber(stage.AccountSID, emulator.NumberSpec{E164: officeNumber})
	s.Must(err)
	const elsewhere = "ACcccccccccccccccccccccccccccccccc"
	s.Must(s.Emulator.AddAccount(elsewhere, stage.AuthToken, emulator.Full))
	foreign, err := s.Emulator.AddNumber(elsewhere, emulator.NumberSpec{E164: "+12025550150"})
	s.Must(err)
	before := s.rowsBut("audit_entry")
	right := demo.Vars{"name": "X", "accountSid": stage.AccountSID, "authToken": stage.AuthToken, "phoneNumber": officeNumber, "phoneNumberSid": sid}
	for claim, x := range map[string]struct{ field, value, says string }{
		"a Messaging Service for the number (R003)": {"phoneNumberSid", "MG" + strings.Repeat("1", 32), "Messaging Service"},
		"a call for the number (R002)":              {"phoneNumberSid", "CA" + strings.Repeat("1", 32), "PN"},
		"a number for the account (R002)":           {"accountSid", sid, "AC"},
		"an API key for the account (R002)":         {"accountSid", "SK" + strings.Repeat("1", 32), "AC"},
		"a national number (R002)":                  {"phoneNumber", "555-0100", "+"},
		"a wrong token (R004)":                      {"authToken", strings.Repeat("f", 32), "token"},
		"another account's number SID (R004)":       {"phoneNumberSid", foreign, ""},
		"another number than the SID's (R004)":      {"phoneNumber", "+12025550150", ""},
	} {
		input := maps.Clone(right)
		input[x.field] = x.value
		err := s.Admin.Do(t.Context(), `mutation($i: TwilioConnectionCreateInput!) { twilioConnectionCreate(input: $i) { twilioConnection { id } userErrors { code field message } } }`, demo.Vars{"i": input}, nil)
		if err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v; want it to name %q", claim, err, x.says)
		} else if strings.Contains(err.Error(), stage.AuthToken) { // R005
			t.Errorf("%s: the answer holds the token", claim)
		}
		if after := s.rowsBut("audit_entry"); !maps.Equal(before, after) {
			t.Errorf("%s: half a connection is stored: %s", claim, different(before, after))
		}
	}
}

// The database goes away and comes back: typed answers, no panic, nothing acknowledged
// that is not kept, and everything works again by itself.
func TestADeadDatabaseIsSaidAndOutlived(t *testing.T) {
	s := newStory(t)
	line := s.Number(officeNumber, nil)
	s.text(customer, officeNumber, "before")
	var sms emulator.Delivery
	for _, d := range s.Emulator.Deliveries() {
		if d.Kind == emulator.KindMessage {
			sms = d
		}
	}
	var name string
	s.Must(s.App.DB.WorkerPool().QueryRow(t.Context(), `SELECT current_database()`).Scan(&name))
	admin, err := pgx.Connect(t.Context(), testkit.AdminURL(t))
	s.Must(err)
	defer admin.Close(context.WithoutCancel(t.Context()))
	quoted := pgx.Identifier{name}.Sanitize()
	_, err = admin.Exec(t.Context(), `ALTER DATABASE `+quoted+` ALLOW_CONNECTIONS false`)
	s.Must(err)
	_, err = admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, name)
	s.Must(err)

	for query, vars := range map[string]demo.Vars{
		`{ viewer { user { id } } }`: nil,
		`{ calls { nodes { id } } }`: nil,
		`mutation($n: ID!) { phoneNumberUpdate(id: $n, input: {name: "X"}) { userErrors { code } } }`: {"n": line},
	} {
		if answer := s.answered(s.Admin, query, vars); !strings.Contains(answer, `"UNAVAILABLE"`) || strings.Contains(answer, "SQLSTATE") || strings.Contains(answer, name) {
			t.Errorf("%s is answered %s", query, answer)
		}
	}
	form := maps.Clone(sms.Form)
	form["MessageSid"] = []string{"SM" + strings.Repeat("9", 32)}
	form["SmsMessageSid"], form["SmsSid"], form["Body"] = form["MessageSid"], form["MessageSid"], []string{"while dead"}
	if status := s.signed(sms.URL, form); status != http.StatusServiceUnavailable {
		t.Errorf("a post is answered %d: it must not be acknowledged", status)
	}
	if status, _, _ := s.fetch("/readyz", "", nil); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz says %d", status)
	}
	if status, _, _ := s.fetch("/healthz", "", nil); status != http.StatusOK {
		t.Errorf("/healthz says %d: the process lives", status)
	}
	_, err = admin.Exec(t.Context(), `ALTER DATABASE `+quoted+` ALLOW_CONNECTIONS true`)
	s.Must(err)
	s.Must(s.Admin.Until(t.Context(), "the server works again", func(context.Context) (bool, error) {
		status, _, _ := s.fetch("/readyz", "", nil)
		return status == http.StatusOK, nil
	}))
	s.Must(s.Admin.Until(t.Context(), "the post is taken", func(context.Context) (bool, error) {
		return s.signed(sms.URL, form)/100 == 2, nil
	}))
	s.Must(s.Admin.Until(t.Context(), "every sweep runs", func(ctx context.Context) (bool, error) {
		return s.App.Jobs.RunSweeps(ctx) == nil, nil
	}))
	s.Settle()
	if list := s.threads(s.Admin); len(list) != 1 || len(list[0].Messages.Nodes) != 2 || list[0].Messages.Nodes[0].Body != "while dead" {
		t.Errorf("afterwards the inbox shows %+v", list)
	}
	after := s.cursor()
	s.text(customer, officeNumber, "after")
	if told := types(s.facts(s.Admin, after, "MESSAGE_RECEIVED")); len(told) != 1 {
		t.Errorf("afterwards events say %v", told)
	}
}
