package retention

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/job"
	"switchboard/internal/message"
	"switchboard/internal/tenant"
)

func init() {
	db.RegisterConstraint("retention_rule_branch", errs.New(errs.Conflict, "this branch has deletion rules of its own; delete those first (retentionRuleDelete), and see what the general ones would then take"))
}

// Deps are what a Service needs.
type Deps struct {
	DB     *db.DB
	Jobs   *job.Runner
	Keys   Sealer
	Logger *slog.Logger
	// Purges delete things of a kind in the caller's transaction and give those that went.
	Purges map[Kind]Purge
	// Noted is told of a hold on something in the transaction that places or releases it. It may be nil.
	Noted func(ctx context.Context, tx *db.Tx, h *Hold) error
}

// Purge deletes things in the caller's transaction, but what is held, and gives
// those that went.
type Purge func(ctx context.Context, tx *db.Tx, ids []id.ID, actor id.ID, why string) (gone []id.ID, err error)

// Sealer seals confirmations.
type Sealer interface {
	SealDeterministic(plain []byte, ad string) ([]byte, error)
	OpenDeterministic(sealed []byte, ad string) ([]byte, error)
}

// Service is deletion rules and legal holds.
type Service struct{ d Deps }

const (
	maxKeepDays    = 3650 // D12
	confirmFor     = time.Hour
	sampleSize     = 20
	nightHour      = 2 // of the organization's time zone
	confirmPurpose = "retention.confirmation"
)

// New makes a Service and registers its work.
func New(d Deps) *Service {
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	s := &Service{d}
	if d.Jobs != nil {
		job.Handle(d.Jobs, s.work)
		d.Jobs.Sweep("retention.night", time.Minute, s.night)
		d.Jobs.Sweep("retention.due", 5*time.Second, s.takeUp)
	}
	return s
}

// may refuses who does not manage the deletion of everything: a rule looks at no
// branch of its author's.
func may(who access.Actor) error {
	if err := who.Require(access.RetentionManage); err != nil {
		return err
	}
	if !who.SeesAll() {
		return errs.New(errs.Forbidden, "deletion rules and holds need a role that sees the whole organization")
	}
	return nil
}

// Rules are all rules, by kind, the general one before those of branches. Codes:
// errs.Forbidden.
func (s *Service) Rules(ctx context.Context, who access.Actor) (rows []*Rule, err error) {
	defer errs.Wrap(&err, "retention.Rules")
	if err := may(who); err != nil {
		return nil, err
	}
	err = db.Select(access.With(ctx, who), s.d.DB.App(), &rows, `SELECT rule.* FROM retention_rule rule WHERE rule.organization_id = $1
ORDER BY array_position($2::text[], rule.kind), rule.branch_id NULLS FIRST`, who.OrganizationID, Kinds)
	return rows, err
}

// Want is a rule as somebody wants it.
type Want struct {
	Kind     Kind
	BranchID id.ID // zero: the general rule
	KeepDays int
}

func (w Want) check() error {
	if _, ok := sources[w.Kind]; !ok {
		return errs.New(errs.Invalid, "%q is nothing that rules delete", string(w.Kind)).At("input", "kind")
	}
	if w.KeepDays < 1 || w.KeepDays > maxKeepDays {
		return errs.New(errs.Invalid, "keep things for 1 to %d days, such as 30, 60 or 90", maxKeepDays).At("input", "keepDays")
	}
	return nil
}

// before is the moment that a period ends at now: what is older goes.
func before(now time.Time, keepDays int) time.Time { return now.AddDate(0, 0, -keepDays) }

