package call

import (
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/id"
	"switchboard/internal/route"
)

// tale is a call that came in and was answered, told fact by fact.
type tale struct {
	facts               []Fact
	caller, ann, target id.ID
	n                   int
}

var began = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

const (
	callerSID = "CA00000000000000000000000000000001"
	annSID    = "CA00000000000000000000000000000002"
	targetSID = "CA00000000000000000000000000000003"
	roomSID   = "CF00000000000000000000000000000001"
)

func at30(n int) time.Time { return began.Add(time.Duration(n) * time.Second) }

func answered(change func(*Plan)) *tale {
	t := &tale{caller: id.New(id.Leg), ann: id.New(id.Leg), target: id.New(id.Leg)}
	dev := id.New(id.Device)
	d := &route.Decision{Steps: []route.Step{{Kind: route.Ring, TimeoutSeconds: ptr(20), Targets: []route.Target{
		{LegID: t.ann, Kind: route.Device, UserID: id.New(id.User), DeviceID: dev, Address: "client:" + dev.String()}}}, {Kind: route.Voicemail}}}
	p := Plan{AllowTransfer: true}
	if change != nil {
		change(&p)
	}
	t.add(0, FactStarted, FactData{Start: &Start{Organization: id.New(id.Organization), Call: id.New(id.Call), Connection: id.New(id.Connection),
		Direction: Inbound, SID: callerSID, From: "+12025550199", To: "+12025550100", CallerLeg: t.caller, Decision: d, Plan: p}})
	t.add(0, FactStep, FactData{Step: 1})
	return t.add(5, FactLegStatus, FactData{Leg: t.ann, SID: annSID, Status: wordInProgress})
}

func (t *tale) add(at int, kind FactKind, d FactData) *tale {
	t.n++
	t.facts = append(t.facts, Fact{Key: string(kind) + "/" + id.New(id.Fact).String(), Kind: kind, At: at30(at), Data: d})
	return t
}

func (t *tale) order(at int, what Command, leg id.ID, o *Order) *tale {
	return t.add(at, FactCommand, FactData{Command: what, Leg: leg, Order: o, Sequence: ptr(t.n)})
}

func (t *tale) joined(at int, leg id.ID, sid string) *tale {
	return t.add(at, FactRoom, FactData{Leg: leg, SID: sid, Room: roomSID, Status: "participant-join", Sequence: ptr(t.n)})
}

// asked is an attempt and what came of it; "" leaves it under way.
func (t *tale) asked(at int, name, value, word string) *tale {
	n := 1
	for _, f := range t.facts {
		if f.Kind == FactAction && f.Data.Action == name {
			n++
		}
	}
	var leg id.ID
	if _, after, ok := strings.Cut(name, "/"); ok {
		text, _, _ := strings.Cut(after, "/")
		leg, _ = id.ParseKind(text, id.Leg)
	}
	sid := ""
	if strings.HasPrefix(name, "start/") && word == actDone {
		sid = targetSID
	}
	t.add(at, FactAction, FactData{Action: name, Step: n, Keys: value, Leg: leg})
	if word != "" {
		t.add(at, FactActionAnswer, FactData{Action: name, Step: n, Status: word, Leg: leg, SID: sid})
	}
	return t
}

// promoted has both legs in the room.
func (t *tale) promoted(at int) *tale {
	return t.asked(at, roomName(t.ann, 1), "", actDone).joined(at, t.ann, annSID).joined(at, t.caller, callerSID)
}

// wants are the names of what is to be asked at a moment, with the legs by name.
func (t *tale) wants(at int) []string {
	st := Fold(t.facts)
	var out []string
	for _, a := range st.next(at30(at)) {
		name := strings.NewReplacer(t.caller.String(), "caller", t.ann.String(), "ann", t.target.String(), "target").Replace(a.name)
		if a.value != "" {
			name += "=" + a.value
		}
		out = append(out, name)
	}
	return out
}

func (t *tale) transfer(at int, mode TransferMode) *tale {
	dev := id.New(id.Device)
	return t.order(at, CommandTransfer, t.ann, &Order{Mode: string(mode), Targets: []route.Target{
		{LegID: t.target, Kind: route.Device, UserID: id.New(id.User), DeviceID: dev, Address: "client:" + dev.String()}}})
}

