package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"gregor/internal/config"
	"gregor/internal/log"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// run starts a node with its data in dir that ends with the test.
func run(t *testing.T, dir string, props ...string) *Node {
	t.Helper()
	n, err := start(t, dir, props...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func start(t *testing.T, dir string, props ...string) (*Node, error) {
	t.Helper()
	m := map[string]string{"listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": dir, "group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "3"}
	if err := config.Override(m, props); err != nil {
		t.Fatal(err)
	}
	v, _, err := config.ParseBroker(m)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Start(t.Context(), Options{Config: v, Logs: NewLogs(t.Output(), slog.LevelInfo)})
	if err == nil {
		t.Cleanup(func() { stop(t, n) })
	}
	return n, err
}

func stop(t *testing.T, n *Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Error(err)
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func client(t *testing.T, n *Node, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(n.Addr(""))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestProduceAndConsume: what is produced before a restart is consumed after it, and a group goes on where it was.
func TestProduceAndConsume(t *testing.T) {
	dir, ctx := t.TempDir(), within(t)
	n := run(t, dir)
	c := client(t, n)
	if _, err := kadm.NewClient(c).CreateTopic(ctx, 3, 1, map[string]*string{"retention.ms": kadm.StringPtr("100000000")}, "t"); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		c.Produce(ctx, &kgo.Record{Topic: "t", Key: fmt.Append(nil, i), Value: fmt.Appendf(nil, "value %d", i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if got := readGroup(t, n, 100); len(got) != 100 {
		t.Fatalf("%d values", len(got))
	}
	id, cluster := n.NodeID(), n.ClusterID()
	stop(t, n)

	n = run(t, dir)
	if n.NodeID() != id || n.ClusterID() != cluster {
		t.Errorf("node %d of %s was node %d of %s", n.NodeID(), n.ClusterID(), id, cluster)
	}
	c = client(t, n)
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("after")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if got := readGroup(t, n, 1); len(got) != 1 || got[0] != "after" {
		t.Errorf("the group goes on with %q", got)
	}
}

// readGroup reads so many records as a group and commits them.
func readGroup(t *testing.T, n *Node, count int) []string {
	t.Helper()
	ctx := within(t)
	c := client(t, n, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer c.Close()
	var values []string
	for len(values) < count {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		f.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	if err := c.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	slices.Sort(values)
	return values
}

func TestSecondStartIsRefused(t *testing.T) {
	dir := t.TempDir()
	n := run(t, dir)
	_, port, _ := net.SplitHostPort(n.Addr(""))
	me := fmt.Sprintf("process %d", os.Getpid())

	_, err := start(t, t.TempDir(), "listeners=PLAINTEXT://127.0.0.1:"+port)
	if !errors.Is(err, ErrPortInUse) || runtime.GOOS == "linux" && !strings.Contains(err.Error(), me) {
		t.Errorf("the same port: %v", err)
	}
	_, err = start(t, dir)
	if !errors.Is(err, log.ErrLocked) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "this process") {
		t.Errorf("the same directory: %v", err)
	}
	// The one that runs is not harmed.
	if _, err := kadm.NewClient(client(t, n)).ListBrokers(within(t)); err != nil {
		t.Error(err)
	}
}

// What is wrong with a directory is said together with the setting to change.
func TestUnusableDirectoryNamesTheSetting(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := start(t, dir); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "use another directory in log.dirs") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	held, other := t.TempDir(), t.TempDir()
	run(t, t.TempDir(), "metadata.log.dir="+held)
	if _, err := start(t, other, "metadata.log.dir="+held); err == nil || !strings.Contains(err.Error(), "use another directory in metadata.log.dir") {
		t.Errorf("metadata directory in use: %v", err)
	}
}

func TestOtherNodesDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	stop(t, run(t, dir, "node.id=4"))
	before := tree(t, dir)
	if _, err := start(t, dir, "node.id=5"); !errors.Is(err, ErrIdentity) || !strings.Contains(err.Error(), "node 4") || !strings.Contains(err.Error(), "node 5") {
		t.Errorf("another node's: %v", err)
	}
	if _, err := start(t, dir, "cluster.id=elsewhere"); !errors.Is(err, ErrIdentity) || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("another cluster's: %v", err)
	}
	if after := tree(t, dir); !slices.Equal(before, after) {
		t.Errorf("files %v became %v", before, after)
	}
	if n := run(t, dir); n.NodeID() != 4 {
		t.Errorf("without an id it is node %d", n.NodeID())
	}
}

func tree(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			files = append(files, fmt.Sprint(path, info.Size(), info.ModTime()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestTwoNodesInOneProcess(t *testing.T) {
	ctx := within(t)
	a, b := run(t, t.TempDir(), "node.id=1"), run(t, t.TempDir(), "node.id=2")
	for _, n := range []*Node{a, b} {
		name := fmt.Sprintf("only-on-%d", n.NodeID())
		if _, err := kadm.NewClient(client(t, n)).CreateTopic(ctx, 1, 1, nil, name); err != nil {
			t.Fatal(err)
		}
	}
	if a.ClusterID() == b.ClusterID() {
		t.Error("two nodes that do not know each other are one cluster")
	}
	topics, err := kadm.NewClient(client(t, a)).ListTopics(ctx)
	if err != nil || !slices.Equal(topics.Names(), []string{"only-on-1"}) {
		t.Errorf("topics %v, %v", topics.Names(), err)
	}
}

func TestSeveralDirectories(t *testing.T) {
	ctx := within(t)
	root := t.TempDir()
	a, b, m := filepath.Join(root, "a"), filepath.Join(root, "b"), filepath.Join(root, "meta")
	n := run(t, root, "log.dirs="+a+","+b, "metadata.log.dir="+m)
	if _, err := kadm.NewClient(client(t, n)).CreateTopic(ctx, 4, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{a, b} {
		if found, _ := filepath.Glob(filepath.Join(dir, "t-*")); len(found) != 2 {
			t.Errorf("%s has %v", dir, found)
		}
	}
	if _, err := os.Stat(filepath.Join(m, "__cluster_metadata-0")); err != nil {
		t.Error(err)
	}
	stop(t, n)
	run(t, root, "log.dirs="+a+","+b, "metadata.log.dir="+m)
}

// A broker that was killed leads nothing until it is registered again: it begins one leader epoch, not two.
func TestStartAfterAKillBeginsOneEpoch(t *testing.T) {
	dir, killed := t.TempDir(), t.TempDir()
	n := run(t, dir)
	c := client(t, n)
	adm := kadm.NewClient(c)
	if _, err := adm.CreateTopic(within(t), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	if err := adm.CommitAllOffsets(within(t), "g", kadm.OffsetsFromRecords(kgo.Record{Topic: "t"})); err != nil {
		t.Fatal(err)
	}
	copyLogs(t, dir, killed) // what a broker leaves that does not end by itself

	var logged bytes.Buffer
	v, _, err := config.ParseBroker(map[string]string{"listeners": "PLAINTEXT://127.0.0.1:0", "advertised.listeners": "PLAINTEXT://broker.example:19092", "log.dirs": killed})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Start(t.Context(), Options{Config: v, Logs: NewLogs(&logged, slog.LevelDebug)})
	if err != nil {
		t.Fatal(err)
	}
	listens := again.bound[0].port()
	stop(t, again)
	loaded := map[string]int{}
	for line := range strings.Lines(logged.String()) {
		if strings.Contains(line, "coordinator loaded") {
			loaded[regexp.MustCompile(`partition=\d+`).FindString(line)]++
		}
		if strings.Contains(line, "[node] started") && !strings.Contains(line, fmt.Sprintf("listening=[PLAINTEXT://127.0.0.1:%d] advertised=[PLAINTEXT://broker.example:19092]", listens)) {
			t.Errorf("where it listens and what it advertises is not said: %s", line)
		}
	}
	if want := map[string]int{"partition=0": 1, "partition=1": 1, "partition=2": 1}; !maps.Equal(loaded, want) {
		t.Errorf("coordinators were loaded %v times, want %v", loaded, want)
	}
}

// copyLogs copies a data directory but for the indexes, which are made anew.
func copyLogs(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.Walk(from, func(path string, info os.FileInfo, err error) error {
		if err != nil || strings.HasSuffix(path, "index") {
			return err
		}
		copied := filepath.Join(to, strings.TrimPrefix(path, from))
		if info.IsDir() {
			return os.MkdirAll(copied, 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(copied, b, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestStartIsQuick: the bound is generous; what is aimed at is 100 ms on an empty directory.
func TestStartIsQuick(t *testing.T) {
	var best time.Duration
	for range 3 {
		began := time.Now()
		n := run(t, t.TempDir())
		if _, err := kadm.NewClient(client(t, n)).ListBrokers(within(t)); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		if best == 0 || took < best {
			best = took
		}
		stop(t, n)
	}
	t.Logf("from start to an answer: %v", best)
	if best > time.Second {
		t.Errorf("%v from start to an answer", best)
	}
}

func TestNoGoroutineIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	n := run(t, t.TempDir())
	c := client(t, n, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.AllowAutoTopicCreation())
	if err := c.ProduceSync(within(t), &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if f := c.PollFetches(within(t)); f.Err() != nil {
		t.Fatal(f.Err())
	}
	stop(t, n) // with the client connected and polling
	c.Close()
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if after := runtime.NumGoroutine(); after > before {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before\n%s", after, before, buf[:runtime.Stack(buf, true)])
	}
}

func TestCloseIsQuickWithAClientThatPolls(t *testing.T) {
	n := run(t, t.TempDir())
	c := client(t, n, kgo.ConsumeTopics("t"), kgo.AllowAutoTopicCreation(), kgo.FetchMaxWait(30*time.Second))
	if err := c.ProduceSync(within(t), &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if f := c.PollFetches(within(t)); f.Err() != nil {
		t.Fatal(f.Err())
	}
	began := time.Now()
	stop(t, n)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("closing took %v", took)
	}
}

func TestLogsNothingWithoutLogs(t *testing.T) {
	v := values(t, map[string]string{"listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": t.TempDir()})
	n, err := Start(t.Context(), Options{Config: v})
	if err != nil {
		t.Fatal(err)
	}
	stop(t, n)
	_ = io.Discard
}
