package message_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
)

const (
	lonely  = "+61255500002" // in no service
	fellow  = "+61255500003" // in the service of office
	free    = "+18885550123" // toll-free, in the service of office
	service = "MG00000000000000000000000000000001"
)

// pool puts office, fellow and the toll-free number into a service; lonely stays out.
func (s *stage) pool() map[string]id.ID {
	s.Helper()
	all := map[string]id.ID{office: s.office, lonely: s.number(s.org, s.connection, lonely, "AU", s.north, false),
		fellow: s.number(s.org, s.connection, fellow, "AU", s.north, false), free: s.number(s.org, s.connection, free, "US", s.north, false)}
	s.exec(`UPDATE phone_number SET messaging_service_sid = $2 WHERE organization_id = $1 AND e164 = ANY ($3::text[])`, s.org, service, []string{office, fellow, free})
	return all
}

// barred are the numbers of ours that somebody may not be written to from.
func (s *stage) barred(to string, all map[string]id.ID) []string {
	s.Helper()
	var out []string
	for e164, n := range all {
		var thread id.ID
		s.must(s.in(s.org, func(ctx context.Context, tx *db.Tx) error {
			var row struct{ ID id.ID }
			err := db.Select(ctx, tx, &row, `INSERT INTO sms_thread (organization_id, id, phone_number_id, their_number, last_message_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)
				ON CONFLICT ON CONSTRAINT thread_pair_unique DO UPDATE SET their_number = excluded.their_number RETURNING id`, s.org, id.New(id.Thread), n, to, tx.Now)
			thread = row.ID
			return err
		}))
		m, err := s.svc.OptedOut(access.With(s.ctx, s.admin), []id.ID{thread})
		s.must(err)
		_, err = s.svc.Send(s.ctx, s.admin, message.Send{To: to, Body: "news", PhoneNumberID: n})
		if refused := errs.IsCode(err, errs.OptedOut); refused != m[thread] {
			s.Errorf("%s: the thread says %v, sending %v", e164, m[thread], err)
		}
		if m[thread] {
			out = append(out, e164)
		}
	}
	slices.Sort(out)
	return out
}

