// Package emulator is Twilio on a laptop: it speaks Twilio's wire over real HTTP,
// REST in one direction and signed webhooks in the other, with virtual phones at
// the far end of every call and a clock that tests may hold still.
//
// It is Twilio as documented and knows nothing of the product that talks to it: it
// imports no package of ours but the clock. What it cannot imitate it refuses aloud,
// with an error body that says so and an entry in the debugger list.
//
// One invariant: all state changes under one mutex, one stimulus at a time, in the
// order of the clock. Goroutines exist only to carry HTTP. WaitIdle therefore has an
// exact meaning: no timer is due and no webhook is on its way.
package emulator

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"switchboard/internal/clock"
)

// Account types.
const (
	Full  = "Full"
	Trial = "Trial"
	// Test is an account of test credentials: magic numbers, no state, no callbacks.
	Test = "Test"
)

// Options configure an Emulator. The zero value works: wall clock, no call rate limit,
// no faults.
type Options struct {
	Clock  clock.Clock
	Logger *slog.Logger
	// BaseURL is where the emulator itself is reached; media URLs start with it.
	BaseURL string
	// CallsPerSecond limits calls created by REST; 0 is no limit. Twilio's default is 1.
	CallsPerSecond float64
	// MaxConcurrent REST requests per account; more get 429. 0 is no limit.
	MaxConcurrent int
	// Seed makes SIDs and tokens repeatable. 0 takes a random one, so that a restarted
	// emulator never repeats the SIDs of an earlier run.
	Seed uint64
	// Chaos is the set of faults to begin with.
	Chaos Chaos
	// HoldCallbacks queues every status callback until Release or ReleaseAll.
	HoldCallbacks bool
	// Parallel sends the webhooks of one call side by side, as Twilio does. By default
	// they are sent one after the other, so that tests see one order.
	Parallel bool
	// Transport carries the webhooks; nil is a plain HTTP transport.
	Transport http.RoundTripper
	// RecordingDelay passes between the end of a recording and its completed callback.
	// 0 is one second; negative is none.
	RecordingDelay time.Duration
	// MessageDelay passes between the steps of a message's status. 0 is 500 ms; negative is none.
	MessageDelay time.Duration
	// MessagesPerSecond is how many parts a sender sends per second; more wait, up to ten
	// hours. 0 is no limit. SetMessageRate gives one sender a rate of its own.
	MessagesPerSecond float64
	// PriceDelay passes between the sending of a message and its price. 0 is two seconds;
	// negative is none. PriceUnit is the currency; "" is USD.
	PriceDelay time.Duration
	PriceUnit  string
	// KeepMessages bounds the messages remembered; of more, the oldest finished ones are
	// forgotten. 0 keeps all.
	KeepMessages int
	// MaxScheduled is how many scheduled messages an account may have; 0 is 500,000.
	MaxScheduled int
	// MessageWebhooks is how many webhooks of messages are on their way at once, so that
	// ten thousand messages do not open ten thousand connections; 0 is 64.
	MessageWebhooks int
	// StorageURL is where the files of messages lie; "" is BaseURL. It must reach this
	// emulator under another host name: credentials that follow there are refused.
	StorageURL string
	// RegistrationRequired is SetRegistrationRequired.
	RegistrationRequired bool
	// AbandonedStatus is the end of an inbound call whose caller gave up before it was
	// answered; "" is no-answer.
	AbandonedStatus string
	// LoserStatus is the end of a leg that rang while another answered; "" is canceled.
	LoserStatus string
	// Promotion is when the action of a <Dial> is requested whose child leg was given a
	// document of its own: PromotionFirst ("" is the same), PromotionLast or PromotionNever.
	Promotion string
	// SwapChannels makes the child leg channel 1 of a dual recording (the documents say
	// the parent is, a live measurement said the child).
	SwapChannels bool
	// Keep bounds the deliveries and debugger entries remembered; 0 is 20,000.
	Keep int
}

