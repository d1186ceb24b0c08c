package pictures

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"

	"golang.org/x/image/draw"
	"golang.org/x/sync/semaphore"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/commands/media"
	"github.com/infinite-kanvas/kanvas/domain"
)

const (
	maskPixels = 32 << 20 // of a picture that a mask is applied to, and of a mask
	visible    = 16       // of 255: what is fainter in every pixel shows nothing
)

var _ commands.MaskApplier = (*Mask)(nil)

// Mask implements commands.MaskApplier. Safe for concurrent use: calls wait for each other, since one may take several hundred MiB for a moment.
type Mask struct{ one *semaphore.Weighted }

// NewMask returns one.
func NewMask() *Mask { return &Mask{semaphore.NewWeighted(1)} }

// Apply implements commands.MaskApplier. The picture stands as its EXIF says; what it already lets shine through stays so, and of what the mask covers no
// colour is left. A *commands.JobFailure where one of the two can't be used, or the mask shows nothing of the picture.
func (a *Mask) Apply(ctx context.Context, picture, mask io.Reader) ([]byte, int, int, error) {
	if err := a.one.Acquire(ctx, 1); err != nil {
		return nil, 0, 0, err
	}
	defer a.one.Release(1)
	m, orientation, err := decodeBounded(ctx, picture)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("the picture under a mask: %w", err)
	}
	alpha, _, err := decodeBounded(ctx, mask)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("a mask: %w", err)
	}
	// A mask may have been made of the picture as it is stored, or as it is shown.
	asStored := alpha.Bounds().Size() == m.Bounds().Size()
	if !asStored {
		m = turn(m, orientation)
	}
	out := straight(m)
	if cover(out, gray(alpha, out.Bounds())) < visible {
		return nil, 0, 0, unusable("nothing in the picture fits the prompt")
	}
	var shown image.Image = out
	if asStored {
		shown = turn(out, orientation)
	}
	var b bytes.Buffer
	if err := errors.Join(ctx.Err(), png.Encode(&b, shown)); err != nil {
		return nil, 0, 0, fmt.Errorf("encode png: %w", err)
	}
	return b.Bytes(), shown.Bounds().Dx(), shown.Bounds().Dy(), nil
}

func unusable(detail string) error {
	return &commands.JobFailure{Code: commands.FailedResult, Detail: detail, Billed: true}
}

// decodeBounded looks at a picture before it decodes it.
func decodeBounded(ctx context.Context, r io.Reader) (image.Image, int, error) {
	data, err := io.ReadAll(io.LimitReader(&ctxReader{ctx, r}, media.MaxImageBytes+1))
	if err != nil {
		return nil, 0, err
	}
	found, err := media.Scan(bytes.NewReader(data), int64(len(data)))
	var broken *domain.Error
	switch {
	case errors.As(err, &broken):
		return nil, 0, unusable("a picture or its mask is broken: " + broken.Detail)
	case err != nil:
		return nil, 0, err
	case !decodes(found) || found.Width*found.Height > maskPixels:
		return nil, 0, unusable(fmt.Sprintf("only still pictures (png, jpeg, webp, gif) of at most %d pixels are cut out by a mask", maskPixels))
	}
	m, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, 0, unusable("a picture or its mask is broken")
	}
	return m, found.Orientation, nil
}

// straight is a copy of m whose colours are not multiplied by their alpha.
func straight(m image.Image) *image.NRGBA {
	to := image.Rect(0, 0, m.Bounds().Dx(), m.Bounds().Dy())
	if o, ok := m.(interface{ Opaque() bool }); ok && o.Opaque() {
		fast := image.NewRGBA(to) // the same bytes where nothing shines through, and copied faster
		draw.Draw(fast, to, m, m.Bounds().Min, draw.Src)
		return &image.NRGBA{Pix: fast.Pix, Stride: fast.Stride, Rect: fast.Rect}
	}
	out := image.NewNRGBA(to)
	draw.Draw(out, to, m, m.Bounds().Min, draw.Src)
	return out
}

// gray is how bright m is, on black, at the given size.
func gray(m image.Image, size image.Rectangle) *image.Gray {
	out, ok := m.(*image.Gray)
	if !ok {
		out = image.NewGray(m.Bounds())
		draw.Draw(out, out.Bounds(), m, m.Bounds().Min, draw.Over)
	}
	if out.Bounds().Size() == size.Size() {
		out.Rect = size
		return out
	}
	scaled := image.NewGray(size)
	draw.BiLinear.Scale(scaled, size, out, out.Bounds(), draw.Src, nil)
	return scaled
}

// cover multiplies m's alpha by the mask, and returns the largest alpha that is left.
func cover(m *image.NRGBA, mask *image.Gray) (most uint8) {
	b := m.Bounds()
	for y := range b.Dy() {
		row, under := m.Pix[y*m.Stride:][:b.Dx()*4], mask.Pix[y*mask.Stride:][:b.Dx()]
		for x, bright := range under {
			p := row[x*4:][:4]
			p[3] = uint8((int(p[3])*int(bright) + 127) / 255)
			if p[3] == 0 {
				p[0], p[1], p[2] = 0, 0, 0
			}
			most = max(most, p[3])
		}
	}
	return most
}
