package route_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"switchboard/internal/id"
	"switchboard/internal/route"
)

// A branch of 200 people with a device each, in no order: under 50 µs.
func BenchmarkDecide(b *testing.B) {
	for _, c := range []struct {
		name   string
		change func(*route.Snapshot)
	}{
		{"together", func(*route.Snapshot) {}},
		{"together, 30 a second", func(s *route.Snapshot) { s.Pace.PerSecond = 30 }},
		{"in turn", func(s *route.Snapshot) { s.Number.Strategy, s.Number.RingTimeout = route.Sequential, 120 }},
		{"preferred", func(s *route.Snapshot) {
			s.Number.PreferredUser = true
			s.Contacts = []route.Contact{{ID: id.New(id.Contact), AssignedUserID: s.People[7].ID, CreatedAt: noon}}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := crowd(200, c.change)
			random := rand.New(rand.NewPCG(1, 2))
			for i := range s.People {
				s.People[i].Devices[0].LastSeen = noon.Add(-time.Duration(random.IntN(1e6)) * time.Millisecond)
			}
			// People come by name, as package call reads them; their devices were seen at any time.
			slices.SortFunc(s.People, func(a, b route.Person) int { return cmp.Compare(a.Name, b.Name) })
			b.ReportAllocs()
			for b.Loop() {
				route.Decide(s)
			}
		})
	}
}

// tenThousand are numbers, plain patterns and real ones.
func tenThousand() (rules []string) {
	for i := range 10_000 {
		switch i % 4 {
		case 0:
			rules = append(rules, fmt.Sprintf("+1484460%04d", i))
		case 1:
			rules = append(rules, fmt.Sprintf("#610555%04d#", i))
		case 2:
			rules = append(rules, fmt.Sprintf(`#^\+4420%05d#`, i))
		default:
			rules = append(rules, fmt.Sprintf(`#71%05d\d{2}(11|22)$#`, i))
		}
	}
	return rules
}

// Ten thousand rules: under 50 ms.
func BenchmarkIgnoredCompile(b *testing.B) {
	rules := tenThousand()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := route.CompileIgnored(rules); err != nil {
			b.Fatal(err)
		}
	}
}

// Ten thousand rules: microseconds.
func BenchmarkIgnoredMatch(b *testing.B) {
	list, err := route.CompileIgnored(tenThousand())
	if err != nil {
		b.Fatal(err)
	}
	for _, caller := range []string{"+14844600000", "+16105550001", "+442000002999", "+17100003", "+61255501234"} {
		b.Run(caller, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				list.Match(caller)
			}
		})
	}
}
