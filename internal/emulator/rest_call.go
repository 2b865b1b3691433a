package emulator

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// restStatus is a call's status in REST, which does not know "initiated".
func (c *call) restStatus(s string) string {
	if s != initiated {
		return s
	}
	if c.parent != nil {
		return ringing
	}
	return queued
}

// seen is the status a reader gets, late when reads trail (Chaos.ReadLag).
func (e *Emulator) seen(c *call) string {
	s := c.history[0].status
	for _, h := range c.history {
		if !h.at.After(e.at.Add(-e.chaos.ReadLag)) {
			s = h.status
		}
	}
	return c.restStatus(s)
}

func (e *Emulator) callJSON(c *call) map[string]any {
	uri := "/2010-04-01/Accounts/" + c.account.sid + "/Calls/" + c.sid
	status := e.seen(c)
	body := map[string]any{
		"sid": c.sid, "account_sid": c.account.sid, "api_version": "2010-04-01", "from": c.from, "to": c.to, "from_formatted": c.from, "to_formatted": c.to,
		"direction": c.direction, "status": status, "parent_call_sid": nil, "phone_number_sid": "", "answered_by": nil, "caller_name": null(c.callerName),
		"forwarded_from": null(c.forwardedFrom), "group_sid": nil, "trunk_sid": "", "price": null(e.callCost(c)), "price_unit": e.o.PriceUnit, "duration": nil, "end_time": nil,
		"start_time": nullDate(c.started), "date_created": rfc2822(c.created), "date_updated": rfc2822(c.history[len(c.history)-1].at),
		"queue_time": strconv.FormatInt(c.queueTime.Milliseconds(), 10), "uri": uri + ".json",
		"subresource_uris": map[string]any{"recordings": uri + "/Recordings.json", "notifications": uri + "/Notifications.json"},
	}
	if c.amd != nil {
		body["answered_by"] = null(c.amd.verdict)
	}
	if c.parent != nil {
		body["parent_call_sid"] = c.parent.sid
	}
	if c.number != nil {
		body["phone_number_sid"] = c.number.sid
		body["trunk_sid"] = c.number.spec.TrunkSID
	}
	switch status {
	case completed, busy, failed, noAnswer, canceled:
		body["end_time"], body["duration"] = nullDate(c.ended), itoa(c.seconds())
	}
	return body
}

// callsResource is Calls and what lies under one call.
func (e *Emulator) callsResource(q *request) result {
	if len(q.path) == 1 {
		switch q.Method {
		case http.MethodPost:
			return e.createCall(q)
		case http.MethodGet:
			return e.listCalls(q)
		}
		return e.unknownPath(q)
	}
	c := e.callBy[q.path[1]]
	if c == nil || c.account != q.account {
		return q.notFound()
	}
	if len(q.path) >= 3 {
		if q.path[2] == "Recordings" {
			q.path = q.path[2:]
			return e.recordings(q, c)
		}
		return e.unknownPath(q)
	}
	switch q.Method {
	case http.MethodGet:
		return ok(e.callJSON(c))
	case http.MethodPost:
		return e.updateCall(q, c)
	case http.MethodDelete:
		if !c.over() {
			return fail(20409, "a call that is not over cannot be deleted")
		}
		delete(e.callBy, c.sid)
		e.calls = slices.DeleteFunc(e.calls, func(x *call) bool { return x == c })
		return gone()
	}
	return e.unknownPath(q)
}

func (e *Emulator) listCalls(q *request) result {
	var list []*call
	for _, c := range newestFirst(e.calls) {
		if c.account != q.account || q.get("To") != "" && q.get("To") != c.to || q.get("From") != "" && q.get("From") != c.from ||
			q.get("Status") != "" && q.get("Status") != e.seen(c) {
			continue
		}
		if p := q.get("ParentCallSid"); p != "" && (c.parent == nil || c.parent.sid != p) {
			continue
		}
		if !inWindow(q, "StartTime", c.started) || !inWindow(q, "EndTime", c.ended) {
			continue
		}
		list = append(list, c)
	}
	return page(q, "calls", list, func(c *call) string { return c.sid }, e.callJSON)
}

