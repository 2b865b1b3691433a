package emulator

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Conversational Intelligence v2 (twilio: intelligence/api, OpenAPI intelligence_v2):
// services, transcripts of recordings, their sentences, and the one webhook that says a
// transcript is there.

// Sentence is something said in a recording, as a transcript will have it.
type Sentence struct {
	Channel    int           `json:"channel"` // from 1
	Start, End time.Duration `json:"-"`
	Text       string        `json:"text"`
	Confidence float64       `json:"confidence"` // 0 is 0.9
}

// intelligence is what the product keeps.
type intelligence struct {
	services    []*voiceService
	transcripts []*voiceTranscript
	said        map[string][]Sentence // by recording, or by call
	ends        map[string]string     // by recording: the status that a transcript ends with
	delay       time.Duration         // 0 is two seconds; negative: none
	silent      bool                  // no webhooks
}

// voiceService is one Intelligence Service.
type voiceService struct {
	account               *account
	sid, unique, friendly string
	language              string
	webhook, method       string
	dataLogging           bool
	auto                  bool
	created, updated      time.Time
	version               int
}

// voiceTranscript is one transcript.
type voiceTranscript struct {
	service          *voiceService
	sid, key, status string
	source           string
	channel          map[string]any
	started          string
	duration         int
	created, updated time.Time
	sentences        []Sentence
}

// Say sets what is said in a recording, or in all recordings of a call, by SID.
func (e *Emulator) Say(sid string, sentences ...Sentence) {
	e.do(func() {
		if e.intel.said == nil {
			e.intel.said = map[string][]Sentence{}
		}
		e.intel.said[sid] = slices.Clone(sentences)
	})
}

// TranscriptEnds makes the next transcripts of a recording end in the status:
// completed, failed, canceled or error; "" never ends.
func (e *Emulator) TranscriptEnds(recordingSID, status string) {
	e.do(func() {
		if e.intel.ends == nil {
			e.intel.ends = map[string]string{}
		}
		e.intel.ends[recordingSID] = status
	})
}

// TranscriptDelay passes between the request and the end of a transcript: 0 is two
// seconds, negative none. Silent sends no webhooks.
func (e *Emulator) TranscriptDelay(d time.Duration, silent bool) {
	e.do(func() { e.intel.delay, e.intel.silent = d, silent })
}

// Transcript is one transcript as the emulator has it.
type Transcript struct {
	SID         string `json:"sid"`
	Service     string `json:"service"`
	Recording   string `json:"recording"`
	CustomerKey string `json:"customerKey"`
	Status      string `json:"status"`
}

// Transcripts returns the transcripts that are there, oldest first.
func (e *Emulator) Transcripts() (list []Transcript) {
	e.read(func() {
		for _, t := range e.intel.transcripts {
			list = append(list, Transcript{SID: t.sid, Service: t.service.sid, Recording: t.source, CustomerKey: t.key, Status: t.status})
		}
	})
	return list
}

func (e *Emulator) routeIntelligence(q *request) result {
	if len(q.path) == 0 {
		return e.unknownPath(q)
	}
	switch q.path[0] {
	case "Services":
		return e.voiceServices(q)
	case "Transcripts":
		return e.voiceTranscripts(q)
	}
	return e.unknownPath(q)
}

func (s *voiceService) json() map[string]any {
	return map[string]any{"account_sid": s.account.sid, "sid": s.sid, "unique_name": s.unique, "friendly_name": s.friendly, "language_code": s.language,
		"auto_transcribe": s.auto, "auto_redaction": false, "media_redaction": false, "data_logging": s.dataLogging, "webhook_url": null(s.webhook),
		"webhook_http_method": cmp.Or(s.method, http.MethodPost), "read_only_attached_operator_sids": []any{}, "encryption_credential_sid": nil,
		"version": s.version, "date_created": iso(s.created), "date_updated": iso(s.updated), "url": "https://intelligence.twilio.com/v2/Services/" + s.sid}
}

// languages are those that a service is made in (twilio: intelligence/language-support).
var languages = map[string]bool{"en-US": true, "en-GB": true, "en-AU": true, "es-ES": true, "es-MX": true, "es-US": true, "pt-BR": true, "pt-PT": true,
	"fr-FR": true, "de-DE": true, "it-IT": true, "nl-NL": true, "da-DK": true, "nb-NO": true, "sv-SE": true}

func (e *Emulator) voiceService(a *account, name string) *voiceService {
	for _, s := range e.intel.services {
		if s.account == a && (s.sid == name || s.unique == name) {
			return s
		}
	}
	return nil
}

