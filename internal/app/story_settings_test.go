package app_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
)

// made runs a mutation of the administrator that makes something, and gives its id.
func (s *story) made(mutation, input, what string, i demo.Vars) string {
	s.t.Helper()
	var out map[string]map[string]json.RawMessage
	s.Do(`mutation($i: `+input+`!) { `+mutation+`(input: $i) { `+what+` { id } userErrors { code field message } } }`, demo.Vars{"i": i}, &out)
	var x struct{ ID string }
	s.Must(json.Unmarshal(out[mutation][what], &x))
	return x.ID
}

// problem runs a mutation and gives the first problem: code, field and message.
func (s *story) problem(who *demo.Client, mutation, input string, id any, i demo.Vars) (code, field, message string) {
	s.t.Helper()
	args, passed, vars := "$i: "+input+"!", "input: $i", demo.Vars{"i": i}
	if id != nil {
		args, passed, vars["n"] = "$n: ID!, "+args, "id: $n, "+passed, id
	}
	err := who.Do(s.t.Context(), `mutation(`+args+`) { `+mutation+`(`+passed+`) { userErrors { code field message } } }`, vars, nil)
	var f *demo.Failure
	if err == nil {
		return "", "", ""
	}
	if !errors.As(err, &f) || len(f.Problems) == 0 {
		s.t.Fatal(err)
	}
	p := f.Problems[0]
	return p.Code, strings.TrimPrefix(strings.Join(p.Path, " "), mutation+" "), p.Message
}

