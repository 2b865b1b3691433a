package number_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/emulator"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

func (s *stage) update(n id.ID, in number.Update) (*number.PhoneNumber, []string, error) {
	return s.svc.Update(s.Context(), s.admin, n, in)
}

func (s *stage) branch(users ...id.ID) *number.Branch {
	s.Helper()
	b, err := s.svc.CreateBranch(s.Context(), s.admin, number.BranchCreate{Name: "Branch " + id.New(id.Branch).String(), UserIDs: users})
	s.must(err)
	return b
}

func TestEverySettingIsKept(t *testing.T) { // R030, R044-R051, R069-R071, R116, R124-R129
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	org := s.admin.OrganizationID
	owner, other := s.user(org, "owner", false, ""), s.user(org, "other", false, "")
	audio, err := s.svc.Save(t.Context(), s.admin, "Hello", strings.NewReader(wav()))
	s.must(err)
	b := s.branch(owner)
	got, warnings, err := s.update(n.ID, number.Update{
		Name: patch.To("Front desk"), BranchID: patch.To(b.ID), BusinessUnit: patch.To("Sales"),
		Routing: number.RoutingUpdate{
			Mode: patch.To(number.RouteLayered), ReachBy: patch.To(number.ReachPrimaryPhone), IncludeGeneralFieldworker: patch.To(true),
			RingTimeoutSeconds: patch.To(40), DialTimeoutSeconds: patch.To(20), AgentTimeoutSeconds: patch.To(15),
			CallForwardingNumber: patch.To("0400 111 222"), ForwardingNumbers: patch.To([]string{"0400 111 222", "+1 415 555 0100", "0400111222"}),
			AllowTransfer: patch.To(false), Bridge: patch.To(number.BridgeConference),
		},
		Usage:   number.UsageUpdate{InboundCalls: patch.To(false), CallerID: patch.To(false), Messages: patch.To(false)},
		Prompts: number.PromptUpdate{WelcomeText: patch.To("Welcome"), WelcomeAudioID: patch.To(audio.ID), FarewellText: patch.To("Bye"), Voice: patch.To("Polly.Nicole"), Language: patch.To("en-AU")},
		Voicemail: number.VoicemailUpdate{
			IsEnabled: patch.To(false), GreetingText: patch.To("Speak"), GreetingAudioID: patch.To(audio.ID), MaxSeconds: patch.To(60),
			OwnerID: patch.To(owner), NotifiedUserIDs: patch.To([]id.ID{owner, other, owner}),
		},
		Recording: number.RecordingUpdate{Incoming: patch.To(number.RecordingFromRingingDual), Outgoing: patch.To(number.RecordingFromAnswer)},
	})
	s.must(err)
	if len(warnings) != 2 || !strings.Contains(warnings[0], "consent") || !strings.Contains(warnings[1], "charged twice") { // D10, R261
		t.Error(warnings)
	}
	again := s.get(n.ID)
	for _, x := range []*number.PhoneNumber{got, again} {
		if x.Name != "Front desk" || x.BranchID != b.ID || *x.BusinessUnit != "Sales" || x.Usage() != (number.UsageSettings{}) {
			t.Errorf("%s", show(x))
		}
		want := number.RoutingSettings{
			Mode: number.RouteLayered, RingStrategy: number.RingSimultaneous, ReachBy: number.ReachPrimaryPhone, IncludeGeneralFieldworker: true,
			RingTimeoutSeconds: 40, DialTimeoutSeconds: ptr(20), AgentTimeoutSeconds: ptr(15), CallForwardingNumber: ptr(phone.E164("+61400111222")),
			ForwardingNumbers: []phone.E164{"+61400111222", "+14155550100"}, Bridge: number.BridgeConference,
			NumberID: n.ID, Screening: true, AfterHours: &number.AfterHours{Action: route.ClosedVoicemail, Numbers: []phone.E164{}},
		}
		if diff := cmp.Diff(want, x.Routing(), cmpopts.EquateComparable(id.ID{})); diff != "" {
			t.Error(diff)
		}
		p, v, r := x.Prompts(), x.Voicemail(), x.Recording()
		if *p.WelcomeText != "Welcome" || p.WelcomeAudioID != audio.ID || *p.FarewellText != "Bye" || p.Voice != "Polly.Nicole" || p.Language != "en-AU" {
			t.Errorf("%s", show(p))
		}
		if v.IsEnabled || *v.GreetingText != "Speak" || v.GreetingAudioID != audio.ID || v.MaxSeconds != 60 || v.OwnerID != owner || len(v.NotifiedUserIDs) != 2 {
			t.Errorf("%s", show(v))
		}
		if r.EffectiveIncoming != number.RecordingFromRingingDual || !r.EffectiveIncoming.Dual() || r.EffectiveOutgoing != number.RecordingFromAnswer {
			t.Errorf("%s", show(r))
		}
	}
	// Absent keeps, null clears.
	got, _, err = s.update(n.ID, number.Update{
		BranchID: patch.Clear[id.ID](), BusinessUnit: patch.Clear[string](),
		Routing:   number.RoutingUpdate{DialTimeoutSeconds: patch.Clear[int](), CallForwardingNumber: patch.Clear[string](), ForwardingNumbers: patch.Clear[[]string]()},
		Prompts:   number.PromptUpdate{WelcomeAudioID: patch.Clear[id.ID](), WelcomeText: patch.To("  ")},
		Voicemail: number.VoicemailUpdate{OwnerID: patch.Clear[id.ID](), NotifiedUserIDs: patch.Clear[[]id.ID]()},
		Recording: number.RecordingUpdate{Incoming: patch.Clear[number.RecordingMode]()},
	})
	s.must(err)
	got = s.get(got.ID)
	if !got.BranchID.IsZero() || got.BusinessUnit != nil || got.DialTimeoutSeconds != nil || got.CallForwardingNumber != nil || len(got.ForwardingNumbers) != 0 ||
		!got.WelcomeAudioID.IsZero() || got.WelcomeText != nil || !got.VoicemailOwnerID.IsZero() || len(got.VoicemailUserIDs) != 0 || got.IncomingRecording != nil {
		t.Errorf("%s", show(got))
	}
	if got.Name != "Front desk" || *got.AgentTimeoutSeconds != 15 || *got.FarewellText != "Bye" || got.VoicemailGreetingAudioID != audio.ID {
		t.Errorf("what was not mentioned changed: %s", show(got))
	}
	call, err := s.svc.ForCall(s.ctx(), s.db.App(), n.ConnectionID, office)
	if err != nil || call.ID != n.ID || call.Recording().EffectiveOutgoing != number.RecordingFromAnswer || !call.Takes() {
		t.Error(show(call), err)
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	org := s.admin.OrganizationID
	noPhone, disabled := s.user(org, "nora", false, ""), s.user(org, "dan", false, "+61400000009")
	s.exec(`UPDATE "user" SET status = 'DISABLED' WHERE id = $1`, disabled)
	_, stranger := s.organization("US")
	theirs, err := s.svc.CreateBranch(t.Context(), stranger, number.BranchCreate{Name: "Theirs"})
	s.must(err)
	before := s.get(n.ID)
	for name, tc := range map[string]struct {
		why  string
		in   number.Update
		code errs.Code
		at   string
		says string
	}{
		"unknown mode":       {"words are known", number.Update{Routing: number.RoutingUpdate{Mode: patch.To(number.RoutingMode("X"))}}, errs.Invalid, "routing mode", ""},
		"short ring":         {"5 to 600", number.Update{Routing: number.RoutingUpdate{RingTimeoutSeconds: patch.To(4)}}, errs.Invalid, "routing ringTimeoutSeconds", "between 5 and 600"},
		"long dial":          {"5 to 600", number.Update{Routing: number.RoutingUpdate{DialTimeoutSeconds: patch.To(601)}}, errs.Invalid, "routing dialTimeoutSeconds", ""},
		"null ring":          {"a ring has a length", number.Update{Routing: number.RoutingUpdate{RingTimeoutSeconds: patch.Clear[int]()}}, errs.Required, "routing ringTimeoutSeconds", ""},
		"forwarding":         {"it must be a number", number.Update{Routing: number.RoutingUpdate{ForwardingNumbers: patch.To([]string{"12"})}}, errs.Invalid, "routing forwardingNumbers", ""},
		"to itself":          {"a call would never end", number.Update{Routing: number.RoutingUpdate{CallForwardingNumber: patch.To("02 5550 1234")}}, errs.Invalid, "routing callForwardingNumber", "itself"},
		"eleven":             {"ten at most", number.Update{Routing: number.RoutingUpdate{ForwardingNumbers: patch.To(make([]string, 11))}}, errs.LimitReached, "routing forwardingNumbers", "10"},
		"long text":          {"3000 characters", number.Update{Prompts: number.PromptUpdate{WelcomeText: patch.To(strings.Repeat("é", 3001))}}, errs.Invalid, "prompts welcomeText", "3000"},
		"NUL":                {"no NUL", number.Update{Voicemail: number.VoicemailUpdate{GreetingText: patch.To("a\x00")}}, errs.Invalid, "voicemail greetingText", ""},
		"voice":              {"a name of Twilio's", number.Update{Prompts: number.PromptUpdate{Voice: patch.To("<x>")}}, errs.Invalid, "prompts voice", ""},
		"language":           {"a language", number.Update{Prompts: number.PromptUpdate{Language: patch.To("english please")}}, errs.Invalid, "prompts language", ""},
		"voicemail length":   {"5 to 3600", number.Update{Voicemail: number.VoicemailUpdate{MaxSeconds: patch.To(3601)}}, errs.Invalid, "voicemail maxSeconds", ""},
		"unknown audio":      {"it must be there", number.Update{Voicemail: number.VoicemailUpdate{GreetingAudioID: patch.To(id.New(number.AudioID))}}, errs.NotFound, "voicemail greetingAudioId", ""},
		"call's id":          {"ids know what they are", number.Update{Prompts: number.PromptUpdate{WelcomeAudioID: patch.To(id.New(id.Call))}}, errs.Invalid, "prompts welcomeAudioId", ""},
		"both audio":         {"which one?", number.Update{Prompts: number.PromptUpdate{WelcomeAudioID: patch.To(id.New(number.AudioID)), WelcomeAudioURL: patch.To("https://x.test/a.mp3")}}, errs.Invalid, "prompts welcomeAudioUrl", ""},
		"private address":    {"no asking around inside", number.Update{Prompts: number.PromptUpdate{WelcomeAudioURL: patch.To("http://10.0.0.1/a.mp3")}}, errs.Invalid, "prompts welcomeAudioUrl", ""},
		"branch of others":   {"it does not exist", number.Update{BranchID: patch.To(theirs.ID)}, errs.NotFound, "branchId", ""},
		"user of others":     {"they do not exist", number.Update{AssignedUserID: patch.To(stranger.UserID)}, errs.NotFound, "assignedUserId", ""},
		"owner of others":    {"they do not exist", number.Update{Voicemail: number.VoicemailUpdate{OwnerID: patch.To(stranger.UserID)}}, errs.NotFound, "voicemail ownerId", ""},
		"notified of others": {"they do not exist", number.Update{Voicemail: number.VoicemailUpdate{NotifiedUserIDs: patch.To([]id.ID{stranger.UserID})}}, errs.NotFound, "voicemail notifiedUserIds", ""},
		"user without phone": {"R037", number.Update{AssignedUserID: patch.To(noPhone)}, errs.Conflict, "assignedUserId", "nora"},
		"disabled user":      {"they take no calls", number.Update{AssignedUserID: patch.To(disabled)}, errs.Conflict, "assignedUserId", "disabled"},
		"recording":          {"words are known", number.Update{Recording: number.RecordingUpdate{Incoming: patch.To(number.RecordingMode("X"))}}, errs.Invalid, "recording incoming", ""},
		"name":               {"it has one", number.Update{Name: patch.Clear[string]()}, errs.Required, "name", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := s.update(n.ID, tc.in)
			e, ok := errs.As(err)
			if !ok || e.Code != tc.code || strings.Join(e.Field, " ") != tc.at || !strings.Contains(e.Message, tc.says) {
				t.Errorf("%s: got %v (%s at %v), want %s at %s", tc.why, err, errs.CodeOf(err), e, tc.code, tc.at)
			}
		})
	}
	if after := s.get(n.ID); after.Version != before.Version {
		t.Errorf("a refused change was half-written: %s", show(after))
	}
	nobody := s.admin
	nobody.Permissions = access.SetOf(access.ConnectionManage)
	if _, _, err := s.svc.Update(t.Context(), nobody, n.ID, number.Update{}); !errs.IsCode(err, errs.Forbidden) {
		t.Error(err)
	}
}

