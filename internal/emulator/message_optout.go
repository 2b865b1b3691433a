package emulator

import (
	"fmt"
	"slices"
	"strings"
)

// Keywords (twilio: support 223134027): the whole message is the one word.
var (
	stopWords  = strings.Fields("STOP STOPALL UNSUBSCRIBE CANCEL END QUIT REVOKE OPTOUT")
	startWords = strings.Fields("START YES UNSTOP")
	helpWords  = strings.Fields("HELP INFO")
)

// OptOut is what Advanced Opt-Out changes for a Messaging Service: words and replies. What
// is empty stays as it is by default.
type OptOut struct {
	Stop       []string `json:"stop,omitempty"`
	Start      []string `json:"start,omitempty"`
	Help       []string `json:"help,omitempty"`
	StopReply  string   `json:"stopReply,omitempty"`
	StartReply string   `json:"startReply,omitempty"`
	HelpReply  string   `json:"helpReply,omitempty"`
}

// scope is what an opt-out at this number covers: the pool of its Messaging Service, else
// the number. The carriers that keep the one of a toll-free number know only the number.
func (n *number) scope() string {
	if n.service != nil && !n.tollFree() {
		return n.service.sid
	}
	return n.spec.E164
}

// optedOut reports whether a recipient may not be written to by a service or sender.
func (a *account) optedOut(s *service, from, to string) bool {
	return s != nil && a.optOuts[s.sid+"|"+to] || from != "" && a.optOuts[from+"|"+to]
}

// keyword keeps the opt-out table and returns Twilio's own reply, "" for none.
func (e *Emulator) keyword(n *number, m *message) string {
	a, word := n.account, strings.ToUpper(strings.TrimSpace(m.body))
	pair := n.scope() + "|" + m.from
	if n.tollFree() { // the carriers' own, which nobody changes
		switch {
		case word == "STOP" && !a.optOuts[pair]:
			a.optOuts[pair] = true
			return "NETWORK MSG: You replied with the word \"STOP\" which blocks all texts sent from this number. Text back \"UNSTOP\" to receive messages again."
		case (word == "START" || word == "UNSTOP") && a.optOuts[pair]:
			delete(a.optOuts, pair)
			return "NETWORK MSG: You have replied \"" + word + "\" and will begin receiving messages again from this number."
		}
		return ""
	}
	o := OptOut{Stop: stopWords, Start: startWords, Help: helpWords,
		StopReply:  "You have successfully been unsubscribed. You will not receive any more messages from this number. Reply START to resubscribe.",
		StartReply: "You have successfully been re-subscribed to messages from this number. Reply HELP for help. Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
		HelpReply:  "Reply STOP to unsubscribe. Msg&Data Rates May Apply."}
	if n.service != nil && n.service.advancedOptOut {
		o.change(n.service.optOut)
	} else if a.noOptOuts {
		return ""
	}
	has := func(list []string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, word) })
	}
	switch {
	case has(o.Stop):
		m.optOutAs = "STOP"
		if a.optOuts[pair] { // told once
			return ""
		}
		a.optOuts[pair] = true
		return o.StopReply
	case has(o.Start):
		was := a.optOuts[pair]
		delete(a.optOuts, pair)
		delete(a.optOuts, n.spec.E164+"|"+m.from) // from before the number was in a service
		if word == "YES" && !was {
			return ""
		}
		m.optOutAs = "START"
		return o.StartReply
	case has(o.Help):
		m.optOutAs = "HELP"
		return o.HelpReply
	}
	return ""
}

func (o *OptOut) change(by OptOut) {
	for _, f := range []struct{ to, by *[]string }{{&o.Stop, &by.Stop}, {&o.Start, &by.Start}, {&o.Help, &by.Help}} {
		if len(*f.by) > 0 {
			*f.to = *f.by
		}
	}
	for _, f := range []struct{ to, by *string }{{&o.StopReply, &by.StopReply}, {&o.StartReply, &by.StartReply}, {&o.HelpReply, &by.HelpReply}} {
		if *f.by != "" {
			*f.to = *f.by
		}
	}
}

// OptedOut reports whether a recipient may not be written to from a number.
func (e *Emulator) OptedOut(number, recipient string) (out bool) {
	e.read(func() {
		if n := e.byNumber[number]; n != nil {
			out = n.account.optedOut(n.service, number, recipient)
		}
	})
	return out
}

// SetOptedOut opts a recipient out of a number and its Messaging Service, or in again,
// without a text.
func (e *Emulator) SetOptedOut(number, recipient string, out bool) (err error) {
	e.do(func() {
		n := e.byNumber[number]
		switch {
		case n == nil:
			err = fmt.Errorf("emulator: there is no number %s", number)
		case out:
			n.account.optOuts[n.scope()+"|"+recipient] = true
		default:
			delete(n.account.optOuts, n.scope()+"|"+recipient)
			delete(n.account.optOuts, number+"|"+recipient)
		}
	})
	return err
}

// SetKeywords switches an account's default keywords off, as Twilio's support does for
// accounts that handle them themselves, or on again. Advanced Opt-Out and toll-free numbers
// go on as they are.
func (e *Emulator) SetKeywords(accountSID string, on bool) error {
	return e.onAccount(accountSID, func(a *account) error { a.noOptOuts = !on; return nil })
}
