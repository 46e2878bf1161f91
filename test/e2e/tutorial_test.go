package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gregor/test/server"
	"gregor/test/zookeeper"
)

const (
	tutorialTopic = "kafka_temp_topic"
	tutorialGroup = "kafka_temp_group"
)

// TestTutorial does what the reader of the tutorial does, with the commands of bin/ as they stand there and properties
// files of the same lines, on ports and directories of its own: a coordinator, three brokers, a topic with three
// partitions, a producer, and a group of three; then the ends and starts that a reader tries next.
func TestTutorial(t *testing.T) {
	if server.Apache() || runtime.GOOS == "windows" {
		t.Skip("bin/ is for our broker, and needs a shell")
	}
	t.Parallel() // most of it is waiting
	r := newReader(t)

	// 1. The coordinator, then three brokers.
	coordinator := r.startCoordinator()
	var brokers [3]*terminal
	for n := range brokers {
		brokers[n] = r.startBroker(n)
	}
	for n := range brokers {
		r.untilServes(n)
	}
	// The slip: server0.properties twice.
	twice := r.run("", "bin/kafka-server-start.sh config/server0.properties")
	for _, want := range []string{fmt.Sprintf("PLAINTEXT://localhost:%d", r.brokers[0]), filepath.Join(r.data, "kafka-logs-0"), "broker.id", "listeners", "log.dirs"} {
		if twice.code == 0 || !strings.Contains(twice.text, want) {
			t.Errorf("server0.properties started twice: exit code %d, want %q in\n%s", twice.code, want, twice.text)
		}
	}
	if runtime.GOOS == "linux" && !strings.Contains(twice.text, fmt.Sprintf("process %d (", brokers[0].pid())) {
		t.Errorf("server0.properties started twice, process %d is not named:\n%s", brokers[0].pid(), twice.text)
	}

	// 2. Two topics: each broker leads one partition, every ISR has three members.
	for _, topic := range []string{"kinaction_helloworld", tutorialTopic} {
		created := r.run("", fmt.Sprintf("bin/kafka-topics.sh --create --bootstrap-server %s --topic %s --partitions 3 --replication-factor 3", r.addr(2), topic))
		if !strings.HasSuffix(created.text, "Created topic "+topic+".\n") || !strings.HasPrefix(created.text, "WARNING: Due to limitations in metric names") {
			t.Errorf("create: %s", created.text)
		}
		if leaders := r.untilInSync(topic, 0, 1, 2); len(leaders) != 3 {
			t.Errorf("%s is led by %v, want each broker to lead one partition", topic, leaders)
		}
	}

	// 3. A producer, three lines: one message in each partition.
	producer := r.start(fmt.Sprintf("bin/kafka-console-producer.sh --bootstrap-server %s --topic %s", r.addr(2), tutorialTopic))
	producer.typed("one\ntwo\nthree\n")
	r.untilEnds(1, 1, 1)

	// 4. One consumer reads them all.
	alone := r.start(fmt.Sprintf("bin/kafka-console-consumer.sh --bootstrap-server %s --topic %s --from-beginning", r.addr(2), tutorialTopic))
	r.until("the consumer reads all", func() error { return same(alone.lines(), "one", "two", "three") })
	alone.interrupt()

	// 5. and 6. A group of three: each member has one partition.
	var consumers []*terminal
	for range 3 {
		consumers = append(consumers, r.start(fmt.Sprintf("bin/kafka-console-consumer.sh --bootstrap-server %s --topic %s --group %s", r.addr(2), tutorialTopic, tutorialGroup)))
	}
	r.untilMembers(3)

	// 7. The producer sends again: each consumer prints the message of its own partition and of no other.
	producer.typed("four\nfive\nsix\n")
	r.until("each consumer prints one line", func() error { return eachOne(consumers, 1, "four", "five", "six") })

	// 8. What the reader does next. One consumer ends: its partition moves to another.
	consumers[0].interrupt()
	consumers = consumers[1:]
	r.untilMembers(2)
	seen := []string{"four", "five", "six"}
	seen = slices.DeleteFunc(seen, func(line string) bool { return !printed(consumers, line) })
	produce := func(lines ...string) {
		t.Helper()
		producer.typed(strings.Join(lines, "\n") + "\n")
		seen = append(seen, lines...)
		r.until("the consumers print "+strings.Join(lines, " "), func() error { return allOnce(consumers, seen) })
	}
	produce("seven", "eight", "nine")

	// One broker ends: its partition gets a new leader, production and consumption go on.
	brokers[0].interrupt()
	r.untilInSync(tutorialTopic, 1, 2)
	produce("ten", "eleven", "twelve")
	// It starts again: its ISR fills up. And once more, without a word of farewell.
	brokers[0] = r.startBroker(0)
	r.untilInSync(tutorialTopic, 0, 1, 2)
	brokers[1].kill()
	produce("thirteen", "fourteen", "fifteen")
	brokers[1] = r.startBroker(1)
	r.untilInSync(tutorialTopic, 0, 1, 2)

	// The coordinator ends, and starts again: nothing is lost.
	coordinator.kill()
	produce("sixteen", "seventeen", "eighteen")
	coordinator = r.startCoordinator()
	r.until("a topic is made", func() error {
		return r.run("", fmt.Sprintf("bin/kafka-topics.sh --create --bootstrap-server %s --topic later --partitions 3 --replication-factor 3", r.addr(1))).ok("Created topic later.")
	})

	// Everything ends, and starts again: topics, messages and committed offsets are all there.
	r.untilLag(0)
	for _, c := range append(consumers, producer) {
		c.interrupt()
	}
	for _, b := range brokers {
		b.interrupt()
	}
	coordinator.interrupt()
	r.startCoordinator()
	for n := range brokers {
		r.startBroker(n)
	}
	for n := range brokers {
		r.untilServes(n)
	}
	for _, topic := range []string{"kinaction_helloworld", tutorialTopic, "later"} {
		r.untilInSync(topic, 0, 1, 2)
	}
	r.untilEnds(6, 6, 6)
	r.untilLag(0)
	again := r.start(fmt.Sprintf("bin/kafka-console-consumer.sh --bootstrap-server %s --topic %s --from-beginning", r.addr(0), tutorialTopic))
	r.until("everything is read again", func() error {
		return same(again.lines(), strings.Fields("one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen")...)
	})
}

