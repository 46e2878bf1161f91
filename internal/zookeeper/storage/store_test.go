package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gregor/internal/log/vfs"
	"gregor/internal/zookeeper/proto"
)

func TestReopen(t *testing.T) {
	f := newFixture(t)
	s, _ := f.open()
	f.must(f.put(s, 1, 3))
	f.must(s.Close())
	s, r := f.open()
	r.expect(t, texts(1, 3)...)
	f.must(f.put(s, 4, 5))
	f.must(s.Close())
	_, r = f.open()
	r.expect(t, texts(1, 5)...)
	if got := f.files(); !slices.Equal(got, []string{"log.1", "log.4", "snapshot.0"}) {
		t.Error(got)
	}
	want := []Node{{ACL: -1}, {Path: "/at0", Data: []byte{}, ACL: 1, Stat: proto.StatPersisted{Pzxid: 5}}}
	if !reflect.DeepEqual(r.nodes, want) || r.sessions[77] != 6000 || !reflect.DeepEqual(r.acls[1], proto.OpenACL()) || *r.digest != (Digest{0, 2, 99}) {
		t.Errorf("%+v", r)
	}
}

// TestFormat spells out the bytes of a log, so that a change of the format cannot go unseen.
func TestFormat(t *testing.T) {
	f := newFixture(t)
	s, _ := f.open()
	f.must(f.put(s, 1, 1))
	f.must(s.Close())
	f.patch("log.1", func(b []byte) []byte {
		want := "ZKLG\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x01\x4a\x00\xa7" + "\x00\x00\x00\x22" +
			strings.Repeat("\x00", 19) + "\x01" + strings.Repeat("\x00", 12) + "t1" + "B"
		if string(b) != want {
			t.Errorf("%q, want %q", b, want)
		}
		return b
	})
	f.patch("snapshot.0", func(b []byte) []byte {
		if !bytes.HasPrefix(b, []byte("ZKSN\x00\x00\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x01")) || !bytes.HasSuffix(b, []byte("\x00\x00\x00\x01/")) {
			t.Errorf("%q", b)
		}
		return b
	})
}

func TestTornTail(t *testing.T) {
	for name, tear := range map[string]func(b []byte) []byte{
		"short":    func(b []byte) []byte { return b[:len(b)-1] },
		"header":   func(b []byte) []byte { return b[:len(b)-40] },
		"zeros":    func(b []byte) []byte { clear(b[len(b)-20:]); return append(b, make([]byte, 3000)...) },
		"checksum": func(b []byte) []byte { b[len(b)-2]++; return b },
		"nothing":  func(b []byte) []byte { return append(b, make([]byte, 70000)...) },
		"foreign":  func(b []byte) []byte { return append(b, "garbage that is no transaction"...) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			s, _ := f.open()
			f.must(f.put(s, 1, 5))
			f.must(s.Close())
			f.patch("log.1", tear)
			last := int64(4)
			if name == "nothing" || name == "foreign" {
				last = 5
			}
			s, r := f.open()
			r.expect(t, texts(1, last)...)
			f.must(f.put(s, last+1, last+2))
			f.must(s.Close())
			_, r = f.open()
			r.expect(t, texts(1, last+2)...)
		})
	}
}

// TestDamage refuses a log whose broken place is not its end.
func TestDamage(t *testing.T) {
	first := fileHeaderBytes + len(appendEntry(nil, txn(1, "t1")))
	for name, damage := range map[string]func(b []byte) []byte{
		"body":   func(b []byte) []byte { b[first+40] ^= 1; return b },
		"length": func(b []byte) []byte { b[first+8] = 0x7f; return b },
		"zeros":  func(b []byte) []byte { clear(b[first : first+46]); return b },
		"header": func(b []byte) []byte { clear(b[:fileHeaderBytes]); return b },
		"magic":  func(b []byte) []byte { b[0] = 'X'; return b },
		"order":  func(b []byte) []byte { return appendEntry(b, txn(2, "again")) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			s, _ := f.open()
			f.must(f.put(s, 1, 5))
			f.must(s.Close())
			f.patch("log.1", damage)
			_, _, err := f.try()
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "log.1") {
				t.Fatal(err)
			}
			if name == "body" && !strings.Contains(err.Error(), "CRC check failed, but transaction 0x3 follows") {
				t.Fatal(err)
			}
		})
	}
}

