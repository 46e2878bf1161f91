package cli

import (
	"strings"
	"unicode/utf8"
)

// javaText is bytes as Java's String reads UTF-8: what cannot be a character becomes one U+FFFD for each longest
// beginning of a character (Go's conversion has one for each byte), and a surrogate one for its three bytes.
func javaText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = malformed(b)
		}
		out.WriteRune(r)
		b = b[n:]
	}
	return out.String()
}

// malformed is how many bytes at the front Java takes for one that is not a character.
func malformed(b []byte) int {
	lead := b[0]
	if len(b) == 1 || lead < 0xe0 || lead > 0xf4 || !continues(b[1]) ||
		lead == 0xe0 && b[1] < 0xa0 || lead == 0xf0 && b[1] < 0x90 || lead == 0xf4 && b[1] >= 0x90 {
		return 1
	}
	if lead < 0xf0 && len(b) > 2 && continues(b[2]) { // complete, so it is a surrogate
		return 3
	}
	if lead < 0xf0 || len(b) == 2 || !continues(b[2]) {
		return 2
	}
	return 3
}

func continues(b byte) bool { return b&0xc0 == 0x80 }