func TestANumberIsSetUpInFull(t *testing.T) { // R021-R030, R048-R051, R126, D01, D02, D21
	s := newStory(t)
	line := s.Number(officeNumber, nil)
	ann, bob := s.User("ann", "OFFICE", "+12025550130"), s.User("bob", "SALES", "")
	branch := s.Branch("North")
	team := s.made("teamCreate", "TeamCreateInput", "team", demo.Vars{"name": "Support", "userIds": []string{bob.ID, ann.ID}})
	hours := s.made("openingHoursCreate", "OpeningHoursCreateInput", "openingHours", demo.Vars{"name": "Office", "timeZone": "Europe/Berlin",
		"week":     []demo.Vars{{"day": "MONDAY", "from": "09:00", "to": "17:00"}},
		"holidays": []demo.Vars{{"date": "2026-12-25", "name": "Christmas"}}})
	audio := s.upload("menu.wav", wav())
	sub := s.made("menuCreate", "MenuCreateInput", "menu", demo.Vars{"name": "Sub", "promptText": "Press 1", "options": []demo.Vars{{"key": "1", "label": "Voicemail", "to": demo.Vars{"kind": "VOICEMAIL"}}}})
	menu := s.made("menuCreate", "MenuCreateInput", "menu", demo.Vars{"name": "Main", "promptAudioId": audio, "repeats": 1, "options": []demo.Vars{
		{"key": "1", "label": "Support", "to": demo.Vars{"kind": "TEAM", "teamId": team}},
		{"key": "2", "label": "North", "to": demo.Vars{"kind": "BRANCH", "branchId": branch}},
		{"key": "3", "label": "Ann", "to": demo.Vars{"kind": "USER", "userId": ann.ID}},
		{"key": "4", "label": "Outside", "to": demo.Vars{"kind": "FORWARD", "number": "(202) 555-0140"}},
		{"key": "5", "label": "More", "to": demo.Vars{"kind": "MENU", "menuId": sub}},
	}})
	var set struct {
		PhoneNumberUpdate struct{ Warnings []string }
	}
	s.Do(`mutation($n: ID!, $i: PhoneNumberUpdateInput!) { phoneNumberUpdate(id: $n, input: $i) { warnings userErrors { code field message } } }`, demo.Vars{"n": line, "i": demo.Vars{
		"businessUnit": "Sales",
		"routing": demo.Vars{"mode": "TEAM", "teamId": team, "ringStrategy": "SEQUENTIAL", "agentTimeoutSeconds": 20, "preferredUser": true, "screening": false,
			"openingHoursId": hours, "menuId": menu, "afterHours": demo.Vars{"action": "FORWARD", "text": "We are closed", "audioId": audio, "numbers": []string{"202 555 0141"}}},
		"prompts": demo.Vars{"farewellAudioId": audio},
	}}, &set)
	if w := set.PhoneNumberUpdate.Warnings; len(w) != 1 || !strings.Contains(w[0], "charged twice") { // R261
		t.Error(w)
	}
	s.Do(`mutation($n: ID!, $u: ID!) { phoneNumberUserSet(input: {phoneNumberId: $n, userId: $u, incomingCalls: false}) { userErrors { code field message } } }`, demo.Vars{"n": line, "u": ann.ID}, nil)

	type numberView struct {
		BusinessUnit string
		Routing      struct {
			Mode, RingStrategy       string
			PreferredUser, Screening bool
			Team                     struct {
				Name         string
				Users        []ref
				PhoneNumbers []ref
			}
			TeamUsers []struct {
				User                              ref
				IncomingCalls, OutgoingCalls, Sms bool
			}
			OpeningHours struct {
				TimeZone  string
				IsOpenNow bool
				Week      []struct{ Day, From, To string }
				Holidays  []struct{ Date, Name string }
			}
			AfterHours struct {
				Action, Text string
				Audio        ref
				Numbers      []string
			}
			Menu struct {
				Name        string
				PromptAudio ref
				Options     []struct {
					Key, Label string
					To         struct {
						Kind         string
						Team, Branch *ref
						User, Menu   *ref
						Number       *string
					}
				}
				Otherwise struct{ Kind string }
			}
		}
		Prompts struct{ FarewellAudio ref }
	}
	var out struct{ PhoneNumbers struct{ Nodes []numberView } }
	read := func() numberView {
		t.Helper()
		s.Do(`{ phoneNumbers(filter: {businessUnit: "Sales"}) { nodes { businessUnit prompts { farewellAudio { id } } routing { mode ringStrategy preferredUser screening
			team { name users { id name } phoneNumbers { id } } teamUsers { user { id } incomingCalls outgoingCalls sms }
			openingHours { timeZone isOpenNow week { day from to } holidays { date name } } afterHours { action text audio { id } numbers }
			menu { name promptAudio { id } options { key label to { kind team { id } branch { id } user { id } menu { id } number } } otherwise { kind } } } } } }`, nil, &out)
		if len(out.PhoneNumbers.Nodes) != 1 {
			t.Fatalf("%+v", out)
		}
		return out.PhoneNumbers.Nodes[0]
	}
	n := read()
	r := n.Routing
	if r.Mode != "TEAM" || r.RingStrategy != "SEQUENTIAL" || !r.PreferredUser || r.Screening || n.Prompts.FarewellAudio.ID != audio {
		t.Errorf("%+v", n)
	}
	if r.Team.Name != "Support" || len(r.Team.Users) != 2 || r.Team.Users[0].ID != bob.ID || len(r.Team.PhoneNumbers) != 1 || r.Team.PhoneNumbers[0].ID != line {
		t.Errorf("%+v", r.Team)
	}
	if u := r.TeamUsers; len(u) != 2 || !u[0].IncomingCalls || u[1].User.ID != ann.ID || u[1].IncomingCalls || !u[1].Sms {
		t.Errorf("%+v", u)
	}
	if a := r.AfterHours; a.Action != "FORWARD" || a.Text != "We are closed" || a.Audio.ID != audio || !slices.Equal(a.Numbers, []string{"+12025550141"}) {
		t.Errorf("%+v", a)
	}
	to := r.Menu.Options
	if len(to) != 5 || to[0].To.Team.ID != team || to[1].To.Branch.ID != branch || to[2].To.User.ID != ann.ID || *to[3].To.Number != "+12025550140" || to[4].To.Menu.ID != sub ||
		r.Menu.PromptAudio.ID != audio || r.Menu.Otherwise.Kind != "ROUTE" || to[0].To.Menu != nil {
		t.Errorf("%+v", r.Menu)
	}
	// The stage stands on a Monday, 10:00 in Berlin.
	if h := r.OpeningHours; !h.IsOpenNow || h.TimeZone != "Europe/Berlin" || len(h.Week) != 1 || h.Holidays[0].Date != "2026-12-25" {
		t.Errorf("%+v", h)
	}
	s.Clock.Advance(7 * time.Hour)
	s.Admin, bob.Client = s.SignIn("admin"), s.SignIn("bob")
	if read().Routing.OpeningHours.IsOpenNow {
		t.Error("it is 17:00")
	}
	// Everything is a node; menus are for those who manage numbers.
	types := func(who *demo.Client) (list []string) {
		var out struct {
			Nodes []*struct {
				Typename string `json:"__typename"`
			}
		}
		s.Must(who.Do(t.Context(), `query($ids: [ID!]!) { nodes(ids: $ids) { __typename } }`, demo.Vars{"ids": []string{team, hours, menu}}, &out))
		for _, x := range out.Nodes {
			if x == nil {
				list = append(list, "")
				continue
			}
			list = append(list, x.Typename)
		}
		return list
	}
	if got := types(s.Admin); !slices.Equal(got, []string{"Team", "OpeningHours", "Menu"}) {
		t.Error(got)
	}
	if got := types(bob.Client); !slices.Equal(got, []string{"Team", "OpeningHours", ""}) {
		t.Error(got)
	}
	// What is used stays, and the refusal says who uses it.
	for mutation, x := range map[string]string{"teamDelete": team, "openingHoursDelete": hours, "menuDelete": sub, "branchDelete": branch} {
		if code := s.try(s.Admin, `mutation($x: ID!) { `+mutation+`(id: $x) { userErrors { code field message } } }`, demo.Vars{"x": x}, nil); code != "CONFLICT" {
			t.Errorf("%s: %q", mutation, code)
		}
	}
	s.clean()
}