func TestWhatIsWantedAndWhatIsNameTheRequests(t *testing.T) {
	t.Parallel()
	tales := map[string]struct {
		why  string
		tell func() *tale
		at   int
		want []string
	}{
		"a bridge": {"needs nothing", func() *tale { return answered(nil) }, 10, nil},
		"a hold": {"takes the second leg into the room first", func() *tale {
			t := answered(nil)
			return t.order(10, CommandHold, t.caller, nil)
		}, 10, []string{"room/ann/1"}},
		"under way": {"is not asked for twice", func() *tale {
			t := answered(nil)
			return t.order(10, CommandHold, t.caller, nil).asked(10, roomName(t.ann, 1), "", "")
		}, 20, nil},
		"an attempt that died": {"is made again where that is harmless", func() *tale {
			t := answered(nil)
			return t.order(10, CommandHold, t.caller, nil).asked(10, roomName(t.ann, 1), "", "")
		}, 41, []string{"room/ann/1"}},
		"the first leg waits for its <Dial>": {"which asks by itself, mostly", func() *tale {
			t := answered(nil)
			return t.order(10, CommandHold, t.caller, nil).asked(10, roomName(t.ann, 1), "", actDone).joined(11, t.ann, annSID)
		}, 14, nil},
		"the <Dial> never asks": {"then the first leg is sent for", func() *tale {
			t := answered(nil)
			return t.order(10, CommandHold, t.caller, nil).asked(10, roomName(t.ann, 1), "", actDone).joined(11, t.ann, annSID)
		}, 15, []string{"room/caller/1"}},
		"both are in": {"the hold follows", func() *tale {
			t := answered(nil)
			return t.order(10, CommandHold, t.caller, nil).promoted(11)
		}, 12, []string{"hold/caller/1/1=on"}},
		"held": {"and no more", func() *tale {
			t := answered(nil)
			return t.order(10, CommandHold, t.caller, nil).promoted(11).asked(12, "hold/"+t.caller.String()+"/1/1", switchOn, actDone)
		}, 13, nil},
		"held and back again": {"a leg that came back is held anew", func() *tale {
			t := answered(nil)
			return t.order(10, CommandHold, t.caller, nil).promoted(11).asked(12, "hold/"+t.caller.String()+"/1/1", switchOn, actDone).joined(14, t.caller, callerSID)
		}, 15, []string{"hold/caller/2/1=on"}},
		"an unknown hold that was resumed": {"it may be on hold", func() *tale {
			t := answered(nil)
			return t.order(10, CommandHold, t.caller, nil).promoted(11).asked(12, "hold/"+t.caller.String()+"/1/1", switchOn, actUnknown).order(13, CommandResume, t.caller, nil)
		}, 13, []string{"hold/caller/1/2=off"}},
		"a refused hold": {"is not asked for again", func() *tale {
			t := answered(nil)
			return t.order(10, CommandHold, t.caller, nil).promoted(11).asked(12, "hold/"+t.caller.String()+"/1/1", switchOn, actRefused)
		}, 60, nil},
		"a blind transfer": {"rings the target, and the one who transfers leaves", func() *tale { return answered(nil).transfer(10, Blind) }, 10, []string{"end/ann", "start/target"}},
		"a warm transfer":  {"they meet in the room", func() *tale { return answered(nil).transfer(10, Warm) }, 10, []string{"room/ann/1", "start/target"}},
		"an unknown start": {"is never repeated", func() *tale {
			t := answered(nil).transfer(10, Warm).promoted(11)
			return t.asked(10, startName(t.target), "", actUnknown).asked(12, "hold/"+t.caller.String()+"/1/1", switchOn, actDone)
		}, 300, nil},
		"a refused start": {"nobody to transfer to: the hold ends", func() *tale {
			t := answered(nil).transfer(10, Warm).promoted(11)
			return t.asked(10, startName(t.target), "", actRefused).asked(12, "hold/"+t.caller.String()+"/1/1", switchOn, actDone)
		}, 20, []string{"hold/caller/1/2=off"}},
		"cancelled while it rings": {"the target is taken back", func() *tale {
			t := answered(nil).transfer(10, Warm).promoted(11).asked(10, startName(id.ID{}), "", actDone)
			t.asked(10, startName(t.target), "", actDone)
			x := t.order(12, CommandTransferCancel, t.ann, nil)
			x.facts[len(x.facts)-1].Data.Action = t.keyOf(CommandTransfer)
			return x
		}, 13, []string{"end/target"}},
		"the held caller hangs up": {"everybody else is hung up", func() *tale {
			t := answered(nil)
			return t.order(10, CommandHold, t.caller, nil).promoted(11).add(20, FactCallStatus, FactData{SID: callerSID, Status: wordCompleted})
		}, 20, []string{"end/ann"}},
		"tones": {"are sent once, one after the other", func() *tale {
			t := answered(nil)
			return t.promoted(11).order(12, CommandDigits, t.caller, &Order{Digits: "1"}).order(12, CommandDigits, t.caller, &Order{Digits: "2"})
		}, 13, []string{"digits/1=1"}},
		"tones whose answer was lost": {"are not sent again", func() *tale {
			t := answered(nil)
			return t.promoted(11).order(12, CommandDigits, t.caller, &Order{Digits: "1"}).asked(12, "digits/1", "1", actUnknown)
		}, 200, nil},
		"a room from the first answer": {"is asked for at once", func() *tale { return answered(func(p *Plan) { p.Conference = true }) }, 5, []string{"room/ann/1"}},
		"a pause": {"stops all that records", func() *tale {
			t := answered(func(p *Plan) { p.Record = RecordFromAnswerDual })
			for _, re := range []string{"RE1", "RE2"} {
				t.add(6, FactRecordingStatus, FactData{SID: re, CallSID: callerSID, Status: wordInProgress, Source: "DialVerb"})
			}
			return t.order(10, CommandRecordingPause, id.ID{}, nil)
		}, 10, []string{"pause/RE1/1=on", "pause/RE2/1=on"}},
		"a pause before the recording is told": {"what runs is asked for", func() *tale {
			return answered(func(p *Plan) { p.Record = RecordFromAnswerDual }).order(10, CommandRecordingPause, id.ID{}, nil)
		}, 10, []string{"learn/1"}},
	}
	for name, c := range tales {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.tell().wants(c.at); !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", c.why, got, c.want)
			}
		})
	}
}

