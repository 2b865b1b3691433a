package app_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/graph"
	"switchboard/internal/access"
	"switchboard/internal/demo"
	"switchboard/internal/testkit/stage"
)

// options switches options of a fieldworker: names are switched on, with a minus off.
func (s *story) options(who stage.Person, names ...string) {
	s.t.Helper()
	var list []demo.Vars
	for _, n := range names {
		off, isOff := strings.CutPrefix(n, "-")
		list = append(list, demo.Vars{"option": off, "isOn": !isOff})
	}
	s.change(who, demo.Vars{"fieldworkerOptions": list})
}

type optionView struct {
	Option            string
	IsOn, IsEffective bool
	Because           string
}

func (s *story) optionsOf(who *demo.Client, user string) map[string]optionView {
	s.t.Helper()
	var out struct {
		User struct{ FieldworkerOptions []optionView }
	}
	s.Must(who.Do(s.t.Context(), `query($u: ID!) { user(id: $u) { fieldworkerOptions { option isOn isEffective because } } }`, demo.Vars{"u": user}, &out))
	all := map[string]optionView{}
	for _, o := range out.User.FieldworkerOptions {
		all[o.Option] = o
	}
	return all
}

// R248: what the contract names is what the table has, in its order.
func TestEveryOptionOfTheContractIsARowOfTheTable(t *testing.T) {
	t.Parallel()
	var named, rows []string
	for _, v := range graph.Schema().Types["FieldworkerOption"].EnumValues {
		named = append(named, v.Name)
	}
	for _, r := range access.FieldworkerOptions {
		rows = append(rows, string(r.Option))
	}
	if !slices.Equal(named, rows) {
		t.Errorf("the contract names %v, and the table has %v", named, rows)
	}
}

func TestAdministratorsSwitchOptionsAndEachSaysWhetherItMeansAnything(t *testing.T) { // R233-R235, R246, R248, R252
	s := newStory(t)
	fay := s.User("fay", "FIELDWORKER", "")
	ann := s.User("ann", "OFFICE", "")

	var table struct {
		FieldworkerOptions []struct {
			Option, Name, Description    string
			Needs, NeedsOneOf            []string
			NeedsVisibility              *string
			IsOnByDefault, NarrowsWhenOn bool
		}
	}
	s.Do(`{ fieldworkerOptions { option name description needs needsOneOf needsVisibility isOnByDefault narrowsWhenOn } }`, nil, &table)
	if len(table.FieldworkerOptions) != len(access.FieldworkerOptions) {
		t.Errorf("the table shows %d options of %d", len(table.FieldworkerOptions), len(access.FieldworkerOptions))
	}
	first := s.optionsOf(s.Admin, fay.ID)
	for _, row := range table.FieldworkerOptions {
		if first[row.Option].IsOn != row.IsOnByDefault {
			t.Errorf("%s stands at %v for somebody new, want %v", row.Option, first[row.Option].IsOn, row.IsOnByDefault)
		}
	}
	// R246: the role first.
	if o := first["SEND_INVOICE_BY_SMS"]; !o.IsOn || o.IsEffective || !strings.Contains(o.Because, "SMS_SEND_INVOICE") {
		t.Errorf("the role lacks SMS_SEND_INVOICE, and the option says %+v", o)
	}
	if o := first["TWO_WAY_SMS"]; !o.IsOn || !o.IsEffective {
		t.Errorf("the role allows texts, and the option says %+v", o)
	}
	s.options(fay, "-TWO_WAY_SMS", "RESTRICT_BEFORE_START")
	after := s.optionsOf(fay.Client, fay.ID)
	if after["TWO_WAY_SMS"].IsOn || !after["RESTRICT_BEFORE_START"].IsOn || after["CALL_CUSTOMERS"] != first["CALL_CUSTOMERS"] {
		t.Errorf("after the change they stand at %+v", after)
	}
	var old struct {
		User struct{ RestrictBeforeStart bool }
	}
	s.Do(`query($u: ID!) { user(id: $u) { restrictBeforeStart } }`, demo.Vars{"u": fay.ID}, &old)
	if !old.User.RestrictBeforeStart {
		t.Error("the field of that name does not know the option")
	}
	s.change(fay, demo.Vars{"restrictBeforeStart": false})
	if s.optionsOf(s.Admin, fay.ID)["RESTRICT_BEFORE_START"].IsOn {
		t.Error("the option does not know the field of that name")
	}
	if o := s.optionsOf(s.Admin, ann.ID)["TWO_WAY_SMS"]; o.IsEffective || !strings.Contains(o.Because, "this person is none") {
		t.Errorf("of somebody at the desk it says %+v", o)
	}
	if list := s.optionsOf(ann.Client, fay.ID); len(list) != 0 {
		t.Errorf("a colleague reads %v", list)
	}
	mine := `mutation($u: ID!, $i: UserUpdateInput!) { userUpdate(id: $u, input: $i) { userErrors { code field message } } }`
	for what, list := range map[string][]demo.Vars{"FORBIDDEN": {{"option": "TWO_WAY_SMS", "isOn": true}}, "INVALID": {{"option": "TWO_WAY_SMS", "isOn": true}, {"option": "TWO_WAY_SMS", "isOn": false}}} {
		who := fay.Client
		if what == "INVALID" {
			who = s.Admin
		}
		if code := s.try(who, mine, demo.Vars{"u": fay.ID, "i": demo.Vars{"fieldworkerOptions": list}}, nil); code != what {
			t.Errorf("switching %v: %q, want %s", list, code, what)
		}
	}
}

