// Package session is how people and machines prove who they are: sign-in,
// access and refresh tokens, invitations and API keys. What they may then do is
// decided by their role, in package access.
//
// The invariant: no secret that was given out is stored; passwords are kept as
// argon2id and everything else as SHA-256.
package session

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/id"
)

// Session is a pair of tokens, as given to a client once.
type Session struct {
	ID           id.ID
	AccessToken  string
	RefreshToken string
	ExpiresAt    time.Time // when the access token ends
	UserID       id.ID
}

// Invitation is what a new person needs to sign in for the first time. The
// token is shown once.
type Invitation struct {
	Token     string
	ExpiresAt time.Time
}

// ApiKey is a machine's key. Its secret is shown once, when it is made. The
// name is the contract's.
type ApiKey struct {
	bun.BaseModel `bun:"table:api_key,alias:api_key"`

	OrganizationID id.ID      `bun:"organization_id,pk,type:uuid"`
	ID             id.ID      `bun:"id,pk,type:uuid"`
	Name           string     `bun:"name"`
	RoleID         id.ID      `bun:"role_id,type:uuid"`
	Hint           string     `bun:"hint"`
	CreatedByID    id.ID      `bun:"created_by,type:uuid"`
	LastUsedAt     *time.Time `bun:"last_used_at"`
	RevokedAt      *time.Time `bun:"revoked_at"`
	CreatedAt      time.Time  `bun:"created_at"`
}
