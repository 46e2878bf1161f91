package cli

import (
	"cmp"
	"slices"
	"unicode/utf16"
)

// Some of Kafka's tools print in the order of a Java HashMap. To print the same line for the same state, these put
// names in that order.

// javaHash is String.hashCode, spread as HashMap spreads it.
func javaHash(s string) uint32 {
	var h uint32
	for _, c := range utf16.Encode([]rune(s)) {
		h = 31*h + uint32(c)
	}
	return h ^ h>>16
}

// sortJavaHash orders items as a HashMap that was grown from its default size holds them.
func sortJavaHash[T any](items []T, name func(T) string) {
	size := uint32(16)
	for uint32(len(items)) > size/4*3 {
		size *= 2
	}
	slices.SortStableFunc(items, func(a, b T) int {
		return cmp.Compare(javaHash(name(a))&(size-1), javaHash(name(b))&(size-1))
	})
}
