package emulator

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (e *Emulator) messageJSON(m *message) map[string]any {
	uri := "/2010-04-01/Accounts/" + m.account.sid + "/Messages/" + m.sid
	body := map[string]any{
		"sid": m.sid, "account_sid": m.account.sid, "api_version": "2010-04-01", "from": null(m.from), "to": m.to, "body": m.body, "direction": m.direction,
		"status": m.status, "error_code": nil, "error_message": nil, "messaging_service_sid": nil, "num_media": itoa(m.numMedia()), "num_segments": itoa(m.segments),
		"price": null(e.cost(m)), "price_unit": e.o.PriceUnit, "date_created": rfc2822(m.created), "date_updated": rfc2822(m.updated), "date_sent": nullDate(m.sent), "uri": uri + ".json",
		"subresource_uris": map[string]any{"media": uri + "/Media.json", "feedback": uri + "/Feedback.json"},
	}
	if m.direction == "inbound" {
		body["date_sent"] = rfc2822(m.created)
	}
	if m.service != nil {
		body["messaging_service_sid"] = m.service.sid
	}
	if m.from == "" { // the segments are counted when the sender is chosen
		body["num_segments"] = "0"
	}
	if m.errorCode != 0 {
		body["error_code"], body["error_message"] = m.errorCode, describe(m.errorCode)
	}
	return body
}

// messagesResource is Messages and the media of one.
func (e *Emulator) messagesResource(q *request) result {
	if len(q.path) == 1 {
		switch q.Method {
		case http.MethodPost:
			return e.createMessage(q)
		case http.MethodGet:
			return e.listMessages(q)
		}
		return e.unknownPath(q)
	}
	m := e.messageBy[q.path[1]]
	if m == nil || m.account != q.account || m.gone {
		return q.notFound()
	}
	if len(q.path) > 2 {
		if q.path[2] == "Media" && len(q.path) <= 4 {
			return e.mediaResource(q, m)
		}
		return e.unknownPath(q)
	}
	switch q.Method {
	case http.MethodGet:
		return ok(e.messageJSON(m))
	case http.MethodPost:
		return e.updateMessage(q, m)
	case http.MethodDelete:
		if !m.over() {
			return fail(20009)
		}
		m.gone = true
		for _, x := range m.media {
			x.gone, x.Data = true, nil
		}
		return gone()
	}
	return e.unknownPath(q)
}

func (e *Emulator) listMessages(q *request) result {
	a, to, from := q.account, q.get("To"), q.get("From")
	all := e.messages
	switch {
	case to != "" && (from == "" || len(a.textsTo[to]) <= len(a.textsFrom[from])):
		all = a.textsTo[to]
	case from != "":
		all = a.textsFrom[from]
	}
	var list []*message
	for _, m := range slices.Backward(all) {
		if m.gone || m.account != a || to != "" && to != m.to || from != "" && from != m.from {
			continue
		}
		sent := m.sent
		if m.direction == "inbound" {
			sent = m.created
		}
		if !inWindow(q, "DateSent", sent) {
			continue
		}
		list = append(list, m)
	}
	return page(q, "messages", list, func(m *message) string { return m.sid }, e.messageJSON)
}

func (e *Emulator) updateMessage(q *request, m *message) result {
	if q.get("Status") == canceled {
		if m.status != "scheduled" {
			return fail(20409, "only a scheduled message can be canceled")
		}
		e.drop(m.timer)
		e.setMessage(m, canceled)
	}
	if q.form.Has("Body") {
		if q.get("Body") != "" {
			return fail(20001, "Body can only be emptied")
		}
		m.body, m.updated = "", e.at
	}
	return ok(e.messageJSON(m))
}

