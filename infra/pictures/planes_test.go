package pictures

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"testing"

	"github.com/gen2brain/webp"

	"github.com/infinite-kanvas/kanvas/commands/media"
)

// TestMeansOfAreas compares with the mean that arithmetic says, for sizes that divide and that don't.
func TestMeansOfAreas(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, c := range [][4]int{{8, 8, 4, 4}, {9, 7, 4, 3}, {100, 3, 7, 3}, {5, 5, 5, 5}, {1, 1, 1, 1}, {3, 2, 5, 4}, {1000, 1, 1, 1}, {64, 400, 1, 256}} {
		from := plane{make([]uint8, (c[0]+3)*c[1]), c[0] + 3, c[0], c[1]}
		for i := range from.pix {
			from.pix[i] = uint8(r.Uint32())
		}
		to := plane{make([]uint8, (c[2]+1)*c[3]), c[2] + 1, c[2], c[3]}
		to.scaled(from, nil)
		for y := range to.h {
			for x := range to.w {
				want := meanOf(from, float64(x*from.w)/float64(to.w), float64((x+1)*from.w)/float64(to.w), float64(y*from.h)/float64(to.h), float64((y+1)*from.h)/float64(to.h))
				if got := float64(to.pix[y*to.stride+x]); got-want > 1.5 || want-got > 1.5 {
					t.Errorf("%v: at %d, %d it is %v, and should be %v", c, x, y, got, want)
				}
			}
		}
	}
}

func meanOf(p plane, x0, x1, y0, y1 float64) float64 {
	sum, all := 0.0, 0.0
	for y := range p.h {
		for x := range p.w {
			a := max(0, min(x1, float64(x+1))-max(x0, float64(x))) * max(0, min(y1, float64(y+1))-max(y0, float64(y)))
			sum += a * float64(p.pix[y*p.stride+x])
			all += a
		}
	}
	return sum / all
}

// TestColoursStay: of whatever kind a photograph is, its smaller picture has its colours, and every turn has its corners where they belong.
func TestColoursStay(t *testing.T) {
	full := quarters(400, 240)
	for _, ratio := range []image.YCbCrSubsampleRatio{image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410} {
		for orientation := 1; orientation <= 8; orientation++ {
			m := scaled(planesFrom(full, ratio), 101, orientation)
			checkCorners(t, fmt.Sprintf("%v turned %d", ratio, orientation), m, orientation)
			checkCorners(t, fmt.Sprintf("%v turned %d, again", ratio, orientation), scaled(m, 50, 1), orientation)
		}
	}
	var asWebP bytes.Buffer
	if err := webp.Encode(&asWebP, full, webp.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	m, err := decode(&asWebP, &media.Found{Type: media.Type{ContentType: "image/webp"}})
	if err != nil {
		t.Fatal(err)
	}
	checkCorners(t, "WebP", scaled(m, 100, 1), 1)
	seeThrough := m.(*image.NYCbCrA)
	seeThrough.A[0] = 0
	checkCorners(t, "WebP to see through", scaled(seeThrough, 100, 1), 1)
}

func planesFrom(m image.Image, ratio image.YCbCrSubsampleRatio) *image.YCbCr {
	p := image.NewYCbCr(m.Bounds(), ratio)
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			r, g, b, _ := m.At(x, y).RGBA()
			p.Y[p.YOffset(x, y)], p.Cb[p.COffset(x, y)], p.Cr[p.COffset(x, y)] = color.RGBToYCbCr(uint8(r>>8), uint8(g>>8), uint8(b>>8))
		}
	}
	return p
}

// checkCorners encodes and decodes a picture of quarters as browsers would see it.
func checkCorners(t *testing.T, what string, m image.Image, orientation int) {
	t.Helper()
	data, err := encode(m)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	decoded, err := webp.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	seen := ofJPEGsRange(decoded.(*image.NYCbCrA))
	b := seen.Bounds()
	if (orientation >= 5) != (b.Dy() > b.Dx()) {
		t.Fatalf("%s: it is %v", what, b)
	}
	for i, corner := range [][2]int{{1, 1}, {3, 1}, {1, 3}, {3, 3}} {
		sx, sy := source(orientation, corner[0]/2, corner[1]/2, 2, 2)
		want := []color.NRGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {255, 255, 255, 255}}[sy*2+sx]
		got := color.NRGBAModel.Convert(seen.At(b.Dx()*corner[0]/4, b.Dy()*corner[1]/4)).(color.NRGBA)
		for _, d := range []int{int(got.R) - int(want.R), int(got.G) - int(want.G), int(got.B) - int(want.B)} {
			if d > 12 || d < -12 {
				t.Errorf("%s: corner %d is %v, and should be %v", what, i, got, want)
				break
			}
		}
	}
}

func TestWhatIsSeenThroughKeepsItsColour(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 64, 64))
	for i := range m.Pix {
		m.Pix[i] = []uint8{200, 100, 0, 64}[i%4]
	}
	data, err := encode(scaled(m, 32, 1))
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := webp.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	got := color.NRGBAModel.Convert(ofJPEGsRange(decoded.(*image.NYCbCrA)).At(16, 16)).(color.NRGBA)
	if got.R < 180 || got.G < 80 || got.A != 64 {
		t.Errorf("it is %v", got)
	}
}

func BenchmarkScalePhoto(b *testing.B) {
	m, err := jpeg.Decode(bytes.NewReader(photograph(b, 4000, 3000)))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		scaled(m, 1024, 1)
	}
}