var (
	describedPartition = regexp.MustCompile(`Partition: \d+\tLeader: (\S+)\tReplicas: (\S+)\tIsr: (\S+)`)
	describedMember    = regexp.MustCompile(`(?m)^` + tutorialGroup + ` +` + tutorialTopic + ` +(\d+) +(\S+) +(\S+) +(\S+) +(\S+) `)
)

// untilInSync waits until every ISR of a topic is just these brokers, and returns who leads.
func (r *reader) untilInSync(topic string, ids ...int) (leaders map[string]bool) {
	r.t.Helper()
	var want []string
	for _, id := range ids {
		want = append(want, fmt.Sprint(id))
	}
	r.until(fmt.Sprintf("brokers %v share %s", ids, topic), func() error {
		text := r.run("", fmt.Sprintf("bin/kafka-topics.sh --describe --bootstrap-server %s --topic %s", r.addr(2), topic)).text
		leaders = map[string]bool{}
		partitions := describedPartition.FindAllStringSubmatch(text, -1)
		for _, p := range partitions {
			leaders[p[1]] = true
			isr := strings.Split(p[3], ",")
			slices.Sort(isr)
			if !slices.Equal(isr, want) {
				return fmt.Errorf("ISR %s\n%s", p[3], text)
			}
		}
		if len(partitions) != 3 || leaders["none"] || !strings.HasPrefix(text, "Topic: "+topic+"\tTopicId: ") {
			return errors.New(text)
		}
		return nil
	})
	return leaders
}

// untilEnds waits until the partitions of the topic have so many messages.
func (r *reader) untilEnds(ends ...int) {
	r.t.Helper()
	var want strings.Builder
	for p, end := range ends {
		fmt.Fprintf(&want, "%s:%d:%d\n", tutorialTopic, p, end)
	}
	r.until(fmt.Sprintf("the partitions have %v messages", ends), func() error {
		return r.run("", fmt.Sprintf("bin/kafka-get-offsets.sh --bootstrap-server %s --topic %s", r.addr(2), tutorialTopic)).ok(want.String())
	})
}

func (r *reader) describeGroup() [][]string {
	text := r.run("", fmt.Sprintf("bin/kafka-consumer-groups.sh --bootstrap-server %s --describe --group %s", r.addr(2), tutorialGroup)).text
	return describedMember.FindAllStringSubmatch(text, -1)
}

// untilMembers waits until so many consumers share the three partitions.
func (r *reader) untilMembers(n int) {
	r.t.Helper()
	r.until(fmt.Sprintf("the group has %d members", n), func() error {
		rows := r.describeGroup()
		ids := map[string]bool{}
		for _, row := range rows {
			if strings.HasPrefix(row[5], "console-consumer-") {
				ids[row[5]] = true
			}
		}
		if len(rows) != 3 || len(ids) != n {
			return fmt.Errorf("%q", rows)
		}
		return nil
	})
}

