package media

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/infinite-kanvas/kanvas/domain"
)

func gradient(w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, color.RGBA{byte(x * 7), byte(y * 5), byte(x * y), 255})
		}
	}
	return m
}

func encoded(t testing.TB, encode func(io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegFile(t testing.TB, w, h int) []byte {
	return encoded(t, func(b io.Writer) error { return jpeg.Encode(b, gradient(w, h), nil) })
}

func pngFile(t testing.TB, w, h int) []byte {
	return encoded(t, func(b io.Writer) error { return png.Encode(b, gradient(w, h)) })
}

func gifFile(t testing.TB, frames int) []byte {
	p := image.NewPaletted(image.Rect(0, 0, 12, 9), color.Palette{color.Black, color.White})
	g := &gif.GIF{}
	for range frames {
		g.Image, g.Delay = append(g.Image, p), append(g.Delay, 10)
	}
	return encoded(t, func(b io.Writer) error { return gif.EncodeAll(b, g) })
}

// webpFile is an extended WebP of 2 × 2 pixels around a lossless frame, with EXIF and XMP.
func webpFile(orientation byte) []byte {
	chunk := func(name string, data []byte) []byte {
		b := append(binary.LittleEndian.AppendUint32([]byte(name), uint32(len(data))), data...)
		return append(b, make([]byte, len(b)&1)...)
	}
	frame := []byte{0x2f, 0x01, 0x40, 0x00, 0x00, 0x88, 0x88, 0x08}
	body := append([]byte("WEBP"), chunk("VP8X", []byte{webpHasExif | webpHasXMP, 0, 0, 0, 1, 0, 0, 1, 0, 0})...)
	body = append(body, chunk("VP8L", frame)...)
	body = append(body, chunk("EXIF", append(orientationOnly(int(orientation)), "GPS SECRET"...))...)
	body = append(body, chunk("XMP ", []byte("<x>SECRET</x>"))...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

func mp4File() []byte {
	box := func(name string, data ...[]byte) []byte {
		all := bytes.Join(data, nil)
		return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(all)+8)), name...), all...)
	}
	tkhd := make([]byte, 84)
	binary.BigEndian.PutUint32(tkhd[76:], 640<<16)
	binary.BigEndian.PutUint32(tkhd[80:], 360<<16)
	return bytes.Join([][]byte{box("ftyp", []byte("isom\x00\x00\x00\x00isommp42")), box("moov", box("mvhd", make([]byte, 100)), box("trak", box("tkhd", tkhd))), box("mdat", make([]byte, 500))}, nil)
}

func webmFile() []byte {
	head := []byte("\x1a\x45\xdf\xa3\x87\x42\x82\x84webm")
	return append(append(head, "\x18\x53\x80\x67\x40\x0a"...), make([]byte, 10)...)
}

func withSegments(data []byte, segments ...[]byte) []byte {
	out := append([]byte{}, data[:2]...)
	for _, s := range segments {
		out = append(out, 0xff, s[0], byte((len(s)+1)>>8), byte(len(s)+1))
		out = append(out, s[1:]...)
	}
	return append(out, data[2:]...)
}

func segment(marker byte, data ...string) []byte {
	return append([]byte{marker}, strings.Join(data, "")...)
}

