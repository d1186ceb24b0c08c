package domain

import (
	"math/rand"
	"slices"
	"testing"
)

func TestKeysStayInOrderAndShort(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	keys := []string{"a1"}
	longest := 0
	for range 100_000 {
		i := rng.Intn(len(keys) + 1)
		switch rng.Intn(4) { // most additions in a drawing are at the ends
		case 0:
			i = 0
		case 1:
			i = len(keys)
		}
		a, b := "", ""
		if i > 0 {
			a = keys[i-1]
		}
		if i < len(keys) {
			b = keys[i]
		}
		k, err := KeyBetween(a, b)
		if err != nil || !ValidZ(k) || a != "" && k <= a || b != "" && k >= b {
			t.Fatalf("between %q and %q: %q, %v", a, b, k, err)
		}
		longest = max(longest, len(k))
		keys = slices.Insert(keys, i, k)
	}
	if !slices.IsSorted(keys) {
		t.Fatal("keys out of order")
	}
	if longest > 24 {
		t.Fatalf("a key of %d bytes", longest)
	}
}

func TestKeysAtTheEndsGrowByLogarithm(t *testing.T) {
	up, down := "", ""
	for range 100_000 {
		u, d := keyBetween(up, ""), keyBetween("", down)
		if up != "" && u <= up || down != "" && d >= down || !ValidZ(u) || !ValidZ(d) {
			t.Fatalf("after %q: %q; before %q: %q", up, u, down, d)
		}
		up, down = u, d
	}
	if len(up) > 5 || len(down) > 5 {
		t.Fatalf("after 100,000 additions at an end: %q, %q", up, down)
	}
}

func TestKeysBetween(t *testing.T) {
	for _, c := range []struct{ a, b string }{{"", ""}, {"a1", ""}, {"", "a1"}, {"a1", "a2"}, {"a1", "a11"}, {"Zz", "a1"}, {"z", ""},
		{"", "01"}, {"zzzz", ""}, {"A", "A1"}, {"", "A00000000000000000000000001"}, {"zzzzzzzzzzzzzzzzzzzzzzzzzzz", ""}} {
		for _, n := range []int{0, 1, 2, 61, 62, 63, 5_000} {
			keys, err := KeysBetween(c.a, c.b, n)
			if err != nil || len(keys) != n {
				t.Fatalf("%d between %q and %q: %d, %v", n, c.a, c.b, len(keys), err)
			}
			last := c.a
			for _, k := range keys {
				if k <= last || c.b != "" && k >= c.b || !ValidZ(k) {
					t.Fatalf("%d between %q and %q: %q after %q", n, c.a, c.b, k, last)
				}
				last = k
			}
		}
	}
}

func TestKeyBetweenRefuses(t *testing.T) {
	for _, c := range [][2]string{{"a1", "a1"}, {"a2", "a1"}, {"a0", ""}, {"", "a0"}, {"ä", ""}, {"", "-"}, {"0", ""}} {
		if k, err := KeyBetween(c[0], c[1]); err == nil {
			t.Errorf("between %q and %q: %q", c[0], c[1], k)
		}
		if _, err := KeysBetween(c[0], c[1], 3); err == nil {
			t.Errorf("keys between %q and %q", c[0], c[1])
		}
	}
}

func FuzzKeyBetween(f *testing.F) {
	f.Add("a1", "a2")
	f.Add("", "01")
	f.Fuzz(func(t *testing.T, a, b string) {
		k, err := KeyBetween(a, b)
		good := (a == "" || ValidZ(a)) && (b == "" || ValidZ(b)) && (a == "" || b == "" || a < b)
		if good != (err == nil) {
			t.Fatalf("between %q and %q: %v", a, b, err)
		}
		if err == nil && (k <= a || b != "" && k >= b || !ValidZ(k)) {
			t.Fatalf("between %q and %q: %q", a, b, k)
		}
	})
}
