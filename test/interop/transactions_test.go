package interop

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/reference"
	"gregor/test/server"
)

// exactlyOnce is a cluster whose acknowledged records survive the death of a broker.
var exactlyOnce = server.ClusterOptions{Extra: []string{"transaction.state.log.num.partitions=6"}}

// createSafe makes a topic with three replicas, two of which acknowledge.
func createSafe(t *testing.T, admin *kadm.Client, partitions int32, topics ...string) {
	t.Helper()
	minISR := "2"
	made, err := admin.CreateTopics(client.Context(t), partitions, 3, map[string]*string{"min.insync.replicas": &minISR}, topics...)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// readCommitted reads a topic to the end that it has now, as read_committed.
func readCommitted(t *testing.T, addr string, topic string, f func(*kgo.Record)) {
	t.Helper()
	cl := client.New(t, addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(client.Context(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// The end may be a marker, which is never given to a reader: reading is over when nothing comes any more.
	quiet := 0
	for len(left) > 0 && quiet < 20 {
		poll, end := context.WithTimeout(ctx, 200*time.Millisecond)
		fs := cl.PollFetches(poll)
		end()
		if ctx.Err() != nil {
			t.Fatalf("%s is not read: left %v", topic, left)
		}
		quiet++
		fs.EachRecord(func(r *kgo.Record) {
			quiet = 0
			f(r)
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
}

// streams is a process of WordCount.
type streams struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	done  chan struct{}

	mu      sync.Mutex
	running bool
	text    strings.Builder
}

func startStreams(ctx context.Context, t *testing.T, k *reference.Kafka, classes string, args ...string) *streams {
	t.Helper()
	s := &streams{cmd: k.Java(ctx, classes, "WordCount", args...), done: make(chan struct{})}
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = s.cmd.Stdout
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.mu.Lock()
			s.running = lines.Text() == "running" || s.running && lines.Text() != "error"
			fmt.Fprintln(&s.text, lines.Text())
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.done
		_ = s.cmd.Wait()
		if t.Failed() {
			t.Log(s.text.String())
		}
	})
	s.await(t, 2*time.Minute, "it runs", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.running
	})
	return s
}

func (s *streams) await(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); {
		select {
		case <-s.done:
			t.Fatalf("Streams ended before %s", what)
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// TestStreamsWordCount has Kafka Streams count words with exactly_once_v2 while it is killed and started again, and brokers
// are. Every word's counts must come out one after the other: 1, 2, 3, up to as often as it was written.
func TestStreamsWordCount(t *testing.T) {
	t.Parallel()
	k, err := reference.Fetch(t.Context(), reference.Version, "kafka-streams")
	if err != nil {
		t.Fatal(err)
	}
	classes, err := k.Compile(t.Context(), filepath.Join("java", "WordCount.java"))
	if err != nil {
		t.Fatal(err)
	}
	c := server.StartCluster(t, exactlyOnce)
	producer := client.New(t, c.Addrs()[0])
	admin := kadm.NewClient(producer)
	createSafe(t, admin, 3, "lines", "counts")
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()

	want := map[string]int{}
	written := 0
	write := func(lines int) {
		t.Helper()
		for range lines {
			words := []string{fmt.Sprint("w", written%7), fmt.Sprint("v", written%11), "all"}
			for _, w := range words {
				want[w]++
			}
			producer.Produce(ctx, &kgo.Record{Topic: "lines", Key: fmt.Append(nil, written), Value: []byte(strings.Join(words, " "))}, nil)
			written++
		}
		if err := producer.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	begin := func() *streams {
		return startStreams(ctx, t, k, classes, strings.Join(c.Addrs(), ","), "lines", "counts", t.TempDir())
	}
	counted := func() (last int) {
		readCommitted(t, c.Addrs()[0], "counts", func(r *kgo.Record) {
			if string(r.Key) == "all" {
				last, _ = strconv.Atoi(string(r.Value))
			}
		})
		return last
	}

	write(500)
	s := begin()
	for round := range 3 {
		before := counted()
		write(1000)
		s.await(t, 2*time.Minute, "it counts", func() bool { return counted() > before })
		if err := s.cmd.Process.Kill(); err != nil { // in the middle of its work
			t.Fatal(err)
		}
		<-s.done
		s = begin()
		c.Node(int32(round + 1)).Kill()
		write(300)
		c.Node(int32(round + 1)).Restart(t)
		awaitInSync(t, admin)
	}
	s.await(t, 2*time.Minute, "everything is counted", func() bool { return counted() == written })
	_ = s.stdin.Close()
	<-s.done

	got := map[string][]int{}
	readCommitted(t, c.Addrs()[0], "counts", func(r *kgo.Record) {
		n, _ := strconv.Atoi(string(r.Value))
		got[string(r.Key)] = append(got[string(r.Key)], n)
	})
	for _, word := range slices.Sorted(maps.Keys(want)) {
		counts := got[word]
		for i, n := range counts {
			if n != i+1 {
				t.Errorf("%q: count %d comes as number %d of %d", word, n, i+1, len(counts))
				break
			}
		}
		if len(counts) != want[word] {
			t.Errorf("%q was written %d times and counted %d times", word, want[word], len(counts))
		}
	}
}

// TestTransactionalMessageCopier runs Apache Kafka's own test program for transactions on a cluster whose brokers are killed
// one after the other: what it copies is there exactly once, though it aborts at random.
func TestTransactionalMessageCopier(t *testing.T) {
	t.Parallel()
	k := kafka(t)
	c := server.StartCluster(t, exactlyOnce)
	producer := client.New(t, c.Addrs()[0])
	admin := kadm.NewClient(producer)
	createSafe(t, admin, 2, "in", "out")
	const records = 12000
	for i := range records {
		producer.Produce(t.Context(), &kgo.Record{Topic: "in", Value: fmt.Append(nil, i)}, nil)
	}
	if err := producer.Flush(client.Context(t)); err != nil {
		t.Fatal(err)
	}
	ends, err := admin.ListEndOffsets(client.Context(t), "in")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var copiers sync.WaitGroup
	for p := range int32(2) {
		end, _ := ends.Lookup("in", p)
		cmd := k.Java(ctx, "", "org.apache.kafka.tools.TransactionalMessageCopier", "--transactional-id", fmt.Sprint("copier", p), "--broker-list", strings.Join(c.Addrs(), ","),
			"--input-topic", "in", "--input-partition", fmt.Sprint(p), "--output-topic", "out", "--consumer-group", fmt.Sprint("copiers", p),
			"--transaction-size", "10", "--max-messages", fmt.Sprint(end.Offset), "--transaction-timeout", "20000", "--enable-random-aborts")
		copiers.Go(func() {
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "ShutdownComplete") {
				t.Errorf("copier: %v\n%s", err, out)
			}
		})
	}
	over := make(chan struct{})
	go func() {
		copiers.Wait()
		close(over)
	}()
	written := func() int64 {
		now, err := admin.ListEndOffsets(client.Context(t), "out")
		if err != nil {
			return 0
		}
		first, _ := now.Lookup("out", 0)
		second, _ := now.Lookup("out", 1)
		return first.Offset + second.Offset
	}
	kills := 0
	for next, running := int64(500), true; running; {
		select {
		case <-over:
			running = false
		case <-time.After(20 * time.Millisecond):
			if written() < next {
				continue
			}
			c.Node(int32(kills%3 + 1)).Kill()
			c.Node(int32(kills%3 + 1)).Restart(t)
			awaitInSync(t, admin)
			kills++
			next = written() + 1000
		}
	}
	t.Logf("%d kills", kills)
	if kills == 0 {
		t.Error("the copiers ended before a broker was killed")
	}
	copied := map[string]int{}
	readCommitted(t, c.Addrs()[0], "out", func(r *kgo.Record) { copied[string(r.Value)]++ })
	missing, twice := 0, 0
	for i := range records {
		switch n := copied[fmt.Sprint(i)]; {
		case n == 0:
			missing++
		case n > 1:
			twice++
		}
	}
	if missing+twice > 0 || len(copied) != records {
		t.Errorf("%d records are missing, %d are there more than once, %d in all", missing, twice, len(copied))
	}
}

// TestTransactionLogFormatter reads __transaction_state with Apache Kafka's formatter and console consumer, and compares what
// a producer leaves there with what it leaves in Apache Kafka's.
func TestTransactionLogFormatter(t *testing.T) {
	k := kafka(t)
	leave := func(addr string) []string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		client.Create(t, addr, "t", 2)
		p := client.New(t, addr, kgo.TransactionalID("app"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
			if err := p.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := p.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: int32(i % 2), Value: []byte("x")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := p.EndTransaction(ctx, end); err != nil {
				t.Fatal(err)
			}
		}
		adm := kadm.NewClient(client.New(t, addr))
		for deadline := time.Now().Add(20 * time.Second); ; {
			d, err := adm.DescribeTransactions(ctx, "app")
			if err == nil && d["app"].State == "CompleteCommit" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%+v, %v", d, err)
			}
			<-time.After(50 * time.Millisecond)
		}
		cmd, err := k.Tool(ctx, "console-consumer", "--bootstrap-server", addr, "--topic", "__transaction_state", "--from-beginning", "--timeout-ms", "8000",
			"--formatter", "org.apache.kafka.tools.consumer.TransactionLogMessageFormatter")
		if err != nil {
			t.Fatal(err)
		}
		out, _ := cmd.Output() // it ends with a timeout
		text := regexp.MustCompile(`(Timestamp(Ms)?":)[0-9]+`).ReplaceAllString(string(out), "${1}N")
		text = regexp.MustCompile(`([pP]roducerId":)[0-9]+`).ReplaceAllString(text, "${1}P")
		return strings.Split(strings.ReplaceAll(text, `}}{"key"`, "}}\n{\"key\""), "\n")
	}
	ours := leave(server.Start(t, server.Options{Ours: true}).Addr)
	theirs := leave(server.Start(t, server.Options{Apache: true}).Addr)
	if len(theirs) < 10 || !slices.Equal(ours, theirs) {
		t.Errorf("ours:\n%s\nApache Kafka's:\n%s", strings.Join(ours, "\n"), strings.Join(theirs, "\n"))
	}
}
