package raft

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gregor/internal/journal"
	"gregor/internal/log/vfs"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

func encoded(t testing.TB, from, to int32, messages ...*pb.Message) *MessageRequest {
	t.Helper()
	r := &MessageRequest{ClusterID: "c", From: from, To: to}
	for _, m := range messages {
		m.From, m.To = new(raftID(from)), new(raftID(to))
		data, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		r.Messages = append(r.Messages, data)
	}
	return r
}

// stepped is a voter of three that nobody else runs beside.
func stepped(t testing.TB) *Engine {
	t.Helper()
	e, err := Open(Options{Dir: "/data", NodeID: 1, FS: vfs.NewMem(nil), ClusterID: "c", Voters: []journal.Voter{{ID: 0}, {ID: 1}, {ID: 2}}, Stepped: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(newFollower()); err != nil {
		t.Fatal(err)
	}
	return e
}

func entryOf(index uint64, offset int64, epoch int32) *pb.Entry {
	e, _ := raftEntry(index, leaderChangeBatch(offset, epoch, 1, 0, []int32{0, 1, 2}), false)
	return e
}

// Whatever another voter sends, decoding it ends with a request or an error, and handling it leaves the process alive. A
// request that was decoded is the same when it is encoded again.
func FuzzMessageRequest(f *testing.F) {
	add := func(messages ...*pb.Message) { f.Add(encoded(f, 0, 1, messages...).AppendTo(nil)) }
	add()
	add(&pb.Message{Type: new(pb.MsgHeartbeat), Term: new(uint64(1)), Commit: new(uint64(0))})
	add(&pb.Message{Type: new(pb.MsgHeartbeat), Term: new(uint64(1)), Commit: new(uint64(7))})
	add(&pb.Message{Type: new(pb.MsgVote), Term: new(uint64(3)), Index: new(uint64(1)), LogTerm: new(uint64(1))})
	app := func(entries ...*pb.Entry) *pb.Message {
		return &pb.Message{Type: new(pb.MsgApp), Term: new(uint64(2)), Index: new(uint64(0)), LogTerm: new(uint64(0)), Commit: new(uint64(1)), Entries: entries}
	}
	add(app(entryOf(1, 0, 1), entryOf(2, 1, 2)))
	add(app(entryOf(1, 5, 1)))
	b := votersBatch(0, 1, 1, voterSet{version: 1, voters: []journal.Voter{{ID: 1}}}, true)
	change, _ := raftEntry(1, b, true)
	add(app(change), &pb.Message{Type: new(pb.MsgTimeoutNow), Term: new(uint64(2))})
	add(&pb.Message{Type: new(pb.MsgSnap), Term: new(uint64(2)), Snapshot: &pb.Snapshot{
		Data:     []byte{0, 0, 0, 0, 0, 0, 0, 9},
		Metadata: &pb.SnapshotMetadata{Index: new(uint64(4)), Term: new(uint64(1)), ConfState: &pb.ConfState{Voters: []uint64{1, 2, 3}}},
	}})
	f.Fuzz(func(t *testing.T, data []byte) {
		var r MessageRequest
		if err := r.ReadFrom(data); err != nil {
			return
		}
		again := r.AppendTo(nil)
		if !bytes.HasPrefix(data, again) {
			t.Fatalf("%x encodes as %x", data, again)
		}
		e := stepped(t)
		defer e.Close()
		for range 2 {
			if e.Receive(&r) != nil {
				return
			}
			for e.Step() {
			}
			e.Tick()
			for e.Step() {
			}
		}
	})
}

func FuzzMessageResponse(f *testing.F) {
	f.Add((&MessageResponse{ErrorCode: 1, Text: "x"}).AppendTo(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r MessageResponse
		if r.ReadFrom(data) == nil && !bytes.HasPrefix(data, r.AppendTo(nil)) {
			t.Fatalf("%x is %+v", data, r)
		}
	})
}

// What Raft's library takes for granted is refused at the door.
func TestBadMessages(t *testing.T) {
	e := stepped(t)
	defer e.Close()
	torn := entryOf(1, 0, 1)
	torn.Data = slices.Clone(torn.Data)
	torn.Data[len(torn.Data)-1] ^= 1
	for name, m := range map[string]*pb.Message{
		"no term":         {Type: new(pb.MsgHeartbeat)},
		"huge epoch":      {Type: new(pb.MsgHeartbeat), Term: new(uint64(1 << 40))},
		"local":           {Type: new(pb.MsgHup), Term: new(uint64(1))},
		"proposal":        {Type: new(pb.MsgProp), Term: new(uint64(1)), Entries: []*pb.Entry{entryOf(1, 0, 1)}},
		"gap":             {Type: new(pb.MsgApp), Term: new(uint64(1)), Entries: []*pb.Entry{entryOf(2, 0, 1)}},
		"later epoch":     {Type: new(pb.MsgApp), Term: new(uint64(1)), Entries: []*pb.Entry{entryOf(1, 0, 2)}},
		"offsets":         {Type: new(pb.MsgApp), Term: new(uint64(1)), Entries: []*pb.Entry{entryOf(1, 0, 1), entryOf(2, 2, 1)}},
		"checksum":        {Type: new(pb.MsgApp), Term: new(uint64(1)), Entries: []*pb.Entry{torn}},
		"no batch":        {Type: new(pb.MsgApp), Term: new(uint64(1)), Entries: []*pb.Entry{{Index: new(uint64(1)), Term: new(uint64(1)), Data: []byte("x")}}},
		"empty":           {Type: new(pb.MsgApp), Term: new(uint64(1)), Entries: []*pb.Entry{{Index: new(uint64(1)), Term: new(uint64(1))}}},
		"snapshot":        {Type: new(pb.MsgSnap), Term: new(uint64(1))},
		"vote, entries":   {Type: new(pb.MsgVote), Term: new(uint64(1)), Entries: []*pb.Entry{entryOf(1, 0, 1)}},
		"change unmarked": {Type: new(pb.MsgApp), Term: new(uint64(1)), Entries: []*pb.Entry{{Index: new(uint64(1)), Term: new(uint64(1)), Data: votersBatch(0, 1, 1, voterSet{version: 1, voters: []journal.Voter{{ID: 1}}}, true)}}},
	} {
		if err := e.Receive(encoded(t, 0, 1, m)); !errors.Is(err, errBadMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := e.Receive(encoded(t, 0, 1, &pb.Message{Type: new(pb.MsgApp), Term: new(uint64(1)), LogTerm: new(uint64(0)), Entries: []*pb.Entry{entryOf(1, 0, 1)}})); err != nil {
		t.Error(err)
	}
}

// A voter that is not alone is told where its log comes from again.
func TestDamageWithOthers(t *testing.T) {
	dir := t.TempDir()
	path := logOf(t, dir)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole[bytes.Index(whole, []byte("value 2"))] = 'V'
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Open(Options{Dir: dir, NodeID: 1, Voters: []journal.Voter{{ID: 1}, {ID: 2}, {ID: 3}}})
	if !errors.Is(err, journal.ErrCorrupt) || !strings.Contains(err.Error(), "[2 3]") || !strings.Contains(err.Error(), "delete "+filepath.Join(dir, TopicDir)) {
		t.Fatal(err)
	}
}

// Power fails when the leader's snapshot is in its place and the log that it replaces is not gone yet.
func TestSnapshotOverOtherHistory(t *testing.T) {
	for _, c := range []checkpoint{
		{end: 6, epoch: 5, index: 6}, // a batch ends there, of epoch 1
		{end: 8, epoch: 1, index: 8}, // it is the same one
	} {
		disk := vfs.NewMem(nil)
		o := Options{Dir: "/data", NodeID: 1, FS: disk, SegmentBytes: 200}
		e, f, next := start(t, o)
		for range 10 {
			next = put(t, e, f, next, "mine")
		}
		e.Close()
		s := journal.Snapshot{LastOffset: c.end - 1, Epoch: c.epoch, Values: func(func([]byte, error) bool) {}}
		if err := writeCheckpoint(disk, "/data/"+TopicDir, c, voterSet{}, s, 1); err != nil {
			t.Fatal(err)
		}
		e, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		want := c.end
		if c.epoch == 1 {
			want = next
		}
		if got := e.Status().EndOffset; got != want {
			t.Errorf("after snapshot %s the log ends at %d, want %d", c.name(), got, want)
		}
		e.Close()
	}
}
