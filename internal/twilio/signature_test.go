package twilio_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"switchboard/internal/twilio"
)

const token = "12345678901234567890123456789012"

func TestSignatureIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	form := url.Values{"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675310"}, "Digits": {"1234"}, "From": {"+14158675310"}, "To": {"+18005551212"}}
	if got := twilio.Sign("12345", "https://example.com/myapp.php?foo=1&bar=2", form); got != "L/OH5YylLD5NRKLltdqwSvS0BnU=" {
		t.Fatalf("got %s", got)
	}
}

// posted is a request as a server reads it, with its raw target.
func posted(method, target, body string) *http.Request {
	return httptest.NewRequest(method, target, strings.NewReader(body))
}

func TestVerifyRebuildsTheSignedURL(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		why, base, signed, target string
		valid                     bool
	}{
		"plain":                   {why: "the common case", base: "https://e.com", signed: "https://e.com/x?a=1", target: "/x?a=1", valid: true},
		"port dropped by Twilio":  {why: "voice over https drops it", base: "https://e.com:8443", signed: "https://e.com/x", target: "/x", valid: true},
		"port kept by Twilio":     {why: "messaging keeps it", base: "https://e.com:8443", signed: "https://e.com:8443/x", target: "/x", valid: true},
		"default port written":    {why: "some clients write it", base: "https://e.com", signed: "https://e.com:443/x", target: "/x", valid: true},
		"http default port":       {why: "80 is http's", base: "http://e.com", signed: "http://e.com:80/x", target: "/x", valid: true},
		"IPv6 with port":          {why: "the port ends after the bracket", base: "https://[::1]:8443", signed: "https://[::1]/x", target: "/x", valid: true},
		"raw bar in the path":     {why: "the raw target is signed, not a cleaned one", base: "https://e.com:8443", signed: "https://e.com/a|b", target: "/a|b", valid: true},
		"escaped slash":           {why: "the raw target is signed", base: "https://e.com", signed: "https://e.com/a%2Fb", target: "/a%2Fb", valid: true},
		"userinfo of the base":    {why: "Twilio signs without it", base: "https://u:p@e.com", signed: "https://e.com/x", target: "/x", valid: true},
		"path kept by the proxy":  {why: "the public address has a path", base: "https://e.com/sb/", signed: "https://e.com/sb/x", target: "/sb/x", valid: true},
		"path taken by the proxy": {why: "Twilio signs what it asked for", base: "https://e.com/sb", signed: "https://e.com/sb/x", target: "/x", valid: true},
		"other path":              {why: "the path is signed", base: "https://e.com", signed: "https://e.com/y", target: "/x"},
		"other query":             {why: "the query is signed", base: "https://e.com", signed: "https://e.com/x?a=1", target: "/x?a=2"},
		"trailing slash":          {why: "it is another URL", base: "https://e.com", signed: "https://e.com/x", target: "/x/"},
		"signed for another host": {why: "the configured address counts", base: "https://e.com", signed: "https://evil.example/x", target: "/x"},
		"other port":              {why: "only the configured one", base: "https://e.com:8443", signed: "https://e.com:9000/x", target: "/x"},
	}
	form := url.Values{"From": {"+61255501234"}, "Empty": {""}, "New": {"field"}}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, err := url.Parse(c.base)
			if err != nil {
				t.Fatal(err)
			}
			r := posted(http.MethodPost, c.target, form.Encode())
			r.Host = "evil.example"
			r.Header.Set("X-Forwarded-Host", "evil.example")
			r.Header.Set(twilio.SignatureHeader, twilio.Sign(token, c.signed, form))
			if got := twilio.Verify([]string{token}, base, r, []byte(form.Encode())); got != c.valid {
				t.Fatalf("%s: valid = %v", c.why, got)
			}
		})
	}
}

func TestVerifyFailsClosed(t *testing.T) {
	t.Parallel()
	base, _ := url.Parse("https://e.com")
	form := url.Values{"A": {"1"}}
	body := form.Encode()
	sum := sha256.Sum256([]byte(`{"a":1}`))
	jsonTarget := "/x?bodySHA256=" + hex.EncodeToString(sum[:])
	cases := map[string]struct {
		why, method, target, body, signature string
		tokens                               []string
		valid                                bool
	}{
		"right":                  {why: "signed by the token", signature: twilio.Sign(token, "https://e.com/x", form), tokens: []string{token}, body: body, valid: true},
		"second token":           {why: "both count during a rotation", signature: twilio.Sign(token, "https://e.com/x", form), tokens: []string{"new", token}, body: body, valid: true},
		"wrong token":            {why: "another account's token", signature: twilio.Sign("other", "https://e.com/x", form), tokens: []string{token}, body: body},
		"empty token configured": {why: "a missing value is no open door", signature: twilio.Sign("", "https://e.com/x", form), tokens: []string{""}, body: body},
		"no tokens":              {why: "nothing to check against", signature: twilio.Sign(token, "https://e.com/x", form), body: body},
		"no signature":           {why: "unsigned", tokens: []string{token}, body: body},
		"not base64":             {why: "garbage", signature: "%%%", tokens: []string{token}, body: body},
		"changed field":          {why: "fields are signed", signature: twilio.Sign(token, "https://e.com/x", form), tokens: []string{token}, body: "A=2"},
		"added field":            {why: "all fields are signed", signature: twilio.Sign(token, "https://e.com/x", form), tokens: []string{token}, body: body + "&B=1"},
		"semicolon":              {why: "what is not a form has no signature", signature: twilio.Sign(token, "https://e.com/x", nil), tokens: []string{token}, body: "a;b"},
		"GET":                    {why: "a GET signs the URL alone", method: http.MethodGet, target: "/x?A=1", signature: twilio.Sign(token, "https://e.com/x?A=1", nil), tokens: []string{token}, valid: true},
		"JSON":                   {why: "its hash is in the URL", target: jsonTarget, signature: twilio.Sign(token, "https://e.com"+jsonTarget, nil), tokens: []string{token}, body: `{"a":1}`, valid: true},
		"changed JSON":           {why: "the hash no longer fits", target: jsonTarget, signature: twilio.Sign(token, "https://e.com"+jsonTarget, nil), tokens: []string{token}, body: `{"a":2}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.method == "" {
				c.method = http.MethodPost
			}
			if c.target == "" {
				c.target = "/x"
			}
			r := posted(c.method, c.target, c.body)
			r.Header.Set(twilio.SignatureHeader, c.signature)
			if got := twilio.Verify(c.tokens, base, r, []byte(c.body)); got != c.valid {
				t.Fatalf("%s: valid = %v", c.why, got)
			}
		})
	}
}
