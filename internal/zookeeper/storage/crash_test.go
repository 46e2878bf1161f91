package storage

import (
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"gregor/internal/log/vfs"
)

var errPower = errors.New("power failure")

// powerOff makes every change of the disk from the nth on fail; the first may be done in part.
func powerOff(disk *vfs.Mem, n int) (*vfs.Fault, func() int) {
	var mu sync.Mutex
	changes := 0
	return &vfs.Fault{FS: disk, Hook: func(op vfs.Op, _ string) error {
			if !op.Changes() {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			changes++
			switch {
			case n < 0 || changes <= n:
				return nil
			case changes == n+1 && op == vfs.OpWrite:
				return &vfs.ShortWrite{N: 37, Err: errPower}
			}
			return errPower
		}}, func() int {
			mu.Lock()
			defer mu.Unlock()
			return changes
		}
}

// scenario writes, takes snapshots, purges and restarts until the power fails. acked is the last transaction that was
// acknowledged.
func scenario(f *fixture) (acked, appended int64) {
	put := func(s *Store, n int64) error {
		from := appended + 1
		appended += n
		err := f.put(s, from, appended)
		f.mu.Lock()
		acked = max(acked, f.durable)
		f.mu.Unlock()
		return err
	}
	for range 4 {
		s, _, err := f.try()
		if err != nil {
			return acked, appended
		}
		err = errors.Join(put(s, 2), snapshot(s, appended, appended), put(s, 3))
		if err == nil {
			_, err = s.Purge(3)
		}
		err = errors.Join(err, s.Close())
		if err != nil {
			return acked, appended
		}
	}
	return acked, appended
}

// TestCrash cuts the power at every change of the disk.
func TestCrash(t *testing.T) {
	f := newFixture(t)
	fault, count := powerOff(f.disk, -1)
	f.fs = fault
	if acked, appended := scenario(f); acked != 20 || appended != 20 {
		t.Fatal(acked, appended, f.failure)
	}
	total := count()
	if total < 60 {
		t.Fatalf("only %d changes of the disk", total)
	}
	for n := range total {
		for seed := range uint64(4) {
			f := newFixture(t)
			f.fs, _ = powerOff(f.disk, n)
			acked, appended := scenario(f)
			var rnd *rand.Rand
			if seed > 0 {
				rnd = rand.New(rand.NewPCG(seed, uint64(n)))
			}
			g := newFixture(t)
			g.disk = f.disk.CrashSectors(rnd)
			g.fs = g.disk
			s, r, err := g.try()
			if err != nil {
				t.Fatalf("change %d, seed %d: %v", n, seed, err)
			}
			last := s.last
			if last < acked || last > appended {
				t.Fatalf("change %d, seed %d: %d is the last, %d was acknowledged, %d appended", n, seed, last, acked, appended)
			}
			if len(r.txns) > 0 {
				r.expect(t, texts(last-int64(len(r.txns))+1, last)...)
			}
			if err := g.put(s, last+1, last+2); err != nil {
				t.Fatal(err)
			}
			g.must(s.Close())
			s, _ = g.open()
			if s.last != last+2 {
				t.Fatalf("change %d, seed %d: %d after %d", n, seed, s.last, last)
			}
			g.must(s.Close())
		}
	}
}

// TestDiskFails ends the storage at the first error: nothing is acknowledged afterwards, and whoever waits is told.
func TestDiskFails(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpSync, vfs.OpCreate, vfs.OpTruncate, vfs.OpSyncDir} {
		t.Run(string(op), func(t *testing.T) {
			f := newFixture(t)
			s, _ := f.open()
			f.must(s.Close())
			f.fs = &vfs.Fault{FS: f.disk, Hook: func(o vfs.Op, name string) error {
				if o == op && name != "/d" {
					return syscall.EIO
				}
				return nil
			}}
			s, _ = f.open()
			if err := f.put(s, 1, 1); !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			if err := s.Append(2, txn(2, "t2")); !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			if f.durable != 0 {
				t.Error("acknowledged", f.durable)
			}
			if err := s.Close(); !errors.Is(err, syscall.EIO) {
				t.Error(err)
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	f := newFixture(t)
	f.opts.PreAllocBytes = 0
	s, _ := f.open()
	f.must(f.put(s, 1, 2))
	f.disk.SetLimit(f.disk.Used() + 20)
	if err := snapshot(s, 2, 2); !errors.Is(err, vfs.ErrNoSpace) {
		t.Fatal(err)
	}
	if err := f.put(s, 3, 3); !errors.Is(err, vfs.ErrNoSpace) {
		t.Fatal(err)
	}
	_ = s.Close()
	f.disk.SetLimit(0)
	_, r := f.open()
	r.expect(t, texts(1, 2)...)
}

// TestSnapshotWaits does not let a snapshot be found before the transactions whose effects it may show are on disk.
func TestSnapshotWaits(t *testing.T) {
	f := newFixture(t)
	s, _ := f.open()
	f.must(s.Close())
	f.fs = &vfs.Fault{FS: f.disk, Hook: func(op vfs.Op, name string) error {
		if op == vfs.OpSync && name == "/d/version-2/log.1" {
			return errPower
		}
		return nil
	}}
	s, _ = f.open()
	f.must(s.Append(1, txn(1, "t1")))
	if err := snapshot(s, 0, 1); !errors.Is(err, errPower) {
		t.Fatal(err)
	}
	_ = s.Close()
}
