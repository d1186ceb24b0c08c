package pictures

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"testing"
	"testing/iotest"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
)

func pngOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// leftHalf is a mask whose left half is white, in one of the forms that masks come in.
func leftHalf(w, h int, form string) image.Image {
	r := image.Rect(0, 0, w, h)
	set := map[string]func() (image.Image, func(x, y int, white bool)){
		"gray": func() (image.Image, func(int, int, bool)) {
			m := image.NewGray(r)
			return m, func(x, y int, white bool) {
				if white {
					m.SetGray(x, y, color.Gray{Y: 255})
				}
			}
		},
		"rgb": func() (image.Image, func(int, int, bool)) {
			m := image.NewRGBA(r)
			return m, func(x, y int, white bool) {
				m.Set(x, y, color.Black)
				if white {
					m.Set(x, y, color.White)
				}
			}
		},
		"alpha": func() (image.Image, func(int, int, bool)) { // white where it is, nothing elsewhere
			m := image.NewNRGBA(r)
			return m, func(x, y int, white bool) {
				m.SetNRGBA(x, y, color.NRGBA{255, 255, 255, 0})
				if white {
					m.SetNRGBA(x, y, color.NRGBA{255, 255, 255, 255})
				}
			}
		},
		"palette": func() (image.Image, func(int, int, bool)) {
			m := image.NewPaletted(r, color.Palette{color.Black, color.White})
			return m, func(x, y int, white bool) {
				if white {
					m.SetColorIndex(x, y, 1)
				}
			}
		},
	}[form]
	m, put := set()
	for y := range h {
		for x := range w {
			put(x, y, x < w/2)
		}
	}
	return m
}

// cut applies a mask, and returns the picture that comes of it.
func cut(t *testing.T, picture, mask []byte) *image.NRGBA {
	t.Helper()
	data, w, h, err := NewMask().Apply(t.Context(), bytes.NewReader(picture), bytes.NewReader(mask))
	if err != nil {
		t.Fatal(err)
	}
	m, err := png.Decode(bytes.NewReader(data))
	if err != nil || m.Bounds().Dx() != w || m.Bounds().Dy() != h {
		t.Fatalf("%v, said %d × %d: %v", m.Bounds(), w, h, err)
	}
	out, ok := m.(*image.NRGBA)
	if !ok {
		t.Fatalf("%T has no alpha of its own", m)
	}
	return out
}

func TestMaskBecomesAlpha(t *testing.T) {
	original, err := jpeg.Decode(bytes.NewReader(faltest.Picture))
	if err != nil {
		t.Fatal(err)
	}
	w, h := faltest.PictureWidth, faltest.PictureHeight
	for _, form := range []string{"gray", "rgb", "alpha", "palette"} {
		m := cut(t, faltest.Picture, pngOf(t, leftHalf(w, h, form)))
		for _, p := range []image.Point{{0, 0}, {w/2 - 1, h / 2}, {w / 2, 0}, {w - 1, h - 1}} {
			want := color.NRGBA{}
			if p.X < w/2 {
				want = color.NRGBAModel.Convert(original.At(p.X, p.Y)).(color.NRGBA)
			}
			if got := m.NRGBAAt(p.X, p.Y); got != want {
				t.Errorf("%s: at %v it is %v, not %v", form, p, got, want)
			}
		}
	}
	small := cut(t, faltest.Picture, pngOf(t, leftHalf(w/4, h/4, "gray"))) // scaled to the picture
	if small.NRGBAAt(w/4, h/2).A != 255 || small.NRGBAAt(3*w/4, h/2).A != 0 || small.Bounds().Dx() != w {
		t.Errorf("scaled: %v", small.Bounds())
	}
	m := cut(t, faltest.Picture, faltest.Mask(w, h))
	if m.NRGBAAt(w/2, h/2).A != 255 || m.NRGBAAt(2, 2).A != 0 {
		t.Error("the ellipse is not cut out")
	}
}

