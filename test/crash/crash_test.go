// Package crash kills brokers in the middle of their work and looks at what is there afterwards.
package crash

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/server"
)

var (
	crashes = flag.Int("crashes", 10, "how often the broker is killed")
	seed    = flag.Uint64("seed", 0, "of the random choices; 0: a new one")
)

func TestMain(m *testing.M) { server.Main(m) }

const partitions = 3

// TestKill kills the broker with SIGKILL while idempotent producers write with acks=all, again and again. After each
// restart every acknowledged record is there, in order, once; and so are committed offsets and created topics.
func TestKill(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	s := server.Start(t, server.Options{Extra: []string{"offsets.topic.num.partitions=2", "log.flush.offset.checkpoint.interval.ms=200"}})
	client.Create(t, s.Addr, "written", partitions, "segment.bytes", "1048576", "index.interval.bytes", "200")

	w := startWriters(t, s.Addr)
	r := startReader(t, s.Addr)
	admin := kadm.NewClient(client.New(t, s.Addr))
	topics := []string{"written"}
	var downtime time.Duration
	for round := range *crashes {
		w.waitFor(t, w.total()+1+random.IntN(300))
		committed := kadm.Offsets{}
		committed.Add(kadm.Offset{Topic: "written", Partition: 0, At: int64(round), Metadata: strconv.Itoa(round), LeaderEpoch: -1})
		client.Retry(t, func() error { return admin.CommitAllOffsets(client.Context(t), "remembered", committed) })
		if round%10 == 0 {
			topics = append(topics, fmt.Sprintf("topic-%d", round))
			client.Create(t, s.Addr, topics[len(topics)-1], 1)
		}
		w.waitFor(t, w.total()+1+random.IntN(300))

		acknowledged := w.acknowledged()
		s.Kill()
		if round%3 == 0 {
			tear(t, s.Dir, random)
		}
		down := time.Now()
		s.Restart(t)
		downtime += time.Since(down)

		// What was acknowledged before the kill must come now, before the writers' repeats could make up for it.
		ends := endOffsets(t, admin)
		for p, n := range acknowledged {
			if ends[p] < int64(n) {
				t.Fatalf("round %d: partition %d had %d acknowledged records, its log ends at %d", round, p, n, ends[p])
			}
		}
		r.waitFor(t, acknowledged)
		var offsets kadm.OffsetResponses
		client.Retry(t, func() (err error) {
			offsets, err = admin.FetchOffsets(client.Context(t), "remembered")
			return err
		})
		if o, _ := offsets.Lookup("written", 0); o.At != int64(round) || o.Metadata != strconv.Itoa(round) {
			t.Fatalf("round %d: the committed offset is %d (%q)", round, o.At, o.Metadata)
		}
	}
	written := w.stop(t)
	t.Logf("%d kills, %v records acknowledged, %v from a start to serving", *crashes, written, (downtime / time.Duration(*crashes)).Round(time.Millisecond))

	// The whole once more, from the first record, after an orderly end.
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s.Restart(t)
	for p, n := range written {
		records := client.ReadPartition(t, s.Addr, "written", int32(p), -1)
		if len(records) != n {
			t.Errorf("partition %d holds %d records, %d were acknowledged", p, len(records), n)
		}
		for i, record := range records {
			if number(record) != i {
				t.Fatalf("partition %d: record %d at offset %d, want %d", p, number(record), record.Offset, i)
			}
		}
	}
	listed, err := admin.ListTopics(client.Context(t), topics...)
	if err != nil || listed.Error() != nil {
		t.Errorf("created topics: %v, %v", err, listed.Error())
	}
}

