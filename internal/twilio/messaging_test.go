package twilio_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"switchboard/internal/emulator"
	"switchboard/internal/twilio"
)

func TestServicesAndTheirNumbersAreReadPageByPage(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	const services = 103 // more than a page
	var all []string
	for i := range services {
		e164 := fmt.Sprintf("+1555100%04d", i)
		sid, err := w.e.AddNumber(ac, emulator.NumberSpec{E164: e164})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sid)
		if i > 0 {
			if _, err := w.e.AddService(ac, emulator.ServiceSpec{Name: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	numbers := []string{dialled}
	for i := range services {
		numbers = append(numbers, fmt.Sprintf("+1555100%04d", i))
	}
	pool, err := w.e.AddService(ac, emulator.ServiceSpec{Name: "pool", Numbers: numbers, Campaign: emulator.CampaignInProgress,
		Fields: map[string]string{"InboundRequestUrl": "https://them.example/in"}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	if err := w.c.ListServices(t.Context(), func(some []twilio.MessagingService) error {
		for _, s := range some {
			names = append(names, s.Name)
		}
		return nil
	}); err != nil || len(names) != services || names[len(names)-1] != "pool" {
		t.Errorf("%d services, %v", len(names), err)
	}
	var got []string
	if err := w.c.ListServiceNumbers(t.Context(), pool, func(some []string) error { got = append(got, some...); return nil }); err != nil || len(got) != services+1 {
		t.Errorf("%d numbers, %v", len(got), err)
	}
	for _, sid := range all {
		if !slices.Contains(got, sid) {
			t.Errorf("number %s is missing", sid)
		}
	}
	s, ok, err := w.c.ServiceOf(t.Context(), w.number.SID)
	if err != nil || !ok || s.SID != pool || s.InboundURL != "https://them.example/in" || s.UseNumberWebhook {
		t.Errorf("%+v %v %v", s, ok, err)
	}
}

func TestAServiceIsPointedElsewhereAndReadBack(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	sid, err := w.e.AddService(ac, emulator.ServiceSpec{Name: "pool", Numbers: []string{dialled}, Fields: map[string]string{"FallbackUrl": "https://them.example/f", "InboundMethod": "GET"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"https://us.example/sms", ""} {
		s, err := w.c.SetServiceInbound(t.Context(), sid, address, "")
		if err != nil || s.InboundURL != address || s.InboundMethod != "POST" || s.FallbackURL != "https://them.example/f" || s.Name != "pool" {
			t.Errorf("%+v, %v", s, err)
		}
	}
	gone := "MG00000000000000000000000000000000"
	if _, err := w.c.FetchService(t.Context(), gone); !twilio.NotFound(err) {
		t.Errorf("a service that is not there: %v", err)
	}
	if _, err := w.c.SetServiceInbound(t.Context(), "PN"+gone[2:], "", ""); err == nil || twilio.NotFound(err) {
		t.Errorf("a SID of another kind: %v", err)
	}
}

func TestRegistrationsAreReadInTwiliosWords(t *testing.T) { // R152, R153
	t.Parallel()
	w := newWire(t)
	sid, err := w.e.AddService(ac, emulator.ServiceSpec{Name: "pool", Numbers: []string{dialled}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"", emulator.CampaignInProgress, emulator.CampaignVerified, emulator.CampaignFailed, ""} {
		if err := w.e.SetCampaign(sid, want); err != nil {
			t.Fatal(err)
		}
		if got, err := w.c.CampaignStatus(t.Context(), sid); err != nil || got != want {
			t.Errorf("campaign %q, want %q: %v", got, want, err)
		}
	}
	free, err := w.e.AddNumber(ac, emulator.NumberSpec{E164: "+18885550123"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []map[string]string{{}, {free: emulator.TollFreePending}, {free: emulator.TollFreeApproved}} {
		if err := w.e.SetTollFree("+18885550123", want[free]); err != nil {
			t.Fatal(err)
		}
		if got, err := w.c.TollFreeStatuses(t.Context()); err != nil || !maps.Equal(got, want) {
			t.Errorf("toll-free %v, want %v: %v", got, want, err)
		}
	}
}

func TestTheCountriesThatMayBeWrittenToAreRead(t *testing.T) { // R149
	t.Parallel()
	w := newWire(t)
	if err := w.e.SetGeoPermission(ac, "NZ", false); err != nil {
		t.Fatal(err)
	}
	got, err := w.c.MessageCountries(t.Context())
	if err != nil || !got["AU"] || !got["US"] {
		t.Errorf("%v, %v", got, err)
	}
	if may, known := got["NZ"]; may || !known {
		t.Errorf("New Zealand: %v, %v", may, known)
	}
}
