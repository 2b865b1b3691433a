package app_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/db"
	"switchboard/internal/demo"
	"switchboard/internal/diagnose"
	"switchboard/internal/emulator"
	"switchboard/internal/id"
	"switchboard/internal/testkit/stage"
)

const (
	doctorNumber = "+61255501234"
	doctorCaller = "+61412345678"
)

// clinic is a healthy organization that is looked after by the doctor: a number with a
// branch, whose one person has a device.
type clinic struct {
	*stage.Stage
	t                         *testing.T
	number, branch, ann, desk string
	annClient                 *demo.Client
	kept                      map[string]string // what a case keeps for its mending
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	s := stage.New(t)
	c := &clinic{Stage: s, t: t, kept: map[string]string{}}
	c.branch = s.Branch("Sydney")
	c.number = s.Number(doctorNumber, demo.Vars{"branchId": c.branch, "recording": demo.Vars{"incoming": "FROM_ANSWER", "outgoing": "FROM_ANSWER"}})
	p := s.User("ann", "OFFICE", "", c.branch)
	c.ann, c.annClient, c.desk = p.ID, p.Client, s.Device(p, "Desk")
	s.Settle()
	return c
}

// later lets time pass, with every look that is due in it, and signs in anew.
func (c *clinic) later(d time.Duration) {
	c.t.Helper()
	c.Pass(d)
	c.Settle()
	// What a look at an account changes of its numbers has them looked at a minute later.
	c.Must(c.App.Events.Drain(c.t.Context()))
	c.Pass(time.Minute)
	c.Settle()
	c.again()
}

// again signs in anew: tokens live for minutes.
func (c *clinic) again() {
	c.t.Helper()
	c.Admin = c.SignIn("admin")
	if ann, err := demo.SignIn(c.t.Context(), c.GraphQL(), "ann@stage.test", stage.Password); err == nil { // unless she is disabled
		c.t.Cleanup(ann.Close)
		c.annClient = ann
	}
}

type diagnosisView struct {
	IsLive   bool
	Checks   []struct{ Code, Result, Title, Detail string }
	Findings []struct {
		Code, Severity, Detail, Fix, Source string
		Subject                             *struct{ ID string }
		Evidence                            []struct{ Key, Value string }
		Finding                             *struct{ ID string }
	}
}

const diagnosisQuery = `query($i: DiagnoseInput!) { diagnose(input: $i) { isLive checks { code result title detail }
	findings { code severity detail fix source subject { id } evidence { key value } finding { id } } } }`

func (c *clinic) diagnose(input demo.Vars) diagnosisView {
	c.t.Helper()
	var out struct{ Diagnose diagnosisView }
	c.Do(diagnosisQuery, demo.Vars{"i": input}, &out)
	return out.Diagnose
}

// only fails unless the diagnosis names the code and nothing else, not even a warning,
// but what is said to come with it.
func (d diagnosisView) only(t *testing.T, code, why string, with ...diagnose.Code) {
	t.Helper()
	named := false
	for _, f := range d.Findings {
		if named = named || f.Code == code; f.Code != code && !slices.Contains(with, diagnose.Code(f.Code)) {
			t.Errorf("%s: it also names %s: %s", why, f.Code, f.Detail)
		}
		if f.Detail == "" || f.Fix == "" || f.Source == "" {
			t.Errorf("%s: %s says %q, to mend %q, by %q", why, f.Code, f.Detail, f.Fix, f.Source)
		}
	}
	if !named {
		t.Errorf("%s: it does not name %s:\n%s", why, code, d.text())
	}
}

// without fails when the diagnosis still names the code, or anything but what is there
// all the time.
func (d diagnosisView) without(t *testing.T, code, when string, always ...diagnose.Code) {
	t.Helper()
	for _, f := range d.Findings {
		if f.Code == code || !slices.Contains(always, diagnose.Code(f.Code)) {
			t.Errorf("%s it names %s: %s", when, f.Code, f.Detail)
		}
	}
}

