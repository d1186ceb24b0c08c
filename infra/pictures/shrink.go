package pictures

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"github.com/gen2brain/webp"
	"golang.org/x/image/draw"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/commands/media"
)

const (
	quality        = 80
	effort         = 2  // of 6: with 4, pictures have 6 % fewer bytes and take three times as long
	placeholderMax = 16 // pixels of its longer side
	// memory is what a decoded picture may take, about, in bytes. Larger ones have no variants: a picture is decoded by its owner's browser, not by the
	// server of everybody.
	memory = 256 << 20
)

var _ commands.Shrinker = Shrinker{}

// Shrinker implements commands.Shrinker. Safe for concurrent use; each call takes up to memory and a half.
type Shrinker struct{}

// Shrink implements commands.Shrinker.
func (Shrinker) Shrink(ctx context.Context, body io.Reader, _ int64, found *media.Found, sizes []int) (list []commands.Shrunk, placeholder string, err error) {
	if !decodes(found) {
		return nil, "", commands.ErrNotShrunk
	}
	m, err := decode(&ctxReader{ctx, body}, found)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", commands.ErrNotShrunk, errors.Join(err, ctx.Err()))
	}
	longer, turns := max(m.Bounds().Dx(), m.Bounds().Dy()), found.Orientation
	for _, size := range sizes { // the largest first: each is made of the one before
		if longer <= size {
			continue
		}
		m = scaled(m, size, turns)
		turns = 1
		data, err := encode(m)
		if err != nil {
			return nil, "", err
		}
		b := m.Bounds()
		list = append(list, commands.Shrunk{Size: size, Width: b.Dx(), Height: b.Dy(), ContentType: "image/webp", Data: data})
	}
	tiny, err := encode(scaled(m, placeholderMax, turns))
	if err != nil {
		return nil, "", err
	}
	return list, "data:image/webp;base64," + base64.StdEncoding.EncodeToString(tiny), nil
}

// decode decodes a picture of a kind that decodes said yes to. Photographs are *image.YCbCr of JPEG's range then, *image.NYCbCrA is of WebP's.
func decode(body io.Reader, found *media.Found) (m image.Image, err error) {
	switch found.ContentType {
	case "image/jpeg":
		m, err = jpeg.Decode(body)
	case "image/png":
		m, err = png.Decode(body)
	case "image/gif":
		m, err = gif.Decode(body)
	default:
		m, err = webp.Decode(body)
	}
	if err == nil && m.Bounds().Empty() {
		err = errors.New("it has no pixels")
	}
	return m, err
}

// decodes says whether a picture is of a kind that can be decoded here, in bounded memory, and stands still.
func decodes(f *media.Found) bool {
	perPixel := int64(8)
	switch f.ContentType {
	case "image/jpeg":
		if perPixel = 3; f.Progressive {
			perPixel = 15
		}
	case "image/png", "image/gif", "image/webp":
	default:
		return false
	}
	return !f.Animated && int64(f.Width)*int64(f.Height)*perPixel <= memory
}

// scaled is m with size pixels on its longer side, unless it is smaller, and turned.
func scaled(m image.Image, size, orientation int) image.Image {
	b := m.Bounds()
	longer := max(b.Dx(), b.Dy())
	size = min(size, longer)
	to := func(n int) int { return max(1, (n*size+longer/2)/longer) }
	w, h := to(b.Dx()), to(b.Dy())
	switch m := m.(type) {
	case *image.YCbCr:
		return turned(photo(m, w, h), orientation)
	case *image.NYCbCrA:
		if m.SubsampleRatio == image.YCbCrSubsampleRatio420 && m.Opaque() && b.Min == (image.Point{}) {
			return turned(smaller(m, w, h), orientation)
		}
		return turn(drawn(ofJPEGsRange(m), w, h), orientation)
	}
	return turn(drawn(m, w, h), orientation)
}

// drawn scales what is no photograph: halved as often as that goes, which averages all pixels at little cost, then the rest.
func drawn(m image.Image, w, h int) image.Image {
	b := m.Bounds()
	for b.Dx() >= 4*w || b.Dy() >= 4*h || b.Dx() > 2*w && b.Dy() > 2*h && b.Dx()*b.Dy() > 4<<20 {
		half := image.NewRGBA(image.Rect(0, 0, halved(b.Dx(), w), halved(b.Dy(), h)))
		draw.ApproxBiLinear.Scale(half, half.Rect, m, b, draw.Src, nil)
		m, b = half, half.Rect
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.CatmullRom.Scale(out, out.Bounds(), m, b, draw.Src, nil)
	return out
}

// halved is half of n, where that is not less than is wanted.
func halved(n, wanted int) int {
	if n >= 2*wanted {
		return n / 2
	}
	return n
}

func encode(m image.Image) ([]byte, error) {
	if p, ok := m.(*image.RGBA); ok && !p.Opaque() { // the encoder takes its pixels for ones that alpha was not multiplied into
		straight := image.NewNRGBA(p.Rect)
		draw.Draw(straight, straight.Rect, p, p.Rect.Min, draw.Src)
		m = straight
	}
	var b bytes.Buffer
	if err := webp.Encode(&b, m, webp.Options{Quality: quality, Method: effort}); err != nil {
		return nil, fmt.Errorf("encode webp: %w", err)
	}
	return b.Bytes(), nil
}

// turn is m as EXIF's orientation says that it is shown.
func turn(m image.Image, orientation int) image.Image {
	if orientation <= 1 {
		return m
	}
	b := m.Bounds()
	w, h := b.Dx(), b.Dy()
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	if orientation >= 5 {
		out = image.NewRGBA(image.Rect(0, 0, h, w))
	}
	for y := range out.Bounds().Dy() {
		for x := range out.Bounds().Dx() {
			sx, sy := source(orientation, x, y, w, h)
			out.Set(x, y, m.At(b.Min.X+sx, b.Min.Y+sy))
		}
	}
	return out
}

// source is which pixel of w × h is shown at x, y.
func source(orientation, x, y, w, h int) (sx, sy int) {
	switch orientation {
	case 2:
		return w - 1 - x, y
	case 3:
		return w - 1 - x, h - 1 - y
	case 4:
		return x, h - 1 - y
	case 5:
		return y, x
	case 6:
		return y, h - 1 - x
	case 7:
		return w - 1 - y, h - 1 - x
	case 8:
		return w - 1 - y, x
	}
	return x, y
}

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
