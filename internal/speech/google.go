package speech

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	googleSpeech = "https://speech.googleapis.com"
	googleToken  = "https://oauth2.googleapis.com/token"
	googleScope  = "https://www.googleapis.com/auth/cloud-platform"
	// partSeconds is how much is sent at a time: Google takes a minute of audio in a
	// request and wants what is longer in a bucket (speech-to-text/quotas).
	partSeconds = 55
	// maxParts bounds one task: more than eight hours.
	maxParts = 600
	// startAtOnce is how many parts one step hands over.
	startAtOnce = 20
	look        = 15 * time.Second
	maxPhrases  = 500
)

// GoogleOptions configure Google's Speech-to-Text.
type GoogleOptions struct {
	// ServiceAccount is the JSON of a key file; APIKey is used when it is "".
	ServiceAccount, APIKey string
	Model                  string // such as phone_call
	// BaseURL stands in for both of Google's hosts; "" is Google.
	BaseURL string
	Client  *http.Client
	Now     func() time.Time
}

// Google asks Google's Speech-to-Text v1 (v1p1beta1 for MP3): longrunningrecognize
// for each minute, then its operations.
type Google struct {
	o       GoogleOptions
	account *serviceAccount

	mu      sync.Mutex // guards what follows: the token serves all parts of a step
	token   string
	expires time.Time
}

var _ Provider = (*Google)(nil)

type serviceAccount struct {
	Email string `json:"client_email"`
	Key   string `json:"private_key"`
	KeyID string `json:"private_key_id"`
	Type  string `json:"type"`
	key   *rsa.PrivateKey
}

// CheckServiceAccount returns an *Error unless the text is the key file of a service account.
func CheckServiceAccount(text string) error {
	_, err := readAccount(text)
	return err
}

func readAccount(text string) (*serviceAccount, error) {
	bad := func(what string) error {
		return fault(NotConfigured, "this is not the key file of a Google service account: %s", what)
	}
	a := &serviceAccount{}
	if len(text) > 16<<10 || json.Unmarshal([]byte(text), a) != nil {
		return nil, bad("it is no JSON")
	}
	if a.Type != "service_account" || a.Email == "" {
		return nil, bad("type or client_email is missing")
	}
	block, _ := pem.Decode([]byte(a.Key))
	if block == nil {
		return nil, bad("private_key is no PEM")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, bad("private_key cannot be read")
	}
	key, ok := k.(*rsa.PrivateKey)
	if !ok {
		return nil, bad("private_key is no RSA key")
	}
	a.key = key
	return a, nil
}

// NewGoogle makes a Google; an *Error when the service account cannot be read or
// there is neither one nor a key.
func NewGoogle(o GoogleOptions) (*Google, error) {
	g := &Google{o: o}
	if o.ServiceAccount != "" {
		a, err := readAccount(o.ServiceAccount)
		if err != nil {
			return nil, err
		}
		g.account = a
	} else if o.APIKey == "" {
		return nil, fault(NotConfigured, "there is no API key or service account for Google; enter one in the transcription settings")
	}
	return g, nil
}

// googleState is what is remembered of a task: one operation for each part.
type googleState struct {
	Parts []googlePart `json:"parts"`
	Whole bool         `json:"whole"` // all parts are known
	MP3   bool         `json:"mp3,omitempty"`
}

type googlePart struct {
	StartMs int      `json:"startMs"`
	Asking  bool     `json:"asking,omitempty"` // a request is on its way, or was lost
	Name    string   `json:"name,omitempty"`   // of the operation
	Done    bool     `json:"done,omitempty"`
	Found   []spoken `json:"found,omitempty"`
}

// spoken is a Segment as it is remembered.
type spoken struct {
	S int      `json:"s"`
	E int      `json:"e"`
	W string   `json:"w"`
	T string   `json:"t"`
	C *float64 `json:"c,omitempty"`
}

// Step hands parts over, then asks for them.
func (g *Google) Step(ctx context.Context, t Task, raw []byte) (Progress, error) {
	var st googleState
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &st); err != nil {
			return Progress{}, Fail(Unknown, err, "what was remembered of the work at Google cannot be read")
		}
	}
	for _, p := range st.Parts {
		if p.Asking { // the step before this one did not live to hear the answer
			return Progress{State: raw}, fault(Unknown, "it is not known whether Google has begun; to try again may cost twice")
		}
	}
	if !st.Whole {
		if err := g.start(ctx, t, &st); err != nil {
			return Progress{State: encode(st)}, err
		}
		return Progress{State: encode(st), Wait: g.wait(st)}, nil
	}
	return g.collect(ctx, t, st)
}