func (t *tale) keyOf(what Command) string {
	for _, f := range t.facts {
		if f.Data.Command == what {
			return f.Key
		}
	}
	return ""
}

// Bounded: whatever Twilio answers, a call does not ask for ever.
func TestAnActionIsTriedABoundedNumberOfTimes(t *testing.T) {
	t.Parallel()
	x := answered(nil)
	x.order(10, CommandHold, x.caller, nil)
	at, tries := 10, 0
	for range 50 {
		at += 100
		for _, a := range x.wants(at) {
			tries++
			name, value, _ := strings.Cut(a, "=")
			name = strings.NewReplacer("caller", x.caller.String(), "ann", x.ann.String()).Replace(name)
			x.asked(at, name, value, actRetry)
		}
	}
	if tries == 0 || tries > actTries {
		t.Errorf("%d tries, %d at most", tries, actTries)
	}
}

// A leg that nobody wants any more costs: it is hung up also after minutes in which Twilio was away.
func TestALegIsHungUpAfterAnOutage(t *testing.T) {
	t.Parallel()
	x := answered(nil)
	x.order(10, CommandHold, x.caller, nil).promoted(11).add(20, FactCallStatus, FactData{SID: callerSID, Status: wordCompleted})
	at := 20
	for range 20 {
		if got := x.wants(at); !slices.Equal(got, []string{"end/ann"}) {
			t.Fatalf("after %d seconds it asks for %v", at-20, got)
		}
		x.asked(at, "end/"+x.ann.String(), "", actRetry)
		if due := Fold(x.facts).DueAt; due == nil || due.After(at30(at+100)) {
			t.Fatalf("after %d seconds it is looked at %v", at-20, due)
		}
		at += 100
	}
}

// R100, R101: a transfer that nobody takes leaves the caller with whoever else is in the call.
func TestAFailedTransferDoesNotTakeTheCallerFromAnother(t *testing.T) {
	t.Parallel()
	x, guest := answered(nil), id.New(id.Leg)
	x.order(10, CommandAdd, id.ID{}, &Order{Targets: []route.Target{{LegID: guest, Kind: route.Guest, Address: "+12025550177"}}}).promoted(11)
	x.asked(11, startName(guest), "", actDone).add(15, FactClaim, FactData{Leg: guest, SID: targetSID, Status: claimWon}).joined(15, guest, targetSID)
	x.transfer(20, Blind).asked(20, "end/"+x.ann.String(), "", actDone).add(21, FactLegStatus, FactData{Leg: x.ann, SID: annSID, Status: wordCompleted})
	x.asked(20, startName(x.target), "", actRefused)
	st := Fold(x.facts)
	if tr := st.Call.Transfer; tr == nil || tr.Status != TransferFailed || st.Call.EndedAt != nil {
		t.Fatalf("the transfer is %+v", tr)
	}
	if got := x.wants(22); slices.Contains(got, "after") {
		t.Errorf("the caller is sent on although somebody is there: %v", got)
	}
	x.add(30, FactLegStatus, FactData{Leg: guest, SID: targetSID, Status: wordCompleted})
	if end := Fold(x.facts).Call.EndedAt; end == nil {
		t.Error("when that one has left too, the call goes on")
	}
}