// scan reads as from a slow network, and edits.
func scan(t *testing.T, data []byte) (*Found, []byte) {
	t.Helper()
	f, err := Scan(iotest.HalfReader(bytes.NewReader(data)), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(f.Edited(iotest.OneByteReader(bytes.NewReader(data))))
	if err != nil || int64(len(out)) != f.Size {
		t.Fatalf("%d bytes, %d were said: %v", len(out), f.Size, err)
	}
	return f, out
}

func TestWhatIsWholeStaysAsItIs(t *testing.T) {
	for name, c := range map[string]struct {
		data          []byte
		width, height int
	}{
		"jpeg": {jpegFile(t, 33, 21), 33, 21}, "png": {pngFile(t, 33, 21), 33, 21}, "gif": {gifFile(t, 1), 12, 9}, "animated gif": {gifFile(t, 3), 12, 9},
		"mp4": {mp4File(), 640, 360}, "webm": {webmFile(), 0, 0},
	} {
		f, out := scan(t, c.data)
		if f.Changed() || !bytes.Equal(out, c.data) || f.Width != c.width || f.Height != c.height {
			t.Errorf("%s: %+v, changed %v", name, f, f.Changed())
		}
		if f.Animated != (name == "animated gif") {
			t.Errorf("%s: animated %v", name, f.Animated)
		}
	}
}

func TestWhatDescribesItIsLeftOut(t *testing.T) {
	exif := segment(0xe1, "Exif\x00\x00", string(orientationOnly(8)), "GPS SECRET")
	withText := func(data []byte, name, text string) []byte {
		return append(append(append([]byte{}, data[:33]...), pngChunk(name, []byte(text))...), data[33:]...)
	}
	photo := jpegFile(t, 30, 20)
	for name, c := range map[string]struct {
		data        []byte
		orientation int
	}{
		"EXIF":                  {withSegments(photo, exif), 8},
		"EXIF behind JFIF":      {withSegments(photo, segment(0xe0, "JFIF\x00SAFE"), exif), 8},
		"XMP, IPTC, comment":    {withSegments(photo, segment(0xe1, "http://ns.adobe.com/xap/1.0/\x00 SECRET"), segment(0xed, "Photoshop SECRET"), segment(0xfe, "SECRET")), 1},
		"a film behind a photo": {append(append([]byte{}, photo...), "\x00\x00\x00\x18ftypisom SECRET"...), 1},
		"a picture behind it":   {append(append([]byte{}, photo...), "\xff\xd8\xff SECRET"...), 1},
		"zeros behind it":       {append(append([]byte{}, photo...), make([]byte, 99)...), 1},
		"PNG's text":            {withText(pngFile(t, 30, 20), "tEXt", "Comment\x00SECRET"), 1},
		"PNG's EXIF":            {withText(pngFile(t, 30, 20), "eXIf", string(orientationOnly(6))+"SECRET"), 6},
		"WebP's EXIF and XMP":   {webpFile(3), 3},
	} {
		t.Run(name, func(t *testing.T) {
			f, out := scan(t, c.data)
			if !f.Changed() || bytes.Contains(out, []byte("SECRET")) || f.Orientation != c.orientation {
				t.Fatalf("%+v: %q", f, out)
			}
			again, twice := scan(t, out)
			if !bytes.Equal(out, twice) || again.Orientation != c.orientation || again.Width != f.Width {
				t.Errorf("edited again: %+v, before %+v", again, f)
			}
			if f.Type != typeWebP {
				m, _, err := image.Decode(bytes.NewReader(out))
				if err != nil || m.Bounds().Dx() != 30 || (c.orientation >= 5) != (f.Width == 20) {
					t.Errorf("%+v %v", f, err)
				}
			}
		})
	}
}

// avifFile is a real one of 33 × 21 pixels, with EXIF and XMP, made by avifenc (libavif).
func avifFile(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/described.avif")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestWhatDescribesAnAVIFIsOverwritten: everything in it stays where it is, as it is referred to by place.
func TestWhatDescribesAnAVIFIsOverwritten(t *testing.T) {
	data := avifFile(t)
	if !bytes.Contains(data, []byte("SECRET cam")) || !bytes.Contains(data, []byte("SECRET place")) {
		t.Fatal("there is nothing to be overwritten")
	}
	f, out := scan(t, data)
	if !f.Changed() || bytes.Contains(out, []byte("SECRET")) || bytes.Contains(out, []byte("xmpmeta")) || len(out) != len(data) || f.Width != 33 || f.Height != 21 {
		t.Fatalf("%+v: %q", f, out)
	}
	changed := 0
	for i := range out {
		if out[i] != data[i] {
			changed++
		}
	}
	if changed > 200 {
		t.Errorf("%d bytes are other ones", changed)
	}
	if _, twice := scan(t, out); !bytes.Equal(out, twice) {
		t.Error("edited again it is another one")
	}
	// The same, with places in the box itself, in whatever is not a picture, and of more than one part.
	for name, c := range map[string]struct {
		data []byte
		gone int // bytes
	}{
		"inside":       {avifOf(1, 1, [2]uint32{0, 40}), 40},
		"behind":       {avifOf(1, 0, [2]uint32{0, 40}), 40},
		"in two parts": {avifOf(1, 0, [2]uint32{0, 10}, [2]uint32{20, 5}), 15},
		"version 2":    {avifOf(2, 1, [2]uint32{3, 30}), 30},
	} {
		f, out := scan(t, c.data)
		if got := bytes.Count(c.data, []byte("S")) - bytes.Count(out, []byte("S")); !f.Changed() || got != c.gone {
			t.Errorf("%s: %d bytes are gone: %q", name, got, out)
		}
	}
	for name, b := range map[string][]byte{
		"a part behind the end": avifOf(1, 0, [2]uint32{0, 500}), "a part beyond the box": avifOf(1, 1, [2]uint32{30, 40}), "a part on another": avifOf(1, 0, [2]uint32{0, 20}, [2]uint32{10, 20}),
		"all that is left": avifOf(1, 0, [2]uint32{0, 0}), "from another item": avifOf(1, 2, [2]uint32{0, 4}),
	} {
		_, err := Scan(bytes.NewReader(b), int64(len(b)))
		var reason *domain.Error
		if !errors.As(err, &reason) || reason.Code != domain.CodeBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// avifOf is as much of an AVIF as is looked at, with one item of text in extents that are counted from its 64 bytes: in the box (method 1) or behind it.
func avifOf(version, method byte, extents ...[2]uint32) []byte {
	box := func(name string, data ...[]byte) []byte {
		all := bytes.Join(data, nil)
		return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(all)+8)), name...), all...)
	}
	text := bytes.Repeat([]byte("S"), 64)
	wide := func(n uint32) []byte {
		if version == 2 {
			return binary.BigEndian.AppendUint32(nil, n)
		}
		return binary.BigEndian.AppendUint16(nil, uint16(n))
	}
	build := func(base uint32) []byte {
		iloc := append([]byte{version, 0, 0, 0, 0x44, 0x40}, append(wide(1), wide(7)...)...)
		iloc = append(iloc, 0, method, 0, 0)
		iloc = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(iloc, base), uint16(len(extents)))
		for _, e := range extents {
			iloc = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(iloc, e[0]), e[1])
		}
		meta := box("meta", make([]byte, 4),
			box("iinf", []byte{0, 0, 0, 0, 0, 1}, box("infe", []byte{2, 0, 0, 0, 0, 7, 0, 0}, []byte("mime\x00"))), box("iloc", iloc),
			box("iprp", box("ipco", box("ispe", make([]byte, 4), []byte{0, 0, 0, 5, 0, 0, 0, 4}))), box("idat", text))
		return slices.Concat(box("ftyp", []byte("avif\x00\x00\x00\x00avifmif1")), meta, box("mdat", text))
	}
	if method != 0 {
		return build(0)
	}
	return build(uint32(len(build(0)) - len(text)))
}

