package secret_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"switchboard/internal/secret"
)

func ring(t *testing.T) *secret.Keyring {
	t.Helper()
	k, err := secret.New()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealedValueOpensOnlyInItsPlace(t *testing.T) {
	t.Parallel()
	k := ring(t)
	sealed, err := k.Seal([]byte("token"), "org_1", "auth_token")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("token")) {
		t.Fatal("the sealed value shows its plain text")
	}
	cases := map[string]struct {
		why         string
		org, column string
		change      int
		opens       bool
	}{
		"same place":       {why: "what was sealed opens", org: "org_1", column: "auth_token", change: -1, opens: true},
		"other tenant":     {why: "tenants are walls", org: "org_2", column: "auth_token", change: -1},
		"other column":     {why: "columns cannot be swapped", org: "org_1", column: "api_secret", change: -1},
		"shifted boundary": {why: "org and column are not just joined", org: "org_1a", column: "uth_token", change: -1},
		"changed key id":   {why: "the prefix names the key", org: "org_1", column: "auth_token", change: 2},
		"changed body":     {why: "the tag covers the body", org: "org_1", column: "auth_token", change: 20},
		"changed last bit": {why: "the tag is checked whole", org: "org_1", column: "auth_token", change: len(sealed) - 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := bytes.Clone(sealed)
			if c.change >= 0 {
				b[c.change] ^= 1
			}
			plain, err := k.Open(b, c.org, c.column)
			if c.opens && (err != nil || string(plain) != "token") {
				t.Fatalf("%s: got %q, %v", c.why, plain, err)
			}
			if !c.opens && !errors.Is(err, secret.ErrRefused) {
				t.Fatalf("%s: got %q, %v", c.why, plain, err)
			}
		})
	}
	if _, err := k.Open(nil, "org_1", "auth_token"); !errors.Is(err, secret.ErrRefused) {
		t.Fatalf("nothing opened: %v", err)
	}
}

