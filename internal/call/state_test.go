package call_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/call"
	"switchboard/internal/id"
	"switchboard/internal/route"
)

var start = time.Date(2026, 3, 2, 12, 0, 0, 400_000_000, time.UTC)

// story is a call as its facts are told one after the other.
type story struct {
	facts []call.Fact
	begin call.Start
	seq   map[id.ID]int
}

func sec(n int) time.Time { return start.Truncate(time.Second).Add(time.Duration(n) * time.Second) }

func (s *story) add(f call.Fact) *story { s.facts = append(s.facts, f); return s }

func target(kind route.LegKind, address string) route.Target {
	t := route.Target{LegID: id.New(id.Leg), Kind: kind, Address: address}
	if kind == route.Device {
		t.UserID, t.DeviceID = id.New(id.User), id.New(id.Device)
	}
	return t
}

func devices(n int) (out []route.Target) {
	for range n {
		out = append(out, target(route.Device, "client:dev"))
	}
	return out
}

// inbound is a call that came in and is routed by the steps.
func inbound(steps ...route.Step) *story {
	s := &story{seq: map[id.ID]int{}, begin: call.Start{
		Organization: id.New(id.Organization), Call: id.New(id.Call), Connection: id.New(id.Connection), Number: id.New(id.PhoneNumber),
		Direction: call.Inbound, SID: sid("CA", 1), From: "+61400999888", To: "+61255501234", CallerLeg: id.New(id.Leg),
		Decision: &route.Decision{Mode: route.Branch, Steps: steps}, Plan: call.Plan{VoicemailMax: 120, VoicemailOwner: id.New(id.User)},
	}}
	return s.add(call.Fact{Key: "started", Kind: call.FactStarted, At: start, Data: call.FactData{Start: &s.begin}})
}

func sid(kind string, n int) string { return fmt.Sprintf("%s%032d", kind, n) }

func timeout(n int) *int { return &n }

func ring(targets ...route.Target) route.Step {
	return route.Step{Kind: route.Ring, Targets: targets, TimeoutSeconds: timeout(25)}
}

func (s *story) step(n int, at time.Time) *story {
	return s.add(call.Fact{Key: fmt.Sprintf("step/%d", n), Kind: call.FactStep, At: at, Data: call.FactData{Step: n}})
}

// leg tells the states of a leg; a word may carry seconds: "completed=30".
func (s *story) leg(t route.Target, n int, words ...string) *story {
	for _, w := range words {
		w, when, _ := strings.Cut(w, "@")
		var at, long int
		_, _ = fmt.Sscanf(when, "%d", &at)
		w, length, timed := strings.Cut(w, "=")
		d := call.FactData{Leg: t.LegID, SID: sid("CA", n), Status: w}
		if timed {
			_, _ = fmt.Sscanf(length, "%d", &long)
			d.Seconds = &long
		}
		q := s.seq[t.LegID]
		s.seq[t.LegID]++
		d.Sequence = &q
		s.add(call.Fact{Key: fmt.Sprintf("leg/%s/%s/%d", d.SID, w, q), Kind: call.FactLegStatus, At: sec(at), Data: d})
	}
	return s
}

func (s *story) call(word string, at int, long int) *story {
	return s.add(call.Fact{Key: "call/" + word, Kind: call.FactCallStatus, At: sec(at), Data: call.FactData{SID: sid("CA", 1), Status: word, Seconds: &long}})
}

func (s *story) dialled(step int, word string, n, at, long int, parent string) *story {
	d := call.FactData{Step: step, Status: word, Parent: parent}
	if n > 0 {
		d.SID, d.Seconds, d.Bridged = sid("CA", n), &long, new(true)
	}
	return s.add(call.Fact{Key: fmt.Sprintf("dial/%d", step), Kind: call.FactDialResult, At: sec(at).Add(300 * time.Millisecond), Data: d})
}

