package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

// countingBudget notes what is held and the most that ever was.
type countingBudget struct{ held, most int }

func (b *countingBudget) Acquire(n int, _ bool) (int, error) { b.Charge(n); return n, nil }
func (b *countingBudget) Charge(n int)                       { b.held += n; b.most = max(b.most, b.held) }
func (b *countingBudget) Release(n int)                      { b.held -= n }

func frame(n int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(n))
	for i := range n {
		b = append(b, byte(i))
	}
	return b
}

func TestFramesAreReadWhole(t *testing.T) {
	var in []byte
	sizes := []int{0, 1, 10, shortAhead, readAhead - 4, readAhead, 700, shortAhead + 1, readAhead + 1, 900, 3000, firstChunk - 1, firstChunk, firstChunk + 1, 3 * firstChunk, 9 * firstChunk, 5}
	for _, n := range sizes {
		in = append(in, frame(n)...)
	}
	for name, r := range map[string]io.Reader{"at once": bytes.NewReader(in), "halves": iotest.HalfReader(bytes.NewReader(in))} {
		var pool Pool
		var budget countingBudget
		fr := NewFrameReader(r, &pool, &budget)
		for _, n := range sizes {
			f, err := fr.Read(1 << 20)
			if err != nil {
				t.Fatalf("%s: frame of %d: %v", name, n, err)
			}
			if !bytes.Equal(f.Bytes, frame(n)[4:]) {
				t.Fatalf("%s: frame of %d has other content", name, n)
			}
			f.Release()
			f.Release()
		}
		if _, err := fr.Read(1 << 20); err != io.EOF {
			t.Fatalf("%s: after the last frame: %v, want io.EOF", name, err)
		}
		if budget.held != 0 {
			t.Fatalf("%s: %d bytes of the budget were not given back", name, budget.held)
		}
	}
}

func TestFrameLengthIsChecked(t *testing.T) {
	for _, size := range []uint32{1<<20 + 1, 1 << 30, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		fr := NewFrameReader(bytes.NewReader(binary.BigEndian.AppendUint32(nil, size)), new(Pool), nil)
		if _, err := fr.Read(1 << 20); !errors.Is(err, ErrFrameSize) {
			t.Errorf("length %d: %v, want ErrFrameSize", int32(size), err)
		}
	}
}

func TestTruncatedFrame(t *testing.T) {
	whole := frame(3 * firstChunk)
	for _, n := range []int{1, 3, 4, 5, firstChunk, firstChunk + 4, firstChunk + 5, len(whole) - 1} {
		var budget countingBudget
		fr := NewFrameReader(bytes.NewReader(whole[:n]), new(Pool), &budget)
		if _, err := fr.Read(1 << 20); !errors.Is(err, ErrFrameTruncated) {
			t.Errorf("%d bytes: %v, want ErrFrameTruncated", n, err)
		}
		if budget.held != 0 {
			t.Errorf("%d bytes: %d bytes of the budget were not given back", n, budget.held)
		}
	}
}

// A peer that announces a lot and sends little holds little.
func TestMemoryGrowsWithWhatArrives(t *testing.T) {
	var budget countingBudget
	in := append(binary.BigEndian.AppendUint32(nil, 100<<20), make([]byte, firstChunk-1)...)
	fr := NewFrameReader(bytes.NewReader(in), new(Pool), &budget)
	if _, err := fr.Read(100 << 20); !errors.Is(err, ErrFrameTruncated) {
		t.Fatal(err)
	}
	if budget.most > firstChunk {
		t.Fatalf("%d bytes were held for a frame of which %d arrived", budget.most, firstChunk-1)
	}
}

func TestPoolClasses(t *testing.T) {
	var p Pool
	for _, n := range []int{0, 1, 511, 512, 513, 640, 641, 1024, 1025, 131_200, 1 << 22, 1<<22 + 1} {
		b := p.Get(n)
		if len(b) != n || n > minClass && n <= maxClass && cap(b) > n*5/4+1 {
			t.Fatalf("Get(%d) has length %d, capacity %d", n, len(b), cap(b))
		}
		p.Put(b)
		if again := p.Get(n); len(again) != n || cap(again) < n {
			t.Fatalf("Get(%d) after Put: length %d, capacity %d", n, len(again), cap(again))
		}
	}
	for n := range maxClass + 1 {
		if c := class(n); classSize(c) < n || c > 0 && classSize(c-1) >= n || c >= classes {
			t.Fatalf("%d bytes in class %d of %d bytes", n, c, classSize(c))
		}
	}
	// A slice that is not of a class's size must come back only where it is long enough.
	p.Put(make([]byte, 0, 1500))
	if b := p.Get(1510); len(b) != 1510 {
		t.Fatal("short slice")
	}
}