func TestASwitchedOptionEndsLiveStreams(t *testing.T) {
	s := newStory(t)
	s.Number(officeNumber, nil)
	fay := s.User("fay", "FIELDWORKER", "")
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	st, err := fay.Client.Watch(ctx, eventsQuery, nil)
	s.Must(err)
	defer st.Stop()
	s.options(fay, "-DISPLAY_CONTACT_DETAILS")
	if err := st.Next(ctx, nil); err == nil {
		if streamEnds(t, st) == nil {
			t.Error("the stream goes on as if nothing had changed")
		}
	}
	if ctx.Err() != nil {
		t.Error("the stream did not end")
	}
}

const secretMail, secretPlace = "carol.private@example.test", "12 Hidden Street"

// field is a fieldworker with a customer, and one who is nobody's.
type field struct {
	*story
	fay             stage.Person
	van, line       string
	carol, booking  string
	stranger, other string
	admin           string
}

func newField(t *testing.T, role string, options ...string) *field {
	t.Helper()
	f := &field{story: newStory(t)}
	branch := f.Branch("Office")
	f.line = f.Number(officeNumber, demo.Vars{"branchId": branch})
	f.fay = f.User("fay", role, "+12025550161", branch)
	f.change(f.fay, demo.Vars{"isFieldworker": true})
	f.van = f.Device(f.fay, "Van")
	f.carol = f.contact("CUSTOMER", "Carol", customer, demo.Vars{"assignedUserId": f.fay.ID, "email": secretMail, "location": secretPlace})
	f.booking = f.recordOf("BOOKING", "Lawn", f.carol, demo.Vars{"assignedUserId": f.fay.ID, "startsAt": f.Clock.Now().Add(-time.Hour)})
	f.stranger = f.contact("CUSTOMER", "Stan", "+12025550198", nil)
	f.other = f.recordOf("INVOICE", "Bill", f.carol, demo.Vars{"assignedUserId": f.fay.ID})
	var me struct{ Viewer struct{ User ref } }
	f.Do(`{ viewer { user { id } } }`, nil, &me)
	f.admin = me.Viewer.User.ID
	f.options(f.fay, options...)
	return f
}

// silent fails when an answer holds what is hidden.
func (f *field) silent(what string, answer any) {
	f.t.Helper()
	text, ok := answer.(string)
	if !ok {
		text = asJSON(answer)
	}
	if tainted(text, customer) || strings.Contains(text, secretMail) || strings.Contains(text, secretPlace) {
		f.t.Errorf("%s shows what is hidden: %s", what, text)
	}
}

