package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/test/client"
	"gregor/test/server"
)

// placement is where a node's replicas of a topic are, by partition: the number of the directory.
type placement struct {
	dirs   map[int32]int
	future map[int32]int
	failed []int // directories that are offline
}

// placedOn asks a node where its replicas are.
func placedOn(t *testing.T, s *server.Server, topic string) placement {
	t.Helper()
	cl := client.New(t, s.Addr)
	defer cl.Close()
	req := kmsg.NewPtrDescribeLogDirsRequest()
	resp, err := cl.Broker(nodeOf(t, cl, s)).Request(client.Context(t), req)
	if err != nil {
		t.Fatal(err)
	}
	p := placement{dirs: map[int32]int{}, future: map[int32]int{}}
	for _, d := range resp.(*kmsg.DescribeLogDirsResponse).Dirs {
		var n int
		if _, err := fmt.Sscan(filepath.Base(d.Dir), &n); err != nil {
			t.Fatal(d.Dir, err)
		}
		if d.ErrorCode == kerr.KafkaStorageError.Code {
			p.failed = append(p.failed, n)
		} else if d.ErrorCode != 0 || d.TotalBytes <= 0 || d.UsableBytes <= 0 {
			t.Errorf("directory %s: error %d, %d of %d bytes", d.Dir, d.ErrorCode, d.UsableBytes, d.TotalBytes)
		}
		for _, tt := range d.Topics {
			for _, tp := range tt.Partitions {
				if tt.Topic == topic && tp.IsFuture {
					p.future[tp.Partition] = n
				} else if tt.Topic == topic {
					p.dirs[tp.Partition] = n
				}
			}
		}
	}
	return p
}

// nodeOf is the id of the node that listens at an address.
func nodeOf(t *testing.T, cl *kgo.Client, s *server.Server) int {
	t.Helper()
	var id int
	until(t, func() error {
		brokers, err := kadm.NewClient(cl).ListBrokers(client.Context(t))
		for _, b := range brokers {
			if fmt.Sprintf("%s:%d", b.Host, b.Port) == s.Addr {
				id = int(b.NodeID)
				return nil
			}
		}
		return fmt.Errorf("no broker listens at %s: %w", s.Addr, err)
	})
	return id
}

// until asks again and again, until there is no error.
func until(t *testing.T, ask func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var before error
	for ctx := client.Context(t); ; <-tick.C {
		err := ask()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%v (before: %v)", err, before)
		}
		before = err
	}
}

// move asks a node to move its replica of a partition to a directory.
func move(t *testing.T, s *server.Server, topic string, partition int32, dir string) error {
	t.Helper()
	cl := client.New(t, s.Addr)
	defer cl.Close()
	req := kmsg.NewPtrAlterReplicaLogDirsRequest()
	d := kmsg.NewAlterReplicaLogDirsRequestDir()
	d.Dir = dir
	tt := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
	tt.Topic, tt.Partitions = topic, []int32{partition}
	d.Topics = append(d.Topics, tt)
	req.Dirs = append(req.Dirs, d)
	resp, err := cl.Broker(nodeOf(t, cl, s)).Request(client.Context(t), req)
	if err != nil {
		t.Fatal(err)
	}
	return kerr.ErrorForCode(resp.(*kmsg.AlterReplicaLogDirsResponse).Topics[0].Partitions[0].ErrorCode)
}

