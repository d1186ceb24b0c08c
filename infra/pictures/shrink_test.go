package pictures

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/commands/media"
)

// quarters is red, green, blue and white, from the upper left corner by rows.
func quarters(w, h int) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := [2][2]color.NRGBA{{{255, 0, 0, 255}, {0, 255, 0, 255}}, {{0, 0, 255, 255}, {255, 255, 255, 255}}}[2*y/h][2*x/w]
			m.SetNRGBA(x, y, c)
		}
	}
	return m
}

func near(c color.Color, r, g, b int) bool {
	cr, cg, cb, _ := c.RGBA()
	d := func(a uint32, b int) bool { x := int(a>>8) - b; return x < 40 && x > -40 }
	return d(cr, r) && d(cg, g) && d(cb, b)
}

func TestShrink(t *testing.T) {
	var asJPEG, asPNG bytes.Buffer
	if err := errors.Join(jpeg.Encode(&asJPEG, quarters(3000, 1500), nil), png.Encode(&asPNG, quarters(700, 1400))); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data          []byte
		found         media.Found
		width, height int
	}{
		"a photo":        {asJPEG.Bytes(), media.Found{Type: media.Type{ContentType: "image/jpeg"}, Width: 3000, Height: 1500, Orientation: 1}, 1024, 512},
		"a turned photo": {asJPEG.Bytes(), media.Found{Type: media.Type{ContentType: "image/jpeg"}, Width: 1500, Height: 3000, Orientation: 6}, 512, 1024},
		"a drawing":      {asPNG.Bytes(), media.Found{Type: media.Type{ContentType: "image/png"}, Width: 700, Height: 1400, Orientation: 1}, 512, 1024},
	} {
		list, placeholder, err := Shrinker{}.Shrink(t.Context(), bytes.NewReader(c.data), int64(len(c.data)), &c.found, []int{1024, 256})
		if err != nil || len(list) != 2 {
			t.Fatalf("%s: %d %v", name, len(list), err)
		}
		for i, s := range list {
			m, format, err := image.Decode(bytes.NewReader(s.Data))
			if err != nil || format != "webp" || m.Bounds().Dx() != c.width>>(2*i) || m.Bounds().Dy() != c.height>>(2*i) || s.Width != m.Bounds().Dx() || s.Height != m.Bounds().Dy() {
				t.Fatalf("%s: %s %v, said %d × %d: %v", name, format, m.Bounds(), s.Width, s.Height, err)
			}
			left, upper := m.At(s.Width/4, s.Height/4), m.At(3*s.Width/4, s.Height/4)
			if c.found.Orientation == 6 { // turned to the right: blue, red
				if !near(left, 0, 0, 255) || !near(upper, 255, 0, 0) {
					t.Errorf("%s: %v %v", name, left, upper)
				}
			} else if !near(left, 255, 0, 0) || !near(upper, 0, 255, 0) {
				t.Errorf("%s: %v %v", name, left, upper)
			}
		}
		text, ok := strings.CutPrefix(placeholder, "data:image/webp;base64,")
		b, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || len(placeholder) > 400 {
			t.Fatalf("%s: %s", name, placeholder)
		}
		if m, _, err := image.Decode(bytes.NewReader(b)); err != nil || max(m.Bounds().Dx(), m.Bounds().Dy()) != placeholderMax {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNothingIsShrunkBeyondTheMemory(t *testing.T) {
	for name, f := range map[string]media.Found{
		"too large": {Type: media.Type{ContentType: "image/png"}, Width: 8000, Height: 8000}, "progressive": {Type: media.Type{ContentType: "image/jpeg"}, Width: 6000, Height: 6000, Progressive: true},
		"moving": {Type: media.Type{ContentType: "image/gif"}, Width: 9, Height: 9, Animated: true}, "a film": {Type: media.Type{ContentType: "video/mp4"}, Width: 9, Height: 9},
		"broken": {Type: media.Type{ContentType: "image/png"}, Width: 9, Height: 9},
	} {
		if _, _, err := (Shrinker{}).Shrink(t.Context(), strings.NewReader("no picture"), 10, &f, []int{256}); !errors.Is(err, commands.ErrNotShrunk) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// photograph is a JPEG with light, edges and grain as one has them: 3 MB where it has 12 megapixels.
func photograph(t testing.TB, w, h int) []byte {
	t.Helper()
	m := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	r := rand.New(rand.NewPCG(1, 1))
	fill := func(p []uint8, w, h, largest, grain int) {
		for size, amp := largest, 90; size > 1; size, amp = size/4, amp/2 {
			for y := range h {
				for x := range w {
					p[y*w+x] += uint8(amp * (x/size*7919 ^ y/size*104729) % 128 / 128)
				}
			}
		}
		for i := range p {
			p[i] += uint8(30 + r.IntN(2*grain+1))
		}
	}
	fill(m.Y, w, h, 512, 6)
	fill(m.Cb, w/2, h/2, 256, 2)
	fill(m.Cr, w/2, h/2, 256, 2)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 92}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// BenchmarkPhotograph makes all that is made of a photograph of 12 megapixels, here and in the process for it.
func BenchmarkPhotograph(b *testing.B) {
	data := photograph(b, 4000, 3000)
	b.Logf("%d bytes", len(data))
	f := media.Found{Type: media.Type{ContentType: "image/jpeg"}, Width: 4000, Height: 3000, Orientation: 6}
	for name, s := range map[string]commands.Shrinker{"here": Shrinker{}, "process": newWorker(b)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := s.Shrink(b.Context(), bytes.NewReader(data), int64(len(data)), &f, []int{1024, 256}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
