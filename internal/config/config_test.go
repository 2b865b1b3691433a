package config_test

import (
	"strings"
	"testing"

	"switchboard/internal/config"
)

func valid() config.Config {
	return config.Config{Port: 8080, PublicURL: "https://phone.example.com", DatabaseMax: 16}
}

func TestProductionRefusesWhatOnlyADemoMayHave(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		change func(*config.Config)
		want   string // "" is fine
	}{
		"as it should be":   {why: "https and nothing else is needed", change: func(*config.Config) {}},
		"no public url":     {why: "signatures are checked against it (T08)", change: func(c *config.Config) { c.PublicURL = "" }, want: "PUBLIC_URL is not set"},
		"plain http":        {why: "Twilio and browsers need TLS", change: func(c *config.Config) { c.PublicURL = "http://phone.example.com" }, want: "not https"},
		"http in a test":    {why: "the switch is explicit", change: func(c *config.Config) { c.PublicURL, c.TwilioTest = "http://127.0.0.1:1", true }},
		"underscore":        {why: "Twilio refuses such host names", change: func(c *config.Config) { c.PublicURL = "https://my_phone.example.com" }, want: "underscore"},
		"query":             {why: "paths are added to it", change: func(c *config.Config) { c.PublicURL = "https://a.example.com?x=1" }, want: "no user, query or fragment"},
		"another twilio":    {why: "credentials would go there", change: func(c *config.Config) { c.TwilioBaseURL = "https://twilio.example.com" }, want: "not Twilio's"},
		"looks like it":     {why: "only the real domain counts", change: func(c *config.Config) { c.TwilioBaseURL = "https://api.twilio.com.example.com" }, want: "not Twilio's"},
		"twilio's edge":     {why: "Twilio's own hosts are fine", change: func(c *config.Config) { c.TwilioBaseURL = "https://api.sydney.au1.twilio.com" }},
		"emulator allowed":  {why: "the switch is explicit", change: func(c *config.Config) { c.TwilioBaseURL, c.TwilioTest = "http://127.0.0.1:1", true }},
		"demo keys":         {why: "everybody knows them", change: func(c *config.Config) { c.Keyset = config.DemoKeyset }, want: "KEYSET"},
		"mail without from": {why: "a mail needs a sender", change: func(c *config.Config) { c.SMTPURL = "smtps://mail.example.com" }, want: "MAIL_FROM"},
		"mail":              {why: "both are there", change: func(c *config.Config) { c.SMTPURL, c.MailFrom = "smtps://mail.example.com", "a@example.com" }},
		"unsigned push":     {why: "the provider could not tell who posts", change: func(c *config.Config) { c.PushWebhookURL = "https://push.example.com" }, want: "PUSH_WEBHOOK_SECRET"},
		"short secret":      {why: "it could be guessed", change: func(c *config.Config) { c.PushWebhookURL, c.PushWebhookSecret = "https://push.example.com", "short" }, want: "16 or more"},
		"push in the clear": {why: "it names people", change: func(c *config.Config) {
			c.PushWebhookURL, c.PushWebhookSecret = "http://push.example.com", "0123456789abcdef"
		}, want: "not https"},
		"too many conns": {why: "PostgreSQL has a limit", change: func(c *config.Config) { c.DatabaseMax = 5000 }, want: "DATABASE_MAX_CONNS"},
	}
	for name, x := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := valid()
			x.change(&c)
			err := c.Validate()
			switch {
			case x.want == "" && err != nil:
				t.Errorf("%s: refused: %v", x.why, err)
			case x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)):
				t.Errorf("%s: got %v, want one about %q", x.why, err, x.want)
			}
		})
	}
}

func TestHelpNamesEveryVariable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	config.Help(&b)
	for _, name := range []string{"PORT", "PUBLIC_URL", "DATA_DIR", "DATABASE_URL", "TWILIO_TEST", "CORS_ORIGINS", "KEYSET", "PRIVATE_ADDR"} {
		if !strings.Contains(b.String(), "  "+name+" ") {
			t.Errorf("--help does not name %s", name)
		}
	}
}
