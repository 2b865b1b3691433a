package number

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
	"switchboard/internal/twilio"
)

// Update changes a number's settings (R030) and returns what its owner should
// know about them. To enable a number writes our addresses to Twilio, unless they
// stand there. Codes: errs.Forbidden, errs.NotFound, errs.Invalid, errs.Required,
// errs.Taken for a second assignment (D19), errs.Conflict for a number in other
// use or a user without a phone (R037), errs.Unsupported for what branch routing
// does not do (R028, R029), errs.ProviderRefused, errs.ProviderUnavailable.
func (s *Service) Update(ctx context.Context, who access.Actor, number id.ID, in Update) (n *PhoneNumber, warnings []string, err error) {
	if err := who.Require(access.NumberManage); err != nil {
		return nil, nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	if n, err = numberByID(ctx, s.db.App(), who.OrganizationID, number, ""); err != nil {
		return nil, nil, err
	}
	country, err := s.defaultCountry(ctx, s.db.App(), n.OrganizationID, n.ConnectionID)
	if err != nil {
		return nil, nil, err
	}
	wasEnabled, hooked := n.IsEnabled, n.WrittenWebhooks != nil
	if err := n.apply(in, country); err != nil { // before anything outside is asked
		return nil, nil, err
	}
	// Everything outside comes before the transaction, and the transaction before writing.
	var target *writing
	if n.IsEnabled && (!wasEnabled || !hooked) {
		if target, err = s.target(ctx, n, in.TakeOver); err != nil {
			return nil, nil, err
		}
		if hooked && target.written(s) {
			target = nil
		}
	}
	undo, err := s.fetchAudio(ctx, who, &in)
	if err != nil {
		return nil, nil, err
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if n, err = numberByID(ctx, tx, who.OrganizationID, number, forUpdate); err != nil {
			return err
		}
		if err := s.change(ctx, tx, who, n, in, country); err != nil {
			return err
		}
		if target != nil {
			s.intend(n, s.hooksOf(n.ConnectionID, target.account.accessKey), target.account.accessKey, target.settings)
		}
		if err := n.save(ctx, tx); err != nil {
			return err
		}
		if in.Routing.TeamID.Set {
			if err := forgetSwitches(ctx, tx, n.OrganizationID, n.ID, id.ID{}); err != nil {
				return err
			}
		}
		if err := told(ctx, tx, who, NumberUpdated, "number.update", n.ID, map[string]any{"fields": in.fields()}); err != nil {
			return err
		}
		n, err = numberByID(ctx, tx, who.OrganizationID, number, "") // with what the warnings look at
		return err
	})
	if err != nil {
		undo()
		return nil, nil, err
	}
	if target != nil {
		if n, err = s.write(ctx, who, n, target.account, target.settings, wasEnabled); err != nil {
			return nil, nil, err
		}
	}
	return n, n.about(in), nil
}

// writing is a number that our addresses are about to be written to.
type writing struct {
	account  *account
	settings twilio.NumberSettings // as Twilio has them now
}

// written reports whether our addresses stand there already.
func (w *writing) written(s *Service) bool {
	h := s.hooksOf(w.account.connection, w.account.accessKey)
	return differences(h.over(w.settings), w.settings) == nil
}

// target reads what stands at Twilio and refuses a number in other use.
func (s *Service) target(ctx context.Context, n *PhoneNumber, takeOver bool) (*writing, error) {
	a, err := s.ownAccount(ctx, n.ConnectionID)
	if err != nil {
		return nil, err
	}
	remote, err := a.client.FetchNumber(ctx, n.TwilioSid)
	if twilio.NotFound(err) {
		return nil, errs.New(errs.Conflict, "%s; import the numbers of the account again", lostAtTwilio).At("isEnabled").Because(err)
	}
	if err != nil {
		return nil, err
	}
	c, err := connectionByID(ctx, s.db.App(), n.OrganizationID, n.ConnectionID)
	if err != nil {
		return nil, err
	}
	if err := s.mayTake(c, n.E164, remote.Settings, takeOver); err != nil {
		return nil, err
	}
	return &writing{account: a, settings: remote.Settings}, nil
}

