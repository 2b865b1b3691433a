package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
)

type historyItem struct {
	Kind string
	At   time.Time
	Node struct{ ID string }
}

// timelineOf is the timeline of a contact or record, in pages of so many.
func (s *story) timelineOf(who *demo.Client, subject string, first int, filter demo.Vars) (all []historyItem) {
	s.t.Helper()
	for after, more := any(nil), true; more; {
		var out struct {
			Node *struct {
				Timeline struct {
					Nodes    []historyItem
					PageInfo struct {
						HasNextPage bool
						EndCursor   *string
					}
				}
			}
		}
		s.Must(who.Do(s.t.Context(), `query($n: ID!, $k: Int, $a: String, $f: TimelineFilter) { node(id: $n) {
			... on Contact { timeline(first: $k, after: $a, filter: $f) { nodes { kind at node { id } } pageInfo { hasNextPage endCursor } } }
			... on Record { timeline(first: $k, after: $a, filter: $f) { nodes { kind at node { id } } pageInfo { hasNextPage endCursor } } } } }`,
			demo.Vars{"n": subject, "k": first, "a": after, "f": filter}, &out))
		if out.Node == nil {
			return nil
		}
		all = append(all, out.Node.Timeline.Nodes...)
		if more = out.Node.Timeline.PageInfo.HasNextPage; more {
			after = *out.Node.Timeline.PageInfo.EndCursor
		}
	}
	return all
}

