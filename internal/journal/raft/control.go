package raft

import (
	"encoding/binary"
	"fmt"

	"gregor/internal/journal"
	"gregor/internal/record"
)

// The control records of a metadata log and its snapshots, as far as a quorum of one needs them. All are flexible:
// version, fields, tagged fields.

// indexTag is our tagged field in SnapshotHeaderRecord: the Raft index of the last batch that the snapshot holds, as
// an unsigned varint. Kafka skips tags that it does not know. See docs/decisions/0002-raft-index-and-offset.md.
const indexTag = 0x6772

// leaderChange is the value of a LeaderChange record, version 0 (KIP-595).
func leaderChange(leader int32, voters []int32) []byte {
	b := binary.BigEndian.AppendUint16(nil, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(leader))
	for _, set := range [][]int32{voters, {leader}} { // all voters, and those who voted for the leader
		b = binary.AppendUvarint(b, uint64(len(set)+1))
		for _, id := range set {
			b = binary.BigEndian.AppendUint32(b, uint32(id))
			b = append(b, 0)
		}
	}
	return append(b, 0)
}

// leaderChangeBatch is what Raft's empty entry at the start of a term is on disk.
func leaderChangeBatch(offset int64, epoch int32, timestampMs int64, leader int32, voters []int32) record.Batch {
	b := record.NewBuilder(record.BuilderOptions{BaseOffset: offset, LeaderEpoch: epoch, Control: true})
	b.Append(timestampMs, record.AppendControlKey(nil, record.ControlLeaderChange), leaderChange(leader, voters))
	return b.Build()
}

// isLeaderChange reports whether a batch is what leaderChangeBatch writes.
func isLeaderChange(b record.Batch) bool {
	if !b.IsControl() {
		return false
	}
	for r, err := range b.Records() {
		if err != nil {
			return false
		}
		_, kind, err := record.ParseControlKey(r.Key)
		return err == nil && kind == record.ControlLeaderChange
	}
	return false
}

// snapshotHeader is the first record of a snapshot.
type snapshotHeader struct {
	lastContainedMs int64  // timestamp of the last record that the snapshot holds
	raftIndex       uint64 // 0 when the snapshot is not ours
}

func (h snapshotHeader) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(h.lastContainedMs))
	index := binary.AppendUvarint(nil, h.raftIndex)
	b = binary.AppendUvarint(b, 1)
	b = binary.AppendUvarint(b, indexTag)
	b = binary.AppendUvarint(b, uint64(len(index)))
	return append(b, index...)
}

func parseSnapshotHeader(b []byte) (h snapshotHeader, err error) {
	if len(b) < 10 {
		return h, fmt.Errorf("%w: snapshot header of %d bytes", journal.ErrCorrupt, len(b))
	}
	h.lastContainedMs = int64(binary.BigEndian.Uint64(b[2:]))
	b = b[10:]
	bad := false
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			bad = true
			return 0
		}
		b = b[n:]
		return v
	}
	for tags := next(); tags > 0 && !bad; tags-- {
		tag, size := next(), next()
		if bad || size > uint64(len(b)) {
			break
		}
		if tag == indexTag {
			h.raftIndex, _ = binary.Uvarint(b[:size])
		}
		b = b[size:]
	}
	if bad {
		return h, fmt.Errorf("%w: tagged fields of the snapshot header are cut off", journal.ErrCorrupt)
	}
	return h, nil
}

// snapshotFooter is the value of the last record of a snapshot.
func snapshotFooter() []byte { return []byte{0, 0, 0} }
