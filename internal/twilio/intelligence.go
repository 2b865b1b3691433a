package twilio

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"switchboard/internal/errs"
)

const intelligenceBase = "https://intelligence.twilio.com/v2"

// The SIDs of Conversational Intelligence.
const (
	IntelligenceServiceSID SIDKind = "GA"
	TranscriptSID          SIDKind = "GT"
)

// IntelligenceService is what makes transcripts in one language.
type IntelligenceService struct {
	SID, UniqueName, Language, WebhookURL string
}

type intelligenceServiceJSON struct {
	SID        string  `json:"sid"`
	UniqueName string  `json:"unique_name"`
	Language   string  `json:"language_code"`
	WebhookURL *string `json:"webhook_url"`
}

func (x intelligenceServiceJSON) service() IntelligenceService {
	return IntelligenceService{SID: x.SID, UniqueName: x.UniqueName, Language: x.Language, WebhookURL: str(x.WebhookURL)}
}

// EnsureIntelligenceService finds the service of the unique name, or makes it: it
// transcribes nothing by itself and lets Twilio learn nothing from what it hears.
// The language of a service never changes (twilio: intelligence/api/service-resource).
func (c *Client) EnsureIntelligenceService(ctx context.Context, unique, language, webhook string) (IntelligenceService, error) {
	s, err := c.FetchIntelligenceService(ctx, unique)
	switch {
	case err == nil && SameHook(s.WebhookURL, webhook):
		return s, nil
	case err == nil:
		var x intelligenceServiceJSON
		err := c.raw(ctx, http.MethodPost, intelligenceBase+"/Services/"+s.SID, url.Values{"WebhookUrl": {webhook}, "WebhookHttpMethod": {"POST"}}, &x)
		return x.service(), err
	case !NotFound(err):
		return IntelligenceService{}, err
	}
	var x intelligenceServiceJSON
	err = c.raw(ctx, http.MethodPost, intelligenceBase+"/Services", url.Values{"UniqueName": {unique}, "FriendlyName": {"Switchboard"}, "LanguageCode": {language},
		"AutoTranscribe": {"false"}, "DataLogging": {"false"}, "AutoRedaction": {"false"}, "MediaRedaction": {"false"},
		"WebhookUrl": {webhook}, "WebhookHttpMethod": {"POST"}}, &x)
	if err == nil {
		err = CheckSID(IntelligenceServiceSID, x.SID)
	}
	return x.service(), err
}

// FetchIntelligenceService reads a service by SID or unique name.
func (c *Client) FetchIntelligenceService(ctx context.Context, name string) (IntelligenceService, error) {
	var x intelligenceServiceJSON
	err := c.raw(ctx, http.MethodGet, intelligenceBase+"/Services/"+url.PathEscape(name), nil, &x)
	return x.service(), err
}

// Transcript is a transcript as Twilio has it.
type Transcript struct {
	SID, ServiceSID, CustomerKey string
	Status                       string // queued, in-progress, completed, failed, canceled, error
	Language                     string
	CreatedAt                    time.Time
}

// The states of a transcript at Twilio (OpenAPI intelligence v2, transcript_enum_status).
const (
	TranscriptCompleted = "completed"
	TranscriptFailed    = "failed"
	TranscriptCanceled  = "canceled"
	TranscriptError     = "error"
)

type transcriptJSON struct {
	SID         string  `json:"sid"`
	ServiceSID  string  `json:"service_sid"`
	CustomerKey *string `json:"customer_key"`
	Status      string  `json:"status"`
	Language    string  `json:"language_code"`
	DateCreated *string `json:"date_created"`
}

func (x transcriptJSON) transcript() Transcript {
	return Transcript{SID: x.SID, ServiceSID: x.ServiceSID, CustomerKey: str(x.CustomerKey), Status: x.Status, Language: x.Language, CreatedAt: when(x.DateCreated)}
}

// TranscriptRequest asks for the text of a recording. CustomerKey, 64 characters at
// most, is how it is found again; who speaks on each channel is named in order.
type TranscriptRequest struct {
	ServiceSID, RecordingSID, CustomerKey string
	Participants                          []string
	StartedAt                             time.Time
}

// CreateTranscript has a recording transcribed. It is never repeated: when the
// error is Ambiguous look it up by FindTranscript.
func (c *Client) CreateTranscript(ctx context.Context, r TranscriptRequest) (Transcript, error) {
	if err := CheckSID(IntelligenceServiceSID, r.ServiceSID); err != nil {
		return Transcript{}, err
	}
	if err := CheckSID(RecordingSID, r.RecordingSID); err != nil {
		return Transcript{}, err
	}
	type participant struct {
		Channel int    `json:"channel_participant"`
		UserID  string `json:"user_id"`
	}
	channel := struct {
		Media struct {
			Source string `json:"source_sid"`
		} `json:"media_properties"`
		Participants []participant `json:"participants,omitempty"`
	}{}
	channel.Media.Source = r.RecordingSID
	for i, p := range r.Participants {
		channel.Participants = append(channel.Participants, participant{i + 1, p})
	}
	b, err := json.Marshal(channel)
	if err != nil {
		return Transcript{}, err
	}
	form := url.Values{"ServiceSid": {r.ServiceSID}, "Channel": {string(b)}, "CustomerKey": {r.CustomerKey}}
	if !r.StartedAt.IsZero() {
		form.Set("MediaStartTime", r.StartedAt.UTC().Format(time.RFC3339))
	}
	var x transcriptJSON
	err = c.raw(ctx, http.MethodPost, intelligenceBase+"/Transcripts", form, &x)
	if err == nil && CheckSID(TranscriptSID, x.SID) != nil {
		err = &Error{Message: "the answer names no transcript", Ambiguous: true}
	}
	return x.transcript(), err
}

