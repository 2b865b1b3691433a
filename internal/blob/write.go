package blob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"gocloud.dev/blob"

	"switchboard/internal/errs"
	"switchboard/internal/id"
)

// NewKey is a random key for Create.
func NewKey() string { return rand.Text() }

// Writer writes one file as it comes, encrypted, holding no more of it than a
// chunk. The file is visible after Close and never before. It is not safe for
// concurrent use.
type Writer struct {
	s      *Store
	name   string
	info   Info
	sum    hash.Hash
	enc    io.WriteCloser
	w      *blob.Writer
	cancel context.CancelFunc
	ended  bool
}

// Create begins a file under a key of NewKey, for what is too large for Put. The
// caller ends it with Close or Abort; the context bounds the writing too. Whoever
// wrote the key down before can Erase what a killed process left.
func (s *Store) Create(ctx context.Context, org id.ID, key string) (*Writer, error) {
	if err := org.Want(id.Organization); err != nil {
		return nil, err
	}
	if !goodKey(key) {
		return nil, errs.New(errs.Internal, "the key of a new file is not one of NewKey")
	}
	ctx, cancel := context.WithCancel(ctx)
	w, err := s.bucket.NewWriter(ctx, path(org, key), &blob.WriterOptions{ContentType: "application/octet-stream"})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("blob: %w", err)
	}
	enc, err := s.keys.EncryptStream(w, org.String(), key)
	if err != nil {
		cancel()
		_ = w.Close()
		return nil, fmt.Errorf("blob: %w", err)
	}
	return &Writer{s: s, name: path(org, key), info: Info{Key: key}, sum: sha256.New(), enc: enc, w: w, cancel: cancel}, nil
}

// Write adds to the file.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.enc.Write(p)
	w.sum.Write(p[:n])
	w.info.Size += int64(n)
	if err != nil {
		return n, fmt.Errorf("blob: store: %w", err)
	}
	return n, nil
}

// Size is how many bytes were written.
func (w *Writer) Size() int64 { return w.info.Size }

// Close makes the file visible; it does not find out its type.
func (w *Writer) Close() (Info, error) {
	if w.ended {
		return Info{}, errs.New(errs.Internal, "the file was ended before")
	}
	if err := w.enc.Close(); err != nil {
		w.Abort()
		return Info{}, fmt.Errorf("blob: store: %w", err)
	}
	w.ended = true
	defer w.cancel()
	if err := w.w.Close(); err != nil {
		return Info{}, fmt.Errorf("blob: store: %w", err)
	}
	if err := w.s.sync(w.name); err != nil {
		return Info{}, fmt.Errorf("blob: store: %w", err)
	}
	w.info.SHA256 = hex.EncodeToString(w.sum.Sum(nil))
	return w.info, nil
}

// Abort throws away what was written; after Close it does nothing.
func (w *Writer) Abort() {
	if w.ended {
		return
	}
	w.ended = true
	w.cancel() // which makes gocloud throw the half-written file away
	_ = w.w.Close()
}

// Erase is Delete that also throws away what a killed process has half written
// under the key.
func (s *Store) Erase(ctx context.Context, org id.ID, key string) error {
	if err := s.Delete(ctx, org, key); err != nil || s.folder == "" || !goodKey(key) || org.Kind() != id.Organization {
		return err
	}
	left, err := filepath.Glob(filepath.Join(s.folder, filepath.FromSlash(path(org, key))) + ".*.tmp")
	for _, name := range left {
		if gone := os.Remove(name); gone != nil && !os.IsNotExist(gone) && err == nil {
			err = gone
		}
	}
	if err != nil {
		return fmt.Errorf("blob: erase: %w", err)
	}
	return nil
}
