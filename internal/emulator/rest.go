package emulator

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// request is one REST request after authentication.
type request struct {
	*http.Request
	e       *Emulator
	account *account // whom it acts on
	key     *key     // nil when the auth token was used
	product string   // api, messaging, accounts …
	path    []string // after the version (and the account, in v2010), without .json
	form    url.Values
	query   url.Values
	plan    *Outcome // how the message it creates ends, by appointment
}

// result is the answer to a REST request. Then runs, and what was caused is sent, once the
// answer is written: callbacks come after it, as they usually do.
type result struct {
	status   int
	body     any // JSON
	raw      func(http.ResponseWriter)
	location string
	then     func()
	lane     *lane // of what was created
	gated    []*lane
}

func ok(body any) result      { return result{status: 200, body: body} }
func created(body any) result { return result{status: 201, body: body} }
func gone() result            { return result{status: 204} }

// problemBody is Twilio's error body.
func problemBody(status, code int, message string) map[string]any {
	return map[string]any{"code": code, "message": message, "more_info": "https://www.twilio.com/docs/errors/" + itoa(code), "status": status}
}

// fail answers with one of Twilio's errors.
func fail(code int, detail ...string) result {
	p := problems[code]
	text := describe(code)
	if len(detail) > 0 {
		text = detail[0]
	}
	status := p.status
	if status == 0 {
		status = 400
	}
	return result{status: status, body: problemBody(status, code, text)}
}

func (q *request) notFound() result {
	return result{status: 404, body: problemBody(404, 20404, "The requested resource "+q.URL.Path+" was not found")}
}

// get is a parameter, from the body of a POST and the query of everything else.
func (q *request) get(name string) string {
	if q.Method == http.MethodPost {
		return q.form.Get(name)
	}
	return q.query.Get(name)
}

// ServeHTTP is Twilio's REST API, the control API under /_control/ and the page at /.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/":
		e.page(w, r)
		return
	case strings.HasPrefix(r.URL.Path, "/_control/"):
		e.control(w, r)
		return
	case strings.HasPrefix(r.URL.Path, "/_storage/"):
		e.storage(w, r)
		return
	}
	e.rest(w, r)
}

func (e *Emulator) rest(w http.ResponseWriter, r *http.Request) {
	q := &request{Request: r, e: e}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		writeJSON(w, 413, problemBody(413, 20001, "request body over 1 MiB"))
		return
	}
	if q.form, err = url.ParseQuery(string(body)); err != nil {
		writeJSON(w, 400, problemBody(400, 20001, "malformed form"))
		return
	}
	if q.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		writeJSON(w, 400, problemBody(400, 20001, "malformed query"))
		return
	}
	var fate Fault
	e.do(func() { fate = e.fate(q) })
	switch fate.Fate {
	case Fate429:
		e.tooMany(w, fate.RetryAfter)
		return
	case Fate500:
		writeJSON(w, 500, problemBody(500, 20500, problems[20500].text))
		return
	case FateHTML:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(503)
		_, _ = io.WriteString(w, "<html><body><h1>503 Service Unavailable</h1>no server is available to handle this request</body></html>")
		return
	case FateReset:
		reset(w)
		return
	case FateJunk:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "<!doctype html>{\"sid\":")
		return
	case FateHang:
		e.hang(r)
		return
	case FateRefuse:
		res := fail(fate.Code)
		writeJSON(w, res.status, res.body)
		return
	}
	var res result
	var first bool
	busy := false
	e.do(func() {
		if busy = e.enter(r); busy {
			return
		}
		var gated []*lane
		e.gate = &gated
		res = e.route(q)
		e.gate = nil
		res.gated = gated
		e.pending++
		first = e.chaos.CallbackFirst
	})
	if busy {
		e.tooMany(w, 0)
		return
	}
	defer e.do(func() { e.leave(r) })
	run := sync.OnceFunc(func() {
		e.do(func() {
			e.pending--
			if res.then != nil {
				res.then()
			}
			for _, l := range res.gated {
				e.drive(l)
			}
		})
	})
	defer run()
	if first && res.lane != nil {
		run()
		_ = e.wait(r.Context(), func() bool { return res.lane.idle() })
	}
	switch fate.Fate {
	case LostReset:
		run()
		reset(w)
		return
	case Lost500:
		run()
		writeJSON(w, 500, problemBody(500, 20500, problems[20500].text))
		return
	case LostHang:
		run()
		e.hang(r)
		return
	case LostCut:
		run()
		cut(w, res)
		return
	}
	res.write(w)
	run()
}

