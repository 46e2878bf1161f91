package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestInternalTopicsStaySmall commits offsets and ends transactions again and again, with small segments: what is kept of
// it is compacted, survives a restart, and goes on being compacted.
func TestInternalTopicsStaySmall(t *testing.T) {
	dir := t.TempDir()
	props := []string{"offsets.topic.num.partitions=1", "transaction.state.log.num.partitions=1",
		"log.cleaner.backoff.ms=20", "log.cleaner.delete.retention.ms=1", "log.segment.delete.delay.ms=1"}
	n := run(t, dir, props...)
	admin := kadm.NewClient(client(t, n))
	if _, err := admin.CreateTopic(within(t), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	work := func(from int64) {
		t.Helper()
		txn := client(t, n, kgo.TransactionalID("tx"), kgo.DefaultProduceTopic("t"))
		admin := kadm.NewClient(client(t, n))
		for at := from; at < from+150; at++ {
			offsets := kadm.Offsets{}
			offsets.Add(kadm.Offset{Topic: "t", Partition: 0, At: at, LeaderEpoch: -1})
			if err := admin.CommitAllOffsets(within(t), "g", offsets); err != nil {
				t.Fatal(err)
			}
			if at%5 != 0 {
				continue
			}
			if err := txn.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := txn.ProduceSync(within(t), kgo.StringRecord("x")).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := txn.EndTransaction(within(t), kgo.TryCommit); err != nil {
				t.Fatal(err)
			}
		}
	}
	narrow := func() {
		t.Helper()
		size := "4096"
		for _, topic := range []string{"__consumer_offsets", "__transaction_state"} {
			altered, err := admin.AlterTopicConfigs(within(t), []kadm.AlterConfig{{Name: "internal.segment.bytes", Value: &size}}, topic)
			if err == nil {
				_, err = altered.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	small := func() {
		t.Helper()
		for _, topic := range []string{"__consumer_offsets-0", "__transaction_state-0"} {
			deadline := time.Now().Add(20 * time.Second)
			for size := int64(1 << 62); size > 3*4096; {
				if time.Now().After(deadline) {
					t.Fatalf("%s has %d bytes", topic, size)
				}
				size = segmentBytes(t, filepath.Join(dir, topic))
			}
		}
	}
	work(0)
	narrow()
	work(150)
	small()
	stop(t, n)
	n = run(t, dir, props...)
	work(300)
	small()
	got, err := kadm.NewClient(client(t, n)).FetchOffsets(within(t), "g")
	if o, ok := got.Lookup("t", 0); err != nil || !ok || o.At != 449 {
		t.Fatalf("the group is at %+v, %v", o, err)
	}
}

// segmentBytes is the size of the segments of a partition.
func segmentBytes(t *testing.T, dir string) (n int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil { // else just compacted
			n += info.Size()
		}
	}
	return n
}
