package record

import (
	"errors"
	"reflect"
	"testing"
)

func TestControlRecords(t *testing.T) {
	b := EndTxnBatch(9, 1, true, 12, 1000)
	if !b.IsControl() || !b.IsTransactional() || b.BaseSequence() != NoSequence {
		t.Error("flags of a marker's batch")
	}
	for _, r := range collect(t, b.Records()) {
		_, kind, err := ParseControlKey(r.Key)
		if err != nil || kind != ControlCommit || kind.String() != "COMMIT" {
			t.Error(kind, err)
		}
		if m, err := ParseEndTxnMarker(r.Value); err != nil || m.CoordinatorEpoch != 12 {
			t.Error(m, err)
		}
	}
	if ControlType(7).String() != "UNKNOWN" || ControlType(-1).String() != "UNKNOWN" {
		t.Error("names of unknown types")
	}
	if _, _, err := ParseControlKey([]byte{0, 0, 0}); !errors.Is(err, ErrInvalidRecord) {
		t.Error(err)
	}
}

func TestQuorumRecords(t *testing.T) {
	id := [16]byte{1, 2, 3}
	change := LeaderChangeMessage{1, 5, []Voter{{5, id}, {6, id}}, []Voter{{5, id}}}
	if got, err := ParseLeaderChangeMessage(change.AppendTo(nil)); err != nil || !reflect.DeepEqual(got, change) {
		t.Error(got, err)
	}
	voters := Voters{0, []VoterNode{{1, id, []VoterEndpoint{{"CONTROLLER", "localhost", 65535}}, 0, 1}}}
	if got, err := ParseVoters(voters.AppendTo(nil)); err != nil || !reflect.DeepEqual(got, voters) {
		t.Error(got, err)
	}
	// A tagged field of a later version is passed over.
	value := append(SnapshotFooter{7}.AppendTo(nil)[:2], 1, 3, 2, 0xaa, 0xbb)
	if got, err := ParseSnapshotFooter(value); err != nil || got.Version != 7 {
		t.Error(got, err)
	}
	for _, bad := range [][]byte{nil, {0}, {0, 1, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x0f}, {0, 1, 0, 0, 0, 5, 1, 1, 0, 0}} {
		if _, err := ParseLeaderChangeMessage(bad); !errors.Is(err, ErrInvalidRecord) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}
