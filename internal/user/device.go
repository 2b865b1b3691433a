package user

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
)

const (
	maxDevices    = 20 // that ring, per person
	maxDeviceName = 60
	maxPushToken  = 4 << 10 // bytes
)

var errNoDevice = errs.New(errs.NotFound, "there is no such device")

// Register is a device that wants to receive calls.
type Register struct {
	Name     string
	Platform Platform
	ID       id.ID // of a device registered before, to take up again; may be zero
	// PushToken wakes a mobile device; absent keeps the one it has.
	PushToken patch.Field[string]
}

// DeviceRegister registers a device of the actor. With the id of one that is
// registered it is idempotent. One that was removed gets a new identity: the
// tokens of the old one stay worthless (R284). It needs CALL_RECEIVE (R237).
func (s *Service) DeviceRegister(ctx context.Context, who access.Actor, in Register) (d *Device, err error) {
	defer errs.Wrap(&err, "user.DeviceRegister")
	if err := isPerson(who); err != nil {
		return nil, err
	}
	name := strings.TrimSpace(in.Name)
	switch {
	case name == "":
		return nil, errs.New(errs.Required, "a device needs a name").At("name")
	case !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxDeviceName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }):
		return nil, errs.New(errs.Invalid, "a device's name is a text of %d characters at most", maxDeviceName).At("name")
	}
	if in.Platform != Web && in.Platform != IOS && in.Platform != Android {
		return nil, errs.New(errs.Invalid, "a device runs on WEB, IOS or ANDROID").At("platform")
	}
	if err := checkPushToken(in.PushToken); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := lockUser(ctx, tx, who.OrganizationID, who.UserID)
		if err != nil {
			return err
		}
		if !in.ID.IsZero() {
			old, err := lockDevice(ctx, tx, who.OrganizationID, in.ID)
			if err != nil {
				return err
			}
			if old.UserID != who.UserID {
				return errNoDevice
			}
			if old.RemovedAt == nil {
				d = old
				d.Name, d.Platform, d.LastSeenAt = name, in.Platform, tx.Now
				if err := s.keepPushToken(d, in.PushToken); err != nil {
					return err
				}
				return updateDevice(ctx, tx, d)
			}
		}
		if n, err := countDevices(ctx, tx, who.OrganizationID, who.UserID); err != nil {
			return err
		} else if n >= maxDevices {
			return errs.New(errs.LimitReached, "you have %d devices, which is the most; remove one first", n)
		}
		d = &Device{OrganizationID: who.OrganizationID, ID: id.New(id.Device), UserID: who.UserID, Name: name, Platform: in.Platform,
			RegisteredAt: tx.Now, LastSeenAt: tx.Now, CreatedAt: tx.Now,
			Microphone: MicrophoneUnknown, Notifications: NotificationsUnknown, Network: NetworkUnknown}
		if err := s.keepPushToken(d, in.PushToken); err != nil {
			return err
		}
		if err := insertDevice(ctx, tx, d); err != nil {
			return err
		}
		return s.deviceChanged(ctx, tx, who, u, d, "device.register")
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// DeviceTouch notes that a device of the actor was seen, before it gets a new
// token. A removed device is an errs.Conflict: it must register anew (R284). It
// needs CALL_RECEIVE.
func (s *Service) DeviceTouch(ctx context.Context, who access.Actor, device id.ID) (d *Device, err error) {
	defer errs.Wrap(&err, "user.DeviceTouch(%s)", device)
	if err := isPerson(who); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if d, err = lockDevice(ctx, tx, who.OrganizationID, device); err != nil {
			return err
		}
		if d.UserID != who.UserID {
			return errNoDevice
		}
		if d.RemovedAt != nil {
			return errs.New(errs.Conflict, "this device was removed; register it anew")
		}
		d.LastSeenAt = tx.Now
		return updateDevice(ctx, tx, d)
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Report is what a device says of itself: absent keeps, null is "not said".
type Report struct {
	ID            id.ID
	Microphone    patch.Field[Microphone]
	Notifications patch.Field[Notifications]
	Network       patch.Field[Network]
	PushToken     patch.Field[string] // null: it can no longer be woken
}

// DeviceReport notes what a device of the actor says of itself (R075). One that
// is not ready is not rung. The world is told when that changes. Codes:
// errs.Forbidden, errs.NotFound, errs.Invalid, errs.Conflict for a removed device.
func (s *Service) DeviceReport(ctx context.Context, who access.Actor, in Report) (d *Device, err error) {
	defer errs.Wrap(&err, "user.DeviceReport(%s)", in.ID)
	if !who.Known() {
		return nil, who.Require("")
	}
	if err := checkPushToken(in.PushToken); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		// The user's row first, as in DeviceRegister: one order of locks.
		if who.UserID.IsZero() {
			return errNoDevice
		}
		u, err := lockUser(ctx, tx, who.OrganizationID, who.UserID)
		if err != nil {
			return err
		}
		if d, err = lockDevice(ctx, tx, who.OrganizationID, in.ID); err != nil {
			return err
		}
		if d.UserID != who.UserID {
			return errNoDevice
		}
		if d.RemovedAt != nil {
			return errs.New(errs.Conflict, "this device was removed; register it anew")
		}
		before := d.condition()
		for _, err := range []error{
			say(in.Microphone, &d.Microphone, MicrophoneUnknown, "microphone", MicrophoneGranted, MicrophoneDenied, MicrophoneMissing),
			say(in.Notifications, &d.Notifications, NotificationsUnknown, "notifications", NotificationsGranted, NotificationsDenied),
			say(in.Network, &d.Network, NetworkUnknown, "network", NetworkGood, NetworkPoor, NetworkOffline),
			s.keepPushToken(d, in.PushToken),
		} {
			if err != nil {
				return err
			}
		}
		d.LastSeenAt, d.ReportedAt = tx.Now, &tx.Now
		if err := updateDevice(ctx, tx, d); err != nil || d.condition() == before {
			return err
		}
		u.Version, u.UpdatedAt = u.Version+1, tx.Now
		if err := updateUser(ctx, tx, u); err != nil {
			return err
		}
		return tell(ctx, tx, who, u)
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// condition is what of a device others go by: why it is not ready, and whether it
// can be woken.
func (d *Device) condition() string {
	return strings.Join(append(d.NotReady(), strconv.FormatBool(d.HasPushToken())), "\n")
}

// say applies one of some words; null is the word for "not said".
func say[T ~string](f patch.Field[T], dst *T, unknown T, field string, words ...T) error {
	switch {
	case !f.Set:
	case f.Null:
		*dst = unknown
	case f.Value != unknown && !slices.Contains(words, f.Value):
		return errs.New(errs.Invalid, "%q is not a state of the %s", string(f.Value), field).At(field)
	default:
		*dst = f.Value
	}
	return nil
}

func checkPushToken(f patch.Field[string]) error {
	if len(f.Value) > maxPushToken || !utf8.ValidString(f.Value) {
		return errs.New(errs.Invalid, "a push token is a text of %d bytes at most; send the one that the phone gave", maxPushToken).At("pushToken")
	}
	return nil
}

// keepPushToken seals a push token into its device: it opens for no other.
func (s *Service) keepPushToken(d *Device, f patch.Field[string]) (err error) {
	switch {
	case !f.Set:
		return nil
	case f.Null || f.Value == "":
		d.PushSealed = nil
		return nil
	}
	d.PushSealed, err = s.d.Keys.Seal([]byte(f.Value), d.OrganizationID.String(), pushColumn(d.ID))
	return err
}

// PushToken is the token that wakes a device; "" when it has none.
func (s *Service) PushToken(d *Device) (string, error) {
	if !d.HasPushToken() {
		return "", nil
	}
	token, err := s.d.Keys.Open(d.PushSealed, d.OrganizationID.String(), pushColumn(d.ID))
	return string(token), err
}

// pushColumn is the associated data of a device's push token.
func pushColumn(device id.ID) string { return "device.push_sealed " + device.String() }

// isPerson lets in people whose role lets them be rung.
func isPerson(who access.Actor) error {
	if err := who.Require(access.CallReceive); err != nil {
		return err
	}
	if who.UserID.IsZero() {
		return errs.New(errs.Forbidden, "an API key has no devices; sign in as a person")
	}
	return nil
}

// DeviceRemove takes a device away: it rings no more and gets no token (R067,
// R284). It is idempotent. People remove their own; another's needs USER_MANAGE.
func (s *Service) DeviceRemove(ctx context.Context, who access.Actor, device id.ID) (d *Device, err error) {
	defer errs.Wrap(&err, "user.DeviceRemove(%s)", device)
	if !who.Known() {
		return nil, who.Require("")
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		owner, err := deviceByID(ctx, tx, who.OrganizationID, device)
		if err != nil {
			return err
		}
		if !MayReadPrivate(who, owner.UserID) {
			return errNoDevice
		}
		// The user's row first, as in DeviceRegister: one order of locks.
		u, err := lockUser(ctx, tx, who.OrganizationID, owner.UserID)
		if err != nil {
			return err
		}
		if d, err = lockDevice(ctx, tx, who.OrganizationID, device); err != nil || d.RemovedAt != nil {
			return err
		}
		d.RemovedAt, d.PushSealed = &tx.Now, nil
		if err := updateDevice(ctx, tx, d); err != nil {
			return err
		}
		return s.deviceChanged(ctx, tx, who, u, d, "device.remove")
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (s *Service) deviceChanged(ctx context.Context, tx *db.Tx, who access.Actor, u *User, d *Device, action string) error {
	u.Version, u.UpdatedAt = u.Version+1, tx.Now
	if err := updateUser(ctx, tx, u); err != nil {
		return err
	}
	return s.record(ctx, tx, who, u, action, map[string]any{"device": d.ID.String(), "platform": d.Platform})
}

// Device gives one device to its owner and to those with USER_MANAGE.
func (s *Service) Device(ctx context.Context, who access.Actor, device id.ID) (_ *Device, err error) {
	defer errs.Wrap(&err, "user.Device(%s)", device)
	if !who.Known() {
		return nil, who.Require("")
	}
	d, err := deviceByID(ctx, s.d.DB.App(), who.OrganizationID, device)
	if err != nil {
		return nil, err
	}
	if !MayReadPrivate(who, d.UserID) {
		return nil, errNoDevice
	}
	return d, nil
}

// Devices lists the devices that may ring, newest first: those of a user, or,
// for the zero user, the actor's own or everybody's with USER_MANAGE (R065, R284).
func (s *Service) Devices(ctx context.Context, who access.Actor, user id.ID, page db.Page) (_ db.Window[*Device], err error) {
	defer errs.Wrap(&err, "user.Devices(%s)", user)
	if !who.Known() {
		return db.Window[*Device]{}, who.Require("")
	}
	if user.IsZero() && !who.Can(access.UserManage) {
		user = who.UserID
	}
	if !MayReadPrivate(who, user) {
		return db.Window[*Device]{}, who.Require(access.UserManage)
	}
	limit, after, err := page.Keyset()
	if err != nil {
		return db.Window[*Device]{}, err
	}
	rows, err := listDevices(ctx, s.d.DB.App(), who.OrganizationID, user, after, limit+1)
	if err != nil {
		return db.Window[*Device]{}, err
	}
	return db.NewWindow(rows, limit, func(d *Device) db.Keyset { return db.Keyset{At: d.RegisteredAt, ID: d.ID} }), nil
}

// DevicesByIDs gives the devices that exist, in no order, for the loaders. Who
// may see them is asked by MayReadPrivate.
func (s *Service) DevicesByIDs(ctx context.Context, ids []id.ID) ([]*Device, error) {
	return devicesByIDs(ctx, s.d.DB.App(), db.TenantFrom(ctx), ids)
}

// DevicesByUsers gives the devices that may ring, most recently seen first.
func (s *Service) DevicesByUsers(ctx context.Context, users []id.ID) (map[id.ID][]*Device, error) {
	rows, err := devicesOf(ctx, s.d.DB.App(), db.TenantFrom(ctx), users)
	if err != nil {
		return nil, err
	}
	out := map[id.ID][]*Device{}
	for _, d := range rows {
		out[d.UserID] = append(out[d.UserID], d)
	}
	return out, nil
}