func (s *story) sound(n int, word, source string, channels, from, long int) *story {
	d := call.FactData{SID: sid("RE", n), Status: word, Source: source, Channels: channels, StartedAt: sec(from)}
	if word == "completed" {
		d.Seconds = &long
	}
	return s.add(call.Fact{Key: "recording/" + d.SID + "/" + word, Kind: call.FactRecordingStatus, At: sec(from + long + 2), Data: d})
}

func (s *story) taken(step, n, at, long int) *story {
	return s.add(call.Fact{Key: fmt.Sprintf("record/%d", step), Kind: call.FactRecordResult, At: sec(at), Data: call.FactData{Step: step, SID: sid("RE", n), Seconds: &long, Parent: "completed"}})
}

// told is the state in words that a test can read.
func told(s call.State) string {
	var b strings.Builder
	reason := "-"
	if s.Call.EndReason != nil {
		reason = string(*s.Call.EndReason)
	}
	num := func(n *int) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	fmt.Fprintf(&b, "%s %s ring=%s talk=%s long=%s recorded=%t", s.Call.Status, reason, num(s.Call.RingSeconds), num(s.Call.TalkSeconds), num(s.Call.DurationSeconds), s.Call.IsRecorded)
	for _, l := range s.Legs {
		how := "-"
		if l.Outcome != nil {
			how = string(*l.Outcome)
		}
		fmt.Fprintf(&b, "\n%d %s %s %s", l.Step, l.Kind, l.Status, how)
		if !l.AnsweredByID.IsZero() {
			b.WriteString(" by other")
		}
	}
	for _, r := range s.Recordings {
		fmt.Fprintf(&b, "\nrecording %s channels=%d offset=%d long=%s voicemail=%t", r.Status, r.Channels, r.OffsetSeconds, num(r.DurationSeconds), r.ForVoicemail)
	}
	if s.Voicemail != nil {
		fmt.Fprintf(&b, "\nvoicemail long=%s at=%s", num(s.Voicemail.DurationSeconds), s.Voicemail.ReceivedAt.Format("15:04:05"))
	}
	return b.String()
}

type scenario struct {
	why   string
	story *story
	want  string
}

