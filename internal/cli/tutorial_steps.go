package cli

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tutorialStep is one step of the tutorial with its outcome as the title.
type tutorialStep struct {
	number, title string
	skip          string // why it is not played
	play          func(context.Context) error
}

func (t *tutorial) steps() []tutorialStep {
	long, own := "", ""
	if t.short {
		long = "--short leaves it out"
	}
	if !t.stage.ours {
		own = "the ZooKeeper server is not the tutorial's to end"
	}
	return []tutorialStep{
		{"1", "The coordinator and three brokers serve; server0 typed twice is refused", "", t.startCluster},
		{"2", "Two topics: each broker leads one partition of each, every ISR has three members", "", t.createTopics},
		{"3", "Three lines typed: one message in each partition", "", t.produce},
		{"4", "One consumer reads them all", "", t.consume},
		{"5", "Three consumers of one group, each in a terminal of its own", "", t.consumeAsGroup},
		{"6", "The group, described: three members, three consumer ids, one partition each", "", t.describeGroup},
		{"7", "The producer sends again: each consumer prints its own partition's messages and no other", "", t.produceAgain},
		{"8a", "One consumer ends: its partition moves to another", long, t.endConsumer},
		{"8b", "One broker ends: its partition has a new leader, nothing is lost; it comes back: its ISR fills up", "", t.endBroker},
		{"8c", "The broker that is the controller is killed: another takes over, nothing is lost", long, t.killController},
		{"8d", "The coordinator ends: the brokers go on; it starts again: nothing is lost", own, t.endCoordinator},
		{"8e", "Everything ends and starts again: topics, messages and committed offsets are all there", "", t.endEverything},
	}
}

// missing is an outcome that is not as the tutorial says, with the terminals whose output may tell why.
func missing(look []*terminal, format string, args ...any) error {
	look = slices.DeleteFunc(slices.Clone(look), func(n *terminal) bool { return n == nil })
	return &finding{wrong: fmt.Sprintf(format, args...), look: look}
}

// servers are the terminals of the cluster.
func (t *tutorial) servers() []*terminal { return append([]*terminal{t.coordinator}, t.brokers[:]...) }

func (t *tutorial) startCluster(ctx context.Context) error {
	if err := t.startServers(ctx); err != nil {
		return err
	}
	if err := t.seenByCoordinator(ctx, "/brokers/ids", "[0, 1, 2]"); err != nil {
		return err
	}
	t.say.text("The tutorial, by a slip, types server0 twice:")
	o, err := t.run(ctx, "kafka-server-start.sh", "config/server0.properties")
	switch {
	case err != nil:
		return err
	case o.code == 0:
		return missing(t.brokers[:1], "a second broker with the port and the directory of broker 0 starts")
	case !strings.Contains(o.text, t.stage.broker(0)):
		return missing(t.brokers[:1], "the broker that is refused does not say that %s is in use", t.stage.broker(0))
	case runtime.GOOS == "linux" && !strings.Contains(o.text, strconv.Itoa(t.brokers[0].cmd.Process.Pid)):
		return missing(t.brokers[:1], "the broker that is refused does not say that process %d is in its way", t.brokers[0].cmd.Process.Pid)
	}
	return t.awaitBrokers(ctx) // the first is not disturbed
}

// seenByCoordinator looks at a node in ZooKeeper, which is to be as it should: what is written there follows the metadata
// log, a little later.
func (t *tutorial) seenByCoordinator(ctx context.Context, node, want string) error {
	command := "get"
	if strings.HasPrefix(want, "[") {
		command = "ls"
	}
	err := t.until(ctx, func(ctx context.Context) error {
		o, err := t.ask(ctx, "zookeeper-shell.sh", t.stage.zookeeper, command, node)
		if err == nil && !strings.Contains(o.text, want) {
			err = missing(t.servers(), "%s prints no %s", o.command, want)
		}
		return err
	})
	if err == nil {
		_, err = t.mustRun(ctx, "zookeeper-shell.sh", t.stage.zookeeper, command, node)
	}
	return err
}