func TestWhoeverMayNotManageNumbersChangesNoRouting(t *testing.T) { // R252
	s := newStory(t)
	line := s.Number(officeNumber, nil)
	bob := s.User("bob", "SALES", "")
	team := s.made("teamCreate", "TeamCreateInput", "team", demo.Vars{"name": "Support", "userIds": []string{bob.ID}})
	span := []demo.Vars{{"day": "MONDAY", "from": "09:00", "to": "17:00"}}
	option := []demo.Vars{{"key": "1", "label": "x", "to": demo.Vars{"kind": "VOICEMAIL"}}}
	for mutation, x := range map[string]struct {
		input string
		id    any
		i     demo.Vars
	}{
		"teamCreate":         {"TeamCreateInput", nil, demo.Vars{"name": "x", "userIds": []string{}}},
		"teamUpdate":         {"TeamUpdateInput", team, demo.Vars{"name": "x"}},
		"phoneNumberUserSet": {"PhoneNumberUserSetInput", nil, demo.Vars{"phoneNumberId": line, "userId": bob.ID}},
		"openingHoursCreate": {"OpeningHoursCreateInput", nil, demo.Vars{"name": "x", "week": span}},
		"menuCreate":         {"MenuCreateInput", nil, demo.Vars{"name": "x", "promptText": "x", "options": option}},
		"ignoredNumberAdd":   {"IgnoredNumberAddInput", nil, demo.Vars{"rules": []string{"+14844608117"}}},
		"phoneNumberUpdate":  {"PhoneNumberUpdateInput", line, demo.Vars{"routing": demo.Vars{"teamId": team}}},
	} {
		if code, _, message := s.problem(bob.Client, mutation, x.input, x.id, x.i); code != "FORBIDDEN" || !strings.Contains(message, "NUMBER_MANAGE") {
			t.Errorf("%s: %q %q", mutation, code, message)
		}
	}
	// They see who is responsible, but not the menus.
	var out struct{ Teams struct{ Nodes []ref } }
	s.Must(bob.Client.Do(t.Context(), `{ teams { nodes { id name } } }`, nil, &out))
	if len(out.Teams.Nodes) != 1 {
		t.Error(out)
	}
	s.clean()
}

