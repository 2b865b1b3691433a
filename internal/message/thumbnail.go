package message

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"image/color"
	_ "image/gif" // what pictures are read from
	"image/jpeg"
	_ "image/png" // what pictures are read from
	"io"
	"strings"

	"golang.org/x/image/draw"
	"golang.org/x/image/riff"
	"golang.org/x/image/vp8"
	"golang.org/x/image/vp8l"
	_ "golang.org/x/image/webp" // what pictures are read from

	"switchboard/internal/blob"
)

const (
	thumbnailType = "image/jpeg"
	// thumbnailSide is the longer side of a small picture, in pixels.
	thumbnailSide = 320
	// maxPixels is the largest picture that is read: some files are small and open
	// into gigabytes.
	maxPixels = 25_000_000
)

// reading keeps the pictures that are open at once, and so the memory, few.
var reading = make(chan struct{}, 2)

// look finds out how large a stored picture is and makes the small one. A picture
// that cannot be read has none; it is kept all the same.
func (m *Media) look(ctx context.Context, store *blob.Store) {
	if !strings.HasPrefix(m.ContentType, "image/") || m.BlobKey == nil {
		return
	}
	select {
	case reading <- struct{}{}:
		defer func() { <-reading }()
	case <-ctx.Done():
		return
	}
	f, _, err := store.Open(ctx, m.OrganizationID, *m.BlobKey)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	small, width, height, err := thumbnail(f)
	if width > 0 {
		m.Width, m.Height = &width, &height
	}
	if err != nil {
		return
	}
	info, err := store.Put(ctx, m.OrganizationID, bytes.NewReader(small), int64(len(small)), nil)
	if err != nil {
		return
	}
	m.ThumbnailKey, m.ThumbnailBytes = &info.Key, &info.Size
}

// thumbnail reads a picture and makes a small JPEG of it, upright and on white.
// Width and height are those of the upright picture; zero when it is none.
func thumbnail(f io.ReadSeeker) (small []byte, width, height int, err error) {
	size, kind, err := image.DecodeConfig(f)
	if err != nil || size.Width < 1 || size.Height < 1 {
		return nil, 0, 0, image.ErrFormat
	}
	turn := 1
	if kind == "jpeg" {
		turn = orientation(f)
	}
	width, height = size.Width, size.Height
	if turn >= 5 {
		width, height = height, width
	}
	if size.Width > maxPixels/size.Height || kind == "webp" && !frameFits(f) {
		return nil, width, height, image.ErrFormat
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, width, height, err
	}
	picture, _, err := image.Decode(f)
	if err != nil {
		return nil, width, height, err
	}
	w, h := size.Width, size.Height
	if long := max(w, h); long > thumbnailSide {
		w, h = max(w*thumbnailSide/long, 1), max(h*thumbnailSide/long, 1)
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(out, out.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.ApproxBiLinear.Scale(out, out.Bounds(), picture, picture.Bounds(), draw.Over, nil)
	var b bytes.Buffer
	err = jpeg.Encode(&b, upright(out, turn), &jpeg.Options{Quality: 80})
	return b.Bytes(), width, height, err
}

// frameFits reports whether the picture inside a WebP is small enough to be read:
// the size on its canvas, which is what is asked first, may say less.
func frameFits(f io.ReadSeeker) bool {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false
	}
	_, chunks, err := riff.NewReader(f)
	for err == nil {
		var kind riff.FourCC
		var length uint32
		var data io.Reader
		if kind, length, data, err = chunks.Next(); err != nil {
			break
		}
		switch string(kind[:]) {
		case "VP8L":
			size, err := vp8l.DecodeConfig(data)
			return err == nil && size.Width <= maxPixels/max(size.Height, 1)
		case "VP8 ":
			d := vp8.NewDecoder()
			d.Init(data, int(length))
			head, err := d.DecodeFrameHeader()
			return err == nil && head.Width <= maxPixels/max(head.Height, 1)
		}
	}
	return false
}

// upright turns and mirrors a picture as its EXIF orientation says (EXIF 2.32,
// 4.6.4): 1 is as it is, 5 to 8 lie on their side.
func upright(in *image.RGBA, turn int) *image.RGBA {
	if turn < 2 || turn > 8 {
		return in
	}
	w, h := in.Bounds().Dx(), in.Bounds().Dy()
	ow, oh := w, h
	if turn >= 5 {
		ow, oh = h, w
	}
	out := image.NewRGBA(image.Rect(0, 0, ow, oh))
	for y := range oh {
		for x := range ow {
			sx, sy := x, y
			if turn >= 5 {
				sx, sy = y, x
			}
			if turn == 2 || turn == 3 || turn == 7 || turn == 8 {
				sx = w - 1 - sx
			}
			if turn == 3 || turn == 4 || turn == 6 || turn == 7 {
				sy = h - 1 - sy
			}
			out.SetRGBA(x, y, in.RGBAAt(sx, sy))
		}
	}
	return out
}

// orientation is the EXIF orientation of a JPEG, 1 when it says none.
func orientation(f io.ReadSeeker) int {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 1
	}
	head := make([]byte, 64<<10)
	n, _ := io.ReadFull(f, head)
	head = head[:n]
	for at := 2; at+4 <= len(head) && head[at] == 0xff; {
		marker, length := head[at+1], int(binary.BigEndian.Uint16(head[at+2:]))
		if marker == 0xda || length < 2 {
			return 1
		}
		end := at + 2 + length
		if marker == 0xe1 && end <= len(head) && bytes.HasPrefix(head[at+4:end], []byte("Exif\x00\x00")) {
			return orientationOf(head[at+10 : end])
		}
		at = end
	}
	return 1
}

// orientationOf reads the tag out of the TIFF header that EXIF is.
func orientationOf(tiff []byte) int {
	if len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.LittleEndian
	if tiff[0] == 'M' {
		order = binary.BigEndian
	}
	first := int64(order.Uint32(tiff[4:]))
	if first+2 > int64(len(tiff)) {
		return 1
	}
	entries := tiff[first:]
	for i := range int(order.Uint16(entries)) {
		at := 2 + 12*i
		if at+12 > len(entries) {
			return 1
		}
		if order.Uint16(entries[at:]) == 0x0112 {
			if v := int(order.Uint16(entries[at+8:])); v >= 1 && v <= 8 {
				return v
			}
			return 1
		}
	}
	return 1
}
