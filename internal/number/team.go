package number

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/uptrace/bun"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
)

const maxTeam = 200 // people of one team

// TeamCreate is a new team.
type TeamCreate struct {
	Name    string
	UserIDs []id.ID // in ringing order
}

// TeamUpdate is a change to a team: absent keeps.
type TeamUpdate struct {
	Name    patch.Field[string]
	UserIDs patch.Field[[]id.ID] // all of them, in ringing order
}

const selectTeam = `SELECT t.organization_id, t.id, t.name, t.version, t.created_at, t.updated_at,
	ARRAY(SELECT u.user_id FROM team_user u WHERE u.organization_id = t.organization_id AND u.team_id = t.id ORDER BY u.position) AS user_ids
	FROM team t`

var errNoTeam = errs.New(errs.NotFound, "there is no such team, or you may not see it")

// CreateTeam adds a team and its people (R025). Codes: errs.Forbidden,
// errs.Required, errs.Invalid, errs.Taken, errs.LimitReached, errs.NotFound for a user.
func (s *Service) CreateTeam(ctx context.Context, who access.Actor, in TeamCreate) (_ *Team, err error) {
	if err := who.Require(access.NumberManage); err != nil {
		return nil, err
	}
	t := &Team{OrganizationID: who.OrganizationID, ID: id.New(id.Team), Version: 1}
	if t.Name, err = checkText(in.Name, maxName, "name"); err != nil {
		return nil, err
	}
	if t.UserIDs, err = checkIDs(in.UserIDs, id.User, maxTeam, "userIds"); err != nil {
		return nil, err
	}
	err = s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		t.CreatedAt, t.UpdatedAt = tx.Now, tx.Now
		if _, err := tx.NewInsert().Model(t).Exec(ctx); err != nil {
			return err
		}
		if err := setTeam(ctx, tx, t); err != nil {
			return err
		}
		return told(ctx, tx, who, "", "team.create", t.ID, map[string]any{"users": len(t.UserIDs)})
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// UpdateTeam changes a team; the next call rings as it is then. Codes: those of
// CreateTeam, errs.NotFound.
func (s *Service) UpdateTeam(ctx context.Context, who access.Actor, team id.ID, in TeamUpdate) (t *Team, err error) {
	if err := who.Require(access.NumberManage); err != nil {
		return nil, err
	}
	users, err := checkIDs(in.UserIDs.Value, id.User, maxTeam, "userIds")
	if err != nil {
		return nil, err
	}
	err = s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if t, err = teamByID(ctx, tx, who.OrganizationID, team, " FOR NO KEY UPDATE OF t"); err != nil {
			return err
		}
		if in.Name.Set {
			if t.Name, err = checkText(in.Name.Value, maxName, "name"); err != nil {
				return err
			}
		}
		t.Version, t.UpdatedAt = t.Version+1, tx.Now
		if _, err := tx.NewUpdate().Model(t).ExcludeColumn("created_at").WherePK().Exec(ctx); err != nil {
			return err
		}
		if in.UserIDs.Set {
			t.UserIDs = users
			if err := setTeam(ctx, tx, t); err != nil {
				return err
			}
			if err := forgetSwitches(ctx, tx, who.OrganizationID, id.ID{}, t.ID); err != nil {
				return err
			}
		}
		if err := numbersChanged(ctx, tx, who, `team_id = $2`, t.ID); err != nil {
			return err
		}
		return told(ctx, tx, who, "", "team.update", t.ID, map[string]any{"users": len(t.UserIDs)})
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// DeleteTeam deletes a team that no connected number and no menu uses. Codes:
// errs.Forbidden, errs.NotFound, errs.Conflict naming who uses it.
func (s *Service) DeleteTeam(ctx context.Context, who access.Actor, team id.ID) error {
	if err := who.Require(access.NumberManage); err != nil {
		return err
	}
	return s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if _, err := teamByID(ctx, tx, who.OrganizationID, team, " FOR UPDATE OF t"); err != nil {
			return err
		}
		if err := releaseNumbers(ctx, tx, who.OrganizationID, "team_id", team, "team"); err != nil {
			return err
		}
		if err := noMenuLeadsTo(ctx, tx, who.OrganizationID, "team", team); err != nil {
			return err
		}
		if _, err := db.Exec(ctx, tx, `DELETE FROM team WHERE organization_id = $1 AND id = $2`, who.OrganizationID, team); err != nil {
			return err
		}
		return told(ctx, tx, who, "", "team.delete", team, nil)
	})
}

