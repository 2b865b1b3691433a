package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
	"switchboard/internal/testkit"
	"switchboard/internal/testkit/stage"
)

func TestMain(m *testing.M) {
	beTheServer()
	testkit.Main(m)
}

// The outside world of the stories.
const (
	officeNumber = "+12025550100" // of the stage
	customer     = "+12025550199"
)

// patience is how long a story waits, in the machine's time, for what must come.
const patience = 20 * time.Second

// story is a stage with the words that stories are told in.
type story struct {
	*stage.Stage
	t      *testing.T
	fences int
}

func newStory(t *testing.T, options ...stage.Option) *story {
	t.Helper()
	t.Parallel()
	return &story{Stage: stage.New(t, options...), t: t}
}

type ref struct{ ID, Name string }

// callView is a call as a client sees it.
type callView struct {
	ID, Direction, Status                               string
	Version                                             int
	EndReason                                           *string
	From, To                                            struct{ E164, Display string }
	PhoneNumber                                         *struct{ ID, E164 string }
	Branch, Contact, AnsweredBy, User, Record, Campaign *ref
	CallerID                                            *struct{ E164, Reason string }
	IsRecorded                                          bool
	StartedAt                                           time.Time
	AnsweredAt, EndedAt                                 *time.Time
	RingSeconds, TalkSeconds, DurationSeconds           *int
	Legs                                                []legView
	Recordings                                          []recordingView
	Voicemail                                           *voicemailView
	Route                                               *routeView
	TwilioSid                                           string
}

type legView struct {
	ID, Kind, Status string
	Outcome          *string
	Step             int
	User, AnsweredBy *ref
	Device           *ref
	To               struct{ E164, Display string }
	StartedAt        time.Time
	RingingAt        *time.Time
	AnsweredAt       *time.Time
	EndedAt          *time.Time
	TwilioSid        *string
}

type recordingView struct {
	ID, Status, MediaState  string
	Channels, OffsetSeconds int
	DurationSeconds         *int
	SizeBytes               *int
	ContentType, URL        *string
}

type voicemailView struct {
	ID              string
	DurationSeconds *int
	Owner           *ref
	HeardAt         *time.Time
	HeardBy         *ref
	ReceivedAt      time.Time
	Recording       recordingView
	From            struct{ E164, Display string }
	Branch, Contact *ref
}

type routeView struct {
	Mode         string
	Layer        *int
	RejectReason *string
	Contact      *ref
	Steps        []struct {
		Kind           string
		TimeoutSeconds *int
		Targets        []struct {
			Kind         string
			User, Device *ref
			To           struct{ E164, Display string }
		}
	}
	Trace []struct {
		Rule, Verdict, Detail string
		User                  *ref
	}
}

const (
	recordingFields = `id status mediaState channels offsetSeconds durationSeconds sizeBytes contentType url`
	voicemailFields = `id durationSeconds receivedAt heardAt heardBy { id name } owner { id name } from { e164 display } branch { id name } contact { id name } recording { ` + recordingFields + ` }`
	routeFields     = `mode layer rejectReason contact { id name } steps { kind timeoutSeconds targets { kind user { id name } device { id name } to { e164 display } } } trace { rule verdict detail user { id name } }`
	legFields       = `id kind status outcome step user { id name } answeredBy { id name } device { id name } to { e164 display } startedAt ringingAt answeredAt endedAt twilioSid`
	callFields      = `id direction status version endReason from { e164 display } to { e164 display } phoneNumber { id e164 } branch { id name } contact { id name }
		record { id } campaign { id name } answeredBy { id name } user { id name } callerId { e164 reason } isRecorded startedAt answeredAt endedAt ringSeconds talkSeconds
		durationSeconds twilioSid legs { ` + legFields + ` } recordings { ` + recordingFields + ` } voicemail { ` + voicemailFields + ` } route { ` + routeFields + ` }`
)