// untilLag waits until every partition's lag is so large.
func (r *reader) untilLag(lag int) {
	r.t.Helper()
	r.until(fmt.Sprintf("the lag is %d", lag), func() error {
		rows := r.describeGroup()
		for _, row := range rows {
			if row[4] != fmt.Sprint(lag) {
				return fmt.Errorf("%q", rows)
			}
		}
		if len(rows) != 3 {
			return fmt.Errorf("%q", rows)
		}
		return nil
	})
}

// same: the lines are these, in any order.
func same(lines []string, want ...string) error {
	lines, want = slices.Clone(lines), slices.Clone(want)
	slices.Sort(lines)
	slices.Sort(want)
	if !slices.Equal(lines, want) {
		return fmt.Errorf("%q, want %q", lines, want)
	}
	return nil
}

// eachOne: each consumer printed so many lines, and all together these.
func eachOne(consumers []*terminal, each int, want ...string) error {
	var all []string
	for _, c := range consumers {
		if len(c.lines()) != each {
			return fmt.Errorf("one printed %q", c.lines())
		}
		all = append(all, c.lines()...)
	}
	return same(all, want...)
}

// allOnce: the consumers printed these lines, each once.
func allOnce(consumers []*terminal, want []string) error {
	var all []string
	for _, c := range consumers {
		all = append(all, c.lines()...)
	}
	return same(all, want...)
}

func printed(consumers []*terminal, line string) bool {
	return slices.ContainsFunc(consumers, func(c *terminal) bool { return slices.Contains(c.lines(), line) })
}

// startBroker starts a broker by its properties file.
func (r *reader) startBroker(n int) *terminal {
	return r.start(fmt.Sprintf("bin/kafka-server-start.sh config/server%d.properties", n))
}

func (r *reader) untilServes(n int) {
	r.t.Helper()
	r.until(fmt.Sprintf("broker %d serves", n), func() error {
		if result := r.run("", "bin/kafka-topics.sh --list --bootstrap-server "+r.addr(n)); result.code != 0 {
			return fmt.Errorf("%s", result.text)
		}
		return nil
	})
}

// coordinator is ZooKeeper: bin/'s, or by GREGOR_ZOOKEEPER Apache's in its place.
type coordinator struct{ kill, interrupt func() }

func (r *reader) startCoordinator() coordinator {
	r.t.Helper()
	if r.apache != nil {
		if r.ended {
			r.apache.Restart(r.t)
		}
		end := func() { r.apache.Kill(); r.ended = true }
		return coordinator{end, end}
	}
	s := r.start("bin/zookeeper-server-start.sh config/zookeeper.properties")
	return coordinator{s.kill, s.interrupt}
}

// newReader makes a directory like a fresh clone that was built: bin/, build/, and config/ with the tutorial's files, but
// for ports and directories.
func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{t: t, root: t.TempDir()}
	r.data = filepath.Join(r.root, "kafkainaction")
	port := server.FreePort(t)
	connect := fmt.Sprintf("localhost:%d", port)
	if os.Getenv("GREGOR_ZOOKEEPER") != "" {
		r.apache = zookeeper.StartAny(t)
		connect = r.apache.Connect
	}
	moved := []string{"/tmp/kafkainaction", r.data, "/tmp/zookeeper", filepath.Join(r.root, "zookeeper"), "clientPort=2181", fmt.Sprintf("clientPort=%d", port), "localhost:2181", connect}
	for n := range r.brokers {
		r.brokers[n] = server.FreePort(t)
		moved = append(moved, fmt.Sprintf("localhost:%d", 9092+n), fmt.Sprintf("localhost:%d", r.brokers[n]))
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.CopyFS(filepath.Join(r.root, "bin"), os.DirFS(filepath.Join(server.Root(), "bin"))))
	must(os.MkdirAll(filepath.Join(r.root, "build"), 0o755))
	must(os.Symlink(server.Binary(t), filepath.Join(r.root, "build", "gregor")))
	must(os.MkdirAll(filepath.Join(r.root, "config"), 0o755))
	for _, name := range []string{"zookeeper.properties", "server0.properties", "server1.properties", "server2.properties"} {
		text, err := os.ReadFile(filepath.Join(server.Root(), "config", name))
		must(err)
		must(os.WriteFile(filepath.Join(r.root, "config", name), []byte(strings.NewReplacer(moved...).Replace(string(text))), 0o644))
	}
	return r
}
