package app_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/graph"
	"switchboard/internal/demo"
	"switchboard/internal/gate"
	"switchboard/internal/id"
	"switchboard/internal/testkit/stage"
)

type canView struct {
	Action, Gate, Message       string
	IsAllowed                   bool
	Permission, Option, Feature *string
}

const canFields = `action isAllowed gate permission option feature message`

func (s *story) can(who *demo.Client, action, subject string) (c canView) {
	s.t.Helper()
	var out struct{ Can canView }
	vars := demo.Vars{"a": action}
	if subject != "" {
		vars["s"] = subject
	}
	s.Must(who.Do(s.t.Context(), `query($a: PermissionAction!, $s: ID) { can(action: $a, subjectId: $s) { `+canFields+` } }`, vars, &out))
	return out.Can
}

// everyPermission is what a role may allow at most.
func everyPermission() (all []string) {
	for _, v := range graph.Schema().Types["Permission"].EnumValues {
		all = append(all, v.Name)
	}
	return all
}

// role makes a role that sees so far.
func (s *story) role(called, visibility string, permissions ...string) string {
	s.t.Helper()
	var out struct{ RoleCreate struct{ Role ref } }
	if permissions == nil {
		permissions = []string{}
	}
	s.Do(`mutation($n: String!, $p: [Permission!]!, $v: Visibility!) { roleCreate(input: {name: $n, permissions: $p, visibility: $v}) { role { id } userErrors { code field message } } }`,
		demo.Vars{"n": called, "p": permissions, "v": visibility}, &out)
	return out.RoleCreate.Role.ID
}

// asked is the stage on which can is asked and the same thing then tried.
type asked struct {
	*story
	fay, ann, olga stage.Person // olga takes what is transferred
	signedIn       time.Time
	van, desk      string
	line           string
	full           string // the role that allows everything
	things         map[string]string
	people         int // numbers given out
	words          int // and texts
	live           map[string]string
}

func newAsked(t *testing.T) *asked {
	t.Helper()
	a := &asked{story: newStory(t), things: map[string]string{}, live: map[string]string{}}
	branch := a.Branch("Office")
	a.line = a.Number(officeNumber, demo.Vars{"branchId": branch, "recording": demo.Vars{"incoming": "FROM_ANSWER", "outgoing": "FROM_ANSWER"}, "voicemail": demo.Vars{"isEnabled": true}})
	a.fay = a.User("fay", "DISPATCHER", "+12025550161", branch)
	a.ann = a.User("ann", "DISPATCHER", "+12025550162", branch)
	a.full = a.role("Everything", "ORGANIZATION", everyPermission()...)
	for _, p := range []stage.Person{a.fay, a.ann} {
		a.change(p, demo.Vars{"roleId": a.full})
	}
	a.van, a.desk = a.Device(a.fay, "Van"), a.Device(a.ann, "Desk")
	a.olga = a.User("olga", "DISPATCHER", "+12025550163")
	a.Device(a.olga, "Reception")
	a.signedIn = a.Clock.Now()
	return a
}

// stay signs everybody in again before their tokens are over.
func (a *asked) stay() {
	a.t.Helper()
	if a.Clock.Now().Sub(a.signedIn) < 5*time.Minute {
		return
	}
	a.Admin, a.fay.Client, a.ann.Client, a.signedIn = a.SignIn("admin"), a.SignIn("fay"), a.SignIn("ann"), a.Clock.Now()
}

func (a *asked) number() string {
	a.people++
	return fmt.Sprintf("+1202555%04d", 2000+a.people)
}

func (a *asked) owner(mine bool) (stage.Person, string) {
	if mine {
		return a.fay, a.van
	}
	return a.ann, a.desk
}

// talk is a call in progress that a customer made and somebody answered.
func (a *asked) talk(mine bool) string {
	a.t.Helper()
	_, device := a.owner(mine)
	sid := a.dial(a.number(), officeNumber)
	a.answer(device)
	a.Settle()
	c := a.call(sid)
	a.live[c.ID] = sid
	return c.ID
}

