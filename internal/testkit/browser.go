package testkit

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// Browser is a browser's side of web push: its keys, and how it reads what a push
// service was given for it.
type Browser struct {
	P256DH, Auth string // as its PushSubscription says

	key  *ecdh.PrivateKey
	auth []byte
}

// NewBrowser makes one with keys of its own.
func NewBrowser(t testing.TB) *Browser {
	t.Helper()
	k, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	auth := make([]byte, 16)
	_, _ = rand.Read(auth)
	return &Browser{key: k, auth: auth, P256DH: base64.RawURLEncoding.EncodeToString(k.PublicKey().Bytes()), Auth: base64.RawURLEncoding.EncodeToString(auth)}
}

// Read decrypts a message: RFC 8291, 3.4, and RFC 8188, 2.
func (b *Browser) Read(body []byte) (string, error) {
	if len(body) < 21 || len(body) < 21+int(body[20]) {
		return "", errors.New("this is no message")
	}
	salt, rest := body[:16], body[16:]
	size, n := binary.BigEndian.Uint32(rest[:4]), int(rest[4])
	sender, sealed := rest[5:5+n], rest[5+n:]
	if len(sealed) > int(size) {
		return "", errors.New("more than one record")
	}
	from, err := ecdh.P256().NewPublicKey(sender)
	if err != nil {
		return "", err
	}
	shared, err := b.key.ECDH(from)
	if err != nil {
		return "", err
	}
	var failed error
	derive := func(secret, salt []byte, info string, n int) []byte {
		out, err := hkdf.Key(sha256.New, secret, salt, info, n)
		failed = errors.Join(failed, err)
		return out
	}
	ikm := derive(shared, b.auth, "WebPush: info\x00"+string(b.key.PublicKey().Bytes())+string(sender), 32)
	key, nonce := derive(ikm, salt, "Content-Encoding: aes128gcm\x00", 16), derive(ikm, salt, "Content-Encoding: nonce\x00", 12)
	if failed != nil {
		return "", failed
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return "", err
	}
	plain, err := gcm.Open(nil, nonce, sealed, nil)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimRight(string(plain), "\x00"), "\x02"), nil
}
