package session

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"switchboard/internal/clock"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/secret"
)

// How long things live.
const (
	accessLife     = 10 * time.Minute
	refreshLife    = 30 * 24 * time.Hour
	invitationLife = 72 * time.Hour
)

// What tokens begin with, so that a scanner for leaked secrets knows them.
const (
	apiKeyPrefix     = "sb_"
	refreshPrefix    = "sbr_"
	invitationPrefix = "sbi_"
)

const (
	issuer   = "switchboard"
	audience = "switchboard-api"
	maxToken = 4096
)

// claims are what an access token says. What its bearer may do is not among
// them: that is looked up, so that it ends when it ends.
type claims struct {
	jwt.RegisteredClaims
	Session      string `json:"sid"`
	Organization string `json:"org"`
}

type bearer struct {
	org, user, session id.ID
	expires            time.Time
}

type minter struct {
	keys   *secret.Keyring
	public map[string]ed25519.PublicKey
	parser *jwt.Parser
}

func newMinter(keys *secret.Keyring, clk clock.Clock) *minter {
	return &minter{keys: keys, public: keys.VerifyingKeys(), parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(),
		jwt.WithStrictDecoding(), jwt.WithTimeFunc(clk.Now),
	)}
}

func (m *minter) access(b bearer, now time.Time) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Audience: jwt.ClaimStrings{audience}, Subject: b.user.String(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(b.expires),
			NotBefore: jwt.NewNumericDate(now.Add(-5 * time.Second)), // the clock of another node may be behind
		},
		Session: b.session.String(), Organization: b.org.String(),
	})
	key := m.keys.SigningKey()
	t.Header["kid"] = secret.KeyID(key.Public().(ed25519.PublicKey))
	return t.SignedString(key)
}

func (m *minter) read(token string) (b bearer, ok bool) {
	var c claims
	_, err := m.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if key, ok := m.public[kid]; ok {
			return key, nil
		}
		return nil, jwt.ErrTokenUnverifiable
	})
	if err != nil {
		return bearer{}, false
	}
	var errOrg, errUser, errSession error
	b.org, errOrg = id.ParseKind(c.Organization, id.Organization)
	b.user, errUser = id.ParseKind(c.Subject, id.User)
	b.session, errSession = id.ParseKind(c.Session, id.Session)
	b.expires = c.ExpiresAt.Time.UTC()
	return b, errOrg == nil && errUser == nil && errSession == nil
}

// A refresh token names its session and is signed, so that any earlier token of
// a session is known for what it is and a made-up one costs no query.
//
//	sbr_ base64url( organization 16 | session 16 | random 32 | signature )
const refreshPurpose = "refresh-token"

func (m *minter) refresh(org, session id.ID) (token string, hash []byte, err error) {
	o, s := org.UUID(), session.UUID()
	b := append(append(make([]byte, 0, 128), o[:]...), s[:]...)
	b = b[:64]
	if _, err := rand.Read(b[32:]); err != nil {
		return "", nil, err
	}
	sig, err := m.keys.Sign(refreshPurpose, b)
	if err != nil {
		return "", nil, err
	}
	token = refreshPrefix + base64.RawURLEncoding.EncodeToString(append(b, sig...))
	return token, digest(token), nil
}

func (m *minter) readRefresh(token string) (org, session id.ID, ok bool) {
	text, found := strings.CutPrefix(token, refreshPrefix)
	if !found || len(text) > 256 {
		return org, session, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) <= 64 || m.keys.Verify(refreshPurpose, b[:64], b[64:]) != nil {
		return org, session, false
	}
	return id.FromUUID([16]byte(b[:16])), id.FromUUID([16]byte(b[16:32])), true
}

// random makes a secret of 256 bits and what is stored of it.
func random(prefix string) (token string, hash []byte, err error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", nil, err
	}
	token = prefix + base64.RawURLEncoding.EncodeToString(b)
	return token, digest(token), nil
}

// digest is enough for what is random: there is nothing to guess.
func digest(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}

var errToken = errs.New(errs.Unauthenticated, "the token is not valid, or not any more; sign in again")