// Emulator is one Twilio with its accounts, phones and clock.
type Emulator struct {
	o    Options
	clk  clock.Clock
	log  *slog.Logger
	http *http.Client
	// network is what lies between; a string.
	network atomic.Value

	ctx  context.Context
	quit context.CancelFunc
	wg   sync.WaitGroup
	kick chan struct{}

	mu       sync.Mutex // guards everything below
	running  bool
	stopped  bool
	at       time.Time // logical now: the time of the timer that runs, else the clock's
	timers   timers
	order    uint64
	inflight int      // webhooks on their way
	pending  int      // REST requests whose effect has not begun
	gate     *[]*lane // while a REST request is carried out: lanes that wait for its answer
	changed  chan struct{}

	seed       uint64
	serial     uint64
	accounts   []*account
	byNumber   map[string]*number
	calls      []*call
	callBy     map[string]*call
	messages   []*message
	messageBy  map[string]*message
	nextForget int            // how many messages are worth another look for old ones
	counts     map[string]int // messages by status
	lines      map[string]*line
	rates      map[string]float64     // of senders with a rate of their own
	replies    map[string][]time.Time // by sender and recipient, the last half minute
	nextTidy   int
	lands      map[string]*land
	plan       []MessageStep
	crowd      int     // webhooks of messages on their way
	parked     []*lane // lanes that wait for one of those to return
	recs       []*recording
	recBy      map[string]*recording
	intel      intelligence
	rooms      []*conference
	roomBy     map[string]*conference
	tokens     map[string]*call         // by CallToken
	named      map[string][]*conference // by account and name; only the last may be open
	phones     map[string]PhoneBehaviour
	alerts     []Alert

	deliveries []*delivery
	deliveryNo int
	hold       bool
	held       []*delivery

	chaos      Chaos
	faults     []*Fault
	restNo     map[string]int
	burst      int
	concurrent map[string]int
	views      map[*conference][]roomView // while reads trail
}

type account struct {
	sid, token, secondary string
	typ, status, name     string
	parent                *account
	created               time.Time
	numbers               []*number
	apps                  []*application
	keys                  []*key
	callerIDs             []*callerID
	services              []*service
	sip                   sipAccount
	queues                []*queue
	clients               map[string][]registration // by identity, oldest first
	pushes                []*pushCredential
	nextCall              time.Time       // earliest start of the next call made by REST
	optOuts               map[string]bool // sender scope + "|" + recipient
	noOptOuts             bool            // handles keywords itself
	textsTo, textsFrom    map[string][]*message
	scheduled             int
	alpha                 map[string]bool // alphanumeric senders it may use by themselves
	geoOff                map[string]bool // countries it may not send to
	voiceOff              map[string]bool // countries it may not call
	brand                 *registration10DLC
	mediaAuth             bool
}

type number struct {
	account          *account
	sid              string
	spec             NumberSpec
	country          string
	service          *service
	verification     *registration10DLC // of a toll-free number
	created, updated time.Time
}

// NumberSpec describes a phone number of an account.
type NumberSpec struct {
	SID          string `json:"sid,omitempty"`
	E164         string `json:"e164"`
	FriendlyName string `json:"friendlyName,omitempty"`
	// Type is local, mobile or tollfree; "" is local.
	Type string `json:"type,omitempty"`
	// NoVoice, NoSMS and NoMMS take capabilities away.
	NoVoice bool `json:"noVoice,omitempty"`
	NoSMS   bool `json:"noSms,omitempty"`
	NoMMS   bool `json:"noMms,omitempty"`

	VoiceURL             string `json:"voiceUrl,omitempty"`
	VoiceMethod          string `json:"voiceMethod,omitempty"`
	VoiceFallbackURL     string `json:"voiceFallbackUrl,omitempty"`
	VoiceFallbackMethod  string `json:"voiceFallbackMethod,omitempty"`
	StatusCallback       string `json:"statusCallback,omitempty"`
	StatusCallbackMethod string `json:"statusCallbackMethod,omitempty"`
	SMSURL               string `json:"smsUrl,omitempty"`
	SMSMethod            string `json:"smsMethod,omitempty"`
	SMSFallbackURL       string `json:"smsFallbackUrl,omitempty"`
	SMSFallbackMethod    string `json:"smsFallbackMethod,omitempty"`
	VoiceApplicationSID  string `json:"voiceApplicationSid,omitempty"`
	SMSApplicationSID    string `json:"smsApplicationSid,omitempty"`
	TrunkSID             string `json:"trunkSid,omitempty"`
	CallerIDLookup       bool   `json:"callerIdLookup,omitempty"`
	// Origin is twilio or hosted; "" is twilio.
	Origin string `json:"origin,omitempty"`
}

