package app_test

import (
	"testing"
	"time"

	"switchboard/internal/demo"
)

// Who follows a voicemail up need not see its call: the list stays whole, and null
// stands where the call would be. A list of nothing is empty; null is for those who
// may not see it.
func TestWhatSomebodyMayNotSeeIsNullAndBreaksNothing(t *testing.T) {
	s := newStory(t)
	branch := s.Branch("Office")
	line := s.Number(officeNumber, demo.Vars{"branchId": branch})
	bob := s.User("bob", "OFFICE", "")
	s.set(line, demo.Vars{"voicemail": demo.Vars{"isEnabled": true, "ownerId": bob.ID}})
	s.speakAndHangUp(s.dial(customer, officeNumber), 5*time.Second)
	s.Settle()

	var list struct {
		Voicemails struct {
			Nodes []struct {
				ID        string
				Call      *ref
				Recording struct {
					ID   string
					Call *ref
				}
			}
		}
	}
	s.Must(bob.Client.Do(t.Context(), `{ voicemails { nodes { id call { id } recording { id call { id } } } } }`, nil, &list))
	if n := list.Voicemails.Nodes; len(n) != 1 || n[0].Call != nil || n[0].Recording.Call != nil {
		t.Errorf("the owner sees %+v", n)
	}

	var person struct{ User struct{ Phones *[]ref } }
	ask := `query($id: ID!) { user(id: $id) { phones { id } } }`
	s.Do(ask, demo.Vars{"id": bob.ID}, &person)
	if p := person.User.Phones; p == nil || len(*p) != 0 {
		t.Errorf("an administrator sees the phones %v of somebody who has none", p)
	}
	ann := s.User("ann", "OFFICE", "")
	s.Must(ann.Client.Do(t.Context(), ask, demo.Vars{"id": bob.ID}, &person))
	if p := person.User.Phones; p != nil {
		t.Errorf("a colleague sees the phones %v", *p)
	}
}