func scenarios() map[string]scenario {
	out := ringScenarios()
	{
		d := devices(3)
		out["answered by one of three"] = scenario{"first answer wins, the others learn who (R061-R063)",
			inbound(ring(d...), route.Step{Kind: route.Voicemail}).step(1, start).
				leg(d[0], 11, "initiated@0", "ringing@1", "canceled@5").
				leg(d[1], 12, "initiated@0", "ringing@1", "in-progress@5", "completed=30@35").
				leg(d[2], 13, "initiated@0", "ringing@2", "no-answer@5").
				dialled(1, "completed", 12, 35, 30, "in-progress").call("completed", 36, 36),
			"COMPLETED HUNG_UP ring=5 talk=31 long=36 recorded=false\n0 CALLER ENDED ANSWERED\n1 DEVICE ENDED ANSWERED_ELSEWHERE by other\n1 DEVICE ENDED ANSWERED\n1 DEVICE ENDED ANSWERED_ELSEWHERE by other"}
	}
	{
		d := devices(2)
		out["declined, then answered"] = scenario{"declining one leg leaves the others ringing (T03, T12)",
			inbound(ring(d...), route.Step{Kind: route.Voicemail}).step(1, start).
				leg(d[0], 11, "initiated@0", "ringing@1", "busy@3").
				leg(d[1], 12, "initiated@0", "ringing@1", "in-progress@8", "completed=10@18").
				dialled(1, "completed", 12, 18, 10, "in-progress").call("completed", 18, 18),
			"COMPLETED HUNG_UP ring=8 talk=10 long=18 recorded=false\n0 CALLER ENDED ANSWERED\n1 DEVICE ENDED DECLINED\n1 DEVICE ENDED ANSWERED"}
	}
	{
		d, f := devices(2), target(route.ForwardPhone, "+61255507777")
		out["nobody, then forwarded and answered"] = scenario{"no answer goes on to an external number (R052)",
			inbound(ring(d...), route.Step{Kind: route.Forward, Targets: []route.Target{f}, TimeoutSeconds: timeout(25)}, route.Step{Kind: route.Voicemail}).step(1, start).
				leg(d[0], 11, "initiated@0", "ringing@1", "no-answer@25").
				leg(d[1], 12, "initiated@0", "no-answer@0").
				dialled(1, "no-answer", 0, 25, 0, "ringing").step(2, sec(25).Add(400*time.Millisecond)).
				leg(f, 13, "initiated@25", "ringing@27", "in-progress@31", "completed=60@91").
				dialled(2, "completed", 13, 91, 60, "in-progress").call("completed", 91, 91),
			"COMPLETED HUNG_UP ring=31 talk=60 long=91 recorded=false\n0 CALLER ENDED ANSWERED\n1 DEVICE ENDED TIMED_OUT\n1 DEVICE ENDED UNREACHABLE\n2 FORWARD ENDED ANSWERED"}
	}
	{
		d := devices(1)
		out["nobody, then a voicemail"] = scenario{"an unanswered call becomes a voicemail (R124)",
			inbound(ring(d...), route.Step{Kind: route.Voicemail}).step(1, start).
				leg(d[0], 11, "initiated@0", "ringing@1", "no-answer@25").
				dialled(1, "no-answer", 0, 25, 0, "ringing").step(2, sec(25).Add(400*time.Millisecond)).
				sound(1, "in-progress", "RecordVerb", 1, 30, 0).taken(2, 1, 42, 12).sound(1, "completed", "RecordVerb", 1, 30, 12).call("completed", 42, 42),
			"VOICEMAIL LEFT_VOICEMAIL ring=42 talk=- long=42 recorded=false\n0 CALLER ENDED ANSWERED\n1 DEVICE ENDED TIMED_OUT\nrecording completed channels=1 offset=30 long=12 voicemail=true\nvoicemail long=12 at=12:00:42"}
	}
	{
		d := devices(1)
		out["the voicemail is absent"] = scenario{"nothing was heard: the call is missed",
			inbound(ring(d...), route.Step{Kind: route.Voicemail}).step(1, start).
				leg(d[0], 11, "initiated@0", "ringing@1", "no-answer@25").
				dialled(1, "no-answer", 0, 25, 0, "ringing").step(2, sec(25).Add(400*time.Millisecond)).
				taken(2, 1, 33, 1).sound(1, "absent", "RecordVerb", 1, 30, 0).call("completed", 33, 33),
			"MISSED NO_ANSWER ring=33 talk=- long=33 recorded=false\n0 CALLER ENDED TIMED_OUT\n1 DEVICE ENDED TIMED_OUT\nrecording absent channels=1 offset=30 long=- voicemail=true"}
	}
	{
		d := devices(2)
		out["the caller hangs up while it rings"] = scenario{"the children are canceled; the action may come or not (4j)",
			inbound(ring(d...), route.Step{Kind: route.Voicemail}).step(1, start).
				leg(d[0], 11, "initiated@0", "ringing@1", "canceled@6").leg(d[1], 12, "initiated@0", "canceled@6").call("completed", 6, 0),
			"MISSED CALLER_HUNG_UP ring=6 talk=- long=6 recorded=false\n0 CALLER ENDED CALLER_HUNG_UP\n1 DEVICE ENDED CALLER_HUNG_UP\n1 DEVICE ENDED CALLER_HUNG_UP"}
	}
	{
		d := devices(1)
		out["the caller hangs up and the action comes"] = scenario{"the answer to it is ignored",
			inbound(ring(d...), route.Step{Kind: route.Voicemail}).step(1, start).
				leg(d[0], 11, "initiated@0", "ringing@1", "canceled@6").dialled(1, "canceled", 0, 6, 0, "no-answer").call("no-answer", 6, 0),
			"MISSED CALLER_HUNG_UP ring=6 talk=- long=6 recorded=false\n0 CALLER ENDED CALLER_HUNG_UP\n1 DEVICE ENDED CALLER_HUNG_UP"}
	}
	{
		reason := route.NumberDisabled
		s := inbound(route.Step{Kind: route.Reject})
		s.begin.Decision.RejectReason = &reason
		out["a disabled number"] = scenario{"refused at once with its reason (D26)", s.step(1, start).call("busy", 0, 0),
			"REJECTED NUMBER_DISABLED ring=0 talk=- long=0 recorded=false\n0 CALLER ENDED DECLINED"}
	}
	{
		d := devices(1)
		s := inbound(ring(d...), route.Step{Kind: route.Farewell})
		s.begin.From = "anonymous"
		out["everybody declines"] = scenario{"an anonymous caller to whom nobody wants to talk (D11)",
			s.step(1, start).leg(d[0], 11, "initiated@0", "ringing@1", "busy@3").dialled(1, "busy", 0, 3, 0, "ringing").step(2, sec(3).Add(400*time.Millisecond)).call("completed", 5, 2),
			"MISSED DECLINED ring=5 talk=- long=5 recorded=false\n0 CALLER ENDED TIMED_OUT\n1 DEVICE ENDED DECLINED"}
	}
	{
		out["nobody to ring"] = scenario{"the greeting was heard to the end", inbound(route.Step{Kind: route.Welcome}, route.Step{Kind: route.Farewell}).step(1, start).step(2, start).call("completed", 5, 5),
			"MISSED NOBODY_TO_RING ring=5 talk=- long=5 recorded=false\n0 CALLER ENDED TIMED_OUT"}
	}
	{
		d := devices(2)
		out["recorded with two channels"] = scenario{"caller and user apart (R114)",
			inbound(ring(d...), route.Step{Kind: route.Voicemail}).step(1, start).
				leg(d[0], 11, "initiated@0", "ringing@1", "canceled@5").leg(d[1], 12, "initiated@0", "ringing@1", "in-progress@5", "completed=30@35").
				sound(7, "in-progress", "DialVerb", 2, 5, 0).sound(7, "completed", "DialVerb", 2, 5, 30).
				dialled(1, "completed", 12, 35, 30, "in-progress").call("completed", 35, 35),
			"COMPLETED HUNG_UP ring=5 talk=30 long=35 recorded=true\n0 CALLER ENDED ANSWERED\n1 DEVICE ENDED ANSWERED_ELSEWHERE by other\n1 DEVICE ENDED ANSWERED\nrecording completed channels=2 offset=5 long=30 voicemail=false"}
	}
	{
		d := devices(2)
		out["the answer was never told"] = scenario{"completed without in-progress: derived from its length (twilio.md 2.3)",
			inbound(ring(d...), route.Step{Kind: route.Voicemail}).step(1, start).
				leg(d[0], 11, "ringing@1", "canceled@5").leg(d[1], 12, "completed=30@35").dialled(1, "completed", 12, 35, 30, "in-progress").call("completed", 35, 35),
			"COMPLETED HUNG_UP ring=5 talk=30 long=35 recorded=false\n0 CALLER ENDED ANSWERED\n1 DEVICE ENDED ANSWERED_ELSEWHERE by other\n1 DEVICE ENDED ANSWERED"}
	}
	{
		d := devices(2)
		out["declined by us"] = scenario{"callDecline closes the ring of one device",
			inbound(ring(d...), route.Step{Kind: route.Voicemail}).step(1, start).
				leg(d[0], 11, "initiated@0", "ringing@1", "completed=0@4").
				add(call.Fact{Key: "decline/1", Kind: call.FactCommand, At: sec(3), Data: call.FactData{Command: call.CommandDecline, Leg: d[0].LegID, By: d[0].UserID}}).
				leg(d[1], 12, "initiated@0", "ringing@1", "in-progress@8", "completed=2@10").dialled(1, "completed", 12, 10, 2, "in-progress").call("completed", 10, 10),
			"COMPLETED HUNG_UP ring=8 talk=2 long=10 recorded=false\n0 CALLER ENDED ANSWERED\n1 DEVICE ENDED DECLINED\n1 DEVICE ENDED ANSWERED"}
	}
	{
		d := devices(1)
		out["nothing was ever told of the end"] = scenario{"Twilio was asked",
			inbound(ring(d...), route.Step{Kind: route.Voicemail}).step(1, start).leg(d[0], 11, "initiated@0", "ringing@1", "in-progress@5").
				add(call.Fact{Key: "reconciled", Kind: call.FactReconciled, At: sec(65), Data: call.FactData{Status: "completed", SID: sid("CA", 1), Seconds: timeout(65)}}),
			"COMPLETED RECONCILED ring=5 talk=60 long=65 recorded=false\n0 CALLER ENDED ANSWERED\n1 DEVICE ENDED ANSWERED"}
	}
	outbound := func() (*story, route.Target, route.Target) {
		agent, callee := target(route.Device, "client:dev"), target(route.Callee, "+12125550199")
		s := &story{seq: map[id.ID]int{}, begin: call.Start{
			Organization: id.New(id.Organization), Call: id.New(id.Call), Connection: id.New(id.Connection), Direction: call.Outbound, User: agent.UserID,
			From: "+12125550122", To: "+12125550199", CallerID: "+12125550122", CallerIDReason: route.SameCountry, Agent: &agent, Callee: &callee, Plan: call.Plan{RingSeconds: 60},
		}}
		s.add(call.Fact{Key: "started", Kind: call.FactStarted, At: start, Data: call.FactData{Start: &s.begin}})
		s.add(call.Fact{Key: "request", Kind: call.FactRESTRequest, At: sec(1)})
		s.add(call.Fact{Key: "answer", Kind: call.FactRESTAnswer, At: sec(1), Data: call.FactData{SID: sid("CA", 1), Status: "queued"}})
		return s, agent, callee
	}
	{
		s, _, callee := outbound()
		out["click-to-call, answered"] = scenario{"the person's device first, then the callee (R087)",
			s.call("initiated", 1, 0).call("ringing", 2, 0).call("in-progress", 4, 0).step(2, sec(4).Add(300*time.Millisecond)).
				leg(callee, 12, "initiated@4", "ringing@6", "in-progress@10", "completed=20@30").dialled(2, "completed", 12, 30, 20, "in-progress").call("completed", 30, 26),
			"COMPLETED HUNG_UP ring=10 talk=20 long=30 recorded=false\n1 DEVICE ENDED ANSWERED\n2 CALLEE ENDED ANSWERED"}
	}
	{
		s, _, callee := outbound()
		out["click-to-call, callee busy"] = scenario{"the callee's state is the call's",
			s.call("initiated", 1, 0).call("ringing", 2, 0).call("in-progress", 4, 0).step(2, sec(4).Add(300*time.Millisecond)).
				leg(callee, 12, "initiated@4", "busy@7").dialled(2, "busy", 0, 7, 0, "in-progress").call("completed", 9, 5),
			"BUSY BUSY ring=9 talk=- long=9 recorded=false\n1 DEVICE ENDED ANSWERED\n2 CALLEE ENDED BUSY"}
	}
	{
		s, _, _ := outbound()
		out["click-to-call, own device does not answer"] = scenario{"the callee is never rung",
			s.call("initiated", 1, 0).call("ringing", 2, 0).call("no-answer", 62, 0),
			"CANCELED NO_ANSWER ring=62 talk=- long=62 recorded=false\n1 DEVICE ENDED TIMED_OUT"}
	}
	return out
}