func TestBranchRoutingDoesNotRingOneFieldworkersOwnPhone(t *testing.T) { // R028, R029
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	org := s.admin.OrganizationID
	fin, eve := s.user(org, "fin", true, "+61400000002"), s.user(org, "eve", false, "+61400000003")
	alone, both := s.branch(fin), s.branch(fin, eve)
	in := number.Update{BranchID: patch.To(alone.ID), Routing: number.RoutingUpdate{ReachBy: patch.To(number.ReachPrimaryPhone)}}
	_, _, err := s.update(n.ID, in)
	e, ok := errs.As(err)
	if !ok || e.Code != errs.Unsupported {
		t.Fatal(err)
	}
	for _, alternative := range []string{"ring group", "external number", "voicemail", "masked", "fin"} {
		if !strings.Contains(e.Message, alternative) {
			t.Errorf("%q does not name %s", e.Message, alternative)
		}
	}
	in.BranchID = patch.To(both.ID)
	if _, _, err := s.update(n.ID, in); err != nil {
		t.Error("a group of two is refused:", err)
	}
	if _, _, err := s.update(n.ID, number.Update{BranchID: patch.To(alone.ID)}); !errs.IsCode(err, errs.Unsupported) {
		t.Error("the same by another door:", err)
	}
	if _, _, err := s.update(n.ID, number.Update{BranchID: patch.To(alone.ID), Routing: number.RoutingUpdate{ReachBy: patch.To(number.ReachDevices)}}); err != nil {
		t.Error("their devices may ring:", err)
	}
	if _, _, err := s.update(n.ID, number.Update{Routing: number.RoutingUpdate{ReachBy: patch.To(number.ReachPrimaryPhone), Mode: patch.To(number.RouteLayered)}}); err != nil {
		t.Error("layered routing rings phones:", err)
	}
}