func TestWhoSeesNoDetailsStillReachesTheirCustomers(t *testing.T) { // R239, R241
	f := newField(t, "FIELDWORKER", "-DISPLAY_CONTACT_DETAILS")
	reads := func(when string) {
		t.Helper()
		answer := f.answered(f.fay.Client, `{ contacts { nodes { id name email location phones { e164 } } } records { nodes { id contact { name email location phones { e164 } } } }
			calls { nodes { `+callFields+` } } smsThreads { nodes { them { e164 display } contact { name email } messages { nodes { from { e164 display } to { e164 display } } } } }
			messages { nodes { from { e164 display } to { e164 display } } } }`, nil)
		f.silent(when, answer)
		if !strings.Contains(answer, "Carol") {
			t.Errorf("%s the customer is not there at all: %s", when, answer)
		}
	}
	reads("before anything happened,")

	// They call and write by the contact's id, and the customer is reached.
	var raw json.RawMessage
	f.Must(f.fay.Client.Do(t.Context(), `mutation($i: CallStartInput!) { callStart(input: $i) { call { `+callFields+` } userErrors { code field message } } }`,
		demo.Vars{"i": demo.Vars{"contactId": f.carol, "deviceId": f.van}}, &raw))
	f.silent("callStart", string(raw))
	f.Settle()
	f.answer(f.van)
	f.wantRinging(customer)
	f.answer(customer)
	reads("while they talk")
	for _, c := range f.Emulator.Calls() {
		if c.Status == "in-progress" && c.Parent == "" {
			f.hangUp(c.SID)
		}
	}
	f.Settle()
	for name, in := range map[string]demo.Vars{"the contact": {"contactId": f.carol, "body": "Hello {{contact.firstName|there}}"}, "the record": {"recordId": f.booking, "body": "Soon there"}} {
		f.silent("messagePreview by "+name, f.answered(f.fay.Client, `query($i: MessagePreviewInput!) { messagePreview(input: $i) { recipients { given to contact { name } body problems { message } } } }`,
			demo.Vars{"i": demo.Vars{"body": in["body"], "audience": demo.Vars{"recipients": []demo.Vars{{"contactId": f.carol}}}}}))
		f.Must(f.fay.Client.Do(t.Context(), `mutation($i: MessageSendInput!) { messageSend(input: $i) { message { id from { e164 display } to { e164 display } thread { them { e164 display } } } userErrors { code field message } } }`,
			demo.Vars{"i": in}, &raw))
		f.silent("messageSend by "+name, string(raw))
		f.Pass(time.Minute)
	}
	f.Settle()
	if got := f.texts(customer); len(got) != 2 || !slices.Contains(got, "Hello Carol") {
		t.Errorf("the customer got %q", got)
	}
	from := f.cursor()
	f.text(customer, officeNumber, "See you")
	sid := f.dial(customer, officeNumber)
	f.wantRinging(f.van)
	for _, l := range f.Emulator.Ringing(at(f.van)) {
		if l.From != officeNumber {
			t.Errorf("the device shows %s, want the office number", l.From)
		}
	}
	reads("while the customer calls")
	f.answer(f.van)
	f.hangUp(sid)
	f.Settle()
	reads("afterwards")
	f.silent("the events", f.facts(f.fay.Client, from))
	thread := f.threads(f.fay.Client)[0]
	f.silent("the answer to a thread in a preview", f.answered(f.fay.Client, `query($i: MessagePreviewInput!) { messagePreview(input: $i) { recipients { given to contact { name } } } }`,
		demo.Vars{"i": demo.Vars{"body": "Hi", "threadId": thread.ID}}))
	if code := f.try(f.fay.Client, sendMutation, demo.Vars{"i": demo.Vars{"threadId": thread.ID, "body": "Thanks"}}, nil); code != "" {
		t.Errorf("answering the thread: %s", code)
	}
	f.Settle()
	f.clean()
}

