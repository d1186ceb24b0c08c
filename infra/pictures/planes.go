package pictures

import "image"

// Photographs come as planes of light and colour (YCbCr) and WebP keeps such planes, so they are scaled and turned as planes, and never become RGB. The
// two differ in range: JPEG uses all of a byte, WebP 16 to 235 for light and 16 to 240 for colour (ITU-R BT.601).
var webpLight, webpColour = ranges()

func ranges() (light, colour [256]uint8) {
	for v := range 256 {
		light[v] = uint8(16 + (v*219+127)/255)
		colour[v] = uint8((v*224+127)/255 + 16)
	}
	return light, colour
}

// ofJPEGsRange is m, which is of WebP's range, in the range that Go takes all such planes for.
func ofJPEGsRange(m *image.NYCbCrA) *image.NYCbCrA {
	out := *m
	wide := func(p []uint8, top int) []uint8 {
		w := make([]uint8, len(p))
		for i, v := range p {
			w[i] = uint8(min(255, (max(int(v), 16)-16)*255/top))
		}
		return w
	}
	out.Y, out.Cb, out.Cr = wide(m.Y, 219), wide(m.Cb, 224), wide(m.Cr, 224)
	return &out
}

// plane is one byte for each pixel.
type plane struct {
	pix          []uint8
	stride, w, h int
}

// planesOf are those of a picture that the encoder takes as they are.
func planesOf(m *image.NYCbCrA) (light, blue, red plane) {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	cw, ch := (w+1)/2, (h+1)/2
	return plane{m.Y, m.YStride, w, h}, plane{m.Cb, m.CStride, cw, ch}, plane{m.Cr, m.CStride, cw, ch}
}

// opaque is a picture of planes for the encoder, which wants the parts of it one behind the other.
func opaque(w, h int) *image.NYCbCrA {
	m := image.NewNYCbCrA(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	for i := range m.A {
		m.A[i] = 255
	}
	return m
}

// photo scales a decoded photograph to w × h.
func photo(m *image.YCbCr, w, h int) *image.NYCbCrA {
	from, out := m.Rect, opaque(w, h)
	light, blue, red := planesOf(out)
	y, c := m.YOffset(from.Min.X, from.Min.Y), m.COffset(from.Min.X, from.Min.Y)
	// How many pixels of colour there are follows from how they are counted for a single one.
	cw := m.COffset(from.Max.X-1, from.Min.Y) - c + 1
	ch := (m.COffset(from.Min.X, from.Max.Y-1)-c)/max(m.CStride, 1) + 1
	light.scaled(plane{m.Y[y:], m.YStride, from.Dx(), from.Dy()}, &webpLight)
	blue.scaled(plane{m.Cb[c:], m.CStride, cw, ch}, &webpColour)
	red.scaled(plane{m.Cr[c:], m.CStride, cw, ch}, &webpColour)
	return out
}

// smaller scales such a picture to w × h.
func smaller(m *image.NYCbCrA, w, h int) *image.NYCbCrA {
	out := opaque(w, h)
	light, blue, red := planesOf(out)
	l, b, r := planesOf(m)
	light.scaled(l, nil)
	blue.scaled(b, nil)
	red.scaled(r, nil)
	return out
}

// turned is m as EXIF's orientation says that it is shown.
func turned(m *image.NYCbCrA, orientation int) *image.NYCbCrA {
	if orientation <= 1 {
		return m
	}
	w, h := m.Rect.Dx(), m.Rect.Dy()
	if orientation >= 5 {
		w, h = h, w
	}
	out := opaque(w, h)
	light, blue, red := planesOf(out)
	l, b, r := planesOf(m)
	light.turned(l, orientation)
	blue.turned(b, orientation)
	red.turned(r, orientation)
	return out
}

func (p plane) turned(from plane, orientation int) {
	for y := range p.h {
		for x := range p.w {
			sx, sy := source(orientation, x, y, from.w, from.h)
			p.pix[y*p.stride+x] = from.pix[sy*from.stride+sx]
		}
	}
}

// span is which of the pixels of a line make one of a shorter line, and how much of each, in 256ths.
type span struct{ from, to, first, last uint32 }

// spans divide a line of n pixels into as many as are wanted.
func spans(n, wanted int) []span {
	list := make([]span, wanted)
	for i := range list {
		from, to := uint64(i)*uint64(n)<<8/uint64(wanted), uint64(i+1)*uint64(n)<<8/uint64(wanted)
		to = max(to, from+1)
		s := span{from: uint32(from >> 8), to: uint32((to - 1) >> 8)}
		if s.from == s.to {
			s.first = uint32(to - from)
		} else {
			s.first, s.last = 256-uint32(from&255), uint32((to-1)&255)+1
		}
		list[i] = s
	}
	return list
}

// scaled fills p with the means of the areas of another plane that its pixels stand for, each looked up in the table where there is one.
func (p plane) scaled(from plane, table *[256]uint8) {
	columns, sums := spans(from.w, p.w), make([]uint32, from.w)
	for y, s := range spans(from.h, p.h) {
		clear(sums)
		weight := from.rows(sums, s)
		out := p.pix[y*p.stride:][:p.w]
		for x, c := range columns {
			sum, all := uint64(sums[c.from])*uint64(c.first), uint64(c.first)
			if c.to > c.from {
				for _, v := range sums[c.from+1 : c.to] {
					sum += uint64(v) << 8
				}
				sum += uint64(sums[c.to]) * uint64(c.last)
				all += uint64(c.to-c.from-1)<<8 + uint64(c.last)
			}
			all *= weight
			v := uint8((sum + all/2) / all)
			if table != nil {
				v = table[v]
			}
			out[x] = v
		}
	}
}

// rows adds up the rows of a span, column by column, and returns the weight of all of them. 2^16 rows fit into the sums.
func (p plane) rows(sums []uint32, s span) (weight uint64) {
	for y := s.from; y <= s.to; y++ {
		share := uint32(256)
		switch y {
		case s.from:
			share = s.first
		case s.to:
			share = s.last
		}
		row := p.pix[int(y)*p.stride:][:len(sums)]
		for x, v := range row {
			sums[x] += uint32(v) * share
		}
		weight += uint64(share)
	}
	return weight
}