// FindTranscript finds the transcript of a recording that was asked for under the
// customer key; false when Twilio has none.
func (c *Client) FindTranscript(ctx context.Context, recordingSID, customerKey string) (t Transcript, found bool, err error) {
	if err := CheckSID(RecordingSID, recordingSID); err != nil {
		return t, false, err
	}
	err = pages(func(token, page string) (*string, error) {
		var list struct {
			Transcripts []transcriptJSON `json:"transcripts"`
			Meta        metaJSON         `json:"meta"`
		}
		if err := c.raw(ctx, http.MethodGet, intelligenceBase+"/Transcripts", pageOf(url.Values{"SourceSid": {recordingSID}}, token, page), &list); err != nil {
			return nil, err
		}
		for _, x := range list.Transcripts {
			if str(x.CustomerKey) == customerKey {
				t, found = x.transcript(), true
				return nil, errStop
			}
		}
		return list.Meta.Next, nil
	})
	return t, found, err
}

// FetchTranscript reads one transcript.
func (c *Client) FetchTranscript(ctx context.Context, sid string) (Transcript, error) {
	if err := CheckSID(TranscriptSID, sid); err != nil {
		return Transcript{}, err
	}
	var x transcriptJSON
	err := c.raw(ctx, http.MethodGet, intelligenceBase+"/Transcripts/"+sid, nil, &x)
	return x.transcript(), err
}

// DeleteTranscript deletes a transcript at Twilio; one that is gone is fine.
func (c *Client) DeleteTranscript(ctx context.Context, sid string) error {
	if err := CheckSID(TranscriptSID, sid); err != nil {
		return err
	}
	err := c.raw(ctx, http.MethodDelete, intelligenceBase+"/Transcripts/"+sid, nil, nil)
	if NotFound(err) {
		return nil
	}
	return err
}

// Sentence is a stretch of speech of one channel.
type Sentence struct {
	Channel    int // from 1
	Index      int
	Start, End time.Duration
	Text       string
	Confidence *float64
}

// Sentences gives the sentences of a transcript page by page; an error of fn ends it.
func (c *Client) Sentences(ctx context.Context, sid string, fn func([]Sentence) error) error {
	if err := CheckSID(TranscriptSID, sid); err != nil {
		return err
	}
	return pages(func(token, page string) (*string, error) {
		var list struct {
			Sentences []struct {
				Channel    int             `json:"media_channel"`
				Index      int             `json:"sentence_index"`
				Start      json.RawMessage `json:"start_time"`
				End        json.RawMessage `json:"end_time"`
				Text       string          `json:"transcript"`
				Confidence json.RawMessage `json:"confidence"`
			} `json:"sentences"`
			Meta metaJSON `json:"meta"`
		}
		if err := c.raw(ctx, http.MethodGet, intelligenceBase+"/Transcripts/"+sid+"/Sentences", pageOf(url.Values{"Redacted": {"false"}}, token, page), &list); err != nil {
			return nil, err
		}
		some := make([]Sentence, len(list.Sentences))
		for i, x := range list.Sentences {
			s := Sentence{Channel: x.Channel, Index: x.Index, Text: x.Text}
			if v, ok := decimal(x.Start); ok {
				s.Start = time.Duration(v * float64(time.Second))
			}
			if v, ok := decimal(x.End); ok {
				s.End = time.Duration(v * float64(time.Second))
			}
			if v, ok := decimal(x.Confidence); ok {
				s.Confidence = &v
			}
			some[i] = s
		}
		return list.Meta.Next, fn(some)
	})
}

type metaJSON struct {
	Next *string `json:"next_page_url"`
}

func pageOf(form url.Values, token, page string) url.Values {
	form.Set("PageSize", strconv.Itoa(pageSize))
	if page != "" {
		form.Set("Page", page)
	}
	if token != "" {
		form.Set("PageToken", token)
	}
	return form
}

// decimal reads a number, which Twilio writes as text; false for anything else.
func decimal(b json.RawMessage) (float64, bool) {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil && v >= 0 && v < 1e7
}

// ParseMembers reads a post of JSON: the members of the object that are text, as a
// form has them. Where Twilio names the account in small letters it is AccountSid too.
func ParseMembers(body []byte) (url.Values, error) {
	var members map[string]json.RawMessage
	if len(body) > 64<<10 || json.Unmarshal(body, &members) != nil {
		return nil, errs.New(errs.Invalid, "the post is no JSON object")
	}
	f := url.Values{}
	for name, raw := range members {
		var text string
		if json.Unmarshal(raw, &text) == nil && text != "" {
			f.Set(name, text)
		}
	}
	if sid := f.Get("account_sid"); sid != "" {
		f.Set("AccountSid", sid)
	}
	return f, nil
}

// TranscriptForm is the post that says that a transcript is there.
type TranscriptForm struct {
	SID, ServiceSID, CustomerKey string
}

// ParseTranscript reads the post, whose JSON was made into a form of its members.
func ParseTranscript(f url.Values) (TranscriptForm, error) {
	t := TranscriptForm{SID: f.Get("transcript_sid"), ServiceSID: f.Get("service_sid"), CustomerKey: f.Get("customer_key")}
	if f.Get("event_type") != "voice_intelligence_transcript_available" {
		return t, errs.New(errs.Invalid, "this is not the news of a transcript")
	}
	return t, CheckSID(TranscriptSID, t.SID)
}

// Key is the post's natural key.
func (t TranscriptForm) Key() string { return t.SID }
