package log

import (
	"fmt"
	"io"
	"testing"
	"time"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

func benchLog(b *testing.B, change func(*Config)) *Log {
	c := DefaultConfig()
	if change != nil {
		change(c)
	}
	l, err := Open(Options{Dir: b.TempDir() + "/t-0", Topic: "t", Config: c, FS: vfs.OS{}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Delete() })
	return l
}

func benchBatch(records, size int) record.Batch {
	bb := record.NewBuilder(record.BuilderOptions{})
	for range records {
		bb.Append(time.Now().UnixMilli(), nil, make([]byte, size))
	}
	return bb.Build()
}

// BenchmarkAppend appends one batch at a time to a file. It restarts the log at 4 GB.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ records, size int }{{1, 100}, {10, 100}, {128, 1024}} {
		b.Run(fmt.Sprintf("%dx%d", c.records, c.size), func(b *testing.B) {
			l := benchLog(b, nil)
			batch := benchBatch(c.records, c.size)
			b.SetBytes(int64(len(batch)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.AppendLeader(batch, 0, Client); err != nil {
					b.Fatal(err)
				}
				if l.Size() > 4<<30 {
					b.StopTimer()
					if err := l.TruncateFullyAndStartAt(0); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			}
		})
	}
}

// BenchmarkAppendFlushed acknowledges after the fsync, with one appender and with many that share it.
func BenchmarkAppendFlushed(b *testing.B) {
	for _, appenders := range []int{1, 64} {
		b.Run(fmt.Sprint("appenders=", appenders), func(b *testing.B) {
			l := benchLog(b, func(c *Config) { c.FlushMessages = 1 })
			b.SetParallelism(appenders)
			b.RunParallel(func(pb *testing.PB) {
				batch := benchBatch(1, 100)
				for pb.Next() {
					if _, err := l.AppendLeader(batch, 0, Client); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkRead finds a slice, at the end of the log as a consumer that keeps up does, and somewhere before.
func BenchmarkRead(b *testing.B) {
	for _, size := range []int{100, 16 << 10} {
		l := benchLog(b, nil)
		batch := benchBatch(1, size)
		const n = 20000
		for range n {
			if _, err := l.AppendLeader(batch, 0, Client); err != nil {
				b.Fatal(err)
			}
		}
		for _, c := range []struct {
			name  string
			from  int64
			bytes int
		}{{"tail", n - 1, 1 << 20}, {"middle", n/2 + 3, 1 << 20}, {"small", n/2 + 3, 1}} {
			b.Run(fmt.Sprintf("batch=%d/%s", size, c.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s, err := l.Read(c.from, n, c.bytes, true)
					if err != nil || s.Len() == 0 {
						b.Fatal(err)
					}
					s.Close()
				}
			})
		}
	}
}

// BenchmarkSend reads a megabyte and sends it to a TCP socket.
func BenchmarkSend(b *testing.B) {
	for _, way := range []string{"sendfile", "copy"} {
		b.Run(way, func(b *testing.B) {
			l := benchLog(b, nil)
			batch := benchBatch(128, 1024)
			for range 64 {
				if _, err := l.AppendLeader(batch, 0, Client); err != nil {
					b.Fatal(err)
				}
			}
			from, to := socketPair(b)
			go io.Copy(io.Discard, to)
			w := io.Writer(from)
			if way == "copy" {
				w = onlyWriter{from}
			}
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for i := int64(0); b.Loop(); i++ {
				s, err := l.Read(i%50*128, l.EndOffset(), 1<<20, true)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.WriteTo(w); err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
}

// BenchmarkOpen opens a log of 256 MB, after a crash with nothing flushed and after a clean shutdown.
func BenchmarkOpen(b *testing.B) {
	for _, clean := range []bool{true, false} {
		b.Run(fmt.Sprint("clean=", clean), func(b *testing.B) {
			dir := b.TempDir() + "/t-0"
			l, err := Open(Options{Dir: dir, Topic: "t"})
			if err != nil {
				b.Fatal(err)
			}
			batch := benchBatch(16, 1024)
			for l.Size() < 256<<20 {
				if _, err := l.AppendLeader(batch, 0, Client); err != nil {
					b.Fatal(err)
				}
			}
			size := l.Size()
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(size)
			for b.Loop() {
				l, err := Open(Options{Dir: dir, Topic: "t", CleanShutdown: clean})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
