package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"switchboard/internal/blob"
	"switchboard/internal/errs"
	"switchboard/internal/id"
)

func folderStore(t *testing.T) (*blob.Store, string) {
	t.Helper()
	folder := t.TempDir()
	return store(t, "file://"+filepath.ToSlash(folder)), folder
}

func TestAFileIsWrittenAsItComesAndReadByRanges(t *testing.T) {
	t.Parallel()
	s, _ := folderStore(t)
	org, key := id.New(id.Organization), blob.NewKey()
	w, err := s.Create(t.Context(), org, key)
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for i := range 300 {
		part := bytes.Repeat([]byte{byte(i)}, 997)
		all.Write(part)
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Open(t.Context(), org, key); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("it is visible before its end: %v", err)
	}
	info, err := w.Close()
	sum := sha256.Sum256(all.Bytes())
	if err != nil || info.Size != int64(all.Len()) || info.Key != key || info.SHA256 != hex.EncodeToString(sum[:]) || w.Size() != info.Size {
		t.Fatalf("got %+v, %v", info, err)
	}
	w.Abort() // does nothing any more
	f, _, err := s.Open(t.Context(), org, key)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(150_000, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1000)
	if _, err := io.ReadFull(f, got); err != nil || !bytes.Equal(got, all.Bytes()[150_000:151_000]) {
		t.Errorf("a range is not what was written, %v", err)
	}
	if _, _, err := s.Open(t.Context(), id.New(id.Organization), key); !errs.IsCode(err, errs.NotFound) {
		t.Errorf("another organization opens it: %v", err)
	}
}

func TestWhatIsNotClosedLeavesNothing(t *testing.T) {
	t.Parallel()
	s, folder := folderStore(t)
	org := id.New(id.Organization)
	for name, end := range map[string]func(w *blob.Writer, cancel func()){
		"aborted": func(w *blob.Writer, _ func()) { w.Abort() },
		"aborted twice": func(w *blob.Writer, _ func()) {
			w.Abort()
			w.Abort()
		},
		"its context ended": func(w *blob.Writer, cancel func()) {
			cancel()
			if _, err := w.Close(); err == nil {
				t.Error("closed after its context ended")
			}
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		key := blob.NewKey()
		w, err := s.Create(ctx, org, key)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(make([]byte, 200_000))
		end(w, cancel)
		cancel()
		if _, _, err := s.Open(t.Context(), org, key); !errs.IsCode(err, errs.NotFound) {
			t.Errorf("%s: it can be opened: %v", name, err)
		}
		if left := walk(t, folder); len(left) != 0 {
			t.Errorf("%s: left %q", name, left)
		}
	}
}

func TestOnlyOurKeysNameNewFiles(t *testing.T) {
	t.Parallel()
	s, _ := folderStore(t)
	for _, key := range []string{"", "../../etc/passwd", "abc"} {
		if _, err := s.Create(t.Context(), id.New(id.Organization), key); err == nil {
			t.Errorf("%q names a file", key)
		}
	}
	if _, err := s.Create(t.Context(), id.New(id.User), blob.NewKey()); err == nil {
		t.Error("a user is no organization")
	}
}

func TestErasingTakesWhatAKilledProcessLeft(t *testing.T) {
	t.Parallel()
	s, folder := folderStore(t)
	org, key, other := id.New(id.Organization), blob.NewKey(), blob.NewKey()
	for _, k := range []string{key, other} {
		w, err := s.Create(t.Context(), org, k)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(make([]byte, 200_000)) // and never ended
		defer w.Abort()
	}
	if n := len(walk(t, folder)); n != 2 {
		t.Fatalf("%d files", n)
	}
	if err := s.Erase(t.Context(), org, key); err != nil {
		t.Fatal(err)
	}
	left := walk(t, folder)
	if len(left) != 1 || !strings.Contains(left[0], other) {
		t.Errorf("left %q", left)
	}
	for name, k := range map[string]string{"gone": key, "no key": "../*"} {
		if err := s.Erase(t.Context(), org, k); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