// tear leaves behind the last record of a partition what a write that did not finish would: zeros, or half a batch.
func tear(t *testing.T, dir string, random *rand.Rand) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(dir, fmt.Sprintf("written-%d", random.IntN(partitions)), "*.log"))
	if err != nil || len(segments) == 0 {
		t.Fatal("no segments", err)
	}
	slices.Sort(segments)
	last := segments[len(segments)-1]
	torn := make([]byte, 1+random.IntN(4096))
	if random.IntN(2) == 0 {
		torn, err = os.ReadFile(last)
		if err != nil {
			t.Fatal(err)
		}
		torn = torn[:min(len(torn), 1+random.IntN(60))] // less than a batch's header
	}
	f, err := os.OpenFile(last, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(torn)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func endOffsets(t *testing.T, admin *kadm.Client) [partitions]int64 {
	t.Helper()
	var ends [partitions]int64
	client.Retry(t, func() error {
		listed, err := admin.ListEndOffsets(client.Context(t), "written")
		listed.Each(func(o kadm.ListedOffset) {
			ends[o.Partition] = o.Offset
			err = errors.Join(err, o.Err)
		})
		return err
	})
	return ends
}

func number(r *kgo.Record) int {
	n, err := strconv.Atoi(string(r.Key))
	if err != nil {
		return -1
	}
	return n
}

// writers is one idempotent producer a partition, each with its own codec, that numbers its records.
type writers struct {
	mu     sync.Mutex
	acked  [partitions]int
	failed error
	change chan struct{}
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func startWriters(t *testing.T, addr string) *writers {
	ctx, cancel := context.WithCancel(context.Background())
	w := &writers{change: make(chan struct{}, 1), cancel: cancel}
	codecs := client.Sorted(client.Codecs)
	for p := range partitions {
		c := client.New(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()),
			kgo.StopProducerOnDataLossDetected(), kgo.ProducerBatchCompression(client.Codecs[codecs[p%len(codecs)]]),
			kgo.MaxBufferedRecords(100), kgo.ProducerLinger(0), kgo.RecordRetries(1_000_000))
		w.done.Go(func() { w.write(ctx, c, int32(p)) })
	}
	t.Cleanup(func() { cancel(); w.done.Wait() })
	return w
}

func (w *writers) write(ctx context.Context, c *kgo.Client, partition int32) {
	payload := make([]byte, 2000)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	for i := 0; ctx.Err() == nil; i++ {
		record := &kgo.Record{Topic: "written", Partition: partition, Key: strconv.AppendInt(nil, int64(i), 10), Value: payload[:i*31%len(payload)]}
		// The producer's context is not the loop's: what was begun is to be finished.
		c.Produce(context.Background(), record, func(r *kgo.Record, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			switch {
			case err != nil:
				w.failed = errors.Join(w.failed, fmt.Errorf("partition %d, record %s: %w", partition, r.Key, err))
			case r.Offset != int64(number(r)):
				w.failed = errors.Join(w.failed, fmt.Errorf("partition %d, record %s was acknowledged at offset %d", partition, r.Key, r.Offset))
			default:
				w.acked[partition] = number(r) + 1
			}
			select {
			case w.change <- struct{}{}:
			default:
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), client.Patience)
	defer cancel()
	if err := c.Flush(ctx); err != nil {
		w.mu.Lock()
		w.failed = errors.Join(w.failed, fmt.Errorf("partition %d, last records: %w", partition, err))
		w.mu.Unlock()
	}
}

func (w *writers) acknowledged() [partitions]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acked
}

func (w *writers) total() (n int) {
	for _, a := range w.acknowledged() {
		n += a
	}
	return n
}

// waitFor waits until so many records are acknowledged.
func (w *writers) waitFor(t *testing.T, total int) {
	t.Helper()
	ctx := client.Context(t)
	for w.total() < total {
		select {
		case <-w.change:
		case <-ctx.Done():
			t.Fatalf("%d records acknowledged, want %d", w.total(), total)
		}
		w.mu.Lock()
		err := w.failed
		w.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// stop ends the writers when everything they sent is acknowledged.
func (w *writers) stop(t *testing.T) [partitions]int {
	t.Helper()
	w.cancel()
	w.done.Wait()
	if w.failed != nil {
		t.Fatal(w.failed)
	}
	return w.acknowledged()
}

// reader follows every partition through all crashes and checks that numbers come without a gap and without a repeat.
type reader struct {
	mu     sync.Mutex
	next   [partitions]int
	failed error
	change chan struct{}
}

func startReader(t *testing.T, addr string) *reader {
	offsets := map[int32]kgo.Offset{}
	for p := range int32(partitions) {
		offsets[p] = kgo.NewOffset().At(0)
	}
	c := client.New(t, addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"written": offsets}), kgo.FetchMaxWait(100*time.Millisecond))
	r := &reader{change: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			fetches := c.PollFetches(ctx)
			r.mu.Lock()
			fetches.EachError(func(_ string, p int32, err error) {
				var lost *kgo.ErrDataLoss
				if errors.As(err, &lost) {
					r.failed = fmt.Errorf("partition %d: %w", p, err)
				}
			})
			fetches.EachRecord(func(record *kgo.Record) {
				if want := r.next[record.Partition]; number(record) != want && r.failed == nil {
					r.failed = fmt.Errorf("partition %d: record %d at offset %d, want %d", record.Partition, number(record), record.Offset, want)
				}
				r.next[record.Partition]++
			})
			r.mu.Unlock()
			select {
			case r.change <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

func (r *reader) waitFor(t *testing.T, want [partitions]int) {
	t.Helper()
	ctx := client.Context(t)
	for {
		r.mu.Lock()
		next, failed := r.next, r.failed
		r.mu.Unlock()
		if failed != nil {
			t.Fatal(failed)
		}
		missing := false
		for p := range want {
			missing = missing || next[p] < want[p]
		}
		if !missing {
			return
		}
		select {
		case <-r.change:
		case <-ctx.Done():
			t.Fatalf("read up to %v, acknowledged were %v", next, want)
		}
	}
}
