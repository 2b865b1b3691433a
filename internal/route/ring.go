package route

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"switchboard/internal/id"
)

// Where people ring one after another and the number has no agent timeout, each
// has an equal share of the ring timeout, but long enough to take a telephone out
// of a pocket. A rest of the ring timeout too short for that is given to nobody.
const (
	shortestShare = 10 // seconds
	shortestRing  = 5
)

// turn is one person and what rings for them.
type turn struct {
	person *Person
	rings  []ringing
}

func byName(a, b *Person) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return compareID(a.ID, b.ID)
}

// sortByName sorts by the first letters as one number, which tells most names
// apart, and moves no pointers while it does.
func sortByName(people []*Person) {
	if slices.IsSortedFunc(people, byName) { // as they are read
		return
	}
	from := slices.Clone(people)
	keys := make([]key, len(people))
	for i, p := range people {
		var start [8]byte
		copy(start[:], p.Name)
		keys[i] = key{binary.BigEndian.Uint64(start[:]), i}
	}
	slices.SortFunc(keys, func(a, b key) int {
		if c := cmp.Compare(a.value, b.value); c != 0 {
			return c
		}
		return byName(from[a.place], from[b.place])
	})
	for i, k := range keys {
		people[i] = from[k.place]
	}
}

// key is what a list is sorted by before anything else, and a place in it.
type key struct {
	value uint64
	place int
}

// group is who may ring by the number's mode, in the order in which they take
// turns: its team (R025) or the ring group of its branch (R023), and the General
// Fieldworker where the number asks for it (R024).
func (x *decider) group() []*Person {
	if x.d.Mode == Team {
		if !x.s.Number.TeamID.IsZero() {
			return x.team()
		}
		x.note("TEAM", NotApplicable, id.ID{}, "the number has no team; its branch rings")
	}
	return x.branch()
}

// team are the members of the number's team who take its calls (R026), as they stand in it (R262).
func (x *decider) team() []*Person {
	n := x.s.Number
	people := x.people(func(p *Person) bool { return p.InTeam })
	slices.SortFunc(people, func(a, b *Person) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), byName(a, b))
	})
	if len(people) == 0 {
		x.note("TEAM", Skipped, id.ID{}, "nobody belongs to the number's team", named(n.TeamName))
	} else {
		x.note("TEAM", Chosen, id.ID{}, "the number's team", named(n.TeamName), " rings: ", count(len(people), "user"))
	}
	people = x.receiving(people)
	return append(people, x.cover(func(p *Person) bool { return p.InTeam })...)
}

// receiving leaves out those of the team who switched the number's calls off (R026).
func (x *decider) receiving(people []*Person) []*Person {
	return slices.DeleteFunc(people, func(p *Person) bool {
		off := p.InTeam && !p.LineReceive
		if off {
			x.note("USER_LINE_RECEIVE", Skipped, p.ID, "incoming calls of this number are switched off for ", p.Name)
		}
		return off
	})
}

func (x *decider) branch() []*Person {
	n := x.s.Number
	inBranch := func(p *Person) bool { return p.InBranch && !n.BranchID.IsZero() }
	people := x.people(inBranch)
	switch {
	case n.BranchID.IsZero():
		x.note("BRANCH_GROUP", NotApplicable, id.ID{}, "the number belongs to no branch")
	case len(people) == 0:
		x.note("BRANCH_GROUP", Skipped, id.ID{}, "nobody belongs to the number's branch")
	}
	people = append(people, x.cover(inBranch)...)
	sortByName(people)
	return x.branchRules(people)
}

// cover are the General Fieldworkers that a number includes (R024).
func (x *decider) cover(already func(*Person) bool) []*Person {
	if !x.s.Number.IncludeGeneralFieldworker {
		return nil
	}
	people := x.people(func(p *Person) bool { return p.GeneralFieldworker && !already(p) })
	sortByName(people)
	for _, p := range people {
		x.note("GENERAL_FIELDWORKER", Included, p.ID, p.Name, " is the General Fieldworker, which the number includes")
	}
	return people
}

func (x *decider) people(fits func(*Person) bool) []*Person {
	out := make([]*Person, 0, len(x.s.People))
	for i := range x.s.People {
		if p := &x.s.People[i]; fits(p) {
			out = append(out, p)
		}
	}
	return out
}

// branchRules keeps a branch from being the way to one fieldworker's personal
// phone (R028) and says what to use instead (R029).
func (x *decider) branchRules(people []*Person) []*Person {
	x.branchPhones = true
	if x.s.Number.ReachBy != ByPhone || len(people) != 1 || !people[0].personalPhone() {
		return people
	}
	x.note("BRANCH_GROUP", Skipped, people[0].ID, "the ring group is one fieldworker, ", people[0].Name, ", and a branch does not forward to a personal phone (R028); use a ring group of several users, external forwarding, voicemail or masked routing instead (R029)")
	return nil
}

// personalPhone reports whether the person's phone is a fieldworker's own.
func (p *Person) personalPhone() bool { return p.Fieldworker && !p.GeneralFieldworker }