// Nothing that is typed tells whether a number is a customer's.
func TestAHiddenNumberIsNotConfirmedByAnySearch(t *testing.T) { // R103, R241
	f := newField(t, "FIELDWORKER")
	f.text(customer, officeNumber, "Hello")
	f.Settle()
	asks := map[string]struct {
		query string
		vars  func(number string) demo.Vars
	}{
		"threads by number":  {`query($n: String!) { smsThreads(filter: {number: $n}) { nodes { id } } }`, func(n string) demo.Vars { return demo.Vars{"n": n} }},
		"threads by digits":  {`query($n: String!) { smsThreads(filter: {search: $n}) { nodes { id } } }`, func(n string) demo.Vars { return demo.Vars{"n": n[len(n)-4:]} }},
		"messages by number": {`query($n: String!) { messages(filter: {number: $n}) { nodes { id } } }`, func(n string) demo.Vars { return demo.Vars{"n": n} }},
		"contacts by number": {`query($n: String!) { contacts(filter: {number: $n}) { totalCount nodes { id } } }`, func(n string) demo.Vars { return demo.Vars{"n": n} }},
		"contacts by address": {`query($n: String!) { contacts(filter: {location: $n}) { totalCount nodes { id } } }`, func(n string) demo.Vars {
			return demo.Vars{"n": map[bool]string{true: secretPlace, false: "Nowhere"}[n == customer]}
		}},
		"a search for it": {`query($n: String!) { search(text: $n) { nodes { node { id } } } }`, func(n string) demo.Vars { return demo.Vars{"n": n} }},
		"a search for the place": {`query($n: String!) { search(text: $n, kinds: [CONTACT]) { nodes { node { id } } } }`, func(n string) demo.Vars {
			return demo.Vars{"n": map[bool]string{true: secretPlace, false: "Nowhere"}[n == customer]}
		}},
		"a search for the e-mail": {`query($n: String!) { search(text: $n) { nodes { node { id } } } }`, func(n string) demo.Vars {
			return demo.Vars{"n": map[bool]string{true: secretMail, false: "nobody@nowhere.test"}[n == customer]}
		}},
		"consents by number": {`query($n: String!) { consents(filter: {number: $n}) { nodes { id } } }`, func(n string) demo.Vars { return demo.Vars{"n": n} }},
		"a call to it":       {startMutation, func(n string) demo.Vars { return demo.Vars{"i": demo.Vars{"to": n}} }},
		"what it would show": {`query($i: CallerIdExplainInput!) { callerIdExplain(input: $i) { to dialled refused { code message } } }`, func(n string) demo.Vars { return demo.Vars{"i": demo.Vars{"to": n}} }},
		"a text to it":       {sendMutation, func(n string) demo.Vars { return demo.Vars{"i": demo.Vars{"to": n, "body": "x"}} }},
		"a preview of it": {`query($i: MessagePreviewInput!) { messagePreview(input: $i) { recipients { contact { id } body problems { code message } } } }`, func(n string) demo.Vars {
			return demo.Vars{"i": demo.Vars{"body": "Hi {{contact.firstName|there}}", "audience": demo.Vars{"recipients": []demo.Vars{{"to": n}}}}}
		}},
		"a thread with it": {`mutation($i: SmsThreadStartInput!) { smsThreadStart(input: $i) { smsThread { id contact { id } } userErrors { code message } } }`, func(n string) demo.Vars { return demo.Vars{"i": demo.Vars{"to": n}} }},
	}
	const nobodys = "+12025550177"
	ask := func(what, number string) string {
		x := asks[what]
		return strings.ReplaceAll(f.answered(f.fay.Client, x.query, x.vars(number)), number, "NUMBER")
	}
	found := 0
	for what := range asks {
		if strings.HasPrefix(what, "a call") || strings.HasPrefix(what, "a text") || strings.HasPrefix(what, "a thread") {
			continue // these do something
		}
		if ask(what, customer) != ask(what, nobodys) {
			found++
		}
	}
	if found < 4 {
		t.Errorf("with details shown only %d of the questions find the customer, so that nothing is proved", found)
	}
	f.options(f.fay, "-DISPLAY_CONTACT_DETAILS")
	for what := range asks {
		if theirs, nobody := ask(what, customer), ask(what, nobodys); theirs != nobody {
			t.Errorf("%s: a customer's number is answered\n%s\nnobody's\n%s", what, theirs, nobody)
		}
	}
	// The same for one who reaches the customer through a masked number only (R103).
	f.options(f.fay, "DISPLAY_CONTACT_DETAILS")
	if code := f.try(f.Admin, `mutation($r: ID!) { maskedPairCreate(input: {recordId: $r}) { maskedPair { id } userErrors { code field message } } }`, demo.Vars{"r": f.booking}, nil); code != "" {
		t.Fatal(code)
	}
	for _, what := range []string{"threads by number", "threads by digits", "messages by number", "contacts by number", "consents by number", "a search for it"} {
		if theirs, nobody := ask(what, customer), ask(what, nobodys); theirs != nobody {
			t.Errorf("%s: a masked number is answered\n%s\nnobody's\n%s", what, theirs, nobody)
		}
	}
}

