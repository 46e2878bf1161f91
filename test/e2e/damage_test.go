package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/server"
)

// sealed lists the segments of a partition on a node that are not appended to, oldest first.
func sealed(t *testing.T, s *server.Server, partition string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(s.Dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && filepath.Base(filepath.Dir(path)) == partition && strings.HasSuffix(path, ".log") {
			files = append(files, path)
		}
		return nil
	})
	slices.Sort(files)
	if err != nil || len(files) < 4 {
		t.Fatalf("%s of %s has segments %v, %v", partition, s.Dir, files, err)
	}
	return files[:len(files)-1]
}

// damageFile flips a bit in the middle of a file.
func damageFile(t *testing.T, path string) (before []byte) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{before[len(before)/2] ^ 0x10}, int64(len(before)/2)); err != nil {
		t.Fatal(err)
	}
	return before
}

func awaitFile(t *testing.T, path string, want []byte) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		got, err := os.ReadFile(path)
		if err == nil && bytes.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not repaired: %v", path, err)
		}
	}
}

// TestDamageIsRepaired: bits flip in segments of a leader and of a follower, while the process runs and while it is stopped.
// Consumers read what was written, the files are whole again, and gregor check agrees.
func TestDamageIsRepaired(t *testing.T) {
	c := startCluster(t, "log.scrub.interval.ms=500", "unclean.leader.election.enable=false")
	h := newHeavyTopic(t, c)
	h.produce(60)
	leader := h.leader()
	follower := leader%3 + 1
	// While they run: the scrub finds it.
	for _, id := range []int32{leader, follower} {
		path := sealed(t, c.Node(id), "t-0")[1]
		want := damageFile(t, path)
		awaitFile(t, path, want)
		awaitLog(t, c.Node(id), "a damaged range was copied from another replica") // told after the file is whole
	}
	h.check()
	// While one is stopped: what reads it first finds it.
	for _, id := range []int32{leader, follower} {
		path := sealed(t, c.Node(id), "t-0")[0]
		if err := c.Node(id).Stop(); err != nil {
			t.Fatal(err)
		}
		want := damageFile(t, path)
		c.Node(id).Restart(t)
		h.check()
		awaitFile(t, path, want)
	}
	h.checkFiles()
}

// TestDamageOfTheOnlyReplica: what is whole is served, the rest is an error that clients ask again after, and the log tells
// the place.
func TestDamageOfTheOnlyReplica(t *testing.T) {
	if server.Apache() {
		t.Skip("a broker of ours")
	}
	s := server.Start(t, server.Options{Ours: true})
	client.Create(t, s.Addr, "t", 1, "segment.bytes", "1048576")
	cl := client.New(t, s.Addr, kgo.ProducerBatchCompression(kgo.NoCompression()))
	const n = 60
	for i := range n {
		client.Produce(t, cl, &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 100_000))})
	}
	path := sealed(t, s, "t-0")[1]
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	damageFile(t, path)
	s.Restart(t)
	reader := client.New(t, s.Addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().At(n - 5)}}))
	if got := reader.PollFetches(client.Context(t)); got.NumRecords() == 0 || got.Err() != nil {
		t.Errorf("behind the damage: %d records, %v", got.NumRecords(), got.Err())
	}
	first := client.New(t, s.Addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().At(0)}}))
	last, deadline := int64(-1), time.Now().Add(20*time.Second)
	for !strings.Contains(s.Log(), "damage found in a segment") && time.Now().Before(deadline) {
		polling, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond) // nothing comes of what is damaged
		first.PollRecords(polling, 10).EachRecord(func(r *kgo.Record) { last = r.Offset })
		cancel()
	}
	if text := s.Log(); !strings.Contains(text, filepath.Base(path)) || !strings.Contains(text, "damage found in a segment") {
		t.Error("the log does not tell the place")
	}
	if last >= n-1 {
		t.Errorf("records up to %d were served", last)
	}
}
