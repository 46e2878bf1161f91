package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, err := Open(Options{Dir: b.TempDir(), PreAllocBytes: 64 << 20})
			if err != nil {
				b.Fatal(err)
			}
			if _, _, _, err := s.Load(b.Context(), &recorder{}); err != nil {
				b.Fatal(err)
			}
			body := make([]byte, size)
			zxid := int64(0)
			b.SetBytes(int64(size))
			for b.Loop() {
				zxid++
				if err := s.Append(zxid, txn(zxid, string(body))); err != nil {
					b.Fatal(err)
				}
				if zxid%100 == 0 { // a hundred at a time wait for the disk
					if err := s.w.wait(zxid); err != nil {
						b.Fatal(err)
					}
				}
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkTail reads a log of which 64 MiB were allocated and nearly nothing was written.
func BenchmarkTail(b *testing.B) {
	dir := b.TempDir()
	path := filepath.Join(dir, versionDir, logName(1))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		b.Fatal(err)
	}
	log := appendEntry(appendFileHeader(nil, logMagic, logDatabase), txn(1, "t1"))
	for b.Loop() {
		if err := os.WriteFile(path, log, 0o666); err != nil {
			b.Fatal(err)
		}
		if err := os.Truncate(path, 64<<20); err != nil {
			b.Fatal(err)
		}
		s, err := Open(Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		if _, _, _, err := s.Load(b.Context(), &recorder{}); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