func kindsOf(items []historyItem) string {
	var out []string
	for _, x := range items {
		out = append(out, x.Kind)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// found is what a search gives, in pages of two.
func (s *story) found(who *demo.Client, text string, kinds ...string) (all []string) {
	s.t.Helper()
	for after, more := any(nil), true; more; {
		var out struct {
			Search struct {
				Nodes    []historyItem
				PageInfo struct {
					HasNextPage bool
					EndCursor   *string
				}
			}
		}
		vars := demo.Vars{"t": text, "a": after}
		if kinds != nil {
			vars["k"] = kinds
		}
		s.Must(who.Do(s.t.Context(), `query($t: String!, $a: String, $k: [SearchKind!]) { search(text: $t, kinds: $k, first: 2, after: $a) {
			nodes { kind at node { id } } pageInfo { hasNextPage endCursor } } }`, vars, &out))
		for _, x := range out.Search.Nodes {
			all = append(all, x.Kind)
		}
		if more = out.Search.PageInfo.HasNextPage; more {
			after = *out.Search.PageInfo.EndCursor
		}
	}
	slices.Sort(all)
	return all
}

// R177, R178, R278: everything that happened with a contact or about a record, each thing once, for those who see it.
func TestATimelineHasEachThingOnce(t *testing.T) {
	s := newStory(t)
	branch, elsewhere := s.Branch("Office"), s.Branch("Elsewhere")
	line := s.Number(officeNumber, demo.Vars{"branchId": branch})
	ann, dan := s.User("ann", "OFFICE", "", branch), s.User("dan", "OFFICE", "", elsewhere)
	desk := s.Device(ann, "Desk")
	s.set(line, demo.Vars{"recording": demo.Vars{"incoming": "FROM_ANSWER"}, "routing": demo.Vars{"ringTimeoutSeconds": 5},
		"voicemail": demo.Vars{"isEnabled": true, "greetingText": "Leave a message."}})
	alice := s.contact("CUSTOMER", "Alice Zander", customer, nil)
	booking := s.recordOf("BOOKING", "Gutter cleaning", alice, nil)

	sid := s.dial(customer, officeNumber)
	s.answer(desk)
	s.Pass(20 * time.Second)
	s.hangUp(sid)
	s.Settle()
	call := s.call(sid)
	s.Do(`mutation($c: ID!, $i: CallUpdateInput!) { callUpdate(id: $c, input: $i) { userErrors { code } } }`,
		demo.Vars{"c": call.ID, "i": demo.Vars{"recordId": booking, "notes": "wants the gutters done before winter", "outcome": "quoted"}}, nil)
	missed := s.dial(customer, officeNumber)
	s.Pass(secs(6))
	s.speakAndHangUp(missed, secs(5))
	s.Settle()
	s.text(customer, officeNumber, "is the gutter man coming?")
	s.happens(s.Admin, demo.Vars{"recordId": booking, "event": "ON_THE_WAY"})
	s.Settle()

	all := s.timelineOf(s.Admin, alice, 100, nil)
	once := map[string]bool{}
	for i, x := range all {
		if once[x.Node.ID] {
			t.Errorf("%s %s stands twice", x.Kind, x.Node.ID)
		}
		once[x.Node.ID] = true
		if i > 0 && x.At.After(all[i-1].At) {
			t.Errorf("%s is out of order", x.Kind)
		}
	}
	// Two calls, the recording of the first, the voicemail of the second with whom to call back.
	if got := kindsOf(all); got != "CALL CALL FOLLOW_UP MESSAGE RECORD RECORDING RECORD_EVENT VOICEMAIL" {
		t.Errorf("the contact's timeline is %s", got)
	}
	if got := kindsOf(s.timelineOf(s.Admin, booking, 100, nil)); got != "CALL RECORDING RECORD_EVENT" {
		t.Errorf("the booking's timeline is %s", got)
	}
	// Pages lead through all of it, in the same order.
	if got, want := fmt.Sprint(s.timelineOf(s.Admin, alice, 2, nil)), fmt.Sprint(all); got != want {
		t.Errorf("in pages: %s, at once: %s", got, want)
	}
	for name, c := range map[string]struct {
		filter demo.Vars
		want   string
	}{
		"kinds":          {demo.Vars{"kinds": []string{"MESSAGE", "VOICEMAIL"}}, "MESSAGE VOICEMAIL"},
		"words of both":  {demo.Vars{"text": "gutter"}, "CALL MESSAGE RECORD"},
		"nothing before": {demo.Vars{"before": "2001-01-01T00:00:00Z"}, ""},
	} {
		if got := kindsOf(s.timelineOf(s.Admin, alice, 100, c.filter)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	// Who is of another branch sees the contact and its records, and nothing that was said. A role without recordings has none.
	if got := kindsOf(s.timelineOf(dan.Client, alice, 100, nil)); got != "RECORD RECORD_EVENT" {
		t.Errorf("of another branch: %s", got)
	}
	if got := kindsOf(s.timelineOf(ann.Client, alice, 100, nil)); strings.Contains(got, "RECORDING") || !strings.Contains(got, "CALL CALL") {
		t.Errorf("without recordings: %s", got)
	}

	// One search over all of it.
	for text, want := range map[string][]string{
		"gutter":               {"CALL", "MESSAGE", "RECORD"},
		"zander":               {"CONTACT"},
		"winter gutters":       {"CALL"},
		"(202) 555-0199":       {"CALL", "CALL", "CONTACT"},
		"'; DROP TABLE call--": nil,
		"gutter | zander":      nil,
	} {
		if got := s.found(s.Admin, text); !slices.Equal(got, want) {
			t.Errorf("%q finds %v, want %v", text, got, want)
		}
	}
	if got := s.found(s.Admin, "gutter", "MESSAGE"); !slices.Equal(got, []string{"MESSAGE"}) {
		t.Errorf("messages only: %v", got)
	}
	if got := s.found(dan.Client, "gutter"); !slices.Equal(got, []string{"RECORD"}) {
		t.Errorf("of another branch, gutter finds %v", got)
	}
	for _, text := range []string{"", "x", "!!", strings.Repeat("long ", 60)} {
		if code := s.try(s.Admin, `query($t: String!) { search(text: $t) { nodes { kind } } }`, demo.Vars{"t": text}, nil); code != "INVALID" {
			t.Errorf("%q gives %q", text, code)
		}
	}
}
