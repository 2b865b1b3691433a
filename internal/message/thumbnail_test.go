package message

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"
)

// corners is a picture of four colours, one in each corner: red, green over
// blue, white.
func corners(w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{255, 0, 0, 255}
			switch {
			case x >= w/2 && y >= h/2:
				c = color.RGBA{255, 255, 255, 255}
			case x >= w/2:
				c = color.RGBA{0, 255, 0, 255}
			case y >= h/2:
				c = color.RGBA{0, 0, 255, 255}
			}
			m.SetRGBA(x, y, c)
		}
	}
	return m
}

// name says which corner colour a pixel has.
func name(c color.Color) string {
	r, g, b, _ := c.RGBA()
	high := func(v uint32) bool { return v > 0x8000 }
	switch {
	case high(r) && high(g) && high(b):
		return "W"
	case high(r):
		return "R"
	case high(g):
		return "G"
	case high(b):
		return "B"
	}
	return "?"
}

func seen(m image.Image) string {
	b := m.Bounds()
	x0, x1, y0, y1 := b.Min.X+b.Dx()/8, b.Max.X-1-b.Dx()/8, b.Min.Y+b.Dy()/8, b.Max.Y-1-b.Dy()/8
	return name(m.At(x0, y0)) + name(m.At(x1, y0)) + "/" + name(m.At(x0, y1)) + name(m.At(x1, y1))
}

// exif puts an orientation into a JPEG.
func exif(t *testing.T, m image.Image, order binary.ByteOrder, turn uint16) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	tiff := []byte("II*\x00\x08\x00\x00\x00")
	if order == binary.BigEndian {
		tiff = []byte("MM\x00*\x00\x00\x00\x08")
	}
	entry := make([]byte, 14)
	order.PutUint16(entry, 1)
	order.PutUint16(entry[2:], 0x0112)
	order.PutUint16(entry[4:], 3)
	order.PutUint32(entry[6:], 1)
	order.PutUint16(entry[10:], turn)
	body := append([]byte("Exif\x00\x00"), append(tiff, entry...)...)
	head := append([]byte{0xff, 0xd8, 0xff, 0xe1}, binary.BigEndian.AppendUint16(nil, uint16(len(body)+2))...)
	return append(append(head, body...), b.Bytes()[2:]...)
}

func TestASmallPictureIsUpright(t *testing.T) {
	t.Parallel()
	for turn, want := range map[uint16]string{ // EXIF 2.32, 4.6.4: what the viewer sees
		1: "RG/BW", 2: "GR/WB", 3: "WB/GR", 4: "BW/RG", 5: "RB/GW", 6: "BR/WG", 7: "WG/BR", 8: "GW/RB",
	} {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			small, w, h, err := thumbnail(bytes.NewReader(exif(t, corners(640, 400), order, turn)))
			if err != nil {
				t.Fatalf("orientation %d: %v", turn, err)
			}
			m, err := jpeg.Decode(bytes.NewReader(small))
			if err != nil {
				t.Fatal(err)
			}
			wantW, wantH := 640, 400
			if turn >= 5 {
				wantW, wantH = 400, 640
			}
			if got := seen(m); got != want || w != wantW || h != wantH || max(m.Bounds().Dx(), m.Bounds().Dy()) != thumbnailSide {
				t.Errorf("orientation %d (%v): %s of %dx%d in %v, want %s of %dx%d", turn, order, got, w, h, m.Bounds(), want, wantW, wantH)
			}
		}
	}
}

func TestPicturesOfEveryKindGetASmallOne(t *testing.T) {
	t.Parallel()
	var p, g bytes.Buffer
	clear := image.NewNRGBA(image.Rect(0, 0, 20, 10)) // all transparent
	if err := png.Encode(&p, clear); err != nil {
		t.Fatal(err)
	}
	if err := gif.Encode(&g, corners(8, 8), nil); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		file []byte
		w, h int
		want string
		why  string
	}{
		"png": {p.Bytes(), 20, 10, "WW/WW", "what is transparent is white, and a small picture is not made larger"},
		"gif": {g.Bytes(), 8, 8, "RG/BW", "the first frame"},
	} {
		small, w, h, err := thumbnail(bytes.NewReader(c.file))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		m, err := jpeg.Decode(bytes.NewReader(small))
		if err != nil {
			t.Fatal(err)
		}
		if got := seen(m); got != c.want || w != c.w || h != c.h || m.Bounds().Dx() != c.w {
			t.Errorf("%s: %s of %dx%d in %v, want %s: %s", what, got, w, h, m.Bounds(), c.want, c.why)
		}
	}
}

func TestAPictureThatOpensIntoGigabytesIsNotOpened(t *testing.T) {
	t.Parallel()
	// A PNG header of 60,000 by 60,000 pixels, and nothing behind it.
	ihdr := []byte("IHDR\x00\x00\xea\x60\x00\x00\xea\x60\x08\x02\x00\x00\x00")
	bomb := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), ihdr...)
	bomb = binary.BigEndian.AppendUint32(bomb, crc32.ChecksumIEEE(ihdr))
	small, w, h, err := thumbnail(bytes.NewReader(bomb))
	if err == nil || small != nil || w != 60_000 || h != 60_000 {
		t.Errorf("%d bytes of %dx%d, %v", len(small), w, h, err)
	}
	for what, file := range map[string][]byte{"nothing": nil, "text": []byte("hello"), "half a JPEG": exif(t, corners(64, 64), binary.LittleEndian, 6)[:200]} {
		if small, _, _, err := thumbnail(bytes.NewReader(file)); err == nil {
			t.Errorf("%s gives %d bytes", what, len(small))
		}
	}
}

// A WebP has two sizes: that of its canvas and that of the picture on it.
func TestASmallCanvasHidesNoLargePicture(t *testing.T) {
	t.Parallel()
	chunk := func(kind string, data []byte) []byte {
		b := binary.LittleEndian.AppendUint32([]byte(kind), uint32(len(data)))
		if b = append(b, data...); len(data)%2 == 1 {
			b = append(b, 0)
		}
		return b
	}
	// Five Huffman codes of one symbol each: every pixel is the same and takes no bits.
	plain := func(side uint32) []byte {
		bits, n := uint64(0), 0
		put := func(v uint64, width int) { bits |= v << n; n += width }
		put(0, 3) // no transform, no colour cache, no more codes
		for range 5 {
			put(1, 4) // simple, one symbol, of one bit, 0
		}
		head := binary.LittleEndian.AppendUint32([]byte{0x2f}, (side-1)|(side-1)<<14)
		return binary.LittleEndian.AppendUint64(head, bits)
	}
	picture := func(canvas, side uint32) []byte {
		size := []byte{byte(canvas - 1), byte((canvas - 1) >> 8), 0}
		body := append([]byte("WEBP"), chunk("VP8X", append(append([]byte{0, 0, 0, 0}, size...), size...))...)
		return chunk("RIFF", append(body, chunk("VP8L", plain(side))...))
	}
	if small, _, _, err := thumbnail(bytes.NewReader(picture(16, 16))); err != nil || len(small) == 0 {
		t.Fatalf("an honest one: %v", err)
	}
	if small, _, _, err := thumbnail(bytes.NewReader(picture(16, 6000))); err == nil {
		t.Errorf("36 million pixels were read from %d bytes, for %d", len(picture(16, 6000)), len(small))
	}
}
