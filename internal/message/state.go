package message

import "strings"

// rank orders the states of a message that we sent: news of a lower rank than
// what is known already is late and changes nothing. UNKNOWN ranks below
// everything that Twilio says.
var rank = map[Status]int{Pending: 0, Unknown: 0, Queued: 1, Sent: 2, Undelivered: 3, Failed: 3, Delivered: 4}

// fromTwilio are Twilio's words for the states of a message that we sent.
var fromTwilio = map[string]Status{
	"accepted": Queued, "scheduled": Queued, "queued": Queued, "sending": Queued, "sent": Sent,
	"delivered": Delivered, "read": Delivered, "partially_delivered": Delivered,
	"undelivered": Undelivered, "failed": Failed, "canceled": Failed,
}

// Next is the state after news of the other state. It gives the same last state
// for any order and number of the same news: DELIVERED outlives a refusal,
// because the handset has it.
func (s Status) Next(news Status) (_ Status, changed bool) {
	if s == Received || rank[news] < rank[s] || news == s {
		return s, false
	}
	if rank[news] == rank[s] {
		switch {
		case s == Pending && news == Unknown, s == Undelivered && news == Failed:
			return news, true
		}
		return s, false
	}
	return news, true
}

// Final reports whether no more news is expected.
func (s Status) Final() bool { return rank[s] >= 3 || s == Received }

// Keyword is what a message of one word asks for (R154).
type Keyword string

// The keywords.
const (
	NoKeyword Keyword = ""
	Stop      Keyword = "STOP"
	Start     Keyword = "START"
	Help      Keyword = "HELP"
)

// keywords are those that Twilio answers by itself (twilio: support 223134027).
// The message must be the word alone, in any case.
var keywords = map[string]Keyword{
	"STOP": Stop, "STOPALL": Stop, "UNSUBSCRIBE": Stop, "CANCEL": Stop, "END": Stop, "QUIT": Stop, "REVOKE": Stop, "OPTOUT": Stop,
	"START": Start, "YES": Start, "UNSTOP": Start,
	"HELP": Help, "INFO": Help,
}

// KeywordOf is what a text asks for. What Twilio says of it (Advanced Opt-Out)
// counts more than the text.
func KeywordOf(body, twilioSays string) Keyword {
	switch k := Keyword(twilioSays); k {
	case Stop, Start, Help:
		return k
	}
	return keywords[strings.ToUpper(strings.TrimSpace(body))]
}
