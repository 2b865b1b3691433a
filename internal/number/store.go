package number

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

func init() {
	noUser := "there is no such user; choose one of your organization"
	noAudio := "there is no such audio; upload it first"
	for name, e := range map[string]*errs.Error{
		"branch_name_unique":        errs.New(errs.Taken, "another branch has this name").At("name"),
		"branch_user_branch":        errs.New(errs.NotFound, "there is no such branch; choose one of your organization").At("branchIds"),
		"branch_user_user":          errs.New(errs.NotFound, "%s", noUser).At("userIds"),
		"connection_account_once":   errs.New(errs.Taken, "this account is connected already; change that connection, or disconnect it first").At("accountSid"),
		"number_branch":             errs.New(errs.NotFound, "there is no such branch").At("branchId"),
		"number_assigned_user":      errs.New(errs.NotFound, "%s", noUser).At("assignedUserId"),
		"number_voicemail_owner":    errs.New(errs.NotFound, "%s", noUser).At("voicemail", "ownerId"),
		"voicemail_user_user":       errs.New(errs.NotFound, "%s", noUser).At("voicemail", "notifiedUserIds"),
		"number_welcome_audio":      errs.New(errs.NotFound, "%s", noAudio).At("prompts", "welcomeAudioId"),
		"number_farewell_audio":     errs.New(errs.NotFound, "%s", noAudio).At("prompts", "farewellAudioId"),
		"number_greeting_audio":     errs.New(errs.NotFound, "%s", noAudio).At("voicemail", "greetingAudioId"),
		"number_closed_audio":       errs.New(errs.NotFound, "%s", noAudio).At("routing", "afterHours", "audioId"),
		"number_team":               errs.New(errs.NotFound, "there is no such team").At("routing", "teamId"),
		"number_opening_hours":      errs.New(errs.NotFound, "there are no such opening hours").At("routing", "openingHoursId"),
		"number_menu":               errs.New(errs.NotFound, "there is no such menu").At("routing", "menuId"),
		"team_name_unique":          errs.New(errs.Taken, "another team has this name").At("name"),
		"team_user_user":            errs.New(errs.NotFound, "%s", noUser).At("userIds"),
		"opening_hours_name_unique": errs.New(errs.Taken, "other opening hours have this name").At("name"),
		"menu_name_unique":          errs.New(errs.Taken, "another menu has this name").At("name"),
		"menu_prompt_audio":         errs.New(errs.NotFound, "%s", noAudio).At("promptAudioId"),
		"number_sms_assignee":       errs.New(errs.NotFound, "%s", noUser).At("smsAssigneeId"),
		"number_mms_assignee":       errs.New(errs.NotFound, "%s", noUser).At("mmsAssigneeId"),
		"number_one_per_user":       errs.New(errs.Taken, "this user has a number already; take it from them there first").At("assignedUserId"),
		"number_once":               errs.New(errs.Taken, "this number belongs to another connection already; disconnect it there first").At("phoneNumber"),
		"number_one_default":        errs.New(errs.Conflict, "another number was made the default at the same moment; try again"),
	} {
		db.RegisterConstraint(name, e)
	}
}

const numberColumns = `n.organization_id, n.id, n.connection_id, n.e164, n.twilio_sid, n.name, n.country, n.can_voice, n.can_sms, n.can_mms,
	n.trunk_sid, n.messaging_service_sid, n.is_enabled, n.is_default, n.disconnected_at, n.branch_id, n.business_unit, n.assigned_user_id,
	n.routing_mode, n.ring_strategy, n.reach_by, n.include_general_fieldworker, n.ring_timeout_seconds, n.dial_timeout_seconds,
	n.agent_timeout_seconds, n.call_forwarding_number, n.forwarding_numbers, n.use_for_inbound_calls, n.use_for_caller_id,
	n.use_for_messages, n.allow_transfer, n.bridge, n.welcome_text, n.welcome_audio_id, n.farewell_text, n.farewell_audio_id, n.voice,
	n.language, n.voicemail_enabled, n.voicemail_greeting_text, n.voicemail_greeting_audio_id, n.voicemail_max_seconds,
	n.voicemail_owner_id, n.incoming_recording, n.outgoing_recording, n.previous_webhooks, n.written_webhooks, n.drift,
	n.drift_checked_at, n.team_id, n.preferred_user, n.screening, n.opening_hours_id, n.closed_action, n.closed_text, n.closed_audio_id,
	n.closed_numbers, n.menu_id, n.last_first_user_id, n.sms_assignee_id, n.mms_assignee_id, n.sender_name, n.messages_per_second,
	n.a2p_status, n.toll_free_status, n.service_inbound_url, n.service_uses_number, n.messaging_checked_at, n.version, n.created_at, n.updated_at,
	ARRAY(SELECT v.user_id FROM phone_number_voicemail_user v
		WHERE v.organization_id = n.organization_id AND v.phone_number_id = n.id ORDER BY v.user_id) AS voicemail_user_ids,
	c.incoming_recording AS connection_incoming, c.outgoing_recording AS connection_outgoing,
	c.is_enabled AND c.disconnected_at IS NULL AS connection_is_enabled,
	CASE WHEN n.routing_mode = 'TEAM' THEN (SELECT count(*) FROM team_user t
		WHERE t.organization_id = n.organization_id AND t.team_id = n.team_id) ELSE 0 END AS team_size,
	CASE WHEN n.routing_mode = 'BRANCH' AND n.reach_by = 'PRIMARY_PHONE' THEN (` + loneFieldworker + `) END AS lone_fieldworker`

