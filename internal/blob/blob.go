// Package blob keeps audio and pictures: voicemails, greetings, recordings, the
// media of messages. What it stores is encrypted, lies under a random key in its
// organization's part of the bucket and becomes visible only when it is whole.
//
// It does not know what a file is for or who may hear it. The invariant: nobody
// opens a file with another organization than the one it was stored for.
package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob" // file://
	_ "gocloud.dev/blob/memblob"  // mem://
	"gocloud.dev/gcerrors"

	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/secret"
)

// Store is one bucket. It is safe for concurrent use.
type Store struct {
	bucket *blob.Bucket
	keys   *secret.Keyring
	folder string // of a file:// store, else ""
}

// Info describes a stored file.
type Info struct {
	Key         string // random; names the file within its organization
	Size        int64
	SHA256      string // hex, of the content; only Put knows it
	ContentType string // found in the content, never what an uploader says
}

// OpenStore opens the bucket at the URL: file:///path, made when it is missing,
// or mem:// for tests.
func OpenStore(ctx context.Context, address string, keys *secret.Keyring) (*Store, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("blob: the address of the store is not a URL")
	}
	folder := ""
	switch u.Scheme {
	case "mem":
	case "file":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return nil, fmt.Errorf("blob: write the folder of the store as file:///path, not %q", address)
		}
		folder = filepath.FromSlash(u.Path)
		q := u.Query()
		q.Set("create_dir", "1")
		q.Set("no_tmp_dir", "1") // beside the file, so that the last step is a rename within one disk
		q.Set("metadata", "skip")
		q.Set("dir_file_mode", "0700")
		u.RawQuery = q.Encode()
	case "s3", "gs", "azblob":
		return nil, fmt.Errorf("blob: this build has no driver for %s://; use file:///path, or build with gocloud.dev/blob/%s", u.Scheme, map[string]string{"s3": "s3blob", "gs": "gcsblob", "azblob": "azureblob"}[u.Scheme])
	default:
		return nil, fmt.Errorf("blob: %q is no store; use file:///path", u.Scheme)
	}
	b, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("blob: open the store: %w", err)
	}
	return &Store{bucket: b, keys: keys, folder: folder}, nil
}

// Close closes the bucket.
func (s *Store) Close() error { return s.bucket.Close() }

// Check returns an error when the bucket cannot be reached.
func (s *Store) Check(ctx context.Context) error {
	ok, err := s.bucket.IsAccessible(ctx)
	if err == nil && !ok {
		err = errors.New("the bucket is not there")
	}
	if err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}

// Put stores what r gives, at most limit bytes of a type that accept knows; nil
// accepts any. Until it returns nothing is visible, and nothing stays when it
// fails. Codes: errs.Required (nothing), errs.LimitReached (too much),
// errs.Invalid (the wrong content).
func (s *Store) Put(ctx context.Context, org id.ID, r io.Reader, limit int64, accept Type) (info Info, err error) {
	return s.PutAs(ctx, org, NewKey(), r, limit, accept)
}

// PutAs is Put under a key of NewKey. Whoever wrote the key down before can Erase
// what a killed process left.
func (s *Store) PutAs(ctx context.Context, org id.ID, key string, r io.Reader, limit int64, accept Type) (info Info, err error) {
	if err := org.Want(id.Organization); err != nil {
		return Info{}, err
	}
	if !goodKey(key) {
		return Info{}, errs.New(errs.Internal, "the key of a new file is not one of NewKey")
	}
	head := make([]byte, headSize)
	n, err := io.ReadFull(r, head)
	head = head[:n]
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		return Info{}, errs.New(errs.Required, "the file is empty")
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return Info{}, fmt.Errorf("blob: read the upload: %w", err)
	}
	if accept == nil {
		accept = Any
	}
	if info.ContentType, err = accept(head); err != nil {
		return Info{}, err
	}
	info.Key = key

	// A canceled context makes gocloud throw the half-written file away.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := s.bucket.NewWriter(ctx, path(org, info.Key), &blob.WriterOptions{ContentType: "application/octet-stream"})
	if err != nil {
		return Info{}, fmt.Errorf("blob: %w", err)
	}
	abandon := func(err error) (Info, error) {
		cancel()
		_ = w.Close()
		return Info{}, err
	}
	enc, err := s.keys.EncryptStream(w, org.String(), info.Key)
	if err != nil {
		return abandon(fmt.Errorf("blob: %w", err))
	}
	sum := sha256.New()
	all := io.MultiReader(bytes.NewReader(head), r)
	info.Size, err = io.Copy(io.MultiWriter(enc, sum), io.LimitReader(all, limit+1))
	switch {
	case err != nil:
		return abandon(fmt.Errorf("blob: store: %w", err))
	case info.Size > limit:
		return abandon(errs.New(errs.LimitReached, "the file is larger than %s", size(limit)))
	}
	if err := enc.Close(); err != nil {
		return abandon(fmt.Errorf("blob: store: %w", err))
	}
	if err := w.Close(); err != nil {
		return Info{}, fmt.Errorf("blob: store: %w", err)
	}
	if err := s.sync(path(org, info.Key)); err != nil {
		return Info{}, fmt.Errorf("blob: store: %w", err)
	}
	info.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return info, nil
}

