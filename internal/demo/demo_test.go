package demo_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/app"
	"switchboard/internal/config"
	"switchboard/internal/demo"
	"switchboard/internal/emulator"
	"switchboard/internal/tenant"
	"switchboard/internal/testkit"
	"switchboard/internal/testkit/stage"
)

// seeded is a stage with the demo organization beside its own.
func seeded(t *testing.T) (*stage.Stage, demo.Options, demo.Info) {
	t.Helper()
	s := stage.New(t)
	_, first, err := s.App.Tenants.Create(t.Context(), tenant.Founding{Name: "Demo", AdminEmail: demo.Email, AdminName: "Ada"})
	s.Must(err)
	o := demo.Options{GraphQLURL: s.GraphQL(), Emulator: s.Emulator, Clock: s.Clock, InvitationToken: first.Token}
	info, err := demo.Seed(t.Context(), o)
	s.Must(err)
	return s, o, info
}

// count is how many of everything the demo has.
func count(t *testing.T, c *demo.Client) map[string]int {
	t.Helper()
	var out struct {
		Users, PhoneNumbers, Contacts, Calls struct{ TotalCount int }
		Branches, Devices, Campaigns, Records, TwilioConnections,
		SmsThreads, Voicemails, Messages, MessageTemplates, Automations, BulkMessages, Consents struct{ Nodes []struct{ ID string } }
	}
	err := c.Do(t.Context(), `{
		users(first: 1) { totalCount } phoneNumbers(first: 1) { totalCount } contacts(first: 1) { totalCount } calls(first: 1) { totalCount }
		branches(first: 50) { nodes { id } } devices(first: 50) { nodes { id } } campaigns(first: 50) { nodes { id } } records(first: 50) { nodes { id } }
		twilioConnections(first: 10) { nodes { id } } smsThreads(first: 50) { nodes { id } } voicemails(first: 50) { nodes { id } }
		messages(first: 50) { nodes { id } } messageTemplates(first: 50) { nodes { id } } automations(first: 50) { nodes { id } }
		bulkMessages(first: 50) { nodes { id } } consents(first: 50) { nodes { id } }
	}`, nil, &out)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]int{
		"users": out.Users.TotalCount, "phoneNumbers": out.PhoneNumbers.TotalCount, "contacts": out.Contacts.TotalCount, "calls": out.Calls.TotalCount,
		"branches": len(out.Branches.Nodes), "devices": len(out.Devices.Nodes), "campaigns": len(out.Campaigns.Nodes), "records": len(out.Records.Nodes),
		"connections": len(out.TwilioConnections.Nodes), "smsThreads": len(out.SmsThreads.Nodes), "voicemails": len(out.Voicemails.Nodes),
		"messages": len(out.Messages.Nodes), "templates": len(out.MessageTemplates.Nodes), "automations": len(out.Automations.Nodes),
		"bulks": len(out.BulkMessages.Nodes), "consents": len(out.Consents.Nodes),
	}
}

var whole = map[string]int{
	"users": 5, "branches": 2, "devices": 5, "connections": 1, "phoneNumbers": 3, "contacts": 8, "campaigns": 1, "records": 5,
	"calls": 4, "smsThreads": 5, "voicemails": 1, "messages": 11, "templates": 3, "automations": 2, "bulks": 1, "consents": 2,
}

