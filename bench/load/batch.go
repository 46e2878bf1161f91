package load

import (
	"crypto/rand"

	"gregor/internal/record"
)

// Batch encodes a batch of records of some size each, of bytes that do not compress.
func Batch(records, recordBytes int, nowMs int64) []byte {
	b := record.NewBuilder(record.BuilderOptions{})
	value := make([]byte, recordBytes)
	for range records {
		rand.Read(value)
		b.Append(nowMs, nil, value)
	}
	return b.Build()
}
