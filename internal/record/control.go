package record

import (
	"encoding/binary"
	"fmt"
)

// ControlType says what a control record is: the second field of its key.
type ControlType int16

// The control records that Kafka defines. The first two end a transaction
// (KIP-98), the others belong to the quorum's log (KIP-595, KIP-630, KIP-853).
const (
	ControlAbort          ControlType = 0
	ControlCommit         ControlType = 1
	ControlLeaderChange   ControlType = 2
	ControlSnapshotHeader ControlType = 3
	ControlSnapshotFooter ControlType = 4
	ControlKRaftVersion   ControlType = 5
	ControlKRaftVoters    ControlType = 6
)

var controlNames = [...]string{"ABORT", "COMMIT", "LEADER_CHANGE", "SNAPSHOT_HEADER", "SNAPSHOT_FOOTER", "KRAFT_VERSION", "KRAFT_VOTERS"}

// String is the name Kafka gives the type; UNKNOWN for one it does not know.
func (t ControlType) String() string {
	if t < 0 || int(t) >= len(controlNames) {
		return "UNKNOWN"
	}
	return controlNames[t]
}

// AppendControlKey writes the key of a control record: version 0 and the type.
func AppendControlKey(dst []byte, t ControlType) []byte {
	dst = binary.BigEndian.AppendUint16(dst, 0)
	return binary.BigEndian.AppendUint16(dst, uint16(t))
}

// ParseControlKey reads the key of a control record. A newer version of the key may only be longer.
func ParseControlKey(key []byte) (version int16, t ControlType, err error) {
	if len(key) < 4 {
		return 0, 0, invalidf("control record key of %d bytes", len(key))
	}
	version = int16(binary.BigEndian.Uint16(key))
	if version < 0 {
		return 0, 0, invalidf("control record key version %d", version)
	}
	return version, ControlType(binary.BigEndian.Uint16(key[2:])), nil
}

// EndTxnMarker is the value of a record that ends a transaction.
type EndTxnMarker struct {
	Version          int16
	CoordinatorEpoch int32
}

// AppendTo writes the value in version 0.
func (m EndTxnMarker) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, 0)
	return binary.BigEndian.AppendUint32(dst, uint32(m.CoordinatorEpoch))
}

// ParseEndTxnMarker reads the value of an abort or commit record.
func ParseEndTxnMarker(value []byte) (EndTxnMarker, error) {
	if len(value) < 6 {
		return EndTxnMarker{}, invalidf("end of transaction marker of %d bytes", len(value))
	}
	m := EndTxnMarker{int16(binary.BigEndian.Uint16(value)), int32(binary.BigEndian.Uint32(value[2:]))}
	if m.Version < 0 {
		return EndTxnMarker{}, fmt.Errorf("%w: end of transaction marker version %d", ErrInvalidRecord, m.Version)
	}
	return m, nil
}

// EndTxnBatch is the batch that a partition leader appends when a transaction of the producer ends.
func EndTxnBatch(producerID int64, producerEpoch int16, commit bool, coordinatorEpoch int32, nowMs int64) Batch {
	t := ControlAbort
	if commit {
		t = ControlCommit
	}
	b := NewBuilder(BuilderOptions{Producer: &Producer{producerID, producerEpoch, NoSequence}, Transactional: true, Control: true, LeaderEpoch: NoLeaderEpoch})
	b.Append(nowMs, AppendControlKey(nil, t), EndTxnMarker{CoordinatorEpoch: coordinatorEpoch}.AppendTo(nil))
	return b.Build()
}