func (a *asked) over(call string) {
	a.t.Helper()
	if sid := a.live[call]; sid != "" {
		delete(a.live, call)
		for _, c := range a.Emulator.Calls() {
			if c.SID == sid && c.Status == "in-progress" {
				a.hangUp(sid)
			}
		}
		a.Settle()
	}
}

// make is a new thing of somebody's, of the kind that an action is asked of.
func (a *asked) make(what string, mine bool) string {
	a.t.Helper()
	p, _ := a.owner(mine)
	switch what {
	case "contact":
		return a.contact("CUSTOMER", "Carol", a.number(), demo.Vars{"assignedUserId": p.ID})
	case "record", "invoice", "booked":
		kind, starts := "BOOKING", any(nil)
		if what == "invoice" {
			kind = "INVOICE"
		}
		if what == "booked" {
			starts = a.Clock.Now().Add(48 * time.Hour)
		}
		return a.recordOf(kind, "Lawn", a.make("contact", mine), demo.Vars{"assignedUserId": p.ID, "startsAt": starts})
	case "user":
		return p.ID
	case "call":
		return a.talk(mine)
	case "out":
		_, device := a.owner(mine)
		var out struct{ CallStart struct{ Call ref } }
		a.Must(p.Client.Do(a.t.Context(), `mutation($i: CallStartInput!) { callStart(input: $i) { call { id } userErrors { code field message } } }`,
			demo.Vars{"i": demo.Vars{"contactId": a.make("contact", mine), "deviceId": device}}, &out))
		a.Settle()
		a.answer(device)
		c := a.callByID(out.CallStart.Call.ID)
		a.live[c.ID] = c.TwilioSid
		return c.ID
	case "recording":
		call := a.talk(mine)
		a.Pass(5 * time.Second)
		a.over(call)
		a.PassSettling(20*time.Second, 5*time.Second)
		for range 6 { // its audio is fetched
			if c := a.callByID(call); len(c.Recordings) > 0 && c.Recordings[0].MediaState == "STORED" {
				break
			}
			a.PassSettling(20*time.Second, 5*time.Second)
		}
		if c := a.callByID(call); len(c.Recordings) > 0 {
			return c.Recordings[0].ID
		}
		a.t.Fatal("nothing was recorded")
	case "voicemail":
		sid := a.dial(a.number(), officeNumber)
		a.speakAndHangUp(sid, 5*time.Second)
		a.PassSettling(20*time.Second, 5*time.Second)
		v := a.call(sid).Voicemail
		a.Do(`mutation($v: [ID!]!, $u: ID) { voicemailsAssign(ids: $v, userId: $u) { userErrors { code field message } } }`, demo.Vars{"v": []string{v.ID}, "u": p.ID}, nil)
		return v.ID
	case "followup":
		before := a.followUps()
		a.hangUp(a.dial(a.number(), officeNumber))
		a.PassSettling(20*time.Second, 5*time.Second)
		for _, f := range a.followUps() {
			if !slices.Contains(before, f) {
				a.Do(`mutation($f: ID!, $u: ID) { followUpAssign(id: $f, userId: $u) { userErrors { code field message } } }`, demo.Vars{"f": f, "u": p.ID}, nil)
				return f
			}
		}
		a.t.Fatal("no follow-up was opened")
	case "thread", "message":
		a.text(a.number(), officeNumber, "Hello")
		a.Settle()
		th := a.threads(a.Admin)[0]
		a.Do(`mutation($t: ID!, $u: ID) { smsThreadAssign(id: $t, userId: $u) { userErrors { code field message } } }`, demo.Vars{"t": th.ID, "u": p.ID}, nil)
		if what == "message" {
			return th.Messages.Nodes[0].ID
		}
		return th.ID
	}
	a.t.Fatalf("there is no way to make a %s", what)
	return ""
}