func TestOneNumberHasOneUser(t *testing.T) { // R037, R041, D19
	t.Parallel()
	s := setup(t)
	s.number("+61255501250", emulator.NumberSpec{})
	_, n := s.connect()
	s.drain()
	other := s.numbers()["+61255501250"]
	bob := s.user(s.admin.OrganizationID, "bob", false, "+61400000004")
	_, _, err := s.update(n.ID, number.Update{AssignedUserID: patch.To(s.admin.UserID)})
	s.must(err)
	_, _, err = s.update(n.ID, number.Update{AssignedUserID: patch.To(bob)})
	if e, ok := errs.As(err); !ok || e.Code != errs.Taken || !strings.Contains(e.Message, "ann") {
		t.Error("the holder is not named:", err)
	}
	_, _, err = s.update(other.ID, number.Update{AssignedUserID: patch.To(s.admin.UserID)})
	if e, ok := errs.As(err); !ok || e.Code != errs.Taken || !strings.Contains(e.Message, office) {
		t.Error("the number held is not named:", err)
	}
	// The same by the user's own settings, in package user's transaction.
	assign := func(user, to id.ID) error {
		return s.db.InTx(s.ctx(), func(ctx context.Context, tx *db.Tx) error { return s.svc.AssignToUser(ctx, tx, user, to) })
	}
	if err := assign(bob, n.ID); !errs.IsCode(err, errs.Taken) {
		t.Error(err)
	}
	s.must(assign(s.admin.UserID, other.ID)) // one's number is replaced
	if s.get(n.ID).AssignedUserID != (id.ID{}) || s.get(other.ID).AssignedUserID != s.admin.UserID {
		t.Error("the number did not change hands")
	}
	s.must(assign(bob, n.ID))
	s.must(assign(s.admin.UserID, id.ID{}))
	if s.get(other.ID).AssignedUserID != (id.ID{}) {
		t.Error("the number was not taken away")
	}
	_, stranger := s.organization("US")
	err = s.db.InTx(access.With(t.Context(), stranger), func(ctx context.Context, tx *db.Tx) error {
		return s.svc.AssignToUser(ctx, tx, stranger.UserID, other.ID)
	})
	if !errs.IsCode(err, errs.NotFound) {
		t.Error(err)
	}
}

