package emulator

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// state is a participant's status in REST.
func (p *participant) state() string {
	switch c := p.call; {
	case p.gone && p.connected:
		return "complete"
	case p.gone || c.over():
		return failed
	case p.connected:
		return "connected"
	case c.status == initiated:
		return "connecting"
	case c.status == ringing || c.status == queued:
		return c.status
	}
	return "connecting"
}

func (p *participant) json() map[string]any {
	return map[string]any{
		"account_sid": p.room.account.sid, "call_sid": p.call.sid, "label": null(p.label), "conference_sid": p.room.sid,
		"date_created": rfc2822(p.created), "date_updated": rfc2822(p.updated), "muted": p.muted, "hold": p.hold,
		"start_conference_on_enter": p.startOnEnter, "end_conference_on_exit": p.endOnExit, "coaching": p.coach != "", "call_sid_to_coach": null(p.coach),
		"status": p.state(), "queue_time": nil, "uri": p.room.uri() + "/Participants/" + p.call.sid + ".json",
	}
}

// participants is Participants of a conference. Who has left is not there.
func (e *Emulator) participants(q *request, r *conference) result {
	if len(q.path) == 3 {
		if q.Method != http.MethodGet {
			return e.unknownPath(q)
		}
		var list []map[string]any
		for _, p := range e.participantsSeen(r) {
			if wanted(q, "Muted", p["muted"] == true) && wanted(q, "Hold", p["hold"] == true) && wanted(q, "Coaching", p["coaching"] == true) {
				list = append(list, p)
			}
		}
		return page(q, "participants", list, func(p map[string]any) string { return p["call_sid"].(string) }, func(p map[string]any) map[string]any { return p })
	}
	p := r.seat(strings.Join(q.path[3:], "/"))
	if p == nil {
		return q.notFound()
	}
	switch q.Method {
	case http.MethodGet:
		for _, body := range e.participantsSeen(r) {
			if body["call_sid"] == p.call.sid {
				return ok(body)
			}
		}
		return q.notFound()
	case http.MethodPost:
		return e.updateParticipant(q, p)
	case http.MethodDelete:
		e.expel(p)
		return gone()
	}
	return e.unknownPath(q)
}

func wanted(q *request, name string, is bool) bool {
	v := q.get(name)
	return v == "" || (v == "true") == is
}

// coached reads Coaching and CallSidToCoach; given is false when there is neither.
func coached(q *request, r *conference) (sid string, given bool, bad result) {
	on, sid := q.get("Coaching"), q.get("CallSidToCoach")
	switch {
	case on == "" && sid == "":
		return "", false, result{}
	case on == "false":
		return "", true, result{}
	case sid == "":
		return "", false, fail(16002, "CallSidToCoach is required when Coaching is true")
	}
	t := r.member(sid)
	switch {
	case t == nil:
		return "", false, fail(16028)
	case t.hold:
		return "", false, fail(16027)
	}
	return sid, true, result{}
}

