// Package config turns the environment into one struct with defaults, and one
// Validate that says what to mend. Nothing else reads the environment.
package config

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caarlos0/env/v11"
)

// Config is everything that can be set from outside. The `help` tag is what
// --help prints.
type Config struct {
	Host        string `env:"HOST" help:"address to listen on (default: every address for serve, 127.0.0.1 for dev)"`
	Port        int    `env:"PORT" envDefault:"8080" help:"port of /graphql, /media and /twilio; 0 picks a free one"`
	PrivateAddr string `env:"PRIVATE_ADDR" help:"where metrics, pprof and internals listen; keep it private (default: 127.0.0.1:9090 for serve, a free port of 127.0.0.1 for dev)"`
	PublicURL   string `env:"PUBLIC_URL" help:"the https address under which Twilio and browsers reach us; signatures are checked against it (required in production)"`

	DataDir     string `env:"DATA_DIR" help:"folder of the embedded database, audio and keys (default: ./data, or /var/lib/switchboard for root)"`
	DatabaseURL string `env:"DATABASE_URL" help:"the owner's login of a PostgreSQL 15 or newer; unset: our own private PostgreSQL under DATA_DIR"`
	DatabaseMax int    `env:"DATABASE_MAX_CONNS" envDefault:"16" help:"connections of the app role"`
	NATSURL     string `env:"NATS_URL" help:"core NATS between several nodes; unset: one node"`
	BlobURL     string `env:"BLOB_URL" help:"where audio and media are kept, encrypted (default: file://DATA_DIR/blob)"`
	Keyset      string `env:"KEYSET" help:"the encryption keyset, base64; unset: the file DATA_DIR/keyset.json, made at the first start"`

	VAPIDPrivateKey   string `env:"VAPID_PRIVATE_KEY" help:"the key that web push is signed with: 32 bytes of P-256, base64url; unset: one is made at the first start and kept sealed in the database"`
	VAPIDSubject      string `env:"VAPID_SUBJECT" help:"whom push services may ask about us: an e-mail address or https address (default: the address of MAIL_FROM, else PUBLIC_URL)"`
	WebPushOff        bool   `env:"WEB_PUSH_OFF" help:"no notifications by web push"`
	SMTPURL           string `env:"SMTP_URL" help:"the mail server for notifications: smtp://user:password@host:587 (STARTTLS) or smtps://host:465; ?tls=none only without a password; unset: no mail"`
	MailFrom          string `env:"MAIL_FROM" help:"who notifications by mail are from, such as Switchboard <phone@example.com>"`
	PushWebhookURL    string `env:"PUSH_WEBHOOK_URL" help:"where notifications for phones are posted, signed: a service of yours that reaches APNs and FCM; unset: none"`
	PushWebhookSecret string `env:"PUSH_WEBHOOK_SECRET" help:"the secret that signs posts to PUSH_WEBHOOK_URL; 16 characters at least"`

	TranscriptionProvider string `env:"TRANSCRIPTION_PROVIDER" envDefault:"TWILIO" help:"who turns recordings into text where an organization does not say: TWILIO, GOOGLE or HTTP"`
	TranscriptionURL      string `env:"TRANSCRIPTION_URL" help:"the HTTP provider of organizations that name none of their own; it may be inside your network"`
	TranscriptionSecret   string `env:"TRANSCRIPTION_SECRET" help:"the secret that signs posts to TRANSCRIPTION_URL; 16 characters at least"`
	GoogleSpeechKey       string `env:"GOOGLE_SPEECH_KEY" help:"an API key of Google's Speech-to-Text, for organizations that have none of their own"`
	GoogleSpeechAccount   string `env:"GOOGLE_SPEECH_ACCOUNT" help:"the key file of a Google service account, as JSON; used before GOOGLE_SPEECH_KEY"`
	GoogleSpeechURL       string `env:"GOOGLE_SPEECH_URL" help:"send the calls of Google's Speech-to-Text elsewhere; only with TWILIO_TEST"`

	TwilioBaseURL   string        `env:"TWILIO_BASE_URL" help:"send Twilio's REST calls elsewhere; only with TWILIO_TEST"`
	TwilioTest      bool          `env:"TWILIO_TEST" help:"explicit test switch: allows a TWILIO_BASE_URL that is not Twilio's, and a PUBLIC_URL without https"`
	CORSOrigins     []string      `env:"CORS_ORIGINS" help:"origins of front ends, comma separated; unset: none"`
	TrustedProxies  int           `env:"TRUSTED_PROXIES" envDefault:"0" help:"how many proxies before us append to X-Forwarded-For; used for rate limits only, never for signatures"`
	EventRetention  time.Duration `env:"EVENT_RETENTION" envDefault:"72h" help:"how long a subscriber may be away and still resume"`
	PostRetention   time.Duration `env:"POST_RETENTION" envDefault:"720h" help:"how long Twilio's posts are kept, sealed"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"10s" help:"how long requests may finish when the server stops"`
	LogLevel        string        `env:"LOG_LEVEL" envDefault:"info" help:"debug, info, warn or error"`
	LogJSON         bool          `env:"LOG_JSON" envDefault:"true" help:"log lines as JSON rather than text"`
}

