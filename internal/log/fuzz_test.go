package log

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gregor/internal/log/vfs"
)

// seedFiles adds the files that Apache Kafka wrote, and broken ones.
func seedFiles(f *testing.F, pattern string) {
	names, err := filepath.Glob(filepath.Join("testdata", "kafka-4.3.0", pattern))
	if err != nil || len(names) == 0 {
		f.Fatalf("no seeds for %s: %v", pattern, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		if len(b) > 3 {
			f.Add(b[:len(b)-3])
			bad := slices.Clone(b)
			bad[len(bad)/2] ^= 0x80
			f.Add(bad)
		}
	}
	f.Add([]byte{})
	f.Add(make([]byte, 24))
}

func FuzzOffsetIndex(f *testing.F) {
	seedFiles(f, "*/*.index")
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := decodeOffsetIndex("x", b, 1<<30)
		if err != nil {
			return
		}
		// What follows the entries is zeros.
		again := x.encode(nil, 0)
		if !bytes.HasPrefix(b, again) || len(bytes.Trim(b[len(again):], "\x00")) != 0 {
			t.Fatalf("%x encodes as %x", b, again)
		}
		for i, e := range x.entries {
			if p := x.lookup(int64(e.offset)); p != int64(e.position) {
				t.Fatalf("entry %d (%v): position %d", i, e, p)
			}
		}
	})
}

func FuzzTimeIndex(f *testing.F) {
	seedFiles(f, "*/*.timeindex")
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := decodeTimeIndex("x", b)
		if err != nil {
			return
		}
		again := x.encode(nil, 0)
		if !bytes.HasPrefix(b, again) || len(bytes.Trim(b[len(again):], "\x00")) != 0 {
			t.Fatalf("%x encodes as %x", b, again)
		}
	})
}

func FuzzTxnIndex(f *testing.F) {
	seedFiles(f, "*/*.txnindex")
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeTxnIndex("x", b, 0)
		if err != nil {
			return
		}
		var again []byte
		for _, e := range list {
			again = e.AppendTo(again)
		}
		if !bytes.Equal(b, again) {
			t.Fatalf("%x encodes as %x", b, again)
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	seedFiles(f, "*/*.snapshot")
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := decodeSnapshot("x", b)
		if err != nil {
			return
		}
		if again := encodeSnapshot(entries); !bytes.Equal(b, again) {
			t.Fatalf("%x encodes as %x", b, again)
		}
		var ps producers
		ps.restore(entries, 0, -1)
		ps.snapshot()
	})
}

func FuzzOffsetCheckpoint(f *testing.F) {
	seedFiles(f, "*checkpoint")
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeOffsetCheckpoint("x", b)
		if err != nil {
			return
		}
		again, err := decodeOffsetCheckpoint("x", c.encode())
		if err != nil || len(again) != len(c) {
			t.Fatalf("%v, %v", again, err)
		}
		for k, v := range c {
			if again[k] != v {
				t.Fatalf("%v: %d, %d", k, v, again[k])
			}
		}
	})
}

func FuzzEpochCheckpoint(f *testing.F) {
	seedFiles(f, "*/leader-epoch-checkpoint")
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeEpochCheckpoint("x", b)
		if err != nil {
			return
		}
		again, err := decodeEpochCheckpoint("x", encodeEpochCheckpoint(list))
		if err != nil || !slices.Equal(list, again) {
			t.Fatalf("%v, %v; %v", list, again, err)
		}
	})
}

func FuzzMetaProperties(f *testing.F) {
	seedFiles(f, "meta.properties")
	f.Add([]byte("#\nversion=0\nbroker.id=3\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMetaProperties("x", b)
		if err != nil || m.NodeID < 0 {
			return
		}
		again, err := decodeMetaProperties("x", m.encode(time.UnixMilli(0)))
		if err != nil || again != m {
			t.Fatalf("%+v, %+v, %v", m, again, err)
		}
	})
}

func FuzzPartitionMetadata(f *testing.F) {
	seedFiles(f, "*/partition.metadata")
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := decodePartitionMetadata("x", b)
		if err != nil {
			return
		}
		if again, err := decodePartitionMetadata("x", encodePartitionMetadata(id)); err != nil || again != id {
			t.Fatalf("%x, %x, %v", id, again, err)
		}
	})
}

func FuzzCleanShutdown(f *testing.F) {
	seedFiles(f, ".kafka_cleanshutdown")
	f.Fuzz(func(t *testing.T, b []byte) {
		c := decodeCleanShutdown(b)
		if again := decodeCleanShutdown(c.encode()); again != c {
			t.Fatalf("%+v, %+v", c, again)
		}
	})
}

// FuzzSegment opens a log whose segment holds any bytes. It is refused, or cut to intact batches.
func FuzzSegment(f *testing.F) {
	seedFiles(f, "*/*.log")
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		fx := newFixture(t)
		if err := fx.fs.MkdirAll("/data/t-0"); err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFile(fx.fs, "/data/t-0/00000000000000000000.log", b, true); err != nil {
			t.Fatal(err)
		}
		l, err := Open(fx.opts)
		if err != nil {
			return
		}
		if l.Size() > int64(len(b)) {
			t.Fatal(l.Size())
		}
		if l.EndOffset() > l.StartOffset() {
			s, err := l.Read(l.StartOffset(), l.EndOffset(), 1<<20, true)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			got, err := s.Bytes()
			if err != nil || !bytes.Equal(got, b[:len(got)]) {
				t.Fatal(err)
			}
		}
		if _, err := l.AppendLeader(batch("x"), 1<<30, Client); err != nil {
			t.Fatal(err)
		}
	})
}