// loneFieldworker is the name of the one person whom branch routing would ring,
// where that is a fieldworker (R028).
const loneFieldworker = `SELECT CASE WHEN count(*) = 1 AND bool_and(u.is_fieldworker) THEN min(u.name) END FROM "user" u
	WHERE u.organization_id = n.organization_id AND u.status <> 'DISABLED' AND ((n.include_general_fieldworker AND u.is_general_fieldworker)
		OR u.id IN (SELECT b.user_id FROM branch_user b WHERE b.organization_id = n.organization_id AND b.branch_id = n.branch_id))`

const fromNumber = ` FROM phone_number n JOIN twilio_connection c ON c.organization_id = n.organization_id AND c.id = n.connection_id`

const selectNumber = `SELECT ` + numberColumns + fromNumber

var errNoNumber = errs.New(errs.NotFound, "there is no such number, or you may not see it")

// numberByID is one number of the tenant, with the suffix forUpdate locked.
func numberByID(ctx context.Context, q bun.IDB, org, number id.ID, suffix string) (*PhoneNumber, error) {
	n := &PhoneNumber{}
	err := db.Select(ctx, q, n, selectNumber+` WHERE n.organization_id = $1 AND n.id = $2`+suffix, org, number)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoNumber
	}
	return n, err
}

// forUpdate does not hold up calls and messages, whose rows refer to the number.
const forUpdate = ` FOR NO KEY UPDATE OF n`

// save writes the whole row as its next version.
func (n *PhoneNumber) save(ctx context.Context, tx *db.Tx) error {
	n.Version, n.UpdatedAt = n.Version+1, tx.Now
	if n.ForwardingNumbers == nil {
		n.ForwardingNumbers = []phone.E164{}
	}
	if n.ClosedNumbers == nil {
		n.ClosedNumbers = []phone.E164{}
	}
	_, err := tx.NewUpdate().Model(n).ExcludeColumn("created_at").WherePK().Exec(ctx)
	return err
}

// Filter says which numbers are wanted.
type Filter struct {
	BranchID            id.ID
	ConnectionID        id.ID
	IsEnabled           *bool
	IncludeDisconnected bool
	BusinessUnit        string // R022
}

func (f Filter) where(org id.ID) (string, []any) {
	args := []any{org}
	var b strings.Builder
	b.WriteString(` WHERE n.organization_id = $1`)
	and := func(condition string, v any) {
		args = append(args, v)
		b.WriteString(` AND ` + condition + ` $` + strconv.Itoa(len(args)))
	}
	if !f.BranchID.IsZero() {
		and(`n.branch_id =`, f.BranchID)
	}
	if !f.ConnectionID.IsZero() {
		and(`n.connection_id =`, f.ConnectionID)
	}
	if f.BusinessUnit != "" {
		and(`n.business_unit =`, f.BusinessUnit)
	}
	if f.IsEnabled != nil {
		and(`n.is_enabled =`, *f.IsEnabled)
	}
	if !f.IncludeDisconnected {
		b.WriteString(` AND n.disconnected_at IS NULL`)
	}
	return b.String(), args
}

func numberKey(n *PhoneNumber) db.Keyset { return db.Keyset{At: n.CreatedAt, ID: n.ID} }

// List is a page of the organization's numbers, newest first.
func (s *Service) List(ctx context.Context, who access.Actor, f Filter, p db.Page) (w db.Window[*PhoneNumber], err error) {
	if err := known(who); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	where, args := f.where(who.OrganizationID)
	n := len(args)
	var rows []*PhoneNumber
	err = db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows,
		selectNumber+where+` AND n.id < $`+strconv.Itoa(n+1)+` ORDER BY n.id DESC LIMIT $`+strconv.Itoa(n+2), append(args, after.ID, limit+1)...)
	if err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, numberKey), nil
}

