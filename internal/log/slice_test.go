package log

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// socketPair is the two ends of a TCP connection.
func socketPair(t testing.TB) (a, b net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// diskLog opens a log in a directory of the operating system.
func diskLog(t testing.TB) (*fixture, *Log) {
	f := newFixture(t)
	f.fs, f.opts.FS, f.opts.Dir = vfs.OS{}, vfs.OS{}, t.TempDir()+"/t-0"
	l := f.open()
	t.Cleanup(func() { l.Close() })
	return f, l
}

// onlyWriter hides that a connection is more than a writer, as TLS does.
type onlyWriter struct{ io.Writer }

// TestSliceToSocket sends slices of one segment to two sockets at once, with sendfile and without: the file is shared,
// so nobody may move its position.
func TestSliceToSocket(t *testing.T) {
	f, l := diskLog(t)
	values := make([]string, 64)
	for i := range values {
		values[i] = string(bytes.Repeat([]byte{byte('a' + i%26)}, 4096))
	}
	for range 16 {
		f.append(l, batch(values...))
	}
	var wg sync.WaitGroup
	for i := range 4 {
		s, err := l.Read(int64(i)*64, 16*64, 1<<30, true)
		if err != nil {
			t.Fatal(err)
		}
		want, err := s.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if s.Len() != len(want) || s.Len() < 12*64*4096 {
			t.Fatal(s.Len(), len(want))
		}
		from, to := socketPair(t)
		wg.Go(func() {
			defer s.Close()
			w := io.Writer(from)
			if i%2 == 1 {
				w = onlyWriter{from}
			}
			if n, err := s.WriteTo(w); err != nil || n != int64(s.Len()) {
				t.Error(n, err)
			}
		})
		wg.Go(func() {
			got := make([]byte, len(want))
			if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, want) {
				t.Error("other bytes arrived", err)
			}
		})
	}
	wg.Wait()
}

func TestSliceOfTruncatedLog(t *testing.T) {
	f, l := diskLog(t)
	f.append(l, batch("a"))
	f.append(l, batch("b"))
	s, err := l.Read(0, 2, 1000, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := l.TruncateTo(1); err != nil {
		t.Fatal(err)
	}
	from, _ := socketPair(t)
	for _, w := range []io.Writer{from, io.Discard} {
		if n, err := s.WriteTo(w); !errors.Is(err, io.ErrUnexpectedEOF) || n != int64(len(batch("a"))) {
			t.Fatal(n, err)
		}
	}
	if _, err := s.Bytes(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
}

func TestSliceToClosedSocket(t *testing.T) {
	f, l := diskLog(t)
	f.append(l, batch(string(make([]byte, 900_000))))
	s, err := l.Read(0, 1, 1000, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	from, to := socketPair(t)
	to.Close()
	var n int64
	for err = nil; err == nil; n++ { // until the reset is seen
		_, err = s.WriteTo(from)
	}
	if n == 0 || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(n, err)
	}
}

// TestFilesAreReleased counts what is open after everything was closed.
func TestFilesAreReleased(t *testing.T) {
	f := newFixture(t)
	open := map[string]int{}
	f.fs = &countingFS{f.fs, open}
	f.opts.FS = f.fs
	f.opts.Config.RetentionMs = 0
	l := f.rolled(3)
	s, err := l.Read(0, 6, 100, true)
	if err != nil {
		t.Fatal(err)
	}
	l.SetHighWatermark(6)
	if _, err := l.DeleteOldSegments(); err != nil {
		t.Fatal(err)
	}
	if n := open["/data/t-0/00000000000000000000.log"]; n != 1 {
		t.Fatal("a slice does not keep its file", open)
	}
	s.Close()
	s.Close()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, n := range open {
		if n != 0 {
			t.Errorf("%s: %d", name, n)
		}
	}
}

// countingFS counts open files.
type countingFS struct {
	vfs.FS
	open map[string]int
}

type countedFile struct {
	vfs.File
	fs *countingFS
}

func (c *countingFS) count(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	c.open[f.Name()]++
	return &countedFile{f, c}, nil
}

func (c *countingFS) Open(name string) (vfs.File, error)      { return c.count(c.FS.Open(name)) }
func (c *countingFS) OpenWrite(name string) (vfs.File, error) { return c.count(c.FS.OpenWrite(name)) }
func (c *countingFS) Reopen(name string) (vfs.File, error)    { return c.count(c.FS.Reopen(name)) }
func (c *countingFS) Create(name string) (vfs.File, error)    { return c.count(c.FS.Create(name)) }

func (f *countedFile) Close() error {
	f.fs.open[f.Name()]--
	return f.File.Close()
}

// TestConcurrentReaders reads up to the end while another goroutine appends and rolls. Every read is whole, in order,
// and below the limit it asked for.
// An append publishes the size of the segment before the end of the log. A read in between keeps to its limit.
func TestReadDuringPublication(t *testing.T) {
	f := newFixture(t)
	l := f.open()
	defer l.Close()
	f.append(l, batch("a"))
	f.append(l, batch("b"))
	l.end.Store(1)
	s, err := l.Read(0, 1, 1<<20, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	buf, err := s.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if b, rest, err := record.Next(buf); err != nil || b.NextOffset() != 1 || len(rest) > 0 {
		t.Errorf("%d bytes lie behind the limit, %v", len(rest), err)
	}
	l.end.Store(2)
}

func TestConcurrentReaders(t *testing.T) {
	f := newFixture(t)
	f.opts.Config.SegmentBytes = 5000
	f.opts.Config.IndexIntervalBytes = 300
	l := f.open()
	const n = 3000
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for from := int64(0); from < n; {
				limit := l.EndOffset()
				s, err := l.Read(from, limit, 700, true)
				if err != nil {
					t.Error(err)
					return
				}
				if s.Len() == 0 {
					if from < limit {
						t.Errorf("nothing from %d to %d", from, limit)
						return
					}
					continue
				}
				buf, err := s.Bytes()
				s.Close()
				if err != nil {
					t.Error(err)
					return
				}
				next, err := checkRun(buf, from)
				if err != nil || next > limit {
					t.Errorf("from %d to %d: %d, %v", from, limit, next, err)
					return
				}
				from = next
			}
		})
	}
	for range n {
		f.append(l, batch("some value"))
	}
	wg.Wait()
}
