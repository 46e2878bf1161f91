package log

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gregor/internal/log/vfs"
)

type dirsFixture struct {
	t    *testing.T
	disk *vfs.Mem
	o    DirsOptions
}

func newDirsFixture(t *testing.T) *dirsFixture {
	disk := vfs.NewMem(nil)
	return &dirsFixture{t, disk, DirsOptions{Paths: []string{"/a", "/b"}, ClusterID: "cluster-1", NodeID: 4, FS: disk, Logger: slog.New(slog.DiscardHandler)}}
}

func (f *dirsFixture) open() *Dirs {
	f.t.Helper()
	d, err := OpenDirs(f.o)
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

func (f *dirsFixture) create(d *Dirs, topic string, partition int32) *Log {
	f.t.Helper()
	l, err := d.Create(topic, [16]byte{byte(len(topic))}, partition, [16]byte{}, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return l
}

func (f *dirsFixture) close(d *Dirs) {
	f.t.Helper()
	if err := d.Close(); err != nil {
		f.t.Fatal(err)
	}
}

func put(t testing.TB, l *Log, values ...string) {
	t.Helper()
	if _, err := l.AppendLeader(batchAt(time.Now().UnixMilli(), values...), 0, Client); err != nil {
		t.Fatal(err)
	}
}

func TestDirs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newDirsFixture(t)
		d := f.open()
		if d.PreviousBrokerEpoch() != -1 || d.ClusterID() != "cluster-1" {
			t.Fatal(d.PreviousBrokerEpoch(), d.ClusterID())
		}
		for p := range int32(4) {
			put(t, f.create(d, "t", p), "x", fmt.Sprint(p))
		}
		_, err := d.Create("t", [16]byte{1}, 0, [16]byte{}, nil)
		expectError(t, err, ErrExists)
		dirs := d.Dirs()
		if len(dirs) != 2 || dirs[0].Logs != 2 || dirs[1].Logs != 2 || dirs[0].ID == dirs[1].ID || dirs[0].Free <= 0 {
			t.Fatalf("%+v", dirs)
		}
		l, err := d.Create("chosen", [16]byte{1}, 0, dirs[1].ID, nil)
		if err != nil || filepath.Dir(l.Dir()) != "/b" || d.DirOf(l) != dirs[1].ID {
			t.Fatal(err, l.Dir())
		}
		_, err = d.Create("chosen", [16]byte{1}, 1, [16]byte{77}, nil)
		expectError(t, err, ErrDirOffline)
		d.Get("t", 2).SetHighWatermark(2)
		if _, err := d.Get("t", 2).DeleteRecordsBefore(1); err != nil {
			t.Fatal(err)
		}
		d.SetBrokerEpoch(42)
		f.close(d)

		f.o.ClusterID = ""
		d = f.open()
		defer f.close(d)
		if d.PreviousBrokerEpoch() != 42 || d.ClusterID() != "cluster-1" || fmt.Sprint(d.Dirs()[0].ID) != fmt.Sprint(dirs[0].ID) {
			t.Fatal(d.PreviousBrokerEpoch(), d.ClusterID())
		}
		l = d.Get("t", 2)
		if l.StartOffset() != 1 || l.EndOffset() != 2 || l.HighWatermark() != 2 || l.RecoveryPoint() != 2 || l.TopicID() != [16]byte{1} {
			t.Fatal(l.StartOffset(), l.EndOffset(), l.HighWatermark(), l.RecoveryPoint(), l.TopicID())
		}
		if d.Get("t", 9) != nil {
			t.Fatal("found what is not there")
		}
	})
}

func TestDirsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newDirsFixture(t)
		d := f.open()
		_, err := OpenDirs(f.o)
		expectError(t, err, ErrLocked)
		f.close(d)

		o := f.o
		o.NodeID = 5
		_, err = OpenDirs(o)
		expectError(t, err, ErrInconsistent)
		if msg := err.Error(); !strings.Contains(msg, "node 4") || !strings.Contains(msg, "node 5") {
			t.Fatal(msg)
		}
		o = f.o
		o.ClusterID = "cluster-2"
		_, err = OpenDirs(o)
		expectError(t, err, ErrInconsistent)
		if msg := err.Error(); !strings.Contains(msg, "cluster-1") || !strings.Contains(msg, "cluster-2") {
			t.Fatal(msg)
		}
		f.close(f.open())
	})
}

