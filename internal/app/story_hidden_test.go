package app_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"switchboard/internal/demo"
)

// Whoever reaches a customer through a masked number does not learn theirs from the
// texts either; the office does.
func TestNoTextShowsTheNumberOfAMaskedCustomer(t *testing.T) { // R103
	s := newStory(t)
	s.Number(officeNumber, nil)
	fay := s.User("fay", "FIELDWORKER", "+61491570999")
	carol := s.contact("CUSTOMER", "Carol", customer, nil)
	booking := s.recordOf("BOOKING", "Lawn", carol, demo.Vars{"assignedUserId": fay.ID, "startsAt": s.Clock.Now()})
	masked := s.try(s.Admin, `mutation($r: ID!) { maskedPairCreate(input: {recordId: $r}) { maskedPair { id } userErrors { code field message } } }`, demo.Vars{"r": booking}, nil)
	if masked != "" {
		t.Fatal(masked)
	}
	var sent struct {
		MessageSend json.RawMessage
	}
	s.Must(fay.Client.Do(t.Context(), `mutation($i: MessageSendInput!) { messageSend(input: $i) { message { id from { e164 } to { e164 display } thread { them { e164 display } } } userErrors { code field message } } }`,
		demo.Vars{"i": demo.Vars{"contactId": carol, "recordId": booking, "body": "On my way"}}, &sent))
	s.Settle()
	s.Pass(time.Minute)
	s.text(customer, officeNumber, "See you")
	query := `{ smsThreads { nodes { them { e164 display } contact { name phones { e164 } } lastMessage { from { e164 display } to { e164 } } messages { nodes { from { e164 display } to { e164 display } } } } }
		messages { nodes { id from { e164 display } to { e164 display } } } }`
	for name, c := range map[string]struct {
		who   *demo.Client
		shown bool
	}{"fay": {fay.Client, false}, "the office": {s.Admin, true}} {
		var all json.RawMessage
		s.Must(c.who.Do(t.Context(), query, nil, &all))
		if got := strings.Contains(string(all), customer); got != c.shown || !strings.Contains(string(all), officeNumber) {
			t.Errorf("%s: %s", name, all)
		}
		var page struct{ Messages struct{ Nodes []ref } }
		s.Must(json.Unmarshal(all, &page))
		for _, m := range page.Messages.Nodes {
			var log json.RawMessage
			s.Must(c.who.Do(t.Context(), `query($m: ID!) { messageTwilioLog(id: $m) { from to status differences } }`, demo.Vars{"m": m.ID}, &log))
			if got := strings.Contains(string(log), customer); got != c.shown {
				t.Errorf("%s: %s", name, log)
			}
		}
	}
	if strings.Contains(string(sent.MessageSend), customer) {
		t.Errorf("the answer to sending: %s", sent.MessageSend)
	}
	s.clean()
}