func (t *tutorial) startCoordinator(ctx context.Context) (err error) {
	if !t.stage.ours {
		t.say.text("ZooKeeper runs already, at %s.", t.stage.zookeeper)
		return nil
	}
	t.coordinator, err = t.openServer("zookeeper", "zookeeper-server-start.sh", "config/zookeeper.properties")
	if err != nil {
		return err
	}
	return t.until(ctx, func(context.Context) error {
		if !t.coordinator.says(" serves ") {
			return missing([]*terminal{t.coordinator}, "the ZooKeeper server does not say that it is ready")
		}
		t.coordinator.hush()
		return nil
	})
}

func (t *tutorial) startBroker(id int) (err error) {
	t.brokers[id], err = t.openServer(fmt.Sprintf("broker %d", id), "kafka-server-start.sh", fmt.Sprintf("config/server%d.properties", id))
	return err
}

// startServers starts the coordinator and all brokers, and waits until they serve.
func (t *tutorial) startServers(ctx context.Context) error {
	if err := t.startCoordinator(ctx); err != nil {
		return err
	}
	for id := range t.brokers {
		if err := t.startBroker(id); err != nil {
			return err
		}
	}
	return t.awaitBrokers(ctx)
}

// awaitInSync waits until all replicas of some topics are in sync.
func (t *tutorial) awaitInSync(ctx context.Context, topics ...string) error {
	for _, topic := range topics {
		if err := t.awaitFacts(ctx, topic, "", clusterFacts.inSync); err != nil {
			return err
		}
	}
	return nil
}

// awaitBrokers waits until all brokers serve.
func (t *tutorial) awaitBrokers(ctx context.Context) error {
	return t.until(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, factsTimeout)
		defer cancel()
		var m clusterFacts
		if err := m.askMetadata(ctx, t.client); err != nil {
			return missing(t.servers(), "no broker answers: %v", err)
		}
		if len(m.brokers) != tutorialBrokers {
			return missing(t.servers(), "brokers %s serve, not all %d", joinIDs(m.brokers), tutorialBrokers)
		}
		for _, b := range t.brokers {
			if !b.says(" started ") {
				return missing([]*terminal{b}, "%s does not say that it has started", b.name)
			}
			b.hush()
		}
		return nil
	})
}

// describedPartition is a line of kafka-topics --describe.
var describedPartition = regexp.MustCompile(`Partition: (\d+)\s+Leader: (\S+)\s+Replicas: (\S+)\s+Isr: (\S+)`)

func (t *tutorial) createTopics(ctx context.Context) error {
	at := t.stage.broker(2)
	for _, topic := range []string{tutorialFirstTopic, tutorialTopic} {
		if _, err := t.mustRun(ctx, "kafka-topics.sh", "--create", "--bootstrap-server", at, "--topic", topic, "--partitions", "3", "--replication-factor", "3"); err != nil {
			return err
		}
		if err := t.awaitFacts(ctx, topic, "", clusterFacts.balanced); err != nil {
			return err
		}
		o, err := t.mustRun(ctx, "kafka-topics.sh", "--describe", "--bootstrap-server", at, "--topic", topic)
		if err != nil {
			return err
		}
		leaders := map[string]bool{}
		lines := describedPartition.FindAllStringSubmatch(o.text, -1)
		for _, line := range lines {
			leaders[line[2]] = true
			if n := len(strings.Split(line[4], ",")); n != tutorialBrokers {
				return missing(t.servers(), "the ISR of partition %s of %s has %d members, not %d", line[1], topic, n, tutorialBrokers)
			}
		}
		if len(lines) != tutorialPartitions || len(leaders) != tutorialBrokers {
			return missing(t.servers(), "%s describes %d partitions with %d leaders, not 3 with 3", o.command, len(lines), len(leaders))
		}
	}
	return t.draw(ctx, "")
}

