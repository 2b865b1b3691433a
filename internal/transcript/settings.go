package transcript

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/number"
	"switchboard/internal/patch"
	"switchboard/internal/speech"
	"switchboard/internal/tenant"
)

const (
	defaultLanguage = "en-US"
	defaultSeconds  = 2 * 60 * 60
	longestSeconds  = 8 * 60 * 60
	maxMinutes      = 10_000_000
	maxTerms        = 500
	maxTerm         = 100
	googleModel     = "phone_call"
)

// The secrets of an organization.
const (
	googleKey     = "GOOGLE_API_KEY"
	googleAccount = "GOOGLE_SERVICE_ACCOUNT"
	httpSecret    = "HTTP_SECRET"
)

// row is what is kept of the settings.
type row struct {
	OrganizationID id.ID         `bun:"organization_id"`
	Mode           Mode          `bun:"mode"`
	Provider       *ProviderName `bun:"provider"`
	Language       string        `bun:"language"`
	MaxSeconds     int           `bun:"max_seconds"`
	MonthlyMinutes *int          `bun:"monthly_minutes"`
	Vocabulary     []string      `bun:"vocabulary,array"`
	GoogleModel    string        `bun:"google_model"`
	HTTPURL        *string       `bun:"http_url"`
	Version        int64         `bun:"version"`
	UpdatedAt      time.Time     `bun:"updated_at"`
}

const settingsColumns = `organization_id, mode, provider, language, max_seconds, monthly_minutes, vocabulary, google_model, http_url, version, updated_at`

func readSettings(ctx context.Context, q bun.IDB, lock string) (*row, error) {
	org := db.TenantFrom(ctx)
	r := &row{}
	err := db.Select(ctx, q, r, `SELECT `+settingsColumns+` FROM transcription_settings WHERE organization_id = $1`+lock, org)
	if errors.Is(err, sql.ErrNoRows) {
		return &row{OrganizationID: org, Mode: Off, Language: defaultLanguage, MaxSeconds: defaultSeconds, GoogleModel: googleModel, Vocabulary: []string{}, Version: 0}, nil
	}
	return r, err
}

// month is the first day of the organization's month.
func month(o *tenant.Organization, now time.Time) string {
	return now.In(o.Location()).Format("2006-01") + "-01"
}

// secrets are the opened secrets of the context's tenant, by kind.
func (s *Service) secrets(ctx context.Context, q bun.IDB) (map[string]string, error) {
	var rows []struct {
		Kind   string `bun:"kind"`
		Sealed []byte `bun:"sealed"`
	}
	org := db.TenantFrom(ctx)
	if err := db.Select(ctx, q, &rows, `SELECT kind, sealed FROM transcription_secret WHERE organization_id = $1`, org); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, r := range rows {
		plain, err := s.Keys.Open(r.Sealed, org.String(), secretColumn(r.Kind))
		if err != nil {
			return nil, err
		}
		out[r.Kind] = string(plain)
	}
	return out, nil
}

func secretColumn(kind string) string { return "transcription_secret " + kind }

// provider is who makes the organization's transcripts.
func (s *Service) provider(r *row) ProviderName {
	if r.Provider != nil {
		return *r.Provider
	}
	return s.Provider
}

// problem is what a provider lacks; "" is nothing.
func (s *Service) problem(p ProviderName, r *row, has func(kind string) bool) string {
	switch p {
	case Google:
		if !has(googleKey) && !has(googleAccount) && s.GoogleKey == "" && s.GoogleAccount == "" {
			return "Google needs an API key or a service account: set googleApiKey or googleServiceAccount"
		}
	case HTTP:
		if r.HTTPURL == nil && s.HTTPURL == "" {
			return "the HTTP provider needs an address: set httpUrl"
		}
	}
	return ""
}

// Settings are those of the actor's organization; errs.Forbidden without SETTINGS_MANAGE.
func (s *Service) Settings(ctx context.Context, who access.Actor) (_ *Settings, err error) {
	defer errs.Wrap(&err, "transcript.Settings")
	if err := who.Require(access.SettingsManage); err != nil {
		return nil, err
	}
	return s.settings(db.WithTenant(ctx, who.OrganizationID), s.DB.App())
}

