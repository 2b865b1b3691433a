package message_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/contact"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
	"switchboard/internal/twilio"
)

// answers lets the users' roles answer messages, as the actors may.
func (s *stage) answers(users ...access.Actor) {
	s.Helper()
	for _, u := range users {
		s.exec(`UPDATE role SET permissions = '{SMS_VIEW,SMS_SEND}' FROM "user" u WHERE role.id = u.role_id AND u.id = $1`, u.UserID)
		s.exec(`UPDATE "user" SET status = 'ACTIVE' WHERE id = $1`, u.UserID)
	}
}

// picture takes a message with a file as if Twilio had posted it.
func (s *stage) picture(from, to string) *message.Message {
	s.Helper()
	f := text(from, to, "")
	f.Media = []twilio.MediaRef{{URL: "https://api.twilio.com/x", ContentType: "image/png"}}
	var m *message.Message
	s.must(s.in(s.org, func(ctx context.Context, tx *db.Tx) (err error) {
		m, err = s.svc.Receive(ctx, tx, s.connection, f)
		return err
	}))
	return m
}

func (s *stage) thread(m *message.Message) *message.Thread {
	s.Helper()
	t, err := s.svc.Thread(s.ctx, s.admin, m.ThreadID)
	s.must(err)
	return t
}

func (s *stage) unread(who access.Actor, m *message.Message) int {
	s.Helper()
	n, err := s.svc.Unread(access.With(s.ctx, who), []id.ID{m.ThreadID})
	s.must(err)
	return n[m.ThreadID]
}

func (s *stage) inbox(who access.Actor) message.Inbox {
	s.Helper()
	i, err := s.svc.Inbox(s.ctx, who)
	s.must(err)
	return *i
}