func (d diagnosisView) text() string {
	var b strings.Builder
	for _, c := range d.Checks {
		fmt.Fprintf(&b, "%s %s: %s\n", c.Code, c.Result, c.Detail)
	}
	return b.String()
}

type findingView struct {
	ID, Code, Severity, Title, Detail string
	IsOpen                            bool
	Subject                           *struct{ ID string }
	OpenedAt, LastSeenAt              time.Time
	ClearedAt, AcknowledgedAt         *time.Time
	Note                              *string
}

// open are the codes of what is open.
func (c *clinic) open() (codes []string) {
	c.t.Helper()
	for _, f := range c.findings(demo.Vars{"isOpen": true}) {
		codes = append(codes, f.Code)
	}
	slices.Sort(codes)
	return codes
}

func (c *clinic) findings(filter demo.Vars) []findingView {
	c.t.Helper()
	var out struct{ Findings struct{ Nodes []findingView } }
	c.Do(`query($f: FindingFilter) { findings(first: 100, filter: $f) { nodes { id code severity title detail isOpen subject { id } openedAt lastSeenAt clearedAt acknowledgedAt note } } }`,
		demo.Vars{"f": filter}, &out)
	return out.Findings.Nodes
}

func (c *clinic) set(input demo.Vars) {
	c.t.Helper()
	c.Do(`mutation($n: ID!, $i: PhoneNumberUpdateInput!) { phoneNumberUpdate(id: $n, input: $i) { userErrors { code field message } } }`, demo.Vars{"n": c.number, "i": input}, nil)
}

func (c *clinic) connection(input demo.Vars) {
	c.t.Helper()
	c.Do(`mutation($n: ID!, $i: TwilioConnectionUpdateInput!) { twilioConnectionUpdate(id: $n, input: $i) { userErrors { code field message } } }`, demo.Vars{"n": c.ConnectionID, "i": input}, nil)
}

func (c *clinic) rewrite() {
	c.t.Helper()
	c.Do(`mutation($n: ID!) { phoneNumberWebhooksWrite(id: $n) { userErrors { code field message } } }`, demo.Vars{"n": c.number}, nil)
}

func (c *clinic) members(users ...string) {
	c.t.Helper()
	c.Do(`mutation($b: ID!, $u: [ID!]) { branchUpdate(id: $b, input: {userIds: $u}) { userErrors { code field message } } }`, demo.Vars{"b": c.branch, "u": append([]string{}, users...)}, nil)
}

// atTwilio changes the number by hand in the console.
func (c *clinic) atTwilio(change func(n *emulator.NumberSpec)) {
	c.t.Helper()
	c.Must(c.Emulator.UpdateNumber(doctorNumber, change))
}

// sql changes what no door leads to.
func (c *clinic) sql(query string, args ...any) {
	c.t.Helper()
	org, err := id.Parse(c.OrganizationID)
	c.Must(err)
	_, err = db.Exec(c.t.Context(), c.App.DB.Worker(), query, append([]any{org}, args...)...)
	c.Must(err)
}

// rings lets somebody call and hang up.
func (c *clinic) rings() string {
	c.t.Helper()
	sid, err := c.Emulator.PlaceInbound(emulator.InboundCall{From: doctorCaller, To: doctorNumber})
	c.Must(err)
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	c.Must(c.Emulator.WaitIdle(ctx))
	c.Pass(2 * time.Second)
	_ = c.Emulator.HangUp(sid) // it may be over already
	c.Must(c.Emulator.WaitIdle(ctx))
	c.Pass(2 * time.Minute)
	c.again()
	return sid
}

