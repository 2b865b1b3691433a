package event

import (
	"sync"

	"switchboard/internal/id"
)

// ringBytes bounds the memory of a ring whatever the size of its events.
const ringBytes = 16 << 20

// hub holds the last events of one node and wakes who waits for them. It never
// waits for anybody: readers take from the ring at their own pace, and from the
// table when they fell out of it.
type hub struct {
	mu     sync.Mutex // guards the rest and the pos and idle of every subscription
	last   int64      // delivered; only last+1 is taken
	floor  int64      // events up to here are trimmed
	ring   []Event    // without a hole, ends at last
	bytes  int        // of the ring's data
	size   int
	subs   map[id.ID]map[*Subscription]struct{}
	nSubs  int64
	listen []*consumer
}

func newHub(size int) *hub {
	return &hub{size: size, subs: map[id.ID]map[*Subscription]struct{}{}}
}

func (h *hub) begin(last, floor int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last, h.floor = last, floor
}

func (h *hub) position() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

func (h *hub) subscribers() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.nSubs
}

func (h *hub) setFloor(seq int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.floor = max(h.floor, seq)
}

// jump goes on at a place that was not delivered: the ring begins anew, so that
// every reader behind it asks the table.
func (h *hub) jump(seq int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if seq <= h.last {
		return
	}
	h.last, h.ring, h.bytes = seq, nil, 0
	for _, subs := range h.subs {
		for s := range subs {
			s.rouse()
		}
	}
	for _, c := range h.listen {
		c.wakeUp()
	}
}

// deliver takes events strictly in sequence; those it has are skipped. It
// reports false at a hole, with what comes before the hole taken.
func (h *hub) deliver(events []Event) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	whole := true
	var kinds map[Kind]struct{}
	for _, e := range events {
		if e.Seq <= h.last {
			continue
		}
		if e.Seq != h.last+1 {
			whole = false
			break
		}
		h.last = e.Seq
		h.ring = append(h.ring, e)
		h.bytes += len(e.Data)
		for s := range h.subs[e.OrganizationID] {
			if s.idle && e.Seq > s.pos && s.wants(e.Kind) {
				s.pos = e.Seq - 1 // nothing before was for it
				s.rouse()
			}
		}
		if len(h.listen) > 0 {
			if kinds == nil {
				kinds = map[Kind]struct{}{}
			}
			kinds[e.Kind] = struct{}{}
		}
	}
	for _, c := range h.listen {
		for k := range kinds {
			if c.wants(k) {
				c.wakeUp()
				break
			}
		}
	}
	h.shrink()
	return whole
}

// shrink lets the ring grow to twice its size before it copies, so that one
// event costs no copy of the whole.
func (h *hub) shrink() {
	if len(h.ring) < 2*h.size && h.bytes < 2*ringBytes {
		return
	}
	from, bytes := len(h.ring), 0
	for from > 0 && len(h.ring)-from < h.size && bytes < ringBytes {
		from--
		bytes += len(h.ring[from].Data)
	}
	h.ring, h.bytes = append(make([]Event, 0, 2*h.size), h.ring[from:]...), bytes
}

// take gives a subscription its next events. behind means that the ring does not
// reach back to its place. Without events the subscription is idle and is woken.
func (h *hub) take(s *Subscription, most int) (events []Event, behind bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.pos < h.last {
		first := h.last - int64(len(h.ring)) + 1
		if s.pos < first-1 {
			return nil, true
		}
		for _, e := range h.ring[s.pos+1-first:] {
			s.pos = e.Seq
			if e.OrganizationID == s.org && s.wants(e.Kind) {
				if events = append(events, e); len(events) == most {
					break
				}
			}
		}
	}
	s.idle = len(events) == 0
	return events, false
}

// moveTo sets how far a subscription has read in the table.
func (h *hub) moveTo(s *Subscription, seq int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.pos = max(s.pos, seq)
}

// since gives a consumer's next events after seq and the place up to which there
// are no others; ok is false when the ring does not reach back that far.
func (h *hub) since(c *consumer, seq int64, most int) (events []Event, upTo int64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.last - int64(len(h.ring)) + 1
	if seq >= h.last {
		return nil, seq, true
	}
	if seq < first-1 {
		return nil, h.last, false
	}
	for _, e := range h.ring[seq+1-first:] {
		if c.wants(e.Kind) {
			if events = append(events, e); len(events) == most {
				return events, e.Seq, true
			}
		}
	}
	return events, h.last, true
}

// join places a subscription: at the live end, or at its cursor. It reports
// whether the cursor is older than what is kept, and where the hub stands.
func (h *hub) join(s *Subscription, fromNow bool) (tooOld bool, last int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if fromNow {
		s.pos = h.last
	} else if s.pos < h.floor {
		return true, h.last
	}
	if h.subs[s.org] == nil {
		h.subs[s.org] = map[*Subscription]struct{}{}
	}
	h.subs[s.org][s] = struct{}{}
	h.nSubs++
	return false, h.last
}

func (h *hub) leave(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.subs[s.org][s]; !ok {
		return
	}
	h.nSubs--
	delete(h.subs[s.org], s)
	if len(h.subs[s.org]) == 0 {
		delete(h.subs, s.org)
	}
}