// outcome is how a leg or call ended, "" while it lasts.
func word(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func number(n *int) int {
	if n == nil {
		return -1
	}
	return *n
}

func name(r *ref) string {
	if r == nil {
		return ""
	}
	return r.Name
}

// leg is the leg that rang a device or an address.
func (c callView) leg(target string) legView {
	for _, l := range c.Legs {
		if l.Device != nil && l.Device.ID == target || l.To.E164 == target {
			return l
		}
	}
	return legView{}
}

func (c callView) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s answered by %q, ring %d talk %d;", c.Status, word(c.EndReason), name(c.AnsweredBy), number(c.RingSeconds), number(c.TalkSeconds))
	for _, l := range c.Legs {
		device := ""
		if l.Device != nil {
			device = l.Device.Name
		}
		fmt.Fprintf(&b, " [%s %s%s %s %s by %q]", l.Kind, device, l.To.E164, l.Status, word(l.Outcome), name(l.AnsweredBy))
	}
	return b.String()
}

// call reads one call by Twilio's SID as the administrator sees it.
func (s *story) call(sid string) callView {
	s.t.Helper()
	c, ok := s.callAs(s.Admin, sid)
	if !ok {
		s.t.Fatalf("call %s is not in the log", sid)
	}
	return c
}

func (s *story) callAs(who *demo.Client, sid string) (callView, bool) {
	s.t.Helper()
	var list struct {
		Calls struct {
			Nodes []struct{ ID, TwilioSid string }
		}
	}
	s.Must(who.Do(s.t.Context(), `{ calls(first: 100) { nodes { id twilioSid } } }`, nil, &list))
	for _, c := range list.Calls.Nodes {
		if c.TwilioSid == sid {
			var out struct{ Call *callView }
			s.Must(who.Do(s.t.Context(), `query($id: ID!) { call(id: $id) { `+callFields+` } }`, demo.Vars{"id": c.ID}, &out))
			if out.Call == nil {
				s.t.Fatalf("the call %s is in the list and cannot be read", c.ID)
			}
			return *out.Call, true
		}
	}
	return callView{}, false
}

// callByID reads one call by our id.
func (s *story) callByID(id string) callView {
	s.t.Helper()
	var out struct{ Call *callView }
	s.Do(`query($id: ID!) { call(id: $id) { `+callFields+` } }`, demo.Vars{"id": id}, &out)
	if out.Call == nil {
		s.t.Fatalf("there is no call %s", id)
	}
	return *out.Call
}

// dial lets an outside phone call a number of ours and waits for our first answer.
func (s *story) dial(from, to string) (sid string) {
	s.t.Helper()
	sid, err := s.Emulator.PlaceCall(from, to)
	s.Must(err)
	s.idle()
	return sid
}

func (s *story) idle() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	s.Must(s.Emulator.WaitIdle(ctx))
}

// answer picks up what rings at a target: a device's id, or a phone.
func (s *story) answer(target string) (leg string) {
	s.t.Helper()
	leg, err := s.Emulator.Answer(at(target))
	s.Must(err)
	s.idle()
	return leg
}

func (s *story) decline(target string) {
	s.t.Helper()
	_, err := s.Emulator.Decline(at(target))
	s.Must(err)
	s.idle()
}

func (s *story) hangUp(sid string) {
	s.t.Helper()
	s.Must(s.Emulator.HangUp(sid))
	s.idle()
}

// at is a target as Twilio knows it.
func at(target string) string {
	if strings.HasPrefix(target, "dev_") {
		return "client:" + target
	}
	return target
}

// ringing are the devices and phones that ring now.
func (s *story) ringing() (targets []string) {
	s.t.Helper()
	for _, c := range s.Emulator.Ringing("") {
		targets = append(targets, strings.TrimPrefix(c.Target, "client:"))
	}
	slices.Sort(targets)
	return targets
}

// wantRinging says which devices and phones must ring now.
func (s *story) wantRinging(want ...string) {
	s.t.Helper()
	slices.Sort(want)
	if got := s.ringing(); !slices.Equal(got, want) {
		s.t.Fatalf("these ring: %v\nthese should: %v", got, want)
	}
}