func (g *Google) wait(st googleState) time.Duration {
	if !st.Whole {
		return time.Second // more is to be handed over
	}
	return look
}

func encode(st googleState) []byte {
	b, err := json.Marshal(st)
	if err != nil {
		panic("speech: " + err.Error()) // strings and numbers
	}
	return b
}

var errEnough = errors.New("enough for now")

// start hands over the next parts.
func (g *Google) start(ctx context.Context, t Task, st *googleState) error {
	f, err := t.Open(ctx)
	if err != nil {
		return Fail(NoAudio, err, "the audio cannot be read")
	}
	defer func() { _ = f.Close() }()
	n, begun := 0, 0
	err = split(f, partSeconds, func(f format, p part) error {
		n++
		if n <= len(st.Parts) {
			return nil
		}
		if begun == startAtOnce {
			return errEnough
		}
		if n > maxParts {
			return fault(Refused, "the recording is too long for Google")
		}
		begun++
		st.MP3 = f.encoding == "MP3"
		return g.begin(ctx, t, st, f, p, n == 1)
	})
	switch {
	case errors.Is(err, errEnough):
		return nil
	case errors.Is(err, errAudio):
		return Fail(Refused, err, "Google does not take this kind of audio")
	case err != nil:
		var e *Error
		if errors.As(err, &e) {
			return err
		}
		return Fail(Unavailable, err, "the audio could not be read to its end")
	}
	st.Whole = true
	return nil
}

type googleConfig struct {
	Encoding    string             `json:"encoding"`
	Rate        int                `json:"sampleRateHertz"`
	Channels    int                `json:"audioChannelCount"`
	Separate    bool               `json:"enableSeparateRecognitionPerChannel,omitempty"`
	Language    string             `json:"languageCode"`
	Words       bool               `json:"enableWordTimeOffsets"`
	Punctuation bool               `json:"enableAutomaticPunctuation"`
	Model       string             `json:"model,omitempty"`
	Enhanced    bool               `json:"useEnhanced,omitempty"`
	Contexts    []map[string]any   `json:"speechContexts,omitempty"`
	Diarization *googleDiarization `json:"diarizationConfig,omitempty"`
}

type googleDiarization struct {
	On  bool `json:"enableSpeakerDiarization"`
	Min int  `json:"minSpeakerCount"`
	Max int  `json:"maxSpeakerCount"`
}

// begin hands one part over, once.
func (g *Google) begin(ctx context.Context, t Task, st *googleState, f format, p part, first bool) error {
	c := googleConfig{Encoding: f.encoding, Rate: f.rate, Channels: f.channels, Separate: f.channels > 1, Language: t.Language, Words: true,
		Punctuation: true, Model: g.o.Model, Enhanced: g.o.Model == "phone_call"}
	if len(t.Vocabulary) > 0 {
		c.Contexts = []map[string]any{{"phrases": t.Vocabulary[:min(len(t.Vocabulary), maxPhrases)]}}
	}
	// Voices are numbered anew in each part: they are told apart only where one part is all.
	if f.channels == 1 && first && t.Seconds > 0 && t.Seconds <= partSeconds && (len(t.Speakers) == 0 || t.Speakers[0] == "") {
		c.Diarization = &googleDiarization{On: true, Min: 1, Max: 6}
	}
	body, err := json.Marshal(map[string]any{"config": c, "audio": map[string]any{"content": base64.StdEncoding.EncodeToString(p.data)}})
	if err != nil {
		return err
	}
	token, err := g.bearer(ctx)
	if err != nil {
		return err
	}
	st.Parts = append(st.Parts, googlePart{StartMs: p.startMs, Asking: true})
	if err := t.Save(ctx, encode(*st)); err != nil {
		st.Parts = st.Parts[:len(st.Parts)-1]
		return err
	}
	var op struct {
		Name string `json:"name"`
	}
	path := "/v1/speech:longrunningrecognize"
	if st.MP3 {
		path = "/v1p1beta1/speech:longrunningrecognize"
	}
	sent, err := g.do(ctx, http.MethodPost, path, token, body, &op)
	if err != nil || op.Name == "" || !operationName.MatchString(op.Name) {
		if sent && err == nil || sent && !answered(err) {
			return Fail(Unknown, err, "it is not known whether Google has begun; to try again may cost twice")
		}
		st.Parts = st.Parts[:len(st.Parts)-1] // refused before anything was begun
		return err
	}
	st.Parts[len(st.Parts)-1] = googlePart{StartMs: p.startMs, Name: op.Name}
	return nil
}

