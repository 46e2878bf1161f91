package raft

import (
	"path/filepath"

	"gregor/internal/journal"
	"gregor/internal/log/vfs"
)

// Format writes the snapshot of an empty log that names the first voters of a quorum whose voters live in the log
// (KIP-853, kraft.version 1), as Kafka's storage tool does: 00000000000000000000-0000000000.checkpoint. dir is
// metadata.log.dir; nothing else may be in its metadata log yet. All nodes that are formatted must get the same voters.
func Format(fsys vfs.FS, dir string, voters []journal.Voter, nowMs int64) error {
	dir = filepath.Join(dir, TopicDir)
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	none := journal.Snapshot{LastOffset: -1, TimestampMs: nowMs, Values: func(func([]byte, error) bool) {}}
	return writeCheckpoint(fsys, dir, checkpoint{}, voterSet{version: 1, voters: sorted(voters)}, none, nowMs)
}
