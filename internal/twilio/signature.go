package twilio

import (
	"crypto/hmac"
	"crypto/sha1" // the scheme is Twilio's
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// SignatureHeader carries the signature of a webhook.
const SignatureHeader = "X-Twilio-Signature"

// IdempotencyHeader carries the same value on every retry of one webhook.
const IdempotencyHeader = "I-Twilio-Idempotency-Token"

// Sign is the signature of a webhook to the URL with the form, as Twilio makes
// it: HMAC-SHA-1 over the URL and each field's name and value, fields in byte order.
func Sign(token, rawURL string, form url.Values) string {
	keys := make([]string, 0, len(form))
	for k := range form {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	m := hmac.New(sha1.New, []byte(token))
	m.Write([]byte(rawURL))
	for _, k := range keys {
		for _, v := range slices.Compact(slices.Sorted(slices.Values(form[k]))) {
			m.Write([]byte(k))
			m.Write([]byte(v))
		}
	}
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// Verify reports whether the request was signed with one of the tokens of the
// account it is for: the present one, and the one before during a rotation. The
// URL is made of the configured public address and the raw request target, never
// of Host or X-Forwarded headers; Twilio drops the port for some kinds of
// webhook, so it is tried with and without. An empty token never verifies.
//
// A valid signature proves who sent the request, not that it is new: it has
// neither time nor nonce, and the boundaries between fields are not signed.
func Verify(tokens []string, base *url.URL, r *http.Request, body []byte) bool {
	got, err := base64.StdEncoding.DecodeString(r.Header.Get(SignatureHeader))
	if err != nil || len(got) != sha1.Size {
		return false
	}
	var form url.Values
	if r.Method == http.MethodPost {
		if want := r.URL.Query().Get("bodySHA256"); want != "" { // a JSON body: its hash is in the signed URL
			sum := sha256.Sum256(body)
			if !hmac.Equal([]byte(hex.EncodeToString(sum[:])), []byte(strings.ToLower(want))) {
				return false
			}
		} else if form, err = url.ParseQuery(string(body)); err != nil {
			return false
		}
	}
	target := r.RequestURI
	if target == "" { // a request that no server read has no raw target
		target = r.URL.RequestURI()
	}
	// A proxy may take off the path under which the public sees us.
	if p := strings.TrimSuffix(base.EscapedPath(), "/"); p != "" && !strings.HasPrefix(target, p+"/") {
		target = p + target
	}
	for _, u := range signedURLs(base, target) {
		for _, t := range tokens {
			if t == "" {
				continue
			}
			if want, _ := base64.StdEncoding.DecodeString(Sign(t, u, form)); hmac.Equal(want, got) {
				return true
			}
		}
	}
	return false
}

// signedURLs are the URL with and without its port.
func signedURLs(base *url.URL, target string) []string {
	origin := base.Scheme + "://" + base.Host
	if p := base.Port(); p != "" {
		return []string{origin + target, strings.TrimSuffix(origin, ":"+p) + target}
	}
	port := ":443"
	if base.Scheme == "http" {
		port = ":80"
	}
	return []string{origin + target, origin + port + target}
}
