package user

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/secret"
	"switchboard/internal/session"
	"switchboard/internal/tenant"
)

// Branches is what users need of branches, which come later in the house.
type Branches interface {
	// SetForUser makes these all the branches of the user; one that does not
	// exist is an errs.NotFound.
	SetForUser(ctx context.Context, tx *db.Tx, user id.ID, branches []id.ID) error
	// ForUsers gives the branches of each user.
	ForUsers(ctx context.Context, users []id.ID) (map[id.ID][]id.ID, error)
}

// Lines is what users need of phone numbers.
type Lines interface {
	// AssignToUser makes the number the user's own (R041); the zero number takes
	// it away. A number that another user holds is refused (D19).
	AssignToUser(ctx context.Context, tx *db.Tx, user, number id.ID) error
}

// Deps are what users need.
type Deps struct {
	DB       *db.DB
	Keys     *secret.Keyring // seals the push tokens of devices
	Sessions *session.Service
	Branches Branches
	Lines    Lines
}

// Service is the people of an organization.
type Service struct{ d Deps }

// New makes a Service.
func New(d Deps) *Service { return &Service{d} }

// Create is a new person.
type Create struct {
	Email                string
	Name                 string
	RoleID               id.ID
	BranchIDs            []id.ID
	Phones               []PhoneInput
	IsFieldworker        patch.Field[bool] // absent: as the role says
	IsGeneralFieldworker bool
}

// Create invites a person. The role must lie within the actor's own. Somebody
// who is invited here already is invited anew, with what is given now; somebody
// who has accepted is an errs.Taken. Whether the e-mail is known to another
// organization makes no difference. It needs USER_MANAGE.
func (s *Service) Create(ctx context.Context, who access.Actor, in Create) (u *User, inv session.Invitation, err error) {
	defer errs.Wrap(&err, "user.Create")
	if err := who.Require(access.UserManage); err != nil {
		return nil, inv, err
	}
	if err := s.mayGiveBranches(who, in.BranchIDs, nil); err != nil {
		return nil, inv, err
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, inv, err = s.invite(ctx, tx, who, in)
		return err
	})
	if err != nil {
		return nil, session.Invitation{}, err
	}
	return u, inv, nil
}

// InviteFirst invites the first administrator of a new organization, the
// context's tenant, in the transaction that makes it.
func (s *Service) InviteFirst(ctx context.Context, tx *db.Tx, role id.ID, email, name string) (_ tenant.First, err error) {
	defer errs.Wrap(&err, "user.InviteFirst")
	u, inv, err := s.invite(ctx, tx, access.System(db.TenantFrom(ctx)), Create{Email: email, Name: name, RoleID: role})
	if err != nil {
		return tenant.First{}, err
	}
	return tenant.First{UserID: u.ID, Token: inv.Token, ExpiresAt: inv.ExpiresAt}, nil
}

func (s *Service) invite(ctx context.Context, tx *db.Tx, who access.Actor, in Create) (_ *User, inv session.Invitation, err error) {
	email, err := session.CanonicalEmail(in.Email)
	if err != nil {
		return nil, inv, err
	}
	name, err := personName(in.Name)
	if err != nil {
		return nil, inv, err
	}
	role, err := s.roleToGive(ctx, tx, who, in.RoleID)
	if err != nil {
		return nil, inv, err
	}
	login, err := s.d.Sessions.EnsureLogin(ctx, tx, email)
	if err != nil {
		return nil, inv, err
	}
	u, err := byLogin(ctx, tx, who.OrganizationID, login)
	if err != nil {
		return nil, inv, err
	}
	isNew := u == nil
	switch {
	case isNew:
		u = &User{OrganizationID: who.OrganizationID, ID: id.New(id.User), LoginID: login, Email: email, Status: Invited,
			DisplayNotifications: true, InternalClickToCall: true, Switched: []access.FieldworkerOption{}, CreatedAt: tx.Now}
	case u.Status != Invited:
		return nil, inv, errs.New(errs.Taken, "a person with this e-mail is here already").At("email")
	default:
		if _, err := s.roleToGive(ctx, tx, who, u.RoleID); err != nil {
			return nil, inv, err
		}
	}
	u.Name, u.RoleID, u.IsGeneralFieldworker = name, role.ID, in.IsGeneralFieldworker
	u.IsFieldworker = role.Is(access.Fieldworker)
	if in.IsFieldworker.Has() {
		u.IsFieldworker = in.IsFieldworker.Value
	}
	u.Version, u.UpdatedAt = u.Version+1, tx.Now
	if isNew {
		err = insertUser(ctx, tx, u)
	} else {
		err = updateUser(ctx, tx, u)
	}
	if err != nil {
		return nil, inv, err
	}
	if len(in.Phones) > 0 || !isNew {
		if err := s.setPhones(ctx, tx, u, in.Phones); err != nil {
			return nil, inv, err
		}
	}
	if len(in.BranchIDs) > 0 || !isNew {
		if err := s.d.Branches.SetForUser(ctx, tx, u.ID, in.BranchIDs); err != nil {
			return nil, inv, err
		}
	}
	if inv, err = s.d.Sessions.Invite(ctx, tx, u.ID); err != nil {
		return nil, inv, err
	}
	return u, inv, s.record(ctx, tx, who, u, "user.create", map[string]any{"role": role.ID.String()})
}

