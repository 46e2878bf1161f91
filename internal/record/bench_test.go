package record

import (
	"fmt"
	"testing"
)

// benchBatch has 1,000 records of about 100 bytes that compress somewhat, as JSON does.
func benchBatch(c Codec) Batch {
	b := NewBuilder(BuilderOptions{Codec: c})
	for i := range 1000 {
		b.Append(1700000000000+int64(i), fmt.Appendf(nil, "user-%06d", i*7919%1000), fmt.Appendf(nil, `{"id":%d,"page":"/item/%d","referrer":"https://example.org/%x","ms":%d}`, i, i*i, uint32(i)*2654435761, i%250))
	}
	return b.Build()
}

func BenchmarkNext(b *testing.B) {
	one := sample(None)
	buf := make([]byte, 0, 100*len(one))
	for range 100 {
		buf = append(buf, one...)
	}
	b.ReportAllocs()
	for b.Loop() {
		for rest := buf; len(rest) > 0; {
			batch, next, err := Next(rest)
			if err != nil || batch.LastOffset() != 42 {
				b.Fatal(err)
			}
			rest = next
		}
	}
}

func BenchmarkCheckCRC(b *testing.B) {
	batch := benchBatch(None)
	b.SetBytes(int64(len(batch)))
	for b.Loop() {
		if batch.CheckCRC() != nil {
			b.Fatal()
		}
	}
}

func perCodec(b *testing.B, f func(b *testing.B, batch Batch)) {
	size := len(benchBatch(None))
	for _, c := range codecs {
		b.Run(c.String(), func(b *testing.B) {
			batch := benchBatch(c)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			f(b, batch)
		})
	}
}

func BenchmarkRecords(b *testing.B) {
	perCodec(b, func(b *testing.B, batch Batch) {
		for b.Loop() {
			for _, err := range batch.Records() {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func BenchmarkValidateProduced(b *testing.B) {
	perCodec(b, func(b *testing.B, batch Batch) {
		for b.Loop() {
			if err := ValidateProduced(batch, lenient); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCompress(b *testing.B) {
	plain := benchBatch(None)
	perCodec(b, func(b *testing.B, batch Batch) {
		b.ReportMetric(float64(len(plain))/float64(len(batch)), "ratio")
		for b.Loop() {
			if _, err := plain.Recompress(batch.Codec(), 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkBuild(b *testing.B) {
	key, value := []byte("user-123456"), make([]byte, 100)
	w := NewBuilder(BuilderOptions{Codec: None})
	b.ReportAllocs()
	for b.Loop() {
		w.Reset(BuilderOptions{})
		for i := range 1000 {
			w.Append(int64(i), key, value)
		}
		w.Build()
	}
}

func BenchmarkUpconvert(b *testing.B) {
	set := golden(b, "magic1-gzip.bin")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Upconvert(set, UpconvertOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