func TestAnUnknownSenderBecomesOneContact(t *testing.T) { // R138, D11
	t.Parallel()
	s := newStage(t, options{idle: true})
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range 8 { // to two numbers of ours, all of them the first
		wg.Go(func() {
			<-start
			err := s.in(s.org, func(ctx context.Context, tx *db.Tx) error {
				_, err := s.svc.Receive(ctx, tx, s.connection, text(other, []string{office, usa}[i%2], "hello"))
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	if n := s.count(`SELECT count(*) AS n FROM contact`); n != 1 {
		t.Fatalf("%d contacts", n)
	}
	c, err := s.contacts.Match(db.WithTenant(s.ctx, s.org), s.db.App(), other)
	s.must(err)
	if len(c) != 1 || c[0].Kind != contact.KindLead || c[0].Name == "" {
		t.Errorf("it is %+v", c)
	}
	for _, th := range s.threads(s.admin, message.Filter{}) {
		if th.ContactID != c[0].ContactID {
			t.Errorf("a thread is with %s", th.ContactID)
		}
	}
	if n := s.count(`SELECT count(*) AS n FROM message WHERE contact_id = $1`, c[0].ContactID); n != 8 {
		t.Errorf("%d of 8 messages are the contact's", n)
	}
}

func TestWhoAnswersAText(t *testing.T) { // R026, R055, R145-R147
	t.Parallel()
	sms, mms, ken := "sms", "mms", "ken"
	for name, c := range map[string]struct {
		why     string
		set     string // SQL before the message; $1 is the number, $2 ken
		known   bool   // the sender is a contact of ken
		picture bool
		want    string
	}{
		"unknown":               {"R145", "", false, false, sms},
		"unknown, picture":      {"R146", "", false, true, mms},
		"known":                 {"R145 is for unknown senders alone", "", true, false, ""},
		"known, preferred":      {"R147", "UPDATE phone_number SET preferred_user = true WHERE id = $1 AND $2::uuid IS NOT NULL", true, false, ken},
		"known, picture":        {"R147", "UPDATE phone_number SET preferred_user = true WHERE id = $1 AND $2::uuid IS NOT NULL", true, true, ken},
		"preferred is disabled": {"", `WITH x AS (UPDATE "user" SET status = 'DISABLED' WHERE id = $2) UPDATE phone_number SET preferred_user = true WHERE id = $1`, true, false, ""},
		"preferred is switched off": {"R026", `WITH a AS (INSERT INTO team (organization_id, id, name, updated_at) SELECT organization_id, id, 'T', now() FROM phone_number WHERE id = $1),
			b AS (INSERT INTO team_user (organization_id, team_id, user_id, position) SELECT organization_id, id, $2, 0 FROM phone_number WHERE id = $1),
			c AS (INSERT INTO phone_number_user (organization_id, phone_number_id, user_id, sms, updated_at) SELECT organization_id, id, $2, false, now() FROM phone_number WHERE id = $1)
			UPDATE phone_number SET preferred_user = true, team_id = id WHERE id = $1`, true, false, ""},
		"switched off for texts alone": {"R026", `WITH a AS (INSERT INTO team (organization_id, id, name, updated_at) SELECT organization_id, id, 'T', now() FROM phone_number WHERE id = $1),
			b AS (INSERT INTO team_user (organization_id, team_id, user_id, position) SELECT organization_id, id, $2, 0 FROM phone_number WHERE id = $1),
			c AS (INSERT INTO phone_number_user (organization_id, phone_number_id, user_id, sms, updated_at) SELECT organization_id, id, $2, false, now() FROM phone_number WHERE id = $1)
			UPDATE phone_number SET preferred_user = true, team_id = id WHERE id = $1`, true, true, ken},
		"assignee is disabled": {"", `UPDATE "user" SET status = 'DISABLED' WHERE id <> $2 AND $1::uuid IS NOT NULL`, false, false, ""},
		"assignee may not":     {"", `UPDATE role SET permissions = '{SMS_VIEW}' WHERE $1::uuid IS NOT NULL AND $2::uuid IS NOT NULL`, false, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{idle: true})
			s.answers(s.bea, s.owen, s.admin)
			users := map[string]id.ID{sms: s.bea.UserID, mms: s.admin.UserID, ken: s.owen.UserID, "": {}}
			s.exec(`UPDATE phone_number SET sms_assignee_id = $2, mms_assignee_id = $3 WHERE id = $1`, s.office, users[sms], users[mms])
			if c.known {
				s.exec(`UPDATE contact SET assigned_user_id = $2 WHERE id = $1`, s.contact("Bob", mobile).ID, users[ken])
			}
			if c.set != "" {
				s.exec(c.set, s.office, users[ken])
			}
			m := s.receive
			got := func() *message.Message {
				if c.picture {
					return s.picture(mobile, office)
				}
				return m(mobile, office, "hello")
			}()
			if th := s.thread(got); th.AssignedUserID != users[c.want] {
				t.Errorf("%s: the thread is %s's, want %q", c.why, th.AssignedUserID, c.want)
			}
		})
	}
}

func TestAThreadKeepsWhoAnswersIt(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	s.answers(s.bea, s.owen)
	s.exec(`UPDATE phone_number SET sms_assignee_id = $2 WHERE id = $1`, s.office, s.bea.UserID)
	m := s.receive(mobile, office, "hello")
	if n := s.events(m.ThreadID); n != 1 {
		t.Errorf("%d events tell that the thread was opened", n)
	}
	s.receive(mobile, office, "still there?")
	if n := s.events(m.ThreadID); n != 1 {
		t.Errorf("another message tells of the thread: %d", n)
	}
	_, err := s.svc.Assign(s.ctx, s.admin, m.ThreadID, s.owen.UserID)
	s.must(err)
	closed, err := s.svc.Close(s.ctx, s.owen, m.ThreadID)
	s.must(err)
	if closed.IsOpen || closed.ClosedAt == nil || closed.ClosedByID != s.owen.UserID {
		t.Errorf("closed: %+v", closed)
	}
	if again, err := s.svc.Close(s.ctx, s.admin, m.ThreadID); err != nil || again.Version != closed.Version || again.ClosedByID != s.owen.UserID {
		t.Errorf("closing a closed one changes it: %+v, %v", again, err)
	}
	told := s.events(m.ThreadID)
	s.clock.Advance(time.Minute)
	s.receive(mobile, office, "one more thing")
	th := s.thread(m)
	if !th.IsOpen || th.ClosedAt != nil || !th.ClosedByID.IsZero() || th.AssignedUserID != s.owen.UserID || !th.LastInboundAt.Equal(start.Add(time.Minute)) || th.LastOutboundAt != nil {
		t.Errorf("after another message the thread is %+v", th)
	}
	if n := s.events(m.ThreadID); n != told+1 {
		t.Errorf("%d events tell that it opened again", n-told)
	}
	if same, err := s.svc.Reopen(s.ctx, s.admin, m.ThreadID); err != nil || same.Version != th.Version {
		t.Errorf("opening an open one changes it: %v", err)
	}
	_, err = s.svc.Close(s.ctx, s.admin, m.ThreadID)
	s.must(err)
	s.clock.Advance(time.Minute)
	s.send(s.admin, message.Send{ThreadID: m.ThreadID, Body: "yes"})
	if th = s.thread(m); !th.IsOpen || th.LastOutboundAt == nil || !th.LastOutboundAt.Equal(start.Add(2*time.Minute)) {
		t.Errorf("after an answer the thread is %+v", th)
	}
	_, err = s.svc.Close(s.ctx, s.admin, m.ThreadID)
	s.must(err)
	if open, err := s.svc.Reopen(s.ctx, s.admin, m.ThreadID); err != nil || !open.IsOpen || open.ClosedAt != nil {
		t.Errorf("reopened: %+v, %v", open, err)
	}
}

func TestOnlySomebodyWhoMayAnswerIsGivenAThread(t *testing.T) { // R026
	t.Parallel()
	s := newStage(t, options{idle: true})
	s.answers(s.bea)
	m := s.receive(mobile, office, "hello")
	th, err := s.svc.Assign(s.ctx, s.admin, m.ThreadID, s.bea.UserID)
	s.must(err)
	same, err := s.svc.Assign(s.ctx, s.admin, m.ThreadID, s.bea.UserID)
	if err != nil || same.Version != th.Version || s.count(`SELECT count(*) AS n FROM event WHERE subject = $1 AND actor_id = $2`, m.ThreadID, s.admin.UserID) != 1 {
		t.Errorf("assigning again changes it: %+v, %v", same, err)
	}
	for name, c := range map[string]struct {
		why, set string
		user     id.ID
		code     errs.Code
	}{
		"no such user":     {"", "", id.New(id.User), errs.NotFound},
		"not accepted yet": {"", `UPDATE "user" SET status = 'INVITED' WHERE id = $1`, s.owen.UserID, errs.Conflict},
		"disabled":         {"", `UPDATE "user" SET status = 'DISABLED' WHERE id = $1`, s.owen.UserID, errs.Conflict},
		"no such permission": {"the role of owen only reads", `WITH u AS (UPDATE "user" SET status = 'ACTIVE' WHERE id = $1 RETURNING role_id)
			UPDATE role SET permissions = '{SMS_VIEW}' FROM u WHERE role.id = u.role_id`, s.owen.UserID, errs.Conflict},
	} {
		if c.set != "" {
			s.exec(c.set, c.user)
		}
		_, err := s.svc.Assign(s.ctx, s.admin, m.ThreadID, c.user)
		if s.wants(err, c.code, "userId"); t.Failed() {
			t.Fatal(name, c.why)
		}
	}
	_, err = s.svc.Assign(s.ctx, s.owen, m.ThreadID, s.owen.UserID)
	s.wants(err, errs.NotFound, "")
	reader := s.admin
	reader.Permissions = access.SetOf(access.SMSView)
	_, err = s.svc.Assign(s.ctx, reader, m.ThreadID, id.ID{})
	s.wants(err, errs.Forbidden, "")
	if th, err = s.svc.Assign(s.ctx, s.admin, m.ThreadID, id.ID{}); err != nil || !th.AssignedUserID.IsZero() {
		t.Errorf("given to nobody: %+v, %v", th, err)
	}
}

func TestReadingIsEverybodysOwn(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	var m *message.Message
	for range 3 { // within one moment
		m = s.receive(mobile, office, "hello")
	}
	quiet := s.receive(other, office, "hi")
	wants := func(what string, who access.Actor, want int) {
		t.Helper()
		if n := s.unread(who, m); n != want {
			t.Errorf("%s: %d unread, want %d", what, n, want)
		}
		unread := s.threads(who, message.Filter{IsUnread: ptr(true)})
		if has := slices.ContainsFunc(unread, func(x *message.Thread) bool { return x.ID == m.ThreadID }); has != (want > 0) {
			t.Errorf("%s: the unread threads hold it: %v", what, has)
		}
		rest := s.threads(who, message.Filter{IsUnread: ptr(false)})
		if all := s.threads(who, message.Filter{}); len(unread)+len(rest) != len(all) || s.inbox(who).Unread != len(unread) {
			t.Errorf("%s: %d unread and %d read of %d threads, %+v", what, len(unread), len(rest), len(all), s.inbox(who))
		}
	}
	wants("at first", s.admin, 3)
	_, err := s.svc.Read(s.ctx, s.admin, m.ThreadID, true)
	s.must(err)
	wants("once read", s.admin, 0)
	wants("to another", s.bea, 3)
	reads := func() int { return s.count(`SELECT count(*) AS n FROM event WHERE kind = 'SMS_THREAD_READ'`) }
	_, err = s.svc.Read(s.ctx, s.admin, m.ThreadID, true)
	s.must(err)
	if n := reads(); n != 1 {
		t.Errorf("reading twice tells %d times", n)
	}
	s.receive(mobile, office, "and?")
	wants("after another message of the same moment", s.admin, 1)
	_, err = s.svc.Read(s.ctx, s.admin, m.ThreadID, true)
	s.must(err)
	_, err = s.svc.Read(s.ctx, s.admin, m.ThreadID, false)
	s.must(err)
	wants("marked as new", s.admin, 1)
	_, err = s.svc.Read(s.ctx, s.bea, m.ThreadID, false)
	s.must(err)
	wants("who never read it and marks it has all but one behind them", s.bea, 1)
	s.send(s.admin, message.Send{ThreadID: m.ThreadID, Body: "yes"})
	wants("who answers has read", s.admin, 0)
	wants("an answer is no news to be read", s.bea, 1)
	if v := s.thread(m).Version; v != 6 {
		t.Errorf("reading changes the thread: version %d", v)
	}
	key := access.Actor{OrganizationID: s.org, APIKeyID: id.New(id.APIKey), Visibility: access.SeesOrganization, Permissions: access.SetOf(access.SMSView, access.SMSSend)}
	if n := s.unread(key, quiet); n != 0 || s.inbox(key).Unread != 0 || len(s.threads(key, message.Filter{IsUnread: ptr(true)})) != 0 {
		t.Errorf("a machine has %d to read", n)
	}
	_, err = s.svc.Read(s.ctx, key, m.ThreadID, true)
	s.wants(err, errs.Forbidden, "")
	_, err = s.svc.Read(s.ctx, s.owen, m.ThreadID, true)
	s.wants(err, errs.NotFound, "")
}

// Who reads a thread from their own message on has nothing unread before it (R276).
func TestWhatIsHiddenIsNotUnread(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	s.receive(mobile, usa, "for the other branch")
	s.clock.Advance(time.Second)
	sent := s.send(s.owen, message.Send{To: mobile, Body: "hello", PhoneNumberID: s.usa})
	s.exec(`DELETE FROM sms_thread_read`)
	if n := s.unread(s.owen, sent); n != 0 || s.inbox(s.owen).Unread != 0 || len(s.threads(s.owen, message.Filter{IsUnread: ptr(true)})) != 0 {
		t.Errorf("%d unread", n)
	}
	s.clock.Advance(time.Second)
	s.receive(mobile, usa, "who is this?")
	if n := s.unread(s.owen, sent); n != 1 || s.inbox(s.owen).Unread != 1 || len(s.threads(s.owen, message.Filter{IsUnread: ptr(true)})) != 1 {
		t.Errorf("%d unread after the reply", n)
	}
}

func TestInboxCountsWhatWaits(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	s.answers(s.bea, s.admin)
	for i := range 6 {
		m := s.receive(fmt.Sprintf("+614915702%02d", i), []string{office, usa}[i%2], "hi")
		switch i {
		case 0:
			_, err := s.svc.Assign(s.ctx, s.admin, m.ThreadID, s.bea.UserID)
			s.must(err)
		case 1:
			_, err := s.svc.Assign(s.ctx, s.admin, m.ThreadID, s.admin.UserID)
			s.must(err)
		case 2:
			_, err := s.svc.Close(s.ctx, s.admin, m.ThreadID)
			s.must(err)
		case 3:
			_, err := s.svc.Read(s.ctx, s.admin, m.ThreadID, true)
			s.must(err)
		}
	}
	for name, c := range map[string]struct {
		who  access.Actor
		want message.Inbox
	}{
		"organization": {s.admin, message.Inbox{Open: 5, Unread: 5, Mine: 1, Unassigned: 3}},
		"branch":       {s.bea, message.Inbox{Open: 2, Unread: 3, Mine: 1, Unassigned: 1}},
		"own":          {s.owen, message.Inbox{}},
	} {
		ctx, counted := db.CountStatements(s.ctx)
		got, err := s.svc.Inbox(ctx, c.who)
		if err != nil || *got != c.want || counted.N() != 1 {
			t.Errorf("%s: %+v in %d statements, want %+v, %v", name, got, counted.N(), c.want, err)
		}
	}
	for name, c := range map[string]struct {
		f    message.Filter
		want int
	}{
		"mine": {message.Filter{IsMine: ptr(true)}, 1}, "not mine": {message.Filter{IsMine: ptr(false)}, 5},
		"unassigned": {message.Filter{IsUnassigned: ptr(true)}, 4}, "assigned": {message.Filter{IsUnassigned: ptr(false)}, 2},
		"of bea": {message.Filter{AssignedUserID: s.bea.UserID}, 1}, "open and of nobody": {message.Filter{IsOpen: ptr(true), IsUnassigned: ptr(true)}, 3},
		"all at once": {message.Filter{IsOpen: ptr(true), IsMine: ptr(false), IsUnassigned: ptr(true), IsUnread: ptr(true), PhoneNumberID: s.office, BranchID: s.north}, 1},
	} {
		if got := len(s.threads(s.admin, c.f)); got != c.want {
			t.Errorf("%s: %d threads, want %d", name, got, c.want)
		}
	}
}

func TestAFloodCostsFewStatementsEach(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	s.receive(mobile, office, "hello")
	for name, c := range map[string]struct {
		why  string
		f    twilio.MessageForm
		most int
	}{
		"known thread": {"number, thread, message, and the event with COMMIT", text(mobile, office, "again"), 4},
		"unknown":      {"and the lock, the look and the contact once", text(other, office, "hello"), 14},
	} {
		ctx, counted := db.CountStatements(db.WithTenant(s.ctx, s.org))
		s.must(s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := s.svc.Receive(ctx, tx, s.connection, c.f)
			return err
		}))
		if n := counted.N(); n > c.most {
			t.Errorf("%s (%s): %d statements: %q", name, c.why, n, counted.Statements())
		}
	}
}

func TestAThreadIsOpenedOnceForAPair(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	bob := s.contact("Bob", mobile)
	th, err := s.svc.Start(s.ctx, s.bea, message.StartThread{ContactID: bob.ID})
	s.must(err)
	if th.PhoneNumberID != s.office || th.TheirNumber != mobile || th.ContactID != bob.ID || !th.LastMessageID.IsZero() || s.events(th.ID) != 1 {
		t.Errorf("opened: %+v", th)
	}
	again, err := s.svc.Start(s.ctx, s.admin, message.StartThread{To: "0491 570 156", PhoneNumberID: s.office})
	if err != nil || again.ID != th.ID || again.Version != th.Version || s.events(th.ID) != 1 {
		t.Errorf("opened again: %+v, %v", again, err)
	}
	// Who would not see it answers it.
	own, err := s.svc.Start(s.ctx, s.owen, message.StartThread{To: other})
	if err != nil || own.AssignedUserID != s.owen.UserID {
		t.Errorf("a fieldworker opens %+v, %v", own, err)
	}
	if _, err := s.svc.Thread(s.ctx, s.owen, own.ID); err != nil {
		t.Errorf("and does not see it: %v", err)
	}
	_, err = s.svc.Start(s.ctx, s.owen, message.StartThread{To: mobile, PhoneNumberID: s.office})
	s.wants(err, errs.Conflict, "input.phoneNumberId")
	for name, c := range map[string]struct {
		in    message.StartThread
		code  errs.Code
		field string
	}{
		"nobody":          {message.StartThread{}, errs.Required, "input.to"},
		"no number":       {message.StartThread{To: "12"}, errs.Invalid, "input.to"},
		"no such contact": {message.StartThread{ContactID: id.New(id.Contact)}, errs.NotFound, "input.contactId"},
		"no phone":        {message.StartThread{ContactID: s.contact("Ann").ID}, errs.Conflict, "input.contactId"},
		"no such number":  {message.StartThread{To: mobile, PhoneNumberID: id.New(id.PhoneNumber)}, errs.NotFound, "input.phoneNumberId"},
		"ourselves":       {message.StartThread{To: office, PhoneNumberID: s.office}, errs.Invalid, "input.to"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.svc.Start(s.ctx, s.admin, c.in)
			s.wants(err, c.code, c.field)
		})
	}
	s.exec(`UPDATE phone_number SET use_for_messages = false WHERE id = $1`, s.usa)
	_, err = s.svc.Start(s.ctx, s.admin, message.StartThread{To: mobile, PhoneNumberID: s.usa})
	s.wants(err, errs.Conflict, "input.phoneNumberId")
}

