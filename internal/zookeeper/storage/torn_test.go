package storage

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTornBatch cuts the power while a batch is synced: each of its sectors is there or not.
func TestTornBatch(t *testing.T) {
	gaps := 0
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		f := newFixture(t)
		f.opts.PreAllocBytes = 16 << 10
		s, _ := f.open()
		acked := 1 + rnd.Int64N(20)
		f.must(f.put(s, 1, acked))
		var before []byte
		f.patch("log.1", func(b []byte) []byte { before = slices.Clone(b); return b })
		f.must(f.put(s, acked+1, acked+60))
		f.patch("log.1", func(b []byte) []byte {
			for at := 0; at < len(b); at += sectorBytes {
				if end := min(at+sectorBytes, len(b)); rnd.IntN(2) == 0 {
					copy(b[at:end], before[at:])
				}
			}
			return b
		})
		disk := f.disk.Crash(nil) // the server of before is gone, and what the file has is there
		f.must(s.Close())
		g := newFixture(t)
		g.disk, g.fs = disk, disk
		s, r, err := g.try()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if s.last < acked || s.last > acked+60 {
			t.Fatalf("seed %d: %d is the last, %d was acknowledged, %d appended", seed, s.last, acked, acked+60)
		}
		if s.last > acked && s.last < acked+60 {
			gaps++
		}
		r.expect(t, texts(1, s.last)...)
		last := s.last
		f.must(g.put(s, last+1, last+2))
		f.must(s.Close())
		s, r = g.open()
		r.expect(t, texts(1, last+2)...)
		f.must(s.Close())
	}
	if gaps < 20 {
		t.Fatalf("only %d batches with a gap", gaps)
	}
}

// TestMissingSector refuses what no power failure leaves: a sector that is missing in a log which another one follows, or
// farther from the end than a batch is long.
func TestMissingSector(t *testing.T) {
	sector := func(b []byte) []byte { clear(b[sectorBytes : 2*sectorBytes]); return b }
	t.Run("of an older log", func(t *testing.T) {
		f := newFixture(t)
		for z := int64(1); z < 80; z += 40 {
			s, _ := f.open()
			f.must(f.put(s, z, z+39))
			f.must(s.Close())
		}
		f.patch("log.1", sector)
		if _, _, err := f.try(); !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
	t.Run("far from the end", func(t *testing.T) {
		f := newFixture(t)
		s, _ := f.open()
		f.must(f.put(s, 1, 40))
		for z := int64(41); z <= 43; z++ {
			f.must(s.Append(z, txn(z, string(make([]byte, batchBytes)))))
		}
		f.must(s.Close())
		f.patch("log.1", sector)
		if _, _, err := f.try(); !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
}
