package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// deaths runs the deadly program again and again on one data directory, each time to die one step later.
type deaths struct {
	t     *testing.T
	dir   string
	armed string
	addr  string
	env   []string
	kills int
	skip  int // steps from one death to the next, where CRASH_STRIDE does not say otherwise; 0: 1
}

// stride is how many steps lie from one death to the next: CRASH_STRIDE, or what the test says.
func (d *deaths) stride() int {
	if n, err := strconv.Atoi(os.Getenv("CRASH_STRIDE")); err == nil && n > 0 {
		return n
	}
	return max(d.skip, 1)
}

func newDeaths(t *testing.T, env ...string) *deaths {
	t.Helper()
	d := &deaths{t: t, dir: t.TempDir(), armed: filepath.Join(t.TempDir(), "armed"), addr: "127.0.0.1:0", env: append([]string{"KANVAS_RATE_LIMITS=off"}, env...)}
	return d
}

// start runs the program; at is where it dies once it is armed, "" for nowhere.
func (d *deaths) start(at string) *server {
	d.t.Helper()
	bin, err := deadly()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := os.RemoveAll(d.armed); err != nil {
		d.t.Fatal(err)
	}
	s := startProgram(d.t, bin, d.dir, d.addr, append([]string{"KANVAS_TEST_CRASH=" + at, "KANVAS_TEST_ARMED=" + d.armed}, d.env...)...)
	d.addr = s.addr // the same from now on
	return s
}

func (d *deaths) arm() {
	d.t.Helper()
	if err := os.WriteFile(d.armed, nil, 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// disarm lets no step kill any more, and reports whether one did.
func (d *deaths) disarm(s *server) bool {
	d.t.Helper()
	if err := os.RemoveAll(d.armed); err != nil {
		d.t.Fatal(err)
	}
	if _, err := httpJSON("GET", "http://"+s.addr+"/healthz", "", nil, nil); err != nil { // an answer comes from nobody who was about to die
		return s.waitDead()
	}
	return s.died()
}

// died reports whether the program has ended, and by SIGKILL.
func (s *server) died() bool {
	select {
	case err := <-s.done:
		s.done <- err
		if err == nil || err.Error() != "signal: killed" {
			s.t.Fatalf("the program ended by itself: %v\n%s", err, s.out)
		}
		return true
	default:
		return false
	}
}

// waitDead waits for the death that a client has noticed; false where the program lives.
func (s *server) waitDead() bool {
	select {
	case err := <-s.done:
		s.done <- err
	case <-time.After(5 * time.Second):
	}
	return s.died()
}

// everyStep calls round for each step before, after and in the middle of which the program may die, until one comes to its end alive. round arms the
// program, uses it until that is over or the program is dead, and returns what is to be done once it runs again; there the next death waits already.
func (d *deaths) everyStep(modes []string, round func(s *server, name string) (after func(s *server))) {
	d.t.Helper()
	for _, mode := range modes {
		name := mode + ":1"
		s := d.start(name)
		for n := 1; ; {
			after := round(s, name)
			died := d.disarm(s)
			if n += d.stride(); died {
				d.kills++
				s = d.start(fmt.Sprintf("%s:%d", mode, n))
			}
			after(s)
			if d.t.Failed() || n > 500 {
				d.t.Fatalf("killed at %s (%v), after %d kills\n%s", name, died, d.kills, s.out)
			}
			if name = fmt.Sprintf("%s:%d", mode, n); !died {
				break
			}
		}
		s.killAnd(func() {})
	}
}