func (a *asked) followUps() (ids []string) {
	a.t.Helper()
	var out struct{ FollowUps struct{ Nodes []ref } }
	a.Do(`{ followUps(first: 100) { nodes { id } } }`, nil, &out)
	for _, f := range out.FollowUps.Nodes {
		ids = append(ids, f.ID)
	}
	return ids
}

// attempt is the real thing behind an action: an operation with the subject as $s.
type attempt struct {
	what     string // the kind of subject that is made
	query    string
	consumes bool // the subject is gone, or another, when it works
	undo     string
}

const problems = `userErrors { code field message }`

// attempts are one operation or more for each action that is done to something.
var attempts = map[gate.Action][]attempt{
	gate.View: {
		{what: "contact", query: `query($s: ID!) { contact(id: $s) { id } }`}, {what: "record", query: `query($s: ID!) { record(id: $s) { id } }`},
		{what: "call", query: `query($s: ID!) { call(id: $s) { id } }`}, {what: "recording", query: `query($s: ID!) { node(id: $s) { id } }`},
		{what: "voicemail", query: `query($s: ID!) { voicemail(id: $s) { id } }`}, {what: "thread", query: `query($s: ID!) { smsThread(id: $s) { id } }`},
		{what: "message", query: `query($s: ID!) { message(id: $s) { id } }`}, {what: "followup", query: `query($s: ID!) { followUp(id: $s) { id } }`},
		{what: "user", query: `query($s: ID!) { user(id: $s) { id } }`},
	},
	gate.ViewContactDetails: {{what: "contact", query: `query($s: ID!) { contact(id: $s) { phones { e164 } } }`}},
	gate.Call: {
		{what: "contact", query: `mutation($s: ID!, $d: ID) { callStart(input: {contactId: $s, deviceId: $d}) { call { id } ` + problems + ` } }`},
		{what: "record", query: `mutation($s: ID!, $d: ID) { callStart(input: {recordId: $s, deviceId: $d}) { call { id } ` + problems + ` } }`},
		{what: "booked", query: `mutation($s: ID!, $d: ID) { callStart(input: {recordId: $s, deviceId: $d}) { call { id } ` + problems + ` } }`},
		{what: "user", query: `mutation($s: ID!, $d: ID) { callStart(input: {userId: $s, deviceId: $d}) { call { id } ` + problems + ` } }`},
	},
	gate.SMS: {
		{what: "contact", query: `mutation($s: ID!, $b: String!) { messageSend(input: {contactId: $s, body: $b}) { message { id } ` + problems + ` } }`},
		{what: "record", query: `mutation($s: ID!, $b: String!) { messageSend(input: {recordId: $s, body: $b}) { message { id } ` + problems + ` } }`},
		{what: "booked", query: `mutation($s: ID!, $b: String!) { messageSend(input: {recordId: $s, body: $b}) { message { id } ` + problems + ` } }`},
		{what: "thread", query: `mutation($s: ID!, $b: String!) { messageSend(input: {threadId: $s, body: $b}) { message { id } ` + problems + ` } }`},
	},
	gate.SendInvoice: {{what: "invoice", query: `mutation($s: ID!, $b: String!) { messageSend(input: {recordId: $s, body: $b}) { message { id } ` + problems + ` } }`}},
	gate.HangUp:      {{what: "call", query: `mutation($s: ID!) { callHangUp(id: $s) { call { id } ` + problems + ` } }`, consumes: true}},
	gate.Hold: {{what: "call", query: `mutation($s: ID!) { callHold(id: $s) { call { id } ` + problems + ` } }`,
		undo: `mutation($s: ID!) { callResume(id: $s) { call { id } ` + problems + ` } }`}},
	gate.Transfer:       {{what: "call", query: `mutation($s: ID!, $a: ID!) { callTransfer(id: $s, input: {userId: $a}) { call { id } ` + problems + ` } }`, consumes: true}},
	gate.AddParticipant: {{what: "call", query: `mutation($s: ID!, $c: ID!) { callAddParticipant(id: $s, input: {contactId: $c}) { call { id } ` + problems + ` } }`, consumes: true}},
	gate.PauseRecording: {{what: "call", query: `mutation($s: ID!) { callRecordingPause(id: $s) { call { id } ` + problems + ` } }`, consumes: true}},
	gate.Monitor:        {{what: "call", query: `mutation($s: ID!) { callMonitorStart(id: $s, input: {mode: LISTEN}) { call { id } ` + problems + ` } }`, consumes: true}},
	gate.DropVoicemail:  {{what: "out", query: `mutation($s: ID!, $m: ID!) { voicemailDrop(id: $s, dropMessageId: $m) { call { id } ` + problems + ` } }`, consumes: true}},
	gate.Listen: {
		{what: "recording", query: `query($s: ID!) { node(id: $s) { ... on Recording { url } } }`},
		{what: "voicemail", query: `query($s: ID!) { voicemail(id: $s) { recording { url } } }`},
	},
	gate.DeleteRecording: {{what: "recording", query: `mutation($s: ID!) { recordingsDelete(ids: [$s], reason: "test") { results { outcome } ` + problems + ` } }`, consumes: true}},
	gate.DeleteVoicemail: {{what: "voicemail", query: `mutation($s: ID!) { voicemailsDelete(ids: [$s], reason: "test") { results { outcome } ` + problems + ` } }`, consumes: true}},
	gate.MarkVoicemail:   {{what: "voicemail", query: `mutation($s: ID!) { voicemailMarkHeard(id: $s) { voicemail { id } ` + problems + ` } }`}},
	gate.WorkOnFollowUp:  {{what: "followup", query: `mutation($s: ID!) { followUpUpdate(id: $s, input: {note: "x"}) { followUp { id } ` + problems + ` } }`}},
	gate.AssignFollowUp:  {{what: "followup", query: `mutation($s: ID!) { followUpAssign(id: $s, userId: null) { followUp { id } ` + problems + ` } }`, consumes: true}},
	gate.Edit: {
		{what: "contact", query: `mutation($s: ID!) { contactUpdate(id: $s, input: {status: "x"}) { contact { id } ` + problems + ` } }`},
		{what: "record", query: `mutation($s: ID!, $b: String!) { recordUpdate(id: $s, input: {title: $b}) { record { id } ` + problems + ` } }`},
		{what: "user", query: `mutation($s: ID!, $b: String!) { userUpdate(id: $s, input: {name: $b}) { user { id } ` + problems + ` } }`},
	},
	gate.DeleteContact:     {{what: "contact", query: `mutation($s: ID!) { contactDelete(ids: [$s]) { deletedIds ` + problems + ` } }`, consumes: true}},
	gate.MergeContact:      {{what: "contact", query: `mutation($s: ID!, $c: ID!) { contactMerge(id: $c, from: [$s]) { contact { id } ` + problems + ` } }`, consumes: true}},
	gate.ReportRecordEvent: {{what: "record", query: `mutation($s: ID!) { recordEvent(input: {recordId: $s, event: ARRIVED}) { record { id } ` + problems + ` } }`}},
	gate.AssignThread:      {{what: "thread", query: `mutation($s: ID!) { smsThreadAssign(id: $s, userId: null) { ` + problems + ` } }`, consumes: true}},
	gate.CloseThread:       {{what: "thread", query: `mutation($s: ID!) { smsThreadClose(id: $s) { ` + problems + ` } }`}},
	gate.RelinkMessage:     {{what: "message", query: `mutation($s: ID!) { messageRelink(id: $s, input: {recordId: null}) { message { id } ` + problems + ` } }`}},
	gate.DeleteMessage:     {{what: "message", query: `mutation($s: ID!) { messagesDelete(ids: [$s], reason: "test") { messages { id } ` + problems + ` } }`, consumes: true}},
}