func TestWhyAnAnswerCannotReachThem(t *testing.T) { // R151, R155
	t.Parallel()
	for name, c := range map[string]struct {
		from, body, set string
		want            bool
	}{
		"reachable":      {mobile, "hello", "", false},
		"a name":         {"Acme", "hello", "", true},
		"a short code":   {"12345", "hello", "", true},
		"opted out":      {mobile, "STOP", "", true},
		"number is off":  {mobile, "hello", `UPDATE phone_number SET is_enabled = false`, true},
		"account is off": {mobile, "hello", `UPDATE twilio_connection SET is_enabled = false`, true},
		"disconnected":   {mobile, "hello", `UPDATE phone_number SET disconnected_at = updated_at, is_default = false`, true},
		"not for texts":  {mobile, "hello", `UPDATE phone_number SET use_for_messages = false`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{idle: true})
			m := s.receive(c.from, office, c.body)
			if c.set != "" {
				s.exec(c.set)
			}
			p, err := s.svc.ReplyProblems(access.With(s.ctx, s.admin), []id.ID{m.ThreadID})
			s.must(err)
			if got := p[m.ThreadID]; (got != nil) != c.want {
				t.Errorf("the problem is %q", deref(got))
			}
			if p, err := s.svc.ReplyProblems(access.With(s.ctx, s.owen), []id.ID{m.ThreadID}); err != nil || len(p) != 0 {
				t.Errorf("somebody who does not see it is told %v, %v", p, err)
			}
		})
	}
}