func TestMissingLog(t *testing.T) {
	f := newFixture(t)
	for z := int64(1); z < 10; z += 3 {
		s, _ := f.open()
		f.must(f.put(s, z, z+2))
		f.must(s.Close())
	}
	f.must(f.disk.Remove("/d/version-2/log.4"))
	if _, _, err := f.try(); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "0x7 follows 0x3 in") {
		t.Fatal(err)
	}
	f.must(f.disk.Remove("/d/version-2/log.1"))
	if _, _, err := f.try(); !errors.Is(err, ErrMissing) {
		t.Fatal(err)
	}
	f.must(f.disk.Remove("/d/version-2/snapshot.0"))
	if _, _, err := f.try(); !errors.Is(err, ErrNoSnapshot) {
		t.Fatal(err)
	}
}

// TestEpochs takes the logs of a server that was in an ensemble: each new leader counts from 1 again.
func TestEpochs(t *testing.T) {
	f := newFixture(t)
	s, _ := f.open()
	f.must(f.put(s, 1, 2))
	f.must(f.put(s, 1<<32+1, 1<<32+2))
	f.must(s.Close())
	s, r := f.open()
	if len(r.txns) != 4 {
		t.Fatal(r.txns)
	}
	f.must(f.put(s, 2<<32+2, 2<<32+3))
	f.must(s.Close())
	if _, _, err := f.try(); !errors.Is(err, ErrMissing) {
		t.Fatal(err)
	}
}

// TestBadSnapshot goes back to the snapshot before, and to the first transaction when there is none.
func TestBadSnapshot(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"empty":   func([]byte) []byte { return nil },
		"cut":     func(b []byte) []byte { return b[:len(b)-30] },
		"flipped": func(b []byte) []byte { b[60] ^= 1; return b },
		"length":  func(b []byte) []byte { b[fileHeaderBytes+4+12+4+8+4+4] = 0x7f; return b },
		"digest":  func(b []byte) []byte { b[len(b)-20] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			s, _ := f.open()
			f.must(f.put(s, 1, 3))
			f.must(snapshot(s, 3, 3))
			f.must(f.put(s, 4, 5))
			f.must(s.Close())
			s, r := f.open()
			r.expect(t, texts(4, 5)...)
			f.must(s.Close())
			f.patch("snapshot.3", damage)
			s, r = f.open()
			r.expect(t, texts(1, 5)...)
			if r.nodes[1].Path != "/at0" || !slices.Equal(r.begins, []int64{3, 0}) {
				t.Fatalf("%+v", r)
			}
			f.must(s.Close())
			f.patch("snapshot.0", damage)
			s, r = f.open()
			r.expect(t, texts(1, 5)...)
			if len(r.nodes) != 0 {
				t.Fatalf("%+v", r)
			}
			f.must(s.Close())
			f.must(f.disk.Remove("/d/version-2/log.1"))
			if _, _, err := f.try(); !errors.Is(err, ErrNoSnapshot) || !strings.Contains(err.Error(), "snapshot.3") {
				t.Fatal(err)
			}
		})
	}
}

func TestOldAndZippedSnapshots(t *testing.T) {
	f := newFixture(t)
	f.opts.Gzip = true
	s, _ := f.open()
	f.must(s.Close())
	_, r := f.open()
	if len(r.nodes) != 2 || !slices.Equal(f.files(), []string{"snapshot.0.gz"}) {
		t.Fatal(r, f.files())
	}
	f = newFixture(t)
	s, _ = f.open()
	f.must(s.Close())
	f.patch("snapshot.0", func(b []byte) []byte { return b[:len(b)-20-13] }) // before 3.6
	s, r = f.open()
	if len(r.nodes) != 2 || r.digest != nil {
		t.Fatal(r)
	}
	f.must(s.Close())
	f.patch("snapshot.0", func(b []byte) []byte { return b[:len(b)-2] })
	if _, _, err := f.try(); !errors.Is(err, ErrNoSnapshot) { // everything was in it
		t.Fatal(err)
	}
}