func (e *Emulator) voiceServices(q *request) result {
	if len(q.path) == 1 {
		switch q.Method {
		case http.MethodGet:
			var mine []*voiceService
			for _, s := range newestFirst(e.intel.services) {
				if s.account == q.account {
					mine = append(mine, s)
				}
			}
			return metaPage(q, "services", mine, (*voiceService).json)
		case http.MethodPost:
			unique := q.get("UniqueName")
			switch {
			case unique == "" || len(unique) > 64:
				return fail(20001, "UniqueName is required and has 64 characters at most")
			case e.voiceService(q.account, unique) != nil:
				return result{status: 409, body: problemBody(409, 20409, "UniqueName exists already")}
			}
			s := &voiceService{account: q.account, sid: e.sid("GA"), unique: unique, friendly: q.get("FriendlyName"), language: cmp.Or(q.get("LanguageCode"), "en-US"),
				created: e.at, version: 1}
			if !languages[s.language] {
				return fail(20001, "LanguageCode "+clip(s.language, 20)+" is not supported")
			}
			if r := s.set(q, e.at); r.status != 0 {
				return r
			}
			e.intel.services = append(e.intel.services, s)
			return created(s.json())
		}
		return e.unknownPath(q)
	}
	s := e.voiceService(q.account, q.path[1])
	if len(q.path) > 2 {
		return e.unknownPath(q)
	}
	if s == nil {
		return q.notFound()
	}
	switch q.Method {
	case http.MethodGet:
		return ok(s.json())
	case http.MethodPost:
		if r := s.set(q, e.at); r.status != 0 {
			return r
		}
		s.version++
		return ok(s.json())
	case http.MethodDelete:
		e.intel.services = slices.DeleteFunc(e.intel.services, func(x *voiceService) bool { return x == s })
		return gone()
	}
	return e.unknownPath(q)
}

func (s *voiceService) set(q *request, now time.Time) result {
	if u := q.get("WebhookUrl"); u != "" {
		if !webURL(u) {
			return fail(20001, "WebhookUrl is not a valid URL")
		}
		s.webhook = u
	}
	if m := q.get("WebhookHttpMethod"); m != "" {
		s.method = m
	}
	if v := q.get("DataLogging"); v != "" {
		s.dataLogging = v == "true"
	}
	if v := q.get("AutoTranscribe"); v != "" {
		s.auto = v == "true"
	}
	s.updated = now
	return result{}
}

func (t *voiceTranscript) json() map[string]any {
	u := "https://intelligence.twilio.com/v2/Transcripts/" + t.sid
	return map[string]any{"account_sid": t.service.account.sid, "service_sid": t.service.sid, "sid": t.sid, "status": t.status, "channel": t.channel,
		"data_logging": t.service.dataLogging, "language_code": t.service.language, "customer_key": null(t.key), "media_start_time": null(t.started),
		"duration": t.duration, "redaction": false, "encryption_credential_sid": nil, "date_created": iso(t.created), "date_updated": iso(t.updated), "url": u,
		"links": map[string]any{"sentences": u + "/Sentences", "media": u + "/Media", "operator_results": u + "/OperatorResults"}}
}

func (e *Emulator) voiceTranscripts(q *request) result {
	if len(q.path) == 1 {
		switch q.Method {
		case http.MethodGet:
			var mine []*voiceTranscript
			for _, t := range newestFirst(e.intel.transcripts) {
				if t.service.account != q.account {
					continue
				}
				if v := q.get("SourceSid"); v != "" && v != t.source {
					continue
				}
				if v := q.get("ServiceSid"); v != "" && v != t.service.sid {
					continue
				}
				if v := q.get("Status"); v != "" && v != t.status {
					continue
				}
				mine = append(mine, t)
			}
			return metaPage(q, "transcripts", mine, (*voiceTranscript).json)
		case http.MethodPost:
			return e.newTranscript(q)
		}
		return e.unknownPath(q)
	}
	i := slices.IndexFunc(e.intel.transcripts, func(t *voiceTranscript) bool { return t.sid == q.path[1] && t.service.account == q.account })
	if i < 0 {
		return q.notFound()
	}
	t := e.intel.transcripts[i]
	switch {
	case len(q.path) == 2 && q.Method == http.MethodGet:
		return ok(t.json())
	case len(q.path) == 2 && q.Method == http.MethodDelete:
		e.intel.transcripts = slices.Delete(e.intel.transcripts, i, i+1)
		return gone()
	case len(q.path) == 3 && q.path[2] == "Sentences" && q.Method == http.MethodGet:
		all := make([]map[string]any, len(t.sentences))
		for i, s := range t.sentences {
			seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) }
			all[i] = map[string]any{"media_channel": s.Channel, "sentence_index": i, "start_time": seconds(s.Start), "end_time": seconds(s.End), "transcript": s.Text,
				"sid": "GX" + t.sid[2:26] + hexNumber(i), "confidence": strconv.FormatFloat(cmp.Or(s.Confidence, 0.9), 'f', 2, 64), "words": nil}
		}
		return metaPage(q, "sentences", all, func(m map[string]any) map[string]any { return m })
	}
	return e.unknownPath(q)
}