// inWindow applies the filters Name, Name< and Name>. A plain date means the whole day.
func inWindow(q *request, name string, at time.Time) bool {
	parse := func(s string) (time.Time, bool, bool) {
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			return t, false, true
		}
		t, err := time.Parse(time.DateOnly, s)
		return t, true, err == nil
	}
	for _, op := range []string{"", "<", ">"} {
		t, day, given := parse(q.query.Get(name + op))
		if !given {
			continue
		}
		if at.IsZero() {
			return false
		}
		end := t
		if day {
			end = t.Add(24*time.Hour - time.Nanosecond)
		}
		switch op {
		case "":
			if at.Before(t) || at.After(end) {
				return false
			}
		case "<":
			if at.After(end) {
				return false
			}
		case ">":
			if at.Before(t) {
				return false
			}
		}
	}
	return true
}

// owned reports whether the account may show a number as caller.
func (e *Emulator) owned(a *account, from string) bool {
	if n := e.byNumber[from]; n != nil && n.account == a {
		return true
	}
	return slices.ContainsFunc(a.callerIDs, func(c *callerID) bool { return c.e164 == from })
}

// reachable checks the To of a call.
func reachable(to string) bool {
	switch {
	case strings.HasPrefix(to, "client:"):
		return len(to) > len("client:")
	case strings.HasPrefix(to, "sip:"):
		return strings.Contains(to, "@")
	}
	return isE164(to)
}

func (e *Emulator) createCall(q *request) result {
	a := q.account
	to, from := q.get("To"), q.get("From")
	if bad := e.checkCall(q, to, from); bad.status != 0 {
		return bad
	}
	p, bad := e.controlled(q)
	if bad.status != 0 {
		return bad
	}
	e.notImitated(q, "Byoc", "ClientNotificationUrl")
	amd, bad := e.callDetection(q)
	if bad.status != 0 {
		return bad
	}
	c := e.newCall(a, from, to, "outbound-api")
	c.plan, c.amd = p, amd
	c.events = eventSet(q.form["StatusCallbackEvent"])
	if len(c.events) == 0 {
		c.events["completed"] = true
	}
	c.timeout = 60 * time.Second
	if v := q.get("Timeout"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 600 {
			n = 600
		}
		c.timeout = time.Duration(n) * time.Second
	}
	c.timeout += 5 * time.Second
	c.sendDigits = q.get("SendDigits")
	if n, err := strconv.Atoi(q.get("TimeLimit")); err == nil && n > 0 {
		c.timeLimit = time.Duration(n) * time.Second
	}
	if q.get("Record") == "true" {
		c.record = recordRequestOf(q, "OutboundAPI", "trim-silence")
	}
	place := e.queueCall(c)
	return result{status: 201, body: e.callJSON(c), lane: c.lane, then: place}
}

// queueCall gives a call made by REST its turn (twilio: one a second unless the account has
// more) and returns what lets it wait for that, once REST has answered.
func (e *Emulator) queueCall(c *call) func() {
	a, start := c.account, e.at
	if e.o.CallsPerSecond > 0 {
		if a.nextCall.After(start) {
			start = a.nextCall
		}
		a.nextCall = start.Add(time.Duration(float64(time.Second) / e.o.CallsPerSecond))
	}
	c.queueTime = start.Sub(e.at)
	return func() {
		if c.over() {
			return
		}
		gen := c.gen
		e.when(start, func() {
			if c.gen == gen {
				e.place(c)
			}
		})
	}
}

func recordRequestOf(q *request, source, trim string) *recordRequest {
	channels := 1
	if q.get("RecordingChannels") == "dual" {
		channels = 2
	}
	r := &recordRequest{source: source, channels: channels, trim: cmp.Or(q.get("Trim"), trim), track: q.get("RecordingTrack"),
		callback: q.get("RecordingStatusCallback"), method: q.get("RecordingStatusCallbackMethod"), events: eventSet(q.form["RecordingStatusCallbackEvent"])}
	return r
}

// forwards reports whether the request shows the caller of a call that it has the token of.
func (e *Emulator) forwards(q *request, from string) bool {
	c := e.tokens[q.get("CallToken")]
	return c != nil && c.account == q.account && c.from == from
}

// checkCall validates the parties of a call.
func (e *Emulator) checkCall(q *request, to, from string) result {
	a := q.account
	switch {
	case to == "":
		return fail(21201)
	case from == "":
		return fail(21213)
	case !reachable(to):
		return fail(21211, "The phone number you are attempting to call, "+clip(to, 40)+", is not valid.")
	case isE164(to) && !isE164(from):
		return fail(21212, "Invalid 'From' Number: "+clip(from, 40))
	case isE164(from) && !e.owned(a, from) && !e.forwards(q, from):
		return fail(21210, "The source phone number provided, "+from+", is not yet verified for your account. You may only make calls from phone numbers that you've verified or purchased from Twilio.")
	case a.typ == Trial && isE164(to) && !e.owned(a, to):
		return fail(21219)
	case isE164(to) && a.voiceOff[country(to)]:
		return fail(21215)
	}
	return result{}
}