// change makes a change on a locked row, with the checks that need the database.
func (s *Service) change(ctx context.Context, tx *db.Tx, who access.Actor, n *PhoneNumber, in Update, country string) error {
	if err := n.apply(in, country); err != nil {
		return err
	}
	if in.AssignedUserID.Set {
		if err := s.assign(ctx, tx, n, in.AssignedUserID.Value); err != nil {
			return err
		}
	}
	if in.BranchID.Set || in.Routing.Mode.Set || in.Routing.ReachBy.Set || in.Routing.IncludeGeneralFieldworker.Set {
		if err := branchRings(ctx, tx, n); err != nil {
			return err
		}
	}
	if in.IsEnabled.Has() && in.IsEnabled.Value {
		has, err := s.Default(ctx, tx)
		if err != nil {
			return err
		}
		n.IsDefault = n.IsDefault || has == nil
	}
	if in.Voicemail.NotifiedUserIDs.Set {
		return notify(ctx, tx, n)
	}
	return nil
}

// assign makes the number the user's own: layer 4 (R041). The zero user takes it
// from whoever has it. One number has one user, one user one number (D19).
func (s *Service) assign(ctx context.Context, tx *db.Tx, n *PhoneNumber, user id.ID) error {
	if user.IsZero() || user == n.AssignedUserID {
		n.AssignedUserID = user
		return nil
	}
	if !n.AssignedUserID.IsZero() {
		holder, err := personByID(ctx, tx, n.OrganizationID, n.AssignedUserID)
		if err != nil {
			return err
		}
		return errs.New(errs.Taken, "number %s is assigned to %s already; take it from them first", n.E164, holder.Name).At("assignedUserId")
	}
	p, err := personByID(ctx, tx, n.OrganizationID, user)
	if err != nil {
		return err
	}
	switch {
	case p.Status == "DISABLED":
		return errs.New(errs.Conflict, "%s is disabled; enable them first, or choose somebody else", p.Name).At("assignedUserId")
	case p.Held != "" && p.HeldID != n.ID:
		return errs.New(errs.Taken, "%s has number %s already; take that one from them first", p.Name, p.Held).At("assignedUserId")
	}
	if _, ok := phone.FromWire(string(p.Primary)); !ok { // R037
		return errs.New(errs.Conflict, "%s has no primary phone that is a number; give them one first: calls of this number are sent there", p.Name).At("assignedUserId")
	}
	n.AssignedUserID = user
	return nil
}

type person struct {
	Name          string     `bun:"name"`
	Status        string     `bun:"status"`
	IsFieldworker bool       `bun:"is_fieldworker"`
	Primary       phone.E164 `bun:"primary_phone"`
	HeldID        id.ID      `bun:"held_id"`
	Held          phone.E164 `bun:"held"`
}

func personByID(ctx context.Context, tx *db.Tx, org, user id.ID) (person, error) {
	var p person
	err := db.Select(ctx, tx, &p, `
		SELECT u.name, u.status, u.is_fieldworker, COALESCE(p.e164, '') AS primary_phone, n.id AS held_id, COALESCE(n.e164, '') AS held
		FROM "user" u
		LEFT JOIN user_phone p ON p.organization_id = u.organization_id AND p.user_id = u.id AND p.is_primary
		LEFT JOIN phone_number n ON n.organization_id = u.organization_id AND n.assigned_user_id = u.id
		WHERE u.organization_id = $1 AND u.id = $2`, org, user)
	if errors.Is(err, sql.ErrNoRows) {
		return p, errs.New(errs.NotFound, "there is no such user; choose one of your organization").At("assignedUserId")
	}
	return p, err
}

