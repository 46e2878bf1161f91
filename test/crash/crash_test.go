// Package crash kills brokers in the middle of their work and looks at what is there afterwards.
package crash

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

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
	random := rand.New(rand.NewPCG(newSeed(t), 0))
	s := server.Start(t, server.Options{Extra: []string{"offsets.topic.num.partitions=2", "log.flush.offset.checkpoint.interval.ms=200"}})
	client.Create(t, s.Addr, "written", partitions, "segment.bytes", "1048576", "index.interval.bytes", "200")

	places := placesOf(partitions, "written")
	w := startWriters(t, s.Addr, places)
	r := startReader(t, s.Addr, places)
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
			tear(t, random, places, s.Dir)
		}
		down := time.Now()
		s.Restart(t)
		downtime += time.Since(down)

		// What was acknowledged before the kill must come now, before the writers' repeats could make up for it.
		checkEnds(t, admin, round, places, acknowledged)
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
	checkAll(t, s.Addr, places, written)
	listed, err := admin.ListTopics(client.Context(t), topics...)
	if err != nil || listed.Error() != nil {
		t.Errorf("created topics: %v, %v", err, listed.Error())
	}
}

// newSeed is the seed of a test's random choices: the one asked for, or a new one, which a log of a failure tells.
func newSeed(t *testing.T) uint64 {
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("-seed %d", n)
	return n
}

// tear leaves behind the last record of a partition what a write that did not finish would: zeros, or half a batch.
func tear(t *testing.T, random *rand.Rand, places []place, dirs ...string) {
	t.Helper()
	segments := segmentsOf(t, places[random.IntN(len(places))], dirs...)
	var err error
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

// segmentsOf gives the segment files of a partition in order.
func segmentsOf(t *testing.T, p place, dirs ...string) (paths []string) {
	t.Helper()
	for _, dir := range dirs {
		found, err := filepath.Glob(filepath.Join(dir, p.String(), "*.log"))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		t.Fatalf("%v has no segments", p)
	}
	slices.Sort(paths)
	return paths
}

func placesOf(partitions int, topics ...string) (places []place) {
	for _, topic := range topics {
		for p := range partitions {
			places = append(places, place{topic, int32(p)})
		}
	}
	return places
}

func topicsOf(places []place) (topics []string) {
	for _, p := range places {
		if !slices.Contains(topics, p.topic) {
			topics = append(topics, p.topic)
		}
	}
	return topics
}

// checkEnds fails when a log ends before a record that was acknowledged.
func checkEnds(t *testing.T, admin *kadm.Client, round int, places []place, acknowledged []int) {
	t.Helper()
	var listed kadm.ListedOffsets
	client.Retry(t, func() (err error) {
		listed, err = admin.ListEndOffsets(client.Context(t), topicsOf(places)...)
		listed.Each(func(o kadm.ListedOffset) { err = errors.Join(err, o.Err) })
		return err
	})
	for i, p := range places {
		if end, _ := listed.Lookup(p.topic, p.partition); end.Offset < int64(acknowledged[i]) {
			t.Fatalf("round %d: %v had %d acknowledged records, its log ends at %d", round, p, acknowledged[i], end.Offset)
		}
	}
}

// checkAll reads every partition from its first record: what was acknowledged, in order, once, and nothing else.
func checkAll(t *testing.T, addr string, places []place, written []int) {
	t.Helper()
	for i, p := range places {
		records := client.ReadPartition(t, addr, p.topic, p.partition, -1)
		if len(records) != written[i] {
			t.Errorf("%v holds %d records, %d were acknowledged", p, len(records), written[i])
		}
		for i, record := range records {
			if number(record) != i {
				t.Fatalf("%v: record %d at offset %d, want %d", p, number(record), record.Offset, i)
			}
		}
	}
}