// T11, B07: any order and number of the same facts is the same call.
func TestFactsInAnyOrderAndNumberFoldToTheSameCall(t *testing.T) {
	t.Parallel()
	for name, c := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := call.Fold(c.story.facts)
			if diff := cmp.Diff(c.want, told(want)); diff != "" {
				t.Fatalf("%s:\n%s", c.why, diff)
			}
			seed := rand.Uint64()
			r := rand.New(rand.NewPCG(seed, 1))
			for i := range 1000 {
				facts := slices.Clone(c.story.facts)
				for range r.IntN(len(facts)) {
					facts = append(facts, facts[r.IntN(len(facts))])
				}
				r.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
				if got := call.Fold(facts); !reflect.DeepEqual(want, got) {
					t.Fatalf("seed %d, order %d:\n%s\n\nwant\n%s", seed, i, told(got), told(want))
				}
			}
		})
	}
}

// A call goes only where the table lets it, in the true order and in any other.
func TestACallGoesOnlyWhereTheTableLetsIt(t *testing.T) {
	t.Parallel()
	for name, c := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			r := rand.New(rand.NewPCG(seed, 2))
			for i := range 100 {
				facts := slices.Clone(c.story.facts)
				if i > 0 {
					r.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
				}
				was := call.Status("")
				for n := range facts {
					s := call.Fold(facts[:n+1])
					if !was.CanBecome(s.Call.Status) {
						t.Fatalf("seed %d, order %d, fact %d (%s): from %q to %q", seed, i, n, facts[n].Key, was, s.Call.Status)
					}
					if was.Ended() && s.Call.EndedAt == nil {
						t.Fatalf("seed %d, order %d, fact %d: an ended call lives again", seed, i, n)
					}
					was = s.Call.Status
				}
			}
		})
	}
}

