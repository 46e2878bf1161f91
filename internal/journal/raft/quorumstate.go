package raft

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"gregor/internal/journal"
	"gregor/internal/log/vfs"
)

// quorumState is the file quorum-state in Kafka's format, version 0: what a voter must not forget. Kafka clears votedId
// when it knows the leader; we keep our vote, which Kafka reads all the same.
type quorumState struct {
	ClusterID     string  `json:"clusterId"`
	LeaderID      int32   `json:"leaderId"`
	LeaderEpoch   int32   `json:"leaderEpoch"`
	VotedID       int32   `json:"votedId"`
	AppliedOffset int64   `json:"appliedOffset"`
	CurrentVoters []voter `json:"currentVoters"`
	DataVersion   int     `json:"data_version"`

	// Joining is ours: this voter may have forgotten votes and acknowledgements, see joining. 0: it still asks the others
	// for their epochs; above: nothing before the end of that epoch is its to decide. Kafka ignores it.
	Joining *int32 `json:"gregorJoining,omitempty"`
	// Observer is ours: all of the log is committed, for this node did not vote when it wrote it.
	Observer bool `json:"gregorObserver,omitempty"`
}

type voter struct {
	VoterID int32 `json:"voterId"`
}

const quorumStateFile = "quorum-state"

// maxEpoch is far below the largest number, so that no election takes an epoch past it.
const maxEpoch = 1<<31 - 1<<20

// readQuorumState returns the state in dir; epoch 0 and nobody when there is none, which found says.
func readQuorumState(fsys vfs.FS, dir string) (state quorumState, found bool, err error) {
	none := quorumState{LeaderID: -1, VotedID: -1}
	path := filepath.Join(dir, quorumStateFile)
	text, err := readFile(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		return none, false, nil
	}
	if err != nil {
		return none, false, err
	}
	state = none
	if err := json.Unmarshal(text, &state); err != nil {
		return none, true, fmt.Errorf("%w: %s: %v", journal.ErrCorrupt, path, err)
	}
	if state.LeaderEpoch < 0 || state.LeaderEpoch > maxEpoch || state.VotedID < -1 || state.DataVersion < 0 || state.DataVersion > 1 || state.Joining != nil && (*state.Joining < 0 || *state.Joining > maxEpoch) {
		return none, true, fmt.Errorf("%w: %s: leaderEpoch %d, votedId %d, data_version %d", journal.ErrCorrupt, path, state.LeaderEpoch, state.VotedID, state.DataVersion)
	}
	return state, true, nil
}

func (s quorumState) write(fsys vfs.FS, dir string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return vfs.ReplaceFile(fsys, filepath.Join(dir, quorumStateFile), text, true)
}

func readFile(fsys vfs.FS, path string) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && size > 0 {
		return nil, err
	}
	return b, nil
}
