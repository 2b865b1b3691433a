package followup

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/access"
	"switchboard/internal/audit"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// standard is what the server says where neither the person nor their role does.
var standard = map[NotificationKind][]Channel{
	ToldMissedCall:          {InApp, WebPush, MobilePush},
	ToldAnsweredElsewhere:   {InApp},
	ToldVoicemailReceived:   {InApp, WebPush, MobilePush, Email},
	ToldMessageReceived:     {InApp, WebPush, MobilePush},
	ToldCallTransferred:     {InApp, WebPush, MobilePush},
	ToldFollowUpAssigned:    {InApp, WebPush, MobilePush},
	ToldFollowUpEscalated:   {InApp, WebPush, MobilePush, Email},
	ToldTranscriptCompleted: {InApp},
	ToldExportReady:         {InApp, WebPush},
}

// PreferenceChange is how somebody wants to be told of one kind; nil Channels: as
// the role, or the server, says.
type PreferenceChange struct {
	Kind     NotificationKind
	Channels *[]Channel
}

// chosen are the ways in which each of some people is told of a kind.
func chosen(ctx context.Context, tx *db.Tx, org id.ID, kind NotificationKind, all map[id.ID]*person) (map[id.ID][]Channel, error) {
	var users, roles []id.ID
	for u, p := range all {
		users, roles = append(users, u), append(roles, p.RoleID)
	}
	rows, err := tx.Pgx().Query(ctx, `SELECT coalesce(user_id, role_id), channels FROM notification_preference
		WHERE organization_id = $1 AND kind = $2 AND (user_id = ANY ($3::uuid[]) OR role_id = ANY ($4::uuid[]))`, org, string(kind), users, roles)
	if err != nil {
		return nil, db.Translate(err)
	}
	said := map[id.ID][]Channel{}
	var of id.ID
	var ways []Channel
	if _, err := pgx.ForEachRow(rows, []any{&of, &ways}, func() error {
		said[of], ways = ways, nil
		return nil
	}); err != nil {
		return nil, db.Translate(err)
	}
	out := make(map[id.ID][]Channel, len(all))
	for u, p := range all {
		for _, of := range []id.ID{u, p.RoleID} {
			if ways, ok := said[of]; ok {
				out[u] = ways
				break
			}
		}
		if _, ok := out[u]; !ok {
			out[u] = standard[kind]
		}
	}
	return out, nil
}

// Preferences are what a person is told of, and how: theirs to read, and those of
// others with USER_MANAGE. The zero user is the actor.
func (s *Service) Preferences(ctx context.Context, who access.Actor, user id.ID) (_ []*Preference, err error) {
	defer errs.Wrap(&err, "followup.Preferences")
	if user, err = s.whose(who, user); err != nil {
		return nil, err
	}
	var out []*Preference
	err = s.d.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		out, err = preferences(ctx, tx, who.OrganizationID, user)
		return err
	})
	return out, err
}

// whose is the person whose notifications the actor may look after.
func (s *Service) whose(who access.Actor, user id.ID) (id.ID, error) {
	switch {
	case !who.Known():
		return id.ID{}, who.Require("")
	case user.IsZero() && who.UserID.IsZero():
		return id.ID{}, errs.New(errs.Forbidden, "an API key is told of nothing; sign in as a person, or name one").At("userId")
	case user.IsZero() || user == who.UserID:
		return who.UserID, nil
	}
	return user, who.Require(access.UserManage)
}

func preferences(ctx context.Context, tx *db.Tx, org, user id.ID) ([]*Preference, error) {
	var role id.ID
	err := tx.Pgx().QueryRow(ctx, `SELECT role_id FROM "user" WHERE organization_id = $1 AND id = $2`, org, user).Scan(&role)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errs.New(errs.NotFound, "there is no such user").At("userId")
	}
	if err != nil {
		return nil, db.Translate(err)
	}
	all, err := said(ctx, tx, org, []id.ID{user, role})
	return merged(all[user], all[role]), err
}