// hang says nothing until the client gives up.
func (e *Emulator) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-e.ctx.Done():
	}
}

// cut breaks the connection off in the middle of the answer.
func cut(w http.ResponseWriter, res result) {
	b, _ := json.Marshal(res.body)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(res.status)
	_, _ = w.Write(b[:len(b)/2])
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	reset(w)
}

func (e *Emulator) tooMany(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(max(int(wait.Seconds()), 1)))
	writeJSON(w, 429, problemBody(429, 20429, problems[20429].text))
}

// enter counts the requests of an account that run at once; true is one too many.
func (e *Emulator) enter(r *http.Request) bool {
	user, _, _ := r.BasicAuth()
	if e.o.MaxConcurrent > 0 && e.concurrent[user] >= e.o.MaxConcurrent {
		return true
	}
	e.concurrent[user]++
	return false
}

func (e *Emulator) leave(r *http.Request) {
	user, _, _ := r.BasicAuth()
	if e.concurrent[user]--; e.concurrent[user] <= 0 {
		delete(e.concurrent, user)
	}
}

func (res result) write(w http.ResponseWriter) {
	switch {
	case res.raw != nil:
		res.raw(w)
	case res.location != "":
		w.Header().Set("Location", res.location)
		w.WriteHeader(res.status)
	case res.status == 204:
		w.WriteHeader(204)
	default:
		writeJSON(w, res.status, res.body)
	}
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), 500)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// reset cuts the connection so that the client sees a reset, not an end.
func reset(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if c, _, err := h.Hijack(); err == nil {
			if t, ok := c.(*net.TCPConn); ok {
				_ = t.SetLinger(0)
			}
			_ = c.Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}

// route authenticates and finds the resource. The lock is held.
func (e *Emulator) route(q *request) result {
	q.product = product(q.Request)
	parts := strings.Split(strings.Trim(q.URL.Path, "/"), "/")
	owner, k, err := e.authenticate(q.Request)
	if err != nil && openMedia(q, parts) {
		if a := e.account(parts[2]); a != nil && !a.mediaAuth {
			owner, err = a, nil
		}
	}
	if err != nil {
		return fail(20003)
	}
	q.account, q.key = owner, k
	if seesItself := len(parts) == 3 && parts[1] == "Accounts" && owner.status == "suspended"; owner.status != "active" && !seesItself {
		return fail(20005)
	}
	if k != nil && k.restricted {
		return fail(20003)
	}
	switch {
	case q.product == "api" && len(parts) >= 2 && parts[0] == "2010-04-01":
		return e.routeV2010(q, parts[1:])
	case q.product == "messaging" && parts[0] == "v1":
		q.path = parts[1:]
		return e.routeMessaging(q)
	case q.product == "accounts" && parts[0] == "v1":
		q.path = parts[1:]
		return e.routeAccounts(q)
	case q.product == "pricing" && parts[0] == "v1":
		q.path = parts[1:]
		return e.routePricing(q)
	case q.product == "iam" && parts[0] == "v1":
		q.path = parts[1:]
		return e.routeIAM(q)
	case q.product == "notify" && parts[0] == "v1", q.product == "chat" && parts[0] == "v2":
		q.path = parts[1:]
		return e.routePush(q, parts[0])
	case q.product == "voice" && parts[0] == "v1":
		q.path = parts[1:]
		return e.routeVoice(q)
	case q.product == "intelligence" && parts[0] == "v2":
		q.path = parts[1:]
		return e.routeIntelligence(q)
	case q.product == "monitor" && parts[0] == "v1":
		q.path = parts[1:]
		return e.routeMonitor(q)
	}
	return e.unknownPath(q)
}

// openMedia reports a request for a file that anyone who knows the URL may have (twilio:
// voice/api/recording). Wrong credentials are still wrong.
func openMedia(q *request, parts []string) bool {
	_, _, given := q.BasicAuth()
	if given || q.product != "api" || q.Method != http.MethodGet || strings.HasSuffix(q.URL.Path, ".json") {
		return false
	}
	return len(parts) == 5 && parts[3] == "Recordings" || len(parts) == 7 && parts[5] == "Media"
}

// unknownPath refuses aloud what is not imitated.
func (e *Emulator) unknownPath(q *request) result {
	what := q.Method + " " + q.product + " " + clip(pathKind(q.URL.Path), 200)
	account := ""
	if q.account != nil {
		account = q.account.sid
	}
	e.unknown(account, "", what)
	return result{status: 404, body: problemBody(404, 20404, "the emulator does not know "+what)}
}

// notImitated complains about parameters that would change what happens and do not here.
func (e *Emulator) notImitated(q *request, names ...string) {
	for _, n := range names {
		if v := q.get(n); v != "" && v != "false" {
			e.unknown(q.account.sid, "", "the parameter "+n+" of "+q.Method+" "+pathKind(q.URL.Path))
		}
	}
}

// product is the API that was meant: a redirected client names the host it wanted.
func product(r *http.Request) string {
	for _, h := range []string{r.Header.Get("X-Original-Host"), r.Host} {
		host, _, _ := strings.Cut(h, ":")
		if strings.HasSuffix(host, ".twilio.com") {
			name, _, _ := strings.Cut(host, ".")
			return name
		}
	}
	p := r.URL.Path
	switch {
	case strings.HasPrefix(p, "/2010-04-01"):
		return "api"
	case strings.HasPrefix(p, "/v1/Services"), strings.HasPrefix(p, "/v1/a2p"), strings.HasPrefix(p, "/v1/Tollfree"):
		return "messaging"
	case strings.HasPrefix(p, "/v1/AuthTokens"), strings.HasPrefix(p, "/v1/Messaging/GeoPermissions"):
		return "accounts"
	case strings.HasPrefix(p, "/v1/Messaging/Countries"):
		return "pricing"
	case strings.HasPrefix(p, "/v1/Credentials"):
		return "notify"
	case strings.HasPrefix(p, "/v2/Services"), strings.HasPrefix(p, "/v2/Transcripts"):
		return "intelligence"
	case strings.HasPrefix(p, "/v2/Credentials"):
		return "chat"
	case strings.HasPrefix(p, "/v1/Keys"):
		return "iam"
	case strings.HasPrefix(p, "/v1/DialingPermissions"):
		return "voice"
	case strings.HasPrefix(p, "/v1/Alerts"):
		return "monitor"
	}
	return "unknown"
}

// authenticate takes the auth token, the secondary one, or an API key.
func (e *Emulator) authenticate(r *http.Request) (*account, *key, error) {
	user, pass, given := r.BasicAuth()
	if given && pass != "" {
		for _, a := range e.accounts {
			if a.sid == user && (pass == a.token || a.secondary != "" && pass == a.secondary) {
				return a, nil, nil
			}
			for _, k := range a.keys {
				if k.sid == user && k.secret == pass {
					return a, k, nil
				}
			}
		}
	}
	return nil, nil, errors.New("wrong credentials")
}

// routeV2010 dispatches /2010-04-01/Accounts….
func (e *Emulator) routeV2010(q *request, parts []string) result {
	last := len(parts) - 1
	base, isJSON := strings.CutSuffix(parts[last], ".json") // the last dot: Twilio.CURRENT.json has two
	if parts[0] != "Accounts" && base != "Accounts" {
		return e.unknownPath(q)
	}
	parts = slices.Clone(parts)
	if isJSON {
		parts[last] = base
	}
	if len(parts) == 1 {
		return e.accountList(q)
	}
	target := e.account(parts[1])
	if target == nil || target != q.account && target.parent != q.account {
		return q.notFound()
	}
	caller := q.account
	q.account = target
	q.path = parts[2:]
	if len(q.path) == 0 {
		return e.accountResource(q)
	}
	if caller.typ == Test {
		return e.routeTest(q)
	}
	if target.status != "active" {
		return fail(20005)
	}
	switch q.path[0] {
	case "IncomingPhoneNumbers":
		return e.numbers(q)
	case "Keys", "SigningKeys":
		if q.key != nil {
			return fail(20003)
		}
		return e.keys(q)
	case "Applications":
		return e.applications(q)
	case "OutgoingCallerIds":
		return e.outgoingCallerIDs(q)
	case "Calls":
		return e.callsResource(q)
	case "Conferences":
		return e.conferencesResource(q)
	case "Recordings":
		return e.recordings(q, nil)
	case "Queues":
		return e.queuesResource(q)
	case "SIP":
		return e.sipResource(q)
	case "Messages":
		return e.messagesResource(q)
	}
	return e.unknownPath(q)
}

// page is one page of a v2010 list: newest first is the caller's business.
func page[T any](q *request, plural string, all []T, sid func(T) string, show func(T) map[string]any) result {
	size, number := 50, 0
	if s := q.query.Get("PageSize"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return fail(20001, "PageSize must be a number from 1 to 1000")
		}
		size = min(n, 1000)
	}
	if s := q.query.Get("Page"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return fail(20001, "Page must be a number")
		}
		number = n
	}
	start := number * size
	if t := q.query.Get("PageToken"); t != "" {
		i := slices.IndexFunc(all, func(x T) bool { return "PA"+sid(x) == t })
		if i < 0 {
			return fail(21481)
		}
		start = i + 1
	}
	start = min(start, len(all))
	end := min(start+size, len(all))
	items := []map[string]any{}
	for _, x := range all[start:end] {
		items = append(items, show(x))
	}
	uri := func(n int, token string) string {
		v := url.Values{}
		for k, vs := range q.query {
			if k != "Page" && k != "PageToken" && k != "PageSize" {
				v[k] = vs
			}
		}
		s := v.Encode()
		if s != "" {
			s += "&"
		}
		s += "PageSize=" + itoa(size) + "&Page=" + itoa(n)
		if token != "" {
			s += "&PageToken=" + token
		}
		return q.URL.Path + "?" + s
	}
	body := map[string]any{
		plural: items, "page": number, "page_size": size, "start": number * size, "end": max(number*size+len(items)-1, 0),
		"uri": uri(number, q.query.Get("PageToken")), "first_page_uri": uri(0, ""), "next_page_uri": nil, "previous_page_uri": nil,
	}
	if end < len(all) {
		body["next_page_uri"] = uri(number+1, "PA"+sid(all[end-1]))
	}
	if number > 0 {
		body["previous_page_uri"] = uri(number-1, "")
	}
	return ok(body)
}