// createParticipant calls somebody into a conference. A name makes the conference, a SID
// must be that of an open one (twilio: voice/api/conference-participant-resource).
func (e *Emulator) createParticipant(q *request, key string) result {
	a := q.account
	var r *conference
	if isSID(key, "CF") {
		if r = e.roomBy[key]; r == nil || r.account != a {
			return q.notFound()
		}
		if r.status == completed {
			return fail(16022)
		}
	} else {
		r = e.openRoom(a, key)
	}
	to, from := q.get("To"), q.get("From")
	if id := q.get("CallerId"); id != "" && from != "" {
		from = id
	}
	if bad := e.checkCall(q, to, from); bad.status != 0 {
		return bad
	}
	label := q.get("Label")
	switch {
	case len([]rune(key)) > 128:
		return fail(16002, "a conference's name has at most 128 characters")
	case !goodLabel(label):
		return fail(16024)
	case r != nil && label != "" && r.labels[label] != nil:
		return fail(16026)
	case r != nil && len(r.seats)+len(r.coming) >= r.most:
		return fail(16020)
	}
	for _, name := range []string{"StatusCallback", "WaitUrl", "ConferenceStatusCallback", "ConferenceRecordingStatusCallback", "RecordingStatusCallback"} {
		if v := q.get(name); v != "" && !webURL(v) {
			return fail(21609, name+" is not a valid URL: "+clip(v, 100))
		}
	}
	coach, _, bad := coached(q, r)
	if bad.status != 0 {
		return bad
	}
	timeout, bad := within(q, "Timeout", 60, 5, 600)
	if bad.status != 0 {
		return bad
	}
	most, bad := within(q, "MaxParticipants", mostSeats, 2, mostSeats)
	if bad.status != 0 {
		return bad
	}
	amd, bad := e.participantDetection(q)
	if bad.status != 0 {
		return bad
	}
	e.notImitated(q, "Byoc", "ClientNotificationUrl")

	c := e.newCall(a, from, to, "outbound-api")
	c.amd = amd
	c.callback, c.callbackMethod = q.get("StatusCallback"), method(q, "StatusCallbackMethod")
	if c.events = eventSet(q.form["StatusCallbackEvent"]); len(c.events) == 0 {
		c.events["completed"] = true
	}
	c.timeout = time.Duration(timeout)*time.Second + 5*time.Second
	if n, err := strconv.Atoi(q.get("TimeLimit")); err == nil && n > 0 {
		c.timeLimit = time.Duration(n) * time.Second
	}
	if q.get("Record") == "true" {
		c.record = recordRequestOf(q, "OutboundAPI", "trim-silence")
	}
	p := &participant{call: c, label: label, muted: q.get("Muted") == "true", startOnEnter: q.get("StartConferenceOnEnter") != "false",
		endOnExit: q.get("EndConferenceOnExit") == "true", beep: q.get("Beep"), coach: coach, waitURL: q.get("WaitUrl"), waitMethod: method(q, "WaitMethod"),
		silent: q.form.Has("WaitUrl") && q.get("WaitUrl") == ""}
	p.settings = roomSettings{callback: q.get("ConferenceStatusCallback"), method: method(q, "ConferenceStatusCallbackMethod"),
		events: eventSet(q.form["ConferenceStatusCallbackEvent"]), region: q.get("Region"), most: most}
	if len(p.settings.events) == 0 {
		p.settings.events = set("start end")
	}
	if p.settings.region == "" {
		p.settings.region = "us1"
	}
	if wantsRecord(q.get("ConferenceRecord")) {
		trim := "trim-silence"
		if v := q.get("ConferenceTrim"); v != "" {
			trim = v
		}
		p.settings.record = &recordRequest{source: "Conference", channels: 1, trim: trim, callback: q.get("ConferenceRecordingStatusCallback"),
			method: method(q, "ConferenceRecordingStatusCallbackMethod"), events: eventSet(q.form["ConferenceRecordingStatusCallbackEvent"])}
	}
	if r == nil {
		r = e.room(a, key)
	}
	e.invite(r, p)
	place := e.queueCall(c)
	body := p.json()
	body["queue_time"] = strconv.FormatInt(c.queueTime.Milliseconds(), 10)
	return result{status: 201, body: body, lane: c.lane, then: place}
}

// method is a parameter that names an HTTP method; POST unless told.
func method(q *request, name string) string {
	if v := strings.ToUpper(q.get(name)); v != "" {
		return v
	}
	return http.MethodPost
}

// within is a parameter within its range.
func within(q *request, name string, no, least, most int) (int, result) {
	v := q.get(name)
	if v == "" {
		return no, result{}
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return 0, fail(16002, name+" must be a number from "+itoa(least)+" to "+itoa(most))
	}
	return n, result{}
}

// updateParticipant mutes, holds, coaches, announces. EndConferenceOnExit of somebody on
// hold is accepted and changes nothing (T04).
func (e *Emulator) updateParticipant(q *request, p *participant) result {
	r := p.room
	for _, name := range []string{"HoldUrl", "AnnounceUrl", "WaitUrl"} {
		if v := q.get(name); v != "" && !webURL(v) {
			return fail(16002, name+" is not a valid URL: "+clip(v, 100))
		}
	}
	coach, coaching, bad := coached(q, r)
	if bad.status != 0 {
		return bad
	}
	p.updated = e.at
	if v := q.get("Muted"); v != "" && (v == "true") != p.muted {
		p.muted = v == "true"
		event := "participant-unmute"
		if p.muted {
			event = "participant-mute"
		}
		e.told(p, event)
	}
	modified := false
	if v := q.get("EndConferenceOnExit"); v != "" && !p.hold && (v == "true") != p.endOnExit {
		p.endOnExit, modified = v == "true", true
	}
	if v := q.get("BeepOnExit"); v != "" {
		modified = true
		p.beep = map[bool]string{true: "onExit", false: "false"}[v == "true"]
	}
	if coaching && coach != p.coach {
		p.coach, modified = coach, true
	}
	if modified {
		e.told(p, "participant-modify")
	}
	if v := q.get("WaitUrl"); v != "" {
		p.waitURL, p.waitMethod, p.silent = v, method(q, "WaitMethod"), false
		if p.connected && !r.started && !p.hold {
			e.waitMusic(p)
		}
	}
	if p.connected {
		switch v := q.get("Hold"); {
		case v == "true" || p.hold && v == "" && q.get("HoldUrl") != "":
			how := strings.ToUpper(q.get("HoldMethod"))
			if how == "" {
				how = http.MethodGet
			}
			e.holdSeat(p, q.get("HoldUrl"), how)
		case v != "":
			e.unholdSeat(p)
		}
		if v := q.get("AnnounceUrl"); v != "" {
			e.announce(r, p, v, q.get("AnnounceMethod"))
		}
	}
	e.mixRoom(r)
	return ok(p.json())
}

// told is roomEvent about a participant, once it is in.
func (e *Emulator) told(p *participant, event string) {
	if p.connected {
		e.roomEvent(p.room, event, p, nil)
	}
}
