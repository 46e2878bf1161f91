package log

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A producer snapshot, OFFSET.snapshot, holds what the records below OFFSET say of the producers that wrote them, so
// that opening a log need not read all of it. Version 1 (ProducerSnapshot.json):
//
//	int16 version, uint32 crc32c of the rest, int32 count, then for each producer
//	int64 producer id, int16 epoch, int32 last sequence, int64 last offset, int32 offset delta, int64 timestamp,
//	int32 coordinator epoch, int64 first offset of the open transaction or -1
const (
	snapshotVersion    = 1
	snapshotHeaderSize = 10
	snapshotEntrySize  = 46
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// snapshotEntry is one producer in a snapshot: of its last five batches only the last.
type snapshotEntry struct {
	producerID       int64
	epoch            int16
	lastSequence     int32 // -1 without a batch
	lastOffset       int64 // -1 without a batch
	offsetDelta      int32 // last offset minus first offset of the last batch
	timestampMs      int64
	coordinatorEpoch int32
	txnFirstOffset   int64 // -1 if none
}

// String is in the words of Kafka's dump tool.
func (e snapshotEntry) String() string {
	return fmt.Sprintf("producerId: %d producerEpoch: %d coordinatorEpoch: %d currentTxnFirstOffset: %d lastTimestamp: %d lastSequence: %d lastOffset: %d offsetDelta: %d timestamp: %d",
		e.producerID, e.epoch, e.coordinatorEpoch, e.txnFirstOffset, e.timestampMs, e.lastSequence, e.lastOffset, e.offsetDelta, e.timestampMs)
}

// encodeSnapshot makes a file's content.
func encodeSnapshot(entries []snapshotEntry) []byte {
	b := make([]byte, snapshotHeaderSize, snapshotHeaderSize+len(entries)*snapshotEntrySize)
	binary.BigEndian.PutUint16(b, snapshotVersion)
	binary.BigEndian.PutUint32(b[6:], uint32(len(entries)))
	for _, e := range entries {
		b = binary.BigEndian.AppendUint64(b, uint64(e.producerID))
		b = binary.BigEndian.AppendUint16(b, uint16(e.epoch))
		b = binary.BigEndian.AppendUint32(b, uint32(e.lastSequence))
		b = binary.BigEndian.AppendUint64(b, uint64(e.lastOffset))
		b = binary.BigEndian.AppendUint32(b, uint32(e.offsetDelta))
		b = binary.BigEndian.AppendUint64(b, uint64(e.timestampMs))
		b = binary.BigEndian.AppendUint32(b, uint32(e.coordinatorEpoch))
		b = binary.BigEndian.AppendUint64(b, uint64(e.txnFirstOffset))
	}
	binary.BigEndian.PutUint32(b[2:], crc32.Checksum(b[6:], castagnoli))
	return b
}

// decodeSnapshot reads a file's content. Error: ErrCorrupt.
func decodeSnapshot(path string, b []byte) ([]snapshotEntry, error) {
	if len(b) < snapshotHeaderSize {
		return nil, corrupt(path, "%d bytes are too few for a producer snapshot", len(b))
	}
	if v := int16(binary.BigEndian.Uint16(b)); v != snapshotVersion {
		return nil, corrupt(path, "producer snapshot version %d is unknown", v)
	}
	if got, want := crc32.Checksum(b[6:], castagnoli), binary.BigEndian.Uint32(b[2:]); got != want {
		return nil, corrupt(path, "stored crc %d, computed crc %d", want, got)
	}
	n, rest := int64(int32(binary.BigEndian.Uint32(b[6:]))), b[snapshotHeaderSize:]
	if n < 0 || n*snapshotEntrySize != int64(len(rest)) {
		return nil, corrupt(path, "%d producers do not fit %d bytes", n, len(rest))
	}
	entries := make([]snapshotEntry, 0, n)
	for ; len(rest) > 0; rest = rest[snapshotEntrySize:] {
		i32 := func(at int) int32 { return int32(binary.BigEndian.Uint32(rest[at:])) }
		i64 := func(at int) int64 { return int64(binary.BigEndian.Uint64(rest[at:])) }
		entries = append(entries, snapshotEntry{
			producerID: i64(0), epoch: int16(binary.BigEndian.Uint16(rest[8:])), lastSequence: i32(10), lastOffset: i64(14),
			offsetDelta: i32(22), timestampMs: i64(26), coordinatorEpoch: i32(34), txnFirstOffset: i64(38),
		})
	}
	return entries, nil
}
