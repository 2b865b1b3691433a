package user_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/user"
)

func (s *stage) device(p *person, name string) *user.Device {
	s.t.Helper()
	d, err := s.users.DeviceRegister(p.ctx, p.who, user.Register{Name: name, Platform: user.Web})
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func TestADeviceIsRegisteredOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	bob := s.join(ann, "bob@a.test", access.Office)
	d := s.device(bob, " Laptop ")
	s.clk.Advance(time.Hour)
	again, err := s.users.DeviceRegister(bob.ctx, bob.who, user.Register{Name: "Phone", Platform: user.IOS, ID: d.ID})
	if err != nil {
		t.Fatal(err)
	}
	read, err := s.users.Device(ann.ctx, ann.who, d.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(again, read, cmpopts.EquateComparable(id.ID{})); diff != "" {
		t.Error(diff)
	}
	if d.Name != "Laptop" || read.ID != d.ID || read.Name != "Phone" || read.Platform != user.IOS || !read.RegisteredAt.Equal(d.RegisteredAt) || !read.LastSeenAt.Equal(s.clk.Now()) {
		t.Errorf("first %+v, then %+v (R066)", d, read)
	}
	if got := len(s.told(bob.who.UserID)); got != 3 {
		t.Errorf("%d events: invited, accepted, registered; taking up again is none", got)
	}
	_, err = s.users.DeviceRegister(ann.ctx, ann.who, user.Register{Name: "x", Platform: user.Web, ID: d.ID})
	want(t, err, errs.NotFound, "taking up a colleague's device")
	_, err = s.users.DeviceTouch(ann.ctx, ann.who, d.ID)
	want(t, err, errs.NotFound, "a token for a colleague's device")
}

func TestARemovedDeviceGetsNothingUntilItRegistersAnew(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	bob := s.join(ann, "bob@a.test", access.Office)
	cid := s.join(ann, "cid@a.test", access.Office)
	d := s.device(bob, "Laptop")

	_, err := s.users.DeviceRemove(cid.ctx, cid.who, d.ID)
	want(t, err, errs.NotFound, "a colleague removes it")
	if _, err := s.users.DeviceTouch(bob.ctx, bob.who, d.ID); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := s.users.DeviceRemove(ann.ctx, ann.who, d.ID); err != nil || got.RemovedAt == nil {
			t.Fatalf("the administrator removes it, also twice: %+v, %v", got, err)
		}
	}
	if s.audited(bob.who.UserID, "device.remove") != 1 {
		t.Error("nobody wrote down who removed it, or twice")
	}
	_, err = s.users.DeviceTouch(bob.ctx, bob.who, d.ID)
	want(t, err, errs.Conflict, "a token for a removed device (R284)")
	if m, err := s.users.DevicesByUsers(ann.ctx, []id.ID{bob.who.UserID}); err != nil || len(m) != 0 {
		t.Errorf("it still rings: %v, %v", m, err)
	}
	// The token of the old identity may live for a day: the new one must not be it (T03).
	anew, err := s.users.DeviceRegister(bob.ctx, bob.who, user.Register{Name: "Laptop", Platform: user.Web, ID: d.ID})
	if err != nil || anew.ID == d.ID || anew.RemovedAt != nil {
		t.Errorf("registered anew as %+v, %v", anew, err)
	}
	if old, err := s.users.Device(bob.ctx, bob.who, d.ID); err != nil || old.RemovedAt == nil {
		t.Errorf("the removed one is %+v, %v", old, err)
	}
}

func TestADeviceIsRefusedWhen(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	deaf := ann.who
	deaf.Permissions = access.SetOf(access.CallMake)
	machine := access.Actor{OrganizationID: ann.who.OrganizationID, APIKeyID: id.New(id.APIKey), Permissions: access.SetOf(access.CallReceive)}
	for name, tc := range map[string]struct {
		why  string
		who  access.Actor
		have user.Register
		want errs.Code
	}{
		"no permission": {"R237", deaf, user.Register{Name: "x", Platform: user.Web}, errs.Forbidden},
		"an API key":    {"machines do not ring", machine, user.Register{Name: "x", Platform: user.Web}, errs.Forbidden},
		"no name":       {"people tell them apart", ann.who, user.Register{Platform: user.Web}, errs.Required},
		"no platform":   {"R066", ann.who, user.Register{Name: "x"}, errs.Invalid},
		"unknown id":    {"identities are ours to give", ann.who, user.Register{Name: "x", Platform: user.Web, ID: id.New(id.Device)}, errs.NotFound},
	} {
		_, err := s.users.DeviceRegister(access.With(t.Context(), tc.who), tc.who, tc.have)
		want(t, err, tc.want, name+": "+tc.why)
	}
	for i := range 20 {
		s.device(ann, fmt.Sprint("device ", i))
	}
	_, err := s.users.DeviceRegister(ann.ctx, ann.who, user.Register{Name: "one more", Platform: user.Web})
	want(t, err, errs.LimitReached, "twenty devices")
}

