package app_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/internal/config"
	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/testkit/stage"
)

// The marked numbers: the customer's own and the fieldworker's.
const (
	taintedCustomer    = "+12025550171"
	taintedFieldworker = "+12025550172"
)

// marks are the digits of a number as it could show in any spelling.
func marks(e164 string) []string {
	d := strings.TrimPrefix(e164, "+1")
	return []string{d, d[:3] + "-" + d[3:6] + "-" + d[6:], d[3:6] + "-" + d[6:], "(" + d[:3] + ") " + d[3:6] + "-" + d[6:]}
}

func tainted(text, e164 string) bool {
	return slices.ContainsFunc(marks(e164), func(m string) bool { return strings.Contains(text, m) })
}

// tap keeps what goes through it.
type tap struct {
	mu  sync.Mutex // guards all
	all []string
}

func (t *tap) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, string(b))
	return len(b), nil
}

func (t *tap) take() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.all
	t.all = nil
	return out
}

// taint is a masked booking, with every outgoing byte kept.
type taint struct {
	*story
	logs, rest   *tap
	fay          stage.Person // the fieldworker
	office, mute stage.Person // who see contacts, and who do not
	van          string       // the fieldworker's device
	line         string
	record       string
	seen         int    // deliveries checked
	before       string // cursor
}

// allowed says where a marked number may stand: the one noun or parameter that
// names the phone to be rung, and nothing else.
type allowed struct {
	noun string // of a <Number>
	to   string // the To of a call that we make, and of the list in which we look for it
}

func newTaint(t *testing.T) *taint {
	t.Helper()
	x := &taint{logs: &tap{}, rest: &tap{}}
	var proxy *httptest.Server
	x.story = newStory(t, stage.WithLog(x.logs), stage.WithConfig(func(c *config.Config) {
		to, err := url.Parse(c.TwilioBaseURL)
		if err != nil {
			t.Fatal(err)
		}
		forward := httputil.NewSingleHostReverseProxy(to)
		proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, _ = x.rest.Write([]byte(r.Method + " " + r.URL.RequestURI() + "\n" + string(body)))
			r.Body = io.NopCloser(bytes.NewReader(body))
			forward.ServeHTTP(w, r)
		}))
		t.Cleanup(proxy.Close)
		c.TwilioBaseURL = proxy.URL
	}))
	x.Emulator.SetBaseURL(proxy.URL) // recordings are fetched through it too
	branch := x.Branch("Office")
	x.line = x.Number(officeNumber, demo.Vars{"branchId": branch, "recording": demo.Vars{"incoming": "FROM_ANSWER_DUAL", "outgoing": "FROM_ANSWER_DUAL"}})
	x.fay = x.User("fay", "FIELDWORKER", taintedFieldworker)
	x.change(x.fay, demo.Vars{"isFieldworker": true})
	x.van = x.Device(x.fay, "Van")
	x.office = x.User("olga", "OFFICE", "", branch)
	x.Device(x.office, "Desk")
	x.mute = x.User("max", "OFFICE", "", branch)
	var role struct{ RoleCreate struct{ Role ref } }
	x.Do(`mutation { roleCreate(input: {name: "Log reader", permissions: [CALL_VIEW, LIVE_VIEW, ROUTE_EXPLAIN, VOICEMAIL_LISTEN], visibility: ORGANIZATION}) { role { id } userErrors { code field message } } }`, nil, &role)
	x.change(x.mute, demo.Vars{"roleId": role.RoleCreate.Role.ID})
	x.mute.Client = x.SignIn("max")
	contact := x.contact("CUSTOMER", "Carl", taintedCustomer, nil)
	var made struct{ RecordCreate struct{ Record ref } }
	x.Do(`mutation($i: RecordCreateInput!) { recordCreate(input: $i) { record { id } userErrors { code field message } } }`,
		demo.Vars{"i": demo.Vars{"kind": "BOOKING", "title": "Lawn", "contactId": contact, "assignedUserId": x.fay.ID}}, &made)
	x.record = made.RecordCreate.Record.ID
	var pair struct {
		MaskedPairCreate struct{ MaskedPair struct{ ID string } }
	}
	x.Do(`mutation($r: ID!) { maskedPairCreate(input: {recordId: $r}) { maskedPair { id isActive warnings phoneNumber { e164 } user { id name } contact { id name } record { id } } userErrors { code field message } } }`,
		demo.Vars{"r": x.record}, &pair)
	x.Settle()
	x.rest.take()
	x.logs.take()
	x.seen, x.before = len(x.Emulator.Deliveries()), x.cursor()
	return x
}