func TestTheDiagramShowsEveryTransition(t *testing.T) {
	t.Parallel()
	d := call.StateDiagram()
	for from, next := range call.Transitions {
		for _, to := range next {
			name := string(from)
			if name == "" {
				name = "[*]"
			}
			if !strings.Contains(d, name+" --> "+string(to)+"\n") {
				t.Errorf("%s --> %s is missing", name, to)
			}
		}
	}
}

// R062: when one device answers the others have stopped ringing, before Twilio says so of each.
func TestTheOthersStopRingingWithTheAnswer(t *testing.T) {
	t.Parallel()
	d := devices(3)
	s := inbound(ring(d...)).step(1, start).leg(d[0], 11, "ringing@1").leg(d[1], 12, "ringing@1", "in-progress@5").leg(d[2], 13, "ringing@1")
	st := call.Fold(s.facts)
	if st.Call.Status != call.InProgress || st.Call.AnsweredByID != d[1].UserID {
		t.Fatalf("status %s, answered by %s", st.Call.Status, st.Call.AnsweredByID)
	}
	for _, x := range []route.Target{d[0], d[2]} {
		l := st.Find(x.LegID)
		if l.Status != call.LegEnded || l.Outcome == nil || *l.Outcome != call.AnsweredElsewhere || l.AnsweredByID != d[1].UserID {
			t.Errorf("%s %v by %s", l.Status, l.Outcome, l.AnsweredByID)
		}
	}
}

// Two devices accept at the same moment: Twilio connects one, and says which.
func TestTheConnectedDeviceWinsOverAnEarlierAnswer(t *testing.T) {
	t.Parallel()
	d := devices(2)
	s := inbound(ring(d...)).step(1, start).leg(d[0], 11, "ringing@1", "in-progress@5", "completed=0@5").leg(d[1], 12, "ringing@1", "in-progress@5", "completed=9@14")
	if st := call.Fold(s.dialled(1, "completed", 12, 14, 9, "in-progress").facts); st.Call.AnsweredByID != d[1].UserID || *st.Find(d[0].LegID).Outcome != call.AnsweredElsewhere {
		t.Errorf("answered by %s, want %s; the other is %v", st.Call.AnsweredByID, d[1].UserID, *st.Find(d[0].LegID).Outcome)
	}
}