// TestMaskKeepsWhatShinesThrough: half of what was half there is a quarter.
func TestMaskKeepsWhatShinesThrough(t *testing.T) {
	under := image.NewNRGBA(image.Rect(0, 0, 8, 8))
	mask := image.NewGray(under.Rect)
	for i := range 64 {
		under.SetNRGBA(i%8, i/8, color.NRGBA{200, 100, 50, 128})
		mask.SetGray(i%8, i/8, color.Gray{Y: 128})
	}
	if got := cut(t, pngOf(t, under), pngOf(t, mask)).NRGBAAt(3, 3); got != (color.NRGBA{200, 100, 50, 64}) {
		t.Errorf("%v", got)
	}
}

// TestMaskOfATurnedPhoto: whether the mask was made of the photo as it lies or as it stands, the result stands.
func TestMaskOfATurnedPhoto(t *testing.T) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, quarters(80, 40), nil); err != nil {
		t.Fatal(err)
	}
	photo := withOrientation(b.Bytes(), 6) // to be turned to the right: blue and red above, white and green below
	lying := cut(t, photo, pngOf(t, leftHalf(80, 40, "gray")))
	if lying.Bounds().Dx() != 40 || lying.NRGBAAt(10, 20).A != 255 || !near(lying.NRGBAAt(10, 20), 0, 0, 255) || lying.NRGBAAt(10, 60).A != 0 {
		t.Errorf("lying: %v %v %v", lying.Bounds(), lying.NRGBAAt(10, 20), lying.NRGBAAt(10, 60))
	}
	standing := cut(t, photo, pngOf(t, leftHalf(40, 80, "gray")))
	if standing.Bounds().Dx() != 40 || !near(standing.NRGBAAt(10, 60), 255, 255, 255) || standing.NRGBAAt(10, 60).A != 255 || standing.NRGBAAt(30, 20).A != 0 {
		t.Errorf("standing: %v %v %v", standing.Bounds(), standing.NRGBAAt(10, 60), standing.NRGBAAt(30, 20))
	}
}

// withOrientation puts EXIF with an orientation behind a JPEG's first marker.
func withOrientation(data []byte, orientation byte) []byte {
	exif := append([]byte("Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00"), orientation, 0, 0, 0, 0, 0, 0)
	segment := append([]byte{0xff, 0xe1, 0, byte(len(exif) + 2)}, exif...)
	return append(append(append([]byte{}, data[:2]...), segment...), data[2:]...)
}

func TestMaskRefused(t *testing.T) {
	black := pngOf(t, image.NewGray(image.Rect(0, 0, 40, 40)))
	huge := pngOf(t, image.NewPaletted(image.Rect(0, 0, 8000, 5000), color.Palette{color.Black}))
	for name, c := range map[string][2][]byte{
		"nothing found":    {faltest.Picture, black},
		"a broken picture": {faltest.Picture[:5000], faltest.Mask(40, 40)},
		"a broken mask":    {faltest.Picture, faltest.Mask(40, 40)[:60]},
		"a video":          {faltest.Video, faltest.Mask(40, 40)},
		"no picture":       {[]byte("<svg/>"), faltest.Mask(40, 40)},
		"a huge mask":      {faltest.Picture, huge},
		"a huge picture":   {huge, faltest.Mask(40, 40)},
	} {
		_, _, _, err := NewMask().Apply(t.Context(), bytes.NewReader(c[0]), bytes.NewReader(c[1]))
		var f *commands.JobFailure
		if !errors.As(err, &f) || f.Code != commands.FailedResult || f.Detail == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	var f *commands.JobFailure
	for name, apply := range map[string]func() error{
		"ended": func() error {
			_, _, _, err := NewMask().Apply(ended, bytes.NewReader(faltest.Picture), bytes.NewReader(black))
			return err
		},
		"a store that is away": func() error {
			_, _, _, err := NewMask().Apply(t.Context(), iotest.ErrReader(io.ErrUnexpectedEOF), bytes.NewReader(black))
			return err
		},
	} {
		if err := apply(); err == nil || errors.As(err, &f) {
			t.Errorf("%s is final: %v", name, err)
		}
	}
}
