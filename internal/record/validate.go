package record

import (
	"errors"
	"fmt"
	"strings"
)

// Rules are what a topic demands of the batches that are appended to it.
type Rules struct {
	Compacted     bool  // cleanup.policy has compact: every record needs a key
	LogAppendTime bool  // message.timestamp.type: the producer's timestamps do not matter
	NowMs         int64 // the clock that the two limits below are measured from
	BeforeMaxMs   int64 // message.timestamp.before.max.ms
	AfterMaxMs    int64 // message.timestamp.after.max.ms
	MaxBytes      int   // max.message.bytes, 0 for no limit
	Trusted       bool  // the broker itself made the batch: control records and offset gaps are allowed

	Topic     string // whose batches they are, for what a client is told
	Partition int32
}

// RecordError is what is wrong with one record of a refused batch (KIP-467).
type RecordError struct {
	Index  int32 // of the record in its batch
	Reason string
	Err    error // ErrInvalidRecord or ErrInvalidTimestamp
}

// RecordErrors refuses a batch because of some of its records. It wraps
// ErrInvalidTimestamp if one of them has that error, else ErrInvalidRecord.
type RecordErrors struct {
	Records []RecordError // the first maxRecordErrors of them
	Total   int
}

const maxRecordErrors = 100

func (e *RecordErrors) Error() string {
	if errors.Is(e, ErrInvalidTimestamp) {
		return "One or more records have been rejected due to invalid timestamp"
	}
	var first []string
	for _, r := range e.Records[:min(3, len(e.Records))] {
		first = append(first, fmt.Sprintf("RecordError(batchIndex=%d, message='%s')", r.Index, r.Reason))
	}
	return fmt.Sprintf("One or more records have been rejected due to %d record errors in total, and only showing the first three errors at most: [%s]",
		e.Total, strings.Join(first, ", "))
}

// Unwrap makes errors.Is work.
func (e *RecordErrors) Unwrap() error {
	for _, r := range e.Records {
		if errors.Is(r.Err, ErrInvalidTimestamp) {
			return ErrInvalidTimestamp
		}
	}
	return ErrInvalidRecord
}

// ValidateProduced checks everything that a broker checks in one batch before
// it assigns offsets, and puts right the one thing that a broker puts right:
// the timestamp type and the maximum timestamp in the header, which become
// those of the records (of NowMs with Rules.LogAppendTime). It changes nothing
// else, and nothing at all in a batch that it refuses.
//
// Errors: ErrTooLarge, ErrCorrupt (checksum, payload), ErrUnsupportedCodec,
// ErrInvalidRecord (counts, offsets, sequence, control records of a client),
// and *RecordErrors, which names the records at fault.
//
// A produce request of version 3 or later may hold only one batch for a
// partition, and only magic 2. Apache Kafka 4 serves no older version
// (KIP-896), so no message of format 0 or 1 arrives over the network any more;
// the handler of Produce answers one with INVALID_RECORD.
func ValidateProduced(b Batch, rules Rules) error {
	if rules.MaxBytes > 0 && len(b) > rules.MaxBytes {
		return fmt.Errorf("%w: the batch has %d bytes, the limit is %d", ErrTooLarge, len(b), rules.MaxBytes)
	}
	if err := b.CheckCRC(); err != nil {
		return err
	}
	if err := b.validateHeader(rules.Trusted); err != nil {
		return err
	}
	maxTimestamp, err := b.validateRecords(rules)
	if err != nil {
		return err
	}
	switch {
	case b.IsControl():
	case rules.LogAppendTime:
		b.SetLogAppendTime(rules.NowMs)
	case b.HasLogAppendTime() || b.MaxTimestamp() != maxTimestamp:
		b.SetMaxTimestamp(maxTimestamp)
	}
	return nil
}

func (b Batch) validateHeader(trusted bool) error {
	if !b.Codec().Valid() {
		return unsupported(b.Codec())
	}
	count, last := b.NumRecords(), b.LastOffsetDelta()
	if last < 0 {
		return invalidf("batch has an invalid offset range: [%d, %d]", b.BaseOffset(), b.LastOffset())
	}
	if count <= 0 {
		return invalidf("invalid reported count for record batch: %d", count)
	}
	if trusted {
		return nil
	}
	if int64(count) != int64(last)+1 {
		return invalidf("inconsistent batch offset range [%d, %d] and count of records %d", b.BaseOffset(), b.LastOffset(), count)
	}
	if b.IsControl() {
		return invalidf("clients are not allowed to write control records")
	}
	if b.HasProducerID() && b.BaseSequence() < 0 {
		return invalidf("invalid sequence number %d in record batch with producerId %d", b.BaseSequence(), b.ProducerID())
	}
	if b.IsTransactional() && !b.HasProducerID() {
		return invalidf("transactional batch without a producer id")
	}
	return nil
}

// validateRecords reads every record and returns their largest timestamp.
func (b Batch) validateRecords(rules Rules) (int64, error) {
	s, err := openSource(b.Codec(), b.Payload(), MaxDecompressedBytes)
	if err != nil {
		return 0, b.at(err)
	}
	defer s.close()
	var (
		bad          *RecordErrors
		n            = b.NumRecords()
		base         = b.BaseTimestamp()
		maxTimestamp = NoTimestamp
	)
	for i := int32(0); i < n; i++ {
		o, err := nextOutline(&s)
		if err != nil {
			return 0, b.at(fmt.Errorf("record %d of %d: %w", i, n, err))
		}
		if !rules.Trusted && o.offsetDelta != int64(i) {
			return 0, b.at(invalidf("record %d has offset delta %d", i, o.offsetDelta))
		}
		timestamp := base + o.timestampDelta
		maxTimestamp = max(maxTimestamp, timestamp)
		if rules.Compacted && !o.hasKey {
			bad = bad.with(i, ErrInvalidRecord, fmt.Sprintf("Compacted topic cannot accept message without key in topic partition %s-%d", rules.Topic, rules.Partition))
		} else if !b.IsControl() && !rules.timestampFits(timestamp) {
			bad = bad.with(i, ErrInvalidTimestamp, fmt.Sprintf("Timestamp %d of message with offset %d is out of range. The timestamp should be within [%d, %d]",
				timestamp, b.BaseOffset()+int64(i), rules.NowMs-rules.BeforeMaxMs, rules.NowMs+rules.AfterMaxMs))
		}
	}
	if err := b.checkEnd(&s); err != nil {
		return 0, b.at(err)
	}
	if bad != nil {
		return 0, bad
	}
	return maxTimestamp, nil
}

// with adds a record to e, which is nil before the first.
func (e *RecordErrors) with(index int32, err error, reason string) *RecordErrors {
	if e == nil {
		e = &RecordErrors{}
	}
	e.Total++
	if len(e.Records) < maxRecordErrors {
		e.Records = append(e.Records, RecordError{index, reason, err})
	}
	return e
}

// timestampFits compares without overflow: both limits default to 2^63-1.
func (r *Rules) timestampFits(ts int64) bool {
	if r.LogAppendTime || ts == NoTimestamp {
		return true
	}
	if ts < r.NowMs {
		return uint64(r.NowMs)-uint64(ts) <= uint64(r.BeforeMaxMs)
	}
	return uint64(ts)-uint64(r.NowMs) <= uint64(r.AfterMaxMs)
}