func (s *Service) settings(ctx context.Context, q bun.IDB) (*Settings, error) {
	r, err := readSettings(ctx, q, "")
	if err != nil {
		return nil, err
	}
	o, err := tenant.Read(ctx, q)
	if err != nil {
		return nil, err
	}
	var kept []string
	if err := db.Select(ctx, q, &kept, `SELECT kind FROM transcription_secret WHERE organization_id = $1`, o.ID); err != nil {
		return nil, err
	}
	used, err := usedSeconds(ctx, q, month(o, s.Clock.Now()))
	if err != nil {
		return nil, err
	}
	has := func(kind string) bool {
		for _, k := range kept {
			if k == kind {
				return true
			}
		}
		return false
	}
	x := &Settings{Mode: r.Mode, Provider: s.provider(r), Language: r.Language, MaxSeconds: r.MaxSeconds, MonthlyMinutes: r.MonthlyMinutes,
		UsedMinutes: int((used + 59) / 60), Vocabulary: r.Vocabulary, GoogleModel: r.GoogleModel, HTTPURL: r.HTTPURL, Version: r.Version,
		HasGoogleCredentials: has(googleKey) || has(googleAccount), HasHTTPSecret: has(httpSecret)}
	if x.Vocabulary == nil {
		x.Vocabulary = []string{}
	}
	if p := s.problem(x.Provider, r, has); p != "" {
		x.Problem = &p
	}
	return x, nil
}

func usedSeconds(ctx context.Context, q bun.IDB, month string) (n int64, err error) {
	err = db.Select(ctx, q, &n, `SELECT coalesce((SELECT seconds FROM transcription_usage WHERE organization_id = $1 AND month = $2::date), 0)`, db.TenantFrom(ctx), month)
	return n, err
}

// SettingsChange is what changes; absent keeps, null clears.
type SettingsChange struct {
	Mode           patch.Field[Mode]
	Provider       patch.Field[ProviderName]
	Language       patch.Field[string]
	MaxSeconds     patch.Field[int]
	MonthlyMinutes patch.Field[int]
	Vocabulary     patch.Field[[]string]
	GoogleAPIKey   patch.Field[string]
	GoogleAccount  patch.Field[string]
	GoogleModel    patch.Field[string]
	HTTPURL        patch.Field[string]
	HTTPSecret     patch.Field[string]
}

var (
	languageForm = regexp.MustCompile(`^[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2}|-[0-9]{3})?$`)
	modelForm    = regexp.MustCompile(`^[a-z0-9_]{1,40}$`)
)

// checkLanguage returns an error unless it is a tag such as en-AU.
func checkLanguage(language string) error {
	if !languageForm.MatchString(language) {
		return errs.New(errs.Invalid, "write the language as en-AU: language in small letters, country in capitals").At("language")
	}
	return nil
}