func TestAnOptOutHoldsAsFarAsItWasMeant(t *testing.T) { // R154, R155
	t.Parallel()
	all := []string{free, office, lonely, fellow}
	slices.Sort(all)
	word := func(from, body string) func(*stage) { return func(s *stage) { s.receive(mobile, from, body) } }
	staff := func(kind message.ConsentKind) func(*stage) {
		return func(s *stage) {
			_, err := s.svc.RecordConsent(s.ctx, s.admin, message.ConsentRecord{Number: mobile, Channel: message.SMSChannel, Kind: kind})
			s.must(err)
		}
	}
	late := func(from, body string) func(*stage) {
		return func(s *stage) {
			f := text(mobile, from, body)
			f.ReceivedAt = s.clock.Now().Add(-10 * time.Minute)
			s.must(s.in(s.org, func(ctx context.Context, tx *db.Tx) error {
				_, err := s.svc.Receive(ctx, tx, s.connection, f)
				return err
			}))
		}
	}
	for why, c := range map[string]struct {
		steps []func(*stage)
		want  []string
	}{
		"nobody said anything":                       {nil, nil},
		"STOP to a number without a service":         {[]func(*stage){word(lonely, "STOP")}, []string{lonely}},
		"STOP to one of a service":                   {[]func(*stage){word(office, "stopall")}, []string{free, office, fellow}},
		"START to another of the service":            {[]func(*stage){word(office, "STOP"), word(fellow, "START")}, nil},
		"the last word counts":                       {[]func(*stage){word(office, "STOP"), word(fellow, "START"), word(office, "QUIT")}, []string{free, office, fellow}},
		"START elsewhere":                            {[]func(*stage){word(office, "STOP"), word(lonely, "START")}, []string{free, office, fellow}},
		"STOP to the toll-free number":               {[]func(*stage){word(free, "STOP")}, []string{free, office, fellow}},
		"the network keeps the toll-free one":        {[]func(*stage){word(free, "STOP"), word(office, "START")}, []string{free}},
		"and knows nothing of the others":            {[]func(*stage){word(office, "STOP"), word(free, "UNSTOP")}, []string{office, fellow}},
		"toll-free numbers know few words":           {[]func(*stage){word(free, "CANCEL"), word(free, "QUIT")}, nil},
		"YES takes STOP back":                        {[]func(*stage){word(office, "STOP"), word(fellow, "yes")}, nil},
		"YES is a plain answer otherwise":            {[]func(*stage){staff(message.OptOut), word(office, "YES")}, all},
		"HELP says nothing of it":                    {[]func(*stage){word(office, "STOP"), word(office, "HELP")}, []string{free, office, fellow}},
		"a late STOP does not undo a newer START":    {[]func(*stage){word(office, "START"), late(fellow, "STOP")}, nil},
		"a late START does not undo a newer STOP":    {[]func(*stage){word(office, "STOP"), late(office, "START")}, []string{free, office, fellow}},
		"staff say it for all numbers":               {[]func(*stage){staff(message.OptOut)}, all},
		"staff take back what staff said":            {[]func(*stage){staff(message.OptOut), staff(message.OptIn)}, nil},
		"START after staff is about that service":    {[]func(*stage){staff(message.OptOut), word(office, "START")}, []string{free, lonely}},
		"staff after START":                          {[]func(*stage){word(office, "START"), staff(message.OptOut)}, all},
		"START from before staff's word is too late": {[]func(*stage){staff(message.OptOut), late(office, "START")}, all},
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{idle: true})
			numbers := s.pool()
			for _, step := range c.steps {
				step(s)
				s.clock.Advance(time.Minute)
			}
			slices.Sort(c.want)
			if got := s.barred(mobile, numbers); !slices.Equal(got, c.want) {
				t.Errorf("may not be written to from %v, want %v", got, c.want)
			}
			if got := s.barred(other, numbers); got != nil {
				t.Errorf("somebody else is barred from %v", got)
			}
		})
	}
}

func TestWhatTwilioSaysOfAWordCountsMore(t *testing.T) { // Advanced Opt-Out
	t.Parallel()
	s := newStage(t, options{idle: true})
	numbers := s.pool()
	for _, c := range []struct {
		body, says string
		to         string
		want       bool
	}{{"arret", "STOP", office, true}, {"oui", "START", fellow, false}, {"stop", "HELP", office, false}, {"fin", "STOP", free, true}} {
		f := text(mobile, c.to, c.body)
		f.OptOutType, f.ServiceSID = c.says, service
		s.must(s.in(s.org, func(ctx context.Context, tx *db.Tx) error {
			_, err := s.svc.Receive(ctx, tx, s.connection, f)
			return err
		}))
		s.clock.Advance(time.Second)
		if got := s.barred(mobile, numbers); slices.Contains(got, c.to) != c.want {
			t.Errorf("after %q (%s) barred from %v", c.body, c.says, got)
		}
	}
}

func (s *stage) consents(who access.Actor, f message.ConsentFilter) []*message.Consent {
	s.Helper()
	w, err := s.svc.Consents(s.ctx, who, f, db.Page{First: 100})
	s.must(err)
	return w.Nodes
}

