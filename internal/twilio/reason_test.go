package twilio_test

import (
	"strings"
	"testing"

	"switchboard/internal/twilio"
)

// messageCodes are Twilio's numbers for what can happen to a message, and
// whether the same message may be sent again later without a person's thought.
var messageCodes = map[int]bool{
	20003: false, 20005: false, 20006: false, 20008: false, 10001: false, 10002: false, 10003: false, 20404: false, 20409: false,
	20429: true, 20500: true, 20503: true,
	21211: false, 21212: false, 21213: false, 21216: false, 21219: false, 21401: false, 21404: false, 21408: false, 21421: false,
	21601: false, 21602: false, 21603: false, 21604: false, 21606: false, 21608: false, 21609: false, 21610: false, 21612: false, 21614: false,
	21617: false, 21620: false, 21623: false, 21624: false, 21635: false, 21658: false, 21660: false,
	21611: true, 21619: true,
	21701: false, 21702: false, 21703: false, 21704: false, 21705: false, 21708: false, 21709: false, 21710: false, 21711: false, 21712: false, 21713: false, 21714: false, 21715: false,
	30001: true, 30017: true, 30022: true, 30450: true,
	30002: false, 30003: false, 30004: false, 30005: false, 30006: false, 30007: false, 30008: false, 30009: false, 30010: false, 30011: false, 30018: false, 30019: false,
	30023: false, 30024: false, 30025: false, 30032: false, 30034: false, 30035: false, 30036: false, 30410: false,
	11100: false, 11200: false, 11205: false, 11206: false, 11210: false, 11215: false, 11220: false, 11235: false, 11236: false, 11237: false,
	11750: false, 11751: false, 11770: false, 12100: false, 12200: false, 12300: false, 14107: false, 14109: false, 15003: false, 32203: false,
	35111: false, 35114: false, 35117: false, 35118: false, 35125: false, 35126: false,
}

func TestEveryEndOfAMessageHasWordsAndARightToRetry(t *testing.T) { // R160, T13
	t.Parallel()
	for code, want := range messageCodes {
		reason, advice, retry := twilio.Reason(code)
		if reason == "" || advice == "" {
			t.Errorf("%d has no words", code)
		}
		if retry != want {
			t.Errorf("%d: retry %v, want %v", code, retry, want)
		}
		if retry != (advice == "it is tried again later") {
			t.Errorf("%d promises another try or hides one: %q", code, advice)
		}
		for _, s := range []string{reason, advice} {
			if s != strings.TrimSpace(s) || strings.HasSuffix(s, ".") || strings.Contains(s, "failed to") || len(s) > 140 {
				t.Errorf("%d: %q", code, s)
			}
		}
	}
}
