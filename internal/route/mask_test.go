package route_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/id"
	"switchboard/internal/route"
)

func TestAMaskedCallReachesTheOtherParty(t *testing.T) {
	t.Parallel()
	const customer = "+61400777666"
	field := person("Fay", func(p *route.Person) { p.Fieldworker, p.InBranch, p.Phone = true, false, "+61400000009" })
	type pair = route.Mask
	for name, c := range map[string]struct {
		why    string
		mask   pair
		change func(*route.Snapshot)
		rings  []string
		steps  []route.StepKind
		reason route.EndReason
		normal bool // the decision belongs to no pair
	}{
		"the customer calls": {
			why: "and gets the fieldworker of the booking (R104)", mask: pair{FromCustomer: true},
			rings: []string{device(field)}, steps: []route.StepKind{route.Ring, route.Voicemail},
		},
		"by phone": {
			why: "R028 does not forbid masked routing: it is the alternative (R029)", mask: pair{FromCustomer: true},
			change: func(s *route.Snapshot) { s.Number.ReachBy = route.ByPhone },
			rings:  []string{"USER_PHONE " + field.Phone}, steps: []route.StepKind{route.Ring, route.Voicemail},
		},
		"not to be disturbed": {
			why: "as usual; the number's fallback is left", mask: pair{FromCustomer: true},
			change: func(s *route.Snapshot) {
				s.People[2].DoNotDisturb, s.Number.ForwardingNumbers = true, []string{forward}
			},
			steps: []route.StepKind{route.Forward, route.Voicemail},
		},
		"the fieldworker left": {
			why: "a call is never dropped silently (D05)", mask: pair{FromCustomer: true},
			change: func(s *route.Snapshot) { s.People = s.People[:2] }, steps: []route.StepKind{route.Voicemail},
		},
		"before the booking": {
			why: "the branch rings instead (D14)", mask: pair{FromCustomer: true, BeforeStart: true},
			rings: []string{device(ann), device(bob)}, steps: []route.StepKind{route.Ring, route.Voicemail},
		},
		"before the booking, at night": {
			why: "the branch keeps its hours", mask: pair{FromCustomer: true, BeforeStart: true},
			change: func(s *route.Snapshot) { s.Hours, s.At = office("UTC"), noon.Add(11*time.Hour) }, steps: []route.StepKind{route.Voicemail},
		},
		"at night": {
			why: "a booking has its own hours", mask: pair{FromCustomer: true},
			change: func(s *route.Snapshot) { s.Hours, s.At = office("UTC"), noon.Add(11*time.Hour) },
			rings:  []string{device(field)}, steps: []route.StepKind{route.Ring, route.Voicemail},
		},
		"the fieldworker calls": {
			why: "and gets the customer, nobody else", mask: pair{},
			rings: []string{"CUSTOMER " + customer}, steps: []route.StepKind{route.Ring, route.Farewell},
		},
		"the fieldworker calls too early": {
			why: "R242 restricts both ways", mask: pair{BeforeStart: true},
			rings: []string{device(ann), device(bob)}, steps: []route.StepKind{route.Ring, route.Voicemail},
		},
		"the customer has no number": {
			why: "the fieldworker is told by the farewell", mask: pair{},
			change: func(s *route.Snapshot) { s.Mask.CustomerNumber = "anonymous" }, steps: []route.StepKind{route.Farewell},
		},
		"expired": {
			why: "the number has a route of its own", mask: pair{FromCustomer: true, Expired: true}, normal: true,
			rings: []string{device(ann), device(bob)}, steps: []route.StepKind{route.Ring, route.Voicemail},
		},
		"expired, and nothing else": {
			why: "a number for masked calls alone stands for nobody", mask: pair{FromCustomer: true, Expired: true}, normal: true,
			change: func(s *route.Snapshot) { s.Number.BranchID, s.Number.Voicemail = id.ID{}, false },
			steps:  []route.StepKind{route.Reject}, reason: route.MaskExpired,
		},
		"a disabled number": {
			why: "is refused first", mask: pair{FromCustomer: true}, change: func(s *route.Snapshot) { s.Number.Enabled = false }, normal: true,
			steps: []route.StepKind{route.Reject}, reason: route.NumberDisabled,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(route.Branch, func(s *route.Snapshot) {
				m := c.mask
				m.ID, m.RecordID, m.Fieldworker, m.CustomerNumber = id.New(id.MaskedPair), id.New(id.Record), field.ID, customer
				s.Mask, s.People, s.Number.Screen = &m, []route.Person{ann, bob, field}, true
				if c.change != nil {
					c.change(s)
				}
			})
			d := route.Decide(s)
			if diff := cmp.Diff(c.steps, kinds(d)); diff != "" {
				t.Errorf("%s: steps\n%s", c.why, diff)
			}
			if diff := cmp.Diff(len(c.rings), len(rings(d))); diff != "" || len(c.rings) == 1 && rings(d)[0] != c.rings[0] {
				t.Errorf("%s: rings %v, want %v", c.why, rings(d), c.rings)
			}
			if c.reason != "" && (d.RejectReason == nil || *d.RejectReason != c.reason) {
				t.Errorf("%s: reason %v", c.why, d.RejectReason)
			}
			if masked := d.MaskID == s.Mask.ID && d.RecordID == s.Mask.RecordID; masked == c.normal {
				t.Errorf("%s: the decision names the pair: %t", c.why, masked)
			}
			for _, step := range d.Steps {
				for _, target := range step.Targets {
					if step.Kind == route.Ring && target.Screen {
						t.Errorf("%s: a masked leg is screened", c.why)
					}
				}
			}
			trace, err := json.Marshal(d.Trace)
			if err != nil || strings.Contains(string(trace), customer[3:]) || strings.Contains(string(trace), field.Phone[3:]) {
				t.Errorf("the trace shows a number: %s", trace)
			}
		})
	}
}
