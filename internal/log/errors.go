package log

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

// The errors of this package, to be found with errors.Is. What is returned wraps them with the directory or file, the
// offset and what to do. Each names Kafka's error code where a client sees it.
var (
	// ErrOffsetOutOfRange: the offset is below the log start or above the end (OFFSET_OUT_OF_RANGE).
	ErrOffsetOutOfRange = errors.New("offset out of range")

	// ErrCorrupt: a checksum or a length is wrong, in a request (CORRUPT_MESSAGE) or in a file.
	ErrCorrupt = record.ErrCorrupt

	// ErrTooLarge: a batch is larger than max.message.bytes (MESSAGE_TOO_LARGE).
	ErrTooLarge = record.ErrTooLarge

	// ErrTooLargeForSegment: the batches of one append do not fit one segment (RECORD_LIST_TOO_LARGE).
	ErrTooLargeForSegment = errors.New("batches larger than a segment")

	// ErrInvalidRecord: a batch breaks a rule of the format or of the topic (INVALID_RECORD).
	ErrInvalidRecord = record.ErrInvalidRecord

	// ErrInvalidTimestamp: a timestamp is outside message.timestamp.before.max.ms or after.max.ms (INVALID_TIMESTAMP).
	ErrInvalidTimestamp = record.ErrInvalidTimestamp

	// ErrUnsupported: a message format or compression that is not accepted (UNSUPPORTED_FOR_MESSAGE_FORMAT,
	// UNSUPPORTED_COMPRESSION_TYPE).
	ErrUnsupported = errors.New("unsupported format")

	// ErrOutOfOrderSequence: a sequence number that does not follow the producer's last (OUT_OF_ORDER_SEQUENCE_NUMBER).
	ErrOutOfOrderSequence = errors.New("out of order sequence number")

	// ErrDuplicateSequence is for DUPLICATE_SEQUENCE_NUMBER. Like Apache Kafka's since 2.0, this log does not return it: a
	// batch older than the last five is ErrOutOfOrderSequence.
	ErrDuplicateSequence = errors.New("duplicate sequence number")

	// ErrInvalidProducerEpoch: a producer that has been replaced by a newer one (INVALID_PRODUCER_EPOCH).
	ErrInvalidProducerEpoch = errors.New("invalid producer epoch")

	// ErrUnknownProducer is for UNKNOWN_PRODUCER_ID. Like Apache Kafka's since 2.5, this log does not return it: a
	// producer that nothing is known of may start with any sequence number.
	ErrUnknownProducer = errors.New("unknown producer id")

	// ErrInvalidTxnState: a batch outside the producer's open transaction (INVALID_TXN_STATE).
	ErrInvalidTxnState = errors.New("invalid transaction state")

	// ErrCoordinatorFenced: a marker from a coordinator that has been replaced (TRANSACTION_COORDINATOR_FENCED).
	ErrCoordinatorFenced = errors.New("transaction coordinator fenced")

	// ErrUnexpectedOffset: a follower was given batches below its end.
	ErrUnexpectedOffset = errors.New("unexpected offset")

	// ErrDirOffline: the log directory failed and is not used until a restart (KAFKA_STORAGE_ERROR).
	ErrDirOffline = errors.New("log directory offline")

	// ErrNoSpace: the disk is full; reads go on, a later write may succeed (KAFKA_STORAGE_ERROR, retriable).
	ErrNoSpace = errors.New("no space left on the log directory's disk")

	// ErrTooManyFiles: the process may not open more files; a later try may succeed (KAFKA_STORAGE_ERROR, retriable).
	ErrTooManyFiles = errors.New("too many open files; raise the limit (ulimit -n, LimitNOFILE)")

	// ErrClosed: the log was closed or deleted (NOT_LEADER_OR_FOLLOWER).
	ErrClosed = errors.New("log closed")

	// ErrLocked: another process uses the log directory.
	ErrLocked = errors.New("log directory in use")

	// ErrExists: the partition already has a log on this node.
	ErrExists = errors.New("log exists")

	// ErrNotFound: the partition has no log on this node.
	ErrNotFound = errors.New("no such log")

	// ErrInconsistent: a directory belongs to another cluster, node or topic.
	ErrInconsistent = errors.New("inconsistent metadata")
)

// isNoSpace tells whether an error means a full disk or quota: the one kind of write error after which the log is as it
// was and may be tried again.
func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, vfs.ErrNoSpace) || isQuota(err)
}

// isTooManyFiles tells of an error that says nothing of the disk: this process, or the machine, has no descriptor left.
func isTooManyFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, ErrTooManyFiles)
}

// isDiskFailure tells whether an error comes from the operating system, as opposed to the content of a file.
func isDiskFailure(err error) bool {
	var path *fs.PathError
	var errno syscall.Errno
	if isTooManyFiles(err) {
		return false
	}
	return errors.As(err, &path) || errors.As(err, &errno) || errors.Is(err, vfs.ErrFault)
}

// corrupt is an ErrCorrupt about a place in a file.
func corrupt(path string, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrCorrupt, path, fmt.Sprintf(format, args...))
}

// errBroken is a broken invariant of this package.
var errBroken = errors.New("broken invariant")
