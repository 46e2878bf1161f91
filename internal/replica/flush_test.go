package replica

import (
	"strings"
	"testing"

	"gregor/internal/log"
	"gregor/internal/log/vfs"
	"gregor/internal/metadata"
)

// With flush.messages=1 nobody is answered before the disk has the records: neither acks=1 nor, on the only replica,
// acks=all. A change of the leader waits until what was written is the log's end.
func TestAcksWaitForTheDisk(t *testing.T) {
	gate, entered := make(chan struct{}), make(chan struct{}, 100)
	f := openFixtureOn(t, &vfs.Fault{FS: vfs.OS{}, Hook: func(op vfs.Op, name string) error {
		if op == vfs.OpSync && strings.Contains(name, "t-0") && strings.HasSuffix(name, ".log") {
			entered <- struct{}{}
			<-gate
		}
		return nil
	}}, t.TempDir(), metadata.NewUUID().String())
	f.publish(&metadata.TopicRecord{Name: "t", TopicID: id("t")}, place("t", 0, node, node), config("t", "flush.messages", "1"))
	p := f.partition("t", 0)
	answers := make(chan string, 3)
	put := func(acks int16) {
		t.Helper()
		info, err := p.Append(batch("a"), acks, NoEpoch, log.Client)
		if err != nil || !info.Pending {
			t.Fatalf("%+v, %v", info, err)
		}
		await, name := p.AwaitCommit, "all"
		if acks == AcksLeader {
			await, name = p.AwaitFlush, "one"
		}
		if await(info.LastOffset, info.LeaderEpoch, func(error) {
			answers <- name
		}) == nil {
			t.Fatal("answered before the disk has it")
		}
	}
	put(AcksLeader)
	<-entered
	put(AcksAll)
	put(AcksLeader)
	gate <- struct{}{}
	<-entered // the second fsync begins when the first one's appends are answered
	if len(answers) != 1 || <-answers != "one" || p.Log().EndOffset() != 1 {
		t.Fatalf("after the first fsync %d more are answered, and the end is %d", len(answers), p.Log().EndOffset())
	}
	close(gate) // and no fsync waits any more
	f.publish(&metadata.PartitionChangeRecord{TopicID: id("t"), Leader: 2, LeaderRecoveryState: -1, Replicas: []int32{node, 2}, ISR: []int32{2}})
	if end := p.Log().EndOffset(); end != 3 {
		t.Fatalf("the leader resigned with its log's end at %d, and 3 records written", end)
	}
	<-answers // or told that this broker leads no more
	<-answers
}