func TestDevicesAreListedToTheirOwnerAndAdministrators(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	bob := s.join(ann, "bob@a.test", access.Office)
	first := s.device(bob, "first")
	s.clk.Advance(time.Second)
	second := s.device(bob, "second")
	s.clk.Advance(time.Second)
	own := s.device(ann, "own")
	s.clk.Advance(time.Second)
	gone := s.device(bob, "gone")
	if _, err := s.users.DeviceRemove(bob.ctx, bob.who, gone.ID); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		by   *person
		of   id.ID
		want []id.ID
	}{
		"one's own":                 {bob, id.ID{}, []id.ID{second.ID, first.ID}},
		"one's own by id":           {bob, bob.who.UserID, []id.ID{second.ID, first.ID}},
		"all, for an administrator": {ann, id.ID{}, []id.ID{own.ID, second.ID, first.ID}},
		"Bob's, for Ann":            {ann, bob.who.UserID, []id.ID{second.ID, first.ID}},
	} {
		var got []id.ID
		page := db.Page{First: 2}
		for {
			w, err := s.users.Devices(tc.by.ctx, tc.by.who, tc.of, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range w.Nodes {
				got = append(got, d.ID)
			}
			if page.After = w.EndCursor(); !w.HasNext {
				break
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
	_, err := s.users.Devices(bob.ctx, bob.who, ann.who.UserID, db.Page{})
	want(t, err, errs.Forbidden, "a colleague's devices")
	_, err = s.users.Device(bob.ctx, bob.who, own.ID)
	want(t, err, errs.NotFound, "a colleague's device")
}

func TestRoutingReadsPeopleInOneStatement(t *testing.T) {
	t.Parallel()
	s := open(t)
	ann, eve := s.found("Acme", "ann@a.test"), s.found("Evil", "eve@b.test")
	bob := s.join(ann, "bob@a.test", access.Office)
	mute, err := s.roles.Create(ann.ctx, ann.who, access.NewRole{Name: "Mute", Visibility: access.SeesOwn})
	if err != nil {
		t.Fatal(err)
	}
	cid, _ := s.invite(ann, "cid@a.test", mute.ID)
	line := s.number(ann, "+61255500001")
	old := s.device(bob, "old")
	s.clk.Advance(time.Second)
	recent := s.device(bob, "recent")
	gone := s.device(bob, "gone")
	if _, err := s.users.DeviceRemove(bob.ctx, bob.who, gone.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.users.DoNotDisturbSet(bob.ctx, bob.who, user.DoNotDisturb{PhoneNumberID: line, IsOn: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.users.Update(ann.ctx, ann.who, bob.who.UserID, user.Update{Name: patch.To("Bob"), SIPAddress: patch.To("bob@x.test"),
		IsGeneralFieldworker: patch.To(true), Phones: patch.To([]user.PhoneInput{{Number: "0491570157"}, {Number: "0491570156", IsPrimary: true}})}); err != nil {
		t.Fatal(err)
	}
	wanted := []user.Ringable{
		{UserID: cid.ID, Name: "Somebody", Status: user.Invited, DoNotDisturbLines: []id.ID{}, DeviceIDs: []id.ID{}},
		{UserID: bob.who.UserID, Name: "Bob", Status: user.Active, MayReceive: true, DoNotDisturbLines: []id.ID{line},
			DeviceIDs: []id.ID{recent.ID, old.ID}, PrimaryPhone: "+61491570156", SIPAddress: "sip:bob@x.test"},
	}
	ctx, counter := db.CountStatements(ann.ctx)
	err = s.d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		got, err := s.users.Ringable(ctx, tx, []id.ID{cid.ID, eve.who.UserID, bob.who.UserID})
		if diff := cmp.Diff(wanted, got, cmpopts.EquateComparable(id.ID{})); diff != "" {
			t.Error(diff)
		}
		if counter.N() != 1 {
			t.Errorf("%d statements: %v", counter.N(), counter.Statements())
		}
		if err != nil {
			return err
		}
		general, err := s.users.GeneralFieldworkers(ctx, tx)
		if diff := cmp.Diff(wanted[1:], general, cmpopts.EquateComparable(id.ID{})); diff != "" {
			t.Errorf("the general fieldworkers (R024): %s", diff)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestADeviceSaysWhetherItIsReady(t *testing.T) { // R075
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	bob := s.join(ann, "bob@a.test", access.Office)
	d := s.device(bob, "Laptop")
	if !d.IsReady() || d.ReportedAt != nil {
		t.Errorf("what it did not say is taken to be fine: %+v", d)
	}
	events := len(s.told(bob.who.UserID))
	report := func(p *person, in user.Report) error {
		in.ID = d.ID
		_, err := s.users.DeviceReport(p.ctx, p.who, in)
		return err
	}
	s.clk.Advance(time.Minute)
	for range 2 {
		if err := report(bob, user.Report{Microphone: patch.To(user.MicrophoneDenied), Network: patch.To(user.NetworkPoor)}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.users.Device(ann.ctx, ann.who, d.ID)
	if err != nil || got.IsReady() || len(got.NotReady()) != 1 || got.Network != user.NetworkPoor || got.Notifications != user.NotificationsUnknown || !got.ReportedAt.Equal(s.clk.Now()) {
		t.Errorf("%+v, %v", got, err)
	}
	if n := len(s.told(bob.who.UserID)) - events; n != 1 {
		t.Errorf("%d events; saying the same again is none", n)
	}
	if err := report(bob, user.Report{Microphone: patch.Clear[user.Microphone]()}); err != nil {
		t.Fatal(err)
	}
	if got, err = s.users.Device(bob.ctx, bob.who, d.ID); err != nil || !got.IsReady() || got.Network != user.NetworkPoor {
		t.Errorf("absent keeps, null is not said: %+v, %v", got, err)
	}
	want(t, report(ann, user.Report{Network: patch.To(user.NetworkGood)}), errs.NotFound, "a colleague's device")
	want(t, report(bob, user.Report{Network: patch.To(user.Network("X"))}), errs.Invalid, "an unknown word")
	if _, err := s.users.DeviceRemove(bob.ctx, bob.who, d.ID); err != nil {
		t.Fatal(err)
	}
	want(t, report(bob, user.Report{Network: patch.To(user.NetworkGood)}), errs.Conflict, "a removed device")
}

func TestAPushTokenIsSealedIntoItsDevice(t *testing.T) { // R284
	t.Parallel()
	s := open(t)
	ann := s.found("Acme", "ann@a.test")
	const token = "fcm-token-of-this-phone"
	register := func(f patch.Field[string], again id.ID) (*user.Device, error) {
		return s.users.DeviceRegister(ann.ctx, ann.who, user.Register{Name: "Phone", Platform: user.Android, PushToken: f, ID: again})
	}
	d, err := register(patch.To(token), id.ID{})
	if err != nil || !d.HasPushToken() || bytes.Contains(d.PushSealed, []byte(token)) {
		t.Fatalf("%+v, %v", d, err)
	}
	if plain, err := s.keys.Open(d.PushSealed, ann.who.OrganizationID.String(), "device.push_sealed "+d.ID.String()); err != nil || string(plain) != token {
		t.Errorf("%q, %v", plain, err)
	}
	if _, err := s.keys.Open(d.PushSealed, ann.who.OrganizationID.String(), "device.push_sealed "+id.New(id.Device).String()); err == nil {
		t.Error("it opens for another device")
	}
	if d, err = register(patch.Field[string]{}, d.ID); err != nil || !d.HasPushToken() {
		t.Errorf("absent keeps: %v", err)
	}
	if d, err = s.users.DeviceReport(ann.ctx, ann.who, user.Report{ID: d.ID, PushToken: patch.Clear[string]()}); err != nil || d.HasPushToken() {
		t.Errorf("null clears: %v", err)
	}
	if d, err = s.users.DeviceReport(ann.ctx, ann.who, user.Report{ID: d.ID, PushToken: patch.To(strings.Repeat("x", 4096))}); err != nil || !d.HasPushToken() {
		t.Errorf("4 KiB: %v", err)
	}
	_, err = s.users.DeviceReport(ann.ctx, ann.who, user.Report{ID: d.ID, PushToken: patch.To(strings.Repeat("x", 4097))})
	want(t, err, errs.Invalid, "more than 4 KiB")
	_, err = register(patch.To("\xff"), id.ID{})
	want(t, err, errs.Invalid, "no text")
	if d, err = s.users.DeviceRemove(ann.ctx, ann.who, d.ID); err != nil || d.HasPushToken() {
		t.Errorf("a removed device keeps its secret: %v", err)
	}
}
