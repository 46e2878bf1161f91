package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func (f *groupsFlags) runReset(ctx context.Context, c *groupsClient) error {
	if !f.allTopics.Seen() && !f.topic.Seen() && !f.fromFile.Seen() {
		return Usagef("One of the reset scopes should be defined: --all-topics, --topic.")
	}
	if !ExactlyOne(f.scenarios()...) {
		var names []string
		for _, s := range f.scenarios() {
			names = append(names, s.String())
		}
		return Usagef("Option '[reset-offsets]' requires one of the following scenarios: [%s]", strings.Join(names, ", "))
	}
	groups, err := f.chosen(ctx, c)
	if err != nil {
		return err
	}
	var file []plannedOffset
	if f.fromFile.Seen() {
		if file, err = f.readPlan(groups); err != nil {
			return err
		}
	}
	plan := []plannedOffset{}
	for _, group := range groups {
		state, err := c.stateOf(ctx, group)
		if err != nil {
			return err
		}
		if state != "Empty" && state != "Dead" {
			printGroupError(c.io, fmt.Sprintf("Assignments can only be reset if the group '%s' is inactive, but the current state is %s.", group, state))
			continue
		}
		lines, err := f.planGroup(ctx, c, group, file)
		if err != nil {
			return err
		}
		if f.execute.Seen() {
			if err := c.commitPlan(ctx, group, lines); err != nil {
				return err
			}
		}
		plan = append(plan, lines...)
	}
	return f.printPlan(c.io, plan, len(groups) == 1 && !f.allGroups.Seen())
}

// stateOf is Dead for a group that does not exist: its offsets may be set too.
func (c *groupsClient) stateOf(ctx context.Context, group string) (string, error) {
	described, err := c.describeGroups(ctx, []string{group})
	if errors.Is(err, kerr.GroupIDNotFound) {
		return "Dead", nil
	}
	if err != nil {
		return "", err
	}
	return described[0].State, nil
}

// planGroup works out the new offsets of one group, by topic and partition.
func (f *groupsFlags) planGroup(ctx context.Context, c *groupsClient, group string, file []plannedOffset) ([]plannedOffset, error) {
	wanted := map[topicPartition]int64{}
	var err error
	if f.fromFile.Seen() {
		for _, p := range file {
			if p.Group == group {
				wanted[topicPartition{p.Topic, p.Partition}] = p.Offset
			}
		}
		if len(wanted) == 0 {
			printGroupError(c.io, "No reset plan for group "+group+" found")
			return nil, nil
		}
		err = c.clamp(ctx, wanted)
	} else {
		var partitions []topicPartition
		if partitions, err = f.resetScope(ctx, c, group); err == nil && len(partitions) > 0 {
			err = f.scenario(ctx, c, group, partitions, wanted)
		}
	}
	if err != nil {
		return nil, err
	}
	lines := make([]plannedOffset, 0, len(wanted))
	for tp, offset := range wanted {
		lines = append(lines, plannedOffset{group, tp.Topic, tp.Partition, offset})
	}
	slices.SortFunc(lines, func(a, b plannedOffset) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return lines, nil
}

// resetScope are the partitions that --all-topics or --topic names.
func (f *groupsFlags) resetScope(ctx context.Context, c *groupsClient, group string) ([]topicPartition, error) {
	if !f.allTopics.Seen() {
		return c.expandTopics(ctx, f.topic.Values(), true)
	}
	committed, err := c.committed(ctx, group)
	if err != nil {
		return nil, err
	}
	var all []topicPartition
	for tp := range committed {
		all = append(all, tp)
	}
	return all, nil
}

// committed are the group's committed offsets.
func (c *groupsClient) committed(ctx context.Context, group string) (map[topicPartition]int64, error) {
	responses, err := c.FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	offsets := map[topicPartition]int64{}
	responses.Each(func(o kadm.OffsetResponse) {
		if o.Err == nil && o.At >= 0 {
			offsets[topicPartition{o.Topic, o.Partition}] = o.At
		}
	})
	return offsets, nil
}

// expandTopics reads topic and topic:0,1,2. A topic that does not exist is an error, or comes back as partition -1.
func (c *groupsClient) expandTopics(ctx context.Context, args []string, mustExist bool) ([]topicPartition, error) {
	var found []topicPartition
	var whole []string
	for _, arg := range args {
		topic, list, some := strings.Cut(arg, ":")
		if !some {
			whole = append(whole, topic)
			continue
		}
		if strings.Contains(list, ":") || topic == "" || list == "" {
			return nil, Usagef("Invalid topic arg '%s', expected topic name and partitions", arg)
		}
		for _, word := range strings.Split(list, ",") {
			p, err := strconv.ParseInt(word, 10, 32)
			if err != nil {
				return nil, Usagef("Invalid partition '%s' specified in topic arg '%s'", word, arg)
			}
			found = append(found, topicPartition{topic, int32(p)})
		}
	}
	if len(whole) == 0 {
		return found, nil
	}
	topics, err := c.ListTopicsWithInternal(ctx, whole...)
	if err != nil {
		return nil, err
	}
	for _, name := range whole {
		t := topics[name]
		if t.Err != nil {
			if mustExist {
				return nil, &answeredError{KafkaMessage(t.Err, nil)}
			}
			found = append(found, topicPartition{name, -1})
			continue
		}
		for _, p := range t.Partitions.Numbers() {
			found = append(found, topicPartition{name, p})
		}
	}
	return found, nil
}

// scenario fills in the new offset of every partition.
func (f *groupsFlags) scenario(ctx context.Context, c *groupsClient, group string, partitions []topicPartition, wanted map[topicPartition]int64) error {
	switch {
	case f.toOffset.Seen():
		for _, tp := range partitions {
			wanted[tp] = f.toOffset.Int64()
		}
		return c.clamp(ctx, wanted)
	case f.toEarliest.Seen():
		return fill(ctx, c.ListStartOffsets, partitions, wanted)
	case f.toLatest.Seen():
		return fill(ctx, c.ListEndOffsets, partitions, wanted)
	case f.toDatetime.Seen():
		at, err := parseDatetime(f.toDatetime.Value())
		if err != nil {
			return err
		}
		return c.fillAfter(ctx, at, partitions, wanted)
	case f.byDuration.Seen():
		ago, err := parseISODuration(f.byDuration.Value())
		if err != nil {
			return fmt.Errorf("--by-duration: %w", err)
		}
		return c.fillAfter(ctx, time.Now().Add(-ago), partitions, wanted)
	}
	committed, err := c.committed(ctx, group)
	if err != nil {
		return err
	}
	if f.shiftBy.Seen() {
		for _, tp := range partitions {
			at, ok := committed[tp]
			if !ok {
				return Usagef("Cannot shift offset for partition %s since there is no current committed offset", tp)
			}
			wanted[tp] = at + f.shiftBy.Int64()
		}
		return c.clamp(ctx, wanted)
	}
	var none []topicPartition // --to-current
	for _, tp := range partitions {
		if at, ok := committed[tp]; ok {
			wanted[tp] = at
			continue
		}
		none = append(none, tp)
	}
	return fill(ctx, c.ListEndOffsets, none, wanted)
}

// fill looks up an offset of every partition.
func fill(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error), partitions []topicPartition, wanted map[topicPartition]int64) error {
	if len(partitions) == 0 {
		return nil
	}
	listed, err := list(ctx, topicsOf(partitions)...)
	if err != nil {
		return err
	}
	for _, tp := range partitions {
		o, ok := listed.Lookup(tp.Topic, tp.Partition)
		if !ok {
			return &missingPartition{tp}
		}
		if o.Err != nil {
			return &groupError{err: o.Err}
		}
		wanted[tp] = o.Offset
	}
	return nil
}

