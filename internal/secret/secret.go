// Package secret keeps the keys of the house: it seals values before they reach
// the database (tokens, API key secrets, webhook posts), makes cursors opaque,
// signs media URLs, holds the key that signs session tokens and encrypts audio.
//
// It is not a vault: whoever can read the key file can read everything. The one
// invariant: nothing sealed for one organization, column or blob opens for
// another, because where it belongs is part of what is authenticated.
package secret

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/daead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrRefused is returned when something sealed or signed does not open: it was
// changed, belongs elsewhere, or its key is gone. It says no more on purpose.
var ErrRefused = errors.New("secret: refused: changed, meant for another place, or sealed by an unknown key")

// maxOpen bounds what Open and OpenDeterministic take; bigger things are blobs.
const maxOpen = 16 << 20

// Keyring holds every key. It is immutable and safe for concurrent use.
type Keyring struct {
	values  *keyset.Handle
	cursors *keyset.Handle
	macs    *keyset.Handle
	tokens  []ed25519.PrivateKey // newest first

	aead  tink.AEAD
	daead tink.DeterministicAEAD
	mac   tink.MAC
}

// stored is the JSON form of a Keyring, in the file and in configuration.
type stored struct {
	Version int             `json:"version"`
	Values  json.RawMessage `json:"values"`  // tink keyset, AES-256-GCM
	Cursors json.RawMessage `json:"cursors"` // tink keyset, AES-SIV
	MACs    json.RawMessage `json:"macs"`    // tink keyset, HMAC-SHA-256
	Tokens  [][]byte        `json:"tokens"`  // Ed25519 seeds, newest first
}

// New makes a keyring with fresh keys that live in memory only.
func New() (*Keyring, error) {
	k := &Keyring{}
	var err error
	if k.values, err = keyset.NewHandle(aead.AES256GCMKeyTemplate()); err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	if k.cursors, err = keyset.NewHandle(daead.AESSIVKeyTemplate()); err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	if k.macs, err = keyset.NewHandle(mac.HMACSHA256Tag256KeyTemplate()); err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	_, token, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	k.tokens = []ed25519.PrivateKey{token}
	return k, k.prepare()
}

// FromJSON reads the stored form.
func FromJSON(b []byte) (*Keyring, error) {
	var s stored
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, errors.New("secret: the keyring is not readable JSON") // the cause would quote key material
	}
	if s.Version != 1 {
		return nil, fmt.Errorf("secret: the keyring has version %d; this program reads version 1", s.Version)
	}
	k := &Keyring{}
	for _, part := range []struct {
		name string
		raw  json.RawMessage
		to   **keyset.Handle
	}{{"values", s.Values, &k.values}, {"cursors", s.Cursors, &k.cursors}, {"macs", s.MACs, &k.macs}} {
		h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(part.raw)))
		if err != nil {
			return nil, fmt.Errorf("secret: the part %q of the keyring is damaged", part.name)
		}
		*part.to = h
	}
	if len(s.Tokens) == 0 {
		return nil, errors.New("secret: the keyring has no key for session tokens")
	}
	for _, seed := range s.Tokens {
		if len(seed) != ed25519.SeedSize {
			return nil, errors.New("secret: a key for session tokens is damaged")
		}
		k.tokens = append(k.tokens, ed25519.NewKeyFromSeed(seed))
	}
	return k, k.prepare()
}

// FromText reads the base64 of the stored form, as configuration gives it.
func FromText(text string) (*Keyring, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("secret: the keyring in the configuration is not base64")
	}
	return FromJSON(b)
}

// JSON is the stored form. It is key material: write it nowhere but to a file
// that only its owner reads.
func (k *Keyring) JSON() ([]byte, error) {
	s := stored{Version: 1}
	for _, part := range []struct {
		from *keyset.Handle
		to   *json.RawMessage
	}{{k.values, &s.Values}, {k.cursors, &s.Cursors}, {k.macs, &s.MACs}} {
		var buf bytes.Buffer
		if err := insecurecleartextkeyset.Write(part.from, keyset.NewJSONWriter(&buf)); err != nil {
			return nil, fmt.Errorf("secret: %w", err)
		}
		*part.to = buf.Bytes()
	}
	for _, t := range k.tokens {
		s.Tokens = append(s.Tokens, t.Seed())
	}
	return json.MarshalIndent(s, "", " ")
}

// Text is the base64 of the stored form, for FromText.
func (k *Keyring) Text() (string, error) {
	b, err := k.JSON()
	return base64.StdEncoding.EncodeToString(b), err
}

