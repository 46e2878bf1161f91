package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The settings that throttle moves: how fast, of brokers; and which replicas, of topics.
var (
	brokerThrottles = []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate", "replica.alter.log.dirs.io.max.bytes.per.second"}
	topicThrottles  = []string{"leader.replication.throttled.replicas", "follower.replication.throttled.replicas"}
)

// partitionMove is where a partition's data comes from and goes to.
type partitionMove struct{ sources, destinations []int32 }

// movesOf are all moves that are under way once a plan has begun. Of a partition that is moving already, the sources
// are those of that move.
func movesOf(running map[topicPartition]kmsg.ListPartitionReassignmentsResponseTopicPartition, proposed, current assignment) map[topicPartition]partitionMove {
	moves := map[topicPartition]partitionMove{}
	without := func(ids, others []int32) []int32 {
		return slices.DeleteFunc(slices.Clone(ids), func(id int32) bool { return slices.Contains(others, id) })
	}
	for tp, r := range running {
		moves[tp] = partitionMove{without(r.Replicas, r.AddingReplicas), r.AddingReplicas}
	}
	for tp, replicas := range proposed {
		sources := current[tp]
		if m, ok := moves[tp]; ok {
			sources = m.sources
		}
		moves[tp] = partitionMove{sources, without(replicas, sources)}
	}
	return moves
}

// throttledReplicas are the values of the two topic settings, by topic: partition:broker,...
func throttledReplicas(moves map[topicPartition]partitionMove) (leaders, followers map[string]string) {
	leaders, followers = map[string]string{}, map[string]string{}
	byTopic(sortedKeys(moves), func(topic string, ids []int32) {
		var from, to []string
		for _, id := range ids {
			m := moves[topicPartition{topic, id}]
			for _, broker := range m.sources {
				from = append(from, fmt.Sprintf("%d:%d", id, broker))
			}
			for _, broker := range m.destinations {
				to = append(to, fmt.Sprintf("%d:%d", id, broker))
			}
		}
		leaders[topic], followers[topic] = joinSorted(from), joinSorted(to)
	})
	return leaders, followers
}

// throttleSetting is one setting that is set, or removed if value is nil.
type throttleSetting struct {
	name  string
	value *string
}

// alterConfigs changes the settings of topics and brokers. Brokers take their own only from themselves.
func (c *reassigner) alterConfigs(ctx context.Context, kind kmsg.ConfigResourceType, changes map[string][]throttleSetting) error {
	if len(changes) == 0 {
		return nil
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		r := kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kind, ResourceName: name}
		for _, change := range changes[name] {
			op := kmsg.IncrementalAlterConfigOpSet
			if change.value == nil {
				op = kmsg.IncrementalAlterConfigOpDelete
			}
			r.Configs = append(r.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: change.name, Op: op, Value: change.value})
		}
		req.Resources = append(req.Resources, r)
	}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	for _, r := range resp.Resources {
		if err := answer(r.ErrorCode, r.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

// throttle limits the moves before they begin: which replicas first, how fast afterwards.
func (c *reassigner) throttle(ctx context.Context, moves map[topicPartition]partitionMove, bytesPerSecond int64) error {
	leaders, followers := throttledReplicas(moves)
	changes := map[string][]throttleSetting{}
	for topic := range leaders {
		from, to := leaders[topic], followers[topic]
		changes[topic] = []throttleSetting{{topicThrottles[0], &from}, {topicThrottles[1], &to}}
	}
	if err := c.alterConfigs(ctx, kmsg.ConfigResourceTypeTopic, changes); err != nil {
		return err
	}
	brokers := map[int32]bool{}
	for _, m := range moves {
		for _, id := range slices.Concat(m.sources, m.destinations) {
			brokers[id] = true
		}
	}
	if err := c.limitBrokers(ctx, brokers, brokerThrottles[:2], bytesPerSecond); err != nil {
		return err
	}
	fmt.Fprintf(c.io.Out, "The inter-broker throttle limit was set to %d B/s\n", bytesPerSecond)
	return nil
}

// throttleDirs limits moves between log directories.
func (c *reassigner) throttleDirs(ctx context.Context, moves map[topicReplica]string, bytesPerSecond int64) error {
	brokers := map[int32]bool{}
	for r := range moves {
		brokers[r.broker] = true
	}
	if err := c.limitBrokers(ctx, brokers, brokerThrottles[2:], bytesPerSecond); err != nil {
		return err
	}
	fmt.Fprintf(c.io.Out, "The replica-alter-dir throttle limit was set to %d B/s\n", bytesPerSecond)
	return nil
}

func (c *reassigner) limitBrokers(ctx context.Context, brokers map[int32]bool, keys []string, bytesPerSecond int64) error {
	value := strconv.FormatInt(bytesPerSecond, 10)
	return c.eachBroker(ctx, brokers, func() (changes []throttleSetting) {
		for _, key := range keys {
			changes = append(changes, throttleSetting{key, &value})
		}
		return changes
	})
}

// eachBroker changes the same settings of several brokers. One that is down has nothing to throttle, and its settings
// can only be changed when it is back.
func (c *reassigner) eachBroker(ctx context.Context, brokers map[int32]bool, what func() []throttleSetting) error {
	up := slices.Sorted(maps.Keys(brokers))
	if !c.direct {
		live, err := c.brokerIDs(ctx)
		if err != nil {
			return err
		}
		up = slices.DeleteFunc(up, func(id int32) bool {
			down := !slices.Contains(live, id)
			if down {
				fmt.Fprintf(c.io.Err, "WARN Broker %d is not up: its throttles stay as they are. Repeat this when it is back.\n", id)
			}
			return down
		})
	}
	changes := map[string][]throttleSetting{}
	for _, id := range up {
		changes[strconv.Itoa(int(id))] = what()
	}
	return c.alterConfigs(ctx, kmsg.ConfigResourceTypeBroker, changes)
}

// clearThrottles removes every throttle of the brokers and of the plan's topics: which brokers took part in a move that
// is over is not known any more, so all are cleared.
func (c *reassigner) clearThrottles(ctx context.Context, plan *reassignment) error {
	brokers := map[int32]bool{}
	ids, err := c.brokerIDs(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		brokers[id] = true
	}
	for _, p := range plan.partitions {
		for _, id := range p.Replicas {
			brokers[id] = true
		}
	}
	remove := func(keys []string) (changes []throttleSetting) {
		for _, key := range keys {
			changes = append(changes, throttleSetting{name: key})
		}
		return changes
	}
	c.say("Clearing broker-level throttles on broker%s %s", plural(len(brokers)), joinInts(slices.Sorted(maps.Keys(brokers)), ","))
	if err := c.eachBroker(ctx, brokers, func() []throttleSetting { return remove(brokerThrottles) }); err != nil {
		return err
	}
	topics := plan.topics()
	c.say("Clearing topic-level throttles on topic%s %s", plural(len(topics)), strings.Join(topics, ","))
	changes := map[string][]throttleSetting{}
	for _, topic := range topics {
		changes[topic] = remove(topicThrottles)
	}
	return c.alterConfigs(ctx, kmsg.ConfigResourceTypeTopic, changes)
}

// say prints a line of the text form.
func (c *reassigner) say(format string, args ...any) {
	if !c.asJSON {
		fmt.Fprintf(c.io.Out, format+"\n", args...)
	}
}

func isUnknownTopic(err error) bool { return errors.Is(err, kerr.UnknownTopicOrPartition) }
