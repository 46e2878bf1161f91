package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
)

// What the reader does next, unasked: one part after the other ends and starts again.

func (t *tutorial) endConsumer(ctx context.Context) error {
	n := t.consumers[2]
	t.consumers = t.consumers[:2]
	if err := t.interrupt(ctx, n); err != nil {
		return err
	}
	if err := t.awaitShared(ctx); err != nil {
		return err
	}
	if _, err := t.describedGroup(ctx); err != nil {
		return err
	}
	if err := t.draw(ctx, tutorialGroup); err != nil {
		return err
	}
	return t.goesOn(ctx)
}

// goesOn checks that production and consumption go on, and that nothing is lost.
func (t *tutorial) goesOn(ctx context.Context) error {
	from := len(t.sent)
	if err := t.send(tutorialPartitions); err != nil {
		return err
	}
	if err := t.awaitPrinted(ctx, tutorialPatience, t.sent[from:], t.consumers...); err != nil {
		return err
	}
	_, err := t.partitionOf(ctx)
	return err
}

func (t *tutorial) endBroker(ctx context.Context) error {
	f, err := askFacts(ctx, t.client, tutorialTopic, "")
	if err != nil {
		return missing(t.servers(), "%v", err)
	}
	// Not the controller: that is another story.
	id := 1
	if f.controller == 1 {
		id = 2
	}
	return t.withoutBroker(ctx, id, os.Interrupt)
}

func (t *tutorial) killController(ctx context.Context) error {
	f, err := askFacts(ctx, t.client, tutorialTopic, "")
	if err != nil || f.controller < 0 || f.controller >= tutorialBrokers {
		return missing(t.servers(), "the controller is %d (%v), not one of the brokers", f.controller, err)
	}
	return t.withoutBroker(ctx, int(f.controller), os.Kill)
}

// withoutBroker ends a broker, looks at the cluster without it, and starts it again.
func (t *tutorial) withoutBroker(ctx context.Context, id int, signal os.Signal) error {
	n := t.brokers[id]
	var err error
	if signal == os.Kill {
		n.hush()
		t.say.text("kill -9 of %s, process %d", n.name, n.cmd.Process.Pid)
		err = t.end(ctx, n, signal)
	} else {
		err = t.interrupt(ctx, n)
	}
	if err != nil {
		return err
	}
	gone, controller := int32(id), int32(-1)
	err = t.awaitFacts(ctx, tutorialTopic, "", func(f clusterFacts) error {
		controller = f.controller
		if slices.Contains(f.brokers, gone) || f.controller == gone || f.controller < 0 {
			return missing(t.servers(), "broker %d has ended, and brokers %s serve with controller %d", id, joinIDs(f.brokers), f.controller)
		}
		for _, p := range f.partitions {
			if p.leader < 0 || p.leader == gone || slices.Contains(p.isr, gone) {
				return missing(t.servers(), "broker %d has ended, and partition %d has leader %d and ISR %s", id, p.id, p.leader, joinIDs(p.isr))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := t.draw(ctx, ""); err != nil {
		return err
	}
	if signal == os.Kill {
		if err := t.seenByCoordinator(ctx, "/controller", fmt.Sprintf(`"brokerid":%d,`, controller)); err != nil {
			return err
		}
	}
	if err := t.goesOn(ctx); err != nil {
		return err
	}
	if err := t.startBroker(id); err != nil {
		return err
	}
	if err := t.awaitBrokers(ctx); err != nil {
		return err
	}
	if err := t.awaitInSync(ctx, tutorialFirstTopic, tutorialTopic); err != nil {
		return err
	}
	if err := t.goesOn(ctx); err != nil {
		return err
	}
	return t.draw(ctx, "")
}

func (t *tutorial) endCoordinator(ctx context.Context) error {
	if err := t.interrupt(ctx, t.coordinator); err != nil {
		return err
	}
	if err := t.goesOn(ctx); err != nil {
		return err
	}
	if err := t.startCoordinator(ctx); err != nil {
		return err
	}
	// A change of metadata needs the coordinator, so one that succeeds shows that it is there again.
	if _, err := t.mustRun(ctx, "kafka-topics.sh", "--create", "--bootstrap-server", t.stage.broker(2), "--topic", "after_the_coordinator", "--partitions", "3", "--replication-factor", "3"); err != nil {
		return err
	}
	if err := t.awaitInSync(ctx, tutorialFirstTopic, tutorialTopic, "after_the_coordinator"); err != nil {
		return err
	}
	return t.goesOn(ctx)
}

func (t *tutorial) endEverything(ctx context.Context) error {
	before, err := t.listTopics(ctx)
	if err != nil {
		return err
	}
	for _, n := range append(slices.Clone(t.consumers), t.producer) {
		if err := t.interrupt(ctx, n); err != nil {
			return err
		}
	}
	t.consumers, t.producer = nil, nil
	committed, err := t.committed(ctx)
	if err != nil {
		return err
	}
	for _, n := range t.brokers {
		if err := t.interrupt(ctx, n); err != nil {
			return err
		}
	}
	if t.coordinator != nil {
		if err := t.interrupt(ctx, t.coordinator); err != nil {
			return err
		}
	}
	t.say.text("Nothing runs now.")
	if err := t.startServers(ctx); err != nil {
		return err
	}
	if err := t.awaitInSync(ctx, tutorialFirstTopic, tutorialTopic); err != nil {
		return err
	}
	if after, err := t.listTopics(ctx); err != nil || after != before {
		return missing(t.servers(), "the topics are %q, and were %q (%v)", after, before, err)
	}
	if err := t.consume(ctx); err != nil {
		return err
	}
	if _, err := t.partitionOf(ctx); err != nil {
		return err
	}
	if after, err := t.committed(ctx); err != nil || after != committed {
		return missing(t.servers(), "the committed offsets are %s, and were %s (%v)", after, committed, err)
	}
	return t.draw(ctx, "")
}

func (t *tutorial) listTopics(ctx context.Context) (string, error) {
	o, err := t.mustRun(ctx, "kafka-topics.sh", "--list", "--bootstrap-server", t.stage.broker(2))
	return strings.Join(strings.Fields(o.text), " "), err
}

// committed are the offsets that the group has committed, as kafka-consumer-groups shows them.
func (t *tutorial) committed(ctx context.Context) (string, error) {
	o, err := t.describedGroup(ctx)
	if err != nil {
		return "", err
	}
	var offsets []string
	for _, line := range describedMember.FindAllStringSubmatch(o.text, -1) {
		offsets = append(offsets, fmt.Sprintf("%s:%s", line[1], line[2]))
	}
	slices.Sort(offsets)
	if len(offsets) != tutorialPartitions || strings.Contains(strings.Join(offsets, " "), ":-") {
		return "", missing(t.servers(), "group %s has committed %v, not an offset of each partition", tutorialGroup, offsets)
	}
	return strings.Join(offsets, " "), nil
}