func TestOptionsRefuseWhatTheRoleAllows(t *testing.T) { // R235, R244-R247
	f := newField(t, "DISPATCHER")
	call := func(in demo.Vars) func() string {
		return func() string {
			var out struct{ CallStart struct{ Call ref } }
			code := f.try(f.fay.Client, `mutation($i: CallStartInput!) { callStart(input: $i) { call { id } userErrors { code field message } } }`, demo.Vars{"i": in}, &out)
			if code == "" {
				f.Do(`mutation($c: ID!) { callHangUp(id: $c) { userErrors { code field message } } }`, demo.Vars{"c": out.CallStart.Call.ID}, nil)
				f.Settle()
			}
			return code
		}
	}
	text := func(in demo.Vars) func() string {
		return func() string { return f.try(f.fay.Client, sendMutation, demo.Vars{"i": in}, nil) }
	}
	f.Device(f.person(f.admin), "Admin")
	for name, x := range map[string]struct {
		why    string
		option string
		do     func() string
	}{
		"calls to customers":   {"R244", "CALL_CUSTOMERS", call(demo.Vars{"contactId": f.carol, "deviceId": f.van})},
		"calls to numbers":     {"R244: a number is a customer's", "CALL_CUSTOMERS", call(demo.Vars{"to": callee, "deviceId": f.van})},
		"calls to admins":      {"R245", "CALL_ADMINS", call(demo.Vars{"userId": f.admin, "deviceId": f.van})},
		"texts":                {"R247", "TWO_WAY_SMS", text(demo.Vars{"contactId": f.carol, "body": "Hello"})},
		"reading texts":        {"R247: no in-app SMS at all", "TWO_WAY_SMS", func() string { return f.try(f.fay.Client, `{ smsThreads { nodes { id } } }`, nil, nil) }},
		"invoices by SMS":      {"R246", "SEND_INVOICE_BY_SMS", text(demo.Vars{"recordId": f.other, "body": "Your invoice"})},
		"invoices without SMS": {"R246: there is no SMS to send them by", "TWO_WAY_SMS", text(demo.Vars{"recordId": f.other, "body": "Your invoice"})},
	} {
		f.options(f.fay, "CALL_CUSTOMERS", "CALL_ADMINS", "TWO_WAY_SMS", "SEND_INVOICE_BY_SMS")
		if got := x.do(); got != "" {
			t.Errorf("%s with the option on: %s", name, got)
		}
		f.Pass(5 * time.Second)
		f.options(f.fay, "-"+x.option)
		if got := x.do(); got != "FORBIDDEN" {
			t.Errorf("%s with the option off (%s): %q", name, x.why, got)
		}
		f.change(f.fay, demo.Vars{"isFieldworker": false})
		if got := x.do(); got != "" {
			t.Errorf("%s of somebody who is no fieldworker: %s", name, got)
		}
		f.change(f.fay, demo.Vars{"isFieldworker": true})
		f.Pass(5 * time.Second)
	}
	// A colleague is no customer, and other colleagues no administrators.
	f.options(f.fay, "-CALL_CUSTOMERS", "-CALL_ADMINS")
	ann := f.User("ann", "OFFICE", "")
	f.Device(ann, "Desk")
	if got := call(demo.Vars{"userId": ann.ID, "deviceId": f.van})(); got != "" {
		t.Errorf("a call to a colleague: %s", got)
	}
}

