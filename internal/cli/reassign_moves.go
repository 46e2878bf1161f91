package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// replicaDirs are the log directories of one replica on its broker.
type replicaDirs struct {
	current string // "" if it is in none that works
	future  string // "" unless it is being moved
}

// dirsOf asks the brokers that are up for the directories of replicas.
func (c *reassigner) dirsOf(ctx context.Context, replicas []topicReplica) (map[topicReplica]replicaDirs, error) {
	found := map[topicReplica]replicaDirs{}
	if len(replicas) == 0 {
		return found, nil
	}
	if c.direct {
		return nil, errors.New("the log directories can be asked for at the brokers only: use --bootstrap-server")
	}
	up, err := c.brokerIDs(ctx)
	if err != nil {
		return nil, err
	}
	byBroker := map[int32][]topicPartition{}
	for _, r := range replicas {
		if slices.Contains(up, r.broker) {
			byBroker[r.broker] = append(byBroker[r.broker], r.topicPartition)
		}
	}
	for broker, partitions := range byBroker {
		slices.SortFunc(partitions, comparePartitions)
		topics := []kmsg.DescribeLogDirsRequestTopic{}
		byTopic(partitions, func(topic string, ids []int32) {
			topics = append(topics, kmsg.DescribeLogDirsRequestTopic{Topic: topic, Partitions: ids})
		})
		dirs, err := describeLogDirs(ctx, c.client, broker, topics)
		if err != nil {
			return nil, err
		}
		for _, tp := range partitions {
			found[topicReplica{tp, broker}] = replicaDirs{}
		}
		for _, d := range dirs {
			for _, p := range d.Partitions {
				r := topicReplica{p.topicPartition, broker}
				at, wanted := found[r]
				switch {
				case !wanted || d.Error != nil:
					continue
				case p.IsFuture:
					at.future = d.LogDir
				default:
					at.current = d.LogDir
				}
				found[r] = at
			}
		}
	}
	return found, nil
}

// currentDirs is where the replicas of an assignment lie; those of brokers that are down are left out.
func (c *reassigner) currentDirs(ctx context.Context, a assignment) (map[topicReplica]string, error) {
	var replicas []topicReplica
	for tp, brokers := range a {
		for _, broker := range brokers {
			replicas = append(replicas, topicReplica{tp, broker})
		}
	}
	found, err := c.dirsOf(ctx, replicas)
	if err != nil {
		return nil, err
	}
	dirs := map[topicReplica]string{}
	for r, at := range found {
		dirs[r] = at.current
	}
	return dirs, nil
}

// How far a move between log directories has come.
const (
	moveActive         = "moving"
	moveCompleted      = "completed"
	moveCancelled      = "not-moving"       // it is in another directory and stays there
	moveMissingDir     = "no-live-log-dir"  // the broker has it in no directory that works
	moveMissingReplica = "no-such-replica"  // the broker is not up
	moveElsewhere      = "moving-elsewhere" // to another directory than the plan's
)

// moveState is one move, and its form with --output json.
type moveState struct {
	topicPartition
	Broker  int32  `json:"broker"`
	State   string `json:"state"`
	Current string `json:"currentLogDir,omitempty"`
	Future  string `json:"futureLogDir,omitempty"`
	Target  string `json:"targetLogDir"`
}

func (m moveState) replica() topicReplica { return topicReplica{m.topicPartition, m.Broker} }

func (m moveState) done() bool { return m.State != moveActive && m.State != moveElsewhere }

func (m moveState) String() string {
	switch m.State {
	case moveMissingDir:
		return fmt.Sprintf("Partition %s is not found in any live log dir on broker %d. There is likely an offline log directory on the broker.", m.topicPartition, m.Broker)
	case moveMissingReplica:
		return fmt.Sprintf("Partition %s cannot be found in any live log directory on broker %d.", m.topicPartition, m.Broker)
	case moveActive:
		return fmt.Sprintf("Reassignment of replica %s is still in progress.", m.replica())
	case moveElsewhere:
		return fmt.Sprintf("Partition %s on broker %d is being moved to log dir %s instead of %s.", m.topicPartition, m.Broker, m.Future, m.Target)
	case moveCancelled:
		return fmt.Sprintf("Partition %s on broker %d is not being moved from log dir %s to %s.", m.topicPartition, m.Broker, m.Current, m.Target)
	}
	return fmt.Sprintf("Reassignment of replica %s completed successfully.", m.replica())
}

func moveLines(moves []moveState) []string {
	var lines []string
	for _, m := range moves {
		lines = append(lines, m.String())
	}
	return lines
}

func (c *reassigner) moveStates(ctx context.Context, targets map[topicReplica]string) ([]moveState, error) {
	replicas := sortedReplicas(targets)
	found, err := c.dirsOf(ctx, replicas)
	if err != nil {
		return nil, err
	}
	var moves []moveState
	for _, r := range replicas {
		at, up := found[r]
		m := moveState{topicPartition: r.topicPartition, Broker: r.broker, Current: at.current, Future: at.future, Target: targets[r]}
		switch {
		case !up:
			m.State = moveMissingReplica
		case at.current == "":
			m.State = moveMissingDir
		case at.future == m.Target:
			m.State = moveActive
		case at.future != "":
			m.State = moveElsewhere
		case at.current == m.Target:
			m.State = moveCompleted
		default:
			m.State = moveCancelled
		}
		moves = append(moves, m)
	}
	return moves, nil
}
