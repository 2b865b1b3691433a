package emulator

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (m *message) json() map[string]any {
	uri := "/2010-04-01/Accounts/" + m.account.sid + "/Messages/" + m.sid
	body := map[string]any{
		"sid": m.sid, "account_sid": m.account.sid, "api_version": "2010-04-01", "from": null(m.from), "to": m.to, "body": m.body, "direction": m.direction,
		"status": m.status, "error_code": nil, "error_message": nil, "messaging_service_sid": nil, "num_media": itoa(m.numMedia()), "num_segments": itoa(m.segments),
		"price": nil, "price_unit": "USD", "date_created": rfc2822(m.created), "date_updated": rfc2822(m.updated), "date_sent": nullDate(m.sent), "uri": uri + ".json",
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
	i := slices.IndexFunc(e.messages, func(m *message) bool { return m.sid == q.path[1] && m.account == q.account && !m.gone })
	if i < 0 {
		return q.notFound()
	}
	m := e.messages[i]
	if len(q.path) > 2 {
		if q.path[2] == "Media" && len(q.path) <= 4 {
			return e.mediaResource(q, m)
		}
		return e.unknownPath(q)
	}
	switch q.Method {
	case http.MethodGet:
		return ok(m.json())
	case http.MethodPost:
		return e.updateMessage(q, m)
	case http.MethodDelete:
		switch m.status {
		case queued, "accepted", "sending", "scheduled":
			return fail(20409, "a message that is not finished cannot be deleted")
		}
		m.gone = true
		for _, x := range m.media {
			x.gone = true
		}
		return gone()
	}
	return e.unknownPath(q)
}

func (e *Emulator) listMessages(q *request) result {
	var list []*message
	for _, m := range newestFirst(e.messages) {
		if m.gone || m.account != q.account || q.get("To") != "" && q.get("To") != m.to || q.get("From") != "" && q.get("From") != m.from {
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
	return page(q, "messages", list, func(m *message) string { return m.sid }, (*message).json)
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
	return ok(m.json())
}

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
	var n *number
	if from != "" {
		n = e.byNumber[from]
	} else {
		n = pick(svc, len(files) > 0)
		if n == nil {
			return fail(21703)
		}
	}
	e.notImitated(q, "ContentSid", "ShortenUrls")
	if bad := e.checkSender(a, n, to, len(files) > 0); bad.status != 0 {
		return bad
	}
	if a.typ == Trial {
		body = "Sent from your Twilio trial account - " + body
	}
	m := e.newMessage(a, n.spec.E164, to, body, "outbound-api", len(files) > 0)
	m.service, m.pending = svc, files
	m.callback = q.get("StatusCallback")
	if m.callback == "" {
		if svc != nil {
			m.callback = svc.fields["StatusCallback"]
		} else if p := a.app(q.get("ApplicationSid")); p != nil {
			m.callback = cmp.Or(p.fields["MessageStatusCallback"], p.fields["SmsStatusCallback"])
		}
	}
	m.status = queued
	if svc != nil {
		m.status = "accepted"
	}
	if !sendAt.IsZero() {
		m.status = "scheduled"
	}
	answer := m.json()
	if svc != nil && from == "" {
		answer["from"], answer["num_segments"] = nil, "0"
	}
	return result{status: 201, body: answer, lane: m.lane, then: func() {
		if !sendAt.IsZero() {
			m.timer = e.when(sendAt, func() {
				m.status = "accepted"
				e.walk(m)
			})
			return
		}
		e.walk(m)
	}}
}

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
	n := e.byNumber[from]
	switch {
	case n == nil && !isE164(from):
		return nil, fail(21212, "Invalid 'From' Number: "+clip(from, 40))
	case n == nil || n.account != q.account || svc != nil && !slices.Contains(svc.numbers, n):
		return nil, fail(21606)
	case n.spec.NoSMS:
		return nil, fail(21601, from+" is not a valid SMS-capable inbound phone number")
	}
	return svc, result{}
}

func pick(s *service, mms bool) *number {
	for _, n := range s.numbers {
		if !n.spec.NoSMS && !(mms && n.spec.NoMMS) {
			return n
		}
	}
	return nil
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
		if !webURL(f) {
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

func (e *Emulator) checkSender(a *account, n *number, to string, mms bool) result {
	scope, _ := a.scope(n)
	switch {
	case n.spec.E164 == to:
		return fail(21606, "'To' and 'From' number cannot be the same")
	case a.typ == Trial && !e.owned(a, to):
		return fail(21608)
	case a.optOuts[scope+"|"+to]:
		return fail(21610)
	case mms && n.spec.NoMMS:
		return fail(21612)
	}
	return result{}
}

func (e *Emulator) scheduled(q *request, svc *service) (time.Time, result) {
	if q.get("ScheduleType") == "" && q.get("SendAt") == "" {
		return time.Time{}, result{}
	}
	if svc == nil {
		return time.Time{}, fail(35118)
	}
	at, err := time.Parse(time.RFC3339, q.get("SendAt"))
	if err != nil {
		return time.Time{}, fail(35111)
	}
	if wait := at.Sub(e.at); wait < 300*time.Second || wait > 35*24*time.Hour {
		return time.Time{}, fail(35114)
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
	return result{status: http.StatusTemporaryRedirect, location: e.o.BaseURL + "/_storage/" + m.sid + "/" + x.sid}
}

// storage is where the files of messages really lie; Twilio redirects to it.
func (e *Emulator) storage(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/_storage/"), "/")
	var found *Media
	e.read(func() {
		for _, m := range e.messages {
			if len(parts) != 2 || m.sid != parts[0] || m.gone {
				continue
			}
			for _, x := range m.media {
				if x.sid == parts[1] && !x.gone {
					c := x.Media
					found = &c
				}
			}
		}
	})
	if found == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", found.ContentType)
	w.Header().Set("Content-Length", itoa(len(found.Data)))
	_, _ = w.Write(found.Data)
}