func TestWithoutTheWholeBaseFieldworkersSeeTheirOwnCustomers(t *testing.T) { // R243
	f := newField(t, "DISPATCHER")
	made := f.try(f.fay.Client, `mutation { contactCreate(input: {kind: CUSTOMER, name: "Made by Fay"}) { contact { id } userErrors { code field message } } }`, nil, nil)
	if made != "" {
		t.Fatal(made)
	}
	names := func() (list []string) {
		t.Helper()
		var out struct {
			Contacts struct {
				TotalCount int
				Nodes      []ref
			}
		}
		f.Must(f.fay.Client.Do(t.Context(), `{ contacts { totalCount nodes { id name } } }`, nil, &out))
		for _, c := range out.Contacts.Nodes {
			list = append(list, c.Name)
		}
		if out.Contacts.TotalCount != len(list) {
			t.Errorf("%d contacts are counted, %d shown", out.Contacts.TotalCount, len(list))
		}
		slices.Sort(list)
		return list
	}
	if got := names(); len(got) != 3 {
		t.Errorf("with the option they see %v", got)
	}
	f.options(f.fay, "-WHOLE_CUSTOMER_BASE")
	if got := names(); !slices.Equal(got, []string{"Carol", "Made by Fay"}) {
		t.Errorf("without the option they see %v", got)
	}
	never := f.answered(f.fay.Client, `query($c: ID!) { contact(id: $c) { id name } node(id: $c) { id } }`, demo.Vars{"c": f.stranger})
	if strings.Contains(never, "Stan") || strings.Contains(never, f.stranger) {
		t.Errorf("a stranger is read by id: %s", never)
	}
	for what, vars := range map[string]demo.Vars{"callStart": {"i": demo.Vars{"contactId": f.stranger}}, "messageSend": {"i": demo.Vars{"contactId": f.stranger, "body": "x"}}} {
		query := map[string]string{"callStart": startMutation, "messageSend": sendMutation}[what]
		if code := f.try(f.fay.Client, query, vars, nil); code != "NOT_FOUND" {
			t.Errorf("%s to a stranger: %q", what, code)
		}
	}
}

func TestCustomersAreNotToldWhereTheOptionIsOff(t *testing.T) { // R240, R170, R171
	f := newField(t, "FIELDWORKER")
	for _, trigger := range []string{"ON_THE_WAY", "RUNNING_LATE", "ARRIVED"} {
		f.automation(demo.Vars{"name": trigger, "trigger": trigger, "quietHours": nil,
			"templateId": f.template(demo.Vars{"name": trigger, "purpose": "SERVICE_UPDATE", "recordKind": "BOOKING", "body": trigger})})
	}
	report := func(kind string) []string {
		t.Helper()
		before := len(f.texts(customer))
		f.happens(f.fay.Client, demo.Vars{"recordId": f.booking, "event": kind, "etaAt": f.Clock.Now().Add(time.Hour)})
		f.told()
		f.Settle()
		f.Pass(time.Minute)
		return f.texts(customer)[before:]
	}
	if got := report("ON_THE_WAY"); !slices.Equal(got, []string{"ON_THE_WAY"}) {
		t.Errorf("with the option on the customer is told %q", got)
	}
	f.options(f.fay, "-NOTIFY_ON_THE_WAY")
	for _, kind := range []string{"ON_THE_WAY", "RUNNING_LATE"} {
		if got := report(kind); len(got) != 0 {
			t.Errorf("with the option off %s tells the customer %q", kind, got)
		}
	}
	why := 0
	for _, r := range f.runs(f.booking) {
		if word(r.ReasonCode) == "REFUSED" && strings.Contains(word(r.Reason), "NOTIFY_ON_THE_WAY") {
			why++
		}
	}
	if why != 2 {
		t.Errorf("%d runs say that the option is off, want 2: %+v", why, f.runs(f.booking))
	}
	// The option is about being on the way, and nothing else.
	if got := report("ARRIVED"); !slices.Equal(got, []string{"ARRIVED"}) {
		t.Errorf("on arrival the customer is told %q", got)
	}
}