// elsewhere are the actions whose real thing another test tries, of package gate: a
// transcript needs a provider, and telling customers an automation.
var elsewhere = map[gate.Action]string{
	gate.EditTranscript: "TestCanAgreesWithWhatIsDoneToTranscripts", gate.DeleteTranscript: "TestCanAgreesWithWhatIsDoneToTranscripts",
	gate.NotifyOnTheWay: "TestCanKnowsWhereCustomersAreNotTold",
}

var (
	problemCodes = regexp.MustCompile(`"code":"([A-Z_]+)"`)
	outcomes     = regexp.MustCompile(`"outcome":"(HELD|NOT_FOUND|IN_PROGRESS)"`)
)

// done is the code of the first problem of an attempt, NOT_FOUND for a null, "" when it works.
func (a *asked) done(who *demo.Client, x attempt, subject string) string {
	a.t.Helper()
	vars := demo.Vars{"s": subject}
	for name, v := range map[string]func() any{
		"$d": func() any { return a.van }, "$b": func() any { a.words++; return fmt.Sprintf("Hello %d", a.words) },
		"$a": func() any { return a.olga.ID }, "$c": func() any { return a.make("contact", true) }, "$m": func() any { return a.things["drop"] },
	} {
		if strings.Contains(x.query, name+":") {
			vars[name[1:]] = v()
		}
	}
	answer := a.answered(who, x.query, vars)
	if m := problemCodes.FindStringSubmatch(answer); m != nil {
		return m[1]
	}
	if m := outcomes.FindStringSubmatch(answer); m != nil {
		return m[1]
	}
	if strings.HasPrefix(x.query, "query") && strings.Contains(answer, ":null") {
		return "NOT_FOUND"
	}
	return ""
}

