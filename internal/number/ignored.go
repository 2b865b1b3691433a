package number

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

const (
	maxIgnored       = 10_000 // rules of an organization
	maxIgnoredAtOnce = 1_000
	maxIgnoredNote   = 200
	maxCaller        = 64 // bytes of a caller to try
)

const selectIgnored = `SELECT i.organization_id, i.id, i.rule, i.note, i.created_by, i.created_at FROM ignored_number i`

var errNoIgnored = errs.New(errs.NotFound, "there is no such rule, or you may not see it")

// AddIgnored puts rules on the ignored list, all or none (R057, R058, D27), and
// returns them as they stand there, those that were there before included. Codes:
// errs.Forbidden, errs.Required, errs.Invalid, errs.LimitReached.
func (s *Service) AddIgnored(ctx context.Context, who access.Actor, rules []string, note string) (out []*IgnoredNumber, err error) {
	if err := who.Require(access.NumberManage); err != nil {
		return nil, err
	}
	switch {
	case len(rules) == 0:
		return nil, errs.New(errs.Required, "give at least one rule").At("rules")
	case len(rules) > maxIgnoredAtOnce:
		return nil, errs.New(errs.LimitReached, "%d rules can be added at once", maxIgnoredAtOnce).At("rules")
	}
	if note = strings.TrimSpace(note); note != "" {
		if note, err = checkText(note, maxIgnoredNote, "note"); err != nil {
			return nil, err
		}
	}
	want, place := make([]string, 0, len(rules)), make(map[string]int, len(rules))
	for i, r := range rules {
		r = ignoredRule(r)
		if _, err := route.CompileIgnored([]string{r}); err != nil {
			return nil, at(err, "rules", strconv.Itoa(i))
		}
		if _, twice := place[r]; !twice {
			place[r] = len(want)
			want = append(want, r)
		}
	}
	err = s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		// One at a time: the limits are those of the whole list.
		if _, err := db.Exec(ctx, tx, `SELECT FROM organization WHERE organization_id = $1 FOR NO KEY UPDATE`, who.OrganizationID); err != nil {
			return err
		}
		have, err := ignoredRules(ctx, tx, who.OrganizationID)
		if err != nil {
			return err
		}
		there := make(map[string]bool, len(have))
		for _, r := range have {
			there[r] = true
		}
		var added []*IgnoredNumber
		for _, r := range want {
			if !there[r] {
				added = append(added, &IgnoredNumber{OrganizationID: who.OrganizationID, ID: id.New(id.IgnoredNumber), Rule: r, Note: note,
					CreatedByID: who.UserID, CreatedAt: tx.Now})
				have = append(have, r)
			}
		}
		if len(have) > maxIgnored {
			return errs.New(errs.LimitReached, "the ignored list would have %d rules; %d is the most", len(have), maxIgnored).At("rules")
		}
		if len(added) > 0 {
			if _, err := route.CompileIgnored(have); err != nil {
				return at(err, "rules")
			}
			if _, err := tx.NewInsert().Model(&added).Exec(ctx); err != nil {
				return err
			}
			if err := told(ctx, tx, who, "", "ignoredNumber.add", who.OrganizationID, map[string]any{"rules": len(added)}); err != nil {
				return err
			}
		}
		var rows []*IgnoredNumber
		err = db.Select(ctx, tx, &rows, selectIgnored+` WHERE i.organization_id = $1 AND i.rule = ANY ($2::text[])`, who.OrganizationID, want)
		if err != nil {
			return err
		}
		out = rows
		slices.SortFunc(out, func(a, b *IgnoredNumber) int { return place[a.Rule] - place[b.Rule] })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ignoredRule is a rule as it is stored: a number without what people type
// between its digits.
func ignoredRule(s string) string {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, "+") {
		return s
	}
	return strings.NewReplacer(" ", "", "\u00a0", "", "-", "", ".", "", "(", "", ")", "").Replace(s)
}

// ignoredRules are the rules in the order in which they were added.
func ignoredRules(ctx context.Context, q bun.IDB, org id.ID) ([]string, error) {
	var rows []struct {
		Rule string `bun:"rule"`
	}
	if err := db.Select(ctx, q, &rows, `SELECT rule FROM ignored_number WHERE organization_id = $1 ORDER BY created_at, id`, org); err != nil {
		return nil, err
	}
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = r.Rule
	}
	return out, nil
}

// RemoveIgnored takes a rule off the list. Codes: errs.Forbidden, errs.NotFound.
func (s *Service) RemoveIgnored(ctx context.Context, who access.Actor, rule id.ID) error {
	if err := who.Require(access.NumberManage); err != nil {
		return err
	}
	return s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		n, err := db.Exec(ctx, tx, `DELETE FROM ignored_number WHERE organization_id = $1 AND id = $2`, who.OrganizationID, rule)
		if err != nil {
			return err
		}
		if n == 0 {
			return errNoIgnored
		}
		return told(ctx, tx, who, "", "ignoredNumber.remove", rule, nil)
	})
}

// TestIgnored tells whether a caller, as typed, meets the list, or a rule that is
// not saved yet. Nobody's call changes by it. Code: errs.Forbidden.
func (s *Service) TestIgnored(ctx context.Context, who access.Actor, from string, rule *string) (*IgnoredTest, error) {
	if err := who.Require(access.NumberManage); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	out := &IgnoredTest{}
	if from = strings.TrimSpace(from); len(from) <= maxCaller {
		if e, ok := phone.FromWire(from); ok {
			out.Number = &e
		} else {
			country, err := s.defaultCountry(ctx, s.db.App(), who.OrganizationID, id.ID{})
			if err != nil {
				return nil, err
			}
			if e, err := phone.Parse(from, country); err == nil {
				out.Number = &e
			}
		}
	}
	var rules []string
	if rule != nil {
		rules = []string{ignoredRule(*rule)}
	} else {
		var err error
		if rules, err = ignoredRules(ctx, s.db.App(), who.OrganizationID); err != nil {
			return nil, err
		}
	}
	list, err := route.CompileIgnored(rules)
	if e, ok := errs.As(err); ok {
		out.Problem = &e.Message
		return out, nil
	}
	if err != nil || out.Number == nil {
		return out, err
	}
	if met, ok := list.Match(string(*out.Number)); ok {
		out.IsIgnored, out.Rule = true, &met
	}
	return out, nil
}

// Ignored is one rule, else errs.NotFound.
func (s *Service) Ignored(ctx context.Context, who access.Actor, rule id.ID) (*IgnoredNumber, error) {
	if !who.Can(access.NumberManage) {
		return nil, errNoIgnored
	}
	x := &IgnoredNumber{}
	err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), x, selectIgnored+` WHERE i.organization_id = $1 AND i.id = $2`, who.OrganizationID, rule)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoIgnored
	}
	return x, err
}

// IgnoredList is a page of the rules, newest first. Code: errs.Forbidden.
func (s *Service) IgnoredList(ctx context.Context, who access.Actor, p db.Page) (w db.Window[*IgnoredNumber], err error) {
	if err := who.Require(access.NumberManage); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	var rows []*IgnoredNumber
	err = db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows, selectIgnored+` WHERE i.organization_id = $1 AND (i.created_at, i.id) < ($2, $3)
		ORDER BY i.created_at DESC, i.id DESC LIMIT $4`, who.OrganizationID, after.At, after.ID, limit+1)
	if err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(x *IgnoredNumber) db.Keyset { return db.Keyset{At: x.CreatedAt, ID: x.ID} }), nil
}
