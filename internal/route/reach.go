package route

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"switchboard/internal/id"
)

// available says whether a person may be rung now, and notes why not.
func (x *decider) available(p *Person) bool {
	switch {
	case !p.Active:
		x.note("USER_ACTIVE", Skipped, p.ID, p.Name, " is not an active user")
	case !p.MayReceive:
		x.note("USER_ROLE", Skipped, p.ID, "the role of ", p.Name, " does not permit receiving calls")
	case p.DoNotDisturb:
		x.note("USER_DO_NOT_DISTURB", Skipped, p.ID, p.Name, " is not to be disturbed")
	case p.LineDoNotDisturb:
		x.note("USER_LINE_DO_NOT_DISTURB", Skipped, p.ID, p.Name, " is not to be disturbed by calls to this number")
	default:
		return true
	}
	return false
}

// ringing is something that may ring, with what choosing among many needs.
type ringing struct {
	person *Person
	device *Handset // nil: their phone or SIP address, as the number reaches people
}

// what names it in a note.
func (x *decider) what(r ringing) string {
	switch {
	case r.device != nil:
		return r.device.Name
	case x.s.Number.ReachBy == ByPhone:
		return "the phone"
	}
	return "the SIP address"
}

// lastSeenFirst are the places of a list in the order in which it rings: devices
// seen last first, then phones, else as they stand.
func lastSeenFirst(all []ringing) []key {
	keys := make([]key, len(all))
	for i, r := range all {
		keys[i] = key{math.MaxUint64, i}
		if r.device != nil {
			// Microseconds since 1970 with the sign turned, and the later the smaller.
			keys[i].value = ^(uint64(r.device.LastSeen.UnixMicro()) ^ 1<<63)
		}
	}
	slices.SortFunc(keys, func(a, b key) int {
		if c := cmp.Compare(a.value, b.value); c != 0 {
			return c
		}
		if x, y := all[a.place].device, all[b.place].device; x != nil && y != nil {
			if c := compareID(x.ID, y.ID); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.place, b.place)
	})
	return keys
}

func (x *decider) target(r ringing) Target {
	switch {
	case r.device != nil:
		return Target{Kind: Device, UserID: r.person.ID, DeviceID: r.device.ID, Address: "client:" + r.device.ID.String(), Discreet: r.person.NoDetails}
	case x.s.Number.ReachBy == ByPhone:
		return Target{Kind: UserPhone, UserID: r.person.ID, Address: r.person.Phone, Screen: x.s.Number.Screen && !x.masked, Discreet: r.person.NoDetails}
	}
	return Target{Kind: SIP, UserID: r.person.ID, Address: r.person.SIPAddress, Discreet: r.person.NoDetails}
}

// reach adds what rings for a person by the number's setting (D21).
func (x *decider) reach(all []ringing, p *Person) []ringing {
	switch x.s.Number.ReachBy {
	case ByPhone:
		switch {
		case x.branchPhones && p.personalPhone():
			x.note("USER_PHONE", Skipped, p.ID, "a ring group does not ring the personal phone of a fieldworker (R028)")
		case !usable(p.Phone, x.s.Number.E164):
			x.note("USER_PHONE", Skipped, p.ID, p.Name, " has no valid primary phone")
		default:
			x.note("USER_PHONE", Included, p.ID, "the primary phone of ", p.Name, " rings")
			return append(all, ringing{person: p})
		}
		return all
	case BySIPAddress:
		if p.SIPAddress == "" {
			x.note("USER_SIP_ADDRESS", Skipped, p.ID, p.Name, " has no SIP address")
			return all
		}
		x.note("USER_SIP_ADDRESS", Included, p.ID, "the SIP address of ", p.Name, " rings")
		return append(all, ringing{person: p})
	}
	if len(p.Devices) == 0 {
		x.note("USER_DEVICE", Skipped, p.ID, p.Name, " has no registered device")
		return all
	}
	ready, why := 0, ""
	for i := range p.Devices {
		d := &p.Devices[i]
		if d.NotReady != "" { // R075
			why = d.NotReady
			x.note("DEVICE_READY", Skipped, p.ID, d.Name, " of ", p.Name, " does not ring: ", d.NotReady)
			continue
		}
		ready++
		all = append(all, ringing{person: p, device: d})
	}
	switch {
	case ready == 0 && len(p.Devices) == 1:
		x.note("USER_DEVICE", Skipped, p.ID, "the device of ", p.Name, " is not ready: ", why)
	case ready == 0:
		x.note("USER_DEVICE", Skipped, p.ID, "no device of ", p.Name, " is ready: ", why)
	case ready == 1:
		x.note("USER_DEVICE", Included, p.ID, p.Name, " has one device")
	default:
		x.note("USER_DEVICE", Included, p.ID, p.Name, " has ", strconv.Itoa(ready), " devices")
	}
	return all
}

// targets are what rings in one step of so many seconds: the ten most recently
// seen in the <Dial> (T01), the others by calls of our own, one after another at
// the connection's pace. Whoever would have less than a second to answer is named
// instead.
func (x *decider) targets(all []ringing, seconds int) []Target {
	order := lastSeenFirst(all)
	nouns := min(len(all), MaxTargets)
	own := x.s.Pace.reached(len(all)-nouns, seconds)
	out := make([]Target, nouns+own)
	for i, k := range order[:nouns+own] {
		out[i] = x.target(all[k.place])
		if i >= nouns {
			out[i].Own, out[i].After = true, x.s.Pace.start(i-nouns)
		}
	}
	if own > 0 {
		x.note("DEVICE_PACE", Included, id.ID{}, strconv.Itoa(nouns), " ring at once, those seen last, and ", strconv.Itoa(own), " more by calls of our own, ", x.s.Pace.String())
	}
	for _, k := range order[nouns+own:] {
		r := all[k.place]
		x.note("DEVICE_PACE", Skipped, r.person.ID, "the time did not reach ", x.what(r), " of ", r.person.Name)
	}
	return out
}

// rate is calls a second.
func (p Pace) rate() float64 {
	if p.PerSecond > 0 && !math.IsInf(p.PerSecond, 1) {
		return p.PerSecond
	}
	return 1
}

// start is when the k-th call of our own begins, from 0, in milliseconds.
func (p Pace) start(k int) int {
	at := float64(max(p.Backlog, 0).Milliseconds()) + float64(k)*1000/p.rate()
	return int(min(at, math.MaxInt32))
}

// reached is how many of n calls of our own begin in time to ring for a second.
func (p Pace) reached(n, seconds int) (k int) {
	for k < n && p.start(k) < (seconds-1)*1000 {
		k++
	}
	return k
}

// String is the pace in words.
func (p Pace) String() string {
	return strconv.FormatFloat(p.rate(), 'g', -1, 64) + " a second"
}