// createMessage checks in the order: sender, recipient and content, schedule, and then what
// depends on both ends.
func (e *Emulator) createMessage(q *request) result {
	a := q.account
	to, from, body, files := q.get("To"), q.get("From"), q.get("Body"), q.form["MediaUrl"]
	svc, bad := e.sender(q, from)
	if bad.status != 0 {
		return bad
	}
	if bad := e.checkMessage(q, to, body, files); bad.status != 0 {
		return bad
	}
	sendAt, bad := e.scheduled(q, svc)
	if bad.status != 0 {
		return bad
	}
	e.notImitated(q, "ContentSid", "ShortenUrls")
	mms := len(files) > 0 || q.get("SendAsMms") == "true"
	if mms && e.converts(svc, to) {
		body, files, mms = strings.TrimSpace(strings.Join(append([]string{body}, files...), " ")), nil, false
	}
	if bad := e.checkEnds(a, svc, from, to, mms); bad.status != 0 {
		return bad
	}
	if a.typ == Trial {
		body = "Sent from your Twilio trial account - " + body
	}
	if q.get("SmartEncoded") == "true" || svc != nil && svc.fields["SmartEncoding"] == "true" {
		body = smart.Replace(body)
	}
	status := queued
	if svc != nil {
		status = "accepted"
	}
	if !sendAt.IsZero() {
		status = "scheduled"
		a.scheduled++
	}
	m := e.newMessage(a, from, to, body, "outbound-api", status, mms)
	m.service, m.pending, m.plan = svc, files, q.plan
	m.callback = q.get("StatusCallback")
	if m.callback == "" {
		if svc != nil {
			m.callback = svc.fields["StatusCallback"]
		} else if p := a.app(q.get("ApplicationSid")); p != nil {
			m.callback = cmp.Or(p.fields["MessageStatusCallback"], p.fields["SmsStatusCallback"])
		}
	}
	period := q.get("ValidityPeriod")
	if period == "" && svc != nil {
		period = svc.fields["ValidityPeriod"]
	}
	if n, err := strconv.Atoi(period); err == nil && n > 0 {
		m.validity = time.Duration(n) * time.Second
	}
	if sendAt.IsZero() {
		e.reserve(m)
	}
	if !sendAt.IsZero() { // at once: it may be canceled before this answer has arrived
		m.timer = e.when(sendAt, func() {
			e.mark(m, "accepted")
			e.walk(m)
		})
		return result{status: 201, body: e.messageJSON(m), lane: m.lane}
	}
	return result{status: 201, body: e.messageJSON(m), lane: m.lane, then: func() { e.walk(m) }}
}

// smart is Smart Encoding: look-alikes that GSM-7 has (twilio: messaging/services/smart-encoding-char-list).
var smart = strings.NewReplacer("\u2018", "'", "\u2019", "'", "\u201a", ",", "\u201b", "'", "\u2032", "'", "\u00b4", "'", "`", "'", "\u201c", "\"", "\u201d", "\"",
	"\u201e", "\"", "\u201f", "\"", "\u00ab", "\"", "\u00bb", "\"", "\u2033", "\"", "\u2013", "-", "\u2014", "-", "\u2010", "-", "\u2011", "-", "\u2012", "-", "\u2015", "-",
	"\u2212", "-", "\u2026", "...", "\u00a0", " ", "\u2002", " ", "\u2003", " ", "\u2009", " ", "\u202f", " ", "\u200b", "", "\ufeff", "", "\u2022", "-", "\u00d7", "x",
	"\u2044", "/", "\u2039", "<", "\u203a", ">")

// sender finds the Messaging Service, if one is used, and checks that there is a sender.
func (e *Emulator) sender(q *request, from string) (*service, result) {
	sid := q.get("MessagingServiceSid")
	if from == "" && sid == "" {
		return nil, fail(21603)
	}
	var svc *service
	if sid != "" {
		i := slices.IndexFunc(q.account.services, func(s *service) bool { return s.sid == sid })
		if i < 0 {
			return nil, fail(21701)
		}
		svc = q.account.services[i]
	}
	if from == "" {
		return svc, result{}
	}
	if alphaForm.MatchString(from) && hasLetter(from) {
		if svc != nil && !svc.hasAlpha(from) || svc == nil && !q.account.alpha[from] {
			return nil, fail(21606)
		}
		return svc, result{}
	}
	n := e.byNumber[from]
	switch {
	case n == nil && !isE164(from):
		return nil, fail(21212, "Invalid 'From' Number: "+clip(from, 40))
	case n == nil || n.account != q.account || svc != nil && n.service != svc:
		return nil, fail(21606)
	case n.spec.NoSMS:
		return nil, fail(21601, from+" is not a valid SMS-capable inbound phone number")
	}
	return svc, result{}
}

func (e *Emulator) checkMessage(q *request, to, body string, files []string) result {
	switch {
	case to == "":
		return fail(21604)
	case !isE164(to):
		return fail(21211, "Invalid 'To' Phone Number: "+clip(to, 40))
	case body == "" && len(files) == 0 && q.get("ContentSid") == "":
		return fail(21602)
	case len([]rune(body)) > 1600:
		return fail(21617)
	case len(files) > 10:
		return fail(21623)
	}
	for _, f := range files {
		if u, err := url.Parse(f); !webURL(f) || err != nil || u.Fragment != "" {
			return fail(21620, "Invalid media URL: "+clip(f, 100))
		}
	}
	if v := q.get("StatusCallback"); v != "" && !webURL(v) {
		return fail(21609)
	}
	if v := q.get("ValidityPeriod"); v != "" {
		if n, err := strconv.Atoi(v); err != nil || n < 1 || n > 36000 {
			return fail(21624)
		}
	}
	return result{}
}

// converts reports a service that turns files into links where MMS does not go.
func (e *Emulator) converts(s *service, to string) bool {
	l := e.land(to)
	return l.mms == MMSConverted || l.mms == MMSRefused && s != nil && s.fields["MmsConverter"] != "false"
}

