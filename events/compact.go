package events

// Compact appends the valid JSON text src to dst without the white space outside of strings; all else stays byte for byte.
// Texts that are no JSON come out as some other text that is none. dst and src must not overlap.
func Compact(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		start := i
		for i < len(src) && !isSpace(src[i]) {
			if src[i] == '"' {
				i = afterString(src, i)
			} else {
				i++
			}
		}
		dst = append(dst, src[start:i]...)
		for i < len(src) && isSpace(src[i]) {
			i++
		}
	}
	return dst
}

// afterString returns the offset after the string whose opening quote is at i, or len(b) where it doesn't end.
// It checks nothing.
func afterString(b []byte, i int) int {
	i++
	for i < len(b) {
		i = plainRun(b, i)
		switch {
		case i >= len(b):
		case b[i] == '"':
			return i + 1
		case b[i] == '\\':
			i += 2
		default:
			i++
		}
	}
	return len(b)
}