// Update is what changes about a person.
type Update struct {
	Name                 patch.Field[string]
	RoleID               patch.Field[id.ID]
	BranchIDs            patch.Field[[]id.ID]      // all of them
	Phones               patch.Field[[]PhoneInput] // all of them
	IsFieldworker        patch.Field[bool]
	IsGeneralFieldworker patch.Field[bool]
	RestrictBeforeStart  patch.Field[bool]
	Options              []access.Switch // those left out keep (R233)
	InboundPhoneNumberID patch.Field[id.ID]
	Extension            patch.Field[string]
	SIPAddress           patch.Field[string]
	DisplayNotifications patch.Field[bool]
	SilentNotifications  patch.Field[bool]
	InternalClickToCall  patch.Field[bool]  // R088
	SIPDomainID          patch.Field[id.ID] // R257
}

// isOwn reports whether people may change this about themselves (R252).
func (in Update) isOwn() bool {
	return !in.RoleID.Set && !in.BranchIDs.Set && !in.IsFieldworker.Set && !in.IsGeneralFieldworker.Set &&
		!in.RestrictBeforeStart.Set && len(in.Options) == 0 && !in.InboundPhoneNumberID.Set && !in.Extension.Set && !in.SIPAddress.Set && !in.SIPDomainID.Set
}