// What can says and what becomes of the attempt agree, for every action, for those who
// may do everything, nothing, only what no option withholds, and a fieldworker.
func TestCanAgreesWithTheRealAttempt(t *testing.T) {
	a := newAsked(t)
	a.things["drop"] = a.made("dropMessageCreate", "DropMessageCreateInput", "dropMessage", demo.Vars{"name": "Drop", "text": "Hello"})
	nothing, sees := a.role("Nothing", "ORGANIZATION"), a.role("Sees", "ORGANIZATION", "CONTACT_VIEW", "CALL_VIEW", "SMS_VIEW", "VOICEMAIL_LISTEN", "RECORDING_LISTEN", "FOLLOW_UP_VIEW")
	for action, of := range gate.Actions() {
		if _, tried := attempts[action]; !tried && elsewhere[action] == "" && !slices.Contains(of, 0) {
			t.Errorf("%s is tried nowhere: write an attempt", action)
		}
	}
	narrow := demo.Vars{"isFieldworker": true, "fieldworkerOptions": []demo.Vars{}}
	for _, o := range []string{"DISPLAY_CONTACT_DETAILS", "WHOLE_CUSTOMER_BASE", "SEND_INVOICE_BY_SMS", "NOTIFY_ON_THE_WAY", "CALL_CUSTOMERS", "CALL_ADMINS", "TWO_WAY_SMS", "RESTRICT_BEFORE_START"} {
		narrow["fieldworkerOptions"] = append(narrow["fieldworkerOptions"].([]demo.Vars), demo.Vars{"option": o, "isOn": o == "RESTRICT_BEFORE_START"})
	}
	wide := demo.Vars{"isFieldworker": true, "fieldworkerOptions": []demo.Vars{{"option": "RESTRICT_BEFORE_START", "isOn": true}}}
	for _, o := range []string{"DISPLAY_CONTACT_DETAILS", "WHOLE_CUSTOMER_BASE", "SEND_INVOICE_BY_SMS", "NOTIFY_ON_THE_WAY", "CALL_CUSTOMERS", "CALL_ADMINS", "TWO_WAY_SMS"} {
		wide["fieldworkerOptions"] = append(wide["fieldworkerOptions"].([]demo.Vars), demo.Vars{"option": o, "isOn": true})
	}
	profiles := []struct {
		name string
		role string
		more demo.Vars
	}{
		{"everything", a.full, demo.Vars{"isFieldworker": false}}, {"nothing", nothing, demo.Vars{"isFieldworker": false}},
		{"what is seen", sees, demo.Vars{"isFieldworker": false}},
		{"changes what is not seen", a.role("Blind", "ORGANIZATION", "CONTACT_EDIT", "CONTACT_DELETE", "RECORD_EVENT_ADD"), demo.Vars{"isFieldworker": false}},
		{"deletes and changes nothing", a.role("Deletes", "ORGANIZATION", "CONTACT_VIEW", "CONTACT_DELETE"), demo.Vars{"isFieldworker": false}},
		{"every option narrowed", a.full, narrow}, {"a fieldworker before the booking", a.Role("FIELDWORKER"), wide},
	}
	seen := map[string]bool{}
	for _, p := range profiles {
		for _, action := range slices.Sorted(maps.Keys(attempts)) {
			for i, x := range attempts[action] {
				for _, mine := range []bool{true, false} {
					a.stay()
					key := fmt.Sprintf("%s %v", x.what, mine)
					subject := a.things[key]
					if subject == "" {
						a.change(a.fay, demo.Vars{"roleId": a.full, "isFieldworker": false})
						subject = a.make(x.what, mine)
						a.things[key] = subject
					}
					change := maps.Clone(p.more)
					change["roleId"] = p.role
					a.change(a.fay, change)
					can := a.can(a.fay.Client, string(action), subject)
					code := a.done(a.fay.Client, x, subject)
					a.Settle()
					what := fmt.Sprintf("%s: %s of a %s (%d), theirs %v", p.name, action, x.what, i, mine)
					if can.IsAllowed != (code == "") {
						t.Errorf("%s: can says %+v, and the attempt %q", what, can, code)
					}
					if !can.IsAllowed && (can.Gate == "NONE" || can.Message == "") || can.IsAllowed && can.Gate != "NONE" {
						t.Errorf("%s: %+v", what, can)
					}
					if (can.Gate == "ROLE") != (can.Permission != nil && can.Option == nil) || (can.Gate == "FIELDWORKER_OPTION") != (can.Option != nil) {
						t.Errorf("%s names no gate: %+v", what, can)
					}
					seen[can.Gate] = true
					if code == "" && (x.consumes || strings.Contains(x.query, "callStart")) {
						for call := range a.live {
							a.over(call)
						}
						for _, c := range a.Emulator.Calls() {
							if c.Parent == "" && c.Status != "completed" && c.Status != "canceled" && c.Status != "no-answer" && c.Status != "busy" && c.Status != "failed" {
								_ = a.Emulator.HangUp(c.SID) // one that ended meanwhile
							}
						}
						a.idle()
						a.Settle()
						for k := range a.things {
							if strings.HasPrefix(k, "call ") || strings.HasPrefix(k, "out ") || x.consumes && strings.HasPrefix(k, x.what+" ") {
								delete(a.things, k)
							}
						}
					}
					if code == "" && x.undo != "" {
						if got := a.done(a.fay.Client, attempt{query: x.undo}, subject); got != "" {
							t.Errorf("%s: undone with %s", what, got)
						}
						a.Settle()
					}
					a.Pass(time.Second)
				}
			}
		}
	}
	for _, g := range []string{"NONE", "ROLE", "FIELDWORKER_OPTION", "VISIBILITY", "BEFORE_START", "STATE"} {
		if !seen[g] {
			t.Errorf("the gate %s never said anything", g)
		}
	}
}