// clean fails when the emulator complained about anything we answered.
func (s *story) clean() {
	s.t.Helper()
	for _, a := range s.Emulator.Debugger() {
		s.t.Errorf("the emulator's debugger: %d %s (%s)", a.Code, a.Text, a.URL)
	}
}

// feed is a running subscription whose answers a story reads one after the other.
type feed struct {
	t *testing.T
	*demo.Stream
	seen []json.RawMessage
}

// watch subscribes. Without a place in the log to begin at it waits until the server
// has begun: the protocol does not tell, and what happens before is not told.
func (s *story) watch(who *demo.Client, query string, vars demo.Vars) *feed {
	s.t.Helper()
	begun := s.App.Events.Counters().Subscribed
	stream, err := who.Watch(s.t.Context(), query, vars)
	s.Must(err)
	s.t.Cleanup(stream.Stop)
	for late := time.Now().Add(time.Second); vars["after"] == nil && s.App.Events.Counters().Subscribed == begun && time.Now().Before(late); {
		runtime.Gosched()
	}
	return &feed{t: s.t, Stream: stream}
}

// first reads one answer, if it comes.
func (f *feed) first(out any) error {
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	return f.Next(ctx, out)
}

// next reads one answer, which must come.
func (f *feed) next(out any) {
	f.t.Helper()
	var raw json.RawMessage
	if err := f.first(&raw); err != nil {
		f.t.Fatalf("the subscription said nothing more after %d answers: %v\n%s", len(f.seen), err, f.seen)
	}
	f.seen = append(f.seen, raw)
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			f.t.Fatal(err)
		}
	}
}

// cursor is the present place in the event log.
func (s *story) cursor() string {
	s.t.Helper()
	c, err := s.Admin.Cursor(s.t.Context())
	s.Must(err)
	return c
}

// fact is an event as a client sees it.
type fact struct {
	Type      string `json:"__typename"`
	ID, Seq   string
	Call      *struct{ ID, Status string }
	Leg       *legView
	Voicemail *struct{ ID string }
	Message   *struct{ ID, Body, Status string }
	Contact   *ref
	User      *ref
	Recording *struct{ ID, MediaState string }
}

const eventsQuery = `subscription($after: Cursor, $types: [EventType!]) { events(after: $after, types: $types) { __typename id seq
	... on CallStarted { call { id status } } ... on CallAnswered { call { id status } } ... on CallEnded { call { id status } } ... on CallUpdated { call { id status } }
	... on RingStarted { call { id status } leg { ` + legFields + ` } } ... on RingEnded { call { id status } leg { ` + legFields + ` } }
	... on VoicemailReceived { voicemail { id } } ... on VoicemailUpdated { voicemail { id } } ... on RecordingUpdated { recording { id mediaState } }
	... on MessageReceived { message { id body status } } ... on MessageUpdated { message { id body status } }
	... on ContactUpdated { contact { id name } } ... on UserUpdated { user { id name } } } }`

// facts are what somebody is told of what happened after a cursor, up to now, but for
// changes of users.
func (s *story) facts(who *demo.Client, after string, types ...string) (list []fact) {
	s.t.Helper()
	vars := demo.Vars{"after": after}
	if len(types) > 0 {
		vars["types"] = append(slices.Clone(types), "USER_UPDATED")
	}
	end := s.fence()
	f := s.watch(who, eventsQuery, vars)
	defer f.Stop()
	for {
		var out struct{ Events fact }
		f.next(&out)
		if out.Events.ID == end {
			return list
		}
		if out.Events.Type != "UserUpdated" {
			list = append(list, out.Events)
		}
	}
}

