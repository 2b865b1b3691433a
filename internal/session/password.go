package session

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"switchboard/internal/errs"
)

// The cost of a password, OWASP's first choice for argon2id.
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32
)

const (
	minPassword = 10   // characters
	maxPassword = 1024 // bytes
	maxEmail    = 254
	maxWaiting  = 64
)

// hasher computes argon2id two at a time: each takes 19 MiB and a core.
type hasher struct {
	slots   chan struct{}
	waiting atomic.Int32
	decoy   string // a hash that no password has; it costs what a real one costs
}

func newHasher() (*hasher, error) {
	h := &hasher{slots: make(chan struct{}, 2)}
	key := make([]byte, argonSalt+argonKey)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	h.decoy = encode(key[:argonSalt], key[argonSalt:])
	return h, nil
}

// enter waits for a slot. A long queue is refused: whoever waits holds a request.
func (h *hasher) enter(ctx context.Context) (leave func(), err error) {
	if h.waiting.Add(1) > maxWaiting {
		h.waiting.Add(-1)
		return nil, errs.New(errs.Unavailable, "many people sign in at this moment; try again shortly")
	}
	defer h.waiting.Add(-1)
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	salt := make([]byte, argonSalt)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	return encode(salt, argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)), nil
}

// verify takes the same time for a stored hash, for none and for a password
// that nobody can have.
func (h *hasher) verify(ctx context.Context, password, stored string) (bool, error) {
	possible := stored != "" && len(password) <= maxPassword
	if stored == "" {
		stored = h.decoy
	}
	if len(password) > maxPassword {
		password = ""
	}
	p, err := decode(stored)
	if err != nil {
		return false, err
	}
	leave, err := h.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	key := argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.threads, uint32(len(p.key)))
	return subtle.ConstantTimeCompare(key, p.key) == 1 && possible, nil
}

type parts struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

var errHash = errors.New("session: a stored password hash is damaged")

func encode(salt, key []byte) string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		b.EncodeToString(salt), b.EncodeToString(key))
}

func decode(s string) (p parts, err error) {
	f := strings.Split(s, "$")
	if len(f) != 6 || f[1] != "argon2id" {
		return p, errHash
	}
	var version int
	if _, err := fmt.Sscanf(f[2], "v=%d", &version); err != nil || version != argon2.Version {
		return p, errHash
	}
	if _, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return p, errHash
	}
	if p.salt, err = base64.RawStdEncoding.DecodeString(f[4]); err != nil {
		return p, errHash
	}
	if p.key, err = base64.RawStdEncoding.DecodeString(f[5]); err != nil {
		return p, errHash
	}
	if p.memory > 1<<18 || p.time == 0 || p.time > 16 || p.threads == 0 || len(p.salt) < 8 || len(p.key) < 16 || len(p.key) > 64 {
		return p, errHash
	}
	return p, nil
}

// checkPassword says whether a password may be set. Length is what counts
// against guessing; rules about its letters only make people write it down.
func checkPassword(p, field string) error {
	switch {
	case len(p) > maxPassword:
		return errs.New(errs.Invalid, "a password has %d bytes at most", maxPassword).At(field)
	case !utf8.ValidString(p):
		return errs.New(errs.Invalid, "the password is not valid text").At(field)
	case utf8.RuneCountInString(p) < minPassword:
		return errs.New(errs.Invalid, "a password needs %d characters at least", minPassword).At(field)
	}
	return nil
}

// CanonicalEmail is the one spelling under which an e-mail is kept and found:
// without surrounding space, in lower case. The error is an errs.Invalid.
func CanonicalEmail(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", errs.New(errs.Required, "enter an e-mail").At("email")
	}
	invalid := errs.New(errs.Invalid, "this is no e-mail; write it such as ann@example.com").At("email")
	if len(s) > maxEmail {
		return "", invalid
	}
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || domain == "" || len(local) > 64 || strings.Contains(domain, "@") ||
		strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") || strings.Contains(s, "..") {
		return "", invalid
	}
	for _, c := range []byte(s) {
		// ASCII only: letters beyond it have more than one lower case, and an
		// internationalised domain has an ASCII form.
		if c <= ' ' || c > '~' || strings.IndexByte(`"(),:;<>[\]`, c) >= 0 {
			return "", invalid
		}
	}
	return strings.ToLower(s), nil
}
