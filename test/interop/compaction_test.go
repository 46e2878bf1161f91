package interop

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/server"
)

// compacting makes a broker look for logs to compact all the time.
var compacting = []string{"log.cleaner.backoff.ms=200", "offsets.topic.num.partitions=3", "transaction.state.log.num.partitions=3",
	"offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1"}

// TestCompactedDirectoryChangesHands: what one broker has compacted, with transactions, the other goes on with and compacts
// again, and dump-log reads every file in between.
func TestCompactedDirectoryChangesHands(t *testing.T) {
	for _, first := range []bool{false, true} {
		t.Run(map[bool]string{false: "ours first", true: "apache first"}[first], func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			want := map[string]string{}
			round := 0
			for _, apache := range []bool{first, !first, first} {
				s := server.Start(t, server.Options{Dir: dir, Apache: apache, Extra: compacting})
				if round == 0 {
					client.Create(t, s.Addr, "compacted", 1, "cleanup.policy", "compact", "segment.bytes", "1048576",
						"min.cleanable.dirty.ratio", "0.01", "delete.retention.ms", "0")
				} else {
					sameLast(t, s, want)
				}
				round++
				fillCompacted(t, s, want, round)
				waitCompacted(t, s, want)
				sameLast(t, s, want)
				if err := s.Stop(); err != nil {
					t.Fatal(err)
				}
				dumpCompacted(t, filepath.Join(dir, "compacted-0"))
			}
		})
	}
}

// fillCompacted writes a few keys again and again: outside of transactions, and in some that commit or abort.
func fillCompacted(t *testing.T, s *server.Server, want map[string]string, round int) {
	t.Helper()
	plain := client.New(t, s.Addr, kgo.DefaultProduceTopic("compacted"), kgo.ProducerBatchMaxBytes(20_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	txn := client.New(t, s.Addr, kgo.DefaultProduceTopic("compacted"), kgo.TransactionalID(fmt.Sprint("tx-", round)), kgo.ProducerBatchMaxBytes(20_000))
	pad := strings.Repeat("x", 1000)
	for i := range 30 {
		var records []*kgo.Record
		for n := range 150 {
			key := fmt.Sprint("key-", n%50)
			r := &kgo.Record{Key: []byte(key), Value: fmt.Appendf(nil, "%d %d %d %s", round, i, n, pad)}
			if n%49 == 7 && i%3 == 0 {
				r.Value = nil
			}
			records = append(records, r)
			want[key] = string(r.Value)
		}
		client.Produce(t, plain, records...)
		commit := i%2 == 0
		if err := txn.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for n := range 10 {
			key := fmt.Sprint("txn-", n)
			r := &kgo.Record{Key: []byte(key), Value: fmt.Appendf(nil, "%d %d %v", round, i, commit)}
			client.Produce(t, txn, r)
			if commit {
				want[key] = string(r.Value)
			}
		}
		if err := txn.EndTransaction(client.Context(t), kgo.TransactionEndTry(commit)); err != nil {
			t.Fatal(err)
		}
	}
	client.Produce(t, plain, &kgo.Record{Key: []byte("end"), Value: fmt.Append(nil, round)})
	want["end"] = fmt.Sprint(round)
}

func waitCompacted(t *testing.T, s *server.Server, want map[string]string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		n := len(readToEnd(t, s, want["end"]))
		if n < 3000 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d records are left", n)
		}
	}
}

// readToEnd reads what is committed up to the record of the key "end" with a value.
func readToEnd(t *testing.T, s *server.Server, value string) (records []*kgo.Record) {
	t.Helper()
	c := client.New(t, s.Addr, kgo.ConsumeTopics("compacted"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer c.Close()
	for {
		fetches := c.PollFetches(client.Context(t))
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
		for _, r := range fetches.Records() {
			if string(r.Key) == "end" && string(r.Value) == value {
				return records
			}
		}
	}
}

// sameLast compares the last committed value of each key.
func sameLast(t *testing.T, s *server.Server, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, r := range readToEnd(t, s, want["end"]) {
		got[string(r.Key)] = string(r.Value)
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %.30q, want %.30q", key, got[key], value)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s was never committed", key)
		}
	}
}

// dumpCompacted has dump-log read every file of a partition. Gaps between offsets, which compaction leaves, are fine.
func dumpCompacted(t *testing.T, dir string) {
	t.Helper()
	runner, err := kafka(t).StartRunner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer runner.Close()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, file := range files {
		kind := filepath.Ext(file)
		var flags []string
		switch kind {
		case ".log":
			flags = []string{"--deep-iteration", "--print-data-log"}
		case ".index", ".timeindex":
			flags = []string{"--index-sanity-check"}
		case ".txnindex", ".snapshot":
		default:
			continue
		}
		result, err := runner.Run(toolTimeout, "", "dump-log", append([]string{"--files", file}, flags...)...)
		if err != nil {
			t.Fatal(err)
		}
		complaint := ""
		for line := range strings.Lines(result.Stderr) {
			if !strings.Contains(line, "Non-consecutive offsets in") && !strings.Contains(line, " is followed by ") && strings.TrimSpace(line) != "" {
				complaint += line
			}
		}
		if result.Code != 0 || complaint != "" || badDump.MatchString(result.Stdout) {
			t.Errorf("dump-log of %s: exit code %d\n%s\n%s", file, result.Code, complaint, badDump.FindString(result.Stdout))
		}
		kinds[kind]++
	}
	t.Logf("files read: %v", kinds)
	for _, kind := range []string{".log", ".index", ".timeindex", ".snapshot", ".txnindex"} {
		if kinds[kind] == 0 {
			t.Errorf("no %s file was there to read", kind)
		}
	}
}
