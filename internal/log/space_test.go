package log

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A directory that is nearly full refuses records of clients and of leaders, and takes what the broker itself writes. Reads,
// retention and deletion go on, and with them comes the room to go on.
func TestNearlyFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newDirsFixture(t)
		var out strings.Builder
		var reserve atomic.Int64
		reserve.Store(1000)
		f.o.Paths, f.o.Logger = []string{"/a"}, slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo}))
		f.o.Reserve = reserve.Load
		d := f.open()
		l, own, followed := f.create(d, "t", 0), f.create(d, "__consumer_offsets", 0), f.create(d, "f", 0)
		gone := f.create(d, "gone", 0)
		add := func(l *Log) error {
			_, err := l.AppendLeader(batchAt(time.Now().UnixMilli(), "x"), 0, Client)
			return err
		}
		for _, l := range []*Log{l, own, gone} {
			if err := add(l); err != nil {
				t.Fatal(err)
			}
		}
		put(t, gone, strings.Repeat("y", 2000))
		f.disk.SetLimit(f.disk.Used() + 999)
		if err := add(l); err != nil {
			t.Fatal("nobody has looked yet:", err)
		}
		time.Sleep(2 * spaceInterval)
		err := add(l)
		if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "log.dirs.reserved.bytes") {
			t.Fatal(err)
		}
		if _, err := followed.AppendFollower(batchAt(1, "x")); !errors.Is(err, ErrNoSpace) {
			t.Fatal(err)
		}
		if err := add(own); err != nil {
			t.Fatal("committed offsets use the reserve:", err)
		}
		if _, err := l.AppendLeader(batchAt(time.Now().UnixMilli(), "x"), 0, Coordinator); err != nil {
			t.Fatal("what this process makes uses the reserve:", err)
		}
		if s, err := l.Read(0, 2, 1000, true); err != nil || s.Len() == 0 {
			t.Fatal("reads go on:", err)
		}
		if err := d.Delete(Name{Topic: "gone"}); err != nil {
			t.Fatal("topics can be deleted:", err)
		}
		time.Sleep(time.Hour) // the files too
		if err := add(l); err != nil {
			t.Fatal("there is room again:", err)
		}
		if n := strings.Count(out.String(), "nearly full"); n != 1 || strings.Count(out.String(), "has room again") != 1 {
			t.Errorf("said %d times:\n%s", n, out.String())
		}
		reserve.Store(-1) // by itself: a hundredth of the disk
		time.Sleep(2 * spaceInterval)
		if err := add(l); err != nil {
			t.Fatal(err)
		}
		f.close(d)
	})
}

// The ballast is made where there is room, given up when somebody else has filled the disk, while the node runs and at its
// start, and made again.
func TestBallast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newDirsFixture(t)
		f.o.Paths, f.o.Ballast = []string{"/a"}, 100_000
		f.o.Reserve = func() int64 { return 50_000 }
		has := func() bool { return exists(f.disk, "/a/"+ballastFile) }
		look := func() { time.Sleep(2 * spaceInterval) }
		f.disk.SetLimit(200_000)
		d := f.open()
		look()
		if has() {
			t.Fatal("a ballast took half of what is free")
		}
		f.disk.SetLimit(1_000_000)
		look()
		if !has() || f.disk.Used() < 100_000 {
			t.Fatal("there is room for the ballast", f.disk.Used())
		}
		f.disk.SetLimit(f.disk.Used() + 10)
		look()
		if has() {
			t.Fatal("the disk is full, and the ballast is kept")
		}
		put(t, f.create(d, "__consumer_offsets", 0), "in its place")
		f.disk.SetLimit(1_000_000)
		look()
		f.close(d)
		f.disk.SetLimit(f.disk.Used())
		if !has() {
			t.Fatal("a ballast is for the next start, too")
		}
		d = f.open()
		if has() {
			t.Fatal("a start on a full disk keeps the ballast")
		}
		f.close(d)
	})
}
