package events

import "strconv"

// maxExponent is the decimal exponent of the largest float64, 1.797…e308.
const maxExponent = 308

// number checks the number that starts at i: the grammar of JSON, its length, and that float64 can hold it.
func (c *checker) number(i int) int {
	start := i
	if c.b[i] == '-' {
		i++
	}
	whole := i
	if i = c.digits(i); i < 0 {
		return i
	}
	if c.b[whole] == '0' && i > whole+1 {
		return c.fail(whole+1, ReasonSyntax)
	}
	if i < len(c.b) && c.b[i] == '.' {
		if i = c.digits(i + 1); i < 0 {
			return i
		}
	}
	exponent := -1
	if i < len(c.b) && (c.b[i] == 'e' || c.b[i] == 'E') {
		i++
		exponent = i
		if i < len(c.b) && (c.b[i] == '+' || c.b[i] == '-') {
			i++
		}
		if i = c.digits(i); i < 0 {
			return i
		}
	}
	if c.strict && (i-start > MaxNumberBytes || exponent >= 0 && overflows(c.b[start:i], exponent-start)) {
		return c.fail(start, ReasonNumber)
	}
	return i
}

// digits checks that there is at least one digit at i.
func (c *checker) digits(i int) int {
	start := i
	for i < len(c.b) && c.b[i]-'0' <= 9 {
		i++
	}
	if i == start {
		return c.syntax(i)
	}
	return i
}

// overflows reports whether num, at most MaxNumberBytes long and with its exponent's digits or sign at offset exp, is beyond
// float64. Only numbers that could be are parsed: the mantissa has fewer than MaxNumberBytes digits.
func overflows(num []byte, exp int) bool {
	if num[exp] == '-' {
		return false
	}
	e := 0
	for _, ch := range num[exp:] {
		if ch != '+' && e <= maxExponent {
			e = e*10 + int(ch-'0')
		}
	}
	if e+MaxNumberBytes <= maxExponent {
		return false
	}
	_, err := strconv.ParseFloat(string(num), 64)
	return err != nil
}
