package journal

import (
	"fmt"

	"gregor/internal/record"
)

// Encode makes the batch of an append. Error: ErrTooLarge.
func Encode(epoch int32, offset, timestampMs int64, values [][]byte) (record.Batch, error) {
	b := record.NewBuilder(record.BuilderOptions{BaseOffset: offset, LeaderEpoch: epoch})
	for _, v := range values {
		b.Append(timestampMs, nil, v)
	}
	if b.Len() > MaxBatchBytes {
		return nil, fmt.Errorf("%w: %d records are %d bytes, over %d", ErrTooLarge, len(values), b.Len(), MaxBatchBytes)
	}
	return b.Build(), nil
}