// fence is the id of an event that everybody sees and that has been told: what
// happened before stands before it in the log. An event shows its subject as it is now,
// so the name alone would also be found in the fences before.
func (s *story) fence() (event string) {
	s.t.Helper()
	s.fences++
	called := fmt.Sprintf("Ada %d", s.fences)
	var me struct{ Viewer struct{ User ref } }
	s.Do(`{ viewer { user { id name } } }`, nil, &me)
	after := s.cursor()
	s.Do(`mutation($id: ID!, $n: String!) { userUpdate(id: $id, input: {name: $n}) { userErrors { code field message } } }`, demo.Vars{"id": me.Viewer.User.ID, "n": called}, nil)
	f := s.watch(s.Admin, `subscription($after: Cursor) { events(after: $after, types: [USER_UPDATED]) { id ... on UserUpdated { user { name } } } }`, demo.Vars{"after": after})
	defer f.Stop()
	for {
		var out struct {
			Events struct {
				ID   string
				User *ref
			}
		}
		f.next(&out)
		if name(out.Events.User) == called {
			return out.Events.ID
		}
	}
}

func types(list []fact) (names []string) {
	for _, f := range list {
		names = append(names, f.Type)
	}
	return names
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// try runs an operation as somebody and gives the code of the first problem, "" for none.
func (s *story) try(who *demo.Client, query string, vars demo.Vars, out any) (code string) {
	s.t.Helper()
	err := who.Do(s.t.Context(), query, vars, out)
	if err == nil {
		return ""
	}
	var f *demo.Failure
	if !errors.As(err, &f) || len(f.Problems) == 0 {
		s.t.Fatal(err)
	}
	return f.Problems[0].Code
}

// set changes a number's settings.
func (s *story) set(line string, input demo.Vars) {
	s.t.Helper()
	s.Do(`mutation($n: ID!, $i: PhoneNumberUpdateInput!) { phoneNumberUpdate(id: $n, input: $i) { userErrors { code field message } } }`, demo.Vars{"n": line, "i": input}, nil)
}

// company changes the organization.
func (s *story) company(input demo.Vars) {
	s.t.Helper()
	s.Do(`mutation($i: OrganizationUpdateInput!) { organizationUpdate(input: $i) { userErrors { code field message } } }`, demo.Vars{"i": input}, nil)
}

// change changes a user.
func (s *story) change(who stage.Person, input demo.Vars) {
	s.t.Helper()
	s.Do(`mutation($u: ID!, $i: UserUpdateInput!) { userUpdate(id: $u, input: $i) { userErrors { code field message } } }`, demo.Vars{"u": who.ID, "i": input}, nil)
}

// person is a user of the stage by id, acting through the administrator's client.
func (s *story) person(id string) stage.Person { return stage.Person{ID: id, Client: s.Admin} }

// contact makes a contact with a phone.
func (s *story) contact(kind, called, e164 string, more demo.Vars) string {
	s.t.Helper()
	input := demo.Vars{"kind": kind, "name": called, "phones": []demo.Vars{{"number": e164, "isPrimary": true}}}
	for k, v := range more {
		input[k] = v
	}
	var out struct{ ContactCreate struct{ Contact ref } }
	s.Do(`mutation($i: ContactCreateInput!) { contactCreate(input: $i) { contact { id } userErrors { code field message } } }`, demo.Vars{"i": input}, &out)
	return out.ContactCreate.Contact.ID
}

// assign gives a contact to a user; nil takes it back.
func (s *story) assign(contact string, user any) {
	s.t.Helper()
	s.Do(`mutation($c: ID!, $u: ID) { contactUpdate(id: $c, input: {assignedUserId: $u}) { userErrors { code field message } } }`, demo.Vars{"c": contact, "u": user}, nil)
}

// campaign makes a campaign, of a user unless nil.
func (s *story) campaign(called string, user any, contacts ...string) string {
	s.t.Helper()
	var out struct{ CampaignCreate struct{ Campaign ref } }
	s.Do(`mutation($i: CampaignCreateInput!) { campaignCreate(input: $i) { campaign { id } userErrors { code field message } } }`,
		demo.Vars{"i": demo.Vars{"name": called, "assignedUserId": user, "contactIds": contacts}}, &out)
	return out.CampaignCreate.Campaign.ID
}

func secs(n int) time.Duration { return time.Duration(n) * time.Second }
