package delivery_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"switchboard/internal/access"
	"switchboard/internal/call"
	"switchboard/internal/db"
	"switchboard/internal/delivery"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/patch"
	"switchboard/internal/voicemail"
)

func TestAnAddressInsideIsRefused(t *testing.T) { // SSRF
	s := newStage(t, func(d *delivery.Deps) { d.Loopback = false })
	p := s.found()
	for address, why := range map[string]string{
		"http://example.com/":                  "not https",
		"ftp://example.com/":                   "not the web",
		"https://":                             "no host",
		"https:example.com":                    "no host",
		"example.com/hook":                     "no scheme",
		"https://ann:secret@example.com/":      "holds a password",
		"https://example.com:25/":              "a port of mail",
		"https://example.com:80/":              "a port below 1024",
		"https://example.com:70000/":           "no port",
		"https://example.com/#x":               "a fragment is never sent",
		"https://127.0.0.1/":                   "loopback",
		"https://10.1.2.3/":                    "private",
		"https://172.16.0.1/":                  "private",
		"https://192.168.0.1:8443/":            "private",
		"https://169.254.169.254/latest/":      "metadata of clouds",
		"https://100.64.1.1/":                  "carrier-grade NAT",
		"https://0.0.0.0/":                     "this host",
		"https://224.0.0.1/":                   "multicast",
		"https://255.255.255.255/":             "broadcast",
		"https://[::1]/":                       "loopback",
		"https://[fe80::1]/":                   "link-local",
		"https://[fe80::1%25eth0]/":            "link-local with a zone",
		"https://[fd00::1]/":                   "unique local",
		"https://[ff02::1]/":                   "multicast",
		"https://[::ffff:10.0.0.1]/":           "private, mapped",
		"https://[::ffff:7f00:1]/":             "loopback, mapped",
		"https://[64:ff9b::a00:1]/":            "private, behind NAT64",
		"https://[2002:a00:1::]/":              "private, in 6to4",
		"https://example.com/a\nb":             "a line break",
		"https://e.com/" + long(2048):          "too long",
		"https://example.com/\x00":             "a zero byte",
		"https://example.com/ http://10.0.0.1": "a space",
	} {
		if _, _, err := p.svc.Create(p.ctx, p.who, delivery.NewEndpoint{URL: address, RoleID: p.who.RoleID}, ""); code(err) != errs.Invalid {
			t.Errorf("%.60q is taken (%s): %v", address, why, err)
		}
	}
	for _, address := range []string{"https://example.com/hook?x=1", "https://example.com:443/", "https://example.com:8443/", "https://[2606:4700::1111]/"} {
		if _, _, err := p.svc.Create(p.ctx, p.who, delivery.NewEndpoint{URL: address, Kinds: []event.Kind{call.EventNotice}, RoleID: p.who.RoleID}, ""); err != nil {
			t.Errorf("%q is refused: %v", address, err)
		}
	}
}

func long(n int) string { return strings.Repeat("a", n) }

