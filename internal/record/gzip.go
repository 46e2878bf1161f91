package record

import (
	"bytes"
	"fmt"

	"github.com/klauspost/compress/gzip"
)

// gzipReader reads one or several gzip members, as Java's GZIPInputStream does.
type gzipReader struct {
	src bytes.Reader
	z   gzip.Reader
}

func (g *gzipReader) open(payload []byte) error {
	g.src.Reset(payload)
	return g.z.Reset(&g.src)
}

func (g *gzipReader) Read(p []byte) (int, error) { return g.z.Read(p) }

func (g *gzipReader) forget() { g.src.Reset(nil) }

// appendGzip writes one member. Levels are 1 to 9; 0 and -1 are zlib's default of 6.
func appendGzip(dst []byte, level int, src []byte) ([]byte, error) {
	if level == 0 {
		level = gzip.DefaultCompression
	}
	if level < gzip.DefaultCompression || level > gzip.BestCompression {
		return dst, fmt.Errorf("gzip level %d is not in 1..9", level)
	}
	out := appender{dst}
	pool := &shared.gzip[level+1]
	w, ok := pool.Get().(*gzip.Writer)
	if ok {
		w.Reset(&out)
	} else {
		w, _ = gzip.NewWriterLevel(&out, level)
	}
	defer func() {
		w.Reset(nil)
		pool.Put(w)
	}()
	if _, err := w.Write(src); err != nil {
		return dst, err
	}
	if err := w.Close(); err != nil {
		return dst, err
	}
	return out.b, nil
}
