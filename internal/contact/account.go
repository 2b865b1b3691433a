package contact

import (
	"context"

	"switchboard/internal/access"
	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
)

var errNoAccount = errs.New(errs.NotFound, "there is no such account; choose a contact of the kind ACCOUNT")

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
		WHERE c.organization_id = $1 AND ($2::uuid IS NULL OR $2 = $2) AND c.kind = 'ACCOUNT' AND (c.id = ANY ($3::uuid[]) OR c.external_id = ANY ($4::text[]))` + Own(who)
	return out, scanWords(ctx, tx, out.ids, out.external, query, who.OrganizationID, who.UserID, ids, external)
}

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