// branchRings refuses what branch routing does not do: send every call to one
// fieldworker's own phone (R028, D02).
func branchRings(ctx context.Context, tx *db.Tx, n *PhoneNumber) error {
	if n.RoutingMode != RouteBranch || n.ReachBy != ReachPrimaryPhone {
		return nil
	}
	var group struct {
		Name *string `bun:"name"`
	}
	err := db.Select(ctx, tx, &group, `SELECT (`+loneFieldworker+`) AS name
		FROM (SELECT $1::uuid AS organization_id, $2::uuid AS branch_id, $3::boolean AS include_general_fieldworker) n`,
		n.OrganizationID, n.BranchID, n.IncludeGeneralFieldworker)
	if err != nil || group.Name == nil {
		return err
	}
	return errs.New(errs.Unsupported, "branch routing does not send calls straight to one fieldworker's own phone (%s is alone in this ring group); "+
		"instead, %s", *group.Name, insteadOfOnePhone).At("routing", "reachBy")
}

// notify writes who is told of a new voicemail (R128).
func notify(ctx context.Context, tx *db.Tx, n *PhoneNumber) error {
	_, err := db.Exec(ctx, tx, `DELETE FROM phone_number_voicemail_user WHERE organization_id = $1 AND phone_number_id = $2`, n.OrganizationID, n.ID)
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, tx, `INSERT INTO phone_number_voicemail_user (organization_id, phone_number_id, user_id, created_at)
		SELECT $1, $2, u, $4 FROM unnest($3::uuid[]) AS u`, n.OrganizationID, n.ID, n.VoicemailUserIDs, tx.Now)
	return err
}

// about is what to know of the new settings.
func (n *PhoneNumber) about(in Update) []string {
	out := []string{}
	r := n.Recording()
	if in.Recording.Incoming.Set && r.EffectiveIncoming.FromRinging() || in.Recording.Outgoing.Set && r.EffectiveOutgoing.FromRinging() {
		out = append(out, warnFromRinging) // D10
	}
	if in.Routing.Mode.Set && n.RoutingMode == RouteBranch || in.BranchID.Set {
		if n.RoutingMode == RouteBranch && n.BranchID.IsZero() && !n.IncludeGeneralFieldworker {
			out = append(out, "the number has no branch, so nobody rings: calls go to its forwarding numbers and voicemail")
		}
	}
	if slices.Contains(in.fields(), "routing") || in.BranchID.Set {
		out = append(out, n.routingWarnings()...)
	}
	if n.UseForInboundCalls && in.Usage.InboundCalls.Set && !n.CanVoice {
		out = append(out, "the number cannot take or make calls")
	}
	if n.UseForMessages && in.Usage.Messages.Set && !n.CanSms && !n.CanMms {
		out = append(out, "the number cannot send or receive messages")
	}
	if in.IsEnabled.Has() && n.IsEnabled {
		if !n.ConnectionIsEnabled {
			out = append(out, "its connection is switched off: no calls or messages pass until that is switched on")
		}
		if w := n.elsewhereByService(); w != "" {
			out = append(out, w)
		}
	}
	return out
}

// SetDefault makes it the organization's default number (R010). Codes:
// errs.Forbidden, errs.NotFound, errs.Conflict.
func (s *Service) SetDefault(ctx context.Context, who access.Actor, number id.ID) (n *PhoneNumber, err error) {
	if err := who.Require(access.NumberManage); err != nil {
		return nil, err
	}
	err = s.db.InTx(db.WithTenant(ctx, who.OrganizationID), func(ctx context.Context, tx *db.Tx) error {
		former, err := s.Default(ctx, tx)
		if err != nil {
			return err
		}
		if n, err = numberByID(ctx, tx, who.OrganizationID, number, forUpdate); err != nil {
			return err
		}
		switch {
		case n.DisconnectedAt != nil:
			return errs.New(errs.Conflict, "this number is disconnected; choose one that is connected")
		case n.IsDefault:
			return nil
		}
		if former != nil {
			former, err = numberByID(ctx, tx, who.OrganizationID, former.ID, forUpdate)
			if err != nil {
				return err
			}
			former.IsDefault = false
			if err := former.save(ctx, tx); err != nil {
				return err
			}
			if err := told(ctx, tx, who, NumberUpdated, "", former.ID, nil); err != nil {
				return err
			}
		}
		n.IsDefault = true
		if err := n.save(ctx, tx); err != nil {
			return err
		}
		return told(ctx, tx, who, NumberUpdated, "number.default", n.ID, nil)
	})
	if err != nil {
		return nil, err
	}
	return n, nil
}

