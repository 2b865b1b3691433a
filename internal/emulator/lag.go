package emulator

import (
	"reflect"
	"time"
)

// roomView is what a reader of Participants could see of a conference at a time.
type roomView struct {
	at     time.Time
	bodies []map[string]any // newest first
}

// remember keeps the views of the conferences while reads trail (Chaos.ReadLag).
func (e *Emulator) remember() {
	if e.chaos.ReadLag <= 0 {
		e.views = nil
		return
	}
	if e.views == nil {
		e.views = map[*conference][]roomView{}
	}
	for _, r := range e.rooms {
		list := e.views[r]
		if r.status == completed && len(list) > 0 && len(list[len(list)-1].bodies) == 0 {
			continue // nothing more can happen
		}
		now := r.participantBodies()
		if n := len(list); n > 0 && reflect.DeepEqual(list[n-1].bodies, now) {
			continue
		}
		e.views[r] = append(list, roomView{e.at, now})
	}
}

// participantBodies are the participants of a conference as REST shows them now.
func (r *conference) participantBodies() (list []map[string]any) {
	for _, p := range newestFirst(append(append([]*participant(nil), r.seats...), r.coming...)) {
		list = append(list, p.json())
	}
	return list
}

// participantsSeen are those a reader gets: late when reads trail.
func (e *Emulator) participantsSeen(r *conference) (list []map[string]any) {
	if e.chaos.ReadLag <= 0 {
		return r.participantBodies()
	}
	for _, v := range e.views[r] {
		if !v.at.After(e.at.Add(-e.chaos.ReadLag)) {
			list = v.bodies
		}
	}
	return list
}