const taintQuery = `{
	calls(first: 10) { nodes { ` + callFields + ` maskedPair { id warnings user { id name phones { e164 } } contact { id name phones { e164 } } phoneNumber { e164 } } } }
	maskedPairs(first: 5) { nodes { id user { id name phones { e164 } } contact { id phones { e164 } } record { id title contact { phones { e164 } } } } }
	contacts(first: 5) { nodes { id name phones { e164 } } }
	records(first: 5) { nodes { id title contact { phones { e164 } } assignedUser { phones { e164 } } } }
}`

const taintPublicQuery = `{ calls(first: 10) { nodes { ` + callFields + ` maskedPair { id } } } liveCalls(first: 5) { nodes { ` + callFields + ` } } voicemails(first: 5) { nodes { ` + voicemailFields + ` } } }`

var numberNoun = regexp.MustCompile(`<Number[^>]*>([^<]*)</Number>`)

// check scans every byte that left since the last look, and what people can read now.
func (x *taint) check(scenario string, may allowed) {
	x.t.Helper()
	x.Settle()
	both := []string{taintedCustomer, taintedFieldworker}
	all := x.Emulator.Deliveries()
	for _, d := range all[x.seen:] {
		rest := numberNoun.ReplaceAllStringFunc(d.Answer, func(noun string) string {
			if numberNoun.FindStringSubmatch(noun)[1] == may.noun {
				return strings.Replace(noun, may.noun+"<", "<", 1)
			}
			return noun
		})
		for _, n := range both {
			if tainted(rest, n) {
				x.t.Errorf("%s: an answer to Twilio holds %s\n%s", scenario, n, d.Answer)
			}
			if tainted(d.URL, n) {
				x.t.Errorf("%s: a callback's address holds %s: %s", scenario, n, d.URL)
			}
		}
	}
	x.seen = len(all)
	for _, r := range x.rest.take() {
		rest := r
		if may.to != "" && strings.Contains(r, "/Calls.json") {
			rest = strings.Replace(r, "To="+url.QueryEscape(may.to), "", 1)
		}
		for _, n := range both {
			if tainted(rest, n) {
				x.t.Errorf("%s: a request to Twilio holds %s\n%s", scenario, n, r)
			}
		}
	}
	for _, l := range x.logs.take() {
		for _, n := range both {
			if tainted(l, n) {
				x.t.Errorf("%s: the log holds %s\n%s", scenario, n, l)
			}
		}
	}
	x.read(scenario)
}

// read scans what the fieldworker, the office and somebody who may not see contacts can read.
func (x *taint) read(scenario string) {
	x.t.Helper()
	for _, p := range []struct {
		name   string
		who    stage.Person
		query  string
		hidden []string
	}{
		{"the fieldworker", x.fay, taintQuery, []string{taintedCustomer}},
		{"the office", x.office, taintQuery, []string{taintedFieldworker}},
		{"who may not see contacts", x.mute, taintPublicQuery, []string{taintedCustomer, taintedFieldworker}},
	} {
		var raw json.RawMessage
		x.Must(p.who.Client.Do(x.t.Context(), p.query, nil, &raw))
		told := asJSON(x.facts(p.who.Client, x.before))
		for _, n := range p.hidden {
			if tainted(string(raw), n) {
				x.t.Errorf("%s: %s reads %s\n%s", scenario, p.name, n, raw)
			}
			if tainted(told, n) {
				x.t.Errorf("%s: %s is told %s\n%s", scenario, p.name, n, told)
			}
		}
		if !strings.Contains(string(raw), "call_") {
			x.t.Errorf("%s: %s reads no call at all", scenario, p.name)
		}
	}
	x.before = x.cursor()
}

// from is what a phone or device that rings shows.
func (x *taint) from(target string) string {
	x.t.Helper()
	list := x.Emulator.Ringing(at(target))
	if len(list) != 1 {
		x.t.Fatalf("%s rings %d times", target, len(list))
	}
	return list[0].From
}

