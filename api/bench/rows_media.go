package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// uploadRounds are so many uploads of so many bytes; together they fit into a person's quota.
var uploadRounds = []struct{ size, rounds int }{{4 << 20, 40}, {16 << 20, 20}, {64 << 20, 8}, {256 << 20, 3}}

// rowUploads: films through the embedded store, from the request until they are kept, and in turn with each a copy of the same file with fsync. The
// fastest of each is compared: what others do on the machine meanwhile is no work of either's.
func rowUploads(ctx context.Context, e *env) ([]Result, error) {
	p, err := e.serveOn(ctx, allCores(), "uploads")
	if err != nil {
		return nil, err
	}
	defer p.stop() //nolint:errcheck // the row's own error says more
	var results []Result
	for _, u := range uploadRounds {
		f, err := writeCut(filepath.Join(e.dir, "film"), "video/mp4", film(u.size))
		if err != nil {
			return nil, err
		}
		token, err := guest(ctx, p.addr, "sender")
		if err != nil {
			return nil, err
		}
		var copies, uploads samples
		for n := range u.rounds {
			began := time.Now()
			// None is removed before the row is over: the fsync of the next one would wait for the disk to give up its blocks.
			if err := copyFile(f.name, fmt.Sprintf("%s-%d-%d", f.name, u.size, n)); err != nil {
				return nil, err
			}
			copies = append(copies, time.Since(began))
			began = time.Now()
			if _, err := f.upload(ctx, p.addr, token); err != nil {
				return nil, err
			}
			uploads = append(uploads, time.Since(began))
		}
		floor, got := slices.Min(copies), slices.Min(uploads)
		part := float64(floor) / float64(got)
		results = append(results, Result{fmt.Sprintf("upload of %d MiB, %d parts", u.size>>20, len(f.parts)),
			fmt.Sprintf("%s, **%.0f %%** (p50 %s, %.0f %%)", ms(got), part*100, ms(uploads.q(.5)), 100*float64(copies.q(.5))/float64(uploads.q(.5))),
			fmt.Sprintf("copy + fsync %s (p50 %s)", ms(floor), ms(copies.q(.5))), "≥ 60 % of the copy's speed", part >= .6})
	}
	return results, nil
}

// film is a film of so many bytes, of no pictures.
func film(size int) []byte {
	data := make([]byte, size)
	copy(data, "\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isommp42\x00\x00\x00\x08moov")
	binary.BigEndian.PutUint32(data[32:], uint32(size-32))
	copy(data[36:], "mdat")
	return data
}

const (
	photographs = 100
	// editEvery is how often somebody edits while smaller pictures are made.
	editEvery = 20 * time.Millisecond
)

// rowPhotographs: a hundred photographs of 12 megapixels arrive in a room in which somebody edits.
func rowPhotographs(ctx context.Context, e *env) ([]Result, error) {
	f, err := writeCut(filepath.Join(e.dir, "photograph.jpg"), "image/jpeg", photograph(4000, 3000))
	if err != nil {
		return nil, err
	}
	p, err := e.serveOn(ctx, allCores(), "photographs")
	if err != nil {
		return nil, err
	}
	defer p.stop() //nolint:errcheck // the row's own error says more
	v, err := editor(ctx, p.addr, "photographs")
	if err != nil {
		return nil, err
	}
	defer v.Close()
	edits := &steadyEdits{v: v, seq: 2}
	alone, err := edits.during(ctx, func() error { return pause(ctx, time.Duration(e.seconds)*time.Second) })
	if err != nil {
		return nil, err
	}
	token, err := guest(ctx, p.addr, "photographer")
	if err != nil {
		return nil, err
	}
	began := time.Now()
	ids := make([]string, photographs)
	for i := range ids {
		if ids[i], err = f.upload(ctx, p.addr, token); err != nil {
			return nil, err
		}
	}
	arrived := time.Since(began)
	busy, err := edits.during(ctx, func() error { return processed(ctx, p.addr, token, ids) })
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	after, err := edits.during(ctx, func() error { return pause(ctx, time.Duration(e.seconds)*time.Second) })
	if err != nil {
		return nil, err
	}
	alone = append(alone, after...)
	ok := busy.q(.5) <= alone.q(.5)*3/2 && busy.q(.99) <= alone.q(.99)*3/2
	return []Result{
		{fmt.Sprintf("%d photographs of 12 megapixels, %d KiB each", photographs, f.size>>10), fmt.Sprintf("%.1f s until all are there in 256 and 1024 pixels, %.1f s of them to send all", took.Seconds(), arrived.Seconds()),
			"", "≤ 60 s", took <= time.Minute},
		{"acks of one editor meanwhile", fmt.Sprintf("p50 %s, p99 %s (%d)", ms(busy.q(.5)), ms(busy.q(.99)), len(busy)), fmt.Sprintf("alone p50 %s, p99 %s", ms(alone.q(.5)), ms(alone.q(.99))),
			"≤ 1.5 × alone", ok},
	}, nil
}

// processed waits until there are smaller pictures of all.
func processed(ctx context.Context, addr, token string, ids []string) error {
	deadline := time.Now().Add(10 * time.Minute)
	for _, id := range ids {
		for {
			small, err := has(ctx, addr, token, id)
			if err != nil {
				return err
			}
			if small {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("nothing smaller is made of %s", id)
			}
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// has asks an asset for its smaller pictures: completing it again tells how it stands.
func has(ctx context.Context, addr, token, id string) (bool, error) {
	var asset struct{ Variants map[string]string }
	err := post(ctx, addr, "/v1/assets/"+id+"/complete", token, struct{}{}, &asset)
	return len(asset.Variants) == 2, err
}

// steadyEdits edits at a steady pace.
type steadyEdits struct {
	v   *v1client
	seq uint64
}

// during edits while fn runs, and returns how long the acks took.
func (s *steadyEdits) during(ctx context.Context, fn func() error) (samples, error) {
	s.v.mu.Lock()
	s.v.latencies = nil
	s.v.mu.Unlock()
	stop, failed := make(chan struct{}), make(chan error, 1)
	var editing sync.WaitGroup
	editing.Go(func() {
		tick := time.NewTicker(editEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if err := s.v.command(s.seq, "element.patch", patch("s", int(s.seq))); err != nil {
					failed <- err
					return
				}
				s.seq++
			}
		}
	})
	err := fn()
	close(stop)
	editing.Wait()
	select {
	case edit := <-failed:
		return nil, edit
	default:
	}
	if err == nil && s.seq > 2 {
		err = s.v.wait(ctx, s.seq-1)
	}
	s.v.mu.Lock()
	defer s.v.mu.Unlock()
	return slices.Clone(s.v.latencies), err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// photograph is a JPEG with light, edges and grain as one has them.
func photograph(w, h int) []byte {
	m := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	r := rand.New(rand.NewPCG(1, 1))
	fill := func(p []uint8, w, largest, grain int) {
		for size, amp := largest, 90; size > 1; size, amp = size/4, amp/2 {
			for i := range p {
				p[i] += uint8(amp * (i%w/size*7919 ^ i/w/size*104729) % 128 / 128)
			}
		}
		for i := range p {
			p[i] += uint8(30 + r.IntN(2*grain+1))
		}
	}
	fill(m.Y, w, 512, 6)
	fill(m.Cb, w/2, 256, 2)
	fill(m.Cr, w/2, 256, 2)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 92}); err != nil {
		panic(err) // to memory, of a size that JPEG takes
	}
	return b.Bytes()
}