func TestEnablingWritesAndDisablingLeaves(t *testing.T) { // R013, D18, D26
	t.Parallel()
	s := setup(t)
	s.number("+61255501250", emulator.NumberSpec{VoiceURL: "https://old.example.com/v"})
	c, _ := s.connect()
	s.drain()
	n := s.numbers()["+61255501250"]
	if n.Takes() {
		t.Error("an imported number takes calls before it was enabled")
	}
	if _, err := s.svc.WriteWebhooks(t.Context(), s.admin, n.ID); !errs.IsCode(err, errs.Conflict) {
		t.Error(err)
	}
	n, _, err := s.update(n.ID, number.Update{IsEnabled: patch.To(true), Name: patch.To("Second")})
	s.must(err)
	if !n.Takes() || n.Name != "Second" || !strings.Contains(s.spec("+61255501250").VoiceURL, c.ID.String()) {
		t.Errorf("%s", show(n))
	}
	n, _, err = s.update(n.ID, number.Update{IsEnabled: patch.To(false)})
	s.must(err)
	if n.Takes() || !strings.Contains(s.spec("+61255501250").VoiceURL, c.ID.String()) {
		t.Error("a disabled number must stay at Twilio as it is: its calls are rejected by us")
	}
	n, _, err = s.update(n.ID, number.Update{IsEnabled: patch.To(true)})
	s.must(err)
	if !n.Takes() {
		t.Error("the number was not enabled again")
	}
	// A Messaging Service takes the messages: that is a warning, not a failure.
	_, err = s.em.AddService(accountSID, emulator.ServiceSpec{Name: "Bulk", Numbers: []string{"+61255501250"}})
	s.must(err)
	n, err = s.svc.WriteWebhooks(t.Context(), s.admin, n.ID)
	s.must(err)
	if n.MessagingServiceSid == nil || len(n.Warnings()) != 1 {
		t.Errorf("%s %v", show(n), n.Warnings())
	}
	got, _, err := s.svc.Disconnect(t.Context(), s.admin, n.ID)
	s.must(err)
	if got.DisconnectedAt == nil || s.spec("+61255501250").VoiceURL != "https://old.example.com/v" {
		t.Errorf("%s", show(got))
	}
	if _, _, err := s.update(n.ID, number.Update{IsEnabled: patch.To(true)}); !errs.IsCode(err, errs.Conflict) {
		t.Error(err)
	}
	filter := number.Filter{ConnectionID: c.ID}
	if count := must1(s.svc.Count(t.Context(), s.admin, filter)); count != 1 {
		t.Error(count)
	}
	filter.IncludeDisconnected = true
	if count := must1(s.svc.Count(t.Context(), s.admin, filter)); count != 2 {
		t.Error(count)
	}
	filter.IsEnabled = ptr(true)
	if w := must1(s.svc.List(t.Context(), s.admin, filter, db.Page{})); len(w.Nodes) != 1 || w.Nodes[0].E164 != office {
		t.Error(show(w.Nodes))
	}
}