// TestDeleteManyLogs: what is synced for a deletion does not grow with the number of logs, of a topic or of all.
func TestDeleteManyLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newDirsFixture(t)
		var syncs atomic.Int64 // what runs in the background syncs too
		f.o.FS = &vfs.Fault{FS: f.disk, Hook: func(op vfs.Op, _ string) error {
			if op == vfs.OpSync || op == vfs.OpSyncDir {
				syncs.Add(1)
			}
			return nil
		}}
		d := f.open()
		defer f.close(d)
		for p := range int32(40) {
			put(t, f.create(d, "t", p), "x")
		}
		if err := d.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		count := func(first, end int32) int64 {
			var logs []Name
			for p := first; p < end; p++ {
				logs = append(logs, Name{"t", p})
			}
			synctest.Wait()
			before := syncs.Load()
			if err := d.Delete(logs...); err != nil {
				t.Fatal(err)
			}
			return syncs.Load() - before
		}
		few, many := count(0, 2), count(2, 38)
		if few == 0 || many > few {
			t.Errorf("%d syncs for 2 logs, %d for 36", few, many)
		}
		if d.Get("t", 37) != nil || d.Get("t", 38) == nil {
			t.Error("the wrong logs are gone")
		}
	})
}

func TestDeleteLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newDirsFixture(t)
		f.o.Paths = f.o.Paths[:1]
		d := f.open()
		defer f.close(d)
		l := f.create(d, "t", 0)
		put(t, l, "x")
		if err := l.Flush(1); err != nil {
			t.Fatal(err)
		}
		if err := d.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		if err := d.Delete(Name{"t", 0}); err != nil {
			t.Fatal(err)
		}
		if err := d.Delete(Name{"t", 0}); err != nil { // again
			t.Fatal(err)
		}
		_, err := l.AppendLeader(batchAt(0, "y"), 0, Client)
		expectError(t, err, ErrClosed)
		_, err = l.Read(0, 1, 100, true)
		expectError(t, err, ErrClosed)
		retired := func() (n int) {
			names, err := f.disk.ReadDir("/a")
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range names {
				if strings.HasPrefix(e.Name(), "t-0.") && strings.HasSuffix(e.Name(), "-delete") && len(e.Name()) == len("t-0.-delete")+32 {
					n++
				}
			}
			return n
		}
		if retired() != 1 {
			t.Fatal(retired())
		}
		// One of the same name is another: it inherits no recovery point.
		if b, err := readFile(f.disk, "/a/recovery-point-offset-checkpoint"); err != nil || string(b) != "0\n0\n" {
			t.Fatalf("%q %v", b, err)
		}
		if l = f.create(d, "t", 0); l.EndOffset() != 0 {
			t.Fatal(l.EndOffset())
		}
		pass(61 * time.Second)
		synctest.Wait()
		if retired() != 0 {
			t.Fatal(retired())
		}
		if err := d.MarkStray("t", 0); err != nil || d.Get("t", 0) != nil {
			t.Fatal(err)
		}
	})
}

// TestLeftDeletes removes what was to be deleted when the node ended.
func TestLeftDeletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newDirsFixture(t)
		f.o.Paths = f.o.Paths[:1]
		d := f.open()
		f.create(d, "t", 0)
		if err := d.Delete(Name{"t", 0}); err != nil {
			t.Fatal(err)
		}
		f.close(d)
		d = f.open()
		synctest.Wait()
		f.close(d)
		names, err := f.disk.ReadDir("/a")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range names {
			if e.IsDir() {
				t.Error(e.Name())
			}
		}
	})
}

// TestBrokenLog keeps a damaged log out of use, and only that one.
func TestBrokenLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newDirsFixture(t)
		f.o.Paths = f.o.Paths[:1]
		d := f.open()
		for p := range int32(2) {
			l := f.create(d, "t", p)
			put(t, l, "x")
			put(t, l, "y")
		}
		d.background.stop() // the process ends
		f.disk.Kill()
		fx := &fixture{t: t, fs: f.disk}
		fx.flip("/a/t-1/00000000000000000000.log", 64)

		d = f.open()
		if d.Get("t", 1) != nil || !errors.Is(d.Broken("t", 1), ErrCorrupt) || d.Get("t", 0).EndOffset() != 2 {
			t.Fatal(d.Get("t", 1), d.Broken("t", 1))
		}
		_, err := d.Create("t", [16]byte{1}, 1, [16]byte{}, nil)
		expectError(t, err, ErrCorrupt)
		f.close(d) // without a marker: the next start looks again
		d = f.open()
		expectError(t, d.Broken("t", 1), ErrCorrupt)
		if err := d.Delete(Name{"t", 1}); err != nil {
			t.Fatal(err)
		}
		f.create(d, "t", 1)
		f.close(d)
	})
}