type application struct {
	account          *account
	sid              string
	fields           map[string]string // by REST parameter name
	created, updated time.Time
}

type key struct {
	sid, secret, name string
	restricted        bool
	created, updated  time.Time
}

type callerID struct {
	sid, e164, name string
	created         time.Time
}

// New makes an Emulator. It answers at once; Start makes its clock tick by itself.
func New(o Options) *Emulator {
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.RecordingDelay == 0 {
		o.RecordingDelay = time.Second
	}
	if o.MessageDelay == 0 {
		o.MessageDelay = 500 * time.Millisecond
	}
	o.AbandonedStatus = cmp.Or(o.AbandonedStatus, "no-answer")
	o.LoserStatus = cmp.Or(o.LoserStatus, "canceled")
	o.Keep = cmp.Or(o.Keep, 20_000)
	o.PriceUnit = cmp.Or(o.PriceUnit, "USD")
	o.MessageWebhooks = cmp.Or(o.MessageWebhooks, 64)
	if o.PriceDelay == 0 {
		o.PriceDelay = 2 * time.Second
	}
	o.BaseURL, o.StorageURL = strings.TrimSuffix(o.BaseURL, "/"), strings.TrimSuffix(o.StorageURL, "/")
	if o.Transport == nil {
		o.Transport = &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second}
	}
	e := &Emulator{
		o: o, clk: o.Clock, log: o.Logger,
		http: &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		kick: make(chan struct{}, 1), changed: make(chan struct{}),
		seed: o.Seed, byNumber: map[string]*number{}, callBy: map[string]*call{}, recBy: map[string]*recording{},
		roomBy: map[string]*conference{}, named: map[string][]*conference{}, tokens: map[string]*call{},
		phones: map[string]PhoneBehaviour{}, hold: o.HoldCallbacks, chaos: o.Chaos, restNo: map[string]int{}, concurrent: map[string]int{},
		messageBy: map[string]*message{}, counts: map[string]int{}, lines: map[string]*line{}, rates: map[string]float64{}, replies: map[string][]time.Time{},
		nextTidy: 1024, lands: lands(),
	}
	e.ctx, e.quit = context.WithCancel(context.Background())
	e.at = e.clk.Now()
	if e.seed == 0 {
		var b [8]byte
		_, _ = crand.Read(b[:])
		e.seed = binary.BigEndian.Uint64(b[:])
	}
	return e
}

// SetBaseURL says where the emulator is reached, for servers that learn their port late.
func (e *Emulator) SetBaseURL(u string) {
	e.do(func() { e.o.BaseURL = strings.TrimSuffix(u, "/") })
}

// SetStorageURL says where the files of messages lie: this emulator under another host name.
func (e *Emulator) SetStorageURL(u string) {
	e.do(func() { e.o.StorageURL = strings.TrimSuffix(u, "/") })
}

// SetMediaAuth makes the files of an account's messages and recordings want credentials, a
// setting of Twilio's console, or not.
func (e *Emulator) SetMediaAuth(accountSID string, on bool) error {
	return e.onAccount(accountSID, func(a *account) error { a.mediaAuth = on; return nil })
}

// Start runs the timers as the clock moves. Without it they run when a method is called.
func (e *Emulator) Start() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running || e.stopped {
		return
	}
	e.running = true
	e.wg.Add(1)
	go e.loop()
}

