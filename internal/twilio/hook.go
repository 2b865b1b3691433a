package twilio

import (
	"net/url"
	"strings"
)

// Overrides of how Twilio connects, carried in the fragment of a URL: never sent
// and never signed. A status callback that is lost is lost for good, so it is
// tried four times; a TwiML request must fail early enough for the fallback to
// answer within the 15 seconds that Twilio gives a call.
const (
	callbackOverrides = "rc=3&rp=all&ct=2000&rt=5000"
	twimlOverrides    = "rt=5000"
)

// CallbackURL is where Twilio tells what happened: under the public base, with retries.
func CallbackURL(base *url.URL, path string, query url.Values) string {
	return hookURL(base, path, query, callbackOverrides)
}

// TwiMLURL is where Twilio asks what to do: under the public base, answered soon
// or left to the fallback.
func TwiMLURL(base *url.URL, path string, query url.Values) string {
	return hookURL(base, path, query, twimlOverrides)
}

// PublicURL is a URL under the public base without overrides, for audio and media.
func PublicURL(base *url.URL, path string, query url.Values) string {
	return hookURL(base, path, query, "")
}

func hookURL(base *url.URL, path string, query url.Values, overrides string) string {
	u := *base.JoinPath(path)
	u.User, u.RawFragment, u.Fragment = nil, "", ""
	u.RawQuery = query.Encode()
	s := u.String()
	if overrides != "" {
		s += "#" + overrides
	}
	return s
}

// SameHook reports whether two webhook URLs are the same but for their overrides.
func SameHook(a, b string) bool {
	a, _, _ = strings.Cut(a, "#")
	b, _, _ = strings.Cut(b, "#")
	return a == b
}
