package followup

import (
	"context"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/id"
	"switchboard/internal/route"
)

// lookup gathers what the words and the visibility of some notifications need, as
// one reader may see it: a constant number of statements.
type lookup struct {
	who     access.Actor
	parties map[id.ID]route.Party // by call, voicemail, message and follow-up: those that the reader sees
	about   map[id.ID]id.ID       // the contact of each
	names   map[id.ID]string      // of contacts and users
	others  map[id.ID]bool        // subjects of other kinds that the reader sees
}

func (s *Service) lookUp(ctx context.Context, who access.Actor, rows ...*Notification) (*lookup, error) {
	ctx = access.With(ctx, who)
	l := &lookup{who: who, parties: map[id.ID]route.Party{}, about: map[id.ID]id.ID{}, names: map[id.ID]string{}, others: map[id.ID]bool{}}
	var calls, voicemails, messages, items, users []id.ID
	add := func(to *[]id.ID, x id.ID) {
		if !x.IsZero() {
			*to = append(*to, x)
		}
	}
	for _, n := range rows {
		add(&calls, n.CallID)
		add(&voicemails, n.VoicemailID)
		add(&messages, n.MessageID)
		add(&items, n.FollowUpID)
		add(&users, n.ActorID)
		if sees, ok := s.d.Sees[n.SubjectID.Kind()]; ok {
			yes, err := sees(ctx, who, n.SubjectID)
			if err != nil {
				return nil, err
			}
			l.others[n.SubjectID] = yes
		}
	}
	if len(calls) > 0 {
		seen, err := s.d.Calls.Visible(ctx, who, calls)
		if err != nil {
			return nil, err
		}
		for x, c := range seen {
			l.about[x] = c.ContactID
			if l.parties[x] = c.From(); c.Direction == "OUTBOUND" {
				l.parties[x] = c.To()
			}
		}
	}
	if len(voicemails) > 0 {
		seen, err := s.d.Voicemails.Visible(ctx, who, voicemails)
		if err != nil {
			return nil, err
		}
		for x, v := range seen {
			l.parties[x], l.about[x] = v.From(), v.ContactID
		}
	}
	if len(messages) > 0 {
		seen, err := s.d.Messages.ByIDs(ctx, messages)
		if err != nil {
			return nil, err
		}
		threads := make([]id.ID, 0, len(seen))
		for _, m := range seen {
			threads = append(threads, m.ThreadID)
		}
		hidden, err := s.d.Messages.HiddenEnds(ctx, threads)
		if err != nil {
			return nil, err
		}
		for _, m := range seen {
			l.about[m.ID] = m.ContactID
			if l.parties[m.ID] = m.From(); hidden[m.ThreadID] {
				l.parties[m.ID] = route.Party{Display: "a customer"}
			}
		}
	}
	if len(items) > 0 {
		seen, err := s.Visible(ctx, who, items)
		if err != nil {
			return nil, err
		}
		for x, f := range seen {
			l.parties[x], l.about[x] = f.From(), f.ContactID
		}
	}
	return l, s.name(ctx, l, users)
}

// name reads the names of the contacts and people that are spoken of.
func (s *Service) name(ctx context.Context, l *lookup, users []id.ID) error {
	ctx = db.WithTenant(ctx, l.who.OrganizationID)
	var contacts []id.ID
	for _, c := range l.about {
		if !c.IsZero() {
			contacts = append(contacts, c)
		}
	}
	if len(contacts) > 0 {
		named, err := s.d.Contacts.Named(ctx, l.who, contacts)
		if err != nil {
			return err
		}
		for x, c := range named {
			l.names[x] = c.Name
		}
	}
	if len(users) == 0 {
		return nil
	}
	found, err := s.d.Users.ByIDs(ctx, users)
	for _, u := range found {
		l.names[u.ID] = u.Name
	}
	return err
}

// sees reports whether the reader may still know of what a notification says.
func (l *lookup) sees(n *Notification) bool {
	for _, x := range []id.ID{n.CallID, n.VoicemailID, n.MessageID, n.FollowUpID} {
		if _, ok := l.parties[x]; ok && !x.IsZero() {
			return true
		}
	}
	switch n.SubjectID.Kind() {
	case id.Call, id.Voicemail, id.Message, id.FollowUp:
		return false
	}
	yes, known := l.others[n.SubjectID]
	return yes || !known
}

// party is who a notification is about, in words; "" when the reader may not know.
func (l *lookup) party(n *Notification) string {
	for _, x := range []id.ID{n.VoicemailID, n.MessageID, n.CallID, n.FollowUpID} {
		p, ok := l.parties[x]
		if !ok || x.IsZero() {
			continue
		}
		if name := l.names[l.about[x]]; name != "" {
			return name
		}
		if p.Display != "" {
			return p.Display
		}
		return "an unknown caller"
	}
	return ""
}

// title is a notification in words.
func (l *lookup) title(n *Notification) string {
	who := l.party(n)
	with := func(words, and string) string {
		if who == "" {
			return words
		}
		return words + and + who
	}
	actor := l.names[n.ActorID]
	if actor == "" {
		actor = "A colleague"
	}
	switch n.Kind {
	case ToldMissedCall:
		return with("Missed call", " from ")
	case ToldAnsweredElsewhere:
		return with(actor+" answered a call", " from ")
	case ToldVoicemailReceived:
		return with("Voicemail", " from ")
	case ToldMessageReceived:
		return with("Message", " from ")
	case ToldCallTransferred:
		return with(actor+" transfers a call to you", ": ")
	case ToldFollowUpAssigned:
		return with(actor+" gave you a follow-up", ": ")
	case ToldFollowUpEscalated:
		return with("Overdue follow-up", ": ")
	case ToldTranscriptCompleted:
		return with("Transcript complete", ": ")
	case ToldExportReady:
		return "Your export is ready"
	}
	return "Notification"
}