// Small frames that come together are read at once, lie in the reader's memory until the next, and may be kept.
func TestBorrowedFrames(t *testing.T) {
	var pool Pool
	reads := 0
	in := append(append(frame(10), frame(20)...), frame(5)[:6]...)
	fr := NewFrameReader(readerFunc(func(p []byte) (int, error) {
		if reads++; reads > 1 {
			return 0, io.EOF
		}
		return copy(p, in), nil
	}), &pool, nil)
	if fr.Whole() {
		t.Fatal("a frame before anything was read")
	}
	if err := fr.Wait(); err != nil {
		t.Fatal(err)
	}
	var first, second Frame
	for i, f := range []*Frame{&first, &second} {
		if !fr.Whole() {
			t.Fatalf("frame %d is not in memory", i)
		}
		if err := fr.Next(f, 100); err != nil || !f.Borrowed() {
			t.Fatalf("frame %d: %v, borrowed %v", i, err, f.Borrowed())
		}
	}
	if reads != 1 || fr.Whole() {
		t.Fatalf("%d reads, and half a frame is taken for a whole one: %v", reads, fr.Whole())
	}
	first.Own()
	clear(fr.buf)
	if !bytes.Equal(first.Bytes, frame(10)[4:]) || first.Borrowed() {
		t.Fatal("Own did not copy")
	}
	if !bytes.Equal(second.Bytes, make([]byte, 20)) {
		t.Fatal("a borrowed frame has memory of its own")
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// pooledReader gives its bytes in pieces, and none the first time.
type pooledReader struct {
	*bytes.Reader
	asked []int
}

func (r *pooledReader) ReadPooled(pool *Pool, size int) ([]byte, int, error) {
	r.asked = append(r.asked, size)
	if r.Len() == 0 {
		return nil, 0, io.EOF
	}
	b := pool.Get(size)
	n, err := r.Read(b)
	return b, n, err
}

// While it waits for a frame the reader has no memory; after a large frame it reads little ahead.
func TestAnIdleReaderHoldsNothing(t *testing.T) {
	in := &pooledReader{Reader: bytes.NewReader(append(append(frame(10), frame(readAhead+1)...), frame(3)...))}
	fr := NewFrameReader(in, new(Pool), nil)
	for range 3 {
		var f Frame
		if err := fr.Next(&f, 1<<20); err != nil {
			t.Fatal(err)
		}
		f.Release()
	}
	if err := fr.Wait(); err != io.EOF {
		t.Fatal(err)
	}
	if fr.buf != nil {
		t.Errorf("%d bytes are held", len(fr.buf))
	}
	if want := []int{readAhead, shortAhead, readAhead}; !slices.Equal(in.asked, want) {
		t.Errorf("read ahead %v, want %v", in.asked, want)
	}
}

func FuzzFrameReader(f *testing.F) {
	f.Add(frame(10))
	f.Add(append(frame(0), frame(3)...))
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		var budget countingBudget
		var r io.Reader = bytes.NewReader(in)
		if len(in)%2 == 1 {
			r = iotest.HalfReader(r)
		}
		fr := NewFrameReader(r, new(Pool), &budget)
		for total := 0; ; {
			fm, err := fr.Read(1 << 24)
			if err != nil {
				break
			}
			if total += 4 + len(fm.Bytes); total > len(in) {
				t.Fatal("more was read than there is")
			}
			fm.Release()
		}
		if budget.held != 0 {
			t.Fatalf("%d bytes were not given back", budget.held)
		}
	})
}

func BenchmarkReadFrame(b *testing.B) {
	for _, n := range []int{100, 16 << 10, 1 << 20} {
		b.Run(sizeName(n), func(b *testing.B) {
			in := bytes.NewReader(frame(n))
			var pool Pool
			fr := NewFrameReader(in, &pool, nil)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				in.Seek(0, io.SeekStart)
				var f Frame
				if err := fr.Next(&f, 1<<24); err != nil {
					b.Fatal(err)
				}
				f.Release()
			}
		})
	}
}

func sizeName(n int) string {
	if n < 1<<10 {
		return "100B"
	}
	if n < 1<<20 {
		return "16KiB"
	}
	return "1MiB"
}

// Frames of a hundred sizes between two powers of two are read into buffers of the larger one, so that few are kept.
func TestFewSizesOfBuffers(t *testing.T) {
	for _, few := range []bool{false, true} {
		var in bytes.Buffer
		for i := range 100 {
			in.Write(frame(200_000 + 500*i))
		}
		in.Write(frame(maxClass + 1))
		var pool Pool
		fr := NewFrameReader(&in, &pool, nil)
		fr.FewSizes = few
		sizes := map[int]bool{}
		for i := range 100 {
			f, err := fr.Read(1 << 30)
			if err != nil || len(f.Bytes) != 200_000+500*i {
				t.Fatalf("frame %d: %v", i, err)
			}
			sizes[cap(f.Bytes)] = true
			f.Release()
		}
		if want := map[bool]int{false: 2, true: 1}[few]; len(sizes) != want {
			t.Errorf("few %v: buffers of %v, want %d", few, sizes, want)
		}
		if f, err := fr.Read(1 << 30); err != nil || len(f.Bytes) != maxClass+1 || cap(f.Bytes) > maxClass+1<<20 {
			t.Errorf("few %v: what the pool does not keep is in a buffer of %d: %v", few, cap(f.Bytes), err)
		}
	}
}
