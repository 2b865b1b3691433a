package emulator

import (
	"net/http"
	"strconv"
	"strings"
)

// recordingJSON is a recording as the account, its call or its conference shows it: Twilio
// tells three stories.
func (e *Emulator) recordingJSON(r *recording) map[string]any {
	body := e.recordingFields(r)
	uri := "/2010-04-01/Accounts/" + r.call.account.sid + "/Recordings/" + r.sid
	body["uri"], body["media_url"] = uri+".json", e.recordingURL(r)
	body["subresource_uris"] = map[string]any{"transcriptions": uri + "/Transcriptions.json", "add_on_results": uri + "/AddOnResults.json"}
	return body
}

func (e *Emulator) callRecordingJSON(r *recording) map[string]any {
	body := e.recordingFields(r)
	body["track"] = r.track
	body["uri"] = "/2010-04-01/Accounts/" + r.call.account.sid + "/Calls/" + r.call.sid + "/Recordings/" + r.sid + ".json"
	return body
}

func (e *Emulator) roomRecordingJSON(r *recording) map[string]any {
	body := e.recordingFields(r)
	body["uri"] = r.room.uri() + "/Recordings/" + r.sid + ".json"
	return body
}

func (e *Emulator) recordingFields(r *recording) map[string]any {
	status := r.seen(e.at.Add(-e.chaos.ReadLag))
	body := map[string]any{
		"sid": r.sid, "account_sid": r.call.account.sid, "call_sid": r.call.sid, "conference_sid": nil, "api_version": "2010-04-01", "channels": r.channels, "source": r.source,
		"status": status, "date_created": rfc2822(r.started), "date_updated": rfc2822(r.updated), "start_time": rfc2822(r.started),
		"duration": "-1", "price": nil, "price_unit": "USD", "error_code": nil, "encryption_details": nil,
	}
	if status == completed || status == deleted {
		body["duration"] = itoa(r.duration)
	}
	if r.room != nil {
		body["conference_sid"] = r.room.sid
	}
	return body
}

// recordings is Recordings of an account, or of one call.
func (e *Emulator) recordings(q *request, c *call) result {
	if len(q.path) == 1 {
		switch {
		case q.Method == http.MethodGet:
			return e.listRecordings(q, c)
		case q.Method == http.MethodPost && c != nil:
			if c.status != inProgress {
				return fail(21220, "Requested resource is not eligible for recording")
			}
			return created(e.callRecordingJSON(e.startRecording(c, *recordRequestOf(q, "StartCallRecordingAPI", "do-not-trim"))))
		}
		return e.unknownPath(q)
	}
	if len(q.path) > 2 {
		return e.unknownPath(q)
	}
	sid, ext, _ := strings.Cut(q.path[1], ".")
	var r *recording
	if q.path[1] == "Twilio.CURRENT" && c != nil {
		if r = current(c.recordings); r == nil {
			return q.notFound()
		}
		ext = "json"
	} else if r = e.recBy[sid]; r == nil || r.call.account != q.account || c != nil && (r.call != c || r.room != nil) {
		return q.notFound()
	}
	// The .json was cut off before: what is left is the name alone (metadata when it came
	// with .json) or a media extension.
	isMedia := c == nil && !strings.HasSuffix(q.URL.Path, ".json")
	switch {
	case isMedia && (q.Method == http.MethodGet || q.Method == http.MethodHead):
		return e.recordingMedia(q, r, ext)
	case q.Method == http.MethodGet:
		if !r.shown(q, e.at) {
			return q.notFound()
		}
		if c != nil {
			return ok(e.callRecordingJSON(r))
		}
		return ok(e.recordingJSON(r))
	case q.Method == http.MethodDelete:
		return e.deleteRecording(q, r)
	case q.Method == http.MethodPost && c != nil:
		return e.updateRecording(q, r)
	}
	return e.unknownPath(q)
}

func (e *Emulator) listRecordings(q *request, c *call) result {
	var list []*recording
	all := e.recs
	if c != nil {
		all = c.recordings
	}
	for _, r := range newestFirst(all) {
		if r.call.account != q.account || !r.shown(q, e.at) {
			continue
		}
		if sid := q.get("ConferenceSid"); sid != "" && (r.room == nil || r.room.sid != sid) {
			continue
		}
		if sid := q.get("CallSid"); sid != "" && r.call.sid != sid || !inWindow(q, "DateCreated", r.started) {
			continue
		}
		list = append(list, r)
	}
	show := e.recordingJSON
	if c != nil {
		show = e.callRecordingJSON
	}
	return page(q, "recordings", list, func(r *recording) string { return r.sid }, show)
}

// current is what Twilio.CURRENT means: it works only when exactly one is active.
func current(list []*recording) (r *recording) {
	for _, x := range list {
		if x.active() {
			if r != nil {
				return nil
			}
			r = x
		}
	}
	return r
}

func (e *Emulator) updateRecording(q *request, r *recording) result {
	if !r.active() {
		return fail(21220, "Recording is not in-progress")
	}
	show := e.callRecordingJSON
	if r.room != nil {
		show = e.roomRecordingJSON
	}
	switch q.get("Status") {
	case paused:
		e.pauseRecording(r, q.get("PauseBehavior") == "skip")
	case inProgress:
		e.resumeRecording(r)
	case stopped:
		if r.room != nil {
			return fail(20001, "a conference recording cannot be stopped, only paused")
		}
		e.stopRecording(r)
		body := show(r)
		body["status"] = stopped
		return ok(body)
	default:
		return fail(20001, "Status must be paused, in-progress or stopped")
	}
	body := show(r)
	body["status"] = r.status
	return ok(body)
}

// recordingMedia serves the sound of a finished recording.
func (e *Emulator) recordingMedia(q *request, r *recording, ext string) result {
	if r.gone || r.status != completed || ext != "" && ext != "wav" && ext != "mp3" {
		return q.notFound()
	}
	f := file{length: r.length, sound: r.sound, stereo: r.channels == 2}
	switch n, err := strconv.Atoi(q.query.Get("RequestedChannels")); {
	case err != nil:
	case n == 2 && r.channels == 1:
		return fail(20001, "this recording has one channel")
	case n == 1 || n == 2:
		f.stereo = n == 2
	default:
		return fail(20001, "RequestedChannels must be 1 or 2")
	}
	head := q.Method == http.MethodHead
	return result{raw: func(w http.ResponseWriter) {
		if ext == "mp3" {
			w.Header().Set("Content-Type", "audio/mpeg")
			w.Header().Set("Content-Length", itoa(f.mp3Size()))
			w.WriteHeader(200)
			if !head {
				_ = f.writeMP3(w) // the reader is gone: nothing to be done
			}
			return
		}
		w.Header().Set("Content-Type", "audio/x-wav")
		w.Header().Set("Content-Length", itoa(f.wavSize()))
		w.WriteHeader(200)
		if !head {
			_ = f.writeWAV(w)
		}
	}}
}
