package bench

import (
	"fmt"
	"os"
	"sort"
	"time"
)

// samples are durations to take quantiles of.
type samples []time.Duration

func (s samples) q(p float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := append(samples{}, s...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	return sorted[min(int(float64(len(sorted))*p), len(sorted)-1)]
}

// rawFsync measures n times write+fsync of 512 bytes at the end of a file in dir: the floor of every durable ack.
func rawFsync(dir string, n int) (samples, error) {
	f, err := os.CreateTemp(dir, ".fsync-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 512)
	var s samples
	for range n {
		t := time.Now()
		if _, err := f.Write(block); err != nil {
			return nil, fmt.Errorf("probe: %w", err)
		}
		if err := f.Sync(); err != nil {
			return nil, fmt.Errorf("probe: %w", err)
		}
		s = append(s, time.Since(t))
	}
	return s, nil
}

// FsyncMedian is the median of n times write+fsync of 512 bytes in dir.
func FsyncMedian(dir string, n int) (time.Duration, error) {
	s, err := rawFsync(dir, n)
	return s.q(.5), err
}