func TestAFieldworkerReadsRepliesAboutTheirBookings(t *testing.T) { // R286
	t.Parallel()
	s := newStage(t, options{idle: true})
	bob := s.contact("Bob", mobile)
	booking, err := s.contacts.CreateRecord(s.ctx, s.admin, contact.RecordCreate{Kind: contact.RecordBooking, Title: "Roof", ContactID: bob.ID, AssignedUserID: s.owen.UserID})
	s.must(err)
	before := s.receive(mobile, office, "for the office")
	s.clock.Advance(time.Second)
	about := s.send(s.admin, message.Send{To: mobile, Body: "we come at nine", RecordID: booking.ID, PhoneNumberID: s.office})
	s.clock.Advance(time.Second)
	reply := s.receive(mobile, office, "fine")
	log, err := s.svc.List(s.ctx, s.owen, message.LogFilter{}, db.Page{})
	s.must(err)
	if len(log.Nodes) != 2 || log.Nodes[0].ID != reply.ID || log.Nodes[1].ID != about.ID {
		t.Errorf("they read %d messages", len(log.Nodes))
	}
	if _, err := s.svc.Get(s.ctx, s.owen, before.ID); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("what was said before: %v", err)
	}
	if n := s.unread(s.owen, reply); n != 1 {
		t.Errorf("%d unread", n)
	}
	s.exec(`UPDATE record SET assigned_user_id = NULL`)
	if log, err = s.svc.List(s.ctx, s.owen, message.LogFilter{}, db.Page{}); err != nil || len(log.Nodes) != 0 {
		t.Errorf("of a booking of others they read %d, %v", len(log.Nodes), err)
	}
}

