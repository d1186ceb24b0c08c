package api

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"testing"
)

// BenchmarkUpload sends a film through the embedded store, from the request until it is kept, and copies the same bytes to a file with fsync.
func BenchmarkUpload(b *testing.B) {
	for _, size := range []int{16 << 20, 64 << 20} {
		data := make([]byte, size)
		copy(data, "\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isommp42\x00\x00\x00\x08moov")
		binary.BigEndian.PutUint32(data[32:], uint32(size-32))
		copy(data[36:], "mdat")
		b.Run(fmt.Sprintf("copy-%dMiB", size>>20), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				f, err := os.Create(b.TempDir() + "/copy")
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(f, io.LimitReader(bytes.NewReader(data), int64(size))); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
				if err := f.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("upload-%dMiB", size>>20), func(b *testing.B) {
			w := newWorld(b, func(c *Config) { c.RateLimits = false })
			w.cfg.Uploads = w.parts.open(1 << 40)
			w.api.cfg.Uploads = w.cfg.Uploads
			ada := w.guest("Ada")
			b.SetBytes(int64(size))
			for b.Loop() {
				w.upload(ada, "x.mp4", "video/mp4", data).ok(200)
			}
		})
	}
}
