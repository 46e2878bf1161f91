package load

import (
	"crypto/rand"

	"gregor/internal/record"
)

// Batch encodes a batch of records of some size each, of bytes that do not compress.
func Batch(records, recordBytes int, nowMs int64) []byte {
	b := record.NewBuilder(record.BuilderOptions{})
	for range records {
		b.Append(nowMs, nil, Random(recordBytes))
	}
	return b.Build()
}

// Random are bytes that do not compress.
func Random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