func setTeam(ctx context.Context, tx *db.Tx, t *Team) error {
	_, err := db.Exec(ctx, tx, `
		WITH gone AS (
			DELETE FROM team_user WHERE organization_id = $1 AND team_id = $2 AND NOT user_id = ANY ($3::uuid[])
		) INSERT INTO team_user (organization_id, team_id, user_id, position, created_at)
		SELECT $1, $2, w.u, w.n - 1, $4 FROM unnest($3::uuid[]) WITH ORDINALITY AS w (u, n)
		ON CONFLICT (organization_id, team_id, user_id) DO UPDATE SET position = excluded.position`,
		t.OrganizationID, t.ID, t.UserIDs, tx.Now)
	return err
}

// forgetSwitches drops the switches of people who are no longer of a number's
// team: whoever comes back begins with everything on.
func forgetSwitches(ctx context.Context, tx *db.Tx, org, number, team id.ID) error {
	_, err := db.Exec(ctx, tx, `
		DELETE FROM phone_number_user x USING phone_number n
		WHERE x.organization_id = $1 AND n.organization_id = $1 AND n.id = x.phone_number_id AND (n.id = $2 OR n.team_id = $3)
			AND NOT EXISTS (SELECT FROM team_user t WHERE t.organization_id = $1 AND t.team_id = n.team_id AND t.user_id = x.user_id)`,
		org, number, team)
	return err
}

// numbersChanged tells of the connected numbers that a setting is of: their calls
// go another way from now on. The condition's $2 is x.
func numbersChanged(ctx context.Context, tx *db.Tx, who access.Actor, condition string, x any) error {
	var numbers []struct {
		ID id.ID `bun:"id"`
	}
	err := db.Select(ctx, tx, &numbers, `SELECT id FROM phone_number WHERE organization_id = $1 AND disconnected_at IS NULL AND `+condition+` ORDER BY id`,
		who.OrganizationID, x)
	if err != nil {
		return err
	}
	events := make([]event.Event, len(numbers))
	for i, n := range numbers {
		events[i] = event.Event{OrganizationID: who.OrganizationID, Kind: NumberUpdated, Subject: n.ID, ActorID: who.UserID}
	}
	return event.Append(ctx, tx, events...)
}

// releaseNumbers refuses to delete what a connected number uses, and takes it from
// disconnected ones. The column is one of ours.
func releaseNumbers(ctx context.Context, tx *db.Tx, org id.ID, column string, x id.ID, what string) error {
	var n struct {
		E164  phone.E164 `bun:"e164"`
		Name  string     `bun:"name"`
		Count int        `bun:"count"`
	}
	err := db.Select(ctx, tx, &n, `SELECT e164, name, count(*) OVER () AS count FROM phone_number
		WHERE organization_id = $1 AND `+column+` = $2 AND disconnected_at IS NULL ORDER BY id LIMIT 1`, org, x)
	switch {
	case err == nil && n.Count > 1:
		return errs.New(errs.Conflict, "%d numbers use this %s, among them %s (%s); change them first", n.Count, what, n.E164, n.Name)
	case err == nil:
		return errs.New(errs.Conflict, "number %s (%s) uses this %s; change it first", n.E164, n.Name, what)
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	_, err = db.Exec(ctx, tx, `UPDATE phone_number SET `+column+` = NULL, updated_at = $3 WHERE organization_id = $1 AND `+column+` = $2`, org, x, tx.Now)
	return err
}

func teamByID(ctx context.Context, q bun.IDB, org, team id.ID, suffix string) (*Team, error) {
	t := &Team{}
	err := db.Select(ctx, q, t, selectTeam+` WHERE t.organization_id = $1 AND t.id = $2`+suffix, org, team)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoTeam
	}
	return t, err
}