// A name may lead elsewhere at every look-up: what counts is the address that is
// connected to.
func TestANameThatLeadsInsideIsNotConnectedTo(t *testing.T) { // SSRF by rebinding
	s := newStage(t, func(d *delivery.Deps) { d.Loopback = false })
	p, r := s.found(), newReceiver(t)
	e := p.endpoint(r, func(in *delivery.NewEndpoint) {
		in.URL = "https://localhost:" + r.URL[strings.LastIndex(r.URL, ":")+1:] + "/hooks"
	})
	p.happen(call.EventStarted)
	s.settle()
	d := p.deliveries(e, "")[0]
	a := p.attempts(d)
	if len(r.all()) != 0 || len(a) != 1 || a[0].StatusCode != nil || a[0].Error == nil || !strings.Contains(*a[0].Error, "not on the public internet") {
		t.Errorf("%d posts came; the attempt says %+v", len(r.all()), a)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	s := newStage(t)
	p, r, elsewhere := s.found(), newReceiver(t), newReceiver(t)
	e := p.endpoint(r)
	r.answers(func(_ int, w http.ResponseWriter, req *http.Request, _ post) {
		http.Redirect(w, req, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	p.happen(call.EventStarted)
	s.settle()
	if a := p.attempts(p.deliveries(e, "")[0]); len(elsewhere.all()) != 0 || len(a) != 1 || *a[0].StatusCode != 307 || !strings.Contains(*a[0].Error, "redirect") {
		t.Errorf("%d posts went elsewhere; the attempt says %+v", len(elsewhere.all()), a)
	}
}

func TestOrganizationsSeeNothingOfEachOther(t *testing.T) {
	s := newStage(t)
	a, b, ra, rb := s.found(), s.found(), newReceiver(t), newReceiver(t)
	ea, eb := a.endpoint(ra), b.endpoint(rb)
	a.happen(call.EventStarted)
	b.happen(call.EventEnded)
	s.settle()
	if !slices.Equal(ra.kinds(), []string{"CALL_STARTED"}) || !slices.Equal(rb.kinds(), []string{"CALL_ENDED"}) {
		t.Fatalf("they got %v and %v", ra.kinds(), rb.kinds())
	}
	if ra.all()[0].verified != 1 || rb.all()[0].verified != 1 {
		t.Error("they share a secret")
	}
	foreign := b.deliveries(eb, "")[0].ID
	for verb, do := range map[string]func() error{
		"get":       func() error { _, err := s.svc.Get(a.ctx, a.who, eb.ID); return err },
		"update":    func() error { _, err := s.svc.Update(a.ctx, a.who, eb.ID, delivery.Change{}); return err },
		"delete":    func() error { return s.svc.Delete(a.ctx, a.who, eb.ID) },
		"rotate":    func() error { _, _, err := s.svc.RotateSecret(a.ctx, a.who, eb.ID, nil); return err },
		"enable":    func() error { _, err := s.svc.Enable(a.ctx, a.who, eb.ID); return err },
		"disable":   func() error { _, err := s.svc.Disable(a.ctx, a.who, eb.ID); return err },
		"test":      func() error { _, err := s.svc.Test(a.ctx, a.who, eb.ID); return err },
		"redeliver": func() error { _, err := s.svc.Redeliver(a.ctx, a.who, foreign); return err },
		"replay": func() error {
			_, err := s.svc.Replay(a.ctx, a.who, eb.ID, s.log.Cursor(a.who.OrganizationID, 0), true)
			return err
		},
	} {
		if err := do(); code(err) != errs.NotFound {
			t.Errorf("%s of another's: %v", verb, err)
		}
	}
	if w, err := s.svc.Deliveries(a.ctx, a.who, eb.ID, "", db.Page{}); err != nil || len(w.Nodes) != 0 {
		t.Errorf("another's deliveries are listed: %d, %v", len(w.Nodes), err)
	}
	if m, err := s.svc.AttemptsByDeliveries(a.ctx, a.who, []id.ID{foreign}); err != nil || len(m) != 0 {
		t.Errorf("another's attempts are read: %v, %v", m, err)
	}
	if _, err := s.svc.Replay(a.ctx, a.who, ea.ID, *rb.all()[0].Cursor, false); code(err) != errs.Invalid {
		t.Errorf("another's cursor is taken: %v", err)
	}
	s.settle()
	if len(ra.all()) != 1 || len(rb.all()) != 1 {
		t.Errorf("they got %v and %v", ra.kinds(), rb.kinds())
	}
}

func TestAnEndpointIsToldWhatItsRoleMaySee(t *testing.T) {
	s := newStage(t)
	p, none, narrow, hears, all := s.found(), newReceiver(t), newReceiver(t), newReceiver(t), newReceiver(t)
	en := p.endpoint(none, func(in *delivery.NewEndpoint) { in.RoleID = p.role(access.SeesOrganization, access.SMSView) })
	eb := p.endpoint(narrow, func(in *delivery.NewEndpoint) { in.RoleID = p.role(access.SeesBranch, access.CallView) })
	p.endpoint(hears, func(in *delivery.NewEndpoint) { in.RoleID = p.role(access.SeesBranch, access.VoicemailListen) })
	ea := p.endpoint(all)
	s.mu.Lock()
	s.show = func(who access.Actor, e event.Event) (delivery.Shown, error) { // gone, or another branch's: it looks alike
		if who.OrganizationID != p.who.OrganizationID || !who.UserID.IsZero() || who.System || who.Can(access.UserManage) != (who.RoleID == p.who.RoleID) {
			t.Errorf("the endpoint acts as %+v", who)
		}
		return delivery.Shown{Visible: e.Kind == number.NumberUpdated || e.Kind == voicemail.EventReceived, Subject: "Call"}, nil
	}
	s.mu.Unlock()
	p.happen(call.EventStarted, call.EventRingStarted, number.NumberUpdated, voicemail.EventReceived)
	s.settle()
	if got := none.kinds(); !slices.Equal(got, []string{"PHONE_NUMBER_UPDATED"}) || len(p.deliveries(en, "")) != 1 {
		t.Errorf("without CALL_VIEW it is told %v", got)
	}
	if got := narrow.kinds(); !slices.Equal(got, []string{"PHONE_NUMBER_UPDATED"}) || len(p.deliveries(eb, delivery.Skipped)) != 2 {
		t.Errorf("of what it may not see it is told %v", got)
	}
	if got := hears.kinds(); !slices.Equal(got, []string{"PHONE_NUMBER_UPDATED", "VOICEMAIL_RECEIVED"}) { // R130
		t.Errorf("who hears voicemails is told %v", got)
	}
	if got := all.all(); len(got) != 4 || string(got[0].Data) != "null" || len(p.deliveries(ea, delivery.Delivered)) != 4 {
		t.Errorf("of what is gone it is told %v", all.kinds())
	}
}

func TestNobodyGetsMoreThroughAnEndpointThanTheyHave(t *testing.T) {
	s := newStage(t)
	p, r := s.found(), newReceiver(t)
	e := p.endpoint(r)
	r.answers(func(_ int, w http.ResponseWriter, _ *http.Request, x post) { _, _ = w.Write(x.raw) })
	p.happen(call.EventStarted)
	s.settle()
	d := p.deliveries(e, "")[0]
	low := access.Actor{OrganizationID: p.who.OrganizationID, UserID: id.New(id.User), Permissions: access.SetOf(access.WebhookManage, access.CallView), Visibility: access.SeesOrganization}
	low.RoleID = p.role(low.Visibility, low.Permissions.List()...)
	q := s.as(low)
	for verb, do := range map[string]func() error{
		"create": func() error {
			_, _, err := s.svc.Create(q.ctx, low, delivery.NewEndpoint{URL: r.URL, RoleID: p.who.RoleID}, "")
			return err
		},
		"turn away": func() error {
			_, err := s.svc.Update(q.ctx, low, e.ID, delivery.Change{URL: patch.To(r.URL)})
			return err
		},
		"raise": func() error {
			mine := q.endpoint(r)
			_, err := s.svc.Update(q.ctx, low, mine.ID, delivery.Change{RoleID: patch.To(p.who.RoleID)})
			return err
		},
		"rotate": func() error { _, _, err := s.svc.RotateSecret(q.ctx, low, e.ID, nil); return err },
		"replay": func() error {
			_, err := s.svc.Replay(q.ctx, low, e.ID, s.log.Cursor(low.OrganizationID, 0), true)
			return err
		},
	} {
		if err := do(); code(err) != errs.Forbidden {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if a := q.attempts(d); len(a) != 1 || a[0].Answer != nil {
		t.Errorf("an answer that repeats the post is shown to who could not see that")
	}
	if a := p.attempts(d); len(a) != 1 || a[0].Answer == nil || !strings.Contains(*a[0].Answer, "CALL_STARTED") {
		t.Errorf("the answer is hidden from who may see it")
	}
	out := low
	out.Permissions = access.SetOf(access.CallView)
	if _, err := s.svc.List(access.With(t.Context(), out), out, db.Page{}); code(err) != errs.Forbidden {
		t.Errorf("endpoints are listed without WEBHOOK_MANAGE: %v", err)
	}
}
