package zk

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// The znodes of the log. Nobody but this package writes or reads them.
const (
	ownPath       = "/gregor"
	headPath      = ownPath + "/head"
	logPath       = ownPath + "/log"
	snapshotsPath = ownPath + "/snapshots"
	processesPath = ownPath + "/processes" // of brokers; see Register
)

const (
	// maxZnodeBytes is up to how much of the log or of a snapshot one znode holds. A request must stay below
	// ZooKeeper's jute.maxbuffer, one megabyte by default, and so must what the servers of an ensemble send each other.
	// They keep the last 500 requests in memory besides (commitLogCount), so it is well below that.
	maxZnodeBytes = 256 << 10
	// znodeCostBytes is about what a znode takes up in a server besides its data, and what it costs to read it. It counts
	// for the time of the next snapshot, so that a log of small batches does not become one of too many znodes.
	znodeCostBytes = 2 << 10
)

const layoutVersion = 1

// about is the data of ownPath.
type about struct {
	Version int    `json:"version"`
	About   string `json:"about"`
}

// head is the data of headPath: which znodes of the log count, who writes them, and which snapshot comes before them.
// Everything that changes the log changes the head, in one multi that checks its version.
type head struct {
	Version  int    `json:"version"`
	Epoch    int32  `json:"epoch"`
	Leader   int32  `json:"leader"`
	Endpoint string `json:"endpoint"` // where the leader answers requests for the active controller
	// Directory is the id of a log directory that the leader has the lock of: whoever has it now knows that it is dead.
	Directory string `json:"directory,omitempty"`
	Writer    string `json:"writer"` // the process that leads, so that it knows its own election after an answer got lost

	First     int64 `json:"first"`     // first znode of the log; a batch begins there
	Last      int64 `json:"last"`      // last one; First-1 when there is none. A batch ends there
	EndOffset int64 `json:"endOffset"` // next offset to be written

	Snapshot *snapshotRef `json:"snapshot,omitempty"`
}

// snapshotRef names a snapshot: chunks are the znodes 0 to Chunks-1 below snapshotsPath/Name.
type snapshotRef struct {
	Name        string `json:"name"`
	LastOffset  int64  `json:"lastOffset"`
	Epoch       int32  `json:"epoch"`
	TimestampMs int64  `json:"timestampMs"`
	Chunks      int    `json:"chunks"`
	Bytes       int64  `json:"bytes"`
}

func (h head) encode() []byte {
	h.Version = layoutVersion
	b, err := json.Marshal(h)
	if err != nil {
		panic("zk: " + err.Error()) // numbers and text always encode
	}
	return b
}

func parseHead(b []byte) (h head, err error) {
	if err := json.Unmarshal(b, &h); err != nil {
		return h, fmt.Errorf("znode %s: %w", headPath, err)
	}
	switch {
	case h.Version != layoutVersion:
		err = fmt.Errorf("znode %s is of version %d, known here is %d: a newer release wrote it", headPath, h.Version, layoutVersion)
	case h.First < 1 || h.Last < h.First-1 || h.EndOffset < 0 || h.Epoch < 0:
		err = fmt.Errorf("znode %s makes no sense: %s", headPath, b)
	case h.Snapshot != nil && (h.Snapshot.LastOffset >= h.EndOffset || h.Snapshot.Chunks < 0 || h.Snapshot.Chunks > maxChunks || h.Snapshot.Bytes < 0 || h.Snapshot.Bytes > int64(h.Snapshot.Chunks)*maxZnodeBytes):
		err = fmt.Errorf("znode %s makes no sense: %s", headPath, b)
	}
	return h, err
}

// maxChunks bounds a snapshot: 16 GB.
const maxChunks = 64 << 10

// firstHead is the head of a log that nobody has written to.
func firstHead() head { return head{Leader: -1, First: 1} }

// entryPath is the znode of the log of a number. Names sort as numbers do.
func entryPath(n int64) string { return fmt.Sprintf("%s/%019d", logPath, n) }

func parseEntryName(name string) (int64, bool) {
	n, err := strconv.ParseInt(name, 10, 64)
	return n, err == nil && n > 0 && len(name) == 19
}

func snapshotPath(name string) string { return snapshotsPath + "/" + name }

func chunkPath(name string, i int) string { return fmt.Sprintf("%s/%06d", snapshotPath(name), i) }