// UpdateSettings changes how recordings become text. Codes: errs.Forbidden,
// errs.Invalid, errs.Required.
func (s *Service) UpdateSettings(ctx context.Context, who access.Actor, in SettingsChange) (_ *Settings, err error) {
	defer errs.Wrap(&err, "transcript.UpdateSettings")
	if err := who.Require(access.SettingsManage); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	var out *Settings
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		// Whoever changes them first makes the row: the organization's own is the lock.
		if _, err := db.Exec(ctx, tx, `SELECT FROM organization WHERE organization_id = $1 FOR NO KEY UPDATE`, who.OrganizationID); err != nil {
			return err
		}
		r, err := readSettings(ctx, tx, " FOR UPDATE")
		if err != nil {
			return err
		}
		changed, err := s.change(r, in)
		if err != nil {
			return err
		}
		for kind, f := range map[string]patch.Field[string]{googleKey: in.GoogleAPIKey, googleAccount: in.GoogleAccount, httpSecret: in.HTTPSecret} {
			if !f.Set {
				continue
			}
			changed = append(changed, map[string]string{googleKey: "googleApiKey", googleAccount: "googleServiceAccount", httpSecret: "httpSecret"}[kind])
			if err := s.keepSecret(ctx, tx, kind, f); err != nil {
				return err
			}
		}
		if len(changed) > 0 {
			vocabulary := r.Vocabulary
			if vocabulary == nil {
				vocabulary = []string{}
			}
			if _, err := db.Exec(ctx, tx, `INSERT INTO transcription_settings (`+settingsColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
				ON CONFLICT (organization_id) DO UPDATE SET mode = excluded.mode, provider = excluded.provider, language = excluded.language, max_seconds = excluded.max_seconds,
					monthly_minutes = excluded.monthly_minutes, vocabulary = excluded.vocabulary, google_model = excluded.google_model, http_url = excluded.http_url,
					version = excluded.version, updated_at = excluded.updated_at`,
				r.OrganizationID, r.Mode, r.Provider, r.Language, r.MaxSeconds, r.MonthlyMinutes, vocabulary, r.GoogleModel, r.HTTPURL, r.Version+1, tx.Now); err != nil {
				return err
			}
			if err := audit.Write(ctx, tx, audit.Entry{ActorID: actorOf(who), Action: "transcription.settings", Subject: who.OrganizationID, Detail: map[string]any{"changed": changed}}); err != nil {
				return err
			}
		}
		out, err = s.settings(ctx, tx)
		return err
	})
	return out, err
}

func actorOf(who access.Actor) id.ID {
	if !who.UserID.IsZero() {
		return who.UserID
	}
	return who.APIKeyID
}

func (s *Service) keepSecret(ctx context.Context, tx *db.Tx, kind string, f patch.Field[string]) error {
	org := db.TenantFrom(ctx)
	if !f.Has() {
		_, err := db.Exec(ctx, tx, `DELETE FROM transcription_secret WHERE organization_id = $1 AND kind = $2`, org, kind)
		return err
	}
	sealed, err := s.Keys.Seal([]byte(f.Value), org.String(), secretColumn(kind))
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, tx, `INSERT INTO transcription_secret (organization_id, kind, sealed, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (organization_id, kind) DO UPDATE SET sealed = excluded.sealed, created_at = excluded.created_at`, org, kind, sealed, tx.Now)
	return err
}

// change applies and checks the change and names what changed.
func (s *Service) change(r *row, in SettingsChange) (changed []string, err error) {
	note := func(set bool, name string) {
		if set {
			changed = append(changed, name)
		}
	}
	note(in.Mode.Set, "mode")
	if in.Mode.Set {
		if r.Mode = in.Mode.Value; in.Mode.Null {
			r.Mode = Off
		}
	}
	note(in.Provider.Set, "provider")
	in.Provider.ApplyPtr(&r.Provider)
	note(in.Language.Set, "language")
	if in.Language.Set {
		if r.Language = in.Language.Value; in.Language.Null {
			r.Language = defaultLanguage
		}
		if err := checkLanguage(r.Language); err != nil {
			return nil, err
		}
	}
	note(in.MaxSeconds.Set, "maxSeconds")
	if in.MaxSeconds.Set {
		if r.MaxSeconds = in.MaxSeconds.Value; in.MaxSeconds.Null {
			r.MaxSeconds = defaultSeconds
		}
		if r.MaxSeconds < 1 || r.MaxSeconds > longestSeconds {
			return nil, errs.New(errs.Invalid, "choose 1 to %d seconds", longestSeconds).At("maxSeconds")
		}
	}
	note(in.MonthlyMinutes.Set, "monthlyMinutes")
	in.MonthlyMinutes.ApplyPtr(&r.MonthlyMinutes)
	if m := r.MonthlyMinutes; m != nil && (*m < 0 || *m > maxMinutes) {
		return nil, errs.New(errs.Invalid, "choose 0 to %d minutes, or null for no cap", maxMinutes).At("monthlyMinutes")
	}
	note(in.Vocabulary.Set, "vocabulary")
	if in.Vocabulary.Set {
		if r.Vocabulary, err = terms(in.Vocabulary.Value); err != nil {
			return nil, err
		}
	}
	note(in.GoogleModel.Set, "googleModel")
	if in.GoogleModel.Set {
		if r.GoogleModel = in.GoogleModel.Value; in.GoogleModel.Null {
			r.GoogleModel = googleModel
		}
		if !modelForm.MatchString(r.GoogleModel) {
			return nil, errs.New(errs.Invalid, "this is not the name of a model, such as phone_call").At("googleModel")
		}
	}
	note(in.HTTPURL.Set, "httpUrl")
	if in.HTTPURL.Set {
		in.HTTPURL.ApplyPtr(&r.HTTPURL)
		if r.HTTPURL != nil {
			if err := checkURL(*r.HTTPURL, s.MayReachInside); err != nil {
				return nil, err
			}
		}
	}
	if f := in.HTTPSecret; f.Has() {
		if n := len(f.Value); n < 16 || n > 200 || strings.ContainsAny(f.Value, "\x00\r\n") {
			return nil, errs.New(errs.Invalid, "the secret has 16 to 200 characters on one line").At("httpSecret")
		}
	}
	if f := in.GoogleAPIKey; f.Has() && !regexp.MustCompile(`^[A-Za-z0-9_-]{20,200}$`).MatchString(f.Value) {
		return nil, errs.New(errs.Invalid, "this is not an API key of Google Cloud; copy it again").At("googleApiKey")
	}
	if f := in.GoogleAccount; f.Has() {
		if err := speech.CheckServiceAccount(f.Value); err != nil {
			why := "this is not the key file of a Google service account"
			var e *speech.Error
			if errors.As(err, &e) {
				why = e.Why
			}
			return nil, errs.New(errs.Invalid, "%s", why).At("googleServiceAccount")
		}
	}
	return changed, nil
}

// checkURL reads the address of an HTTP provider. Where its name leads is looked at
// again at every connection.
func checkURL(address string, loopback bool) error {
	bad := func(format string, args ...any) error { return errs.New(errs.Invalid, format, args...).At("httpUrl") }
	u, err := url.Parse(address)
	switch {
	case len(address) > 2048:
		return bad("the web address has more than 2048 characters")
	case err != nil || u.Hostname() == "":
		return bad("this is not a web address")
	case u.Scheme != "https" && !(loopback && u.Scheme == "http"):
		return bad("the web address must begin with https://")
	case u.User != nil:
		return bad("the web address must not hold a user name or password; use httpSecret")
	case u.Fragment != "":
		return bad("the web address must not have a # part")
	case !loopback && u.Port() != "" && u.Port() != "443" && u.Port() != "8443":
		return bad("use port 443 or 8443")
	}
	return nil
}

// terms checks names and technical terms.
func terms(in []string) ([]string, error) {
	out := []string{}
	seen := map[string]bool{}
	for _, t := range in {
		t = strings.Join(strings.Fields(t), " ")
		if t == "" || seen[t] {
			continue
		}
		if !utf8.ValidString(t) || strings.ContainsRune(t, 0) || utf8.RuneCountInString(t) > maxTerm {
			return nil, errs.New(errs.Invalid, "a term has %d characters at most", maxTerm).At("vocabulary")
		}
		seen[t] = true
		out = append(out, t)
	}
	if len(out) > maxTerms {
		return nil, errs.New(errs.LimitReached, "%d terms are too many; keep the %d most important ones", len(out), maxTerms).At("vocabulary")
	}
	return out, nil
}

// SetNumber says which recordings of a number become text; nil: as the
// organization's settings say. Codes: errs.Forbidden, errs.NotFound.
func (s *Service) SetNumber(ctx context.Context, who access.Actor, line id.ID, mode *Mode) (err error) {
	defer errs.Wrap(&err, "transcript.SetNumber")
	if err := who.Require(access.NumberManage); err != nil {
		return err
	}
	return s.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		var before struct {
			Mode     *Mode `bun:"transcription"`
			BranchID id.ID `bun:"branch_id,type:uuid,nullzero"`
		}
		err := db.Select(ctx, tx, &before, `SELECT transcription, branch_id FROM phone_number WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE`, who.OrganizationID, line)
		if errors.Is(err, sql.ErrNoRows) || err == nil && !who.SeesAll() && !who.InBranch(before.BranchID) {
			return errs.New(errs.NotFound, "there is no such number").At("id")
		}
		if err != nil {
			return err
		}
		if before.Mode == mode || before.Mode != nil && mode != nil && *before.Mode == *mode {
			return nil
		}
		if _, err := db.Exec(ctx, tx, `UPDATE phone_number SET transcription = $3, version = version + 1, updated_at = $4 WHERE organization_id = $1 AND id = $2`,
			who.OrganizationID, line, mode, tx.Now); err != nil {
			return err
		}
		if err := audit.Write(ctx, tx, audit.Entry{ActorID: actorOf(who), Action: "number.transcription", Subject: line, Detail: map[string]any{"mode": mode}}); err != nil {
			return err
		}
		return event.Append(ctx, tx, event.Event{Kind: number.NumberUpdated, Subject: line, ActorID: who.UserID})
	})
}

// NumberModes are the modes that numbers set themselves, by number, in one statement.
func (s *Service) NumberModes(ctx context.Context, numbers []id.ID) (map[id.ID]*Mode, error) {
	var rows []struct {
		ID   id.ID `bun:"id,type:uuid"`
		Mode Mode  `bun:"transcription"`
	}
	err := db.Select(ctx, s.DB.App(), &rows, `SELECT id, transcription FROM phone_number WHERE organization_id = $1 AND id = ANY ($2::uuid[]) AND transcription IS NOT NULL`,
		db.TenantFrom(ctx), numbers)
	out := make(map[id.ID]*Mode, len(rows))
	for _, r := range rows {
		m := r.Mode
		out[r.ID] = &m
	}
	return out, err
}
