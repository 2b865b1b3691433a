package delivery

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"switchboard/internal/blob"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// waits are the pauses before each try; after the last one a delivery has failed.
var waits = []time.Duration{
	0, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// retryAt is when a delivery is tried again after its n-th try failed; false when
// it is not. Up to a tenth of the pause is added, another for every delivery, so
// that what failed together does not come back together.
func retryAt(delivery id.ID, n int, asked time.Duration, now time.Time) (time.Time, bool) {
	if n >= len(waits) {
		return time.Time{}, false
	}
	u := delivery.UUID()
	sum := sha256.Sum256(append(u[:], byte(n)))
	wait := waits[n] + waits[n]/10*time.Duration(sum[0])/255
	return now.Add(max(wait, min(asked, maxRetryAfter))), true
}

// retryAfter reads the header of the name: seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.Atoi(v); err == nil {
		return time.Duration(min(max(n, 0), int(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// hopeless reports whether everything has failed for so long that it is given up.
func hopeless(since *time.Time, attempts int, now time.Time) bool {
	return since != nil && attempts >= failingAttempts && now.Sub(*since) >= failingFor
}

// sign is the header Switchboard-Signature: one v1 for each secret that is in force.
func sign(at time.Time, body []byte, secrets []string) string {
	t := strconv.FormatInt(at.Unix(), 10)
	out := "t=" + t
	for _, s := range secrets {
		m := hmac.New(sha256.New, []byte(s))
		m.Write([]byte(t + "."))
		m.Write(body)
		out += ",v1=" + hex.EncodeToString(m.Sum(nil))
	}
	return out
}

// checkURL reads the address of an endpoint. Where its name leads is looked at
// again at every connection.
func checkURL(address string, loopback bool) (string, error) {
	invalid := func(format string, args ...any) (string, error) {
		return "", errs.New(errs.Invalid, format, args...).At("url")
	}
	address = strings.TrimSpace(address)
	if address == "" {
		return "", errs.New(errs.Required, "enter the web address that events are posted to").At("url")
	}
	if len(address) > maxURL {
		return invalid("the web address has more than %d characters", maxURL)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Opaque != "" || strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f || r == utf8.RuneError }) {
		return invalid("this is not a web address")
	}
	switch port, _ := strconv.Atoi(u.Port()); {
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback):
		return invalid("enter a web address that begins with https://")
	case u.User != nil:
		return invalid("the web address must not hold a user name or password; posts are signed instead")
	case u.Fragment != "" || strings.HasSuffix(address, "#"):
		return invalid("the web address must not hold a part after #")
	case u.Hostname() == "" || strings.Contains(u.Hostname(), "%"):
		return invalid("the web address has no host that can be reached")
	case u.Port() != "" && port != 443 && (port < 1024 || port > 65535):
		return invalid("the web address names port %s; use 443, or 1024 and above", u.Port())
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !blob.Public(ip) && (!loopback || !ip.Unmap().IsLoopback()) {
		return invalid("the web address is not on the public internet")
	}
	return address, nil
}

func checkDescription(s string) (string, error) {
	s = strings.TrimSpace(s)
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", errs.New(errs.Invalid, "the description holds characters that cannot be shown").At("description")
	}
	if utf8.RuneCountInString(s) > maxDescription {
		return "", errs.New(errs.Invalid, "the description has more than %d characters", maxDescription).At("description")
	}
	return s, nil
}
