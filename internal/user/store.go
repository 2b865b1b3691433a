package user

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
)

func init() {
	db.RegisterConstraint("user_line_dnd_number", errs.New(errs.NotFound, "there is no such phone number").At("phoneNumberId"))
	db.RegisterConstraint("user_by_extension", errs.New(errs.Taken, "another person has this extension; choose another one").At("extension"))
	db.RegisterConstraint("user_by_sip_address", errs.New(errs.Taken, "another person has this SIP address; every person has their own").At("sipAddress"))
	db.RegisterConstraint("user_sip_domain", errs.New(errs.NotFound, "there is no such SIP domain").At("sipDomainId"))
	db.RegisterConstraint("user_login_unique", errs.New(errs.Taken, "a person with this e-mail is here already").At("email"))
}

var errNoUser = errs.New(errs.NotFound, "there is no such person")

const (
	userColumns = `u.organization_id, u.id, u.login_id, u.email, u.name, u.role_id, u.status, u.is_fieldworker, u.is_general_fieldworker,
		u.fieldworker_switched, u.do_not_disturb, u.extension, u.sip_address, u.display_notifications, u.silent_notifications,
		u.internal_click_to_call, u.sip_domain_id,
		u.version, u.created_at, u.updated_at`
	phoneColumns  = `organization_id, id, user_id, label, e164, is_primary, created_at`
	deviceColumns = `organization_id, id, user_id, name, platform, registered_at, last_seen_at, removed_at, created_at,
		microphone, notifications, network, reported_at, push_sealed`
)

func byID(ctx context.Context, q bun.IDB, org, user id.ID) (*User, error) {
	return oneUser(ctx, q, `SELECT `+userColumns+` FROM "user" u WHERE u.organization_id = $1 AND u.id = $2`, org, user)
}

// lockUser also waits for sign-ins under way, which hold the row shared.
func lockUser(ctx context.Context, tx *db.Tx, org, user id.ID) (*User, error) {
	return oneUser(ctx, tx, `SELECT `+userColumns+` FROM "user" u WHERE u.organization_id = $1 AND u.id = $2 FOR NO KEY UPDATE`, org, user)
}

func oneUser(ctx context.Context, q bun.IDB, query string, args ...any) (*User, error) {
	u := &User{}
	err := db.Select(ctx, q, u, query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoUser
	}
	return u, err
}

// byLogin reads the membership of a login; nil when there is none.
func byLogin(ctx context.Context, tx *db.Tx, org, login id.ID) (*User, error) {
	u, err := oneUser(ctx, tx, `SELECT `+userColumns+` FROM "user" u WHERE u.organization_id = $1 AND u.login_id = $2 FOR NO KEY UPDATE`, org, login)
	if errors.Is(err, errNoUser) {
		return nil, nil
	}
	return u, err
}

func byIDs(ctx context.Context, q bun.IDB, org id.ID, ids []id.ID) (out []*User, err error) {
	err = db.Select(ctx, q, &out, `SELECT `+userColumns+` FROM "user" u WHERE u.organization_id = $1 AND u.id = ANY($2)`, org, ids)
	return out, err
}

const filtered = `u.organization_id = $1 AND ($2 = '' OR u.status = $2) AND ($3::uuid IS NULL OR u.role_id = $3)
	AND ($4::uuid IS NULL OR EXISTS (SELECT FROM branch_user b WHERE b.organization_id = $1 AND b.branch_id = $4 AND b.user_id = u.id))`

func list(ctx context.Context, q bun.IDB, org id.ID, f Filter, after db.Keyset, limit int) (out []*User, err error) {
	err = db.Select(ctx, q, &out, `SELECT `+userColumns+` FROM "user" u WHERE `+filtered+`
		AND (u.created_at, u.id) < ($5, $6) ORDER BY u.created_at DESC, u.id DESC LIMIT $7`,
		org, string(f.Status), f.RoleID, f.BranchID, after.At, after.ID, limit)
	return out, err
}