func TestTheIgnoredListIsTriedBeforeItIsUsed(t *testing.T) { // R057, R058, D27
	s := newStory(t)
	type tried struct {
		IsIgnored             bool
		Rule, Number, Problem *string
	}
	test := func(input demo.Vars) tried {
		t.Helper()
		var out struct{ IgnoredNumberTest tried }
		s.Do(`query($i: IgnoredNumberTestInput!) { ignoredNumberTest(input: $i) { isIgnored rule number problem } }`, demo.Vars{"i": input}, &out)
		return out.IgnoredNumberTest
	}
	if got := test(demo.Vars{"from": "+14844608117", "rule": "#4844608117#"}); !got.IsIgnored || got.Problem != nil {
		t.Errorf("%+v", got)
	}
	if got := test(demo.Vars{"from": "+14844608117", "rule": "#48(#"}); got.IsIgnored || got.Problem == nil {
		t.Errorf("%+v", got)
	}
	if got := test(demo.Vars{"from": "484 460 8117"}); got.IsIgnored || *got.Number != "+14844608117" {
		t.Errorf("nothing is on the list yet: %+v", got)
	}
	var out struct {
		IgnoredNumberAdd struct {
			IgnoredNumbers []struct {
				ID, Rule  string
				CreatedBy ref
			}
		}
	}
	s.Do(`mutation { ignoredNumberAdd(input: {rules: ["#4844608117#", "+12025550199"], note: "Robots"}) { ignoredNumbers { id rule createdBy { id } } userErrors { code field message } } }`, nil, &out)
	added := out.IgnoredNumberAdd.IgnoredNumbers
	if len(added) != 2 || added[0].Rule != "#4844608117#" || added[0].CreatedBy.ID == "" {
		t.Errorf("%+v", added)
	}
	if got := test(demo.Vars{"from": "484 460 8117"}); !got.IsIgnored || *got.Rule != "#4844608117#" {
		t.Errorf("%+v", got)
	}
	if code, field, _ := s.problem(s.Admin, "ignoredNumberAdd", "IgnoredNumberAddInput", nil, demo.Vars{"rules": []string{"+12025550198", "12"}}); code != "INVALID" || field != "rules 1" {
		t.Errorf("%q at %q", code, field)
	}
	s.Do(`mutation($x: ID!) { ignoredNumberRemove(id: $x) { deletedIgnoredNumberId userErrors { code field message } } }`, demo.Vars{"x": added[0].ID}, nil)
	if got := test(demo.Vars{"from": "484 460 8117"}); got.IsIgnored {
		t.Errorf("%+v", got)
	}
	s.clean()
}

