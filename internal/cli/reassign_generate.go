package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gregor/internal/placement"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// generateArguments are the topics of --topics-to-move-json-file and the ids of --broker-list.
func (f *reassignFlags) generateArguments() ([]string, []int32, error) {
	brokers, err := parseBrokerIDs(f.brokers.Value())
	if err != nil {
		return nil, nil, err
	}
	if twice := duplicates(brokers); twice != nil {
		return nil, nil, fmt.Errorf("Broker list contains duplicate entries: [%s]", joinInts(twice, ", "))
	}
	file, err := readJSON(f.topicsFile.Value())
	if err != nil {
		return nil, nil, err
	}
	topics, err := parseTopicsToMove(file)
	if err != nil {
		return nil, nil, err
	}
	if twice := duplicates(topics); twice != nil {
		return nil, nil, fmt.Errorf("List of topics to reassign contains duplicate entries: [%s]", join(twice, ", "))
	}
	return topics, brokers, nil
}

func parseTopicsToMove(file jsonObject) ([]string, error) {
	if err := file.version(); err != nil {
		return nil, err
	}
	items, err := file.objects("topics")
	if err != nil {
		return nil, err
	}
	var topics []string
	for _, item := range items {
		topic, err := item.text("topic")
		if err != nil {
			return nil, err
		}
		topics = append(topics, topic)
	}
	return topics, nil
}

// generate proposes an assignment and changes nothing.
func (c *reassigner) generate(ctx context.Context, topics []string, brokers []int32, rackAware bool, random func(n int) int) error {
	current, err := c.assignmentOf(ctx, topics)
	if err != nil {
		return err
	}
	cluster, err := c.describe(ctx, false)
	if err != nil {
		return err
	}
	candidates, err := c.candidates(cluster.Brokers, brokers, rackAware)
	if err != nil {
		return err
	}
	proposed, err := proposeAssignment(current, candidates, random)
	if err != nil {
		return err
	}
	dirs, err := c.currentDirs(ctx, current)
	if err != nil {
		return err
	}
	if c.asJSON {
		return PrintJSON(c.io.Out, map[string]planFile{"current": current.file(dirs), "proposed": proposed.file(nil)})
	}
	fmt.Fprintf(c.io.Out, "Current partition replica assignment\n%s\n\nProposed partition reassignment configuration\n%s\n", jsonText(current.file(dirs)), jsonText(proposed.file(nil)))
	return nil
}

// candidates are those of the wanted brokers that are up.
func (c *reassigner) candidates(up []kmsg.DescribeClusterResponseBroker, wanted []int32, rackAware bool) ([]placement.Broker, error) {
	var found []placement.Broker
	rackless := 0
	for _, b := range up {
		if !slices.Contains(wanted, b.NodeID) {
			continue
		}
		broker := placement.Broker{ID: b.NodeID}
		if rackAware && b.Rack != nil {
			broker.Rack = *b.Rack
		} else {
			rackless++
		}
		found = append(found, broker)
	}
	if rackAware && rackless != 0 && rackless != len(found) {
		return nil, errors.New("Not all brokers have rack information. Add --disable-rack-aware in command line to make replica assignment without rack information.")
	}
	for _, id := range wanted {
		if !slices.ContainsFunc(found, func(b placement.Broker) bool { return b.ID == id }) {
			fmt.Fprintf(c.io.Err, "WARN Broker %d of --broker-list is not up and is left out.\n", id)
		}
	}
	return found, nil
}

// proposeAssignment places each topic anew, as the controller would place it. A topic keeps the number of replicas
// that its first partition has.
func proposeAssignment(current assignment, brokers []placement.Broker, random func(n int) int) (assignment, error) {
	proposed := assignment{}
	var failed error
	byTopic(sortedKeys(current), func(topic string, ids []int32) {
		replicas := len(current[topicPartition{topic, ids[0]}])
		stripes := placement.New(brokers, random)
		if failed == nil {
			failed = stripes.Check(replicas)
		}
		if failed != nil {
			return
		}
		for _, id := range ids {
			proposed[topicPartition{topic, id}] = stripes.Place(replicas)
		}
	})
	return proposed, failed
}

// unknownTopic is a topic of the user's that the cluster does not have.
type unknownTopic struct{ message string }

func (e unknownTopic) Error() string { return e.message }

// assignmentOf is where all partitions of the topics are.
func (c *reassigner) assignmentOf(ctx context.Context, topics []string) (assignment, error) {
	current := assignment{}
	if len(topics) == 0 {
		return current, nil
	}
	req := kmsg.NewPtrMetadataRequest()
	for i := range topics {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &topics[i]})
	}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, t := range resp.Topics {
		if err := answer(t.ErrorCode, nil); err != nil {
			if t.Topic != nil && isUnknownTopic(err) {
				return nil, unknownTopic{"Topic " + *t.Topic + " not found."}
			}
			return nil, err
		}
		for _, p := range t.Partitions {
			current[topicPartition{*t.Topic, p.Partition}] = p.Replicas
		}
	}
	return current, nil
}