func (t *tutorial) produce(ctx context.Context) (err error) {
	if err := t.openProducer(); err != nil {
		return err
	}
	if err := t.send(3); err != nil {
		return err
	}
	err = t.awaitFacts(ctx, tutorialTopic, "", func(f clusterFacts) error {
		for _, p := range f.partitions {
			if p.end != 1 {
				return missing([]*terminal{t.producer}, "partition %d of %s holds %d messages, not 1", p.id, tutorialTopic, p.end)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	o, err := t.mustRun(ctx, "kafka-get-offsets.sh", "--bootstrap-server", t.stage.broker(2), "--topic", tutorialTopic)
	for p := 0; err == nil && p < tutorialPartitions; p++ {
		if line := fmt.Sprintf("%s:%d:1\n", tutorialTopic, p); !strings.Contains(o.text, line) {
			err = missing(nil, "%s does not print %q", o.command, line)
		}
	}
	return err
}

func (t *tutorial) openProducer() (err error) {
	t.producer, err = t.open("producer", "kafka-console-producer.sh", "--bootstrap-server", t.stage.broker(2), "--topic", tutorialTopic)
	return err
}

// send types so many lines into the producer, each different from all others.
func (t *tutorial) send(n int) error {
	for range n {
		line := fmt.Sprintf("message %d", len(t.sent)+1)
		if err := t.typed(t.producer, line); err != nil {
			return err
		}
		t.sent = append(t.sent, line)
	}
	return nil
}

func (t *tutorial) consume(ctx context.Context) error {
	n, err := t.open("consumer", "kafka-console-consumer.sh", "--bootstrap-server", t.stage.broker(2), "--topic", tutorialTopic, "--from-beginning")
	if err != nil {
		return err
	}
	if err := t.awaitPrinted(ctx, tutorialPatience, t.sent, n); err != nil {
		return err
	}
	if got := t.messagesOf(n); len(got) != len(t.sent) {
		return missing([]*terminal{n}, "the consumer prints %d messages, not %d", len(got), len(t.sent))
	}
	return t.interrupt(ctx, n)
}

// messagesOf are the messages that a consumer has printed. Other lines are its own words.
func (t *tutorial) messagesOf(n *terminal) []string {
	return slices.DeleteFunc(n.printed(0), func(line string) bool { return !slices.Contains(t.sent, line) })
}

// awaitPrinted waits until each message is printed by one of the consumers.
func (t *tutorial) awaitPrinted(ctx context.Context, patience time.Duration, messages []string, by ...*terminal) error {
	return t.untilWithin(ctx, patience, func(context.Context) error {
		var all []string
		for _, n := range by {
			all = append(all, t.messagesOf(n)...)
		}
		for _, m := range messages {
			if !slices.Contains(all, m) {
				return missing(append(slices.Clone(by), t.producer), "%q is printed by no consumer", m)
			}
		}
		return nil
	})
}

func (t *tutorial) consumeAsGroup(ctx context.Context) error {
	for i := range 3 {
		n, err := t.open(fmt.Sprintf("consumer %d", i+1), "kafka-console-consumer.sh", "--bootstrap-server", t.stage.broker(2), "--topic", tutorialTopic, "--group", tutorialGroup)
		if err != nil {
			return err
		}
		t.consumers = append(t.consumers, n)
	}
	return t.awaitShared(ctx)
}

// awaitShared waits until the consumers that run share the partitions.
func (t *tutorial) awaitShared(ctx context.Context) error {
	return t.awaitFacts(ctx, tutorialTopic, tutorialGroup, func(f clusterFacts) error {
		if err := f.shared(len(t.consumers)); err != nil {
			return missing(append(slices.Clone(t.consumers), t.brokers[:]...), "%v", err)
		}
		return nil
	})
}

// describedMember is a line of kafka-consumer-groups --describe: partition, committed offset, consumer id.
var describedMember = regexp.MustCompile(`(?m)^` + tutorialGroup + `\s+` + tutorialTopic + `\s+(\d+)\s+(\S+)\s+\S+\s+\S+\s+(\S+)`)

func (t *tutorial) describeGroup(ctx context.Context) error {
	o, err := t.describedGroup(ctx)
	if err != nil {
		return err
	}
	ids := map[string]bool{}
	lines := describedMember.FindAllStringSubmatch(o.text, -1)
	for _, line := range lines {
		ids[line[3]] = true
	}
	if len(lines) != tutorialPartitions || len(ids) != tutorialPartitions {
		return missing(t.consumers, "%s shows %d partitions and %d consumer ids, not 3 and 3", o.command, len(lines), len(ids))
	}
	return t.draw(ctx, tutorialGroup)
}

func (t *tutorial) describedGroup(ctx context.Context) (outcome, error) {
	return t.mustRun(ctx, "kafka-consumer-groups.sh", "--bootstrap-server", t.stage.broker(2), "--describe", "--group", tutorialGroup)
}

// produceAgain sends until every consumer prints what it is to. A consumer of a new group begins at the end of its
// partition as it is when it gets there, so lines typed before may pass it by: then the reader types again.
func (t *tutorial) produceAgain(ctx context.Context) error {
	const rounds, patience = 6, 4 * time.Second
	var err error
	for range rounds {
		from := len(t.sent)
		if err = t.send(tutorialPartitions); err != nil {
			return err
		}
		if err = t.awaitPrinted(ctx, patience, t.sent[from:], t.consumers...); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return err
	}
	where, err := t.partitionOf(ctx)
	if err != nil {
		return err
	}
	taken := map[int32]string{}
	for _, n := range t.consumers {
		messages := t.messagesOf(n)
		if len(messages) == 0 {
			return missing([]*terminal{n}, "%s prints nothing", n.name)
		}
		p := where[messages[0]]
		for _, m := range messages {
			if where[m] != p {
				return missing([]*terminal{n}, "%s prints %q of partition %d, and %q of partition %d", n.name, messages[0], p, m, where[m])
			}
		}
		if other := taken[p]; other != "" {
			return missing(t.consumers, "%s and %s both print messages of partition %d", other, n.name, p)
		}
		taken[p] = n.name
		t.say.text("%s prints the messages of partition %d, and of no other.", n.name, p)
	}
	return nil
}

// partitionOf reads the topic and tells the partition of each message. It checks that each message is there, once.
func (t *tutorial) partitionOf(ctx context.Context) (map[string]int32, error) {
	ctx, cancel := context.WithTimeout(ctx, tutorialPatience)
	defer cancel()
	all, err := readTopic(ctx, t.stage.brokers(), tutorialTopic)
	if err != nil {
		return nil, missing(t.servers(), "%s cannot be read: %v", tutorialTopic, err)
	}
	where := map[string]int32{}
	for _, r := range all {
		if _, twice := where[r.value]; twice {
			return nil, missing(t.servers(), "%q is in %s twice", r.value, tutorialTopic)
		}
		where[r.value] = r.partition
	}
	for _, m := range t.sent {
		if _, ok := where[m]; !ok {
			return nil, missing(t.servers(), "%q is lost: it is not in %s", m, tutorialTopic)
		}
	}
	return where, nil
}

// awaitFacts waits until a topic and a group are as they have to be.
func (t *tutorial) awaitFacts(ctx context.Context, topic, group string, hold func(clusterFacts) error) error {
	return t.until(ctx, func(ctx context.Context) error {
		f, err := askFacts(ctx, t.client, topic, group)
		if err == nil {
			err = hold(f)
		}
		if _, ok := err.(*finding); err != nil && !ok {
			err = missing(t.servers(), "%v", err)
		}
		return err
	})
}

// draw shows the cluster as it stands.
func (t *tutorial) draw(ctx context.Context, group string) error {
	var f clusterFacts
	err := t.until(ctx, func(ctx context.Context) (err error) {
		f, err = askFacts(ctx, t.client, tutorialTopic, group)
		return err
	})
	if err != nil {
		return missing(t.servers(), "the cluster does not tell how it stands: %v", err)
	}
	f.zookeeper = t.stage.zookeeper
	t.say.picture(f.draw())
	return nil
}
