package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	// zstdStreamWindow is the largest window that is decoded as a stream: what levels up to 19 use.
	zstdStreamWindow = 8 << 20
	// zstdBigOutput is the most that a frame with a larger window may hold. Such a frame is decoded at once,
	// because a stream would allocate the window that the frame merely claims to need.
	zstdBigOutput = 128 << 20

	zstdMinLevel = -131072
	zstdMaxLevel = 22
)

// zstdReader reads zstd frames: as a stream as long as the window is small.
type zstdReader struct {
	src bytes.Reader
	z   *zstd.Decoder
	all []byte // output of a frame with a large window, unread part
	big bool
}

func (r *zstdReader) open(payload []byte) error {
	r.big = false
	var head zstd.Header
	if err := head.Decode(payload); err != nil {
		return err
	}
	if !head.Skippable && head.WindowSize > zstdStreamWindow {
		return r.openBig(payload)
	}
	r.src.Reset(payload)
	if r.z == nil {
		z, err := zstd.NewReader(&r.src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdStreamWindow), zstd.WithDecoderMaxMemory(MaxDecompressedBytes))
		if err != nil {
			return err
		}
		r.z = z
		return nil
	}
	return r.z.Reset(&r.src)
}

func (r *zstdReader) openBig(payload []byte) error {
	shared.bigZstd.Lock()
	defer shared.bigZstd.Unlock()
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(zstdBigOutput))
	if err != nil {
		return err
	}
	defer z.Close()
	r.big = true
	r.all, err = z.DecodeAll(payload, nil)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return fmt.Errorf("%w: zstd frame with a large window holds more than %d bytes", ErrTooLarge, zstdBigOutput)
	}
	return err
}

func (r *zstdReader) Read(p []byte) (int, error) {
	if !r.big {
		return r.z.Read(p)
	}
	if len(r.all) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.all)
	r.all = r.all[n:]
	return n, nil
}

func (r *zstdReader) forget() {
	r.src.Reset(nil)
	r.all = nil
}

// appendZstd writes one frame. Levels are those of zstd, -131072 to 22; 0 is
// its default, 3. The library has four, and takes the nearest.
func appendZstd(dst []byte, level int, src []byte) ([]byte, error) {
	if level < zstdMinLevel || level > zstdMaxLevel {
		return dst, fmt.Errorf("zstd level %d is not in %d..%d", level, zstdMinLevel, zstdMaxLevel)
	}
	if level == 0 {
		level = 3
	}
	effort := zstd.EncoderLevelFromZstd(level)
	pool := &shared.zstd[effort]
	w, ok := pool.Get().(*zstd.Encoder)
	if !ok {
		var err error
		w, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(effort),
			zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithWindowSize(zstdStreamWindow/2))
		if err != nil {
			return dst, err
		}
	}
	defer pool.Put(w)
	return w.EncodeAll(src, dst), nil
}
