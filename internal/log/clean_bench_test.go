package log

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gregor/internal/log/cleaner"
	"gregor/internal/record"
)

// BenchmarkCompaction cleans 64 MB of records of 1000 bytes in segments of 16 MB, in files: every record is superseded or
// not in turn.
func BenchmarkCompaction(b *testing.B) {
	for _, codec := range []record.Codec{record.None, record.LZ4} {
		b.Run(codec.String(), func(b *testing.B) {
			const size = 64 << 20
			b.SetBytes(size)
			for range b.N {
				b.StopTimer()
				cfg := DefaultConfig()
				cfg.SegmentBytes, cfg.CleanupCompact = 16<<20, true
				cfg.SegmentIndexBytes, cfg.MaxMessageBytes = 1<<20, math.MaxInt32
				l, err := Open(Options{Dir: b.TempDir() + "/t-0", Topic: "t", Config: cfg})
				if err != nil {
					b.Fatal(err)
				}
				value := make([]byte, 1000)
				random := rand.New(rand.NewPCG(1, 2))
				for i := range value {
					value[i] = byte(random.Uint32()) // does not get smaller
				}
				for n := 0; n < size/len(value); {
					batch := record.NewBuilder(record.BuilderOptions{Codec: codec})
					for range 16 {
						key := fmt.Sprint("key-", n)
						if n%2 == 0 {
							key = "often"
						}
						binary.BigEndian.PutUint64(value[random.IntN(900):], random.Uint64())
						batch.Append(testEpochMs, []byte(key), value)
						n++
					}
					if _, err := l.AppendLeader(batch.Build(), 0, Coordinator); err != nil {
						b.Fatal(err)
					}
				}
				l.SetHighWatermark(l.EndOffset())
				if err := l.Roll(); err != nil {
					b.Fatal(err)
				}
				dirt, err := l.dirtiness(cfg, l.now())
				if err == nil {
					err = l.Flush(l.EndOffset())
				}
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				done, err := l.clean(context.Background(), dirt, cleanOptions{mapBytes: 128 << 20, loadFactor: 0.9, chunk: 512 << 10})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				b.ReportMetric(float64(done.bytesAfter)/float64(done.bytesBefore), "left")
				l.Close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkOffsetMap puts a million keys of 16 bytes into a map and looks them up.
func BenchmarkOffsetMap(b *testing.B) {
	const n = 1 << 20
	key := make([]byte, 16)
	name := func(i int) []byte {
		for j := range 8 {
			key[j] = byte(i >> (8 * j))
		}
		return key
	}
	b.SetBytes(n * 16)
	for range b.N {
		m := cleaner.NewOffsetMap(n, math.MaxInt64, 0.9)
		for i := range n {
			if !m.Put(name(i), int64(i)) {
				b.Fatal("full")
			}
		}
		for i := range n {
			if m.Get(name(i)) != int64(i) {
				b.Fatal(i)
			}
		}
	}
}
