// Package tenant is the organization: a business, its place in the world and
// its feature switches. Who belongs to it is not told here.
//
// The invariant: a stored time zone can be loaded, a stored country is known and
// a stored Company Phone is a number that exists.
package tenant

import (
	"slices"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// Organization is a business: one tenant.
type Organization struct {
	bun.BaseModel `bun:"table:organization,alias:organization"`

	ID                  id.ID         `bun:"organization_id,pk,type:uuid"`
	Name                string        `bun:"name"`
	TimeZone            string        `bun:"time_zone"`
	DefaultCountry      string        `bun:"default_country"`
	CompanyPhone        *phone.E164   `bun:"company_phone"` // R038
	DisplayOfficeNumber bool          `bun:"display_office_number"`
	DisabledFeatures    []FeatureName `bun:"disabled_features,array"`                // R285
	HoldMusicAudioID    id.ID         `bun:"hold_music_audio_id,type:uuid,nullzero"` // R098
	DialFormat          string        `bun:"dial_format"`                            // R089
	CallCountries       []string      `bun:"call_countries,array"`
	MaxConcurrentCalls  int           `bun:"max_concurrent_calls"`
	MaxCallsPerUserHour int           `bun:"max_calls_per_user_hour"`
	// CustomersMayCallFieldworkers lets customers call past the masked number (R106).
	CustomersMayCallFieldworkers bool      `bun:"customers_may_call_fieldworkers"`
	CreatedAt                    time.Time `bun:"created_at"`
	UpdatedAt                    time.Time `bun:"updated_at"`
}

// Location is the organization's time zone. Update lets no unknown one in; UTC
// stands in for one that this machine's table has lost.
func (o *Organization) Location() *time.Location {
	if l, err := time.LoadLocation(o.TimeZone); err == nil {
		return l
	}
	return time.UTC
}

// FeatureName names a feature that an organization can switch (R285).
type FeatureName string

// The features.
const (
	Conference      FeatureName = "CONFERENCE"
	RecordingPause  FeatureName = "RECORDING_PAUSE"
	MutedAudio      FeatureName = "MUTED_AUDIO"
	Transcription   FeatureName = "TRANSCRIPTION"
	Masking         FeatureName = "MASKING"
	VoicemailDrop   FeatureName = "VOICEMAIL_DROP"
	InternalCallLog FeatureName = "INTERNAL_CALL_LOG"
)

// AllFeatures lists every feature in the order of the contract.
var AllFeatures = []FeatureName{Conference, RecordingPause, MutedAudio, Transcription, Masking, VoicemailDrop, InternalCallLog}

// Warnings are what an administrator should know about the settings (R107).
func (o *Organization) Warnings() []string {
	if !o.HasFeature(Masking) {
		return []string{"masking is off: customers and fieldworkers see each other's numbers, and calls between them may be neither recorded nor logged"}
	}
	if o.CustomersMayCallFieldworkers {
		return []string{"customers may call the assigned fieldworker directly: such calls show personal numbers and may be neither recorded nor logged"}
	}
	return []string{}
}

// Feature is one switch and where it stands.
type Feature struct {
	Name FeatureName
	IsOn bool
}

// Features are all switches in the order of the contract. What nobody switched
// off is on.
func (o *Organization) Features() []Feature {
	out := make([]Feature, len(AllFeatures))
	for i, f := range AllFeatures {
		out[i] = Feature{Name: f, IsOn: o.HasFeature(f)}
	}
	return out
}

// Require is nil while the feature is on, else an errs.Forbidden that names the
// switch (R285).
func (o *Organization) Require(f FeatureName) error {
	if o.HasFeature(f) {
		return nil
	}
	return errs.New(errs.Forbidden, "the feature %s is switched off; an administrator can switch it on in the organization's settings", f)
}

// HasFeature reports whether the feature is on.
func (o *Organization) HasFeature(f FeatureName) bool {
	return slices.Contains(AllFeatures, f) && !slices.Contains(o.DisabledFeatures, f)
}
