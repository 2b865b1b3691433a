package message_test

import (
	"slices"
	"strings"
	"testing"

	"switchboard/internal/message"
)

func TestTheKindOfASenderIsSeenInItself(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]message.SenderKind{
		"+14155550100":  message.LongCode,
		"+15550001111":  message.LongCode, // a range that nobody gave out
		"+18005550100":  message.TollFree,
		"+18335550100":  message.TollFree,
		"+18885550100":  message.TollFree,
		"+448081570192": message.TollFree,
		"+61491570156":  message.Mobile,
		"+447400123456": message.Mobile,
		"+61255501234":  message.LongCode,
		"12345":         message.ShortCode,
		"623456":        message.ShortCode,
		"Harbour":       message.Alphanumeric,
		"24 7 Plumb":    message.Alphanumeric,
	} {
		if got := message.SenderKindOf(from); got != want {
			t.Errorf("%s is %s, want %s", from, got, want)
		}
	}
	if message.Alphanumeric.TwoWay() || !message.LongCode.TwoWay() {
		t.Error("only sender names are one-way (R151)")
	}
}

func TestSenderNamesAreChecked(t *testing.T) { // R151
	t.Parallel()
	for s, says := range map[string]string{
		"Harbour":      "",
		"A":            "",
		"24 7 Plumb":   "",
		"ABCDEFGHIJK":  "",
		"ABCDEFGHIJKL": "11 is the most",
		"":             "empty",
		"12345":        "needs a letter",
		"1 2":          "needs a letter",
		"Müller":       `"ü"`,
		"A-B":          `"-"`,
		" A":           "space",
		"A ":           "space",
		"   ":          "needs a letter",
		"A\nB":         `"\n"`,
	} {
		err := message.ValidAlpha(s)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %q", s, err, says)
		}
	}
}

func TestRegistrationIsAskedForOnlyWhereItIsNeeded(t *testing.T) { // R152, R153
	t.Parallel()
	for name, c := range map[string]struct {
		why, from, to string
		a2p, tollFree bool
	}{
		"US long code to US":     {"10DLC", "+14155550100", "US", true, false},
		"US long code to PR":     {"the same carriers' rules", "+14155550100", "PR", true, false},
		"US long code to CA":     {"10DLC is of the United States", "+14155550100", "CA", false, false},
		"CA long code to US":     {"not a number of the United States", "+14165550100", "US", false, false},
		"AU number to US":        {"", "+61255501234", "US", false, false},
		"toll-free to US":        {"verified instead of registered", "+18885550100", "US", false, true},
		"toll-free to CA":        {"", "+18885550100", "ca", false, true},
		"toll-free to GB":        {"", "+18885550100", "GB", false, false},
		"short code to US":       {"approved when it was bought", "62345", "US", false, false},
		"British freephone":      {"the verification is of +1", "+448081570192", "US", false, false},
		"name":                   {"", "Harbour", "US", false, false},
		"US long code to nobody": {"", "+14155550100", "", false, false},
	} {
		if got := message.A2PNeeded(c.from, c.to); got != c.a2p {
			t.Errorf("%s: A2P %v (%s)", name, got, c.why)
		}
		if got := message.TollFreeVerificationNeeded(c.from, c.to); got != c.tollFree {
			t.Errorf("%s: verification %v (%s)", name, got, c.why)
		}
	}
}

