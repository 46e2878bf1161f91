package record

import (
	"errors"
	"fmt"
)

var (
	// ErrTruncated says that the bytes end inside a batch: a torn tail, or a read that stopped early.
	ErrTruncated = errors.New("record batch is incomplete")
	// ErrCorrupt says that the bytes cannot be a batch, or that the checksum does not fit them.
	ErrCorrupt = errors.New("record batch is corrupt")
	// ErrOldMagic says that the bytes are a message set of format 0 or 1; see Upconvert.
	ErrOldMagic = errors.New("message format older than magic 2")
	// ErrUnsupportedCodec says that the attributes name a compression codec nobody defined, or one not allowed here.
	ErrUnsupportedCodec = errors.New("unsupported compression codec")
	// ErrTooLarge says that a batch, a record or a decompressed payload exceeds its limit.
	ErrTooLarge = errors.New("record batch is too large")
	// ErrInvalidTimestamp says that a record's timestamp lies outside the range its topic allows.
	ErrInvalidTimestamp = errors.New("timestamp out of range")
	// ErrInvalidRecord says that the batch is intact but its content breaks a rule (counts, offsets, keys, sequences).
	ErrInvalidRecord = errors.New("invalid record")
)

func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalidRecord}, args...)...)
}