// missingPartition is a partition that was named and does not exist.
type missingPartition struct{ topicPartition }

func (e *missingPartition) Error() string {
	return fmt.Sprintf("The partitions \"%s\" do not exist", e.topicPartition)
}

func topicsOf(partitions []topicPartition) []string {
	var topics []string
	for _, tp := range partitions {
		if !slices.Contains(topics, tp.Topic) {
			topics = append(topics, tp.Topic)
		}
	}
	return topics
}

// fillAfter looks up the first offset at a time or later; a partition that has none gets its end.
func (c *groupsClient) fillAfter(ctx context.Context, at time.Time, partitions []topicPartition, wanted map[topicPartition]int64) error {
	listed, err := c.ListOffsetsAfterMilli(ctx, at.UnixMilli(), topicsOf(partitions)...)
	if err != nil {
		return err
	}
	var late []topicPartition
	for _, tp := range partitions {
		o, ok := listed.Lookup(tp.Topic, tp.Partition)
		if !ok {
			return &missingPartition{tp}
		}
		if o.Err != nil {
			return &groupError{err: o.Err}
		}
		wanted[tp] = o.Offset
		// The client answers with the end when there is no such record; then the timestamp is missing.
		if o.Timestamp < 0 {
			late = append(late, tp)
			fmt.Fprintf(c.io.Out, "\nWarn: Partition %d from topic %s is empty. Falling back to latest known offset.\n", tp.Partition, tp.Topic)
		}
	}
	return fill(ctx, c.ListEndOffsets, late, wanted)
}

// clamp moves offsets that the partitions do not have to the nearest that they have.
func (c *groupsClient) clamp(ctx context.Context, wanted map[topicPartition]int64) error {
	var partitions []topicPartition
	for tp := range wanted {
		partitions = append(partitions, tp)
	}
	starts, ends := map[topicPartition]int64{}, map[topicPartition]int64{}
	if err := fill(ctx, c.ListStartOffsets, partitions, starts); err != nil {
		return err
	}
	if err := fill(ctx, c.ListEndOffsets, partitions, ends); err != nil {
		return err
	}
	for tp, offset := range wanted {
		if offset > ends[tp] {
			fmt.Fprintf(c.io.Err, "WARN New offset (%d) is higher than latest offset for topic partition %s. Value will be set to %d\n", offset, tp, ends[tp])
			wanted[tp] = ends[tp]
		}
		if offset < starts[tp] {
			fmt.Fprintf(c.io.Err, "WARN New offset (%d) is lower than earliest offset for topic partition %s. Value will be set to %d\n", offset, tp, starts[tp])
			wanted[tp] = starts[tp]
		}
	}
	return nil
}

func (c *groupsClient) commitPlan(ctx context.Context, group string, lines []plannedOffset) error {
	offsets := kadm.Offsets{}
	for _, l := range lines {
		offsets.AddOffset(l.Topic, l.Partition, l.Offset, -1)
	}
	if len(offsets) == 0 {
		return nil
	}
	results, err := c.CommitOffsets(ctx, group, offsets)
	if err != nil {
		return err
	}
	if err := results.Error(); err != nil {
		return &groupError{err: err}
	}
	return nil
}
