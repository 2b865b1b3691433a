package message_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/emulator"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/message"
)

func TestEverybodySeesWhatTheirRoleShows(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	bob := s.contact("Bob", "+61491570110")
	s.exec(`UPDATE contact SET assigned_user_id = $2 WHERE id = $1`, bob.ID, s.owen.UserID)
	// One thread of each kind, with a file.
	north := s.threadWith("+61491570101", office)
	south := s.threadWith("+61491570102", usa)
	assigned := s.threadWith("+61491570103", usa)
	s.exec(`UPDATE sms_thread SET assigned_user_id = $2 WHERE id = $1`, assigned.ThreadID, s.owen.UserID)
	customers := s.threadWith("+61491570110", usa)
	written := s.threadWith("+61491570104", usa)
	s.exec(`UPDATE message SET user_id = $2 WHERE id = $1`, written.ID, s.owen.UserID)

	blind := s.admin
	blind.Permissions = access.SetOf(access.SMSSend, access.ContactView)
	key := access.Actor{OrganizationID: s.org, APIKeyID: id.New(id.APIKey), Visibility: access.SeesOwn, Permissions: access.SetOf(access.SMSView)}
	everything := []*message.Message{north, south, assigned, customers, written}
	for name, c := range map[string]struct {
		why  string
		who  access.Actor
		want []*message.Message
	}{
		"organization":     {"", s.admin, everything},
		"branch":           {"R276: other branches' are not seen", s.bea, []*message.Message{north}},
		"own":              {"R286: assigned, written, or of a customer of theirs", s.owen, []*message.Message{assigned, customers, written}},
		"branch and own":   {"", access.Actor{OrganizationID: s.org, UserID: s.owen.UserID, Visibility: access.SeesBranch, BranchIDs: []id.ID{s.north}, Permissions: s.owen.Permissions}, []*message.Message{north, assigned, customers, written}},
		"no permission":    {"R236: the role is the master gate", blind, nil},
		"a key without me": {"nobody's own", key, nil},
		"nobody":           {"", access.Actor{}, nil},
		"the server":       {"", access.System(s.org), everything},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := access.With(s.ctx, c.who)
			sees := func(m *message.Message) bool {
				return slices.ContainsFunc(c.want, func(w *message.Message) bool { return w.ID == m.ID })
			}
			w, err := s.svc.Threads(s.ctx, c.who, message.Filter{}, db.Page{})
			if c.who.Can(access.SMSView) != (err == nil) || len(w.Nodes) != len(c.want) {
				t.Errorf("%s: a list of %d, %v", c.why, len(w.Nodes), err)
			}
			var threadIDs, messageIDs []id.ID
			for _, m := range everything {
				threadIDs, messageIDs = append(threadIDs, m.ThreadID), append(messageIDs, m.ID)
			}
			threads, err := s.svc.ThreadsByIDs(ctx, threadIDs)
			s.must(err)
			messages, err := s.svc.ByIDs(ctx, messageIDs)
			s.must(err)
			if len(threads) != len(c.want) || len(messages) != len(c.want) {
				t.Errorf("%s: %d threads and %d messages by id", c.why, len(threads), len(messages))
			}
			files, err := s.svc.MediaByMessages(ctx, messageIDs)
			s.must(err)
			out, err := s.svc.OptedOut(ctx, threadIDs)
			s.must(err)
			for _, m := range everything {
				want := sees(m)
				if _, err := s.svc.Thread(s.ctx, c.who, m.ThreadID); want != (err == nil) || !want && !errs.IsCode(err, errs.NotFound) {
					t.Errorf("%s: the thread of %s: %v", c.why, m.FromNumber, err)
				}
				if _, err := s.svc.Get(s.ctx, c.who, m.ID); want != (err == nil) || !want && !errs.IsCode(err, errs.NotFound) {
					t.Errorf("%s: the message of %s: %v", c.why, m.FromNumber, err)
				}
				if len(files[m.ID]) == 1 != want || out[m.ThreadID] != want {
					t.Errorf("%s: of %s %d files, opted out %v", c.why, m.FromNumber, len(files[m.ID]), out[m.ThreadID])
				}
				r, _, err := s.svc.OpenMedia(s.ctx, c.who, s.media(m)[0].ID)
				if want != (err == nil) || !want && !errs.IsCode(err, errs.NotFound) {
					t.Errorf("%s: the file of %s: %v", c.why, m.FromNumber, err)
				}
				if err == nil {
					_ = r.Close()
				}
				// A reply needs the same sight.
				if c.who.Can(access.SMSSend) && !want {
					_, err := s.svc.Send(s.ctx, c.who, message.Send{ThreadID: m.ThreadID, Body: "x"})
					s.wants(err, errs.NotFound, "input.threadId")
				}
			}
		})
	}
}