// controlled reads what will control a call: Url, Twiml or ApplicationSid, and callbacks.
func (e *Emulator) controlled(q *request) (p plan, bad result) {
	to, inline, app := q.get("Url"), q.get("Twiml"), q.get("ApplicationSid")
	p.callbackMethod = http.MethodPost
	switch {
	case app != "":
		x := q.account.app(app)
		if x == nil {
			return p, fail(21218)
		}
		p = x.plan()
	case to != "":
		if !webURL(to) {
			return p, fail(21205, "Url parameter is not a valid URL: "+clip(to, 100))
		}
		if inline != "" {
			e.alert(Alert{Code: 32019, Level: "warning", Account: q.account.sid})
		}
		p.url = to
	case inline != "":
		if len([]rune(inline)) > 4000 {
			return p, fail(32018)
		}
		p.inline = inline
	default:
		return p, fail(21205, "Url, Twiml or ApplicationSid is required")
	}
	if app == "" {
		p.method = cmp.Or(strings.ToUpper(q.get("Method")), http.MethodPost)
		p.fallback, p.fallbackMethod = q.get("FallbackUrl"), cmp.Or(strings.ToUpper(q.get("FallbackMethod")), http.MethodPost)
	}
	if v := q.get("StatusCallback"); v != "" {
		if !webURL(v) {
			return p, fail(21609, "StatusCallback is not a valid URL: "+clip(v, 100))
		}
		p.callback, p.callbackMethod = v, cmp.Or(strings.ToUpper(q.get("StatusCallbackMethod")), http.MethodPost)
	}
	return p, result{}
}

// updateCall is hanging up, or giving a leg a document of its own.
func (e *Emulator) updateCall(q *request, c *call) result {
	if c.over() {
		return fail(21220)
	}
	if v := q.get("StatusCallback"); v != "" {
		if !webURL(v) {
			return fail(21609)
		}
		c.callback, c.callbackMethod = v, cmp.Or(strings.ToUpper(q.get("StatusCallbackMethod")), http.MethodPost)
	}
	switch s := q.get("Status"); s {
	case "":
	case completed:
		return e.then(c, func() {
			switch {
			case !c.answered.IsZero():
				e.end(c, completed)
			case c.direction == "inbound":
				e.end(c, noAnswer)
			default:
				e.cancel(c)
			}
		})
	case canceled:
		// Only queued or ringing calls; a leg that rings within a <Dial> counts as in
		// progress. Otherwise it is ignored (twilio: api/rest/change-call-state).
		if c.answered.IsZero() && c.leg == nil && c.direction == "outbound-api" {
			return e.then(c, func() { e.cancel(c) })
		}
		return ok(e.callJSON(c))
	default:
		return fail(20001, "Status must be canceled or completed")
	}
	if q.get("Url") == "" && q.get("Twiml") == "" {
		if n, err := strconv.Atoi(q.get("TimeLimit")); err == nil && n > 0 {
			e.after(time.Duration(n)*time.Second, func() { e.end(c, completed) })
		}
		return ok(e.callJSON(c))
	}
	if c.answered.IsZero() && c.direction != "inbound" {
		return fail(21220)
	}
	next, bad := e.controlled(q)
	if bad.status != 0 {
		return bad
	}
	return e.then(c, func() {
		if c.over() {
			return
		}
		e.takeOver(c, func() {
			if next.fallback != "" {
				c.fallback, c.fallbackMethod = next.fallback, next.fallbackMethod
			}
			if next.inline != "" {
				e.runInline(c, next.inline)
				return
			}
			e.fetch(c, next.url, next.method, nil)
		})
	})
}

// then answers with the call as it was and acts after the answer.
func (e *Emulator) then(c *call, act func()) result {
	act()
	return ok(e.callJSON(c))
}

// cancel ends an unanswered outbound leg. One still in the queue calls nobody back
// (twilio: voice/api/call-resource).
func (e *Emulator) cancel(c *call) {
	if c.status == queued {
		c.callback = ""
	}
	e.end(c, canceled)
}