func TestPeopleKeepTheirOwnVoipSettings(t *testing.T) { // R072, R075-R077, R088, R252, R257-R260
	s := newStory(t)
	s.Number(officeNumber, nil)
	bob := s.User("bob", "SALES", "")
	device := s.Device(bob, "Laptop")
	update := `mutation($u: ID!, $i: UserUpdateInput!) { userUpdate(id: $u, input: $i) { userErrors { code field message } } }`
	if code := s.try(bob.Client, update, demo.Vars{"u": bob.ID, "i": demo.Vars{"internalClickToCall": false, "silentNotifications": true, "displayNotifications": false,
		"phones": []demo.Vars{{"number": "+12025550130"}}}}, nil); code != "" {
		t.Errorf("their own: %q", code)
	}
	for _, i := range []demo.Vars{{"extension": "12"}, {"sipAddress": "bob@acme.sip.twilio.com"}, {"sipDomainId": nil}} {
		if code := s.try(bob.Client, update, demo.Vars{"u": bob.ID, "i": i}, nil); code != "FORBIDDEN" {
			t.Errorf("%v is the administrator's: %q", i, code)
		}
	}
	s.change(bob, demo.Vars{"extension": "12", "sipAddress": "bob@acme.sip.twilio.com"})
	if code, field, _ := s.problem(s.Admin, "userUpdate", "UserUpdateInput", s.User("eve", "SALES", "").ID, demo.Vars{"extension": "12"}); code != "TAKEN" || field != "extension" {
		t.Errorf("%q at %q", code, field)
	}
	type view struct {
		Extension, SIPAddress string
		InternalClickToCall   bool
		SIPDomain             *ref
	}
	var got struct{ User view }
	s.Do(`query($u: ID!) { user(id: $u) { extension sipAddress internalClickToCall sipDomain { id } } }`, demo.Vars{"u": bob.ID}, &got)
	if got.User != (view{Extension: "12", SIPAddress: "sip:bob@acme.sip.twilio.com"}) {
		t.Errorf("%+v", got.User)
	}
	var d struct {
		DeviceReport struct {
			Device struct {
				IsReady, HasPushToken bool
				NotReady              []string
				Microphone            string
			}
		}
	}
	s.Must(bob.Client.Do(t.Context(), `mutation($d: ID!) { deviceReport(input: {id: $d, microphone: DENIED, pushToken: "secret-token"}) {
		device { isReady notReady hasPushToken microphone } userErrors { code field message } } }`, demo.Vars{"d": device}, &d))
	if x := d.DeviceReport.Device; x.IsReady || !x.HasPushToken || len(x.NotReady) != 1 || x.Microphone != "DENIED" {
		t.Errorf("%+v", x)
	}
	if code, _, _ := s.problem(s.Admin, "deviceReport", "DeviceReportInput", nil, demo.Vars{"id": device}); code != "NOT_FOUND" {
		t.Errorf("a device speaks for itself alone: %q", code)
	}
	s.clean()
}

func TestTheOrganizationSetsTheRulesForCalls(t *testing.T) { // R089, R098, R106, R107
	s := newStory(t)
	s.Number(officeNumber, nil)
	music := s.upload("music.wav", wav())
	var out struct {
		OrganizationUpdate struct {
			Organization struct {
				HoldMusic                               *ref
				DialFormat                              string
				CallCountries, Warnings                 []string
				MaxConcurrentCalls, MaxCallsPerUserHour int
				CustomersMayCallFieldworkers            bool
			}
		}
	}
	s.Do(`mutation($m: ID!) { organizationUpdate(input: {holdMusicId: $m, dialFormat: "0011{digits}", callCountries: ["us", "CA"], maxConcurrentCalls: 5, maxCallsPerUserHour: 6,
		customersMayCallFieldworkers: true}) { organization { holdMusic { id } dialFormat callCountries warnings maxConcurrentCalls maxCallsPerUserHour customersMayCallFieldworkers }
		userErrors { code field message } } }`, demo.Vars{"m": music}, &out)
	if o := out.OrganizationUpdate.Organization; o.HoldMusic == nil || o.HoldMusic.ID != music || o.DialFormat != "0011{digits}" || !slices.Equal(o.CallCountries, []string{"US", "CA"}) ||
		o.MaxConcurrentCalls != 5 || o.MaxCallsPerUserHour != 6 || !o.CustomersMayCallFieldworkers || len(o.Warnings) != 1 {
		t.Errorf("%+v", o)
	}
	for field, v := range map[string]any{"dialFormat": "x", "callCountries": []string{"XX"}, "maxConcurrentCalls": 0, "holdMusicId": s.OrganizationID} {
		if code, at, _ := s.problem(s.Admin, "organizationUpdate", "OrganizationUpdateInput", nil, demo.Vars{field: v}); code != "INVALID" || !strings.HasPrefix(at, field) {
			t.Errorf("%s: %q at %q", field, code, at)
		}
	}
	s.clean()
}
