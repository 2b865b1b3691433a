package contact

import (
	"context"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
)

var (
	errNoAccount  = errs.New(errs.NotFound, "there is no such account; choose a contact of the kind ACCOUNT")
	errHasMembers = errs.New(errs.Conflict, "contacts belong to this account; give them another account, or none, before it becomes something else")
)

// checkAccount refuses what no account can be, before anybody looks for it.
func checkAccount(c *Contact) error {
	switch {
	case c.AccountID.IsZero():
		return nil
	case c.AccountID.Kind() != id.Contact:
		return errs.New(errs.Invalid, "%s", c.AccountID.Want(id.Contact)).At("accountId")
	case c.Kind == KindAccount:
		return errs.New(errs.Invalid, "an account belongs to no other account").At("accountId")
	}
	return nil
}

// mayBelong refuses an account that is none, or that the actor does not see.
func mayBelong(ctx context.Context, tx *db.Tx, who access.Actor, c *Contact) error {
	if err := checkAccount(c); err != nil || c.AccountID.IsZero() {
		return err
	}
	found, err := accountsOf(ctx, tx, who, []id.ID{c.AccountID}, nil)
	if err == nil && !found.ids[c.AccountID] {
		err = at(errNoAccount, "accountId")
	}
	return err
}

// haveMembers are those of the contacts that others belong to.
func haveMembers(ctx context.Context, tx *db.Tx, ids []id.ID) (map[id.ID]bool, error) {
	var rows []struct {
		ID id.ID `bun:"id"`
	}
	err := db.Select(ctx, tx, &rows, `SELECT k.id FROM unnest($2::uuid[]) AS k (id)
		WHERE EXISTS (SELECT FROM contact c WHERE c.organization_id = $1 AND c.account_id = k.id)`, db.TenantFrom(ctx), ids)
	out := make(map[id.ID]bool, len(rows))
	for _, r := range rows {
		out[r.ID] = true
	}
	return out, err
}

// noMembers refuses that an account becomes something else while contacts belong to it.
func noMembers(ctx context.Context, tx *db.Tx, contact id.ID, field string) error {
	members, err := haveMembers(ctx, tx, []id.ID{contact})
	if err == nil && members[contact] {
		err = at(errHasMembers, field)
	}
	return err
}

// accounts are those that rows name.
type accounts struct {
	ids      map[id.ID]bool
	external map[string]id.ID
}

// accountsOf finds accounts that the actor sees, in one statement.
func accountsOf(ctx context.Context, tx *db.Tx, who access.Actor, ids []id.ID, external []string) (accounts, error) {
	out := accounts{ids: map[id.ID]bool{}, external: map[string]id.ID{}}
	if len(ids)+len(external) == 0 {
		return out, nil
	}
	query := `SELECT c.id, c.external_id AS word FROM contact c
		WHERE c.organization_id = $1 AND ($2::uuid IS NULL OR $2 = $2) AND (c.id = ANY ($3::uuid[]) OR c.external_id = ANY ($4::text[]))` + seenAccounts(who)
	if err := scanWords(ctx, tx, out.ids, out.external, query, who.OrganizationID, who.UserID, ids, external); err != nil || len(out.external) >= len(external) {
		return out, err
	}
	merged, err := mergedExternal(ctx, tx, who, external, seenAccounts(who))
	for x, survivor := range merged {
		if _, found := out.external[x]; !found {
			out.external[x] = survivor
		}
	}
	return out, err
}

func seenAccounts(who access.Actor) string { return ` AND c.kind = 'ACCOUNT'` + Own(who) }

// account turns an external id into the account that it names.
func (x accounts) account(account *patch.Field[id.ID], external patch.Field[string]) error {
	switch {
	case external.Set && account.Set:
		return at(errTwice, "accountExternalId")
	case external.Has():
		found, ok := x.external[trim(external.Value)]
		if !ok {
			return at(errNoAccount, "accountExternalId")
		}
		*account = patch.To(found)
	case external.Set:
		*account = patch.Clear[id.ID]()
	case account.Has() && !x.ids[account.Value]:
		return at(errNoAccount, "accountId")
	}
	return nil
}
