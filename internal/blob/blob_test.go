package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchboard/internal/blob"
	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/secret"
)

func store(t *testing.T, address string) *blob.Store {
	t.Helper()
	k, err := secret.New()
	if err != nil {
		t.Fatal(err)
	}
	s, err := blob.OpenStore(t.Context(), address, k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// wav is a second of silence in a header that phones can play.
func wav(n int) []byte {
	head := "RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"
	return append([]byte(head), make([]byte, n)...)
}

func TestFileComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"mem://", "file://" + filepath.Join(t.TempDir(), "a", "b")} {
		t.Run(address[:3], func(t *testing.T) {
			t.Parallel()
			s, org := store(t, address), id.New(id.Organization)
			plain := wav(300_000)
			for i := range plain[44:] {
				plain[44+i] = byte(i * 7)
			}
			info, err := s.Put(t.Context(), org, bytes.NewReader(plain), 1<<20, blob.Audio)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(plain)
			if info.Size != int64(len(plain)) || info.SHA256 != hex.EncodeToString(sum[:]) || info.ContentType != "audio/wav" {
				t.Fatalf("%+v", info)
			}
			f, again, err := s.Open(t.Context(), org, info.Key)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if _, err := f.Seek(150_000, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			part := make([]byte, 1000)
			if _, err := io.ReadFull(f, part); err != nil || !bytes.Equal(part, plain[150_000:151_000]) {
				t.Fatalf("the range differs: %v", err)
			}
			if err := f.Close(); err != nil || again.Size != info.Size || again.ContentType != info.ContentType {
				t.Fatalf("%+v, %v", again, err)
			}
			for range 2 { // the second time it is gone already
				if err := s.Delete(t.Context(), org, info.Key); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := s.Open(t.Context(), org, info.Key); !errs.IsCode(err, errs.NotFound) {
				t.Fatal(err)
			}
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestFileOfAnotherOrganizationIsNotThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, mine, yours := store(t, "file://"+dir), id.New(id.Organization), id.New(id.Organization)
	info, err := s.Put(t.Context(), mine, bytes.NewReader(wav(10)), 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Open(t.Context(), yours, info.Key); !errs.IsCode(err, errs.NotFound) {
		t.Fatalf("opened: %v", err)
	}
	if err := s.Delete(t.Context(), yours, info.Key); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", "..", "../" + mine.String() + "/" + info.Key, "A/../../../../etc/passwd00000", strings.ToLower(info.Key), info.Key + "\x00"} {
		if _, _, err := s.Open(t.Context(), mine, key); !errs.IsCode(err, errs.NotFound) {
			t.Errorf("the key %q: %v", key, err)
		}
	}
	if _, err := s.Put(t.Context(), id.ID{}, bytes.NewReader(wav(10)), 1<<20, nil); err == nil {
		t.Error("stored for nobody")
	}
	// Somebody who moves the file between organizations on the disk gains nothing.
	from := filepath.Join(dir, mine.String(), info.Key[:2], info.Key)
	to := filepath.Join(dir, yours.String(), info.Key[:2], info.Key)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Open(t.Context(), yours, info.Key); !errors.Is(err, secret.ErrRefused) {
		t.Fatalf("a moved file opened: %v", err)
	}
}

func TestDiskHoldsNoPlainText(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := store(t, "file://"+dir)
	if _, err := s.Put(t.Context(), id.New(id.Organization), bytes.NewReader(wav(1000)), 1<<20, nil); err != nil {
		t.Fatal(err)
	}
	files := walk(t, dir)
	if len(files) != 1 {
		t.Fatalf("%d files", len(files))
	}
	b, err := os.ReadFile(files[0])
	if err != nil || bytes.Contains(b, []byte("WAVE")) {
		t.Fatalf("the file is readable: %v", err)
	}
	info, err := os.Stat(filepath.Dir(files[0]))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("its folder is open to others: %v, %v", info.Mode(), err)
	}
}

func walk(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

type broken struct{ r io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("connection reset")
	}
	return n, err
}

func TestFailedUploadLeavesNothing(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	cases := map[string]struct {
		why    string
		ctx    context.Context
		r      io.Reader
		accept blob.Type
		code   errs.Code
	}{
		"empty":       {why: "nothing to keep", r: strings.NewReader(""), code: errs.Required},
		"too large":   {why: "size is bounded whatever is declared", r: bytes.NewReader(wav(200_000)), code: errs.LimitReached},
		"cut off":     {why: "half a file is none", r: broken{bytes.NewReader(wav(50_000))}, code: errs.Internal},
		"not audio":   {why: "R126", r: strings.NewReader("<html><script>alert(1)</script>"), accept: blob.Audio, code: errs.Invalid},
		"given up":    {why: "the uploader went away", ctx: canceled, r: bytes.NewReader(wav(50_000)), code: errs.Internal},
		"svg for MMS": {why: "scripts hide in it", r: strings.NewReader(`<svg xmlns="http://www.w3.org/2000/svg"/>`), accept: blob.Image, code: errs.Invalid},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := store(t, "file://"+dir)
			if c.ctx == nil {
				c.ctx = t.Context()
			}
			if _, err := s.Put(c.ctx, id.New(id.Organization), c.r, 100_000, c.accept); !errs.IsCode(err, c.code) {
				t.Fatalf("%s: %v", c.why, err)
			}
			if files := walk(t, dir); len(files) != 0 {
				t.Fatalf("%s: left %v", c.why, files)
			}
		})
	}
}

func TestStoreAddressIsExplained(t *testing.T) {
	t.Parallel()
	k, err := secret.New()
	if err != nil {
		t.Fatal(err)
	}
	for address, says := range map[string]string{"s3://bucket": "s3blob", "gs://bucket": "gcsblob", "azblob://c": "azureblob", "ftp://x": "file:///path", "/var/lib": "file:///path", "file://relative": "file:///path", "\x00": "not a URL"} {
		if _, err := blob.OpenStore(t.Context(), address, k); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestTypeIsFoundInTheContent(t *testing.T) {
	t.Parallel()
	frame := append([]byte{0xFF, 0xFB, 0x90, 0x00}, make([]byte, 413)...) // 128 kbit/s at 44.1 kHz is 417 bytes
	mp3 := append(append([]byte{}, frame...), frame...)
	id3 := append([]byte("ID3\x04\x00\x00\x00\x00\x00\x0a"), append(make([]byte, 10), mp3...)...)
	cover := append([]byte("ID3\x03\x00\x00\x00\x7f\x7f\x7f"), bytes.Repeat([]byte("jpeg"), 1000)...)
	mpeg2 := append([]byte{0xFF, 0xF3, 0x40, 0xC4}, make([]byte, 140)...) // 32 kbit/s at 22.05 kHz: 104 bytes
	copy(mpeg2[104:], []byte{0xFF, 0xF3, 0x40, 0xC4})
	png := "\x89PNG\r\n\x1a\n"
	cases := map[string]struct {
		why, head, audio, image, any string
	}{
		"wav":           {why: "R126", head: string(wav(10)), audio: "audio/wav", any: "audio/wav"},
		"wav with list": {why: "chunks may come before the format", head: "RIFF\x00\x00\x00\x00WAVELIST\x03\x00\x00\x00abc\x00" + string(wav(0)[12:]), audio: "audio/wav", any: "audio/wav"},
		"mp3":           {why: "R126", head: string(mp3), audio: "audio/mpeg", any: "audio/mpeg"},
		"tagged mp3":    {why: "R126", head: string(id3), audio: "audio/mpeg", any: "audio/mpeg"},
		"mp3 and cover": {why: "the tag is longer than the head", head: string(cover[:4096]), audio: "audio/mpeg", any: "audio/mpeg"},
		"speech mp3":    {why: "MPEG 2, low rate", head: string(mpeg2), audio: "audio/mpeg", any: "audio/mpeg"},
		"png":           {why: "MMS", head: png, image: "image/png", any: "image/png"},
		"jpeg":          {why: "MMS", head: "\xff\xd8\xff\xe0", image: "image/jpeg", any: "image/jpeg"},
		"gif":           {why: "MMS", head: "GIF89a", image: "image/gif", any: "image/gif"},
		"html as mp3":   {why: "the name says mp3", head: "<html><body>ID3", any: "application/octet-stream"},
		"html in tag":   {why: "a polyglot", head: "ID3<script>alert(1)</script>", any: "application/octet-stream"},
		"sync only":     {why: "one match is chance", head: string(frame) + "not a frame", any: "application/octet-stream"},
		"riff not wav":  {why: "AVI is RIFF too", head: "RIFF\x00\x00\x00\x00AVI LIST0000000000", any: "video/avi"},
		"wav of mp3":    {why: "phones cannot play that code", head: strings.Replace(string(wav(10)), "\x10\x00\x00\x00\x01\x00", "\x10\x00\x00\x00\x55\x00", 1), any: "application/octet-stream"},
		"svg":           {why: "browsers run it", head: `<?xml version="1.0"?><svg/>`, any: "application/octet-stream"},
		"text":          {why: "neither", head: "hello", any: "application/octet-stream"},
		"short riff":    {why: "no panic", head: "RIFF\x00\x00\x00\x00WAVEfmt \xff\xff\xff\xff\x00\x00", any: "application/octet-stream"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			head := []byte(c.head)
			if got, err := blob.Audio(head); got != c.audio || (err == nil) != (c.audio != "") {
				t.Errorf("%s: audio %q, %v", c.why, got, err)
			}
			if got, err := blob.Image(head); got != c.image || (err == nil) != (c.image != "") {
				t.Errorf("%s: image %q, %v", c.why, got, err)
			}
			if got, err := blob.Any(head); err != nil || got != c.any {
				t.Errorf("%s: any %q, %v", c.why, got, err)
			}
			if _, err := blob.AudioOrImage(head); (err == nil) != (c.audio+c.image != "") {
				t.Errorf("%s: audio or image %v", c.why, err)
			}
		})
	}
}

func FuzzTypes(f *testing.F) {
	f.Add(wav(10))
	f.Add([]byte("ID3\x04\x00\x00\x00\x00\x00\x0a"))
	f.Add([]byte{0xFF, 0xFB, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, head []byte) {
		_, _ = blob.Audio(head)
		if got, _ := blob.Any(head); strings.Contains(got, "html") || strings.Contains(got, "xml") {
			t.Fatalf("%q would run in a browser", got)
		}
	})
}