func TestWhatIsKnownOfACountry(t *testing.T) { // R143, R150
	t.Parallel()
	for country, c := range map[string]struct {
		mms     message.MMSSupport
		native  bool
		alpha   message.AlphaSupport
		replies bool
	}{
		"US": {message.MMSNative, true, message.AlphaUnsupported, true},
		"CA": {message.MMSNative, true, message.AlphaUnsupported, true},
		"AU": {message.MMSLimited, true, message.AlphaRegistration, true},
		"gb": {message.MMSLink, false, message.AlphaSupported, true},
		"NZ": {message.MMSLink, false, message.AlphaUnsupported, true},
		"IN": {message.MMSLink, false, message.AlphaRegistration, false},
		"XK": {message.MMSLink, false, message.AlphaUnknown, true},
		"":   {message.MMSLink, false, message.AlphaUnknown, true},
	} {
		d := message.DestinationOf(country)
		_, native := message.MMSLimits(country)
		if d.MMS != c.mms || native != c.native || d.Alpha != c.alpha || d.RepliesUncertain == c.replies {
			t.Errorf("%s: %+v, native %v", country, d, native)
		}
		if (d.MMSNote == "") != (d.MMS == message.MMSNative) || (d.AlphaNote == "") != (d.Alpha == message.AlphaSupported) {
			t.Errorf("%s: a limit without words, or words without one: %+v", country, d)
		}
	}
}

func TestFilesAreCheckedOneByOne(t *testing.T) { // R144
	t.Parallel()
	limits, _ := message.MMSLimits("US")
	file := func(name, kind string, size int64) message.MediaFacts {
		return message.MediaFacts{Name: name, ContentType: kind, SizeBytes: size}
	}
	many := slices.Repeat([]message.MediaFacts{file("a.jpg", "image/jpeg", 1000)}, 11)
	for name, c := range map[string]struct {
		why   string
		files []message.MediaFacts
		want  []string // the subject and a part of the words
	}{
		"none":            {"a text alone", nil, nil},
		"pictures":        {"", []message.MediaFacts{file("a.jpg", "image/jpg", 2_000_000), file("b.png", "image/png", 3_000_000)}, nil},
		"plan":            {"at the limit", []message.MediaFacts{file("plan.pdf", "application/pdf", 500_000)}, nil},
		"big plan":        {"carriers drop it", []message.MediaFacts{file("plan.pdf", "application/pdf", 500_001)}, []string{"plan.pdf: has 501 KB; files that are no JPEG, PNG or GIF may have 500 KB at most"}},
		"big picture":     {"and then the whole is too big too", []message.MediaFacts{file("a.jpg", "image/jpeg", 5_000_001)}, []string{"a.jpg: has 5.1 MB; a picture may have 5.0 MB", ": the files have 5.1 MB together"}},
		"together":        {"each alone would go", []message.MediaFacts{file("a.jpg", "image/jpeg", 3_000_000), file("b.jpg", "image/jpeg", 3_000_000)}, []string{": the files have 6.0 MB together; 5.0 MB is the most"}},
		"eleven":          {"ten is Twilio's limit", many, []string{": the message has 11 files; 10 is the most"}},
		"web picture":     {"only WhatsApp takes it", []message.MediaFacts{file("a.webp", "image/webp", 1000)}, []string{"a.webp: is of the type image/webp"}},
		"page":            {"", []message.MediaFacts{file("a.html", "text/html; charset=utf-8", 1000)}, []string{"a.html: is of the type text/html,"}},
		"unknown":         {"", []message.MediaFacts{file("a", "", 1000)}, []string{"a: is of the type unknown"}},
		"empty":           {"", []message.MediaFacts{file("a.jpg", "image/jpeg", 0)}, []string{"a.jpg: is empty"}},
		"one of each bad": {"every problem is said at once", []message.MediaFacts{file("a.jpg", "image/jpeg", 0), file("b.zip", "application/zip", 9)}, []string{"a.jpg: is empty", "b.zip: is of the type application/zip"}},
	} {
		got := message.CheckMedia(limits, c.files)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v (%s)", name, got, c.why)
			continue
		}
		for i, p := range got {
			subject, words, _ := strings.Cut(c.want[i], ": ")
			if c.want[i][0] == ':' {
				subject, words = "", c.want[i][2:]
			}
			if p.Subject != subject || !strings.Contains(p.Message, words) {
				t.Errorf("%s: got %+v, want %q (%s)", name, p, c.want[i], c.why)
			}
		}
	}
}
