package tenant

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
)

// Deps are what organizations need.
type Deps struct {
	DB *db.DB
	// Founder invites the first administrator. Package user has it.
	Founder Founder
}

// Founder invites the first person of a new organization, in its transaction.
type Founder interface {
	InviteFirst(ctx context.Context, tx *db.Tx, role id.ID, email, name string) (First, error)
}

// First is the first person of an organization and what they sign in with.
type First struct {
	UserID    id.ID
	Token     string // of the invitation; shown once
	ExpiresAt time.Time
}

// Service is the organizations of an installation.
type Service struct{ d Deps }

// New makes a Service.
func New(d Deps) *Service { return &Service{d} }

// Get gives the actor's own organization.
func (s *Service) Get(ctx context.Context, who access.Actor) (_ *Organization, err error) {
	defer errs.Wrap(&err, "tenant.Get")
	if !who.Known() {
		return nil, who.Require("")
	}
	return byID(ctx, s.d.DB.App(), who.OrganizationID)
}

// Change is what changes about an organization.
type Change struct {
	Name                         patch.Field[string]
	TimeZone                     patch.Field[string]
	DefaultCountry               patch.Field[string]
	CompanyPhone                 patch.Field[string] // as typed; null clears
	DisplayOfficeNumber          patch.Field[bool]
	Features                     []Feature             // those to switch
	HoldMusicID                  patch.Field[id.ID]    // of an audio; null: Twilio's own (R098)
	DialFormat                   patch.Field[string]   // null: E164 (R089)
	CallCountries                patch.Field[[]string] // null: those of the organization's own numbers
	MaxConcurrentCalls           patch.Field[int]
	MaxCallsPerUserHour          patch.Field[int]
	CustomersMayCallFieldworkers patch.Field[bool] // R106
}

// Update changes the organization's settings. It needs SETTINGS_MANAGE.
func (s *Service) Update(ctx context.Context, who access.Actor, in Change) (o *Organization, err error) {
	defer errs.Wrap(&err, "tenant.Update")
	if err := who.Require(access.SettingsManage); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if o, err = lock(ctx, tx, who.OrganizationID); err != nil {
			return err
		}
		if err := o.apply(in); err != nil {
			return err
		}
		o.UpdatedAt = tx.Now
		if err := update(ctx, tx, o); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "organization.update", Subject: o.ID, Detail: map[string]any{
			"name": o.Name, "timeZone": o.TimeZone, "defaultCountry": o.DefaultCountry, "hasCompanyPhone": o.CompanyPhone != nil,
			"displayOfficeNumber": o.DisplayOfficeNumber, "disabledFeatures": o.DisabledFeatures,
			"hasHoldMusic": !o.HoldMusicAudioID.IsZero(), "dialFormat": o.DialFormat, "callCountries": o.CallCountries,
			"maxConcurrentCalls": o.MaxConcurrentCalls, "maxCallsPerUserHour": o.MaxCallsPerUserHour,
			"customersMayCallFieldworkers": o.CustomersMayCallFieldworkers}})
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

func (o *Organization) apply(in Change) (err error) {
	if in.Name.Set {
		if o.Name, err = name(in.Name.Value); err != nil {
			return err
		}
	}
	if in.TimeZone.Set {
		if o.TimeZone, err = timeZone(in.TimeZone.Value); err != nil {
			return err
		}
	}
	if in.DefaultCountry.Set {
		if o.DefaultCountry, err = country(in.DefaultCountry.Value); err != nil {
			return err
		}
	}
	switch {
	case in.CompanyPhone.Has():
		e, err := phone.Parse(in.CompanyPhone.Value, o.DefaultCountry)
		if err != nil {
			return errs.New(errs.Invalid, "%s", err).At("companyPhone")
		}
		o.CompanyPhone = &e
	case in.CompanyPhone.Null:
		o.CompanyPhone = nil
	}
	in.DisplayOfficeNumber.Apply(&o.DisplayOfficeNumber)
	if err := o.applyCalls(in); err != nil {
		return err
	}
	return o.switchFeatures(in.Features)
}

// maxCap is the highest cap on calls that people start.
const maxCap = 10_000

// applyCalls changes the rules for calls.
func (o *Organization) applyCalls(in Change) (err error) {
	if in.HoldMusicID.Has() && !in.HoldMusicID.Value.IsZero() {
		if err := in.HoldMusicID.Value.Want(id.Upload); err != nil {
			return errs.New(errs.Invalid, "%s", err).At("holdMusicId")
		}
	}
	in.HoldMusicID.Apply(&o.HoldMusicAudioID)
	if in.DialFormat.Set {
		format := strings.TrimSpace(in.DialFormat.Value)
		if format == "" {
			format = usualDialFormat
		}
		if err := phone.CheckDialFormat(format); err != nil {
			return errs.New(errs.Invalid, "%s", err).At("dialFormat")
		}
		o.DialFormat = format
	}
	if in.CallCountries.Set {
		if o.CallCountries, err = countries(in.CallCountries.Value); err != nil {
			return err
		}
	}
	if err := atMost(in.MaxConcurrentCalls, &o.MaxConcurrentCalls, "maxConcurrentCalls"); err != nil {
		return err
	}
	if err := atMost(in.MaxCallsPerUserHour, &o.MaxCallsPerUserHour, "maxCallsPerUserHour"); err != nil {
		return err
	}
	in.CustomersMayCallFieldworkers.Apply(&o.CustomersMayCallFieldworkers)
	return nil
}

