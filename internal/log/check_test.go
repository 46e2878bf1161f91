package log

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gregor/internal/log/vfs"
)

// What is wrong is found, and told apart: what is lost, what a crash leaves, what is made anew.
func TestCheck(t *testing.T) {
	one := int64(len(batchAt(1, "0")))
	first, second := "/a/orders-3/00000000000000000000", "/a/orders-3/00000000000000000005"
	for _, c := range []struct {
		name   string
		crash  bool // the directory is not closed
		damage func(t *testing.T, fsys vfs.FS)
		want   []string
	}{
		{name: "nothing"},
		{name: "crashed", crash: true},
		{name: "a bit in the middle", damage: flips(first+".log", 2*one+65),
			want: []string{"damaged orders-3 00000000000000000000.log offset 2 position " + fmt.Sprint(2*one)}},
		{name: "a length in the middle", damage: flips(first+".log", 2*one+9),
			want: []string{"damaged orders-3 00000000000000000000.log offset 2 position " + fmt.Sprint(2*one)}},
		{name: "the last batch", damage: flips(second+".log", 4*one+65),
			want: []string{"damaged orders-3 00000000000000000005.log offset 9 position " + fmt.Sprint(4*one)}},
		{name: "the last batch after a crash", crash: true, damage: flips(second+".log", 4*one+65),
			want: []string{"torn orders-3 00000000000000000005.log offset 9 position " + fmt.Sprint(4*one)}},
		{name: "the end of the first segment after a crash", crash: true, damage: flips(first+".log", 4*one+65),
			want: []string{"damaged orders-3 00000000000000000000.log offset 4 position " + fmt.Sprint(4*one)}},
		{name: "half a batch after a crash", crash: true, damage: cuts(second+".log", 4*one+20),
			want: []string{"torn orders-3 00000000000000000005.log offset 9 position " + fmt.Sprint(4*one)}},
		{name: "zeros after a crash", crash: true, damage: cuts(second+".log", 9*one)},
		{name: "zeros in the middle", crash: true, damage: cuts(first+".log", 9*one),
			want: []string{"damaged orders-3 00000000000000000000.log offset 5 position " + fmt.Sprint(5*one)}},
		{name: "an index", damage: writes(first+".index", []byte{0, 0, 0, 1, 0, 0, 0, 9}),
			want: []string{"remade orders-3 00000000000000000000.index offset -1 position -1"}},
		{name: "an index of odd size", damage: writes(first+".index", []byte("x")),
			want: []string{"remade orders-3 00000000000000000000.index offset -1 position -1"}},
		{name: "a time index", damage: writes(first+".timeindex", []byte{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 99}),
			want: []string{"remade orders-3 00000000000000000000.timeindex offset -1 position -1"}},
		{name: "a transaction index", damage: writes(first+".txnindex", []byte("short")),
			want: []string{"remade orders-3 00000000000000000000.txnindex offset -1 position -1"}},
		{name: "an index of no segment", damage: writes("/a/orders-3/00000000000000000077.index", nil),
			want: []string{"remade orders-3 00000000000000000077.index offset -1 position -1"}},
		{name: "a producer snapshot", damage: writes(second+".snapshot", []byte("no snapshot")),
			want: []string{"remade orders-3 00000000000000000005.snapshot offset -1 position -1"}},
		{name: "leader epochs", damage: writes("/a/orders-3/leader-epoch-checkpoint", []byte("0\n7\n")),
			want: []string{"damaged orders-3 leader-epoch-checkpoint offset -1 position -1"}},
		{name: "the topic's id", damage: writes("/a/orders-3/partition.metadata", []byte("version: 9")),
			want: []string{"damaged orders-3 partition.metadata offset -1 position -1"}},
		{name: "a checkpoint", damage: writes("/a/replication-offset-checkpoint", []byte("0\n1\n")),
			want: []string{"remade - replication-offset-checkpoint offset -1 position -1"}},
		{name: "who the directory belongs to", damage: writes("/a/meta.properties", []byte("version=7")),
			want: []string{"damaged - meta.properties offset -1 position -1"}},
		{name: "a directory that is being deleted", damage: writes("/a/gone-0.0123456789abcdef0123456789abcdef-delete/00000000000000000000.log", []byte("x"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newDirsFixture(t)
			f.o.Paths = []string{"/a"}
			d := f.open()
			l := f.create(d, "orders", 3)
			cfg := *l.Config()
			cfg.SegmentBytes = int(5 * one)
			l.SetConfig(&cfg)
			for i := range 10 {
				if _, err := l.AppendLeader(batchAt(1, fmt.Sprint(i)), 0, Client); err != nil {
					t.Fatal(err)
				}
			}
			if l.Segments() != 2 {
				t.Fatalf("%d segments", l.Segments())
			}
			f.close(d)
			if c.crash {
				if err := f.disk.Remove("/a/" + cleanShutdownFile); err != nil {
					t.Fatal(err)
				}
				writes("/a/recovery-point-offset-checkpoint", []byte("0\n0\n"))(t, f.disk)
			}
			if c.damage != nil {
				c.damage(t, f.disk)
			}
			var got []string
			sum, err := Check(t.Context(), f.disk, "/a", 2, func(found Finding) {
				of := "-"
				if found.Topic != "" {
					of = PartitionDirName(found.Topic, found.Partition)
				}
				if found.Problem == "" || strings.Contains(found.Problem, found.File) {
					t.Errorf("the problem is %q", found.Problem)
				}
				got = append(got, fmt.Sprintf("%s %s %s offset %d position %d", found.Severity, of, filepath.Base(found.File), found.Offset, found.Position))
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
			if sum.Partitions != 1 || sum.Segments != 2 {
				t.Errorf("looked at %+v", sum)
			}
			if len(c.want) == 0 && (sum.Batches != 10 || sum.Bytes != 10*one) {
				t.Errorf("looked at %+v", sum)
			}
		})
	}
}

// A directory that a broker uses is left alone; a check that is not wanted any more ends.
func TestCheckRefused(t *testing.T) {
	f := newDirsFixture(t)
	f.o.Paths = []string{"/a"}
	d := f.open()
	put(t, f.create(d, "orders", 0), "x")
	var locked *vfs.LockedError
	if _, err := Check(t.Context(), f.disk, "/a", 1, nil); !errors.As(err, &locked) {
		t.Errorf("a directory in use: %v", err)
	}
	f.close(d)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Check(ended, f.disk, "/a", 1, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a check that was called off: %v", err)
	}
}

func flips(path string, at int64) func(*testing.T, vfs.FS) {
	return func(t *testing.T, fsys vfs.FS) { (&fixture{t: t, fs: fsys}).flip(path, at) }
}

func cuts(path string, size int64) func(*testing.T, vfs.FS) {
	return func(t *testing.T, fsys vfs.FS) {
		if err := updateFile(fsys, path, func(f vfs.File) error { return f.Truncate(size) }); err != nil {
			t.Fatal(err)
		}
	}
}

func writes(path string, b []byte) func(*testing.T, vfs.FS) {
	return func(t *testing.T, fsys vfs.FS) {
		if err := fsys.MkdirAll(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFile(fsys, path, b, false); err != nil {
			t.Fatal(err)
		}
	}
}