// What a legal hold keeps, can says as the attempt does (R226).
func TestCanKnowsOfLegalHolds(t *testing.T) {
	a := newAsked(t)
	a.change(a.fay, demo.Vars{"roleId": a.full, "isFieldworker": false})
	for _, action := range []gate.Action{gate.DeleteContact, gate.MergeContact, gate.DeleteRecording, gate.DeleteVoicemail, gate.DeleteMessage} {
		x := attempts[action][0]
		a.stay()
		subject := a.make(x.what, true)
		hold := a.hold(subject, "a dispute")
		can := a.can(a.fay.Client, string(action), subject)
		code := a.done(a.fay.Client, x, subject)
		if can.IsAllowed || can.Gate != "STATE" || code == "" {
			t.Errorf("%s under a hold: can says %+v, and the attempt %q", action, can, code)
		}
		a.Do(`mutation($id: ID!) { legalHoldRelease(id: $id, reason: "settled") { userErrors { code field message } } }`, demo.Vars{"id": hold}, nil)
		can = a.can(a.fay.Client, string(action), subject)
		if code := a.done(a.fay.Client, x, subject); !can.IsAllowed || code != "" {
			t.Errorf("%s after the hold: can says %+v, and the attempt %q", action, can, code)
		}
		a.Settle()
	}
}

