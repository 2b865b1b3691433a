package emulator

import (
	"encoding/binary"
	"hash/fnv"
	"net/http"
	"strings"
	"time"
)

// Chaos is a set of seeded faults. Chances lie between 0 and 1. Whether a fault strikes
// depends only on the seed and on what it may strike (the n-th request of a kind, a
// callback by its call and event), so the same seed gives the same faults however the
// machine schedules.
type Chaos struct {
	Seed uint64 `json:"seed"`

	// Reorder holds a callback back for up to 3 s, so that later ones overtake it.
	Reorder float64 `json:"reorder,omitempty"`
	// Duplicate sends a callback again, half the time with the same idempotency token.
	Duplicate float64 `json:"duplicate,omitempty"`
	// Delay holds a callback back for up to MaxDelay (30 s when 0).
	Delay    float64       `json:"delay,omitempty"`
	MaxDelay time.Duration `json:"maxDelay,omitempty"`

	// TooMany answers REST with 429 and Retry-After, Burst requests in a row (3 when 0).
	TooMany float64 `json:"tooMany,omitempty"`
	Burst   int     `json:"burst,omitempty"`
	// ServerError answers 500 with Twilio's JSON; HTML answers 503 with a web page; Reset
	// cuts the connection. None of them does anything.
	ServerError float64 `json:"serverError,omitempty"`
	HTML        float64 `json:"html,omitempty"`
	Reset       float64 `json:"reset,omitempty"`
	// Lost carries the request out and then cuts the connection, answers 500 or says
	// nothing until the client gives up.
	Lost float64 `json:"lost,omitempty"`

	// CallbackFirst holds the answer of a create until its first callbacks are delivered.
	CallbackFirst bool `json:"callbackFirst,omitempty"`
	// Parallel sends the webhooks of one call side by side.
	Parallel bool `json:"parallel,omitempty"`
	// ReadLag makes fetched calls, participants and recordings as old as this: REST reads
	// trail the callbacks.
	ReadLag time.Duration `json:"readLag,omitempty"`
}

// Ways in which REST can fail.
const (
	fateNone   = ""
	Fate429    = "429"
	Fate500    = "500"
	FateHTML   = "html"
	FateReset  = "reset"
	LostReset  = "lost-reset" // carried out, then the connection is cut
	Lost500    = "lost-500"   // carried out, then 500
	LostHang   = "lost-hang"  // carried out, then silence
	LostCut    = "lost-cut"   // carried out, then the connection is cut in the middle of the answer
	FateHang   = "hang"       // nothing is done, and nothing said
	FateJunk   = "junk"       // nothing is done; 200 with what is no JSON
	FateOK     = "ok"         // nothing goes wrong
	FateRefuse = "refuse"     // Twilio's error Code
)

// Fault is a fault by appointment: the next Times requests that match meet this Fate.
type Fault struct {
	Method string `json:"method,omitempty"` // "" is any
	Path   string `json:"path,omitempty"`   // part of the path
	Fate   string `json:"fate"`
	Code   int    `json:"code,omitempty"`  // Twilio's error code, for FateRefuse
	Times  int    `json:"times,omitempty"` // 0 is once
	// RetryAfter is what Fate429 asks for; 0 is a second.
	RetryAfter time.Duration `json:"retryAfter,omitempty"`
}

// MessageStep is what the creation of one message meets, and how the message ends.
type MessageStep struct {
	Fate       string        `json:"fate,omitempty"` // "" is FateOK
	Code       int           `json:"code,omitempty"` // for FateRefuse, which may then be left out
	RetryAfter time.Duration `json:"retryAfter,omitempty"`
	// Outcome is how it ends when it is accepted; nil leaves it to the phone.
	Outcome *Outcome `json:"outcome,omitempty"`
}

// PlanMessages says what the next creations of messages by REST meet, one step each, in the
// order in which they arrive. It adds to what is planned already.
func (e *Emulator) PlanMessages(steps ...MessageStep) {
	e.do(func() { e.plan = append(e.plan, steps...) })
}

// Planned is how many steps of PlanMessages have not been met yet.
func (e *Emulator) Planned() (n int) {
	e.read(func() { n = len(e.plan) })
	return n
}

// SetChaos replaces the faults in force.
func (e *Emulator) SetChaos(c Chaos) { e.do(func() { e.chaos, e.burst = c, 0 }) }

// FailNext makes an appointment for a fault.
func (e *Emulator) FailNext(f Fault) {
	f.Times = max(f.Times, 1)
	e.do(func() { e.faults = append(e.faults, &f) })
}

// chance is a number in [0,1) that depends on the seed and the words only.
func (e *Emulator) chance(words ...string) float64 {
	h := fnv.New64a()
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], e.chaos.Seed)
	_, _ = h.Write(b[:])
	for _, w := range words {
		_, _ = h.Write([]byte(w))
		_, _ = h.Write([]byte{0})
	}
	x := h.Sum64() // splitmix64 spreads the low-entropy end of FNV
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11) / (1 << 53)
}

// callbackDelay is how long a callback is held back.
func (e *Emulator) callbackDelay(key string) (d time.Duration) {
	c := e.chaos
	if e.chance("reorder?", key) < c.Reorder {
		d = time.Duration(e.chance("reorder", key) * float64(3*time.Second))
	}
	if e.chance("delay?", key) < c.Delay {
		most := c.MaxDelay
		if most == 0 {
			most = 30 * time.Second
		}
		d += time.Duration(e.chance("delay", key) * float64(most))
	}
	return d
}

// fate decides what becomes of a REST request: by plan, by appointment or by chance.
func (e *Emulator) fate(q *request) Fault {
	r := q.Request
	if len(e.plan) > 0 && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/Messages.json") {
		step := e.plan[0]
		e.plan, q.plan = e.plan[1:], step.Outcome
		if step.Code != 0 && step.Fate == fateNone {
			step.Fate = FateRefuse
		}
		return Fault{Fate: step.Fate, Code: step.Code, RetryAfter: step.RetryAfter}
	}
	for i, f := range e.faults {
		if (f.Method == "" || f.Method == r.Method) && strings.Contains(r.URL.Path, f.Path) {
			if f.Times--; f.Times <= 0 {
				e.faults = append(e.faults[:i:i], e.faults[i+1:]...)
			}
			return *f
		}
	}
	c := e.chaos
	if e.burst > 0 {
		e.burst--
		return Fault{Fate: Fate429}
	}
	kind := r.Method + " " + pathKind(r.URL.Path)
	e.restNo[kind]++
	key := kind + "/" + itoa(e.restNo[kind])
	roll := e.chance("rest", key)
	for _, f := range []struct {
		p    float64
		fate string
	}{{c.TooMany, Fate429}, {c.ServerError, Fate500}, {c.HTML, FateHTML}, {c.Reset, FateReset}, {c.Lost, LostReset}} {
		if roll < f.p {
			switch f.fate {
			case Fate429:
				e.burst = c.Burst - 1
				if c.Burst == 0 {
					e.burst = 2
				}
			case LostReset:
				return Fault{Fate: []string{LostReset, Lost500, LostHang}[int(e.chance("lost", key)*3)]}
			}
			return Fault{Fate: f.fate}
		}
		roll -= f.p
	}
	return Fault{}
}

// pathKind is a path without its SIDs.
func pathKind(p string) string {
	parts := strings.Split(p, "/")
	for i, s := range parts {
		if id, _, _ := strings.Cut(s, "."); sidForm.MatchString(id) {
			parts[i] = id[:2]
		}
	}
	return strings.Join(parts, "/")
}
