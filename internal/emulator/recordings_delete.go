package emulator

import (
	"encoding/json"
	"fmt"
	"time"
)

// metadataKept is how long Twilio shows the metadata of deleted recordings to who
// asks for it (twilio: voice/api/recording, IncludeSoftDeleted).
const metadataKept = 40 * 24 * time.Hour

// recordingControls are the verbs of the control API that concern recordings.
var recordingControls = map[string]func(*Emulator, json.RawMessage) (any, error){
	"recordings/delete": verb(func(e *Emulator, in struct{ SID string }) (any, error) {
		return nil, e.DeleteRecording(in.SID)
	}),
}

// DeleteRecording deletes a finished recording in Twilio's console: nobody is told.
func (e *Emulator) DeleteRecording(sid string) (err error) {
	e.do(func() {
		r := e.recBy[sid]
		switch {
		case r == nil || r.gone:
			err = fmt.Errorf("emulator: there is no recording %s", clip(sid, 40))
		case !r.deletable():
			err = fmt.Errorf("emulator: the recording %s is still being made", sid)
		default:
			e.erase(r)
		}
	})
	return err
}

// deletable reports whether a recording is over and its file made.
func (r *recording) deletable() bool { return !r.active() && r.status != processing }

// erase takes the sound away; the metadata stays for a while.
func (e *Emulator) erase(r *recording) {
	r.gone = true
	e.turn(r, deleted)
	r.sound = [2][]span{}
}

func (e *Emulator) deleteRecording(q *request, r *recording) result {
	if r.gone {
		return q.notFound()
	}
	if !r.deletable() {
		return fail(20409, "a recording in progress cannot be deleted")
	}
	e.erase(r)
	return gone()
}

// shown reports whether a reader who asks for deleted recordings, or does not, sees it.
func (r *recording) shown(q *request, now time.Time) bool {
	return !r.gone || q.get("IncludeSoftDeleted") == "true" && now.Sub(r.updated) < metadataKept
}
