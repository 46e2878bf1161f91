package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// flip changes one byte of a file.
func (f *fixture) flip(path string, at int64) {
	f.t.Helper()
	err := updateFile(f.fs, path, func(file vfs.File) error {
		var b [1]byte
		if _, err := file.ReadAt(b[:], at); err != nil {
			return err
		}
		b[0] ^= 0x55
		_, err := file.WriteAt(b[:], at)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// TestDamage flips one byte of a log of ten batches in two segments, and opens it as after a kill, or a power failure.
func TestDamage(t *testing.T) {
	size := int64(len(batch("0")))
	const first, second = "/data/t-0/00000000000000000000.log", "/data/t-0/00000000000000000005.log"
	for _, c := range []struct {
		name          string
		path          string
		at            int64
		recoveryPoint int64
		sameBoot      bool
		end           int64  // -1: refused
		message       string // part of the refusal
	}{
		{"last batch", second, 4*size + 65, 0, true, 9, ""},
		{"last batch, power", second, 4*size + 65, 0, false, 9, ""},
		{"last batch, flushed", second, 4*size + 65, 10, true, -1, "data flushed before the crash is damaged"},
		{"last batch, flushed, power", second, 4*size + 65, 10, false, -1, "data flushed before the crash is damaged"},
		{"length of the last batch", second, 4*size + 8, 0, true, 9, ""},
		{"magic of the last batch", second, 4*size + 16, 0, true, 9, ""},
		{"middle", second, 2*size + 65, 0, true, -1, "intact records follow from offset 8 at position"},
		{"middle, power", second, 2*size + 65, 0, false, 7, ""},
		{"length in the middle", second, 2*size + 11, 0, true, -1, "intact records follow from offset 8"},
		{"end of the first segment", first, 4*size + 65, 0, true, -1, "a later segment"},
		{"end of the first segment, power", first, 4*size + 65, 0, false, 4, ""},
		{"first segment, flushed and not read", first, size + 65, 5, true, 10, ""},
		{"base offset in the middle", second, 2*size + 5, 0, true, -1, "after offset"},
		{"base offset in the middle, power", second, 2*size + 5, 0, false, -1, "after offset"},
		{"base offset of the last batch of a segment", first, 4*size + 5, 0, true, -1, "the one before reaches to"},
		{"leader epoch in the middle", second, 2*size + 14, 0, true, -1, "leader epoch 0 after epoch"},
		{"header in the segment with the recovery point", second, 1*size + 16, 8, true, -1, "data flushed before"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			l := f.open()
			for i := range 10 {
				if i == 5 {
					if err := l.Roll(); err != nil {
						t.Fatal(err)
					}
				}
				f.append(l, batch(fmt.Sprint(i)))
			}
			f.flip(c.path, c.at)
			f.opts.RecoveryPoint, f.opts.SameBoot = c.recoveryPoint, c.sameBoot
			l, err := Open(f.opts)
			if c.end < 0 {
				expectError(t, err, ErrCorrupt)
				if d, found := DamageOf(err); !found || d.File != c.path || c.at < d.Position || c.at >= d.End {
					t.Errorf("the damage is found at %+v", d)
				}
				for _, part := range []string{c.message, c.path, "position"} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q is not in %q", part, err)
					}
				}
				info, err := f.fs.Stat(c.path)
				if err != nil || info.Size() != 5*size {
					t.Fatalf("the file was changed: %v, %v", info, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if l.EndOffset() != c.end {
				t.Fatalf("end %d, want %d", l.EndOffset(), c.end)
			}
			f.append(l, batch("after"))
			f.expect(l, c.end, fmt.Sprint(c.end, ":after"))
		})
	}
}

// TestIndexesAreRebuilt loses or damages the index files of a sealed segment.
func TestIndexesAreRebuilt(t *testing.T) {
	for _, suffix := range []string{indexSuffix, timeIndexSuffix} {
		for _, damage := range []string{"missing", "nonsense", "odd size", "longer than the segment"} {
			t.Run(suffix+" "+damage, func(t *testing.T) {
				f := newFixture(t)
				f.opts.Config.IndexIntervalBytes = 1
				l := f.rolled(3)
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				path := segmentPath("/data/t-0", 2, suffix)
				good, err := readFile(f.fs, path)
				if err != nil {
					t.Fatal(err)
				}
				bad := map[string][]byte{"nonsense": []byte("nonsense and nonsense and nonsense and so on."[:24]), "odd size": good[:len(good)-1],
					"longer than the segment": {0, 0, 0, 1, 0, 0, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}}[damage]
				if damage == "missing" {
					err = f.fs.Remove(path)
				} else {
					err = vfs.WriteFile(f.fs, path, bad, true)
				}
				if err != nil {
					t.Fatal(err)
				}
				f.opts.CleanShutdown = true
				l = f.open()
				f.expect(l, 3, "3:3", "4:4", "5:5")
				if offset, _, _, err := l.OffsetForTimestamp(testEpochMs + 60_000); err != nil || offset != 2 {
					t.Fatal(offset, err)
				}
				if damage != "longer than the segment" || suffix == indexSuffix {
					if again, err := readFile(f.fs, path); err != nil || string(again) != string(good) {
						t.Fatalf("%x, %v; want %x", again, err, good)
					}
				}
			})
		}
	}
}

func TestOrphansAndLeftovers(t *testing.T) {
	f := newFixture(t)
	l := f.rolled(2)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00000000000000000007.index", "00000000000000000000.log.deleted", "00000000000000000001.log.cleaned", "leader-epoch-checkpoint.tmp", "00000000000000000001.snapshot"} {
		if err := vfs.WriteFile(f.fs, "/data/t-0/"+name, nil, true); err != nil {
			t.Fatal(err)
		}
	}
	f.opts.CleanShutdown = true
	f.open()
	names, err := f.fs.ReadDir("/data/t-0")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range names {
		got = append(got, e.Name())
	}
	want := "00000000000000000000.index 00000000000000000000.log 00000000000000000000.timeindex " +
		"00000000000000000002.index 00000000000000000002.log 00000000000000000002.snapshot 00000000000000000002.timeindex " +
		"00000000000000000004.snapshot leader-epoch-checkpoint"
	if strings.Join(got, " ") != want {
		t.Fatalf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}

// TestInterruptedCompaction finds what Kafka's cleaner leaves when it is ended between writing its result and putting
// it in place.
func TestInterruptedCompaction(t *testing.T) {
	f := newFixture(t)
	l := f.rolled(3)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// Segments 0 and 2 were cleaned into one, which kept offset 3 only.
	kept := batch("3")
	kept.SetBaseOffset(3)
	kept.SetLeaderEpoch(0)
	if err := vfs.WriteFile(f.fs, "/data/t-0/00000000000000000000.log.swap", kept, true); err != nil {
		t.Fatal(err)
	}
	f.opts.CleanShutdown = true
	l = f.open()
	f.expect(l, 0, "3:3", "4:4", "5:5")
	f.expect(l, 2, "3:3", "4:4", "5:5")
}

func TestPartitionMetadata(t *testing.T) {
	f := newFixture(t)
	f.opts.TopicID = [16]byte{1, 2, 3}
	if err := f.open().Close(); err != nil {
		t.Fatal(err)
	}
	b, err := readFile(f.fs, "/data/t-0/partition.metadata")
	if err != nil || string(b) != "version: 0\ntopic_id: AQIDAAAAAAAAAAAAAAAAAA" {
		t.Fatalf("%q %v", b, err)
	}
	f.opts.TopicID = [16]byte{}
	if id := f.open().TopicID(); id != [16]byte{1, 2, 3} {
		t.Fatal(id)
	}
	f.opts.TopicID = [16]byte{4}
	_, err = Open(f.opts)
	expectError(t, err, ErrInconsistent)
}

// A message of an old format is refused and left as it is, even one that is shorter than a batch's header; what a torn
// write left, with zeros from the magic on, is cut off.
func TestOldFormatIsNotATornTail(t *testing.T) {
	old := binary.BigEndian.AppendUint64(nil, 0)
	body := []byte{0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 'x'} // magic, attributes, null key, value
	old = binary.BigEndian.AppendUint32(old, uint32(4+len(body)))
	old = binary.BigEndian.AppendUint32(old, crc32.ChecksumIEEE(body))
	old = append(old, body...)
	torn := append(bytes.Clone(batch("a")[:16]), make([]byte, 200)...)

	for name, c := range map[string]struct {
		content []byte
		want    error
	}{
		"old message":         {old, record.ErrOldMagic},
		"many old messages":   {bytes.Repeat(old, 9), record.ErrOldMagic},
		"torn before a magic": {torn, nil},
		"torn old message":    {old[:len(old)-1], nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if err := f.fs.MkdirAll(f.opts.Dir); err != nil {
				t.Fatal(err)
			}
			path := segmentPath(f.opts.Dir, 0, logSuffix)
			if err := vfs.WriteFile(f.fs, path, c.content, true); err != nil {
				t.Fatal(err)
			}
			l, err := Open(f.opts)
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if l != nil && err == nil {
				defer l.Close()
			}
			left, err := readFile(f.fs, path)
			if err != nil {
				t.Fatal(err)
			}
			if c.want != nil && !bytes.Equal(left, c.content) || c.want == nil && len(left) != 0 {
				t.Errorf("%d of %d bytes are left", len(left), len(c.content))
			}
		})
	}
}