func TestEachWordIsKeptWithWhereItCameFrom(t *testing.T) { // R154, T13
	t.Parallel()
	s := newStage(t, options{idle: true})
	s.pool()
	carol := s.contact("Carol", mobile)
	stop := s.receive(mobile, office, "STOP")
	for _, body := range []string{"thanks", "Yes please", "HELP", "unstop"} {
		s.clock.Advance(time.Second)
		s.receive(mobile, office, body)
	}
	s.clock.Advance(time.Second)
	_, err := s.svc.RecordConsent(s.ctx, s.admin, message.ConsentRecord{ContactID: carol.ID, Channel: message.VoiceChannel, Kind: message.OptOut, Note: " at the door "})
	s.must(err)
	got := s.consents(s.admin, message.ConsentFilter{ContactID: carol.ID})
	want := []string{"VOICE OPT_OUT STAFF", "SMS OPT_IN KEYWORD", "SMS HELP KEYWORD", "SMS OPT_OUT KEYWORD"}
	if len(got) != len(want) {
		t.Fatalf("%d words", len(got))
	}
	for i, c := range got {
		if w := strings.Join([]string{string(c.Channel), string(c.Kind), string(c.Source)}, " "); w != want[i] || c.E164 != mobile || c.ContactID != carol.ID {
			t.Errorf("%d is %s of %s", i, w, c.E164)
		}
	}
	if last := got[3]; last.MessageID != stop.ID || last.PhoneNumberID != s.office {
		t.Errorf("%+v", last)
	}
	if voice := got[0]; voice.UserID != s.admin.UserID || voice.Note == nil || *voice.Note != "at the door" || !voice.PhoneNumberID.IsZero() {
		t.Errorf("%+v", voice)
	}
	if n := s.count(`SELECT count(*) AS n FROM event WHERE kind = 'CONSENT_CHANGED'`); n != len(want) {
		t.Errorf("%d events", n)
	}
	if n := s.count(`SELECT count(*) AS n FROM do_not_message`); n != 0 {
		t.Error("a word about calls bars texts")
	}
	// The history is nobody's to rewrite.
	for _, sql := range []string{`UPDATE consent SET what = 'OPT_IN'`, `DELETE FROM consent`} {
		if err := s.in(s.org, func(ctx context.Context, tx *db.Tx) error { _, err := db.Exec(ctx, tx, sql); return err }); err == nil {
			t.Errorf("%s passes", sql)
		}
	}
	// Pages.
	page := db.Page{First: 3}
	w, err := s.svc.Consents(s.ctx, s.admin, message.ConsentFilter{Number: "0491 570 156"}, page)
	s.must(err)
	page.After = w.EndCursor()
	rest, err := s.svc.Consents(s.ctx, s.admin, message.ConsentFilter{Number: "0491 570 156"}, page)
	s.must(err)
	if len(w.Nodes) != 3 || !w.HasNext || len(rest.Nodes) != 1 || rest.Nodes[0].ID != got[3].ID {
		t.Errorf("pages of %d and %d", len(w.Nodes), len(rest.Nodes))
	}
	if calls := s.consents(s.admin, message.ConsentFilter{Channel: message.VoiceChannel}); len(calls) != 1 {
		t.Errorf("%d about calls", len(calls))
	}
}

func TestStaffDoNotTakeBackWhatThePersonSent(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	numbers := s.pool()
	carol := s.contact("Carol", mobile, other)
	in := message.ConsentRecord{ContactID: carol.ID, Channel: message.SMSChannel, Kind: message.OptOut}
	list, err := s.svc.RecordConsent(s.ctx, s.admin, in)
	s.must(err)
	if len(list) != 2 || len(s.barred(other, numbers)) != len(numbers) {
		t.Errorf("%d words; barred from %v", len(list), s.barred(other, numbers))
	}
	in.Channel, in.Kind = message.MMSChannel, message.OptIn
	_, err = s.svc.RecordConsent(s.ctx, s.admin, in)
	s.wants(err, errs.Conflict, "input.channel")
	s.receive(other, fellow, "STOP")
	in.Channel = message.SMSChannel
	_, err = s.svc.RecordConsent(s.ctx, s.admin, in)
	s.wants(err, errs.Conflict, "input.kind")
	if !strings.Contains(err.Error(), "START") || !strings.Contains(err.Error(), fellow) {
		t.Error(err)
	}
	s.clock.Advance(time.Minute)
	s.receive(other, office, "START")
	_, err = s.svc.RecordConsent(s.ctx, s.admin, in)
	s.must(err)
	if got := append(s.barred(other, numbers), s.barred(mobile, numbers)...); got != nil {
		t.Errorf("still barred from %v", got)
	}
}