// R242, D13: the same for calls and messages, and exactly three exceptions.
func TestBeforeTheBookingFieldworkersWaitButForThreeReasons(t *testing.T) {
	for name, x := range map[string]struct {
		why  string
		do   func(f *field, booking string)
		kind string
		free bool
	}{
		"before the booking":    {"R242", func(*field, string) {}, "BOOKING", false},
		"the customer wrote":    {"D13: they contacted us", func(f *field, _ string) { f.text(customer, officeNumber, "When?") }, "BOOKING", true},
		"the customer called":   {"D13: they contacted us", func(f *field, _ string) { f.hangUp(f.dial(customer, officeNumber)) }, "BOOKING", true},
		"long ago":              {"a day is over", func(f *field, _ string) { f.text(customer, officeNumber, "When?"); f.Settle(); f.Pass(25 * time.Hour) }, "BOOKING", false},
		"on the way":            {"D13", func(f *field, b string) { f.happens(f.fay.Client, demo.Vars{"recordId": b, "event": "ON_THE_WAY"}) }, "BOOKING", true},
		"a complaint":           {"D13", func(*field, string) {}, "COMPLAINT", true},
		"the option is off":     {"nobody is restricted unless told", func(f *field, _ string) { f.options(f.fay, "-RESTRICT_BEFORE_START") }, "BOOKING", true},
		"somebody at the desk":  {"options are for fieldworkers", func(f *field, _ string) { f.change(f.fay, demo.Vars{"isFieldworker": false}) }, "BOOKING", true},
		"details hidden, waits": {"options add up", func(f *field, _ string) { f.options(f.fay, "-DISPLAY_CONTACT_DETAILS") }, "BOOKING", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newField(t, "FIELDWORKER", "RESTRICT_BEFORE_START")
			f.t = t
			// The only record of this customer, and ahead of now.
			dora := f.contact("CUSTOMER", "Dora", "+12025550197", demo.Vars{"assignedUserId": f.fay.ID})
			if name == "the customer wrote" || name == "the customer called" || name == "long ago" {
				dora = f.carol
				f.Do(`mutation($r: ID!) { recordUpdate(id: $r, input: {startsAt: "2026-09-01T09:00:00Z"}) { userErrors { code field message } } }`, demo.Vars{"r": f.booking}, nil)
			}
			booking := f.recordOf(x.kind, "Fence", dora, demo.Vars{"assignedUserId": f.fay.ID, "startsAt": "2026-09-01T09:00:00Z"})
			x.do(f, booking)
			f.Settle()
			if name == "long ago" {
				f.Admin, f.fay.Client = f.SignIn("admin"), f.SignIn("fay")
			}
			want := map[bool]string{true: "", false: "FORBIDDEN"}[x.free]
			for by, in := range map[string]demo.Vars{"the booking": {"recordId": booking}, "the contact": {"contactId": dora}} {
				if x.kind == "COMPLAINT" && by == "the contact" {
					continue
				}
				body := demo.Vars{"body": "Hello " + by}
				for k, v := range in {
					body[k] = v
				}
				if got := f.try(f.fay.Client, sendMutation, demo.Vars{"i": body}, nil); got != want {
					t.Errorf("a text by %s (%s): %q, want %q", by, x.why, got, want)
				}
				call := demo.Vars{"deviceId": f.van}
				for k, v := range in {
					call[k] = v
				}
				var out struct{ CallStart struct{ Call ref } }
				got := f.try(f.fay.Client, `mutation($i: CallStartInput!) { callStart(input: $i) { call { id } userErrors { code field message } } }`, demo.Vars{"i": call}, &out)
				if got != want {
					t.Errorf("a call by %s (%s): %q, want %q", by, x.why, got, want)
				}
				if got == "" {
					f.Do(`mutation($c: ID!) { callHangUp(id: $c) { userErrors { code field message } } }`, demo.Vars{"c": out.CallStart.Call.ID}, nil)
					f.Settle()
				}
			}
		})
	}
}

func TestAdministratorsAreWarnedOfTheWayAroundTheCompany(t *testing.T) { // R249
	f := newField(t, "FIELDWORKER")
	warnings := func(who *demo.Client) []string {
		var out struct{ User struct{ Warnings []string } }
		f.Must(who.Do(t.Context(), `query($u: ID!) { user(id: $u) { warnings } }`, demo.Vars{"u": f.fay.ID}, &out))
		return out.User.Warnings
	}
	if got := warnings(f.Admin); len(got) != 0 {
		t.Errorf("who may call and write through the company is warned of: %q", got)
	}
	f.options(f.fay, "-CALL_CUSTOMERS", "-TWO_WAY_SMS")
	if got := warnings(f.Admin); len(got) != 2 || !strings.Contains(got[0], "shows their own number") {
		t.Errorf("who sees numbers and may do neither: %q", got)
	}
	if got := warnings(f.fay.Client); len(got) != 0 {
		t.Errorf("the warning is the administrator's, and the fieldworker reads %q", got)
	}
	f.options(f.fay, "-DISPLAY_CONTACT_DETAILS")
	if got := warnings(f.Admin); len(got) != 0 {
		t.Errorf("who sees no number is warned of: %q", got)
	}
}
