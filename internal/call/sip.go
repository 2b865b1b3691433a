package call

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"switchboard/internal/db"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/phone"
	"switchboard/internal/route"
	"switchboard/internal/twilio"
)

// sipReachable is whether a SIP address stands at a domain that is in use (D22): no
// other address is rung. A phone may be registered by way of an edge, such as
// acme.sip.us1.twilio.com.
const sipReachable = `u.sip_address IS NOT NULL AND EXISTS (SELECT FROM sip_domain sd WHERE sd.organization_id = $1 AND sd.is_enabled AND sd.removed_at IS NULL
	AND lower(sd.domain_name) = ` + sipHost + `)`

// sipHost is the domain of a user's SIP address.
const sipHost = `regexp_replace(lower(split_part(split_part(u.sip_address, '@', 2), ';', 1)), '\.sip\.[a-z0-9-]+\.twilio\.com$', '.sip.twilio.com')`

// sipRung is the SIP address of a user that can be rung, the empty text where there is none.
const sipRung = `CASE WHEN ` + sipReachable + ` THEN u.sip_address ELSE '' END`

// FromSIP takes a call that a SIP phone makes through a domain of ours: it is
// connected at once with whom it dialled, by the rules of Start. Who calls is whom
// the domain let in; the digits are an extension or a SIP name of a colleague, else
// a number as typed in the default country. What is refused is said in words.
func (s *Service) FromSIP(ctx context.Context, tx *db.Tx, in Incoming) (_ twilio.Response, err error) {
	defer errs.Wrap(&err, "call.FromSIP")
	if over(in.Form.Status) {
		return twilio.Response{}, nil
	}
	user, address, err := s.sipUser(ctx, tx, in)
	if err != nil {
		return spoken(err)
	}
	who, err := s.person(ctx, tx, user)
	if err != nil {
		return spoken(err)
	}
	dialled, _ := sipParts(in.Form.To)
	if dialled == "" {
		return refusal(errs.New(errs.Required, "dial a number or an extension")), nil
	}
	input := StartInput{To: dialled}
	country, err := defaultCountry(ctx, tx)
	if err != nil {
		return nil, err
	}
	if !phone.Emergency(dialled, country) { // no extension stands in the way of help
		colleague, err := s.colleagueAt(ctx, tx, dialled, in.Form.SIPDomain)
		switch {
		case err != nil:
			return nil, err
		case colleague == user:
			return refusal(errs.New(errs.Invalid, "this is your own extension")), nil
		case !colleague.IsZero():
			input = StartInput{UserID: colleague}
		}
	}
	return s.place(ctx, tx, who, input, "", in, route.Target{Kind: route.SIP, UserID: user, Address: address})
}

// sipUser is whose SIP phone calls, and its address. The name is the one that the
// domain checked; without a password, on an address that it trusts, the phone's own.
func (s *Service) sipUser(ctx context.Context, tx *db.Tx, in Incoming) (user id.ID, address string, err error) {
	name, host := sipParts(in.Form.From)
	if in.Form.SIPUsername != "" {
		name = in.Form.SIPUsername
	}
	if in.Form.SIPDomain != "" {
		host = in.Form.SIPDomain
	}
	err = tx.Pgx().QueryRow(ctx, `SELECT u.id, u.sip_address FROM "user" u
		JOIN sip_domain d ON d.organization_id = u.organization_id AND lower(d.domain_name) = lower($3) AND d.connection_id = $4 AND lower(d.domain_name) = `+sipHost+`
		WHERE u.organization_id = $1 AND u.status <> 'DISABLED' AND d.is_enabled AND d.removed_at IS NULL
			AND lower(split_part(regexp_replace(u.sip_address, '^sips?:', '', 'i'), '@', 1)) = lower($2) AND `+sipReachable+`
		ORDER BY u.id LIMIT 1`, db.TenantFrom(ctx), name, host, in.Connection).Scan(&user, &address)
	if errors.Is(err, pgx.ErrNoRows) {
		return id.ID{}, "", errs.New(errs.NotFound, "this phone is nobody's; an administrator can give its address to a user")
	}
	return user, address, db.Translate(err)
}

// colleagueAt is who has an extension, or a SIP address at the domain by that name;
// the zero ID for nobody.
func (s *Service) colleagueAt(ctx context.Context, tx *db.Tx, dialled, domain string) (user id.ID, err error) {
	err = tx.Pgx().QueryRow(ctx, `SELECT u.id FROM "user" u WHERE u.organization_id = $1 AND u.status = 'ACTIVE'
			AND (u.extension = $2 OR lower(regexp_replace(u.sip_address, '^sips?:', '', 'i')) = lower($2 || '@' || $3))
		ORDER BY u.extension = $2 DESC NULLS LAST, u.id LIMIT 1`, db.TenantFrom(ctx), dialled, domain).Scan(&user)
	if errors.Is(err, pgx.ErrNoRows) {
		return id.ID{}, nil
	}
	return user, db.Translate(err)
}

// sipParts are the name and the host of a SIP address, without what follows them.
func sipParts(address string) (name, host string) {
	rest := address
	for _, scheme := range []string{"sip:", "sips:"} {
		if len(rest) > len(scheme) && strings.EqualFold(rest[:len(scheme)], scheme) {
			rest = rest[len(scheme):]
			break
		}
	}
	name, host, ok := strings.Cut(rest, "@")
	if !ok {
		return "", ""
	}
	host, _, _ = strings.Cut(host, ";")
	host, _, _ = strings.Cut(host, "?")
	host, _, _ = strings.Cut(host, ":")
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	name, _, _ = strings.Cut(name, ";")
	if len(name) > maxTo {
		return "", host
	}
	return strings.TrimSpace(name), strings.ToLower(host)
}