func TestConsentIsRecordedForWhomOneSees(t *testing.T) { // R241
	t.Parallel()
	s := newStage(t, options{idle: true})
	own, err := s.contacts.Create(s.ctx, s.admin, contactOf("Own", mobile, s.owen.UserID))
	s.must(err)
	carol := s.contact("Carol", other)
	blind := s.admin
	blind.Permissions = access.SetOf(access.ContactView)
	for why, c := range map[string]struct {
		who   access.Actor
		in    message.ConsentRecord
		code  errs.Code
		field string
	}{
		"own contact":              {s.owen, message.ConsentRecord{ContactID: own.ID}, "", ""},
		"own contact's number":     {s.owen, message.ConsentRecord{Number: "0491570156"}, "", ""},
		"a contact of others":      {s.owen, message.ConsentRecord{ContactID: carol.ID}, errs.NotFound, "input.contactId"},
		"a number of others":       {s.owen, message.ConsentRecord{Number: other}, errs.NotFound, "input.number"},
		"a number of nobody":       {s.admin, message.ConsentRecord{Number: "+61491570159"}, "", ""},
		"without the permission":   {blind, message.ConsentRecord{Number: mobile}, errs.Forbidden, ""},
		"nobody":                   {s.admin, message.ConsentRecord{}, errs.Required, "input.number"},
		"both":                     {s.admin, message.ConsentRecord{Number: mobile, ContactID: own.ID}, errs.Invalid, "input.contactId"},
		"not a number":             {s.admin, message.ConsentRecord{Number: "twelve"}, errs.Invalid, "input.number"},
		"HELP is not staff's":      {s.admin, message.ConsentRecord{Number: mobile, Kind: message.AskedHelp}, errs.Invalid, "input.kind"},
		"a channel of the future":  {s.admin, message.ConsentRecord{Number: mobile, Channel: "FAX"}, errs.Invalid, "input.channel"},
		"a note without an end":    {s.admin, message.ConsentRecord{Number: mobile, Note: strings.Repeat("é", 501)}, errs.Invalid, "input.note"},
		"a note of just that much": {s.admin, message.ConsentRecord{Number: mobile, Note: strings.Repeat("é", 500)}, "", ""},
	} {
		if c.in.Kind == "" {
			c.in.Kind = message.OptOut
		}
		if c.in.Channel == "" {
			c.in.Channel = message.SMSChannel
		}
		_, err := s.svc.RecordConsent(s.ctx, c.who, c.in)
		if c.code == "" {
			if err != nil {
				t.Errorf("%s: %v", why, err)
			}
			continue
		}
		if e, _ := errs.As(err); e == nil || e.Code != c.code || strings.Join(e.Field, ".") != c.field {
			t.Errorf("%s: %v at %v", why, err, e)
		}
	}
	s.receive(other, office, "STOP")
	for _, c := range s.consents(s.owen, message.ConsentFilter{}) {
		if c.ContactID != own.ID {
			t.Errorf("owen sees %+v", c)
		}
	}
	if got := s.consents(s.owen, message.ConsentFilter{ContactID: carol.ID}); len(got) != 0 {
		t.Error("owen sees the words of a contact of others")
	}
	if got := s.consents(s.owen, message.ConsentFilter{Number: other}); len(got) != 0 {
		t.Error("owen sees the words of a number of others")
	}
	if n := s.count(`SELECT count(*) AS n FROM audit_entry WHERE action = 'consent.record'`); n != 4 {
		t.Errorf("%d audit entries", n)
	}
}

func contactOf(name, e164 string, user id.ID) contact.Create {
	return contact.Create{Kind: contact.KindCustomer, Name: name, AssignedUserID: user, Phones: []contact.PhoneInput{{Number: e164}}}
}

func TestEachKindOfSenderHasItsPace(t *testing.T) {
	t.Parallel()
	for kind, want := range map[message.SenderKind]int{message.LongCode: 1, message.Mobile: 1, message.TollFree: 3, message.ShortCode: 100, message.Alphanumeric: 10} {
		if got := message.DefaultRate(kind); got != want {
			t.Errorf("%s: %d a second, want %d", kind, got, want)
		}
	}
}