// R276: to write from a number of another branch opens nothing of what was said to it before.
func TestWritingInAThreadOpensNothingOfItsPast(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	before := s.receive(mobile, usa, "for the other branch only")
	s.clock.Advance(time.Second)
	for _, who := range []access.Actor{s.owen, s.bea} {
		sent := s.send(who, message.Send{To: mobile, Body: "hello", PhoneNumberID: s.usa})
		s.clock.Advance(time.Second)
		reply := s.receive(mobile, usa, "who is this?")
		s.clock.Advance(time.Second)
		ctx := access.With(s.ctx, who)
		if _, err := s.svc.Get(s.ctx, who, before.ID); !errs.IsCode(err, errs.NotFound) {
			t.Errorf("%s reads what was said before: %v", who.Visibility, err)
		}
		files, err := s.svc.MediaByMessages(ctx, []id.ID{before.ID})
		if err != nil || len(files[before.ID]) != 0 {
			t.Errorf("%s has files of what was said before: %v", who.Visibility, err)
		}
		th, err := s.svc.Thread(s.ctx, who, sent.ThreadID)
		s.must(err)
		w, err := s.svc.Messages(ctx, th, db.Page{})
		s.must(err)
		if len(w.Nodes) != 2 || w.Nodes[0].ID != reply.ID || w.Nodes[1].ID != sent.ID {
			t.Errorf("%s reads %d messages, want their own and the reply", who.Visibility, len(w.Nodes))
		}
		s.exec(`UPDATE sms_thread SET assigned_user_id = $2 WHERE id = $1`, sent.ThreadID, who.UserID)
		if w, err = s.svc.Messages(ctx, th, db.Page{}); err != nil || w.Nodes[len(w.Nodes)-1].ID != before.ID {
			t.Errorf("%s does not read all of a thread that is assigned to them: %v", who.Visibility, err)
		}
		s.exec(`UPDATE sms_thread SET assigned_user_id = NULL WHERE id = $1`, sent.ThreadID)
	}
}

// threadWith makes a thread with a file and an opt-out, and returns its message.
func (s *stage) threadWith(from, to string) *message.Message {
	s.Helper()
	_, err := s.twilio.SendText(from, to, "STOP", emulator.Media{ContentType: "image/png", Data: png})
	s.must(err)
	s.must(s.twilio.WaitIdle(s.ctx))
	s.drain()
	w, err := s.svc.Threads(s.ctx, s.admin, message.Filter{PhoneNumberID: map[string]id.ID{office: s.office, usa: s.usa}[to]}, db.Page{First: 1})
	s.must(err)
	m, err := s.svc.Get(s.ctx, s.admin, w.Nodes[0].LastMessageID)
	s.must(err)
	s.clock.Advance(time.Second)
	return m
}