// Load reads the environment. The error names every variable that cannot be read.
func Load() (Config, error) {
	c, err := env.ParseAs[Config]()
	if err != nil {
		return c, fmt.Errorf("the environment cannot be read: %w", err)
	}
	if c.DataDir == "" {
		c.DataDir = defaultDataDir()
	}
	return c, nil
}

func defaultDataDir() string {
	if os.Geteuid() == 0 { // PostgreSQL gives up root and must reach its files
		return "/var/lib/switchboard"
	}
	return "data"
}

// BlobStore is where audio is kept: BLOB_URL or a folder under DATA_DIR.
func (c Config) BlobStore() (string, error) {
	if c.BlobURL != "" {
		return c.BlobURL, nil
	}
	dir, err := filepath.Abs(filepath.Join(c.DataDir, "blob"))
	return "file://" + filepath.ToSlash(dir), err
}

// KeysetFile is where the keyset is kept when KEYSET is unset.
func (c Config) KeysetFile() string { return filepath.Join(c.DataDir, "keyset.json") }

// Validate returns every reason why this configuration must not serve in
// production. Each says what to do.
func (c Config) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	switch u, err := url.Parse(c.PublicURL); {
	case c.PublicURL == "":
		bad("PUBLIC_URL is not set: give the https address under which Twilio reaches this server")
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		bad("PUBLIC_URL %q is not an address: give it as https://phone.example.com", c.PublicURL)
	case u.Scheme == "http" && !c.TwilioTest:
		bad("PUBLIC_URL is not https: Twilio and browsers need TLS (TWILIO_TEST=true allows http for tests)")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		bad("PUBLIC_URL must have no user, query or fragment")
	case strings.Contains(u.Hostname(), "_"):
		bad("PUBLIC_URL's host has an underscore, which Twilio refuses")
	}
	if c.TwilioBaseURL != "" && !c.TwilioTest && !isTwilio(c.TwilioBaseURL) {
		bad("TWILIO_BASE_URL is not Twilio's: unset it, or set TWILIO_TEST=true on a test server")
	}
	if c.Keyset == DemoKeyset {
		bad("KEYSET is the one of the demo, which everybody knows: unset it to have one made, or make your own")
	}
	if (c.SMTPURL == "") != (c.MailFrom == "") {
		bad("SMTP_URL and MAIL_FROM belong together: set both, or neither")
	}
	if (c.PushWebhookURL == "") != (c.PushWebhookSecret == "") {
		bad("PUSH_WEBHOOK_URL and PUSH_WEBHOOK_SECRET belong together: set both, or neither")
	}
	if c.PushWebhookSecret != "" && len(c.PushWebhookSecret) < 16 {
		bad("PUSH_WEBHOOK_SECRET has %d characters: give 16 or more", len(c.PushWebhookSecret))
	}
	if u, err := url.Parse(c.PushWebhookURL); c.PushWebhookURL != "" && !c.TwilioTest && (err != nil || u.Scheme != "https") {
		bad("PUSH_WEBHOOK_URL is not https: what is posted there names people")
	}
	switch c.TranscriptionProvider {
	case "", "TWILIO", "GOOGLE", "HTTP":
	default:
		bad("TRANSCRIPTION_PROVIDER is %q: choose TWILIO, GOOGLE or HTTP", c.TranscriptionProvider)
	}
	if u, err := url.Parse(c.TranscriptionURL); c.TranscriptionURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		bad("TRANSCRIPTION_URL is not an address: give it as https://speech.example.com/transcribe")
	}
	if c.TranscriptionSecret != "" && len(c.TranscriptionSecret) < 16 {
		bad("TRANSCRIPTION_SECRET has %d characters: give 16 or more", len(c.TranscriptionSecret))
	}
	if c.GoogleSpeechURL != "" && !c.TwilioTest {
		bad("GOOGLE_SPEECH_URL is for tests: unset it, or set TWILIO_TEST=true on a test server")
	}
	if c.DatabaseMax < 2 || c.DatabaseMax > 1000 {
		bad("DATABASE_MAX_CONNS is %d: choose 2 to 1000", c.DatabaseMax)
	}
	if c.Port < 0 || c.Port > 65535 {
		bad("PORT is %d: choose 0 to 65535", c.Port)
	}
	return errors.Join(problems...)
}

// DemoKeyset marks the demo's key, which production refuses.
const DemoKeyset = "demo"

func isTwilio(base string) bool {
	u, err := url.Parse(base)
	return err == nil && u.Scheme == "https" && (u.Hostname() == "twilio.com" || strings.HasSuffix(u.Hostname(), ".twilio.com"))
}

// Help prints every variable with its default.
func Help(w io.Writer) {
	t := tabwriter.NewWriter(w, 2, 4, 2, ' ', 0)
	defer t.Flush()
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		text := f.Tag.Get("help")
		if d := f.Tag.Get("envDefault"); d != "" {
			text += " [" + d + "]"
		}
		fmt.Fprintf(t, "  %s\t%s\n", f.Tag.Get("env"), text)
	}
}