func TestSeedFurnishesTheDemoOnce(t *testing.T) {
	t.Parallel()
	s, o, info := seeded(t)
	c := demo.NewClient(info.GraphQLURL, info.AccessToken)
	t.Cleanup(c.Close)
	if diff := cmp.Diff(whole, count(t, c)); diff != "" {
		t.Errorf("the demo (-want +got):\n%s", diff)
	}
	if info.AccountSID != demo.AccountSID || info.AuthToken != demo.AuthToken || info.Password != demo.Password || info.Email != demo.Email ||
		info.OrganizationID == "" || len(info.Numbers) != 3 {
		t.Errorf("the info is %+v", info)
	}
	for _, n := range info.Numbers {
		at, _ := s.Emulator.Number(n.E164)
		if n.VoiceURL == "" || at.VoiceURL != n.VoiceURL || at.SMSURL != n.MessageURL || at.StatusCallback != n.StatusURL {
			t.Errorf("number %s: Twilio is told to call %q, %q, %q; the server says %+v", n.E164, at.VoiceURL, at.SMSURL, at.StatusCallback, n)
		}
	}
	if n := len(s.Emulator.Clients(demo.AccountSID)); n != 5 {
		t.Errorf("%d devices are registered at the emulator, want 5", n)
	}
	for _, a := range s.Emulator.Debugger() {
		t.Errorf("the emulator complained: %d %s", a.Code, a.Text)
	}

	// The invitation is used up now; whoever seeds again signs in and finds everything there.
	if _, err := demo.Seed(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(whole, count(t, c)); diff != "" {
		t.Errorf("after a second run (-want +got):\n%s", diff)
	}
}

func TestASeedingThatWasCutShortIsCompleted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why   string
		fault emulator.Fault
	}{
		"while the account is connected": {
			why:   "the connection exists without its application",
			fault: emulator.Fault{Method: "POST", Path: "/Applications.json", Fate: emulator.Fate500},
		},
		"while a number is set up": {
			why:   "people, devices and two numbers are there",
			fault: emulator.Fault{Method: "POST", Path: "300002.json", Fate: emulator.FateRefuse, Code: 21402},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stage.New(t)
			_, first, err := s.App.Tenants.Create(t.Context(), tenant.Founding{Name: "Demo", AdminEmail: demo.Email, AdminName: "Ada"})
			s.Must(err)
			o := demo.Options{GraphQLURL: s.GraphQL(), Emulator: s.Emulator, Clock: s.Clock, InvitationToken: first.Token}
			s.Emulator.FailNext(tc.fault)
			if _, err := demo.Seed(t.Context(), o); err == nil {
				t.Fatal("the fault did not show")
			}
			info, err := demo.Resume(t.Context(), o)
			if err != nil {
				t.Fatalf("%s, but the next run says: %v", tc.why, err)
			}
			c := demo.NewClient(info.GraphQLURL, info.AccessToken)
			t.Cleanup(c.Close)
			if diff := cmp.Diff(whole, count(t, c)); diff != "" {
				t.Errorf("the completed demo (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHistoryHasOneOfEachKindOfCall(t *testing.T) {
	t.Parallel()
	_, _, info := seeded(t)
	c := demo.NewClient(info.GraphQLURL, info.AccessToken)
	t.Cleanup(c.Close)
	var out struct {
		Calls struct {
			Nodes []struct {
				Direction, Status string
				TalkSeconds       *int
				Contact           *struct{ Name string }
				AnsweredBy        *struct{ Name string }
			}
		}
		SmsThreads struct {
			Nodes []struct {
				Contact  *struct{ Name string }
				Messages struct {
					Nodes []struct{ Direction, Status string }
				}
			}
		}
	}
	err := c.Do(t.Context(), `{ calls(first: 10) { nodes { direction status talkSeconds contact { name } answeredBy { name } } }
		smsThreads(first: 10) { nodes { contact { name } messages(first: 10) { nodes { direction status } } } } }`, nil, &out)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, x := range out.Calls.Nodes {
		line := x.Direction + " " + x.Status
		if x.Contact != nil {
			line += " with " + x.Contact.Name
		}
		if x.AnsweredBy != nil {
			line += " by " + x.AnsweredBy.Name
		}
		if x.TalkSeconds != nil {
			line += fmt.Sprintf(" %d s", *x.TalkSeconds)
		}
		got = append(got, line)
	}
	want := []string{
		"OUTBOUND COMPLETED with Carla Diaz 95 s",
		"INBOUND VOICEMAIL",
		"INBOUND MISSED with Bob Tran",
		"INBOUND COMPLETED with Alice Wong by Olive Chen 25 s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls, newest first (-want +got):\n%s", diff)
	}
	var talk []string
	for _, x := range out.SmsThreads.Nodes {
		for _, m := range x.Messages.Nodes {
			talk = append(talk, x.Contact.Name+" "+m.Direction+" "+m.Status)
		}
	}
	want = []string{
		"Alice Wong INBOUND RECEIVED", "Alice Wong OUTBOUND DELIVERED", "Alice Wong INBOUND RECEIVED", "Alice Wong OUTBOUND DELIVERED",
		"Carla Diaz INBOUND RECEIVED", "Carla Diaz OUTBOUND DELIVERED",
		"Bob Tran OUTBOUND DELIVERED", "Bob Tran OUTBOUND DELIVERED", "Bob Tran INBOUND RECEIVED",
		"0491 571 266 INBOUND RECEIVED",
		"Lena Fox INBOUND RECEIVED",
	}
	if diff := cmp.Diff(want, talk); diff != "" {
		t.Errorf("messages, newest first (-want +got):\n%s", diff)
	}
}

func TestTheDemoShowsEachSortOfMessage(t *testing.T) {
	t.Parallel()
	_, _, info := seeded(t)
	c := demo.NewClient(info.GraphQLURL, info.AccessToken)
	t.Cleanup(c.Close)
	var out struct {
		SmsThreads struct {
			Nodes []struct {
				IsOpen, IsOptedOut bool
				Contact            struct{ Name, Kind string }
				AssignedUser       *struct{ Name string }
			}
		}
		Messages struct {
			Nodes []struct {
				Media []struct {
					State        string
					ThumbnailURL *string
				}
			}
		}
		Consents struct {
			Nodes []struct{ Kind, Source string }
		}
		Automations struct {
			Nodes []struct {
				IsEnabled bool
				Warnings  []string
				Runs      struct {
					Nodes []struct {
						State   string
						Message *struct{ Body string }
					}
				}
			}
		}
		BulkMessages struct {
			Nodes []struct {
				Status string
				Counts struct{ Delivered, Skipped int }
			}
		}
	}
	err := c.Do(t.Context(), `{
		smsThreads(first: 10) { nodes { isOpen isOptedOut contact { name kind } assignedUser { name } } }
		messages(first: 10, filter: {hasMedia: true}) { nodes { media { state thumbnailUrl } } }
		consents(first: 10) { nodes { kind source } }
		automations(first: 10) { nodes { isEnabled warnings runs(first: 10) { nodes { state message { body } } } } }
		bulkMessages(first: 10) { nodes { status counts { delivered skipped } } }
	}`, nil, &out)
	if err != nil {
		t.Fatal(err)
	}
	threads := []string{}
	for _, x := range out.SmsThreads.Nodes {
		line := x.Contact.Kind + " " + x.Contact.Name
		if x.AssignedUser != nil {
			line += ", of " + x.AssignedUser.Name
		}
		if !x.IsOpen {
			line += ", closed"
		}
		if x.IsOptedOut {
			line += ", wants no messages"
		}
		threads = append(threads, line)
	}
	want := []string{"CUSTOMER Alice Wong, of Olive Chen", "CONTACT Carla Diaz, closed", "CUSTOMER Bob Tran, of Finn Walker", "LEAD 0491 571 266",
		"LEAD Lena Fox, wants no messages"}
	if diff := cmp.Diff(want, threads); diff != "" {
		t.Errorf("threads (-want +got):\n%s", diff)
	}
	if m := out.Messages.Nodes; len(m) != 1 || len(m[0].Media) != 1 || m[0].Media[0].State != "STORED" || m[0].Media[0].ThumbnailURL == nil {
		t.Errorf("the pictures are %+v", m)
	}
	if x := out.Consents.Nodes; len(x) != 2 || x[0].Kind+x[0].Source != "OPT_OUTKEYWORD" || x[1].Kind+x[1].Source != "OPT_INSTAFF" {
		t.Errorf("what was said of consent is %+v", x)
	}
	on, off := 0, 0
	for _, a := range out.Automations.Nodes {
		if len(a.Warnings) > 0 {
			t.Errorf("an automation warns of %q", a.Warnings)
		}
		if !a.IsEnabled {
			off++
			continue
		}
		on++
		if r := a.Runs.Nodes; len(r) != 1 || r[0].State != "SENT" || r[0].Message == nil || !strings.HasPrefix(r[0].Message.Body, "Hi Bob, Finn is on the way") {
			t.Errorf("its runs are %+v", r)
		}
	}
	if on != 1 || off != 1 {
		t.Errorf("%d automations are on, %d off", on, off)
	}
	if b := out.BulkMessages.Nodes; len(b) != 1 || b[0].Status != "DONE" || b[0].Counts.Delivered != 3 || b[0].Counts.Skipped != 0 {
		t.Errorf("the bulk message is %+v", b)
	}
}

// R263, R264, R265, R266, R267; R135, R142, R154, R161, R170, R174.
func TestTheChecklistPasses(t *testing.T) {
	t.Parallel()
	_, o, _ := seeded(t)
	var out bytes.Buffer
	if err := demo.Checklist(t.Context(), o, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, line := range []string{
		"rings: Dan's browser (web) of Dan Silva", "rings: Dan's iPhone (ios) of Dan Silva", // R263
		"Dan's iPhone stopped and sees: answered by Olive Chen",            // R264
		"Olive Chen is told by an event",                                   // R265
		"inbox: the thread is first",                                       // R266
		"call of Olive Chen to the United States shows +1512555",           // R267
		"sent: what arrives is what the preview said",                      // R174
		"our copy has its",                                                 // R143
		"20 customers got it once each; left out and listed: +15125550170", // R135
		"did you mean {{record.amount}}",                                   // R163
		"Hi Alice, Grace is on the way",                                    // R170
		"writes STOP; a text is refused",                                   // R155
		"11 of 11 steps passed",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("the output lacks %q:\n%s", line, &out)
		}
	}
	// It may be run again, and leaves the number as it was.
	if err := demo.Checklist(t.Context(), o, &out); err != nil {
		t.Fatalf("the second run: %v\n%s", err, &out)
	}
	c, err := demo.SignIn(t.Context(), o.GraphQLURL, demo.Email, demo.Password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var n struct {
		PhoneNumbers struct {
			Nodes []struct {
				E164    string
				Routing struct{ RingTimeoutSeconds int }
			}
		}
	}
	if err := c.Do(t.Context(), `{ phoneNumbers(first: 10) { nodes { e164 routing { ringTimeoutSeconds } } } }`, nil, &n); err != nil {
		t.Fatal(err)
	}
	for _, x := range n.PhoneNumbers.Nodes {
		if x.Routing.RingTimeoutSeconds != 20 {
			t.Errorf("%s rings %d s after the checklist, 20 s before", x.E164, x.Routing.RingTimeoutSeconds)
		}
	}
}

// A checklist that cannot fail proves nothing.
func TestTheChecklistSeesWhatIsBroken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		why   string
		spoil func(t *testing.T, s *stage.Stage, c *demo.Client, info demo.Info)
		step  string
	}{
		"a device that cannot be reached": {
			why: "it does not ring, so not all eligible devices ring",
			spoil: func(t *testing.T, s *stage.Stage, c *demo.Client, info demo.Info) {
				s.Emulator.Behave("client:"+deviceOf(t, c, "Front desk"), emulator.PhoneBehaviour{Do: emulator.IsBusy})
			},
			step: "step 1",
		},
		"a sender that may not send": {
			why: "the American example of R082 has no American number left",
			spoil: func(t *testing.T, s *stage.Stage, c *demo.Client, info demo.Info) {
				for _, n := range info.Numbers {
					if n.E164 == demo.SydneyNumber {
						continue
					}
					err := c.Do(t.Context(), `mutation($id: ID!) { phoneNumberUpdate(id: $id, input: {usage: {messages: false, callerId: false}}) { userErrors { code field message } } }`, demo.Vars{"id": n.ID}, nil)
					if err != nil {
						t.Fatal(err)
					}
				}
			},
			step: "step 5",
		},
		"an automation that is off": {
			why: "nobody tells the customer who is on the way",
			spoil: func(t *testing.T, s *stage.Stage, c *demo.Client, info demo.Info) {
				var out struct {
					Automations struct{ Nodes []struct{ ID string } }
				}
				if err := c.Do(t.Context(), `{ automations(first: 1, filter: {trigger: ON_THE_WAY}) { nodes { id } } }`, nil, &out); err != nil || len(out.Automations.Nodes) == 0 {
					t.Fatal("there is none", err)
				}
				err := c.Do(t.Context(), `mutation($id: ID!) { automationUpdate(id: $id, input: {isEnabled: false}) { userErrors { code field message } } }`,
					demo.Vars{"id": out.Automations.Nodes[0].ID}, nil)
				if err != nil {
					t.Fatal(err)
				}
			},
			step: "step 10",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, o, info := seeded(t)
			c := demo.NewClient(info.GraphQLURL, info.AccessToken)
			t.Cleanup(c.Close)
			tc.spoil(t, s, c, info)
			o.Patience = time.Second
			var out bytes.Buffer
			err := demo.Checklist(t.Context(), o, &out)
			if err == nil || !strings.Contains(err.Error(), tc.step) || !strings.Contains(out.String(), "FAILED") {
				t.Errorf("%s, but the checklist says %v\n%s", tc.why, err, &out)
			}
		})
	}
}

