package emulator

import (
	"net/http"
	"slices"
	"strings"
)

func (r *conference) uri() string {
	return "/2010-04-01/Accounts/" + r.account.sid + "/Conferences/" + r.sid
}

func (r *conference) json() map[string]any {
	return map[string]any{
		"sid": r.sid, "account_sid": r.account.sid, "api_version": "2010-04-01", "friendly_name": r.name, "region": r.region, "status": r.status,
		"date_created": rfc2822(r.created), "date_updated": rfc2822(r.updated), "reason_conference_ended": null(r.reason), "call_sid_ending_conference": null(r.ender),
		"uri":              r.uri() + ".json",
		"subresource_uris": map[string]any{"participants": r.uri() + "/Participants.json", "recordings": r.uri() + "/Recordings.json"},
	}
}

// conferencesResource is Conferences and what lies under one.
func (e *Emulator) conferencesResource(q *request) result {
	if len(q.path) == 1 {
		if q.Method == http.MethodGet {
			return e.listConferences(q)
		}
		return e.unknownPath(q)
	}
	if len(q.path) == 3 && q.path[2] == "Participants" && q.Method == http.MethodPost {
		return e.createParticipant(q, q.path[1]) // the only one that takes a name
	}
	r := e.roomBy[q.path[1]]
	if r == nil || r.account != q.account {
		return q.notFound()
	}
	switch {
	case len(q.path) == 2 && q.Method == http.MethodGet:
		return ok(r.json())
	case len(q.path) == 2 && q.Method == http.MethodPost:
		return e.updateConference(q, r)
	case len(q.path) >= 3 && q.path[2] == "Participants":
		return e.participants(q, r)
	case len(q.path) >= 3 && q.path[2] == "Recordings":
		return e.roomRecordings(q, r)
	}
	return e.unknownPath(q)
}

func (e *Emulator) listConferences(q *request) result {
	all := e.rooms
	if name := q.get("FriendlyName"); name != "" {
		all = e.named[q.account.sid+"/"+name]
	}
	var list []*conference
	for _, r := range newestFirst(all) {
		if r.account != q.account || q.get("Status") != "" && q.get("Status") != r.status {
			continue
		}
		if inWindow(q, "DateCreated", r.created) && inWindow(q, "DateUpdated", r.updated) {
			list = append(list, r)
		}
	}
	return page(q, "conferences", list, func(r *conference) string { return r.sid }, (*conference).json)
}

func (e *Emulator) updateConference(q *request, r *conference) result {
	status, to := q.get("Status"), q.get("AnnounceUrl")
	switch {
	case status != "" && status != completed:
		return fail(20001, "Status must be completed")
	case to != "" && !webURL(to):
		return fail(16002, "AnnounceUrl is not a valid URL: "+clip(to, 100))
	case to != "" && r.status == completed:
		return fail(16022)
	}
	if to != "" {
		e.announce(r, nil, to, q.get("AnnounceMethod"))
	}
	if status != "" {
		e.endRoom(r, "conference-ended-via-api", nil)
	}
	return ok(r.json())
}

// roomRecordings is Recordings of a conference.
func (e *Emulator) roomRecordings(q *request, r *conference) result {
	if len(q.path) == 3 {
		if q.Method != http.MethodGet {
			return e.unknownPath(q)
		}
		list := newestFirst(slices.DeleteFunc(slices.Clone(r.recordings), func(x *recording) bool { return x.gone || !inWindow(q, "DateCreated", x.started) }))
		return page(q, "recordings", list, func(x *recording) string { return x.sid }, e.roomRecordingJSON)
	}
	var rec *recording
	if key := strings.TrimSuffix(q.path[3], ".json"); key == "Twilio.CURRENT" {
		rec = current(r.recordings)
	} else if x := e.recBy[key]; x != nil && x.room == r && !x.gone {
		rec = x
	}
	if rec == nil || len(q.path) > 4 {
		return q.notFound()
	}
	switch q.Method {
	case http.MethodGet:
		return ok(e.roomRecordingJSON(rec))
	case http.MethodPost:
		return e.updateRecording(q, rec)
	case http.MethodDelete:
		return e.deleteRecording(q, rec)
	}
	return e.unknownPath(q)
}
