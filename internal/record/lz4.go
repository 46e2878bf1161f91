package record

import (
	"bytes"
	"fmt"

	"github.com/pierrec/lz4/v4"
)

// lz4Reader reads an LZ4 frame.
type lz4Reader struct {
	src bytes.Reader
	z   *lz4.Reader
}

func (l *lz4Reader) open(payload []byte) error {
	l.src.Reset(payload)
	if l.z == nil {
		l.z = lz4.NewReader(&l.src)
	} else {
		l.z.Reset(&l.src)
	}
	return nil
}

func (l *lz4Reader) Read(p []byte) (int, error) { return l.z.Read(p) }

func (l *lz4Reader) forget() { l.src.Reset(nil) }

const (
	lz4MaxLevel     = 17
	lz4DefaultLevel = 9
)

// appendLZ4 writes one frame as Kafka's Java client does: independent blocks
// of 64 KB, no content checksum. Levels are 1 to 17; as in Kafka, 9 is the
// default and means the fast compressor. The library knows nine levels of its
// high compressor, so those above count as the ninth.
func appendLZ4(dst []byte, level int, src []byte) ([]byte, error) {
	if level < 0 || level > lz4MaxLevel {
		return dst, fmt.Errorf("lz4 level %d is not in 1..%d", level, lz4MaxLevel)
	}
	effort := lz4.Fast
	if level != 0 && level != lz4DefaultLevel {
		effort = lz4.CompressionLevel(1 << (8 + min(level, 9)))
	}
	out := appender{dst}
	w, ok := shared.lz4.Get().(*lz4.Writer)
	if ok {
		w.Reset(&out)
	} else {
		w = lz4.NewWriter(&out)
	}
	defer func() {
		w.Reset(nil)
		shared.lz4.Put(w)
	}()
	if err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.CompressionLevelOption(effort)); err != nil {
		return dst, err
	}
	if _, err := w.Write(src); err != nil {
		return dst, err
	}
	if err := w.Close(); err != nil {
		return dst, err
	}
	return out.b, nil
}