func TestEnablingAgainWritesNothingThatStandsThere(t *testing.T) {
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	_, _, err := s.update(n.ID, number.Update{IsEnabled: patch.To(false)})
	s.must(err)
	// A write would be refused.
	s.em.FailNext(emulator.Fault{Method: "POST", Path: "IncomingPhoneNumbers", Fate: emulator.FateRefuse, Code: 20001})
	n, _, err = s.update(n.ID, number.Update{IsEnabled: patch.To(true)})
	if err != nil || !n.Takes() {
		t.Error(err)
	}
}

func TestOneDefaultNumber(t *testing.T) { // R010, R011
	t.Parallel()
	s := setup(t)
	s.number("+61255501250", emulator.NumberSpec{})
	_, n := s.connect()
	s.drain()
	other := s.numbers()["+61255501250"]
	got, err := s.svc.SetDefault(t.Context(), s.admin, other.ID)
	s.must(err)
	if !got.IsDefault || s.get(n.ID).IsDefault {
		t.Error("two defaults or none")
	}
	if _, err := s.svc.SetDefault(t.Context(), s.admin, other.ID); err != nil {
		t.Error(err)
	}
	if d := must1(s.svc.Default(s.ctx(), s.db.App())); d.ID != other.ID {
		t.Error(show(d))
	}
	if n := s.count(`SELECT count(*) AS n FROM audit_entry WHERE action = 'number.default'`); n != 1 {
		t.Errorf("%d audit entries", n)
	}
}