// Update changes a person. People change their own name, phones, notifications
// and click-to-call; everything else needs USER_MANAGE (R252). Nobody changes their
// own role, or somebody whose role is wider than their own, and the last
// administrator stays one.
func (s *Service) Update(ctx context.Context, who access.Actor, user id.ID, in Update) (u *User, err error) {
	defer errs.Wrap(&err, "user.Update(%s)", user)
	if err := mayChange(who, user, in); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if in.RoleID.Set {
			// Before the user's row, as in Disable: one order of locks.
			if _, err := access.LockAdmin(ctx, tx); err != nil {
				return err
			}
		}
		if u, err = lockUser(ctx, tx, who.OrganizationID, user); err != nil {
			return err
		}
		if user != who.UserID { // whose phone a line rings, the calls go to
			if _, err := s.roleToGive(ctx, tx, who, u.RoleID); errs.IsCode(err, errs.Forbidden) {
				return errs.New(errs.Forbidden, "you cannot change somebody whose role is wider than your own").Because(err)
			} else if err != nil {
				return err
			}
		}
		if err := s.apply(ctx, tx, who, u, in); err != nil {
			return err
		}
		u.Version, u.UpdatedAt = u.Version+1, tx.Now
		if err := updateUser(ctx, tx, u); err != nil {
			return err
		}
		tx.AfterCommit(s.d.Sessions.Live().Check)
		return s.record(ctx, tx, who, u, "user.update", in.mentioned())
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

func mayChange(who access.Actor, user id.ID, in Update) error {
	if !who.Known() {
		return who.Require(access.UserManage)
	}
	isSelf := !who.UserID.IsZero() && who.UserID == user
	if !isSelf || !in.isOwn() {
		if err := who.Require(access.UserManage); err != nil {
			return err
		}
	}
	if isSelf && in.RoleID.Set {
		return errs.New(errs.Forbidden, "you cannot change your own role; another administrator can").At("roleId")
	}
	return nil
}

func (s *Service) apply(ctx context.Context, tx *db.Tx, who access.Actor, u *User, in Update) (err error) {
	if in.Name.Set {
		if u.Name, err = personName(in.Name.Value); err != nil {
			return err
		}
	}
	if in.RoleID.Set {
		if err := s.changeRole(ctx, tx, who, u, in.RoleID.Value); err != nil {
			return err
		}
	}
	if in.BranchIDs.Set {
		have, err := branchesOf(ctx, tx, u.OrganizationID, u.ID)
		if err != nil {
			return err
		}
		if err := s.mayGiveBranches(who, in.BranchIDs.Value, have); err != nil {
			return err
		}
		if err := s.d.Branches.SetForUser(ctx, tx, u.ID, in.BranchIDs.Value); err != nil {
			return err
		}
	}
	if in.Phones.Set {
		if err := s.setPhones(ctx, tx, u, in.Phones.Value); err != nil {
			return err
		}
	}
	if in.InboundPhoneNumberID.Set {
		if err := s.assignLine(ctx, tx, u, in.InboundPhoneNumberID.Value); err != nil {
			return err
		}
	}
	if err := optional(in.Extension, &u.Extension, extension); err != nil {
		return err
	}
	if err := optional(in.SIPAddress, &u.SIPAddress, sipAddress); err != nil {
		return err
	}
	if in.SIPDomainID.Set {
		if err := sipDomain(ctx, tx, u, in.SIPDomainID.Value); err != nil {
			return err
		}
	}
	in.IsFieldworker.Apply(&u.IsFieldworker)
	in.IsGeneralFieldworker.Apply(&u.IsGeneralFieldworker)
	switches := in.Options
	if in.RestrictBeforeStart.Set {
		switches = append(slices.Clone(switches), access.Switch{Option: access.RestrictBeforeStart, IsOn: in.RestrictBeforeStart.Value})
	}
	if len(switches) > 0 {
		if u.Switched, err = access.SwitchOptions(u.Switched, switches); err != nil {
			return err
		}
	}
	in.DisplayNotifications.Apply(&u.DisplayNotifications)
	in.SilentNotifications.Apply(&u.SilentNotifications)
	if in.InternalClickToCall.Set { // on unless told
		u.InternalClickToCall = in.InternalClickToCall.Null || in.InternalClickToCall.Value
	}
	return nil
}

func (s *Service) changeRole(ctx context.Context, tx *db.Tx, who access.Actor, u *User, to id.ID) error {
	from, err := s.roleToGive(ctx, tx, who, u.RoleID)
	if err != nil {
		return err
	}
	role, err := s.roleToGive(ctx, tx, who, to)
	if err != nil {
		return err
	}
	if from.Is(access.Admin) && !role.Is(access.Admin) {
		if err := notTheLastAdmin(ctx, tx, u); err != nil {
			return err
		}
	}
	u.RoleID = role.ID
	return nil
}

// roleToGive reads a role that the actor may give and take.
func (s *Service) roleToGive(ctx context.Context, tx *db.Tx, who access.Actor, role id.ID) (*access.Role, error) {
	r, err := access.RoleByID(ctx, tx, role)
	if errs.IsCode(err, errs.NotFound) {
		return nil, errs.New(errs.NotFound, "there is no such role").At("roleId")
	}
	if err != nil {
		return nil, err
	}
	return r, who.Within(r.Permissions, r.Visibility)
}

// mayGiveBranches keeps those who see only their branches from giving others,
// to themselves not least.
func (s *Service) mayGiveBranches(who access.Actor, give, have []id.ID) error {
	if who.SeesAll() {
		return nil
	}
	for _, b := range give {
		if !who.InBranch(b) && !slices.Contains(have, b) {
			return errs.New(errs.Forbidden, "you can give only branches that are your own").At("branchIds")
		}
	}
	return nil
}

// assignLine makes a number the user's own, layer 4 of LAYERED routing. That
// layer rings the user's phone, so there must be one (R037).
func (s *Service) assignLine(ctx context.Context, tx *db.Tx, u *User, number id.ID) error {
	if !number.IsZero() {
		phones, err := phonesOf(ctx, tx, u.OrganizationID, []id.ID{u.ID})
		if err != nil {
			return err
		}
		if len(phones) == 0 {
			return errs.New(errs.Invalid, "calls to this number would go to the person's phone, and they have none; add one first").At("inboundPhoneNumberId")
		}
	}
	return s.d.Lines.AssignToUser(ctx, tx, u.ID, number)
}

// sipDomain makes a SIP domain the user's VoIP server (R257): one that the
// organization uses (R255).
func sipDomain(ctx context.Context, tx *db.Tx, u *User, domain id.ID) error {
	if !domain.IsZero() {
		if err := domain.Want(id.SIPDomain); err != nil {
			return errs.New(errs.Invalid, "%s", err).At("sipDomainId")
		}
		enabled, err := sipDomainIsEnabled(ctx, tx, u.OrganizationID, domain)
		if err != nil {
			return err
		}
		if !enabled {
			return errs.New(errs.NotFound, "there is no such SIP domain among those that are enabled; enable it first").At("sipDomainId")
		}
	}
	u.SIPDomainID = domain
	return nil
}

// notTheLastAdmin holds while the role ADMIN is locked.
func notTheLastAdmin(ctx context.Context, tx *db.Tx, u *User) error {
	if u.Status != Active {
		return nil
	}
	if other, err := otherAdmin(ctx, tx, u.OrganizationID, u.ID); err != nil {
		return err
	} else if !other {
		return errs.New(errs.Conflict, "this is the last administrator who may sign in; make another one first")
	}
	return nil
}

// Disable switches a person off: their sessions and sockets end at once, their
// history stays. It is idempotent. Nobody disables themselves, and the last
// administrator stays. It needs USER_MANAGE.
func (s *Service) Disable(ctx context.Context, who access.Actor, user id.ID) (u *User, err error) {
	defer errs.Wrap(&err, "user.Disable(%s)", user)
	if err := who.Require(access.UserManage); err != nil {
		return nil, err
	}
	if user == who.UserID {
		return nil, errs.New(errs.Forbidden, "you cannot disable yourself; another administrator can")
	}
	return s.changeStatus(ctx, who, user, "user.disable", func(ctx context.Context, tx *db.Tx, u *User, role *access.Role) error {
		if u.Status == Disabled {
			return nil
		}
		if role.Is(access.Admin) {
			if err := notTheLastAdmin(ctx, tx, u); err != nil {
				return err
			}
		}
		u.Status = Disabled
		_, err := s.d.Sessions.EndOfUser(ctx, tx, u.ID, session.UserDisabled)
		return err
	})
}

// Enable switches a disabled person on again. It is idempotent. It needs USER_MANAGE.
func (s *Service) Enable(ctx context.Context, who access.Actor, user id.ID) (u *User, err error) {
	defer errs.Wrap(&err, "user.Enable(%s)", user)
	if err := who.Require(access.UserManage); err != nil {
		return nil, err
	}
	return s.changeStatus(ctx, who, user, "user.enable", func(ctx context.Context, tx *db.Tx, u *User, _ *access.Role) error {
		if u.Status != Disabled {
			return nil
		}
		u.Status = Invited
		if accepted, err := s.d.Sessions.HasAccepted(ctx, tx, u.ID); err != nil {
			return err
		} else if accepted {
			u.Status = Active
		}
		return nil
	})
}

func (s *Service) changeStatus(ctx context.Context, who access.Actor, user id.ID, action string,
	change func(context.Context, *db.Tx, *User, *access.Role) error) (u *User, err error) {
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := access.LockAdmin(ctx, tx); err != nil {
			return err
		}
		if u, err = lockUser(ctx, tx, who.OrganizationID, user); err != nil {
			return err
		}
		role, err := s.roleToGive(ctx, tx, who, u.RoleID)
		if err != nil {
			return err
		}
		before := u.Status
		if err := change(ctx, tx, u, role); err != nil || u.Status == before {
			return err
		}
		u.Version, u.UpdatedAt = u.Version+1, tx.Now
		if err := updateUser(ctx, tx, u); err != nil {
			return err
		}
		return s.record(ctx, tx, who, u, action, nil)
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// DoNotDisturb is a switch of R072.
type DoNotDisturb struct {
	UserID        id.ID // zero: yourself
	PhoneNumberID id.ID // zero: every line
	IsOn          bool
}

// DoNotDisturbSet sets do not disturb for every line or for one. People set
// their own; another's needs USER_MANAGE.
func (s *Service) DoNotDisturbSet(ctx context.Context, who access.Actor, in DoNotDisturb) (u *User, err error) {
	defer errs.Wrap(&err, "user.DoNotDisturbSet(%s)", in.UserID)
	if !who.Known() {
		return nil, who.Require(access.UserManage)
	}
	if in.UserID.IsZero() {
		in.UserID = who.UserID
	}
	if in.UserID.IsZero() {
		return nil, errs.New(errs.Required, "an API key is nobody; say whose do not disturb").At("userId")
	}
	if in.UserID != who.UserID {
		if err := who.Require(access.UserManage); err != nil {
			return nil, err
		}
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if u, err = lockUser(ctx, tx, who.OrganizationID, in.UserID); err != nil {
			return err
		}
		if in.PhoneNumberID.IsZero() {
			u.DoNotDisturb = in.IsOn
		} else if err := setLine(ctx, tx, u.OrganizationID, u.ID, in.PhoneNumberID, in.IsOn); err != nil {
			return err
		}
		u.Version, u.UpdatedAt = u.Version+1, tx.Now
		if err := updateUser(ctx, tx, u); err != nil {
			return err
		}
		return s.record(ctx, tx, who, u, "user.doNotDisturb", map[string]any{"isOn": in.IsOn, "phoneNumber": in.PhoneNumberID.String()})
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// record tells the world and the audit record of a change that was written.
func (s *Service) record(ctx context.Context, tx *db.Tx, who access.Actor, u *User, action string, detail map[string]any) error {
	if err := tell(ctx, tx, who, u); err != nil {
		return err
	}
	return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: action, Subject: u.ID, Detail: detail})
}

// tell tells the world of a change that was written.
func tell(ctx context.Context, tx *db.Tx, who access.Actor, u *User) error {
	data, err := json.Marshal(map[string]any{"version": u.Version, "status": u.Status})
	if err != nil {
		return err
	}
	return event.Append(ctx, tx, event.Event{Kind: session.UserUpdated, Subject: u.ID, ActorID: who.UserID, Data: data})
}

// mentioned is what the audit record keeps of a change: what it was about, and
// what it gave where that decides what people may do.
func (in Update) mentioned() map[string]any {
	out := map[string]any{}
	for name, set := range map[string]bool{
		"name": in.Name.Set, "phones": in.Phones.Set, "extension": in.Extension.Set, "sipAddress": in.SIPAddress.Set,
		"displayNotifications": in.DisplayNotifications.Set, "silentNotifications": in.SilentNotifications.Set,
		"internalClickToCall": in.InternalClickToCall.Set, "sipDomainId": in.SIPDomainID.Set,
	} {
		if set {
			out[name] = "changed"
		}
	}
	for name, f := range map[string]patch.Field[bool]{
		"isFieldworker": in.IsFieldworker, "isGeneralFieldworker": in.IsGeneralFieldworker, "restrictBeforeStart": in.RestrictBeforeStart,
	} {
		if f.Set {
			out[name] = f.Value
		}
	}
	for _, o := range in.Options {
		out[string(o.Option)] = o.IsOn
	}
	if in.RoleID.Set {
		out["role"] = in.RoleID.Value.String()
	}
	if in.BranchIDs.Set {
		out["branches"] = in.BranchIDs.Value
	}
	if in.InboundPhoneNumberID.Set {
		out["inboundPhoneNumber"] = in.InboundPhoneNumberID.Value.String()
	}
	return out
}

const maxName = 100

func personName(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", errs.New(errs.Required, "a person needs a name").At("name")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", errs.New(errs.Invalid, "the name holds characters that cannot be shown").At("name")
	case utf8.RuneCountInString(s) > maxName:
		return "", errs.New(errs.Invalid, "the name has more than %d characters", maxName).At("name")
	}
	return s, nil
}

// optional sets or clears a text that may be null; empty clears too.
func optional(f patch.Field[string], dst **string, check func(string) (string, error)) error {
	if !f.Set {
		return nil
	}
	text := strings.TrimSpace(f.Value)
	if f.Null || text == "" {
		*dst = nil
		return nil
	}
	text, err := check(text)
	if err != nil {
		return err
	}
	*dst = &text
	return nil
}

var (
	extensionForm = regexp.MustCompile(`^[0-9]{1,20}$`)
	sipForm       = regexp.MustCompile(`^sips?:[A-Za-z0-9._~+-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?(;transport=(udp|tcp|tls))?$`)
)

func extension(s string) (string, error) {
	if !extensionForm.MatchString(s) {
		return "", errs.New(errs.Invalid, "an extension is 1 to 20 digits").At("extension")
	}
	return s, nil
}

// sipAddress takes the forms of R091 and what a phone's settings show.
func sipAddress(s string) (string, error) {
	if !strings.HasPrefix(s, "sip:") && !strings.HasPrefix(s, "sips:") {
		s = "sip:" + s
	}
	if !sipForm.MatchString(s) {
		return "", errs.New(errs.Invalid, "this is no SIP address; write it such as sip:ann@example.sip.twilio.com").At("sipAddress")
	}
	return s, nil
}