func TestCursorIsStableAndBoundToItsTenant(t *testing.T) {
	t.Parallel()
	k := ring(t)
	a, err := k.SealDeterministic([]byte("42"), "org_1")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := k.SealDeterministic([]byte("42"), "org_1")
	other, _ := k.SealDeterministic([]byte("42"), "org_2")
	if !bytes.Equal(a, b) || bytes.Equal(a, other) {
		t.Fatal("equal cursors must be equal, and differ between tenants")
	}
	if got, err := k.OpenDeterministic(a, "org_1"); err != nil || string(got) != "42" {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, err := k.OpenDeterministic(a, "org_2"); !errors.Is(err, secret.ErrRefused) {
		t.Fatalf("a foreign cursor opened: %v", err)
	}
	if _, err := k.Open(a, "org_1", ""); !errors.Is(err, secret.ErrRefused) {
		t.Fatalf("a cursor opened as a value: %v", err)
	}
}

func TestSignatureBelongsToItsPurpose(t *testing.T) {
	t.Parallel()
	k := ring(t)
	sig, err := k.Sign("media-url", []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Verify("media-url", []byte("a"), sig); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []error{
		k.Verify("other", []byte("a"), sig), k.Verify("media-url", []byte("b"), sig),
		k.Verify("media-url", []byte("a"), nil), ring(t).Verify("media-url", []byte("a"), sig),
		k.Verify("media-ur", []byte("la"), sig),
	} {
		if !errors.Is(bad, secret.ErrRefused) {
			t.Fatalf("a wrong signature passed: %v", bad)
		}
	}
}

func TestRotationKeepsWhatWasSealed(t *testing.T) {
	t.Parallel()
	old := ring(t)
	sealed, _ := old.Seal([]byte("x"), "o", "c")
	cursor, _ := old.SealDeterministic([]byte("1"), "o")
	sig, _ := old.Sign("p", []byte("d"))
	next, err := old.Rotated()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := next.Open(sealed, "o", "c"); err != nil || string(got) != "x" {
		t.Fatalf("got %q, %v", got, err)
	}
	if got, err := next.OpenDeterministic(cursor, "o"); err != nil || string(got) != "1" {
		t.Fatalf("got %q, %v", got, err)
	}
	if err := next.Verify("p", []byte("d"), sig); err != nil {
		t.Fatal(err)
	}
	if old.Stale(sealed) || !next.Stale(sealed) {
		t.Fatal("only after the rotation is the value stale")
	}
	fresh, _ := next.Seal([]byte("x"), "o", "c")
	if next.Stale(fresh) {
		t.Fatal("a value sealed by the present key is not stale")
	}
	if _, err := old.Open(fresh, "o", "c"); !errors.Is(err, secret.ErrRefused) {
		t.Fatalf("the old keyring opened what the new key sealed: %v", err)
	}
	if old.SigningKey().Equal(next.SigningKey()) || len(next.VerifyingKeys()) != 2 {
		t.Fatal("session tokens are signed by a new key and verified by both")
	}
}

func TestKeyFileIsMadeOnceForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sub", "keys.json")
	rings := make([]*secret.Keyring, 8)
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() {
			k, err := secret.LoadOrCreate(path)
			if err != nil {
				t.Error(err)
			}
			rings[i] = k
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, k := range rings {
		if !k.SigningKey().Equal(rings[0].SigningKey()) {
			t.Fatal("processes starting together made different keyrings")
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %04o", info.Mode().Perm())
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Fatalf("files left behind: %v", left)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.LoadOrCreate(path); err == nil {
		t.Fatal("a key file open to others was accepted")
	}
}

func TestRotateWritesTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	if _, err := secret.Rotate(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("rotated nothing: %v", err)
	}
	before, err := secret.LoadOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed, _ := before.Seal([]byte("x"), "o", "c")
	if _, err := secret.Rotate(path); err != nil {
		t.Fatal(err)
	}
	after, err := secret.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := after.Open(sealed, "o", "c"); err != nil || string(got) != "x" || !after.Stale(sealed) {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestTextFromConfigurationIsTheSameKeyring(t *testing.T) {
	t.Parallel()
	k := ring(t)
	text, err := k.Text()
	if err != nil {
		t.Fatal(err)
	}
	again, err := secret.FromText(text)
	if err != nil {
		t.Fatal(err)
	}
	sealed, _ := k.Seal([]byte("x"), "o", "c")
	if got, err := again.Open(sealed, "o", "c"); err != nil || string(got) != "x" {
		t.Fatalf("got %q, %v", got, err)
	}
	for name, bad := range map[string]string{"empty": "", "not base64": "%%", "not json": "aGVsbG8=", "no keys": "eyJ2ZXJzaW9uIjoxfQ=="} {
		if _, err := secret.FromText(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func encrypted(t *testing.T, k *secret.Keyring, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := k.EncryptStream(&out, "org_1", "blob_1")
	if err != nil {
		t.Fatal(err)
	}
	for len(plain) > 0 { // odd sizes, as a network gives them
		n := min(len(plain), 10_007)
		if _, err := w.Write(plain[:n]); err != nil {
			t.Fatal(err)
		}
		plain = plain[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestStreamReadsAnyRange(t *testing.T) {
	t.Parallel()
	k := ring(t)
	const chunk = 64 << 10
	for _, size := range []int{0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk, 3*chunk + 17} {
		rnd := rand.New(rand.NewPCG(1, uint64(size)))
		plain := make([]byte, size)
		for i := range plain {
			plain[i] = byte(rnd.Uint32())
		}
		sealed := encrypted(t, k, plain)
		r, err := k.DecryptStream(bytes.NewReader(sealed), "org_1", "blob_1")
		if err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
		if end, _ := r.Seek(0, io.SeekEnd); end != int64(size) {
			t.Fatalf("size %d: the end is at %d", size, end)
		}
		_, _ = r.Seek(0, io.SeekStart)
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("size %d: %d bytes, %v", size, len(got), err)
		}
		for range 50 {
			from := rnd.IntN(size + 1)
			to := from + rnd.IntN(size+1-from)
			_, _ = r.Seek(int64(from), io.SeekStart)
			got := make([]byte, to-from)
			if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, plain[from:to]) {
				t.Fatalf("size %d: range %d-%d: %v", size, from, to, err)
			}
		}
	}
}

// counting counts the bytes read from the cipher text.
type counting struct {
	*bytes.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) { n, err := c.Reader.Read(p); c.n += n; return n, err }

func TestRangeReadsOnlyItsChunks(t *testing.T) {
	t.Parallel()
	k := ring(t)
	src := &counting{Reader: bytes.NewReader(encrypted(t, k, make([]byte, 4<<20)))}
	r, err := k.DecryptStream(src, "org_1", "blob_1")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = r.Seek(2<<20, io.SeekStart)
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if src.n > 3*(64<<10) {
		t.Fatalf("a range of 1000 bytes read %d", src.n)
	}
}

func TestChangedStreamIsRefused(t *testing.T) {
	t.Parallel()
	k := ring(t)
	const chunk = 64<<10 + 16
	plain := make([]byte, 200_000)
	sealed := encrypted(t, k, plain)
	head := len(sealed) - len(plain) - 4*16
	swapped := bytes.Clone(sealed)
	copy(swapped[head:], sealed[head+chunk:head+2*chunk])
	copy(swapped[head+chunk:], sealed[head:head+chunk])
	flipped := bytes.Clone(sealed)
	flipped[head+chunk+5] ^= 1
	cases := map[string]struct {
		why       string
		b         []byte
		org, name string
	}{
		"other tenant":     {why: "a blob is its tenant's", b: sealed, org: "org_2", name: "blob_1"},
		"other name":       {why: "blobs cannot be swapped", b: sealed, org: "org_1", name: "blob_2"},
		"swapped chunks":   {why: "chunks are numbered", b: swapped, org: "org_1", name: "blob_1"},
		"flipped bit":      {why: "each chunk is authenticated", b: flipped, org: "org_1", name: "blob_1"},
		"cut at a chunk":   {why: "the last chunk says so", b: sealed[:head+2*chunk], org: "org_1", name: "blob_1"},
		"cut in a chunk":   {why: "half a chunk does not open", b: sealed[:len(sealed)-9], org: "org_1", name: "blob_1"},
		"header only":      {why: "a stream has a last chunk", b: sealed[:head], org: "org_1", name: "blob_1"},
		"empty":            {why: "nothing is not a stream", org: "org_1", name: "blob_1"},
		"something behind": {why: "nothing can be added", b: append(bytes.Clone(sealed), 0), org: "org_1", name: "blob_1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := k.DecryptStream(bytes.NewReader(c.b), c.org, c.name)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if !errors.Is(err, secret.ErrRefused) {
				t.Fatalf("%s: %v", c.why, err)
			}
		})
	}
}
