package ratelimit

import (
	"math"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
)

// counts are what one window of one caller has seen. Windows are numbered from the epoch: number = floor(now / per).
type counts struct {
	number            int64
	current, previous int64
}

// at moves the counts on to now (milliseconds since the epoch). They never move back.
func (c counts) at(now int64, per time.Duration) counts {
	switch n := now / per.Milliseconds(); {
	case n <= c.number:
		return c
	case n == c.number+1:
		return counts{n, 0, c.current}
	default:
		return counts{number: n}
	}
}

// used is how much of the window is taken. The arithmetic is that of the script in Lua, so that both round alike.
func (c counts) used(now int64, per time.Duration) int64 {
	size := per.Milliseconds()
	elapsed := float64(now%size) / float64(size)
	return int64(math.Floor((1-elapsed)*float64(c.previous))) + c.current
}

// retry is how long from now until n more pass, rounded up to a millisecond; two windows where that is never.
func (c counts) retry(now int64, w commands.Window, n int) time.Duration {
	free := int64(w.Max - n)
	if free < 0 {
		return 2 * w.Per
	}
	size := w.Per.Milliseconds()
	start, from := c.number*size, now
	if c.current > free { // not in this window any more
		c = counts{c.number + 1, 0, c.current}
		start += size
		from = start
	}
	if c.previous > 0 {
		// (1 − share) × previous < free − current + 1
		share := 1 - float64(free-c.current+1)/float64(c.previous)
		from = max(from, start+int64(share*float64(size)))
	}
	for c.used(from, w.Per) > free && from < start+size-1 {
		from++
	}
	return time.Duration(from-now) * time.Millisecond
}

// decide says whether n more pass in all windows, whose counts have moved on to now. It counts nothing.
func decide(windows []commands.Window, got []counts, now int64, n int) commands.Taken {
	t := commands.Taken{OK: true}
	need := max(n, 1)
	for i, w := range windows {
		left := w.Max - int(got[i].used(now, w.Per))
		switch refused := left < need; {
		case refused:
			if retry := got[i].retry(now, w, need); t.OK || retry > t.Retry {
				t = taken(w, got[i], left)
				t.OK, t.Retry = false, retry
			}
		case t.OK && (i == 0 || left-n < t.Remaining):
			t = taken(w, got[i], left-n)
		}
	}
	return t
}

func taken(w commands.Window, c counts, left int) commands.Taken {
	return commands.Taken{OK: true, Window: w, Remaining: max(left, 0), Reset: time.UnixMilli((c.number + 1) * w.Per.Milliseconds())}
}

// keep is how long counts matter: as long as the window after theirs, and a second.
func keep(per time.Duration) time.Duration { return 2*per + time.Second }

// longest is the longest of a limit's windows.
func longest(windows []commands.Window) (per time.Duration) {
	for _, w := range windows {
		per = max(per, w.Per)
	}
	return per
}
