package transcript

import (
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/voicemail"
)

// SeenBy is the SQL condition that the actor sees the transcript of the given
// alias: that of a call that they see, or of a voicemail that they see. Reading it
// needs TRANSCRIPT_VIEW besides.
func SeenBy(alias string, who access.Actor, arg func(any) string) string {
	if who.System {
		return "true"
	}
	return "(EXISTS (SELECT FROM call seen WHERE seen.organization_id = " + alias + ".organization_id AND seen.id = " + alias + ".call_id AND " + call.SeenBy("seen", who, arg) + ")" +
		" OR EXISTS (SELECT FROM voicemail seen WHERE seen.organization_id = " + alias + ".organization_id AND seen.id = " + alias + ".voicemail_id AND " + voicemail.SeenBy("seen", who, arg) + "))"
}

// Held is the SQL condition that a legal hold keeps a transcript: its own, or that
// of what it belongs to.
const Held = `is_held(transcript.organization_id, transcript.id, transcript.call_id, transcript.recording_id, transcript.voicemail_id, transcript.contact_id, transcript.record_id)`