func TestBranches(t *testing.T) { // R021
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	org := s.admin.OrganizationID
	u1, u2 := s.user(org, "u1", false, ""), s.user(org, "u2", false, "")
	b, err := s.svc.CreateBranch(t.Context(), s.admin, number.BranchCreate{Name: "North", TimeZone: ptr("Australia/Sydney"), UserIDs: []id.ID{u1, u1}})
	s.must(err)
	if _, err := s.svc.CreateBranch(t.Context(), s.admin, number.BranchCreate{Name: "North"}); !errs.IsCode(err, errs.Taken) {
		t.Error(err)
	}
	for name, in := range map[string]number.BranchCreate{
		"zone": {Name: "X", TimeZone: ptr("Mars/Base")}, "id": {Name: "X", UserIDs: []id.ID{n.ID}},
	} {
		if _, err := s.svc.CreateBranch(t.Context(), s.admin, in); !errs.IsCode(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, stranger := s.organization("US")
	if _, err := s.svc.CreateBranch(t.Context(), s.admin, number.BranchCreate{Name: "X", UserIDs: []id.ID{stranger.UserID}}); !errs.IsCode(err, errs.NotFound) {
		t.Error(err)
	}
	_, err = s.svc.UpdateBranch(t.Context(), s.admin, b.ID, number.BranchUpdate{Name: patch.To("N"), TimeZone: patch.Clear[string](), UserIDs: patch.To([]id.ID{u2})})
	s.must(err)
	got := must1(s.svc.Branch(t.Context(), s.admin, b.ID))
	if got.Name != "N" || got.TimeZone != nil {
		t.Errorf("%s", show(got))
	}
	people := must1(s.svc.UsersByBranches(s.ctx(), []id.ID{b.ID}))
	if !slices.Equal(people[b.ID], []id.ID{u2}) {
		t.Error(people)
	}
	if n := s.count(`SELECT count(*) AS n FROM event WHERE kind = 'USER_UPDATED' AND subject IN ($1, $2)`, u1, u2); n != 3 {
		t.Errorf("%d events for two comers and one goer", n)
	}
	c := s.branch()
	s.must(s.db.InTx(s.ctx(), func(ctx context.Context, tx *db.Tx) error {
		return s.svc.SetForUser(ctx, tx, u1, []id.ID{b.ID, c.ID})
	}))
	if m := must1(s.svc.ForUsers(s.ctx(), []id.ID{u1, u2})); len(m[u1]) != 2 || len(m[u2]) != 1 {
		t.Error(m)
	}
	err = s.db.InTx(s.ctx(), func(ctx context.Context, tx *db.Tx) error {
		return s.svc.SetForUser(ctx, tx, u1, []id.ID{id.New(id.Branch)})
	})
	if !errs.IsCode(err, errs.NotFound) {
		t.Error(err)
	}
	_, _, err = s.update(n.ID, number.Update{BranchID: patch.To(b.ID)})
	s.must(err)
	if m := must1(s.svc.ByBranches(s.ctx(), []id.ID{b.ID, c.ID})); len(m[b.ID]) != 1 || len(m[c.ID]) != 0 {
		t.Error(show(m))
	}
	err = s.svc.DeleteBranch(t.Context(), s.admin, b.ID)
	if e, ok := errs.As(err); !ok || e.Code != errs.Conflict || !strings.Contains(e.Message, office) {
		t.Error("the number that is in the way is not named:", err)
	}
	_, _, err = s.update(n.ID, number.Update{BranchID: patch.To(c.ID)})
	s.must(err)
	s.must(s.svc.DeleteBranch(t.Context(), s.admin, b.ID))
	if _, err := s.svc.Branch(t.Context(), s.admin, b.ID); !errs.IsCode(err, errs.NotFound) {
		t.Error(err)
	}
	w := must1(s.svc.Branches(t.Context(), s.admin, db.Page{}))
	if len(w.Nodes) != 1 || w.Nodes[0].ID != c.ID {
		t.Error(show(w.Nodes))
	}
	for name, err := range map[string]error{
		"read":   second(s.svc.Branch(t.Context(), stranger, c.ID)),
		"update": second(s.svc.UpdateBranch(t.Context(), stranger, c.ID, number.BranchUpdate{Name: patch.To("x")})),
		"delete": s.svc.DeleteBranch(t.Context(), stranger, c.ID),
	} {
		if !errs.IsCode(err, errs.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// wav is a short RIFF file.
func wav() string {
	return "RIFF\x2c\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x08\x00\x00\x00" + strings.Repeat("\x00", 8)
}

func TestAudioIsCheckedByContentAndPlayedByASignedAddress(t *testing.T) { // R045, R126
	t.Parallel()
	s := setup(t)
	if _, err := s.svc.Save(t.Context(), s.admin, "x", strings.NewReader("<html>not audio</html>")); !errs.IsCode(err, errs.Invalid) {
		t.Error(err)
	}
	if _, err := s.svc.Save(t.Context(), s.admin, "x", strings.NewReader(wav()+strings.Repeat("\x00", number.MaxAudio))); !errs.IsCode(err, errs.LimitReached) {
		t.Error(err)
	}
	nobody := s.admin
	nobody.Permissions = access.SetOf()
	if _, err := s.svc.Save(t.Context(), nobody, "x", strings.NewReader(wav())); !errs.IsCode(err, errs.Forbidden) {
		t.Error(err)
	}
	a, err := s.svc.Save(t.Context(), s.admin, "Hello", strings.NewReader(wav()))
	s.must(err)
	if a.ContentType != "audio/wav" || a.SizeBytes != len(wav()) || a.Name != "Hello" {
		t.Errorf("%s", show(a))
	}
	address, err := s.svc.PlayURL(a, start)
	s.must(err)
	u, err := url.Parse(address)
	s.must(err)
	tok, sig := strings.TrimPrefix(u.Path, "/twilio/media/"), u.Query().Get("s")
	if u.Host != "phone.example.test" || strings.Contains(address, a.ID.String()) {
		t.Error(address)
	}
	body, info, err := s.svc.OpenPublic(t.Context(), tok, sig, start.Add(24*time.Hour))
	s.must(err)
	got, _ := io.ReadAll(body)
	_ = body.Close()
	if string(got) != wav() || info.ContentType != "audio/wav" {
		t.Errorf("%d bytes, %+v", len(got), info)
	}
	for name, x := range map[string]struct {
		token, sig string
		now        time.Time
	}{
		"expired":      {tok, sig, start.Add(26 * time.Hour)},
		"other file":   {tok[1:] + "A", sig, start},
		"longer":       {tok, "zzzzzzz" + sig[strings.Index(sig, "."):], start},
		"no signature": {tok, "", start},
		"forged":       {tok, sig[:len(sig)-4] + "AAAA", start},
	} {
		if _, _, err := s.svc.OpenPublic(t.Context(), x.token, x.sig, x.now); !errs.IsCode(err, errs.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, stranger := s.organization("US")
	if _, _, err := s.svc.OpenAudio(t.Context(), stranger, a.ID); !errs.IsCode(err, errs.NotFound) {
		t.Error(err)
	}
	if m, err := s.svc.AudioByIDs(access.With(t.Context(), stranger), []id.ID{a.ID}); err != nil || len(m) != 0 {
		t.Error(m, err)
	}
	if m := must1(s.svc.PlayURLs(s.ctx(), s.db.App(), start, a.ID)); m[a.ID] != address {
		t.Error("the address changes within the hour")
	}
	r, _, err := s.svc.OpenAudio(t.Context(), s.admin, a.ID)
	s.must(err)
	_ = r.Close()
}

func TestAnAudioAddressIsFetchedOnceWhenSaved(t *testing.T) { // R126
	t.Parallel()
	s := setup(t)
	_, n := s.connect()
	asked := make(chan string, 10)
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		_, _ = io.WriteString(w, wav())
	}))
	t.Cleanup(files.Close)
	got, _, err := s.update(n.ID, number.Update{
		Prompts:   number.PromptUpdate{WelcomeAudioURL: patch.To(files.URL + "/hello.wav")},
		Voicemail: number.VoicemailUpdate{GreetingAudioURL: patch.To(files.URL + "/leave.wav")},
	})
	s.must(err)
	m := must1(s.svc.AudioByIDs(s.ctx(), []id.ID{got.WelcomeAudioID, got.VoicemailGreetingAudioID}))
	if len(m) != 2 || m[got.WelcomeAudioID].Name != "hello.wav" || len(asked) != 2 {
		t.Errorf("%s, asked %d times", show(m), len(asked))
	}
	// A change that is refused keeps nothing of what it fetched.
	_, _, err = s.update(n.ID, number.Update{BranchID: patch.To(id.New(id.Branch)), Prompts: number.PromptUpdate{WelcomeAudioURL: patch.To(files.URL + "/x.wav")}})
	if !errs.IsCode(err, errs.NotFound) || s.count(`SELECT count(*) AS n FROM audio`) != 2 {
		t.Error(err)
	}
	got, _, err = s.update(n.ID, number.Update{Prompts: number.PromptUpdate{WelcomeAudioURL: patch.Clear[string]()}})
	if err != nil || !got.WelcomeAudioID.IsZero() {
		t.Error(err)
	}
}

func TestVoiceTokensRegisterADevice(t *testing.T) { // T03
	t.Parallel()
	s := setup(t)
	device := id.New(id.Device)
	if _, err := s.svc.VoiceTokens(s.ctx(), device, s.admin.UserID, "WEB"); !errs.IsCode(err, errs.Conflict) {
		t.Error(err)
	}
	s.connect()
	tokens, err := s.svc.VoiceTokens(s.ctx(), device, s.admin.UserID, "WEB")
	s.must(err)
	if len(tokens) != 1 || tokens[0].Identity != device.String() || !tokens[0].ExpiresAt.Equal(start.Add(time.Hour)) {
		t.Fatalf("%+v", tokens)
	}
	registered, err := s.em.RegisterToken(tokens[0].Token)
	if err != nil || registered != device.String() {
		t.Error(registered, err)
	}
	_, stranger := s.organization("US")
	if _, err := s.svc.VoiceTokens(access.With(t.Context(), stranger), device, stranger.UserID, "WEB"); !errs.IsCode(err, errs.Conflict) {
		t.Error("another organization gets a token of this account:", err)
	}
}

// claim is the push credential that a token names.
func claim(t *testing.T, token string) string {
	t.Helper()
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Grants struct {
			Voice struct {
				Push string `json:"push_credential_sid"`
			}
		}
	}
	if err := json.Unmarshal(body, &c); err != nil {
		t.Fatal(err)
	}
	return c.Grants.Voice.Push
}
