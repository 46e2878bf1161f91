package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func (f *groupsFlags) runDeleteOffsets(ctx context.Context, c *groupsClient) error {
	group := f.group.Value()
	partitions, err := c.expandTopics(ctx, f.topic.Values(), false)
	if err != nil {
		return err
	}
	set := kadm.TopicsSet{}
	for _, tp := range partitions {
		if tp.Partition >= 0 {
			set.Add(tp.Topic, tp.Partition)
		}
	}
	results := kadm.DeleteOffsetsResponses{}
	var top error
	if len(set) > 0 {
		results, top = c.DeleteOffsets(ctx, group, set)
	}
	var code *kerr.Error
	if top != nil && !errors.As(top, &code) {
		return top
	}
	status, failed := map[topicPartition]error{}, false
	for _, tp := range partitions {
		err := top
		if tp.Partition < 0 {
			err = kerr.UnknownTopicOrPartition
		} else if top == nil {
			err, _ = results.Lookup(tp.Topic, tp.Partition)
		}
		status[tp], failed = err, failed || err != nil
	}
	switch {
	case top != nil:
		printGroupError(c.io, KafkaMessage(top, nil))
	case failed:
		printGroupError(c.io, "Encountered some partition-level error, see the follow-up details.")
	default:
		fmt.Fprintf(c.io.Out, "Request succeeded for deleting offsets from group %s.\n", group)
	}
	slices.SortFunc(partitions, func(a, b topicPartition) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	width := 15
	for _, tp := range partitions {
		width = max(width, len(tp.Topic))
	}
	fmt.Fprintf(c.io.Out, "\n%-*s %-10s %-15s", width, "TOPIC", "PARTITION", "STATUS")
	for _, tp := range partitions {
		partition, text := strconv.Itoa(int(tp.Partition)), "Successful"
		if tp.Partition < 0 {
			partition = "-"
		}
		if err := status[tp]; err != nil {
			text = "Error: " + javaError(err, nil)
		}
		fmt.Fprintf(c.io.Out, "\n%-*s %-10s %-15s", width, tp.Topic, partition, text)
	}
	fmt.Fprintln(c.io.Out)
	return nil
}
