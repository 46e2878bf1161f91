package record

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// UpconvertOptions say what the batch that comes out of Upconvert looks like.
type UpconvertOptions struct {
	Codec       Codec
	Level       int  // of compression, 0 for the codec's default
	KeepOffsets bool // keep the offsets, which must rise; otherwise the records are numbered from 0
	LeaderEpoch int32
}

// Upconvert makes one magic-2 batch of a message set of format 0 or 1, whose
// messages may be wrappers around compressed sets. Checksums are checked.
// Records of format 0 get no timestamp (-1).
//
// Nothing that arrives over the network needs it. Apache Kafka 4 serves Produce
// from version 3 on, and from that version on a partition's data is exactly one
// batch of magic 2, else the answer is INVALID_RECORD (KIP-98, KIP-896). It is
// for directories that an older broker wrote. Apache Kafka 4 still reads such
// segments and hands them to consumers as they are (KIP-724 dropped the writing
// of them and the conversion down to them).
//
// Errors: ErrCorrupt, ErrTruncated, ErrUnsupportedCodec, ErrInvalidRecord
// (offsets that do not rise or lie too far apart, no message at all), ErrTooLarge.
func Upconvert(messageSet []byte, o UpconvertOptions) (Batch, error) {
	if !o.Codec.Valid() {
		return nil, unsupported(o.Codec)
	}
	var b *Builder
	var base, last int64
	for rest := messageSet; ; {
		m, next, err := NextMessage(rest)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := m.CheckCRC(); err != nil {
			return nil, err
		}
		rest = next
		for r, err := range m.Records() {
			if err != nil {
				return nil, err
			}
			switch {
			case !o.KeepOffsets:
				r.Offset = last + 1
				if b == nil {
					r.Offset = 0
				}
			case b != nil && (r.Offset <= last || r.Offset-base > math.MaxInt32):
				return nil, invalidf("offset %d after %d in a set that begins at %d", r.Offset, last, base)
			}
			if b == nil {
				base = r.Offset
				b = NewBuilder(BuilderOptions{BaseOffset: base, LeaderEpoch: o.LeaderEpoch, Codec: o.Codec, Level: o.Level})
			}
			last = r.Offset
			b.AppendRecord(r)
			if b.Len() > 2*maxMessageSetBytes {
				return nil, fmt.Errorf("%w: a message set of more than %d bytes", ErrTooLarge, 2*maxMessageSetBytes)
			}
		}
	}
	if b == nil {
		return nil, invalidf("no message in the set")
	}
	return b.Build(), nil
}