func TestWhoIsSwitchedOffIsNotTold(t *testing.T) { // R026
	t.Parallel()
	s := newStage(t, options{idle: true})
	team := id.New(id.Team)
	s.exec(`INSERT INTO team (organization_id, id, name, updated_at) VALUES ($1, $2, 'T', $3)`, s.org, team, start)
	s.exec(`INSERT INTO team_user (organization_id, team_id, user_id, position) VALUES ($1, $2, $3, 0)`, s.org, team, s.bea.UserID)
	s.exec(`UPDATE phone_number SET team_id = $2, routing_mode = 'TEAM' WHERE id = $1`, s.office, team)
	s.exec(`INSERT INTO phone_number_user (organization_id, phone_number_id, user_id, mms, updated_at) VALUES ($1, $2, $3, false, $4)`, s.org, s.office, s.bea.UserID, start)
	plain, picture := s.receive(mobile, office, "hello"), s.picture(mobile, office)
	for what, c := range map[string]struct {
		who  access.Actor
		m    *message.Message
		told bool
	}{"a text": {s.bea, plain, true}, "a picture": {s.bea, picture, false}, "another user": {s.admin, picture, true}} {
		_, err := s.svc.Told(s.ctx, c.who, c.m.ID)
		if c.told != (err == nil) || !c.told && !errs.IsCode(err, errs.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.svc.Get(s.ctx, s.bea, picture.ID); err != nil {
		t.Errorf("and they may still read it: %v", err)
	}
}