// TestCutsAndExtrasAreRefused cuts each file at many places, and adds to it.
func TestCutsAndExtrasAreRefused(t *testing.T) {
	for name, data := range map[string][]byte{
		"jpeg": jpegFile(t, 40, 40), "png": pngFile(t, 40, 40), "gif": gifFile(t, 2), "webp": webpFile(1), "mp4": mp4File(), "webm": webmFile(), "avif": avifFile(t),
	} {
		refused := func(b []byte) {
			t.Helper()
			f, err := Scan(bytes.NewReader(b), int64(len(b)))
			var reason *domain.Error
			if !errors.As(err, &reason) || reason.Code != domain.CodeBadRequest {
				t.Errorf("%s of %d bytes, %d of them: %+v %v", name, len(data), len(b), f, err)
			}
		}
		for cut := 0; cut < len(data); cut += max(1, len(data)/150) {
			if name == "mp4" && cut > 20 && cut < len(data) && cutsAtBox(data, cut) {
				continue // whole boxes: it is the shorter film that it says
			}
			refused(data[:cut])
		}
		refused(append(append([]byte{}, data...), "PK\x03\x04 <script>"...))
	}
}

func cutsAtBox(data []byte, cut int) bool {
	at := 0
	for at < cut {
		at += int(binary.BigEndian.Uint32(data[at:]))
	}
	return at == cut
}

func FuzzScan(f *testing.F) {
	for _, b := range [][]byte{jpegFile(f, 9, 9), pngFile(f, 9, 9), gifFile(f, 2), webpFile(6), mp4File(), webmFile(), withSegments(jpegFile(f, 9, 9), segment(0xfe, "x")), avifFile(f), avifOf(1, 0, [2]uint32{0, 10}, [2]uint32{20, 5}), avifOf(2, 1, [2]uint32{3, 30})} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := Scan(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			var reason *domain.Error
			if !errors.As(err, &reason) {
				t.Fatalf("no reason: %v", err)
			}
			return
		}
		out, err := io.ReadAll(found.Edited(bytes.NewReader(data)))
		if err != nil || int64(len(out)) != found.Size {
			t.Fatalf("%d bytes, %d were said: %v", len(out), found.Size, err)
		}
		again, err := Scan(bytes.NewReader(out), int64(len(out)))
		if err != nil || again.Width != found.Width || again.Height != found.Height {
			t.Fatalf("what was edited is not taken again: %+v, %+v, %v", found, again, err)
		}
	})
}