// metaPage is one page of a list of the newer APIs.
func metaPage[T any](q *request, key string, all []T, show func(T) map[string]any) result {
	size, number := 50, 0
	if n, err := strconv.Atoi(q.query.Get("PageSize")); err == nil && n > 0 {
		size = min(n, 1000)
	}
	if n, err := strconv.Atoi(q.query.Get("Page")); err == nil && n > 0 {
		number = n
	}
	start := min(number*size, len(all))
	end := min(start+size, len(all))
	items := []map[string]any{}
	for _, x := range all[start:end] {
		items = append(items, show(x))
	}
	at := func(n int) string {
		return "https://" + q.product + ".twilio.com" + q.URL.Path + "?PageSize=" + itoa(size) + "&Page=" + itoa(n)
	}
	meta := map[string]any{"key": key, "page": number, "page_size": size, "first_page_url": at(0), "url": at(number), "next_page_url": nil, "previous_page_url": nil}
	if end < len(all) {
		meta["next_page_url"] = at(number + 1)
	}
	if number > 0 {
		meta["previous_page_url"] = at(number - 1)
	}
	return ok(map[string]any{key: items, "meta": meta})
}

// newestFirst is a copy in reverse.
func newestFirst[T any](all []T) []T {
	out := slices.Clone(all)
	slices.Reverse(out)
	return out
}

func iso(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// null is JSON null for "".
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func nullDate(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return rfc2822(t)
}

// webURL accepts what Twilio accepts as a webhook URL.
func webURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && !strings.Contains(u.Hostname(), "_")
}