// Rotated is a keyring that seals and signs with new keys and still opens and
// verifies what the old ones made.
func (k *Keyring) Rotated() (*Keyring, error) {
	next := &Keyring{}
	for _, part := range []struct {
		from     *keyset.Handle
		to       **keyset.Handle
		template func() *tinkpb.KeyTemplate
	}{
		{k.values, &next.values, aead.AES256GCMKeyTemplate},
		{k.cursors, &next.cursors, daead.AESSIVKeyTemplate},
		{k.macs, &next.macs, mac.HMACSHA256Tag256KeyTemplate},
	} {
		m := keyset.NewManagerFromHandle(part.from)
		id, err := m.Add(part.template())
		if err != nil {
			return nil, fmt.Errorf("secret: %w", err)
		}
		if err := m.SetPrimary(id); err != nil {
			return nil, fmt.Errorf("secret: %w", err)
		}
		if *part.to, err = m.Handle(); err != nil {
			return nil, fmt.Errorf("secret: %w", err)
		}
	}
	_, token, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	next.tokens = append([]ed25519.PrivateKey{token}, k.tokens...)
	return next, next.prepare()
}

func (k *Keyring) prepare() (err error) {
	if k.aead, err = aead.New(k.values); err != nil {
		return errors.New("secret: the keys for values do not fit their use")
	}
	if k.daead, err = daead.New(k.cursors); err != nil {
		return errors.New("secret: the keys for cursors do not fit their use")
	}
	if k.mac, err = mac.New(k.macs); err != nil {
		return errors.New("secret: the keys for signatures do not fit their use")
	}
	return nil
}

// place names what a ciphertext belongs to. Lengths are written before the parts
// so that no two places have the same bytes.
func place(parts ...string) []byte {
	var b []byte
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}

// Seal encrypts a value for one column of one organization.
func (k *Keyring) Seal(plain []byte, org, column string) ([]byte, error) {
	return k.aead.Encrypt(plain, place("value", org, column))
}

// Open returns what Seal took for the same organization and column, else ErrRefused.
func (k *Keyring) Open(sealed []byte, org, column string) ([]byte, error) {
	if len(sealed) > maxOpen {
		return nil, ErrRefused
	}
	plain, err := k.aead.Decrypt(sealed, place("value", org, column))
	if err != nil {
		return nil, ErrRefused
	}
	return plain, nil
}

// Stale reports whether a sealed value was not made by the present key, so that
// a sweep may seal it anew after a rotation.
func (k *Keyring) Stale(sealed []byte) bool {
	return len(sealed) < 5 || sealed[0] != 1 || // tink's prefix: 1, then the key's id
		binary.BigEndian.Uint32(sealed[1:5]) != k.values.KeysetInfo().GetPrimaryKeyId()
}

// SealDeterministic encrypts so that equal input gives equal output: a cursor
// stays the same text. ad says where it belongs.
func (k *Keyring) SealDeterministic(plain []byte, ad string) ([]byte, error) {
	return k.daead.EncryptDeterministically(plain, place("cursor", ad))
}

// OpenDeterministic returns what SealDeterministic took with the same ad, else ErrRefused.
func (k *Keyring) OpenDeterministic(sealed []byte, ad string) ([]byte, error) {
	if len(sealed) > maxOpen {
		return nil, ErrRefused
	}
	plain, err := k.daead.DecryptDeterministically(sealed, place("cursor", ad))
	if err != nil {
		return nil, ErrRefused
	}
	return plain, nil
}

// Sign authenticates data for one purpose ("media-url"); it hides nothing.
func (k *Keyring) Sign(purpose string, data []byte) ([]byte, error) {
	return k.mac.ComputeMAC(place("sign", purpose, string(data)))
}

// Verify returns ErrRefused unless Sign made the signature for this purpose and data.
func (k *Keyring) Verify(purpose string, data, signature []byte) error {
	if k.mac.VerifyMAC(signature, place("sign", purpose, string(data))) != nil {
		return ErrRefused
	}
	return nil
}

// SigningKey signs session tokens (EdDSA). It is the same after a restart.
func (k *Keyring) SigningKey() ed25519.PrivateKey { return k.tokens[0] }

// VerifyingKeys are the public halves by KeyID, with those before a rotation.
func (k *Keyring) VerifyingKeys() map[string]ed25519.PublicKey {
	m := make(map[string]ed25519.PublicKey, len(k.tokens))
	for _, t := range k.tokens {
		p := t.Public().(ed25519.PublicKey)
		m[KeyID(p)] = p
	}
	return m
}

// KeyID names a public key in the header of a token.
func KeyID(p ed25519.PublicKey) string {
	h := sha256.Sum256(p)
	return hex.EncodeToString(h[:8])
}