// sync makes sure that a file survives a power cut, because the original may be
// deleted at Twilio right afterwards. gocloud does not.
func (s *Store) sync(name string) error {
	if s.folder == "" {
		return nil
	}
	file := filepath.Join(s.folder, filepath.FromSlash(name))
	for _, p := range []string{file, filepath.Dir(file)} {
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		err = f.Sync()
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// Open opens a file at its start; any range of it can be read by seeking. The
// context bounds the reading too. Code: errs.NotFound, also for a file of
// another organization.
func (s *Store) Open(ctx context.Context, org id.ID, key string) (io.ReadSeekCloser, Info, error) {
	if !goodKey(key) || org.Kind() != id.Organization {
		return nil, Info{}, gone()
	}
	r, err := s.bucket.NewReader(ctx, path(org, key), nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, Info{}, gone()
	}
	if err != nil {
		return nil, Info{}, fmt.Errorf("blob: open: %w", err)
	}
	f, info, err := s.open(r, org, key)
	if err != nil {
		_ = r.Close()
		return nil, Info{}, fmt.Errorf("blob: open: %w", err)
	}
	return f, info, nil
}

func (s *Store) open(r *blob.Reader, org id.ID, key string) (io.ReadSeekCloser, Info, error) {
	plain, err := s.keys.DecryptStream(r, org.String(), key)
	if err != nil {
		return nil, Info{}, err
	}
	info := Info{Key: key}
	if info.Size, err = plain.Seek(0, io.SeekEnd); err != nil {
		return nil, Info{}, err
	}
	if _, err = plain.Seek(0, io.SeekStart); err != nil {
		return nil, Info{}, err
	}
	head := make([]byte, min(headSize, info.Size))
	if _, err = io.ReadFull(plain, head); err != nil {
		return nil, Info{}, err
	}
	if info.ContentType, err = Any(head); err != nil {
		return nil, Info{}, err
	}
	if _, err = plain.Seek(0, io.SeekStart); err != nil {
		return nil, Info{}, err
	}
	return file{plain, r}, info, nil
}

type file struct {
	io.ReadSeeker
	io.Closer
}

// Delete deletes a file; one that is gone is fine.
func (s *Store) Delete(ctx context.Context, org id.ID, key string) error {
	if !goodKey(key) || org.Kind() != id.Organization {
		return nil
	}
	if err := s.bucket.Delete(ctx, path(org, key)); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("blob: delete: %w", err)
	}
	return nil
}

func gone() error { return errs.New(errs.NotFound, "there is no such file") }

// path spreads the files of an organization over folders.
func path(org id.ID, key string) string { return org.String() + "/" + key[:2] + "/" + key }

// goodKey is what rand.Text makes: base32, so never a path.
func goodKey(key string) bool {
	if len(key) < 26 || len(key) > 64 {
		return false
	}
	for _, c := range []byte(key) {
		if (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// size writes a limit as people do.
func size(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MB", n>>20)
	}
	if n >= 1<<10 {
		return fmt.Sprintf("%d kB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