// preferred is the user whom the caller's contact is assigned to and who rings
// before everybody else (R054). Where they cannot, the trace says why and the
// list rings (D09).
func (x *decider) preferred() *turn {
	if !x.s.Number.PreferredUser {
		return nil
	}
	i := slices.IndexFunc(x.matched, func(c Contact) bool { return !c.AssignedUserID.IsZero() })
	if i < 0 {
		x.note("PREFERRED_USER", NotApplicable, id.ID{}, "the caller's contact is assigned to no user")
		return nil
	}
	user := x.matched[i].AssignedUserID
	p := x.person(user)
	switch {
	case p == nil:
		x.note("PREFERRED_USER", Skipped, user, "the user of the caller's contact cannot be rung by this number; the list rings")
		return nil
	case x.d.Mode == Branch && !p.InBranch:
		x.note("PREFERRED_USER", Skipped, user, p.Name, ", the user of the caller's contact, is not of the number's branch; the list rings (R023)")
		return nil
	case p.InTeam && !p.LineReceive && x.d.Mode == Team:
		x.note("PREFERRED_USER", Skipped, user, "incoming calls of this number are switched off for ", p.Name, "; the list rings")
		return nil
	}
	t := x.turn(p)
	if t == nil {
		x.note("PREFERRED_USER", Skipped, user, p.Name, ", the user of the caller's contact, cannot be rung now; the list rings")
		return nil
	}
	x.note("PREFERRED_USER", Chosen, user, p.Name, ", the user of the caller's contact, rings first")
	return t
}

// turn is what rings for a person now, nil for nothing, which is noted.
func (x *decider) turn(p *Person) *turn {
	if !x.available(p) {
		return nil
	}
	r := x.reach(nil, p)
	if len(r) == 0 {
		return nil
	}
	return &turn{person: p, rings: r}
}

// ring rings the preferred user, if there is one, and then the people by the
// number's strategy (D01). The sum of what it adds is within the ring timeout (D07).
func (x *decider) ring(people []*Person, first *turn) {
	switch x.s.Number.Strategy {
	case Sequential:
		x.inTurn(people, first)
	case RoundRobin:
		x.inTurn(rotate(people, x.s.LastFirst), first)
	default:
		x.together(people, first)
	}
}

// inTurn rings one person after another, each for a share of the ring timeout,
// and names those whom it does not reach (R071, R262).
func (x *decider) inTurn(people []*Person, first *turn) {
	turns := make([]turn, 0, len(people))
	all := make([]ringing, 0, len(people)+8)
	for _, p := range people {
		if first != nil && p == first.person {
			turns = append(turns, *first)
		} else if x.available(p) {
			n := len(all)
			if all = x.reach(all, p); len(all) > n {
				turns = append(turns, turn{person: p, rings: all[n:len(all):len(all)]})
			}
		}
	}
	left := x.ringSeconds()
	limit := count(left, "second")
	if first != nil {
		// Whoever has just rung does not ring next.
		if len(turns) > 0 && turns[0].person == first.person {
			turns = append(turns[1:], turns[0])
		}
		if len(turns) == 1 && turns[0].person == first.person {
			turns = nil
		}
		left -= x.firstTurn(first, left, len(turns))
	}
	if len(turns) == 0 {
		return
	}
	if x.s.Number.Strategy == RoundRobin {
		x.d.First = turns[0].person.ID
		x.note("ROUND_ROBIN", Chosen, x.d.First, turns[0].person.Name, " is the first to ring this time")
	}
	share := x.share(len(turns))
	for i, t := range turns {
		if left <= 0 || i > 0 && left < min(share, shortestRing) {
			x.note("RING_TIME", Skipped, t.person.ID, "the time did not reach ", t.person.Name, ": the ring timeout is ", limit)
			continue
		}
		seconds := x.least(min(share, left))
		x.rings(x.targets(t.rings, seconds), seconds)
		left -= seconds
	}
}

// together rings everybody at once (R061), after the preferred user.
func (x *decider) together(people []*Person, first *turn) {
	left := x.ringSeconds()
	all := make([]ringing, 0, len(people)+8)
	others := 0
	for _, p := range people {
		if first != nil && p == first.person {
			all = append(all, first.rings...)
			continue
		}
		if x.available(p) {
			n := len(all)
			if all = x.reach(all, p); len(all) > n {
				others++
			}
		}
	}
	if first != nil {
		left -= x.firstTurn(first, left, others)
		if others == 0 {
			return
		}
		if left <= 0 {
			x.note("RING_TIME", Skipped, id.ID{}, "the time did not reach the list: the ring timeout is ", count(x.ringSeconds(), "second"))
			return
		}
	}
	seconds := x.least(left, x.s.Number.AgentTimeout)
	x.rings(x.targets(all, seconds), seconds)
}

// firstTurn rings the preferred user and returns how long. The list keeps enough
// of the ring timeout to be rung as well, because no answer goes on to it (D09).
func (x *decider) firstTurn(t *turn, left, others int) int {
	seconds := x.ringSeconds()
	if others > 0 {
		seconds = min(x.share(others+1), max(left-shortestRing, (left+1)/2))
	}
	seconds = x.least(seconds, x.s.Number.AgentTimeout)
	x.rings(x.targets(t.rings, seconds), seconds)
	return seconds
}

// share is how long one of n people rings: the agent timeout, else an equal share.
func (x *decider) share(n int) int {
	if t := x.s.Number.AgentTimeout; t > 0 {
		return t
	}
	return max(shortestShare, x.ringSeconds()/n)
}

// rotate begins after whoever was first last time.
func rotate(people []*Person, last id.ID) []*Person {
	i := slices.IndexFunc(people, func(p *Person) bool { return p.ID == last })
	if i < 0 {
		return people
	}
	return slices.Concat(people[i+1:], people[:i+1])
}