func count(ctx context.Context, q bun.IDB, org id.ID, f Filter) (n int, err error) {
	err = db.Select(ctx, q, &n, `SELECT count(*) FROM "user" u WHERE `+filtered, org, string(f.Status), f.RoleID, f.BranchID)
	return n, err
}

func insertUser(ctx context.Context, tx *db.Tx, u *User) error {
	_, err := tx.NewInsert().Model(u).Exec(ctx)
	return db.Translate(err)
}

func updateUser(ctx context.Context, tx *db.Tx, u *User) error {
	_, err := tx.NewUpdate().Model(u).WherePK().ExcludeColumn("login_id", "email", "created_at").Exec(ctx)
	return db.Translate(err)
}

// otherAdmin reports whether another administrator may sign in.
func otherAdmin(ctx context.Context, tx *db.Tx, org, user id.ID) (yes bool, err error) {
	err = db.Select(ctx, tx, &yes, `SELECT EXISTS (SELECT FROM "user" u JOIN role r ON r.organization_id = u.organization_id AND r.id = u.role_id
		WHERE u.organization_id = $1 AND u.id <> $2 AND u.status = 'ACTIVE' AND r.built_in = 'ADMIN')`, org, user)
	return yes, err
}

// sipDomainIsEnabled reports whether the organization uses the domain.
func sipDomainIsEnabled(ctx context.Context, tx *db.Tx, org, domain id.ID) (yes bool, err error) {
	err = db.Select(ctx, tx, &yes, `SELECT EXISTS (SELECT FROM sip_domain WHERE organization_id = $1 AND id = $2 AND is_enabled AND removed_at IS NULL)`, org, domain)
	return yes, err
}