func hexNumber(n int) string {
	s := strconv.FormatInt(int64(n), 16)
	return strings.Repeat("0", 8-len(s)) + s
}

// newTranscript takes a recording of the account and is done a while later.
func (e *Emulator) newTranscript(q *request) result {
	s := e.voiceService(q.account, q.get("ServiceSid"))
	if s == nil {
		return q.notFound()
	}
	var channel map[string]any
	if json.Unmarshal([]byte(q.get("Channel")), &channel) != nil {
		return fail(20001, "Channel is not JSON")
	}
	media, _ := channel["media_properties"].(map[string]any)
	source, _ := media["source_sid"].(string)
	r := e.recBy[source]
	switch {
	case source == "" && media["media_url"] == nil:
		return fail(20001, "Channel has neither source_sid nor media_url")
	case source == "":
		return e.unknownPath(q)
	case r == nil || r.call.account != q.account || r.gone || r.status != completed:
		return fail(20001, "the recording "+clip(source, 34)+" does not exist or is not completed")
	case len(q.get("CustomerKey")) > 64:
		return fail(20001, "CustomerKey has more than 64 characters")
	}
	t := &voiceTranscript{service: s, sid: e.sid("GT"), key: q.get("CustomerKey"), status: "queued", source: source, channel: channel,
		started: q.get("MediaStartTime"), duration: r.duration, created: e.at, updated: e.at}
	e.intel.transcripts = append(e.intel.transcripts, t)
	delay := e.intel.delay
	if delay == 0 {
		delay = 2 * time.Second
	}
	end, set := e.intel.ends[source]
	if !set {
		end = completed
	}
	return result{status: 202, body: t.json(), then: func() {
		if end == "" {
			t.status = "in-progress"
			return
		}
		e.after(delay, func() {
			if !slices.Contains(e.intel.transcripts, t) {
				return
			}
			t.status, t.updated = end, e.at
			if end != completed {
				return
			}
			t.sentences = e.heard(r)
			if !e.intel.silent {
				e.tellTranscript(t)
			}
		})
	}}
}

// heard is what was said in a recording; where nobody set it, each sound is a sentence.
func (e *Emulator) heard(r *recording) []Sentence {
	for _, sid := range []string{r.sid, r.call.sid} {
		if s, ok := e.intel.said[sid]; ok {
			return slices.Clone(s)
		}
	}
	var list []Sentence
	for i, spans := range r.sound {
		for _, s := range spans {
			list = append(list, Sentence{Channel: min(i+1, r.channels), Start: s.from, End: s.to, Text: "Speech on channel " + itoa(i+1) + "."})
		}
	}
	slices.SortStableFunc(list, func(a, b Sentence) int { return cmp.Compare(a.Start, b.Start) })
	return list
}

// tellTranscript posts the webhook: JSON, whose hash is in the signed address
// (twilio: usage/webhooks/webhooks-security, bodySHA256).
func (e *Emulator) tellTranscript(t *voiceTranscript) {
	u, err := url.Parse(t.service.webhook)
	if t.service.webhook == "" || err != nil {
		return
	}
	body, err := json.Marshal(map[string]any{"account_sid": t.service.account.sid, "service_sid": t.service.sid, "transcript_sid": t.sid, "customer_key": null(t.key),
		"event_type": "voice_intelligence_transcript_available"})
	if err != nil {
		return
	}
	sum := sha256.Sum256(body)
	query := u.Query()
	query.Set("bodySHA256", hex.EncodeToString(sum[:]))
	u.RawQuery = query.Encode()
	e.send(t.service.account, &delivery{lane: &lane{}, Delivery: Delivery{Kind: KindTranscript, Resource: t.sid, Event: t.status, Method: http.MethodPost,
		URL: u.String(), JSON: string(body)}})
}
