package raft

import (
	"encoding/binary"
	"fmt"

	"gregor/internal/journal"
	"gregor/internal/record"
)

// indexTag is our tagged field in SnapshotHeaderRecord: the Raft index of the last batch that the snapshot holds, as
// an unsigned varint. Kafka skips tags that it does not know. See docs/decisions/0002-raft-index-and-offset.md.
const indexTag = 0x6772

// leaderChangeBatch is what Raft's empty entry at the start of a term is on disk: a LeaderChange record of version 0
// (KIP-595).
func leaderChangeBatch(offset int64, epoch int32, timestampMs int64, leader int32, voters []int32) record.Batch {
	m := record.LeaderChangeMessage{LeaderID: leader, GrantingVoters: []record.Voter{{ID: leader}}}
	for _, id := range voters {
		m.Voters = append(m.Voters, record.Voter{ID: id})
	}
	b := record.NewBuilder(record.BuilderOptions{BaseOffset: offset, LeaderEpoch: epoch, Control: true})
	b.Append(timestampMs, record.AppendControlKey(nil, record.ControlLeaderChange), m.AppendTo(nil))
	return b.Build()
}

// votersBatch is a change of the voters in the log (KIP-853). withVersion is for the first one.
func votersBatch(offset int64, epoch int32, timestampMs int64, set voterSet, withVersion bool) record.Batch {
	b := record.NewBuilder(record.BuilderOptions{BaseOffset: offset, LeaderEpoch: epoch, Control: true})
	if withVersion {
		b.Append(timestampMs, record.AppendControlKey(nil, record.ControlKRaftVersion), record.KRaftVersion{KRaftVersion: set.version}.AppendTo(nil))
	}
	b.Append(timestampMs, record.AppendControlKey(nil, record.ControlKRaftVoters), set.record().AppendTo(nil))
	return b.Build()
}

// votersOf is the set that a batch of the log changes an earlier one to; ok is false for the many batches that do not.
func votersOf(b record.Batch, before voterSet) (set voterSet, ok bool, err error) {
	if !b.IsControl() {
		return before, false, nil
	}
	set = before
	for r, err := range b.RecordsWithin(journal.MaxBatchBytes) {
		if err != nil {
			return before, false, err
		}
		_, kind, err := record.ParseControlKey(r.Key)
		if err != nil {
			return before, false, err
		}
		var changed bool
		if set, changed, err = set.with(kind, r.Value); err != nil {
			return before, false, err
		}
		ok = ok || changed
	}
	return set, ok, nil
}

// snapshotHeader is the first record of a snapshot.
type snapshotHeader struct {
	lastContainedMs int64    // timestamp of the last record that the snapshot holds
	raftIndex       uint64   // 0 when the snapshot is not ours
	voters          voterSet // of the records behind the header; empty when there are none
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