// TestLogDirectoryVanishes removes a log directory under a broker. Its replicas are led by others at once and everything
// stays writable; the broker goes on with its other directories. Restarted with a new disk it has all replicas again.
func TestLogDirectoryVanishes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files in use cannot be removed")
	}
	if server.Apache() {
		t.Skip("a cluster of ours")
	}
	const partitions = 12
	c := server.StartCluster(t, server.ClusterOptions{Dirs: 3, Extra: []string{"min.insync.replicas=2"}})
	p := clusterClient(t, c, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	adm := kadm.NewClient(p)
	ctx := client.Context(t)
	if _, err := adm.CreateTopic(ctx, partitions, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	awaitInSync(t, adm, "t", 3)
	produce := func(value string) {
		t.Helper()
		for i := range int32(partitions) {
			if err := p.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: i, Value: []byte(value)}).FirstErr(); err != nil {
				t.Fatalf("partition %d: %v", i, err)
			}
		}
	}
	produce("before")
	const victim = 2
	s := c.Node(victim)
	var lost []int32
	for partition, dir := range placedOn(t, s, "t").dirs {
		if dir == 2 {
			lost = append(lost, partition)
		}
	}
	if len(lost) != partitions/3 {
		t.Fatalf("partitions %v are in one of three directories", lost)
	}
	if err := os.RemoveAll(filepath.Join(s.Dir, "2")); err != nil {
		t.Fatal(err)
	}
	until(t, func() error {
		topics, err := adm.ListTopics(client.Context(t), "t")
		if err != nil {
			return err
		}
		for _, part := range topics["t"].Partitions {
			gone := slices.Contains(lost, part.Partition)
			if gone && (part.Leader == victim || slices.Contains(part.ISR, victim)) {
				return fmt.Errorf("partition %d, whose directory is gone, has leader %d and ISR %v", part.Partition, part.Leader, part.ISR)
			}
			if !gone && len(part.ISR) != 3 {
				return fmt.Errorf("partition %d has ISR %v", part.Partition, part.ISR)
			}
		}
		return nil
	})
	produce("without")
	if got := placedOn(t, s, "t"); !slices.Equal(got.failed, []int{2}) || len(got.dirs) != partitions-len(lost) {
		t.Errorf("the broker shows %+v", got)
	}
	if err := move(t, s, "t", lost[0], filepath.Join(s.Dir, "1")); err != kerr.KafkaStorageError {
		t.Errorf("moving a replica that is offline: %v", err)
	}
	if _, err := adm.CreateTopic(ctx, 4, 3, nil, "new"); err != nil {
		t.Fatal(err)
	}
	awaitInSync(t, adm, "new", 3)
	s.Kill()
	s.Restart(t)
	awaitInSync(t, adm, "t", 3)
	for i := range int32(partitions) {
		if got := client.ReadPartition(t, s.Addr, "t", i, 2); len(got) != 2 || string(got[0].Value) != "before" || string(got[1].Value) != "without" {
			t.Errorf("partition %d has %d records", i, len(got))
		}
	}
}

// TestMoveBetweenDirectories moves the replica of a partition that is written to, with a limit that makes it slow, kills
// the broker in the middle, and lifts the limit: the move goes on by itself and nothing is lost.
func TestMoveBetweenDirectories(t *testing.T) {
	if server.Apache() {
		t.Skip("a cluster of ours")
	}
	c := server.StartCluster(t, server.ClusterOptions{Dirs: 2})
	p := clusterClient(t, c, kgo.RequiredAcks(kgo.AllISRAcks()))
	adm := kadm.NewClient(p)
	ctx := client.Context(t)
	if _, err := adm.CreateTopic(ctx, 1, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	awaitInSync(t, adm, "t", 3)
	n := 0
	produce := func(count int) {
		t.Helper()
		var records []*kgo.Record
		for range count {
			records = append(records, &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "%08d%0992d", n, 0)})
			n++
		}
		if err := p.ProduceSync(ctx, records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	produce(3000)
	topics, err := adm.ListTopics(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	s := c.Node(topics["t"].Partitions[0].Leader)
	const rate = "replica.alter.log.dirs.io.max.bytes.per.second"
	limit := func(value string) {
		t.Helper()
		if _, err := adm.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: rate, Value: &value}}); err != nil {
			t.Fatal(err)
		}
	}
	limit("1000")
	from := placedOn(t, s, "t").dirs[0]
	to := 1 - from
	if err := move(t, s, "t", 0, filepath.Join(s.Dir, "none")); err != kerr.LogDirNotFound {
		t.Errorf("a directory that is none: %v", err)
	}
	if err := move(t, s, "t", 9, filepath.Join(s.Dir, fmt.Sprint(to))); err != kerr.ReplicaNotAvailable {
		t.Errorf("a replica that is none: %v", err)
	}
	if err := move(t, s, "t", 0, filepath.Join(s.Dir, fmt.Sprint(to))); err != nil {
		t.Fatal(err)
	}
	produce(100)
	if got := placedOn(t, s, "t"); got.dirs[0] != from || got.future[0] != to || len(got.future) != 1 {
		t.Errorf("during the move: %+v", got)
	}
	s.Kill()
	produce(100)
	s.Restart(t)
	limit("9223372036854775807")
	until(t, func() error {
		if got := placedOn(t, s, "t"); got.dirs[0] != to || len(got.future) != 0 {
			return fmt.Errorf("after the move: %+v, want directory %d", got, to)
		}
		return nil
	})
	produce(100)
	awaitInSync(t, adm, "t", 3)
	for i, r := range client.ReadPartition(t, s.Addr, "t", 0, int64(n)) {
		if want := fmt.Sprintf("%08d", i); string(r.Value[:8]) != want {
			t.Fatalf("record %d is %s", i, r.Value[:8])
		}
	}
}
