package main

import (
	"bytes"
	"compress/flate"
	be "encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gen2brain/webp"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/commands/media"
	"github.com/infinite-kanvas/kanvas/infra/pictures"
)

// mostMemory is what the process for pictures may take at its peak, in MiB, whatever it is given.
const mostMemory = 448

// TestPicturesInLittleMemory gives the program's process for pictures the largest that are taken, and such as are made to hurt, each made of nothing.
func TestPicturesInLittleMemory(t *testing.T) {
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		made bool // something smaller is made of it
	}{
		"JPEG of 64 megapixels":         {flatJPEG(t, 8000), true},
		"JPEG of 64 megapixels, cut":    {flatJPEG(t, 8000)[:4000], false},
		"PNG of 33 megapixels":          {emptyPNG(t, 5792, 5792, 8, 2), true},
		"PNG of 33 megapixels, 64 bits": {emptyPNG(t, 5792, 5792, 16, 6), true},
		"PNG of 64 megapixels":          {emptyPNG(t, 8000, 8000, 8, 2), false},
		"PNG, one pixel high":           {emptyPNG(t, 33_000_000, 1, 8, 6), true},
		"PNG, one pixel wide":           {emptyPNG(t, 1, 33_000_000, 8, 6), true},
		"WebP of 33 megapixels":         {emptyWebP(t, 5792, 5792), true},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := media.Scan(bytes.NewReader(c.data), int64(len(c.data)))
			if strings.HasSuffix(name, "cut") {
				found, err = &media.Found{Type: media.Type{ContentType: "image/jpeg"}, Width: 8000, Height: 8000, Orientation: 1}, nil
			}
			if err != nil {
				t.Fatal(err)
			}
			w := pictures.NewWorker([]string{bin, shrinking}, nil)
			defer w.Close()
			list, _, err := w.Shrink(t.Context(), bytes.NewReader(c.data), int64(len(c.data)), found, []int{1024, 256})
			if c.made != (err == nil && len(list) == 2) || err != nil && !errors.Is(err, commands.ErrNotShrunk) {
				t.Errorf("%d smaller ones: %v", len(list), err)
			}
			peak := peakOf(t, bin)
			t.Logf("%d bytes, at most %d MiB", len(c.data), peak)
			if peak > mostMemory {
				t.Errorf("it took %d MiB", peak)
			}
		})
	}
}

// peakOf is the most memory at a time that the process took which runs the program for this test, in MiB; 0 where there is none.
func peakOf(t *testing.T, bin string) (kib int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		children, err := os.ReadFile(task)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range strings.Fields(string(children)) {
			if command, err := os.ReadFile("/proc/" + pid + "/cmdline"); err != nil || string(command) != bin+"\x00"+shrinking+"\x00" {
				continue // another one, or it ended
			}
			status, err := os.ReadFile("/proc/" + pid + "/status")
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(status), "VmHWM:")
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				t.Fatal(err)
			}
		}
	}
	return kib >> 10
}

// flatJPEG is size × size pixels of the same grey, none of which share their colour with others: 14 bits for every 64 of them.
func flatJPEG(t *testing.T, size int) []byte {
	t.Helper()
	m := image.NewYCbCr(image.Rect(0, 0, 16, 16), image.YCbCrSubsampleRatio420)
	for _, p := range [][]uint8{m.Y, m.Cb, m.Cr} {
		for i := range p {
			p[i] = 128
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	data := b.Bytes()
	frame, scan := bytes.Index(data, []byte{0xff, 0xc0}), bytes.Index(data, []byte{0xff, 0xda})
	be.BigEndian.PutUint16(data[frame+5:], uint16(size))
	be.BigEndian.PutUint16(data[frame+7:], uint16(size))
	data[frame+11] = 0x11 // the first component's sampling: as the others'
	head := data[:scan+2+int(be.BigEndian.Uint16(data[scan+2:]))]
	four := []byte{0b00101000, 0b00000000, 0b10100000, 0b00000010, 0b10000000, 0b00001010, 0b00000000} // four times: no change and the end, for light; the same, for each colour
	return append(append(bytes.Clone(head), bytes.Repeat(four, size*size/64/4)...), 0xff, 0xd9)
}

// emptyPNG is a PNG of zeros.
func emptyPNG(t *testing.T, w, h int, depth, colour byte) []byte {
	t.Helper()
	chunk := func(b []byte, name string, data []byte) []byte {
		body := append([]byte(name), data...)
		return be.BigEndian.AppendUint32(append(be.BigEndian.AppendUint32(b, uint32(len(data))), body...), crc32.ChecksumIEEE(body))
	}
	head := be.BigEndian.AppendUint32(be.BigEndian.AppendUint32(nil, uint32(w)), uint32(h))
	b := chunk([]byte("\x89PNG\r\n\x1a\n"), "IHDR", append(head, depth, colour, 0, 0, 0))
	channels := map[byte]int{2: 3, 6: 4}[colour]
	b = chunk(b, "IDAT", zeros(t, h*(1+w*channels*int(depth)/8)))
	return chunk(b, "IEND", nil)
}

// zeros is a zlib stream of n zeros, made of the same piece again and again.
func zeros(t *testing.T, n int) []byte {
	t.Helper()
	const each = 1 << 20
	deflated := func(n int, last bool) []byte {
		var b bytes.Buffer
		z, err := flate.NewWriter(&b, flate.BestCompression)
		if err == nil {
			_, err = z.Write(make([]byte, n))
		}
		if err == nil && last {
			err = z.Close()
		} else if err == nil {
			err = z.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	b := append([]byte{0x78, 0xda}, bytes.Repeat(deflated(each, false), n/each)...)
	b = append(b, deflated(n%each, true)...)
	return be.BigEndian.AppendUint32(b, uint32(n%65521)<<16|1) // Adler-32
}

func emptyWebP(t *testing.T, w, h int) []byte {
	t.Helper()
	m := image.NewNYCbCrA(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	copy(m.A, bytes.Repeat([]byte{255}, len(m.A)))
	var b bytes.Buffer
	if err := webp.Encode(&b, m, webp.Options{Quality: 10, Method: 0}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
