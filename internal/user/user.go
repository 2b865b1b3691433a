// Package user is the people of an organization: who they are, their phones and
// devices, and when they do not want to be disturbed. How they sign in is
// package session's; which branch and number is theirs, package number's.
//
// The invariant: nobody raises themselves, and an organization always has an
// administrator who may sign in.
package user

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// Status is where a membership stands.
type Status string

// The statuses.
const (
	Invited  Status = "INVITED"  // the invitation is not accepted yet
	Active   Status = "ACTIVE"   // may sign in
	Disabled Status = "DISABLED" // switched off; the history stays
)

// User is a person: a login's membership in one organization.
type User struct {
	bun.BaseModel `bun:"table:user,alias:u"`

	OrganizationID       id.ID  `bun:"organization_id,pk,type:uuid"`
	ID                   id.ID  `bun:"id,pk,type:uuid"`
	LoginID              id.ID  `bun:"login_id,type:uuid"`
	Email                string `bun:"email"` // for those of MayReadPrivate
	Name                 string `bun:"name"`
	RoleID               id.ID  `bun:"role_id,type:uuid"`
	Status               Status `bun:"status"`
	IsFieldworker        bool   `bun:"is_fieldworker"`
	IsGeneralFieldworker bool   `bun:"is_general_fieldworker"` // R024
	// Switched are the fieldworker's options that stand otherwise than by default (R233).
	Switched             []access.FieldworkerOption `bun:"fieldworker_switched,array"`
	DoNotDisturb         bool                       `bun:"do_not_disturb"`
	Extension            *string                    `bun:"extension"`
	SIPAddress           *string                    `bun:"sip_address"`
	DisplayNotifications bool                       `bun:"display_notifications"`
	SilentNotifications  bool                       `bun:"silent_notifications"`
	InternalClickToCall  bool                       `bun:"internal_click_to_call"` // R088
	SIPDomainID          id.ID                      `bun:"sip_domain_id,type:uuid,nullzero"`
	Version              int                        `bun:"version"`
	CreatedAt            time.Time                  `bun:"created_at"`
	UpdatedAt            time.Time                  `bun:"updated_at"`
}

// RestrictBeforeStart reports whether the option of that name is on (R242).
func (u *User) RestrictBeforeStart() bool {
	r, _ := access.RestrictBeforeStart.Rule()
	return r.IsOn(u.Switched)
}

// Options are the options of the second layer as they stand for the person, whose
// role this is (R233).
func (u *User) Options(role *access.Role) []access.OptionState {
	return access.OptionStates(u.IsFieldworker, role, u.Switched)
}

// Warnings are what an administrator should know of the person's settings, whose role
// this is (R249): the way through the company is closed to a fieldworker who sees
// customers' numbers.
func (u *User) Warnings(role *access.Role) []string {
	out := []string{}
	who := access.Actor{OrganizationID: u.OrganizationID, UserID: u.ID, Permissions: access.SetOf(role.Permissions...), Visibility: role.Visibility,
		IsFieldworker: u.IsFieldworker, Switched: u.Switched}
	if !u.IsFieldworker || !who.Can(access.ContactView) || who.HidesContactDetails() {
		return out
	}
	for _, x := range []struct {
		needs access.Permission
		verb  string
	}{{access.CallMake, "call"}, {access.SMSSend, "write to"}} {
		if !who.Can(x.needs) {
			out = append(out, u.Name+" sees customers' phone numbers but may not "+x.verb+" them through the company: from a personal phone it shows their own number, "+
				"and is neither logged nor recorded nor masked; switch "+string(access.DisplayContactDetails)+" off, or allow it in the app")
		}
	}
	return out
}

// MayReadPrivate reports whether the actor may read the e-mail and the phones of
// the user: their own, or anybody's with USER_MANAGE.
func MayReadPrivate(who access.Actor, user id.ID) bool {
	return who.Can(access.UserManage) || (!user.IsZero() && who.Known() && who.UserID == user)
}

// Phone is a phone of a person (R040, R288).
type Phone struct {
	bun.BaseModel `bun:"table:user_phone,alias:user_phone"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	UserID         id.ID      `bun:"user_id,type:uuid"`
	Label          string     `bun:"label"`
	E164           phone.E164 `bun:"e164"`
	IsPrimary      bool       `bun:"is_primary"`
	CreatedAt      time.Time  `bun:"created_at"`
}

// Platform is where a device runs (R064).
type Platform string

// The platforms.
const (
	Web     Platform = "WEB"
	IOS     Platform = "IOS"
	Android Platform = "ANDROID"
)

// Device is one that may receive calls (R065, R066). Its id is its client
// identity at Twilio (T03).
type Device struct {
	bun.BaseModel `bun:"table:device,alias:device"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	UserID         id.ID      `bun:"user_id,type:uuid"`
	Name           string     `bun:"name"`
	Platform       Platform   `bun:"platform"`
	RegisteredAt   time.Time  `bun:"registered_at"`
	LastSeenAt     time.Time  `bun:"last_seen_at"`
	RemovedAt      *time.Time `bun:"removed_at"` // nil while it rings
	CreatedAt      time.Time  `bun:"created_at"`

	Microphone    Microphone    `bun:"microphone"` // R075
	Notifications Notifications `bun:"notifications"`
	Network       Network       `bun:"network"`
	ReportedAt    *time.Time    `bun:"reported_at"`
	PushSealed    []byte        `bun:"push_sealed"` // the push token, sealed
}

// Microphone is a device's microphone, as it said itself (R075).
type Microphone string

// The states.
const (
	MicrophoneUnknown Microphone = "UNKNOWN"
	MicrophoneGranted Microphone = "GRANTED"
	MicrophoneDenied  Microphone = "DENIED"
	MicrophoneMissing Microphone = "MISSING"
)

// Notifications are a device's notifications, as it said itself (R075).
type Notifications string

// The states.
const (
	NotificationsUnknown Notifications = "UNKNOWN"
	NotificationsGranted Notifications = "GRANTED"
	NotificationsDenied  Notifications = "DENIED"
)

// Network is a device's network, as it said itself (R273, R275).
type Network string

// The states.
const (
	NetworkUnknown Network = "UNKNOWN"
	NetworkGood    Network = "GOOD"
	NetworkPoor    Network = "POOR"
	NetworkOffline Network = "OFFLINE"
)

// HasPushToken reports whether the device can be woken by push.
func (d *Device) HasPushToken() bool { return len(d.PushSealed) > 0 }

// IsReady reports whether the device can ring (R075).
func (d *Device) IsReady() bool { return len(d.NotReady()) == 0 }

// NotReady says why the device cannot ring and what to do; what it did not say is
// taken to be fine.
func (d *Device) NotReady() []string {
	out := []string{}
	switch d.Microphone {
	case MicrophoneDenied:
		out = append(out, "the microphone is refused: allow it in the settings of the browser or phone")
	case MicrophoneMissing:
		out = append(out, "there is no microphone: connect one")
	}
	if d.Notifications == NotificationsDenied && d.Platform != Web {
		out = append(out, "notifications are refused: allow them, or calls cannot wake the app")
	}
	if d.Network == NetworkOffline {
		out = append(out, "the network does not reach Twilio: look at firewall and VPN")
	}
	return out
}