// signed posts to an address of the connection, signed by the account.
func (c *clinic) signed(key, path string, form url.Values) int {
	c.t.Helper()
	address := c.URL + "/twilio/" + c.ConnectionID + "/" + key + "/" + path
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	c.Must(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Twilio-Signature", emulator.Sign(stage.AuthToken, address, form))
	res, err := http.DefaultClient.Do(req)
	c.Must(err)
	_ = res.Body.Close()
	return res.StatusCode
}

// ailment is one thing that can be wrong, how it comes about and how it is mended.
type ailment struct {
	why         string
	code        diagnose.Code
	subject     string // of the input; "" is the number
	break_      func(c *clinic)
	mend        func(c *clinic)
	asleep      bool            // only who asks is told: the regular look does not keep it
	everyMinute bool            // it passes by itself: there is no time for a regular look
	with        []diagnose.Code // what else is wrong then, and why is said where it stands
}

func (a ailment) input(c *clinic) demo.Vars {
	switch a.subject {
	case "user":
		return demo.Vars{"userId": c.ann}
	case "bob":
		return demo.Vars{"userId": c.kept["bob"]}
	case "connection":
		return demo.Vars{"connectionId": c.ConnectionID}
	case "organization":
		return demo.Vars{}
	}
	return demo.Vars{"phoneNumberId": c.number}
}

// ailments of connections, numbers and people, in an order in which each leaves the
// organization healthy.
var ailments = []ailment{
	{why: "somebody made another token the primary one", code: diagnose.TokenRefused,
		break_: func(c *clinic) { c.Must(c.Emulator.SetToken(c.AccountSID, strings.Repeat("e", 32))) },
		mend:   func(c *clinic) { c.Must(c.Emulator.SetToken(c.AccountSID, stage.AuthToken)) }},
	{why: "the balance is used up", code: diagnose.AccountSuspended, subject: "connection",
		break_: func(c *clinic) { c.Must(c.Emulator.SetAccountStatus(c.AccountSID, "suspended")) },
		mend:   func(c *clinic) { c.Must(c.Emulator.SetAccountStatus(c.AccountSID, "active")) }},
	{why: "the account was closed", code: diagnose.AccountClosed,
		break_: func(c *clinic) { c.Must(c.Emulator.SetAccountStatus(c.AccountSID, "closed")) },
		mend:   func(c *clinic) { c.Must(c.Emulator.SetAccountStatus(c.AccountSID, "active")) }},
	{why: "a trial account (R019, R269)", code: diagnose.TrialAccount,
		break_: func(c *clinic) { c.Must(c.Emulator.SetAccountType(c.AccountSID, emulator.Trial)) },
		mend:   func(c *clinic) { c.Must(c.Emulator.SetAccountType(c.AccountSID, emulator.Full)) }},
	{why: "the connection is off (R009)", code: diagnose.ConnectionDisabled, asleep: true,
		break_: func(c *clinic) { c.connection(demo.Vars{"isEnabled": false}) },
		mend:   func(c *clinic) { c.connection(demo.Vars{"isEnabled": true}) }},
	{why: "the numbers could not be read (R012)", code: diagnose.ImportFailed,
		break_: func(c *clinic) {
			c.Must(c.Emulator.SetToken(c.AccountSID, strings.Repeat("e", 32)))
			c.importNumbers()
			c.Must(c.Emulator.SetToken(c.AccountSID, stage.AuthToken))
		},
		mend: (*clinic).importNumbers},
	{why: "an address with an old key stands in a TwiML App (R017)", code: diagnose.AccessKeyOld, subject: "connection",
		break_: func(c *clinic) {
			if got := c.signed("OLDKEYOLDKEYOLDKEYOLDKEY12", "status", url.Values{"AccountSid": {c.AccountSID}, "CallSid": {"CA" + strings.Repeat("1", 32)}}); got != http.StatusForbidden {
				c.t.Errorf("an old key is answered %d", got)
			}
		},
		mend: func(c *clinic) { // a day goes by without another
			c.sql(`UPDATE refused_post SET first_at = first_at - interval '1 day', last_at = last_at - interval '1 day' WHERE organization_id = $1 AND why = 'ACCESS_KEY'`)
		}},
	{why: "a proxy adds to the query (D28)", code: diagnose.ProxyBreaksSignatures,
		break_: func(c *clinic) {
			c.Must(c.Emulator.SetNetwork(emulator.NetworkRewrites))
			c.rings()
			c.rings()
			c.rings()
		},
		mend: func(c *clinic) { c.Must(c.Emulator.SetNetwork("")); c.rings() }},
	{why: "a firewall lets nobody in", code: diagnose.PublicURLUnreachable,
		break_: func(c *clinic) { c.Must(c.Emulator.SetNetwork(emulator.NetworkDown)); c.rings() },
		mend:   func(c *clinic) { c.Must(c.Emulator.SetNetwork("")); c.rings() }},
	{why: "the name leads to another machine", code: diagnose.NoWebhooksArriving,
		break_: func(c *clinic) { c.Must(c.Emulator.SetNetwork(emulator.NetworkDetour)); c.rings() },
		mend:   func(c *clinic) { c.Must(c.Emulator.SetNetwork("")); c.rings() }},
	{why: "more than ten people at once", code: diagnose.CallsPerSecondQueue, everyMinute: true,
		break_: func(c *clinic) {
			c.sql(`UPDATE twilio_connection SET calls_booked_until = $2 WHERE organization_id = $1`, c.Clock.Now().Add(30*time.Second))
		},
		mend: func(c *clinic) {
			c.sql(`UPDATE twilio_connection SET calls_booked_until = NULL WHERE organization_id = $1`)
		}},
	{why: "calls to the country are off (R149)", code: diagnose.GeoPermission,
		break_: func(c *clinic) { c.Must(c.Emulator.SetDialingPermission(c.AccountSID, "AU", false)) },
		mend:   func(c *clinic) { c.Must(c.Emulator.SetDialingPermission(c.AccountSID, "AU", true)) }},

	{why: "the number is off (R013, D26)", code: diagnose.NumberDisabled, asleep: true,
		break_: func(c *clinic) { c.set(demo.Vars{"isEnabled": false}) },
		mend:   func(c *clinic) { c.set(demo.Vars{"isEnabled": true}) }},
	{why: "a service's SID stands where the number's is due (R003)", code: diagnose.WrongSIDKind,
		break_: func(c *clinic) {
			spec, _ := c.Emulator.Number(doctorNumber)
			c.kept["sid"] = spec.SID
			c.sql(`UPDATE phone_number SET twilio_sid = $2 WHERE organization_id = $1`, "MG"+strings.Repeat("a", 32))
		},
		mend: func(c *clinic) {
			c.sql(`UPDATE phone_number SET twilio_sid = $2, drift = NULL WHERE organization_id = $1`, c.kept["sid"])
		}},
	{why: "the number was moved to another account", code: diagnose.NumberGone,
		break_: func(c *clinic) {
			other := "AC" + strings.Repeat("d", 32)
			if c.kept["other"] == "" {
				c.Must(c.Emulator.AddAccount(other, strings.Repeat("d", 32), emulator.Full))
				c.kept["other"] = other
			}
			c.Must(c.Emulator.MoveNumber(doctorNumber, other))
		},
		mend: func(c *clinic) { c.Must(c.Emulator.MoveNumber(doctorNumber, c.AccountSID)) }},
	{why: "somebody changed the voice URL by hand", code: diagnose.WebhookChanged,
		break_: func(c *clinic) {
			c.atTwilio(func(n *emulator.NumberSpec) { n.VoiceURL = "https://demo.twilio.com/welcome/voice/" })
		},
		mend: (*clinic).rewrite},
	{why: "an application takes the texts", code: diagnose.WebhookChanged,
		break_: func(c *clinic) {
			app, err := c.Emulator.AddApplication(c.AccountSID, map[string]string{"FriendlyName": "theirs", "SmsUrl": "https://theirs.example.com/sms"})
			c.Must(err)
			c.atTwilio(func(n *emulator.NumberSpec) { n.SMSApplicationSID = app })
		},
		mend: (*clinic).rewrite},
	{why: "a trunk takes the calls (D22)", code: diagnose.OnTrunk,
		break_: func(c *clinic) {
			c.atTwilio(func(n *emulator.NumberSpec) { n.TrunkSID = "TK" + strings.Repeat("a", 32) })
		},
		mend: (*clinic).rewrite},
	{why: "the number cannot text any more (R015)", code: diagnose.CapabilityMissing,
		break_: func(c *clinic) { c.atTwilio(func(n *emulator.NumberSpec) { n.NoSMS = true }) },
		mend:   func(c *clinic) { c.atTwilio(func(n *emulator.NumberSpec) { n.NoSMS = false }) }},
	{why: "not for messages (R030)", code: diagnose.NotUsedFor, asleep: true,
		break_: func(c *clinic) { c.set(demo.Vars{"usage": demo.Vars{"messages": false}}) },
		mend:   func(c *clinic) { c.set(demo.Vars{"usage": demo.Vars{"messages": true}}) }},
	{why: "a name that phones in the United States do not show (R151)", code: diagnose.SenderCountry, asleep: true,
		break_: func(c *clinic) { c.sender("ACME") },
		mend:   func(c *clinic) { c.sender(nil) }},
	{why: "nobody asked for recordings (R271)", code: diagnose.RecordingOff, asleep: true,
		break_: func(c *clinic) { c.set(demo.Vars{"recording": demo.Vars{"incoming": "OFF", "outgoing": "OFF"}}) },
		mend: func(c *clinic) {
			c.set(demo.Vars{"recording": demo.Vars{"incoming": "FROM_ANSWER", "outgoing": "FROM_ANSWER"}})
		}},
	{why: "the number belongs to no branch (R023)", code: diagnose.NobodyToRing,
		break_: func(c *clinic) { c.set(demo.Vars{"branchId": nil}) },
		mend:   func(c *clinic) { c.set(demo.Vars{"branchId": c.branch}) }},
	{why: "the branch has nobody (R023)", code: diagnose.OtherBranch,
		break_: func(c *clinic) { c.members() },
		mend:   func(c *clinic) { c.members(c.ann) }},
	{why: "it is closed all week (D02)", code: diagnose.ClosedNow, asleep: true,
		break_: func(c *clinic) {
			var out struct {
				OpeningHoursCreate struct{ OpeningHours struct{ ID string } }
			}
			c.Do(`mutation { openingHoursCreate(input: {name: "Never", week: [{day: SUNDAY, from: "03:00", to: "03:01"}]}) { openingHours { id } userErrors { code field message } } }`, nil, &out)
			c.set(demo.Vars{"routing": demo.Vars{"openingHoursId": out.OpeningHoursCreate.OpeningHours.ID}})
		},
		mend: func(c *clinic) { c.set(demo.Vars{"routing": demo.Vars{"openingHoursId": nil}}) }},

	{why: "the microphone is refused (R075, R275)", code: diagnose.DeviceNotReady, subject: "user",
		break_: func(c *clinic) { c.microphone("DENIED") },
		mend:   func(c *clinic) { c.microphone("GRANTED") }},
	{why: "they do not want to be disturbed (R072)", code: diagnose.DoNotDisturb, subject: "user", asleep: true,
		break_: func(c *clinic) { c.quiet(true) },
		mend:   func(c *clinic) { c.quiet(false) }},
	{why: "their role does not receive calls (R073)", code: diagnose.Role, subject: "user",
		break_: func(c *clinic) {
			var out struct {
				RoleCreate struct{ Role struct{ ID string } }
			}
			c.Do(`mutation { roleCreate(input: {name: "Reads", permissions: [CALL_VIEW], visibility: BRANCH}) { role { id } userErrors { code field message } } }`, nil, &out)
			c.role(out.RoleCreate.Role.ID)
		},
		mend: func(c *clinic) { c.role(c.Role("OFFICE")) }},
	{why: "they left", code: diagnose.UserDisabled, subject: "user", asleep: true,
		break_: func(c *clinic) {
			c.Do(`mutation($u: ID!) { userDisable(id: $u) { userErrors { code field message } } }`, demo.Vars{"u": c.ann}, nil)
		},
		mend: func(c *clinic) {
			c.Do(`mutation($u: ID!) { userEnable(id: $u) { userErrors { code field message } } }`, demo.Vars{"u": c.ann}, nil)
			c.annClient = c.SignIn("ann")
			c.desk = c.Device(stage.Person{ID: c.ann, Client: c.annClient}, "Desk")
		}},
	{why: "an iPhone that nothing wakes", code: diagnose.NoPush, subject: "user",
		break_: func(c *clinic) {
			c.kept["phone"] = c.DeviceOn(stage.Person{ID: c.ann, Client: c.annClient}, "iPhone", "IOS")
		},
		mend: func(c *clinic) {
			c.Do(`mutation($d: ID!) { deviceRemove(id: $d) { userErrors { code field message } } }`, demo.Vars{"d": c.kept["phone"]}, nil)
		}},
	{why: "people are reached by phone, and she has none (D21)", code: diagnose.NoPhone, subject: "user",
		break_: func(c *clinic) { c.set(demo.Vars{"routing": demo.Vars{"reachBy": "PRIMARY_PHONE"}}) },
		mend:   func(c *clinic) { c.set(demo.Vars{"routing": demo.Vars{"reachBy": "DEVICES"}}) }},
	{why: "a colleague who never signed in on a device (R065)", code: diagnose.NoDevice, subject: "bob",
		break_: func(c *clinic) {
			c.kept["bob"] = c.User("bob", "OFFICE", "", c.branch).ID
			c.Pass(time.Minute) // from now on the doctor knows him
			c.Settle()
		},
		mend: func(c *clinic) { c.Device(stage.Person{ID: c.kept["bob"], Client: c.SignIn("bob")}, "Desk") }},
	{why: "a colleague of another branch", code: diagnose.OtherBranch, subject: "bob", asleep: true,
		break_: func(c *clinic) { c.members(c.ann) },
		mend:   func(c *clinic) { c.members(c.ann, c.kept["bob"]) }},

	{why: "a receiver that is gone", code: diagnose.WebhookEndpointDisabled, subject: "organization",
		break_: func(c *clinic) {
			c.sql(`INSERT INTO webhook_endpoint (organization_id, id, url, role_id, status, disabled_reason, disabled_at, created_by, updated_at)
				SELECT $1, $2, 'https://hooks.example.com/x', r.id, 'DISABLED', 'GONE', $3, u.id, $3 FROM role r, "user" u
				WHERE r.organization_id = $1 AND u.organization_id = $1 ORDER BY r.id, u.id LIMIT 1`, id.New(id.WebhookEndpoint), c.Clock.Now())
		},
		mend: func(c *clinic) {
			c.sql(`UPDATE webhook_endpoint SET status = 'ENABLED', disabled_reason = NULL, disabled_at = NULL WHERE organization_id = $1`)
		}},
	{why: "an event that a consumer could not take", code: diagnose.ParkedEvents, subject: "organization",
		break_: func(c *clinic) {
			c.sql(`INSERT INTO event_parked (organization_id, consumer, seq, id, kind, data, at, attempts, error, parked_at)
				VALUES ($1, 'automation', 1, $2, 'CALL_ENDED', '{}', $3, 5, 'broken', $3)`, id.New(id.Event), c.Clock.Now())
		},
		mend: func(c *clinic) { c.sql(`DELETE FROM event_parked WHERE organization_id = $1`) }},
	{why: "a new token, whose former one ends soon (R005)", code: diagnose.RotationEnding, everyMinute: true,
		break_: func(c *clinic) {
			c.Must(c.Emulator.SetToken(c.AccountSID, strings.Repeat("f", 32)))
			c.connection(demo.Vars{"authToken": strings.Repeat("f", 32)})
			c.later(19 * time.Hour)
		},
		mend: func(c *clinic) { c.later(6 * time.Hour) }},
}

func (c *clinic) importNumbers() {
	c.t.Helper()
	c.Do(`mutation($c: ID!) { twilioConnectionImport(id: $c) { userErrors { code field message } } }`, demo.Vars{"c": c.ConnectionID}, nil)
	c.Must(c.App.Jobs.Drain(c.t.Context()))
}

func (c *clinic) sender(name any) {
	c.t.Helper()
	c.Do(`mutation($n: ID!, $s: String) { numberMessagingUpdate(id: $n, input: {senderName: $s}) { userErrors { code field message } } }`, demo.Vars{"n": c.number, "s": name}, nil)
}

func (c *clinic) microphone(state string) {
	c.t.Helper()
	c.Must(c.annClient.Do(c.t.Context(), `mutation($d: ID!, $m: MicrophoneState!) { deviceReport(input: {id: $d, microphone: $m}) { userErrors { code field message } } }`,
		demo.Vars{"d": c.desk, "m": state}, nil))
}

func (c *clinic) quiet(on bool) {
	c.t.Helper()
	c.Do(`mutation($u: ID!, $on: Boolean!) { userDoNotDisturbSet(input: {userId: $u, isOn: $on}) { userErrors { code field message } } }`, demo.Vars{"u": c.ann, "on": on}, nil)
}

func (c *clinic) role(role string) {
	c.t.Helper()
	c.Do(`mutation($u: ID!, $r: ID!) { userUpdate(id: $u, input: {roleId: $r}) { userErrors { code field message } } }`, demo.Vars{"u": c.ann, "r": role}, nil)
}

// Each one thing is broken alone: the diagnosis names it and no other problem, and
// nothing when it is mended (R268-R275).
func TestEachAilmentIsNamedAloneAndClears(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	if d := c.diagnose(demo.Vars{"phoneNumberId": c.number}); len(d.Findings) > 0 || !d.IsLive || len(d.Checks) < 10 {
		t.Fatalf("a healthy number: %+v\n%s", d.Findings, d.text())
	}
	for _, a := range ailments {
		ok := t.Run(string(a.code)+": "+a.why, func(t *testing.T) {
			c.t, c.Stage.T = t, t
			a.break_(c)
			c.diagnose(a.input(c)).only(t, string(a.code), "broken", a.with...)
			a.mend(c)
			c.diagnose(a.input(c)).without(t, string(a.code), "mended")
		})
		if !ok {
			t.Log("what follows may suffer from it")
		}
	}
	c.t, c.Stage.T = t, t
	if d := c.diagnose(demo.Vars{}); len(d.Findings) > 0 {
		t.Errorf("after all of it the organization has %+v", d.Findings)
	}
	if open := c.open(); len(open) > 0 {
		t.Errorf("after all of it there is open %v", open)
	}
}

// The regular look opens and clears the same by itself, with an event each.
func TestTheRegularLookOpensAndClears(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	c.later(31 * time.Minute)
	if open := c.open(); len(open) > 0 {
		t.Fatalf("a healthy organization has open %v", open)
	}
	for _, a := range ailments {
		if a.everyMinute {
			continue
		}
		t.Run(string(a.code)+": "+a.why, func(t *testing.T) {
			c.t, c.Stage.T = t, t
			a.break_(c)
			c.later(31 * time.Minute)
			open := slices.Compact(c.open())
			if open = slices.DeleteFunc(open, func(x string) bool { return slices.Contains(a.with, diagnose.Code(x)) }); a.asleep && len(open) > 0 {
				t.Errorf("%v is kept, though somebody chose it", open)
			} else if !a.asleep && !slices.Equal(open, []string{string(a.code)}) {
				t.Errorf("the look opened %v", open)
			}
			seen := len(c.findings(demo.Vars{"codes": []string{string(a.code)}}))
			a.mend(c)
			c.later(16 * time.Minute)
			if open := c.open(); len(open) > 0 {
				t.Errorf("mended, there is open %v", open)
			}
			for _, f := range c.findings(demo.Vars{"codes": []string{string(a.code)}}) {
				if f.IsOpen || f.ClearedAt == nil || !f.ClearedAt.After(f.OpenedAt) || f.Title == "" {
					t.Errorf("mended, the finding is %+v", f)
				}
			}
			if !a.asleep && seen == 0 {
				t.Error("nothing was kept")
			}
		})
	}
}
