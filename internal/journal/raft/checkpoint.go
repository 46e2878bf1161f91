package raft

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"gregor/internal/journal"
	"gregor/internal/log/vfs"
)

// checkpoint names a snapshot: the state before offset end, whose last record was written in an epoch.
type checkpoint struct {
	end   int64
	epoch int32
	index uint64 // Raft index of the last batch in it; not part of the name
}

func (c checkpoint) id() journal.SnapshotID { return journal.SnapshotID{End: c.end, Epoch: c.epoch} }

func (c checkpoint) name() string { return fmt.Sprintf("%020d-%010d.checkpoint", c.end, c.epoch) }

func parseCheckpointName(name string) (c checkpoint, ok bool) {
	id, ok := strings.CutSuffix(name, ".checkpoint")
	if !ok || len(id) != 31 || id[20] != '-' {
		return c, false
	}
	end, err1 := strconv.ParseInt(id[:20], 10, 64)
	epoch, err2 := strconv.ParseInt(id[21:], 10, 32)
	return checkpoint{end: end, epoch: int32(epoch)}, err1 == nil && err2 == nil
}

// listCheckpoints returns the finished snapshots, oldest first, without their Raft indexes.
func listCheckpoints(fsys vfs.FS, dir string) ([]checkpoint, error) {
	files, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	return checkpointsIn(files), nil
}

func checkpointsIn(files []fs.DirEntry) []checkpoint {
	var found []checkpoint
	for _, f := range files {
		if c, ok := parseCheckpointName(f.Name()); ok {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b checkpoint) int {
		if a.end != b.end {
			return int(a.end - b.end)
		}
		return int(a.epoch - b.epoch)
	})
	return found
}