func deviceOf(t *testing.T, c *demo.Client, name string) string {
	t.Helper()
	var out struct {
		Devices struct{ Nodes []struct{ ID, Name string } }
	}
	if err := c.Do(t.Context(), `{ devices(first: 50) { nodes { id name } } }`, nil, &out); err != nil {
		t.Fatal(err)
	}
	for _, d := range out.Devices.Nodes {
		if d.Name == name {
			return d.ID
		}
	}
	t.Fatalf("there is no device %s", name)
	return ""
}

func TestALaptopIsSeededOnceAndResumed(t *testing.T) {
	t.Parallel()
	c := config.Config{
		DataDir: t.TempDir(), DatabaseURL: testkit.URL(t), Host: "127.0.0.1", PrivateAddr: "127.0.0.1:0", DatabaseMax: 8,
		EventRetention: 72 * time.Hour, PostRetention: 720 * time.Hour, ShutdownTimeout: 10 * time.Second,
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	start := func() (*app.Laptop, *demo.Client) {
		t.Helper()
		l, err := app.StartLaptop(ctx, c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return l, demo.NewClient(l.Info.GraphQLURL, l.Info.AccessToken)
	}
	l, client := start()
	first := l.Info
	if diff := cmp.Diff(whole, count(t, client)); diff != "" {
		t.Errorf("the demo (-want +got):\n%s", diff)
	}
	err := client.Until(ctx, "the conversation and the voicemail are text", func(ctx context.Context) (bool, error) {
		var out struct {
			Transcripts struct{ Nodes []struct{ Text string } }
		}
		err := client.Do(ctx, `{ transcripts(filter: {statuses: [COMPLETED]}) { nodes { text } } }`, nil, &out)
		said := fmt.Sprint(out.Transcripts.Nodes)
		return strings.Contains(said, "leaking again") && strings.Contains(said, "ducted heating"), err
	})
	if err != nil {
		t.Error(err)
	}
	client.Close()
	l.Stop()

	l, client = start() // on another port
	defer l.Stop()
	defer client.Close()
	if diff := cmp.Diff(whole, count(t, client)); diff != "" {
		t.Errorf("after a second start (-want +got):\n%s", diff)
	}
	again := l.Info
	if again.OrganizationID != first.OrganizationID || len(again.Numbers) != 3 || again.Numbers[0].ID != first.Numbers[0].ID ||
		again.Password != demo.Password || again.AuthToken != demo.AuthToken {
		t.Errorf("the second start says otherwise (-first +second):\n%s", cmp.Diff(first, again))
	}
	if n := len(l.Emulator.Clients(demo.AccountSID)); n != 5 {
		t.Errorf("%d devices are registered after the second start, want 5", n)
	}
	for _, n := range again.Numbers {
		if at, _ := l.Emulator.Number(n.E164); at.VoiceURL != n.VoiceURL || !strings.HasPrefix(at.VoiceURL, strings.TrimSuffix(again.GraphQLURL, "/graphql")) {
			t.Errorf("number %s: Twilio is told to call %s", n.E164, at.VoiceURL)
		}
	}
	o := demo.Options{GraphQLURL: again.GraphQLURL, Emulator: l.Emulator, Clock: l.App.Clock}
	if _, err := demo.Resume(ctx, o); err != nil {
		t.Errorf("resuming a running demo: %v", err)
	}
}