// checkEnds checks what depends on the sender and the recipient together.
func (e *Emulator) checkEnds(a *account, svc *service, from, to string, mms bool) result {
	l, n := e.land(to), e.byNumber[from]
	if code := e.phones[to].MessageRefuse; code != 0 {
		return fail(code)
	}
	switch {
	case from == to:
		return fail(21606, "'To' and 'From' number cannot be the same")
	case a.typ == Trial && !e.owned(a, to):
		return fail(21608)
	case a.geoOff[country(to)]:
		return fail(21408)
	case svc != nil && a.optedOut(svc, from, to), svc == nil && n != nil && a.optedOut(n.service, from, to), svc == nil && a.optedOut(nil, from, to):
		return fail(21610)
	case mms && l.mms == MMSRefused, mms && n != nil && n.spec.NoMMS:
		return fail(21612)
	case n == nil && from != "" && (mms || !l.alpha):
		return fail(21612)
	case from != "" && e.lineOf(from).wait() >= longestValidity:
		return fail(21611)
	case svc != nil && len(svc.numbers)+len(svc.alpha) == 0:
		return fail(21704)
	case from == "":
		if _, code := e.pick(svc, to, mms); code != 0 && code != 30001 {
			return fail(code)
		}
	}
	return result{}
}

// The window of a scheduled message, and how many an account may have (twilio: 35125).
const (
	soonest       = 300 * time.Second
	furthest      = 35 * 24 * time.Hour
	mostScheduled = 500_000
)

// scheduled reads SendAt. Twilio has three codes for a time it does not take, with one text;
// here 35114 is one outside the window and 35117 one that cannot be read.
func (e *Emulator) scheduled(q *request, svc *service) (time.Time, result) {
	kind, sendAt := q.get("ScheduleType"), q.get("SendAt")
	switch {
	case kind == "" && sendAt == "":
		return time.Time{}, result{}
	case kind != "fixed":
		return time.Time{}, fail(35126)
	case svc == nil:
		return time.Time{}, fail(35118)
	case sendAt == "":
		return time.Time{}, fail(35111)
	}
	at, err := time.Parse(time.RFC3339, sendAt)
	if err != nil {
		return time.Time{}, fail(35117)
	}
	if wait := at.Sub(e.at); wait < soonest || wait > furthest {
		return time.Time{}, fail(35114)
	}
	if q.account.scheduled >= cmp.Or(e.o.MaxScheduled, mostScheduled) {
		return time.Time{}, fail(35125)
	}
	return at, result{}
}

// mediaResource is the media of a message: list, metadata, the file itself, delete.
func (e *Emulator) mediaResource(q *request, m *message) result {
	show := func(x *media) map[string]any {
		return map[string]any{"sid": x.sid, "account_sid": m.account.sid, "parent_sid": m.sid, "content_type": x.ContentType, "date_created": rfc2822(x.created),
			"date_updated": rfc2822(x.created), "uri": "/2010-04-01/Accounts/" + m.account.sid + "/Messages/" + m.sid + "/Media/" + x.sid + ".json"}
	}
	if len(q.path) == 3 {
		if q.Method != http.MethodGet {
			return e.unknownPath(q)
		}
		var list []*media
		for _, x := range m.media {
			if !x.gone {
				list = append(list, x)
			}
		}
		return page(q, "media_list", list, func(x *media) string { return x.sid }, show)
	}
	i := slices.IndexFunc(m.media, func(x *media) bool { return x.sid == q.path[3] && !x.gone })
	if i < 0 {
		return q.notFound()
	}
	x := m.media[i]
	switch {
	case q.Method == http.MethodDelete:
		x.gone, x.Data = true, nil
		return gone()
	case q.Method != http.MethodGet:
		return e.unknownPath(q)
	case strings.HasSuffix(q.URL.Path, ".json"):
		return ok(show(x))
	}
	return result{status: http.StatusTemporaryRedirect, location: cmp.Or(e.o.StorageURL, e.o.BaseURL) + "/_storage/" + m.sid + "/" + x.sid}
}

// storage is where the files of messages really lie; Twilio redirects to it. The address is
// the key: it takes no credentials, and on a host of its own it refuses those of Twilio, as
// a store does that was given two keys.
func (e *Emulator) storage(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/_storage/"), "/")
	var found *Media
	var astray bool
	e.read(func() {
		astray = e.o.StorageURL != "" && r.Header.Get("Authorization") != ""
		m := e.messageBy[parts[0]]
		if len(parts) != 2 || m == nil || m.gone {
			return
		}
		for _, x := range m.media {
			if x.sid == parts[1] && !x.gone {
				c := x.Media
				found = &c
			}
		}
	})
	switch {
	case astray:
		e.do(func() {
			e.alert(Alert{Text: "credentials of Twilio were sent to the storage", URL: r.URL.Path, Method: r.Method})
		})
		http.Error(w, "Only one auth mechanism allowed", http.StatusBadRequest)
		return
	case found == nil:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", found.ContentType)
	w.Header().Set("Content-Length", itoa(len(found.Data)))
	_, _ = w.Write(found.Data)
}