// Stop abandons what is on its way and waits for every goroutine of the emulator.
func (e *Emulator) Stop() {
	e.mu.Lock()
	e.stopped = true
	e.mu.Unlock()
	e.quit()
	e.wg.Wait()
	if t, ok := e.o.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// sid makes an identifier of Twilio's form, the same ones for the same Seed.
func (e *Emulator) sid(prefix string) string {
	return prefix + e.random()[:32]
}

func (e *Emulator) random() string {
	e.serial++
	h := sha256.Sum256(fmt.Appendf(nil, "%d/%d", e.seed, e.serial))
	return hex.EncodeToString(h[:])
}

var (
	sidForm  = regexp.MustCompile(`^[A-Z]{2}[0-9a-f]{32}$`)
	e164Form = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
)

func isE164(s string) bool { return e164Form.MatchString(s) }

func isSID(s, prefix string) bool { return strings.HasPrefix(s, prefix) && sidForm.MatchString(s) }

// AddAccount makes an account. The type is Full, Trial or Test.
func (e *Emulator) AddAccount(sid, token, typ string) error {
	return e.AddSubaccount("", sid, token, typ)
}

// AddSubaccount makes an account that the parent's credentials may act on. Its webhooks
// are signed with its own token.
func (e *Emulator) AddSubaccount(parent, sid, token, typ string) (err error) {
	e.do(func() {
		if !isSID(sid, "AC") {
			err = fmt.Errorf("emulator: %q is not an account SID: AC and 32 hex digits are needed", sid)
			return
		}
		if token == "" {
			err = fmt.Errorf("emulator: account %s needs an auth token", sid)
			return
		}
		if e.account(sid) != nil {
			err = fmt.Errorf("emulator: account %s exists already", sid)
			return
		}
		a := &account{sid: sid, token: token, typ: cmp.Or(typ, Full), status: "active", name: "Emulated account", created: e.at,
			clients: map[string][]registration{}, optOuts: map[string]bool{}, textsTo: map[string][]*message{}, textsFrom: map[string][]*message{},
			alpha: map[string]bool{}, geoOff: map[string]bool{}, voiceOff: map[string]bool{}}
		if parent != "" {
			if a.parent = e.account(parent); a.parent == nil || a.parent.parent != nil {
				err = fmt.Errorf("emulator: %s cannot own a sub-account", parent)
				return
			}
		}
		e.accounts = append(e.accounts, a)
	})
	return err
}

// SetAccountStatus makes an account active, suspended or closed.
func (e *Emulator) SetAccountStatus(sid, status string) (err error) {
	e.do(func() {
		if a := e.account(sid); a != nil {
			a.status = status
			return
		}
		err = errNoAccount(sid)
	})
	return err
}

func errNoAccount(sid string) error { return fmt.Errorf("emulator: there is no account %s", sid) }

func (e *Emulator) account(sid string) *account {
	for _, a := range e.accounts {
		if a.sid == sid {
			return a
		}
	}
	return nil
}

// SetCallsPerSecond changes the rate of calls made by REST; 0 is no limit.
func (e *Emulator) SetCallsPerSecond(rate float64) {
	e.do(func() { e.o.CallsPerSecond = max(rate, 0) })
}

// SetMaxConcurrent changes how many REST requests of an account may run at once; more get
// 429. 0 is no limit.
func (e *Emulator) SetMaxConcurrent(n int) {
	e.do(func() { e.o.MaxConcurrent = max(n, 0) })
}

// AddNumber gives an account a phone number and returns its SID.
func (e *Emulator) AddNumber(accountSID string, spec NumberSpec) (sid string, err error) {
	e.do(func() {
		a := e.account(accountSID)
		switch {
		case a == nil:
			err = errNoAccount(accountSID)
		case !isE164(spec.E164):
			err = fmt.Errorf("emulator: %q is not an E.164 number", spec.E164)
		case e.byNumber[spec.E164] != nil:
			err = fmt.Errorf("emulator: number %s exists already", spec.E164)
		case spec.SID != "" && !isSID(spec.SID, "PN"):
			err = fmt.Errorf("emulator: %q is not a phone number SID", spec.SID)
		default:
			sid = e.addNumber(a, spec).sid
		}
	})
	return sid, err
}

func (e *Emulator) addNumber(a *account, spec NumberSpec) *number {
	spec.SID = cmp.Or(spec.SID, e.sid("PN"))
	spec.FriendlyName = cmp.Or(spec.FriendlyName, spec.E164)
	spec.Type = cmp.Or(spec.Type, "local")
	spec.Origin = cmp.Or(spec.Origin, "twilio")
	for _, m := range []*string{&spec.VoiceMethod, &spec.VoiceFallbackMethod, &spec.StatusCallbackMethod, &spec.SMSMethod, &spec.SMSFallbackMethod} {
		*m = cmp.Or(*m, http.MethodPost)
	}
	n := &number{account: a, sid: spec.SID, spec: spec, country: country(spec.E164), created: e.at, updated: e.at}
	a.numbers = append(a.numbers, n)
	e.byNumber[spec.E164] = n
	return n
}

// Number returns the settings of a number as they are now.
func (e *Emulator) Number(e164 string) (spec NumberSpec, ok bool) {
	e.read(func() {
		if n := e.byNumber[e164]; n != nil {
			spec, ok = n.spec, true
		}
	})
	return spec, ok
}

// UpdateNumber changes a number by hand, as somebody in Twilio's console would.
func (e *Emulator) UpdateNumber(e164 string, change func(*NumberSpec)) error {
	found := false
	e.do(func() {
		if n := e.byNumber[e164]; n != nil {
			found = true
			sid, same := n.spec.SID, n.spec.E164
			change(&n.spec)
			n.spec.SID, n.spec.E164, n.updated = sid, same, e.at
		}
	})
	if !found {
		return fmt.Errorf("emulator: there is no number %s", e164)
	}
	return nil
}

// AddKey makes an API key with a known SID and secret, for servers that kept theirs.
func (e *Emulator) AddKey(accountSID, sid, secret, name string) (err error) {
	e.do(func() {
		a := e.account(accountSID)
		if a == nil {
			err = errNoAccount(accountSID)
			return
		}
		if !isSID(sid, "SK") || secret == "" {
			err = fmt.Errorf("emulator: a key needs a SID (SK and 32 hex digits) and a secret")
			return
		}
		a.keys = append(a.keys, &key{sid: sid, secret: secret, name: name, created: e.at, updated: e.at})
	})
	return err
}

// AddApplication makes a TwiML App. The fields are named as in REST (VoiceUrl,
// StatusCallback, FriendlyName …); "Sid" chooses the SID.
func (e *Emulator) AddApplication(accountSID string, fields map[string]string) (sid string, err error) {
	e.do(func() {
		a := e.account(accountSID)
		if a == nil {
			err = errNoAccount(accountSID)
			return
		}
		p := e.addApplication(a, fields)
		sid = p.sid
	})
	return sid, err
}

func (e *Emulator) addApplication(a *account, fields map[string]string) *application {
	p := &application{account: a, sid: cmp.Or(fields["Sid"], e.sid("AP")), fields: map[string]string{}, created: e.at, updated: e.at}
	for k, v := range fields {
		if k != "Sid" {
			p.fields[k] = v
		}
	}
	a.apps = append(a.apps, p)
	return p
}

func (a *account) app(sid string) *application {
	for _, p := range a.apps {
		if p.sid == sid {
			return p
		}
	}
	return nil
}

// AddCallerID makes a verified outgoing caller ID.
func (e *Emulator) AddCallerID(accountSID, e164, name string) (err error) {
	e.do(func() {
		a := e.account(accountSID)
		if a == nil {
			err = errNoAccount(accountSID)
			return
		}
		a.callerIDs = append(a.callerIDs, &callerID{sid: e.sid("PN"), e164: e164, name: cmp.Or(name, e164), created: e.at})
	})
	return err
}

func newJar() http.CookieJar {
	j, err := cookiejar.New(nil)
	if err != nil { // cannot happen without options
		panic(err)
	}
	return j
}