// WriteWebhooks writes our addresses again, whatever stands at Twilio now: that
// is kept and given back on disconnect. Codes: errs.Forbidden, errs.NotFound,
// errs.Conflict, errs.ProviderRefused, errs.ProviderUnavailable.
func (s *Service) WriteWebhooks(ctx context.Context, who access.Actor, number id.ID) (n *PhoneNumber, err error) {
	if err := who.Require(access.ConnectionManage); err != nil {
		return nil, err
	}
	ctx = db.WithTenant(ctx, who.OrganizationID)
	if n, err = numberByID(ctx, s.db.App(), who.OrganizationID, number, ""); err != nil {
		return nil, err
	}
	if n.DisconnectedAt != nil || (!n.IsEnabled && n.WrittenWebhooks == nil) {
		return nil, errs.New(errs.Conflict, "the number is not enabled; enable it, which writes the addresses too")
	}
	t, err := s.target(ctx, n, true)
	if err != nil {
		return nil, err
	}
	// Our application holds an address of ours too.
	if _, err := s.setUp(ctx, who, t.account); err != nil {
		return nil, err
	}
	wasEnabled := n.IsEnabled
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if n, err = numberByID(ctx, tx, who.OrganizationID, number, forUpdate); err != nil {
			return err
		}
		if n.DisconnectedAt != nil {
			return errs.New(errs.Conflict, "the number is not enabled; enable it, which writes the addresses too")
		}
		s.intend(n, s.hooksOf(n.ConnectionID, t.account.accessKey), t.account.accessKey, t.settings)
		if err := n.save(ctx, tx); err != nil {
			return err
		}
		return told(ctx, tx, who, "", "number.webhooks", n.ID, nil)
	})
	if err != nil {
		return nil, err
	}
	return s.write(ctx, who, n, t.account, t.settings, wasEnabled)
}

// AssignToUser makes the number the user's own (R041), instead of one they had;
// the zero number takes it away. It is Update's assignment for package user, in
// its transaction. Codes: errs.NotFound, errs.Taken (D19), errs.Conflict (R037).
func (s *Service) AssignToUser(ctx context.Context, tx *db.Tx, user, number id.ID) error {
	who := access.From(ctx)
	who.OrganizationID = db.TenantFrom(ctx)
	var held []*PhoneNumber
	err := db.Select(ctx, tx, &held, selectNumber+` WHERE n.organization_id = $1 AND n.assigned_user_id = $2`+forUpdate, who.OrganizationID, user)
	if err != nil {
		return err
	}
	for _, n := range held {
		if n.ID == number {
			return nil
		}
		n.AssignedUserID = id.ID{}
		if err := n.save(ctx, tx); err != nil {
			return err
		}
		if err := told(ctx, tx, who, NumberUpdated, "number.unassign", n.ID, nil); err != nil {
			return err
		}
	}
	if number.IsZero() {
		return nil
	}
	n, err := numberByID(ctx, tx, who.OrganizationID, number, forUpdate)
	if err != nil {
		return err
	}
	if err := s.change(ctx, tx, who, n, Update{AssignedUserID: patch.To(user)}, ""); err != nil {
		return err
	}
	if err := n.save(ctx, tx); err != nil {
		return err
	}
	return told(ctx, tx, who, NumberUpdated, "number.assign", n.ID, map[string]any{"userId": user})
}
