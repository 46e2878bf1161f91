package load

import (
	"crypto/rand"
	"encoding/hex"

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

// Compressed encodes a batch of records of text, which compresses to about a quarter.
func Compressed(codec record.Codec, records, recordBytes int, nowMs int64) []byte {
	b := record.NewBuilder(record.BuilderOptions{Codec: codec})
	for range records {
		value := make([]byte, 0, recordBytes+100)
		for len(value) < recordBytes {
			value = append(value, `{"service":"checkout","level":"info","message":"order accepted","order":"`...)
			value = append(value, hex.EncodeToString(Random(12))...)
			value = append(value, `"},`...)
		}
		b.Append(nowMs, nil, value[:recordBytes])
	}
	return b.Build()
}

// Random are bytes that do not compress.
func Random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