// What the organization switched off is refused to everybody, by its name.
func TestCanNamesTheFeatureThatRefusesTheAttempt(t *testing.T) { // R099
	a := newAsked(t)
	call := a.make("call", true)
	for action, feature := range map[gate.Action]string{gate.AddParticipant: "CONFERENCE", gate.PauseRecording: "RECORDING_PAUSE"} {
		if can := a.can(a.fay.Client, string(action), call); !can.IsAllowed {
			t.Errorf("%s: %+v", action, can)
		}
		a.company(demo.Vars{"features": []demo.Vars{{"name": feature, "isOn": false}}})
		can := a.can(a.fay.Client, string(action), call)
		code := a.done(a.fay.Client, attempts[action][0], call)
		if can.IsAllowed || can.Gate != "FEATURE" || can.Feature == nil || *can.Feature != feature || code != "FORBIDDEN" {
			t.Errorf("%s without %s: can says %+v, and the attempt %q", action, feature, can, code)
		}
	}
}

// In general: the action's permission guards a root field of the contract, which answers alike.
func TestCanInGeneralAgreesWithTheContract(t *testing.T) {
	a := newAsked(t)
	schema := asking{schema: graph.Schema()}
	guarded := map[string]string{}
	for field, f := range roots(schema.schema) {
		if d := f.Directives.ForName("can"); d != nil && !strings.HasPrefix(field, "Subscription") {
			p := d.Arguments.ForName("do").Value.Raw
			if guarded[p] == "" || field < guarded[p] {
				guarded[p] = field
			}
		}
	}
	nothing := a.role("Nothing", "ORGANIZATION")
	for action, of := range gate.Actions() {
		if !slices.Contains(of, id.Kind(0)) {
			continue
		}
		a.change(a.fay, demo.Vars{"roleId": nothing})
		no := a.can(a.fay.Client, string(action), "")
		if no.IsAllowed || no.Gate != "ROLE" && no.Gate != "FEATURE" {
			t.Errorf("%s without any permission: %+v", action, no)
			continue
		}
		if no.Permission == nil {
			continue
		}
		field := guarded[*no.Permission]
		for _, role := range []string{nothing, a.full} {
			a.change(a.fay, demo.Vars{"roleId": role})
			can := a.can(a.fay.Client, string(action), "")
			if role == a.full && !can.IsAllowed {
				t.Errorf("%s with every permission: %+v", action, can)
			}
			if field == "" {
				continue // asked by a command itself, which the stories of its noun try
			}
			f := roots(schema.schema)[field]
			answer := a.answered(a.fay.Client, schema.operation(field, f), schema.arguments(f))
			if refused := strings.Contains(answer, "FORBIDDEN"); refused == can.IsAllowed {
				t.Errorf("%s: can says %+v, and %s answers %s", action, can, field, answer)
			}
		}
	}
}