// said is what was chosen by or for some people and roles.
func said(ctx context.Context, tx *db.Tx, org id.ID, of []id.ID) (map[id.ID]map[NotificationKind][]Channel, error) {
	rows, err := tx.Pgx().Query(ctx, `SELECT coalesce(user_id, role_id), kind, channels FROM notification_preference
		WHERE organization_id = $1 AND (user_id = ANY ($2::uuid[]) OR role_id = ANY ($2::uuid[]))`, org, of)
	if err != nil {
		return nil, db.Translate(err)
	}
	out := map[id.ID]map[NotificationKind][]Channel{}
	var x id.ID
	var kind NotificationKind
	var ways []Channel
	_, err = pgx.ForEachRow(rows, []any{&x, &kind, &ways}, func() error {
		if out[x] == nil {
			out[x] = map[NotificationKind][]Channel{}
		}
		out[x][kind], ways = ways, nil
		return nil
	})
	return out, db.Translate(err)
}

// merged is a row for each kind: what was chosen first, else after, else the server's.
func merged(first, after map[NotificationKind][]Channel) []*Preference {
	out := make([]*Preference, len(NotificationKinds))
	for i, k := range NotificationKinds {
		p := &Preference{Kind: k, IsDefault: true}
		if ways, ok := first[k]; ok {
			p.Channels, p.IsDefault = ways, false
		} else if ways, ok := after[k]; ok {
			p.Channels = ways
		} else {
			p.Channels = standard[k]
		}
		p.Channels = ordered(p.Channels)
		out[i] = p
	}
	return out
}

// ordered are the channels in the order of the contract, each once.
func ordered(ways []Channel) []Channel {
	out := []Channel{}
	for _, c := range Channels {
		if slices.Contains(ways, c) {
			out = append(out, c)
		}
	}
	return out
}

// SetPreferences chooses what a person is told of, and how (R197). Those of others
// need USER_MANAGE.
func (s *Service) SetPreferences(ctx context.Context, who access.Actor, user id.ID, changes []PreferenceChange) (out []*Preference, err error) {
	defer errs.Wrap(&err, "followup.SetPreferences")
	if user, err = s.whose(who, user); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if _, err := preferences(ctx, tx, who.OrganizationID, user); err != nil { // there is such a user
			return err
		}
		if err := choose(ctx, tx, who.OrganizationID, "user_id", user, changes); err != nil {
			return err
		}
		if user != who.UserID {
			if err := audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "notificationPreferences.set", Subject: user, Detail: map[string]any{"kinds": kindsOf(changes)}}); err != nil {
				return err
			}
		}
		out, err = preferences(ctx, tx, who.OrganizationID, user)
		return err
	})
	return out, err
}

// SetDefaults chooses what the people of a role are told of unless they chose
// themselves. It needs USER_MANAGE.
func (s *Service) SetDefaults(ctx context.Context, who access.Actor, role id.ID, changes []PreferenceChange) (r *access.Role, err error) {
	defer errs.Wrap(&err, "followup.SetDefaults(%s)", role)
	if err := who.Require(access.UserManage); err != nil {
		return nil, err
	}
	err = s.d.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		if r, err = access.RoleByID(ctx, tx, role); err != nil {
			return err
		}
		if err := choose(ctx, tx, who.OrganizationID, "role_id", role, changes); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "notificationDefaults.set", Subject: role, Detail: map[string]any{"kinds": kindsOf(changes)}})
	})
	return r, err
}

// DefaultsByRoles are what the people of roles are told of, in one statement.
func (s *Service) DefaultsByRoles(ctx context.Context, roles []id.ID) (out map[id.ID][]*Preference, err error) {
	out = make(map[id.ID][]*Preference, len(roles))
	err = s.d.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		all, err := said(ctx, tx, db.TenantFrom(ctx), roles)
		for _, r := range roles {
			out[r] = merged(all[r], nil)
		}
		return err
	})
	return out, err
}

func kindsOf(changes []PreferenceChange) (out []NotificationKind) {
	for _, c := range changes {
		out = append(out, c.Kind)
	}
	return out
}

