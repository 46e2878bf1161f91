package coordinator

import "unicode/utf16"

// javaHash is Java's String.hashCode: over UTF-16 code units, in wrapping 32-bit arithmetic.
func javaHash(s string) int32 {
	var h int32
	for _, r := range s {
		if r < 0x10000 {
			h = 31*h + r
			continue
		}
		high, low := utf16.EncodeRune(r)
		h = 31*(31*h+high) + low
	}
	return h
}

// PartitionOf is the partition of n that keeps a group or a transactional id: Kafka's Utils.abs, which maps the
// smallest integer to 0.
func PartitionOf(key string, n int32) int32 {
	h := javaHash(key)
	switch {
	case h == -1<<31:
		h = 0
	case h < 0:
		h = -h
	}
	return h % n
}
