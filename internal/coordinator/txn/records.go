package txn

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

// The versions of records in __transaction_state, as Apache Kafka 4.3 knows them. Values of version 1 have tagged fields
// (KIP-915); they are written from transaction.version 1 on.
const (
	keyVersion      = 0
	maxValueVersion = 1
)

// ErrBadRecord is a record that does not parse or cannot be true.
var ErrBadRecord = errors.New("txn: malformed record")

// errUnknownKey is a record of a kind that is not known; it is passed over.
var errUnknownKey = errors.New("txn: record of an unknown kind")

// decode reads a record; s is nil for a tombstone. Nothing aliases the record's bytes.
func decode(key, value []byte) (id string, s *stored, err error) {
	if len(key) < 2 {
		return "", nil, fmt.Errorf("%w: key of %d bytes", ErrBadRecord, len(key))
	}
	if version := int16(key[0])<<8 | int16(key[1]); version != keyVersion {
		return "", nil, fmt.Errorf("%w: key of version %d", errUnknownKey, version)
	}
	k := kmsg.NewTxnMetadataKey()
	if err := k.ReadFrom(key); err != nil {
		return "", nil, fmt.Errorf("%w: key: %w", ErrBadRecord, err)
	}
	if value == nil {
		return k.TransactionalID, nil, nil
	}
	bad := func(format string, args ...any) (string, *stored, error) {
		return "", nil, fmt.Errorf("%w: transactional id %q: "+format, append([]any{ErrBadRecord, k.TransactionalID}, args...)...)
	}
	v := kmsg.NewTxnMetadataValue()
	if err := v.ReadFrom(value); err != nil {
		return bad("%w", err)
	}
	switch state := State(v.State); {
	case v.Version < 0 || v.Version > maxValueVersion:
		return bad("version %d", v.Version)
	case state < Empty || state > CompleteAbort:
		return bad("state %d", v.State)
	case v.ProducerID < 0 || v.ProducerEpoch < 0:
		return bad("producer id %d, epoch %d", v.ProducerID, v.ProducerEpoch)
	}
	s = &stored{
		state: State(v.State), producerID: v.ProducerID, previousID: v.PreviousProducerID, nextID: v.NextProducerID,
		epoch: v.ProducerEpoch, nextEpoch: v.NextProducerEpoch, timeoutMs: v.TimeoutMillis, startMs: v.StartTimestamp, updateMs: v.LastUpdateTimestamp,
		version: v.ClientTransactionVersion,
	}
	for i := range v.Topics {
		for _, p := range v.Topics[i].Partitions {
			s.partitions = append(s.partitions, TopicPartition{v.Topics[i].Topic, p})
		}
	}
	slices.SortFunc(s.partitions, TopicPartition.compare)
	s.partitions = slices.Compact(s.partitions)
	return k.TransactionalID, s, nil
}

func keyOf(id string) []byte {
	k := kmsg.TxnMetadataKey{Version: keyVersion, TransactionalID: id}
	return k.AppendTo(make([]byte, 0, 4+len(id)))
}

// recordOf is the record of a transactional id. The value has the version that goes with the cluster's
// transaction.version, so that brokers of a cluster that is being upgraded can read it.
func recordOf(id string, s *stored, transactionVersion int16) coordinator.Record {
	v := kmsg.NewTxnMetadataValue()
	v.ProducerID, v.ProducerEpoch, v.TimeoutMillis, v.State = s.producerID, s.epoch, s.timeoutMs, kmsg.TransactionState(s.state)
	v.StartTimestamp, v.LastUpdateTimestamp = s.startMs, s.updateMs
	if transactionVersion >= 1 {
		v.Version = 1
		v.PreviousProducerID, v.NextProducerID, v.NextProducerEpoch, v.ClientTransactionVersion = s.previousID, s.nextID, s.nextEpoch, s.version
	}
	if s.state != Empty { // where Kafka has null
		v.Topics = make([]kmsg.TxnMetadataValueTopic, 0, 1)
	}
	for _, p := range s.partitions {
		if n := len(v.Topics); n == 0 || v.Topics[n-1].Topic != p.Topic {
			v.Topics = append(v.Topics, kmsg.TxnMetadataValueTopic{Topic: p.Topic})
		}
		topic := &v.Topics[len(v.Topics)-1]
		topic.Partitions = append(topic.Partitions, p.Partition)
	}
	return coordinator.Record{Key: keyOf(id), Value: v.AppendTo(nil), ProducerID: coordinator.NoProducer}
}

func tombstone(id string) coordinator.Record {
	return coordinator.Record{Key: keyOf(id), ProducerID: coordinator.NoProducer}
}