// choose keeps choices; of is the column, never a person's text.
func choose(ctx context.Context, tx *db.Tx, org id.ID, of string, x id.ID, changes []PreferenceChange) error {
	if len(changes) == 0 || len(changes) > len(NotificationKinds) {
		return errs.New(errs.Required, "name the kinds to change, each once").At("preferences")
	}
	seen := map[NotificationKind]bool{}
	for _, c := range changes {
		if seen[c.Kind] {
			return errs.New(errs.Invalid, "the kind %s is named twice; name it once", c.Kind).At("preferences")
		}
		seen[c.Kind] = true
		if _, err := tx.Pgx().Exec(ctx, `DELETE FROM notification_preference WHERE organization_id = $1 AND `+of+` = $2 AND kind = $3`, org, x, string(c.Kind)); err != nil {
			return db.Translate(err)
		}
		if c.Channels == nil {
			continue
		}
		if _, err := tx.Pgx().Exec(ctx, `INSERT INTO notification_preference (organization_id, id, `+of+`, kind, channels, updated_at) VALUES ($1, $2, $3, $4, $5::text[], $6)
			ON CONFLICT (organization_id, `+of+`, kind) WHERE `+of+` IS NOT NULL DO UPDATE SET channels = excluded.channels, updated_at = excluded.updated_at`,
			org, id.New(id.Notification), x, string(c.Kind), texts(ordered(*c.Channels)), tx.Now); err != nil {
			return db.Translate(err)
		}
	}
	return nil
}

func texts(ways []Channel) []string {
	out := make([]string, len(ways))
	for i, c := range ways {
		out[i] = string(c)
	}
	return out
}

// voicemailWays are the ways in which the voicemails of a number may be told of; nil: all (R130).
func voicemailWays(ctx context.Context, tx *db.Tx, org, number id.ID) ([]Channel, error) {
	var ways []Channel
	err := tx.Pgx().QueryRow(ctx, `SELECT channels FROM voicemail_notification WHERE organization_id = $1 AND phone_number_id = $2`, org, number).Scan(&ways)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if ways == nil {
		ways = []Channel{}
	}
	return ways, db.Translate(err)
}

// SetVoicemailChannels chooses how the voicemails of a number may be told of (R130).
// It needs NUMBER_MANAGE.
func (s *Service) SetVoicemailChannels(ctx context.Context, who access.Actor, number id.ID, ways []Channel) (err error) {
	defer errs.Wrap(&err, "followup.SetVoicemailChannels(%s)", number)
	if err := who.Require(access.NumberManage); err != nil {
		return err
	}
	return s.d.DB.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		n, err := db.Exec(ctx, tx, `INSERT INTO voicemail_notification (organization_id, phone_number_id, channels, updated_at)
			SELECT organization_id, id, $3::text[], $4 FROM phone_number WHERE organization_id = $1 AND id = $2
			ON CONFLICT (organization_id, phone_number_id) DO UPDATE SET channels = excluded.channels, updated_at = excluded.updated_at`,
			who.OrganizationID, number, texts(ordered(ways)), tx.Now)
		if err != nil {
			return err
		}
		if n == 0 {
			return errs.New(errs.NotFound, "there is no such number").At("phoneNumberId")
		}
		return audit.Write(ctx, tx, audit.Entry{ActorID: who.ID(), Action: "voicemailNotifications.set", Subject: number, Detail: map[string]any{"channels": ordered(ways)}})
	})
}

// VoicemailChannelsByNumbers are how the voicemails of numbers may be told of, in
// one statement.
func (s *Service) VoicemailChannelsByNumbers(ctx context.Context, numbers []id.ID) (map[id.ID][]Channel, error) {
	out := make(map[id.ID][]Channel, len(numbers))
	for _, n := range numbers {
		out[n] = Channels
	}
	var rows []struct {
		Number id.ID     `bun:"phone_number_id,type:uuid"`
		Ways   []Channel `bun:"channels,array"`
	}
	err := db.Select(ctx, s.d.DB.App(), &rows, `SELECT phone_number_id, channels FROM voicemail_notification WHERE organization_id = $1 AND phone_number_id = ANY ($2::uuid[])`,
		db.TenantFrom(ctx), numbers)
	for _, r := range rows {
		out[r.Number] = ordered(r.Ways)
	}
	return out, err
}