func branchesOf(ctx context.Context, tx *db.Tx, org, user id.ID) ([]id.ID, error) {
	rows, err := tx.Pgx().Query(ctx, `SELECT branch_id FROM branch_user WHERE organization_id = $1 AND user_id = $2`,
		pgx.QueryExecModeCacheStatement, org, user)
	if err != nil {
		return nil, db.Translate(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[id.ID])
	return out, db.Translate(err)
}

func phonesOf(ctx context.Context, q bun.IDB, org id.ID, users []id.ID) (out []*Phone, err error) {
	err = db.Select(ctx, q, &out, `SELECT `+phoneColumns+` FROM user_phone WHERE organization_id = $1 AND user_id = ANY($2)
		ORDER BY user_id, is_primary DESC, created_at, id`, org, users)
	return out, err
}

func replacePhones(ctx context.Context, tx *db.Tx, org, user id.ID, want []*Phone) error {
	keep := make([]string, len(want))
	for i, p := range want {
		keep[i] = string(p.E164)
	}
	if _, err := db.Exec(ctx, tx, `DELETE FROM user_phone WHERE organization_id = $1 AND user_id = $2 AND e164 <> ALL ($3)`, org, user, keep); err != nil {
		return err
	}
	// Nothing is primary for a moment: at most one may be at any.
	if _, err := db.Exec(ctx, tx, `UPDATE user_phone SET is_primary = false WHERE organization_id = $1 AND user_id = $2 AND is_primary`, org, user); err != nil {
		return err
	}
	if len(want) == 0 {
		return nil
	}
	_, err := tx.NewInsert().Model(&want).
		On("CONFLICT (organization_id, user_id, e164) DO UPDATE").
		Set("label = EXCLUDED.label, is_primary = EXCLUDED.is_primary").Exec(ctx)
	return db.Translate(err)
}

type line struct {
	UserID        id.ID `bun:"user_id"`
	PhoneNumberID id.ID `bun:"phone_number_id"`
}

func linesOf(ctx context.Context, q bun.IDB, org id.ID, users []id.ID) (out []line, err error) {
	err = db.Select(ctx, q, &out, `SELECT user_id, phone_number_id FROM user_line_dnd WHERE organization_id = $1 AND user_id = ANY($2)
		ORDER BY user_id, phone_number_id`, org, users)
	return out, err
}

func setLine(ctx context.Context, tx *db.Tx, org, user, number id.ID, on bool) error {
	query := `DELETE FROM user_line_dnd WHERE organization_id = $1 AND user_id = $2 AND phone_number_id = $3`
	if on {
		query = `INSERT INTO user_line_dnd (organization_id, user_id, phone_number_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	}
	n, err := db.Exec(ctx, tx, query, org, user, number)
	if err != nil || n > 0 {
		return err
	}
	// Nothing to do, or nothing there.
	var there bool
	if err := db.Select(ctx, tx, &there, `SELECT EXISTS (SELECT FROM phone_number WHERE organization_id = $1 AND id = $2)`, org, number); err != nil {
		return err
	}
	if !there {
		return errs.New(errs.NotFound, "there is no such phone number").At("phoneNumberId")
	}
	return nil
}

func deviceByID(ctx context.Context, q bun.IDB, org, device id.ID) (*Device, error) {
	return oneDevice(ctx, q, `SELECT `+deviceColumns+` FROM device WHERE organization_id = $1 AND id = $2`, org, device)
}

func lockDevice(ctx context.Context, tx *db.Tx, org, device id.ID) (*Device, error) {
	return oneDevice(ctx, tx, `SELECT `+deviceColumns+` FROM device WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE`, org, device)
}

func oneDevice(ctx context.Context, q bun.IDB, query string, org, device id.ID) (*Device, error) {
	d := &Device{}
	err := db.Select(ctx, q, d, query, org, device)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoDevice
	}
	return d, err
}

func devicesByIDs(ctx context.Context, q bun.IDB, org id.ID, ids []id.ID) (out []*Device, err error) {
	err = db.Select(ctx, q, &out, `SELECT `+deviceColumns+` FROM device WHERE organization_id = $1 AND id = ANY($2)`, org, ids)
	return out, err
}

func devicesOf(ctx context.Context, q bun.IDB, org id.ID, users []id.ID) (out []*Device, err error) {
	err = db.Select(ctx, q, &out, `SELECT `+deviceColumns+` FROM device
		WHERE organization_id = $1 AND user_id = ANY($2) AND removed_at IS NULL ORDER BY user_id, last_seen_at DESC, id DESC`, org, users)
	return out, err
}

func listDevices(ctx context.Context, q bun.IDB, org, user id.ID, after db.Keyset, limit int) (out []*Device, err error) {
	err = db.Select(ctx, q, &out, `SELECT `+deviceColumns+` FROM device
		WHERE organization_id = $1 AND ($2::uuid IS NULL OR user_id = $2) AND removed_at IS NULL AND (registered_at, id) < ($3, $4)
		ORDER BY registered_at DESC, id DESC LIMIT $5`, org, user, after.At, after.ID, limit)
	return out, err
}

func countDevices(ctx context.Context, q bun.IDB, org, user id.ID) (n int, err error) {
	err = db.Select(ctx, q, &n, `SELECT count(*) FROM device WHERE organization_id = $1 AND user_id = $2 AND removed_at IS NULL`, org, user)
	return n, err
}

func insertDevice(ctx context.Context, tx *db.Tx, d *Device) error {
	_, err := tx.NewInsert().Model(d).Exec(ctx)
	return db.Translate(err)
}

func updateDevice(ctx context.Context, tx *db.Tx, d *Device) error {
	_, err := tx.NewUpdate().Model(d).Column("name", "platform", "last_seen_at", "removed_at", "microphone", "notifications", "network", "reported_at", "push_sealed").WherePK().Exec(ctx)
	return db.Translate(err)
}

// PrimaryPhone is the phone that routing, forwarding and click-to-call use
// (R288); empty when there is none.
func PrimaryPhone(phones []*Phone) phone.E164 {
	for _, p := range phones {
		if p.IsPrimary {
			return p.E164
		}
	}
	return ""
}
