package broker

import (
	"context"
	"errors"

	"gregor/internal/controller"
	"gregor/internal/log"
	"gregor/internal/record"
	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kerr"
)

// refused is a Kafka error with a text for the client.
type refused struct {
	kafka *kerr.Error
	text  string
}

func (r refused) Error() string { return r.text }
func (r refused) Unwrap() error { return r.kafka }

// kafkaErrors maps the errors of the parts below to Kafka's. It is the only place that does. The first match counts.
var kafkaErrors = []struct {
	err   error
	kafka *kerr.Error
	// tell says that a client is helped by the text of the error: it is about the client's own data.
	tell bool
}{
	{err: replica.ErrUnknownPartition, kafka: kerr.UnknownTopicOrPartition},
	{err: replica.ErrUnknownTopicID, kafka: kerr.UnknownTopicID},
	{err: replica.ErrNotLeader, kafka: kerr.NotLeaderForPartition},
	{err: replica.ErrFencedEpoch, kafka: kerr.FencedLeaderEpoch},
	{err: replica.ErrUnknownEpoch, kafka: kerr.UnknownLeaderEpoch},
	{err: replica.ErrNotEnoughReplicas, kafka: kerr.NotEnoughReplicas},
	{err: replica.ErrNotEnoughReplicasAfterAppend, kafka: kerr.NotEnoughReplicasAfterAppend},
	{err: replica.ErrStorage, kafka: kerr.KafkaStorageError},
	{err: replica.ErrOffsetNotAvailable, kafka: kerr.OffsetNotAvailable},
	{err: replica.ErrPolicy, kafka: kerr.PolicyViolation},
	{err: log.ErrOffsetOutOfRange, kafka: kerr.OffsetOutOfRange},
	{err: log.ErrDirOffline, kafka: kerr.KafkaStorageError},
	{err: log.ErrNoSpace, kafka: kerr.KafkaStorageError},
	{err: log.ErrTooManyFiles, kafka: kerr.KafkaStorageError},
	{err: log.ErrClosed, kafka: kerr.NotLeaderForPartition},
	{err: log.ErrTooLargeForSegment, kafka: kerr.RecordListTooLarge, tell: true},
	{err: log.ErrTooLarge, kafka: kerr.MessageTooLarge, tell: true},
	{err: log.ErrInvalidTimestamp, kafka: kerr.InvalidTimestamp, tell: true},
	{err: log.ErrOutOfOrderSequence, kafka: kerr.OutOfOrderSequenceNumber},
	{err: log.ErrDuplicateSequence, kafka: kerr.DuplicateSequenceNumber},
	{err: log.ErrInvalidProducerEpoch, kafka: kerr.InvalidProducerEpoch},
	{err: log.ErrUnknownProducer, kafka: kerr.UnknownProducerID},
	{err: log.ErrInvalidTxnState, kafka: kerr.InvalidTxnState, tell: true},
	{err: log.ErrCoordinatorFenced, kafka: kerr.TransactionCoordinatorFenced},
	{err: record.ErrUnsupportedCodec, kafka: kerr.UnsupportedCompressionType, tell: true},
	{err: record.ErrOldMagic, kafka: kerr.UnsupportedForMessageFormat, tell: true},
	{err: record.ErrInvalidTimestamp, kafka: kerr.InvalidTimestamp, tell: true},
	{err: log.ErrInvalidRecord, kafka: kerr.InvalidRecord, tell: true},
	{err: record.ErrInvalidRecord, kafka: kerr.InvalidRecord, tell: true},
	{err: log.ErrUnsupported, kafka: kerr.UnsupportedForMessageFormat, tell: true},
	{err: record.ErrTooLarge, kafka: kerr.MessageTooLarge, tell: true},
	// Clients go on asking with this one. A Java consumer ends with CORRUPT_MESSAGE.
	{err: log.ErrDamaged, kafka: kerr.KafkaStorageError},
	{err: log.ErrCorrupt, kafka: kerr.CorruptMessage},
	{err: record.ErrCorrupt, kafka: kerr.CorruptMessage},
	{err: record.ErrTruncated, kafka: kerr.CorruptMessage},
	{err: log.ErrNotFound, kafka: kerr.UnknownTopicOrPartition},
	{err: context.DeadlineExceeded, kafka: kerr.RequestTimedOut},
}

// errorCode is the Kafka error code of an error, 0 for nil, UNKNOWN_SERVER_ERROR for one that nobody has mapped.
func errorCode(err error) int16 {
	code, _ := errorOf(err)
	return code
}

// errorOf also returns the message that a client should see; nil for none.
func errorOf(err error) (code int16, message *string) {
	if err == nil {
		return 0, nil
	}
	if k := (*kerr.Error)(nil); errors.As(err, &k) {
		if text := controller.ClipText(err.Error()); text != k.Error() {
			return k.Code, &text
		}
		return k.Code, nil
	}
	for i := range kafkaErrors {
		if e := &kafkaErrors[i]; errors.Is(err, e.err) {
			if e.tell {
				text := controller.ClipText(err.Error())
				return e.kafka.Code, &text
			}
			return e.kafka.Code, nil
		}
	}
	return kerr.UnknownServerError.Code, nil
}

// errorCode maps an error and logs one that nobody has mapped: a client sees only that something went wrong.
func (b *Broker) errorCode(what string, err error) int16 {
	code := errorCode(err)
	if code == kerr.UnknownServerError.Code {
		b.log.Error("request failed", "request", what, "error", err.Error())
	}
	return code
}