var operationName = regexp.MustCompile(`^[A-Za-z0-9._/-]{1,200}$`)

// answered reports whether Google itself said no, so that nothing has begun: 503 is its
// UNAVAILABLE, which is said before any work; any other 5xx says nothing.
func answered(err error) bool {
	var s *googleStatus
	return errors.As(err, &s) && (s.status < 500 || s.status == http.StatusServiceUnavailable)
}

type googleStatus struct{ status int }

func (s *googleStatus) Error() string { return "status " + strconv.Itoa(s.status) }

type googleOperation struct {
	Done  bool `json:"done"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Response *struct {
		Results []googleResult `json:"results"`
	} `json:"response"`
}

type googleResult struct {
	Alternatives []struct {
		Transcript string       `json:"transcript"`
		Confidence float64      `json:"confidence"`
		Words      []googleWord `json:"words"`
	} `json:"alternatives"`
	Channel int    `json:"channelTag"`
	End     string `json:"resultEndTime"`
}

type googleWord struct {
	Start   string `json:"startTime"`
	End     string `json:"endTime"`
	Word    string `json:"word"`
	Speaker int    `json:"speakerTag"`
}

// collect asks for the parts that are not there yet.
func (g *Google) collect(ctx context.Context, t Task, st googleState) (Progress, error) {
	token, err := g.bearer(ctx)
	if err != nil {
		return Progress{State: encode(st)}, err
	}
	left := 0
	for i := range st.Parts {
		p := &st.Parts[i]
		if p.Done {
			continue
		}
		var op googleOperation
		path := "/v1/operations/"
		if st.MP3 {
			path = "/v1p1beta1/operations/"
		}
		if _, err := g.do(ctx, http.MethodGet, path+p.Name, token, nil, &op); err != nil {
			return Progress{State: encode(st)}, err
		}
		switch {
		case !op.Done:
			left++
		case op.Error != nil:
			return Progress{State: encode(st)}, fault(Refused, "Google could not transcribe it: %s", said(op.Error.Message))
		default:
			p.Done = true
			if op.Response != nil {
				for _, s := range googleSegments(op.Response.Results, t.Speakers) {
					p.Found = append(p.Found, spoken{S: s.StartMs + p.StartMs, E: s.EndMs + p.StartMs, W: s.Speaker, T: s.Text, C: s.Confidence})
				}
			}
		}
	}
	if left > 0 {
		return Progress{State: encode(st), Wait: look}, nil
	}
	var all []Segment
	for _, p := range st.Parts {
		for _, s := range p.Found {
			all = append(all, Segment{StartMs: s.S, EndMs: s.E, Speaker: s.W, Text: s.T, Confidence: s.C})
		}
	}
	r, err := Finish("", nil, all)
	if err != nil {
		return Progress{}, err
	}
	return Progress{Result: r}, nil
}

// googleSegments makes segments of one operation's results. Where voices were told
// apart the last result has all words once more, with who said them
// (speech-to-text/docs/multiple-voices).
func googleSegments(results []googleResult, speakers []string) (out []Segment) {
	if n := len(results); n > 0 && len(results[n-1].Alternatives) > 0 {
		if w := results[n-1].Alternatives[0].Words; len(w) > 0 && w[0].Speaker > 0 {
			for _, x := range w {
				who := Voice(x.Speaker)
				if k := len(out); k > 0 && out[k-1].Speaker == who {
					out[k-1].Text += " " + x.Word
					out[k-1].EndMs = millis(x.End)
					continue
				}
				out = append(out, Segment{StartMs: millis(x.Start), EndMs: millis(x.End), Speaker: who, Text: x.Word})
			}
			return out
		}
	}
	ends := map[int]int{} // of the result before, by channel
	for _, r := range results {
		if len(r.Alternatives) == 0 {
			continue
		}
		a := r.Alternatives[0]
		s := Segment{StartMs: ends[r.Channel], EndMs: millis(r.End), Text: a.Transcript}
		if n := len(a.Words); n > 0 {
			s.StartMs, s.EndMs = millis(a.Words[0].Start), millis(a.Words[n-1].End)
		}
		ends[r.Channel] = s.EndMs
		if a.Confidence > 0 {
			c := a.Confidence
			s.Confidence = &c
		}
		if i := max(r.Channel, 1) - 1; i < len(speakers) {
			s.Speaker = speakers[i]
		}
		out = append(out, s)
	}
	return out
}

// millis reads a duration such as 1.300s.
func millis(s string) int {
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "s"), 64)
	if err != nil || !(v >= 0 && v < 1e6) {
		return 0
	}
	return int(v*1000 + 0.5)
}

// Forget deletes nothing: Google keeps results of operations for days and no audio,
// and has no way to delete them sooner.
func (g *Google) Forget(context.Context, []byte) error { return nil }

// do makes one request; sent tells whether it may have got through.
func (g *Google) do(ctx context.Context, method, path, token string, body []byte, to any) (sent bool, err error) {
	base := g.o.BaseURL
	if base == "" {
		base = googleSpeech
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return false, Fail(NotConfigured, err, "Google's address cannot be used")
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	} else {
		req.Header.Set("X-Goog-Api-Key", g.o.APIKey)
	}
	resp, err := g.o.Client.Do(req)
	if err != nil {
		return true, unreached(err, "Google")
	}
	defer func() { _ = resp.Body.Close() }()
	if e := status("Google", resp, g.o.Now()); e != nil {
		b, _ := read(resp.Body, 64<<10)
		var x struct {
			Error struct {
				Message string `json:"message"`
				Status  string `json:"status"`
			} `json:"error"`
		}
		if json.Unmarshal(b, &x) == nil && x.Error.Message != "" {
			switch {
			case x.Error.Status == "INVALID_ARGUMENT" && strings.Contains(strings.ToLower(x.Error.Message), "api key"):
				e.Kind, e.Why = NotConfigured, "Google refused the API key; enter it again in the transcription settings"
			case e.Kind == Refused:
				e.Why = "Google will not take the audio: " + said(x.Error.Message)
			}
		}
		if resp.StatusCode == http.StatusNotFound && method == http.MethodGet {
			e.Kind, e.Why = Refused, "Google no longer knows of the work; it keeps results for a few days"
		}
		e.cause = &googleStatus{resp.StatusCode}
		return true, e
	}
	b, err := read(resp.Body, MaxAnswer)
	if errors.Is(err, errTooLarge) {
		return true, fault(Refused, "Google's answer is larger than %d MB", MaxAnswer>>20)
	}
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		return true, Fail(Unavailable, err, "Google's answer cannot be read")
	}
	return true, nil
}

// bearer is the access token of a service account; "" with an API key.
func (g *Google) bearer(ctx context.Context) (string, error) {
	if g.account == nil {
		return "", nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.o.Now()
	if g.token != "" && now.Before(g.expires) {
		return g.token, nil
	}
	assertion, err := g.account.assertion(now)
	if err != nil {
		return "", Fail(NotConfigured, err, "the key of the Google service account cannot sign")
	}
	// The address is Google's and not the key file's: that would be a way into our network.
	address := googleToken
	if g.o.BaseURL != "" {
		address = g.o.BaseURL + "/token"
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", Fail(NotConfigured, err, "Google's address cannot be used")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := g.o.Client.Do(req)
	if err != nil {
		return "", unreached(err, "Google")
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusBadRequest {
		return "", fault(NotConfigured, "Google refused the service account; enter its key file again in the transcription settings")
	}
	if e := status("Google", resp, now); e != nil {
		return "", e
	}
	var x struct {
		Token   string `json:"access_token"`
		Expires int    `json:"expires_in"`
	}
	b, err := read(resp.Body, 64<<10)
	if err == nil {
		err = json.Unmarshal(b, &x)
	}
	if err != nil || x.Token == "" {
		return "", Fail(Unavailable, err, "Google's answer to the service account cannot be read")
	}
	g.token, g.expires = x.Token, now.Add(time.Duration(max(x.Expires-60, 0))*time.Second)
	return g.token, nil
}

// assertion is the JWT that is changed for a token (RFC 7523).
func (a *serviceAccount) assertion(now time.Time) (string, error) {
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic("speech: " + err.Error()) // strings and numbers
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(map[string]any{"alg": "RS256", "typ": "JWT", "kid": a.KeyID}) + "." +
		part(map[string]any{"iss": a.Email, "scope": googleScope, "aud": googleToken, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig), nil
}