// Preview is what a rule would delete if it ran now (R231). Codes: errs.Forbidden,
// errs.Invalid, errs.NotFound for the branch.
func (s *Service) Preview(ctx context.Context, who access.Actor, w Want) (p *Preview, err error) {
	defer errs.Wrap(&err, "retention.Preview(%s)", w.Kind)
	if err := errors.Join(may(who), w.check()); err != nil {
		return nil, err
	}
	p = &Preview{Kind: w.Kind, KeepDays: w.KeepDays, SampleIDs: []id.ID{}, Months: []Month{}}
	err = s.d.DB.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if err := branchExists(ctx, tx, w.BranchID); err != nil {
			return err
		}
		o, err := tenant.Read(ctx, tx)
		if err != nil {
			return err
		}
		zone, err := time.LoadLocation(o.TimeZone)
		if err != nil {
			return err
		}
		p.CutoffAt = before(tx.Now, w.KeepDays)
		t, err := totalOf(ctx, tx, w.Kind, w.BranchID, p.CutoffAt)
		if err != nil {
			return err
		}
		p.Count, p.HeldCount, p.Bytes, p.OldestAt, p.NewestAt = t.Count, t.Held, t.Bytes, t.Oldest, t.Newest
		var months []struct {
			Month string `bun:"month"`
			Count int    `bun:"count"`
		}
		if err := db.Select(ctx, tx, &months, `SELECT to_char(d.at AT TIME ZONE $4, 'YYYY-MM') AS month, count(*) AS count FROM (`+due(w.Kind)+`) d
WHERE NOT d.held GROUP BY 1 ORDER BY 1`, who.OrganizationID, p.CutoffAt, w.BranchID, o.TimeZone); err != nil {
			return err
		}
		for _, m := range months {
			start, err := time.ParseInLocation("2006-01", m.Month, zone)
			if err != nil {
				return err
			}
			p.Months = append(p.Months, Month{Start: start, Count: m.Count})
		}
		var first []item
		if err := db.Select(ctx, tx, &first, `SELECT d.* FROM (`+due(w.Kind)+`) d WHERE NOT d.held ORDER BY d.at, d.id LIMIT $4`,
			who.OrganizationID, p.CutoffAt, w.BranchID, sampleSize); err != nil {
			return err
		}
		for _, x := range first {
			p.SampleIDs = append(p.SampleIDs, x.ID)
		}
		rule, err := ruleOf(ctx, tx, w)
		if err != nil {
			return err
		}
		p.IsRuleOn = rule != nil && rule.IsOn && rule.KeepDays <= w.KeepDays
		p.Confirmation, err = s.confirmation(who.OrganizationID, w, tx.Now.Add(confirmFor))
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func totalOf(ctx context.Context, tx *db.Tx, k Kind, branch id.ID, before time.Time) (t total, err error) {
	err = db.Select(ctx, tx, &t, `SELECT `+totals+` FROM (`+due(k)+`) d`, db.TenantFrom(ctx), before, branch)
	return t, err
}

// confirmed is what a confirmation says that somebody saw.
type confirmed struct {
	Want
	Until time.Time
}

func (s *Service) confirmation(org id.ID, w Want, until time.Time) (string, error) {
	plain, err := json.Marshal(confirmed{w, until})
	if err != nil {
		return "", err
	}
	sealed, err := s.d.Keys.SealDeterministic(plain, confirmPurpose+org.String())
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// confirms refuses a confirmation of something else than the period for the kind and branch.
func (s *Service) confirms(org id.ID, w Want, text string, now time.Time, field ...string) error {
	ask := errs.New(errs.Required, "ask retentionPreview for the same kind and branch and %d days, and send its confirmation: what is deleted is gone for good", w.KeepDays).At(field...)
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || text == "" || len(text) > 1000 {
		return ask
	}
	plain, err := s.d.Keys.OpenDeterministic(sealed, confirmPurpose+org.String())
	var c confirmed
	if err != nil || json.Unmarshal(plain, &c) != nil || c.Want != w {
		return ask
	}
	if now.After(c.Until) {
		return errs.New(errs.Conflict, "the preview is older than an hour; look again at what would go").At(field...)
	}
	return nil
}

// SetRule is a rule as it shall be.
type SetRule struct {
	Want
	IsOn         bool
	Confirmation string // of a preview; to switch it on or to shorten its period
}

// Set makes or changes a rule (R223, R224). Setting it again to the same is no
// change. Codes: errs.Forbidden, errs.Invalid, errs.NotFound for the branch,
// errs.Required without the confirmation, errs.Conflict when that is too old.
func (s *Service) Set(ctx context.Context, who access.Actor, in SetRule) (r *Rule, err error) {
	defer errs.Wrap(&err, "retention.Set(%s)", in.Kind)
	if err := errors.Join(may(who), in.check()); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		if err := branchExists(ctx, tx, in.BranchID); err != nil {
			return err
		}
		if err := oneChange(ctx, tx, in.Kind); err != nil {
			return err
		}
		if r, err = ruleOf(ctx, tx, in.Want); err != nil {
			return err
		}
		was := Rule{}
		if r == nil {
			r = &Rule{OrganizationID: who.OrganizationID, ID: id.New(id.RetentionRule), Kind: in.Kind, BranchID: in.BranchID, CreatedAt: tx.Now}
		} else {
			was = *r
			if was.IsOn == in.IsOn && was.KeepDays == in.KeepDays {
				return nil
			}
		}
		if in.IsOn && (!was.IsOn || in.KeepDays < was.KeepDays) {
			if err := s.confirms(who.OrganizationID, in.Want, in.Confirmation, tx.Now, "input", "confirmation"); err != nil {
				return err
			}
		}
		r.KeepDays, r.IsOn, r.Version, r.UpdatedAt, r.NextRunAt = in.KeepDays, in.IsOn, was.Version+1, tx.Now, nil
		if r.IsOn {
			if r.NextRunAt, err = nextNight(ctx, tx, r, tx.Now); err != nil {
				return err
			}
		}
		if err := saveRule(ctx, tx, r); err != nil {
			return err
		}
		// What a run began under the rule as it was does not go on under another.
		if _, err := endRuns(ctx, tx, r.ID, Canceled); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "retention.rule", Subject: r.ID, Detail: map[string]any{
			"kind": r.Kind, "branchId": r.BranchID.String(), "keepDays": r.KeepDays, "isOn": r.IsOn, "keepDaysBefore": was.KeepDays, "isOnBefore": was.IsOn}})
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Delete deletes a rule. What a branch's rule kept is left to the general one then:
// where that is on and takes more, it needs the confirmation of a preview of the
// general rule's period for the branch (R231). Codes: errs.Forbidden, errs.NotFound,
// errs.Required without the confirmation, errs.Conflict when that is too old.
func (s *Service) Delete(ctx context.Context, who access.Actor, rule id.ID, confirmation string) (err error) {
	defer errs.Wrap(&err, "retention.Delete(%s)", rule)
	if err := may(who); err != nil {
		return err
	}
	return s.d.DB.InTx(access.With(ctx, who), func(ctx context.Context, tx *db.Tx) error {
		r := &Rule{}
		read := func(lock string) error {
			err := db.Select(ctx, tx, r, `SELECT rule.* FROM retention_rule rule WHERE rule.organization_id = $1 AND rule.id = $2`+lock, who.OrganizationID, rule)
			if errors.Is(err, sql.ErrNoRows) {
				return errs.New(errs.NotFound, "there is no such deletion rule").At("id")
			}
			return err
		}
		if err := read(""); err != nil {
			return err
		}
		if err := oneChange(ctx, tx, r.Kind); err != nil {
			return err
		}
		if err := read(" FOR UPDATE"); err != nil {
			return err
		}
		if !r.BranchID.IsZero() {
			general, err := ruleOf(ctx, tx, Want{Kind: r.Kind})
			if err != nil {
				return err
			}
			if general != nil && general.IsOn && (!r.IsOn || general.KeepDays < r.KeepDays) {
				if err := s.confirms(who.OrganizationID, Want{r.Kind, r.BranchID, general.KeepDays}, confirmation, tx.Now, "confirmation"); err != nil {
					return err
				}
			}
		}
		if _, err := endRuns(ctx, tx, r.ID, Canceled); err != nil {
			return err
		}
		if _, err := db.Exec(ctx, tx, `DELETE FROM retention_rule WHERE organization_id = $1 AND id = $2`, r.OrganizationID, r.ID); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "retention.rule.delete", Subject: r.ID, Detail: map[string]any{
			"kind": r.Kind, "branchId": r.BranchID.String(), "keepDaysBefore": r.KeepDays, "isOnBefore": r.IsOn}})
	})
}