// What is not seen is told apart from what does not exist by nothing.
func TestCanKeepsExistencePrivate(t *testing.T) {
	a := newAsked(t)
	kinds := map[id.Kind]string{id.Contact: "contact", id.Record: "record", id.Call: "call", id.Voicemail: "voicemail", id.Thread: "thread", id.Message: "message", id.Recording: "recording", id.FollowUp: "followup"}
	foreign := map[id.Kind]string{}
	a.Branch("Far")
	for k, what := range kinds {
		foreign[k] = a.make(what, false)
	}
	for call := range a.live {
		a.over(call)
	}
	bob := a.User("bob", "FIELDWORKER", "")
	a.change(bob, demo.Vars{"roleId": a.role("Own", "OWN", everyPermission()...)})
	for action, of := range gate.Actions() {
		for _, k := range of {
			if foreign[k] == "" {
				continue
			}
			theirs, never := a.can(bob.Client, string(action), foreign[k]), a.can(bob.Client, string(action), id.New(k).String())
			if theirs.IsAllowed || asJSON(theirs) != asJSON(never) {
				t.Errorf("%s of a %s of others: %+v, of one that never was: %+v", action, kinds[k], theirs, never)
			}
		}
	}
	// Nor through somebody else: who asks about another sees the thing themselves.
	ask := `query($u: ID!, $s: ID!) { can(userId: $u, action: VIEW, subjectId: $s) { ` + canFields + ` } }`
	var hidden, shown struct{ Can canView }
	a.Must(bob.Client.Do(t.Context(), ask, demo.Vars{"u": a.ann.ID, "s": foreign[id.Contact]}, &hidden))
	if hidden.Can.Gate != "VISIBILITY" {
		t.Errorf("bob learns through ann: %+v", hidden.Can)
	}
	a.Do(ask, demo.Vars{"u": a.ann.ID, "s": foreign[id.Contact]}, &shown)
	if !shown.Can.IsAllowed {
		t.Errorf("the administrator asks about ann: %+v", shown.Can)
	}
	office := a.User("otto", "OFFICE", "")
	if code := a.try(office.Client, ask, demo.Vars{"u": a.ann.ID, "s": foreign[id.Contact]}, nil); code != "FORBIDDEN" {
		t.Errorf("without USER_MANAGE somebody asks about another: %q", code)
	}
	a.Do(`mutation($u: ID!) { userDisable(id: $u) { userErrors { code field message } } }`, demo.Vars{"u": a.ann.ID}, nil)
	a.Do(ask, demo.Vars{"u": a.ann.ID, "s": foreign[id.Contact]}, &shown)
	if shown.Can.IsAllowed {
		t.Errorf("somebody who is switched off: %+v", shown.Can)
	}
}

func TestViewerCanAsksManyAtOnce(t *testing.T) {
	a := newAsked(t)
	mine, text := a.make("record", true), a.make("thread", true)
	checks := []demo.Vars{{"action": "CALL", "subjectId": mine}, {"action": "SMS", "subjectId": text}, {"action": "VIEW_AUDIT_LOG"}, {"action": "VIEW", "subjectId": id.New(id.Call).String()}}
	const query = `query($c: [CanCheckInput!]!) { viewer { can(checks: $c) { ` + canFields + ` } } }`
	var out struct{ Viewer struct{ Can []canView } }
	a.Must(a.fay.Client.Do(t.Context(), query, demo.Vars{"c": checks}, &out))
	if got := out.Viewer.Can; len(got) != 4 || !got[0].IsAllowed || !got[1].IsAllowed || !got[2].IsAllowed || got[3].Gate != "VISIBILITY" {
		t.Errorf("the answers are %+v", got)
	}
	for len(checks) <= 100 {
		checks = append(checks, checks[0])
	}
	if code := a.try(a.fay.Client, query, demo.Vars{"c": checks}, nil); code != "INVALID" {
		t.Errorf("%d questions: %q", len(checks), code)
	}
	for what, c := range map[string]demo.Vars{"a subject that is not wanted": {"action": "VIEW_AUDIT_LOG", "subjectId": mine}, "no subject": {"action": "VIEW"}, "another kind": {"action": "LISTEN", "subjectId": mine}} {
		if code := a.try(a.fay.Client, query, demo.Vars{"c": []demo.Vars{c}}, nil); code != "INVALID" {
			t.Errorf("%s: %q", what, code)
		}
	}
}
