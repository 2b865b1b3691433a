package emulator

import (
	"net/http"
	"time"
)

// routeTest serves test credentials: three kinds of POST, magic numbers, no state and no
// callbacks (twilio: iam/test-credentials).
func (e *Emulator) routeTest(q *request) result {
	if q.Method != http.MethodPost || len(q.path) != 1 {
		return fail(20008)
	}
	switch q.path[0] {
	case "Messages":
		return e.testMessage(q)
	case "Calls":
		return e.testCall(q)
	case "IncomingPhoneNumbers":
		return e.testNumber(q)
	}
	return fail(20008)
}

const magic = "+1500555"

func (e *Emulator) testMessage(q *request) result {
	to, from := q.get("To"), q.get("From")
	if from == "" && q.get("MessagingServiceSid") == "" {
		return fail(21603)
	}
	if bad := e.checkMessage(q, to, q.get("Body"), q.form["MediaUrl"]); bad.status != 0 {
		return bad
	}
	switch from {
	case magic + "0001":
		return fail(21212)
	case magic + "0008":
		return fail(21611)
	case magic + "0006":
	default:
		return fail(21606)
	}
	if code := map[string]int{magic + "0001": 21211, magic + "0002": 21612, magic + "0003": 21408, magic + "0004": 21610, magic + "0009": 21614}[to]; code != 0 {
		return fail(code)
	}
	m := &message{account: q.account, sid: e.sid("SM"), from: from, to: to, body: q.get("Body"), direction: "outbound-api", status: queued,
		created: e.at, updated: e.at, segments: Segments(q.get("Body"))}
	return created(e.messageJSON(m))
}

func (e *Emulator) testCall(q *request) result {
	to, from := q.get("To"), q.get("From")
	switch {
	case to == "":
		return fail(21201)
	case from == "":
		return fail(21213)
	case from == magic+"0001":
		return fail(21212)
	case from != magic+"0006":
		return fail(21210)
	case !reachable(to):
		return fail(21211)
	}
	if code := map[string]int{magic + "0001": 21217, magic + "0002": 21214, magic + "0003": 21215, magic + "0004": 21216}[to]; code != 0 {
		return fail(code)
	}
	if _, bad := e.controlled(q); bad.status != 0 {
		return bad
	}
	c := &call{account: q.account}
	c.sid, c.from, c.to, c.direction, c.status, c.created = e.sid("CA"), from, to, "outbound-api", queued, e.at
	c.history = []change{{time.Time{}, queued}, {e.at, queued}}
	return created(e.callJSON(c))
}

func (e *Emulator) testNumber(q *request) result {
	want := q.get("PhoneNumber")
	switch area := q.get("AreaCode"); {
	case want == "" && area == "533":
		return fail(21452)
	case want == "" && area != "":
		want = "+1" + area + "5550100"
	case want == magic+"0000":
		return fail(21422)
	case want == magic+"0001", !isE164(want):
		return fail(21421)
	case want != magic+"0006":
		return fail(21422)
	}
	n := &number{account: q.account, sid: e.sid("PN"), spec: NumberSpec{E164: want, FriendlyName: want, Type: "local", Origin: "twilio",
		VoiceMethod: http.MethodPost, SMSMethod: http.MethodPost}, created: e.at, updated: e.at}
	return created(n.json())
}
