package domain

import (
	"fmt"
	"strings"
)

// Paint-order keys are fractions in base 62, compared bytewise: a key stands for 0.key, so between any two there is another.
// A key is not empty and doesn't end with '0' (else there would be nothing between "V" and "V0").
//
// At the open ends keys count instead of halving, else 20,000 additions at the front would need keys of thousands of bytes:
// the first digit says how many digits of a whole number follow (a–z: one to 26, rising; Z–A: one to 26, falling).

const zDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func zDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'Z':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 36
	}
	return -1
}

// ValidZ reports whether s is a paint-order key, of any length.
func ValidZ(s string) bool {
	if s == "" || s[len(s)-1] == '0' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if zDigit(s[i]) < 0 {
			return false
		}
	}
	return true
}

// KeyBetween returns a key between a and b; "" is the open end on either side. Where many are possible it prefers a short one.
// It fails where a or b is no key, or a ≥ b. The result may be longer than MaxZ.
func KeyBetween(a, b string) (string, error) {
	if a != "" && !ValidZ(a) || b != "" && !ValidZ(b) {
		return "", fmt.Errorf("domain: paint-order keys %.80q and %.80q: not valid", a, b)
	}
	if a != "" && b != "" && a >= b {
		return "", fmt.Errorf("domain: paint-order keys %.80q and %.80q: not in order", a, b)
	}
	return keyBetween(a, b), nil
}

func keyBetween(a, b string) string {
	switch {
	case a == "" && b == "":
		return "a1"
	case b == "":
		if k := wholeAfter(a); k > a {
			return k
		}
	case a == "":
		if k := wholeBefore(b); k != "" && k < b {
			return k
		}
	}
	return midpoint(a, b)
}

// KeysBetween returns n rising keys between a and b.
func KeysBetween(a, b string, n int) ([]string, error) {
	if n <= 0 {
		return nil, nil
	}
	first, err := KeyBetween(a, b)
	if err != nil {
		return nil, err
	}
	keys := make([]string, n)
	switch {
	case b == "":
		for i, k := 0, first; i < n; i, k = i+1, keyBetween(k, "") {
			keys[i] = k
		}
	case a == "":
		for i, k := n-1, first; i >= 0; i, k = i-1, keyBetween("", k) {
			keys[i] = k
		}
	default:
		fillBetween(keys, a, b)
	}
	return keys, nil
}

func fillBetween(keys []string, a, b string) {
	if len(keys) == 0 {
		return
	}
	m := len(keys) / 2
	keys[m] = midpoint(a, b)
	fillBetween(keys[:m], a, keys[m])
	fillBetween(keys[m+1:], keys[m], b)
}

// wholeLen is the length of the whole number at the front of k with its first digit, 0 where there is none.
func wholeLen(k string) int {
	n := 0
	switch c := k[0]; {
	case c >= 'a' && c <= 'z':
		n = int(c-'a') + 2
	case c >= 'A' && c <= 'Z':
		n = int('Z'-c) + 2
	}
	if n > len(k) {
		return 0
	}
	return n
}

// wholeAfter counts up from the whole number at the front of a; "" where there is none or it is the last.
func wholeAfter(a string) string {
	n := wholeLen(a)
	if n == 0 {
		return ""
	}
	d := []byte(a[:n])
	for {
		i := n - 1
		for ; i > 0 && d[i] == 'z'; i-- {
			d[i] = '0'
		}
		if i == 0 {
			switch {
			case d[0] == 'Z':
				return "a1"
			case d[0] == 'z':
				return ""
			case d[0] > 'Z':
				return string(d[0]+1) + strings.Repeat("0", n-1) + "1"
			}
			return string(d[0]+1) + strings.Repeat("0", n-3) + "1"
		}
		d[i] = zDigits[zDigit(d[i])+1]
		if d[n-1] != '0' {
			return string(d)
		}
	}
}

// wholeBefore counts down from the whole number at the front of b; "" where there is none or it is the first.
func wholeBefore(b string) string {
	n := wholeLen(b)
	if n == 0 {
		return ""
	}
	if n < len(b) && b[n-1] != '0' {
		return b[:n]
	}
	d := []byte(b[:n])
	for {
		i := n - 1
		for ; i > 0 && d[i] == '0'; i-- {
			d[i] = 'z'
		}
		if i == 0 {
			switch {
			case d[0] == 'a':
				return "Zz"
			case d[0] == 'A':
				return ""
			case d[0] < 'a':
				return string(d[0]-1) + strings.Repeat("z", n)
			}
			return string(d[0]-1) + strings.Repeat("z", n-2)
		}
		d[i] = zDigits[zDigit(d[i])-1]
		if d[n-1] != '0' {
			return string(d)
		}
	}
}

// midpoint halves the gap between two fractions; a "" is 0 and b "" is 1.
func midpoint(a, b string) string {
	var out []byte
	for i := 0; ; i++ {
		lo, hi := 0, len(zDigits)
		if i < len(a) {
			lo = zDigit(a[i])
		}
		if b != "" {
			hi = 0
			if i < len(b) {
				hi = zDigit(b[i])
			}
		}
		if lo == hi {
			out = append(out, zDigits[lo])
			continue
		}
		if hi-lo > 1 {
			return string(append(out, zDigits[(lo+hi)/2]))
		}
		if i+1 < len(b) { // b's own prefix is already below b
			return string(append(out, zDigits[hi]))
		}
		out = append(out, zDigits[lo])
		b = "" // anything that goes on from lo is below b
	}
}
