package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const maxFile = 1 << 20

// LoadOrCreate reads the keyring in the file, or makes one there when the file is
// missing, readable by its owner only. Processes that start together agree on
// one keyring: the first file to appear wins.
func LoadOrCreate(path string) (*Keyring, error) {
	k, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	fresh, err := New()
	if err != nil {
		return nil, err
	}
	tmp, err := writeTemp(path, fresh)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(tmp) }()
	// Link, unlike Rename, refuses to replace what another process wrote meanwhile.
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("secret: create the key file: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return Load(path)
}

// Load reads the keyring in the file. A file that others than its owner can read
// is refused. The error is fs.ErrNotExist when there is none.
func Load(path string) (*Keyring, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("secret: open the key file: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("secret: read the key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("secret: the key file %s is not a regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("secret: the key file %s is open to others (mode %04o); run chmod 600 on it", path, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("secret: read the key file: %w", err)
	}
	return FromJSON(b)
}

// Rotate adds new keys to the file and returns the keyring with them. Running
// processes go on with the old ones until they start anew.
func Rotate(path string) (*Keyring, error) {
	k, err := Load(path)
	if err != nil {
		return nil, err
	}
	next, err := k.Rotated()
	if err != nil {
		return nil, err
	}
	tmp, err := writeTemp(path, next)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Remove(tmp)
		return nil, fmt.Errorf("secret: replace the key file: %w", err)
	}
	return next, syncDir(filepath.Dir(path))
}

// writeTemp writes the keyring beside path, on disk for certain before it gets its name.
func writeTemp(path string, k *Keyring) (name string, err error) {
	b, err := k.JSON()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("secret: make the folder of the key file: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".keyring-*") // CreateTemp's mode is 0600
	if err != nil {
		return "", fmt.Errorf("secret: write the key file: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", fmt.Errorf("secret: write the key file: %w", err)
	}
	return f.Name(), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	return nil
}
