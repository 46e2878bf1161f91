package record

import (
	"errors"
	"io"
	"sync"
)

// A decompressor is a reader with large tables, worth keeping between batches.
type decompressor interface {
	io.Reader
	// open starts on a new payload.
	open(payload []byte) error
	// forget drops every reference to the payload.
	forget()
}

// shared keeps codec state and buffers that no one uses at the moment. It is
// the one package-level variable: sync.Pool holds nothing that can be
// observed, the garbage collector may empty it at any time, and two nodes in
// one process cannot tell that they share it.
var shared struct {
	readers [len(codecNames)]sync.Pool // decompressor
	scratch sync.Pool                  // *[]byte, what a source reads into
	gzip    [11]sync.Pool              // *gzip.Writer by level+1
	lz4     sync.Pool                  // *lz4.Writer
	zstd    [5]sync.Pool               // *zstd.Encoder by zstd.EncoderLevel
	bigZstd sync.Mutex                 // one frame with a large window is opened at a time
}

const (
	scratchSize     = 64 << 10
	scratchKeepSize = 1 << 20 // larger ones grew for one huge record and go back to the collector
)

func getScratch() *[]byte {
	if p, ok := shared.scratch.Get().(*[]byte); ok {
		return p
	}
	b := make([]byte, scratchSize)
	return &b
}

func putScratch(p *[]byte) {
	if cap(*p) <= scratchKeepSize {
		shared.scratch.Put(p)
	}
}

// openPayload gives a reader of the decompressed bytes; hand it to closePayload in the end.
func openPayload(c Codec, payload []byte) (decompressor, error) {
	if c <= None || !c.Valid() {
		return nil, unsupported(c)
	}
	d, ok := shared.readers[c].Get().(decompressor)
	if !ok {
		switch c {
		case Gzip:
			d = new(gzipReader)
		case Snappy:
			d = new(snappyReader)
		case LZ4:
			d = new(lz4Reader)
		case Zstd:
			d = new(zstdReader)
		}
	}
	if err := d.open(payload); err != nil {
		closePayload(c, d)
		return nil, decompressError(c, err)
	}
	return d, nil
}

func closePayload(c Codec, d decompressor) {
	d.forget()
	shared.readers[c].Put(d)
}

// compress appends the compressed form of src to dst. Level 0 is the codec's
// default; other levels are those of Kafka's compression.<codec>.level.
func compress(dst []byte, c Codec, level int, src []byte) ([]byte, error) {
	switch c {
	case None:
		return append(dst, src...), nil
	case Gzip:
		return appendGzip(dst, level, src)
	case Snappy:
		return appendXerial(dst, src), nil
	case LZ4:
		return appendLZ4(dst, level, src)
	case Zstd:
		return appendZstd(dst, level, src)
	}
	return dst, unsupported(c)
}

func unsupported(c Codec) error {
	return errors.Join(ErrUnsupportedCodec, corruptf("codec %s", c))
}

func decompressError(c Codec, err error) error {
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTooLarge) {
		return err
	}
	return corruptf("%s payload: %v", c, err)
}

// appender is an io.Writer over an append.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}
