package transcript

import (
	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/voicemail"
)

// SeenBy is the SQL condition that the actor sees the transcript of the given
// alias: that of a call that they see, or of a voicemail that they see; one whose
// call is gone by who talked and the branch. Reading it needs TRANSCRIPT_VIEW besides.
func SeenBy(alias string, who access.Actor, arg func(any) string) string {
	if who.System {
		return "true"
	}
	alone := "true"
	if !who.SeesAll() {
		alone = alias + ".user_id = " + arg(who.UserID)
	}
	if b := who.SeesBranches(); len(b) > 0 {
		alone += " OR " + alias + ".branch_id = ANY (" + arg(b) + "::uuid[])"
	}
	return "(EXISTS (SELECT FROM call seen WHERE seen.organization_id = " + alias + ".organization_id AND seen.id = " + alias + ".call_id AND " + call.SeenBy("seen", who, arg) + ")" +
		" OR EXISTS (SELECT FROM voicemail seen WHERE seen.organization_id = " + alias + ".organization_id AND seen.id = " + alias + ".voicemail_id AND " + voicemail.SeenBy("seen", who, arg) + ")" +
		" OR " + alias + ".call_id IS NULL AND (" + alone + "))"
}

// Held is the SQL condition that a legal hold keeps a transcript: its own, or that
// of what it belongs to; with its call, also that of whom and what the call was
// about, wherever a person linked the transcript to.
const Held = `is_held(transcript.organization_id, transcript.id, transcript.call_id, transcript.recording_id, transcript.voicemail_id, transcript.contact_id, transcript.record_id,
	(SELECT of.contact_id FROM call of WHERE of.organization_id = transcript.organization_id AND of.id = transcript.call_id),
	(SELECT of.record_id FROM call of WHERE of.organization_id = transcript.organization_id AND of.id = transcript.call_id))`