// TestGroupCommit appends while a sync hangs: one more sync does for all that came meanwhile.
func TestGroupCommit(t *testing.T) {
	f := newFixture(t)
	s, _ := f.open()
	f.must(s.Close())
	syncs, entered, leave := 0, make(chan bool), make(chan bool)
	f.fs = &vfs.Fault{FS: f.disk, Hook: func(op vfs.Op, name string) error {
		if op == vfs.OpSync && strings.Contains(name, "log.") {
			syncs++
			entered <- true
			<-leave
		}
		return nil
	}}
	s, _ = f.open()
	f.must(s.Append(1, txn(1, "t1")))
	<-entered
	for z := int64(2); z <= 100; z++ {
		f.must(s.Append(z, txn(z, fmt.Sprint("t", z))))
	}
	f.mu.Lock()
	if f.durable != 0 {
		t.Error("told before the sync")
	}
	f.mu.Unlock()
	leave <- true
	<-entered
	close(leave)
	go func() {
		for range entered { // the end of the file is cut
		}
	}()
	f.must(f.put(s, 101, 100))
	if syncs != 2 {
		t.Errorf("%d syncs", syncs)
	}
	f.must(s.Close())
	close(entered)
	f.fs = f.disk
	_, r := f.open()
	r.expect(t, texts(1, 100)...)
}

func TestPurge(t *testing.T) {
	f := newFixture(t)
	s, _ := f.open()
	for z := int64(1); z <= 20; z += 4 {
		f.must(f.put(s, z, z+3))
		f.must(snapshot(s, z+3, z+3))
	}
	f.patch("snapshot.c", func(b []byte) []byte { return b[:50] })
	removed, err := s.Purge(1)
	f.must(err)
	want := []string{"log.11", "log.5", "log.9", "log.d", "snapshot.10", "snapshot.14", "snapshot.8", "snapshot.c"}
	if got := f.files(); !slices.Equal(got, want) {
		t.Errorf("%v after %v, want %v", got, removed, want)
	}
	f.must(s.Close())
	_, r := f.open()
	r.expect(t)
}

func TestDirectories(t *testing.T) {
	f := newFixture(t)
	f.opts.LogDir = "/l"
	s, _ := f.open()
	f.must(f.put(s, 1, 2))
	_, _, err := f.try()
	var locked *vfs.LockedError
	if !errors.As(err, &locked) {
		t.Error(err)
	}
	f.must(s.Close())
	f.opts.Dir, f.opts.LogDir = "/l", "/d"
	if _, _, err := f.try(); err == nil || !strings.Contains(err.Error(), "dataDir and dataLogDir") {
		t.Error(err)
	}
	f.opts.Dir, f.opts.LogDir = "/d", "/l"
	file, err := f.disk.Create("/d/version-2/tmp.snapshot.9")
	f.must(err)
	f.must(file.Close())
	s, r := f.open()
	r.expect(t, texts(1, 2)...)
	if got := f.files(); !slices.Equal(got, []string{"snapshot.0"}) {
		t.Error(got)
	}
	f.must(s.Close())
}

// TestHugeLengths reads files whose lengths promise far more than there is.
func TestHugeLengths(t *testing.T) {
	f := newFixture(t)
	s, _ := f.open()
	f.must(f.put(s, 1, 1))
	f.must(s.Close())
	f.patch("snapshot.0", func(b []byte) []byte {
		at := bytes.Index(b, []byte("/at0")) + 4
		binary.BigEndian.PutUint32(b[at:], 0x7fffffff)
		return b
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s, r := f.open()
	runtime.ReadMemStats(&after)
	r.expect(t, texts(1, 1)...)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("%d bytes of memory for a file of a few hundred", used)
	}
	f.must(s.Close())
}
