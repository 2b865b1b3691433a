package export

import (
	"encoding/json"
	"slices"

	"switchboard/internal/access"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/recording"
)

// sight is how much an actor sees of what lists show, beyond the permissions that a
// kind needs.
type sight struct {
	Visibility access.Visibility `json:"visibility"`
	Branches   []id.ID           `json:"branches,omitempty"` // of those who see branches
	Contacts   bool              `json:"contacts"`           // CONTACT_VIEW: names, and numbers of masked pairs
	Details    bool              `json:"details"`            // R241
	WholeBase  bool              `json:"wholeBase"`          // R243
	Ledgers    bool              `json:"ledgers"`            // of recordings
}

// everything is what files are taken for of which nobody noted what their maker saw.
var everything = &sight{Visibility: access.SeesOrganization, Contacts: true, Details: true, WholeBase: true, Ledgers: true}

// written is the sight as it is kept; nil for none.
func (s *sight) written() (*string, error) {
	if s == nil {
		return nil, nil
	}
	b, err := json.Marshal(s)
	return new(string(b)), err
}

func sightOf(who access.Actor) *sight {
	return &sight{Visibility: who.Visibility, Branches: who.SeesBranches(), Contacts: who.Can(access.ContactView), Details: !who.HidesContactDetails(),
		WholeBase: !who.SeesOwnContacts(), Ledgers: recording.MayReadLedger(who)}
}

// lost is what somebody who saw so much sees no more, as now they see less; "" when
// they see all of it.
func (s *sight) lost(now *sight, kind Kind) string {
	switch {
	case !now.Visibility.Covers(s.Visibility):
		return "the visibility " + string(s.Visibility)
	case s.Visibility == access.SeesBranch && now.Visibility == access.SeesBranch &&
		slices.ContainsFunc(s.Branches, func(b id.ID) bool { return !slices.Contains(now.Branches, b) }):
		return "one of your branches"
	case s.Contacts && !now.Contacts:
		return string(access.ContactView)
	case s.Details && !now.Details:
		return string(access.DisplayContactDetails)
	case s.WholeBase && !now.WholeBase:
		return string(access.WholeCustomerBase)
	case kind == RecordingAudio && s.Ledgers && !now.Ledgers:
		return "the ledgers of recordings"
	}
	return ""
}

// permits is an error unless the actor may have what is in the file now:
// errs.Forbidden, naming what was taken from them since.
func (s *Service) permits(who access.Actor, e *Export) error {
	if err := s.may(who, e.Kind); err != nil {
		return err
	}
	offered := s.sources[e.Kind].offered(who)
	for _, name := range e.Columns {
		if !slices.ContainsFunc(offered, func(c Column) bool { return c.Name == name }) {
			return errs.New(errs.Forbidden, "the column %s is not yours to see any more; make the export again without it", name)
		}
	}
	seen := e.Sight
	switch {
	case seen == nil && e.Status != Done: // nothing is written yet
		return nil
	case seen == nil:
		seen = everything
	}
	if what := seen.lost(sightOf(who), e.Kind); what != "" {
		return errs.New(errs.Forbidden, "this export holds what you do not see any more, as %s was taken from you; make it again", what)
	}
	return nil
}