// No personal number of a masked call is anywhere but in the one place that must
// name the phone to be rung (R103, R104, R105; B08).
func TestNoByteShowsANumberOfAMaskedCall(t *testing.T) {
	x := newTaint(t)
	talk := func(scenario, target string, may allowed) {
		t.Helper()
		if got := x.from(target); got != officeNumber {
			t.Errorf("%s: %s shows %s, want the masked number", scenario, target, got)
		}
		x.read(scenario + ", while it rings")
		x.answer(target)
		x.Pass(5 * time.Second)
		x.check(scenario+", while they talk", may)
		for _, c := range x.Emulator.Calls() {
			if c.Status == "in-progress" && c.Parent == "" {
				x.hangUp(c.SID)
			}
		}
		x.PassSettling(10*time.Second, 5*time.Second)
		x.check(scenario+", afterwards", may)
	}

	x.dial(taintedCustomer, officeNumber)
	x.wantRinging(x.van)
	talk("the customer calls a device", x.van, allowed{})

	x.set(x.line, demo.Vars{"routing": demo.Vars{"reachBy": "PRIMARY_PHONE"}})
	x.dial(taintedCustomer, officeNumber)
	x.wantRinging(taintedFieldworker)
	talk("the customer calls a phone", taintedFieldworker, allowed{noun: taintedFieldworker})

	x.dial(taintedFieldworker, officeNumber)
	x.wantRinging(taintedCustomer)
	talk("the fieldworker calls by phone", taintedCustomer, allowed{noun: taintedCustomer})

	start := func(input demo.Vars) {
		t.Helper()
		input["recordId"] = x.record
		var raw json.RawMessage
		x.Must(x.fay.Client.Do(t.Context(), `mutation($i: CallStartInput!) { callStart(input: $i) { call { `+callFields+` } notice userErrors { code field message } } }`, demo.Vars{"i": input}, &raw))
		if tainted(string(raw), taintedCustomer) {
			t.Errorf("callStart answers %s", raw)
		}
		x.Settle()
	}
	start(demo.Vars{})
	x.answer(x.van)
	x.wantRinging(taintedCustomer)
	talk("the fieldworker calls by device", taintedCustomer, allowed{noun: taintedCustomer})

	start(demo.Vars{"ringMyPhone": true})
	x.wantRinging(taintedFieldworker)
	if got := x.from(taintedFieldworker); got != officeNumber {
		t.Errorf("the fieldworker's own phone shows %s", got)
	}
	x.answer(taintedFieldworker)
	if asks := x.Emulator.Calls(); asks[len(asks)-1].Parent == "" || len(x.ringing()) == 0 { // it asks for a key first
		for _, c := range x.Emulator.Calls() {
			if c.Target == taintedFieldworker && c.Status == "in-progress" {
				x.Must(x.Emulator.Press(c.SID, "1"))
			}
		}
		x.idle()
	}
	x.wantRinging(taintedCustomer)
	talk("the fieldworker has the own phone rung", taintedCustomer, allowed{noun: taintedCustomer, to: taintedFieldworker})

	x.set(x.line, demo.Vars{"routing": demo.Vars{"reachBy": "DEVICES"}})
	sid := x.dial(taintedCustomer, officeNumber)
	x.PassSettling(29*time.Second, time.Second)
	x.Must(x.Emulator.Speak(sid, 4*time.Second))
	x.Pass(5 * time.Second)
	x.hangUp(sid)
	x.PassSettling(10*time.Second, 5*time.Second)
	if c := x.call(sid); c.Status != "VOICEMAIL" {
		t.Errorf("nobody answers: %s", c)
	}
	x.check("the customer leaves a voicemail", allowed{})

	// An administrator who sees contacts sees whom they serve, and about what (R104).
	if c := x.call(sid); c.From.E164 != taintedCustomer || c.Record == nil || c.Record.ID != x.record || c.Contact == nil {
		t.Errorf("the administrator's log says %s from %+v about %+v", c, c.From, c.Record)
	}
	x.Emulator.Behave(taintedCustomer, emulator.PhoneBehaviour{Do: emulator.IsBusy})
	start(demo.Vars{})
	x.answer(x.van)
	x.PassSettling(20*time.Second, 5*time.Second)
	x.check("the customer is busy", allowed{noun: taintedCustomer})
	x.clean()
}
