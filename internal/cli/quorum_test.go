package cli

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func quorumReply() (kmsg.DescribeQuorumResponseTopicPartition, []kmsg.DescribeQuorumResponseNode) {
	replica := func(id int32, end, fetched, caughtUp int64) kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
		return kmsg.DescribeQuorumResponseTopicPartitionReplicaState{ReplicaID: id, ReplicaDirectoryID: [16]byte{15: byte(id)},
			LogEndOffset: end, LastFetchTimestamp: fetched, LastCaughtUpTimestamp: caughtUp}
	}
	p := kmsg.DescribeQuorumResponseTopicPartition{LeaderID: 2, LeaderEpoch: 7, HighWatermark: 99}
	p.CurrentVoters = append(p.CurrentVoters, replica(1, 90, 1_000, 400), replica(2, 100, 1_050, 1_050), replica(3, 95, 1_000, 500))
	p.Observers = append(p.Observers, replica(4, 40, -1, -1))
	nodes := []kmsg.DescribeQuorumResponseNode{
		{NodeID: 1, Listeners: []kmsg.DescribeQuorumResponseNodeListener{{Name: "CONTROLLER", Host: "::1", Port: 9093}, {Name: "OTHER", Host: "h", Port: 9094}}},
		{NodeID: 2, Listeners: []kmsg.DescribeQuorumResponseNodeListener{{Name: "CONTROLLER", Host: "two", Port: 9093}}},
	}
	return p, nodes
}

func TestQuorumState(t *testing.T) {
	s, err := newQuorumState(quorumReply())
	if err != nil {
		t.Fatal(err)
	}
	if s.MaxFollowerLag != 10 || s.MaxFollowerLagTimeMs != 650 {
		t.Errorf("the slowest voter is %d records and %d ms behind, want 10 and 650", s.MaxFollowerLag, s.MaxFollowerLagTimeMs)
	}
	var lines []string
	for _, r := range s.inOrder() {
		lines = append(lines, r.Status)
	}
	if got := strings.Join(lines, " "); got != "Leader Follower Follower Observer" {
		t.Error(got)
	}
	want := `[{"id": 1, "directoryId": "AAAAAAAAAAAAAAAAAAAAAQ", "endpoints": ["CONTROLLER://[::1]:9093", "OTHER://h:9094"]}, ` +
		`{"id": 2, "directoryId": "AAAAAAAAAAAAAAAAAAAAAg", "endpoints": ["CONTROLLER://two:9093"]}, {"id": 3, "directoryId": "AAAAAAAAAAAAAAAAAAAAAw"}]`
	if got := replicaList(s.Voters); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := replicaList([]quorumReplica{{ID: 9}}); got != `[{"id": 9, "directoryId": null}]` {
		t.Error(got)
	}

	p, nodes := quorumReply()
	p.CurrentVoters[0].LastCaughtUpTimestamp = -1
	if s, err = newQuorumState(p, nodes); err != nil || s.MaxFollowerLagTimeMs != -1 {
		t.Errorf("a follower that never caught up: %d ms, %v", s.MaxFollowerLagTimeMs, err)
	}
	p.CurrentVoters[0].LogEndOffset, p.CurrentVoters[2].LogEndOffset = 100, 100
	p.CurrentVoters = append(p.CurrentVoters[1:2:2], p.CurrentVoters[0])
	if s, err = newQuorumState(p, nodes); err != nil || s.MaxFollowerLag != 0 || s.MaxFollowerLagTimeMs != 0 {
		t.Errorf("nobody is behind: %+v, %v", s, err)
	}
	p.LeaderID = 8
	if _, err = newQuorumState(p, nodes); err == nil {
		t.Error("a leader that is no voter is taken")
	}
}

func TestAgo(t *testing.T) {
	for then, want := range map[int64]string{5_000: "0 ms ago", 4_880: "120 ms ago", -1: "-1"} {
		if got, err := ago(5_000, then, "last fetch"); got != want || err != nil {
			t.Errorf("%d: %q, %v, want %q", then, got, err, want)
		}
	}
	if _, err := ago(5_000, 5_001, "last fetch"); err == nil || err.Error() != "Error while computing relative time, possible drift in system clock.\nCurrent timestamp is 5000, last fetch timestamp is 5001" {
		t.Error(err)
	}
}

// A broker that has no controller to ask keeps its client waiting: the message says where to look.
func TestExplainNoAnswer(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9092}
	err := fmt.Errorf("request: %w", &net.OpError{Op: "read", Net: "tcp", Addr: at, Err: os.ErrDeadlineExceeded})
	if got := explain(err); !strings.HasPrefix(got, "127.0.0.1:9092 did not answer in time. ") || !strings.Contains(got, "--bootstrap-controller") {
		t.Error(got)
	}
}

func TestPrintTable(t *testing.T) {
	var out bytes.Buffer
	printTable(&out, [][]string{{"Id", "Long head"}, {"1234", "x"}})
	if want := "Id  \tLong head\t\n1234\tx        \t\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// What a new controller's file lacks is named as Kafka names it.
func TestVoterToAdd(t *testing.T) {
	formatted := t.TempDir()
	meta := "version=1\ncluster.id=x\nnode.id=4\ndirectory.id=uAMS2SRlQjCkWXKLpYgsXA\n"
	if err := os.WriteFile(filepath.Join(formatted, "meta.properties"), []byte(meta), 0o644); err != nil {
		t.Fatal(err)
	}
	id, role, dir, name := "node.id=4\n", "process.roles=controller\n", "log.dirs="+formatted+",/other\n", "controller.listener.names=controller\n"
	for text, want := range map[string]string{
		role:                                  "node.id not found in configuration file. Is this a valid controller configuration file?",
		"node.id=-4\n":                        "node.id was negative in configuration file. Is this a valid controller configuration file?",
		id:                                    "process.roles did not contain 'controller' in configuration file. Is this a valid controller configuration file?",
		id + role:                             "Neither metadata.log.dir nor log.dirs were found. Is this a valid controller configuration file?",
		id + role + dir:                       "controller.listener.names was not found. Is this a valid controller configuration file?",
		id + role + "log.dirs=/nonexistent\n": "Unable to read meta.properties from /nonexistent",
		id + role + dir + name:                "Cannot find information about controller listener name: CONTROLLER",
		id + role + dir + name + "listeners=CONTROLLER://:9093":                                              "",
		id + role + dir + name + "listeners=CONTROLLER://:9093\nadvertised.listeners=CONTROLLER://far:19093": "",
		id + role + dir + name + "listeners=CONTROLLER://nowhere":                                            `listeners has "CONTROLLER://nowhere", but an entry is NAME://host:port`,
	} {
		file := filepath.Join(t.TempDir(), "c.properties")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		code := quorumCommand().Exec(t.Context(), []string{"--bootstrap-server", "localhost:1", "--command-config", file, "add-controller", "--dry-run"}, IO{strings.NewReader(""), &out, &errs})
		if want == "" {
			at := "localhost:9093"
			if strings.Contains(text, "far") {
				at = "far:19093"
			}
			if line := "DRY RUN of adding controller 4 with directory id uAMS2SRlQjCkWXKLpYgsXA and endpoints: CONTROLLER://" + at + "\n"; code != 0 || out.String() != line {
				t.Errorf("%q: code %d, %q%q, want %q", text, code, out.String(), errs.String(), line)
			}
			continue
		}
		if got := strings.TrimSuffix(errs.String(), "\n"); code != 1 || got != want {
			t.Errorf("%q: code %d, %q, want %q", text, code, got, want)
		}
	}
}