func TestAnotherOrganizationsIdsAreNoIds(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	m := s.threadWith(mobile, office)
	file := s.media(m)[0]
	bob := s.contact("Bob", other)
	sent := s.send(s.admin, message.Send{To: other, Body: "ours"})
	s.drain()

	theirs := s.organization()
	connection := s.connect(theirs, "ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
	s.number(theirs, connection, "+61255508888", "AU", s.branch(theirs, "East"), true)
	eve := s.actor(theirs, "eve", access.SeesOrganization)
	ctx := access.With(s.ctx, eve)
	notFound := func(what string, err error) {
		t.Helper()
		if !errs.IsCode(err, errs.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := s.svc.Thread(s.ctx, eve, m.ThreadID)
	notFound("Thread", err)
	_, err = s.svc.Get(s.ctx, eve, m.ID)
	notFound("Get", err)
	_, _, err = s.svc.OpenMedia(s.ctx, eve, file.ID)
	notFound("OpenMedia", err)
	for field, in := range map[string]message.Send{
		"threadId": {ThreadID: m.ThreadID}, "contactId": {ContactID: bob.ID}, "phoneNumberId": {To: other, PhoneNumberID: s.office},
	} {
		in.Body = "x"
		_, err = s.svc.Send(s.ctx, eve, in)
		s.wants(err, errs.NotFound, "input."+field)
	}
	threads, err := s.svc.ThreadsByIDs(ctx, []id.ID{m.ThreadID})
	if err != nil || len(threads) != 0 {
		t.Errorf("ThreadsByIDs: %d, %v", len(threads), err)
	}
	messages, err := s.svc.ByIDs(ctx, []id.ID{m.ID})
	if err != nil || len(messages) != 0 {
		t.Errorf("ByIDs: %d, %v", len(messages), err)
	}
	thread, err := s.svc.Thread(s.ctx, s.admin, m.ThreadID)
	s.must(err)
	w, err := s.svc.Messages(ctx, thread, db.Page{})
	if err != nil || len(w.Nodes) != 0 {
		t.Errorf("Messages: %d, %v", len(w.Nodes), err)
	}
	files, err := s.svc.MediaByMessages(ctx, []id.ID{m.ID})
	if err != nil || len(files[m.ID]) != 0 {
		t.Errorf("MediaByMessages: %d, %v", len(files[m.ID]), err)
	}
	out, err := s.svc.OptedOut(ctx, []id.ID{m.ThreadID})
	if err != nil || out[m.ThreadID] {
		t.Errorf("OptedOut: %v, %v", out, err)
	}
	for what, f := range map[string]message.Filter{"number": {PhoneNumberID: s.office}, "branch": {BranchID: s.north}, "all": {}} {
		list, err := s.svc.Threads(s.ctx, eve, f, db.Page{})
		if err != nil || len(list.Nodes) != 0 {
			t.Errorf("Threads by %s: %d, %v", what, len(list.Nodes), err)
		}
	}
	// Twilio's posts to the other organization's address.
	was := s.get(sent)
	s.must(s.in(theirs, func(ctx context.Context, tx *db.Tx) error {
		f := text(mobile, office, "hello")
		if got, err := s.svc.Receive(ctx, tx, s.connection, f); err != nil || got != nil {
			t.Errorf("Receive: %+v, %v", got, err)
		}
		return s.svc.Apply(ctx, tx, sent.ID, deliveredForm(*was.TwilioSID))
	}))
	if got := s.get(sent); got.Version != was.Version {
		t.Errorf("Apply: it is %s", got.Status)
	}
	if n := s.count(`SELECT count(*) AS n FROM message WHERE organization_id = $1`, theirs); n != 0 {
		t.Errorf("%d messages came over", n)
	}
}

func TestFiltersNarrow(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	bob := s.contact("Bob", mobile)
	s.receive(mobile, office, "a")
	s.receive(mobile, usa, "b")
	s.receive(other, usa, "c")
	s.exec(`UPDATE sms_thread SET is_open = false WHERE phone_number_id = $1 AND their_number = $2`, s.usa, other)
	for name, c := range map[string]struct {
		f    message.Filter
		want int
	}{
		"nothing": {message.Filter{}, 3}, "open": {message.Filter{IsOpen: ptr(true)}, 2}, "closed": {message.Filter{IsOpen: ptr(false)}, 1},
		"number": {message.Filter{PhoneNumberID: s.usa}, 2}, "branch": {message.Filter{BranchID: s.north}, 1}, "contact": {message.Filter{ContactID: bob.ID}, 2},
		"their number": {message.Filter{Number: other}, 1}, "all": {message.Filter{IsOpen: ptr(true), PhoneNumberID: s.usa, BranchID: s.south, ContactID: bob.ID, Number: mobile}, 1},
		"none": {message.Filter{BranchID: s.north, Number: other}, 0},
	} {
		for _, who := range []access.Actor{s.admin, {OrganizationID: s.org, UserID: s.bea.UserID, Visibility: access.SeesBranch, BranchIDs: []id.ID{s.north, s.south}, Permissions: s.bea.Permissions}} {
			if got := len(s.threads(who, c.f)); got != c.want {
				t.Errorf("%s: %d threads, want %d", name, got, c.want)
			}
		}
	}
}

func TestPagesNeitherRepeatNorSkip(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	var want []id.ID
	for i := range 23 {
		if i%3 == 0 {
			s.clock.Advance(time.Second) // some share their instant
		}
		want = append(want, s.receive(mobile, office, fmt.Sprint(i)).ID)
	}
	slices.Reverse(want)
	ctx := access.With(s.ctx, s.admin)
	th := s.threads(s.admin, message.Filter{})[0]
	var got []id.ID
	for page := (db.Page{First: 5}); ; {
		w, err := s.svc.Messages(ctx, th, page)
		s.must(err)
		for _, m := range w.Nodes {
			got = append(got, m.ID)
		}
		if !w.HasNext {
			break
		}
		page.After = w.EndCursor()
		s.clock.Advance(time.Second)
		s.receive(mobile, office, "in between")
	}
	same := cmp.Comparer(func(a, b id.ID) bool { return a == b })
	// Those of one instant are ordered by id, in which the kind's byte is the last.
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("messages: %s", diff)
	}

	want, got = nil, nil
	for i := range 23 {
		if i%3 == 0 {
			s.clock.Advance(time.Second)
		}
		want = append(want, s.receive(fmt.Sprintf("+614915703%02d", i), office, "hi").ThreadID)
	}
	want = append([]id.ID{th.ID}, want...)
	slices.Reverse(want)
	for page := (db.Page{First: 5}); ; {
		w, err := s.svc.Threads(s.ctx, s.admin, message.Filter{}, page)
		s.must(err)
		for _, x := range w.Nodes {
			got = append(got, x.ID)
		}
		if !w.HasNext {
			break
		}
		page.After = w.EndCursor()
		s.clock.Advance(time.Second)
		s.receive(fmt.Sprintf("+614915704%02d", len(got)), office, "in between")
	}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("threads: %s", diff)
	}
	for _, p := range []db.Page{{First: -1}, {First: 101}, {After: "nonsense"}} {
		if _, err := s.svc.Threads(s.ctx, s.admin, message.Filter{}, p); !errs.IsCode(err, errs.Invalid) {
			t.Errorf("%+v: %v", p, err)
		}
		if _, err := s.svc.Messages(ctx, th, p); !errs.IsCode(err, errs.Invalid) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

func TestAPageCostsOneStatement(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{idle: true})
	for i := range 30 {
		s.receive(fmt.Sprintf("+614915705%02d", i), office, "hi")
		s.receive(mobile, office, "hello")
	}
	for _, who := range []access.Actor{s.admin, s.bea, s.owen} {
		for _, first := range []int{1, 25} {
			ctx, counted := db.CountStatements(access.With(s.ctx, who))
			w, err := s.svc.Threads(ctx, who, message.Filter{}, db.Page{First: first})
			s.must(err)
			if counted.N() != 1 {
				t.Errorf("%q", counted.Statements())
			}
			var threads, last []id.ID
			for _, x := range w.Nodes {
				threads, last = append(threads, x.ID), append(last, x.LastMessageID)
			}
			_, err = s.svc.Unread(ctx, threads)
			s.must(err)
			_, err = s.svc.ByIDs(ctx, last)
			s.must(err)
			_, err = s.svc.MediaByMessages(ctx, last)
			s.must(err)
			_, err = s.svc.Inbox(ctx, who)
			s.must(err)
			if counted.N() != 5 {
				t.Errorf("a page of %d for %s costs %d statements: %q", first, who.Visibility, counted.N(), counted.Statements())
			}
			_, err = s.svc.OptedOut(ctx, threads)
			s.must(err)
			_, err = s.svc.ReplyProblems(ctx, threads)
			s.must(err)
			if n := counted.N(); n > 9 {
				t.Errorf("with opt-outs a page of %d for %s costs %d statements", first, who.Visibility, n)
			}
		}
	}
	th := s.threads(s.admin, message.Filter{Number: mobile})[0]
	ctx, counted := db.CountStatements(access.With(s.ctx, s.admin))
	_, err := s.svc.Messages(ctx, th, db.Page{First: 100})
	s.must(err)
	if counted.N() != 1 {
		t.Errorf("%q", counted.Statements())
	}
}
