package call

import "switchboard/internal/access"

// SeenBy is the SQL condition that the call of the given alias is within the
// actor's visibility: the whole organization; or the calls of their branches; or
// their own, which they answered, started or were rung for. What stands in no log
// (R094) is seen by those whose own it is. arg adds an argument to the statement
// and is its place. Domains whose things belong to a call ask this of the call;
// which permission is needed besides is theirs to say.
func SeenBy(alias string, who access.Actor, arg func(any) string) string {
	if who.System {
		return "true"
	}
	user := arg(who.UserID)
	own := alias + ".user_id = " + user + " OR " + alias + ".answered_by_user_id = " + user +
		" OR EXISTS (SELECT FROM call_leg own WHERE own.organization_id = " + alias + ".organization_id AND own.call_id = " + alias + ".id AND own.user_id = " + user + ")"
	switch b := who.SeesBranches(); {
	case who.SeesAll():
		own = alias + ".is_logged OR " + own
	case len(b) > 0:
		own += " OR " + alias + ".is_logged AND " + alias + ".branch_id = ANY (" + arg(b) + "::uuid[])"
	}
	return "(" + own + ")"
}
