// Package pictures makes smaller pictures of pictures: WebP by libwebp, compiled to WebAssembly, so that no C compiler and no library of the system is
// needed. It decodes what Go's own decoders and those of golang.org/x/image know: JPEG, PNG, GIF and WebP.
package pictures

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	_ "image/gif" // for image.Decode, as the others
	_ "image/jpeg"
	_ "image/png"
	"io"

	"github.com/gen2brain/webp"
	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/commands/media"
)

const (
	quality        = 80
	placeholderMax = 16 // pixels of its longer side
	// memory is what a decoded picture may take, about, in bytes. Larger ones have no variants: a picture is decoded by its owner's browser, not by the
	// server of everybody.
	memory = 256 << 20
)

var _ commands.Shrinker = Shrinker{}

// Shrinker implements commands.Shrinker. Safe for concurrent use; each call takes up to memory and a half.
type Shrinker struct{}

// Shrink implements commands.Shrinker.
func (Shrinker) Shrink(ctx context.Context, body io.Reader, found *media.Found, sizes []int) (list []commands.Shrunk, placeholder string, err error) {
	if !decodes(found) {
		return nil, "", commands.ErrNotShrunk
	}
	m, _, err := image.Decode(&ctxReader{ctx, body})
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", commands.ErrNotShrunk, errors.Join(err, ctx.Err()))
	}
	longer := max(m.Bounds().Dx(), m.Bounds().Dy())
	for _, size := range sizes { // the largest first: each is made of the one before
		if longer <= size {
			continue
		}
		m = scaled(m, size)
		turned := turn(m, found.Orientation)
		data, err := encode(turned)
		if err != nil {
			return nil, "", err
		}
		b := turned.Bounds()
		list = append(list, commands.Shrunk{Size: size, Width: b.Dx(), Height: b.Dy(), ContentType: "image/webp", Data: data})
	}
	tiny, err := encode(turn(scaled(m, placeholderMax), found.Orientation))
	if err != nil {
		return nil, "", err
	}
	return list, "data:image/webp;base64," + base64.StdEncoding.EncodeToString(tiny), nil
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

// scaled is m with size pixels on its longer side: halved as often as that goes, which averages all pixels at little cost, then the rest.
func scaled(m image.Image, size int) image.Image {
	b := m.Bounds()
	longer := max(b.Dx(), b.Dy())
	if longer <= size {
		return m
	}
	to := func(n int, of int) int { return max(1, (n*size+of/2)/of) }
	w, h := to(b.Dx(), longer), to(b.Dy(), longer)
	for b.Dx() >= 4*w && b.Dy() >= 4*h || b.Dx() > 2*w && b.Dy() > 2*h && b.Dx()*b.Dy() > 4<<20 {
		half := image.NewRGBA(image.Rect(0, 0, b.Dx()/2, b.Dy()/2))
		draw.ApproxBiLinear.Scale(half, half.Bounds(), m, b, draw.Src, nil)
		m, b = half, half.Bounds()
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.CatmullRom.Scale(out, out.Bounds(), m, b, draw.Src, nil)
	return out
}

func encode(m image.Image) ([]byte, error) {
	var b bytes.Buffer
	if err := webp.Encode(&b, m, webp.Options{Quality: quality, Method: 4}); err != nil {
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