// oneChange makes changes of a kind's rules wait for each other: two first ones would
// meet otherwise, and a confirmation would be of a rule that is changed meanwhile.
func oneChange(ctx context.Context, tx *db.Tx, k Kind) error {
	_, err := db.Exec(ctx, tx, `SELECT pg_advisory_xact_lock(hashtextextended($1 || $2, 0))`, db.TenantFrom(ctx).String(), string(k))
	return err
}

// branchExists refuses a branch that is not there, and keeps one that is.
func branchExists(ctx context.Context, tx *db.Tx, branch id.ID) error {
	if branch.IsZero() {
		return nil
	}
	n, err := db.Exec(ctx, tx, `SELECT FROM branch WHERE organization_id = $1 AND id = $2 FOR KEY SHARE`, db.TenantFrom(ctx), branch)
	if err == nil && n == 0 {
		return errs.New(errs.NotFound, "there is no such branch").At("input", "branchId")
	}
	return err
}

// ruleOf is the rule of a kind and branch, locked; nil when there is none.
func ruleOf(ctx context.Context, tx *db.Tx, w Want) (*Rule, error) {
	r := &Rule{}
	err := db.Select(ctx, tx, r, `SELECT rule.* FROM retention_rule rule WHERE rule.organization_id = $1 AND rule.kind = $2 AND rule.branch_id IS NOT DISTINCT FROM $3::uuid
FOR UPDATE`, db.TenantFrom(ctx), string(w.Kind), w.BranchID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return r, err
}

func saveRule(ctx context.Context, tx *db.Tx, r *Rule) error {
	_, err := db.Exec(ctx, tx, `INSERT INTO retention_rule (organization_id, id, kind, branch_id, keep_days, is_on, next_run_at, version, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (organization_id, id) DO UPDATE SET keep_days = excluded.keep_days, is_on = excluded.is_on, next_run_at = excluded.next_run_at,
  version = excluded.version, updated_at = excluded.updated_at`, r.OrganizationID, r.ID, string(r.Kind), r.BranchID, r.KeepDays, r.IsOn, r.NextRunAt, r.Version, r.UpdatedAt)
	return err
}

// nextNight is when a rule runs next after a moment: at night where the
// organization is, minutes apart from others.
func nextNight(ctx context.Context, tx *db.Tx, r *Rule, after time.Time) (*time.Time, error) {
	o, err := tenant.Read(ctx, tx)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(o.TimeZone)
	if err != nil {
		return nil, err
	}
	day := after.In(zone)
	u := r.ID.UUID()
	for {
		at := time.Date(day.Year(), day.Month(), day.Day(), nightHour, int(u[14])%60, 0, 0, zone)
		if at.After(after) {
			at = at.UTC()
			return &at, nil
		}
		day = day.AddDate(0, 0, 1)
	}
}

// RulesByIDs are rules by id, for those who may manage them.
func (s *Service) RulesByIDs(ctx context.Context, who access.Actor, ids []id.ID) (map[id.ID]*Rule, error) {
	var rows []*Rule
	if may(who) != nil {
		return nil, nil
	}
	err := db.Select(access.With(ctx, who), s.d.DB.App(), &rows, `SELECT rule.* FROM retention_rule rule WHERE rule.organization_id = $1 AND rule.id = ANY ($2::uuid[])`, who.OrganizationID, ids)
	out := make(map[id.ID]*Rule, len(rows))
	for _, r := range rows {
		out[r.ID] = r
	}
	return out, err
}

// MessagePurges are the functions of package message that delete.
func MessagePurges(m *message.Service) map[Kind]Purge {
	return map[Kind]Purge{
		MessageBodies: func(ctx context.Context, tx *db.Tx, ids []id.ID, actor id.ID, why string) ([]id.ID, error) {
			return m.PurgeBodies(ctx, tx, ids, message.Deletion{ActorID: actor, Why: why})
		},
		MessageMedia: func(ctx context.Context, tx *db.Tx, ids []id.ID, actor id.ID, why string) ([]id.ID, error) {
			gone, _, err := m.PurgeMedia(ctx, tx, ids, message.Deletion{ActorID: actor, Why: why})
			return gone, err
		},
	}
}