// Count is how many numbers List has in all.
func (s *Service) Count(ctx context.Context, who access.Actor, f Filter) (int, error) {
	if err := known(who); err != nil {
		return 0, err
	}
	where, args := f.where(who.OrganizationID)
	var c struct{ Count int }
	err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &c, `SELECT count(*) AS count FROM phone_number n`+where, args...)
	return c.Count, err
}

// known refuses nobody but those who are not signed in: the numbers of an
// organization are known to all its people.
func known(who access.Actor) error {
	if !who.Known() {
		return errs.New(errs.Unauthenticated, "sign in first: send a token as Authorization: Bearer …")
	}
	return nil
}

// Get is one number, also a disconnected one, else errs.NotFound.
func (s *Service) Get(ctx context.Context, who access.Actor, number id.ID) (*PhoneNumber, error) {
	if !who.Known() {
		return nil, errNoNumber
	}
	return numberByID(db.WithTenant(ctx, who.OrganizationID), s.db.App(), who.OrganizationID, number, "")
}

// MaySeeProvider reports whether the actor may see what a number is at Twilio:
// its SID and its connection.
func MaySeeProvider(who access.Actor) bool {
	return who.Can(access.ConnectionManage) || who.Can(access.NumberManage)
}

// ByIDs are numbers of the context's tenant by id, in one statement.
func (s *Service) ByIDs(ctx context.Context, ids []id.ID) (map[id.ID]*PhoneNumber, error) {
	var rows []*PhoneNumber
	err := db.Select(ctx, s.db.App(), &rows, selectNumber+` WHERE n.organization_id = $1 AND n.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), ids)
	out := make(map[id.ID]*PhoneNumber, len(rows))
	for _, n := range rows {
		out[n.ID] = n
	}
	return out, err
}

// ByBranches are the connected numbers of branches of the context's tenant, in one statement.
func (s *Service) ByBranches(ctx context.Context, branches []id.ID) (map[id.ID][]*PhoneNumber, error) {
	var rows []*PhoneNumber
	err := db.Select(ctx, s.db.App(), &rows, selectNumber+`
		WHERE n.organization_id = $1 AND n.branch_id = ANY ($2::uuid[]) AND n.disconnected_at IS NULL ORDER BY n.id DESC`,
		db.TenantFrom(ctx), branches)
	out := make(map[id.ID][]*PhoneNumber, len(branches))
	for _, n := range rows {
		out[n.BranchID] = append(out[n.BranchID], n)
	}
	return out, err
}

// ByE164InConnection is the number of a connection of the context's tenant, a
// connected one before those disconnected. Code: errs.NotFound.
func (s *Service) ByE164InConnection(ctx context.Context, q bun.IDB, connection id.ID, e164 phone.E164) (*PhoneNumber, error) {
	n := &PhoneNumber{}
	err := db.Select(ctx, q, n, selectNumber+`
		WHERE n.organization_id = $1 AND n.connection_id = $2 AND n.e164 = $3
		ORDER BY n.disconnected_at DESC NULLS FIRST LIMIT 1`, db.TenantFrom(ctx), connection, string(e164))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoNumber
	}
	return n, err
}

// ForCall is the settings of the number that a call or message came to, in one
// statement. It may be disabled or disconnected: the caller looks (D26). Code: errs.NotFound.
func (s *Service) ForCall(ctx context.Context, q bun.IDB, connection id.ID, e164 phone.E164) (*PhoneNumber, error) {
	return s.ByE164InConnection(ctx, q, connection, e164)
}

// Takes reports whether calls and messages go through us: it is enabled, and so
// is its connection (R009, R013, R014).
func (n *PhoneNumber) Takes() bool {
	return n.IsEnabled && n.DisconnectedAt == nil && n.ConnectionIsEnabled
}

// Default is the organization's default number (R010), nil when none is chosen.
func (s *Service) Default(ctx context.Context, q bun.IDB) (*PhoneNumber, error) {
	n := &PhoneNumber{}
	err := db.Select(ctx, q, n, selectNumber+` WHERE n.organization_id = $1 AND n.is_default`, db.TenantFrom(ctx))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return n, err
}

// Sender is a number that may be shown to or write to somebody (D17).
type Sender struct {
	NumberID       id.ID      `bun:"id"`
	ConnectionID   id.ID      `bun:"connection_id"`
	E164           phone.E164 `bun:"e164"`
	Country        string     `bun:"country"`
	BranchID       id.ID      `bun:"branch_id"`
	IsDefault      bool       `bun:"is_default"`
	CanVoice       bool       `bun:"can_voice"`
	CanSms         bool       `bun:"can_sms"`
	CanMms         bool       `bun:"can_mms"`
	UseForCallerID bool       `bun:"use_for_caller_id"`
	UseForMessages bool       `bun:"use_for_messages"`
}

// Senders are the numbers that D17 chooses from: enabled ones of enabled
// connections, the default first, then the oldest.
func (s *Service) Senders(ctx context.Context, q bun.IDB) ([]Sender, error) {
	var rows []Sender
	err := db.Select(ctx, q, &rows, `
		SELECT n.id, n.connection_id, n.e164, n.country, n.branch_id, n.is_default, n.can_voice, n.can_sms, n.can_mms,
			n.use_for_caller_id, n.use_for_messages`+fromNumber+`
		WHERE n.organization_id = $1 AND n.is_enabled AND n.disconnected_at IS NULL AND c.is_enabled AND c.disconnected_at IS NULL
		ORDER BY n.is_default DESC, n.id`, db.TenantFrom(ctx))
	return rows, err
}

const connectionColumns = `c.organization_id, c.id, c.name, c.is_enabled, c.account_sid, c.account_type, c.account_status, c.default_country,
	c.incoming_recording, c.outgoing_recording, c.api_key_sid, c.application_sid, c.calls_per_second, c.import_status, c.import_total,
	c.import_done, c.import_error, c.imported_at, c.checked_at, c.rotation_ends_at, c.disconnected_at, c.version, c.created_at, c.updated_at`

const selectConnection = `SELECT ` + connectionColumns + ` FROM twilio_connection c`

var errNoConnection = errs.New(errs.NotFound, "there is no such connection, or you may not see it")

func connectionByID(ctx context.Context, q bun.IDB, org, connection id.ID) (*Connection, error) {
	return connectionWhere(ctx, q, ` WHERE c.organization_id = $1 AND c.id = $2`, org, connection)
}

func lockConnection(ctx context.Context, tx *db.Tx, org, connection id.ID) (*Connection, error) {
	return connectionWhere(ctx, tx, ` WHERE c.organization_id = $1 AND c.id = $2 FOR NO KEY UPDATE`, org, connection)
}

func connectionWhere(ctx context.Context, q bun.IDB, where string, args ...any) (*Connection, error) {
	c := &Connection{}
	err := db.Select(ctx, q, c, selectConnection+where, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoConnection
	}
	return c, err
}

func (c *Connection) save(ctx context.Context, tx *db.Tx) error {
	c.Version, c.UpdatedAt = c.Version+1, tx.Now
	_, err := tx.NewUpdate().Model(c).ExcludeColumn("created_at").WherePK().Exec(ctx)
	return err
}

// Connections is a page of the connected accounts, newest first; disconnected
// ones are listed too. Code: errs.Forbidden.
func (s *Service) Connections(ctx context.Context, who access.Actor, p db.Page) (w db.Window[*Connection], err error) {
	if err := who.Require(access.ConnectionManage); err != nil {
		return w, err
	}
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	var rows []*Connection
	err = db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows, selectConnection+`
		WHERE c.organization_id = $1 AND c.id < $2 ORDER BY c.id DESC LIMIT $3`, who.OrganizationID, after.ID, limit+1)
	if err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, func(c *Connection) db.Keyset { return db.Keyset{At: c.CreatedAt, ID: c.ID} }), nil
}

// Connection is one connection, else errs.NotFound.
func (s *Service) Connection(ctx context.Context, who access.Actor, connection id.ID) (*Connection, error) {
	if !who.Can(access.ConnectionManage) {
		return nil, errNoConnection
	}
	return connectionByID(db.WithTenant(ctx, who.OrganizationID), s.db.App(), who.OrganizationID, connection)
}

// ConnectionsByIDs are connections of the context's tenant by id, in one statement.
func (s *Service) ConnectionsByIDs(ctx context.Context, ids []id.ID) (map[id.ID]*Connection, error) {
	var rows []*Connection
	err := db.Select(ctx, s.db.App(), &rows, selectConnection+` WHERE c.organization_id = $1 AND c.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), ids)
	out := make(map[id.ID]*Connection, len(rows))
	for _, c := range rows {
		out[c.ID] = c
	}
	return out, err
}

// defaultCountry is the country that numbers of the connection are read with:
// its own, else the organization's (R018).
func (s *Service) defaultCountry(ctx context.Context, q bun.IDB, org, connection id.ID) (string, error) {
	var o struct {
		Country string `bun:"country"`
	}
	err := db.Select(ctx, q, &o, `
		SELECT COALESCE(c.default_country, o.default_country) AS country FROM organization o
		LEFT JOIN twilio_connection c ON c.organization_id = o.organization_id AND c.id = $2
		WHERE o.organization_id = $1`, org, connection)
	return o.Country, err
}

// moment is a pointer to a time, for columns that may be NULL.
func moment(t time.Time) *time.Time { return &t }