// Team is one team, else errs.NotFound.
func (s *Service) Team(ctx context.Context, who access.Actor, team id.ID) (*Team, error) {
	if !who.Known() {
		return nil, errNoTeam
	}
	return teamByID(db.WithTenant(ctx, who.OrganizationID), s.db.App(), who.OrganizationID, team, "")
}

// Teams is a page of the organization's teams, newest first.
func (s *Service) Teams(ctx context.Context, who access.Actor, p db.Page) (w db.Window[*Team], err error) {
	if err := known(who); err != nil {
		return w, err
	}
	return pageOf(ctx, s, who, p, selectTeam+` WHERE t.organization_id = $1 AND t.id < $2 ORDER BY t.id DESC LIMIT $3`,
		func(t *Team) db.Keyset { return db.Keyset{At: t.CreatedAt, ID: t.ID} })
}

// pageOf reads a page of rows whose ids grow with time.
func pageOf[T any](ctx context.Context, s *Service, who access.Actor, p db.Page, query string, key func(T) db.Keyset) (w db.Window[T], err error) {
	limit, after, err := p.Keyset()
	if err != nil {
		return w, err
	}
	var rows []T
	if err := db.Select(db.WithTenant(ctx, who.OrganizationID), s.db.App(), &rows, query, who.OrganizationID, after.ID, limit+1); err != nil {
		return w, err
	}
	return db.NewWindow(rows, limit, key), nil
}

// TeamsByIDs are teams of the context's tenant by id, in one statement.
func (s *Service) TeamsByIDs(ctx context.Context, ids []id.ID) (map[id.ID]*Team, error) {
	var rows []*Team
	err := db.Select(ctx, s.db.App(), &rows, selectTeam+` WHERE t.organization_id = $1 AND t.id = ANY ($2::uuid[])`, db.TenantFrom(ctx), ids)
	return byID(rows, func(t *Team) id.ID { return t.ID }), err
}

func byID[T any](rows []*T, key func(*T) id.ID) map[id.ID]*T {
	out := make(map[id.ID]*T, len(rows))
	for _, r := range rows {
		out[key(r)] = r
	}
	return out
}

// ByTeams are the connected numbers of teams of the context's tenant, in one statement.
func (s *Service) ByTeams(ctx context.Context, teams []id.ID) (map[id.ID][]*PhoneNumber, error) {
	var rows []*PhoneNumber
	err := db.Select(ctx, s.db.App(), &rows, selectNumber+`
		WHERE n.organization_id = $1 AND n.team_id = ANY ($2::uuid[]) AND n.disconnected_at IS NULL ORDER BY n.id DESC`, db.TenantFrom(ctx), teams)
	out := make(map[id.ID][]*PhoneNumber, len(teams))
	for _, n := range rows {
		out[n.TeamID] = append(out[n.TeamID], n)
	}
	return out, err
}

