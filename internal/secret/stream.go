package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A stream is a header and chunks. The header holds a key made for this stream
// alone, sealed by the keyring for the organization and name; each chunk is
// AES-256-GCM under that key with its number and "is this the last" as nonce
// (the STREAM construction). Any chunk opens by itself, so a range needs no more
// than its own chunks, and chunks cannot be swapped, dropped or cut off.
const (
	streamMagic = "SBE1"
	streamChunk = 64 << 10
	streamTag   = 16
	maxHeader   = 1 << 10
)

// EncryptStream returns a writer that encrypts into w. Close writes the last
// chunk and leaves w open; without it the stream does not open.
func (k *Keyring) EncryptStream(w io.Writer, org, name string) (io.WriteCloser, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // crypto/rand.Read never returns an error
	sealed, err := k.aead.Encrypt(key, place("stream", org, name))
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	head := append([]byte(streamMagic), 0, 0)
	binary.BigEndian.PutUint16(head[len(streamMagic):], uint16(len(sealed)))
	if _, err := w.Write(append(head, sealed...)); err != nil {
		return nil, err
	}
	return &encrypter{w: w, gcm: gcm, buf: make([]byte, 0, streamChunk+streamTag)}, nil
}

type encrypter struct {
	w      io.Writer
	gcm    cipher.AEAD
	n      uint64
	buf    []byte
	err    error
	closed bool
}

func (e *encrypter) Write(p []byte) (n int, err error) {
	if e.closed {
		return 0, errors.New("secret: write after close")
	}
	for len(p) > 0 {
		if len(e.buf) == streamChunk { // more follows, so this one is not the last
			if err := e.flush(false); err != nil {
				return n, err
			}
		}
		c := min(streamChunk-len(e.buf), len(p))
		e.buf = append(e.buf, p[:c]...)
		p, n = p[c:], n+c
	}
	return n, nil
}

func (e *encrypter) flush(last bool) error {
	if e.err != nil {
		return e.err
	}
	out := e.gcm.Seal(e.buf[:0], nonce(e.n, last), e.buf, nil)
	_, e.err = e.w.Write(out)
	e.buf = e.buf[:0]
	e.n++
	return e.err
}

func (e *encrypter) Close() error {
	if e.closed {
		return e.err
	}
	e.closed = true
	return e.flush(true)
}

// DecryptStream reads what EncryptStream wrote for the same organization and
// name. It refuses with ErrRefused when the end is missing, and later when a
// chunk was changed. Reading in order never seeks in src.
func (k *Keyring) DecryptStream(src io.ReadSeeker, org, name string) (io.ReadSeeker, error) {
	total, err := src.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var head [len(streamMagic) + 2]byte
	if _, err := io.ReadFull(src, head[:]); err != nil {
		return nil, cut(err)
	}
	length := int(binary.BigEndian.Uint16(head[len(streamMagic):]))
	if string(head[:len(streamMagic)]) != streamMagic || length > maxHeader {
		return nil, ErrRefused
	}
	sealed := make([]byte, length)
	if _, err := io.ReadFull(src, sealed); err != nil {
		return nil, cut(err)
	}
	key, err := k.aead.Decrypt(sealed, place("stream", org, name))
	if err != nil {
		return nil, ErrRefused
	}
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	d := &decrypter{src: src, gcm: gcm, start: int64(len(head) + length), held: -1}
	d.at = d.start
	body := total - d.start
	d.chunks = (body + streamChunk + streamTag - 1) / (streamChunk + streamTag)
	if d.chunks == 0 || body < d.chunks*streamTag {
		return nil, ErrRefused
	}
	d.size = body - d.chunks*streamTag
	// Opening the last chunk proves that nothing was cut off, before anybody is told the size.
	if err := d.hold(d.chunks - 1); err != nil {
		return nil, err
	}
	return d, nil
}

type decrypter struct {
	src    io.ReadSeeker
	gcm    cipher.AEAD
	start  int64 // where chunk 0 begins in src
	at     int64 // where src stands
	chunks int64
	size   int64 // of the plain text
	pos    int64
	held   int64 // the chunk in plain, or -1
	plain  []byte
	buf    []byte
}

func (d *decrypter) hold(n int64) error {
	if d.held == n {
		return nil
	}
	d.held = -1
	if d.buf == nil {
		d.buf = make([]byte, streamChunk+streamTag)
	}
	off := d.start + n*(streamChunk+streamTag)
	if d.at != off {
		if _, err := d.src.Seek(off, io.SeekStart); err != nil {
			return err
		}
		d.at = off
	}
	want := d.buf
	if n == d.chunks-1 {
		want = d.buf[:d.size-n*streamChunk+streamTag]
	}
	got, err := io.ReadFull(d.src, want)
	d.at += int64(got)
	if err != nil {
		return cut(err)
	}
	if d.plain, err = d.gcm.Open(want[:0], nonce(uint64(n), n == d.chunks-1), want, nil); err != nil {
		return ErrRefused
	}
	d.held = n
	return nil
}

func (d *decrypter) Read(p []byte) (int, error) {
	if d.pos >= d.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	n := d.pos / streamChunk
	if err := d.hold(n); err != nil {
		return 0, err
	}
	c := copy(p, d.plain[d.pos-n*streamChunk:])
	d.pos += int64(c)
	return c, nil
}

func (d *decrypter) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += d.pos
	case io.SeekEnd:
		offset += d.size
	default:
		return 0, errors.New("secret: seek from nowhere")
	}
	if offset < 0 {
		return 0, errors.New("secret: seek before the start")
	}
	d.pos = offset
	return offset, nil
}

func nonce(n uint64, last bool) []byte {
	var b [12]byte
	binary.BigEndian.PutUint64(b[3:11], n)
	if last {
		b[11] = 1
	}
	return b[:]
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return cipher.NewGCM(block)
}

// cut turns "ended too early" into ErrRefused and leaves the errors of the source alone.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrRefused
	}
	return err
}