// TestDirFails lets one of two directories fail.
func TestDirFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newDirsFixture(t)
		fault := &vfs.Fault{FS: f.disk, Hook: func(vfs.Op, string) error { return nil }}
		f.o.FS = fault
		told := make(chan Dir, 2)
		f.o.Offline = func(d Dir, err error) { told <- d }
		d := f.open()
		a, b := f.create(d, "t", 0), f.create(d, "t", 1)
		a2 := f.create(d, "t", 2)
		fault.Hook = func(op vfs.Op, name string) error {
			if op == vfs.OpWrite && strings.HasPrefix(name, "/a/") {
				return syscall.EIO
			}
			return nil
		}
		_, err := a.AppendLeader(batchAt(0, "x"), 0, Client)
		expectError(t, err, ErrDirOffline)
		synctest.Wait()
		if dir := <-told; dir.Path != "/a" || !errors.Is(dir.Err, syscall.EIO) {
			t.Fatalf("%+v", dir)
		}
		_, err = a2.AppendLeader(batchAt(0, "x"), 0, Client)
		expectError(t, err, ErrDirOffline)
		put(t, b, "x")
		if l := f.create(d, "t", 3); filepath.Dir(l.Dir()) != "/b" {
			t.Fatal(l.Dir())
		}
		f.close(d)
		for path, want := range map[string]bool{"/a/.kafka_cleanshutdown": false, "/b/.kafka_cleanshutdown": true} {
			if exists(f.disk, path) != want {
				t.Errorf("%s: %v", path, !want)
			}
		}
	})
}

func TestDirUnreadableAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newDirsFixture(t)
		f.close(f.open())
		f.o.FS = &vfs.Fault{FS: f.disk, Hook: func(op vfs.Op, name string) error {
			if strings.HasPrefix(name, "/a/") {
				return syscall.EIO
			}
			return nil
		}}
		d := f.open()
		if dirs := d.Dirs(); dirs[0].Err == nil || dirs[1].Err != nil {
			t.Fatalf("%+v", dirs)
		}
		if l := f.create(d, "t", 0); filepath.Dir(l.Dir()) != "/b" {
			t.Fatal(l.Dir())
		}
		f.close(d)
		f.o.Paths = f.o.Paths[:1]
		_, err := OpenDirs(f.o)
		expectError(t, err, ErrDirOffline)
	})
}

// TestBackground lets time pass: checkpoints, flush.ms, retention.
func TestBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newDirsFixture(t)
		f.o.Paths = f.o.Paths[:1]
		d := f.open()
		defer f.close(d)
		c := DefaultConfig()
		c.FlushMs, c.RetentionMs = 3000, 1
		l, err := d.Create("t", [16]byte{1}, 0, [16]byte{}, c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.AppendLeader(batchAt(time.Now().UnixMilli(), "x"), 0, Client); err != nil {
			t.Fatal(err)
		}
		l.SetHighWatermark(1)
		at := func(seconds int, file, want string) {
			t.Helper()
			pass(time.Duration(seconds) * time.Second)
			synctest.Wait()
			if b, err := readFile(f.disk, "/a/"+file); err != nil || string(b) != want {
				t.Fatalf("%s: %q, %v; want %q", file, b, err, want)
			}
		}
		at(2, recoveryPointCheckpointFile, "0\n0\n")
		if l.RecoveryPoint() != 0 {
			t.Fatal(l.RecoveryPoint())
		}
		at(4, highWatermarkCheckpointFile, "0\n1\nt 0 1\n")
		if l.RecoveryPoint() != 1 {
			t.Fatal(l.RecoveryPoint())
		}
		at(60, recoveryPointCheckpointFile, "0\n1\nt 0 1\n")
		pass(5 * time.Minute)
		synctest.Wait()
		if l.StartOffset() != 1 || l.Segments() != 1 {
			t.Fatal(l.StartOffset(), l.Segments())
		}
	})
}

// pass lets time pass in a bubble of synctest.
func pass(d time.Duration) { <-time.After(d) }

// A full disk is said once a minute, not with each append that it refuses, and it takes no directory offline.
func TestFullDiskIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newDirsFixture(t)
		var out strings.Builder
		f.o.Paths, f.o.Logger = []string{"/a"}, slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError}))
		f.o.Reserve = func() int64 { return 0 }
		d := f.open()
		l := f.create(d, "t", 0)
		put(t, l, "fits")
		f.disk.SetLimit(f.disk.Used() + 10)
		for range 3 {
			for range 5 {
				_, err := l.AppendLeader(batchAt(time.Now().UnixMilli(), "x"), 0, Client)
				expectError(t, err, ErrNoSpace)
			}
			time.Sleep(fullInterval)
		}
		f.disk.SetLimit(0)
		put(t, l, "fits again")
		f.close(d)
		if n := strings.Count(out.String(), "is full"); n != 3 {
			t.Errorf("said %d times, want 3:\n%s", n, out.String())
		}
	})
}