// UsersByNumbers are what the people of each number's team do on it (R026), in
// ringing order, in one statement. Without a team there is nobody.
func (s *Service) UsersByNumbers(ctx context.Context, numbers []id.ID) (map[id.ID][]*NumberUser, error) {
	var rows []*NumberUser
	err := db.Select(ctx, s.db.App(), &rows, `
		SELECT n.organization_id, n.id AS phone_number_id, t.user_id, COALESCE(x.incoming_calls, true) AS incoming_calls,
			COALESCE(x.outgoing_calls, true) AS outgoing_calls, COALESCE(x.sms, true) AS sms, COALESCE(x.mms, true) AS mms
		FROM phone_number n
		JOIN team_user t ON t.organization_id = n.organization_id AND t.team_id = n.team_id
		LEFT JOIN phone_number_user x ON x.organization_id = n.organization_id AND x.phone_number_id = n.id AND x.user_id = t.user_id
		WHERE n.organization_id = $1 AND n.id = ANY ($2::uuid[]) ORDER BY n.id, t.position`, db.TenantFrom(ctx), numbers)
	out := make(map[id.ID][]*NumberUser, len(numbers))
	for _, x := range rows {
		out[x.PhoneNumberID] = append(out[x.PhoneNumberID], x)
	}
	return out, err
}

// NumberUserSet are the switches of one user on one number: absent keeps, null is on.
type NumberUserSet struct {
	PhoneNumberID, UserID                  id.ID
	IncomingCalls, OutgoingCalls, Sms, Mms patch.Field[bool]
}

// SetNumberUser says what a user of a number's team does on that number (R026).
// Codes: errs.Forbidden, errs.NotFound, errs.Conflict for a user who is not of
// the number's team.
func (s *Service) SetNumberUser(ctx context.Context, who access.Actor, in NumberUserSet) (n *PhoneNumber, err error) {
	if err := who.Require(access.NumberManage); err != nil {
		return nil, err
	}
	err = s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if n, err = numberByID(ctx, tx, who.OrganizationID, in.PhoneNumberID, forUpdate); err != nil {
			return at(err, "phoneNumberId")
		}
		if n.TeamID.IsZero() {
			return errs.New(errs.Conflict, "the number has no team; give it one first").At("phoneNumberId")
		}
		t, err := teamByID(ctx, tx, who.OrganizationID, n.TeamID, " FOR SHARE OF t")
		if err != nil {
			return err
		}
		if !slices.Contains(t.UserIDs, in.UserID) {
			return errs.New(errs.NotFound, "there is no such user in the number's team %s; add them to the team first", t.Name).At("userId")
		}
		x := NumberUser{IncomingCalls: true, OutgoingCalls: true, Sms: true, Mms: true}
		err = db.Select(ctx, tx, &x, `SELECT incoming_calls, outgoing_calls, sms, mms FROM phone_number_user
			WHERE organization_id = $1 AND phone_number_id = $2 AND user_id = $3`, who.OrganizationID, n.ID, in.UserID)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		for _, f := range []struct {
			change patch.Field[bool]
			dst    *bool
		}{{in.IncomingCalls, &x.IncomingCalls}, {in.OutgoingCalls, &x.OutgoingCalls}, {in.Sms, &x.Sms}, {in.Mms, &x.Mms}} {
			if f.change.Set {
				*f.dst = f.change.Null || f.change.Value
			}
		}
		_, err = db.Exec(ctx, tx, `
			INSERT INTO phone_number_user (organization_id, phone_number_id, user_id, incoming_calls, outgoing_calls, sms, mms, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
			ON CONFLICT (organization_id, phone_number_id, user_id) DO UPDATE SET incoming_calls = excluded.incoming_calls,
				outgoing_calls = excluded.outgoing_calls, sms = excluded.sms, mms = excluded.mms, updated_at = excluded.updated_at`,
			who.OrganizationID, n.ID, in.UserID, x.IncomingCalls, x.OutgoingCalls, x.Sms, x.Mms, tx.Now)
		if err != nil {
			return err
		}
		if err := n.save(ctx, tx); err != nil {
			return err
		}
		return told(ctx, tx, who, NumberUpdated, "number.user", n.ID, map[string]any{"userId": in.UserID,
			"incomingCalls": x.IncomingCalls, "outgoingCalls": x.OutgoingCalls, "sms": x.Sms, "mms": x.Mms})
	})
	if err != nil {
		return nil, err
	}
	return n, nil
}