func atMost(f patch.Field[int], dst *int, field string) error {
	switch {
	case !f.Set:
		return nil
	case f.Null:
		return errs.New(errs.Required, "%s cannot be empty; leave it out to keep what it is", field).At(field)
	case f.Value < 1 || f.Value > maxCap:
		return errs.New(errs.Invalid, "%s is %d; it lies between 1 and %d", field, f.Value, maxCap).At(field)
	}
	*dst = f.Value
	return nil
}

// countries reads ISO codes, each once.
func countries(list []string) ([]string, error) {
	const most = 300 // there are fewer
	if len(list) > most {
		return nil, errs.New(errs.LimitReached, "there are %d countries at most", most).At("callCountries")
	}
	out := []string{}
	for i, s := range list {
		c, err := country(s)
		if err != nil {
			return nil, errs.New(errs.Invalid, "this is no country; write its two letters, such as AU").At("callCountries", strconv.Itoa(i))
		}
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out, nil
}

func (o *Organization) switchFeatures(list []Feature) error {
	for _, f := range list {
		if !slices.Contains(AllFeatures, f.Name) {
			return errs.New(errs.Invalid, "there is no such feature").At("features")
		}
		off := slices.DeleteFunc(slices.Clone(o.DisabledFeatures), func(n FeatureName) bool { return n == f.Name })
		if !f.IsOn {
			off = append(off, f.Name)
		}
		o.DisabledFeatures = off
	}
	return nil
}

// Founding is what an organization is made from.
type Founding struct {
	Name           string
	TimeZone       string // empty: UTC
	DefaultCountry string // empty: US
	CompanyPhone   string // as typed; may be empty
	AdminEmail     string
	AdminName      string // empty: the e-mail's first part
}

// Create makes an organization with the built-in roles and invites its first
// administrator. It is the operator's, not an actor's: nobody is a member yet.
func (s *Service) Create(ctx context.Context, in Founding) (o *Organization, first First, err error) {
	defer errs.Wrap(&err, "tenant.Create")
	o = &Organization{ID: id.New(id.Organization), TimeZone: "UTC", DefaultCountry: "US", DisabledFeatures: []FeatureName{},
		DialFormat: usualDialFormat, CallCountries: []string{}, MaxConcurrentCalls: 100, MaxCallsPerUserHour: 60}
	change := Change{Name: patch.To(in.Name)}
	if in.TimeZone != "" {
		change.TimeZone = patch.To(in.TimeZone)
	}
	if in.DefaultCountry != "" {
		change.DefaultCountry = patch.To(in.DefaultCountry)
	}
	if in.CompanyPhone != "" {
		change.CompanyPhone = patch.To(in.CompanyPhone)
	}
	if err := o.apply(change); err != nil {
		return nil, First{}, err
	}
	if in.AdminName == "" {
		in.AdminName, _, _ = strings.Cut(in.AdminEmail, "@")
	}
	ctx = db.WithTenant(ctx, o.ID)
	err = s.d.DB.InWorkerTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		o.CreatedAt, o.UpdatedAt = tx.Now, tx.Now
		if err := insert(ctx, tx, o); err != nil {
			return err
		}
		roles, err := access.CreateBuiltIn(ctx, tx)
		if err != nil {
			return err
		}
		if first, err = s.d.Founder.InviteFirst(ctx, tx, roles[access.Admin].ID, in.AdminEmail, in.AdminName); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{Action: "organization.create", Subject: o.ID, Detail: map[string]any{"name": o.Name}})
	})
	if err != nil {
		return nil, First{}, err
	}
	return o, first, nil
}

const (
	maxName         = 120
	usualDialFormat = "E164"
)

func name(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", errs.New(errs.Required, "an organization needs a name").At("name")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }):
		return "", errs.New(errs.Invalid, "the name holds characters that cannot be shown").At("name")
	case utf8.RuneCountInString(s) > maxName:
		return "", errs.New(errs.Invalid, "the name has more than %d characters", maxName).At("name")
	}
	return s, nil
}

// timeZone lets in what names a place or UTC: "Local" would be the server's own.
func timeZone(s string) (string, error) {
	if s != "" && s != "Local" && len(s) <= 64 {
		if _, err := time.LoadLocation(s); err == nil {
			return s, nil
		}
	}
	return "", errs.New(errs.Invalid, "this is no time zone; write it such as Australia/Sydney").At("timeZone")
}

func country(s string) (string, error) {
	c := strings.ToUpper(strings.TrimSpace(s))
	if len(c) != 2 || phone.CallingCode(c) == 0 {
		return "", errs.New(errs.Invalid, "this is no country; write its two letters, such as AU").At("defaultCountry")
	}
	return c, nil
}
