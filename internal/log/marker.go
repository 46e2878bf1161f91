package log

import "gregor/internal/record"

// Marker ends a producer's transaction in this partition.
type Marker struct {
	ProducerID       int64
	ProducerEpoch    int16 // with transactions version 2 one more than the transaction's
	CoordinatorEpoch int32 // leader epoch of the coordinator's partition of __transaction_state
	Commit           bool  // else abort

	// TransactionVersion is that of the transaction (KIP-890). With 2 and above the producer epoch must be above that of
	// the transaction, so that a late batch of it is refused; a repeated marker, that finds no transaction open, is let
	// through.
	TransactionVersion int8
}

// AppendMarker appends the control batch of a marker as the partition's leader, whether the producer has a transaction
// open or not, as Apache Kafka does: the coordinator sends it until it is acknowledged.
//
// Errors: ErrInvalidProducerEpoch for a marker of an older epoch than the producer's, ErrCoordinatorFenced for one of
// a coordinator that has been replaced; those of AppendLeader.
func (l *Log) AppendMarker(m Marker, leaderEpoch int32) (AppendInfo, error) {
	b := record.EndTxnBatch(m.ProducerID, m.ProducerEpoch, m.Commit, m.CoordinatorEpoch, l.now().UnixMilli())
	return l.appendLeader(b, leaderEpoch, terms{origin: Coordinator, guard: Unverified, transactionVersion: m.TransactionVersion})
}
